/* One request to another endpoint of the account: its answer in one piece or as events, and everything that goes wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../src/snowflake/internal.h"
#include "snowgate/metric.h"
#include "snowgate/sse.h"
#include "script.h"
/* one program per test file: the script is a part of it */
#include "script.c"

#define PATH        "/api/v2/cortex/x:run?requestId=00000000-0000-0000-0000-000000000000"
#define HANDLE      "01b2c3d4-0000-0001-0000-000100020003"
#define ERROR(code) "{\"message\":\"as scripted\",\"code\":\"" code "\",\"error_code\":\"x\",\"request_id\":\"r\"}"
#define ONE_ROW                                                                                                        \
	"{\"resultSetMetaData\":{\"numRows\":1,\"rowType\":[{\"name\":\"N\",\"type\":\"fixed\"}]},\"data\":[[\"1\"]]," \
	"\"statementHandle\":\"" HANDLE "\"}"
#define EVENTS "event: a\ndata: 1\n\nevent: b\ndata: 2\n\n"

#define BEGIN(...)                                                                                                     \
	static const struct script_line lines[] = {__VA_ARGS__};                                                       \
	(void)state;                                                                                                   \
	script_open(lines, ARRAY_LEN(lines))

static char seen[256];
static size_t seen_n, seen_bytes;
static bool keeps; /* what it sees */

static bool on_event(struct call *c, const struct sse_message *event, struct notice *notice)
{
	size_t n = strlen(seen);

	if (keeps && !c->plan[0].crowded)
		c->plan[0].collected += event->data.n;
	*notice = (struct notice){.level = LEVEL_INFO, .text = "told"};

	if (n < 200)
		snprintf(seen + n, sizeof seen - n, "%s=%.*s;", event->type,
			 event->data.n < 20 ? (int)event->data.n : 20, event->too_long ? "too long" : event->data.data);
	seen_n++;
	seen_bytes += event->data.n;
	return true;
}

static struct call *rest_call(bool events)
{
	struct call *c = script_call(NULL);

	seen[0] = '\0';
	seen_n = seen_bytes = 0;
	keeps = false;
	c->plan[0].kind = STATEMENT_REST;
	c->plan[0].path = PATH;
	c->plan[0].body = "{\"query\":\"late\"}";
	c->plan[0].event = events ? on_event : NULL;
	c->plan[0].context = (struct context){.role = "ANALYST", .warehouse = "My \"wh\""};
	c->deadline = clock_now() + 120 * USEC_PER_S;
	script_conf()->cortex_timeout = 120 * USEC_PER_S;
	return c;
}

static void test_whole(void **state)
{
	BEGIN({WIRE_REST, .with = "{\"query\":\"late\"}", .status = 200, .answer = "{\"results\":[]}"});
	struct call *c = rest_call(false);

	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	assert_string_equal(buf_text(&c->plan[0].raw), "{\"results\":[]}");
	script_close();
}

/* The statement that follows has nothing of the request before it. */
static void test_context_is_in_headers(void **state)
{
	BEGIN({WIRE_REST, .with = "X-Snowflake-Warehouse: \"My \"\"wh\"\"\"", .status = 503, .answer = ""},
	      {WIRE_REST, .with = "X-Snowflake-Role: ANALYST", .status = 503, .answer = ""},
	      {WIRE_REST, .with = "Accept: application/json", .status = 200, .answer = "{}"},
	      {WIRE_SUBMIT, .with = "SELECT 1", .without = "X-Snowflake", .status = 200, .answer = ONE_ROW});
	struct call *c = rest_call(false);

	c->plan[1] = c->plan[0];
	c->plan[1].kind = STATEMENT_RUN;
	c->plan[1].sql = "SELECT 1";
	c->plan_n = 2;
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[1].rows_n, 1);
	script_close();
}

static void test_a_name_that_no_header_can_hold(void **state)
{
	(void)state;
	script_open(NULL, 0);
	struct call *c = rest_call(false);

	c->plan[0].context.warehouse = "A\r\nX-Snowflake-Role: ACCOUNTADMIN";
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_FAILED);
	script_close();
}

