/* tools.h
 *
 * The tools: definitions from the JSON files in src/tools/defs, built in; for each a plan (arguments to statements) and
 * an answer (statements to text and JSON). Tools know the call, not who carries it. Read-only after tools_load().
 */
#ifndef SNOWGATE_TOOLS_H
#define SNOWGATE_TOOLS_H

#include "snowgate/call.h"
#include "snowgate/seal.h"

/* What may be missing from a tool's arguments: `session`, and what the policy fixes. Four bits. */
#define TOOL_CUTS 16

/* Work that a method or a tool asks for. No I/O in any of it. */
struct handler {
	/* Fills c->plan. For a tool from c->arguments (checked against the schema before), for other methods from
	 * c->rpc.params. ERR_OK; or an error, with c->answer filled as a tool error that says the next step (tools), or
	 * c->fault (other methods). NET or WORKER; NET only where plan_on_net. A plan of no statement goes straight to
	 * answer(), on NET. A plan that needs to know something of the client calls call_ask() and returns ERR_OK: it
	 * is made anew when the answers are there (call_answer()). */
	int (*plan)(struct call *c);
	/* Where c->change is wanted: reads the outcome into it, or refuses with a tool error. SNOWFLAKE or WORKER. */
	void (*confirm)(struct call *c);
	/* From the plan's outcome: c->answer (tools), or c->result or c->fault (other methods; a tool that writes
	 * c->result has written the whole result). SNOWFLAKE or WORKER; NET, in settle, where answer_on_net, where
	 * there was no statement, or where the call changed its session. */
	void (*answer)(struct call *c);
	/* Or NULL. When every statement of the plan has succeeded: may plan_add() further ones, which are then
	 * executed; it is asked again when they have ended. An error with c->answer filled ends the call with that. The
	 * thread of shape: SNOWFLAKE or WORKER. */
	int (*more)(struct call *c);
	/* Or NULL. The statements are over, however they ended: what only NET may do with them (the index), and an
	 * answer that needs it, instead of answer()'s. NET, in settle (tools_settle()). */
	void (*settle)(struct call *c);
	bool asks_within;   /* its questions are asked within a task, where its client takes one, and not before it */
	bool plan_on_net;   /* uses what NET owns (the index), at any size; methods only, tools are known too late */
	bool answer_on_net; /* needs what only NET knows: the session's handle, the allowance */
};

struct tool {
	const char *name;
	const char *alias;          /* another name it is called by; NULL: none */
	unsigned toolsets;          /* enum toolset bits */
	json_t *definition;         /* as in tools/list, before the policy's cuts */
	json_t *schemas[TOOL_CUTS]; /* its inputSchema after each set of cuts, without descriptions */
	struct handler handler;
};

/* Of tools/list, resources/list, resources/templates/list, resources/read, prompts/list, prompts/get and
 * completion/complete; NULL for any other method. */
const struct handler *method_handler(enum method_id method);

/* Reads the built-in definitions; aborts on a broken one (a test covers that). */
void tools_load(void);
void tools_free(void);
/* Another configuration is in force: what is remembered of Snowflake is forgotten. NET. */
void tools_reloaded(void);
/* A call's statements are over: handler.settle, and the index hears of what a statement has changed. True: the call has
 * a statement of ours more in its plan, which is to be executed in the slot it has (`more`: there is one, and the call
 * is wanted); then this is asked again. NET. */
bool tools_settle(struct call *c, bool more) MUST_USE;

/* The tool a principal under this policy may call, or NULL. Classic tools are callable where their statements are. */
const struct tool *tool_find(const struct policy *policy, const char *name);
/* The same for a call with these arguments: where two tools of the policy's toolsets have this name, the one whose
 * required arguments are there, else the first. */
const struct tool *tool_called(const struct policy *policy, const char *name, const json_t *arguments);
/* What to do where there is no tool of this name; a static clause. */
const char *tool_advice(const char *name);
/* Definitions this policy lists, in fixed order, cut to it: descriptions carry its numbers, arguments it fixes (role,
 * warehouse, database) and `session` (where the request has one by header) are gone. A new reference. */
json_t *tools_listed(const struct conf *conf, const struct policy *policy, bool has_session);
/* The schema `arguments` are checked against: as listed, without descriptions and lists of services, and with other
 * names of arguments that are taken but not shown. Borrowed. */
const json_t *tool_schema(const struct policy *policy, const struct tool *tool, bool has_session);
/* The text for initialize and discover: account, role, databases, what is allowed, the order of tools, paging; at most
 * 1.5 KiB. */
bool tools_instructions(struct buf *b, const struct conf *conf, const struct policy *policy);

/* ---- resources [6]: snowflake://{database}/{schema}/{object} and snowflake://result/{handle} ---- */
/* A segment is a stored name, percent-encoded. A plain name is folded to upper case, as in SQL; one in double quotes
 * (%22) is not. */
/* May this URI be subscribed to under this policy? False: *why is static text. */
bool resource_uri_valid(struct arena *a, const struct policy *policy, const char *uri, const char **why);
/* Appends the URI of an object; false (nothing appended) where the name has not three parts. Each name has one URI: the
 * one that resources/list gives. */
bool resource_uri_of(struct buf *b, const struct sql_name *name);
bool resource_uri_of_result(struct buf *b, const char *handle_text);

/* ---- statement handles as clients see them: <query id>.<tag> ---- */
/* tag: 128-bit HMAC over query id, connection, role and principal, base32. key: 32 bytes, from session_keys_derive().
 */
bool handle_seal(struct buf *b, const uint8_t key[SHA256_BYTES], const char *query_id, const char *connection,
		 const char *role, const struct principal *p);
/* The query id where the tag is right for one of the keys, else false. */
bool handle_open(const struct sha256 *keys, size_t keys_n, struct slice text, const char *connection, const char *role,
		 const struct principal *p, char query_id[64]) MUST_USE;
/* The spelling of a resource's URI that the two above make; the URI itself where it is none of ours. */
const char *resource_uri_canonical(struct arena *a, const char *uri);
/* The handle of a statement as this caller may use it; "" where there is none yet. */
const char *statement_handle_text(struct call *c, const struct statement *s);
/* The keys in force, for handles and for cursors; set once at start. */
void tools_set_keys(const struct sha256 *keys, size_t n, const struct seal_keys *cursors);

/* The plan of GET /results/{handle}.csv: every row of a statement of this caller. ERR_OK, or c->fault is set. */
int plan_export(struct call *c) MUST_USE;

/* A tool error as text and _meta["snowgate/error"] in c->answer. */
void tool_error(struct call *c, enum err err, const char *code, const char *sqlstate, const char *format, ...)
    PRINTF_LIKE(5, 6);
/* The error of a failed statement, with context and next step. */
void tool_statement_error(struct call *c, const struct statement *s);

#endif
