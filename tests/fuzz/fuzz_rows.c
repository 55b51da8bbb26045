/* Any bytes as a cell of any kind: JSON output is one JSON value, CSV output is one field, and rows keep their budget.
 */
#include <stdlib.h>
#include <string.h>

#include "snowgate/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Quoted as a whole, or without any sign that needs quotes. */
static void check_csv(struct slice field)
{
	size_t i = 0;

	if (field.n == 0 || field.data[0] != '"') {
		for (; i < field.n; i++)
			must(!strchr(",\"\r\n", field.data[i]) || field.data[i] == '\0');
		return;
	}
	for (i = 1; i + 1 < field.n; i++)
		if (field.data[i] == '"')
			must(field.data[++i] == '"' && i + 1 < field.n);
	must(field.n >= 2 && field.data[field.n - 1] == '"');
}

static void check_cell(enum column_kind kind, struct slice text)
{
	struct column column = {"C", "T", kind, true, 10, 0, false, NULL};
	struct buf b = buf_with_ceiling(1 << 24);

	must(rows_cell(&b, ROWS_CSV, &column, text.data, text.n));
	check_csv(buf_slice(&b));
	buf_clear(&b);
	must(rows_cell(&b, ROWS_JSON, &column, text.data, text.n));
	if (!memchr(text.data, '\0', text.n)) {
		json_t *value = NULL;
		enum json_verdict verdict = json_parse_trusted(buf_slice(&b), &value);

		/* Numbers too large for the reader's integers and doubles, and \u0000, are JSON all the same. */
		must(verdict == JSON_OK || kind == COLUMN_REAL || kind == COLUMN_SEMI);
		json_decref(value);
	}
	buf_free(&b);
}

/* What is out stays one text of its format, and within its budget; a cell may be one of which a part is here only. */
static void check_rows(enum rows_format format, struct slice text, size_t ceiling)
{
	struct column columns[] = {{"A", "TEXT", COLUMN_TEXT, true, -1, -1, false, NULL},
				   {"V", "VARIANT", COLUMN_SEMI, true, -1, -1, false, NULL}};
	struct cell row[] = {{text.data, text.n, text.n + ceiling % 2}, {text.data, text.n, text.n}};
	struct buf b = buf_with_ceiling(ceiling);
	struct rows_writer w;

	if (!utf8_valid(text))
		return;
	rows_begin(&w, format, columns, 2, (struct rows_budget){5, ceiling / 2, 100}, &b);
	while (rows_add(&w, row, 2))
		;
	must(!buf_failed(&b) && w.rows >= 1 && w.rows <= 5 && w.cut != CUT_NONE);
	must(w.rows == 1 || b.n <= ceiling / 2);
	buf_clear(&b);
	rows_drained(&w);
	must(w.cut == CUT_ROWS || rows_add(&w, row, 2));
	must(!buf_failed(&b));
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text;

	if (size < 2)
		return 0;
	text = (struct slice){(const char *)data + 1, size - 1};
	check_cell((enum column_kind)(data[0] % (COLUMN_OTHER + 1)), text);
	check_rows((enum rows_format)(data[0] / 86), text, 512 + 4u * data[0]);
	return 0;
}
