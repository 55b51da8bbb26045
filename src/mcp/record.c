/* Sessions as records of the store, and back. */
#include <limits.h>
#include <string.h>

#include "session_internal.h"
#include "snowgate/format.h"

static const struct {
	const char *name;
	size_t offset;
} counters[] = {
    {"requests", offsetof(struct session_counters, requests)},     {"ok", offsetof(struct session_counters, ok)},
    {"failed", offsetof(struct session_counters, failed)},         {"rows", offsetof(struct session_counters, rows)},
    {"query_usec", offsetof(struct session_counters, query_usec)},
};

static int64_t *counter_of(const struct session_counters *c, size_t i)
{
	return (int64_t *)(void *)((char *)c + counters[i].offset);
}

/* ---- what we know: members not listed here belong to newer programs and are kept ---- */

static const struct {
	const char *object; /* NULL: the record itself */
	const char *members[17];
} known[] = {
    {NULL,
     {"format", "reader", "id", "handle", "principal", "revision", "client", "context", "version", "preferences",
      "counters", "created", "last_seen", "can", "log_level", "watched"}},
    {"principal", {"kind", "issuer", "subject", "group"}},
    {"client", {"name", "version"}},
    {"context", {"database", "schema", "warehouse", "role", "parameters"}},
    {"preferences", {"format", "limit", "wait_seconds"}},
    {"counters", {"requests", "ok", "failed", "rows", "query_usec"}},
};

static json_t *unknown_of(const json_t *record)
{
	json_t *unknown = json_without(record, known[0].members);
	for (size_t i = 1; i < ARRAY_LEN(known); i++) {
		const json_t *object = json_object_get(record, known[i].object);
		json_t *rest = json_is_object(object) ? json_without(object, known[i].members) : NULL;
		if (!rest)
			continue;
		unknown = unknown ? unknown : json_object();
		json_object_set_new(unknown, known[i].object, rest);
	}
	return unknown;
}

/* ---- writing ---- */

static void put_text(json_t *object, const char *key, const char *text)
{
	json_t *value = text ? json_string(text) : NULL;
	if (value)
		json_object_set_new(object, key, value);
}

static void put_number(json_t *object, const char *key, int64_t number)
{
	json_object_set_new(object, key, json_integer(number));
}

static json_t *client_json(const struct session *s)
{
	json_t *o = json_object();
	put_text(o, "name", s->client_name);
	put_text(o, "version", s->client_version);
	return o;
}

static json_t *full_context_json(const struct context *c)
{
	json_t *o = context_json(c);
	if (c->parameters)
		json_object_set_new(o, "parameters", json_deep_copy(c->parameters));
	return o;
}

static json_t *preferences_json(const struct session *s)
{
	json_t *o = json_object();
	put_text(o, "format", s->preferences.format);
	if (s->preferences.limit >= 0)
		put_number(o, "limit", s->preferences.limit);
	if (s->preferences.wait_seconds >= 0)
		put_number(o, "wait_seconds", s->preferences.wait_seconds);
	return o;
}

static json_t *counters_json(const struct session *s)
{
	json_t *o = json_object();
	for (size_t i = 0; i < ARRAY_LEN(counters); i++)
		put_number(o, counters[i].name, *counter_of(&s->counters, i));
	return o;
}

static json_t *watched_json(const struct session *s)
{
	json_t *o = json_array();
	for (size_t i = 0; i < s->watched.n; i++) {
		json_t *uri = json_string(s->watched.v[i].uri);
		if (uri)
			json_array_append_new(o, uri);
	}
	return o;
}

bool session_record(struct buf *b, const struct session *s)
{
	json_t *o = json_object();
	format_put(o);
	put_text(o, "id", s->id);
	put_text(o, "handle", s->handle);
	json_object_set_new(o, "principal", principal_json(&s->principal));
	put_text(o, "revision", revision_name(s->revision));
	json_object_set_new(o, "client", client_json(s));
	json_object_set_new(o, "context", full_context_json(&s->context));
	put_number(o, "version", (int64_t)s->version);
	json_object_set_new(o, "preferences", preferences_json(s));
	json_object_set_new(o, "counters", counters_json(s));
	put_number(o, "created", s->created);
	put_number(o, "last_seen", s->last_seen);
	put_number(o, "can", s->can);
	put_number(o, "log_level", s->log_level);
	json_object_set_new(o, "watched", watched_json(s));
	if (s->unknown)
		json_object_update_recursive(o, s->unknown);
	bool written = json_write(b, o);
	json_decref(o);
	return written;
}

