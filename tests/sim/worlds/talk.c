/* What clients of a world say, what they make of what they hear, and what must hold of it. */
#include <stdlib.h>
#include <string.h>

#include "people.h"

#define MODERN_META                                                                                                    \
	"\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\"io.modelcontextprotocol/clientCapabilities\":{}"
enum { BODY = 2000 };

/* ---- saying ---- */

static void modern(struct message *m)
{
	m->protocol = "2026-07-28";
	m->mcp_method = "tools/call";
}

const char *begin_body(const struct session_kept *s, struct message *m)
{
	if (!s->modern)
		return "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":"
		       "\"2025-11-25\",\"capabilities\":{},\"clientInfo\":{\"name\":\"t\",\"version\":\"1\"}}}";
	modern(m);
	m->mcp_name = "set_context";
	return "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"tools/call\",\"params\":{\"name\":\"set_context\",\"_meta\":"
	       "{" MODERN_META "},\"arguments\":{\"schema\":\"S0\",\"warehouse\":\"W0\"}}}";
}

struct value *change_of(const struct op *o)
{
	struct session_kept *s = &sessions[o->session];

	return o->member == 's' ? &s->schema[o->value] : &s->warehouse[o->value];
}

static const char *tool_of(const struct op *o)
{
	return o->kind == OP_CONTEXT ? "set_context" : o->kind == OP_RESULT ? "get_result" : "execute_query";
}

static void add_arguments(struct buf *b, const struct op *o)
{
	if (o->kind == OP_CONTEXT) {
		buf_addf(b, "\"%s\":\"%c%u\"", o->member == 's' ? "schema" : "warehouse", o->member == 's' ? 'S' : 'W',
			 o->value);
	} else if (o->kind == OP_RESULT) {
		buf_addf(b, "\"statement_handle\":\"%s\",\"format\":\"json\"", ops[o->of].handle);
	} else {
		buf_addf(
		    b, o->kind == OP_READ ? "\"query\":\"SELECT 'q%u'\"" : "\"query\":\"INSERT INTO T VALUES ('q%u')\"",
		    o->n);
		buf_adds(b, ",\"format\":\"json\"");
		if (o->waits)
			buf_adds(b, ",\"wait_seconds\":1");
		if (o->keyed)
			buf_addf(b, ",\"idempotency_key\":\"key-of-q%u\"", o->n);
	}
	if (sessions[o->session].modern)
		buf_addf(b, ",\"session\":\"%s\"", sessions[o->session].handle);
}

static char *call_body(const struct op *o)
{
	struct buf b = buf_with_ceiling(BODY);
	bool is_modern = sessions[o->session].modern;
	char *text;

	buf_addf(&b, "{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"tools/call\",\"params\":{\"name\":\"%s\",\"_meta\":{",
		 o->n, tool_of(o));
	if (o->progress)
		buf_addf(&b, "\"progressToken\":%u%s", o->n, is_modern ? "," : "");
	buf_addf(&b, "%s},\"arguments\":{", is_modern ? MODERN_META : "");
	add_arguments(&b, o);
	buf_adds(&b, "}}}");
	text = xstrndup(b.data, b.n);
	buf_free(&b);
	return text;
}

static const char *value_text(const struct op *o, char text[20])
{
	snprintf(text, 20, "sets %c%u", o->member == 's' ? 'S' : 'W', o->value);
	return text;
}

void op_ask(struct op *o, struct replica *r)
{
	const struct session_kept *s = &sessions[o->session];
	struct exchange *x = exchange_new(ASK_CALL, o->session, o->n, r);
	char what[80], text[20];

	if (o->home < 0) {
		o->home = r->number;
		o->home_life = r->life;
	} else {
		o->moved = true;
	}
	o->exchange = x->self;
	o->tries++;
	*o->stream = '\0';
	if (s->modern) {
		modern(&x->message);
		x->message.mcp_name = tool_of(o);
	} else {
		x->message.session = x->texts[0] = xstrdup(s->id);
	}
	x->message.body = x->texts[1] = call_body(o);
	if (charting)
		snprintf(what, sizeof what, "q%u %s%d %s%s%s", o->n, s->subject, s->index,
			 o->kind == OP_CONTEXT ? value_text(o, text) : tool_of(o), o->kind == OP_WRITE ? " write" : "",
			 o->keyed ? " key" : "");
	exchange_go(x, charting ? what : "");
}

