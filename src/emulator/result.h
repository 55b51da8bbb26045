/* result.h
 *
 * A result as it is kept: rows already written as JSON and cut into partitions, all but the first compressed. Source:
 * snowflake-rest A.4, A.8.
 *
 * Made by one thread (a worker, or the HTTP thread with --stub), then given to the HTTP thread, which counts the
 * references.
 */
#ifndef SNOWGATE_EMULATOR_RESULT_H
#define SNOWGATE_EMULATOR_RESULT_H

#include "engine.h"
#include "snowgate/base.h"

struct partition {
	char *bytes; /* the first: [[...],...]; the others: gzip of {"data":[[...],...]}, or of [[...],...] */
	size_t n, uncompressed;
	size_t rows;
};

struct result {
	unsigned references;
	char *metadata;               /* the JSON object resultSetMetaData */
	struct partition *partitions; /* at least one */
	size_t partitions_n;
	bool has_stats;
	int64_t inserted, updated, deleted, duplicates;
	size_t bytes; /* memory held */
};

struct result_options {
	size_t partition_bytes; /* a partition is closed by the row that reaches this */
	bool null_is_text;
	bool bare; /* later partitions are bare arrays: the other shape that has been seen */
};

/* Cuts rows as they come: open, any number of adds with the same columns, close. Memory: the partitions, and the text
 * of the one that grows. */
struct cutter;
struct cutter *cutter_open(const struct result_options *options);
void cutter_add(struct cutter *cutter, const struct engine_result *rows);
/* Ends the cutter. `rows` has the columns and the counters; its cells are added. NULL when a partition would pass 1
 * GiB. */
struct result *cutter_close(struct cutter *cutter, const struct engine_result *rows);
void cutter_drop(struct cutter *cutter); /* instead of cutter_close() */

/* One reference, the caller's. The engine's result stays the caller's. NULL when a partition would pass 1 GiB. */
struct result *result_cut(const struct engine_result *rows, const struct result_options *options);
struct result *result_share(struct result *result);
void result_release(struct result *result); /* NULL is fine */

/* The compression above and its opposite, free()d by the caller. `ceiling` bounds the text, NULL when it is larger. */
char *text_gzip(const char *text, size_t n, size_t *out_n);
char *text_gunzip(const char *packed, size_t n, size_t ceiling, size_t *out_n);

#endif
