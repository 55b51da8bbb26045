/* Lines wait here until the client takes them: written without ever blocking, whatever the descriptor is. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stdio_internal.h"

/* O_NONBLOCK belongs to the open file description, which a shell or a parent may share with us: a pipe or a terminal is
 * opened once more instead. Where that is not allowed, each write waits for poll() and is small enough for a pipe that
 * poll() calls writable. */
static int reopen(int fd)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void output_open(struct output *o, int fd)
{
	struct stat st = {0};

	*o = (struct output){.fd = fd};
	if (fstat(fd, &st) != 0)
		return;
	o->socket = S_ISSOCK(st.st_mode);
	if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
		int again = reopen(fd);

		o->own = again >= 0;
		o->fd = o->own ? again : fd;
	}
}

void output_break(struct output *o)
{
	outbox_free(&o->lines);
	o->broken = true;
}

void output_close(struct output *o)
{
	output_break(o);
	if (o->own)
		close(o->fd);
	o->own = false;
}

void output_put(struct output *o, struct slice message)
{
	char *line, *end;

	if (o->broken)
		return;
	line = outbox_add(&o->lines, message.n + 1);
	end = line + message.n;
	memcpy(line, message.data, message.n);
	for (char *c = line; (c = memchr(c, '\n', (size_t)(end - c))); c++)
		*c = ' ';
	for (char *c = line; (c = memchr(c, '\r', (size_t)(end - c))); c++)
		*c = ' ';
	*end = '\n';
}

static ssize_t write_some(const struct output *o, struct slice next)
{
	struct pollfd ready = {.fd = o->fd, .events = POLLOUT};

	if (o->socket)
		return send(o->fd, next.data, next.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (o->own)
		return write(o->fd, next.data, next.n);
	if (poll(&ready, 1, 0) != 1) {
		errno = EAGAIN;
		return -1;
	}
	return write(o->fd, next.data, next.n < PIPE_BUF ? next.n : PIPE_BUF);
}

void output_flush(struct output *o)
{
	while (o->lines.n) {
		ssize_t n = write_some(o, outbox_next(&o->lines));

		if (n >= 0) {
			outbox_skip(&o->lines, (size_t)n);
			o->moved |= n > 0;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			return;
		} else if (errno != EINTR) {
			output_break(o);
		}
	}
}
