/* Function calls: a table of names that pass, and rewrites for those that need more than a name. */
#include "rewriter.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define CALL_ARGUMENTS_MAX 64

struct call {
	struct rewriter *r;
	struct token *t;
	const struct token *name;
	int open, close; /* the parentheses; equal to the name where there are none */
	int n, from[CALL_ARGUMENTS_MAX], to[CALL_ARGUMENTS_MAX];
	int next; /* behind everything that was consumed */
};

struct call_rule {
	const char *name, *target;
	unsigned integers;
};

static const struct call_rule RULES[] = {
#define SAME(name)       {#name, #name, 0},
#define AS(name, target) {#name, #target, 0},
#define INTS(name, mask) {#name, #name, mask},
#include "calls.def"
#undef SAME
#undef AS
#undef INTS
};

static char *argument(const struct call *c, int k)
{
	return k < c->n ? emit_text(c->r, c->from[k], c->to[k]) : xstrdup("NULL");
}

/* name(arguments), the arguments of the mask cast to whole numbers. */
static void add_call(const struct call *c, const char *name, unsigned integers, struct buf *out)
{
	buf_addf(out, "%s(", name);
	for (int k = 0; k < c->n; k++) {
		bool cast = k < 32 && (integers >> k & 1);

		buf_adds(out, k ? ", " : "");
		buf_adds(out, cast ? "CAST(" : "");
		emit_range(c->r, c->from[k], c->to[k], EMIT_EXPRESSION, out);
		buf_adds(out, cast ? " AS INTEGER)" : "");
	}
	buf_adds(out, ")");
}

static bool argument_count(const struct call *c, int min, int max)
{
	if (c->n >= min && c->n <= max)
		return true;
	plan_fail(
	    c->r->plan, c->n < min ? "000938" : "000939", "22023",
	    "SQL compilation error: error line 1 at position 0\n%s arguments for function [%.*s] expected %d, got %d",
	    c->n < min ? "not enough" : "too many", (int)c->name->n, c->name->text, c->n < min ? min : max, c->n);
	return false;
}

/* ---- dates ---- */

/* A date argument: a plain text is read as a timestamp. */
static char *moment(const struct call *c, int k)
{
	struct buf text = buf_with_ceiling(PLAN_SQL_MAX);
	char *value = argument(c, k), *out;

	if (k >= c->n || c->to[k] != c->from[k] + 1 || c->t[c->from[k]].kind != TOKEN_STRING)
		return value;
	buf_addf(&text, "CAST(%s AS TIMESTAMP)", value);
	out = xstrdup(buf_text(&text));
	buf_free(&text);
	free(value);
	return out;
}

/* DATEADD: months, days or microseconds, by natives that keep DATE a DATE where Snowflake does. */
static void add_date_add(const struct call *c, const char *part, int amount, int date, struct buf *out)
{
	static const struct {
		const char *part, *unit;
		const char *factor;
	} UNITS[] = {
	    {"year", "MONTHS", "12"},
	    {"quarter", "MONTHS", "3"},
	    {"month", "MONTHS", "1"},
	    {"week", "DAYS", "7"},
	    {"day", "DAYS", "1"},
	    {"hour", "MICROS", "3600000000"},
	    {"minute", "MICROS", "60000000"},
	    {"second", "MICROS", "1000000"},
	    {"millisecond", "MICROS", "1000"},
	    {"microsecond", "MICROS", "1"},
	};
	char *n = argument(c, amount), *d = moment(c, date);
	size_t k = 0;

	while (k < ARRAY_LEN(UNITS) && strcmp(UNITS[k].part, part))
		k++;
	if (k == ARRAY_LEN(UNITS))
		plan_unsupported(c->r->plan, "this date part in DATEADD");
	else
		buf_addf(out, "_SF_ADD_%s(%s * CAST(%s AS BIGINT), %s)", UNITS[k].unit, UNITS[k].factor, n, d);
	free(n);
	free(d);
}

