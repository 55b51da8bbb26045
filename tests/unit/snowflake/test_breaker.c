/* The circuit breaker opens on an outage and on nothing less, lets one probe through, and comes back; the budget. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "../../../src/snowflake/breaker.h"

#define S USEC_PER_S

static const struct breaker_settings settings = {.failures = 20, .open_for = 5 * S};
static const int one, two; /* whose requests */
static const usec_t begin = 1000 * S;

static enum breaker_change fails(struct breaker *b, usec_t now)
{
	return breaker_ill(b, &one, settings, now);
}

/* Until it opens, a tenth of a second apart. */
static usec_t open_it(struct breaker *b)
{
	usec_t now = begin;

	while (fails(b, now) != BREAKER_OPENED)
		now += S / 10;
	assert_int_equal(b->state, BREAKER_OPEN);
	return now;
}

static void waits_about(const struct breaker *b, usec_t now, usec_t about)
{
	assert_in_range(breaker_wait(b, now), about * 9 / 10, about * 11 / 10);
	assert_int_equal(breaker_ask(b, now), BREAKER_REFUSE);
	assert_int_equal(breaker_ask(b, now + breaker_wait(b, now) - 1), BREAKER_REFUSE);
	assert_int_equal(breaker_ask(b, now + breaker_wait(b, now)), BREAKER_PROBE);
}

static void test_opens_on_a_row(void **state)
{
	struct breaker b = {0};
	usec_t now = open_it(&b);

	(void)state;
	assert_int_equal(now, begin + 19 * (S / 10));
	waits_about(&b, now, 5 * S);
}

/* All requests on one connection break at one instant: that is no outage. */
static void test_one_broken_connection(void **state)
{
	struct breaker b = {0};

	(void)state;
	for (int i = 0; i < 500; i++)
		assert_int_equal(fails(&b, begin), BREAKER_SAME);
	assert_int_equal(fails(&b, begin + S - 1), BREAKER_SAME);
	assert_int_equal(breaker_ask(&b, begin), BREAKER_PASS);
	assert_int_equal(fails(&b, begin + S), BREAKER_OPENED);
}

static void test_success_ends_the_row(void **state)
{
	struct breaker b = {0};

	(void)state;
	for (int i = 0; i < 200; i++)
		assert_int_equal(i % 3 == 2 ? breaker_well(&b, &one, begin + i * S / 10)
					    : fails(&b, begin + i * S / 10),
				 BREAKER_SAME);
}

/* Nine in ten fail, so that there is no long row. */
static void test_opens_on_a_rate(void **state)
{
	struct breaker b = {0};
	usec_t now = begin;
	int i = 0;

	(void)state;
	for (; b.state == BREAKER_CLOSED && i < 1000; i++, now += S / 10)
		(void)(i % 10 == 9 ? breaker_well(&b, &one, now) : fails(&b, now));
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_in_range(i, 20, 30);
}

/* The same number over a long time is no rate. */
static void test_slow_failures(void **state)
{
	struct breaker b = {0};

	(void)state;
	for (int i = 0; i < 200; i++)
		assert_int_equal(i % 10 == 9 ? breaker_well(&b, &one, begin + i * S) : fails(&b, begin + i * S),
				 BREAKER_SAME);
}

static void test_off(void **state)
{
	struct breaker b = {0};

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(breaker_ill(&b, &one, (struct breaker_settings){0, S}, begin + i * S), BREAKER_SAME);
}

static void test_one_probe(void **state)
{
	struct breaker b = {0};
	usec_t now = open_it(&b);

	(void)state;
	/* what was sent before changes nothing now */
	assert_int_equal(breaker_well(&b, &two, now), BREAKER_SAME);
	assert_int_equal(fails(&b, now), BREAKER_SAME);
	now += breaker_wait(&b, now);
	assert_int_equal(breaker_ask(&b, now), BREAKER_PROBE);
	breaker_probe(&b, &one, now);
	assert_int_equal(breaker_ask(&b, now + BREAKER_PROBE_LASTS - 1), BREAKER_REFUSE);
	assert_int_equal(breaker_wait(&b, now), S);
	assert_int_equal(breaker_well(&b, &two, now), BREAKER_SAME);
	assert_int_equal(breaker_ill(&b, &two, settings, now), BREAKER_SAME);
	assert_int_equal(breaker_well(&b, &one, now), BREAKER_CLOSES);
	assert_int_equal(breaker_ask(&b, now), BREAKER_PASS);
	assert_int_equal(breaker_wait(&b, now), 0);
	/* the past is forgotten */
	assert_int_equal(fails(&b, now + 2 * S), BREAKER_SAME);
}

