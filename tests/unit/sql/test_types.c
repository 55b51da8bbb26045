/* Every type of Snowflake in both encodings (snowflake-rest.md A.8): its values in CSV, JSON and JSONL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "snowgate/err.h"
#include "snowgate/rows.h"

#define FIXED(p, s)  "\"type\":\"fixed\",\"precision\":" #p ",\"scale\":" #s
#define TYPE(t)      "\"type\":\"" t "\",\"precision\":null,\"scale\":null"
#define SCALED(t, s) "\"type\":\"" t "\",\"precision\":0,\"scale\":" #s
#define SAME         NULL /* CSV is the cell itself */

#define DIGITS_38 "99999999999999999999999999999999999999"

/* `format`: the parameter that went with the statement. */
static const struct {
	const char *type, *format, *cell, *json, *csv;
} cells[] = {
    /* NUMBER(p, s) */
    {FIXED(38, 0), NULL, NULL, "null", ""},
    {FIXED(38, 0), NULL, "1", "\"1\"", SAME},
    {FIXED(38, 0), NULL, "-0", "\"-0\"", SAME},
    {FIXED(38, 0), NULL, DIGITS_38, "\"" DIGITS_38 "\"", SAME},
    {FIXED(38, 0), NULL, "-" DIGITS_38, "\"-" DIGITS_38 "\"", SAME},
    {FIXED(16, 0), NULL, "9999999999999999", "\"9999999999999999\"", SAME},
    {FIXED(16, 0), NULL, "1", "\"1\"", SAME},
    {FIXED(15, 0), NULL, NULL, "null", ""},
    {FIXED(15, 0), NULL, "0", "0", SAME},
    {FIXED(15, 0), NULL, "42", "42", SAME},
    {FIXED(15, 0), NULL, "-999999999999999", "-999999999999999", SAME},
    {FIXED(15, 0), NULL, "999999999999999", "999999999999999", SAME},
    {FIXED(1, 0), NULL, "9", "9", SAME},
    {FIXED(12, 2), NULL, NULL, "null", ""},
    {FIXED(12, 2), NULL, "12.30", "\"12.30\"", SAME},
    {FIXED(12, 2), NULL, "0.00", "\"0.00\"", SAME},
    {FIXED(12, 2), NULL, "-9999999999.99", "\"-9999999999.99\"", SAME},
    {FIXED(37, 37), NULL, "0.0000000000000000000000000000000000001", "\"0.0000000000000000000000000000000000001\"",
     SAME},
    /* FLOAT: what JSON has no number for is null */
    {TYPE("real"), NULL, NULL, "null", ""},
    {TYPE("real"), NULL, "1.5", "1.5", SAME},
    {TYPE("real"), NULL, "1", "1", SAME},
    {TYPE("real"), NULL, "1.0E10", "1.0E10", SAME},
    {TYPE("real"), NULL, "1.7976931348623157e308", "1.7976931348623157e308", SAME},
    {TYPE("real"), NULL, "-2.225073859e-308", "-2.225073859e-308", SAME},
    {TYPE("real"), NULL, "4.940656458e-324", "4.940656458e-324", SAME},
    {TYPE("real"), NULL, "-0", "-0", SAME},
    {TYPE("real"), NULL, DIGITS_38 DIGITS_38 ".0", DIGITS_38 DIGITS_38 ".0", SAME},
    {TYPE("real"), NULL, "inf", "null", SAME},
    {TYPE("real"), NULL, "-inf", "null", SAME},
    {TYPE("real"), NULL, "Infinity", "null", SAME},
    {TYPE("real"), NULL, "-Infinity", "null", SAME},
    {TYPE("real"), NULL, "NaN", "null", SAME},
    {TYPE("REAL"), NULL, "nan", "null", SAME},
    /* DECFLOAT: more digits than a double has */
    {TYPE("decfloat"), NULL, NULL, "null", ""},
    {TYPE("decfloat"), NULL, "1.5", "\"1.5\"", SAME},
    {TYPE("decfloat"), NULL, DIGITS_38, "\"" DIGITS_38 "\"", SAME},
    {TYPE("decfloat"), NULL, "1.2E+16384", "\"1.2E+16384\"", SAME},
    /* VARCHAR */
    {TYPE("text"), NULL, NULL, "null", ""},
    {TYPE("text"), NULL, "", "\"\"", "\"\""},
    {TYPE("text"), NULL, "abc", "\"abc\"", SAME},
    {TYPE("text"), NULL, "12", "\"12\"", SAME},
    {TYPE("text"), NULL, "NULL", "\"NULL\"", SAME},
    {TYPE("text"), NULL, "true", "\"true\"", SAME},
    {TYPE("text"), NULL, " a ", "\" a \"", SAME},
    {TYPE("text"), NULL, "a,\"b\"\r\n", "\"a,\\\"b\\\"\\r\\n\"", "\"a,\"\"b\"\"\r\n\""},
    {TYPE("text"), NULL, "\x01\x7F\xC3\xA4\xF4\x8F\xBF\xBF", "\"\\u0001\x7F\xC3\xA4\xF4\x8F\xBF\xBF\"", SAME},
    /* BOOLEAN */
    {TYPE("boolean"), NULL, NULL, "null", ""},
    {TYPE("boolean"), NULL, "true", "true", SAME},
    {TYPE("boolean"), NULL, "false", "false", SAME},
    {TYPE("boolean"), NULL, "1", "true", "true"},
    {TYPE("BOOLEAN"), NULL, "FALSE", "false", "false"},
    /* DATE: days, or text */
    {TYPE("date"), NULL, NULL, "null", ""},
    {TYPE("date"), NULL, "18262", "\"2020-01-01\"", "2020-01-01"},
    {TYPE("date"), NULL, "-719162", "\"0001-01-01\"", "0001-01-01"},
    {TYPE("date"), NULL, "2932896", "\"9999-12-31\"", "9999-12-31"},
    {TYPE("date"), NULL, "2020-01-01", "\"2020-01-01\"", SAME},
    {TYPE("date"), "DATE_OUTPUT_FORMAT", NULL, "null", ""},
    {TYPE("date"), "date_output_format", "2020", "\"2020\"", SAME},
    {TYPE("date"), "DATE_OUTPUT_FORMAT", "20200101", "\"20200101\"", SAME},
    {TYPE("date"), "DATE_OUTPUT_FORMAT", "01/02/2020", "\"01/02/2020\"", SAME},
    {TYPE("date"), "DATE_OUTPUT_FORMAT", "Fri, 2 Jan", "\"Fri, 2 Jan\"", "\"Fri, 2 Jan\""},
    {TYPE("date"), "TIME_OUTPUT_FORMAT", "18262", "\"2020-01-01\"", "2020-01-01"},
    /* TIME: seconds, or text */
    {SCALED("time", 9), NULL, NULL, "null", ""},
    {SCALED("time", 9), NULL, "82919.000000000", "\"23:01:59\"", "23:01:59"},
    {SCALED("time", 9), NULL, "0.000000000", "\"00:00:00\"", "00:00:00"},
    {SCALED("time", 9), NULL, "86399.999999999", "\"23:59:59.999999999\"", "23:59:59.999999999"},
    {SCALED("time", 0), NULL, "82919", "\"23:01:59\"", "23:01:59"},
    {SCALED("time", 9), NULL, "23:01:59", "\"23:01:59\"", SAME},
    {SCALED("time", 9), "TIME_OUTPUT_FORMAT", NULL, "null", ""},
    {SCALED("time", 9), "TIME_OUTPUT_FORMAT", "23", "\"23\"", SAME},
    {SCALED("time", 9), "TIME_OUTPUT_FORMAT", "11:01 PM", "\"11:01 PM\"", SAME},
    /* TIMESTAMP_NTZ */
    {SCALED("timestamp_ntz", 9), NULL, NULL, "null", ""},
    {SCALED("timestamp_ntz", 9), NULL, "1611871777.123456789", "\"2021-01-28T22:09:37.123456789\"",
     "2021-01-28T22:09:37.123456789"},
    {SCALED("timestamp_ntz", 3), NULL, "1611871777.120", "\"2021-01-28T22:09:37.120\"", "2021-01-28T22:09:37.120"},
    {SCALED("timestamp_ntz", 9), NULL, "-62135596800.000000000", "\"0001-01-01T00:00:00\"", "0001-01-01T00:00:00"},
    {SCALED("timestamp_ntz", 9), NULL, "253402300799.999999999", "\"9999-12-31T23:59:59.999999999\"",
     "9999-12-31T23:59:59.999999999"},
    {SCALED("timestamp_ntz", 9), NULL, "2021-01-28 22:09:37.123", "\"2021-01-28 22:09:37.123\"", SAME},
    {SCALED("timestamp_ntz", 9), "TIMESTAMP_NTZ_OUTPUT_FORMAT", "2021", "\"2021\"", SAME},
    {SCALED("timestamp_ntz", 9), "TIMESTAMP_OUTPUT_FORMAT", "20210128", "\"20210128\"", SAME},
    {SCALED("timestamp_ntz", 9), "TIMESTAMP_TZ_OUTPUT_FORMAT", "1611871777.000000000", "\"2021-01-28T22:09:37\"",
     "2021-01-28T22:09:37"},
    /* TIMESTAMP_LTZ */
    {SCALED("timestamp_ltz", 9), NULL, NULL, "null", ""},
    {SCALED("timestamp_ltz", 9), NULL, "1611871777.000000000", "\"2021-01-28T22:09:37Z\"", "2021-01-28T22:09:37Z"},
    {SCALED("timestamp_ltz", 9), NULL, "-0.000000001", "\"1969-12-31T23:59:59.999999999Z\"",
     "1969-12-31T23:59:59.999999999Z"},
    {SCALED("timestamp_ltz", 9), NULL, "2021-01-28 14:09:37.000 -0800", "\"2021-01-28 14:09:37.000 -0800\"", SAME},
    {SCALED("timestamp_ltz", 9), "TIMESTAMP_LTZ_OUTPUT_FORMAT", "2021", "\"2021\"", SAME},
    /* TIMESTAMP_TZ */
    {SCALED("timestamp_tz", 9), NULL, NULL, "null", ""},
    {SCALED("timestamp_tz", 9), NULL, "1616173619.000000000 1500", "\"2021-03-19T18:06:59+01:00\"",
     "2021-03-19T18:06:59+01:00"},
    {SCALED("timestamp_tz", 9), NULL, "1616173619.000000000 960", "\"2021-03-19T09:06:59-08:00\"",
     "2021-03-19T09:06:59-08:00"},
    {SCALED("timestamp_tz", 9), NULL, "253402297199.999999999 1500", "\"9999-12-31T23:59:59.999999999+01:00\"",
     "9999-12-31T23:59:59.999999999+01:00"},
    {SCALED("timestamp_tz", 9), NULL, "2021-03-19 18:06:59.000 +0100", "\"2021-03-19 18:06:59.000 +0100\"", SAME},
    {SCALED("timestamp_tz", 9), "TIMESTAMP_TZ_OUTPUT_FORMAT", "2021", "\"2021\"", SAME},
    /* BINARY */
    {TYPE("binary"), NULL, NULL, "null", ""},
    {TYPE("binary"), NULL, "", "\"\"", "\"\""},
    {TYPE("binary"), NULL, "00FF", "\"00FF\"", SAME},
    {TYPE("binary"), "BINARY_OUTPUT_FORMAT", "AP8=", "\"AP8=\"", SAME},
    /* VARIANT, OBJECT, ARRAY, MAP */
    {TYPE("variant"), NULL, NULL, "null", ""},
    {TYPE("variant"), NULL, "null", "null", SAME},
    {TYPE("variant"), NULL, "1", "1", SAME},
    {TYPE("variant"), NULL, DIGITS_38, DIGITS_38, SAME},
    {TYPE("variant"), NULL, "\"a, b\"", "\"a, b\"", "\"\"\"a, b\"\"\""},
    {TYPE("variant"), NULL, "\"NaN\"", "\"NaN\"", "\"\"\"NaN\"\"\""},
    {TYPE("variant"), NULL, "undefined", "null", SAME},
    {TYPE("variant"), NULL, "NaN", "null", SAME},
    {TYPE("variant"), NULL, "-Infinity", "null", SAME},
    {TYPE("variant"), NULL, "<a>1</a>", "\"<a>1</a>\"", SAME},
    {TYPE("variant"), NULL, "{\n  \"a\": -inf,\n  \"b\": [ \"x, undefined\", undefined, -1.5e3, NaN ]\n}",
     "{\"a\":null,\"b\":[\"x, undefined\",null,-1.5e3,null]}",
     "\"{\"\"a\"\":-inf,\"\"b\"\":[\"\"x, undefined\"\",undefined,-1.5e3,NaN]}\""},
    {TYPE("object"), NULL, "{}", "{}", SAME},
    {TYPE("object"), NULL, "{\n  \"k\": \"a\\\"b\\\\\"\n}", "{\"k\":\"a\\\"b\\\\\"}",
     "\"{\"\"k\"\":\"\"a\\\"\"b\\\\\"\"}\""},
    {TYPE("array"), NULL, "[]", "[]", SAME},
    {TYPE("array"), NULL, "[\n  undefined,\n  1\n]", "[null,1]", "\"[undefined,1]\""},
    {TYPE("map"), NULL, "{\n  \"1\": true\n}", "{\"1\":true}", "\"{\"\"1\"\":true}\""},
    /* VECTOR, GEOGRAPHY, GEOMETRY */
    {TYPE("vector"), NULL, NULL, "null", ""},
    {TYPE("vector"), NULL, "[1.000000,-2.500000]", "[1.000000,-2.500000]", "\"[1.000000,-2.500000]\""},
    {TYPE("geography"), NULL, "{\n  \"coordinates\": [ 1, 2 ],\n  \"type\": \"Point\"\n}",
     "{\"coordinates\":[1,2],\"type\":\"Point\"}", "\"{\"\"coordinates\"\":[1,2],\"\"type\"\":\"\"Point\"\"}\""},
    {TYPE("geometry"), NULL, "POINT(1 2)", "\"POINT(1 2)\"", SAME},
    {TYPE("geometry"), NULL, "0101000000000000000000F03F0000000000000040",
     "\"0101000000000000000000F03F0000000000000040\"", SAME},
    /* INTERVALs, and what comes next */
    {TYPE("interval_year_month"), NULL, "+1-02", "\"+1-02\"", SAME},
    {TYPE("interval_day_time"), NULL, "+1 02:03:04.000000", "\"+1 02:03:04.000000\"", SAME},
    {TYPE("uuid"), NULL, "12", "\"12\"", SAME},
    {TYPE("uuid"), NULL, NULL, "null", ""},
};

