/* The Authorization header, and the challenge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "snowgate/auth.h"

static void one_bearer_credential_is_taken(void **state UNUSED)
{
	static const struct {
		const char *header, *token;
	} good[] = {
	    {"Bearer abc", "abc"},   {"bearer abc", "abc"},       {"BEARER abc", "abc"},
	    {"Bearer   abc", "abc"}, {" \tBearer abc \t", "abc"}, {"Bearer aZ09-._~+/==", "aZ09-._~+/=="},
	};
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct slice token;
		assert_int_equal(auth_bearer(slice_of(good[i].header), &token), AUTH_OK);
		assert_true(slice_is(token, good[i].token));
	}
}

static void junk_is_malformed_and_other_schemes_are_missing(void **state UNUSED)
{
	static const char *const malformed[] = {
	    "Bearer",       "Bearer ",    "bearer =",       "Bearer a b",   "Bearer a,b", "Bearer a, Bearer b",
	    "Bearer \"a\"", "Bearer a=b", "Bearer token=a", "Bearer a\x01", "Bearer \ta", "Bearer a\xC3\xA4",
	    "Bearer a;b",
	};
	static const char *const missing[] = {"",         " ",   "Basic YTpi", "Bearerabc", "Bearer\tabc",
					      "Digest x", "abc", "Bear er abc"};
	struct slice token = SLICE("untouched");
	for (size_t i = 0; i < ARRAY_LEN(malformed); i++)
		if (auth_bearer(slice_of(malformed[i]), &token) != AUTH_MALFORMED)
			fail_msg("%s", malformed[i]);
	for (size_t i = 0; i < ARRAY_LEN(missing); i++)
		if (auth_bearer(slice_of(missing[i]), &token) != AUTH_MISSING)
			fail_msg("%s", missing[i]);
	assert_int_equal(auth_bearer(slice_of(NULL), &token), AUTH_MISSING);
	assert_int_equal(auth_bearer(SLICE("Bearer a\0b"), &token), AUTH_MALFORMED);
	assert_true(slice_is(token, "untouched"));
}

static void a_token_has_a_ceiling(void **state UNUSED)
{
	for (size_t n = 16383; n <= 16385; n++) {
		struct buf b = buf_with_ceiling(20000);
		struct slice token;
		assert_true(buf_adds(&b, "Bearer "));
		for (size_t i = 0; i < n; i++)
			assert_true(buf_addc(&b, 'x'));
		assert_int_equal(auth_bearer(buf_slice(&b), &token), n <= 16384 ? AUTH_OK : AUTH_MALFORMED);
		buf_free(&b);
	}
}

/* RFC 6750, 3: no error code where no token came; the description has neither quotes nor backslashes. */
static void challenges_say_what_they_may(void **state UNUSED)
{
	for (enum auth_result r = AUTH_OK; r <= AUTH_REVOKED; r++) {
		struct buf b = buf_with_ceiling(255);
		assert_true(auth_challenge(&b, r));
		const char *text = auth_result_text(r);
		assert_null(strpbrk(text, "\"\\"));
		for (const char *p = text; *p; p++)
			assert_true(*p >= 0x20 && *p <= 0x7E);
		if (r == AUTH_MISSING)
			assert_string_equal(buf_text(&b), "Bearer realm=\"snowgate\"");
		if (r > AUTH_MISSING) {
			assert_non_null(strstr(
			    buf_text(&b), "Bearer realm=\"snowgate\", error=\"invalid_token\", error_description=\""));
			assert_non_null(strstr(buf_text(&b), text));
			assert_int_equal(b.data[b.n - 1], '"');
		}
		buf_free(&b);
	}
	struct buf b = buf_with_ceiling(10);
	assert_false(auth_challenge(&b, AUTH_UNKNOWN));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_bearer_credential_is_taken),
	    cmocka_unit_test(junk_is_malformed_and_other_schemes_are_missing),
	    cmocka_unit_test(a_token_has_a_ceiling),
	    cmocka_unit_test(challenges_say_what_they_may),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