static bool emit_date_call(struct call *c, struct buf *out)
{
	const struct token *t = c->name;
	const char *part = c->n && c->to[0] == c->from[0] + 1 ? date_part_name(&c->t[c->from[0]]) : NULL;
	bool add = token_in(t, "|DATEADD|TIMESTAMPADD|TIMEADD|"),
	     diff = token_in(t, "|DATEDIFF|TIMESTAMPDIFF|TIMEDIFF|");
	char *a, *b;

	if (token_is(t, "ADD_MONTHS") && argument_count(c, 2, 2)) {
		add_date_add(c, "month", 1, 0, out);
		return true;
	}
	if ((add || diff) && !argument_count(c, 3, 3))
		return true;
	if ((add || diff) && !part) {
		plan_fail(c->r->plan, "002151", "22023",
			  "SQL compilation error:\n[%.*s] is not a valid date/time component for function %.*s",
			  (int)c->t[c->from[0]].n, c->t[c->from[0]].text, (int)t->n, t->text);
		return true;
	}
	if (add) {
		add_date_add(c, part, 1, 2, out);
		return true;
	}
	if (!part || !(diff || token_in(t, "|DATE_TRUNC|TRUNC|DATE_PART|LAST_DAY|")))
		return false;
	a = moment(c, 1);
	b = argument(c, 2);
	if (diff)
		buf_addf(out, "_SF_DIFF('%s', %s, %s)", part, a, b);
	else
		buf_addf(out, "%s('%s', %s)", token_is(t, "DATE_PART") ? "_SF_PART" : "_SF_TRUNC", part, a);
	free(a);
	free(b);
	return true;
}

/* DATE_TRUNC(date, 'MONTH') and LAST_DAY(date [, part]) take the part last. */
static bool emit_date_last_call(struct call *c, struct buf *out)
{
	const char *part = c->n == 2 && c->to[1] == c->from[1] + 1 ? date_part_name(&c->t[c->from[1]]) : NULL;
	char *d;

	if (!(token_is(c->name, "LAST_DAY") || (part && token_in(c->name, "|TRUNC|DATE_TRUNC|"))))
		return false;
	d = moment(c, 0);
	if (token_is(c->name, "LAST_DAY"))
		buf_addf(out, "_SF_LAST_DAY('%s', %s)", part ? part : "month", d);
	else
		buf_addf(out, "_SF_TRUNC('%s', %s)", part, d);
	free(d);
	return true;
}

static bool emit_extract(struct call *c, struct buf *out)
{
	const char *part = date_part_name(&c->t[c->open + 1]);
	char *value;

	if (!token_is(c->name, "EXTRACT"))
		return false;
	if (!part || !token_is(&c->t[c->open + 2], "FROM")) {
		fail_at(c->r, &c->t[c->open + 1]);
		return true;
	}
	value = emit_text(c->r, c->open + 3, c->close);
	buf_addf(out, "_SF_PART('%s', %s)", part, value);
	free(value);
	return true;
}

static bool emit_now(struct call *c, struct buf *out)
{
	if (token_in(c->name, "|CURRENT_TIMESTAMP|LOCALTIMESTAMP|"))
		buf_adds(out, "NOW()");
	else if (token_in(c->name, "|CURRENT_TIME|LOCALTIME|"))
		buf_adds(out, "CAST(CAST(NOW() AS TIMESTAMP) AS TIME)");
	else if (token_is(c->name, "CURRENT_DATE"))
		buf_adds(out, "CAST(CAST(NOW() AS TIMESTAMP) AS DATE)");
	else
		return false;
	return true;
}

/* ---- conversions ---- */

static bool emit_to_date(struct call *c, struct buf *out)
{
	static const char NAMES[] = "|TO_DATE|DATE|TRY_TO_DATE|TO_TIME|TIME|TRY_TO_TIME|TO_TIMESTAMP|TO_TIMESTAMP_NTZ|"
				    "TO_TIMESTAMP_LTZ|TO_TIMESTAMP_TZ|"
				    "TRY_TO_TIMESTAMP|TRY_TO_TIMESTAMP_NTZ|TRY_TO_TIMESTAMP_LTZ|TRY_TO_TIMESTAMP_TZ|";
	struct buf format = buf_with_ceiling(1024);
	bool tried = !strncasecmp(c->name->text, "TRY", 3);
	char name[32], *value;
	const char *type;

	if (!token_in(c->name, NAMES))
		return false;
	if (!argument_count(c, 1, 2))
		return true;
	token_name(c->name, name, sizeof name);
	type = strstr(name, "DATE") ? "DATE" : strstr(name, "TIMESTAMP") ? "TIMESTAMP" : "TIME";
	type = strstr(name, "LTZ") ? "TIMESTAMPTZ" : strstr(name, "_TZ") ? "TZ" : type;
	value = argument(c, 0);
	if (c->n == 2 && add_date_format(&c->t[c->from[1]], &format)) {
		buf_addf(out, "CAST(%s(_SF_TEXT(%s), ", tried ? "TRY_STRPTIME" : "STRPTIME", value);
		add_literal(out, buf_text(&format));
		buf_addf(out, ") AS %s)", strcmp(type, "TZ") ? type : "_SF_TZ");
	} else {
		const char *scale = c->n == 2 && c->t[c->from[1]].kind == TOKEN_NUMBER ? c->t[c->from[1]].text : "0";

		buf_addf(out, "%s_%s(%s, %c)", tried ? "_SF_TRY_TO" : "_SF_TO", type, value, *scale);
	}
	free(value);
	buf_free(&format);
	return true;
}

