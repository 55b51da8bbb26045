/* What an answer of Snowflake means (snowflake-rest.md A.5, A.6), and the sentence that says what to do about it. */
#include "internal.h"

#include <ctype.h>
#include <string.h>

static void fail(struct reading *r, enum meaning meaning, enum err err)
{
	r->meaning = meaning;
	r->err = err;
}

static void say(struct job *j, struct reading *r, const char *format, ...) PRINTF_LIKE(3, 4);
static void say(struct job *j, struct reading *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	r->message = arena_vprintf(j->call->arena, format, args);
	va_end(args);
	if (!r->message)
		r->message = err_info(r->err)->text;
}

/* " (390144: JWT token is invalid)" or "". */
static const char *said(struct job *j, const struct reading *r)
{
	const char *text = NULL;

	if (r->code || r->message)
		text = arena_printf(j->call->arena, " (%s%s%.500s)", r->code ? r->code : "",
				    r->code && r->message ? ": " : "", r->message ? r->message : "");
	return text ? text : "";
}

static const char *copy_text(struct job *j, const json_t *root, const char *key)
{
	const char *text = json_text_of(root, key);

	return text && text[0] ? arena_strdup(j->call->arena, text) : NULL;
}

/* The errors of other endpoints (D.1) name the request, which is what Snowflake's support asks for. */
static void read_rest_body(struct job *j, struct reading *r, const json_t *root)
{
	const char *id = json_text_of(root, "request_id"), *text;

	if (!r->code)
		r->code = copy_text(j, root, "error_code");
	if (!r->message || !id || !*id)
		return;
	text = arena_printf(j->call->arena, "%s (request %.64s)", r->message, id);
	r->message = text ? text : r->message;
}

/* code, sqlState, message, statementHandle: each may be missing, and so may the body. */
static void read_status_body(struct job *j, struct reading *r)
{
	const struct buf *body = &j->request.answer;
	json_t *root = NULL;

	if (!body->n || body->n > STATUS_BODY || json_parse_trusted(buf_slice(body), &root) != JSON_OK)
		return;
	r->code = copy_text(j, root, "code");
	if (r->code && !strcmp(r->code, "000000")) /* says nothing */
		r->code = NULL;
	r->sqlstate = copy_text(j, root, "sqlState");
	r->message = copy_text(j, root, "message");
	(void)handle_copy(r->handle, json_text_of(root, "statementHandle"));
	if (j->request.op == WIRE_REST)
		read_rest_body(j, r, root);
	json_decref(root);
}

static bool is(const struct reading *r, const char *code)
{
	return r->code && !strcmp(r->code, code);
}

/* Codes that are about the token, with whatever status they come. */
static bool is_about_token(const struct reading *r)
{
	static const char *const codes[] = {"390104", "390144", "390303", "390318", "394300", "394301",
					    "394302", "394303", "394304", "394305", "394306", "394400"};

	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (is(r, codes[i]))
			return true;
	return false;
}

static void read_auth(struct job *j, struct reading *r)
{
	const struct connection *connection = j->request.connection;

	fail(r, MEANS_AUTH, ERR_UPSTREAM_AUTH);
	say(j, r, "Snowflake refused the credentials of connection %s%s; check snowflake.connections.%s: %s",
	    connection->name, said(j, r), connection->name, authenticator_of(connection->auth)->check);
}

static void read_forbidden(struct job *j, struct reading *r)
{
	const char *name = j->request.connection->name;

	fail(r, MEANS_FAILED, ERR_UPSTREAM_AUTH);
	say(j, r,
	    "Snowflake does not let connection %s in (HTTP 403%s); check that the account's network policy allows this "
	    "machine's address and that the role is granted to the user",
	    name, said(j, r));
}

static void read_unprocessable(struct job *j, struct reading *r)
{
	if (is(r, "000604")) {
		fail(r, MEANS_CANCELLED, ERR_CANCELLED);
	} else if (is(r, "000709")) {
		fail(r, MEANS_FAILED, ERR_HANDLE);
		say(j, r,
		    "Snowflake does not know this statement (any longer); results are kept for 24 hours: run the "
		    "query again");
	} else if (is(r, "000630")) {
		fail(r, MEANS_FAILED, ERR_TIMEOUT);
	} else if (r->code || r->message) {
		fail(r, MEANS_FAILED, ERR_SQL);
	} else {
		fail(r, MEANS_FAILED, ERR_UPSTREAM_ANSWER);
		say(j, r, "%s answered HTTP 422 without a reason; check snowflake.connections.%s.host",
		    j->request.connection->host, j->request.connection->name);
	}
}

