/* A submission's query parameters and body, checked member by member. */
#include "request.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "snowgate/crypt.h"

#define BINDINGS_MAX 16384

static const char *const parameter_names[] = {
    "BINARY_OUTPUT_FORMAT",        "CLIENT_RESULT_CHUNK_SIZE",
    "DATE_OUTPUT_FORMAT",          "TIME_OUTPUT_FORMAT",
    "TIMESTAMP_OUTPUT_FORMAT",     "TIMESTAMP_LTZ_OUTPUT_FORMAT",
    "TIMESTAMP_NTZ_OUTPUT_FORMAT", "TIMESTAMP_TZ_OUTPUT_FORMAT",
    "MULTI_STATEMENT_COUNT",       "QUERY_TAG",
    "ROWS_PER_RESULTSET",          "TIMEZONE",
    "USE_CACHED_RESULT",
};

static const char *const binding_types[] = {
    "FIXED", "REAL", "DECFLOAT",      "TEXT",          "BINARY",       "BOOLEAN",
    "DATE",  "TIME", "TIMESTAMP_NTZ", "TIMESTAMP_LTZ", "TIMESTAMP_TZ",
};

struct reader {
	struct submission *s;
	char *why;
	size_t size;
};

static bool PRINTF_LIKE(2, 3) bad(struct reader *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(r->why, r->size, format, args);
	va_end(args);
	return false;
}

bool text_is_uuid(const char *text)
{
	size_t i;

	for (i = 0; text[i] && i < 36; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23 ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
			return false;
	}
	return i == 36 && !text[i];
}

static bool in_list(const char *word, const char *const *list, size_t n, bool any_case)
{
	for (size_t i = 0; i < n; i++) {
		if (!(any_case ? strcasecmp(word, list[i]) : strcmp(word, list[i])))
			return true;
	}
	return false;
}

static bool read_flag(struct reader *r, const char *name, const char *value, bool otherwise, bool *out)
{
	*out = otherwise;
	if (!value)
		return true;
	if (!strcasecmp(value, "true"))
		*out = true;
	else if (!strcasecmp(value, "false"))
		*out = false;
	else
		return bad(r, "query parameter %s is neither true nor false", name);
	return true;
}

static bool read_query(struct reader *r, const struct request_query *query)
{
	bool nullable;

	if (query->request_id && !text_is_uuid(query->request_id))
		return bad(r, "requestId is not a UUID");
	if (query->request_id)
		memcpy(r->s->request_id, query->request_id, 37);
	else
		crypt_uuid(r->s->request_id);
	if (!read_flag(r, "async", query->async, false, &r->s->async) ||
	    !read_flag(r, "nullable", query->nullable, true, &nullable) ||
	    !read_flag(r, "retry", query->retry, false, &r->s->retry))
		return false;
	r->s->null_is_text = !nullable;
	r->s->retry = r->s->retry && query->request_id;
	return true;
}

static bool read_text(struct reader *r, const char *name, const json_t *value, const char **out)
{
	if (json_is_null(value))
		return true;
	if (!json_is_string(value))
		return bad(r, "%s is not a string", name);
	*out = json_string_value(value);
	return true;
}

/* Parameters come as text from most clients and as numbers from some. */
static bool read_number(struct reader *r, const char *name, const json_t *value, int64_t max, int64_t *out)
{
	if (json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) <= max)
		*out = json_integer_value(value);
	else if (!json_is_string(value) || !parse_int(json_string_value(value), 0, max, out))
		return bad(r, "%s is not a number from 0 to %lld", name, (long long)max);
	return true;
}

static bool read_parameter(struct reader *r, const char *name, const json_t *value)
{
	struct submission *s = r->s;

	if (!in_list(name, parameter_names, ARRAY_LEN(parameter_names), true))
		return bad(r, "parameter %.64s is not supported", name);
	if (json_is_object(value) || json_is_array(value))
		return bad(r, "parameter %.64s is not a scalar", name);
	if (!strcasecmp(name, "QUERY_TAG"))
		return read_text(r, name, value, &s->query_tag);
	if (!strcasecmp(name, "TIMEZONE"))
		return read_text(r, name, value, &s->context.timezone);
	if (!strcasecmp(name, "MULTI_STATEMENT_COUNT"))
		return read_number(r, name, value, 10000, &s->statements);
	if (!strcasecmp(name, "ROWS_PER_RESULTSET"))
		return read_number(r, name, value, INT32_MAX, &s->rows_max);
	if (!strcasecmp(name, "CLIENT_RESULT_CHUNK_SIZE"))
		return read_number(r, name, value, 160, &s->chunk_mib);
	return true;
}

static bool read_parameters(struct reader *r, json_t *parameters)
{
	const char *name;
	json_t *value;

	if (!json_is_object(parameters))
		return bad(r, "parameters is not an object");
	json_object_foreach(parameters, name, value)
	{
		if (!read_parameter(r, name, value))
			return false;
	}
	return true;
}

