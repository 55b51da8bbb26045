/* Streams over real sockets: a gateway that opens one for each GET and does with them what the test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <cmocka.h>

#include <sys/resource.h>

#include "client.h"
#include "snowgate/http.h"
#include "snowgate/log.h"
#include "snowgate/mail.h"
#include "snowgate/metric.h"

#define STREAMS_MAX 2000

enum note { NOTE_OPENED, NOTE_WAITS, NOTE_GONE, NOTE_ROOM, NOTE_DONE, NOTES_N };

static struct fixture {
	struct conf conf;
	struct transport *http;
	struct wheel *wheel;
	pthread_t net;
	int port;

	/* owner: NET */
	handle_t streams[STREAMS_MAX];
	size_t streams_n, ended_n;
	handle_t waiting;      /* "later" */
	int pump_at, pump_end; /* numbered events for each room(); 0: none */
	bool first_event;      /* sent as the stream is opened */
	atomic_int sent;       /* enum stream_sent of the last event */
	atomic_int fulls;      /* how often the pump met a full stream */
	size_t taken;          /* of the last burst */
	bool sending;

	/* owner: MAIN */
	int noted[NOTES_N];
} fx;

/* ---- notes to the test ---- */

struct note_mail {
	struct mail mail;
	enum note note;
};

static void note_deliver(struct mail *m)
{
	struct note_mail *note = container_of(m, struct note_mail, mail);

	fx.noted[note->note]++;
	free(note);
}

static void tell(enum note what)
{
	struct note_mail *note = xalloc(sizeof(*note));

	*note = (struct note_mail){{NULL, note_deliver}, what};
	mail_post(THREAD_MAIN, &note->mail);
}

static void await(enum note what)
{
	while (fx.noted[what] == 0)
		assert_true(mail_wait(THREAD_MAIN, 20 * USEC_PER_S) > 0);
	fx.noted[what]--;
}

/* Has none of these come, and is none left? Asked when NET has ended. */
static bool none_left(enum note what)
{
	(void)mail_deliver(THREAD_MAIN);
	return fx.noted[what] == 0;
}

/* ---- the toy gateway ---- */

static enum stream_sent send_text(size_t stream, const char *text, size_t n)
{
	struct sse_event event = {.data = {text, n}};
	enum stream_sent sent;

	fx.sending = true;
	sent = fx.http->stream_send(fx.http, fx.streams[stream], &event);
	fx.sending = false;
	fx.sent = (int)sent;
	return sent;
}

static enum stream_sent send_word(size_t stream, const char *text)
{
	return send_text(stream, text, strlen(text));
}

/* Numbered events until the stream is full or all are sent, which ends it. */
static void pump(void)
{
	char text[100];

	while (fx.pump_at < fx.pump_end) {
		int n = snprintf(text, sizeof(text), "{\"n\":%d,\"pad\":\"%060d\"}", fx.pump_at, 0);

		if (send_text(0, text, (size_t)n) != STREAM_SENT) {
			fx.fulls++;
			return;
		}
		fx.pump_at++;
	}
	fx.http->stream_end(fx.http, fx.streams[0]);
}

static bool toy_head(void *ctx, struct request *rq, struct answer *refusal)
{
	(void)ctx, (void)rq, (void)refusal;
	return true;
}

static void answer_text(handle_t exchange, const struct request *rq)
{
	struct answer a;

	answer_init(&a, 200, rq->page ? "text/html; charset=utf-8" : "application/json");
	answer_header(&a, "X-Baggage", "%s", rq->baggage ? rq->baggage : "none");
	buf_adds(&a.body, rq->page ? "<p>page" : "{}");
	fx.http->answer(fx.http, exchange, &a);
}

static void open_stream(handle_t exchange)
{
	struct answer head;

	answer_init(&head, 200, NULL);
	answer_header(&head, "Mcp-Session-Id", "s%d", 1);
	if (!fx.http->stream_open(fx.http, exchange, &head))
		return;
	assert_true(fx.streams_n < STREAMS_MAX);
	fx.streams[fx.streams_n++] = exchange;
	if (fx.first_event)
		(void)send_word(fx.streams_n - 1, "\"first\"");
	tell(NOTE_OPENED);
}

