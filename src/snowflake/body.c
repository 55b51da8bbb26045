/* The request body of a statement, written without a tree: statement, limits, context, bindings, parameters. */
#include "snowgate/snowflake.h"

#include <string.h>
#include <strings.h>

#define STATEMENT_MAX ((size_t)512 << 10) /* SQL and what goes before it */

static void add_text(struct buf *b, const char *key, const char *text)
{
	if (!text || !text[0])
		return;
	buf_addf(b, ",\"%s\":", key);
	json_write_string(b, text, strlen(text));
}

static void add_bindings(struct buf *b, const json_t *bindings)
{
	size_t i;
	json_t *value;

	if (!json_array_size(bindings))
		return;
	buf_adds(b, ",\"bindings\":{");
	json_array_foreach(bindings, i, value)
	{
		buf_addf(b, "%s\"%zu\":", i ? "," : "", i + 1);
		json_write(b, value);
	}
	buf_addc(b, '}');
}

/* Of a multi-statement request the number must be exact: Snowflake itself then refuses a statement that nobody counted.
 */
static void add_count(struct buf *b, const struct statement *s)
{
	size_t n = s->statements > 1 ? s->statements : 1;

	buf_addf(b, "\"MULTI_STATEMENT_COUNT\":\"%zu\"", n + (s->settings ? 1 : 0));
}

static bool is_carried(const char *parameter)
{
	return strcasecmp(parameter, "MULTI_STATEMENT_COUNT") && strcasecmp(parameter, "QUERY_TAG") &&
	       sql_parameter_by(parameter) == PARAMETER_BY_REQUEST;
}

static void add_parameters(struct buf *b, const struct statement *s, const char *tag)
{
	const char *key;
	json_t *value;

	buf_adds(b, ",\"parameters\":{");
	add_count(b, s);
	json_object_foreach(s->context.parameters, key, value)
	{
		if (!is_carried(key))
			continue;
		buf_addc(b, ',');
		json_write_string(b, key, strlen(key));
		buf_addc(b, ':');
		json_write(b, value);
	}
	add_text(b, "QUERY_TAG", tag);
	buf_addc(b, '}');
}

static bool add_statement(struct buf *b, const struct statement *s)
{
	struct buf text = buf_with_ceiling(STATEMENT_MAX);
	bool fits = buf_addf(&text, "%s%s%s", s->settings ? s->settings : "", s->settings ? "; " : "", s->sql);

	json_write_string(b, buf_text(&text), text.n);
	buf_free(&text);
	return fits;
}

bool statement_body(struct buf *b, const struct statement *s, const char *tag)
{
	buf_adds(b, "{\"statement\":");
	if (!add_statement(b, s))
		return false;
	if (s->timeout_s > 0)
		buf_addf(b, ",\"timeout\":%lld", (long long)s->timeout_s);
	add_text(b, "database", s->context.database);
	add_text(b, "schema", s->context.schema);
	add_text(b, "warehouse", s->context.warehouse);
	add_text(b, "role", s->context.role);
	add_bindings(b, s->bindings);
	add_parameters(b, s, tag);
	return buf_addc(b, '}');
}
