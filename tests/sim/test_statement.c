/* Statements from sign to shape against a scripted Snowflake: the orders of events that count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "snowgate/metric.h"
#include "script.h"
/* one program per test file: the script is a part of it */
#include "script.c"

#define HANDLE "01b2c3d4-0000-0001-0000-000100020003"
#define STATUS(code, state)                                                                                            \
	"{\"code\":\"" code "\",\"sqlState\":\"" state "\",\"message\":\"as scripted\",\"statementHandle\":\"" HANDLE  \
	"\"}"
#define RUNNING   STATUS("333334", "00000")
#define CANCELLED STATUS("000604", "57014")
#define ROW_TYPE  "\"rowType\":[{\"name\":\"N\",\"type\":\"fixed\",\"precision\":38,\"scale\":0,\"nullable\":true}]"
#define ONE_ROW                                                                                                        \
	"{\"resultSetMetaData\":{\"numRows\":1,\"format\":\"jsonv2\",\"partitionInfo\":[{\"rowCount\":1}]," ROW_TYPE   \
	"},\"data\":[[\"1\"]],\"code\":\"090001\",\"sqlState\":\"00000\",\"statementHandle\":\"" HANDLE "\"}"
#define FOUR_PARTITIONS                                                                                                \
	"{\"resultSetMetaData\":{\"numRows\":5,\"partitionInfo\":[{\"rowCount\":2},{\"rowCount\":1},{\"rowCount\":1}," \
	"{\"rowCount\":1}]," ROW_TYPE "},\"data\":[[\"1\"],[\"2\"]],\"statementHandle\":\"" HANDLE "\"}"

#define BEGIN(...)                                                                                                     \
	static const struct script_line lines[] = {__VA_ARGS__};                                                       \
	(void)state;                                                                                                   \
	script_open(lines, ARRAY_LEN(lines))

static void set_handle(struct call *c)
{
	snprintf(c->plan[0].handle, sizeof c->plan[0].handle, "%s", HANDLE);
}

static void test_happy_async(void **state)
{
	BEGIN({WIRE_SUBMIT, .with = "&async=true", .without = "retry=true", .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .with = "/api/v2/statements/" HANDLE "?", .status = 200, .answer = ONE_ROW});
	struct call *c = script_call("SELECT 1");
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	assert_int_equal(c->plan[0].failure.err, ERR_OK);
	assert_string_equal(c->plan[0].handle, HANDLE);
	assert_int_equal(c->plan[0].rows_n, 1);
	assert_int_equal(script_stored(), 0);
	assert_int_equal(script_elapsed(), 20 * USEC_PER_MS);
	script_close();
}

static void test_query_tag(void **state)
{
	BEGIN({WIRE_SUBMIT, .with = "\"QUERY_TAG\":\"{\\\"app\\\":\\\"snowgate\\\",\\\"principal\\\":\\\"",
	       .status = 200, .answer = ONE_ROW});
	script_start(script_call("SELECT 1"));
	assert_int_equal(script_run(), 1);
	script_close();
}

/* The gateway's own short statements go sync: the answer comes with the submission. */
static void test_metadata_sync(void **state)
{
	BEGIN({WIRE_SUBMIT, .without = "async", .status = 200, .answer = ONE_ROW});
	struct call *c = script_call("SHOW TABLES");
	c->plan[0].metadata = true;
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	assert_string_equal(c->plan[0].handle, HANDLE);
	script_close();
}

static void test_polls(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING}, {WIRE_POLL, .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 202}, {WIRE_POLL, .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW});
	struct call *c = script_call("SELECT 1");
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].polls, 3);
	/* 5 answers of 10 ms and the delays 0, 20, 50, 100 */
	assert_int_equal(script_elapsed(), (50 + 170) * USEC_PER_MS);
	script_close();
}

/* 429 with a handle: still running. 429 without: refused; the same again, later. */
static void test_429(void **state)
{
	BEGIN({WIRE_SUBMIT, .without = "retry=true", .status = 429,
	       .answer = "{\"code\":\"390505\",\"message\":\"Too many requests.\"}", .retry_after_s = 3},
	      {WIRE_SUBMIT, .with = "retry=true", .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 429, .answer = RUNNING}, {WIRE_POLL, .status = 200, .answer = ONE_ROW});
	struct call *c = script_call("SELECT 1");
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	assert_int_equal(script_request_ids(), 1);
	assert_true(script_elapsed() >= 3 * USEC_PER_S);
	script_close();
}

