/* Slices, integers, UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "snowgate/base.h"

static void slices_compare_bytes(void **state UNUSED)
{
	assert_true(slice_is(SLICE("abc"), "abc"));
	assert_false(slice_is(SLICE("abc"), "ab"));
	assert_false(slice_is(SLICE("ab"), "abc"));
	assert_false(slice_is(SLICE("ab\0c"), "ab"));
	assert_false(slice_is(slice_of(NULL), ""));
	assert_true(slice_is(slice_of(""), ""));
	assert_true(slice_is_nocase(SLICE("BeArEr"), "bearer"));
	assert_false(slice_is_nocase(SLICE("[earer"), "{earer")); /* only letters have cases */
	assert_false(slice_is_nocase(slice_of(NULL), ""));
}

static void trimming_takes_blanks_only(void **state UNUSED)
{
	assert_true(slice_is(slice_trim(SLICE(" \t a b\t ")), "a b"));
	assert_true(slice_is(slice_trim(SLICE("\na\r")), "\na\r"));
	assert_int_equal(slice_trim(SLICE(" \t ")).n, 0);
	assert_null(slice_trim(slice_of(NULL)).data);
}

static void integers_are_all_or_nothing(void **state UNUSED)
{
	static const struct {
		const char *text;
		bool ok;
		int64_t value;
	} cases[] = {
	    {"0", true, 0},     {"-5", true, -5},  {"007", true, 7},
	    {"100", true, 100}, {"101", false, 0}, {"-6", false, 0},
	    {"", false, 0},     {" 1", false, 0},  {"1 ", false, 0},
	    {"+1", false, 0},   {"--1", false, 0}, {"-", false, 0},
	    {"1e1", false, 0},  {"0x1", false, 0}, {"99999999999999999999", false, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t out = 12345;
		assert_int_equal(parse_int(cases[i].text, -5, 100, &out), cases[i].ok);
		assert_int_equal(out, cases[i].ok ? cases[i].value : 12345);
	}
	int64_t out = 0;
	assert_false(parse_int(NULL, 0, 1, &out));
	assert_true(parse_int("-9223372036854775808", INT64_MIN, INT64_MAX, &out));
	assert_true(out == INT64_MIN);
	assert_false(parse_int("9223372036854775808", INT64_MIN, INT64_MAX, &out));
}

static size_t encode_utf8(uint32_t code, char out[4])
{
	if (code < 0x80)
		return out[0] = (char)code, 1;
	size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	for (size_t i = n - 1; i > 0; i--, code >>= 6)
		out[i] = (char)(0x80 | (code & 0x3F));
	out[0] = (char)((n == 2 ? 0xC0 : n == 3 ? 0xE0 : 0xF0) | code);
	return n;
}

static void every_code_point_is_utf8_but_surrogates(void **state UNUSED)
{
	for (uint32_t code = 0; code <= 0x110000; code++) {
		char text[4] = {0};
		size_t n = encode_utf8(code, text);
		bool ok = code <= 0x10FFFF && !(code >= 0xD800 && code <= 0xDFFF);
		if (utf8_sequence(text, n) != (ok ? n : 0))
			fail_msg("U+%04X", code);
		if (n > 1 && utf8_sequence(text, n - 1) != 0)
			fail_msg("U+%04X cut short", code);
	}
}

static void malformed_utf8_is_refused(void **state UNUSED)
{
	static const char *const cases[] = {
	    "\x80",         "\xC0\x80",         "\xC1\xBF",         "\xE0\x80\x80",     "\xE0\x9F\xBF",
	    "\xED\xA0\x80", "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF",
	    "\xE2\x28\xA1", "\xF0\x9F\x98",     "abc\xC3"};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_false(utf8_valid(slice_of(cases[i])));
	assert_true(utf8_valid(SLICE("na\xC3\xAFve \xE2\x82\xAC \xF0\x9F\x98\x80")));
	assert_true(utf8_valid(slice_of("")));
	assert_int_equal(utf8_sequence("", 0), 0);
}

static void allocation_zeroes_and_copies(void **state UNUSED)
{
	char *memory = xalloc(100);
	for (int i = 0; i < 100; i++)
		assert_int_equal(memory[i], 0);
	char *same = TAKE(memory);
	assert_null(memory);
	free(same);
	char *copy = xstrndup("hello", 3);
	assert_string_equal(copy, "hel");
	free(copy);
	copy = xstrndup("hi", 10);
	assert_string_equal(copy, "hi");
	free(copy);
	free(xalloc(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(slices_compare_bytes),        cmocka_unit_test(trimming_takes_blanks_only),
	    cmocka_unit_test(integers_are_all_or_nothing), cmocka_unit_test(every_code_point_is_utf8_but_surrogates),
	    cmocka_unit_test(malformed_utf8_is_refused),   cmocka_unit_test(allocation_zeroes_and_copies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
