/* Tokens: the claims of a JWT, its life in the cache, token files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "snowgate/crypt.h"
#include "snowgate/snowflake.h"
#include "test_key.h"

static const struct connection key_pair = {.name = "test",
					   .account = "myorg-account",
					   .user = "alice",
					   .host = "h",
					   .protocol = "https",
					   .port = 443,
					   .auth = CONNECTION_KEY_PAIR,
					   .private_key_raw = test_private_key};

/* snowflake-rest.md B.1: the account rule of the documentation's sample and the drivers. */
static void test_subject(void **state)
{
	static const struct {
		const char *account, *user, *subject;
	} table[] = {
	    {"xy12345", "alice", "XY12345.ALICE"},
	    {"xy12345.eu-central-1", "alice", "XY12345.ALICE"},
	    {"xy12345.west-us-2.azure", "Alice.B", "XY12345.ALICE.B"},
	    {"myorg-account", "alice", "MYORG-ACCOUNT.ALICE"},
	    {"acme-x1y2.global", "alice", "ACME.ALICE"},
	    {"Under_Score", "a", "UNDER_SCORE.A"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct buf b = buf_with_ceiling(256);
		assert_true(token_subject(&b, table[i].account, table[i].user));
		assert_string_equal(buf_text(&b), table[i].subject);
		buf_free(&b);
	}
}

static json_t *payload_of(const char *jwt)
{
	const char *from = strchr(jwt, '.') + 1;
	struct buf text = buf_with_ceiling(4096);
	json_t *payload = NULL;

	assert_true(base64url_decode(&text, (struct slice){from, (size_t)(strchr(from, '.') - from)}));
	assert_int_equal(json_parse(buf_slice(&text), 4, &payload, NULL, 0), JSON_OK);
	buf_free(&text);
	return payload;
}

static void test_jwt(void **state)
{
	struct buf jwt = buf_with_ceiling(8192);
	const char *why = NULL;
	char issuer[128];

	(void)state;
	assert_int_equal(token_jwt(&jwt, &key_pair, 1700000000, 3300, &why), ERR_OK);
	assert_true(rsa_jwt_verify(slice_of(test_public_key), buf_slice(&jwt)));
	json_t *payload = payload_of(buf_text(&jwt));
	snprintf(issuer, sizeof issuer, "MYORG-ACCOUNT.ALICE.%s", test_fingerprint);
	assert_string_equal(json_text_of(payload, "sub"), "MYORG-ACCOUNT.ALICE");
	assert_string_equal(json_text_of(payload, "iss"), issuer);
	assert_int_equal(json_int_of(payload, "iat", 0), 1700000000);
	assert_int_equal(json_int_of(payload, "exp", 0), 1700003300);
	json_decref(payload);
	buf_free(&jwt);
}

static void test_jwt_faults(void **state)
{
	struct connection no_key = key_pair, no_file = key_pair, no_user = key_pair;
	struct buf b = buf_with_ceiling(8192);
	const char *why = NULL;

	(void)state;
	no_key.private_key_raw = "not a key";
	no_file.private_key_file = "/nonexistent/key.p8";
	no_user.user = NULL;
	assert_int_equal(token_jwt(&b, &no_key, 0, 60, &why), ERR_UPSTREAM_AUTH);
	assert_non_null(strstr(why, "PEM"));
	assert_int_equal(token_jwt(&b, &no_file, 0, 60, &why), ERR_UPSTREAM_AUTH);
	assert_non_null(strstr(why, "private_key_file"));
	assert_int_equal(token_jwt(&b, &no_user, 0, 60, &why), ERR_UPSTREAM_AUTH);
	assert_non_null(strstr(why, "user"));
	buf_free(&b);
}

static char *token_now(const struct connection *connection)
{
	struct token_view view;
	const char *why = NULL;

	assert_int_equal(token_get(connection, &view, &why), ERR_OK);
	return xstrdup(view.bearer);
}

/* Minted for 55 minutes, renewed at 80 % of them, and once where Snowflake refuses it. */
static void test_cache(void **state)
{
	(void)state;
	clock_set_virtual(0, 1700000000 * USEC_PER_S);
	char *first = token_now(&key_pair);
	clock_advance(43 * 60 * USEC_PER_S);
	char *same = token_now(&key_pair);
	assert_string_equal(first, same);
	clock_advance(2 * 60 * USEC_PER_S);
	char *second = token_now(&key_pair);
	assert_string_not_equal(first, second);
	clock_advance(USEC_PER_S);
	assert_true(token_renew(&key_pair));
	char *third = token_now(&key_pair);
	assert_string_not_equal(second, third);
	free(first);
	free(same);
	free(second);
	free(third);
	token_forget_all();
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void test_token_file(void **state)
{
	char path[] = "/tmp/snowgate-token-XXXXXX";
	struct connection c = {.name = "f", .account = "a", .host = "h", .auth = CONNECTION_OAUTH, .token_file = path};
	struct token_view view;
	const char *why = NULL;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	(void)close(fd);
	write_file(path, "  one\n");
	assert_int_equal(token_get(&c, &view, &why), ERR_OK);
	assert_string_equal(view.bearer, "one");
	assert_string_equal(view.type, "OAUTH");
	assert_false(token_renew(&c));
	write_file(path, "another\n");
	assert_true(token_renew(&c));
	assert_int_equal(token_get(&c, &view, &why), ERR_OK);
	assert_string_equal(view.bearer, "another");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(token_get(&c, &view, &why), ERR_OK);
	assert_string_equal(view.bearer, "another");
	token_forget_all();
	assert_int_equal(token_get(&c, &view, &why), ERR_UPSTREAM_AUTH);
	token_forget_all();
}

/* A token with a line break would forge a header. */
static void test_given(void **state)
{
	struct connection c = {.name = "p", .account = "a", .host = "h", .auth = CONNECTION_PAT, .token = "pat"};
	struct token_view view;
	const char *why = NULL;

	(void)state;
	assert_int_equal(token_get(&c, &view, &why), ERR_OK);
	assert_string_equal(view.bearer, "pat");
	assert_string_equal(view.type, "PROGRAMMATIC_ACCESS_TOKEN");
	assert_false(token_renew(&c));
	c.token = "pat\r\nX-Evil: 1";
	assert_int_equal(token_get(&c, &view, &why), ERR_UPSTREAM_AUTH);
	c.token = NULL;
	assert_int_equal(token_get(&c, &view, &why), ERR_UPSTREAM_AUTH);
	token_forget_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_subject), cmocka_unit_test(test_jwt),        cmocka_unit_test(test_jwt_faults),
	    cmocka_unit_test(test_cache),   cmocka_unit_test(test_token_file), cmocka_unit_test(test_given),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
