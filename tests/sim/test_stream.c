/* Calls that become streams: when they do, what is told on them, who leaves and comes back when. */
#include "talk.c"

/* ---- which calls become streams (design 5, "JSON or SSE") ---- */

static void test_slow_call_of_a_session(void **state)
{
	BEGIN(SLOW(SECONDS(2)));
	const char *s = session();
	handle_t a = query(s);

	sim_run_for(MS(500) - 1);
	HEARD(a, "waits");
	sim_run_for(1);
	HEARD(a, "0:prime");
	assert_int_equal(client_of(a)->status, 200);
	assert_string_equal(client_of(a)->session_id, s);
	assert_int_equal(client_of(a)->events[0].retry_ms, 1000);
	assert_int_equal(gateway.listeners.n, 1);
	sim_run();
	HEARD(a, "0:prime 1:response end");
	assert_true(hears(a, "seven"));
	sim_close();
}

static void test_quick_call_stays_json(void **state)
{
	BEGIN(SLOW(MS(400)));
	handle_t a = query_with(session(), TOKEN, QUERY);

	sim_run();
	HEARD(a, "200");
	assert_string_equal(client_of(a)->content_type, "application/json");
	assert_true(hears(a, "seven"));
	sim_close();
}

/* Priming events came with 2025-11-25: earlier clients choke on an event without data. */
static void test_no_priming_for_earlier_revisions(void **state)
{
	BEGIN(SLOW(SECONDS(1)));
	handle_t a = query(session_of("2025-06-18", "{}"));

	sim_run_for(MS(600));
	HEARD(a, "");
	assert_int_equal(client_of(a)->status, 200);
	sim_run();
	HEARD(a, "1:response end");
	sim_close();
}

static void test_without_session(void **state)
{
	BEGIN(SLOW(SECONDS(1)), SLOW(SECONDS(1)));
	handle_t a = query(NULL), b;

	sim_run();
	HEARD(a, "200");
	b = query_with(NULL, TOKEN, QUERY);
	sim_run();
	/* nothing to resume: no ids, no priming event */
	HEARD(b, "progress response end");
	assert_string_equal(client_of(b)->session_id, "");
	sim_close();
}

static void test_modern(void **state)
{
	BEGIN(SLOW(SECONDS(1)), SLOW(SECONDS(1)), SLOW(SECONDS(1)));
	handle_t a = modern_query("", QUERY), b, c;

	sim_run();
	HEARD(a, "200");
	b = modern_query(TOKEN, QUERY);
	sim_run();
	HEARD(b, "progress response end");
	assert_true(hears(b, "\"resultType\":\"complete\""));
	/* a log message goes out when it happens, not when the call has become slow */
	c = modern_query("\"io.modelcontextprotocol/logLevel\":\"info\"", QUERY);
	sim_run_for(MS(100));
	HEARD(c, "log");
	sim_run();
	HEARD(c, "log response end");
	sim_close();
}

/* What a request asks for is its own, also where it names a session whose client asked for nothing. */
static void test_modern_level_with_a_session(void **state)
{
	BEGIN(SLOW(SECONDS(1)));
	struct session *s = sim_session_of(session());
	char arguments[100];
	handle_t a;

	snprintf(arguments, sizeof arguments, "{\"query\":\"SELECT 7\",\"session\":\"%s\"}", s->handle);
	a = modern_query("\"io.modelcontextprotocol/logLevel\":\"info\"", arguments);
	sim_run();
	HEARD(a, "log response end");
	sim_close();
}

static void test_who_does_not_accept_streams(void **state)
{
	BEGIN(SLOW(SECONDS(3)), SLOW(SECONDS(3)));
	const char *s = session();
	handle_t a, b;

	next_request.accept = "application/json";
	a = query_with(s, TOKEN, QUERY);
	sim_run();
	HEARD(a, "200");
	next_request.accept = "application/json, text/event-stream;q=0";
	b = query_with(s, TOKEN, QUERY);
	sim_run();
	HEARD(b, "200");
	sim_close();
}

