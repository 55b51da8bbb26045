/* Reads what Snowflake says of a result's columns, and says it again. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "snowgate/err.h"
#include "snowgate/rows.h"
#include "text.h"

static const struct {
	const char *type;
	enum column_kind kind;
} types[] = {
    {"FIXED", COLUMN_FIXED},
    {"REAL", COLUMN_REAL},
    {"TEXT", COLUMN_TEXT},
    {"BOOLEAN", COLUMN_BOOLEAN},
    {"DATE", COLUMN_DATE},
    {"TIME", COLUMN_TIME},
    {"TIMESTAMP_NTZ", COLUMN_TIMESTAMP_NTZ},
    {"TIMESTAMP_LTZ", COLUMN_TIMESTAMP_LTZ},
    {"TIMESTAMP_TZ", COLUMN_TIMESTAMP_TZ},
    {"TIMESTAMP", COLUMN_TIMESTAMP_NTZ},
    {"BINARY", COLUMN_BINARY},
    {"VARIANT", COLUMN_SEMI},
    {"OBJECT", COLUMN_SEMI},
    {"ARRAY", COLUMN_SEMI},
    {"MAP", COLUMN_SEMI},
    {"VECTOR", COLUMN_SEMI},
    {"GEOGRAPHY", COLUMN_SEMI},
    {"GEOMETRY", COLUMN_SEMI},
    {"NUMBER", COLUMN_FIXED},
    {"FLOAT", COLUMN_REAL},
    {"DOUBLE", COLUMN_REAL},
    {"VARCHAR", COLUMN_TEXT},
    {"STRING", COLUMN_TEXT},
};

static enum column_kind kind_of(const char *type)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (strcmp(types[i].type, type) == 0)
			return types[i].kind;
	return COLUMN_OTHER;
}

static int small_int(const json_t *object, const char *key)
{
	int64_t value = json_int_of(object, key, -1);

	return value < 0 || value > 1000 ? -1 : (int)value;
}

/* "NAME": as text of JSON. */
static const char *key_of(struct arena *a, const char *name, int64_t number)
{
	size_t most = strlen(name) + 24;
	char *plain = xalloc(most);
	struct buf b = buf_with_ceiling(6 * most + 3);
	const char *key;

	(void)snprintf(plain, most, number > 1 ? "%s_%lld" : "%s", name, (long long)number);
	json_write_string(&b, plain, strlen(plain));
	buf_addc(&b, ':');
	key = arena_strndup(a, buf_text(&b), b.n);
	buf_free(&b);
	free(plain);
	return key;
}

/* A name that is taken gets a number that makes it one that is not. `taken`: each key, and the last number it got. */
static int key_add(struct arena *a, struct column *c, json_t *taken)
{
	const char *plain = key_of(a, c->name, 1);

	for (int64_t k = json_int_of(taken, plain ? plain : "", 1) + 1; plain && !c->key; k++) {
		const char *key = key_of(a, c->name, k);

		if (!key)
			return ERR_NOMEM;
		json_object_set_new(taken, plain, json_integer(k));
		if (!json_object_get(taken, key)) {
			json_object_set_new(taken, key, json_integer(1));
			c->key = key;
		}
	}
	return plain ? ERR_OK : ERR_NOMEM;
}

/* First come those that keep their names. */
static int keys_add(struct arena *a, struct column *columns, size_t n)
{
	json_t *taken = json_object();
	int e = ERR_OK;

	for (size_t i = 0; i < n && e == ERR_OK; i++) {
		const char *key = key_of(a, columns[i].name, 1);

		if (!key)
			e = ERR_NOMEM;
		else if (!json_object_get(taken, key) && json_object_set_new(taken, key, json_integer(1)) == 0)
			columns[i].key = key;
	}
	for (size_t i = 0; i < n && e == ERR_OK; i++)
		if (!columns[i].key)
			e = key_add(a, &columns[i], taken);
	json_decref(taken);
	return e;
}

