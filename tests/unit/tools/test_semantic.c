/* The toolset semantic: names are quoted, clauses are judged with the whole statement, the policy's databases hold. */
#include "help.h"

#define VIEW  "\"view_name\":\"sv\""
#define DIMS  "\"dimensions\":[{\"table\":\"o\",\"name\":\"region\"}]"
#define METS  "\"metrics\":[{\"table\":\"o\",\"name\":\"revenue\"}]"
#define FACTS "\"facts\":[{\"table\":\"o\",\"name\":\"amount\"}]"
#define FROM  "SELECT * FROM SEMANTIC_VIEW(\"SALES\".\"PUBLIC\".\"SV\""

static int set_up(void **state)
{
	help_set_up(state);
	policy.toolsets = TOOLSET_SEMANTIC;
	return 0;
}

static void test_metadata(void **state)
{
	static const struct {
		const char *tool, *arguments, *sql;
	} cases[] = {
	    {"list_semantic_views", "{}", "SHOW SEMANTIC VIEWS IN DATABASE \"SALES\""},
	    {"list_semantic_views", "{\"database_name\":\"hr\",\"like\":\"rev\"}",
	     "SHOW SEMANTIC VIEWS LIKE '%rev%' IN DATABASE \"HR\""},
	    {"list_semantic_views", "{\"schema_name\":\"core\",\"starts_with\":\"R'\"}",
	     "SHOW SEMANTIC VIEWS IN SCHEMA \"SALES\".\"CORE\" STARTS WITH 'R'''"},
	    {"show_semantic_dimensions", "{" VIEW "}", "SHOW SEMANTIC DIMENSIONS IN \"SALES\".\"PUBLIC\".\"SV\""},
	    {"show_semantic_dimensions", "{\"database_name\":\"hr\",\"schema_name\":\"core\"}",
	     "SHOW SEMANTIC DIMENSIONS IN SCHEMA \"HR\".\"CORE\""},
	    {"show_semantic_metrics",
	     "{\"view_name\":\"\\\"My view\\\"\",\"database_name\":\"hr\",\"schema_name\":\"core\"}",
	     "SHOW SEMANTIC METRICS IN \"HR\".\"CORE\".\"My view\""},
	    {"describe_semantic_view", "{" VIEW "}", "DESCRIBE SEMANTIC VIEW \"SALES\".\"PUBLIC\".\"SV\""},
	    {"get_semantic_view_ddl", "{" VIEW "}", "SELECT GET_DDL('SEMANTIC_VIEW', '\"SALES\".\"PUBLIC\".\"SV\"')"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct call *c = help_plan(cases[i].tool, cases[i].arguments);

		assert_int_equal(c->plan_n, 1);
		assert_string_equal(c->plan[0].sql, cases[i].sql);
		assert_true(c->plan[0].metadata);
		call_free(c);
	}
	help_refused("describe_semantic_view", "{" VIEW ",\"database_name\":\"hr\"}", ERR_INVALID_PARAMS,
		     "schema_name: missing");
	help_refused("describe_semantic_view", "{\"view_name\":\"a.b\"}", ERR_INVALID_PARAMS,
		     "view_name: not an identifier");
}

static const struct {
	const char *arguments, *sql;
	size_t rows;
} queries[] = {
    {"{" VIEW "," DIMS "}", FROM " DIMENSIONS \"O\".\"REGION\")", 100},
    {"{" VIEW "," DIMS "," METS ",\"limit\":5}",
     FROM " DIMENSIONS \"O\".\"REGION\" METRICS \"O\".\"REVENUE\")\nLIMIT 5", 5},
    {"{" VIEW "," FACTS ",\"where_clause\":\"region = 'EU' -- all\",\"order_by\":\"amount DESC\"}",
     FROM " FACTS \"O\".\"AMOUNT\")\nWHERE region = 'EU' -- all\nORDER BY amount DESC", 100},
    {"{" VIEW
     ",\"metrics\":[{\"table\":\"o\",\"name\":\"a\"},{\"table\":\"\\\"T 1\\\"\",\"name\":\"\\\"b\\\"\\\"c\\\"\"}]}",
     FROM " METRICS \"O\".\"A\", \"T 1\".\"b\"\"c\")", 100},
};

static void test_query(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		struct call *c = help_plan("query_semantic_view", queries[i].arguments);

		assert_int_equal(c->plan_n, 1);
		assert_string_equal(c->plan[0].sql, queries[i].sql);
		assert_false(c->plan[0].metadata || c->plan[0].write);
		assert_int_equal(c->plan[0].rows, queries[i].rows);
		assert_int_equal(c->class, CLASS_READ);
		call_free(c);
	}
}

