/* Completion: which argument is completed from what, for whom, and how often Snowflake is asked. */
#include "help_methods.h"

/* ref and context are JSON. */
static struct call *asking_of(const char *subject, const char *ref, const char *argument, const char *value,
			      const char *context)
{
	struct buf b = buf_with_ceiling(8192);
	struct call *c;

	buf_addf(&b, "{\"ref\":%s,\"argument\":{\"name\":\"%s\",\"value\":", ref, argument);
	json_write_string(&b, value, strlen(value));
	buf_adds(&b, "}");
	if (context)
		buf_addf(&b, ",\"context\":{\"arguments\":%s}", context);
	buf_addc(&b, '}');
	c = help_method_of(subject, MCP_COMPLETE, "completion/complete", buf_text(&b));
	buf_free(&b);
	return c;
}

#define TEMPLATE "{\"type\":\"ref/resource\",\"uri\":\"snowflake://{database}/{schema}/{object}\"}"
#define RESULT   "{\"type\":\"ref/resource\",\"uri\":\"snowflake://result/{handle}\"}"
#define PROMPT   "{\"type\":\"ref/prompt\",\"name\":\"write_query\"}"

static struct call *asking(const char *ref, const char *argument, const char *value, const char *context)
{
	return asking_of("alice", ref, argument, value, context);
}

/* The values as "a b c"; total and hasMore must be these. Ends the call. */
static void values_are(struct call *c, const char *want, int64_t total, bool more)
{
	const json_t *completion = json_object_get(help_answer(c), "completion");
	const json_t *values = json_object_get(completion, "values");
	struct buf b = buf_with_ceiling(1 << 20);

	assert_true(json_is_array(values));
	for (size_t i = 0; i < json_array_size(values); i++)
		buf_addf(&b, "%s%s", i ? " " : "", json_string_value(json_array_get(values, i)));
	assert_string_equal(buf_text(&b), want);
	assert_int_equal(json_int_of(completion, "total", -1), total);
	assert_int_equal(json_bool_of(completion, "hasMore", false), more);
	buf_free(&b);
	call_free(c);
}

#define NAMES "[[\"SALES\"],[\"SANDBOX\"],[\"HR\"],[\"my db\"],[\"sales\"]]"

/* Asks for databases and lets Snowflake answer. */
static void databases_known(void)
{
	struct call *c = asking(TEMPLATE, "database", "", NULL);

	help_planned(c, 1);
	assert_string_equal(c->plan[0].sql, "SHOW DATABASES");
	assert_true(c->plan[0].metadata);
	help_rows_text(c, 0, "name", NAMES);
	values_are(c, "SALES SANDBOX HR my db \"sales\"", 5, false);
}

/* One look for many keys pressed; prefixes are compared without case. */
static void test_cache_serves_typing(void **state)
{
	static const struct {
		const char *value, *want;
		int total;
	} cases[] = {{"", "SALES SANDBOX HR my db \"sales\"", 5},
		     {"s", "SALES SANDBOX \"sales\"", 3},
		     {"SA", "SALES SANDBOX \"sales\"", 3},
		     {"\"sal", "SALES \"sales\"", 2},
		     {"My", "my db", 1},
		     {"x", "", 0},
		     {"SALESX", "", 0},
		     {"%", "", 0}};

	(void)state;
	databases_known();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct call *c = asking(TEMPLATE, "database", cases[i].value, NULL);

		help_planned(c, 0);
		values_are(c, cases[i].want, cases[i].total, false);
	}
}

/* Prompts take SQL names: quotes wherever SQL needs them. */
static void test_values_of_prompts_are_sql(void **state)
{
	struct call *c;

	(void)state;
	databases_known();
	c = asking(PROMPT, "database", "", NULL);
	help_planned(c, 0);
	values_are(c, "SALES SANDBOX HR \"my db\" \"sales\"", 5, false);
}

