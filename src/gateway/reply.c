/* The answer goes out, the ticket is closed, the call ends. */
#include "gateway_internal.h"

#include <string.h>

#define ANSWER_CEILING ((size_t)16 << 20)

/* ---- answers ---- */

/* In a legacy session an error of the method rides on 200; one of the transport has its own status. */
static int status_of(enum err err, enum era era)
{
	if (era == ERA_LEGACY && (err == ERR_UNKNOWN_METHOD || err == ERR_INVALID_PARAMS || err == ERR_INTERNAL))
		return 200;
	return err_info(err)->http;
}

void answer_error(struct answer *a, const struct request *rq, enum era era, struct slice id,
		  const struct mcp_fault *fault)
{
	const struct err_info *info = err_info(fault->err);
	struct buf message = buf_with_ceiling(4096);

	buf_adds(&message, fault->message ? fault->message : info->text);
	if (rq)
		buf_addf(&message, " [%s]", rq->id);
	answer_init(a, status_of(fault->err, era), TYPE_JSON);
	a->body = buf_with_ceiling(ANSWER_CEILING);
	rpc_write_error(&a->body, id, era == ERA_MODERN ? info->rpc_modern : info->rpc_legacy, buf_text(&message),
			fault->data);
	buf_free(&message);
}

void answer_retry_after(struct answer *a, usec_t after)
{
	answer_header(a, "Retry-After", "%lld", (long long)((after + USEC_PER_S - 1) / USEC_PER_S));
}

void answer_unknown(struct answer *a, enum revision revision, struct slice id, const char *request)
{
	const struct err_info *info = err_info(ERR_OUTCOME_UNKNOWN);
	json_t *meta = json_pack("{s:{s:s, s:b, s:s, s:s}}", "snowgate/error", "code", info->name, "retryable", 0,
				 "outcome", "unknown", "operation", request);
	struct tool_result r = {.is_error = true, .meta = meta};
	struct buf result = buf_with_ceiling(4096);

	r.text = SLICE("the gateway is shutting down and the statement has not ended: it goes on at Snowflake or was "
		       "cancelled. Look whether its effect is there before you send it again.");
	answer_init(a, 200, TYPE_JSON);
	a->body = buf_with_ceiling(ANSWER_CEILING);
	if (!tool_result_write(&result, revision, &r) || !rpc_write_result(&a->body, id, buf_slice(&result)))
		buf_clear(&a->body);
	buf_free(&result);
	json_decref(meta);
}

static void answer_result(struct call *c, struct answer *a)
{
	struct mcp_fault fault = {ERR_INTERNAL, "the answer does not fit", NULL};

	answer_init(a, 200, TYPE_JSON);
	a->body = buf_with_ceiling(ANSWER_CEILING);
	if (c->result.n && rpc_write_result(&a->body, c->rpc.id, buf_slice(&c->result)))
		return;
	answer_free(a);
	answer_error(a, c->request, c->era.era, c->rpc.id, &fault);
}

/* The texts of a failure name the request, so that a user's report can be found in the log. */
void answer_tool(struct call *c, struct answer *a)
{
	struct tool_result r = {.is_error = c->answer.is_error, .meta = c->answer.meta};

	if (c->answer.is_error)
		buf_addf(&c->answer.text, " [%s]", c->request->id);
	r.text = buf_slice(&c->answer.text);
	r.structured = buf_slice(&c->answer.structured);
	buf_clear(&c->result);
	if (!tool_result_write(&c->result, c->revision, &r))
		buf_clear(&c->result);
	buf_free(&c->answer.text); /* up to a MiB each, and the answer is written once more */
	buf_free(&c->answer.structured);
	answer_result(c, a);
}

void answer_send(handle_t exchange, struct answer *a)
{
	if (gateway.transport)
		gateway.transport->answer(gateway.transport, exchange, a);
	else
		answer_free(a);
}

/* ---- the end of a call ---- */

static const char *outcome_of(const struct call *c, const struct ticket *t)
{
	if (t->cancelled)
		return "cancelled";
	if (c->fault.err != ERR_OK)
		return "rpc_error";
	return c->answer.is_error ? "tool_error" : "ok";
}

/* What was asked: a JSON-RPC method, or an HTTP one that bears no message. */
static const char *asked_of(const struct call *c)
{
	if (c->request->result)
		return "GET results";
	if (c->request->method == HTTP_GET)
		return "GET";
	return c->request->method == HTTP_DELETE ? "DELETE" : c->rpc.method;
}