/* The newcomer over a limit of streams is answered as one that takes none. */
static void test_no_room_for_a_stream(void **state)
{
	BEGIN(BOTH_SLOW(SECONDS(3)));
	const char *s = session();
	handle_t a, b;

	sim.limits.running = 2;
	sim.limits.streams = 1;
	a = query(s);
	sim_run_for(1);
	b = query(s);
	sim_run();
	HEARD(a, "0:prime 1:response end");
	HEARD(b, "200");
	sim_close();
}

/* ---- what is told ---- */

static void test_ticks_while_running(void **state)
{
	BEGIN(SLOW(SECONDS(9)));
	handle_t a = query_with(session(), TOKEN, QUERY);

	sim_run();
	/* at 0.5, 2.5, 4.5, 6.5 and 8.5 s */
	HEARD(a, "0:prime progress progress progress progress progress 1:response end");
	progress_increases(a);
	assert_true(hears(a, "running as query " HANDLE));
	sim_close();
}

static void test_progress_is_throttled(void **state)
{
	BEGIN(SLOW(SECONDS(3)));
	struct notice n = {.progress = -1, .text = "again"};
	handle_t a = query_with(session(), TOKEN, QUERY);

	sim_run_for(MS(501));
	for (int i = 0; i < 1000; i++) {
		tell(ticket_by_exchange(a), &n);
		sim_run_for(MS(1));
	}
	/* one a quarter of a second */
	assert_in_range(count_of(a, "progress"), 2, 5);
	sim_run();
	progress_increases(a);
	sim_close();
}

/* Several stages at one moment are one progress: the value must increase. */
static void test_stages_of_one_moment(void **state)
{
	BEGIN(SLOW(SECONDS(3)));
	struct notice n = {.progress = -1, .stage = true, .text = "stage"};
	handle_t a = query_with(session(), TOKEN, QUERY);

	sim_run_for(MS(600));
	for (int i = 0; i < 3; i++)
		tell(ticket_by_exchange(a), &n);
	sim_run();
	progress_increases(a);
	sim_close();
}

static void set_level(const char *s, const char *level)
{
	handle_t x = post(
	    s, "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"logging/setLevel\",\"params\":{\"level\":\"%s\"}}", level);

	while (sim_turn())
		;
	HEARD(x, "200");
}

static void test_log_messages_by_level(void **state)
{
	BEGIN(SLOW(MS(100)), SLOW(MS(100)), SLOW(MS(100)));
	const char *s = session();
	handle_t a;

	set_level(s, "debug");
	a = query(s);
	sim_run();
	HEARD(a, "0:prime 1:log 2:log 3:response end");
	assert_true(hears(a, "\"level\":\"debug\"") && hears(a, "\"level\":\"info\""));
	set_level(s, "info");
	a = query(s);
	sim_run();
	HEARD(a, "0:prime 1:log 2:response end");
	set_level(s, "warning");
	a = query(s);
	sim_run();
	HEARD(a, "200");
	sim_close();
}

static void test_place_in_the_queue_is_told(void **state)
{
	BEGIN(SLOW(SECONDS(2)), SLOW(SECONDS(2)));
	const char *s = session();
	handle_t a = query(s), b = query_with(s, TOKEN, QUERY);

	sim_run_for(MS(600));
	HEARD(b, "0:prime progress");
	assert_true(hears(b, "queued"));
	sim_run();
	assert_true(hears(b, "running as query"));
	progress_increases(b);
	HEARD(a, "0:prime 1:response end");
	sim_close();
}

/* ---- who leaves ---- */

/* Legacy: a dropped connection does not cancel. Its answer finds nobody. */
static void test_legacy_leaves_before_the_stream(void **state)
{
	BEGIN(SLOW(SECONDS(2)));
	handle_t a = query_with(session(), TOKEN, QUERY);

	sim_run_for(MS(100));
	client_leave(a);
	slots_are(1, 0);
	sim_run();
	assert_int_equal(metric_value(METRIC_calls, "ok"), 2); /* and initialize */
	assert_int_equal(metric_value(METRIC_cancels, "disconnect"), 0);
	sim_close();
}

/* Modern: it does, up to Snowflake. */
static void test_modern_leaves_before_the_stream(void **state)
{
	BEGIN(CUT);
	handle_t a = modern_query(TOKEN, QUERY);

	sim_run_for(MS(100));
	client_leave(a);
	sim_run();
	assert_int_equal(metric_value(METRIC_calls, "cancelled"), 1);
	assert_int_equal(metric_value(METRIC_cancels, "disconnect"), 1);
	assert_int_equal(metric_value(METRIC_statements_cancelled, NULL), 1);
	sim_close();
}

