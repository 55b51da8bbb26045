/* Calls whose answer becomes a stream of events. */
#include "gateway_internal.h"

#include <string.h>

void stream_forsake(struct stream *s)
{
	if (!s->exchange && !s->ticket && !s->set)
		stream_free(gateway.streams, s);
}

static bool primes(const struct ticket *t)
{
	return t->stream->set && t->tell.revision >= REVISION_2025_11_25;
}

void stream_prime(struct listener *l, uint64_t number)
{
	struct sse_event e = {.retry_ms = gateway.conf->mcp_retry / USEC_PER_MS};
	char id[STREAM_EVENT_ID_SIZE];

	stream_event_id(id, l->stream, number);
	e.id = slice_of(id);
	l->primed |= gateway.transport->stream_send(gateway.transport, l->exchange, &e) == STREAM_SENT;
}

/* The answer becomes a stream of events. False: its client has left. */
static bool stream_show(struct ticket *t)
{
	struct stream *s = t->stream;
	struct listener *l;
	struct answer head;

	answer_init(&head, 200, "text/event-stream");
	if (s->set)
		answer_header(&head, "Mcp-Session-Id", "%s", t->session->id);
	l = listener_open(LISTENER_CALL, t->exchange, t->account, t->session, &head);
	if (!l)
		return false;
	l->stream = s;
	s->exchange = t->exchange;
	if (primes(t))
		stream_prime(l, 0);
	return true;
}

/* ---- what the store must have before it is shown ---- */

struct asked {
	handle_t ticket;
	struct heard heard;
};

static void asked_visit(struct call *c, void *arg)
{
	struct asked *asked = arg;

	if (c)
		journal_put(c, &asked->heard);
	free(asked);
}

struct heard ticket_heard(const struct ticket *t)
{
	struct heard h = {0};

	if (t->stream)
		memcpy(h.stream, t->stream->id, sizeof h.stream);
	else
		memcpy(h.task, t->task.id, sizeof h.task);
	return h;
}

bool ticket_unrecorded(const struct ticket *t)
{
	return t->stream && t->stream->holds && !t->journaled;
}

void ticket_record(struct ticket *t)
{
	struct call *c = t->waiting ? t->waiting : t->asking;
	struct asked *asked = xalloc(sizeof *asked);

	*asked = (struct asked){t->self, ticket_heard(t)};
	if (!c) {
		snowflake_visit(t->self, asked_visit, asked);
		return;
	}
	journal_put(c, &asked->heard);
	free(asked);
}

/* Each event once, in order; the store keeps the order. */
static void events_post(const struct ticket *t)
{
	struct stream *s = t->stream;

	for (const struct stream_event *e = s->first; e; e = e->next) {
		if (e->number <= s->posted)
			continue;
		event_post(t, s, e);
		s->posted = e->number;
	}
}

static void stream_pump(struct stream *s)
{
	struct listener *l = s->exchange ? listener_by_exchange(s->exchange) : NULL;

	if (l)
		listener_pump(l);
	else
		stream_forsake(s);
}

void stream_told(struct stream *s, uint64_t number, bool fine)
{
	OWNED_BY(THREAD_NET);
	if (fine)
		stream_commit(s, number);
	else
		stream_leave(s);
	stream_pump(s);
}

void ticket_journaled(struct ticket *t, const char *operation, uint64_t version, bool fine)
{
	struct stream *s = t->stream;

	if (fine) {
		memcpy(t->operation, operation, sizeof t->operation);
		t->version = version;
		t->journaled = true;
		events_post(t);
	} else {
		log_event(LOG_WARN, "stream_not_recorded", log_text("request", t->request_id));
		if (s->finished) /* its answer waits for the store as well, and settles what it is */
			return;
		stream_leave(s);
	}
	if (t->exchange && !s->exchange && !stream_show(t)) {
		ticket_leave_stream(t);
		stream_free(gateway.streams, s);
		return;
	}
	tell_shown(t);
	stream_pump(s);
}

