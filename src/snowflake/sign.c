/* Before anything is sent: a request id, and a token at hand. */
#include "internal.h"

#include "snowgate/crypt.h"

/* Is there, or may there be, something at Snowflake to cancel? What may be is asked for its handle first; a write is
 * not, since asking would send one that never went out. */
static bool may_run(const struct statement *s)
{
	return s->kind == STATEMENT_RUN && (s->handle[0] || (s->again && !s->write));
}

enum verdict step_sign(struct call *c)
{
	struct job *j = job_enter(c);
	struct statement *s = call_statement(c);
	enum token_state state;
	const char *message;
	usec_t began;

	if (j->cancelled && s->kind != STATEMENT_CANCEL && !may_run(s))
		return statement_end_cancelled(c);
	if (clock_now() < j->not_before)
		return statement_wait(c, j->not_before);
	if (!s->sent)
		s->sent = clock_now();
	state = job_token(j, &j->request, &message);
	if (state == TOKEN_WAIT)
		return request_token_wait(c, j);
	if (state == TOKEN_LATER)
		return request_token_late(c, j, message);
	if (!s->request_id[0])
		crypt_uuid(s->request_id);
	began = s->sent;
	s->sent = clock_now();
	request_begin(j, s);
	if (began < s->sent)
		j->pooled.began = began;
	if (state == TOKEN_FAILED)
		return statement_fail_with(c, ERR_UPSTREAM_AUTH, message);
	j->perhaps |= s->again;
	if (s->kind == STATEMENT_RUN && !s->handle[0])
		notice(c, LEVEL_DEBUG, "submitting statement %zu of %zu", c->plan_at + 1, c->plan_n);
	j->found = s->handle[0];
	if ((s->kind == STATEMENT_RUN && !s->handle[0]) || s->kind == STATEMENT_REST)
		return call_goto(c, STEP_submit);
	s->state = STATEMENT_RUNNING;
	return call_goto(c, STEP_poll);
}
