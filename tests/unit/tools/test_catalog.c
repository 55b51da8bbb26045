/* The catalogue's tools: what is sent for them, hostile names included, and what a policy hides. */
#include "help.h"

static void sql_is(const char *tool, const char *arguments, const char *sql)
{
	struct call *c = help_plan(tool, arguments);

	assert_int_equal(c->plan_n, 1);
	assert_int_equal(c->plan[0].kind, STATEMENT_RUN);
	assert_string_equal(c->plan[0].sql, sql);
	assert_true(c->plan[0].metadata);
	assert_false(c->plan[0].write);
	assert_null(c->plan[0].bindings);
	call_free(c);
}

static void test_show(void **state)
{
	static const struct {
		const char *arguments, *sql;
	} cases[] = {
	    {"{\"kind\":\"database\"}", "SHOW DATABASES"},
	    {"{\"kind\":\"warehouse\",\"like\":\"WH%\"}", "SHOW WAREHOUSES LIKE 'WH%'"},
	    {"{\"kind\":\"role\"}", "SHOW ROLES"},
	    {"{\"kind\":\"schema\"}", "SHOW SCHEMAS IN DATABASE \"SALES\""},
	    {"{\"kind\":\"table\"}", "SHOW TABLES IN SCHEMA \"SALES\".\"PUBLIC\""},
	    {"{\"kind\":\"view\",\"in\":\"hr\"}", "SHOW VIEWS IN DATABASE \"HR\""},
	    {"{\"kind\":\"table\",\"in\":\"hr.core\"}", "SHOW TABLES IN SCHEMA \"HR\".\"CORE\""},
	    {"{\"kind\":\"column\",\"in\":\"hr.core.t\"}", "SHOW COLUMNS IN TABLE \"HR\".\"CORE\".\"T\""},
	    {"{\"kind\":\"function\",\"in\":\"hr\"}", "SHOW USER FUNCTIONS IN DATABASE \"HR\""},
	    /* hostile */
	    {"{\"kind\":\"table\",\"in\":\"\\\"a\\\"\\\"; DROP TABLE x; --\\\"\"}",
	     "SHOW TABLES IN DATABASE \"a\"\"; DROP TABLE x; --\""},
	    {"{\"kind\":\"table\",\"in\":\"\\\"a.b\\\".\\\"c d\\\"\"}", "SHOW TABLES IN SCHEMA \"a.b\".\"c d\""},
	    {"{\"kind\":\"database\",\"like\":\"'; DROP TABLE x; --\"}", "SHOW DATABASES LIKE '''; DROP TABLE x; --'"},
	    {"{\"kind\":\"database\",\"like\":\"\\\\'\"}", "SHOW DATABASES LIKE '\\\\'''"},
	    {"{\"kind\":\"database\",\"like\":\"\"}", "SHOW DATABASES LIKE ''"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		sql_is("list_objects", cases[i].arguments, cases[i].sql);
}

static void test_no_scope_is_the_account(void **state)
{
	struct call *c = help_call("list_objects", "{\"kind\":\"table\"}");

	(void)state;
	c->context.database = c->context.schema = NULL;
	assert_int_equal(c->handler->plan(c), ERR_OK);
	assert_string_equal(c->plan[0].sql, "SHOW TABLES IN ACCOUNT");
	call_free(c);
}

static void test_bad_scope(void **state)
{
	static const char *const bad[] = {"",    "a.b.c", "a b", "a;b", "\\\"a", "a.",       ".a",
					  "'a'", "a--",   "a/*", "1a",  "a..b",  "\\\"\\\"", "\\u202ea"};
	char arguments[120];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(arguments, sizeof arguments, "{\"kind\":\"table\",\"in\":\"%s\"}", bad[i]);
		help_refused("list_objects", arguments, ERR_INVALID_PARAMS, "in: ");
	}
	help_refused("list_objects", "{\"kind\":\"warehouse\",\"in\":\"a\"}", ERR_INVALID_PARAMS, "leave it out");
}

static void test_databases_of_the_policy(void **state)
{
	static const char *const databases[] = {"SALES", "HR"};
	struct call *c;

	(void)state;
	texts_set(&policy.databases, 2, databases);
	sql_is("list_objects", "{\"kind\":\"table\",\"in\":\"hr\"}", "SHOW TABLES IN DATABASE \"HR\"");
	help_refused("list_objects", "{\"kind\":\"table\",\"in\":\"secret\"}", ERR_POLICY, "SECRET is not allowed");
	help_refused("list_objects", "{\"kind\":\"table\",\"in\":\"\\\"hr\\\"\"}", ERR_POLICY, "hr is not allowed");
	help_refused("describe_object", "{\"names\":[\"SECRET.PUBLIC.T\"]}", ERR_INVALID_PARAMS, "not allowed");
	help_refused("list_views", "{\"database\":\"secret\"}", ERR_POLICY, "database SECRET");
	help_refused("query_view", "{\"database\":\"secret\",\"view_name\":\"v\"}", ERR_POLICY, "database SECRET");
	/* the whole account is more than it may see */
	c = help_call("list_objects", "{\"kind\":\"table\"}");
	c->context.database = c->context.schema = NULL;
	assert_int_equal(c->handler->plan(c), ERR_INVALID_PARAMS);
	call_free(c);
}

/* A session made under an older policy: what it holds is checked again, and what it leaves open is the policy's. */
static void test_context_under_the_policy_of_now(void **state)
{
	static const char *const roles[] = {"READER"};
	static const char *const tools[][2] = {{"list_databases", "{}"},
					       {"list_objects", "{\"kind\":\"table\"}"},
					       {"describe_object", "{\"names\":[\"T\"]}"},
					       {"execute_query", "{\"query\":\"SELECT 1\"}"},
					       {"list_views", "{\"database\":\"SALES\"}"}};

	(void)state;
	texts_set(&policy.roles, 1, roles);
	policy.warehouse = "WH_FIXED";
	for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
		struct call *c = help_call(tools[i][0], tools[i][1]);

		c->context.warehouse = NULL;
		assert_int_equal(c->handler->plan(c), ERR_POLICY);
		assert_non_null(strstr(buf_text(&c->answer.text), "role ANALYST is not allowed"));
		call_free(c);
		c = help_call(tools[i][0], tools[i][1]);
		c->context.role = c->context.warehouse = NULL;
		assert_int_equal(c->handler->plan(c), ERR_OK);
		for (size_t k = 0; k < c->plan_n; k++) {
			assert_string_equal(c->plan[k].context.role, "READER");
			assert_string_equal(c->plan[k].context.warehouse, "WH_FIXED");
		}
		call_free(c);
	}
}

