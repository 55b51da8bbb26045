/* Values of positional bindings, from the wire's texts to typed parameters. */
#include "engine_parts.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static bool whole_number(const char *text, int64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoll(text, &end, 10);
	return !errno && end != text && !*end;
}

static bool bind_number(duckdb_prepared_statement p, idx_t i, const char *text)
{
	int64_t whole;
	char *end;

	if (whole_number(text, &whole))
		return duckdb_bind_int64(p, i, whole) == DUCKDB_SUCCESS;
	strtod(text, &end);
	return end != text && !*end && duckdb_bind_varchar_length(p, i, text, strlen(text)) == DUCKDB_SUCCESS;
}

static bool bind_real(duckdb_prepared_statement p, idx_t i, const char *text)
{
	char *end;
	double value = strtod(text, &end);

	return end != text && !*end && duckdb_bind_double(p, i, value) == DUCKDB_SUCCESS;
}

static bool bind_boolean(duckdb_prepared_statement p, idx_t i, const char *text)
{
	bool value = !strcasecmp(text, "true") || !strcmp(text, "1");

	if (!value && strcasecmp(text, "false") && strcmp(text, "0"))
		return false;
	return duckdb_bind_boolean(p, i, value) == DUCKDB_SUCCESS;
}

/* Milliseconds since the epoch; a text that is a date is taken too. */
static bool bind_date(duckdb_prepared_statement p, idx_t i, const char *text)
{
	int64_t ms;

	if (!whole_number(text, &ms))
		return strchr(text, '-') && duckdb_bind_varchar_length(p, i, text, strlen(text)) == DUCKDB_SUCCESS;
	ms = ms / 86400000 - (ms % 86400000 < 0);
	return ms > -5000000 && ms < 5000000 && duckdb_bind_date(p, i, (duckdb_date){(int32_t)ms}) == DUCKDB_SUCCESS;
}

/* Nanoseconds, for TIMESTAMP_TZ followed by the offset, which does not change the instant. */
static bool bind_moment(duckdb_prepared_statement p, idx_t i, const char *type, const char *text)
{
	char digits[32];
	size_t n = strcspn(text, " ");
	int64_t ns;

	if (n >= sizeof digits)
		return false;
	memcpy(digits, text, n);
	digits[n] = '\0';
	if (!whole_number(digits, &ns))
		return strpbrk(text, "-:") && duckdb_bind_varchar_length(p, i, text, strlen(text)) == DUCKDB_SUCCESS;
	if (!strcasecmp(type, "TIME"))
		return duckdb_bind_time(p, i, (duckdb_time){ns / 1000}) == DUCKDB_SUCCESS;
	if (!strcasecmp(type, "TIMESTAMP_NTZ"))
		return duckdb_bind_timestamp(p, i, (duckdb_timestamp){ns / 1000}) == DUCKDB_SUCCESS;
	return duckdb_bind_timestamp_tz(p, i, (duckdb_timestamp){ns / 1000}) == DUCKDB_SUCCESS;
}

static bool bind_one(duckdb_prepared_statement p, idx_t i, const struct engine_binding *b)
{
	const char *type = b->type ? b->type : "TEXT";

	if (!b->value)
		return duckdb_bind_null(p, i) == DUCKDB_SUCCESS;
	if (!strcasecmp(type, "FIXED") || !strcasecmp(type, "DECFLOAT"))
		return bind_number(p, i, b->value);
	if (!strcasecmp(type, "REAL"))
		return bind_real(p, i, b->value);
	if (!strcasecmp(type, "BOOLEAN"))
		return bind_boolean(p, i, b->value);
	if (!strcasecmp(type, "DATE"))
		return bind_date(p, i, b->value);
	if (!strncasecmp(type, "TIME", 4))
		return bind_moment(p, i, type, b->value);
	return duckdb_bind_varchar_length(p, i, b->value, strlen(b->value)) == DUCKDB_SUCCESS;
}

bool bind_all(struct run *run, duckdb_prepared_statement prepared)
{
	const struct engine_statement *s = run->statement;
	idx_t wanted = duckdb_nparams(prepared);
	struct failure failure;

	if (wanted > s->bindings_n) {
		set_failure(&failure, "002049", "42601", "SQL compilation error:\nBind variable ? not set.");
		answer_failure(run, &failure);
		return false;
	}
	for (idx_t i = 0; i < wanted; i++) {
		if (bind_one(prepared, i + 1, &s->bindings[i]))
			continue;
		set_failure(&failure, "100037", "22018", "Invalid value [%.200s] for bind variable %d of type %s",
			    s->bindings[i].value ? s->bindings[i].value : "NULL", (int)i + 1, s->bindings[i].type);
		answer_failure(run, &failure);
		return false;
	}
	return true;
}
