/* execute_query, get_result, cancel_query: a statement of the client's own, and what becomes of it. */
#include "tools_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- the guard's word ---- */

int guard_refused(struct call *c, const struct guard_verdict *v)
{
	struct buf text = buf_with_ceiling(4096);

	buf_adds(&text, v->reason);
	if (v->line)
		buf_addf(&text, " (line %d, column %d)", v->line, v->column);
	buf_addf(&text, ".%s%s", v->advice ? " " : "", v->advice ? v->advice : "");
	tool_error(c, ERR_GUARD, NULL, NULL, "%s", buf_text(&text));
	buf_free(&text);
	return ERR_GUARD;
}

/* ---- USE and ALTER SESSION: they change our session, confirmed by Snowflake ---- */

void effect_use(struct context *x, const struct guard_verdict *v)
{
	switch (v->use) {
	case USE_DATABASE:
		x->database = v->use_name;
		x->schema = NULL;
		break;
	case USE_SCHEMA:
		x->database = v->use_database ? v->use_database : x->database;
		x->schema = v->use_name;
		break;
	case USE_WAREHOUSE:
		x->warehouse = v->use_name;
		break;
	case USE_ROLE:
		x->role = v->use_name;
		break;
	}
}

static bool effect_parameters(struct call *c, struct context *x, const struct guard_verdict *v)
{
	json_t *parameters = x->parameters ? json_deep_copy(x->parameters) : json_object();

	for (size_t i = 0; i < v->parameters_n; i++) {
		if (v->parameters[i].value)
			json_object_set_new(parameters, v->parameters[i].name, json_string(v->parameters[i].value));
		else
			json_object_del(parameters, v->parameters[i].name);
	}
	x->parameters = parameters;
	return arena_attach(c->arena, parameters, json_release);
}

static int plan_effect(struct call *c, const struct guard_verdict *v)
{
	struct context x = c->context;
	const char *why;

	if (json_bool_of(c->arguments, "dry_run", false)) {
		tool_error(c, ERR_INVALID_PARAMS, NULL, NULL,
			   "dry_run: USE and ALTER SESSION have no plan to show; leave dry_run out to execute them");
		return ERR_INVALID_PARAMS;
	}
	if (!*c->session_id) {
		tool_error(
		    c, ERR_SESSION, NULL, NULL,
		    "USE and ALTER SESSION need a session: call set_context, it returns one; then pass its `session`");
		return ERR_SESSION;
	}
	if (v->effect == EFFECT_USE)
		effect_use(&x, v);
	else if (!effect_parameters(c, &x, v))
		return refuse_memory(c);
	if (policy_check(c->arena, c->request->policy, &x, &why) != ERR_OK) {
		tool_error(c, ERR_POLICY, NULL, NULL, "%s", why);
		return ERR_POLICY;
	}
	c->change.wanted = true;
	c->change.context = x;
	return plan_probe(c, &x);
}

void confirm_execute_query(struct call *c)
{
	probe_read(c, &c->plan[0], &c->change.context);
}

static void answer_effect(struct call *c)
{
	json_t *context = context_json(&c->change.context);

	buf_adds(&c->answer.text, "The session's context is now ");
	json_write(&c->answer.text, context);
	buf_adds(&c->answer.text, ".");
	json_decref(context);
}

/* ---- the statement ---- */

static bool bind_value(struct call *c, struct statement *s, const json_t *value)
{
	char text[64];

	if (json_is_integer(value)) {
		snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		return statement_bind(c, s, "FIXED", text);
	}
	if (json_is_real(value)) {
		snprintf(text, sizeof text, "%.17g", json_real_value(value));
		return statement_bind(c, s, "REAL", text);
	}
	if (json_is_boolean(value))
		return statement_bind(c, s, "BOOLEAN", json_is_true(value) ? "true" : "false");
	return statement_bind(c, s, "TEXT", json_string_value(value));
}

bool bind_all(struct call *c, struct statement *s)
{
	const json_t *values = json_object_get(c->arguments, "bindings");
	const json_t *value;
	size_t i;

	json_array_foreach(values, i, value) if (!bind_value(c, s, value))
	{
		tool_error(c, ERR_NOMEM, NULL, NULL, "bindings: too large");
		return false;
	}
	return true;
}

/* Without a current database SHOW would look everywhere. */
int within_databases(struct call *c, const char *sql, const struct context *x)
{
	const struct texts databases = c->request->policy->databases;
	struct bounds_verdict v = {.reason = "a current database is needed", .advice = "Name one in `database`."};
	char where[64] = "";

	if (databases.n == 0 || (x->database && sql_within(c->arena, slice_of(sql), databases, &v)))
		return ERR_OK;
	if (v.line)
		snprintf(where, sizeof where, " (line %d, column %d)", v.line, v.column);
	tool_error(c, ERR_POLICY, NULL, NULL, "%s%s.%s%s", v.reason, where, v.advice ? " " : "",
		   v.advice ? v.advice : "");
	return ERR_POLICY;
}

