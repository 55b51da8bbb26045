/* What holds until the end of a request: transactions, session variables, session parameters. */
#include "engine_parts.h"

#include <stdio.h>
#include <string.h>
#include "rewriter.h"

#define VALUES_MAX 256

struct engine_session *engine_session_new(struct engine *engine)
{
	struct engine_session *session = xalloc(sizeof *session);

	session->engine = engine;
	if (duckdb_connect(engine->database, &session->connection) != DUCKDB_SUCCESS)
		session->connection = NULL;
	return session;
}

static void values_free(struct session_value *values, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(values[i].name);
		free(values[i].value);
	}
	free(values);
}

static void stop_writing(struct engine_session *session)
{
	if (session->is_writer)
		pthread_mutex_unlock(&session->engine->writing);
	session->is_writer = false;
}

void engine_session_free(struct engine_session *session)
{
	char why[256];

	if (!session)
		return;
	if (session->in_transaction)
		(void)run_all(session->connection, "ROLLBACK", why, sizeof why);
	stop_writing(session);
	if (session->connection)
		duckdb_disconnect(&session->connection);
	temporary_drop(session);
	values_free(session->variables, session->variables_n);
	values_free(session->parameters, session->parameters_n);
	free(session);
}

/* One writer at a time; inside a transaction until that ends. */
void writer_enters(struct run *run)
{
	if (run->session && run->session->is_writer)
		return;
	pthread_mutex_lock(&run->engine->writing);
	if (run->session)
		run->session->is_writer = true;
}

void writer_leaves(struct run *run)
{
	if (!run->session)
		pthread_mutex_unlock(&run->engine->writing);
	else if (!run->session->in_transaction)
		stop_writing(run->session);
}

/* ---- values ---- */

static const char *value_of(const struct session_value *values, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(values[i].name, name))
			return values[i].value;
	}
	return NULL;
}

/* NULL forgets the value. False when there are too many. */
static bool value_set(struct session_value **values, size_t *n, const char *name, const char *value)
{
	size_t i = 0;

	while (i < *n && strcmp((*values)[i].name, name))
		i++;
	if (i == *n && (!value || *n == VALUES_MAX))
		return !value;
	if (i == *n) {
		*values = xrealloc(*values, (*n + 1) * sizeof **values);
		(*values)[(*n)++] = (struct session_value){xstrdup(name), xstrdup(value)};
		return true;
	}
	free((*values)[i].value);
	(*values)[i].value = value ? xstrdup(value) : NULL;
	if (!value) {
		free((*values)[i].name);
		(*values)[i] = (*values)[--*n];
	}
	return true;
}

static bool session_fail(struct run *run, const char *code, const char *sqlstate, const char *message)
{
	struct failure failure;

	set_failure(&failure, code, sqlstate, "%s", message);
	answer_failure(run, &failure);
	return false;
}

static bool unknown_variable(struct run *run, const char *name)
{
	char message[PLAN_NAME_MAX + 64];

	(void)snprintf(message, sizeof message, "SQL compilation error:\nSession variable '$%s' does not exist", name);
	return session_fail(run, "000904", "42000", message);
}

/* $name, but not $1. */
static bool is_variable(const struct token *t, char *name, size_t size)
{
	const struct token bare = {TOKEN_WORD, t->text + 1, t->n - 1, false, LEX_NO_MATE};

	if (t->kind != TOKEN_VARIABLE || t->n < 2 || (t->text[1] >= '0' && t->text[1] <= '9'))
		return false;
	token_name(&bare, name, size);
	return true;
}

