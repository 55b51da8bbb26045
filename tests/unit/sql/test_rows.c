/* Snowflake's cells become what rows.h promises, within the budget of rows, bytes and cells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "snowgate/err.h"
#include "snowgate/rows.h"

static const struct column fixed = {"N", "FIXED", COLUMN_FIXED, true, 10, 0, false, NULL};
static const struct column wide = {"N", "FIXED", COLUMN_FIXED, true, 38, 0, false, NULL};
static const struct column scaled = {"N", "FIXED", COLUMN_FIXED, true, 10, 2, false, NULL};
static const struct column untold = {"N", "FIXED", COLUMN_FIXED, true, -1, -1, false, NULL};
static const struct column real = {"R", "REAL", COLUMN_REAL, true, -1, -1, false, NULL};
static const struct column text = {"T", "TEXT", COLUMN_TEXT, true, -1, -1, false, NULL};
static const struct column boolean = {"B", "BOOLEAN", COLUMN_BOOLEAN, true, -1, -1, false, NULL};
static const struct column date = {"D", "DATE", COLUMN_DATE, true, -1, -1, false, NULL};
static const struct column time_of_day = {"D", "TIME", COLUMN_TIME, true, -1, 9, false, NULL};
static const struct column ntz = {"D", "TIMESTAMP_NTZ", COLUMN_TIMESTAMP_NTZ, true, -1, 9, false, NULL};
static const struct column ltz = {"D", "TIMESTAMP_LTZ", COLUMN_TIMESTAMP_LTZ, true, -1, 9, false, NULL};
static const struct column tz = {"D", "TIMESTAMP_TZ", COLUMN_TIMESTAMP_TZ, true, -1, 9, false, NULL};
static const struct column binary = {"X", "BINARY", COLUMN_BINARY, true, -1, -1, false, NULL};
static const struct column semi = {"V", "VARIANT", COLUMN_SEMI, true, -1, -1, false, NULL};
static const struct column other = {"O", "DECFLOAT", COLUMN_OTHER, true, -1, -1, false, NULL};

static const struct {
	const struct column *column;
	const char *cell, *json, *csv;
} cells[] = {
    /* numbers */
    {&fixed, "123", "123", "123"},
    {&fixed, "-5", "-5", "-5"},
    {&fixed, "0", "0", "0"},
    {&fixed, "+7", "7", "+7"},
    {&fixed, "007", "\"007\"", "007"},
    {&fixed, "", "\"\"", "\"\""},
    {&fixed, "1 ", "\"1 \"", "1 "},
    {&fixed, "abc", "\"abc\"", "abc"},
    {&fixed, "0x10", "\"0x10\"", "0x10"},
    {&wide, "12345678901234567890123456789012345678", "\"12345678901234567890123456789012345678\"",
     "12345678901234567890123456789012345678"},
    {&fixed, "999999999999999", "999999999999999", "999999999999999"},
    {&fixed, "-999999999999999", "-999999999999999", "-999999999999999"},
    {&fixed, "1000000000000000", "\"1000000000000000\"", "1000000000000000"},
    {&fixed, "1e3", "\"1e3\"", "1e3"},
    {&fixed, "1.0", "\"1.0\"", "1.0"},
    {&wide, "1", "\"1\"", "1"},
    {&scaled, "12.30", "\"12.30\"", "12.30"},
    {&untold, "1", "\"1\"", "1"},
    {&real, "1.5", "1.5", "1.5"},
    {&real, "1.0E10", "1.0E10", "1.0E10"},
    {&real, "-1e-7", "-1e-7", "-1e-7"},
    {&real, ".5", "0.5", ".5"},
    {&real, "-.5", "-0.5", "-.5"},
    {&real, "+.5e3", "0.5e3", "+.5e3"},
    {&real, "1.", "1.0", "1."},
    {&real, "1.e5", "1.0e5", "1.e5"},
    {&real, ".", "\".\"", "."},
    {&real, "-.", "\"-.\"", "-."},
    {&real, "-", "\"-\"", "-"},
    {&real, "+", "\"+\"", "+"},
    {&real, "+-1", "\"+-1\"", "+-1"},
    {&real, "1.2.3", "\"1.2.3\"", "1.2.3"},
    {&real, "1e", "\"1e\"", "1e"},
    {&real, "inf", "null", "inf"},
    {&real, "-inf", "null", "-inf"},
    {&real, "NaN", "null", "NaN"},
    {&other, "1E-300", "\"1E-300\"", "1E-300"},
    /* booleans, text, binary */
    {&boolean, "true", "true", "true"},
    {&boolean, "FALSE", "false", "false"},
    {&boolean, "1", "true", "true"},
    {&boolean, "0", "false", "false"},
    {&boolean, "yes", "\"yes\"", "yes"},
    {&text, "", "\"\"", "\"\""},
    {&text, "a,b", "\"a,b\"", "\"a,b\""},
    {&text, "say \"x\"", "\"say \\\"x\\\"\"", "\"say \"\"x\"\"\""},
    {&text, "\"", "\"\\\"\"", "\"\"\"\""},
    {&text, "a\nb", "\"a\\nb\"", "\"a\nb\""},
    {&text, "a\rb", "\"a\\rb\"", "\"a\rb\""},
    {&text, "=1+1", "\"=1+1\"", "=1+1"},
    {&text, "null", "\"null\"", "null"},
    {&text, "12", "\"12\"", "12"},
    {&text, "\xC3\xA4", "\"\xC3\xA4\"", "\xC3\xA4"},
    {&binary, "0AFF", "\"0AFF\"", "0AFF"},
    /* dates */
    {&date, "0", "\"1970-01-01\"", "1970-01-01"},
    {&date, "18262", "\"2020-01-01\"", "2020-01-01"},
    {&date, "19782", "\"2024-02-29\"", "2024-02-29"},
    {&date, "11016", "\"2000-02-29\"", "2000-02-29"},
    {&date, "-1", "\"1969-12-31\"", "1969-12-31"},
    {&date, "-25567", "\"1900-01-01\"", "1900-01-01"},
    {&date, "-719162", "\"0001-01-01\"", "0001-01-01"},
    {&date, "2932896", "\"9999-12-31\"", "9999-12-31"},
    {&date, "2932897", "\"2932897\"", "2932897"},
    {&date, "20200101", "\"20200101\"", "20200101"},
    {&date, "2020-01-01", "\"2020-01-01\"", "2020-01-01"},
    {&date, "1.5", "\"1.5\"", "1.5"},
    {&date, "", "\"\"", "\"\""},
    {&date, "-", "\"-\"", "-"},
    {&date, "01", "\"01\"", "01"},
    {&date, "99999999999999999999", "\"99999999999999999999\"", "99999999999999999999"},
    /* times */
    {&time_of_day, "82919.000000000", "\"23:01:59\"", "23:01:59"},
    {&time_of_day, "0.000000000", "\"00:00:00\"", "00:00:00"},
    {&time_of_day, "0.500000000", "\"00:00:00.500\"", "00:00:00.500"},
    {&time_of_day, "86399.999999999", "\"23:59:59.999999999\"", "23:59:59.999999999"},
    {&time_of_day, "61.000001000", "\"00:01:01.000001\"", "00:01:01.000001"},
    {&time_of_day, "86400.000000000", "\"86400.000000000\"", "86400.000000000"},
    {&time_of_day, "-1.0", "\"-1.0\"", "-1.0"},
    {&time_of_day, "20:10:00", "\"20:10:00\"", "20:10:00"},
    {&time_of_day, "001000", "\"001000\"", "001000"},
    /* timestamps */
    {&ntz, "1611871777.123456789", "\"2021-01-28T22:09:37.123456789\"", "2021-01-28T22:09:37.123456789"},
    {&ntz, "1611871777.000000000", "\"2021-01-28T22:09:37\"", "2021-01-28T22:09:37"},
    {&ntz, "1611871777", "\"2021-01-28T22:09:37\"", "2021-01-28T22:09:37"},
    {&ntz, "1611871777.120000000", "\"2021-01-28T22:09:37.120\"", "2021-01-28T22:09:37.120"},
    {&ntz, "1611871777.12", "\"2021-01-28T22:09:37.120\"", "2021-01-28T22:09:37.120"},
    {&ntz, "1611871777.123400000", "\"2021-01-28T22:09:37.123400\"", "2021-01-28T22:09:37.123400"},
    {&ntz, "0.000000000", "\"1970-01-01T00:00:00\"", "1970-01-01T00:00:00"},
    {&ntz, "-0.500000000", "\"1969-12-31T23:59:59.500\"", "1969-12-31T23:59:59.500"},
    {&ntz, "-1.500000000", "\"1969-12-31T23:59:58.500\"", "1969-12-31T23:59:58.500"},
    {&ntz, "-1.000000000", "\"1969-12-31T23:59:59\"", "1969-12-31T23:59:59"},
    {&ntz, "-86400.000000000", "\"1969-12-31T00:00:00\"", "1969-12-31T00:00:00"},
    {&ntz, "-86400.000000001", "\"1969-12-30T23:59:59.999999999\"", "1969-12-30T23:59:59.999999999"},
    {&ntz, "253402300799.999999999", "\"9999-12-31T23:59:59.999999999\"", "9999-12-31T23:59:59.999999999"},
    {&ntz, "253402300800.000000000", "\"253402300800.000000000\"", "253402300800.000000000"},
    {&ntz, "20210128220937", "\"20210128220937\"", "20210128220937"},
    {&ntz, "2021-01-28 22:09:37.123", "\"2021-01-28 22:09:37.123\"", "2021-01-28 22:09:37.123"},
    {&ntz, "1.", "\"1.\"", "1."},
    {&ntz, "1.1234567890", "\"1.1234567890\"", "1.1234567890"},
    {&ntz, "1611871777.0 960", "\"1611871777.0 960\"", "1611871777.0 960"},
    {&ltz, "1611871777.000000000", "\"2021-01-28T22:09:37Z\"", "2021-01-28T22:09:37Z"},
    {&ltz, "-0.000000001", "\"1969-12-31T23:59:59.999999999Z\"", "1969-12-31T23:59:59.999999999Z"},
    {&tz, "1616173619.000000000 1500", "\"2021-03-19T18:06:59+01:00\"", "2021-03-19T18:06:59+01:00"},
    {&tz, "1616173619.000000000 960", "\"2021-03-19T09:06:59-08:00\"", "2021-03-19T09:06:59-08:00"},
    {&tz, "1616173619.000000000 1440", "\"2021-03-19T17:06:59+00:00\"", "2021-03-19T17:06:59+00:00"},
    {&tz, "1616173619.250000000 1770", "\"2021-03-19T22:36:59.250+05:30\"", "2021-03-19T22:36:59.250+05:30"},
    {&tz, "0.000000000 1410", "\"1969-12-31T23:30:00-00:30\"", "1969-12-31T23:30:00-00:30"},
    {&tz, "1616173619.000000000", "\"1616173619.000000000\"", "1616173619.000000000"},
    {&tz, "1616173619.000000000 9999", "\"1616173619.000000000 9999\"", "1616173619.000000000 9999"},
    {&tz, "1616173619.0 1440x", "\"1616173619.0 1440x\"", "1616173619.0 1440x"},
    /* variants */
    {&semi, "{\n  \"a\": 1,\n  \"b\": [ true, null ]\n}", "{\"a\":1,\"b\":[true,null]}",
     "\"{\"\"a\"\":1,\"\"b\"\":[true,null]}\""},
    {&semi, "[\n  1,\n  undefined\n]", "[1,null]", "\"[1,undefined]\""},
    {&semi, "[]", "[]", "[]"},
    {&semi, " { } ", "{}", "{}"},
    {&semi, "[[],{}]", "[[],{}]", "\"[[],{}]\""},
    {&semi, "\"a b\"", "\"a b\"", "\"\"\"a b\"\"\""},
    {&semi, "\"a\\u00e4\\n\"", "\"a\\u00e4\\n\"", "\"\"\"a\\u00e4\\n\"\"\""},
    {&semi, "12345678901234567890123", "12345678901234567890123", "12345678901234567890123"},
    {&semi, "-1.5e3", "-1.5e3", "-1.5e3"},
    {&semi, "null", "null", "null"},
    {&semi, "true", "true", "true"},
    {&semi, "", "\"\"", "\"\""},
    {&semi, "{", "\"{\"", "{"},
    {&semi, "[1,]", "\"[1,]\"", "\"[1,]\""},
    {&semi, "[1 2]", "\"[1 2]\"", "[1 2]"},
    {&semi, "{\"a\"}", "\"{\\\"a\\\"}\"", "\"{\"\"a\"\"}\""},
    {&semi, "{a:1}", "\"{a:1}\"", "{a:1}"},
    {&semi, "{\"a\":1]", "\"{\\\"a\\\":1]\"", "\"{\"\"a\"\":1]\""},
    {&semi, "1 2", "\"1 2\"", "1 2"},
    {&semi, "nul", "\"nul\"", "nul"},
    {&semi, "01", "\"01\"", "01"},
    {&semi, "\"a\tb\"", "\"\\\"a\\tb\\\"\"", "\"\"\"a\tb\"\"\""},
    {&semi, "\"\\x\"", "\"\\\"\\\\x\\\"\"", "\"\"\"\\x\"\"\""},
    {&semi, "NaN", "null", "NaN"},
    {&semi, "]", "\"]\"", "]"},
};

