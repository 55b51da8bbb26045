/* Open event streams: who reads, what he has been told, and the walk that tells everybody of a change. */
#include "gateway_internal.h"

#include <string.h>

#define WALK_SLICE 100 /* listeners told in one turn of the loop */

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
	if (l && gateway.conf->mcp_stream_lifetime > 0)
		timer_set(gateway.wheel, &gateway.listeners.ageing, l->opened + gateway.conf->mcp_stream_lifetime);
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

static void walk_begin(void);

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
			walk_begin();
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
	for (struct listener *l = gateway.listeners.oldest, *next; l; l = next) {
		next = l->next;
		if (l->session == s && l->kind == LISTENER_GET)
			listener_close(l);
	}
}

/* ---- what is sent ---- */

static enum stream_sent send(const struct listener *l, const struct sse_event *e)
{
	return gateway.transport->stream_send(gateway.transport, l->exchange, e);
}

/* What became of a send; false where the listener is no more. */
static bool sent_well(struct listener *l, enum stream_sent sent)
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
		sent = send(l, &out);
		if (!sent_well(l, sent) || sent == STREAM_FULL)
			return;
		l->sent = e->number;
		stream_sent(gateway.streams, s, l->sent);
		if (last) {
			listener_close(l);
			return;
		}
	}
	if (s->finished) /* read to its end before */
		listener_close(l);
}

/* Where a listener of changes stands: a subscription by itself, a GET with its session. Older GETs are told nothing. */
static uint64_t *told(struct listener *l)
{
	if (l->kind == LISTENER_LISTEN)
		return l->wanted->told;
	return l->session->listeners == l ? l->session->told : NULL;
}

static bool wants_change(const struct listener *l, int change)
{
	return l->kind == LISTENER_GET || l->wanted->listen.changes[change];
}

/* The i-th URI that a listener asked for, NULL behind the last; *since: the updates before it was. */
static const char *wanted_uri(const struct listener *l, size_t i, uint64_t *since)
{
	*since = 0;
	if (l->kind == LISTENER_LISTEN)
		return i < l->wanted->listen.uris_n ? l->wanted->listen.uris[i] : NULL;
	if (i >= l->session->watched.n)
		return NULL;
	*since = l->session->watched.v[i].since;
	return l->session->watched.v[i].uri;
}

/* The subscriber's own spelling of the resource of this update, or NULL. */
static const char *wants_update(const struct listener *l, const char *uri, uint64_t number)
{
	struct arena *a = NULL;
	const char *wanted, *found = NULL;
	uint64_t since;

	for (size_t i = 0; !found && (wanted = wanted_uri(l, i, &since)); i++) {
		a = a ? a : arena_new(1 << 20);
		if (number > since && (strcmp(wanted, uri) == 0 || resource_uri_names(a, wanted, uri)))
			found = wanted;
	}
	arena_free(a);
	return found;
}

/* The id of a standalone stream's event says what its reader has been told, so that he can be told the rest. */
static void state_id(char id[STATE_ID_SIZE], const uint64_t v[CHANGES_N + 1])
{
	snprintf(id, STATE_ID_SIZE, "l.%llu.%llu.%llu.%llu", (unsigned long long)v[0], (unsigned long long)v[1],
		 (unsigned long long)v[2], (unsigned long long)v[3]);
}

static enum stream_sent send_state(struct listener *l, const uint64_t *v, struct slice data, int64_t retry_ms)
{
	struct sse_event e = {.data = data, .retry_ms = retry_ms};
	char id[STATE_ID_SIZE];

	state_id(id, v);
	if (l->kind == LISTENER_GET)
		e.id = slice_of(id);
	return send(l, &e);
}

bool listener_prime(struct listener *l)
{
	return sent_well(l, send_state(l, l->session->told, (struct slice){0}, gateway.conf->mcp_retry / USEC_PER_MS));
}

static enum stream_sent tell_change(struct listener *l, uint64_t *v, int change)
{
	struct buf b = buf_with_ceiling(4096);
	uint64_t next[CHANGES_N + 1];
	enum stream_sent sent;

	memcpy(next, v, sizeof next);
	next[change] = gateway.listeners.now[change];
	list_changed_write(&b, (enum change)change, l->wanted ? l->wanted->id : (struct slice){0});
	sent = send_state(l, next, buf_slice(&b), 0);
	buf_free(&b);
	if (sent == STREAM_SENT)
		v[change] = next[change];
	return sent;
}

