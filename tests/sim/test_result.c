/* Results that are read as they come: held at the window, given up, gone on with, and told row by row only once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../src/snowflake/internal.h"
/* one program per test file: this is a part of it */
#include "script.c"

#define HANDLE   "01b2c3d4-0000-0001-0000-000100020003"
#define RUNNING  "{\"code\":\"333334\",\"message\":\"as scripted\",\"statementHandle\":\"" HANDLE "\"}"
#define ROW_TYPE "\"rowType\":[{\"name\":\"N\",\"type\":\"text\",\"nullable\":true}]"
#define ROWS     20000 /* of 50 bytes: more than the window of a request, and than one visit to a WORKER */
#define ROW      "\"%06zu the quick brown fox jumps over the lazy dog\""

static struct buf big, parts[3];

static void add_rows(struct buf *b, size_t from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_addf(b, "%s[" ROW "]", i ? "," : "", from + i);
}

static int set_up(void **state)
{
	(void)state;
	big = buf_with_ceiling(4 << 20);
	buf_addf(&big,
		 "{\"resultSetMetaData\":{\"numRows\":%d," ROW_TYPE "},\"statementHandle\":\"" HANDLE "\",\"data\":[",
		 ROWS);
	add_rows(&big, 0, ROWS);
	buf_adds(&big, "]}");
	for (size_t p = 0; p < ARRAY_LEN(parts); p++)
		parts[p] = buf_with_ceiling(4 << 20);
	buf_addf(&parts[0],
		 "{\"resultSetMetaData\":{\"partitionInfo\":[{\"rowCount\":%d},{\"rowCount\":%d},{\"rowCount\":%d}]"
		 "," ROW_TYPE "},\"statementHandle\":\"" HANDLE "\",\"data\":[",
		 ROWS, ROWS, 10);
	add_rows(&parts[0], 0, ROWS);
	buf_adds(&parts[0], "]}");
	buf_adds(&parts[1], "{\"data\":[");
	add_rows(&parts[1], ROWS, ROWS);
	buf_adds(&parts[1], "]}");
	buf_adds(&parts[2], "[");
	add_rows(&parts[2], 2 * ROWS, 10);
	buf_adds(&parts[2], "]");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	buf_free(&big);
	for (size_t p = 0; p < ARRAY_LEN(parts); p++)
		buf_free(&parts[p]);
	return 0;
}

/* A call for a window of the result. */
static struct call *page(size_t offset, size_t rows)
{
	struct call *c = script_call(NULL);

	c->plan[0].kind = STATEMENT_ATTACH;
	c->plan[0].offset = offset;
	c->plan[0].rows = rows;
	c->plan[0].budget = (struct rows_budget){rows, 4 << 20, 2048};
	memcpy(c->plan[0].handle, HANDLE, sizeof HANDLE);
	c->deadline = clock_now() + 600 * USEC_PER_S;
	return c;
}

static void has(const struct call *c, size_t from, size_t n)
{
	struct buf want = buf_with_ceiling(4 << 20);

	buf_adds(&want, "N\n");
	for (size_t i = from; i < from + n; i++)
		buf_addf(&want, "%06zu the quick brown fox jumps over the lazy dog\n", i);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	assert_int_equal(c->plan[0].rows_n, n);
	assert_string_equal(buf_text(&c->plan[0].text), buf_text(&want));
	buf_free(&want);
}

static void test_whole(void **state)
{
	struct script_line lines[] = {{WIRE_POLL, .status = 200, .answer = buf_text(&big)}};
	struct call *c;

	(void)state;
	script_open(lines, ARRAY_LEN(lines));
	c = page(0, ROWS);
	script_start(c);
	assert_int_equal(script_run(), 1);
	has(c, 0, ROWS);
	assert_int_equal(c->plan[0].total_rows, ROWS);
	script_close();
}

