/* epoch.h
 *
 * Snowflake's epoch forms of dates and times (snowflake-rest.md A.8) as ISO 8601 text. Private to src/sql.
 */
#ifndef SNOWGATE_SQL_EPOCH_H
#define SNOWGATE_SQL_EPOCH_H

#include "snowgate/rows.h"

#define EPOCH_TEXT_MAX 40

/* Writes the text of a COLUMN_DATE, _TIME or _TIMESTAMP_* cell, no NUL behind it, and returns its length; 0 where
 * `text` is not of the epoch form, or beyond the years 0000 to 9999. */
size_t epoch_text(enum column_kind kind, const char *text, size_t n, char out[EPOCH_TEXT_MAX]);

#endif
