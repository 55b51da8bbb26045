/* reply.h
 *
 * The bodies of answers: snowflake-rest A.4, A.5. Each fills exchange->answer (what was there is dropped) and sends
 * nothing.
 */
#ifndef SNOWGATE_EMULATOR_REPLY_H
#define SNOWGATE_EMULATOR_REPLY_H

#include "server.h"
#include "registry.h"

void reply_empty(struct exchange *e, unsigned status);
void reply_text(struct exchange *e, unsigned status, const char *type, const char *text);
void reply_buf(struct exchange *e, unsigned status, struct buf *body); /* JSON; takes the content */
void reply_json(struct exchange *e, unsigned status, json_t *value);   /* takes the reference */
/* {"code":...,"message":...}; sqlstate NULL leaves the member out. */
void reply_error(struct exchange *e, unsigned status, const char *code, const char *sqlstate, const char *message);
/* The same with a statementHandle: every 422 has one, also where no statement came of the request. */
void reply_failure(struct exchange *e, const char *code, const char *sqlstate, const char *message, const char *handle);
/* A code and message with the statement's handle and status URL. */
void reply_status(struct exchange *e, const struct statement *s, unsigned status, const char *code,
		  const char *sqlstate, const char *message);
/* The same without createdOn: what a request to cancel gets. */
void reply_cancel(struct exchange *e, const struct statement *s, unsigned status, const char *code,
		  const char *sqlstate, const char *message);
void reply_running(struct exchange *e, const struct statement *s);
/* How an ended statement ended: 200, 408 or 422. */
void reply_outcome(struct exchange *e, const struct statement *s);
/* A partition of a statement that succeeded. `n` is in range. */
void reply_partition(struct exchange *e, const struct statement *s, size_t n);
/* Makes an answer {"data":[...]} the bare array, the other shape that later partitions have been seen in. */
void reply_spoil_shape(struct exchange *e);

#endif
