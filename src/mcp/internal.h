/* internal.h
 *
 * What the files of this folder share and nobody else sees: building a fault, and the two ladders behind
 * era_classify().
 */
#ifndef SNOWGATE_MCP_INTERNAL_H
#define SNOWGATE_MCP_INTERNAL_H

#include "snowgate/mcp.h"

#define META_VERSION      "io.modelcontextprotocol/protocolVersion"
#define META_CAPABILITIES "io.modelcontextprotocol/clientCapabilities"
#define META_CLIENT       "io.modelcontextprotocol/clientInfo"
#define META_SERVER       "io.modelcontextprotocol/serverInfo"

/* How much of a client's text a message repeats, in bytes. */
#define ECHO_MAX 64

/* Fills *f and returns e. The text lives in the arena; when that is full the table's own text has to do. */
int fault_set(struct arena *a, struct mcp_fault *f, enum err e, const char *format, ...) PRINTF_LIKE(4, 5);
/* ERR_VERSION with data {"supported":[...],"requested":requested}. A claim gets the revisions that claims can name. */
int fault_version(struct arena *a, struct mcp_fault *f, bool claim, const char *requested);

/* The revisions that a header may name; for legacy messages. */
int legacy_check_version(struct arena *a, const struct mcp_headers *h, struct era_verdict *v,
			 struct mcp_fault *f) MUST_USE;
/* Steps 2 to 5 of the ladder for a message with a claim; requests and notifications. */
int modern_climb(struct arena *a, const struct rpc *rpc, const struct mcp_headers *h, struct mcp_fault *f) MUST_USE;

/* Do two JSON numbers have the same value, whatever their spelling? */
bool number_equal(const json_t *a, const json_t *b);

#endif
