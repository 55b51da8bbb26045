/* Takes one statement apart: counts, classifies, and hands it to the file that knows its kind. */
#include "rewriter.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

void plan_fail(struct plan *plan, const char *code, const char *sqlstate, const char *format, ...)
{
	va_list args;

	if (plan->kind == PLAN_ERROR && plan->failure.code[0])
		return;
	plan->kind = PLAN_ERROR;
	snprintf(plan->failure.code, sizeof plan->failure.code, "%s", code);
	snprintf(plan->failure.sqlstate, sizeof plan->failure.sqlstate, "%s", sqlstate);
	va_start(args, format);
	vsnprintf(plan->failure.message, sizeof plan->failure.message, format, args);
	va_end(args);
}

void plan_unsupported(struct plan *plan, const char *feature)
{
	plan_fail(plan, "000002", "0A000", "Unsupported feature '%s'.", feature);
}

void plan_free(struct plan *plan)
{
	buf_free(&plan->before);
	buf_free(&plan->sql);
	buf_free(&plan->after);
}

static bool is_scripting(const struct rewriter *r)
{
	const struct token *t = r->t;

	if (token_is(t, "DECLARE"))
		return true;
	if (token_is(t, "EXECUTE") && token_is(t + 1, "IMMEDIATE"))
		return true;
	return token_is(t, "BEGIN") && t[1].kind != TOKEN_END && !token_is_op(t + 1, ";") &&
	       !token_in(t + 1, "|TRANSACTION|WORK|NAME|");
}

/* Ends the token list behind the first statement; fails unless it is the only one. */
static void keep_one_statement(struct rewriter *r)
{
	int statements = 0, first_end = r->tokens.n, first = 0;

	for (int i = 0, start = 0; i <= r->tokens.n; i++) {
		if (i < r->tokens.n && !token_is_op(&r->t[i], ";"))
			continue;
		if (i > start && ++statements == 1) {
			first_end = i;
			first = start;
		}
		start = i + 1;
	}
	if (statements == 0)
		plan_fail(r->plan, "000900", "42601", "SQL compilation error:\nEmpty SQL statement.");
	if (statements > 1)
		plan_fail(r->plan, "000008", "0A000",
			  "Actual statement count %d did not match the desired statement count 1.", statements);
	for (int i = first_end; i < r->tokens.n; i++)
		r->t[i] = (struct token){TOKEN_END, r->t[first_end].text, 0, false, LEX_NO_MATE};
	if (first) {
		for (int i = 0; i < first; i++)
			r->t[i].kind = TOKEN_END;
		plan_fail(r->plan, "001003", "42000",
			  "SQL compilation error:\nsyntax error line 1 at position 0 unexpected ';'.");
	}
	r->tokens.n = first_end;
}

static void check_unsupported(struct rewriter *r)
{
	for (int i = 0; i < r->tokens.n; i++) {
		const struct token *t = &r->t[i];

		if (token_is(t, "MATCH_RECOGNIZE") && token_is_op(t + 1, "("))
			plan_unsupported(r->plan, "MATCH_RECOGNIZE");
		else if (token_is(t, "CONNECT") && token_is(t + 1, "BY"))
			plan_unsupported(r->plan, "CONNECT BY");
		else if (token_is(t, "CORTEX") && token_is_op(t + 1, "."))
			plan_unsupported(r->plan, "SNOWFLAKE.CORTEX");
	}
}

/* Objects of our own and of DuckDB's are nobody's to name. */
static void check_hidden_names(struct rewriter *r)
{
	char name[PLAN_NAME_MAX];

	for (int i = 0; i < r->tokens.n; i++) {
		if (!token_is_name(&r->t[i]))
			continue;
		token_name(&r->t[i], name, sizeof name);
		if (!strncasecmp(name, "_SF_", 4) || !strcasecmp(name, "_SF") || !strcasecmp(name, "_seq"))
			plan_fail(r->plan, "000904", "42000", "SQL compilation error:\ninvalid identifier '%s'", name);
	}
}

static void rewrite_query(struct rewriter *r)
{
	r->plan->kind = PLAN_QUERY;
	emit_range(r, 0, r->tokens.n, EMIT_EXPRESSION, &r->plan->sql);
}

/* ---- DML ---- */

static void set_write_target(struct rewriter *r, int name_at)
{
	struct name name;

	parse_name(r, name_at, &name);
	if (!name.parts) {
		fail_at(r, &r->t[name_at]);
		return;
	}
	r->plan->writes = true;
	snprintf(r->plan->write_target, sizeof r->plan->write_target, "table '%s'", name.part[name.parts - 1]);
}

