/* write_semantic_view_query and query_semantic_view: dimensions, metrics and facts become one SELECT. */
#include "sets.h"

#include <stdio.h>
#include <string.h>

#define QUERY_BYTES (64 * 1024)

static int refuse(struct call *c, const char *argument, const char *why)
{
	tool_error(c, ERR_INVALID_PARAMS, NULL, NULL, "%s: %s", argument, why);
	return ERR_INVALID_PARAMS;
}

/* {"table","name"} as TABLE.NAME, each plain or in quotes. */
static int expression_add(struct call *c, struct buf *b, const char *list, const json_t *expression)
{
	const char *table = json_text_of(expression, "table"), *name = json_text_of(expression, "name");
	struct sql_name quoted = {2,
				  {table ? sql_ident_fold(c->arena, slice_of(table)) : NULL,
				   name ? sql_ident_fold(c->arena, slice_of(name)) : NULL}};

	if (!quoted.part[0] || !quoted.part[1])
		return refuse(c, list, "each needs `table` and `name`, both identifiers");
	sql_quote_name(b, &quoted);
	return ERR_OK;
}

static int list_add(struct call *c, struct buf *b, const char *list, const char *word)
{
	const json_t *all = json_object_get(c->arguments, list);

	for (size_t i = 0; i < json_array_size(all); i++) {
		int rc;

		if (i)
			buf_adds(b, ", ");
		else
			buf_addf(b, " %s ", word);
		if ((rc = expression_add(c, b, list, json_array_get(all, i))) != ERR_OK)
			return rc;
	}
	return ERR_OK;
}

/* What Snowflake does not take is said before it is asked. */
static int lists_check(struct call *c)
{
	size_t dimensions = json_array_size(json_object_get(c->arguments, "dimensions"));
	size_t metrics = json_array_size(json_object_get(c->arguments, "metrics"));
	size_t facts = json_array_size(json_object_get(c->arguments, "facts"));

	if (!dimensions && !metrics && !facts)
		return refuse(c, "dimensions",
			      "name at least one dimension, metric or fact; show_semantic_dimensions and "
			      "show_semantic_metrics tell them");
	if (metrics && facts)
		return refuse(c, "facts", "cannot stand beside metrics; ask for them in another query");
	return ERR_OK;
}

/* Clauses go in as they are: the guard reads the whole. A line end keeps a comment from taking what follows. */
static void clause_add(struct call *c, struct buf *b, const char *argument, const char *words)
{
	const char *text = json_text_of(c->arguments, argument);

	if (text && *text)
		buf_addf(b, "\n%s %s", words, text);
}

static int query_build(struct call *c, const struct sql_name *view, struct buf *b)
{
	int64_t limit = argument_int(c->arguments, "limit", 0);
	int rc = lists_check(c);

	buf_adds(b, "SELECT * FROM SEMANTIC_VIEW(");
	sql_quote_name(b, view);
	if (rc == ERR_OK)
		rc = list_add(c, b, "dimensions", "DIMENSIONS");
	if (rc == ERR_OK)
		rc = list_add(c, b, "metrics", "METRICS");
	if (rc == ERR_OK)
		rc = list_add(c, b, "facts", "FACTS");
	buf_addc(b, ')');
	clause_add(c, b, "where_clause", "WHERE");
	clause_add(c, b, "order_by", "ORDER BY");
	if (limit > 0)
		buf_addf(b, "\nLIMIT %lld", (long long)limit);
	return rc;
}

/* The whole statement as a client's own would be judged. */
static int query_judge(struct call *c, const char *sql, const struct context *x)
{
	struct guard_verdict v;

	if (guard_check(c->arena, slice_of(sql), CLASS_READ, &v) != ERR_OK)
		return refuse_memory(c);
	if (!v.allowed)
		return guard_refused(c, &v);
	return within_databases(c, sql, x);
}

/* The statement, allowed; NULL with the answer filled. */
static const char *query_text(struct call *c, struct context *x)
{
	struct buf b = buf_with_ceiling(QUERY_BYTES);
	struct sql_name view;
	const char *sql = NULL;
	int rc = semantic_place(c, x, 3, 3, &view);

	if (rc == ERR_OK)
		rc = query_build(c, &view, &b);
	if (rc == ERR_OK && !x->database) { /* where it lies was judged */
		x->database = view.part[0];
		x->schema = view.part[1];
	}
	if (rc == ERR_OK) {
		sql = arena_text(c->arena, &b);
		rc = sql ? query_judge(c, sql, x) : refuse_memory(c);
	}
	buf_free(&b);
	return rc == ERR_OK ? sql : NULL;
}

int plan_semantic_query(struct call *c)
{
	struct context x;
	struct statement *s;
	const char *sql;

	arguments_window(c, (size_t)c->request->conf->results_default_rows);
	sql = query_text(c, &x);
	if (!sql)
		return ERR_INVALID_PARAMS;
	if (!(s = plan_add(c, STATEMENT_RUN, sql, &x)))
		return ERR_NOMEM;
	c->class = CLASS_READ;
	return statement_settings(c, s);
}

/* No statement: the answer is the text. */
int plan_semantic_write(struct call *c)
{
	struct context x;
	const char *sql = query_text(c, &x);

	if (!sql)
		return ERR_INVALID_PARAMS;
	c->tool_state = (void *)sql;
	return ERR_OK;
}

void answer_semantic_write(struct call *c)
{
	buf_adds(&c->answer.text, c->tool_state);
}
