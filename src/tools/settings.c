/* Session parameters that travel as an ALTER SESSION in front of the statement. */
#include "tools_internal.h"

int statement_settings(struct call *c, struct statement *s)
{
	struct buf b = buf_with_ceiling(64 << 10);
	const char *text;

	sql_parameters_write(&b, s->context.parameters);
	if (!buf_failed(&b) && !b.n) {
		buf_free(&b);
		return ERR_OK;
	}
	text = arena_text(c->arena, &b);
	if (!text)
		return refuse_memory(c);
	if (json_array_size(s->bindings)) {
		tool_error(
		    c, ERR_INVALID_PARAMS, NULL, NULL,
		    "bindings: Snowflake takes none beside session parameters that need an ALTER SESSION (%s). Write "
		    "the values into the query, or unset these parameters",
		    text + sizeof "ALTER SESSION SET" - 1);
		return ERR_INVALID_PARAMS;
	}
	s->settings = text;
	return ERR_OK;
}
