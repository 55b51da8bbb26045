/* The lexer cuts SQL where Snowflake does, tells what it cannot read, and knows where it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "snowgate/sql.h"

/* One letter a kind: Word Quoted String Dollar Number Variable sTage Bind Punct ! for bad. */
static void kinds_of(const char *sql, bool escapes, bool nested, char *out, size_t room)
{
	static const char letters[] = {'.', 'W', 'Q', 'S', 'D', 'N', 'V', 'T', 'B', 'P', '!'};
	struct sql_lexer lexer;
	size_t n = 0;

	sql_lexer_init(&lexer, slice_of(sql));
	lexer.backslash_escapes = escapes;
	lexer.nested_comments = nested;
	for (;;) {
		struct sql_token t = sql_next(&lexer);

		if (t.kind == SQL_END || n + 1 == room)
			break;
		out[n++] = letters[t.kind];
	}
	out[n] = '\0';
}

static const struct {
	const char *sql, *kinds;
} cases[] = {
    {"", ""},
    {" \t\r\n\f\v", ""},
    {"SELECT 1", "WN"},
    {"select a.b, \"c d\" from t", "WWPWPQWW"},
    {"-- all of it", ""},
    {"// all of it", ""},
    {"/* all of it */", ""},
    {"1 -- c\n2", "NN"},
    {"1 // c\n2", "NN"},
    {"1 -- c\r\n2", "NN"},
    {"1 -- c\r2", "N!"},
    {"1 -- c\xE2\x80\xA8 2", "N!"},
    {"1 -- c\xC2\x85 2", "N!"},
    {"1 /* a \n b */ 2", "NN"},
    {"/*/ 1 */ 2", "N"},
    {"/* /* */ 1", "N"},
    {"1 /* open", "N!"},
    {"1 /*", "N!"},
    {"'a'", "S"},
    {"'a''b'", "S"},
    {"'a\\'b'", "S"},
    {"'a\\\\'", "S"},
    {"'a\nb'", "S"},
    {"'open", "!"},
    {"'open\\'", "!"},
    {"'open\\", "!"},
    {"'--' '/*' '//'", "SSS"},
    {"\"a\"\"b\"", "Q"},
    {"\"a\\\"", "Q"},
    {"\"open", "!"},
    {"$$ a ' $ b $$", "D"},
    {"$$open", "!"},
    {"$$$", "!"},
    {"$$$$", "D"},
    {"$1 $name", "VV"},
    {"$", "!"},
    {"a$b$$c", "W"},
    {"@stage @~ @%t @a.b.c", "TTTT"},
    {"? :1 :12", "BBB"},
    {":name", "PW"},
    {"v:a.b[0]::int", "WPWPWPNPPW"},
    {"1 1.5 .5 1. 1e5 1E-5 1.5e+10", "NNNNNNN"},
    {"1e", "NW"},
    {"1..2", "NN"},
    {"->> -> => :: := || <= >= <> != |>", "PPPPPPPPPPP"},
    {"- > >", "PPP"},
    {"( ) [ ] { } , . ; + - * / % = < > ! | & ^ ~", "PPPPPPPPPPPPPPPPPPPPPP"},
    {"\\", "!"},
    {"`a`", "!"},
    {"#", "!"},
    {"\x01", "!"},
    {"gr\xC3\xB6\xC3\x9F"
     "e",
     "W!"},
    {"gr\xC3\xB6ne \xE5\x88\x97", "WW"},
    {"SY\xC5\xBFTEM", "W!"},
    {"\xC4\xB1nsert", "!"},
    {"\xC4\xB0NSERT", "!"},
    {"\xE2\x84\xAA", "!"},
    {"SELECT\xC2\xA0"
     "1",
     "W!"},
    {"SELECT\xE3\x80\x80"
     "1",
     "W!"},
    {"a\xE2\x80\x8B"
     "b",
     "W!"},
    {"\xEF\xBB\xBFSELECT", "!"},
    {"\xFF", "!"},
    {"'\xC2\xA0\xE2\x80\x8B'", "S"},
    {"x'4A' b", "WSW"},
    {"a--b", "W"},
};

static void test_kinds(void **state)
{
	char got[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *wanted = cases[i].kinds;

		kinds_of(cases[i].sql, true, false, got, sizeof(got));
		if (strcmp(got, wanted) != 0)
			fail_msg("%s: %s, not %s", cases[i].sql, got, wanted);
	}
}

static void test_other_readings(void **state)
{
	char got[64];

	(void)state;
	kinds_of("'a\\'; DROP TABLE t --'", true, false, got, sizeof(got));
	assert_string_equal(got, "S");
	kinds_of("'a\\'; DROP TABLE t --'", false, false, got, sizeof(got));
	assert_string_equal(got, "SPWWW");
	kinds_of("/* /* */ 1 */ 2", true, false, got, sizeof(got));
	assert_string_equal(got, "NPPN");
	kinds_of("/* /* */ 1 */ 2", true, true, got, sizeof(got));
	assert_string_equal(got, "N");
}

static void test_positions(void **state)
{
	struct sql_lexer lexer;
	struct sql_token t;

	(void)state;
	sql_lexer_init(&lexer, SLICE("SELECT\n  '\xC3\xA4\xC3\xB6' x /* \n */ y"));
	t = sql_next(&lexer);
	assert_int_equal(t.line, 1);
	assert_int_equal(t.column, 1);
	t = sql_next(&lexer);
	assert_int_equal(t.line, 2);
	assert_int_equal(t.column, 3);
	t = sql_next(&lexer);
	assert_int_equal(t.line, 2);
	assert_int_equal(t.column, 8);
	t = sql_next(&lexer);
	assert_int_equal(t.line, 3);
	assert_int_equal(t.column, 5);
	assert_true(sql_token_is(&t, "Y"));
	assert_int_equal(sql_next(&lexer).kind, SQL_END);
	assert_int_equal(sql_next(&lexer).kind, SQL_END);
}

static void test_faults_and_words(void **state)
{
	struct sql_lexer lexer;
	struct sql_token t;

	(void)state;
	sql_lexer_init(&lexer, SLICE("'open"));
	t = sql_next(&lexer);
	assert_int_equal(t.kind, SQL_BAD);
	assert_string_equal(t.fault, "unterminated string");
	assert_int_equal(t.text.n, 5);
	assert_int_equal(sql_next(&lexer).kind, SQL_END);
	sql_lexer_init(&lexer, SLICE("\"select\" SeLeCt"));
	t = sql_next(&lexer);
	assert_false(sql_token_is(&t, "select"));
	assert_false(sql_token_is(&t, "\"select\""));
	t = sql_next(&lexer);
	assert_true(sql_token_is(&t, "SELECT"));
	assert_false(sql_token_is(&t, "SELECTS"));
	sql_lexer_init(&lexer, (struct slice){NULL, 0});
	assert_int_equal(sql_next(&lexer).kind, SQL_END);
}

/* Tokens lie in order, do not overlap, and between them is only white space or comment. */
static void test_tokens_are_the_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice text = slice_of(cases[i].sql);
		const char *at = text.data;
		struct sql_lexer lexer;
		struct sql_token t;

		sql_lexer_init(&lexer, text);
		while ((t = sql_next(&lexer)).kind != SQL_END) {
			assert_true(t.text.data >= at);
			assert_true(t.text.n > 0);
			at = t.text.data + t.text.n;
			assert_true(at <= text.data + text.n);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_kinds),
	    cmocka_unit_test(test_other_readings),
	    cmocka_unit_test(test_positions),
	    cmocka_unit_test(test_faults_and_words),
	    cmocka_unit_test(test_tokens_are_the_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
