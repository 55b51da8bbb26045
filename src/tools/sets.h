/* sets.h
 *
 * The toolsets snowflake-labs, semantic and cortex: their plans and answers, and what the registry asks of them.
 */
#ifndef SNOWGATE_TOOLS_SETS_H
#define SNOWGATE_TOOLS_SETS_H

#include "snowgate/sse.h"
#include "tools_internal.h"

/* Their answers name get_result and cancel_query. */
#define TOOLSETS_OF_ROWS (unsigned)(TOOLSET_LABS | TOOLSET_SEMANTIC | TOOLSET_CORTEX)

/* ---- sets.c: for the registry ---- */
/* The bit of a toolset's name, as definitions give it; 0: no such one. */
unsigned toolset_of(const char *name);
/* Does the policy allow as SQL what the tool does? Of tools that are in none of the other toolsets. */
bool set_tool_allowed(const struct policy *policy, const struct tool *tool);
/* Is there a service for it? True for tools that need none. */
bool has_services(const struct tool *tool, const struct conf *conf, const struct policy *policy);
/* Puts the names of the services it may be called for into argument service_name. */
void services_offer(json_t *schema, const struct tool *tool, const struct conf *conf, const struct policy *policy);
/* What stands for {search_services}, {analyst_services}, {agent_services} in a description. */
void services_told(struct buf *b, struct slice placeholder, const struct conf *conf, const struct policy *policy);
/* Replaces c->arguments by a copy in which `name` is `value`, whose reference is taken. False: no memory. */
bool argument_set(struct call *c, const char *name, json_t *value) MUST_USE;

/* ---- snowflake-labs: labs.c ---- */
int plan_run_query(struct call *c);
int plan_labs_list(struct call *c);
int plan_labs_describe(struct call *c);
void answer_labs_describe(struct call *c);

/* ---- semantic: semantic.c, semantic_query.c ---- */
/* The place that database_name, schema_name and view_name name, with what they leave out from the context *x. `least`
 * parts are needed; what else is there counts up to `most`. ERR_OK, or an error with the answer filled. */
int semantic_place(struct call *c, struct context *x, size_t least, size_t most, struct sql_name *place) MUST_USE;
int plan_semantic_views(struct call *c);
int plan_semantic_describe(struct call *c);
int plan_semantic_dimensions(struct call *c);
int plan_semantic_metrics(struct call *c);
int plan_semantic_ddl(struct call *c);
void answer_semantic_ddl(struct call *c);
int plan_semantic_write(struct call *c);
void answer_semantic_write(struct call *c);
int plan_semantic_query(struct call *c);

/* ---- cortex: cortex.c, cortex_search.c, cortex_analyst.c, cortex_agent.c ---- */
/* The service that argument service_name means, within the policy; NULL with the answer filled. */
const struct cortex_service *cortex_service(struct call *c, enum cortex_kind kind);
/* Plans a request to Cortex in the context *x; `path` and `body` live in the arena, NULL (memory) is refused. */
struct statement *cortex_request(struct call *c, const struct context *x, const char *path, const char *body);
/* /api/v2/databases/DB/schemas/S/KIND/NAME:VERB in the arena; NULL: no memory. */
const char *cortex_path(struct call *c, const struct cortex_service *s, const char *kind, const char *verb);
/* {"messages":[{"role":"user","content":[{"type":"text","text":query}]}]}; a new reference. */
json_t *cortex_question(const char *query);
/* JSON text in the arena; takes the reference; NULL: no memory. */
const char *cortex_body(struct call *c, json_t *value);
/* The request's failure as the answer. */
void cortex_error(struct call *c, const struct statement *s, const char *what);
/* The answer of a request as a JSON object, to be ended with cortex_forget(); NULL with the answer filled where it is
 * none. The cell is the arena's. */
json_t **cortex_answer(struct call *c, const struct statement *s, const char *what);
/* Here rather than with the arena, which ends on NET. NULL is fine. */
void cortex_forget(json_t **answer);
/* A value as a cell: its text; what is no text is written as JSON into the empty buffer `b`. */
struct cell cortex_cell(const json_t *value, struct buf *b);
#define CORTEX_CELL_MAX ((size_t)1 << 20) /* such a buffer's ceiling */
/* told_within() as a JSON string. */
void cortex_told_json(struct call *c, struct buf *b, struct slice text);

int plan_cortex_search(struct call *c);
void answer_cortex_search(struct call *c);
int plan_cortex_analyst(struct call *c);
int more_cortex_analyst(struct call *c);
void answer_cortex_analyst(struct call *c);
int plan_cortex_agent(struct call *c);
void answer_cortex_agent(struct call *c);

#endif
