/* Whole calls on one thread: from the front door over admission, the scripted Snowflake and the store to the reply. */
#include "sim.c"

/* What a context became: role, warehouse, database, schema. */
#define PROBED(warehouse, schema)                                                                                      \
	"{\"resultSetMetaData\":{\"numRows\":1,\"partitionInfo\":[{\"rowCount\":1}],\"rowType\":[" COLUMN(             \
	    "R") "," COLUMN("W") "," COLUMN("D") "," COLUMN("S") "]},\"data\":[[\"ANALYST\",\"" warehouse              \
								 "\",\"SALES\",\"" schema                              \
								 "\"]],\"code\":\"090001\",\"sqlState\":\"00000\","    \
								 "\"statementHandle\":\"" HANDLE "\"}"

#define BEGIN(...)                                                                                                     \
	static const struct script_line lines[] = {__VA_ARGS__};                                                       \
	(void)state;                                                                                                   \
	calls_open(lines, ARRAY_LEN(lines))

/* What became of a call, seen by its number, which is that of its exchange too: the order of calls from 1. */
enum { CALLS_MAX = 16 };
struct seen_call {
	struct call *call;
	int ended;
	enum err fault;
	bool is_error, cancelled;
	int replans;
	size_t plan_n;
	enum statement_state statement;
	usec_t retry_after;
	char session_id[SESSION_ID_SIZE];
	char text[2048]; /* of the answer, as it came home */
};
static struct {
	struct seen_call calls[CALLS_MAX + 1];
	size_t n;
} taken;

static void calls_open(const struct script_line *lines, size_t n)
{
	memset(&taken, 0, sizeof taken);
	sim_open(lines, n);
}

/* Every call has ended, once. */
static void calls_close(void)
{
	for (size_t i = 1; i <= taken.n; i++)
		assert_int_equal(taken.calls[i].ended, 1);
	sim_close();
}

/* ---- clients ---- */

static void sim_deliver(struct mail *m)
{
	struct call *c = container_of(m, struct call, mail);

	for (size_t i = 1; i <= taken.n && thread_self() == THREAD_NET; i++)
		if (taken.calls[i].call == c)
			snprintf(taken.calls[i].text, sizeof taken.calls[i].text, "%s", buf_text(&c->answer.text));
	call_run(c);
}

/* Runs when the call's arena is freed: its outcome is still there. */
static void sim_ended(void *object)
{
	struct seen_call *s = object;
	const struct call *c = s->call;

	s->ended++;
	s->fault = c->fault.err;
	s->is_error = c->answer.is_error;
	s->cancelled = c->cancelled;
	s->replans = c->replans;
	s->plan_n = c->plan_n;
	s->statement = c->plan_n ? c->plan[0].state : STATEMENT_NEW;
	s->retry_after = c->retry_after;
	snprintf(s->session_id, sizeof s->session_id, "%s", c->session_id);
}

/* What the front door does with a request, and its number; the exchange is that number too. */
static size_t sim_take(struct request *rq)
{
	struct seen_call *s = &taken.calls[++taken.n];
	struct call *c = call_new(rq);
	struct ticket *t = ticket_open(c, client_new());

	assert_true(taken.n <= CALLS_MAX);
	c->mail.deliver = sim_deliver;
	s->call = c;
	assert_true(arena_attach(c->arena, s, sim_ended));
	if (rq->method == HTTP_DELETE)
		c->step = STEP_bind;
	ticket_bind_account(t, account_of(gateway.accounts, &rq->principal, clock_now()));
	conf_use(rq->conf);
	call_run(c);
	return taken.n;
}

static size_t sim_send(const char *session_id, const char *format, ...) PRINTF_LIKE(2, 3);
static size_t sim_send(const char *session_id, const char *format, ...)
{
	char body[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(body, sizeof body, format, args);
	va_end(args);
	return sim_take(sim_request(HTTP_POST, body, session_id));
}

/* A tools/call whose JSON-RPC id is the number of the call. */
static size_t sim_query(const char *session_id, const char *arguments)
{
	return sim_send(
	    session_id,
	    "{\"jsonrpc\":\"2.0\",\"id\":%zu,\"method\":\"tools/call\",\"params\":{\"name\":\"execute_query\","
	    "\"arguments\":%s}}",
	    taken.n + 1, arguments);
}

static size_t sim_cancel(const char *session_id, size_t id)
{
	return sim_send(session_id,
			"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":%zu}}",
			id);
}

