/* Exchanges: a message becomes a request, its answer or its events become lines, and what HTTP clients keep in headers
 * is kept here. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "snowgate/log.h"
#include "snowgate/metric.h"
#include "stdio_internal.h"

/* ---- the list ---- */

static void link_last(struct stdio *s, struct visit *v)
{
	v->next = NULL;
	v->prev = s->newest;
	*(s->newest ? &s->newest->next : &s->first) = v;
	s->newest = v;
}

static void unlink_one(struct stdio *s, struct visit *v)
{
	*(v->prev ? &v->prev->next : &s->first) = v->next;
	*(v->next ? &v->next->prev : &s->newest) = v->prev;
}

static struct visit *visit_new(struct stdio *s, enum visit_kind kind)
{
	struct visit *v = xalloc(sizeof(*v));

	v->magic = VISIT_MAGIC;
	v->kind = kind;
	v->handle = handle_add(s->visits, v);
	if (!v->handle) {
		free(v);
		return NULL;
	}
	link_last(s, v);
	s->visits_n++;
	s->clients_n += kind == VISIT_CLIENT;
	return v;
}

static void visit_end(struct stdio *s, struct visit *v)
{
	CHECK(v, VISIT_MAGIC);
	if (v->handle == s->handshake)
		s->handshake = 0;
	if (v->handle == s->standing)
		s->standing = 0;
	if (v->handle == s->goodbye)
		s->goodbye = 0;
	handle_drop(s->visits, v->handle);
	unlink_one(s, v);
	s->visits_n--;
	s->clients_n -= v->kind == VISIT_CLIENT;
	v->magic = 0;
	free(v->id);
	free(v);
}

void visit_free_all(struct stdio *s)
{
	while (s->first)
		visit_end(s, s->first);
}

void visit_depart(struct stdio *s, struct visit *v)
{
	handle_t handle = v->handle;

	visit_end(s, v);
	if (!s->off)
		s->ops.gone(s->ops.ctx, handle);
}

/* gone() may end others, so the list is begun anew each time. */
static struct visit *first_client(const struct stdio *s)
{
	for (struct visit *v = s->first; v; v = v->next) {
		if (v->kind == VISIT_CLIENT)
			return v;
	}
	return NULL;
}

void visit_depart_clients(struct stdio *s)
{
	struct visit *v;

	while ((v = first_client(s))) {
		s->left_behind++;
		visit_depart(s, v);
	}
}

bool visit_cancel(struct stdio *s, struct slice id)
{
	for (struct visit *v = s->first; v; v = v->next) {
		if (v->modern && v->id && slice_is(id, v->id)) {
			visit_depart(s, v);
			return true;
		}
	}
	return false;
}

/* ---- lines out ---- */

static bool write_error(struct buf *b, struct slice id, enum err err, const char *message)
{
	return rpc_write_error(b, id, err_info(err)->rpc_legacy, message, NULL);
}

/* To a request: with its id. Otherwise the receiver's form of an error without one. */
void stdio_refuse(struct stdio *s, struct slice id, enum err err, const char *message)
{
	struct answer a;

	answer_init(&a, err_info(err)->http, "application/json");
	if (id.data)
		write_error(&a.body, id, err, message);
	else
		s->ops.refuse(s->ops.ctx, &a, err, message);
	log_event(LOG_INFO, "stdio_refused", log_text("reason", message));
	output_put(&s->out, buf_slice(&a.body));
	answer_free(&a);
}

/* A refusal that was made before the message was read has no id, and over HTTP needs none. Here nothing else tells the
 * client which request it answers. */
static bool put_with_id(struct stdio *s, const struct visit *v, struct slice body)
{
	struct slice error = body.n <= CHUNK ? json_raw_member(body, "error") : (struct slice){0};
	struct buf b = buf_with_ceiling(2 * CHUNK);
	bool put;

	if (!v->id || !error.data || json_raw_member(body, "id").data)
		return false;
	put = buf_addf(&b, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":", v->id) && buf_add(&b, error.data, error.n) &&
	      buf_addc(&b, '}');
	if (put)
		output_put(&s->out, buf_slice(&b));
	buf_free(&b);
	return put;
}

