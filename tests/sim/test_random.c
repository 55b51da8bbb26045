/* Random orders of events: clients come, leave, return, cancel, answer and fill up, while a Snowflake of moods works
 * for them. Each seed is one world; SNOWGATE_SEEDS says how many, SNOWGATE_SEED which one only. */
#include "talk.c"

#include <stdlib.h>

/* Sanitizers take ten times as long. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SEEDS = 300 };
#else
enum { SEEDS = 2000 };
#endif
enum { SESSIONS = 4, STATEMENTS_MAX = 500, STEPS = 60, RECORDS_MAX = 20000 };

/* ---- chance ---- */

static uint64_t dice;

static uint64_t chance(uint64_t n)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return dice % n;
}

/* ---- Snowflake: statements end when they like, and now and then a request fails ---- */

struct mood {
	struct timer timer;
	struct wire_request *request;
};
static struct {
	struct {
		usec_t ends;
		bool cancelled;
	} v[STATEMENTS_MAX];
	size_t n;
} statements;

#define HANDLE_OF "01b2c3d4-0000-0001-0000-%012zu"

static void mood_answer(struct wire_request *rq, int status, const char *code, size_t statement)
{
	rq->status = status;
	buf_addf(
	    &rq->answer,
	    "{\"code\":\"%s\",\"sqlState\":\"00000\",\"message\":\"as scripted\",\"statementHandle\":\"" HANDLE_OF
	    "\"%s}",
	    code, statement,
	    status != 200 || rq->op == WIRE_CANCEL
		? ""
		: ",\"resultSetMetaData\":{\"numRows\":1,\"partitionInfo\":[{\"rowCount\":1}],\"rowType\":[" COLUMN(
		      "N") "]},\"data\":[[\"seven\"]]");
}

static void mood_submit(struct wire_request *rq)
{
	size_t at = statements.n++;

	assert_true(statements.n <= STATEMENTS_MAX);
	statements.v[at].ends = clock_now() + (usec_t)chance(chance(2) ? MS(300) : SECONDS(6));
	statements.v[at].cancelled = false;
	if (chance(20) == 0)
		mood_answer(rq, 422, "001003", at);
	else
		mood_answer(rq, 202, "333334", at);
}

static void mood_other(struct wire_request *rq)
{
	const char *at = strstr(rq->path, "01b2c3d4-0000-0001-0000-");
	size_t n = at ? strtoul(at + strlen("01b2c3d4-0000-0001-0000-"), NULL, 10) : STATEMENTS_MAX;
	bool over = n < statements.n && clock_now() >= statements.v[n].ends;

	assert_true(n < statements.n);
	if (rq->op == WIRE_CANCEL)
		statements.v[n].cancelled |= !over;
	if (statements.v[n].cancelled)
		mood_answer(rq, rq->op == WIRE_CANCEL ? 200 : 422, "000604", n);
	else if (rq->op == WIRE_CANCEL)
		mood_answer(rq, 422, "000605", n); /* not running any more */
	else
		mood_answer(rq, over ? 200 : 202, over ? "090001" : "333334", n);
}

static void mood_fires(struct timer *t)
{
	struct mood *m = container_of(t, struct mood, timer);
	struct wire_request *rq = m->request;

	rq->retry_after_s = -1;
	rq->result = WIRE_ANSWERED;
	if (chance(30) == 0)
		rq->result = chance(2) ? WIRE_BROKEN : WIRE_REFUSED;
	else if (rq->op == WIRE_SUBMIT)
		mood_submit(rq);
	else
		mood_other(rq);
	rq->transfer = NULL;
	free(m);
	rq->done(rq);
}

static void mood_send(struct wire *w, struct wire_request *rq)
{
	struct mood *m = xalloc(sizeof *m);

	(void)w;
	*m = (struct mood){.timer = {.fire = mood_fires}, .request = rq};
	rq->transfer = m;
	timer_set(script.wheel, &m->timer, clock_now() + (usec_t)chance(MS(100)));
}

