/* Calls whose answer becomes a stream of events. */
#include "gateway_internal.h"

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

/* The stream is there before its reader, so that whatever the transport says of him finds it. */
static bool stream_begin(struct ticket *t)
{
	struct stream_set *set = t->by_header && !t->lone ? &t->session->streams : NULL;
	struct listener *l;
	struct answer head;

	t->stream = stream_new(gateway.streams, set, t->self);
	if (!t->stream)
		return false;
	answer_init(&head, 200, "text/event-stream");
	if (set)
		answer_header(&head, "Mcp-Session-Id", "%s", t->session->id);
	l = listener_open(LISTENER_CALL, t->exchange, t->account, t->session, &head);
	if (!l) {
		stream_free(gateway.streams, TAKE(t->stream));
		return false;
	}
	l->stream = t->stream;
	t->stream->exchange = t->exchange;
	if (primes(t))
		stream_prime(l, 0);
	return true;
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

static void stream_pump(struct stream *s)
{
	struct listener *l = s->exchange ? listener_by_exchange(s->exchange) : NULL;

	if (l)
		listener_pump(l);
	else
		stream_forsake(s);
}

bool ticket_event(struct ticket *t, struct slice data, bool last)
{
	struct stream *s = t->stream;

	if (!stream_append(gateway.streams, s, data, last, clock_now()))
		return false;
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
	struct listener *l = s->exchange ? listener_by_exchange(s->exchange) : NULL;

	ticket_leave_stream(t);
	if (l) {
		l->stream = NULL;
		listener_close(l);
	}
	stream_free(gateway.streams, s);
}

void ticket_finish(struct ticket *t, struct answer *a)
{
	static const char *const too_large = "the answer does not fit into the stream's memory; ask for fewer rows";
	struct mcp_fault fault = {ERR_OVERLOADED, too_large, NULL};
	struct answer instead;

	if (a->body.n && ticket_event(t, buf_slice(&a->body), true)) {
		answer_free(a);
		return;
	}
	if (a->body.n) {
		answer_error(&instead, NULL, t->modern ? ERA_MODERN : ERA_LEGACY, slice_of(t->request_id), &fault);
		if (!ticket_event(t, buf_slice(&instead.body), true))
			stream_abandon(t);
		answer_free(&instead);
	} else {
		stream_abandon(t);
	}
	answer_free(a);
}

bool stream_release(handle_t ticket)
{
	struct ticket *t = handle_get(gateway.tickets, ticket);
	struct listener *l;

	OWNED_BY(THREAD_NET);
	if (!t || !t->stream || !t->stream->exchange || !primes(t))
		return false;
	l = listener_by_exchange(t->stream->exchange);
	if (!l->primed && !l->sent)
		return false;
	ticket_leave_exchange(t);
	listener_close(l);
	return true;
}