/* A session by header; its id lives as long as the test. */
static const char *sim_session(void)
{
	size_t n =
	    sim_send(NULL, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":"
			   "\"2025-11-25\",\"capabilities\":{},\"clientInfo\":{\"name\":\"t\",\"version\":\"1\"}}}");

	sim_run();
	assert_int_equal(taken.calls[n].ended, 1);
	assert_int_equal(taken.calls[n].fault, ERR_OK);
	assert_true(taken.calls[n].session_id[0]);
	return taken.calls[n].session_id;
}

#define QUERY "{\"query\":\"SELECT 7\"}"

/* ---- the road ---- */

static void test_whole_call(void **state)
{
	BEGIN({WIRE_SUBMIT, .with = "SELECT 7", .without = "retry=true", .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW});
	size_t n = sim_query(NULL, QUERY);
	slots_are(1, 0);
	sim_run();
	assert_int_equal(taken.calls[n].ended, 1);
	assert_int_equal(taken.calls[n].fault, ERR_OK);
	assert_string_equal(taken.calls[n].text, "1 row; ANALYST@WH_XS SALES.PUBLIC; 0.0 s\nN\nseven\n");
	assert_int_equal(metric_value(METRIC_calls, "ok"), 1);
	calls_close();
}

/* A session counts the rows of its client's statements, not of what the gateway reads for its answers. */
static void test_rows_are_the_client_s(void **state)
{
	BEGIN({WIRE_SUBMIT, .with = "SHOW ", .status = 200, .answer = ONE_ROW},
	      {WIRE_SUBMIT, .with = "SELECT 7", .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW});
	const char *session = sim_session();

	sim_send(session,
		 "{\"jsonrpc\":\"2.0\",\"id\":%zu,\"method\":\"tools/call\",\"params\":{\"name\":"
		 "\"list_objects\",\"arguments\":{\"kind\":\"schema\"}}}",
		 taken.n + 1);
	sim_run();
	assert_int_equal(sim_session_of(session)->counters.rows, 0);
	sim_query(session, QUERY);
	sim_run();
	assert_int_equal(sim_session_of(session)->counters.rows, 1);
	calls_close();
}

static void test_refused_before_anything_is_taken(void **state)
{
	BEGIN({WIRE_SUBMIT});
	script.n = 0;
	size_t guard = sim_query(NULL, "{\"query\":\"DROP TABLE T\"}"), schema = sim_query(NULL, "{\"limit\":1}");
	size_t tool =
	    sim_send(NULL, "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"tools/call\",\"params\":{\"name\":\"x\"}}");
	sim_run();
	assert_true(taken.calls[guard].is_error && taken.calls[schema].is_error);
	assert_int_equal(taken.calls[tool].fault, ERR_INVALID_PARAMS);
	calls_close();
}

static void test_rate(void **state)
{
	BEGIN({WIRE_SUBMIT});
	script.n = 0;
	sim.limits.burst = 2;
	sim.limits.calls_per_minute = 60;
	for (int i = 0; i < 3; i++)
		sim_send(NULL, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}");
	assert_int_equal(taken.calls[2].fault, ERR_OK);
	assert_int_equal(taken.calls[3].fault, ERR_RATE);
	assert_int_equal(taken.calls[3].retry_after, USEC_PER_S);
	sim_run_for(USEC_PER_S);
	sim_send(NULL, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}");
	assert_int_equal(taken.calls[4].fault, ERR_OK);
	calls_close();
}

/* ---- the queue ---- */

/* One runs, one waits until its patience is over, one more is refused at once; the slot is given back once. */
static void test_queue_wait_ends(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW, .takes = SECONDS(10)});
	size_t a = sim_query(NULL, QUERY), b = sim_query(NULL, QUERY), c = sim_query(NULL, QUERY);
	slots_are(1, 1);
	assert_int_equal(taken.calls[c].ended, 1);
	assert_int_equal(taken.calls[c].fault, ERR_CONCURRENCY);
	assert_true(taken.calls[c].retry_after > 0);
	sim_run_for(SECONDS(5) - 1);
	slots_are(1, 1);
	sim_run_for(1);
	slots_are(1, 0);
	assert_int_equal(taken.calls[b].ended, 1);
	assert_int_equal(taken.calls[b].fault, ERR_CONCURRENCY);
	assert_int_equal(taken.calls[a].ended, 0);
	sim_run();
	assert_int_equal(taken.calls[a].fault, ERR_OK);
	assert_int_equal(metric_value(METRIC_limit_decisions, "run"), 1);
	assert_int_equal(metric_value(METRIC_limit_decisions, "queued"), 1);
	assert_int_equal(metric_value(METRIC_limit_decisions, "concurrency"), 2);
	calls_close();
}

