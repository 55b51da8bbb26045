/* One request to another endpoint of the account: JSON there, JSON back, or events that are read as they come. */
#include "internal.h"

#include "snowgate/sse.h"

#include <string.h>

#define EVENT_MAX  REST_CEILING       /* of one event's data */
#define EVENTS_MAX ((size_t)64 << 20) /* of a whole stream, inflated */
#define CHUNK      ((size_t)32 << 10)
#define LEAST_TIME USEC_PER_S
#define NOTICE_GAP (200 * USEC_PER_MS) /* between two notices of one call, in the long run */
#define NOTICE_RUN 8                   /* notices that may follow at once */

/* What one call's requests need beside the wire's record of them. Owner: the call's arena. */
struct rest {
	const char *headers[4];
	struct sse_reader events;
	struct inflate *inflate; /* NULL: nothing was compressed yet */
	size_t read;             /* of the stream at hand */
	bool broken;             /* what came is no such stream */
	usec_t noticed;          /* when the next notice is due at NOTICE_GAP */
	size_t charged;          /* bytes counted by results_take() until the call ends */
};

static void rest_drop(void *rest)
{
	struct rest *r = rest;

	sse_reader_free(&r->events);
	inflate_free(r->inflate);
	results_give(r->charged);
}

/* What is kept of this call's answer is so much now; false, and nothing changed, where that is too much for all. */
static bool rest_charge(struct rest *r, size_t now)
{
	if (now > r->charged && !results_take(now - r->charged))
		return false;
	if (now < r->charged)
		results_give(r->charged - now);
	r->charged = now;
	return true;
}

/* ---- before ---- */

