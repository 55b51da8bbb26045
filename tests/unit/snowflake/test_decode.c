/* Results as the SQL API sends them: metadata, partitions against the window, both shapes of further partitions. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "snowgate/snowflake.h"

#define ROW_TYPE "\"rowType\":[{\"name\":\"ID\",\"type\":\"fixed\",\"precision\":38,\"scale\":0,\"nullable\":false}]"
#define THREE_PARTITIONS                                                                                               \
	"{\"resultSetMetaData\":{\"numRows\":6,\"format\":\"jsonv2\",\"partitionInfo\":[{\"rowCount\":2},"             \
	"{\"rowCount\":3},{\"rowCount\":1}]," ROW_TYPE "},\"data\":[[\"1\"],[\"2\"]],"                                 \
	"\"statementHandle\":\"01b0-1\",\"code\":\"090001\"}"

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(1 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

static int decode(struct statement *s, int partition, const char *text)
{
	int err;

	s->raw = buf_with_ceiling(1 << 20);
	s->raw_partition = partition;
	buf_adds(&s->raw, text);
	err = statement_decode(arena, s);
	buf_free(&s->raw);
	return err;
}

static void test_single(void **state)
{
	struct statement s = {.rows = 10};

	(void)state;
	assert_int_equal(decode(&s, 0,
				"{\"resultSetMetaData\":{\"numRows\":1,\"partitionInfo\":[{\"rowCount\":1}]," ROW_TYPE
				"},\"data\":[[\"7\"]],\"statementHandle\":\"01b0-7\",\"stats\":{\"numRowsInserted\":3,"
				"\"numRowsDeleted\":2}}"),
			 ERR_OK);
	assert_int_equal(s.columns_n, 1);
	assert_string_equal(s.columns[0].name, "ID");
	assert_string_equal(s.handle, "01b0-7");
	assert_int_equal(s.total_rows, 1);
	assert_int_equal(s.pages_n, 1);
	assert_string_equal(json_string_value(json_array_get(json_array_get(s.pages[0].rows, 0), 0)), "7");
	assert_int_equal(s.next_partition, s.partitions_n);
	assert_true(s.has_stats);
	assert_int_equal(s.inserted, 3);
	assert_int_equal(s.updated, 0);
	assert_int_equal(s.deleted, 2);
}

static void test_windows(void **state)
{
	/* after partition 0: pages kept, and the next partition wanted (3: none) */
	static const struct {
		size_t offset, rows, pages, next;
	} table[] = {
	    {0, 1, 1, 3}, {0, 2, 1, 3}, {0, 3, 1, 1}, {1, 2, 1, 1},        {2, 1, 0, 1},
	    {5, 1, 0, 2}, {6, 9, 0, 3}, {0, 0, 0, 3}, {1, SIZE_MAX, 1, 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct statement s = {.offset = table[i].offset, .rows = table[i].rows};
		assert_int_equal(decode(&s, 0, THREE_PARTITIONS), ERR_OK);
		assert_int_equal(s.total_rows, 6);
		assert_int_equal(s.pages_n, table[i].pages);
		assert_int_equal(s.next_partition, table[i].next);
	}
}

/* An object with `data`, and the bare array. */
static void test_further_partitions(void **state)
{
	struct statement s = {.rows = 6};

	(void)state;
	assert_int_equal(decode(&s, 0, THREE_PARTITIONS), ERR_OK);
	assert_int_equal(decode(&s, 1, "{\"data\":[[\"3\"],[\"4\"],[\"5\"]]}"), ERR_OK);
	assert_int_equal(s.next_partition, 2);
	assert_int_equal(decode(&s, 2, "[[\"6\"]]"), ERR_OK);
	assert_int_equal(s.next_partition, 3);
	assert_int_equal(s.pages_n, 3);
	assert_int_equal(s.pages[1].first, 2);
	assert_int_equal(s.pages[2].first, 5);
}

static void test_byte_budget(void **state)
{
	struct statement s = {.rows = 6, .bytes = 10}, far = {.offset = 2, .rows = 4, .bytes = 10};

	(void)state;
	assert_int_equal(decode(&s, 0, THREE_PARTITIONS), ERR_OK);
	assert_int_equal(s.next_partition, 3);
	/* partition 0 is outside of this window: its bytes do not count */
	assert_int_equal(decode(&far, 0, THREE_PARTITIONS), ERR_OK);
	assert_int_equal(far.next_partition, 1);
	assert_int_equal(far.raw_bytes, 0);
}

static void test_rubbish(void **state)
{
	static const char *const table[] = {
	    "",
	    "<html></html>",
	    "{}",
	    "{\"data\":{}}",
	    "{\"data\":[]}",
	    "[[\"1\"]",
	    "{\"data\":[[\"1\"]]",
	    "{\"resultSetMetaData\":{\"numRows\":6,\"partitionInfo\":[{\"rowCount\":2},{\"rowCount\":-1}]," ROW_TYPE
	    "},\"data\":[[\"1\"],[\"2\"]]}",
	    /* the data are not as many as announced */
	    "{\"resultSetMetaData\":{\"numRows\":6,\"partitionInfo\":[{\"rowCount\":5},{\"rowCount\":1}]," ROW_TYPE
	    "},\"data\":[[\"1\"],[\"2\"]]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct statement s = {.rows = 6};
		assert_int_equal(decode(&s, 0, table[i]), ERR_UPSTREAM_ANSWER);
	}
	struct statement s = {.rows = 6};
	assert_int_equal(decode(&s, 0, THREE_PARTITIONS), ERR_OK);
	assert_int_equal(decode(&s, 1, "{\"data\":[[\"3\"]]}"), ERR_UPSTREAM_ANSWER);
	assert_int_equal(decode(&s, 9, "{\"data\":[]}"), ERR_UPSTREAM_ANSWER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_single, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_windows, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_further_partitions, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_byte_budget, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_rubbish, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
