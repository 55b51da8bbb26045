/* resultset.h
 *
 * A ResultSet of the SQL API (snowflake-rest.md A.4), read as it comes: bytes in slices of any size, rows out one by
 * one. Nothing is kept but the row at hand and what stands around the rows, so a partition of any size is read in flat
 * memory. Pure. Owner of a reader: whoever holds it; it may be moved between threads, not shared.
 *
 * Both shapes of a later partition are taken: {"data":[...]} and the bare array. Members may come in any order; rows
 * that come before resultSetMetaData wait for it, up to RESULTSET_EARLY_MAX bytes of text.
 *
 * Strict: BAD are JSON that is none (also around the rows: that shows at the end at the latest), `data` or
 * resultSetMetaData twice, rows that are no arrays, anything but white space behind the end, metadata that
 * columns_read() refuses, a first document with only one of data and metadata, a later one without data, and what
 * passes the limits below. A document that ends too early is told MORE for ever: who knows of the end of the bytes
 * knows that it is BAD. A first document with neither data nor metadata is an answer of another kind (QueryStatus,
 * QueryFailureStatus): END, and resultset_head() is NULL.
 *
 * Cells: a string is unescaped; a lone surrogate ("\ud800") and each byte that is not UTF-8 become U+FFFD, so that one
 * broken character does not cost the result; \u0000 is a NUL in it. Other values are taken by their JSON text
 * (checked), null is NULL. What a row is does not depend on where the slices end.
 */
#ifndef SNOWGATE_RESULTSET_H
#define SNOWGATE_RESULTSET_H

#include "snowgate/rows.h"

#define RESULTSET_EARLY_MAX ((size_t)4 << 20)
/* Of everything but `data`: names and types of columns, partitions, texts. */
#define RESULTSET_AROUND_MAX ((size_t)8 << 20)
/* Text kept of one row's cells; what is beyond is counted, as beyond `keep`. */
#define RESULTSET_ROW_MAX ((size_t)32 << 20)
/* A cell that is no string, as its JSON text. */
#define RESULTSET_VALUE_MAX ((size_t)1 << 20)
#define RESULTSET_CELLS_MAX ((size_t)1 << 16) /* of one row */

enum resultset_event {
	RESULTSET_MORE, /* all of the input is used up, and it does not end here */
	RESULTSET_HEAD, /* resultSetMetaData is known; once, before the first row; never of a later partition */
	RESULTSET_ROW,  /* resultset_row() */
	RESULTSET_END,  /* the document is complete; nothing but white space may follow */
	RESULTSET_BAD   /* it is none; for good */
};

struct resultset_head {
	struct column *columns;
	size_t columns_n;
	int64_t total_rows;     /* numRows; -1: not given */
	size_t *partition_rows; /* rowCount of each; NULL: not given */
	size_t partitions_n;
};
/* What else the document said; texts are NULL where it did not. */
struct resultset_tail {
	const char *code, *sqlstate, *message, *handle;
	const char *const *children; /* statementHandles of a multi-statement request */
	size_t children_n;
	bool has_stats;
	int64_t inserted, updated, deleted, duplicates;
};

struct resultset;
/* `first`: partition 0, with its metadata. Of each cell at most `keep` bytes are kept, whole characters; the rest is
 * counted (cell.whole). White space within VARIANTs goes when they are written: `keep` should be a few times what a
 * cell may take there. */
struct resultset *resultset_new(bool first, size_t keep);
void resultset_free(struct resultset *r); /* NULL is fine */
/* Reads on, and takes what it has read off *in; to be called until MORE, END or BAD. The row may point into the input:
 * whoever keeps a slice's bytes only until the next slice does right. END comes again while white space follows. */
enum resultset_event resultset_next(struct resultset *r, struct slice *in);
/* The row of the last RESULTSET_ROW; valid until the next resultset_next(). */
const struct cell *resultset_row(const struct resultset *r, size_t *n);
size_t resultset_rows(const struct resultset *r); /* told so far */
size_t resultset_held(const struct resultset *r); /* bytes of text kept: of the row at hand and around the rows */
/* Both belong to the reader, texts and columns included, and go with it. */
const struct resultset_head *resultset_head(const struct resultset *r); /* NULL before RESULTSET_HEAD */
const struct resultset_tail *resultset_tail(const struct resultset *r); /* whole after RESULTSET_END */

#endif
