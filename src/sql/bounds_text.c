/* Names given as text: IDENTIFIER('a.b.c'), TABLE('a.b.c'), and functions that take them as arguments. */
#include <string.h>

#include "bounds.h"
#include "snowgate/err.h"
#include "text.h"

static const struct {
	const char *pattern;
	enum texts_are texts;
	const char *advice;
} naming[] = {
#define NAMING(pattern, reads, advice) {pattern, TEXTS_##reads, advice},
#include "snowgate/tbl/guard.def"
};

static const char *const no_names[] = {
#define NO_NAMES(name) name,
#include "snowgate/tbl/guard.def"
};

static const char *const no_text[] = {
#define NO_TEXT(name) name,
#include "snowgate/tbl/guard.def"
};

static const char *const literal_advice =
    "Names that this function takes must be plain texts, DATABASE.SCHEMA.NAME in an allowed database.";

/* ---- names of functions; case ignored, since QUOTED_IDENTIFIERS_IGNORE_CASE may be on ---- */

static struct slice bare_name(const struct sql_token *t)
{
	if (t->kind == SQL_QUOTED)
		return (struct slice){t->text.data + 1, t->text.n - 2};
	return t->text;
}

static bool name_is(const struct sql_token *t, const char *name)
{
	return bounds_is_name(t) && slice_is_nocase(bare_name(t), name);
}

static bool text_has(struct slice s, const char *upper)
{
	size_t n = strlen(upper), k;

	for (; s.n >= n; s.data++, s.n--) {
		for (k = 0; k < n && sql_upper(s.data[k]) == upper[k]; k++)
			;
		if (k == n)
			return true;
	}
	return false;
}

/* A * at the beginning or at the end of the pattern stands for any text. */
static bool name_matches(struct slice name, const char *pattern)
{
	size_t n = strlen(pattern);
	bool head = pattern[n - 1] == '*', tail = pattern[0] == '*';

	n -= head + tail;
	if (name.n < n || (!head && !tail && name.n > n))
		return false;
	if (tail)
		name.data += name.n - n;
	for (size_t i = 0; i < n; i++)
		if (sql_upper(name.data[i]) != pattern[i + tail])
			return false;
	return true;
}

static const struct sql_token *last_part(const struct chain *c)
{
	return &c->part[c->n <= BOUNDS_PARTS ? c->n - 1 : 0];
}

static bool is_in_information_schema(const struct chain *c)
{
	return c->n > 1 && c->n <= BOUNDS_PARTS && name_is(&c->part[c->n - 2], "INFORMATION_SCHEMA");
}

bool bounds_lists_databases(const struct chain *c)
{
	const struct sql_token *t = last_part(c);

	return is_in_information_schema(c) && (name_is(t, "DATABASES") || name_is(t, "REPLICATION_DATABASES"));
}

/* TABLE(f(...)) and LATERAL f(...). */
static bool is_table_function(const struct chain *c)
{
	return sql_token_is(&c->before[0], "LATERAL") ||
	       (sql_token_is(&c->before[0], "(") && sql_token_is(&c->before[1], "TABLE"));
}

/* What the texts of the function are; *advice where they are refused. */
static enum texts_are texts_of(const struct chain *c, const char **advice)
{
	struct slice name = bare_name(last_part(c));
	bool in_schema = is_in_information_schema(c);
	bool own = c->n == 1 || in_schema || name_is(&c->first, "SNOWFLAKE");

	for (size_t i = 0; i < ARRAY_LEN(naming); i++) {
		*advice = naming[i].advice;
		if (name_matches(name, naming[i].pattern) && (own || !strchr(naming[i].pattern, '*')))
			return naming[i].texts;
	}
	if (in_schema)
		return text_has(name, "DATABASE") ? TEXTS_DATABASES : TEXTS_NAMES;
	for (size_t i = 0; i < ARRAY_LEN(no_names); i++)
		if (c->n == 1 && name_matches(name, no_names[i]))
			return TEXTS_PLAIN;
	return is_table_function(c) ? TEXTS_LITERALS : TEXTS_PLAIN;
}

