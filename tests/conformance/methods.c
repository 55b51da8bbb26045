/* The suite's lists, resources, prompts and completions behind tools.h. */
#include "fixtures.h"

#include <string.h>

#define TTL_MS 1000

static int refuse(struct call *c, enum err err, const char *message, const char *uri)
{
	json_t *data = uri ? json_pack("{s:s}", "uri", uri) : NULL;

	(void)call_fail(c, err, "%s", message);
	if (data)
		c->fault.data = arena_attach(c->arena, data, json_release) ? data : NULL;
	return (int)err;
}

static void confirm_nothing(struct call *c)
{
	(void)c;
}

/* ---- lists, of one page each ---- */

static const char *list_of(enum method_id method)
{
	switch (method) {
	case MCP_RESOURCES_LIST:
		return "resources";
	case MCP_TEMPLATES_LIST:
		return "templates";
	case MCP_PROMPTS_LIST:
		return "prompts";
	default:
		return "tools";
	}
}

static int list_plan(struct call *c)
{
	if (json_object_get(c->rpc.params, "cursor"))
		return refuse(c, ERR_INVALID_PARAMS, "cursor: not one that was given", NULL);
	return ERR_OK;
}

static void list_answer(struct call *c)
{
	json_t *items = fixtures_listed(list_of(c->method));

	list_write(&c->result, c->revision, c->method, items, NULL, TTL_MS);
	json_decref(items);
}

/* ---- resources ---- */

/* What stands between `before` and `behind` in the URI; a new reference, NULL where they do not surround it. */
static json_t *template_id(const json_t *template, const char *uri)
{
	const char *before = json_text_of(template, "before"), *behind = json_text_of(template, "behind");
	size_t n = strlen(uri), start = strlen(before), end = strlen(behind);

	if (n <= start + end || strncmp(uri, before, start) != 0 || strcmp(uri + n - end, behind) != 0)
		return NULL;
	return json_pack("{s:s%}", "id", uri + start, n - start - end);
}

/* The fixture of a URI, and what its content is made with; NULL where there is none. */
static const json_t *resource_at(const char *uri, json_t **scope)
{
	const json_t *fixture = fixture_find("resources", "uri", uri), *templates = fixtures_of("templates");

	*scope = NULL;
	for (size_t i = 0; !fixture && uri && i < json_array_size(templates); i++) {
		*scope = template_id(json_array_get(templates, i), uri);
		if (*scope)
			fixture = json_array_get(templates, i);
	}
	return fixture;
}

bool resource_uri_valid(struct arena *a UNUSED, const struct policy *policy UNUSED, const char *uri, const char **why)
{
	json_t *scope;
	const json_t *fixture = resource_at(uri, &scope);

	json_decref(scope);
	*why = "no such resource";
	return fixture != NULL;
}

const char *resource_uri_canonical(struct arena *a UNUSED, const char *uri)
{
	return uri;
}

/* Nothing is remembered between calls. */
void tools_reloaded(void)
{
}

bool tools_settle(struct call *c UNUSED, bool more UNUSED)
{
	return false;
}

/* Scripts write no object and have no stored result. */
bool resource_uri_of(struct buf *b UNUSED, const struct sql_name *name UNUSED)
{
	return false;
}

int plan_export(struct call *c)
{
	c->fault = (struct mcp_fault){ERR_NOT_FOUND, NULL, NULL};
	return ERR_NOT_FOUND;
}

bool resource_uri_of_result(struct buf *b UNUSED, const char *handle_text UNUSED)
{
	return false;
}

static int read_plan(struct call *c)
{
	const char *uri = json_text_of(c->rpc.params, "uri");
	json_t *scope;
	const json_t *fixture;

	if (!uri)
		return refuse(c, ERR_INVALID_PARAMS, "uri: must be a string", NULL);
	fixture = resource_at(uri, &scope);
	json_decref(scope);
	return fixture ? ERR_OK : refuse(c, ERR_RESOURCE, "no such resource", uri);
}