static void toy_request(void *ctx, handle_t exchange, struct request *rq)
{
	bool streams = rq->method == HTTP_GET && !rq->page;
	bool later = strcmp(buf_text(&rq->body), "later") == 0;

	(void)ctx;
	if (!streams && !later)
		answer_text(exchange, rq);
	request_free(rq);
	if (streams)
		open_stream(exchange);
	if (later) {
		fx.waiting = exchange;
		tell(NOTE_WAITS);
	}
}

static void toy_gone(void *ctx, handle_t exchange)
{
	struct sse_event event = {.data = SLICE("{}")};

	(void)ctx;
	assert_false(fx.sending);
	assert_int_equal(fx.http->stream_send(fx.http, exchange, &event), STREAM_GONE);
	tell(NOTE_GONE);
}

static void toy_room(void *ctx, handle_t exchange)
{
	(void)ctx, (void)exchange;
	assert_false(fx.sending);
	tell(NOTE_ROOM);
	if (fx.pump_end)
		pump();
}

static bool toy_ready(void *ctx)
{
	(void)ctx;
	return true;
}

static void toy_refuse(void *ctx, struct answer *answer, enum err err, const char *message)
{
	(void)ctx, (void)err;
	buf_adds(&answer->body, message);
}

static const struct transport_ops ops = {.head = toy_head,
					 .request = toy_request,
					 .gone = toy_gone,
					 .room = toy_room,
					 .ready = toy_ready,
					 .refuse = toy_refuse};

/* ---- the fixture ---- */

static void net_main(void *arg)
{
	(void)arg;
	fx.http->loop(fx.http);
	fx.http->stop(fx.http);
}

static int setup(void **state)
{
	(void)state;
	memset(&fx, 0, sizeof(fx));
	fx.conf = (struct conf){.listen_address = "127.0.0.1",
				.listen_path = "/mcp",
				.listen_max_connections = 64,
				.listen_max_body = 4 << 20,
				.listen_header_timeout = 10 * USEC_PER_S,
				.listen_body_timeout = 30 * USEC_PER_S,
				.listen_idle_timeout = 75 * USEC_PER_S,
				.mcp_write_timeout = 30 * USEC_PER_S,
				.snowflake_max_connections = 8};
	return 0;
}

static void start(void)
{
	char why[256] = "";

	fx.wheel = wheel_new();
	metric_reset();
	fx.http = http_start(&fx.conf, &ops, fx.wheel, why, sizeof(why));
	if (!fx.http)
		fail_msg("%s", why);
	fx.port = http_port(fx.http);
	thread_start(THREAD_NET, net_main, NULL, &fx.net);
}

struct order {
	struct mail mail;
	void (*run)(void);
};

static void order_deliver(struct mail *m)
{
	struct order *order = container_of(m, struct order, mail);

	order->run();
	free(order);
	tell(NOTE_DONE);
}

/* Runs on NET, within one turn of its loop. */
static void on_net(void (*run)(void))
{
	struct order *order = xalloc(sizeof(*order));

	*order = (struct order){{NULL, order_deliver}, run};
	mail_post(THREAD_NET, &order->mail);
	await(NOTE_DONE);
}

static void order_end(void)
{
	fx.http->loop_end(fx.http);
}

static void stop(void)
{
	on_net(order_end);
	thread_join(fx.net);
	wheel_free(fx.wheel);
	assert_int_equal(metric_value(METRIC_http_connections, NULL), 0);
}

static int dial(void)
{
	int fd = dial_port(fx.port);

	assert_true(fd >= 0);
	return fd;
}

#define GET "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"

/* Head of the answer read; the stream is fx.streams[as many as were opened before]. */
static int dial_stream(void)
{
	int fd = dial();

	say(fd, GET);
	assert_int_equal(hear(fd), 200);
	await(NOTE_OPENED);
	return fd;
}

