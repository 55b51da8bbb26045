/* resources/list and resources/read: what is asked of Snowflake, what is told of it, and what is not there. */
#include "help_methods.h"

#define SHOWN "created_on,name,database_name,schema_name,kind,comment"

static struct call *list(void)
{
	return help_method(MCP_RESOURCES_LIST, "resources/list", "{}");
}

static struct call *reading(const char *uri)
{
	char params[2048];

	snprintf(params, sizeof params, "{\"uri\":\"%s\"}", uri);
	return help_method(MCP_RESOURCES_READ, "resources/read", params);
}

/* ---- resources/list ---- */

static void test_list_of_a_schema(void **state)
{
	struct call *c = list();
	const json_t *result, *one;

	(void)state;
	help_planned(c, 1);
	assert_string_equal(c->plan[0].sql, "SHOW OBJECTS IN SCHEMA \"SALES\".\"PUBLIC\" LIMIT 101");
	assert_true(c->plan[0].metadata);
	assert_false(c->plan[0].write);
	help_rows_text(c, 0, SHOWN,
		       "[[\"2026\",\"ORDERS\",\"SALES\",\"PUBLIC\",\"TABLE\",\"What was sold\"],"
		       "[\"2026\",\"my view\",\"SALES\",\"PUBLIC\",\"VIEW\",\"\"]]");
	result = json_object_get(help_answer(c), "resources");
	assert_int_equal(json_array_size(result), 2);
	one = json_array_get(result, 0);
	assert_string_equal(json_text_of(one, "uri"), "snowflake://SALES/PUBLIC/ORDERS");
	assert_string_equal(json_text_of(one, "name"), "SALES.PUBLIC.ORDERS");
	assert_string_equal(json_text_of(one, "description"), "What was sold");
	assert_string_equal(json_text_of(one, "mimeType"), "text/plain");
	one = json_array_get(result, 1);
	assert_string_equal(json_text_of(one, "uri"), "snowflake://SALES/PUBLIC/my%20view");
	assert_null(json_object_get(one, "description"));
	call_free(c);
}

static void test_list_of_a_database(void **state)
{
	struct call *c = list();

	(void)state;
	c->context.schema = NULL;
	c->context.database = "My \"db\"";
	help_planned(c, 1);
	assert_string_equal(c->plan[0].sql, "SHOW OBJECTS IN DATABASE \"My \"\"db\"\"\"");
	call_free(c);
}

/* Nothing to look in, or nothing that may be looked at: an empty list, and Snowflake is not asked. */
static void test_empty_lists(void **state)
{
	struct call *c = list();
	const json_t *resources;

	(void)state;
	c->context.database = c->context.schema = NULL;
	help_planned(c, 0);
	assert_int_equal(json_array_size(json_object_get(help_answer(c), "resources")), 0);
	call_free(c);
	policy.statements = CLASS_READ;
	c = list();
	help_planned(c, 0);
	resources = json_object_get(help_answer(c), "resources");
	assert_true(json_is_array(resources));
	assert_int_equal(json_array_size(resources), 0);
	call_free(c);
}

static void test_list_that_fails(void **state)
{
	struct call *c = list();

	(void)state;
	help_planned(c, 1);
	help_failed(c, 0, ERR_UPSTREAM, NULL, "connection refused");
	help_answer_fault(c, ERR_RESOURCE_READ, "connection refused");
	call_free(c);
	policy.connection = NULL;
	c = list();
	c->context.role = NULL;
	help_fault(c, ERR_RESOURCE_READ, "no Snowflake connection");
}

/* What is no resource is not listed: the catalogue's views, and names whose URI resources/read would not take. */
static void test_what_is_not_listed(void **state)
{
	struct buf wide = buf_with_ceiling(2000);
	struct call *c = list();
	const json_t *result;
	json_t *rows;

	(void)state;
	c->context.schema = NULL;
	help_planned(c, 1);
	for (int i = 0; i < 255; i++)
		buf_adds(&wide, "\xf0\x9f\x90\x98");
	rows = json_pack("[[s,s,s],[s,s,s],[s,s,s],[s,s,s]]", "A", "SALES", "PUBLIC", "TABLES", "SALES",
			 "INFORMATION_SCHEMA", buf_text(&wide), buf_text(&wide), buf_text(&wide), "B", "SALES",
			 "information_schema");
	help_rows(c, 0, "name,database_name,schema_name", rows);
	result = json_object_get(help_answer(c), "resources");
	assert_int_equal(json_array_size(result), 2);
	assert_string_equal(json_text_of(json_array_get(result, 0), "uri"), "snowflake://SALES/PUBLIC/A");
	assert_non_null(strstr(json_text_of(json_array_get(result, 1), "uri"), "/B"));
	call_free(c);
	buf_free(&wide);
	c = list();
	c->context.schema = "INFORMATION_SCHEMA";
	help_planned(c, 0);
	assert_int_equal(json_array_size(json_object_get(help_answer(c), "resources")), 0);
	call_free(c);
}

