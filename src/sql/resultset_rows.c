/* Reads the rows of a ResultSet out of slices that end anywhere; cells stay where they are as far as that is possible.
 */
#include <string.h>

#include "resultset_rows.h"
#include "scan.h"
#include "semi.h"
#include "snowgate/resultset.h"

#define CELLS_FIRST 64
#define TEXT_FIRST  4096
#define TEXT_IDLE   ((size_t)1 << 20) /* what is kept from one row to the next */
#define REPLACEMENT "\xEF\xBF\xBD"

void row_reader_free(struct row_reader *r)
{
	free(r->cells);
	free(r->text);
}

/* ---- the own copy of cells ---- */

/* Cells of this row that are in the old place move along. */
static void text_grow(struct row_reader *r, size_t needed)
{
	uintptr_t old = (uintptr_t)r->text;
	size_t room = r->text_room ? r->text_room : TEXT_FIRST;

	while (room < needed)
		room *= 2;
	r->text = xrealloc(r->text, room);
	for (size_t i = 0; i < r->cells_n; i++) {
		uintptr_t at = (uintptr_t)r->cells[i].text;

		if (at && at >= old && at - old < r->text_room)
			r->cells[i].text = r->text + (at - old);
	}
	r->text_room = room;
}

static void text_add(struct row_reader *r, const char *text, size_t n)
{
	if (r->text_room - r->text_n < n)
		text_grow(r, r->text_n + n);
	memcpy(r->text + r->text_n, text, n);
	r->text_n += n;
}

static size_t limit_of(const struct row_reader *r)
{
	size_t row = RESULTSET_ROW_MAX - r->kept;

	return r->keep < row ? r->keep : row;
}

/* The most of `text` that has at most `limit` bytes, whole characters; limit < n. */
static size_t cut_at(const char *text, size_t limit)
{
	while (limit > 0 && ((unsigned char)text[limit] & 0xC0) == 0x80)
		limit--;
	return limit;
}

/* Whole characters of the cell at hand. */
static void cell_add(struct row_reader *r, const char *text, size_t n)
{
	size_t room;

	r->whole += n;
	if (r->full || !n)
		return;
	room = limit_of(r) - (r->text_n - r->start);
	if (n > room) {
		r->full = true;
		n = cut_at(text, room);
	}
	if (n)
		text_add(r, text, n);
}

static void row_begin(struct row_reader *r)
{
	r->cells_n = r->saved = r->kept = r->text_n = 0;
	if (r->text_room > TEXT_IDLE) {
		free(TAKE(r->text));
		r->text_room = 0;
	}
	r->at = AT_FIRST_CELL;
}

static bool row_add(struct row_reader *r, struct cell cell)
{
	if (r->cells_n == r->cells_room) {
		if (r->cells_room >= RESULTSET_CELLS_MAX)
			return false;
		r->cells_room = r->cells_room ? r->cells_room * 2 : CELLS_FIRST;
		r->cells = xrealloc(r->cells, r->cells_room * sizeof(*r->cells));
	}
	r->cells[r->cells_n++] = cell;
	r->kept += cell.n;
	r->at = AT_CELL_END;
	return true;
}

/* A cell that is in the input as it is. */
static bool row_add_here(struct row_reader *r, const char *text, size_t n)
{
	size_t limit = limit_of(r);

	return row_add(r, (struct cell){text, n <= limit ? n : cut_at(text, limit), n});
}

static void cell_begin(struct row_reader *r, enum reader_at at)
{
	r->at = at;
	r->start = r->text_n;
	r->whole = r->broken_n = r->depth = 0;
	r->high = 0;
	r->full = r->in_string = r->behind_backslash = false;
}

static bool cell_end(struct row_reader *r)
{
	const char *text = r->text_n > r->start ? r->text + r->start : "";

	return row_add(r, (struct cell){text, r->text_n - r->start, r->whole});
}

/* The input goes: what cells have in it is copied. */
static void row_save(struct row_reader *r, const char *begin, const char *end)
{
	size_t text_n = r->text_n, start = r->start;
	bool in_cell = r->at >= AT_STRING;

	for (size_t i = r->saved; i < r->cells_n; i++) {
		struct cell *cell = &r->cells[i];
		uintptr_t at = (uintptr_t)cell->text;

		if (cell->n && at >= (uintptr_t)begin && at < (uintptr_t)end) {
			size_t to = r->text_n;

			text_add(r, cell->text, cell->n);
			cell->text = r->text + to;
		} else if (cell->text && !cell->n) {
			cell->text = "";
		}
	}
	r->saved = r->cells_n;
	/* the begin of the cell at hand goes to the end again */
	if (in_cell && r->text_n > text_n) {
		size_t n = text_n - start, to = r->text_n;

		if (r->text_room - r->text_n < n)
			text_grow(r, r->text_n + n);
		memmove(r->text + to, r->text + start, n);
		r->text_n += n;
		r->start = to;
	}
}

