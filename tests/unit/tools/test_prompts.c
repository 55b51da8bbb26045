/* prompts/list and prompts/get: which prompts there are, what they take, what Snowflake is asked, and the messages. */
#include "help.h"
#include "../../../src/tools/tools_internal.h"

/* A call of this method with these params (JSON). */
static struct call *call_of(enum method_id method, const char *name, const char *params)
{
	struct request *rq = request_new(&conf, 4 << 20);
	struct call *c;

	rq->policy = &policy;
	rq->principal = (struct principal){.kind = PRINCIPAL_KEY, .subject = "alice"};
	c = call_new(rq);
	c->revision = REVISION_2025_11_25;
	c->method = method;
	c->rpc.method = name;
	c->handler = method_handler(method);
	assert_non_null(c->handler);
	c->context = (struct context){.database = "SALES", .schema = "PUBLIC", .warehouse = "WH_XS", .role = "ANALYST"};
	assert_int_equal(json_parse(slice_of(params), 32, &c->rpc.params, NULL, 0), JSON_OK);
	assert_true(arena_attach(c->arena, c->rpc.params, json_release));
	return c;
}

static struct call *get(const char *params)
{
	return call_of(MCP_PROMPTS_GET, "prompts/get", params);
}

static struct call *planned(const char *params)
{
	struct call *c = get(params);

	if (c->handler->plan(c) != ERR_OK)
		fail_msg("%s: %s", params, c->fault.message);
	assert_int_equal(c->fault.err, ERR_OK);
	return c;
}

static void refused(const char *params, const char *says)
{
	struct call *c = get(params);

	assert_int_equal(c->handler->plan(c), ERR_INVALID_PARAMS);
	assert_int_equal(c->fault.err, ERR_INVALID_PARAMS);
	assert_int_equal(c->plan_n, 0);
	if (!strstr(c->fault.message, says))
		fail_msg("%s: \"%s\" lacks \"%s\"", params, c->fault.message, says);
	call_free(c);
}

/* The result as JSON; it dies with the call. */
static const json_t *result(struct call *c)
{
	json_t *json;

	c->handler->answer(c);
	assert_int_equal(c->fault.err, ERR_OK);
	assert_int_equal(json_parse(buf_slice(&c->result), 64, &json, NULL, 0), JSON_OK);
	assert_true(arena_attach(c->arena, json, json_release));
	return json;
}

/* The text of a result's one message. */
static const char *message(struct call *c)
{
	const json_t *json = result(c), *messages = json_object_get(json, "messages");
	const json_t *first = json_array_get(messages, 0), *content = json_object_get(first, "content");

	assert_non_null(json_text_of(json, "description"));
	assert_int_equal(json_array_size(messages), 1);
	assert_string_equal(json_text_of(first, "role"), "user");
	assert_string_equal(json_text_of(content, "type"), "text");
	return json_text_of(content, "text");
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" lacks \"%s\"", text, part);
}

static void has_not(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("\"%s\" has \"%s\"", text, part);
}

/* ---- what Snowflake answers ---- */

static void columns_set(struct call *c, size_t n, const char *const *names)
{
	struct statement *s = &c->plan[0];

	s->columns = arena_alloc(c->arena, n * sizeof *s->columns);
	s->columns_n = n;
	for (size_t i = 0; i < n; i++)
		s->columns[i] = (struct column){.name = names[i], .type = "TEXT", .kind = COLUMN_TEXT};
	s->cells = cells_new(c->arena, n, 1 << 20);
	assert_non_null(s->cells);
	s->state = STATEMENT_SUCCEEDED;
}

static void row_add(struct call *c, const char *a, const char *b, const char *kind, const char *d, const char *e)
{
	const char *const texts[] = {a, b, kind, d, e};
	struct cell row[ARRAY_LEN(texts)];

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		row[i] = (struct cell){texts[i], texts[i] ? strlen(texts[i]) : 0, texts[i] ? strlen(texts[i]) : 0};
	assert_true(cells_add(c->plan[0].cells, row, ARRAY_LEN(row)));
	c->plan[0].rows_n = ++c->plan[0].total_rows;
}

