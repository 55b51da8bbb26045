/* The store that lives in the process: records in hash tables, gone with it. */
#include "snowgate/store.h"

#include "snowgate/err.h"
#include "snowgate/wheel.h"

#include <stdio.h>
#include <string.h>

/* Of each kind, so that one never takes another's room: session.max at its default needs two records per session. The
 * bytes are for all of them together. */
#define RECORDS_MAX    200000u
#define BYTES_MAX      ((size_t)256 << 20)
#define BUCKETS        (1u << 16)
#define EXPIRE_BUCKETS 4096u /* looked through in one expire() */

struct record {
	struct record *next;
	char *key;
	size_t n;
	int64_t expires;
	char value[];
};
struct store {
	struct record **buckets[RECORD_KINDS];
	size_t count[RECORD_KINDS], bytes; /* bytes: of values */
	unsigned sweep;
};

static struct store *memory_open(const struct conf *conf, char *why, size_t why_size)
{
	struct store *s = xalloc(sizeof *s);

	(void)conf, (void)why, (void)why_size;
	for (int k = 0; k < RECORD_KINDS; k++)
		s->buckets[k] = xalloc(BUCKETS * sizeof(struct record *));
	return s;
}

static void record_unlink(struct store *s, enum record_kind kind, struct record **at)
{
	struct record *r = *at;

	*at = r->next;
	s->count[kind]--;
	s->bytes -= r->n;
	free(r->key);
	free(r);
}

static void memory_close(struct store *s)
{
	for (int k = 0; k < RECORD_KINDS; k++) {
		for (unsigned i = 0; i < BUCKETS; i++)
			while (s->buckets[k][i])
				record_unlink(s, (enum record_kind)k, &s->buckets[k][i]);
		free(s->buckets[k]);
	}
	free(s);
}

/* Begin and commit: a write is in force when put() returns, and there is nothing to roll back to. */
static int memory_pass(struct store *s)
{
	(void)s;
	return ERR_OK;
}

static struct record **memory_find(struct store *s, enum record_kind kind, const char *key)
{
	uint32_t hash = 2166136261u; /* FNV-1a */
	struct record **at;

	for (const char *c = key; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619u;
	at = &s->buckets[kind][hash % BUCKETS];
	while (*at && strcmp((*at)->key, key) != 0)
		at = &(*at)->next;
	return at;
}

static int memory_put(struct store *s, enum record_kind kind, const char *key, struct slice value, int64_t expires)
{
	struct record **at = memory_find(s, kind, key), *r;

	if ((!*at && s->count[kind] >= RECORDS_MAX) || value.n > BYTES_MAX - s->bytes + (*at ? (*at)->n : 0))
		return ERR_OVERLOADED;
	r = xalloc(sizeof *r + value.n);
	r->key = xstrdup(key);
	r->n = value.n;
	r->expires = expires;
	if (value.n)
		memcpy(r->value, value.data, value.n);
	if (*at)
		record_unlink(s, kind, at);
	r->next = *at;
	*at = r;
	s->count[kind]++;
	s->bytes += r->n;
	return ERR_OK;
}

static int memory_get(struct store *s, enum record_kind kind, const char *key, struct buf *value)
{
	struct record *r = *memory_find(s, kind, key);

	if (!r || r->expires <= clock_wall())
		return ERR_NOT_FOUND;
	return buf_add(value, r->value, r->n) ? ERR_OK : ERR_NOMEM;
}

static int memory_del(struct store *s, enum record_kind kind, const char *key)
{
	struct record **at = memory_find(s, kind, key);
	bool was_there = *at && (*at)->expires > clock_wall();

	if (*at)
		record_unlink(s, kind, at);
	return was_there ? ERR_OK : ERR_NOT_FOUND;
}

static void memory_expire(struct store *s, int64_t now)
{
	for (unsigned n = 0; n < EXPIRE_BUCKETS; n++, s->sweep = (s->sweep + 1) % BUCKETS)
		for (int k = 0; k < RECORD_KINDS; k++)
			for (struct record **at = &s->buckets[k][s->sweep]; *at;) {
				if ((*at)->expires <= now)
					record_unlink(s, (enum record_kind)k, at);
				else
					at = &(*at)->next;
			}
}

const struct store_backend store_memory = {
    .name = "memory",
    .open = memory_open,
    .close = memory_close,
    .begin = memory_pass,
    .commit = memory_pass,
    .put = memory_put,
    .get = memory_get,
    .del = memory_del,
    .expire = memory_expire,
};
