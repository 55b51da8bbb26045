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
#define META_LEVEL        "io.modelcontextprotocol/logLevel"
#define META_SUBSCRIPTION "io.modelcontextprotocol/subscriptionId"

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

/* Is it a string or a whole number, as ids and progress tokens are? 1.0 is a whole number. */
bool rpc_id_is_valid(const json_t *id);

/* Writing. A result begins with result_open(), which leaves it ready for its first member, and ends with one of the
 * others, which add what the modern era asks for. */
bool member_write(struct buf *b, const char *key, const json_t *value);
/* A key of our own, which needs no escapes, and a text. */
bool member_write_text(struct buf *b, const char *key, const char *text);
bool result_open(struct buf *b, enum revision revision);
/* `meta` may be NULL; legacy results carry it only where it is not. */
bool result_close(struct buf *b, enum revision revision, const json_t *meta);
bool result_close_cached(struct buf *b, enum revision revision, int64_t ttl_ms);
/* _meta of a modern result without its closing brace. */
bool meta_open(struct buf *b);
/* A notification up to its method, "notifications/" being put before it; params and the closing brace follow. */
bool notification_open(struct buf *b, const char *method);
/* _meta of a notification that belongs to a subscription. */
bool subscription_write(struct buf *b, struct slice subscription);

/* "inputRequests":{...}, of at least one question. */
bool questions_write(struct buf *b, const struct ask *asks, size_t n);

/* Do two JSON numbers have the same value, whatever their spelling? */
bool number_equal(const json_t *a, const json_t *b);

#endif
