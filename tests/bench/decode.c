/* The decoder's yardstick: one ResultSet read and written as CSV and as JSON, beside jansson's load and dump of it. */
/* Built with the gateway's own sources by decode.py. A line of what was read; then tab-separated: what read it, MB/s
 * in, MB out, times jansson. */
#include <jansson.h>
#include <string.h>

#include "common.h"
#include "snowgate/resultset.h"

#define SLICE_BYTES ((size_t)256 << 10)
#define ROUNDS      3
#define KEEP        ((size_t)1 << 20)

static const char head[] =
    "{\"resultSetMetaData\":{\"numRows\":0,\"format\":\"jsonv2\",\"rowType\":["
    "{\"name\":\"ID\",\"type\":\"fixed\",\"precision\":38,\"scale\":0,\"nullable\":false},"
    "{\"name\":\"CUSTOMER\",\"type\":\"fixed\",\"precision\":10,\"scale\":0},"
    "{\"name\":\"PRICE\",\"type\":\"fixed\",\"precision\":12,\"scale\":2},"
    "{\"name\":\"SHARE\",\"type\":\"real\"},{\"name\":\"NAME\",\"type\":\"text\",\"length\":64},"
    "{\"name\":\"REMARK\",\"type\":\"text\",\"length\":400},{\"name\":\"PAID\",\"type\":\"boolean\"},"
    "{\"name\":\"DAY\",\"type\":\"date\"},{\"name\":\"AT\",\"type\":\"timestamp_ntz\",\"precision\":0,\"scale\":9},"
    "{\"name\":\"DETAIL\",\"type\":\"variant\"}]},\"data\":[";

/* The same numbers each time. */
static uint32_t next_random(uint32_t below)
{
	static uint64_t state = 20250101;

	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33) % below;
}

static void add_remark(struct buf *b)
{
	static const char *const words[] = {"carefully", "final",     "deposits", "\\\"express\\\"", "z\xC3\xBCgig",
					    "requests",  "furiously", "pending,", "line\\n",         "ironic"};

	for (uint32_t n = 2 + next_random(6); n; n--) {
		buf_adds(b, words[next_random(next_random(4) ? 3 : ARRAY_LEN(words))]);
		buf_addc(b, ' ');
	}
}

static void add_row(struct buf *b, size_t i)
{
	buf_addf(b, "%s[\"%zu\",\"%u\",\"%u.%02u\",", i ? "," : "", i, next_random(100000000), next_random(100000),
		 next_random(100));
	if (next_random(10) == 0)
		buf_adds(b, "null,");
	else
		buf_addf(b, "\"0.%u\",", 100000 + next_random(900000));
	buf_addf(b, "\"Customer#%09u\",\"", next_random(1000000));
	add_remark(b);
	buf_addf(b, "\",\"%s\",\"%u\",\"%u.%09u\",", next_random(2) ? "true" : "false", 8000 + next_random(12000),
		 1500000000 + next_random(200000000), next_random(3) ? 0 : next_random(1000000000));
	if (next_random(4))
		buf_adds(b, "null]");
	else
		buf_addf(b, "\"{\\n  \\\"state\\\": \\\"open\\\",\\n  \\\"tries\\\": %u\\n}\"]", next_random(10));
}

static struct buf make_text(size_t bytes, size_t *rows)
{
	struct buf b = buf_with_ceiling(bytes + 65536);

	buf_adds(&b, head);
	for (*rows = 0; b.n < bytes; (*rows)++)
		add_row(&b, *rows);
	buf_adds(&b, "],\"code\":\"090001\",\"statementHandle\":\"01b0\"}");
	return b;
}

static double load_and_dump(struct slice text, size_t *out)
{
	int64_t start = now();
	json_t *root = json_loadb(text.data, text.n, 0, NULL);
	char *dumped = root ? json_dumps(root, 0) : NULL;

	if (!dumped)
		die("jansson cannot read it");
	*out = strlen(dumped);
	free(dumped);
	json_decref(root);
	return (double)(now() - start) / 1e6;
}

