/* CREATE, ALTER, DROP, TRUNCATE, COMMENT: DuckDB objects plus what Snowflake remembers of them. */
#include "rewriter.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "semantic.h"

#define META "\"_SF\".main."

struct ddl {
	struct rewriter *r;
	struct plan *plan;
	struct token *t;
	bool replace, temporary, if_exists, if_not_exists;
	int kind; /* the token that says TABLE, VIEW, ... */
	struct name name;
	int at; /* behind the name */
	struct plan_object object;
	char comment[1024];
};

static const char PROPERTIES[] = "|COMMENT|CLUSTER|DATA_RETENTION_TIME_IN_DAYS|MAX_DATA_EXTENSION_TIME_IN_DAYS|CHANGE_"
				 "TRACKING|ENABLE_SCHEMA_EVOLUTION|"
				 "DEFAULT_DDL_COLLATION|";

static void PRINTF_LIKE(2, 3) say(struct ddl *d, const char *format, ...)
{
	va_list args;

	if (d->plan->kind == PLAN_ERROR)
		return;
	d->plan->kind = PLAN_MESSAGE;
	va_start(args, format);
	vsnprintf(d->plan->message, sizeof d->plan->message, format, args);
	va_end(args);
}

static const char *last_part(const struct ddl *d)
{
	return d->name.parts ? d->name.part[d->name.parts - 1] : "";
}

/* The condition that finds this object's rows in the memory of names. */
static void add_meta_key(struct buf *out, const struct plan_object *o, const char *name_column)
{
	buf_adds(out, " WHERE db = ");
	add_literal(out, o->database);
	buf_adds(out, " AND sc = ");
	add_literal(out, o->schema);
	buf_addf(out, " AND %s = ", name_column);
	add_literal(out, o->name);
	buf_adds(out, "; ");
}

static void forget_object(struct buf *out, const struct plan_object *o)
{
	buf_adds(out, "DELETE FROM " META "\"_SF_OBJECT\"");
	add_meta_key(out, o, "name");
	buf_adds(out, "DELETE FROM " META "\"_SF_COLUMN\"");
	add_meta_key(out, o, "tb");
}

static void add_meta_name(struct buf *out, const struct plan_object *o)
{
	add_literal(out, o->database);
	buf_adds(out, ", ");
	add_literal(out, o->schema);
	buf_adds(out, ", ");
	add_literal(out, o->name);
}

static void remember_object(struct ddl *d, const char *kind, const char *body)
{
	struct buf *out = &d->plan->after;

	buf_adds(out, "INSERT INTO " META "\"_SF_OBJECT\" VALUES (");
	add_meta_name(out, &d->object);
	buf_addf(out, ", '%s', now(), ", kind);
	add_literal(out, d->r->context->role ? d->r->context->role : "SYSADMIN");
	buf_adds(out, ", ");
	add_literal(out, d->comment);
	buf_adds(out, ", ");
	add_literal(out, body);
	buf_adds(out, "); ");
}

/* Skips one property (NAME = value, CLUSTER BY (...), COMMENT 'x') and keeps a comment. */
static int skip_property(struct ddl *d, int i)
{
	const struct token *t = &d->t[i];
	const struct token *value = token_is_op(t + 1, "=") ? t + 2 : t + 1;

	if (token_is(t, "CLUSTER"))
		return token_is_op(t + 2, "(") ? t[2].mate + 1 : i + 1;
	if (token_is(t, "COMMENT") && value->kind == TOKEN_STRING) {
		struct buf text = buf_with_ceiling(sizeof d->comment);

		token_string(value, &text);
		snprintf(d->comment, sizeof d->comment, "%s", buf_text(&text));
		buf_free(&text);
	}
	if (value == t + 2)
		return token_is_op(value, "(") ? value->mate + 1 : i + 3;
	return value->kind == TOKEN_STRING ? i + 2 : i + 1;
}

static void require_writer(struct ddl *d, const char *what, const char *name)
{
	d->plan->writes = true;
	snprintf(d->plan->write_target, sizeof d->plan->write_target, "%s '%s'", what, name);
}

