/* conf.h
 *
 * The configuration: one immutable snapshot, built and validated whole. Readers take the pointer into the call once;
 * it may be read from any thread and is changed by none.
 *
 * Sources, later wins: the defaults of tbl/conf.def, the YAML file (with ${VAR} and include:), the environment
 * (SNOWGATE_<SECTION>_<KEY>; a list with commas). Snowflake connections: inline (snowflake.connections), else
 * connections.toml/config.toml and SNOWFLAKE_* as Snowflake's own tools read them (snowflake-rest.md E.3).
 *
 * In the snapshot: paths are resolved (relative to the file that names them; ~/ is the home directory), an IPv6 address
 * has no brackets, roles, warehouses, databases and schemas are spelled as Snowflake stores them (unquoted in the file:
 * upper case), api_keys_file, store.path and the default connection's name are filled in.
 */
#ifndef SNOWGATE_CONF_H
#define SNOWGATE_CONF_H

#include "snowgate/buf.h"
#include "snowgate/principal.h"

struct texts {
	size_t n;
	const char *const *v;
};

/* The Snowflake user of one principal (external_oauth). */
struct connection_user {
	const char *subject, *login;
};

enum connection_auth {
#define AUTHENTICATOR(id, name, type, takes, check) CONNECTION_##id,
#include "snowgate/tbl/authenticator.def"
#undef AUTHENTICATOR
	CONNECTION_AUTHS_N
};
struct authenticator {
	const char *name, *type, *takes, *check; /* the columns of tbl/authenticator.def */
};
const struct authenticator *authenticator_of(enum connection_auth auth);

/* How to reach one Snowflake account, and as whom. Texts are NULL where not given; tbl/connection.def tells each.
 * Secrets are read from their files when the snapshot is built; a text whose file is named beside it (private_key_raw,
 * token, oauth_refresh_token) is what the file held then, checked: whoever uses it reads the file again. Always filled:
 * name, host, protocol ("https"), port, auth, id. */
struct connection {
	const char *name;
#define FIELD(key, flags, doc) const char *key;
#define INPUT(key, flags, doc)
#include "snowgate/tbl/connection.def"
#undef FIELD
#undef INPUT
	int64_t port, proxy_port;
	enum connection_auth auth;
	size_t users_n; /* CONNECTION_EXTERNAL; sorted by subject */
	const struct connection_user *users;
	/* SHA-256 of all that a token of it depends on: the same in the next snapshot where nothing of that changed.
	 * For the keys of caches, with the login and the role. */
	uint8_t id[32];
};

/* Whether each principal is a Snowflake user of its own there. */
bool connection_is_per_user(const struct connection *c);
/* Appends the Snowflake user that statements of this principal run as; what a connection with one user for all names is
 * appended for everybody ("" where the token alone says it). False, and nothing appended: the principal has none.
 * `users` and `user` are for API keys (by name) and the local user ("local"): subjects that this gateway itself gives
 * out. One of an OAuth issuer (PRINCIPAL_TOKEN) never has one, whatever it is called: another issuer's "alice" is
 * somebody else, and nothing here names issuers. */
bool connection_login(const struct connection *c, const struct principal *p, struct buf *login) MUST_USE;
/* Fills id; for connections that are made by hand. */
void connection_identify(struct connection *c);
/* A deep copy that outlives the snapshot, without its users; ended with connection_free(), which wipes it. */
struct connection *connection_copy(const struct connection *c) __attribute__((returns_nonnull));
void connection_free(struct connection *c);

/* Rates and caps of one profile (limits.NAME). A policy without a profile has `default`. */
struct limits {
	const char *name;
	int64_t calls_per_minute; /* tools/call and other calls; default 600 */
	int64_t burst;            /* calls at once before the rate counts; default 60 */
	int64_t running;          /* statements of one principal at one time; default 4 */
	int64_t queued;           /* its calls waiting for a slot; default 16 */
	usec_t queue_wait;        /* longest wait for a slot; default 30s */
	int64_t streams;          /* its open event streams; default 64 */
};

