/* A lane: first come first served for each principal, principals in turn, a cap that falls and grows. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "../../../src/snowflake/lane.h"

enum { MANY = 1000 };

static struct lane lane_of(size_t most)
{
	struct lane l = {0};

	lane_set_most(&l, most);
	return l;
}

static void enters(struct lane *l, struct place *p, uint64_t who, enum lane_verdict expected)
{
	assert_int_equal(lane_enter(l, p, who, LANE_LAST, MANY), expected);
}

static void test_room_and_line(void **state)
{
	struct lane l = lane_of(2);
	struct place p[5] = {0};

	(void)state;
	enters(&l, &p[0], 1, LANE_INSIDE);
	enters(&l, &p[1], 1, LANE_INSIDE);
	enters(&l, &p[2], 1, LANE_WAITS);
	enters(&l, &p[3], 1, LANE_WAITS);
	assert_int_equal(lane_position(&p[2]), 1);
	assert_int_equal(lane_position(&p[3]), 2);
	assert_int_equal(lane_position(&p[0]), 0);
	assert_null(lane_next(&l));
	lane_leave(&l, &p[0]);
	/* room does not let anybody overtake the line */
	enters(&l, &p[4], 2, LANE_WAITS);
	assert_ptr_equal(lane_next(&l), &p[2]);
	assert_null(lane_next(&l));
	assert_int_equal(lane_position(&p[3]), 1);
	for (size_t i = 0; i < 5; i++)
		lane_leave(&l, &p[i]);
	assert_int_equal(l.inside + l.waiting, 0);
	assert_null(lane_first(&l));
}

static void test_bounded(void **state)
{
	struct lane l = lane_of(1);
	struct place p[4] = {0};

	(void)state;
	enters(&l, &p[0], 1, LANE_INSIDE);
	assert_int_equal(lane_enter(&l, &p[1], 1, LANE_LAST, 1), LANE_WAITS);
	assert_int_equal(lane_enter(&l, &p[2], 2, LANE_LAST, 1), LANE_FULL);
	assert_int_equal(p[2].state, PLACE_NONE);
	/* a breaker's probe waits for nobody */
	assert_int_equal(lane_enter(&l, &p[3], 3, LANE_FORCED, 1), LANE_INSIDE);
	assert_int_equal(l.inside, 2);
}

/* One that has many in the line holds up nobody who has one. */
static void test_principals_take_turns(void **state)
{
	static const int expected[] = {0, 4, 5, 1, 6, 2, 3};
	struct lane l = lane_of(1);
	struct place inside = {0}, p[7] = {0};

	(void)state;
	enters(&l, &inside, 9, LANE_INSIDE);
	for (size_t i = 0; i < 4; i++)
		enters(&l, &p[i], 1, LANE_WAITS);
	enters(&l, &p[4], 2, LANE_WAITS);
	enters(&l, &p[5], 3, LANE_WAITS);
	enters(&l, &p[6], 2, LANE_WAITS);
	lane_leave(&l, &inside);
	for (size_t i = 0; i < 7; i++) {
		struct place *next = lane_next(&l);

		assert_ptr_equal(next, &p[expected[i]]);
		lane_leave(&l, next);
	}
}

/* Who was inside and comes back is first of its principal's, and takes no other's turn. */
static void test_comes_back_first(void **state)
{
	struct lane l = lane_of(1);
	struct place p[4] = {0};

	(void)state;
	enters(&l, &p[0], 1, LANE_INSIDE);
	enters(&l, &p[1], 2, LANE_WAITS);
	enters(&l, &p[2], 1, LANE_WAITS);
	assert_int_equal(lane_enter(&l, &p[3], 1, LANE_FIRST, MANY), LANE_WAITS);
	assert_int_equal(lane_position(&p[3]), 1);
	assert_int_equal(lane_position(&p[2]), 2);
	lane_leave(&l, &p[0]);
	assert_ptr_equal(lane_next(&l), &p[1]);
	lane_leave(&l, &p[1]);
	assert_ptr_equal(lane_next(&l), &p[3]);
	lane_leave(&l, &p[3]);
	assert_ptr_equal(lane_next(&l), &p[2]);
}