/* The next page is read on from where the last one stopped: one request for all of them. */
static void test_read_on(void **state)
{
	struct script_line lines[] = {{WIRE_POLL, .status = 200, .answer = buf_text(&big)}};
	struct call *c[4];

	(void)state;
	script_open(lines, ARRAY_LEN(lines));
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = page(i * ROWS / 4, ROWS / 4);
		script_start_at(c[i], (usec_t)(1 + i * 50) * USEC_PER_S);
	}
	assert_int_equal(script_run(), 4);
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		has(c[i], i * ROWS / 4, ROWS / 4);
		assert_int_equal(c[i]->plan[0].total_rows, ROWS);
		assert_int_equal(c[i]->plan[0].columns_n, 1);
	}
	assert_int_equal(script_bytes(), big.n);
	assert_true(script_held() > 0);
	script_close();
}

/* Who comes for other rows, who is another, and who comes too late, asks anew; the first of them alone reads on. */
static void test_not_for_everybody(void **state)
{
	struct script_line lines[5];
	struct call *c[5];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		lines[i] = (struct script_line){WIRE_POLL, .status = 200, .answer = buf_text(&big)};
	script_open(lines, ARRAY_LEN(lines));
	c[0] = page(0, 1000);
	c[1] = page(2000, 1000); /* not the next one */
	c[2] = page(1000, 1000); /* somebody else's */
	snprintf(c[2]->request->principal.subject, sizeof c[2]->request->principal.subject, "bob");
	c[3] = page(1000, 1000);
	c[4] = page(2000, 500); /* that of 1 and that of 3 both wait here */
	for (size_t i = 0; i < ARRAY_LEN(c); i++)
		script_start_at(c[i], (usec_t)(1 + i) * USEC_PER_S);
	struct call *late = page(2500, 10), *later = page(2510, 10);
	script_start_at(late, 30 * USEC_PER_S);
	script_start_at(later, 100 * USEC_PER_S);
	assert_int_equal(script_run(), 7);
	has(c[0], 0, 1000);
	has(c[1], 2000, 1000);
	has(c[2], 1000, 1000);
	has(c[3], 1000, 1000);
	has(c[4], 2000, 500);
	has(late, 2500, 10);
	has(later, 2510, 10);
	script.at = script.n;
	script_close();
}

/* Pages over the borders of partitions; what is not wanted is not fetched. */
static void test_partitions(void **state)
{
	struct script_line lines[] = {
	    {WIRE_POLL, .status = 200, .answer = buf_text(&parts[0])},
	    {WIRE_FETCH, .with = "&partition=1", .status = 200, .answer = buf_text(&parts[1])},
	    {WIRE_FETCH, .with = "&partition=2", .status = 200, .answer = buf_text(&parts[2])}};
	struct call *first, *second, *third;

	(void)state;
	script_open(lines, ARRAY_LEN(lines));
	first = page(0, ROWS - 10);
	second = page(ROWS - 10, 20);
	third = page(ROWS + 10, ROWS);
	script_start_at(first, USEC_PER_S);
	script_start_at(second, 2 * USEC_PER_S);
	script_start_at(third, 3 * USEC_PER_S);
	assert_int_equal(script_run(), 3);
	has(first, 0, ROWS - 10);
	has(second, ROWS - 10, 20);
	has(third, ROWS + 10, ROWS);
	assert_int_equal(third->plan[0].total_rows, 2 * ROWS + 10);
	script_close();
}

/* Pages that end with a partition, and one that has no rows behind it. */
static void test_borders(void **state)
{
	static const char first[] = "{\"resultSetMetaData\":{\"partitionInfo\":[{\"rowCount\":2},{\"rowCount\":0},{"
				    "\"rowCount\":1}]," ROW_TYPE "},\"data\":[[\"1\"],[\"2\"]]}";
	static const struct script_line lines[] = {
	    {WIRE_POLL, .status = 200, .answer = first},
	    {WIRE_FETCH, .with = "&partition=2", .status = 200, .answer = "{\"data\":[[\"3\"]]}"}};
	struct call *c[3];

	(void)state;
	script_open(lines, ARRAY_LEN(lines));
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = page(i, 1);
		script_start_at(c[i], (usec_t)(1 + i) * USEC_PER_S);
	}
	assert_int_equal(script_run(), 3);
	assert_string_equal(buf_text(&c[0]->plan[0].text), "N\n1\n");
	assert_string_equal(buf_text(&c[1]->plan[0].text), "N\n2\n");
	assert_string_equal(buf_text(&c[2]->plan[0].text), "N\n3\n");
	script_close();
}

