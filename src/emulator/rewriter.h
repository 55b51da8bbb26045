/* rewriter.h
 *
 * What the files of the rewriter share: the state of one rewrite, the emitter of expressions and queries (emit.c),
 * function calls (calls.c), types and formats (types.c), whole statements (statement.c, ddl*.c) and SHOW (show.c).
 */
#ifndef SNOWGATE_EMULATOR_REWRITER_H
#define SNOWGATE_EMULATOR_REWRITER_H

#include "lex.h"
#include "rewrite.h"

#define REWRITER_DEPTH_MAX 220
#define REWRITER_ITEMS_MAX 1024 /* items of one comma list */

struct rewriter {
	struct tokens tokens;
	struct token *t; /* tokens.items */
	struct plan *plan;
	const struct engine_context *context;
	int depth;
	const struct engine_binding *bindings; /* what a ? stands for decides its type */
	size_t bindings_n;
	bool defines_columns; /* inside a view or CTAS: names of columns matter, context is the reader's */
};

/* A comma list: item k is the tokens from[k] .. to[k]-1. */
struct items {
	int n;
	int from[REWRITER_ITEMS_MAX], to[REWRITER_ITEMS_MAX];
};

/* A possibly qualified name; parts are as Snowflake stores them. next: the token behind it. */
struct name {
	int parts;
	char part[3][PLAN_NAME_MAX];
	int first, next;
};

enum emit_place { EMIT_EXPRESSION, EMIT_TABLES };

/* emit.c */
void emit_range(struct rewriter *r, int from, int to, enum emit_place place, struct buf *out);
char *emit_text(struct rewriter *r, int from, int to); /* an owned text, "" where nothing came out */
void emit_identifier(const struct token *t, struct buf *out);
void emit_string(const struct token *t, struct buf *out);
void add_quoted(struct buf *out, const char *name);  /* "NAME", quotes doubled */
void add_literal(struct buf *out, const char *text); /* 'text', quotes doubled */

/* tables.c: what may stand in FROM. Returns the index behind it, 0 when it is none of ours. */
int emit_table_item(struct rewriter *r, int i, int end, struct buf *out);
/* Resolves a name against the context, records it as an object that must exist, writes it qualified. */
void emit_object(struct rewriter *r, const struct name *name, enum plan_object_kind kind, struct buf *out);
bool resolve_object(struct rewriter *r, const struct name *name, enum plan_object_kind kind,
		    struct plan_object *object);
struct plan_object *require_object(struct rewriter *r, const struct plan_object *object);
void add_object(struct buf *out, const struct plan_object *object); /* "DB"."SCHEMA"."NAME" */

/* calls.c: a function call at name token `i`. Returns the index behind it, 0 when it is left to the emitter. */
int emit_call(struct rewriter *r, int i, struct buf *out);

/* types.c */
enum type_class { TYPE_OTHER, TYPE_TEXT, TYPE_SEMI, TYPE_BINARY, TYPE_ZONED, TYPE_LTZ, TYPE_DECFLOAT, TYPE_GEO };
struct type_text {
	enum type_class class;
	int next;
	int length;
	int digits; /* of a NUMBER(p,0) that a cast must keep to; 0: any */
	char duck[48], snowflake[64];
	bool known;
};
void parse_type(const struct rewriter *r, int i, struct type_text *type);
/* CAST(value AS type) with Snowflake's meaning. */
void add_cast(struct buf *out, const char *value, const struct type_text *type, bool try_cast);
const char *date_part_name(const struct token *t);            /* DuckDB's word; NULL when it is no date part */
bool add_date_format(const struct token *t, struct buf *out); /* a strftime text; false when not a date format */

/* tokens.c */
void split_items(const struct rewriter *r, int from, int to, struct items *items);
void parse_name(const struct rewriter *r, int i, struct name *name);
bool is_keyword(const struct token *t);
bool names_cte(const struct rewriter *r, const char *name);
void fail_at(struct rewriter *r, const struct token *t); /* 001003 syntax error at this token */

/* statement.c, ddl.c, show.c: whole statements. True when the statement was theirs. */
bool rewrite_ddl(struct rewriter *r);
bool rewrite_show(struct rewriter *r);
bool rewrite_session(struct rewriter *r);

#endif
