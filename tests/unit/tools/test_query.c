/* execute_query, cancel_query and set_context: what becomes of the client's SQL, and what is refused before it is sent.
 */
#include "help.h"

static void test_plain(void **state)
{
	struct call *c = help_plan("execute_query", "{\"query\":\"SELECT 1\",\"limit\":7,\"timeout_seconds\":12.0}");
	const struct statement *s = &c->plan[0];

	(void)state;
	assert_int_equal(c->plan_n, 1);
	assert_int_equal(s->kind, STATEMENT_RUN);
	assert_string_equal(s->sql, "SELECT 1");
	assert_int_equal(s->rows, 7);
	assert_int_equal(s->timeout_s, 12);
	assert_false(s->metadata || s->write);
	assert_int_equal(c->class, CLASS_READ);
	assert_string_equal(s->context.database, "SALES");
	assert_false(c->change.wanted);
	call_free(c);
}

static void test_context_of_one_call(void **state)
{
	struct call *c =
	    help_plan("execute_query", "{\"query\":\"SELECT 1\",\"database\":\"hr\",\"warehouse\":\"\\\"My wh\\\"\"}");

	(void)state;
	assert_string_equal(c->plan[0].context.database, "HR");
	assert_null(c->plan[0].context.schema); /* the other database's */
	assert_string_equal(c->plan[0].context.warehouse, "My wh");
	assert_string_equal(c->plan[0].context.role, "ANALYST");
	assert_string_equal(c->context.database, "SALES");
	call_free(c);
	c = help_plan("execute_query", "{\"query\":\"SELECT 1\",\"database\":\"sales\"}");
	assert_string_equal(c->plan[0].context.schema, "PUBLIC");
	call_free(c);
	help_refused("execute_query", "{\"query\":\"SELECT 1\",\"database\":\"a b\"}", ERR_INVALID_PARAMS,
		     "database: not an identifier: a b");
}

static void test_bindings(void **state)
{
	static const char *const want[][2] = {{"TEXT", "a'b"},     {"FIXED", "-9007199254740993"}, {"REAL", "0.5"},
					      {"BOOLEAN", "true"}, {"BOOLEAN", "false"},           {"TEXT", NULL}};
	struct call *c = help_plan("execute_query", "{\"query\":\"SELECT ?, ?, ?, ?, ?, ?\",\"bindings\":[\"a'b\","
						    "-9007199254740993, 0.5, true, false, null]}");
	const json_t *bindings = c->plan[0].bindings;

	(void)state;
	assert_int_equal(json_array_size(bindings), ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		const json_t *b = json_array_get(bindings, i);

		assert_string_equal(json_text_of(b, "type"), want[i][0]);
		if (want[i][1])
			assert_string_equal(json_text_of(b, "value"), want[i][1]);
		else
			assert_true(json_is_null(json_object_get(b, "value")));
	}
	call_free(c);
}

static void test_writes(void **state)
{
	static const struct {
		const char *query;
		bool dry_run, write;
		unsigned class;
		const char *sql;
	} cases[] = {
	    {"SELECT 1", false, false, CLASS_READ, "SELECT 1"},
	    {"DELETE FROM T", false, true, CLASS_DML, "DELETE FROM T"},
	    {"DROP TABLE T", false, true, CLASS_DDL, "DROP TABLE T"},
	    {"DELETE FROM T", true, false, CLASS_DML, "EXPLAIN USING JSON DELETE FROM T"},
	    {"SELECT 1", true, false, CLASS_READ, "EXPLAIN USING JSON SELECT 1"},
	};

	(void)state;
	policy.statements = CLASS_READ | CLASS_METADATA | CLASS_DML | CLASS_DDL;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char arguments[200];
		struct call *c;

		snprintf(arguments, sizeof arguments, "{\"query\":\"%s\",\"dry_run\":%s}", cases[i].query,
			 cases[i].dry_run ? "true" : "false");
		c = help_plan("execute_query", arguments);
		assert_int_equal(c->plan[0].write, cases[i].write);
		assert_int_equal(c->class, cases[i].class);
		assert_string_equal(c->plan[0].sql, cases[i].sql);
		call_free(c);
	}
}

/* ---- refusals: nothing is planned, and the text says why and where ---- */

static void test_guard(void **state)
{
	static const char *const refused[] = {"DELETE FROM T",
					      "SELECT 1; SELECT 2",
					      "DROP TABLE T",
					      "GRANT ROLE A TO USER B",
					      "CALL P()",
					      "BEGIN",
					      "SELECT 'open",
					      "gibberish",
					      "PUT file:///x @s",
					      "EXECUTE IMMEDIATE 'x'",
					      "ALTER SESSION SET QUERY_TAG = 'a', X = 1",
					      ""};
	char arguments[200];

	(void)state;
	for (size_t i = 0; *refused[i]; i++) {
		snprintf(arguments, sizeof arguments, "{\"query\":\"%s\"}", refused[i]);
		help_refused("execute_query", arguments, ERR_GUARD, "");
		/* showing the plan is no way around */
		snprintf(arguments, sizeof arguments, "{\"query\":\"%s\",\"dry_run\":true}", refused[i]);
		help_refused("execute_query", arguments, ERR_GUARD, "");
	}
	help_refused("execute_query", "{\"query\":\"SELECT 1\\n ; DELETE FROM T\"}", ERR_GUARD, "(line 2, column 2)");
}