/* A page far behind: of partition 0 only the metadata is read. */
static void test_far(void **state)
{
	struct script_line lines[] = {
	    {WIRE_POLL, .status = 200, .answer = buf_text(&parts[0])},
	    {WIRE_FETCH, .with = "&partition=2", .status = 200, .answer = buf_text(&parts[2])}};
	struct call *c;

	(void)state;
	script_open(lines, ARRAY_LEN(lines));
	c = page(2 * ROWS + 5, 5);
	script_start(c);
	assert_int_equal(script_run(), 1);
	has(c, 2 * ROWS + 5, 5);
	assert_true(script_bytes() < 500000);
	script_close();
}

/* Broken in the middle, and not what it was announced as: read again, without a row told twice. */
static void test_broken(void **state)
{
	struct script_line lines[] = {
	    {WIRE_POLL, .status = 200, .answer = buf_text(&parts[0]), .breaks_after = 700000, .result = WIRE_BROKEN},
	    {WIRE_FETCH, .with = "&partition=1", .status = 200, .answer = buf_text(&parts[1]), .breaks_after = 600000,
	     .result = WIRE_TIMEOUT}, /* ahead, as the next */
	    {WIRE_FETCH, .with = "&partition=2", .status = 200, .answer = "[]"},
	    {WIRE_FETCH, .with = "&partition=0", .status = 200, .answer = buf_text(&parts[0])},
	    {WIRE_FETCH, .with = "&partition=1", .status = 503, .answer = ""},
	    {WIRE_FETCH, .with = "&partition=1", .status = 200, .answer = buf_text(&parts[1])},
	    {WIRE_FETCH, .with = "&partition=2", .status = 200, .answer = buf_text(&parts[2])}};
	struct call *c;

	(void)state;
	script_open(lines, ARRAY_LEN(lines));
	script_conf()->snowflake_retries = 4;
	c = page(0, 3 * ROWS);
	script_start(c);
	assert_int_equal(script_run(), 1);
	has(c, 0, 2 * ROWS + 10);
	script_close();
}

/* What is under way is given up. */
static void test_cancelled(void **state)
{
	for (usec_t at = 5; at < 60; at += 3) {
		struct script_line lines[] = {{WIRE_POLL, .status = 200, .answer = buf_text(&parts[0])},
					      {WIRE_FETCH, .status = 200, .answer = buf_text(&parts[1])},
					      {WIRE_FETCH, .status = 200, .answer = buf_text(&parts[2])}};
		struct call *c;

		(void)state;
		script_open(lines, ARRAY_LEN(lines));
		c = page(0, 3 * ROWS);
		script_start(c);
		script_cancel_at(1, at * USEC_PER_MS);
		assert_int_equal(script_run(), 1);
		assert_true(c->cancelled);
		script.at = script.n;
		script_close();
	}
}

/* Only the outcome is wanted: the rows behind the metadata stay where they are. */
static void test_outcome(void **state)
{
	struct script_line lines[] = {{WIRE_POLL, .status = 200, .answer = buf_text(&parts[0])}};
	struct call *c;

	(void)state;
	script_open(lines, ARRAY_LEN(lines));
	c = page(0, 0);
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	assert_int_equal(c->plan[0].total_rows, 2 * ROWS + 10);
	assert_int_equal(c->plan[0].columns_n, 1);
	assert_true(script_bytes() < 500000);
	script_close();
}

