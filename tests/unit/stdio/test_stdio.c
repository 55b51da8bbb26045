/* Messages over two pipes: what becomes a request, what is written back, and how a client leaves. One thread plays NET;
 * the clock is virtual. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "snowgate/mail.h"
#include "snowgate/stdio.h"

#define CLAIM "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}"
#define SEEN  4096

static struct seen {
	handle_t exchange;
	enum http_method method;
	char body[8192], session[128];
	bool has_session, none, local;
	char content_type[64], accept[64];
} seen[SEEN];
static size_t seen_n, gone_n, room_n;
static handle_t gone[SEEN];
static bool refuse_head;

static struct conf conf;
static struct wheel *wheel;
static struct transport *t;
static int in, out; /* the client's ends */
static struct timer tick;

/* ---- the receiver: writes down what comes ---- */

static bool fake_head(void *ctx, struct request *rq, struct answer *refusal)
{
	(void)ctx;
	if (refuse_head) {
		buf_adds(&refusal->body, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32600,\"message\":\"no\"}}");
		return false;
	}
	rq->principal = (struct principal){.kind = PRINCIPAL_LOCAL, .subject = "local"};
	return true;
}

static void fake_request(void *ctx, handle_t exchange, struct request *rq)
{
	struct seen *s = &seen[seen_n++];

	(void)ctx;
	assert_true(seen_n < SEEN);
	s->exchange = exchange;
	s->method = rq->method;
	s->none = rq->mcp.none;
	s->local = rq->principal.kind == PRINCIPAL_LOCAL;
	s->has_session = rq->mcp.session_id != NULL;
	(void)snprintf(s->body, sizeof(s->body), "%s", buf_text(&rq->body));
	(void)snprintf(s->session, sizeof(s->session), "%s", rq->mcp.session_id ? rq->mcp.session_id : "");
	(void)snprintf(s->content_type, sizeof(s->content_type), "%s", rq->content_type ? rq->content_type : "");
	(void)snprintf(s->accept, sizeof(s->accept), "%s", rq->accept ? rq->accept : "");
	request_free(rq);
}

static void fake_gone(void *ctx, handle_t exchange)
{
	(void)ctx;
	gone[gone_n++] = exchange;
}

static void fake_room(void *ctx, handle_t exchange)
{
	(void)ctx, (void)exchange;
	room_n++;
}

static bool fake_ready(void *ctx)
{
	(void)ctx;
	return true;
}

static void fake_refuse(void *ctx, struct answer *answer, enum err err, const char *message)
{
	(void)ctx;
	buf_addf(&answer->body, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":%d,\"message\":\"%s\"}}",
		 err_info(err)->rpc_legacy, message);
}

static const struct transport_ops ops = {
    .head = fake_head,
    .request = fake_request,
    .gone = fake_gone,
    .room = fake_room,
    .ready = fake_ready,
    .refuse = fake_refuse,
};

/* ---- the client ---- */

static void tick_fired(struct timer *timer)
{
	(void)timer;
	t->loop_end(t);
}

/* Runs whole turns of the loop without waiting. */
static void spin(int turns)
{
	while (turns--) {
		timer_set(wheel, &tick, clock_now());
		t->loop(t);
	}
	timer_stop(&tick);
}

static void say(const char *text)
{
	size_t n = strlen(text);

	assert_int_equal(write(in, text, n), n);
	spin(2);
}

static void hang_up(void)
{
	close(in);
	in = -1;
	spin(2);
}

/* All that can be read now. */
static const char *heard(void)
{
	static char text[1 << 20];
	ssize_t n, all = 0;

	spin(2);
	while ((n = read(out, text + all, sizeof(text) - 1 - (size_t)all)) > 0)
		all += n;
	text[all] = '\0';
	return text;
}

static void start_on(int pipe_in[2], int pipe_out[2])
{
	char why[128];

	in = pipe_in[1];
	out = pipe_out[0];
	assert_int_equal(fcntl(out, F_SETFL, O_NONBLOCK), 0);
	t = stdio_start(&conf, &ops, wheel, pipe_in[0], pipe_out[1], why, sizeof(why));
	assert_non_null(t);
}

static int server_ends[2];

static int setup(void **state)
{
	int pipe_in[2], pipe_out[2];

	(void)state;
	thread_play(THREAD_NET);
	clock_set_virtual(USEC_PER_S, USEC_PER_S);
	conf = (struct conf){.listen_max_body = 4096,
			     .listen_drain = 30 * USEC_PER_S,
			     .mcp_write_timeout = 10 * USEC_PER_S,
			     .mcp_retry = USEC_PER_S};
	wheel = wheel_new();
	tick = (struct timer){.fire = tick_fired};
	seen_n = gone_n = room_n = 0;
	refuse_head = false;
	assert_int_equal(pipe(pipe_in), 0);
	assert_int_equal(pipe(pipe_out), 0);
	server_ends[0] = pipe_in[0];
	server_ends[1] = pipe_out[1];
	start_on(pipe_in, pipe_out);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	t->stop(t);
	wheel_free(wheel);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	close(server_ends[0]);
	close(server_ends[1]);
	return 0;
}

