/* One piece of work in SQL, inside the transaction of its batch. */
#include "sqlite.h"

#include <string.h>

#include "snowgate/wheel.h"

/* What a write may take besides its value: splits in the table, its indexes and the map of pages. */
#define PAGES_OF_WRITE 24
#define PAGE_CONTENT   4000 /* of 4096 */

/* ---- statements ---- */

/* Bound values are borrowed: a statement lets go of them before its piece is done. */
static bool sql_end(struct store *s, enum sql which, int rc)
{
	sqlite3_reset(s->sql[which]);
	sqlite3_clear_bindings(s->sql[which]);
	return rc == SQLITE_DONE || rc == SQLITE_ROW;
}

bool sql_run(struct store *s, enum sql which)
{
	return sql_end(s, which, sqlite3_step(s->sql[which]));
}

int64_t sql_number(struct store *s, enum sql which)
{
	int rc = sqlite3_step(s->sql[which]);
	int64_t number = rc == SQLITE_ROW ? sqlite3_column_int64(s->sql[which], 0) : -1;

	sql_end(s, which, rc);
	return number;
}

static void bind_number(struct store *s, enum sql which, int at, int64_t number)
{
	sqlite3_bind_int64(s->sql[which], at, number);
}

static void bind_value(struct store *s, enum sql which, int at, struct slice value)
{
	sqlite3_bind_blob64(s->sql[which], at, value.n ? value.data : "", value.n, SQLITE_STATIC);
}

static void bind_key(struct store *s, enum sql which, const struct store_item *item)
{
	bind_number(s, which, 1, item->kind);
	sqlite3_bind_text(s->sql[which], 2, item->key, -1, SQLITE_STATIC);
}

static void bind_due(struct store *s, enum sql which, int at, int64_t due_ms)
{
	int64_t due;

	if (due_ms == STORE_NO_DUE)
		sqlite3_bind_null(s->sql[which], at);
	else
		bind_number(s, which, at, __builtin_add_overflow(s->now, due_ms, &due) ? INT64_MAX : due);
}

static void bind_expires(struct store *s, enum sql which, int at, int64_t ttl_ms)
{
	int64_t expires;

	bind_number(s, which, at, __builtin_add_overflow(s->now, ttl_ms, &expires) ? INT64_MAX : expires);
}

static struct slice column_value(sqlite3_stmt *stmt, int at)
{
	const void *data = sqlite3_column_blob(stmt, at);

	return (struct slice){data, (size_t)sqlite3_column_bytes(stmt, at)};
}

/* ---- room ---- */

bool room_read(struct store *s)
{
	int64_t pages = sql_number(s, SQL_PAGES), unused = sql_number(s, SQL_FREE);

	s->room = s->max_pages - pages + unused;
	return pages >= 0 && unused >= 0;
}

/* The last sixteenth is for what is there already: a full store can still end what it has begun. */
static bool room_take(struct store *s, size_t n, bool more)
{
	int64_t need = (int64_t)(n / PAGE_CONTENT) + PAGES_OF_WRITE, spare = more ? s->max_pages / 16 : 0;

	if (s->room < need + spare && (!room_read(s) || s->room < need + spare))
		return false;
	s->room -= need;
	return true;
}

/* ---- the verbs: false, and the back end has failed ---- */

struct found {
	int64_t id; /* 0: none */
	int64_t version;
	bool expired;
};

/* Whatever number the file has: milliseconds from now, which are those of "none" for none only. */
static int64_t column_due(const struct store *s, sqlite3_stmt *stmt, int at)
{
	int64_t due = sqlite3_column_int64(stmt, at), from_now;

	if (sqlite3_column_type(stmt, at) == SQLITE_NULL)
		return STORE_NO_DUE;
	if (__builtin_sub_overflow(due, s->now, &from_now))
		return due < 0 ? INT64_MIN : INT64_MAX;
	return from_now == STORE_NO_DUE ? STORE_NO_DUE - 1 : from_now; /* passed a millisecond ago */
}