static void test_429_for_ever(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 429}, {WIRE_SUBMIT, .status = 429}, {WIRE_SUBMIT, .status = 429},
	      {WIRE_SUBMIT, .status = 429}, {WIRE_SUBMIT, .status = 429});
	struct call *c = script_call("SELECT 1");
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_FAILED);
	assert_int_equal(c->plan[0].failure.err, ERR_UPSTREAM_BUSY);
	script_close();
}

static void test_5xx(void **state)
{
	BEGIN({WIRE_SUBMIT, .without = "retry=true", .status = 503},
	      {WIRE_SUBMIT, .with = "retry=true", .status = 500, .answer = "<html>"},
	      {WIRE_SUBMIT, .with = "retry=true", .status = 202, .answer = RUNNING}, {WIRE_POLL, .status = 502},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW});
	struct call *c = script_call("SELECT 1");
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	assert_int_equal(script_request_ids(), 1);
	script_close();
}

static void test_sql_error(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 422, .answer = STATUS("002003", "42S02")});
	struct call *c = script_call("SELECT X");
	c->plan_n = 2;
	c->plan[1] = c->plan[0];
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan_at, 0);
	assert_int_equal(c->plan[0].state, STATEMENT_FAILED);
	assert_int_equal(c->plan[0].failure.err, ERR_SQL);
	assert_string_equal(c->plan[0].failure.code, "002003");
	assert_string_equal(c->plan[0].failure.sqlstate, "42S02");
	assert_string_equal(c->plan[0].failure.message, "as scripted");
	script_close();
}

static void test_statement_timeout(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 408, .answer = STATUS("000630", "57014")});
	struct call *c = script_call("INSERT");
	c->plan[0].write = true;
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_FAILED);
	assert_int_equal(c->plan[0].failure.err, ERR_TIMEOUT);
	script_close();
}

/* 401: a new token and the same request, once. */
static void test_renewal(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 401, .answer = "{\"code\":\"390144\",\"message\":\"JWT token is invalid.\"}",
	       .takes = 2 * USEC_PER_S},
	      {WIRE_SUBMIT, .without = "retry=true", .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW});
	struct call *c = script_call("SELECT 1");
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	assert_int_equal(script_tokens(), 2);
	assert_int_equal(script_request_ids(), 1);
	script_close();
}

static void test_credentials_refused(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 401, .answer = "{\"code\":\"390144\",\"message\":\"JWT token is invalid.\"}"},
	      {WIRE_SUBMIT, .status = 401, .answer = "{\"code\":\"390144\",\"message\":\"JWT token is invalid.\"}"});
	struct call *c = script_call("SELECT 1");
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].failure.err, ERR_UPSTREAM_AUTH);
	assert_non_null(strstr(c->plan[0].failure.message, "snowflake.connections.test"));
	assert_null(strstr(c->plan[0].failure.message, "eyJ"));
	script_close();
}

/* A cancel that comes before its call: nothing is sent. */
static void test_cancel_before_sign(void **state)
{
	(void)state;
	script_open(NULL, 0);
	struct call *c = script_call("SELECT 1");
	snowflake_cancel(c->ticket);
	assert_int_equal(script_run(), 0);
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_CANCELLED);
	assert_true(c->cancelled);
	script_close();
}

/* A cancel while the handle is unknown is kept and sent when it is there; before any poll. */
static void test_cancel_before_handle(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING, .takes = 200 * USEC_PER_MS},
	      {WIRE_CANCEL, .with = HANDLE "/cancel", .status = 200, .answer = CANCELLED});
	struct call *c = script_call("SELECT 1");
	int64_t before = metric_value(METRIC_statements_cancelled, NULL);
	script_start(c);
	script_cancel_at(1, 50 * USEC_PER_MS);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_CANCELLED);
	assert_true(c->cancelled);
	assert_int_equal(metric_value(METRIC_statements_cancelled, NULL), before + 1);
	script_close();
}

