/* A message meets its session and its principal here; what needs no statement is answered on the spot. */
#include "gateway_internal.h"

#include "snowgate/policy.h"

#include <string.h>

#define LIST_TTL_MS (5 * 60 * 1000) /* how long a client may keep a list: policies change with a reload */

/* ---- sessions ---- */

enum bound { BOUND, BOUND_NONE, BOUND_LOAD, BOUND_FAULT };

static enum bound bound_fault(struct call *c, enum err err, const char *message)
{
	c->fault = (struct mcp_fault){err, message, NULL};
	return BOUND_FAULT;
}

/* What the call needs of its session, copied: the session stays with NET. */
static enum bound bound_to(struct call *c, struct session *s)
{
	ticket_bind_session(ticket_of(c), s);
	s->last_seen = clock_wall();
	s->counters.requests++;
	snprintf(c->session_id, sizeof c->session_id, "%s", s->id);
	snprintf(c->durable.handle, sizeof c->durable.handle, "%s", s->handle);
	if (c->by_header) { /* what its client said, which one that has only the handle need not be */
		ticket_of(c)->by_header = true;
		c->can = s->can;
		c->meta.log_level = s->log_level;
	}
	if (c->era.era == ERA_LEGACY)
		c->revision = revision_is_modern(s->revision) ? REVISION_LATEST_LEGACY : s->revision;
	c->context_version = s->version;
	c->preferred_format = arena_strdup(c->arena, s->preferences.format);
	c->preferred_limit = s->preferences.limit;
	c->preferred_wait = s->preferences.wait_seconds;
	if (!context_copy(c->arena, &s->context, &c->context))
		return bound_fault(c, ERR_NOMEM, "the session's context is too large");
	return BOUND;
}

/* A session that was deleted while its record was on the way back from the store. */
static bool was_ended(const struct call *c)
{
	json_t *record = NULL;
	const char *id;
	bool ended = false;

	if (json_parse_trusted(buf_slice(&c->record), &record) != JSON_OK)
		return true;
	id = json_text_of(record, "id");
	for (size_t i = 0; id && i < ARRAY_LEN(gateway.ended) && !ended; i++)
		ended = strcmp(gateway.ended[i], id) == 0;
	json_decref(record);
	return ended;
}

void session_not_gone(const char *id)
{
	for (size_t i = 0; i < ARRAY_LEN(gateway.ended); i++)
		if (strcmp(gateway.ended[i], id) == 0)
			gateway.ended[i][0] = '\0';
}

void session_gone(struct session *s, handle_t asking)
{
	(void)tickets_cancel(s, (struct slice){0}, asking, "session");
	listeners_end_session(s);
	session_end(gateway.sessions, s);
}

/* It is not lost: a replica of that version serves it, and this one when it has been updated. */
static enum bound bound_newer(struct call *c)
{
	log_event(LOG_ERROR, "record_newer", log_text("what", "session"), log_text("request", c->request->id),
		  log_text("principal", c->request->principal.subject));
	return bound_fault(c, ERR_OVERLOADED, "the session was written by a newer version of the gateway; try again");
}

void session_gone_id(const char *id)
{
	char *ended = gateway.ended[gateway.ended_n++ % ARRAY_LEN(gateway.ended)];

	snprintf(ended, SESSION_ID_SIZE, "%s", id);
}

/* On a shared store it is what its record says, whatever is in memory. */
static struct session *session_loaded(const struct call *c, struct session *live)
{
	struct session *s;

	if (live && store_shared() && live->stored != c->durable.version)
		live->doubtful = true;
	s = session_restore(gateway.sessions, buf_slice(&c->record), &c->request->principal);
	if (s)
		s->stored = c->durable.version;
	return s;
}

/* A session that the store was asked for; `live` where it is in memory too. */
static enum bound bind_restored(struct call *c, struct session *live, const char *lost)
{
	const struct principal *p = &c->request->principal;
	struct session *s;

