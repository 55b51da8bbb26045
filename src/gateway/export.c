/* GET /results: a whole result on its way to its owner, piece by piece, as its client takes it. */
#include "gateway_internal.h"

#include "snowgate/policy.h"

#include <string.h>

/* Who is told to come again because the statement has not ended. */
#define RUNNING_RETRY (5 * USEC_PER_S)

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
		return 422;
	case ERR_UPSTREAM_BUSY:
	case ERR_NOMEM:
		return 503;
	case ERR_TIMEOUT:
		return 504;
	default:
		return err_info(err)->http == 200 ? 502 : err_info(err)->http;
	}
}

static void answer_fault(const struct call *c, struct answer *a)
{
	const struct err_info *info = err_info(c->fault.err);
	const char *message = c->fault.message ? c->fault.message : info->text;

	answer_init(a, status_of(c->fault.err), TYPE_JSON);
	buf_addf(&a->body, "{\"error\":{\"code\":\"%s\",\"message\":", info->name);
	json_write_string(&a->body, message, strlen(message));
	buf_addf(&a->body, ",\"request\":\"%s\"}}", c->request->id);
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

/* It is a stream like any other, and counts as one. */
static bool export_open(struct call *c, struct ticket *t)
{
	struct answer head;

	if (t->exports)
		return true;
	if (!listener_room(t->account, c->request->policy->limits)) {
		c->fault = (struct mcp_fault){ERR_OVERLOADED, "too many streams at once; wait for one to end", NULL};
		return false;
	}
	head_of(c, &head);
	if (!gateway.transport->stream_open(gateway.transport, t->exchange, &head))
		return false;
	t->exports = true;
	t->account->streams++;
	metric_add(METRIC_streams, "result", 1);
	return true;
}

/* Nothing more goes out: SNOWFLAKE gives up what is under way, and the call comes home. */
static enum verdict forsake(struct call *c)
{
	c->cancelled = true;
	return call_goto(c, STEP_fetch);
}

enum verdict step_emit(struct call *c)
{
	struct ticket *t = ticket_of(c);
	struct statement *s = call_statement(c);

	if (!gateway.transport)
		return call_fail(c, ERR_DRAINING, DRAINING_TEXT);
	if (t->cancelled || !t->exchange || !export_open(c, t))
		return forsake(c);
	switch (gateway.transport->stream_raw(gateway.transport, t->exchange, buf_slice(&s->text))) {
	case STREAM_SENT:
		break;
	case STREAM_FULL:
		t->emitting = c;
		return WAIT;
	case STREAM_GONE:
		return forsake(c);
	}
	metric_add(METRIC_results_bytes, NULL, (int64_t)s->text.n);
	buf_clear(&s->text);
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
	t->account->streams--;
	metric_add(METRIC_streams, "result", -1);
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
