/* Lanes, breaker, retries: single calls against a scripted Snowflake, event by event. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../src/snowflake/internal.h"
#include "snowgate/log.h"
#include "script.h"
/* one program per test file: the script is a part of it */
#include "script.c"

#define HANDLE "01b2c3d4-0000-0001-0000-000100020003"
#define STATUS(code, state)                                                                                            \
	"{\"code\":\"" code "\",\"sqlState\":\"" state "\",\"message\":\"as scripted\",\"statementHandle\":\"" HANDLE  \
	"\"}"
#define RUNNING   STATUS("333334", "00000")
#define CANCELLED STATUS("000604", "57014")
#define ONE_ROW                                                                                                        \
	"{\"resultSetMetaData\":{\"numRows\":1,\"format\":\"jsonv2\",\"partitionInfo\":[{\"rowCount\":1}],"            \
	"\"rowType\":"                                                                                                 \
	"[{\"name\":\"N\",\"type\":\"fixed\",\"precision\":38,\"scale\":0,\"nullable\":true}]},\"data\":[[\"1\"]],"    \
	"\"code\":\"090001\",\"sqlState\":\"00000\",\"statementHandle\":\"" HANDLE "\"}"
#define TOO_MANY "{\"code\":\"390505\",\"message\":\"Too many requests.\"}"
#define TAKEN                                                                                                          \
	{                                                                                                              \
		WIRE_SUBMIT, .status = 202, .answer = RUNNING                                                          \
	}
#define ENDS                                                                                                           \
	{                                                                                                              \
		WIRE_POLL, .status = 200, .answer = ONE_ROW                                                            \
	}
#define ENDS_AFTER(seconds)                                                                                            \
	{                                                                                                              \
		WIRE_POLL, .status = 200, .answer = ONE_ROW, .takes = (seconds)*USEC_PER_S                             \
	}
#define S USEC_PER_S

#define BEGIN(...)                                                                                                     \
	static const struct script_line lines[] = {__VA_ARGS__};                                                       \
	begin(state, lines, ARRAY_LEN(lines))

static void begin(void **state, const struct script_line *lines, size_t n)
{
	(void)state;
	metric_reset();
	log_set_level(LOG_ERROR);
	script_open(lines, n);
	script_conf()->snowflake_max_waiting = 10;
}

/* Nothing is counted in any more. */
static void end(void)
{
	script_close();
	assert_int_equal(metric_value(METRIC_lane_cap, NULL), 0);
	assert_int_equal(metric_value(METRIC_lane_in_flight, NULL), 0);
	assert_int_equal(metric_value(METRIC_lane_waiting, NULL), 0);
	assert_int_equal(metric_value(METRIC_breakers_open, NULL), 0);
	log_set_level(LOG_INFO);
}

static struct call *call_of(const char *sql, const char *warehouse, const char *who)
{
	struct call *c = script_call(sql);

	c->plan[0].context.warehouse = warehouse;
	snprintf(c->request->principal.subject, sizeof c->request->principal.subject, "%s", who);
	return c;
}

static struct call *start(const char *sql, const char *warehouse, const char *who)
{
	struct call *c = call_of(sql, warehouse, who);

	script_start(c);
	return c;
}

static void failed(const struct call *c, enum err err, const char *part)
{
	assert_int_equal(c->plan[0].state, STATEMENT_FAILED);
	assert_int_equal(c->plan[0].failure.err, err);
	if (!strstr(c->plan[0].failure.message, part))
		fail_msg("\"%s\" is not in: %s", part, c->plan[0].failure.message);
}

static void succeeded(const struct call *c)
{
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
}

/* ---- lanes ---- */

/* One at a time at each warehouse; another warehouse, the account, and the gateway's own statements are not held up. */
static void test_one_lane_for_each_warehouse(void **state)
{
	BEGIN({WIRE_SUBMIT, .with = "SELECT 1", .status = 202, .answer = RUNNING},
	      {WIRE_SUBMIT, .with = "SELECT 3", .status = 200, .answer = ONE_ROW, .takes = S},
	      {WIRE_SUBMIT, .with = "SHOW 4", .status = 200, .answer = ONE_ROW, .takes = S}, ENDS_AFTER(5),
	      {WIRE_SUBMIT, .with = "SELECT 2", .status = 200, .answer = ONE_ROW});
	struct call *c[4];
	script_conf()->snowflake_max_per_warehouse = 1;
	c[0] = start("SELECT 1", "WH", "alice");
	c[1] = start("SELECT 2", "WH", "alice");
	c[2] = start("SELECT 3", "OTHER", "alice");
	c[3] = call_of("SHOW 4", "WH", "alice");
	c[3]->plan[0].metadata = true;
	script_start(c[3]);
	assert_int_equal(metric_value(METRIC_lane_waiting, NULL), 1);
	assert_int_equal(metric_value(METRIC_lane_in_flight, NULL), 3);
	assert_int_equal(metric_value(METRIC_lane_cap, NULL), 3);
	assert_int_equal(script_run(), 4);
	for (size_t i = 0; i < 4; i++)
		succeeded(c[i]);
	assert_true(script_elapsed() < 6 * S);
	end();
}

