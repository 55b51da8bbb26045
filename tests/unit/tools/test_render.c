/* Rows as answers: the first line, the JSON contract, what is cut and how to get the rest; errors and `running`. */
#include "help.h"

static struct column columns[] = {
    {.name = "N", .type = "FIXED", .kind = COLUMN_FIXED, .precision = 10, .scale = 0},
    {.name = "T", .type = "TEXT", .kind = COLUMN_TEXT, .nullable = true, .precision = -1, .scale = -1},
};

/* The handle as the answer shows it. */
static const char *sealed(void)
{
	static const uint8_t key[SHA256_BYTES] = {1, 2, 3};
	static char text[128];
	struct principal p = {.kind = PRINCIPAL_KEY, .subject = "alice"};
	struct buf b = buf_with_ceiling(sizeof text - 1);

	assert_true(handle_seal(&b, key, QUERY_ID, "main", "ANALYST", &p));
	snprintf(text, sizeof text, "%s", buf_text(&b));
	buf_free(&b);
	return text;
}

/* A query that has ended with `total` rows, of which `got` from `first` on are here; row i is [i, text]. */
static struct call *ended(const char *arguments, size_t total, size_t first, size_t got, const char *text)
{
	struct call *c = help_plan("execute_query", arguments);
	struct statement *s = &c->plan[0];
	json_t *rows = json_array();

	for (size_t i = first; i < first + got; i++)
		json_array_append_new(rows, json_pack("[o, s]", json_sprintf("%zu", i), text));
	assert_true(arena_attach(c->arena, rows, json_release));
	s->state = STATEMENT_SUCCEEDED;
	memcpy(s->handle, QUERY_ID, sizeof QUERY_ID);
	s->columns = columns;
	s->columns_n = ARRAY_LEN(columns);
	s->total_rows = total;
	help_fill(c, s, first, rows);
	clock_advance(1234 * USEC_PER_MS);
	return c;
}

static void answered(struct call *c)
{
	c->handler->answer(c);
	assert_false(c->answer.is_error);
	assert_string_equal(json_text_of(c->answer.meta, "snowgate/queryId"), QUERY_ID);
}

#define TAIL "; ANALYST@WH_XS SALES.PUBLIC; 1.2 s\nN,T\n"

static void text_is(struct call *c, const char *format, ...) PRINTF_LIKE(2, 3);
static void text_is(struct call *c, const char *format, ...)
{
	char want[8192];
	va_list args;

	va_start(args, format);
	vsnprintf(want, sizeof want, format, args);
	va_end(args);
	answered(c);
	assert_string_equal(buf_text(&c->answer.text), want);
	assert_int_equal(c->answer.structured.n, 0);
	call_free(c);
}

static void test_csv_first_line(void **state)
{
	struct call *c;

	(void)state;
	text_is(ended("{\"query\":\"SELECT 1\"}", 1, 0, 1, "x"), "1 row" TAIL "0,x\n");
	text_is(ended("{\"query\":\"SELECT 1\"}", 0, 0, 0, "x"), "0 rows" TAIL);
	text_is(ended("{\"query\":\"SELECT 1\",\"limit\":2}", 2, 0, 2, "x"), "2 rows" TAIL "0,x\n1,x\n");
	text_is(ended("{\"query\":\"SELECT 1\",\"limit\":2}", 5, 0, 3, "x"),
		"2 of 5 rows, cut at limit; next: get_result(\"%s\", offset=2)" TAIL "0,x\n1,x\n", sealed());
	/* the upstream rows end before the limit: they were cut by size */
	text_is(ended("{\"query\":\"SELECT 1\"}", 5, 0, 3, "x"),
		"3 of 5 rows, cut at size; next: get_result(\"%s\", offset=3)" TAIL "0,x\n1,x\n2,x\n", sealed());
	c = ended("{\"query\":\"SELECT 1\",\"limit\":2}", 5, 2, 3, "x");
	c->offset = 2;
	text_is(c, "2 of 5 rows from row 2, cut at limit; next: get_result(\"%s\", offset=4)" TAIL "2,x\n3,x\n",
		sealed());
	c = ended("{\"query\":\"SELECT 1\",\"limit\":2}", 5, 3, 2, "x");
	c->offset = 3;
	text_is(c, "2 of 5 rows from row 3" TAIL "3,x\n4,x\n");
	c = ended("{\"query\":\"SELECT 1\"}", 5, 0, 0, "x");
	c->offset = 7;
	text_is(c, "0 of 5 rows from row 7" TAIL);
}

