/* What the tests of methods other than tools/call share. */
#ifndef SNOWGATE_TEST_TOOLS_HELP_METHODS_H
#define SNOWGATE_TEST_TOOLS_HELP_METHODS_H

#include "help.h"

/* A request for this method with these params (JSON) of alice's, or of another principal's, in the context
 * SALES.PUBLIC. */
UNUSED static struct call *help_method_of(const char *subject, enum method_id method, const char *name,
					  const char *params)
{
	struct request *rq = request_new(&conf, 16 << 20);
	struct call *c;
	char fault[160];

	rq->policy = &policy;
	rq->principal = (struct principal){.kind = PRINCIPAL_KEY};
	snprintf(rq->principal.subject, sizeof rq->principal.subject, "%s", subject);
	c = call_new(rq);
	c->revision = REVISION_2025_11_25;
	c->method = method;
	c->rpc.method = name;
	c->handler = method_handler(method);
	assert_non_null(c->handler);
	c->context = (struct context){.database = "SALES", .schema = "PUBLIC", .warehouse = "WH_XS", .role = "ANALYST"};
	if (json_parse(slice_of(params), 32, &c->rpc.params, fault, sizeof fault) != JSON_OK)
		fail_msg("%s", fault);
	assert_true(arena_attach(c->arena, c->rpc.params, json_release));
	return c;
}

UNUSED static struct call *help_method(enum method_id method, const char *name, const char *params)
{
	return help_method_of("alice", method, name, params);
}

/* Plans; it must succeed. */
UNUSED static void help_planned(struct call *c, size_t statements)
{
	if (c->handler->plan(c) != ERR_OK)
		fail_msg("refused: %s", c->fault.message);
	assert_int_equal(c->fault.err, ERR_OK);
	assert_int_equal(c->plan_n, statements);
}

/* Plans; it must be refused with this error and a message that holds `says`. Ends the call. */
UNUSED static void help_fault(struct call *c, enum err err, const char *says)
{
	assert_int_equal(c->handler->plan(c), err);
	assert_int_equal(c->fault.err, err);
	if (!strstr(c->fault.message, says))
		fail_msg("\"%s\" lacks \"%s\"", c->fault.message, says);
	assert_int_equal(c->plan_n, 0);
	assert_false(c->answer.is_error);
	call_free(c);
}

/* Statement `i` has succeeded with these columns ("a,b") and rows (a JSON array of arrays of texts). */
UNUSED static void help_rows(struct call *c, size_t i, const char *columns, json_t *rows)
{
	struct statement *s = &c->plan[i];
	char *names = arena_strdup(c->arena, columns), *rest = names, *name;

	assert_non_null(names);
	assert_true(arena_attach(c->arena, rows, json_release));
	s->columns = arena_alloc(c->arena, 16 * sizeof *s->columns);
	while ((name = strsep(&rest, ",")))
		s->columns[s->columns_n++] = (struct column){
		    .name = name, .type = "TEXT", .kind = COLUMN_TEXT, .nullable = true, .precision = -1, .scale = -1};
	s->state = STATEMENT_SUCCEEDED;
	s->total_rows = json_array_size(rows);
	help_fill(c, s, 0, rows);
}

UNUSED static void help_rows_text(struct call *c, size_t i, const char *columns, const char *rows)
{
	json_t *value;

	assert_int_equal(json_parse(slice_of(rows), 8, &value, NULL, 0), JSON_OK);
	help_rows(c, i, columns, value);
}

UNUSED static void help_failed(struct call *c, size_t i, enum err err, const char *code, const char *message)
{
	c->plan[i].state = STATEMENT_FAILED;
	c->plan[i].failure = (struct failure){err, code, NULL, message};
}

/* Answers, as the threads do it one after the other. */
UNUSED static void help_answered(struct call *c)
{
	c->handler->answer(c);
	if (c->handler->settle)
		c->handler->settle(c);
}

/* Answers; the result, which lives as long as the call. */
UNUSED static const json_t *help_answer(struct call *c)
{
	json_t *result;

	help_answered(c);
	if (c->fault.err != ERR_OK)
		fail_msg("fault: %s", c->fault.message);
	assert_int_equal(json_parse(buf_slice(&c->result), JSON_DEPTH_MAX, &result, NULL, 0), JSON_OK);
	assert_true(arena_attach(c->arena, result, json_release));
	assert_int_equal(c->answer.text.n, 0);
	return result;
}

/* Answers; it must be a fault. */
UNUSED static void help_answer_fault(struct call *c, enum err err, const char *says)
{
	help_answered(c);
	assert_int_equal(c->fault.err, err);
	if (!strstr(c->fault.message, says))
		fail_msg("\"%s\" lacks \"%s\"", c->fault.message, says);
	assert_int_equal(c->result.n, 0);
	assert_false(c->answer.is_error);
	assert_int_equal(c->answer.text.n, 0);
}

#endif