/* It counts until it is terminal, also when its caller has his answer. */
static void test_answered_early_still_counts(void **state)
{
	BEGIN(TAKEN, ENDS_AFTER(20), {WIRE_SUBMIT, .with = "SELECT 2", .status = 200, .answer = ONE_ROW});
	struct call *first = call_of("SELECT 1", "WH", "alice");
	script_conf()->snowflake_max_per_warehouse = 1;
	first->deadline = clock_now() + S;
	script_start(first);
	start("SELECT 2", "WH", "bob");
	assert_int_equal(script_run(), 2);
	assert_int_equal(script_early(), 1);
	assert_true(script_elapsed() >= 20 * S);
	end();
}

static void test_principals_take_turns(void **state)
{
	BEGIN({WIRE_SUBMIT, .with = "A1", .status = 200, .answer = ONE_ROW},
	      {WIRE_SUBMIT, .with = "A2", .status = 200, .answer = ONE_ROW},
	      {WIRE_SUBMIT, .with = "B1", .status = 200, .answer = ONE_ROW},
	      {WIRE_SUBMIT, .with = "A3", .status = 200, .answer = ONE_ROW},
	      {WIRE_SUBMIT, .with = "A4", .status = 200, .answer = ONE_ROW});
	script_conf()->snowflake_max_per_warehouse = 1;
	start("A1", "WH", "alice");
	start("A2", "WH", "alice");
	start("A3", "WH", "alice");
	start("A4", "WH", "alice");
	start("B1", "WH", "bob");
	assert_int_equal(script_run(), 5);
	end();
}

static void test_line_is_bounded(void **state)
{
	BEGIN(TAKEN, ENDS_AFTER(5), {WIRE_SUBMIT, .with = "SELECT 2", .status = 200, .answer = ONE_ROW});
	struct call *last;
	script_conf()->snowflake_max_per_warehouse = script_conf()->snowflake_max_waiting = 1;
	start("SELECT 1", "WH_XS", "alice");
	start("SELECT 2", "WH_XS", "alice");
	last = start("SELECT 3", "WH_XS", "bob");
	assert_int_equal(script_run(), 3);
	failed(last, ERR_UPSTREAM_BUSY, "warehouse WH_XS");
	assert_true(last->retry_after > 0);
	assert_int_equal(metric_value(METRIC_lane_refused, "full"), 1);
	end();
}

/* Who waits is answered in time, and has not run. */
static void test_deadline_while_waiting(void **state)
{
	BEGIN(TAKEN, ENDS_AFTER(50));
	struct call *c = call_of("SELECT 2", "WH_XS", "alice");
	script_conf()->snowflake_max_per_warehouse = 1;
	start("SELECT 1", "WH_XS", "alice");
	c->deadline = clock_now() + 20 * S;
	script_start(c);
	while (c->plan[0].state == STATEMENT_NEW || c->plan[0].state == STATEMENT_SENT)
		(void)wheel_run(script.wheel, (clock_advance(S / 10), clock_now()));
	assert_int_equal(script_elapsed(), 20 * S);
	failed(c, ERR_UPSTREAM_BUSY, "warehouse WH_XS");
	assert_true(c->retry_after > 0);
	assert_int_equal(script_run(), 2);
	end();
}

static void test_cancel_while_waiting(void **state)
{
	BEGIN(TAKEN, ENDS_AFTER(5));
	struct call *c;
	script_conf()->snowflake_max_per_warehouse = 1;
	start("SELECT 1", "WH", "alice");
	c = start("SELECT 2", "WH", "alice");
	script_cancel_at(c->ticket, S);
	assert_int_equal(script_run(), 2);
	assert_int_equal(c->plan[0].state, STATEMENT_CANCELLED);
	end();
}

