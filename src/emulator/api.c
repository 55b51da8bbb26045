/* The SQL API: routes, statements, waiting; the token endpoint and Cortex beside it. */
#include "api_parts.h"

#include <stdio.h>
#include <string.h>
#include "engine.h"
#include "oauth.h"
#include "reply.h"
#include "snowgate/crypt.h"

#define SYNC_WAIT (45 * USEC_PER_S)

static void stop_waiting(struct request *r)
{
	statement_unwait(&r->waiter);
	timer_stop(&r->sync);
}

static void on_ended(struct statement_waiter *waiter)
{
	struct request *r = container_of(waiter, struct request, waiter);

	stop_waiting(r);
	reply_outcome(r->exchange, r->statement);
	request_finish(r);
}

static void on_sync_over(struct timer *timer)
{
	struct request *r = container_of(timer, struct request, sync);

	stop_waiting(r);
	reply_running(r->exchange, r->statement);
	request_finish(r);
}

/* Answers a submit: at once for async, else when the statement ends or the sync window closes. */
static void answer_submit(struct request *r, struct statement *s, bool async, bool fresh)
{
	usec_t wait = r->fault.sync_wait ? r->fault.sync_wait : SYNC_WAIT;

	if (fresh)
		s->polls_202 = (unsigned)r->fault.polls_202;
	memcpy(r->handle, s->handle, sizeof(r->handle));
	if (r->fault.reset_during) {
		request_finish(r);
	} else if ((async && fresh) || s->polls_202 || (async && !statement_has_ended(s))) {
		reply_running(r->exchange, s);
		request_finish(r);
	} else if (statement_has_ended(s)) {
		reply_outcome(r->exchange, s);
		request_finish(r);
	} else {
		r->statement = s;
		r->waiter.ended = on_ended;
		statement_wait(s, &r->waiter);
		r->sync.fire = on_sync_over;
		timer_set(r->emulator->wheel, &r->sync, clock_now() + wait);
	}
}

static void submit(struct request *r, struct submission *u)
{
	struct statement *s = NULL;
	bool async = u->async;

	u->user = xstrdup(r->caller.user);
	u->context.user = u->user;
	u->user_agent = xstrdup(exchange_header(r->exchange, "User-Agent"));
	if (request_fault(r, u->sql))
		return;
	if (u->retry)
		s = statement_by_request(r->emulator->registry, u->request_id, u->user);
	if (s) {
		statement_arrives(s);
		answer_submit(r, s, async, false);
	} else if (formats_hold(r, u) && context_holds(r, &u->context)) {
		submission_own(u);
		s = statement_start(r->emulator->registry, u, r->fault.hold);
		answer_submit(r, s, async, true);
	}
}

static void serve_submit(struct request *r)
{
	struct exchange *e = r->exchange;
	const struct request_query query = {
	    .request_id = exchange_query(e, "requestId"),
	    .async = exchange_query(e, "async"),
	    .nullable = exchange_query(e, "nullable"),
	    .retry = exchange_query(e, "retry"),
	};
	struct submission u;
	char why[160], message[256];

	if (submission_read(buf_slice(&e->body), &query, &u, why, sizeof(why))) {
		submit(r, &u);
	} else {
		(void)snprintf(message, sizeof(message), "Incoming request does not contain a valid payload: %s.", why);
		request_fail(r, 400, "390142", NULL, message);
	}
	submission_free(&u);
}

static void refuse_handle(struct request *r)
{
	char message[96];

	(void)snprintf(message, sizeof(message), "Statement %.36s not found", r->handle);
	request_fail(r, 422, "000709", "02000", message);
}

/* The statement that the path names; NULL when the request is answered. */
static struct statement *statement_of(struct request *r)
{
	struct statement *s = statement_by_handle(r->emulator->registry, r->handle, r->caller.user);
	const char *request_id = exchange_query(r->exchange, "requestId");

	if (request_fault(r, s ? statement_text(s) : NULL))
		return NULL;
	if (request_id && !text_is_uuid(request_id)) {
		request_fail(r, 400, "390142", NULL, "requestId is not a UUID.");
		return NULL;
	}
	if (!s)
		refuse_handle(r);
	return s;
}

static void serve_status(struct request *r)
{
	const char *partition = exchange_query(r->exchange, "partition");
	struct statement *s;
	int64_t n = 0;

	if (partition && !parse_int(partition, 0, INT32_MAX, &n)) {
		request_fail(r, 400, "390142", NULL, "partition is not a number.");
		return;
	}
	s = statement_of(r);
	if (!s)
		return;
	s->polls_202 += (unsigned)r->fault.polls_202;
	if (s->polls_202 || !statement_has_ended(s)) {
		s->polls_202 -= s->polls_202 > 0;
		reply_running(r->exchange, s);
	} else if (s->state != STATEMENT_SUCCEEDED) {
		reply_outcome(r->exchange, s);
	} else if ((size_t)n < s->outcome.result->partitions_n) {
		reply_partition(r->exchange, s, (size_t)n);
	} else {
		reply_status(r->exchange, s, 400, "390142", NULL, "The partition is out of range.");
	}
	request_finish(r);
}