static void read_busy(struct job *j, struct reading *r)
{
	fail(r, MEANS_BUSY, ERR_UPSTREAM_BUSY);
	say(j, r,
	    "Snowflake refuses further requests for now (HTTP 429%s); try again in a minute, or lower "
	    "snowflake.max_in_flight",
	    said(j, r));
}

static void read_server_error(struct job *j, struct reading *r)
{
	const struct connection *connection = j->request.connection;

	fail(r, MEANS_TRANSIENT, ERR_UPSTREAM);
	r->perhaps = true;
	if (j->request.status == 522) {
		r->meaning = MEANS_FAILED;
		say(j, r,
		    "the host name %s does not fit the account's certificate (HTTP 522); write it with hyphens in "
		    "snowflake.connections.%s.host",
		    connection->host, connection->name);
		return;
	}
	say(j, r, "Snowflake has a problem of its own (HTTP %d%s); try again later", j->request.status, said(j, r));
}

static void read_refusal(struct job *j, struct reading *r)
{
	const struct connection *connection = j->request.connection;

	if (j->request.status == 404 && j->request.op != WIRE_SUBMIT) {
		fail(r, MEANS_FAILED, ERR_HANDLE);
		say(j, r, "Snowflake does not know this statement (HTTP 404); run the query again");
		return;
	}
	fail(r, MEANS_FAILED, ERR_UPSTREAM);
	say(j, r, "%s refused the request (HTTP %d%s); check snowflake.connections.%s.host and account",
	    connection->host, j->request.status, said(j, r), connection->name);
}

/* The first and the last character tell rubbish, half a body and a proxy's HTML from JSON; decode looks closer. */
static void read_result(struct job *j, struct reading *r)
{
	const struct connection *connection = j->request.connection;
	const struct buf *b = &j->request.answer;
	size_t first = 0, last = b->n;

	while (first < last && isspace((unsigned char)b->data[first]))
		first++;
	while (last > first && isspace((unsigned char)b->data[last - 1]))
		last--;
	r->meaning = MEANS_RESULT;
	if (j->request.gzip || (j->request.op == WIRE_REST && j->request.more)) /* nothing of it can be seen yet */
		return;
	if (last - first >= 2 && ((b->data[first] == '{' && b->data[last - 1] == '}') ||
				  (b->data[first] == '[' && b->data[last - 1] == ']')))
		return;
	fail(r, MEANS_TRANSIENT, ERR_UPSTREAM_ANSWER);
	r->perhaps = true;
	say(j, r,
	    "what %s answered is not JSON; check that snowflake.connections.%s.host is a Snowflake account and that "
	    "no proxy answers in its place",
	    connection->host, connection->name);
}

/* A 429 with a handle says that the statement runs (A.5 b), to who asks that; a fetch or a cancel is told to wait. */
static bool is_about_its_state(const struct job *j)
{
	return j->request.op == WIRE_SUBMIT || j->request.op == WIRE_POLL;
}

/* Rows are asked for of statements that have ended. */
static void read_unready(struct job *j, struct reading *r)
{
	fail(r, MEANS_TRANSIENT, ERR_UPSTREAM_ANSWER);
	say(j, r, "Snowflake answered HTTP 202 where it was asked for rows of a statement that has ended%s; try again",
	    said(j, r));
}

/* Other endpoints: what they refuse, they refuse of the question or to its role (snowflake-rest.md D.1). */
static bool read_rest_refusal(struct job *j, struct reading *r)
{
	int status = j->request.status;

	if (j->request.op != WIRE_REST || !(status == 400 || status == 404 || (status == 403 && r->message)))
		return false;
	fail(r, MEANS_FAILED, ERR_SQL);
	if (!r->message)
		say(j, r, "Snowflake does not know it, or this role may not use it (HTTP %d)", status);
	return true;
}