static void put_answer(struct stdio *s, const struct visit *v, const struct answer *a)
{
	struct slice body = buf_slice(&a->body), id = slice_of(v->id);

	if (buf_failed(&a->body))
		stdio_refuse(s, id, ERR_INTERNAL, "the answer is larger than an answer may be");
	else if (!body.n || !a->content_type || strncmp(a->content_type, "application/json", 16) != 0)
		return;
	else if (s->out.lines.n + body.n > OUTBOX_HARD)
		stdio_refuse(s, id, ERR_OVERLOADED, "too many answers wait for the client to read them");
	else if (!put_with_id(s, v, body))
		output_put(&s->out, body);
}

/* ---- requests ---- */

static struct request *request_make(struct stdio *s, enum http_method method)
{
	struct request *rq = request_new(s->conf, REQUEST_ARENA);

	rq->method = method;
	rq->mcp.none = true;
	rq->local = true;
	memcpy(rq->peer, "stdio", sizeof("stdio"));
	if (s->session[0])
		rq->mcp.session_id = arena_strdup(rq->arena, s->session);
	return rq;
}

/* Authenticates and passes on; `rq` is taken. What comes back by then may have ended `v`. */
static void submit(struct stdio *s, struct visit *v, struct request *rq)
{
	handle_t handle = v->handle;
	struct answer refusal;

	answer_init(&refusal, err_info(ERR_UNAUTHORIZED)->http, "application/json");
	if (s->ops.head(s->ops.ctx, rq, &refusal)) {
		answer_free(&refusal);
		s->ops.request(s->ops.ctx, handle, rq);
		return;
	}
	request_free(rq);
	(void)visit_answer(&s->transport, handle, &refusal);
}

/* A batch and what is no message are answered, too. */
static bool has_room(const struct stdio *s, const struct glance *g)
{
	return !g->answered || s->clients_n < VISITS_MAX;
}

void visit_client(struct stdio *s, struct slice message, const struct glance *g)
{
	bool initialize = g->id.data && !g->modern && strcmp(g->method, "initialize") == 0;
	struct visit *v = has_room(s, g) ? visit_new(s, VISIT_CLIENT) : NULL;
	struct request *rq;

	if (!v) {
		stdio_refuse(s, g->id, ERR_OVERLOADED, "too many requests at once; try again when some are answered");
		return;
	}
	if (g->id.data)
		v->id = xstrndup(g->id.data, g->id.n);
	v->modern = g->id.data && g->modern;
	v->listen = v->modern && strcmp(g->method, "subscriptions/listen") == 0;
	rq = request_make(s, HTTP_POST);
	rq->content_type = "application/json";
	rq->accept = "application/json, text/event-stream";
	buf_add(&rq->body, message.data, message.n); /* within listen.max_body, as input.c has it */
	if (initialize) {
		rq->mcp.session_id = NULL;
		s->handshake = v->handle;
	}
	submit(s, v, rq);
}

void visit_standing(struct stdio *s)
{
	struct request *rq;
	struct visit *v;

	if (!s->session[0] || s->standing || s->stage != STAGE_OPEN || input_closed(s) || s->off)
		return;
	timer_stop(&s->again);
	v = visit_new(s, VISIT_STANDING);
	if (!v)
		return;
	s->standing = v->handle;
	rq = request_make(s, HTTP_GET);
	rq->accept = "text/event-stream";
	submit(s, v, rq);
}

void visit_again(struct timer *timer)
{
	visit_standing(container_of(timer, struct stdio, again));
}

void visit_goodbye(struct stdio *s)
{
	struct request *rq;
	struct visit *v;

	if (!s->session[0])
		return;
	rq = request_make(s, HTTP_DELETE);
	s->session[0] = '\0';
	v = visit_new(s, VISIT_GOODBYE);
	if (!v) {
		request_free(rq);
		return;
	}
	s->goodbye = v->handle;
	submit(s, v, rq);
}

/* ---- the session ---- */

static void standing_end(struct stdio *s)
{
	struct visit *v = handle_get(s->visits, s->standing);

	timer_stop(&s->again);
	if (v)
		visit_depart(s, v);
}