static void test_slot_goes_to_who_waits(void **state)
{
	BEGIN({WIRE_SUBMIT, .with = "SELECT 1", .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW, .takes = SECONDS(3)},
	      {WIRE_SUBMIT, .with = "SELECT 2", .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW, .takes = SECONDS(10)});
	size_t a = sim_query(NULL, "{\"query\":\"SELECT 1\"}"), b = sim_query(NULL, "{\"query\":\"SELECT 2\"}");
	sim_run_for(SECONDS(4));
	assert_int_equal(taken.calls[a].ended, 1);
	slots_are(1, 0);
	/* its time in the queue is over long before it ends: it is not taken out any more */
	sim_run_for(SECONDS(4));
	assert_int_equal(taken.calls[b].ended, 0);
	sim_run();
	assert_int_equal(taken.calls[b].fault, ERR_OK);
	calls_close();
}

/* Everybody's limit, not the caller's own. */
static void test_overloaded(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW, .takes = SECONDS(10)});
	sim.limits.running = 4;
	gateway.queue.max_running = script.conf.snowflake_max_in_flight = 1;
	sim_query(NULL, QUERY);
	size_t b = sim_query(NULL, QUERY);
	sim_run();
	assert_int_equal(taken.calls[b].fault, ERR_OVERLOADED);
	calls_close();
}

static void test_cancel_while_queued(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW, .takes = SECONDS(10)});
	const char *session = sim_session();
	size_t a = sim_query(session, QUERY), b = sim_query(session, QUERY);
	sim_run_for(SECONDS(1));
	slots_are(1, 1);
	sim_cancel(session, b);
	sim_run_for(0);
	assert_int_equal(taken.calls[b].ended, 1);
	assert_int_equal(taken.calls[b].fault, ERR_OK);
	assert_int_equal(taken.calls[b].statement, STATEMENT_NEW);
	slots_are(1, 0);
	sim_cancel(session, b);
	sim_cancel(session, 4711);
	sim_run();
	assert_int_equal(taken.calls[a].fault, ERR_OK);
	assert_int_equal(taken.calls[a].statement, STATEMENT_SUCCEEDED);
	assert_int_equal(metric_value(METRIC_calls, "cancelled"), 1);
	calls_close();
}

/* The id is another session's, or there is no session: nothing happens. */
static void test_cancel_of_others(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW, .takes = SECONDS(2)});
	const char *mine = sim_session(), *other = sim_session();
	size_t a = sim_query(mine, QUERY);
	sim_cancel(other, a);
	sim_cancel(NULL, a);
	sim_run();
	assert_int_equal(taken.calls[a].statement, STATEMENT_SUCCEEDED);
	assert_int_equal(metric_value(METRIC_calls, "cancelled"), 0);
	calls_close();
}

static void test_cancel_while_running(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 202, .answer = RUNNING, .takes = SECONDS(10)},
	      {WIRE_CANCEL, .with = HANDLE, .status = 200, .answer = CANCELLED, .takes = SECONDS(1)});
	const char *session = sim_session();
	size_t a = sim_query(session, QUERY);
	sim_run_for(SECONDS(1));
	sim_cancel(session, a);
	sim_run_for(USEC_PER_MS * 500);
	/* the slot is the call's until Snowflake has confirmed */
	slots_are(1, 0);
	sim_run();
	assert_int_equal(taken.calls[a].statement, STATEMENT_CANCELLED);
	calls_close();
}