static void test_drain_while_waiting(void **state)
{
	BEGIN(TAKEN, {WIRE_POLL, .status = 202, .answer = RUNNING, .takes = 5 * S});
	struct call *one, *two;
	script_conf()->snowflake_max_per_warehouse = 1;
	one = start("SELECT 1", "WH", "alice");
	two = start("SELECT 2", "WH", "alice");
	clock_advance(S);
	(void)wheel_run(script.wheel, clock_now());
	jobs_abandon();
	one->step = two->step = STEP_settle; /* not reply: nobody is there to give it to */
	assert_int_equal(script_run(), 2);
	assert_int_equal(one->fault.err, ERR_DRAINING);
	assert_int_equal(two->fault.err, ERR_DRAINING);
	end();
}

/* 429: half as many, and who was refused comes back in turn. */
static void test_cap_falls(void **state)
{
	BEGIN({WIRE_SUBMIT, .with = "A", .status = 429, .answer = TOO_MANY},
	      {WIRE_SUBMIT, .with = "B", .status = 429, .answer = TOO_MANY},
	      {WIRE_SUBMIT, .status = 200, .answer = ONE_ROW, .takes = 30 * S},
	      {WIRE_SUBMIT, .status = 200, .answer = ONE_ROW});
	struct call *a, *b;
	script_conf()->snowflake_max_per_warehouse = 2;
	script_conf()->snowflake_request_timeout = 100 * S;
	a = start("A", "WH", "alice");
	b = start("B", "WH", "bob");
	assert_int_equal(script_run(), 2);
	assert_int_equal(metric_value(METRIC_lane_changes, "lowered"), 1);
	/* after one success it is two again */
	assert_int_equal(metric_value(METRIC_lane_changes, "raised"), 1);
	assert_true(script_elapsed() > 30 * S);
	succeeded(a);
	succeeded(b);
	end();
}

/* ---- retries ---- */

/* What is asked for is waited for, beyond the cap of our own backoff; longer than the call has: told at once. */
static void test_retry_after(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 429, .retry_after_s = 100}, {WIRE_SUBMIT, .status = 200, .answer = ONE_ROW},
	      {WIRE_SUBMIT, .status = 503, .retry_after_s = 100});
	struct call *c = call_of("SELECT 1", "WH", "alice");
	usec_t began;
	c->deadline = clock_now() + 150 * S;
	script_start(c);
	assert_int_equal(script_run(), 1);
	succeeded(c);
	assert_in_range(script_elapsed(), 100 * S, 102 * S);
	began = clock_now();
	c = call_of("SELECT 2", "WH", "alice");
	c->deadline = began + 40 * S;
	script_start(c);
	assert_int_equal(script_run(), 2);
	failed(c, ERR_UPSTREAM, "100 s");
	assert_int_equal(c->retry_after, 100 * S);
	assert_true(clock_now() - began < S);
	end();
}

/* An impatient caller gets a few tries, and no more than he has time for. */
static void test_deadline_of_retries(void **state)
{
	BEGIN({WIRE_SUBMIT, .result = WIRE_TIMEOUT, .takes = 6 * S},
	      {WIRE_SUBMIT, .result = WIRE_TIMEOUT, .takes = 3800 * USEC_PER_MS});
	struct call *c = call_of("SELECT 1", "WH", "alice");
	c->deadline = clock_now() + S;
	script_start(c);
	assert_int_equal(script_run(), 1);
	failed(c, ERR_UPSTREAM, "did not answer within");
	assert_true(script_elapsed() <= 10 * S);
	assert_int_equal(metric_value(METRIC_upstream_retries, "made"), 1);
	assert_int_equal(metric_value(METRIC_upstream_retries, "late"), 1);
	end();
}

/* ---- the breaker: three failures in a row, over a second ---- */

#define DOWN                                                                                                           \
	{                                                                                                              \
		WIRE_SUBMIT, .result = WIRE_REFUSED                                                                    \
	}

static void short_breaker(void)
{
	script_conf()->snowflake_retries = 0;
	script_conf()->snowflake_breaker_failures = 3;
	script_conf()->snowflake_breaker_open = 5 * S;
}

/* Failed calls, a second apart. */
static void fail_calls(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct call *c = start("SELECT 0", "WH", "alice");

		(void)script_run();
		failed(c, ERR_UPSTREAM, "cannot connect");
		clock_advance(S);
	}
}