/* ---- names as text ---- */

static struct slice inside(const struct sql_token *string)
{
	return string->text.n < 2 ? SLICE("") : (struct slice){string->text.data + 1, string->text.n - 2};
}

/* w->now is the text behind IDENTIFIER( or TABLE(; parts of the chain before it count. */
static bool name_text_within(struct walk *w, const struct chain *c, size_t needs)
{
	struct sql_name name;
	const char *why;

	if (sql_name_parse(w->arena, inside(&w->now), 3, &name, &why) != ERR_OK)
		return bounds_refuse(w, &w->now, NULL);
	if (c->n - 1 + name.n >= needs &&
	    !(c->n > 1 ? bounds_allows(w, c->first.text) : texts_have(w->databases, name.part[0])))
		return bounds_refuse(w, &w->now, "Name one of the allowed databases.");
	if (name.n > 1 && slice_is_nocase(slice_of(name.part[name.n - 2]), "INFORMATION_SCHEMA") &&
	    text_has(slice_of(name.part[name.n - 1]), "DATABASES"))
		return bounds_refuse(w, &w->now, "list_objects lists what is allowed here.");
	bounds_step(w);
	return true;
}

bool bounds_calls_identifier(const struct walk *w, const struct chain *c)
{
	return sql_token_is(&w->now, "(") && name_is(last_part(c), "IDENTIFIER");
}

static bool identifier_within(struct walk *w, const struct chain *c, size_t needs)
{
	struct sql_token t = *last_part(c);

	bounds_step(w);
	if (w->now.kind != SQL_STRING)
		return bounds_refuse(w, &t, "Write the name itself.");
	if (!name_text_within(w, c, needs))
		return false;
	if (!sql_token_is(&w->now, ")"))
		return bounds_refuse(w, &t, "Write the name itself.");
	bounds_step(w);
	return (!sql_token_is(&w->now, ".") && !sql_token_is(&w->now, "(")) ||
	       bounds_refuse(w, &t, "Write the whole name, or put the whole of it into the text.");
}

/* TABLE( and SEMANTIC_VIEW(: what stands in it is a name, or a function. */
static bool table_within(struct walk *w, const struct chain *c)
{
	bounds_step(w);
	if (w->now.kind == SQL_BIND || w->now.kind == SQL_VARIABLE || sql_token_is(&w->now, ":"))
		return bounds_refuse(w, &w->now, "Write the name itself.");
	return w->now.kind != SQL_STRING || name_text_within(w, c, 3);
}

bool bounds_call(struct walk *w, const struct chain *c, size_t needs)
{
	const char *advice = NULL;
	enum texts_are texts;

	if (bounds_calls_identifier(w, c))
		return identifier_within(w, c, needs);
	if (c->n == 1 && (sql_token_is(&c->first, "TABLE") || sql_token_is(&c->first, "SEMANTIC_VIEW")))
		return table_within(w, c);
	texts = texts_of(c, &advice);
	if (texts == TEXTS_REFUSED)
		return bounds_refuse(w, last_part(c), advice);
	bounds_step(w);
	if (!w->too_deep)
		w->open[w->depth].texts = texts;
	return true;
}

/* ---- arguments ---- */

static bool reads_names(const struct bracket *b)
{
	return b->texts == TEXTS_NAMES || b->texts == TEXTS_DATABASES;
}

static bool makes_no_text(const struct chain *c)
{
	for (size_t i = 0; i < ARRAY_LEN(no_text); i++)
		if (c->n == 1 && c->first.kind == SQL_WORD && name_matches(c->first.text, no_text[i]))
			return true;
	return false;
}