static void test_policy(void **state)
{
	static const char *const roles[] = {"ANALYST", "READER"}, *const databases[] = {"SALES", "HR"};

	(void)state;
	help_refused("set_context", "{\"warehouse\":\"no good\"}", ERR_INVALID_PARAMS, "warehouse: not an identifier");
	texts_set(&policy.roles, 2, roles);
	texts_set(&policy.databases, 2, databases);
	help_refused("execute_query", "{\"query\":\"SELECT 1\",\"role\":\"accountadmin\"}", ERR_POLICY,
		     "role ACCOUNTADMIN is not allowed here; allowed: ANALYST, READER");
	help_refused("execute_query", "{\"query\":\"SELECT 1\",\"database\":\"secret\"}", ERR_POLICY,
		     "database SECRET is not allowed here; allowed: SALES, HR");
	help_refused("execute_query", "{\"query\":\"SELECT * FROM SECRET.PUBLIC.T\"}", ERR_POLICY, "SECRET");
	help_refused("set_context", "{\"role\":\"accountadmin\"}", ERR_POLICY, "role ACCOUNTADMIN");
}

/* Without a current database the text says so, and names no place in the SQL. */
static void test_policy_needs_a_database(void **state)
{
	static const char *const databases[] = {"SALES", "HR"};
	struct call *c;

	(void)state;
	texts_set(&policy.databases, 2, databases);
	c = help_call("execute_query", "{\"query\":\"SELECT 1\"}");
	c->context.database = c->context.schema = NULL;
	assert_int_equal(c->handler->plan(c), ERR_POLICY);
	assert_non_null(strstr(buf_text(&c->answer.text), "a current database is needed. Name one"));
	call_free(c);
}

/* ---- USE and ALTER SESSION ---- */

static struct call *in_session(const char *query)
{
	char arguments[300];
	struct call *c;

	snprintf(arguments, sizeof arguments, "{\"query\":\"%s\"}", query);
	c = help_call("execute_query", arguments);
	snprintf(c->session_id, sizeof c->session_id, "some-session");
	return c;
}

static void test_use_without_session(void **state)
{
	static const char *const uses[] = {"USE DATABASE HR",
					   "USE SCHEMA S",
					   "USE ROLE READER",
					   "USE WAREHOUSE W",
					   "ALTER SESSION SET TIMEZONE = 'UTC'",
					   "ALTER SESSION UNSET TIMEZONE"};
	char arguments[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
		snprintf(arguments, sizeof arguments, "{\"query\":\"%s\"}", uses[i]);
		help_refused("execute_query", arguments, ERR_SESSION, "need a session: call set_context");
	}
}

static void test_use_in_session(void **state)
{
	struct call *c = in_session("USE DATABASE hr");

	(void)state;
	assert_int_equal(c->handler->plan(c), ERR_OK);
	assert_true(c->change.wanted);
	assert_false(c->change.create);
	assert_string_equal(c->change.context.database, "HR");
	assert_null(c->change.context.schema);
	assert_string_equal(c->change.context.role, "ANALYST");
	/* not the client's text is sent, but a question under the new context */
	assert_int_equal(c->plan_n, 1);
	assert_string_equal(c->plan[0].sql,
			    "SELECT CURRENT_ROLE(), CURRENT_WAREHOUSE(), CURRENT_DATABASE(), CURRENT_SCHEMA()");
	assert_true(c->plan[0].metadata);
	assert_string_equal(c->plan[0].context.database, "HR");
	assert_string_equal(c->context.database, "SALES");
	call_free(c);

	c = in_session("ALTER SESSION SET timezone = 'Europe/Berlin'");
	assert_int_equal(c->handler->plan(c), ERR_OK);
	assert_string_equal(json_text_of(c->change.context.parameters, "TIMEZONE"), "Europe/Berlin");
	assert_null(c->context.parameters);
	call_free(c);

	c = in_session("USE ROLE ACCOUNTADMIN");
	assert_int_equal(c->handler->plan(c), ERR_POLICY);
	assert_false(c->change.wanted);
	call_free(c);
}