/* ---- list_objects' answer ---- */

static struct column columns[] = {{.name = "created_on", .type = "TEXT", .kind = COLUMN_TEXT},
				  {.name = "name", .type = "TEXT", .kind = COLUMN_TEXT},
				  {.name = "noise", .type = "TEXT", .kind = COLUMN_TEXT},
				  {.name = "comment", .type = "TEXT", .kind = COLUMN_TEXT}};

static struct call *shown(const char *arguments)
{
	static const char *const names[] = {"SALES", "SECRET", "HR", "SECRET2", "OPS"};
	struct call *c = help_plan("list_objects", arguments);
	struct statement *s = &c->plan[0];
	json_t *rows = json_array();

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		json_array_append_new(rows, json_pack("[s, s, s, n]", "2026", names[i], "x"));
	assert_true(arena_attach(c->arena, rows, json_release));
	s->state = STATEMENT_SUCCEEDED;
	memcpy(s->handle, QUERY_ID, sizeof QUERY_ID);
	s->columns = columns;
	s->columns_n = ARRAY_LEN(columns);
	s->total_rows = ARRAY_LEN(names);
	help_fill(c, s, 0, rows);
	c->handler->answer(c);
	assert_false(c->answer.is_error);
	return c;
}

/* What the policy hides is hidden everywhere: no handle leads to the rows as Snowflake gave them. */
static void test_hidden_rows(void **state)
{
	static const char *const databases[] = {"SALES", "HR", "OPS"};
	struct call *c;

	(void)state;
	texts_set(&policy.databases, 3, databases);
	c = shown("{\"kind\":\"database\"}");
	assert_string_equal(buf_text(&c->answer.text), "3 rows; ANALYST@WH_XS SALES.PUBLIC; 0.0 s\n"
						       "name,comment,created_on\nSALES,,2026\nHR,,2026\nOPS,,2026\n");
	call_free(c);
	c = shown("{\"kind\":\"database\",\"limit\":2}");
	assert_memory_equal(buf_text(&c->answer.text), "2 of 3 rows, cut at limit; next: the same call with offset=2;",
			    61);
	call_free(c);
	c = shown("{\"kind\":\"database\",\"limit\":2,\"offset\":2,\"format\":\"json\"}");
	assert_non_null(strstr(buf_text(&c->answer.structured), "[[\"OPS\",null,\"2026\"]]"));
	assert_non_null(strstr(buf_text(&c->answer.structured), "\"rowCount\":1,\"totalRows\":3,\"truncated\":false"));
	assert_non_null(strstr(buf_text(&c->answer.structured), "\"statementHandle\":\"\""));
	assert_null(strstr(buf_text(&c->answer.structured), "SECRET"));
	call_free(c);
}