/* The statement with the values of $variables in their places. */
static bool variables_replaced(struct run *run, const char *sql, char **out)
{
	struct engine_session *s = run->session;
	struct buf text = buf_with_ceiling(PLAN_SQL_MAX);
	const char *from = sql, *value;
	char name[PLAN_NAME_MAX];
	struct tokens tokens;
	bool ok = true;

	lex_sql(sql, strlen(sql), &tokens);
	for (int i = 0; ok && i < tokens.n; i++) {
		const struct token *t = &tokens.items[i];

		if (!is_variable(t, name, sizeof name))
			continue;
		value = value_of(s->variables, s->variables_n, name);
		if (!value) {
			ok = unknown_variable(run, name);
		} else {
			buf_add(&text, from, (size_t)(t->text - from));
			buf_adds(&text, value);
			from = t->text + t->n;
		}
	}
	lex_free(&tokens);
	buf_adds(&text, from);
	*out = ok ? xstrdup(buf_text(&text)) : NULL;
	buf_free(&text);
	return ok;
}

static bool shows_parameters(const char *text)
{
	struct tokens tokens;
	bool shows;

	lex_sql(text, strlen(text), &tokens);
	shows = !tokens.fault && token_is(tokens.items, "SHOW") && token_is(&tokens.items[1], "PARAMETERS");
	lex_free(&tokens);
	return shows;
}

bool session_enter(struct run *run, struct engine_statement *statement, char **text)
{
	struct engine_session *s = run->session;
	const char *value;
	int64_t rows;

	if (!s)
		return true;
	if (!variables_replaced(run, statement->text, text))
		return false;
	statement->text = *text;
	if (shows_parameters(*text))
		statement->sink = NULL; /* session_keeps() needs the rows */
	value = value_of(s->parameters, s->parameters_n, "TIMEZONE");
	if (value)
		statement->context.timezone = value;
	value = value_of(s->parameters, s->parameters_n, "ROWS_PER_RESULTSET");
	if (value && parse_int(value, 0, INT32_MAX, &rows))
		run->max_rows = (size_t)rows;
	return true;
}

/* ---- transactions ---- */

static bool transaction_run(struct run *run, const char *sql)
{
	char why[512];

	if (run_all(run->connection, sql, why, sizeof why))
		return true;
	return session_fail(run, "000603", "XX000", why);
}

static bool transaction_end(struct run *run, const char *sql)
{
	struct engine_session *s = run->session;
	bool ok = !s->in_transaction || transaction_run(run, sql);

	s->in_transaction = false;
	stop_writing(s);
	return ok;
}

/* Snowflake's DDL commits what was open and is itself a transaction. */
bool session_commits(struct run *run)
{
	return !run->session || !run->session->in_transaction || transaction_end(run, "COMMIT");
}

/* A second BEGIN inside a transaction changes nothing. */
static void transaction_begin(struct run *run)
{
	if (!run->session->in_transaction)
		run->session->in_transaction = transaction_run(run, "BEGIN TRANSACTION");
}

static bool takes_transaction(struct run *run, const struct tokens *tokens)
{
	const struct token *t = tokens->items;
	bool begins = token_is(t, "BEGIN") && (tokens->n == 1 || token_in(t + 1, "|TRANSACTION|WORK|NAME|"));

	if (begins || (token_is(t, "START") && token_is(t + 1, "TRANSACTION")))
		transaction_begin(run);
	else if (token_is(t, "COMMIT") || token_is(t, "ROLLBACK"))
		(void)transaction_end(run, token_is(t, "COMMIT") ? "COMMIT" : "ROLLBACK");
	else
		return false;
	if (!run->result->code[0])
		answer_message(run, "Statement executed successfully.");
	return true;
}

/* ---- SET ---- */

static void add_variable_literal(struct buf *out, const struct engine_column *column, const char *text)
{
	static const char *const bare[] = {"fixed", "boolean"};

	for (size_t i = 0; text && i < ARRAY_LEN(bare); i++) {
		if (!strcmp(column->type, bare[i])) {
			buf_adds(out, text);
			return;
		}
	}
	if (text)
		add_literal(out, text);
	else
		buf_adds(out, "NULL");
	if (strcmp(column->type, "text"))
		buf_addf(out, "::%s", !strcmp(column->type, "real") ? "FLOAT" : column->type);
}

