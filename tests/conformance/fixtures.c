/* The suite's tools behind tools.h: definitions, plans and answers, all read from fixtures.json. */
#include "fixtures.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TOOLS_MAX 64

extern const char conformance_fixtures_json[]; /* made by the build from fixtures.json */

/* A tool and where it came from. */
struct fixture {
	struct tool tool;
	const json_t *json;
};
static json_t *fixtures;
static struct fixture tools[TOOLS_MAX];
static size_t tools_n;

const json_t *fixtures_of(const char *list)
{
	return json_object_get(fixtures, list);
}

const json_t *fixture_find(const char *list, const char *key, const char *value)
{
	const json_t *all = fixtures_of(list);

	for (size_t i = 0; value && i < json_array_size(all); i++) {
		const json_t *fixture = json_array_get(all, i);

		if (strcmp(json_text_of(json_object_get(fixture, "definition"), key), value) == 0)
			return fixture;
	}
	return NULL;
}

json_t *fixtures_listed(const char *list)
{
	const json_t *all = fixtures_of(list);
	json_t *listed = json_array();

	for (size_t i = 0; i < json_array_size(all); i++)
		json_array_append_new(listed, json_deep_copy(json_object_get(json_array_get(all, i), "definition")));
	return listed;
}

/* ---- a call ---- */

static const json_t *fixture_of(const struct call *c)
{
	return container_of(c->tool, struct fixture, tool)->json;
}

/* The script as the text of the one statement. */
static int script_plan(struct call *c, const json_t *script)
{
	struct buf text = buf_with_ceiling(4096);
	struct statement *s = &c->plan[0];
	json_t *scope = scope_of(c), *acts = expand(script, scope);

	json_write(&text, acts);
	json_decref(acts);
	json_decref(scope);
	*s = (struct statement){.kind = STATEMENT_RUN, .metadata = true};
	s->sql = arena_strdup(c->arena, buf_text(&text));
	buf_free(&text);
	if (!s->sql) {
		(void)call_fail(c, ERR_NOMEM, "no memory for the script");
		return ERR_NOMEM;
	}
	c->plan_n = 1;
	return ERR_OK;
}

/* What cannot be done for a client that does not take tasks. */
static int task_refuse(struct call *c)
{
	json_t *data = json_pack("{s:{s:{s:{}}}}", "requiredCapabilities", "extensions", TASKS_EXTENSION);

	(void)call_fail(c, ERR_CAPABILITY, "this needs a client with " TASKS_EXTENSION);
	c->fault.data = arena_attach(c->arena, data, json_release) ? data : NULL;
	return ERR_CAPABILITY;
}

static int tool_plan(struct call *c)
{
	const json_t *script = json_object_get(fixture_of(c), "script");
	bool refused = !c->meta.tasks && json_bool_of(fixture_of(c), "needs_task", false);
	int rc = refused ? task_refuse(c) : asks_make(c, fixture_of(c));

	if (rc != ERR_OK || c->asks_n || !script)
		return rc;
	return script_plan(c, script);
}

static void tool_confirm(struct call *c)
{
	(void)c; /* no fixture changes its session */
}

/* The whole result; resultType and the server's name are those of an empty one. */
static void tool_answer(struct call *c)
{
	struct buf empty = buf_with_ceiling(4096);
	json_t *result = NULL, *scope;

	if (c->plan_n && c->plan[0].state != STATEMENT_SUCCEEDED) {
		tool_error(c, ERR_CANCELLED, NULL, NULL, "the script did not come to its end");
		return;
	}
	empty_result_write(&empty, c->revision);
	if (json_parse(buf_slice(&empty), JSON_DEPTH_MAX, &result, NULL, 0) == JSON_OK) {
		scope = scope_of(c);
		json_object_set_new(result, "content", expand(json_object_get(fixture_of(c), "content"), scope));
		if (json_bool_of(fixture_of(c), "isError", false))
			json_object_set_new(result, "isError", json_true());
		json_write(&c->result, result);
		json_decref(scope);
	}
	json_decref(result);
	buf_free(&empty);
}

/* ---- tools.h ---- */

void tools_load(void)
{
	char why[200] = "";
	const json_t *all;

	if (json_parse(slice_of(conformance_fixtures_json), JSON_DEPTH_MAX, &fixtures, why, sizeof why) != JSON_OK) {
		fprintf(stderr, "fixtures.json: %s\n", why);
		abort();
	}
	all = fixtures_of("tools");
	assert(json_array_size(all) <= TOOLS_MAX);
	for (size_t i = 0; i < json_array_size(all); i++) {
		const json_t *json = json_array_get(all, i);
		json_t *definition = json_object_get(json, "definition");

		tools[i].json = json;
		tools[i].tool = (struct tool){.name = json_text_of(definition, "name"),
					      .definition = definition,
					      .handler = {.plan = tool_plan,
							  .confirm = tool_confirm,
							  .answer = tool_answer,
							  .asks_within = json_bool_of(json, "asks_within", false)}};
	}
	tools_n = json_array_size(all);
}

void tools_free(void)
{
	json_decref(TAKE(fixtures));
	memset(tools, 0, sizeof tools);
	tools_n = 0;
}

const struct tool *tool_find(const struct policy *policy UNUSED, const char *name)
{
	for (size_t i = 0; name && i < tools_n; i++)
		if (strcmp(tools[i].tool.name, name) == 0)
			return &tools[i].tool;
	return NULL;
}

const struct tool *tool_called(const struct policy *policy, const char *name, const json_t *arguments UNUSED)
{
	return tool_find(policy, name);
}

const char *tool_advice(const char *name UNUSED)
{
	return "tools/list shows what there is";
}

const json_t *tool_schema(const struct policy *policy UNUSED, const struct tool *tool, bool has_session UNUSED)
{
	return json_object_get(tool->definition, "inputSchema");
}

json_t *tools_listed(const struct conf *conf UNUSED, const struct policy *policy UNUSED, bool has_session UNUSED)
{
	return fixtures_listed("tools");
}

bool tools_instructions(struct buf *b, const struct conf *conf UNUSED, const struct policy *policy UNUSED)
{
	return buf_adds(b, "The fixtures of the MCP conformance suite.");
}

const char *statement_handle_text(struct call *c UNUSED, const struct statement *s UNUSED)
{
	return "";
}

void tools_set_keys(const struct sha256 *keys UNUSED, size_t n UNUSED, const struct seal_keys *cursors UNUSED)
{
}

void tool_error(struct call *c, enum err err UNUSED, const char *code UNUSED, const char *sqlstate UNUSED,
		const char *format, ...)
{
	va_list args;

	buf_clear(&c->answer.text);
	va_start(args, format);
	buf_addv(&c->answer.text, format, args);
	va_end(args);
	c->answer.is_error = true;
}

void tool_statement_error(struct call *c, const struct statement *s)
{
	tool_error(c, s->failure.err, NULL, NULL, "%s", s->failure.message);
}