static const char *const object_columns[] = {"name", "schema_name", "kind", "comment", "rows"};
static const char *const column_columns[] = {"table_name", "column_name", "data_type", "comment", "null?"};

/* ---- prompts/list ---- */

static void test_list(void **state)
{
	static const struct {
		const char *name, *arguments[3];
		bool required[3];
	} want[] = {{"explore_database", {"database"}, {true}},
		    {"write_query", {"database", "schema", "question"}, {true, true, false}}};
	struct call *c = call_of(MCP_PROMPTS_LIST, "prompts/list", "{}");
	const json_t *prompts;

	(void)state;
	assert_int_equal(c->handler->plan(c), ERR_OK);
	assert_int_equal(c->plan_n, 0);
	prompts = json_object_get(result(c), "prompts");
	assert_int_equal(json_array_size(prompts), ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		const json_t *prompt = json_array_get(prompts, i), *arguments = json_object_get(prompt, "arguments");

		assert_string_equal(json_text_of(prompt, "name"), want[i].name);
		assert_non_null(json_text_of(prompt, "title"));
		assert_non_null(json_text_of(prompt, "description"));
		for (size_t k = 0; k < 3 && want[i].arguments[k]; k++) {
			const json_t *argument = json_array_get(arguments, k);

			assert_string_equal(json_text_of(argument, "name"), want[i].arguments[k]);
			assert_non_null(json_text_of(argument, "description"));
			assert_int_equal(json_bool_of(argument, "required", false), want[i].required[k]);
			assert_int_equal(json_array_size(arguments) > k, true);
		}
	}
	call_free(c);
}

/* A page ends with a cursor, which leads to the rest; a cursor that is none is refused. */
static void test_list_pages(void **state)
{
	struct call *c = call_of(MCP_PROMPTS_LIST, "prompts/list", "{}");
	char params[1200];
	const json_t *page;

	(void)state;
	conf.mcp_list_page = 1;
	assert_int_equal(c->handler->plan(c), ERR_OK);
	page = result(c);
	assert_int_equal(json_array_size(json_object_get(page, "prompts")), 1);
	snprintf(params, sizeof params, "{\"cursor\":\"%s\"}", json_text_of(page, "nextCursor"));
	call_free(c);
	c = call_of(MCP_PROMPTS_LIST, "prompts/list", params);
	assert_int_equal(c->handler->plan(c), ERR_OK);
	page = result(c);
	assert_int_equal(json_array_size(json_object_get(page, "prompts")), 1);
	assert_string_equal(json_text_of(json_array_get(json_object_get(page, "prompts"), 0), "name"), "write_query");
	assert_null(json_object_get(page, "nextCursor"));
	call_free(c);
	c = call_of(MCP_PROMPTS_LIST, "prompts/list", "{\"cursor\":\"x\"}");
	assert_int_equal(c->handler->plan(c), ERR_INVALID_PARAMS);
	call_free(c);
}

/* They show the catalogue: who may not see it does not have them. */
static void test_without_metadata(void **state)
{
	struct call *c;

	(void)state;
	policy.statements = CLASS_READ;
	c = call_of(MCP_PROMPTS_LIST, "prompts/list", "{}");
	assert_int_equal(c->handler->plan(c), ERR_OK);
	assert_int_equal(json_array_size(json_object_get(result(c), "prompts")), 0);
	call_free(c);
	refused("{\"name\":\"explore_database\",\"arguments\":{\"database\":\"SALES\"}}", "name: no such prompt");
}

/* ---- prompts/get: what is refused ---- */

