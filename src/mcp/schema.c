/* Checks arguments against the part of JSON Schema 2020-12 that tools use, and says in words what is wrong. */
#include <math.h>
#include <string.h>

#include "internal.h"

/* Room for one complaint. */
#define WHY_MAX 1024

/* Where we are: the chain from the argument up to the whole. */
struct place {
	const struct place *up;
	const char *key; /* NULL: an index */
	size_t index;
};

struct check {
	struct arena *arena;
	const char **why;
};

static bool check_value(const struct check *c, const json_t *schema, const json_t *value, const struct place *at);

/* ---- what a complaint says ---- */

static void write_place(struct buf *b, const struct place *at)
{
	if (!at)
		return;
	write_place(b, at->up);
	if (!at->key)
		buf_addf(b, "[%zu]", at->index);
	else
		buf_addf(b, "%s%.*s", at->up ? "." : "", ECHO_MAX, at->key);
}

/* How many of the first `max` bytes can be shown without cutting a character. */
static size_t whole_characters(const char *text, size_t n, size_t max)
{
	if (n <= max)
		return n;
	while (max && ((unsigned char)text[max] & 0xc0) == 0x80)
		max--;
	return max;
}

static void write_value(struct buf *b, const json_t *value)
{
	if (json_is_object(value) || json_is_array(value)) {
		buf_adds(b, json_is_object(value) ? "an object" : "an array");
		return;
	}
	if (!json_is_string(value)) {
		json_write(b, value);
		return;
	}
	size_t n = json_string_length(value), shown = whole_characters(json_string_value(value), n, ECHO_MAX);
	json_write_string(b, json_string_value(value), shown);
	buf_adds(b, shown < n ? "..." : "");
}

static void write_list(struct buf *b, const json_t *list, const char *before_last)
{
	size_t n = json_array_size(list);
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_adds(b, i + 1 == n ? before_last : ", ");
		write_value(b, json_array_get(list, i));
	}
}

static void write_types(struct buf *b, const json_t *types)
{
	size_t n = json_is_array(types) ? json_array_size(types) : 1;
	for (size_t i = 0; i < n; i++) {
		const char *name = json_string_value(json_is_array(types) ? json_array_get(types, i) : types);
		if (i)
			buf_adds(b, i + 1 == n ? " or " : ", ");
		if (!name)
			continue;
		if (strcmp(name, "null") != 0)
			buf_adds(b, strchr("aio", name[0]) ? "an " : "a ");
		buf_adds(b, name);
	}
}

/* " from 1 to 10000", " of at least 1": the range that two keywords give, with `unit` behind the numbers. */
static void write_range(struct buf *b, const json_t *low, const json_t *high, const char *unit)
{
	if (!low && !high)
		return;
	buf_adds(b, low && high ? " from " : low ? " of at least " : " of at most ");
	if (low)
		json_write(b, low);
	if (low && high)
		buf_adds(b, " to ");
	if (high)
		json_write(b, high);
	buf_adds(b, unit);
}

static void write_bound(struct buf *b, const json_t *schema, const char *keyword, const char *words)
{
	const json_t *bound = json_object_get(schema, keyword);
	if (!bound)
		return;
	buf_adds(b, words);
	json_write(b, bound);
}

static void write_wanted(struct buf *b, const json_t *schema)
{
	const json_t *type = json_object_get(schema, "type"), *list = json_object_get(schema, "enum");
	const json_t *constant = json_object_get(schema, "const");

	if (list) {
		buf_adds(b, json_array_size(list) > 1 ? "one of " : "");
		write_list(b, list, " or ");
		return;
	}
	if (constant) {
		write_value(b, constant);
		return;
	}
	if (type)
		write_types(b, type);
	else
		buf_adds(b, "a value");
	write_range(b, json_object_get(schema, "minimum"), json_object_get(schema, "maximum"), "");
	write_bound(b, schema, "exclusiveMinimum", " above ");
	write_bound(b, schema, "exclusiveMaximum", " below ");
	write_range(b, json_object_get(schema, "minLength"), json_object_get(schema, "maxLength"), " characters");
	write_range(b, json_object_get(schema, "minItems"), json_object_get(schema, "maxItems"), " items");
}

