/* What clients say to the whole gateway, through its front door, and what they have heard. A part of each test program
 * that is about streams. */
#include "sim.c"

#define BEGIN(...)                                                                                                     \
	static const struct script_line lines[] = {__VA_ARGS__};                                                       \
	(void)state;                                                                                                   \
	sim_open(lines, ARRAY_LEN(lines))
/* No statement is expected. */
#define BEGIN_WITHOUT                                                                                                  \
	(void)state;                                                                                                   \
	sim_open(NULL, 0)

#define QUERY "{\"query\":\"SELECT 7\"}"
#define BOTH  "application/json, text/event-stream"
#define TOKEN "\"progressToken\":\"tok\""
/* A statement that runs so long. */
#define SLOW(time)                                                                                                     \
	{WIRE_SUBMIT, .status = 202, .answer = RUNNING},                                                               \
	{                                                                                                              \
		WIRE_POLL, .status = 200, .answer = ONE_ROW, .takes = time                                             \
	}
/* Two of them at one time. */
#define BOTH_SLOW(time)                                                                                                \
	{WIRE_SUBMIT, .status = 202, .answer = RUNNING}, {WIRE_SUBMIT, .status = 202, .answer = RUNNING},              \
	    {WIRE_POLL, .status = 200, .answer = ONE_ROW, .takes = time},                                              \
	{                                                                                                              \
		WIRE_POLL, .status = 200, .answer = ONE_ROW, .takes = time                                             \
	}
/* One that is cancelled at Snowflake. */
#define CUT                                                                                                            \
	{WIRE_SUBMIT, .status = 202, .answer = RUNNING},                                                               \
	    {WIRE_POLL, .status = 202, .answer = RUNNING, .takes = SECONDS(50)},                                       \
	{                                                                                                              \
		WIRE_CANCEL, .with = HANDLE, .status = 200, .answer = CANCELLED, .takes = MS(100)                      \
	}

/* Two at one time. */
#define BOTH_CUT                                                                                                       \
	{WIRE_SUBMIT, .status = 202, .answer = RUNNING}, {WIRE_SUBMIT, .status = 202, .answer = RUNNING},              \
	    {WIRE_POLL, .status = 202, .answer = RUNNING, .takes = SECONDS(50)},                                       \
	    {WIRE_POLL, .status = 202, .answer = RUNNING, .takes = SECONDS(50)},                                       \
	    {WIRE_CANCEL, .with = HANDLE, .status = 200, .answer = CANCELLED, .takes = MS(100)},                       \
	{                                                                                                              \
		WIRE_CANCEL, .with = HANDLE, .status = 200, .answer = CANCELLED, .takes = MS(100)                      \
	}

/* How the next request differs from others; emptied by it. */
static struct {
	const char *accept, *subject, *last_event_id;
	bool local;
	bool still; /* nothing goes on until the test lets it */
} next_request;

static handle_t submit(struct request *rq)
{
	handle_t exchange = client_new();
	bool still;

	rq->accept = next_request.accept ? next_request.accept : BOTH;
	rq->local = next_request.local;
	if (next_request.subject)
		snprintf(rq->principal.subject, sizeof rq->principal.subject, "%s", next_request.subject);
	rq->mcp.last_event_id = next_request.last_event_id ? arena_strdup(rq->arena, next_request.last_event_id) : NULL;
	still = next_request.still;
	memset(&next_request, 0, sizeof next_request);
	front_ops.request(NULL, exchange, rq);
	while (!still && sim_turn()) /* what goes to the store comes back */
		;
	return exchange;
}

HELPER handle_t post(const char *session, const char *format, ...) PRINTF_LIKE(2, 3);
HELPER handle_t post(const char *session, const char *format, ...)
{
	char body[8192];
	va_list args;

	va_start(args, format);
	vsnprintf(body, sizeof body, format, args);
	va_end(args);
	return submit(sim_request(HTTP_POST, body, session));
}

/* Its JSON-RPC id is the number of its exchange. `meta`: members of _meta, "" for none. */
HELPER handle_t query_with(const char *session, const char *meta, const char *arguments)
{
	return post(session,
		    "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"tools/call\",\"params\":{\"name\":\"execute_query\","
		    "\"_meta\":{%s},\"arguments\":%s}}",
		    (unsigned long long)clients_last() + 1, meta, arguments);
}

HELPER handle_t query(const char *session)
{
	return query_with(session, "", QUERY);
}

/* A request of the modern era with the headers that belong to it. */
HELPER handle_t modern(const char *method, const char *name, const char *meta, const char *params)
{
	char body[8192];
	struct request *rq;

	snprintf(body, sizeof body,
		 "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"%s\",\"params\":{\"_meta\":{"
		 "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
		 "\"io.modelcontextprotocol/clientCapabilities\":{\"elicitation\":{}}%s%s}%s%s}}",
		 (unsigned long long)clients_last() + 1, method, *meta ? "," : "", meta, *params ? "," : "", params);
	rq = sim_request(HTTP_POST, body, NULL);
	rq->mcp.protocol_version = "2026-07-28";
	rq->mcp.method = method;
	rq->mcp.name = name;
	return submit(rq);
}