static void read_answer(struct call *c)
{
	const char *uri = json_text_of(c->rpc.params, "uri");
	json_t *scope, *contents = json_array(), *content;
	const json_t *fixture = resource_at(uri, &scope);

	content = expand(json_object_get(fixture, "content"), scope);
	json_object_set_new(content, "uri", json_string(uri));
	json_object_set_new(content, "mimeType",
			    json_deep_copy(json_object_get(json_object_get(fixture, "definition"), "mimeType")));
	json_array_append_new(contents, content);
	read_result_write(&c->result, c->revision, contents, TTL_MS);
	json_decref(contents);
	json_decref(scope);
}

/* ---- prompts ---- */

static const json_t *prompt_of(const struct call *c)
{
	return fixture_find("prompts", "name", json_text_of(c->rpc.params, "name"));
}

static int prompt_plan(struct call *c)
{
	const json_t *prompt = prompt_of(c), *given = json_object_get(c->rpc.params, "arguments");
	const json_t *arguments = json_object_get(json_object_get(prompt, "definition"), "arguments");

	if (!prompt)
		return refuse(c, ERR_INVALID_PARAMS, "no such prompt", NULL);
	for (size_t i = 0; i < json_array_size(arguments); i++) {
		const json_t *argument = json_array_get(arguments, i);

		if (json_bool_of(argument, "required", false) && !json_text_of(given, json_text_of(argument, "name")))
			return refuse(c, ERR_INVALID_PARAMS, "a required argument is missing", NULL);
	}
	return asks_make(c, prompt);
}

static void prompt_answer(struct call *c)
{
	const json_t *prompt = prompt_of(c);
	json_t *scope = scope_of(c), *messages = expand(json_object_get(prompt, "messages"), scope);

	prompt_result_write(&c->result, c->revision, json_text_of(json_object_get(prompt, "definition"), "description"),
			    messages);
	json_decref(messages);
	json_decref(scope);
}

/* ---- completions ---- */

static int complete_plan(struct call *c)
{
	const json_t *ref = json_object_get(c->rpc.params, "ref"),
		     *argument = json_object_get(c->rpc.params, "argument");

	if (!json_text_of(argument, "name") || !json_text_of(argument, "value"))
		return refuse(c, ERR_INVALID_PARAMS, "argument: needs name and value", NULL);
	if (!fixture_find("prompts", "name", json_text_of(ref, "name")) &&
	    !fixture_find("templates", "uriTemplate", json_text_of(ref, "uri")))
		return refuse(c, ERR_INVALID_PARAMS, "ref: names no prompt and no template", NULL);
	return ERR_OK;
}

static void complete_answer(struct call *c)
{
	const json_t *argument = json_object_get(c->rpc.params, "argument");
	const json_t *prompt =
	    fixture_find("prompts", "name", json_text_of(json_object_get(c->rpc.params, "ref"), "name"));
	const json_t *known = json_object_get(json_object_get(prompt, "completions"), json_text_of(argument, "name"));
	const char *start = json_text_of(argument, "value");
	json_t *values = json_array();

	for (size_t i = 0; i < json_array_size(known); i++) {
		const char *value = json_string_value(json_array_get(known, i));

		if (strncmp(value, start, strlen(start)) == 0)
			json_array_append_new(values, json_string(value));
	}
	completion_write(&c->result, c->revision, values, (int64_t)json_array_size(values), false);
	json_decref(values);
}

/* ---- all of them ---- */

const struct handler *method_handler(enum method_id method)
{
	static const struct handler list = {.plan = list_plan, .confirm = confirm_nothing, .answer = list_answer};
	static const struct handler read = {.plan = read_plan, .confirm = confirm_nothing, .answer = read_answer};
	static const struct handler prompt = {.plan = prompt_plan, .confirm = confirm_nothing, .answer = prompt_answer};
	static const struct handler complete = {
	    .plan = complete_plan, .confirm = confirm_nothing, .answer = complete_answer};

	switch (method) {
	case MCP_TOOLS_LIST:
	case MCP_RESOURCES_LIST:
	case MCP_TEMPLATES_LIST:
	case MCP_PROMPTS_LIST:
		return &list;
	case MCP_RESOURCES_READ:
		return &read;
	case MCP_PROMPTS_GET:
		return &prompt;
	case MCP_COMPLETE:
		return &complete;
	default:
		return NULL;
	}
}