/* The values of the expressions, from their tokens to those of `end`, in one query. */
static bool set_values(struct run *run, const struct tokens *tokens, const int *from, const int *to, size_t n,
		       char (*names)[PLAN_NAME_MAX])
{
	struct buf sql = buf_with_ceiling(PLAN_SQL_MAX);
	struct engine_session *s = run->session;
	struct engine_result values;
	bool ok = true;

	for (size_t i = 0; i < n; i++) {
		const char *start = tokens->items[from[i]].text, *end = tokens->items[to[i] - 1].text;
		int length = (int)(end + tokens->items[to[i] - 1].n - start);

		buf_addf(&sql, "%s(%.*s), TO_VARCHAR((%.*s))", i ? ", " : "SELECT ", length, start, length, start);
	}
	run_text(run, buf_text(&sql), &values);
	if (values.code[0])
		ok = session_fail(run, values.code, values.sqlstate, values.message);
	else if (values.rows_n != 1)
		ok = session_fail(run, "001003", "42000", "SQL compilation error:\nsyntax error in SET.");
	for (size_t i = 0; ok && i < n; i++) {
		struct buf literal = buf_with_ceiling(PLAN_SQL_MAX);

		add_variable_literal(&literal, &values.columns[2 * i], values.cells[2 * i + 1]);
		if (!value_set(&s->variables, &s->variables_n, names[i], buf_text(&literal)))
			ok = session_fail(run, "000603", "XX000", "too many session variables");
		buf_free(&literal);
	}
	engine_result_free(&values);
	buf_free(&sql);
	return ok;
}

#define SET_MAX 16

/* `(a, b)` as runs of tokens between the commas; one without parentheses. */
static size_t list_cut(const struct tokens *tokens, int from, int to, int *starts, int *ends)
{
	bool listed = token_is_op(&tokens->items[from], "(") && tokens->items[from].mate == to - 1;
	size_t n = 0;

	from += listed;
	to -= listed;
	for (int i = from, start = from; i <= to && n < SET_MAX; i++) {
		if (i < to && tokens->items[i].mate > i) {
			i = tokens->items[i].mate;
		} else if (i == to || (listed && token_is_op(&tokens->items[i], ","))) {
			if (i == start)
				return 0;
			starts[n] = start;
			ends[n++] = i;
			start = i + 1;
		}
	}
	return n;
}

static bool run_set(struct run *run, const struct tokens *tokens)
{
	int names_from[SET_MAX], names_to[SET_MAX], from[SET_MAX], to[SET_MAX], equals = 1;
	char names[SET_MAX][PLAN_NAME_MAX];
	size_t n;

	while (equals < tokens->n && !token_is_op(&tokens->items[equals], "="))
		equals++;
	n = equals < tokens->n ? list_cut(tokens, 1, equals, names_from, names_to) : 0;
	if (!n || equals + 1 >= tokens->n || list_cut(tokens, equals + 1, tokens->n, from, to) != n)
		return session_fail(run, "001003", "42000", "SQL compilation error:\nsyntax error in SET.");
	for (size_t i = 0; i < n; i++)
		token_name(&tokens->items[names_from[i]], names[i], sizeof names[i]);
	return set_values(run, tokens, from, to, n, names);
}

static bool takes_variables(struct run *run, const struct tokens *tokens)
{
	struct engine_session *s = run->session;
	const struct token *t = tokens->items;
	char name[PLAN_NAME_MAX];

	if (token_is(t, "SET")) {
		(void)run_set(run, tokens);
	} else if (token_is(t, "UNSET")) {
		for (int i = 1; i < tokens->n; i++) {
			token_name(&t[i], name, sizeof name);
			(void)value_set(&s->variables, &s->variables_n, name, NULL);
		}
	} else {
		return false;
	}
	if (!run->result->code[0])
		answer_message(run, "Statement executed successfully.");
	return true;
}

