/* The index of the catalogue: what is asked for and when, what is kept within which bounds, search and near names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "../../../src/tools/index.h"
#include "snowgate/buf.h"

#define NOW     (1000 * USEC_PER_S)
#define TTL     (600 * USEC_PER_S)
#define DEFAULT ((struct index_limits){64 << 20, 250000, TTL})

static const char *const two[] = {"SALES", "HR"};
static const struct texts both = {2, two}, sales = {1, two}, all = {0};

static struct slice text(const char *t)
{
	return slice_of(t);
}

static struct index *index_of(struct index_table *t, const char *key, struct texts databases)
{
	return index_get(t, text(key), text("account"), databases, &(struct index_limits){64 << 20, 250000, TTL});
}

/* Texts of a want belong to the index: copies, as whoever sends statements has them. */
static const char *kept(const char *t)
{
	static char pool[1 << 16];
	static size_t used;
	char *at = pool + used;

	if (!t)
		return NULL;
	assert_true(used + strlen(t) < sizeof pool);
	used += strlen(t) + 1;
	return memcpy(at, t, strlen(t) + 1);
}

static void want_keep(struct want *w)
{
	w->database = kept(w->database);
	w->schema = kept(w->schema);
	w->from = kept(w->from);
}

static size_t wants(struct index_table *t, struct index *x, const char *first, bool only, usec_t now,
		    const struct index_limits *l, struct want *out, size_t max)
{
	size_t n = index_wants(t, x, first, only, now, l, out, max);

	for (size_t i = 0; i < n; i++)
		want_keep(&out[i]);
	return n;
}

static bool wants_set(struct index_table *t, struct index *x, enum index_set set, const char *database,
		      const char *schema, usec_t now, const struct index_limits *l, struct want *out)
{
	if (!index_wants_set(t, x, set, database, schema, now, l, out))
		return false;
	want_keep(out);
	return true;
}

/* "set database schema from", "-" where there is none. */
static const char *want_told(const struct want *w)
{
	static char told[400];
	static const char *const sets[] = {"databases", "warehouses", "schemas", "objects", "columns"};

	snprintf(told, sizeof told, "%s %s %s %s", sets[w->set], w->database ? w->database : "-",
		 w->schema ? w->schema : "-", w->from ? w->from : "-");
	return told;
}

static void want_is(const struct want *w, const char *told)
{
	assert_string_equal(want_told(w), told);
}

static struct shelf *names_of(enum item_kind kind, const char *schema, const char *object, const char *names)
{
	struct shelf *s = shelf_new();
	char *copy = xstrdup(names), *rest = copy, *name;

	while ((name = strsep(&rest, " ")))
		if (*name)
			shelf_add(s, &(struct item){kind, schema, object, name, "VARCHAR", NULL});
	shelf_trim(s);
	free(copy);
	return s;
}

static void took(struct index_table *t, struct index *x, const struct want *w, struct shelf *s, const char *last,
		 usec_t now)
{
	struct index_limits l = DEFAULT;

	index_took(t, x, w, s, last, now, &l);
}

/* Everything of one database at once. */
static void database_read(struct index_table *t, struct index *x, const char *database, struct shelf *objects,
			  struct shelf *columns, usec_t now)
{
	struct index_limits l = DEFAULT;
	struct want w[3];

	assert_int_equal(wants(t, x, database, true, now, &l, w, 3), 3);
	took(t, x, &w[0], names_of(ITEM_SCHEMA, NULL, NULL, "CORE PUBLIC"), NULL, now);
	took(t, x, &w[1], objects, NULL, now);
	took(t, x, &w[2], columns, NULL, now);
}

/* ---- shelves ---- */

static void test_a_shelf_keeps_items(void **state)
{
	struct shelf *s = shelf_new();
	struct item item;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		char name[20], schema[20], type[20];

		snprintf(name, sizeof name, "C%d", i);
		snprintf(schema, sizeof schema, "S%d", i / 100);
		snprintf(type, sizeof type, "NUMBER(%d,0)", i % 20);
		shelf_add(s, &(struct item){ITEM_COLUMN, schema, "T", name, type, i % 2 ? "a comment" : NULL});
	}
	shelf_add(s, &(struct item){.kind = ITEM_COLUMN, .name = ""});
	shelf_add(s, &(struct item){.kind = ITEM_COLUMN});
	shelf_trim(s);
	assert_int_equal(shelf_items(s), 1000);
	assert_in_range(shelf_bytes(s), 1000 * 20, 1000 * 100);
	item = shelf_at(s, 733);
	assert_int_equal(item.kind, ITEM_COLUMN);
	assert_string_equal(item.schema, "S7");
	assert_string_equal(item.object, "T");
	assert_string_equal(item.name, "C733");
	assert_string_equal(item.type, "NUMBER(13,0)");
	assert_string_equal(item.comment, "a comment");
	assert_string_equal(shelf_at(s, 732).comment, "");
	shelf_free(s);
	shelf_free(NULL);
}

static void test_long_comments_are_cut_between_characters(void **state)
{
	struct shelf *s = shelf_new();
	char comment[400] = "x";

	(void)state;
	for (size_t i = 1; i < 399; i += 2)
		memcpy(comment + i, "\xc3\xa9", 3);
	shelf_add(s, &(struct item){.kind = ITEM_TABLE, .name = "T", .comment = comment});
	assert_int_equal(strlen(shelf_at(s, 0).comment), ITEM_COMMENT_MAX - 1);
	assert_true(utf8_valid(slice_of(shelf_at(s, 0).comment)));
	shelf_free(s);
}

/* ---- what is wanted ---- */

static void test_wants_begin_with_the_current_database(void **state)
{
	struct index_table *t = index_table_new();
	struct index *x = index_of(t, "a", both);
	struct index_limits l = DEFAULT;
	struct want w[8];

	(void)state;
	assert_int_equal(wants(t, x, "HR", false, NOW, &l, w, 4), 4);
	want_is(&w[0], "schemas HR - -");
	want_is(&w[1], "objects HR - -");
	want_is(&w[2], "columns HR - -");
	want_is(&w[3], "schemas SALES - -");
	/* what is under way is not asked for again */
	assert_int_equal(wants(t, x, "HR", false, NOW, &l, w, 8), 2);
	want_is(&w[0], "objects SALES - -");
	assert_int_equal(wants(t, x, "HR", false, NOW, &l, w, 8), 0);
	/* unless nobody came back with it */
	assert_int_equal(wants(t, x, "HR", false, NOW + INDEX_LEASE, &l, w, 8), 6);
	index_table_free(t);
}

