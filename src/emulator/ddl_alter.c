/* ALTER: columns, names, comments; tables that change places. */
#include "ddl.h"

#include <stdio.h>
#include <string.h>

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

void comment_object(struct ddl *d, int value)
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
	ddl_say(d, "Statement executed successfully.");
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

void rewrite_alter(struct ddl *d)
{
	if (token_in(&d->t[d->kind], "|TABLE|VIEW|")) {
		rewrite_alter_table(d);
	} else if (token_in(&d->t[d->kind], "|WAREHOUSE|")) {
		require_writer(d, "warehouse", last_part(d));
		ddl_say(d, "Statement executed successfully.");
	} else {
		plan_unsupported(d->plan, "ALTER of this kind of object");
	}
}
