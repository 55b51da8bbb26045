/* Calls that wait for a token: told together, cancelled meanwhile, refused at every stage; nothing is run twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "script.h"
/* one program per test file: the script is a part of it */
#include "script.c"

#define HANDLE "01b2c3d4-0000-0001-0000-000100020003"
#define RUNNING                                                                                                        \
	"{\"code\":\"333334\",\"sqlState\":\"00000\",\"message\":\"as scripted\",\"statementHandle\":\"" HANDLE "\"}"
#define ONE_ROW                                                                                                        \
	"{\"resultSetMetaData\":{\"numRows\":1,\"format\":\"jsonv2\",\"partitionInfo\":[{\"rowCount\":1}],"            \
	"\"rowType\":[{\"name\":\"N\",\"type\":\"fixed\",\"precision\":38,\"scale\":0,\"nullable\":true}]},"           \
	"\"data\":[[\"1\"]],\"code\":\"090001\",\"sqlState\":\"00000\",\"statementHandle\":\"" HANDLE "\"}"
#define GIVEN(token, life) "{\"access_token\":\"" token "\",\"expires_in\":" life "}"
#define EXPIRED            "{\"code\":\"390318\",\"message\":\"OAuth access token expired.\"}"

#define BEGIN(...)                                                                                                     \
	static const struct script_line lines[] = {__VA_ARGS__};                                                       \
	(void)state;                                                                                                   \
	begin(lines, ARRAY_LEN(lines))

static void begin(const struct script_line *lines, size_t n)
{
	script_open(lines, n);
	script.connection.auth = CONNECTION_CLIENT_CREDENTIALS;
	script.connection.oauth_client_id = "id";
	script.connection.oauth_client_secret = "canary-0123";
	script.connection.oauth_token_request_url = "https://login.example/token";
	connection_identify(&script.connection);
}

static void test_all_wait_for_one(void **state)
{
	BEGIN({WIRE_TOKEN, .with = "client_credentials", .status = 200, .answer = GIVEN("one", "600"),
	       .takes = USEC_PER_S},
	      {WIRE_SUBMIT, .status = 200, .answer = ONE_ROW}, {WIRE_SUBMIT, .status = 200, .answer = ONE_ROW});
	struct call *a = script_call("SELECT 1"), *b = script_call("SELECT 2");
	script_start(a);
	script_start(b);
	assert_int_equal(script_run(), 2);
	assert_int_equal(a->plan[0].state, STATEMENT_SUCCEEDED);
	assert_int_equal(b->plan[0].state, STATEMENT_SUCCEEDED);
	assert_int_equal(script_tokens(), 1);
	script_close();
}

/* Who is cancelled meanwhile comes home at once; the fetch goes on for whoever comes next. */
static void test_cancelled_meanwhile(void **state)
{
	BEGIN({WIRE_TOKEN, .status = 200, .answer = GIVEN("one", "600"), .takes = 5 * USEC_PER_S},
	      {WIRE_SUBMIT, .status = 200, .answer = ONE_ROW});
	struct call *gone = script_call("SELECT 1"), *stays = script_call("SELECT 2");
	script_start(gone);
	script_start(stays);
	script_cancel_at(gone->ticket, USEC_PER_S);
	assert_int_equal(script_run(), 2);
	assert_int_equal(gone->plan[0].state, STATEMENT_CANCELLED);
	assert_int_equal(stays->plan[0].state, STATEMENT_SUCCEEDED);
	script_close();
}

static void test_refused(void **state)
{
	BEGIN({WIRE_TOKEN, .status = 401, .answer = "{\"error\":\"invalid_client\"}"});
	struct call *a = script_call("SELECT 1"), *b = script_call("SELECT 2");
	script_start(a);
	script_start(b);
	assert_int_equal(script_run(), 2);
	assert_int_equal(a->plan[0].state, STATEMENT_FAILED);
	assert_int_equal(a->plan[0].failure.err, ERR_UPSTREAM_AUTH);
	assert_non_null(strstr(a->plan[0].failure.message, "snowflake.connections.test"));
	assert_non_null(strstr(a->plan[0].failure.message, "invalid_client"));
	assert_null(strstr(a->plan[0].failure.message, "canary"));
	assert_int_equal(b->plan[0].failure.err, ERR_UPSTREAM_AUTH);
	script_close();
}

