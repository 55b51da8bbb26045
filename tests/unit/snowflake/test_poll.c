/* The schedule of polls: quick at first, then half as long again each time, to five seconds. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "snowgate/snowflake.h"

static void test_schedule(void **state)
{
	static const int64_t expected[] = {0, 20, 50, 100, 200, 400, 600, 900, 1350, 2025, 3037, 4555, 5000, 5000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(expected); i++)
		assert_int_equal(poll_delay_ms((int)i), expected[i]);
	assert_int_equal(poll_delay_ms(100000), 5000);
	assert_int_equal(poll_delay_ms(-1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_schedule)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