static void check_cell(size_t i, enum rows_format format, const char *wanted)
{
	struct buf b = buf_with_ceiling(1000);

	assert_true(rows_cell(&b, format, cells[i].column, cells[i].cell, strlen(cells[i].cell)));
	if (strcmp(buf_text(&b), wanted) != 0)
		fail_msg("%s %s: %s, not %s", cells[i].column->type, cells[i].cell, buf_text(&b), wanted);
	buf_free(&b);
}

static void test_cells(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cells); i++) {
		check_cell(i, ROWS_JSON, cells[i].json);
		check_cell(i, ROWS_CSV, cells[i].csv);
	}
}

static void test_null(void **state)
{
	struct buf b = buf_with_ceiling(100);

	(void)state;
	assert_true(rows_cell(&b, ROWS_JSON, &text, NULL, 0));
	assert_string_equal(buf_text(&b), "null");
	buf_clear(&b);
	assert_true(rows_cell(&b, ROWS_CSV, &text, NULL, 0));
	assert_string_equal(buf_text(&b), "");
	buf_free(&b);
}

/* Every day of 30 centuries: dates rise by one, as a calendar walked day by day. */
static void test_calendar(void **state)
{
	static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int y = 1, m = 1, d = 1;

	(void)state;
	for (int day = -719162; day < 376000; day++) {
		bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
		char wanted[40], cell[20];
		struct buf b = buf_with_ceiling(100);

		snprintf(wanted, sizeof(wanted), "%04d-%02d-%02d", y, m, d);
		snprintf(cell, sizeof(cell), "%d", day);
		rows_cell(&b, ROWS_CSV, &date, cell, strlen(cell));
		assert_string_equal(buf_text(&b), wanted);
		buf_free(&b);
		if (++d > lengths[m - 1] + (m == 2 && leap)) {
			d = 1;
			if (++m > 12) {
				m = 1;
				y++;
			}
		}
	}
}

