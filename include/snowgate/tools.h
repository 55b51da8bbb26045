/* tools.h
 *
 * The tools: definitions from the JSON files in src/tools/defs, built in; for each a plan (arguments to statements) and
 * an answer (statements to text and JSON). Tools know the call, not who carries it. Read-only after tools_load().
 */
#ifndef SNOWGATE_TOOLS_H
#define SNOWGATE_TOOLS_H

#include "snowgate/call.h"

/* What may be missing from a tool's arguments: `session`, and what the policy fixes. Four bits. */
#define TOOL_CUTS 16

struct tool {
	const char *name;
	unsigned toolsets;          /* enum toolset bits */
	json_t *definition;         /* as in tools/list, before the policy's cuts */
	json_t *schemas[TOOL_CUTS]; /* its inputSchema after each set of cuts, without descriptions */
	/* Fills c->plan from c->arguments (checked against the schema before). ERR_OK; or an error with c->answer
	 * filled as a tool error that says the next step. No I/O: NET or WORKER. A plan of no statement goes straight
	 * to answer(). */
	int (*plan)(struct call *c);
	/* Where c->change is wanted: reads the outcome into it, or refuses with a tool error. SNOWFLAKE or WORKER. */
	void (*confirm)(struct call *c);
	/* Fills c->answer from the plan's outcome. SNOWFLAKE or WORKER; NET, in settle, where on_net or the call
	 * changed its session. */
	void (*answer)(struct call *c);
	bool on_net; /* needs what only NET knows: the session's handle, the allowance */
};

/* Reads the built-in definitions; aborts on a broken one (a test covers that). */
void tools_load(void);
void tools_free(void);

/* The tool a principal under this policy may call, or NULL. Classic tools are callable where their statements are. */
const struct tool *tool_find(const struct policy *policy, const char *name);
/* Definitions this policy lists, in fixed order, cut to it: descriptions carry its numbers, arguments it fixes (role,
 * warehouse, database) and `session` (where the request has one by header) are gone. A new reference. */
json_t *tools_listed(const struct conf *conf, const struct policy *policy, bool has_session);
/* The schema `arguments` are checked against: as listed, without descriptions. Borrowed. */
const json_t *tool_schema(const struct policy *policy, const struct tool *tool, bool has_session);
/* The text for initialize and discover: account, role, databases, what is allowed, the order of tools, paging; at most
 * 1.5 KiB. */
bool tools_instructions(struct buf *b, const struct conf *conf, const struct policy *policy);

/* ---- statement handles as clients see them: <query id>.<tag> ---- */
/* tag: 128-bit HMAC over query id, connection, role and principal, base32. key: 32 bytes, from session_keys_derive().
 */
bool handle_seal(struct buf *b, const uint8_t key[SHA256_BYTES], const char *query_id, const char *connection,
		 const char *role, const struct principal *p);
/* The query id where the tag is right for one of the keys, else false. */
bool handle_open(const struct sha256 *keys, size_t keys_n, struct slice text, const char *connection, const char *role,
		 const struct principal *p, char query_id[64]) MUST_USE;
/* The keys in force; set once at start. */
void tools_set_keys(const struct sha256 *keys, size_t n);

/* A tool error as text and _meta["snowgate/error"] in c->answer. */
void tool_error(struct call *c, enum err err, const char *code, const char *sqlstate, const char *format, ...)
    PRINTF_LIKE(5, 6);
/* The error of a failed statement, with context and next step. */
void tool_statement_error(struct call *c, const struct statement *s);

#endif
