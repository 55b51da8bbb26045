/* Plays Snowflake from a list of lines, under a virtual clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../unit/snowflake/test_key.h"
#include "script.h"
#include "snowgate/tools.h"

enum { SEEN_MAX = 16, HOME_MAX = 16, CANCELS_MAX = 8, PIECE_OF_ANSWER = 32 << 10 };

/* An answer on its way. */
struct pending {
	struct timer timer;
	struct wire_request *request;
	const struct script_line *line;
	size_t whole, given; /* bytes of the answer */
	bool held;
};
struct seen {
	char *text[SEEN_MAX];
	size_t n;
};
struct start_at {
	struct timer timer;
	struct call *call;
};
struct cancel_at {
	struct timer timer;
	handle_t ticket;
};

static struct {
	const struct script_line *lines;
	size_t n, at;
	struct wheel *wheel;
	usec_t opened;
	struct conf conf;
	struct policy policy;
	struct connection connection;
	struct call *home[HOME_MAX];
	size_t calls, home_n, early, stored, cancels_n, bytes, held;
	handle_t cancel_in_store;
	struct cancel_at cancels[CANCELS_MAX];
	struct start_at starts[HOME_MAX];
	size_t starts_n;
	struct seen tokens, request_ids;
} script;

static void see(struct seen *seen, const char *text, size_t n)
{
	for (size_t i = 0; i < seen->n; i++)
		if (strlen(seen->text[i]) == n && !memcmp(seen->text[i], text, n))
			return;
	assert_true(seen->n < SEEN_MAX);
	seen->text[seen->n++] = xstrndup(text, n);
}

static void forget(struct seen *seen)
{
	while (seen->n)
		free(seen->text[--seen->n]);
}

static bool holds(const struct wire_request *rq, const char *text)
{
	for (const char *const *h = rq->headers; h && *h; h++)
		if (strstr(*h, text))
			return true;
	return strstr(rq->path, text) || strstr(buf_text(&rq->body), text);
}

/* Each request names a UUID. */
static void see_request_id(const struct wire_request *rq)
{
	const char *id = strstr(rq->path, "requestId=");

	assert_non_null(id);
	id += strlen("requestId=");
	assert_int_equal(strspn(id, "0123456789abcdef-"), 36);
	see(&script.request_ids, id, 36);
}

static size_t bytes_of(const struct script_line *line)
{
	size_t n = line->status && line->answer ? strlen(line->answer) : 0;

	return line->breaks_after && line->breaks_after < n ? line->breaks_after : n;
}

/* What is left of the answer, as far as it comes. */
static struct slice rest_of(const struct pending *p)
{
	return (struct slice){p->whole ? p->line->answer + p->given : NULL, p->whole - p->given};
}

static void give(struct pending *p, size_t n)
{
	assert_true(buf_add(&p->request->answer, rest_of(p).data, n));
	p->given += n;
	script.bytes += n;
}

/* True: there is more to come. */
static bool answer_piece(struct pending *p)
{
	struct wire_request *rq = p->request;

	if (!rq->more || p->line->status != 200 || rest_of(p).n <= PIECE_OF_ANSWER)
		return false;
	rq->status = 200;
	rq->shared = p->line->shared;
	if (!rq->shared && rq->answer.n + PIECE_OF_ANSWER > rq->window) {
		p->held = true;
		script.held++;
		return true;
	}
	give(p, PIECE_OF_ANSWER);
	timer_set(script.wheel, &p->timer, clock_now() + USEC_PER_MS);
	rq->more(rq);
	return true;
}

static void answer(struct timer *t)
{
	struct pending *p = container_of(t, struct pending, timer);
	struct wire_request *rq = p->request;

	if (answer_piece(p))
		return;
	rq->result = p->line->status && !p->line->breaks_after ? WIRE_ANSWERED : p->line->result;
	rq->status = p->line->status;
	rq->retry_after_s = p->line->retry_after_s ? p->line->retry_after_s : -1;
	if (rest_of(p).n)
		give(p, rest_of(p).n);
	snprintf(rq->error, sizeof rq->error, "scripted");
	rq->transfer = NULL;
	free(p);
	rq->done(rq);
}

