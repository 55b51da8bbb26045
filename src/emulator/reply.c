/* JSON bodies of the SQL API. */
#include "reply.h"

#include <stdio.h>
#include <string.h>

#define REPLY_CEILING      ((size_t)2 << 30)
#define JSON_TYPE          "application/json"
#define SMALL_ANSWER       ((size_t)64 << 10) /* answers up to this are one text, which libmicrohttpd sends at once */
#define PARTITION_TEXT_MAX ((size_t)80 << 20)

void reply_empty(struct exchange *e, unsigned status)
{
	answer_clear(&e->answer);
	e->answer.status = status;
}

void reply_text(struct exchange *e, unsigned status, const char *type, const char *text)
{
	reply_empty(e, status);
	e->answer.body = xstrdup(text);
	e->answer.n = strlen(text);
	e->answer.type = type;
}

void reply_buf(struct exchange *e, unsigned status, struct buf *body)
{
	reply_empty(e, status);
	e->answer.type = JSON_TYPE;
	e->answer.body = buf_take(body, &e->answer.n);
	if (!e->answer.body)
		reply_empty(e, 500);
}

void reply_json(struct exchange *e, unsigned status, json_t *value)
{
	struct buf body = buf_with_ceiling(REPLY_CEILING);

	json_write(&body, value);
	json_decref(value);
	reply_buf(e, status, &body);
}

static void add_member(struct buf *b, const char *name, const char *value)
{
	buf_adds(b, b->n > 1 ? ",\"" : "\"");
	buf_adds(b, name);
	buf_adds(b, "\":");
	json_write_string(b, value, strlen(value));
}

static void add_error(struct buf *b, const char *code, const char *sqlstate, const char *message)
{
	buf_addc(b, '{');
	add_member(b, "code", code);
	add_member(b, "message", message);
	if (sqlstate && *sqlstate)
		add_member(b, "sqlState", sqlstate);
}

/* Handles and request ids are hexadecimal: nothing to escape. */
static void add_handle(struct buf *b, const struct statement *s)
{
	buf_adds(b, ",\"statementHandle\":\"");
	buf_adds(b, s->handle);
	buf_adds(b, "\",\"statementStatusUrl\":\"/api/v2/statements/");
	buf_adds(b, s->handle);
	buf_adds(b, "?requestId=");
	buf_adds(b, s->submission.request_id);
	buf_addc(b, '"');
}

void reply_error(struct exchange *e, unsigned status, const char *code, const char *sqlstate, const char *message)
{
	struct buf b = buf_with_ceiling(REPLY_CEILING);

	add_error(&b, code, sqlstate, message);
	buf_addc(&b, '}');
	reply_buf(e, status, &b);
}

void reply_failure(struct exchange *e, const char *code, const char *sqlstate, const char *message, const char *handle)
{
	struct buf b = buf_with_ceiling(REPLY_CEILING);

	add_error(&b, code, sqlstate, message);
	add_member(&b, "statementHandle", handle);
	buf_addc(&b, '}');
	reply_buf(e, 422, &b);
}

void reply_status(struct exchange *e, const struct statement *s, unsigned status, const char *code,
		  const char *sqlstate, const char *message)
{
	struct buf b = buf_with_ceiling(REPLY_CEILING);

	add_error(&b, code, sqlstate, message);
	add_handle(&b, s);
	buf_addf(&b, ",\"createdOn\":%lld}", (long long)s->created_ms);
	reply_buf(e, status, &b);
}

void reply_cancel(struct exchange *e, const struct statement *s, unsigned status, const char *code,
		  const char *sqlstate, const char *message)
{
	struct buf b = buf_with_ceiling(REPLY_CEILING);

	add_error(&b, code, sqlstate, message);
	add_handle(&b, s);
	buf_addc(&b, '}');
	reply_buf(e, status, &b);
}

void reply_running(struct exchange *e, const struct statement *s)
{
	reply_status(e, s, 202, "333334", NULL,
		     "Asynchronous execution in progress. Use provided query id to perform query monitoring and "
		     "management.");
}

static void add_link(struct buf *b, const struct statement *s, size_t partition, const char *relation)
{
	buf_addf(b, "%s</api/v2/statements/%s?requestId=%s&partition=%zu>; rel=\"%s\"", b->n ? ", " : "", s->handle,
		 s->submission.request_id, partition, relation);
}

