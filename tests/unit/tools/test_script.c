/* Scripts, session parameters that need an ALTER SESSION, and dry runs. */
#include "help.h"

static int set_up(void **state)
{
	help_set_up(state);
	policy.statements = CLASS_READ | CLASS_METADATA | CLASS_DML | CLASS_SCRIPT;
	policy.confirm = CONFIRM_NEVER;
	return 0;
}

static void test_planned(void **state)
{
	struct call *c = help_plan("execute_query", "{\"query\":\"BEGIN; INSERT INTO T VALUES (1); COMMIT; -- end\"}");

	(void)state;
	assert_int_equal(c->plan_n, 1);
	assert_int_equal(c->plan[0].statements, 3);
	assert_string_equal(c->plan[0].sql, "BEGIN;\nINSERT INTO T VALUES (1);\nCOMMIT");
	assert_true(c->plan[0].write);
	assert_int_equal(c->class, CLASS_DML | CLASS_SCRIPT);
	call_free(c);
	/* one statement is no script */
	c = help_plan("execute_query", "{\"query\":\"SELECT 1;\"}");
	assert_int_equal(c->plan[0].statements, 0);
	assert_false(c->plan[0].write);
	call_free(c);
}

/* Each statement is judged by itself, and the place that is told counts from the start of the text. */
static void test_refused(void **state)
{
	(void)state;
	help_refused("execute_query", "{\"query\":\"SELECT 1;\\nSELECT 2; DROP TABLE T\"}", ERR_GUARD,
		     "(line 2, column 11)");
	help_refused("execute_query", "{\"query\":\"SELECT 1; CALL P()\"}", ERR_GUARD, "CALL is refused");
	help_refused("execute_query", "{\"query\":\"SELECT 1; SELECT ?\",\"bindings\":[1]}", ERR_INVALID_PARAMS,
		     "bindings");
	/* nothing is left open, closed twice, or pretended outside a script */
	help_refused("execute_query", "{\"query\":\"BEGIN; INSERT INTO T VALUES (1)\"}", ERR_GUARD,
		     "ends within a transaction");
	help_refused("execute_query", "{\"query\":\"SELECT 1; ROLLBACK\"}", ERR_GUARD, "without a BEGIN");
	help_refused("execute_query", "{\"query\":\"BEGIN; BEGIN; COMMIT\"}", ERR_GUARD, "within a transaction");
	help_refused("execute_query", "{\"query\":\"BEGIN\"}", ERR_GUARD, "does not outlive one call");
	help_refused("execute_query", "{\"query\":\"ROLLBACK;\"}", ERR_GUARD, "does not outlive one call");
	/* role, warehouse and tag are those of the whole text */
	help_refused("execute_query", "{\"query\":\"USE ROLE R; SELECT 1\"}", ERR_GUARD,
		     "arguments role and warehouse");
	help_refused("execute_query", "{\"query\":\"USE WAREHOUSE W; SELECT 1\"}", ERR_GUARD,
		     "arguments role and warehouse");
	help_refused("execute_query", "{\"query\":\"ALTER SESSION SET QUERY_TAG = 'x'; SELECT 1\"}", ERR_GUARD,
		     "QUERY_TAG");
	help_refused("execute_query", "{\"query\":\"ALTER SESSION UNSET QUERY_TAG; SELECT 1\"}", ERR_GUARD,
		     "QUERY_TAG");
	policy.databases = TEXTS("SALES");
	help_refused("execute_query", "{\"query\":\"SELECT 1; SELECT * FROM HR.PUBLIC.T\"}", ERR_POLICY, "HR");
	help_refused("execute_query", "{\"query\":\"USE DATABASE HR; SELECT * FROM T\"}", ERR_POLICY, "HR");
	policy.statements &= ~(unsigned)CLASS_SCRIPT;
	help_refused("execute_query", "{\"query\":\"SELECT 1; SELECT 2\"}", ERR_GUARD, "more than one statement");
}

static const char *const children[] = {"01b2c3d4-0000-0001-0000-00000000000a", "01b2c3d4-0000-0001-0000-00000000000b"};

static void test_told(void **state)
{
	struct call *c = help_plan("execute_query", "{\"query\":\"SELECT 1; SELECT 2\",\"format\":\"json\"}");
	struct statement *s = &c->plan[0];
	json_t *list, *root;

	(void)state;
	s->state = STATEMENT_SUCCEEDED;
	s->children = children;
	s->children_n = 2;
	snprintf(s->handle, sizeof s->handle, "%s", children[1]);
	c->handler->answer(c);
	assert_int_equal(json_parse(buf_slice(&c->answer.structured), 32, &root, NULL, 0), JSON_OK);
	list = json_object_get(root, "statements");
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(json_text_of(json_array_get(list, 0), "queryId"), children[0]);
	assert_memory_equal(json_text_of(json_array_get(list, 1), "statementHandle"), children[1], strlen(children[1]));
	assert_string_equal(buf_text(&c->answer.text), buf_text(&c->answer.structured));
	json_decref(root);
	call_free(c);
}

