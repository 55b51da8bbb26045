/* One request to Snowflake on behalf of a call: sent, given up, tried again; what its failures mean for the statement.
 */
#include "internal.h"

#include <string.h>

#define BACKOFF_FIRST   (100 * USEC_PER_MS)
#define BACKOFF_CAP     (16 * USEC_PER_S)
#define RETRY_AFTER_CAP (60 * USEC_PER_S)
/* A read is tried at least so long, however impatient its caller. */
#define READ_PATIENCE (30 * USEC_PER_S)

static const char *const op_names[] = {[WIRE_SUBMIT] = "submit",
				       [WIRE_POLL] = "poll",
				       [WIRE_FETCH] = "fetch",
				       [WIRE_CANCEL] = "cancel",
				       [WIRE_REST] = "rest"};

static void on_done(struct wire_request *rq);

void request_begin(struct job *j, struct statement *s)
{
	s->tries = 0;
	j->backoff = j->not_before = 0;
	j->renewed = false;
}

/* When a failed request is given up: a write as long as Snowflake itself works on it, a read with its caller. */
static usec_t give_up_at(const struct call *c, const struct statement *s)
{
	usec_t patience = c->deadline > s->sent + READ_PATIENCE ? c->deadline : s->sent + READ_PATIENCE;
	usec_t life = s->sent + statement_life(c, s);

	if (s->write || c->deadline == 0)
		return life;
	return patience < life ? patience : life;
}

/* Decorrelated jitter: about 100 ms first, then between that and three times the last, to the cap. */
usec_t request_backoff(struct job *j)
{
	usec_t asked = j->request.retry_after_s > 60 ? RETRY_AFTER_CAP : j->request.retry_after_s * USEC_PER_S;
	usec_t most = j->backoff ? 3 * j->backoff : BACKOFF_FIRST * 3 / 2;

	j->backoff = random_between(BACKOFF_FIRST, most < BACKOFF_CAP ? most : BACKOFF_CAP);
	if (asked > j->backoff)
		return asked;
	return j->backoff;
}

/* Another try of the request at hand, later; or the end. Where the caller was answered already, the statement is what
 * counts, and tries go on until it is overdue. */
enum verdict request_again(struct call *c, struct job *j, const struct reading *r)
{
	struct statement *s = call_statement(c);
	usec_t then = clock_now() + request_backoff(j);

	if (j->early || (s->tries < call_conf(c)->snowflake_retries && then <= give_up_at(c, s))) {
		s->tries++;
		j->not_before = then;
		notice(c, LEVEL_WARNING, "try %d in %lld ms: %s", s->tries + 1,
		       (long long)((then - clock_now()) / USEC_PER_MS), r->message);
		return call_goto(c, c->step);
	}
	return j->cancelled && !s->write ? statement_end_cancelled(c) : statement_fail(c, r);
}

void request_drop(struct job *j)
{
	results_give(j->request.held);
	j->request.held = 0;
	buf_free(&j->request.answer);
}

/* Sends j->request, whose path and body are filled. A token that cannot be had ends the statement. */
enum verdict request_send(struct call *c, struct job *j, enum wire_op op, usec_t timeout)
{
	struct wire_request *rq = &j->request;
	const struct connection *connection = c->request->policy->connection;
	struct token_view token;
	const char *why = NULL, *text;

	if (token_get(connection, &token, &why)) {
		text = arena_printf(c->arena, "connection %s: %s; check snowflake.connections.%s", connection->name,
				    why, connection->name);
		return statement_fail_with(c, ERR_UPSTREAM_AUTH, text);
	}
	request_drop(j);
	rq->op = op;
	rq->post = op == WIRE_SUBMIT || op == WIRE_CANCEL || op == WIRE_REST;
	rq->connection = connection;
	rq->bearer = token.bearer;
	rq->token_type = token.type;
	rq->timeout = timeout;
	rq->connect_timeout = call_conf(c)->snowflake_connect_timeout;
	rq->answer = buf_with_ceiling(RESULT_CEILING);
	rq->result = WIRE_BROKEN;
	rq->status = 0;
	rq->retry_after_s = -1;
	rq->error[0] = '\0';
	rq->done = on_done;
	rq->owner = j;
	j->sending = true;
	metric_count(METRIC_upstream_requests, op_names[op]);
	metric_add(METRIC_upstream_in_flight, NULL, 1);
	snowflake.wire->send(snowflake.wire, rq);
	return WAIT;
}

void PRINTF_LIKE(2, 3) request_path(struct job *j, const char *format, ...)
{
	struct buf b = buf_with_ceiling(sizeof j->request.path - 1);
	va_list args;

	va_start(args, format);
	buf_addv(&b, format, args);
	va_end(args);
	memcpy(j->request.path, buf_text(&b), b.n + 1);
	buf_free(&b);
}

static void sent_is_over(struct job *j)
{
	j->sending = false;
	metric_add(METRIC_upstream_in_flight, NULL, -1);
	timer_stop(&j->call->timer);
}

void request_abort(struct job *j)
{
	snowflake.wire->abort(snowflake.wire, &j->request);
	sent_is_over(j);
	request_drop(j);
}

enum verdict request_renew(struct call *c, struct job *j, const struct reading *r)
{
	if (j->renewed || !token_renew(j->request.connection))
		return statement_fail(c, r);
	j->renewed = true;
	j->not_before = 0;
	return call_goto(c, c->step);
}

/* What is the same for every request: the refusals and failures. */
enum verdict request_failed(struct call *c, struct job *j, const struct reading *r)
{
	struct statement *s = call_statement(c);

	switch (r->meaning) {
	case MEANS_AUTH:
		return request_renew(c, j, r);
	case MEANS_CANCELLED:
		s->failure = (struct failure){r->err, r->code, r->sqlstate, r->message};
		return statement_end_cancelled(c);
	case MEANS_FAILED:
		return statement_fail(c, r);
	case MEANS_BUSY:
	case MEANS_TRANSIENT:
	case MEANS_RESULT:
	case MEANS_RUNNING:
		break;
	}
	return request_again(c, j, r);
}

static void on_done(struct wire_request *rq)
{
	static enum verdict (*const done[])(struct call *, struct job *,
					    struct reading *) = {[WIRE_SUBMIT] = submit_done,
								 [WIRE_POLL] = poll_done,
								 [WIRE_FETCH] = fetch_done,
								 [WIRE_CANCEL] = cancel_done,
								 [WIRE_REST] = rest_done};
	struct job *j = rq->owner;
	struct call *c = j->call;
	struct reading r;
	enum wire_op op = rq->op;

	OWNED_BY(THREAD_SNOWFLAKE);
	CHECK(j, JOB_MAGIC);
	sent_is_over(j);
	answer_read(j, &r);
	if (r.meaning != MEANS_RESULT)
		request_drop(j);
	if (done[op](c, j, &r) == NEXT)
		call_run(c);
}

/* A request that is under way is given up where its answer no longer counts: a poll, a fetch. A submission is not: it
 * brings the handle. */
void statement_cancelled(struct job *j)
{
	struct call *c = j->call;

	c->cancelled = true;
	if (j->sending && (j->request.op == WIRE_SUBMIT || j->request.op == WIRE_CANCEL))
		return;
	if (j->sending)
		request_abort(j);
	timer_stop(&c->timer);
	j->not_before = 0;
	call_run(c);
}
