/* Writes Snowflake's rows as CSV or JSON within a budget; a column's type decides how its values look. */
#include <stdio.h>
#include <string.h>

#include "epoch.h"
#include "semi.h"
#include "snowgate/rows.h"

#define MARK_MAX             64 /* "… (N more bytes)", quotes and comma included */
#define GROWTH_MAX           6  /* a byte as JSON escape: \u001f */
#define GROWTH_CSV           2  /* a quote */
#define NUMBER_PRECISION_MAX 15 /* digits that a double keeps */
#define NUMBER_MAX           64

/* ---- text ---- */

static void text_write(struct sink *s, enum rows_format format, const char *text, size_t n)
{
	if (format == ROWS_CSV)
		sink_csv(s, text, n);
	else
		sink_json(s, text, n);
}

/* At most `limit` bytes of the cell, whole characters, and how many are missing: behind the text, within its quotes. */
static void cut_write(struct sink *s, enum rows_format format, struct cell cell, size_t limit)
{
	size_t keep = limit < cell.n ? limit : cell.n;
	char mark[MARK_MAX];
	bool quotes;

	while (keep > 0 && keep < cell.n && ((unsigned char)cell.text[keep] & 0xC0) == 0x80)
		keep--;
	quotes = format != ROWS_CSV || csv_needs_quotes(cell.text, keep);
	if (quotes)
		sink_byte(s, '"');
	if (format == ROWS_CSV && quotes)
		sink_csv_inner(s, cell.text, keep);
	else if (format == ROWS_CSV)
		sink_add(s, cell.text, keep);
	else
		sink_json_inner(s, cell.text, keep);
	sink_add(s, mark, (size_t)snprintf(mark, sizeof(mark), "… (%zu more bytes)", cell.whole - keep));
	if (quotes)
		sink_byte(s, '"');
}

/* ---- cells ---- */

static bool column_is_number(const struct column *c)
{
	if (c->kind == COLUMN_REAL)
		return true;
	return c->kind == COLUMN_FIXED && c->scale == 0 && c->precision >= 0 && c->precision <= NUMBER_PRECISION_MAX;
}

static bool column_is_time(const struct column *c)
{
	return c->kind >= COLUMN_DATE && c->kind <= COLUMN_TIMESTAMP_TZ;
}

/* As JSON number, put right where only the spelling differs: +1 .5 -.5 1. ; 0 where it is none. */
static size_t number_text(const char *text, size_t n, char *out, size_t room)
{
	size_t to = 0;

	if (n > 1 && text[0] == '+' && text[1] != '-')
		text++, n--;
	if (n == 0 || n + 3 > room)
		return 0;
	if (semi_number_length(text, text + n) == n) {
		memcpy(out, text, n);
		return n;
	}
	for (size_t i = 0; i < n; i++) {
		bool bare = text[i] == '.' && (i == 0 || (i == 1 && text[0] == '-'));
		bool open = text[i] == '.' && (i + 1 == n || text[i + 1] == 'e' || text[i + 1] == 'E');

		if (bare)
			out[to++] = '0';
		if (bare && open)
			return 0;
		out[to++] = text[i];
		if (open)
			out[to++] = '0';
		if (to + 2 > room)
			return 0;
	}
	return semi_number_length(out, out + to) == to ? to : 0;
}

/* Most numbers are digits, and as JSON has them. */
static bool is_plain_integer(struct slice text)
{
	size_t sign = text.n > 1 && text.data[0] == '-';

	if (text.n == sign || text.n > NUMBER_PRECISION_MAX + sign || (text.data[sign] == '0' && text.n > sign + 1))
		return false;
	for (size_t i = sign; i < text.n; i++)
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
	return true;
}

/* The number as this column writes it; false where it is none. A whole number longer than any column's precision that
 * is written as a number keeps its digits as text. */
