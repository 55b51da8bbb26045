/* Pages of lists: every item once, in order; a cursor fits the list, the principal and the keys it was made for. */
#include "help_methods.h"

/* Items 3 to a page. */
static int small_pages(void **state)
{
	help_set_up(state);
	conf.mcp_list_page = 3;
	return 0;
}

static char *params_with(const char *cursor)
{
	static char text[1024];

	if (cursor)
		snprintf(text, sizeof text, "{\"cursor\":\"%s\"}", cursor);
	else
		snprintf(text, sizeof text, "{}");
	return text;
}

/* The cursor of the second page of alice's tools. */
static void second_page(char cursor[256])
{
	struct call *c = help_method(MCP_TOOLS_LIST, "tools/list", "{}");

	help_planned(c, 0);
	snprintf(cursor, 256, "%s", json_text_of(help_answer(c), "nextCursor"));
	call_free(c);
}

static void test_pages_are_the_list(void **state)
{
	json_t *all = tools_listed(&conf, &policy, false);
	size_t seen = 0, pages = 0;
	char cursor[256] = "";

	(void)state;
	for (bool more = true; more; pages++) {
		struct call *c = help_method(MCP_TOOLS_LIST, "tools/list", params_with(*cursor ? cursor : NULL));
		const json_t *result, *tools;

		help_planned(c, 0);
		result = help_answer(c);
		tools = json_object_get(result, "tools");
		assert_in_range(json_array_size(tools), 1, 3);
		for (size_t i = 0; i < json_array_size(tools); i++, seen++)
			assert_string_equal(json_text_of(json_array_get(tools, i), "name"),
					    json_text_of(json_array_get(all, seen), "name"));
		more = json_text_of(result, "nextCursor") != NULL;
		assert_int_equal(more, seen < json_array_size(all));
		if (more)
			snprintf(cursor, sizeof cursor, "%s", json_text_of(result, "nextCursor"));
		call_free(c);
	}
	assert_int_equal(seen, json_array_size(all));
	assert_int_equal(pages, (json_array_size(all) + 2) / 3);
	json_decref(all);
}

/* No cursor follows where the last page is full. */
static void test_full_last_page(void **state)
{
	json_t *all = tools_listed(&conf, &policy, false);
	struct call *c;

	(void)state;
	conf.mcp_list_page = (int64_t)json_array_size(all);
	c = help_method(MCP_TOOLS_LIST, "tools/list", "{}");
	help_planned(c, 0);
	assert_null(json_object_get(help_answer(c), "nextCursor"));
	call_free(c);
	json_decref(all);
}

static void refused(const char *subject, enum method_id method, const char *name, const char *params)
{
	help_fault(help_method_of(subject, method, name, params), ERR_INVALID_PARAMS, "cursor");
}

static void test_foreign_cursors(void **state)
{
	static const struct {
		enum method_id method;
		const char *name;
	} others[] = {{MCP_TEMPLATES_LIST, "resources/templates/list"},
		      {MCP_RESOURCES_LIST, "resources/list"},
		      {MCP_PROMPTS_LIST, "prompts/list"}};
	char cursor[256];

	(void)state;
	second_page(cursor);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		refused("alice", others[i].method, others[i].name, params_with(cursor));
	refused("bob", MCP_TOOLS_LIST, "tools/list", params_with(cursor));
	policy.name = "another";
	refused("alice", MCP_TOOLS_LIST, "tools/list", params_with(cursor));
}

static void test_tampered_cursors(void **state)
{
	char cursor[256];
	size_t n;

	(void)state;
	second_page(cursor);
	n = strlen(cursor);
	for (size_t i = 0; i < n; i++) {
		char was = cursor[i];

		cursor[i] = was == 'A' ? 'B' : 'A';
		refused("alice", MCP_TOOLS_LIST, "tools/list", params_with(cursor));
		cursor[i] = was;
	}
	for (size_t i = 0; i < n; i++) {
		char was = cursor[i];

		cursor[i] = '\0'; /* also the empty one, which is a cursor */
		refused("alice", MCP_TOOLS_LIST, "tools/list", params_with(cursor));
		cursor[i] = was;
	}
}

