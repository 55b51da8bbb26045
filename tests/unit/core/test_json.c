/* JSON within limits: what is refused and why, what comes out, raw tokens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "snowgate/json.h"

static enum json_verdict parse(struct slice text, char why[200])
{
	json_t *value = NULL;
	enum json_verdict verdict = json_parse(text, JSON_DEPTH_MAX, &value, why, 200);
	assert_int_equal(verdict == JSON_OK, value != NULL);
	json_decref(value);
	return verdict;
}

static const struct {
	struct slice text;
	enum json_verdict verdict;
} judged[] = {
    {SLICE("{}"), JSON_OK},
    {SLICE("[1,2.5,-3e7,\"x\",true,false,null]"), JSON_OK},
    {SLICE(" \r\n\t1 "), JSON_OK},
    {SLICE("\"\""), JSON_OK},
    {SLICE("null"), JSON_OK},
    {SLICE("{\"a\":{\"a\":1}}"), JSON_OK},
    {SLICE("9223372036854775807"), JSON_OK},
    {SLICE("\"\\ud83d\\ude00\""), JSON_OK},
    {SLICE(""), JSON_SYNTAX},
    {SLICE(" "), JSON_SYNTAX},
    {SLICE("{"), JSON_SYNTAX},
    {SLICE("{} {}"), JSON_SYNTAX},
    {SLICE("[1,]"), JSON_SYNTAX},
    {SLICE("{\"a\":1,}"), JSON_SYNTAX},
    {SLICE("{a:1}"), JSON_SYNTAX},
    {SLICE("'a'"), JSON_SYNTAX},
    {SLICE("01"), JSON_SYNTAX},
    {SLICE("+1"), JSON_SYNTAX},
    {SLICE("1."), JSON_SYNTAX},
    {SLICE("NaN"), JSON_SYNTAX},
    {SLICE("nul"), JSON_SYNTAX},
    {SLICE("// x\n1"), JSON_SYNTAX},
    {SLICE("\"a\nb\""), JSON_SYNTAX},
    {SLICE("\"\\x\""), JSON_SYNTAX},
    {SLICE("]"), JSON_SYNTAX},
    {SLICE("9223372036854775808"), JSON_SYNTAX},
    {SLICE("1e999"), JSON_SYNTAX},
    {SLICE("{\"a\":1,\"a\":1}"), JSON_DUPLICATE},
    {SLICE("{\"a\":1,\"\\u0061\":1}"), JSON_DUPLICATE},
    {SLICE("[{\"x\":{\"b\":1,\"c\":2,\"b\":3}}]"), JSON_DUPLICATE},
    {SLICE("\"\xFF\""), JSON_ENCODING},
    {SLICE("\"\xC0\xAF\""), JSON_ENCODING},
    {SLICE("\"\\ud800\""), JSON_ENCODING},
    {SLICE("\"\\udc00x\""), JSON_ENCODING},
    {SLICE("\"a\\u0000b\""), JSON_ENCODING},
    {SLICE("{\"\\u0000\":1}"), JSON_ENCODING},
};

static void input_is_judged(void **state UNUSED)
{
	char why[200];
	for (size_t i = 0; i < ARRAY_LEN(judged); i++) {
		why[0] = '\0';
		enum json_verdict verdict = parse(judged[i].text, why);
		if (verdict != judged[i].verdict)
			fail_msg("%s: %d, not %d (%s)", judged[i].text.data, (int)verdict, (int)judged[i].verdict, why);
		assert_int_equal(verdict == JSON_OK, why[0] == '\0');
		if (verdict != JSON_OK)
			assert_non_null(strstr(why, " at byte "));
	}
	static const struct slice with_nul[] = {SLICE("\"a\0b\""), SLICE("1\0"), SLICE("\0"), SLICE("[1,\0 2]"),
						SLICE("{}\0{}")};
	for (size_t i = 0; i < ARRAY_LEN(with_nul); i++) {
		json_t *value = NULL;
		assert_int_equal(parse(with_nul[i], why), JSON_ENCODING);
		assert_int_equal(json_parse_trusted(with_nul[i], &value), JSON_ENCODING);
	}
	assert_int_not_equal(parse(slice_of(NULL), why), JSON_OK);
}

static char *nested(size_t depth, char open, char close)
{
	char *text = xalloc(depth * 2 + 1);
	memset(text, open, depth);
	memset(text + depth, close, depth);
	return text;
}

static void depth_has_a_limit(void **state UNUSED)
{
	char why[200];
	for (size_t depth = 60; depth < 70; depth++) {
		char *text = nested(depth, '[', ']');
		assert_int_equal(parse(slice_of(text), why), depth <= JSON_DEPTH_MAX ? JSON_OK : JSON_DEEP);
		free(text);
	}
	char *text = nested(1000000, '[', ']');
	assert_int_equal(parse(slice_of(text), why), JSON_DEEP);
	assert_string_equal(why + strlen(why) - strlen(" at byte 64"), " at byte 64");
	json_t *value = NULL;
	assert_int_equal(json_parse_trusted(slice_of(text), &value), JSON_DEEP);
	free(text);
	text = nested(512, '[', ']');
	assert_int_equal(json_parse_trusted(slice_of(text), &value), JSON_OK);
	json_decref(value);
	free(text);
	/* brackets within strings are text */
	assert_int_equal(
	    parse(SLICE("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"]"), why),
	    JSON_OK);
}

