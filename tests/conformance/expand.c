/* Puts the values of a call into the texts of a fixture. */
#include "fixtures.h"

#include <string.h>

#define EXPANDED_MAX (1 << 20)

json_t *scope_of(const struct call *c)
{
	json_t *scope = json_object(), *arguments = c->arguments;

	if (!arguments)
		arguments = json_object_get(c->rpc.params, "arguments");
	json_object_set(scope, "arguments", arguments);
	json_object_update(scope, c->answers);
	return scope;
}

/* The value at "a/b/c". Borrowed. */
static const json_t *at_path(const json_t *scope, struct slice path)
{
	while (scope && path.n) {
		size_t n = 0;

		while (n < path.n && path.data[n] != '/')
			n++;
		scope = json_object_getn(scope, path.data, n);
		n += n < path.n;
		path.data += n;
		path.n -= n;
	}
	return scope;
}

static void add_value(struct buf *b, const json_t *value)
{
	if (json_is_string(value))
		buf_add(b, json_string_value(value), json_string_length(value));
	else if (value)
		json_write(b, value);
}

static json_t *expand_text(const char *text, const json_t *scope)
{
	struct buf b = buf_with_ceiling(EXPANDED_MAX);
	const char *mark, *end;
	json_t *out;

	while ((mark = strstr(text, "${")) && (end = strchr(mark, '}'))) {
		buf_add(&b, text, (size_t)(mark - text));
		add_value(&b, at_path(scope, (struct slice){mark + 2, (size_t)(end - mark - 2)}));
		text = end + 1;
	}
	buf_adds(&b, text);
	out = json_string(buf_text(&b));
	buf_free(&b);
	return out;
}

json_t *expand(const json_t *value, const json_t *scope)
{
	const char *key;
	json_t *member, *out;

	if (json_is_string(value))
		return expand_text(json_string_value(value), scope);
	if (json_is_array(value)) {
		out = json_array();
		for (size_t i = 0; i < json_array_size(value); i++)
			json_array_append_new(out, expand(json_array_get(value, i), scope));
		return out;
	}
	if (!json_is_object(value))
		return json_deep_copy(value);
	out = json_object();
	json_object_foreach((json_t *)value, key, member) json_object_set_new(out, key, expand(member, scope));
	return out;
}