static void test_csv_context_forms(void **state)
{
	static const struct {
		struct context context;
		const char *line;
	} cases[] = {
	    {{0}, "1 row; 1.2 s\n"},
	    {{.role = "R"}, "1 row; R@default; 1.2 s\n"},
	    {{.warehouse = "W"}, "1 row; default@W; 1.2 s\n"},
	    {{.database = "D"}, "1 row D; 1.2 s\n"},
	    {{.role = "R", .warehouse = "W", .database = "D"}, "1 row; R@W D; 1.2 s\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct call *c = ended("{\"query\":\"SELECT 1\"}", 1, 0, 1, "x");

		c->plan[0].context = cases[i].context;
		answered(c);
		assert_memory_equal(buf_text(&c->answer.text), cases[i].line, strlen(cases[i].line));
		call_free(c);
	}
}

static void test_csv_long_values(void **state)
{
	char text[4000];
	struct call *c;

	(void)state;
	memset(text, 'y', sizeof text);
	text[sizeof text - 1] = '\0';
	c = ended("{\"query\":\"SELECT 1\"}", 2, 0, 2, text);
	answered(c);
	assert_memory_equal(buf_text(&c->answer.text), "2 rows; 2 long values cut;", 26);
	assert_non_null(strstr(buf_text(&c->answer.text), "more bytes)"));
	call_free(c);
}

/* The budget of bytes holds; the next row is named; the rows that follow are reached by and by. */
static void test_cut_at_size(void **state)
{
	static const char *const formats[] = {"csv", "json"};
	char text[1000], arguments[80];

	(void)state;
	memset(text, 'y', sizeof text);
	text[sizeof text - 1] = '\0';
	conf.results_max_bytes = 4096;
	for (size_t f = 0; f < 2; f++) {
		struct call *c;
		struct buf *b;

		snprintf(arguments, sizeof arguments, "{\"query\":\"SELECT 1\",\"format\":\"%s\"}", formats[f]);
		c = ended(arguments, 50, 0, 50, text);
		answered(c);
		b = f ? &c->answer.structured : &c->answer.text;
		assert_true(b->n < 4096 + 800);
		if (f == 0)
			assert_memory_equal(buf_text(b), "4 of 50 rows, cut at size; next: get_result(", 44);
		else
			assert_non_null(strstr(buf_text(b), "\"nextOffset\":4"));
		call_free(c);
	}
}

/* ---- json ---- */

static json_t *structured(struct call *c)
{
	json_t *out;
	char why[160];

	answered(c);
	if (json_parse(buf_slice(&c->answer.structured), 32, &out, why, sizeof why) != JSON_OK)
		fail_msg("%s: %s", why, buf_text(&c->answer.structured));
	/* clients that show only one of them show the same */
	assert_string_equal(buf_text(&c->answer.text), buf_text(&c->answer.structured));
	call_free(c);
	return out;
}

static void test_json_contract(void **state)
{
	json_t *j = structured(ended("{\"query\":\"SELECT 1\",\"format\":\"json\"}", 2, 0, 2, "x")), *row, *want;

	(void)state;
	assert_int_equal(json_array_size(json_object_get(j, "columns")), 2);
	assert_string_equal(json_text_of(json_array_get(json_object_get(j, "columns"), 0), "name"), "N");
	assert_true(json_is_boolean(json_object_get(json_array_get(json_object_get(j, "columns"), 1), "nullable")));
	row = json_array_get(json_object_get(j, "rows"), 1);
	/* scale 0 and precision up to 15: a number */
	assert_int_equal(json_integer_value(json_array_get(row, 0)), 1);
	assert_string_equal(json_string_value(json_array_get(row, 1)), "x");
	assert_int_equal(json_int_of(j, "rowCount", -1), 2);
	assert_int_equal(json_int_of(j, "totalRows", -1), 2);
	assert_true(json_is_false(json_object_get(j, "truncated")));
	assert_null(json_object_get(j, "nextOffset"));
	assert_string_equal(json_text_of(j, "statementHandle"), sealed());
	assert_string_equal(json_text_of(j, "queryId"), QUERY_ID);
	assert_string_equal(json_text_of(j, "status"), "complete");
	assert_int_equal(json_int_of(j, "elapsedMs", -1), 1234);
	want = json_pack("{s:s, s:s, s:s, s:s}", "database", "SALES", "schema", "PUBLIC", "warehouse", "WH_XS", "role",
			 "ANALYST");
	assert_true(json_equal(json_object_get(j, "context"), want));
	json_decref(want);
	json_decref(j);
}

static void test_json_truncated(void **state)
{
	json_t *j = structured(ended("{\"query\":\"SELECT 1\",\"format\":\"json\",\"limit\":2}", 5, 0, 3, "x"));

	(void)state;
	assert_int_equal(json_int_of(j, "rowCount", -1), 2);
	assert_int_equal(json_int_of(j, "totalRows", -1), 5);
	assert_true(json_is_true(json_object_get(j, "truncated")));
	assert_int_equal(json_int_of(j, "nextOffset", -1), 2);
	json_decref(j);
	/* no rows at all: every member is still there */
	j = structured(ended("{\"query\":\"SELECT 1\",\"format\":\"json\"}", 0, 0, 0, "x"));
	assert_true(json_is_array(json_object_get(j, "rows")));
	assert_int_equal(json_int_of(j, "rowCount", -1), 0);
	json_decref(j);
}

/* JSON has no NaN: how many became null is told where it has happened. */
static void test_json_nulled(void **state)
{
	struct call *c;
	json_t *j;

	(void)state;
	columns[1] = (struct column){.name = "T", .type = "REAL", .kind = COLUMN_REAL, .precision = -1, .scale = -1};
	c = ended("{\"query\":\"SELECT 1\",\"format\":\"json\"}", 2, 0, 2, "NaN");
	j = structured(c);
	assert_string_equal(json_text_of(j, "note"),
			    "2 values of NaN, infinity or undefined are shown as null; csv shows them");
	json_decref(j);
	j = structured(ended("{\"query\":\"SELECT 1\",\"format\":\"json\"}", 1, 0, 1, "1.5"));
	assert_null(json_object_get(j, "note"));
	json_decref(j);
	columns[1] = (struct column){
	    .name = "T", .type = "TEXT", .kind = COLUMN_TEXT, .nullable = true, .precision = -1, .scale = -1};
}

/* The session's preference counts where the call says nothing. */
static void test_preferences(void **state)
{
	struct call *c = help_call("execute_query", "{\"query\":\"SELECT 1\"}");

	(void)state;
	c->preferred_format = "json";
	c->preferred_limit = 7;
	c->preferred_wait = 0;
	assert_int_equal(c->handler->plan(c), ERR_OK);
	assert_int_equal(c->format, ROWS_JSON);
	assert_int_equal(c->budget.rows, 7);
	assert_int_equal(c->deadline, clock_now());
	call_free(c);
	c = help_call("execute_query",
		      "{\"query\":\"SELECT 1\",\"limit\":1000000,\"format\":\"csv\",\"wait_seconds\":3.0}");
	c->preferred_format = "json";
	c->preferred_limit = 7;
	assert_int_equal(c->handler->plan(c), ERR_OK);
	assert_int_equal(c->format, ROWS_CSV);
	assert_int_equal(c->budget.rows, 10000);
	assert_int_equal(c->deadline, clock_now() + 3 * USEC_PER_S);
	call_free(c);
}

/* A header line that does not fit into one answer is an error, not an answer without rows. */
static void test_does_not_fit(void **state)
{
	enum { WIDE = 2000 };
	static struct column wide[WIDE];
	static char name[256];
	struct call *c = help_plan("list_objects", "{\"kind\":\"database\"}");

	(void)state;
	memset(name, 'n', sizeof name - 1);
	for (size_t i = 0; i < WIDE; i++)
		wide[i] = (struct column){.name = name, .type = "TEXT", .kind = COLUMN_TEXT};
	c->plan[0].state = STATEMENT_SUCCEEDED;
	c->plan[0].columns = wide;
	c->plan[0].columns_n = WIDE;
	c->handler->answer(c);
	assert_true(c->answer.is_error);
	assert_non_null(strstr(buf_text(&c->answer.text), "do not fit"));
	call_free(c);
}

/* ---- running ---- */

static void test_running(void **state)
{
	struct call *c = ended("{\"query\":\"SELECT 1\"}", 0, 0, 0, "x");
	char want[400];
	json_t *j;

	(void)state;
	c->plan[0].state = STATEMENT_RUNNING;
	answered(c);
	snprintf(want, sizeof want,
		 "running: the statement has not ended after 1 s. Wait for it with get_result(\"%s\"), or end it with "
		 "cancel_query(\"%s\").",
		 sealed(), sealed());
	assert_string_equal(buf_text(&c->answer.text), want);
	assert_int_equal(c->answer.structured.n, 0);
	call_free(c);
	/* answered early, whatever the statement's state says by then */
	c = ended("{\"query\":\"SELECT 1\",\"format\":\"json\"}", 0, 0, 0, "x");
	c->answer.running = true;
	j = structured(c);
	assert_string_equal(json_text_of(j, "status"), "running");
	assert_string_equal(json_text_of(j, "statementHandle"), sealed());
	assert_string_equal(json_text_of(j, "queryId"), QUERY_ID);
	assert_true(json_is_object(json_object_get(j, "context")));
	assert_int_equal(json_int_of(j, "elapsedMs", -1), 1234);
	json_decref(j);
}

/* ---- failures ---- */

static struct call *failed(enum statement_state s, struct failure f)
{
	struct call *c = ended("{\"query\":\"SELECT 1\"}", 0, 0, 0, "x");

	c->plan[0].state = s;
	c->plan[0].failure = f;
	c->handler->answer(c);
	assert_true(c->answer.is_error);
	assert_int_equal(c->answer.structured.n, 0);
	return c;
}

static void test_failure_text_and_meta(void **state)
{
	struct call *c =
	    failed(STATEMENT_FAILED, (struct failure){ERR_SQL, "002003", "42S02", "Object 'CUSTOMER' does not exist"});
	const json_t *e = json_object_get(c->answer.meta, "snowgate/error");

	(void)state;
	assert_string_equal(
	    buf_text(&c->answer.text),
	    "002003: Object 'CUSTOMER' does not exist\nContext: role ANALYST, warehouse WH_XS, "
	    "SALES.PUBLIC.\nCheck the name with list_objects; names in quotes are case-sensitive; a role "
	    "may lack the grant.");
	assert_string_equal(json_text_of(e, "code"), "002003");
	assert_string_equal(json_text_of(e, "sqlState"), "42S02");
	assert_string_equal(json_text_of(e, "statementHandle"), sealed());
	assert_true(json_is_false(json_object_get(e, "retryable")));
	call_free(c);
}

static void test_failures(void **state)
{
	static const struct {
		enum statement_state state;
		struct failure failure;
		const char *code, *says;
		bool retryable;
	} cases[] = {
	    {STATEMENT_FAILED, {ERR_UPSTREAM, NULL, NULL, NULL}, "UPSTREAM", "try again in a moment", true},
	    {STATEMENT_FAILED,
	     {ERR_UPSTREAM_AUTH, NULL, NULL, "token refused"},
	     "UPSTREAM_AUTH",
	     "token refused",
	     false},
	    {STATEMENT_FAILED, {ERR_TIMEOUT, "000630", "57014", "too long"}, "000630", "timeout_seconds", true},
	    {STATEMENT_CANCELLED, {ERR_OK, NULL, NULL, NULL}, "CANCELLED", "cancelled", false},
	    {STATEMENT_FAILED, {ERR_SQL, "999999", "XX000", "odd"}, "999999", "999999: odd\nContext: role", false},
	    {STATEMENT_UNKNOWN, {ERR_OUTCOME_UNKNOWN, NULL, NULL, "unknown"}, "OUTCOME_UNKNOWN", "Look whether", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct call *c = failed(cases[i].state, cases[i].failure);
		const json_t *e = json_object_get(c->answer.meta, "snowgate/error");

		if (!strstr(buf_text(&c->answer.text), cases[i].says))
			fail_msg("%s: %s", cases[i].says, buf_text(&c->answer.text));
		assert_string_equal(json_text_of(e, "code"), cases[i].code);
		assert_int_equal(json_is_true(json_object_get(e, "retryable")), cases[i].retryable);
		call_free(c);
	}
}

/* A write whose fate is unknown says so to a machine too, and which operation it was. */
static void test_outcome_unknown(void **state)
{
	struct call *c = ended("{\"query\":\"SELECT 1\"}", 0, 0, 0, "x");
	const json_t *e;

	(void)state;
	c->plan[0].state = STATEMENT_UNKNOWN;
	c->plan[0].failure = (struct failure){ERR_OUTCOME_UNKNOWN, NULL, NULL, "unknown"};
	snprintf(c->plan[0].request_id, sizeof c->plan[0].request_id, "00000000-0000-4000-8000-000000000001");
	c->handler->answer(c);
	e = json_object_get(c->answer.meta, "snowgate/error");
	assert_true(json_is_false(json_object_get(e, "retryable")));
	assert_string_equal(json_text_of(e, "outcome"), "unknown");
	assert_string_equal(json_text_of(e, "operation"), "00000000-0000-4000-8000-000000000001");
	call_free(c);
}

/* Rows that broke off say where they are, and that nothing is to be run again for them. */
static void test_rows_broke_off(void **state)
{
	struct call *c = help_plan("execute_query", "{\"query\":\"SELECT 1\"}");

	(void)state;
	c->plan[0].state = STATEMENT_FAILED;
	c->plan[0].partitions_n = 3;
	c->plan[0].failure = (struct failure){.err = ERR_UPSTREAM, .message = "the rows came too slowly"};
	snprintf(c->plan[0].handle, sizeof c->plan[0].handle, "%s", QUERY_ID);
	c->handler->answer(c);
	assert_non_null(strstr(buf_text(&c->answer.text), "get_result(\"" QUERY_ID "."));
	assert_null(strstr(buf_text(&c->answer.text), "try again in a moment"));
	call_free(c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, help_set_up, help_tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_csv_first_line),
	    TEST(test_csv_context_forms),
	    TEST(test_csv_long_values),
	    TEST(test_cut_at_size),
	    TEST(test_json_contract),
	    TEST(test_json_truncated),
	    TEST(test_json_nulled),
	    TEST(test_preferences),
	    TEST(test_does_not_fit),
	    TEST(test_running),
	    TEST(test_failures),
	    TEST(test_rows_broke_off),
	    TEST(test_failure_text_and_meta),
	    TEST(test_outcome_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