/* ---- columns ---- */

static json_t *json_of(const char *from)
{
	json_t *value = NULL;

	assert_int_equal(json_parse(slice_of(from), 64, &value, NULL, 0), JSON_OK);
	return value;
}

static void test_columns(void **state)
{
	json_t *from =
	    json_of("[{\"name\":\"A\",\"type\":\"fixed\",\"nullable\":false,\"precision\":10,\"scale\":0},"
		    "{\"name\":\"b \\\"c\\\"\",\"type\":\"TIMESTAMP_TZ\",\"precision\":0,\"scale\":9},"
		    "{\"name\":\"V\",\"type\":\"Variant\",\"precision\":null},{\"name\":\"X\",\"type\":\"newtype\"}]");
	struct arena *a = arena_new(10000);
	struct buf b = buf_with_ceiling(1000);
	struct column *c;
	size_t n;

	(void)state;
	assert_int_equal(columns_read(a, from, &c, &n), ERR_OK);
	json_decref(from);
	assert_int_equal(n, 4);
	assert_string_equal(c[0].type, "FIXED");
	assert_int_equal(c[0].kind, COLUMN_FIXED);
	assert_false(c[0].nullable);
	assert_int_equal(c[0].scale, 0);
	assert_int_equal(c[1].kind, COLUMN_TIMESTAMP_TZ);
	assert_int_equal(c[2].kind, COLUMN_SEMI);
	assert_int_equal(c[2].precision, -1);
	assert_int_equal(c[3].kind, COLUMN_OTHER);
	assert_true(columns_write(&b, c, n));
	assert_string_equal(
	    buf_text(&b),
	    "[{\"name\":\"A\",\"type\":\"FIXED\",\"nullable\":false,\"precision\":10,\"scale\":0},"
	    "{\"name\":\"b \\\"c\\\"\",\"type\":\"TIMESTAMP_TZ\",\"nullable\":true,\"precision\":0,\"scale\":9},"
	    "{\"name\":\"V\",\"type\":\"VARIANT\",\"nullable\":true},"
	    "{\"name\":\"X\",\"type\":\"NEWTYPE\",\"nullable\":true}]");
	buf_free(&b);
	arena_free(a);
}

