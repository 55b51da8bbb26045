/* The table of settings, and how each type is read from a scalar and held within its bounds. */
#include <inttypes.h>
#include <string.h>
#include "conf_internal.h"

/* The arguments are stringized as they stand, before any macro (true, false) could change them. */
#define CONF(section_, key_, type_, def_, min_, max_, flags_, doc_)                                                    \
	{.section = #section_,                                                                                         \
	 .key = #key_,                                                                                                 \
	 .type = SETTING_##type_,                                                                                      \
	 .def = #def_,                                                                                                 \
	 .min = #min_,                                                                                                 \
	 .max = #max_,                                                                                                 \
	 .flags = flags_,                                                                                              \
	 .doc = doc_,                                                                                                  \
	 .offset = offsetof(struct conf, section_##_##key_)},
const struct setting settings[] = {
#include "snowgate/tbl/conf.def"
};
#undef CONF
const size_t settings_n = ARRAY_LEN(settings);

#define LIMIT(key_, type_, def_, min_, max_, doc_)                                                                     \
	{                                                                                                              \
		.section = "limits", .key = #key_, .type = SETTING_##type_, .def = #def_, .min = #min_, .max = #max_,  \
		.flags = RELOAD, .doc = doc_, .offset = offsetof(struct limits, key_)                                  \
	}
const struct setting limit_settings[] = {
    LIMIT(calls_per_minute, INT, 600, 1, 1000000, "Calls of one principal per minute"),
    LIMIT(burst, INT, 60, 1, 100000, "Calls at once before the rate counts"),
    LIMIT(running, INT, 4, 1, 10000, "Statements of one principal at one time"),
    LIMIT(queued, INT, 16, 0, 100000, "Calls of one principal that wait for a slot"),
    LIMIT(queue_wait, TIME, 30s, 0s, 1h, "Longest wait for a slot"),
    LIMIT(streams, INT, 64, 1, 100000, "Open event streams of one principal"),
};
const size_t limit_settings_n = ARRAY_LEN(limit_settings);

const struct setting confirm_setting = {
    .section = "policies",
    .key = "confirm",
    .type = SETTING_CHOICE,
    .def = "ask",
    .min = "\"ask|require|never\"",
    .flags = RELOAD,
    .doc = "Is the person behind the client asked before a destructive statement",
    .offset = offsetof(struct policy, confirm),
};

struct unit {
	const char *name;
	int64_t factor;
};
static const struct unit time_units[] = {
    {"d", 86400 * USEC_PER_S}, {"h", 3600 * USEC_PER_S}, {"m", 60 * USEC_PER_S}, {"s", USEC_PER_S}, {"ms", USEC_PER_MS},
};
static const struct unit size_units[] = {
    {"GiB", (int64_t)1 << 30},
    {"MiB", (int64_t)1 << 20},
    {"KiB", (int64_t)1 << 10},
    {"B", 1},
};

struct slice unquoted(const char *literal)
{
	size_t n = strlen(literal);
	if (n >= 2 && literal[0] == '"' && literal[n - 1] == '"')
		return (struct slice){literal + 1, n - 2};
	return (struct slice){literal, n};
}

struct slice choice_name(const char *choices, int n)
{
	struct slice rest = unquoted(choices);
	for (;;) {
		const char *bar = memchr(rest.data, '|', rest.n);
		size_t len = bar ? (size_t)(bar - rest.data) : rest.n;
		if (n-- == 0)
			return (struct slice){rest.data, len};
		if (!bar)
			return (struct slice){NULL, 0};
		rest = (struct slice){bar + 1, rest.n - len - 1};
	}
}

/* Digits at *text, moved past them. False where there are none or too many. */
static bool digits_parse(const char **text, int64_t *out)
{
	int64_t value = 0;
	const char *p = *text;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *p - '0', &value))
			return false;
	if (p == *text)
		return false;
	*text = p;
	*out = value;
	return true;
}

