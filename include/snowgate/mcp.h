/* mcp.h
 *
 * The Model Context Protocol as bytes and verdicts, both eras: envelopes, which revision a request speaks, header
 * checks, and the fixed results. Pure: no I/O, no clock, no thread.
 *
 * Legacy: 2025-03-26, 2025-06-18, 2025-11-25 (2024-11-05 is accepted in initialize). Modern: 2026-07-28. Sources: the
 * specification of each revision; mcp-protocol.md sections in brackets below.
 */
#ifndef SNOWGATE_MCP_H
#define SNOWGATE_MCP_H

#include "snowgate/err.h"
#include "snowgate/json.h"

enum revision {
	REVISION_NONE,
	REVISION_2024_11_05,
	REVISION_2025_03_26,
	REVISION_2025_06_18,
	REVISION_2025_11_25,
	REVISION_2026_07_28
};
#define REVISION_LATEST_LEGACY REVISION_2025_11_25
const char *revision_name(enum revision r);
enum revision revision_parse(const char *name); /* REVISION_NONE where unknown */
static inline bool revision_is_modern(enum revision r)
{
	return r == REVISION_2026_07_28;
}

/* The protocol's own headers as they came, outer white space removed; NULL when absent. */
struct mcp_param {
	const char *name;
	const char *value;
}; /* name: what follows "Mcp-Param-" */
struct mcp_headers {
	const char *protocol_version, *session_id, *method, *name, *last_event_id;
	size_t params_n;
	struct mcp_param *params;
};

/* ---- envelope [3, 4.6, 5.2] ---- */
enum rpc_kind { RPC_REQUEST, RPC_NOTIFICATION, RPC_RESPONSE, RPC_BATCH };
struct rpc {
	enum rpc_kind kind;
	json_t *root;       /* owned by the arena */
	struct slice id;    /* the raw token, borrowed from the body; data NULL where absent or unreadable */
	const char *method; /* borrowed from root; NULL for responses and batches */
	json_t *params;     /* object or NULL; borrowed */
	json_t *meta;       /* params._meta where it is an object; borrowed */
};
/* A refusal: which error, what to say, and data where the protocol defines some (owned by the arena). */
struct mcp_fault {
	enum err err;
	const char *message;
	json_t *data;
};

/* Reads one body. ERR_OK; or ERR_PARSE, ERR_INVALID_REQUEST, ERR_NOMEM with *fault filled (rpc->id is set where it was
 * readable). A batch is refused as a whole where it is empty, too long, holds something that is no object, an
 * initialize, or a modern claim; its elements are read one by one with rpc_batch_split() and rpc_read(). */
int rpc_read(struct arena *a, struct slice body, struct rpc *rpc, struct mcp_fault *fault) MUST_USE;
#define RPC_BATCH_MAX 100
/* The texts of a batch's elements, borrowed from `body`, which rpc_read() has found to be RPC_BATCH. Fills up to `max`,
 * returns how many. */
size_t rpc_batch_split(struct slice body, size_t max, struct slice *elements);
/* Appends a whole response. `result` is JSON text. Without an id the member is left out. */
bool rpc_write_result(struct buf *b, struct slice id, struct slice result);
bool rpc_write_error(struct buf *b, struct slice id, int code, const char *message, const json_t *data);

/* ---- which era [1] ---- */
enum era { ERA_LEGACY, ERA_MODERN };
struct era_verdict {
	enum era era;
	enum revision
	    revision;    /* modern: the claimed one once the ladder has passed; legacy: from the header, or NONE */
	bool initialize; /* a legacy handshake */
};
/* Classifies one message per the table of [1], and for modern requests climbs the ladder [5.2] steps 1-5:
 * shape, _meta keys and their types, header against body version, version supported, Mcp-Method, Mcp-Name (with the
 * base64 form of [5.4]; `name` compared for tools/call, prompts/get: params.name; resources/read: params.uri). For
 * legacy requests: MCP-Protocol-Version unsupported -> ERR_VERSION with {supported,requested}. A batch is legacy:
 * ERR_INVALID_REQUEST where the header names a revision that has none; without a header the caller checks the
 * session's. A modern notification needs no headers, but those that are there must agree with the body. ERR_OK, or the
 * error with *fault filled. */
