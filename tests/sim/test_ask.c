/* Questions to the client: on the call's stream in the legacy era, as input_required in the modern one. */
#include "talk.c"

#define DELETE_T "{\"query\":\"DELETE FROM T\"}"
#define YES      "{\"action\":\"accept\",\"content\":{\"confirm\":true}}"
#define NO       "{\"action\":\"decline\"}"

static const char *asking_session(void)
{
	return session_of("2025-11-25", "{\"elicitation\":{}}");
}

/* The response to question n of this process. */
static handle_t reply_to(const char *s, int n, const char *result)
{
	handle_t x = post(s, "{\"jsonrpc\":\"2.0\",\"id\":\"ask-%d\",\"result\":%s}", n, result);

	while (sim_turn())
		;
	HEARD(x, "202");
	return x;
}

/* ---- legacy ---- */

static void test_accepted(void **state)
{
	BEGIN({WIRE_SUBMIT, .with = "DELETE FROM T", .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW});
	const char *s = asking_session();
	handle_t a = query_with(s, "", DELETE_T);

	/* the question does not wait until the call is slow */
	HEARD(a, "0:prime 1:ask");
	assert_true(hears(a, "\"id\":\"ask-1\"") && hears(a, "DELETE FROM T"));
	slots_are(0, 0);
	sim_run_for(SECONDS(5));
	reply_to(s, 1, YES);
	sim_run();
	HEARD(a, "0:prime 1:ask 2:response end");
	assert_false(hears(a, "\"isError\":true"));
	assert_int_equal(metric_value(METRIC_asks, "accepted"), 1);
	sim_close();
}

static void test_declined(void **state)
{
	BEGIN_WITHOUT;
	const char *s = asking_session();
	handle_t a = query_with(s, "", DELETE_T), b = query_with(s, "", DELETE_T);

	reply_to(s, 1, NO);
	HEARD(a, "0:prime 1:ask 2:response end");
	assert_true(hears(a, "\"isError\":true") && hears(a, "declined"));
	post(s, "{\"jsonrpc\":\"2.0\",\"id\":\"ask-2\",\"error\":{\"code\":-32601,\"message\":\"no\"}}");
	HEARD(b, "0:prime 1:ask 2:response end");
	assert_true(hears(b, "\"isError\":true"));
	assert_int_equal(metric_value(METRIC_asks, "declined"), 1);
	assert_int_equal(metric_value(METRIC_asks, "failed"), 1);
	sim_close();
}

static void test_not_answered_in_time(void **state)
{
	BEGIN_WITHOUT;
	const char *s = asking_session();
	handle_t a = query_with(s, "", DELETE_T);

	sim_run_for(SECONDS(60) - 1);
	HEARD(a, "0:prime 1:ask");
	sim_run_for(1);
	HEARD(a, "0:prime 1:ask 2:response end");
	assert_true(hears(a, "not answered in time"));
	assert_int_equal(metric_value(METRIC_asks, "timeout"), 1);
	/* what comes now is too late for anything */
	reply_to(s, 1, YES);
	sim_run();
	sim_close();
}

/* Another session's response, one to a question that was not asked, one that comes twice. */
static void test_foreign_answers(void **state)
{
	BEGIN(SLOW(SECONDS(1)));
	const char *s = asking_session(), *other = asking_session();
	handle_t a = query_with(s, "", DELETE_T);

	reply_to(other, 1, YES);
	reply_to(s, 2, YES);
	reply_to(s, 0, YES);
	post(s, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":%s}", YES);
	HEARD(post(NULL, "{\"jsonrpc\":\"2.0\",\"id\":\"ask-1\",\"result\":%s}", YES), "400");
	next_request.subject = "mallory";
	HEARD(post(s, "{\"jsonrpc\":\"2.0\",\"id\":\"ask-1\",\"result\":%s}", YES), "404");
	HEARD(a, "0:prime 1:ask");
	reply_to(s, 1, YES);
	reply_to(s, 1, NO);
	sim_run();
	HEARD(a, "0:prime 1:ask 2:response end");
	assert_false(hears(a, "\"isError\":true"));
	sim_close();
}

static void test_cancelled_while_asked(void **state)
{
	BEGIN_WITHOUT;
	const char *s = asking_session();
	handle_t a = query_with(s, "", DELETE_T);

	cancel(s, a);
	HEARD(a, "0:prime 1:ask end");
	assert_int_equal(handle_count(gateway.tickets), 0);
	reply_to(s, 1, YES);
	sim_close();
}

/* The question is an event like others: who was cut off finds it again, and its answer counts from anywhere. */
static void test_leaving_while_asked(void **state)
{
	BEGIN(SLOW(SECONDS(1)), SLOW(SECONDS(1)));
	const char *s = asking_session();
	handle_t a = query_with(s, "", DELETE_T), b;

	client_leave(a);
	sim_run_for(SECONDS(10));
	b = get(s, id_of(a, 0));
	HEARD(b, "0:prime 1:ask");
	reply_to(s, 1, YES);
	sim_run();
	HEARD(b, "0:prime 1:ask 2:response end");
	/* answered while nobody reads */
	a = query_with(s, "", DELETE_T);
	client_leave(a);
	reply_to(s, 2, YES);
	sim_run();
	b = get(s, last_id(a));
	HEARD(b, "1:prime 2:response end");
	sim_close();
}