	if (c->record.n == 0 || was_ended(c)) {
		if (live)
			session_gone(live, 0); /* another replica has ended it */
		return bound_fault(c, ERR_SESSION, lost);
	}
	if (!live && !session_has_room(gateway.sessions, p))
		return bound_fault(c, ERR_OVERLOADED, "every session is busy; try again, or raise session.max");
	s = session_loaded(c, live);
	if (!s && session_record_newer(buf_slice(&c->record)))
		return bound_newer(c);
	return s ? bound_to(c, s) : bound_fault(c, ERR_SESSION, lost);
}

/* Door 1. */
static enum bound bind_by_header(struct call *c)
{
	const char *id = c->request->mcp.session_id;
	const struct principal *p = &c->request->principal;
	struct session *s;

	if (!id)
		return BOUND_NONE;
	c->by_header = true;
	if (!session_id_valid(gateway.sessions, id, p))
		return bound_fault(c, ERR_SESSION, err_info(ERR_SESSION)->text);
	s = session_by_id(gateway.sessions, id, p);
	if (s && !c->loaded && !store_shared() && !s->doubtful)
		return bound_to(c, s);
	return c->loaded ? bind_restored(c, s, err_info(ERR_SESSION)->text) : BOUND_LOAD;
}

/* Door 2: the argument `session` of a tool. Its refusal is a tool's error: the model holds the handle. */
static enum bound bind_by_handle(struct call *c, const char *handle)
{
	const struct principal *p = &c->request->principal;
	struct session *s;

	if (c->by_header && strcmp(c->durable.handle, handle) != 0)
		return bound_fault(c, ERR_INVALID_PARAMS,
				   "`session` names another session than the Mcp-Session-Id header; leave it out");
	if (c->by_header) { /* the same one by both doors; the schema of a session has no such argument */
		json_object_del(json_object_get(c->rpc.params, "arguments"), "session");
		return BOUND;
	}
	c->session_handle = handle;
	if (!session_handle_shaped(handle))
		return bound_fault(c, ERR_SESSION, NULL);
	s = session_by_handle(gateway.sessions, handle, p);
	if (s && !c->loaded && !store_shared() && !s->doubtful)
		return bound_to(c, s);
	return c->loaded ? bind_restored(c, s, NULL) : BOUND_LOAD;
}

void durable_session(struct call *c, struct session *s)
{
	s->stored = 0;
	buf_clear(&c->record);
	c->durable.put = counters_put(c, s);
	snprintf(c->durable.handle, sizeof c->durable.handle, "%s", s->handle);
}

static void bind_default_context(struct call *c)
{
	policy_context(c->request->policy, &c->context);
}

/* ---- what is answered at once ---- */

static enum verdict bind_written(struct call *c, bool written)
{
	if (!written)
		return call_fail(c, ERR_INTERNAL, "the answer does not fit");
	return call_goto(c, STEP_reply);
}

static enum verdict bind_initialize(struct call *c)
{
	struct buf instructions = buf_with_ceiling(4096);
	struct client_info info;
	struct session *s;

	if (initialize_read(c->arena, &c->rpc, &info, &c->fault) != ERR_OK)
		return call_goto(c, STEP_reply);
	bind_default_context(c);
	s = session_new(gateway.sessions, &c->request->principal, info.revision, &c->context, &c->durable.ended);
	if (!s)
		return call_fail(c, ERR_OVERLOADED, "every session is busy; try again, or raise session.max");
	session_set_client(s, info.name, info.version);
	s->can = info.can;
	memcpy(s->told, gateway.listeners.now, sizeof s->told);
	metric_count(METRIC_sessions_created, NULL);
	c->durable.fresh = true;
	ticket_bind_session(ticket_of(c), s);
	snprintf(c->session_id, sizeof c->session_id, "%s", s->id);
	c->revision = info.revision;
	durable_session(c, s);
	tools_instructions(&instructions, c->request->conf, c->request->policy);
	if (!initialize_write(&c->result, info.revision, buf_text(&instructions)))
		c->fault = (struct mcp_fault){ERR_INTERNAL, "the answer does not fit", NULL};
	buf_free(&instructions);
	return call_goto(c, STEP_event);
}

static enum verdict bind_discover(struct call *c)
{
	struct buf instructions = buf_with_ceiling(4096);
	bool written;

