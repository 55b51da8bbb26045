/* Does a statement stay within a list of databases? Names are looked at as tokens; what could name another one is
 * refused. */
#include <string.h>

#include "bounds.h"
#include "snowgate/err.h"

/* ---- the walk ---- */

bool bounds_is_name(const struct sql_token *t)
{
	return t->kind == SQL_WORD || t->kind == SQL_QUOTED;
}

static bool is_one_of(const struct sql_token *t, const char *const words[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (sql_token_is(t, words[i]))
			return true;
	return false;
}

void bounds_step(struct walk *w)
{
	char sign = w->now.kind == SQL_PUNCT && w->now.text.n == 1 ? w->now.text.data[0] : '\0';

	if (sign == '(' || sign == '[' || sign == '{') {
		w->too_deep = w->too_deep || w->depth + 1 == BOUNDS_BRACKETS;
		w->depth += !w->too_deep;
		w->open[w->depth] = (struct bracket){.sign = sign};
	} else if ((sign == ')' || sign == ']' || sign == '}') && w->depth) {
		w->depth--;
	}
	w->before[1] = w->before[0];
	w->before[0] = w->now;
	w->now = sql_next(&w->lexer);
}

bool bounds_refuse(struct walk *w, const struct sql_token *t, const char *advice)
{
	*w->verdict = (struct bounds_verdict){.line = t->line, .column = t->column, .advice = advice};
	w->verdict->reason = arena_printf(w->arena, "%.*s may name a database that is not allowed here",
					  (int)(t->text.n < 255 ? t->text.n : 255), t->text.data);
	if (!w->verdict->reason)
		w->verdict->reason = "a name may lie in a database that is not allowed here";
	return false;
}

bool bounds_allows(struct walk *w, struct slice database)
{
	const char *name = sql_ident_fold(w->arena, database);

	return name && texts_have(w->databases, name);
}

/* ---- names ---- */

/* Reads the chain that begins at a name and stops behind it. */
static struct chain chain_read(struct walk *w)
{
	struct chain c = {.n = 1, .first = w->now, .part = {w->now}, .before = {w->before[0], w->before[1]}};

	bounds_step(w);
	while (sql_token_is(&w->now, ".")) {
		bounds_step(w);
		if (c.n < BOUNDS_PARTS)
			c.part[c.n] = bounds_is_name(&w->now) ? w->now : (struct sql_token){0};
		c.n++;
		if (bounds_is_name(&w->now))
			bounds_step(w);
	}
	return c;
}

/* Of `needs` parts a name begins with a database. */
static bool chain_within(struct walk *w, const struct chain *c, size_t needs)
{
	if (c->n >= needs && !bounds_calls_identifier(w, c) && !bounds_allows(w, c->first.text))
		return bounds_refuse(w, &c->first,
				     needs == 3 ? "Name one of the allowed databases; give tables an alias rather "
						  "than writing schema.table.column."
						: "Name one of the allowed databases; say the kind of what is "
						  "meant, as in IN SCHEMA name.");
	if (bounds_lists_databases(c))
		return bounds_refuse(w, &c->first, "list_objects lists what is allowed here.");
	if (!bounds_argument(w, c))
		return false;
	return !sql_token_is(&w->now, "(") || bounds_call(w, c, needs);
}

/* value:a.b.c and value[0].a.b.c: what follows names nothing in a database. */
static bool is_path(const struct walk *w)
{
	const struct sql_token *t = &w->before[0];

	if (sql_token_is(&w->now, "."))
		return sql_token_is(t, "]");
	return sql_token_is(&w->now, ":") && w->open[w->depth].sign != '{' &&
	       (bounds_is_name(t) || t->kind == SQL_VARIABLE || sql_token_is(t, ")") || sql_token_is(t, "]"));
}

static bool path_within(struct walk *w)
{
	bounds_step(w);
	if (!bounds_is_name(&w->now))
		return true;
	struct chain c = chain_read(w);

	return !sql_token_is(&w->now, "(") || chain_within(w, &c, 3);
}

/* ---- statements about databases and schemas ---- */

/* IF EXISTS, IF NOT EXISTS; IF alone would be a name. */
static bool skip_if_exists(struct walk *w)
{
	struct sql_token t = w->now;

	if (!sql_token_is(&t, "IF"))
		return true;
	bounds_step(w);
	if (sql_token_is(&w->now, "NOT"))
		bounds_step(w);
	if (!sql_token_is(&w->now, "EXISTS"))
		return bounds_refuse(w, &t, NULL);
	bounds_step(w);
	return true;
}

/* The name behind a word that says what it is; there may be none, as in SHOW TABLES IN DATABASE. */
static bool place_within(struct walk *w, size_t needs)
{
	if (!skip_if_exists(w))
		return false;
	if (w->now.kind == SQL_STRING || w->now.kind == SQL_BIND || w->now.kind == SQL_VARIABLE ||
	    sql_token_is(&w->now, ".") || sql_token_is(&w->now, ":"))
		return bounds_refuse(w, &w->now, "Write the name itself.");
	if (!bounds_is_name(&w->now))
		return true;
	struct chain c = chain_read(w);

	return chain_within(w, &c, needs);
}

static bool database_within(struct walk *w)
{
	bounds_step(w);
	if (!sql_token_is(&w->now, "ROLE"))
		return place_within(w, 1);
	bounds_step(w);
	return place_within(w, 2);
}

/* SHOW, DESCRIBE, GRANT, REVOKE: words say what kind of name follows. */
static bool list_within(struct walk *w)
{
	static const char *const account[] = {"ACCOUNT", "SHARE", "APPLICATION"};
	static const char *const kinds[] = {"DATABASE", "SCHEMA", "TABLE", "VIEW"};

	if (is_one_of(&w->now, account, ARRAY_LEN(account)))
		return bounds_refuse(w, &w->now, "Name a database instead; put a name of that kind in double quotes.");
	if (sql_token_is(&w->now, "DATABASE"))
		return database_within(w);
	if (sql_token_is(&w->now, "SCHEMA")) {
		bounds_step(w);
		return place_within(w, 2);
	}
	if (sql_token_is(&w->now, "IN") || sql_token_is(&w->now, "FROM")) {
		bool in = sql_token_is(&w->now, "IN");

		bounds_step(w);
		if (is_one_of(&w->now, kinds, ARRAY_LEN(kinds)) || (!in && w->now.kind == SQL_STRING))
			return true;
		return place_within(w, in || w->show ? 1 : 2);
	}
	struct chain c = chain_read(w);

	return chain_within(w, &c, 3);
}

/* CREATE DATABASE a CLONE b, ALTER DATABASE a RENAME TO b, SWAP WITH b. */
static bool database_word_within(struct walk *w)
{
	static const char *const leads[] = {"DATABASE", "CLONE", "TO"};

	if (sql_token_is(&w->now, "SWAP")) {
		bounds_step(w);
		if (sql_token_is(&w->now, "WITH"))
			bounds_step(w);
		return place_within(w, 1);
	}
	if (is_one_of(&w->now, leads, ARRAY_LEN(leads))) {
		bounds_step(w);
		return place_within(w, 1);
	}
	struct chain c = chain_read(w);

	return chain_within(w, &c, 2);
}

static bool word_within(struct walk *w)
{
	if (w->names == NAMES_IN_LIST)
		return list_within(w);
	if (w->names == NAMES_OF_DATABASE)
		return database_word_within(w);
	struct chain c = chain_read(w);

	return chain_within(w, &c, w->names == NAMES_OF_SCHEMA ? 2 : 3);
}

/* ---- statements ---- */

/* CREATE OR REPLACE TRANSIENT SCHEMA: the kind is the first word that is none of these. The walk stops at it. */
static void define_begin(struct walk *w)
{
	static const char *const fillers[] = {"CREATE",  "ALTER",  "DROP", "UNDROP", "COMMENT",  "OR",
					      "REPLACE", "EXISTS", "IF",   "ON",     "TRANSIENT"};

	while (is_one_of(&w->now, fillers, ARRAY_LEN(fillers)))
		bounds_step(w);
	if (sql_token_is(&w->now, "DATABASE"))
		w->names = NAMES_OF_DATABASE;
	else if (sql_token_is(&w->now, "SCHEMA"))
		w->names = NAMES_OF_SCHEMA;
}

/* The kind of what is shown: lists that span the databases are refused. */
static bool show_begin(struct walk *w)
{
	static const char *const ends[] = {"LIKE", "IN", "STARTS", "LIMIT", "ON", "TO", "OF", "FROM", "FOR", "HISTORY"};
	static const char *const wide[] = {"DATABASES", "SHARES", "APPLICATION", "APPLICATIONS", "LISTINGS"};
	struct sql_token last = w->now;

	w->names = NAMES_IN_LIST;
	w->show = true;
	for (bounds_step(w); w->now.kind == SQL_WORD && !is_one_of(&w->now, ends, ARRAY_LEN(ends)); bounds_step(w)) {
		if (is_one_of(&w->now, wide, ARRAY_LEN(wide)))
			return bounds_refuse(w, &w->now, "list_objects lists what is allowed here.");
		last = w->now;
	}
	if (sql_token_is(&last, "GRANTS") && !sql_token_is(&w->now, "ON") && !sql_token_is(&w->now, "OF") &&
	    !sql_token_is(&w->now, "IN"))
		return bounds_refuse(w, &last, "Ask for the grants ON an object, or those OF a role.");
	return true;
}

static bool statement_begin(struct walk *w)
{
	static const char *const queries[] = {"SELECT", "WITH",   "VALUES", "EXPLAIN", "INSERT",
					      "UPDATE", "DELETE", "MERGE",  "TRUNCATE"};
	static const char *const defines[] = {"CREATE", "ALTER", "DROP", "UNDROP", "COMMENT"};

	while (sql_token_is(&w->now, "(") && !w->too_deep)
		bounds_step(w);
	if (sql_token_is(&w->now, "SHOW"))
		return show_begin(w);
	if (is_one_of(&w->now, defines, ARRAY_LEN(defines)))
		define_begin(w);
	else if (!is_one_of(&w->now, queries, ARRAY_LEN(queries)))
		w->names = NAMES_IN_LIST;
	return true;
}

static bool token_within(struct walk *w)
{
	if (w->now.kind == SQL_BAD || w->now.kind == SQL_STAGE || w->now.kind == SQL_DOLLAR || w->too_deep)
		return bounds_refuse(w, &w->now, NULL);
	if (bounds_is_name(&w->now))
		return word_within(w);
	if (sql_token_is(&w->now, ".") && bounds_is_name(&w->before[0])) /* a name that began as a keyword */
		return bounds_refuse(w, &w->before[0], NULL);
	if (!bounds_sign(w))
		return false;
	if (is_path(w))
		return path_within(w);
	bounds_step(w);
	return true;
}

bool sql_within(struct arena *a, struct slice sql, struct texts databases, struct bounds_verdict *verdict)
{
	struct walk w = {.arena = a, .databases = databases, .verdict = verdict};

	*verdict = (struct bounds_verdict){0};
	w.open = arena_alloc(a, BOUNDS_BRACKETS * sizeof(*w.open));
	if (!w.open)
		return bounds_refuse(&w, &w.now, NULL);
	w.open[0] = (struct bracket){0};
	sql_lexer_init(&w.lexer, sql);
	w.now = sql_next(&w.lexer);
	if (!statement_begin(&w))
		return false;
	while (w.now.kind != SQL_END)
		if (!token_within(&w))
			return false;
	return true;
}
