/* rewrite.h
 *
 * One Snowflake statement becomes a plan: DuckDB SQL to run, objects that must exist, and how the outcome is to be
 * worded. Pure: no database, no clock; the engine checks and runs the plan. Bad input gives PLAN_ERROR with
 * Snowflake's code; what has no equivalent gives 000002 "Unsupported feature".
 */
#ifndef SNOWGATE_EMULATOR_REWRITE_H
#define SNOWGATE_EMULATOR_REWRITE_H

#include <stdbool.h>
#include <stdint.h>
#include "engine.h"
#include "snowgate/buf.h"

#define PLAN_NAME_MAX      256 /* Snowflake's limit is 255 characters */
#define PLAN_OBJECTS_MAX   64
#define PLAN_FUNCTIONS_MAX 64
#define PLAN_SQL_MAX       ((size_t)16 << 20)

enum plan_kind {
	PLAN_ERROR,
	PLAN_QUERY, /* rows of `sql` */
	PLAN_INSERT,
	PLAN_UPDATE,
	PLAN_DELETE,
	PLAN_MERGE,
	PLAN_MESSAGE, /* run everything, answer the one row `message` */
	PLAN_EXPLAIN, /* `sql` is compiled and not run */
	PLAN_USE
};

enum plan_object_kind { PLAN_TABLE, PLAN_VIEW, PLAN_SCHEMA, PLAN_DATABASE, PLAN_SEQUENCE };

/* A name that the statement uses and that must exist (schema and name may be empty for wider kinds). */
struct plan_object {
	enum plan_object_kind kind;
	char database[PLAN_NAME_MAX], schema[PLAN_NAME_MAX], name[PLAN_NAME_MAX];
	char shown[3 * PLAN_NAME_MAX]; /* as the statement spells it, for the error */
	bool optional;                 /* IF EXISTS: absence ends the statement quietly */
};

enum plan_use { PLAN_USE_DATABASE, PLAN_USE_SCHEMA, PLAN_USE_WAREHOUSE, PLAN_USE_ROLE, PLAN_USE_NOTHING };

struct failure {
	char code[8], sqlstate[8];
	char message[2048];
};

struct plan {
	enum plan_kind kind;
	struct buf before, sql, after; /* before and after: any number of statements */
	char message[4 * PLAN_NAME_MAX];
	struct plan_object objects[PLAN_OBJECTS_MAX];
	size_t objects_n;
	char functions[PLAN_FUNCTIONS_MAX][PLAN_NAME_MAX]; /* called, not built in: must be the user's own */
	size_t functions_n;
	struct plan_object created; /* CREATE: what must not exist yet */
	bool creates, if_not_exists;
	bool derives;                         /* CREATE ... AS SELECT: the columns' types follow from the query */
	bool writes;                          /* needs a role that may write */
	char write_target[3 * PLAN_NAME_MAX]; /* "table 'T'", for 003001 */
	int64_t wait_ms;                      /* SYSTEM$WAIT */
	enum plan_use use;
	char use_database[PLAN_NAME_MAX], use_name[PLAN_NAME_MAX];
	struct failure failure;
};

/* Fills `plan`, which the caller allocates (it is large) and ends with plan_free(). */
void rewrite_statement(const struct engine_statement *statement, struct plan *plan);
void plan_free(struct plan *plan);
/* Records the first failure of a plan and makes it PLAN_ERROR. Later failures are ignored. */
void plan_fail(struct plan *plan, const char *code, const char *sqlstate, const char *format, ...) PRINTF_LIKE(4, 5);
void plan_unsupported(struct plan *plan, const char *feature);

#endif