/* The caller was answered `running` before the rows came: nobody reads them. */
static void test_answered_before(void **state)
{
	struct script_line lines[] = {{WIRE_SUBMIT, .status = 202, .answer = RUNNING},
				      {WIRE_POLL, .status = 202, .answer = RUNNING, .takes = 2 * USEC_PER_S},
				      {WIRE_POLL, .status = 200, .answer = buf_text(&big)}};
	struct call *c;

	(void)state;
	script_open(lines, ARRAY_LEN(lines));
	c = script_call("SELECT 1");
	c->deadline = clock_now() + USEC_PER_S;
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(script_early(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	assert_int_equal(c->plan[0].rows_n, 0);
	assert_true(script_bytes() < 200000);
	script_close();
}

/* Rows that come one by one for ever are not waited for. */
static void test_too_slow(void **state)
{
	struct script_line lines[] = {{WIRE_POLL, .status = 200, .answer = buf_text(&parts[0])},
				      {WIRE_FETCH, .with = "&partition=1", .status = 200, .answer = buf_text(&parts[1]),
				       .takes = 3600 * USEC_PER_S}};
	struct call *c;

	(void)state;
	script_open(lines, ARRAY_LEN(lines));
	script_conf()->snowflake_retries = 0;
	c = page(ROWS, 10);
	c->deadline = clock_now() + 5 * USEC_PER_S;
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_FAILED);
	assert_true(script_elapsed() < 15 * USEC_PER_S);
	assert_non_null(strstr(c->plan[0].failure.message, "get_result"));
	assert_non_null(strstr(c->plan[0].failure.message, HANDLE));
	script_close();
}

/* A call that runs and brings all rows at once. */
static struct call *run_at_once(void)
{
	struct call *c = script_call("SELECT N");

	script_conf()->snowflake_submit = SUBMIT_SYNC;
	c->plan[0].rows = ROWS;
	c->plan[0].budget = (struct rows_budget){ROWS, 4 << 20, 2048};
	c->deadline = clock_now() + 600 * USEC_PER_S;
	return c;
}

/* Nobody knows where the other rows are. */
static void test_no_handle(void **state)
{
	static const char first[] =
	    "{\"resultSetMetaData\":{\"partitionInfo\":[{\"rowCount\":1},{\"rowCount\":1}]," ROW_TYPE
	    "},\"data\":[[\"1\"]]}";
	static const struct script_line lines[] = {{WIRE_SUBMIT, .status = 200, .answer = first}};
	struct call *c;

	(void)state;
	script_open(lines, ARRAY_LEN(lines));
	c = run_at_once();
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_FAILED);
	assert_int_equal(c->plan[0].failure.err, ERR_UPSTREAM_ANSWER);
	script_close();
}

/* A result that broke off before its handle came is submitted again, also where another has its place by then. */
static void test_broken_submission(void **state)
{
	struct script_line lines[] = {
	    {WIRE_SUBMIT, .without = "retry=true", .status = 200, .answer = buf_text(&big), .breaks_after = 700000,
	     .result = WIRE_BROKEN},
	    {WIRE_SUBMIT, .without = "retry=true", .status = 200, .answer = buf_text(&big), .takes = 5 * USEC_PER_S},
	    {WIRE_SUBMIT, .with = "retry=true", .status = 200, .answer = buf_text(&big)}};
	struct call *c[2];

	(void)state;
	script_open(lines, ARRAY_LEN(lines));
	script_conf()->snowflake_max_per_warehouse = 1;
	script_conf()->snowflake_max_waiting = 0;
	c[0] = run_at_once();
	c[1] = run_at_once();
	script_start(c[0]);
	script_start_at(c[1], 15 * USEC_PER_MS);
	assert_int_equal(script_run(), 2);
	has(c[0], 0, ROWS);
	has(c[1], 0, ROWS);
	script_close();
}

