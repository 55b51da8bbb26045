/* Runs the corpus: statements with the rows, names, types or errors that Snowflake gives, compared by value.
 *
 * A case: "=== name [db=X] [schema=X] [role=X] [warehouse=X] [tz=X]" (X is NONE: not set), the statement, "---", then
 * what is expected: "columns: A,B", "types: fixed,text", "shape: fixed(10,2)!,text(5)" (precision and scale, or length;
 * "!": never NULL), "rows: N", "!CODE SQLSTATE text that the message holds", "*" for anything, "..." for any further
 * rows, or rows with cells parted by "|" (NULL is SQL NULL). Cases share one engine and run in the order of the file
 * names. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../src/emulator/engine.h"

#ifndef CORPUS_DIR
#define CORPUS_DIR "tests/emulator/corpus"
#endif

#define TEXT_MAX (1 << 16)

struct expectation {
	char name[128], statement[TEXT_MAX], wanted[TEXT_MAX];
	char database[64], schema[64], role[64], warehouse[64], timezone[64];
};

static int passed, failed;

static void report(const struct expectation *e, const char *what, const char *got)
{
	printf("FAILED %s: %s\n  statement: %s  got: %s\n", e->name, what, e->statement, got);
}

static void add(char *text, const char *more)
{
	size_t n = strlen(text), m = strlen(more);

	if (n + m + 1 < TEXT_MAX)
		memcpy(text + n, more, m + 1);
}

static void join_columns(const struct engine_result *r, bool types, char *out)
{
	out[0] = '\0';
	for (size_t i = 0; i < r->columns_n; i++) {
		add(out, i ? "," : "");
		add(out, types ? r->columns[i].type : r->columns[i].name);
	}
}

static void join_shapes(const struct engine_result *r, char *out)
{
	out[0] = '\0';
	for (size_t i = 0; i < r->columns_n; i++) {
		const struct engine_column *c = &r->columns[i];
		char text[96] = "";

		if (!strcmp(c->type, "fixed"))
			snprintf(text, sizeof text, "(%d,%d)", c->precision, c->scale);
		else if (c->length >= 0)
			snprintf(text, sizeof text, "(%lld)", (long long)c->length);
		add(out, i ? "," : "");
		add(out, c->type);
		add(out, text);
		add(out, c->nullable ? "" : "!");
	}
}

static void join_row(const struct engine_result *r, size_t row, char *out)
{
	out[0] = '\0';
	for (size_t i = 0; i < r->columns_n; i++) {
		const char *cell = r->cells[row * r->columns_n + i];

		add(out, i ? "|" : "");
		add(out, cell ? cell : "NULL");
	}
}

static bool error_fits(const struct engine_result *r, const char *wanted)
{
	char code[16] = "", state[16] = "";
	const char *text = wanted;

	for (int k = 0; k < 2; k++) {
		size_t n = strcspn(text, " ");

		snprintf(k ? state : code, 16, "%.*s", (int)(n < 15 ? n : 15), text);
		text += n;
		text += *text == ' ';
	}
	return !strcmp(r->code, code) && (!state[0] || !strcmp(r->sqlstate, state)) && strstr(r->message, text);
}

static bool line_fits(const struct expectation *e, const struct engine_result *r, const char *line, size_t *row)
{
	static char got[TEXT_MAX];
	bool ok;

	if (line[0] == '!') {
		snprintf(got, sizeof got, "%s %s %s", r->code, r->sqlstate, r->message ? r->message : "success");
		ok = r->code[0] && error_fits(r, line + 1);
	} else if (r->code[0]) {
		snprintf(got, sizeof got, "%s %s %s", r->code, r->sqlstate, r->message);
		ok = false;
	} else if (!strcmp(line, "*") || !strcmp(line, "...")) {
		*row = r->rows_n;
		return true;
	} else if (!strncmp(line, "columns: ", 9) || !strncmp(line, "types: ", 7)) {
		join_columns(r, line[0] == 't', got);
		ok = !strcmp(strchr(line, ' ') + 1, got);
	} else if (!strncmp(line, "shape: ", 7)) {
		join_shapes(r, got);
		ok = !strcmp(line + 7, got);
	} else if (!strncmp(line, "rows: ", 6)) {
		snprintf(got, sizeof got, "%zu", r->rows_n);
		ok = !strcmp(line + 6, got);
	} else if (*row < r->rows_n) {
		join_row(r, (*row)++, got);
		ok = !strcmp(line, got);
	} else {
		snprintf(got, sizeof got, "no such row");
		ok = false;
	}
	if (!ok)
		report(e, line, got);
	return ok;
}

static const char *set_or_null(const char *text)
{
	return text[0] && strcmp(text, "NONE") ? text : NULL;
}

static void run_case(struct engine *engine, struct expectation *e)
{
	struct engine_statement s = {.text = e->statement};
	struct engine_result r;
	bool ok = true, rows = false;
	size_t row = 0;

	s.context = (struct engine_context){.user = "TESTER",
					    .role = set_or_null(e->role),
					    .warehouse = set_or_null(e->warehouse),
					    .database = set_or_null(e->database),
					    .schema = set_or_null(e->schema),
					    .timezone = set_or_null(e->timezone)};
	engine_run(engine, NULL, &s, 0, &r);
	for (char *line = e->wanted, *next; *line && ok; line = next) {
		size_t before = row;

		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		ok = line_fits(e, &r, line, &row);
		rows = rows || row > before;
	}
	if (ok && rows && row != r.rows_n) {
		ok = false;
		report(e, "more rows than expected", "");
	}
	*(ok ? &passed : &failed) += 1;
	engine_result_free(&r);
}

static void read_setting(const char *line, const char *key, char *out, size_t size)
{
	const char *at = strstr(line, key);

	if (at)
		snprintf(out, size, "%.*s", (int)strcspn(at + strlen(key), " \n"), at + strlen(key));
}

static void start_case(struct expectation *e, const char *line)
{
	memset(e, 0, sizeof *e);
	snprintf(e->name, sizeof e->name, "%.*s", (int)strcspn(line + 4, " \n"), line + 4);
	snprintf(e->database, sizeof e->database, "DEMO");
	snprintf(e->schema, sizeof e->schema, "PUBLIC");
	snprintf(e->role, sizeof e->role, "SYSADMIN");
	snprintf(e->warehouse, sizeof e->warehouse, "COMPUTE_WH");
	snprintf(e->timezone, sizeof e->timezone, "UTC");
	read_setting(line, " db=", e->database, sizeof e->database);
	read_setting(line, " schema=", e->schema, sizeof e->schema);
	read_setting(line, " role=", e->role, sizeof e->role);
	read_setting(line, " warehouse=", e->warehouse, sizeof e->warehouse);
	read_setting(line, " tz=", e->timezone, sizeof e->timezone);
}

static void run_file(struct engine *engine, const char *path)
{
	static struct expectation e;
	char line[TEXT_MAX];
	FILE *file = fopen(path, "r");
	bool open = false, wanted = false;

	if (!file) {
		printf("FAILED cannot read %s\n", path);
		failed++;
		return;
	}
	while (fgets(line, sizeof line, file)) {
		if (!strncmp(line, "=== ", 4)) {
			if (open)
				run_case(engine, &e);
			start_case(&e, line);
			open = true;
			wanted = false;
		} else if (!strcmp(line, "---\n")) {
			wanted = true;
		} else if (open && line[0] != '#' && (line[0] != '\n' || !wanted)) {
			add(wanted ? e.wanted : e.statement, line);
		}
	}
	if (open)
		run_case(engine, &e);
	fclose(file);
}

static int is_case_file(const struct dirent *entry)
{
	return strstr(entry->d_name, ".case") != NULL;
}

int main(int argc, char **argv)
{
	const char *dir = argc > 1 ? argv[1] : CORPUS_DIR;
	struct engine_options options = {.sample_data = true, .sample_scale = 0.01};
	char why[512] = "", path[4096];
	struct engine *engine = engine_open(&options, why, sizeof why);
	struct dirent **files = NULL;
	int n = engine ? scandir(dir, &files, is_case_file, alphasort) : 0;

	if (!engine || n <= 0) {
		printf("FAILED to start: %s\n0 passed, 1 failed\n", engine ? dir : why);
		return 1;
	}
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, files[i]->d_name);
		run_file(engine, path);
		free(files[i]);
	}
	free(files);
	engine_close(engine);
	printf("%d passed, %d failed\n", passed, failed);
	return failed ? 1 : 0;
}
