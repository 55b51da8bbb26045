/* Fixed answers without an engine. */
#include "stub.h"

#include <stdio.h>
#include <string.h>

#define COLUMNS_MAX 8
#define ROW_BYTES   31     /* of a row's JSON but its PAD */
#define LARGE_ROWS  100000 /* results from here on are kept for the next who asks */

#define BATCH 2048

/* SELECT 1 with default options, and the large result that was asked for last, made once. HTTP thread. */
static struct result *one;
static struct large {
	struct result *result;
	int64_t rows, bytes;
	struct result_options options;
} large;

static struct engine_column stub_column(const char *name, const char *type)
{
	bool text = !strcmp(type, "text");

	return (struct engine_column){
	    .name = (char *)name,
	    .type = (char *)type,
	    .precision = text ? -1 : 38,
	    .scale = text ? -1 : 0,
	    .length = text ? 16777216 : -1,
	    .byte_length = text ? 16777216 : -1,
	    .nullable = text,
	};
}

static void fail(struct outcome *outcome, const char *code, const char *sqlstate, const char *message)
{
	(void)snprintf(outcome->code, sizeof(outcome->code), "%s", code);
	(void)snprintf(outcome->sqlstate, sizeof(outcome->sqlstate), "%s", sqlstate);
	outcome->message = xstrdup(message);
}

/* An INSERT, of which nothing is kept. */
static void insert_one(const struct result_options *options, struct outcome *outcome)
{
	struct engine_column column = stub_column("number of rows inserted", "fixed");
	char *cell = "1";
	struct engine_result rows = {.columns = &column, .columns_n = 1, .cells = &cell, .rows_n = 1};

	outcome->result = result_cut(&rows, options);
}

static void select_one(const struct result_options *options, struct outcome *outcome)
{
	struct engine_column column = stub_column("1", "fixed");
	char *cell = "1";
	struct engine_result rows = {.columns = &column, .columns_n = 1, .cells = &cell, .rows_n = 1};

	column.precision = 1;
	if (!one)
		one = result_cut(&rows, options);
	outcome->result = result_share(one);
}

/* ID 1..n, NAME row-<id>, NULL in every tenth. With a width also PAD, of so many characters that differ from row to
 * row as text does, so that compression has something to do. */
struct stub_rows {
	struct engine_column columns[3];
	struct engine_result rows;
	char (*texts)[2][20];
	char *pads;
	size_t width;
};

static void rows_open(struct stub_rows *s, size_t width)
{
	s->columns[0] = stub_column("ID", "fixed");
	s->columns[1] = stub_column("NAME", "text");
	s->columns[2] = stub_column("PAD", "text");
	s->width = width;
	s->rows = (struct engine_result){.columns = s->columns, .columns_n = width ? 3 : 2};
	s->rows.cells = xalloc(BATCH * 3 * sizeof(char *));
	s->texts = xalloc(BATCH * sizeof(*s->texts));
	s->pads = xalloc(BATCH * (width + 1));
}

static void rows_close(struct stub_rows *s)
{
	free(s->rows.cells);
	free(s->texts);
	free(s->pads);
}

static void pad_fill(char *pad, size_t width, uint64_t row)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz 01234";
	uint64_t x = row * 0x9e3779b97f4a7c15u + 1;

	for (size_t i = 0; i < width; i++) {
		if (i % 12 == 0) {
			x ^= x >> 12;
			x ^= x << 25;
			x ^= x >> 27;
		}
		pad[i] = alphabet[x >> i % 12 * 5 & 31];
	}
	pad[width] = 0;
}

/* The next rows, `from` of `n` being there already. */
static void rows_fill(struct stub_rows *s, int64_t from, int64_t n)
{
	size_t columns = s->rows.columns_n;

	s->rows.rows_n = (size_t)(n - from < BATCH ? n - from : BATCH);
	for (size_t i = 0; i < s->rows.rows_n; i++) {
		unsigned id = (unsigned)from + (unsigned)i + 1;

		(void)snprintf(s->texts[i][0], sizeof(s->texts[i][0]), "%u", id);
		(void)snprintf(s->texts[i][1], sizeof(s->texts[i][1]), "row-%u", id);
		s->rows.cells[i * columns] = s->texts[i][0];
		s->rows.cells[i * columns + 1] = id % 10 ? s->texts[i][1] : NULL;
		if (s->width) {
			char *pad = s->pads + i * (s->width + 1);

			pad_fill(pad, s->width, id);
			s->rows.cells[i * columns + 2] = pad;
		}
	}
}

static struct result *rows_make(int64_t n, size_t width, const struct result_options *options)
{
	struct cutter *cutter = cutter_open(options);
	struct stub_rows s;
	struct result *result;

	rows_open(&s, width);
	for (int64_t i = 0; i < n; i += BATCH) {
		rows_fill(&s, i, n);
		cutter_add(cutter, &s.rows);
	}
	s.rows.rows_n = 0;
	result = cutter_close(cutter, &s.rows);
	rows_close(&s);
	return result;
}

