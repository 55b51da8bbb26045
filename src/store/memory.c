/* The store that lives in the process: records in a hash table, each with its log; gone with it. */
#include <string.h>

#include "piece.h"
#include "snowgate/wheel.h"

/* Of each kind, so that one never takes another's room: session.max at its default needs two records per session. The
 * bytes are for all of them together. */
#define RECORDS_MAX   200000u
#define BYTES_MAX     ((size_t)256 << 20)
#define BUCKETS_FIRST 256u
#define SWEEP         4096u /* buckets looked through in one upkeep() */
#define UPKEEP_EVERY  (10 * USEC_PER_S)
#define NEVER         INT64_MAX

struct event {
	struct event *next;
	uint64_t number;
	size_t n;
	char data[];
};
struct record {
	struct record *next;                 /* of its bucket */
	struct record *due_next, **due_prev; /* of those of its kind that have a due */
	struct event *first, **last;
	uint64_t events, version;
	enum record_kind kind;
	uint32_t hash;
	usec_t expires, due; /* of clock_now() */
	size_t log_bytes, n;
	const char *value;
	char key[];
};
/* What a write has done, so that it can be undone. */
struct undo {
	enum { UNDO_NEW, UNDO_GONE, UNDO_EVENT } what;
	struct record *record;
	struct event **before; /* EVENT: where the list ended */
	bool again;            /* NEW: it has taken the log of the one before it */
};
struct store {
	struct record **buckets;
	size_t buckets_n, count[RECORD_KINDS], records, bytes;
	struct record *due[RECORD_KINDS];
	size_t sweep;
	usec_t now;
	struct undo undo[2 * STORE_ITEMS_MAX]; /* a PUT is two */
	size_t undo_n;
};

/* ---- the table ---- */

static struct store *memory_open(const struct conf *conf, const struct store_ops *ops, char *why, size_t why_size)
{
	struct store *s = xalloc(sizeof *s);

	(void)conf, (void)ops, (void)why, (void)why_size;
	s->buckets_n = BUCKETS_FIRST;
	s->buckets = xalloc(s->buckets_n * sizeof(struct record *));
	return s;
}

static uint32_t hash_of(enum record_kind kind, const char *key)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	hash = (hash ^ (uint32_t)kind) * 16777619u;
	for (const char *c = key; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619u;
	return hash;
}

static struct record **record_at(struct store *s, enum record_kind kind, const char *key)
{
	uint32_t hash = hash_of(kind, key);
	struct record **at = &s->buckets[hash & (s->buckets_n - 1)];

	while (*at && ((*at)->hash != hash || (*at)->kind != kind || strcmp((*at)->key, key) != 0))
		at = &(*at)->next;
	return at;
}

static void table_grow(struct store *s)
{
	size_t n = s->buckets_n * 2;
	struct record **buckets = xalloc(n * sizeof *buckets), *r;

	for (size_t i = 0; i < s->buckets_n; i++)
		while ((r = s->buckets[i])) {
			s->buckets[i] = r->next;
			r->next = buckets[r->hash & (n - 1)];
			buckets[r->hash & (n - 1)] = r;
		}
	free(s->buckets);
	s->buckets = buckets;
	s->buckets_n = n;
}

static size_t record_bytes(const struct record *r)
{
	return sizeof *r + strlen(r->key) + r->n + r->log_bytes;
}

static void record_link(struct store *s, struct record *r)
{
	struct record **bucket;

	if (s->records >= s->buckets_n)
		table_grow(s);
	bucket = &s->buckets[r->hash & (s->buckets_n - 1)];
	r->next = *bucket;
	*bucket = r;
	s->records++;
	s->count[r->kind]++;
	s->bytes += record_bytes(r);
	if (r->due == NEVER)
		return;
	r->due_next = s->due[r->kind];
	r->due_prev = &s->due[r->kind];
	if (r->due_next)
		r->due_next->due_prev = &r->due_next;
	s->due[r->kind] = r;
}

static struct record *record_unlink(struct store *s, struct record **at)
{
	struct record *r = *at;

	*at = TAKE(r->next);
	s->records--;
	s->count[r->kind]--;
	s->bytes -= record_bytes(r);
	if (r->due_prev) {
		*r->due_prev = r->due_next;
		if (r->due_next)
			r->due_next->due_prev = r->due_prev;
		r->due_next = NULL;
		r->due_prev = NULL;
	}
	return r;
}

static void record_free(struct record *r)
{
	while (r->first) {
		struct event *e = r->first;

		r->first = e->next;
		free(e);
	}
	free(r);
}

static void memory_close(struct store *s)
{
	for (size_t i = 0; i < s->buckets_n; i++)
		while (s->buckets[i])
			record_free(record_unlink(s, &s->buckets[i]));
	free(s->buckets);
	free(s);
}

/* ---- undo ---- */

