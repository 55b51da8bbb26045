/* bounds.h
 *
 * What the parts of sql_within() share: the walk over a statement's tokens, with the brackets that are open. Private to
 * src/sql. A check returns true to go on; false when it has refused.
 */
#ifndef SNOWGATE_SQL_BOUNDS_H
#define SNOWGATE_SQL_BOUNDS_H

#include "snowgate/sql.h"

#define BOUNDS_PARTS    4
#define BOUNDS_BRACKETS 1000 /* open at one time; more are refused */

/* What the texts of a call are. */
enum texts_are { TEXTS_PLAIN, TEXTS_LITERALS, TEXTS_NAMES, TEXTS_DATABASES, TEXTS_REFUSED };

struct bracket {
	char sign;
	enum texts_are texts;
	bool of_database;      /* the argument's name says that it is a database */
	bool says_database;    /* one of the texts is 'DATABASE': the kind of what another one names */
	struct sql_token bare; /* the first text of one part that is no allowed database; SQL_END: none */
};

/* A dotted run of names: a, a.b, a.b.c, a..c; an empty part has kind SQL_END. */
struct chain {
	size_t n;
	struct sql_token first, part[BOUNDS_PARTS];
	struct sql_token before[2]; /* what stands before it, nearest first */
};

/* What tells which names begin with a database. */
enum names_in { NAMES_IN_QUERY, NAMES_IN_LIST, NAMES_OF_SCHEMA, NAMES_OF_DATABASE };

struct walk {
	struct arena *arena;
	struct sql_lexer lexer;
	struct sql_token now, before[2]; /* before: nearest first */
	struct bracket *open;            /* open[0]: outside of all */
	size_t depth;
	bool too_deep;
	struct texts databases;
	enum names_in names;
	bool show;
	struct bounds_verdict *verdict;
};

/* bounds.c */
void bounds_step(struct walk *w);
bool bounds_refuse(struct walk *w, const struct sql_token *t, const char *advice);
bool bounds_is_name(const struct sql_token *t);
bool bounds_allows(struct walk *w, struct slice database); /* as written: plain or quoted */

/* bounds_text.c: names given as text */
/* The chain, just read, is called: w->now is the bracket, which is taken. `needs`: of so many parts a name begins with
 * a database. */
bool bounds_call(struct walk *w, const struct chain *c, size_t needs);
bool bounds_calls_identifier(const struct walk *w, const struct chain *c);
bool bounds_lists_databases(const struct chain *c); /* INFORMATION_SCHEMA.DATABASES */
/* The chain, just read, is an argument of a call whose texts are names. */
bool bounds_argument(struct walk *w, const struct chain *c);
/* w->now, which is no name, among the arguments of a call, or where a table may stand. */
bool bounds_sign(struct walk *w);

#endif