static void test_modern_leaves_its_stream(void **state)
{
	BEGIN(CUT);
	handle_t a = modern_query(TOKEN, QUERY);

	sim_run_for(SECONDS(1));
	HEARD(a, "progress");
	client_leave(a);
	assert_int_equal(gateway.listeners.n, 0);
	sim_run();
	assert_int_equal(metric_value(METRIC_cancels, "disconnect"), 1);
	assert_int_equal(metric_value(METRIC_statements_cancelled, NULL), 1);
	sim_close();
}

/* Nothing can be resumed without a session, but it is no cancel all the same. */
static void test_sessionless_legacy_leaves_its_stream(void **state)
{
	BEGIN(SLOW(SECONDS(3)));
	handle_t a = query_with(NULL, TOKEN, QUERY);

	sim_run_for(SECONDS(1));
	HEARD(a, "progress");
	client_leave(a);
	assert_int_equal(stream_pool_count(gateway.streams), 0);
	sim_run();
	assert_int_equal(metric_value(METRIC_calls, "ok"), 1);
	assert_int_equal(metric_value(METRIC_cancels, "disconnect"), 0);
	sim_close();
}

/* Over standard input and output nobody can come back: no ids, and the end of the input is a cancel. */
static void test_local_client_leaves(void **state)
{
	BEGIN(CUT, SLOW(SECONDS(1)));
	const char *s = session();
	handle_t a, b;

	next_request.local = true;
	a = query_with(s, TOKEN, QUERY);
	sim_run_for(SECONDS(1));
	HEARD(a, "progress");
	client_leave(a);
	assert_int_equal(stream_pool_count(gateway.streams), 0);
	sim_run();
	assert_int_equal(metric_value(METRIC_cancels, "disconnect"), 1);
	next_request.local = true;
	b = query_with(s, TOKEN, QUERY);
	sim_run();
	HEARD(b, "progress response end");
	sim_close();
}

static void test_leaving_while_queued(void **state)
{
	BEGIN(SLOW(SECONDS(3)), SLOW(SECONDS(1)));
	const char *s = session();
	handle_t a = query(s), b = query_with(s, TOKEN, QUERY), c;

	sim_run_for(SECONDS(1));
	slots_are(1, 1);
	client_leave(b);
	slots_are(1, 1);
	sim_run_for(SECONDS(3));
	client_leave(a);
	c = get(s, last_id(b));
	sim_run();
	HEARD(c, "0:prime 1:response end");
	sim_close();
}

static void test_modern_leaves_its_stream_while_queued(void **state)
{
	BEGIN(SLOW(SECONDS(3)));
	handle_t a = modern_query("", QUERY), b = modern_query(TOKEN, QUERY);

	sim_run_for(SECONDS(1));
	HEARD(b, "progress");
	slots_are(1, 1);
	client_leave(b);
	slots_are(1, 0);
	assert_int_equal(handle_count(gateway.tickets), 1);
	sim_run();
	HEARD(a, "200");
	sim_close();
}

/* The answer `running` is an answer: who has it can go, and the statement goes on. */
static void test_leaving_after_an_early_answer(void **state)
{
	BEGIN(SLOW(SECONDS(5)));
	const char *s = session();
	handle_t a = query_with(s, "", "{\"query\":\"SELECT 7\",\"wait_seconds\":1}"), b;

	sim_run_for(MS(700));
	client_room(a, 0);
	sim_run_for(SECONDS(1));
	HEARD(a, "0:prime");
	assert_null(ticket_by_exchange(a));
	client_leave(a);
	slots_are(1, 0);
	b = get(s, id_of(a, 0));
	HEARD(b, "0:prime 1:response end");
	assert_true(hears(b, "still running") || hears(b, "running"));
	sim_run();
	assert_int_equal(metric_value(METRIC_calls, "running"), 1);
	sim_close();
}