/* ---- long lists, of a Snowflake that holds these and shows at most 10000 rows ---- */

static const struct held {
	const char *schema;
	size_t objects;
} held[] = {{"A'\\", 7000}, {"B", 0}, {"INFORMATION_SCHEMA", 70}, {"P", 5000}, {"PUBLIC", 2331}, {"Q", 1}, {"Z", 0}};

/* The literal behind the last FROM; "" where there is none. */
static const char *from_of(struct call *c, const char *sql)
{
	const char *at = strstr(sql, " FROM '");
	char *out = arena_strdup(c->arena, at ? at + 7 : "'"), *to = out;

	assert_non_null(out);
	for (const char *p = out; *p && !(*p == '\'' && p[1] != '\''); p++) {
		p += *p == '\'' || *p == '\\';
		*to++ = *p;
	}
	*to = '\0';
	return out;
}

static void show_schemas(struct call *c, size_t statement)
{
	json_t *rows = json_array();

	assert_non_null(strstr(c->plan[statement].sql, "SHOW SCHEMAS IN DATABASE \"SALES\" LIMIT 2 FROM '"));
	for (size_t i = 0; i < ARRAY_LEN(held) && json_array_size(rows) < 2; i++)
		if (strcmp(held[i].schema, from_of(c, c->plan[statement].sql)) > 0)
			json_array_append_new(rows, json_pack("[s]", held[i].schema));
	help_rows(c, statement, "name", rows);
}

static void show_objects(struct call *c)
{
	const char *sql = c->plan[0].sql, *limit = strstr(sql, " LIMIT ");
	size_t most = limit ? strtoull(limit + 7, NULL, 10) : 10000;
	json_t *rows = json_array();

	for (size_t i = 0; i < ARRAY_LEN(held); i++) {
		struct sql_name name = {2, {"SALES", held[i].schema}};
		struct buf scope = buf_with_ceiling(200);

		sql_quote_name(&scope, &name);
		for (size_t k = 0; k < held[i].objects && json_array_size(rows) < most; k++) {
			char text[32];

			snprintf(text, sizeof text, "T%05zu", k);
			if ((strstr(sql, "IN DATABASE \"SALES\"") || strstr(sql, buf_text(&scope))) &&
			    strcmp(text, from_of(c, sql)) > 0)
				json_array_append_new(rows, json_pack("[s, s, s]", text, "SALES", held[i].schema));
		}
		buf_free(&scope);
	}
	help_rows(c, 0, "name,database_name,schema_name", rows);
}

/* All that is listed, page by page: the objects of held[from..to], each once and in order. */
static void lists_all(const char *schema, size_t page_size, size_t from, size_t to)
{
	size_t k = 0;
	char params[2048] = "{}";

	conf.mcp_list_page = (int64_t)page_size;
	for (bool more = true; more;) {
		struct call *c = help_method(MCP_RESOURCES_LIST, "resources/list", params);
		const json_t *result, *page;

		c->context.schema = schema;
		assert_int_equal(c->handler->plan(c), ERR_OK);
		show_objects(c);
		if (c->plan_n > 1)
			show_schemas(c, 1);
		result = help_answer(c);
		page = json_object_get(result, "resources");
		assert_true(json_array_size(page) <= page_size);
		for (size_t i = 0; i < json_array_size(page); i++, k++) {
			char want[64];

			for (; from < to && (k == held[from].objects || held[from].schema[0] == 'I'); from++)
				k = 0;
			assert_true(from < to);
			snprintf(want, sizeof want, "SALES.%s.T%05zu", held[from].schema, k);
			assert_string_equal(json_text_of(json_array_get(page, i), "name"), want);
		}
		more = json_text_of(result, "nextCursor") != NULL;
		if (more)
			snprintf(params, sizeof params, "{\"cursor\":\"%s\"}", json_text_of(result, "nextCursor"));
		call_free(c);
	}
	for (; from < to && (k == held[from].objects || held[from].schema[0] == 'I'); from++)
		k = 0;
	assert_int_equal(from, to);
}