static void answer_of(struct answer *a, int status, const char *body)
{
	answer_init(a, status, body[0] ? "application/json" : NULL);
	if (body[0])
		buf_adds(&a->body, body);
}

static bool reply(size_t i, int status, const char *body)
{
	struct answer a;

	answer_of(&a, status, body);
	return t->answer(t, seen[i].exchange, &a);
}

static void reply_session(size_t i, const char *session)
{
	struct answer a;

	answer_of(&a, 200, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{}}");
	answer_header(&a, "Mcp-Session-Id", "%s", session);
	assert_true(t->answer(t, seen[i].exchange, &a));
}

static void answer_large(size_t i)
{
	size_t n = (size_t)1 << 20;
	char *text = xalloc(n + 3);

	memset(text, ' ', n);
	memcpy(text + n, "{}", 3);
	assert_true(reply(i, 200, text));
	free(text);
}

static void open_stream(size_t i)
{
	struct answer a;

	answer_init(&a, 200, "text/event-stream");
	assert_true(t->stream_open(t, seen[i].exchange, &a));
}

static enum stream_sent send_event(size_t i, const char *id, const char *data)
{
	struct sse_event event = {.id = slice_of(id), .data = slice_of(data)};

	return t->stream_send(t, seen[i].exchange, &event);
}

static int patience;

static void patience_fired(struct timer *timer)
{
	if (--patience > 0)
		timer_set(wheel, timer, clock_now());
	else
		t->loop_end(t);
}

/* Does the loop end of itself, within four turns? */
static bool loop_ends(void)
{
	tick.fire = patience_fired;
	patience = 4;
	timer_set(wheel, &tick, clock_now());
	t->loop(t);
	timer_stop(&tick);
	tick.fire = tick_fired;
	return patience > 0;
}

/* ---- requests ---- */

static void test_lines_become_requests(void **state)
{
	(void)state;
	say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n\n  "
	    "\r\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}\r\n{\"js");
	assert_int_equal(seen_n, 2);
	assert_string_equal(seen[0].body, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}");
	assert_string_equal(seen[1].body, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}");
	assert_int_equal(seen[0].method, HTTP_POST);
	assert_true(seen[0].none && seen[0].local);
	assert_false(seen[0].has_session);
	assert_string_equal(seen[0].content_type, "application/json");
	assert_string_equal(seen[0].accept, "application/json, text/event-stream");
	say("on\":1}\n");
	assert_int_equal(seen_n, 3);
	assert_string_equal(seen[2].body, "{\"json\":1}");
	assert_int_equal(t->open(t), 3);
}

static void test_last_line_needs_no_break(void **state)
{
	(void)state;
	say("{\"id\":1,\"method\":\"ping\"}");
	assert_int_equal(seen_n, 0);
	hang_up();
	assert_int_equal(seen_n, 1);
}

static void test_what_is_no_json_is_passed_on(void **state)
{
	(void)state;
	say("hello\n[1,2]\n\"text\"\n{\"method\":7}\n");
	assert_int_equal(seen_n, 4);
	assert_string_equal(seen[0].body, "hello");
	assert_true(reply(0, 400, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700,\"message\":\"m\"}}"));
	assert_string_equal(heard(), "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700,\"message\":\"m\"}}\n");
}

static void test_overlong_line_is_refused_alone(void **state)
{
	static char text[4096 + 64];
	int n = snprintf(text, sizeof(text), "{\"method\":\"");

	(void)state;
	memset(text + n, 'a', sizeof(text) - (size_t)n);
	memcpy(text + 4094, "\"}\n", 4);
	say(text); /* as long as it may be */
	assert_int_equal(seen_n, 1);
	assert_int_equal(strlen(seen[0].body), 4096);
	memcpy(text + 4094, "a\"}\n", 5);
	say(text);
	assert_int_equal(seen_n, 1);
	assert_non_null(strstr(heard(), "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32600,"));
	say("{\"id\":3,\"method\":\"ping\"}\n");
	assert_int_equal(seen_n, 2);
	assert_string_equal(seen[1].body, "{\"id\":3,\"method\":\"ping\"}");
}