/* GET with Last-Event-ID: behind the last event, or an earlier one. */
static void op_resume(struct op *o)
{
	struct exchange *x = exchange_new(ASK_RESUME, o->session, o->n, some_replica());
	uint64_t from = chance(3) ? o->seen : chance(o->seen + 1);
	char what[80];

	o->moved |= x->replica->number != o->home;
	o->exchange = x->self;
	o->tries++;
	x->last = from;
	snprintf(x->stream, sizeof x->stream, "%s", o->stream);
	x->message.method = HTTP_GET;
	x->message.session = x->texts[0] = xstrdup(sessions[o->session].id);
	x->message.last_event_id = x->texts[1] = xalloc(STREAM_EVENT_ID_SIZE);
	snprintf(x->texts[1], STREAM_EVENT_ID_SIZE, "%s-%llu", o->stream, (unsigned long long)from);
	snprintf(what, sizeof what, "GET behind event %llu of q%u", (unsigned long long)from, o->n);
	exchange_go(x, what);
}

/* ---- coming back ---- */

static void follow(struct timer *t)
{
	struct op *o = container_of(t, struct op, follow);
	const struct exchange *x = exchange_of(o->exchange);

	if (o->answered || o->lost || x->state == X_WAITS || x->state == X_STREAMS)
		return;
	if (o->waived || (o->last && sessions[o->session].deleting)) {
		o->lost = true;
		return;
	}
	if (o->tries > 300)
		violation(o->n, "q%u was asked for %d times and never answered", o->n, o->tries);
	if (*o->stream)
		op_resume(o);
	else if (o->keyed || o->kind == OP_RESULT || o->last)
		op_ask(o, some_replica());
	else
		o->lost = true;
}

void exchange_ended(struct exchange *x, int state)
{
	x->state = state;
	if (state == X_LEFT || state == X_BROKEN || state == X_DONE || state == X_REFUSED) {
		struct op *o = &ops[x->op];

		if (x->op && o->exchange == x->self && x->what != ASK_CANCEL && !timer_pending(&o->follow))
			after(&o->follow, chance(4) ? between(MS(1), SECONDS(1)) : between(SECONDS(1), SECONDS(20)),
			      follow);
	}
}

/* ---- what an answer is ---- */