/* ---- a client's view of chunks ---- */

/* One chunk, added to what was heard; 0 is the last one, -1 an end without it. */
static int hear_chunk(int fd, size_t *n)
{
	char line[16];
	size_t at = 0, size;

	do {
		if (at == sizeof(line) || recv(fd, line + at, 1, 0) != 1)
			return -1;
	} while (line[at++] != '\n');
	size = strtoul(line, NULL, 16);
	assert_true(*n + size + 2 < sizeof(heard));
	for (size_t got = 0; got < size + 2;) {
		ssize_t more = recv(fd, heard + *n + got, size + 2 - got, 0);

		if (more <= 0)
			return -1;
		got += (size_t)more;
	}
	*n += size; /* without the CRLF */
	heard[*n] = '\0';
	return (int)size;
}

static bool hear_until(int fd, const char *text)
{
	size_t n = 0;

	heard[0] = '\0';
	while (!strstr(heard, text)) {
		if (hear_chunk(fd, &n) <= 0)
			return false;
	}
	return true;
}

static bool hear_last_chunk(int fd)
{
	size_t n = 0;
	int size;

	heard[0] = '\0';
	while ((size = hear_chunk(fd, &n)) > 0)
		;
	return size == 0;
}

/* How much comes until the other end closes, or `enough` of it. */
static size_t swallow(int fd, size_t enough)
{
	static char block[1 << 16];
	size_t n = 0;
	ssize_t got;

	while (n < enough && (got = recv(fd, block, sizeof(block), 0)) > 0)
		n += (size_t)got;
	return n;
}

/* ---- the beginning ---- */

static void a_stream_begins_at_once(void **state)
{
	size_t n = 0;
	int fd;

	(void)state;
	start();
	fd = dial();
	say(fd, "GET /mcp HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:5173\r\n"
		"Accept: text/event-stream\r\n\r\n");
	assert_int_equal(hear(fd), 200);
	assert_true(heard_has("\r\nContent-Type: text/event-stream\r\n"));
	assert_true(heard_has("\r\nCache-Control: no-cache, no-transform\r\n"));
	assert_true(heard_has("\r\nX-Accel-Buffering: no\r\n"));
	assert_true(heard_has("\r\nX-Request-Id: r"));
	assert_true(heard_has("\r\nX-Content-Type-Options: nosniff\r\n"));
	assert_true(heard_has("\r\nAccess-Control-Allow-Origin: http://localhost:5173\r\n"));
	assert_true(heard_has("\r\nMcp-Session-Id: s1\r\n"));
	assert_true(heard_has("\r\nTransfer-Encoding: chunked\r\n"));
	assert_false(heard_has("no-store"));
	assert_true(hear_chunk(fd, &n) > 0);
	assert_string_equal(heard, SSE_COMMENT);
	close(fd);
	stop();
}

static void an_event_of_the_same_turn_is_the_first_byte(void **state)
{
	size_t n = 0;
	int fd;

	(void)state;
	fx.first_event = true;
	start();
	fd = dial_stream();
	assert_true(hear_chunk(fd, &n) > 0);
	assert_string_equal(heard, "event: message\ndata: \"first\"\n\n");
	close(fd);
	assert_int_equal(metric_value(METRIC_stream_events, NULL), 1);
	stop();
}

static void open_waiting(void)
{
	open_stream(fx.waiting);
}

#define LATER                                                                                                          \
	"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nlater"

/* As a call does that has been under way for a while. */
static void a_parked_request_becomes_a_stream(void **state)
{
	int fd;

	(void)state;
	start();
	fd = dial();
	say(fd, LATER);
	await(NOTE_WAITS);
	on_net(open_waiting);
	await(NOTE_OPENED);
	assert_int_equal(hear(fd), 200);
	assert_true(heard_has("text/event-stream"));
	assert_true(hear_until(fd, SSE_COMMENT));
	fx.first_event = true;
	close(fd);
	await(NOTE_GONE);
	fd = dial();
	say(fd, LATER);
	await(NOTE_WAITS);
	on_net(open_waiting);
	await(NOTE_OPENED);
	assert_int_equal(hear(fd), 200);
	assert_true(hear_until(fd, "\n\n"));
	assert_string_equal(heard, "event: message\ndata: \"first\"\n\n");
	close(fd);
	await(NOTE_GONE);
	/* too late */
	fd = dial();
	say(fd, LATER);
	await(NOTE_WAITS);
	close(fd);
	await(NOTE_GONE);
	on_net(open_waiting);
	stop();
	assert_true(none_left(NOTE_OPENED));
	assert_true(none_left(NOTE_GONE));
}