static void test_without_a_border_the_databases_are_listed(void **state)
{
	struct index_table *t = index_table_new();
	struct index *x = index_of(t, "a", all);
	struct index_limits l = DEFAULT;
	struct index_state s;
	struct want w[8];

	(void)state;
	assert_int_equal(wants(t, x, "SALES", false, NOW, &l, w, 8), 4);
	want_is(&w[0], "databases - - -");
	want_is(&w[1], "schemas SALES - -");
	index_tell(x, NULL, NOW, &s);
	assert_true(s.databases_unread);
	took(t, x, &w[0], names_of(ITEM_DATABASE, NULL, NULL, "HR OPS"), NULL, NOW);
	index_tell(x, NULL, NOW, &s);
	assert_false(s.databases_unread);
	assert_int_equal(s.databases, 2);
	/* SALES is not there: its answers have nowhere to go */
	took(t, x, &w[2], names_of(ITEM_TABLE, "PUBLIC", NULL, "T"), NULL, NOW);
	index_tell(x, NULL, NOW, &s);
	assert_int_equal(s.objects, 0);
	assert_int_equal(wants(t, x, NULL, false, NOW, &l, w, 8), 6);
	want_is(&w[0], "schemas HR - -");
	want_is(&w[3], "schemas OPS - -");
	index_table_free(t);
}

/* A policy's databases are the border: nothing else is ever asked for. */
static void test_the_border(void **state)
{
	struct index_table *t = index_table_new();
	struct index *x = index_of(t, "a", sales);
	struct index_limits l = DEFAULT;
	struct want w[8];

	(void)state;
	assert_int_equal(wants(t, x, "HR", true, NOW, &l, w, 8), 0);
	assert_false(wants_set(t, x, SET_SCHEMAS, "HR", NULL, NOW, &l, w));
	assert_false(wants_set(t, x, SET_OBJECTS, "HR", "CORE", NOW, &l, w));
	assert_int_equal(wants(t, x, "HR", false, NOW, &l, w, 8), 3);
	want_is(&w[0], "schemas SALES - -");
	index_table_free(t);
}

static size_t items_in(const struct index *x)
{
	struct index_state s;

	index_tell(x, NULL, NOW, &s);
	return s.objects + s.columns;
}

static void test_what_is_old_is_read_again(void **state)
{
	struct index_table *t = index_table_new();
	struct index *x = index_of(t, "a", sales);
	struct index_limits l = DEFAULT;
	struct index_state s;
	struct want w[8];

	(void)state;
	database_read(t, x, "SALES", names_of(ITEM_TABLE, "CORE", NULL, "A B"), names_of(ITEM_COLUMN, "CORE", "A", "X"),
		      NOW);
	assert_int_equal(wants(t, x, NULL, false, NOW + TTL - 1, &l, w, 8), 0);
	index_tell(x, NULL, NOW, &s);
	assert_int_equal(s.oldest, NOW);
	assert_int_equal(s.unread, 0);
	assert_int_equal(wants(t, x, NULL, false, NOW + TTL, &l, w, 8), 3);
	assert_int_equal(items_in(x), 3); /* the old one serves until then, others do not ask */
	assert_int_equal(wants(t, x, NULL, false, NOW + TTL, &l, w + 3, 5), 0);
	took(t, x, &w[1], names_of(ITEM_TABLE, "CORE", NULL, "B C D"), NULL, NOW + TTL + 5);
	assert_int_equal(items_in(x), 4);
	/* an answer of an earlier reading comes too late */
	w[1].pass--;
	took(t, x, &w[1], names_of(ITEM_TABLE, "CORE", NULL, "Z"), NULL, NOW + TTL + 6);
	assert_int_equal(items_in(x), 4);
	index_table_free(t);
}

static void test_changes_make_it_stale(void **state)
{
	struct index_table *t = index_table_new();
	struct index *x = index_of(t, "a", both), *y = index_of(t, "b", sales);
	struct index_limits l = DEFAULT;
	struct want w[8];

	(void)state;
	for (size_t i = 0; i < 2; i++)
		database_read(t, x, two[i], names_of(ITEM_TABLE, "CORE", NULL, "A"), shelf_new(), NOW);
	database_read(t, y, "SALES", names_of(ITEM_TABLE, "CORE", NULL, "A"), shelf_new(), NOW);
	index_stale(t, text("another account"), "SALES");
	assert_int_equal(wants(t, x, NULL, false, NOW + 1, &l, w, 8), 0);
	index_stale(t, text("account"), "SALES");
	assert_int_equal(wants(t, x, NULL, false, NOW + 1, &l, w, 8), 3);
	want_is(&w[0], "schemas SALES - -");
	assert_int_equal(wants(t, y, NULL, false, NOW + 1, &l, w, 8), 3);
	/* and again where it was changed while it was being read */
	index_stale(t, text("account"), NULL);
	for (size_t i = 0; i < 3; i++)
		took(t, y, &w[i], shelf_new(), NULL, NOW + 2);
	assert_int_equal(wants(t, y, NULL, false, NOW + 3, &l, w, 8), 3);
	index_table_free(t);
}

static void test_a_refusal_is_remembered_a_failure_is_not(void **state)
{
	struct index_table *t = index_table_new();
	struct index *x = index_of(t, "a", sales);
	struct index_limits l = DEFAULT;
	struct index_state s;
	struct want w[8];

	(void)state;
	assert_int_equal(wants(t, x, NULL, false, NOW, &l, w, 8), 3);
	index_left(x, &w[0], NULL, NOW);
	index_left(x, &w[1], "002043", NOW);
	index_left(x, &w[2], "002043", NOW);
	index_tell(x, NULL, NOW, &s);
	assert_int_equal(s.refused, 1);
	assert_string_equal(s.refusal, "002043");
	assert_string_equal(s.a_refused, "SALES");
	assert_int_equal(wants(t, x, NULL, false, NOW, &l, w, 8), 1);
	want_is(&w[0], "schemas SALES - -");
	index_left(x, &w[0], NULL, NOW);
	assert_int_equal(wants(t, x, NULL, false, NOW + TTL, &l, w, 8), 3);
	index_table_free(t);
}

/* ---- larger than one SHOW ---- */

struct counted {
	size_t n;
	const char *schema;
};

static bool count(const struct place *p, void *ctx)
{
	struct counted *k = ctx;

	k->n += !k->schema || strcmp(p->item.schema, k->schema) == 0;
	return true;
}