static void test_events(void **state)
{
	BEGIN({WIRE_REST, .status = 200, .answer = ": hello\n\n" EVENTS "data: unfinished"});
	struct call *c = rest_call(true);

	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	assert_string_equal(seen, "a=1;b=2;");
	script_close();
}

static char large[600000];

/* A stream of many pieces is never held, and never kept. */
static void test_events_as_they_come(void **state)
{
	BEGIN({WIRE_REST, .status = 200, .answer = large});
	struct call *c = rest_call(true);
	size_t n = 0, events = 0;

	for (; n < sizeof large - 300; events++)
		n += (size_t)snprintf(large + n, sizeof large - n, "data: %0200d\r\n\r\n", (int)events);
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	assert_int_equal(seen_n, events);
	assert_int_equal(seen_bytes, 200 * events);
	assert_int_equal(script_held(), 0);
	script_close();
}

/* One that is too long is passed over; what comes behind it counts. */
static void test_an_event_that_is_too_long(void **state)
{
	static char endless[5 << 20];
	BEGIN({WIRE_REST, .status = 200, .answer = endless});
	struct call *c = rest_call(true);

	memset(endless, 'x', sizeof endless - 1);
	memcpy(endless, "data:", 5);
	memcpy(endless + sizeof endless - 100, "\n\n" EVENTS, strlen(EVENTS) + 2);
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	assert_string_equal(seen, "message=;a=1;b=2;");
	script_close();
}

static char endless[70 << 20];

static void test_a_stream_without_end(void **state)
{
	BEGIN({WIRE_REST, .status = 200, .answer = endless});
	struct call *c = rest_call(true);

	memset(endless, 'x', sizeof endless - 1);
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_FAILED);
	assert_int_equal(c->plan[0].failure.err, ERR_OUTCOME_UNKNOWN);
	assert_true(script_bytes() < sizeof endless - 1);
	script_close();
}

static enum step shaped;

static void on_answer(struct call *c)
{
	shaped = c->step;
}

/* What a call keeps is counted until it is no more; where all calls hold too much, it is told to keep nothing. */
static void test_memory(void **state)
{
	static const struct handler handler = {.answer = on_answer};
	static struct script_line lines[2];
	struct call *c;
	size_t kept;

	(void)state;
	for (size_t n = 0; n + 300 < sizeof large;)
		n += (size_t)snprintf(large + n, sizeof large - n, "data: %0200d\r\n\r\n", 1);
	lines[0] = lines[1] = (struct script_line){WIRE_REST, .status = 200, .answer = large};
	script_open(lines, 2);
	c = rest_call(true);
	keeps = true;
	c->handler = &handler;
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_false(c->plan[0].crowded);
	assert_int_equal(c->plan[0].collected, seen_bytes);
	assert_int_equal(shaped, STEP_shape_large); /* it takes a while to read */
	kept = seen_bytes;
	assert_false(results_take(RESULTS_CEILING - kept + 1));
	assert_true(results_take(RESULTS_CEILING - kept));
	c = rest_call(true);
	keeps = true;
	script_start(c);
	assert_int_equal(script_run(), 2);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	assert_true(c->plan[0].crowded);
	assert_int_equal(c->plan[0].collected, 200); /* told with the second */
	results_give(RESULTS_CEILING - kept);
	script_close(); /* the calls end, and all is given back */
}

static size_t told;

static void on_notice(struct call *c UNUSED, const struct notice *n UNUSED)
{
	told++;
}

/* Thousands of events at once are a few notices. */
static void test_notices_have_a_pace(void **state)
{
	static struct snowflake_ops ops;
	BEGIN({WIRE_REST, .status = 200, .answer = large});
	struct call *c = rest_call(true);

	for (size_t n = 0; n + 300 < sizeof large;)
		n += (size_t)snprintf(large + n, sizeof large - n, "data: %0200d\r\n\r\n", 1);
	ops = *snowflake.ops;
	ops.notice = on_notice;
	snowflake.ops = &ops;
	c->listens = true;
	told = 0;
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_true(seen_n > 2000);
	assert_in_range(told, 8, 12);
	script_close();
}