static void mood_abort(struct wire *w, struct wire_request *rq)
{
	struct mood *m = rq->transfer;

	(void)w;
	timer_stop(&m->timer);
	rq->transfer = NULL;
	free(m);
}

/* ---- the world ---- */

/* What is known of an exchange: the call whose answer it shows. */
struct known {
	handle_t call; /* whose id its response bears; 0: none */
	int session;   /* index; -1: none */
	uint64_t from; /* resumed behind this event */
};
static struct {
	struct known known[CLIENTS_MAX + 1];
	bool waived[CLIENTS_MAX + 1]; /* cancelled, or its session was deleted: an answer may come or not */
	const char *sessions[SESSIONS];
	bool small, drained;
} world;

static void know(handle_t x, handle_t call, int session, uint64_t from)
{
	world.known[x] = (struct known){call, session, from};
}

static const char *some_statement(void)
{
	static const char *const statements_to_run[] = {
	    QUERY,
	    "{\"query\":\"SELECT 7\",\"wait_seconds\":1}",
	    "{\"query\":\"DELETE FROM T\"}",
	    "{\"query\":\"INSERT INTO T VALUES (1)\"}",
	    "{\"query\":\"DROP TABLE T\"}",
	};

	return statements_to_run[chance(ARRAY_LEN(statements_to_run))];
}

static void new_session(int i)
{
	static const char *const revisions[SESSIONS] = {"2025-11-25", "2025-11-25", "2025-06-18", "2025-03-26"};
	static const char *const levels[] = {"debug", "info", "error"};

	world.sessions[i] = session_of(revisions[i], i == 1 ? "{}" : "{\"elicitation\":{}}");
	if (chance(2))
		post(world.sessions[i],
		     "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"logging/setLevel\",\"params\":{\"level\":\"%s\"}}",
		     levels[chance(ARRAY_LEN(levels))]);
	post(world.sessions[i], "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"resources/subscribe\",\"params\":{\"uri\":"
				"\"snowflake://SALES/PUBLIC/T\"}}");
}

static void act_call(void)
{
	int i = (int)chance(SESSIONS + 1) - 1;
	handle_t x;

	if (chance(8) == 0)
		next_request.accept = "application/json";
	clients_new_room = chance(4) ? SIZE_MAX : chance(3);
	x = query_with(i < 0 ? NULL : world.sessions[i], chance(2) ? TOKEN : "", some_statement());
	clients_new_room = SIZE_MAX;
	know(x, x, i, 0);
}

static void act_modern_call(void)
{
	static const char *const metas[] = {"", TOKEN, "\"io.modelcontextprotocol/logLevel\":\"debug\"",
					    TOKEN ",\"io.modelcontextprotocol/logLevel\":\"info\""};
	handle_t x = modern_query(metas[chance(ARRAY_LEN(metas))], some_statement());

	know(x, x, -1, 0);
}

/* Statements that exist, by the tools that attach to them: get_result waits, cancel_query ends. */
static void act_attach(void)
{
	const char *tool = chance(3) ? "get_result" : "cancel_query";
	struct principal alice = {.kind = PRINCIPAL_KEY, .subject = "alice"};
	struct buf handle = buf_with_ceiling(128);
	int i = (int)chance(SESSIONS);
	char id[64];
	handle_t x;

	if (statements.n == 0)
		return;
	snprintf(id, sizeof id, HANDLE_OF, (size_t)chance(statements.n));
	assert_true(handle_seal(&handle, sim_handle_key.bytes, id, "test", "ANALYST", &alice));
	x = post(world.sessions[i],
		 "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"tools/call\",\"params\":{\"name\":\"%s\","
		 "\"arguments\":{\"statement_handle\":\"%s\"}}}",
		 (unsigned long long)clients_last() + 1, tool, buf_text(&handle));
	buf_free(&handle);
	know(x, x, i, 0);
}

