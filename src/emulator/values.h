/* values.h
 *
 * DuckDB's vectors as Snowflake's SQL API shows them (jsonv2, snowflake-rest A.8) and as rowType describes them.
 */
#ifndef SNOWGATE_EMULATOR_VALUES_H
#define SNOWGATE_EMULATOR_VALUES_H

#include "duckdb_api.h"
#include "engine.h"

/* Describes column `i` of a result. The caller frees the column's texts. */
void describe_column(duckdb_result *result, idx_t i, struct engine_column *column);

/* The value of one row as an owned text; NULL for SQL NULL. */
char *cell_text(duckdb_vector vector, duckdb_logical_type type, idx_t row);

#endif
