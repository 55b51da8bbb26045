/* The toolset snowflake-labs: the official server's names and arguments become our statements; two tools of one name.
 */
#include "help.h"

#include "snowgate/rows.h"

static int set_up(void **state)
{
	help_set_up(state);
	policy.toolsets = TOOLSET_LABS;
	return 0;
}

static void test_query(void **state)
{
	struct call *c = help_plan("run_snowflake_query", "{\"statement\":\"SELECT 1\",\"limit\":7}");

	(void)state;
	assert_int_equal(c->plan_n, 1);
	assert_string_equal(c->plan[0].sql, "SELECT 1");
	assert_int_equal(c->plan[0].rows, 7);
	assert_int_equal(c->class, CLASS_READ);
	call_free(c);
	help_refused("run_snowflake_query", "{\"statement\":\"DELETE FROM T\"}", ERR_GUARD, "");
}

static void test_list(void **state)
{
	static const struct {
		const char *arguments, *sql;
	} cases[] = {
	    {"{\"object_type\":\"database\"}", "SHOW DATABASES"},
	    {"{\"object_type\":\"warehouse\",\"starts_with\":\"W\"}", "SHOW WAREHOUSES"},
	    {"{\"object_type\":\"compute_pool\"}", "SHOW COMPUTE POOLS"},
	    {"{\"object_type\":\"role\",\"database_name\":\"X\"}", "SHOW ROLES"},
	    {"{\"object_type\":\"table\"}", "SHOW TABLES IN ACCOUNT"},
	    {"{\"object_type\":\"table\",\"database_name\":\"hr\"}", "SHOW TABLES IN DATABASE \"HR\""},
	    {"{\"object_type\":\"view\",\"database_name\":\"hr\",\"schema_name\":\"core\"}",
	     "SHOW VIEWS IN SCHEMA \"HR\".\"CORE\""},
	    {"{\"object_type\":\"view\",\"schema_name\":\"core\"}", "SHOW VIEWS IN SCHEMA \"SALES\".\"CORE\""},
	    {"{\"object_type\":\"schema\",\"database_name\":\"hr\",\"schema_name\":\"core\"}",
	     "SHOW SCHEMAS IN DATABASE \"HR\""},
	    {"{\"object_type\":\"image_repository\",\"like\":\"a'b\"}",
	     "SHOW IMAGE REPOSITORIES LIKE '%a''b%' IN ACCOUNT"},
	    {"{\"object_type\":\"stage\",\"like\":\"X%\",\"starts_with\":\"X\"}",
	     "SHOW STAGES LIKE 'X%' IN ACCOUNT STARTS WITH 'X'"},
	    {"{\"object_type\":\"user\",\"like\":\"\"}", "SHOW USERS"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct call *c = help_plan("list_objects", cases[i].arguments);

		assert_int_equal(c->plan_n, 1);
		assert_string_equal(c->plan[0].sql, cases[i].sql);
		assert_true(c->plan[0].metadata);
		call_free(c);
	}
	help_refused("list_objects", "{\"object_type\":\"table\",\"database_name\":\"a b\"}", ERR_INVALID_PARAMS,
		     "database_name: not an identifier");
}

/* Within a policy's databases only. */
static void test_border(void **state)
{
	static const char *const one[] = {"SALES"}, *const two[] = {"SALES", "HR"};
	struct call *c;

	(void)state;
	texts_set(&policy.databases, 1, one);
	c = help_plan("list_objects", "{\"object_type\":\"table\"}");
	assert_string_equal(c->plan[0].sql, "SHOW TABLES IN DATABASE \"SALES\"");
	call_free(c);
	texts_set(&policy.databases, 2, two);
	c = help_plan("list_objects", "{\"object_type\":\"table\",\"schema_name\":\"x\"}");
	assert_string_equal(c->plan[0].sql, "SHOW TABLES IN SCHEMA \"SALES\".\"X\"");
	call_free(c);
	help_refused("list_objects", "{\"object_type\":\"table\",\"database_name\":\"secret\"}", ERR_POLICY,
		     "not allowed here");
	help_refused("describe_object",
		     "{\"object_type\":\"table\",\"target_object\":{\"name\":\"t\",\"database_name\":\"secret\","
		     "\"schema_name\":\"s\"}}",
		     ERR_POLICY, "not allowed here");
	help_refused("describe_object", "{\"object_type\":\"database\",\"target_object\":{\"name\":\"secret\"}}",
		     ERR_POLICY, "not allowed here");
	help_refused("describe_object",
		     "{\"object_type\":\"stage\",\"target_object\":{\"name\":\"s\",\"database_name\":\"SECRET\","
		     "\"schema_name\":\"s\"}}",
		     ERR_POLICY, "not allowed here");
}

static void test_describe_table(void **state)
{
	static const char *const forms[] = {
	    "{\"object_type\":\"table\",\"target_object\":{\"name\":\"orders\"}}",
	    "{\"object_type\":\"table\",\"target_object\":{\"name\":\"orders\",\"database_name\":\"sales\","
	    "\"schema_name\":\"public\",\"columns\":[]}}",
	    "{\"object_type\":\"view\",\"target_object\":\"{\\\"name\\\":\\\"ORDERS\\\",\\\"schema_name\\\":"
	    "\\\"PUBLIC\\\"}\"}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct call *c = help_plan("describe_object", forms[i]);
		const json_t *names = json_object_get(c->arguments, "names");

		assert_true(c->plan_n > 1);
		assert_string_equal(json_string_value(json_array_get(names, 0)), "\"SALES\".\"PUBLIC\".\"ORDERS\"");
		call_free(c);
	}
}

static void test_describe_others(void **state)
{
	static const struct {
		const char *arguments, *sql;
	} cases[] = {
	    {"{\"object_type\":\"warehouse\",\"target_object\":{\"name\":\"wh_xs\"}}", "SHOW WAREHOUSES LIKE 'WH_XS'"},
	    {"{\"object_type\":\"schema\",\"target_object\":{\"name\":\"public\"}}",
	     "SHOW SCHEMAS LIKE 'PUBLIC' IN DATABASE \"SALES\""},
	    {"{\"object_type\":\"stage\",\"target_object\":{\"name\":\"\\\"My s\\\"\",\"database_name\":\"hr\","
	     "\"schema_name\":\"x\"}}",
	     "SHOW STAGES LIKE 'My s' IN SCHEMA \"HR\".\"X\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct call *c = help_plan("describe_object", cases[i].arguments);

		assert_string_equal(c->plan[0].sql, cases[i].sql);
		call_free(c);
	}
	help_refused("describe_object", "{\"object_type\":\"stage\",\"target_object\":{}}", ERR_INVALID_PARAMS,
		     "target_object.name: missing");
	help_refused("describe_object", "{\"object_type\":\"stage\",\"target_object\":\"nonsense\"}",
		     ERR_INVALID_PARAMS, "target_object: must be an object");
	help_refused("describe_object", "{\"object_type\":\"stage\",\"target_object\":\"[1]\"}", ERR_INVALID_PARAMS,
		     "target_object: must be an object");
	help_refused("describe_object",
		     "{\"object_type\":\"stage\",\"target_object\":{\"name\":\"s\",\"database_name\":\"hr\"}}",
		     ERR_INVALID_PARAMS, "schema_name: missing");
}

/* The rows of SHOW, kept as the gateway's own. */
static void rows_give(struct call *c, size_t columns_n, const char *const *columns, size_t rows_n,
		      const char *const *values)
{
	struct statement *s = &c->plan[0];

	s->columns = arena_alloc(c->arena, columns_n * sizeof *s->columns);
	s->columns_n = columns_n;
	s->cells = cells_new(c->arena, columns_n, 1 << 20);
	for (size_t i = 0; i < columns_n; i++)
		s->columns[i] = (struct column){.name = columns[i], .type = "TEXT", .kind = COLUMN_TEXT, true, -1, -1};
	for (size_t i = 0; i < rows_n; i++) {
		struct cell row[8];

		for (size_t k = 0; k < columns_n; k++) {
			const char *text = values[i * columns_n + k];
			size_t n = text ? strlen(text) : 0;

			row[k] = (struct cell){text, n, n};
		}
		assert_true(cells_add(s->cells, row, columns_n));
	}
	s->rows_n = s->total_rows = rows_n;
	s->state = STATEMENT_SUCCEEDED;
}

/* LIKE finds WHAXS as well. */
static void test_described_is_the_one_named(void **state)
{
	static const char *const columns[] = {"name", "state", "comment"};
	static const char *const values[] = {"WHAXS", "STARTED", "other", "WH_XS", "SUSPENDED", NULL};
	struct call *c =
	    help_plan("describe_object", "{\"object_type\":\"warehouse\",\"target_object\":{\"name\":\"wh_xs\"}}");

	(void)state;
	rows_give(c, 3, columns, 2, values);
	c->handler->answer(c);
	assert_string_equal(buf_text(&c->answer.text), "name: WH_XS\nstate: SUSPENDED\n");
	call_free(c);
	c = help_plan("describe_object", "{\"object_type\":\"warehouse\",\"target_object\":{\"name\":\"whyxs\"}}");
	rows_give(c, 3, columns, 2, values);
	c->handler->answer(c);
	assert_true(c->answer.is_error);
	assert_non_null(strstr(buf_text(&c->answer.text), "WHYXS: not found"));
	call_free(c);
}

/* ---- the tools themselves ---- */

static json_t *names_listed(const struct policy *p)
{
	json_t *list = tools_listed(&conf, p, false), *names = json_object(), *tool;
	size_t i;

	json_array_foreach(list, i, tool)
	{
		const char *name = json_text_of(tool, "name");

		assert_null(json_object_get(tool, "toolset"));
		if (json_object_get(names, name))
			fail_msg("%s is listed twice", name);
		json_object_set(names, name, tool);
	}
	json_decref(list);
	return names;
}

static bool takes(const json_t *names, const char *tool, const char *argument)
{
	const json_t *schema = json_object_get(json_object_get(names, tool), "inputSchema");

	return json_object_get(json_object_get(schema, "properties"), argument) != NULL;
}

static void test_two_of_one_name(void **state)
{
	json_t *both = json_pack("{s:s}", "object_type", "table"), *ours = json_pack("{s:s}", "kind", "table"), *names;

	(void)state;
	names = names_listed(&policy);
	assert_true(takes(names, "list_objects", "object_type") && takes(names, "describe_object", "target_object"));
	assert_non_null(json_object_get(names, "get_result"));
	assert_null(json_object_get(names, "execute_query"));
	json_decref(names);
	assert_non_null(tool_find(&policy, "execute_query")); /* callable, as everywhere */
	policy.toolsets = TOOLSET_CORE | TOOLSET_LABS;
	names = names_listed(&policy);
	assert_true(takes(names, "list_objects", "kind") && takes(names, "describe_object", "names"));
	assert_non_null(json_object_get(names, "run_snowflake_query"));
	json_decref(names);
	assert_true(tool_called(&policy, "list_objects", both)->toolsets & TOOLSET_LABS);
	assert_true(tool_called(&policy, "list_objects", ours)->toolsets & TOOLSET_CORE);
	assert_true(tool_called(&policy, "list_objects", NULL)->toolsets & TOOLSET_CORE);
	policy.toolsets = TOOLSET_CORE;
	assert_true(tool_called(&policy, "list_objects", both)->toolsets & TOOLSET_CORE);
	assert_null(tool_find(&policy, "run_snowflake_query"));
	json_decref(both);
	json_decref(ours);
}

static void test_what_a_policy_forbids(void **state)
{
	(void)state;
	policy.statements = CLASS_READ;
	assert_null(tool_find(&policy, "list_objects"));
	assert_non_null(tool_find(&policy, "run_snowflake_query"));
	policy.toolsets = TOOLSET_SEMANTIC | TOOLSET_CORTEX;
	assert_null(tool_find(&policy, "list_semantic_views"));
	assert_non_null(tool_find(&policy, "query_semantic_view"));
	policy.statements = CLASS_METADATA;
	assert_null(tool_find(&policy, "query_semantic_view"));
	assert_null(tool_find(&policy, "cortex_analyst"));
	assert_non_null(tool_find(&policy, "list_semantic_views"));
}

static void test_what_changes_is_not_there(void **state)
{
	static const char *const changing[] = {"create_object", "create_or_alter_object", "drop_object"};

	(void)state;
	policy.toolsets = ~0u;
	policy.statements = ~0u;
	for (size_t i = 0; i < ARRAY_LEN(changing); i++) {
		assert_null(tool_find(&policy, changing[i]));
		assert_non_null(strstr(tool_advice(changing[i]), "execute_query"));
	}
	assert_non_null(strstr(tool_advice("no_such"), "tools/list"));
	assert_non_null(tool_advice(NULL));
}

/* What may be of two types is listed with one. */
static void test_types_are_plain(void **state)
{
	json_t *names, *tool, *property;
	const char *name, *argument;

	(void)state;
	policy.toolsets = ~0u;
	names = names_listed(&policy);
	json_object_foreach(names, name, tool)
	{
		json_t *properties = json_object_get(json_object_get(tool, "inputSchema"), "properties");

		json_object_foreach(properties, argument, property)
		{
			assert_true(json_is_string(json_object_get(property, "type")));
			assert_null(json_object_get(property, "deprecated"));
		}
	}
	json_decref(names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_query, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_list, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_border, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_describe_table, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_describe_others, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_described_is_the_one_named, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_two_of_one_name, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_what_a_policy_forbids, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_what_changes_is_not_there, set_up, help_tear_down),
	    cmocka_unit_test_setup_teardown(test_types_are_plain, set_up, help_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
