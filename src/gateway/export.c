/* GET /results: a whole result on its way to its owner, piece by piece, as its client takes it. */
#include "gateway_internal.h"

#include "snowgate/policy.h"

#include <string.h>

/* Who is told to come again because the statement has not ended. */
#define RUNNING_RETRY (5 * USEC_PER_S)
#define EMIT_MAX      ((size_t)256 << 10) /* bytes handed over at once: an outbox has room for so many */
#define TEXT_KEPT     ((size_t)1 << 20)   /* memory of a piece that serves for the next one */

static const char *type_of(const struct request *rq)
{
	return rq->jsonl ? "application/x-ndjson" : "text/csv; charset=utf-8";
}

/* ---- the plan ---- */

static void answer(struct call *c);

/* Only what stands in the URL decides: no session, no arguments. */
enum verdict step_export(struct call *c)
{
	static const struct handler handler = {.answer = answer};
	const struct request *rq = c->request;

	if (!admit_rate(c))
		return call_goto(c, STEP_reply);
	policy_context(rq->policy, &c->context);
	c->handler = &handler;
	c->deadline = clock_now() + rq->conf->results_wait;
	return call_goto(c, plan_export(c) == ERR_OK ? STEP_admit : STEP_reply);
}

/* ---- the outcome ---- */

static void refuse_failed(struct call *c, const struct statement *s)
{
	const struct failure *f = &s->failure;

	c->fault = (struct mcp_fault){f->err ? f->err : ERR_UPSTREAM, f->message, NULL};
	if (c->fault.err == ERR_HANDLE)
		c->fault.err = ERR_NOT_FOUND;
}

static void answer(struct call *c)
{
	const struct statement *s = &c->plan[0];

	if (s->state == STATEMENT_RUNNING || s->state == STATEMENT_SENT || s->state == STATEMENT_NEW) {
		c->fault =
		    (struct mcp_fault){ERR_CONFLICT, "the statement has not ended; come again in a moment", NULL};
		c->retry_after = RUNNING_RETRY;
	} else if (s->state != STATEMENT_SUCCEEDED) {
		refuse_failed(c, s);
	}
}

/* Failures that a tool would tell with 200. */
static int status_of(enum err err)
{
	switch (err) {
	case ERR_SQL:
	case ERR_CANCELLED:
	case ERR_NOMEM: /* a value, or a row, that is too long: it is the next time, too */
		return 422;
	case ERR_UPSTREAM_BUSY:
		return 503;
	case ERR_TIMEOUT:
		return 504;
	default:
		return err_info(err)->http == 200 ? 502 : err_info(err)->http;
	}
}

static void answer_fault(const struct call *c, struct answer *a)
{
	const char *message = c->fault.message ? c->fault.message : err_info(c->fault.err)->text;

	answer_no_result(a, status_of(c->fault.err), c->fault.err, message, c->request->id);
}

void export_answer(struct call *c, struct answer *a)
{
	if (c->fault.err != ERR_OK)
		answer_fault(c, a);
	else
		answer_init(a, 200, type_of(c->request)); /* JSON lines of no rows */
}

/* ---- the stream ---- */

static void head_of(const struct call *c, struct answer *head)
{
	const struct request *rq = c->request;

	answer_init(head, 200, type_of(rq));
	answer_header(head, "Content-Disposition", "attachment; filename=\"%.64s.%s\"", c->plan[0].handle,
		      rq->jsonl ? "jsonl" : "csv");
	answer_header(head, "Cache-Control", "private, no-store");
}

static void lifetime_over(struct timer *timer)
{
	ticket_cancel(container_of(timer, struct ticket, lifetime), "timeout");
}

static bool has_share(const struct account *a)
{
	int64_t share = gateway.conf->snowflake_max_connections / EXPORTS_SHARE;

	return a->exports < (share > EXPORTS_LEAST ? share : EXPORTS_LEAST);
}

static bool may_open(struct call *c, const struct ticket *t)
{
	if (t->revoked)
		c->fault = (struct mcp_fault){ERR_UNAUTHORIZED, "the key is no longer valid here", NULL};
	else if (!has_share(t->account))
		c->fault = (struct mcp_fault){ERR_OVERLOADED, "too many downloads at once; wait for one to end", NULL};
	else if (!listener_room(t->account, c->request->policy->limits))
		c->fault = (struct mcp_fault){ERR_OVERLOADED, "too many streams at once; wait for one to end", NULL};
	return c->fault.err == ERR_OK;
}

