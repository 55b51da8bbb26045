/* One request to Snowflake on behalf of a call: sent, given up, tried again; what its failures mean for the statement.
 */
#include "internal.h"

#include <string.h>

#define BACKOFF_FIRST   (100 * USEC_PER_MS)
#define BACKOFF_REFUSED USEC_PER_S /* A.10, E.1: where Snowflake itself has too much to do */
#define BACKOFF_CAP     (16 * USEC_PER_S)
#define RETRY_AFTER_CAP (60 * USEC_PER_S) /* for a statement that runs */
/* However impatient the caller, a few tries are made. */
#define LEAST_PATIENCE (10 * USEC_PER_S)
/* What Snowflake ends at its time limit, it has so long to tell: a request given up counts against its host. */
#define OWN_VERDICT (2 * USEC_PER_S)
/* A breaker's probe that is not answered by then has failed; a synchronous one is given the time to run besides. */
#define PROBE_TIMEOUT (10 * USEC_PER_S)

static const char *const op_names[] = {[WIRE_SUBMIT] = "submit",
				       [WIRE_POLL] = "poll",
				       [WIRE_FETCH] = "fetch",
				       [WIRE_CANCEL] = "cancel",
				       [WIRE_REST] = "rest"};

typedef enum verdict done_f(struct call *, struct job *, struct reading *);

/* What comes of an answer. */
static done_f *const dones[] = {[WIRE_SUBMIT] = submit_done,
				[WIRE_POLL] = poll_done,
				[WIRE_FETCH] = fetch_done,
				[WIRE_CANCEL] = cancel_done,
				[WIRE_REST] = rest_done};

static void on_done(struct wire_request *rq);

void request_begin(struct job *j, struct statement *s)
{
	s->tries = 0;
	j->backoff = j->not_before = j->pooled.began = 0;
	j->renewed = 0;
	j->broke = 0;
}

usec_t request_patience(const struct call *c)
{
	const struct statement *s = &c->plan[c->plan_at];
	const struct job *j = s->job;
	usec_t began = j->broke ? j->broke : j->pooled.began ? j->pooled.began : s->sent;
	usec_t patience = c->deadline > began + LEAST_PATIENCE ? c->deadline : began + LEAST_PATIENCE;
	usec_t life = (j->broke ? j->broke : s->sent) + statement_life(c, s);

	return c->deadline && patience < life ? patience : life;
}

/* Decorrelated jitter: between the first time and three times the last, to the cap. What may be a broken connection is
 * tried again sooner than what Snowflake refuses to begin. */
static usec_t jitter(struct job *j)
{
	bool refused = opens_work(j->request.op) && j->request.result == WIRE_ANSWERED && j->request.status >= 429;
	usec_t first = refused ? BACKOFF_REFUSED : BACKOFF_FIRST, most = 3 * j->backoff;

	if (most < first * 3 / 2)
		most = first * 3 / 2;
	j->backoff = random_between(first, most < BACKOFF_CAP ? most : BACKOFF_CAP);
	return j->backoff;
}

/* Snowflake's Retry-After; 0: none. Its bound only keeps the sum in range. */
static usec_t asked_for(const struct job *j)
{
	int64_t seconds = j->request.retry_after_s;

	return seconds <= 0 ? 0 : seconds > 86400 ? 86400 * USEC_PER_S : seconds * USEC_PER_S;
}

usec_t request_backoff(struct job *j)
{
	usec_t asked = asked_for(j), own = jitter(j);

	if (asked > RETRY_AFTER_CAP)
		asked = RETRY_AFTER_CAP;
	return asked > own ? asked : own;
}

/* Where all are told the same time, they come back one after the other. */
static usec_t next_try(const struct call *c, struct job *j)
{
	usec_t asked = asked_for(j), own = jitter(j), spread = random_between(0, own < asked / 4 ? own : asked / 4);

	if (asked <= own)
		return clock_now() + own;
	if (clock_now() + asked + spread > request_patience(c))
		return clock_now() + asked;
	return clock_now() + asked + spread;
}

/* No further try is made of what `r` is the last of. */
static enum verdict give_up(struct call *c, struct job *j, const struct reading *r, const char *why)
{
	struct reading last = *r;
	const char *text = why ? arena_printf(c->arena, "%s; %s", r->message, why) : NULL;

	if (text)
		last.message = text;
	if (j->cancelled && !call_statement(c)->write)
		return statement_end_cancelled(c);
	return statement_fail(c, &last);
}

static enum verdict too_late(struct call *c, struct job *j, const struct reading *r)
{
	usec_t asked = asked_for(j);
	const char *why = NULL;

