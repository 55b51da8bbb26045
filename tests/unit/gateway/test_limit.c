/* The rate limit: a burst passes, then one request per interval, and the time to wait is exact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../../../src/gateway/limit.h"

#define START (1000 * USEC_PER_S)

/* Small numbers that are the same in every run. */
static uint32_t dice(uint32_t *state, uint32_t sides)
{
	*state = *state * 1664525u + 1013904223u;
	return (*state >> 8) % sides;
}

static void test_burst_passes(void **state)
{
	usec_t tat = 0;

	(void)state;
	for (int64_t i = 0; i < 60; i++) {
		struct limit_verdict v = limit_check(&tat, 600, 60, START);

		assert_true(v.passed);
		assert_int_equal(v.remaining, 59 - i);
		assert_int_equal(v.retry_after, 0);
	}
	assert_false(limit_check(&tat, 600, 60, START).passed);
}

/* One microsecond too early is too early; the time told is enough. */
static void test_retry_after_is_exact(void **state)
{
	static const struct {
		int64_t per_minute, burst;
	} rates[] = {{1, 1}, {60, 1}, {600, 60}, {7, 3}, {60000, 5}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
		usec_t tat = 0, now = START;
		struct limit_verdict v;

		while ((v = limit_check(&tat, rates[i].per_minute, rates[i].burst, now)).passed)
			now += 10;
		assert_true(v.retry_after > 0);
		assert_int_equal(v.remaining, 0);
		assert_false(limit_check(&tat, rates[i].per_minute, rates[i].burst, now + v.retry_after - 1).passed);
		assert_true(limit_check(&tat, rates[i].per_minute, rates[i].burst, now + v.retry_after).passed);
	}
}

static void test_refusal_costs_nothing(void **state)
{
	usec_t tat = 0, before;

	(void)state;
	while (limit_check(&tat, 60, 3, START).passed)
		;
	before = tat;
	for (int i = 0; i < 100; i++)
		assert_false(limit_check(&tat, 60, 3, START + i).passed);
	assert_int_equal(tat, before);
}

static void test_idle_refills_to_burst_and_no_further(void **state)
{
	usec_t tat = 0, later = START + 3600 * USEC_PER_S;
	int passed = 0;

	(void)state;
	while (limit_check(&tat, 60, 5, START).passed)
		;
	assert_int_equal(limit_remaining(tat, 60, 5, START), 0);
	assert_int_equal(limit_remaining(tat, 60, 5, START + USEC_PER_S), 1);
	assert_int_equal(limit_remaining(tat, 60, 5, later), 5);
	while (limit_check(&tat, 60, 5, later).passed)
		passed++;
	assert_int_equal(passed, 5);
}

/* remaining is a promise: so many pass now, and not one more. */
static void remaining_holds(usec_t tat, int64_t per_minute, int64_t burst, usec_t now)
{
	int64_t promised = limit_remaining(tat, per_minute, burst, now), passed = 0;

	while (limit_check(&tat, per_minute, burst, now).passed)
		passed++;
	assert_int_equal(passed, promised);
}

/* Over every window that begins with a passed request: never more than burst + rate * t. */
static void test_never_more_than_burst_and_rate(void **state)
{
	enum { REQUESTS = 400 };
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 30; round++) {
		int64_t per_minute = 1 + dice(&seed, 6000), burst = 1 + dice(&seed, 40);
		usec_t interval = 60 * USEC_PER_S / per_minute, tat = 0, now = START, when[REQUESTS];
		int64_t n = 0;

		for (int i = 0; i < REQUESTS; i++) {
			now += dice(&seed, 4) ? dice(&seed, (uint32_t)interval) / 8 : dice(&seed, 30000000);
			if (limit_check(&tat, per_minute, burst, now).passed)
				when[n++] = now;
			if (i % 37 == 0)
				remaining_holds(tat, per_minute, burst, now);
		}
		for (int64_t i = 0; i < n; i++)
			for (int64_t k = i; k < n; k++)
				assert_true(k - i + 1 <= burst + (when[k] - when[i]) / interval);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_burst_passes),
	    cmocka_unit_test(test_retry_after_is_exact),
	    cmocka_unit_test(test_refusal_costs_nothing),
	    cmocka_unit_test(test_idle_refills_to_burst_and_no_further),
	    cmocka_unit_test(test_never_more_than_burst_and_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