static void the_number_of_values_has_a_limit(void **state UNUSED)
{
	char why[200];
	for (size_t n = JSON_VALUES_MAX - 3; n < JSON_VALUES_MAX + 3; n++) {
		/* the array itself, and n-1 members */
		char *text = xalloc(n * 2 + 2);
		text[0] = '[';
		for (size_t i = 0; i < n - 1; i++)
			memcpy(text + 1 + i * 2, "0,", 2);
		text[(n - 1) * 2] = ']';
		enum json_verdict verdict = parse(slice_of(text), why);
		assert_int_equal(verdict, n <= JSON_VALUES_MAX ? JSON_OK : JSON_DEEP);
		free(text);
	}
}

static void a_trusted_answer_may_hold_nul_and_repeat_keys(void **state UNUSED)
{
	json_t *value = NULL;
	assert_int_equal(json_parse_trusted(SLICE("[\"a\\u0000b\",{\"k\":1,\"k\":2}]"), &value), JSON_OK);
	assert_int_equal(json_string_length(json_array_get(value, 0)), 3);
	struct buf b = buf_with_ceiling(100);
	assert_true(json_write(&b, value));
	assert_string_equal(buf_text(&b), "[\"a\\u0000b\",{\"k\":2}]");
	buf_free(&b);
	json_decref(value);
	assert_int_equal(json_parse_trusted(SLICE("[1"), &value), JSON_SYNTAX);
}

static void what_is_written_reads_back(void **state UNUSED)
{
	static const char *const same[] = {
	    "{}",
	    "[]",
	    "null",
	    "true",
	    "false",
	    "0",
	    "-1",
	    "9223372036854775807",
	    "-9223372036854775808",
	    "0.1",
	    "1.0",
	    "-0.0",
	    "1e+300",
	    "0.30000000000000004",
	    "123456.789",
	    "2.5",
	    "\"\"",
	    "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f/\"",
	    "\"\xE2\x82\xAC\xF0\x9F\x98\x80\x7f\"",
	    "{\"z\":1,\"a\":[1,[2,{\"m\":null}]],\"\":{}}",
	};
	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		json_t *value = NULL;
		struct buf b = buf_with_ceiling(1000);
		assert_int_equal(json_parse(slice_of(same[i]), 64, &value, NULL, 0), JSON_OK);
		assert_true(json_write(&b, value));
		assert_string_equal(buf_text(&b), same[i]);
		buf_free(&b);
		for (size_t ceiling = 0; ceiling < strlen(same[i]); ceiling++) {
			b = buf_with_ceiling(ceiling);
			assert_false(json_write(&b, value));
			assert_true(buf_failed(&b));
			buf_free(&b);
		}
		json_decref(value);
	}
}

