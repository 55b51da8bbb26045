/* Values of positional bindings, from the wire's texts to typed parameters. */
#include "engine_parts.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include "casts.h"

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

/* Nanoseconds up to the year 9999 pass 64 bits. Reads up to a space or the end. */
static bool nanoseconds(const char *text, int128 *value)
{
	bool negative = *text == '-';
	int n = 0;

	*value = 0;
	for (text += negative; *text >= '0' && *text <= '9' && n < 30; text++, n++)
		*value = *value * 10 + (*text - '0');
	*value = negative ? -*value : *value;
	return n > 0 && (!*text || *text == ' ');
}

/* "nanoseconds offset+1440", or a text that is a timestamp. */
static bool bind_zoned(duckdb_prepared_statement p, idx_t i, const char *text)
{
	struct buf shown = buf_with_ceiling(128);
	const char *space = strchr(text, ' ');
	int64_t offset = ZONED_BIAS;
	int128 value;
	bool ok;

	if (nanoseconds(text, &value)) {
		ok = !space || parse_int(space + 1, 0, 2 * ZONED_BIAS, &offset);
		value = zoned_pack(value, (int)offset - ZONED_BIAS);
	} else {
		ok = zoned_parse(text, strlen(text), &value);
	}
	if (ok) {
		zoned_show(&shown, value);
		ok = duckdb_bind_varchar_length(p, i, buf_text(&shown), shown.n) == DUCKDB_SUCCESS;
	}
	buf_free(&shown);
	return ok;
}

/* Nanoseconds since midnight or 1970; microseconds are kept. */
static bool bind_moment(duckdb_prepared_statement p, idx_t i, const char *type, const char *text)
{
	int128 ns;
	int64_t micros;

	if (!nanoseconds(text, &ns))
		return strpbrk(text, "-:") && duckdb_bind_varchar_length(p, i, text, strlen(text)) == DUCKDB_SUCCESS;
	micros = (int64_t)(ns / 1000 - (ns % 1000 < 0));
	if (!strcasecmp(type, "TIME"))
		return duckdb_bind_time(p, i, (duckdb_time){micros}) == DUCKDB_SUCCESS;
	if (!strcasecmp(type, "TIMESTAMP_NTZ"))
		return duckdb_bind_timestamp(p, i, (duckdb_timestamp){micros}) == DUCKDB_SUCCESS;
	return duckdb_bind_timestamp_tz(p, i, (duckdb_timestamp){micros}) == DUCKDB_SUCCESS;
}

static bool bind_one(duckdb_prepared_statement p, idx_t i, const struct engine_binding *b)
{
	const char *type = b->type ? b->type : "TEXT";

	if (!b->value)
		return duckdb_bind_null(p, i) == DUCKDB_SUCCESS;
	if (!strcasecmp(type, "FIXED"))
		return bind_number(p, i, b->value);
	if (!strcasecmp(type, "REAL"))
		return bind_real(p, i, b->value);
	if (!strcasecmp(type, "BOOLEAN"))
		return bind_boolean(p, i, b->value);
	if (!strcasecmp(type, "DATE"))
		return bind_date(p, i, b->value);
	if (!strcasecmp(type, "TIMESTAMP_TZ"))
		return bind_zoned(p, i, b->value);
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
