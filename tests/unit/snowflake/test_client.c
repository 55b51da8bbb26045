/* The wire over libcurl against a server of the test's own, in the same thread: what its ends are called. */
#include <setjmp.h>
#include <stdarg.h>
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../../src/snowflake/internal.h"
#include "snowgate/log.h"

#define OK   "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
#define TURN 200 /* at most so many, however long each may be */
#define BODY ((size_t)200 << 10)

static struct {
	int listener, connections[4];
	size_t connections_n, requests;
	struct connection connection;
	struct conf conf;
	size_t done;
} test;

static int set_up(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof at;
	char why[200];

	(void)state;
	memset(&test, 0, sizeof test);
	log_set_level(LOG_ERROR);
	test.listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(test.listener, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(test.listener, 4), 0);
	assert_int_equal(getsockname(test.listener, (struct sockaddr *)&at, &n), 0);
	test.connection = (struct connection){
	    .name = "test", .host = "127.0.0.1", .protocol = "http", .port = ntohs(at.sin_port), .no_proxy = "*"};
	test.conf.snowflake_max_connections = 1;
	clock_set_virtual(1000 * USEC_PER_S, 1700000000 * USEC_PER_S);
	thread_play(THREAD_SNOWFLAKE);
	assert_true(client_open(&test.conf, NULL, why, sizeof why));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	client_close();
	for (size_t i = 0; i < test.connections_n; i++)
		close(test.connections[i]);
	if (test.listener >= 0)
		close(test.listener);
	thread_play(THREAD_MAIN);
	return 0;
}

static void on_done(struct wire_request *rq)
{
	results_give(rq->held);
	rq->held = 0;
	test.done++;
}

static void ask(struct wire_request *rq, bool post)
{
	*rq = (struct wire_request){.op = post ? WIRE_SUBMIT : WIRE_POLL,
				    .connection = &test.connection,
				    .path = "/",
				    .post = post,
				    .body = buf_with_ceiling(100),
				    .bearer = "token",
				    .token_type = "OAUTH",
				    .timeout = 60 * USEC_PER_S,
				    .connect_timeout = 10 * USEC_PER_S,
				    .answer = buf_with_ceiling(RESULT_CEILING),
				    .done = on_done};
	if (post)
		buf_adds(&rq->body, "{}");
	snowflake.wire->send(snowflake.wire, rq);
}

static void over(struct wire_request *rq)
{
	buf_free(&rq->body);
	buf_free(&rq->answer);
}

static bool is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

/* Takes what has come; a request is small, and counts when it is there. */
static void serve(const char *answer)
{
	char text[4096];

	if (test.listener >= 0 && is_readable(test.listener)) {
		int fd = test.connections[test.connections_n++] = accept(test.listener, NULL, NULL), room = 4 * BODY;
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room), 0);
	}
	for (size_t i = 0; i < test.connections_n; i++) {
		if (!is_readable(test.connections[i]) || read(test.connections[i], text, sizeof text) <= 0)
			continue;
		test.requests++;
		if (answer)
			assert_int_equal(write(test.connections[i], answer, strlen(answer)), strlen(answer));
	}
}

static void until_done(size_t n, const char *answer)
{
	for (size_t i = 0; i < TURN && test.done < n; i++) {
		serve(answer);
		client_wait();
	}
	assert_int_equal(test.done, n);
}

static void until_requested(size_t n)
{
	for (size_t i = 0; i < TURN && test.requests < n; i++) {
		client_wait();
		serve(NULL);
	}
	assert_int_equal(test.requests, n);
}

/* The server reads it, and is gone. */
static void server_goes(void)
{
	close(test.listener);
	test.listener = -1;
	close(test.connections[0]);
	test.connections_n = 0;
}