/* ---- columns ---- */

struct column {
	char name[PLAN_NAME_MAX];
	struct type_text type;
	char comment[512];
	bool primary, unique;
};

static void remember_column(struct ddl *d, const struct column *c)
{
	struct buf *out = &d->plan->after;

	buf_adds(out, "INSERT INTO " META "\"_SF_COLUMN\" VALUES (");
	add_meta_name(out, &d->object);
	buf_adds(out, ", ");
	add_literal(out, c->name);
	buf_addf(out, ", '%s', ", c->type.snowflake);
	add_literal(out, c->comment);
	buf_addf(out, ", %s, %s); ", c->primary ? "true" : "false", c->unique ? "true" : "false");
}

/* AUTOINCREMENT | IDENTITY [(start, step)] [START n] [INCREMENT n] [ORDER|NOORDER]: a sequence of our own. */
static int emit_autoincrement(struct ddl *d, const struct column *c, int i, struct buf *out)
{
	int start = 1, step = 1;
	struct plan_object sequence = d->object;

	i++;
	if (token_is_op(&d->t[i], "(")) {
		start = (int)strtol(d->t[i + 1].text, NULL, 10);
		step = (int)strtol(d->t[i + 3].text, NULL, 10);
		i = d->t[i].mate + 1;
	}
	for (; token_in(&d->t[i], "|START|INCREMENT|WITH|BY|ORDER|NOORDER|"); i++) {
		const struct token *value = &d->t[i + 1 + token_in(&d->t[i + 1], "|WITH|BY|")];

		if (value->kind != TOKEN_NUMBER)
			continue;
		*(token_is(&d->t[i], "START") ? &start : &step) = (int)strtol(value->text, NULL, 10);
		i = (int)(value - d->t);
	}
	snprintf(sequence.name, sizeof sequence.name, "_SF_%.120s_%.120s", d->object.name, c->name);
	buf_adds(&d->plan->before, "CREATE OR REPLACE SEQUENCE ");
	add_object(&d->plan->before, &sequence);
	buf_addf(&d->plan->before, " START %d INCREMENT %d; ", start, step ? step : 1);
	buf_adds(out, " DEFAULT nextval(");
	struct buf text = buf_with_ceiling(4096);
	add_object(&text, &sequence);
	add_literal(out, buf_text(&text));
	buf_free(&text);
	buf_adds(out, ")");
	return i;
}

static int emit_default(struct ddl *d, int i, int end, struct buf *out)
{
	int to = i + 1;

	while (to < end && (to == i + 1 || !token_in(&d->t[to], "|NOT|NULL|COMMENT|PRIMARY|UNIQUE|COLLATE|")))
		to = d->t[to].mate > to ? d->t[to].mate + 1 : to + 1;
	buf_adds(out, " DEFAULT (");
	emit_range(d->r, i + 1, to, EMIT_EXPRESSION, out);
	buf_adds(out, ")");
	return to;
}

static int emit_column_option(struct ddl *d, struct column *c, int i, int end, struct buf *out)
{
	const struct token *t = &d->t[i];

	if (token_in(t, "|AUTOINCREMENT|IDENTITY|"))
		return emit_autoincrement(d, c, i, out);
	if (token_is(t, "DEFAULT"))
		return emit_default(d, i, end, out);
	if (token_is(t, "NOT") && token_is(t + 1, "NULL")) {
		buf_adds(out, " NOT NULL");
		return i + 2;
	}
	if (token_is(t, "COMMENT")) {
		char kept[sizeof d->comment];

		memcpy(kept, d->comment, sizeof kept);
		i = skip_property(d, i);
		snprintf(c->comment, sizeof c->comment, "%.500s", d->comment);
		memcpy(d->comment, kept, sizeof kept);
		return i;
	}
	if (token_is(t, "COLLATE"))
		return i + 2;
	if (token_in(t, "|PRIMARY|UNIQUE|NULL|")) {
		c->primary = c->primary || token_is(t, "PRIMARY");
		c->unique = c->unique || token_is(t, "UNIQUE");
		buf_adds(out, token_is(t, "PRIMARY") ? " NOT NULL" : "");
		return i + 1 + token_is(t, "PRIMARY");
	}
	if (token_is(t, "CONSTRAINT"))
		return i + 2;
	if (token_in(t, "|REFERENCES|FOREIGN|ENFORCED|RELY|NORELY|ENABLE|DISABLE|VALIDATE|NOVALIDATE|"))
		return end;
	fail_at(d->r, t);
	return end;
}

