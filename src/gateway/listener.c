/* Open event streams: their birth, what goes out on them, and their death. */
#include "gateway_internal.h"

#include <string.h>

static struct listener **bucket(handle_t exchange)
{
	return &gateway.listeners.by_exchange[(exchange ^ exchange >> 32) % ARRAY_LEN(gateway.listeners.by_exchange)];
}

static const char *label(enum listener_kind kind)
{
	static const char *const labels[] = {
	    [LISTENER_CALL] = "call", [LISTENER_GET] = "get", [LISTENER_LISTEN] = "listen"};

	return labels[kind];
}

/* ---- birth ---- */

bool listener_room(const struct account *a, const struct limits *l)
{
	int64_t share = gateway.conf->listen_max_connections / 4;

	if (gateway.listeners.n >= gateway.transport->streams_max(gateway.transport))
		return false;
	return a->streams < l->streams && a->streams < (share ? share : 1);
}

/* Last in the order of age. */
static void listener_enlist(struct listener *l)
{
	struct listeners *all = &gateway.listeners;

	l->opened = clock_now();
	l->next = NULL;
	l->prev = all->newest;
	*(l->prev ? &l->prev->next : &all->oldest) = l;
	all->newest = l;
}

static void listener_delist(struct listener *l)
{
	struct listeners *all = &gateway.listeners;

	*(l->prev ? &l->prev->next : &all->oldest) = l->next;
	*(l->next ? &l->next->prev : &all->newest) = l->prev;
	if (all->walk == l)
		all->walk = l->next;
}

static void listener_link(struct listener *l)
{
	struct listener **at = bucket(l->exchange);

	l->by_exchange = *at;
	*at = l;
	listener_enlist(l);
	gateway.listeners.n++;
	metric_add(METRIC_streams, label(l->kind), 1);
}

static void lifetime_over(struct timer *t);

/* All listeners live equally long, so the oldest is the next to go. */
static void ageing_set(void)
{
	const struct listener *l = gateway.listeners.oldest;

	gateway.listeners.ageing.fire = lifetime_over;
	timer_stop(&gateway.listeners.ageing);
	if (l && gateway.conf->mcp_stream_lifetime > 0)
		timer_set(gateway.wheel, &gateway.listeners.ageing, l->opened + gateway.conf->mcp_stream_lifetime);
}

void listeners_configure(void)
{
	ageing_set();
}

struct listener *listener_open(enum listener_kind kind, handle_t exchange, struct account *a, struct session *s,
			       struct answer *head)
{
	struct listener *l;

	OWNED_BY(THREAD_NET);
	if (!gateway.transport->stream_open(gateway.transport, exchange, head))
		return NULL;
	l = xalloc(sizeof *l);
	*l = (struct listener){.kind = kind, .exchange = exchange, .account = a, .session = s};
	a->streams++;
	if (s)
		session_call_opened(s);
	if (kind == LISTENER_GET) {
		l->older = s->listeners;
		s->listeners = l;
	}
	listener_link(l);
	if (gateway.listeners.oldest == l)
		ageing_set();
	return l;
}

struct listener *listener_by_exchange(handle_t exchange)
{
	struct listener *l = *bucket(exchange);

	while (l && l->exchange != exchange)
		l = l->by_exchange;
	return l;
}

/* ---- death ---- */

static void listener_unlink(struct listener *l)
{
	struct listener **at = bucket(l->exchange);

	while (*at != l)
		at = &(*at)->by_exchange;
	*at = l->by_exchange;
	listener_delist(l);
	gateway.listeners.n--;
	metric_add(METRIC_streams, label(l->kind), -1);
}

/* The standalone stream that was opened before takes over, and what this one was too slow to be told. */
static void listener_leave_session(struct listener *l)
{
	struct session *s = l->session;

	if (!s)
		return;
	if (l->kind == LISTENER_GET) {
		struct listener **at = &s->listeners;

		while (*at != l)
			at = &(*at)->older;
		*at = l->older;
		if (s->listeners && memcmp(s->told, gateway.listeners.now, sizeof s->told) != 0)
			changes_walk();
	}
	session_call_closed(gateway.sessions, s);
}

