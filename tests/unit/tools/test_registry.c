/* Definitions as a principal sees them: whole, honest, and cut to its policy. */
#include "help.h"

static const char *const names[] = {"execute_query",  "get_result",      "cancel_query", "list_objects",
				    "search_catalog", "describe_object", "set_context",  "list_databases",
				    "list_views",     "describe_view",   "query_view"};

static struct policy policies[6];

/* Policies that differ in everything a definition depends on. */
static void policies_make(void)
{
	static const char *const roles[] = {"ANALYST", "READER"}, *const databases[] = {"SALES", "HR"};

	for (size_t i = 0; i < ARRAY_LEN(policies); i++)
		policies[i] = policy;
	texts_set(&policies[1].roles, 2, roles);
	policies[1].warehouse = "WH_XS";
	texts_set(&policies[2].databases, 1, databases);
	policies[2].statements = CLASS_READ | CLASS_METADATA | CLASS_DML;
	texts_set(&policies[3].databases, 2, databases);
	policies[3].statements = CLASS_READ | CLASS_METADATA | CLASS_DML | CLASS_DDL | CLASS_DCL;
	policies[4].connection = NULL;
	policies[4].statements = CLASS_METADATA;
	policies[5].toolsets = TOOLSET_CORE;
	texts_set(&policies[5].roles, 1, roles);
}

static const json_t *listed(const json_t *list, const char *name)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (strcmp(json_text_of(json_array_get(list, i), "name"), name) == 0)
			return json_array_get(list, i);
	return NULL;
}

static const json_t *property(const json_t *definition, const char *name)
{
	return json_object_get(json_object_get(json_object_get(definition, "inputSchema"), "properties"), name);
}

static void test_order_and_names(void **state)
{
	json_t *list = tools_listed(&conf, &policy, false);

	(void)state;
	assert_int_equal(json_array_size(list), ARRAY_LEN(names));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_string_equal(json_text_of(json_array_get(list, i), "name"), names[i]);
	json_decref(list);
}

static void check_definition(const json_t *tool)
{
	const json_t *annotations = json_object_get(tool, "annotations");
	const json_t *schema = json_object_get(tool, "inputSchema");
	const char *keyword = "", *name;
	json_t *required = json_object_get(schema, "required"), *value;
	size_t i;

	assert_non_null(json_text_of(tool, "title"));
	assert_true(strlen(json_text_of(tool, "description")) > 20);
	assert_string_equal(json_text_of(schema, "type"), "object");
	assert_true(json_is_false(json_object_get(schema, "additionalProperties")));
	if (!schema_usable(schema, &keyword))
		fail_msg("%s: %s", json_text_of(tool, "name"), keyword);
	assert_true(json_is_boolean(json_object_get(annotations, "readOnlyHint")));
	assert_true(json_is_boolean(json_object_get(annotations, "destructiveHint")));
	/* revisions before 2025-06-18 know only this title */
	assert_string_equal(json_text_of(annotations, "title"), json_text_of(tool, "title"));
	assert_true(json_is_boolean(json_object_get(annotations, "idempotentHint")));
	assert_true(json_is_boolean(json_object_get(annotations, "openWorldHint")));
	/* rows do not fit a fixed shape: a declared one makes clients refuse `running` answers */
	assert_null(json_object_get(tool, "outputSchema"));
	json_array_foreach(required, i, value) assert_non_null(property(tool, json_string_value(value)));
	json_object_foreach(json_object_get(schema, "properties"), name, value)
	    assert_true(json_is_string(json_object_get(value, "type")));
}

/* No brace is left, no name of a list is missing, and texts are whole sentences. */
static void check_texts(const json_t *value)
{
	const char *key;
	json_t *member;
	size_t i;

	if (json_is_string(value)) {
		const char *text = json_string_value(value);

		assert_null(strpbrk(text, "{}"));
		assert_null(strstr(text, ": ."));
		assert_null(strstr(text, "  "));
		assert_null(strstr(text, "default ,"));
		assert_true(utf8_valid(slice_of(text)));
	}
	json_object_foreach((json_t *)value, key, member) check_texts(member);
	json_array_foreach(value, i, member) check_texts(member);
}

static void test_definitions_of_every_policy(void **state)
{
	(void)state;
	policies_make();
	for (size_t p = 0; p < ARRAY_LEN(policies); p++)
		for (int session = 0; session < 2; session++) {
			json_t *list = tools_listed(&conf, &policies[p], session), *tool;
			size_t i;

			assert_true(json_array_size(list) > 0);
			json_array_foreach(list, i, tool)
			{
				check_definition(tool);
				check_texts(tool);
			}
			json_decref(list);
		}
}

