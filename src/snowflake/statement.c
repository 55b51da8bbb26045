/* The life of a statement at Snowflake: sign, submit, poll until it ends, fetch its rows, cancel it. */
#include "internal.h"

#include "snowgate/crypt.h"

#include <string.h>

#define BACKOFF_FIRST   (100 * USEC_PER_MS)
#define BACKOFF_CAP     (16 * USEC_PER_S)
#define RETRY_AFTER_CAP (60 * USEC_PER_S)
/* Snowflake may hold a synchronous request so long before it answers 202 (A.1). */
#define SYNC_HOLD (45 * USEC_PER_S)
/* A read is tried at least so long, however impatient its caller. */
#define READ_PATIENCE (30 * USEC_PER_S)
/* Snowflake ends a statement at its timeout; beyond that and this much, nobody waits for it. */
#define OVERDUE_AFTER (60 * USEC_PER_S)
#define LONGEST_S     (7 * 24 * 3600)

static const char *const op_names[] = {
    [WIRE_SUBMIT] = "submit", [WIRE_POLL] = "poll", [WIRE_FETCH] = "fetch", [WIRE_CANCEL] = "cancel"};

int64_t poll_delay_ms(int n)
{
	static const int64_t first[] = {0, 20, 50, 100, 200, 400};
	int64_t delay = first[ARRAY_LEN(first) - 1];

	if (n < (int)ARRAY_LEN(first))
		return first[n < 0 ? 0 : n];
	for (int i = (int)ARRAY_LEN(first) - 1; i < n && delay < 5000; i++)
		delay += delay / 2;
	return delay < 5000 ? delay : 5000;
}

static const struct conf *conf_of(const struct call *c)
{
	return c->request->conf;
}

static usec_t longest_life(const struct call *c, const struct statement *s)
{
	int64_t seconds = s->timeout_s > 0 ? s->timeout_s : LONGEST_S;

	if (s->kind != STATEMENT_RUN)
		return conf_of(c)->snowflake_statement_timeout;
	return seconds * USEC_PER_S;
}

/* ---- ends ---- */

/* What was asked of one request is asked anew of the next. */
static void begin_request(struct job *j, struct statement *s)
{
	s->tries = 0;
	j->backoff = j->not_before = 0;
	j->renewed = false;
}

static enum verdict next_statement(struct call *c, struct job *j, struct statement *s)
{
	s[1].job = TAKE(s->job);
	c->plan_at++;
	begin_request(j, &s[1]);
	j->perhaps = false;
	return call_goto(c, STEP_sign);
}

static enum verdict end(struct call *c, enum statement_state state)
{
	struct statement *s = call_statement(c);
	struct job *j = s->job;
	size_t raw = 0;

	s->state = state;
	if (state == STATEMENT_SUCCEEDED && !j->cancelled && !j->early && c->plan_at + 1 < c->plan_n)
		return next_statement(c, j, s);
	c->cancelled |= j->cancelled;
	s->job = NULL;
	job_free(j);
	for (size_t i = 0; i < c->plan_n; i++)
		raw += c->plan[i].raw_bytes;
	return call_goto(c, raw > CALL_LARGE ? STEP_shape_large : STEP_shape);
}

static enum verdict end_cancelled(struct call *c)
{
	struct statement *s = call_statement(c);

	if (!s->failure.err)
		s->failure = (struct failure){.err = ERR_CANCELLED, .message = "the statement was cancelled"};
	return end(c, STATEMENT_CANCELLED);
}

static bool is_verdict(enum err err)
{
	return err == ERR_SQL || err == ERR_TIMEOUT;
}

/* Only Snowflake's own verdict says that a write that was sent did not happen. */
static enum verdict fail(struct call *c, const struct reading *r)
{
	struct statement *s = call_statement(c);
	const char *text;

	s->failure = (struct failure){r->err, r->code, r->sqlstate, r->message};
	if (!s->write || s->kind != STATEMENT_RUN || !s->job->perhaps || is_verdict(r->err))
		return end(c, STATEMENT_FAILED);
	text = arena_printf(c->arena,
			    "whether the statement ran is unknown: %s. Before it is sent again, look for %s %s in "
			    "QUERY_HISTORY or at the data",
			    r->message, s->handle[0] ? "query" : "request", s->handle[0] ? s->handle : s->request_id);
	s->failure.err = ERR_OUTCOME_UNKNOWN;
	s->failure.message = text ? text : err_info(ERR_OUTCOME_UNKNOWN)->text;
	return end(c, STATEMENT_UNKNOWN);
}