/* One column: its name, its type in DuckDB's words, its options. Keys are remembered, not enforced, as in Snowflake. */
static void emit_column(struct ddl *d, int from, int to, struct buf *out)
{
	struct column c = {0};
	int i = from + 1;

	if (from >= to || !token_is_name(&d->t[from])) {
		fail_at(d->r, &d->t[from]);
		return;
	}
	token_name(&d->t[from], c.name, sizeof c.name);
	parse_type(d->r, i, &c.type);
	if (i >= to || !c.type.known) {
		if (i < to && token_is_name(&d->t[i]))
			plan_fail(d->plan, "002040", "42601", "SQL compilation error:\nUnsupported data type '%.*s'.",
				  (int)(d->t[i].n < 100 ? d->t[i].n : 100), d->t[i].text);
		else
			fail_at(d->r, &d->t[i]);
		return;
	}
	add_quoted(out, c.name);
	buf_addf(out, " %s", c.type.duck);
	for (i = c.type.next; i < to && d->plan->kind != PLAN_ERROR;)
		i = emit_column_option(d, &c, i, to, out);
	remember_column(d, &c);
}

static void mark_key(struct ddl *d, int from, int to)
{
	const char *flag = "is_primary";

	for (int i = from; i < to; i++) {
		if (token_is(&d->t[i], "UNIQUE"))
			flag = "is_unique";
		if (token_in(&d->t[i], "|FOREIGN|CHECK|"))
			return;
		if (!token_is_op(&d->t[i], "("))
			continue;
		for (int k = i + 1; k < d->t[i].mate; k++) {
			char name[PLAN_NAME_MAX];

			if (!token_is_name(&d->t[k]))
				continue;
			token_name(&d->t[k], name, sizeof name);
			buf_addf(&d->plan->after, "UPDATE " META "\"_SF_COLUMN\" SET %s = true WHERE col = ", flag);
			add_literal(&d->plan->after, name);
			buf_adds(&d->plan->after, " AND db = ");
			add_literal(&d->plan->after, d->object.database);
			buf_adds(&d->plan->after, " AND sc = ");
			add_literal(&d->plan->after, d->object.schema);
			buf_adds(&d->plan->after, " AND tb = ");
			add_literal(&d->plan->after, d->object.name);
			buf_adds(&d->plan->after, "; ");
		}
		return;
	}
}

static void emit_columns(struct ddl *d, int open, struct buf *out)
{
	struct items *items = xalloc(sizeof *items);
	bool first = true;

	split_items(d->r, open + 1, d->t[open].mate, items);
	if (!items->n)
		fail_at(d->r, &d->t[d->t[open].mate]);
	for (int k = 0; k < items->n && d->plan->kind != PLAN_ERROR; k++) {
		if (token_in(&d->t[items->from[k]], "|CONSTRAINT|PRIMARY|UNIQUE|FOREIGN|CHECK|")) {
			mark_key(d, items->from[k], items->to[k]);
			continue;
		}
		buf_adds(out, first ? "" : ", ");
		first = false;
		emit_column(d, items->from[k], items->to[k], out);
	}
	free(items);
}

/* ---- CREATE ---- */

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
	say(d, "Table %s successfully created.", last_part(d));
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
	say(d, "View %s successfully created.", last_part(d));
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
	say(d, "Sequence %s successfully created.", last_part(d));
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
	say(d, "Function %s successfully created.", last_part(d));
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
	say(d, "Schema %s successfully created.", last_part(d));
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
	say(d, "Database %s successfully created.", last_part(d));
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
	say(d, "%s %s successfully created.", what, name);
}

