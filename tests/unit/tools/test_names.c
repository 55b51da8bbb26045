/* The memory of names: bounds hold whatever is put, old lists are forgotten, the least recently used gives way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../../src/tools/names.h"

static struct slice key_of(unsigned i)
{
	static char text[16];

	snprintf(text, sizeof text, "key %u", i);
	return slice_of(text);
}

static const struct names_list *put_one(struct names *n, unsigned i, const char *name, usec_t now)
{
	return names_put(n, key_of(i), &name, 1, true, now);
}

static void test_what_was_put_is_found(void **state)
{
	static const char *const v[] = {"A", "", "a longer name", "\xc3\xbc"};
	struct names *n = names_new(4, 4096);
	const struct names_list *list;
	const char *at;

	(void)state;
	assert_null(names_find(n, key_of(1), 0));
	assert_non_null(names_put(n, key_of(1), v, ARRAY_LEN(v), true, 0));
	list = names_find(n, key_of(1), 0);
	assert_int_equal(list->n, ARRAY_LEN(v));
	assert_true(list->whole);
	at = list->text;
	for (size_t i = 0; i < list->n; i++, at += strlen(at) + 1)
		assert_string_equal(at, v[i]);
	assert_null(names_find(n, key_of(2), 0));
	assert_null(names_find(n, SLICE("key"), 0)); /* a part of a key is another key */
	names_free(n);
}

static void test_empty_lists_are_lists(void **state)
{
	struct names *n = names_new(4, 4096);

	(void)state;
	assert_non_null(names_put(n, key_of(1), NULL, 0, true, 0));
	assert_int_equal(names_find(n, key_of(1), 0)->n, 0);
	names_free(n);
}

static void test_a_list_replaces_its_own(void **state)
{
	struct names *n = names_new(4, 4096);

	(void)state;
	put_one(n, 1, "OLD", 0);
	put_one(n, 1, "NEW", 10);
	assert_int_equal(names_count(n), 1);
	assert_string_equal(names_find(n, key_of(1), 10)->text, "NEW");
	/* and is as new as its last put */
	assert_non_null(names_find(n, key_of(1), NAMES_TTL + 9));
	assert_null(names_find(n, key_of(1), NAMES_TTL + 10));
	names_free(n);
}

static void test_old_lists_are_forgotten(void **state)
{
	struct names *n = names_new(4, 4096);

	(void)state;
	put_one(n, 1, "A", 1000);
	assert_non_null(names_find(n, key_of(1), 1000 + NAMES_TTL - 1)); /* use does not make it newer */
	assert_null(names_find(n, key_of(1), 1000 + NAMES_TTL));
	assert_int_equal(names_count(n), 0);
	assert_int_equal(names_bytes(n), 0);
	names_free(n);
}

static void test_least_recently_used_gives_way(void **state)
{
	struct names *n = names_new(3, 1 << 20);

	(void)state;
	for (unsigned i = 1; i <= 3; i++)
		put_one(n, i, "A", 0);
	assert_non_null(names_find(n, key_of(1), 0));
	put_one(n, 4, "A", 0);
	assert_int_equal(names_count(n), 3);
	assert_null(names_find(n, key_of(2), 0));
	assert_non_null(names_find(n, key_of(1), 0));
	assert_non_null(names_find(n, key_of(3), 0));
	assert_non_null(names_find(n, key_of(4), 0));
	names_free(n);
}

static void test_bytes_are_bounded(void **state)
{
	struct names *n = names_new(1000, 8192);
	char name[300];

	(void)state;
	for (unsigned i = 0; i < 500; i++) {
		size_t letters = i * 37 % 255 + 1;

		memset(name, 'X', letters);
		name[letters] = '\0';
		assert_non_null(put_one(n, i, name, 0));
		assert_true(names_bytes(n) <= 8192);
		assert_true(names_count(n) >= 1);
		assert_string_equal(names_find(n, key_of(i), 0)->text, name);
	}
	names_free(n);
}

/* A list that is too large alone is not kept, what it should have replaced is gone, and nobody else suffers. */
static void test_too_large(void **state)
{
	struct names *n = names_new(10, 1024);
	static char name[2000];

	(void)state;
	memset(name, 'X', sizeof name - 1);
	put_one(n, 1, "A", 0);
	put_one(n, 2, "B", 0);
	assert_null(put_one(n, 2, name, 0));
	assert_null(names_find(n, key_of(2), 0));
	assert_non_null(names_find(n, key_of(1), 0));
	names_free(n);
}

static void test_names_of_a_list_are_bounded(void **state)
{
	static const char *v[NAMES_MAX + 5];
	struct names *n = names_new(10, 1 << 20);
	const struct names_list *list;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		v[i] = "N";
	list = names_put(n, key_of(1), v, ARRAY_LEN(v), true, 0);
	assert_int_equal(list->n, NAMES_MAX);
	assert_false(list->whole);
	list = names_put(n, key_of(1), v, NAMES_MAX, true, 0);
	assert_true(list->whole);
	list = names_put(n, key_of(1), v, NAMES_MAX, false, 0);
	assert_false(list->whole);
	names_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_was_put_is_found),
	    cmocka_unit_test(test_empty_lists_are_lists),
	    cmocka_unit_test(test_a_list_replaces_its_own),
	    cmocka_unit_test(test_old_lists_are_forgotten),
	    cmocka_unit_test(test_least_recently_used_gives_way),
	    cmocka_unit_test(test_bytes_are_bounded),
	    cmocka_unit_test(test_too_large),
	    cmocka_unit_test(test_names_of_a_list_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