static int column_read(struct arena *a, const json_t *from, struct column *to)
{
	const char *name = json_text_of(from, "name"), *type = json_text_of(from, "type");
	char *upper;

	if (!name || !type)
		return ERR_UPSTREAM_ANSWER;
	upper = arena_strdup(a, type);
	to->name = arena_strdup(a, name);
	if (!upper || !to->name)
		return ERR_NOMEM;
	for (char *p = upper; *p; p++)
		*p = sql_upper(*p);
	to->type = upper;
	to->kind = kind_of(upper);
	to->nullable = json_bool_of(from, "nullable", true);
	to->precision = small_int(from, "precision");
	to->scale = small_int(from, "scale");
	return ERR_OK;
}

int columns_read(struct arena *a, const json_t *row_type, struct column **columns, size_t *n)
{
	size_t count = json_array_size(row_type);
	struct column *v;

	if (!json_is_array(row_type))
		return ERR_UPSTREAM_ANSWER;
	v = arena_alloc(a, (count ? count : 1) * sizeof(*v));
	if (!v)
		return ERR_NOMEM;
	for (size_t i = 0; i < count; i++) {
		int e = column_read(a, json_array_get(row_type, i), &v[i]);

		if (e != ERR_OK)
			return e;
	}
	*columns = v;
	*n = count;
	return keys_add(a, v, count);
}

/* AUTO is none: which form it has is not documented, but if it is text, it is none that looks like an epoch. */
static bool is_format(const json_t *value)
{
	const char *format = json_string_value(value);

	return format && *format && strcasecmp(format, "AUTO") != 0;
}

static bool is_formatted_by(enum column_kind kind, const char *parameter)
{
	static const struct {
		const char *parameter;
		enum column_kind first, last;
	} formats[] = {
	    {"DATE_OUTPUT_FORMAT", COLUMN_DATE, COLUMN_DATE},
	    {"TIME_OUTPUT_FORMAT", COLUMN_TIME, COLUMN_TIME},
	    {"TIMESTAMP_OUTPUT_FORMAT", COLUMN_TIMESTAMP_NTZ, COLUMN_TIMESTAMP_TZ},
	    {"TIMESTAMP_NTZ_OUTPUT_FORMAT", COLUMN_TIMESTAMP_NTZ, COLUMN_TIMESTAMP_NTZ},
	    {"TIMESTAMP_LTZ_OUTPUT_FORMAT", COLUMN_TIMESTAMP_LTZ, COLUMN_TIMESTAMP_LTZ},
	    {"TIMESTAMP_TZ_OUTPUT_FORMAT", COLUMN_TIMESTAMP_TZ, COLUMN_TIMESTAMP_TZ},
	};

	for (size_t i = 0; i < ARRAY_LEN(formats); i++)
		if (kind >= formats[i].first && kind <= formats[i].last &&
		    strcasecmp(parameter, formats[i].parameter) == 0)
			return true;
	return false;
}

void columns_formatted(struct column *columns, size_t n, const json_t *parameters)
{
	for (void *at = json_object_iter((json_t *)(uintptr_t)parameters); at;
	     at = json_object_iter_next((json_t *)(uintptr_t)parameters, at))
		for (size_t i = 0; i < n && is_format(json_object_iter_value(at)); i++)
			if (is_formatted_by(columns[i].kind, json_object_iter_key(at)))
				columns[i].formatted = true;
}

bool columns_write(struct buf *out, const struct column *columns, size_t n)
{
	buf_addc(out, '[');
	for (size_t i = 0; i < n; i++) {
		const struct column *c = &columns[i];

		buf_adds(out, i ? ",{\"name\":" : "{\"name\":");
		json_write_string(out, c->name, strlen(c->name));
		buf_adds(out, ",\"type\":");
		json_write_string(out, c->type, strlen(c->type));
		buf_addf(out, ",\"nullable\":%s", c->nullable ? "true" : "false");
		if (c->precision >= 0)
			buf_addf(out, ",\"precision\":%d", c->precision);
		if (c->scale >= 0)
			buf_addf(out, ",\"scale\":%d", c->scale);
		buf_addc(out, '}');
	}
	return buf_addc(out, ']');
}
