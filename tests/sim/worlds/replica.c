/* The gateway as one process of a simulated world: its threads played, its surroundings the world's. */
#include "replica.h"

#include <stdio.h>
#include <string.h>

#include "../../../src/gateway/gateway_internal.h"
#include "../../../src/store/piece.h"

/* owner: the world's one thread */
static struct {
	const struct replica_host *host;
	struct wheel *wheel; /* SNOWFLAKE's */
	struct conf conf;
	struct policy policy;
	struct connection connection;
	struct limits limits;
	int64_t users;
	const struct store_ops *told;
	bool stored; /* STORE has been told to do something and may not be through with it */
} self;

/* ---- chance: the world's, so that a seed is the same world again ---- */

int RAND_bytes(unsigned char *out, int n);
int RAND_bytes(unsigned char *out, int n)
{
	self.host->random(self.host->ctx, out, (size_t)n);
	return 1;
}

/* ---- the store: on the road, at the other end of this ---- */

static struct store *road_open(const struct conf *conf, const struct store_ops *ops, char *why, size_t why_size)
{
	static char open;

	(void)conf, (void)why, (void)why_size;
	self.told = ops;
	return (struct store *)(void *)&open;
}

static void road_close(struct store *s)
{
	(void)s;
}

static void road_commit(struct store *s, struct store_work *first)
{
	(void)s;
	self.host->commit(self.host->ctx, first);
}

static usec_t road_upkeep(struct store *s)
{
	(void)s;
	return 60 * USEC_PER_S;
}

static int road_descriptor(const struct store *s)
{
	(void)s;
	return -1;
}

#define ROAD(kind, is_shared)                                                                                          \
	{                                                                                                              \
		.name = kind, .shared = is_shared, .open = road_open, .close = road_close, .commit = road_commit,      \
		.upkeep = road_upkeep, .descriptor = road_descriptor                                                   \
	}
const struct store_backend store_memory = ROAD("memory", false);
const struct store_backend store_sqlite = ROAD("sqlite", false);
const struct store_backend store_valkey = ROAD("valkey", true);

/* ---- begin and end ---- */

static void policy_begin(const struct replica_host *host)
{
	self.limits = (struct limits){.name = "default",
				      .calls_per_minute = 1000000,
				      .burst = 1000000,
				      .running = host->running,
				      .queued = host->queued,
				      .queue_wait = 30 * USEC_PER_S,
				      .streams = 1000};
	self.connection = (struct connection){.name = "test",
					      .account = "acme",
					      .user = "gate",
					      .host = "acme.example",
					      .protocol = "https",
					      .port = 443,
					      .auth = CONNECTION_PAT,
					      .token = "pat",
					      .role = "ANALYST",
					      .warehouse = "W0",
					      .database = "SALES",
					      .schema = "S0"};
	connection_identify(&self.connection);
	self.policy = (struct policy){.name = "test",
				      .connection = &self.connection,
				      .statements = CLASS_READ | CLASS_METADATA | CLASS_DML,
				      .confirm = CONFIRM_ASK,
				      .toolsets = TOOLSET_CORE,
				      .limits = &self.limits};
}

static void conf_begin(const struct replica_host *host)
{
	policy_begin(host);
	self.conf = (struct conf){.users = &self.users,
				  .policies = &self.policy,
				  .policies_n = 1,
				  .store_kind = host->shared ? STORE_KIND_VALKEY : STORE_KIND_SQLITE,
				  .store_timeout = 5 * USEC_PER_S,
				  .store_max_waiting = 10000,
				  .store_lease = 15 * USEC_PER_S,
				  .listen_max_connections = 10000,
				  .listen_max_body = 1 << 20,
				  .listen_drain = 10 * USEC_PER_S,
				  .listen_handover_drain = 5 * USEC_PER_S,
				  .snowflake_max_connections = 64,
				  .snowflake_max_in_flight = host->in_flight,
				  .snowflake_max_waiting = 64,
				  .snowflake_retry_budget = 20,
				  .snowflake_connect_timeout = 10 * USEC_PER_S,
				  .snowflake_request_timeout = 60 * USEC_PER_S,
				  .snowflake_statement_timeout = host->statement_timeout,
				  .snowflake_retries = 4,
				  .snowflake_query_tag = "snowgate",
				  .snowflake_submit = SUBMIT_ASYNC,
				  .session_max = 1000,
				  .session_max_per_principal = 1000,
				  .session_idle_ttl = host->idle_ttl,
				  .session_absolute_ttl = 30 * 24 * 3600 * USEC_PER_S,
				  .mcp_stream_after = host->stream_after,
				  .mcp_stream_keep = host->stream_keep,
				  .mcp_retry = USEC_PER_S,
				  .mcp_list_page = 100,
				  .mcp_ask_timeout = 60 * USEC_PER_S,
				  .cortex_timeout = 120 * USEC_PER_S,
				  .catalog_max_bytes = 64 << 20,
				  .catalog_max_entries = 250000,
				  .catalog_ttl = 600 * USEC_PER_S,
				  .results_default_rows = 100,
				  .results_max_rows = 10000,
				  .results_max_bytes = 40 << 10,
				  .results_max_cell = 2 << 10,
				  .results_wait = 40 * USEC_PER_S};
}