/* The first try of the submission may have arrived: it is asked for its handle, so that it can be cancelled. */
static void test_cancel_between_tries(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 503}, {WIRE_SUBMIT, .with = "retry=true", .status = 202, .answer = RUNNING},
	      {WIRE_CANCEL, .status = 200, .answer = CANCELLED});
	struct call *c = script_call("SELECT 1");
	script_start(c);
	script_cancel_at(1, 50 * USEC_PER_MS);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_CANCELLED);
	script_close();
}

/* Nothing can have arrived: nothing more is sent. */
static void test_cancel_after_refusal(void **state)
{
	BEGIN({WIRE_SUBMIT, .result = WIRE_REFUSED});
	struct call *c = script_call("SELECT 1");
	script_start(c);
	script_cancel_at(1, 50 * USEC_PER_MS);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_CANCELLED);
	assert_true(script_elapsed() < 100 * USEC_PER_MS);
	script_close();
}

/* Between two polls, and with a poll under way, which is given up. */
static void test_cancel_while_polling(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING}, {WIRE_POLL, .status = 202, .answer = RUNNING},
	      {WIRE_CANCEL, .status = 200, .answer = CANCELLED}, {WIRE_SUBMIT, .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW, .takes = 30 * USEC_PER_S},
	      {WIRE_CANCEL, .status = 422, .answer = STATUS("000709", "02000")});
	struct call *between = script_call("SELECT 1"), *under_way = script_call("SELECT 2");
	script_start(between);
	script_cancel_at(1, 30 * USEC_PER_MS);
	assert_int_equal(script_run(), 1);
	assert_int_equal(between->plan[0].state, STATEMENT_CANCELLED);
	script_start(under_way);
	script_cancel_at(2, 5 * USEC_PER_S);
	assert_int_equal(script_run(), 2);
	assert_int_equal(under_way->plan[0].state, STATEMENT_CANCELLED);
	assert_true(script_elapsed() < 6 * USEC_PER_S);
	script_close();
}

/* The statement had ended when the cancel came: it is what it is. */
static void test_cancel_loses(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING}, {WIRE_POLL, .status = 202, .answer = RUNNING},
	      {WIRE_CANCEL, .status = 422, .answer = STATUS("000605", "57014")},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW});
	struct call *c = script_call("INSERT");
	c->plan[0].write = true;
	script_start(c);
	script_cancel_at(1, 30 * USEC_PER_MS);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	assert_true(c->cancelled);
	script_close();
}

static void test_cancel_unanswered(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING}, {WIRE_POLL, .status = 202, .answer = RUNNING},
	      {WIRE_CANCEL, .status = 503}, {WIRE_CANCEL, .result = WIRE_BROKEN}, {WIRE_CANCEL, .result = WIRE_TIMEOUT},
	      {WIRE_POLL, .status = 422, .answer = CANCELLED});
	struct call *c = script_call("SELECT 1");
	script_start(c);
	script_cancel_at(1, 30 * USEC_PER_MS);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_CANCELLED);
	script_close();
}

/* The caller's patience ends before the statement does: answered early, and gone on to the end without rows. */
static void test_early_answer(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 202, .answer = RUNNING, .takes = 5 * USEC_PER_S},
	      {WIRE_POLL, .status = 200, .answer = FOUR_PARTITIONS});
	struct call *c = script_call("SELECT 1");
	c->deadline = clock_now() + USEC_PER_S;
	c->plan_n = 2;
	c->plan[1] = c->plan[0];
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(script_early(), 1);
	assert_true(c->answered);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	assert_int_equal(c->plan_at, 0);
	assert_int_equal(c->plan[0].rows_n, 0);
	script_close();
}

/* A metadata statement has no handle a client could use: it is waited for. */
static void test_no_early_answer_for_metadata(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 202, .answer = RUNNING, .takes = 5 * USEC_PER_S},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW});
	struct call *c = script_call("SHOW TABLES");
	c->deadline = clock_now() + USEC_PER_S;
	c->plan[0].metadata = true;
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(script_early(), 0);
	assert_int_equal(c->plan[0].rows_n, 1);
	script_close();
}