static bool is_binary_format(const struct token *t)
{
	struct token word = {TOKEN_WORD, t->text + 1, t->n > 2 ? t->n - 2 : 0, false, LEX_NO_MATE};

	return t->kind == TOKEN_STRING && token_in(&word, "|HEX|BASE64|UTF-8|UTF8|");
}

static bool emit_to_char(struct call *c, struct buf *out)
{
	struct buf format = buf_with_ceiling(1024);
	char *value;

	if (!token_in(c->name, "|TO_CHAR|TO_VARCHAR|"))
		return false;
	if (!argument_count(c, 1, 2))
		return true;
	value = argument(c, 0);
	if (c->n == 1) {
		buf_addf(out, "_SF_TEXT(%s)", value);
	} else if (is_binary_format(&c->t[c->from[1]])) {
		buf_addf(out, "_SF_BINARY_TEXT(%s, %.*s)", value, (int)c->t[c->from[1]].n, c->t[c->from[1]].text);
	} else if (add_date_format(&c->t[c->from[1]], &format)) {
		buf_addf(out, "STRFTIME(%s, ", value);
		add_literal(out, buf_text(&format));
		buf_adds(out, ")");
	} else {
		plan_unsupported(c->r->plan, "numeric formats of TO_CHAR");
	}
	free(value);
	buf_free(&format);
	return true;
}

static int literal_int(const struct call *c, int k, int fallback)
{
	int64_t value;
	char text[16];

	if (k >= c->n || c->t[c->from[k]].kind != TOKEN_NUMBER)
		return fallback;
	snprintf(text, sizeof text, "%.*s", (int)(c->t[c->from[k]].n < 15 ? c->t[c->from[k]].n : 15),
		 c->t[c->from[k]].text);
	return parse_int(text, 0, 38, &value) ? (int)value : fallback;
}

static bool emit_to_number(struct call *c, struct buf *out)
{
	bool tried = !strncasecmp(c->name->text, "TRY", 3);
	const char *cast = tried ? "TRY_CAST" : "CAST";
	char *value;
	int precision, scale;

	if (!token_in(c->name, "|TO_NUMBER|TO_DECIMAL|TO_NUMERIC|TRY_TO_NUMBER|TRY_TO_DECIMAL|TRY_TO_NUMERIC|TO_DOUBLE|"
			       "TRY_TO_DOUBLE|TO_BOOLEAN|TRY_TO_BOOLEAN|"))
		return false;
	if (!argument_count(c, 1, 4))
		return true;
	value = argument(c, 0);
	precision = literal_int(c, 1, 38);
	scale = literal_int(c, 2, 0);
	if (c->n > 1 && c->t[c->from[1]].kind == TOKEN_STRING)
		plan_unsupported(c->r->plan, "formats of TO_NUMBER");
	if (memmem(c->name->text, c->name->n, "OUBLE", 5) || memmem(c->name->text, c->name->n, "ouble", 5))
		buf_addf(out, "%s(%s AS DOUBLE)", cast, value);
	else if (memmem(c->name->text, c->name->n, "OOLEAN", 6) || memmem(c->name->text, c->name->n, "oolean", 6))
		buf_addf(out, "%s(%s AS BOOLEAN)", cast, value);
	else if (scale)
		buf_addf(out, "%s(%s AS DECIMAL(%d,%d))", cast, value, precision,
			 scale > precision ? precision : scale);
	else
		buf_addf(out, "%s(%s AS HUGEINT)", cast, value);
	free(value);
	return true;
}