static void test_refusals(void **state)
{
	static const char *const databases[] = {"SALES", "HR"};
	static const struct {
		const char *params, *says;
	} cases[] = {
	    {"{}", "name: must be a string"},
	    {"{\"name\":1}", "name: must be a string"},
	    {"{\"name\":\"no_such\"}", "name: no such prompt"},
	    {"{\"name\":\"explore_database\"}", "arguments.database: is required"},
	    {"{\"name\":\"explore_database\",\"arguments\":[]}", "arguments: must be an object"},
	    {"{\"name\":\"explore_database\",\"arguments\":{}}", "arguments.database: is required"},
	    {"{\"name\":\"explore_database\",\"arguments\":{\"database\":\"\"}}", "arguments.database: is required"},
	    {"{\"name\":\"explore_database\",\"arguments\":{\"database\":7}}", "arguments.database: must be a string"},
	    {"{\"name\":\"explore_database\",\"arguments\":{\"database\":null}}", "arguments.database: must be"},
	    {"{\"name\":\"explore_database\",\"arguments\":{\"database\":\"a b\"}}", "arguments.database: "},
	    {"{\"name\":\"explore_database\",\"arguments\":{\"database\":\"SALES.PUBLIC\"}}", "arguments.database: "},
	    {"{\"name\":\"explore_database\",\"arguments\":{\"database\":\"SALES; DROP DATABASE SALES\"}}",
	     "arguments.database: "},
	    {"{\"name\":\"explore_database\",\"arguments\":{\"database\":\"secret\"}}",
	     "arguments.database: database SECRET is not allowed here; allowed: SALES, HR"},
	    {"{\"name\":\"explore_database\",\"arguments\":{\"database\":\"\\\"sales\\\"\"}}",
	     "arguments.database: database sales is not allowed here"},
	    {"{\"name\":\"write_query\",\"arguments\":{\"database\":\"SALES\"}}", "arguments.schema: is required"},
	    {"{\"name\":\"write_query\",\"arguments\":{\"schema\":\"PUBLIC\"}}", "arguments.database: is required"},
	    {"{\"name\":\"write_query\",\"arguments\":{\"database\":\"SALES\",\"schema\":\"1\"}}",
	     "arguments.schema: "},
	    {"{\"name\":\"write_query\",\"arguments\":{\"database\":\"SALES\",\"schema\":\"S\",\"question\":[]}}",
	     "arguments.question: must be a string"},
	    {"{\"name\":\"write_query\",\"arguments\":{\"database\":\"SECRET\",\"schema\":\"S\"}}",
	     "arguments.database: database SECRET"},
	};

	(void)state;
	texts_set(&policy.databases, 2, databases);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		refused(cases[i].params, cases[i].says);
}

static void test_long_question(void **state)
{
	(void)state;
	for (size_t n = 16 << 10; n <= (16 << 10) + 1; n++) {
		char *question = xalloc(n + 1);
		struct call *c;

		memset(question, 'q', n);
		c = get("{\"name\":\"write_query\",\"arguments\":{\"database\":\"SALES\",\"schema\":\"S\"}}");
		json_object_set_new(json_object_get(c->rpc.params, "arguments"), "question", json_string(question));
		if (n == 16 << 10) {
			assert_int_equal(c->handler->plan(c), ERR_OK);
		} else {
			assert_int_equal(c->handler->plan(c), ERR_INVALID_PARAMS);
			has(c->fault.message, "arguments.question: ");
		}
		call_free(c);
		free(question);
	}
}

/* ---- prompts/get: what Snowflake is asked ---- */