static enum stream_sent tell_update(struct listener *l, uint64_t *v, uint64_t number, const char *uri)
{
	struct buf b = buf_with_ceiling(16384);
	uint64_t next[CHANGES_N + 1];
	enum stream_sent sent;

	memcpy(next, v, sizeof next);
	next[CHANGES_N] = number;
	resource_updated_write(&b, uri, l->wanted ? l->wanted->id : (struct slice){0});
	sent = send_state(l, next, buf_slice(&b), 0);
	buf_free(&b);
	return sent;
}

/* The updates that are still known; who is further behind has missed some, and asks again when he comes to it. */
static enum stream_sent tell_updates(struct listener *l, uint64_t *v)
{
	const uint64_t last = gateway.listeners.now[CHANGES_N], kept = ARRAY_LEN(gateway.listeners.updated.uri);

	if (last - v[CHANGES_N] > kept)
		v[CHANGES_N] = last - kept;
	while (v[CHANGES_N] < last) {
		const char *uri = gateway.listeners.updated.uri[(v[CHANGES_N] + 1) % kept];
		enum stream_sent sent = STREAM_SENT;

		uri = uri ? wants_update(l, uri, v[CHANGES_N] + 1) : NULL;
		if (uri)
			sent = tell_update(l, v, v[CHANGES_N] + 1, uri);
		if (sent != STREAM_SENT)
			return sent;
		v[CHANGES_N]++;
	}
	return STREAM_SENT;
}

static void pump_changes(struct listener *l)
{
	enum stream_sent sent = STREAM_SENT;
	uint64_t *v = told(l);

	if (!v)
		return;
	for (int i = 0; i < CHANGES_N && sent == STREAM_SENT; i++)
		if (v[i] != gateway.listeners.now[i] && wants_change(l, i))
			sent = tell_change(l, v, i);
	if (sent == STREAM_SENT)
		sent = tell_updates(l, v);
	(void)sent_well(l, sent);
}

void listener_pump(struct listener *l)
{
	OWNED_BY(THREAD_NET);
	if (l->kind == LISTENER_CALL)
		pump_call(l);
	else
		pump_changes(l);
}

/* ---- changes ---- */

/* In slices, so that short calls go on between them. */
static void walk_on(struct timer *t)
{
	struct listeners *all = &gateway.listeners;

	for (int i = 0; i < WALK_SLICE && all->walk; i++) {
		struct listener *l = all->walk;

		all->walk = l->next;
		if (l->kind != LISTENER_CALL)
			listener_pump(l);
	}
	if (all->walk)
		timer_set(gateway.wheel, t, clock_now());
}

static void walk_begin(void)
{
	struct listeners *all = &gateway.listeners;

	all->walk = all->oldest;
	all->walking.fire = walk_on;
	timer_set(gateway.wheel, &all->walking, clock_now());
}

void notify_changed(enum change change)
{
	OWNED_BY(THREAD_NET);
	gateway.listeners.now[change]++;
	walk_begin();
}

/* Only the last update of a resource is worth telling. */
static void updated_forget(const char *uri)
{
	char **v = gateway.listeners.updated.uri;

	for (size_t i = 0; i < ARRAY_LEN(gateway.listeners.updated.uri); i++)
		if (v[i] && strcmp(v[i], uri) == 0)
			free(TAKE(v[i]));
}

void notify_updated(const char *uri)
{
	struct listeners *all = &gateway.listeners;
	char **at;

	OWNED_BY(THREAD_NET);
	updated_forget(uri);
	at = &all->updated.uri[++all->now[CHANGES_N] % ARRAY_LEN(all->updated.uri)];
	free(*at);
	*at = xstrdup(uri);
	walk_begin();
}

/* ---- the end of a life ---- */

/* The graceful end: a subscription gets its result. */
static void listener_finish(struct listener *l)
{
	struct buf result = buf_with_ceiling(8192), b = buf_with_ceiling(16384);

	if (l->kind == LISTENER_LISTEN && listen_result_write(&result, l->wanted->id) &&
	    rpc_write_result(&b, l->wanted->id, buf_slice(&result)))
		(void)send(l, &(struct sse_event){.data = buf_slice(&b)});
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

void listeners_drain(void)
{
	for (struct listener *l = gateway.listeners.oldest, *next; l; l = next) {
		next = l->next;
		if (l->kind != LISTENER_CALL)
			listener_finish(l);
	}
}