static struct column *column_of(struct arena *a, size_t i)
{
	json_t *row_type = NULL;
	json_t *parameters = json_object();
	struct column *column;
	char text[300];
	size_t n;

	snprintf(text, sizeof(text), "[{\"name\":\"C\",\"nullable\":true,%s}]", cells[i].type);
	assert_int_equal(json_parse(slice_of(text), 8, &row_type, NULL, 0), JSON_OK);
	assert_int_equal(columns_read(a, row_type, &column, &n), ERR_OK);
	assert_int_equal(n, 1);
	if (cells[i].format)
		json_object_set_new(parameters, cells[i].format, json_string("x"));
	columns_formatted(column, n, parameters);
	json_decref(parameters);
	json_decref(row_type);
	return column;
}

/* As a row of its own, and as a single cell. */
static void check(const struct column *column, size_t i, enum rows_format format, const char *wanted)
{
	static const char *const names[] = {"csv", "json", "jsonl"};
	static const char *const before[] = {"C\n", "[", "{\"C\":"}, *const behind[] = {"\n", "]", "}\n"};
	const char *cell = cells[i].cell;
	size_t n = cell ? strlen(cell) : 0;
	struct cell row = {cell, n, n};
	struct buf row_text = buf_with_ceiling(10000), cell_text = buf_with_ceiling(10000),
		   all = buf_with_ceiling(10000);
	struct rows_writer w;

	rows_begin(&w, format, column, 1, (struct rows_budget){SIZE_MAX, SIZE_MAX, SIZE_MAX}, &row_text);
	assert_true(rows_add(&w, &row, 1));
	assert_true(rows_cell(&cell_text, format, column, cell, n));
	buf_addf(&all, "%s%s%s", before[format], wanted, behind[format]);
	if (strcmp(buf_text(&row_text), buf_text(&all)) != 0 || strcmp(buf_text(&cell_text), wanted) != 0)
		fail_msg("%s %s as %s: %s %s, not %s", cells[i].type, cell, names[format], buf_text(&row_text),
			 buf_text(&cell_text), wanted);
	buf_free(&row_text);
	buf_free(&cell_text);
	buf_free(&all);
}

