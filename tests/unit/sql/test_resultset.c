/* Documents of the SQL API read in slices of every size: rows, metadata, tail, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "snowgate/resultset.h"

#define NO_LIMIT SIZE_MAX

/* What a document says, as one line of text: "H2 [a|NULL|] E" ; "?" where it goes on, "!" where it is bad. Cells that
 * were cut are followed by "+" and the number of missing bytes. */
static void tell_row(struct buf *out, const struct resultset *r)
{
	size_t n;
	const struct cell *cells = resultset_row(r, &n);

	buf_addc(out, '[');
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_addc(out, '|');
		if (!cells[i].text)
			buf_adds(out, "NULL");
		else
			buf_add(out, cells[i].text, cells[i].n);
		if (cells[i].whole != cells[i].n)
			buf_addf(out, "+%zu", cells[i].whole - cells[i].n);
	}
	buf_addc(out, ']');
}

static void tell(struct buf *out, const struct resultset *r, enum resultset_event event)
{
	switch (event) {
	case RESULTSET_HEAD:
		buf_addf(out, "H%zu ", resultset_head(r)->columns_n);
		break;
	case RESULTSET_ROW:
		tell_row(out, r);
		break;
	case RESULTSET_END:
		buf_adds(out, "E");
		break;
	case RESULTSET_BAD:
		buf_adds(out, "!");
		break;
	default:
		buf_adds(out, "?");
	}
}

/* Each slice is memory of its own, which is gone when the next one comes. */
static struct buf read_in(struct resultset *r, struct slice text, size_t slice)
{
	struct buf out = buf_with_ceiling(1 << 24);
	enum resultset_event event = RESULTSET_MORE;

	for (size_t at = 0; at < text.n && event != RESULTSET_BAD; at += slice) {
		size_t n = text.n - at < slice ? text.n - at : slice;
		char *copy = xalloc(n);
		struct slice in = {copy, n};

		memcpy(copy, text.data + at, n);
		while ((event = resultset_next(r, &in)) == RESULTSET_HEAD || event == RESULTSET_ROW)
			tell(&out, r, event);
		if (event != RESULTSET_BAD)
			assert_int_equal(in.n, 0);
		free(copy);
	}
	tell(&out, r, event);
	return out;
}

static void check(bool first, size_t keep, struct slice text, const char *wanted)
{
	for (size_t slice = 1; slice <= text.n; slice++) {
		struct resultset *r = resultset_new(first, keep);
		struct buf got = read_in(r, text, slice);

		if (strcmp(buf_text(&got), wanted) != 0)
			fail_msg("%s in slices of %zu: %s, not %s", text.data, slice, buf_text(&got), wanted);
		buf_free(&got);
		resultset_free(r);
	}
}

#define META "\"resultSetMetaData\":{\"numRows\":2,\"rowType\":[{\"name\":\"A\",\"type\":\"text\"}]}"