/* Beyond what Snowflake grants it, and a minute: cancelled and given up. */
static void test_overdue(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 202, .answer = RUNNING, .takes = 59 * USEC_PER_S},
	      {WIRE_POLL, .status = 202, .answer = RUNNING, .takes = 59 * USEC_PER_S},
	      {WIRE_CANCEL, .status = 200, .answer = CANCELLED});
	struct call *c = script_call("SELECT 1");
	c->plan[0].timeout_s = 10;
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_FAILED);
	assert_int_equal(c->plan[0].failure.err, ERR_TIMEOUT);
	assert_false(c->cancelled);
	script_close();
}

static void test_window(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING}, {WIRE_POLL, .status = 200, .answer = FOUR_PARTITIONS},
	      {WIRE_FETCH, .with = "&partition=2", .status = 200, .answer = "{\"data\":[[\"4\"]]}"});
	struct call *c = script_call("SELECT 1");
	c->plan[0].offset = 3;
	c->plan[0].rows = 1;
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].total_rows, 5);
	assert_int_equal(c->plan[0].rows_n, 1);
	assert_string_equal(buf_text(&c->plan[0].text), "N\n4\n");
	script_close();
}

/* A partition is fetched again where it came broken. */
static void test_fetch_retries(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 200, .answer = FOUR_PARTITIONS},
	      {WIRE_FETCH, .with = "&partition=1", .result = WIRE_BROKEN},
	      {WIRE_FETCH, .with = "&partition=2", .status = 200, .answer = "[[\"4\"]]"}, /* ahead */
	      {WIRE_FETCH, .with = "&partition=1", .status = 200, .answer = "{\"data\":[]}"},
	      {WIRE_FETCH, .with = "&partition=1", .status = 200, .answer = "{\"data\":[[\"3\"]]}"});
	struct call *c = script_call("SELECT 1");
	c->plan[0].rows = 4;
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	assert_string_equal(buf_text(&c->plan[0].text), "N\n1\n2\n3\n4\n");
	script_close();
}

/* A write says retry=true from the first try, and its handle is stored before it is polled. */
static void test_write(void **state)
{
	BEGIN({WIRE_SUBMIT, .with = "retry=true", .result = WIRE_BROKEN},
	      {WIRE_SUBMIT, .with = "retry=true", .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW});
	struct call *c = script_call("INSERT");
	c->plan[0].write = true;
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	assert_int_equal(script_stored(), 1);
	assert_int_equal(script_request_ids(), 1);
	script_close();
}

static void test_outcome_unknown(void **state)
{
	BEGIN({WIRE_SUBMIT, .result = WIRE_BROKEN}, {WIRE_SUBMIT, .result = WIRE_REFUSED},
	      {WIRE_SUBMIT, .result = WIRE_REFUSED}, {WIRE_SUBMIT, .result = WIRE_REFUSED},
	      {WIRE_SUBMIT, .result = WIRE_REFUSED});
	struct call *c = script_call("INSERT");
	c->plan[0].write = true;
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_UNKNOWN);
	assert_int_equal(c->plan[0].failure.err, ERR_OUTCOME_UNKNOWN);
	assert_non_null(strstr(c->plan[0].failure.message, c->plan[0].request_id));
	script_close();
}

/* Nothing was ever sent: a write that failed is known to have failed. */
static void test_write_refused(void **state)
{
	BEGIN({WIRE_SUBMIT, .result = WIRE_REFUSED});
	script_conf()->snowflake_retries = 0;
	struct call *c = script_call("INSERT");
	c->plan[0].write = true;
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_FAILED);
	assert_int_equal(c->plan[0].failure.err, ERR_UPSTREAM);
	assert_non_null(strstr(c->plan[0].failure.message, "cannot connect to acme.example"));
	script_close();
}

/* Refused credentials after a try that may have arrived do not make the write undone. */
static void test_write_unknown_after_refusal(void **state)
{
	BEGIN({WIRE_SUBMIT, .result = WIRE_TIMEOUT}, {WIRE_SUBMIT, .status = 403, .answer = "<html>"});
	struct call *c = script_call("INSERT");
	c->plan[0].write = true;
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_UNKNOWN);
	script_close();
}

