/* Connections: their birth, their deadlines, and the moment the other end leaves. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "server.h"
#include "snowgate/mail.h"
#include "snowgate/metric.h"

#define USER_TIMEOUT_MS 30000 /* unacknowledged data after which the kernel gives a connection up */

static void address_text(const struct sockaddr *sa, char out[64])
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)sa;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)sa;

	out[0] = '\0';
	if (sa->sa_family == AF_INET)
		(void)inet_ntop(AF_INET, &v4->sin_addr, out, 64);
	else if (sa->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		(void)inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, out, 64);
	else if (sa->sa_family == AF_INET6)
		(void)inet_ntop(AF_INET6, &v6->sin6_addr, out, 64);
}

static void name_both_ends(struct peer *p)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);

	if (getsockname(p->fd, (struct sockaddr *)&a, &n) == 0)
		address_text((struct sockaddr *)&a, p->local);
	n = sizeof(a);
	if (getpeername(p->fd, (struct sockaddr *)&a, &n) == 0)
		address_text((struct sockaddr *)&a, p->address);
	if (!p->address[0])
		memcpy(p->address, "unix", sizeof("unix"));
}

static void tune(const struct peer *p)
{
	int on = 1, timeout = USER_TIMEOUT_MS;

	if (!p->local[0])
		return;
	(void)setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(p->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(p->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
}

static struct peer *peer_new(struct door *d, struct MHD_Connection *c)
{
	struct http *h = d->http;
	struct peer *p = xalloc(sizeof(*p));
	struct epoll_event watch = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = p};

	p->magic = PEER_MAGIC;
	p->door = d;
	p->connection = c;
	p->fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	p->next = h->peers;
	p->prev = &h->peers;
	if (p->next)
		p->next->prev = &p->next;
	h->peers = p;
	name_both_ends(p);
	tune(p);
	if (!d->admin) {
		p->over = ++h->peers_n > (size_t)h->conf->listen_max_connections;
		metric_add(METRIC_http_connections, NULL, 1);
	}
	peer_phase(p, PHASE_HEAD);
	if (epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, p->fd, &watch) != 0)
		(void)shutdown(p->fd, SHUT_RDWR); /* never one whose departure we would not see */
	return p;
}

/* The socket leaves the epoll set when MHD closes it, which it does before the next wait. */
static void peer_free(struct peer *p)
{
	CHECK(p, PEER_MAGIC);
	*p->prev = p->next;
	if (p->next)
		p->next->prev = p->prev;
	if (!p->door->admin) {
		p->door->http->peers_n--;
		metric_add(METRIC_http_connections, NULL, -1);
	}
	p->magic = 0;
	free(p);
}

void peer_connection(void *door, struct MHD_Connection *c, void **context, enum MHD_ConnectionNotificationCode code)
{
	OWNED_BY(THREAD_NET);
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		*context = peer_new(door, c);
	else
		peer_free(TAKE(*(struct peer **)context));
}

struct peer *peer_of(struct MHD_Connection *c)
{
	struct peer *p = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;

	CHECK(p, PEER_MAGIC);
	return p;
}

void peer_phase(struct peer *p, enum phase phase)
{
	p->phase = phase;
	p->since = clock_now();
}

void peer_resume(struct peer *p)
{
	if (!p->parked)
		return;
	p->parked = false;
	MHD_resume_connection(p->connection);
}

/* A client that closes only its sending half looks the same and is treated the same. */
static void depart(struct peer *p)
{
	struct http *h = p->door->http;
	handle_t handle = p->handle;

	p->gone = true;
	if (!handle)
		return;
	p->handle = 0;
	handle_drop(h->exchanges, handle);
	metric_count(METRIC_http_departed, NULL);
	if (!h->off)
		h->ops.gone(h->ops.ctx, handle);
	peer_resume(p);
}

void peer_event(struct peer *p, uint32_t events)
{
	CHECK(p, PEER_MAGIC);
	if ((events & EPOLLIN) && p->phase == PHASE_IDLE)
		peer_phase(p, PHASE_HEAD);
	if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) && !p->gone)
		depart(p);
}

static usec_t allowed_time(const struct peer *p)
{
	const struct conf *conf = p->door->http->conf;

	switch (p->phase) {
	case PHASE_HEAD:
		return p->over ? OVER_CAP_TIME : conf->listen_header_timeout;
	case PHASE_BODY:
		return conf->listen_body_timeout;
	case PHASE_DRAIN:
		return DRAIN_TIME;
	case PHASE_REPLY:
		return REPLY_TIME;
	case PHASE_IDLE:  /* MHD's inactivity timeout */
	case PHASE_TAKEN: /* the call has a deadline of its own */
		break;
	}
	return INT64_MAX;
}

#define SWEEP_EVERY (250 * USEC_PER_MS)

void peers_sweep(struct timer *sweep)
{
	struct http *h = container_of(sweep, struct http, sweep);
	usec_t now = clock_now();

	for (struct peer *p = h->peers; p; p = p->next) {
		if (now - p->since < allowed_time(p))
			continue;
		if (p->phase == PHASE_DRAIN)
			peer_respond_raw(p);
		(void)shutdown(p->fd, SHUT_RDWR); /* MHD finds it closed and cleans up */
		p->since = now;
	}
	timer_set(h->wheel, sweep, now + SWEEP_EVERY);
}