static bool emit_cast_call(struct call *c, struct buf *out)
{
	struct type_text type;
	char *value;
	int as = c->open + 1;

	if (!token_in(c->name, "|CAST|TRY_CAST|"))
		return false;
	while (as < c->close && !token_is(&c->t[as], "AS"))
		as = c->t[as].mate > as ? c->t[as].mate + 1 : as + 1;
	if (as >= c->close) {
		fail_at(c->r, &c->t[c->close]);
		return true;
	}
	parse_type(c->r, as + 1, &type);
	if (!type.known)
		plan_fail(c->r->plan, "002040", "42601", "SQL compilation error:\nUnsupported data type '%.*s'.",
			  (int)(c->t[as + 1].n < 100 ? c->t[as + 1].n : 100), c->t[as + 1].text);
	value = emit_text(c->r, c->open + 1, as);
	add_cast(out, value, &type, token_is(c->name, "TRY_CAST"));
	free(value);
	return true;
}

/* ---- aggregates ---- */

/* Takes [WITHIN GROUP (ORDER BY ...)] behind the call; the text inside, or "". */
static char *take_within_group(struct call *c)
{
	const struct token *t = &c->t[c->next];
	char *order;

	if (!token_is(t, "WITHIN") || !token_is(t + 1, "GROUP") || !token_is_op(t + 2, "("))
		return xstrdup("");
	order = emit_text(c->r, c->next + 3, t[2].mate);
	c->next = t[2].mate + 1;
	return order;
}

/* The text of OVER (...) or OVER name behind the call, consumed; "" where there is none. */
static char *take_over(struct call *c)
{
	const struct token *t = &c->t[c->next];
	char *text;
	int end;

	if (!token_is(t, "OVER"))
		return xstrdup("");
	end = token_is_op(t + 1, "(") ? t[1].mate + 1 : c->next + 2;
	text = emit_text(c->r, c->next, end);
	c->next = end;
	return text;
}

static bool emit_listagg(struct call *c, struct buf *out)
{
	bool distinct = c->n && token_is(&c->t[c->from[0]], "DISTINCT");
	char *order, *value, *separator, *over;

	if (!token_in(c->name, "|LISTAGG|STRING_AGG|"))
		return false;
	if (!argument_count(c, 1, 2))
		return true;
	order = take_within_group(c);
	value = emit_text(c->r, c->from[0] + distinct, c->to[0]);
	separator = c->n > 1 ? argument(c, 1) : xstrdup("''");
	over = take_over(c);
	if (distinct)
		buf_addf(out, "COALESCE(%s(LIST(DISTINCT _SF_TEXT(%s)) %s, %s), '')",
			 strcasestr(order, " DESC") ? "_SF_JOIN_DESC" : "_SF_JOIN", value, over, separator);
	else
		buf_addf(out, "COALESCE(STRING_AGG(_SF_TEXT(%s), %s %s) %s, '')", value, separator, order, over);
	free(order);
	free(value);
	free(separator);
	free(over);
	return true;
}

static bool emit_array_agg(struct call *c, struct buf *out)
{
	bool distinct = c->n && token_is(&c->t[c->from[0]], "DISTINCT");
	char *order, *value, *over;

	if (!token_in(c->name, "|ARRAY_AGG|ARRAYAGG|ARRAY_UNIQUE_AGG|"))
		return false;
	distinct = distinct || token_is(c->name, "ARRAY_UNIQUE_AGG");
	if (!argument_count(c, 1, 1))
		return true;
	order = take_within_group(c);
	value = emit_text(c->r, c->from[0] + token_is(&c->t[c->from[0]], "DISTINCT"), c->to[0]);
	over = take_over(c);
	buf_addf(out, "TO_JSON(COALESCE(LIST(%s%s %s) FILTER (WHERE %s IS NOT NULL) %s, []))",
		 distinct ? "DISTINCT " : "", value, order, value, over);
	free(order);
	free(value);
	free(over);
	return true;
}

