/* Results as the SQL API sends them: metadata, partitions against the window, rows written or kept as they are read,
 * in slices of any size, compressed or not; what is broken is read again without telling a row twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <zlib.h>
#include <cmocka.h>

#include "snowgate/snowflake.h"

#define ROW_TYPE "\"rowType\":[{\"name\":\"ID\",\"type\":\"fixed\",\"precision\":38,\"scale\":0,\"nullable\":false}]"
#define THREE_PARTITIONS                                                                                               \
	"{\"resultSetMetaData\":{\"numRows\":6,\"format\":\"jsonv2\",\"partitionInfo\":[{\"rowCount\":2},"             \
	"{\"rowCount\":3},{\"rowCount\":1}]," ROW_TYPE "},\"data\":[[\"1\"],[\"2\"]],"                                 \
	"\"statementHandle\":\"01b0-1\",\"code\":\"090001\"}"
#define VISIT ((size_t)1 << 20)

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

/* A window of a client's. */
static struct statement window(size_t offset, size_t rows, size_t bytes)
{
	return (struct statement){
	    .offset = offset, .rows = rows, .budget = {SIZE_MAX, bytes, 2048}, .handle = "01b0-1"};
}

static int slice_decode(struct statement *s, const void *text, size_t n, bool last)
{
	buf_free(&s->raw);
	s->raw = buf_with_ceiling(4 << 20);
	s->raw_at = 0;
	s->raw_last = last;
	buf_add(&s->raw, text, n);
	return statement_decode(arena, s, VISIT);
}

static int decode(struct statement *s, int partition, const char *text)
{
	s->raw_partition = partition;
	s->raw_begins = true;
	return slice_decode(s, text, strlen(text), true);
}

static void over(struct statement *s)
{
	buf_free(&s->raw);
	buf_free(&s->text);
}

static void test_single(void **state)
{
	struct statement s = window(0, 10, 1000);

	(void)state;
	s.handle[0] = '\0';
	assert_int_equal(decode(&s, 0,
				"{\"resultSetMetaData\":{\"numRows\":1,\"partitionInfo\":[{\"rowCount\":1}]," ROW_TYPE
				"},\"data\":[[\"7\"]],\"statementHandle\":\"01b0-7\",\"stats\":{\"numRowsInserted\":3,"
				"\"numRowsDeleted\":2}}"),
			 ERR_OK);
	assert_int_equal(s.columns_n, 1);
	assert_string_equal(s.columns[0].name, "ID");
	assert_string_equal(s.handle, "01b0-7");
	assert_int_equal(s.total_rows, 1);
	assert_int_equal(s.rows_n, 1);
	assert_string_equal(buf_text(&s.text), "ID\n7\n");
	assert_int_equal(s.next_partition, s.partitions_n);
	assert_true(s.has_stats);
	assert_int_equal(s.inserted, 3);
	assert_int_equal(s.updated, 0);
	assert_int_equal(s.deleted, 2);
	over(&s);
}

/* With an output format dates are text already, for as long as the result is read. Nobody knows what a statement ran
 * with that is asked for by its handle. */
static void test_formatted(void **state)
{
	static const char text[] = "{\"resultSetMetaData\":{\"rowType\":[{\"name\":\"D\",\"type\":\"date\"}]},"
				   "\"data\":[[\"2020\"]],\"statementHandle\":\"01b0-7\"}";
	json_t *parameters = json_pack("{s:s}", "DATE_OUTPUT_FORMAT", "YYYY");
	struct statement s = window(0, 10, 1000);

	(void)state;
	s.context.parameters = parameters;
	assert_int_equal(decode(&s, 0, text), ERR_OK);
	assert_string_equal(buf_text(&s.text), "D\n2020\n");
	over(&s);
	s = window(0, 10, 1000);
	s.context.parameters = parameters;
	s.kind = STATEMENT_ATTACH;
	assert_int_equal(decode(&s, 0, text), ERR_OK);
	assert_string_equal(buf_text(&s.text), "D\n1975-07-14\n");
	over(&s);
	json_decref(parameters);
}

