/* natives.h
 *
 * SQL functions that need Snowflake's types: division of NUMBERs, and date arithmetic that keeps a DATE a DATE.
 */
#ifndef SNOWGATE_EMULATOR_NATIVES_H
#define SNOWGATE_EMULATOR_NATIVES_H

#include "duckdb_api.h"

/* Registers _SF_DIVIDE, _SF_ADD_MONTHS, _SF_ADD_DAYS, _SF_ADD_MICROS on the database of the connection. */
bool register_natives(duckdb_connection connection);

#endif