/* What Snowflake shows depends on its user, which is one for all principals or one for each. */
static void test_names_are_one_snowflake_users(void **state)
{
	static const struct connection_user users[] = {{"alice", "ALICE"}, {"bob", "BOB"}};
	struct connection other = connection, each = connection;
	struct call *c;

	(void)state;
	databases_known();
	c = asking_of("bob", TEMPLATE, "database", "", NULL);
	help_planned(c, 0);
	call_free(c);
	each.auth = CONNECTION_EXTERNAL;
	each.users = users;
	each.users_n = ARRAY_LEN(users);
	connection_identify(&each);
	policy.connection = &each;
	databases_known();
	c = asking_of("bob", TEMPLATE, "database", "", NULL);
	help_planned(c, 1);
	call_free(c);
	policy.connection = &connection;
	c = asking(TEMPLATE, "database", "", NULL);
	c->context.role = NULL; /* then the policy's default: the same */
	help_planned(c, 0);
	call_free(c);
	other.name = "other";
	policy.connection = &other;
	c = asking(TEMPLATE, "database", "", NULL);
	help_planned(c, 1);
	call_free(c);
}

static void test_roles_see_different_names(void **state)
{
	static const char *const roles[] = {"ANALYST", "READER"};
	struct call *c;

	(void)state;
	texts_set(&policy.roles, 2, roles);
	databases_known();
	c = asking(TEMPLATE, "database", "", NULL);
	c->context.role = "READER";
	help_planned(c, 1);
	assert_string_equal(c->plan[0].context.role, "READER");
	call_free(c);
}

static void test_names_get_old(void **state)
{
	struct call *c;

	(void)state;
	databases_known();
	clock_advance(600 * USEC_PER_S - 1);
	c = asking(TEMPLATE, "database", "", NULL);
	help_planned(c, 0);
	call_free(c);
	clock_advance(1);
	c = asking(TEMPLATE, "database", "", NULL);
	help_planned(c, 1);
	call_free(c);
}