bool bounds_argument(struct walk *w, const struct chain *c)
{
	struct bracket *b = &w->open[w->depth];

	if (!reads_names(b))
		return true;
	if (c->n == 1 && sql_token_is(&w->now, "=>")) {
		b->of_database = text_has(bare_name(&c->first), "DATABASE");
		return true;
	}
	return makes_no_text(c) || sql_token_is(&c->before[0], "::") || bounds_refuse(w, &c->first, literal_advice);
}

/* A text of one part names a database where the function, its argument's name or another text says so. */
static bool bare_text_within(struct walk *w, struct bracket *b, struct slice name)
{
	bool named = sql_token_is(&w->before[0], "=>"), allowed = bounds_allows(w, name);

	if (b->of_database || (b->texts == TEXTS_DATABASES && !named))
		return allowed || bounds_refuse(w, &w->now, "Name one of the allowed databases.");
	if (slice_is_nocase(name, "DATABASE"))
		b->says_database = true;
	else if (!allowed && b->bare.kind == SQL_END)
		b->bare = w->now;
	return true;
}

/* Read as leniently as could be: blanks and comments between the parts, any rest behind the first two. */
static bool text_within(struct walk *w, struct bracket *b)
{
	struct slice text = inside(&w->now);
	struct sql_lexer lexer;
	struct sql_token first, next;

	if (!sql_token_is(&w->before[0], "(") && !sql_token_is(&w->before[0], ",") &&
	    !sql_token_is(&w->before[0], "=>") && !sql_token_is(&w->before[0], "INTERVAL"))
		return bounds_refuse(w, &w->now, literal_advice);
	sql_lexer_init(&lexer, text);
	first = sql_next(&lexer);
	if (memchr(text.data, '\\', text.n) || first.kind == SQL_BAD || first.kind == SQL_STAGE ||
	    sql_token_is(&first, "."))
		return bounds_refuse(w, &w->now, literal_advice);
	if (!bounds_is_name(&first))
		return true;
	next = sql_next(&lexer);
	if (next.kind == SQL_END)
		return bare_text_within(w, b, first.text);
	if (next.kind == SQL_BAD || (next.text.n && next.text.data[0] == '.'))
		return bounds_allows(w, first.text) || bounds_refuse(w, &w->now, literal_advice);
	return true;
}

static bool name_sign_within(struct walk *w, struct bracket *b)
{
	static const char *const signs[] = {",", "=>", "-", "+", "::", ")"};

	if (w->now.kind == SQL_STRING)
		return text_within(w, b);
	if (sql_token_is(&w->now, ",")) /* the next argument */
		b->of_database = false;
	if (sql_token_is(&w->now, ")") && b->says_database && b->bare.kind == SQL_STRING)
		return bounds_refuse(w, &b->bare, "Name one of the allowed databases.");
	for (size_t i = 0; i < ARRAY_LEN(signs); i++)
		if (sql_token_is(&w->now, signs[i]))
			return true;
	return w->now.kind == SQL_NUMBER || bounds_refuse(w, &w->now, literal_advice);
}

/* FROM 'a.b.c': no table of Snowflake's is written so; if it were, it would be this one. */
static bool is_table_place(const struct walk *w)
{
	static const char *const words[] = {"FROM", "JOIN", "USING", "INTO", "UPDATE", "TABLE"};

	if (w->show || sql_token_is(&w->before[1], "DISTINCT")) /* LIMIT 5 FROM 'b.c'; a IS DISTINCT FROM 'b.c' */
		return false;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (sql_token_is(&w->before[0], words[i]))
			return true;
	return false;
}

bool bounds_sign(struct walk *w)
{
	struct bracket *b = &w->open[w->depth];
	struct sql_name name;
	const char *why;

	if (reads_names(b))
		return name_sign_within(w, b);
	if (w->now.kind != SQL_STRING || (b->texts != TEXTS_LITERALS && !is_table_place(w)))
		return true;
	return sql_name_parse(w->arena, inside(&w->now), 3, &name, &why) != ERR_OK || name.n == 1 ||
	       texts_have(w->databases, name.part[0]) ||
	       bounds_refuse(w, &w->now, "Name one of the allowed databases.");
}
