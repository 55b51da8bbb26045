/* The gateway's front door: the head check, new requests, departures, and the parse step. */
#include "gateway_internal.h"
#include "snowgate/connect.h"

#include <string.h>

/* ---- before the body: who is it, and may it be here ---- */

static void refuse(struct answer *a, const struct request *rq, enum err err, const char *message)
{
	struct mcp_fault fault = {err, message, NULL};

	if (rq->result)
		answer_no_result(a, err_info(err)->http, err, message, rq->id);
	else
		answer_error(a, rq, ERA_LEGACY, (struct slice){0}, &fault);
}

/* The transport refuses: it has set the status, and wants the body. */
static void front_refuse(void *ctx, struct answer *answer, enum err err, const char *message)
{
	(void)ctx;
	rpc_write_error(&answer->body, (struct slice){0}, err_info(err)->rpc_legacy, message, NULL);
}

static bool head_unauthorized(struct request *rq, struct answer *refusal, enum auth_result result)
{
	struct buf challenge = buf_with_ceiling(256);

	auth_challenge(&challenge, result);
	refuse(refusal, rq, ERR_UNAUTHORIZED, auth_result_text(result));
	answer_header(refusal, "WWW-Authenticate", "%s", buf_text(&challenge));
	buf_free(&challenge);
	metric_count(METRIC_auth, result == AUTH_MISSING ? "missing" : result == AUTH_EXPIRED ? "expired" : "bad");
	return false;
}

static bool head_local(struct request *rq, struct answer *refusal)
{
	if (!rq->local && rq->proxied) {
		refuse(refusal, rq, ERR_FORBIDDEN,
		       "this request came through a proxy, and auth.mode is none: set auth.mode to required");
		return false;
	}
	rq->principal = (struct principal){.kind = PRINCIPAL_LOCAL, .subject = "local"};
	return true;
}

static bool front_head(void *ctx, struct request *rq, struct answer *refusal)
{
	enum auth_result result = AUTH_OK;

	(void)ctx;
	OWNED_BY(THREAD_NET);
	if (rq->page) /* it holds nothing that is not known to who can connect */
		return true;
	if (rq->local || rq->conf->auth_mode == AUTH_NONE) {
		if (!head_local(rq, refusal))
			return false;
	} else {
		result = auth_check(gateway.keys, slice_of(rq->authorization), clock_wall(), &rq->principal);
		if (result != AUTH_OK)
			return head_unauthorized(rq, refusal, result);
	}
	metric_count(METRIC_auth, "ok");
	rq->policy = conf_policy(rq->conf, &rq->principal);
	if (rq->policy)
		return true;
	refuse(refusal, rq, ERR_FORBIDDEN, "no policy matches this principal; add one to `policies`");
	return false;
}

/* ---- a whole request ---- */

/* What a fault is answered with depends on the era, also where the message itself could not be read. */
static enum era era_of_headers(const struct mcp_headers *h)
{
	return h->protocol_version && revision_is_modern(revision_parse(h->protocol_version)) ? ERA_MODERN : ERA_LEGACY;
}

static void reject(handle_t exchange, struct request *rq, enum err err, const char *message)
{
	struct answer a;

	refuse(&a, rq, err, message);
	if (err == ERR_METHOD) /* what there is in the era that the request speaks of */
		answer_header(&a, "Allow", "%s",
			      era_of_headers(&rq->mcp) == ERA_MODERN ? "POST, OPTIONS" : "GET, POST, DELETE, OPTIONS");
	if (err_info(err)->retryable)
		answer_retry_after(&a, USEC_PER_S);
	request_free(rq);
	answer_send(exchange, &a);
}

static void show_page(handle_t exchange, struct request *rq)
{
	struct buf url = buf_with_ceiling(1024);
	struct answer a;

	answer_init(&a, 200, "text/html; charset=utf-8");
	connect_url(&url, rq->conf);
	connect_page(&a.body, rq->conf, buf_text(&url));
	buf_free(&url);
	request_free(rq);
	answer_send(exchange, &a);
}

/* Every POST may be answered with JSON, if only with an error, but for a subscription, which is a stream. */
static bool front_acceptable(const struct request *rq)
{
	if (rq->method != HTTP_POST || request_accepts(rq, TYPE_JSON))
		return true;
	return rq->mcp.method && strcmp(rq->mcp.method, "subscriptions/listen") == 0 &&
	       request_accepts(rq, TYPE_STREAM);
}

void call_begin(handle_t exchange, struct request *rq, struct batch *batch)
{
	struct call *c = call_new(rq);
	struct ticket *t = ticket_open(c, exchange);
	struct answer a;

	if (rq->method != HTTP_POST)
		c->step = rq->result ? STEP_export : STEP_bind;
	if (t)
		ticket_bind_account(t, account_of(gateway.accounts, &rq->principal, clock_now()));
	if (t && t->account) {
		t->batch = batch;
		t->lone = rq->local;
		if (rq->result)
			memcpy(t->result, rq->id, sizeof t->result);
		conf_use(rq->conf);
		call_run(c);
		return;
	}
	metric_count(METRIC_limit_decisions, "overloaded");
	if (t)
		ticket_close(t);
	refuse(&a, rq, ERR_OVERLOADED, "too many calls at once; try again");
	answer_retry_after(&a, USEC_PER_S);
	call_free(c);
	if (batch)
		batch_answer(batch, NULL, &a);
	else
		answer_send(exchange, &a);
}