static bool read_binding(struct reader *r, const char *position, json_t *binding, size_t n)
{
	const char *type = json_text_of(binding, "type"), *member;
	json_t *value;
	int64_t index;

	if (!parse_int(position, 1, (int64_t)n, &index))
		return bad(r, "bindings are not numbered 1 to %zu", n);
	json_object_foreach(binding, member, value)
	{
		if (strcmp(member, "type") && strcmp(member, "value"))
			return bad(r, "binding %.16s has an unknown member %.64s", position, member);
	}
	value = json_object_get(binding, "value");
	if (!type || !in_list(type, binding_types, ARRAY_LEN(binding_types), false))
		return bad(r, "binding %.16s has no known type", position);
	if (!json_is_string(value) && !json_is_null(value))
		return bad(r, "the value of binding %.16s is not a string", position);
	r->s->bindings[index - 1] = (struct engine_binding){type, json_string_value(value)};
	return true;
}

static bool read_bindings(struct reader *r, json_t *bindings)
{
	size_t n = json_object_size(bindings);
	const char *position;
	json_t *binding;

	if (!json_is_object(bindings) || n > BINDINGS_MAX)
		return bad(r, "bindings is not an object, or has too many members");
	if (!n)
		return true;
	r->s->bindings = xalloc(n * sizeof(*r->s->bindings));
	r->s->bindings_n = n;
	json_object_foreach(bindings, position, binding)
	{
		if (!read_binding(r, position, binding, n))
			return false;
	}
	for (size_t i = 0; i < n; i++) {
		if (!r->s->bindings[i].type)
			return bad(r, "bindings are not numbered 1 to %zu", n);
	}
	return true;
}

static bool read_timeout(struct reader *r, const json_t *value)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    json_integer_value(value) > REQUEST_TIMEOUT_MAX_S)
		return bad(r, "timeout is not a number of seconds from 0 to %d", REQUEST_TIMEOUT_MAX_S);
	r->s->timeout_s = json_integer_value(value) ? json_integer_value(value) : REQUEST_TIMEOUT_MAX_S;
	return true;
}

static bool read_member(struct reader *r, const char *name, json_t *value)
{
	struct engine_context *c = &r->s->context;

	if (!strcmp(name, "statement"))
		return read_text(r, name, value, &r->s->sql);
	if (!strcmp(name, "timeout"))
		return read_timeout(r, value);
	if (!strcmp(name, "database"))
		return read_text(r, name, value, &c->database);
	if (!strcmp(name, "schema"))
		return read_text(r, name, value, &c->schema);
	if (!strcmp(name, "warehouse"))
		return read_text(r, name, value, &c->warehouse);
	if (!strcmp(name, "role"))
		return read_text(r, name, value, &c->role);
	if (!strcmp(name, "bindings"))
		return read_bindings(r, value);
	if (!strcmp(name, "parameters"))
		return read_parameters(r, value);
	return bad(r, "unknown member %.64s", name);
}

bool submission_read(struct slice body, const struct request_query *query, struct submission *out, char *why,
		     size_t size)
{
	struct reader r = {out, why, size};
	const char *name;
	json_t *value;

	memset(out, 0, sizeof(*out));
	out->timeout_s = REQUEST_TIMEOUT_S;
	out->statements = 1;
	if (!read_query(&r, query))
		return false;
	if (json_parse(body, JSON_DEPTH_MAX, &out->body, NULL, 0) != JSON_OK) {
		out->body = NULL;
		return bad(&r, "the body is not JSON");
	}
	if (!json_is_object(out->body))
		return bad(&r, "the body is not an object");
	json_object_foreach(out->body, name, value)
	{
		if (!read_member(&r, name, value))
			return false;
	}
	if (!out->sql)
		return bad(&r, "statement is missing");
	if (out->statements != 1 && out->bindings_n)
		return bad(&r, "bindings are not supported with several statements");
	return true;
}

void submission_free(struct submission *s)
{
	json_decref(s->body);
	free(s->bindings);
	free(s->user);
	free(s->user_agent);
	for (size_t i = 0; i < REQUEST_OWN_TEXTS; i++)
		free(s->own[i]);
	memset(s, 0, sizeof(*s));
}

void submission_own(struct submission *s)
{
	struct engine_context *c = &s->context;
	const char **const texts[REQUEST_OWN_TEXTS] = {&c->role,   &c->warehouse, &c->database,
						       &c->schema, &c->granted,   &c->timezone};

	c->user = s->user;
	for (size_t i = 0; i < REQUEST_OWN_TEXTS; i++) {
		s->own[i] = *texts[i] ? xstrdup(*texts[i]) : NULL;
		*texts[i] = s->own[i];
	}
}

void submission_copy(const struct submission *s, const struct engine_context *context, struct submission *out)
{
	*out = *s;
	json_incref(out->body);
	out->bindings = NULL;
	out->bindings_n = 0;
	out->user = xstrdup(s->user);
	out->user_agent = xstrdup(s->user_agent);
	out->context = *context;
	submission_own(out);
}

const json_t *submission_parameter(const struct submission *s, const char *name)
{
	const char *given;
	json_t *value;

	json_object_foreach(json_object_get(s->body, "parameters"), given, value)
	{
		if (!strcasecmp(given, name))
			return value;
	}
	return NULL;
}