static void reply_log(const struct call *c, const struct ticket *t, int status)
{
	char trace[TRACE_ID_SIZE];
	const struct statement *s = c->plan_n ? &c->plan[c->plan_at < c->plan_n ? c->plan_at : c->plan_n - 1] : NULL;

	log_event(LOG_INFO, "call", log_text("request", c->request->id),
		  log_text("principal", c->request->principal.subject), log_text("method", asked_of(c)),
		  log_text("tool", c->tool ? c->tool->name : NULL), log_text("outcome", outcome_of(c, t)),
		  log_text("error", c->fault.err != ERR_OK ? err_info(c->fault.err)->name : NULL),
		  log_text("query", s && *s->handle ? s->handle : NULL),
		  log_text("trace", trace_id(c->request->traceparent, trace) ? trace : NULL),
		  log_number("status", status), log_number("ms", (clock_now() - c->born) / USEC_PER_MS));
}

/* A cancelled legacy call gets no response; the exchange still needs an end. */
void reply_answer(struct call *c, const struct ticket *t)
{
	struct answer *a = &c->http;

	if (c->request->result)
		export_answer(c, a);
	else if (c->fault.err != ERR_OK)
		answer_error(a, c->request, c->era.era, c->rpc.id, &c->fault);
	else if (c->request->method == HTTP_DELETE)
		answer_init(a, 200, NULL);
	else if (c->request->method == HTTP_GET) /* a stream that is over, or was never ours */
		answer_init(a, 204, NULL);
	else if (c->rpc.kind != RPC_REQUEST || t->cancelled)
		answer_init(a, 202, NULL);
	else if (c->method == MCP_TOOLS_CALL && !c->result.n)
		answer_tool(c, a);
	else
		answer_result(c, a);
	if (c->retry_after || err_info(c->fault.err)->http == 503)
		answer_retry_after(a, c->retry_after ? c->retry_after : USEC_PER_S);
	if (*c->session_id && c->request->method != HTTP_DELETE && (c->by_header || c->era.initialize))
		answer_header(a, "Mcp-Session-Id", "%s", c->session_id);
}

/* What is known as a task, or was to be, has its end in the store, or is no more there, before it is answered. */
static bool lacks_end(const struct call *c, const struct ticket *t)
{
	return *c->op.task && c->op.version && !c->op.over && !c->op.ended && !t->left && !t->taken && !c->op.taken;
}

enum verdict step_reply(struct call *c)
{
	struct ticket *t = ticket_of(c);
	bool answered = export_end(c, t) || ticket_answered(t);

	if (lacks_end(c, t)) {
		ticket_conclude(t, c);
		return call_goto(c, STEP_event);
	}
	slot_release(t);
	t->recorded = c->op.number;
	t->taken |= c->op.taken;
	if (c->op.again)
		adopt_end(c, t);
	if (c->durable.put && t->session && c->fault.err != ERR_OK)
		t->session->doubtful = true;
	else if (c->durable.put && t->session && store_shared())
		session_committed(c, t->session);
	if (!answered && !c->http.status)
		reply_answer(c, t);
	if (t->get && !answered)
		task_got(t, c);
	reply_log(c, t, c->http.status);
	if (!c->answered) { /* else it was counted when it was answered early */
		metric_count(METRIC_calls, outcome_of(c, t));
		metric_observe(METRIC_call_seconds, clock_now() - c->born);
	}
	if (c->durable.fresh && c->fault.err != ERR_OK && t->session)
		session_end(gateway.sessions, t->session); /* its id was never told */
	if (!answered)
		ticket_answer(t, &c->http);
	ticket_close(t);
	conf_unuse(c->request->conf);
	call_free(c);
	return DONE;
}

/* ---- an answer before the statement's end ---- */

struct early {
	struct mail mail;
	handle_t ticket;
	struct answer answer;
};

static void early_deliver(struct mail *m)
{
	struct early *e = container_of(m, struct early, mail);
	struct ticket *t = handle_get(gateway.tickets, e->ticket);

	OWNED_BY(THREAD_NET);
	metric_count(METRIC_calls, "running");
	if (t)
		ticket_answer(t, &e->answer);
	else
		answer_free(&e->answer);
	free(e);
}

void answer_early(struct call *c)
{
	struct early *e = xalloc(sizeof *e);

	OWNED_BY(THREAD_SNOWFLAKE);
	*e = (struct early){.mail = {.deliver = early_deliver}, .ticket = c->ticket};
	c->answer.running = true;
	c->handler->answer(c);
	answer_tool(c, &e->answer);
	if (c->by_header)
		answer_header(&e->answer, "Mcp-Session-Id", "%s", c->session_id);
	buf_clear(&c->answer.text);
	buf_clear(&c->answer.structured);
	buf_clear(&c->result);
	c->answer.meta = NULL;
	c->answer.running = c->answer.is_error = false;
	mail_post(THREAD_NET, &e->mail);
}