/* More rows than were announced are no answer: none is told in the place of the next partition's. */
static void test_surplus(void **state)
{
	struct statement s = window(0, 10, 1000);

	(void)state;
	assert_int_equal(
	    decode(
		&s, 0,
		"{\"resultSetMetaData\":{\"numRows\":3,\"partitionInfo\":[{\"rowCount\":2},{\"rowCount\":1}]," ROW_TYPE
		"},\"data\":[[\"1\"],[\"2\"],[\"9\"]]}"),
	    ERR_UPSTREAM_ANSWER);
	assert_int_equal(s.rows_n, 2);
	assert_int_equal(decode(&s, 1, "{\"data\":[[\"3\"],[\"9\"]]}"), ERR_UPSTREAM_ANSWER);
	assert_int_equal(s.rows_n, 3);
	assert_string_equal(buf_text(&s.text), "ID\n1\n2\n3\n");
	over(&s);
}

/* The count of the rows is what is there, whatever numRows says. */
static void test_count(void **state)
{
	struct statement s = window(0, 1, 1000);

	(void)state;
	assert_int_equal(
	    decode(&s, 0, "{\"resultSetMetaData\":{\"numRows\":9," ROW_TYPE "},\"data\":[[\"7\"],[\"8\"],[\"9\"]]}"),
	    ERR_OK);
	assert_int_equal(s.total_rows, 3);
	assert_int_equal(s.rows_n, 1);
	over(&s);
}

static void test_own(void **state)
{
	struct statement s = {.metadata = true, .rows = 10, .bytes = 1000, .handle = "x"};

	(void)state;
	assert_int_equal(
	    decode(&s, 0, "{\"resultSetMetaData\":{\"numRows\":2," ROW_TYPE "},\"data\":[[\"7\"],[null]]}"), ERR_OK);
	assert_int_equal(cells_rows(s.cells), 2);
	assert_string_equal(cells_at(s.cells, 0, 0).text, "7");
	assert_null(cells_at(s.cells, 1, 0).text);
	over(&s);
}

static void test_windows(void **state)
{
	/* after partition 0: rows there, and the next partition wanted (3: none) */
	static const struct {
		size_t offset, rows, got, next;
		enum fed fed;
	} table[] = {
	    {0, 1, 1, 0, FED_FULL}, {0, 2, 2, 3, FED_END}, {0, 3, 2, 1, FED_END}, {1, 2, 1, 1, FED_END},
	    {2, 1, 0, 1, FED_END},  {5, 1, 0, 2, FED_END}, {6, 9, 0, 3, FED_END}, {1, SIZE_MAX, 1, 1, FED_END},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct statement s = window(table[i].offset, table[i].rows, 1000);

		assert_int_equal(decode(&s, 0, THREE_PARTITIONS), ERR_OK);
		assert_int_equal(s.total_rows, 6);
		assert_int_equal(s.rows_n, table[i].got);
		assert_int_equal(s.fed, table[i].fed);
		if (s.fed == FED_END)
			assert_int_equal(s.next_partition, table[i].next);
		over(&s);
	}
}

/* A header line that does not fit into an answer is an error, not an answer without rows. */
static void test_wide(void **state)
{
	struct buf text = buf_with_ceiling(4 << 20);
	struct statement s = window(0, 6, 1000);

	(void)state;
	buf_adds(&text, "{\"resultSetMetaData\":{\"numRows\":1,\"rowType\":[");
	for (size_t i = 0; i < 2000; i++)
		buf_addf(&text, "%s{\"name\":\"%0200zu\",\"type\":\"text\"}", i ? "," : "", i);
	buf_adds(&text, "]},\"data\":[[\"1\"]]}");
	assert_int_equal(decode(&s, 0, buf_text(&text)), ERR_NOMEM);
	buf_free(&text);
	over(&s);
}

