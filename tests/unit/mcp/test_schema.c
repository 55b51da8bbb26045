/* The argument check: each keyword, the words of complaints, and which schemas are refused at load. */
#include "mcp_test.h"

struct row {
	const char *schema, *value, *why; /* NULL: fits */
};

static const struct row rows[] = {
    /* type */
    {"{\"type\":\"object\"}", "{}", NULL},
    {"{\"type\":\"object\"}", "[]", "arguments: must be an object, not an array"},
    {"{\"type\":\"object\"}", "null", "arguments: must be an object, not null"},
    {"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"a\":1}", "a: must be a string, not 1"},
    {"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"a\":null}", "a: must be a string, not null"},
    {"{\"properties\":{\"a\":{\"type\":\"boolean\"}}}", "{\"a\":true}", NULL},
    {"{\"properties\":{\"a\":{\"type\":\"boolean\"}}}", "{\"a\":\"true\"}", "a: must be a boolean, not \"true\""},
    {"{\"properties\":{\"a\":{\"type\":\"number\"}}}", "{\"a\":1.5}", NULL},
    {"{\"properties\":{\"a\":{\"type\":\"number\"}}}", "{\"a\":1}", NULL},
    {"{\"properties\":{\"a\":{\"type\":\"integer\"}}}", "{\"a\":1.0}", NULL},
    {"{\"properties\":{\"a\":{\"type\":\"integer\"}}}", "{\"a\":1.5}", "a: must be an integer, not 1.5"},
    {"{\"properties\":{\"a\":{\"type\":[\"string\",\"null\"]}}}", "{\"a\":null}", NULL},
    {"{\"properties\":{\"a\":{\"type\":[\"string\",\"null\"]}}}", "{\"a\":{}}",
     "a: must be a string or null, not an object"},
    {"{\"properties\":{\"a\":{\"type\":[\"array\",\"integer\",\"string\"]}}}", "{\"a\":true}",
     "a: must be an array, an integer or a string, not true"},
    /* numbers */
    {"{\"properties\":{\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":10000}}}", "{\"limit\":\"ten\"}",
     "limit: must be an integer from 1 to 10000, not \"ten\""},
    {"{\"properties\":{\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":10000}}}", "{\"limit\":0}",
     "limit: must be an integer from 1 to 10000, not 0"},
    {"{\"properties\":{\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":10000}}}", "{\"limit\":10001}",
     "limit: must be an integer from 1 to 10000, not 10001"},
    {"{\"properties\":{\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":10000}}}", "{\"limit\":1}", NULL},
    {"{\"properties\":{\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":10000}}}", "{\"limit\":10000.0}",
     NULL},
    {"{\"properties\":{\"a\":{\"type\":\"integer\",\"minimum\":0}}}", "{\"a\":-1}",
     "a: must be an integer of at least 0, not -1"},
    {"{\"properties\":{\"a\":{\"type\":\"number\",\"exclusiveMinimum\":0}}}", "{\"a\":0}",
     "a: must be a number above 0, not 0"},
    {"{\"properties\":{\"a\":{\"type\":\"number\",\"exclusiveMinimum\":0}}}", "{\"a\":0.1}", NULL},
    {"{\"properties\":{\"a\":{\"type\":\"number\",\"exclusiveMaximum\":1}}}", "{\"a\":1.0}",
     "a: must be a number below 1, not 1.0"},
    {"{\"properties\":{\"a\":{\"type\":\"integer\",\"maximum\":9007199254740992}}}", "{\"a\":9007199254740993}",
     "a: must be an integer of at most 9007199254740992, not 9007199254740993"},
    {"{\"properties\":{\"a\":{\"type\":\"integer\",\"minimum\":9007199254740993}}}", "{\"a\":9007199254740992.0}",
     "a: must be an integer of at least 9007199254740993, not 9007199254740992.0"},
    {"{\"properties\":{\"a\":{\"type\":\"number\",\"maximum\":9223372036854775807}}}", "{\"a\":1e19}",
     "a: must be a number of at most 9223372036854775807, not 1e+19"},
    {"{\"properties\":{\"a\":{\"minimum\":5}}}", "{\"a\":\"text\"}", NULL},
    /* enum, const */
    {"{\"properties\":{\"f\":{\"type\":\"string\",\"enum\":[\"csv\",\"json\",\"md\"]}}}", "{\"f\":\"json\"}", NULL},
    {"{\"properties\":{\"f\":{\"type\":\"string\",\"enum\":[\"csv\",\"json\",\"md\"]}}}", "{\"f\":\"xml\"}",
     "f: must be one of \"csv\", \"json\" or \"md\", not \"xml\""},
    {"{\"properties\":{\"f\":{\"enum\":[1,null]}}}", "{\"f\":1.0}", NULL},
    {"{\"properties\":{\"f\":{\"const\":true}}}", "{\"f\":false}", "f: must be true, not false"},
    {"{\"properties\":{\"f\":{\"const\":{\"a\":[1]}}}}", "{\"f\":{\"a\":[1]}}", NULL},
    {"{\"properties\":{\"f\":{\"const\":{\"a\":[1]}}}}", "{\"f\":{\"a\":[1.0]}}", NULL},
    {"{\"properties\":{\"f\":{\"const\":{\"a\":[1]}}}}", "{\"f\":{\"a\":[1,2]}}",
     "f: must be an object, not an object"},
    {"{\"properties\":{\"f\":{\"enum\":[{\"a\":1},[1,2]]}}}", "{\"f\":{\"a\":1.0}}", NULL},
    {"{\"properties\":{\"f\":{\"enum\":[{\"a\":1},[1,2]]}}}", "{\"f\":[1,2.0]}", NULL},
    {"{\"properties\":{\"f\":{\"enum\":[{\"a\":1},[1,2]]}}}", "{\"f\":{\"b\":1}}",
     "f: must be one of an object or an array, not an object"},
    {"{\"properties\":{\"f\":{\"enum\":[[1,2],5]}}}", "{\"f\":{}}", "f: must be one of an array or 5, not an object"},
    /* required, additionalProperties */
    {"{\"properties\":{\"q\":{\"type\":\"string\"}},\"required\":[\"q\"]}", "{}",
     "q: is required; it must be a string"},
    {"{\"properties\":{\"q\":{\"type\":\"string\"}},\"required\":[\"q\"]}", "{\"q\":\"\"}", NULL},
    {"{\"properties\":{\"q\":{},\"r\":{}},\"additionalProperties\":false}", "{\"sql\":1}",
     "sql: is not known here; known are q, r"},
    {"{\"additionalProperties\":false}", "{\"sql\":1}", "sql: is not known here; leave it out, nothing is taken"},
    {"{\"properties\":{\"q\":{}}}", "{\"sql\":1}", NULL},
    {"{\"additionalProperties\":{\"type\":\"string\"}}", "{\"TIMEZONE\":1}", "TIMEZONE: must be a string, not 1"},
    {"{\"additionalProperties\":{\"type\":\"string\"}}", "{\"TIMEZONE\":\"UTC\"}", NULL},
    {"{\"properties\":{\"q\":false}}", "{\"q\":1}", "q: is not allowed here; leave it out"},
    {"{\"properties\":{\"q\":true}}", "{\"q\":1}", NULL},
    /* arrays and nesting */
    {"{\"properties\":{\"n\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"minItems\":1,\"maxItems\":2}}}",
     "{\"n\":[]}", "n: must be an array from 1 to 2 items, not an array"},
    {"{\"properties\":{\"n\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"minItems\":1,\"maxItems\":2}}}",
     "{\"n\":[\"a\",\"b\",\"c\"]}", "n: must be an array from 1 to 2 items, not an array"},
    {"{\"properties\":{\"n\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"minItems\":1,\"maxItems\":2}}}",
     "{\"n\":[\"a\",5]}", "n[1]: must be a string, not 5"},
    {"{\"properties\":{\"o\":{\"properties\":{\"p\":{\"items\":{\"properties\":{\"q\":{\"type\":\"null\"}}}}}}}}",
     "{\"o\":{\"p\":[{},{\"q\":0}]}}", "o.p[1].q: must be null, not 0"},
    /* lengths count characters, not bytes */
    {"{\"properties\":{\"s\":{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}}}", "{\"s\":\"\xc3\xa9\"}",
     "s: must be a string from 2 to 3 characters, not \"\xc3\xa9\""},
    {"{\"properties\":{\"s\":{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}}}",
     "{\"s\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"}", NULL},
    {"{\"properties\":{\"s\":{\"type\":\"string\",\"maxLength\":3}}}", "{\"s\":\"abcd\"}",
     "s: must be a string of at most 3 characters, not \"abcd\""},
};

