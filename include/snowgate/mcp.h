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
	bool none; /* the transport has no headers (stdio): nothing to compare the body with */
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

#define RPC_ID_MAX 1024 /* bytes of an id's raw token: it is kept and repeated */
/* Reads one body. ERR_OK; or ERR_PARSE, ERR_INVALID_REQUEST, ERR_NOMEM with *fault filled (rpc->id is set where it was
 * readable). A batch is refused as a whole where it is empty, too long, holds something that is no object, an
 * initialize, or a modern claim, or mixes responses with other messages (2025-03-26, transports, "Sending Messages");
 * its elements are read one by one with rpc_batch_split() and rpc_read(). */
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
 * base64 form of [5.4]; `name` compared for tools/call, prompts/get: params.name; resources/read: params.uri;
 * tasks/get, tasks/update, tasks/cancel: params.taskId). For legacy requests: MCP-Protocol-Version unsupported ->
 * ERR_VERSION with {supported,requested}. A batch is legacy: ERR_INVALID_REQUEST where the header names a revision that
 * has none; without a header the caller checks the session's. A modern notification needs no headers, but those that
 * are there must agree with the body; with h->none only the body is looked at. ERR_OK, or the error with *fault filled.
 */
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
	MCP_RESOURCES_LIST,
	MCP_TEMPLATES_LIST,
	MCP_RESOURCES_READ,
	MCP_SUBSCRIBE,
	MCP_UNSUBSCRIBE,
	MCP_PROMPTS_LIST,
	MCP_PROMPTS_GET,
	MCP_COMPLETE,
	MCP_SET_LEVEL,
	MCP_LISTEN,
	MCP_TASKS_GET,
	MCP_TASKS_UPDATE,
	MCP_TASKS_CANCEL,
	MCP_CANCELLED,
	MCP_OTHER_NOTIFICATION,
	MCP_UNKNOWN
};
/* Per era: initialize, ping, logging/setLevel and resources/(un)subscribe are unknown in the modern one,
 * server/discover, subscriptions/listen and those of the tasks extension in the legacy one. notifications/cancelled is
 * told in both: over HTTP the modern era ignores it, on stdio it is how a client cancels. */
enum method_id mcp_method(enum era era, enum rpc_kind kind, const char *method);

/* ---- initialize [4.1] ---- */
/* What a client can be asked; bits. */
enum client_can { CLIENT_FORM = 1 << 0, CLIENT_URL = 1 << 1, CLIENT_SAMPLING = 1 << 2, CLIENT_ROOTS = 1 << 3 };
/* Of a ClientCapabilities object (NULL: none). elicitation:{} means form only, elicitation:{"url":{}} URL only. */
unsigned client_can(const json_t *capabilities);

struct client_info {
	const char *name, *version;
	enum revision asked, revision;
	unsigned can; /* enum client_can; without what the revision does not know (elicitation before 2025-06-18, URLs
		       * before 2025-11-25) */
};
/* Reads initialize's params: protocolVersion, capabilities and clientInfo must be there and of the right type
 * (ERR_INVALID_PARAMS). revision: the asked one where legacy and known, else the latest legacy. */
int initialize_read(struct arena *a, const struct rpc *rpc, struct client_info *info, struct mcp_fault *fault) MUST_USE;
/* Result texts, complete JSON objects. `instructions` may be NULL. Capabilities are what the methods above are: tools,
 * prompts and resources with listChanged, resources.subscribe, completions (since 2025-03-26), logging; in the modern
 * era also the extension of tasks. */
bool initialize_write(struct buf *b, enum revision revision, const char *instructions);
bool discover_write(struct buf *b, const char *instructions, int64_t ttl_ms);

/* ---- results of both eras ---- */
/* One page of tools/list, prompts/list, resources/list or resources/templates/list: `items` a JSON array, `next` the
 * nextCursor or NULL. Modern: resultType, ttlMs, cacheScope private, _meta.serverInfo. Legacy: members that the
 * revision does not know are left out of each item (title, outputSchema, _meta before 2025-06-18, icons and execution
 * before 2025-11-25, annotations of tools before 2025-03-26), also the title of a prompt's argument and lastModified in
 * the annotations of a resource (before 2025-06-18). */
bool list_write(struct buf *b, enum revision revision, enum method_id list, const json_t *items, const char *next,
		int64_t ttl_ms);
/* A resources/read result: `contents` an array that is not empty; _meta in it is left out before 2025-06-18. Modern
 * with ttlMs and cacheScope private. */
