/* Scripted faults: reading their JSON, matching them. */
#include "fault.h"

#include <stdio.h>
#include <string.h>
#include "snowgate/json.h"

#define FAULTS_MAX 1024
#define MS_MAX     86400000

struct fault {
	json_t *spec;
	unsigned operations;             /* a bit per operation */
	const char *sql_contains, *user; /* the spec's; NULL: any */
	int64_t left;                    /* -1: for ever */
	int64_t skip;
	double probability;
	uint64_t random; /* state of the draws */
	uint64_t hits;
	struct fault_action action;
};

struct faults {
	struct fault *list;
	size_t n;
};

static const char *const operation_names[OPS_N] = {
    [OP_SUBMIT] = "submit",   [OP_POLL] = "poll",     [OP_FETCH] = "fetch",     [OP_CANCEL] = "cancel",
    [OP_OAUTH] = "oauth",     [OP_SEARCH] = "search", [OP_ANALYST] = "analyst", [OP_AGENT] = "agent",
    [OP_CONTROL] = "control", [OP_OTHER] = "other",
};

const char *operation_name(enum operation op)
{
	return operation_names[op];
}

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
	    {"not_yet_valid", &a->not_yet_valid},
	    {"reset_in_request", &a->reset_in_request},
	    {"reset_before", &a->reset_before},
	    {"reset_during", &a->reset_during},
	    {"reset_after", &a->reset_after},
	    {"reset_in_answer", &a->reset_in_answer},
	    {"length_long", &a->length_long},
	    {"length_short", &a->length_short},
	    {"bare_partition", &a->bare_partition},
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
	if (!strcmp(name, "retry_after_date"))
		return number(value, 86400, &a->retry_after_date_s);
	if (!strcmp(name, "drip"))
		return drip(value, &a->drip);
	return false;
}

static bool add_operation(const json_t *value, unsigned *out)
{
	for (unsigned i = 0; json_is_string(value) && i < OP_CONTROL; i++) {
		if (!strcmp(json_string_value(value), operation_names[i])) {
			*out |= 1u << i;
			return true;
		}
	}
	return false;
}

/* One operation, "any", or a list. */
static bool read_operation(const json_t *value, unsigned *out)
{
	unsigned all = 0;
	size_t i;
	json_t *one;

	if (json_is_string(value) && !strcmp(json_string_value(value), "any"))
		return true;
	if (json_is_string(value) && !add_operation(value, &all))
		return false;
	json_array_foreach(value, i, one)
	{
		if (!add_operation(one, &all))
			return false;
	}
	*out = all;
	return all != 0;
}

static bool read_text_match(const json_t *value, const char **out)
{
	*out = json_string_value(value);
	return *out != NULL;
}

static bool read_match(const char *name, const json_t *value, struct fault *f)
{
	int64_t seed;

	if (!strcmp(name, "op"))
		return read_operation(value, &f->operations);
	if (!strcmp(name, "times")) {
		f->left = json_integer_value(value);
		return json_is_integer(value) && f->left >= -1 && f->left != 0;
	}
	if (!strcmp(name, "skip"))
		return number(value, INT32_MAX, &f->skip);
	if (!strcmp(name, "probability")) {
		f->probability = json_number_value(value);
		return json_is_number(value) && f->probability >= 0 && f->probability <= 1;
	}
	if (!strcmp(name, "seed")) {
		f->random += number(value, INT64_MAX, &seed) ? (uint64_t)seed * 0x9e3779b97f4a7c15u : 0;
		return json_is_integer(value) && seed >= 0;
	}
	if (!strcmp(name, "user"))
		return read_text_match(value, &f->user);
	return !strcmp(name, "sql_contains") && read_text_match(value, &f->sql_contains);
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
	f->probability = 1;
	f->random = 0x2545f4914f6cdd1du;
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
	if (faults->n == FAULTS_MAX || (tls && (f.action.huge_header || f.action.length_short)))
		return refused(why, size, "action",
			       faults->n == FAULTS_MAX ? "(too many)" : "huge_header or length_short over TLS");
	f.spec = json_incref((json_t *)spec);
	faults->list = xrealloc(faults->list, (faults->n + 1) * sizeof(f));
	faults->list[faults->n++] = f;
	return true;
}

/* xorshift64*: the same draws for the same seed, on every machine. */
static bool draw(struct fault *f)
{
	f->random ^= f->random >> 12;
	f->random ^= f->random << 25;
	f->random ^= f->random >> 27;
	return (double)(f->random * 0x2545f4914f6cdd1du >> 11) / 9007199254740992.0 < f->probability;
}

static bool fault_strikes(struct fault *f)
{
	if (f->skip) {
		f->skip--;
		return false;
	}
	if (f->probability < 1 && !draw(f))
		return false;
	f->left -= f->left > 0;
	f->hits++;
	return true;
}

void faults_take(struct faults *faults, enum operation op, const char *sql, const char *user,
		 struct fault_action *action)
{
	memset(action, 0, sizeof(*action));
	for (size_t i = 0; i < faults->n; i++) {
		struct fault *f = &faults->list[i];

		if (!f->left || !(f->operations & 1u << op) || f->action.reset_in_request)
			continue;
		if (f->sql_contains && (!sql || !strstr(sql, f->sql_contains)))
			continue;
		if ((f->user && (!user || strcmp(user, f->user))) || !fault_strikes(f))
			continue;
		*action = f->action;
		return;
	}
}

bool faults_take_early(struct faults *faults, enum operation op)
{
	for (size_t i = 0; i < faults->n; i++) {
		struct fault *f = &faults->list[i];

		if (f->left && (f->operations & 1u << op) && f->action.reset_in_request && fault_strikes(f))
			return true;
	}
	return false;
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