static void test_check(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena *a = arena_new(ARENA_CEILING);
		json_t *schema = json_from(rows[i].schema), *value = json_from(rows[i].value);
		const char *why = "left alone";
		bool fits = schema_check(a, schema, value, &why);
		if (fits != !rows[i].why)
			fail_msg("%s with %s: %s", rows[i].schema, rows[i].value, fits ? "fits" : why);
		if (rows[i].why)
			assert_string_equal(why, rows[i].why);
		else
			assert_null(why);
		json_decref(schema);
		json_decref(value);
		arena_free(a);
	}
}

static void test_long_values_are_cut(void **state)
{
	struct arena *a = arena_new(ARENA_CEILING);
	struct buf text = buf_with_ceiling(OUT_CEILING);
	json_t *schema = json_from("{\"properties\":{\"s\":{\"type\":\"integer\"}}}");
	const char *why = NULL;
	(void)state;
	buf_adds(&text, "{\"s\":\"a");
	for (int i = 0; i < 5000; i++)
		buf_adds(&text, "\xc3\xa9");
	buf_adds(&text, "\"}");
	json_t *value = json_from(buf_text(&text));
	assert_false(schema_check(a, schema, value, &why));
	assert_true(strlen(why) < 150);
	assert_non_null(strstr(why, "\"..."));
	assert_null(strstr(why, "\xef\xbf\xbd")); /* no character was cut */
	json_decref(schema);
	json_decref(value);
	buf_free(&text);
	arena_free(a);
}