static void undo_add(struct store *s, struct undo u)
{
	assert(s->undo_n < ARRAY_LEN(s->undo));
	s->undo[s->undo_n++] = u;
}

/* The log of a record that takes another's place. */
static void log_move(struct record *to, struct record *from)
{
	to->first = from->first;
	to->last = from->first ? from->last : &to->first;
	to->events = from->events;
	to->log_bytes = from->log_bytes;
	from->first = NULL;
	from->last = &from->first;
	from->events = 0;
	from->log_bytes = 0;
}

static void piece_undo(struct store *s)
{
	struct record *fresh = NULL;

	while (s->undo_n) {
		struct undo *u = &s->undo[--s->undo_n];

		if (u->what == UNDO_EVENT) {
			struct event *e = TAKE(*u->before);

			u->record->last = u->before;
			u->record->events--;
			u->record->log_bytes -= sizeof *e + e->n;
			s->bytes -= sizeof *e + e->n;
			free(e);
		} else if (u->what == UNDO_NEW) {
			fresh = record_unlink(s, record_at(s, u->record->kind, u->record->key));
			/* a PUT notes the record that it displaced first */
			if (s->undo_n && s->undo[s->undo_n - 1].what == UNDO_GONE && u->again)
				log_move(s->undo[s->undo_n - 1].record, fresh);
			record_free(fresh);
		} else {
			record_link(s, u->record);
		}
	}
}

static void piece_keep(struct store *s)
{
	while (s->undo_n) {
		struct undo *u = &s->undo[--s->undo_n];

		if (u->what == UNDO_GONE)
			record_free(u->record);
	}
}

/* ---- the verbs ---- */

/* NULL where there is none, or its time is over. */
static struct record *record_find(struct store *s, const struct store_item *item)
{
	struct record *r = *record_at(s, item->kind, item->key);

	return r && r->expires > s->now ? r : NULL;
}

static usec_t time_in(const struct store *s, int64_t ms)
{
	usec_t at;

	return __builtin_mul_overflow(ms, USEC_PER_MS, &at) || __builtin_add_overflow(at, s->now, &at) ? NEVER - 1 : at;
}

/* Rounded down, so that what is not due yet is never told as passed. */
static int64_t ms_until(const struct store *s, usec_t at)
{
	usec_t left = at - s->now;

	return left >= 0 ? (left + USEC_PER_MS - 1) / USEC_PER_MS : -(-left / USEC_PER_MS);
}

static enum store_rc do_get(struct store *s, struct store_item *item)
{
	const struct record *r = record_find(s, item);

	buf_clear(&item->out);
	item->rc = r ? STORE_OK : STORE_ABSENT;
	item->version = r ? r->version : 0;
	item->due_ms = r && r->due != NEVER ? ms_until(s, r->due) : STORE_NO_DUE;
	return !r || buf_add(&item->out, r->value, r->n) ? STORE_OK : STORE_FULL;
}

static enum store_rc do_check(struct store *s, struct store_item *item)
{
	const struct record *r = record_find(s, item);

	return (r ? r->version : 0) == item->version ? STORE_OK : STORE_STALE;
}

static struct record *record_new(const struct store *s, const struct store_item *item, struct slice value)
{
	size_t key = strlen(item->key);
	struct record *r = xalloc(sizeof *r + key + 1 + value.n);

	memcpy(r->key, item->key, key);
	if (value.n)
		memcpy(r->key + key + 1, value.data, value.n);
	r->value = r->key + key + 1;
	r->n = value.n;
	r->last = &r->first;
	r->kind = item->kind;
	r->hash = hash_of(item->kind, item->key);
	r->version = 1;
	r->expires = time_in(s, item->ttl_ms);
	r->due = item->due_ms == STORE_NO_DUE ? NEVER : time_in(s, item->due_ms);
	return r;
}

static enum store_rc record_write(struct store *s, struct store_item *item, struct slice value, unsigned more)
{
	struct record **at = record_at(s, item->kind, item->key), *old = *at, *r;
	size_t used = s->bytes - (old ? sizeof *old + strlen(old->key) + old->n : 0);

	if ((!old && s->count[item->kind] >= RECORDS_MAX) || used + sizeof *r + strlen(item->key) + value.n > BYTES_MAX)
		return STORE_FULL;
	r = record_new(s, item, value);
	if (old) {
		record_unlink(s, at);
		undo_add(s, (struct undo){.what = UNDO_GONE, .record = old});
		if (old->expires > s->now) {
			r->version = old->version + more;
			log_move(r, old);
		}
	}
	record_link(s, r);
	undo_add(s, (struct undo){.what = UNDO_NEW, .record = r, .again = old && old->expires > s->now});
	item->version = r->version;
	return STORE_OK;
}

static enum store_rc do_put(struct store *s, struct store_item *item)
{
	return record_write(s, item, item->value, 1);
}

static enum store_rc do_keep(struct store *s, struct store_item *item)
{
	const struct record *r = record_find(s, item);

