/* sql.h
 *
 * Snowflake SQL as text: tokens, the guard over them, identifiers. Pure: bytes in, verdict out; no I/O, no clock, no
 * thread. Source: Snowflake SQL reference, lexical structure; production.md 8.
 */
#ifndef SNOWGATE_SQL_H
#define SNOWGATE_SQL_H

#include "snowgate/buf.h"
#include "snowgate/arena.h"
#include "snowgate/conf.h"
#include "snowgate/json.h"

#define SQL_MAX_BYTES  (256 * 1024)
#define SQL_MAX_TOKENS 100000

/* ---- tokens: white space and comments are skipped ---- */
enum sql_kind {
	SQL_END,
	SQL_WORD,
	SQL_QUOTED,
	SQL_STRING,
	SQL_DOLLAR, /* SQL_DOLLAR: $$ ... $$ */
	SQL_NUMBER,
	SQL_VARIABLE,
	SQL_STAGE,
	SQL_BIND,
	SQL_PUNCT,
	SQL_BAD
};
struct sql_token {
	enum sql_kind kind;
	struct slice text; /* as written, quotes included */
	int line, column;  /* from 1 */
	const char *fault; /* SQL_BAD: why ("unterminated string") */
};
/* init() sets what Snowflake does: backslash escapes in strings, comments that do not nest. The other readings exist
 * so that the guard can refuse a text that reads differently under them. */
struct sql_lexer {
	const char *at, *end;
	int line, column;
	bool backslash_escapes, nested_comments;
};
void sql_lexer_init(struct sql_lexer *lexer, struct slice text);
/* SQL_END at the end, again and again. SQL_BAD takes the rest of the text with it. Columns count characters. */
struct sql_token sql_next(struct sql_lexer *lexer);
bool sql_token_is(const struct sql_token *t, const char *word); /* an unquoted word, case ignored; or punctuation */

/* ---- the guard: an allow-list over tokens; what it cannot decide it refuses ---- */
enum sql_effect { EFFECT_NONE, EFFECT_USE, EFFECT_ALTER_SESSION };
/* With CLASS_SCRIPT among the classes, BEGIN, START TRANSACTION, COMMIT and ROLLBACK are statements like others: of
 * class CLASS_SCRIPT, and of use only among those of one script. */
enum sql_use { USE_DATABASE, USE_SCHEMA, USE_WAREHOUSE, USE_ROLE };
struct sql_parameter {
	const char *name;
	const char *value;
}; /* value NULL: UNSET */

enum sql_transaction { TRANSACTION_NONE, TRANSACTION_BEGINS, TRANSACTION_ENDS };

struct guard_verdict {
	bool allowed;
	enum sql_transaction transaction; /* of class CLASS_SCRIPT */
	unsigned class;                   /* enum statement_class; 0 where it has none */
	bool destructive;       /* allowed, and what was there may be gone afterwards: tbl/guard.def, DESTROYS */
	enum sql_effect effect; /* USE and ALTER SESSION SET/UNSET: for the session, not for Snowflake as sent */
	enum sql_use use;
	const char *use_database, *use_name; /* as Snowflake stores them; use_database only for USE SCHEMA db.schema */
	size_t parameters_n;
	struct sql_parameter parameters[16];
	const char *reason; /* not allowed: what and why, a sentence without its full stop */
	const char *advice; /* and what to do instead, whole sentences; may be NULL */
	int line, column;   /* of the token that decided; 0 where none */
};

/* Classifies one statement and checks it against `classes` (bits of enum statement_class). Texts live in `a`.
 * Returns ERR_OK with *verdict filled, or ERR_NOMEM. */
int guard_check(struct arena *a, struct slice sql, unsigned classes, struct guard_verdict *verdict) MUST_USE;

/* Whether the session parameter may be set through the gateway (the requests' own whitelist, snowflake-rest.md A.3),
 * and takes this value; `value` NULL asks for UNSET. Where not, *reason and *advice (may be NULL) are static texts. The
 * same rules that ALTER SESSION has in guard_check(). */