/* Its own time, not the configured one: 90 s were left. */
static void test_time_that_was_left(void **state)
{
	BEGIN({WIRE_REST, .result = WIRE_TIMEOUT, .takes = 90 * USEC_PER_S});
	struct call *c = rest_call(false);

	c->deadline = clock_now() + 90 * USEC_PER_S;
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].failure.err, ERR_TIMEOUT);
	assert_string_equal(c->plan[0].failure.message, "no answer within 90 s");
	script_close();
}

static void test_too_large(void **state)
{
	BEGIN({WIRE_REST, .result = WIRE_TOO_LARGE});
	struct call *c = rest_call(false);

	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].failure.err, ERR_NOMEM);
	assert_non_null(strstr(c->plan[0].failure.message, "4 MiB"));
	script_close();
}

/* An agent takes minutes; the gateway's own statements, which are the account's too, do not wait for it. */
static void test_a_lane_of_its_own(void **state)
{
	BEGIN({WIRE_REST, .status = 200, .answer = EVENTS, .takes = 60 * USEC_PER_S},
	      {WIRE_SUBMIT, .with = "SHOW", .status = 200, .answer = ONE_ROW});
	struct call *c = rest_call(true), *own = script_call("SHOW TABLES");

	script_conf()->snowflake_max_per_warehouse = 1;
	own->plan[0].metadata = true;
	script_start(c);
	script_start_at(own, USEC_PER_S);
	assert_int_equal(script_run(), 2);
	assert_int_equal(own->plan[0].state, STATEMENT_SUCCEEDED);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	assert_int_equal(script_elapsed(), 60 * USEC_PER_S);
	script_close();
}

static void test_refusals(void **state)
{
	static const struct {
		int status;
		const char *answer;
		enum err err;
		const char *code;
	} cases[] = {
	    {400, ERROR("390142"), ERR_SQL, "390142"},
	    {404, ERROR("002003"), ERR_SQL, "002003"},
	    {404, "<html>", ERR_SQL, NULL},
	    {400, "{\"message\":\"as scripted\",\"error_code\":\"390142\",\"request_id\":\"r\"}", ERR_SQL, "390142"},
	    {403, ERROR("399100"), ERR_SQL, "399100"},
	    {403, "", ERR_UPSTREAM_AUTH, NULL},
	    {422, ERROR("399111"), ERR_SQL, "399111"},
	    {202, "{\"code\":\"392604\",\"message\":\"later\"}", ERR_TIMEOUT, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (int events = 0; events < 2; events++) {
			struct script_line line = {WIRE_REST, .status = cases[i].status, .answer = cases[i].answer};
			struct call *c;

			script_open(&line, 1);
			c = rest_call(events);
			script_start(c);
			assert_int_equal(script_run(), 1);
			assert_int_equal(c->plan[0].state, STATEMENT_FAILED);
			if (c->plan[0].failure.err !=
			    (events && cases[i].err == ERR_TIMEOUT ? ERR_OUTCOME_UNKNOWN : cases[i].err))
				fail_msg("%d: %s", cases[i].status, c->plan[0].failure.message);
			assert_true(c->plan[0].failure.message[0]);
			if (cases[i].err == ERR_SQL && cases[i].code)
				assert_string_equal(c->plan[0].failure.message, "as scripted (request r)");
			if (cases[i].code)
				assert_string_equal(c->plan[0].failure.code, cases[i].code);
			assert_int_equal(seen_n, 0);
			script_close();
		}
}

/* A question may be asked again; an agent that may have begun is not. */
static void test_tries(void **state)
{
	static const struct script_line failures[] = {
	    {WIRE_REST, .status = 429, .answer = ERROR("1")},
	    {WIRE_REST, .result = WIRE_REFUSED},
	    {WIRE_REST, .status = 503, .answer = ""},
	    {WIRE_REST, .result = WIRE_BROKEN},
	};
	static const bool again[] = {true, true, false, false}; /* an agent */

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(failures); i++)
		for (int events = 0; events < 2; events++) {
			struct script_line lines[2] = {failures[i],
						       {WIRE_REST, .status = 200, .answer = events ? EVENTS : "{}"}};
			bool asked = !events || again[i];
			struct call *c;

			script_open(lines, asked ? 2 : 1);
			c = rest_call(events);
			script_start(c);
			assert_int_equal(script_run(), 1);
			assert_int_equal(c->plan[0].state, asked ? STATEMENT_SUCCEEDED : STATEMENT_FAILED);
			assert_int_equal(c->plan[0].failure.err, asked ? ERR_OK : ERR_OUTCOME_UNKNOWN);
			script_close();
		}
}

static void test_time(void **state)
{
	BEGIN({WIRE_REST, .result = WIRE_TIMEOUT, .takes = 120 * USEC_PER_S});
	struct call *c = rest_call(true);

	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].failure.err, ERR_OUTCOME_UNKNOWN);
	assert_non_null(strstr(c->plan[0].failure.message, "is unknown: no answer within 120 s"));
	script_close();
}

