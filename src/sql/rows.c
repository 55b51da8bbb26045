/* Writes Snowflake's rows as CSV or JSON within a budget; a column's type decides how its values look. */
#include <string.h>

#include "epoch.h"
#include "semi.h"
#include "snowgate/err.h"
#include "snowgate/rows.h"
#include "text.h"

#define MARK_MAX             64 /* "… (N more bytes)", quotes and comma included */
#define GROWTH_MAX           6  /* a byte as JSON escape: \u001f */
#define NUMBER_PRECISION_MAX 15 /* digits that a double keeps */

/* ---- columns ---- */

static const struct {
	const char *type;
	enum column_kind kind;
} types[] = {
    {"FIXED", COLUMN_FIXED},
    {"REAL", COLUMN_REAL},
    {"TEXT", COLUMN_TEXT},
    {"BOOLEAN", COLUMN_BOOLEAN},
    {"DATE", COLUMN_DATE},
    {"TIME", COLUMN_TIME},
    {"TIMESTAMP_NTZ", COLUMN_TIMESTAMP_NTZ},
    {"TIMESTAMP_LTZ", COLUMN_TIMESTAMP_LTZ},
    {"TIMESTAMP_TZ", COLUMN_TIMESTAMP_TZ},
    {"TIMESTAMP", COLUMN_TIMESTAMP_NTZ},
    {"BINARY", COLUMN_BINARY},
    {"VARIANT", COLUMN_SEMI},
    {"OBJECT", COLUMN_SEMI},
    {"ARRAY", COLUMN_SEMI},
    {"MAP", COLUMN_SEMI},
    {"VECTOR", COLUMN_SEMI},
    {"GEOGRAPHY", COLUMN_SEMI},
    {"GEOMETRY", COLUMN_SEMI},
    {"NUMBER", COLUMN_FIXED},
    {"FLOAT", COLUMN_REAL},
    {"DOUBLE", COLUMN_REAL},
    {"VARCHAR", COLUMN_TEXT},
    {"STRING", COLUMN_TEXT},
};

static enum column_kind kind_of(const char *type)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (strcmp(types[i].type, type) == 0)
			return types[i].kind;
	return COLUMN_OTHER;
}

static int small_int(const json_t *object, const char *key)
{
	int64_t value = json_int_of(object, key, -1);

	return value < 0 || value > 1000 ? -1 : (int)value;
}

static int column_read(struct arena *a, const json_t *from, struct column *to)
{
	const char *name = json_text_of(from, "name"), *type = json_text_of(from, "type");
	char *upper;

	if (!name || !type)
		return ERR_UPSTREAM_ANSWER;
	upper = arena_strdup(a, type);
	to->name = arena_strdup(a, name);
	if (!upper || !to->name)
		return ERR_NOMEM;
	for (char *p = upper; *p; p++)
		*p = sql_upper(*p);
	to->type = upper;
	to->kind = kind_of(upper);
	to->nullable = json_bool_of(from, "nullable", true);
	to->precision = small_int(from, "precision");
	to->scale = small_int(from, "scale");
	return ERR_OK;
}

int columns_read(struct arena *a, const json_t *row_type, struct column **columns, size_t *n)
{
	size_t count = json_array_size(row_type);
	struct column *v;

	if (!json_is_array(row_type))
		return ERR_UPSTREAM_ANSWER;
	v = arena_alloc(a, (count ? count : 1) * sizeof(*v));
	if (!v)
		return ERR_NOMEM;
	for (size_t i = 0; i < count; i++) {
		int e = column_read(a, json_array_get(row_type, i), &v[i]);

		if (e != ERR_OK)
			return e;
	}
	*columns = v;
	*n = count;
	return ERR_OK;
}

bool columns_write(struct buf *out, const struct column *columns, size_t n)
{
	buf_addc(out, '[');
	for (size_t i = 0; i < n; i++) {
		const struct column *c = &columns[i];

		buf_adds(out, i ? ",{\"name\":" : "{\"name\":");
		json_write_string(out, c->name, strlen(c->name));
		buf_adds(out, ",\"type\":");
		json_write_string(out, c->type, strlen(c->type));
		buf_addf(out, ",\"nullable\":%s", c->nullable ? "true" : "false");
		if (c->precision >= 0)
			buf_addf(out, ",\"precision\":%d", c->precision);
		if (c->scale >= 0)
			buf_addf(out, ",\"scale\":%d", c->scale);
		buf_addc(out, '}');
	}
	return buf_addc(out, ']');
}

