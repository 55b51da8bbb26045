/* The SQL API: routes, checks in the service's order, faults, waiting. */
#include "api.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "control.h"
#include "engine.h"
#include "reply.h"
#include "token.h"

#define SYNC_WAIT       (45 * USEC_PER_S)
#define STATEMENTS_PATH "/api/v2/statements"

struct request {
	struct exchange *exchange;
	struct emulator *emulator;
	enum operation operation;
	char handle[37]; /* of the path */
	struct caller caller;
	struct fault_action fault;
	struct statement *statement; /* while waiting */
	struct statement_waiter waiter;
	struct timer sync;
};

static void count_answer(struct request *r)
{
	unsigned status = r->exchange->answer.status;

	if (status < ARRAY_LEN(r->emulator->control->statuses))
		r->emulator->control->statuses[status]++;
}

static void fault_body(struct request *r, unsigned status)
{
	struct exchange *e = r->exchange;
	const struct fault_action *f = &r->fault;
	static const struct {
		unsigned status;
		const char *code, *message;
	} usual[] = {
	    {401, "390104", "User must login again to access the service."},
	    {403, "390422", "Incoming request is not allowed to access Snowflake."},
	    {429, "390505", "Too many requests."},
	    {0, "000000", "Internal error."},
	};
	size_t i = 0;
	struct statement *s = statement_by_handle(r->emulator->registry, r->handle, r->caller.user);

	while (usual[i].status && usual[i].status != status)
		i++;
	if (f->body == FAULT_BODY_HTML)
		reply_text(e, status, "text/html", "<html><body><h1>The request was refused</h1></body></html>\n");
	else if (f->body == FAULT_BODY_EMPTY)
		reply_empty(e, status);
	else if (status == 429 && s)
		reply_status(e, s, status, f->code[0] ? f->code : usual[i].code, NULL,
			     f->message[0] ? f->message : usual[i].message);
	else
		reply_error(e, status, f->code[0] ? f->code : usual[i].code, NULL,
			    f->message[0] ? f->message : usual[i].message);
	e->answer.retry_after_s = f->retry_after_s;
}

static void fault_truncate(struct answer *a)
{
	char *packed;
	size_t n;

	if (!a->body)
		return;
	if (!a->gzip) {
		packed = text_gzip(a->body, a->n, &n);
		free(a->body);
		a->body = packed;
		a->n = n;
		a->gzip = true;
	}
	a->n /= 2;
}

/* Sends the answer that was prepared, spoiled as the fault wants it. */
static void finish(struct request *r)
{
	struct answer *a = &r->exchange->answer;
	const struct fault_action *f = &r->fault;

	if (f->hang)
		return;
	if (f->status && f->after)
		fault_body(r, (unsigned)f->status);
	if (f->not_json)
		reply_text(r->exchange, 200, "application/json", "<!DOCTYPE html><title>502</title>");
	if (f->truncate_gzip)
		fault_truncate(a);
	a->delay = f->delay;
	a->drip = f->drip;
	a->shape = f->reset_before || f->reset_after ? ANSWER_RESET
		   : f->huge_header                  ? ANSWER_HUGE_HEADER
		   : f->half_body                    ? ANSWER_HALF
		   : f->drip                         ? ANSWER_DRIP
		   : f->chunked                      ? ANSWER_CHUNKED
						     : ANSWER_WHOLE;
	count_answer(r);
	exchange_answer(r->exchange);
}

static void fail(struct request *r, unsigned status, const char *code, const char *sqlstate, const char *message)
{
	reply_error(r->exchange, status, code, sqlstate, message);
	finish(r);
}

/* Takes the fault for this request; true when it has already been answered (or never will be). */
static bool fault_strikes(struct request *r, const char *sql)
{
	struct fault_action *f = &r->fault;
	struct token_refusal refusal;

	faults_take(r->emulator->control->faults, r->operation, sql, f);
	if (f->token_expired) {
		token_expire(r->emulator->keyring, exchange_header(r->exchange, "Authorization"), &refusal);
		fail(r, 401, refusal.code, NULL, refusal.message);
		return true;
	}
	if (f->reset_before) {
		finish(r);
		return true;
	}
	if (f->hang && !f->after)
		return true;
	if (f->status && !f->after) {
		fault_body(r, (unsigned)f->status);
		finish(r);
		return true;
	}
	return false;
}

static bool accepts_json(const char *accept)
{
	return !accept || strstr(accept, "*/*") || strcasestr(accept, "application/json") ||
	       strstr(accept, "application/*");
}