static void rewrite_create(struct ddl *d)
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

/* ---- DROP ---- */

static void drop_function(struct ddl *d)
{
	if (!resolve_object(d->r, &d->name, PLAN_TABLE, &d->object))
		return;
	require_writer(d, "function", last_part(d));
	if (!d->if_exists && d->plan->functions_n < PLAN_FUNCTIONS_MAX)
		snprintf(d->plan->functions[d->plan->functions_n++], PLAN_NAME_MAX, "%s", d->object.name);
	buf_addf(&d->plan->sql, "DROP MACRO %s", d->if_exists ? "IF EXISTS " : "");
	add_object(&d->plan->sql, &d->object);
	forget_object(&d->plan->after, &d->object);
	say(d, "%s successfully dropped.", last_part(d));
}

static void rewrite_drop(struct ddl *d)
{
	static const struct {
		const char *word;
		enum plan_object_kind kind;
	} KINDS[] = {
	    {"TABLE", PLAN_TABLE},       {"VIEW", PLAN_VIEW},         {"SCHEMA", PLAN_SCHEMA},
	    {"DATABASE", PLAN_DATABASE}, {"SEQUENCE", PLAN_SEQUENCE},
	};
	size_t k = 0;

	if (token_is(&d->t[d->kind], "FUNCTION")) {
		drop_function(d);
		return;
	}
	while (k < ARRAY_LEN(KINDS) && !token_is(&d->t[d->kind], KINDS[k].word))
		k++;
	if (k == ARRAY_LEN(KINDS)) {
		plan_unsupported(d->plan, "DROP of this kind of object");
		return;
	}
	if (!resolve_object(d->r, &d->name, KINDS[k].kind, &d->object))
		return;
	require_object(d->r, &d->object)->optional = d->if_exists;
	require_writer(d, k < 2 ? "table" : "schema", last_part(d));
	if (KINDS[k].kind == PLAN_DATABASE) {
		buf_adds(&d->plan->sql, "DETACH DATABASE ");
		add_quoted(&d->plan->sql, d->object.database);
		buf_adds(&d->plan->after, "DELETE FROM " META "\"_SF_OBJECT\" WHERE db = ");
		add_literal(&d->plan->after, d->object.database);
	} else {
		buf_addf(&d->plan->sql, "DROP %s ", KINDS[k].word);
		add_object(&d->plan->sql, &d->object);
		buf_adds(&d->plan->sql, KINDS[k].kind == PLAN_SCHEMA ? " CASCADE" : "");
		forget_object(&d->plan->after, &d->object);
	}
	say(d, "%s successfully dropped.", last_part(d));
}

/* ---- ALTER ---- */

static void start_alter(struct ddl *d, struct buf *out)
{
	bool view = token_is(&d->t[d->kind], "VIEW");

	buf_addf(out, "%sALTER %s ", out->n ? "; " : "", view ? "VIEW" : "TABLE");
	add_object(out, &d->object);
}

static void alter_add(struct ddl *d, int i)
{
	struct items *items;

	i += token_is(&d->t[i], "COLUMN");
	if (token_is(&d->t[i], "IF"))
		i += 3;
	if (token_in(&d->t[i], "|CONSTRAINT|PRIMARY|UNIQUE|FOREIGN|")) {
		mark_key(d, i, d->r->tokens.n);
		return;
	}
	items = xalloc(sizeof *items);
	split_items(d->r, i, d->r->tokens.n, items);
	for (int k = 0; k < items->n; k++) {
		struct buf *out = k + 1 == items->n ? &d->plan->sql : &d->plan->before;

		start_alter(d, out);
		buf_adds(out, " ADD COLUMN ");
		emit_column(d, items->from[k], items->to[k], out);
	}
	free(items);
}