/* ---- text ---- */

static bool csv_needs_quotes(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (text[i] == ',' || text[i] == '"' || text[i] == '\n' || text[i] == '\r')
			return true;
	return n == 0;
}

static bool csv_write(struct buf *out, const char *text, size_t n)
{
	const char *end = text + n, *quote;

	if (!csv_needs_quotes(text, n))
		return buf_add(out, text, n);
	buf_addc(out, '"');
	while ((quote = memchr(text, '"', (size_t)(end - text)))) {
		buf_add(out, text, (size_t)(quote + 1 - text));
		buf_addc(out, '"');
		text = quote + 1;
	}
	buf_add(out, text, (size_t)(end - text));
	return buf_addc(out, '"');
}

static bool text_write(struct buf *out, enum rows_format format, const char *text, size_t n)
{
	return format == ROWS_JSON ? json_write_string(out, text, n) : csv_write(out, text, n);
}

/* At most `limit` bytes of the text, whole characters, and how many are missing: behind the text, within its quotes. */
static bool cut_write(struct buf *out, enum rows_format format, const char *text, size_t n, size_t limit)
{
	size_t keep = limit;

	while (keep > 0 && ((unsigned char)text[keep] & 0xC0) == 0x80)
		keep--;
	if (format == ROWS_CSV) {
		bool quotes = csv_needs_quotes(text, keep);

		csv_write(out, text, keep);
		if (quotes && !buf_failed(out))
			out->data[--out->n] = '\0';
		buf_addf(out, "… (%zu more bytes)", n - keep);
		return quotes ? buf_addc(out, '"') : !buf_failed(out);
	}
	json_write_string(out, text, keep);
	if (!buf_failed(out))
		out->data[--out->n] = '\0';
	return buf_addf(out, "… (%zu more bytes)\"", n - keep);
}

/* The compact text quoted for CSV: quotes doubled as they come. */
static bool semi_csv_write(struct buf *out, const char *text, size_t n, size_t compact)
{
	size_t start = out->n, quotes = 0, end;

	if (!semi_json_write(out, text, n))
		return false;
	if (!csv_needs_quotes(out->data + start, compact))
		return true;
	for (size_t i = start; i < out->n; i++)
		quotes += out->data[i] == '"';
	end = out->n;
	for (size_t i = 0; i < quotes + 2; i++)
		buf_addc(out, '"');
	if (buf_failed(out))
		return false;
	for (size_t to = out->n - 1, from = end; from > start;) {
		out->data[--to] = out->data[--from];
		if (out->data[from] == '"')
			out->data[--to] = '"';
	}
	out->data[start] = '"';
	out->data[out->n - 1] = '"';
	return true;
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

/* The number as this column writes it. A whole number longer than its column's precision keeps its digits as text. */
static size_t number_cell(const struct column *c, struct slice text, char *out, size_t room)
{
	size_t n = number_text(text.data, text.n, out, room);
	size_t sign = n > 0 && out[0] == '-';

	if (c->kind == COLUMN_FIXED &&
	    (n > NUMBER_PRECISION_MAX + sign || memchr(out, '.', n) || memchr(out, 'e', n) || memchr(out, 'E', n)))
		return 0;
	return n;
}

static const char *boolean_text(const char *text, size_t n)
{
	struct slice s = {text, n};

	if (slice_is_nocase(s, "true") || slice_is(s, "1"))
		return "true";
	return slice_is_nocase(s, "false") || slice_is(s, "0") ? "false" : NULL;
}

/* A value of at most `limit` bytes; *cut where there was more. */
static bool cell_write(struct buf *out, enum rows_format format, const struct column *c, struct slice text,
		       size_t limit, bool *cut)
{
	char small[64];
	size_t n = 0, compact;

	if (column_is_number(c) && format == ROWS_JSON && (n = number_cell(c, text, small, sizeof(small))) > 0)
		return buf_add(out, small, n);
	if (column_is_time(c) && (n = epoch_text(c->kind, text.data, text.n, small)) > 0)
		return text_write(out, format, small, n);
	if (c->kind == COLUMN_BOOLEAN && boolean_text(text.data, text.n))
		return buf_adds(out, boolean_text(text.data, text.n));
	if (c->kind == COLUMN_SEMI && semi_is_json(text.data, text.n, &compact) && compact <= limit)
		return format == ROWS_JSON ? semi_json_write(out, text.data, text.n)
					   : semi_csv_write(out, text.data, text.n, compact);
	if (text.n <= limit)
		return text_write(out, format, text.data, text.n);
	*cut = true;
	return cut_write(out, format, text.data, text.n, limit);
}

bool rows_cell(struct buf *out, enum rows_format format, const struct column *column, const char *text, size_t n)
{
	bool cut = false;

	if (!text)
		return format == ROWS_CSV || buf_adds(out, "null");
	return cell_write(out, format, column, (struct slice){text, n}, SIZE_MAX, &cut);
}

/* ---- rows ---- */

void rows_begin(struct rows_writer *w, enum rows_format format, const struct column *columns, size_t n,
		struct rows_budget budget, struct buf *out)
{
	*w = (struct rows_writer){
	    .format = format, .columns = columns, .columns_n = n, .budget = budget, .out = out, .start = out->n};
	if (format == ROWS_JSON)
		return;
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_addc(out, ',');
		csv_write(out, columns[i].name, strlen(columns[i].name));
	}
	buf_addc(out, '\n');
}