static void test_refused_head_answers_the_request(void **state)
{
	(void)state;
	refuse_head = true;
	say("{\"jsonrpc\":\"2.0\",\"id\":\"x\\u0041\",\"method\":\"ping\"}\n");
	assert_int_equal(seen_n, 0);
	assert_string_equal(
	    heard(), "{\"jsonrpc\":\"2.0\",\"id\":\"x\\u0041\",\"error\":{\"code\":-32600,\"message\":\"no\"}}\n");
}

/* JSON-RPC 2.0, 5: an error bears the id of its request, where that could be told; MCP: a string or an integer. */
static void test_only_valid_ids_are_repeated(void **state)
{
	static const struct {
		const char *id;
		bool repeated;
	} cases[] = {{"7", true},     {"-3", true},   {"1.0", true},   {"\"\"", true},       {"\"a\\u0041\"", true},
		     {"null", false}, {"1.5", false}, {"true", false}, {"{\"a\":1}", false}, {"[1]", false}};
	char line[128], expected[128];

	(void)state;
	refuse_head = true;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		(void)snprintf(line, sizeof(line), "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"ping\"}\n",
			       cases[i].id);
		(void)snprintf(expected, sizeof(expected), "{\"jsonrpc\":\"2.0\",%s%s%s\"error\":{\"code\":-32600,%s",
			       cases[i].repeated ? "\"id\":" : "", cases[i].repeated ? cases[i].id : "",
			       cases[i].repeated ? "," : "", "\"message\":\"no\"}}\n");
		say(line);
		assert_string_equal(heard(), expected);
	}
}

static void test_an_overlong_id_is_not_repeated(void **state)
{
	char line[RPC_ID_MAX + 64], id[RPC_ID_MAX + 1];

	(void)state;
	refuse_head = true;
	memset(id, 'i', sizeof(id));
	for (int over = 0; over < 2; over++) { /* with its quotes RPC_ID_MAX bytes, then one more */
		(void)snprintf(line, sizeof(line), "{\"id\":\"%.*s\",\"method\":\"ping\"}\n", RPC_ID_MAX - 2 + over,
			       id);
		say(line);
		assert_int_equal(strstr(heard(), "\"id\":") == NULL, over);
	}
}

