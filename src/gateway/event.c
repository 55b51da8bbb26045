/* What the store must have before it is shown: events of streams, and what an answer acknowledges. */
#include "piece.h"

#include <string.h>

/* ---- events of streams ---- */

struct append {
	struct mail mail;
	struct store_work work;
	struct store_item item;
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
		stream_told(stream, a->item.number, a->work.rc == STORE_OK);
	buf_free(&a->value);
	free(a);
}

static void append_done(struct store_work *w)
{
	mail_post(THREAD_NET, &container_of(w, struct append, work)->mail);
}

void event_post(const struct session *s, const struct stream *stream, const char *operation,
		const struct stream_event *e)
{
	struct append *a = xalloc(sizeof *a);

	*a = (struct append){
	    .mail = {.deliver = append_deliver}, .value = buf_with_ceiling(STORE_VALUE_MAX), .principal = s->principal};
	a->work = (struct store_work){.group = a->group, .items = &a->item, .n = 1, .done = append_done};
	group_of(a->group, &s->principal);
	snprintf(a->operation, sizeof a->operation, "%s", operation);
	memcpy(a->stream, stream->id, sizeof a->stream);
	memcpy(a->session, s->id, sizeof a->session);
	if (!journal_event_write(&a->value, &gateway.journal, operation, e->last ? 'l' : 'e',
				 (struct slice){e->data, e->n}))
		buf_clear(&a->value);
	a->item = (struct store_item){.verb = STORE_APPEND,
				      .kind = RECORD_OPERATION,
				      .key = a->operation,
				      .number = e->number,
				      .value = buf_slice(&a->value),
				      .due_ms = STORE_NO_DUE};
	store_post(&a->work);
}

/* ---- event: what the answer acknowledges ---- */

/* Nothing was sent, and nothing will be. */
static bool never_sent(const struct call *c)
{
	const struct statement *s = &c->plan[0];

	return c->plan_n == 0 || s->state == STATEMENT_NEW || (s->state == STATEMENT_CANCELLED && !*s->handle);
}

/* What the answer said did not happen; it is another one now. */
static void event_refused(struct call *c, const char *what)
{
	c->op.number = 0;
	if (c->durable.put || c->durable.forget) {
		store_refused(c, what);
		answer_free(&c->http);
	} else {
		log_event(LOG_ERROR, "store_refused", log_text("request", c->request->id), log_text("what", what));
	}
}

/* Where the operation is still the call's, it was the session that another process has changed. */
static void whose_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);
	struct call *c = p->call;

	c->op.taken = w->rc != STORE_OK || p->items[0].version != c->op.version;
	event_refused(c, "a session that was changed elsewhere");
	if (!c->op.taken)
		operation_forget(c);
	piece_call_on(p);
}

static void event_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);
	struct call *c = p->call;

	operation_step_back(p);
	if (w->rc == STORE_STALE && c->durable.put && c->op.version && store_shared()) {
		piece_clear(p);
		piece_add(p, STORE_GET, RECORD_OPERATION, c->op.id)->out = buf_with_ceiling(STORE_VALUE_MAX);
		w->done = whose_done;
		store_post(w);
		return;
	}
	if (w->rc != STORE_OK) {
		c->op.taken = w->rc == STORE_STALE && c->op.version && store_shared();
		event_refused(c, "answer");
		if (w->rc != STORE_STALE && p->wrote && never_sent(c))
			operation_forget(c);
	}
	piece_call_on(p);
}

/* What nobody asks for again is forgotten: neither a stream, nor a key, nor an unknown fate. */
static bool operation_kept(const struct call *c)
{
	return *c->op.stream || c->op.claim || (c->plan_n && c->plan[0].state == STATEMENT_UNKNOWN);
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
	return true;
}

enum verdict step_event(struct call *c)
{
	struct piece *p = piece_new(c, event_done);

	if (c->durable.put)
		piece_put_session(p, c);
	if (c->durable.forget)
		piece_del_session(p, c->session_id, c->durable.handle);
	if (*c->durable.ended.id)
		piece_del_session(p, c->durable.ended.id, c->durable.ended.handle);
	if (c->op.version && !c->op.over && !add_end(p, c)) {
		log_event(LOG_ERROR, "record_too_large", log_text("request", c->request->id));
		c->op.version = c->op.number = 0;
		piece_free(p);
		return call_goto(c, c->durable.put || c->durable.forget ? STEP_event : STEP_reply);
	}
	return piece_post(p, c, STEP_reply);
}
