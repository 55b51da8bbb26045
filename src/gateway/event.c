/* What the store must have before it is shown: events of streams, and what an answer acknowledges. */
#include "piece.h"

#include <string.h>

#include "snowgate/kill.h"

/* ---- events of streams ---- */

struct append {
	struct mail mail;
	struct store_work work;
	struct store_item items[2];
	struct buf value;
	char group[GROUP_SIZE], operation[OPERATION_ID_SIZE], stream[STREAM_ID_SIZE], session[SESSION_ID_SIZE];
	struct principal principal;
};

static void append_deliver(struct mail *m)
{
	struct append *a = container_of(m, struct append, mail);
	struct session *s = session_by_id(gateway.sessions, a->session, &a->principal);
	struct stream *stream = s ? stream_of(&s->streams, a->stream) : NULL;

	OWNED_BY(THREAD_NET);
	if (stream)
		stream_told(stream, a->items[1].number, a->work.rc == STORE_OK);
	buf_free(&a->value);
	free(a);
}

static void append_done(struct store_work *w)
{
	KILL_POINT(append_after);
	mail_post(THREAD_NET, &container_of(w, struct append, work)->mail);
}

void event_post(const struct ticket *t, const struct stream *stream, const struct stream_event *e)
{
	const struct session *s = t->session;
	struct append *a = xalloc(sizeof *a);

	*a = (struct append){
	    .mail = {.deliver = append_deliver}, .value = buf_with_ceiling(STORE_VALUE_MAX), .principal = s->principal};
	a->work = (struct store_work){.group = a->group, .items = a->items, .n = 2, .done = append_done};
	group_of(a->group, &s->principal);
	memcpy(a->operation, t->operation, sizeof a->operation);
	memcpy(a->stream, stream->id, sizeof a->stream);
	memcpy(a->session, s->id, sizeof a->session);
	if (!journal_event_write(&a->value, &gateway.journal, a->operation, e->last ? 'l' : 'e',
				 (struct slice){e->data, e->n}))
		buf_clear(&a->value);
	a->items[0] = (struct store_item){
	    .verb = STORE_CHECK, .kind = RECORD_OPERATION, .key = a->operation, .version = t->version};
	a->items[1] = (struct store_item){.verb = STORE_APPEND,
					  .kind = RECORD_OPERATION,
					  .key = a->operation,
					  .number = e->number,
					  .value = buf_slice(&a->value)};
	KILL_POINT(append_before);
	store_post(&a->work);
}

/* ---- event: what the answer acknowledges ---- */

/* Nothing was sent, and nothing will be. */
static bool never_sent(const struct call *c)
{
	const struct statement *s = &c->plan[0];

	return c->plan_n == 0 || s->state == STATEMENT_NEW || (s->state == STATEMENT_CANCELLED && !*s->handle);
}

static void points_before(const struct call *c)
{
	if (c->durable.put)
		KILL_POINT(session_put_before);
	if (c->durable.forget)
		KILL_POINT(session_delete_before);
	if (c->op.version && !c->op.over)
		KILL_POINT(event_before);
}

static void points_after(const struct piece *p)
{
	if (p->call->durable.put)
		KILL_POINT(session_put_after);
	if (p->call->durable.forget)
		KILL_POINT(session_delete_after);
	if (p->call->op.version)
		KILL_POINT(event_after);
}

/* Another replica has changed the session, or ended it; or, which its version will show, has taken the operation. */
static void session_lost(struct piece *p)
{
	struct call *c = p->call;

	c->durable.put = false;
	c->durable.reload = true;
	c->durable.lost = c->durable.version;
	piece_go_on(p, STEP_load);
}

static uint64_t version_put(const struct piece *p)
{
	for (size_t i = 0; i < p->work.n; i++)
		if (p->items[i].verb == STORE_PUT && p->items[i].kind == RECORD_SESSION)
			return p->items[i].version;
	return 0;
}

static void whose_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);

	if (w->rc == STORE_OK && p->items[0].rc == STORE_OK)
		operation_lost(p->call);
	piece_call_on(p);
}

/* Its record is another process's by now; or it was refused when it was to be written, and is not there. */
static void ask_whose(struct piece *p)
{
	piece_clear(p);
	piece_add(p, STORE_GET, RECORD_OPERATION, p->call->op.id)->out = buf_with_ceiling(STORE_VALUE_MAX);
	p->work.done = whose_done;
	store_post(&p->work);
}