/* "Nothing is executed" holds for what changes the session too. */
static void test_use_dry_run(void **state)
{
	struct call *c = help_call("execute_query", "{\"query\":\"USE DATABASE HR\",\"dry_run\":true}");

	(void)state;
	snprintf(c->session_id, sizeof c->session_id, "some-session");
	assert_int_equal(c->handler->plan(c), ERR_INVALID_PARAMS);
	assert_true(c->answer.is_error);
	assert_false(c->change.wanted);
	call_free(c);
}

/* ---- the probe's word ---- */

static void probed(struct call *c, const char *role, const char *warehouse, const char *database, const char *schema)
{
	struct statement *s = &c->plan[0];
	json_t *rows = json_pack("[[s?, s?, s?, s?]]", role, warehouse, database, schema);

	assert_true(arena_attach(c->arena, rows, json_release));
	help_fill(c, s, 0, rows);
	s->state = STATEMENT_SUCCEEDED;
	c->handler->confirm(c);
}

static void test_confirm(void **state)
{
	struct call *c = in_session("USE DATABASE hr");

	(void)state;
	assert_int_equal(c->handler->plan(c), ERR_OK);
	probed(c, "ANALYST", "WH_XS", "HR", "PUBLIC");
	assert_false(c->answer.is_error);
	assert_string_equal(c->change.context.schema, "PUBLIC"); /* what Snowflake fell back on */
	c->handler->answer(c);
	assert_non_null(strstr(buf_text(&c->answer.text), "\"database\":\"HR\""));
	call_free(c);

	c = in_session("USE DATABASE hr");
	assert_int_equal(c->handler->plan(c), ERR_OK);
	probed(c, "ANALYST", "WH_XS", NULL, NULL);
	assert_true(c->answer.is_error);
	assert_non_null(strstr(buf_text(&c->answer.text), "database HR does not exist or is not granted"));
	call_free(c);
}

/* ---- set_context ---- */

static void test_set_context(void **state)
{
	struct call *c = help_plan(
	    "set_context", "{\"schema\":\"core\",\"parameters\":{\"timezone\":\"UTC\",\"ROWS_PER_RESULTSET\":1},"
			   "\"preferences\":{\"format\":\"json\",\"limit\":5,\"wait_seconds\":0}}");

	(void)state;
	assert_true(c->change.wanted && c->change.create);
	assert_string_equal(c->change.context.schema, "CORE");
	assert_string_equal(json_text_of(c->change.context.parameters, "TIMEZONE"), "UTC");
	assert_string_equal(json_text_of(c->change.context.parameters, "ROWS_PER_RESULTSET"), "1");
	assert_string_equal(c->change.format, "json");
	assert_int_equal(c->change.limit, 5);
	assert_int_equal(c->change.wait_seconds, 0);
	assert_int_equal(c->plan_n, 1);
	call_free(c);
	/* without arguments it only tells */
	c = help_plan("set_context", "{}");
	assert_int_equal(c->plan_n, 0);
	assert_false(c->change.wanted);
	c->handler->answer(c);
	assert_non_null(strstr(buf_text(&c->answer.structured), "\"limits\":{\"callsPerMinute\":600"));
	assert_null(strstr(buf_text(&c->answer.structured), "\"session\""));
	call_free(c);
	c = help_plan("set_context", "{\"session\":\"abcdefghijkl\"}");
	assert_int_equal(c->plan_n, 0);
	call_free(c);
	help_refused("set_context", "{\"parameters\":{\"NO_SUCH\":1}}", ERR_INVALID_PARAMS, "parameters.NO_SUCH: ");
	help_refused("set_context", "{\"parameters\":{\"TIMEZONE\":[1]}}", ERR_INVALID_PARAMS, "parameters.TIMEZONE: ");
}

static void test_null_takes_a_parameter_back(void **state)
{
	struct call *c = help_call("set_context", "{\"parameters\":{\"TIMEZONE\":null}}");

	(void)state;
	c->context.parameters = json_pack("{s:s, s:s}", "TIMEZONE", "UTC", "QUERY_TAG", "x");
	assert_true(arena_attach(c->arena, c->context.parameters, json_release));
	assert_int_equal(c->handler->plan(c), ERR_OK);
	assert_null(json_object_get(c->change.context.parameters, "TIMEZONE"));
	assert_string_equal(json_text_of(c->change.context.parameters, "QUERY_TAG"), "x");
	assert_string_equal(json_text_of(c->context.parameters, "TIMEZONE"), "UTC"); /* not the session's own */
	call_free(c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, help_set_up, help_tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_plain),
	    TEST(test_context_of_one_call),
	    TEST(test_bindings),
	    TEST(test_writes),
	    TEST(test_guard),
	    TEST(test_policy),
	    TEST(test_policy_needs_a_database),
	    TEST(test_use_without_session),
	    TEST(test_use_in_session),
	    TEST(test_use_dry_run),
	    TEST(test_confirm),
	    TEST(test_set_context),
	    TEST(test_null_takes_a_parameter_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
