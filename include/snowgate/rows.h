/* rows.h
 *
 * Snowflake's cells ("jsonv2": text or null, snowflake-rest.md A.8) turned into what a reader wants: CSV or JSON,
 * within a budget of rows and bytes, types decided per column and never per value. Pure.
 *
 * What a column's values are as JSON follows from its declared type alone:
 *
 *   fixed, scale 0, precision <= 15    numbers (doubles keep them)
 *   fixed, any other                   strings with the digits that came
 *   real                               numbers; a leading + or a bare point is put right (+1, .5, 1.)
 *   boolean                            true, false
 *   date, time, timestamp_*            strings, ISO 8601, decoded from the epoch forms; timestamp_ltz in UTC ("Z"),
 *                                      timestamp_tz with its offset
 *   text, binary, decfloat, intervals  strings as they came (binary: hex, or base64 where it was asked for)
 *   what is not known                  strings as they came
 *   variant, object, array, map,       the JSON that the text is, white space outside its strings removed; text that is
 *   vector, geography, geometry        none (XML of PARSE_XML, WKT, more than 256 levels): strings
 *   NULL                               null
 *
 * JSON has no NaN, no infinities and no `undefined` (which Snowflake prints for holes in an array): they become null,
 * as ECMAScript's JSON.stringify() has it. A string there would give one column two types, a number like 1e999 is
 * refused by many readers, and to make all numbers of all FLOAT columns strings for their sake would cost everybody
 * else. rows_writer.nulled counts such cells, so that the answer can say so; CSV has the words as they came.
 *
 * CSV shows the same text without the quotes; numbers as they came; NULL is an empty field, an empty string "".
 *
 * What a column's type does not allow (letters in a FIXED column, more digits than its precision) does not come from
 * Snowflake; it is shown as a string rather than hidden, and so is a cell that is cut.
 *
 * Epoch forms and formatted text look alike for some formats (a DATE that came as "2020"): columns_formatted() says
 * which columns are text already. Where nobody says so, text that is of the epoch form is taken for one, other text
 * passes as it is. Fractions of seconds keep their digits in groups of three: none, .123, .123456 or .123456789,
 * whichever loses nothing (readers of ISO 8601 know these). An epoch before 1970 is one decimal number: -0.5 is
 * 23:59:59.500. Years outside 0000...9999 and numbers with leading zeros are not taken for epochs.
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
	bool formatted;       /* an output format was asked for: its dates and times are text already */
	const char *key;      /* as a member of an object, "NAME": with its colon; NULL: made of the name */
};

/* Reads resultSetMetaData.rowType. A name that comes twice gets a key with "_2", "_3". Texts are copied to `a`.
 * ERR_UPSTREAM_ANSWER where the shape is wrong. */
int columns_read(struct arena *a, const json_t *row_type, struct column **columns, size_t *n) MUST_USE;

/* Marks the columns whose *_OUTPUT_FORMAT is among the parameters that went with the statement (names in either case;
 * NULL is none; AUTO is no format). Without it a date that came as "2020" is 2020 days. */
void columns_formatted(struct column *columns, size_t n, const json_t *parameters);

/* One cell as it came: UTF-8 without a NUL at its end, `text` NULL for SQL NULL. Of a long one only the first `n` bytes
 * may be here; `whole` is how many it has. */
struct cell {
	const char *text;
	size_t n, whole;
};

/* Small results that are read by row and column, kept whole. Texts end with a NUL. */
struct cells;
/* Lives in the arena; at most `ceiling` bytes. NULL where the arena is full. */
struct cells *cells_new(struct arena *a, size_t columns_n, size_t ceiling);
/* A missing cell is NULL; cells beyond the columns are left out. False (and nothing kept) above the ceiling. */
bool cells_add(struct cells *c, const struct cell *row, size_t n) MUST_USE;
size_t cells_rows(const struct cells *c);                               /* NULL: 0 */
struct cell cells_at(const struct cells *c, size_t row, size_t column); /* NULL cell where there is none */

/* JSONL: an object per row, under the columns' names (a name that comes twice gets "_2", "_3"), and a line break. */
enum rows_format { ROWS_CSV, ROWS_JSON, ROWS_JSONL };
struct rows_budget {
	size_t rows, bytes, cell;
};

/* Why the last row was the last. */
enum rows_cut { CUT_NONE, CUT_ROWS, CUT_BYTES };

/* An export has no budget: SIZE_MAX for all three, and `out` is emptied between rows, see rows_drained(). So that no
 * cell is cut, its ceiling is six times (CSV: twice) what the reader keeps of a row, 64 bytes per column, and the keys.
 *
 * Writes rows one by one. CSV: header line first (RFC 4180, LF, quotes where needed; a text that a spreadsheet would
 * run as a formula is left alone: the reader is a program). JSON: appends [..],[..] without the outer brackets. Cells
 * longer than budget.cell are cut at a character boundary and marked with "… (N more bytes)"; so are those of which the
 * reader kept only a part (cell.n < cell.whole). */
struct rows_writer {
	enum rows_format format;
	const struct column *columns;
	size_t columns_n;
	struct rows_budget budget;
	struct buf *out;
	size_t start; /* out->n at rows_begin() or rows_drained(): budget.bytes counts from here, CSV header included */
	size_t keys;  /* bytes that the keys of a row of JSONL take at most */
	size_t row;   /* out->n at the begin of the last row */
	size_t rows;  /* written */
	size_t cells_cut;
	size_t nulled; /* cells with NaN, an infinity or `undefined`, which became null in JSON */
	enum rows_cut cut;
};
void rows_begin(struct rows_writer *w, enum rows_format format, const struct column *columns, size_t n,
		struct rows_budget budget, struct buf *out);
/* False when the row did not fit: w->cut says why and nothing of the row was written. The first row always fits into
 * the budget of bytes; its cells are cut shorter where out's own ceiling is nearer, and only a ceiling too small for
 * the marks makes it fail (buf_failed(out), cut CUT_BYTES). A missing cell is NULL; cells beyond the columns are left
 * out. */
bool rows_add(struct rows_writer *w, const struct cell *row, size_t n);
/* The caller has emptied `out` between rows, as an export does: budget.bytes counts anew, a row that did not fit for
 * its bytes may be added again, and it fits then as the first one does. */
void rows_drained(struct rows_writer *w);
/* One cell as JSON value text or CSV field text: for tests and for messages. */
bool rows_cell(struct buf *out, enum rows_format format, const struct column *column, const char *text, size_t n);
/* Appends the columns as JSON: [{"name","type","nullable","precision"?,"scale"?}]. */
bool columns_write(struct buf *out, const struct column *columns, size_t n);

#endif
