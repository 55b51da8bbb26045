/* Tickets: NET's record of every call on its way, found by handle, by exchange, by session and request id. */
#include "gateway_internal.h"

#include <string.h>

#include "snowgate/kill.h"

static struct ticket **bucket(handle_t exchange)
{
	return &gateway.by_exchange[(exchange ^ exchange >> 32) % ARRAY_LEN(gateway.by_exchange)];
}

void ticket_take_exchange(struct ticket *t, handle_t exchange)
{
	struct ticket **at = bucket(exchange);

	assert(!t->exchange);
	t->exchange = exchange;
	t->by_exchange = *at;
	*at = t;
}

struct ticket *ticket_open(struct call *c, handle_t exchange)
{
	struct ticket *t = xalloc(sizeof *t);

	OWNED_BY(THREAD_NET);
	t->self = handle_add(gateway.tickets, t);
	if (!t->self) {
		free(t);
		return NULL;
	}
	t->tell.log_level = -1;
	if (exchange)
		ticket_take_exchange(t, exchange);
	c->ticket = t->self;
	return t;
}

/* From now on nobody finds the ticket by it. */
void ticket_leave_exchange(struct ticket *t)
{
	struct ticket **at = bucket(t->exchange);

	if (!t->exchange)
		return;
	while (*at != t)
		at = &(*at)->by_exchange;
	*at = t->by_exchange;
	t->exchange = 0;
}

struct slice ticket_request_id(const struct ticket *t)
{
	return t->get ? (struct slice){t->get->id, t->get->id_n} : slice_of(t->request_id);
}

bool ticket_answered(const struct ticket *t)
{
	return !t->exchange && !t->stream && !t->batch && !t->task.told;
}

void ticket_answer(struct ticket *t, struct answer *a)
{
	handle_t exchange = t->exchange;

	OWNED_BY(THREAD_NET);
	KILL_POINT(answer_before);
	if (t->batch) {
		batch_answer(TAKE(t->batch), t->request_id, a);
	} else if (t->stream) {
		ticket_finish(t, a);
	} else if (t->task.told) {
		task_end(t, a);
		answer_free(a);
	} else if (t->exports) {
		export_close(t, false); /* it has begun as something else */
		answer_free(a);
	} else if (exchange) {
		ticket_leave_exchange(t);
		answer_send(exchange, a);
	} else {
		answer_free(a);
	}
	KILL_POINT(answer_after);
}

static void ticket_leave_session(struct ticket *t)
{
	if (!t->session)
		return;
	*(t->session_prev ? &t->session_prev->session_next : &t->session->tickets) = t->session_next;
	if (t->session_next)
		t->session_next->session_prev = t->session_prev;
	session_call_closed(gateway.sessions, t->session);
}

void ticket_close(struct ticket *t)
{
	OWNED_BY(THREAD_NET);
	assert(!t->slot && !t->waiting && !t->asking && !t->emitting && !t->stream && !t->batch && !t->exports);
	ticket_leave_exchange(t);
	task_forget(t);
	tell_end(t);
	ticket_leave_session(t);
	if (t->account)
		t->account->calls--;
	handle_drop(gateway.tickets, t->self);
	free(t->request_id);
	free(t->tell.token);
	free(t->get);
	free(t);
}

struct ticket *ticket_of(const struct call *c)
{
	struct ticket *t = handle_get(gateway.tickets, c->ticket);

	assert(t);
	return t;
}

struct ticket *ticket_by_exchange(handle_t exchange)
{
	struct ticket *t = *bucket(exchange);

	while (t && t->exchange != exchange)
		t = t->by_exchange;
	return t;
}

void ticket_bind_account(struct ticket *t, struct account *a)
{
	t->account = a;
	if (a)
		a->calls++;
}

void ticket_bind_session(struct ticket *t, struct session *s)
{
	assert(!t->session);
	t->session = s;
	t->session_next = s->tickets;
	if (t->session_next)
		t->session_next->session_prev = t;
	s->tickets = t;
	session_call_opened(s);
}

/* A call that waits on this thread comes home at once. */
static void cancel_waiting(struct ticket *t, struct call *c)
{
	timer_stop(&c->timer);
	if (t->waiting)
		queue_leave(&gateway.queue, t->account, c);
	if (t->asking)
		metric_count(METRIC_asks, "left");
	t->waiting = NULL;
	ask_leave(t);
	c->cancelled = true;
	c->step = STEP_settle;
	call_run(c);
}

