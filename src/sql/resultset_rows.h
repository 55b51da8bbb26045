/* resultset_rows.h
 *
 * The array of rows within a ResultSet, as bytes come. Private to src/sql.
 */
#ifndef SNOWGATE_SQL_RESULTSET_ROWS_H
#define SNOWGATE_SQL_RESULTSET_ROWS_H

#include "snowgate/rows.h"

/* What comes next. */
enum reader_at {
	AT_FIRST_ROW, /* behind the [ of the rows */
	AT_ROW,       /* behind a comma between rows */
	AT_ROW_END,   /* behind a row */
	AT_FIRST_CELL,
	AT_CELL,
	AT_CELL_END,
	AT_STRING, /* within a cell, as the next three */
	AT_ESCAPE, /* behind a backslash */
	AT_HEX,    /* within the four digits of \u */
	AT_VALUE   /* a cell that is no string */
};
enum reader_step { STEP_MORE, STEP_ROW, STEP_END, STEP_BAD };

struct row_reader {
	enum reader_at at;
	size_t keep; /* of a cell */
	size_t rows;
	struct cell *cells;
	size_t cells_n, cells_room;
	size_t saved; /* so many of them are not in the input any more */
	size_t kept;  /* bytes of this row's cells, wherever they are */
	char *text;   /* cells that are not in the input as they are, or not in this input any more */
	size_t text_n, text_room;
	/* the cell at hand */
	size_t start, whole; /* in `text`; bytes that it has, kept or not */
	bool full;           /* what comes now is counted only */
	char broken[4];      /* the begin of a character, at the end of the last input */
	size_t broken_n;
	int digits;          /* of \u, to come */
	uint32_t code, high; /* of \u; a high surrogate that waits for its low one, or 0 */
	size_t depth;        /* of AT_VALUE */
	bool in_string, behind_backslash;
};

void row_reader_free(struct row_reader *r);
/* Reads rows, and takes what it has read off *in. STEP_ROW: r->cells until the next call. STEP_END: the ] of the rows
 * is read. Cells may point into the input. */
enum reader_step row_reader_next(struct row_reader *r, struct slice *in);

#endif