static void test_too_many_requests_are_refused_not_read_into_memory(void **state)
{
	char line[64];

	(void)state;
	for (int i = 0; i < 1030; i++) {
		(void)snprintf(line, sizeof(line), "{\"id\":%d,\"method\":\"ping\"}\n", i);
		say(line);
	}
	assert_int_equal(seen_n, 1024);
	assert_non_null(strstr(heard(), "\"id\":1024,\"error\":{\"code\":50301,"));
	say("{\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":1}}\n"); /* still heard */
	assert_int_equal(seen_n, 1025);
	say("{\"id\":\"ask\",\"result\":{}}\n"); /* so is an answer to a question of the server's */
	assert_int_equal(seen_n, 1026);
	say("[{\"id\":3000,\"method\":\"ping\"}]\n{\"id\":null,\"method\":\"ping\"}\nhello\n"); /* not what is answered
												 */
	assert_int_equal(seen_n, 1026);
	assert_non_null(strstr(heard(), "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":50301,"));
	assert_true(reply(1025, 202, ""));
	assert_true(reply(0, 200, "{\"id\":0}"));
	assert_true(reply(1024, 202, ""));
	say("{\"id\":2000,\"method\":\"ping\"}\n");
	assert_int_equal(seen_n, 1027);
}

/* ---- answers ---- */

static void test_answers_are_lines(void **state)
{
	struct answer page;

	(void)state;
	say("{\"id\":1,\"method\":\"a\"}\n{\"method\":\"b\"}\n{\"id\":3,\"method\":\"c\"}\n{\"id\":4,\"method\":\"d\"}"
	    "\n");
	assert_true(reply(2, 404, "{\n \"id\":3,\r\n \"error\":{} }"));
	assert_true(reply(1, 202, ""));
	assert_true(reply(0, 200, "{\"id\":1,\"result\":\"a\\nb\"}"));
	assert_false(reply(0, 200, "{\"id\":1,\"result\":\"twice\"}"));
	answer_init(&page, 200, "text/html");
	buf_adds(&page.body, "<html>");
	assert_true(t->answer(t, seen[3].exchange, &page));
	assert_string_equal(heard(), "{  \"id\":3,   \"error\":{} }\n{\"id\":1,\"result\":\"a\\nb\"}\n");
	assert_int_equal(t->open(t), 0);
}

static void test_streams_are_lines_too(void **state)
{
	(void)state;
	say("{\"id\":1,\"method\":\"tools/call\"}\n");
	open_stream(0);
	assert_int_equal(send_event(0, "s-0", ""), STREAM_SENT);
	assert_int_equal(send_event(0, NULL, "{\"method\":\"notifications/progress\"}"), STREAM_SENT);
	assert_int_equal(send_event(0, "s-1", "{\"id\":1,\"result\":{}}"), STREAM_SENT);
	t->stream_end(t, seen[0].exchange);
	assert_int_equal(send_event(0, "s-2", "{}"), STREAM_GONE);
	assert_string_equal(heard(), "{\"method\":\"notifications/progress\"}\n{\"id\":1,\"result\":{}}\n");
	assert_int_equal(gone_n, 0);
}

static void test_slow_reader_fills_a_bounded_outbox(void **state)
{
	char event[1001], expected[1002];
	size_t taken = 0, got = 0;
	const char *text;

	(void)state;
	memset(event, 'e', 1000);
	event[1000] = '\0';
	(void)snprintf(expected, sizeof(expected), "%s\n", event);
	say("{\"id\":1,\"method\":\"tools/call\"}\n");
	open_stream(0);
	while (send_event(0, NULL, event) == STREAM_SENT) {
		taken++;
		spin(1);
	}
	assert_in_range(taken, 256, 400); /* a quarter of a MiB waits, and the pipe holds some */
	assert_int_equal(send_event(0, NULL, event), STREAM_FULL);
	say("{\"id\":2,\"method\":\"ping\"}\n");
	assert_int_equal(seen_n, 1); /* who does not listen is not asked for more */
	assert_int_equal(room_n, 0);
	for (int i = 0; i < 100 && got < taken * 1001; i++) {
		text = heard();
		assert_int_equal(strncmp(text, expected, strlen(text) < 1001 ? strlen(text) : 1001), 0);
		got += strlen(text);
	}
	assert_int_equal(got, taken * 1001);
	assert_int_equal(room_n, 1);
	assert_int_equal(seen_n, 2);
	assert_int_equal(send_event(0, NULL, event), STREAM_SENT);
}

static void test_one_large_event_goes_out(void **state)
{
	size_t n = (size_t)1 << 20, got = 0;
	char *event = xalloc(n + 1);

	(void)state;
	memset(event, 'x', n);
	say("{\"id\":1,\"method\":\"tools/call\"}\n");
	open_stream(0);
	assert_int_equal(send_event(0, NULL, event), STREAM_SENT);
	assert_int_equal(send_event(0, NULL, "{}"), STREAM_FULL);
	for (int i = 0; i < 200 && got < n + 1; i++)
		got += strlen(heard());
	assert_int_equal(got, n + 1);
	assert_int_equal(room_n, 1);
	free(event);
}

/* Standard output may be the description of a shell. */
static void test_descriptors_stay_as_they_were(void **state)
{
	(void)state;
	assert_false(fcntl(server_ends[0], F_GETFL) & O_NONBLOCK);
	assert_false(fcntl(server_ends[1], F_GETFL) & O_NONBLOCK);
}

/* ---- the session ---- */

static void test_session_is_kept_for_the_client(void **state)
{
	(void)state;
	say("{\"id\":0,\"method\":\"initialize\"}\n{\"method\":\"notifications/initialized\"}\n"
	    "{\"id\":1,\"method\":\"tools/list\"}\n");
	assert_int_equal(seen_n, 1); /* the rest belongs to the session that is being made */
	assert_false(seen[0].has_session);
	reply_session(0, "S1");
	spin(2);
	assert_int_equal(seen_n, 4);
	assert_string_equal(seen[1].session, "S1");
	assert_int_equal(seen[2].method, HTTP_GET);
	assert_string_equal(seen[2].accept, "text/event-stream");
	assert_string_equal(seen[2].session, "S1");
	assert_string_equal(seen[2].body, "");
	assert_true(seen[2].none);
	assert_string_equal(seen[3].session, "S1");
	open_stream(2);
	assert_int_equal(send_event(2, "l.1.0.0.0", "{\"method\":\"notifications/tools/list_changed\"}"), STREAM_SENT);
	assert_non_null(strstr(heard(), "\n{\"method\":\"notifications/tools/list_changed\"}\n"));
	say("{\"id\":2,\"method\":\"initialize\"}\n");
	assert_int_equal(seen_n, 5);
	assert_false(seen[4].has_session);
}

static void test_new_handshake_ends_the_session_before(void **state)
{
	(void)state;
	say("{\"id\":0,\"method\":\"initialize\"}\n");
	reply_session(0, "S1");
	say("{\"method\":\"notifications/initialized\"}\n{\"id\":1,\"method\":\"initialize\"}\n");
	open_stream(2);
	reply_session(3, "S2");
	assert_int_equal(gone_n, 1);
	assert_int_equal(gone[0], seen[2].exchange);
	assert_int_equal(seen[4].method, HTTP_DELETE);
	assert_string_equal(seen[4].session, "S1");
	assert_true(reply(4, 204, ""));
	say("{\"method\":\"notifications/initialized\"}\n");
	assert_int_equal(seen[6].method, HTTP_GET);
	assert_string_equal(seen[6].session, "S2");
}

static void test_refused_standing_stream_is_silent(void **state)
{
	(void)state;
	say("{\"id\":0,\"method\":\"initialize\"}\n");
	reply_session(0, "S1");
	say("{\"method\":\"notifications/initialized\"}\n");
	(void)heard();
	assert_true(reply(1, 202, ""));
	assert_true(reply(2, 405, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":1,\"message\":\"m\"}}"));
	assert_string_equal(heard(), "");
	say("{\"id\":1,\"method\":\"ping\"}\n");
	assert_int_equal(seen_n, 4);
}

/* As a client over HTTP comes back after the `retry` that it is told. */
static void test_standing_stream_that_ended_is_opened_again(void **state)
{
	(void)state;
	say("{\"id\":0,\"method\":\"initialize\"}\n");
	reply_session(0, "S1");
	say("{\"method\":\"notifications/initialized\"}\n");
	for (size_t i = 2; i < 5; i++) {
		open_stream(i);
		t->stream_end(t, seen[i].exchange);
		clock_advance(USEC_PER_S - 1);
		spin(4);
		assert_int_equal(seen_n, i + 1);
		clock_advance(1);
		spin(4);
		assert_int_equal(seen_n, i + 2);
		assert_int_equal(seen[i + 1].method, HTTP_GET);
		assert_string_equal(seen[i + 1].session, "S1");
	}
	assert_true(reply(5, 404, "{\"error\":{}}")); /* refused: not again */
	clock_advance(60 * USEC_PER_S);
	spin(4);
	assert_int_equal(seen_n, 6);
}

static void test_standing_stream_is_not_opened_for_who_leaves(void **state)
{
	(void)state;
	say("{\"id\":0,\"method\":\"initialize\"}\n");
	reply_session(0, "S1");
	say("{\"method\":\"notifications/initialized\"}\n{\"id\":1,\"method\":\"tools/call\"}\n");
	open_stream(2);
	t->stream_end(t, seen[2].exchange);
	answer_large(3); /* the end cannot be read yet */
	hang_up();
	clock_advance(2 * USEC_PER_S);
	spin(4);
	assert_int_equal(seen_n, 4);
}

/* The new session has not said notifications/initialized yet. */
static void test_standing_stream_of_a_session_before_is_not_opened_again(void **state)
{
	(void)state;
	say("{\"id\":0,\"method\":\"initialize\"}\n");
	reply_session(0, "S1");
	say("{\"method\":\"notifications/initialized\"}\n{\"id\":1,\"method\":\"initialize\"}\n");
	open_stream(2);
	t->stream_end(t, seen[2].exchange);
	reply_session(3, "S2");
	assert_int_equal(seen_n, 5);
	assert_int_equal(seen[4].method, HTTP_DELETE);
	clock_advance(2 * USEC_PER_S);
	spin(4);
	assert_int_equal(seen_n, 5);
}

static void test_session_is_learnt_from_initialize_alone(void **state)
{
	(void)state;
	say("{\"id\":0,\"method\":\"initialize\"}\n");
	reply_session(0, "S1");
	say("{\"id\":1,\"method\":\"tools/list\"}\n");
	reply_session(1, "S2");
	say("{\"id\":2,\"method\":\"tools/list\"}\n");
	assert_int_equal(seen_n, 3);
	assert_string_equal(seen[2].session, "S1");
}

static void test_no_standing_stream_without_a_session(void **state)
{
	(void)state;
	say("{\"method\":\"notifications/initialized\"}\n");
	assert_int_equal(seen_n, 1);
}

/* ---- cancelling ---- */

static void test_modern_request_is_cancelled_here(void **state)
{
	(void)state;
	say("{\"id\":1,\"method\":\"tools/call\",\"params\":{" CLAIM "}}\n"
	    "{\"id\":\"1\",\"method\":\"tools/call\",\"params\":{" CLAIM "}}\n");
	say("{\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":\"1\",\"reason\":\"r\"}}\n");
	assert_int_equal(seen_n, 2);
	assert_int_equal(gone_n, 1);
	assert_int_equal(gone[0], seen[1].exchange);
	assert_false(reply(1, 200, "{\"id\":\"1\",\"result\":{}}"));
	assert_true(reply(0, 200, "{\"id\":1,\"result\":{}}"));
	assert_string_equal(heard(), "{\"id\":1,\"result\":{}}\n");
	say("{\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":1}}\n"); /* too late: passed on */
	assert_int_equal(seen_n, 3);
	assert_int_equal(gone_n, 1);
}