/* AVG of NUMBER is NUMBER in Snowflake: sum over count, through the division that knows types. */
static bool emit_avg(struct call *c, struct buf *out)
{
	char *value, *over;

	if (!token_is(c->name, "AVG"))
		return false;
	if (!argument_count(c, 1, 1))
		return true;
	value = argument(c, 0);
	over = take_over(c);
	buf_addf(out, "_SF_AVG(SUM(%s) %s, COUNT(%s) %s)", value, over, value, over);
	free(value);
	free(over);
	return true;
}

static bool emit_ratio(struct call *c, struct buf *out)
{
	char *value, *over;

	if (!token_is(c->name, "RATIO_TO_REPORT"))
		return false;
	value = argument(c, 0);
	over = take_over(c);
	buf_addf(out, "(%s / SUM(%s) %s)", value, value, over);
	free(value);
	free(over);
	return true;
}

/* LAG(x) IGNORE NULLS OVER (...): DuckDB wants the words inside. */
static void take_nulls_clause(struct call *c, struct buf *out)
{
	const struct token *t = &c->t[c->next];

	if (!token_in(t, "|IGNORE|RESPECT|") || !token_is(t + 1, "NULLS"))
		return;
	if (out->n && out->data[out->n - 1] == ')')
		out->n--;
	buf_addf(out, " %.*s NULLS)", (int)t->n, t->text);
	c->next += 2;
}

/* WITHIN GROUP (...) and OVER (...) belong to the call: a cast behind them takes the whole. */
static void take_window(struct call *c, struct buf *out)
{
	char *order = take_within_group(c), *over = take_over(c);

	if (order[0])
		buf_addf(out, " WITHIN GROUP (%s)", order);
	buf_addf(out, "%s%s", over[0] ? " " : "", over);
	free(order);
	free(over);
}

/* ---- the rest ---- */

static bool emit_decode(struct call *c, struct buf *out)
{
	int k = 1;
	char *value;

	if (!token_is(c->name, "DECODE"))
		return false;
	if (!argument_count(c, 3, CALL_ARGUMENTS_MAX))
		return true;
	value = argument(c, 0);
	buf_adds(out, "CASE");
	for (; k + 1 < c->n; k += 2) {
		char *when = argument(c, k), *then = argument(c, k + 1);

		buf_addf(out, " WHEN %s IS NOT DISTINCT FROM %s THEN %s", value, when, then);
		free(when);
		free(then);
	}
	if (k < c->n) {
		char *otherwise = argument(c, k);

		buf_addf(out, " ELSE %s", otherwise);
		free(otherwise);
	}
	buf_adds(out, " END");
	free(value);
	return true;
}

static bool emit_construct(struct call *c, struct buf *out)
{
	if (token_in(c->name, "|OBJECT_CONSTRUCT|OBJECT_CONSTRUCT_KEEP_NULL|")) {
		bool keep = c->name->n > strlen("OBJECT_CONSTRUCT");

		if (c->n == 1 && token_is_op(&c->t[c->from[0]], "*"))
			plan_unsupported(c->r->plan, "OBJECT_CONSTRUCT(*)");
		if (c->n % 2)
			plan_fail(c->r->plan, "001044", "42P13",
				  "SQL compilation error:\nInvalid argument types for function 'OBJECT_CONSTRUCT'");
		buf_adds(out, keep ? "" : "JSON_MERGE_PATCH('{}', ");
		add_call(c, "JSON_OBJECT", 0, out);
		buf_adds(out, keep ? "" : ")");
	} else if (token_in(c->name, "|ARRAY_CONSTRUCT|")) {
		add_call(c, "JSON_ARRAY", 0, out);
	} else if (token_in(c->name, "|ARRAY_CONSTRUCT_COMPACT|")) {
		buf_adds(out, "_SF_ARRAY_COMPACT(");
		add_call(c, "JSON_ARRAY", 0, out);
		buf_adds(out, ")");
	} else {
		return false;
	}
	return true;
}

