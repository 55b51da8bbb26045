/* tools_internal.h
 *
 * What the tools share: reading arguments, building statements, rendering rows.
 */
#ifndef SNOWGATE_TOOLS_INTERNAL_H
#define SNOWGATE_TOOLS_INTERNAL_H

#include "snowgate/policy.h"
#include "snowgate/tools.h"

/* SHOW returns at most so many rows (Snowflake, SHOW commands). */
#define SHOW_MAX 10000
/* How long a client may keep a list, in milliseconds: policies change with a reload, objects by everybody. */
#define LIST_TTL_MS    (5 * 60 * 1000)
#define OBJECTS_TTL_MS (60 * 1000)

/* ---- one plan and one answer per tool ---- */
int plan_execute_query(struct call *c);
void confirm_execute_query(struct call *c);
void answer_execute_query(struct call *c);
int plan_get_result(struct call *c);
void answer_get_result(struct call *c);
int plan_cancel_query(struct call *c);
void answer_cancel_query(struct call *c);
int plan_list_objects(struct call *c);
void answer_list_objects(struct call *c);
int plan_search_catalog(struct call *c);
void answer_search_catalog(struct call *c);
void settle_search_catalog(struct call *c);
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

/* ---- and per method ---- */
int plan_tools_list(struct call *c);
void answer_tools_list(struct call *c);
int plan_templates_list(struct call *c);
void answer_templates_list(struct call *c);
int plan_resources_list(struct call *c);
void answer_resources_list(struct call *c);
int plan_resources_read(struct call *c);
void answer_resources_read(struct call *c);
int plan_prompts_list(struct call *c);
void answer_prompts_list(struct call *c);
int plan_prompts_get(struct call *c);
void answer_prompts_get(struct call *c);
int plan_complete(struct call *c);
void answer_complete(struct call *c);
void settle_complete(struct call *c);
/* Can this policy's principals get a prompt of this name? And does it take this argument? (prompts.c) */
bool prompt_exists(const struct policy *policy, const char *prompt);
bool prompt_takes(const char *prompt, const char *argument);

/* ---- lists.c ---- */
/* Appends what decides a list's contents, whatever the context: a cursor is bound to it. */
void list_identity(struct buf *b, const struct call *c);
/* For plans: reads params.cursor into c->offset, from where page_write() goes on. ERR_OK, or ERR_INVALID_PARAMS with
 * the fault filled where it is not a cursor of this list as this principal sees it. */
int page_read(struct call *c) MUST_USE;
/* How many of a list's `total` items the page holds that begins at c->offset. */
size_t page_length(const struct call *c, size_t total);
/* For answers: writes the result of the list c->method, `page` being the page_length() items of it, with a cursor where
 * more follow. */
void page_write(struct call *c, const json_t *page, size_t total, int64_t ttl_ms);
/* The same of a whole list, cut to its page here. */
void page_write_of(struct call *c, const json_t *list, int64_t ttl_ms);
/* What a helper of the tools has refused (tool_error()) becomes the method's fault: ERR_RESOURCE_READ with its text,
 * which it returns. `uri` may be NULL. */
int method_refused(struct call *c, const char *uri);
/* A fault with an own sentence; returns `err`. */
int method_fault(struct call *c, enum err err, const char *message);

/* ---- uri.c ---- */
enum resource_kind { RESOURCE_NONE, RESOURCE_OBJECT, RESOURCE_RESULT };
#define RESOURCE_OBJECT_TEMPLATE "snowflake://{database}/{schema}/{object}"
#define RESOURCE_RESULT_TEMPLATE "snowflake://result/{handle}"
#define RESOURCE_URI_MAX         8192
struct resource {
	enum resource_kind kind;
	struct sql_name name; /* OBJECT: three parts, as stored */
	const char *handle;   /* RESULT: not checked */
};
/* What a URI names, within the policy; RESOURCE_NONE with *why (static text) for anything else. Texts live in `a`. */
struct resource resource_parse(struct arena *a, const struct policy *policy, const char *uri, const char **why);
/* The stored name that one segment of a URI, decoded, stands for; NULL where it is none. */
const char *segment_name(struct arena *a, const char *segment);
/* Appends the text that segment_name() reads as this name: the name itself, or the name in double quotes where SQL
 * would fold it. */
bool segment_write(struct buf *b, const char *name);

