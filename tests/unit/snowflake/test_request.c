/* How long is waited before the next try, and how long a caller is tried for. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "../../../src/snowflake/internal.h"

#define MS USEC_PER_MS
#define S  USEC_PER_S

enum { TRIES = 2000 };

static struct job job_of(enum wire_op op, int status, int64_t retry_after_s)
{
	return (struct job){.request = {.op = op,
					.result = status ? WIRE_ANSWERED : WIRE_REFUSED,
					.status = status,
					.retry_after_s = retry_after_s}};
}

/* Decorrelated jitter: each within the first time and three times the one before, never above the cap. */
static void grows_within(struct job *j, usec_t first)
{
	usec_t last = first / 2, most = 0;

	for (int i = 0; i < TRIES; i++) {
		usec_t wait = request_backoff(j), limit = 3 * last > 16 * S ? 16 * S : 3 * last;

		assert_in_range(wait, first, limit);
		last = wait;
		most = wait > most ? wait : most;
	}
	assert_true(most > 14 * S);
}

static void test_jitter(void **state)
{
	struct job broken = job_of(WIRE_SUBMIT, 0, -1), busy = job_of(WIRE_SUBMIT, 429, -1),
		   unwell = job_of(WIRE_REST, 503, -1), poll = job_of(WIRE_POLL, 503, -1);

	(void)state;
	grows_within(&broken, 100 * MS);
	grows_within(&busy, S);
	grows_within(&unwell, S);
	grows_within(&poll, 100 * MS);
}

/* No two hundred clients come back at one instant. */
static void test_jitter_spreads(void **state)
{
	size_t buckets[5] = {0};

	(void)state;
	for (int i = 0; i < TRIES; i++) {
		struct job j = job_of(WIRE_SUBMIT, 0, -1);

		buckets[(request_backoff(&j) - 100 * MS) * 5 / (50 * MS + 1)]++;
	}
	for (size_t i = 0; i < ARRAY_LEN(buckets); i++)
		assert_in_range(buckets[i], TRIES / 5 / 2, TRIES / 5 * 2);
}

/* What Snowflake asks for counts where it is more than our own; of one that runs, up to a minute. */
static void test_retry_after(void **state)
{
	static const struct {
		int64_t asked;
		usec_t least, most;
	} table[] = {{-1, 100 * MS, 150 * MS},   {0, 100 * MS, 150 * MS}, {1, S, S},
		     {7, 7 * S, 7 * S},          {60, 60 * S, 60 * S},    {61, 60 * S, 60 * S},
		     {INT64_MAX, 60 * S, 60 * S}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct job j = job_of(WIRE_POLL, 503, table[i].asked);

		assert_in_range(request_backoff(&j), table[i].least, table[i].most);
	}
}

static void test_patience(void **state)
{
	static const struct {
		usec_t sent, deadline, began, expected;
		int64_t timeout_s;
		usec_t broke;
	} table[] = {
	    {1000 * S, 1040 * S, 0, 1040 * S, 300, 0},        /* the caller's */
	    {1000 * S, 1000 * S, 0, 1010 * S, 300, 0},        /* a few tries in any case */
	    {1000 * S, 1040 * S, 0, 1005 * S, 5, 0},          /* no longer than the statement may live */
	    {1000 * S, 0, 0, 1300 * S, 300, 0},               /* nobody's */
	    {1020 * S, 1012 * S, 1000 * S, 1012 * S, 300, 0}, /* what was waited for a lane counts */
	    {1000 * S, 1040 * S, 0, 1510 * S, 300, 1500 * S}, /* rows that broke off before a slow reader */
	};
	struct job j = {0};
	struct call c = {.plan = {{.kind = STATEMENT_RUN, .job = &j}}, .plan_n = 1};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		c.plan[0].sent = table[i].sent;
		c.plan[0].timeout_s = table[i].timeout_s;
		c.deadline = table[i].deadline;
		j.pooled.began = table[i].began;
		j.broke = table[i].broke;
		assert_int_equal(request_patience(&c), table[i].expected);
	}
}

/* The gateway's own statement that was given little time takes no longer than that, whatever a request may take. */
static void test_a_short_statement_holds_nothing_up(void **state)
{
	static const struct {
		bool metadata;
		int64_t timeout_s;
		usec_t passed, timeout, expected;
	} table[] = {
	    {true, 5, 0, 105 * S, 7 * S},     {true, 5, 2 * S, 60 * S, 5 * S},
	    {true, 5, 9 * S, 60 * S, S},      /* one request has a second in any case */
	    {true, 5, 0, 2 * S, 2 * S},       /* never longer */
	    {true, 300, 0, 105 * S, 105 * S}, /* not one that may live longer */
	    {false, 5, 0, 60 * S, 60 * S},    /* nor the client's */
	};
	struct conf conf = {.snowflake_request_timeout = 60 * S};
	struct request rq = {.conf = &conf};
	struct call c = {.request = &rq, .plan = {{.kind = STATEMENT_RUN}}, .plan_n = 1};

	(void)state;
	clock_set_virtual(1000 * S, 0);
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		c.plan[0].metadata = table[i].metadata;
		c.plan[0].timeout_s = table[i].timeout_s;
		c.plan[0].sent = clock_now() - table[i].passed;
		assert_int_equal(request_within(&c, table[i].timeout), table[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_jitter),
	    cmocka_unit_test(test_jitter_spreads),
	    cmocka_unit_test(test_retry_after),
	    cmocka_unit_test(test_patience),
	    cmocka_unit_test(test_a_short_statement_holds_nothing_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
