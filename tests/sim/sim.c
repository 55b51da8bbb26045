/* The whole gateway on one thread: scripted clients in front, the scripted Snowflake behind, the memory store, and a
 * clock that moves from timer to timer. A part of each test program that is about whole calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../src/gateway/gateway_internal.h"
/* one program per test file: these are a part of it */
#include "clients.c"
#include "script.c"

#define HANDLE "01b2c3d4-0000-0001-0000-000100020003"
#define STATUS(code, state)                                                                                            \
	"{\"code\":\"" code "\",\"sqlState\":\"" state "\",\"message\":\"as scripted\",\"statementHandle\":\"" HANDLE  \
	"\"}"
#define RUNNING      STATUS("333334", "00000")
#define CANCELLED    STATUS("000604", "57014")
#define COLUMN(name) "{\"name\":\"" name "\",\"type\":\"text\",\"nullable\":true}"
#define ONE_ROW                                                                                                        \
	"{\"resultSetMetaData\":{\"numRows\":1,\"partitionInfo\":[{\"rowCount\":1}],\"rowType\":[" COLUMN(             \
	    "N") "]},\"data\":[[\"seven\"]],\"code\":\"090001\",\"sqlState\":\"00000\",\"statementHandle\":\"" HANDLE  \
		 "\"}"

/* not every program needs every one */
#define HELPER static __attribute__((unused))

#define SECONDS(n) ((n)*USEC_PER_S)
#define MS(n)      ((n)*USEC_PER_MS)

/* Seals statement handles. */
static const struct sha256 sim_handle_key = {{7}};

static struct {
	int64_t users;
	struct limits limits;
} sim;

/* ---- one thread plays all ---- */

static bool sim_turn(void)
{
	static const enum thread threads[] = {THREAD_SNOWFLAKE, THREAD_WORKER, THREAD_NET};
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		thread_play(threads[i]);
		n += mail_deliver(threads[i]);
	}
	thread_play(THREAD_STORE);
	n += store_turn();
	thread_play(THREAD_NET);
	return n > 0;
}

/* Lets things happen until this time, or until nothing is left to happen. */
static void sim_run_until(usec_t until)
{
	for (;;) {
		usec_t next, net;

		while (sim_turn())
			;
		next = wheel_next(script.wheel);
		net = wheel_next(gateway.wheel);
		next = net < next ? net : next;
		if (next > until)
			break;
		if (next > clock_now())
			clock_advance(next - clock_now());
		(void)wheel_run(gateway.wheel, clock_now());
		thread_play(THREAD_SNOWFLAKE);
		(void)wheel_run(script.wheel, clock_now());
		thread_play(THREAD_NET);
	}
	if (until != INT64_MAX - 1)
		clock_advance(until - clock_now());
}

HELPER void sim_run_for(usec_t time)
{
	sim_run_until(clock_now() + time);
}

HELPER void sim_run(void)
{
	sim_run_until(INT64_MAX - 1);
}

/* ---- begin and end ---- */

static void sim_conf(void)
{
	sim.limits = (struct limits){.name = "default",
				     .calls_per_minute = 600,
				     .burst = 60,
				     .running = 1,
				     .queued = 1,
				     .queue_wait = 5 * USEC_PER_S,
				     .streams = 64};
	script.conf.users = &sim.users;
	script.conf.listen_max_connections = 1000;
	script.conf.store_kind = STORE_KIND_MEMORY;
	script.conf.store_timeout = 5 * USEC_PER_S;
	script.conf.store_max_waiting = 10000;
	script.conf.store_lease = 15 * USEC_PER_S;
	script.conf.listen_drain = 30 * USEC_PER_S;
	script.conf.listen_handover_drain = 5 * USEC_PER_S;
	script.conf.snowflake_max_in_flight = 8;
	script.conf.snowflake_max_waiting = 16;
	script.conf.snowflake_retry_budget = 20;
	script.conf.session_max = script.conf.session_max_per_principal = 10;
	script.conf.session_idle_ttl = 3600 * USEC_PER_S;
	script.conf.session_absolute_ttl = 30 * 24 * 3600 * USEC_PER_S;
	script.conf.mcp_stream_after = 500 * USEC_PER_MS;
	script.conf.mcp_stream_keep = 300 * USEC_PER_S;
	script.conf.mcp_retry = USEC_PER_S;
	script.conf.mcp_list_page = 100;
	script.conf.mcp_ask_timeout = 60 * USEC_PER_S;
	script.conf.cortex_timeout = 120 * USEC_PER_S;
	script.conf.catalog_max_bytes = 64 << 20;
	script.conf.catalog_max_entries = 250000;
	script.conf.catalog_ttl = 600 * USEC_PER_S;
	script.conf.results_default_rows = 100;
	script.conf.results_max_rows = 10000;
	script.conf.results_max_bytes = 40 << 10;
	script.conf.results_max_cell = 2 << 10;
	script.conf.results_wait = 40 * USEC_PER_S;
	script.conf.policies = &script.policy;
	script.conf.policies_n = 1;
	script.connection.role = "ANALYST";
	script.connection.warehouse = "WH_XS";
	script.connection.database = "SALES";
	script.connection.schema = "PUBLIC";
	script.policy.name = "test";
	script.policy.statements = CLASS_READ | CLASS_METADATA | CLASS_DML;
	script.policy.confirm = CONFIRM_ASK;
	script.policy.toolsets = TOOLSET_CORE;
	script.policy.limits = &sim.limits;
}

static void store_health(bool ready, const char *why)
{
	(void)ready, (void)why;
}

