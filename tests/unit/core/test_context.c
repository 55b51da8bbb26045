/* Copies of a context share nothing with what they were made from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "snowgate/context.h"

static struct context sample(void)
{
	struct context c = {.database = "D", .role = "R \"q\""};
	c.parameters = json_pack("{s:s}", "TIMEZONE", "UTC");
	return c;
}

static void assert_sample(const struct context *c)
{
	assert_string_equal(c->database, "D");
	assert_null(c->schema);
	assert_null(c->warehouse);
	assert_string_equal(c->role, "R \"q\"");
	assert_string_equal(json_text_of(c->parameters, "TIMEZONE"), "UTC");
}

static void test_copy(void **state)
{
	struct arena *a = arena_new(4096);
	struct context from = sample(), to;
	(void)state;
	assert_true(context_copy(a, &from, &to));
	assert_ptr_not_equal(to.database, from.database);
	json_object_set_new(from.parameters, "TIMEZONE", json_string("other"));
	assert_sample(&to);
	json_decref(from.parameters);
	from = (struct context){0};
	assert_true(context_copy(a, &from, &to));
	assert_null(to.database);
	assert_null(to.parameters);
	arena_free(a);
}

static void test_copy_into_a_full_arena(void **state)
{
	struct arena *a = arena_new(16);
	struct context from = sample(), to;
	(void)state;
	from.schema = "a name that is longer than what the arena may hold, which is sixteen bytes";
	assert_false(context_copy(a, &from, &to));
	json_decref(from.parameters);
	arena_free(a);
}

static void test_set(void **state)
{
	struct context from = sample(), to = {0};
	(void)state;
	context_set(&to, &from);
	json_decref(from.parameters);
	assert_sample(&to);
	struct context shares = to;
	context_set(&to, &shares); /* from its own texts */
	assert_sample(&to);
	context_set(&to, &(struct context){.schema = "S"});
	assert_null(to.database);
	assert_null(to.parameters);
	assert_string_equal(to.schema, "S");
	context_clear(&to);
	assert_null(to.schema);
	context_clear(&to);
}

static void test_json(void **state)
{
	struct context c = sample();
	json_t *got = context_json(&c),
	       *wanted = json_pack("{s:s,s:n,s:n,s:s}", "database", "D", "schema", "warehouse", "role", "R \"q\"");
	(void)state;
	assert_true(json_equal(got, wanted));
	json_decref(got);
	json_decref(wanted);
	json_decref(c.parameters);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_copy),
	    cmocka_unit_test(test_copy_into_a_full_arena),
	    cmocka_unit_test(test_set),
	    cmocka_unit_test(test_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