/* Ended under way: with the submission, then with a poll. The statement is the same one. */
static void test_ended_under_way(void **state)
{
	BEGIN({WIRE_TOKEN, .status = 200, .answer = GIVEN("one", "600")},
	      {WIRE_SUBMIT, .status = 401, .answer = EXPIRED, .takes = 2 * USEC_PER_S},
	      {WIRE_TOKEN, .status = 200, .answer = GIVEN("two", "600")},
	      {WIRE_SUBMIT, .without = "retry=true", .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 401, .answer = EXPIRED, .takes = 2 * USEC_PER_S},
	      {WIRE_TOKEN, .status = 200, .answer = GIVEN("three", "600")},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW});
	struct call *c = script_call("SELECT 1");
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	assert_int_equal(script_tokens(), 3);
	assert_int_equal(script_request_ids(), 1);
	script_close();
}

/* A token that is too old by the time of the poll is replaced before that is sent, and nobody is refused. */
static void test_replaced_before_it_is_sent(void **state)
{
	BEGIN({WIRE_TOKEN, .status = 200, .answer = GIVEN("one", "60")},
	      {WIRE_SUBMIT, .status = 202, .answer = RUNNING, .takes = 58 * USEC_PER_S},
	      {WIRE_TOKEN, .status = 200, .answer = GIVEN("two", "600")},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW});
	struct call *c = script_call("SELECT 1");
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	assert_int_equal(script_tokens(), 2);
	script_close();
}

/* A cancel needs a token too. */
static void test_a_cancel_waits_for_it(void **state)
{
	BEGIN({WIRE_TOKEN, .status = 200, .answer = GIVEN("one", "60")},
	      {WIRE_SUBMIT, .status = 202, .answer = RUNNING, .takes = 58 * USEC_PER_S},
	      {WIRE_TOKEN, .status = 200, .answer = GIVEN("two", "600"), .takes = USEC_PER_S},
	      {WIRE_CANCEL, .with = HANDLE, .status = 200, .answer = "{\"code\":\"000604\"}"});
	struct call *c = script_call("SELECT 1");
	script_start(c);
	script_cancel_at(c->ticket, 10 * USEC_PER_S);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_CANCELLED);
	script_close();
}

/* ---- a token endpoint that is down ---- */

#define DOWN                                                                                                           \
	{                                                                                                              \
		WIRE_TOKEN, .result = WIRE_REFUSED                                                                     \
	}
#define DOWN_503                                                                                                       \
	{                                                                                                              \
		WIRE_TOKEN, .status = 503, .answer = "<html>"                                                          \
	}

/* Nobody refused anything: it is called unreachable, worth another try, and no setting is blamed. */
static void test_down_before(void **state)
{
	BEGIN(DOWN, DOWN_503, DOWN, DOWN_503, DOWN, DOWN);
	script_conf()->snowflake_retries = 1;
	struct call *c = script_call("SELECT 1");
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_FAILED);
	assert_int_equal(c->plan[0].failure.err, ERR_UPSTREAM);
	assert_non_null(strstr(c->plan[0].failure.message, "https://login.example/token cannot be reached"));
	assert_null(strstr(c->plan[0].failure.message, "check snowflake"));
	script_close();
}

static void test_down_for_a_moment(void **state)
{
	BEGIN(DOWN, DOWN, DOWN, {WIRE_TOKEN, .status = 200, .answer = GIVEN("one", "600")},
	      {WIRE_SUBMIT, .status = 200, .answer = ONE_ROW});
	struct call *c = script_call("SELECT 1");
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	script_close();
}

/* What runs is polled to its end as soon as there is a token again; a write's fate stays known. */
static void down_under_way(bool write)
{
	static const struct script_line lines[] = {
	    {WIRE_TOKEN, .status = 200, .answer = GIVEN("one", "60")},
	    {WIRE_SUBMIT, .status = 202, .answer = RUNNING, .takes = 58 * USEC_PER_S},
	    DOWN,
	    DOWN_503,
	    DOWN,
	    {WIRE_TOKEN, .status = 200, .answer = GIVEN("two", "600")},
	    {WIRE_POLL, .status = 200, .answer = ONE_ROW}};
	begin(lines, ARRAY_LEN(lines));
	struct call *c = script_call("SELECT 1");
	c->plan[0].write = write;
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	script_close();
}

static void test_down_under_way(void **state)
{
	(void)state;
	down_under_way(false);
	down_under_way(true);
}

