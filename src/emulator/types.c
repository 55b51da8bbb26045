/* Snowflake's types, date parts and date formats in DuckDB's words. */
#include "rewriter.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Whole numbers live in BIGINT or HUGEINT, so that NUMBER(38,0) keeps its 38 digits and division its 6 decimals. */
static const struct {
	const char *words, *duck, *snowflake;
	enum type_class class;
} TYPES[] = {
    {"|INT|INTEGER|BIGINT|SMALLINT|TINYINT|BYTEINT|", "HUGEINT", "NUMBER(38,0)", TYPE_OTHER},
    {"|FLOAT|FLOAT4|FLOAT8|REAL|DOUBLE|", "DOUBLE", "FLOAT", TYPE_OTHER},
    {"|BOOLEAN|", "BOOLEAN", "BOOLEAN", TYPE_OTHER},
    {"|DATE|", "DATE", "DATE", TYPE_OTHER},
    {"|TIME|", "TIME", "TIME(9)", TYPE_OTHER},
    {"|TIMESTAMP_NTZ|TIMESTAMP|DATETIME|TIMESTAMPNTZ|", "TIMESTAMP", "TIMESTAMP_NTZ(9)", TYPE_OTHER},
    {"|TIMESTAMP_LTZ|TIMESTAMPLTZ|", "TIMESTAMPTZ", "TIMESTAMP_LTZ(9)", TYPE_LTZ},
    {"|TIMESTAMP_TZ|TIMESTAMPTZ|", "_SF_TZ", "TIMESTAMP_TZ(9)", TYPE_ZONED},
    {"|DECFLOAT|", "_SF_DECFLOAT", "DECFLOAT", TYPE_DECFLOAT},
    {"|GEOGRAPHY|", "JSON", "GEOGRAPHY", TYPE_GEO},
    {"|GEOMETRY|", "JSON", "GEOMETRY", TYPE_GEO},
    {"|VARIANT|", "JSON", "VARIANT", TYPE_SEMI},
    {"|OBJECT|", "JSON", "OBJECT", TYPE_SEMI},
    {"|ARRAY|", "JSON", "ARRAY", TYPE_SEMI},
    {"|BINARY|VARBINARY|", "BLOB", "BINARY(8388608)", TYPE_BINARY},
};

static int small_number(const struct token *t, int fallback)
{
	int value = 0;

	if (t->kind != TOKEN_NUMBER || t->n > 9)
		return fallback;
	for (size_t i = 0; i < t->n; i++) {
		if (!isdigit((unsigned char)t->text[i]))
			return fallback;
		value = value * 10 + (t->text[i] - '0');
	}
	return value;
}

static void number_type(const struct rewriter *r, int open, struct type_text *type)
{
	int precision = open ? small_number(&r->t[open + 1], 38) : 38;
	int scale = open && token_is_op(&r->t[open + 2], ",") ? small_number(&r->t[open + 3], 0) : 0;

	precision = precision < 1 || precision > 38 ? 38 : precision;
	scale = scale > precision ? precision : scale;
	if (scale)
		snprintf(type->duck, sizeof type->duck, "DECIMAL(%d,%d)", precision, scale);
	else
		snprintf(type->duck, sizeof type->duck, precision <= 18 ? "BIGINT" : "HUGEINT");
	type->digits = scale || precision == 38 ? 0 : precision;
	snprintf(type->snowflake, sizeof type->snowflake, "NUMBER(%d,%d)", precision, scale);
}

static void text_type(const struct rewriter *r, int i, int open, struct type_text *type)
{
	bool one = token_in(&r->t[i], "|CHAR|CHARACTER|NCHAR|");

	type->class = TYPE_TEXT;
	type->length = open ? small_number(&r->t[open + 1], 0) : one ? 1 : 0;
	snprintf(type->duck, sizeof type->duck, "VARCHAR");
	snprintf(type->snowflake, sizeof type->snowflake, "VARCHAR(%d)", type->length ? type->length : 16777216);
}

