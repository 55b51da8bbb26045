/* DROP, TRUNCATE, COMMENT, and what CREATE and ALTER share with them: DuckDB objects plus what Snowflake remembers. */
#include "ddl.h"

#include <stdarg.h>
#include <stdio.h>

#include "semantic.h"

void PRINTF_LIKE(2, 3) ddl_say(struct ddl *d, const char *format, ...)
{
	va_list args;

	if (d->plan->kind == PLAN_ERROR)
		return;
	d->plan->kind = PLAN_MESSAGE;
	va_start(args, format);
	vsnprintf(d->plan->message, sizeof d->plan->message, format, args);
	va_end(args);
}

const char *last_part(const struct ddl *d)
{
	return d->name.parts ? d->name.part[d->name.parts - 1] : "";
}

/* The condition that finds this object's rows in the memory of names. */
void add_meta_key(struct buf *out, const struct plan_object *o, const char *name_column)
{
	buf_adds(out, " WHERE db = ");
	add_literal(out, o->database);
	buf_adds(out, " AND sc = ");
	add_literal(out, o->schema);
	buf_addf(out, " AND %s = ", name_column);
	add_literal(out, o->name);
	buf_adds(out, "; ");
}

void forget_object(struct buf *out, const struct plan_object *o)
{
	buf_adds(out, "DELETE FROM " META "\"_SF_OBJECT\"");
	add_meta_key(out, o, "name");
	buf_adds(out, "DELETE FROM " META "\"_SF_COLUMN\"");
	add_meta_key(out, o, "tb");
}

void add_meta_name(struct buf *out, const struct plan_object *o)
{
	add_literal(out, o->database);
	buf_adds(out, ", ");
	add_literal(out, o->schema);
	buf_adds(out, ", ");
	add_literal(out, o->name);
}

void remember_object(struct ddl *d, const char *kind, const char *body)
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
int skip_property(struct ddl *d, int i)
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

void require_writer(struct ddl *d, const char *what, const char *name)
{
	d->plan->writes = true;
	snprintf(d->plan->write_target, sizeof d->plan->write_target, "%s '%s'", what, name);
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
	ddl_say(d, "%s successfully dropped.", last_part(d));
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
	ddl_say(d, "%s successfully dropped.", last_part(d));
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
	ddl_say(d, "Statement executed successfully.");
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
	ddl_say(d, "Statement executed successfully.");
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
