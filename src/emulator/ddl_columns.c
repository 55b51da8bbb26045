/* The columns of a CREATE TABLE or an ALTER TABLE: types, defaults, keys, comments. */
#include "ddl.h"

#include <stdio.h>
#include <string.h>

void remember_column(struct ddl *d, const struct column *c)
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
void emit_column(struct ddl *d, int from, int to, struct buf *out)
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

void mark_key(struct ddl *d, int from, int to)
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

void emit_columns(struct ddl *d, int open, struct buf *out)
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