/* Statement classes a policy may allow; bits. Names in the file: read metadata dml ddl dcl script. */
enum statement_class {
	CLASS_READ = 1 << 0,     /* SELECT, WITH ... SELECT, VALUES */
	CLASS_METADATA = 1 << 1, /* SHOW, DESCRIBE, EXPLAIN */
	CLASS_DML = 1 << 2,      /* INSERT UPDATE DELETE MERGE TRUNCATE */
	CLASS_DDL = 1 << 3,      /* CREATE ALTER DROP UNDROP COMMENT */
	CLASS_DCL = 1 << 4,      /* GRANT REVOKE */
	CLASS_SCRIPT = 1 << 5,   /* several statements in one text, each of a class that is allowed; transactions */
};

/* Names in the file: core classic snowflake-labs semantic cortex. */
enum toolset {
	TOOLSET_CORE = 1 << 0,
	TOOLSET_CLASSIC = 1 << 1,
	TOOLSET_LABS = 1 << 2,
	TOOLSET_SEMANTIC = 1 << 3,
	TOOLSET_CORTEX = 1 << 4,
};

/* A service of Snowflake's Cortex that clients may use: cortex.search, cortex.analyst, cortex.agents. Names are stored
 * ones. */
enum cortex_kind { CORTEX_SEARCH, CORTEX_ANALYST, CORTEX_AGENT, CORTEX_KINDS_N };
struct cortex_service {
	enum cortex_kind kind;
	const char *name;        /* as clients say it; unique */
	const char *description; /* "" where not given */
	/* the service, the agent, the semantic view; or the stage on which the semantic model lies */
	const char *database, *schema, *object;
	const char *model;      /* ANALYST over a file: "@DB.SCHEMA.STAGE/model.yaml"; else NULL */
	struct texts columns;   /* SEARCH: what is returned where the caller does not say; empty: all */
	int64_t limit;          /* SEARCH: results, the same way; default 10 */
	const char *connection; /* the one through which it is there; NULL: any */
};

/* Is the person behind the client asked before a destructive statement (DELETE, UPDATE, MERGE, TRUNCATE, DROP, CREATE
 * OR REPLACE, ALTER ... DROP, a shorter retention, REVOKE)? ask: where the client can be asked, else it runs; require:
 * else it is refused.
 */
enum policy_confirm { CONFIRM_ASK, CONFIRM_REQUIRE, CONFIRM_NEVER };

/* What a principal may do. The first policy that matches counts; none matches: refused. */
struct policy {
	const char *name;                    /* "policy 1" where not named */
	struct texts principals, groups;     /* match: names with * and ? ; both empty matches everybody */
	const struct connection *connection; /* NULL only where conf_faults.no_connection was set */
	struct texts roles;                  /* allowed roles; the first is the default; empty: the connection's only */
	const char *warehouse;               /* fixed: the argument disappears from the schema; NULL: free */
	struct texts databases;              /* allowed databases; empty: all. One: it is fixed */
	/* names of the Cortex services it may use; empty: all in its databases but agents, which may do more than read
	 * and are always named */
	struct texts cortex;
	unsigned statements;         /* enum statement_class bits; default read, metadata */
	enum policy_confirm confirm; /* of destructive statements; default ask */
	unsigned toolsets;           /* listed; enum toolset bits; default core */
	const struct limits *limits;
};

