/* Arguments of a tool, read into what the plan needs: context within the policy, window, identifiers. */
#include "tools_internal.h"

#include <string.h>

int argument_ident(struct call *c, const char *name, const char **out)
{
	const char *text = json_text_of(c->arguments, name);

	*out = NULL;
	if (!text)
		return ERR_OK;
	*out = sql_ident_fold(c->arena, slice_of(text));
	if (*out)
		return ERR_OK;
	tool_error(c, ERR_INVALID_PARAMS, NULL, NULL,
		   "%s: not an identifier: %.100s; write a plain name, or one in double quotes to keep its case", name,
		   text);
	return ERR_INVALID_PARAMS;
}

int refuse_memory(struct call *c)
{
	tool_error(c, ERR_NOMEM, NULL, NULL, "the arguments are too large for one call");
	return ERR_NOMEM;
}

int require_connection(struct call *c)
{
	if (c->request->policy->connection)
		return ERR_OK;
	tool_error(c, ERR_UPSTREAM, NULL, NULL,
		   "no Snowflake connection is configured; the operator adds one to snowflake.connections or "
		   "connections.toml");
	return ERR_UPSTREAM;
}

int arguments_context(struct call *c, struct context *out)
{
	const char *database, *schema, *warehouse, *role, *why;
	struct context fixed;

	if (argument_ident(c, "database", &database) != ERR_OK || argument_ident(c, "schema", &schema) != ERR_OK ||
	    argument_ident(c, "warehouse", &warehouse) != ERR_OK || argument_ident(c, "role", &role) != ERR_OK)
		return ERR_INVALID_PARAMS;
	*out = c->context;
	if (database && (!out->database || strcmp(database, out->database) != 0))
		out->schema = NULL;
	out->database = database ? database : out->database;
	out->schema = schema ? schema : out->schema;
	/* What the session leaves open is the policy's to say, not the default of Snowflake's user. */
	policy_context(c->request->policy, &fixed);
	out->warehouse = warehouse ? warehouse : out->warehouse ? out->warehouse : fixed.warehouse;
	out->role = role ? role : out->role ? out->role : fixed.role;
	if (policy_check(c->arena, c->request->policy, out, &why) == ERR_OK)
		return require_connection(c);
	tool_error(c, ERR_POLICY, NULL, NULL, "%s", why);
	return ERR_POLICY;
}

int64_t argument_int(const json_t *object, const char *name, int64_t otherwise)
{
	int64_t value;

	return schema_integer(json_object_get(object, name), &value) ? value : otherwise;
}

static enum rows_format format_of(const struct call *c)
{
	const char *format = json_text_of(c->arguments, "format");

	if (!format)
		format = c->preferred_format;
	return format && strcmp(format, "json") == 0 ? ROWS_JSON : ROWS_CSV;
}

void arguments_window(struct call *c, size_t default_rows)
{
	const struct conf *conf = c->request->conf;
	int64_t limit =
	    argument_int(c->arguments, "limit", c->preferred_limit > 0 ? c->preferred_limit : (int64_t)default_rows);
	int64_t wait = argument_int(c->arguments, "wait_seconds",
				    c->preferred_wait >= 0 ? c->preferred_wait : conf->results_wait / USEC_PER_S);

	if (limit > conf->results_max_rows)
		limit = conf->results_max_rows;
	c->format = format_of(c);
	c->offset = (size_t)argument_int(c->arguments, "offset", 0);
	c->budget =
	    (struct rows_budget){(size_t)limit, (size_t)conf->results_max_bytes, (size_t)conf->results_max_cell};
	c->deadline = clock_now() + wait * USEC_PER_S;
}
