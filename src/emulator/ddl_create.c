/* CREATE: tables, views, sequences, functions, schemas, databases. */
#include "ddl.h"

#include <stdio.h>

static void start_create(struct ddl *d, const char *what)
{
	struct plan *plan = d->plan;

	resolve_object(d->r, &d->name, PLAN_TABLE, &d->object);
	plan->created = d->object;
	plan->creates = !d->replace;
	plan->if_not_exists = d->if_not_exists;
	if (d->temporary)
		plan_unsupported(plan, "temporary tables outside a session");
	require_writer(d, "schema", d->object.schema);
	forget_object(&plan->after, &d->object);
	buf_addf(&plan->sql, "CREATE %s%s ", d->replace ? "OR REPLACE " : "", what);
	add_object(&plan->sql, &d->object);
	struct plan_object schema = d->object;
	schema.kind = PLAN_SCHEMA;
	schema.name[0] = '\0';
	snprintf(schema.shown, sizeof schema.shown, "%s.%s", schema.database, schema.schema);
	require_object(d->r, &schema);
}

static void copy_columns(struct ddl *d, const struct plan_object *source)
{
	struct buf *out = &d->plan->after;

	buf_adds(out, "INSERT INTO " META "\"_SF_COLUMN\" SELECT ");
	add_meta_name(out, &d->object);
	buf_adds(out, ", col, type, comment, is_primary, is_unique FROM " META "\"_SF_COLUMN\"");
	add_meta_key(out, source, "tb");
}

static void create_like(struct ddl *d)
{
	bool clone = token_is(&d->t[d->at], "CLONE");
	struct plan_object source;
	struct name name;

	parse_name(d->r, d->at + 1, &name);
	if (!resolve_object(d->r, &name, PLAN_TABLE, &source))
		return;
	require_object(d->r, &source);
	buf_adds(&d->plan->sql, " AS FROM ");
	add_object(&d->plan->sql, &source);
	buf_adds(&d->plan->sql, clone ? "" : " LIMIT 0");
	copy_columns(d, &source);
	remember_object(d, "TABLE", "");
}

/* AS SELECT ..., which may stand in parentheses. */
static void emit_query(struct ddl *d, int i)
{
	int end = d->r->tokens.n;

	buf_adds(&d->plan->sql, " AS ");
	if (token_is_op(&d->t[i], "(") && d->t[i].mate == end - 1) {
		i++;
		end--;
	}
	if (!token_in(&d->t[i], "|SELECT|WITH|VALUES|")) {
		fail_at(d->r, &d->t[i]);
		return;
	}
	d->plan->derives = true;
	emit_range(d->r, i, end, EMIT_EXPRESSION, &d->plan->sql);
}

/* (a INT, b) AS SELECT ...: the query's columns by position, cast to the types that are given. */
static void create_typed(struct ddl *d, int open, int query)
{
	struct items *items = xalloc(sizeof *items);
	struct buf *out = &d->plan->sql;

	split_items(d->r, open + 1, d->t[open].mate, items);
	buf_adds(out, " AS SELECT ");
	for (int k = 0; k < items->n && d->plan->kind != PLAN_ERROR; k++) {
		struct column c = {0};
		char value[32];
		int i = items->from[k];

		token_name(&d->t[i], c.name, sizeof c.name);
		snprintf(value, sizeof value, "_c%d", k + 1);
		buf_adds(out, k ? ", " : "");
		if (items->to[k] > i + 1) {
			parse_type(d->r, i + 1, &c.type);
			if (!c.type.known || c.type.next < items->to[k])
				plan_unsupported(d->plan, "these column definitions with CREATE TABLE AS SELECT");
			add_cast(out, value, &c.type, false);
			remember_column(d, &c);
		} else {
			buf_adds(out, value);
		}
		buf_adds(out, " AS ");
		add_quoted(out, c.name);
	}
	buf_adds(out, " FROM (");
	emit_range(d->r, query, d->r->tokens.n, EMIT_EXPRESSION, out);
	buf_adds(out, ") _q(");
	for (int k = 0; k < items->n; k++)
		buf_addf(out, "%s_c%d", k ? ", " : "", k + 1);
	buf_adds(out, ")");
	free(items);
}

