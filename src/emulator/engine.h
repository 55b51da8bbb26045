/* engine.h
 *
 * The emulator's SQL engine: Snowflake's dialect over DuckDB. One engine per process; one call of engine_run() per
 * statement, each on a database connection of its own, from any thread.
 *
 * Text that reaches engine_run() is Snowflake SQL. It is rewritten token by token, run, and its rows come back in
 * the encodings of the SQL API ("jsonv2", snowflake-rest A.8): every cell is text or NULL. What the engine cannot
 * run ends in an error of Snowflake's own kind, never in a wrong answer.
 */
#ifndef SNOWGATE_EMULATOR_ENGINE_H
#define SNOWGATE_EMULATOR_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine;
struct engine_job;

/* How to open: `data_dir` is the only directory that SQL may read or write (stages); NULL means none.
 * `database_file_dir` keeps databases as files there; NULL keeps everything in memory. */
struct engine_options {
	const char *data_dir;
	const char *database_file_dir;
	bool sample_data;    /* create SNOWFLAKE_SAMPLE_DATA.TPCH_SF1 and the writable DEMO database */
	double sample_scale; /* 0.01 = 60 000 rows of LINEITEM */
};

/* The context of one statement, spelled as Snowflake stores it (upper case unless quoted). NULL: not set. */
struct engine_context {
	const char *user, *role, *warehouse, *database, *schema;
	const char *timezone; /* session parameter; NULL means America/Los_Angeles, Snowflake's default */
	const char *granted;  /* the user's roles, "A,B"; NULL: every role that there is */
};

/* One positional binding, type as on the wire ("FIXED", "TEXT", ...; snowflake-rest A.3). value NULL is SQL NULL. */
struct engine_binding {
	const char *type, *value;
};

/* What the statements of one request share: transaction, session variables, session parameters. One thread at a time.
 */
struct engine_session;

/* Takes rows as they come, so that a large result is never whole in memory. `part` has the columns, and the cells of
 * `rows_n` further rows, which are freed after the call. */
struct engine_result;
struct engine_sink {
	void (*rows)(struct engine_sink *sink, const struct engine_result *part);
};

struct engine_statement {
	const char *text;
	struct engine_context context;
	const struct engine_binding *bindings;
	size_t bindings_n;
	struct engine_session *session; /* NULL: one of its own, which ends with the statement */
	struct engine_sink *sink;       /* NULL: all rows are in the result */
};

/* A column as rowType shows it. type is lower case: fixed real text boolean date time timestamp_ntz timestamp_ltz
 * timestamp_tz binary variant object array. precision, scale, length, byte_length are -1 where they do not apply. */
struct engine_column {
	char *name, *type;
	int precision, scale;
	int64_t length, byte_length;
	bool nullable;
};

/* The outcome of one statement. Owned by the caller, who ends it with engine_result_free().
 * code[0] == 0 means success: columns and cells are valid, cells are row-major, rows_n * columns_n, NULL = SQL NULL.
 * With a sink, cells are only those rows that it has not been given, `sunk` counts the others.
 * Otherwise code ("002003"), sqlstate ("42S02") and message are Snowflake's. */
struct engine_result {
	struct engine_column *columns;
	size_t columns_n;
	char **cells;
	size_t rows_n, sunk;
	bool has_stats; /* DML: the four counters of `stats` */
	int64_t inserted, updated, deleted, duplicates;
	char code[8], sqlstate[8];
	char *message;
	/* For statements that change the session (USE ...): the new value; the SQL API forgets it after the request. */
	char *use_database, *use_schema, *use_warehouse, *use_role;
};

/* Opens the engine. Returns NULL and fills `why` (at most `size` bytes) where it cannot. */
struct engine *engine_open(const struct engine_options *options, char *why, size_t size);
void engine_close(struct engine *engine);

/* A job names one running statement so that another thread can interrupt it. engine_cancel() may come before, during
 * or after engine_run(); a job cancelled before it starts does not execute. The caller frees the job after the run. */
struct engine_job *engine_job_new(void);
void engine_job_free(struct engine_job *job);
void engine_cancel(struct engine_job *job);

/* A session whose effects end with engine_session_free(); an open transaction is rolled back. */
struct engine_session *engine_session_new(struct engine *engine);
void engine_session_free(struct engine_session *session); /* NULL is fine */

/* Runs one statement to its end and fills *result (always; an error is a result). Blocking. Rows beyond `max_rows`
 * (0 = no cap) are not fetched: the ROWS_PER_RESULTSET parameter. */
void engine_run(struct engine *engine, struct engine_job *job, const struct engine_statement *statement,
		size_t max_rows, struct engine_result *result);
void engine_result_free(struct engine_result *result);

/* Names that exist, for the checks a login makes: 391918/391920 of the real service. */
bool engine_has_database(struct engine *engine, const char *name);
bool engine_has_warehouse(struct engine *engine, const char *name);
bool engine_has_role(struct engine *engine, const char *user, const char *name);
/* Whether `name` is in the list "A,B"; NULL is a list of everything. */
bool engine_role_is_granted(const char *granted, const char *name);

#endif