/* VECTOR(FLOAT | INT, n) */
static void vector_type(const struct rewriter *r, int open, struct type_text *type)
{
	bool whole = token_in(&r->t[open + 1], "|INT|INTEGER|");
	int n = small_number(&r->t[open + 3], 0);

	type->known = n > 0 && n <= 4096 && (whole || token_in(&r->t[open + 1], "|FLOAT|FLOAT4|FLOAT8|"));
	snprintf(type->duck, sizeof type->duck, "%s[%d]", whole ? "INTEGER" : "FLOAT", n);
	snprintf(type->snowflake, sizeof type->snowflake, "VECTOR(%s, %d)", whole ? "INT" : "FLOAT", n);
}

void parse_type(const struct rewriter *r, int i, struct type_text *type)
{
	const struct token *t = &r->t[i];
	int open = token_is_op(&r->t[i + 1], "(") && r->t[i + 1].mate > 0 ? i + 1 : 0;

	*type = (struct type_text){.next = open ? r->t[open].mate + 1 : i + 1, .known = true};
	if (token_in(t, "|NUMBER|NUMERIC|DECIMAL|DEC|")) {
		number_type(r, open, type);
		return;
	}
	if (token_in(t, "|VARCHAR|STRING|TEXT|CHAR|CHARACTER|NVARCHAR|NCHAR|NVARCHAR2|")) {
		text_type(r, i, open, type);
		return;
	}
	if (token_is(t, "VECTOR") && open) {
		vector_type(r, open, type);
		return;
	}
	for (size_t k = 0; k < ARRAY_LEN(TYPES); k++) {
		if (!token_in(t, TYPES[k].words))
			continue;
		type->class = TYPES[k].class;
		snprintf(type->duck, sizeof type->duck, "%s", TYPES[k].duck);
		snprintf(type->snowflake, sizeof type->snowflake, "%s", TYPES[k].snowflake);
		if (token_is(t, "DOUBLE") && token_is(&r->t[i + 1], "PRECISION"))
			type->next++;
		return;
	}
	type->known = false;
}

void add_cast(struct buf *out, const char *value, const struct type_text *type, bool try_cast)
{
	const char *cast = try_cast ? "TRY_CAST" : "CAST";

	if (type->class == TYPE_SEMI)
		buf_addf(out, "_SF_VARIANT(%s)", value);
	else if (type->class == TYPE_TEXT && type->length)
		buf_addf(out, "LEFT(_SF_TEXT(%s), %d)", value, type->length);
	else if (type->class == TYPE_TEXT)
		buf_addf(out, "_SF_TEXT(%s)", value);
	else if (type->class == TYPE_BINARY)
		buf_addf(out, "%s(%s AS BLOB)", cast, value);
	else if (type->class == TYPE_ZONED)
		buf_addf(out, "%s(_SF_WITH_OFFSET(%s) AS _SF_TZ)", cast, value);
	else if (type->class == TYPE_LTZ)
		buf_addf(out, try_cast ? "_SF_TRY_TO_TIMESTAMPTZ(%s, 0)" : "_SF_LTZ(%s)", value);
	else if (type->class == TYPE_DECFLOAT)
		buf_addf(out, "%s(CAST(%s AS VARCHAR) AS _SF_DECFLOAT)", cast, value);
	else if (type->class == TYPE_GEO)
		buf_addf(out, "_SF_GEO(%s)", value);
	else if (type->digits)
		buf_addf(out, "CAST(%s(%s AS DECIMAL(%d,0)) AS %s)", cast, value, type->digits, type->duck);
	else
		buf_addf(out, "%s(%s AS %s)", cast, value, type->duck);
}

