/* The gateway's front door: the head check, new requests, departures, and the parse step. */
#include "gateway_internal.h"

#include <string.h>

/* ---- before the body: who is it, and may it be here ---- */

static void refuse(struct answer *a, const struct request *rq, enum err err, const char *message)
{
	struct mcp_fault fault = {err, message, NULL};

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
	if (rq->proxied) {
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
	if (rq->conf->auth_mode == AUTH_NONE) {
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
	if (err == ERR_METHOD)
		answer_header(&a, "Allow", "POST, DELETE, OPTIONS");
	if (err_info(err)->retryable)
		answer_retry_after(&a, USEC_PER_S);
	request_free(rq);
	answer_send(exchange, &a);
}

static bool front_accepts_json(const char *accept)
{
	return !accept || strstr(accept, "*/*") || strcasestr(accept, "application/*") ||
	       strcasestr(accept, "application/json");
}

static void front_take(handle_t exchange, struct request *rq)
{
	struct call *c = call_new(exchange, rq);
	struct ticket *t = ticket_open(c);
	struct answer a;

	if (rq->method == HTTP_DELETE)
		c->step = STEP_bind;
	if (t)
		ticket_bind_account(t, account_of(gateway.accounts, &rq->principal, clock_now()));
	if (t && t->account) {
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
	answer_send(exchange, &a);
}

static void front_request(void *ctx, handle_t exchange, struct request *rq)
{
	(void)ctx;
	OWNED_BY(THREAD_NET);
	if (gateway.phase != PHASE_SERVING)
		reject(exchange, rq, ERR_DRAINING, "the gateway is shutting down; connect again in a moment");
	else if (rq->method != HTTP_POST && rq->method != HTTP_DELETE)
		reject(exchange, rq, ERR_METHOD, "send messages with POST; end a session with DELETE");
	else if (rq->method == HTTP_POST && era_of_headers(&rq->mcp) == ERA_LEGACY && !front_accepts_json(rq->accept))
		reject(exchange, rq, ERR_NOT_ACCEPTABLE, "accept application/json and text/event-stream");
	else
		front_take(exchange, rq);
}

/* Modern: the client that leaves has cancelled. Legacy: it may come back; the call goes on and its answer finds nobody.
 */
static void front_gone(void *ctx, handle_t exchange)
{
	struct ticket *t = ticket_by_exchange(exchange);

	(void)ctx;
	OWNED_BY(THREAD_NET);
	if (!t)
		return;
	metric_count(METRIC_http_departed, NULL);
	ticket_answered(t);
	if (t->modern || t->watching)
		ticket_cancel(t);
}

static bool front_ready(void *ctx)
{
	(void)ctx;
	return gateway.phase == PHASE_SERVING;
}

const struct http_ops front_ops = {
    .head = front_head,
    .request = front_request,
    .gone = front_gone,
    .ready = front_ready,
    .refuse = front_refuse,
};

/* ---- the message ---- */

enum verdict step_parse(struct call *c)
{
	const struct mcp_headers *h = &c->request->mcp;

	c->era.era = era_of_headers(h);
	if (rpc_read(c->arena, buf_slice(&c->request->body), &c->rpc, &c->fault) != ERR_OK)
		return call_goto(c, STEP_reply);
	if (c->rpc.kind == RPC_BATCH)
		return call_fail(c, ERR_INVALID_REQUEST, "batches are not supported: send one message per request");
	if (era_classify(c->arena, &c->rpc, h, &c->era, &c->fault) != ERR_OK)
		return call_goto(c, STEP_reply);
	c->method = mcp_method(c->era.era, c->rpc.kind, c->rpc.method);
	return call_goto(c, STEP_bind);
}

enum verdict step_parse_large(struct call *c)
{
	return step_parse(c);
}
