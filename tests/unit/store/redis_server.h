/* redis_server.h
 *
 * Real redis-servers for tests: each in a folder of its own, under deploy/valkey/valkey.conf and the users of
 * deploy/valkey/snowgate.acl, on a Unix socket and a free port of loopback. They die with the test program.
 */
#ifndef SNOWGATE_REDIS_SERVER_H
#define SNOWGATE_REDIS_SERVER_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define REDIS_PASSWORD "a password of the tests"

struct redis_server {
	pid_t pid; /* 0: not running */
	int port;
	char folder[64], socket[96], url[128], tcp_url[64];
	redisContext *admin; /* as a user who may do everything */
	int64_t *clock;      /* its time of day in microseconds; NULL: the real one */
};

/* Is redis-server installed, version 7 or later? */
bool redis_installed(void);
/* Starts one and waits until it answers; `options` are more lines of configuration, or NULL. */
void redis_begin(struct redis_server *r, const char *options);
/* The same with a time of day that stands still, but for what the test adds to *r->clock. */
void redis_begin_clock(struct redis_server *r, const char *options);
/* Starts it again with what its folder holds. `wait`: until it answers. */
void redis_again(struct redis_server *r, bool wait);
/* Sends it a signal; SIGKILL and SIGTERM: it is gone when this returns. */
void redis_signal(struct redis_server *r, int number);
/* Ends it, whatever state it is in, and removes the folder. */
void redis_end(struct redis_server *r);
/* As the administrator. An error reply fails the test. redis_do() forgets the reply, redis_number() returns it. */
redisReply *redis_ask(struct redis_server *r, const char *format, ...);
void redis_do(struct redis_server *r, const char *format, ...);
long long redis_number(struct redis_server *r, const char *format, ...);
/* Has a replica all that has been written? Waits for it so long. */
bool redis_in_step(struct redis_server *master, int ms);
/* Makes it a replica of the other, and waits until they are in step. */
void redis_follow(struct redis_server *replica, struct redis_server *master);

#endif