static void send_with_everything(void)
{
	struct sse_event event = {SLICE("id1"), 1000, SLICE("{\"a\":1}")};

	fx.sent = (int)fx.http->stream_send(fx.http, fx.streams[0], &event);
}

static void events_follow(void **state)
{
	int fd;

	(void)state;
	start();
	fd = dial_stream();
	for (int i = 0; i < 3; i++) {
		on_net(send_with_everything);
		assert_int_equal(fx.sent, STREAM_SENT);
		assert_true(hear_until(fd, "data: {\"a\":1}\n\n"));
		assert_true(heard_has("id: id1\n"));
		assert_true(heard_has("retry: 1000\n"));
	}
	assert_int_equal(metric_value(METRIC_stream_events, NULL), 3);
	assert_int_equal(fx.http->streams_max(fx.http), 48);
	close(fd);
	await(NOTE_GONE);
	stop();
}

/* No chunks in HTTP/1.0: the answer ends with the connection. */
static void old_clients_get_plain_bytes(void **state)
{
	int fd;

	(void)state;
	fx.pump_end = 100;
	start();
	fd = dial();
	say(fd, "GET /mcp HTTP/1.0\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
	await(NOTE_OPENED);
	on_net(pump);
	assert_true(hear_all(fd));
	assert_false(heard_has("chunked"));
	assert_true(heard_has("\r\n\r\n" SSE_COMMENT) || heard_has("\r\n\r\nevent: message\n"));
	assert_true(heard_has("data: {\"n\":99,"));
	close(fd);
	stop();
}

/* ---- room ---- */

/* Chunks end anywhere: what is left of an event stays for the next one. */
static void expect_numbers(int fd, int end)
{
	char wanted[48], *event, *after;
	size_t n = 0;

	for (int at = 0; at < end;) {
		if (hear_chunk(fd, &n) <= 0)
			fail_msg("the stream ended before %d", at);
		for (event = heard; (after = strstr(event, "\n\n")); event = after + 2) {
			if (event[0] == ':')
				continue;
			snprintf(wanted, sizeof(wanted), "event: message\ndata: {\"n\":%d,", at++);
			if (strncmp(event, wanted, strlen(wanted)) != 0)
				fail_msg("%.40s where %s was due", event, wanted);
		}
		n -= (size_t)(event - heard);
		memmove(heard, event, n + 1);
	}
	assert_int_equal(n, 0);
}

static void a_slow_reader_gets_all_in_order(void **state)
{
	enum { EVENTS = 100000 }; /* some 11 MB: more than the sockets hold */
	int fd, small = 65536;

	(void)state;
	fx.pump_end = EVENTS;
	start();
	fd = dial();
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	say(fd, GET);
	assert_int_equal(hear(fd), 200);
	await(NOTE_OPENED);
	on_net(pump);
	assert_int_not_equal(fx.fulls, 0);
	expect_numbers(fd, EVENTS);
	assert_true(hear_last_chunk(fd));
	assert_string_equal(heard, "");
	await(NOTE_ROOM);
	assert_int_equal(metric_value(METRIC_stream_events, NULL), EVENTS);
	/* the connection goes on */
	say(fd, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
		"Content-Length: 2\r\n\r\n{}");
	assert_int_equal(hear(fd), 200);
	fx.pump_end = 0;
	say(fd, GET);
	assert_int_equal(hear(fd), 200);
	assert_true(hear_until(fd, SSE_COMMENT));
	close(fd);
	await(NOTE_GONE);
	stop();
	assert_true(none_left(NOTE_GONE));
}

static void burst(void)
{
	static char text[1024 - sizeof("event: message\ndata: \n\n") + 1];

	memset(text, 'x', sizeof(text));
	for (fx.taken = 0; send_text(0, text, sizeof(text)) == STREAM_SENT;)
		fx.taken++;
	assert_int_equal(send_word(0, "1"), STREAM_FULL); /* nothing overtakes */
}

static void an_outbox_has_a_ceiling(void **state)
{
	int fd;

	(void)state;
	start();
	fd = dial_stream();
	on_net(burst);
	assert_int_equal(fx.taken, OUTBOX_MAX / 1024);
	await(NOTE_ROOM);
	on_net(burst);
	assert_int_equal(fx.taken, OUTBOX_MAX / 1024);
	(void)swallow(fd, 2 * OUTBOX_MAX);
	await(NOTE_ROOM);
	close(fd);
	await(NOTE_GONE);
	stop();
	assert_true(none_left(NOTE_ROOM));
}

static char *large;
#define LARGE ((size_t)15 << 20)

/* More than the sockets take, so that some of it waits. */
static void send_large(void)
{
	assert_int_equal(send_text(0, large, LARGE), STREAM_SENT);
	assert_int_equal(send_word(0, "1"), STREAM_FULL);
}

static void send_small(void)
{
	(void)send_word(0, "\"small\"");
}

static void a_large_event_is_taken_where_nothing_waits(void **state)
{
	int fd;

	(void)state;
	start();
	fd = dial_stream();
	assert_true(hear_until(fd, SSE_COMMENT));
	on_net(send_large);
	on_net(send_small);
	assert_int_equal(fx.sent, STREAM_FULL);
	assert_true(swallow(fd, LARGE) >= LARGE);
	await(NOTE_ROOM);
	on_net(send_small);
	assert_int_equal(fx.sent, STREAM_SENT);
	close(fd);
	await(NOTE_GONE);
	stop();
	assert_true(none_left(NOTE_ROOM));
}

static void fill_the_process(void)
{
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(send_text(i, large, LARGE), STREAM_SENT);
	assert_int_equal(send_text(4, large, LARGE), STREAM_FULL);
	assert_int_equal(send_text(5, large, LARGE), STREAM_FULL);
	assert_int_equal(send_word(6, "1"), STREAM_SENT); /* there is room for little ones */
}

static void send_fifth(void)
{
	(void)send_text(4, large, LARGE);
}

static void outboxes_have_a_ceiling_in_all(void **state)
{
	int fds[7];

	(void)state;
	start();
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = dial_stream();
	on_net(fill_the_process);
	assert_true(hear_until(fds[6], "data: 1\n\n"));
	await(NOTE_ROOM); /* the little one has gone: both are asked, since the first one does not try */
	await(NOTE_ROOM);
	on_net(send_fifth);
	assert_int_equal(fx.sent, STREAM_FULL);
	assert_true(swallow(fds[0], LARGE) >= LARGE); /* a reader makes room */
	await(NOTE_ROOM);
	close(fds[1]); /* and so does one who leaves */
	await(NOTE_GONE);
	on_net(send_fifth);
	assert_int_equal(fx.sent, STREAM_SENT);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		if (i != 1)
			close(fds[i]);
	}
	stop();
}