static void test_legacy_cancel_is_the_receivers(void **state)
{
	(void)state;
	say("{\"id\":1,\"method\":\"tools/call\",\"params\":{}}\n"
	    "{\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":1}}\n");
	assert_int_equal(seen_n, 2);
	assert_int_equal(gone_n, 0);
	assert_true(reply(0, 202, ""));
	assert_string_equal(heard(), "");
}

static void test_subscription_is_cancelled(void **state)
{
	(void)state;
	say("{\"id\":9,\"method\":\"subscriptions/listen\",\"params\":{" CLAIM "}}\n");
	open_stream(0);
	assert_int_equal(send_event(0, NULL, "{\"method\":\"notifications/subscriptions/acknowledged\"}"), STREAM_SENT);
	say("{\"method\":\"notifications/cancelled\",\"params\":{" CLAIM ",\"requestId\":9}}\n");
	assert_int_equal(gone_n, 1);
	assert_int_equal(send_event(0, NULL, "{}"), STREAM_GONE);
	assert_string_equal(heard(), "{\"method\":\"notifications/subscriptions/acknowledged\"}\n");
}

/* ---- leaving ---- */

static void test_end_of_input_waits_for_answers(void **state)
{
	(void)state;
	say("{\"id\":0,\"method\":\"initialize\"}\n");
	reply_session(0, "S1");
	say("{\"method\":\"notifications/initialized\"}\n{\"id\":1,\"method\":\"tools/call\"}\n");
	open_stream(2);
	assert_true(reply(1, 202, ""));
	(void)heard();
	hang_up();
	assert_int_equal(gone_n, 1); /* the standing stream ends at once */
	assert_int_equal(gone[0], seen[2].exchange);
	assert_int_equal(seen_n, 4);
	clock_advance(29 * USEC_PER_S);
	assert_false(loop_ends());
	assert_true(reply(3, 200, "{\"id\":1,\"result\":{}}"));
	assert_string_equal(heard(), "{\"id\":1,\"result\":{}}\n");
	assert_int_equal(seen_n, 5);
	assert_int_equal(seen[4].method, HTTP_DELETE);
	assert_string_equal(seen[4].session, "S1");
	assert_true(reply(4, 204, ""));
	assert_true(loop_ends());
	assert_int_equal(gone_n, 1);
}

