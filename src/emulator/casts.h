/* casts.h
 *
 * Types that DuckDB lacks and casts in which it differs from Snowflake.
 *
 * _SF_TZ (TIMESTAMP_TZ) is a HUGEINT: nanoseconds of the instant since 1970 times ZONED_STEP plus the offset in minutes
 * plus ZONED_BIAS, so that values order by their instants and keep their offsets and all nine decimals.
 * _SF_DECFLOAT is the text that Snowflake shows: up to 38 digits, plain where they suffice, else scientific.
 */
#ifndef SNOWGATE_EMULATOR_CASTS_H
#define SNOWGATE_EMULATOR_CASTS_H

#include "duckdb_api.h"
#include "snowgate/buf.h"

#define ZONED_TYPE    "_SF_TZ"
#define DECFLOAT_TYPE "_SF_DECFLOAT"
#define ZONED_STEP    4096
#define ZONED_BIAS    1440

typedef __int128 int128;

/* Registers the types and the casts on the database of the connection. */
bool register_casts(duckdb_connection connection);

int128 zoned_pack(int128 nanoseconds, int offset);
int128 zoned_unpack(int128 value, int *offset); /* nanoseconds of the instant */
/* YYYY-MM-DD[ HH:MI[:SS[.fraction]]][ +HH[:]MM | Z]. False when it is no such text. */
bool zoned_parse(const char *text, size_t n, int128 *value);
void zoned_show(struct buf *out, int128 value); /* YYYY-MM-DD HH:MI:SS.nnnnnnnnn +HHMM */
/* False when the text is no number. */
bool decfloat_normalize(const char *text, size_t n, char *out, size_t size);

#endif
