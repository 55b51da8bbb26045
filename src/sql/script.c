/* A text of several statements, cut at the semicolons between them. */
#include "snowgate/err.h"
#include "snowgate/sql.h"

int sql_script(struct arena *a, struct slice sql, struct slice **statements, size_t *n)
{
	struct sql_lexer lexer;
	struct sql_token t;
	const char *from = sql.data;
	bool empty = true;

	*n = 0;
	*statements = arena_alloc(a, SQL_SCRIPT_MAX * sizeof **statements);
	if (!*statements)
		return ERR_NOMEM;
	sql_lexer_init(&lexer, sql);
	do {
		t = sql_next(&lexer);
		bool ends = t.kind == SQL_END || sql_token_is(&t, ";");

		if (!ends) {
			empty = false;
			continue;
		}
		if (!empty && *n == SQL_SCRIPT_MAX)
			return ERR_INVALID_PARAMS;
		if (!empty)
			(*statements)[(*n)++] = (struct slice){from, (size_t)(t.text.data - from)};
		from = t.text.data + t.text.n;
		empty = true;
	} while (t.kind != SQL_END && t.kind != SQL_BAD);
	if (t.kind == SQL_BAD) {
		(*statements)[0] = sql;
		*n = 1;
	}
	return ERR_OK;
}
