/* request.h
 *
 * Reads a submission: the query parameters, the body with its whitelists, the request's context. Source:
 * snowflake-rest A.1-A.3. Pure: it touches nothing but its arguments.
 */
#ifndef SNOWGATE_EMULATOR_REQUEST_H
#define SNOWGATE_EMULATOR_REQUEST_H

#include "engine.h"
#include "snowgate/json.h"

#define REQUEST_TIMEOUT_MAX_S 604800 /* what "timeout": 0 means */
#define REQUEST_TIMEOUT_S     172800 /* the account's STATEMENT_TIMEOUT_IN_SECONDS */
#define REQUEST_OWN_TEXTS     6

/* Texts point into `body`, which the submission holds; it moves as a whole. */
struct submission {
	json_t *body;
	const char *sql;
	char request_id[37];
	bool async, retry;
	bool null_is_text; /* nullable=false: NULL becomes the text null */
	int64_t timeout_s;
	struct engine_context context;
	struct engine_binding *bindings;
	size_t bindings_n;
	const char *query_tag; /* NULL: none */
	int64_t statements;    /* MULTI_STATEMENT_COUNT; 1 unless given */
	int64_t rows_max;      /* ROWS_PER_RESULTSET; 0: no cap */
	int64_t chunk_mib;     /* CLIENT_RESULT_CHUNK_SIZE; 0: not given */
	char *user, *user_agent;
	char *own[REQUEST_OWN_TEXTS]; /* the context's texts, after submission_own() */
};

/* Query parameters as they came; NULL where absent. */
struct request_query {
	const char *request_id, *async, *nullable, *retry;
};

/* Fills *out. False, and `why` one sentence, when the request is no valid payload (400, code 390142). */
bool submission_read(struct slice body, const struct request_query *query, struct submission *out, char *why,
		     size_t size) MUST_USE;
void submission_free(struct submission *s);
/* Makes the context's texts (role, warehouse, database, schema, granted, timezone) the submission's own copies; `user`
 * must be set. Once. */
void submission_own(struct submission *s);
/* A copy without bindings that shares the body, with `context` (its user aside) instead of its own. */
void submission_copy(const struct submission *s, const struct engine_context *context, struct submission *out);

/* A session parameter of the request by its upper-case name, whatever its case on the wire; NULL when absent. */
const json_t *submission_parameter(const struct submission *s, const char *name);

bool text_is_uuid(const char *text);

#endif
