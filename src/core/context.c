/* Copies and shows what a statement runs in. */
#include "snowgate/context.h"

bool context_copy(struct arena *a, const struct context *from, struct context *to)
{
	struct context copy = {
	    .database = arena_strdup(a, from->database),
	    .schema = arena_strdup(a, from->schema),
	    .warehouse = arena_strdup(a, from->warehouse),
	    .role = arena_strdup(a, from->role),
	};
	if ((from->database && !copy.database) || (from->schema && !copy.schema) ||
	    (from->warehouse && !copy.warehouse) || (from->role && !copy.role))
		return false;
	if (from->parameters) {
		copy.parameters = json_deep_copy(from->parameters);
		if (!copy.parameters || !arena_attach(a, copy.parameters, json_release))
			return false;
	}
	*to = copy;
	return true;
}

static char *text_copy(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

void context_set(struct context *to, const struct context *from)
{
	/* Copied before anything is freed: `from` may share texts with `to`. */
	struct context copy = {
	    .database = text_copy(from->database),
	    .schema = text_copy(from->schema),
	    .warehouse = text_copy(from->warehouse),
	    .role = text_copy(from->role),
	    .parameters = from->parameters ? json_deep_copy(from->parameters) : NULL,
	};
	if (from->parameters && !copy.parameters)
		abort();
	context_clear(to);
	*to = copy;
}

void context_clear(struct context *c)
{
	free((char *)c->database);
	free((char *)c->schema);
	free((char *)c->warehouse);
	free((char *)c->role);
	json_decref(c->parameters);
	*c = (struct context){0};
}

static void put_name(json_t *object, const char *key, const char *name)
{
	json_t *value = name ? json_string(name) : NULL;
	json_object_set_new(object, key, value ? value : json_null());
}

json_t *context_json(const struct context *c)
{
	json_t *object = json_object();
	put_name(object, "database", c->database);
	put_name(object, "schema", c->schema);
	put_name(object, "warehouse", c->warehouse);
	put_name(object, "role", c->role);
	return object;
}
