/* Which handler a method has; lists cut into pages, tools/list and resources/templates/list; refusals of methods. */
#include "tools_internal.h"

#include <string.h>

const struct handler *method_handler(enum method_id method)
{
	static const struct {
		enum method_id method;
		struct handler handler;
	} handlers[] = {
	    {MCP_TOOLS_LIST, {.plan = plan_tools_list, .answer = answer_tools_list}},
	    {MCP_RESOURCES_LIST, {.plan = plan_resources_list, .answer = answer_resources_list}},
	    {MCP_TEMPLATES_LIST, {.plan = plan_templates_list, .answer = answer_templates_list}},
	    {MCP_RESOURCES_READ, {.plan = plan_resources_read, .answer = answer_resources_read}},
	    {MCP_PROMPTS_LIST, {.plan = plan_prompts_list, .answer = answer_prompts_list}},
	    {MCP_PROMPTS_GET, {.plan = plan_prompts_get, .answer = answer_prompts_get}},
	    {MCP_COMPLETE,
	     {.plan = plan_complete, .answer = answer_complete, .settle = settle_complete, .plan_on_net = true}},
	};

	for (size_t i = 0; i < ARRAY_LEN(handlers); i++)
		if (handlers[i].method == method)
			return &handlers[i].handler;
	return NULL;
}

/* ---- refusals ---- */

int method_fault(struct call *c, enum err err, const char *message)
{
	c->fault = (struct mcp_fault){err, message, NULL};
	return (int)err;
}

int method_refused(struct call *c, const char *uri)
{
	json_t *data = json_object();
	const char *text = arena_strdup(c->arena, buf_text(&c->answer.text));

	if (uri)
		json_object_set_new(data, "uri", json_string(uri));
	json_object_update(data, json_object_get(c->answer.meta, "snowgate/error"));
	if (!arena_attach(c->arena, data, json_release))
		data = NULL;
	c->fault = (struct mcp_fault){ERR_RESOURCE_READ, text ? text : err_info(ERR_RESOURCE_READ)->text, data};
	buf_clear(&c->answer.text);
	c->answer.meta = NULL;
	c->answer.is_error = false;
	return ERR_RESOURCE_READ;
}

/* ---- pages ---- */

void list_identity(struct buf *b, const struct call *c)
{
	const struct policy *p = c->request->policy;

	part_add(b, c->rpc.method);
	part_add(b, p->name);
	part_add(b, p->connection ? p->connection->name : NULL);
}

int page_read(struct call *c)
{
	const json_t *cursor = json_object_get(c->rpc.params, "cursor");
	struct buf list = buf_with_ceiling(8192);
	uint64_t offset = 0;
	int rc;

	list_identity(&list, c);
	rc = cursor_read(c->arena, cursor_keys(), &c->request->principal, buf_slice(&list), cursor, &offset, &c->fault);
	buf_free(&list);
	c->offset = (size_t)offset;
	return rc;
}

size_t page_length(const struct call *c, size_t total)
{
	size_t most = (size_t)c->request->conf->mcp_list_page, left = c->offset < total ? total - c->offset : 0;

	return left < most ? left : most;
}

void page_write(struct call *c, const json_t *page, size_t total, int64_t ttl_ms)
{
	struct buf list = buf_with_ceiling(8192), next = buf_with_ceiling(1024);
	size_t end = c->offset + page_length(c, total);

	list_identity(&list, c);
	if (end < total)
		cursor_write(&next, cursor_keys(), &c->request->principal, buf_slice(&list), end);
	if (buf_failed(&next) ||
	    !list_write(&c->result, c->revision, c->method, page, next.n ? buf_text(&next) : NULL, ttl_ms))
		method_fault(c, ERR_INTERNAL, "the list does not fit into an answer");
	buf_free(&list);
	buf_free(&next);
}

void page_write_of(struct call *c, const json_t *list, int64_t ttl_ms)
{
	size_t total = json_array_size(list), n = page_length(c, total);
	json_t *page = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append(page, json_array_get(list, c->offset + i));
	page_write(c, page, total, ttl_ms);
	json_decref(page);
}

/* ---- tools/list ---- */

int plan_tools_list(struct call *c)
{
	return page_read(c);
}

void answer_tools_list(struct call *c)
{
	json_t *tools = tools_listed(c->request->conf, c->request->policy, c->by_header);

	page_write_of(c, tools, LIST_TTL_MS);
	json_decref(tools);
}

/* ---- resources/templates/list ---- */

int plan_templates_list(struct call *c)
{
	return page_read(c);
}

void answer_templates_list(struct call *c)
{
	json_t *list = json_array();

	if (c->request->policy->statements & CLASS_METADATA)
		json_array_append_new(
		    list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "uriTemplate", RESOURCE_OBJECT_TEMPLATE, "name",
				    "object", "title", "Table or view", "description",
				    "Kind, comment, columns with types and comments, row count and DDL of one table or "
				    "view. Names are percent-encoded; a name whose case matters is in double quotes.",
				    "mimeType", "text/plain"));
	json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "uriTemplate", RESOURCE_RESULT_TEMPLATE,
					      "name", "result", "title", "Result of a statement", "description",
					      "The first rows of a statement's stored result, by the statement handle "
					      "an answer gave; get_result has the rest.",
					      "mimeType", "text/csv"));
	page_write_of(c, list, LIST_TTL_MS);
	json_decref(list);
}
