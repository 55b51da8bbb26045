/* Fixed answers without an engine. */
#include "stub.h"

#include <stdio.h>
#include <string.h>

#define COLUMNS_MAX 8

/* SELECT 1 with default options, made once. HTTP thread. */
static struct result *one;

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

/* ID 1..n, NAME row-<id>, NULL in every tenth. */
static void select_rows(unsigned n, const struct result_options *options, struct outcome *outcome)
{
	struct engine_column columns[] = {stub_column("ID", "fixed"), stub_column("NAME", "text")};
	struct engine_result rows = {.columns = columns, .columns_n = 2, .rows_n = n};
	char(*texts)[2][20] = xalloc(((size_t)n + 1) * sizeof(*texts));

	rows.cells = xalloc(((size_t)n + 1) * 2 * sizeof(char *));
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(texts[i][0], sizeof(texts[i][0]), "%u", i + 1);
		(void)snprintf(texts[i][1], sizeof(texts[i][1]), "row-%u", i + 1);
		rows.cells[i * 2] = texts[i][0];
		rows.cells[i * 2 + 1] = (i + 1) % 10 ? texts[i][1] : NULL;
	}
	outcome->result = result_cut(&rows, options);
	free(rows.cells);
	free(texts);
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
	int64_t n;

	*wait = 0;
	normalise(submission->sql, sql, sizeof(sql));
	if (!strcmp(sql, "SELECT 1")) {
		select_one(options, outcome);
	} else if (!strncmp(sql, "STUB ROWS ", 10) && parse_int(sql + 10, 0, STUB_ROWS_MAX, &n)) {
		if (submission->rows_max && n > submission->rows_max)
			n = submission->rows_max;
		select_rows((unsigned)n, options, outcome);
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
}