struct conf {
#define CONF_TEXT                                           const char *
#define CONF_INT                                            int64_t
#define CONF_BOOL                                           bool
#define CONF_TIME                                           int64_t
#define CONF_SIZE                                           int64_t
#define CONF_LIST                                           struct texts
#define CONF_CHOICE                                         int
#define CONF(section, key, type, def, min, max, flags, doc) CONF_##type section##_##key;
#include "snowgate/tbl/conf.def"
#undef CONF
	const char *file; /* the YAML file read; NULL where there was none */
	size_t connections_n, policies_n, limits_n, cortex_n;
	const struct connection *connections;
	const struct policy *policies;
	const struct limits *limits;
	const struct cortex_service *cortex;
	struct arena *arena; /* everything above lives here */
	int64_t *users;      /* requests served under it; NET alone counts */
};

enum { AUTH_REQUIRED, AUTH_NONE };
enum { SUBMIT_ASYNC, SUBMIT_SYNC };
enum { STORE_KIND_SQLITE, STORE_KIND_MEMORY, STORE_KIND_VALKEY };
enum { STORE_SYNCHRONOUS_FULL, STORE_SYNCHRONOUS_NORMAL };

/* A fault: where, what, and what to do. Faults are collected, not only the first. */
struct conf_fault {
	const char *file;
	int line;
	const char *key;
	const char *reason;
};
struct conf_faults {
	struct arena *arena;
	size_t n;
	struct conf_fault *v;
	size_t warnings_n;
	struct conf_fault *warnings;
	bool no_connection; /* a policy has no connection (a warning says how to make one): fine for
			     * `snowgate key new`, not for `serve` */
};

/* Reads, merges and validates. `file` NULL: $SNOWGATE_CONFIG, ./snowgate.yaml, /etc/snowgate/snowgate.yaml, or none.
 * Returns NULL where there is a fault; *faults is filled in any case and ended with conf_faults_free(). */
const struct conf *conf_load(const char *file, struct conf_faults *faults);
void conf_faults_free(struct conf_faults *faults);
void conf_free(const struct conf *conf);
/* The one thing about a snapshot that changes: how many requests NET serves under it. It dies with the last. */
void conf_use(const struct conf *conf);
void conf_unuse(const struct conf *conf);
int64_t conf_users(const struct conf *conf);

/* The effective configuration as YAML, secrets masked; or the documented defaults, comments included. */
bool conf_write(struct buf *b, const struct conf *conf);
bool conf_write_defaults(struct buf *b);

/* "FILE:LINE: KEY: REASON\n" for each fault, then each warning, marked "warning: ". */
bool conf_faults_write(struct buf *b, const struct conf_faults *faults);
/* Appends the names of settings that differ and are not RELOAD, ", " between them: they need a restart. The caller goes
 * on with the old values of these. */
bool conf_changes(struct buf *b, const struct conf *from, const struct conf *to);

/* The first policy that fits a principal's subject or its group, or NULL. With no policies in the file there is one
 * that matches everybody: the default connection, its role, read and metadata, toolset core, the default limits. */
const struct policy *conf_policy(const struct conf *conf, const struct principal *p);
/* By name; NULL: the default connection, whose name snowflake_connection holds. NULL where there is none. */
const struct connection *conf_connection(const struct conf *conf, const char *name);

/* May a principal under this policy use the service? By its name, its database and its connection. */
bool cortex_allowed(const struct policy *p, const struct cortex_service *s);
/* The allowed service of this kind and name; NULL where there is none. */
const struct cortex_service *cortex_find(const struct conf *conf, const struct policy *p, enum cortex_kind kind,
					 const char *name);
/* Are the same services there, as clients see them? */
bool cortex_same(const struct conf *a, const struct conf *b);

/* Reads a configuration file of Snowflake's own MCP server (Snowflake-Labs/mcp) and appends what says the same in ours
 * to `out`. What cannot be said is a warning; what that server would not read is a fault, and nothing is appended:
 * false. *faults is ended with conf_faults_free(). */
bool conf_import(const char *file, struct buf *out, struct conf_faults *faults) MUST_USE;

bool texts_have(struct texts t, const char *text); /* exact */
bool address_is_loopback(const char *address);     /* 127/8, ::1, unix: */

#endif