static void rename_table(struct ddl *d, int i)
{
	struct plan_object renamed;
	struct name name;

	parse_name(d->r, i, &name);
	if (!resolve_object(d->r, &name, PLAN_TABLE, &renamed))
		return;
	start_alter(d, &d->plan->sql);
	buf_adds(&d->plan->sql, " RENAME TO ");
	add_quoted(&d->plan->sql, renamed.name);
	d->plan->created = renamed;
	d->plan->creates = true;
	forget_object(&d->plan->after, &renamed);
	for (int k = 0; k < 2; k++) {
		buf_addf(&d->plan->after, "UPDATE " META "\"%s\" SET %s = ", k ? "_SF_COLUMN" : "_SF_OBJECT",
			 k ? "tb" : "name");
		add_literal(&d->plan->after, renamed.name);
		add_meta_key(&d->plan->after, &d->object, k ? "tb" : "name");
	}
}

static void rename_column(struct ddl *d, int i)
{
	char from[PLAN_NAME_MAX], to[PLAN_NAME_MAX];

	token_name(&d->t[i], from, sizeof from);
	token_name(&d->t[i + 2], to, sizeof to);
	start_alter(d, &d->plan->sql);
	buf_adds(&d->plan->sql, " RENAME COLUMN ");
	add_quoted(&d->plan->sql, from);
	buf_adds(&d->plan->sql, " TO ");
	add_quoted(&d->plan->sql, to);
	buf_adds(&d->plan->after, "UPDATE " META "\"_SF_COLUMN\" SET col = ");
	add_literal(&d->plan->after, to);
	buf_adds(&d->plan->after, " WHERE col = ");
	add_literal(&d->plan->after, from);
	buf_adds(&d->plan->after, " AND tb = ");
	add_literal(&d->plan->after, d->object.name);
	buf_adds(&d->plan->after, " AND db = ");
	add_literal(&d->plan->after, d->object.database);
	buf_adds(&d->plan->after, " AND sc = ");
	add_literal(&d->plan->after, d->object.schema);
}

static void drop_columns(struct ddl *d, int i)
{
	struct items *items = xalloc(sizeof *items);

	split_items(d->r, i + token_is(&d->t[i], "COLUMN"), d->r->tokens.n, items);
	for (int k = 0; k < items->n; k++) {
		struct buf *out = k + 1 == items->n ? &d->plan->sql : &d->plan->before;
		char name[PLAN_NAME_MAX];

		token_name(&d->t[items->from[k]], name, sizeof name);
		start_alter(d, out);
		buf_adds(out, " DROP COLUMN ");
		add_quoted(out, name);
	}
	free(items);
}

static void comment_object(struct ddl *d, int value)
{
	struct buf *out = &d->plan->after;

	if (d->t[value].kind != TOKEN_STRING) {
		fail_at(d->r, &d->t[value]);
		return;
	}
	buf_adds(out, "UPDATE " META "\"_SF_OBJECT\" SET comment = ");
	emit_string(&d->t[value], out);
	add_meta_key(out, &d->object, "name");
}