static enum verdict fail_with(struct call *c, enum err err, const char *message)
{
	struct reading r = {.err = err, .message = message ? message : err_info(err)->text};

	return fail(c, &r);
}

/* ---- time ---- */

static bool may_answer_early(const struct call *c, const struct job *j, const struct statement *s)
{
	return s->kind == STATEMENT_RUN && s->state == STATEMENT_RUNNING && c->step == STEP_poll && !c->answered &&
	       !s->metadata && c->deadline && !j->cancelled && !j->early;
}

/* The caller's patience is over: it gets `running` now, and the call stays until its statement is terminal. */
static void answer_early(struct call *c, struct job *j, struct statement *s)
{
	snowflake.ops->answer_early(c);
	c->answered = true;
	j->early = true;
	s->rows = 0;
}

static void on_timer(struct timer *t)
{
	struct call *c = container_of(t, struct call, timer);
	struct statement *s = call_statement(c);
	struct job *j = s->job;

	CHECK(j, JOB_MAGIC);
	if (!j->sending)
		call_run(c);
	else if (may_answer_early(c, j, s) && clock_now() >= c->deadline)
		answer_early(c, j, s);
}

static enum verdict wait_until(struct call *c, usec_t when)
{
	c->timer.fire = on_timer;
	timer_set(snowflake.wheel, &c->timer, when);
	return WAIT;
}

/* When a failed request is given up: a write as long as Snowflake itself works on it, a read with its caller. */
static usec_t give_up_at(const struct call *c, const struct statement *s)
{
	usec_t patience = c->deadline > s->sent + READ_PATIENCE ? c->deadline : s->sent + READ_PATIENCE;
	usec_t life = s->sent + longest_life(c, s);

	if (s->write || c->deadline == 0)
		return life;
	return patience < life ? patience : life;
}

/* Decorrelated jitter: about 100 ms first, then between that and three times the last, to the cap. */
static usec_t next_backoff(struct job *j)
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
static enum verdict try_again(struct call *c, struct job *j, const struct reading *r)
{
	struct statement *s = call_statement(c);
	usec_t then = clock_now() + next_backoff(j);

	if (j->early || (s->tries < conf_of(c)->snowflake_retries && then <= give_up_at(c, s))) {
		s->tries++;
		j->not_before = then;
		notice(c, LEVEL_WARNING, "try %d in %lld ms: %s", s->tries + 1,
		       (long long)((then - clock_now()) / USEC_PER_MS), r->message);
		return call_goto(c, c->step);
	}
	return j->cancelled && !s->write ? end_cancelled(c) : fail(c, r);
}

/* ---- requests ---- */

static void on_done(struct wire_request *rq);

static void drop_answer(struct job *j)
{
	results_give(j->request.held);
	j->request.held = 0;
	buf_free(&j->request.answer);
}

/* Sends j->request, whose path and body are filled. A token that cannot be had ends the statement. */
static enum verdict send(struct call *c, struct job *j, enum wire_op op, usec_t timeout)
{
	struct wire_request *rq = &j->request;
	const struct connection *connection = c->request->policy->connection;
	struct token_view token;
	const char *why = NULL, *text;

	if (token_get(connection, &token, &why)) {
		text = arena_printf(c->arena, "connection %s: %s; check snowflake.connections.%s", connection->name,
				    why, connection->name);
		return fail_with(c, ERR_UPSTREAM_AUTH, text);
	}
	drop_answer(j);
	rq->op = op;
	rq->post = op == WIRE_SUBMIT || op == WIRE_CANCEL;
	rq->connection = connection;
	rq->bearer = token.bearer;
	rq->token_type = token.type;
	rq->timeout = timeout;
	rq->connect_timeout = conf_of(c)->snowflake_connect_timeout;
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

static void PRINTF_LIKE(2, 3) set_path(struct job *j, const char *format, ...)
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

static void abort_request(struct job *j)
{
	snowflake.wire->abort(snowflake.wire, &j->request);
	sent_is_over(j);
	drop_answer(j);
}

/* The call goes on at a step of another thread, or here. */
static enum verdict go(struct call *c, struct job *j, enum step next)
{
	if (step_thread(next) != THREAD_SNOWFLAKE)
		job_away(j);
	return call_goto(c, next);
}

/* The answer becomes what decode reads. */
static enum verdict to_decode(struct call *c, struct job *j, size_t partition)
{
	struct statement *s = call_statement(c);

