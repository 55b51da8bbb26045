/* Fills the result of a run: rows, counters, messages, failures. */
#include "engine_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "values.h"

static void clear_result(struct engine_result *result)
{
	engine_result_free(result);
	memset(result, 0, sizeof *result);
}

void answer_failure(struct run *run, const struct failure *failure)
{
	clear_result(run->result);
	snprintf(run->result->code, sizeof run->result->code, "%s", failure->code);
	snprintf(run->result->sqlstate, sizeof run->result->sqlstate, "%s", failure->sqlstate);
	run->result->message = xstrdup(failure->message);
}

static void add_column(struct engine_result *result, const char *name, const char *type, int precision, int scale,
		       int64_t length)
{
	result->columns = xrealloc(result->columns, (result->columns_n + 1) * sizeof *result->columns);
	result->columns[result->columns_n++] = (struct engine_column){.name = xstrdup(name),
								      .type = xstrdup(type),
								      .precision = precision,
								      .scale = scale,
								      .length = length,
								      .byte_length = length,
								      .nullable = true};
}

/* Room for one more row, all NULL. */
static char **add_row(struct engine_result *result, size_t *capacity)
{
	char **row;

	if (result->rows_n == *capacity) {
		*capacity = *capacity ? *capacity * 2 : 64;
		result->cells = xrealloc(result->cells, *capacity * result->columns_n * sizeof *result->cells);
	}
	row = &result->cells[result->rows_n++ * result->columns_n];
	memset(row, 0, result->columns_n * sizeof *row);
	return row;
}

static void take_chunk(struct run *run, duckdb_data_chunk chunk, duckdb_logical_type *types, size_t *capacity)
{
	struct engine_result *result = run->result;
	idx_t n = duckdb_data_chunk_get_size(chunk);

	for (idx_t i = 0; i < n && !(run->max_rows && result->rows_n == run->max_rows); i++) {
		char **row = add_row(result, capacity);

		for (idx_t c = 0; c < result->columns_n; c++)
			row[c] = cell_text(duckdb_data_chunk_get_vector(chunk, c), types[c], i);
	}
}

void take_rows(struct run *run, duckdb_result *source)
{
	struct engine_result *result = run->result;
	idx_t columns = duckdb_column_count(source);
	duckdb_logical_type *types = xalloc((columns + 1) * sizeof(duckdb_logical_type));
	duckdb_data_chunk chunk;
	size_t capacity = 0;

	result->columns = xalloc((columns + 1) * sizeof *result->columns);
	result->columns_n = columns;
	for (idx_t c = 0; c < columns; c++) {
		describe_column(source, c, &result->columns[c]);
		types[c] = duckdb_column_logical_type(source, c);
	}
	while ((chunk = duckdb_fetch_chunk(*source)) != NULL) {
		take_chunk(run, chunk, types, &capacity);
		duckdb_destroy_data_chunk(&chunk);
		if (run->max_rows && result->rows_n == run->max_rows)
			break;
	}
	for (idx_t c = 0; c < columns; c++)
		duckdb_destroy_logical_type(&types[c]);
	free(types);
}

void answer_message(struct run *run, const char *message)
{
	size_t capacity = 0;

	clear_result(run->result);
	add_column(run->result, "status", "text", -1, -1, 16777216);
	add_row(run->result, &capacity)[0] = xstrdup(message);
}

static void add_count(struct engine_result *result, const char *name, int64_t value, int64_t *values)
{
	values[result->columns_n] = value;
	add_column(result, name, "fixed", 19, 0, -1);
}

/* MERGE returns one word per row: INSERT, UPDATE or DELETE. */
static void count_merge(struct engine_result *result, duckdb_result *source)
{
	duckdb_data_chunk chunk;

	while ((chunk = duckdb_fetch_chunk(*source)) != NULL) {
		const duckdb_string_t *words = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
		idx_t n = duckdb_data_chunk_get_size(chunk);

		for (idx_t i = 0; i < n; i++) {
			char first = words[i].value.inlined.inlined[0];

			*(first == 'I' ? &result->inserted : first == 'D' ? &result->deleted : &result->updated) += 1;
		}
		duckdb_destroy_data_chunk(&chunk);
	}
}

static bool mentions(const struct run *run, const char *word)
{
	return strcasestr(run->statement->text, word) != NULL;
}

