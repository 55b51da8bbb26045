/* Slots and waiting rooms: caps, order, fairness between accounts, and calls that leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../../src/gateway/queue.h"
#include "snowgate/metric.h"

enum { ACCOUNTS = 5, CALLS = 64 };

static struct limits limits = {.running = 2, .queued = 3};

static const struct limits *limits_of(const struct call *c)
{
	(void)c;
	return &limits;
}

static struct {
	struct account_table *table;
	struct account *accounts[ACCOUNTS];
	struct call calls[CALLS];
	struct queue q;
} t;

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	limits = (struct limits){.running = 2, .queued = 3};
	metric_reset();
	t.table = account_table_new(ACCOUNTS);
	for (int i = 0; i < ACCOUNTS; i++) {
		struct principal p = {.kind = PRINCIPAL_KEY};

		snprintf(p.subject, sizeof p.subject, "a%d", i);
		t.accounts[i] = account_of(t.table, &p, 0);
	}
	t.q.max_running = 4;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	account_table_free(t.table);
	return 0;
}

static enum admit admit(int account, int call)
{
	return queue_admit(&t.q, t.accounts[account], &t.calls[call], &limits);
}

static struct call *next(void)
{
	return queue_next(&t.q, limits_of);
}

static void test_caps(void **state)
{
	(void)state;
	assert_int_equal(admit(0, 0), ADMIT_RUN);
	assert_int_equal(admit(0, 1), ADMIT_RUN);
	for (int i = 2; i < 5; i++)
		assert_int_equal(admit(0, i), ADMIT_WAIT);
	assert_int_equal(admit(0, 5), ADMIT_ACCOUNT_FULL);
	/* its queue does not stand in another's way */
	assert_int_equal(admit(1, 6), ADMIT_RUN);
	assert_int_equal(admit(2, 7), ADMIT_RUN);
	/* all slots taken */
	assert_int_equal(admit(3, 8), ADMIT_WAIT);
	assert_null(next());
	assert_int_equal(t.q.running, 4);
	assert_int_equal(t.q.waiting, 4);
	assert_int_equal(metric_value(METRIC_slots_used, NULL), 4);
	assert_int_equal(metric_value(METRIC_queue_depth, NULL), 4);
}

static void test_no_room_for_waiting(void **state)
{
	(void)state;
	limits = (struct limits){.running = 1, .queued = 0};
	assert_int_equal(admit(0, 0), ADMIT_RUN);
	assert_int_equal(admit(0, 1), ADMIT_ACCOUNT_FULL);
	queue_done(&t.q, t.accounts[0]);
	assert_int_equal(admit(0, 1), ADMIT_RUN);
}

static void test_room_of_all(void **state)
{
	static struct call many[QUEUE_MAX_WAITING + 2];

	(void)state;
	t.q.max_running = 0;
	limits = (struct limits){.running = 1, .queued = 2 * QUEUE_MAX_WAITING};
	for (int i = 0; i < QUEUE_MAX_WAITING; i++)
		assert_int_equal(queue_admit(&t.q, t.accounts[i % ACCOUNTS], &many[i], &limits), ADMIT_WAIT);
	assert_int_equal(queue_admit(&t.q, t.accounts[0], &many[QUEUE_MAX_WAITING], &limits), ADMIT_QUEUE_FULL);
	assert_int_equal(t.q.waiting, QUEUE_MAX_WAITING);
}

static void test_first_come_first_served(void **state)
{
	(void)state;
	limits.running = 1;
	assert_int_equal(admit(0, 0), ADMIT_RUN);
	for (int i = 1; i < 4; i++)
		assert_int_equal(admit(0, i), ADMIT_WAIT);
	for (int i = 1; i < 4; i++) {
		assert_null(next());
		queue_done(&t.q, t.accounts[0]);
		/* a newcomer does not overtake those who wait, though a slot is free */
		if (i < 3)
			assert_int_equal(admit(0, 10 + i), i == 1 ? ADMIT_ACCOUNT_FULL : ADMIT_WAIT);
		assert_ptr_equal(next(), &t.calls[i]);
	}
}

/* Between any two accounts that wait, slots given differ by one at most. */
static void test_round_is_fair(void **state)
{
	int given[3] = {0};

	(void)state;
	t.q.max_running = 0;
	limits = (struct limits){.running = 100, .queued = 20};
	for (int i = 0; i < 20; i++)
		assert_int_equal(admit(0, i), ADMIT_WAIT);
	for (int i = 20; i < 40; i++)
		assert_int_equal(admit(1 + i % 2, i), ADMIT_WAIT);
	t.q.max_running = 1;
	for (int round = 0; round < 30; round++) {
		struct call *c = next();
		int at = (int)(c - t.calls), account = at < 20 ? 0 : 1 + at % 2;

		assert_non_null(c);
		given[account]++;
		for (int i = 0; i < 3; i++)
			for (int k = 0; k < 3; k++)
				assert_true(given[i] - given[k] <= 1);
		queue_done(&t.q, t.accounts[account]);
	}
	assert_int_equal(t.q.waiting, 10);
}

/* An account at its own cap is passed over, keeps its place, and does not stop the others. */
static void test_capped_account_is_passed_over(void **state)
{
	(void)state;
	limits.running = 1;
	t.q.max_running = 2;
	assert_int_equal(admit(0, 0), ADMIT_RUN);
	assert_int_equal(admit(0, 1), ADMIT_WAIT);
	assert_int_equal(admit(1, 2), ADMIT_RUN);
	assert_int_equal(admit(2, 3), ADMIT_WAIT);
	queue_done(&t.q, t.accounts[1]);
	assert_ptr_equal(next(), &t.calls[3]);
	assert_null(next());
	queue_done(&t.q, t.accounts[0]);
	assert_ptr_equal(next(), &t.calls[1]);
}