/* A stored name as SQL would write it: in quotes where it would be folded. False where it cannot stand in a header. */
static bool name_write(struct buf *b, const char *name)
{
	bool plain = *name && !strchr("0123456789$", *name);

	for (const char *p = name; *p; p++) {
		if (*p < ' ' || *p > '~')
			return false;
		plain = plain && ((*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '_' || *p == '$');
	}
	if (plain)
		return buf_adds(b, name);
	buf_addc(b, '"');
	for (const char *p = name; *p; p++)
		buf_addf(b, *p == '"' ? "\"%c" : "%c", *p);
	return buf_addc(b, '"');
}

/* D.1: context travels in headers. NULL where there is no memory, or the name is none for a header. */
static const char *header(struct call *c, const char *field, const char *name)
{
	struct buf b = buf_with_ceiling(1024);
	const char *line = NULL;

	buf_addf(&b, "%s: ", field);
	if (name_write(&b, name) && !buf_failed(&b))
		line = arena_strdup(c->arena, buf_text(&b));
	buf_free(&b);
	return line;
}

static bool headers_fill(struct call *c, struct rest *r, const struct statement *s)
{
	size_t n = 0;

	r->headers[n++] = s->event ? "Accept: text/event-stream" : "Accept: application/json";
	if (s->context.role && !(r->headers[n++] = header(c, "X-Snowflake-Role", s->context.role)))
		return false;
	if (s->context.warehouse && !(r->headers[n++] = header(c, "X-Snowflake-Warehouse", s->context.warehouse)))
		return false;
	r->headers[n] = NULL;
	return true;
}

static struct rest *rest_of(struct call *c, struct job *j)
{
	if (j->rest)
		return j->rest;
	j->rest = arena_alloc(c->arena, sizeof *j->rest);
	if (j->rest && !arena_attach(c->arena, j->rest, rest_drop))
		j->rest = NULL;
	return j->rest;
}

static bool rest_begin(struct call *c, struct job *j, struct statement *s)
{
	struct rest *r = rest_of(c, j);

	if (!r)
		return false;
	sse_reader_free(&r->events);
	r->events = sse_reader_new(EVENT_MAX);
	r->read = 0;
	r->broken = false;
	if (r->inflate)
		inflate_again(r->inflate);
	j->request.headers = r->headers;
	buf_clear(&j->request.body);
	return headers_fill(c, r, s) && buf_adds(&j->request.body, s->body);
}

enum verdict rest_submit(struct call *c, struct job *j, struct statement *s)
{
	usec_t left = c->deadline - clock_now();

	request_path(j, "%s", s->path);
	if (!rest_begin(c, j, s))
		return statement_fail_with(c, ERR_NOMEM, "the request, or a name in its context, cannot be sent");
	s->state = STATEMENT_RUNNING;
	return request_send(c, j, WIRE_REST,
			    !c->deadline        ? call_conf(c)->snowflake_request_timeout
			    : left > LEAST_TIME ? left
						: LEAST_TIME);
}

/* ---- events ---- */

/* However fast an agent tells what it does, its client is told at a pace. */
static void event_noticed(struct call *c, struct rest *r, const struct notice *n)
{
	usec_t now = clock_now();

	if (!c->listens || !snowflake.ops->notice || r->noticed > now + NOTICE_RUN * NOTICE_GAP)
		return;
	r->noticed = (r->noticed > now ? r->noticed : now) + NOTICE_GAP;
	snowflake.ops->notice(c, n);
}

static void events_read(struct call *c, struct rest *r, struct slice in)
{
	struct statement *s = call_statement(c);
	struct sse_message event;
	struct notice n;

	r->read += in.n;
	while (sse_reader_next(&r->events, &in, &event) == SSE_MESSAGE) {
		if (s->event(c, &event, &n))
			event_noticed(c, r, &n);
		s->crowded |= !rest_charge(r, s->collected);
	}
	if (!rest_charge(r, s->collected + r->events.line.capacity + r->events.data.capacity)) {
		s->crowded = true;
		sse_reader_skip(&r->events);
	}
	r->broken |= r->read > EVENTS_MAX;
}

static void inflated_read(struct call *c, struct rest *r, struct slice in)
{
	char *chunk = xalloc(CHUNK);
	size_t n = CHUNK;

	if (!r->inflate)
		r->inflate = inflate_new();
	while (!r->broken && (in.n > 0 || n == CHUNK)) {
		if (!inflate_some(r->inflate, &in, chunk, CHUNK, &n))
			r->broken = true;
		else
			events_read(c, r, (struct slice){chunk, n});
		if (n == 0)
			break;
	}
	free(chunk);
}

/* All that is there is read, and given back. */
static void answer_take(struct call *c, struct job *j)
{
	struct wire_request *rq = &j->request;

	if (rq->gzip)
		inflated_read(c, j->rest, buf_slice(&rq->answer));
	else
		events_read(c, j->rest, buf_slice(&rq->answer));
	buf_clear(&rq->answer);
	results_give(rq->held);
	rq->held = 0;
}

static const char broken_text[] = "Snowflake's answer is no stream of events as documented";

/* An agent may have done something: it is not asked twice, and its caller is told that. */
static enum verdict events_failed(struct call *c, struct job *j, struct reading *r)
{
	const char *text;

	if (!(r->perhaps || j->rest->read) || r->err == ERR_SQL || r->meaning == MEANS_CANCELLED)
		return request_failed(c, j, r);
	text = arena_printf(c->arena, "whether it did what it was asked is unknown: %s", r->message);
	r->err = ERR_OUTCOME_UNKNOWN;
	r->message = text ? text : err_info(ERR_OUTCOME_UNKNOWN)->text;
	return statement_fail(c, r);
}

void rest_more(struct wire_request *rq)
{
	struct job *j = rq->owner;
	struct call *c = j->call;

	OWNED_BY(THREAD_SNOWFLAKE);
	CHECK(j, JOB_MAGIC);
	answer_take(c, j);
	if (!j->rest->broken)
		return;
	request_abort(j);
	if (events_failed(c, j, &(struct reading){.err = ERR_UPSTREAM_ANSWER, .message = broken_text}) == NEXT)
		call_run(c);
}

/* ---- after ---- */

static enum verdict events_done(struct call *c, struct job *j, struct reading *r)
{
	if (r->meaning != MEANS_RESULT)
		return events_failed(c, j, r);
	answer_take(c, j);
	if (j->rest->broken)
		return events_failed(c, j, &(struct reading){.err = ERR_UPSTREAM_ANSWER, .message = broken_text});
	sse_reader_free(&j->rest->events);
	(void)rest_charge(j->rest, call_statement(c)->collected);
	return statement_end(c, STATEMENT_SUCCEEDED);
}

/* Snowflake may go on with it. */
static void read_late(struct call *c, struct job *j, struct reading *r)
{
	*r = (struct reading){.meaning = MEANS_FAILED, .err = ERR_TIMEOUT, .perhaps = true};
	r->message = j->request.result != WIRE_TIMEOUT
			 ? "Snowflake still works on it; ask for less at once"
			 : arena_printf(c->arena, "no answer within %lld s",
					(long long)((j->request.timeout + USEC_PER_S / 2) / USEC_PER_S));
	if (!r->message)
		r->message = err_info(ERR_TIMEOUT)->text;
}

/* What is read of the answer is the call's to its end, and counted as long. */
static enum verdict answer_keep(struct call *c, struct job *j)
{
	struct statement *s = call_statement(c);

	buf_free(&s->raw);
	s->raw = j->request.answer;
	j->request.answer = buf_with_ceiling(REST_CEILING);
	j->rest->charged += j->request.held;
	j->request.held = 0;
	return statement_end(c, STATEMENT_SUCCEEDED);
}

enum verdict rest_done(struct call *c, struct job *j, struct reading *r)
{
	if (r->meaning == MEANS_RUNNING || j->request.result == WIRE_TIMEOUT)
		read_late(c, j, r);
	if (call_statement(c)->event)
		return events_done(c, j, r);
	return r->meaning == MEANS_RESULT ? answer_keep(c, j) : request_failed(c, j, r);
}
