/* resources/read: tables and views as documents, results by their handles. */
#include "tools_internal.h"

#include <string.h>

#define DESCRIPTION_MAX ((size_t)4 << 20)

static const char *uri_of(const struct call *c)
{
	return json_text_of(c->rpc.params, "uri");
}

static int refuse_missing(struct call *c, const char *why)
{
	json_t *data = json_pack("{s:s}", "uri", uri_of(c));

	c->fault = (struct mcp_fault){ERR_RESOURCE, why, arena_attach(c->arena, data, json_release) ? data : NULL};
	return ERR_RESOURCE;
}

static int plan_object(struct call *c, const struct resource *r)
{
	if (arguments_context(c, &c->context) != ERR_OK || plan_describe_one(c, &r->name) != ERR_OK)
		return method_refused(c, uri_of(c));
	return ERR_OK;
}

static int plan_result(struct call *c, const struct resource *r)
{
	char query_id[64];
	struct statement *s;

	if (require_connection(c) != ERR_OK)
		return method_refused(c, uri_of(c));
	if (!handle_opens(c, slice_of(r->handle), query_id))
		return refuse_missing(c, "no such result: the handle is not one that an answer gave");
	arguments_window(c, (size_t)c->request->conf->results_default_rows);
	c->format = ROWS_CSV;
	s = plan_add(c, STATEMENT_ATTACH, NULL, &c->context);
	if (!s)
		return method_refused(c, uri_of(c));
	memcpy(s->handle, query_id, sizeof query_id);
	return ERR_OK;
}

int plan_resources_read(struct call *c)
{
	const char *why = "";
	struct resource r;

	if (!uri_of(c))
		return method_fault(c, ERR_INVALID_PARAMS, "params.uri must be the URI of a resource");
	r = resource_parse(c->arena, c->request->policy, uri_of(c), &why);
	switch (r.kind) {
	case RESOURCE_OBJECT:
		return plan_object(c, &r);
	case RESOURCE_RESULT:
		return plan_result(c, &r);
	case RESOURCE_NONE:
		break;
	}
	return refuse_missing(c, why);
}

static void content_add(struct call *c, json_t *contents, const char *mime_type, const char *text, size_t n)
{
	json_t *content = json_pack("{s:s, s:s}", "uri", uri_of(c), "mimeType", mime_type);

	json_object_set_new(content, "text", json_stringn(text, n));
	json_array_append_new(contents, content);
}

static void contents_write(struct call *c, const json_t *contents, int64_t ttl_ms)
{
	if (!read_result_write(&c->result, c->revision, contents, ttl_ms))
		method_fault(c, ERR_INTERNAL, "the resource does not fit into an answer");
}

/* Snowflake tells "does not exist" and "not authorized" alike (snowflake-rest.md A.6). */
static bool is_not_there(const struct statement *s)
{
	const char *code = s->failure.code;

	return code && (strcmp(code, "002003") == 0 || strcmp(code, "002043") == 0);
}

static void answer_object(struct call *c)
{
	const struct statement *failure = describe_one_failure(c);
	struct buf text = buf_with_ceiling(DESCRIPTION_MAX);
	json_t *contents;

	if (failure && !is_not_there(failure)) {
		tool_statement_error(c, failure);
		method_refused(c, uri_of(c));
		return;
	}
	if (failure || !describe_one_told(c, &text)) {
		refuse_missing(
		    c, "no such table or view, or not granted to this role; resources/list shows what there is");
		return;
	}
	contents = json_array();
	content_add(c, contents, "text/plain", buf_text(&text), text.n);
	if (buf_failed(&text))
		method_fault(c, ERR_INTERNAL, "the resource does not fit into an answer");
	else
		contents_write(c, contents, OBJECTS_TTL_MS);
	json_decref(contents);
	buf_free(&text);
}

/* The rows alone are CSV; the line that tells which rows they are goes beside them. */
static void rows_add_contents(struct call *c, json_t *contents)
{
	const struct buf *text = &c->answer.text;
	size_t head = strcspn(buf_text(text), "\n");

	content_add(c, contents, "text/csv", text->data + head + 1, text->n - head - 1);
	content_add(c, contents, "text/plain", text->data, head);
}

static void answer_result(struct call *c)
{
	const struct statement *s = &c->plan[0];
	bool ended = s->state == STATEMENT_SUCCEEDED && !c->answer.running;
	json_t *contents;

	answer_rows(c);
	if (c->answer.is_error) {
		method_refused(c, uri_of(c));
		return;
	}
	contents = json_array();
	if (ended)
		rows_add_contents(c, contents);
	else
		content_add(c, contents, "text/plain", buf_text(&c->answer.text), c->answer.text.n);
	contents_write(c, contents, 0);
	json_decref(contents);
	buf_clear(&c->answer.text);
	c->answer.meta = NULL;
}

void answer_resources_read(struct call *c)
{
	if (c->plan[0].kind == STATEMENT_ATTACH)
		answer_result(c);
	else
		answer_object(c);
}