int era_classify(struct arena *a, const struct rpc *rpc, const struct mcp_headers *h, struct era_verdict *v,
		 struct mcp_fault *fault) MUST_USE;

/* Step 7: Mcp-Param-* against `arguments`, as `schema` (a tool's inputSchema) asks by x-mcp-header. ERR_OK or
 * ERR_HEADER_MISMATCH. Pass arguments NULL for {}. */
int modern_check_params(struct arena *a, const json_t *schema, const json_t *arguments, const struct mcp_headers *h,
			struct mcp_fault *fault) MUST_USE;

/* ---- methods of this server ---- */
enum method_id {
	MCP_INITIALIZE,
	MCP_INITIALIZED,
	MCP_PING,
	MCP_DISCOVER,
	MCP_TOOLS_LIST,
	MCP_TOOLS_CALL,
	MCP_CANCELLED,
	MCP_OTHER_NOTIFICATION,
	MCP_UNKNOWN
};
/* Per era: ping and initialize are unknown in the modern one, server/discover in the legacy one. */
enum method_id mcp_method(enum era era, enum rpc_kind kind, const char *method);

/* ---- initialize [4.1] ---- */
struct client_info {
	const char *name, *version;
	enum revision asked, revision;
	json_t *capabilities;
};
/* Reads initialize's params: protocolVersion, capabilities and clientInfo must be there and of the right type
 * (ERR_INVALID_PARAMS). revision: the asked one where legacy and known, else the latest legacy. */
int initialize_read(struct arena *a, const struct rpc *rpc, struct client_info *info, struct mcp_fault *fault) MUST_USE;
/* Result texts, complete JSON objects. `instructions` may be NULL. */
bool initialize_write(struct buf *b, enum revision revision, const char *instructions);
bool discover_write(struct buf *b, const char *instructions, int64_t ttl_ms);

/* ---- results of both eras ---- */
/* A tools/list page: `tools` a JSON array. Modern: resultType, ttlMs, cacheScope private, _meta.serverInfo.
 * Legacy: members that the revision does not know are left out of each tool (title, outputSchema before 2025-06-18,
 * icons and execution before 2025-11-25, annotations before 2025-03-26). */
bool tools_list_write(struct buf *b, enum revision revision, const json_t *tools, int64_t ttl_ms);
/* A tools/call result. `text` is one text block; `structured` JSON text of an object, or empty for none; `meta` may be
 * NULL. structuredContent is left out before 2025-06-18. Modern adds resultType and _meta.serverInfo. */
struct tool_result {
	struct slice text;
	struct slice structured;
	bool is_error;
	const json_t *meta;
};
bool tool_result_write(struct buf *b, enum revision revision, const struct tool_result *r);
/* An empty result: {} legacy; resultType and serverInfo modern. */
bool empty_result_write(struct buf *b, enum revision revision);

/* ---- argument check: JSON Schema 2020-12, the keywords tools use ---- */
/* type (also lists), enum, const, properties, required, additionalProperties, items, minItems, maxItems, minimum,
 * maximum, exclusiveMinimum/Maximum, minLength, maxLength (in characters), pattern is not supported and refused at load
 * by schema_usable(). `why` names the argument and says what is wanted ("limit: must be an integer from 1 to 10000, not
 * \"ten\""). */
bool schema_check(struct arena *a, const json_t *schema, const json_t *value, const char **why) MUST_USE;
/* Is this inputSchema of type object and made of keywords that are checked here, or that are mere annotations? Headers
 * asked for by x-mcp-header must be usable too [5.4]. False: *keyword is the culprit, borrowed from the schema or
 * static. */
bool schema_usable(const json_t *schema, const char **keyword);
/* The value of what passed as "integer", which 100 and 100.0 both are. False, *out untouched, for anything else and
 * beyond 64 bits. */
bool schema_integer(const json_t *value, int64_t *out);

#endif
