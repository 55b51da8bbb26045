/* The HTTP loop: connections, exchanges, the ways an answer can leave. */
#include "server.h"

#include <stdlib.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include "emulator.h"

#define EXCHANGE_MAGIC    0x65786368u
#define CONNECTIONS_MAX   8192u
#define EVENTS_MAX        256
#define IDLE_MS           60000
#define DRIP_BYTES        4
#define HUGE_HEADER_BYTES ((size_t)192 << 10)
#define LONG_BYTES        64
#define WHOLE_BLOCK       ((size_t)64 << 10)
#define FAULT_BLOCK       1024

/* One TCP connection, in our own epoll set for the departure of its client. */
struct peer {
	int fd;
	struct exchange *exchange; /* the one being served, or NULL */
};

struct server {
	struct MHD_Daemon *daemon;
	struct server_options options;
	struct server_counts counts;
	struct exchange *exchanges;
	int epoll_fd;
	bool stopping;
	bool resumed; /* libmicrohttpd has yet to see a resumed connection */
	unsigned empty_turns;
};

const char *exchange_header(const struct exchange *e, const char *name)
{
	return MHD_lookup_connection_value(e->connection, MHD_HEADER_KIND, name);
}

const char *exchange_query(const struct exchange *e, const char *name)
{
	return MHD_lookup_connection_value(e->connection, MHD_GET_ARGUMENT_KIND, name);
}

void answer_clear(struct answer *a)
{
	if (a->release)
		a->release(a->owner);
	free(a->body);
	free(a->tail);
	free(a->link);
	free(a->pieces);
	memset(a, 0, sizeof(*a));
}

size_t answer_size(const struct answer *a)
{
	return a->n + a->shared_n + a->tail_n;
}

/* Up to `max` bytes of the body from `position` on, out of one of its three parts. */
static size_t answer_copy(const struct answer *a, size_t position, char *out, size_t max)
{
	const char *part = a->body;
	size_t n = a->n;

	if (position >= n) {
		position -= n;
		part = a->shared;
		n = a->shared_n;
	}
	if (position >= n) {
		position -= n;
		part = a->tail;
		n = a->tail_n;
	}
	if (max > n - position)
		max = n - position;
	memcpy(out, part + position, max);
	return max;
}

void answer_flatten(struct answer *a)
{
	size_t n = answer_size(a), at = 0;
	char *whole;

	if (!a->shared && !a->tail)
		return;
	whole = xalloc(n + 1);
	while (at < n)
		at += answer_copy(a, at, whole + at, n - at);
	if (a->release)
		a->release(a->owner);
	free(a->body);
	free(a->tail);
	a->release = NULL;
	a->shared = a->tail = NULL;
	a->shared_n = a->tail_n = 0;
	a->body = whole;
	a->n = n;
}

void answer_header(struct answer *a, const char *name, const char *value)
{
	if (a->headers_n == ANSWER_HEADERS_MAX)
		return;
	a->headers[a->headers_n].name = name;
	(void)snprintf(a->headers[a->headers_n++].value, sizeof(a->headers[0].value), "%s", value);
}

static void exchange_resume(struct exchange *e)
{
	if (!e->suspended)
		return;
	e->suspended = false;
	e->server->resumed = true;
	MHD_resume_connection(e->connection);
}

static void answer_now(struct timer *timer)
{
	struct exchange *e = container_of(timer, struct exchange, answer_timer);

	e->phase = EXCHANGE_ANSWERED;
	e->started = clock_now();
	exchange_resume(e);
}

void exchange_answer(struct exchange *e)
{
	CHECK(e, EXCHANGE_MAGIC);
	assert(e->phase == EXCHANGE_SERVING);
	if (e->answer.delay > 0) {
		e->answer_timer.fire = answer_now;
		timer_set(e->server->options.wheel, &e->answer_timer, clock_now() + e->answer.delay);
		return;
	}
	answer_now(&e->answer_timer);
}

static void drip_next(struct timer *timer)
{
	exchange_resume(container_of(timer, struct exchange, drip_timer));
}

static ssize_t answer_pause(struct exchange *e)
{
	e->suspended = true;
	MHD_suspend_connection(e->connection);
	return 0;
}

/* How much of the body from `position` on may go out now; 0 when it is not yet time. */
static size_t stream_limit(struct exchange *e, size_t position)
{
	const struct answer *a = &e->answer;

	while (e->piece < a->pieces_n && a->pieces[e->piece].end <= position)
		e->piece++;
	if (e->piece == a->pieces_n)
		return answer_size(a) - position;
	if (clock_now() >= e->started + a->pieces[e->piece].after)
		return a->pieces[e->piece].end - position;
	e->drip_timer.fire = drip_next;
	timer_set(e->server->options.wheel, &e->drip_timer, e->started + a->pieces[e->piece].after);
	return 0;
}