HELPER handle_t modern_query(const char *meta, const char *arguments)
{
	char params[4096];

	snprintf(params, sizeof params, "\"name\":\"execute_query\",\"arguments\":%s", arguments);
	return modern("tools/call", "execute_query", meta, params);
}

HELPER handle_t get(const char *session, const char *last_event_id)
{
	next_request.last_event_id = last_event_id;
	return submit(sim_request(HTTP_GET, "", session));
}

HELPER handle_t delete_session(const char *session)
{
	return submit(sim_request(HTTP_DELETE, "", session));
}

HELPER handle_t cancel(const char *session, handle_t id)
{
	return post(session,
		    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":%llu}}",
		    (unsigned long long)id);
}

/* The id lives as long as the test. */
HELPER const char *session_of(const char *revision, const char *capabilities)
{
	handle_t x = post(NULL,
			  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":"
			  "\"%s\",\"capabilities\":%s,\"clientInfo\":{\"name\":\"t\",\"version\":\"1\"}}}",
			  revision, capabilities);

	while (sim_turn())
		;
	assert_int_equal(client_of(x)->status, 200);
	assert_true(client_of(x)->session_id[0]);
	return client_of(x)->session_id;
}

HELPER const char *session(void)
{
	return session_of("2025-11-25", "{}");
}

/* ---- what was heard ---- */

static const char *kind_of(const char *data)
{
	static const struct {
		const char *in, *kind;
	} kinds[] = {{"\"notifications/progress\"", "progress"},
		     {"\"notifications/message\"", "log"},
		     {"\"notifications/tools/list_changed\"", "tools"},
		     {"\"notifications/prompts/list_changed\"", "prompts"},
		     {"\"notifications/resources/list_changed\"", "resources"},
		     {"\"notifications/resources/updated\"", "updated"},
		     {"\"notifications/subscriptions/acknowledged\"", "acknowledged"},
		     {"\"method\":\"elicitation/create\"", "ask"},
		     {"\"result\":", "response"},
		     {"\"error\":", "error"}};

	if (!*data)
		return "prime";
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strstr(data, kinds[i].in))
			return kinds[i].kind;
	return "unknown";
}

/* The events in short: "0:prime progress 1:log 2:response", the numbers being those of the ids, "s" for a standalone
 * stream's; behind them "end" where the stream was ended. Where it is no stream: its status, or "waits". */
HELPER const char *heard(handle_t exchange)
{
	static char text[4096];
	const struct client *c = client_of(exchange);
	size_t n = 0;

	if (c->state == CLIENT_WAITS)
		return "waits";
	if (strcmp(c->content_type, "text/event-stream") != 0) {
		snprintf(text, sizeof text, "%d", c->status);
		return text;
	}
	*text = '\0';
	for (size_t i = 0; i < c->events_n && n < sizeof text; i++) {
		const struct event *e = &c->events[i];
		const char *dash = strrchr(e->id, '-');

		n += (size_t)snprintf(text + n, sizeof text - n, "%s%s%s%s", i ? " " : "",
				      dash     ? dash + 1
				      : *e->id ? "s"
					       : "",
				      *e->id ? ":" : "", kind_of(e->data));
	}
	if (n < sizeof text)
		snprintf(text + n, sizeof text - n, "%s", c->state == CLIENT_DONE ? n ? " end" : "end" : "");
	return text;
}

HELPER double progress_of(const struct event *e)
{
	const char *at = strstr(e->data, "\"progress\":");

	assert_non_null(at);
	return strtod(at + strlen("\"progress\":"), NULL);
}

/* It must increase with each notification (specification, "Progress"). */
HELPER void progress_increases(handle_t x)
{
	const struct client *c = client_of(x);
	double last = -1;

	for (size_t i = 0; i < c->events_n; i++) {
		if (strcmp(kind_of(c->events[i].data), "progress") != 0)
			continue;
		assert_non_null(strstr(c->events[i].data, "\"progressToken\":\"tok\""));
		assert_true(progress_of(&c->events[i]) > last);
		last = progress_of(&c->events[i]);
	}
}

/* All that an exchange was told, in one text. */
HELPER const char *told_of(handle_t exchange)
{
	static char text[1 << 16];
	const struct client *c = client_of(exchange);
	size_t n = (size_t)snprintf(text, sizeof text, "%s", c->body ? c->body : "");

	for (size_t i = 0; i < c->events_n && n < sizeof text; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "\n%s", c->events[i].data);
	return text;
}

HELPER bool hears(handle_t exchange, const char *part)
{
	return strstr(told_of(exchange), part) != NULL;
}

/* The id of its newest event that bears one. */
HELPER const char *last_id(handle_t exchange)
{
	const struct client *c = client_of(exchange);

	for (size_t i = c->events_n; i-- > 0;)
		if (*c->events[i].id)
			return c->events[i].id;
	return NULL;
}

HELPER const char *id_of(handle_t exchange, size_t event)
{
	assert_true(event < client_of(exchange)->events_n);
	return client_of(exchange)->events[event].id;
}

HELPER size_t count_of(handle_t exchange, const char *kind)
{
	const struct client *c = client_of(exchange);
	size_t n = 0;

	for (size_t i = 0; i < c->events_n; i++)
		n += strcmp(kind_of(c->events[i].data), kind) == 0;
	return n;
}

#define HEARD(exchange, what) assert_string_equal(heard(exchange), what)