	tools_instructions(&instructions, c->request->conf, c->request->policy);
	written = discover_write(&c->result, buf_text(&instructions), LIST_TTL_MS);
	buf_free(&instructions);
	return bind_written(c, written);
}

static void bind_unwanted(const struct ticket *t, struct slice id)
{
	if (!tickets_cancel(t->session, id, t->self, "notification"))
		adopt_unwanted(t->session->id, id);
}

static enum verdict bind_cancelled(struct call *c)
{
	static const char *const path[] = {"params", "requestId", NULL};
	struct ticket *t = ticket_of(c);
	struct slice id = json_raw_path(buf_slice(&c->request->body), path);

	/* Without a session two clients of one principal may use the same ids: nothing can be told apart. */
	if (c->era.era == ERA_LEGACY && t->session && id.data)
		bind_unwanted(t, id);
	if (c->era.era == ERA_LEGACY && t->session && id.data && store_shared())
		return call_tell(c, TALE_CANCEL,
				 json_pack("{s:s, s:s%}", "session", t->session->id, "request", id.data, id.n));
	return call_goto(c, STEP_reply);
}

static enum verdict bind_set_level(struct call *c)
{
	int level = mcp_level_parse(json_text_of(c->rpc.params, "level"));
	struct session *s = ticket_of(c)->session;

	if (level < 0)
		return call_fail(c, ERR_INVALID_PARAMS,
				 "level: must be debug, info, notice, warning, error, critical, alert or emergency");
	if (!s)
		return call_fail(c, ERR_NO_SESSION, "a log level belongs to a session; send its Mcp-Session-Id");
	s->log_level = level;
	s->version++;
	durable_session(c, s);
	if (!empty_result_write(&c->result, c->revision))
		return call_fail(c, ERR_INTERNAL, "the answer does not fit");
	return call_goto(c, STEP_event);
}

/* ---- work: tools/call and the methods that may need a statement ---- */

/* What the client wants to be told and may be asked. */
static void bind_listening(struct call *c)
{
	struct ticket *t = ticket_of(c);

	t->tell.revision = c->revision;
	t->tell.limits = c->request->policy->limits;
	t->tell.token =
	    c->meta.progress_token.data ? xstrndup(c->meta.progress_token.data, c->meta.progress_token.n) : NULL;
	t->tell.log_level = c->op.over ? -1 : c->meta.log_level; /* what was told is told */
	tell_begin(t, c);
	c->listens = t->takes_task || t->task.told || (t->tell.may_stream && (t->tell.token || t->tell.log_level >= 0));
	if (c->era.era == ERA_MODERN)
		c->can = c->meta.can;
	else if (!t->tell.may_stream)
		c->can = 0;
}

static enum verdict bind_to_work(struct call *c)
{
	if (c->op.again && !c->sought && (*c->op.stream || (*c->op.task && !c->op.over)))
		return call_goto(c, STEP_resume);
	if (c->op.again && !adopt_bound(c, ticket_of(c)))
		return call_goto(c, STEP_reply);
	c->op.shared = c->by_header && store_shared();
	bind_listening(c);
	return call_goto(c, resolve_step(c));
}

enum verdict bind_again(struct call *c)
{
	return bind_to_work(c);
}

static enum verdict bind_tool_call(struct call *c)
{
	const json_t *name = json_object_get(c->rpc.params, "name");
	json_t *arguments = json_object_get(c->rpc.params, "arguments");
	const char *handle;

	if (!json_is_string(name))
		return call_fail(c, ERR_INVALID_PARAMS, "params.name must be the name of a tool");
	if (arguments && !json_is_object(arguments))
		return call_fail(c, ERR_INVALID_PARAMS, "params.arguments must be an object");
	handle = json_text_of(arguments, "session");
	switch (handle ? bind_by_handle(c, handle) : c->by_header ? BOUND : BOUND_NONE) {
	case BOUND:
		break;
	case BOUND_NONE:
		bind_default_context(c);
		break;
	case BOUND_LOAD:
		return call_goto(c, STEP_load);
	case BOUND_FAULT:
		if (c->fault.err != ERR_SESSION)
			return call_goto(c, STEP_reply);
		if (c->op.over) { /* its context is in its record */
			c->fault = (struct mcp_fault){0};
			bind_default_context(c);
			break;
		}
		if (c->op.again)
			return call_goto(c, adopt_orphan(c));
		c->fault = (struct mcp_fault){0};
		tool_error(c, ERR_SESSION, NULL, NULL,
			   "session: unknown or expired; call set_context without `session` to get a new one");
		return call_goto(c, STEP_settle);
	}
	return bind_to_work(c);
}