static void test_cursor_is_a_string(void **state)
{
	static const char *const params[] = {"{\"cursor\":1}",    "{\"cursor\":{}}",    "{\"cursor\":[]}",
					     "{\"cursor\":true}", "{\"cursor\":\"3\"}", "{\"cursor\":\"\\u00fc\"}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(params); i++)
		refused("alice", MCP_TOOLS_LIST, "tools/list", params[i]);
}

/* A list of objects belongs to its context. */
static void test_context_decides_objects(void **state)
{
	struct call *c = help_method(MCP_RESOURCES_LIST, "resources/list", "{}");
	char cursor[512];

	(void)state;
	help_planned(c, 1);
	help_rows_text(c, 0, "name,database_name,schema_name,kind,comment",
		       "[[\"A\",\"SALES\",\"PUBLIC\",\"TABLE\",\"\"],[\"B\",\"SALES\",\"PUBLIC\",\"TABLE\",\"\"],"
		       "[\"C\",\"SALES\",\"PUBLIC\",\"TABLE\",\"\"],[\"D\",\"SALES\",\"PUBLIC\",\"TABLE\",\"\"]]");
	snprintf(cursor, sizeof cursor, "%s", json_text_of(help_answer(c), "nextCursor"));
	call_free(c);

	c = help_method(MCP_RESOURCES_LIST, "resources/list", params_with(cursor));
	help_planned(c, 1);
	assert_non_null(strstr(c->plan[0].sql, " FROM 'C'"));
	call_free(c);

	for (size_t i = 0; i < 3; i++) {
		c = help_method(MCP_RESOURCES_LIST, "resources/list", params_with(cursor));
		*(i == 0 ? &c->context.schema : i == 1 ? &c->context.database : &c->context.role) = "OTHER";
		help_fault(c, ERR_INVALID_PARAMS, "cursor");
	}
}

static void test_templates(void **state)
{
	struct call *c = help_method(MCP_TEMPLATES_LIST, "resources/templates/list", "{}");
	const json_t *list;

	(void)state;
	help_planned(c, 0);
	list = json_object_get(help_answer(c), "resourceTemplates");
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(json_text_of(json_array_get(list, 0), "uriTemplate"),
			    "snowflake://{database}/{schema}/{object}");
	assert_string_equal(json_text_of(json_array_get(list, 1), "uriTemplate"), "snowflake://result/{handle}");
	for (size_t i = 0; i < 2; i++) {
		const json_t *template = json_array_get(list, i);

		assert_non_null(json_text_of(template, "name"));
		assert_non_null(json_text_of(template, "title"));
		assert_true(strlen(json_text_of(template, "description")) > 20);
		assert_non_null(json_text_of(template, "mimeType"));
	}
	call_free(c);
	/* objects are metadata */
	policy.statements = CLASS_READ;
	c = help_method(MCP_TEMPLATES_LIST, "resources/templates/list", "{}");
	help_planned(c, 0);
	assert_int_equal(json_array_size(json_object_get(help_answer(c), "resourceTemplates")), 1);
	call_free(c);
}

static void test_modern_lists_are_private(void **state)
{
	struct call *c = help_method(MCP_TOOLS_LIST, "tools/list", "{}");
	const json_t *result;

	(void)state;
	c->revision = REVISION_2026_07_28;
	help_planned(c, 0);
	result = help_answer(c);
	assert_string_equal(json_text_of(result, "resultType"), "complete");
	assert_string_equal(json_text_of(result, "cacheScope"), "private");
	assert_true(json_int_of(result, "ttlMs", -1) >= 0);
	call_free(c);
}

static void test_handlers(void **state)
{
	(void)state;
	assert_null(method_handler(MCP_TOOLS_CALL));
	assert_null(method_handler(MCP_PING));
	assert_null(method_handler(MCP_SUBSCRIBE));
	assert_null(method_handler(MCP_UNKNOWN));
	for (enum method_id m = MCP_RESOURCES_LIST; m <= MCP_RESOURCES_READ; m++)
		assert_non_null(method_handler(m));
	/* the index of names is NET's */
	assert_true(method_handler(MCP_COMPLETE)->plan_on_net);
	assert_non_null(method_handler(MCP_COMPLETE)->settle);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, small_pages, help_tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_pages_are_the_list), TEST(test_full_last_page),           TEST(test_foreign_cursors),
	    TEST(test_tampered_cursors),   TEST(test_cursor_is_a_string),       TEST(test_context_decides_objects),
	    TEST(test_templates),          TEST(test_modern_lists_are_private), TEST(test_handlers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