/* ---- strings ---- */

static void high_flush(struct row_reader *r)
{
	if (r->high)
		cell_add(r, REPLACEMENT, 3);
	r->high = 0;
}

static void broken_flush(struct row_reader *r)
{
	for (; r->broken_n; r->broken_n--)
		cell_add(r, REPLACEMENT, 3);
}

static size_t character_length(unsigned char lead)
{
	return lead < 0xC2 || lead > 0xF4 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

/* Bytes that begin no character here; each one that is no part of one becomes U+FFFD. */
static const char *broken_run(struct row_reader *r, const char *p, const char *end)
{
	size_t n = r->broken_n ? character_length((unsigned char)r->broken[0]) : 0;

	if (!n) {
		r->broken[r->broken_n++] = *p++;
		n = character_length((unsigned char)r->broken[0]);
	}
	while (p < end && r->broken_n < n && ((unsigned char)*p & 0xC0) == 0x80)
		r->broken[r->broken_n++] = *p++;
	if (r->broken_n < n && p == end)
		return p;
	if (utf8_sequence(r->broken, r->broken_n) == r->broken_n) {
		cell_add(r, r->broken, r->broken_n);
		r->broken_n = 0;
	}
	broken_flush(r);
	return p;
}

static const char *string_run(struct row_reader *r, const char *p, const char *end)
{
	const char *plain;

	if (*p != '\\')
		high_flush(r);
	if (r->broken_n)
		return broken_run(r, p, end);
	plain = scan_plain(p, end);
	cell_add(r, p, (size_t)(plain - p));
	p = plain;
	if (p == end)
		return p;
	if (*p == '\\') {
		r->at = AT_ESCAPE;
		return p + 1;
	}
	if (*p == '"')
		return cell_end(r) ? p + 1 : NULL;
	return (unsigned char)*p < 0x20 ? NULL : broken_run(r, p, end);
}

static void code_add(struct row_reader *r, uint32_t code)
{
	char text[4];
	size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const uint32_t leads[] = {0, 0, 0xC0, 0xE0, 0xF0};

	for (size_t i = n - 1; i > 0; i--, code >>= 6)
		text[i] = (char)(0x80 | (code & 0x3F));
	text[0] = (char)(leads[n] | code);
	cell_add(r, text, n);
}

static void unit_add(struct row_reader *r, uint32_t code)
{
	bool is_low = code >= 0xDC00 && code <= 0xDFFF;

	if (r->high && is_low) {
		code_add(r, 0x10000 + ((r->high - 0xD800) << 10) + (code - 0xDC00));
		r->high = 0;
		return;
	}
	high_flush(r);
	if (code >= 0xD800 && code <= 0xDBFF)
		r->high = code;
	else if (is_low)
		cell_add(r, REPLACEMENT, 3);
	else
		code_add(r, code);
}

static const char *hex_run(struct row_reader *r, const char *p, const char *end)
{
	for (; p < end && r->digits; p++, r->digits--) {
		char c = *p;
		int digit = c >= '0' && c <= '9'                     ? c - '0'
			    : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
								     : -1;

		if (digit < 0)
			return NULL;
		r->code = r->code << 4 | (uint32_t)digit;
	}
	if (!r->digits) {
		r->at = AT_STRING;
		unit_add(r, r->code);
	}
	return p;
}

static const char *escape_run(struct row_reader *r, const char *p)
{
	static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
	const char *letter;

	if (*p == 'u') {
		r->at = AT_HEX;
		r->digits = 4;
		r->code = 0;
		return p + 1;
	}
	letter = *p ? strchr(letters, *p) : NULL;
	if (!letter)
		return NULL;
	high_flush(r);
	cell_add(r, &meanings[letter - letters], 1);
	r->at = AT_STRING;
	return p + 1;
}

/* ---- cells that are no strings ---- */

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* All of it is here: JSON, and null is NULL. Only now it is cut. */
static bool value_end(struct row_reader *r)
{
	const char *text = r->text + r->start;
	size_t n = r->text_n - r->start, limit = limit_of(r);
	struct semi_facts facts;

	if (!semi_read(text, n, &facts) || facts.has_words)
		return false;
	if (n == 4 && memcmp(text, "null", 4) == 0)
		return row_add(r, (struct cell){NULL, 0, 0});
	return row_add(r, (struct cell){text, n <= limit ? n : cut_at(text, limit), n});
}

static bool value_ends_before(const struct row_reader *r, char c)
{
	return r->depth == 0 && (c == ',' || c == ']' || is_space(c));
}

/* Steps over one byte of the value; true where it was the last. */
static bool value_step(struct row_reader *r, char c)
{
	if (r->behind_backslash) {
		r->behind_backslash = false;
	} else if (r->in_string) {
		r->in_string = c != '"';
		r->behind_backslash = c == '\\';
	} else if (c == '"') {
		r->in_string = true;
	} else if (c == '[' || c == '{') {
		r->depth++;
	} else if ((c == ']' || c == '}') && r->depth) {
		return --r->depth == 0;
	}
	return false;
}

static const char *value_run(struct row_reader *r, const char *p, const char *end)
{
	const char *start = p;
	bool ends = false;

	while (p < end && !ends && (r->in_string || !value_ends_before(r, *p)))
		ends = value_step(r, *p++);
	ends = ends || p < end;
	if (r->text_n - r->start + (size_t)(p - start) > RESULTSET_VALUE_MAX)
		return NULL;
	text_add(r, start, (size_t)(p - start));
	return !ends || value_end(r) ? p : NULL;
}

/* ---- rows ---- */

static const char *cell_run(struct row_reader *r, const char *p, const char *end)
{
	const char *plain;

	if (*p != '"') {
		if (end - p > 4 && memcmp(p, "null", 4) == 0 && (p[4] == ',' || p[4] == ']'))
			return row_add(r, (struct cell){NULL, 0, 0}) ? p + 4 : NULL;
		if (*p == ',' || *p == ']')
			return NULL;
		cell_begin(r, AT_VALUE);
		return value_run(r, p, end);
	}
	plain = scan_plain(++p, end);
	if (plain < end && *plain == '"')
		return row_add_here(r, p, (size_t)(plain - p)) ? plain + 1 : NULL;
	cell_begin(r, AT_STRING);
	cell_add(r, p, (size_t)(plain - p));
	return plain;
}

/* One sign between cells and rows; *step where a row or the rows end. */
static const char *sign_run(struct row_reader *r, const char *p, const char *end, enum reader_step *step)
{
	char c = *p;

	if (is_space(c))
		return p + 1;
	if (r->at == AT_CELL || (r->at == AT_FIRST_CELL && c != ']'))
		return cell_run(r, p, end);
	if (r->at == AT_CELL_END && c == ',') {
		r->at = AT_CELL;
	} else if ((r->at == AT_CELL_END || r->at == AT_FIRST_CELL) && c == ']') {
		r->at = AT_ROW_END;
		r->rows++;
		*step = STEP_ROW;
	} else if ((r->at == AT_ROW || r->at == AT_FIRST_ROW) && c == '[') {
		row_begin(r);
	} else if (r->at == AT_ROW_END && c == ',') {
		r->at = AT_ROW;
	} else if ((r->at == AT_ROW_END || r->at == AT_FIRST_ROW) && c == ']') {
		*step = STEP_END;
	} else {
		return NULL;
	}
	return p + 1;
}

enum reader_step row_reader_next(struct row_reader *r, struct slice *in)
{
	const char *begin = in->data, *p = begin, *end = begin + in->n;
	enum reader_step step = STEP_MORE;

	while (p && p < end && step == STEP_MORE) {
		if (r->at == AT_STRING)
			p = string_run(r, p, end);
		else if (r->at == AT_ESCAPE)
			p = escape_run(r, p);
		else if (r->at == AT_HEX)
			p = hex_run(r, p, end);
		else if (r->at == AT_VALUE)
			p = value_run(r, p, end);
		else
			p = sign_run(r, p, end, &step);
	}
	if (!p)
		return STEP_BAD;
	*in = (struct slice){p, (size_t)(end - p)};
	if (step == STEP_MORE && r->at >= AT_FIRST_CELL && r->cells_n)
		row_save(r, begin, end);
	return step;
}