	buf_free(&s->raw);
	s->raw = j->request.answer;
	s->raw_partition = (int)partition;
	j->request.answer = buf_with_ceiling(RESULT_CEILING);
	j->held += j->request.held;
	j->request.held = 0;
	j->not_before = 0;
	j->renewed = false;
	return go(c, j, s->raw.n > CALL_LARGE ? STEP_decode_large : STEP_decode);
}

static enum verdict renew(struct call *c, struct job *j, const struct reading *r)
{
	if (j->renewed || !token_renew(j->request.connection))
		return fail(c, r);
	j->renewed = true;
	j->not_before = 0;
	return call_goto(c, c->step);
}

/* What is the same for every request: the refusals and failures. */
static enum verdict not_answered(struct call *c, struct job *j, const struct reading *r)
{
	struct statement *s = call_statement(c);

	switch (r->meaning) {
	case MEANS_AUTH:
		return renew(c, j, r);
	case MEANS_CANCELLED:
		s->failure = (struct failure){r->err, r->code, r->sqlstate, r->message};
		return end_cancelled(c);
	case MEANS_FAILED:
		return fail(c, r);
	case MEANS_BUSY:
	case MEANS_TRANSIENT:
	case MEANS_RESULT:
	case MEANS_RUNNING:
		break;
	}
	return try_again(c, j, r);
}

/* ---- sign and submit ---- */

enum verdict step_sign(struct call *c)
{
	struct job *j = job_enter(c);
	struct statement *s = call_statement(c);
	struct token_view token;
	const char *why = NULL;

	if (j->cancelled && s->kind != STATEMENT_CANCEL)
		return end_cancelled(c);
	if (!s->request_id[0])
		crypt_uuid(s->request_id);
	s->sent = clock_now();
	begin_request(j, s);
	if (s->kind == STATEMENT_RUN)
		notice(c, LEVEL_DEBUG, "submitting statement %zu of %zu", c->plan_at + 1, c->plan_n);
	if (token_get(c->request->policy->connection, &token, &why)) {
		const char *name = c->request->policy->connection->name;
		return fail_with(
		    c, ERR_UPSTREAM_AUTH,
		    arena_printf(c->arena, "connection %s: %s; check snowflake.connections.%s", name, why, name));
	}
	if (s->kind != STATEMENT_RUN)
		s->state = STATEMENT_RUNNING;
	return call_goto(c, s->kind == STATEMENT_RUN ? STEP_submit : STEP_poll);
}

static bool goes_async(const struct call *c, const struct statement *s)
{
	return !s->metadata && conf_of(c)->snowflake_submit == SUBMIT_ASYNC;
}

static bool fill_submit(const struct call *c, struct job *j, const struct statement *s)
{
	struct buf tag = buf_with_ceiling(2048);
	bool fine;

	set_path(j, "/api/v2/statements?requestId=%s%s%s", s->request_id, goes_async(c, s) ? "&async=true" : "",
		 s->write || s->tries || j->perhaps ? "&retry=true" : "");
	buf_clear(&j->request.body);
	buf_addf(&tag, "%s:%s", conf_of(c)->snowflake_query_tag, c->request->principal.subject);
	fine = statement_body(&j->request.body, s, buf_text(&tag));
	buf_free(&tag);
	return fine;
}

/* A call cancelled before anything was sent is never sent; one that may have been sent is asked for its handle. */
enum verdict step_submit(struct call *c)
{
	struct job *j = job_enter(c);
	struct statement *s = call_statement(c);

	if (j->cancelled && !j->perhaps)
		return end_cancelled(c);
	if (clock_now() < j->not_before)
		return wait_until(c, j->not_before);
	if (!fill_submit(c, j, s))
		return fail_with(c, ERR_NOMEM, NULL);
	s->state = STATEMENT_SENT;
	return send(c, j, WIRE_SUBMIT, conf_of(c)->snowflake_request_timeout + (goes_async(c, s) ? 0 : SYNC_HOLD));
}

static enum verdict submit_done(struct call *c, struct job *j, struct reading *r)
{
	struct statement *s = call_statement(c);