void ticket_cancel(struct ticket *t, const char *cause)
{
	struct call *c = t->waiting ? t->waiting : t->asking;

	OWNED_BY(THREAD_NET);
	if (t->cancelled)
		return;
	t->cancelled = true;
	metric_count(METRIC_cancels, cause);
	if (c) {
		cancel_waiting(t, c);
		return;
	}
	snowflake_cancel(t->self);
	export_go_on(t);
}

/* A cancelled legacy call gets no response; its exchange ends all the same. */
static void ticket_dismiss(struct ticket *t)
{
	struct answer none;

	if (ticket_answered(t) || t->task.told) /* a task's end comes with its call */
		return;
	answer_init(&none, 202, NULL);
	ticket_answer(t, &none);
}

/* Legacy: a dropped connection is no cancel; the call goes on and its answer finds nobody. Nor is it one while the
 * gateway stops, but for a client that can be on no other connection. */
void ticket_left(struct ticket *t)
{
	if (gateway.phase != PHASE_SERVING && !t->lone && !t->exports)
		return;
	if (t->modern || t->watching || t->lone)
		ticket_cancel(t, "disconnect");
}

/* Cancelling may end tickets, so the list is made first. */
static size_t tickets_found(const struct session *s, struct slice request_id, handle_t asking, handle_t *v)
{
	size_t n = 0;

	for (const struct ticket *t = s->tickets; t; t = t->session_next)
		if (t->self != asking && (!request_id.data || (t->request_id && slice_is(request_id, t->request_id))))
			v[n++] = t->self;
	return n;
}

bool tickets_cancel(const struct session *s, struct slice request_id, handle_t asking, const char *cause)
{
	handle_t *v = xalloc((s->open_calls + 1) * sizeof *v);
	size_t n = tickets_found(s, request_id, asking, v);

	for (size_t i = 0; i < n; i++) {
		struct ticket *t = handle_get(gateway.tickets, v[i]);

		if (t)
			ticket_cancel(t, cause);
		if (handle_get(gateway.tickets, v[i])) /* its statement takes a while to end; nobody waits for it */
			ticket_dismiss(t);
	}
	free(v);
	return n > 0;
}

struct taken {
	const char *operation;
	int64_t version;
	handle_t found;
};

static void is_taken(handle_t h, void *object, void *ctx)
{
	const struct ticket *t = object;
	struct taken *taken = ctx;

	if (strcmp(t->operation, taken->operation) == 0 && t->version && (int64_t)t->version < taken->version)
		taken->found = h;
}

/* Its statement is not cancelled: it is the other's now. What has not been sent yet is not sent from here. */
void tickets_taken(const char *operation, int64_t version)
{
	struct taken taken = {.operation = operation, .version = version};
	struct ticket *t;
	struct call *c;

	OWNED_BY(THREAD_NET);
	handle_each(gateway.tickets, is_taken, &taken);
	t = taken.found ? handle_get(gateway.tickets, taken.found) : NULL;
	if (!t)
		return;
	metric_count(METRIC_operations, "lost");
	log_event(LOG_INFO, "operation_taken", log_text("operation", operation));
	t->taken = true;
	*t->operation = '\0';
	t->version = 0;
	t->tell.may_stream = false;
	if (t->stream)
		stream_taken(t);
	task_forget(t);
	t->takes_task = false;
	c = t->waiting ? t->waiting : t->asking;
	if (c)
		cancel_waiting(t, c);
}

static void ticket_count_unanswered(handle_t h, void *object, void *ctx)
{
	(void)h;
	*(size_t *)ctx += !ticket_answered(object);
}

size_t tickets_unanswered(void)
{
	size_t n = 0;

	handle_each(gateway.tickets, ticket_count_unanswered, &n);
	return n;
}

static void ticket_count_awaited(handle_t h, void *object, void *ctx)
{
	const struct ticket *t = object;

	(void)h;
	*(size_t *)ctx += t->cancelled || !ticket_answered(t);
}

size_t tickets_awaited(void)
{
	size_t n = 0;

	handle_each(gateway.tickets, ticket_count_awaited, &n);
	return n;
}