static void test_cells(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cells); i++) {
		struct arena *a = arena_new(10000);
		const struct column *column = column_of(a, i);

		check(column, i, ROWS_CSV, cells[i].csv ? cells[i].csv : cells[i].cell);
		check(column, i, ROWS_JSON, cells[i].json);
		check(column, i, ROWS_JSONL, cells[i].json);
		arena_free(a);
	}
}

static json_type type_of(size_t i)
{
	json_t *value = NULL;
	json_type type;

	if (strcmp(cells[i].json, DIGITS_38) == 0)
		return JSON_INTEGER;
	assert_int_equal(json_parse_trusted(slice_of(cells[i].json), &value), JSON_OK);
	type = json_is_boolean(value) ? JSON_TRUE : json_is_number(value) ? JSON_REAL : json_typeof(value);
	json_decref(value);
	return type;
}

/* The values of a declared type have one type in JSON, or are null; but for those that are JSON of any type. */
static void test_one_type(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cells); i++)
		for (size_t k = 0; k < i; k++) {
			json_type a, b;

			if (strcmp(cells[i].type, cells[k].type) != 0 || strstr(cells[i].type, "variant"))
				continue;
			a = type_of(i);
			b = type_of(k);
			if (a != b && a != JSON_NULL && b != JSON_NULL)
				fail_msg("%s and %s of %s", cells[i].json, cells[k].json, cells[i].type);
		}
}