static void test_bad_columns(void **state)
{
	static const char *const bad[] = {
	    "{}", "[1]", "[{}]", "[{\"name\":\"A\"}]", "[{\"type\":\"TEXT\"}]", "[{\"name\":1,\"type\":\"TEXT\"}]"};
	struct arena *a = arena_new(10000), *small = arena_new(16);
	struct column *c;
	json_t *from;
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		from = json_of(bad[i]);
		assert_int_equal(columns_read(a, from, &c, &n), ERR_UPSTREAM_ANSWER);
		json_decref(from);
	}
	assert_int_equal(columns_read(a, NULL, &c, &n), ERR_UPSTREAM_ANSWER);
	from = json_of("[]");
	assert_int_equal(columns_read(a, from, &c, &n), ERR_OK);
	assert_int_equal(n, 0);
	json_decref(from);
	from = json_of("[{\"name\":\"A\",\"type\":\"TEXT\"}]");
	assert_int_equal(columns_read(small, from, &c, &n), ERR_NOMEM);
	json_decref(from);
	arena_free(a);
	arena_free(small);
}

/* ---- rows ---- */

/* Cells of a row that is written as JSON; what is no string is taken by its text. */
static size_t row_of(json_t *row, struct cell *to, struct buf texts[])
{
	size_t n = json_array_size(row);

	for (size_t i = 0; i < n; i++) {
		const json_t *value = json_array_get(row, i);

		texts[i] = buf_with_ceiling(10000);
		if (json_is_string(value))
			buf_add(&texts[i], json_string_value(value), json_string_length(value));
		else
			json_write(&texts[i], value);
		to[i] = (struct cell){json_is_null(value) ? NULL : buf_text(&texts[i]), texts[i].n, texts[i].n};
	}
	return n;
}