/* A partition that is not wanted is given up as soon as that is known. */
static void test_skipped(void **state)
{
	struct statement s = window(3, 1, 1000);

	(void)state;
	s.raw_begins = true;
	assert_int_equal(slice_decode(&s, THREE_PARTITIONS, strlen(THREE_PARTITIONS) - 60, false), ERR_OK);
	assert_int_equal(s.fed, FED_SKIP);
	assert_int_equal(s.next_partition, 1);
	over(&s);
}

/* An object with `data`, and the bare array. */
static void test_further_partitions(void **state)
{
	struct statement s = window(0, 6, 1000);

	(void)state;
	assert_int_equal(decode(&s, 0, THREE_PARTITIONS), ERR_OK);
	assert_int_equal(decode(&s, 1, "{\"data\":[[\"3\"],[\"4\"],[\"5\"]]}"), ERR_OK);
	assert_int_equal(s.next_partition, 2);
	assert_int_equal(decode(&s, 2, "[[\"6\"]]"), ERR_OK);
	assert_int_equal(s.next_partition, 3);
	assert_string_equal(buf_text(&s.text), "ID\n1\n2\n3\n4\n5\n6\n");
	over(&s);
}

static void test_byte_budget(void **state)
{
	struct statement s = window(0, 6, 6);

	(void)state;
	assert_int_equal(decode(&s, 0, THREE_PARTITIONS), ERR_OK);
	assert_int_equal(s.fed, FED_FULL);
	assert_string_equal(buf_text(&s.text), "ID\n1\n");
	assert_int_equal(s.writer.cut, CUT_BYTES);
	over(&s);
}

/* A body that breaks off, or is not what it should be, tells no row twice when it comes whole. */
static void test_again(void **state)
{
	struct statement s = window(0, 6, 1000);

	(void)state;
	s.raw_begins = true;
	assert_int_equal(slice_decode(&s, THREE_PARTITIONS, strlen(THREE_PARTITIONS) - 40, true), ERR_UPSTREAM_ANSWER);
	assert_int_equal(s.rows_n, 2);
	assert_int_equal(decode(&s, 0, THREE_PARTITIONS), ERR_OK);
	assert_int_equal(decode(&s, 1, "{\"data\":[[\"3\"],[\"4\"]]}"), ERR_UPSTREAM_ANSWER);
	assert_int_equal(decode(&s, 1, "{\"data\":[[\"3\"],[\"4\"],[\"5\"]]}"), ERR_OK);
	assert_string_equal(buf_text(&s.text), "ID\n1\n2\n3\n4\n5\n");
	over(&s);
}

static size_t zip(const char *text, size_t n, unsigned char *out, size_t room)
{
	z_stream z = {0};

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)text;
	z.avail_in = (uInt)n;
	z.next_out = out;
	z.avail_out = (uInt)room;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	n = room - z.avail_out;
	deflateEnd(&z);
	return n;
}

/* Slices of every size, each visit with little to do. */
static void slices(size_t rows, size_t slice, bool gzip)
{
	struct buf text = buf_with_ceiling(4 << 20), want = buf_with_ceiling(4 << 20);
	unsigned char *zipped = xalloc(4 << 20);
	struct statement s = window(0, SIZE_MAX, 4 << 20);
	size_t n;

	buf_addf(&text, "{\"resultSetMetaData\":{\"numRows\":%zu," ROW_TYPE "},\"data\":[", rows);
	buf_adds(&want, "ID\n");
	for (size_t i = 0; i < rows; i++) {
		buf_addf(&text, "%s[\"%zu\"]", i ? "," : "", i);
		buf_addf(&want, "%zu\n", i);
	}
	buf_adds(&text, "]}");
	n = gzip ? zip(text.data, text.n, zipped, 4 << 20) : text.n;
	s.raw_begins = true;
	s.raw_gzip = gzip;
	for (size_t at = 0; at < n; at += slice) {
		size_t part = slice < n - at ? slice : n - at;

		assert_int_equal(slice_decode(&s, (gzip ? (char *)zipped : text.data) + at, part, at + part == n),
				 ERR_OK);
		while (s.fed == FED_SLICE)
			assert_int_equal(statement_decode(arena, &s, 1000), ERR_OK);
		assert_int_equal(s.fed, at + part == n ? FED_END : FED_MORE);
	}
	assert_int_equal(s.total_rows, rows);
	assert_string_equal(buf_text(&s.text), buf_text(&want));
	over(&s);
	buf_free(&text);
	buf_free(&want);
	free(zipped);
}

