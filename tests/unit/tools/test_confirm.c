/* The confirmation of destructive statements: who is asked and what, which answers let the statement go on. */
#include "help.h"

#define DELETE "{\"query\":\"DELETE FROM T\"}"

static int set_up(void **state)
{
	help_set_up(state);
	policy.statements = CLASS_READ | CLASS_METADATA | CLASS_DML | CLASS_DDL | CLASS_DCL;
	return 0;
}

static struct call *call_of(unsigned can, const char *arguments)
{
	struct call *c = help_call("execute_query", arguments);

	c->can = can;
	return c;
}

/* The plan must have asked, and planned nothing. Returns the question's params. */
static const json_t *asked(struct call *c)
{
	if (c->handler->plan(c) != ERR_OK)
		fail_msg("%s", buf_text(&c->answer.text));
	assert_false(c->answer.is_error);
	assert_int_equal(c->plan_n, 0);
	assert_int_equal(c->asks_n, 1);
	assert_string_equal(c->asks[0].key, "confirm");
	assert_string_equal(c->asks[0].method, "elicitation/create");
	return c->asks[0].params;
}

/* Nobody is asked, and nothing that writes is planned. */
static void shows(struct call *c)
{
	assert_int_equal(c->handler->plan(c), ERR_OK);
	assert_int_equal(c->asks_n, 0);
	assert_true(c->plan_n == 0 || !c->plan[0].write);
}

static void runs(struct call *c)
{
	if (c->handler->plan(c) != ERR_OK)
		fail_msg("%s", buf_text(&c->answer.text));
	assert_int_equal(c->asks_n, 0);
	assert_int_equal(c->plan_n, 1);
}

static void refused(struct call *c, const char *says)
{
	const json_t *error;

	assert_int_equal(c->handler->plan(c), ERR_UNCONFIRMED);
	assert_int_equal(c->plan_n, 0);
	assert_int_equal(c->asks_n, 0);
	assert_true(c->answer.is_error);
	assert_memory_equal(buf_text(&c->answer.text), "Nothing was run, since it was not confirmed: ", 45);
	if (!strstr(buf_text(&c->answer.text), says))
		fail_msg("\"%s\" lacks \"%s\"", buf_text(&c->answer.text), says);
	error = json_object_get(c->answer.meta, "snowgate/error");
	assert_string_equal(json_text_of(error, "code"), "UNCONFIRMED");
	assert_true(json_is_false(json_object_get(error, "retryable")));
}

/* ---- who is asked ---- */

static void test_who_is_asked(void **state)
{
	static const struct {
		enum policy_confirm confirm;
		unsigned can;
		enum { ASKS, RUNS, REFUSES } then;
	} cases[] = {
	    {CONFIRM_ASK, CLIENT_FORM, ASKS},
	    {CONFIRM_ASK, CLIENT_FORM | CLIENT_URL | CLIENT_SAMPLING, ASKS},
	    {CONFIRM_ASK, 0, RUNS},
	    {CONFIRM_ASK, CLIENT_URL | CLIENT_SAMPLING | CLIENT_ROOTS, RUNS}, /* a form cannot be shown */
	    {CONFIRM_REQUIRE, CLIENT_FORM, ASKS},
	    {CONFIRM_REQUIRE, 0, REFUSES},
	    {CONFIRM_REQUIRE, CLIENT_URL, REFUSES},
	    {CONFIRM_NEVER, CLIENT_FORM, RUNS},
	    {CONFIRM_NEVER, 0, RUNS},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct call *c = call_of(cases[i].can, DELETE);

		policy.confirm = cases[i].confirm;
		if (cases[i].then == ASKS)
			asked(c);
		else if (cases[i].then == RUNS)
			runs(c);
		else
			refused(c, "`elicitation`");
		call_free(c);
	}
}

static void test_what_is_asked_about(void **state)
{
	static const char *const destructive[] = {"DROP TABLE T",
						  "UPDATE T SET A = 1",
						  "CREATE OR REPLACE TABLE T (A INT)",
						  "TRUNCATE TABLE T",
						  "REVOKE SELECT ON TABLE T FROM ROLE R",
						  "INSERT OVERWRITE INTO T SELECT 1",
						  "EXPLAIN DELETE FROM T",
						  "ALTER TABLE T SET DATA_RETENTION_TIME_IN_DAYS = 0"};
	static const char *const harmless[] = {"SELECT 1", "INSERT INTO T VALUES (1)", "CREATE TABLE T (A INT)",
					       "SHOW TABLES", "UNDROP TABLE T"};
	char arguments[200];

	(void)state;
	policy.confirm = CONFIRM_REQUIRE;
	for (size_t i = 0; i < ARRAY_LEN(destructive); i++) {
		struct call *c;

		snprintf(arguments, sizeof arguments, "{\"query\":\"%s\"}", destructive[i]);
		c = call_of(CLIENT_FORM, arguments);
		assert_non_null(strstr(json_text_of(asked(c), "message"), destructive[i]));
		call_free(c);
		/* what only shows the plan asks nobody */
		snprintf(arguments, sizeof arguments, "{\"query\":\"%s\",\"dry_run\":true}", destructive[i]);
		c = call_of(CLIENT_FORM, arguments);
		shows(c);
		call_free(c);
		c = call_of(0, arguments);
		shows(c);
		call_free(c);
	}
	for (size_t i = 0; i < ARRAY_LEN(harmless); i++) {
		struct call *c;

		snprintf(arguments, sizeof arguments, "{\"query\":\"%s\"}", harmless[i]);
		c = call_of(CLIENT_FORM, arguments);
		runs(c);
		call_free(c);
	}
}

