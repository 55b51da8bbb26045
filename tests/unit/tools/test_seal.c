/* Statement handles: opened only by whom they were given to, for the same connection and role, and whole. */
#include "help.h"

static const struct principal alice = {.kind = PRINCIPAL_TOKEN, .issuer = "https://id", .subject = "alice"};
static const struct sha256 keys[3] = {{{1}}, {{2}}, {{3}}};

static const char *seal(const struct sha256 *key, const char *connection_name, const char *role,
			const struct principal *p)
{
	static struct buf b;

	buf_free(&b);
	b = buf_with_ceiling(256);
	assert_true(handle_seal(&b, key->bytes, QUERY_ID, connection_name, role, p));
	return buf_text(&b);
}

static bool opens(const char *text, const char *connection_name, const char *role, const struct principal *p)
{
	char id[64] = "";
	bool good = handle_open(keys, 1, slice_of(text), connection_name, role, p, id);

	if (good)
		assert_string_equal(id, QUERY_ID);
	return good;
}

static void test_shape(void **state)
{
	const char *text = seal(&keys[0], "main", "ANALYST", &alice);

	(void)state;
	assert_memory_equal(text, QUERY_ID ".", sizeof QUERY_ID);
	/* 128 bits in base32 */
	assert_int_equal(strlen(text), sizeof QUERY_ID + 26);
	assert_int_equal(strspn(text + sizeof QUERY_ID, "abcdefghijklmnopqrstuvwxyz234567"), 26);
	assert_true(opens(text, "main", "ANALYST", &alice));
}

static void test_belongs_to_all_of_it(void **state)
{
	struct principal others[] = {alice, alice, alice};
	const char *text = seal(&keys[0], "main", "ANALYST", &alice);

	(void)state;
	others[0].kind = PRINCIPAL_KEY;
	snprintf(others[1].issuer, sizeof others[1].issuer, "https://elsewhere");
	snprintf(others[2].subject, sizeof others[2].subject, "alicf");
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_false(opens(text, "main", "ANALYST", &others[i]));
	assert_false(opens(text, "mainx", "ANALYST", &alice));
	assert_false(opens(text, "main", "ANALYST2", &alice));
	assert_false(opens(text, "main", NULL, &alice));
	assert_false(opens(text, "mainA", "NALYST", &alice));
	assert_false(opens(text, NULL, "ANALYST", &alice));
	text = seal(&keys[0], "main", NULL, &alice);
	assert_true(opens(text, "main", NULL, &alice));
	assert_false(opens(text, "main", "ANALYST", &alice));
	/* a group is no part of who it is */
	others[0] = alice;
	snprintf(others[0].group, sizeof others[0].group, "staff");
	assert_true(opens(text, "main", NULL, &others[0]));
}

static void test_changed_or_cut(void **state)
{
	char *text = xstrdup(seal(&keys[0], "main", "ANALYST", &alice)), id[64];
	size_t n = strlen(text);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		char was = text[i];

		for (const char *c = "a0.7-AZ \n"; *c; c++) {
			if (*c == was)
				continue;
			text[i] = *c;
			assert_false(opens(text, "main", "ANALYST", &alice));
		}
		text[i] = was;
		assert_false(handle_open(keys, 1, (struct slice){text, i}, "main", "ANALYST", &alice, id));
		assert_false(handle_open(keys, 1, (struct slice){text + 1, i}, "main", "ANALYST", &alice, id));
	}
	assert_true(opens(text, "main", "ANALYST", &alice));
	free(text);
}

static void test_rubbish(void **state)
{
	static const char *const rubbish[] = {
	    "",
	    ".",
	    "..",
	    QUERY_ID,
	    QUERY_ID ".",
	    "." QUERY_ID,
	    QUERY_ID ".aaaaaaaaaaaaaaaaaaaaaaaaaa",
	    "../../etc/passwd.aaaaaaaaaaaaaaaaaaaaaaaaaa",
	    "0000000000000000000000000000000000000000000000000000000000000000000000.aaaaaaaaaaaaaaaaaaaaaaaaaa",
	    "000000000000000000000000000000000000000000000000000000000000000.aaaaaaaaaaaaaaaaaaaaaaaaaa"};
	char id[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rubbish); i++)
		assert_false(opens(rubbish[i], "main", "ANALYST", &alice));
	assert_false(handle_open(keys, 1, (struct slice){NULL, 0}, "main", "ANALYST", &alice, id));
	assert_false(handle_open(keys, 1, (struct slice){"a\0.b", 4}, "main", "ANALYST", &alice, id));
}

/* Every key opens, whichever signed; one that has gone opens nothing. */
static void test_rotation(void **state)
{
	char id[64];

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
		struct slice text = slice_of(seal(&keys[k], "main", "ANALYST", &alice));

		assert_true(handle_open(keys, 3, text, "main", "ANALYST", &alice, id));
		assert_int_equal(handle_open(keys, 2, text, "main", "ANALYST", &alice, id), k < 2);
		assert_int_equal(handle_open(keys + 1, 2, text, "main", "ANALYST", &alice, id), k > 0);
		assert_false(handle_open(keys, 0, text, "main", "ANALYST", &alice, id));
	}
}

/* ---- through get_result: what the policy allows now ---- */

static char *handle_under(const char *connection_name, const char *role)
{
	static const uint8_t key[SHA256_BYTES] = {1, 2, 3}; /* help_set_up()'s */
	struct principal p = {.kind = PRINCIPAL_KEY, .subject = "alice"};
	struct buf b = buf_with_ceiling(256);

	buf_adds(&b, "{\"statement_handle\":\"");
	assert_true(handle_seal(&b, key, QUERY_ID, connection_name, role, &p));
	buf_adds(&b, "\"}");
	return buf_take(&b, NULL);
}

static void accepted(const char *role, bool good)
{
	char *arguments = handle_under("main", role);

	if (good) {
		struct call *c = help_plan("get_result", arguments);

		assert_int_equal(c->plan_n, 1);
		assert_int_equal(c->plan[0].kind, STATEMENT_ATTACH);
		assert_string_equal(c->plan[0].handle, QUERY_ID);
		call_free(c);
	} else {
		help_refused("get_result", arguments, ERR_HANDLE, "statement_handle: unknown");
		help_refused("cancel_query", arguments, ERR_HANDLE, "statement_handle: unknown");
	}
	free(arguments);
}

static void test_policy_of_now(void **state)
{
	static const char *const roles[] = {"READER", "AUDITOR"};
	char *arguments = handle_under("elsewhere", "ANALYST");

	(void)state;
	help_refused("get_result", arguments, ERR_HANDLE, "statement_handle: unknown");
	free(arguments);
	accepted("ANALYST", true); /* the connection's own */
	accepted("READER", false);
	texts_set(&policy.roles, 2, roles);
	accepted("READER", true);
	accepted("AUDITOR", true);
	accepted("ANALYST", false); /* taken away */
	accepted(NULL, false);
	policy.connection = NULL;
	arguments = handle_under("main", "READER");
	help_refused("get_result", arguments, ERR_UPSTREAM, "no Snowflake connection");
	free(arguments);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, help_set_up, help_tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_shape),    TEST(test_belongs_to_all_of_it), TEST(test_changed_or_cut), TEST(test_rubbish),
	    TEST(test_rotation), TEST(test_policy_of_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