static size_t objects_shown(const struct index *x, const char *schema)
{
	struct counted k = {0, schema};

	index_each(x, SET_OBJECTS, "SALES", count, &k);
	return k.n;
}

static struct shelf *objects_named(const char *schema, int from, int to)
{
	struct shelf *s = shelf_new();

	for (int i = from; i < to; i++) {
		char name[16];

		snprintf(name, sizeof name, "T%05d", i);
		shelf_add(s, &(struct item){ITEM_TABLE, schema, NULL, name, "TABLE", NULL});
	}
	return s;
}

/* What one SHOW does not hold is read schema by schema, a schema page by page; at no time is anything there twice. */
static void test_large_databases_are_read_by_schema(void **state)
{
	struct index_table *t = index_table_new();
	struct index *x = index_of(t, "a", sales);
	struct index_limits l = DEFAULT;
	struct index_state s;
	struct want w[8];
	struct shelf *first = objects_named("A", 0, 100);

	(void)state;
	shelf_add(first, &(struct item){ITEM_TABLE, "B", NULL, "T00000", "TABLE", NULL});
	assert_int_equal(wants(t, x, NULL, false, NOW, &l, w, 2), 2);
	took(t, x, &w[0], names_of(ITEM_SCHEMA, NULL, NULL, "B A C"), NULL, NOW);
	took(t, x, &w[1], first, "T00000", NOW);
	assert_int_equal(objects_shown(x, NULL), 101); /* better than nothing */
	assert_int_equal(wants(t, x, NULL, false, NOW, &l, w, 2), 2);
	want_is(&w[0], "objects SALES A -");
	want_is(&w[1], "objects SALES B -");
	took(t, x, &w[0], objects_named("A", 0, 100), "T00099", NOW); /* there are more in A */
	took(t, x, &w[1], objects_named("B", 0, 50), NULL, NOW);      /* which is read again, behind A */
	assert_int_equal(objects_shown(x, "A"), 100);
	assert_int_equal(objects_shown(x, "B"), 1);
	assert_int_equal(wants(t, x, NULL, false, NOW, &l, w, 1), 1);
	want_is(&w[0], "objects SALES A T00099");
	took(t, x, &w[0], objects_named("A", 100, 130), NULL, NOW);
	assert_int_equal(objects_shown(x, "A"), 130);
	index_tell(x, NULL, NOW, &s);
	assert_int_equal(s.unread, 1);
	assert_string_equal(s.an_unread, "SALES");
	assert_int_equal(wants(t, x, NULL, false, NOW, &l, w, 2), 2);
	want_is(&w[0], "objects SALES B -");
	want_is(&w[1], "objects SALES C -");
	took(t, x, &w[0], objects_named("B", 0, 50), NULL, NOW);
	assert_false(index_has(x, SET_OBJECTS, "SALES", NULL));
	took(t, x, &w[1], objects_named("C", 0, 1), NULL, NOW);
	assert_true(index_has(x, SET_OBJECTS, "SALES", NULL));
	assert_int_equal(objects_shown(x, NULL), 181);
	/* it is known by now: the next reading begins with schemas, and drops one that is gone */
	assert_int_equal(wants(t, x, NULL, false, NOW + TTL, &l, w, 8), 5);
	want_is(&w[1], "objects SALES A -");
	took(t, x, &w[0], names_of(ITEM_SCHEMA, NULL, NULL, "A B"), NULL, NOW + TTL);
	took(t, x, &w[1], objects_named("A", 0, 10), NULL, NOW + TTL);
	assert_int_equal(objects_shown(x, NULL), 61);
	took(t, x, &w[2], objects_named("B", 0, 10), NULL, NOW + TTL);
	assert_int_equal(objects_shown(x, NULL), 20);
	index_table_free(t);
}

/* Columns of one schema cannot be paged: what is missing is said. */
static void test_a_schema_of_too_many_columns(void **state)
{
	struct index_table *t = index_table_new();
	struct index *x = index_of(t, "a", sales);
	struct index_limits l = DEFAULT;
	struct index_state s;
	struct want w[8];

	(void)state;
	assert_int_equal(wants(t, x, NULL, false, NOW, &l, w, 8), 3);
	took(t, x, &w[0], names_of(ITEM_SCHEMA, NULL, NULL, "A"), NULL, NOW);
	took(t, x, &w[1], objects_named("A", 0, 1), NULL, NOW);
	took(t, x, &w[2], names_of(ITEM_COLUMN, "A", "T", "X Y"), "Y", NOW);
	assert_int_equal(wants(t, x, NULL, false, NOW, &l, w, 8), 1);
	want_is(&w[0], "columns SALES A -");
	took(t, x, &w[0], names_of(ITEM_COLUMN, "A", "T", "X Y"), "Y", NOW);
	index_tell(x, NULL, NOW, &s);
	assert_int_equal(s.cut, 1);
	assert_string_equal(s.a_cut, "SALES");
	assert_int_equal(s.unread, 0);
	assert_int_equal(s.columns, 2);
	index_table_free(t);
}

/* ---- bounds ---- */

static void test_entries_of_one_index_are_bounded(void **state)
{
	struct index_table *t = index_table_new();
	struct index *x = index_of(t, "a", sales);
	struct index_limits l = {64 << 20, 1000, TTL};
	struct index_state s;
	struct want w[8];

	(void)state;
	assert_int_equal(wants(t, x, NULL, false, NOW, &l, w, 8), 3);
	index_took(t, x, &w[0], names_of(ITEM_SCHEMA, NULL, NULL, "A"), NULL, NOW, &l);
	index_took(t, x, &w[1], objects_named("A", 0, 900), NULL, NOW, &l);
	index_took(t, x, &w[2], objects_named("A", 0, 100), NULL, NOW, &l);
	index_tell(x, NULL, NOW, &s);
	assert_int_equal(s.objects, 900);
	assert_int_equal(s.columns, 0);
	assert_int_equal(s.cut, 1);
	assert_int_equal(wants(t, x, NULL, false, NOW, &l, w, 8), 0); /* not for ever again */
	index_table_free(t);
}

