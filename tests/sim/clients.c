/* Plays the transport and the clients on it: records what each one is sent, and departs and fills up on demand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "clients.h"

enum { CLIENTS_MAX = 8192 };

static struct {
	struct transport transport;
	const struct transport_ops *ops;
	struct client *v[CLIENTS_MAX + 1];
	size_t n, streams_max;
	bool off, ended;
} clients;

size_t clients_new_room = SIZE_MAX;

struct client *client_of(handle_t exchange)
{
	assert_true(exchange >= 1 && exchange <= clients.n);
	return clients.v[exchange];
}

handle_t client_new(void)
{
	assert_true(clients.n < CLIENTS_MAX);
	clients.v[++clients.n] = xalloc(sizeof(struct client));
	client_of(clients.n)->room = clients_new_room;
	client_of(clients.n)->raw = buf_with_ceiling(64 << 20);
	return clients.n;
}

handle_t clients_last(void)
{
	return clients.n;
}

static bool is_open(const struct client *c)
{
	return c->state == CLIENT_WAITS || c->state == CLIENT_STREAMS;
}

size_t clients_open_n(void)
{
	size_t n = 0;

	for (size_t i = 1; i <= clients.n; i++)
		n += is_open(clients.v[i]);
	return n;
}

bool clients_loop_ended(void)
{
	return clients.ended;
}

/* ---- the transport ---- */

static void learn(struct client *c, const struct answer *a)
{
	c->status = a->status;
	snprintf(c->content_type, sizeof c->content_type, "%s", a->content_type ? a->content_type : "");
	for (size_t i = 0; i < a->headers_n; i++) {
		if (!strcmp(a->headers[i].name, "Mcp-Session-Id"))
			snprintf(c->session_id, sizeof c->session_id, "%s", a->headers[i].value);
		if (!strcmp(a->headers[i].name, "Retry-After"))
			snprintf(c->retry_after, sizeof c->retry_after, "%s", a->headers[i].value);
	}
}

static bool take_answer(struct transport *t, handle_t exchange, struct answer *a)
{
	struct client *c = client_of(exchange);
	bool there = c->state == CLIENT_WAITS;

	assert_ptr_equal(t, &clients.transport);
	assert_true(there || c->state == CLIENT_LEFT);
	if (there) {
		learn(c, a);
		c->body = xstrdup(buf_text(&a->body));
		c->state = CLIENT_DONE;
	}
	answer_free(a);
	return there;
}

static bool open_stream(struct transport *t, handle_t exchange, struct answer *head)
{
	struct client *c = client_of(exchange);
	bool there = c->state == CLIENT_WAITS;

	assert_ptr_equal(t, &clients.transport);
	assert_true(there || c->state == CLIENT_LEFT);
	if (there) {
		learn(c, head);
		c->state = CLIENT_STREAMS;
	}
	answer_free(head);
	return there;
}

static enum stream_sent send_event(struct transport *t, handle_t exchange, const struct sse_event *e)
{
	struct client *c = client_of(exchange);
	struct event *at;

	assert_ptr_equal(t, &clients.transport);
	assert_true(c->state == CLIENT_STREAMS || c->state == CLIENT_LEFT);
	if (c->state == CLIENT_LEFT)
		return STREAM_GONE;
	if (c->room == 0 || c->starved) {
		c->starved = true;
		return STREAM_FULL;
	}
	c->room -= c->room != SIZE_MAX;
	c->events = xrealloc(c->events, (c->events_n + 1) * sizeof *c->events);
	at = &c->events[c->events_n++];
	*at = (struct event){.id = xstrndup(e->id.data ? e->id.data : "", e->id.n),
			     .retry_ms = e->retry_ms,
			     .data = xstrndup(e->data.data ? e->data.data : "", e->data.n)};
	return STREAM_SENT;
}

static enum stream_sent send_raw(struct transport *t, handle_t exchange, struct slice bytes)
{
	struct client *c = client_of(exchange);

	assert_ptr_equal(t, &clients.transport);
	assert_true(c->state == CLIENT_STREAMS || c->state == CLIENT_LEFT);
	assert_string_not_equal(c->content_type, "text/event-stream");
	if (c->state == CLIENT_LEFT)
		return STREAM_GONE;
	if (c->room == 0 || c->starved) {
		c->starved = true;
		return STREAM_FULL;
	}
	c->room -= c->room != SIZE_MAX;
	assert_true(buf_add(&c->raw, bytes.data, bytes.n));
	return STREAM_SENT;
}

static void end_stream(struct transport *t, handle_t exchange)
{
	struct client *c = client_of(exchange);

	assert_ptr_equal(t, &clients.transport);
	assert_true(c->state == CLIENT_STREAMS || c->state == CLIENT_LEFT);
	if (c->state == CLIENT_STREAMS)
		c->state = CLIENT_DONE;
}

static void break_stream(struct transport *t, handle_t exchange)
{
	end_stream(t, exchange);
	client_of(exchange)->broken = true;
}

static size_t count_open(const struct transport *t)
{
	(void)t;
	return clients_open_n();
}

static size_t most_streams(const struct transport *t)
{
	(void)t;
	return clients.streams_max;
}

static void end_loop(struct transport *t)
{
	(void)t;
	clients.ended = true;
}

static void turn_off(struct transport *t)
{
	(void)t;
	clients.off = true;
}

static bool is_used(const struct transport *t, const struct conf *conf)
{
	(void)t, (void)conf;
	return false;
}

static void nothing_with(struct transport *t, const struct conf *conf)
{
	(void)t, (void)conf;
}

struct transport *clients_open(const struct transport_ops *ops, size_t streams_max)
{
	memset(&clients, 0, sizeof clients);
	clients.ops = ops;
	clients.streams_max = streams_max;
	clients.transport = (struct transport){.answer = take_answer,
					       .stream_open = open_stream,
					       .stream_send = send_event,
					       .stream_end = end_stream,
					       .stream_raw = send_raw,
					       .stream_break = break_stream,
					       .open = count_open,
					       .streams_max = most_streams,
					       .loop_end = end_loop,
					       .configure = nothing_with,
					       .uses = is_used,
					       .listen_off = turn_off};
	return &clients.transport;
}

void clients_close(void)
{
	for (size_t i = 1; i <= clients.n; i++) {
		struct client *c = clients.v[i];

		for (size_t e = 0; e < c->events_n; e++) {
			free(c->events[e].id);
			free(c->events[e].data);
		}
		free(c->events);
		free(c->body);
		buf_free(&c->raw);
		free(c);
	}
	clients.n = 0;
}

/* ---- the clients ---- */

void client_vanish(handle_t exchange)
{
	struct client *c = client_of(exchange);

	if (!is_open(c))
		return;
	c->state = CLIENT_LEFT;
	c->untold = true;
}

/* After listen_off() nobody is told. */
void clients_tell(void)
{
	for (size_t i = 1; i <= clients.n; i++) {
		bool untold = clients.v[i]->untold;

		clients.v[i]->untold = false;
		if (untold && !clients.off)
			clients.ops->gone(clients.ops->ctx, i);
	}
}

void client_leave(handle_t exchange)
{
	client_vanish(exchange);
	clients_tell();
}

void client_room(handle_t exchange, size_t n)
{
	struct client *c = client_of(exchange);

	c->room = n;
	if (n == 0 || !c->starved)
		return;
	c->starved = false;
	if (c->state == CLIENT_STREAMS)
		clients.ops->room(clients.ops->ctx, exchange);
}