static bool type_is_json(const char *type)
{
	size_t n = strlen("application/json");

	return type && !strncasecmp(type, "application/json", n) && (!type[n] || type[n] == ';' || type[n] == ' ');
}

/* What every request must bring. False when it has been refused. */
static bool gate(struct request *r)
{
	struct exchange *e = r->exchange;
	const char *agent = exchange_header(e, "User-Agent");
	struct token_refusal refusal;

	if (!agent || !*agent) {
		fail(r, 400, "390400", NULL, "The User-Agent header is required.");
		return false;
	}
	if (!token_check(r->emulator->keyring, exchange_header(e, "Authorization"),
			 exchange_header(e, "X-Snowflake-Authorization-Token-Type"), &r->caller, &refusal)) {
		fail(r, 401, refusal.code, NULL, refusal.message);
		return false;
	}
	if (!accepts_json(exchange_header(e, "Accept"))) {
		fail(r, 406, "390406", NULL, "Accept must allow application/json.");
		return false;
	}
	if (e->body_too_large) {
		fail(r, 413, "390142", NULL, "The request body is too large.");
		return false;
	}
	if (r->operation == OP_SUBMIT && !type_is_json(exchange_header(e, "Content-Type"))) {
		fail(r, 415, "390415", NULL, "Content-Type must be application/json.");
		return false;
	}
	return true;
}

static bool role_is_allowed(const struct caller *caller, const char *role)
{
	for (size_t i = 0; i < caller->roles_n; i++) {
		if (!strcmp(caller->roles[i], role))
			return true;
	}
	return !caller->roles_n;
}

static bool refuse_name(struct request *r, unsigned status, const char *code, const char *kind, const char *name,
			const char *why)
{
	char message[320];

	(void)snprintf(message, sizeof(message), "%s '%.200s' specified in the request %s.", kind, name, why);
	fail(r, status, code, "02000", message);
	return false;
}

/* Names in the request's context, as a login would check them. With --stub only a token's restriction counts. */
static bool context_holds(struct request *r, struct engine_context *c)
{
	struct engine *engine = r->emulator->engine;

	if (!c->role && r->caller.roles_n)
		c->role = r->caller.roles[0];
	if (c->role && !role_is_allowed(&r->caller, c->role))
		return refuse_name(r, 403, "390189", "Role", c->role, "is outside of the token's role restriction");
	if (!engine)
		return true;
	if (c->role && !engine_has_role(engine, c->user, c->role))
		return refuse_name(r, 422, "390189", "Role", c->role, "does not exist or is not granted to the user");
	if (c->database && !engine_has_database(engine, c->database))
		return refuse_name(r, 422, "391918", "Database", c->database, "does not exist or is not authorized");
	if (c->warehouse && !engine_has_warehouse(engine, c->warehouse))
		return refuse_name(r, 422, "391920", "Warehouse", c->warehouse, "does not exist or is not authorized");
	return true;
}

/* Output formats that the engine does not write are refused: cells in another form would be wrong answers. */
static bool formats_hold(struct request *r, const struct submission *u)
{
	static const char *const names[] = {
	    "DATE_OUTPUT_FORMAT",          "TIME_OUTPUT_FORMAT",          "TIMESTAMP_OUTPUT_FORMAT",
	    "TIMESTAMP_LTZ_OUTPUT_FORMAT", "TIMESTAMP_NTZ_OUTPUT_FORMAT", "TIMESTAMP_TZ_OUTPUT_FORMAT",
	    "BINARY_OUTPUT_FORMAT",
	};
	char message[96];

	for (size_t i = 0; r->emulator->engine && i < ARRAY_LEN(names); i++) {
		const char *value = json_string_value(submission_parameter(u, names[i]));

		if (!value || !*value || !strcasecmp(value, "AUTO") || !strcasecmp(value, "HEX"))
			continue;
		(void)snprintf(message, sizeof(message), "Unsupported feature '%s'.", names[i]);
		fail(r, 422, "000002", "0A000", message);
		return false;
	}
	return true;
}

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
	finish(r);
}

static void on_sync_over(struct timer *timer)
{
	struct request *r = container_of(timer, struct request, sync);

	stop_waiting(r);
	reply_running(r->exchange, r->statement);
	finish(r);
}

