/* The engine's own questions to its database. */
#include "engine_parts.h"

#include <stdio.h>
#include <string.h>

/* The first cell of the first row as a number. False when the question could not be asked. */
bool ask(duckdb_connection connection, const char *sql, const char *const *arguments, size_t n, int64_t *number)
{
	duckdb_prepared_statement prepared = NULL;
	duckdb_result result;
	duckdb_data_chunk chunk;
	bool ok = duckdb_prepare(connection, sql, &prepared) == DUCKDB_SUCCESS;

	*number = 0;
	for (size_t i = 0; ok && i < n; i++)
		duckdb_bind_varchar_length(prepared, i + 1, arguments[i], strlen(arguments[i]));
	if (ok) {
		ok = duckdb_execute_prepared(prepared, &result) == DUCKDB_SUCCESS;
		chunk = ok ? duckdb_fetch_chunk(result) : NULL;
		if (chunk) {
			if (duckdb_data_chunk_get_size(chunk))
				*number = *(int64_t *)duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
			duckdb_destroy_data_chunk(&chunk);
		}
		duckdb_destroy_result(&result);
	}
	duckdb_destroy_prepare(&prepared);
	return ok;
}

bool run_all(duckdb_connection connection, const char *sql, char *why, size_t size)
{
	duckdb_result result;
	bool ok = duckdb_query(connection, sql, &result) == DUCKDB_SUCCESS;

	if (!ok)
		snprintf(why, size, "%s", duckdb_result_error(&result));
	duckdb_destroy_result(&result);
	return ok;
}

void run_failed(struct run *run, duckdb_result *result)
{
	struct failure failure;

	translate_error(duckdb_result_error_type(result), duckdb_result_error(result), run->statement->text, &failure);
	duckdb_destroy_result(result);
	answer_failure(run, &failure);
}