static void read_status(struct job *j, struct reading *r)
{
	int status = j->request.status;

	if (status != 200 || j->request.op == WIRE_CANCEL)
		read_status_body(j, r);
	if (status == 200) {
		read_result(j, r);
		return;
	}
	if (status == 202 && j->request.op == WIRE_FETCH)
		read_unready(j, r);
	else if (status == 202 || (status == 429 && r->handle[0] && is_about_its_state(j)))
		r->meaning = MEANS_RUNNING;
	else if (status == 401 || (status >= 400 && status < 500 && is_about_token(r)))
		read_auth(j, r);
	else if (read_rest_refusal(j, r))
		return;
	else if (status == 403)
		read_forbidden(j, r);
	else if (status == 408)
		fail(r, is(r, "000604") ? MEANS_CANCELLED : MEANS_FAILED,
		     is(r, "000604") ? ERR_CANCELLED : ERR_TIMEOUT);
	else if (status == 422)
		read_unprocessable(j, r);
	else if (status == 429)
		read_busy(j, r);
	else if (status >= 500)
		read_server_error(j, r);
	else
		read_refusal(j, r);
}

static void read_broken(struct job *j, struct reading *r)
{
	const struct connection *connection = j->request.connection;

	r->perhaps = true;
	if (j->request.status) {
		fail(r, MEANS_TRANSIENT, ERR_UPSTREAM_ANSWER);
		say(j, r, "%s sent half an answer (%s); try again, and check the proxies in between", connection->host,
		    j->request.error);
		return;
	}
	fail(r, MEANS_TRANSIENT, ERR_UPSTREAM);
	say(j, r, "the connection to %s broke (%s); try again, and check the network", connection->host,
	    j->request.error);
}

static void read_unanswered(struct job *j, struct reading *r)
{
	const struct wire_request *rq = &j->request;
	const char *host = rq->connection->host, *name = rq->connection->name;

	fail(r, MEANS_TRANSIENT, ERR_UPSTREAM);
	switch (rq->result) {
	case WIRE_ANSWERED:
		break;
	case WIRE_REFUSED:
		say(j, r, "cannot connect to %s: %s; check snowflake.connections.%s.host or the network", host,
		    rq->error, name);
		break;
	case WIRE_TIMEOUT:
		r->perhaps = true;
		say(j, r, "%s did not answer within %lld s; try again, or raise snowflake.request_timeout", host,
		    (long long)(rq->timeout / USEC_PER_S));
		break;
	case WIRE_BROKEN:
		read_broken(j, r);
		break;
	case WIRE_TLS:
		r->meaning = MEANS_FAILED;
		say(j, r, "the certificate of %s is not trusted: %s; check snowflake.connections.%s.host and ca_file",
		    host, rq->error, name);
		break;
	case WIRE_TOO_LARGE:
		fail(r, MEANS_FAILED, ERR_NOMEM);
		r->perhaps = true;
		say(j, r, "the result is larger than the gateway can hold at the moment (%zu MiB for one answer); %s",
		    (rq->op == WIRE_REST ? REST_CEILING : RESULT_CEILING) >> 20,
		    rq->op == WIRE_REST ? "ask for less at once" : "select fewer columns or rows");
		break;
	}
}

static void count_failure(const struct job *j, const struct reading *r)
{
	int status = j->request.status;
	const char *kind = NULL;

	if (j->request.result == WIRE_TIMEOUT)
		kind = "timeout";
	else if (r->err == ERR_UPSTREAM_ANSWER || j->request.result == WIRE_TOO_LARGE)
		kind = "body";
	else if (j->request.result != WIRE_ANSWERED)
		kind = "network";
	else if (status == 401 || r->meaning == MEANS_AUTH)
		kind = "401";
	else if (r->meaning == MEANS_BUSY)
		kind = "429";
	else if (status >= 500)
		kind = "5xx";
	else if (status >= 400 && status != 422 && status != 408 && status != 429)
		kind = "4xx";
	if (kind)
		metric_count(METRIC_upstream_failures, kind);
}

void answer_read(struct job *j, struct reading *r)
{
	*r = (struct reading){.meaning = MEANS_RESULT, .err = ERR_OK};
	if (j->request.result == WIRE_ANSWERED)
		read_status(j, r);
	else
		read_unanswered(j, r);
	if (r->err && !r->message)
		r->message = err_info(r->err)->text;
	count_failure(j, r);
}
