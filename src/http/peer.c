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
/* What the kernel holds for a client that reads slowly; by itself it would take 4 MB, and so long to become writable
 * again that a client which reads all the time, at 40 kB/s, would seem to have stalled. */
#define UNSENT_MAX (128 << 10)

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
	int on = 1, timeout = USER_TIMEOUT_MS, unsent = UNSENT_MAX;

	if (!p->local[0])
		return;
	(void)setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(p->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(p->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
	(void)setsockopt(p->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
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
	ring_leave(&p->queue);
	ring_leave(&p->wake);
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

static enum queue queue_of(const struct peer *p, enum phase phase)
{
	static const enum queue queues[] = {
	    [PHASE_HEAD] = QUEUE_HEAD,   [PHASE_IDLE] = QUEUE_QUIET,  [PHASE_BODY] = QUEUE_BODY,
	    [PHASE_DRAIN] = QUEUE_DRAIN, [PHASE_TAKEN] = QUEUE_QUIET, [PHASE_REPLY] = QUEUE_REPLY,
	    [PHASE_STREAM] = QUEUE_BEAT,
	};

	return phase == PHASE_HEAD && p->over ? QUEUE_OVER : queues[phase];
}

#define SWEEP_EVERY (100 * USEC_PER_MS) /* at most; also the beat of the comments, which so go out in batches */

/* How long a peer may stay in a queue; 0: as long as it likes. */
static usec_t allowed_in(const struct http *h, enum queue queue)
{
	const usec_t allowed[QUEUES_N] = {
	    [QUEUE_HEAD] = h->conf->listen_header_timeout,
	    [QUEUE_OVER] = OVER_CAP_TIME,
	    [QUEUE_BODY] = h->conf->listen_body_timeout,
	    [QUEUE_DRAIN] = DRAIN_TIME,
	    [QUEUE_REPLY] = REPLY_TIME,
	    [QUEUE_BEAT] = h->conf->mcp_sse_keepalive,
	    [QUEUE_STALL] = h->conf->mcp_write_timeout,
	};

	return allowed[queue];
}

static void sweep_by(struct http *h, usec_t due)
{
	due = (due / SWEEP_EVERY + 1) * SWEEP_EVERY;
	if (!h->stopping && (!timer_pending(&h->sweep) || h->sweep.when > due))
		timer_set(h->wheel, &h->sweep, due);
}

/* Who joins behind others is not due before them. */
void peer_queue(struct peer *p, enum queue queue)
{
	struct http *h = p->door->http;
	struct ring *r = &h->queues[queue];
	usec_t allowed = allowed_in(h, queue);

	p->since = clock_now();
	ring_join(r, &p->queue);
	if (allowed > 0 && r->next == &p->queue)
		sweep_by(h, p->since + allowed);
}

void peer_phase(struct peer *p, enum phase phase)
{
	p->phase = phase;
	peer_queue(p, queue_of(p, phase));
}

static void wake(struct peer *p)
{
	ring_leave(&p->wake);
	p->parked = false;
	MHD_resume_connection(p->connection);
}

/* Streams wait their turn, since thousands may have something to say at once; an answer goes past them. */
void peer_resume(struct peer *p)
{
	if (!p->parked || ring_joined(&p->wake))
		return;
	if (p->stream.open)
		ring_join(&p->door->http->wakes, &p->wake);
	else
		wake(p);
}

void peers_resume(struct http *h, size_t most)
{
	for (; most > 0 && !ring_empty(&h->wakes); most--) {
		struct peer *p = container_of(h->wakes.next, struct peer, wake);

		CHECK(p, PEER_MAGIC);
		wake(p);
	}
}

/* A client that closes only its sending half looks the same and is treated the same. */
void peer_depart(struct peer *p)
{
	struct http *h = p->door->http;
	handle_t handle = p->handle;
	bool raw = p->stream.raw;

	p->gone = true;
	if (!handle)
		return;
	p->handle = 0;
	handle_drop(h->exchanges, handle);
	if (p->stream.open)
		stream_cut(p);
	else
		metric_count(METRIC_http_departed, NULL);
	peer_resume(p);
	if (!h->off || raw) /* nobody else would end what is read for it */
		h->ops.gone(h->ops.ctx, handle);
}

void peer_event(struct peer *p, uint32_t events)
{
	CHECK(p, PEER_MAGIC);
	if ((events & EPOLLIN) && p->phase == PHASE_IDLE)
		peer_phase(p, PHASE_HEAD);
	if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) && !p->gone)
		peer_depart(p);
}

/* ---- deadlines ---- */

static void cut_late(struct peer *p)
{
	if (p->phase == PHASE_DRAIN)
		peer_respond_raw(p);
	(void)shutdown(p->fd, SHUT_RDWR); /* MHD finds it closed and cleans up */
	peer_phase(p, p->phase);
}

/* act() moves the peer to another queue, or to the end of this one. */
static void expire(struct http *h, enum queue queue, void (*act)(struct peer *p))
{
	struct ring *r = &h->queues[queue];
	usec_t now = clock_now(), allowed = allowed_in(h, queue);

	while (allowed > 0 && !ring_empty(r)) {
		struct peer *p = container_of(r->next, struct peer, queue);

		CHECK(p, PEER_MAGIC);
		if (now - p->since < allowed) {
			sweep_by(h, p->since + allowed);
			break;
		}
		act(p);
	}
}

/* Where nobody is waited for there is no next sweep. */
void peers_sweep(struct timer *sweep)
{
	static void (*const acts[QUEUES_N])(struct peer * p) = {
	    [QUEUE_HEAD] = cut_late,      [QUEUE_OVER] = cut_late,  [QUEUE_BODY] = cut_late,
	    [QUEUE_DRAIN] = cut_late,     [QUEUE_REPLY] = cut_late, [QUEUE_BEAT] = stream_beat,
	    [QUEUE_STALL] = stream_stall,
	};
	struct http *h = container_of(sweep, struct http, sweep);

	for (int i = 0; i < QUEUES_N; i++)
		if (acts[i])
			expire(h, (enum queue)i, acts[i]);
}