static bool number_write(struct sink *s, const struct column *c, struct slice text)
{
	char out[NUMBER_MAX];
	size_t n, sign;

	if (is_plain_integer(text) ||
	    (c->kind == COLUMN_REAL && semi_number_length(text.data, text.data + text.n) == text.n && text.n)) {
		sink_add(s, text.data, text.n);
		return true;
	}
	n = number_text(text.data, text.n, out, sizeof(out));
	sign = n > 0 && out[0] == '-';
	if (!n || (c->kind == COLUMN_FIXED && (n > NUMBER_PRECISION_MAX + sign || memchr(out, '.', n) ||
					       memchr(out, 'e', n) || memchr(out, 'E', n))))
		return false;
	sink_add(s, out, n);
	return true;
}

static const char *boolean_text(const char *text, size_t n)
{
	struct slice s = {text, n};

	if (slice_is_nocase(s, "true") || slice_is(s, "1"))
		return "true";
	return slice_is_nocase(s, "false") || slice_is(s, "0") ? "false" : NULL;
}

/* What a cell lost on its way. */
struct loss {
	bool cut, nulled;
};

static bool typed_write(struct sink *s, enum rows_format format, const struct column *c, struct slice text,
			struct loss *loss)
{
	const char *word;
	char small[EPOCH_TEXT_MAX];
	size_t n;

	if (column_is_number(c) && format != ROWS_CSV) {
		if (number_write(s, c, text))
			return true;
		loss->nulled =
		    c->kind == COLUMN_REAL && text.n && semi_no_number_length(text.data, text.data + text.n) == text.n;
		if (loss->nulled)
			sink_add(s, "null", 4);
		return loss->nulled;
	}
	if (column_is_time(c) && !c->formatted && (n = epoch_text(c->kind, text.data, text.n, small)) > 0) {
		text_write(s, format, small, n);
		return true;
	}
	if (c->kind != COLUMN_BOOLEAN || !(word = boolean_text(text.data, text.n)))
		return false;
	sink_add(s, word, strlen(word));
	return true;
}

static bool semi_write(struct sink *s, enum rows_format format, struct slice text, size_t limit, struct loss *loss)
{
	struct semi_facts facts;

	if (!semi_read(text.data, text.n, &facts) || facts.compact > limit)
		return false;
	if (format == ROWS_CSV) {
		semi_csv(s, text.data, text.n, &facts);
		return true;
	}
	loss->nulled = facts.has_words;
	semi_json(s, text.data, text.n, &facts);
	return true;
}

/* A value of at most `limit` bytes. */
static struct loss cell_write(struct sink *s, enum rows_format format, const struct column *c, struct cell cell,
			      size_t limit)
{
	struct slice text = {cell.text, cell.n};
	struct loss loss = {cell.n < cell.whole, false};

	if (!loss.cut && c->kind == COLUMN_SEMI && semi_write(s, format, text, limit, &loss))
		return loss;
	if (!loss.cut && typed_write(s, format, c, text, &loss))
		return loss;
	loss.cut = loss.cut || cell.n > limit;
	if (loss.cut)
		cut_write(s, format, cell, limit);
	else
		text_write(s, format, text.data, text.n);
	return loss;
}

bool rows_cell(struct buf *out, enum rows_format format, const struct column *column, const char *text, size_t n)
{
	struct sink s;

	s.out = out;
	s.n = 0;
	if (text)
		cell_write(&s, format, column, (struct cell){text, n, n}, SIZE_MAX);
	else if (format != ROWS_CSV)
		sink_add(&s, "null", 4);
	return sink_flush(&s);
}

/* ---- rows ---- */

static void header_write(struct sink *s, const struct column *columns, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (i)
			sink_byte(s, ',');
		sink_csv(s, columns[i].name, strlen(columns[i].name));
	}
	sink_byte(s, '\n');
}

void rows_begin(struct rows_writer *w, enum rows_format format, const struct column *columns, size_t n,
		struct rows_budget budget, struct buf *out)
{
	struct sink s;

	*w = (struct rows_writer){
	    .format = format, .columns = columns, .columns_n = n, .budget = budget, .out = out, .start = out->n};
	for (size_t i = 0; i < n && format == ROWS_JSONL; i++)
		w->keys += columns[i].key ? strlen(columns[i].key) : strlen(columns[i].name) * GROWTH_MAX + 3;
	s.out = out;
	s.n = 0;
	if (format == ROWS_CSV)
		header_write(&s, columns, n);
	(void)sink_flush(&s);
}