/* The same for a body that drips. */
static size_t drip_limit(struct exchange *e)
{
	if (timer_pending(&e->drip_timer))
		return 0;
	e->drip_timer.fire = drip_next;
	timer_set(e->server->options.wheel, &e->drip_timer, clock_now() + e->answer.drip);
	return DRIP_BYTES;
}

/* Where the body ends early, or its size. */
static size_t answer_end(const struct answer *a)
{
	bool half = a->shape == ANSWER_HALF || a->shape == ANSWER_HALF_RESET;

	return half ? answer_size(a) / 2 : answer_size(a);
}

static bool ends_in_error(const struct answer *a)
{
	return a->shape == ANSWER_HALF || a->shape == ANSWER_HALF_RESET || a->shape == ANSWER_LONG;
}

static void peer_reset(const struct peer *peer);

/* The content reader of every body that does not go out in one piece. */
static ssize_t answer_read(void *context, uint64_t offset, char *out, size_t max)
{
	struct exchange *e = context;
	struct answer *a = &e->answer;
	size_t position = (size_t)offset, left = answer_end(a) - position, limit = max;

	CHECK(e, EXCHANGE_MAGIC);
	if (e->abandoned)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (!left && ends_in_error(a)) {
		if (a->shape == ANSWER_HALF_RESET)
			peer_reset(e->peer);
		return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	if (!left)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (a->shape == ANSWER_STREAM)
		limit = stream_limit(e, position);
	else if (a->shape == ANSWER_DRIP)
		limit = drip_limit(e);
	if (!limit)
		return answer_pause(e);
	limit = limit < max ? limit : max;
	limit = answer_copy(a, position, out, limit < left ? limit : left);
	e->put += limit;
	return (ssize_t)limit;
}

static struct MHD_Response *response_new(struct exchange *e)
{
	struct answer *a = &e->answer;
	bool chunked = a->shape == ANSWER_CHUNKED || a->shape == ANSWER_STREAM;
	size_t n = answer_size(a);

	if (!n)
		return MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
	if (a->shape == ANSWER_WHOLE && !a->shared && !a->tail) {
		e->put = n;
		return MHD_create_response_from_buffer(n, TAKE(a->body), MHD_RESPMEM_MUST_FREE);
	}
	return MHD_create_response_from_callback(chunked                   ? MHD_SIZE_UNKNOWN
						 : a->shape == ANSWER_LONG ? n + LONG_BYTES
									   : n,
						 a->shape == ANSWER_WHOLE ? WHOLE_BLOCK : FAULT_BLOCK, answer_read, e,
						 NULL);
}

static void response_headers(struct MHD_Response *response, const struct answer *a)
{
	if (a->type)
		(void)MHD_add_response_header(response, "Content-Type", a->type);
	if (a->gzip)
		(void)MHD_add_response_header(response, "Content-Encoding", "gzip");
	if (a->link)
		(void)MHD_add_response_header(response, "Link", a->link);
	if (a->allow)
		(void)MHD_add_response_header(response, "Allow", a->allow);
	for (size_t i = 0; i < a->headers_n; i++)
		(void)MHD_add_response_header(response, a->headers[i].name, a->headers[i].value);
}

/* connect() to nowhere makes Linux send a reset, where shutdown and close would say goodbye first. */
static void peer_reset(const struct peer *peer)
{
	const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

	(void)connect(peer->fd, &nowhere, sizeof(nowhere));
}

/* Past libmicrohttpd. The socket is non-blocking; a client that does not read within a second gets less. */
static void peer_send(const struct peer *peer, const struct buf *text)
{
	struct pollfd ready = {.fd = peer->fd, .events = POLLOUT};
	size_t sent = 0;

	while (sent < text->n && poll(&ready, 1, 1000) == 1) {
		ssize_t n = send(peer->fd, text->data + sent, text->n - sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN)
			break;
		sent += n > 0 ? (size_t)n : 0;
	}
}

/* What libmicrohttpd would not send: a header that does not fit its pool, a Content-Length that lies. */
static void peer_send_raw(const struct peer *peer, struct answer *a)
{
	struct buf text = buf_with_ceiling(HUGE_HEADER_BYTES + answer_size(a) + 4096);
	bool huge = a->shape == ANSWER_HUGE_HEADER;
	char *filler = xalloc(HUGE_HEADER_BYTES + 1);

	answer_flatten(a);
	memset(filler, 'x', HUGE_HEADER_BYTES);
	buf_addf(&text, "HTTP/1.1 %u OK\r\nConnection: close\r\nContent-Length: %zu\r\n", a->status,
		 huge ? a->n : a->n / 2);
	if (a->gzip)
		buf_adds(&text, "Content-Encoding: gzip\r\n");
	if (huge) {
		buf_adds(&text, "X-Huge: ");
		buf_add(&text, filler, HUGE_HEADER_BYTES);
		buf_adds(&text, "\r\n");
	}
	buf_adds(&text, "Content-Type: application/json\r\n\r\n");
	buf_add(&text, a->body, a->n);
	peer_send(peer, &text);
	free(filler);
	buf_free(&text);
}

static enum MHD_Result answer_queue(struct exchange *e)
{
	struct MHD_Response *response;
	enum MHD_Result queued;

	e->phase = EXCHANGE_QUEUED;
	if (e->abandoned)
		return MHD_NO;
	if (e->answer.shape == ANSWER_RESET) {
		peer_reset(e->peer);
		return MHD_NO;
	}
	if (e->answer.shape == ANSWER_HUGE_HEADER || e->answer.shape == ANSWER_SHORT) {
		peer_send_raw(e->peer, &e->answer);
		e->put = e->answer.n;
		return MHD_NO;
	}
	response = response_new(e);
	if (!response)
		return MHD_NO;
	response_headers(response, &e->answer);
	queued = MHD_queue_response(e->connection, e->answer.status, response);
	MHD_destroy_response(response);
	return queued;
}

static struct exchange *exchange_new(struct server *server, struct MHD_Connection *connection, const char *url,
				     const char *method, const char *version)
{
	struct exchange *e = xalloc(sizeof(*e));
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	e->magic = EXCHANGE_MAGIC;
	e->server = server;
	e->connection = connection;
	e->peer = info->socket_context;
	e->peer->exchange = e;
	e->method = method;
	e->path = url;
	e->body = buf_with_ceiling(EMULATOR_BODY_MAX);
	e->next = server->exchanges;
	e->prev = &server->exchanges;
	if (e->next)
		e->next->prev = &e->next;
	server->exchanges = e;
	*(strcmp(version, "HTTP/1.1") ? &server->counts.requests_http10 : &server->counts.requests_http11) += 1;
	server->options.ops.opened(server->options.ops.context, e);
	return e;
}

/* Whether so much of the body has come that the scripted reset is due. A request without a body is there at once. */
static bool reset_is_due(const struct exchange *e)
{
	const char *length = exchange_header(e, "Content-Length");
	int64_t n;

	if (!e->reset_in_request)
		return false;
	return !length || !parse_int(length, 0, INT64_MAX, &n) || (int64_t)e->body.n >= n / 2;
}

static enum MHD_Result exchange_step(struct exchange *e)
{
	struct server_ops *ops = &e->server->options.ops;

	if (e->phase == EXCHANGE_READING) {
		e->phase = EXCHANGE_SERVING;
		ops->serve(ops->context, e);
	}
	if (e->phase == EXCHANGE_ANSWERED || e->abandoned || e->server->stopping)
		return answer_queue(e);
	if (e->phase == EXCHANGE_SERVING && !e->suspended) {
		e->suspended = true;
		MHD_suspend_connection(e->connection);
	}
	return MHD_YES;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
				  const char *version, const char *data, size_t *n, void **state)
{
	struct exchange *e = *state;

	if (!e) {
		*state = e = exchange_new(context, connection, url, method, version);
		if (e->reset_now)
			peer_reset(e->peer);
		return e->reset_now ? MHD_NO : MHD_YES;
	}
	CHECK(e, EXCHANGE_MAGIC);
	if (*n) {
		if (!buf_add(&e->body, data, *n))
			e->body_too_large = true;
		*n = 0;
		if (reset_is_due(e))
			peer_reset(e->peer);
		return reset_is_due(e) ? MHD_NO : MHD_YES;
	}
	if (e->reset_in_request && e->phase == EXCHANGE_READING) {
		peer_reset(e->peer);
		return MHD_NO;
	}
	return exchange_step(e);
}

static void on_request_end(void *context, struct MHD_Connection *connection, void **state,
			   enum MHD_RequestTerminationCode why)
{
	struct server *server = context;
	struct exchange *e = *state;

	(void)connection;
	(void)why;
	if (!e)
		return;
	CHECK(e, EXCHANGE_MAGIC);
	*state = NULL;
	server->options.ops.leave(server->options.ops.context, e);
	timer_stop(&e->answer_timer);
	timer_stop(&e->drip_timer);
	*e->prev = e->next;
	if (e->next)
		e->next->prev = e->prev;
	e->peer->exchange = NULL;
	buf_free(&e->body);
	answer_clear(&e->answer);
	e->magic = 0;
	free(e);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
			  enum MHD_ConnectionNotificationCode what)
{
	struct server *server = context;
	struct peer *peer = *socket_context;
	struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET};

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		peer = xalloc(sizeof(*peer));
		peer->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
		event.data.ptr = peer;
		(void)epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, peer->fd, &event);
		server->counts.connections_open++;
		server->counts.connections_total++;
		*socket_context = peer;
		return;
	}
	(void)epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, peer->fd, NULL);
	server->counts.connections_open--;
	free(peer);
	*socket_context = NULL;
}