static void test_bytes_of_all_are_bounded(void **state)
{
	struct index_table *t = index_table_new();
	struct index_limits l = {400 << 10, 250000, TTL};
	struct want w[3];
	char key[16];

	(void)state;
	for (int i = 0; i < 40; i++) {
		struct index *x;

		snprintf(key, sizeof key, "%d", i);
		x = index_get(t, text(key), text("account"), sales, &l);
		assert_int_equal(wants(t, x, NULL, false, NOW, &l, w, 3), 3);
		index_took(t, x, &w[1], objects_named("A", 0, 1000), NULL, NOW, &l);
		assert_in_range(index_table_bytes(t), 1, 400 << 10);
		assert_non_null(index_find(t, text("0"))); /* used, so it stays */
	}
	assert_null(index_find(t, text("1")));
	assert_non_null(index_find(t, text("39")));
	assert_in_range(index_table_count(t), 3, 10);
	/* one that is too large alone throws nobody out */
	struct index *x = index_find(t, text("39"));
	size_t n = index_table_count(t);

	index_took(t, x, &w[2], objects_named("A", 0, 20000), NULL, NOW, &l);
	assert_int_equal(index_table_count(t), n);
	index_table_free(t);
}

static void test_indexes_are_bounded(void **state)
{
	struct index_table *t = index_table_new();
	char key[16];

	(void)state;
	for (int i = 0; i < INDEX_MAX + 10; i++) {
		snprintf(key, sizeof key, "%d", i);
		index_of(t, key, all);
	}
	assert_int_equal(index_table_count(t), INDEX_MAX);
	assert_null(index_find(t, text("0")));
	index_table_free(t);
	index_table_free(NULL);
}

static void test_databases_are_bounded(void **state)
{
	struct index_table *t = index_table_new();
	struct index *x = index_of(t, "a", all);
	struct index_limits l = DEFAULT;
	struct index_state s;
	struct want w[1];
	size_t before = index_table_bytes(t);

	(void)state;
	assert_int_equal(wants(t, x, NULL, false, NOW, &l, w, 1), 1);
	took(t, x, &w[0], objects_named(NULL, 0, INDEX_DATABASES_MAX + 100), NULL, NOW);
	index_tell(x, NULL, NOW, &s);
	assert_int_equal(s.databases, INDEX_DATABASES_MAX);
	assert_int_equal(wants(t, x, NULL, false, NOW + TTL, &l, w, 1), 1);
	took(t, x, &w[0], shelf_new(), NULL, NOW);
	index_tell(x, NULL, NOW, &s);
	assert_int_equal(s.databases, 0);
	assert_in_range(index_table_bytes(t), before, before + 1000);
	index_table_free(t);
}

/* ---- databases that only a question has named ---- */

static size_t databases_told(const struct index *x)
{
	struct index_state s;

	index_tell(x, NULL, NOW, &s);
	return s.databases + s.unread + s.refused + s.cut;
}

static void test_what_was_asked_for_is_nobody_else_s(void **state)
{
	struct index_table *t = index_table_new();
	struct index *x = index_of(t, "a", all);
	struct index_limits l = DEFAULT;
	struct nearest n = {.set = SET_DATABASES, .name = "PROJECT_Y"};
	struct index_state s;
	struct want w[8];

	(void)state;
	assert_int_equal(wants(t, x, "PROJECT_X", true, NOW, &l, w, 8), 3);
	assert_int_equal(databases_told(x), 0);
	index_left(x, &w[0], "002043", NOW);
	index_left(x, &w[1], NULL, NOW);
	index_left(x, &w[2], NULL, NOW);
	assert_int_equal(databases_told(x), 0);
	index_nearest(x, &n);
	assert_int_equal(n.found_n, 0);
	/* others read nothing of it, now or later */
	assert_int_equal(wants(t, x, NULL, false, NOW + TTL, &l, w, 8), 1);
	want_is(&w[0], "databases - - -");
	index_left(x, &w[0], NULL, NOW + TTL);
	/* who names it again hears what came of it */
	index_tell(x, "PROJECT_X", NOW, &s);
	assert_int_equal(s.refused, 1);
	assert_string_equal(s.refusal, "002043");
	/* once a SHOW has succeeded it is there */
	assert_int_equal(wants(t, x, "PROJECT_X", true, NOW + TTL, &l, w, 8), 3);
	took(t, x, &w[0], names_of(ITEM_SCHEMA, NULL, NULL, "A"), NULL, NOW + TTL);
	assert_int_equal(databases_told(x), 2);
	index_nearest(x, &n);
	assert_int_equal(n.found_n, 1);
	index_table_free(t);
}

static void test_questions_fill_no_index(void **state)
{
	struct index_table *t = index_table_new();
	struct index *x = index_of(t, "a", all);
	struct index_limits l = DEFAULT;
	struct index_state s;
	struct want w[8], one;
	char name[16];
	size_t bytes = 0;

	(void)state;
	for (int i = 0; i < 3 * INDEX_DATABASES_MAX; i++) {
		snprintf(name, sizeof name, "P%05d", i);
		assert_int_equal(wants(t, x, name, true, NOW, &l, w, 3), 3);
		index_left(x, &w[0], "002043", NOW);
		if (i == INDEX_ASKED_MAX)
			bytes = index_table_bytes(t);
		/* one that is asked for again and again stays */
		(void)wants_set(t, x, SET_SCHEMAS, "KEPT", NULL, NOW, &l, &one);
		index_tell(x, "KEPT", NOW, &s);
		assert_int_equal(s.databases, 1);
	}
	assert_in_range(index_table_bytes(t), 1, bytes + 1000);
	index_tell(x, "P00000", NOW, &s);
	assert_int_equal(s.databases, 0);
	/* and there is room for all that are listed */
	assert_int_equal(wants(t, x, NULL, false, NOW, &l, w, 1), 1);
	took(t, x, &w[0], objects_named(NULL, 0, INDEX_DATABASES_MAX), NULL, NOW);
	index_tell(x, NULL, NOW, &s);
	assert_int_equal(s.databases, INDEX_DATABASES_MAX);
	assert_int_equal(s.cut, 0);
	index_table_free(t);
}

static void test_listed_databases_are_there(void **state)
{
	struct index_table *t = index_table_new();
	struct index *x = index_of(t, "a", all);
	struct index_limits l = DEFAULT;
	struct index_state s;
	struct want w[8];

	(void)state;
	assert_int_equal(wants(t, x, "SALES", false, NOW, &l, w, 8), 4);
	took(t, x, &w[0], names_of(ITEM_DATABASE, NULL, NULL, "SALES HR"), NULL, NOW);
	index_tell(x, NULL, NOW, &s);
	assert_int_equal(s.databases, 2);
	took(t, x, &w[2], names_of(ITEM_TABLE, "PUBLIC", NULL, "T"), NULL, NOW);
	index_tell(x, NULL, NOW, &s);
	assert_int_equal(s.objects, 1);
	index_table_free(t);
}

