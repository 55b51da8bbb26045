/* fixtures.h
 *
 * The test-only gateway of the conformance suite: the product's gateway, with the suite's fixtures (fixtures.json,
 * built in) behind tools.h and a scripted upstream behind snowflake.h. Read-only after tools_load().
 *
 * A fixture of the lists tools, resources, templates and prompts:
 *   definition   what its list shows
 *   script       tools: what happens before the answer, an array of acts; see upstream.c
 *   needs_task   tools: refused where the client does not declare the extension of tasks
 *   asks_within  tools: the questions are asked within the call's task
 *   asks         tools, prompts: questions to the client: key, method, params; `after`: only when that key is answered;
 *                `optional`: left out where the client cannot be asked
 *   content      tools: the result's; resources and templates: text or blob; `isError` beside it for tools
 *   messages     prompts: the result's; `completions` beside it: values by argument
 *   before, behind   templates: what surrounds ${id} in a URI
 * In script, asks, content and messages ${path} stands for a value of the call: arguments/NAME, an answer's KEY/..., or
 * id.
 */
#ifndef SNOWGATE_CONFORMANCE_FIXTURES_H
#define SNOWGATE_CONFORMANCE_FIXTURES_H

#include "snowgate/tools.h"

/* ---- fixtures.c ---- */
/* The fixtures of a list ("tools"). Borrowed. */
const json_t *fixtures_of(const char *list);
/* The one whose definition has this `key` with this value; NULL where there is none. */
const json_t *fixture_find(const char *list, const char *key, const char *value);
/* The definitions of a list. A new reference. */
json_t *fixtures_listed(const char *list);

/* ---- expand.c ---- */
/* A deep copy of `value` with each ${path} in its strings replaced from `scope`: a string as it is, anything else as
 * JSON, what is not there as nothing. A new reference. */
json_t *expand(const json_t *value, const json_t *scope);
/* The values of a call: its arguments and the client's answers. A new reference. */
json_t *scope_of(const struct call *c);

/* ---- asks.c ---- */
/* Asks what the fixture wants to know and the client has not answered yet. ERR_OK; or an error with c->fault filled. */
int asks_make(struct call *c, const json_t *fixture);

#endif