/* The text alone, under both names that the official server gave it. */
static void test_write(void **state)
{
	static const char *const names[] = {"write_semantic_view_query", "write_semantic_view_tool"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		struct call *c = help_plan(names[i % 2], queries[i].arguments);

		assert_int_equal(c->plan_n, 0);
		c->handler->answer(c);
		assert_string_equal(buf_text(&c->answer.text), queries[i].sql);
		call_free(c);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *arguments, *says;
		enum err err;
	} cases[] = {
	    {"{" VIEW "}", "at least one dimension, metric or fact", ERR_INVALID_PARAMS},
	    {"{" VIEW "," METS "," FACTS "}", "facts: cannot stand beside metrics", ERR_INVALID_PARAMS},
	    {"{" VIEW ",\"metrics\":[{\"table\":\"o) x\",\"name\":\"b\"}]}", "both identifiers", ERR_INVALID_PARAMS},
	    {"{" VIEW "," DIMS ",\"where_clause\":\"1=1; DELETE FROM T\"}", "", ERR_GUARD},
	    {"{" VIEW "," DIMS ",\"order_by\":\"1; DROP TABLE T\"}", "", ERR_GUARD},
	    {"{" VIEW "," DIMS ",\"where_clause\":\"x = 'open\"}", "", ERR_GUARD},
	    {"{" VIEW "," DIMS ",\"where_clause\":\"SYSTEM$WAIT(5) = 'x'\"}", "", ERR_GUARD},
	};
	static const char *const tools[] = {"query_semantic_view", "write_semantic_view_query"};

	(void)state;
	/* a policy's own classes do not widen it */
	policy.statements = CLASS_READ | CLASS_METADATA | CLASS_DML | CLASS_DDL | CLASS_SCRIPT;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t k = 0; k < ARRAY_LEN(tools); k++) {
			struct call *c = help_call(tools[k], cases[i].arguments);

			assert_int_not_equal(c->handler->plan(c), ERR_OK);
			if (!c->answer.is_error || !strstr(buf_text(&c->answer.text), cases[i].says))
				fail_msg("%s: \"%s\"", cases[i].arguments, buf_text(&c->answer.text));
			assert_string_equal(json_text_of(json_object_get(c->answer.meta, "snowgate/error"), "code"),
					    err_info(cases[i].err)->name);
			assert_int_equal(c->plan_n, 0);
			call_free(c);
		}
}

static void test_border(void **state)
{
	static const char *const databases[] = {"SALES", "HR"};
	static const char *const refused[] = {
	    "{" VIEW "," DIMS ",\"database_name\":\"secret\",\"schema_name\":\"s\"}",
	    "{" VIEW "," DIMS ",\"where_clause\":\"region IN (SELECT a FROM SECRET.PUBLIC.T)\"}",
	};
	struct call *c;

	(void)state;
	texts_set(&policy.databases, 2, databases);
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		c = help_call("query_semantic_view", refused[i]);
		assert_int_not_equal(c->handler->plan(c), ERR_OK);
		assert_string_equal(json_text_of(json_object_get(c->answer.meta, "snowgate/error"), "code"), "POLICY");
		call_free(c);
	}
	c = help_plan("query_semantic_view", "{" VIEW "," DIMS ",\"database_name\":\"hr\",\"schema_name\":\"s\"}");
	call_free(c);
	/* without a current database it is the view's */
	c = help_call("query_semantic_view", "{" VIEW "," DIMS ",\"database_name\":\"hr\",\"schema_name\":\"s\"}");
	c->context.database = c->context.schema = NULL;
	assert_int_equal(c->handler->plan(c), ERR_OK);
	assert_string_equal(c->plan[0].context.database, "HR");
	assert_string_equal(c->plan[0].context.schema, "S");
	call_free(c);
	help_refused("list_semantic_views", "{\"database_name\":\"secret\"}", ERR_POLICY, "not allowed here");
	c = help_call("list_semantic_views", "{}");
	c->context.database = c->context.schema = NULL;
	assert_int_equal(c->handler->plan(c), ERR_INVALID_PARAMS); /* not the whole account */
	call_free(c);
}

/* At most results.max_bytes of it, cut between characters, and that is said. */
static void test_long_ddl(void **state)
{
	struct call *c = help_plan("get_semantic_view_ddl", "{" VIEW "}");
	struct column column = {.name = "D", .type = "TEXT", .kind = COLUMN_TEXT, true, -1, -1};
	struct buf ddl = buf_with_ceiling(1 << 20);
	struct cell cell;

	(void)state;
	buf_adds(&ddl, "x");
	for (int i = 0; i < 30000; i++)
		buf_adds(&ddl, "\xc3\xa4");
	cell = (struct cell){ddl.data, ddl.n, ddl.n};
	c->plan[0].columns = &column;
	c->plan[0].columns_n = c->plan[0].rows_n = c->plan[0].total_rows = 1;
	c->plan[0].cells = cells_new(c->arena, 1, 1 << 20);
	assert_true(cells_add(c->plan[0].cells, &cell, 1));
	c->plan[0].state = STATEMENT_SUCCEEDED;
	c->handler->answer(c);
	assert_false(c->answer.is_error);
	assert_in_range(c->answer.text.n, 40 << 10, (40 << 10) + 40);
	assert_non_null(strstr(buf_text(&c->answer.text), "\xc3\xa4\xe2\x80\xa6 (19042 more bytes)"));
	buf_free(&ddl);
	call_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_metadata, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_query, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_write, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_refused, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_border, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_long_ddl, set_up, help_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
