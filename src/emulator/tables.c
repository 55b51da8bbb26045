/* What may stand in FROM: tables of the context, INFORMATION_SCHEMA, VALUES and table functions. */
#include "rewriter.h"

#include <stdio.h>
#include <string.h>

void add_object(struct buf *out, const struct plan_object *object)
{
	add_quoted(out, object->database);
	buf_addc(out, '.');
	add_quoted(out, object->schema);
	if (object->name[0]) {
		buf_addc(out, '.');
		add_quoted(out, object->name);
	}
}

struct plan_object *require_object(struct rewriter *r, const struct plan_object *object)
{
	struct plan *plan = r->plan;

	if (plan->objects_n == PLAN_OBJECTS_MAX) {
		plan_unsupported(plan, "more than 64 objects in one statement");
		return &plan->objects[PLAN_OBJECTS_MAX - 1];
	}
	plan->objects[plan->objects_n] = *object;
	return &plan->objects[plan->objects_n++];
}

static const char *verb(const struct rewriter *r)
{
	return token_is(&r->t[0], "WITH") || r->t[0].kind != TOKEN_WORD ? "SELECT" : NULL;
}

static bool set_default(struct rewriter *r, char *part, const char *value, const char *what, const char *code)
{
	const char *word = verb(r);
	char upper[32];

	if (value) {
		snprintf(part, PLAN_NAME_MAX, "%s", value);
		return true;
	}
	token_name(&r->t[0], upper, sizeof upper);
	plan_fail(r->plan, code, "22000",
		  "Cannot perform %s. This session does not have a current %s. Call 'USE %s', or use a qualified name.",
		  word ? word : upper, what, strcmp(what, "database") ? "SCHEMA" : "DATABASE");
	return false;
}

bool resolve_object(struct rewriter *r, const struct name *name, enum plan_object_kind kind, struct plan_object *object)
{
	int k = name->parts - 1;
	size_t n = 0;

	*object = (struct plan_object){.kind = kind};
	for (int i = 0; i < name->parts; i++) {
		int added = snprintf(object->shown + n, sizeof object->shown - n, "%s%s", i ? "." : "", name->part[i]);

		n += (size_t)added < sizeof object->shown - n ? (size_t)added : 0;
	}
	if (name->parts == 0) {
		fail_at(r, &r->t[name->first]);
		return false;
	}
	if (kind == PLAN_DATABASE) {
		snprintf(object->database, PLAN_NAME_MAX, "%s", name->part[0]);
		return true;
	}
	if (kind != PLAN_SCHEMA)
		snprintf(object->name, PLAN_NAME_MAX, "%s", name->part[k--]);
	if (k >= 0)
		snprintf(object->schema, PLAN_NAME_MAX, "%s", name->part[k--]);
	if (k >= 0)
		snprintf(object->database, PLAN_NAME_MAX, "%s", name->part[k--]);
	if (!object->database[0] && !set_default(r, object->database, r->context->database, "database", "090105"))
		return false;
	return object->schema[0] || set_default(r, object->schema, r->context->schema, "schema", "090106");
}

void emit_object(struct rewriter *r, const struct name *name, enum plan_object_kind kind, struct buf *out)
{
	struct plan_object object;

	if (!resolve_object(r, name, kind, &object))
		return;
	require_object(r, &object);
	add_object(out, &object);
}

/* ---- INFORMATION_SCHEMA ---- */

static bool has_alias(const struct rewriter *r, int i)
{
	return token_is(&r->t[i], "AS") || (token_is_name(&r->t[i]) && !is_keyword(&r->t[i]));
}

static void add_alias(struct rewriter *r, int next, const char *alias, struct buf *out)
{
	if (has_alias(r, next))
		return;
	buf_addc(out, ' ');
	add_quoted(out, alias);
}

static int emit_account_usage(struct rewriter *r, const struct name *name, struct buf *out)
{
	if (name->parts != 3 || strcmp(name->part[0], "SNOWFLAKE") || strcmp(name->part[1], "ACCOUNT_USAGE"))
		return 0;
	plan_unsupported(r->plan, "SNOWFLAKE.ACCOUNT_USAGE");
	buf_adds(out, "NULL");
	return name->next;
}