/* Recorded for the engine, which sleeps before it runs the statement. */
static bool emit_wait(struct call *c, struct buf *out)
{
	const struct token *unit = c->n > 1 ? &c->t[c->from[1]] : NULL;
	double amount, factor = 1000;
	char number[32];

	if (!token_is(c->name, "SYSTEM$WAIT"))
		return false;
	if (!argument_count(c, 1, 2))
		return true;
	if (c->t[c->from[0]].kind != TOKEN_NUMBER) {
		plan_unsupported(c->r->plan, "SYSTEM$WAIT of an expression");
		return true;
	}
	snprintf(number, sizeof number, "%.*s", (int)(c->t[c->from[0]].n < 15 ? c->t[c->from[0]].n : 15),
		 c->t[c->from[0]].text);
	amount = strtod(number, NULL);
	if (unit && unit->n > 2) {
		char u = (char)(unit->text[1] & ~0x20), v = (char)(unit->text[2] & ~0x20);

		factor = u == 'D' ? 86400000 : u == 'H' ? 3600000 : u == 'S' ? 1000 : u == 'M' && v == 'I' ? 60000 : 1;
		if (u == 'M' && unit->n >= 8 && !strncasecmp(unit->text + 1, "MILLI", 5))
			factor = 1;
	}
	amount *= factor;
	c->r->plan->wait_ms += amount > 604800000.0 ? 604800000 : (int64_t)amount;
	buf_addf(out, "'waited %s %s'", number,
		 factor == 1          ? "milliseconds"
		 : factor == 60000    ? "minutes"
		 : factor == 3600000  ? "hours"
		 : factor == 86400000 ? "days"
				      : "seconds");
	return true;
}

/* column:path without a cast: a VARIANT, which SUM takes as a number. */
static bool is_path(const struct call *c, int k)
{
	bool path = false;

	for (int i = c->from[k]; i < c->to[k]; i++) {
		if (token_is_op(&c->t[i], "::") || token_is_op(&c->t[i], "("))
			return false;
		path = path || token_is_op(&c->t[i], ":");
	}
	return path;
}

/* COUNT(DISTINCT a, b): rows without a NULL. */
static void add_count_of_rows(const struct call *c, struct buf *out)
{
	struct buf row = buf_with_ceiling(PLAN_SQL_MAX);

	buf_adds(out, "COUNT(DISTINCT CASE WHEN ");
	for (int k = 0; k < c->n; k++) {
		char *value = emit_text(c->r, c->from[k] + !k, c->to[k]);

		buf_addf(out, "%s(%s) IS NOT NULL", k ? " AND " : "", value);
		buf_addf(&row, "%s%s", k ? ", " : "", value);
		free(value);
	}
	buf_addf(out, " THEN ROW(%s) END)", buf_text(&row));
	buf_free(&row);
}

/* Any NULL makes the whole NULL. */
static void add_concat(const struct call *c, struct buf *out)
{
	bool separated = token_is(c->name, "CONCAT_WS");

	buf_addc(out, '(');
	for (int k = separated; k < c->n; k++) {
		char *value = argument(c, k), *separator = separated ? argument(c, 0) : NULL;

		if (k > separated)
			buf_adds(out, " || ");
		if (separator && k > separated)
			buf_addf(out, "%s || ", separator);
		buf_addf(out, "_SF_TEXT(%s)", value);
		free(value);
		free(separator);
	}
	buf_addc(out, ')');
}

static void add_object_pick(const struct call *c, struct buf *out)
{
	char *object = argument(c, 0);

	buf_addf(out, "_SF_OBJECT_PICK(%s, [", object);
	for (int k = 1; k < c->n; k++) {
		char *key = argument(c, k);

		buf_addf(out, "%s%s", k > 1 ? ", " : "", key);
		free(key);
	}
	buf_adds(out, "])");
	free(object);
}

/* Functions that exist in Snowflake and not here. */
static const char UNSUPPORTED[] =
    "|CONDITIONAL_CHANGE_EVENT|CONDITIONAL_TRUE_EVENT|HASH_AGG|COLLATE|COLLATION|PARSE_URL|PARSE_XML|XMLGET|PARSE_IP|"
    "SOUNDEX|"
    "ARRAYS_TO_OBJECT|ARRAYS_ZIP|APPROX_TOP_K|MINHASH|HLL_ACCUMULATE|TIME_SLICE|SEARCH|ENCRYPT|DECRYPT|COMPRESS|"
    "AI_COMPLETE|AI_CLASSIFY|AI_FILTER|AI_AGG|AI_EMBED|AI_EXTRACT|AI_SENTIMENT|";

static void unsupported_call(const struct call *c)
{
	char name[64];

	token_name(c->name, name, sizeof name);
	plan_unsupported(c->r->plan, name);
}