/* Rows of more than the handles are not lost behind them. */
static void test_told_before_many_rows(void **state)
{
	struct call *c;
	struct statement *s;
	struct column column = {.name = "A", .type = "TEXT", .kind = COLUMN_TEXT, true, -1, -1};
	json_t *rows = json_array();

	(void)state;
	conf.results_max_bytes = 1 << 20;
	c = help_plan("execute_query", "{\"query\":\"SELECT 1; SELECT 2\"}");
	s = &c->plan[0];
	for (int i = 0; i < 90; i++) {
		char text[1001];

		snprintf(text, sizeof text, "%01000d", i);
		json_array_append_new(rows, json_pack("[s]", text));
	}
	s->columns = &column;
	s->columns_n = 1;
	s->total_rows = 90;
	help_fill(c, s, 0, rows);
	json_decref(rows);
	s->state = STATEMENT_SUCCEEDED;
	s->children = children;
	s->children_n = 2;
	snprintf(s->handle, sizeof s->handle, "%s", children[1]);
	c->handler->answer(c);
	assert_false(c->answer.is_error);
	assert_memory_equal(buf_text(&c->answer.text), "2 statements ran;", 17);
	assert_true(c->answer.text.n > 90000);
	call_free(c);
}

/* Who is asked sees each statement that destroys, whatever stands before it, and where it runs. */
static void test_asked(void **state)
{
	struct call *c;
	const char *message;
	char query[1200];

	(void)state;
	policy.confirm = CONFIRM_ASK;
	snprintf(query, sizeof query,
		 "{\"query\":\"SELECT '%0500d'; USE DATABASE HR; DELETE FROM PAY WHERE ID = 1; SELECT 2; TRUNCATE "
		 "TABLE LOG\"}",
		 7);
	c = help_call("execute_query", query);
	c->can = CLIENT_FORM;
	assert_int_equal(c->handler->plan(c), ERR_OK);
	assert_int_equal(c->asks_n, 1);
	assert_int_equal(c->plan_n, 0);
	message = json_text_of(c->asks[0].params, "message");
	assert_non_null(strstr(message, "DELETE FROM PAY WHERE ID = 1\n(as role ANALYST in database HR)"));
	assert_non_null(strstr(message, "TRUNCATE TABLE LOG"));
	assert_null(strstr(message, "SELECT"));
	call_free(c);
}

/* What ran before the statement that failed stays done: the whole may not be sent again. */
static void test_failed_in_the_middle(void **state)
{
	static const enum err errs[] = {ERR_SQL, ERR_TIMEOUT, ERR_CANCELLED};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(errs); i++) {
		struct call *c = help_plan("execute_query", "{\"query\":\"INSERT INTO T VALUES (1); DELETE FROM T\"}");
		json_t *error;

		c->plan[0].state = STATEMENT_FAILED;
		c->plan[0].failure = (struct failure){errs[i], "100132", "P0000", "it failed"};
		snprintf(c->plan[0].handle, sizeof c->plan[0].handle, "%s", QUERY_ID);
		c->handler->answer(c);
		assert_non_null(strstr(buf_text(&c->answer.text), "stay done"));
		error = json_object_get(c->answer.meta, "snowgate/error");
		assert_false(json_is_true(json_object_get(error, "retryable")));
		call_free(c);
	}
}

static void test_settings(void **state)
{
	struct call *c = help_call("execute_query", "{\"query\":\"SELECT 1\"}");

	(void)state;
	c->context.parameters = json_pack("{s:s, s:s}", "WEEK_START", "1", "TIMEZONE", "UTC");
	assert_true(arena_attach(c->arena, c->context.parameters, json_release));
	assert_int_equal(c->handler->plan(c), ERR_OK);
	assert_string_equal(c->plan[0].settings, "ALTER SESSION SET WEEK_START = 1");
	call_free(c);

	c = help_call("execute_query", "{\"query\":\"SELECT ?\",\"bindings\":[1]}");
	c->context.parameters = json_pack("{s:s}", "WEEK_START", "1");
	assert_true(arena_attach(c->arena, c->context.parameters, json_release));
	assert_int_equal(c->handler->plan(c), ERR_INVALID_PARAMS);
	assert_non_null(strstr(buf_text(&c->answer.text), "WEEK_START = 1"));
	call_free(c);
}

/* What Snowflake has no plan for is judged by the guard alone: nothing is sent. */
static void test_dry_run_without_plan(void **state)
{
	static const char *const queries[] = {"SHOW TABLES", "SELECT 1; DELETE FROM T", "TRUNCATE TABLE T"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		char arguments[200];
		struct call *c;

		snprintf(arguments, sizeof arguments, "{\"query\":\"%s\",\"dry_run\":true}", queries[i]);
		c = help_plan("execute_query", arguments);
		assert_int_equal(c->plan_n, 0);
		c->handler->answer(c);
		assert_non_null(strstr(buf_text(&c->answer.text), "nothing was executed"));
		call_free(c);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, help_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_planned),  TEST(test_refused),
	    TEST(test_told),     TEST(test_told_before_many_rows),
	    TEST(test_asked),    TEST(test_failed_in_the_middle),
	    TEST(test_settings), TEST(test_dry_run_without_plan),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