static bool add(struct rows_writer *w, const char *row)
{
	json_t *value = json_of(row);
	struct cell cells_of_row[8];
	struct buf texts[8];
	size_t n = row_of(value, cells_of_row, texts);
	bool fits = rows_add(w, cells_of_row, n);

	while (n)
		buf_free(&texts[--n]);
	json_decref(value);
	return fits;
}

static void test_csv(void **state)
{
	struct column columns[] = {fixed, text, semi};
	struct rows_budget budget = {100, 1000, 100};
	struct buf b = buf_with_ceiling(10000);
	struct rows_writer w;

	(void)state;
	columns[1].name = "a,b";
	rows_begin(&w, ROWS_CSV, columns, 3, budget, &b);
	assert_true(add(&w, "[\"1\",\"x\",\"[ 1 ]\"]"));
	assert_true(add(&w, "[null,\"\",null]"));
	assert_true(add(&w, "[\"2\"]"));
	assert_true(add(&w, "[3,true,[1,2],\"beyond\"]"));
	assert_string_equal(buf_text(&b), "N,\"a,b\",V\n1,x,[1]\n,\"\",\n2,,\n3,true,\"[1,2]\"\n");
	assert_int_equal(w.rows, 4);
	assert_int_equal(w.cut, CUT_NONE);
	buf_free(&b);
}

static void test_json(void **state)
{
	struct column columns[] = {fixed, text, boolean};
	struct rows_budget budget = {2, 1000, 100};
	struct buf b = buf_with_ceiling(10000);
	struct rows_writer w;

	(void)state;
	buf_adds(&b, "[");
	rows_begin(&w, ROWS_JSON, columns, 3, budget, &b);
	assert_true(add(&w, "[\"1\",\"x\",\"true\"]"));
	assert_true(add(&w, "[null,null]"));
	assert_false(add(&w, "[\"3\"]"));
	assert_int_equal(w.cut, CUT_ROWS);
	assert_false(add(&w, "[\"3\"]"));
	assert_string_equal(buf_text(&b), "[[1,\"x\",true],[null,null,null]");
	buf_free(&b);
}

static void test_budget_of_bytes(void **state)
{
	struct column columns[] = {text};
	struct buf b = buf_with_ceiling(10000);
	struct rows_writer w;

	(void)state;
	rows_begin(&w, ROWS_CSV, columns, 1, (struct rows_budget){100, 10, 100}, &b);
	assert_true(add(&w, "[\"aaaaaaaaaaaaaaa\"]"));
	assert_false(add(&w, "[\"b\"]"));
	assert_int_equal(w.cut, CUT_BYTES);
	assert_string_equal(buf_text(&b), "T\naaaaaaaaaaaaaaa\n");
	buf_clear(&b);
	rows_begin(&w, ROWS_CSV, columns, 1, (struct rows_budget){100, 8, 100}, &b);
	assert_true(add(&w, "[\"aa\"]"));
	assert_true(add(&w, "[\"bb\"]"));
	assert_false(add(&w, "[\"c\"]"));
	assert_string_equal(buf_text(&b), "T\naa\nbb\n");
	buf_clear(&b);
	rows_begin(&w, ROWS_JSON, columns, 1, (struct rows_budget){0, 8, 100}, &b);
	assert_false(add(&w, "[\"aa\"]"));
	assert_int_equal(w.cut, CUT_ROWS);
	assert_string_equal(buf_text(&b), "");
	buf_free(&b);
}