static void test_end_of_input_ends_subscriptions(void **state)
{
	const char *text;

	(void)state;
	say("{\"id\":\"s\",\"method\":\"subscriptions/listen\",\"params\":{" CLAIM "}}\n");
	open_stream(0);
	hang_up();
	assert_int_equal(gone_n, 1);
	text = heard();
	assert_non_null(strstr(text, "\"id\":\"s\""));
	assert_non_null(strstr(text, "\"result\":{"));
	assert_non_null(strstr(text, "\"io.modelcontextprotocol/subscriptionId\":\"s\""));
	assert_true(loop_ends());
}

static void test_end_of_input_cancels_after_the_drain(void **state)
{
	(void)state;
	say("{\"id\":1,\"method\":\"tools/call\",\"params\":{" CLAIM "}}\n");
	hang_up();
	assert_false(loop_ends());
	clock_advance(31 * USEC_PER_S);
	spin(2);
	assert_int_equal(gone_n, 1);
	assert_false(loop_ends()); /* time for the cancel to reach Snowflake */
	clock_advance(USEC_PER_S);
	assert_true(loop_ends());
	assert_false(reply(0, 200, "{\"id\":1}"));
}

static void test_end_of_input_at_rest_ends_at_once(void **state)
{
	(void)state;
	close(in);
	in = -1;
	assert_true(loop_ends());
}

static void test_signal_after_end_of_input_does_not_wait(void **state)
{
	(void)state;
	say("{\"id\":1,\"method\":\"tools/call\",\"params\":{" CLAIM "}}\n");
	hang_up();
	assert_int_equal(gone_n, 0);
	t->listen_off(t);
	assert_int_equal(gone_n, 1);
	assert_int_equal(t->open(t), 0);
}