	if (r->handle[0])
		memcpy(s->handle, r->handle, sizeof s->handle);
	if (r->meaning == MEANS_RUNNING && !s->handle[0]) {
		*r = (struct reading){.meaning = MEANS_TRANSIENT, .err = ERR_UPSTREAM_ANSWER, .perhaps = true};
		r->message = "Snowflake took the statement and gave no handle; try again";
	}
	if (r->meaning != MEANS_RESULT && r->meaning != MEANS_RUNNING) {
		j->perhaps |= r->perhaps;
		return not_answered(c, j, r);
	}
	j->perhaps = true;
	s->state = STATEMENT_RUNNING;
	if (r->meaning == MEANS_RESULT)
		return to_decode(c, j, 0);
	begin_request(j, s);
	notice(c, LEVEL_INFO, "running as query %s", s->handle);
	return go(c, j, s->write ? STEP_handle : STEP_poll);
}

/* ---- poll and cancel ---- */

static bool wants_cancel(const struct job *j, const struct statement *s)
{
	if (s->kind == STATEMENT_CANCEL)
		return true;
	return s->kind == STATEMENT_RUN && (j->cancelled || j->overdue) && j->cancel_tries < CANCEL_TRIES;
}

static enum verdict send_cancel(struct call *c, struct job *j, struct statement *s)
{
	s->cancel_sent = true;
	set_path(j, "/api/v2/statements/%s/cancel?requestId=%s", s->handle, s->request_id);
	buf_clear(&j->request.body);
	return send(c, j, WIRE_CANCEL, conf_of(c)->snowflake_request_timeout);
}

static enum verdict send_poll(struct call *c, struct job *j, struct statement *s)
{
	enum verdict v;

	set_path(j, "/api/v2/statements/%s?requestId=%s", s->handle, s->request_id);
	buf_clear(&j->request.body);
	v = send(c, j, WIRE_POLL, conf_of(c)->snowflake_request_timeout);
	if (v == WAIT && may_answer_early(c, j, s))
		(void)wait_until(c, c->deadline);
	return v;
}

static enum verdict overdue(struct call *c)
{
	if (call_statement(c)->kind == STATEMENT_ATTACH)
		return end(c, STATEMENT_RUNNING);
	return fail_with(c, call_statement(c)->write ? ERR_UPSTREAM : ERR_TIMEOUT,
			 "the statement went beyond its time limit and Snowflake did not confirm its end");
}

/* The next moment at which poll has something to do. */
static usec_t next_moment(const struct call *c, const struct job *j, const struct statement *s)
{
	bool counts = may_answer_early(c, j, s) || (s->kind == STATEMENT_ATTACH && c->deadline && s->polls);

	return counts && c->deadline < j->not_before ? c->deadline : j->not_before;
}

enum verdict step_poll(struct call *c)
{
	struct job *j = job_enter(c);
	struct statement *s = call_statement(c);
	usec_t now = clock_now();

	if (s->kind == STATEMENT_ATTACH && (j->cancelled || (s->polls && c->deadline && now >= c->deadline)))
		return end(c, STATEMENT_RUNNING);
	if (may_answer_early(c, j, s) && now >= c->deadline)
		answer_early(c, j, s);
	if (!j->overdue && now >= s->sent + longest_life(c, s) + OVERDUE_AFTER) {
		j->overdue = true;
		j->not_before = 0;
		j->cancel_tries = 0;
	}
	if (j->overdue && !wants_cancel(j, s))
		return overdue(c);
	if (now < j->not_before)
		return wait_until(c, next_moment(c, j, s));
	return wants_cancel(j, s) ? send_cancel(c, j, s) : send_poll(c, j, s);
}

static enum verdict poll_done(struct call *c, struct job *j, struct reading *r)
{
	struct statement *s = call_statement(c);

	if (r->meaning != MEANS_RUNNING && r->meaning != MEANS_RESULT)
		return not_answered(c, j, r);
	if (r->meaning == MEANS_RESULT)
		return j->early || j->cancelled ? end(c, STATEMENT_SUCCEEDED) : to_decode(c, j, 0);
	begin_request(j, s);
	s->polls += j->request.status == 429 ? 2 : 1;
	j->not_before = clock_now() + poll_delay_ms(s->polls) * USEC_PER_MS;
	if (j->request.retry_after_s > 0 && j->request.retry_after_s <= 60)
		j->not_before = clock_now() + j->request.retry_after_s * USEC_PER_S;
	return call_goto(c, STEP_poll);
}

/* Snowflake says that the statement is cancelled, or that it has never heard of it. */
static bool is_confirmed(const struct reading *r)
{
	return r->meaning == MEANS_CANCELLED || r->err == ERR_HANDLE ||
	       (r->meaning == MEANS_RESULT && (!r->code || !strcmp(r->code, "000604")));
}

static enum verdict cancel_confirmed(struct call *c, struct job *j)
{
	struct statement *s = call_statement(c);