/* ---- describe_object ---- */

static const char *bound(const struct statement *s, size_t i)
{
	return json_text_of(json_array_get(s->bindings, i), "value");
}

static void test_describe_binds_names(void **state)
{
	struct call *c = help_plan("describe_object", "{\"names\":[\"t\",\"core.\\\"x' OR 1=1 --\\\"\"]}");

	(void)state;
	assert_int_equal(c->plan_n, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct statement *s = &c->plan[i];

		assert_non_null(
		    strstr(s->sql, i ? "FROM \"SALES\".INFORMATION_SCHEMA.COLUMNS WHERE (TABLE_SCHEMA = ? AND "
				       "TABLE_NAME = ?) OR (TABLE_SCHEMA = ? AND TABLE_NAME = ?) ORDER BY"
				     : "FROM \"SALES\".INFORMATION_SCHEMA.TABLES WHERE"));
		assert_null(strstr(s->sql, "1=1"));
		assert_int_equal(json_array_size(s->bindings), 4);
		assert_string_equal(bound(s, 0), "PUBLIC");
		assert_string_equal(bound(s, 1), "T");
		assert_string_equal(bound(s, 2), "CORE");
		assert_string_equal(bound(s, 3), "x' OR 1=1 --");
		assert_string_equal(json_text_of(json_array_get(s->bindings, 0), "type"), "TEXT");
	}
	call_free(c);
}

static void test_describe_databases(void **state)
{
	struct call *c =
	    help_plan("describe_object", "{\"names\":[\"A.S.T\",\"\\\"b\\\"\\\"c\\\".S.T\",\"A.S.U\"],\"kind\":"
					 "\"view\"}");

	(void)state;
	/* two looks for each database, and the DDL of all */
	assert_int_equal(c->plan_n, 5);
	assert_non_null(strstr(c->plan[0].sql, "FROM \"A\".INFORMATION_SCHEMA.TABLES"));
	assert_non_null(strstr(c->plan[2].sql, "FROM \"b\"\"c\".INFORMATION_SCHEMA.TABLES"));
	assert_int_equal(json_array_size(c->plan[0].bindings), 4);
	assert_int_equal(json_array_size(c->plan[2].bindings), 2);
	assert_string_equal(c->plan[4].sql, "SELECT GET_DDL('VIEW', '\"A\".\"S\".\"T\"'), GET_DDL('VIEW', "
					    "'\"b\"\"c\".\"S\".\"T\"'), GET_DDL('VIEW', '\"A\".\"S\".\"U\"')");
	call_free(c);
	help_refused("describe_object", "{\"names\":[\"A.S.T\",\"B.S.T\",\"C.S.T\",\"D.S.T\"]}", ERR_INVALID_PARAMS,
		     "at most 3 databases");
	help_refused("describe_object", "{\"names\":[\"a b\"]}", ERR_INVALID_PARAMS, "names: a b: ");
	help_refused("describe_object", "{\"names\":[\"a.b.c.d\"]}", ERR_INVALID_PARAMS, "too many parts");
}