/* A refusal is still one. */
static void test_refused_under_way(void **state)
{
	BEGIN({WIRE_TOKEN, .status = 200, .answer = GIVEN("one", "60")},
	      {WIRE_SUBMIT, .status = 202, .answer = RUNNING, .takes = 58 * USEC_PER_S},
	      {WIRE_TOKEN, .status = 401, .answer = "{\"error\":\"invalid_client\"}"});
	struct call *c = script_call("SELECT 1");
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].failure.err, ERR_UPSTREAM_AUTH);
	script_close();
}

/* The cancel is sent when there is a token again. */
static void test_down_for_a_cancel(void **state)
{
	BEGIN({WIRE_TOKEN, .status = 200, .answer = GIVEN("one", "60")},
	      {WIRE_SUBMIT, .status = 202, .answer = RUNNING, .takes = 58 * USEC_PER_S}, DOWN, DOWN, DOWN,
	      {WIRE_TOKEN, .status = 200, .answer = GIVEN("two", "600")},
	      {WIRE_CANCEL, .with = HANDLE, .status = 200, .answer = "{\"code\":\"000604\"}"});
	struct call *c = script_call("SELECT 1");
	script_start(c);
	script_cancel_at(c->ticket, 10 * USEC_PER_S);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_CANCELLED);
	script_close();
}

/* An endpoint that does not answer is not waited for longer than the caller waits; the fetch goes on for others. */
static void test_hangs_before(void **state)
{
	BEGIN({WIRE_TOKEN, .status = 200, .answer = GIVEN("one", "600"), .takes = 100 * USEC_PER_S},
	      {WIRE_SUBMIT, .status = 200, .answer = ONE_ROW});
	struct call *gone = script_call("SELECT 1"), *stays = script_call("SELECT 2");
	gone->deadline = clock_now() + 20 * USEC_PER_S;
	script_start(gone);
	script_start(stays);
	assert_int_equal(script_run(), 2);
	assert_int_equal(gone->plan[0].state, STATEMENT_FAILED);
	assert_int_equal(gone->plan[0].failure.err, ERR_UPSTREAM);
	assert_non_null(strstr(gone->plan[0].failure.message, "has not answered within the time of this call"));
	assert_int_equal(stays->plan[0].state, STATEMENT_SUCCEEDED);
	script_close();
}

/* The caller of what runs is told so in time, and its end is seen later. */
static void test_hangs_under_way(void **state)
{
	BEGIN({WIRE_TOKEN, .status = 200, .answer = GIVEN("one", "60")},
	      {WIRE_SUBMIT, .status = 202, .answer = RUNNING, .takes = 58 * USEC_PER_S},
	      {WIRE_TOKEN, .status = 200, .answer = GIVEN("two", "600"), .takes = 100 * USEC_PER_S},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW});
	struct call *c = script_call("SELECT 1");
	c->deadline = clock_now() + 70 * USEC_PER_S;
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(script_early(), 1);
	assert_int_equal(c->plan[0].state, STATEMENT_SUCCEEDED);
	script_close();
}

/* Who only looks at a statement is not kept either. */
static void test_hangs_for_who_looks(void **state)
{
	BEGIN({WIRE_TOKEN, .status = 200, .answer = GIVEN("one", "600"), .takes = 100 * USEC_PER_S});
	struct call *c = script_call(NULL);
	c->plan[0].kind = STATEMENT_ATTACH;
	memcpy(c->plan[0].handle, HANDLE, sizeof HANDLE);
	c->deadline = clock_now() + 20 * USEC_PER_S;
	script_start(c);
	assert_int_equal(script_run(), 1);
	assert_int_equal(c->plan[0].failure.err, ERR_UPSTREAM);
	script_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all_wait_for_one),
	    cmocka_unit_test(test_cancelled_meanwhile),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_ended_under_way),
	    cmocka_unit_test(test_replaced_before_it_is_sent),
	    cmocka_unit_test(test_a_cancel_waits_for_it),
	    cmocka_unit_test(test_down_before),
	    cmocka_unit_test(test_down_for_a_moment),
	    cmocka_unit_test(test_down_under_way),
	    cmocka_unit_test(test_refused_under_way),
	    cmocka_unit_test(test_down_for_a_cancel),
	    cmocka_unit_test(test_hangs_before),
	    cmocka_unit_test(test_hangs_under_way),
	    cmocka_unit_test(test_hangs_for_who_looks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