bool session_takes(struct run *run, const char *text)
{
	struct tokens tokens;
	bool taken;

	if (!run->session)
		return false;
	lex_sql(text, strlen(text), &tokens);
	taken = !tokens.fault && tokens.n && (takes_transaction(run, &tokens) || takes_variables(run, &tokens));
	lex_free(&tokens);
	return taken;
}

/* ---- ALTER SESSION ---- */

static size_t column_named(const struct engine_result *result, const char *name)
{
	size_t i = 0;

	while (i < result->columns_n && strcmp(result->columns[i].name, name))
		i++;
	return i;
}

static void cell_set(char **cell, const char *text)
{
	free(*cell);
	*cell = xstrdup(text);
}

/* SHOW PARAMETERS knows the account's values; those of the session go over them. */
static void parameters_show(struct run *run)
{
	struct engine_result *r = run->result;
	size_t key = column_named(r, "key"), value = column_named(r, "value"), level = column_named(r, "level");

	if (key == r->columns_n || value == r->columns_n || level == r->columns_n)
		return;
	for (size_t i = 0; i < r->rows_n; i++) {
		char **row = r->cells + i * r->columns_n;
		const char *own = value_of(run->session->parameters, run->session->parameters_n, row[key]);

		if (!own)
			continue;
		cell_set(&row[value], own);
		cell_set(&row[level], "SESSION");
	}
}

/* Macros read a parameter as the variable sf_parameter_<name>. */
static void parameter_set(struct run *run, const char *name, const char *value)
{
	struct engine_session *s = run->session;
	struct buf sql = buf_with_ceiling(1 << 16);
	char why[256], lower[64];
	size_t n;

	if (!value_set(&s->parameters, &s->parameters_n, name, value))
		return;
	for (n = 0; name[n] && n + 1 < sizeof lower; n++)
		lower[n] = (char)(name[n] >= 'A' && name[n] <= 'Z' ? name[n] + 32 : name[n]);
	lower[n] = 0;
	buf_addf(&sql, "SET VARIABLE sf_parameter_%s = CAST(", lower);
	if (value)
		add_literal(&sql, value);
	else
		buf_adds(&sql, "NULL");
	buf_adds(&sql, " AS VARCHAR)");
	(void)run_all(run->connection, buf_text(&sql), why, sizeof why);
	buf_free(&sql);
}

static int parameter_take(struct run *run, const struct tokens *tokens, int i, bool set)
{
	const struct token *t = tokens->items;
	struct buf value = buf_with_ceiling(1 << 16);
	char name[64];

	token_name(&t[i], name, sizeof name);
	if (!set) {
		parameter_set(run, name, NULL);
		return i + 1;
	}
	i += 2;
	if (token_is_op(&t[i], "-")) {
		buf_adds(&value, "-");
		i++;
	}
	if (t[i].kind == TOKEN_STRING)
		token_string(&t[i], &value);
	else
		buf_add(&value, t[i].text, t[i].n);
	if (i < tokens->n)
		parameter_set(run, name, buf_text(&value));
	buf_free(&value);
	return i + 1;
}

/* The rewriter has accepted the statement: its form is right. */
void session_keeps(struct run *run, const char *text)
{
	struct tokens tokens;

	if (!run->session || run->result->code[0])
		return;
	if (shows_parameters(text))
		parameters_show(run);
	lex_sql(text, strlen(text), &tokens);
	if (!tokens.fault && token_is(tokens.items, "ALTER") && token_is(&tokens.items[1], "SESSION")) {
		bool set = token_is(&tokens.items[2], "SET");

		for (int i = 3; i < tokens.n;)
			i = token_is_op(&tokens.items[i], ",") ? i + 1 : parameter_take(run, &tokens, i, set);
	}
	lex_free(&tokens);
}