static void store_heard(const char *channel, struct slice value)
{
	(void)channel, (void)value;
}

/* `pool`: bytes of all streams; `wire`: NULL for the script. */
static void sim_open_with(const struct script_line *lines, size_t n, size_t pool, struct wire *wire)
{
	static const struct snowflake_ops ops = {.answer_early = answer_early, .notice = call_notice};
	static struct wire scripted = SCRIPT_WIRE;
	static const struct seal_keys sealing = {1, {{{9}}}};
	static const struct store_ops store_ops = {.health = store_health, .heard = store_heard};
	const char *why;
	char text[80];

	memset(&sim, 0, sizeof sim);
	metric_reset();
	log_set_level(LOG_ERROR);
	script_open(lines, n);
	sim_conf();
	snowflake_open(&script.conf, &ops, wire ? wire : &scripted, script.wheel);
	thread_play(THREAD_STORE);
	assert_true(store_open(&script.conf, &store_ops, text, sizeof text));
	thread_play(THREAD_NET);
	gateway = (struct gateway){.conf = &script.conf,
				   .keys = keyring_load("tests/sim/keys", text, sizeof text),
				   .journal = sealing,
				   .stored = true,
				   .memory = true,
				   .session_keys = session_keys_new(NULL, &why),
				   .accounts = account_table_new(100),
				   .tickets = handle_table_new(100),
				   .wheel = wheel_new(),
				   .transport = clients_open(&front_ops, 100),
				   .sealing = sealing,
				   .queue.max_running = script.conf.snowflake_max_in_flight};
	gateway.forgotten.last = &gateway.forgotten.first;
	gateway.streams = stream_pool_new(pool);
	gateway.sessions = session_table_new(
	    gateway.session_keys, (struct session_limits){10, 10, script.conf.session_idle_ttl, 30 * 24 * 3600},
	    gateway.streams);
	tools_load();
	tools_set_keys(&sim_handle_key, 1, &sealing);
}

HELPER void sim_open(const struct script_line *lines, size_t n)
{
	sim_open_with(lines, n, STREAMS_BYTES_MAX, NULL);
}

/* Everything that was taken has been given back, once. */
static void sim_is_quiet(void)
{
	assert_int_equal(clients_open_n(), 0);
	assert_int_equal(handle_count(gateway.tickets), 0);
	assert_int_equal(gateway.queue.running, 0);
	assert_int_equal(gateway.queue.waiting, 0);
	assert_int_equal(gateway.listeners.n, 0);
	assert_null(gateway.listeners.oldest);
	assert_null(gateway.asking);
	assert_null(gateway.batches);
	assert_int_equal(metric_value(METRIC_slots_used, NULL), 0);
	assert_int_equal(metric_value(METRIC_queue_depth, NULL), 0);
	assert_int_equal(metric_value(METRIC_streams, "call"), 0);
	assert_int_equal(metric_value(METRIC_streams, "get"), 0);
	assert_int_equal(metric_value(METRIC_streams, "listen"), 0);
	assert_int_equal(metric_value(METRIC_streams, "result"), 0);
	assert_int_equal(metric_value(METRIC_upstream_in_flight, NULL), 0);
	assert_int_equal(sim.users, 0);
	/* what is left are finished streams, which expire */
	stream_expire(gateway.streams, INT64_MAX, SIZE_MAX);
	assert_int_equal(stream_pool_count(gateway.streams), 0);
	assert_int_equal(stream_pool_bytes(gateway.streams), 0);
	/* and idle sessions and accounts: one that a call or a stream still counted in would stay */
	session_expire(gateway.sessions, INT64_MAX);
	assert_int_equal(session_count(gateway.sessions), 0);
	account_sweep(gateway.accounts, INT64_MAX);
	assert_int_equal(account_count(gateway.accounts), 0);
}

static void sim_close(void)
{
	sim_is_quiet();
	tools_free();
	session_table_free(gateway.sessions);
	stream_pool_free(gateway.streams);
	keyring_free(gateway.keys);
	session_keys_free(gateway.session_keys);
	account_table_free(gateway.accounts);
	handle_table_free(gateway.tickets);
	wheel_free(gateway.wheel);
	for (size_t i = 0; i < ARRAY_LEN(gateway.listeners.updated); i++) {
		free(gateway.listeners.updated[i].uri);
		free(gateway.listeners.updated[i].connection);
	}
	gateway = (struct gateway){0};
	clients_close();
	thread_play(THREAD_STORE);
	store_close();
	thread_play(THREAD_SNOWFLAKE);
	script_close();
	log_set_level(LOG_INFO);
}

/* ---- requests ---- */

static struct request *sim_request(enum http_method method, const char *body, const char *session_id)
{
	struct request *rq = request_new(&script.conf, 4 << 20);

	rq->method = method;
	rq->principal = (struct principal){.kind = PRINCIPAL_KEY, .subject = "alice"};
	rq->policy = &script.policy;
	rq->mcp.session_id = session_id ? arena_strdup(rq->arena, session_id) : NULL;
	buf_adds(&rq->body, body);
	return rq;
}

HELPER struct session *sim_session_of(const char *id)
{
	struct principal p = {.kind = PRINCIPAL_KEY, .subject = "alice"};

	return session_by_id(gateway.sessions, id, &p);
}

HELPER void slots_are(int64_t running, int64_t waiting)
{
	assert_int_equal(gateway.queue.running, running);
	assert_int_equal(gateway.queue.waiting, waiting);
	assert_int_equal(metric_value(METRIC_slots_used, NULL), running);
}