static const struct {
	const char *row, *json, *csv;
} long_cells[] = {
    {"[\"12345678\"]", "[\"12345678\"]", "12345678\n"},
    {"[\"123456789\"]", "[\"12345678… (1 more bytes)\"]", "12345678… (1 more bytes)\n"},
    {"[\"1234567\xC3\xA4\"]", "[\"1234567… (2 more bytes)\"]", "1234567… (2 more bytes)\n"},
    {"[\"\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\"]", "[\"\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4… (2 more bytes)\"]",
     "\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4… (2 more bytes)\n"},
    {"[\"a,b\\\"56789\"]", "[\"a,b\\\"5678… (1 more bytes)\"]", "\"a,b\"\"5678… (1 more bytes)\"\n"},
    {"[\"12345678,\"]", "[\"12345678… (1 more bytes)\"]", "12345678… (1 more bytes)\n"},
};

static void test_long_cells(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(long_cells) * 2; i++) {
		struct buf b = buf_with_ceiling(10000);
		enum rows_format format = i % 2 ? ROWS_CSV : ROWS_JSON;
		struct rows_writer w;

		rows_begin(&w, format, &text, 1, (struct rows_budget){10, 1000, 8}, &b);
		assert_true(add(&w, long_cells[i / 2].row));
		assert_string_equal(buf_text(&b) + (i % 2 ? 2 : 0),
				    i % 2 ? long_cells[i / 2].csv : long_cells[i / 2].json);
		assert_int_equal(w.cells_cut, i / 2 > 0);
		buf_free(&b);
	}
}

static void test_long_variants(void **state)
{
	struct buf b = buf_with_ceiling(10000);
	struct rows_writer w;

	(void)state;
	rows_begin(&w, ROWS_JSON, &semi, 1, (struct rows_budget){10, 1000, 8}, &b);
	assert_true(add(&w, "[\"[ 1,  2, 3 ]\"]"));
	assert_true(add(&w, "[\"[1,2,3,4,5]\"]"));
	assert_string_equal(buf_text(&b), "[[1,2,3]],[\"[1,2,3,4… (3 more bytes)\"]");
	assert_int_equal(w.cells_cut, 1);
	buf_free(&b);
}

static void test_depth(void **state)
{
	char deep[2000];
	struct buf b = buf_with_ceiling(10000);

	(void)state;
	memset(deep, '[', 256);
	memset(deep + 256, ']', 256);
	assert_true(rows_cell(&b, ROWS_JSON, &semi, deep, 512));
	assert_int_equal(b.data[0], '[');
	buf_clear(&b);
	memset(deep, '[', 257);
	memset(deep + 257, ']', 257);
	assert_true(rows_cell(&b, ROWS_JSON, &semi, deep, 514));
	assert_int_equal(b.data[0], '"');
	buf_free(&b);
}

/* However near the buffer's ceiling: no row is written in part, the first one always, and the buffer stays whole. */
static void test_ceiling(void **state)
{
	struct column columns[] = {text, text, semi};

	(void)state;
	for (size_t ceiling = 600; ceiling < 1600; ceiling += 7) {
		struct buf b = buf_with_ceiling(ceiling);
		struct rows_writer w;
		json_t *rows;

		rows_begin(&w, ROWS_JSON, columns, 3, (struct rows_budget){100, 100000, 400}, &b);
		buf_addc(&b, '[');
		while (add(
		    &w,
		    "[\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		    "aaaaa\","
		    "\"\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\","
		    "\"{ \\\"a\\\" : [ 1, 2, 3, 4, 5, 6, 7, 8, 9 ] }\"]"))
			;
		assert_false(buf_failed(&b));
		assert_int_equal(w.cut, CUT_BYTES);
		assert_true(w.rows >= 1);
		assert_true(buf_addc(&b, ']'));
		rows = json_of(buf_text(&b));
		assert_int_equal(json_array_size(rows), w.rows);
		for (size_t i = 0; i < w.rows; i++)
			assert_int_equal(json_array_size(json_array_get(rows, i)), 3);
		json_decref(rows);
		buf_free(&b);
	}
}