static void test_describe_needs_a_context(void **state)
{
	struct call *c = help_call("describe_object", "{\"names\":[\"T\"]}");

	(void)state;
	c->context.database = c->context.schema = NULL;
	assert_int_equal(c->handler->plan(c), ERR_INVALID_PARAMS);
	assert_non_null(strstr(buf_text(&c->answer.text), "no current database"));
	call_free(c);
}

/* ---- classic ---- */

static void test_classic(void **state)
{
	struct call *c;

	(void)state;
	sql_is("list_databases", "{}", "SHOW DATABASES");
	sql_is("list_views", "{\"database\":\"hr\"}", "SHOW VIEWS IN DATABASE \"HR\"");
	sql_is("list_views", "{\"database\":\"\\\"h\\\"\\\"r\\\"\",\"schema\":\"s\"}",
	       "SHOW VIEWS IN SCHEMA \"h\"\"r\".\"S\"");
	c = help_plan("describe_view", "{\"database\":\"hr\",\"view_name\":\"\\\"v'w\\\"\"}");
	assert_int_equal(c->plan_n, 2);
	assert_string_equal(c->plan[0].sql, "DESCRIBE VIEW \"HR\".\"PUBLIC\".\"v'w\"");
	assert_string_equal(c->plan[1].sql, "SELECT GET_DDL('VIEW', '\"HR\".\"PUBLIC\".\"v''w\"')");
	call_free(c);
	c = help_plan("query_view", "{\"database\":\"hr\",\"schema\":\"core\",\"view_name\":\"v\"}");
	assert_string_equal(c->plan[0].sql, "SELECT * FROM \"HR\".\"CORE\".\"V\" LIMIT 10");
	assert_false(c->plan[0].metadata);
	assert_int_equal(c->class, CLASS_READ);
	call_free(c);
	help_refused("query_view", "{\"database\":\"hr\",\"view_name\":\"v; DROP TABLE x\"}", ERR_INVALID_PARAMS,
		     "view_name: not an identifier");
	help_refused("list_views", "{\"database\":\"a.b\"}", ERR_INVALID_PARAMS, "database: not an identifier");
}

static void test_no_connection(void **state)
{
	(void)state;
	policy.connection = NULL;
	policy.roles = TEXTS("ANALYST");
	help_refused("list_databases", "{}", ERR_UPSTREAM, "no Snowflake connection is configured");
	help_refused("list_objects", "{\"kind\":\"database\"}", ERR_UPSTREAM, "no Snowflake connection");
	help_refused("describe_object", "{\"names\":[\"T\"]}", ERR_UPSTREAM, "no Snowflake connection");
	help_refused("execute_query", "{\"query\":\"SELECT 1\"}", ERR_UPSTREAM, "no Snowflake connection");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, help_set_up, help_tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_show),
	    TEST(test_no_scope_is_the_account),
	    TEST(test_bad_scope),
	    TEST(test_databases_of_the_policy),
	    TEST(test_context_under_the_policy_of_now),
	    TEST(test_hidden_rows),
	    TEST(test_describe_binds_names),
	    TEST(test_describe_databases),
	    TEST(test_describe_needs_a_context),
	    TEST(test_classic),
	    TEST(test_no_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
