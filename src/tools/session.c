/* set_context: the session's context and preferences, changed after Snowflake has confirmed them, and told. */
#include "tools_internal.h"

#include <ctype.h>
#include <string.h>

/* Parameters that the SQL API carries with a request (snowflake-rest.md A.3) and that a session may set; the guard takes
 * the same for ALTER SESSION. */
static bool parameter_allowed(struct call *c, const char *name, const char **stored)
{
	char *upper = arena_strdup(c->arena, name);
	struct guard_verdict v;
	const char *sql;

	if (!upper)
		return false;
	for (char *p = upper; *p; p++) {
		if (!isalpha((unsigned char)*p) && *p != '_')
			return false;
		*p = (char)toupper((unsigned char)*p);
	}
	*stored = upper;
	sql = arena_printf(c->arena, "ALTER SESSION UNSET %s", upper);
	return sql && guard_check(c->arena, slice_of(sql), CLASS_READ, &v) == ERR_OK && v.allowed &&
	       v.effect == EFFECT_ALTER_SESSION;
}

static int set_parameter(struct call *c, json_t *parameters, const char *name, const json_t *value)
{
	const char *stored;

	if (!parameter_allowed(c, name, &stored)) {
		tool_error(c, ERR_INVALID_PARAMS, NULL, NULL,
		           "parameters.%.60s: not a session parameter that the gateway can carry", name);
		return ERR_INVALID_PARAMS;
	}
	if (json_is_null(value))
		json_object_del(parameters, stored);
	else if (json_is_string(value))
		json_object_set(parameters, stored, (json_t *)value);
	else if (json_is_boolean(value))
		json_object_set_new(parameters, stored, json_string(json_is_true(value) ? "true" : "false"));
	else if (json_is_integer(value))
		json_object_set_new(parameters, stored, json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(value)));
	else {
		tool_error(c, ERR_INVALID_PARAMS, NULL, NULL, "parameters.%.60s: must be a string, number, boolean or null",
		           name);
		return ERR_INVALID_PARAMS;
	}
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
		return ERR_NOMEM;
	json_object_foreach(given, name, value) {
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
	c->change.limit = json_int_of(preferences, "limit", -1);
	c->change.wait_seconds = json_int_of(preferences, "wait_seconds", -1);
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