/* HTML, half a document, a document that is no result: tried again, then said. */
static void test_unreadable(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 200, .answer = "<html>sorry</html>"},
	      {WIRE_SUBMIT, .with = "retry=true", .status = 200, .answer = "{\"data\":[[\"1\"]"},
	      {WIRE_SUBMIT, .with = "retry=true", .status = 200, .answer = "{\"data\":[[1]}"},
	      {WIRE_SUBMIT, .with = "retry=true", .status = 200, .answer = "{\"data\":7}"},
	      {WIRE_SUBMIT, .with = "retry=true", .status = 202, .answer = "[]"});
	struct call *c = script_call("SELECT 1");
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_FAILED);
	assert_int_equal(c->plan[0].failure.err, ERR_UPSTREAM_ANSWER);
	assert_int_equal(script_request_ids(), 1);
	script_close();
}

/* The call is with STORE when it is cancelled: seen when it comes back. */
static void test_cancel_while_away(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING}, {WIRE_CANCEL, .status = 200, .answer = CANCELLED});
	struct call *c = script_call("INSERT");
	c->plan[0].write = true;
	script_cancel_in_store(1);
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_CANCELLED);
	script_close();
}

/* More than 64 KiB are decoded and shaped on a WORKER. */
static void test_large(void **state)
{
	struct buf big = buf_with_ceiling(1 << 20);
	struct script_line lines[] = {{WIRE_SUBMIT, .status = 202, .answer = RUNNING}, {WIRE_POLL, .status = 200}};

	(void)state;
	buf_adds(&big, "{\"resultSetMetaData\":{\"numRows\":20000,\"partitionInfo\":[{\"rowCount\":20000}]," ROW_TYPE
		       "},\"statementHandle\":\"" HANDLE "\",\"data\":[[\"0\"]");
	for (int i = 1; i < 20000; i++)
		buf_addf(&big, ",[\"%d\"]", i);
	buf_adds(&big, "]}");
	lines[1].answer = buf_text(&big);
	script_open(lines, ARRAY_LEN(lines));
	struct call *c = script_call("SELECT 1");
	uint64_t posted = mail_posted(THREAD_WORKER);
	c->plan[0].rows = 20000;
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_true(mail_posted(THREAD_WORKER) > posted + 2);
	assert_int_equal(c->plan[0].rows_n, 20000);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	assert_int_equal(c->plan[0].total_rows, 20000);
	script_close();
	buf_free(&big);
}

/* Calls do not touch one another: one is cancelled, the other ends. */
static void test_two_calls(void **state)
{
	BEGIN({WIRE_SUBMIT, .with = "SELECT 1", .status = 202, .answer = RUNNING},
	      {WIRE_SUBMIT, .with = "SELECT 2", .status = 202, .answer = RUNNING, .takes = 11 * USEC_PER_MS},
	      {WIRE_POLL, .status = 202, .answer = RUNNING, .takes = 5 * USEC_PER_S},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW}, {WIRE_CANCEL, .status = 200, .answer = CANCELLED});
	struct call *one = script_call("SELECT 1"), *two = script_call("SELECT 2");
	script_start(one);
	script_start(two);
	script_cancel_at(1, USEC_PER_S);
	assert_int_equal(script_run(), 2);
	assert_int_equal(one->plan[0].state, STATEMENT_CANCELLED);
	assert_int_equal(two->plan[0].state, STATEMENT_SUCCEEDED);
	assert_false(two->cancelled);
	script_close();
}

static void test_plan(void **state)
{
	BEGIN({WIRE_SUBMIT, .with = "SELECT 1", .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW},
	      {WIRE_SUBMIT, .with = "SELECT 2", .without = "retry=true", .status = 200, .answer = ONE_ROW});
	struct call *c = script_call("SELECT 1");
	c->plan_n = 2;
	c->plan[1] = c->plan[0];
	c->plan[1].sql = "SELECT 2";
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan_at, 1);
	assert_int_equal(c->plan[1].state, STATEMENT_SUCCEEDED);
	assert_int_equal(script_request_ids(), 2);
	script_close();
}