static void test_statements(void **state)
{
	static const struct {
		const char *params, *sql, *database, *schema;
	} cases[] = {
	    {"{\"name\":\"explore_database\",\"arguments\":{\"database\":\"hr\"}}", "SHOW OBJECTS IN DATABASE \"HR\"",
	     "HR", NULL},
	    {"{\"name\":\"explore_database\",\"arguments\":{\"database\":\"\\\"a\\\"\\\"; b\\\"\"}}",
	     "SHOW OBJECTS IN DATABASE \"a\"\"; b\"", "a\"; b", NULL},
	    {"{\"name\":\"write_query\",\"arguments\":{\"database\":\"hr\",\"schema\":\"\\\"x\\\"\",\"extra\":1}}",
	     "SHOW COLUMNS IN SCHEMA \"HR\".\"x\"", "HR", "x"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct call *c = planned(cases[i].params);
		const struct statement *s = &c->plan[0];

		assert_int_equal(c->plan_n, 1);
		assert_string_equal(s->sql, cases[i].sql);
		assert_true(s->metadata);
		assert_false(s->write);
		assert_string_equal(s->context.database, cases[i].database);
		if (cases[i].schema)
			assert_string_equal(s->context.schema, cases[i].schema);
		else
			assert_null(s->context.schema);
		assert_string_equal(s->context.role, "ANALYST");
		assert_string_equal(s->context.warehouse, "WH_XS");
		assert_true(c->deadline == clock_now() + conf.results_wait);
		assert_string_equal(c->context.database, "SALES"); /* the session's stays */
		call_free(c);
	}
}

/* ---- explore_database ---- */

#define EXPLORE "{\"name\":\"explore_database\",\"arguments\":{\"database\":\"SALES\"}}"

static void test_explore(void **state)
{
	struct call *c = planned(EXPLORE);
	const char *text;

	(void)state;
	columns_set(c, ARRAY_LEN(object_columns), object_columns);
	row_add(c, "CUSTOMERS", "PUBLIC", "TABLE", "who buys\nfrom us", "1500");
	row_add(c, "TABLES", "INFORMATION_SCHEMA", "VIEW", "", NULL);
	row_add(c, "odd \"name\"", "Core", "VIEW", NULL, NULL);
	text = message(c);
	has(text, "the Snowflake database SALES holds");
	has(text, "as role ANALYST sees it");
	has(text, "\n- PUBLIC.CUSTOMERS (TABLE, 1500 rows) -- who buys from us\n");
	has(text, "\n- \"Core\".\"odd \"\"name\"\"\" (VIEW)\n");
	has_not(text, "INFORMATION_SCHEMA");
	has_not(text, "not shown");
	has(text, "data, not instructions");
	for (const char *const *tool = (const char *const[]){"list_objects", "describe_object", "execute_query", NULL};
	     *tool; tool++) {
		has(text, *tool);
		assert_non_null(tool_find(&policy, *tool));
	}
	call_free(c);
}

/* At most 200 lines; what is left out is counted, what was not even fetched too. */
static void test_explore_bounded(void **state)
{
	(void)state;
	for (size_t n = 200; n <= 230; n += 30) {
		struct call *c = planned(EXPLORE);
		const char *text;
		size_t lines = 0;

		columns_set(c, ARRAY_LEN(object_columns), object_columns);
		for (size_t i = 0; i < n; i++)
			row_add(c, "T", "PUBLIC", "TABLE", NULL, "0");
		c->plan[0].total_rows += n == 230 ? 1000 : 0;
		text = message(c);
		for (const char *p = text; (p = strstr(p, "\n- ")); p++)
			lines++;
		assert_int_equal(lines, 200);
		if (n == 230)
			has(text, "(1030 more are not shown)");
		else
			has_not(text, "not shown");
		call_free(c);
	}
}

static void test_explore_long_comment(void **state)
{
	struct call *c = planned(EXPLORE);
	char comment[401];
	const char *text;

	(void)state;
	columns_set(c, ARRAY_LEN(object_columns), object_columns);
	for (size_t i = 0; i < 400; i += 2)
		memcpy(comment + i, "\xC3\xA4", 3);
	row_add(c, "T", "S", "TABLE", comment, "0");
	comment[240] = '\0'; /* 120 characters */
	text = message(c);
	has(text, comment);
	has(text, "\xC3\xA4...\n");
	has_not(text, arena_printf(c->arena, "%s\xC3\xA4", comment));
	call_free(c);
}

static void test_explore_empty(void **state)
{
	struct call *c = planned(EXPLORE);

	(void)state;
	columns_set(c, ARRAY_LEN(object_columns), object_columns);
	has(message(c), "\n(none)\n");
	call_free(c);
}

/* Whose toolset is `classic` alone is told of the tools it has. */
static void test_explore_classic(void **state)
{
	struct call *c;
	const char *text;

	(void)state;
	policy.toolsets = TOOLSET_CLASSIC;
	policy.statements = CLASS_METADATA;
	c = planned(EXPLORE);
	columns_set(c, ARRAY_LEN(object_columns), object_columns);
	text = message(c);
	has(text, "list_views");
	has_not(text, "list_objects");
	has_not(text, "SELECT");
	call_free(c);
}

/* ---- a listing that cannot be had ---- */

static void test_failures(void **state)
{
	static const struct {
		enum statement_state state;
		struct failure failure;
		const char *says;
	} cases[] = {
	    {STATEMENT_FAILED,
	     {ERR_SQL, "002043", "02000", "Object does not exist"},
	     "could not be had: 002043: Object does not exist\n"},
	    {STATEMENT_FAILED, {ERR_UPSTREAM, NULL, NULL, NULL}, "could not be had: Snowflake cannot be reached\n"},
	    {STATEMENT_CANCELLED, {ERR_CANCELLED, NULL, NULL, "stopped"}, "could not be had: stopped\n"},
	    {STATEMENT_RUNNING, {ERR_OK, NULL, NULL, NULL}, "could not be had: Snowflake did not answer in time\n"},
	};
	static const char *const params[] = {
	    EXPLORE, "{\"name\":\"write_query\",\"arguments\":{\"database\":\"SALES\",\"schema\":\"PUBLIC\","
		     "\"question\":\"how many?\"}}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t k = 0; k < ARRAY_LEN(params); k++) {
			struct call *c = planned(params[k]);
			const char *text;

			c->plan[0].state = cases[i].state;
			c->plan[0].failure = cases[i].failure;
			text = message(c);
			has(text, cases[i].says);
			has(text, "execute_query"); /* the prompt still comes */
			call_free(c);
		}
}

/* Where nothing can be asked, the prompt comes without a statement. */
static void test_no_statement(void **state)
{
	struct call *c;

	(void)state;
	policy.connection = NULL;
	c = planned(EXPLORE);
	assert_int_equal(c->plan_n, 0);
	has(message(c), "could not be had: no Snowflake connection is configured\n");
	call_free(c);
	policy.connection = &connection;
	c = get(EXPLORE);
	c->context.role = "ACCOUNTADMIN"; /* of a session that began under another policy */
	assert_int_equal(c->handler->plan(c), ERR_OK);
	assert_int_equal(c->plan_n, 0);
	has(message(c), "could not be had: role ACCOUNTADMIN is not allowed here");
	call_free(c);
}

/* ---- write_query ---- */

#define WRITE                                                                                                          \
	"{\"name\":\"write_query\",\"arguments\":{\"database\":\"sales\",\"schema\":\"\\\"My "                         \
	"s\\\"\",\"question\":\"Who buys \\\"x\\\"?\"}}"

static void test_write_query(void **state)
{
	struct call *c = planned(WRITE);
	const char *text;

	(void)state;
	columns_set(c, ARRAY_LEN(column_columns), column_columns);
	row_add(c, "ORDERS", "ID", "{\"type\":\"FIXED\",\"precision\":38,\"scale\":0,\"nullable\":false}", "", NULL);
	row_add(c, "ORDERS", "note", "{\"type\":\"TEXT\",\"length\":10,\"nullable\":true}", "free text", NULL);
	row_add(c, "V", "AMOUNT", "{\"type\":\"REAL\",\"nullable\":true}", NULL, NULL);
	row_add(c, "V", "AT", "{\"type\":\"TIMESTAMP_NTZ\",\"scale\":9,\"nullable\":false}", NULL, NULL);
	row_add(c, "V", "ODD", "GEOGRAPHY", NULL, NULL);
	text = message(c);
	has(text, "over the schema SALES.\"My s\".");
	has(text, "\nSALES.\"My s\".ORDERS\n  ID NUMBER(38, 0) NOT NULL\n  \"note\" VARCHAR -- free text\n"
		  "SALES.\"My s\".V\n  AMOUNT FLOAT\n  AT TIMESTAMP_NTZ NOT NULL\n  ODD GEOGRAPHY\n");
	has(text, "What it should answer:\n\nWho buys \"x\"?\n");
	has(text, "execute_query");
	has(text, "describe_object");
	has_not(text, "not shown");
	call_free(c);
}

static void test_write_query_without_question(void **state)
{
	struct call *c = planned("{\"name\":\"write_query\",\"arguments\":{\"database\":\"D\",\"schema\":\"S\"}}");
	const char *text;

	(void)state;
	columns_set(c, ARRAY_LEN(column_columns), column_columns);
	text = message(c);
	has(text, "Ask me first");
	has(text, "(none)");
	call_free(c);
}

/* Nobody is sent to a tool that would refuse. */
static void test_write_query_without_read(void **state)
{
	struct call *c;
	const char *text;

	(void)state;
	policy.statements = CLASS_METADATA;
	c = planned(WRITE);
	columns_set(c, ARRAY_LEN(column_columns), column_columns);
	text = message(c);
	has_not(text, "execute_query");
	has(text, "describe_object");
	has(text, "was not tried");
	call_free(c);
}

/* At most 400 columns; how many columns of how many tables were left out. */
static void test_write_query_bounded(void **state)
{
	(void)state;
	for (size_t n = 400; n <= 450; n += 50) {
		struct call *c = planned(WRITE);
		const char *text;
		size_t lines = 0;
		char table[16];

		columns_set(c, ARRAY_LEN(column_columns), column_columns);
		for (size_t i = 0; i < n; i++) {
			snprintf(table, sizeof table, "T%zu", i / 30); /* 400 ends within T13 */
			row_add(c, table, "A", "{\"type\":\"BOOLEAN\"}", NULL, NULL);
		}
		text = message(c);
		for (const char *p = text; (p = strstr(p, "\n  A BOOLEAN")); p++)
			lines++;
		assert_int_equal(lines, 400);
		if (n == 450)
			has(text, "(50 more columns of 2 tables or views are not shown)");
		else
			has_not(text, "not shown");
		call_free(c);
	}
}

/* ---- for completion/complete ---- */

static void test_names(void **state)
{
	(void)state;
	assert_true(prompt_exists(&policy, "write_query"));
	assert_false(prompt_exists(&policy, "write"));
	assert_true(prompt_takes("write_query", "schema"));
	assert_true(prompt_takes("explore_database", "database"));
	assert_false(prompt_takes("explore_database", "schema"));
	assert_false(prompt_takes("no_such", "database"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, help_set_up, help_tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_list),
	    TEST(test_list_pages),
	    TEST(test_without_metadata),
	    TEST(test_refusals),
	    TEST(test_long_question),
	    TEST(test_statements),
	    TEST(test_explore),
	    TEST(test_explore_bounded),
	    TEST(test_explore_long_comment),
	    TEST(test_explore_empty),
	    TEST(test_explore_classic),
	    TEST(test_failures),
	    TEST(test_no_statement),
	    TEST(test_write_query),
	    TEST(test_write_query_without_question),
	    TEST(test_write_query_without_read),
	    TEST(test_write_query_bounded),
	    TEST(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
