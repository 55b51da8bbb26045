/* Preloaded into the gateway by the end-to-end tests: records what it receives and sends over the connections that it
 * accepts, and `snowgate stdio` over standard input and output, in a file of its own in the folder $SNOWGATE_TAP.
 *
 * The file is a sequence of records, struct record and then its bytes, in the order in which things happened. Nothing
 * is kept here: each record is written at once, so that what a killed process sent can be read as well. Descriptors
 * that no accept() gave pass through. The calls are made to the kernel, not to the C library: there is nothing to look
 * up. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 65536
#define HIGH_DESCRIPTOR 900 /* out of the way of tests that count descriptors or run short of them */
#define PIECE           16384

/* Host byte order. Kinds: 'a' accepted, 's' the conversation of stdio, '<' received, '>' sent, 'c' closed. */
struct record {
	uint32_t connection, kind, n;
};

static _Atomic uint32_t connections[DESCRIPTORS_MAX]; /* 0: not ours */
static _Atomic uint32_t connections_n;
static char file[PATH_MAX]; /* empty: nothing is recorded */
static _Atomic int out = -1;

/* glibc's fortified calls; no header declares them for us. */
ssize_t __read_chk(int fd, void *data, size_t n, size_t room);
ssize_t __recv_chk(int fd, void *data, size_t n, size_t room, int flags);

/* ---- the file ---- */

/* A test whose messages are not recorded must not pass. */
static void give_up(const char *what)
{
	(void)dprintf(STDERR_FILENO, "tap: %s: %s: %s\n", what, file, strerror(errno));
	abort();
}

static int out_open(void)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, HIGH_DESCRIPTOR);

	if (fd < 0)
		give_up("open");
	if (high >= 0)
		(void)syscall(SYS_close, fd);
	return high >= 0 ? high : fd;
}

static void record(uint32_t connection, char kind, const void *data, size_t n)
{
	struct record head = {connection, (uint32_t)kind, (uint32_t)n};
	struct iovec parts[2] = {{&head, sizeof(head)}, {(void *)(uintptr_t)data, n}};
	int kept = errno;

	if (out < 0)
		out = out_open(); /* the first accept() is made by the one thread that accepts */
	if (syscall(SYS_writev, out, parts, 2) != (ssize_t)(sizeof(head) + n))
		give_up("write");
	errno = kept;
}

static void record_parts(uint32_t connection, const struct iovec *parts, size_t parts_n, ssize_t sent)
{
	size_t left = sent > 0 ? (size_t)sent : 0;

	for (size_t i = 0; i < parts_n && left > 0; i++) {
		size_t n = parts[i].iov_len < left ? parts[i].iov_len : left;

		if (n > 0)
			record(connection, '>', parts[i].iov_base, n);
		left -= n;
	}
}

/* What sendfile() sent is read once more. */
static void record_file(uint32_t connection, int in, off_t at, ssize_t sent)
{
	char data[PIECE];

	for (ssize_t n; sent > 0; sent -= n, at += n) {
		n = pread(in, data, sent < PIECE ? (size_t)sent : PIECE, at);
		if (n <= 0)
			give_up("sendfile");
		record(connection, '>', data, (size_t)n);
	}
}

/* ---- whose connection ---- */

static uint32_t connection_of(int fd)
{
	return fd >= 0 && fd < DESCRIPTORS_MAX ? connections[fd] : 0;
}

static int adopted(int fd)
{
	if (fd < 0 || !file[0])
		return fd;
	if (fd >= DESCRIPTORS_MAX)
		give_up("too many descriptors");
	connections[fd] = ++connections_n;
	record(connections[fd], 'a', NULL, 0);
	return fd;
}

static bool is_ours(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	return strcmp(name, "snowgate") == 0 || strcmp(name, "snowgate-conformance") == 0;
}

__attribute__((constructor)) static void tap_start(int argc, char **argv)
{
	const char *folder = getenv("SNOWGATE_TAP");
	struct timespec now;

	if (!folder || !*folder || argc < 1 || !is_ours(argv[0]))
		return;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)snprintf(file, sizeof(file), "%s/%011lld.%09ld-%d", folder, (long long)now.tv_sec, now.tv_nsec, getpid());
	if (argc > 1 && strcmp(argv[1], "stdio") == 0) {
		connections[0] = connections[1] = ++connections_n;
		record(connections_n, 's', NULL, 0);
	}
}

/* ---- the calls ---- */

int accept4(int fd, struct sockaddr *address, socklen_t *n, int flags)
{
	return adopted((int)syscall(SYS_accept4, fd, address, n, flags));
}

int accept(int fd, struct sockaddr *address, socklen_t *n)
{
	return accept4(fd, address, n, 0);
}

int close(int fd)
{
	uint32_t connection = connection_of(fd);

	if (connection) {
		connections[fd] = 0;
		record(connection, 'c', NULL, 0);
	}
	return (int)syscall(SYS_close, fd);
}

/* stdio opens its standard output once more. */
int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list rest;
	int fd;

	if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) {
		va_start(rest, flags);
		mode = va_arg(rest, mode_t);
		va_end(rest);
	}
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	if (fd >= 0 && connection_of(1) && strcmp(path, "/proc/self/fd/1") == 0)
		connections[fd] = connections[1];
	return fd;
}

static ssize_t received(int fd, const void *data, ssize_t n)
{
	if (n > 0 && connection_of(fd))
		record(connection_of(fd), '<', data, (size_t)n);
	return n;
}

ssize_t read(int fd, void *data, size_t n)
{
	return received(fd, data, syscall(SYS_read, fd, data, n));
}

ssize_t __read_chk(int fd, void *data, size_t n, size_t room)
{
	return n > room ? (abort(), -1) : read(fd, data, n);
}

ssize_t recv(int fd, void *data, size_t n, int flags)
{
	ssize_t got = syscall(SYS_recvfrom, fd, data, n, flags, NULL, NULL);

	return flags & MSG_PEEK ? got : received(fd, data, got);
}

ssize_t __recv_chk(int fd, void *data, size_t n, size_t room, int flags)
{
	return n > room ? (abort(), -1) : recv(fd, data, n, flags);
}

static ssize_t sent(int fd, const void *data, ssize_t n)
{
	if (n > 0 && connection_of(fd))
		record(connection_of(fd), '>', data, (size_t)n);
	return n;
}

ssize_t write(int fd, const void *data, size_t n)
{
	return sent(fd, data, syscall(SYS_write, fd, data, n));
}

ssize_t send(int fd, const void *data, size_t n, int flags)
{
	return sent(fd, data, syscall(SYS_sendto, fd, data, n, flags, NULL, 0));
}

ssize_t writev(int fd, const struct iovec *parts, int parts_n)
{
	ssize_t n = syscall(SYS_writev, fd, parts, parts_n);

	if (connection_of(fd))
		record_parts(connection_of(fd), parts, (size_t)parts_n, n);
	return n;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	ssize_t n = syscall(SYS_sendmsg, fd, message, flags);

	if (connection_of(fd))
		record_parts(connection_of(fd), message->msg_iov, message->msg_iovlen, n);
	return n;
}

ssize_t sendfile(int fd, int in, off_t *at, size_t n)
{
	off_t from = at ? *at : lseek(in, 0, SEEK_CUR);
	ssize_t done = syscall(SYS_sendfile, fd, in, at, n);

	if (connection_of(fd))
		record_file(connection_of(fd), in, from, done);
	return done;
}

ssize_t sendfile64(int fd, int in, off64_t *at, size_t n)
{
	return sendfile(fd, in, at, n);
}