/* What the values of this row from `column` on take, should all of them need marks: a buffer that passes its ceiling
 * loses everything. */
static size_t reserve_for(const struct rows_writer *w, size_t column)
{
	return (w->columns_n - column + 1) * MARK_MAX + w->keys;
}

/* What is left below the ceiling. */
static size_t room_of(const struct sink *s)
{
	size_t room = s->out->ceiling - s->out->n;

	return room > s->n ? room - s->n : 0;
}

/* What is left for the text of a value. */
static size_t room_for(const struct rows_writer *w, const struct sink *s, size_t column)
{
	size_t room = room_of(s), reserve = reserve_for(w, column);

	return room > reserve ? (room - reserve) / (w->format == ROWS_CSV ? GROWTH_CSV : GROWTH_MAX) : 0;
}

/* The first one, in all or since the caller emptied the buffer. */
static bool row_must_fit(const struct rows_writer *w)
{
	return w->rows == 0 || w->row == w->start;
}

static bool value_write(struct rows_writer *w, struct sink *s, size_t column, struct cell cell)
{
	size_t limit = w->budget.cell, most = room_for(w, s, column);
	struct loss loss;

	if (!cell.text) {
		if (w->format != ROWS_CSV)
			sink_add(s, "null", 4);
		return true;
	}
	if ((cell.n < limit ? cell.n : limit) > most) {
		if (!row_must_fit(w))
			return false;
		limit = most;
	}
	loss = cell_write(s, w->format, &w->columns[column], cell, limit);
	w->cells_cut += loss.cut;
	w->nulled += loss.nulled;
	return true;
}

static bool row_is_over(const struct rows_writer *w, const struct sink *s, size_t column)
{
	if (row_must_fit(w))
		return false;
	return w->out->n + s->n - w->start > w->budget.bytes || room_of(s) < reserve_for(w, column);
}

static void key_write(const struct rows_writer *w, struct sink *s, size_t column)
{
	const struct column *c = &w->columns[column];

	if (c->key) {
		sink_add(s, c->key, strlen(c->key));
		return;
	}
	sink_json(s, c->name, strlen(c->name));
	sink_byte(s, ':');
}

static bool row_write(struct rows_writer *w, const struct cell *row, size_t n, struct sink *s)
{
	static const struct cell null = {NULL, 0, 0};

	if (row_is_over(w, s, 0))
		return false;
	if (w->format == ROWS_JSON && w->rows)
		sink_byte(s, ',');
	if (w->format != ROWS_CSV)
		sink_byte(s, w->format == ROWS_JSON ? '[' : '{');
	for (size_t i = 0; i < w->columns_n; i++) {
		if (row_is_over(w, s, i))
			return false;
		if (i)
			sink_byte(s, ',');
		if (w->format == ROWS_JSONL)
			key_write(w, s, i);
		if (!value_write(w, s, i, i < n ? row[i] : null))
			return false;
	}
	if (w->format != ROWS_CSV)
		sink_byte(s, w->format == ROWS_JSON ? ']' : '}');
	if (w->format != ROWS_JSON)
		sink_byte(s, '\n');
	return sink_flush(s) && (row_must_fit(w) || w->out->n - w->start <= w->budget.bytes);
}

bool rows_add(struct rows_writer *w, const struct cell *row, size_t n)
{
	size_t cells_cut = w->cells_cut, nulled = w->nulled;
	struct sink s;

	if (w->cut != CUT_NONE)
		return false;
	if (w->rows >= w->budget.rows) {
		w->cut = CUT_ROWS;
		return false;
	}
	w->row = w->out->n;
	s.out = w->out;
	s.n = 0;
	if (row_write(w, row, n, &s)) {
		w->rows++;
		return true;
	}
	w->cut = CUT_BYTES;
	w->cells_cut = cells_cut;
	w->nulled = nulled;
	if (!buf_failed(w->out)) {
		w->out->n = w->row;
		if (w->out->data)
			w->out->data[w->row] = '\0';
	}
	return false;
}

void rows_drained(struct rows_writer *w)
{
	w->start = w->out->n;
	if (w->cut == CUT_BYTES && !buf_failed(w->out))
		w->cut = CUT_NONE;
}
