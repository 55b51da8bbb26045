/* split.h
 *
 * Where the statements of a text end: at semicolons outside of strings, quoted names, $$ bodies, comments, and
 * Snowflake Scripting blocks (a statement that opens with DECLARE, or with BEGIN that does not begin a transaction,
 * takes all the rest). Pure.
 */
#ifndef SNOWGATE_EMULATOR_SPLIT_H
#define SNOWGATE_EMULATOR_SPLIT_H

#include "snowgate/base.h"

/* The statements of `sql`, without semicolons, empty ones left out. The caller frees each and the array. *n may be 0;
 * the array is then NULL. */
char **sql_split(const char *sql, size_t *n);

#endif
