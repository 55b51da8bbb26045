/* Timers under the virtual clock; RFC 3339 texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "snowgate/wheel.h"

struct event {
	struct timer timer;
	usec_t wanted; /* when it should fire, as the model has it; 0: never */
	int number;
};

static struct event *fired[4096];
static size_t fired_n;

static void fire(struct timer *t)
{
	assert_false(timer_pending(t));
	assert_int_equal(t->when, 0);
	fired[fired_n++] = container_of(t, struct event, timer);
}

static void fires_in_order_of_time_then_of_arming(void **state UNUSED)
{
	struct wheel *w = wheel_new();
	static const usec_t whens[] = {5000, 1, 999, 5000, 700000000, 1000, 4096000, 64000, 63999, 5000};
	static const int expected[] = {1, 2, 5, 0, 3, 9, 8, 7, 6, 4};
	struct event events[ARRAY_LEN(whens)];
	fired_n = 0;
	for (size_t i = 0; i < ARRAY_LEN(whens); i++) {
		events[i] = (struct event){.timer.fire = fire, .number = (int)i};
		timer_set(w, &events[i].timer, whens[i]);
		assert_true(timer_pending(&events[i].timer));
	}
	assert_int_equal(wheel_next(w), 1);
	assert_int_equal(wheel_run(w, 1000000000), ARRAY_LEN(whens));
	for (size_t i = 0; i < ARRAY_LEN(expected); i++)
		assert_int_equal(fired[i]->number, expected[i]);
	assert_true(wheel_next(w) == INT64_MAX);
	wheel_free(w);
}

static void never_early_and_due_to_the_microsecond(void **state UNUSED)
{
	struct wheel *w = wheel_new();
	struct event e = {.timer.fire = fire};
	fired_n = 0;
	timer_set(w, &e.timer, 1500);
	assert_int_equal(wheel_run(w, 1499), 0);
	assert_int_equal(wheel_wait(w, 1499, 1000), 1);
	assert_int_equal(wheel_wait(w, 400, 1000), 2);
	assert_int_equal(wheel_wait(w, 400, 1), 1);
	assert_int_equal(wheel_wait(w, 1500, 1000), 0);
	assert_int_equal(wheel_run(w, 1500), 1);
	assert_int_equal(wheel_wait(w, 1500, 1000), 1000);
	assert_int_equal(wheel_wait(w, 1500, -1), -1);
	timer_set(w, &e.timer, 100 * USEC_PER_S);
	assert_int_equal(wheel_wait(w, 0, -1), 100000);
	timer_stop(&e.timer);
	timer_stop(&e.timer);
	assert_int_equal(wheel_run(w, 200 * USEC_PER_S), 0);
	wheel_free(w);
}

static struct wheel *again_in;

static void fire_again(struct timer *t)
{
	fired_n++;
	timer_set(again_in, t, 0);
}

static void what_is_armed_for_the_past_waits_for_the_next_run(void **state UNUSED)
{
	struct wheel *w = again_in = wheel_new();
	struct timer t = {.fire = fire_again};
	fired_n = 0;
	timer_set(w, &t, -5);
	for (size_t i = 1; i < 10; i++) {
		assert_int_equal(wheel_wait(w, 1000, 50), 0);
		assert_int_equal(wheel_run(w, 1000 * (usec_t)(i / 2)), 1);
		assert_int_equal(fired_n, i);
	}
	wheel_free(w);
	assert_false(timer_pending(&t));
}

static struct event *victim;

static void stop_victim(struct timer *t)
{
	fire(t);
	timer_stop(&victim->timer);
}

static void a_timer_may_stop_one_that_is_due_as_well(void **state UNUSED)
{
	struct wheel *w = wheel_new();
	struct event a = {.timer.fire = stop_victim}, b = {.timer.fire = fire}, c = {.timer.fire = fire};
	fired_n = 0;
	victim = &b;
	timer_set(w, &a.timer, 10);
	timer_set(w, &b.timer, 20);
	timer_set(w, &c.timer, 30);
	assert_int_equal(wheel_run(w, 100), 2);
	assert_ptr_equal(fired[0], &a);
	assert_ptr_equal(fired[1], &c);
	wheel_free(w);
}

static uint64_t seed = 42;

static uint64_t draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

static usec_t draw_delay(void)
{
	return (usec_t)(draw() % (UINT64_C(1) << (draw() % 45)));
}

static usec_t model_next(const struct event *events, size_t n)
{
	usec_t next = INT64_MAX;
	for (size_t i = 0; i < n; i++)
		if (events[i].wanted && events[i].wanted < next)
			next = events[i].wanted;
	return next;
}