static void test_long_list_of_a_schema(void **state)
{
	(void)state;
	lists_all("PUBLIC", 777, 4, 5); /* 2331 are three pages to the last row */
	lists_all("PUBLIC", 1000, 4, 5);
	lists_all("A'\\", 999, 0, 1);
	lists_all("Q", 1, 5, 6);
	lists_all("Z", 1, 6, 7);
}

/* Beyond the 10000 rows of one SHOW too, which end amid a schema. */
static void test_long_list_of_a_database(void **state)
{
	(void)state;
	lists_all(NULL, 777, 0, ARRAY_LEN(held));
	lists_all(NULL, 1000, 0, ARRAY_LEN(held));
	lists_all(NULL, 993, 0, ARRAY_LEN(held)); /* 10 pages to the last row shown that is listed */
}

/* ---- resources/read: objects ---- */

#define TABLES  "TABLE_SCHEMA,TABLE_NAME,TABLE_TYPE,ROW_COUNT,COMMENT"
#define COLUMNS "TABLE_SCHEMA,TABLE_NAME,COLUMN_NAME,DATA_TYPE,IS_NULLABLE,COMMENT"

#define VIEWS "TABLE_SCHEMA,TABLE_NAME,VIEW_DEFINITION"

static void described(struct call *c)
{
	help_rows_text(c, 0, TABLES, "[[\"PUBLIC\",\"ORDERS\",\"BASE TABLE\",\"42\",\"What was sold\"]]");
	help_rows_text(c, 1, COLUMNS,
		       "[[\"PUBLIC\",\"ORDERS\",\"ID\",\"NUMBER\",\"NO\",\"the key\"],"
		       "[\"PUBLIC\",\"ORDERS\",\"NOTE\",\"TEXT\",\"YES\",null]]");
}

static void test_object(void **state)
{
	static const char uri[] = "snowflake://sales/public/orders";
	struct call *c = reading(uri);
	const json_t *contents, *one;
	const char *text;

	(void)state;
	help_planned(c, 4);
	assert_non_null(strstr(c->plan[0].sql, "FROM \"SALES\".INFORMATION_SCHEMA.TABLES WHERE"));
	assert_non_null(strstr(c->plan[1].sql, "FROM \"SALES\".INFORMATION_SCHEMA.COLUMNS WHERE"));
	assert_non_null(strstr(c->plan[2].sql, "FROM \"SALES\".INFORMATION_SCHEMA.VIEWS WHERE"));
	assert_non_null(strstr(c->plan[3].sql, "GET_DDL('TABLE', '\"SALES\".\"PUBLIC\".\"ORDERS\"')"));
	described(c);
	help_rows_text(c, 2, VIEWS, "[]");
	help_rows_text(c, 3, "DDL", "[[\"create or replace TABLE ORDERS ();\"]]");
	contents = json_object_get(help_answer(c), "contents");
	assert_int_equal(json_array_size(contents), 1);
	one = json_array_get(contents, 0);
	assert_string_equal(json_text_of(one, "uri"), uri); /* as the client wrote it */
	assert_string_equal(json_text_of(one, "mimeType"), "text/plain");
	text = json_text_of(one, "text");
	assert_string_equal(text, "SALES.PUBLIC.ORDERS: BASE TABLE, 42 rows; What was sold\n"
				  "ID NUMBER NOT NULL -- the key\n"
				  "NOTE TEXT\n"
				  "create or replace TABLE ORDERS ();\n");
	call_free(c);
}

static void test_object_without_ddl(void **state)
{
	struct call *c = reading("snowflake://SALES/PUBLIC/ORDERS");
	const json_t *contents;

	(void)state;
	help_planned(c, 4);
	described(c);
	help_rows_text(c, 2, VIEWS, "[]");
	help_failed(c, 3, ERR_SQL, "003001", "insufficient privileges");
	contents = json_object_get(help_answer(c), "contents");
	assert_null(strstr(json_text_of(json_array_get(contents, 0), "text"), "privileges"));
	call_free(c);
}