static bool emit_misc(struct call *c, struct buf *out)
{
	if (token_in(c->name, "|SEQ1|SEQ2|SEQ4|SEQ8|"))
		buf_adds(out, "_seq");
	else if (token_in(c->name, UNSUPPORTED))
		unsupported_call(c);
	else if (token_in(c->name, "|CONCAT|CONCAT_WS|") && c->n)
		add_concat(c, out);
	else if (token_is(c->name, "OBJECT_PICK") && c->n > 1)
		add_object_pick(c, out);
	else if (token_is(c->name, "COUNT") && c->n > 1 && token_is(&c->t[c->from[0]], "DISTINCT"))
		add_count_of_rows(c, out);
	else if (token_in(c->name, "|REGEXP_LIKE|RLIKE|") && c->n == 3)
		add_call(c, "REGEXP_FULL_MATCH", 0, out);
	else if (token_in(c->name, "|SUM|MEDIAN|") && c->n == 1 && is_path(c, 0)) {
		char *value = argument(c, 0);

		buf_addf(out, "%.*s(CAST(%s AS DOUBLE))", (int)c->name->n, c->name->text, value);
		free(value);
	} else if (token_in(c->name, "|TRUNC|TRUNCATE|")) {
		add_call(c, "_SF_TRUNCATE", 2, out);
	} else if (token_in(c->name, "|POSITION|TRIM|SUBSTRING|OVERLAY|") && c->n == 1) {
		buf_addf(out, "%.*s(", (int)c->name->n, c->name->text);
		emit_range(c->r, c->open + 1, c->close, EMIT_EXPRESSION, out);
		buf_adds(out, ")");
	} else {
		return false;
	}
	return true;
}

static bool (*const SPECIAL[])(struct call *c, struct buf *out) = {
    emit_now,       emit_date_call, emit_date_last_call, emit_extract,   emit_to_date, emit_to_char,
    emit_to_number, emit_cast_call, emit_listagg,        emit_array_agg, emit_avg,     emit_ratio,
    emit_decode,    emit_construct, emit_wait,           emit_misc,
};

/* Not built in: a function of the user's own, which the engine looks up. */
static void emit_own_call(struct call *c, struct buf *out)
{
	struct plan *plan = c->r->plan;
	char name[PLAN_NAME_MAX];

	token_name(c->name, name, sizeof name);
	if (plan->functions_n < PLAN_FUNCTIONS_MAX)
		snprintf(plan->functions[plan->functions_n++], PLAN_NAME_MAX, "%s", name);
	else
		plan_unsupported(plan, "more than 64 functions in one statement");
	add_quoted(out, name);
	add_call(c, "", 0, out);
}

static void emit_known_call(struct call *c, struct buf *out)
{
	if (c->name->kind == TOKEN_WORD) {
		for (size_t k = 0; k < ARRAY_LEN(RULES); k++) {
			if (!token_is(c->name, RULES[k].name))
				continue;
			add_call(c, RULES[k].target, RULES[k].integers, out);
			take_nulls_clause(c, out);
			take_window(c, out);
			return;
		}
	}
	emit_own_call(c, out);
}

int emit_call(struct rewriter *r, int i, struct buf *out)
{
	struct items *items = xalloc(sizeof *items);
	struct call c = {.r = r, .t = r->t, .name = &r->t[i], .open = i, .close = i, .next = i + 1};

	if (token_is_op(&r->t[i + 1], "(") && r->t[i + 1].mate > 0) {
		c.open = i + 1;
		c.close = r->t[i + 1].mate;
		c.next = c.close + 1;
		split_items(r, c.open + 1, c.close, items);
	}
	if (items->n > CALL_ARGUMENTS_MAX) {
		plan_unsupported(r->plan, "more than 64 arguments");
		items->n = CALL_ARGUMENTS_MAX;
	}
	c.n = items->n;
	memcpy(c.from, items->from, sizeof(int) * (size_t)c.n);
	memcpy(c.to, items->to, sizeof(int) * (size_t)c.n);
	free(items);
	if (token_is_op(&r->t[i - 1], ".")) {
		plan_unsupported(r->plan, "qualified function names");
		return c.next;
	}
	for (size_t k = 0; k < ARRAY_LEN(SPECIAL); k++)
		if (c.name->kind == TOKEN_WORD && SPECIAL[k](&c, out))
			return c.next;
	emit_known_call(&c, out);
	return c.next;
}