static void test_keys_are_apart(void **state)
{
	struct index_table *t = index_table_new();
	struct index *x = index_of(t, "analyst", sales), *y = index_of(t, "auditor", sales);
	struct search s = {.words = "secret", .kinds = ITEM_OBJECTS, .best = 10};
	struct found found[10];

	(void)state;
	assert_ptr_not_equal(x, y);
	assert_int_not_equal(index_serial(x), index_serial(y));
	assert_ptr_equal(index_of(t, "analyst", sales), x);
	database_read(t, y, "SALES", names_of(ITEM_TABLE, "CORE", NULL, "SECRET"), shelf_new(), NOW);
	s.found = found;
	index_search(x, &s);
	assert_int_equal(s.total, 0);
	index_search(y, &s);
	assert_int_equal(s.total, 1);
	index_table_free(t);
}

/* ---- search ---- */

static struct shelf *table_of(const char *const (*rows)[4], size_t n, enum item_kind kind)
{
	struct shelf *s = shelf_new();

	for (size_t i = 0; i < n; i++)
		shelf_add(s, &(struct item){kind, rows[i][0], rows[i][1], rows[i][2], "T", rows[i][3]});
	return s;
}

static struct index *library(struct index_table *t)
{
	static const char *const objects[][4] = {{"CORE", NULL, "CUSTOMERS", "people who buy"},
						 {"CORE", NULL, "CUSTOMER_ORDERS", NULL},
						 {"CORE", NULL, "ORDERS", "one row per order of a customer"},
						 {"CORE", NULL, "ORDER_LINES", NULL},
						 {"CORE", NULL, "REORDER", NULL},
						 {"PUBLIC", NULL, "ORDERS", NULL},
						 {"PUBLIC", NULL, "my Orders", NULL},
						 {"PUBLIC", NULL, "orderDate", NULL}};
	static const char *const columns[][4] = {{"CORE", "CUSTOMERS", "ID", NULL},
						 {"CORE", "CUSTOMERS", "EMAIL", "where to write to"},
						 {"CORE", "CUSTOMERS", "CUSTOMER_SINCE", "date of the first order"},
						 {"CORE", "ORDERS", "CUSTOMER_ID", NULL},
						 {"CORE", "ORDERS", "EMAIL", NULL},
						 {"CORE", "ORDERS", "TOTAL_AMOUNT", "gross amount in EUR"}};
	struct index *x = index_of(t, "a", sales);

	database_read(t, x, "SALES", table_of(objects, ARRAY_LEN(objects), ITEM_TABLE),
		      table_of(columns, ARRAY_LEN(columns), ITEM_COLUMN), NOW);
	return x;
}

/* "SCHEMA[.OBJECT].NAME" of the best, one after another. */
static const char *found_told(const struct search *s, size_t most)
{
	static char told[2000];
	struct buf b = buf_with_ceiling(sizeof told - 1);

	for (size_t i = 0; i < s->found_n && i < most; i++) {
		struct item item = shelf_at(s->found[i].shelf, s->found[i].item);

		buf_addf(&b, "%s%s%s%s.%s", i ? " | " : "", item.schema, *item.object ? "." : "", item.object,
			 item.name);
	}
	snprintf(told, sizeof told, "%s", buf_text(&b));
	buf_free(&b);
	return told;
}

static void test_ranking(void **state)
{
	static const struct {
		const char *words;
		unsigned kinds;
		const char *best; /* these come first, in this order */
		size_t total;
		bool some;
	} cases[] = {
	    /* whole name, then prefix, then part, then within, then comment; shorter before longer */
	    {"orders", ITEM_OBJECTS, "CORE.ORDERS | PUBLIC.ORDERS | PUBLIC.my Orders | CORE.CUSTOMER_ORDERS", 4, false},
	    {"order", ITEM_OBJECTS,
	     "CORE.ORDERS | PUBLIC.ORDERS | PUBLIC.orderDate | CORE.ORDER_LINES | PUBLIC.my Orders | "
	     "CORE.CUSTOMER_ORDERS | CORE.REORDER",
	     7, false},
	    {"ORDER_LINES", ITEM_OBJECTS, "CORE.ORDER_LINES", 1, false},
	    /* comments */
	    {"buy", ITEM_OBJECTS, "CORE.CUSTOMERS", 1, false},
	    {"gross", ITEM_BIT(ITEM_COLUMN), "CORE.ORDERS.TOTAL_AMOUNT", 1, false},
	    {"eur amount", ITEM_BIT(ITEM_COLUMN), "CORE.ORDERS.TOTAL_AMOUNT", 1, false},
	    /* several words: the name of the table counts for its columns */
	    {"customer email", ITEM_OBJECTS | ITEM_BIT(ITEM_COLUMN), "CORE.CUSTOMERS.EMAIL", 1, false},
	    {"email orders", ITEM_BIT(ITEM_COLUMN), "CORE.ORDERS.EMAIL", 1, false},
	    {"orders.email", ITEM_BIT(ITEM_COLUMN), "CORE.ORDERS.EMAIL", 1, false},
	    {"public orders", ITEM_OBJECTS, "PUBLIC.ORDERS | PUBLIC.my Orders", 2, false},
	    /* none has all: some of the words */
	    {"customers turnover", ITEM_OBJECTS, "CORE.CUSTOMERS", 1, true},
	    {"custmers turnover", ITEM_OBJECTS, "CORE.CUSTOMERS", 2, true},
	    {"customers lines", ITEM_OBJECTS, "CORE.CUSTOMERS | CORE.ORDER_LINES", 3, true},
	    /* typing errors and letters left out */
	    {"custmers", ITEM_OBJECTS, "CORE.CUSTOMERS", 2, false},
	    {"cusotmers", ITEM_OBJECTS, "CORE.CUSTOMERS", 2, false},
	    {"ordrs", ITEM_OBJECTS, "CORE.ORDERS", 5, false},
	    {"custord", ITEM_OBJECTS, "CORE.CUSTOMER_ORDERS", 1, false},
	    {"emial", ITEM_BIT(ITEM_COLUMN), "CORE.CUSTOMERS.EMAIL", 2, false},
	    /* nothing */
	    {"xyzzy", ITEM_OBJECTS | ITEM_BIT(ITEM_COLUMN), "", 0, true},
	    {" .,; ", ITEM_OBJECTS, "", 0, true},
	    {"orders", ITEM_BIT(ITEM_VIEW), "", 0, true},
	};
	struct index_table *t = index_table_new();
	struct index *x = library(t);
	struct found found[20];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct search s = {.words = cases[i].words, .kinds = cases[i].kinds, .best = 20, .found = found};

		index_search(x, &s);
		if (strncmp(found_told(&s, 20), cases[i].best, strlen(cases[i].best)) != 0 || s.total != cases[i].total)
			fail_msg("%s: %zu: %s", cases[i].words, s.total, found_told(&s, 20));
		assert_int_equal(s.some, cases[i].some);
		assert_int_equal(s.found_n, s.total);
		assert_false(s.stopped);
	}
	index_table_free(t);
}

