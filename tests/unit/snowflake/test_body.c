/* The request body of a statement, compared as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "snowgate/snowflake.h"

static json_t *parse(const char *text)
{
	json_t *value = NULL;

	assert_int_equal(json_parse(slice_of(text), 16, &value, NULL, 0), JSON_OK);
	return value;
}

static void check(const struct statement *s, const char *tag, const char *expected)
{
	struct buf b = buf_with_ceiling(1 << 20);

	assert_true(statement_body(&b, s, tag));
	json_t *got = parse(buf_text(&b)), *want = parse(expected);
	if (!json_equal(got, want))
		fail_msg("%s\nis not\n%s", buf_text(&b), expected);
	json_decref(got);
	json_decref(want);
	buf_free(&b);
}

static void test_plain(void **state)
{
	struct statement s = {.sql = "SELECT \"A\"\n-- \xc3\xa9", .timeout_s = 60};

	(void)state;
	check(&s, "snowgate:alice",
	      "{\"statement\":\"SELECT \\\"A\\\"\\n-- \\u00e9\",\"timeout\":60,"
	      "\"parameters\":{\"MULTI_STATEMENT_COUNT\":\"1\",\"QUERY_TAG\":\"snowgate:alice\"}}");
}

static void test_context_and_bindings(void **state)
{
	struct statement s = {.sql = "SELECT ?, ?", .timeout_s = 5};

	(void)state;
	s.context = (struct context){.database = "D", .schema = "My \"s\"", .warehouse = "", .role = "R"};
	s.context.parameters = parse("{\"TIMEZONE\":\"UTC\"}");
	s.bindings = parse("[{\"type\":\"FIXED\",\"value\":\"1\"},{\"type\":\"TEXT\",\"value\":null}]");
	check(&s, "t",
	      "{\"statement\":\"SELECT ?, ?\",\"timeout\":5,\"database\":\"D\",\"schema\":\"My "
	      "\\\"s\\\"\",\"role\":\"R\","
	      "\"bindings\":{\"1\":{\"type\":\"FIXED\",\"value\":\"1\"},\"2\":{\"type\":\"TEXT\",\"value\":null}},"
	      "\"parameters\":{\"MULTI_STATEMENT_COUNT\":\"1\",\"TIMEZONE\":\"UTC\",\"QUERY_TAG\":\"t\"}}");
	json_decref(s.context.parameters);
	json_decref(s.bindings);
}

/* A session may not allow itself several statements, nor remove the tag; what needs an ALTER SESSION is no parameter.
 */
static void test_guarded_parameters(void **state)
{
	struct statement s = {.sql = "X"};

	(void)state;
	s.context.parameters = parse("{\"multi_statement_count\":\"0\",\"Query_Tag\":\"mine\",\"WEEK_START\":\"1\"}");
	check(&s, "gate",
	      "{\"statement\":\"X\",\"parameters\":{\"MULTI_STATEMENT_COUNT\":\"1\",\"QUERY_TAG\":\"gate\"}}");
	json_decref(s.context.parameters);
}

/* The number of statements is exact, so that Snowflake refuses one that nobody counted (A.7). */
static void test_several(void **state)
{
	struct statement settings = {.sql = "SELECT 1", .settings = "ALTER SESSION SET WEEK_START = 1"};
	struct statement script = {.sql = "SELECT 1;\nSELECT 2", .statements = 2};

	(void)state;
	check(&settings, "t",
	      "{\"statement\":\"ALTER SESSION SET WEEK_START = 1; SELECT 1\","
	      "\"parameters\":{\"MULTI_STATEMENT_COUNT\":\"2\",\"QUERY_TAG\":\"t\"}}");
	check(&script, "t",
	      "{\"statement\":\"SELECT 1;\\nSELECT "
	      "2\",\"parameters\":{\"MULTI_STATEMENT_COUNT\":\"2\",\"QUERY_TAG\":\"t\"}}");
	script.settings = settings.settings;
	check(&script, "t",
	      "{\"statement\":\"ALTER SESSION SET WEEK_START = 1; SELECT 1;\\nSELECT 2\","
	      "\"parameters\":{\"MULTI_STATEMENT_COUNT\":\"3\",\"QUERY_TAG\":\"t\"}}");
}

static void test_ceiling(void **state)
{
	struct statement s = {.sql = "SELECT 1234567890"};
	struct buf b = buf_with_ceiling(20);

	(void)state;
	assert_false(statement_body(&b, &s, "t"));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_context_and_bindings),
	    cmocka_unit_test(test_guarded_parameters),
	    cmocka_unit_test(test_several),
	    cmocka_unit_test(test_ceiling),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