/* A transport may find out in the middle of a turn that the other end is no more. */
static void test_reader_found_gone(void **state)
{
	BEGIN(SLOW(SECONDS(3)), CUT);
	handle_t a = query_with(session(), TOKEN, QUERY), b;

	sim_run_for(SECONDS(1));
	client_vanish(a);
	sim_run();
	HEARD(a, "0:prime progress");
	b = modern_query(TOKEN ",\"io.modelcontextprotocol/logLevel\":\"debug\"", QUERY);
	sim_run_for(MS(5));
	HEARD(b, "log");
	client_vanish(b);
	sim_run();
	assert_int_equal(metric_value(METRIC_cancels, "disconnect"), 1);
	sim_close();
}

/* ---- who cancels ---- */

/* Nothing is said to a legacy call that its client has cancelled: no response, and no progress meanwhile. */
static void test_cancelled_on_its_stream(void **state)
{
	BEGIN({WIRE_SUBMIT, .status = 202, .answer = RUNNING},
	      {WIRE_POLL, .status = 202, .answer = RUNNING, .takes = SECONDS(50)},
	      {WIRE_CANCEL, .status = 200, .answer = CANCELLED, .takes = SECONDS(5)});
	const char *s = session();
	handle_t a = query_with(s, TOKEN, QUERY), b;

	sim_run_for(SECONDS(1));
	cancel(s, a);
	sim_run();
	HEARD(a, "0:prime progress end");
	/* and nothing is left to come back to */
	b = get(s, id_of(a, 0));
	HEARD(b, "204");
	sim_close();
}

/* ---- who comes back ---- */

static void test_resume_while_running(void **state)
{
	BEGIN(SLOW(SECONDS(5)));
	const char *s = session();
	handle_t a, b;

	set_level(s, "info");
	a = query_with(s, TOKEN, QUERY);
	sim_run_for(SECONDS(1));
	HEARD(a, "0:prime 1:log progress");
	client_leave(a);
	sim_run_for(SECONDS(2));
	b = get(s, id_of(a, 0));
	HEARD(b, "0:prime 1:log");
	assert_string_equal(client_of(b)->session_id, s);
	sim_run();
	HEARD(b, "0:prime 1:log progress 2:response end");
	assert_int_equal(metric_value(METRIC_resumes, "resumed"), 1);
	sim_close();
}

static void test_resume_after_the_end(void **state)
{
	BEGIN(SLOW(SECONDS(1)));
	const char *s = session();
	handle_t a = query(s), b, c;

	sim_run_for(MS(600));
	client_leave(a);
	sim_run();
	assert_int_equal(stream_pool_count(gateway.streams), 1);
	b = get(s, id_of(a, 0));
	HEARD(b, "0:prime 1:response end");
	/* again: what was cut on the way can be asked for as often as needed */
	c = get(s, id_of(a, 0));
	HEARD(c, "0:prime 1:response end");
	/* whoever has the end has it all */
	HEARD(get(s, last_id(c)), "204");
	assert_int_equal(metric_value(METRIC_resumes, "over"), 1);
	sim_close();
}

/* The numbers of what this reader saw go on where the last one's ended; returns the next one. */
static uint64_t read_on(handle_t x, uint64_t next)
{
	const struct client *c = client_of(x);

	for (size_t i = 0; i < c->events_n; i++)
		if (*c->events[i].data && *c->events[i].id)
			assert_int_equal(strtoull(strrchr(c->events[i].id, '-') + 1, NULL, 10), next++);
	return next;
}

/* Any answer but 204 would make clients come back for ever. */
static void test_resume_of_what_is_not_there(void **state)
{
	BEGIN(SLOW(SECONDS(1)), {WIRE_POLL, .with = HANDLE, .status = 200, .answer = ONE_ROW});
	const char *s = session(), *other = session();
	handle_t a = query(s), again;
	char id[64];

	sim_run_for(MS(600));
	HEARD(get(other, id_of(a, 0)), "204");
	HEARD(get(s, "bogus"), "204");
	HEARD(get(s, ""), "204");
	HEARD(get(s, "aaaaaaaaaaaaa-0"), "204");
	snprintf(id, sizeof id, "%.13s-1", id_of(a, 0)); /* not given yet */
	HEARD(get(s, id), "204");
	HEARD(get(s, "l.1.2.3"), "204");
	next_request.subject = "mallory";
	HEARD(get(s, id_of(a, 0)), "404");
	/* its reader was not disturbed */
	sim_run();
	HEARD(a, "0:prime 1:response end");
	assert_int_equal(metric_value(METRIC_resumes, "unknown"), 6);
	/* out of memory it comes back from the store, rendered again */
	stream_expire(gateway.streams, clock_now() + 1, SIZE_MAX);
	again = get(s, id_of(a, 0));
	sim_run();
	HEARD(again, "0:prime 1:response end");
	HEARD(get(s, id_of(again, 1)), "204");
	sim_close();
}