/* Whatever the number wanted, the best are the same. */
static void test_pages_fit_together(void **state)
{
	struct index_table *t = index_table_new();
	struct index *x = library(t);
	struct found found[20];
	char whole[2000];

	(void)state;
	struct search s = {.words = "order", .kinds = ITEM_OBJECTS | ITEM_BIT(ITEM_COLUMN), .best = 20, .found = found};

	index_search(x, &s);
	assert_int_equal(s.found_n, s.total);
	for (size_t n = 0; n <= s.total; n++) {
		struct found fewer[20];
		struct search part = {.words = s.words, .kinds = s.kinds, .best = n, .found = fewer};

		snprintf(whole, sizeof whole, "%s", found_told(&s, n));
		index_search(x, &part);
		assert_int_equal(part.total, s.total);
		assert_string_equal(found_told(&part, n), whole);
	}
	index_table_free(t);
}

static void test_search_in_one_database(void **state)
{
	struct index_table *t = index_table_new();
	struct index *x = index_of(t, "a", both);
	struct found found[20];
	struct search s = {.words = "t", .kinds = ITEM_OBJECTS, .database = "HR", .best = 20, .found = found};

	(void)state;
	database_read(t, x, "SALES", names_of(ITEM_TABLE, "CORE", NULL, "T"), shelf_new(), NOW);
	database_read(t, x, "HR", names_of(ITEM_VIEW, "CORE", NULL, "T"), shelf_new(), NOW);
	index_search(x, &s);
	assert_int_equal(s.total, 1);
	assert_string_equal(found[0].database, "HR");
	s.database = NULL;
	index_search(x, &s);
	assert_int_equal(s.total, 2);
	s.database = "OPS";
	index_search(x, &s);
	assert_int_equal(s.total, 0);
	index_table_free(t);
}

static double milliseconds_of(const struct index *x, struct search *s)
{
	struct timespec from, to;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	index_search(x, s);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	return (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6;
}

/* A large account: bounded work, and the time it takes printed for who wonders. */
static void test_a_hundred_thousand_columns(void **state)
{
	static const char *const parts[] = {"CUSTOMER", "ORDER",  "AMOUNT", "DATE", "STATUS", "REGION", "PRODUCT",
					    "PRICE",    "VENDOR", "LINE",   "CODE", "NAME",   "TYPE",   "SOURCE"};
	static const char *const words[] = {"customer", "customer amount date", "custmer", "xyzzy",
					    "shipping reference region code price vendor source line"};
	struct index_table *t = index_table_new();
	struct index *x = index_of(t, "a", sales);
	struct index_limits l = DEFAULT;
	struct shelf *columns = shelf_new();
	struct found found[100];
	struct want w[3];

	(void)state;
	for (int i = 0; i < 100000; i++) {
		char name[64], object[64], comment[120];

		snprintf(object, sizeof object, "%s_%s_%d", parts[i / 50 % 14], parts[i / 700 % 14], i / 50);
		snprintf(name, sizeof name, "%s_%s_%d", parts[i % 14], parts[i / 14 % 14], i % 50);
		snprintf(comment, sizeof comment, "the %s of the %s as it came, reference %d", parts[i % 13],
			 parts[i % 11], i);
		shelf_add(columns, &(struct item){ITEM_COLUMN, "CORE", object, name, "VARCHAR", comment});
	}
	shelf_trim(columns);
	assert_int_equal(wants(t, x, NULL, false, NOW, &l, w, 3), 3);
	printf("100000 columns: %zu KiB\n", shelf_bytes(columns) >> 10);
	took(t, x, &w[2], columns, NULL, NOW);
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		struct search s = {.words = words[i], .kinds = ITEM_BIT(ITEM_COLUMN), .best = 100, .found = found};
		double ms = milliseconds_of(x, &s);

		printf("  %-56s %6.1f ms of CPU, %zu matches\n", words[i], ms, s.total);
		assert_int_equal(s.stopped, i + 1 == ARRAY_LEN(words)); /* typing errors in the last */
	}
	index_table_free(t);
}

/* As many names as an index may hold, few of them equal, as `how` has them, in pieces as SHOW gives them. */
static struct index *crowd(struct index_table *t, int how)
{
	static const char *const parts[] = {"CUSTOMER",      "ORDER",     "SHIPPING", "ADDRESS",  "REGISTRATION",
					    "INTERNATIONAL", "EFFECTIVE", "STATUS",   "REFERENCE"};
	struct index *x = index_of(t, "a", sales);
	struct index_limits l = {256 << 20, 250000, TTL};
	struct shelf *schemas = shelf_new();
	char schema[16], name[256], comment[256] = "";
	struct want w[8];

	for (int i = 0; i < 25; i++) {
		snprintf(schema, sizeof schema, "S%02d", i);
		shelf_add(schemas, &(struct item){.kind = ITEM_SCHEMA, .name = schema});
	}
	assert_int_equal(wants(t, x, NULL, false, NOW, &l, w, 8), 3);
	index_took(t, x, &w[0], schemas, NULL, NOW, &l);
	index_took(t, x, &w[1], shelf_new(), NULL, NOW, &l);
	index_took(t, x, &w[2], shelf_new(), "Z", NOW, &l);
	for (int i = 0; i < 25; i++) {
		struct shelf *s = shelf_new();

		assert_int_equal(wants(t, x, NULL, false, NOW, &l, w, 1), 1);
		for (int k = 0; k < 9999; k++) {
			snprintf(name, sizeof name, "%s_%s_%s_%d_%d", parts[k % 9], parts[k / 9 % 9], parts[k / 81 % 9],
				 k, i);
			if (how == 1)
				snprintf(name, sizeof name, "%060d%d", 0, k);
			else if (how == 2)
				snprintf(comment, sizeof comment, "%0230d", 0);
			else if (how == 3)
				snprintf(name, sizeof name, "CUSTXMEA_CASTOMER_RUSTOMRE_%d", k);
			shelf_add(s, &(struct item){ITEM_COLUMN, w[0].schema, "T", name, "TEXT", comment});
		}
		shelf_trim(s);
		index_took(t, x, &w[0], s, NULL, NOW, &l);
	}
	return x;
}

