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

/* One statement on its way. */
struct run {
	struct engine *engine;
	struct engine_job *job;
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

/* outcome.c */
void take_rows(struct run *run, duckdb_result *result);
void answer_counts(struct run *run, duckdb_result *result);
void answer_message(struct run *run, const char *message);
void answer_plan(struct run *run);
void answer_failure(struct run *run, const struct failure *failure);

#endif