/* The unit at *text, moved past it; NULL where there is none. */
static const struct unit *unit_parse(const char **text, const struct unit *units, size_t n)
{
	size_t len = strspn(*text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
	for (size_t i = 0; i < n; i++)
		if (strlen(units[i].name) == len && memcmp(units[i].name, *text, len) == 0) {
			*text += len;
			return &units[i];
		}
	return NULL;
}

/* A sum of numbers with units, as 1h30m. */
static bool units_parse(const char *text, const struct unit *units, size_t n, int64_t *out)
{
	int64_t sum = 0, value;
	do {
		const struct unit *unit;
		if (!digits_parse(&text, &value) || !(unit = unit_parse(&text, units, n)) ||
		    __builtin_mul_overflow(value, unit->factor, &value) || __builtin_add_overflow(sum, value, &sum))
			return false;
	} while (*text);
	*out = sum;
	return true;
}

static bool time_parse(const char *text, int64_t *out)
{
	if (strcmp(text, "0") != 0)
		return units_parse(text, time_units, ARRAY_LEN(time_units), out);
	*out = 0;
	return true;
}

static bool size_parse(const char *text, int64_t *out)
{
	return parse_int(text, 0, INT64_MAX, out) || units_parse(text, size_units, ARRAY_LEN(size_units), out);
}

static bool units_write(struct buf *b, int64_t value, const struct unit *units, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (value && value % units[i].factor == 0)
			return buf_addf(b, "%" PRId64 "%s", value / units[i].factor, units[i].name);
	return buf_addf(b, "%" PRId64 "%s", value, units[n - 1].name);
}

bool time_write(struct buf *b, int64_t usec)
{
	/* Weeks and months are not written; days only where they are whole. */
	return units_write(b, usec, time_units, ARRAY_LEN(time_units));
}

bool size_write(struct buf *b, int64_t bytes)
{
	return units_write(b, bytes, size_units, ARRAY_LEN(size_units));
}

static bool setting_is_path(const struct setting *s)
{
	size_t n = strlen(s->key);
	return s->type == SETTING_TEXT && n > 5 && strcmp(s->key + n - 5, "_file") == 0;
}

static const char *choices_text(struct loading *l, const struct setting *s)
{
	const char *text = "";
	struct slice name;
	for (int i = 0; (name = choice_name(s->min, i)).data; i++)
		text = conf_text(l, "%s%s%.*s", text, i ? ", " : "", (int)name.n, name.data);
	return choice_name(s->min, 1).data ? conf_text(l, "one of %s", text) : text;
}

static const char *setting_bounds(struct loading *l, const struct setting *s)
{
	switch (s->type) {
	case SETTING_TEXT:
		return conf_text(l, "a text of at most %s bytes", s->max);
	case SETTING_INT:
		return conf_text(l, "a whole number from %s to %s", s->min, s->max);
	case SETTING_BOOL:
		return "true or false";
	case SETTING_TIME:
		return conf_text(l, "a time from %s to %s, with its unit (ms, s, m, h, d)", s->min, s->max);
	case SETTING_SIZE:
		return conf_text(l, "a size from %s to %s (units B, KiB, MiB, GiB)", s->min, s->max);
	case SETTING_LIST:
		return conf_text(l, "a list of at most %s texts", s->max);
	case SETTING_CHOICE:
		return choices_text(l, s);
	}
	return "";
}

static bool number_set(const struct setting *s, const char *text, int64_t *out)
{
	int64_t value, min, max;
	bool (*parse)(const char *, int64_t *) = s->type == SETTING_TIME ? time_parse : size_parse;
	if (s->type == SETTING_INT) {
		if (!parse_int(s->min, INT64_MIN, INT64_MAX, &min) || !parse_int(s->max, INT64_MIN, INT64_MAX, &max))
			return false;
		return parse_int(text, min, max, out);
	}
	if (!parse(s->min, &min) || !parse(s->max, &max) || !parse(text, &value) || value < min || value > max)
		return false;
	*out = value;
	return true;
}

static bool bool_set(const char *text, bool *out)
{
	static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};
	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
			*out = strcmp(text, yes[i]) == 0;
			return true;
		}
	return false;
}

static bool choice_set(const struct setting *s, const char *text, int *out)
{
	struct slice name;
	for (int i = 0; (name = choice_name(s->min, i)).data; i++)
		if (slice_is(name, text)) {
			*out = i;
			return true;
		}
	return false;
}