bool sql_parameter_fits(const char *name, const char *value, const char **reason, const char **advice);

/* How the gateway carries a session parameter: in each request, or, where Snowflake's SQL API does not take it there,
 * in an ALTER SESSION before the statement (a multi-statement request, snowflake-rest.md A.7). */
enum sql_parameter_by { PARAMETER_BY_REQUEST, PARAMETER_BY_STATEMENT };
enum sql_parameter_by sql_parameter_by(const char *name);
/* Appends that ALTER SESSION for those of `set` (names to texts that fit) that need one; nothing where none does. */
bool sql_parameters_write(struct buf *b, json_t *set);

/* ---- scripts ---- */
#define SQL_SCRIPT_MAX 50 /* statements in one */
/* Cuts a text into its statements, white space and comments before the first word of each included, semicolons not;
 * empty ones are left out. A text that cannot be read is one statement. ERR_OK; ERR_INVALID_PARAMS: more than
 * SQL_SCRIPT_MAX; ERR_NOMEM. */
int sql_script(struct arena *a, struct slice sql, struct slice **statements, size_t *n) MUST_USE;

/* ---- the databases of a policy ---- */
struct bounds_verdict {
	const char *reason, *advice;
	int line, column;
};
/* Do all names of a statement that the guard has allowed lie in the current database or in one of `databases`? Decided
 * on tokens and on the safe side. False: *verdict says why.
 *   A name of three parts begins with a database; in CREATE, ALTER, DROP ... SCHEMA one of two parts does, and DATABASE
 *   tells what follows it. What follows the colon of value:path is no name, that of {'key': value} is one.
 *   SHOW: a name behind IN begins with a database unless the kind is said (IN SCHEMA name); lists that span databases
 *   are refused (IN ACCOUNT, DATABASES, SHARES, GRANTS but those ON or OF something; INFORMATION_SCHEMA.DATABASES).
 *   Names as text: in IDENTIFIER('...'), TABLE('...'), as texts of TABLE(function(...)) and of the functions that
 *   tbl/guard.def lists as NAMING, and of all in INFORMATION_SCHEMA. There a text of two parts or more begins with a
 *   database and, in the latter, is a plain literal. Texts elsewhere are no names: SPLIT_PART(x, 'a.b', 1).
 * Grants are the fence; this keeps honest callers inside it. */
bool sql_within(struct arena *a, struct slice sql, struct texts databases, struct bounds_verdict *verdict);

/* ---- identifiers ---- */
struct sql_name {
	size_t n;
	const char *part[3];
}; /* as stored: unquoted upper-cased, quotes removed */
/* Parses `db.schema.object`, each part plain or quoted; at most `max` parts. ERR_INVALID_PARAMS with *why (static or in
 * `a`) where it is none; 255 characters a part. */
int sql_name_parse(struct arena *a, struct slice text, size_t max, struct sql_name *name, const char **why) MUST_USE;
/* The table or view that a DML or DDL statement changes, as it is named there: the name behind INTO, UPDATE, FROM,
 * TABLE, VIEW or TRUNCATE, whichever comes first. False where there is none, as in DROP SCHEMA. */
bool sql_target(struct arena *a, struct slice sql, struct sql_name *name);
/* Appends the part in quotes, quotes doubled: always safe to splice. */
bool sql_quote_ident(struct buf *b, const char *part);
bool sql_quote_name(struct buf *b, const struct sql_name *name);
/* Appends a string literal: quotes and backslashes doubled. For patterns of SHOW ... LIKE, where binds do not work. */
bool sql_quote_string(struct buf *b, const char *text);
/* The stored form of one identifier argument ("wh_xs" -> "WH_XS", "\"My wh\"" -> "My wh"); NULL where it is none. */
const char *sql_ident_fold(struct arena *a, struct slice text);

#endif