/* A thousand cuts at random places, of readers that take as much as they like: every stored event exactly once, in
 * order. */
static void test_a_thousand_cuts(void **state)
{
	BEGIN(SLOW(SECONDS(200)));
	const char *s = session();
	struct notice n = {.level = LEVEL_INFO, .progress = -1, .stage = true};
	uint64_t dice = 88172645463325252u, next = 1;
	handle_t x, ticket;

	sim.limits.calls_per_minute = sim.limits.burst = 100000;
	script.conf.results_wait = SECONDS(300);
	set_level(s, "info");
	x = query(s);
	sim_run_for(SECONDS(1));
	ticket = ticket_by_exchange(x)->self;
	for (int cuts = 0; cuts < 1000; cuts++) {
		char id[STREAM_EVENT_ID_SIZE];

		dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
		for (uint64_t i = dice % 4; i > 0; i--) {
			snprintf(n.text, sizeof n.text, "message %d-%d", cuts, (int)i);
			tell(handle_get(gateway.tickets, ticket), &n);
		}
		if (dice / 4 % 3)
			client_leave(x);
		snprintf(id, sizeof id, "%s", last_id(x));
		next = read_on(x, next);
		clients_new_room = 1 + dice / 16 % 5;
		x = get(s, id);
		clients_new_room = SIZE_MAX;
	}
	client_room(x, SIZE_MAX);
	sim_run();
	next = read_on(x, next);
	assert_int_equal(count_of(x, "response"), 1);
	assert_true(next > 1000);
	HEARD(get(s, last_id(x)), "204");
	sim_close();
}

/* The second reader displaces the first: a client may know of a cut before we do. */
static void test_two_readers(void **state)
{
	BEGIN(SLOW(SECONDS(3)));
	const char *s = session();
	handle_t a, b, other;

	sim.limits.streams = 2;
	set_level(s, "info");
	a = query_with(s, TOKEN, QUERY);
	other = get(s, NULL);
	sim_run_for(SECONDS(1));
	b = get(s, id_of(a, 0));
	HEARD(a, "0:prime 1:log progress end");
	HEARD(b, "0:prime 1:log");
	assert_int_equal(gateway.listeners.n, 2);
	sim_run();
	HEARD(b, "0:prime 1:log progress 2:response end");
	HEARD(other, "s:prime");
	client_leave(other);
	sim_close();
}

/* ---- who is slow ---- */

static void test_full_then_room(void **state)
{
	BEGIN(SLOW(SECONDS(3)));
	const char *s = session();
	handle_t a;

	set_level(s, "debug");
	next_request.still = true;
	a = query_with(s, TOKEN, QUERY);
	client_room(a, 1);
	sim_run();
	HEARD(a, "0:prime");
	assert_int_equal(gateway.listeners.n, 1);
	client_room(a, 1);
	HEARD(a, "0:prime 1:log");
	client_room(a, 1);
	HEARD(a, "0:prime 1:log 2:log");
	client_room(a, 5);
	HEARD(a, "0:prime 1:log 2:log 3:response end");
	sim_close();
}

static void test_full_modern(void **state)
{
	BEGIN(SLOW(SECONDS(3)), SLOW(SECONDS(3)));
	const char *meta = TOKEN ",\"io.modelcontextprotocol/logLevel\":\"debug\"";
	handle_t a, b;

	next_request.still = true;
	a = modern_query(meta, QUERY);
	client_room(a, 0);
	sim_run();
	HEARD(a, "");
	client_room(a, SIZE_MAX);
	HEARD(a, "log log response end");
	/* it leaves with the answer in the outbox: nobody is left */
	next_request.still = true;
	b = modern_query(meta, QUERY);
	client_room(b, 0);
	sim_run();
	client_leave(b);
	assert_int_equal(stream_pool_count(gateway.streams), 0);
	sim_close();
}