static void test_placeholders_carry_the_policys_numbers(void **state)
{
	json_t *list;
	const char *text;

	(void)state;
	policies_make();
	conf.results_default_rows = 77;
	conf.results_max_rows = 5432;
	list = tools_listed(&conf, &policies[1], false);
	text = json_text_of(listed(list, "execute_query"), "description");
	assert_non_null(strstr(text, "at most 77 rows"));
	assert_non_null(strstr(text, "up to 5432"));
	assert_non_null(strstr(text, "Allowed here: read, metadata."));
	assert_non_null(
	    strstr(json_text_of(property(listed(list, "execute_query"), "role"), "description"), "ANALYST, READER"));
	json_decref(list);
}

static void test_what_is_fixed_is_no_argument(void **state)
{
	static const char *const fixed[] = {"role", "warehouse", "database", "session"};
	json_t *list;

	(void)state;
	policies_make();
	policies[1].databases = policies[2].databases;
	policies[1].roles = policies[5].roles;
	list = tools_listed(&conf, &policies[1], true);
	for (size_t i = 0; i < json_array_size(list); i++)
		for (size_t k = 0; k < ARRAY_LEN(fixed); k++)
			assert_null(property(json_array_get(list, i), fixed[k]));
	/* the database was required: nothing else is lost with it */
	assert_null(json_object_get(json_object_get(listed(list, "list_views"), "inputSchema"), "required"));
	assert_int_equal(
	    json_array_size(json_object_get(json_object_get(listed(list, "query_view"), "inputSchema"), "required")),
	    1);
	json_decref(list);

	policies[1].roles = (struct texts){0};
	policies_make();
	list = tools_listed(&conf, &policies[3], false);
	assert_non_null(property(listed(list, "execute_query"), "database"));
	assert_non_null(property(listed(list, "execute_query"), "warehouse"));
	assert_non_null(property(listed(list, "execute_query"), "session"));
	assert_null(property(listed(list, "execute_query"), "role"));
	json_decref(list);
}

static void test_schema_checked_is_schema_listed(void **state)
{
	(void)state;
	policies_make();
	for (size_t p = 0; p < ARRAY_LEN(policies); p++) {
		json_t *list = tools_listed(&conf, &policies[p], true), *tool;
		size_t i;

		json_array_foreach(list, i, tool)
		{
			const struct tool *t = tool_find(&policies[p], json_text_of(tool, "name"));
			const json_t *schema;
			json_t *shown, *value;
			const char *name;

			assert_non_null(t);
			schema = tool_schema(&policies[p], t, true);
			shown = json_object_get(tool, "inputSchema");
			assert_true(
			    json_equal(json_object_get(schema, "required"), json_object_get(shown, "required")) ||
			    !json_object_get(shown, "required"));
			assert_int_equal(json_object_size(json_object_get(schema, "properties")),
					 json_object_size(json_object_get(shown, "properties")));
			json_object_foreach(json_object_get(shown, "properties"), name, value)
			    assert_non_null(json_object_get(json_object_get(schema, "properties"), name));
		}
		json_decref(list);
	}
}

/* Proxies may see where a query runs; neither its text nor what names a session. */
static void test_headers(void **state)
{
	static const char *const mirrored[] = {"database", "warehouse", "role"};
	json_t *list, *tool, *value;
	const json_t *query;
	const char *name;
	size_t i;

	(void)state;
	policies_make();
	list = tools_listed(&conf, &policies[1], false);
	query = listed(list, "execute_query");
	assert_string_equal(json_text_of(property(query, "database"), "x-mcp-header"), "Database");
	assert_string_equal(json_text_of(property(query, "role"), "x-mcp-header"), "Role");
	json_array_foreach(list, i, tool)
	{
		json_object_foreach(json_object_get(json_object_get(tool, "inputSchema"), "properties"), name, value)
		{
			bool may = false;

			for (size_t k = 0; k < ARRAY_LEN(mirrored); k++)
				may = may || strcmp(mirrored[k], name) == 0;
			assert_true(may || !json_object_get(value, "x-mcp-header"));
		}
	}
	json_decref(list);
}

static void test_read_only_hint_is_honest(void **state)
{
	(void)state;
	policies_make();
	for (size_t p = 0; p < ARRAY_LEN(policies); p++) {
		bool harmless = !(policies[p].statements & ~(unsigned)(CLASS_READ | CLASS_METADATA));
		json_t *list = tools_listed(&conf, &policies[p], false);
		const json_t *hints = json_object_get(listed(list, "execute_query"), "annotations");

		assert_int_equal(json_is_true(json_object_get(hints, "readOnlyHint")), harmless);
		assert_int_equal(json_is_true(json_object_get(hints, "destructiveHint")), !harmless);
		for (size_t i = 0; i < json_array_size(list); i++) {
			const json_t *tool = json_array_get(list, i);
			const char *name = json_text_of(tool, "name");
			bool changes = strcmp(name, "cancel_query") == 0 || strcmp(name, "set_context") == 0;

			hints = json_object_get(tool, "annotations");
			if (strcmp(name, "execute_query") != 0)
				assert_int_equal(json_is_true(json_object_get(hints, "readOnlyHint")), !changes);
		}
		json_decref(list);
	}
	/* cutting one list must not change the next */
	json_t *list = tools_listed(&conf, &policies[0], false);
	assert_true(json_is_true(
	    json_object_get(json_object_get(listed(list, "execute_query"), "annotations"), "readOnlyHint")));
	json_decref(list);
}