static int emit_information_schema(struct rewriter *r, const struct name *name, struct buf *out)
{
	static const char VIEWS[] = "|TABLES|COLUMNS|VIEWS|SCHEMATA|DATABASES|FUNCTIONS|PROCEDURES|SEQUENCES|STAGES|";
	const char *view = name->part[name->parts - 1];
	struct plan_object object = {.kind = PLAN_DATABASE};
	struct token word = {TOKEN_WORD, view, strlen(view), false, LEX_NO_MATE};

	if (name->parts < 2 || strcmp(name->part[name->parts - 2], "INFORMATION_SCHEMA"))
		return 0;
	if (!token_in(&word, VIEWS)) {
		plan_fail(r->plan, "002003", "42S02",
			  "SQL compilation error:\nObject 'INFORMATION_SCHEMA.%s' does not exist or not authorized.",
			  view);
		return name->next;
	}
	if (name->parts == 3)
		snprintf(object.database, sizeof object.database, "%s", name->part[0]);
	else if (!set_default(r, object.database, r->context->database, "database", "090105"))
		return name->next;
	snprintf(object.shown, sizeof object.shown, "%s", object.database);
	require_object(r, &object);
	buf_addf(out, "(SELECT * EXCLUDE (\"_DB\") FROM memory.main.\"_SF_IS_%s\" WHERE \"_DB\" = ", view);
	add_literal(out, object.database);
	buf_adds(out, ")");
	add_alias(r, name->next, view, out);
	return name->next;
}

/* ---- table functions ---- */

/* The argument called `name`, or the one at `position`. from and to are its tokens; false where it is absent. */
static bool find_argument(const struct rewriter *r, const struct items *items, const char *name, int position,
			  int *from, int *to)
{
	for (int k = 0; k < items->n; k++) {
		bool named = token_is_op(&r->t[items->from[k] + 1], "=>");

		if (!(named ? token_is(&r->t[items->from[k]], name) : k == position))
			continue;
		*from = items->from[k] + (named ? 2 : 0);
		*to = items->to[k];
		return true;
	}
	return false;
}

/* OUTER => TRUE keeps rows without elements: `, LATERAL FLATTEN(...) f` becomes LEFT JOIN LATERAL (...) f ON TRUE. */
static int emit_outer_flatten(struct rewriter *r, int next, const char *inner, struct buf *out)
{
	while (out->n && (out->data[out->n - 1] == ' ' || out->data[out->n - 1] == ','))
		out->n--;
	buf_addf(out, " LEFT JOIN LATERAL (%s) ", inner);
	if (token_is(&r->t[next], "AS"))
		next++;
	if (has_alias(r, next))
		emit_identifier(&r->t[next++], out);
	else
		buf_adds(out, "\"_F\"");
	buf_adds(out, " ON TRUE");
	return next;
}

static int emit_flatten(struct rewriter *r, int open, int next, struct buf *out)
{
	struct items *items = xalloc(sizeof *items);
	struct buf inner = buf_with_ceiling(PLAN_SQL_MAX);
	int from = 0, to = 0;
	bool outer;
	char *input;

	split_items(r, open + 1, r->t[open].mate, items);
	if (find_argument(r, items, "RECURSIVE", 3, &from, &to) && token_is(&r->t[from], "TRUE"))
		plan_unsupported(r->plan, "FLATTEN with RECURSIVE => TRUE");
	outer = find_argument(r, items, "OUTER", 2, &from, &to) && token_is(&r->t[from], "TRUE");
	if (!find_argument(r, items, "INPUT", 0, &from, &to))
		fail_at(r, &r->t[r->t[open].mate]);
	input = emit_text(r, from, to);
	buf_adds(&inner, "SELECT * FROM _SF_FLATTEN(");
	if (find_argument(r, items, "PATH", 1, &from, &to)) {
		char *path = emit_text(r, from, to);

		buf_addf(&inner, "GET_PATH(%s, %s)", input, path);
		free(path);
	} else {
		buf_addf(&inner, "_SF_VARIANT(%s)", input);
	}
	buf_adds(&inner, ")");
	if (outer) {
		next = emit_outer_flatten(r, next, buf_text(&inner), out);
	} else {
		buf_addf(out, "LATERAL (%s)", buf_text(&inner));
		add_alias(r, next, "_F", out);
	}
	buf_free(&inner);
	free(input);
	free(items);
	return next;
}

static int emit_generator(struct rewriter *r, int open, int next, struct buf *out)
{
	struct items *items = xalloc(sizeof *items);
	int from = 0, to = 0;

	split_items(r, open + 1, r->t[open].mate, items);
	if (!find_argument(r, items, "ROWCOUNT", 0, &from, &to))
		plan_unsupported(r->plan, "GENERATOR without ROWCOUNT");
	free(items);
	buf_adds(out, "(SELECT _seq FROM RANGE(CAST(");
	emit_range(r, from, to, EMIT_EXPRESSION, out);
	buf_adds(out, " AS BIGINT)) _g(_seq))");
	add_alias(r, next, "_G", out);
	return next;
}

static int emit_split_to_table(struct rewriter *r, int open, int next, struct buf *out)
{
	buf_adds(out, "LATERAL (SELECT * FROM _SF_SPLIT(");
	emit_range(r, open + 1, r->t[open].mate, EMIT_EXPRESSION, out);
	buf_adds(out, "))");
	add_alias(r, next, "_S", out);
	return next;
}