	metric_count(METRIC_upstream_retries, "late");
	if (asked && clock_now() + asked > request_patience(c)) {
		c->retry_after = asked;
		why = arena_printf(c->arena,
				   "it asks to wait %lld s before the next try, which is more than this call has",
				   (long long)(asked / USEC_PER_S));
	}
	return give_up(c, j, r, why);
}

static enum verdict try_again(struct call *c, struct job *j, const struct reading *r, usec_t then)
{
	struct statement *s = call_statement(c);

	metric_count(METRIC_upstream_retries, "made");
	s->tries++;
	j->not_before = then;
	if (opens_work(j->request.op) && !r->perhaps && !j->perhaps)
		pool_step_out(j);
	notice(c, LEVEL_WARNING, "try %d in %lld ms: %s", s->tries + 1, (long long)((then - clock_now()) / USEC_PER_MS),
	       r->message);
	return call_goto(c, c->step);
}

/* Another try of the request at hand, later; or the end. Where the caller was answered already, the statement is what
 * counts, and tries go on until it is overdue. */
enum verdict request_again(struct call *c, struct job *j, const struct reading *r)
{
	usec_t then;

	if (j->early)
		return try_again(c, j, r, clock_now() + request_backoff(j));
	if (call_statement(c)->tries >= call_conf(c)->snowflake_retries)
		return give_up(c, j, r, NULL);
	then = next_try(c, j);
	if (then > request_patience(c))
		return too_late(c, j, r);
	if (j->pooled.endpoint && pool_bars(c, j, then))
		return give_up(c, j, r, "nothing more is sent there for now");
	if (!pool_may_retry(j)) {
		metric_count(METRIC_upstream_retries, "budget");
		return give_up(c, j, r, "too much fails at the moment to try everything again");
	}
	return try_again(c, j, r, then);
}

usec_t request_within(const struct call *c, usec_t timeout)
{
	const struct statement *s = &c->plan[c->plan_at];
	usec_t life = statement_life(c, s), left = s->sent + life + OWN_VERDICT - clock_now();

	if (!s->metadata || life >= call_conf(c)->snowflake_request_timeout || left >= timeout)
		return timeout;
	return left > USEC_PER_S ? left : USEC_PER_S;
}

/* What is answered at once where all is well is not waited for longer than its caller waits: an asynchronous submission
 * of a read, a poll that no early answer saves. */
static usec_t timeout_of(const struct call *c, const struct job *j, enum wire_op op, usec_t timeout)
{
	const struct statement *s = &c->plan[c->plan_at];
	usec_t left = request_patience(c) - clock_now();

	usec_t held = timeout - call_conf(c)->snowflake_request_timeout; /* by a synchronous submission */

	if (j->pooled.probes && op == WIRE_SUBMIT && timeout > held + PROBE_TIMEOUT)
		timeout = held + PROBE_TIMEOUT;
	if (held || !(op == WIRE_SUBMIT || (op == WIRE_POLL && s->kind == STATEMENT_ATTACH)))
		return timeout;
	if (!c->deadline || s->write || s->metadata || j->early || left >= timeout)
		return timeout;
	return left > USEC_PER_S ? left : USEC_PER_S;
}

void request_drop(struct job *j)
{
	results_give(j->request.held);
	j->request.held = 0;
	buf_free(&j->request.answer);
}

/* ---- without a token ---- */

enum verdict request_token_wait(struct call *c, struct job *j)
{
	usec_t until = request_patience(c);
	struct reading r = {.meaning = MEANS_TRANSIENT, .err = ERR_UPSTREAM};

	if (j->early || j->cancelled || j->overdue)
		return WAIT;
	if (clock_now() < until)
		return statement_wait(c, until);
	r.message = arena_printf(c->arena,
				 "connection %s has no token for Snowflake at the moment: its token endpoint has not "
				 "answered within the time of this call; try again",
				 c->request->policy->connection->name);
	if (!r.message)
		r.message = err_info(r.err)->text;
	return give_up(c, j, &r, NULL);
}

/* As an answer of nobody's, which asks for the pause that the token's cache makes. */
static void set_unsent(struct job *j, const char *message, struct reading *r)
{
	request_drop(j);
	j->request.result = WIRE_REFUSED;
	j->request.status = 0;
	j->request.retry_after_s = 1;
	*r = (struct reading){.meaning = MEANS_TRANSIENT, .err = ERR_UPSTREAM, .message = message};
	if (!message)
		r->message = err_info(r->err)->text;
}

enum verdict request_token_late(struct call *c, struct job *j, const char *message)
{
	struct reading r;