static bool says(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

/* Is this a row of any other call? */
static void check_rows(const struct op *o, const char *text)
{
	uint32_t expected = o->kind == OP_RESULT ? o->of : o->n;

	for (const char *at = strstr(text, "row of q"); at; at = strstr(at + 1, "row of q"))
		if (strtoul(at + strlen("row of q"), NULL, 10) != expected)
			violation(o->n, "q%u was answered with a %.20s", o->n, at);
}

static void learn_handle(struct op *o, const char *text)
{
	const char *at = strstr(text, "statementHandle\":\"");
	size_t n;

	if (!at || o->handle)
		return;
	at += strlen("statementHandle\":\"");
	n = strcspn(at, "\"");
	o->handle = xstrndup(at, n);
}

static bool is_temporary(const char *text)
{
	static const char *const codes[] = {"\"code\":50301", "\"code\":50302", "\"code\":42901", "\"code\":42902",
					    "try again"};

	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (says(text, codes[i]))
			return true;
	return false;
}

static void check_success(struct op *o, const char *text)
{
	bool query = o->kind == OP_READ || o->kind == OP_WRITE;

	if (query && o->executions != 1)
		violation(o->n, "q%u is said to have run, and was executed %d times", o->n, o->executions);
	if (o->kind == OP_READ && !says(text, "row of q"))
		violation(o->n, "q%u was answered without its row: %.200s", o->n, text);
	if (o->kind == OP_CONTEXT)
		change_of(o)->acknowledged = clock_now();
}

/* The response of a call: once, and what it says is true. */
static void told_response(struct exchange *x, struct op *o, const char *text)
{
	bool failed = says(text, "\"isError\":true") || says(text, "\"error\":{\"code\"");

	if (x->answered)
		violation(o->n, "q%u was answered twice on one stream", o->n);
	x->answered = true;
	check_rows(o, text);
	if (failed && is_temporary(text) && (o->keyed || o->last || o->kind == OP_RESULT) && o->tries < 100) {
		*o->stream = '\0'; /* asked for once more, see follow() */
		return;
	}
	o->answered = clock_now();
	o->failed = failed;
	o->unknown = says(text, "outcome");
	o->running = !failed && says(text, "\"status\":\"running\"");
	if (o->running)
		learn_handle(o, text);
	else if (!failed)
		check_success(o, text);
	if (failed && o->last && !sessions[o->session].deleting && !says(text, "001003"))
		violation(o->n, "all is well, and q%u fails: %.300s", o->n, text);
}

static bool is_response_to(const char *text, uint32_t n)
{
	char id[40];

	snprintf(id, sizeof id, "\"id\":%u,", n);
	if (says(text, id))
		return true;
	snprintf(id, sizeof id, "\"id\":%u}", n);
	return says(text, id);
}

/* ---- what a session is ---- */

static void told_session(struct exchange *x, const char *text)
{
	struct session_kept *s = &sessions[x->session];
	const char *at = s->modern ? strstr(text, "\"session\":\"") : NULL;

	if (x->status != 200 || s->acknowledged || (s->modern && !at))
		return;
	if (at)
		snprintf(s->handle, sizeof s->handle, "%.12s", at + strlen("\"session\":\""));
	s->acknowledged = true;
	s->schema[0].acknowledged = s->warehouse[0].acknowledged = 1;
}

static void told_cancel(struct exchange *x)
{
	struct op *o = &ops[x->op];

	if (x->status != 202)
		return;
	o->cancelled = clock_now();
	o->cancel_home = x->replica->number;
	o->cancel_life = x->life;
}

/* ---- a whole answer ---- */

static void told_refusal(const struct exchange *x, struct op *o, const char *body)
{
	bool gone = sessions[x->session].deleting;

	if (x->status == 404 && !gone)
		violation(x->op, "a session that was acknowledged is not found");
	if (x->status == 204 && !o->waived && !o->answered)
		violation(x->op, "a stream that was acknowledged is not found: q%u", x->op);
	if (x->status == 202 && !o->cancel_asked && !o->waived)
		violation(x->op, "q%u was ended as if it were cancelled", x->op);
	if (x->status >= 400 && x->status < 500 && x->status != 404 && x->status != 429)
		violation(x->op, "q%u is refused: %d %.200s", x->op, x->status, body);
	if (x->status == 202 || gone)
		o->lost = true;
}

void told_answer(struct exchange *x, const char *body)
{
	struct op *o = &ops[x->op];

	if (x->what == ASK_BEGIN)
		told_session(x, body);
	else if (x->what == ASK_CANCEL)
		told_cancel(x);
	else if (x->what == ASK_DELETE)
		sessions[x->session].deleted |= x->status == 200;
	else if (x->what == ASK_CALL && is_response_to(body, x->op))
		told_response(x, o, body);
	else
		told_refusal(x, o, body);
}

/* ---- events ---- */

static uint64_t hash_of(const char *text)
{
	uint64_t hash = 14695981039346656037u;

	for (const char *c = text; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 1099511628211u;
	return hash;
}

/* The same number is the same event, whoever shows it. */
static void check_same(struct op *o, uint64_t number, const char *data)
{
	if (number <= o->seen) {
		if (o->hash[number] != hash_of(data))
			violation(o->n, "event %llu of q%u is not what it was: %.300s", (unsigned long long)number,
				  o->n, data);
		return;
	}
	o->hash = xrealloc(o->hash, (number + 1) * sizeof *o->hash);
	o->hash[number] = hash_of(data);
	o->seen = number;
}

static void told_numbered(struct exchange *x, struct op *o, const char *id, const char *data)
{
	uint64_t number;
	char stream[STREAM_ID_SIZE];

	if (!stream_event_id_read(slice_of(id), stream, &number))
		violation(o->n, "%s is no event id", id);
	if (*x->stream && strcmp(stream, x->stream) != 0)
		violation(o->n, "an event of another stream");
	if (strcmp(stream, o->stream) != 0) { /* its first, or that of the same key again */
		if (x->self != o->exchange)
			return;
		snprintf(o->stream, sizeof o->stream, "%s", stream);
		o->seen = 0;
	}
	snprintf(x->stream, sizeof x->stream, "%s", stream);
	if (!*data) {
		if (number != x->last)
			violation(o->n, "a stream begins at %llu, asked for behind %llu", (unsigned long long)number,
				  (unsigned long long)x->last);
		if (!sessions[o->session].deleting && !cloud_has(stream, 0))
			violation(o->n, "the stream of q%u is shown and not in the store", o->n);
		return;
	}
	if (number != x->last + 1)
		violation(o->n, "event %llu of q%u comes after %llu", (unsigned long long)number, o->n,
			  (unsigned long long)x->last);
	x->last = number;
	if (!sessions[o->session].deleting && !cloud_has(stream, number))
		violation(o->n, "event %llu of q%u is shown and not in the store", (unsigned long long)number, o->n);
	check_same(o, number, data);
}

void told_event(struct exchange *x, const char *id, const char *data)
{
	struct op *o = &ops[x->op];
	char token[40];

	if (x->answered)
		violation(x->op, "an event behind the answer of q%u: %.200s", x->op, data);
	if (*id)
		told_numbered(x, o, id, data);
	if (!*data)
		return;
	snprintf(token, sizeof token, "\"progressToken\":%u", o->n);
	if (says(data, "\"method\":\"notifications/progress\"")) {
		if (!says(data, token))
			violation(x->op, "progress of another call: %.200s", data);
	} else if (is_response_to(data, o->n)) {
		told_response(x, o, data);
	} else {
		violation(x->op, "an event that is none of q%u's: %.300s", o->n, data);
	}
}

/* ---- the context ---- */

/* A value may be seen unless another one took its place: acknowledged before this call was asked for, and itself asked
 * for after this value was acknowledged. */
static void check_member(const struct op *o, const struct value *v, size_t n, const char *value, char letter)
{
	uint32_t at = (uint32_t)strtoul(value + 1, NULL, 10);

	if (*value != letter || at > n)
		violation(o->n, "q%u runs in context %s, which is none of its session's", o->n, value);
	for (size_t i = 1; v[at].acknowledged && i <= n; i++)
		if (v[i].acknowledged && v[i].acknowledged < o->asked && v[i].asked > v[at].acknowledged)
			violation(o->n, "q%u runs in context %s though %c%zu was acknowledged", o->n, value, letter, i);
}

void people_executed(uint32_t op, const char *schema, const char *warehouse)
{
	struct op *o = &ops[op];
	const struct session_kept *s = &sessions[o->session];

	if (++o->executions > 1)
		violation(op, "q%u is executed %d times", op, o->executions);
	if (o->kind == OP_WRITE && o->answered && !o->unknown && !o->running)
		violation(op, "q%u is executed after it was answered", op);
	check_member(o, s->schema, s->schema_n, schema, 'S');
	check_member(o, s->warehouse, s->warehouse_n, warehouse, 'W');
}
