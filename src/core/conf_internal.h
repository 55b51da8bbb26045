/* conf_internal.h
 *
 * What the files of the configuration share and nobody else sees: the tree of what was written, the collection of
 * faults, and the table of settings. A load is made by one thread from begin to end.
 *
 * Limits: a file has at most CONF_FILE_BYTES, all files together CONF_NODES_MAX nodes and CONF_TEXT_BYTES of text, so
 * that the arenas of a load cannot run out and conf_need() may assert it.
 */
#ifndef SNOWGATE_CORE_CONF_INTERNAL_H
#define SNOWGATE_CORE_CONF_INTERNAL_H

#include "snowgate/arena.h"
#include "snowgate/conf.h"

#define CONF_FILE_BYTES   ((size_t)1 << 20)
#define CONF_SECRET_BYTES ((size_t)64 << 10)
#define CONF_NODES_MAX    ((size_t)50000)
#define CONF_TEXT_BYTES   ((size_t)8 << 20)
#define CONF_ARENA_BYTES  ((size_t)256 << 20)
#define CONF_DEPTH_MAX    16
#define CONF_FILES_MAX    32

/* One value of YAML, TOML or the environment. */
struct node {
	enum { NODE_SCALAR, NODE_LIST, NODE_MAP } kind;
	const char *file;  /* "environment" where it is none */
	int line;          /* from 1; 0: unknown */
	const char *key;   /* its name in a map */
	const char *shown; /* the key to show in a fault instead of the path; an environment variable's name */
	const char *text;  /* of a scalar */
	bool quoted;       /* a scalar in quotes: never null, never a number in TOML */
	bool hidden;       /* came out of ${VAR}: its text is shown to nobody */
	bool closed;       /* an inline TOML table or list: may not be written to again */
	bool opened;       /* a TOML table that had its header */
	struct node *first, *last, *next;
};

/* The state of one load. */
struct loading {
	struct conf_faults *faults;
	struct arena *scratch; /* the trees; ends with the load */
	struct arena *arena;   /* the snapshot */
	struct conf *conf;
	size_t nodes_n, text_bytes, files_n;
	bool sealed;  /* neither files nor environment: bytes from memory (fuzzing) */
	bool lenient; /* faults become warnings: of what nobody uses */
	bool bad;     /* there was a fault since somebody cleared it */
};

/* --- conf_tree.c: memory, nodes, names, faults */

void *conf_need(struct arena *a, size_t size) __attribute__((returns_nonnull));
const char *conf_keep(struct arena *a, const char *text) __attribute__((returns_nonnull));
const char *conf_text(struct loading *l, const char *format, ...) PRINTF_LIKE(2, 3) __attribute__((returns_nonnull));

/* A new node, or NULL (and a fault) where the limits are reached. Text is copied. */
struct node *node_new(struct loading *l, int kind, const char *file, int line);
bool node_set_text(struct loading *l, struct node *n, const char *text, size_t len);
struct node *node_scalar(struct loading *l, const char *file, int line, const char *key, const char *text);
void node_append(struct node *parent, struct node *child);
struct node *node_get(const struct node *map, const char *key);
void node_remove(struct node *map, const char *key);
/* Puts `child` into the map in place of one of the same key. */
void node_put(struct node *map, struct node *child);
/* Maps are merged, everything else of `over` replaces. `over` is used up. */
void node_merge(struct node *base, struct node *over);
bool node_is_null(const struct node *n);
void node_wipe(struct node *n); /* overwrites every text below */
/* The scalar as 'it stands' for a message; never a text that came out of a variable. */
const char *node_shown(struct loading *l, const struct node *n);

/* Key, reason: the node tells file and line. NULL node: no place. Formats name what to do. */
void conf_fault(struct loading *l, const struct node *at, const char *key, const char *format, ...) PRINTF_LIKE(4, 5);
void conf_warn(struct loading *l, const struct node *at, const char *key, const char *format, ...) PRINTF_LIKE(4, 5);

/* The candidate least different from a word, if it is near enough to be meant. */
struct nearest {
	const char *word, *best;
	size_t distance;
};
struct nearest nearest_to(const char *word);
void nearest_try(struct nearest *n, const char *candidate);
/* " (did you mean X?)" or "". */
const char *nearest_hint(struct loading *l, const struct nearest *n);

struct names {
	size_t n;
	const char *v[64];
};
bool names_have(const struct names *names, const char *name);
/* A fault for each member of `map` that is not among `names`, and for a `map` that is none. `path` may be "". */
bool map_check(struct loading *l, const struct node *map, const char *path, const struct names *names);

/* --- conf_file.c: files and paths */

/* All of a file. NULL data: *error is errno (EFBIG: over `ceiling`). Free with secret_free(). */
struct slice conf_read_file(struct loading *l, const char *path, size_t ceiling, int *error);
const char *conf_read_error(int error);
void secret_free(struct slice s); /* wipes first */
/* Writable by group or others: a fault. Readable, where `secret`: a warning. */
bool file_check_mode(struct loading *l, const char *path, bool secret, const struct node *at, const char *key);
/* A path as written in `file`: ~/ is the home directory, a relative one starts at the file's folder. */
const char *path_resolve(struct loading *l, const char *path, const char *file);
const char *path_home(struct loading *l, const char *path); /* ~/ only */
/* The text of a secret's file without its last line end. NULL and a fault where it cannot be read or is empty. */
const char *secret_read(struct loading *l, const char *path, const struct node *at, const char *key);
const char *conf_getenv(const struct loading *l, const char *name); /* NULL where sealed */

/* --- conf_yaml.c */