static void gateway_open(const struct replica_host *host)
{
	static const struct sha256 handle_key = {{7}};
	static const struct seal_keys sealing = {1, {{{9}}}};
	const char *reason;
	char why[160];

	gateway = (struct gateway){.conf = &self.conf,
				   .keys = keyring_load("tests/sim/keys", why, sizeof why),
				   .journal = sealing,
				   .sealing = sealing,
				   .stored = true,
				   .session_keys = session_keys_new(
				       "5dc2b4a5f4bd5e1d7f9b6d1a3c8e2f70415263748596a7b8c9dadbecfd0e1f20", &reason),
				   .accounts = account_table_new(100),
				   .tickets = handle_table_new(10000),
				   .wheel = wheel_new(),
				   .transport = host->transport,
				   .queue.max_running = host->in_flight,
				   .streams = stream_pool_new(STREAMS_BYTES_MAX)};
	assert(gateway.keys && gateway.session_keys);
	gateway.forgotten.last = &gateway.forgotten.first;
	crypt_random(&gateway.asked, sizeof gateway.asked);
	gateway.asked >>= 16;
	for (int i = 0; i < CHANGES_N; i++)
		gateway.listeners.now[i] = (uint64_t)clock_wall();
	gateway.sessions = session_table_new(
	    gateway.session_keys, (struct session_limits){1000, 1000, host->idle_ttl, 30 * 24 * 3600}, gateway.streams);
	tools_load();
	tools_set_keys(&handle_key, 1, &sealing);
}

static void begin(const struct replica_host *host)
{
	static const struct snowflake_ops ops = {.answer_early = answer_early, .notice = call_notice};
	char why[160];

	self.host = host;
	clock_set_virtual(host->now, host->wall);
	log_set_level(host->log);
	conf_begin(host);
	self.wheel = wheel_new();
	thread_play(THREAD_SNOWFLAKE);
	snowflake_open(&self.conf, &ops, host->wire, self.wheel);
	thread_play(THREAD_STORE);
	if (!store_open(&self.conf, &gateway_store_ops, why, sizeof why))
		abort();
	thread_play(THREAD_NET);
	gateway_open(host);
	net_begin();
}

static void end(void)
{
	thread_play(THREAD_NET);
	forgotten_free();
	tools_free();
	session_table_free(gateway.sessions);
	stream_pool_free(gateway.streams);
	keyring_free(gateway.keys);
	session_keys_free(gateway.session_keys);
	account_table_free(gateway.accounts);
	handle_table_free(gateway.tickets);
	wheel_free(gateway.wheel);
	thread_play(THREAD_STORE);
	store_close();
	thread_play(THREAD_SNOWFLAKE);
	snowflake_close();
	wheel_free(self.wheel);
	for (size_t i = 0; i < ARRAY_LEN(gateway.listeners.updated); i++) {
		free(gateway.listeners.updated[i].uri);
		free(gateway.listeners.updated[i].connection);
	}
}

/* ---- its threads ---- */

static struct wheel *wheel_of(enum thread t)
{
	return t == THREAD_NET ? gateway.wheel : t == THREAD_SNOWFLAKE ? self.wheel : NULL;
}