static void test_leaving(void **state)
{
	static const int orders[][3] = {{1, 2, 3}, {3, 2, 1}, {2, 1, 3}, {2, 3, 1}};

	(void)state;
	limits.running = 1;
	assert_int_equal(admit(0, 0), ADMIT_RUN);
	for (size_t o = 0; o < ARRAY_LEN(orders); o++) {
		for (int i = 1; i < 4; i++)
			assert_int_equal(admit(0, i), ADMIT_WAIT);
		for (int i = 0; i < 3; i++) {
			queue_leave(&t.q, t.accounts[0], &t.calls[orders[o][i]]);
			assert_int_equal(t.accounts[0]->waiting, 2 - i);
		}
		assert_null(t.q.turn);
		assert_null(t.accounts[0]->first);
	}
	/* the last one leaves, another comes behind the first */
	assert_int_equal(admit(0, 1), ADMIT_WAIT);
	assert_int_equal(admit(0, 2), ADMIT_WAIT);
	queue_leave(&t.q, t.accounts[0], &t.calls[2]);
	assert_int_equal(admit(0, 3), ADMIT_WAIT);
	queue_done(&t.q, t.accounts[0]);
	assert_ptr_equal(next(), &t.calls[1]);
	queue_done(&t.q, t.accounts[0]);
	assert_ptr_equal(next(), &t.calls[3]);
}

/* ---- any order of operations ---- */

enum place { NOWHERE, WAITING, RUNNING };
static struct {
	enum place place;
	int account;
} model[CALLS];

static uint32_t seed;

static uint32_t dice(uint32_t sides)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % sides;
}

static void check(void)
{
	int64_t running[ACCOUNTS] = {0}, waiting[ACCOUNTS] = {0}, all[3] = {0};

	for (int i = 0; i < CALLS; i++) {
		all[model[i].place]++;
		running[model[i].account] += model[i].place == RUNNING;
		waiting[model[i].account] += model[i].place == WAITING;
	}
	assert_int_equal(t.q.running, all[RUNNING]);
	assert_int_equal(t.q.waiting, all[WAITING]);
	assert_true(t.q.running <= t.q.max_running);
	for (int i = 0; i < ACCOUNTS; i++) {
		assert_int_equal(t.accounts[i]->running, running[i]);
		assert_int_equal(t.accounts[i]->waiting, waiting[i]);
		assert_true(running[i] <= limits.running && waiting[i] <= limits.queued);
		assert_int_equal(t.accounts[i]->turn_next != NULL, waiting[i] > 0);
	}
	assert_int_equal(metric_value(METRIC_slots_used, NULL), all[RUNNING]);
	assert_int_equal(metric_value(METRIC_queue_depth, NULL), all[WAITING]);
}

static void pass_on(void)
{
	struct call *c;

	while ((c = next())) {
		size_t at = (size_t)(c - t.calls);

		assert_int_equal(model[at].place, WAITING);
		model[at].place = RUNNING;
	}
	/* nobody waits who could run */
	for (int i = 0; i < ACCOUNTS; i++)
		assert_true(t.accounts[i]->waiting == 0 || t.accounts[i]->running == limits.running ||
			    t.q.running == t.q.max_running);
}

static void step(void)
{
	size_t at = dice(CALLS);
	struct account *a = t.accounts[model[at].account];

	switch (model[at].place) {
	case NOWHERE:
		model[at].account = (int)dice(ACCOUNTS);
		switch (admit(model[at].account, (int)at)) {
		case ADMIT_RUN:
			model[at].place = RUNNING;
			break;
		case ADMIT_WAIT:
			model[at].place = WAITING;
			break;
		case ADMIT_ACCOUNT_FULL:
		case ADMIT_QUEUE_FULL:
			break;
		}
		break;
	case WAITING:
		queue_leave(&t.q, a, &t.calls[at]);
		model[at].place = NOWHERE;
		break;
	case RUNNING:
		queue_done(&t.q, a);
		model[at].place = NOWHERE;
		pass_on();
		break;
	}
}

static void test_any_order(void **state)
{
	(void)state;
	for (seed = 1; seed < 20; seed++) {
		uint32_t start = seed;

		memset(model, 0, sizeof model);
		t.q.max_running = 1 + dice(8);
		limits = (struct limits){.running = 1 + dice(4), .queued = dice(6)};
		for (int i = 0; i < 2000; i++) {
			step();
			check();
		}
		for (size_t i = 0; i < CALLS; i++)
			while (model[i].place != NOWHERE) {
				if (model[i].place == RUNNING)
					queue_done(&t.q, t.accounts[model[i].account]);
				else
					queue_leave(&t.q, t.accounts[model[i].account], &t.calls[i]);
				model[i].place = NOWHERE;
			}
		assert_int_equal(t.q.running + t.q.waiting, 0);
		assert_null(t.q.turn);
		seed = start;
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_caps),          TEST(test_no_room_for_waiting),
	    TEST(test_room_of_all),   TEST(test_first_come_first_served),
	    TEST(test_round_is_fair), TEST(test_capped_account_is_passed_over),
	    TEST(test_leaving),       TEST(test_any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