static void rewrite_insert(struct rewriter *r)
{
	int at = 1;

	if (token_in(&r->t[at], "|ALL|FIRST|")) {
		plan_unsupported(r->plan, "multi-table INSERT");
		return;
	}
	if (token_is(&r->t[at], "OVERWRITE")) {
		struct name name;

		parse_name(r, at + 2, &name);
		buf_adds(&r->plan->before, "DELETE FROM ");
		emit_object(r, &name, PLAN_TABLE, &r->plan->before);
		at++;
	}
	if (!token_is(&r->t[at], "INTO")) {
		fail_at(r, &r->t[at]);
		return;
	}
	set_write_target(r, at + 1 + token_is(&r->t[at + 1], "TABLE"));
	buf_adds(&r->plan->sql, "INSERT ");
	emit_range(r, at, r->tokens.n, EMIT_TABLES, &r->plan->sql);
}

static void rewrite_dml(struct rewriter *r)
{
	struct plan *plan = r->plan;

	if (token_is(r->t, "INSERT")) {
		plan->kind = PLAN_INSERT;
		rewrite_insert(r);
		return;
	}
	plan->kind = token_is(r->t, "UPDATE") ? PLAN_UPDATE : token_is(r->t, "DELETE") ? PLAN_DELETE : PLAN_MERGE;
	set_write_target(r, plan->kind == PLAN_UPDATE ? 1 : 2);
	emit_range(r, 0, r->tokens.n, EMIT_EXPRESSION, &plan->sql);
	if (plan->kind == PLAN_MERGE)
		buf_adds(&plan->sql, " RETURNING merge_action");
}

/* ---- EXPLAIN, CALL ---- */

static void rewrite_explain(struct rewriter *r)
{
	int at = 1;

	if (token_is(&r->t[at], "USING")) {
		if (!token_in(&r->t[at + 1], "|TEXT|TABULAR|JSON|")) {
			fail_at(r, &r->t[at + 1]);
			return;
		}
		snprintf(r->plan->message, sizeof r->plan->message, "%.*s", (int)r->t[at + 1].n, r->t[at + 1].text);
		at += 2;
	}
	if (!token_in(&r->t[at], "|SELECT|WITH|INSERT|UPDATE|DELETE|MERGE|")) {
		fail_at(r, &r->t[at]);
		return;
	}
	r->plan->kind = PLAN_EXPLAIN;
	emit_range(r, at, r->tokens.n, EMIT_EXPRESSION, &r->plan->sql);
}

static void rewrite_call(struct rewriter *r)
{
	if (!token_is(&r->t[1], "SYSTEM$WAIT") || !token_is_op(&r->t[2], "(")) {
		plan_unsupported(r->plan, "CALL of a stored procedure");
		return;
	}
	r->plan->kind = PLAN_QUERY;
	buf_adds(&r->plan->sql, "SELECT ");
	emit_call(r, 1, &r->plan->sql);
	buf_adds(&r->plan->sql, " AS \"SYSTEM$WAIT\"");
}

static void rewrite_kind(struct rewriter *r)
{
	const struct token *t = r->t;

	if (token_in(t, "|SELECT|WITH|") || token_is_op(t, "(") || (token_is(t, "VALUES") && token_is_op(t + 1, "(")))
		rewrite_query(r);
	else if (token_in(t, "|INSERT|UPDATE|DELETE|MERGE|"))
		rewrite_dml(r);
	else if (token_is(t, "EXPLAIN"))
		rewrite_explain(r);
	else if (token_is(t, "CALL"))
		rewrite_call(r);
	else if (token_in(t, "|COPY|PUT|GET|LIST|LS|REMOVE|RM|"))
		plan_unsupported(r->plan, "stage access");
	else if (!rewrite_show(r) && !rewrite_session(r) && !rewrite_ddl(r))
		fail_at(r, t);
}

static void rewrite_tokens(struct rewriter *r)
{
	if (r->tokens.fault == LEX_TOO_DEEP || r->tokens.fault == LEX_TOO_LONG) {
		plan_fail(r->plan, "000603", "XX000",
			  "SQL compilation error:\nstatement is too large or nested too deeply.");
		return;
	}
	if (r->tokens.fault) {
		fail_at(r, &r->t[r->tokens.fault_at]);
		return;
	}
	if (is_scripting(r))
		plan_unsupported(r->plan, "Snowflake Scripting");
	else
		keep_one_statement(r);
	if (r->plan->failure.code[0])
		return;
	r->plan->kind = PLAN_QUERY;
	check_unsupported(r);
	check_hidden_names(r);
	if (r->plan->kind != PLAN_ERROR)
		rewrite_kind(r);
}

void rewrite_statement(const struct engine_statement *statement, struct plan *plan)
{
	struct rewriter r = {.plan = plan,
			     .context = &statement->context,
			     .bindings = statement->bindings,
			     .bindings_n = statement->bindings_n};

	memset(plan, 0, sizeof *plan);
	plan->use = PLAN_USE_NOTHING;
	plan->before = buf_with_ceiling(PLAN_SQL_MAX);
	plan->sql = buf_with_ceiling(PLAN_SQL_MAX);
	plan->after = buf_with_ceiling(PLAN_SQL_MAX);
	plan->kind = PLAN_QUERY;
	lex_sql(statement->text, strlen(statement->text), &r.tokens);
	r.t = r.tokens.items;
	rewrite_tokens(&r);
	lex_free(&r.tokens);
}