bool session_record_count(struct buf *b, struct slice record, const struct session_counters *more, int64_t last_seen)
{
	json_t *o = NULL, *numbers;
	bool written = false;

	if (json_parse_trusted(record, &o) != JSON_OK)
		return false;
	numbers = json_object_get(o, "counters");
	for (size_t i = 0; i < ARRAY_LEN(counters); i++)
		put_number(numbers, counters[i].name, json_int_of(numbers, counters[i].name, 0) + *counter_of(more, i));
	if (last_seen > json_int_of(o, "last_seen", 0))
		put_number(o, "last_seen", last_seen);
	written = json_is_object(numbers) && json_write(b, o);
	json_decref(o);
	return written;
}

/* ---- reading ---- */

/* Are all of the members texts, as session parameters must be? */
static bool is_texts(const json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value) if (!json_is_string(value)) return false;
	return json_is_object(object);
}

static void read_context(struct session *s, const json_t *o)
{
	json_t *parameters = json_object_get(o, "parameters");
	struct context context = {
	    .database = json_text_of(o, "database"),
	    .schema = json_text_of(o, "schema"),
	    .warehouse = json_text_of(o, "warehouse"),
	    .role = json_text_of(o, "role"),
	    .parameters = is_texts(parameters) ? parameters : NULL,
	};
	context_set(&s->context, &context);
}

static void read_preferences(struct session *s, const json_t *o)
{
	const char *format = json_text_of(o, "format");
	free(s->preferences.format);
	s->preferences.format = format ? xstrdup(format) : NULL;
	s->preferences.limit = json_int_of(o, "limit", -1);
	s->preferences.wait_seconds = json_int_of(o, "wait_seconds", -1);
}

/* What its client can and wants to hear; bits of `can` that are not known here stay for a newer program. */
static void read_wishes(struct session *s, const json_t *record)
{
	int64_t can = json_int_of(record, "can", 0), level = json_int_of(record, "log_level", -1);
	const json_t *watched = json_object_get(record, "watched");
	s->can = can >= 0 && can <= UINT_MAX ? (unsigned)can : 0;
	s->log_level = level >= LEVEL_DEBUG && level <= LEVEL_EMERGENCY ? (int)level : -1;
	session_unwatch_all(s);
	for (size_t i = 0; i < json_array_size(watched); i++) {
		const char *uri = json_string_value(json_array_get(watched, i));
		if (uri && !session_watch(s, uri, 0))
			break;
	}
}

/* What was counted here since the record was written is not in it. */
static void read_counters(struct session *s, const json_t *o)
{
	for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
		int64_t n = json_int_of(o, counters[i].name, 0);
		*counter_of(&s->counters, i) += n - *counter_of(&s->kept, i);
		*counter_of(&s->kept, i) = n;
	}
}

/* All but the names and the times. */
static void read_state(struct session *s, const json_t *record)
{
	const json_t *client = json_object_get(record, "client");
	session_set_client(s, json_text_of(client, "name"), json_text_of(client, "version"));
	read_context(s, json_object_get(record, "context"));
	read_preferences(s, json_object_get(record, "preferences"));
	read_wishes(s, record);
	s->version = (uint64_t)json_int_of(record, "version", 0);
	json_decref(s->unknown);
	s->unknown = unknown_of(record);
}

static struct session *restore_new(struct session_table *t, const json_t *record, const char *id,
				   const struct principal *p, enum revision revision)
{
	struct session *s = session_make(p, revision);
	const char *handle = json_text_of(record, "handle");

	memcpy(s->id, id, strlen(id) + 1);
	if (session_handle_shaped(handle))
		memcpy(s->handle, handle, sizeof(s->handle));
	s->created = json_int_of(record, "created", s->created);
	read_state(s, record);
	read_counters(s, json_object_get(record, "counters"));
	return session_admit(t, s) ? s : NULL;
}

bool session_record_newer(struct slice record)
{
	json_t *json = NULL;
	bool newer;

	if (json_parse(record, JSON_DEPTH_MAX, &json, NULL, 0) != JSON_OK)
		return false;
	newer = format_newer(json);
	json_decref(json);
	return newer;
}

static struct session *restore(struct session_table *t, const json_t *record, const struct principal *p)
{
	const char *id = json_text_of(record, "id");
	enum revision revision = revision_parse(json_text_of(record, "revision"));

	if (!format_fits(record) || revision == REVISION_NONE)
		return NULL;
	if (!session_id_valid(t, id, p))
		return NULL;
	struct session *live = session_live(t, id);
	if (!live)
		return restore_new(t, record, id, p, revision);
	if (live->doubtful || (uint64_t)json_int_of(record, "version", 0) > live->version)
		read_state(live, record);
	read_counters(live, json_object_get(record, "counters"));
	live->doubtful = false;
	session_touch(t, live);
	return live;
}

struct session *session_restore(struct session_table *t, struct slice record, const struct principal *p)
{
	json_t *json = NULL;
	if (json_parse(record, JSON_DEPTH_MAX, &json, NULL, 0) != JSON_OK)
		return NULL;
	struct session *s = restore(t, json, p);
	json_decref(json);
	return s;
}