bool read_result_write(struct buf *b, enum revision revision, const json_t *contents, int64_t ttl_ms);
/* A prompts/get result; `description` may be NULL. */
bool prompt_result_write(struct buf *b, enum revision revision, const char *description, const json_t *messages);
/* A completion/complete result: the first 100 values (hasMore where there are others); `total` -1 where it is not
 * known. */
bool completion_write(struct buf *b, enum revision revision, const json_t *values, int64_t total, bool more);
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

/* ---- messages that the server sends of itself ---- */
/* Whole JSON-RPC notifications and requests as JSON text. `subscription`: the raw id of the subscriptions/listen
 * request that a modern notification belongs to, put into params._meta; data NULL in the legacy era and on a call's own
 * stream. */
enum mcp_level { /* RFC 5424, in ascending severity */
		 LEVEL_DEBUG,
		 LEVEL_INFO,
		 LEVEL_NOTICE,
		 LEVEL_WARNING,
		 LEVEL_ERROR,
		 LEVEL_CRITICAL,
		 LEVEL_ALERT,
		 LEVEL_EMERGENCY
};
int mcp_level_parse(const char *name); /* -1 where it is none */

enum change { CHANGE_TOOLS, CHANGE_PROMPTS, CHANGE_RESOURCES, CHANGES_N };

/* notifications/progress: `token` is raw JSON. total 0: not known. message (NULL: none) since 2025-03-26. */
bool progress_write(struct buf *b, enum revision revision, struct slice token, double progress, double total,
		    const char *message);
/* notifications/message: `data` is JSON text, logger "snowgate". Not for a client that did not ask for this level. */
bool log_write(struct buf *b, enum mcp_level level, struct slice data);
bool list_changed_write(struct buf *b, enum change change, struct slice subscription);
bool resource_updated_write(struct buf *b, const char *uri, struct slice subscription);
/* A request of ours: `id` is made a JSON string. params may be NULL. */
bool request_write(struct buf *b, const char *id, const char *method, const json_t *params);
/* An event of a stream as SSE (WHATWG HTML 9.2): id, retry and data lines as far as they are there. */
struct sse_event {
	struct slice id;   /* data NULL: none */
	int64_t retry_ms;  /* 0: none */
	struct slice data; /* JSON; empty: an empty data line, and no event line */
};
/* Line feeds in the data come back as they were, a carriage return as a blank: in JSON both can only be white space
 * between tokens. U+0085, U+2028 and U+2029, where some readers break lines too, come back as JSON's \uXXXX. An id that
 * holds CR, LF or NUL would be another line, and is left out. */
bool sse_write(struct buf *b, const struct sse_event *event);
#define SSE_COMMENT ": keep-alive\n\n"

/* ---- what a request says of itself in params._meta [5.1] ---- */
#define PROGRESS_TOKEN_MAX 1024 /* bytes of raw JSON: it is repeated in every notification */
#define TRACE_MAX          512  /* bytes of tracestate and of baggage */
struct request_meta {
	struct slice progress_token; /* raw JSON, borrowed from the body; data NULL: none */
	int log_level;               /* enum mcp_level; -1: wants no log messages, or a legacy request */
	const char *traceparent, *tracestate, *baggage; /* borrowed from the message; NULL: none that is usable */
	unsigned can; /* enum client_can of this request; 0 for a legacy one, whose session knows */
	bool tasks;   /* its clientCapabilities.extensions have TASKS_EXTENSION; never a legacy one's */
};
/* Is this a traceparent (W3C Trace Context 3.2), of any version that is no reserved one? Its trace id is the 32 hex
 * digits from the fourth character. */
bool traceparent_valid(const char *text);
/* The trace's id out of a traceparent header; false where it is NULL or none. */
#define TRACE_ID_SIZE 33
bool trace_id(const char *traceparent, char out[TRACE_ID_SIZE]);
/* Reads it from a request of either era (modern: with a claim); `body` is the text that `rpc` was read from. Step 9 of
 * the ladder: ERR_INVALID_PARAMS for a progressToken that is neither string nor integer or is too long, and for a
 * logLevel that is none. The trace keys never fail a request: a traceparent that is not W3C Trace Context (version 00,
 * or a later one that begins like it) is ignored and tracestate with it; tracestate and baggage are taken where they
 * are 1 to TRACE_MAX bytes of printable ASCII. */
int request_meta_read(struct arena *a, const struct rpc *rpc, struct slice body, struct request_meta *m,
		      struct mcp_fault *f) MUST_USE;