/* Whatever is looked for in whatever there is: work ends where it has to, and the answer knows. */
static void test_work_is_bounded(void **state)
{
	static const struct {
		int how;
		const char *words;
		bool stopped;
	} cases[] = {
	    {0, "shipping", false},
	    {0, "xyzzyq", false},
	    {0, "shipping customer reference addres registratio transactio effectiv statu", true},
	    {0, "a b c d e f g h i j", true},
	    {0, "regstration", true},
	    {1, "00000000000000000000000000000000000000000000001", true},
	    {1, "0000 00000 000000 000 0000000 00 000000000 000000000000", true},
	    {2, "001 0001 00001 000001 0000001 00000001 000000001 01", true},
	    {3, "customre custamer cestomer costumer custumer rustomer customes tustomer", true},
	};
	struct found *found = xalloc(SEARCH_BEST_MAX * sizeof *found);
	int how = -1;
	struct index_table *t = NULL;
	struct index *x = NULL;

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		struct search s = {.words = cases[i / 2].words,
				   .kinds = ITEM_BIT(ITEM_COLUMN),
				   .best = i % 2 ? SEARCH_BEST_MAX : 20,
				   .found = found};
		double ms;

		if (how != cases[i / 2].how) {
			index_table_free(t);
			t = index_table_new();
			x = crowd(t, how = cases[i / 2].how);
		}
		ms = milliseconds_of(x, &s);
		printf("  %-72s %6.1f ms of CPU, %zu matches%s\n", s.words, ms, s.total, s.stopped ? ", stopped" : "");
		if (s.stopped != cases[i / 2].stopped && i % 2 == 0)
			fail_msg("%s: %d, %zu", s.words, s.stopped, s.work);
		/* one look may cost a little more than what was left */
		assert_in_range(s.work, 1, SEARCH_WORK + SEARCH_WORK / 20);
	}
	index_table_free(t);
	free(found);
}

/* Typing errors are forgiven where nothing fits as it was typed, and take nothing from what does. */
static void test_typos_do_not_hide_what_fits(void **state)
{
	struct index_table *t = index_table_new();
	struct index *x = index_of(t, "a", sales);
	struct found found[10];
	struct search s = {.words = "custmers", .kinds = ITEM_OBJECTS, .best = 10, .found = found};

	(void)state;
	database_read(t, x, "SALES", names_of(ITEM_TABLE, "CORE", NULL, "CUSTOMERS CUSTMERS ORDERS"), shelf_new(), NOW);
	index_search(x, &s);
	assert_string_equal(found_told(&s, 10), "CORE.CUSTMERS");
	s.words = "cstomers";
	index_search(x, &s);
	assert_string_equal(found_told(&s, 10), "CORE.CUSTOMERS | CORE.CUSTMERS");
	s.words = "custmers ordres"; /* nothing has both: the first as it is, what comes near the second */
	index_search(x, &s);
	assert_true(s.some);
	assert_string_equal(found_told(&s, 10), "CORE.CUSTMERS | CORE.ORDERS");
	index_table_free(t);
}

/* ---- near names ---- */

static void test_edit_distance(void **state)
{
	static const struct {
		const char *a, *b;
		size_t max, edits;
	} cases[] = {{"", "", 2, 0},       {"A", "", 2, 1},          {"", "AB", 2, 2},      {"ABC", "abc", 2, 0},
		     {"ABC", "AC", 2, 1},  {"ABC", "ACB", 2, 1},     {"ABC", "ABD", 2, 1},  {"ABCD", "BACDE", 2, 2},
		     {"ABC", "XYZ", 2, 3}, {"ABC", "XYZ", 3, 3},     {"ABCDEF", "A", 2, 3}, {"KITTEN", "SITTING", 3, 3},
		     {"CA", "ABC", 3, 3},  {"ORDERS", "ORDER", 1, 1}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t a_n = strlen(cases[i].a), b_n = strlen(cases[i].b), cells = 0;
		size_t there = edit_distance(cases[i].a, a_n, cases[i].b, b_n, cases[i].max, &cells);
		size_t back = edit_distance(cases[i].b, b_n, cases[i].a, a_n, cases[i].max, &cells);

		if (there != cases[i].edits || back != there)
			fail_msg("%s %s: %zu %zu", cases[i].a, cases[i].b, there, back);
	}
}

static void test_nearest(void **state)
{
	static const char *const orders[] = {"ORDERS"}, *const customers[] = {"CUSTOMERS", "SELECT"};
	static const struct {
		struct nearest n;
		const char *told;
	} cases[] = {
	    {{.set = SET_OBJECTS, .database = "SALES", .schema = "PUBLIC", .name = "CUSTOMER"},
	     "CORE.CUSTOMERS CORE.CUSTOMER_ORDERS"},
	    {{.set = SET_OBJECTS, .database = "SALES", .schema = "CORE", .name = "ORDER_LINE"}, "CORE.ORDER_LINES"},
	    {{.set = SET_OBJECTS, .database = "SALES", .schema = "STAGING", .name = "CUSTOMERS"}, "CORE.CUSTOMERS"},
	    {{.set = SET_OBJECTS, .database = "SALE", .schema = "CORE", .name = "CUSTOMERS"}, "CORE.CUSTOMERS"},
	    {{.set = SET_OBJECTS, .database = "SALES", .schema = "PUBLIC", .name = "ORDERDATE"}, "PUBLIC.orderDate"},
	    {{.set = SET_OBJECTS, .database = "SALES", .schema = "CORE", .name = "ZEBRA"}, ""},
	    {{.set = SET_OBJECTS, .database = "SALES", .schema = "CORE", .name = "X"}, ""},
	    {{.set = SET_COLUMNS, .name = "EMIAL", .objects = orders, .objects_n = 1}, "CORE.EMAIL"},
	    {{.set = SET_COLUMNS, .name = "CUSTOMERID", .objects = customers, .objects_n = 2}, ""},
	    {{.set = SET_COLUMNS, .name = "CUSTOMERID", .objects = orders, .objects_n = 1}, "CORE.CUSTOMER_ID"},
	    {{.set = SET_COLUMNS, .name = "EMIAL"}, ""},
	    {{.set = SET_SCHEMAS, .database = "SALES", .name = "COER"}, ".CORE"},
	    {{.set = SET_DATABASES, .name = "SALSE"}, ".SALES"},
	    {{.set = SET_WAREHOUSES, .name = "WH_XS"}, ""},
	};
	struct index_table *t = index_table_new();
	struct index *x = library(t);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct nearest n = cases[i].n;
		struct buf b = buf_with_ceiling(1000);

		index_nearest(x, &n);
		for (size_t k = 0; k < n.found_n; k++)
			buf_addf(&b, "%s%s.%s", k ? " " : "", n.found[k].item.schema ? n.found[k].item.schema : "",
				 n.found[k].item.name);
		if (strcmp(buf_text(&b), cases[i].told) != 0)
			fail_msg("%s: %s, not %s", cases[i].n.name, buf_text(&b), cases[i].told);
		buf_free(&b);
	}
	index_table_free(t);
}