static void reals_round_trip(void **state UNUSED)
{
	uint64_t seed = 99;
	for (int i = 0; i < 20000; i++) {
		double number;
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		memcpy(&number, &seed, sizeof(number));
		json_t *value = json_real(number), *back = NULL;
		if (!value) /* not finite */
			continue;
		struct buf b = buf_with_ceiling(100);
		assert_true(json_write(&b, value));
		assert_int_equal(json_parse(buf_slice(&b), 1, &back, NULL, 0), JSON_OK);
		assert_true(json_is_real(back) && json_real_value(back) == number);
		json_decref(value);
		json_decref(back);
		buf_free(&b);
	}
}

static void bytes_that_are_no_text_become_replacement_characters(void **state UNUSED)
{
	struct buf b = buf_with_ceiling(100);
	assert_true(json_write_string(&b, "a\xFF\xE2\x82z\0", 6));
	assert_string_equal(buf_text(&b), "\"a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\\u0000\"");
	buf_free(&b);
}

static void assert_raw(struct slice text, const char *key, const char *expected)
{
	struct slice raw = json_raw_member(text, key);
	if (!expected)
		assert_null(raw.data);
	else if (!slice_is(raw, expected))
		fail_msg("%s of %s is %.*s", key, text.data, (int)raw.n, raw.data ? raw.data : "");
}

static void raw_tokens_stay_what_they_were(void **state UNUSED)
{
	static const char *const ids[] = {
	    "9007199254740993", "1.0",           "1e2",  "-0", "\"a\\u0041\"", "\"\\\"}\"", "null", "true",
	    "[1, {\"id\":2} ]", "{\"id\": [3]}", "\"\"", "{}", "[]",           "\"\\\\\""};
	static const char *const forms[] = {
	    "{\"id\":%s}", "{\"x\":1,\"id\":%s}", " { \"x\" : {\"id\":0} , \"id\" : %s , \"y\":2}",
	    "{\"id\\\"\":5,\"\\u0069\\u0064\":%s\n}", "{\"a\":[\"}\",\"{\"],\"id\"\t:\t%s\t}"};
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		for (size_t k = 0; k < ARRAY_LEN(forms); k++) {
			struct buf b = buf_with_ceiling(200);
			json_t *value = NULL;
			const char *gap = strstr(forms[k], "%s");
			assert_true(buf_add(&b, forms[k], (size_t)(gap - forms[k])) && buf_adds(&b, ids[i]) &&
				    buf_adds(&b, gap + 2));
			assert_int_equal(json_parse(buf_slice(&b), 64, &value, NULL, 0), JSON_OK);
			json_decref(value);
			assert_raw(buf_slice(&b), "id", ids[i]);
			buf_free(&b);
		}
	}
}

static void what_is_absent_has_no_token(void **state UNUSED)
{
	static const char *const texts[] = {"{}",
					    "[]",
					    "[\"id\",1]",
					    "\"id\"",
					    "1",
					    "{\"x\":{\"id\":1}}",
					    "{\"x\":\"id\"}",
					    "{\"ID\":1}",
					    " {\"idx\":1,\"i\":2} "};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_raw(slice_of(texts[i]), "id", NULL);
	assert_raw(slice_of(NULL), "id", NULL);
	assert_raw(SLICE("{\"\xE2\x82\xAC\":1}"), "\xE2\x82\xAC", "1");
	assert_raw(SLICE("{\"\\u20ac\":1}"), "\xE2\x82\xAC", "1");
	assert_raw(SLICE("{\"\\ud83d\\ude00\":1}"), "\xF0\x9F\x98\x80", "1");
	assert_raw(SLICE("{\"\\/\\b\\f\\n\\r\\t\\\\\":1}"), "/\b\f\n\r\t\\", "1");
	assert_raw(SLICE("{\"\":1}"), "", "1");
}

static void a_path_leads_down(void **state UNUSED)
{
	struct slice text = SLICE("{\"params\":{\"_meta\":{\"progressToken\":1.50},\"x\":[]},\"_meta\":2}");
	static const char *const path[] = {"params", "_meta", "progressToken", NULL};
	static const char *const astray[] = {"params", "x", "progressToken", NULL};
	static const char *const nowhere[] = {"param", "_meta", NULL};
	assert_true(slice_is(json_raw_path(text, path), "1.50"));
	assert_null(json_raw_path(text, astray).data);
	assert_null(json_raw_path(text, nowhere).data);
}

