/* Arguments become a plan of statements, and the plan's outcome an answer; the tools do both. */
#include "gateway_internal.h"

enum step resolve_step(const struct call *c)
{
	const struct handler *h = method_handler(c->method);

	return c->request->body.n > CALL_LARGE && !(h && h->plan_on_net) ? STEP_resolve_large : STEP_resolve;
}

static enum verdict resolve_planned(struct call *c)
{
	int rc;

	c->asks_n = 0;
	rc = c->handler->plan(c);
	if (rc != ERR_OK) {
		if (c->tool)
			metric_count(METRIC_sql_rejected, NULL);
		return call_goto(c, STEP_settle);
	}
	if (c->asks_n > 0)
		return call_goto(c, STEP_ask);
	if (call_takes_task(c) && c->plan_n && c->plan[0].kind == STATEMENT_RUN && !c->plan[0].metadata)
		c->deadline = 0; /* it becomes a task before it would be `running` */
	if (c->op.again && !adopt_planned(c))
		return call_goto(c, STEP_settle);
	return call_goto(c, c->plan_n > 0 ? STEP_admit : STEP_settle);
}

/* The arguments against the schema as this principal sees it. */
static enum verdict resolve_checked(struct call *c, const json_t *schema)
{
	const char *why;

	if (c->era.era == ERA_MODERN &&
	    modern_check_params(c->arena, schema, c->arguments, &c->request->mcp, &c->fault) != ERR_OK)
		return call_goto(c, STEP_reply);
	if (!schema_check(c->arena, schema, c->arguments, &why)) {
		tool_error(c, ERR_INVALID_PARAMS, NULL, NULL, "%s", why);
		return call_goto(c, STEP_settle);
	}
	return resolve_planned(c);
}

static enum verdict resolve_tool(struct call *c)
{
	const struct request *rq = c->request;
	json_t *arguments = json_object_get(c->rpc.params, "arguments");
	const char *name = json_text_of(c->rpc.params, "name");

	c->tool = tool_called(rq->policy, name, arguments);
	if (!c->tool)
		return call_fail(c, ERR_INVALID_PARAMS, "unknown tool %.100s; %s", name, tool_advice(name));
	c->handler = &c->tool->handler;
	c->arguments = arguments ? json_incref(arguments) : json_object();
	if (!arena_attach(c->arena, c->arguments, json_release))
		return call_fail(c, ERR_NOMEM, "the arguments are too large");
	return resolve_checked(c, tool_schema(rq->policy, c->tool, c->by_header));
}

enum verdict step_resolve(struct call *c)
{
	bool has_answers = c->within || (c->op.again && c->answers);

	if (c->era.era == ERA_MODERN && !has_answers && ask_resume(c) != ERR_OK)
		return call_goto(c, STEP_reply);
	if (c->method == MCP_TOOLS_CALL)
		return resolve_tool(c);
	c->handler = method_handler(c->method);
	return resolve_planned(c);
}

enum verdict step_resolve_large(struct call *c)
{
	return step_resolve(c);
}

/* Has the handler found in the answers that there is more to ask for? */
static bool shape_goes_on(struct call *c)
{
	size_t planned = c->plan_n;

	if (!c->handler->more || c->cancelled || c->answered)
		return false;
	for (size_t i = 0; i < c->plan_n; i++)
		if (c->plan[i].state != STATEMENT_SUCCEEDED)
			return false;
	return c->handler->more(c) == ERR_OK && c->plan_n > planned;
}

enum verdict step_shape(struct call *c)
{
	if (shape_goes_on(c)) {
		c->plan_at++;
		return call_goto(c, STEP_sign);
	}
	if (c->answer.is_error) /* refused on the way */
		return call_goto(c, STEP_settle);
	if (c->change.wanted)
		c->handler->confirm(c);
	else if (!c->handler->answer_on_net)
		c->handler->answer(c);
	return call_goto(c, STEP_settle);
}

enum verdict step_shape_large(struct call *c)
{
	return step_shape(c);
}