/* A cell of which the reader kept a part: what is missing is counted from its whole length. */
static void test_parts(void **state)
{
	static const struct {
		const struct column *column;
		struct cell cell;
		const char *csv, *json;
	} parts[] = {
	    {&text, {"abc", 3, 10}, "abc… (7 more bytes)", "\"abc… (7 more bytes)\""},
	    {&text, {"", 0, 10}, "\"… (10 more bytes)\"", "\"… (10 more bytes)\""},
	    {&text, {"a,c", 3, 10}, "\"a,c… (7 more bytes)\"", "\"a,c… (7 more bytes)\""},
	    {&text, {"abcdefghijk", 11, 20}, "abcdefgh… (12 more bytes)", "\"abcdefgh… (12 more bytes)\""},
	    {&semi, {"[1,2]", 5, 6}, "\"[1,2]… (1 more bytes)\"", "\"[1,2]… (1 more bytes)\""},
	    {&fixed, {"123", 3, 4}, "123… (1 more bytes)", "\"123… (1 more bytes)\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(parts) * 2; i++) {
		struct buf b = buf_with_ceiling(10000);
		size_t part = i / 2, n = strlen(i % 2 ? parts[part].csv : parts[part].json);
		struct rows_writer w;

		rows_begin(&w, i % 2 ? ROWS_CSV : ROWS_JSON, parts[part].column, 1, (struct rows_budget){9, 900, 8},
			   &b);
		assert_true(rows_add(&w, &parts[part].cell, 1));
		assert_int_equal(w.cells_cut, 1);
		assert_int_equal(b.n, n + (i % 2 ? strlen(parts[part].column->name) + 2 : 2));
		assert_memory_equal(b.data + (i % 2 ? 2 : 1), i % 2 ? parts[part].csv : parts[part].json, n);
		buf_free(&b);
	}
}

static void test_jsonl(void **state)
{
	json_t *from = json_of("[{\"name\":\"A\",\"type\":\"fixed\",\"precision\":9,\"scale\":0},"
			       "{\"name\":\"A_2\",\"type\":\"text\"},{\"name\":\"A\",\"type\":\"text\"},"
			       "{\"name\":\"A\",\"type\":\"text\"},{\"name\":\"say \\\"x\\\"\",\"type\":\"boolean\"}]");
	struct arena *a = arena_new(10000);
	struct buf b = buf_with_ceiling(10000);
	struct rows_writer w;
	struct column *c;
	size_t n;

	(void)state;
	assert_int_equal(columns_read(a, from, &c, &n), ERR_OK);
	rows_begin(&w, ROWS_JSONL, c, n, (struct rows_budget){9, 900, 90}, &b);
	assert_true(add(&w, "[\"1\",\"a\\nb\",\"\",null,\"true\"]"));
	assert_true(add(&w, "[]"));
	assert_string_equal(buf_text(&b),
			    "{\"A\":1,\"A_2\":\"a\\nb\",\"A_3\":\"\",\"A_4\":null,\"say \\\"x\\\"\":true}\n"
			    "{\"A\":null,\"A_2\":null,\"A_3\":null,\"A_4\":null,\"say \\\"x\\\"\":null}\n");
	buf_clear(&b);
	c[4].key = NULL;
	rows_begin(&w, ROWS_JSONL, &c[4], 1, (struct rows_budget){9, 900, 90}, &b);
	assert_true(add(&w, "[\"true\"]"));
	assert_string_equal(buf_text(&b), "{\"say \\\"x\\\"\":true}\n");
	json_decref(from);
	buf_free(&b);
	arena_free(a);
}

/* An export: no budget, and a buffer that is emptied when the next row does not fit. Nothing is lost or cut. */
static void test_drained(void **state)
{
	struct column columns[] = {text, text};

	(void)state;
	for (int format = ROWS_CSV; format <= ROWS_JSONL; format++) {
		struct buf b = buf_with_ceiling(2000), all = buf_with_ceiling(1 << 20);
		struct rows_writer w;

		rows_begin(&w, (enum rows_format)format, columns, 2, (struct rows_budget){SIZE_MAX, SIZE_MAX, SIZE_MAX},
			   &b);
		for (int i = 0; i < 100; i++) {
			if (add(&w, "[\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"b,b\"]"))
				continue;
			assert_int_equal(w.cut, CUT_BYTES);
			assert_true(b.n > 0);
			buf_add(&all, b.data, b.n);
			buf_clear(&b);
			rows_drained(&w);
			i--;
		}
		buf_add(&all, b.data, b.n);
		assert_int_equal(w.rows, 100);
		assert_int_equal(w.cells_cut, 0);
		assert_int_equal(w.cut, CUT_NONE);
		assert_int_equal(all.n, format == ROWS_CSV    ? 100 * 36 + 4
					: format == ROWS_JSON ? 100 * 39 + 99
							      : 100 * 48);
		buf_free(&b);
		buf_free(&all);
	}
}

/* A row that is larger than the buffer is cut when the buffer is empty, rather than never told. */
static void test_drained_too_large(void **state)
{
	struct buf b = buf_with_ceiling(400);
	char large[1000];
	struct cell cell = {large, sizeof(large), sizeof(large)}, small = {"a", 1, 1};
	struct rows_writer w;

	(void)state;
	memset(large, 'x', sizeof(large));
	rows_begin(&w, ROWS_JSONL, &text, 1, (struct rows_budget){SIZE_MAX, SIZE_MAX, SIZE_MAX}, &b);
	assert_true(rows_add(&w, &small, 1));
	assert_false(rows_add(&w, &cell, 1));
	buf_clear(&b);
	rows_drained(&w);
	assert_true(rows_add(&w, &cell, 1));
	assert_int_equal(w.cells_cut, 1);
	assert_int_equal(w.rows, 2);
	assert_non_null(strstr(buf_text(&b), "more bytes)\"}\n"));
	buf_free(&b);
}

/* ---- cells ---- */

static void test_kept_cells(void **state)
{
	struct arena *a = arena_new(100000);
	struct cells *c = cells_new(a, 3, 50000);
	char name[20];
	struct cell row[] = {{name, 0, 0}, {NULL, 0, 0}, {"part", 4, 9}, {"beyond", 6, 6}};

	(void)state;
	assert_int_equal(cells_rows(NULL), 0);
	assert_int_equal(cells_rows(c), 0);
	for (int i = 0; i < 100; i++) {
		row[0].n = row[0].whole = (size_t)snprintf(name, sizeof(name), "row %d", i);
		assert_true(cells_add(c, row, i % 2 ? 4 : 1));
	}
	assert_int_equal(cells_rows(c), 100);
	for (size_t i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "row %zu", i);
		assert_string_equal(cells_at(c, i, 0).text, name);
		assert_int_equal(cells_at(c, i, 0).n, strlen(name));
		assert_null(cells_at(c, i, 1).text);
		assert_null(cells_at(c, i, 3).text);
		if (i % 2)
			assert_string_equal(cells_at(c, i, 2).text, "part");
		else
			assert_null(cells_at(c, i, 2).text);
		assert_int_equal(cells_at(c, i, 2).whole, i % 2 ? 9 : 0);
	}
	assert_null(cells_at(c, 100, 0).text);
	arena_free(a);
}