/* A view's DDL is its own text where Snowflake gives no other. */
static void test_view(void **state)
{
	struct call *c = reading("snowflake://SALES/PUBLIC/ORDERS");
	const json_t *contents;

	(void)state;
	help_planned(c, 4);
	described(c);
	help_rows_text(c, 2, VIEWS, "[[\"PUBLIC\",\"ORDERS\",\"create view ORDERS as select 1\"]]");
	help_failed(c, 3, ERR_SQL, "002003", "does not exist");
	contents = json_object_get(help_answer(c), "contents");
	assert_non_null(
	    strstr(json_text_of(json_array_get(contents, 0), "text"), "\ncreate view ORDERS as select 1\n"));
	call_free(c);
}

/* Any name comes to Snowflake as it is stored: the round trip of a URI. */
static void test_names_come_through(void **state)
{
	static const char *const names[] = {
	    "ORDERS", "orders", "My Table", "a/b", "100%", "\"a\"",  "a\"b",   " A ", "1A", "T\xc3\xbcr",  "{x}",
	    "?#[]@",  "A.B",    "$X",       "'",   "_a",   "result", "\"half", "a+b", "\"", "\xe2\x82\xac"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct sql_name name = {3, {names[i], names[i], names[i]}};
		struct buf uri = buf_with_ceiling(4096);
		struct call *c;

		assert_true(resource_uri_of(&uri, &name));
		c = reading(buf_text(&uri));
		help_planned(c, 4);
		for (size_t k = 0; k < 2; k++)
			assert_string_equal(json_text_of(json_array_get(c->plan[0].bindings, k), "value"), names[i]);
		call_free(c);
		buf_free(&uri);
	}
}

static void test_object_that_is_not_there(void **state)
{
	static const char uri[] = "snowflake://SALES/PUBLIC/NOPE";
	struct call *c = reading(uri);

	(void)state;
	help_planned(c, 4);
	help_rows_text(c, 0, TABLES, "[]");
	help_rows_text(c, 1, COLUMNS, "[]");
	help_rows_text(c, 2, VIEWS, "[]");
	help_failed(c, 3, ERR_SQL, "002003", "does not exist");
	help_answer_fault(c, ERR_RESOURCE, "no such table or view");
	assert_string_equal(json_text_of(c->fault.data, "uri"), uri);
	call_free(c);
	/* nor its database */
	c = reading(uri);
	help_planned(c, 4);
	help_failed(c, 0, ERR_SQL, "002003", "does not exist");
	help_answer_fault(c, ERR_RESOURCE, "no such table or view");
	call_free(c);
}

static void test_object_that_cannot_be_read(void **state)
{
	struct call *c = reading("snowflake://SALES/PUBLIC/ORDERS");

	(void)state;
	help_planned(c, 4);
	help_failed(c, 0, ERR_SQL, "000606", "No active warehouse selected");
	help_answer_fault(c, ERR_RESOURCE_READ, "000606: No active warehouse selected");
	assert_string_equal(json_text_of(c->fault.data, "code"), "000606");
	assert_non_null(json_text_of(c->fault.data, "uri"));
	call_free(c);
}

