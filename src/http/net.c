/* The loop of NET: one epoll set over both daemons, the mailbox and every client's departure; and its start. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "passed.h"
#include "server.h"
#include "snowgate/handle.h"
#include "snowgate/log.h"
#include "snowgate/mail.h"
#include "snowgate/metric.h"

#define EVENTS_MAX 256
#define IDLE_MS    1000
#define SLOW_TURN  (20 * USEC_PER_MS)

/* ---- the loop ---- */

static int mhd_wait(const struct door *d, int ms)
{
	MHD_UNSIGNED_LONG_LONG wanted;

	if (!d->daemon || MHD_get_timeout(d->daemon, &wanted) != MHD_YES || wanted >= (unsigned)ms)
		return ms;
	return (int)wanted;
}

/* What this turn left for the next one. */
static bool work_left(const struct http *h)
{
	return !ring_empty(&h->wakes) || rooms_waiting(h);
}

/* M9, the nap rule: MHD can ask for a zero timeout without end while nothing happens. After four such turns, sleep. */
static int wait_ms(const struct http *h)
{
	int ms = work_left(h) ? 0 : wheel_wait(h->wheel, clock_now(), IDLE_MS);

	ms = mhd_wait(&h->open_door, ms);
	ms = mhd_wait(&h->admin_door, ms);
	if (ms == 0 && h->barren >= 4 && !work_left(h))
		ms = h->barren < 64 ? 1 : 5;
	return ms;
}

static void watch(struct http *h, const struct epoll_event *event)
{
	uint64_t posts;

	if (event->data.ptr == &h->mail_fd)
		(void)!read(h->mail_fd, &posts, sizeof(posts));
	else if (event->data.ptr == &h->handover.listen_fd || event->data.ptr == &h->handover.peer_fd)
		handover_event(h, event->data.ptr);
	else if (event->data.ptr != &h->open_door && event->data.ptr != &h->admin_door)
		peer_event(event->data.ptr, event->events);
}

static void note_turn(usec_t took, size_t mails, int events)
{
	if (took <= SLOW_TURN)
		return;
	metric_count(METRIC_slow_turns, NULL);
	log_event(LOG_WARN, "slow_turn", log_text("thread", "net"), log_number("usec", took),
		  log_number("mails", mails), log_number("events", events));
}

/* M15: the whole mailbox, then MHD once, because each batch of resumes walks MHD's list of suspended connections. Peers
 * end inside MHD_run() only, so no event of this turn can name one that is gone. */
static void turn(struct http *h)
{
	struct epoll_event events[EVENTS_MAX];
	bool busy = work_left(h);
	int ms = wait_ms(h);
	int n = epoll_wait(h->epoll_fd, events, EVENTS_MAX, ms);
	usec_t start = clock_now();
	size_t mails;

	h->barren = n > 0 || ms > 5 || h->advanced || busy ? 0 : h->barren + 1;
	h->advanced = false;
	for (int i = 0; i < n; i++)
		watch(h, &events[i]);
	mails = mail_deliver(THREAD_NET);
	if (h->ending)
		return;
	wheel_run(h->wheel, clock_now());
	rooms_tell(h);
	peers_resume(h, RESUMES_PER_TURN);
	(void)MHD_run(h->open_door.daemon);
	if (h->admin_door.daemon)
		(void)MHD_run(h->admin_door.daemon);
	note_turn(clock_now() - start, mails, n);
}

static void http_loop(struct transport *t)
{
	struct http *h = http_of(t);

	OWNED_BY(THREAD_NET);
	timer_set(h->wheel, &h->sweep, clock_now());
	h->ending = false;
	while (!h->ending)
		turn(h);
}

static void http_loop_end(struct transport *t)
{
	OWNED_BY(THREAD_NET);
	http_of(t)->ending = true;
}

/* ---- what it is asked ---- */

#define ARRIVES_WITHIN USEC_PER_S /* for a connection that has just come to send something */

/* Where the sockets live on, who connected before they were given away must be answered by us: what is there of
 * requests and of answers. One that keeps silent is no request. */
static bool arriving(const struct http *h)
{
	const struct ring *head = &h->queues[QUEUE_HEAD];
	usec_t since = clock_now() - ARRIVES_WITHIN;

	if (!h->off || !h->open_door.lent)
		return false;
	return !ring_empty(&h->queues[QUEUE_BODY]) || !ring_empty(&h->queues[QUEUE_REPLY]) ||
	       (!ring_empty(head) && container_of(head->prev, struct peer, queue)->since > since);
}

static size_t http_open(const struct transport *t)
{
	return http_of(t)->taken_n + arriving(http_of(t));
}

static void http_configure(struct transport *t, const struct conf *conf)
{
	struct http *h = http_of(t);

	OWNED_BY(THREAD_NET);
	h->conf = conf;
	timer_set(h->wheel, &h->sweep, clock_now()); /* by the new times */
}

/* A request that is the transport's own is one whose body is on its way. */
static bool http_uses(const struct transport *t, const struct conf *conf)
{
	struct http *h = http_of(t);
	const struct ring *bodies = &h->queues[QUEUE_BODY];

	if (h->conf == conf)
		return true;
	for (const struct ring *r = bodies->next; r != bodies; r = r->next) {
		const struct peer *p = container_of(r, struct peer, queue);

		if (p->rq && p->rq->conf == conf)
			return true;
	}
	return false;
}

int http_port(const struct transport *t)
{
	return http_of(t)->open_door.port;
}