/* What the answer said has not happened. */
static void event_refused(struct call *c, enum store_rc rc)
{
	c->op.number = 0;
	if (c->durable.put || c->durable.forget) {
		store_refused(c, "answer");
		answer_free(&c->http); /* it is another one now */
	} else {
		log_event(LOG_ERROR, "store_refused", log_text("request", c->request->id), log_text("what", "answer"));
	}
	if (rc != STORE_STALE && c->op.version && !c->op.over && !c->op.again && !c->op.told && never_sent(c))
		operation_forget(c);
}

static void event_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);
	struct call *c = p->call;

	operation_step_back(p);
	if (w->rc == STORE_STALE && c->durable.put && c->durable.version && store_shared()) {
		session_lost(p);
		return;
	}
	if (w->rc == STORE_OK && c->durable.put)
		c->durable.version = version_put(p);
	if (w->rc == STORE_OK)
		points_after(p);
	else
		event_refused(c, w->rc);
	if (w->rc == STORE_STALE && store_shared() && c->op.version && !c->op.over)
		ask_whose(p);
	else
		piece_call_on(p);
}

/* What nobody asks for again is forgotten: neither a stream, nor a key, nor an unknown fate. */
static bool operation_kept(const struct call *c)
{
	return *c->op.stream || (*c->op.task && c->op.told) || c->op.claim ||
	       (c->plan_n && c->plan[0].state == STATEMENT_UNKNOWN);
}

static bool add_end(struct piece *p, struct call *c)
{
	struct buf *value;
	struct store_item *item;

	bool unheard = !c->op.last && !c->answered;

	if (!operation_kept(c) || (unheard && (never_sent(c) || !c->op.claim))) {
		piece_add(p, STORE_CHECK, RECORD_OPERATION, c->op.id)->version = c->op.version;
		piece_del_operation(p, c);
		if (c->op.claimed && never_sent(c))
			piece_add(p, STORE_DEL, RECORD_CLAIM, c->op.claim);
		return true;
	}
	if (!piece_put_operation(p, c, STORE_NO_DUE))
		return false;
	if (!c->op.last)
		return true;
	value = piece_value(p, STORE_VALUE_MAX);
	item = piece_add(p, STORE_APPEND, RECORD_OPERATION, c->op.id);
	if (!journal_event_write(value, &gateway.journal, c->op.id, c->op.last,
				 c->op.last == 'l' ? buf_slice(&c->http.body) : (struct slice){0}))
		return false;
	item->number = c->op.number;
	item->value = buf_slice(value);
	if (*c->op.task && store_shared()) /* who listens to it may be at another replica */
		(void)piece_tell(p, TALE_TASK, json_pack("{s:s}", "task", c->op.task));
	return true;
}

static void add_deleted(struct piece *p, const char *id, const char *handle)
{
	piece_del_session(p, id, handle);
	if (store_shared())
		(void)piece_tell(p, TALE_ENDED, json_pack("{s:s}", "session", id));
}

/* Its standalone stream may be at another replica. */
static void add_session(struct piece *p, const struct call *c)
{
	piece_put_session(p, c);
	if (store_shared() && (c->method == MCP_SUBSCRIBE || c->method == MCP_UNSUBSCRIBE))
		(void)piece_tell(p, TALE_WATCHES, json_pack("{s:s}", "session", c->session_id));
}

enum verdict step_event(struct call *c)
{
	struct piece *p = piece_new(c, event_done);

	c->op.ended = true;
	if (c->durable.put)
		add_session(p, c);
	if (c->durable.forget)
		add_deleted(p, c->session_id, c->durable.handle);
	if (*c->durable.ended.id)
		add_deleted(p, c->durable.ended.id, c->durable.ended.handle);
	if (c->op.version && !c->op.over && !add_end(p, c)) {
		log_event(LOG_ERROR, "record_too_large", log_text("request", c->request->id));
		c->op.version = c->op.number = 0;
		piece_free(p);
		return call_goto(c, c->durable.put || c->durable.forget ? STEP_event : STEP_reply);
	}
	points_before(c);
	return piece_post(p, c, STEP_reply);
}