/* What JSON has no word for is counted there, and only there. */
static void test_nulled(void **state)
{
	static const struct column columns[] = {
	    {"R", "REAL", COLUMN_REAL, true, -1, -1, false, NULL},
	    {"V", "VARIANT", COLUMN_SEMI, true, -1, -1, false, NULL},
	};
	static const struct cell row[] = {{"NaN", 3, 3}, {"[undefined,undefined]", 21, 21}}, fine[] = {{"1", 1, 1}};

	(void)state;
	for (int format = ROWS_CSV; format <= ROWS_JSONL; format++) {
		struct buf b = buf_with_ceiling(10000);
		struct rows_writer w;

		rows_begin(&w, (enum rows_format)format, columns, 2, (struct rows_budget){9, 900, 90}, &b);
		assert_true(rows_add(&w, row, 2));
		assert_true(rows_add(&w, fine, 1));
		assert_int_equal(w.nulled, format == ROWS_CSV ? 0 : 2);
		assert_int_equal(w.cells_cut, 0);
		buf_free(&b);
	}
}

/* AUTO is Snowflake's own default: it says nothing of the form. */
static void test_auto(void **state)
{
	struct column columns[] = {{"D", "DATE", COLUMN_DATE, true, -1, -1, false, NULL},
				   {"T", "TIME", COLUMN_TIME, true, 0, 9, false, NULL}};
	json_t *parameters = json_pack("{s:s, s:s, s:n}", "DATE_OUTPUT_FORMAT", "auto", "time_output_format", "SS",
				       "TIMESTAMP_OUTPUT_FORMAT");

	(void)state;
	columns_formatted(columns, 2, parameters);
	assert_false(columns[0].formatted);
	assert_true(columns[1].formatted);
	json_decref(parameters);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_auto),
	    cmocka_unit_test(test_cells),
	    cmocka_unit_test(test_one_type),
	    cmocka_unit_test(test_nulled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