static int plan_statement(struct call *c, const char *sql, const struct guard_verdict *v)
{
	struct context x;
	struct statement *s;
	bool asked = false;
	int rc = arguments_context(c, &x);

	if (rc == ERR_OK)
		rc = within_databases(c, sql, &x);
	if (rc != ERR_OK)
		return rc;
	c->class = v->class;
	if (json_bool_of(c->arguments, "dry_run", false))
		return plan_dry_run(c, sql, &x, v);
	if (v->destructive)
		rc = confirm_statement(c, sql, &x, &asked);
	if (rc != ERR_OK || asked)
		return rc;
	s = plan_add(c, STATEMENT_RUN, sql, &x);
	if (!s || !bind_all(c, s))
		return ERR_NOMEM;
	s->write = v->class & (CLASS_DML | CLASS_DDL | CLASS_DCL);
	s->timeout_s = argument_int(c->arguments, "timeout_seconds", s->timeout_s);
	return statement_settings(c, s);
}

/* Alone in its request it would be forgotten at once (snowflake-rest.md A.7). */
static int refuse_transaction(struct call *c)
{
	tool_error(c, ERR_GUARD, NULL, NULL,
		   "a transaction does not outlive one call. Send the whole of it as one text: BEGIN; ...; COMMIT");
	return ERR_GUARD;
}

/* The same key, the same arguments: the first outcome. How rows are shown is not among the arguments. */
static int claim_key(struct call *c)
{
	static const char *const shown[] = {"idempotency_key", "wait_seconds", "limit", "format", "to", "session"};
	const char *key = json_text_of(c->arguments, "idempotency_key");
	struct buf text = buf_with_ceiling(8 << 20), hex = buf_with_ceiling(80);
	json_t *arguments;
	struct sha256 hash;

	if (!key || c->plan_n != 1 || !c->plan[0].write)
		return ERR_OK;
	principal_encode(&text, &c->request->principal);
	buf_adds(&text, key);
	hash = crypt_sha256(text.data, text.n);
	hex_encode(&hex, hash.bytes, sizeof hash.bytes);
	c->op.claim = arena_strdup(c->arena, buf_text(&hex));
	buf_clear(&text);
	buf_clear(&hex);
	arguments = json_copy(c->arguments);
	for (size_t i = 0; i < ARRAY_LEN(shown); i++)
		json_object_del(arguments, shown[i]);
	json_write_canonical(&text, arguments);
	json_decref(arguments);
	hash = crypt_sha256(text.data, text.n);
	hex_encode(&hex, hash.bytes, sizeof hash.bytes);
	c->op.digest = arena_strdup(c->arena, buf_text(&hex));
	buf_free(&text);
	buf_free(&hex);
	return c->op.claim && c->op.digest ? ERR_OK : refuse_memory(c);
}

static int plan_query(struct call *c)
{
	const char *sql = json_text_of(c->arguments, "query");
	struct guard_verdict v;

	arguments_window(c, (size_t)c->request->conf->results_default_rows);
	if (is_script(c, sql))
		return plan_script(c, sql);
	if (guard_check(c->arena, slice_of(sql), c->request->policy->statements, &v) != ERR_OK) {
		tool_error(c, ERR_NOMEM, NULL, NULL, "query: too large");
		return ERR_NOMEM;
	}
	if (!v.allowed)
		return guard_refused(c, &v);
	if (v.transaction != TRANSACTION_NONE)
		return refuse_transaction(c);
	if (v.effect != EFFECT_NONE) {
		int rc = require_connection(c);

		return rc == ERR_OK ? plan_effect(c, &v) : rc;
	}
	return plan_statement(c, sql, &v);
}

int plan_execute_query(struct call *c)
{
	int rc = plan_query(c);

	return rc == ERR_OK ? claim_key(c) : rc;
}

void answer_execute_query(struct call *c)
{
	if (c->change.wanted) {
		answer_effect(c);
	} else if (json_bool_of(c->arguments, "dry_run", false)) {
		answer_dry_run(c);
	} else {
		answer_rows(c);
		script_told(c);
	}
}

/* ---- get_result, cancel_query ---- */

int plan_get_result(struct call *c)
{
	char query_id[64];
	struct statement *s;
	int rc;

	arguments_window(c, (size_t)c->request->conf->results_default_rows);
	rc = argument_handle(c, query_id);
	if (rc != ERR_OK)
		return rc;
	s = plan_add(c, STATEMENT_ATTACH, NULL, &c->context);
	if (!s)
		return ERR_NOMEM;
	memcpy(s->handle, query_id, sizeof query_id);
	return ERR_OK;
}

void answer_get_result(struct call *c)
{
	answer_rows(c);
	script_told(c);
}

int plan_cancel_query(struct call *c)
{
	char query_id[64];
	struct statement *s;
	int rc = argument_handle(c, query_id);

	if (rc != ERR_OK)
		return rc;
	s = plan_add(c, STATEMENT_CANCEL, NULL, &c->context);
	if (!s)
		return ERR_NOMEM;
	memcpy(s->handle, query_id, sizeof query_id);
	return ERR_OK;
}

/* Snowflake's answer to a cancel that comes too late (snowflake-rest.md A.6). */
static bool ended_before(const struct statement *s)
{
	return s->state == STATEMENT_SUCCEEDED || (s->failure.code && strcmp(s->failure.code, "000605") == 0);
}

void answer_cancel_query(struct call *c)
{
	const struct statement *s = &c->plan[0];

	if (s->state == STATEMENT_CANCELLED)
		buf_addf(&c->answer.text, "Cancelled statement %s.", s->handle);
	else if (ended_before(s))
		buf_addf(&c->answer.text, "Statement %s had already ended; get_result has its outcome.", s->handle);
	else
		tool_statement_error(c, s);
}
