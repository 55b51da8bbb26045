/* Questions to the client: sent on the call's stream in the legacy era, handed back with the call in the modern one, or
 * put into the task that it has become. */
#include "gateway_internal.h"

#include <stdio.h>
#include <string.h>

#define ASKING_BYTES_MAX ((size_t)64 << 20) /* bodies of calls that wait for an answer, all together */

void ask_id(char id[ASK_ID_SIZE], const struct ticket *t, size_t i)
{
	(void)snprintf(id, ASK_ID_SIZE, "ask-%llu", (unsigned long long)t->first_ask + i);
}

void ask_leave(struct ticket *t)
{
	struct ticket **at = &gateway.asking;

	if (!t->asking)
		return;
	while (*at != t)
		at = &(*at)->asking_next;
	*at = t->asking_next;
	gateway.asking_bytes -= t->asking->request->body.n;
	t->account->asking--;
	t->asking = NULL;
}

static void ask_unanswered(struct call *c)
{
	for (size_t i = 0; i < c->asks_n; i++)
		if (!call_answer(c, c->asks[i].key))
			json_object_set_new(c->answers, c->asks[i].key, json_null());
}

/* The plan is made again and finds what there is. */
void ask_over(struct ticket *t)
{
	struct call *c = t->asking;

	timer_stop(&c->timer);
	ask_leave(t);
	if (t->task.told)
		task_changed(t);
	ask_unanswered(c);
	c->step = resolve_step(c);
	call_run(c);
}

static void ask_timeout(struct timer *timer)
{
	struct call *c = container_of(timer, struct call, timer);

	metric_count(METRIC_asks, "timeout");
	ask_over(ticket_of(c));
}

/* ---- legacy ---- */

static bool ask_send(struct ticket *t, const struct ask *ask, size_t i)
{
	struct buf b = buf_with_ceiling(1 << 20);
	char id[ASK_ID_SIZE];
	bool sent;

	ask_id(id, t, i);
	sent = request_write(&b, id, ask->method, ask->params) && ticket_event(t, buf_slice(&b), false);
	buf_free(&b);
	return sent;
}

/* A call that waits holds its body, and its client may be gone: as many as it may have streams, whether read or not. */
static bool ask_has_room(const struct call *c, const struct ticket *t)
{
	return (t->account->asking == 0 || t->account->asking < t->tell.limits->streams) &&
	       gateway.asking_bytes + c->request->body.n <= ASKING_BYTES_MAX;
}

static enum verdict ask_crowded(struct call *c, const struct ticket *t)
{
	return call_fail(c, ERR_CONCURRENCY,
			 "too many calls wait for the answer of their user (limits.%s.streams); answer or cancel some",
			 t->tell.limits->name);
}

static enum verdict ask_park(struct call *c, struct ticket *t)
{
	t->asking = c;
	t->asking_next = gateway.asking;
	gateway.asking = t;
	t->account->asking++;
	gateway.asking_bytes += c->request->body.n;
	c->timer.fire = ask_timeout;
	timer_set(gateway.wheel, &c->timer, clock_now() + c->request->conf->mcp_ask_timeout);
	return WAIT;
}

static void ask_number(struct call *c, struct ticket *t)
{
	t->first_ask = gateway.asked + 1;
	gateway.asked += c->asks_n;
}

static void ask_journal(struct call *c, const struct ticket *t)
{
	struct heard heard = ticket_heard(t);

	journal_put(c, &heard);
}

/* Who could be asked but not now, since there is no room for a stream, has not answered. */
static enum verdict ask_legacy(struct call *c, struct ticket *t)
{
	bool asked;

	if (!ask_has_room(c, t))
		return ask_crowded(c, t);
	asked = ticket_stream(t);
	ask_number(c, t);
	for (size_t i = 0; asked && i < c->asks_n; i++) {
		json_object_del(c->answers, c->asks[i].key);      /* asked again */
		asked = ask_send(t, &c->asks[i], i) && t->stream; /* which a reader found gone may take along */
	}
	if (asked && t->stream->holds)
		ask_journal(c, t);
	if (!asked) {
		metric_count(METRIC_asks, "failed");
		ask_unanswered(c);
		return call_goto(c, resolve_step(c));
	}
	return ask_park(c, t);
}

/* ---- a task ---- */

static bool ask_within(const struct call *c, const struct ticket *t)
{
	return t->task.told || (t->takes_task && c->tool && c->handler->asks_within);
}

static bool ask_fresh(struct call *c)
{
	c->unasked = false;
	c->answers = json_object();
	return arena_attach(c->arena, c->answers, json_release);
}

/* The questions stand in the task until tasks/update brings the answers. */
static enum verdict ask_task(struct call *c, struct ticket *t)
{
	enum verdict v;