/* As an export does it: the output is emptied when it is full. */
static size_t write_rows(struct resultset *r, struct rows_writer *w, struct slice *in, size_t *written)
{
	enum resultset_event event;
	size_t rows = 0, n;

	while ((event = resultset_next(r, in)) == RESULTSET_ROW || event == RESULTSET_HEAD) {
		if (event == RESULTSET_HEAD) {
			const struct resultset_head *h = resultset_head(r);

			rows_begin(w, w->format, h->columns, h->columns_n,
				   (struct rows_budget){SIZE_MAX, SIZE_MAX, SIZE_MAX}, w->out);
			continue;
		}
		if (!rows_add(w, resultset_row(r, &n), n))
			die("a row does not fit");
		rows++;
		if (w->out->n > SLICE_BYTES) {
			*written += w->out->n;
			buf_clear(w->out);
			rows_drained(w);
		}
	}
	if (event == RESULTSET_BAD)
		die("the reader refuses it");
	return rows;
}

static double read_and_write(struct slice text, enum rows_format format, size_t rows, size_t *out)
{
	int64_t start = now();
	struct resultset *r = resultset_new(true, KEEP);
	struct buf b = buf_with_ceiling((size_t)8 << 20);
	struct rows_writer w = {.format = format, .out = &b};
	size_t count = 0;

	*out = 0;
	for (size_t at = 0; at < text.n; at += SLICE_BYTES) {
		struct slice in = {text.data + at, text.n - at < SLICE_BYTES ? text.n - at : SLICE_BYTES};

		count += write_rows(r, &w, &in, out);
	}
	if (count != rows)
		die("rows are missing");
	*out += b.n;
	buf_free(&b);
	resultset_free(r);
	return (double)(now() - start) / 1e6;
}

/* The reader alone. */
static double read_only(struct slice text)
{
	int64_t start = now();
	struct resultset *r = resultset_new(true, KEEP);

	for (size_t at = 0; at < text.n; at += SLICE_BYTES) {
		struct slice in = {text.data + at, text.n - at < SLICE_BYTES ? text.n - at : SLICE_BYTES};
		enum resultset_event event;

		while ((event = resultset_next(r, &in)) == RESULTSET_ROW || event == RESULTSET_HEAD)
			;
	}
	resultset_free(r);
	return (double)(now() - start) / 1e6;
}

static double best(double a, double b)
{
	return a == 0 || b < a ? b : a;
}

static void show(const char *name, struct slice text, size_t out, double seconds, double base)
{
	printf("%s\t%.1f\t%.1f\t%.2f\n", name, (double)text.n / seconds / 1e6, (double)out / 1e6, base / seconds);
}

int main(int argc, char **argv)
{
	int64_t megabytes = 100;
	size_t rows, out[5] = {0};
	double jansson = 0, csv = 0, json = 0, lines = 0, reader = 0;
	struct buf b;
	struct slice text;

	if (argc > 1 && !parse_int(argv[1], 1, 1000, &megabytes))
		die("usage: decode [MB]");
	b = make_text((size_t)megabytes * 1000000, &rows);
	text = buf_slice(&b);
	for (int i = 0; i < ROUNDS; i++) {
		jansson = best(jansson, load_and_dump(text, &out[0]));
		csv = best(csv, read_and_write(text, ROWS_CSV, rows, &out[1]));
		json = best(json, read_and_write(text, ROWS_JSON, rows, &out[2]));
		lines = best(lines, read_and_write(text, ROWS_JSONL, rows, &out[3]));
		reader = best(reader, read_only(text));
	}
	printf("%zu rows, %.1f MB, best of %d\n", rows, (double)text.n / 1e6, ROUNDS);
	show("jansson load + dump", text, out[0], jansson, jansson);
	show("rows as csv", text, out[1], csv, jansson);
	show("rows as json", text, out[2], json, jansson);
	show("rows as jsonl", text, out[3], lines, jansson);
	show("reader alone", text, 0, reader, jansson);
	buf_free(&b);
	return 0;
}