/* Nobody waits for the call any more, but Snowflake has not heard of it: the gateway stays until it has. */
static void test_drain_waits_for_the_cancel(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 202, .answer = RUNNING, .takes = SECONDS(10)},
	      {WIRE_CANCEL, .with = HANDLE, .status = 200, .answer = CANCELLED, .takes = SECONDS(1)});
	size_t a = sim_query(NULL, QUERY);
	sim_run_for(SECONDS(1));
	ticket_by_exchange(a)->modern = true;
	client_leave(a);
	gateway_drain();
	sim_run_for(USEC_PER_MS * 500);
	assert_false(clients_loop_ended());
	sim_run_for(SECONDS(1));
	assert_true(clients_loop_ended());
	assert_int_equal(taken.calls[a].statement, STATEMENT_CANCELLED);
	timer_stop(&gateway.drain);
	calls_close();
}

static void test_modern_client_leaves_the_queue(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW, .takes = SECONDS(3)});
	size_t a = sim_query(NULL, QUERY), b = sim_query(NULL, QUERY);
	ticket_by_exchange(b)->modern = true;
	client_leave(b);
	assert_int_equal(taken.calls[b].ended, 1);
	slots_are(1, 0);
	client_leave(b);
	/* a legacy client may come back: its call goes on, answered to nobody */
	client_leave(a);
	slots_are(1, 0);
	sim_run();
	assert_int_equal(taken.calls[a].statement, STATEMENT_SUCCEEDED);
	calls_close();
}

static void test_deleted_session_ends_its_calls(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 202, .answer = RUNNING, .takes = SECONDS(10)},
	      {WIRE_CANCEL, .with = HANDLE, .status = 200, .answer = CANCELLED});
	const char *session = sim_session();
	size_t a = sim_query(session, QUERY), b = sim_query(session, QUERY), d, late;
	sim_run_for(SECONDS(1));
	d = sim_take(sim_request(HTTP_DELETE, "", session));
	sim_run_for(0);
	assert_int_equal(taken.calls[b].ended, 1);
	sim_run();
	assert_int_equal(taken.calls[a].statement, STATEMENT_CANCELLED);
	assert_int_equal(taken.calls[d].fault, ERR_OK);
	/* durably: neither memory nor store knows it */
	late = sim_query(session, QUERY);
	sim_run();
	assert_int_equal(taken.calls[late].fault, ERR_SESSION);
	assert_int_equal(session_count(gateway.sessions), 0);
	calls_close();
}

/* ---- accounts ---- */

/* A statement that exists is watched without a slot: its principal's account must outlive the call all the same. */
static void test_account_outlives_its_calls(void **state)
{
	BEGIN({WIRE_POLL, .with = HANDLE, .status = 200, .answer = ONE_ROW, .takes = SECONDS(20)});
	struct buf handle = buf_with_ceiling(128);
	struct principal alice = {.kind = PRINCIPAL_KEY, .subject = "alice"};
	size_t a;

	assert_true(handle_seal(&handle, sim_handle_key.bytes, HANDLE, "test", "ANALYST", &alice));
	a = sim_send(NULL,
		     "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"get_result\","
		     "\"arguments\":{\"statement_handle\":\"%s\"}}}",
		     buf_text(&handle));
	buf_free(&handle);
	slots_are(0, 0);
	sim_run_for(SECONDS(10));
	account_sweep(gateway.accounts, clock_now());
	assert_int_equal(account_count(gateway.accounts), 1);
	sim_run();
	assert_int_equal(taken.calls[a].fault, ERR_OK);
	assert_false(taken.calls[a].is_error);
	account_sweep(gateway.accounts, clock_now());
	assert_int_equal(account_count(gateway.accounts), 0);
	calls_close();
}

/* Both doors name the same object: that is no error. */
static void test_both_doors_the_same(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING}, {WIRE_POLL, .status = 200, .answer = ONE_ROW});
	const char *session = sim_session();
	char arguments[100];
	size_t a;

	snprintf(arguments, sizeof arguments, "{\"query\":\"SELECT 7\",\"session\":\"%s\"}",
		 sim_session_of(session)->handle);
	a = sim_query(session, arguments);
	sim_run();
	if (taken.calls[a].is_error)
		fail_msg("%s", taken.calls[a].text);
	calls_close();
}

/* ---- an early answer ---- */