/* What is left below the buffer's ceiling for the values of this row from `column` on, should all of them need marks: a
 * buffer that passes its ceiling loses everything. */
static size_t room_for(const struct rows_writer *w, size_t column)
{
	size_t room = w->out->ceiling - w->out->n, reserve = (w->columns_n - column + 1) * MARK_MAX;

	return room > reserve ? (room - reserve) / GROWTH_MAX : 0;
}

static bool text_add(struct rows_writer *w, size_t column, struct slice text)
{
	size_t limit = w->budget.cell, most = room_for(w, column);
	bool cut = false, ok;

	if ((text.n < limit ? text.n : limit) > most) {
		if (w->rows > 0)
			return false;
		limit = most;
	}
	ok = cell_write(w->out, w->format, &w->columns[column], text, limit, &cut);
	w->cells_cut += cut;
	return ok;
}

/* Snowflake sends text or null; other JSON values are taken by their JSON text. */
static bool value_write(struct rows_writer *w, size_t column, const json_t *value)
{
	struct buf text;
	bool ok;

	if (!value || json_is_null(value))
		return w->format == ROWS_CSV || buf_adds(w->out, "null");
	if (json_is_string(value))
		return text_add(w, column, (struct slice){json_string_value(value), json_string_length(value)});
	text = buf_with_ceiling(w->out->ceiling);
	ok = json_write(&text, value) && text_add(w, column, buf_slice(&text));
	buf_free(&text);
	return ok;
}

static bool row_is_over(const struct rows_writer *w, size_t column)
{
	if (w->rows == 0)
		return false;
	return w->out->n - w->start > w->budget.bytes ||
	       w->out->ceiling - w->out->n < (w->columns_n - column + 1) * MARK_MAX;
}

static bool row_write(struct rows_writer *w, const json_t *row)
{
	if (row_is_over(w, 0))
		return false;
	if (w->format == ROWS_JSON)
		buf_adds(w->out, w->rows ? ",[" : "[");
	for (size_t i = 0; i < w->columns_n; i++) {
		if (row_is_over(w, i))
			return false;
		if (i)
			buf_addc(w->out, ',');
		if (!value_write(w, i, json_array_get(row, i)))
			return false;
	}
	buf_addc(w->out, w->format == ROWS_JSON ? ']' : '\n');
	return !buf_failed(w->out) && (w->rows == 0 || w->out->n - w->start <= w->budget.bytes);
}

bool rows_add(struct rows_writer *w, const json_t *row)
{
	size_t mark = w->out->n, cells_cut = w->cells_cut;

	if (w->cut != CUT_NONE)
		return false;
	if (w->rows >= w->budget.rows) {
		w->cut = CUT_ROWS;
		return false;
	}
	if (row_write(w, row)) {
		w->rows++;
		return true;
	}
	w->cut = CUT_BYTES;
	w->cells_cut = cells_cut;
	if (!buf_failed(w->out)) {
		w->out->n = mark;
		if (w->out->data)
			w->out->data[mark] = '\0';
	}
	return false;
}
