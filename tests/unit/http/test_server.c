/* The endpoint over real sockets: a daemon on a free port in a thread that plays NET, a gateway that echoes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <cmocka.h>

#include <sys/un.h>

#include "client.h"
#include "snowgate/http.h"
#include "snowgate/log.h"
#include "snowgate/mail.h"
#include "snowgate/metric.h"

/* ---- the toy gateway: echoes; "slow…" from another thread, "hang…" never ---- */

static struct fixture {
	struct conf conf;
	struct transport *http;
	struct wheel *wheel;
	pthread_t net, other;
	int port, admin_port;
	atomic_bool ready, quit;
	atomic_int requests;
} fx;

struct note {
	struct mail mail;
	handle_t exchange;
	struct request *rq;
};

static void echo(handle_t exchange, struct request *rq)
{
	static const char *const names[] = {"GET", "POST", "DELETE", "OPTIONS", "OTHER"};
	struct answer a;

	answer_init(&a, 200, "application/json");
	answer_header(&a, "X-Peer", "%s", rq->peer);
	buf_addf(&a.body, "%s:", names[rq->method]);
	buf_add(&a.body, rq->body.data, rq->body.n);
	request_free(rq);
	fx.http->answer(fx.http, exchange, &a);
	answer_free(&a);
}

static void deliver_echo(struct mail *m)
{
	struct note *note = container_of(m, struct note, mail);

	echo(note->exchange, note->rq);
	free(note);
}

static void deliver_back(struct mail *m)
{
	m->deliver = deliver_echo;
	mail_post(THREAD_NET, m);
}

static void other_main(void *arg)
{
	(void)arg;
	while (!fx.quit)
		(void)mail_wait(THREAD_SNOWFLAKE, USEC_PER_S);
}

static void nothing(struct mail *m)
{
	free(m);
}

static void tell(enum thread to)
{
	struct mail *m = xalloc(sizeof(*m));

	m->deliver = nothing;
	mail_post(to, m);
}

static bool toy_head(void *ctx, struct request *rq, struct answer *refusal)
{
	(void)ctx;
	if (!rq->authorization || strcmp(rq->authorization, "Bearer bad") != 0)
		return true;
	refusal->status = 401;
	answer_header(refusal, "WWW-Authenticate", "Bearer");
	buf_adds(&refusal->body, "{}");
	return false;
}

static void toy_request(void *ctx, handle_t exchange, struct request *rq)
{
	const char *body = buf_text(&rq->body);

	(void)ctx;
	fx.requests++;
	if (strncmp(body, "hang", 4) == 0) {
		request_free(rq);
		tell(THREAD_MAIN);
	} else if (strncmp(body, "slow", 4) == 0) {
		struct note *note = xalloc(sizeof(*note));
		*note = (struct note){{NULL, deliver_back}, exchange, rq};
		mail_post(THREAD_SNOWFLAKE, &note->mail);
	} else {
		echo(exchange, rq);
	}
}

static void toy_gone(void *ctx, handle_t exchange)
{
	struct answer a;

	(void)ctx;
	answer_init(&a, 200, NULL);
	assert_false(fx.http->answer(fx.http, exchange, &a));
	tell(THREAD_MAIN);
}

static bool toy_ready(void *ctx)
{
	(void)ctx;
	return fx.ready;
}

static void toy_refuse(void *ctx, struct answer *answer, enum err err, const char *message)
{
	(void)ctx, (void)err;
	buf_addf(&answer->body, "{\"error\":\"%s\"}", message);
}

static const struct transport_ops ops = {
    .head = toy_head, .request = toy_request, .gone = toy_gone, .ready = toy_ready, .refuse = toy_refuse};

/* ---- the fixture ---- */

static void net_main(void *arg)
{
	(void)arg;
	fx.http->loop(fx.http);
	fx.http->stop(fx.http);
}

static void conf_init(struct conf *conf)
{
	*conf = (struct conf){.listen_address = "127.0.0.1",
			      .listen_path = "/mcp",
			      .listen_max_connections = 64,
			      .listen_max_body = 4 << 20,
			      .listen_header_timeout = 10 * USEC_PER_S,
			      .listen_body_timeout = 30 * USEC_PER_S,
			      .listen_idle_timeout = 75 * USEC_PER_S,
			      .mcp_write_timeout = 30 * USEC_PER_S,
			      .admin_address = "127.0.0.1",
			      .snowflake_max_connections = 8};
}