/* The caller has its answer; the slot stays with the call until its statement is terminal, and is given back once. */
static void test_early_answer_keeps_the_slot(void **state)
{
	BEGIN({WIRE_SUBMIT, .with = "SELECT 1", .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW, .takes = SECONDS(4)},
	      {WIRE_SUBMIT, .with = "SELECT 2", .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW});
	size_t a = sim_query(NULL, "{\"query\":\"SELECT 1\",\"wait_seconds\":1}"), b;
	sim_run_for(SECONDS(1) - 1);
	assert_non_null(ticket_by_exchange(a));
	sim_run_for(2);
	assert_null(ticket_by_exchange(a));
	assert_int_equal(taken.calls[a].ended, 0);
	assert_int_equal(metric_value(METRIC_calls, "running"), 1);
	slots_are(1, 0);
	b = sim_query(NULL, "{\"query\":\"SELECT 2\"}");
	slots_are(1, 1);
	sim_run_for(SECONDS(4));
	assert_int_equal(taken.calls[a].ended, 1);
	assert_int_equal(taken.calls[b].ended, 1);
	slots_are(0, 0);
	/* each call is counted once */
	assert_int_equal(metric_value(METRIC_calls, "running"), 1);
	assert_int_equal(metric_value(METRIC_calls, "ok"), 1);
	calls_close();
}

static void test_cancel_after_early_answer(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 202, .answer = RUNNING, .takes = SECONDS(20)},
	      {WIRE_CANCEL, .with = HANDLE, .status = 200, .answer = CANCELLED});
	const char *session = sim_session();
	size_t a = sim_query(session, "{\"query\":\"SELECT 1\",\"wait_seconds\":1}");
	sim_run_for(SECONDS(2));
	assert_null(ticket_by_exchange(a));
	sim_cancel(session, a);
	sim_cancel(session, a);
	sim_run();
	assert_int_equal(taken.calls[a].statement, STATEMENT_CANCELLED);
	calls_close();
}

/* The client goes in the moment in which its early answer is on the way. */
static void test_gone_before_early_answer(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW, .takes = SECONDS(4)});
	size_t a = sim_query(NULL, "{\"query\":\"SELECT 1\",\"wait_seconds\":1}");
	sim_run_for(SECONDS(1) - 1);
	client_leave(a);
	sim_run();
	assert_int_equal(taken.calls[a].ended, 1);
	calls_close();
}

/* ---- the session's context ---- */

static void test_use_persists(void **state)
{
	BEGIN({WIRE_SUBMIT, .with = "\"schema\":\"S2\"", .without = "async", .status = 200,
	       .answer = PROBED("WH_XS", "S2")},
	      {WIRE_SUBMIT, .with = "\"schema\":\"S2\"", .status = 200, .answer = ONE_ROW});
	const char *session = sim_session();
	size_t a = sim_query(session, "{\"query\":\"USE SCHEMA S2\"}"), b;
	sim_run();
	assert_false(taken.calls[a].is_error);
	assert_string_equal(sim_session_of(session)->context.schema, "S2");
	/* out of memory, but not out of the store */
	assert_int_equal(session_expire(gateway.sessions, clock_now() + 2 * script.conf.session_idle_ttl), 1);
	b = sim_query(session, QUERY);
	sim_run();
	assert_int_equal(taken.calls[b].fault, ERR_OK);
	assert_false(taken.calls[b].is_error);
	assert_string_equal(sim_session_of(session)->context.schema, "S2");
	calls_close();
}

static void test_use_not_confirmed(void **state)
{
	BEGIN({WIRE_SUBMIT, .with = "\"schema\":\"S2\"", .status = 200, .answer = PROBED("WH_XS", "PUBLIC")});
	const char *session = sim_session();
	size_t a = sim_query(session, "{\"query\":\"USE SCHEMA S2\"}");
	sim_run();
	assert_true(taken.calls[a].is_error);
	assert_string_equal(sim_session_of(session)->context.schema, "PUBLIC");
	calls_close();
}