static void test_after_listen_off_nobody_is_reported_gone(void **state)
{
	(void)state;
	say("{\"id\":1,\"method\":\"tools/call\",\"params\":{" CLAIM "}}\n");
	t->listen_off(t);
	say("{\"id\":2,\"method\":\"ping\"}\n"); /* the gateway refuses it */
	assert_int_equal(seen_n, 2);
	hang_up();
	assert_int_equal(gone_n, 0);
	assert_false(loop_ends()); /* the gateway ends it */
	assert_true(reply(0, 200, "{\"id\":1,\"result\":{}}"));
	assert_true(reply(1, 503, "{\"id\":2,\"error\":{}}"));
	assert_string_equal(heard(), "{\"id\":1,\"result\":{}}\n{\"id\":2,\"error\":{}}\n");
	assert_int_equal(t->open(t), 0);
}

static void test_client_that_closes_its_ear_has_left(void **state)
{
	(void)state;
	say("{\"id\":1,\"method\":\"tools/call\",\"params\":{}}\n");
	close(out);
	out = -1;
	close(server_ends[1]); /* the transport has an end of its own */
	server_ends[1] = dup(0);
	spin(2);
	assert_int_equal(gone_n, 1);
	clock_advance(2 * USEC_PER_S);
	assert_true(loop_ends());
}

/* ---- who leaves without having taken what waits ---- */

/* Much more than a pipe holds waits, so that no more lines are read. */
static void answer_more_than_is_read(void)
{
	say("{\"id\":1,\"method\":\"tools/call\"}\n");
	answer_large(0);
	spin(2);
	assert_true(t->open(t) > 0);
}

static void test_who_leaves_without_reading_does_not_hold_the_process(void **state)
{
	(void)state;
	answer_more_than_is_read();
	clock_advance(60 * USEC_PER_S); /* who may still say something may be slow */
	spin(2);
	assert_true(t->open(t) > 0);
	hang_up();
	clock_advance(10 * USEC_PER_S - 1);
	spin(2);
	assert_true(t->open(t) > 0);
	clock_advance(1);
	spin(2);
	assert_int_equal(t->open(t), 0);
	clock_advance(2 * USEC_PER_S);
	assert_true(loop_ends());
}

static void alarm_rang(int signal_number)
{
	(void)signal_number;
	t->loop_end(t);
}