/* ---- time ---- */

static void comments_keep_a_stream_open(void **state)
{
	usec_t begin, took;
	int fd;

	(void)state;
	fx.conf.mcp_sse_keepalive = 300 * USEC_PER_MS;
	start();
	fd = dial_stream();
	assert_true(hear_until(fd, SSE_COMMENT));
	begin = clock_now();
	for (int i = 0; i < 3; i++) {
		assert_true(hear_until(fd, SSE_COMMENT));
		assert_string_equal(heard, SSE_COMMENT);
	}
	took = clock_now() - begin;
	assert_in_range(took, 850 * USEC_PER_MS, 3 * USEC_PER_S);
	/* an event is as good as a comment */
	on_net(send_small);
	begin = clock_now();
	assert_true(hear_until(fd, "small"));
	assert_true(hear_until(fd, SSE_COMMENT));
	assert_true(clock_now() - begin >= 250 * USEC_PER_MS);
	close(fd);
	await(NOTE_GONE);
	stop();
}

static void without_keepalive_there_is_silence(void **state)
{
	struct timeval patience = {.tv_usec = 500000};
	char byte;
	int fd;

	(void)state;
	start();
	fd = dial_stream();
	assert_true(hear_until(fd, SSE_COMMENT));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
	close(fd);
	await(NOTE_GONE);
	stop();
}