/* A session by its other door. */
static void act_modern_session(void)
{
	const struct session *s = sim_session_of(world.sessions[chance(SESSIONS)]);
	char arguments[200];
	handle_t x;

	if (!s)
		return;
	snprintf(arguments, sizeof arguments, "{\"query\":\"SELECT 7\",\"session\":\"%s\"}", s->handle);
	x = modern_query(chance(2) ? TOKEN : "", arguments);
	know(x, x, -1, 0);
	world.waived[x] = true; /* the session may be deleted */
}

static void act_batch(void)
{
	unsigned long long n = clients_last() + 1;

	post(
	    world.sessions[3],
	    "[{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"tools/call\",\"params\":{\"name\":\"execute_query\","
	    "\"arguments\":%s}},{\"jsonrpc\":\"2.0\",\"id\":\"b\",\"method\":\"ping\"},{\"jsonrpc\":\"2.0\",\"method\":"
	    "\"notifications/cancelled\",\"params\":{\"requestId\":%llu}}]",
	    n, some_statement(), chance(4) ? 0ull : n);
	/* its answer is an array, which is not looked into */
	know(n, 0, 3, 0);
}

static void act_standalone(void)
{
	if (chance(2))
		get(world.sessions[chance(SESSIONS)], NULL);
	else
		modern("subscriptions/listen", NULL, "",
		       "\"notifications\":{\"toolsListChanged\":true,\"resourceSubscriptions\":["
		       "\"snowflake://SALES/PUBLIC/T\"]}");
}

static handle_t someone(void)
{
	return 1 + chance(clients_last());
}

static void act_leave(void)
{
	if (chance(3))
		client_leave(someone());
	else
		client_vanish(someone());
}

/* Behind any event that it has seen, the last one mostly. */
static handle_t resume(handle_t of, bool from_last)
{
	const struct known *k = &world.known[of];
	const struct client *c = client_of(of);
	size_t at = c->events_n;
	const char *dash;
	char id[100];
	handle_t x;

	while (at-- > 0)
		if (strchr(c->events[at].id, '-') && (from_last || chance(2)))
			break;
	if (at >= c->events_n || k->session < 0)
		return 0;
	snprintf(id, sizeof id, "%s", c->events[at].id);
	dash = strchr(id, '-');
	clients_new_room = from_last || chance(4) ? SIZE_MAX : chance(3);
	x = get(world.sessions[k->session], id);
	clients_new_room = SIZE_MAX;
	know(x, k->call, k->session, strtoull(dash + 1, NULL, 10));
	return x;
}

static void act_resume(void)
{
	for (int tries = 0; tries < 10; tries++) {
		handle_t x = someone();

		if (world.known[x].call && client_of(x)->events_n && resume(x, chance(3)))
			return;
	}
}

static void act_cancel(void)
{
	handle_t x = someone();
	const struct known *k = &world.known[x];

	if (!k->call || k->session < 0)
		return;
	world.waived[k->call] = true;
	cancel(world.sessions[k->session], k->call);
}

static void act_room(void)
{
	client_room(someone(), chance(2) ? SIZE_MAX : chance(4));
}

/* The newest question that this client has seen. */
static bool answer_of(handle_t x)
{
	const struct client *c = client_of(x);
	const char *at = NULL;

	for (size_t i = 0; i < c->events_n; i++) {
		const char *ask = strstr(c->events[i].data, "\"id\":\"ask-");

		at = ask ? ask : at;
	}
	if (!at || world.known[x].session < 0)
		return false;
	post(world.sessions[world.known[x].session],
	     "{\"jsonrpc\":\"2.0\",\"id\":\"ask-%llu\",\"result\":{\"action\":\"%s\",\"content\":{\"confirm\":true}}}",
	     strtoull(at + strlen("\"id\":\"ask-"), NULL, 10), chance(3) ? "accept" : "decline");
	return true;
}

