/* Does a statement stay within a list of databases? Names are looked at as tokens; what could name another one is
 * refused. */
#include "snowgate/err.h"
#include "snowgate/sql.h"

#include <string.h>
#include <strings.h>

#define PARTS_MAX 4

/* A dotted run of names: a, a.b, a.b.c, a..c; parts folded, an empty one is "". */
struct chain {
	size_t n;
	struct sql_token first, part[PARTS_MAX];
};
struct walk {
	struct arena *arena;
	struct sql_lexer lexer;
	struct sql_token now;
	struct texts databases;
	bool query; /* SELECT, WITH, VALUES: DATABASE and SCHEMA may be names there */
	struct bounds_verdict *verdict;
};

static bool is_name(const struct sql_token *t)
{
	return t->kind == SQL_WORD || t->kind == SQL_QUOTED;
}

static void step(struct walk *w)
{
	w->now = sql_next(&w->lexer);
}

static bool refuse(struct walk *w, const struct sql_token *t, const char *advice)
{
	*w->verdict = (struct bounds_verdict){.line = t->line, .column = t->column, .advice = advice};
	w->verdict->reason = arena_printf(w->arena, "%.*s may name a database that is not allowed here",
					  (int)(t->text.n < 255 ? t->text.n : 255), t->text.data);
	if (!w->verdict->reason)
		w->verdict->reason = "a name may lie in a database that is not allowed here";
	return false;
}

/* Reads the chain that begins at a name and stops behind it. */
static struct chain chain_read(struct walk *w)
{
	struct chain c = {.n = 1, .first = w->now, .part = {w->now}};

	step(w);
	while (sql_token_is(&w->now, ".")) {
		step(w);
		if (c.n < PARTS_MAX)
			c.part[c.n] = is_name(&w->now) ? w->now : (struct sql_token){0};
		c.n++;
		if (is_name(&w->now))
			step(w);
	}
	return c;
}

static bool database_allowed(struct walk *w, const struct sql_token *t)
{
	const char *name = sql_ident_fold(w->arena, t->text);

	return name && texts_have(w->databases, name);
}

static bool chain_within(struct walk *w, const struct chain *c, size_t parts_with_database)
{
	if (c->n < parts_with_database || database_allowed(w, &c->first))
		return true;
	return refuse(w, &c->first,
		      "Name one of the allowed databases; give tables an alias rather than writing "
		      "schema.table.column.");
}

/* A name in a string: IDENTIFIER('a.b.c'), TABLE('a.b.c'). */
static bool string_within(struct walk *w)
{
	struct sql_token t = w->now;
	struct sql_name name;
	const char *why;

	if (t.kind != SQL_STRING)
		return true;
	step(w);
	if (t.text.n >= 2 &&
	    sql_name_parse(w->arena, (struct slice){t.text.data + 1, t.text.n - 2}, 3, &name, &why) == ERR_OK &&
	    (name.n < 3 || texts_have(w->databases, name.part[0])))
		return true;
	return refuse(w, &t, NULL);
}

static bool function_within(struct walk *w, const struct chain *c)
{
	const struct sql_token *last = &c->part[c->n <= PARTS_MAX ? c->n - 1 : 0];
	const char *name;

	if (!sql_token_is(&w->now, "("))
		return true;
	name = sql_ident_fold(w->arena, last->text);
	if (name && strcmp(name, "GET_DDL") == 0)
		return refuse(w, last, "Use describe_object with `kind`.");
	if (!sql_token_is(last, "IDENTIFIER") && !sql_token_is(last, "TABLE"))
		return true;
	step(w);
	return string_within(w);
}

static void skip_if_exists(struct walk *w)
{
	while (sql_token_is(&w->now, "IF") || sql_token_is(&w->now, "NOT") || sql_token_is(&w->now, "EXISTS"))
		step(w);
}

/* Outside queries these words say what kind of name follows; other names of fewer than three parts lie in the current
 * database. */
static bool word_within(struct walk *w)
{
	size_t needs = 3;

	if (!w->query && sql_token_is(&w->now, "ACCOUNT"))
		return refuse(w, &w->now, "Name a database instead of the account.");
	if (!w->query &&
	    (sql_token_is(&w->now, "DATABASE") || sql_token_is(&w->now, "IN") || sql_token_is(&w->now, "FROM")))
		needs = sql_token_is(&w->now, "DATABASE") ? 1 : 2;
	else if (!w->query && sql_token_is(&w->now, "SCHEMA"))
		needs = 2;
	if (needs < 3) {
		step(w);
		skip_if_exists(w);
		if (!is_name(&w->now) || sql_token_is(&w->now, "DATABASE") || sql_token_is(&w->now, "SCHEMA") ||
		    sql_token_is(&w->now, "TABLE") || sql_token_is(&w->now, "ACCOUNT"))
			return true;
	}
	struct chain c = chain_read(w);

	return chain_within(w, &c, needs) && function_within(w, &c);
}

static bool opens_query(struct slice sql)
{
	struct sql_lexer lexer;
	struct sql_token t;

	sql_lexer_init(&lexer, sql);
	do
		t = sql_next(&lexer);
	while (sql_token_is(&t, "("));
	return sql_token_is(&t, "SELECT") || sql_token_is(&t, "WITH") || sql_token_is(&t, "VALUES");
}

bool sql_within(struct arena *a, struct slice sql, struct texts databases, struct bounds_verdict *verdict)
{
	struct walk w = {.arena = a, .databases = databases, .query = opens_query(sql), .verdict = verdict};

	*verdict = (struct bounds_verdict){0};
	sql_lexer_init(&w.lexer, sql);
	step(&w);
	while (w.now.kind != SQL_END) {
		if (w.now.kind == SQL_BAD)
			return refuse(&w, &w.now, NULL);
		if (sql_token_is(&w.now, ":")) { /* a path into a VARIANT: payload:a.b.c */
			step(&w);
			if (is_name(&w.now))
				chain_read(&w);
		} else if (!is_name(&w.now)) {
			step(&w);
		} else if (!word_within(&w)) {
			return false;
		}
	}
	return true;
}
