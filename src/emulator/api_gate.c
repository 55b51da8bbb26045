/* What every request must bring, and the names in its context. */
#include "api_parts.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "engine.h"

static bool accepts_json(const char *accept)
{
	return !accept || strstr(accept, "*/*") || strcasestr(accept, "application/json") ||
	       strstr(accept, "application/*");
}

/* None at all is taken as JSON. */
static bool type_is_json(const char *type)
{
	size_t n = strlen("application/json");

	return !type || (!strncasecmp(type, "application/json", n) && (!type[n] || type[n] == ';' || type[n] == ' '));
}

/* What every request must bring. False when it has been refused. */
bool request_passes(struct request *r)
{
	struct exchange *e = r->exchange;
	const char *agent = exchange_header(e, "User-Agent");
	struct token_refusal refusal;

	if (!agent || !*agent) {
		request_fail(r, 400, "390400", NULL, "The User-Agent header is required.");
		return false;
	}
	if (!token_check(r->emulator->keyring, exchange_header(e, "Authorization"),
			 exchange_header(e, "X-Snowflake-Authorization-Token-Type"), &r->caller, &refusal)) {
		request_fail(r, 401, refusal.code, NULL, refusal.message);
		return false;
	}
	if (!accepts_json(exchange_header(e, "Accept")) && !request_is_cortex(r)) {
		request_fail(r, 406, "390406", NULL, "Accept must allow application/json.");
		return false;
	}
	if (e->body_too_large) {
		request_fail(r, 413, "390142", NULL, "The request body is too large.");
		return false;
	}
	if ((r->operation == OP_SUBMIT || request_is_cortex(r)) && !type_is_json(exchange_header(e, "Content-Type"))) {
		request_fail(r, 415, "390415", NULL, "Content-Type must be application/json.");
		return false;
	}
	return true;
}

static bool role_is_allowed(const struct caller *caller, const char *role)
{
	for (size_t i = 0; i < caller->roles_n; i++) {
		if (!strcmp(caller->roles[i], role))
			return true;
	}
	return !caller->roles_n;
}

bool refuse_name(struct request *r, unsigned status, const char *code, const char *kind, const char *name,
		 const char *why)
{
	char message[320];

	(void)snprintf(message, sizeof(message), "%s '%.200s' specified in the request %s.", kind, name, why);
	request_fail(r, status, code, "02000", message);
	return false;
}

/* A role that the token does not carry: a PAT is refused what lies outside its restriction, OAuth logs in anew. */
static bool refuse_role(struct request *r, const char *role)
{
	char message[400];

	if (r->caller.kind == TOKEN_PAT)
		return refuse_name(r, 403, "390189", "Role", role, "is outside of the token's role restriction");
	(void)snprintf(message, sizeof(message),
		       "The role requested in the connection or the default role if none was requested in the "
		       "connection ('%.200s') is not listed in the Access Token or was filtered.",
		       role);
	request_fail(r, 401, "390317", NULL, message);
	return false;
}

bool role_holds(struct request *r, const char *role)
{
	struct engine *engine = r->emulator->engine;

	if (!role_is_allowed(&r->caller, role))
		return refuse_role(r, role);
	if (r->caller.granted ? engine_role_is_granted(r->caller.granted, role)
			      : !engine || engine_has_role(engine, r->caller.user, role))
		return true;
	return refuse_name(r, 422, "390189", "Role", role, "does not exist or is not granted to the user");
}

/* What the request leaves open is the user's default, a role within the token's restriction. */
void context_complete(const struct request *r, const char **role, const char **warehouse)
{
	const struct caller *caller = &r->caller;

	if (!*role && caller->default_role && role_is_allowed(caller, caller->default_role))
		*role = caller->default_role;
	if (!*role && caller->roles_n)
		*role = caller->roles[0];
	if (!*warehouse)
		*warehouse = caller->default_warehouse;
}

/* Names in the request's context, as a login would check them. With --stub only roles count. */
bool context_holds(struct request *r, struct engine_context *c)
{
	struct engine *engine = r->emulator->engine;

	context_complete(r, &c->role, &c->warehouse);
	c->granted = r->caller.granted;
	if (c->role && !role_holds(r, c->role))
		return false;
	if (!engine)
		return true;
	if (c->database && !engine_has_database(engine, c->database))
		return refuse_name(r, 422, "391918", "Database", c->database, "does not exist or is not authorized");
	if (c->warehouse && !engine_has_warehouse(engine, c->warehouse))
		return refuse_name(r, 422, "391920", "Warehouse", c->warehouse, "does not exist or is not authorized");
	return true;
}

/* Output formats that the engine does not write are refused: cells in another form would be wrong answers. */
bool formats_hold(struct request *r, const struct submission *u)
{
	static const char *const names[] = {
	    "DATE_OUTPUT_FORMAT",          "TIME_OUTPUT_FORMAT",          "TIMESTAMP_OUTPUT_FORMAT",
	    "TIMESTAMP_LTZ_OUTPUT_FORMAT", "TIMESTAMP_NTZ_OUTPUT_FORMAT", "TIMESTAMP_TZ_OUTPUT_FORMAT",
	    "BINARY_OUTPUT_FORMAT",
	};
	char message[96];

	for (size_t i = 0; r->emulator->engine && i < ARRAY_LEN(names); i++) {
		const char *value = json_string_value(submission_parameter(u, names[i]));

		if (!value || !*value || !strcasecmp(value, "AUTO") || !strcasecmp(value, "HEX"))
			continue;
		(void)snprintf(message, sizeof(message), "Unsupported feature '%s'.", names[i]);
		request_fail(r, 422, "000002", "0A000", message);
		return false;
	}
	return true;
}
