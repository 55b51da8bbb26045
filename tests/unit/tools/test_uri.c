/* URIs of resources: each name has one, each URI names what it says, and nothing beyond the policy. */
#include "help.h"

static struct arena *a;

static int set_up(void **state)
{
	a = arena_new(1 << 20);
	return help_set_up(state);
}

static int tear_down(void **state)
{
	arena_free(a);
	return help_tear_down(state);
}

static void uri_is(const char *database, const char *schema, const char *object, const char *want)
{
	struct sql_name name = {3, {database, schema, object}};
	struct buf b = buf_with_ceiling(8192);
	const char *why;

	assert_true(resource_uri_of(&b, &name));
	assert_string_equal(buf_text(&b), want);
	assert_true(resource_uri_valid(a, &policy, want, &why));
	buf_free(&b);
}

static void test_uris_of_names(void **state)
{
	(void)state;
	uri_is("SALES", "PUBLIC", "ORDERS", "snowflake://SALES/PUBLIC/ORDERS");
	uri_is("SALES", "PUBLIC", "ORDERS_2$", "snowflake://SALES/PUBLIC/ORDERS_2%24");
	uri_is("My Db", "a/b", "100%", "snowflake://My%20Db/a%2Fb/100%25");
	uri_is("SALES", "PUBLIC", "T\xc3\xbcr", "snowflake://SALES/PUBLIC/T%C3%BCr");
	/* SQL would fold these: the quotes say that it must not */
	uri_is("SALES", "PUBLIC", "orders", "snowflake://SALES/PUBLIC/%22orders%22");
	uri_is("SALES", "PUBLIC", "Orders", "snowflake://SALES/PUBLIC/%22Orders%22");
	uri_is("SALES", "PUBLIC", "\"a\"", "snowflake://SALES/PUBLIC/%22%22%22a%22%22%22");
	uri_is("SALES", "PUBLIC", " A ", "snowflake://SALES/PUBLIC/%22%20A%20%22");
	uri_is("result", "a", "b", "snowflake://%22result%22/%22a%22/%22b%22");
}

/* Only whole names have a URI. */
static void test_short_names_have_none(void **state)
{
	struct buf b = buf_with_ceiling(1024);
	struct sql_name name = {2, {"SALES", "PUBLIC"}};

	(void)state;
	assert_false(resource_uri_of(&b, &name));
	assert_int_equal(b.n, 0);
	buf_free(&b);
}

static void test_uri_of_a_result(void **state)
{
	struct buf b = buf_with_ceiling(1024);
	const char *why;

	(void)state;
	assert_true(resource_uri_of_result(&b, QUERY_ID ".abcdefgh"));
	assert_string_equal(buf_text(&b), "snowflake://result/" QUERY_ID ".abcdefgh");
	assert_true(resource_uri_valid(a, &policy, buf_text(&b), &why));
	buf_free(&b);
}

static void test_what_is_none(void **state)
{
	static const char *const uris[] = {
	    "",
	    "snowflake",
	    "snowflake:",
	    "snowflake://",
	    "snowflake:///A/B",
	    "snowflake://A",
	    "snowflake://A/B",
	    "snowflake://A/B/",
	    "snowflake://A//C",
	    "snowflake://A/B/C/",
	    "snowflake://A/B/C/D",
	    "snowflake://A/B/C?x=1",
	    "snowflake://A/B/C#x",
	    "snowflake://A/B/%",
	    "snowflake://A/B/%4",
	    "snowflake://A/B/%zz",
	    "snowflake://A/B/%00",
	    "snowflake://A/B/a%00b",
	    "snowflake://A/B/a%0Ab%07",
	    "snowflake://A/B/%ff",
	    "snowflake://result",
	    "snowflake://result/",
	    "snowflake://result/%4",
	    "https://A/B/C",
	    "file:///etc/passwd",
	    "snowflake://{database}/{schema}/",
	};
	char long_uri[10000];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(uris); i++) {
		const char *why = NULL;

		if (resource_uri_valid(a, &policy, uris[i], &why))
			fail_msg("%s", uris[i]);
		assert_non_null(why);
	}
	memset(long_uri, 'A', sizeof long_uri);
	memcpy(long_uri, "snowflake://A/B/", 16);
	long_uri[16 + 255] = '\0';
	assert_true(resource_uri_valid(a, &policy, long_uri, &(const char *){NULL}));
	long_uri[16 + 255] = 'A';
	long_uri[16 + 256] = '\0';
	assert_false(resource_uri_valid(a, &policy, long_uri, &(const char *){NULL}));
	long_uri[16 + 256] = 'A';
	long_uri[sizeof long_uri - 1] = '\0';
	assert_false(resource_uri_valid(a, &policy, long_uri, &(const char *){NULL}));
}

static void test_policy_is_the_border(void **state)
{
	static const char *const databases[] = {"SALES", "My Db"};
	static const struct {
		const char *uri;
		bool valid;
	} cases[] = {
	    {"snowflake://SALES/PUBLIC/T", true},
	    {"snowflake://sales/PUBLIC/T", true},
	    {"SNOWFLAKE://sales/PUBLIC/T", true},
	    {"snowflake://My%20Db/PUBLIC/T", true},
	    {"snowflake://%22sales%22/PUBLIC/T", false},
	    {"snowflake://HR/PUBLIC/T", false},
	    {"snowflake://my%20db/PUBLIC/T", false},
	    {"snowflake://%53ALES/PUBLIC/T", true},
	    {"snowflake://result/x.y", true},
	};

	(void)state;
	texts_set(&policy.databases, 2, databases);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (resource_uri_valid(a, &policy, cases[i].uri, &(const char *){NULL}) != cases[i].valid)
			fail_msg("%s", cases[i].uri);
	policy.statements = CLASS_READ;
	assert_false(resource_uri_valid(a, &policy, cases[0].uri, &(const char *){NULL}));
	assert_true(resource_uri_valid(a, &policy, "snowflake://result/x.y", &(const char *){NULL}));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_uris_of_names), TEST(test_short_names_have_none), TEST(test_uri_of_a_result),
	    TEST(test_what_is_none),  TEST(test_policy_is_the_border),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
