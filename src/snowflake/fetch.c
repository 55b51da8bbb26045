/* The rows of a statement that has ended: partitions asked for ahead, each held at its window, read one by one. */
#include "internal.h"

#include <string.h>

#define SLICE_MIN   CALL_LARGE       /* bytes that are worth a visit to a WORKER */
#define SOURCES_MAX 4                /* partitions under way for one call */
#define ROWS_SPARE  (5 * USEC_PER_S) /* beyond its caller's deadline, for what has begun to come */
#define HELD_TEXT   "the gateway holds as many results as it may; try again in a moment or ask for fewer rows"

/* ---- sources ---- */

static size_t under_way; /* sources that the wire has; owner: SNOWFLAKE */

static void source_over(struct source *src)
{
	src->sent = false;
	under_way--;
	timer_stop(&src->timer);
	metric_add(METRIC_upstream_in_flight, NULL, -1);
}

void source_free(struct source *src)
{
	if (src->sent) {
		snowflake.wire->abort(snowflake.wire, &src->request);
		source_over(src);
	}
	results_give(src->request.held);
	buf_free(&src->request.answer);
	buf_free(&src->request.body);
	free(src);
}

static void source_drop_first(struct job *j)
{
	struct source *src = j->sources;

	j->sources = src->next;
	source_free(src);
}

/* The call goes on where it waits for this one. */
static void wake(struct source *src)
{
	struct job *j = src->job;

	if (j && j->call && j->waiting && j->sources == src)
		call_run(j->call);
}

static void source_more(struct wire_request *rq)
{
	if (rq->answer.n >= SLICE_MIN)
		wake(container_of(rq, struct source, request));
}

static void source_done(struct wire_request *rq)
{
	struct source *src = container_of(rq, struct source, request);

	OWNED_BY(THREAD_SNOWFLAKE);
	source_over(src);
	wake(src);
}

static void source_hurry(struct source *src);

/* It has brought something that nobody has come for: it is not the one that is late. */
static void on_silence(struct timer *t)
{
	struct source *src = container_of(t, struct source, timer);

	if (src->request.answer.n >= SLICE_MIN) {
		source_hurry(src);
		return;
	}
	snowflake.wire->abort(snowflake.wire, &src->request);
	src->request.result = WIRE_TIMEOUT;
	source_over(src);
	wake(src);
}

/* So long may pass until there is something to read, or all of it. */
static void source_hurry(struct source *src)
{
	src->timer.fire = on_silence;
	timer_set(snowflake.wheel, &src->timer, clock_now() + src->request.timeout);
}

static void source_enlist(struct job *j, struct source *src)
{
	struct source **at = &j->sources;

	while (*at && (*at)->partition < src->partition)
		at = &(*at)->next;
	src->next = *at;
	*at = src;
}

/* What j->request has sent goes on by itself. */
static struct source *source_adopt(struct job *j, size_t partition)
{
	struct source *src = xalloc(sizeof *src);

	src->request = j->request;
	snowflake.wire->move(snowflake.wire, &j->request, &src->request);
	j->request.answer = buf_with_ceiling(RESULT_CEILING);
	j->request.body = buf_with_ceiling(j->request.body.ceiling);
	j->request.held = 0;
	j->sending = false;
	timer_stop(&j->call->timer);
	src->request.timeout = request_within(j->call, call_conf(j->call)->snowflake_request_timeout);
	src->request.more = source_more;
	src->request.done = source_done;
	src->job = j;
	src->partition = partition;
	src->sent = true;
	under_way++;
	snowflake.wire->resume(snowflake.wire, &src->request);
	source_hurry(src);
	source_enlist(j, src);
	return src;
}

void fetch_forget(struct job *j, struct statement *s)
{
	while (j->sources)
		source_drop_first(j);
	if (s && s->reader) {
		reader_free(*s->reader);
		*s->reader = NULL;
	}
}

static bool is_worth_keeping(const struct job *j, const struct statement *s)
{
	const struct reader *r = s->reader ? *s->reader : NULL;

	if (!r || !r->first || s->metadata || s->whole || s->raw_fault || j->cancelled || !s->rows_n)
		return false;
	return s->offset + s->rows_n < r->total && (r->partitions_n > 1 || (j->sources && j->sources->begun));
}

void fetch_end(struct call *c, struct job *j, struct statement *s)
{
	if (s->state == STATEMENT_SUCCEEDED && is_worth_keeping(j, s))
		park_put(c, j, s);
	fetch_forget(j, s);
	j->rows_until = 0;
	if (s->kind != STATEMENT_REST)
		buf_free(&s->raw);
	results_give(j->held);
	j->held = 0;
}