/* A token endpoint gets the client's credentials and no request id; everything else a token that is Snowflake's. */
static void see_signature(const struct wire_request *rq)
{
	if (rq->op == WIRE_TOKEN) {
		assert_non_null(rq->basic);
		assert_true(rq->post);
		return;
	}
	see_request_id(rq);
	see(&script.tokens, rq->bearer, strlen(rq->bearer));
	assert_string_equal(rq->token_type, authenticator_of(script.connection.auth)->type);
	assert_int_equal(rq->post, rq->op == WIRE_SUBMIT || rq->op == WIRE_CANCEL || rq->op == WIRE_REST);
}

static void script_send(struct wire *w, struct wire_request *rq)
{
	struct pending *p = xalloc(sizeof *p);

	(void)w;
	if (script.at >= script.n)
		fail_msg("one request too many: %s", rq->path);
	p->line = &script.lines[script.at++];
	p->whole = bytes_of(p->line);
	if (rq->op != p->line->op || (p->line->with && !holds(rq, p->line->with)) ||
	    (p->line->without && holds(rq, p->line->without)))
		fail_msg("line %zu: unexpected request %d %s %s", script.at, (int)rq->op, rq->path,
			 buf_text(&rq->body));
	see_signature(rq);
	p->request = rq;
	p->timer.fire = answer;
	rq->transfer = p;
	timer_set(script.wheel, &p->timer, clock_now() + (p->line->takes ? p->line->takes : 10 * USEC_PER_MS));
}

static void script_abort(struct wire *w, struct wire_request *rq)
{
	struct pending *p = rq->transfer;

	(void)w;
	assert_non_null(p);
	timer_stop(&p->timer);
	rq->transfer = NULL;
	free(p);
}

static void script_resume(struct wire *w, struct wire_request *rq)
{
	struct pending *p = rq->transfer;

	(void)w;
	if (!p->held)
		return;
	p->held = false;
	timer_set(script.wheel, &p->timer, clock_now() + USEC_PER_MS);
}

static void script_move(struct wire *w, struct wire_request *from, struct wire_request *to)
{
	struct pending *p = from->transfer;

	(void)w;
	assert_ptr_equal(to->transfer, p);
	p->request = to;
	from->transfer = NULL;
}

#define SCRIPT_WIRE                                                                                                    \
	{                                                                                                              \
		.send = script_send, .abort = script_abort, .resume = script_resume, .move = script_move               \
	}

/* ---- the other threads ---- */

static void deliver(struct mail *m)
{
	struct call *c = container_of(m, struct call, mail);

	if (thread_self() == THREAD_NET) {
		assert_int_equal(c->step, STEP_settle);
		assert_true(script.home_n < HOME_MAX);
		script.home[script.home_n++] = c;
		return;
	}
	if (thread_self() == THREAD_STORE) {
		assert_int_equal(c->step, STEP_handle);
		script.stored++;
		snowflake_cancel(script.cancel_in_store);
		c->step = STEP_poll;
	}
	call_run(c);
}

static void shape(struct call *c)
{
	assert_null(call_statement(c)->job);
}

static void early(struct call *c)
{
	assert_int_equal(call_statement(c)->state, STATEMENT_RUNNING);
	assert_true(call_statement(c)->handle[0]);
	assert_false(c->answered);
	script.early++;
}

static bool deliver_all(void)
{
	static const enum thread threads[] = {THREAD_SNOWFLAKE, THREAD_WORKER, THREAD_STORE, THREAD_NET};
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		thread_play(threads[i]);
		n += mail_deliver(threads[i]);
	}
	thread_play(THREAD_SNOWFLAKE);
	return n > 0;
}

size_t script_run(void)
{
	for (;;) {
		while (deliver_all())
			;
		usec_t next = wheel_next(script.wheel);
		if (next == INT64_MAX)
			return script.home_n;
		if (next > clock_now())
			clock_advance(next - clock_now());
		(void)wheel_run(script.wheel, clock_now());
	}
}

/* ---- what tests ask for ---- */