/* Moves the text into the arena; always false, the verdict. */
static bool complain(const struct check *c, struct buf *b)
{
	char *text = buf_failed(b) ? NULL : arena_strdup(c->arena, buf_text(b));
	*c->why = text ? text : "an argument does not fit the tool's inputSchema (see tools/list)";
	buf_free(b);
	return false;
}

static struct buf complaint_about(const struct place *at)
{
	struct buf b = buf_with_ceiling(WHY_MAX);
	if (at)
		write_place(&b, at);
	else
		buf_adds(&b, "arguments");
	buf_adds(&b, ": ");
	return b;
}

static bool unfit(const struct check *c, const json_t *schema, const json_t *value, const struct place *at)
{
	struct buf b = complaint_about(at);
	buf_adds(&b, "must be ");
	write_wanted(&b, schema);
	buf_adds(&b, ", not ");
	write_value(&b, value);
	return complain(c, &b);
}

static bool unknown(const struct check *c, const json_t *properties, const struct place *at)
{
	struct buf b = complaint_about(at);
	const char *key, *comma = "";
	json_t *property;

	buf_adds(&b, "is not known here; known are ");
	json_object_foreach((json_t *)properties, key, property)
	{
		buf_addf(&b, "%s%s", comma, key);
		comma = ", ";
	}
	if (!json_object_size(properties)) {
		buf_free(&b);
		b = complaint_about(at);
		buf_adds(&b, "is not known here; leave it out, nothing is taken");
	}
	return complain(c, &b);
}

/* ---- the keywords ---- */

bool schema_integer(const json_t *value, int64_t *out)
{
	double d = json_real_value(value);
	if (json_is_integer(value)) {
		*out = json_integer_value(value);
		return true;
	}
	/* 2^63, as in number_equal(). */
	if (!json_is_real(value) || d != floor(d) || !(d >= -9223372036854775808.0 && d < 9223372036854775808.0))
		return false;
	*out = (int64_t)d;
	return true;
}

static bool is_of_type(const json_t *value, const char *type)
{
	static const struct {
		const char *name;
		json_type type;
	} types[] = {{"object", JSON_OBJECT}, {"array", JSON_ARRAY}, {"string", JSON_STRING}, {"null", JSON_NULL}};

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (strcmp(types[i].name, type) == 0)
			return json_typeof(value) == types[i].type;
	if (strcmp(type, "boolean") == 0)
		return json_is_boolean(value);
	if (strcmp(type, "number") == 0)
		return json_is_number(value);
	return json_is_integer(value) ||
	       (json_is_real(value) && json_real_value(value) == floor(json_real_value(value)));
}

static bool fits_type(const json_t *types, const json_t *value)
{
	if (json_is_string(types))
		return is_of_type(value, json_string_value(types));
	for (size_t i = 0; i < json_array_size(types); i++)
		if (is_of_type(value, json_string_value(json_array_get(types, i))))
			return true;
	return types == NULL;
}

static bool value_equal(const json_t *a, const json_t *b);

static bool members_equal(const json_t *a, const json_t *b)
{
	const char *key;
	json_t *member;

	json_object_foreach((json_t *)a, key, member)
	{
		const json_t *other = json_object_get(b, key);
		if (!other || !value_equal(member, other))
			return false;
	}
	return json_object_size(a) == json_object_size(b);
}

/* JSON Schema 2020-12, 4.2.2: numbers are equal where their values are, also within arrays and objects. */
static bool value_equal(const json_t *a, const json_t *b)
{
	if (json_is_number(a) && json_is_number(b))
		return number_equal(a, b);
	if (json_is_object(a) && json_is_object(b))
		return members_equal(a, b);
	if (!json_is_array(a) || json_array_size(a) != json_array_size(b))
		return json_equal(a, b);
	for (size_t i = 0; i < json_array_size(a); i++)
		if (!value_equal(json_array_get(a, i), json_array_get(b, i)))
			return false;
	return json_is_array(b);
}

static bool fits_enum(const json_t *list, const json_t *value)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (value_equal(json_array_get(list, i), value))
			return true;
	return list == NULL;
}

/* -1, 0, 1. A whole number beyond 2^53 has no double of its own, so that equal doubles are looked at again. */
static int number_compare(const json_t *a, const json_t *b)
{
	if (json_is_integer(a) && json_is_integer(b)) {
		json_int_t x = json_integer_value(a), y = json_integer_value(b);
		return (x > y) - (x < y);
	}
	double x = json_number_value(a), y = json_number_value(b);
	int64_t whole_x, whole_y;
	if (x == y && schema_integer(a, &whole_x) && schema_integer(b, &whole_y))
		return (whole_x > whole_y) - (whole_x < whole_y);
	return (x > y) - (x < y);
}

