/* What was counted of a session, and when it was last seen: into its record now and then, beside what writes it. */
#include "piece.h"

#include <string.h>

#define AT_ONCE 256 /* sessions on their way: what comes after them waits for the next time */

struct counting {
	struct mail mail;
	char id[SESSION_ID_SIZE];
	struct session_counters more;
	int64_t last_seen, ttl_ms;
	bool fine;
};

/* owner: NET */
static struct {
	size_t at, under_way;
} self;

static void counters_add(struct session_counters *to, const struct session_counters *more, int64_t sign)
{
	to->requests += sign * more->requests;
	to->ok += sign * more->ok;
	to->failed += sign * more->failed;
	to->rows += sign * more->rows;
	to->query_usec += sign * more->query_usec;
}

bool counters_put(struct call *c, struct session *s)
{
	struct session_counters *put = &c->durable.counters, all = s->counters;
	bool written;

	if (s->counting)
		counters_add(&s->counters, &s->counting->more, -1);
	written = session_record(&c->record, s);
	*put = s->counters;
	s->counters = all;
	counters_add(put, &s->kept, -1);
	counters_add(&s->kept, put, 1);
	return written;
}

void counters_refused(struct call *c, struct session *s)
{
	counters_add(&s->kept, &c->durable.counters, -1);
	c->durable.counters = (struct session_counters){0};
}

static void counting_deliver(struct mail *m)
{
	struct counting *n = container_of(m, struct counting, mail);
	struct session *s = session_live(gateway.sessions, n->id);

	OWNED_BY(THREAD_NET);
	self.under_way--;
	if (s && s->counting == n) {
		if (n->fine)
			counters_add(&s->kept, &n->more, 1);
		s->counting = NULL;
	}
	free(n);
}

static void counting_end(struct piece *p, bool fine)
{
	struct counting *n = p->of;

	n->fine = fine;
	mail_post(THREAD_NET, &n->mail);
	piece_free(p);
}

/* Somebody else has written it meanwhile: another time. */
static void kept_done(struct store_work *w)
{
	counting_end(container_of(w, struct piece, work), w->rc == STORE_OK);
}

static bool add_kept(struct piece *p, const char *key, uint64_t version, struct slice record)
{
	struct buf *plain = piece_value(p, 1 << 20), *sealed = piece_value(p, 1 << 20);
	const struct counting *n = p->of;
	struct store_item *item;

	if (!session_record_count(plain, record, &n->more, n->last_seen) ||
	    !journal_seal(sealed, &gateway.journal, key, buf_slice(plain)))
		return false;
	piece_add(p, STORE_CHECK, RECORD_SESSION, key)->version = version;
	item = piece_add(p, STORE_KEEP, RECORD_SESSION, key);
	item->value = buf_slice(sealed);
	item->ttl_ms = n->ttl_ms;
	return true;
}

static void read_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);
	struct buf record = buf_with_ceiling(1 << 20);
	char key[STORE_KEY_MAX];
	uint64_t version = p->items[0].version;
	bool fine = w->rc == STORE_OK && p->items[0].rc == STORE_OK &&
		    journal_open(&record, &gateway.journal, p->keys[0], buf_slice(&p->items[0].out));

	memcpy(key, p->keys[0], sizeof key);
	piece_clear(p);
	fine = fine && add_kept(p, key, version, buf_slice(&record));
	buf_free(&record);
	if (!fine) {
		counting_end(p, false);
		return;
	}
	p->work.done = kept_done;
	store_post(w);
}

static void count_one(struct session *s)
{
	struct counting *n;
	struct piece *p;
	char key[STORE_KEY_MAX];

	if (s->counting || self.under_way >= AT_ONCE || memcmp(&s->counters, &s->kept, sizeof s->kept) == 0)
		return;
	n = xalloc(sizeof *n);
	*n = (struct counting){.mail = {.deliver = counting_deliver},
			       .more = s->counters,
			       .last_seen = s->last_seen,
			       .ttl_ms = gateway.conf->session_absolute_ttl / USEC_PER_MS};
	memcpy(n->id, s->id, sizeof n->id);
	counters_add(&n->more, &s->kept, -1);
	s->counting = n;
	self.under_way++;
	p = piece_alone(&s->principal, read_done);
	p->of = n;
	key_of_id(key, s->id);
	piece_add(p, STORE_GET, RECORD_SESSION, key)->out = buf_with_ceiling(1 << 20);
	store_post(&p->work);
}

void counters_write(size_t parts)
{
	OWNED_BY(THREAD_NET);
	session_walk(gateway.sessions, &self.at, parts, count_one);
}
