/* The rows of a statement that has ended: partition by partition, each to decode. */
#include "internal.h"

/* The answer becomes what decode reads. */
enum verdict fetch_decode(struct call *c, struct job *j, size_t partition)
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
	return statement_go(c, j, s->raw.n > CALL_LARGE ? STEP_decode_large : STEP_decode);
}

static enum verdict send_fetch(struct call *c, struct job *j, struct statement *s)
{
	notice(c, LEVEL_DEBUG, "fetching partition %zu of %zu", s->next_partition + 1, s->partitions_n);
	request_path(j, "/api/v2/statements/%s?requestId=%s&partition=%zu", s->handle, s->request_id,
		     s->next_partition);
	buf_clear(&j->request.body);
	return request_send(c, j, WIRE_FETCH, call_conf(c)->snowflake_request_timeout);
}

/* decode could not read the answer: the same once more. Without a handle that is the submission (retry=true gives its
 * stored answer). */
static enum verdict reread(struct call *c, struct job *j, struct statement *s)
{
	struct reading r = {.meaning = MEANS_TRANSIENT, .err = s->raw_fault, .perhaps = true};

	s->raw_fault = ERR_OK;
	if (r.err != ERR_UPSTREAM_ANSWER)
		return statement_fail_with(c, r.err,
					   "the result needs more memory than one call may have; ask for fewer rows");
	metric_count(METRIC_upstream_failures, "body");
	r.message =
	    "Snowflake's answer is not a result as its SQL API documents it; try again, and check that no proxy "
	    "answers in its place";
	c->step = s->raw_partition ? STEP_fetch : s->handle[0] ? STEP_poll : STEP_submit;
	return request_again(c, j, &r);
}

enum verdict step_fetch(struct call *c)
{
	struct job *j = job_enter(c);
	struct statement *s = call_statement(c);

	if (s->raw_fault)
		return reread(c, j, s);
	if (j->cancelled || s->next_partition >= s->partitions_n)
		return statement_end(c, STATEMENT_SUCCEEDED);
	if (clock_now() < j->not_before)
		return statement_wait(c, j->not_before);
	if (!s->handle[0])
		return statement_fail_with(c, ERR_UPSTREAM_ANSWER,
					   "Snowflake gave no handle to fetch the rest of the rows with");
	if (!results_take(1))
		return statement_fail_with(
		    c, ERR_NOMEM,
		    "the gateway holds as many results as it may; try again in a moment or ask for fewer rows");
	results_give(1);
	return send_fetch(c, j, s);
}

enum verdict fetch_done(struct call *c, struct job *j, struct reading *r)
{
	if (r->meaning != MEANS_RESULT)
		return request_failed(c, j, r);
	return fetch_decode(c, j, call_statement(c)->next_partition);
}