/* ---- catalog.c ---- */
/* Plans what describes this table or view, DDL included, in c->context; the two functions below read it. */
int plan_describe_one(struct call *c, const struct sql_name *name) MUST_USE;
/* The statement that failed so that nothing can be told; NULL where none. */
const struct statement *describe_one_failure(const struct call *c);
/* Appends the description; false (nothing appended) where there is no such object. */
bool describe_one_told(const struct call *c, struct buf *b);

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

/* ---- registry.c ---- */
void names_of_classes(struct buf *b, unsigned classes); /* "read, dml" */

/* ---- query.c: what execute_query shares ---- */
/* The guard's refusal as the answer; ERR_GUARD. */
int guard_refused(struct call *c, const struct guard_verdict *v) MUST_USE;
/* Where the policy names databases, the statement's names must lie in them; else ERR_POLICY with the answer filled. */
int within_databases(struct call *c, const char *sql, const struct context *x) MUST_USE;
void effect_use(struct context *x, const struct guard_verdict *v); /* what USE makes of a context */
bool bind_all(struct call *c, struct statement *s) MUST_USE;       /* argument bindings; false: the answer is filled */
/* The session's parameters that need an ALTER SESSION before the statement; refused where it has bindings, which
 * Snowflake does not take in such a request (snowflake-rest.md A.7). */
int statement_settings(struct call *c, struct statement *s) MUST_USE;

/* ---- script.c ---- */
/* Is it one that holds several statements, under a policy that allows scripts? */
bool is_script(struct call *c, const char *sql);
int plan_script(struct call *c, const char *sql) MUST_USE;
void script_told(struct call *c); /* adds the handles of its statements to the answer */

/* ---- dry_run.c ---- */
/* What would happen: the guard's verdict, and Snowflake's plan where there is one for this kind of statement. */
int plan_dry_run(struct call *c, const char *sql, const struct context *x, const struct guard_verdict *v) MUST_USE;
void answer_dry_run(struct call *c);

/* ---- confirm.c ---- */
/* Before a destructive statement: ERR_OK, and where *asked is true the client is asked and nothing may be planned; or
 * ERR_UNCONFIRMED with the answer filled. */
int confirm_statement(struct call *c, const char *sql, const struct context *x, bool *asked) MUST_USE;
/* Appends a destructive statement and the context it runs in, as the person is shown it; and asks about what was so
 * collected. */
void confirm_show(struct buf *b, const char *sql, const struct context *x);
int confirm_shown(struct call *c, const char *shown, bool *asked) MUST_USE;

/* ---- plain.c ---- */
/* Appends at most *left characters of `text`, which is UTF-8, and takes them off *left; control characters become
 * blanks. False where not all of it is there. */
bool plain_add(struct buf *b, struct slice text, size_t *left);
/* Appends a text of Snowflake's as far as the answer's budget of bytes goes, cut between characters, says what is left
 * out, and takes it off the budget. */
void told_within(struct call *c, struct buf *b, struct slice text);
/* Appends a stored name as SQL reads it: in quotes where it needs them. */
void plain_ident(struct buf *b, const char *name);

/* ---- file.c ---- */
/* Is the result to be downloaded, and not shown? */
bool file_wanted(const struct call *c);
/* Can it be? False: the answer is filled. */
bool file_possible(struct call *c) MUST_USE;
/* Writes where the rows of the statement are; false where that does not fit. */
bool answer_file(struct call *c, const struct statement *s) MUST_USE;

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
/* The rows of a small result become those `visible` says, with these of its columns. */
bool statement_project(struct call *c, struct statement *s, const size_t *columns, size_t n,
		       bool (*visible)(const struct call *c, const struct statement *s, size_t row)) MUST_USE;
/* The column of this name, case ignored; SIZE_MAX where there is none. */
size_t statement_column(const struct statement *s, const char *name);
/* Text built in a buffer, moved to the arena and the buffer ended; NULL when either is full. */
const char *arena_text(struct arena *a, struct buf *b);

/* ---- seal.c ---- */
/* The query id behind argument statement_handle; ERR_HANDLE with the answer filled where it is not this caller's. */
int argument_handle(struct call *c, char query_id[64]) MUST_USE;
/* The same of any text; there must be a connection. */
bool handle_opens(const struct call *c, struct slice text, char query_id[64]) MUST_USE;
/* Appends a part preceded by its length, so that no two lists of parts have the same bytes. NULL counts as empty. */
void part_add(struct buf *b, const char *text);
const struct seal_keys *cursor_keys(void);

#endif