/* The session is deleted while the end of a stream waits for its slow reader. */
static void test_full_when_the_session_ends(void **state)
{
	for (int leaves = 0; leaves < 2; leaves++) {
		BEGIN(SLOW(SECONDS(1)));
		const char *s = session();
		handle_t a = query(s);

		client_room(a, 1);
		sim_run();
		HEARD(a, "0:prime");
		HEARD(delete_session(s), "200");
		sim_run();
		if (leaves)
			client_leave(a);
		else
			client_room(a, 1);
		HEARD(a, leaves ? "0:prime" : "0:prime 1:response end");
		assert_int_equal(session_count(gateway.sessions), 0);
		assert_int_equal(stream_pool_count(gateway.streams), 0);
		sim_close();
	}
}

/* ---- what is too large ---- */

#define HUNDRED                                                                                                        \
	"a cell of some length, a cell of some length, a cell of some length, a cell of some length, and the last"
#define LONG_ROW                                                                                                       \
	"{\"resultSetMetaData\":{\"numRows\":1,\"partitionInfo\":[{\"rowCount\":1}],\"rowType\":[" COLUMN(             \
	    "N") "]},\"data\":[[\"" HUNDRED HUNDRED HUNDRED HUNDRED "\"]],\"code\":\"090001\",\"sqlState\":\"00000\"," \
		 "\"statementHandle\":\"" HANDLE "\"}"

static void test_answer_too_large(void **state)
{
	static const struct script_line lines[] = {
	    {WIRE_SUBMIT, .status = 202, .answer = RUNNING},
	    {WIRE_POLL, .status = 200, .answer = LONG_ROW, .takes = SECONDS(1)},
	    {WIRE_SUBMIT, .status = 202, .answer = RUNNING},
	    {WIRE_POLL, .status = 200, .answer = LONG_ROW, .takes = SECONDS(1)},
	};
	handle_t a, b;

	(void)state;
	sim_open_with(lines, ARRAY_LEN(lines), 300, NULL);
	a = query(session());
	sim_run();
	HEARD(a, "0:prime 1:error end");
	assert_true(hears(a, "ask for fewer rows"));
	b = modern_query(TOKEN, QUERY);
	sim_run();
	HEARD(b, "progress error end");
	sim_close();
}

static void test_not_even_the_error_fits(void **state)
{
	static const struct script_line lines[] = {SLOW(SECONDS(1))};
	handle_t a;

	(void)state;
	sim_open_with(lines, ARRAY_LEN(lines), 60, NULL);
	a = query(session());
	sim_run();
	HEARD(a, "0:prime end");
	assert_int_equal(stream_pool_count(gateway.streams), 0);
	sim_close();
}

/* ---- closing and polling ---- */

/* The connection ends, the call goes on; its client comes back for the rest. */
static void test_released(void **state)
{
	BEGIN(SLOW(SECONDS(5)));
	const char *s = session();
	handle_t a = query_with(s, TOKEN, QUERY), b;
	handle_t ticket = ticket_by_exchange(a)->self;

	assert_false(stream_release(ticket));
	sim_run_for(SECONDS(1));
	assert_true(stream_release(ticket));
	assert_false(stream_release(ticket));
	HEARD(a, "0:prime progress end");
	assert_int_equal(gateway.listeners.n, 0);
	sim_run_for(SECONDS(2));
	b = get(s, last_id(a));
	HEARD(b, "0:prime");
	sim_run();
	HEARD(b, "0:prime progress 1:response end");
	assert_false(stream_release(ticket));
	sim_close();
}

static void test_released_and_not_called_for(void **state)
{
	BEGIN(SLOW(SECONDS(5)));
	const char *s = session();
	handle_t a = query(s);

	sim_run_for(SECONDS(1));
	assert_true(stream_release(ticket_by_exchange(a)->self));
	sim_run();
	assert_int_equal(metric_value(METRIC_calls, "ok"), 2); /* and initialize */
	HEARD(get(s, last_id(a)), "0:prime 1:response end");
	sim_close();
}