/* About `bytes` of JSON; 0: no padding. A large one is made once and shared: a bench measures the client. */
static void select_rows(int64_t n, int64_t bytes, const struct result_options *options, struct outcome *outcome)
{
	int64_t width = n && bytes ? bytes / n - ROW_BYTES : 0;

	if (large.result && large.rows == n && large.bytes == bytes &&
	    large.options.partition_bytes == options->partition_bytes &&
	    large.options.null_is_text == options->null_is_text && large.options.bare == options->bare) {
		outcome->result = result_share(large.result);
		return;
	}
	outcome->result = rows_make(n, width > 0 ? (size_t)width : bytes > 0, options);
	if (!outcome->result) {
		fail(outcome, "391908", "22000", "Result set is too large.");
	} else if (n >= LARGE_ROWS) {
		result_release(large.result);
		large = (struct large){result_share(outcome->result), n, bytes, *options};
	}
}

/* "n" or "n BYTES b" behind STUB ROWS. */
static bool rows_read(const char *text, int64_t *n, int64_t *bytes)
{
	const char *word = strstr(text, " BYTES ");
	char number[24];

	*bytes = 0;
	if (word && !parse_int(word + 7, 1, STUB_BYTES_MAX, bytes))
		return false;
	(void)snprintf(number, sizeof(number), "%.*s", word ? (int)(word - text) : 23, text);
	return parse_int(number, 0, STUB_ROWS_MAX, n);
}

static bool context_value(const struct engine_context *c, const char *name, size_t n, char **out)
{
	const struct {
		const char *name, *value;
	} functions[] = {
	    {"CURRENT_DATABASE()", c->database}, {"CURRENT_SCHEMA()", c->schema}, {"CURRENT_WAREHOUSE()", c->warehouse},
	    {"CURRENT_ROLE()", c->role},         {"CURRENT_USER()", c->user},
	};

	for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
		if (!strncmp(functions[i].name, name, n) && !functions[i].name[n]) {
			*out = (char *)functions[i].value;
			return true;
		}
	}
	return false;
}

/* `list` is upper case: CURRENT_...() functions with commas between. False when it is anything else. */
static bool select_context(const char *list, const struct engine_context *c, const struct result_options *options,
			   struct outcome *outcome)
{
	struct engine_column columns[COLUMNS_MAX];
	char *cells[COLUMNS_MAX], *names[COLUMNS_MAX];
	struct engine_result rows = {.columns = columns, .cells = cells, .rows_n = 1};
	bool known = true;

	while (known && *list && rows.columns_n < COLUMNS_MAX) {
		size_t n = strcspn(list, ",");

		known = context_value(c, list, n, &cells[rows.columns_n]);
		names[rows.columns_n] = xstrndup(list, n);
		columns[rows.columns_n] = stub_column(names[rows.columns_n], "text");
		rows.columns_n++;
		list += n;
		list += strspn(list, ", ");
	}
	known = known && !*list && rows.columns_n;
	if (known)
		outcome->result = result_cut(&rows, options);
	for (size_t i = 0; i < rows.columns_n; i++)
		free(names[i]);
	return known;
}

/* The text in upper case, white space as single blanks, without the last semicolon. */
static void normalise(const char *sql, char *out, size_t size)
{
	size_t n = 0;

	for (; *sql && n + 1 < size; sql++) {
		bool blank = strchr(" \t\r\n", *sql) != NULL;

		if (blank && (!n || out[n - 1] == ' '))
			continue;
		out[n++] = blank ? ' ' : (char)(*sql >= 'a' && *sql <= 'z' ? *sql - 32 : *sql);
	}
	while (n && (out[n - 1] == ' ' || out[n - 1] == ';'))
		n--;
	out[n] = 0;
}

void stub_run(const struct submission *submission, const struct result_options *options, struct outcome *outcome,
	      usec_t *wait)
{
	char sql[160];
	int64_t n, bytes;

	*wait = 0;
	normalise(submission->sql, sql, sizeof(sql));
	if (!strcmp(sql, "SELECT 1")) {
		select_one(options, outcome);
	} else if (!strncmp(sql, "INSERT INTO STUB ", 17)) {
		insert_one(options, outcome);
	} else if (!strncmp(sql, "STUB ROWS ", 10) && rows_read(sql + 10, &n, &bytes)) {
		if (submission->rows_max && n > submission->rows_max)
			n = submission->rows_max;
		select_rows(n, bytes, options, outcome);
	} else if (!strncmp(sql, "STUB WAIT ", 10) && parse_int(sql + 10, 0, STUB_WAIT_MAX_MS, &n)) {
		*wait = n * USEC_PER_MS;
		select_one(options, outcome);
	} else if (!strcmp(sql, "STUB ERROR")) {
		fail(outcome, "002003", "42S02",
		     "SQL compilation error:\nObject 'STUB' does not exist or not authorized.");
	} else if (!*sql) {
		fail(outcome, "000900", "42601", "Empty SQL statement.");
	} else if (strncmp(sql, "SELECT ", 7) || !select_context(sql + 7, &submission->context, options, outcome)) {
		fail(outcome, "001003", "42000",
		     "SQL compilation error:\nsyntax error: the emulator runs without its engine (--stub).");
	}
}

void stub_close(void)
{
	result_release(one);
	one = NULL;
	result_release(large.result);
	large.result = NULL;
}