/* ---- the stream of a call ---- */

static bool stream_begin(struct ticket *t)
{
	struct stream_set *set = t->by_header && !t->lone ? &t->session->streams : NULL;

	t->stream = stream_new(gateway.streams, set, t->self);
	if (!t->stream)
		return false;
	t->stream->holds = set != NULL;
	if (set)
		ticket_record(t);
	else if (!stream_show(t))
		stream_free(gateway.streams, TAKE(t->stream));
	return t->stream != NULL;
}

bool ticket_stream(struct ticket *t)
{
	OWNED_BY(THREAD_NET);
	if (t->stream)
		return true;
	if (!t->tell.may_stream || !t->exchange || t->cancelled)
		return false;
	return listener_room(t->account, t->tell.limits) && stream_begin(t);
}

bool ticket_event(struct ticket *t, struct slice data, bool last)
{
	struct stream *s = t->stream;

	if (!stream_append(gateway.streams, s, data, last, clock_now()))
		return false;
	if (s->holds && s->newest->number <= s->posted) /* the store has it: rendered again */
		stream_commit(s, s->newest->number);
	if (s->holds && t->journaled)
		events_post(t);
	if (last)
		ticket_leave_stream(t);
	stream_pump(s);
	return true;
}

void ticket_leave_stream(struct ticket *t)
{
	ticket_leave_exchange(t);
	t->stream->ticket = 0;
	t->stream = NULL;
}

/* Nothing more will come, not even a response: a legacy call that its client has cancelled. */
static void stream_abandon(struct ticket *t)
{
	struct stream *s = t->stream;
	struct listener *l;

	if (t->exchange && !s->exchange && !stream_show(t)) /* who waits is given where to come back for the rest */
		ticket_leave_exchange(t);
	l = s->exchange ? listener_by_exchange(s->exchange) : NULL;
	ticket_leave_stream(t);
	if (l) {
		l->stream = NULL;
		listener_close(l);
	}
	stream_free(gateway.streams, s);
}

/* Nobody has seen it yet: the answer goes out as any other. */
static bool stream_unseen(struct ticket *t)
{
	const struct stream *s = t->stream;

	return t->exchange && !s->exchange && (!s->first || !s->holds);
}

static void stream_drop(struct ticket *t)
{
	struct stream *s = TAKE(t->stream);

	s->ticket = 0;
	stream_free(gateway.streams, s);
}

void stream_taken(struct ticket *t)
{
	const struct stream *s = t->stream;

	if (t->exchange && !s->exchange && (!t->journaled || s->finished))
		stream_drop(t);
	else if (s->set)
		stream_abandon(t);
}

/* It is not in the store, and nobody can wait for that any more: one without ids. */
static void stream_hurry(struct ticket *t)
{
	stream_leave(t->stream);
	if (t->exchange && !t->stream->exchange && !stream_show(t))
		ticket_leave_exchange(t);
}

static const char too_large[] = "the answer does not fit into the stream's memory; ask for fewer rows";

/* False: not even that it is too large can be said. */
static bool event_too_large(struct ticket *t)
{
	struct mcp_fault fault = {ERR_OVERLOADED, too_large, NULL};
	struct answer instead;
	bool sent;

	answer_error(&instead, NULL, t->modern ? ERA_MODERN : ERA_LEGACY, slice_of(t->request_id), &fault);
	sent = ticket_event(t, buf_slice(&instead.body), true);
	answer_free(&instead);
	return sent;
}

/* Its answer was added when the work was over, and is shown now. */
static void stream_settled(struct ticket *t, struct answer *a)
{
	struct stream *s = t->stream;

	s->waits = false;
	if (t->recorded) {
		stream_commit(s, t->recorded);
	} else if (t->taken && s->holds) { /* else the store refused what was before, and nobody has taken anything */
		stream_abandon(t);
		return;
	} else {
		stream_leave(s);
		stream_take_back(gateway.streams, s); /* what is told now may be that it was refused */
		if (!a->body.n || !stream_append(gateway.streams, s, buf_slice(&a->body), true, clock_now())) {
			stream_abandon(t);
			return;
		}
	}
	if (t->exchange && !s->exchange && !stream_show(t))
		ticket_leave_exchange(t);
	ticket_leave_stream(t);
	stream_pump(s);
}