/* Nobody is asked about what would be refused anyway. */
static void test_refused_unasked(void **state)
{
	static const char *const databases[] = {"SALES"};
	struct call *c;

	(void)state;
	policy.statements = CLASS_READ;
	c = call_of(CLIENT_FORM, DELETE);
	assert_int_equal(c->handler->plan(c), ERR_GUARD);
	assert_int_equal(c->asks_n, 0);
	call_free(c);
	policy.statements = CLASS_READ | CLASS_DML;
	texts_set(&policy.databases, 1, databases);
	c = call_of(CLIENT_FORM, "{\"query\":\"DELETE FROM SECRET.PUBLIC.T\"}");
	assert_int_equal(c->handler->plan(c), ERR_POLICY);
	assert_int_equal(c->asks_n, 0);
	call_free(c);
}

/* ---- the question ---- */

/* A flat form of one required boolean whose default is no; `mode` only where the revision knows it. */
static void test_form(void **state)
{
	static const struct {
		enum revision revision;
		bool mode;
	} cases[] = {{REVISION_2025_06_18, false}, {REVISION_2025_11_25, true}, {REVISION_2026_07_28, true}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct call *c = call_of(CLIENT_FORM, DELETE);
		const json_t *params, *schema, *field;

		c->revision = cases[i].revision;
		params = asked(c);
		if (cases[i].mode)
			assert_string_equal(json_text_of(params, "mode"), "form");
		else
			assert_null(json_object_get(params, "mode"));
		schema = json_object_get(params, "requestedSchema");
		assert_string_equal(json_text_of(schema, "type"), "object");
		assert_int_equal(json_object_size(json_object_get(schema, "properties")), 1);
		field = json_object_get(json_object_get(schema, "properties"), "confirm");
		assert_string_equal(json_text_of(field, "type"), "boolean");
		assert_non_null(json_text_of(field, "title"));
		assert_non_null(json_text_of(field, "description"));
		assert_true(json_is_false(json_object_get(field, "default")));
		assert_int_equal(json_array_size(json_object_get(schema, "required")), 1);
		assert_string_equal(json_string_value(json_array_get(json_object_get(schema, "required"), 0)),
				    "confirm");
		call_free(c);
	}
}

/* The text says where the statement would run: the context of this call, not the session's. */
static void test_message_context(void **state)
{
	struct call *c = call_of(
	    CLIENT_FORM, "{\"query\":\"DELETE FROM T WHERE A = ?\",\"database\":\"\\\"my db\\\"\",\"bindings\":[1]}");
	const char *message = json_text_of(asked(c), "message");

	(void)state;
	assert_non_null(strstr(message, "as role ANALYST in database \"my db\")"));
	assert_non_null(strstr(message, "\n\nDELETE FROM T WHERE A = ?"));
	assert_non_null(strstr(message, "1 bound value)"));
	call_free(c);
	c = call_of(CLIENT_FORM, DELETE);
	assert_non_null(strstr(json_text_of(asked(c), "message"), "in database SALES, schema PUBLIC)"));
	call_free(c);
	c = call_of(CLIENT_FORM, DELETE);
	c->context = (struct context){.database = NULL};
	connection.role = NULL;
	assert_non_null(strstr(json_text_of(asked(c), "message"), "as the default role)"));
	connection.role = "ANALYST";
	call_free(c);
}

static const char *message_of(struct call *c, const char *sql)
{
	json_t *query = json_string(sql);

	assert_non_null(query);
	json_object_set_new(c->arguments, "query", query);
	return json_text_of(asked(c), "message");
}

/* Neither comments nor blanks push the statement out of sight, and control characters are not shown. */
static void test_message_hides_nothing(void **state)
{
	struct call *c = call_of(CLIENT_FORM, DELETE);
	struct buf sql = buf_with_ceiling(4096);
	const char *message;

	(void)state;
	buf_adds(&sql, "/* only a look");
	for (int i = 0; i < 400; i++)
		buf_adds(&sql, " x");
	buf_adds(&sql, "*/ -- SELECT\n");
	for (int i = 0; i < 400; i++)
		buf_adds(&sql, "\n \t");
	buf_adds(&sql, "DELETE\r\n FROM /* y */ T WHERE A = 'b\x1b[2Kc'");
	message = message_of(c, buf_text(&sql));
	assert_non_null(strstr(message, "\n\nDELETE FROM T WHERE A = 'b [2Kc'"));
	assert_null(strstr(message, "look"));
	assert_null(strstr(message, "characters)"));
	buf_free(&sql);
	call_free(c);
}

