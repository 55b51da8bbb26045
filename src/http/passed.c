/* Listening sockets that were opened before this process: by a service manager, or by the one that it takes over from.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "passed.h"
#include "snowgate/http.h"

#define FIRST_FD 3 /* sd_listen_fds(3) */

/* owner: main until NET starts; then NET */
static struct {
	int fd[PASSED_MAX];
	size_t n;
	bool lent; /* by a service manager, who keeps them */
} passed;

static bool is_listening(int fd)
{
	int on = 0, type = 0;
	socklen_t n = sizeof(on), m = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &n) == 0 && on &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &m) == 0 && type == SOCK_STREAM;
}

bool passed_add(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (passed.n == PASSED_MAX || flags < 0 || !is_listening(fd) || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
		return false;
	passed.fd[passed.n++] = fd;
	return true;
}

static bool is_at(int fd, const union any_address *want)
{
	union any_address a;
	socklen_t n = sizeof(a);

	memset(&a, 0, sizeof(a));
	if (getsockname(fd, &a.any, &n) != 0 || a.any.sa_family != want->any.sa_family)
		return false;
	if (a.any.sa_family == AF_UNIX)
		return strncmp(a.local.sun_path, want->local.sun_path, sizeof(a.local.sun_path)) == 0;
	if (a.any.sa_family == AF_INET6)
		return memcmp(&a.v6.sin6_addr, &want->v6.sin6_addr, sizeof(a.v6.sin6_addr)) == 0 &&
		       (!want->v6.sin6_port || a.v6.sin6_port == want->v6.sin6_port);
	return a.v4.sin_addr.s_addr == want->v4.sin_addr.s_addr &&
	       (!want->v4.sin_port || a.v4.sin_port == want->v4.sin_port);
}

static size_t passed_at(const union any_address *want)
{
	size_t i = 0;

	while (i < passed.n && !is_at(passed.fd[i], want))
		i++;
	return i;
}

bool passed_has(const union any_address *want)
{
	return passed_at(want) < passed.n;
}

int passed_claim(const union any_address *want, bool *lent)
{
	size_t i = passed_at(want);
	int fd;

	if (i == passed.n)
		return -1;
	fd = passed.fd[i];
	passed.fd[i] = passed.fd[--passed.n];
	*lent = passed.lent;
	return fd;
}

void passed_drop(void)
{
	while (passed.n)
		close(passed.fd[--passed.n]);
}

bool passed_unclaimed(char *why, size_t why_size)
{
	bool left = passed.lent && passed.n > 0;

	if (left)
		snprintf(why, why_size,
			 "the service manager passed a socket that is none of ours: each ListenStream= must be "
			 "listen.address and listen.port, or those of admin, with its address in full");
	passed_drop();
	return left;
}

/* ---- from a service manager ---- */

static bool number_of(const char *name, int64_t least, int64_t most, int64_t *out)
{
	const char *text = getenv(name);

	return text && parse_int(text, least, most, out);
}

bool http_inherit(char *why, size_t why_size)
{
	int64_t pid = 0, n = 0;
	bool ours =
	    number_of("LISTEN_PID", 1, INT32_MAX, &pid) && pid == getpid() && number_of("LISTEN_FDS", 1, INT32_MAX, &n);

	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	passed.lent = ours;
	for (int i = 0; ours && i < n; i++) {
		if (i < PASSED_MAX && passed_add(FIRST_FD + i))
			continue;
		snprintf(why, why_size,
			 "descriptor %d of LISTEN_FDS is no listening stream socket (at most %d of them are taken)",
			 FIRST_FD + i, PASSED_MAX);
		return false;
	}
	return true;
}