/* poll() reports it each time. The time is the processor's: waiting costs none. */
static void test_hang_up_does_not_spin_the_loop(void **state)
{
	const struct itimerval soon = {.it_value.tv_usec = 100000};
	const struct sigaction ring = {.sa_handler = alarm_rang};
	clock_t before;

	(void)state;
	answer_more_than_is_read();
	hang_up();
	assert_int_equal(sigaction(SIGALRM, &ring, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
	before = clock();
	t->loop(t);
	assert_in_range(clock() - before, 0, CLOCKS_PER_SEC / 20);
}

static void test_slow_reader_is_not_cut_by_the_end_of_the_drain(void **state)
{
	size_t got = 0, said = ((size_t)1 << 20) + 3;
	char some[65536];
	bool over = false;
	ssize_t n;

	(void)state;
	say("{\"id\":1,\"method\":\"tools/call\"}\n{\"id\":2,\"method\":\"tools/call\"}\n");
	hang_up(); /* all is read */
	answer_large(0);
	while (!over) {
		clock_advance(9 * USEC_PER_S);
		over = loop_ends();
		do {
			n = read(out, some, sizeof(some));
			got += n > 0 ? (size_t)n : 0;
		} while (over && n > 0);
	}
	assert_int_equal(got, said);
	assert_int_equal(gone_n, 1); /* the other call was given up when the drain was over */
}

static void test_slow_reader_that_said_its_last_is_not_cut(void **state)
{
	size_t got = 0, said = ((size_t)1 << 20) + 3;
	char some[65536];
	ssize_t n;

	(void)state;
	answer_more_than_is_read();
	say("{\"id\":2,\"method\":\"ping\"}\n"); /* not read yet */
	assert_int_equal(seen_n, 1);
	hang_up();
	while (got < said) {
		n = read(out, some, sizeof(some));
		assert_true(n > 0);
		got += (size_t)n;
		spin(2);
		clock_advance(9 * USEC_PER_S); /* longer than the drain in all */
		spin(2);
	}
	assert_int_equal(got, said);
	assert_int_equal(seen_n, 2);
	assert_true(reply(1, 200, "{\"id\":2}"));
	assert_string_equal(heard(), "{\"id\":2}\n");
	assert_true(loop_ends());
}

static void test_signal_gives_up_on_who_does_not_read(void **state)
{
	(void)state;
	answer_more_than_is_read();
	t->listen_off(t);
	spin(2);
	assert_true(t->open(t) > 0);
	clock_advance(10 * USEC_PER_S);
	spin(2);
	assert_int_equal(t->open(t), 0); /* what the gateway waits for */
}

/* The same as test_signal_after_end_of_input_does_not_wait(), where the end could not be read yet. */
static void test_signal_after_hang_up_does_not_wait(void **state)
{
	(void)state;
	say("{\"id\":1,\"method\":\"tools/call\"}\n{\"id\":2,\"method\":\"tools/call\"}\n");
	answer_large(0);
	hang_up();
	assert_int_equal(gone_n, 0);
	t->listen_off(t);
	assert_int_equal(gone_n, 1);
	assert_int_equal(gone[0], seen[1].exchange);
}

/* In place of the pipes of setup(). */
static void start_on_sockets(int server[2])
{
	int a[2], b[2];

	t->stop(t);
	close(in);
	close(out);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
	server[0] = a[0];
	server[1] = b[1];
	start_on(a, b);
}

static void test_sockets_serve_as_well(void **state)
{
	int server[2];

	start_on_sockets(server);
	test_slow_reader_fills_a_bounded_outbox(state);
	close(server[0]);
	close(server[1]);
}

static void test_closed_socket_is_a_departure_even_at_rest(void **state)
{
	int server[2];

	(void)state;
	start_on_sockets(server);
	say("{\"id\":1,\"method\":\"tools/call\",\"params\":{}}\n");
	close(out);
	out = -1;
	spin(2);
	assert_int_equal(gone_n, 1);
	close(server[0]);
	close(server[1]);
}

/* A client may close the one direction alone. */
static void test_socket_closed_for_writing_is_the_end_of_input(void **state)
{
	int server[2];

	(void)state;
	start_on_sockets(server);
	answer_more_than_is_read();
	assert_int_equal(shutdown(in, SHUT_WR), 0);
	spin(2);
	clock_advance(10 * USEC_PER_S);
	spin(2);
	clock_advance(2 * USEC_PER_S);
	assert_true(loop_ends());
	close(server[0]);
	close(server[1]);
}

static void count_mail(struct mail *m)
{
	(void)m;
	room_n++;
}

static void test_mail_wakes_the_loop(void **state)
{
	struct mail m = {.deliver = count_mail};

	(void)state;
	mail_post(THREAD_NET, &m);
	spin(1);
	assert_int_equal(room_n, 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_lines_become_requests),
	    TEST(test_last_line_needs_no_break),
	    TEST(test_what_is_no_json_is_passed_on),
	    TEST(test_overlong_line_is_refused_alone),
	    TEST(test_refused_head_answers_the_request),
	    TEST(test_only_valid_ids_are_repeated),
	    TEST(test_an_overlong_id_is_not_repeated),
	    TEST(test_too_many_requests_are_refused_not_read_into_memory),
	    TEST(test_answers_are_lines),
	    TEST(test_streams_are_lines_too),
	    TEST(test_slow_reader_fills_a_bounded_outbox),
	    TEST(test_one_large_event_goes_out),
	    TEST(test_descriptors_stay_as_they_were),
	    TEST(test_session_is_kept_for_the_client),
	    TEST(test_new_handshake_ends_the_session_before),
	    TEST(test_refused_standing_stream_is_silent),
	    TEST(test_standing_stream_that_ended_is_opened_again),
	    TEST(test_standing_stream_is_not_opened_for_who_leaves),
	    TEST(test_standing_stream_of_a_session_before_is_not_opened_again),
	    TEST(test_session_is_learnt_from_initialize_alone),
	    TEST(test_no_standing_stream_without_a_session),
	    TEST(test_modern_request_is_cancelled_here),
	    TEST(test_legacy_cancel_is_the_receivers),
	    TEST(test_subscription_is_cancelled),
	    TEST(test_end_of_input_waits_for_answers),
	    TEST(test_end_of_input_ends_subscriptions),
	    TEST(test_end_of_input_cancels_after_the_drain),
	    TEST(test_end_of_input_at_rest_ends_at_once),
	    TEST(test_signal_after_end_of_input_does_not_wait),
	    TEST(test_after_listen_off_nobody_is_reported_gone),
	    TEST(test_client_that_closes_its_ear_has_left),
	    TEST(test_who_leaves_without_reading_does_not_hold_the_process),
	    TEST(test_hang_up_does_not_spin_the_loop),
	    TEST(test_slow_reader_is_not_cut_by_the_end_of_the_drain),
	    TEST(test_slow_reader_that_said_its_last_is_not_cut),
	    TEST(test_signal_gives_up_on_who_does_not_read),
	    TEST(test_signal_after_hang_up_does_not_wait),
	    TEST(test_sockets_serve_as_well),
	    TEST(test_closed_socket_is_a_departure_even_at_rest),
	    TEST(test_socket_closed_for_writing_is_the_end_of_input),
	    TEST(test_mail_wakes_the_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