/* Two change the session at once: the loser is validated again upon what the winner left, and nothing is lost. */
static void test_lost_race_plans_again(void **state)
{
	BEGIN({WIRE_SUBMIT, .with = "\"schema\":\"S2\"", .status = 200, .answer = PROBED("WH_XS", "S2")},
	      {WIRE_SUBMIT, .with = "\"warehouse\":\"WH2\"", .without = "\"S2\"", .status = 200,
	       .answer = PROBED("WH2", "PUBLIC"), .takes = SECONDS(1)},
	      {WIRE_SUBMIT, .with = "\"warehouse\":\"WH2\"", .without = "PUBLIC", .status = 200,
	       .answer = PROBED("WH2", "S2")});
	const char *session = sim_session();
	sim.limits.running = 2;
	size_t a = sim_query(session, "{\"query\":\"USE SCHEMA S2\"}");
	size_t b = sim_query(session, "{\"query\":\"USE WAREHOUSE WH2\"}");
	uint64_t version = sim_session_of(session)->version;
	sim_run();
	assert_int_equal(taken.calls[a].replans, 0);
	assert_int_equal(taken.calls[b].replans, 1);
	assert_false(taken.calls[a].is_error || taken.calls[b].is_error);
	assert_string_equal(sim_session_of(session)->context.schema, "S2");
	assert_string_equal(sim_session_of(session)->context.warehouse, "WH2");
	assert_int_equal(sim_session_of(session)->version, version + 2);
	calls_close();
}

/* ---- writes ---- */

struct look {
	struct store_work work;
	struct store_item item;
};

static void look_done(struct store_work *w)
{
	assert_int_equal(w->rc, STORE_OK);
}

/* The record of the only operation that has not ended says this of itself; NULL: there is none. */
static void operation_is(const char *says)
{
	struct look l = {.item = {.verb = STORE_DUE, .kind = RECORD_OPERATION, .most = 2}};

	l.work = (struct store_work){.items = &l.item, .n = 1, .done = look_done};
	thread_play(THREAD_STORE);
	store_post(&l.work);
	(void)store_turn();
	thread_play(THREAD_NET);
	assert_true(says ? l.item.rows != NULL && !l.item.rows->next : !l.item.rows);
	if (says)
		assert_non_null(strstr(l.item.rows->value, says));
	store_rows_free(&l.item);
}

/* Noted before it is sent, noted with its handle, noted with its end; retry=true from the first. */
static void test_write_is_journalled(void **state)
{
	BEGIN({WIRE_SUBMIT, .with = "retry=true", .status = 202, .answer = RUNNING, .takes = SECONDS(1)},
	      {WIRE_POLL, .status = 200, .answer = ONE_ROW, .takes = SECONDS(1)});
	size_t a = sim_query(NULL, "{\"query\":\"DELETE FROM T\"}");
	sim_run_for(USEC_PER_MS);
	operation_is("\"state\":\"new\"");
	sim_run_for(SECONDS(1) + 50 * USEC_PER_MS);
	operation_is("\"handle\":\"" HANDLE "\"");
	sim_run();
	operation_is(NULL);
	assert_int_equal(taken.calls[a].fault, ERR_OK);
	calls_close();
}

static void test_write_cancelled_in_the_store(void **state)
{
	BEGIN({WIRE_SUBMIT});
	script.n = 0;
	const char *session = sim_session();
	size_t a = sim_query(session, "{\"query\":\"DELETE FROM T\"}");
	/* the call is with STORE now */
	sim_cancel(session, a);
	sim_run();
	assert_int_equal(taken.calls[a].statement, STATEMENT_CANCELLED);
	calls_close();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_whole_call),
	    cmocka_unit_test(test_rows_are_the_client_s),
	    cmocka_unit_test(test_refused_before_anything_is_taken),
	    cmocka_unit_test(test_rate),
	    cmocka_unit_test(test_queue_wait_ends),
	    cmocka_unit_test(test_slot_goes_to_who_waits),
	    cmocka_unit_test(test_overloaded),
	    cmocka_unit_test(test_cancel_while_queued),
	    cmocka_unit_test(test_cancel_of_others),
	    cmocka_unit_test(test_cancel_while_running),
	    cmocka_unit_test(test_drain_waits_for_the_cancel),
	    cmocka_unit_test(test_modern_client_leaves_the_queue),
	    cmocka_unit_test(test_deleted_session_ends_its_calls),
	    cmocka_unit_test(test_both_doors_the_same),
	    cmocka_unit_test(test_account_outlives_its_calls),
	    cmocka_unit_test(test_early_answer_keeps_the_slot),
	    cmocka_unit_test(test_cancel_after_early_answer),
	    cmocka_unit_test(test_gone_before_early_answer),
	    cmocka_unit_test(test_use_persists),
	    cmocka_unit_test(test_use_not_confirmed),
	    cmocka_unit_test(test_lost_race_plans_again),
	    cmocka_unit_test(test_write_is_journalled),
	    cmocka_unit_test(test_write_cancelled_in_the_store),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
