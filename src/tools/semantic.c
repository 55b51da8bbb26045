/* The toolset `semantic`: what semantic views there are, and what is in them. */
#include "sets.h"

#include <string.h>

static int refuse(struct call *c, enum err err, const char *argument, const char *why)
{
	tool_error(c, err, NULL, NULL, "%s: %s", argument, why);
	return (int)err;
}

/* ---- the place ---- */

static int place_arguments(struct call *c, const char *part[3])
{
	static const char *const names[] = {"database_name", "schema_name", "view_name"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (argument_ident(c, names[i], &part[i]) != ERR_OK)
			return ERR_INVALID_PARAMS;
	return ERR_OK;
}

/* The schema of the context is only that of its database. */
static void place_complete(const struct context *x, size_t least, size_t most, const char *part[3])
{
	bool same = !part[0] || (x->database && strcmp(part[0], x->database) == 0);

	if (!part[0])
		part[0] = x->database;
	if (!part[1] && same && most > 1 && (part[2] || least > 1))
		part[1] = x->schema;
}

static int place_missing(struct call *c, const char *const part[3], size_t least)
{
	if (!part[0] && (least > 0 || part[1] || part[2]))
		return refuse(c, ERR_INVALID_PARAMS, "database_name", "missing; there is no current database");
	if (!part[1] && (least > 1 || part[2]))
		return refuse(c, ERR_INVALID_PARAMS, "schema_name", "missing; there is no current schema");
	return ERR_OK;
}

int semantic_place(struct call *c, struct context *x, size_t least, size_t most, struct sql_name *place)
{
	const char *part[3] = {NULL};
	int rc = arguments_context(c, x);

	*place = (struct sql_name){0};
	if (rc == ERR_OK)
		rc = place_arguments(c, part);
	if (rc != ERR_OK)
		return rc;
	place_complete(x, least, most, part);
	if (c->request->policy->databases.n && least == 0)
		least = 1; /* not the whole account */
	if ((rc = place_missing(c, part, least)) != ERR_OK)
		return rc;
	if (part[0] && !policy_allows_database(c->request->policy, part[0]))
		return refuse(c, ERR_POLICY, "database_name", "this database is not allowed here");
	while (place->n < most && part[place->n]) {
		place->part[place->n] = part[place->n];
		place->n++;
	}
	return ERR_OK;
}

/* ---- lists ---- */

static int plan_show(struct call *c, const char *what, size_t most)
{
	static const char *const levels[] = {" IN ACCOUNT", " IN DATABASE ", " IN SCHEMA ", " IN "};
	const char *like = json_text_of(c->arguments, "like"), *starts = json_text_of(c->arguments, "starts_with");
	struct buf sql = buf_with_ceiling(8192);
	struct sql_name place;
	struct context x;
	int rc;

	arguments_window(c, (size_t)c->request->conf->results_default_rows);
	if ((rc = semantic_place(c, &x, 0, most, &place)) != ERR_OK)
		return rc;
	buf_addf(&sql, "SHOW SEMANTIC %s", what);
	if (like && *like) {
		const char *pattern = arena_printf(c->arena, strchr(like, '%') ? "%s" : "%%%s%%", like);

		buf_adds(&sql, " LIKE ");
		sql_quote_string(&sql, pattern ? pattern : like);
	}
	buf_adds(&sql, levels[place.n]);
	if (place.n)
		sql_quote_name(&sql, &place);
	if (starts && *starts) {
		buf_adds(&sql, " STARTS WITH ");
		sql_quote_string(&sql, starts);
	}
	return plan_metadata(c, arena_text(c->arena, &sql), &x, SHOW_MAX) ? ERR_OK : ERR_NOMEM;
}

int plan_semantic_views(struct call *c)
{
	return argument_set(c, "kind", json_string("semantic view")) ? plan_show(c, "VIEWS", 2) : refuse_memory(c);
}

int plan_semantic_dimensions(struct call *c)
{
	return plan_show(c, "DIMENSIONS", 3);
}

int plan_semantic_metrics(struct call *c)
{
	return plan_show(c, "METRICS", 3);
}

int plan_semantic_describe(struct call *c)
{
	struct buf sql = buf_with_ceiling(4096);
	struct sql_name view;
	struct context x;
	int rc;

	arguments_window(c, (size_t)c->request->conf->results_default_rows);
	if ((rc = semantic_place(c, &x, 3, 3, &view)) != ERR_OK)
		return rc;
	buf_adds(&sql, "DESCRIBE SEMANTIC VIEW ");
	sql_quote_name(&sql, &view);
	return plan_metadata(c, arena_text(c->arena, &sql), &x, SHOW_MAX) ? ERR_OK : ERR_NOMEM;
}

/* ---- DDL ---- */

int plan_semantic_ddl(struct call *c)
{
	struct buf sql = buf_with_ceiling(8192), quoted = buf_with_ceiling(4096);
	struct sql_name view;
	struct context x;
	int rc;

	c->budget.bytes = (size_t)c->request->conf->results_max_bytes;
	if ((rc = semantic_place(c, &x, 3, 3, &view)) != ERR_OK)
		return rc;
	sql_quote_name(&quoted, &view);
	buf_adds(&sql, "SELECT GET_DDL('SEMANTIC_VIEW', ");
	sql_quote_string(&sql, buf_text(&quoted));
	buf_addc(&sql, ')');
	buf_free(&quoted);
	return plan_metadata(c, arena_text(c->arena, &sql), &x, 1) ? ERR_OK : ERR_NOMEM;
}

void answer_semantic_ddl(struct call *c)
{
	const struct statement *s = &c->plan[0];
	const char *ddl = s->state == STATEMENT_SUCCEEDED ? statement_cell(s, 0, 0) : NULL;

	if (s->state != STATEMENT_SUCCEEDED)
		tool_statement_error(c, s);
	else
		told_within(c, &c->answer.text, slice_of(ddl ? ddl : ""));
}