	if (!ask_has_room(c, t))
		return ask_crowded(c, t);
	if (c->unasked && !ask_fresh(c))
		return call_fail(c, ERR_NOMEM, "the call is too large");
	c->within = true;
	ask_number(c, t);
	for (size_t i = 0; i < c->asks_n; i++)
		json_object_del(c->answers, c->asks[i].key); /* asked again */
	v = ask_park(c, t);
	if (t->task.told)
		task_changed(t);
	else
		task_due(&t->tell.timer);
	return v;
}

/* ---- answers ---- */

bool ask_complete(const struct call *c)
{
	for (size_t i = 0; i < c->asks_n; i++)
		if (!call_answer(c, c->asks[i].key))
			return false;
	return true;
}

static const char *outcome_of(const json_t *result)
{
	const char *action = json_text_of(result, "action");

	if (!result)
		return "failed";
	return !action || strcmp(action, "accept") == 0 ? "accepted" : "declined";
}

/* The result belongs to another call, whose memory ends with it: it is copied. */
void ask_take(struct ticket *t, size_t i, const json_t *result)
{
	metric_count(METRIC_asks, outcome_of(result));
	json_object_set_new(t->asking->answers, t->asking->asks[i].key, result ? json_deep_copy(result) : json_null());
}

bool ask_shaped(const struct rpc *rpc)
{
	const char *given = json_text_of(rpc->root, "id");

	return given && strncmp(given, "ask-", 4) == 0 && strlen(given) < ASK_ID_SIZE;
}

bool ask_answered(const struct session *s, const struct rpc *rpc)
{
	const char *given = json_text_of(rpc->root, "id");

	OWNED_BY(THREAD_NET);
	for (struct ticket *t = gateway.asking; given && t; t = t->asking_next) {
		if (t->session != s)
			continue;
		for (size_t i = 0; i < t->asking->asks_n; i++) {
			char id[ASK_ID_SIZE];

			ask_id(id, t, i);
			if (strcmp(id, given) != 0 || call_answer(t->asking, t->asking->asks[i].key))
				continue;
			ask_take(t, i, json_object_get(rpc->root, "result"));
			if (ask_complete(t->asking))
				ask_over(t);
			return true;
		}
	}
	return false;
}

/* ---- modern ---- */

/* Answers were given for one context: in another the questions are asked anew. */
static bool ask_state(struct call *c, struct buf *b)
{
	int64_t expires = clock_wall() + c->request->conf->mcp_ask_timeout / USEC_PER_S;
	json_t *state = json_pack("{s:O, s:I}", "answers", c->answers, "context", (json_int_t)c->context_version);
	bool written = state_write(b, &gateway.sealing, &c->request->principal, &c->rpc, state, expires);

	json_decref(state);
	return written;
}

static enum verdict ask_modern(struct call *c)
{
	struct buf state = buf_with_ceiling(SEAL_MAX);
	bool written;

	written = ask_state(c, &state) && input_required_write(&c->result, c->asks, c->asks_n, buf_text(&state));
	buf_free(&state);
	return written ? call_goto(c, STEP_reply) : call_fail(c, ERR_INTERNAL, "the questions do not fit");
}

static int ask_fault(struct call *c, enum err err, const char *message)
{
	c->fault = (struct mcp_fault){err, message, NULL};
	return (int)err;
}

int ask_resume(struct call *c)
{
	json_t *given = json_object_get(c->rpc.params, "inputResponses"), *state = NULL;
	int rc;

	if (!json_object_get(c->rpc.params, "requestState")) {
		c->unasked = json_is_object(given);
		c->answers = c->unasked ? given : NULL;
		return ERR_OK;
	}
	if (given && !json_is_object(given))
		return ask_fault(c, ERR_INVALID_PARAMS, "inputResponses: must be an object");
	rc = state_read(c->arena, &gateway.sealing, &c->request->principal, &c->rpc, clock_wall(), &state, &c->fault);
	if (rc != ERR_OK)
		return rc;
	if (!arena_attach(c->arena, state, json_release))
		return ask_fault(c, ERR_NOMEM, "the answers are too large");
	if (json_integer_value(json_object_get(state, "context")) == (json_int_t)c->context_version) {
		c->answers = json_object_get(state, "answers");
		json_object_update(c->answers, given);
	}
	return ERR_OK;
}

enum verdict step_ask(struct call *c)
{
	struct ticket *t = ticket_of(c);

	if (t->cancelled)
		return call_goto(c, STEP_settle);
	if (!c->answers && !ask_fresh(c))
		return call_fail(c, ERR_NOMEM, "the call is too large");
	if (ask_within(c, t))
		return ask_task(c, t);
	return t->modern ? ask_modern(c) : ask_legacy(c, t);
}