static void start(void)
{
	char why[256] = "";

	fx.wheel = wheel_new();
	fx.ready = true;
	fx.quit = false;
	fx.requests = 0;
	metric_reset();
	fx.http = http_start(&fx.conf, &ops, fx.wheel, why, sizeof(why));
	if (!fx.http)
		fail_msg("%s", why);
	fx.port = http_port(fx.http);
	fx.admin_port = http_admin_port(fx.http);
	thread_start(THREAD_NET, net_main, NULL, &fx.net);
	thread_start(THREAD_SNOWFLAKE, other_main, NULL, &fx.other);
}

static void on_net_end(struct mail *m)
{
	free(m);
	fx.http->loop_end(fx.http);
}

static void on_net_off(struct mail *m)
{
	free(m);
	fx.http->listen_off(fx.http);
	tell(THREAD_MAIN);
}

static void run_on_net(void (*deliver)(struct mail *))
{
	struct mail *m = xalloc(sizeof(*m));

	m->deliver = deliver;
	mail_post(THREAD_NET, m);
}

static void stop(void)
{
	fx.quit = true;
	tell(THREAD_SNOWFLAKE);
	thread_join(fx.other);
	run_on_net(on_net_end);
	thread_join(fx.net);
	wheel_free(fx.wheel);
}

static int setup(void **state)
{
	(void)state;
	conf_init(&fx.conf);
	return 0;
}

static void await_note(void)
{
	assert_int_equal(mail_wait(THREAD_MAIN, 10 * USEC_PER_S), 1);
}

static int dial(void)
{
	int fd = dial_port(fx.port);

	assert_true(fd >= 0);
	return fd;
}

static int ask(const char *text)
{
	int fd = dial(), status;

	say(fd, text);
	status = hear(fd);
	close(fd);
	return status;
}

static void post(int fd, const char *body)
{
	char text[512];

	snprintf(
	    text, sizeof(text),
	    "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
	    strlen(body), body);
	say(fd, text);
}

/* ---- requests ---- */

static void requests_share_a_connection(void **state)
{
	int fd;

	(void)state;
	start();
	fd = dial();
	for (int i = 0; i < 3; i++) {
		post(fd, i == 1 ? "slow two" : "one");
		assert_int_equal(hear(fd), 200);
		assert_true(heard_has(i == 1 ? "POST:slow two" : "POST:one"));
		assert_true(heard_has("\r\nX-Request-Id: r"));
		assert_true(heard_has("\r\nX-Content-Type-Options: nosniff"));
		assert_true(heard_has("\r\nCache-Control: no-store"));
		assert_true(heard_has("\r\nX-Peer: 127.0.0.1"));
	}
	close(fd);
	assert_int_equal(metric_value(METRIC_http_requests, "2xx"), 3);
	stop();
	assert_int_equal(metric_value(METRIC_http_connections, NULL), 0);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	int fd;

	(void)state;
	start();
	fd = dial();
	say(fd,
	    "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\nslow"
	    "GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n"
	    "DELETE /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n");
	assert_int_equal(hear(fd), 200);
	assert_true(heard_has("POST:slow"));
	assert_int_equal(hear(fd), 200);
	assert_true(heard_has("GET:"));
	assert_int_equal(hear(fd), 200);
	assert_true(heard_has("DELETE:"));
	close(fd);
	stop();
}