static void test_breaker(void **state)
{
	BEGIN(DOWN, DOWN, DOWN, DOWN, {WIRE_SUBMIT, .with = "PROBE", .status = 200, .answer = ONE_ROW, .takes = 2 * S},
	      {WIRE_SUBMIT, .with = "AFTER", .status = 200, .answer = ONE_ROW});
	struct call *c;
	short_breaker();
	fail_calls(3);
	assert_int_equal(metric_value(METRIC_breakers_open, NULL), 1);
	c = start("SELECT 1", "OTHER", "bob");
	failed(c, ERR_UPSTREAM, "acme.example keeps failing (no connection: scripted)");
	assert_in_range(c->retry_after, 3 * S, 5 * S);
	clock_advance(c->retry_after);
	fail_calls(1); /* a probe */
	assert_int_equal(metric_value(METRIC_breaker_changes, "reopened"), 1);
	c = start("SELECT 2", "WH", "bob");
	assert_in_range(c->retry_after, 7 * S, 10 * S);
	clock_advance(c->retry_after);
	start("PROBE", "WH", "bob");
	clock_advance(S);
	c = start("SELECT 3", "WH", "bob"); /* one probe, and no other */
	failed(c, ERR_UPSTREAM, "keeps failing");
	assert_int_equal(c->retry_after, S);
	(void)script_run();
	assert_int_equal(metric_value(METRIC_breakers_open, NULL), 0);
	c = start("AFTER", "WH", "bob");
	(void)script_run();
	succeeded(c);
	assert_int_equal(metric_value(METRIC_lane_refused, "breaker"), 3);
	end();
}

/* What a user's SQL, or Snowflake's load, has to answer for is no fault of the endpoint's. */
static void test_breaker_counts_no_answers(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 422, .answer = STATUS("001003", "42000")}, {WIRE_SUBMIT, .status = 429},
	      {WIRE_SUBMIT, .status = 408, .answer = STATUS("000630", "57014")}, {WIRE_SUBMIT, .status = 403},
	      {WIRE_SUBMIT, .status = 422, .answer = STATUS("002003", "42S02")}, {WIRE_SUBMIT, .status = 400},
	      {WIRE_SUBMIT, .status = 200, .answer = "<html>"}, {WIRE_SUBMIT, .status = 200, .answer = "<html>"},
	      {WIRE_SUBMIT, .status = 200, .answer = "<html>"}, {WIRE_SUBMIT, .status = 200, .answer = ONE_ROW});
	struct call *c = NULL;
	short_breaker();
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		c = start("SELECT 0", "WH", "alice");
		(void)script_run();
		clock_advance(S);
	}
	succeeded(c);
	assert_int_equal(metric_value(METRIC_breaker_changes, "opened"), 0);
	end();
}

/* One statement alone, however often it is tried, opens nothing. */
static void test_breaker_and_one_bad_statement(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 500}, {WIRE_SUBMIT, .status = 500}, {WIRE_SUBMIT, .status = 500},
	      {WIRE_SUBMIT, .status = 500}, {WIRE_SUBMIT, .status = 500});
	short_breaker();
	script_conf()->snowflake_retries = 4;
	start("SELECT 0", "WH", "alice");
	assert_int_equal(script_run(), 1);
	assert_int_equal(metric_value(METRIC_breaker_changes, "opened"), 0);
	end();
}

/* Refused logins of one connection keep others of the same account out of nothing. */
static void test_breaker_of_a_login(void **state)
{
#define REFUSED {WIRE_SUBMIT, .status = 401, .answer = "{\"code\":\"390144\",\"message\":\"JWT token is invalid.\"}"}
	BEGIN(REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, REFUSED,
	      {WIRE_SUBMIT, .with = "OTHER", .status = 200, .answer = ONE_ROW});
	struct connection other;
	struct call *c;
	short_breaker();
	other = script.connection;
	other.name = "other";
	other.id[0] = 1;
	for (int i = 0; i < 3; i++) {
		c = start("SELECT 0", "WH", "alice");
		(void)script_run();
		failed(c, ERR_UPSTREAM_AUTH, "refused the credentials");
		clock_advance(2 * S);
	}
	c = start("SELECT 0", "WH", "alice");
	failed(c, ERR_UPSTREAM_AUTH, "keeps refusing the credentials of connection test");
	script.policy.connection = &other;
	c = start("OTHER", "WH", "alice");
	(void)script_run();
	succeeded(c);
	end();
}

