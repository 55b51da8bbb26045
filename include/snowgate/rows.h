/* rows.h
 *
 * Snowflake's cells ("jsonv2": text or null, snowflake-rest.md A.8) turned into what a reader wants: CSV or JSON,
 * within a budget of rows and bytes, types decided per column and never per value. Pure.
 *
 * fixed with scale 0 and precision <= 15, and real: JSON numbers. Other fixed: strings with the digits that came. date,
 * time and timestamps: ISO 8601, decoded from the epoch forms; text that is already formatted passes as it is.
 * timestamp_ltz is shown in UTC ("Z"). variant, object, array: JSON, white space outside its strings removed; what is
 * not JSON (an `undefined` in it) is a string. binary: hex. boolean: true/false. NULL: null, and an empty field in CSV
 * (an empty string is "" there). Inf and NaN: strings. A number that JSON cannot write is a string; a leading + or a
 * bare point is put right (+1, .5, 1.).
 *
 * Fractions of seconds keep their digits in groups of three: none, .123, .123456 or .123456789, whichever loses nothing
 * (readers of ISO 8601 know these). An epoch before 1970 is one decimal number: -0.5 is 23:59:59.500. Years outside
 * 0000...9999 and numbers with leading zeros are not taken for epochs.
 *
 * Owner of every struct here: its holder; not shared.
 */
#ifndef SNOWGATE_ROWS_H
#define SNOWGATE_ROWS_H

#include "snowgate/json.h"

enum column_kind {
	COLUMN_FIXED,
	COLUMN_REAL,
	COLUMN_TEXT,
	COLUMN_BOOLEAN,
	COLUMN_DATE,
	COLUMN_TIME,
	COLUMN_TIMESTAMP_NTZ,
	COLUMN_TIMESTAMP_LTZ,
	COLUMN_TIMESTAMP_TZ,
	COLUMN_BINARY,
	COLUMN_SEMI,
	COLUMN_OTHER
};
struct column {
	const char *name;
	const char *type; /* as Snowflake said it, upper case: FIXED, TEXT, ... */
	enum column_kind kind;
	bool nullable;
	int precision, scale; /* -1: not given */
};

/* Reads resultSetMetaData.rowType. Texts are copied to `a`. ERR_UPSTREAM_ANSWER where the shape is wrong. */
int columns_read(struct arena *a, const json_t *row_type, struct column **columns, size_t *n) MUST_USE;

enum rows_format { ROWS_CSV, ROWS_JSON };
struct rows_budget {
	size_t rows, bytes, cell;
};

/* Why the last row was the last. */
enum rows_cut { CUT_NONE, CUT_ROWS, CUT_BYTES };

/* Writes rows one by one. CSV: header line first (RFC 4180, LF, quotes where needed; a text that a spreadsheet would
 * run as a formula is left alone: the reader is a program). JSON: appends [..],[..] without the outer brackets. Cells
 * longer than budget.cell are cut at a character boundary and marked with "… (N more bytes)". */
struct rows_writer {
	enum rows_format format;
	const struct column *columns;
	size_t columns_n;
	struct rows_budget budget;
	struct buf *out;
	size_t start; /* out->n at rows_begin(): budget.bytes counts from here, CSV header included */
	size_t rows;  /* written */
	size_t cells_cut;
	enum rows_cut cut;
};
void rows_begin(struct rows_writer *w, enum rows_format format, const struct column *columns, size_t n,
		struct rows_budget budget, struct buf *out);
/* False when the row did not fit: w->cut says why and nothing of the row was written. The first row always fits into
 * the budget of bytes; its cells are cut shorter where out's own ceiling is nearer, and only a ceiling too small for
 * the marks makes it fail (buf_failed(out), cut CUT_BYTES). A missing cell is NULL; cells beyond the columns are left
 * out. */
bool rows_add(struct rows_writer *w, const json_t *row);
/* One cell as JSON value text or CSV field text: for tests and for messages. */
bool rows_cell(struct buf *out, enum rows_format format, const struct column *column, const char *text, size_t n);
/* Appends the columns as JSON: [{"name","type","nullable","precision"?,"scale"?}]. */
bool columns_write(struct buf *out, const struct column *columns, size_t n);

#endif
