/* A running process gives its listening sockets to the one that comes after it, over a Unix socket. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "passed.h"
#include "server.h"
#include "snowgate/log.h"
#include "snowgate/mail.h"

/* What is said: one byte with the sockets, then one byte back when they are with the other process for good. Until then
 * nothing has changed. */
#define OFFER 'S'
#define TAKEN 'T'

#define ANSWER_S 5 /* for the running process to offer them */

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(PASSED_MAX * sizeof(int))];
};

/* ---- the one that has them ---- */

static bool handover_address(const char *path, union any_address *a)
{
	memset(a, 0, sizeof(*a));
	a->local.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(a->local.sun_path))
		return false;
	memcpy(a->local.sun_path, path, strlen(path));
	return true;
}

static bool watch_fd(struct http *h, int *fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = fd};

	return epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, *fd, &event) == 0;
}

/* One that nobody listens at is left over from a process that was killed. */
static int handover_listen(const union any_address *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = fd < 0 || fchmod(fd, 0600) != 0 ? errno : bind_and_listen(fd, a, sizeof(a->local));

	if (!error)
		return fd;
	if (fd >= 0)
		close(fd);
	errno = error;
	return -1;
}

bool handover_open(struct http *h, char *why, size_t why_size)
{
	struct handover *o = &h->handover;
	const char *path = h->conf->listen_handover;
	union any_address a;
	bool lent;

	if (!path || !*path)
		return true;
	if (handover_address(path, &a)) {
		o->listen_fd = passed_claim(&a, &lent);
		if (o->listen_fd < 0)
			o->listen_fd = handover_listen(&a);
	}
	if (o->listen_fd < 0 || !watch_fd(h, &o->listen_fd)) {
		snprintf(why, why_size, "listen.handover: %s: %s", path,
			 errno == EADDRINUSE ? "is in use by another snowgate, or another file" : strerror(errno));
		return false;
	}
	memcpy(o->path, a.local.sun_path, sizeof(o->path));
	return true;
}

static void peer_end(struct handover *o)
{
	if (o->peer_fd >= 0)
		close(o->peer_fd);
	o->peer_fd = -1;
}

void handover_close(struct http *h)
{
	struct handover *o = &h->handover;

	peer_end(o);
	if (o->listen_fd >= 0)
		close(o->listen_fd);
	o->listen_fd = -1;
	if (o->path[0])
		(void)unlink(o->path);
	o->path[0] = '\0';
}

static bool sockets_send(const struct http *h, int fd)
{
	int fds[] = {h->handover.listen_fd, h->open_door.listen_fd, h->admin_door.listen_fd};
	size_t n = h->admin_door.listen_fd >= 0 ? 3 : 2;
	union control control = {.bytes = ""};
	char byte = OFFER;
	struct iovec text = {&byte, 1};
	struct msghdr m = {
	    .msg_iov = &text, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	return sendmsg(fd, &m, MSG_NOSIGNAL) == 1;
}

/* Of this user, or root. */
static bool may_ask(int fd)
{
	struct ucred who;
	socklen_t n = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && (who.uid == geteuid() || who.uid == 0);
}

/* The last one that asks is it: one before it may have been killed, or may never say anything. */
static void peer_come(struct http *h)
{
	struct handover *o = &h->handover;
	int fd = accept4(o->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	peer_end(o);
	o->peer_fd = fd;
	if (!may_ask(fd) || !sockets_send(h, fd) || !watch_fd(h, &o->peer_fd)) {
		log_event(LOG_WARN, "handover_refused", log_text("path", o->path));
		peer_end(o);
	}
}

static void sockets_taken(struct http *h)
{
	log_event(LOG_INFO, "handed_over", log_text("path", h->handover.path));
	h->open_door.lent = h->admin_door.lent = true;
	h->handover.path[0] = '\0'; /* the other one's now */
	handover_close(h);
	h->ops.succeeded(h->ops.ctx);
}

void handover_event(struct http *h, const int *fd)
{
	char byte;
	ssize_t n;

	OWNED_BY(THREAD_NET);
	if (fd == &h->handover.listen_fd) {
		peer_come(h);
		return;
	}
	n = h->handover.peer_fd < 0 ? -1 : recv(h->handover.peer_fd, &byte, 1, 0);
	if (n == 1 && byte == TAKEN)
		sockets_taken(h);
	else if (n >= 0 || (errno != EAGAIN && errno != EINTR))
		peer_end(&h->handover);
}

/* ---- the one that takes them ---- */

static bool sockets_read(struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	size_t n = c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS
		       ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int)
		       : 0;
	bool all = n > 0;

	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
		if (passed_add(fd))
			continue;
		close(fd);
		all = false;
	}
	return all;
}

static bool sockets_receive(int fd)
{
	const struct timeval patience = {.tv_sec = ANSWER_S};
	union control control;
	char byte = 0;
	struct iovec text = {&byte, 1};
	struct msghdr m = {
	    .msg_iov = &text, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};

	errno = EPROTO;
	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
	       recvmsg(fd, &m, MSG_CMSG_CLOEXEC) == 1 && byte == OFFER && sockets_read(&m);
}

static bool take_over(const struct conf *conf, int fd, char *why, size_t why_size)
{
	union any_address wanted;
	socklen_t n;
	char byte = TAKEN;

	if (!sockets_receive(fd)) {
		snprintf(why, why_size, "listen.handover: %s: the gateway there gave no sockets: %s",
			 conf->listen_handover, errno == EAGAIN ? "no answer" : strerror(errno));
		return false;
	}
	if (!door_address(conf->listen_address, (int)conf->listen_port, &wanted, &n) || !passed_has(&wanted)) {
		snprintf(
		    why, why_size,
		    "the gateway that runs listens elsewhere than listen.address and listen.port say: stop it, and "
		    "start this one without --take-over");
		return false;
	}
	if (send(fd, &byte, 1, MSG_NOSIGNAL) == 1)
		return true;
	snprintf(why, why_size, "listen.handover: %s: %s", conf->listen_handover, strerror(errno));
	return false;
}

bool http_take_over(const struct conf *conf, char *why, size_t why_size)
{
	union any_address a;
	int fd;
	bool good;

	if (!*conf->listen_handover || !handover_address(conf->listen_handover, &a)) {
		snprintf(why, why_size, "--take-over needs listen.handover, the same as the gateway has that runs");
		return false;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, &a.any, sizeof(a.local)) != 0) {
		good = errno == ENOENT || errno == ECONNREFUSED; /* none runs, so there is nothing to take over */
		snprintf(why, why_size, "listen.handover: %s: %s", conf->listen_handover,
			 good ? "nobody is there to take over from" : strerror(errno));
	} else {
		good = take_over(conf, fd, why, why_size);
	}
	if (fd >= 0)
		close(fd);
	if (!good)
		passed_drop();
	return good;
}