static bool has_work(enum thread t)
{
	struct wheel *w = wheel_of(t);

	if (!mail_empty(t) || (t == THREAD_STORE && self.stored))
		return true;
	return w && wheel_next(w) <= clock_now();
}

static void turn(enum thread t)
{
	struct wheel *w = wheel_of(t);

	thread_play(t);
	if (t == THREAD_STORE) {
		self.stored = true; /* done() may have posted more: until there was nothing */
		self.stored = store_turn() > 0;
		return;
	}
	if (!mail_deliver(t) && w)
		(void)wheel_run(w, clock_now());
}

static usec_t next(void)
{
	usec_t net = wheel_next(gateway.wheel), snowflake = wheel_next(self.wheel);

	return net < snowflake ? net : snowflake;
}

static void set_clock(usec_t now)
{
	if (now > clock_now())
		clock_advance(now - clock_now());
}

/* ---- its clients ---- */

static void request(handle_t exchange, const struct message *m)
{
	struct request *rq;

	thread_play(THREAD_NET);
	rq = request_new(&self.conf, 4 << 20);
	rq->method = m->method;
	rq->principal.kind = PRINCIPAL_KEY;
	snprintf(rq->principal.subject, sizeof rq->principal.subject, "%s", m->subject);
	rq->policy = &self.policy;
	rq->accept = "application/json, text/event-stream";
	rq->mcp.session_id = arena_strdup(rq->arena, m->session);
	rq->mcp.last_event_id = arena_strdup(rq->arena, m->last_event_id);
	rq->mcp.protocol_version = arena_strdup(rq->arena, m->protocol);
	rq->mcp.method = arena_strdup(rq->arena, m->mcp_method);
	rq->mcp.name = arena_strdup(rq->arena, m->mcp_name);
	buf_adds(&rq->body, m->body ? m->body : "");
	front_ops.request(NULL, exchange, rq);
}

static void gone(handle_t exchange)
{
	thread_play(THREAD_NET);
	front_ops.gone(NULL, exchange);
}

static void done(struct wire_request *rq)
{
	thread_play(THREAD_SNOWFLAKE);
	rq->done(rq);
}

static void heard(const char *channel, struct slice value)
{
	thread_play(THREAD_STORE);
	self.told->heard(channel, value);
}

static void drain(void)
{
	thread_play(THREAD_MAIN);
	gateway_drain();
}

/* ---- what is left ---- */

static const char *counted(void)
{
	if (handle_count(gateway.tickets))
		return "tickets";
	if (gateway.queue.running || metric_value(METRIC_slots_used, NULL))
		return "slots";
	if (gateway.queue.waiting || metric_value(METRIC_queue_depth, NULL))
		return "places in the queue";
	if (gateway.listeners.n || gateway.listeners.oldest)
		return "listeners";
	if (gateway.asking || gateway.batches)
		return "questions or batches";
	if (metric_value(METRIC_upstream_in_flight, NULL))
		return "requests to Snowflake";
	return self.users ? "users of the configuration" : NULL;
}

/* What expires by itself goes now; what somebody still counts in stays. */
static const char *quiet(void)
{
	const char *left = counted();

	thread_play(THREAD_SNOWFLAKE);
	if (!left && snowflake_busy())
		left = "jobs";
	thread_play(THREAD_NET);
	if (left)
		return left;
	stream_expire(gateway.streams, INT64_MAX, SIZE_MAX);
	if (stream_pool_count(gateway.streams) || stream_pool_bytes(gateway.streams))
		return "streams";
	session_expire(gateway.sessions, INT64_MAX);
	if (session_count(gateway.sessions))
		return "sessions";
	account_sweep(gateway.accounts, INT64_MAX);
	return account_count(gateway.accounts) ? "accounts" : NULL;
}

extern const struct replica_ops replica_ops;
__attribute__((visibility("default"))) const struct replica_ops replica_ops = {.begin = begin,
									       .end = end,
									       .has_work = has_work,
									       .turn = turn,
									       .next = next,
									       .clock = set_clock,
									       .request = request,
									       .gone = gone,
									       .done = done,
									       .heard = heard,
									       .drain = drain,
									       .quiet = quiet};
