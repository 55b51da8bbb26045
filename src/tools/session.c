/* set_context: the session's context and preferences, changed after Snowflake has confirmed them, and told. */
#include "tools_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* The value as Snowflake wants it: text; false for what is none. */
static bool parameter_text(const json_t *value, char *text, size_t size)
{
	int n = -1;

	if (json_is_string(value))
		n = snprintf(text, size, "%s", json_string_value(value));
	else if (json_is_boolean(value))
		n = snprintf(text, size, "%s", json_is_true(value) ? "true" : "false");
	else if (json_is_integer(value))
		n = snprintf(text, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return n >= 0 && (size_t)n < size;
}

static int refuse_parameter(struct call *c, const char *name, const char *reason, const char *advice)
{
	tool_error(c, ERR_INVALID_PARAMS, NULL, NULL, "parameters.%.60s: %s.%s%s", name, reason, advice ? " " : "",
		   advice ? advice : "");
	return ERR_INVALID_PARAMS;
}

static int set_parameter(struct call *c, json_t *parameters, const char *name, const json_t *value)
{
	char *stored = arena_strdup(c->arena, name), text[256];
	const char *reason = "it is too long", *advice = NULL;

	if (!stored)
		return refuse_parameter(c, name, reason, advice);
	for (char *p = stored; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	if (!json_is_null(value) && !parameter_text(value, text, sizeof text))
		return refuse_parameter(c, name, "must be a short string, a whole number, a boolean or null", NULL);
	if (!sql_parameter_fits(stored, json_is_null(value) ? NULL : text, &reason, &advice))
		return refuse_parameter(c, name, reason, advice);
	if (json_is_null(value))
		json_object_del(parameters, stored);
	else
		json_object_set_new(parameters, stored, json_string(text));
	return ERR_OK;
}

static int set_parameters(struct call *c, struct context *x)
{
	json_t *given = json_object_get(c->arguments, "parameters"), *value;
	json_t *parameters;
	const char *name;

	if (!given)
		return ERR_OK;
	parameters = x->parameters ? json_deep_copy(x->parameters) : json_object();
	if (!arena_attach(c->arena, parameters, json_release))
		return refuse_memory(c);
	json_object_foreach(given, name, value)
	{
		int rc = set_parameter(c, parameters, name, value);

		if (rc != ERR_OK)
			return rc;
	}
	x->parameters = parameters;
	return ERR_OK;
}

static bool wants_change(const struct call *c)
{
	return json_object_size(c->arguments) > (json_object_get(c->arguments, "session") ? 1u : 0u);
}

int plan_set_context(struct call *c)
{
	const json_t *preferences = json_object_get(c->arguments, "preferences");
	struct context x;
	int rc;

	if (!wants_change(c))
		return ERR_OK;
	rc = arguments_context(c, &x);
	if (rc == ERR_OK)
		rc = set_parameters(c, &x);
	if (rc != ERR_OK)
		return rc;
	c->change.wanted = true;
	c->change.create = !*c->session_id;
	c->change.context = x;
	c->change.format = json_text_of(preferences, "format");
	c->change.limit = argument_int(preferences, "limit", -1);
	c->change.wait_seconds = argument_int(preferences, "wait_seconds", -1);
	return plan_probe(c, &x);
}

void confirm_set_context(struct call *c)
{
	probe_read(c, &c->plan[0], &c->change.context);
}

static json_t *told(const struct call *c)
{
	const struct context *x = c->change.wanted ? &c->change.context : &c->context;
	const struct limits *l = c->request->policy->limits;
	json_t *out = json_object();

	if (*c->durable.handle && !c->by_header)
		json_object_set_new(out, "session", json_string(c->durable.handle));
	json_object_set_new(out, "context", context_json(x));
	if (x->parameters && json_object_size(x->parameters))
		json_object_set(out, "parameters", x->parameters);
	json_object_set_new(out, "limits",
			    json_pack("{s:I, s:I, s:I, s:I}", "callsPerMinute", (json_int_t)l->calls_per_minute,
				      "callsLeft", (json_int_t)c->allowance.calls_left, "running",
				      (json_int_t)c->allowance.running, "runningMax", (json_int_t)l->running));
	return out;
}

void answer_set_context(struct call *c)
{
	json_t *out = told(c);

	json_write(&c->answer.structured, out);
	buf_add(&c->answer.text, buf_text(&c->answer.structured), c->answer.structured.n);
	json_decref(out);
}