static void test_who_may_call_what(void **state)
{
	struct policy p = policy;

	(void)state;
	p.toolsets = TOOLSET_CORE;
	assert_non_null(tool_find(&p, "execute_query"));
	assert_non_null(tool_find(&p, "query_view")); /* classic: callable, not listed */
	p.toolsets = TOOLSET_CLASSIC;
	assert_null(tool_find(&p, "describe_object"));
	assert_non_null(tool_find(&p, "execute_query"));
	assert_null(tool_find(&p, "no_such_tool"));
	assert_null(tool_find(&p, ""));
	assert_null(tool_find(&p, NULL));
}

/* What a policy does not allow as SQL is no tool either. */
static void test_statements_bound_tools(void **state)
{
	static const struct {
		unsigned statements;
		const char *tool;
		bool callable;
	} cases[] = {
	    {CLASS_READ, "list_objects", false},   {CLASS_READ, "describe_object", false},
	    {CLASS_READ, "search_catalog", false}, {CLASS_METADATA, "search_catalog", true},
	    {CLASS_READ, "list_databases", false}, {CLASS_READ, "list_views", false},
	    {CLASS_READ, "describe_view", false},  {CLASS_READ, "query_view", true},
	    {CLASS_READ, "execute_query", true},   {CLASS_READ, "get_result", true},
	    {CLASS_METADATA, "query_view", false}, {CLASS_METADATA, "list_objects", true},
	    {CLASS_DML, "query_view", false},      {CLASS_DML, "execute_query", true},
	    {CLASS_DML, "set_context", true},      {CLASS_DML, "cancel_query", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct policy p = policy;
		json_t *list;

		p.statements = cases[i].statements;
		list = tools_listed(&conf, &p, false);
		if ((tool_find(&p, cases[i].tool) != NULL) != cases[i].callable)
			fail_msg("%s under %u", cases[i].tool, cases[i].statements);
		assert_int_equal(listed(list, cases[i].tool) != NULL, cases[i].callable);
		json_decref(list);
	}
}

/* ---- instructions ---- */

static void test_instructions(void **state)
{
	struct buf b = buf_with_ceiling(4096);

	(void)state;
	policies_make();
	for (size_t p = 0; p < ARRAY_LEN(policies); p++) {
		buf_clear(&b);
		assert_true(tools_instructions(&b, &conf, &policies[p]));
		assert_true(b.n > 100 && b.n <= 1536);
		assert_true(utf8_valid(buf_slice(&b)));
		assert_non_null(strstr(buf_text(&b), "search_catalog, describe_object, execute_query"));
		assert_non_null(strstr(buf_text(&b), "get_result"));
	}
	buf_clear(&b);
	assert_true(tools_instructions(&b, &conf, &policies[3]));
	assert_non_null(strstr(buf_text(&b), "acme-prod"));
	assert_non_null(strstr(buf_text(&b), "ANALYST"));
	assert_non_null(strstr(buf_text(&b), "SALES, HR"));
	assert_non_null(strstr(buf_text(&b), "read, metadata, dml, ddl, dcl"));
	buf_free(&b);
}

/* However long the lists are: within the limit, whole characters, and the order of work is still told. */
static void test_instructions_of_long_lists(void **state)
{
	static char text[200][300];
	static const char *v[200];

	(void)state;
	for (size_t n = 1; n <= 200; n += 7)
		for (size_t letters = 1; letters < 120; letters += 59) {
			struct buf b = buf_with_ceiling(4096);
			struct policy p = policy;

			for (size_t i = 0; i < n; i++) {
				size_t at = (size_t)snprintf(text[i], sizeof text[i], "D%zu", i);

				for (size_t k = 0; k < letters; k++, at += 2)
					memcpy(text[i] + at, "\xc3\x9c", 3);
				v[i] = text[i];
			}
			texts_set(&p.databases, n, v);
			texts_set(&p.roles, n, v);
			assert_true(tools_instructions(&b, &conf, &p));
			assert_true(b.n <= 1536);
			assert_true(utf8_valid(buf_slice(&b)));
			assert_non_null(strstr(buf_text(&b), "Databases: D0"));
			assert_non_null(strstr(buf_text(&b), "search_catalog, describe_object, execute_query"));
			assert_non_null(strstr(buf_text(&b), "set_context"));
			buf_free(&b);
		}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, help_set_up, help_tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_order_and_names),
	    TEST(test_definitions_of_every_policy),
	    TEST(test_placeholders_carry_the_policys_numbers),
	    TEST(test_what_is_fixed_is_no_argument),
	    TEST(test_schema_checked_is_schema_listed),
	    TEST(test_headers),
	    TEST(test_read_only_hint_is_honest),
	    TEST(test_who_may_call_what),
	    TEST(test_statements_bound_tools),
	    TEST(test_instructions),
	    TEST(test_instructions_of_long_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
