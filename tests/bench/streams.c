/* Many sessions, each with one idle stream: opens them, reads what comes, and counts it. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common.h"

#define HEAD_MAX    2048 /* an answer's head, and one line of a body */
#define REQUEST_MAX 2048
#define EVENTS_MAX  256
#define OPENING_MAX 32 /* sessions in the middle of being opened */
#define OPEN_USEC   60000000

static const char usage[] =
    "streams --port N --streams N --token T [--token T]... [--path P]\n"
    "Opens the sessions, each on a connection of its own: initialize, initialized, GET. Then prints\n"
    "  open STREAMS SECONDS\n"
    "and takes commands from standard input, each answered with one line:\n"
    "  count          open STREAMS comments N events N\n"
    "  mark           marked; forgets who was told\n"
    "  told SECONDS   told STREAMS first USEC last USEC more EVENTS closed STREAMS\n"
    "                 as soon as each stream had one notification since the mark, or the time is over\n"
    "The end of standard input ends it.\n";

enum state { STATE_INITIALIZE, STATE_INITIALIZED, STATE_GET, STATE_STREAM, STATE_CLOSED };

/* Where in an answer the reader is. */
enum part { PART_HEAD, PART_BODY, PART_SIZE, PART_CHUNK, PART_CHUNK_END };

struct stream {
	int fd;
	enum state state;
	enum part part;
	const char *token;
	char session[132];
	size_t left;         /* bytes of the body, or of the chunk */
	size_t n;            /* bytes of `line` */
	bool has_data, told; /* an event with data is being read; it has had one since the mark */
	char line[HEAD_MAX];
};

struct load {
	const char *path;
	long port, streams_n, started, opening, open, closed;
	const char *tokens[TOKENS_MAX];
	size_t tokens_n;
	struct stream *streams;
	int epoll;
	uint64_t comments, events;
	int64_t marked, first, last;
	long told;
	uint64_t more; /* events to streams that were told already */
};

/* ---- requests ---- */

static void send_text(const struct stream *s, const char *text, int n)
{
	if (n < 0 || n >= REQUEST_MAX)
		die("a request is too long");
	if (send(s->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		die("a request cannot be sent");
}

static void send_post(const struct load *l, struct stream *s, const char *body)
{
	char text[REQUEST_MAX];
	int n = snprintf(
	    text, sizeof text,
	    "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%ld\r\nUser-Agent: bench\r\nContent-Type: application/json\r\n"
	    "Accept: application/json, text/event-stream\r\nAuthorization: Bearer %s\r\n%s%s%s"
	    "Content-Length: %zu\r\n\r\n%s",
	    l->path, l->port, s->token, s->session[0] ? "Mcp-Session-Id: " : "", s->session,
	    s->session[0] ? "\r\nMCP-Protocol-Version: 2025-11-25\r\n" : "", strlen(body), body);

	s->part = PART_HEAD;
	send_text(s, text, n);
}

static void send_get(const struct load *l, struct stream *s)
{
	char text[REQUEST_MAX];
	int n = snprintf(text, sizeof text,
			 "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%ld\r\nUser-Agent: bench\r\nAccept: text/event-stream\r\n"
			 "Authorization: Bearer %s\r\nMcp-Session-Id: %s\r\nMCP-Protocol-Version: 2025-11-25\r\n\r\n",
			 l->path, l->port, s->token, s->session);

	s->part = PART_HEAD;
	send_text(s, text, n);
}

static void start(struct load *l)
{
	struct stream *s = &l->streams[l->started];
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};

	s->token = l->tokens[(size_t)l->started % l->tokens_n];
	s->fd = dial(l->port);
	l->started++;
	l->opening++;
	(void)epoll_ctl(l->epoll, EPOLL_CTL_ADD, s->fd, &event);
	send_post(
	    l, s,
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\","
	    "\"capabilities\":{},\"clientInfo\":{\"name\":\"bench\",\"version\":\"1\"}}}");
}

/* ---- events ---- */

static void count_event(struct load *l, struct stream *s)
{
	int64_t t = now();

	l->events++;
	if (s->told)
		l->more++;
	else if (!l->told++)
		l->first = t;
	l->last = t;
	s->told = true;
}

/* One line of an event stream, without its end. */
static void take_line(struct load *l, struct stream *s)
{
	if (s->n && s->line[s->n - 1] == '\r')
		s->n--;
	if (!s->n && s->has_data)
		count_event(l, s);
	if (!s->n)
		s->has_data = false;
	else if (s->line[0] == ':')
		l->comments++;
	else if (s->n > 6 && !memcmp(s->line, "data: ", 6)) /* not the empty data of the first event */
		s->has_data = true;
	s->n = 0;
}

/* A line's bytes beyond the buffer are dropped. */
static void take_events(struct load *l, struct stream *s, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\n')
			take_line(l, s);
		else if (s->n < sizeof s->line)
			s->line[s->n++] = text[i];
	}
}