static void send_large_to_both(void)
{
	assert_int_equal(send_text(0, large, LARGE), STREAM_SENT);
	assert_int_equal(send_text(1, large, LARGE), STREAM_SENT);
}

static void who_takes_nothing_is_cut_off(void **state)
{
	int stalls, idles, fine;

	(void)state;
	fx.conf.mcp_write_timeout = 400 * USEC_PER_MS;
	start();
	stalls = dial_stream();
	fine = dial_stream();
	idles = dial_stream();
	on_net(send_large_to_both);
	assert_true(swallow(fine, LARGE) >= LARGE);
	await(NOTE_GONE);
	assert_int_equal(metric_value(METRIC_streams_stalled, NULL), 1);
	assert_true(swallow(stalls, 2 * LARGE) < LARGE);
	/* who has nothing to take does not stall */
	assert_true(hear_until(idles, SSE_COMMENT));
	close(fine);
	close(idles);
	await(NOTE_GONE);
	await(NOTE_GONE);
	close(stalls);
	stop();
	assert_int_equal(metric_value(METRIC_streams_stalled, NULL), 1);
	assert_true(none_left(NOTE_GONE));
}

/* ---- the end ---- */

static void send_and_end(void)
{
	(void)send_word(0, "1");
	(void)send_text(0, large, LARGE / 100);
	fx.http->stream_end(fx.http, fx.streams[0]);
	assert_int_equal(send_word(0, "2"), STREAM_GONE);
}

static void just_end(void)
{
	fx.http->stream_end(fx.http, fx.streams[1]);
}

static void an_ended_stream_brings_what_was_queued(void **state)
{
	size_t n = 0;
	int fd;

	(void)state;
	start();
	fd = dial_stream();
	assert_true(hear_until(fd, SSE_COMMENT));
	on_net(send_and_end);
	heard[0] = '\0';
	while (hear_chunk(fd, &n) > 0 && n < 40000)
		;
	assert_true(heard_has("data: 1\n\n"));
	assert_true(swallow(fd, LARGE / 100 - n) >= LARGE / 100 - n);
	close(fd);
	/* an idle one ends at once, and its connection can be used again */
	fd = dial_stream();
	assert_true(hear_until(fd, SSE_COMMENT));
	on_net(just_end);
	assert_true(hear_last_chunk(fd));
	say(fd, GET);
	assert_int_equal(hear(fd), 200);
	await(NOTE_OPENED);
	assert_int_equal(fx.http->open(fx.http) > 0, true);
	close(fd);
	await(NOTE_GONE);
	stop();
	assert_true(none_left(NOTE_GONE));
}

static void departures_are_told_once(void **state)
{
	struct linger reset = {.l_onoff = 1};
	int fd;

	(void)state;
	start();
	fd = dial_stream();
	close(fd);
	await(NOTE_GONE);
	fd = dial_stream();
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	await(NOTE_GONE);
	assert_true(hear_all(fd));
	close(fd);
	fd = dial_stream();
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	await(NOTE_GONE);
	/* in the middle of an event */
	memset(fx.streams, 0, sizeof(fx.streams));
	fx.streams_n = 0;
	fd = dial_stream();
	on_net(send_large);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	await(NOTE_GONE);
	assert_true(swallow(fd, 2 * LARGE) < LARGE);
	close(fd);
	stop();
	assert_true(none_left(NOTE_GONE));
	assert_true(none_left(NOTE_ROOM));
}