static void add_links(struct exchange *e, const struct statement *s, size_t n)
{
	size_t last = s->outcome.result->partitions_n - 1, unused;
	struct buf b = buf_with_ceiling(4096);

	if (!last)
		return;
	add_link(&b, s, 0, "first");
	if (n)
		add_link(&b, s, n - 1, "prev");
	if (n < last)
		add_link(&b, s, n + 1, "next");
	add_link(&b, s, last, "last");
	e->answer.link = buf_take(&b, &unused);
}

static void add_children(struct buf *b, const struct statement *s)
{
	buf_adds(b, ",\"statementHandles\":[");
	for (size_t i = 0; i < s->children_n; i++)
		buf_addf(b, "%s\"%s\"", i ? "," : "", s->children[i]->handle);
	buf_addc(b, ']');
}

static void on_answer_gone(void *owner)
{
	result_release(owner);
}

/* A partition goes out as it is kept: the answer holds the result, nothing is copied. */
static void answer_share(struct answer *a, struct result *r, size_t partition)
{
	a->shared = r->partitions[partition].bytes;
	a->shared_n = r->partitions[partition].n;
	a->owner = result_share(r);
	a->release = on_answer_gone;
}

static void add_stats(struct buf *b, const struct result *r)
{
	buf_addf(b,
		 ",\"stats\":{\"numRowsInserted\":%lld,\"numRowsUpdated\":%lld,\"numRowsDeleted\":%lld,"
		 "\"numDuplicateRowsUpdated\":%lld}",
		 (long long)r->inserted, (long long)r->updated, (long long)r->deleted, (long long)r->duplicates);
}

static void reply_result(struct exchange *e, const struct statement *s)
{
	struct result *r = s->outcome.result;
	struct buf head = buf_with_ceiling(REPLY_CEILING), tail = buf_with_ceiling(REPLY_CEILING);

	buf_adds(&head, "{\"resultSetMetaData\":");
	buf_adds(&head, r->metadata);
	buf_adds(&head, ",\"data\":");
	buf_adds(&tail, ",\"code\":\"090001\",\"sqlState\":\"00000\",\"message\":\"Statement executed successfully.\"");
	add_handle(&tail, s);
	buf_addf(&tail, ",\"createdOn\":%lld", (long long)s->created_ms);
	if (s->children_n)
		add_children(&tail, s);
	if (r->has_stats)
		add_stats(&tail, r);
	buf_addc(&tail, '}');
	reply_buf(e, 200, &head);
	e->answer.tail = buf_take(&tail, &e->answer.tail_n);
	answer_share(&e->answer, r, 0);
	if (answer_size(&e->answer) <= SMALL_ANSWER)
		answer_flatten(&e->answer);
	add_links(e, s, 0);
}

void reply_outcome(struct exchange *e, const struct statement *s)
{
	const struct outcome *o = &s->outcome;

	if (s->state == STATEMENT_SUCCEEDED)
		reply_result(e, s);
	else
		reply_status(e, s, s->state == STATEMENT_TIMED_OUT ? 408 : 422, o->code, o->sqlstate, o->message);
}

void reply_partition(struct exchange *e, const struct statement *s, size_t n)
{
	if (!n) {
		reply_result(e, s);
		return;
	}
	reply_empty(e, 200);
	e->answer.type = JSON_TYPE;
	e->answer.gzip = true;
	answer_share(&e->answer, s->outcome.result, n);
	add_links(e, s, n);
}

void reply_spoil_shape(struct exchange *e)
{
	static const char wrapper[] = "{\"data\":";
	struct answer *a = &e->answer;
	size_t n, packed_n;
	char *text, *packed;

	answer_flatten(a);
	text = a->gzip ? text_gunzip(a->body, a->n, PARTITION_TEXT_MAX, &n) : NULL;
	if (text && n > sizeof(wrapper) && !strncmp(text, wrapper, sizeof(wrapper) - 1)) {
		packed = text_gzip(text + sizeof(wrapper) - 1, n - sizeof(wrapper), &packed_n);
		free(a->body);
		a->body = packed;
		a->n = packed_n;
	}
	free(text);
}
