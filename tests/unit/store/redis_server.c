/* Starts, stops and asks real redis-servers on behalf of tests. */
#include "redis_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "snowgate/crypt.h"
#include "snowgate/file.h"
#include "snowgate/wheel.h"

#define CONFIG "deploy/valkey/valkey.conf"
#define USERS  "deploy/valkey/snowgate.acl"
#define MARK   "#SHA-256-OF-ITS-PASSWORD-IN-HEX"
#define TRIES  1000 /* of 10 ms */

bool redis_installed(void)
{
	static int known = -1;
	pid_t pid;

	if (known != -1)
		return known;
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);
		dup2(null, 1);
		dup2(null, 2);
		execlp("redis-server", "redis-server", "--version", NULL);
		_exit(127);
	}
	int status = 0;
	waitpid(pid, &status, 0);
	known = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	return known;
}

static int port_free(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	close(fd);
	return ntohs(a.sin_port);
}

static void file_put(const char *folder, const char *name, const struct buf *b)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(b->data, 1, b->n, f), b->n);
	fclose(f);
}

/* The users as they are deployed, their passwords put in, and one for the tests themselves. */
static void users_write(const struct redis_server *r)
{
	struct sha256 hash = crypt_sha256(REDIS_PASSWORD, strlen(REDIS_PASSWORD));
	char *text = file_read(USERS, 1 << 16, NULL);
	struct buf b = buf_with_ceiling(1 << 16);
	const char *at = text, *mark;

	assert_non_null(text);
	for (; (mark = strstr(at, MARK)); at = mark + strlen(MARK)) {
		buf_add(&b, at, (size_t)(mark - at));
		buf_addc(&b, '#');
		hex_encode(&b, hash.bytes, sizeof hash.bytes);
	}
	buf_adds(&b, at);
	buf_adds(&b, "user admin on nopass ~* &* +@all\n");
	file_put(r->folder, "users.acl", &b);
	buf_free(&b);
	free(text);
}

static void config_write(const struct redis_server *r, const char *options)
{
	char *text = file_read(CONFIG, 1 << 16, NULL);
	struct buf b = buf_with_ceiling(1 << 16);

	assert_non_null(text);
	buf_addf(&b,
		 "%s\nport %d\nbind 127.0.0.1\nunixsocket %s\ndir %s\naclfile %s/users.acl\nlogfile %s/log\n"
		 "maxmemory 0\nmasteruser replica\nmasterauth \"%s\"\nrepl-timeout 5\nrepl-ping-replica-period 1\n%s\n",
		 text, r->port, r->socket, r->folder, r->folder, r->folder, REDIS_PASSWORD, options ? options : "");
	file_put(r->folder, "conf", &b);
	buf_free(&b);
	free(text);
}

static bool redis_answers(struct redis_server *r)
{
	redisReply *reply = NULL;
	bool good;

	r->admin = redisConnectUnix(r->socket);
	if (!r->admin->err)
		reply = redisCommand(r->admin, "AUTH admin x");
	if (reply && reply->type != REDIS_REPLY_ERROR) {
		freeReplyObject(reply);
		reply = redisCommand(r->admin, "PING");
	}
	good = reply && reply->type != REDIS_REPLY_ERROR;
	if (reply)
		freeReplyObject(reply);
	if (!good) {
		redisFree(r->admin);
		r->admin = NULL;
	}
	return good;
}

void redis_again(struct redis_server *r, bool wait)
{
	char config[80], clock[80];

	snprintf(config, sizeof config, "%s/conf", r->folder);
	snprintf(clock, sizeof clock, "%s/clock", r->folder);
	r->pid = fork();
	assert_int_not_equal(r->pid, -1);
	if (r->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		int null = open("/dev/null", O_RDWR);
		dup2(null, 1);
		dup2(null, 2);
		if (r->clock) {
			setenv("LD_PRELOAD", SERVER_CLOCK, 1);
			setenv("SNOWGATE_SERVER_CLOCK", clock, 1);
		}
		execlp("redis-server", "redis-server", config, NULL);
		_exit(127);
	}
	for (int i = 0; wait && !redis_answers(r); i++) {
		if (i == TRIES)
			fail_msg("redis-server in %s does not answer", r->folder);
		poll(NULL, 0, 10);
	}
}

