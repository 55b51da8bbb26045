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

struct out_line {
	struct out_line *next;
	size_t n, at;
	char data[];
};

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

	*o = (struct output){.fd = fd, .last = &o->first};
	if (fstat(fd, &st) != 0)
		return;
	o->socket = S_ISSOCK(st.st_mode);
	if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
		int again = reopen(fd);

		o->own = again >= 0;
		o->fd = o->own ? again : fd;
	}
}

static void clear(struct output *o)
{
	while (o->first) {
		struct out_line *line = o->first;

		o->first = line->next;
		free(line);
	}
	o->last = &o->first;
	o->bytes = 0;
}

void output_break(struct output *o)
{
	clear(o);
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
	struct out_line *line;

	if (o->broken)
		return;
	line = xalloc(sizeof(*line) + message.n + 1);
	line->n = message.n + 1;
	memcpy(line->data, message.data, message.n);
	for (char *c = line->data; (c = memchr(c, '\n', (size_t)(line->data + message.n - c))); c++)
		*c = ' ';
	for (char *c = line->data; (c = memchr(c, '\r', (size_t)(line->data + message.n - c))); c++)
		*c = ' ';
	line->data[message.n] = '\n';
	*o->last = line;
	o->last = &line->next;
	o->bytes += line->n;
}

static ssize_t write_some(const struct output *o, const char *data, size_t n)
{
	struct pollfd ready = {.fd = o->fd, .events = POLLOUT};

	if (o->socket)
		return send(o->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (o->own)
		return write(o->fd, data, n);
	if (poll(&ready, 1, 0) != 1) {
		errno = EAGAIN;
		return -1;
	}
	return write(o->fd, data, n < PIPE_BUF ? n : PIPE_BUF);
}

static void written(struct output *o, size_t n)
{
	struct out_line *line = o->first;

	o->bytes -= n;
	line->at += n;
	if (line->at < line->n)
		return;
	o->first = line->next;
	if (!o->first)
		o->last = &o->first;
	free(line);
}

void output_flush(struct output *o)
{
	while (o->first) {
		ssize_t n = write_some(o, o->first->data + o->first->at, o->first->n - o->first->at);

		if (n >= 0) {
			written(o, (size_t)n);
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			return;
		} else if (errno != EINTR) {
			output_break(o);
		}
	}
}