static void members_have_types(void **state UNUSED)
{
	json_t *o = json_loads("{\"t\":\"x\",\"i\":5,\"r\":1.0,\"b\":true,\"n\":null}", 0, NULL);
	assert_string_equal(json_text_of(o, "t"), "x");
	assert_null(json_text_of(o, "i"));
	assert_null(json_text_of(o, "absent"));
	assert_null(json_text_of(NULL, "t"));
	assert_int_equal(json_int_of(o, "i", 9), 5);
	assert_int_equal(json_int_of(o, "r", 9), 9);
	assert_int_equal(json_int_of(o, "t", 9), 9);
	assert_true(json_bool_of(o, "b", false));
	assert_true(json_bool_of(o, "n", true));
	assert_false(json_bool_of(o, "i", false));
	struct arena *a = arena_new(1000);
	assert_true(arena_attach(a, o, json_release));
	arena_free(a);
}

static void canonical_text_is_one_per_value(void **state UNUSED)
{
	static const char *const texts[][2] = {
	    {"{\"b\":1,\"a\":{\"d\":[{\"z\":0,\"y\":1}],\"c\":null}}",
	     "{\"a\":{\"c\":null,\"d\":[{\"y\":1,\"z\":0}]},\"b\":1}"},
	    {"{\"ab\":1,\"a\":2,\"\":3,\"B\":4,\"\\u00e9\":5,\"z\":6}",
	     "{\"\":3,\"B\":4,\"a\":2,\"ab\":1,\"z\":6,\"\xC3\xA9\":5}"},
	    {"[3,1,2]", "[3,1,2]"}, /* the order of a list means something */
	    {"[1.0,1e2,-0.0,1.5,1e300,-9223372036854775808.0,9223372036854775808.0]",
	     "[1,100,0,1.5,1e+300,-9223372036854775808,9.223372036854776e+18]"},
	    {"\"\\u0041\\/\"", "\"A/\""},
	    {"{}", "{}"},
	    {" [ true , false ] ", "[true,false]"},
	};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct buf b = buf_with_ceiling(1000);
		json_t *value = NULL;
		assert_int_equal(json_parse(slice_of(texts[i][0]), 10, &value, NULL, 0), JSON_OK);
		assert_true(json_write_canonical(&b, value));
		assert_string_equal(buf_text(&b), texts[i][1]);
		json_decref(value);
		buf_free(&b);
	}
}

static void what_is_not_listed_is_left(void **state UNUSED)
{
	static const char *const known[] = {"a", "b", "c", NULL};
	json_t *o = json_pack("{s:i,s:i,s:{s:i}}", "a", 1, "b", 2, "x", "y", 3), *rest = json_without(o, known);

	assert_int_equal(json_object_size(o), 3);
	assert_int_equal(json_object_size(rest), 1);
	assert_int_equal(json_int_of(json_object_get(rest, "x"), "y", 0), 3);
	json_decref(rest);
	json_object_del(o, "x");
	assert_null(json_without(o, known));
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(input_is_judged),
	    cmocka_unit_test(depth_has_a_limit),
	    cmocka_unit_test(the_number_of_values_has_a_limit),
	    cmocka_unit_test(a_trusted_answer_may_hold_nul_and_repeat_keys),
	    cmocka_unit_test(what_is_written_reads_back),
	    cmocka_unit_test(reals_round_trip),
	    cmocka_unit_test(bytes_that_are_no_text_become_replacement_characters),
	    cmocka_unit_test(raw_tokens_stay_what_they_were),
	    cmocka_unit_test(what_is_absent_has_no_token),
	    cmocka_unit_test(a_path_leads_down),
	    cmocka_unit_test(members_have_types),
	    cmocka_unit_test(canonical_text_is_one_per_value),
	    cmocka_unit_test(what_is_not_listed_is_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
