/* A load generator: connections that each send one request, check its answer, and send the next. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common.h"

#define REQUEST_MAX 16384
#define ANSWER_MAX  65536
#define EVENTS_MAX  128
#define PIDS_MAX    16
#define WARM_USEC   500000 /* before the count begins: connections, caches, the other side's pools */
/* Latency in buckets of 1/32 of their power of two: a quantile is at most 3 % off. */
#define BUCKET_BITS 5
#define BUCKETS_N   (32 << BUCKET_BITS)

static const char usage[] =
    "load --port N --connections N --seconds N [--path P] [--body B] [--header H]...\n"
    "     [--token T]... [--expect TEXT] [--pid PID]... [--session] [--count N]\n"
    "Connections take the bearer tokens in turn, so that no one principal's limits are those of the run.\n"
    "--session: each has a session, begun with initialize, whose id goes with every request. A run of @ in the body "
    "is\n"
    "a number that is another one each time. --count: no warming up, and the end is there after so many answers.\n"
    "Prints one line: calls, seconds, p50 and p99 in microseconds, errors, CPU microseconds and resident KiB of\n"
    "the processes named.\n";

struct options {
	long port, connections, seconds, count;
	bool session;
	const char *path, *body, *expect;
	long pids[PIDS_MAX];
	const char *tokens[TOKENS_MAX];
	size_t pids_n, tokens_n;
};

struct message {
	size_t n;
	size_t number, number_n; /* where in the text the number goes, and its digits */
	char text[REQUEST_MAX];
};

struct link {
	int fd;
	struct message *message; /* its own where it has a session */
	bool opening;            /* what it has asked for is a session */
	int64_t sent;
	size_t n;
	char answer[ANSWER_MAX + 1];
};

struct bench {
	const struct options *options;
	int epoll;
	bool counting;
	uint64_t calls, errors, numbers;
	uint64_t buckets[BUCKETS_N];
	size_t headers_n;
	char headers[REQUEST_MAX / 2];
	struct link *links;
	struct message messages[TOKENS_MAX]; /* one for each token; one where there is none */
};

/* ---- latency ---- */

static size_t bucket_of(uint64_t usec)
{
	unsigned power = 0;
	size_t bucket;

	while (usec >> power >= 2u << BUCKET_BITS)
		power++;
	bucket = ((size_t)power << BUCKET_BITS) + (size_t)(usec >> power);
	return bucket < BUCKETS_N ? bucket : BUCKETS_N - 1;
}

/* The largest latency that falls in the bucket. */
static uint64_t bucket_end(size_t bucket)
{
	size_t power = bucket >> BUCKET_BITS;

	if (power < 2)
		return bucket;
	power--;
	return (((uint64_t)(bucket - (power << BUCKET_BITS)) + 1) << power) - 1;
}

static uint64_t quantile(const struct bench *b, uint64_t per_mille)
{
	uint64_t want = (b->calls * per_mille + 999) / 1000, seen = 0;

	for (size_t i = 0; i < BUCKETS_N; i++) {
		seen += b->buckets[i];
		if (seen >= want)
			return bucket_end(i);
	}
	return 0;
}

/* ---- the processes measured ---- */

static bool slurp(long pid, const char *name, char *out, size_t size)
{
	char path[64];
	FILE *file;
	size_t n;

	(void)snprintf(path, sizeof path, "/proc/%ld/%s", pid, name);
	file = fopen(path, "re");
	if (!file)
		return false;
	n = fread(out, 1, size - 1, file);
	(void)fclose(file);
	out[n] = 0;
	return n > 0;
}

/* utime + stime of /proc/PID/stat, fields 14 and 15; the second field, in parentheses, may hold blanks. */
static int64_t cpu_usec(const struct options *o)
{
	int64_t ticks = 0;

	for (size_t i = 0; i < o->pids_n; i++) {
		char text[1024], *at;

		if (!slurp(o->pids[i], "stat", text, sizeof text) || !(at = strrchr(text, ')')))
			die("a process to measure is gone");
		for (int field = 2; field < 14 && at; field++)
			at = strchr(at + 1, ' ');
		if (!at)
			die("/proc/PID/stat is not as documented");
		ticks += strtoll(at, &at, 10);
		ticks += strtoll(at, &at, 10);
	}
	return ticks * 1000000 / sysconf(_SC_CLK_TCK);
}

static int64_t resident_kib(const struct options *o)
{
	int64_t kib = 0;

	for (size_t i = 0; i < o->pids_n; i++) {
		char text[4096], *at;

		if (slurp(o->pids[i], "status", text, sizeof text) && (at = strstr(text, "VmRSS:")))
			kib += strtoll(at + 6, NULL, 10);
	}
	return kib;
}

/* ---- connections ---- */