/* 300 characters, not bytes, and it is said that there is more. */
static void test_message_cut(void **state)
{
	(void)state;
	for (int extra = 0; extra < 2; extra++) {
		struct call *c = call_of(CLIENT_FORM, DELETE);
		struct buf sql = buf_with_ceiling(4096), want = buf_with_ceiling(4096);
		const char *message;

		buf_adds(&sql, "DELETE FROM T WHERE A = '"); /* 25 characters */
		for (int i = 0; i < 274; i++)
			buf_adds(&sql, "\xC3\xA4");
		buf_addf(&want, "\n\n%s", buf_text(&sql));
		buf_adds(&sql, extra ? "\xC3\xA4'" : "'");
		buf_adds(&want, extra ? "\xC3\xA4" : "'");
		message = message_of(c, buf_text(&sql));
		assert_non_null(strstr(message, buf_text(&want)));
		if (extra)
			assert_non_null(strstr(message, "(its first 300 characters)"));
		else
			assert_null(strstr(message, "characters)"));
		buf_free(&sql);
		buf_free(&want);
		call_free(c);
	}
}

/* ---- the answer ---- */

static struct call *answered(const char *result)
{
	struct call *c = call_of(CLIENT_FORM, DELETE);
	json_t *value = NULL;

	assert_int_equal(json_parse(slice_of(result), 32, &value, NULL, 0), JSON_OK);
	c->answers = json_pack("{s:o}", "confirm", value);
	assert_true(arena_attach(c->arena, c->answers, json_release));
	return c;
}

static void test_yes(void **state)
{
	struct call *c = answered("{\"action\":\"accept\",\"content\":{\"confirm\":true}}");

	(void)state;
	policy.confirm = CONFIRM_REQUIRE;
	runs(c);
	assert_string_equal(c->plan[0].sql, "DELETE FROM T");
	assert_true(c->plan[0].write);
	assert_int_equal(c->class, CLASS_DML);
	call_free(c);
	/* an answer counts whatever the client can be asked now */
	c = answered("{\"action\":\"accept\",\"content\":{\"confirm\":true,\"more\":1},\"_meta\":{}}");
	c->can = 0;
	runs(c);
	call_free(c);
}

static void test_anything_else_is_no(void **state)
{
	static const struct {
		const char *result, *says;
	} cases[] = {
	    {"{\"action\":\"decline\"}", "the user declined"},
	    {"{\"action\":\"decline\",\"content\":{\"confirm\":true}}", "the user declined"},
	    {"{\"action\":\"cancel\"}", "without an answer"},
	    {"{\"action\":\"accept\",\"content\":{\"confirm\":false}}", "the user said no"},
	    {"{\"action\":\"accept\",\"content\":{\"confirm\":\"true\"}}", "none that could be read"},
	    {"{\"action\":\"accept\",\"content\":{\"confirm\":1}}", "none that could be read"},
	    {"{\"action\":\"accept\",\"content\":{\"confirm\":null}}", "none that could be read"},
	    {"{\"action\":\"accept\",\"content\":{}}", "none that could be read"},
	    {"{\"action\":\"accept\",\"content\":[true]}", "none that could be read"},
	    {"{\"action\":\"accept\",\"confirm\":true}", "none that could be read"},
	    {"{\"action\":\"accept\"}", "none that could be read"},
	    {"{\"action\":\"Accept\",\"content\":{\"confirm\":true}}", "none that could be read"},
	    {"{\"action\":true,\"content\":{\"confirm\":true}}", "none that could be read"},
	    {"{\"content\":{\"confirm\":true}}", "none that could be read"},
	    {"{}", "none that could be read"},
	    {"[]", "none that could be read"},
	    {"true", "none that could be read"},
	    {"null", "was not answered in time"}, /* what the gateway puts for a silent client */
	};

	(void)state;
	for (int confirm = CONFIRM_ASK; confirm <= CONFIRM_REQUIRE; confirm++)
		for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
			struct call *c = answered(cases[i].result);

			policy.confirm = (enum policy_confirm)confirm;
			refused(c, cases[i].says);
			call_free(c);
		}
}

/* An answer to another question is none to this one. */
static void test_other_key(void **state)
{
	struct call *c = answered("{\"action\":\"accept\",\"content\":{\"confirm\":true}}");

	(void)state;
	json_object_set_new(c->answers, "other", json_object());
	json_object_del(c->answers, "confirm");
	asked(c);
	call_free(c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, help_tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_who_is_asked),        TEST(test_what_is_asked_about),
	    TEST(test_refused_unasked),     TEST(test_form),
	    TEST(test_message_context),     TEST(test_message_hides_nothing),
	    TEST(test_message_cut),         TEST(test_yes),
	    TEST(test_anything_else_is_no), TEST(test_other_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