/* 202 says that a statement runs: of one that has ended it is another failure. */
static void test_not_ready(void **state)
{
	struct script_line lines[] = {{WIRE_POLL, .status = 200, .answer = buf_text(&parts[0])},
				      {WIRE_FETCH, .with = "&partition=1", .status = 202, .answer = RUNNING},
				      {WIRE_FETCH, .with = "&partition=1", .status = 202, .answer = RUNNING}};
	struct call *c;

	(void)state;
	script_open(lines, ARRAY_LEN(lines));
	script_conf()->snowflake_retries = 1;
	c = page(ROWS, 10);
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_FAILED);
	assert_non_null(strstr(c->plan[0].failure.message, "202"));
	script_close();
}

/* A result that outlives its token, again and again: each partition may have another one. */
static void test_renewed(void **state)
{
	static const char first[] =
	    "{\"resultSetMetaData\":{\"partitionInfo\":[{\"rowCount\":1},{\"rowCount\":1},{\"rowCount\":1},{"
	    "\"rowCount\":1},"
	    "{\"rowCount\":1}]," ROW_TYPE "},\"data\":[[\"0\"]],\"statementHandle\":\"" HANDLE "\"}";
	struct script_line lines[9] = {{WIRE_POLL, .status = 200, .answer = first}};
	struct call *c;

	(void)state;
	for (size_t i = 1; i < ARRAY_LEN(lines); i += 2) {
		lines[i] = (struct script_line){WIRE_FETCH, .status = 401, .answer = "{\"code\":\"390144\"}",
						.takes = 2 * USEC_PER_S};
		lines[i + 1] = (struct script_line){WIRE_FETCH, .status = 200, .answer = "{\"data\":[[\"1\"]]}",
						    .takes = 2 * USEC_PER_S};
	}
	script_open(lines, ARRAY_LEN(lines));
	c = page(0, 5);
	c->plan[0].metadata = true; /* nothing is asked for ahead */
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	assert_int_equal(c->plan[0].rows_n, 5);
	script_close();
}

/* Who only downloads is in nobody's way. */
static void test_shared_leaves_the_lane(void **state)
{
	struct script_line lines[] = {
	    {WIRE_SUBMIT, .status = 202, .answer = RUNNING},
	    {WIRE_POLL, .status = 200, .answer = buf_text(&big), .shared = true},
	    {WIRE_FETCH, .with = "&partition=0", .status = 200, .answer = buf_text(&big), .takes = 50 * USEC_PER_S},
	    {WIRE_SUBMIT, .status = 422, .answer = "{\"code\":\"001003\",\"message\":\"no\"}"}};
	struct call *c[2];

	(void)state;
	script_open(lines, ARRAY_LEN(lines));
	c[0] = run_at_once();
	c[1] = run_at_once();
	script_conf()->snowflake_submit = SUBMIT_ASYNC;
	script_conf()->snowflake_max_per_warehouse = 1;
	script_conf()->snowflake_max_waiting = 10;
	c[1]->deadline = clock_now() + 20 * USEC_PER_S;
	script_start(c[0]);
	script_start_at(c[1], USEC_PER_S);
	assert_int_equal(script_run(), 2);
	has(c[0], 0, ROWS);
	assert_int_equal(c[1]->plan[0].failure.err, ERR_SQL);
	script_close();
}

/* A connection that others are on is not held: what would have to be is asked for once more, on one of its own. */
static void test_shared(void **state)
{
	struct script_line lines[] = {{WIRE_POLL, .status = 200, .answer = buf_text(&big), .shared = true},
				      {WIRE_FETCH, .with = "&partition=0", .status = 200, .answer = buf_text(&big)}};
	struct call *c;

	(void)state;
	script_open(lines, ARRAY_LEN(lines));
	c = page(0, ROWS);
	script_start(c);
	assert_int_equal(script_run(), 1);
	has(c, 0, ROWS);
	assert_true(script_bytes() > big.n + SHARED_WINDOW);
	script_close();
}