static void test_slices(void **state)
{
	static const size_t sizes[] = {1, 2, 3, 7, 64, 1000, 1 << 20};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		slices(3, sizes[i], false);
		slices(3, sizes[i], true);
		slices(20000, sizes[i] < 7 ? 7 : sizes[i], false);
		slices(20000, sizes[i], true);
	}
}

/* Half of a gzip body is no end of one, nor is anything behind it. */
static void test_gzip_broken(void **state)
{
	unsigned char zipped[1024];
	size_t n = zip(THREE_PARTITIONS, strlen(THREE_PARTITIONS), zipped, sizeof zipped - 1);

	(void)state;
	for (size_t cut = 0; cut <= n + 1; cut++) {
		struct statement s = window(0, 6, 1000);

		zipped[n] = 'x';
		s.raw_begins = s.raw_gzip = true;
		assert_int_equal(slice_decode(&s, zipped, cut, true), cut == n ? ERR_OK : ERR_UPSTREAM_ANSWER);
		over(&s);
	}
}

/* All rows to the end: text is handed out in pieces. */
static void test_pieces(void **state)
{
	struct buf text = buf_with_ceiling(4 << 20);
	struct statement s = window(0, SIZE_MAX, SIZE_MAX);
	size_t pieces = 0, rows = 100000, n = 0;

	(void)state;
	s.whole = true;
	buf_addf(&text, "{\"resultSetMetaData\":{\"numRows\":%zu," ROW_TYPE "},\"data\":[", rows);
	for (size_t i = 0; i < rows; i++)
		buf_addf(&text, "%s[\"%06zu\"]", i ? "," : "", i);
	buf_adds(&text, "]}");
	s.raw_begins = true;
	assert_int_equal(slice_decode(&s, text.data, text.n, true), ERR_OK);
	for (; s.fed != FED_END; pieces += s.fed == FED_PIECE) {
		assert_true(s.fed == FED_PIECE || s.fed == FED_SLICE);
		assert_true(s.text.n < PIECE + 64);
		if (s.fed == FED_PIECE) {
			n += s.text.n;
			buf_clear(&s.text);
			rows_drained(&s.writer);
		}
		assert_int_equal(statement_decode(arena, &s, VISIT), ERR_OK);
	}
	assert_int_equal(n + s.text.n, 3 + 7 * rows);
	assert_true(pieces >= 2);
	over(&s);
	buf_free(&text);
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
	    "{\"resultSetMetaData\":{\"numRows\":7,\"partitionInfo\":[{\"rowCount\":2},{\"rowCount\":4}]," ROW_TYPE
	    "},\"data\":[[\"1\"],[\"2\"]]}",
	};
	struct statement s = window(0, 6, 1000);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct statement bad = window(0, 6, 1000);

		assert_int_equal(decode(&bad, 0, table[i]), ERR_UPSTREAM_ANSWER);
		over(&bad);
	}
	assert_int_equal(decode(&s, 0, THREE_PARTITIONS), ERR_OK);
	assert_int_equal(decode(&s, 1, "{\"data\":[[\"3\"]]}"), ERR_UPSTREAM_ANSWER);
	assert_int_equal(decode(&s, 9, "{\"data\":[]}"), ERR_UPSTREAM_ANSWER);
	over(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_single),      TEST(test_formatted), TEST(test_count),   TEST(test_surplus),
	    TEST(test_own),         TEST(test_windows),   TEST(test_skipped), TEST(test_further_partitions),
	    TEST(test_byte_budget), TEST(test_again),     TEST(test_slices),  TEST(test_gzip_broken),
	    TEST(test_wide),        TEST(test_pieces),    TEST(test_rubbish),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