/* ---- what one may have of the connections ---- */

bool fetch_may_hold(size_t held)
{
	return held < snowflake.connections / 4;
}

static bool is_crowded(const struct statement *s)
{
	return s->whole && !s->rows_n && under_way > snowflake.connections / 2;
}

static enum verdict refuse_crowd(struct call *c)
{
	return statement_fail_with(c, ERR_OVERLOADED, "too many results are downloaded at once; try again in a moment");
}

/* ---- from an answer to its rows ---- */

/* Who asked for some rows waits hardly longer than he said; one of the gateway's own statements has its own limit. */
static void set_limit(const struct call *c, struct job *j)
{
	usec_t now = clock_now(), within = request_within(c, call_conf(c)->snowflake_request_timeout);

	j->rows_until = now + within;
	if (c->deadline && within == call_conf(c)->snowflake_request_timeout)
		j->rows_until = (c->deadline > now ? c->deadline : now) + ROWS_SPARE;
}

static enum verdict rows_are_late(struct call *c, const struct statement *s)
{
	const char *text = NULL;

	if (!s->metadata && s->handle[0])
		text = arena_printf(c->arena,
				    "the statement has ended well (query %s), but Snowflake sends its rows too slowly; "
				    "they are kept there: get_result with this answer's statementHandle has them, or "
				    "ask for fewer",
				    s->handle);
	return statement_fail_with(c, ERR_UPSTREAM, text ? text : "Snowflake sends the rows too slowly; ask for fewer");
}

static void raw_take(struct job *j, struct statement *s, struct wire_request *rq, bool last)
{
	buf_free(&s->raw);
	results_give(j->held);
	s->raw = rq->answer;
	s->raw_at = 0;
	s->raw_gzip = rq->gzip;
	s->raw_last = last;
	j->held = rq->held;
	rq->answer = buf_with_ceiling(RESULT_CEILING);
	rq->held = 0;
	s->sent = clock_now();
	j->broke = 0;
}

enum verdict fetch_decode(struct call *c, struct job *j, size_t partition)
{
	struct statement *s = call_statement(c);

	j->not_before = 0;
	j->renewed = 0;
	s->next_partition = partition;
	s->fed = FED_MORE;
	if (j->sending) {
		(void)source_adopt(j, partition);
		return is_crowded(s) ? refuse_crowd(c) : call_goto(c, STEP_fetch);
	}
	raw_take(j, s, &j->request, true);
	s->raw_partition = (int)partition;
	s->raw_begins = true;
	return statement_go(c, j, s->raw.n > CALL_LARGE ? STEP_decode_large : STEP_decode);
}

/* A poll whose connection is shared cannot be held: what is too much for that is asked for once more, alone. */
static bool ask_alone(struct call *c, struct job *j, const struct statement *s)
{
	struct wire_request *rq = &j->request;
	struct reading r = {.meaning = MEANS_RESULT};

	if (!rq->shared || !s->handle[0] || rq->answer.n <= SHARED_WINDOW)
		return false;
	rq->result = WIRE_ANSWERED; /* the statement has ended: its place in the lane is another's */
	pool_answered(c, j, &r);
	request_abort(j);
	return true;
}

void fetch_more(struct wire_request *rq)
{
	struct job *j = rq->owner;
	struct call *c = j->call;
	struct reading r = {.meaning = MEANS_RESULT};
	enum verdict v;

	OWNED_BY(THREAD_SNOWFLAKE);
	CHECK(j, JOB_MAGIC);
	if (j->cancelled && rq->op == WIRE_POLL) { /* it has ended, and nobody wants its rows */
		statement_cancelled(j);
		return;
	}
	if (rq->answer.n <= CALL_LARGE)
		return;
	if (ask_alone(c, j, call_statement(c))) {
		call_statement(c)->fed = FED_MORE;
		call_statement(c)->next_partition = 0;
		c->step = STEP_fetch;
		call_run(c);
		return;
	}
	if (rq->shared)
		return;
	if (rq->op == WIRE_POLL && (j->early || j->cancelled))
		request_abort(j);   /* nobody wants the rows */
	rq->result = WIRE_ANSWERED; /* as far as it goes: the rest is the source's */
	pool_answered(c, j, &r);
	v = rq->op == WIRE_SUBMIT ? submit_done(c, j, &r) : poll_done(c, j, &r);
	if (v == NEXT)
		call_run(c);
}