static void send_to_last(void)
{
	if (fx.streams_n == 0 || send_text(fx.streams_n - 1, large, 50000) == STREAM_GONE || fx.streams_n % 4)
		return;
	fx.http->stream_end(fx.http, fx.streams[fx.streams_n - 1]);
	fx.ended_n++;
}

static void nothing(void)
{
}

/* Connections are accepted in order, so that where the last one was served the others have been seen. */
static void await_empty_house(void)
{
	usec_t patience = clock_now() + 10 * USEC_PER_S;
	int fd = dial();

	say(fd, "DELETE /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n");
	assert_int_equal(hear(fd), 200);
	while (metric_value(METRIC_http_connections, NULL) > 1 && clock_now() < patience)
		on_net(nothing);
	assert_int_equal(metric_value(METRIC_http_connections, NULL), 1);
	close(fd);
}

/* Every order of opening, sending, ending and leaving: what was opened and not ended is told gone, once. */
static void clients_may_leave_at_any_moment(void **state)
{
	struct linger reset = {.l_onoff = 1};

	(void)state;
	start();
	for (int i = 0; i < 400; i++) {
		int fd = dial();

		say(fd, GET);
		if (i % 2)
			on_net(send_to_last);
		if (i % 3 == 1)
			(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		if (i % 5 == 0)
			(void)hear(fd);
		if (i % 7 == 0)
			on_net(send_to_last);
		close(fd);
	}
	await_empty_house();
	stop();
	(void)mail_deliver(THREAD_MAIN);
	assert_true(fx.streams_n > 40 && fx.ended_n > 0);
	assert_int_equal(fx.noted[NOTE_GONE], fx.streams_n - fx.ended_n);
}

static void order_off(void)
{
	fx.http->listen_off(fx.http);
}

static void stopping_ends_open_streams(void **state)
{
	int fds[20], blocked, leaver;

	(void)state;
	start();
	blocked = dial_stream();
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = dial_stream();
	leaver = dial_stream();
	on_net(send_large);
	on_net(order_off);
	close(leaver);
	stop();
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		assert_false(hear_last_chunk(fds[i]));
		close(fds[i]);
	}
	assert_true(swallow(blocked, 2 * LARGE) < LARGE);
	close(blocked);
	assert_true(none_left(NOTE_GONE));
}

/* ---- many ---- */

static void broadcast(void)
{
	for (size_t i = 0; i < fx.streams_n; i++)
		assert_int_equal(send_word(i, "\"all\""), STREAM_SENT);
}

static bool files_allow(size_t n)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return false;
	if (limit.rlim_cur < n && limit.rlim_max >= n) {
		limit.rlim_cur = n;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	return limit.rlim_cur >= n;
}

static void two_thousand_streams_are_woken_in_turns(void **state)
{
	static int fds[STREAMS_MAX];

	(void)state;
	if (!files_allow(3 * STREAMS_MAX))
		skip();
	fx.conf.listen_max_connections = STREAMS_MAX;
	start();
	for (size_t i = 0; i < STREAMS_MAX; i++) {
		fds[i] = dial();
		say(fds[i], GET);
	}
	for (size_t i = 0; i < STREAMS_MAX; i++) {
		assert_int_equal(hear(fds[i]), 200);
		await(NOTE_OPENED);
	}
	for (int round = 0; round < 2; round++) {
		on_net(broadcast);
		for (size_t i = 0; i < STREAMS_MAX; i++)
			assert_true(hear_until(fds[i], "\"all\"\n\n"));
	}
	assert_int_equal(metric_value(METRIC_stream_events, NULL), 2 * STREAMS_MAX);
	on_net(broadcast); /* the stop comes while most are still to be woken */
	stop();
	for (size_t i = 0; i < STREAMS_MAX; i++)
		close(fds[i]);
	assert_true(none_left(NOTE_GONE));
}

/* ---- what else is at the endpoint ---- */

