/* to: "file": addresses instead of rows, as clients reach them; and the plan of a download. */
#include "help.h"

static struct column columns[] = {
    {.name = "N", .type = "FIXED", .kind = COLUMN_FIXED, .precision = 10, .scale = 0},
    {.name = "T", .type = "TEXT", .kind = COLUMN_TEXT, .nullable = true, .precision = -1, .scale = -1},
};

/* The handle as the answer shows it. */
static const char *sealed(const char *subject)
{
	static const uint8_t key[SHA256_BYTES] = {1, 2, 3};
	static char text[128];
	struct principal p = {.kind = PRINCIPAL_KEY};
	struct buf b = buf_with_ceiling(sizeof text - 1);

	snprintf(p.subject, sizeof p.subject, "%s", subject);
	assert_true(handle_seal(&b, key, QUERY_ID, "main", "ANALYST", &p));
	snprintf(text, sizeof text, "%s", buf_text(&b));
	buf_free(&b);
	return text;
}

/* A query whose result is wanted as a file, come by `base`, that has ended with 5 rows. */
static struct call *ended(const char *base, const char *format)
{
	char arguments[200];
	struct call *c;
	struct statement *s;

	snprintf(arguments, sizeof arguments, "{\"query\":\"SELECT 1\",\"to\":\"file\",\"format\":\"%s\"}", format);
	c = help_call("execute_query", arguments);
	c->request->base = base;
	assert_int_equal(c->handler->plan(c), ERR_OK);
	s = &c->plan[0];
	assert_int_equal(s->rows, 0); /* none is read */
	s->state = STATEMENT_SUCCEEDED;
	memcpy(s->handle, QUERY_ID, sizeof QUERY_ID);
	s->columns = columns;
	s->columns_n = ARRAY_LEN(columns);
	s->total_rows = 5;
	return c;
}

static void test_addresses(void **state)
{
	static const struct {
		const char *public_url, *path, *base, *folder;
	} table[] = {
	    {"", "/mcp", "http://127.0.0.1:8080", "http://127.0.0.1:8080/"},
	    {"", "/a/b/mcp", "http://gate:1", "http://gate:1/a/b/"},
	    {"", "/", "http://gate:1", "http://gate:1/"},
	    {"https://data.example/mcp", "/mcp", "http://10.0.0.1:8080", "https://data.example/"},
	    {"https://data.example/snow/mcp", "/mcp", NULL, "https://data.example/snow/"},
	    {"https://data.example", "/mcp", NULL, "https://data.example/"},
	};
	char want[400];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct call *c;

		conf.listen_public_url = table[i].public_url;
		conf.listen_path = table[i].path;
		c = ended(table[i].base, "csv");
		c->handler->answer(c);
		assert_false(c->answer.is_error);
		snprintf(want, sizeof want, "%sresults/%s.csv\n%sresults/%s.jsonl", table[i].folder, sealed("alice"),
			 table[i].folder, sealed("alice"));
		if (!strstr(buf_text(&c->answer.text), want))
			fail_msg("%s lacks %s", buf_text(&c->answer.text), want);
		assert_non_null(strstr(buf_text(&c->answer.text), "5 rows, not shown; 2 columns: N, T\n"));
		call_free(c);
	}
}

static void test_json(void **state)
{
	struct call *c;
	json_t *answer;
	char want[400];

	(void)state;
	conf.listen_public_url = "";
	conf.listen_path = "/mcp";
	c = ended("http://gate:1", "json");
	c->handler->answer(c);
	assert_int_equal(json_parse(buf_slice(&c->answer.structured), 8, &answer, NULL, 0), JSON_OK);
	snprintf(want, sizeof want, "http://gate:1/results/%s.jsonl", sealed("alice"));
	assert_string_equal(json_text_of(json_object_get(answer, "files"), "jsonl"), want);
	assert_int_equal(json_int_of(answer, "totalRows", -1), 5);
	assert_int_equal(json_array_size(json_object_get(answer, "columns")), 2);
	assert_string_equal(json_text_of(answer, "status"), "complete");
	assert_null(json_object_get(answer, "rows"));
	json_decref(answer);
	call_free(c);
}

/* There is nothing to download from over standard input and output; a dry run has no result. */
static void test_not_here(void **state)
{
	struct call *c = help_call("execute_query", "{\"query\":\"SELECT 1\",\"to\":\"file\"}");

	(void)state;
	conf.listen_public_url = "";
	assert_int_not_equal(c->handler->plan(c), ERR_OK);
	assert_true(c->answer.is_error);
	assert_non_null(strstr(buf_text(&c->answer.text), "page with get_result"));
	call_free(c);
}

static struct call *download(const char *result, const char *who)
{
	struct call *c = help_call("set_context", "{}");

	c->arguments = NULL;
	c->request->result = result;
	c->request->jsonl = true;
	snprintf(c->request->principal.subject, sizeof c->request->principal.subject, "%s", who);
	return c;
}

static void test_download(void **state)
{
	struct call *c = download(sealed("alice"), "alice");

	(void)state;
	assert_int_equal(plan_export(c), ERR_OK);
	assert_int_equal(c->plan_n, 1);
	assert_int_equal(c->plan[0].kind, STATEMENT_ATTACH);
	assert_string_equal(c->plan[0].handle, QUERY_ID);
	assert_true(c->plan[0].whole);
	assert_int_equal(c->plan[0].format, ROWS_JSONL);
	call_free(c);
	c = download(sealed("alice"), "bob");
	assert_int_equal(plan_export(c), ERR_NOT_FOUND);
	assert_int_equal(c->plan_n, 0);
	call_free(c);
	c = download(QUERY_ID, "alice");
	assert_int_equal(plan_export(c), ERR_NOT_FOUND);
	call_free(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, help_set_up, help_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(test_addresses), TEST(test_json), TEST(test_not_here),
					   TEST(test_download)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