static void test_session_deleted_while_asked(void **state)
{
	BEGIN_WITHOUT;
	const char *s = asking_session();
	handle_t a = query_with(s, "", DELETE_T);

	delete_session(s);
	sim_run();
	HEARD(a, "0:prime 1:ask end");
	sim_close();
}

static void test_drain_while_asked(void **state)
{
	BEGIN_WITHOUT;
	handle_t a = query_with(asking_session(), "", DELETE_T);

	gateway_drain();
	sim_run();
	HEARD(a, "0:prime 1:ask 2:error end");
	assert_true(clients_loop_ended());
	sim_close();
}

/* Who takes no stream cannot be asked, nor who has said that it has no such thing; by this policy that is a yes. */
static void test_who_cannot_be_asked(void **state)
{
	BEGIN(SLOW(MS(100)), SLOW(MS(100)));
	const char *s = asking_session();
	handle_t a;

	next_request.accept = "application/json";
	a = query_with(s, "", DELETE_T);
	sim_run();
	HEARD(a, "200");
	a = query_with(session(), "", DELETE_T);
	sim_run();
	HEARD(a, "200");
	assert_false(hears(a, "\"isError\":true"));
	/* who could be asked, but not now, has not said yes */
	sim.limits.streams = 0;
	a = query_with(s, "", DELETE_T);
	sim_run();
	HEARD(a, "200");
	assert_true(hears(a, "\"isError\":true"));
	sim_close();
}

static void test_must_be_asked(void **state)
{
	BEGIN_WITHOUT;
	handle_t a;

	script.policy.confirm = CONFIRM_REQUIRE;
	a = query_with(session(), "", DELETE_T);
	sim_run();
	HEARD(a, "200");
	assert_true(hears(a, "\"isError\":true") && hears(a, "elicitation"));
	sim_close();
}

/* ---- more than one round ---- */

static bool ask_for(struct call *c, const char *key)
{
	return call_ask(
	    c, key, "elicitation/create",
	    json_pack("{s:s, s:{s:s, s:{}}}", "message", key, "requestedSchema", "type", "object", "properties"));
}

/* Two questions at once, and one more when they are answered. */
static int plan_rounds(struct call *c)
{
	if (!call_answer(c, "one"))
		return ask_for(c, "one") && ask_for(c, "two") ? ERR_OK : ERR_NOMEM;
	if (!call_answer(c, "three"))
		return ask_for(c, "three") ? ERR_OK : ERR_NOMEM;
	return ERR_OK;
}

static void answer_rounds(struct call *c)
{
	static const char *const keys[] = {"one", "two", "three"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const char *action = json_text_of(call_answer(c, keys[i]), "action");

		buf_addf(&c->answer.text, "%s=%s;", keys[i], action ? action : "none");
	}
}

/* The tool's definition stays; what it does is another thing until rounds_close(). */
static struct handler usual;
static void use_rounds(void)
{
	struct tool *t = (struct tool *)tool_find(&script.policy, "execute_query");

	usual = t->handler;
	t->handler = (struct handler){.plan = plan_rounds, .answer = answer_rounds, .plan_on_net = true};
}

static void rounds_close(void)
{
	((struct tool *)tool_find(&script.policy, "execute_query"))->handler = usual;
	sim_close();
}

static void test_second_round(void **state)
{
	BEGIN_WITHOUT;
	const char *s = asking_session();
	handle_t a, b;

	use_rounds();
	a = query(s);
	HEARD(a, "0:prime 1:ask 2:ask");
	reply_to(s, 2, NO);
	HEARD(a, "0:prime 1:ask 2:ask");
	/* a round that is not whole is not gone on with */
	reply_to(s, 2, YES);
	reply_to(s, 1, YES);
	HEARD(a, "0:prime 1:ask 2:ask 3:ask");
	/* questions of the first round are closed */
	reply_to(s, 1, NO);
	reply_to(s, 3, "{\"action\":\"cancel\"}");
	HEARD(a, "0:prime 1:ask 2:ask 3:ask 4:response end");
	assert_true(hears(a, "one=accept;two=decline;three=cancel;"));
	/* half of it, and then silence */
	b = query(s);
	reply_to(s, 5, YES);
	sim_run();
	HEARD(b, "0:prime 1:ask 2:ask 3:ask 4:response end");
	assert_true(hears(b, "one=none;two=accept;three=none;"));
	rounds_close();
}

/* Over standard input and output a reader who is found gone cannot come back for the question. */
static void test_local_client_gone_before_the_question(void **state)
{
	BEGIN_WITHOUT;
	const char *s = asking_session();
	handle_t a;

	use_rounds();
	next_request.local = true;
	a = query(s);
	HEARD(a, "ask ask");
	client_vanish(a);
	reply_to(s, 1, YES);
	reply_to(s, 2, YES);
	assert_int_equal(handle_count(gateway.tickets), 0);
	assert_int_equal(metric_value(METRIC_cancels, "disconnect"), 1);
	sim_run();
	rounds_close();
}