/* The rows of a request of several statements are its last one's. */
static void test_children(void **state)
{
	static const char parent[] =
	    "{\"resultSetMetaData\":{\"numRows\":1,\"rowType\":[{\"name\":\"multiple statement "
	    "execution\",\"type\":\"text\"}]},\"data\":[[\"Multiple statements executed "
	    "successfully.\"]],\"statementHandle\":\"" HANDLE "\",\"statementHandles\":[\"c-1\",\"c-2\",\"c-3\"]}";
	static const char child[] =
	    "{\"resultSetMetaData\":{\"numRows\":1," ROW_TYPE "},\"data\":[[\"7\"]],\"statementHandle\":\"c-3\"}";

	(void)state;
	for (int settings = 0; settings < 2; settings++) {
		struct script_line lines[] = {{WIRE_SUBMIT, .status = 202, .answer = RUNNING},
					      {WIRE_POLL, .with = HANDLE, .status = 200, .answer = parent},
					      {WIRE_POLL, .with = "/statements/c-3?", .status = 200, .answer = child}};
		struct call *c;

		script_open(lines, ARRAY_LEN(lines));
		c = script_call("SELECT 1; SELECT 2; SELECT 7");
		c->plan[0].statements = 3 - (size_t)settings;
		c->plan[0].settings = settings ? "ALTER SESSION SET TIMEZONE = 'UTC'" : NULL;
		script_start(c);
		assert_int_equal(script_run(), 1);
		assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
		assert_string_equal(buf_text(&c->plan[0].text), "N\n7\n");
		assert_int_equal(c->plan[0].total_rows, 1);
		assert_string_equal(c->plan[0].handle, "c-3");
		assert_int_equal(c->plan[0].children_n, 3 - settings);
		assert_string_equal(c->plan[0].children[0], settings ? "c-2" : "c-1");
		script_close();
	}
}

/* ---- any result, any pages, any breaks ---- */

enum { PARTS_MAX = 6, LINES_MAX = 400 };
static struct {
	uint64_t state;
	struct buf docs[PARTS_MAX];
	size_t parts, rows;
	struct script_line lines[LINES_MAX];
} any;

static size_t chance(size_t below)
{
	any.state = any.state * 6364136223846793005u + 1442695040888963407u;
	return (size_t)(any.state >> 33) % below;
}

static size_t width_of(size_t row)
{
	return row * 2654435761u % 97 ? row * 2654435761u % 61 : 3000;
}

static void any_make(void)
{
	size_t counts[PARTS_MAX], at = 0;

	any.parts = 1 + chance(PARTS_MAX);
	any.rows = 0;
	for (size_t p = 0; p < any.parts; p++)
		any.rows += counts[p] = chance(4) ? chance(6000) : chance(3);
	for (size_t p = 0; p < any.parts; p++) {
		struct buf *b = &any.docs[p];

		*b = buf_with_ceiling(16 << 20);
		buf_adds(b, p ? "{\"data\":[" : "{\"resultSetMetaData\":{" ROW_TYPE ",\"partitionInfo\":[");
		for (size_t i = 0; !p && i < any.parts; i++)
			buf_addf(b, "%s{\"rowCount\":%zu}", i ? "," : "", counts[i]);
		if (!p)
			buf_addf(b, "],\"numRows\":%zu},\"data\":[", any.rows);
		for (size_t i = 0; i < counts[p]; i++, at++)
			buf_addf(b, "%s[\"%06zu%0*d\"]", i ? "," : "", at, (int)width_of(at), 0);
		buf_adds(b, "]}");
	}
}

static void any_send(struct wire *w, struct wire_request *rq)
{
	const char *partition = strstr(rq->path, "&partition=");
	size_t p = partition ? (size_t)(partition[strlen("&partition=")] - '0') : 0;
	struct script_line *line = &any.lines[script.at];

	assert_true(script.at < LINES_MAX && p < any.parts);
	*line = (struct script_line){rq->op, .status = 200, .answer = buf_text(&any.docs[p]), .shared = chance(9) == 0};
	if (chance(6) == 0) {
		line->breaks_after = 1 + chance(any.docs[p].n);
		line->result = WIRE_BROKEN;
	}
	script.n = script.at + 1;
	script_send(w, rq);
}

