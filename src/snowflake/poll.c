/* A statement that runs: asked for its state until it ends, and cancelled where nobody wants it. */
#include "internal.h"

#include <string.h>

/* Snowflake ends a statement at its timeout; beyond that and this much, nobody waits for it. */
#define OVERDUE_AFTER (60 * USEC_PER_S)

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

static bool wants_cancel(const struct job *j, const struct statement *s)
{
	if (s->kind == STATEMENT_CANCEL)
		return true;
	return s->kind == STATEMENT_RUN && (j->cancelled || j->overdue) && j->cancel_tries < CANCEL_TRIES;
}

static enum verdict send_cancel(struct call *c, struct job *j, struct statement *s)
{
	s->cancel_sent = true;
	request_path(j, "/api/v2/statements/%s/cancel?requestId=%s", s->handle, s->request_id);
	buf_clear(&j->request.body);
	return request_send(c, j, WIRE_CANCEL, call_conf(c)->snowflake_request_timeout);
}

static enum verdict send_poll(struct call *c, struct job *j, struct statement *s)
{
	enum verdict v;

	request_path(j, "/api/v2/statements/%s?requestId=%s", s->handle, s->request_id);
	buf_clear(&j->request.body);
	v = request_send(c, j, WIRE_POLL, call_conf(c)->snowflake_request_timeout);
	if (v == WAIT && statement_may_answer_early(c, j, s))
		(void)statement_wait(c, c->deadline);
	return v;
}

static enum verdict overdue(struct call *c)
{
	if (call_statement(c)->kind == STATEMENT_ATTACH)
		return statement_end(c, STATEMENT_RUNNING);
	return statement_fail_with(c, call_statement(c)->write ? ERR_UPSTREAM : ERR_TIMEOUT,
				   "the statement went beyond its time limit and Snowflake did not confirm its end");
}

/* The next moment at which poll has something to do. */
static usec_t next_moment(const struct call *c, const struct job *j, const struct statement *s)
{
	bool counts = statement_may_answer_early(c, j, s) || (s->kind == STATEMENT_ATTACH && c->deadline && s->polls);

	return counts && c->deadline < j->not_before ? c->deadline : j->not_before;
}

enum verdict step_poll(struct call *c)
{
	struct job *j = job_enter(c);
	struct statement *s = call_statement(c);
	usec_t now = clock_now();

	if (s->kind == STATEMENT_ATTACH && !j->cancelled && !s->polls && !s->reader && park_take(c, j, s))
		return call_goto(c, STEP_fetch);
	if (s->kind == STATEMENT_ATTACH && (j->cancelled || (s->polls && c->deadline && now >= c->deadline)))
		return statement_end(c, STATEMENT_RUNNING);
	if (statement_may_answer_early(c, j, s) && now >= c->deadline)
		statement_answer_early(c, j, s);
	if (!j->overdue && now >= s->sent + statement_life(c, s) + OVERDUE_AFTER) {
		j->overdue = true;
		j->not_before = 0;
		j->cancel_tries = 0;
	}
	if (j->overdue && !wants_cancel(j, s))
		return overdue(c);
	if (now < j->not_before)
		return statement_wait(c, next_moment(c, j, s));
	return wants_cancel(j, s) ? send_cancel(c, j, s) : send_poll(c, j, s);
}

enum verdict poll_done(struct call *c, struct job *j, struct reading *r)
{
	struct statement *s = call_statement(c);

	if (r->meaning != MEANS_RUNNING && r->meaning != MEANS_RESULT)
		return request_failed(c, j, r);
	if (r->meaning == MEANS_RESULT)
		return j->early || j->cancelled ? statement_end(c, STATEMENT_SUCCEEDED) : fetch_decode(c, j, 0);
	request_begin(j, s);
	if (j->found)
		notice(c, LEVEL_INFO, "running as query %s", s->handle);
	j->found = false;
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
		return statement_fail_with(c, ERR_TIMEOUT,
					   "the statement went beyond its time limit and was cancelled");
	return statement_end_cancelled(c);
}

/* Not confirmed: again, and after the last try the statement is polled to its end. */
enum verdict cancel_done(struct call *c, struct job *j, struct reading *r)
{
	struct statement *s = call_statement(c);

	if (r->meaning == MEANS_AUTH && !j->renewed)
		return request_renew(c, j, r);
	if (s->kind == STATEMENT_CANCEL && r->err == ERR_HANDLE)
		return statement_fail(c, r);
	if (is_confirmed(r))
		return cancel_confirmed(c, j);
	j->cancel_tries++;
	if (s->kind == STATEMENT_CANCEL && (r->meaning == MEANS_FAILED || j->cancel_tries >= CANCEL_TRIES))
		return r->err ? statement_fail(c, r) : statement_fail_with(c, ERR_UPSTREAM_ANSWER, NULL);
	j->not_before = clock_now() + (r->meaning == MEANS_FAILED ? 0 : request_backoff(j));
	if (r->meaning == MEANS_FAILED)
		j->cancel_tries = CANCEL_TRIES;
	return call_goto(c, STEP_poll);
}