static const struct {
	const char *text, *wanted;
} firsts[] = {
    {"{" META ",\"data\":[]}", "H1 E"},
    {"{" META ",\"data\":[[\"a\"],[null]]}", "H1 [a][NULL]E"},
    {" {" META " , \"data\" : [ [ \"a\" , \"b\" ] , [ ] ] } \n", "H1 [a|b][]E"},
    {"{\"data\":[[\"a\"],[\"]\\\"\"]]," META ",\"code\":\"1\"}", "H1 [a][]\"]E"},
    {"{\"data\":[]," META "}", "H1 E"},
    {"{\"code\":\"1\",\"data\":[[\"a\"]],\"x\":{\"data\":[1]}," META "}", "H1 [a]E"},
    {"{\"d\\u0061ta\":[[\"a\"]]," META "}", "H1 [a]E"},
    {"{\"code\":\"390318\",\"message\":\"no\"}", "E"},
    {"{}", "E"},
    {"{\"data\":null,\"code\":\"1\"}", "E"},
    {"{\"x\":{\"resultSetMetaData\":1,\"data\":[[1]]},\"y\":[\"data\",[\"data\"]]}", "E"},
    {"{" META ",\"data\":[[\"a\"]]", "H1 [a]?"},
    {"{" META ",\"data\":[[\"a\"", "H1 ?"},
    {"{" META "}", "!"},
    {"{\"data\":[]}", "!"},
    {"{\"data\":[[\"a\"]],\"data\":[]," META "}", "!"},
    {"{" META "," META ",\"data\":[]}", "H1 !"},
    {"{" META ",\"data\":[]}x", "H1 !"},
    {"{" META ",\"data\":[]}}", "H1 !"},
    {"{" META ",\"data\":[]]", "H1 !"},
    {"{" META ",\"data\":[] 1}", "H1 !"},
    {"{" META ",\"data\":1 []}", "H1 !"},
    {"{" META " \"data\":[]}", "!"},
    {"{" META ",\"data\":[],}", "H1 !"},
    {"{" META ",\"data\":[[\"a\"],]}", "H1 [a]!"},
    {"{" META ",\"data\":[\"a\"]}", "H1 !"},
    {"{" META ",\"data\":[{}]}", "H1 !"},
    {"{" META ",\"data\":[null]}", "H1 !"},
    {"{\"resultSetMetaData\":null,\"data\":[]}", "!"},
    {"{\"resultSetMetaData\":{\"rowType\":[{\"name\":1}]},\"data\":[]}", "!"},
    {"{\"resultSetMetaData\":{\"rowType\":[],\"partitionInfo\":[{}]},\"data\":[]}", "!"},
    {"[[\"a\"]]", "!"},
    {"\"a\"", "!"},
    {"x", "!"},
    {"<html>", "!"},
    {" ", "?"},
};

static void test_documents(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(firsts); i++)
		check(true, NO_LIMIT, slice_of(firsts[i].text), firsts[i].wanted);
}

static const struct {
	const char *text, *wanted;
} laters[] = {
    {"[]", "E"},
    {" [ [ \"a\" , null ] ] ", "[a|NULL]E"},
    {"{\"data\":[[\"a\"]]}", "[a]E"},
    {"{\"data\":[[\"a\"]]," META ",\"code\":\"1\"}", "[a]E"},
    {"{" META "}", "!"},
    {"{}", "!"},
    {"{\"data\":null}", "!"},
    {"[[\"a\"]", "[a]?"},
    {"[[\"a\"]]]", "[a]!"},
    {"[[\"a\"]],", "[a]!"},
    {"[[\"a\"][\"b\"]]", "[a]!"},
    {"[[\"a\"\"b\"]]", "!"},
    {"[[\"a\",]]", "!"},
    {"[[,\"a\"]]", "!"},
    {"[,[\"a\"]]", "!"},
    {"[[\"a\"}]", "!"},
    {"[[\"a\"", "?"},
    {"[[\"a", "?"},
    {"[[\"\\", "?"},
    /* escapes */
    {"[[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]]", "[\"\\/\b\f\n\r\t]E"},
    {"[[\"a\\u0041b\\u00e4\\u20AC\\ud83d\\uDE00c\"]]", "[aAb\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"
						       "c]E"},
    {"[[\"a\\nb\",\"c\"],[\"\",\"\\t\"]]", "[a\nb|c][|\t]E"},
    {"[[\"\\x\"]]", "!"},
    {"[[\"\\u12G4\"]]", "!"},
    {"[[\"\\u123\"]]", "!"},
    {"[[\"a\nb\"]]", "!"},
    {"[[\"a\tb\"]]", "!"},
    /* lone surrogates */
    {"[[\"\\ud83d\"]]", "[\xEF\xBF\xBD]E"},
    {"[[\"a\\ud83db\"]]", "[a\xEF\xBF\xBD"
			  "b]E"},
    {"[[\"\\ud83d\\n\"]]", "[\xEF\xBF\xBD\n]E"},
    {"[[\"\\ud83d\\u0041\"]]", "[\xEF\xBF\xBD"
			       "A]E"},
    {"[[\"\\ud83d\\ud83d\\ude00\"]]", "[\xEF\xBF\xBD\xF0\x9F\x98\x80]E"},
    {"[[\"\\ude00\\ud83d\"]]", "[\xEF\xBF\xBD\xEF\xBF\xBD]E"},
    /* UTF-8 and what is none, byte by byte */
    {"[[\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\"]]", "[\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80]E"},
    {"[[\"a\xFF\"]]", "[a\xEF\xBF\xBD]E"},
    {"[[\"\xC3\"]]", "[\xEF\xBF\xBD]E"},
    {"[[\"\xC3x\"]]", "[\xEF\xBF\xBDx]E"},
    {"[[\"\xE2\x82\"]]", "[\xEF\xBF\xBD\xEF\xBF\xBD]E"},
    {"[[\"\xE2\x82\xE2\x82\xAC\"]]", "[\xEF\xBF\xBD\xEF\xBF\xBD\xE2\x82\xAC]E"},
    {"[[\"\xED\xA0\x80\"]]", "[\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD]E"},
    {"[[\"\xC0\x80\"]]", "[\xEF\xBF\xBD\xEF\xBF\xBD]E"},
    {"[[\"\x80\\n\"]]", "[\xEF\xBF\xBD\n]E"},
    {"[[\"\xF0\x9F\\n\"]]", "[\xEF\xBF\xBD\xEF\xBF\xBD\n]E"},
    /* cells that are no strings */
    {"[[1,-1.5e3,true,false,null]]", "[1|-1.5e3|true|false|NULL]E"},
    {"[[ 1 , true , null ]]", "[1|true|NULL]E"},
    {"[[{\"a\": [1, \"]\\\"\"]},[[]], \"b\"]]", "[{\"a\": [1, \"]\\\"\"]}|[[]]|b]E"},
    {"[[nul]]", "!"},
    {"[[nulll]]", "!"},
    {"[[01]]", "!"},
    {"[[1.]]", "!"},
    {"[[NaN]]", "!"},
    {"[[{a}]]", "!"},
    {"[[{]}]]", "!"},
    {"[[1 2]]", "!"},
    {"[[undefined]]", "!"},
};

