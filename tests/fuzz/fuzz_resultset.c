/* Any bytes as a ResultSet, whole and in slices: the same rows, and those that jansson reads where it takes the text.
 */
#include <stdlib.h>
#include <string.h>

#include "snowgate/resultset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Rows as text that tells cells and rows apart. */
static void tell_row(struct buf *out, const struct resultset *r)
{
	size_t n;
	const struct cell *cells = resultset_row(r, &n);

	for (size_t i = 0; i < n; i++) {
		must(cells[i].n <= cells[i].whole);
		must(!cells[i].text || utf8_valid((struct slice){cells[i].text, cells[i].n}));
		buf_addf(out, "%c%zu,%zu:", cells[i].text ? 'c' : 'n', cells[i].n, cells[i].whole);
		if (cells[i].text)
			buf_add(out, cells[i].text, cells[i].n);
	}
	buf_addc(out, '\n');
}

static enum resultset_event read_in(struct resultset *r, struct slice text, size_t slice, struct buf *out)
{
	enum resultset_event event = RESULTSET_MORE;

	for (size_t at = 0; at < text.n && event != RESULTSET_BAD; at += slice) {
		size_t n = text.n - at < slice ? text.n - at : slice;
		char *copy = xalloc(n);
		struct slice in = {copy, n};

		memcpy(copy, text.data + at, n);
		while ((event = resultset_next(r, &in)) == RESULTSET_ROW || event == RESULTSET_HEAD)
			if (event == RESULTSET_ROW)
				tell_row(out, r);
		free(copy);
	}
	return event;
}

/* A cell as jansson has it; of what is no string the value, not the spelling, is the same. */
static void check_cell(const struct cell *cell, const json_t *value)
{
	json_t *ours = NULL;

	if (json_is_null(value)) {
		must(!cell->text);
		return;
	}
	must(cell->text && cell->n == cell->whole);
	if (json_is_string(value)) {
		must(cell->n == json_string_length(value) &&
		     memcmp(cell->text, json_string_value(value), cell->n) == 0);
		return;
	}
	must(json_parse_trusted((struct slice){cell->text, cell->n}, &ours) == JSON_OK && json_equal(ours, value));
	json_decref(ours);
}

static void check_rows(struct resultset *r, struct slice text, const json_t *rows)
{
	enum resultset_event event;
	size_t at = 0, n;

	while ((event = resultset_next(r, &text)) == RESULTSET_ROW || event == RESULTSET_HEAD) {
		const json_t *row = json_array_get(rows, at);
		const struct cell *cells = resultset_row(r, &n);

		if (event == RESULTSET_HEAD)
			continue;
		must(json_is_array(row) && json_array_size(row) == n);
		for (size_t i = 0; i < n; i++)
			check_cell(&cells[i], json_array_get(row, i));
		at++;
	}
	must(event == RESULTSET_END && at == json_array_size(rows) && resultset_rows(r) == at);
}

static void check_tail(const struct resultset *r, const json_t *root)
{
	const char *ours = resultset_tail(r)->code, *theirs = json_text_of(root, "code");

	must(!ours == !theirs && (!ours || strcmp(ours, theirs) == 0));
}

static bool is_sound(const json_t *rows)
{
	for (size_t i = 0; i < json_array_size(rows); i++)
		if (!json_is_array(json_array_get(rows, i)))
			return false;
	return json_is_array(rows);
}

/* Documents that jansson reads and that are partitions are read, and those that it does not read are not (but for what
 * the reader is lenient about: what is not UTF-8, lone surrogates, numbers beyond 64 bits). */
static void check_with_jansson(struct slice text)
{
	struct resultset *r = resultset_new(false, SIZE_MAX);
	json_t *root = NULL;
	const json_t *rows;

	if (json_parse(text, 100, &root, NULL, 0) == JSON_OK) {
		rows = json_is_array(root) ? root : json_object_get(root, "data");
		if (is_sound(rows)) {
			check_rows(r, text, rows);
			check_tail(r, root);
		} else {
			struct buf out = buf_with_ceiling(1 << 24);

			must(read_in(r, text, text.n, &out) == RESULTSET_BAD);
			buf_free(&out);
		}
	}
	json_decref(root);
	resultset_free(r);
}

static void check_slices(struct slice text, bool first, size_t keep, size_t slice)
{
	struct resultset *whole = resultset_new(first, keep), *sliced = resultset_new(first, keep);
	struct buf a = buf_with_ceiling(1 << 24), b = buf_with_ceiling(1 << 24);

	must(read_in(whole, text, text.n, &a) == read_in(sliced, text, slice, &b));
	must(a.n == b.n && (!a.n || memcmp(a.data, b.data, a.n) == 0));
	must(!resultset_head(whole) == !resultset_head(sliced));
	buf_free(&a);
	buf_free(&b);
	resultset_free(whole);
	resultset_free(sliced);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text;

	if (size < 2)
		return 0;
	text = (struct slice){(const char *)data + 1, size - 1};
	check_slices(text, data[0] & 1, data[0] & 2 ? data[0] / 8 : SIZE_MAX, 1 + data[0] / 16);
	check_with_jansson(text);
	return 0;
}
