/* api_parts.h
 *
 * One request on its way, and what the files of the API share: api.c (routes, statements), api_gate.c (who may ask for
 * what), api_answer.c (faults, and how an answer leaves).
 */
#ifndef SNOWGATE_EMULATOR_API_PARTS_H
#define SNOWGATE_EMULATOR_API_PARTS_H

#include "api.h"
#include "control.h"
#include "cortex.h"
#include "registry.h"
#include "token.h"

#define STATEMENTS_PATH "/api/v2/statements"

struct request {
	struct exchange *exchange;
	struct emulator *emulator;
	enum operation operation;
	char handle[37];     /* of the path */
	char request_id[37]; /* X-Snowflake-Request-ID */
	struct cortex_run *run;
	struct caller caller;
	struct fault_action fault;
	struct statement *statement; /* while waiting */
	struct statement_waiter waiter;
	struct timer sync;
};

/* api_answer.c */
bool request_is_cortex(const struct request *r);
void request_finish(struct request *r); /* sends the answer that was prepared, spoiled as the fault wants it */
void request_fail(struct request *r, unsigned status, const char *code, const char *sqlstate, const char *message);
/* Takes the fault for this request; true when it has already been answered (or never will be). */
bool request_fault(struct request *r, const char *sql);
void request_fault_body(struct request *r, unsigned status); /* prepares the answer of a scripted status */

/* api_gate.c. Each is false when the request has been refused. */
bool request_passes(struct request *r);
bool refuse_name(struct request *r, unsigned status, const char *code, const char *kind, const char *name,
		 const char *why);
bool role_holds(struct request *r, const char *role);
bool context_holds(struct request *r, struct engine_context *c);
bool formats_hold(struct request *r, const struct submission *u);
/* What the request leaves open is the user's default, a role within the token's restriction. */
void context_complete(const struct request *r, const char **role, const char **warehouse);

#endif