/* ---- asking ---- */

static enum verdict send_fetch(struct call *c, struct job *j, struct statement *s, size_t partition)
{
	enum verdict v;

	notice(c, LEVEL_DEBUG, "fetching partition %zu of %zu", partition + 1, s->partitions_n);
	request_path(j, "/api/v2/statements/%s?requestId=%s&partition=%zu", s->handle, s->request_id, partition);
	buf_clear(&j->request.body);
	v = request_send(c, j, WIRE_FETCH, call_conf(c)->snowflake_request_timeout);
	if (v == WAIT && j->sending) /* else the job may be gone */
		(void)source_adopt(j, partition);
	return v;
}

static bool is_asked(const struct job *j, size_t partition)
{
	const struct source *src = j->sources;

	while (src && src->partition != partition)
		src = src->next;
	return src;
}

static size_t sources_n(const struct job *j)
{
	size_t n = 0;

	for (const struct source *src = j->sources; src; src = src->next)
		n++;
	return n;
}

/* Would all rows up to the end of this partition fit into the answer, as those so far did? */
static bool will_be_read(const struct statement *s, const struct reader *r, size_t partition)
{
	const struct partition *p = &r->partitions[partition];

	if (s->whole)
		return true;
	if (s->metadata || !s->rows_n || p->first + p->rows > s->offset + s->rows)
		return false;
	return s->text.n / s->rows_n * (p->first + p->rows - s->offset) < s->budget.bytes;
}

/* Partitions behind the one that is read; fewer while much is held for everybody. */
static enum verdict send_ahead(struct call *c, struct job *j, struct statement *s)
{
	const struct reader *r = s->reader ? *s->reader : NULL;
	enum verdict v = WAIT;

	if (!r || !r->first || !s->handle[0] || !results_spare() || !fetch_may_hold(under_way))
		return WAIT;
	for (size_t p = s->next_partition + 1; p < r->partitions_n && sources_n(j) < SOURCES_MAX && v == WAIT; p++) {
		if (!reader_wants(r, s, p) || is_asked(j, p))
			continue;
		if (!will_be_read(s, r, p))
			return WAIT;
		v = send_fetch(c, j, s, p);
		if (v != WAIT || !is_asked(j, p)) /* not now, or never */
			return v;
	}
	return v;
}

static enum verdict send_first(struct call *c, struct job *j, struct statement *s)
{
	if (clock_now() < j->not_before)
		return statement_wait(c, j->not_before);
	if (!s->handle[0])
		return statement_fail_with(c, ERR_UPSTREAM_ANSWER,
					   "Snowflake gave no handle to fetch the rest of the rows with");
	if (is_crowded(s))
		return refuse_crowd(c);
	if (!results_take(1))
		return statement_fail_with(c, ERR_OVERLOADED, HELD_TEXT);
	results_give(1);
	return send_fetch(c, j, s, s->next_partition);
}

/* ---- reading ---- */

/* Its reader may have taken his time: further tries have theirs from now on. */
static void rows_broke(struct job *j)
{
	if (!j->broke)
		j->broke = clock_now();
}

/* The answer failed, at once or in the middle: what that means is for the ordinary judge. One without a handle is that
 * of a submission, and comes again with it. */
static enum verdict source_failed(struct call *c, struct job *j, struct source *src)
{
	rows_broke(j);
	if (!call_statement(c)->handle[0])
		c->step = STEP_submit;
	request_drop(j);
	buf_free(&j->request.body);
	j->request = src->request;
	src->request.answer = buf_with_ceiling(RESULT_CEILING);
	src->request.body = buf_with_ceiling(j->request.body.ceiling);
	src->request.held = 0;
	source_drop_first(j);
	return request_answered(c, j);
}

/* The breaker hears of a partition that has come well, too: of polls and submissions it was told when they began to. */
static void source_came(struct call *c, struct job *j, const struct source *src)
{
	struct reading r = {.meaning = MEANS_RESULT};

	if (src->request.op != WIRE_FETCH)
		return;
	j->request.op = WIRE_FETCH;
	j->request.result = WIRE_ANSWERED;
	j->request.status = src->request.status;
	pool_answered(c, j, &r);
}

static enum verdict source_read(struct call *c, struct job *j, struct source *src)
{
	struct statement *s = call_statement(c);
	bool here = !src->sent && !src->begun && src->request.answer.n <= CALL_LARGE;