static void test_unreadable_requests(void **state)
{
	static const char *const databases[] = {"SALES"};
	static const char *const params[] = {"{}", "{\"uri\":1}", "{\"uri\":null}", "{\"uri\":[]}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(params); i++)
		help_fault(help_method(MCP_RESOURCES_READ, "resources/read", params[i]), ERR_INVALID_PARAMS, "uri");
	help_fault(reading("https://example.com/x"), ERR_RESOURCE, "not a resource");
	help_fault(reading(""), ERR_RESOURCE, "not a resource");
	texts_set(&policy.databases, 1, databases);
	help_fault(reading("snowflake://HR/PUBLIC/T"), ERR_RESOURCE, "no such resource");
	policy.statements = CLASS_READ;
	help_fault(reading("snowflake://SALES/PUBLIC/T"), ERR_RESOURCE, "no such resource");
}

/* ---- resources/read: results ---- */

static struct call *reading_result(const char *subject)
{
	static const uint8_t key[SHA256_BYTES] = {1, 2, 3};
	struct principal p = {.kind = PRINCIPAL_KEY, .subject = "alice"};
	struct buf handle = buf_with_ceiling(256), uri = buf_with_ceiling(256), params = buf_with_ceiling(512);
	struct call *c;

	assert_true(handle_seal(&handle, key, QUERY_ID, "main", "ANALYST", &p));
	assert_true(resource_uri_of_result(&uri, buf_text(&handle)));
	buf_addf(&params, "{\"uri\":\"%s\"}", buf_text(&uri));
	c = help_method_of(subject, MCP_RESOURCES_READ, "resources/read", buf_text(&params));
	buf_free(&handle);
	buf_free(&uri);
	buf_free(&params);
	return c;
}

static void test_result(void **state)
{
	struct call *c = reading_result("alice");
	const json_t *contents;

	(void)state;
	c->preferred_format = "json"; /* a resource has one form */
	help_planned(c, 1);
	assert_int_equal(c->plan[0].kind, STATEMENT_ATTACH);
	assert_string_equal(c->plan[0].handle, QUERY_ID);
	help_rows_text(c, 0, "A,B", "[[\"1\",\"x,y\"],[\"2\",null]]");
	contents = json_object_get(help_answer(c), "contents");
	assert_int_equal(json_array_size(contents), 2);
	assert_string_equal(json_text_of(json_array_get(contents, 0), "mimeType"), "text/csv");
	assert_string_equal(json_text_of(json_array_get(contents, 0), "text"), "A,B\n1,\"x,y\"\n2,\n");
	assert_string_equal(json_text_of(json_array_get(contents, 1), "mimeType"), "text/plain");
	assert_non_null(strstr(json_text_of(json_array_get(contents, 1), "text"), "2 rows"));
	call_free(c);
}

/* What was cut is said, and how to get the rest. */
static void test_long_result(void **state)
{
	struct call *c = reading_result("alice");
	const json_t *contents;
	const char *note;

	(void)state;
	help_planned(c, 1);
	help_rows_text(c, 0, "A", "[[\"1\"]]");
	c->plan[0].total_rows = 1500;
	contents = json_object_get(help_answer(c), "contents");
	note = json_text_of(json_array_get(contents, 1), "text");
	assert_non_null(strstr(note, "1 of 1500 rows"));
	assert_non_null(strstr(note, "get_result(\"" QUERY_ID "."));
	call_free(c);
}

static void test_running_result(void **state)
{
	struct call *c = reading_result("alice");
	const json_t *contents;

	(void)state;
	help_planned(c, 1);
	c->plan[0].state = STATEMENT_RUNNING;
	contents = json_object_get(help_answer(c), "contents");
	assert_int_equal(json_array_size(contents), 1);
	assert_string_equal(json_text_of(json_array_get(contents, 0), "mimeType"), "text/plain");
	assert_non_null(strstr(json_text_of(json_array_get(contents, 0), "text"), "running"));
	call_free(c);
}

static void test_foreign_results(void **state)
{
	static const char *const roles[] = {"READER"};

	(void)state;
	help_fault(reading_result("bob"), ERR_RESOURCE, "no such result");
	help_fault(reading("snowflake://result/" QUERY_ID), ERR_RESOURCE, "no such result");
	help_fault(reading("snowflake://result/" QUERY_ID ".aaaaaaaaaaaaaaaaaaaaaaaaaa"), ERR_RESOURCE,
		   "no such result");
	/* the role was taken away */
	texts_set(&policy.roles, 1, roles);
	help_fault(reading_result("alice"), ERR_RESOURCE, "no such result");
	policy.connection = NULL;
	help_fault(reading_result("alice"), ERR_RESOURCE_READ, "no Snowflake connection");
}

static void test_failed_result(void **state)
{
	struct call *c = reading_result("alice");

	(void)state;
	help_planned(c, 1);
	help_failed(c, 0, ERR_SQL, "001003", "syntax error");
	help_answer_fault(c, ERR_RESOURCE_READ, "001003: syntax error");
	call_free(c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, help_set_up, help_tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_list_of_a_schema),
	    TEST(test_list_of_a_database),
	    TEST(test_empty_lists),
	    TEST(test_list_that_fails),
	    TEST(test_what_is_not_listed),
	    TEST(test_long_list_of_a_schema),
	    TEST(test_long_list_of_a_database),
	    TEST(test_object),
	    TEST(test_object_without_ddl),
	    TEST(test_view),
	    TEST(test_names_come_through),
	    TEST(test_object_that_is_not_there),
	    TEST(test_object_that_cannot_be_read),
	    TEST(test_unreadable_requests),
	    TEST(test_result),
	    TEST(test_long_result),
	    TEST(test_running_result),
	    TEST(test_foreign_results),
	    TEST(test_failed_result),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