/* [COLUMN] name {[SET DATA] TYPE t | SET|DROP NOT NULL | SET|DROP DEFAULT ... | [UN]SET COMMENT ...} */
static void alter_column(struct ddl *d, int i)
{
	struct buf *out = &d->plan->sql;
	struct column c = {0};
	const struct token *t;

	i += token_is(&d->t[i], "COLUMN");
	token_name(&d->t[i], c.name, sizeof c.name);
	t = &d->t[++i];
	if (token_is(t, "COMMENT") || token_is(t, "UNSET")) {
		buf_adds(&d->plan->after, "UPDATE " META "\"_SF_COLUMN\" SET comment = ");
		if (token_is(t, "COMMENT") && t[1].kind == TOKEN_STRING)
			emit_string(t + 1, &d->plan->after);
		else
			buf_adds(&d->plan->after, "''");
		buf_adds(&d->plan->after, " WHERE col = ");
		add_literal(&d->plan->after, c.name);
		buf_adds(&d->plan->after, " AND db = ");
		add_literal(&d->plan->after, d->object.database);
		buf_adds(&d->plan->after, " AND sc = ");
		add_literal(&d->plan->after, d->object.schema);
		buf_adds(&d->plan->after, " AND tb = ");
		add_literal(&d->plan->after, d->object.name);
		return;
	}
	start_alter(d, out);
	buf_adds(out, " ALTER COLUMN ");
	add_quoted(out, c.name);
	if (token_in(t, "|SET|DROP|") && token_is(t + 1, "NOT") && token_is(t + 2, "NULL")) {
		buf_adds(out, token_is(t, "SET") ? " SET NOT NULL" : " DROP NOT NULL");
	} else if (token_is(t, "DROP") && token_is(t + 1, "DEFAULT")) {
		buf_adds(out, " DROP DEFAULT");
	} else if (token_is(t, "SET") && token_is(t + 1, "DEFAULT")) {
		buf_adds(out, " SET DEFAULT ");
		emit_range(d->r, i + 2, d->r->tokens.n, EMIT_EXPRESSION, out);
	} else {
		i += token_is(t, "SET") ? 3 : token_is(t, "TYPE") ? 1 : 0;
		parse_type(d->r, i, &c.type);
		if (!c.type.known) {
			fail_at(d->r, &d->t[i]);
			return;
		}
		buf_addf(out, " SET DATA TYPE %s", c.type.duck);
		buf_adds(&d->plan->after, "DELETE FROM " META "\"_SF_COLUMN\" WHERE col = ");
		add_literal(&d->plan->after, c.name);
		buf_adds(&d->plan->after, " AND db = ");
		add_literal(&d->plan->after, d->object.database);
		buf_adds(&d->plan->after, " AND sc = ");
		add_literal(&d->plan->after, d->object.schema);
		buf_adds(&d->plan->after, " AND tb = ");
		add_literal(&d->plan->after, d->object.name);
		buf_adds(&d->plan->after, "; ");
		remember_column(d, &c);
	}
}

/* a and b change their names; what is remembered of them goes with the tables. */
static void swap_tables(struct ddl *d, int i)
{
	struct plan_object other;
	struct name name;

	parse_name(d->r, i, &name);
	if (!resolve_object(d->r, &name, PLAN_TABLE, &other))
		return;
	if (strcmp(other.database, d->object.database) || strcmp(other.schema, d->object.schema)) {
		plan_unsupported(d->plan, "SWAP WITH a table of another schema");
		return;
	}
	require_object(d->r, &other);
	for (int step = 0; step < 3; step++) {
		struct plan_object from = step == 0 ? d->object : other;
		struct buf *out = step < 2 ? &d->plan->before : &d->plan->sql;

		if (step == 2)
			snprintf(from.name, sizeof from.name, "_SF_SWAP");
		buf_adds(out, "ALTER TABLE ");
		add_object(out, &from);
		buf_adds(out, " RENAME TO ");
		add_quoted(out, step == 0 ? "_SF_SWAP" : step == 1 ? d->object.name : other.name);
		buf_adds(out, step < 2 ? "; " : "");
		for (int k = 0; k < 2; k++) {
			buf_addf(&d->plan->after, "UPDATE " META "\"%s\" SET %s = ", k ? "_SF_COLUMN" : "_SF_OBJECT",
				 k ? "tb" : "name");
			add_literal(&d->plan->after, step == 0 ? "_SF_SWAP" : step == 1 ? d->object.name : other.name);
			add_meta_key(&d->plan->after, &from, k ? "tb" : "name");
		}
	}
}

static void unset_comment(struct ddl *d)
{
	buf_adds(&d->plan->after, "UPDATE " META "\"_SF_OBJECT\" SET comment = ''");
	add_meta_key(&d->plan->after, &d->object, "name");
}