static void create_table(struct ddl *d)
{
	int i, columns = 0;

	start_create(d, "TABLE");
	ddl_say(d, "Table %s successfully created.", last_part(d));
	if (token_in(&d->t[d->at], "|CLONE|LIKE|")) {
		create_like(d);
		return;
	}
	i = d->at;
	if (token_is_op(&d->t[i], "(")) {
		columns = i;
		i = d->t[i].mate + 1;
	}
	while (i < d->r->tokens.n && !token_is(&d->t[i], "AS")) {
		if (!token_in(&d->t[i], PROPERTIES)) {
			fail_at(d->r, &d->t[i]);
			return;
		}
		i = skip_property(d, i);
	}
	if (i >= d->r->tokens.n && !columns) {
		fail_at(d->r, &d->t[d->r->tokens.n]);
		return;
	}
	if (columns && i < d->r->tokens.n) {
		create_typed(d, columns, i + 1);
	} else if (columns) {
		buf_adds(&d->plan->sql, " (");
		emit_columns(d, columns, &d->plan->sql);
		buf_adds(&d->plan->sql, ")");
	} else {
		emit_query(d, i + 1);
	}
	remember_object(d, "TABLE", "");
}

static void create_view(struct ddl *d)
{
	int i = d->at, end = d->r->tokens.n;
	char *body;

	start_create(d, "VIEW");
	ddl_say(d, "View %s successfully created.", last_part(d));
	if (token_is_op(&d->t[i], "(")) {
		buf_adds(&d->plan->sql, " (");
		for (int k = i + 1; k < d->t[i].mate; k++) {
			if (token_is_name(&d->t[k]) && !token_is(&d->t[k], "COMMENT"))
				emit_identifier(&d->t[k], &d->plan->sql);
			else if (token_is_op(&d->t[k], ","))
				buf_adds(&d->plan->sql, ", ");
		}
		buf_adds(&d->plan->sql, ")");
		i = d->t[i].mate + 1;
	}
	while (i < end && !token_is(&d->t[i], "AS")) {
		if (!token_in(&d->t[i], "|COMMENT|COPY|GRANTS|CHANGE_TRACKING|CLUSTER|")) {
			fail_at(d->r, &d->t[i]);
			return;
		}
		i = token_in(&d->t[i], "|COPY|GRANTS|") ? i + 1 : skip_property(d, i);
	}
	if (i >= end) {
		fail_at(d->r, &d->t[end]);
		return;
	}
	emit_query(d, i + 1);
	body = xstrndup(d->t[0].text, (size_t)(d->t[end - 1].text + d->t[end - 1].n - d->t[0].text));
	remember_object(d, "VIEW", body);
	free(body);
}

static void create_sequence(struct ddl *d)
{
	start_create(d, "SEQUENCE");
	ddl_say(d, "Sequence %s successfully created.", last_part(d));
	for (int i = d->at; i < d->r->tokens.n; i++) {
		const char *word = token_is(&d->t[i], "START")       ? "START"
				   : token_is(&d->t[i], "INCREMENT") ? "INCREMENT"
								     : NULL;

		while (word && i < d->r->tokens.n && d->t[i].kind != TOKEN_NUMBER)
			i++;
		if (word && i < d->r->tokens.n)
			buf_addf(&d->plan->sql, " %s %.*s", word, (int)d->t[i].n, d->t[i].text);
		else if (token_is(&d->t[i], "COMMENT"))
			i = skip_property(d, i) - 1;
	}
	remember_object(d, "SEQUENCE", "");
}

/* A SQL function of one expression is a macro. */
static void create_function(struct ddl *d)
{
	struct items *items;
	struct buf body = buf_with_ceiling(PLAN_SQL_MAX);
	struct rewriter inner = *d->r;
	int as = d->at;

	for (; as < d->r->tokens.n && !token_is(&d->t[as], "AS"); as++)
		if (token_in(&d->t[as], "|JAVASCRIPT|PYTHON|JAVA|SCALA|TABLE|"))
			plan_unsupported(d->plan, "user-defined functions other than scalar SQL");
	if (!token_is_op(&d->t[d->at], "(") || d->t[as + 1].kind != TOKEN_STRING) {
		fail_at(d->r, &d->t[as]);
		return;
	}
	start_create(d, "MACRO");
	ddl_say(d, "Function %s successfully created.", last_part(d));
	items = xalloc(sizeof *items);
	split_items(d->r, d->at + 1, d->t[d->at].mate, items);
	buf_adds(&d->plan->sql, "(");
	for (int k = 0; k < items->n; k++) {
		buf_adds(&d->plan->sql, k ? ", " : "");
		emit_identifier(&d->t[items->from[k]], &d->plan->sql);
	}
	buf_adds(&d->plan->sql, ") AS (");
	token_string(&d->t[as + 1], &body);
	lex_sql(buf_text(&body), body.n, &inner.tokens);
	inner.t = inner.tokens.items;
	while (inner.tokens.n && token_is_op(&inner.t[inner.tokens.n - 1], ";"))
		inner.tokens.n--;
	if (inner.tokens.fault)
		fail_at(&inner, &inner.t[inner.tokens.fault_at]);
	else
		emit_range(&inner, 0, inner.tokens.n, EMIT_EXPRESSION, &d->plan->sql);
	buf_adds(&d->plan->sql, ")");
	lex_free(&inner.tokens);
	free(items);
	buf_free(&body);
	remember_object(d, "FUNCTION", "");
}