	j->request.op = WIRE_SUBMIT;
	set_unsent(j, message, &r);
	return request_again(c, j, &r);
}

/* A partition that is asked for ahead of its time: the one that is read now may go on without it. */
static bool is_ahead(const struct call *c, const struct job *j, enum wire_op op)
{
	const struct source *src = j->sources;

	while (src && src->partition != c->plan[c->plan_at].next_partition)
		src = src->next;
	return op == WIRE_FETCH && src;
}

static enum verdict unsigned_yet(struct call *c, struct job *j, enum wire_op op, enum token_state state,
				 const char *message)
{
	struct reading r;

	if (state == TOKEN_FAILED)
		return statement_fail_with(c, ERR_UPSTREAM_AUTH, message);
	if (is_ahead(c, j, op))
		return WAIT;
	if (state == TOKEN_WAIT)
		return request_token_wait(c, j);
	j->request.op = op;
	set_unsent(j, message, &r);
	return dones[op](c, j, &r);
}

/* ---- with one ---- */

/* Sends j->request, whose path and body are filled. */
enum verdict request_send(struct call *c, struct job *j, enum wire_op op, usec_t timeout)
{
	struct wire_request *rq = &j->request;
	const char *message;
	enum token_state state = job_token(j, rq, &message);
	enum verdict not_now;

	if (state != TOKEN_READY)
		return unsigned_yet(c, j, op, state, message);
	if (!pool_admits(c, j, op, &not_now))
		return not_now;
	request_drop(j);
	rq->op = op;
	rq->post = op == WIRE_SUBMIT || op == WIRE_CANCEL || op == WIRE_REST;
	rq->timeout = request_within(c, timeout_of(c, j, op, timeout));
	rq->connect_timeout = call_conf(c)->snowflake_connect_timeout;
	rq->answer = buf_with_ceiling(op == WIRE_REST ? REST_CEILING : RESULT_CEILING);
	rq->result = WIRE_BROKEN;
	rq->status = 0;
	rq->retry_after_s = -1;
	rq->error[0] = '\0';
	rq->done = on_done;
	rq->more = op == WIRE_SUBMIT || op == WIRE_POLL || op == WIRE_FETCH ? fetch_more : NULL;
	rq->window = WINDOW;
	if (op != WIRE_REST) {
		rq->headers = NULL;
	} else if (call_statement(c)->event) {
		rq->more = rest_more;
		rq->window = REST_CEILING; /* never held: all of it is taken at once */
	}
	rq->gzip = rq->shared = false;
	rq->owner = j;
	j->newest_token = rq->token;
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

/* Several requests may be under way with a token that the first of them finds refused: that counts once. */
enum verdict request_renew(struct call *c, struct job *j, const struct reading *r)
{
	bool counts = j->request.token == j->newest_token;

	if ((counts && j->renewed >= TOKEN_RENEWALS) || !job_token_renew(j, &j->request)) {
		pool_login_refused(c, j);
		return statement_fail(c, r);
	}
	j->renewed += counts;
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

/* What is no result is small, and read here. */
static void unpack(struct wire_request *rq)
{
	if (rq->result == WIRE_ANSWERED && rq->status != 200 && rq->gzip && inflate_whole(&rq->answer, STATUS_BODY))
		rq->gzip = false;
}

enum verdict request_answered(struct call *c, struct job *j)
{
	struct reading r;

	unpack(&j->request);
	answer_read(j, &r);
	pool_answered(c, j, &r);
	if (r.meaning != MEANS_RESULT)
		request_drop(j);
	return dones[j->request.op](c, j, &r);
}

static void on_done(struct wire_request *rq)
{
	struct job *j = rq->owner;
	struct call *c = j->call;

	OWNED_BY(THREAD_SNOWFLAKE);
	CHECK(j, JOB_MAGIC);
	sent_is_over(j);
	if (request_answered(c, j) == NEXT)
		call_run(c);
}

/* A request that is under way is given up where its answer no longer counts: a poll, a fetch. A submission is not: it
 * brings the handle. */
void statement_cancelled(struct job *j)
{
	struct call *c = j->call;
	bool rows_come; /* it has ended: there is nothing to cancel, and nobody to read them */

	c->cancelled = true;
	if (j->sending && (j->request.op == WIRE_SUBMIT || j->request.op == WIRE_CANCEL))
		return;
	rows_come = j->sending && j->request.op == WIRE_POLL && j->request.status == 200;
	if (j->sending)
		request_abort(j);
	timer_stop(&c->timer);
	j->not_before = 0;
	if (!rows_come || statement_end(c, STATEMENT_SUCCEEDED) == NEXT)
		call_run(c);
}