/* A write that may have been executed waits for the breaker: its next try tells what became of it. A read does not. */
static void test_breaker_and_unknown_fates(void **state)
{
	BEGIN({WIRE_SUBMIT, .with = "INSERT", .result = WIRE_BROKEN},
	      {WIRE_SUBMIT, .with = "SELECT 1", .result = WIRE_BROKEN, .takes = S / 2},
	      {WIRE_SUBMIT, .with = "INSERT", .result = WIRE_BROKEN, .takes = 2 * S},
	      {WIRE_SUBMIT, .with = "SELECT 1", .result = WIRE_BROKEN, .takes = 2 * S},
	      {WIRE_SUBMIT, .with = "retry=true", .status = 200, .answer = ONE_ROW});
	struct call *write = call_of("INSERT", "WH", "alice"), *read = call_of("SELECT 1", "WH", "alice");
	short_breaker();
	script_conf()->snowflake_retries = 4;
	write->plan[0].write = true;
	write->deadline = read->deadline = clock_now() + 40 * S;
	script_start(write);
	script_start(read);
	assert_int_equal(script_run(), 2);
	succeeded(write);
	failed(read, ERR_UPSTREAM, "nothing more is sent there for now");
	assert_int_equal(script_request_ids(), 2);
	assert_in_range(script_elapsed(), 6 * S, 10 * S);
	end();
}

/* Statements that run are watched on, whatever the breaker says. */
static void test_breaker_lets_polls_through(void **state)
{
	BEGIN({WIRE_SUBMIT, .with = "LONG", .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 202, .answer = RUNNING, .takes = 6 * S}, DOWN, DOWN, DOWN, ENDS);
	struct call *c = start("LONG", "WH", "alice"), *other;
	short_breaker();
	/* the answer to its poll comes when the breaker is open */
	for (int i = 0; i < 3; i++) {
		clock_advance(S);
		(void)wheel_run(script.wheel, clock_now());
		other = start("SELECT 0", "WH", "bob");
		clock_advance(10 * USEC_PER_MS);
		(void)wheel_run(script.wheel, clock_now());
		failed(other, ERR_UPSTREAM, "cannot connect");
	}
	assert_int_equal(metric_value(METRIC_breakers_open, NULL), 1);
	(void)script_run();
	succeeded(c);
	assert_int_equal(metric_value(METRIC_breakers_open, NULL), 1);
	script_close();
	assert_int_equal(metric_value(METRIC_breakers_open, NULL), 0);
	log_set_level(LOG_INFO);
}

/* Nobody goes on waiting for a place behind what does not end. */
static void test_breaker_empties_the_line(void **state)
{
	BEGIN({WIRE_SUBMIT, .with = "LONG", .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW, .takes = 100 * S}, DOWN, DOWN, DOWN);
	struct call *waits[3];
	usec_t opened;
	short_breaker();
	script_conf()->snowflake_max_per_warehouse = 1;
	start("LONG", "WH", "alice");
	clock_advance(10 * USEC_PER_MS);
	(void)wheel_run(script.wheel, clock_now());
	for (size_t i = 0; i < 3; i++)
		waits[i] = start("SELECT 1", "WH", "bob");
	for (int i = 0; i < 3; i++) {
		clock_advance(S);
		start("SELECT 0", "OTHER", "carol");
		clock_advance(10 * USEC_PER_MS);
		(void)wheel_run(script.wheel, clock_now());
	}
	opened = clock_now();
	(void)wheel_run(script.wheel, opened);
	for (size_t i = 0; i < 3; i++)
		failed(waits[i], ERR_UPSTREAM, "keeps failing");
	(void)script_run();
	script_close();
	log_set_level(LOG_INFO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_one_lane_for_each_warehouse),
	    cmocka_unit_test(test_answered_early_still_counts),
	    cmocka_unit_test(test_principals_take_turns),
	    cmocka_unit_test(test_line_is_bounded),
	    cmocka_unit_test(test_deadline_while_waiting),
	    cmocka_unit_test(test_cancel_while_waiting),
	    cmocka_unit_test(test_drain_while_waiting),
	    cmocka_unit_test(test_cap_falls),
	    cmocka_unit_test(test_retry_after),
	    cmocka_unit_test(test_deadline_of_retries),
	    cmocka_unit_test(test_breaker),
	    cmocka_unit_test(test_breaker_counts_no_answers),
	    cmocka_unit_test(test_breaker_and_one_bad_statement),
	    cmocka_unit_test(test_breaker_of_a_login),
	    cmocka_unit_test(test_breaker_and_unknown_fates),
	    cmocka_unit_test(test_breaker_lets_polls_through),
	    cmocka_unit_test(test_breaker_empties_the_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
