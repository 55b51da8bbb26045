/* Pieces of work in one line each, for the tests of the store. */
#ifndef TESTS_STORE_PIECES_H
#define TESTS_STORE_PIECES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "snowgate/store.h"
#include "snowgate/wheel.h"

#define GROUP "0123456789abcdef0123456789abcdef"
#define TTL   ((int64_t)24 * 3600 * 1000)

/* One piece; its items are filled by the functions below, which return the number of the item. */
struct test_piece {
	struct store_work work;
	struct store_item items[STORE_ITEMS_MAX];
	char keys[STORE_ITEMS_MAX][STORE_KEY_MAX];
	bool done;
};

static void piece_done(struct store_work *w)
{
	assert_int_equal(thread_self(), THREAD_STORE);
	container_of(w, struct test_piece, work)->done = true;
}

static inline void piece_begin(struct test_piece *p)
{
	memset(p, 0, sizeof *p);
	p->work = (struct store_work){.group = GROUP, .items = p->items, .done = piece_done};
}

static inline struct store_item *piece_item(struct test_piece *p, enum store_verb verb, enum record_kind kind,
					    const char *key)
{
	struct store_item *item = &p->items[p->work.n];

	assert_true(p->work.n < STORE_ITEMS_MAX);
	snprintf(p->keys[p->work.n], STORE_KEY_MAX, "%s", key);
	*item = (struct store_item){.verb = verb, .kind = kind, .key = p->keys[p->work.n++], .due_ms = STORE_NO_DUE};
	return item;
}

static inline struct store_item *piece_put(struct test_piece *p, enum record_kind kind, const char *key,
					   const char *value)
{
	struct store_item *item = piece_item(p, STORE_PUT, kind, key);

	item->value = slice_of(value);
	item->ttl_ms = TTL;
	return item;
}

static inline struct store_item *piece_get(struct test_piece *p, enum record_kind kind, const char *key)
{
	struct store_item *item = piece_item(p, STORE_GET, kind, key);

	item->out = buf_with_ceiling(STORE_VALUE_MAX + 1);
	return item;
}

static inline struct store_item *piece_check(struct test_piece *p, enum record_kind kind, const char *key, uint64_t v)
{
	struct store_item *item = piece_item(p, STORE_CHECK, kind, key);

	item->version = v;
	return item;
}

static inline struct store_item *piece_append(struct test_piece *p, const char *key, uint64_t number, const char *value)
{
	struct store_item *item = piece_item(p, STORE_APPEND, RECORD_OPERATION, key);

	item->number = number;
	item->value = slice_of(value);
	return item;
}

static inline struct store_item *piece_events(struct test_piece *p, const char *key, uint64_t after, size_t most)
{
	struct store_item *item = piece_item(p, STORE_EVENTS, RECORD_OPERATION, key);

	item->number = after;
	item->most = most;
	return item;
}

static inline struct store_item *piece_due(struct test_piece *p, enum record_kind kind, size_t most)
{
	struct store_item *item = piece_item(p, STORE_DUE, kind, "");

	item->key = NULL;
	item->most = most;
	return item;
}

static inline void piece_free(struct test_piece *p)
{
	for (size_t i = 0; i < p->work.n; i++) {
		buf_free(&p->items[i].out);
		store_rows_free(&p->items[i]);
	}
}

/* Until it is done, with as many turns as the back end needs. */
static inline enum store_rc piece_run(struct test_piece *p)
{
	p->done = false;
	store_post(&p->work);
	store_turn();
	assert_true(p->done);
	return p->work.rc;
}

/* ---- the usual ones ---- */

static inline enum store_rc put(enum record_kind kind, const char *key, const char *value)
{
	struct test_piece p;
	enum store_rc rc;

	piece_begin(&p);
	piece_put(&p, kind, key, value);
	rc = piece_run(&p);
	piece_free(&p);
	return rc;
}

static inline enum store_rc del(enum record_kind kind, const char *key)
{
	struct test_piece p;
	enum store_rc rc;

	piece_begin(&p);
	piece_item(&p, STORE_DEL, kind, key);
	rc = piece_run(&p);
	piece_free(&p);
	return rc;
}

static inline enum store_rc append(const char *key, uint64_t number, const char *value)
{
	struct test_piece p;
	enum store_rc rc;

	piece_begin(&p);
	piece_append(&p, key, number, value);
	rc = piece_run(&p);
	piece_free(&p);
	return rc;
}

/* "value@version", or "-" where there is no such record. */
static inline const char *got(enum record_kind kind, const char *key)
{
	static char text[256];
	struct test_piece p;
	struct store_item *item;

	piece_begin(&p);
	item = piece_get(&p, kind, key);
	assert_int_equal(piece_run(&p), STORE_OK);
	snprintf(text, sizeof text, "-");
	if (item->rc == STORE_OK)
		snprintf(text, sizeof text, "%.200s@%d", buf_text(&item->out), (int)item->version);
	else
		assert_int_equal(item->rc, STORE_ABSENT);
	piece_free(&p);
	return text;
}

/* "1:a 2:b", what the log holds after that number; "" where it is empty. */
static inline const char *logged(const char *key, uint64_t after, size_t most)
{
	static char text[4096];
	struct test_piece p;
	size_t n = 0;

	piece_begin(&p);
	piece_events(&p, key, after, most);
	assert_int_equal(piece_run(&p), STORE_OK);
	text[0] = '\0';
	for (const struct store_row *row = p.items[0].rows; row && n < sizeof text; row = row->next) {
		assert_string_equal(row->key, "");
		assert_int_equal(row->value[row->n], '\0');
		n += (size_t)snprintf(text + n, sizeof text - n, "%s%d:%.60s", n ? " " : "", (int)row->version,
				      row->value);
	}
	piece_free(&p);
	return text;
}

/* "b:-20 a:-10", keys and when they were due; "" where nothing is. */
static inline const char *due(enum record_kind kind, size_t most)
{
	static char text[4096];
	struct test_piece p;
	size_t n = 0;

	piece_begin(&p);
	p.work.group = NULL;
	piece_due(&p, kind, most);
	assert_int_equal(piece_run(&p), STORE_OK);
	text[0] = '\0';
	for (const struct store_row *row = p.items[0].rows; row && n < sizeof text; row = row->next)
		n += (size_t)snprintf(text + n, sizeof text - n, "%s%s:%d", n ? " " : "", row->key, (int)row->due_ms);
	piece_free(&p);
	return text;
}

static inline enum store_rc put_due(const char *key, int64_t ttl, int64_t in)
{
	struct test_piece p;
	struct store_item *item;
	enum store_rc rc;

	piece_begin(&p);
	item = piece_put(&p, RECORD_OPERATION, key, key);
	item->ttl_ms = ttl;
	item->due_ms = in;
	rc = piece_run(&p);
	piece_free(&p);
	return rc;
}

/* ---- what the store tells ---- */

static struct {
	int n; /* how often readiness has changed */
	bool ready;
	char why[300];
} health;

static void on_health(bool ready, const char *why)
{
	health.n++;
	health.ready = ready;
	snprintf(health.why, sizeof health.why, "%s", why ? why : "");
}

static void on_heard(const char *channel, struct slice value)
{
	(void)channel, (void)value;
}

static const struct store_ops test_ops = {.health = on_health, .heard = on_heard};

#endif