int http_admin_port(const struct transport *t)
{
	return http_of(t)->admin_door.port;
}

/* ---- the start ---- */

static void wake(void *ctx)
{
	struct http *h = ctx;
	uint64_t one = 1;

	(void)!write(h->mail_fd, &one, sizeof(one));
}

/* MHD reports each client that left in the middle: worth a look when debugging, not otherwise (M17). */
static void PRINTF_LIKE(2, 0) log_mhd(void *ctx, const char *format, va_list args)
{
	char text[256];
	int n = vsnprintf(text, sizeof(text), format, args);

	(void)ctx;
	if (n > 0)
		text[strcspn(text, "\n")] = '\0';
	log_event(LOG_DEBUG, "http_library", log_text("text", n > 0 ? text : ""));
}

/* Paths are compared as they were sent: one spelling only, also for a proxy's rules. */
static size_t keep_escapes(void *ctx, struct MHD_Connection *c, char *text)
{
	(void)ctx, (void)c;
	return strlen(text);
}

static bool door_open(struct door *d, unsigned limit)
{
	unsigned idle = (unsigned)((d->http->conf->listen_idle_timeout + USEC_PER_S - 1) / USEC_PER_S);
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = d};

	d->daemon = MHD_start_daemon(
	    MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
	    d->admin ? admin_request : server_request, d, MHD_OPTION_EXTERNAL_LOGGER, log_mhd, NULL,
	    MHD_OPTION_LISTEN_SOCKET, d->listen_fd, MHD_OPTION_CONNECTION_LIMIT, limit, MHD_OPTION_CONNECTION_TIMEOUT,
	    idle, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1,
	    MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_NOTIFY_CONNECTION, peer_connection, d,
	    MHD_OPTION_NOTIFY_COMPLETED, server_completed, d, MHD_OPTION_URI_LOG_CALLBACK, server_target, d,
	    MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_END);
	return d->daemon && epoll_ctl(d->http->epoll_fd, EPOLL_CTL_ADD,
				      MHD_get_daemon_info(d->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, &event) == 0;
}

static const struct transport http_transport = {
    .answer = http_answer,
    .stream_open = http_stream_open,
    .stream_send = http_stream_send,
    .stream_raw = http_stream_raw,
    .stream_break = http_stream_break,
    .stream_end = http_stream_end,
    .open = http_open,
    .streams_max = http_streams_max,
    .loop = http_loop,
    .loop_end = http_loop_end,
    .configure = http_configure,
    .uses = http_uses,
    .listen_off = http_listen_off,
    .lives_on = http_lives_on,
    .stop = http_stop,
};

static void rings_init(struct http *h)
{
	for (size_t i = 0; i < QUEUES_N; i++)
		ring_init(&h->queues[i]);
	ring_init(&h->wakes);
	ring_init(&h->rooms);
	ring_init(&h->crowd);
}

static struct http *http_new(const struct conf *conf, const struct transport_ops *ops, struct wheel *wheel)
{
	struct http *h = xalloc(sizeof(*h));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = &h->mail_fd};

	h->transport = http_transport;
	rings_init(h);
	h->scratch = buf_with_ceiling(OUTBOXES_MAX);
	h->conf = conf;
	h->ops = *ops;
	h->wheel = wheel;
	h->site = site_of(conf->listen_address);
	h->sweep.fire = peers_sweep;
	h->open_door = (struct door){.http = h, .listen_fd = -1, .port = -1};
	h->admin_door = (struct door){.http = h, .listen_fd = -1, .port = -1, .admin = true};
	h->handover = (struct handover){.listen_fd = -1, .peer_fd = -1};
	h->exchanges = handle_table_new(connection_limit(conf));
	h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	h->mail_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (h->epoll_fd < 0 || h->mail_fd < 0 || epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, h->mail_fd, &event) != 0)
		abort(); /* no descriptors left at the very start */
	mail_on_post(THREAD_NET, wake, h);
	return h;
}

static bool doors_open(struct http *h, char *why, size_t why_size)
{
	const struct conf *conf = h->conf;
	bool admin = conf->admin_address && conf->admin_address[0];

	if (!limit_files(conf, why, why_size) ||
	    !door_bind(&h->open_door, conf->listen_address, (int)conf->listen_port, "listen", why, why_size) ||
	    (admin && !door_bind(&h->admin_door, conf->admin_address, (int)conf->admin_port, "admin", why, why_size)))
		return false;
	if (!handover_open(h, why, why_size) || passed_unclaimed(why, why_size))
		return false;
	if (door_open(&h->open_door, connection_limit(conf)) &&
	    (!admin || door_open(&h->admin_door, ADMIN_CONNECTIONS)))
		return true;
	snprintf(why, why_size, "libmicrohttpd %s does not start: %s", MHD_get_version(), strerror(errno));
	return false;
}

struct transport *http_start(const struct conf *conf, const struct transport_ops *ops, struct wheel *wheel, char *why,
			     size_t why_size)
{
	struct http *h = http_new(conf, ops, wheel);
	struct log_field line[] = {log_text("address", conf->listen_address), log_number("port", 0),
				   log_text("path", conf->listen_path), log_number("admin_port", 0)};

	(void)signal(SIGPIPE, SIG_IGN);
	if (!doors_open(h, why, why_size)) {
		http_end(h);
		return NULL;
	}
	line[1].number = h->open_door.port;
	line[3].number = h->admin_door.port;
	log_fields(LOG_INFO, "listening", h->admin_door.daemon ? 4 : 3, line);
	return &h->transport;
}