/* get_result: the first look at once, and no waiting beyond the caller's patience; the statement is left alone. */
static void test_attach(void **state)
{
	BEGIN({WIRE_POLL, .with = HANDLE, .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .with = HANDLE, .status = 200, .answer = ONE_ROW});
	struct call *now = script_call(NULL), *later = script_call(NULL);
	now->plan[0].kind = later->plan[0].kind = STATEMENT_ATTACH;
	set_handle(now);
	set_handle(later);
	now->deadline = clock_now();
	script_start(now);
	assert_int_equal(script_run(), 1);
	assert_int_equal(now->plan[0].state, STATEMENT_RUNNING);
	assert_int_equal(script_early(), 0);
	script_start(later);
	assert_int_equal(script_run(), 2);
	assert_int_equal(later->plan[0].state, STATEMENT_SUCCEEDED);
	assert_int_equal(later->plan[0].rows_n, 1);
	script_close();
}

static void test_attach_given_up(void **state)
{
	BEGIN({WIRE_POLL, .status = 202, .answer = RUNNING, .takes = USEC_PER_S});
	struct call *c = script_call(NULL);
	c->plan[0].kind = STATEMENT_ATTACH;
	set_handle(c);
	script_start(c);
	script_cancel_at(1, 30 * USEC_PER_MS);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_RUNNING);
	assert_true(c->cancelled);
	script_close();
}

static void test_attach_unknown(void **state)
{
	BEGIN({WIRE_POLL, .status = 422, .answer = STATUS("000709", "02000")});
	struct call *c = script_call(NULL);
	c->plan[0].kind = STATEMENT_ATTACH;
	set_handle(c);
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_FAILED);
	assert_int_equal(c->plan[0].failure.err, ERR_HANDLE);
	script_close();
}

static void test_cancel_statement(void **state)
{
	BEGIN({WIRE_CANCEL, .with = HANDLE, .status = 500},
	      {WIRE_CANCEL, .with = HANDLE, .status = 200, .answer = CANCELLED},
	      {WIRE_CANCEL, .with = HANDLE, .status = 422, .answer = STATUS("000709", "02000")});
	struct call *c = script_call(NULL), *unknown = script_call(NULL);
	c->plan[0].kind = unknown->plan[0].kind = STATEMENT_CANCEL;
	set_handle(c);
	set_handle(unknown);
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_CANCELLED);
	script_start(unknown);
	assert_int_equal(script_run(), 2);
	assert_int_equal(unknown->plan[0].state, STATEMENT_FAILED);
	assert_int_equal(unknown->plan[0].failure.err, ERR_HANDLE);
	script_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_happy_async),
	    cmocka_unit_test(test_query_tag),
	    cmocka_unit_test(test_metadata_sync),
	    cmocka_unit_test(test_polls),
	    cmocka_unit_test(test_429),
	    cmocka_unit_test(test_429_for_ever),
	    cmocka_unit_test(test_5xx),
	    cmocka_unit_test(test_sql_error),
	    cmocka_unit_test(test_statement_timeout),
	    cmocka_unit_test(test_renewal),
	    cmocka_unit_test(test_credentials_refused),
	    cmocka_unit_test(test_cancel_before_sign),
	    cmocka_unit_test(test_cancel_before_handle),
	    cmocka_unit_test(test_cancel_between_tries),
	    cmocka_unit_test(test_cancel_after_refusal),
	    cmocka_unit_test(test_cancel_while_polling),
	    cmocka_unit_test(test_cancel_loses),
	    cmocka_unit_test(test_cancel_unanswered),
	    cmocka_unit_test(test_early_answer),
	    cmocka_unit_test(test_no_early_answer_for_metadata),
	    cmocka_unit_test(test_overdue),
	    cmocka_unit_test(test_window),
	    cmocka_unit_test(test_fetch_retries),
	    cmocka_unit_test(test_write),
	    cmocka_unit_test(test_outcome_unknown),
	    cmocka_unit_test(test_write_refused),
	    cmocka_unit_test(test_write_unknown_after_refusal),
	    cmocka_unit_test(test_unreadable),
	    cmocka_unit_test(test_cancel_while_away),
	    cmocka_unit_test(test_large),
	    cmocka_unit_test(test_two_calls),
	    cmocka_unit_test(test_plan),
	    cmocka_unit_test(test_attach),
	    cmocka_unit_test(test_attach_given_up),
	    cmocka_unit_test(test_attach_unknown),
	    cmocka_unit_test(test_cancel_statement),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
