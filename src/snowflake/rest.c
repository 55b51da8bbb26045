/* One request to another endpoint of the account: JSON there, JSON back, or events that are read as they come. */
#include "internal.h"

#include "snowgate/sse.h"

#include <string.h>

#define EVENT_MAX  REST_CEILING       /* of one event's data */
#define EVENTS_MAX ((size_t)64 << 20) /* of a whole stream, inflated */
#define CHUNK      ((size_t)32 << 10)
#define LEAST_TIME USEC_PER_S

/* What one call's requests need beside the wire's record of them. Owner: the call's arena. */
struct rest {
	const char *headers[4];
	struct sse_reader events;
	struct inflate *inflate; /* NULL: nothing was compressed yet */
	size_t read;             /* of the stream at hand */
	bool broken;             /* what came is no such stream */
};

static void rest_drop(void *rest)
{
	struct rest *r = rest;

	sse_reader_free(&r->events);
	inflate_free(r->inflate);
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

static void events_read(struct call *c, struct rest *r, struct slice in)
{
	struct statement *s = call_statement(c);
	struct sse_message event;
	enum sse_verdict v;

	r->read += in.n;
	while ((v = sse_reader_next(&r->events, &in, &event)) == SSE_MESSAGE) {
		struct notice n;

		if (s->event(c, &event, &n) && c->listens && snowflake.ops->notice)
			snowflake.ops->notice(c, &n);
	}
	r->broken |= v == SSE_BAD || r->read > EVENTS_MAX;
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

static const char broken_text[] = "Snowflake's answer is no stream of events as documented; try again";

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
	if (statement_fail_with(c, ERR_UPSTREAM_ANSWER, broken_text) == NEXT)
		call_run(c);
}

/* ---- after ---- */

static enum verdict events_done(struct call *c, struct job *j, const struct reading *r)
{
	if (r->meaning == MEANS_RESULT) {
		answer_take(c, j);
		return j->rest->broken ? statement_fail_with(c, ERR_UPSTREAM_ANSWER, broken_text)
				       : statement_end(c, STATEMENT_SUCCEEDED);
	}
	/* An agent may have done something: it is not asked twice. */
	if (r->meaning == MEANS_TRANSIENT && (r->perhaps || j->rest->read))
		return statement_fail(c, r);
	return request_failed(c, j, r);
}

enum verdict rest_done(struct call *c, struct job *j, struct reading *r)
{
	struct statement *s = call_statement(c);

	if (r->meaning == MEANS_RUNNING)
		return statement_fail_with(c, ERR_TIMEOUT, "Snowflake still works on it; ask for less at once");
	if (j->request.result == WIRE_TIMEOUT) {
		r->err = ERR_TIMEOUT;
		r->meaning = MEANS_FAILED;
		r->message = arena_printf(c->arena, "no answer within %lld s",
					  (long long)(call_conf(c)->cortex_timeout / USEC_PER_S));
		return statement_fail_with(c, ERR_TIMEOUT, r->message);
	}
	if (s->event)
		return events_done(c, j, r);
	if (r->meaning != MEANS_RESULT)
		return request_failed(c, j, r);
	buf_free(&s->raw);
	s->raw = j->request.answer;
	j->request.answer = buf_with_ceiling(REST_CEILING);
	j->held += j->request.held;
	j->request.held = 0;
	return statement_end(c, STATEMENT_SUCCEEDED);
}