/* ---- subscriptions/listen [5.9] ---- */
#define LISTEN_URIS_MAX  64
#define LISTEN_URI_MAX   2048  /* bytes of each */
#define LISTEN_BYTES_MAX 16384 /* bytes of all */
#define LISTEN_TASKS_MAX 16
struct listen {
	bool changes[CHANGES_N];
	size_t uris_n;
	const char *uris[LISTEN_URIS_MAX]; /* borrowed from the message */
	size_t tasks_n;
	const char *tasks[LISTEN_TASKS_MAX]; /* ids that are shaped like one, borrowed likewise */
};
/* Reads params.notifications, dropping what is not known here and URIs named twice. ERR_OK, or ERR_INVALID_PARAMS with
 * *fault filled: it is absent, a member is of the wrong type, a URI is empty or too long, or there are too many URIs or
 * tasks. */
int listen_read(struct arena *a, const struct rpc *rpc, struct listen *l, struct mcp_fault *fault) MUST_USE;
/* The notification that comes first: what will be sent, which is what was read. */
bool acknowledged_write(struct buf *b, const struct listen *l, struct slice subscription);
/* The result object that ends a subscription: resultType and _meta with subscriptionId and serverInfo. */
bool listen_result_write(struct buf *b, struct slice subscription);

/* ---- input_required [5.10] ---- */
/* One question to the client. */
struct ask {
	const char *key;    /* names the answer */
	const char *method; /* elicitation/create, sampling/createMessage, roots/list */
	json_t *params;     /* owned by the arena; NULL for none */
};
#define ASKS_MAX 4
/* The result object of a tools/call, prompts/get or resources/read that needs to know more. `state`: requestState, NULL
 * for none; at least one of the two must be there. Of the modern era only. */
bool input_required_write(struct buf *b, const struct ask *asks, size_t n, const char *state);

/* ---- tasks: the extension io.modelcontextprotocol/tasks, revision 2026-07-28 [5.12] ---- */
#define TASKS_EXTENSION "io.modelcontextprotocol/tasks"
#define TASK_ID_SIZE    27 /* 26 characters [a-z2-7], 128 bits, and a NUL */
bool task_id_shaped(const char *id);

enum task_status { TASK_WORKING, TASK_INPUT_REQUIRED, TASK_COMPLETED, TASK_FAILED, TASK_CANCELLED };
struct task {
	const char *id;
	enum task_status status;
	const char *message;      /* NULL: none */
	int64_t created, updated; /* wall seconds */
	int64_t ttl_ms;           /* how long from its creation on it can be asked for */
	int64_t poll_ms;          /* how often it should be at most */
	struct slice outcome; /* JSON text: the result of a completed one, the error of a failed one; empty: left out */
	const struct ask *asks; /* INPUT_REQUIRED: the open questions */
	size_t asks_n;
};
/* What came of the call whose JSON-RPC response this is, as a whole message: COMPLETED and its result, FAILED and its
 * error. *outcome is borrowed from it. Without either: CANCELLED. */
enum task_status task_outcome(struct slice response, struct slice *outcome);
/* The result of the tools/call that has become a task: flat, without outcome and questions. */
bool task_created_write(struct buf *b, const struct task *t);
/* The result of tasks/get. */
bool task_result_write(struct buf *b, const struct task *t);
/* notifications/tasks on the stream of this subscription. */
bool task_changed_write(struct buf *b, const struct task *t, struct slice subscription);

/* ---- argument check: JSON Schema 2020-12, the keywords tools use ---- */
/* type (also lists), enum, const, properties, required, additionalProperties, items, minItems, maxItems, minimum,
 * maximum, exclusiveMinimum/Maximum, minLength, maxLength (in characters), pattern is not supported and refused at load
 * by schema_usable(). `why` names the argument and says what is wanted ("limit: must be an integer from 1 to 10000, not
 * \"ten\""). */
bool schema_check(struct arena *a, const json_t *schema, const json_t *value, const char **why) MUST_USE;
/* Is this inputSchema of type object and made of keywords that are checked here, or that are mere annotations? $schema,
 * where it is there, must name 2020-12, and headers asked for by x-mcp-header must be usable too [5.4]. False: *keyword
 * is the culprit, borrowed from the schema or static. */
bool schema_usable(const json_t *schema, const char **keyword);
/* The value of what passed as "integer", which 100 and 100.0 both are. False, *out untouched, for anything else and
 * beyond 64 bits. */
bool schema_integer(const json_t *value, int64_t *out);

#endif
