/* Scripted faults: reading their JSON, matching them. */
#include "fault.h"

#include <stdio.h>
#include <string.h>
#include "snowgate/json.h"

#define FAULTS_MAX 1024
#define MS_MAX     86400000

struct fault {
	json_t *spec;
	unsigned operations;      /* a bit per operation */
	const char *sql_contains; /* the spec's; NULL: any */
	int64_t left;             /* -1: for ever */
	uint64_t hits;
	struct fault_action action;
};

struct faults {
	struct fault *list;
	size_t n;
};

struct faults *faults_new(void)
{
	return xalloc(sizeof(struct faults));
}

void faults_clear(struct faults *faults)
{
	for (size_t i = 0; i < faults->n; i++)
		json_decref(faults->list[i].spec);
	free(faults->list);
	memset(faults, 0, sizeof(*faults));
}

void faults_free(struct faults *faults)
{
	faults_clear(faults);
	free(faults);
}

static bool flag(const json_t *value, bool *out)
{
	*out = json_is_true(value);
	return json_is_boolean(value);
}

static bool number(const json_t *value, int64_t max, int64_t *out)
{
	*out = json_integer_value(value);
	return json_is_integer(value) && *out >= 0 && *out <= max;
}

static bool milliseconds(const json_t *value, usec_t *out)
{
	int64_t ms;

	if (!number(value, MS_MAX, &ms))
		return false;
	*out = ms * USEC_PER_MS;
	return true;
}

static bool text(const json_t *value, char *out, size_t size)
{
	(void)snprintf(out, size, "%s", json_is_string(value) ? json_string_value(value) : "");
	return json_is_string(value) && json_string_length(value) < size;
}

static bool body_kind(const json_t *value, enum fault_body *out)
{
	static const char *const kinds[] = {"json", "html", "empty"};

	for (unsigned i = 0; json_is_string(value) && i < ARRAY_LEN(kinds); i++) {
		*out = (enum fault_body)i;
		if (!strcmp(json_string_value(value), kinds[i]))
			return true;
	}
	return false;
}

static bool status(const json_t *value, int *out)
{
	int64_t code;

	if (!number(value, 599, &code) || code < 200)
		return false;
	*out = (int)code;
	return true;
}

static bool polls(const json_t *value, int *out)
{
	int64_t n;

	if (!number(value, 1000000, &n))
		return false;
	*out = (int)n;
	return true;
}

static bool drip(const json_t *value, usec_t *out)
{
	*out = 20 * USEC_PER_MS;
	return json_is_true(value) || milliseconds(value, out);
}

/* One row per member of "action". */
static bool read_flags(const char *name, const json_t *value, struct fault_action *a, bool *known)
{
	const struct {
		const char *name;
		bool *member;
	} flags[] = {
	    {"token_expired", &a->token_expired},
	    {"reset_before", &a->reset_before},
	    {"reset_after", &a->reset_after},
	    {"hang", &a->hang},
	    {"after", &a->after},
	    {"truncate_gzip", &a->truncate_gzip},
	    {"half_body", &a->half_body},
	    {"not_json", &a->not_json},
	    {"huge_header", &a->huge_header},
	    {"chunked", &a->chunked},
	};

	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		if (strcmp(name, flags[i].name))
			continue;
		*known = true;
		return flag(value, flags[i].member);
	}
	*known = false;
	return false;
}