/* With `out`: its value and due come out, too. A version that nothing of ours has written is as if it had expired. */
static bool record_find(struct store *s, struct store_item *item, bool out, struct found *f)
{
	sqlite3_stmt *stmt = s->sql[SQL_FIND];
	int rc;

	bind_key(s, SQL_FIND, item);
	rc = sqlite3_step(stmt);
	*f = (struct found){0};
	if (rc == SQLITE_ROW) {
		f->id = sqlite3_column_int64(stmt, 0);
		f->expired = sqlite3_column_int64(stmt, 2) <= s->now || sqlite3_column_int64(stmt, 1) < 1;
		f->version = f->expired ? 0 : sqlite3_column_int64(stmt, 1);
	}
	if (out && f->version) {
		struct slice value = column_value(stmt, 4);

		item->due_ms = column_due(s, stmt, 3);
		if (value.n)
			buf_add(&item->out, value.data, value.n);
	}
	return sql_end(s, SQL_FIND, rc);
}

static bool do_get(struct store *s, struct store_item *item, enum store_rc *rc)
{
	struct found f;

	buf_clear(&item->out);
	item->due_ms = STORE_NO_DUE;
	if (!record_find(s, item, true, &f))
		return false;
	item->rc = f.version ? STORE_OK : STORE_ABSENT;
	item->version = (uint64_t)f.version;
	*rc = buf_failed(&item->out) ? STORE_FULL : STORE_OK;
	return true;
}

static bool do_check(struct store *s, struct store_item *item, enum store_rc *rc)
{
	struct found f;

	if (!record_find(s, item, false, &f))
		return false;
	*rc = (uint64_t)f.version == item->version ? STORE_OK : STORE_STALE;
	return true;
}

static bool do_del(struct store *s, struct store_item *item, enum store_rc *rc)
{
	(void)rc;
	bind_key(s, SQL_DELETE, item);
	return sql_run(s, SQL_DELETE);
}

static bool put_new(struct store *s, struct store_item *item)
{
	bind_key(s, SQL_INSERT, item);
	bind_expires(s, SQL_INSERT, 3, item->ttl_ms);
	bind_due(s, SQL_INSERT, 4, item->due_ms);
	bind_value(s, SQL_INSERT, 5, item->value);
	return sql_run(s, SQL_INSERT);
}

static bool put_again(struct store *s, enum sql which, struct store_item *item, int64_t id)
{
	bind_number(s, which, 1, id);
	bind_expires(s, which, 2, item->ttl_ms);
	bind_due(s, which, 3, item->due_ms);
	if (which != SQL_RENEW)
		bind_value(s, which, 4, item->value);
	return sql_run(s, which);
}

static bool do_put(struct store *s, struct store_item *item, enum store_rc *rc)
{
	struct found f;

	if (!record_find(s, item, false, &f))
		return false;
	if (!room_take(s, item->value.n, !f.version)) {
		*rc = STORE_FULL;
		return true;
	}
	item->version = (uint64_t)f.version + 1;
	if (f.version)
		return put_again(s, SQL_UPDATE, item, f.id);
	return (!f.expired || do_del(s, item, rc)) && put_new(s, item);
}

static bool do_keep(struct store *s, struct store_item *item, enum store_rc *rc)
{
	struct found f;

	if (!record_find(s, item, false, &f))
		return false;
	if (!f.version)
		*rc = STORE_STALE;
	else if (item->value.data && !room_take(s, item->value.n, false))
		*rc = STORE_FULL;
	return *rc != STORE_OK || put_again(s, item->value.data ? SQL_KEEP : SQL_RENEW, item, f.id);
}

static bool do_append(struct store *s, struct store_item *item, enum store_rc *rc)
{
	struct found f;
	int64_t last;

	if (!record_find(s, item, false, &f))
		return false;
	bind_number(s, SQL_LAST, 1, f.id);
	last = sql_number(s, SQL_LAST);
	if (last < 0)
		return false;
	if (!f.version || item->number != (uint64_t)last + 1)
		*rc = STORE_STALE;
	else if (!room_take(s, item->value.n, true))
		*rc = STORE_FULL;
	if (*rc != STORE_OK)
		return true;
	bind_number(s, SQL_APPEND, 1, f.id);
	bind_number(s, SQL_APPEND, 2, (int64_t)item->number);
	bind_value(s, SQL_APPEND, 3, item->value);
	return sql_run(s, SQL_APPEND);
}

