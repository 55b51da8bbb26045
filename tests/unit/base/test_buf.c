/* Buffers: ceilings, poison, transfer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "snowgate/buf.h"

static void grows_to_the_ceiling_and_not_beyond(void **state UNUSED)
{
	for (size_t ceiling = 0; ceiling < 600; ceiling += 7) {
		struct buf b = buf_with_ceiling(ceiling);
		for (size_t i = 0; i < ceiling; i++)
			assert_true(buf_addc(&b, 'x'));
		assert_int_equal(b.n, ceiling);
		assert_true(b.capacity <= ceiling + 1);
		assert_int_equal(strlen(buf_text(&b)), ceiling);
		assert_true(buf_add(&b, "", 0));
		assert_false(buf_addc(&b, 'y'));
		assert_true(buf_failed(&b));
		buf_free(&b);
	}
}

static void failure_poisons(void **state UNUSED)
{
	struct buf b = buf_with_ceiling(4);
	assert_true(buf_adds(&b, "abc"));
	assert_false(buf_adds(&b, "de"));
	assert_string_equal(buf_text(&b), "");
	assert_null(b.data);
	assert_false(buf_addc(&b, 'a'));
	assert_false(buf_addf(&b, "%d", 1));
	assert_null(buf_take(&b, NULL));
	assert_true(buf_failed(&b));
	buf_clear(&b);
	assert_false(buf_failed(&b));
	assert_true(buf_adds(&b, "abcd"));
	assert_string_equal(buf_text(&b), "abcd");
	buf_free(&b);
}

static void formats_across_growth(void **state UNUSED)
{
	char expected[400];
	memset(expected, 'z', sizeof(expected) - 1);
	expected[sizeof(expected) - 1] = '\0';
	struct buf b = buf_with_ceiling(1000);
	assert_true(buf_addf(&b, "%s", "")); /* nothing is something */
	assert_true(buf_addf(&b, "%d-%s", 42, expected));
	assert_memory_equal(buf_text(&b), "42-zzz", 6);
	assert_int_equal(b.n, 402);
	assert_true(buf_addf(&b, "%s", expected));
	assert_int_equal(strlen(buf_text(&b)), 801);
	assert_false(buf_addf(&b, "%s", expected));
	assert_true(buf_failed(&b));
	buf_free(&b);

	struct buf exact = buf_with_ceiling(5);
	assert_true(buf_addf(&exact, "%05d", 7));
	assert_string_equal(buf_text(&exact), "00007");
	buf_free(&exact);
}

static void an_enormous_append_does_not_wrap(void **state UNUSED)
{
	struct buf b = buf_with_ceiling(SIZE_MAX - 1);
	assert_true(buf_addc(&b, 'a'));
	b.ceiling = 100;
	assert_false(buf_add(&b, "x", SIZE_MAX));
	buf_free(&b);
}

static void taking_leaves_an_empty_buffer(void **state UNUSED)
{
	struct buf b = buf_with_ceiling(10);
	size_t n = 99;
	assert_null(buf_take(&b, &n));
	assert_int_equal(n, 0);
	assert_true(buf_add(&b, "a\0b", 3));
	char *data = buf_take(&b, &n);
	assert_int_equal(n, 3);
	assert_memory_equal(data, "a\0b", 4);
	free(data);
	assert_int_equal(buf_slice(&b).n, 0);
	assert_true(buf_adds(&b, "0123456789"));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(grows_to_the_ceiling_and_not_beyond),
	    cmocka_unit_test(failure_poisons),
	    cmocka_unit_test(formats_across_growth),
	    cmocka_unit_test(an_enormous_append_does_not_wrap),
	    cmocka_unit_test(taking_leaves_an_empty_buffer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