static void create_schema(struct ddl *d)
{
	struct plan *plan = d->plan;
	struct plan_object database;

	if (!resolve_object(d->r, &d->name, PLAN_SCHEMA, &d->object))
		return;
	if (d->at < d->r->tokens.n && token_is(&d->t[d->at], "CLONE")) {
		plan_unsupported(plan, "CREATE SCHEMA ... CLONE");
		return;
	}
	plan->created = d->object;
	plan->creates = !d->replace;
	plan->if_not_exists = d->if_not_exists;
	require_writer(d, "database", d->object.database);
	database = d->object;
	database.kind = PLAN_DATABASE;
	database.schema[0] = '\0';
	snprintf(database.shown, sizeof database.shown, "%s", database.database);
	require_object(d->r, &database);
	for (int i = d->at; i < d->r->tokens.n;)
		i = skip_property(d, i);
	if (d->replace) {
		buf_adds(&plan->before, "DROP SCHEMA IF EXISTS ");
		add_object(&plan->before, &d->object);
		buf_adds(&plan->before, " CASCADE; ");
	}
	buf_adds(&plan->sql, "CREATE SCHEMA ");
	add_object(&plan->sql, &d->object);
	forget_object(&plan->after, &d->object);
	remember_object(d, "SCHEMA", "");
	ddl_say(d, "Schema %s successfully created.", last_part(d));
}

/* The engine attaches; here are only the schema and the memory of it. */
static void create_database(struct ddl *d)
{
	struct plan *plan = d->plan;

	if (d->replace || token_in(&d->t[d->at], "|CLONE|FROM|AS|")) {
		plan_unsupported(plan, "CREATE DATABASE other than an empty new one");
		return;
	}
	if (!resolve_object(d->r, &d->name, PLAN_DATABASE, &d->object))
		return;
	plan->created = d->object;
	plan->creates = true;
	plan->if_not_exists = d->if_not_exists;
	require_writer(d, "account", "LOCAL");
	for (int i = d->at; i < d->r->tokens.n;)
		i = skip_property(d, i);
	buf_adds(&plan->sql, "CREATE SCHEMA ");
	add_quoted(&plan->sql, d->object.database);
	buf_adds(&plan->sql, ".\"PUBLIC\"");
	forget_object(&plan->after, &d->object);
	remember_object(d, "DATABASE", "");
	ddl_say(d, "Database %s successfully created.", last_part(d));
}

static void create_named(struct ddl *d, const char *table, const char *what)
{
	char name[PLAN_NAME_MAX];

	snprintf(name, sizeof name, "%s", last_part(d));
	require_writer(d, "account", "LOCAL");
	buf_addf(&d->plan->sql, "INSERT INTO " META "\"%s\" (name) SELECT ", table);
	add_literal(&d->plan->sql, name);
	buf_addf(&d->plan->sql, " WHERE NOT EXISTS (FROM " META "\"%s\" WHERE name = ", table);
	add_literal(&d->plan->sql, name);
	buf_adds(&d->plan->sql, ")");
	ddl_say(d, "%s %s successfully created.", what, name);
}

void rewrite_create(struct ddl *d)
{
	const struct token *kind = &d->t[d->kind];

	if (token_is(kind, "TABLE"))
		create_table(d);
	else if (token_is(kind, "VIEW"))
		create_view(d);
	else if (token_is(kind, "SCHEMA"))
		create_schema(d);
	else if (token_is(kind, "DATABASE"))
		create_database(d);
	else if (token_is(kind, "SEQUENCE"))
		create_sequence(d);
	else if (token_is(kind, "FUNCTION"))
		create_function(d);
	else if (token_is(kind, "WAREHOUSE"))
		create_named(d, "_SF_WAREHOUSE", "Warehouse");
	else if (token_is(kind, "ROLE"))
		create_named(d, "_SF_ROLE", "Role");
	else
		plan_unsupported(d->plan, "CREATE of this kind of object");
}
