/* The store in a Valkey or Redis server that replicas share: pieces go out together and are one function call each. */
#include "valkey.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "snowgate/crypt.h"
#include "snowgate/kill.h"
#include "snowgate/log.h"
#include "snowgate/wheel.h"

#define BACKOFF_FIRST (100 * USEC_PER_MS)
#define BACKOFF_LAST  (2 * USEC_PER_S)
#define AGAIN_FIRST   (20 * USEC_PER_MS) /* within one commit */
#define AGAIN_LAST    (500 * USEC_PER_MS)
#define LOOK_EVERY    (5 * USEC_PER_S)   /* at an idle connection */
#define LOOK_MAX      USEC_PER_S         /* how long upkeep may take, while pieces wait to be told that it is down */
#define BYTES_MAX     ((size_t)16 << 20) /* of values in one round trip, but for one piece that has more */

extern const char store_valkey_lua[];

/* ---- open and close ---- */
static bool prefix_good(const char *prefix)
{
	size_t n = strlen(prefix);

	return n <= 64 && strspn(prefix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:._-") == n;
}

/* The library's name holds the hash of its text: gateways of two versions never run each other's. */
static void source_make(struct valkey *s)
{
	struct sha256 hash = crypt_sha256(store_valkey_lua, strlen(store_valkey_lua));
	struct buf version = buf_with_ceiling(16), b = buf_with_ceiling((size_t)1 << 20);
	size_t n;

	hex_encode(&version, hash.bytes, 6);
	buf_addf(&b, "snowgate_%s", buf_text(&version));
	s->library = buf_take(&b, &n);
	buf_addf(&b, "#!lua name=%s\nlocal VERSION = '%s'\n%s", s->library, buf_text(&version), store_valkey_lua);
	s->source = buf_take(&b, &n);
	buf_free(&version);
}

static void sender_make(char sender[SENDER_SIZE])
{
	uint8_t bytes[(SENDER_SIZE - 1) / 2];
	struct buf b = buf_with_ceiling(SENDER_SIZE);

	crypt_random(bytes, sizeof bytes);
	hex_encode(&b, bytes, sizeof bytes);
	memcpy(sender, buf_text(&b), SENDER_SIZE);
	buf_free(&b);
}

static void valkey_close(struct store *store)
{
	struct valkey *s = (struct valkey *)store;

	tell_close(s);
	link_close(&s->link);
	nodes_free(&s->nodes);
	crypt_wipe(s->password, strlen(s->password));
	free(s->password);
	free(s->prefix);
	free(s->library);
	free(s->source);
	free(s);
}

/* A server that cannot be reached yet is no reason not to start; one that will not do is. */
static struct store *valkey_open(const struct conf *conf, const struct store_ops *ops, char *why, size_t why_size)
{
	struct nodes nodes;
	struct valkey *s;

	if (!nodes_parse(conf->store_url, conf->store_user, &nodes, why, why_size))
		return NULL;
	if (!prefix_good(conf->store_prefix)) {
		snprintf(why, why_size, "store.prefix: want at most 64 letters, digits, and : . _ -");
		nodes_free(&nodes);
		return NULL;
	}
	s = xalloc(sizeof *s);
	s->ops = ops;
	s->nodes = nodes;
	s->password = xstrdup(conf->store_password ? conf->store_password : "");
	s->prefix = xstrdup(conf->store_prefix);
	s->durability = (enum durability)conf->store_durability;
	s->timeout = conf->store_timeout;
	s->backoff = s->tell_backoff = BACKOFF_FIRST;
	s->told = true;
	s->last = NODES_MAX;
	source_make(s);
	sender_make(s->sender);
	s->ready = master_find(s, clock_now() + s->timeout, &s->why);
	s->retry_at = clock_now() + s->backoff;
	if (s->ready || !s->why.final)
		return (struct store *)s;
	snprintf(why, why_size, "store.url: %s", s->why.text);
	valkey_close((struct store *)s);
	return NULL;
}

/* ---- readiness ---- */
static void health_tell(struct valkey *s)
{
	if (s->told == s->ready)
		return;
	s->told = s->ready;
	if (s->ready)
		log_event(LOG_INFO, "store_up", log_text("node", s->link.node->name));
	else
		log_event(LOG_WARN, "store_down", log_text("why", s->why.text));
	s->ops->health(s->ready, s->ready ? NULL : s->why.text);
}

static void store_lost(struct valkey *s)
{
	link_close(&s->link);
	s->ready = false;
	s->backoff = BACKOFF_FIRST;
	s->retry_at = clock_now() + s->backoff;
	health_tell(s);
}

/* ---- commit: what is under way in one round trip ---- */
struct flight {
	size_t n;
	struct store_work *works[PIECES_MAX];
	uint64_t sequences[PIECES_MAX];
	redisReply *replies[PIECES_MAX]; /* NULL: to be sent, or to be sent again */
	bool waits;                      /* a replica has to have it too */
};
enum tried { TRIED_DONE, TRIED_LATE, TRIED_LOST, TRIED_UNSURE };

/* Sends what has no reply. */
static void flight_send(struct valkey *s, struct flight *f, usec_t deadline)
{
	struct piece_frame frame = {.library = s->library, .prefix = s->prefix};
	usec_t left = (deadline - clock_now()) / USEC_PER_MS * 7 / 8; /* WAIT's answer has to come in time itself */
	char wait[48];

	memcpy(frame.sender, s->sender, sizeof frame.sender);
	frame.deadline_ms = valkey_server_ms(s, deadline);
	for (size_t i = 0; i < f->n; i++)
		if (!f->replies[i]) {
			frame.slot = (unsigned)i;
			frame.sequence = f->sequences[i];
			piece_send(&s->link, &frame, f->works[i]);
		}
	if (f->waits) {
		snprintf(wait, sizeof wait, "WAIT 1 %d", left < 1 ? 1 : (int)left);
		link_say(&s->link, wait);
	}
}

static enum tried replica_wait(struct valkey *s, usec_t deadline)
{
	redisReply *r = link_reply(&s->link, deadline, &s->why);
	bool good = r && r->type == REDIS_REPLY_INTEGER && r->integer >= 1;

	if (!r)
		return TRIED_LOST;
	if (!good)
		trouble_say(&s->why, false, "%s: no replica has confirmed in time, which store.durability wants",
			    s->link.node->name);
	freeReplyObject(r);
	return good ? TRIED_DONE : TRIED_UNSURE;
}

/* One round trip. */
static enum tried flight_try(struct valkey *s, struct flight *f, usec_t deadline)
{
	enum tried tried = TRIED_DONE;

	KILL_POINT(valkey_before);
	flight_send(s, f, deadline);
	if (KILL_ARMED(valkey_sent) && link_poll(&s->link)) /* it is in the buffer only */
		KILL_POINT(valkey_sent);
	for (size_t i = 0; i < f->n; i++) {
		int64_t now = -1;
		if (f->replies[i])
			continue;
		redisReply *r = link_reply(&s->link, deadline, &s->why);
		if (!r)
			return TRIED_LOST;
		enum verdict v = piece_verdict(r, &now);
		if (now >= 0)
			valkey_server_is(s, now);
		if (v != VERDICT_AGAIN && v != VERDICT_LATE) {
			f->replies[i] = r;
			continue;
		}
		if (v == VERDICT_AGAIN)
			trouble_say(&s->why, false, "%s: %s", s->link.node->name, r->str);
		freeReplyObject(r);
		if (tried != TRIED_LOST)
			tried = v == VERDICT_AGAIN ? TRIED_LOST : TRIED_LATE;
	}
	enum tried replica = f->waits ? replica_wait(s, deadline) : TRIED_DONE;
	return replica != TRIED_DONE ? replica : tried;
}

/* Where a replica has to have confirmed, no write counts that none has: it is asked for again, or not acknowledged. */
static void flight_doubt(struct flight *f)
{
	for (size_t i = 0; f->waits && i < f->n; i++)
		if (f->replies[i] && piece_writes(f->works[i])) {
			freeReplyObject(f->replies[i]);
			f->replies[i] = NULL;
		}
}

/* Looks for the master again and again until there is one, or the time is over. */
static bool master_wait(struct valkey *s, usec_t deadline, usec_t *pause)
{
	for (usec_t waiting = 0; waiting < s->timeout; waiting += *pause) {
		struct trouble t;
		if (master_find(s, deadline, &t))
			return true;
		s->why = t;
		if (clock_now() + *pause >= deadline)
			return false;
		poll(NULL, 0, (int)(*pause / USEC_PER_MS));
		*pause = 2 * *pause > AGAIN_LAST ? AGAIN_LAST : 2 * *pause;
	}
	return false;
}

/* A piece that was sent again is done once: valkey.lua remembers what it has answered. */
static void flight_run(struct valkey *s, struct flight *f, usec_t deadline)
{
	usec_t pause = AGAIN_FIRST;

	for (unsigned late = 0;;) {
		enum tried tried = flight_try(s, f, deadline);
		if (tried == TRIED_DONE)
			return;
		if (tried == TRIED_LATE && clock_now() < deadline && late++ < 3)
			continue; /* the server's clock had moved on more than we knew; now we know */
		flight_doubt(f);
		if (tried == TRIED_LATE)
			trouble_say(&s->why, false, "%s: its clock jumps", s->link.node->name);
		if (tried != TRIED_LOST || !master_wait(s, deadline, &pause))
			break;
	}
	store_lost(s);
}

static enum store_rc piece_end(struct valkey *s, struct store_work *w, const redisReply *r, bool *failed)
{
	int64_t now = -1;

	switch (r ? piece_verdict(r, &now) : VERDICT_LATE) {
	case VERDICT_OK:
		if (piece_take(w, r, now))
			return STORE_OK;
		break;
	case VERDICT_STALE:
		return STORE_STALE;
	case VERDICT_FULL:
		return STORE_FULL;
	case VERDICT_LATE:
	case VERDICT_AGAIN:
		return STORE_DOWN;
	case VERDICT_FAILED:
		break;
	}
	trouble_say(&s->why, false, "%s: %s", s->nodes.v[s->last % NODES_MAX].name,
		    r->type == REDIS_REPLY_ERROR ? r->str : "its functions answer something else");
	*failed = true;
	return STORE_DOWN;
}

static void flight_end(struct valkey *s, struct flight *f)
{
	bool failed = false;

	for (size_t i = 0; i < f->n; i++) {
		struct store_work *w = f->works[i];
		w->rc = piece_end(s, w, f->replies[i], &failed);
		if (f->replies[i])
			freeReplyObject(f->replies[i]);
	}
	if (failed && s->ready)
		store_lost(s);
}

static struct store_work *flight_fill(struct valkey *s, struct flight *f, struct store_work *w)
{
	size_t bytes = 0;

	f->n = 0;
	f->waits = false;
	for (; w && f->n < PIECES_MAX && (f->n == 0 || bytes + piece_bytes(w) <= BYTES_MAX); w = w->next) {
		bytes += piece_bytes(w);
		f->works[f->n] = w;
		f->replies[f->n] = NULL;
		f->sequences[f->n++] = ++s->sequence;
		if (durability_waits(s->durability) && piece_writes(w))
			f->waits = true;
	}
	return w;
}

static void valkey_commit(struct store *store, struct store_work *first)
{
	struct valkey *s = (struct valkey *)store;
	usec_t deadline = clock_now() + s->timeout;
	struct flight f;

	health_tell(s);
	for (struct store_work *next = first; next;) {
		next = flight_fill(s, &f, next);
		if (s->ready)
			flight_run(s, &f, deadline);
		flight_end(s, &f);
		KILL_POINT(valkey_after);
	}
}

/* ---- upkeep ---- */
static void master_look(struct valkey *s, usec_t now)
{
	usec_t deadline = now + (s->timeout < LOOK_MAX ? s->timeout : LOOK_MAX);

	if (s->ready && master_still(s, deadline, &s->why))
		return;
	if (master_find(s, deadline, &s->why)) {
		s->ready = true;
		s->backoff = BACKOFF_FIRST;
		return;
	}
	if (s->ready) {
		store_lost(s);
		return;
	}
	s->retry_at = clock_now() + s->backoff;
	s->backoff = 2 * s->backoff > BACKOFF_LAST ? BACKOFF_LAST : 2 * s->backoff;
}

static usec_t valkey_upkeep(struct store *store)
{
	struct valkey *s = (struct valkey *)store;
	usec_t now = clock_now(), next;

	health_tell(s);
	if (s->ready ? now - s->link.used >= LOOK_EVERY : now >= s->retry_at)
		master_look(s, now);
	health_tell(s);
	tell_upkeep(s);
	now = clock_now();
	next = s->ready ? s->link.used + LOOK_EVERY : s->retry_at;
	if (s->ready && !s->tell.c && s->tell_at < next)
		next = s->tell_at;
	return next - now < USEC_PER_MS ? USEC_PER_MS : next - now;
}

static int valkey_descriptor(const struct store *store)
{
	const struct valkey *s = (const struct valkey *)store;

	return s->tell.c ? s->tell.c->fd : -1;
}

const struct store_backend store_valkey = {
    .name = "valkey",
    .shared = true,
    .open = valkey_open,
    .close = valkey_close,
    .commit = valkey_commit,
    .upkeep = valkey_upkeep,
    .descriptor = valkey_descriptor,
};