static bool read_action(const char *name, const json_t *value, struct fault_action *a)
{
	bool known, ok = read_flags(name, value, a, &known);

	if (known)
		return ok;
	if (!strcmp(name, "delay_ms"))
		return milliseconds(value, &a->delay);
	if (!strcmp(name, "hold_ms"))
		return milliseconds(value, &a->hold);
	if (!strcmp(name, "sync_wait_ms"))
		return milliseconds(value, &a->sync_wait);
	if (!strcmp(name, "polls_202"))
		return polls(value, &a->polls_202);
	if (!strcmp(name, "status"))
		return status(value, &a->status);
	if (!strcmp(name, "body"))
		return body_kind(value, &a->body);
	if (!strcmp(name, "code"))
		return text(value, a->code, sizeof(a->code));
	if (!strcmp(name, "message"))
		return text(value, a->message, sizeof(a->message));
	if (!strcmp(name, "retry_after"))
		return number(value, 86400, &a->retry_after_s);
	if (!strcmp(name, "drip"))
		return drip(value, &a->drip);
	return false;
}

static bool read_operation(const json_t *value, unsigned *out)
{
	static const char *const names[] = {"submit", "poll", "fetch", "cancel"};

	if (!json_is_string(value))
		return false;
	if (!strcmp(json_string_value(value), "any"))
		return true;
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		if (!strcmp(json_string_value(value), names[i])) {
			*out = 1u << i;
			return true;
		}
	}
	return false;
}

static bool read_match(const char *name, const json_t *value, struct fault *f)
{
	if (!strcmp(name, "op"))
		return read_operation(value, &f->operations);
	if (!strcmp(name, "times")) {
		f->left = json_integer_value(value);
		return json_is_integer(value) && f->left >= -1 && f->left != 0;
	}
	f->sql_contains = json_string_value(value);
	return !strcmp(name, "sql_contains") && f->sql_contains;
}

static bool refused(char *why, size_t size, const char *what, const char *name)
{
	(void)snprintf(why, size, "%s %.64s is not understood", what, name);
	return false;
}

static bool fault_read(const json_t *spec, struct fault *f, char *why, size_t size)
{
	json_t *match = json_object_get(spec, "match"), *action = json_object_get(spec, "action"), *value;
	const char *name;

	f->operations = ~0u;
	f->left = 1;
	if (!json_is_object(spec) || !json_is_object(action) || !json_object_size(action))
		return refused(why, size, "member", "action");
	json_object_foreach((json_t *)spec, name, value)
	{
		if (strcmp(name, "match") && strcmp(name, "action"))
			return refused(why, size, "member", name);
	}
	json_object_foreach(match, name, value)
	{
		if (!read_match(name, value, f))
			return refused(why, size, "match", name);
	}
	json_object_foreach(action, name, value)
	{
		if (!read_action(name, value, &f->action))
			return refused(why, size, "action", name);
	}
	return true;
}

bool faults_add(struct faults *faults, const json_t *spec, bool tls, char *why, size_t size)
{
	struct fault f = {0};

	if (!fault_read(spec, &f, why, size))
		return false;
	if (faults->n == FAULTS_MAX || (tls && f.action.huge_header))
		return refused(why, size, "action", faults->n == FAULTS_MAX ? "(too many)" : "huge_header over TLS");
	f.spec = json_incref((json_t *)spec);
	faults->list = xrealloc(faults->list, (faults->n + 1) * sizeof(f));
	faults->list[faults->n++] = f;
	return true;
}

void faults_take(struct faults *faults, enum operation op, const char *sql, struct fault_action *action)
{
	memset(action, 0, sizeof(*action));
	for (size_t i = 0; i < faults->n; i++) {
		struct fault *f = &faults->list[i];

		if (!f->left || !(f->operations & 1u << op))
			continue;
		if (f->sql_contains && (!sql || !strstr(sql, f->sql_contains)))
			continue;
		f->left -= f->left > 0;
		f->hits++;
		*action = f->action;
		return;
	}
}

json_t *faults_json(const struct faults *faults)
{
	json_t *all = json_array();

	for (size_t i = 0; i < faults->n; i++)
		json_array_append_new(all, json_pack("{s:O,s:I,s:I}", "fault", faults->list[i].spec, "left",
						     (json_int_t)faults->list[i].left, "hits",
						     (json_int_t)faults->list[i].hits));
	return all;
}