/* Executed, perhaps, whatever becomes of the connection that libcurl opens by itself to send it again. */
static void test_post_and_no_server(void **state)
{
	struct wire_request first, second;

	(void)state;
	ask(&first, false);
	until_done(1, OK);
	assert_int_equal(first.result, WIRE_ANSWERED);
	ask(&second, true);
	until_requested(2);
	server_goes();
	until_done(2, NULL);
	assert_int_equal(second.result, WIRE_BROKEN);
	over(&first);
	over(&second);
}

/* It is not sent a second time where there is a server. */
static void test_post_once(void **state)
{
	struct wire_request first, second;

	(void)state;
	ask(&first, false);
	until_done(1, OK);
	ask(&second, true);
	until_requested(2);
	close(test.connections[0]);
	test.connections_n = 0;
	until_done(2, OK);
	assert_int_equal(test.requests, 2);
	assert_int_equal(second.result, WIRE_BROKEN);
	assert_string_equal(second.error, "it was closed before an answer came");
	over(&first);
	over(&second);
}

/* One that was never sent says so. */
static void test_refused(void **state)
{
	struct wire_request rq;

	(void)state;
	close(test.listener);
	test.listener = -1;
	ask(&rq, true);
	until_done(1, NULL);
	assert_int_equal(rq.result, WIRE_REFUSED);
	over(&rq);
}

/* Who waits for a connection that another has waits no longer than his own time. */
static void test_no_connection_is_free(void **state)
{
	struct wire_request first, second;

	(void)state;
	ask(&first, true);
	until_requested(1);
	ask(&second, true);
	client_wait();
	clock_advance(62 * USEC_PER_S);
	until_done(2, NULL);
	assert_int_equal(first.result, WIRE_TIMEOUT);
	assert_int_equal(second.result, WIRE_REFUSED);
	assert_string_equal(second.error, "no connection was free in time");
	assert_int_equal(test.requests, 1);
	over(&first);
	over(&second);
}

/* A short answer has room where the results of others take all there is. */
static void test_no_room(void **state)
{
	struct wire_request rq;

	(void)state;
	assert_true(results_take(RESULTS_CEILING));
	ask(&rq, true);
	until_done(1, OK);
	results_give(RESULTS_CEILING);
	assert_int_equal(rq.result, WIRE_ANSWERED);
	assert_string_equal(buf_text(&rq.answer), "{}");
	over(&rq);
}

static void on_more(struct wire_request *rq)
{
	(void)rq;
}

/* What libcurl kept while a transfer was held, and finds no room, is not left out: the answer has failed. */
static void test_no_room_to_go_on(void **state)
{
	struct buf answer = buf_with_ceiling(2 * BODY);
	struct wire_request rq;
	size_t before, taken = 0;

	(void)state;
	buf_addf(&answer, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", BODY);
	for (size_t i = 0; i < BODY; i++)
		buf_addc(&answer, 'x');
	ask(&rq, false);
	rq.more = on_more;
	rq.window = 20 << 10;
	for (size_t i = 0; i < TURN && rq.answer.n == 0; i++) {
		serve(buf_text(&answer));
		client_wait();
	}
	do {
		before = rq.answer.n;
		client_wait();
	} while (rq.answer.n > before);
	assert_true(before > 0 && before < BODY);
	while (results_take(1 << 10))
		taken += 1 << 10;
	buf_clear(&rq.answer);
	snowflake.wire->resume(snowflake.wire, &rq);
	results_give(taken);
	for (size_t i = 0; i < TURN && !test.done; i++) {
		client_wait();
		if (test.done)
			break;
		buf_clear(&rq.answer);
		snowflake.wire->resume(snowflake.wire, &rq);
	}
	assert_int_equal(test.done, 1);
	assert_int_equal(rq.result, WIRE_TOO_LARGE);
	buf_free(&answer);
	over(&rq);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_post_and_no_server),    TEST(test_post_once), TEST(test_refused),
	    TEST(test_no_connection_is_free), TEST(test_no_room),   TEST(test_no_room_to_go_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
