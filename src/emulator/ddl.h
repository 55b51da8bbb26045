/* ddl.h
 *
 * What the files of CREATE, ALTER, DROP, TRUNCATE and COMMENT share: the state of one statement, and what Snowflake
 * remembers of an object that DuckDB does not.
 */
#ifndef SNOWGATE_EMULATOR_DDL_H
#define SNOWGATE_EMULATOR_DDL_H

#include "rewriter.h"

#define META "\"_SF\".main."

struct ddl {
	struct rewriter *r;
	struct plan *plan;
	struct token *t;
	bool replace, temporary, if_exists, if_not_exists;
	int kind; /* the token that says TABLE, VIEW, ... */
	struct name name;
	int at; /* behind the name */
	struct plan_object object;
	char comment[1024];
};

/* Settings of a table that may be given and change nothing here. */
#define PROPERTIES                                                                                                     \
	"|COMMENT|CLUSTER|DATA_RETENTION_TIME_IN_DAYS|MAX_DATA_EXTENSION_TIME_IN_DAYS|CHANGE_TRACKING|"                \
	"ENABLE_SCHEMA_EVOLUTION|DEFAULT_DDL_COLLATION|"

/* ddl.c */
void PRINTF_LIKE(2, 3) ddl_say(struct ddl *d, const char *format, ...);
const char *last_part(const struct ddl *d);
void add_meta_key(struct buf *out, const struct plan_object *o, const char *name_column);
void forget_object(struct buf *out, const struct plan_object *o);
void add_meta_name(struct buf *out, const struct plan_object *o);
void remember_object(struct ddl *d, const char *kind, const char *body);
int skip_property(struct ddl *d, int i);
void require_writer(struct ddl *d, const char *what, const char *name);

/* ddl_columns.c */
struct column {
	char name[PLAN_NAME_MAX];
	struct type_text type;
	char comment[512];
	bool primary, unique;
};
void remember_column(struct ddl *d, const struct column *c);
void emit_column(struct ddl *d, int from, int to, struct buf *out);
void mark_key(struct ddl *d, int from, int to);
void emit_columns(struct ddl *d, int open, struct buf *out);

/* ddl_create.c */
void rewrite_create(struct ddl *d);

/* ddl_alter.c */
void comment_object(struct ddl *d, int value);
void rewrite_alter(struct ddl *d);

#endif