	if (!src->sent)
		source_came(c, j, src);
	raw_take(j, s, &src->request, !src->sent);
	s->raw_partition = (int)src->partition;
	s->raw_begins |= !src->begun;
	src->begun = true;
	if (src->sent) {
		source_hurry(src);
		snowflake.wire->resume(snowflake.wire, &src->request);
	}
	return statement_go(c, j, here ? STEP_decode : STEP_decode_large);
}

static enum verdict source_look(struct call *c, struct job *j, struct source *src)
{
	const struct statement *s = call_statement(c);
	const struct wire_request *rq = &src->request;
	bool good = rq->result == WIRE_ANSWERED && rq->status == 200;

	if (!src->sent && !good)
		return source_failed(c, j, src);
	if (!src->sent || rq->answer.n >= SLICE_MIN)
		return source_read(c, j, src);
	j->waiting = true;
	return s->whole ? WAIT : statement_wait(c, j->rows_until);
}

/* decode could not read the answer: the same once more. Without a handle that is the submission (retry=true gives its
 * stored answer). */
static enum verdict reread(struct call *c, struct job *j, struct statement *s)
{
	struct reading r = {.meaning = MEANS_TRANSIENT, .err = s->raw_fault, .perhaps = true};

	rows_broke(j);
	s->raw_fault = ERR_OK;
	if (j->sources && j->sources->partition == (size_t)s->raw_partition)
		source_drop_first(j);
	if (r.err != ERR_UPSTREAM_ANSWER)
		return statement_fail_with(
		    c, r.err,
		    r.err == ERR_OVERLOADED
			? HELD_TEXT
			: "the result needs more memory than one call may have; ask for fewer rows");
	metric_count(METRIC_upstream_failures, "body");
	r.message =
	    "Snowflake's answer is not a result as its SQL API documents it; try again, and check that no proxy "
	    "answers in its place";
	s->fed = FED_MORE;
	s->next_partition = (size_t)s->raw_partition;
	c->step = s->raw_partition ? STEP_fetch : s->handle[0] ? STEP_poll : STEP_submit;
	return request_again(c, j, &r);
}

/* A partition is through: its source, if it was one, has nothing more to give. */
static void partition_over(struct job *j, struct statement *s)
{
	if (j->sources && j->sources->partition == (size_t)s->raw_partition)
		source_drop_first(j);
	s->fed = FED_MORE;
	s->tries = 0;
	j->renewed = 0;
}

/* The rows of a request of several statements are its last one's. */
static enum verdict child_poll(struct call *c, struct job *j, struct statement *s)
{
	partition_over(j, s);
	request_begin(j, s);
	return statement_go(c, j, STEP_poll);
}

static bool is_all_read(const struct statement *s)
{
	return s->partitions_n && s->next_partition >= s->partitions_n;
}

static enum verdict read_on(struct call *c, struct job *j, struct statement *s)
{
	enum verdict v;

	if (is_all_read(s))
		return s->whole && s->text.n ? statement_go(c, j, STEP_emit) : statement_end(c, STATEMENT_SUCCEEDED);
	if (!is_asked(j, s->next_partition)) {
		v = send_first(c, j, s);
		if (v != WAIT || !is_asked(j, s->next_partition))
			return v;
	}
	v = send_ahead(c, j, s);
	return v == WAIT ? source_look(c, j, j->sources) : v;
}

enum verdict step_fetch(struct call *c)
{
	struct job *j = job_enter(c);
	struct statement *s = call_statement(c);

	j->waiting = false;
	if (!j->rows_until)
		set_limit(c, j);
	if (j->cancelled)
		return statement_end(c, STATEMENT_SUCCEEDED);
	if (s->raw_fault)
		return reread(c, j, s);
	if (s->fed == FED_FULL && s->whole) /* it has no window: a row did not fit */
		return statement_fail_with(c, ERR_NOMEM, "a row of the result is longer than the gateway can hold");
	if (s->fed == FED_FULL)
		return statement_end(c, STATEMENT_SUCCEEDED);
	if (!s->whole && clock_now() >= j->rows_until)
		return rows_are_late(c, s);
	if (s->fed == FED_SLICE)
		return statement_go(c, j, STEP_decode_large);
	if (s->children_n && s->reader && !*s->reader && s->fed == FED_END)
		return child_poll(c, j, s);
	if (s->fed == FED_END || s->fed == FED_SKIP)
		partition_over(j, s);
	return read_on(c, j, s);
}

/* One that came well is a source's: here are only those that did not. */
enum verdict fetch_done(struct call *c, struct job *j, struct reading *r)
{
	return request_failed(c, j, r);
}
