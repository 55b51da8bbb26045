/* JSON bodies of the SQL API. */
#include "reply.h"

#include <stdio.h>
#include <string.h>

#define REPLY_CEILING ((size_t)2 << 30)
#define JSON_TYPE     "application/json"

static void answer_clear(struct exchange *e)
{
	struct answer *a = &e->answer;

	free(a->body);
	free(a->link);
	memset(a, 0, sizeof(*a));
}

void reply_empty(struct exchange *e, unsigned status)
{
	answer_clear(e);
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

void reply_status(struct exchange *e, const struct statement *s, unsigned status, const char *code,
		  const char *sqlstate, const char *message)
{
	struct buf b = buf_with_ceiling(REPLY_CEILING);

	add_error(&b, code, sqlstate, message);
	add_handle(&b, s);
	buf_addf(&b, ",\"createdOn\":%lld}", (long long)s->created_ms);
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

static void reply_result(struct exchange *e, const struct statement *s)
{
	const struct result *r = s->outcome.result;
	struct buf b = buf_with_ceiling(REPLY_CEILING);

	buf_adds(&b, "{\"resultSetMetaData\":");
	buf_adds(&b, r->metadata);
	buf_adds(&b, ",\"data\":");
	buf_add(&b, r->partitions[0].bytes, r->partitions[0].n);
	buf_adds(&b, ",\"code\":\"090001\",\"sqlState\":\"00000\",\"message\":\"Statement executed successfully.\"");
	add_handle(&b, s);
	buf_addf(&b, ",\"createdOn\":%lld", (long long)s->created_ms);
	if (s->children_n)
		add_children(&b, s);
	if (r->has_stats)
		buf_addf(&b,
			 ",\"stats\":{\"numRowsInserted\":%lld,\"numRowsUpdated\":%lld,\"numRowsDeleted\":%lld,"
			 "\"numDuplicateRowsUpdated\":%lld}",
			 (long long)r->inserted, (long long)r->updated, (long long)r->deleted,
			 (long long)r->duplicates);
	buf_addc(&b, '}');
	reply_buf(e, 200, &b);
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
	const struct partition *p = &s->outcome.result->partitions[n];

	if (!n) {
		reply_result(e, s);
		return;
	}
	reply_empty(e, 200);
	e->answer.type = JSON_TYPE;
	e->answer.gzip = true;
	e->answer.body = xalloc(p->n);
	memcpy(e->answer.body, p->bytes, p->n);
	e->answer.n = p->n;
	add_links(e, s, n);
}
