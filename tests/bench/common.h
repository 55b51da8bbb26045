/* common.h
 *
 * What the load generators share: the clock, the end, and connections to the program measured.
 */
#ifndef SNOWGATE_BENCH_COMMON_H
#define SNOWGATE_BENCH_COMMON_H

#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define TOKENS_MAX 64

/* Monotonic, in microseconds. */
static inline int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static inline void die(const char *why)
{
	fprintf(stderr, "%s\n", why);
	exit(2);
}

/* The number in optarg. */
static inline long number(long most)
{
	char *end;
	long n = strtol(optarg, &end, 10);

	if (end == optarg || *end || n < 1 || n > most)
		die("a number is out of range");
	return n;
}

/* A connection to a port of this machine. */
static inline int dial(long port)
{
	struct sockaddr_in to = {
	    .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to))
		die("cannot connect");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

#endif