/* libmicrohttpd's log would be a line or two per departed client. */
static void log_nothing(void *context, const char *format, va_list args)
{
	(void)context;
	(void)format;
	(void)args;
}

static bool server_listen(struct server *server, const struct sockaddr *address)
{
	const struct server_options *o = &server->options;
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	struct MHD_OptionItem tls[] = {
	    {o->tls_key ? MHD_OPTION_HTTPS_MEM_KEY : MHD_OPTION_END, 0, o->tls_key},
	    {o->tls_key ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, 0, o->tls_certificate},
	    {MHD_OPTION_END, 0, NULL},
	};

	if (address->sa_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	if (o->tls_key)
		flags |= MHD_USE_TLS;
	server->daemon = MHD_start_daemon(
	    flags, o->port, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, log_nothing, NULL,
	    MHD_OPTION_SOCK_ADDR, address, MHD_OPTION_NOTIFY_COMPLETED, on_request_end, server,
	    MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16384, MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024u,
	    MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
	return server->daemon != NULL;
}

static bool server_watch(struct server *server, int fd, void *what)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};

	return !epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

struct server *server_open(const struct server_options *options, char *why, size_t size)
{
	struct server *server = xalloc(sizeof(*server));
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	char port[8];
	int epoll_fd;

	server->options = *options;
	server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	(void)snprintf(port, sizeof(port), "%u", (unsigned)options->port);
	if (getaddrinfo(options->address, port, &hints, &found))
		(void)snprintf(why, size, "%s is not an IP address", options->address);
	else if (!server_listen(server, found->ai_addr))
		(void)snprintf(why, size, "cannot listen on %s port %s: %s%s", options->address, port, strerror(errno),
			       options->tls_key ? " (or the certificate and key do not fit)" : "");
	if (found)
		freeaddrinfo(found);
	if (!server->daemon) {
		close(server->epoll_fd);
		free(server);
		return NULL;
	}
	epoll_fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	if (!server_watch(server, epoll_fd, server->daemon) ||
	    !server_watch(server, options->wake_fd, &server->options.wake_fd) ||
	    !server_watch(server, options->signal_fd, &server->options.signal_fd))
		abort();
	return server;
}

uint16_t server_port(const struct server *server)
{
	return MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

const struct server_counts *server_counts(const struct server *server)
{
	return &server->counts;
}

static void on_event(struct server *server, void *what)
{
	uint64_t count;
	struct peer *peer = what;

	if (what == server->daemon)
		return;
	if (what == &server->options.signal_fd) {
		server->stopping = true;
	} else if (what == &server->options.wake_fd) {
		if (read(server->options.wake_fd, &count, sizeof(count)) > 0)
			server->options.on_wake(server->options.ops.context);
	} else if (peer->exchange) {
		peer->exchange->abandoned = true;
		exchange_resume(peer->exchange);
	}
}

/* How long to sleep. A stalled TLS handshake keeps libmicrohttpd asking for no sleep at all (0.9.75): after four turns
 * without an event we nap all the same. */
static int turn_wait(struct server *server, int events)
{
	unsigned long long wanted = 0;
	int wait = wheel_wait(server->options.wheel, clock_now(), IDLE_MS);

	/* A resume neither wakes libmicrohttpd's epoll set nor shortens the timeout it asks for (0.9.75, seen). */
	if (server->resumed)
		return 0;
	if (MHD_get_timeout(server->daemon, &wanted) == MHD_YES && wanted < (unsigned long long)wait)
		wait = (int)wanted;
	server->empty_turns = !wait && !events ? server->empty_turns + 1 : 0;
	if (server->empty_turns > 4)
		wait = server->empty_turns > 64 ? 5 : 1;
	return wait;
}

void server_run(struct server *server)
{
	struct epoll_event events[EVENTS_MAX];
	int n = 0;

	while (!server->stopping) {
		(void)wheel_run(server->options.wheel, clock_now());
		server->resumed = false;
		MHD_run(server->daemon);
		n = epoll_wait(server->epoll_fd, events, EVENTS_MAX, turn_wait(server, n));
		for (int i = 0; i < n; i++)
			on_event(server, events[i].data.ptr);
	}
}

void server_close(struct server *server)
{
	server->stopping = true;
	for (struct exchange *e = server->exchanges; e; e = e->next) {
		e->abandoned = true;
		exchange_resume(e);
	}
	MHD_run(server->daemon);
	MHD_stop_daemon(server->daemon);
	close(server->epoll_fd);
	free(server);
}