static const struct {
	const char *schema, *culprit;
} usable_cases[] = {
    {"{\"type\":\"object\"}", NULL},
    {"{\"type\":\"object\",\"additionalProperties\":false,\"$schema\":\"https://json-schema.org/draft/2020-12/"
     "schema\","
     "\"description\":\"d\"}",
     NULL},
    {"{\"type\":\"object\",\"$schema\":\"http://json-schema.org/draft-07/schema#\"}", "$schema"},
    {"{\"type\":\"object\",\"$schema\":5}", "$schema"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":[\"string\",\"null\"],\"default\":\"\","
     "\"format\":\"date\"},\"b\":{\"items\":{\"enum\":[1]}},\"c\":true}}",
     NULL},
    {"{}", "type"},
    {"true", "type"},
    {"{\"type\":\"string\"}", "type"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"text\"}}}", "type"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":[]}}}", "type"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"pattern\":\"x\"}}}", "pattern"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#\"}}}", "$ref"},
    {"{\"type\":\"object\",\"properties\":{\"a\":5}}", "properties"},
    {"{\"type\":\"object\",\"properties\":[]}", "properties"},
    {"{\"type\":\"object\",\"allOf\":[]}", "allOf"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"items\":{\"oneOf\":[]}}}}", "oneOf"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"items\":[]}}}", "items"},
    {"{\"type\":\"object\",\"additionalProperties\":{\"not\":{}}}", "not"},
    {"{\"type\":\"object\",\"required\":\"a\"}", "required"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[]}}}", "enum"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"minimum\":\"1\"}}}", "minimum"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"maxLength\":-1}}}", "maxLength"},
    /* x-mcp-header */
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"x-mcp-header\":\"A\"},"
     "\"o\":{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"boolean\",\"x-mcp-header\":\"B\"}}}}}",
     NULL},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"x-mcp-header\":\"A\"},"
     "\"o\":{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"integer\",\"x-mcp-header\":\"a\"}}}}}",
     "x-mcp-header"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"x-mcp-header\":\"\"}}}", "x-mcp-header"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"x-mcp-header\":\"a b\"}}}", "x-mcp-header"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"x-mcp-header\":1}}}", "x-mcp-header"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"number\",\"x-mcp-header\":\"A\"}}}", "x-mcp-header"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"x-mcp-header\":\"A\"}}}", "x-mcp-header"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"items\":{\"type\":\"string\",\"x-mcp-header\":\"A\"}}}}",
     "x-mcp-header"},
    {"{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\",\"x-mcp-header\":\"A\"}}", "x-mcp-header"},
};

static void test_usable(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(usable_cases); i++) {
		json_t *schema = json_from(usable_cases[i].schema);
		const char *culprit = NULL;
		bool is_usable = schema_usable(schema, &culprit);
		if (is_usable != !usable_cases[i].culprit)
			fail_msg("%s: %s", usable_cases[i].schema, culprit ? culprit : "usable");
		if (culprit)
			assert_string_equal(culprit, usable_cases[i].culprit);
		json_decref(schema);
	}
}

static void test_integers(void **state)
{
	static const struct {
		const char *text;
		bool is;
		int64_t value;
	} cases[] = {
	    {"100", true, 100}, {"100.0", true, 100}, {"1e2", true, 100},  {"-3.0", true, -3},
	    {"1.5", false, 0},  {"1e300", false, 0},  {"\"1\"", false, 0}, {"null", false, 0},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		json_t *value = json_from(cases[i].text);
		int64_t got = 0;
		assert_int_equal(schema_integer(value, &got), cases[i].is);
		assert_int_equal(got, cases[i].value);
		json_decref(value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_check),
	    cmocka_unit_test(test_long_values_are_cut),
	    cmocka_unit_test(test_usable),
	    cmocka_unit_test(test_integers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