/* Half, once for what was sent before it fell and once a second; never below one; one more after as many successes. */
static void test_cap(void **state)
{
	struct lane l = lane_of(8);
	usec_t now = 100 * USEC_PER_S;

	(void)state;
	assert_true(lane_fall(&l, now - 1, now));
	assert_int_equal(l.cap, 4);
	assert_false(lane_fall(&l, now - 1, now + 5 * USEC_PER_S)); /* an answer to a request of before */
	assert_false(lane_fall(&l, now + 1, now + USEC_PER_S - 1));
	assert_int_equal(l.cap, 4);
	assert_true(lane_fall(&l, now + 1, now + USEC_PER_S));
	assert_true(lane_fall(&l, now + 2 * USEC_PER_S, now + 3 * USEC_PER_S));
	assert_int_equal(l.cap, 1);
	assert_false(lane_fall(&l, now + 8 * USEC_PER_S, now + 9 * USEC_PER_S));
	assert_int_equal(l.cap, 1);
	for (size_t cap = 1; cap < 8; cap++) {
		for (size_t i = 1; i < cap; i++)
			assert_false(lane_grow(&l));
		assert_true(lane_grow(&l));
		assert_int_equal(l.cap, cap + 1);
	}
	assert_false(lane_grow(&l));
	assert_int_equal(l.cap, 8);
}

static void test_setting_changes(void **state)
{
	struct lane l = lane_of(8);

	(void)state;
	lane_set_most(&l, 16);
	assert_int_equal(l.cap, 16);
	assert_true(lane_fall(&l, 1, 2));
	lane_set_most(&l, 20); /* a lowered one stays as it is */
	assert_int_equal(l.cap, 8);
	lane_set_most(&l, 4);
	assert_int_equal(l.cap, 4);
}

/* ---- random orders against a plain model ---- */

static uint64_t dice = 88172645463325252u;

static uint64_t chance(uint64_t n)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return dice % n;
}

enum { PLACES = 64, WHO = 5 };

static struct {
	struct place p[PLACES];
	uint64_t came[PLACES]; /* order of arrival in its principal's line */
	uint64_t clock, front;
} model;

static size_t count(int state)
{
	size_t n = 0;

	for (size_t i = 0; i < PLACES; i++)
		n += (int)model.p[i].state == state;
	return n;
}

/* Its principal's earliest. */
static void is_its_principals_next(const struct place *p)
{
	size_t at = (size_t)(p - model.p);

	for (size_t i = 0; i < PLACES; i++)
		if (i != at && model.p[i].state == PLACE_WAITS && model.p[i].who == p->who)
			assert_true(model.came[i] > model.came[at]);
}

static void random_enter(struct lane *l, struct place *p)
{
	size_t at = (size_t)(p - model.p), waiting = l->waiting, inside = l->inside;
	bool first = chance(4) == 0;
	enum lane_verdict v = lane_enter(l, p, 1 + chance(WHO), first ? LANE_FIRST : LANE_LAST, 40);

	model.came[at] = first ? model.front-- : model.clock++;
	if (v == LANE_INSIDE)
		assert_true(inside < l->cap && waiting == 0);
	else if (v == LANE_FULL)
		assert_int_equal(waiting, 40);
	else
		assert_true(inside >= l->cap || waiting > 0);
}

static void random_step(struct lane *l, usec_t now)
{
	struct place *p = &model.p[chance(PLACES)];

	switch (chance(6)) {
	case 0:
		(void)lane_fall(l, now, now + 1);
		break;
	case 1:
		(void)lane_grow(l);
		break;
	case 2:
		p = lane_next(l);
		if (p)
			is_its_principals_next(p);
		else
			assert_true(l->waiting == 0 || l->inside >= l->cap);
		break;
	default:
		if (p->state == PLACE_NONE)
			random_enter(l, p);
		else
			lane_leave(l, p);
	}
	assert_int_equal(l->inside, count(PLACE_INSIDE));
	assert_int_equal(l->waiting, count(PLACE_WAITS));
	assert_int_equal(lane_first(l) != NULL, l->waiting > 0);
	assert_true(l->cap >= 1 && l->cap <= l->most);
}

static void test_random(void **state)
{
	(void)state;
	for (int seed = 0; seed < 200; seed++) {
		struct lane l = lane_of(1 + chance(16));

		memset(&model, 0, sizeof model);
		model.clock = model.front = UINT64_MAX / 2;
		for (usec_t i = 1; i < 1000; i++)
			random_step(&l, i * USEC_PER_S);
		for (size_t i = 0; i < PLACES; i++)
			lane_leave(&l, &model.p[i]);
		assert_int_equal(l.inside + l.waiting, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_room_and_line),
	    cmocka_unit_test(test_bounded),
	    cmocka_unit_test(test_principals_take_turns),
	    cmocka_unit_test(test_comes_back_first),
	    cmocka_unit_test(test_cap),
	    cmocka_unit_test(test_setting_changes),
	    cmocka_unit_test(test_random),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