/* Slow agents do not keep anybody from the account. */
static void test_time_is_no_outage(void **state)
{
	static struct script_line lines[11];

	(void)state;
	for (size_t i = 0; i < 10; i++)
		lines[i] = (struct script_line){WIRE_REST, .result = WIRE_TIMEOUT, .takes = USEC_PER_S};
	lines[10] = (struct script_line){WIRE_SUBMIT, .status = 200, .answer = ONE_ROW};
	script_open(lines, ARRAY_LEN(lines));
	script_conf()->snowflake_breaker_failures = 3;
	script_conf()->snowflake_breaker_open = 60 * USEC_PER_S;
	for (int i = 0; i < 10; i++) {
		script_start(rest_call(true));
		(void)script_run();
	}
	struct call *c = script_call("SELECT 1");
	script_start(c);
	assert_int_equal(script_run(), 11);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	script_close();
}

static void test_cancel_gives_up_the_request(void **state)
{
	BEGIN({WIRE_REST, .status = 200, .answer = EVENTS, .takes = 60 * USEC_PER_S});
	struct call *c = rest_call(true);

	script_start(c);
	script_cancel_at(1, 2 * USEC_PER_S);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_CANCELLED);
	assert_true(c->cancelled);
	assert_int_equal(script_elapsed(), 2 * USEC_PER_S);
	assert_int_equal(seen_n, 0);
	script_close();
}

static void test_cancelled_before_it_is_sent(void **state)
{
	(void)state;
	script_open(NULL, 0);
	struct call *c = rest_call(false);

	snowflake_cancel(1);
	script_start_at(c, USEC_PER_S);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_CANCELLED);
	script_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_whole),
	    cmocka_unit_test(test_context_is_in_headers),
	    cmocka_unit_test(test_a_name_that_no_header_can_hold),
	    cmocka_unit_test(test_events),
	    cmocka_unit_test(test_events_as_they_come),
	    cmocka_unit_test(test_an_event_that_is_too_long),
	    cmocka_unit_test(test_a_stream_without_end),
	    cmocka_unit_test(test_memory),
	    cmocka_unit_test(test_notices_have_a_pace),
	    cmocka_unit_test(test_time_that_was_left),
	    cmocka_unit_test(test_too_large),
	    cmocka_unit_test(test_a_lane_of_its_own),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_tries),
	    cmocka_unit_test(test_time),
	    cmocka_unit_test(test_time_is_no_outage),
	    cmocka_unit_test(test_cancel_gives_up_the_request),
	    cmocka_unit_test(test_cancelled_before_it_is_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