static void test_scopes(void **state)
{
	static const struct {
		const char *argument, *context, *sql;
	} cases[] = {
	    {"schema", NULL, "SHOW SCHEMAS IN DATABASE \"SALES\""},
	    {"schema", "{}", "SHOW SCHEMAS IN DATABASE \"SALES\""},
	    {"schema", "{\"database\":\"\"}", "SHOW SCHEMAS IN DATABASE \"SALES\""},
	    {"schema", "{\"database\":\"hr\"}", "SHOW SCHEMAS IN DATABASE \"HR\""},
	    {"schema", "{\"database\":\"\\\"hr\\\"\"}", "SHOW SCHEMAS IN DATABASE \"hr\""},
	    {"schema", "{\"database\":\"my db\"}", "SHOW SCHEMAS IN DATABASE \"my db\""},
	    {"schema", "{\"database\":\"x\\\"; DROP\"}", "SHOW SCHEMAS IN DATABASE \"x\"\"; DROP\""},
	    {"object", NULL, "SHOW OBJECTS IN SCHEMA \"SALES\".\"PUBLIC\" LIMIT 10000"},
	    {"object", "{\"schema\":\"core\"}", "SHOW OBJECTS IN SCHEMA \"SALES\".\"CORE\" LIMIT 10000"},
	    {"object", "{\"database\":\"SALES\"}", "SHOW OBJECTS IN SCHEMA \"SALES\".\"PUBLIC\" LIMIT 10000"},
	    {"object", "{\"database\":\"HR\",\"schema\":\"core\"}",
	     "SHOW OBJECTS IN SCHEMA \"HR\".\"CORE\" LIMIT 10000"},
	    {"object", "{\"database\":\"HR\"}", NULL}, /* the schema is SALES's */
	    {"database", "{\"schema\":\"core\"}", "SHOW DATABASES"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct call *c = asking(TEMPLATE, cases[i].argument, "", cases[i].context);

		help_planned(c, cases[i].sql ? 1 : 0);
		if (cases[i].sql) {
			assert_string_equal(c->plan[0].sql, cases[i].sql);
			call_free(c);
		} else {
			values_are(c, "", 0, false);
		}
	}
}

static void test_without_a_current_database(void **state)
{
	struct call *c = asking(TEMPLATE, "schema", "", NULL);

	(void)state;
	c->context.database = c->context.schema = NULL;
	help_planned(c, 0);
	values_are(c, "", 0, false);
}

/* What the policy says itself is not asked, and what it hides is not shown. */
static void test_policy(void **state)
{
	static const char *const databases[] = {"SALES", "OPS"};
	struct call *c;

	(void)state;
	databases_known();
	texts_set(&policy.databases, 2, databases);
	c = asking(TEMPLATE, "database", "", NULL);
	help_planned(c, 0);
	values_are(c, "SALES OPS", 2, false);
	c = asking(TEMPLATE, "database", "o", NULL);
	help_planned(c, 0);
	values_are(c, "OPS", 1, false);
	c = asking(TEMPLATE, "schema", "", "{\"database\":\"HR\"}");
	help_planned(c, 0);
	values_are(c, "", 0, false);
	policy.databases = (struct texts){0};
	policy.statements = CLASS_READ;
	c = asking(TEMPLATE, "database", "", NULL);
	help_planned(c, 0);
	values_are(c, "", 0, false);
}

static void test_at_most_100_values(void **state)
{
	struct call *c = asking(TEMPLATE, "object", "T", NULL);
	json_t *rows = json_array();
	const json_t *completion;

	(void)state;
	for (int i = 0; i < 250; i++)
		json_array_append_new(rows, json_pack("[o]", json_sprintf("T%03d", i)));
	help_planned(c, 1);
	help_rows(c, 0, "name", rows);
	completion = json_object_get(help_answer(c), "completion");
	assert_int_equal(json_array_size(json_object_get(completion, "values")), 100);
	assert_int_equal(json_int_of(completion, "total", -1), 250);
	assert_true(json_bool_of(completion, "hasMore", false));
	call_free(c);
	c = asking(TEMPLATE, "object", "t00", NULL);
	help_planned(c, 0);
	values_are(c, "T000 T001 T002 T003 T004 T005 T006 T007 T008 T009", 10, false);
}

/* After a reload a connection's name may stand for another account, also while an answer of the old one is under way.
 */
static void test_reload(void **state)
{
	struct connection before = connection, after = connection;
	struct call *late, *c;

	(void)state;
	databases_known();
	tools_reloaded();
	c = asking(TEMPLATE, "database", "", NULL);
	help_planned(c, 1);
	call_free(c);
	before.account = "OLD";
	after.account = "NEW";
	policy.connection = &before;
	late = asking(TEMPLATE, "database", "", NULL);
	help_planned(late, 1);
	tools_reloaded();
	help_rows_text(late, 0, "name", NAMES);
	values_are(late, "", -1, true); /* it has nowhere to be put */
	policy.connection = &after;
	c = asking(TEMPLATE, "database", "", NULL);
	help_planned(c, 1);
	call_free(c);
}

/* SHOW stops at 10 000: how many there are is not known then. */
static void test_more_than_are_known(void **state)
{
	struct call *c = asking(TEMPLATE, "object", "T09999", NULL);
	json_t *rows = json_array();
	const json_t *completion;

	(void)state;
	for (int i = 0; i < 10000; i++)
		json_array_append_new(rows, json_pack("[o]", json_sprintf("T%05d", i)));
	help_planned(c, 1);
	help_rows(c, 0, "name", rows);
	completion = json_object_get(help_answer(c), "completion");
	assert_int_equal(json_array_size(json_object_get(completion, "values")), 1);
	assert_null(json_object_get(completion, "total"));
	assert_true(json_bool_of(completion, "hasMore", false));
	call_free(c);
}

static void test_failures_do_not_disturb(void **state)
{
	struct call *c = asking(TEMPLATE, "database", "", NULL);

	(void)state;
	help_planned(c, 1);
	help_failed(c, 0, ERR_UPSTREAM, NULL, "connection refused");
	values_are(c, "", 0, false);
	/* and are not remembered */
	c = asking(TEMPLATE, "database", "", NULL);
	help_planned(c, 1);
	c->plan[0].state = STATEMENT_CANCELLED;
	values_are(c, "", 0, false);
	policy.connection = NULL;
	c = asking(TEMPLATE, "database", "", NULL);
	help_planned(c, 0);
	values_are(c, "", 0, false);
}

static void test_nothing_is_known_of_others(void **state)
{
	struct call *c = asking(PROMPT, "question", "how", NULL);

	(void)state;
	help_planned(c, 0);
	values_are(c, "", 0, false);
	c = asking(RESULT, "handle", "01", NULL);
	help_planned(c, 0);
	values_are(c, "", 0, false);
}

static void test_malformed_requests(void **state)
{
	static const char *const params[] = {
	    "{}",
	    "{\"ref\":" TEMPLATE "}",
	    "{\"ref\":" TEMPLATE ",\"argument\":{\"name\":\"database\"}}",
	    "{\"ref\":" TEMPLATE ",\"argument\":{\"value\":\"\"}}",
	    "{\"ref\":" TEMPLATE ",\"argument\":{\"name\":\"database\",\"value\":1}}",
	    "{\"ref\":" TEMPLATE ",\"argument\":[\"database\",\"\"]}",
	    "{\"ref\":" TEMPLATE ",\"argument\":{\"name\":\"nope\",\"value\":\"\"}}",
	    "{\"ref\":" TEMPLATE ",\"argument\":{\"name\":\"\",\"value\":\"\"}}",
	    "{\"ref\":" TEMPLATE ",\"argument\":{\"name\":\"data\",\"value\":\"\"}}",
	    "{\"ref\":" TEMPLATE ",\"argument\":{\"name\":\"handle\",\"value\":\"\"}}",
	    "{\"ref\":" TEMPLATE ",\"argument\":{\"name\":\"database\",\"value\":\"\"},\"context\":1}",
	    "{\"ref\":" TEMPLATE ",\"argument\":{\"name\":\"database\",\"value\":\"\"},\"context\":{\"arguments\":[]}}",
	    "{\"argument\":{\"name\":\"database\",\"value\":\"\"}}",
	    "{\"ref\":{},\"argument\":{\"name\":\"database\",\"value\":\"\"}}",
	    "{\"ref\":{\"type\":\"ref/tool\",\"name\":\"x\"},\"argument\":{\"name\":\"database\",\"value\":\"\"}}",
	    "{\"ref\":{\"type\":\"ref/prompt\"},\"argument\":{\"name\":\"database\",\"value\":\"\"}}",
	    "{\"ref\":{\"type\":\"ref/prompt\",\"name\":\"nope\"},\"argument\":{\"name\":\"database\",\"value\":\"\"}}",
	    "{\"ref\":{\"type\":\"ref/prompt\",\"name\":\"write_query\"},\"argument\":{\"name\":\"x\",\"value\":\"\"}}",
	    "{\"ref\":{\"type\":\"ref/resource\"},\"argument\":{\"name\":\"database\",\"value\":\"\"}}",
	    "{\"ref\":{\"type\":\"ref/resource\",\"uri\":\"file:///"
	    "{x}\"},\"argument\":{\"name\":\"x\",\"value\":\"\"}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(params); i++)
		help_fault(help_method(MCP_COMPLETE, "completion/complete", params[i]), ERR_INVALID_PARAMS, ": ");
}

/* The index is NET's. */
static int set_up(void **state)
{
	thread_play(THREAD_NET);
	return help_set_up(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, help_tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_cache_serves_typing),
	    TEST(test_values_of_prompts_are_sql),
	    TEST(test_names_are_one_snowflake_users),
	    TEST(test_roles_see_different_names),
	    TEST(test_names_get_old),
	    TEST(test_reload),
	    TEST(test_scopes),
	    TEST(test_without_a_current_database),
	    TEST(test_policy),
	    TEST(test_at_most_100_values),
	    TEST(test_more_than_are_known),
	    TEST(test_failures_do_not_disturb),
	    TEST(test_nothing_is_known_of_others),
	    TEST(test_malformed_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