	if (!r)
		return STORE_STALE;
	return record_write(s, item, item->value.data ? item->value : (struct slice){r->value, r->n}, 0);
}

static enum store_rc do_del(struct store *s, struct store_item *item)
{
	struct record **at = record_at(s, item->kind, item->key);

	if (*at)
		undo_add(s, (struct undo){.what = UNDO_GONE, .record = record_unlink(s, at)});
	return STORE_OK;
}

static enum store_rc do_append(struct store *s, struct store_item *item)
{
	struct record *r = record_find(s, item);
	struct event *e;
	size_t n = sizeof *e + item->value.n;

	if (!r || item->number != r->events + 1)
		return STORE_STALE;
	if (s->bytes + n > BYTES_MAX)
		return STORE_FULL;
	e = xalloc(n);
	e->number = item->number;
	e->n = item->value.n;
	if (e->n)
		memcpy(e->data, item->value.data, e->n);
	undo_add(s, (struct undo){.what = UNDO_EVENT, .record = r, .before = r->last});
	*r->last = e;
	r->last = &e->next;
	r->events++;
	r->log_bytes += n;
	s->bytes += n;
	return STORE_OK;
}

static enum store_rc do_events(struct store *s, struct store_item *item)
{
	const struct record *r = record_find(s, item);
	struct store_row **end = &item->rows;
	size_t n = 0;

	for (const struct event *e = r ? r->first : NULL; e && n < item->most; e = e->next)
		if (e->number > item->number) {
			row_add(&end, "", (struct slice){e->data, e->n})->version = e->number;
			n++;
		}
	return STORE_OK;
}

static int by_due(const void *a, const void *b)
{
	const struct record *x = *(struct record *const *)a, *y = *(struct record *const *)b;

	return x->due != y->due ? (x->due > y->due) - (x->due < y->due) : strcmp(x->key, y->key);
}

static bool is_due(const struct store *s, const struct record *r)
{
	return r->due <= s->now && r->expires > s->now;
}

static enum store_rc do_due(struct store *s, struct store_item *item)
{
	struct store_row **end = &item->rows, *row;
	const struct record **found;
	size_t n = 0, at = 0;

	for (const struct record *r = s->due[item->kind]; r; r = r->due_next)
		n += is_due(s, r);
	found = xalloc((n + 1) * sizeof(struct record *));
	for (const struct record *r = s->due[item->kind]; r; r = r->due_next)
		if (is_due(s, r))
			found[at++] = r;
	qsort(found, n, sizeof(struct record *), by_due);
	for (at = 0; at < n && at < item->most; at++) {
		row = row_add(&end, found[at]->key, (struct slice){found[at]->value, found[at]->n});
		row->version = found[at]->version;
		row->due_ms = ms_until(s, found[at]->due);
	}
	free(found);
	return STORE_OK;
}

/* Nobody else is on this store. */
static enum store_rc do_tell(struct store *s, struct store_item *item)
{
	(void)s, (void)item;
	return STORE_OK;
}

/* ---- the back end ---- */

static void piece_run(struct store *s, struct store_work *w)
{
	static enum store_rc (*const verbs[])(struct store *, struct store_item *) = {
	    [STORE_GET] = do_get,       [STORE_CHECK] = do_check, [STORE_PUT] = do_put,
	    [STORE_KEEP] = do_keep,     [STORE_DEL] = do_del,     [STORE_APPEND] = do_append,
	    [STORE_EVENTS] = do_events, [STORE_DUE] = do_due,     [STORE_TELL] = do_tell};

	w->rc = STORE_OK;
	for (size_t i = 0; i < w->n && w->rc == STORE_OK; i++)
		w->rc = verbs[w->items[i].verb](s, &w->items[i]);
	if (w->rc == STORE_OK) {
		piece_keep(s);
		return;
	}
	piece_undo(s);
	piece_forget(w);
}

static void memory_commit(struct store *s, struct store_work *first)
{
	s->now = clock_now();
	for (struct store_work *w = first; w; w = w->next)
		piece_run(s, w);
}

static usec_t memory_upkeep(struct store *s)
{
	size_t n = s->buckets_n < SWEEP ? s->buckets_n : SWEEP;

	s->now = clock_now();
	for (; n; n--, s->sweep++)
		for (struct record **at = &s->buckets[s->sweep & (s->buckets_n - 1)]; *at;) {
			if ((*at)->expires <= s->now)
				record_free(record_unlink(s, at));
			else
				at = &(*at)->next;
		}
	store_holds((int64_t)s->bytes);
	return UPKEEP_EVERY;
}

static int memory_descriptor(const struct store *s)
{
	(void)s;
	return -1;
}

const struct store_backend store_memory = {
    .name = "memory",
    .open = memory_open,
    .close = memory_close,
    .commit = memory_commit,
    .upkeep = memory_upkeep,
    .descriptor = memory_descriptor,
};