static void chunked_bodies_are_put_together(void **state)
{
	int fd;

	(void)state;
	start();
	fd = dial();
	for (int i = 0; i < 2; i++) {
		say(fd, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json; charset=utf-8\r\n"
			"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
		say(fd, "4\r\ndefg\r\n0\r\n\r\n");
		assert_int_equal(hear(fd), 200);
		assert_true(heard_has("POST:abcdefg"));
	}
	close(fd);
	stop();
}

static void expecting_clients_are_told_to_continue(void **state)
{
	int fd;

	(void)state;
	start();
	fd = dial();
	say(fd, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
		"Expect: 100-continue\r\n\r\n");
	assert_int_equal(hear(fd), 100);
	say(fd, "{}");
	assert_int_equal(hear(fd), 200);
	close(fd);
	/* a refusal comes instead of the 100, and the body is never asked for */
	fd = dial();
	say(fd, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5000000\r\n"
		"Expect: 100-continue\r\n\r\n");
	assert_int_equal(hear(fd), 413);
	assert_true(heard_has("Connection: close"));
	close(fd);
	stop();
}

/* ---- refusals ---- */

static const struct {
	const char *text;
	int status;
	const char *has;
} refusals[] = {
    {"GET /healthz HTTP/1.1\r\nHost: 10.1.2.3\r\n\r\n", 200, "ok\n"},
    {"POST /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, "Allow: GET, HEAD"},
    {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "listen.path"},
    {"GET /mcp/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "listen.path"},
    {"GET /%6dcp HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "listen.path"},
    {"GET /mcp?x=%6d&y HTTP/1.1\r\nHost: localhost:99\r\n\r\n", 200, "GET:"},
    {"PUT /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, "Allow: POST, GET, DELETE, OPTIONS"},
    {"GET /mcp HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, "listen.allowed_hosts"},
    {"GET /mcp HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n\r\n", 403, "listen.allowed_origins"},
    {"GET /mcp HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n", 403, "listen.allowed_origins"},
    {"GET /mcp HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:5173\r\n\r\n", 200,
     "Access-Control-Allow-Origin: http://localhost:5173"},
    {"GET /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer bad\r\n\r\n", 401, "WWW-Authenticate: Bearer"},
    {"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 415,
     "application/json"},
    {"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", 415, "application/json"},
    {"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
     "Content-Length: 2\r\n\r\n{}",
     415, "Content-Encoding"},
};

static void refusals_name_the_reason(void **state)
{

	(void)state;
	start();
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		int status = ask(refusals[i].text);

		if (status != refusals[i].status || !heard_has(refusals[i].has))
			fail_msg("%s\ngave %d\n%s", refusals[i].text, status, heard);
		if (status >= 400)
			assert_true(heard_has("Connection: close"));
		assert_true(heard_has("X-Request-Id: r"));
	}
	assert_int_equal(metric_value(METRIC_http_refused, "origin"), 2);
	assert_int_equal(metric_value(METRIC_http_refused, "host"), 1);
	assert_int_equal(metric_value(METRIC_http_refused, "auth"), 1);
	assert_int_equal(metric_value(METRIC_http_refused, "media"), 3);
	stop();
}

static void head_of_health_has_no_body(void **state)
{
	int fd;

	(void)state;
	start();
	fd = dial();
	say(fd, "HEAD /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
	assert_true(hear_all(fd));
	assert_true(heard_has("HTTP/1.1 200 OK"));
	assert_false(heard_has("ok\n"));
	close(fd);
	stop();
}

static void preflights_are_answered_before_authentication(void **state)
{
	(void)state;
	start();
	assert_int_equal(ask("OPTIONS /mcp HTTP/1.1\r\nHost: localhost\r\nOrigin: http://127.0.0.1:6274\r\n"
			     "Authorization: Bearer bad\r\nAccess-Control-Request-Method: POST\r\n"
			     "Access-Control-Request-Headers: content-type, mcp-param-region, x-evil\r\n\r\n"),
			 204);
	assert_true(heard_has("Access-Control-Allow-Origin: http://127.0.0.1:6274"));
	assert_true(heard_has("Access-Control-Allow-Methods: POST, GET, DELETE, OPTIONS"));
	assert_true(heard_has("Access-Control-Max-Age: 600"));
	assert_true(heard_has(", mcp-param-region"));
	assert_false(heard_has("x-evil"));
	assert_true(heard_has("Vary: Origin"));
	assert_int_equal(ask("OPTIONS /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n"), 204);
	assert_false(heard_has("Access-Control"));
	assert_int_equal(fx.requests, 0);
	stop();
}

static void a_client_still_sending_sees_413(void **state)
{
	static char block[65536];
	bool chunked[] = {false, true};

	(void)state;
	start();
	memset(block, 'x', sizeof(block));
	for (size_t k = 0; k < ARRAY_LEN(chunked); k++) {
		int fd = dial();

		say(fd, chunked[k] ? "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
				     "Transfer-Encoding: chunked\r\n\r\n"
				   : "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
				     "Content-Length: 5242880\r\n\r\n");
		for (int i = 0; i < 80; i++) {
			if (chunked[k])
				say(fd, "10000\r\n");
			assert_true(say_n(fd, block, sizeof(block)));
			if (chunked[k])
				say(fd, "\r\n");
		}
		if (chunked[k])
			say(fd, "0\r\n\r\n");
		assert_int_equal(hear(fd), 413);
		assert_true(heard_has("listen.max_body"));
		assert_int_equal(recv(fd, block, 1, 0), 0);
		close(fd);
	}
	assert_int_equal(fx.requests, 0);
	stop();
}

static void draining_has_an_end(void **state)
{
	int fd;

	(void)state;
	start();
	fd = dial();
	say(fd, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nthe "
		"rest never "
		"comes");
	assert_true(hear_all(fd));
	assert_true(heard_has("HTTP/1.1 415"));
	assert_true(heard_has("X-Request-Id: r"));
	close(fd);
	stop();
}

static void who_sends_more_than_we_throw_away_is_cut(void **state)
{
	static char block[1 << 20];
	int fd, sent = 0;

	(void)state;
	start();
	fd = dial();
	say(fd,
	    "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n");
	while (sent < 100 && say_n(fd, "100000\r\n", 8) && say_n(fd, block, sizeof(block)) && say_n(fd, "\r\n", 2))
		sent++;
	assert_in_range(sent, 7, 50); /* 8 MiB, and what the sockets hold */
	assert_true(hear_all(fd));
	close(fd);
	assert_int_equal(metric_value(METRIC_http_requests, "4xx"), 1);
	stop();
}

static void bodies_have_a_ceiling_in_all(void **state)
{
	static char block[1 << 20];
	char head[200];
	int first, second;

	(void)state;
	fx.conf.listen_max_body = 64 << 20;
	start();
	snprintf(
	    head, sizeof(head),
	    "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
	    40 << 20);
	first = dial();
	say(first, head);
	for (int i = 0; i < 40 - 1; i++)
		assert_true(say_n(first, block, sizeof(block)));
	second = dial();
	say(second, head);
	/* what is said first may still be on its way: the ceiling is met at the head or while reading */
	for (int i = 0; i < 40 && say_n(second, block, sizeof(block)); i++)
		;
	(void)hear_all(second);
	assert_true(heard_has("HTTP/1.1 503"));
	close(second);
	close(first);
	stop();
}

/* Each is followed by a request that must never be served. */
#define SMUGGLED "GET /mcp HTTP/1.1\r\nHost: localhost\r\nX: smuggled\r\n\r\n"
#define P        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

static const struct {
	const char *text;
	size_t n;
} smuggling[] = {
#define CASE(text)                                                                                                     \
	{                                                                                                              \
		text SMUGGLED, sizeof(text SMUGGLED) - 1                                                               \
	}
    CASE(P "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n"),
    CASE(P "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    CASE(P "Content-Length: 5\r\nContent-Length: 0\r\n\r\n"),
    CASE(P "Content-Length: 0\r\nContent-Length: 5\r\n\r\n"),
    CASE(P "Content-Length: 0\r\nContent-Length: 0\r\n\r\n"),
    CASE(P "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    CASE(P "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    CASE(P "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    CASE(P "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    CASE(P "Content-Length : 5\r\n\r\n"),
    CASE(P "Transfer-Encoding : chunked\r\n\r\n"),
    CASE(P "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    CASE(P "X: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
    CASE(P "Content-Length: +5\r\n\r\n"),
    CASE(P "Content-Length: 5, 5\r\n\r\n"),
    CASE(P "Content-Length: 0x5\r\n\r\n"),
    CASE(P "Host: localhost\r\nContent-Length: 0\r\n\r\n"),
    CASE(P "X: a\0b\r\nContent-Length: 0\r\n\r\n"),
    CASE(P "X\0Y: ab\r\nContent-Length: 0\r\n\r\n"),
    CASE(P "X: a\rb\r\nContent-Length: 0\r\n\r\n"),
    CASE(P "X: a\x01\r\nContent-Length: 0\r\n\r\n"),
    CASE(P "X: a\nContent-Length: 0\r\n\r\n"),
    CASE("POST /mcp HTTP/1.1\nHost: localhost\nContent-Length: 0\n\n"),
    CASE("GET /mcp HTTP/1.1\r\n\r\n"),
    CASE("GET /mcp HTTP/1.1\r\nHost:\r\n\r\n"),
    CASE("GET /mcp HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    CASE("GET http://localhost/mcp HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    CASE("GET mcp HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    CASE("GET /mcp\0x HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    CASE("GET /mcp HTTP/1.2\r\nHost: localhost\r\n\r\n"),
    CASE("GET /mcp HTTP/2.0\r\nHost: localhost\r\n\r\n"),
    CASE("POST /mcp HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    CASE("PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nGET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    CASE("GET /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n"),
    CASE("GET /mcp HTTP/1.1\r\nHost: localhost\r\nMcp-Session-Id: a\r\nmcp-session-id: b\r\n\r\n"),
    CASE("GET /mcp HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nOrigin: http://localhost\r\n\r\n"),
#undef CASE
};

static void nothing_is_smuggled(void **state)
{

	(void)state;
	start();
	for (size_t i = 0; i < ARRAY_LEN(smuggling); i++) {
		int fd = dial(), before = fx.requests;

		(void)say_n(fd, smuggling[i].text, smuggling[i].n);
		if (!hear_all(fd))
			fail_msg("case %zu stays open:\n%s", i, smuggling[i].text);
		close(fd);
		if (!heard_has("HTTP/1.1 4") && !heard_has("HTTP/1.1 505") && !heard_has("HTTP/1.0 4"))
			fail_msg("case %zu was not refused:\n%s\n%s", i, smuggling[i].text, heard);
		if (heard_has(" 200 OK") || fx.requests != before)
			fail_msg("case %zu let something through:\n%s\n%s", i, smuggling[i].text, heard);
	}
	stop();
}

static void odd_but_honest_heads_pass(void **state)
{
	static const char *const cases[] = {
	    "GET /mcp HTTP/1.1\r\nHost:localhost\r\nX:   a  b \t \r\nEmpty:\r\nEmpty2: \r\n\r\n",
	    "GET /mcp?a=b+c%20d&&e HTTP/1.1\r\nhost: LOCALHOST:8080\r\nCookie: a=b; c=\"d\"\r\n\r\n",
	    "GET /mcp HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n\r\n",
	    "GET /mcp HTTP/1.1\r\nHost: [::1]:80\r\nX: \xc3\xa9\r\nAccept: a\r\nAccept: b\r\n\r\n",
	    "GET /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
	};

	(void)state;
	start();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int fd = dial();

		for (int k = 0; k < 2; k++) {
			int status;

			say(fd, cases[i]);
			status = hear(fd);
			if (status != 200 && !heard_has("HTTP/1.0 200"))
				fail_msg("%s\n%s", cases[i], heard);
		}
		close(fd);
	}
	stop();
}

/* ---- connections ---- */

static void a_client_that_leaves_is_reported_once(void **state)
{
	int fd;

	(void)state;
	start();
	fd = dial();
	post(fd, "hang");
	await_note(); /* taken */
	close(fd);
	await_note(); /* gone */
	/* closing the sending half counts as leaving */
	fd = dial();
	post(fd, "hang");
	await_note();
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	await_note();
	assert_true(hear_all(fd));
	assert_string_equal(heard, "");
	close(fd);
	assert_int_equal(metric_value(METRIC_http_departed, NULL), 2);
	/* who leaves in the middle of an upload just vanishes */
	fd = dial();
	say(fd,
	    "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\nabc");
	close(fd);
	assert_int_equal(ask("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"), 200);
	stop();
	assert_true(mail_empty(THREAD_MAIN));
}

/* Every order of answer and departure: each request ends, once. */
static void clients_may_leave_at_any_moment(void **state)
{
	struct linger reset = {.l_onoff = 1};

	(void)state;
	start();
	for (int i = 0; i < 300; i++) {
		int fd = dial();

		post(fd, "slow");
		if (i % 3 == 1)
			(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		if (i % 5 == 0)
			(void)hear(fd);
		close(fd);
	}
	stop();
	(void)mail_deliver(THREAD_MAIN);
	assert_int_equal(metric_value(METRIC_http_connections, NULL), 0);
}

static void slow_heads_are_cut(void **state)
{
	int fd;

	(void)state;
	fx.conf.listen_header_timeout = 300 * USEC_PER_MS;
	start();
	fd = dial();
	say(fd, "GET /mcp HTTP/1.1\r\nHost: loc");
	assert_true(hear_all(fd));
	assert_string_equal(heard, "");
	close(fd);
	/* a connection that was served has the same time for its next head, from its first byte */
	fd = dial();
	post(fd, "one");
	assert_int_equal(hear(fd), 200);
	say(fd, "GET /mcp HTTP/1.1\r\nHost: loc");
	assert_true(hear_all(fd));
	close(fd);
	assert_int_equal(fx.requests, 1);
	stop();
}

static void slow_bodies_are_cut(void **state)
{
	int fd;

	(void)state;
	fx.conf.listen_body_timeout = 300 * USEC_PER_MS;
	start();
	fd = dial();
	say(fd,
	    "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{");
	assert_true(hear_all(fd));
	close(fd);
	assert_int_equal(fx.requests, 0);
	stop();
}

static void surplus_connections_get_503(void **state)
{
	int fds[8];

	(void)state;
	fx.conf.listen_max_connections = 8;
	start();
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = dial();
		post(fds[i], "one");
		assert_int_equal(hear(fds[i]), 200);
	}
	assert_int_equal(ask("GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n"), 503);
	assert_true(heard_has("Retry-After: 1"));
	assert_true(heard_has("Connection: close"));
	assert_true(heard_has("listen.max_connections"));
	assert_true(heard_has("(request r"));
	assert_int_equal(metric_value(METRIC_http_refused, "limit"), 1);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		post(fds[i], "two");
		assert_int_equal(hear(fds[i]), 200);
		close(fds[i]);
	}
	stop();
}

/* ---- the end ---- */

static void stopping_lets_parked_connections_go(void **state)
{
	int fds[20];

	(void)state;
	start();
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = dial();
		post(fds[i], "hang");
		await_note();
	}
	stop();
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		assert_true(hear_all(fds[i]));
		assert_string_equal(heard, "");
		close(fds[i]);
	}
	assert_true(mail_empty(THREAD_MAIN)); /* nobody was reported gone */
}

static void draining_closes_with_each_answer(void **state)
{
	int fd, parked;

	(void)state;
	start();
	fd = dial();
	post(fd, "one");
	assert_int_equal(hear(fd), 200);
	assert_false(heard_has("Connection: close"));
	parked = dial();
	post(parked, "hang");
	await_note();
	run_on_net(on_net_off);
	await_note();
	assert_int_equal(dial_port(fx.port), -1);
	post(fd, "slow");
	assert_int_equal(hear(fd), 200);
	assert_true(heard_has("Connection: close"));
	assert_int_equal(recv(fd, heard, 1, 0), 0);
	close(fd);
	close(parked);
	stop();
	assert_true(mail_empty(THREAD_MAIN));
}

/* ---- admin, addresses ---- */

static int ask_admin(const char *path)
{
	char text[128];
	int fd = dial_port(fx.admin_port), status;

	assert_true(fd >= 0);
	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: 10.0.0.1:9090\r\n\r\n", path);
	say(fd, text);
	status = hear(fd);
	close(fd);
	return status;
}

static void the_admin_port_tells_how_it_is(void **state)
{
	(void)state;
	start();
	fx.ready = false;
	assert_int_equal(ask_admin("/livez"), 200);
	assert_int_equal(ask_admin("/readyz"), 503);
	assert_int_equal(ask_admin("/startupz"), 503);
	fx.ready = true;
	assert_int_equal(ask_admin("/readyz"), 200);
	fx.ready = false;
	assert_int_equal(ask_admin("/startupz"), 200);
	fx.ready = true;
	assert_int_equal(ask_admin("/metrics"), 200);
	assert_true(heard_has("Content-Type: text/plain; version=0.0.4"));
	assert_true(heard_has("snowgate_http_connections 0"));
	assert_int_equal(ask_admin("/"), 404);
	run_on_net(on_net_off);
	await_note();
	assert_int_equal(ask_admin("/livez"), 200);
	assert_int_equal(ask_admin("/readyz"), 503);
	stop();
}

static void unix_sockets_and_ipv6_serve(void **state)
{
	struct sockaddr_un local = {.sun_family = AF_UNIX};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	char path[64], address[80];
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/snowgate-test-%d.sock", (int)getpid());
	snprintf(address, sizeof(address), "unix:%s", path);
	fx.conf.listen_address = address;
	start();
	assert_int_equal(fx.port, 0);
	memcpy(local.sun_path, path, strlen(path));
	fd = dial_at((struct sockaddr *)&local, sizeof(local));
	post(fd, "one");
	assert_int_equal(hear(fd), 200);
	assert_true(heard_has("X-Peer: unix"));
	close(fd);
	stop();
	assert_int_equal(access(path, F_OK), -1);

	fx.conf.listen_address = "[::1]";
	start();
	v6.sin6_port = htons((uint16_t)fx.port);
	fd = dial_at((struct sockaddr *)&v6, sizeof(v6));
	post(fd, "one");
	assert_int_equal(hear(fd), 200);
	assert_true(heard_has("X-Peer: ::1"));
	close(fd);
	stop();
}

static int hold_a_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	fx.port = ntohs(a.sin_port);
	return fd;
}

static void start_says_why_it_cannot(void **state)
{
	struct wheel *wheel = wheel_new();
	struct conf *conf = &fx.conf;
	char why[256], want[128];
	int fd = hold_a_port();

	(void)state;
	conf->listen_port = fx.port;
	assert_null(http_start(conf, &ops, wheel, why, sizeof(why)));
	snprintf(want, sizeof(want), "127.0.0.1:%d is taken by another program; choose another listen.port", fx.port);
	assert_string_equal(why, want);
	conf->listen_port = 0;
	conf->admin_port = fx.port;
	assert_null(http_start(conf, &ops, wheel, why, sizeof(why)));
	assert_non_null(strstr(why, "choose another admin.port"));
	conf->listen_address = "example.com";
	assert_null(http_start(conf, &ops, wheel, why, sizeof(why)));
	assert_non_null(strstr(why, "listen.address"));
	conf->listen_address = "192.0.2.77";
	assert_null(http_start(conf, &ops, wheel, why, sizeof(why)));
	assert_non_null(strstr(why, "is not an address of this machine"));
	conf->listen_address = "127.0.0.1";
	conf->listen_max_connections = 2000000000;
	assert_null(http_start(conf, &ops, wheel, why, sizeof(why)));
	assert_non_null(strstr(why, "listen.max_connections"));
	close(fd);
	wheel_free(wheel);
}

static int quiet(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR); /* the start-up lines would drown the results */
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(requests_share_a_connection, setup),
	    cmocka_unit_test_setup(pipelined_requests_are_answered_in_order, setup),
	    cmocka_unit_test_setup(chunked_bodies_are_put_together, setup),
	    cmocka_unit_test_setup(expecting_clients_are_told_to_continue, setup),
	    cmocka_unit_test_setup(refusals_name_the_reason, setup),
	    cmocka_unit_test_setup(head_of_health_has_no_body, setup),
	    cmocka_unit_test_setup(preflights_are_answered_before_authentication, setup),
	    cmocka_unit_test_setup(a_client_still_sending_sees_413, setup),
	    cmocka_unit_test_setup(draining_has_an_end, setup),
	    cmocka_unit_test_setup(who_sends_more_than_we_throw_away_is_cut, setup),
	    cmocka_unit_test_setup(bodies_have_a_ceiling_in_all, setup),
	    cmocka_unit_test_setup(nothing_is_smuggled, setup),
	    cmocka_unit_test_setup(odd_but_honest_heads_pass, setup),
	    cmocka_unit_test_setup(a_client_that_leaves_is_reported_once, setup),
	    cmocka_unit_test_setup(clients_may_leave_at_any_moment, setup),
	    cmocka_unit_test_setup(slow_heads_are_cut, setup),
	    cmocka_unit_test_setup(slow_bodies_are_cut, setup),
	    cmocka_unit_test_setup(surplus_connections_get_503, setup),
	    cmocka_unit_test_setup(stopping_lets_parked_connections_go, setup),
	    cmocka_unit_test_setup(draining_closes_with_each_answer, setup),
	    cmocka_unit_test_setup(the_admin_port_tells_how_it_is, setup),
	    cmocka_unit_test_setup(unix_sockets_and_ipv6_serve, setup),
	    cmocka_unit_test_setup(start_says_why_it_cannot, setup),
	};

	return cmocka_run_group_tests(tests, quiet, NULL);
}