/* Random arming, stopping and jumps of time, against a list without any structure. */
static void agrees_with_a_model(void **state UNUSED)
{
	enum { N = 200 };
	static struct event events[N];
	struct wheel *w = wheel_new();
	usec_t now = 1;
	for (size_t i = 0; i < N; i++)
		events[i] = (struct event){.timer.fire = fire, .number = (int)i};
	for (int round = 0; round < 5000; round++) {
		for (uint64_t k = draw() % 8; k; k--) {
			struct event *e = &events[draw() % N];
			if (draw() % 4 == 0) {
				timer_stop(&e->timer);
				e->wanted = 0;
			} else {
				e->wanted = now + draw_delay();
				timer_set(w, &e->timer, e->wanted);
			}
		}
		usec_t next = model_next(events, N);
		assert_true(wheel_next(w) == next);
		if (next == INT64_MAX)
			continue;
		now = draw() % 3 ? next : now + draw_delay() % 100000;
		fired_n = 0;
		size_t n = wheel_run(w, now);
		assert_int_equal(n, fired_n);
		usec_t last = 0;
		for (size_t i = 0; i < n; i++) {
			assert_true(fired[i]->wanted && fired[i]->wanted <= now && fired[i]->wanted >= last);
			last = fired[i]->wanted;
			fired[i]->wanted = 0;
		}
		assert_true(model_next(events, N) > now);
		next = model_next(events, N);
		int wait = wheel_wait(w, now, 100000);
		usec_t expected = next == INT64_MAX ? 100000 : (next - now + 999) / 1000;
		assert_int_equal(wait, expected > 100000 ? 100000 : expected);
	}
	wheel_free(w);
}

static void the_virtual_clock_stands_until_moved(void **state UNUSED)
{
	clock_set_virtual(5 * USEC_PER_S, 1700000000 * USEC_PER_S);
	assert_int_equal(clock_now(), 5 * USEC_PER_S);
	assert_int_equal(clock_wall(), 1700000000);
	clock_advance(1500000);
	assert_int_equal(clock_now(), 6500000);
	assert_true(clock_wall_usec() == 1700000001500000);
	assert_int_equal(clock_wall(), 1700000001);
}

static void times_have_texts(void **state UNUSED)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} cases[] = {
	    {0, "1970-01-01T00:00:00Z"},
	    {951782400, "2000-02-29T00:00:00Z"},
	    {951868799, "2000-02-29T23:59:59Z"},
	    {-1, "1969-12-31T23:59:59Z"},
	    {4107542399, "2100-02-28T23:59:59Z"},
	    {4107542400, "2100-03-01T00:00:00Z"},
	    {1764000000, "2025-11-24T16:00:00Z"},
	    {253402300799, "9999-12-31T23:59:59Z"},
	    {-62167219200, "0000-01-01T00:00:00Z"},
	};
	char text[CLOCK_TEXT_SIZE];
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		usec_t back = 0;
		clock_text(cases[i].seconds * USEC_PER_S, false, text);
		assert_string_equal(text, cases[i].text);
		assert_true(clock_parse(slice_of(text), &back) && back == cases[i].seconds * USEC_PER_S);
	}
	clock_text(INT64_MAX, true, text);
	assert_string_equal(text, "9999-12-31T23:59:59.999999Z");
	clock_text(INT64_MIN, true, text);
	assert_string_equal(text, "0000-01-01T00:00:00.000000Z");
	for (int i = 0; i < 20000; i++) {
		usec_t wall = (usec_t)(draw() % (UINT64_C(253402300800) * 1000000)), back = -1;
		clock_text(wall, true, text);
		assert_true(clock_parse(slice_of(text), &back));
		assert_true(back == wall);
	}
}

static void texts_are_read_strictly(void **state UNUSED)
{
	usec_t out = 77;
	assert_true(clock_parse(SLICE("1985-04-12T23:20:50.52Z"), &out) && out == 482196050520000);
	assert_true(clock_parse(SLICE("1996-12-19T16:39:57-08:00"), &out) && out == 851042397000000);
	assert_true(clock_parse(SLICE("1937-01-01t12:00:27.87+00:20"), &out) && out == -1041337172130000);
	assert_true(clock_parse(SLICE("1990-12-31T23:59:60Z"), &out) && out == 662688000000000);
	assert_true(clock_parse(SLICE("2024-01-01T00:00:00.1234567899z"), &out) && out == 1704067200123456);
	static const char *const bad[] = {"",
					  "2024-01-01",
					  "2024-01-01T00:00:00",
					  "2024-13-01T00:00:00Z",
					  "2023-02-29T00:00:00Z",
					  "2100-02-29T00:00:00Z",
					  "2024-00-10T00:00:00Z",
					  "2024-01-32T00:00:00Z",
					  "2024-01-01T24:00:00Z",
					  "2024-01-01T00:60:00Z",
					  "2024-01-01T00:00:61Z",
					  "2024-01-01T00:00:00.Z",
					  "2024-01-01 00:00:00Z",
					  "2024-01-01T00:00:00Z ",
					  "2024-01-01T00:00:00+24:00",
					  "2024-1-01T00:00:00Z",
					  "2024-01-01T00:00:00+0000"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		out = 77;
		assert_false(clock_parse(slice_of(bad[i]), &out));
		assert_int_equal(out, 77);
	}
	assert_false(clock_parse(slice_of(NULL), &out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fires_in_order_of_time_then_of_arming),
	    cmocka_unit_test(never_early_and_due_to_the_microsecond),
	    cmocka_unit_test(what_is_armed_for_the_past_waits_for_the_next_run),
	    cmocka_unit_test(a_timer_may_stop_one_that_is_due_as_well),
	    cmocka_unit_test(agrees_with_a_model),
	    cmocka_unit_test(the_virtual_clock_stands_until_moved),
	    cmocka_unit_test(times_have_texts),
	    cmocka_unit_test(texts_are_read_strictly),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
