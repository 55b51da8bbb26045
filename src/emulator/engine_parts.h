/* engine_parts.h
 *
 * What the files of the engine share: the database, one run, and the queries that the engine makes for itself.
 */
#ifndef SNOWGATE_EMULATOR_ENGINE_PARTS_H
#define SNOWGATE_EMULATOR_ENGINE_PARTS_H

#include <pthread.h>
#include <stdatomic.h>
#include "duckdb_api.h"
#include "engine.h"
#include "errors.h"
#include "rewrite.h"

struct engine {
	duckdb_database database;
	char *file_dir;          /* NULL: in memory */
	pthread_mutex_t writing; /* one writer at a time; DuckDB would fail the second instead of waiting */
	atomic_bool mixed_case;  /* some name in the catalog has lower-case letters */
};

/* connection is NULL until the run has one; changed and interrupted under the lock only. */
struct engine_job {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool cancelled;
	duckdb_connection connection;
};

struct session_value {
	char *name, *value;
};

/* A temporary table, as the statement spells it, and the context in which that holds. */
struct session_table {
	char *name, *role, *database, *schema;
};

/* `variables` hold SQL literals, `parameters` plain texts; names in upper case. */
struct engine_session {
	struct engine *engine;
	duckdb_connection connection;
	bool in_transaction, is_writer; /* holds engine->writing until the transaction ends */
	struct session_value *variables, *parameters;
	size_t variables_n, parameters_n;
	struct session_table *tables;
	size_t tables_n;
};

/* One statement on its way. */
struct run {
	struct engine *engine;
	struct engine_job *job;
	struct engine_session *session; /* NULL: none that outlives the statement */
	duckdb_connection connection;
	const struct engine_statement *statement;
	struct engine_context context; /* as it holds: what does not exist is not set */
	struct plan *plan;
	size_t max_rows;
	struct engine_result *result;
};

/* engine.c */
bool engine_attach(struct engine *engine, duckdb_connection connection, const char *name, struct failure *failure);
void engine_forget_file(struct engine *engine, const char *name);

/* query.c: our own questions. `sql` has one ? per argument. */
bool ask(duckdb_connection connection, const char *sql, const char *const *arguments, size_t n, int64_t *number);
bool run_all(duckdb_connection connection, const char *sql, char *why, size_t size);
void run_failed(struct run *run, duckdb_result *result); /* translates, ends the result */

/* bindings.c: false and the failure set where a value does not fit its type. */
bool bind_all(struct run *run, duckdb_prepared_statement prepared);

/* checks.c: what must hold before the plan runs. False: the result says why. */
bool objects_exist(struct run *run);
bool role_may_write(struct run *run);
bool functions_exist(struct run *run);
bool case_is_exact(struct run *run);
bool is_mixed_case(const char *name);

/* execute.c: rewrites and runs `text` in the context of `run`; the result is its own. */
void run_text(struct run *run, const char *text, struct engine_result *result);

/* scope.c: what holds for the rest of a request */
bool session_enter(struct run *run, struct engine_statement *statement, char **text); /* false: answered */
bool session_takes(struct run *run, const char *text); /* BEGIN, COMMIT, SET ...: true when it is answered */
void session_keeps(struct run *run, const char *text); /* after ALTER SESSION succeeded */
bool session_commits(struct run *run);                 /* before DDL: false and answered when it cannot */
void writer_enters(struct run *run);
void writer_leaves(struct run *run);

/* derive.c: digits, lengths, NOT NULL, OBJECT and ARRAY of the described columns of a query. */
void derive_columns(struct run *run, struct engine_result *result);
/* After CREATE TABLE or VIEW ... AS SELECT: remembers what DuckDB's catalog does not say of the new columns. */
void derive_created(struct run *run);

/* semantic_query.c: the text with every SEMANTIC_VIEW(...) as a subquery; NULL where it has none, or where *ok is false
 * and the failure is answered. */
char *expand_semantic_views(struct run *run, const char *text, bool *ok);

/* explain.c */
void answer_plan(struct run *run);

/* temporary.c: true and *out, to be freed, the statement without TEMPORARY when it creates such a table. */
bool temporary_takes(struct run *run, const char *sql, char **out);
void temporary_drop(struct engine_session *session);

/* outcome.c */
void take_rows(struct run *run, duckdb_result *result);
void answer_counts(struct run *run, duckdb_result *result);
void answer_message(struct run *run, const char *message);
void answer_column(struct engine_result *result, const char *name, const char *type, int precision, int scale,
		   int64_t length);
char **answer_row(struct engine_result *result, size_t *capacity); /* one more, all NULL; capacity starts at 0 */
void answer_failure(struct run *run, const struct failure *failure);

#endif
