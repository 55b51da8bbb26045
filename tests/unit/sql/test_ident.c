/* Names are stored as Snowflake stores them, and what is written in quotes reads back as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "snowgate/err.h"
#include "snowgate/sql.h"

static struct arena *arena;

static int set_up(void **state)
{
	(void)state;
	arena = arena_new(1 << 20);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

static const struct {
	const char *text;
	size_t max, n;
	const char *part[3];
} good[] = {
    {"t", 3, 1, {"T"}},
    {"wh_xs", 1, 1, {"WH_XS"}},
    {"_a$1", 1, 1, {"_A$1"}},
    {"db.schema.object", 3, 3, {"DB", "SCHEMA", "OBJECT"}},
    {"a.b", 2, 2, {"A", "B"}},
    {"\"My wh\"", 1, 1, {"My wh"}},
    {"\"a\"\"b\"", 1, 1, {"a\"b"}},
    {"\"\"\"\"", 1, 1, {"\""}},
    {"\"a.b\".c", 2, 2, {"a.b", "C"}},
    {"db.\"s\".\"T\"", 3, 3, {"DB", "s", "T"}},
    {"  t\n", 1, 1, {"T"}},
    {"\"gr\xC3\xB6\xC3\x9F"
     "e\"",
     1,
     1,
     {"gr\xC3\xB6\xC3\x9F"
      "e"}},
    {"\"; DROP TABLE t --\"", 1, 1, {"; DROP TABLE t --"}},
    {"select", 1, 1, {"SELECT"}},
    {"\" \"", 1, 1, {" "}},
};

static const struct {
	const char *text;
	size_t max;
} bad[] = {
    {"", 3},
    {"   ", 3},
    {"1a", 3},
    {"$a", 3},
    {"a-b", 3},
    {"a b", 3},
    {"a;", 3},
    {"a.", 3},
    {".a", 3},
    {"a..b", 3},
    {"a.b.c.d", 3},
    {"a.b", 1},
    {"\"", 3},
    {"\"a", 3},
    {"\"\"", 3},
    {"\"a\"b", 3},
    {"a\"b\"", 3},
    {"'a'", 3},
    {"a .b", 3},
    {"a--", 3},
    {"a/**/", 3},
    {"\"a\nb\"", 3},
    {"\"\x7F\"", 3},
    {"gr\xC3\xB6", 3},
    {"\"\xFF\"", 3},
    {"\"\xE2\x80\xAE\"", 3},
    {"a.\"\"", 3},
    {"@s", 3},
    {"\"a\".", 3},
    {"a(b)", 3},
    {"\"a\" \"b\"", 3},
};

static void test_good_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct sql_name name;
		const char *why;

		if (sql_name_parse(arena, slice_of(good[i].text), good[i].max, &name, &why) != ERR_OK)
			fail_msg("%s: %s", good[i].text, why);
		assert_null(why);
		assert_int_equal(name.n, good[i].n);
		for (size_t k = 0; k < name.n; k++)
			assert_string_equal(name.part[k], good[i].part[k]);
	}
}

static void test_bad_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct sql_name name;
		const char *why = NULL;

		if (sql_name_parse(arena, slice_of(bad[i].text), bad[i].max, &name, &why) != ERR_INVALID_PARAMS)
			fail_msg("%s was taken", bad[i].text);
		assert_non_null(why);
	}
	assert_null(sql_ident_fold(arena, SLICE("a\0b")));
	assert_null(sql_ident_fold(arena, SLICE("\"a\0b\"")));
	assert_null(sql_ident_fold(arena, (struct slice){NULL, 0}));
}

static void test_length(void **state)
{
	char text[600];

	(void)state;
	memset(text, 'a', 256);
	assert_non_null(sql_ident_fold(arena, (struct slice){text, 255}));
	assert_null(sql_ident_fold(arena, (struct slice){text, 256}));
	text[0] = '"';
	for (size_t i = 0; i < 256; i++)
		memcpy(text + 1 + 2 * i, "\xC3\xA4", 2);
	text[511] = '"';
	assert_non_null(sql_ident_fold(arena, (struct slice){text, 512}));
	text[511] = '\xC3';
	text[513] = '"';
	assert_null(sql_ident_fold(arena, (struct slice){text, 514}));
}

static void test_quotes(void **state)
{
	struct buf b = buf_with_ceiling(100);
	struct sql_name name = {3, {"DB", "my \"s\"", "T"}};

	(void)state;
	assert_true(sql_quote_name(&b, &name));
	assert_string_equal(buf_text(&b), "\"DB\".\"my \"\"s\"\"\".\"T\"");
	buf_clear(&b);
	assert_true(sql_quote_string(&b, "it's a \\ and %"));
	assert_string_equal(buf_text(&b), "'it''s a \\\\ and %'");
	buf_clear(&b);
	assert_true(sql_quote_string(&b, ""));
	assert_string_equal(buf_text(&b), "''");
	buf_free(&b);
	b = buf_with_ceiling(3);
	assert_false(sql_quote_ident(&b, "abcd"));
	buf_free(&b);
}

static uint32_t random_next(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* Any name of printable characters, quoted, is one quoted token and reads back as it was. */
static void test_round_trip(void **state)
{
	static const char *const pieces[] = {"a", "Z",  "\"", "'",  "\\",       ".",           " ",
					     ";", "--", "/*", "$$", "\xC3\xA4", "\xE5\x88\x97"};
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 5000; round++) {
		struct buf part = buf_with_ceiling(1000), quoted = buf_with_ceiling(3000),
			   text = buf_with_ceiling(3000);
		struct sql_lexer lexer;
		struct sql_token t;
		const char *back;

		for (size_t n = 1 + random_next(&seed) % 30; n; n--)
			buf_adds(&part, pieces[random_next(&seed) % ARRAY_LEN(pieces)]);
		assert_true(sql_quote_ident(&quoted, buf_text(&part)));
		back = sql_ident_fold(arena, buf_slice(&quoted));
		assert_non_null(back);
		assert_string_equal(back, buf_text(&part));
		sql_lexer_init(&lexer, buf_slice(&quoted));
		t = sql_next(&lexer);
		assert_int_equal(t.kind, SQL_QUOTED);
		assert_int_equal(t.text.n, quoted.n);
		assert_true(sql_quote_string(&text, buf_text(&part)));
		for (int escapes = 0; escapes < 2; escapes++) {
			sql_lexer_init(&lexer, buf_slice(&text));
			lexer.backslash_escapes = escapes;
			t = sql_next(&lexer);
			assert_int_equal(t.kind, SQL_STRING);
			assert_int_equal(t.text.n, text.n);
		}
		buf_free(&part);
		buf_free(&quoted);
		buf_free(&text);
		if (round % 500 == 0) {
			arena_free(arena);
			arena = arena_new(1 << 20);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good_names), cmocka_unit_test(test_bad_names),  cmocka_unit_test(test_length),
	    cmocka_unit_test(test_quotes),     cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