static void serve_cancel(struct request *r)
{
	struct statement *s = statement_of(r);

	if (!s)
		return;
	if (!s->cancel_ms)
		s->cancel_ms = clock_wall_usec() / 1000;
	if (!statement_has_ended(s))
		statement_cancel(s);
	if (s->state == STATEMENT_CANCELLED)
		reply_cancel(r->exchange, s, 200, "000604", "57014", "SQL execution canceled");
	else
		reply_cancel(r->exchange, s, 422, "000605", "57014",
			     "Identified SQL statement is not currently executing.");
	s->polls_202 = 0;
	request_finish(r);
}

/* The operation that method and path name. *method is what the path wants; NULL when there is no such path. */
static enum operation route(const struct exchange *e, char handle[37], const char **method)
{
	const char *rest = e->path;
	enum operation cortex = cortex_route(rest);
	size_t n;

	*method = cortex != OP_OTHER || !strcmp(rest, OAUTH_PATH) ? "POST" : NULL;
	if (*method)
		return cortex != OP_OTHER ? cortex : OP_OAUTH;
	if (strncmp(rest, STATEMENTS_PATH, strlen(STATEMENTS_PATH)))
		return OP_OTHER;
	rest += strlen(STATEMENTS_PATH);
	if (!*rest) {
		*method = "POST";
		return OP_SUBMIT;
	}
	n = *rest == '/' ? strcspn(rest + 1, "/") : 0;
	if (!n || n >= 37)
		return OP_OTHER;
	memcpy(handle, rest + 1, n);
	handle[n] = 0;
	rest += 1 + n;
	if (!strcmp(rest, "/cancel")) {
		*method = "POST";
		return OP_CANCEL;
	}
	if (*rest)
		return OP_OTHER;
	*method = "GET";
	rest = exchange_query(e, "partition");
	return rest && strcmp(rest, "0") ? OP_FETCH : OP_POLL;
}

static void serve_cortex(struct request *r)
{
	struct exchange *e = r->exchange;
	const char *role = exchange_header(e, "X-Snowflake-Role"),
		   *warehouse = exchange_header(e, "X-Snowflake-Warehouse");
	struct engine *engine = r->emulator->engine;

	if (request_fault(r, NULL))
		return;
	context_complete(r, &role, &warehouse);
	if (role && !role_holds(r, role))
		return;
	if (warehouse && engine && !engine_has_warehouse(engine, warehouse)) {
		(void)refuse_name(r, 422, "391920", "Warehouse", warehouse, "does not exist or is not authorized");
		return;
	}
	r->run = cortex_serve(r->emulator->cortex, e, r->operation, &r->caller, role, warehouse, r->request_id);
	request_finish(r);
}

/* During an outage everything gets its status. */
static bool outage_answers(struct request *r)
{
	struct control *control = r->emulator->control;

	if (!control_has_outage(control))
		return false;
	r->fault.retry_after_s = control->outage.retry_after_s;
	request_fault_body(r, control->outage.status);
	request_finish(r);
	return true;
}

static void serve_operation(struct request *r)
{
	if (r->operation == OP_OAUTH) {
		if (request_fault(r, NULL))
			return;
		oauth_serve(r->emulator->oauth, r->exchange);
		request_finish(r);
	} else if (!request_passes(r)) {
		return;
	} else if (request_is_cortex(r)) {
		serve_cortex(r);
	} else if (r->operation == OP_SUBMIT) {
		serve_submit(r);
	} else if (r->operation == OP_CANCEL) {
		serve_cancel(r);
	} else {
		serve_status(r);
	}
}

static void serve(struct request *r)
{
	struct exchange *e = r->exchange;
	const char *method;

	r->operation = route(e, r->handle, &method);
	r->emulator->control->operations[r->operation]++;
	if (outage_answers(r))
		return;
	if (!method || strcmp(method, e->method)) {
		reply_empty(e, method ? 405 : 404);
		e->answer.allow = method;
		request_finish(r);
		return;
	}
	serve_operation(r);
}

static bool is_control(const struct emulator *emulator, const struct exchange *e)
{
	return emulator->control_enabled && !strncmp(e->path, "/control/", 9);
}

void api_opened(void *context, struct exchange *e)
{
	struct emulator *emulator = context;
	struct control *control = emulator->control;
	bool outage = control_has_outage(control);
	const char *method;
	enum operation op;
	char handle[37];

	if (is_control(emulator, e))
		return;
	op = route(e, handle, &method);
	arrivals_add(control->arrivals, op == OP_SUBMIT, outage);
	control->outage_requests += outage;
	if (outage)
		e->reset_now = !control->outage.status;
	else
		e->reset_in_request = faults_take_early(control->faults, op);
}

void api_serve(void *context, struct exchange *e)
{
	struct emulator *emulator = context;
	struct request *r;

	if (is_control(emulator, e)) {
		emulator->control->operations[OP_CONTROL]++;
		control_serve(emulator, e);
		return;
	}
	emulator->control->requests++;
	r = xalloc(sizeof(*r));
	e->state = r;
	r->exchange = e;
	r->emulator = emulator;
	crypt_uuid(r->request_id);
	serve(r);
}

void api_leave(void *context, struct exchange *e)
{
	struct emulator *emulator = context;
	struct request *r = e->state;

	if (!r)
		return;
	stop_waiting(r);
	emulator->control->bytes[r->operation] += e->put;
	if (r->run)
		cortex_left(emulator->cortex, r->run, e);
	free(r);
}
