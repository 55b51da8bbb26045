/* Principals: who is the same, and bytes that no two share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "snowgate/principal.h"

static void a_group_does_not_make_another_principal(void **state UNUSED)
{
	struct principal a = {PRINCIPAL_KEY, "", "ci", "team"}, b = {PRINCIPAL_KEY, "", "ci", "other"};
	assert_true(principal_equal(&a, &b));
	b.kind = PRINCIPAL_TOKEN;
	assert_false(principal_equal(&a, &b));
	b = (struct principal){PRINCIPAL_KEY, "x", "ci", "team"};
	assert_false(principal_equal(&a, &b));
	b = (struct principal){PRINCIPAL_KEY, "", "ci2", "team"};
	assert_false(principal_equal(&a, &b));
}

static void encodings_are_equal_when_principals_are(void **state UNUSED)
{
	static const struct principal all[] = {
	    {PRINCIPAL_KEY, "", "ab", ""},      {PRINCIPAL_KEY, "a", "b", ""},     {PRINCIPAL_KEY, "ab", "", ""},
	    {PRINCIPAL_TOKEN, "a", "b", ""},    {PRINCIPAL_KEY, "", "", ""},       {PRINCIPAL_KEY, "a", "b", "g"},
	    {PRINCIPAL_LOCAL, "", "local", ""}, {PRINCIPAL_KEY, "a\x01", "b", ""}, {PRINCIPAL_NONE, "", "", ""},
	};
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		for (size_t k = 0; k < ARRAY_LEN(all); k++) {
			struct buf a = buf_with_ceiling(300), b = buf_with_ceiling(300);
			assert_true(principal_encode(&a, &all[i]) && principal_encode(&b, &all[k]));
			bool same = a.n == b.n && memcmp(a.data, b.data, a.n) == 0;
			assert_int_equal(same, principal_equal(&all[i], &all[k]));
			buf_free(&a);
			buf_free(&b);
		}
	}
	struct buf b = buf_with_ceiling(300);
	assert_true(principal_encode(&b, &all[1]));
	assert_int_equal(b.n, 7);
	assert_memory_equal(b.data,
			    "\x02\0\x01"
			    "a\0\x01"
			    "b",
			    7);
	buf_free(&b);
}

static void a_record_s_principal_reads_back(void **state UNUSED)
{
	static const struct principal all[] = {{PRINCIPAL_KEY, "", "ci", "team"},
					       {PRINCIPAL_TOKEN, "https://issuer", "alice", ""},
					       {PRINCIPAL_LOCAL, "", "local", ""}};
	static const char *const none[] = {"{}", "{\"kind\":\"none\"}", "{\"kind\":\"other\"}", "[]", "{\"kind\":1}"};
	char longer[sizeof(struct principal)] = "";
	struct principal p;
	json_t *o;

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		o = principal_json(&all[i]);
		assert_true(principal_from_json(&p, o));
		assert_true(principal_equal(&p, &all[i]));
		assert_string_equal(p.group, all[i].group);
		json_decref(o);
	}
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		o = NULL;
		assert_int_equal(json_parse(slice_of(none[i]), 5, &o, NULL, 0), JSON_OK);
		assert_false(principal_from_json(&p, o));
		json_decref(o);
	}
	memset(longer, 'x', sizeof longer - 1);
	o = json_pack("{s:s,s:s}", "kind", "key", "subject", longer);
	assert_false(principal_from_json(&p, o)); /* never a shorter one, who would be somebody else */
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_group_does_not_make_another_principal),
	    cmocka_unit_test(encodings_are_equal_when_principals_are),
	    cmocka_unit_test(a_record_s_principal_reads_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
