/* The toolset `classic`: list_databases, list_views, describe_view, query_view, under their old names and arguments. */
#include "tools_internal.h"

#include <string.h>

#define CLASSIC_ROWS 10 /* query_view's default */

int plan_list_databases(struct call *c)
{
	struct context x;
	int rc;

	arguments_window(c, SHOW_MAX);
	rc = arguments_context(c, &x);
	if (rc != ERR_OK)
		return rc;
	return plan_metadata(c, "SHOW DATABASES", &x, SHOW_MAX) ? ERR_OK : ERR_NOMEM;
}

void answer_list_databases(struct call *c)
{
	const struct statement *s = &c->plan[0];
	size_t name = statement_column(s, "name");

	if (s->state != STATEMENT_SUCCEEDED) {
		tool_statement_error(c, s);
		return;
	}
	buf_adds(&c->answer.text, "Available Snowflake databases:\n");
	for (size_t i = 0; i < statement_rows(s); i++) {
		const char *text = statement_cell(s, i, name);

		if (text && policy_allows_database(c->request->policy, text))
			buf_addf(&c->answer.text, "- %s\n", text);
	}
}

/* database[.schema] of the arguments, which the context then holds. */
static int view_scope(struct call *c, struct context *x, struct sql_name *scope)
{
	int rc = arguments_context(c, x);

	if (rc != ERR_OK)
		return rc;
	*scope = (struct sql_name){0};
	if (!x->database) {
		tool_error(c, ERR_INVALID_PARAMS, NULL, NULL, "database: missing");
		return ERR_INVALID_PARAMS;
	}
	scope->part[scope->n++] = x->database;
	if (x->schema)
		scope->part[scope->n++] = x->schema;
	return ERR_OK;
}

int plan_list_views(struct call *c)
{
	struct buf sql = buf_with_ceiling(4096);
	struct sql_name scope;
	struct context x;
	int rc;

	arguments_window(c, SHOW_MAX);
	rc = view_scope(c, &x, &scope);
	if (rc != ERR_OK)
		return rc;
	buf_addf(&sql, "SHOW VIEWS IN %s ", scope.n == 2 ? "SCHEMA" : "DATABASE");
	sql_quote_name(&sql, &scope);
	return plan_metadata(c, arena_text(c->arena, &sql), &x, SHOW_MAX) ? ERR_OK : ERR_NOMEM;
}

void answer_list_views(struct call *c)
{
	const struct statement *s = &c->plan[0];
	size_t name = statement_column(s, "name"), schema = statement_column(s, "schema_name");
	struct buf *b = &c->answer.text;

	if (s->state != STATEMENT_SUCCEEDED) {
		tool_statement_error(c, s);
		return;
	}
	buf_addf(b, "%zu views:\n", statement_rows(s));
	for (size_t i = 0; i < statement_rows(s); i++) {
		const char *in = statement_cell(s, i, schema), *text = statement_cell(s, i, name);

		buf_addf(b, "- %s%s%s\n", in ? in : "", in ? "." : "", text ? text : "");
	}
}

/* The three-part name of the arguments; the schema may come from the context. */
static int view_name(struct call *c, struct context *x, struct sql_name *name)
{
	const char *view;
	int rc = view_scope(c, x, name);

	if (rc == ERR_OK)
		rc = argument_ident(c, "view_name", &view);
	if (rc != ERR_OK)
		return rc;
	if (name->n == 1)
		name->part[name->n++] = "PUBLIC";
	name->part[name->n++] = view;
	return ERR_OK;
}

int plan_describe_view(struct call *c)
{
	struct buf describe = buf_with_ceiling(4096), ddl = buf_with_ceiling(8192), quoted = buf_with_ceiling(4096);
	struct sql_name name;
	struct context x;
	int rc;

	arguments_window(c, SHOW_MAX);
	rc = view_name(c, &x, &name);
	if (rc != ERR_OK)
		return rc;
	sql_quote_name(&quoted, &name);
	buf_addf(&describe, "DESCRIBE VIEW %s", buf_text(&quoted));
	buf_adds(&ddl, "SELECT GET_DDL('VIEW', ");
	sql_quote_string(&ddl, buf_text(&quoted));
	buf_addc(&ddl, ')');
	buf_free(&quoted);
	if (!plan_metadata(c, arena_text(c->arena, &describe), &x, SHOW_MAX) ||
	    !plan_metadata(c, arena_text(c->arena, &ddl), &x, 1))
		return ERR_NOMEM;
	return ERR_OK;
}

void answer_describe_view(struct call *c)
{
	const struct statement *columns = &c->plan[0], *ddl = &c->plan[1];
	size_t name = statement_column(columns, "name"), type = statement_column(columns, "type");
	size_t null = statement_column(columns, "null?");
	struct buf *b = &c->answer.text;

	if (columns->state != STATEMENT_SUCCEEDED) {
		tool_statement_error(c, columns);
		return;
	}
	for (size_t i = 0; i < statement_rows(columns); i++) {
		const char *n = statement_cell(columns, i, name), *t = statement_cell(columns, i, type);
		const char *nullable = statement_cell(columns, i, null);

		buf_addf(b, "- %s : %s %s\n", n ? n : "", t ? t : "",
			 nullable && *nullable == 'Y' ? "NULL" : "NOT NULL");
	}
	if (ddl->state == STATEMENT_SUCCEEDED && statement_cell(ddl, 0, 0))
		buf_addf(b, "\n```sql\n%s\n```\n", statement_cell(ddl, 0, 0));
}

int plan_query_view(struct call *c)
{
	struct buf sql = buf_with_ceiling(4096);
	struct sql_name name;
	struct statement *s;
	struct context x;
	int rc;

	arguments_window(c, CLASSIC_ROWS);
	rc = view_name(c, &x, &name);
	if (rc != ERR_OK)
		return rc;
	buf_adds(&sql, "SELECT * FROM ");
	sql_quote_name(&sql, &name);
	buf_addf(&sql, " LIMIT %zu", c->budget.rows);
	c->class = CLASS_READ;
	s = plan_add(c, STATEMENT_RUN, arena_text(c->arena, &sql), &x);
	return s ? statement_settings(c, s) : ERR_NOMEM;
}