void answer_counts(struct run *run, duckdb_result *source)
{
	struct engine_result *result = run->result;
	enum plan_kind kind = run->plan->kind;
	int64_t changed = (int64_t)duckdb_rows_changed(source), values[4];
	size_t capacity = 0;
	char **row;

	result->has_stats = true;
	if (kind == PLAN_MERGE)
		count_merge(result, source);
	else
		*(kind == PLAN_INSERT   ? &result->inserted
		  : kind == PLAN_UPDATE ? &result->updated
					: &result->deleted) = changed;
	if (kind == PLAN_INSERT || (kind == PLAN_MERGE && mentions(run, "insert")))
		add_count(result, "number of rows inserted", result->inserted, values);
	if (kind == PLAN_UPDATE || (kind == PLAN_MERGE && mentions(run, "update")))
		add_count(result, "number of rows updated", result->updated, values);
	if (kind == PLAN_UPDATE)
		add_count(result, "number of multi-joined rows updated", 0, values);
	if (kind == PLAN_DELETE || (kind == PLAN_MERGE && mentions(run, "delete")))
		add_count(result, "number of rows deleted", result->deleted, values);
	row = add_row(result, &capacity);
	for (size_t i = 0; i < result->columns_n; i++) {
		char text[32];

		snprintf(text, sizeof text, "%" PRId64, values[i]);
		row[i] = xstrdup(text);
	}
}

/* EXPLAIN: the shape of Snowflake's plans; the operations are the objects read and the result. */
static void answer_tabular(struct run *run)
{
	static const char *const NAMES[] = {
	    "step",  "id",          "parent",          "operation",          "objects",
	    "alias", "expressions", "partitionsTotal", "partitionsAssigned", "bytesAssigned"};
	struct engine_result *result = run->result;
	size_t capacity = 0;

	for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
		bool number = i < 3 || i > 6;

		add_column(result, NAMES[i], number ? "fixed" : "text", number ? 38 : -1, number ? 0 : -1,
			   number ? -1 : 16777216);
	}
	char **row = add_row(result, &capacity);
	row[3] = xstrdup("GlobalStats");
	row[7] = xstrdup("0");
	row[8] = xstrdup("0");
	row[9] = xstrdup("0");
	for (size_t i = 0; i <= run->plan->objects_n; i++) {
		const struct plan_object *o = i ? &run->plan->objects[i - 1] : NULL;
		char text[4 * PLAN_NAME_MAX];

		row = add_row(result, &capacity);
		row[0] = xstrdup("1");
		snprintf(text, sizeof text, "%zu", i);
		row[1] = xstrdup(text);
		row[2] = o ? xstrdup("0") : NULL;
		row[3] = xstrdup(o ? "TableScan" : "Result");
		if (o) {
			snprintf(text, sizeof text, "%s.%s.%s", o->database, o->schema, o->name);
			row[4] = xstrdup(text);
		}
	}
}

static void answer_content(struct run *run, bool json)
{
	struct buf out = buf_with_ceiling(1 << 20);
	size_t capacity = 0;

	buf_adds(&out, json ? "{\"GlobalStats\":{\"partitionsTotal\":0,\"partitionsAssigned\":0,\"bytesAssigned\":0},"
			      "\"Operations\":[[{\"id\":0,\"operation\":\"Result\"}"
			    : "GlobalStats:\n\tpartitionsTotal=0\n\tpartitionsAssigned=0\n\tbytesAssigned="
			      "0\nOperations:\n1:0     ->Result\n");
	for (size_t i = 0; i < run->plan->objects_n; i++) {
		const struct plan_object *o = &run->plan->objects[i];

		if (json)
			buf_addf(&out,
				 ",{\"id\":%zu,\"operation\":\"TableScan\",\"objects\":[\"%s.%s.%s\"],"
				 "\"parentOperators\":[0]}",
				 i + 1, o->database, o->schema, o->name);
		else
			buf_addf(&out, "1:%zu          ->TableScan  %s.%s.%s\n", i + 1, o->database, o->schema,
				 o->name);
	}
	buf_adds(&out, json ? "]]}" : "");
	add_column(run->result, "content", "text", -1, -1, 16777216);
	add_row(run->result, &capacity)[0] = xstrdup(buf_text(&out));
	buf_free(&out);
}

void answer_plan(struct run *run)
{
	const char *form = run->plan->message;

	if (!strcasecmp(form, "TEXT") || !strcasecmp(form, "JSON"))
		answer_content(run, !strcasecmp(form, "JSON"));
	else
		answer_tabular(run);
}

void engine_result_free(struct engine_result *result)
{
	for (size_t i = 0; i < result->columns_n; i++) {
		free(result->columns[i].name);
		free(result->columns[i].type);
	}
	for (size_t i = 0; i < result->rows_n * result->columns_n; i++)
		free(result->cells[i]);
	free(result->columns);
	free(result->cells);
	free(result->message);
	free(result->use_database);
	free(result->use_schema);
	free(result->use_warehouse);
	free(result->use_role);
	memset(result, 0, sizeof *result);
}