static void rewrite_alter_table(struct ddl *d)
{
	const struct token *t = &d->t[d->at];

	if (!resolve_object(d->r, &d->name, token_is(&d->t[d->kind], "VIEW") ? PLAN_VIEW : PLAN_TABLE, &d->object))
		return;
	require_object(d->r, &d->object)->optional = d->if_exists;
	require_writer(d, "table", last_part(d));
	say(d, "Statement executed successfully.");
	if (token_is(t, "ADD"))
		alter_add(d, d->at + 1);
	else if (token_is(t, "RENAME") && token_is(t + 1, "TO"))
		rename_table(d, d->at + 2);
	else if (token_is(t, "RENAME") && token_is(t + 1, "COLUMN") && token_is(t + 3, "TO"))
		rename_column(d, d->at + 2);
	else if (token_is(t, "DROP") && token_is_name(t + 1) &&
		 !token_in(t + 1, "|CLUSTERING|PRIMARY|CONSTRAINT|UNIQUE|"))
		drop_columns(d, d->at + 1);
	else if (token_is(t, "SET") && token_is(t + 1, "COMMENT"))
		comment_object(d, d->at + 3);
	else if (token_in(t, "|ALTER|MODIFY|"))
		alter_column(d, d->at + 1);
	else if (token_is(t, "SWAP") && token_is(t + 1, "WITH"))
		swap_tables(d, d->at + 2);
	else if (token_is(t, "UNSET") && token_is(t + 1, "COMMENT"))
		unset_comment(d);
	else if (!token_in(t, "|CLUSTER|SUSPEND|RESUME|") &&
		 !(token_in(t, "|SET|UNSET|") && token_in(t + 1, PROPERTIES)) &&
		 !(token_is(t, "DROP") && token_in(t + 1, "|CLUSTERING|PRIMARY|CONSTRAINT|UNIQUE|")))
		plan_unsupported(d->plan, "this form of ALTER TABLE");
}

static void rewrite_alter(struct ddl *d)
{
	if (token_in(&d->t[d->kind], "|TABLE|VIEW|")) {
		rewrite_alter_table(d);
	} else if (token_in(&d->t[d->kind], "|WAREHOUSE|")) {
		require_writer(d, "warehouse", last_part(d));
		say(d, "Statement executed successfully.");
	} else {
		plan_unsupported(d->plan, "ALTER of this kind of object");
	}
}

/* ---- the others ---- */

static void rewrite_truncate(struct ddl *d)
{
	if (!resolve_object(d->r, &d->name, PLAN_TABLE, &d->object))
		return;
	require_object(d->r, &d->object)->optional = d->if_exists;
	require_writer(d, "table", last_part(d));
	buf_adds(&d->plan->sql, "DELETE FROM ");
	add_object(&d->plan->sql, &d->object);
	say(d, "Statement executed successfully.");
}

/* COMMENT ON TABLE|VIEW|SCHEMA|COLUMN name IS 'text' */
static void rewrite_comment(struct ddl *d)
{
	bool column = token_is(&d->t[d->kind], "COLUMN");
	char col[PLAN_NAME_MAX] = "";

	if (column && d->name.parts > 1)
		snprintf(col, sizeof col, "%s", d->name.part[--d->name.parts]);
	if (!token_is(&d->t[d->at], "IS") || d->t[d->at + 1].kind != TOKEN_STRING) {
		fail_at(d->r, &d->t[d->at]);
		return;
	}
	if (!resolve_object(d->r, &d->name, token_is(&d->t[d->kind], "SCHEMA") ? PLAN_SCHEMA : PLAN_TABLE, &d->object))
		return;
	require_object(d->r, &d->object)->optional = d->if_exists;
	require_writer(d, "table", last_part(d));
	say(d, "Statement executed successfully.");
	if (!column) {
		comment_object(d, d->at + 1);
		return;
	}
	buf_adds(&d->plan->after, "UPDATE " META "\"_SF_COLUMN\" SET comment = ");
	emit_string(&d->t[d->at + 1], &d->plan->after);
	buf_adds(&d->plan->after, " WHERE col = ");
	add_literal(&d->plan->after, col);
	buf_adds(&d->plan->after, " AND tb = ");
	add_literal(&d->plan->after, d->object.name);
	buf_adds(&d->plan->after, " AND sc = ");
	add_literal(&d->plan->after, d->object.schema);
	buf_adds(&d->plan->after, " AND db = ");
	add_literal(&d->plan->after, d->object.database);
}

