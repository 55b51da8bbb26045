/* A connection to a node: commands out, replies in, nothing of it later than its deadline. */
#include "valkey.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "snowgate/wheel.h"

#define WORDS_MAX 128

void trouble_say(struct trouble *t, bool final, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(t->text, sizeof t->text, format, args);
	va_end(args);
	t->final = final;
}

/* Waits for one of `events`; false when the deadline has come first. */
static bool fd_wait(int fd, short events, usec_t deadline)
{
	struct pollfd p = {.fd = fd, .events = events};

	for (;;) {
		usec_t left = deadline - clock_now();
		int n = poll(&p, 1, left <= 0 ? 0 : (int)((left + USEC_PER_MS - 1) / USEC_PER_MS));
		if (n != -1 || errno != EINTR)
			return n > 0;
	}
}

/* 0 or an errno. */
static int fd_connect(int fd, const struct sockaddr *address, socklen_t n, usec_t deadline)
{
	int error = 0;
	socklen_t size = sizeof error;

	if (connect(fd, address, n) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	if (!fd_wait(fd, POLLOUT, deadline))
		return ETIMEDOUT;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

static int fd_open(int family)
{
	return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static int path_connect(const struct node *node, usec_t deadline, int *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = fd_open(AF_UNIX);

	memcpy(address.sun_path, node->path, strlen(node->path));
	*error = fd == -1 ? errno : fd_connect(fd, (const struct sockaddr *)&address, sizeof address, deadline);
	return fd;
}

static void tcp_settle(int fd)
{
	int on = 1, idle = 15, every = 5, times = 3;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof times);
}

static int tcp_connect(const struct node *node, usec_t deadline, int *error, struct trouble *t)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
	int fd = -1, rc = getaddrinfo(node->host, node->port, &hints, &found);

	*error = 0;
	if (rc != 0) {
		trouble_say(t, false, "%s: %s", node->name, gai_strerror(rc));
		return -1;
	}
	for (struct addrinfo *a = found; a; a = a->ai_next) {
		/* an address that does not answer leaves time for those behind it */
		usec_t now = clock_now(), until = a->ai_next ? now + (deadline - now) / 2 : deadline;
		if (fd != -1)
			close(fd);
		fd = fd_open(a->ai_family);
		*error = fd == -1 ? errno : fd_connect(fd, a->ai_addr, a->ai_addrlen, until);
		if (fd != -1 && *error == 0)
			break;
	}
	freeaddrinfo(found);
	if (fd != -1)
		tcp_settle(fd);
	return fd;
}

bool link_open(struct link *l, const struct node *node, usec_t deadline, struct trouble *t)
{
	int error = 0, fd;

	*l = (struct link){.node = node};
	fd = node->path ? path_connect(node, deadline, &error) : tcp_connect(node, deadline, &error, t);
	if (fd != -1 && error == 0)
		l->c = redisConnectFd(fd);
	if (l->c) {
		l->c->flags &= ~REDIS_BLOCK;
		l->used = clock_now();
		return true;
	}
	if (error)
		trouble_say(t, false, "%s: %s", node->name, strerror(error));
	if (fd != -1)
		close(fd);
	return false;
}

void link_close(struct link *l)
{
	if (l->c)
		redisFree(l->c);
	*l = (struct link){0};
}

void link_add(struct link *l, size_t n, const struct slice *words)
{
	const char *texts[WORDS_MAX];
	size_t lengths[WORDS_MAX];

	assert(n <= WORDS_MAX);
	for (size_t i = 0; i < n; i++) {
		texts[i] = words[i].n ? words[i].data : "";
		lengths[i] = words[i].n;
	}
	if (redisAppendCommandArgv(l->c, (int)n, texts, lengths) != REDIS_OK)
		abort(); /* only memory can be short */
	l->unsent = true;
}

static size_t words_split(const char *command, struct slice words[WORDS_MAX])
{
	size_t n = 0;

	for (const char *at = command; *at && n < WORDS_MAX; at += *at == ' ') {
		words[n] = (struct slice){at, strcspn(at, " ")};
		at += words[n++].n;
	}
	return n;
}

void link_say(struct link *l, const char *command)
{
	struct slice words[WORDS_MAX];
	size_t n = words_split(command, words);

	link_add(l, n, words);
}

static bool link_write(struct link *l)
{
	int done = 0;

	if (l->unsent && redisBufferWrite(l->c, &done) != REDIS_OK)
		return false;
	l->unsent = l->unsent && !done;
	return true;
}

/* One step: waits until something can be written or read, and does it. */
static bool link_step(struct link *l, usec_t deadline, struct trouble *t)
{
	struct pollfd p = {.fd = l->c->fd, .events = POLLIN};
	usec_t left = deadline - clock_now();
	int n;

	if (!link_write(l))
		return trouble_say(t, false, "%s: %s", l->node->name, l->c->errstr), false;
	if (l->unsent)
		p.events |= POLLOUT;
	n = poll(&p, 1, left <= 0 ? 0 : (int)((left + USEC_PER_MS - 1) / USEC_PER_MS));
	if (n == 0) {
		trouble_say(t, false, "%s: no answer in time", l->node->name);
		return false;
	}
	if (n > 0 && p.revents & ~POLLOUT && redisBufferRead(l->c) != REDIS_OK) {
		trouble_say(t, false, "%s: %s", l->node->name, l->c->errstr);
		return false;
	}
	return true;
}

redisReply *link_reply(struct link *l, usec_t deadline, struct trouble *t)
{
	void *reply = NULL;

	for (;;) {
		if (redisGetReplyFromReader(l->c, &reply) != REDIS_OK) {
			trouble_say(t, false, "%s: %s", l->node->name, l->c->errstr);
			return NULL;
		}
		if (reply) {
			l->used = clock_now();
			return reply;
		}
		if (!link_step(l, deadline, t))
			return NULL;
	}
}

/* What the operator of the server has to change, as against what passes. */
static bool error_is_final(const char *text)
{
	static const char *const final[] = {"WRONGPASS",
					    "NOAUTH",
					    "NOPERM",
					    "DENIED",
					    "ERR AUTH",
					    "ERR invalid password",
					    "ERR unknown command",
					    "ERR DB index",
					    "ERR Error compiling function",
					    "ERR Error registering functions"};

	for (size_t i = 0; i < ARRAY_LEN(final); i++)
		if (strncmp(text, final[i], strlen(final[i])) == 0)
			return true;
	return false;
}

redisReply *link_call(struct link *l, usec_t deadline, struct trouble *t, size_t n, const struct slice *words)
{
	redisReply *r;

	link_add(l, n, words);
	r = link_reply(l, deadline, t);
	if (!r || r->type != REDIS_REPLY_ERROR)
		return r;
	trouble_say(t, error_is_final(r->str), "%s: %.*s: %s", l->node->name, (int)(words[0].n < 20 ? words[0].n : 20),
		    words[0].data, r->str);
	freeReplyObject(r);
	return NULL;
}

redisReply *link_ask(struct link *l, usec_t deadline, struct trouble *t, const char *command)
{
	struct slice words[WORDS_MAX];
	size_t n = words_split(command, words);

	return link_call(l, deadline, t, n, words);
}

bool link_poll(struct link *l)
{
	return link_write(l) && redisBufferRead(l->c) == REDIS_OK;
}

redisReply *link_heard(struct link *l)
{
	void *reply = NULL;

	if (redisGetReplyFromReader(l->c, &reply) != REDIS_OK)
		return NULL;
	if (reply)
		l->used = clock_now();
	return reply;
}