static void test_probes_are_further_and_further_apart(void **state)
{
	static const usec_t times[] = {5 * S, 10 * S, 20 * S, 30 * S, 30 * S};
	struct breaker b = {0};
	usec_t now = open_it(&b);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		waits_about(&b, now, times[i]);
		now += breaker_wait(&b, now);
		breaker_probe(&b, &two, now);
		assert_int_equal(breaker_ill(&b, &two, settings, now), BREAKER_REOPENED);
	}
	now += breaker_wait(&b, now);
	breaker_probe(&b, &two, now);
	assert_int_equal(breaker_well(&b, &two, now), BREAKER_CLOSES);
	b = (struct breaker){0};
	waits_about(&b, open_it(&b), 5 * S);
}

/* One that takes its time makes room for another; its answer then counts no more. */
static void test_slow_probe(void **state)
{
	struct breaker b = {0};
	usec_t now = open_it(&b);

	(void)state;
	now += breaker_wait(&b, now);
	breaker_probe(&b, &one, now);
	now += BREAKER_PROBE_LASTS;
	assert_int_equal(breaker_ask(&b, now), BREAKER_PROBE);
	breaker_probe(&b, &two, now);
	assert_int_equal(breaker_ask(&b, now), BREAKER_REFUSE);
	breaker_forgo(&b, &one);
	assert_int_equal(breaker_well(&b, &one, now), BREAKER_SAME);
	assert_int_equal(breaker_ill(&b, &one, settings, now), BREAKER_SAME);
	assert_int_equal(breaker_well(&b, &two, now), BREAKER_CLOSES);
}

/* A probe that never went: the next one may go at once. */
static void test_forgone_probe(void **state)
{
	struct breaker b = {0};
	usec_t now = open_it(&b);

	(void)state;
	now += breaker_wait(&b, now);
	breaker_probe(&b, &one, now);
	breaker_forgo(&b, &two);
	assert_int_equal(breaker_ask(&b, now), BREAKER_REFUSE);
	breaker_forgo(&b, &one);
	assert_int_equal(breaker_ask(&b, now), BREAKER_PROBE);
}

static int spend_all(struct budget *b, usec_t now)
{
	int n = 0;

	while (budget_spend(b, now))
		n++;
	return n;
}

static void test_budget(void **state)
{
	struct budget b = {0};

	(void)state;
	assert_int_equal(spend_all(&b, begin), BUDGET_MOST);
	assert_int_equal(spend_all(&b, begin), 0);
	assert_int_equal(spend_all(&b, begin + S), BUDGET_PER_S);
	for (int i = 0; i < 100; i++)
		budget_fill(&b, 20, begin + S);
	assert_int_equal(spend_all(&b, begin + S), 20);
	budget_fill(&b, 0, begin + S);
	assert_int_equal(spend_all(&b, begin + S), 0);
	assert_int_equal(spend_all(&b, begin + 1000 * S), BUDGET_MOST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_opens_on_a_row),
	    cmocka_unit_test(test_one_broken_connection),
	    cmocka_unit_test(test_success_ends_the_row),
	    cmocka_unit_test(test_opens_on_a_rate),
	    cmocka_unit_test(test_slow_failures),
	    cmocka_unit_test(test_off),
	    cmocka_unit_test(test_one_probe),
	    cmocka_unit_test(test_probes_are_further_and_further_apart),
	    cmocka_unit_test(test_slow_probe),
	    cmocka_unit_test(test_forgone_probe),
	    cmocka_unit_test(test_budget),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