/* It is a stream like any other, and counts as one; beside that, each may hold a connection to Snowflake. */
static void count(struct ticket *t, int by)
{
	t->account->streams += by;
	t->account->exports += by;
	gateway.listeners.n += (size_t)by;
	metric_add(METRIC_streams, "result", by);
}

static bool export_open(struct call *c, struct ticket *t)
{
	usec_t life = gateway.conf->mcp_stream_lifetime;
	struct answer head;

	if (t->exports)
		return true;
	if (!may_open(c, t))
		return false;
	head_of(c, &head);
	if (!gateway.transport->stream_open(gateway.transport, t->exchange, &head))
		return false;
	t->exports = true;
	t->lifetime.fire = lifetime_over;
	timer_set(gateway.wheel, &t->lifetime, clock_now() + (life > 0 ? life : EXPORT_LIFETIME));
	count(t, 1);
	return true;
}

/* Nothing more goes out: SNOWFLAKE gives up what is under way, and the call comes home. */
static enum verdict forsake(struct call *c)
{
	c->cancelled = true;
	return call_goto(c, STEP_fetch);
}

/* A piece may be larger than the transport ever takes at once. */
static enum stream_sent emit(struct ticket *t, const struct buf *text)
{
	enum stream_sent sent = STREAM_SENT;

	while (sent == STREAM_SENT && t->emitted < text->n) {
		struct slice part = {text->data + t->emitted, text->n - t->emitted};

		if (part.n > EMIT_MAX)
			part.n = EMIT_MAX;
		sent = gateway.transport->stream_raw(gateway.transport, t->exchange, part);
		if (sent == STREAM_SENT)
			t->emitted += part.n;
	}
	return sent;
}

/* The next piece goes where this one was, unless that is much more than most pieces need. */
static void piece_over(struct ticket *t, struct buf *text)
{
	metric_add(METRIC_results_bytes, NULL, (int64_t)text->n);
	t->emitted = 0;
	if (text->capacity > TEXT_KEPT)
		buf_free(text);
	else
		buf_clear(text);
}

enum verdict step_emit(struct call *c)
{
	struct ticket *t = ticket_of(c);
	struct statement *s = call_statement(c);

	if (!gateway.transport)
		return call_fail(c, ERR_DRAINING, DRAINING_TEXT);
	if (t->cancelled || !t->exchange || !export_open(c, t))
		return forsake(c);
	switch (emit(t, &s->text)) {
	case STREAM_SENT:
		break;
	case STREAM_FULL:
		t->emitting = c;
		return WAIT;
	case STREAM_GONE:
		return forsake(c);
	}
	piece_over(t, &s->text);
	rows_drained(&s->writer);
	return call_goto(c, s->fed == FED_PIECE ? STEP_decode_large : STEP_fetch);
}

void export_go_on(struct ticket *t)
{
	if (t->emitting)
		call_run(TAKE(t->emitting));
}

/* A HEAD is opened here, for the headers. */
static bool is_opened(struct call *c, struct ticket *t)
{
	if (!t->exports && c->request->is_head && c->fault.err == ERR_OK && t->exchange && gateway.transport)
		(void)export_open(c, t);
	return t->exports;
}

void export_close(struct ticket *t, bool whole)
{
	t->exports = false;
	timer_stop(&t->lifetime);
	count(t, -1);
	if (t->exchange && gateway.transport && whole)
		gateway.transport->stream_end(gateway.transport, t->exchange);
	else if (t->exchange && gateway.transport)
		gateway.transport->stream_break(gateway.transport, t->exchange);
	ticket_leave_exchange(t);
}

bool export_end(struct call *c, struct ticket *t)
{
	if (!c->request->result || !is_opened(c, t))
		return false;
	c->http.status = 200;
	export_close(t, c->fault.err == ERR_OK && !t->cancelled);
	return true;
}

static void revoke(handle_t h, void *object, void *round)
{
	struct ticket *t = object;

	(void)h;
	if (!*t->result || t->account->confirmed == *(const uint64_t *)round)
		return;
	t->revoked = true;
	if (t->exports)
		ticket_cancel(t, "revoked");
}

void exports_revoke(uint64_t round)
{
	handle_each(gateway.tickets, revoke, &round);
}
