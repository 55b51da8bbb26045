/* The request body of a statement, written without a tree: statement, limits, context, bindings, parameters. */
#include "snowgate/snowflake.h"

#include <string.h>
#include <strings.h>

#define QUERY_TAG_MAX 2000

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

static void add_query_tag(struct buf *b, const char *tag, const char *session_tag)
{
	struct buf text = buf_with_ceiling(2 * QUERY_TAG_MAX);

	buf_addf(&text, "%.*s", QUERY_TAG_MAX, tag);
	if (session_tag && session_tag[0] && text.n + 1 + strlen(session_tag) <= QUERY_TAG_MAX)
		buf_addf(&text, ":%s", session_tag);
	buf_adds(b, ",\"QUERY_TAG\":");
	json_write_string(b, buf_text(&text), text.n);
	buf_free(&text);
}

/* MULTI_STATEMENT_COUNT stays 1 whatever the session says: Snowflake itself then refuses a second statement. */
static void add_parameters(struct buf *b, json_t *parameters, const char *query_tag)
{
	const char *key, *session_tag = NULL;
	json_t *value;

	buf_adds(b, ",\"parameters\":{\"MULTI_STATEMENT_COUNT\":\"1\"");
	json_object_foreach(parameters, key, value)
	{
		if (!strcasecmp(key, "MULTI_STATEMENT_COUNT"))
			continue;
		if (!strcasecmp(key, "QUERY_TAG")) {
			session_tag = json_string_value(value);
			continue;
		}
		buf_addc(b, ',');
		json_write_string(b, key, strlen(key));
		buf_addc(b, ':');
		json_write(b, value);
	}
	if ((query_tag && query_tag[0]) || session_tag)
		add_query_tag(b, query_tag ? query_tag : "", session_tag);
	buf_addc(b, '}');
}

bool statement_body(struct buf *b, const struct statement *s, const char *query_tag)
{
	buf_adds(b, "{\"statement\":");
	json_write_string(b, s->sql, strlen(s->sql));
	if (s->timeout_s > 0)
		buf_addf(b, ",\"timeout\":%lld", (long long)s->timeout_s);
	add_text(b, "database", s->context.database);
	add_text(b, "schema", s->context.schema);
	add_text(b, "warehouse", s->context.warehouse);
	add_text(b, "role", s->context.role);
	add_bindings(b, s->bindings);
	add_parameters(b, s->context.parameters, query_tag);
	return buf_addc(b, '}');
}