/* ---- modern ---- */

static const char *state_of(handle_t x)
{
	static char text[8192];
	const char *at = strstr(told_of(x), "\"requestState\":\"");

	assert_non_null(at);
	at += strlen("\"requestState\":\"");
	snprintf(text, sizeof text, "%.*s", (int)strcspn(at, "\""), at);
	return text;
}

/* The same call again, with an answer; `arguments` and `request_state` as given. */
static handle_t again(const char *arguments, const char *key, const char *result, const char *request_state)
{
	char params[8192];

	snprintf(params, sizeof params,
		 "\"name\":\"execute_query\",\"arguments\":%s,\"inputResponses\":{\"%s\":%s}%s%s%s", arguments, key,
		 result, request_state ? ",\"requestState\":\"" : "", request_state ? request_state : "",
		 request_state ? "\"" : "");
	return modern("tools/call", "execute_query", "", params);
}

static void test_input_required(void **state)
{
	BEGIN({WIRE_SUBMIT, .with = "DELETE FROM T", .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW});
	handle_t a = modern_query("", DELETE_T), b;

	HEARD(a, "200");
	assert_true(hears(a, "\"resultType\":\"input_required\"") && hears(a, "\"confirm\":{"));
	assert_int_equal(handle_count(gateway.tickets), 0);
	b = again(DELETE_T, "confirm", YES, state_of(a));
	sim_run();
	HEARD(b, "200");
	assert_true(hears(b, "\"resultType\":\"complete\""));
	assert_false(hears(b, "\"isError\":true"));
	sim_close();
}

static void test_input_required_refused(void **state)
{
	BEGIN_WITHOUT;
	handle_t a = modern_query("", DELETE_T), b;

	b = again(DELETE_T, "confirm", NO, state_of(a));
	sim_run();
	assert_true(hears(b, "\"isError\":true") && hears(b, "declined"));
	/* another statement, another person, another time */
	b = again("{\"query\":\"DELETE FROM T2\"}", "confirm", YES, state_of(a));
	assert_true(hears(b, "-32602"));
	next_request.subject = "mallory";
	b = again(DELETE_T, "confirm", YES, state_of(a));
	assert_true(hears(b, "-32602"));
	sim_run_for(SECONDS(61));
	b = again(DELETE_T, "confirm", YES, state_of(a));
	assert_true(hears(b, "-32602"));
	/* consent that nobody asked for is none */
	b = again(DELETE_T, "confirm", YES, NULL);
	assert_true(hears(b, "\"resultType\":\"input_required\""));
	b = again(DELETE_T, "confirm", YES, "made up");
	assert_true(hears(b, "-32602"));
	sim_close();
}

/* A yes was said for one context: in another the question is asked anew. */
static void test_context_changed_meanwhile(void **state)
{
	BEGIN({WIRE_SUBMIT, .with = "DELETE FROM T", .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW});
	struct session *s = sim_session_of(session());
	char arguments[200];
	handle_t a, b, c;

	snprintf(arguments, sizeof arguments, "{\"query\":\"DELETE FROM T\",\"session\":\"%s\"}", s->handle);
	a = modern_query("", arguments);
	assert_true(hears(a, "\"resultType\":\"input_required\""));
	s->version++;
	b = again(arguments, "confirm", YES, state_of(a));
	assert_true(hears(b, "\"resultType\":\"input_required\""));
	c = again(arguments, "confirm", YES, state_of(b));
	sim_run();
	assert_true(hears(c, "\"resultType\":\"complete\""));
	sim_close();
}

static void test_second_round_modern(void **state)
{
	BEGIN_WITHOUT;
	handle_t a, b, c;

	use_rounds();
	a = modern_query("", QUERY);
	assert_true(hears(a, "\"one\":{") && hears(a, "\"two\":{"));
	b = again(QUERY, "one", YES, state_of(a));
	assert_true(hears(b, "\"resultType\":\"input_required\"") && hears(b, "\"three\":{"));
	c = again(QUERY, "three", NO, state_of(b));
	assert_true(hears(c, "one=accept;two=none;three=decline;"));
	rounds_close();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_accepted),
	    cmocka_unit_test(test_declined),
	    cmocka_unit_test(test_not_answered_in_time),
	    cmocka_unit_test(test_foreign_answers),
	    cmocka_unit_test(test_cancelled_while_asked),
	    cmocka_unit_test(test_leaving_while_asked),
	    cmocka_unit_test(test_session_deleted_while_asked),
	    cmocka_unit_test(test_drain_while_asked),
	    cmocka_unit_test(test_who_cannot_be_asked),
	    cmocka_unit_test(test_must_be_asked),
	    cmocka_unit_test(test_second_round),
	    cmocka_unit_test(test_local_client_gone_before_the_question),
	    cmocka_unit_test(test_input_required),
	    cmocka_unit_test(test_input_required_refused),
	    cmocka_unit_test(test_context_changed_meanwhile),
	    cmocka_unit_test(test_second_round_modern),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