void ticket_finish(struct ticket *t, struct answer *a)
{
	if (t->taken && !t->stream->finished)
		stream_taken(t);
	if (!t->stream) {
		ticket_answer(t, a);
	} else if (t->stream->finished) {
		stream_settled(t, a);
	} else if (stream_unseen(t)) {
		stream_drop(t);
		ticket_answer(t, a);
	} else {
		if (ticket_unrecorded(t))
			stream_hurry(t);
		if (!a->body.n || (!ticket_event(t, buf_slice(&a->body), true) && !event_too_large(t)))
			stream_abandon(t);
	}
	answer_free(a);
}

bool answer_has_rows(const struct call *c)
{
	for (size_t i = 0; i < c->plan_n; i++)
		if (c->plan[i].rows_n > 0)
			return c->fault.err == ERR_OK && !c->answer.is_error && !c->change.wanted;
	return false;
}

/* The answer joins the stream, where it waits until the store has it. */
static void conclude_with(struct ticket *t, struct call *c)
{
	struct stream *s = t->stream;

	c->op.last = answer_has_rows(c) ? 'r' : 'l';
	reply_answer(c, t);
	if (!stream_append(gateway.streams, s, buf_slice(&c->http.body), true, clock_now())) {
		if (c->op.over) { /* its number stands for what it was: its client comes back when there is room */
			c->op.taken = true;
			return;
		}
		c->op.last = 'l';
		c->fault = (struct mcp_fault){ERR_OVERLOADED, too_large, NULL};
		answer_free(&c->http);
		reply_answer(c, t);
		if (!stream_append(gateway.streams, s, buf_slice(&c->http.body), true, clock_now())) {
			c->op.last = 0;
			return;
		}
	}
	s->posted = c->op.number = s->newest->number;
	s->waits = true;
}

void ticket_conclude(struct ticket *t, struct call *c)
{
	struct stream *s = t->stream;
	struct heard heard;

	if (*t->task.id)
		task_conclude(t, c);
	if (!s || !s->holds || t->cancelled)
		return;
	if (*t->operation &&
	    !c->op.version) /* the store refused it, and it is forgotten: nothing waits for the store */
		return;
	if (ticket_unrecorded(t)) {
		if (!c->op.version && stream_unseen(t)) {
			stream_drop(t);
			return;
		}
		heard = ticket_heard(t);
		journal_put(c, &heard);
		memcpy(t->operation, c->op.id, sizeof t->operation);
		t->journaled = true;
	}
	t->version = c->op.version;
	events_post(t);
	conclude_with(t, c);
}

void ticket_reopen(struct ticket *t, struct call *c)
{
	if (t->stream && t->stream->finished) {
		stream_take_back(gateway.streams, t->stream);
		t->stream->posted = c->op.number - 1;
	}
	t->version = c->op.version;
	t->task.last = 0;
	c->op.last = 0;
	c->op.number = 0;
	answer_free(&c->http);
	buf_clear(&c->result);
	buf_clear(&c->answer.text);
	buf_clear(&c->answer.structured);
	c->answer.meta = NULL;
}

bool stream_release(handle_t ticket)
{
	struct ticket *t = handle_get(gateway.tickets, ticket);
	struct listener *l;

	OWNED_BY(THREAD_NET);
	if (!t || !t->stream || !t->stream->exchange || !primes(t))
		return false;
	l = listener_by_exchange(t->stream->exchange);
	if (!listener_can_return(l))
		return false;
	ticket_leave_exchange(t);
	listener_close(l);
	return true;
}