/* ---- answers ---- */

static void answered(struct load *l, struct stream *s)
{
	if (s->state == STATE_INITIALIZE) {
		s->state = STATE_INITIALIZED;
		send_post(l, s, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
	} else {
		s->state = STATE_GET;
		send_get(l, s);
	}
}

static const char *field(const struct stream *s, const char *name)
{
	const char *at = strcasestr(s->line, name);

	return at ? at + strlen(name) : NULL;
}

static void take_session(struct stream *s)
{
	const char *id = field(s, "\r\nMcp-Session-Id: ");
	size_t n = id ? strcspn(id, "\r") : 0;

	if (!n || n >= sizeof s->session)
		die("initialize was answered without a session");
	memcpy(s->session, id, n);
}

static void take_head(struct load *l, struct stream *s)
{
	static const char *const statuses[] = {
	    [STATE_INITIALIZE] = "200", [STATE_INITIALIZED] = "202", [STATE_GET] = "200"};
	const char *length = field(s, "\r\nContent-Length: ");

	if (s->n < 12 || memcmp(s->line + 9, statuses[s->state], 3) != 0) {
		fprintf(stderr, "%s\n", s->line);
		die("an answer is not the one expected");
	}
	if (s->state == STATE_INITIALIZE)
		take_session(s);
	s->n = 0;
	s->left = length ? (size_t)strtol(length, NULL, 10) : 0;
	if (s->state == STATE_GET) {
		s->state = STATE_STREAM;
		s->part = PART_SIZE;
		l->opening--;
		l->open++;
	} else if (s->left) {
		s->part = PART_BODY;
	} else {
		answered(l, s);
	}
}

static size_t take_head_bytes(struct load *l, struct stream *s, const char *text)
{
	if (s->n == sizeof s->line - 1)
		die("the head of an answer is too long");
	s->line[s->n++] = *text;
	s->line[s->n] = 0;
	if (s->n >= 4 && !memcmp(s->line + s->n - 4, "\r\n\r\n", 4))
		take_head(l, s);
	return 1;
}

static size_t take_body(struct load *l, struct stream *s, size_t n)
{
	if (n > s->left)
		n = s->left;
	s->left -= n;
	if (!s->left)
		answered(l, s);
	return n;
}

/* A chunk's size and the end of its line; then the chunk; then the end of its line. */
static size_t take_size(struct stream *s, char c)
{
	const char *digits = "0123456789abcdef", *at = strchr(digits, c | 0x20);

	if (c == '\n')
		s->part = PART_CHUNK;
	else if (c != '\r' && at && *at)
		s->left = s->left * 16 + (size_t)(at - digits);
	else if (c != '\r')
		die("a chunk has no size");
	return 1;
}

static size_t take_chunk(struct load *l, struct stream *s, const char *text, size_t n)
{
	if (n > s->left)
		n = s->left;
	take_events(l, s, text, n);
	s->left -= n;
	if (!s->left)
		s->part = PART_CHUNK_END;
	return n;
}

static void take(struct load *l, struct stream *s, const char *text, size_t n)
{
	while (n) {
		size_t used = 1;

		if (s->part == PART_HEAD)
			used = take_head_bytes(l, s, text);
		else if (s->part == PART_BODY)
			used = take_body(l, s, n);
		else if (s->part == PART_SIZE)
			used = take_size(s, *text);
		else if (s->part == PART_CHUNK)
			used = take_chunk(l, s, text, n);
		else if (*text == '\n')
			s->part = PART_SIZE;
		text += used;
		n -= used;
	}
}

static void stream_read(struct load *l, struct stream *s)
{
	char text[16384];
	ssize_t n = recv(s->fd, text, sizeof text, MSG_DONTWAIT);

	if (n > 0) {
		take(l, s, text, (size_t)n);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		if (s->state != STATE_STREAM)
			die("a connection was closed before its stream was open");
		s->state = STATE_CLOSED;
		close(s->fd);
		l->open--;
		l->closed++;
	}
}

/* Waits for what comes; true when a command is there. */
static bool turn(struct load *l, int ms)
{
	struct epoll_event events[EVENTS_MAX];
	int n = epoll_wait(l->epoll, events, EVENTS_MAX, ms);
	bool command = false;

	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr)
			stream_read(l, events[i].data.ptr);
		else
			command = true;
	}
	return command;
}