/* Answers a submit: at once for async, else when the statement ends or the sync window closes. */
static void answer_submit(struct request *r, struct statement *s, bool async, bool fresh)
{
	usec_t wait = r->fault.sync_wait ? r->fault.sync_wait : SYNC_WAIT;

	if (fresh)
		s->polls_202 = (unsigned)r->fault.polls_202;
	memcpy(r->handle, s->handle, sizeof(r->handle));
	if ((async && fresh) || s->polls_202 || (async && !statement_has_ended(s))) {
		reply_running(r->exchange, s);
		finish(r);
	} else if (statement_has_ended(s)) {
		reply_outcome(r->exchange, s);
		finish(r);
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
	if (fault_strikes(r, u->sql))
		return;
	if (u->retry)
		s = statement_by_request(r->emulator->registry, u->request_id, u->user);
	if (s) {
		s->attempts++;
		answer_submit(r, s, async, false);
	} else if (formats_hold(r, u) && context_holds(r, &u->context)) {
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
		fail(r, 400, "390142", NULL, message);
	}
	submission_free(&u);
}

static void refuse_handle(struct request *r)
{
	char message[96];

	(void)snprintf(message, sizeof(message), "Statement %.36s not found", r->handle);
	fail(r, 422, "000709", "02000", message);
}

/* The statement that the path names; NULL when the request is answered. */
static struct statement *statement_of(struct request *r)
{
	struct statement *s = statement_by_handle(r->emulator->registry, r->handle, r->caller.user);
	const char *request_id = exchange_query(r->exchange, "requestId");

	if (fault_strikes(r, s ? statement_text(s) : NULL))
		return NULL;
	if (request_id && !text_is_uuid(request_id)) {
		fail(r, 400, "390142", NULL, "requestId is not a UUID.");
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
		fail(r, 400, "390142", NULL, "partition is not a number.");
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
	finish(r);
}

static void serve_cancel(struct request *r)
{
	struct statement *s = statement_of(r);

	if (!s)
		return;
	if (!statement_has_ended(s))
		statement_cancel(s);
	if (s->state == STATEMENT_CANCELLED)
		reply_status(r->exchange, s, 200, "000604", "57014", "SQL execution canceled");
	else
		reply_status(r->exchange, s, 422, "000605", "57014",
			     "Identified SQL statement is not currently executing.");
	s->polls_202 = 0;
	finish(r);
}

/* The operation that method and path name. *method is what the path wants; NULL when there is no such path. */
static enum operation route(struct request *r, const char **method)
{
	const char *rest = r->exchange->path;
	size_t n;

	*method = NULL;
	if (strncmp(rest, STATEMENTS_PATH, strlen(STATEMENTS_PATH)))
		return OP_OTHER;
	rest += strlen(STATEMENTS_PATH);
	if (!*rest) {
		*method = "POST";
		return OP_SUBMIT;
	}
	n = *rest == '/' ? strcspn(rest + 1, "/") : 0;
	if (!n || n >= sizeof(r->handle))
		return OP_OTHER;
	memcpy(r->handle, rest + 1, n);
	rest += 1 + n;
	if (!strcmp(rest, "/cancel")) {
		*method = "POST";
		return OP_CANCEL;
	}
	if (*rest)
		return OP_OTHER;
	*method = "GET";
	rest = exchange_query(r->exchange, "partition");
	return rest && strcmp(rest, "0") ? OP_FETCH : OP_POLL;
}

static void serve_sql_api(struct request *r)
{
	struct exchange *e = r->exchange;
	const char *method;

	r->operation = route(r, &method);
	r->emulator->control->operations[r->operation]++;
	if (!method || strcmp(method, e->method)) {
		reply_empty(e, method ? 405 : 404);
		e->answer.allow = method;
		finish(r);
		return;
	}
	if (!gate(r))
		return;
	if (r->operation == OP_SUBMIT)
		serve_submit(r);
	else if (r->operation == OP_CANCEL)
		serve_cancel(r);
	else
		serve_status(r);
}

void api_serve(void *context, struct exchange *e)
{
	struct emulator *emulator = context;
	struct request *r;

	if (emulator->control_enabled && !strncmp(e->path, "/control/", 9)) {
		emulator->control->operations[OP_CONTROL]++;
		control_serve(emulator, e);
		return;
	}
	emulator->control->requests++;
	r = xalloc(sizeof(*r));
	e->state = r;
	r->exchange = e;
	r->emulator = emulator;
	serve_sql_api(r);
}

void api_leave(void *context, struct exchange *e)
{
	struct request *r = e->state;

	(void)context;
	if (!r)
		return;
	stop_waiting(r);
	free(r);
}