static void test_kept_cells_ceiling(void **state)
{
	struct arena *a = arena_new(100000), *tiny = arena_new(8);
	struct cells *c = cells_new(a, 1, 4000);
	char large[500] = "";
	struct cell row = {large, sizeof(large), sizeof(large)};
	size_t n = 0;

	(void)state;
	assert_null(cells_new(tiny, 1, 4000));
	while (cells_add(c, &row, 1))
		n++;
	assert_true(n >= 5 && n < 8);
	assert_int_equal(cells_rows(c), n);
	row.n = 1;
	assert_true(cells_add(c, &row, 1));
	arena_free(a);
	arena_free(tiny);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cells),       cmocka_unit_test(test_null),
	    cmocka_unit_test(test_calendar),    cmocka_unit_test(test_columns),
	    cmocka_unit_test(test_bad_columns), cmocka_unit_test(test_csv),
	    cmocka_unit_test(test_json),        cmocka_unit_test(test_budget_of_bytes),
	    cmocka_unit_test(test_long_cells),  cmocka_unit_test(test_long_variants),
	    cmocka_unit_test(test_depth),       cmocka_unit_test(test_ceiling),
	    cmocka_unit_test(test_parts),       cmocka_unit_test(test_jsonl),
	    cmocka_unit_test(test_drained),     cmocka_unit_test(test_drained_too_large),
	    cmocka_unit_test(test_kept_cells),  cmocka_unit_test(test_kept_cells_ceiling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