static void act_answer(void)
{
	for (int tries = 0; tries < 30; tries++)
		if (answer_of(someone()))
			return;
}

static void act_delete(void)
{
	int i = (int)chance(SESSIONS);

	if (chance(3))
		return;
	delete_session(world.sessions[i]);
	for (handle_t x = 1; x <= clients_last(); x++)
		if (world.known[x].session == i) {
			world.waived[world.known[x].call] = true;
			world.known[x].session = -1;
		}
	new_session(i);
}

static void act_release(void)
{
	struct ticket *t = ticket_by_exchange(someone());

	if (t)
		(void)stream_release(t->self);
}

static void act_upkeep(void)
{
	switch (chance(6)) {
	case 0:
		reload_listeners();
		break;
	case 1:
		session_expire(gateway.sessions, clock_now());
		break;
	case 2:
		account_sweep(gateway.accounts, clock_now());
		break;
	case 3:
		clients_tell();
		break;
	case 4:
		notify_updated(&script.connection, "snowflake://SALES/PUBLIC/T");
		break;
	default:
		notify_changed((enum change)chance(CHANGES_N));
	}
}

/* ---- what must hold ---- */

static struct {
	struct record {
		char stream[STREAM_ID_SIZE];
		uint64_t number;
		const char *data;
	} v[RECORDS_MAX];
	size_t n;
	int answers[CLIENTS_MAX + 1]; /* different responses to each call */
} seen_events;

static void count_response(const char *data)
{
	const char *at = strstr(data, "\"id\":");
	handle_t id = at ? strtoull(at + strlen("\"id\":"), NULL, 10) : 0;

	if (at && id <= clients_last())
		seen_events.answers[id]++;
}

static bool is_response(const char *data)
{
	const char *kind = kind_of(data);

	return strcmp(kind, "response") == 0 || strcmp(kind, "error") == 0;
}

/* A number of a stream stands for one event, whoever reads it. */
static void record(const char *id, uint64_t number, const char *data)
{
	for (size_t i = 0; i < seen_events.n; i++) {
		struct record *r = &seen_events.v[i];

		if (r->number != number || strncmp(r->stream, id, STREAM_ID_SIZE - 1) != 0)
			continue;
		assert_string_equal(r->data, data);
		return;
	}
	assert_true(seen_events.n < RECORDS_MAX);
	snprintf(seen_events.v[seen_events.n].stream, STREAM_ID_SIZE, "%s", id);
	seen_events.v[seen_events.n].number = number;
	seen_events.v[seen_events.n++].data = data;
	if (is_response(data))
		count_response(data);
}

/* One reader: each event behind the one it came with, in order, none left out, nothing behind the response. */
static void check_reader(handle_t x)
{
	const struct client *c = client_of(x);
	uint64_t last = world.known[x].from;
	bool over = false;

	for (size_t i = 0; i < c->events_n; i++) {
		const struct event *e = &c->events[i];
		const char *dash = strchr(e->id, '-');
		uint64_t number = dash ? strtoull(dash + 1, NULL, 10) : 0;

		assert_false(over);
		over = is_response(e->data);
		if (dash && !*e->data) { /* primes */
			assert_int_equal(i, 0);
			assert_int_equal(number, last);
		} else if (dash) {
			assert_true(world.small ? number > last : number == last + 1);
			last = number;
			record(e->id, number, e->data);
		} else if (over && !*e->id) {
			count_response(e->data);
		}
	}
	progress_increases(x);
	if (c->body && *c->body == '{' && world.known[x].call)
		count_response(c->body);
}

/* May this call be without an answer? */
static bool excused(handle_t x)
{
	const struct client *c = client_of(x);

	if (world.waived[x] || world.drained || world.small)
		return true;
	/* it left where it could not come back: no stream, or one without ids */
	return c->state == CLIENT_LEFT && !last_id(x);
}

