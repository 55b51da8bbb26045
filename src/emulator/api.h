/* api.h
 *
 * Snowflake's SQL API v2, with the token endpoint (oauth.h) and Cortex (cortex.h) beside it: submit, status,
 * partitions, cancel; what is checked in which order, and the bodies and codes of every answer. Source: snowflake-rest
 * A. Where the reference says that the real answer is not known: an unknown or ungranted role is 422 with 390189, one
 * outside a PAT's restriction 403 with 390189, one that an OAuth token does not carry 401 with 390317; an unknown
 * database is 422 with 391918, a warehouse 391920; a status call for an unknown, foreign or forgotten handle, and a
 * partition out of range, are 422 and 400;
 *   *_OUTPUT_FORMAT other than AUTO (HEX for binary) is 422 with 000002, but for --stub, which ignores it;
 *   cancelling what has ended is 422 with 000605, what was cancelled already 200 again.
 *
 * Owner: the HTTP thread.
 */
#ifndef SNOWGATE_EMULATOR_API_H
#define SNOWGATE_EMULATOR_API_H

#include "emulator.h"
#include "server.h"

/* The server's opened, serve and leave; `context` is the struct emulator. */
void api_opened(void *context, struct exchange *e);
void api_serve(void *context, struct exchange *e);
void api_leave(void *context, struct exchange *e);

#endif