static void number_write(struct bench *b, struct message *m)
{
	uint64_t number = b->numbers++;

	for (size_t i = m->number_n; i > 0; i--, number /= 10)
		m->text[m->number + i - 1] = (char)('0' + number % 10);
}

static void link_send(struct bench *b, struct link *l)
{
	number_write(b, l->message);
	l->n = 0;
	l->sent = now();
	/* One request is far smaller than a socket buffer that is empty: a short write is a broken connection, which
	 * the next read tells. */
	(void)!send(l->fd, l->message->text, l->message->n, MSG_NOSIGNAL);
}

static void link_open(struct bench *b, struct link *l)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = l};

	l->fd = dial(b->options->port);
	(void)epoll_ctl(b->epoll, EPOLL_CTL_ADD, l->fd, &event);
	link_send(b, l);
}

static void link_reopen(struct bench *b, struct link *l)
{
	close(l->fd);
	link_open(b, l);
}

/* Of a body of chunks, which a stream of events is; what each of ours bears has no such end in it. */
static long chunked_length(const struct link *l, const char *body)
{
	bool whole = l->answer + l->n >= body + 5 && !memcmp(l->answer + l->n - 5, "0\r\n\r\n", 5);

	return whole ? (long)l->n : l->n < ANSWER_MAX ? 0 : -1;
}

/* The length of a whole answer; 0 where more is to come, -1 where it is not HTTP with a length. */
static long answer_length(struct link *l, char **body)
{
	char *end, *field;
	long length;

	l->answer[l->n] = 0;
	end = strstr(l->answer, "\r\n\r\n");
	if (!end)
		return l->n < ANSWER_MAX ? 0 : -1;
	field = strcasestr(l->answer, "\r\nTransfer-Encoding: chunked");
	if (field && field < end) {
		*body = end + 4;
		return chunked_length(l, *body);
	}
	field = strcasestr(l->answer, "\r\nContent-Length:");
	if (!field || field > end)
		return -1;
	*body = end + 4;
	length = (long)(*body - l->answer) + strtol(field + 17, NULL, 10);
	if (length > ANSWER_MAX)
		return -1;
	return (long)l->n >= length ? length : 0;
}

static void count(struct bench *b, const struct link *l, const char *body)
{
	bool good = !strncmp(l->answer, "HTTP/1.1 200 ", 13) && strstr(body, b->options->expect);

	if (!b->counting)
		return;
	b->calls++;
	b->errors += !good;
	b->buckets[bucket_of((uint64_t)(now() - l->sent))]++;
	if (!good && b->errors == 1)
		fprintf(stderr, "load: the first answer that is wrong: %.600s\n", l->answer);
}

static void compose(const struct bench *b, const char *body, const char *token, const char *session, struct message *m);

/* The session that the answer gives is that of the link from now on. */
static void session_take(struct bench *b, struct link *l)
{
	const struct options *o = b->options;
	char *id = strcasestr(l->answer, "\r\nMcp-Session-Id: ");
	size_t at = (size_t)(l - b->links);

	if (!id)
		die("no session was given");
	id += 18;
	id[strcspn(id, "\r")] = '\0';
	compose(b, o->body, o->tokens_n ? o->tokens[at % o->tokens_n] : NULL, id, l->message);
	l->opening = false;
}

static void link_read(struct bench *b, struct link *l)
{
	ssize_t got = recv(l->fd, l->answer + l->n, ANSWER_MAX - l->n, MSG_DONTWAIT);
	char *body = NULL;
	long length;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got > 0)
		l->n += (size_t)got;
	length = got > 0 ? answer_length(l, &body) : -1;
	if (length < 0 || (length && strcasestr(l->answer, "\r\nConnection: close"))) {
		b->errors += b->counting;
		link_reopen(b, l);
	} else if (length) {
		if (l->opening)
			session_take(b, l);
		else
			count(b, l, body);
		link_send(b, l);
	}
}

/* ---- the run ---- */

static void run_until(struct bench *b, int64_t end)
{
	struct epoll_event events[EVENTS_MAX];
	int64_t left;

	while ((left = end - now()) > 0 && (!b->options->count || b->calls < (uint64_t)b->options->count)) {
		int n = epoll_wait(b->epoll, events, EVENTS_MAX, (int)(left / 1000) + 1);

		for (int i = 0; i < n; i++)
			link_read(b, events[i].data.ptr);
	}
}

