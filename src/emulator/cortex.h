/* cortex.h
 *
 * Cortex with fixed answers: Search over a dozen documents, Analyst over the sample data, Agents that run through one
 * script. Source: snowflake-rest D.1-D.4. Nothing here understands a question: words in it choose the answer.
 *
 *   POST /api/v2/databases/{db}/schemas/{s}/cortex-search-services/{name}:query   DEMO.PUBLIC.SUPPORT_DOCS
 *   POST /api/v2/cortex/analyst/message                     semantic view DEMO.PUBLIC.SALES, any model file or text
 *   POST /api/v2/databases/{db}/schemas/{s}/agents/{name}:run                     DEMO.PUBLIC.SALES_AGENT
 *   POST /api/v2/cortex/agent:run
 *
 * Where the reference does not know: a request that is not understood is 400 with 390142, an object that does not
 * exist 404 with 002003. The name of "@scores" and its members are a guess.
 *
 * Owner: the HTTP thread.
 */
#ifndef SNOWGATE_EMULATOR_CORTEX_H
#define SNOWGATE_EMULATOR_CORTEX_H

#include "emulator.h"
#include "fault.h"
#include "server.h"
#include "token.h"

struct cortex;
struct cortex_run;

struct cortex *cortex_new(void);
void cortex_free(struct cortex *cortex);
/* The operation that a path names, or OP_OTHER. */
enum operation cortex_route(const char *path);
/* Fills the answer of a request that has passed the gate, and records it. `role` and `warehouse` are those that hold.
 * The record stays the cortex's; cortex_left() completes it when the exchange goes. */
struct cortex_run *cortex_serve(struct cortex *cortex, struct exchange *e, enum operation op,
				const struct caller *caller, const char *role, const char *warehouse,
				const char *request_id);
void cortex_left(struct cortex *cortex, struct cortex_run *run, const struct exchange *e);
/* {"message","code","error_code","request_id"}: the form of every error below /api/v2/ but the SQL API's. */
void cortex_error(struct exchange *e, unsigned status, const char *code, const char *message, const char *request_id);

/* Of POST /control/cortex: {"delay_ms":20,"error_after":n,"stall_after":n,"objects":["DB.SCHEMA.NAME",...]}. False and
 * a sentence when it is not understood. */
bool cortex_script(struct cortex *cortex, const json_t *spec, char *why, size_t size) MUST_USE;
/* Records, newest first, a new reference. */
json_t *cortex_json(const struct cortex *cortex);
void cortex_reset(struct cortex *cortex); /* the script as at the start, no records; what streams goes on unrecorded */

#endif
