/* Streams that answer no call: a session's GET, resumed or new, and subscriptions/listen. */
#include "gateway_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define STANDALONE_MAX 4 /* GET streams of one session */

static enum verdict refuse_room(struct call *c)
{
	const struct limits *l = c->request->policy->limits;

	return call_fail(c, ERR_OVERLOADED,
			 "too many event streams are open (limits.%s.streams is %lld; all together take at most three "
			 "quarters of listen.max_connections, one principal a quarter)",
			 l->name, (long long)l->streams);
}

/* From here on the exchange is the listener's. */
static struct listener *listen_open(struct call *c, struct ticket *t, enum listener_kind kind)
{
	handle_t exchange = t->exchange;
	struct listener *l;
	struct answer head;

	answer_init(&head, 200, "text/event-stream");
	if (kind != LISTENER_LISTEN)
		answer_header(&head, "Mcp-Session-Id", "%s", c->session_id);
	ticket_leave_exchange(t);
	c->http.status = head.status;
	l = listener_open(kind, exchange, t->account, kind == LISTENER_LISTEN ? NULL : t->session, &head);
	return l;
}

/* ---- resume ---- */

/* What cannot be gone on with is over: any other answer than 204 makes clients come back for ever. */
static enum verdict resume_refused(struct call *c, const char *outcome)
{
	metric_count(METRIC_resumes, outcome);
	log_event(LOG_INFO, "stream_not_resumed", log_text("request", c->request->id),
		  log_text("principal", c->request->principal.subject), log_text("reason", outcome));
	return call_goto(c, STEP_reply);
}

/* Only a reader of the same stream is displaced. */
static enum verdict resume_call(struct call *c, struct ticket *t, struct stream *s, uint64_t number)
{
	struct listener *l = s->exchange ? listener_by_exchange(s->exchange) : NULL;
	struct ticket *writer = handle_get(gateway.tickets, s->ticket);

	if (!l && !listener_room(t->account, c->request->policy->limits))
		return refuse_room(c);
	if (l) {
		if (writer)
			ticket_leave_exchange(writer);
		l->stream = NULL;
		listener_close(l);
		s->exchange = 0;
	}
	metric_count(METRIC_resumes, "resumed");
	s->exchange = t->exchange;
	l = listen_open(c, t, LISTENER_CALL);
	if (!l) {
		s->exchange = 0;
		return call_goto(c, STEP_reply);
	}
	l->stream = s;
	l->sent = number;
	l->primed = true;
	if (writer)
		ticket_take_exchange(writer, l->exchange);
	if (c->revision >= REVISION_2025_11_25)
		stream_prime(l, number);
	listener_pump(l);
	return call_goto(c, STEP_reply);
}

/* "l.1.2.3.4", each number at most what has been counted: what this session was told. Another replica counts otherwise:
 * who was told there is behind here. */
static bool state_read_id(const char *text, uint64_t v[CHANGES_N + 1])
{
	for (int i = 0; i <= CHANGES_N; i++) {
		char *end;

		text += i ? 0 : 1;
		if (*text != '.' || !isdigit((unsigned char)text[1]) ||
		    (text[1] == '0' && isdigit((unsigned char)text[2])))
			return false;
		v[i] = strtoull(text + 1, &end, 10);
		if (end - text > 20 || (v[i] > gateway.listeners.now[i] && !store_shared()))
			return false;
		text = end;
	}
	return *text == '\0';
}

static size_t standalone_count(const struct session *s)
{
	size_t n = 0;

	for (const struct listener *l = s->listeners; l; l = l->older)
		n++;
	return n;
}

static enum verdict get_standalone(struct call *c, struct ticket *t)
{
	struct session *s = t->session;
	struct listener *l;

	if (!listener_room(t->account, c->request->policy->limits))
		return refuse_room(c);
	if (standalone_count(s) >= STANDALONE_MAX)
		return call_fail(c, ERR_OVERLOADED, "this session has %d standalone streams open already",
				 STANDALONE_MAX);
	l = listen_open(c, t, LISTENER_GET);
	if (l && (s->revision < REVISION_2025_11_25 || listener_prime(l)))
		listener_pump(l);
	return call_goto(c, STEP_reply);
}

static enum verdict get_resumed(struct call *c, struct ticket *t, const char *last)
{
	uint64_t number, state[CHANGES_N + 1];
	char id[STREAM_ID_SIZE];
	struct stream *s;

	if (*last == 'l' && state_read_id(last, state)) {
		memcpy(t->session->told, state, sizeof state);
		metric_count(METRIC_resumes, "resumed");
		return get_standalone(c, t);
	}
	if (!stream_event_id_read(slice_of(last), id, &number))
		return resume_refused(c, "unknown");
	s = stream_find(&t->session->streams, id, number);
	if (!s && !c->sought)
		return call_goto(c, STEP_resume);
	if (!s && c->found && adopt_stream(c, t->session))
		s = stream_find(&t->session->streams, id, number);
	if (!s)
		return c->fault.err == ERR_OK ? resume_refused(c, "unknown") : call_goto(c, STEP_reply);
	return stream_over(s, number) ? resume_refused(c, "over") : resume_call(c, t, s, number);
}