/* CREATE [OR REPLACE] [TRANSIENT ...] kind [IF [NOT] EXISTS] name */
static void parse_head(struct ddl *d)
{
	int i = 1;

	if (token_is(&d->t[i], "OR") && token_is(&d->t[i + 1], "REPLACE")) {
		d->replace = true;
		i += 2;
	}
	if (token_is(&d->t[0], "COMMENT") && token_is(&d->t[i], "IF")) {
		d->if_exists = true;
		i += 2;
	}
	for (; token_in(&d->t[i], "|TRANSIENT|SECURE|TEMPORARY|TEMP|LOCAL|GLOBAL|VOLATILE|RECURSIVE|MATERIALIZED|ON|");
	     i++)
		d->temporary = d->temporary || token_in(&d->t[i], "|TEMPORARY|TEMP|VOLATILE|");
	d->kind = i;
	if (token_in(&d->t[i], "|TABLE|VIEW|SCHEMA|DATABASE|SEQUENCE|FUNCTION|WAREHOUSE|ROLE|COLUMN|") ||
	    !token_is(&d->t[0], "TRUNCATE"))
		i++;
	if (token_is(&d->t[i], "IF")) {
		d->if_not_exists = token_is(&d->t[i + 1], "NOT");
		d->if_exists = !d->if_not_exists;
		i += d->if_not_exists ? 3 : 2;
	}
	parse_name(d->r, i, &d->name);
	d->at = d->name.next;
}

/* CREATE [OR REPLACE] | DROP | ALTER SEMANTIC VIEW [IF [NOT] EXISTS] name */
static bool rewrite_semantic(struct ddl *d)
{
	bool replace = token_is(&d->t[1], "OR") && token_is(&d->t[2], "REPLACE");
	int i = replace ? 3 : 1;
	bool not_exists = token_is(&d->t[i + 2], "IF") && token_is(&d->t[i + 3], "NOT");
	bool exists = token_is(&d->t[i + 2], "IF") && !not_exists;

	if (!token_is(&d->t[i], "SEMANTIC") || !token_is(&d->t[i + 1], "VIEW"))
		return false;
	i += 2 + (not_exists ? 3 : exists ? 2 : 0);
	if (token_is(&d->t[0], "CREATE"))
		create_semantic_view(d->r, i, replace, not_exists);
	else if (token_is(&d->t[0], "DROP"))
		drop_semantic_view(d->r, i, exists);
	else
		plan_unsupported(d->plan, "ALTER SEMANTIC VIEW");
	return true;
}

bool rewrite_ddl(struct rewriter *r)
{
	struct ddl *d;

	if (token_is(r->t, "UNDROP")) {
		plan_unsupported(r->plan, "UNDROP");
		return true;
	}
	if (!token_in(r->t, "|CREATE|DROP|ALTER|TRUNCATE|COMMENT|"))
		return false;
	d = xalloc(sizeof *d);
	d->r = r;
	d->plan = r->plan;
	d->t = r->t;
	if (rewrite_semantic(d)) {
		free(d);
		return true;
	}
	parse_head(d);
	if (!token_is_name(&d->t[d->kind]) || !d->name.parts)
		fail_at(r, token_is_name(&d->t[d->kind]) ? &d->t[d->at] : &d->t[d->kind]);
	else if (token_is(r->t, "CREATE"))
		rewrite_create(d);
	else if (token_is(r->t, "DROP"))
		rewrite_drop(d);
	else if (token_is(r->t, "ALTER"))
		rewrite_alter(d);
	else if (token_is(r->t, "TRUNCATE"))
		rewrite_truncate(d);
	else
		rewrite_comment(d);
	free(d);
	return true;
}
