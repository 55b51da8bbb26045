/* guard.h
 *
 * What the parts of the guard share: one statement's tokens and its verdict. Private to src/sql. A check returns true
 * to go on; false when it has refused (the verdict then holds why) or memory ended (g->no_memory).
 */
#ifndef SNOWGATE_SQL_GUARD_H
#define SNOWGATE_SQL_GUARD_H

#include "snowgate/sql.h"

enum guard_why {
#define WHY(name, reason, advice) WHY_##name,
#include "snowgate/tbl/guard.def"
	WHYS_N
};

struct guard {
	struct arena *arena;
	struct sql_token *t; /* t[n] is SQL_END */
	size_t n;
	uint32_t *match; /* of a bracket: the index of its partner; else of the innermost that is open, or UINT32_MAX */
	unsigned classes;
	struct guard_verdict *verdict;
	size_t verb;   /* the word that tells what the statement does: the first, or behind EXPLAIN */
	bool is_query; /* reads only: words that change something have no place in it */
	bool defines;  /* CREATE, ALTER, ... */
	bool no_memory;
};

/* guard.c: refusals, and small questions about tokens */
bool guard_refuse(struct guard *g, size_t at, const char *reason, const char *advice);
bool guard_refuse_word(struct guard *g, size_t at, const char *reason, const char *advice); /* "WORD reason" */
bool guard_refuse_why(struct guard *g, size_t at, enum guard_why why);
const char *guard_word(struct guard *g, size_t at); /* for a sentence: upper case, short */
bool guard_is(const struct guard *g, size_t at, const char *word);
bool guard_is_name(const struct guard *g, size_t at);         /* plain or quoted */
bool guard_is_member(const struct guard *g, size_t at);       /* behind a . or the : of a path, so no keyword */
bool guard_needs(struct guard *g, size_t at, unsigned class); /* is the class among those allowed? */

/* guard_verb.c: what the first word asks for */
bool guard_statement(struct guard *g, size_t at);
/* guard_define.c: CREATE, ALTER, DROP, UNDROP, COMMENT */
bool guard_define(struct guard *g, size_t at);
/* guard_destroy.c: may what was there be gone after this statement, which is allowed? */
bool guard_destroys(const struct guard *g);
/* guard_session.c: USE and ALTER SESSION */
bool guard_use(struct guard *g, size_t at);
bool guard_alter_session(struct guard *g, size_t at);
/* guard_scan.c: functions, names and words that are refused wherever they stand */
bool guard_scan(struct guard *g);
/* Behind WITH: the list of common table expressions, then a query. */
bool guard_with(struct guard *g, size_t at);

#endif
