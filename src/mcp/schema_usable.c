/* Tells at load whether a tool's schema keeps to the keywords that schema_check() and modern_check_params() know. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "internal.h"

/* The headers that one schema asks for must differ; more than this many in one schema are refused. */
#define HEADERS_MAX 16

struct walk {
	const char *headers[HEADERS_MAX];
	size_t headers_n;
	const char *keyword; /* the culprit */
};

static bool usable(struct walk *w, const json_t *schema, bool reachable);

static bool is_type(const json_t *name)
{
	static const char *const types[] = {"object", "array", "string", "integer", "number", "boolean", "null"};
	for (size_t i = 0; json_is_string(name) && i < ARRAY_LEN(types); i++)
		if (strcmp(types[i], json_string_value(name)) == 0)
			return true;
	return false;
}

static bool is_types(const json_t *value)
{
	for (size_t i = 0; i < json_array_size(value); i++)
		if (!is_type(json_array_get(value, i)))
			return false;
	return is_type(value) || json_array_size(value) > 0;
}

static bool is_strings(const json_t *value)
{
	for (size_t i = 0; i < json_array_size(value); i++)
		if (!json_is_string(json_array_get(value, i)))
			return false;
	return json_is_array(value);
}

static bool is_choices(const json_t *value)
{
	return json_array_size(value) > 0;
}

static bool is_count(const json_t *value)
{
	return json_is_integer(value) && json_integer_value(value) >= 0;
}

static bool is_number(const json_t *value)
{
	return json_is_number(value);
}

static bool is_anything(const json_t *value)
{
	return value != NULL;
}

static bool is_object(const json_t *value)
{
	return json_is_object(value);
}

static bool is_schema(const json_t *value)
{
	return json_is_object(value) || json_is_boolean(value);
}

/* mcp-protocol.md 6: what is written in another dialect is not understood here. */
static bool is_dialect(const json_t *value)
{
	const char *name = json_string_value(value);
	return name && strcmp(name, "https://json-schema.org/draft/2020-12/schema") == 0;
}

/* Every keyword that may stand in a schema, with the form its value must have. Annotations take any. */
static const struct {
	const char *name;
	bool (*is_formed)(const json_t *);
} keywords[] = {
    {"type", is_types},
    {"enum", is_choices},
    {"const", is_anything},
    {"properties", is_object},
    {"required", is_strings},
    {"additionalProperties", is_schema},
    {"items", is_schema},
    {"minItems", is_count},
    {"maxItems", is_count},
    {"minimum", is_number},
    {"maximum", is_number},
    {"exclusiveMinimum", is_number},
    {"exclusiveMaximum", is_number},
    {"minLength", is_count},
    {"maxLength", is_count},
    {"x-mcp-header", is_anything},
    {"$schema", is_dialect},
    {"$id", is_anything},
    {"$comment", is_anything},
    {"title", is_anything},
    {"description", is_anything},
    {"default", is_anything},
    {"examples", is_anything},
    {"format", is_anything},
    {"deprecated", is_anything},
    {"readOnly", is_anything},
    {"writeOnly", is_anything},
};

static bool is_known(const char *keyword, const json_t *value)
{
	for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
		if (strcmp(keywords[i].name, keyword) == 0)
			return keywords[i].is_formed(value);
	return false;
}

/* RFC 9110, 5.6.2. */
static bool is_token(const char *text)
{
	for (const char *c = text; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("!#$%&'*+-.^_`|~", *c))
			return false;
	return *text != '\0';
}

/* mcp-protocol.md 5.4: a token, unique without regard to case, on a string, integer or boolean that only `properties`
 * lead to. */
static bool header_is_usable(struct walk *w, const json_t *schema, bool reachable)
{
	const json_t *header = json_object_get(schema, "x-mcp-header");
	const char *type = json_text_of(schema, "type"), *name = json_string_value(header);

	if (!header)
		return true;
	if (!name || !is_token(name) || !reachable || w->headers_n == HEADERS_MAX)
		return false;
	if (!type || (strcmp(type, "string") != 0 && strcmp(type, "integer") != 0 && strcmp(type, "boolean") != 0))
		return false;
	for (size_t i = 0; i < w->headers_n; i++)
		if (strcasecmp(w->headers[i], name) == 0)
			return false;
	w->headers[w->headers_n++] = name;
	return true;
}

static bool all_usable(struct walk *w, const json_t *properties, bool reachable)
{
	const char *key;
	json_t *property;

	json_object_foreach((json_t *)properties, key, property)
	{
		if (is_schema(property) && usable(w, property, reachable))
			continue;
		w->keyword = w->keyword ? w->keyword : "properties";
		return false;
	}
	return true;
}

static bool usable(struct walk *w, const json_t *schema, bool reachable)
{
	const char *keyword;
	json_t *value;

	if (!json_is_object(schema)) /* absent, true or false */
		return true;
	json_object_foreach((json_t *)schema, keyword, value)
	{
		if (is_known(keyword, value))
			continue;
		w->keyword = keyword;
		return false;
	}
	if (!header_is_usable(w, schema, reachable)) {
		w->keyword = "x-mcp-header";
		return false;
	}
	return all_usable(w, json_object_get(schema, "properties"), reachable) &&
	       usable(w, json_object_get(schema, "items"), false) &&
	       usable(w, json_object_get(schema, "additionalProperties"), false);
}

bool schema_usable(const json_t *schema, const char **keyword)
{
	struct walk w = {.headers_n = 0};
	const char *type = json_text_of(schema, "type");
	bool is_whole = type && strcmp(type, "object") == 0;
	bool is_usable = is_whole && usable(&w, schema, true);

	*keyword = is_usable ? NULL : is_whole ? w.keyword : "type";
	return is_usable;
}