static void check_all(void)
{
	memset(&seen_events, 0, sizeof seen_events);
	for (handle_t x = 1; x <= clients_last(); x++)
		check_reader(x);
	for (handle_t x = 1; x <= clients_last(); x++) {
		if (world.known[x].call != x)
			continue;
		assert_true(seen_events.answers[x] <= 1);
		if (!excused(x) && seen_events.answers[x] != 1)
			fail_msg("call %llu was not answered: %s", (unsigned long long)x, heard(x));
	}
}

/* ---- one seed ---- */

static void world_open(uint64_t seed)
{
	static struct wire wire = {.send = mood_send, .abort = mood_abort};

	memset(&world, 0, sizeof world);
	memset(&statements, 0, sizeof statements);
	dice = seed * 0x9E3779B97F4A7C15u + 1;
	for (int i = 0; i < 8; i++)
		(void)chance(2);
	world.small = chance(4) == 0;
	sim_open_with(NULL, 0, world.small ? 500 + chance(4000) : STREAMS_BYTES_MAX, &wire);
	sim.limits.burst = sim.limits.calls_per_minute = 100000;
	sim.limits.running = 1 + (int64_t)chance(4);
	sim.limits.queued = 16;
	sim.limits.streams = chance(4) ? 64 : 3;
	script.conf.mcp_stream_lifetime = chance(4) ? 0 : SECONDS(1);
	script.conf.mcp_stream_after = chance(4) ? MS(500) : 0;
	for (int i = 0; i < SESSIONS; i++)
		new_session(i);
}

static void world_act(void)
{
	static void (*const acts[])(void) = {
	    act_call,           act_call,       act_call,   act_modern_call, act_modern_call, act_batch,  act_attach,
	    act_modern_session, act_standalone, act_leave,  act_leave,       act_resume,      act_resume, act_cancel,
	    act_room,           act_room,       act_answer, act_delete,      act_release,     act_upkeep,
	};

	acts[chance(ARRAY_LEN(acts))]();
	if (chance(3))
		sim_run_for((usec_t)chance(chance(2) ? MS(20) : MS(800)));
}

/* Whoever was cut off comes back for the rest, once all is said. */
static void all_return(void)
{
	handle_t n = clients_last();

	sim.limits.streams = 1000;
	for (handle_t x = 1; x <= n; x++)
		client_room(x, SIZE_MAX);
	sim_run();
	script.conf.mcp_stream_lifetime = 0;
	for (handle_t x = 1; x <= n; x++)
		if (world.known[x].call && last_id(x) && world.known[x].session >= 0)
			resume(x, true);
	sim_run();
}

static void world_end(void)
{
	world.drained = chance(4) == 0;
	if (world.drained) {
		gateway_drain();
		sim_run_for((usec_t)chance(SECONDS(40)));
		act_leave();
		for (handle_t x = 1; x <= clients_last(); x++)
			client_room(x, SIZE_MAX);
		sim_run_for(SECONDS(100));
		assert_true(clients_loop_ended());
		while (gateway.listeners.oldest)
			listener_gone(gateway.listeners.oldest);
	} else {
		clients_tell();
		all_return();
	}
	for (handle_t x = 1; x <= clients_last(); x++)
		if (!world.known[x].call)
			client_leave(x);
	sim_run();
	check_all();
	sim_close();
}

static void test_worlds(void **state)
{
	const char *one = getenv("SNOWGATE_SEED"), *many = getenv("SNOWGATE_SEEDS");
	uint64_t first = one ? strtoull(one, NULL, 10) : 1, n = one ? 1 : many ? strtoull(many, NULL, 10) : SEEDS;

	(void)state;
	for (uint64_t seed = first; seed < first + n; seed++) {
		print_message("seed %llu\r", (unsigned long long)seed);
		fflush(stdout);
		world_open(seed);
		for (int i = 0; i < STEPS; i++)
			world_act();
		world_end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_worlds)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