	if (s->kind == STATEMENT_RUN || j->request.status == 200)
		metric_count(METRIC_statements_cancelled, NULL);
	if (j->overdue && !j->cancelled)
		return fail_with(c, ERR_TIMEOUT, "the statement went beyond its time limit and was cancelled");
	return end_cancelled(c);
}

/* Not confirmed: again, and after the last try the statement is polled to its end. */
static enum verdict cancel_done(struct call *c, struct job *j, struct reading *r)
{
	struct statement *s = call_statement(c);

	if (r->meaning == MEANS_AUTH && !j->renewed)
		return renew(c, j, r);
	if (s->kind == STATEMENT_CANCEL && r->err == ERR_HANDLE)
		return fail(c, r);
	if (is_confirmed(r))
		return cancel_confirmed(c, j);
	j->cancel_tries++;
	if (s->kind == STATEMENT_CANCEL && (r->meaning == MEANS_FAILED || j->cancel_tries >= CANCEL_TRIES))
		return r->err ? fail(c, r) : fail_with(c, ERR_UPSTREAM_ANSWER, NULL);
	j->not_before = clock_now() + (r->meaning == MEANS_FAILED ? 0 : next_backoff(j));
	if (r->meaning == MEANS_FAILED)
		j->cancel_tries = CANCEL_TRIES;
	return call_goto(c, STEP_poll);
}

/* ---- fetch ---- */

static enum verdict send_fetch(struct call *c, struct job *j, struct statement *s)
{
	notice(c, LEVEL_DEBUG, "fetching partition %zu of %zu", s->next_partition + 1, s->partitions_n);
	set_path(j, "/api/v2/statements/%s?requestId=%s&partition=%zu", s->handle, s->request_id, s->next_partition);
	buf_clear(&j->request.body);
	return send(c, j, WIRE_FETCH, conf_of(c)->snowflake_request_timeout);
}

/* decode could not read the answer: the same once more. Without a handle that is the submission (retry=true gives its
 * stored answer). */
static enum verdict reread(struct call *c, struct job *j, struct statement *s)
{
	struct reading r = {.meaning = MEANS_TRANSIENT, .err = s->raw_fault, .perhaps = true};

	s->raw_fault = ERR_OK;
	if (r.err != ERR_UPSTREAM_ANSWER)
		return fail_with(c, r.err, "the result needs more memory than one call may have; ask for fewer rows");
	metric_count(METRIC_upstream_failures, "body");
	r.message =
	    "Snowflake's answer is not a result as its SQL API documents it; try again, and check that no proxy "
	    "answers in its place";
	c->step = s->raw_partition ? STEP_fetch : s->handle[0] ? STEP_poll : STEP_submit;
	return try_again(c, j, &r);
}

enum verdict step_fetch(struct call *c)
{
	struct job *j = job_enter(c);
	struct statement *s = call_statement(c);

	if (s->raw_fault)
		return reread(c, j, s);
	if (j->cancelled || s->next_partition >= s->partitions_n)
		return end(c, STATEMENT_SUCCEEDED);
	if (clock_now() < j->not_before)
		return wait_until(c, j->not_before);
	if (!s->handle[0])
		return fail_with(c, ERR_UPSTREAM_ANSWER, "Snowflake gave no handle to fetch the rest of the rows with");
	if (!results_take(1))
		return fail_with(
		    c, ERR_NOMEM,
		    "the gateway holds as many results as it may; try again in a moment or ask for fewer rows");
	results_give(1);
	return send_fetch(c, j, s);
}

static enum verdict fetch_done(struct call *c, struct job *j, struct reading *r)
{
	if (r->meaning != MEANS_RESULT)
		return not_answered(c, j, r);
	return to_decode(c, j, call_statement(c)->next_partition);
}

/* ---- events ---- */

static void on_done(struct wire_request *rq)
{
	static enum verdict (*const done[])(struct call *, struct job *,
					    struct reading *) = {[WIRE_SUBMIT] = submit_done,
								 [WIRE_POLL] = poll_done,
								 [WIRE_FETCH] = fetch_done,
								 [WIRE_CANCEL] = cancel_done};
	struct job *j = rq->owner;
	struct call *c = j->call;
	struct reading r;
	enum wire_op op = rq->op;

	OWNED_BY(THREAD_SNOWFLAKE);
	CHECK(j, JOB_MAGIC);
	sent_is_over(j);
	answer_read(j, &r);
	if (r.meaning != MEANS_RESULT)
		drop_answer(j);
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
		abort_request(j);
	timer_stop(&c->timer);
	j->not_before = 0;
	call_run(c);
}