static void compose(const struct bench *b, const char *body, const char *token, const char *session, struct message *m)
{
	const struct options *o = b->options;
	int n = snprintf(m->text, sizeof m->text,
			 "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%ld\r\nUser-Agent: bench\r\n"
			 "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
			 "%s%s%s%s%s%s%sContent-Length: %zu\r\n\r\n%s",
			 o->path, o->port, b->headers, token ? "Authorization: Bearer " : "", token ? token : "",
			 token ? "\r\n" : "", session ? "MCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: " : "",
			 session ? session : "", session ? "\r\n" : "", strlen(body), body);
	const char *number;

	if (n < 0 || n >= (int)sizeof m->text)
		die("the request is too long");
	m->n = (size_t)n;
	number = strchr(m->text + n - strlen(body), '@');
	m->number = number ? (size_t)(number - m->text) : 0;
	m->number_n = number ? strspn(number, "@") : 0;
}

static size_t compose_all(struct bench *b)
{
	const struct options *o = b->options;

	for (size_t i = 0; i < o->tokens_n; i++)
		compose(b, o->body, o->tokens[i], NULL, &b->messages[i]);
	if (o->tokens_n)
		return o->tokens_n;
	compose(b, o->body, NULL, NULL, &b->messages[0]);
	return 1;
}

static void open_all(struct bench *b)
{
	static const char initialize[] =
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\","
	    "\"capabilities\":{},\"clientInfo\":{\"name\":\"bench\",\"version\":\"1\"}}}";
	const struct options *o = b->options;
	size_t messages_n = compose_all(b);

	for (long i = 0; i < o->connections; i++) {
		struct link *l = &b->links[i];

		l->message = &b->messages[(size_t)i % messages_n];
		if (o->session) {
			l->opening = true;
			l->message = calloc(1, sizeof *l->message);
			if (!l->message)
				die("out of memory");
			compose(b, initialize, o->tokens_n ? o->tokens[(size_t)i % o->tokens_n] : NULL, NULL,
				l->message);
		}
		link_open(b, l);
	}
}

static void run(struct bench *b)
{
	const struct options *o = b->options;
	int64_t began, cpu, took;

	b->links = calloc((size_t)o->connections, sizeof *b->links);
	if (!b->links)
		die("out of memory");
	b->epoll = epoll_create1(EPOLL_CLOEXEC);
	b->counting = o->count > 0;
	open_all(b);
	if (!o->count)
		run_until(b, now() + WARM_USEC);
	b->counting = true;
	began = now();
	cpu = cpu_usec(o);
	run_until(b, began + o->seconds * 1000000);
	cpu = cpu_usec(o) - cpu;
	took = now() - began;
	printf("%llu %.3f %llu %llu %llu %lld %lld\n", (unsigned long long)b->calls, (double)took / 1e6,
	       (unsigned long long)quantile(b, 500), (unsigned long long)quantile(b, 990),
	       (unsigned long long)b->errors, (long long)cpu, (long long)resident_kib(o));
	free(b->links);
}

static void add_header(struct bench *b)
{
	int n = snprintf(b->headers + b->headers_n, sizeof b->headers - b->headers_n, "%s\r\n", optarg);

	if (n < 0 || (size_t)n >= sizeof b->headers - b->headers_n)
		die("the headers are too long");
	b->headers_n += (size_t)n;
}

static void read_options(int argc, char **argv, struct options *o, struct bench *b)
{
	static const struct option known[] = {
	    {"port", 1, NULL, 'p'},  {"connections", 1, NULL, 'c'}, {"seconds", 1, NULL, 's'}, {"path", 1, NULL, 'u'},
	    {"body", 1, NULL, 'b'},  {"header", 1, NULL, 'h'},      {"expect", 1, NULL, 'e'},  {"pid", 1, NULL, 'i'},
	    {"token", 1, NULL, 't'}, {"session", 0, NULL, 'S'},     {"count", 1, NULL, 'n'},   {NULL, 0, NULL, 0}};
	int id;

	while ((id = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (id == 'p')
			o->port = number(65535);
		else if (id == 'c')
			o->connections = number(4096);
		else if (id == 's')
			o->seconds = number(3600);
		else if (id == 'u')
			o->path = optarg;
		else if (id == 'b')
			o->body = optarg;
		else if (id == 'h')
			add_header(b);
		else if (id == 'e')
			o->expect = optarg;
		else if (id == 't' && o->tokens_n < TOKENS_MAX)
			o->tokens[o->tokens_n++] = optarg;
		else if (id == 'S')
			o->session = true;
		else if (id == 'n')
			o->count = number(INT32_MAX);
		else if (id == 'i' && o->pids_n < PIDS_MAX)
			o->pids[o->pids_n++] = number(INT32_MAX);
		else
			die(usage);
	}
}

int main(int argc, char **argv)
{
	static struct bench bench;
	struct options options = {.path = "/", .body = "", .expect = ""};

	read_options(argc, argv, &options, &bench);
	if (!options.port || !options.connections || !options.seconds)
		die(usage);
	bench.options = &options;
	run(&bench);
	return bench.errors || !bench.calls ? 1 : 0;
}