const char *date_part_name(const struct token *t)
{
	static const struct {
		const char *words, *duck;
	} PARTS[] = {
	    {"|Y|YY|YYY|YYYY|YR|YEARS|YRS|YEAR|", "year"},
	    {"|Q|QTR|QTRS|QUARTERS|QUARTER|", "quarter"},
	    {"|MM|MON|MONS|MONTHS|MONTH|", "month"},
	    {"|W|WK|WEEKOFYEAR|WOY|WY|WEEK|WEEKS|", "week"},
	    {"|WEEKISO|WEEK_ISO|WEEKOFYEARISO|", "week"},
	    {"|D|DD|DAYS|DAYOFMONTH|DAY|", "day"},
	    {"|H|HH|HR|HOURS|HRS|HOUR|", "hour"},
	    {"|M|MI|MIN|MINUTES|MINS|MINUTE|", "minute"},
	    {"|S|SEC|SECONDS|SECS|SECOND|", "second"},
	    {"|MS|MSEC|MILLISECONDS|MILLISECOND|", "millisecond"},
	    {"|US|USEC|MICROSECONDS|MICROSECOND|", "microsecond"},
	    {"|NS|NSEC|NANOSECOND|NANOSECONDS|", "nanosecond"},
	    {"|DAYOFWEEK|DOW|DW|WEEKDAY|", "dow"},
	    {"|DAYOFWEEKISO|DAYOFWEEK_ISO|WEEKDAY_ISO|", "isodow"},
	    {"|DAYOFYEAR|DOY|YEARDAY|", "doy"},
	    {"|YEAROFWEEK|YEAROFWEEKISO|", "isoyear"},
	    {"|EPOCH_SECOND|EPOCH|", "epoch_second"},
	    {"|EPOCH_MILLISECOND|", "epoch_millisecond"},
	};
	struct token word = *t;

	if (t->kind == TOKEN_STRING || t->kind == TOKEN_QUOTED) {
		if (t->n < 3)
			return NULL;
		word = (struct token){TOKEN_WORD, t->text + 1, t->n - 2, false, LEX_NO_MATE};
	}
	for (size_t i = 0; i < ARRAY_LEN(PARTS); i++)
		if (token_in(&word, PARTS[i].words))
			return PARTS[i].duck;
	return NULL;
}

/* Longest first, since the first that fits is taken. */
bool add_date_format(const struct token *t, struct buf *out)
{
	static const struct {
		const char *snowflake, *duck;
	} ELEMENTS[] = {
	    {"TZHTZM", "%z"}, {"TZH:TZM", "%z"}, {"YYYY", "%Y"}, {"MMMM", "%B"}, {"HH24", "%H"}, {"HH12", "%I"},
	    {"MON", "%b"},    {"TZH", "%z"},     {"FF0", ""},    {"FF3", "%g"},  {"FF6", "%f"},  {"FF9", "%n"},
	    {"FF", "%n"},     {"YY", "%y"},      {"MM", "%m"},   {"DD", "%d"},   {"DY", "%a"},   {"HH", "%H"},
	    {"MI", "%M"},     {"SS", "%S"},      {"AM", "%p"},   {"PM", "%p"},
	};
	struct buf format = buf_with_ceiling(4096);
	bool any = false, verbatim = false;

	if (t->kind == TOKEN_STRING)
		token_string(t, &format);
	for (size_t i = 0; i < format.n;) {
		size_t k = 0, n = 1;

		for (; k < ARRAY_LEN(ELEMENTS) && !verbatim; k++) {
			n = strlen(ELEMENTS[k].snowflake);
			if (i + n <= format.n && !strncasecmp(format.data + i, ELEMENTS[k].snowflake, n))
				break;
		}
		if (k < ARRAY_LEN(ELEMENTS) && !verbatim) {
			buf_adds(out, ELEMENTS[k].duck);
			any = true;
			i += n;
			continue;
		}
		if (format.data[i] == '"')
			verbatim = !verbatim;
		else
			buf_add(out, format.data + i, 1);
		i++;
	}
	buf_free(&format);
	return any;
}