/* Streams of the server's own belong to sessions, which only legacy clients have. */
static bool front_offers_stream(const struct request *rq)
{
	return era_of_headers(&rq->mcp) == ERA_LEGACY && (rq->mcp.session_id || rq->conf->session_required);
}

/* While calls end, their clients may still answer questions and cancel; requests are refused when they are read. */
static bool front_closed(const struct request *rq)
{
	if (gateway.phase == PHASE_DRAINING && gateway.succeeded) /* who is connected is served: each answer closes */
		return rq->method == HTTP_GET;
	return gateway.phase == PHASE_REFUSING || (gateway.phase == PHASE_DRAINING && rq->method != HTTP_POST);
}

static void front_request(void *ctx, handle_t exchange, struct request *rq)
{
	(void)ctx;
	OWNED_BY(THREAD_NET);
	if (rq->page)
		show_page(exchange, rq);
	else if (front_closed(rq))
		reject(exchange, rq, ERR_DRAINING, DRAINING_TEXT);
	else if (rq->result)
		call_begin(exchange, rq, NULL);
	else if (rq->method == HTTP_GET && !front_offers_stream(rq))
		reject(exchange, rq, ERR_METHOD,
		       "send messages with POST; a GET opens the stream of a session, which Mcp-Session-Id names");
	else if (rq->method == HTTP_DELETE && era_of_headers(&rq->mcp) == ERA_MODERN)
		reject(exchange, rq, ERR_METHOD, "protocol 2026-07-28 has no sessions to end");
	else if (!front_acceptable(rq))
		reject(exchange, rq, ERR_NOT_ACCEPTABLE, "accept application/json and text/event-stream");
	else
		call_begin(exchange, rq, NULL);
}

static void front_gone(void *ctx, handle_t exchange)
{
	struct listener *l = listener_by_exchange(exchange);
	struct ticket *t = ticket_by_exchange(exchange);

	(void)ctx;
	OWNED_BY(THREAD_NET);
	if (l) {
		listener_gone(l);
		return;
	}
	batch_gone(exchange);
	if (!t)
		return;
	ticket_leave_exchange(t);
	ticket_left(t);
}

static void front_room(void *ctx, handle_t exchange)
{
	struct listener *l = listener_by_exchange(exchange);
	struct ticket *t = ticket_by_exchange(exchange);

	(void)ctx;
	if (l)
		listener_pump(l);
	else if (t)
		export_go_on(t);
}

static void front_succeeded(void *ctx)
{
	(void)ctx;
	drain_begin();
}

static bool front_ready(void *ctx)
{
	(void)ctx;
	return gateway.phase == PHASE_SERVING && gateway.stored;
}

const struct transport_ops front_ops = {
    .head = front_head,
    .request = front_request,
    .gone = front_gone,
    .room = front_room,
    .ready = front_ready,
    .succeeded = front_succeeded,
    .refuse = front_refuse,
};

/* ---- the message ---- */

/* What stands in _meta goes before what stands in headers. */
static int parse_meta(struct call *c)
{
	struct request *rq = c->request;

	if (request_meta_read(c->arena, &c->rpc, buf_slice(&rq->body), &c->meta, &c->fault) != ERR_OK)
		return (int)c->fault.err;
	if (c->meta.traceparent) {
		rq->traceparent = c->meta.traceparent;
		rq->tracestate = c->meta.tracestate;
	}
	rq->baggage = c->meta.baggage ? c->meta.baggage : rq->baggage;
	return ERR_OK;
}

enum verdict step_parse(struct call *c)
{
	const struct mcp_headers *h = &c->request->mcp;
	int rc;

	c->era.era = era_of_headers(h);
	rc = rpc_read(c->arena, buf_slice(&c->request->body), &c->rpc, &c->fault);
	if (c->rpc.kind == RPC_RESPONSE)
		c->rpc.id = (struct slice){0}; /* it names a request of ours: what we answer must not bear it */
	if (rc != ERR_OK)
		return call_goto(c, STEP_reply);
	if (era_classify(c->arena, &c->rpc, h, &c->era, &c->fault) != ERR_OK)
		return call_goto(c, STEP_reply);
	c->method = mcp_method(c->era.era, c->rpc.kind, c->rpc.method);
	if (c->rpc.kind != RPC_BATCH && c->method != MCP_UNKNOWN && parse_meta(c) != ERR_OK)
		return call_goto(c, STEP_reply);
	return call_goto(c, STEP_bind);
}

enum verdict step_parse_large(struct call *c)
{
	return step_parse(c);
}