static void listener_free(struct listener *l)
{
	listener_unlink(l);
	listener_leave_session(l);
	l->account->streams--;
	free(l->wanted);
	free(l);
}

void listener_close(struct listener *l)
{
	struct stream *s = l->stream;

	OWNED_BY(THREAD_NET);
	gateway.transport->stream_end(gateway.transport, l->exchange);
	if (s) { /* before the listener, which may be the last to hold an ended session with its streams */
		s->exchange = 0;
		stream_forsake(s);
	}
	listener_free(l);
}

/* Legacy: who leaves may come back for a stream with ids; what goes on one without them finds nobody any more. */
void listener_gone(struct listener *l)
{
	struct stream *s = l->stream;
	struct ticket *t = s ? handle_get(gateway.tickets, s->ticket) : NULL;
	bool resumable = s && s->set;

	if (s) { /* before the listener, as in listener_close() */
		s->exchange = 0;
		if (t && resumable)
			ticket_leave_exchange(t);
		else if (t)
			ticket_leave_stream(t);
		stream_forsake(s);
	}
	listener_free(l);
	if (t && !resumable)
		ticket_left(t);
}

void listeners_end_session(struct session *s)
{
	while (s->listeners)
		listener_close(s->listeners);
}

/* ---- what is sent ---- */

enum stream_sent listener_send(const struct listener *l, const struct sse_event *e)
{
	return gateway.transport->stream_send(gateway.transport, l->exchange, e);
}

/* What became of a send; false where the listener is no more. */
bool listener_stays(struct listener *l, enum stream_sent sent)
{
	if (sent == STREAM_GONE)
		listener_gone(l);
	return sent != STREAM_GONE;
}

static void pump_call(struct listener *l)
{
	struct stream *s = l->stream;
	const struct stream_event *e;
	char id[STREAM_EVENT_ID_SIZE];

	while ((e = stream_after(s, l->sent))) {
		bool last = e->last;
		struct sse_event out = {.data = {e->data, e->n}};
		enum stream_sent sent;

		stream_event_id(id, s, e->number);
		if (*id)
			out.id = slice_of(id);
		sent = listener_send(l, &out);
		if (!listener_stays(l, sent) || sent == STREAM_FULL)
			return;
		l->sent = e->number;
		stream_sent(gateway.streams, s, l->sent);
		if (last) {
			listener_close(l);
			return;
		}
	}
	if (stream_over(s, l->sent)) /* read to its end before */
		listener_close(l);
}

void listener_pump(struct listener *l)
{
	OWNED_BY(THREAD_NET);
	if (l->kind == LISTENER_CALL)
		pump_call(l);
	else
		listener_tell(l);
}

/* ---- the end of a life ---- */

/* The graceful end: a subscription gets its result. */
static void listener_finish(struct listener *l)
{
	struct buf result = buf_with_ceiling(8192), b = buf_with_ceiling(16384);

	if (l->kind == LISTENER_LISTEN && listen_result_write(&result, l->wanted->id) &&
	    rpc_write_result(&b, l->wanted->id, buf_slice(&result)))
		(void)listener_send(l, &(struct sse_event){.data = buf_slice(&b)});
	buf_free(&result);
	buf_free(&b);
	listener_close(l);
}

/* A call's stream whose reader could not come back for the rest stays, for another life. */
static void listener_retire(struct listener *l)
{
	if (l->kind != LISTENER_CALL)
		listener_finish(l);
	else if (!stream_release(l->stream->ticket)) {
		listener_delist(l);
		listener_enlist(l);
	}
}

static void lifetime_over(struct timer *t)
{
	usec_t born_before = clock_now() - gateway.conf->mcp_stream_lifetime;

	(void)t;
	for (struct listener *l = gateway.listeners.oldest, *next; l && l->opened <= born_before; l = next) {
		next = l->next;
		listener_retire(l);
	}
	ageing_set();
}

bool listener_can_return(const struct listener *l)
{
	return l->primed || l->sent;
}

void listeners_drain(void)
{
	for (struct listener *l = gateway.listeners.oldest, *next; l; l = next) {
		next = l->next;
		if (l->kind != LISTENER_CALL)
			listener_finish(l);
	}
}