static int ask(const char *text)
{
	int fd = dial(), status;

	say(fd, text);
	status = hear(fd);
	close(fd);
	return status;
}

static void browsers_are_told_apart(void **state)
{
	int fd;

	(void)state;
	start();
	assert_int_equal(ask("GET /mcp HTTP/1.1\r\nHost: localhost\r\n"
			     "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\n\r\n"),
			 200);
	assert_true(heard_has("<p>page"));
	assert_true(heard_has("\r\nContent-Type: text/html; charset=utf-8\r\n"));
	assert_true(heard_has("\r\nContent-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n"));
	assert_true(heard_has("\r\nReferrer-Policy: no-referrer\r\n"));
	assert_true(heard_has("\r\nX-Content-Type-Options: nosniff\r\n"));
	assert_int_equal(ask("GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: TEXT/HTML;q=1\r\n\r\n"), 200);
	assert_true(heard_has("<p>page"));
	assert_int_equal(ask("GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/html, text/event-stream\r\n\r\n"),
			 200);
	assert_true(heard_has("text/event-stream"));
	await(NOTE_OPENED);
	assert_int_equal(ask("GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"), 200);
	assert_true(heard_has("text/event-stream"));
	await(NOTE_OPENED);
	assert_int_equal(ask("HEAD /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"), 0);
	assert_true(heard_has("HTTP/1.1 405"));
	fd = dial();
	say(fd, "HEAD /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nConnection: close\r\n\r\n");
	assert_true(hear_all(fd));
	assert_true(heard_has("HTTP/1.1 200"));
	assert_true(heard_has("\r\nContent-Type: text/html"));
	assert_false(heard_has("<p>page"));
	close(fd);
	stop();
}

static void baggage_is_passed_on(void **state)
{
	(void)state;
	start();
	assert_int_equal(ask("DELETE /mcp HTTP/1.1\r\nHost: localhost\r\nbaggage: a=1\r\nBaggage: b=2,c=3\r\n\r\n"),
			 200);
	assert_true(heard_has("\r\nX-Baggage: a=1, b=2,c=3\r\n"));
	assert_false(heard_has("Content-Security-Policy"));
	assert_int_equal(ask("DELETE /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n"), 200);
	assert_true(heard_has("\r\nX-Baggage: none\r\n"));
	stop();
}

static int group_setup(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR); /* the start-up lines would drown the results */
	large = xalloc(LARGE);
	memset(large, 'x', LARGE);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	free(large);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(a_stream_begins_at_once, setup),
	    cmocka_unit_test_setup(an_event_of_the_same_turn_is_the_first_byte, setup),
	    cmocka_unit_test_setup(a_parked_request_becomes_a_stream, setup),
	    cmocka_unit_test_setup(events_follow, setup),
	    cmocka_unit_test_setup(old_clients_get_plain_bytes, setup),
	    cmocka_unit_test_setup(a_slow_reader_gets_all_in_order, setup),
	    cmocka_unit_test_setup(an_outbox_has_a_ceiling, setup),
	    cmocka_unit_test_setup(a_large_event_is_taken_where_nothing_waits, setup),
	    cmocka_unit_test_setup(outboxes_have_a_ceiling_in_all, setup),
	    cmocka_unit_test_setup(comments_keep_a_stream_open, setup),
	    cmocka_unit_test_setup(without_keepalive_there_is_silence, setup),
	    cmocka_unit_test_setup(who_takes_nothing_is_cut_off, setup),
	    cmocka_unit_test_setup(an_ended_stream_brings_what_was_queued, setup),
	    cmocka_unit_test_setup(departures_are_told_once, setup),
	    cmocka_unit_test_setup(clients_may_leave_at_any_moment, setup),
	    cmocka_unit_test_setup(stopping_ends_open_streams, setup),
	    cmocka_unit_test_setup(two_thousand_streams_are_woken_in_turns, setup),
	    cmocka_unit_test_setup(browsers_are_told_apart, setup),
	    cmocka_unit_test_setup(baggage_is_passed_on, setup),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