static void until_home(size_t n)
{
	while (script.home_n < n) {
		usec_t next;

		while (deliver_all())
			;
		next = wheel_next(script.wheel);
		if (script.home_n >= n || next == INT64_MAX)
			break;
		if (next > clock_now())
			clock_advance(next - clock_now());
		(void)wheel_run(script.wheel, clock_now());
	}
	assert_int_equal(script.home_n, n);
}

/* The rows that one page must have, and no others. */
static void is_page(const struct call *c, size_t offset, size_t limit)
{
	const struct statement *s = &c->plan[0];
	struct buf page_text = buf_with_ceiling(16 << 20);
	size_t most = offset < any.rows ? any.rows - offset : 0;

	assert_int_equal(s->state, STATEMENT_SUCCEEDED);
	assert_int_equal(s->total_rows, any.rows);
	if (s->writer.cut == CUT_NONE)
		assert_int_equal(s->rows_n, limit < most ? limit : most);
	assert_true(!most || s->rows_n > 0);
	buf_adds(&page_text, "N\n");
	for (size_t i = offset; i < offset + s->rows_n; i++) {
		if (width_of(i) == 3000)
			buf_addf(&page_text, "%06zu%02042d… (958 more bytes)\n", i, 0);
		else
			buf_addf(&page_text, "%06zu%0*d\n", i, (int)width_of(i), 0);
	}
	assert_string_equal(buf_text(&s->text), buf_text(&page_text));
	buf_free(&page_text);
}

static void any_pages(void)
{
	size_t offset = 0;

	for (size_t n = 1; n < HOME_MAX; n++) {
		size_t limit = 1 + chance(any.rows / 4 + 3);
		struct call *c = page(offset, limit);

		c->plan[0].budget.bytes = chance(3) ? 4 << 20 : 1000 + chance(30000);
		script_start(c);
		until_home(n);
		is_page(c, offset, limit);
		offset = chance(8) ? offset + c->plan[0].rows_n : chance(any.rows + 2);
		if (chance(10) == 0)
			clock_advance(61 * USEC_PER_S);
	}
}

static void test_any(void **state)
{
	struct wire wire = SCRIPT_WIRE;
	static const struct snowflake_ops ops = {.answer_early = early};

	(void)state;
	wire.send = any_send;
	for (any.state = 1; any.state < 60; any.state++) {
		uint64_t seed = any.state;

		any_make();
		script_open(any.lines, 0);
		snowflake_open(&script.conf, &ops, &wire, script.wheel);
		script_conf()->snowflake_retries = 20;
		any_pages();
		(void)script_run();
		script_close();
		for (size_t p = 0; p < any.parts; p++)
			buf_free(&any.docs[p]);
		any.state = seed;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_whole),
	    cmocka_unit_test(test_read_on),
	    cmocka_unit_test(test_not_for_everybody),
	    cmocka_unit_test(test_partitions),
	    cmocka_unit_test(test_far),
	    cmocka_unit_test(test_broken),
	    cmocka_unit_test(test_cancelled),
	    cmocka_unit_test(test_outcome),
	    cmocka_unit_test(test_answered_before),
	    cmocka_unit_test(test_too_slow),
	    cmocka_unit_test(test_shared),
	    cmocka_unit_test(test_any),
	    cmocka_unit_test(test_borders),
	    cmocka_unit_test(test_children),
	    cmocka_unit_test(test_no_handle),
	    cmocka_unit_test(test_broken_submission),
	    cmocka_unit_test(test_not_ready),
	    cmocka_unit_test(test_renewed),
	    cmocka_unit_test(test_shared_leaves_the_lane),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
