/* What every statement shares: its ends, its clock, and the way to its next step. */
#include "internal.h"

/* A row of the gateway's own statements is about so long. */
#define OWN_ROW 128
/* Without a limit of its own a statement may run so long (A.3). */
#define LONGEST_S (7 * 24 * 3600)

usec_t statement_life(const struct call *c, const struct statement *s)
{
	int64_t seconds = s->timeout_s > 0 ? s->timeout_s : LONGEST_S;

	if (s->kind != STATEMENT_RUN)
		return call_conf(c)->snowflake_statement_timeout;
	return seconds * USEC_PER_S;
}

/* ---- ends ---- */

static enum verdict next_statement(struct call *c, struct job *j, struct statement *s)
{
	s[1].job = TAKE(s->job);
	c->plan_at++;
	request_begin(j, &s[1]);
	j->perhaps = false;
	return call_goto(c, STEP_sign);
}

/* Bytes that the answer is made of. */
static size_t shape_size(const struct statement *s)
{
	if (s->kind == STATEMENT_REST)
		return s->raw.n + s->collected;
	return s->metadata ? s->rows_n * OWN_ROW : s->text.n;
}

enum verdict statement_end(struct call *c, enum statement_state state)
{
	struct statement *s = call_statement(c);
	struct job *j = s->job;
	size_t n = 0;

	s->state = state;
	fetch_end(c, j, s);
	if (state == STATEMENT_SUCCEEDED && !j->cancelled && !j->early && c->plan_at + 1 < c->plan_n)
		return next_statement(c, j, s);
	c->cancelled |= j->cancelled;
	s->job = NULL;
	job_free(j);
	for (size_t i = 0; i < c->plan_n; i++)
		n += shape_size(&c->plan[i]);
	return call_goto(c, n > CALL_LARGE ? STEP_shape_large : STEP_shape);
}

enum verdict statement_end_cancelled(struct call *c)
{
	struct statement *s = call_statement(c);

	if (!s->failure.err)
		s->failure = (struct failure){.err = ERR_CANCELLED, .message = "the statement was cancelled"};
	return statement_end(c, STATEMENT_CANCELLED);
}

static bool is_verdict(enum err err)
{
	return err == ERR_SQL || err == ERR_TIMEOUT;
}

/* Only Snowflake's own verdict says that a write that was sent did not happen. */
enum verdict statement_fail(struct call *c, const struct reading *r)
{
	struct statement *s = call_statement(c);
	const char *text;

	s->failure = (struct failure){r->err, r->code, r->sqlstate, r->message};
	if (!s->write || s->kind != STATEMENT_RUN || !s->job->perhaps || is_verdict(r->err))
		return statement_end(c, STATEMENT_FAILED);
	text = arena_printf(c->arena,
			    "whether the statement ran is unknown: %s. Before it is sent again, look for %s %s in "
			    "QUERY_HISTORY or at the data",
			    r->message, s->handle[0] ? "query" : "request", s->handle[0] ? s->handle : s->request_id);
	s->failure.err = ERR_OUTCOME_UNKNOWN;
	s->failure.message = text ? text : err_info(ERR_OUTCOME_UNKNOWN)->text;
	return statement_end(c, STATEMENT_UNKNOWN);
}

enum verdict statement_fail_with(struct call *c, enum err err, const char *message)
{
	struct reading r = {.err = err, .message = message ? message : err_info(err)->text};

	return statement_fail(c, &r);
}

/* ---- time ---- */

bool statement_may_answer_early(const struct call *c, const struct job *j, const struct statement *s)
{
	return s->kind == STATEMENT_RUN && s->state == STATEMENT_RUNNING && c->step == STEP_poll && !c->answered &&
	       !s->metadata && c->deadline && !j->cancelled && !j->early &&
	       !*c->op.task; /* that one has no such answer */
}

/* The caller's patience is over: it gets `running` now, and the call stays until its statement is terminal. */
void statement_answer_early(struct call *c, struct job *j, struct statement *s)
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
	else if (statement_may_answer_early(c, j, s) && clock_now() >= c->deadline)
		statement_answer_early(c, j, s);
}

enum verdict statement_wait(struct call *c, usec_t when)
{
	c->timer.fire = on_timer;
	timer_set(snowflake.wheel, &c->timer, when);
	return WAIT;
}

/* The call goes on at a step of another thread, or here. */
enum verdict statement_go(struct call *c, struct job *j, enum step next)
{
	if (step_thread(next) != THREAD_SNOWFLAKE)
		job_away(j);
	return call_goto(c, next);
}
