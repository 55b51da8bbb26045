/* errors.h
 *
 * DuckDB's errors in Snowflake's words and codes (snowflake-rest A.6).
 */
#ifndef SNOWGATE_EMULATOR_ERRORS_H
#define SNOWGATE_EMULATOR_ERRORS_H

#include "duckdb_api.h"
#include "rewrite.h"

/* `text` is the statement as the user wrote it, for positions. Messages never show rewritten SQL. */
void translate_error(duckdb_error_type type, const char *message, const char *text, struct failure *failure);
void set_failure(struct failure *failure, const char *code, const char *sqlstate, const char *format, ...)
    PRINTF_LIKE(4, 5);

#endif