/* Parses YAML; a map, or NULL and a fault. Does not follow include:. */
struct node *yaml_parse(struct loading *l, struct slice text, const char *file);
/* As above for a file, includes followed and merged. */
struct node *yaml_load(struct loading *l, const char *path);
struct node *yaml_include(struct loading *l, struct node *root, const char *file, int depth);

/* --- conf_table.c: typed values */

enum { RELOAD = 1, SECRET = 2 };
enum setting_type { SETTING_TEXT, SETTING_INT, SETTING_BOOL, SETTING_TIME, SETTING_SIZE, SETTING_LIST, SETTING_CHOICE };
struct setting {
	const char *section, *key;
	enum setting_type type;
	const char *def, *min, *max; /* as the table spells them, quotes included */
	unsigned flags;
	const char *doc;
	size_t offset; /* of the member in struct conf (struct limits, struct policy) */
};
extern const struct setting settings[];
extern const size_t settings_n;
extern const struct setting limit_settings[];
extern const size_t limit_settings_n;
extern const struct setting confirm_setting; /* of a policy; its member is in struct policy */

/* Reads `value` into the member of `base`. False and a fault that names the bounds otherwise. */
bool setting_set(struct loading *l, const struct setting *s, void *base, const struct node *value, const char *path);
void setting_default(struct loading *l, const struct setting *s, void *base);
/* The n-th of "a|b|c", quotes around it or not; an absent slice past the end. */
struct slice choice_name(const char *choices, int n);
struct slice unquoted(const char *literal);
bool text_write(struct buf *b, const char *text); /* conf_write.c: in double quotes */
bool time_write(struct buf *b, int64_t usec);
bool size_write(struct buf *b, int64_t bytes);
/* A list of scalars, or one scalar. NULL texts.v and n 0 for an empty one. */
bool texts_read(struct loading *l, const struct node *value, const char *path, size_t max, struct texts *out);
bool scalar_check(struct loading *l, const struct node *value, const char *path, const char *what);

/* --- conf_lists.c */

/* A name of a policy, profile or connection. */
bool name_check(struct loading *l, const struct node *at, const char *name, const char *path);
void limits_read(struct loading *l, const struct node *map);
/* Policies before their connections are known; *connections gets one name (or node NULL) for each. */
void policies_read(struct loading *l, const struct node *list, const struct node ***connections);
/* An identifier as Snowflake stores it: unquoted in upper case, "quoted" as it is. NULL and a fault otherwise. */
const char *ident_fold(struct loading *l, const struct node *value, const char *path, bool strict);
bool ident_write(struct buf *b, const char *name); /* the reverse, as a YAML scalar */
extern const char *const statement_names[6];
extern const char *const toolset_names[5];

/* --- conf_cortex.c: the services of the section cortex */

void cortex_read(struct loading *l, const struct node *section);
/* Once connections and policies are read: a fault for a connection that is not there, a warning for an agent that no
 * policy names. */
void cortex_check(struct loading *l, const struct node *section);
/* A fault for each name that is no service's. */
void cortex_names_check(struct loading *l, const struct node *value, const char *path, struct texts names);
bool cortex_write(struct buf *b, const struct conf *conf);
/* As conf_import(), of bytes in memory; conf_import.c. */
bool conf_import_bytes(struct slice yaml, struct buf *out, struct conf_faults *faults) MUST_USE;
extern const char *const cortex_lists[CORTEX_KINDS_N]; /* the section's keys */

/* --- connections.c: where they come from; connection.c: one of them */

/* Where connections come from: a map of maps, field names canonical. */
struct sources {
	struct node *map;             /* NULL: there is none */
	bool own;                     /* inline; else Snowflake's files and environment */
	const char *chosen;           /* the default's name; NULL: none */
	const struct node *chosen_at; /* where snowflake.connection names it; NULL: chosen by rule */
};
struct sources sources_read(struct loading *l, const struct node *snowflake);
/* Builds one; false and faults where it cannot be used. */
bool connection_read(struct loading *l, const struct node *map, bool own, struct connection *out);
/* As the value of its name under snowflake.connections, secrets masked. */
void connection_write(struct buf *b, const struct connection *c);
extern const char connection_sample[]; /* documentation of the section, commented out */
void connection_wipe(const struct connection *c);

/* --- connection_fields.c: the table of fields */

const char *field_canonical(const char *name); /* private_key_path -> private_key_file; NULL: unknown */
const char *field_spelling(size_t n);          /* the n-th name or alias; NULL past the end */
const char *field_rival(const char *field);    /* the one that it displaces; NULL: none */
bool field_is_secret(const char *canonical);
void field_names(struct names *names);
/* Whether a secret is written below in so many words (not by ${VAR}). */
bool node_holds_secret(const struct node *n);

/* --- connections_env.c: connections out of the environment */

#define CONF_ENVIRONMENT "environment" /* the `file` of what came from there */
#define SPCS_TOKEN_FILE  "/snowflake/session/token"
/* SNOWSQL_*, SNOWFLAKE_<KEY> over the default connection, SNOWFLAKE_CONNECTIONS_<NAME>_<KEY> over any. */
void connections_overlay(struct loading *l, struct node *map, const char *chosen);
/* Within Snowpark Container Services (B.5) the platform tells account, host and token; nobody configures anything. */
void connections_spcs(struct loading *l, struct node *map, const char *chosen, const char *token_file);

/* --- conf_check.c: what only the whole can tell */

void conf_check(struct loading *l, const struct node *root);

/* As conf_load(), of bytes in memory: no environment, and a fault for each file that is named. */
const struct conf *conf_load_bytes(struct slice yaml, struct conf_faults *faults);

#endif