static bool do_events(struct store *s, struct store_item *item, enum store_rc *rc)
{
	sqlite3_stmt *stmt = s->sql[SQL_EVENTS];
	struct store_row **end = &item->rows;
	struct found f;
	int step;

	(void)rc;
	if (!record_find(s, item, false, &f))
		return false;
	if (!f.version || item->number > INT64_MAX)
		return true;
	bind_number(s, SQL_EVENTS, 1, f.id);
	bind_number(s, SQL_EVENTS, 2, (int64_t)item->number);
	bind_number(s, SQL_EVENTS, 3, (int64_t)item->most);
	while ((step = sqlite3_step(stmt)) == SQLITE_ROW)
		row_add(&end, "", column_value(stmt, 1))->version = (uint64_t)sqlite3_column_int64(stmt, 0);
	return sql_end(s, SQL_EVENTS, step);
}

/* The key of a row, NULL where nothing of ours has written it. */
static const char *column_key(sqlite3_stmt *stmt, int at)
{
	const char *key = (const char *)sqlite3_column_text(stmt, at);

	return store_key_fits(key) ? key : NULL;
}

static bool do_due(struct store *s, struct store_item *item, enum store_rc *rc)
{
	sqlite3_stmt *stmt = s->sql[SQL_DUE];
	struct store_row **end = &item->rows;
	int step;

	(void)rc;
	bind_number(s, SQL_DUE, 1, item->kind);
	bind_number(s, SQL_DUE, 2, s->now);
	bind_number(s, SQL_DUE, 3, (int64_t)item->most);
	while ((step = sqlite3_step(stmt)) == SQLITE_ROW) {
		const char *key = column_key(stmt, 0);
		struct store_row *row = key ? row_add(&end, key, column_value(stmt, 3)) : NULL;

		if (row) {
			row->version = (uint64_t)sqlite3_column_int64(stmt, 1);
			row->due_ms = column_due(s, stmt, 2);
		}
	}
	return sql_end(s, SQL_DUE, step);
}

/* Nobody else is on this store. */
static bool do_tell(struct store *s, struct store_item *item, enum store_rc *rc)
{
	(void)s, (void)item, (void)rc;
	return true;
}

/* ---- a piece ---- */

static bool item_run(struct store *s, struct store_item *item, enum store_rc *rc)
{
	static bool (*const verbs[])(struct store *, struct store_item *, enum store_rc *) = {
	    [STORE_GET] = do_get,       [STORE_CHECK] = do_check, [STORE_PUT] = do_put,
	    [STORE_KEEP] = do_keep,     [STORE_DEL] = do_del,     [STORE_APPEND] = do_append,
	    [STORE_EVENTS] = do_events, [STORE_DUE] = do_due,     [STORE_TELL] = do_tell};

	return verbs[item->verb](s, item, rc);
}

/* A write that fits happens whole by itself. Only where something may follow that does not fit is there something to go
 * back to. */
static bool may_refuse(const struct store_item *item)
{
	return item_writes(item) || item->verb == STORE_CHECK || item->verb == STORE_GET;
}

static bool wants_savepoint(const struct store_work *w)
{
	size_t writes = 0;

	for (size_t i = 0; i < w->n; i++)
		writes += item_writes(&w->items[i]) || (writes && may_refuse(&w->items[i]));
	return writes > 1;
}

bool piece_run(struct store *s, struct store_work *w)
{
	bool savepoint = wants_savepoint(w);

	w->rc = STORE_OK;
	if (savepoint && !sql_run(s, SQL_SAVEPOINT))
		return false;
	for (size_t i = 0; i < w->n && w->rc == STORE_OK; i++)
		if (!item_run(s, &w->items[i], &w->rc))
			return false;
	if (w->rc != STORE_OK)
		piece_forget(w);
	if (savepoint && w->rc != STORE_OK && !sql_run(s, SQL_UNDO))
		return false;
	return !savepoint || sql_run(s, SQL_RELEASE);
}