/* The very name that was asked for is no help, nor are more than three. */
static void test_nearest_are_few_and_others(void **state)
{
	struct index_table *t = index_table_new();
	struct index *x = index_of(t, "a", sales);
	struct nearest n = {.set = SET_OBJECTS, .database = "SALES", .schema = "CORE", .name = "SHIPMENT1"};

	(void)state;
	database_read(t, x, "SALES",
		      names_of(ITEM_TABLE, "CORE", NULL, "SHIPMENT22 SHIPMENT2 SHIPMENT3 SHIPMENT1 SHIPMENT4 SHIPMENT"),
		      shelf_new(), NOW);
	index_nearest(x, &n);
	assert_int_equal(n.found_n, NEAREST_MAX);
	for (size_t i = 0; i < n.found_n; i++)
		assert_string_not_equal(n.found[i].item.name, "SHIPMENT1");
	assert_string_equal(n.found[0].item.name, "SHIPMENT2");
	index_table_free(t);
}

/* ---- one set alone, for completion ---- */

static void test_one_schema_alone(void **state)
{
	struct index_table *t = index_table_new();
	struct index *x = index_of(t, "a", all);
	struct index_limits l = DEFAULT;
	struct want w[4];

	(void)state;
	assert_true(wants_set(t, x, SET_OBJECTS, "SALES", "CORE", NOW, &l, w));
	want_is(w, "objects SALES CORE -");
	took(t, x, w, names_of(ITEM_TABLE, "CORE", NULL, "A B"), NULL, NOW);
	assert_true(index_has(x, SET_OBJECTS, "SALES", "CORE"));
	assert_false(index_has(x, SET_OBJECTS, "SALES", "PUBLIC"));
	assert_false(wants_set(t, x, SET_OBJECTS, "SALES", "CORE", NOW + TTL - 1, &l, w));
	assert_true(wants_set(t, x, SET_OBJECTS, "SALES", "CORE", NOW + TTL, &l, w));
	/* the whole database takes its place, and then serves it */
	assert_int_equal(wants(t, x, "SALES", true, NOW, &l, w, 4), 3);
	took(t, x, &w[1], names_of(ITEM_TABLE, "CORE", NULL, "A C"), NULL, NOW);
	assert_int_equal(objects_shown(x, "CORE"), 2);
	assert_false(wants_set(t, x, SET_OBJECTS, "SALES", "PUBLIC", NOW, &l, w));
	/* lists of the account */
	assert_true(wants_set(t, x, SET_WAREHOUSES, NULL, NULL, NOW, &l, w));
	want_is(w, "warehouses - - -");
	took(t, x, w, names_of(ITEM_WAREHOUSE, NULL, NULL, "WH_XS"), NULL, NOW);
	assert_false(wants_set(t, x, SET_WAREHOUSES, NULL, NULL, NOW, &l, w));
	assert_true(index_has(x, SET_WAREHOUSES, NULL, NULL));
	index_table_free(t);
}

/* A hint is worth no more than so much of NET's time. */
static void test_nearest_is_bounded(void **state)
{
	struct index_table *t = index_table_new();
	struct index *x = index_of(t, "a", sales);
	struct index_limits l = {256 << 20, 1000000, TTL};
	struct nearest n = {.set = SET_OBJECTS, .database = "SALES", .schema = "A", .name = "T00007X"};
	struct want w[3];

	(void)state;
	assert_int_equal(wants(t, x, NULL, false, NOW, &l, w, 3), 3);
	index_took(t, x, &w[1], objects_named("A", 0, (int)(NEAREST_WORK / 10)), NULL, NOW, &l);
	index_nearest(x, &n);
	assert_string_equal(n.found[0].item.name, "T00007");
	n.name = "T799999X";
	index_nearest(x, &n);
	assert_string_not_equal(n.found_n ? n.found[0].item.name : "", "T799999");
	index_table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_shelf_keeps_items),
	    cmocka_unit_test(test_long_comments_are_cut_between_characters),
	    cmocka_unit_test(test_wants_begin_with_the_current_database),
	    cmocka_unit_test(test_without_a_border_the_databases_are_listed),
	    cmocka_unit_test(test_the_border),
	    cmocka_unit_test(test_what_is_old_is_read_again),
	    cmocka_unit_test(test_changes_make_it_stale),
	    cmocka_unit_test(test_a_refusal_is_remembered_a_failure_is_not),
	    cmocka_unit_test(test_large_databases_are_read_by_schema),
	    cmocka_unit_test(test_a_schema_of_too_many_columns),
	    cmocka_unit_test(test_entries_of_one_index_are_bounded),
	    cmocka_unit_test(test_bytes_of_all_are_bounded),
	    cmocka_unit_test(test_indexes_are_bounded),
	    cmocka_unit_test(test_databases_are_bounded),
	    cmocka_unit_test(test_what_was_asked_for_is_nobody_else_s),
	    cmocka_unit_test(test_questions_fill_no_index),
	    cmocka_unit_test(test_listed_databases_are_there),
	    cmocka_unit_test(test_keys_are_apart),
	    cmocka_unit_test(test_ranking),
	    cmocka_unit_test(test_pages_fit_together),
	    cmocka_unit_test(test_search_in_one_database),
	    cmocka_unit_test(test_a_hundred_thousand_columns),
	    cmocka_unit_test(test_work_is_bounded),
	    cmocka_unit_test(test_typos_do_not_hide_what_fits),
	    cmocka_unit_test(test_edit_distance),
	    cmocka_unit_test(test_nearest),
	    cmocka_unit_test(test_nearest_are_few_and_others),
	    cmocka_unit_test(test_nearest_is_bounded),
	    cmocka_unit_test(test_one_schema_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