static void folder_make(struct redis_server *r, const char *options)
{
	*r = (struct redis_server){.port = port_free()};
	snprintf(r->folder, sizeof r->folder, "/tmp/snowgate-redis-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	snprintf(r->socket, sizeof r->socket, "%s/socket", r->folder);
	snprintf(r->url, sizeof r->url, "unix://%s", r->socket);
	snprintf(r->tcp_url, sizeof r->tcp_url, "redis://127.0.0.1:%d", r->port);
	users_write(r);
	config_write(r, options);
}

void redis_begin(struct redis_server *r, const char *options)
{
	folder_make(r, options);
	redis_again(r, true);
}

void redis_begin_clock(struct redis_server *r, const char *options)
{
	struct buf b = buf_with_ceiling(64);
	int64_t now = clock_wall_usec();
	char path[80];
	int fd;

	folder_make(r, options);
	buf_add(&b, &now, sizeof now);
	file_put(r->folder, "clock", &b);
	buf_free(&b);
	snprintf(path, sizeof path, "%s/clock", r->folder);
	fd = open(path, O_RDWR | O_CLOEXEC);
	r->clock = mmap(NULL, sizeof now, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(r->clock, MAP_FAILED);
	close(fd);
	redis_again(r, true);
}

void redis_signal(struct redis_server *r, int number)
{
	kill(r->pid, number);
	if (number != SIGKILL && number != SIGTERM)
		return;
	if (r->admin)
		redisFree(r->admin);
	r->admin = NULL;
	waitpid(r->pid, NULL, 0);
	r->pid = 0;
}

static int entry_remove(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	(void)st, (void)flag, (void)at;
	return remove(path);
}

void redis_end(struct redis_server *r)
{
	if (r->pid > 0)
		redis_signal(r, SIGKILL);
	if (r->clock)
		munmap(r->clock, sizeof *r->clock);
	if (*r->folder)
		nftw(r->folder, entry_remove, 8, FTW_DEPTH | FTW_PHYS);
	*r = (struct redis_server){0};
}

static redisReply *redis_askv(struct redis_server *r, const char *format, va_list args)
{
	redisReply *reply;

	for (int i = 0; !r->admin && i < TRIES && !redis_answers(r); i++)
		poll(NULL, 0, 10);
	assert_non_null(r->admin);
	reply = redisvCommand(r->admin, format, args);
	if (!reply)
		fail_msg("%s: %s", format, r->admin->errstr);
	if (reply->type == REDIS_REPLY_ERROR)
		fail_msg("%s: %s", format, reply->str);
	return reply;
}

redisReply *redis_ask(struct redis_server *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	redisReply *reply = redis_askv(r, format, args);
	va_end(args);
	return reply;
}

void redis_do(struct redis_server *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	freeReplyObject(redis_askv(r, format, args));
	va_end(args);
}

long long redis_number(struct redis_server *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	redisReply *reply = redis_askv(r, format, args);
	va_end(args);
	long long n = reply->integer;
	assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
	freeReplyObject(reply);
	return n;
}

bool redis_in_step(struct redis_server *master, int ms)
{
	/* WAIT is about what its own connection has seen written; a replica may count as online before it is sent
	 * anything */
	redis_do(master, "SET tests:in-step 1 PX 1000");
	return redis_number(master, "WAIT 1 %d", ms) >= 1;
}

/* A replica that has just been filled begins its AOF anew; until that is done, the old one counts if it crashes. */
static bool redis_settled(struct redis_server *r)
{
	redisReply *info = redis_ask(r, "INFO persistence");
	bool settled = strstr(info->str, "aof_rewrite_in_progress:0") && strstr(info->str, "aof_rewrite_scheduled:0");

	freeReplyObject(info);
	return settled;
}

void redis_follow(struct redis_server *replica, struct redis_server *master)
{
	redis_do(replica, "REPLICAOF 127.0.0.1 %d", master->port);
	for (int i = 0;; i++) {
		redisReply *role = redis_ask(replica, "ROLE");
		bool connected = role->elements == 5 && strcmp(role->element[3]->str, "connected") == 0;
		freeReplyObject(role);
		if (connected && redis_in_step(master, 100) && redis_settled(replica))
			return;
		if (i == TRIES)
			fail_msg("no replication");
		poll(NULL, 0, 10);
	}
}