/* Whoever was given no event id cannot come back: earlier revisions, modern clients. */
static void test_not_released(void **state)
{
	BEGIN(SLOW(SECONDS(2)), SLOW(SECONDS(2)));
	handle_t a = query(session_of("2025-06-18", "{}")), b;

	sim_run_for(SECONDS(1));
	assert_false(stream_release(ticket_by_exchange(a)->self));
	sim_run();
	HEARD(a, "1:response end");
	b = modern_query(TOKEN, QUERY);
	sim_run_for(SECONDS(1));
	assert_false(stream_release(ticket_by_exchange(b)->self));
	sim_run();
	HEARD(b, "progress response end");
	sim_close();
}

/* A stream as old as mcp.stream_lifetime is closed for its client to resume, and one that could not be lives on. */
static void test_lifetime(void **state)
{
	BEGIN(BOTH_SLOW(SECONDS(5)));
	const char *s = session();
	handle_t a, b, c;

	script.conf.mcp_stream_lifetime = SECONDS(3);
	sim.limits.running = 2;
	a = query(s);
	sim_run_for(1);
	b = modern_query(TOKEN, QUERY);
	sim_run_for(SECONDS(4));
	HEARD(a, "0:prime end");
	assert_int_equal(client_of(b)->state, CLIENT_STREAMS);
	c = get(s, last_id(a));
	sim_run();
	HEARD(c, "0:prime 1:response end");
	assert_int_equal(count_of(b, "response"), 1);
	sim_close();
}

/* ---- the session ends ---- */

static void test_session_deleted_under_a_stream(void **state)
{
	BEGIN(CUT);
	const char *s = session();
	handle_t a = query(s), d;

	sim_run_for(SECONDS(1));
	d = delete_session(s);
	sim_run();
	HEARD(a, "0:prime end");
	HEARD(d, "200");
	HEARD(get(s, id_of(a, 0)), "404");
	sim_run();
	assert_int_equal(metric_value(METRIC_cancels, "session"), 1);
	assert_int_equal(session_count(gateway.sessions), 0);
	sim_close();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_slow_call_of_a_session),
	    cmocka_unit_test(test_quick_call_stays_json),
	    cmocka_unit_test(test_no_priming_for_earlier_revisions),
	    cmocka_unit_test(test_without_session),
	    cmocka_unit_test(test_modern),
	    cmocka_unit_test(test_modern_level_with_a_session),
	    cmocka_unit_test(test_who_does_not_accept_streams),
	    cmocka_unit_test(test_no_room_for_a_stream),
	    cmocka_unit_test(test_ticks_while_running),
	    cmocka_unit_test(test_progress_is_throttled),
	    cmocka_unit_test(test_stages_of_one_moment),
	    cmocka_unit_test(test_log_messages_by_level),
	    cmocka_unit_test(test_place_in_the_queue_is_told),
	    cmocka_unit_test(test_legacy_leaves_before_the_stream),
	    cmocka_unit_test(test_modern_leaves_before_the_stream),
	    cmocka_unit_test(test_modern_leaves_its_stream),
	    cmocka_unit_test(test_sessionless_legacy_leaves_its_stream),
	    cmocka_unit_test(test_local_client_leaves),
	    cmocka_unit_test(test_leaving_while_queued),
	    cmocka_unit_test(test_modern_leaves_its_stream_while_queued),
	    cmocka_unit_test(test_leaving_after_an_early_answer),
	    cmocka_unit_test(test_reader_found_gone),
	    cmocka_unit_test(test_cancelled_on_its_stream),
	    cmocka_unit_test(test_resume_while_running),
	    cmocka_unit_test(test_resume_after_the_end),
	    cmocka_unit_test(test_resume_of_what_is_not_there),
	    cmocka_unit_test(test_a_thousand_cuts),
	    cmocka_unit_test(test_two_readers),
	    cmocka_unit_test(test_full_then_room),
	    cmocka_unit_test(test_full_modern),
	    cmocka_unit_test(test_full_when_the_session_ends),
	    cmocka_unit_test(test_answer_too_large),
	    cmocka_unit_test(test_not_even_the_error_fits),
	    cmocka_unit_test(test_released),
	    cmocka_unit_test(test_released_and_not_called_for),
	    cmocka_unit_test(test_not_released),
	    cmocka_unit_test(test_lifetime),
	    cmocka_unit_test(test_session_deleted_under_a_stream),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