static int emit_table_function(struct rewriter *r, int i, int next, struct buf *out)
{
	const struct token *t = &r->t[i];

	if (!token_is_op(t + 1, "(") || t[1].mate < 0)
		return 0;
	if (token_is(t, "FLATTEN"))
		return emit_flatten(r, i + 1, next, out);
	if (token_is(t, "GENERATOR"))
		return emit_generator(r, i + 1, next, out);
	if (token_in(t, "|SPLIT_TO_TABLE|STRTOK_SPLIT_TO_TABLE|"))
		return emit_split_to_table(r, i + 1, next, out);
	if (token_is(t, "RESULT_SCAN"))
		plan_unsupported(r->plan, "RESULT_SCAN");
	else
		plan_fail(r->plan, "002141", "42601",
			  "SQL compilation error:\nUnknown user-defined table function %.*s",
			  (int)(t->n < 100 ? t->n : 100), t->text);
	return next;
}

/* TABLE('NAME') and IDENTIFIER('NAME'): the text is a name. */
static int emit_named_by_text(struct rewriter *r, int string, int next, struct buf *out)
{
	struct buf text = buf_with_ceiling(4 * PLAN_NAME_MAX);
	struct rewriter inner = *r;
	struct name name;

	token_string(&r->t[string], &text);
	lex_sql(buf_text(&text), text.n, &inner.tokens);
	inner.t = inner.tokens.items;
	parse_name(&inner, 0, &name);
	if (name.next != inner.tokens.n)
		fail_at(r, &r->t[string]);
	else
		emit_object(r, &name, PLAN_TABLE, out);
	lex_free(&inner.tokens);
	buf_free(&text);
	return next;
}

static int emit_table_call(struct rewriter *r, int i, struct buf *out)
{
	const struct token *t = &r->t[i];
	int next;

	if (!token_is_op(t + 1, "(") || t[1].mate < 0)
		return 0;
	next = t[1].mate + 1;
	if (token_in(t, "|TABLE|IDENTIFIER|") && t[2].kind == TOKEN_STRING && t[1].mate == i + 3)
		return emit_named_by_text(r, i + 2, next, out);
	if (token_is(t, "TABLE")) {
		int at = i + 2;

		if (token_is_name(&r->t[at]) && token_is_op(&r->t[at + 1], ".")) {
			plan_unsupported(r->plan, "table functions of INFORMATION_SCHEMA");
			return next;
		}
		return emit_table_function(r, at, next, out);
	}
	return emit_table_function(r, i, next, out);
}

/* VALUES (1, 'a'), ... [AS] v (x, y): without names the columns are COLUMN1, COLUMN2. */
static int emit_values(struct rewriter *r, int i, struct buf *out)
{
	struct items *items = xalloc(sizeof *items);
	int at = i + 1, columns;

	split_items(r, i + 2, r->t[i + 1].mate, items);
	columns = items->n;
	free(items);
	buf_adds(out, "(VALUES ");
	for (; token_is_op(&r->t[at], "(") || token_is_op(&r->t[at], ","); at++) {
		if (token_is_op(&r->t[at], ",")) {
			buf_adds(out, ", ");
			continue;
		}
		buf_adds(out, "(");
		emit_range(r, at + 1, r->t[at].mate, EMIT_EXPRESSION, out);
		buf_adds(out, ")");
		at = r->t[at].mate;
	}
	buf_adds(out, ") AS ");
	at += token_is(&r->t[at], "AS");
	if (has_alias(r, at))
		emit_identifier(&r->t[at++], out);
	else
		buf_adds(out, "_V");
	if (token_is_op(&r->t[at], "(")) {
		buf_adds(out, "(");
		emit_range(r, at + 1, r->t[at].mate, EMIT_EXPRESSION, out);
		buf_adds(out, ")");
		return r->t[at].mate + 1;
	}
	for (int k = 1; k <= columns; k++)
		buf_addf(out, "%sCOLUMN%d", k == 1 ? "(" : ", ", k);
	buf_adds(out, ")");
	return at;
}

int emit_table_item(struct rewriter *r, int i, int end, struct buf *out)
{
	const struct token *t = &r->t[i];
	struct name name;
	int next;

	if (i >= end)
		return 0;
	if (token_is(t, "VALUES") && token_is_op(t + 1, "("))
		return emit_values(r, i, out);
	if (!token_in(t - 1, "|INTO|TABLE|") && (next = emit_table_call(r, i, out)) > 0)
		return next;
	if (t->kind == TOKEN_STRING) {
		fail_at(r, t);
		return i + 1;
	}
	if (!token_is_name(t) || is_keyword(t))
		return 0;
	parse_name(r, i, &name);
	if (name.parts == 1 && names_cte(r, name.part[0])) {
		emit_identifier(t, out);
		return name.next;
	}
	if ((next = emit_information_schema(r, &name, out)) > 0 || (next = emit_account_usage(r, &name, out)) > 0)
		return next;
	emit_object(r, &name, PLAN_TABLE, out);
	return name.next;
}
