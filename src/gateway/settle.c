/* The work is over: the slot goes back, the session takes what it was promised, the counters count. */
#include "gateway_internal.h"

#include "limit.h"

#include <string.h>

#define REPLANS_MAX 3

/* ---- the session's change ---- */

static void change_session(struct call *c, struct session *s)
{
	const struct session_change *change = &c->change;

	context_set(&s->context, &change->context);
	s->version++;
	if (change->format) {
		free(s->preferences.format);
		s->preferences.format = xstrdup(change->format);
	}
	if (change->limit >= 0)
		s->preferences.limit = change->limit;
	if (change->wait_seconds >= 0)
		s->preferences.wait_seconds = change->wait_seconds;
	durable_session(c, s);
}

static struct session *change_new_session(struct call *c, struct ticket *t)
{
	struct session *s = session_new(gateway.sessions, &c->request->principal,
					c->era.era == ERA_MODERN ? REVISION_2026_07_28 : c->revision,
					&c->change.context, &c->durable.ended);

	if (!s)
		return NULL;
	metric_count(METRIC_sessions_created, NULL);
	c->durable.fresh = true;
	ticket_bind_session(t, s);
	snprintf(c->session_id, sizeof c->session_id, "%s", s->id);
	return s;
}

enum verdict change_again(struct call *c, const struct session *s)
{
	for (size_t i = 0; i < c->plan_n; i++) {
		buf_free(&c->plan[i].raw);
		buf_free(&c->plan[i].text);
	}
	c->plan_n = c->plan_at = 0;
	c->change = (struct session_change){.limit = -1, .wait_seconds = -1};
	c->replans++;
	c->context_version = s->version;
	if (!context_copy(c->arena, &s->context, &c->context))
		return call_fail(c, ERR_NOMEM, "the session's context is too large");
	return call_goto(c, resolve_step(c));
}

bool change_tries_left(const struct call *c)
{
	return c->replans < REPLANS_MAX;
}

/* Two changed the session at once: the loser reads what the winner left, and plans again from that. */
static bool change_lost(const struct call *c, const struct ticket *t)
{
	return t->session && !c->change.create && t->session->version != c->context_version && change_tries_left(c) &&
	       !c->op.again;
}

/* False where the change cannot be made; the answer says so. */
static bool change_apply(struct call *c, struct ticket *t)
{
	struct session *s = t->session;

	if (!s && c->change.create)
		s = change_new_session(c, t);
	if (s && !s->ended && (c->change.create || s->version == c->context_version)) {
		change_session(c, s);
		return true;
	}
	if (!s)
		tool_error(c, ERR_OVERLOADED, NULL, NULL, "every session is busy; try again in a moment");
	else if (s->ended)
		tool_error(c, ERR_SESSION, NULL, NULL, ENDED_TEXT);
	else if (c->op.again) /* what was changed since then is newer */
		tool_error(c, ERR_CONFLICT, NULL, NULL, "the session was changed since this was asked for; ask again");
	else
		tool_error(c, ERR_OVERLOADED, NULL, NULL, CHANGED_TEXT);
	return false;
}

/* ---- the counts ---- */

/* Of the client's own statements: what SHOW gives is read for the answer, and not given. */
static size_t rows_of(const struct call *c)
{
	size_t rows = 0;

	for (size_t i = 0; i < c->plan_n; i++)
		rows += c->plan[i].metadata ? 0 : c->plan[i].rows_n;
	return rows;
}

static void settle_counters(const struct call *c, struct session *s)
{
	if (!s)
		return;
	if (c->answer.is_error || c->fault.err != ERR_OK)
		s->counters.failed++;
	else
		s->counters.ok++;
	s->counters.rows += (int64_t)rows_of(c);
	s->counters.query_usec += clock_now() - c->born;
}

/* What only NET knows of the principal, for an answer that tells it. */
static void settle_allowance(struct call *c, const struct ticket *t)
{
	const struct limits *l = c->request->policy->limits;

	c->allowance.calls_left = limit_remaining(t->account->tat, l->calls_per_minute, l->burst, clock_now());
	c->allowance.running = t->account->running;
}

