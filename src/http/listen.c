/* Listening sockets: IPv4, IPv6 and Unix, and what to tell a person when one cannot be had. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "passed.h"
#include "server.h"

static bool inet_address(const char *address, int port, union any_address *a, socklen_t *n)
{
	char text[64];
	size_t length = strlen(address);
	bool bracketed = length >= 2 && address[0] == '[' && address[length - 1] == ']';

	if (length >= sizeof(text))
		return false;
	memcpy(text, address + bracketed, length - 2 * bracketed);
	text[length - 2 * bracketed] = '\0';
	memset(a, 0, sizeof(*a));
	if (!bracketed &&
	    inet_pton(AF_INET, strcmp(text, "localhost") == 0 ? "127.0.0.1" : text, &a->v4.sin_addr) == 1) {
		a->v4.sin_family = AF_INET;
		a->v4.sin_port = htons((uint16_t)port);
		*n = sizeof(a->v4);
		return true;
	}
	if (inet_pton(AF_INET6, text, &a->v6.sin6_addr) != 1)
		return false;
	a->v6.sin6_family = AF_INET6;
	a->v6.sin6_port = htons((uint16_t)port);
	*n = sizeof(a->v6);
	return true;
}

static bool unix_address(const char *path, union any_address *a, socklen_t *n)
{
	memset(a, 0, sizeof(*a));
	a->local.sun_family = AF_UNIX;
	if (path[0] != '/' || strlen(path) >= sizeof(a->local.sun_path))
		return false;
	memcpy(a->local.sun_path, path, strlen(path));
	*n = sizeof(a->local);
	return true;
}

static void why_not(int error, const char *address, int port, const char *key, char *why, size_t why_size)
{
	bool local = strncmp(address, "unix:", 5) == 0;
	bool bare_v6 = strchr(address, ':') && address[0] != '[';
	char name[160];

	if (local)
		snprintf(name, sizeof(name), "%s", address);
	else
		snprintf(name, sizeof(name), bare_v6 ? "[%s]:%d" : "%s:%d", address, port);
	if (error == EADDRINUSE)
		snprintf(why, why_size, "%s is taken by another program; choose another %s.%s", name, key,
			 local ? "address" : "port");
	else if (error == EADDRNOTAVAIL)
		snprintf(why, why_size, "%s is not an address of this machine; change %s.address", name, key);
	else if (error == EACCES)
		snprintf(why, why_size, "%s may not be used by this user; choose another %s.%s", name, key,
			 local ? "address" : "port, above 1023,");
	else
		snprintf(why, why_size, "%s cannot be listened on: %s (%s.address)", name, strerror(error), key);
}

/* A socket file that nobody answers on is left over from a process that was killed. */
static bool is_stale(const union any_address *a, socklen_t n)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool stale = fd >= 0 && connect(fd, &a->any, n) != 0 && errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return stale;
}

int bind_and_listen(int fd, const union any_address *a, socklen_t n)
{
	int on = 1, off = 0;

	if (a->any.sa_family != AF_UNIX)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a->any.sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, &a->any, n) != 0) {
		if (errno != EADDRINUSE || a->any.sa_family != AF_UNIX)
			return errno;
		if (!is_stale(a, n) || unlink(a->local.sun_path) != 0)
			return EADDRINUSE;
		if (bind(fd, &a->any, n) != 0)
			return errno;
	}
	return listen(fd, SOMAXCONN) == 0 ? 0 : errno;
}

static int bound_port(int fd)
{
	union any_address a;
	socklen_t n = sizeof(a);

	if (getsockname(fd, &a.any, &n) != 0 || a.any.sa_family == AF_UNIX)
		return 0;
	return ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
}

bool door_address(const char *address, int port, union any_address *a, socklen_t *n)
{
	bool local = strncmp(address, "unix:", 5) == 0;

	return local ? unix_address(address + 5, a, n) : inet_address(address, port, a, n);
}

bool door_bind(struct door *d, const char *address, int port, const char *key, char *why, size_t why_size)
{
	union any_address a;
	socklen_t n;
	int error = 0;

	if (!door_address(address, port, &a, &n)) {
		snprintf(why, why_size,
			 "%s.address: \"%s\" is not an IPv4 or IPv6 address, nor unix:/path of at most 107 bytes", key,
			 address);
		return false;
	}
	if (!d->admin || port) /* any free port: not the public one */
		d->listen_fd = passed_claim(&a, &d->lent);
	if (d->listen_fd < 0) {
		d->listen_fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		error = d->listen_fd < 0 ? errno : bind_and_listen(d->listen_fd, &a, n);
	}
	if (error) {
		why_not(error, address, port, key, why, why_size);
		door_close(d);
		return false;
	}
	if (a.any.sa_family == AF_UNIX)
		memcpy(d->path, a.local.sun_path, sizeof(d->path));
	d->port = bound_port(d->listen_fd);
	return true;
}

/* Shut down first: connections that the kernel has accepted but we have not then fail at once instead of hanging. Where
 * somebody else has the socket too they wait for him. */
void door_close(struct door *d)
{
	if (d->listen_fd >= 0) {
		if (!d->lent)
			(void)shutdown(d->listen_fd, SHUT_RDWR);
		close(d->listen_fd);
	}
	if (d->path[0] && !d->lent)
		(void)unlink(d->path);
	d->path[0] = '\0';
	d->listen_fd = -1;
}

/* Room above our own cap, so that the surplus is told 503 instead of hanging in the backlog (M10). */
unsigned connection_limit(const struct conf *conf)
{
	unsigned cap = (unsigned)conf->listen_max_connections;

	return cap + (cap / 8 > 64 ? cap / 8 : 64);
}

bool limit_files(const struct conf *conf, char *why, size_t why_size)
{
	rlim_t need = connection_limit(conf) + ADMIN_CONNECTIONS + (rlim_t)conf->snowflake_max_connections + 64;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= need)
		return true;
	limit.rlim_cur = limit.rlim_max;
	if (limit.rlim_max < need || setrlimit(RLIMIT_NOFILE, &limit) != 0) {
		snprintf(
		    why, why_size,
		    "listen.max_connections %lld needs %llu open files, and the limit is %llu; raise it (ulimit -n, "
		    "LimitNOFILE=) or lower listen.max_connections",
		    (long long)conf->listen_max_connections, (unsigned long long)need,
		    (unsigned long long)limit.rlim_max);
		return false;
	}
	return true;
}