/* A session is what an initialize is answered with. A client that shakes hands anew is done with the one it had. */
static void session_learn(struct stdio *s, const struct visit *v, const struct answer *a)
{
	if (v->handle != s->handshake)
		return;
	for (size_t i = 0; i < a->headers_n; i++) {
		const char *id = a->headers[i].value;

		if (strcasecmp(a->headers[i].name, "Mcp-Session-Id") != 0 || strcmp(id, s->session) == 0)
			continue;
		standing_end(s);
		visit_goodbye(s);
		(void)snprintf(s->session, sizeof(s->session), "%s", id);
	}
}

/* Its result says that a subscription ended in order (specification 2026-07-28, subscriptions, graceful closure). */
static void listen_over(struct stdio *s, const struct visit *v)
{
	struct buf result = buf_with_ceiling(CHUNK), b = buf_with_ceiling(CHUNK);
	struct slice id = slice_of(v->id);

	if (v->stream && id.data && listen_result_write(&result, id) && rpc_write_result(&b, id, buf_slice(&result)))
		output_put(&s->out, buf_slice(&b));
	buf_free(&result);
	buf_free(&b);
}

static struct visit *first_listener(const struct stdio *s)
{
	for (struct visit *v = s->first; v; v = v->next) {
		if (v->listen)
			return v;
	}
	return NULL;
}

void visit_end_listeners(struct stdio *s)
{
	struct visit *v;

	while ((v = first_listener(s))) {
		listen_over(s, v);
		visit_depart(s, v);
	}
	standing_end(s);
}

/* ---- answers ---- */

bool visit_answer(struct transport *t, handle_t exchange, struct answer *answer)
{
	struct stdio *s = stdio_of(t);
	struct visit *v = handle_get(s->visits, exchange);

	if (!v) {
		answer_free(answer);
		return false;
	}
	CHECK(v, VISIT_MAGIC);
	if (v->kind == VISIT_CLIENT)
		put_answer(s, v, answer);
	session_learn(s, v, answer);
	visit_end(s, v);
	answer_free(answer);
	return true;
}

bool visit_stream_open(struct transport *t, handle_t exchange, struct answer *head)
{
	struct stdio *s = stdio_of(t);
	struct visit *v = handle_get(s->visits, exchange);

	if (v) {
		CHECK(v, VISIT_MAGIC);
		v->stream = true;
		session_learn(s, v, head);
	}
	answer_free(head);
	return v != NULL;
}

enum stream_sent visit_stream_send(struct transport *t, handle_t exchange, const struct sse_event *event)
{
	struct stdio *s = stdio_of(t);
	struct visit *v = handle_get(s->visits, exchange);

	if (!v)
		return STREAM_GONE;
	CHECK(v, VISIT_MAGIC);
	if (!event->data.n)
		return STREAM_SENT;
	if (s->out.lines.n > OUTBOX_SOFT || (s->out.lines.n && s->out.lines.n + event->data.n > OUTBOX_HARD)) {
		v->waiting = true;
		unlink_one(s, v);
		link_last(s, v); /* the next to be told is who has waited longest */
		return STREAM_FULL;
	}
	output_put(&s->out, event->data);
	metric_count(METRIC_stream_events, NULL);
	return STREAM_SENT;
}

/* A standing stream that was there is opened again as clients over HTTP do it: after the time that they are told. */
void visit_stream_end(struct transport *t, handle_t exchange)
{
	struct stdio *s = stdio_of(t);
	struct visit *v = handle_get(s->visits, exchange);

	if (!v)
		return;
	if (v->handle == s->standing)
		timer_set(s->wheel, &s->again, clock_now() + s->conf->mcp_retry);
	visit_end(s, v);
}

static struct visit *first_waiting(const struct stdio *s)
{
	for (struct visit *v = s->first; v; v = v->next) {
		if (v->waiting && v->round != s->round)
			return v;
	}
	return NULL;
}

/* Each stream once in a round, since room() may fill the outbox again. */
void visit_room(struct stdio *s)
{
	struct visit *v;

	s->round++;
	while (s->out.lines.n <= OUTBOX_SOFT / 2 && (v = first_waiting(s))) {
		v->waiting = false;
		v->round = s->round;
		s->ops.room(s->ops.ctx, v->handle);
	}
}
