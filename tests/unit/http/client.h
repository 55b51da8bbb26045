/* client.h
 *
 * A client that says exactly what it is told to, over a real socket, and waits ten seconds at most for what it hears.
 */
#ifndef SNOWGATE_TESTS_HTTP_CLIENT_H
#define SNOWGATE_TESTS_HTTP_CLIENT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static inline int dial_at(struct sockaddr *a, socklen_t n)
{
	struct timeval patience = {.tv_sec = 10};
	int fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, a, n) == 0)
		return fd;
	close(fd);
	return -1;
}

static inline int dial_port(int port)
{
	struct sockaddr_in a = {
	    .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	return dial_at((struct sockaddr *)&a, sizeof(a));
}

static inline bool say_n(int fd, const char *text, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		text += sent;
		n -= (size_t)sent;
	}
	return true;
}

static inline void say(int fd, const char *text)
{
	assert_true(say_n(fd, text, strlen(text)));
}

static char heard[65536];

/* Until the other end closes. False where it does not within the client's patience. */
static inline bool hear_all(int fd)
{
	size_t n = 0;
	ssize_t got = -1;

	while (n + 1 < sizeof(heard) && (got = recv(fd, heard + n, sizeof(heard) - 1 - n, 0)) > 0)
		n += (size_t)got;
	heard[n] = '\0';
	return got == 0 || errno == ECONNRESET;
}

/* One whole answer with Content-Length; the rest of the stream stays where it is. */
static inline int hear(int fd)
{
	size_t n = 0, body = 0;
	const char *length;

	while (n + 1 < sizeof(heard) && !(n >= 4 && memcmp(heard + n - 4, "\r\n\r\n", 4) == 0)) {
		if (recv(fd, heard + n, 1, 0) != 1)
			return 0;
		n++;
	}
	heard[n] = '\0';
	length = strcasestr(heard, "\r\nContent-Length: ");
	if (length)
		body = strtoul(length + 18, NULL, 10);
	assert_true(n + body < sizeof(heard));
	while (body > 0) {
		ssize_t got = recv(fd, heard + n, body, 0);

		if (got <= 0)
			return 0;
		n += (size_t)got;
		body -= (size_t)got;
	}
	heard[n] = '\0';
	return strncmp(heard, "HTTP/1.1 ", 9) == 0 ? (int)strtol(heard + 9, NULL, 10) : -1;
}

static inline bool heard_has(const char *text)
{
	return strcasestr(heard, text) != NULL;
}

#endif