static void test_partitions(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(laters); i++)
		check(false, NO_LIMIT, slice_of(laters[i].text), laters[i].wanted);
}

/* `keep` bytes of a cell, whole characters, escapes unescaped first. */
static void test_keep(void **state)
{
	(void)state;
	check(false, 4, SLICE("[[\"abcd\",\"abcde\",\"\"]]"), "[abcd|abcd+1|]E");
	check(false, 4, SLICE("[[\"abc\xC3\xA4\",\"abc\\u00e4x\",\"\\n\\n\\n\\n\"]]"), "[abc+2|abc+3|\n\n\n\n]E");
	check(false, 4, SLICE("[[\"ab\\ud83d\\ude00cd\",12345,123456]]"), "[ab+6|1234+1|1234+2]E");
	check(false, 4, SLICE("[[\"ab\xC3\xA4\xC3\xA4\",\"abc\xFFx\"]]"), "[ab\xC3\xA4+2|abc+4]E");
	check(false, 0, SLICE("[[\"a\",null,\"\"]]"), "[+1|NULL|]E");
}

static void test_nul(void **state)
{
	struct resultset *r = resultset_new(false, NO_LIMIT);
	struct slice in = SLICE("[[\"a\\u0000b\"]]");
	const struct cell *cells;
	size_t n;

	(void)state;
	assert_int_equal(resultset_next(r, &in), RESULTSET_ROW);
	cells = resultset_row(r, &n);
	assert_int_equal(n, 1);
	assert_int_equal(cells[0].n, 3);
	assert_memory_equal(cells[0].text, "a\0b", 3);
	assert_int_equal(resultset_next(r, &in), RESULTSET_END);
	resultset_free(r);
	check(false, NO_LIMIT, SLICE("[[\"a\0\"]]"), "!");
	check(true, NO_LIMIT, SLICE("{\"a\":\"\0\"}"), "!");
}

/* ---- metadata and tail ---- */

static enum resultset_event skip_rows(struct resultset *r, struct slice in)
{
	enum resultset_event event;

	while ((event = resultset_next(r, &in)) == RESULTSET_HEAD || event == RESULTSET_ROW)
		;
	return event;
}

