/* The POST of a statement, and what Snowflake answers to it: a handle, or the result at once. */
#include "internal.h"

#include <string.h>

#include "snowgate/kill.h"

/* Snowflake may hold a synchronous request so long before it answers 202 (A.1). */
#define SYNC_HOLD (45 * USEC_PER_S)

static bool goes_async(const struct call *c, const struct statement *s)
{
	return !s->metadata && call_conf(c)->snowflake_submit == SUBMIT_ASYNC;
}

static bool fill_submit(const struct call *c, struct job *j, const struct statement *s)
{
	struct buf tag = buf_with_ceiling(16384);
	bool fine;

	request_path(j, "/api/v2/statements?requestId=%s%s%s", s->request_id, goes_async(c, s) ? "&async=true" : "",
		     s->write || s->tries || j->perhaps || c->op.shared || c->op.version ? "&retry=true" : "");
	buf_clear(&j->request.body);
	fine = statement_tag(&tag, c, s) && statement_body(&j->request.body, s, buf_text(&tag));
	buf_free(&tag);
	return fine;
}

/* Another process may take the operation over soon, and send its statement: first this one says again that it holds it.
 */
static bool lease_short(const struct call *c, const struct job *j, const struct statement *s)
{
	return c->op.lease_end && !j->perhaps && s == &c->plan[0] && s->kind == STATEMENT_RUN && !s->metadata &&
	       clock_now() > c->op.lease_end - call_conf(c)->store_lease / 2;
}

/* A call cancelled before anything was sent is never sent; one that may have been sent is asked for its handle. */
enum verdict step_submit(struct call *c)
{
	struct job *j = job_enter(c);
	struct statement *s = call_statement(c);

	if (j->cancelled && (!j->perhaps || s->kind == STATEMENT_REST))
		return statement_end_cancelled(c);
	if (clock_now() < j->not_before)
		return statement_wait(c, j->not_before);
	if (s->kind == STATEMENT_REST)
		return rest_submit(c, j, s);
	if (lease_short(c, j, s))
		return statement_go(c, j, STEP_intent);
	if (!fill_submit(c, j, s))
		return statement_fail_with(c, ERR_NOMEM, NULL);
	s->state = STATEMENT_SENT;
	if (s->write)
		KILL_POINT(post_before);
	return request_send(c, j, WIRE_SUBMIT,
			    call_conf(c)->snowflake_request_timeout + (goes_async(c, s) ? 0 : SYNC_HOLD));
}

enum verdict submit_done(struct call *c, struct job *j, struct reading *r)
{
	struct statement *s = call_statement(c);

	if (s->write && r->handle[0])
		KILL_POINT(post_answered);
	if (r->handle[0])
		memcpy(s->handle, r->handle, sizeof s->handle);
	if (r->meaning == MEANS_RUNNING && !s->handle[0]) {
		*r = (struct reading){.meaning = MEANS_TRANSIENT, .err = ERR_UPSTREAM_ANSWER, .perhaps = true};
		r->message = "Snowflake took the statement and gave no handle; try again";
	}
	if (r->meaning != MEANS_RESULT && r->meaning != MEANS_RUNNING) {
		j->perhaps |= r->perhaps;
		return request_failed(c, j, r);
	}
	j->perhaps = true;
	s->state = STATEMENT_RUNNING;
	if (r->meaning == MEANS_RESULT)
		return fetch_decode(c, j, 0);
	request_begin(j, s);
	notice(c, LEVEL_INFO, "running as query %s", s->handle);
	return statement_go(c, j, s->write || c->op.version ? STEP_handle : STEP_poll);
}
