/* One request to another endpoint of the account: JSON there, JSON back. */
#include "internal.h"

/* Sends s->path and s->body; the answer comes to rest_done(). */
enum verdict rest_submit(struct call *c, struct job *j, struct statement *s)
{
	request_path(j, "%s", s->path);
	buf_clear(&j->request.body);
	if (!buf_adds(&j->request.body, s->body))
		return statement_fail_with(c, ERR_NOMEM, NULL);
	s->state = STATEMENT_RUNNING;
	return request_send(c, j, WIRE_REST, call_conf(c)->snowflake_request_timeout);
}

enum verdict rest_done(struct call *c, struct job *j, struct reading *r)
{
	struct statement *s = call_statement(c);

	if (r->meaning != MEANS_RESULT)
		return request_failed(c, j, r);
	buf_free(&s->raw);
	s->raw = j->request.answer;
	j->request.answer = buf_with_ceiling(RESULT_CEILING);
	j->held += j->request.held;
	j->request.held = 0;
	return statement_end(c, STATEMENT_SUCCEEDED);
}
