/* Handles: generations, ceilings, visits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "snowgate/handle.h"

static void a_stale_handle_finds_nothing(void **state UNUSED)
{
	struct handle_table *t = handle_table_new(4);
	int object, other;
	handle_t first = handle_add(t, &object);
	assert_int_not_equal(first, 0);
	assert_ptr_equal(handle_get(t, first), &object);
	handle_drop(t, first);
	assert_null(handle_get(t, first));
	handle_drop(t, first);
	assert_int_equal(handle_count(t), 0);
	for (int i = 0; i < 100; i++) { /* the slot is used again and again */
		handle_t h = handle_add(t, &other);
		assert_int_not_equal(h, first);
		assert_null(handle_get(t, first));
		handle_drop(t, first);
		assert_ptr_equal(handle_get(t, h), &other);
		handle_drop(t, h);
	}
	assert_null(handle_get(t, 0));
	handle_drop(t, 0);
	assert_null(handle_get(t, UINT64_MAX));
	handle_table_free(t);
	handle_table_free(NULL);
}

static void a_full_table_says_so(void **state UNUSED)
{
	struct handle_table *t = handle_table_new(130);
	handle_t handles[130];
	int object;
	for (size_t i = 0; i < ARRAY_LEN(handles); i++) {
		handles[i] = handle_add(t, &object);
		assert_int_not_equal(handles[i], 0);
		for (size_t k = 0; k < i; k++)
			assert_true(handles[k] != handles[i]);
	}
	assert_int_equal(handle_add(t, &object), 0);
	assert_int_equal(handle_count(t), 130);
	handle_drop(t, handles[70]);
	assert_int_not_equal(handle_add(t, &object), 0);
	assert_int_equal(handle_add(t, &object), 0);
	handle_table_free(t);

	t = handle_table_new(0);
	assert_int_equal(handle_add(t, &object), 0);
	handle_table_free(t);
}

/* Against a plain model: random adds and drops. */
static void agrees_with_a_model(void **state UNUSED)
{
	struct handle_table *t = handle_table_new(200);
	handle_t live[200], dead[50] = {0};
	int objects[200];
	size_t n = 0, n_dead = 0, seed = 7;
	for (int round = 0; round < 20000; round++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		if (n < 200 && (n == 0 || seed >> 63)) {
			live[n] = handle_add(t, &objects[n]);
			assert_int_not_equal(live[n], 0);
			n++;
		} else {
			n--;
			dead[n_dead++ % 50] = live[n];
			handle_drop(t, live[n]);
		}
		assert_int_equal(handle_count(t), n);
		if (n)
			assert_ptr_equal(handle_get(t, live[seed % n]), &objects[seed % n]);
		assert_null(handle_get(t, dead[seed % 50]));
	}
	handle_table_free(t);
}

struct visit {
	struct handle_table *t;
	size_t n;
};

static void drop_even(handle_t h, void *object, void *ctx)
{
	struct visit *visit = ctx;
	assert_ptr_equal(handle_get(visit->t, h), object);
	if (*(int *)object % 2 == 0)
		handle_drop(visit->t, h);
	visit->n++;
}

static void a_visitor_may_drop_what_it_sees(void **state UNUSED)
{
	struct visit visit = {handle_table_new(100), 0};
	int objects[100];
	for (int i = 0; i < 100; i++) {
		objects[i] = i;
		assert_int_not_equal(handle_add(visit.t, &objects[i]), 0);
	}
	handle_each(visit.t, drop_even, &visit);
	assert_int_equal(visit.n, 100);
	assert_int_equal(handle_count(visit.t), 50);
	visit.n = 0;
	handle_each(visit.t, drop_even, &visit);
	assert_int_equal(visit.n, 50);
	handle_table_free(visit.t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_stale_handle_finds_nothing),
	    cmocka_unit_test(a_full_table_says_so),
	    cmocka_unit_test(agrees_with_a_model),
	    cmocka_unit_test(a_visitor_may_drop_what_it_sees),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