/* ---- the step ---- */

static enum verdict bind_delete(struct call *c)
{
	struct ticket *t = ticket_of(c);
	struct session *s = t->session;

	if (!s)
		return call_fail(c, ERR_NO_SESSION, "name the session to end in the Mcp-Session-Id header");
	session_gone_id(s->id);
	session_gone(s, t->self);
	c->durable.forget = true;
	return call_goto(c, STEP_event);
}

static enum verdict bind_other_work(struct call *c)
{
	if (!*c->session_id)
		bind_default_context(c);
	return bind_to_work(c);
}

static enum verdict bind_method(struct call *c)
{
	switch (c->method) {
	case MCP_INITIALIZE:
		return bind_initialize(c);
	case MCP_DISCOVER:
		return bind_discover(c);
	case MCP_TOOLS_CALL:
		return bind_tool_call(c);
	case MCP_TOOLS_LIST:
	case MCP_RESOURCES_LIST:
	case MCP_TEMPLATES_LIST:
	case MCP_RESOURCES_READ:
	case MCP_PROMPTS_LIST:
	case MCP_PROMPTS_GET:
	case MCP_COMPLETE:
		return bind_other_work(c);
	case MCP_SUBSCRIBE:
	case MCP_UNSUBSCRIBE:
		return bind_subscribe(c, c->method == MCP_SUBSCRIBE);
	case MCP_SET_LEVEL:
		return bind_set_level(c);
	case MCP_LISTEN:
		return bind_listen(c);
	case MCP_TASKS_GET:
	case MCP_TASKS_UPDATE:
	case MCP_TASKS_CANCEL:
		return bind_task(c);
	case MCP_PING:
		return bind_written(c, empty_result_write(&c->result, c->revision));
	case MCP_CANCELLED:
		return bind_cancelled(c);
	case MCP_INITIALIZED:
	case MCP_OTHER_NOTIFICATION:
		return call_goto(c, STEP_reply);
	case MCP_UNKNOWN:
		break;
	}
	return call_fail(c, ERR_UNKNOWN_METHOD, "unknown method %.100s", c->rpc.method);
}

/* A client that was given a revision and did not come back with a session speaks what its header says, or the oldest
 * that has no such header (mcp-protocol.md 4.3). */
static void bind_revision(struct call *c)
{
	c->revision = c->era.revision;
	if (c->revision == REVISION_NONE)
		c->revision = REVISION_2025_03_26;
	ticket_of(c)->modern = c->era.era == ERA_MODERN;
}

static bool bind_needs_session(const struct call *c)
{
	return c->rpc.kind == RPC_RESPONSE || c->request->method != HTTP_POST || c->request->conf->session_required;
}

static json_t *answer_tale(const struct call *c)
{
	const json_t *result = json_object_get(c->rpc.root, "result");
	json_t *answer = json_pack("{s:s}", "id", json_text_of(c->rpc.root, "id"));

	if (result)
		json_object_set_new(answer, "result", json_deep_copy(result));
	return json_pack("{s:s, s:o}", "session", c->session_id, "answer", answer);
}

/* The question may be another replica's. */
static enum verdict bind_response(struct call *c)
{
	if (ask_answered(ticket_of(c)->session, &c->rpc))
		return call_goto(c, STEP_reply);
	if (store_shared() && ask_shaped(&c->rpc))
		return call_tell(c, TALE_REPLY, answer_tale(c));
	(void)admit_rate(c); /* an answer to nothing is load */
	return call_goto(c, STEP_reply);
}

