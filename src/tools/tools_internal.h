/* tools_internal.h
 *
 * What the tools share: reading arguments, building statements, rendering rows.
 */
#ifndef SNOWGATE_TOOLS_INTERNAL_H
#define SNOWGATE_TOOLS_INTERNAL_H

#include "snowgate/policy.h"
#include "snowgate/tools.h"

/* ---- one plan and one answer per tool ---- */
int plan_execute_query(struct call *c);
void confirm_execute_query(struct call *c);
void answer_execute_query(struct call *c);
int plan_get_result(struct call *c);
int plan_cancel_query(struct call *c);
void answer_cancel_query(struct call *c);
int plan_list_objects(struct call *c);
void answer_list_objects(struct call *c);
int plan_describe_object(struct call *c);
void answer_describe_object(struct call *c);
int plan_set_context(struct call *c);
void confirm_set_context(struct call *c);
void answer_set_context(struct call *c);
int plan_list_databases(struct call *c);
void answer_list_databases(struct call *c);
int plan_list_views(struct call *c);
void answer_list_views(struct call *c);
int plan_describe_view(struct call *c);
void answer_describe_view(struct call *c);
int plan_query_view(struct call *c);
/* Rows of the last statement, or its failure, or `running`: the answer of every tool that returns rows. */
void answer_rows(struct call *c);

/* ---- arguments.c ---- */
/* The call's context with the arguments database, schema, warehouse and role over it, within the policy. Another
 * database without a schema has none. ERR_OK, or an error with the answer filled. */
int arguments_context(struct call *c, struct context *out) MUST_USE;
/* One identifier argument in its stored form; *out NULL where absent. */
int argument_ident(struct call *c, const char *name, const char **out) MUST_USE;
/* A member that passed the schema as "integer", 100.0 too; else `otherwise`. */
int64_t argument_int(const json_t *object, const char *name, int64_t otherwise);
/* limit, offset, format and wait_seconds: argument, else the session's preference, else the configuration. */
void arguments_window(struct call *c, size_t default_rows);
/* The answer when the call's memory is full; ERR_NOMEM. */
int refuse_memory(struct call *c) MUST_USE;
/* The connection is there; else an error that says how to make one. */
int require_connection(struct call *c) MUST_USE;

/* ---- statements.c ---- */
/* Appends a statement to the plan. `sql` lives in the arena. NULL (answer filled) when the arena or the plan is full.
 */
struct statement *plan_add(struct call *c, enum statement_kind kind, const char *sql, const struct context *context);
/* A short statement of our own: sent sync, whole result up to `rows`. */
struct statement *plan_metadata(struct call *c, const char *sql, const struct context *context, size_t rows);
/* Appends one binding. */
bool statement_bind(struct call *c, struct statement *s, const char *type, const char *value);
/* SELECT CURRENT_ROLE(), ...: what Snowflake makes of a context. */
int plan_probe(struct call *c, const struct context *context) MUST_USE;
/* Reads the probe's answer into *context; false (answer filled) where Snowflake did not take the context over. */
bool probe_read(struct call *c, const struct statement *s, struct context *context);
/* Cell (row, column) of a small result; NULL for SQL NULL or out of range. */
const char *statement_cell(const struct statement *s, size_t row, size_t column);
size_t statement_rows(const struct statement *s);
/* The column of this name, case ignored; SIZE_MAX where there is none. */
size_t statement_column(const struct statement *s, const char *name);
/* Text built in a buffer, moved to the arena and the buffer ended; NULL when either is full. */
const char *arena_text(struct arena *a, struct buf *b);

/* ---- seal.c ---- */
/* The handle of a statement as this caller may use it; "" where there is none yet. */
const char *statement_handle_text(struct call *c, const struct statement *s);
/* The query id behind argument statement_handle; ERR_HANDLE with the answer filled where it is not this caller's. */
int argument_handle(struct call *c, char query_id[64]) MUST_USE;

#endif
