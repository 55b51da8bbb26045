/* Temporary tables of a request of several statements: ordinary ones that go when the request ends. */
#include "engine_parts.h"

#include <string.h>
#include "rewriter.h"

/* The token of TEMPORARY in CREATE [OR REPLACE] [LOCAL | GLOBAL] TEMPORARY TABLE, or 0; *name is that of the table. */
static int temporary_at(const struct tokens *tokens, int *name)
{
	const struct token *t = tokens->items;
	int at = 1, found;

	if (!token_is(t, "CREATE"))
		return 0;
	at += token_is(&t[at], "OR") ? 2 : 0;
	at += token_in(&t[at], "|LOCAL|GLOBAL|");
	found = at;
	if (!token_in(&t[at], "|TEMPORARY|TEMP|VOLATILE|") || !token_is(&t[at + 1], "TABLE"))
		return 0;
	at += 2;
	at += token_is(&t[at], "IF") ? 3 : 0;
	*name = at;
	return token_is_name(&t[at]) ? found : 0;
}

static void temporary_add(struct engine_session *session, const struct engine_context *context, const char *name,
			  size_t n)
{
	struct session_table table = {.name = xstrndup(name, n),
				      .role = context->role ? xstrdup(context->role) : NULL,
				      .database = context->database ? xstrdup(context->database) : NULL,
				      .schema = context->schema ? xstrdup(context->schema) : NULL};

	session->tables = xrealloc(session->tables, (session->tables_n + 1) * sizeof table);
	session->tables[session->tables_n++] = table;
}

bool temporary_takes(struct run *run, const char *sql, char **out)
{
	struct buf text = buf_with_ceiling(PLAN_SQL_MAX);
	struct tokens tokens;
	int at, first, last;

	lex_sql(sql, strlen(sql), &tokens);
	at = tokens.fault ? 0 : temporary_at(&tokens, &first);
	if (at) {
		const struct token *t = tokens.items;

		last = first;
		while (token_is_op(&t[last + 1], ".") && token_is_name(&t[last + 2]))
			last += 2;
		temporary_add(run->session, &run->context, t[first].text,
			      (size_t)(t[last].text + t[last].n - t[first].text));
		buf_add(&text, sql, (size_t)(t[at].text - sql));
		buf_adds(&text, t[at].text + t[at].n);
		*out = xstrdup(buf_text(&text));
	}
	lex_free(&tokens);
	buf_free(&text);
	return at > 0;
}

static void table_drop(struct engine *engine, const struct session_table *table)
{
	struct buf sql = buf_with_ceiling(4096);
	struct engine_statement statement = {
	    .context = {.role = table->role, .database = table->database, .schema = table->schema}};
	struct engine_result result;

	buf_addf(&sql, "DROP TABLE IF EXISTS %s", table->name);
	statement.text = buf_text(&sql);
	engine_run(engine, NULL, &statement, 0, &result);
	engine_result_free(&result);
	buf_free(&sql);
}

/* Newest first, each in the context in which it was made. */
void temporary_drop(struct engine_session *session)
{
	while (session->tables_n) {
		struct session_table *table = &session->tables[--session->tables_n];

		table_drop(session->engine, table);
		free(table->name);
		free(table->role);
		free(table->database);
		free(table->schema);
	}
	free(session->tables);
}