static void test_head(void **state)
{
	struct resultset *r = resultset_new(true, NO_LIMIT);
	struct slice in =
	    SLICE("{\"resultSetMetaData\":{\"numRows\":5,\"partitionInfo\":[{\"rowCount\":2},{\"rowCount\":3}],"
		  "\"rowType\":[{\"name\":\"A\",\"type\":\"fixed\",\"precision\":9,\"scale\":0},"
		  "{\"name\":\"B\",\"type\":\"text\"}]},\"data\":[");
	const struct resultset_head *h;

	(void)state;
	assert_null(resultset_head(r));
	assert_int_equal(resultset_next(r, &in), RESULTSET_HEAD);
	h = resultset_head(r);
	assert_int_equal(h->columns_n, 2);
	assert_string_equal(h->columns[0].name, "A");
	assert_int_equal(h->columns[0].kind, COLUMN_FIXED);
	assert_int_equal(h->total_rows, 5);
	assert_int_equal(h->partitions_n, 2);
	assert_int_equal(h->partition_rows[0], 2);
	assert_int_equal(h->partition_rows[1], 3);
	assert_int_equal(resultset_next(r, &in), RESULTSET_MORE);
	resultset_free(r);
	r = resultset_new(true, NO_LIMIT);
	assert_int_equal(skip_rows(r, SLICE("{\"resultSetMetaData\":{\"rowType\":[]},\"data\":[]}")), RESULTSET_END);
	assert_int_equal(resultset_head(r)->total_rows, -1);
	assert_null(resultset_head(r)->partition_rows);
	resultset_free(r);
}

static void test_tail(void **state)
{
	struct resultset *r = resultset_new(true, NO_LIMIT);
	const struct resultset_tail *t = resultset_tail(r);

	(void)state;
	assert_null(t->code);
	assert_int_equal(
	    skip_rows(
		r,
		SLICE("{\"data\":[[\"1\"]]," META ",\"code\":\"090001\",\"sqlState\":\"00000\","
		      "\"message\":\"a \\\"b\\\"\",\"statementHandle\":\"01b0\",\"statementHandles\":[\"x\",1,\"y\"],"
		      "\"createdOn\":1597090533987,\"stats\":{\"numRowsInserted\":1,\"numRowsUpdated\":2,"
		      "\"numRowsDeleted\":3,\"numDuplicateRowsUpdated\":4}}")),
	    RESULTSET_END);
	t = resultset_tail(r);
	assert_string_equal(t->code, "090001");
	assert_string_equal(t->sqlstate, "00000");
	assert_string_equal(t->message, "a \"b\"");
	assert_string_equal(t->handle, "01b0");
	assert_int_equal(t->children_n, 2);
	assert_string_equal(t->children[1], "y");
	assert_true(t->has_stats);
	assert_int_equal(t->inserted, 1);
	assert_int_equal(t->updated, 2);
	assert_int_equal(t->deleted, 3);
	assert_int_equal(t->duplicates, 4);
	assert_int_equal(resultset_rows(r), 1);
	assert_int_equal(skip_rows(r, SLICE(" \n")), RESULTSET_END);
	assert_int_equal(skip_rows(r, SLICE("")), RESULTSET_END);
	assert_int_equal(skip_rows(r, SLICE("x")), RESULTSET_BAD);
	assert_int_equal(skip_rows(r, SLICE("")), RESULTSET_BAD);
	resultset_free(r);
}

/* ---- limits ---- */

/* `n` times the same text, in slices of 64 KiB at most. */
static enum resultset_event repeat(struct resultset *r, struct slice text, size_t n)
{
	size_t at_once = text.n < 65536 ? 65536 / text.n : 1;
	struct buf b = buf_with_ceiling(1 << 20);
	enum resultset_event event = RESULTSET_MORE;

	for (size_t i = 0; i < at_once; i++)
		buf_add(&b, text.data, text.n);
	for (; n && event == RESULTSET_MORE; n -= at_once) {
		at_once = at_once < n ? at_once : n;
		event = skip_rows(r, (struct slice){b.data, at_once * text.n});
	}
	buf_free(&b);
	return event;
}

