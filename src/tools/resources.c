/* resources/list and resources/read: tables and views of the current schema as documents, results by their handles. */
#include "tools_internal.h"

#include <string.h>

#define DESCRIPTION_MAX ((size_t)4 << 20)

/* ---- resources/list ---- */

int plan_resources_list(struct call *c)
{
	struct buf sql = buf_with_ceiling(4096);
	struct sql_name scope = {0};
	struct context x;
	int rc = page_read(c);

	if (rc != ERR_OK || !c->context.database || !(c->request->policy->statements & CLASS_METADATA))
		return rc;
	if (arguments_context(c, &x) != ERR_OK)
		return method_refused(c, NULL);
	scope.part[scope.n++] = x.database;
	if (x.schema)
		scope.part[scope.n++] = x.schema;
	buf_addf(&sql, "SHOW OBJECTS IN %s ", scope.n == 2 ? "SCHEMA" : "DATABASE");
	sql_quote_name(&sql, &scope);
	return plan_metadata(c, arena_text(c->arena, &sql), &x, SHOW_MAX) ? ERR_OK : method_refused(c, NULL);
}

/* The columns of SHOW OBJECTS that are told. */
struct shown_columns {
	size_t name, database, schema, kind, comment;
};

static struct shown_columns columns_of(const struct statement *s)
{
	return (struct shown_columns){
	    statement_column(s, "name"), statement_column(s, "database_name"), statement_column(s, "schema_name"),
	    statement_column(s, "kind"), statement_column(s, "comment"),
	};
}

static const char *cell_of(const json_t *row, size_t column)
{
	const char *text = column == SIZE_MAX ? NULL : json_string_value(json_array_get(row, column));

	return text ? text : "";
}

static json_t *resource_of(const json_t *row, const struct shown_columns *at)
{
	struct sql_name name = {3, {cell_of(row, at->database), cell_of(row, at->schema), cell_of(row, at->name)}};
	struct buf uri = buf_with_ceiling(RESOURCE_URI_MAX), full = buf_with_ceiling(4096);
	json_t *out = json_object();

	resource_uri_of(&uri, &name);
	buf_addf(&full, "%s.%s.%s", name.part[0], name.part[1], name.part[2]);
	json_object_set_new(out, "uri", json_string(buf_text(&uri)));
	json_object_set_new(out, "name", json_string(buf_text(&full)));
	json_object_set_new(out, "title", json_sprintf("%s (%s)", name.part[2], cell_of(row, at->kind)));
	if (*cell_of(row, at->comment))
		json_object_set_new(out, "description", json_string(cell_of(row, at->comment)));
	json_object_set_new(out, "mimeType", json_string("text/plain"));
	buf_free(&uri);
	buf_free(&full);
	return out;
}

/* The page's rows; SHOW gives them in the order of their names (Snowflake, SHOW OBJECTS), so that pages fit together.
 */
static json_t *objects_page(const struct call *c, const struct statement *s, size_t total)
{
	struct shown_columns at = columns_of(s);
	size_t end = c->offset + page_length(c, total), row = 0;
	json_t *page = json_array();

	for (size_t p = 0; p < s->pages_n; p++)
		for (size_t i = 0; i < json_array_size(s->pages[p].rows); i++, row++)
			if (row >= c->offset && row < end)
				json_array_append_new(page, resource_of(json_array_get(s->pages[p].rows, i), &at));
	return page;
}

void answer_resources_list(struct call *c)
{
	const struct statement *s = c->plan_n ? &c->plan[0] : NULL;
	size_t total = s ? statement_rows(s) : 0;
	json_t *page;

	if (s && s->state != STATEMENT_SUCCEEDED) {
		tool_statement_error(c, s);
		method_refused(c, NULL);
		return;
	}
	page = s ? objects_page(c, s, total) : json_array();
	page_write(c, page, total, OBJECTS_TTL_MS);
	json_decref(page);
}

/* ---- resources/read ---- */

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