/* ---- commands ---- */

static void open_all(struct load *l)
{
	int64_t began = now();

	while (l->open + l->closed < l->streams_n) {
		while (l->started < l->streams_n && l->opening < OPENING_MAX)
			start(l);
		(void)turn(l, 1000);
		if (now() - began > OPEN_USEC)
			die("the streams do not open");
	}
	printf("open %ld %.3f\n", l->open, (double)(now() - began) / 1e6);
}

static void mark(struct load *l)
{
	for (long i = 0; i < l->streams_n; i++)
		l->streams[i].told = false;
	l->told = 0;
	l->more = 0;
	l->marked = l->first = l->last = now();
	printf("marked\n");
}

static void wait_told(struct load *l, long seconds)
{
	int64_t end = now() + seconds * 1000000;

	while (l->told < l->open && now() < end)
		(void)turn(l, 100);
	printf("told %ld first %lld last %lld more %llu closed %ld\n", l->told, (long long)(l->first - l->marked),
	       (long long)(l->last - l->marked), (unsigned long long)l->more, l->closed);
}

/* Commands are short and come one at a time, each when the one before is answered. */
static bool command(struct load *l)
{
	char text[64];
	ssize_t n = read(STDIN_FILENO, text, sizeof text - 1);

	if (n <= 0)
		return false;
	text[n] = 0;
	if (!strcmp(text, "mark\n"))
		mark(l);
	else if (!strncmp(text, "told ", 5))
		wait_told(l, strtol(text + 5, NULL, 10));
	else
		printf("open %ld comments %llu events %llu\n", l->open, (unsigned long long)l->comments,
		       (unsigned long long)l->events);
	return true;
}

static void read_options(int argc, char **argv, struct load *l)
{
	static const struct option known[] = {{"port", 1, NULL, 'p'},
					      {"streams", 1, NULL, 'n'},
					      {"path", 1, NULL, 'u'},
					      {"token", 1, NULL, 't'},
					      {NULL, 0, NULL, 0}};
	int id;

	while ((id = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (id == 'p')
			l->port = number(65535);
		else if (id == 'n')
			l->streams_n = number(1000000);
		else if (id == 'u')
			l->path = optarg;
		else if (id == 't' && l->tokens_n < TOKENS_MAX)
			l->tokens[l->tokens_n++] = optarg;
		else
			die(usage);
	}
	if (!l->port || !l->streams_n || !l->tokens_n)
		die(usage);
}

static void files_raise(const struct load *l)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		die("the limit of open files is not known");
	if (limit.rlim_cur < (rlim_t)l->streams_n + 16)
		limit.rlim_cur = (rlim_t)l->streams_n + 16;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		die("too few open files are allowed (ulimit -Hn)");
}

int main(int argc, char **argv)
{
	static struct load load = {.path = "/mcp"};
	struct epoll_event input = {.events = EPOLLIN};

	read_options(argc, argv, &load);
	files_raise(&load);
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	load.streams = calloc((size_t)load.streams_n, sizeof *load.streams);
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!load.streams || load.epoll < 0)
		die("out of memory");
	open_all(&load);
	(void)epoll_ctl(load.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input);
	for (;;)
		if (turn(&load, -1) && !command(&load))
			return load.closed ? 1 : 0;
}