static void test_around_limit(void **state)
{
	struct resultset *r = resultset_new(false, NO_LIMIT);

	(void)state;
	assert_int_equal(skip_rows(r, SLICE("{\"x\":[")), RESULTSET_MORE);
	assert_int_equal(repeat(r, SLICE("\"0123456789\","), RESULTSET_AROUND_MAX / 13 - 1), RESULTSET_MORE);
	assert_int_equal(repeat(r, SLICE("\"0123456789\","), 2), RESULTSET_BAD);
	resultset_free(r);
	r = resultset_new(false, NO_LIMIT);
	assert_int_equal(skip_rows(r, SLICE("{\"x\":")), RESULTSET_MORE);
	assert_int_equal(repeat(r, SLICE("["), 1000), RESULTSET_BAD);
	resultset_free(r);
}

static void test_early_limit(void **state)
{
	struct resultset *r = resultset_new(true, NO_LIMIT);

	(void)state;
	assert_int_equal(skip_rows(r, SLICE("{\"data\":[[]")), RESULTSET_MORE);
	assert_int_equal(repeat(r, SLICE(",[null]"), RESULTSET_EARLY_MAX / 7 - 1), RESULTSET_MORE);
	assert_int_equal(repeat(r, SLICE(",[null]"), 2), RESULTSET_BAD);
	resultset_free(r);
}

static void test_cells_limit(void **state)
{
	struct resultset *r = resultset_new(false, NO_LIMIT);

	(void)state;
	assert_int_equal(skip_rows(r, SLICE("[[\"\"")), RESULTSET_MORE);
	assert_int_equal(repeat(r, SLICE(",null"), RESULTSET_CELLS_MAX - 1), RESULTSET_MORE);
	assert_int_equal(repeat(r, SLICE(",\"\""), 2), RESULTSET_BAD);
	resultset_free(r);
	r = resultset_new(false, NO_LIMIT);
	assert_int_equal(skip_rows(r, SLICE("[[[")), RESULTSET_MORE);
	assert_int_equal(repeat(r, SLICE("12345678,"), RESULTSET_VALUE_MAX / 9 + 1), RESULTSET_BAD);
	resultset_free(r);
}

/* A row keeps RESULTSET_ROW_MAX bytes, and counts the others. */
static void test_row_limit(void **state)
{
	struct resultset *r = resultset_new(false, NO_LIMIT);
	struct slice in = SLICE("\",\"ab\"]");
	const struct cell *cells;
	size_t n;

	(void)state;
	assert_int_equal(skip_rows(r, SLICE("[[\"abc\",\"")), RESULTSET_MORE);
	assert_int_equal(repeat(r, SLICE("abcdefgh"), RESULTSET_ROW_MAX / 8), RESULTSET_MORE);
	assert_int_equal(resultset_next(r, &in), RESULTSET_ROW);
	cells = resultset_row(r, &n);
	assert_int_equal(n, 3);
	assert_int_equal(cells[0].n, 3);
	assert_memory_equal(cells[0].text, "abc", 3);
	assert_int_equal(cells[1].n, RESULTSET_ROW_MAX - 3);
	assert_int_equal(cells[1].whole, RESULTSET_ROW_MAX);
	assert_memory_equal(cells[1].text + RESULTSET_ROW_MAX - 16, "abcdefgh", 8);
	assert_int_equal(cells[2].n, 0);
	assert_int_equal(cells[2].whole, 2);
	in = SLICE(",[\"x\"]");
	assert_int_equal(resultset_next(r, &in), RESULTSET_ROW);
	assert_int_equal(resultset_row(r, &n)[0].whole, 1);
	resultset_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_documents),    cmocka_unit_test(test_partitions),  cmocka_unit_test(test_keep),
	    cmocka_unit_test(test_nul),          cmocka_unit_test(test_head),        cmocka_unit_test(test_tail),
	    cmocka_unit_test(test_around_limit), cmocka_unit_test(test_early_limit), cmocka_unit_test(test_cells_limit),
	    cmocka_unit_test(test_row_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
