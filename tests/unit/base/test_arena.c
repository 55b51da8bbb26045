/* Arenas: ceiling, alignment, destructors, red zone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "snowgate/arena.h"

static void memory_is_zeroed_aligned_and_apart(void **state UNUSED)
{
	struct arena *a = arena_new(1 << 20);
	unsigned char *seen[500];
	size_t sizes[500], seed = 1;
	for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
		seed = seed * 1103515245 + 12345;
		sizes[i] = seed % (i % 50 == 0 ? 9000 : 300);
		seen[i] = arena_alloc(a, sizes[i]);
		assert_non_null(seen[i]);
		assert_int_equal((uintptr_t)seen[i] % _Alignof(max_align_t), 0);
		for (size_t k = 0; k < sizes[i]; k++)
			assert_int_equal(seen[i][k], 0);
		memset(seen[i], (int)(i % 251) + 1, sizes[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(seen); i++)
		for (size_t k = 0; k < sizes[i]; k++)
			assert_int_equal(seen[i][k], (int)(i % 251) + 1);
	arena_check(a);
	arena_free(a);
	arena_free(NULL);
}

static void the_ceiling_holds(void **state UNUSED)
{
	struct arena *a = arena_new(1024);
	assert_null(arena_alloc(a, 1025));
	assert_null(arena_alloc(a, SIZE_MAX));
	assert_null(arena_alloc(a, SIZE_MAX - 7));
	size_t n = 0;
	while (arena_alloc(a, 16))
		n++;
	assert_int_equal(n, 64);
	assert_int_equal(arena_used(a), 1024);
	assert_null(arena_strdup(a, "x"));
	assert_null(arena_printf(a, "%d", 1));
	arena_free(a);

	a = arena_new(0);
	assert_null(arena_alloc(a, 0));
	arena_free(a);
}

static void texts_are_copied(void **state UNUSED)
{
	struct arena *a = arena_new(100000);
	char source[] = "SELECT 1";
	char *copy = arena_strdup(a, source);
	source[0] = 'X';
	assert_string_equal(copy, "SELECT 1");
	assert_string_equal(arena_strndup(a, "abcdef", 3), "abc");
	assert_string_equal(arena_strndup(a, "ab", 30), "ab");
	assert_null(arena_strdup(a, NULL));
	assert_null(arena_strndup(a, NULL, 3));
	assert_string_equal(arena_printf(a, "%s=%d", "limit", 100), "limit=100");
	arena_free(a);
}

static char order[8];

static void note(void *object)
{
	strncat(order, object, 1);
}

static void the_attached_dies_last_first(void **state UNUSED)
{
	struct arena *a = arena_new(1000);
	order[0] = '\0';
	assert_true(arena_attach(a, "1", note));
	assert_true(arena_attach(a, "2", note));
	assert_true(arena_attach(a, "3", note));
	arena_free(a);
	assert_string_equal(order, "321");

	a = arena_new(8);
	order[0] = '\0';
	assert_false(arena_attach(a, "x", note));
	assert_string_equal(order, "x"); /* destroyed at once, and only once */
	arena_free(a);
	assert_string_equal(order, "x");
}

/* The block that holds one large object ends where the object does; so the next byte is in the red zone. */
static void a_write_behind_the_block_is_noticed(void **state UNUSED)
{
	pid_t child = fork();
	if (child == 0) {
		(void)close(STDERR_FILENO);
		struct arena *a = arena_new(100000);
		volatile char *memory = arena_alloc(a, 8192);
		memory[8192] = 'x';
		arena_free(a);
		_exit(0);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(memory_is_zeroed_aligned_and_apart),
	    cmocka_unit_test(the_ceiling_holds),
	    cmocka_unit_test(texts_are_copied),
	    cmocka_unit_test(the_attached_dies_last_first),
	    cmocka_unit_test(a_write_behind_the_block_is_noticed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
