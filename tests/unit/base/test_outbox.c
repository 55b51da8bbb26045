/* Outboxes: bytes come out as they went in, however they are cut, and nothing is kept of what was taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "snowgate/outbox.h"

static uint32_t random_state = 12345;

static size_t pick(size_t from, size_t to)
{
	random_state = random_state * 1664525u + 1013904223u;
	return from + (random_state >> 8) % (to - from + 1);
}

static void bytes_come_out_as_they_went_in(void **state)
{
	struct outbox o = {0};
	char in[64], out[512];
	uint8_t put = 0, taken = 0;
	size_t held = 0;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t n = pick(1, sizeof(in));

		for (size_t i = 0; i < n; i++)
			in[i] = (char)put++;
		outbox_put(&o, (struct slice){in, n});
		held += n;
		for (int takes = (int)pick(0, 2); takes > 0; takes--) {
			size_t max = pick(1, sizeof(out)), got = outbox_take(&o, out, max);

			assert_int_equal(got, held < max ? held : max);
			for (size_t i = 0; i < got; i++)
				assert_int_equal((uint8_t)out[i], taken++);
			held -= got;
			assert_in_range(o.n, held, held + sizeof(in) - 1); /* at most a part of one piece */
		}
	}
	outbox_free(&o);
	assert_int_equal(o.n, 0);
	assert_int_equal(outbox_take(&o, out, sizeof(out)), 0);
}

static void an_empty_outbox_holds_no_memory(void **state)
{
	struct outbox o = {0}, empty = {0};
	char out[8];

	(void)state;
	outbox_put(&o, SLICE("abc"));
	outbox_put(&o, SLICE("defgh"));
	assert_int_equal(outbox_take(&o, out, 8), 8);
	assert_memory_equal(out, "abcdefgh", 8);
	assert_memory_equal(&o, &empty, sizeof(o));
}

static void pieces_are_filled_in_place_and_taken_one_by_one(void **state)
{
	struct outbox o = {0}, empty = {0};

	(void)state;
	assert_int_equal(outbox_next(&o).n, 0);
	memcpy(outbox_add(&o, 3), "abc", 3);
	outbox_put(&o, SLICE("de"));
	assert_true(slice_is(outbox_next(&o), "abc"));
	outbox_skip(&o, 2);
	assert_true(slice_is(outbox_next(&o), "c"));
	assert_int_equal(o.n, 5); /* by whole pieces */
	outbox_skip(&o, 1);
	assert_true(slice_is(outbox_next(&o), "de"));
	assert_int_equal(o.n, 2);
	outbox_skip(&o, 2);
	assert_memory_equal(&o, &empty, sizeof(o));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bytes_come_out_as_they_went_in),
	    cmocka_unit_test(an_empty_outbox_holds_no_memory),
	    cmocka_unit_test(pieces_are_filled_in_place_and_taken_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