enum verdict bind_get(struct call *c)
{
	struct ticket *t = ticket_of(c);
	const char *last = c->request->mcp.last_event_id;

	if (gateway.phase != PHASE_SERVING) /* since it was asked of the store */
		return call_fail(c, ERR_DRAINING, DRAINING_TEXT);
	if (!request_accepts(c->request, TYPE_STREAM))
		return call_fail(c, ERR_NOT_ACCEPTABLE, "a GET is answered with text/event-stream; accept it");
	return last ? get_resumed(c, t, last) : get_standalone(c, t);
}

enum verdict step_resumed(struct call *c)
{
	if (c->request->method == HTTP_GET)
		return bind_get(c);
	if (c->method == MCP_LISTEN)
		return bind_listen(c);
	return c->method == MCP_TOOLS_CALL ? bind_again(c) : bind_task(c);
}

/* ---- subscriptions/listen ---- */

static const char *text_put(char **at, const char *text)
{
	size_t n = strlen(text) + 1;
	char *put = memcpy(*at, text, n);

	*at += n;
	return put;
}

/* One allocation: the subscription, its texts behind it. */
static struct subscription *subscription_new(const struct listen *l, const char *const *canonical, struct slice id)
{
	size_t size = sizeof(struct subscription) + id.n;
	struct subscription *s;
	char *at;

	for (size_t i = 0; i < l->uris_n; i++)
		size += strlen(l->uris[i]) + strlen(canonical[i]) + 2;
	size += l->tasks_n * TASK_ID_SIZE;
	s = xalloc(size);
	s->listen = *l;
	memcpy(s->told, gateway.listeners.now, sizeof s->told);
	at = (char *)(s + 1);
	memcpy(at, id.data, id.n);
	s->id = (struct slice){at, id.n};
	at += id.n;
	for (size_t i = 0; i < l->uris_n; i++) {
		s->listen.uris[i] = text_put(&at, l->uris[i]);
		s->canonical[i] = text_put(&at, canonical[i]);
	}
	for (size_t i = 0; i < l->tasks_n; i++)
		s->listen.tasks[i] = text_put(&at, l->tasks[i]);
	return s;
}

/* What this principal may not read it cannot be told of. */
static void drop_foreign(struct call *c, struct listen *l, const char **canonical)
{
	const char *why;
	size_t n = 0;

	for (size_t i = 0; i < l->uris_n; i++) {
		if (!resource_uri_valid(c->arena, c->request->policy, l->uris[i], &why))
			continue;
		canonical[n] = resource_uri_canonical(c->arena, l->uris[i]);
		l->uris[n++] = l->uris[i];
	}
	l->uris_n = n;
}

enum verdict bind_listen(struct call *c)
{
	struct ticket *t = ticket_of(c);
	struct buf b = buf_with_ceiling(1 << 20);
	struct listener *l;
	const char *canonical[LISTEN_URIS_MAX];
	struct listen want;

	if (listen_read(c->arena, &c->rpc, &want, &c->fault) != ERR_OK)
		return call_goto(c, STEP_reply);
	if (!request_accepts(c->request, TYPE_STREAM))
		return call_fail(c, ERR_NOT_ACCEPTABLE,
				 "subscriptions/listen is answered with text/event-stream; "
				 "accept it");
	if (!listener_room(t->account, c->request->policy->limits))
		return refuse_room(c);
	drop_foreign(c, &want, canonical);
	if (!task_listen(c, &want))
		return call_goto(c, STEP_resume);
	l = listen_open(c, t, LISTENER_LISTEN);
	if (l) {
		l->wanted = subscription_new(&want, canonical, c->rpc.id);
		acknowledged_write(&b, &want, c->rpc.id);
		if (gateway.transport->stream_send(gateway.transport, l->exchange,
						   &(struct sse_event){.data = buf_slice(&b)}) == STREAM_FULL)
			listener_close(l); /* nothing may come before the acknowledgement */
		else
			task_listened(c, l);
	}
	buf_free(&b);
	return call_goto(c, STEP_reply);
}

/* ---- resources/subscribe and unsubscribe ---- */

enum verdict bind_subscribe(struct call *c, bool on)
{
	const char *uri = json_text_of(c->rpc.params, "uri"), *why = NULL;
	struct session *s = ticket_of(c)->session;

	if (!uri)
		return call_fail(c, ERR_INVALID_PARAMS, "uri: must be there and be a string");
	if (!s)
		return call_fail(c, ERR_NO_SESSION, "subscriptions belong to a session; send its Mcp-Session-Id");
	if (on && !resource_uri_valid(c->arena, c->request->policy, uri, &why))
		return call_fail(c, ERR_INVALID_PARAMS, "uri: %s", why);
	if (!on)
		session_unwatch(s, uri);
	else if (!session_watch(s, uri, gateway.listeners.now[CHANGES_N]))
		return call_fail(
		    c, ERR_INVALID_PARAMS,
		    "a session watches at most %d resources, %zu bytes of URIs in all; unsubscribe from one",
		    SESSION_WATCHED_MAX, SESSION_WATCHED_BYTES);
	s->version++;
	durable_session(c, s);
	if (!empty_result_write(&c->result, c->revision))
		return call_fail(c, ERR_INTERNAL, "the answer does not fit");
	return call_goto(c, STEP_event);
}
