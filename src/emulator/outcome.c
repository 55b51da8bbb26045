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

void answer_column(struct engine_result *result, const char *name, const char *type, int precision, int scale,
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
char **answer_row(struct engine_result *result, size_t *capacity)
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

	for (idx_t i = 0; i < n && !(run->max_rows && result->sunk + result->rows_n == run->max_rows); i++) {
		char **row = answer_row(result, capacity);

		for (idx_t c = 0; c < result->columns_n; c++)
			row[c] = cell_text(duckdb_data_chunk_get_vector(chunk, c), types[c], i);
	}
}

/* The rows so far go to the sink. The columns stay, and the cells' memory for the next ones. */
static void sink_rows(struct run *run)
{
	struct engine_sink *sink = run->statement->sink;
	struct engine_result *result = run->result;

	if (!sink || !result->rows_n)
		return;
	sink->rows(sink, result);
	for (size_t i = 0; i < result->rows_n * result->columns_n; i++)
		free(result->cells[i]);
	result->sunk += result->rows_n;
	result->rows_n = 0;
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
	derive_columns(run, result);
	while ((chunk = duckdb_fetch_chunk(*source)) != NULL) {
		take_chunk(run, chunk, types, &capacity);
		duckdb_destroy_data_chunk(&chunk);
		sink_rows(run);
		if (run->max_rows && result->sunk + result->rows_n == run->max_rows)
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
	answer_column(run->result, "status", "text", -1, -1, 16777216);
	answer_row(run->result, &capacity)[0] = xstrdup(message);
}

static void add_count(struct engine_result *result, const char *name, int64_t value, int64_t *values)
{
	values[result->columns_n] = value;
	answer_column(result, name, "fixed", 19, 0, -1);
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
	row = answer_row(result, &capacity);
	for (size_t i = 0; i < result->columns_n; i++) {
		char text[32];

		snprintf(text, sizeof text, "%" PRId64, values[i]);
		row[i] = xstrdup(text);
	}
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