/* ---- who watches what has changed ---- */

#define TARGET_WITHIN 16384 /* bytes of a statement in which its target is looked for */

static void updated_table(const struct call *c, struct slice sql, const struct context *x)
{
	struct buf uri = buf_with_ceiling(4096);
	struct sql_name name;

	if (sql.n > TARGET_WITHIN)
		sql.n = TARGET_WITHIN;
	if (!sql_target(c->arena, sql, &name))
		return;
	if (name.n == 1)
		name = (struct sql_name){3, {x->database, x->schema, name.part[0]}};
	else if (name.n == 2)
		name = (struct sql_name){3, {x->database, name.part[0], name.part[1]}};
	if (name.part[0] && name.part[1] && resource_uri_of(&uri, &name))
		notify_updated(c->request->policy->connection, buf_text(&uri));
	buf_free(&uri);
}

/* USE within a script moves names without a database: of these nobody is told. */
static void updated_tables(const struct call *c, const struct statement *s)
{
	const struct context elsewhere = {0};
	struct slice *statements;
	size_t n;

	if (s->statements < 2) {
		updated_table(c, slice_of(s->sql), &s->context);
		return;
	}
	if (sql_script(c->arena, slice_of(s->sql), &statements, &n) != ERR_OK)
		return;
	for (size_t i = 0; i < n; i++)
		updated_table(c, statements[i], strcasestr(s->sql, "USE") ? &elsewhere : &s->context);
}

/* A result that was announced as running is there now, or never will be. */
static void updated_result(struct call *c, const struct statement *s)
{
	struct buf uri = buf_with_ceiling(1024);
	const char *handle = statement_handle_text(c, s);

	if (*handle && resource_uri_of_result(&uri, handle))
		notify_updated(c->request->policy->connection, buf_text(&uri));
	buf_free(&uri);
}

/* A request to another endpoint may have brought the statement. */
static void settle_updates(struct call *c)
{
	struct statement *s = &c->plan[c->plan_n > 1 && c->plan[0].kind == STATEMENT_REST];

	if (c->plan_n == 0 || !c->tool || s->kind != STATEMENT_RUN || s->metadata)
		return;
	if (s->write && s->state == STATEMENT_SUCCEEDED)
		updated_tables(c, s);
	if (c->answered)
		updated_result(c, s);
}

/* Does the work go on here, or is there an answer (or nobody to answer) already? */
static bool settle_open(const struct call *c, const struct ticket *t)
{
	return c->handler && c->fault.err == ERR_OK && !c->answer.is_error && !t->cancelled;
}

/* Another replica has taken it over. Who waits here all the same is told what is known here. */
static enum verdict settled_elsewhere(struct call *c, const struct ticket *t)
{
	if (settle_open(c, t) && (c->change.wanted || c->handler->answer_on_net))
		return call_fail(c, ERR_OVERLOADED, "another replica goes on with the call; ask again");
	return call_goto(c, STEP_reply);
}

enum verdict step_settle(struct call *c)
{
	struct ticket *t = ticket_of(c);

	if (tools_settle(c, t->slot && !t->cancelled && !t->taken))
		return call_goto(c, STEP_sign);
	slot_release(t);
	if (t->taken)
		return settled_elsewhere(c, t);
	settle_allowance(c, t);
	if (settle_open(c, t) && c->change.wanted) {
		if (change_lost(c, t)) {
			c->durable.reload = true;
			return call_goto(c, STEP_load);
		}
		if (change_apply(c, t))
			c->handler->answer(c);
	} else if (settle_open(c, t) && (c->handler->answer_on_net || c->plan_n == 0)) {
		c->handler->answer(c);
	}
	settle_updates(c);
	settle_counters(c, t->session);
	if (t->left || c->op.taken) /* its record is for whoever serves the store next */
		return call_goto(c, STEP_reply);
	ticket_conclude(t, c);
	t->version = 0; /* nothing is renewed from now on */
	return call_goto(c, c->durable.put || (c->op.version && !c->op.over) ? STEP_event : STEP_reply);
}
