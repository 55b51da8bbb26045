/* Tokens: the claims of a JWT, its life in the cache, two keys, a token for each user, token files. */
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

static const struct identity gateway = {.connection = &key_pair};

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

static json_t *part_of(const char *jwt, int n)
{
	const char *from = n ? strchr(jwt, '.') + 1 : jwt;
	struct buf text = buf_with_ceiling(4096);
	json_t *part = NULL;

	assert_true(base64url_decode(&text, (struct slice){from, (size_t)(strchr(from, '.') - from)}));
	assert_int_equal(json_parse(buf_slice(&text), 4, &part, NULL, 0), JSON_OK);
	buf_free(&text);
	return part;
}

static void test_jwt(void **state)
{
	struct buf jwt = buf_with_ceiling(8192);
	const char *why = NULL;
	char issuer[128];

	(void)state;
	assert_int_equal(token_jwt(&jwt, &key_pair, 1700000000, 3300, &why), ERR_OK);
	assert_true(rsa_jwt_verify(slice_of(test_public_key), buf_slice(&jwt)));
	json_t *payload = part_of(buf_text(&jwt), 1);
	snprintf(issuer, sizeof issuer, "MYORG-ACCOUNT.ALICE.%s", test_fingerprint);
	assert_string_equal(json_text_of(payload, "sub"), "MYORG-ACCOUNT.ALICE");
	assert_string_equal(json_text_of(payload, "iss"), issuer);
	assert_int_equal(json_int_of(payload, "iat", 0), 1700000000);
	assert_int_equal(json_int_of(payload, "exp", 0), 1700003300);
	assert_int_equal(token_expiry(buf_slice(&jwt)), 1700003300);
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

static struct token_view view_of(const struct identity *who)
{
	struct token_view view;
	const char *why = NULL;

	if (token_get(who, &view, NULL, &why) != TOKEN_READY)
		fail_msg("no token: %s", why);
	return view;
}

static char *token_now(const struct identity *who)
{
	return xstrdup(view_of(who).bearer);
}

/* Minted for 55 minutes, renewed at 80 % of them, and where Snowflake refuses it. */
static void test_cache(void **state)
{
	(void)state;
	clock_set_virtual(0, 1700000000 * USEC_PER_S);
	char *first = token_now(&gateway);
	clock_advance(43 * 60 * USEC_PER_S);
	char *same = token_now(&gateway);
	assert_string_equal(first, same);
	clock_advance(2 * 60 * USEC_PER_S);
	char *second = token_now(&gateway);
	assert_string_not_equal(first, second);
	clock_advance(10 * USEC_PER_S);
	assert_true(token_renew(&gateway, view_of(&gateway).number));
	char *third = token_now(&gateway);
	assert_string_not_equal(second, third);
	/* The refusal of a token that is not in use any more changes nothing. */
	uint64_t number = view_of(&gateway).number;
	assert_true(token_renew(&gateway, number - 1));
	assert_int_equal(view_of(&gateway).number, number);
	/* One that was made because of a refusal and is refused at once: nothing helps. */
	assert_false(token_renew(&gateway, number));
	free(first);
	free(same);
	free(second);
	free(third);
	token_forget_all();
}

/* The account as it was before the hour was changed: a token from the future is not served. */
static void test_clock_put_back(void **state)
{
	(void)state;
	clock_set_virtual(0, 1700000000 * USEC_PER_S);
	uint64_t number = view_of(&gateway).number;
	clock_set_virtual(USEC_PER_S, 1699990000 * USEC_PER_S);
	assert_int_not_equal(view_of(&gateway).number, number);
	token_forget_all();
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static bool signed_by(const char *bearer, const char *public_key)
{
	return rsa_jwt_verify(slice_of(public_key), slice_of(bearer));
}

/* Rotation: the first key was taken off the user; the other is tried, and is the one to begin with afterwards. */
static void test_two_keys(void **state)
{
	struct connection c = key_pair;
	struct identity who = {.connection = &c};

	(void)state;
	clock_set_virtual(0, 1700000000 * USEC_PER_S);
	c.private_key_raw_2 = test_private_key_2;
	connection_identify(&c);
	assert_true(signed_by(view_of(&who).bearer, test_public_key));
	/* An old token is refused: perhaps for its age, so the same key once more; then the other. */
	clock_advance(60 * USEC_PER_S);
	assert_true(token_renew(&who, view_of(&who).number));
	assert_true(signed_by(view_of(&who).bearer, test_public_key));
	assert_true(token_renew(&who, view_of(&who).number));
	assert_true(signed_by(view_of(&who).bearer, test_public_key_2));
	clock_advance(60 * USEC_PER_S);
	assert_true(signed_by(view_of(&who).bearer, test_public_key_2));
	clock_advance(50 * 60 * USEC_PER_S);
	assert_true(signed_by(view_of(&who).bearer, test_public_key_2));
	/* Neither: they take turns. */
	assert_true(token_renew(&who, view_of(&who).number));
	assert_true(signed_by(view_of(&who).bearer, test_public_key));
	assert_true(token_renew(&who, view_of(&who).number));
	assert_true(signed_by(view_of(&who).bearer, test_public_key_2));
	token_forget_all();
}

static char *temporary(char *path, const char *text)
{
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	(void)close(fd);
	write_file(path, text);
	return path;
}

/* A key file that changes is read again; one that changes into nonsense leaves the key that was. */
static void test_key_file(void **state)
{
	char path[] = "/tmp/snowgate-key-XXXXXX";
	struct connection c = key_pair;
	struct identity who = {.connection = &c};

	(void)state;
	clock_set_virtual(0, 1700000000 * USEC_PER_S);
	c.private_key_file = temporary(path, test_private_key);
	connection_identify(&c);
	assert_true(signed_by(view_of(&who).bearer, test_public_key));
	write_file(path, test_private_key_2);
	assert_true(signed_by(view_of(&who).bearer, test_public_key)); /* looked at just now */
	clock_advance(USEC_PER_S);
	assert_true(signed_by(view_of(&who).bearer, test_public_key_2));
	write_file(path, "nonsense, for a moment");
	clock_advance(USEC_PER_S);
	uint64_t number = view_of(&who).number;
	assert_true(signed_by(view_of(&who).bearer, test_public_key_2));
	assert_int_equal(view_of(&who).number, number);
	write_file(path, test_private_key);
	clock_advance(USEC_PER_S);
	assert_true(signed_by(view_of(&who).bearer, test_public_key));
	/* A refusal has it looked at once more. */
	write_file(path, test_private_key_2);
	assert_true(token_renew(&who, view_of(&who).number));
	assert_true(signed_by(view_of(&who).bearer, test_public_key_2));
	assert_int_equal(unlink(path), 0);
	token_forget_all();
}

/* One that cannot be used is not read, and not opened, with every request. */
static void test_bad_key_file(void **state)
{
	char path[] = "/tmp/snowgate-key-XXXXXX";
	struct connection c = key_pair;
	struct identity who = {.connection = &c};
	struct token_view view;
	const char *why = NULL;

	(void)state;
	clock_set_virtual(0, 1700000000 * USEC_PER_S);
	c.private_key_file = temporary(path, "nonsense");
	connection_identify(&c);
	assert_int_equal(token_get(&who, &view, NULL, &why), TOKEN_FAILED);
	write_file(path, test_private_key);
	assert_int_equal(token_get(&who, &view, NULL, &why), TOKEN_FAILED);
	assert_non_null(strstr(why, "PEM"));
	clock_advance(USEC_PER_S);
	assert_true(signed_by(view_of(&who).bearer, test_public_key));
	assert_int_equal(unlink(path), 0);
	token_forget_all();
}

/* ---- a token for each user ---- */

static const struct connection_user users[] = {{"alice", "ALICE@EXAMPLE.COM"}, {"bob", "BOB"}};
static const struct connection per_user = {.name = "people",
					   .host = "h",
					   .protocol = "https",
					   .port = 443,
					   .auth = CONNECTION_EXTERNAL,
					   .issuer = "https://gateway.example",
					   .audience = "https://account.example",
					   .key_id = "key-1",
					   .private_key_raw = test_private_key,
					   .users_n = 2,
					   .users = users};
static const struct principal alice = {.kind = PRINCIPAL_KEY, .subject = "alice"},
			      bob = {.kind = PRINCIPAL_KEY, .subject = "bob"},
			      carol = {.kind = PRINCIPAL_KEY, .subject = "carol"};

static void test_user_claims(void **state)
{
	struct identity who = {&per_user, &alice, "ANALYST \"x\" session:role-any"};
	struct token_view view;

	(void)state;
	clock_set_virtual(0, 1700000000 * USEC_PER_S);
	view = view_of(&who);
	assert_string_equal(view.type, "OAUTH");
	assert_true(signed_by(view.bearer, test_public_key));
	json_t *header = part_of(view.bearer, 0), *claims = part_of(view.bearer, 1);
	assert_string_equal(json_text_of(header, "alg"), "RS256");
	assert_string_equal(json_text_of(header, "kid"), "key-1");
	assert_string_equal(json_text_of(claims, "iss"), "https://gateway.example");
	assert_string_equal(json_text_of(claims, "aud"), "https://account.example");
	assert_string_equal(json_text_of(claims, "sub"), "ALICE@EXAMPLE.COM");
	assert_int_equal(strlen(json_text_of(claims, "jti")), 36);
	assert_int_equal(json_int_of(claims, "iat", 0), 1700000000);
	assert_true(json_int_of(claims, "nbf", 0) <= 1700000000);
	assert_true(json_int_of(claims, "exp", 0) > 1700000000);
	assert_true(json_int_of(claims, "exp", 0) <= 1700000600);
	/* One role and no other, whatever its name looks like. */
	assert_int_equal(json_array_size(json_object_get(claims, "scp")), 1);
	assert_string_equal(json_string_value(json_array_get(json_object_get(claims, "scp"), 0)),
			    "session:role:ANALYST \"x\" session:role-any");
	json_decref(header);
	json_decref(claims);
	token_forget_all();
}

static void test_users_are_apart(void **state)
{
	struct identity a = {&per_user, &alice, "ANALYST"}, b = {&per_user, &bob, "ANALYST"},
			other = {&per_user, &alice, "LOADER"}, nobody = {&per_user, &carol, "ANALYST"},
			roleless = {&per_user, &alice, NULL}, gate = {&per_user, NULL, "ANALYST"};
	struct token_view view;
	const char *why = NULL;

	(void)state;
	clock_set_virtual(0, 1700000000 * USEC_PER_S);
	uint64_t first = view_of(&a).number, second = view_of(&b).number, third = view_of(&other).number;
	assert_true(first != second && second != third && first != third);
	assert_int_equal(view_of(&a).number, first);
	assert_int_equal(view_of(&b).number, second);
	clock_advance(8 * 60 * USEC_PER_S);
	assert_int_not_equal(view_of(&a).number, first);
	assert_int_equal(token_get(&nobody, &view, NULL, &why), TOKEN_FAILED);
	assert_non_null(strstr(why, "carol has no Snowflake user"));
	assert_null(view.bearer);
	assert_int_equal(token_get(&roleless, &view, NULL, &why), TOKEN_FAILED);
	assert_non_null(strstr(why, "no role is set"));
	assert_int_equal(token_get(&gate, &view, NULL, &why), TOKEN_FAILED);
	token_forget_all();
}

/* `users` and `user` name what this gateway calls somebody, not what any issuer does. */
static void test_whose_subjects(void **state)
{
	static const struct principal local = {.kind = PRINCIPAL_LOCAL, .subject = "alice"},
				      issued = {.kind = PRINCIPAL_TOKEN,
						.issuer = "https://id.example",
						.subject = "alice"},
				      none = {.kind = PRINCIPAL_NONE, .subject = "alice"};
	struct connection template = per_user;
	struct identity who = {&per_user, &local, "ANALYST"};
	struct token_view view;
	const char *why = NULL;

	(void)state;
	clock_set_virtual(0, 1700000000 * USEC_PER_S);
	(void)view_of(&who);
	who.principal = &none;
	assert_int_equal(token_get(&who, &view, NULL, &why), TOKEN_FAILED);
	who.principal = &issued;
	assert_int_equal(token_get(&who, &view, NULL, &why), TOKEN_FAILED);
	assert_non_null(strstr(why, "alice comes with a token of the issuer https://id.example"));
	assert_non_null(strstr(why, "API keys only"));
	template.user = "{subject}";
	template.users_n = 0;
	who.connection = &template;
	assert_int_equal(token_get(&who, &view, NULL, &why), TOKEN_FAILED);
	who.principal = &alice;
	(void)view_of(&who);
	token_forget_all();
}

/* The cache is bounded: the longest unused goes, and comes again as a new token. */
static void test_many_users(void **state)
{
	struct connection c = per_user;
	struct principal p = {.kind = PRINCIPAL_KEY};
	struct identity who = {&c, &p, "R"};

	(void)state;
	clock_set_virtual(0, 1700000000 * USEC_PER_S);
	c.user = "{subject}";
	c.users_n = 0;
	snprintf(p.subject, sizeof p.subject, "first");
	uint64_t first = view_of(&who).number;
	for (int i = 0; i < 2048; i++) {
		snprintf(p.subject, sizeof p.subject, "user %d", i);
		(void)view_of(&who);
	}
	uint64_t last = view_of(&who).number;
	assert_int_equal(view_of(&who).number, last);
	snprintf(p.subject, sizeof p.subject, "first");
	assert_int_not_equal(view_of(&who).number, first);
	token_forget_all();
}

/* ---- files ---- */

static void test_token_file(void **state)
{
	char path[] = "/tmp/snowgate-token-XXXXXX";
	struct connection c = {.name = "f", .account = "a", .host = "h", .auth = CONNECTION_OAUTH};
	struct identity who = {.connection = &c};
	struct token_view view;
	const char *why = NULL;

	(void)state;
	clock_set_virtual(0, 1700000000 * USEC_PER_S);
	c.token_file = temporary(path, "  one\n");
	connection_identify(&c);
	view = view_of(&who);
	assert_string_equal(view.bearer, "one");
	assert_string_equal(view.type, "OAUTH");
	assert_false(token_renew(&who, view.number));
	write_file(path, "another\n");
	clock_advance(USEC_PER_S);
	assert_true(token_renew(&who, view.number));
	assert_string_equal(view_of(&who).bearer, "another");
	assert_int_equal(unlink(path), 0);
	assert_string_equal(view_of(&who).bearer, "another");
	token_forget_all();
	assert_int_equal(token_get(&who, &view, NULL, &why), TOKEN_FAILED);
	token_forget_all();
}

/* A file that is being written, or was emptied by mistake, does not wipe the token at hand. */
static void test_blank_token_file(void **state)
{
	static const char *const blanks[] = {"", " \n\t\n"};
	char path[] = "/tmp/snowgate-token-XXXXXX";
	struct connection c = {.name = "f", .account = "blank", .host = "h", .auth = CONNECTION_OAUTH};
	struct identity who = {.connection = &c};
	struct token_view view;
	const char *why = NULL;

	(void)state;
	clock_set_virtual(0, 1700000000 * USEC_PER_S);
	c.token_file = temporary(path, "one");
	connection_identify(&c);
	uint64_t number = view_of(&who).number;
	for (size_t i = 0; i < ARRAY_LEN(blanks); i++) {
		write_file(path, blanks[i]);
		clock_advance(2 * USEC_PER_S);
		assert_string_equal(view_of(&who).bearer, "one");
		assert_int_equal(view_of(&who).number, number);
	}
	token_forget_all();
	assert_int_equal(token_get(&who, &view, NULL, &why), TOKEN_FAILED);
	assert_string_equal(why, "token_file is empty");
	write_file(path, "two");
	assert_int_equal(token_get(&who, &view, NULL, &why), TOKEN_FAILED);
	assert_string_equal(why, "token_file is empty");
	clock_advance(USEC_PER_S);
	assert_string_equal(view_of(&who).bearer, "two");
	/* Within a second it is not looked at again, and then it is. */
	write_file(path, "three");
	clock_advance(USEC_PER_S - 1);
	assert_string_equal(view_of(&who).bearer, "two");
	clock_advance(1);
	assert_string_equal(view_of(&who).bearer, "three");
	assert_int_equal(unlink(path), 0);
	token_forget_all();
}

/* B.4: the form of the header. An end that has passed is told rather than tried. */
static void test_workload(void **state)
{
	char path[] = "/tmp/snowgate-token-XXXXXX";
	struct connection c = {.name = "w", .account = "a", .host = "h", .auth = CONNECTION_WORKLOAD};
	struct identity who = {.connection = &c};
	struct buf jwt = buf_with_ceiling(8192);
	struct token_view view;
	const char *why = NULL;

	(void)state;
	clock_set_virtual(0, 1700000000 * USEC_PER_S);
	assert_int_equal(token_jwt(&jwt, &key_pair, 1700000000, 600, &why), ERR_OK);
	c.token_file = temporary(path, buf_text(&jwt));
	connection_identify(&c);
	view = view_of(&who);
	assert_string_equal(view.type, "WORKLOAD_IDENTITY_FEDERATION");
	assert_int_equal(strncmp(view.bearer, "WIF.OIDC.", 9), 0);
	assert_string_equal(view.bearer + 9, buf_text(&jwt));
	clock_advance(20 * 60 * USEC_PER_S);
	assert_int_equal(token_get(&who, &view, NULL, &why), TOKEN_FAILED);
	assert_non_null(strstr(why, "has expired at 2023-11-14T22:23:20Z"));
	assert_null(strstr(why, "eyJ"));
	write_file(path, "not-a-jwt");
	clock_advance(USEC_PER_S);
	assert_string_equal(view_of(&who).bearer, "WIF.OIDC.not-a-jwt");
	assert_int_equal(unlink(path), 0);
	buf_free(&jwt);
	token_forget_all();
}

/* A token with a line break would forge a header. */
static void test_given(void **state)
{
	static const char *const bad[] = {"pat\r\nX-Evil: 1", "", NULL};
	struct connection c = {.name = "p", .account = "a", .host = "h", .auth = CONNECTION_PAT, .token = "pat"};
	struct identity who = {.connection = &c};
	struct token_view view;
	const char *why = NULL;

	(void)state;
	connection_identify(&c);
	view = view_of(&who);
	assert_string_equal(view.bearer, "pat");
	assert_string_equal(view.type, "PROGRAMMATIC_ACCESS_TOKEN");
	assert_false(token_renew(&who, view.number));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		c.token = bad[i];
		connection_identify(&c);
		assert_int_equal(token_get(&who, &view, NULL, &why), TOKEN_FAILED);
	}
	token_forget_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_subject),         cmocka_unit_test(test_jwt),
	    cmocka_unit_test(test_jwt_faults),      cmocka_unit_test(test_cache),
	    cmocka_unit_test(test_clock_put_back),  cmocka_unit_test(test_two_keys),
	    cmocka_unit_test(test_key_file),        cmocka_unit_test(test_user_claims),
	    cmocka_unit_test(test_users_are_apart), cmocka_unit_test(test_many_users),
	    cmocka_unit_test(test_token_file),      cmocka_unit_test(test_workload),
	    cmocka_unit_test(test_given),           cmocka_unit_test(test_bad_key_file),
	    cmocka_unit_test(test_whose_subjects),  cmocka_unit_test(test_blank_token_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
