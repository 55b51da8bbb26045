/* How an answer leaves: scripted faults, error forms, headers that every answer has. */
#include "api_parts.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include "record.h"
#include "reply.h"

static void count_answer(struct request *r)
{
	unsigned status = r->exchange->answer.status;

	if (status < ARRAY_LEN(r->emulator->control->statuses))
		r->emulator->control->statuses[status]++;
}

bool request_is_cortex(const struct request *r)
{
	return r->operation == OP_SEARCH || r->operation == OP_ANALYST || r->operation == OP_AGENT;
}

/* An error in the form of this operation. */
static void reply_refusal(struct request *r, unsigned status, const char *code, const char *sqlstate,
			  const char *message)
{
	char handle[37];

	if (request_is_cortex(r)) {
		cortex_error(r->exchange, status, code, message, r->request_id);
	} else if (status == 422) {
		registry_handle(r->emulator->registry, handle);
		reply_failure(r->exchange, code, sqlstate, message, r->handle[0] ? r->handle : handle);
	} else {
		reply_error(r->exchange, status, code, sqlstate, message);
	}
}

/* RFC 9110's date, `ahead_s` from now. */
static void http_date(int64_t at, char out[64])
{
	time_t t = (time_t)at;
	struct tm tm;

	(void)strftime(out, 64, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&t, &tm));
}

static void retry_after_headers(struct request *r)
{
	struct answer *a = &r->exchange->answer;
	char text[64];

	if (r->fault.retry_after_s > 0) {
		(void)snprintf(text, sizeof(text), "%lld", (long long)r->fault.retry_after_s);
		answer_header(a, "Retry-After", text);
	} else if (r->fault.retry_after_date_s > 0) {
		http_date(keyring_clock(r->emulator->keyring) + r->fault.retry_after_date_s, text);
		answer_header(a, "Retry-After", text);
	}
}

void request_fault_body(struct request *r, unsigned status)
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
		reply_refusal(r, status, f->code[0] ? f->code : usual[i].code, NULL,
			      f->message[0] ? f->message : usual[i].message);
}

static void fault_truncate(struct answer *a)
{
	char *packed;
	size_t n;

	answer_flatten(a);
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

static enum answer_shape shape_of(const struct request *r)
{
	const struct fault_action *f = &r->fault;
	const struct {
		bool wanted;
		enum answer_shape shape;
	} shapes[] = {
	    {f->reset_before || f->reset_during || f->reset_after, ANSWER_RESET},
	    {f->huge_header, ANSWER_HUGE_HEADER},
	    {f->half_body, ANSWER_HALF},
	    {f->reset_in_answer, ANSWER_HALF_RESET},
	    {f->length_long, ANSWER_LONG},
	    {f->length_short, ANSWER_SHORT},
	    {f->drip > 0, ANSWER_DRIP},
	    {f->chunked, ANSWER_CHUNKED},
	};

	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		if (shapes[i].wanted)
			return shapes[i].shape;
	}
	return r->exchange->answer.shape; /* whole, or a stream */
}

static void common_headers(struct request *r)
{
	struct answer *a = &r->exchange->answer;
	char text[64];

	if (!strncmp(r->exchange->path, "/api/v2/", 8))
		answer_header(a, "X-Snowflake-Request-ID", r->request_id);
	if (keyring_clock_ahead(r->emulator->keyring)) {
		http_date(keyring_clock(r->emulator->keyring), text);
		answer_header(a, "Date", text);
	}
}

static bool is_spoiled(const struct request *r)
{
	const struct fault_action *f = &r->fault;

	return f->status || f->not_json || f->truncate_gzip || f->bare_partition ||
	       (r->exchange->answer.shape != ANSWER_WHOLE && !f->drip && !f->chunked);
}

/* Sends the answer that was prepared, spoiled as the fault wants it. */
void request_finish(struct request *r)
{
	struct answer *a = &r->exchange->answer;
	const struct fault_action *f = &r->fault;

	if (f->hang)
		return;
	if (f->status && f->after)
		request_fault_body(r, (unsigned)f->status);
	if (f->not_json)
		reply_text(r->exchange, 200, "application/json", "<!DOCTYPE html><title>502</title>");
	if (f->bare_partition)
		reply_spoil_shape(r->exchange);
	if (f->truncate_gzip)
		fault_truncate(a);
	retry_after_headers(r);
	common_headers(r);
	a->delay = f->delay;
	a->drip = f->drip;
	a->shape = shape_of(r);
	count_answer(r);
	if (r->emulator->record && !strncmp(r->exchange->path, STATEMENTS_PATH, strlen(STATEMENTS_PATH)))
		record_add(r->emulator->record, r->exchange, is_spoiled(r));
	exchange_answer(r->exchange);
}

void request_fail(struct request *r, unsigned status, const char *code, const char *sqlstate, const char *message)
{
	reply_refusal(r, status, code, sqlstate, message);
	request_finish(r);
}

/* Takes the fault for this request; true when it has already been answered (or never will be). */
bool request_fault(struct request *r, const char *sql)
{
	struct fault_action *f = &r->fault;
	struct token_refusal refusal;

	faults_take(r->emulator->control->faults, r->operation, sql, r->caller.user, f);
	if (f->token_expired || f->not_yet_valid) {
		if (f->token_expired)
			token_expire(r->emulator->keyring, exchange_header(r->exchange, "Authorization"), &refusal);
		else
			token_not_yet(&refusal);
		request_fail(r, 401, refusal.code, NULL, refusal.message);
		return true;
	}
	if (f->reset_before) {
		request_finish(r);
		return true;
	}
	if (f->hang && !f->after)
		return true;
	if (f->status && !f->after) {
		request_fault_body(r, (unsigned)f->status);
		request_finish(r);
		return true;
	}
	return false;
}