static bool text_set(struct loading *l, const struct setting *s, const struct node *value, const char **out)
{
	int64_t max;
	const char *text = value->text;
	if (!parse_int(s->max, 0, INT64_MAX, &max) || strlen(text) > (size_t)max)
		return false;
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < ' ')
			return false;
	if (setting_is_path(s))
		text = path_resolve(l, text, value->shown ? NULL : value->file);
	*out = conf_keep(l->arena, text);
	return true;
}

bool scalar_check(struct loading *l, const struct node *value, const char *path, const char *what)
{
	if (value->kind == NODE_SCALAR)
		return true;
	conf_fault(l, value, path, "must be %s, not %s", what, node_shown(l, value));
	return false;
}

bool texts_read(struct loading *l, const struct node *value, const char *path, size_t max, struct texts *out)
{
	const struct node *first = value->kind == NODE_LIST ? value->first : value;
	size_t n = 0;
	*out = (struct texts){0, NULL};
	if (node_is_null(value))
		return true;
	if (value->kind == NODE_MAP)
		return scalar_check(l, value, path, "a text or a list of texts");
	for (const struct node *item = first; item; item = value->kind == NODE_LIST ? item->next : NULL) {
		if (!scalar_check(l, item, path, "a list of texts"))
			return false;
		if (!*item->text) {
			conf_fault(l, item, path, "an empty text in a list; remove it");
			return false;
		}
		n++;
	}
	if (n > max) {
		conf_fault(l, value, path, "must be a list of at most %zu texts, not %zu", max, n);
		return false;
	}
	const char **v = conf_need(l->arena, sizeof(*v) * n);
	const struct node *item = first;
	for (size_t i = 0; i < n; i++, item = item->next)
		v[i] = conf_keep(l->arena, item->text);
	*out = (struct texts){n, v};
	return true;
}

static bool scalar_set(struct loading *l, const struct setting *s, char *member, const struct node *value)
{
	switch (s->type) {
	case SETTING_TEXT:
		return text_set(l, s, value, (const char **)member);
	case SETTING_BOOL:
		return bool_set(value->text, (bool *)member);
	case SETTING_CHOICE:
		return choice_set(s, value->text, (int *)member);
	case SETTING_INT:
	case SETTING_TIME:
	case SETTING_SIZE:
		return number_set(s, value->text, (int64_t *)member);
	case SETTING_LIST:
		break;
	}
	return false;
}

static const char *choice_hint(struct loading *l, const struct setting *s, const struct node *value)
{
	struct nearest near = nearest_to(value->text);
	struct slice name;
	for (int i = 0; s->type == SETTING_CHOICE && (name = choice_name(s->min, i)).data; i++)
		nearest_try(&near, conf_text(l, "%.*s", (int)name.n, name.data));
	return value->hidden ? "" : nearest_hint(l, &near);
}

bool setting_set(struct loading *l, const struct setting *s, void *base, const struct node *value, const char *path)
{
	char *member = (char *)base + s->offset;
	int64_t max;
	if (s->type == SETTING_LIST)
		return parse_int(s->max, 0, INT64_MAX, &max) &&
		       texts_read(l, value, path, (size_t)max, (struct texts *)member);
	if (value->kind != NODE_SCALAR) {
		conf_fault(l, value, path, "must be %s, not %s", setting_bounds(l, s), node_shown(l, value));
		return false;
	}
	if (scalar_set(l, s, member, value))
		return true;
	conf_fault(l, value, path, "must be %s, not %s%s", setting_bounds(l, s),
		   s->flags & SECRET ? "what was given" : node_shown(l, value), choice_hint(l, s, value));
	return false;
}

void setting_default(struct loading *l, const struct setting *s, void *base)
{
	struct slice text = unquoted(s->def);
	struct node value = {
	    .kind = NODE_SCALAR, .text = conf_text(l, "%.*s", (int)text.n, text.data), .file = "defaults"};
	bool good = text.n == 0 && s->type == SETTING_LIST;
	if (s->type == SETTING_TEXT) {
		*(const char **)((char *)base + s->offset) = conf_keep(l->arena, value.text);
		return;
	}
	assert(good || s->type != SETTING_LIST); /* no list of the table has a default */
	good = good || scalar_set(l, s, (char *)base + s->offset, &value);
	assert(good);
	(void)good;
}