void script_open(const struct script_line *lines, size_t n)
{
	static const struct snowflake_ops ops = {.answer_early = early};
	static struct wire wire = SCRIPT_WIRE;

	clock_set_virtual(1000 * USEC_PER_S, 1700000000 * USEC_PER_S);
	memset(&script, 0, sizeof script);
	script.lines = lines;
	script.n = n;
	script.opened = clock_now();
	script.wheel = wheel_new();
	script.conf = (struct conf){.snowflake_max_connections = 64,
				    .snowflake_connect_timeout = 10 * USEC_PER_S,
				    .snowflake_request_timeout = 60 * USEC_PER_S,
				    .snowflake_statement_timeout = 300 * USEC_PER_S,
				    .snowflake_retries = 4,
				    .snowflake_query_tag = "snowgate",
				    .snowflake_submit = SUBMIT_ASYNC,
				    .listen_max_body = 1 << 20};
	script.connection = (struct connection){.name = "test",
						.account = "acme",
						.user = "gate",
						.host = "acme.example",
						.protocol = "https",
						.port = 443,
						.auth = CONNECTION_KEY_PAIR,
						.private_key_raw = test_private_key};
	script.policy.connection = &script.connection;
	thread_play(THREAD_SNOWFLAKE);
	snowflake_open(&script.conf, &ops, &wire, script.wheel);
}

void script_close(void)
{
	assert_int_equal(script.at, script.n);
	assert_int_equal(snowflake_busy(), 0);
	assert_int_equal(script.home_n, script.calls);
	while (script.home_n)
		call_free(script.home[--script.home_n]);
	/* what was counted was given back */
	assert_true(results_take(RESULTS_CEILING));
	results_give(RESULTS_CEILING);
	snowflake_close();
	wheel_free(script.wheel);
	forget(&script.tokens);
	forget(&script.request_ids);
	thread_play(THREAD_MAIN);
}

struct conf *script_conf(void)
{
	return &script.conf;
}

struct call *script_call(const char *sql)
{
	static const struct tool tool = {.name = "test", .handler = {.answer = shape}};
	struct request *rq = request_new(&script.conf, 1 << 20);
	struct call *c;

	rq->policy = &script.policy;
	snprintf(rq->principal.subject, sizeof rq->principal.subject, "alice");
	c = call_new(rq);
	c->mail.deliver = deliver;
	c->tool = &tool;
	c->handler = &tool.handler;
	c->ticket = ++script.calls;
	c->step = STEP_sign;
	c->plan_n = 1;
	c->plan[0] = (struct statement){
	    .sql = sql, .timeout_s = 300, .rows = 100, .bytes = 1 << 20, .budget = {SIZE_MAX, 1 << 20, 2048}};
	return c;
}

void script_start(struct call *c)
{
	call_run(c);
}

static void start_fires(struct timer *t)
{
	call_run(container_of(t, struct start_at, timer)->call);
}

void script_start_at(struct call *c, usec_t after)
{
	struct start_at *at = &script.starts[script.starts_n++];

	assert_true(script.starts_n <= HOME_MAX);
	*at = (struct start_at){.timer = {.fire = start_fires}, .call = c};
	timer_set(script.wheel, &at->timer, clock_now() + after);
}

static void cancel_fires(struct timer *t)
{
	snowflake_cancel(container_of(t, struct cancel_at, timer)->ticket);
}

void script_cancel_at(handle_t ticket, usec_t after)
{
	struct cancel_at *at = &script.cancels[script.cancels_n++];

	assert_true(script.cancels_n <= CANCELS_MAX);
	*at = (struct cancel_at){.timer = {.fire = cancel_fires}, .ticket = ticket};
	timer_set(script.wheel, &at->timer, clock_now() + after);
}

usec_t script_elapsed(void)
{
	return clock_now() - script.opened;
}

void script_cancel_in_store(handle_t ticket)
{
	script.cancel_in_store = ticket;
}

size_t script_early(void)
{
	return script.early;
}

size_t script_stored(void)
{
	return script.stored;
}

size_t script_tokens(void)
{
	return script.tokens.n;
}

size_t script_bytes(void)
{
	return script.bytes;
}

size_t script_held(void)
{
	return script.held;
}

size_t script_request_ids(void)
{
	return script.request_ids.n;
}