static enum verdict bind_legacy_session(struct call *c)
{
	switch (bind_by_header(c)) {
	case BOUND:
		break;
	case BOUND_NONE:
		if (bind_needs_session(c))
			return call_fail(c, ERR_NO_SESSION,
					 "the Mcp-Session-Id header is missing; start with initialize");
		break;
	case BOUND_LOAD:
		return call_goto(c, STEP_load);
	case BOUND_FAULT:
		return call_goto(c, adopt_orphan(c));
	}
	if (c->request->method == HTTP_DELETE)
		return bind_delete(c);
	if (c->request->method == HTTP_GET)
		return bind_get(c);
	if (c->rpc.kind == RPC_BATCH)
		return bind_batch(c);
	if (c->rpc.kind == RPC_REQUEST || c->rpc.kind == RPC_NOTIFICATION)
		return bind_method(c);
	return bind_response(c);
}

/* What takes load away is not held up by the rate; the elements of a batch are counted, not the batch. */
static bool bind_is_free(const struct call *c)
{
	bool answers = c->rpc.kind == RPC_RESPONSE && c->request->method != HTTP_GET; /* or is a DELETE */

	return answers || c->method == MCP_CANCELLED || c->method == MCP_TASKS_CANCEL || c->rpc.kind == RPC_BATCH;
}

/* GET and DELETE speak of a session, as a response does. */
static bool bind_without_body(struct call *c)
{
	c->rpc.kind = RPC_RESPONSE;
	return era_classify(c->arena, &c->rpc, &c->request->mcp, &c->era, &c->fault) == ERR_OK;
}

/* ---- a session that has changed under its call ---- */

static enum verdict change_refused(struct call *c, enum err err, const char *why)
{
	if (c->method != MCP_TOOLS_CALL)
		return call_fail(c, err, "%s", why);
	tool_error(c, err, NULL, NULL, "%s", why);
	return call_goto(c, STEP_settle);
}

static enum verdict bind_reloaded(struct call *c)
{
	struct ticket *t = ticket_of(c);
	struct session *s = t->session;
	uint64_t lost = c->durable.lost;

	c->durable.reload = false;
	c->durable.lost = 0;
	counters_refused(c, s);
	ticket_reopen(t, c);
	if (t->cancelled || t->taken)
		return call_goto(c, STEP_settle);
	if (c->record.n == 0 || s->ended || was_ended(c)) { /* never written again */
		session_gone(s, t->self);
		return change_refused(c, ERR_SESSION, ENDED_TEXT);
	}
	if (lost && lost == c->durable.version) {
		c->op.taken = true;
		return call_fail(c, ERR_OVERLOADED, "another replica goes on with the call");
	}
	if (!change_tries_left(c))
		return change_refused(c, ERR_OVERLOADED, CHANGED_TEXT);
	if (!session_loaded(c, s))
		return change_refused(c, ERR_SESSION, ENDED_TEXT);
	if (c->method == MCP_TOOLS_CALL)
		return change_again(c, s);
	c->replans++;
	return bind_method(c);
}

enum verdict step_bind(struct call *c)
{
	struct ticket *t = ticket_of(c);

	if (c->durable.reload)
		return bind_reloaded(c);
	if (!c->loaded) {
		if (c->request->method != HTTP_POST && !bind_without_body(c))
			return call_goto(c, STEP_reply);
		bind_revision(c);
		if (gateway.phase != PHASE_SERVING && !(gateway.phase == PHASE_DRAINING && gateway.succeeded) &&
		    !c->op.again && (c->rpc.kind == RPC_REQUEST || c->rpc.kind == RPC_BATCH))
			return call_fail(c, ERR_DRAINING, DRAINING_TEXT);
		if (c->rpc.id.data)
			t->request_id = xstrndup(c->rpc.id.data, c->rpc.id.n);
		if (!c->op.again && !bind_is_free(c) && !admit_rate(c))
			return call_goto(c, STEP_reply);
	}
	if (c->era.era == ERA_MODERN || c->era.initialize)
		return bind_method(c);
	return bind_legacy_session(c);
}