static bool fits_numbers(const json_t *schema, const json_t *value)
{
	static const struct {
		const char *keyword;
		int sign, reach; /* refused where compare(value, bound) * sign < reach */
	} bounds[] = {{"minimum", 1, 0}, {"maximum", -1, 0}, {"exclusiveMinimum", 1, 1}, {"exclusiveMaximum", -1, 1}};

	for (size_t i = 0; json_is_number(value) && i < ARRAY_LEN(bounds); i++) {
		const json_t *bound = json_object_get(schema, bounds[i].keyword);
		if (bound && number_compare(value, bound) * bounds[i].sign < bounds[i].reach)
			return false;
	}
	return true;
}

static bool fits_count(const json_t *schema, const char *least, const char *most, size_t n)
{
	const json_t *low = json_object_get(schema, least), *high = json_object_get(schema, most);
	return !(low && json_integer_value(low) > (json_int_t)n) && !(high && json_integer_value(high) < (json_int_t)n);
}

static size_t characters(const json_t *string)
{
	const char *text = json_string_value(string);
	size_t n = 0;
	for (size_t i = 0; i < json_string_length(string); i++)
		n += ((unsigned char)text[i] & 0xc0) != 0x80;
	return n;
}

static bool fits_alone(const json_t *schema, const json_t *value)
{
	const json_t *constant = json_object_get(schema, "const");
	if (!fits_type(json_object_get(schema, "type"), value) || !fits_enum(json_object_get(schema, "enum"), value) ||
	    (constant && !value_equal(constant, value)) || !fits_numbers(schema, value))
		return false;
	if (json_is_string(value) && !fits_count(schema, "minLength", "maxLength", characters(value)))
		return false;
	return !json_is_array(value) || fits_count(schema, "minItems", "maxItems", json_array_size(value));
}

static bool check_required(const struct check *c, const json_t *schema, const json_t *value, const struct place *at)
{
	const json_t *required = json_object_get(schema, "required");
	for (size_t i = 0; i < json_array_size(required); i++) {
		const char *key = json_string_value(json_array_get(required, i));
		if (json_object_get(value, key))
			continue;
		const json_t *property = json_object_get(json_object_get(schema, "properties"), key);
		struct buf b = complaint_about(&(struct place){at, key, 0});
		buf_adds(&b, "is required; it must be ");
		write_wanted(&b, property);
		return complain(c, &b);
	}
	return true;
}

static bool check_members(const struct check *c, const json_t *schema, const json_t *value, const struct place *at)
{
	const json_t *properties = json_object_get(schema, "properties");
	const json_t *others = json_object_get(schema, "additionalProperties");
	const char *key;
	json_t *member;

	json_object_foreach((json_t *)value, key, member)
	{
		struct place here = {at, key, 0};
		const json_t *property = json_object_get(properties, key);
		if (!property && json_is_false(others))
			return unknown(c, properties, &here);
		if (!check_value(c, property ? property : others, member, &here))
			return false;
	}
	return true;
}

static bool check_items(const struct check *c, const json_t *schema, const json_t *value, const struct place *at)
{
	const json_t *items = json_object_get(schema, "items");
	for (size_t i = 0; items && i < json_array_size(value); i++)
		if (!check_value(c, items, json_array_get(value, i), &(struct place){at, NULL, i}))
			return false;
	return true;
}

static bool check_value(const struct check *c, const json_t *schema, const json_t *value, const struct place *at)
{
	if (json_is_false(schema)) {
		struct buf b = complaint_about(at);
		buf_adds(&b, "is not allowed here; leave it out");
		return complain(c, &b);
	}
	if (!json_is_object(schema))
		return true;
	if (!fits_alone(schema, value))
		return unfit(c, schema, value, at);
	if (json_is_object(value))
		return check_required(c, schema, value, at) && check_members(c, schema, value, at);
	return !json_is_array(value) || check_items(c, schema, value, at);
}

bool schema_check(struct arena *a, const json_t *schema, const json_t *value, const char **why)
{
	struct check c = {a, why};
	*why = NULL;
	return check_value(&c, schema, value, NULL);
}
