/* dry_run: the guard's verdict, and what Snowflake's plan says of partitions and bytes. Nothing is executed. */
#include "tools_internal.h"

#include <string.h>

/* What the plan of a dry run needs to remember. */
struct dry_run {
	const char *classes;
	bool destructive;
};

/* What GlobalStats and Operations of EXPLAIN USING JSON say; -1: not given. */
struct estimate {
	int64_t partitions, assigned, bytes;
	json_t *operations; /* borrowed */
};

static const char *classes_text(struct call *c, unsigned classes)
{
	struct buf b = buf_with_ceiling(256);

	names_of_classes(&b, classes);
	return arena_text(c->arena, &b);
}

/* Snowflake explains queries and DML but TRUNCATE; of anything else the verdict is all there is. */
static bool is_explained(const char *sql, unsigned class)
{
	struct sql_lexer lexer;
	struct sql_token first;

	if (!sql)
		return false;
	sql_lexer_init(&lexer, slice_of(sql));
	first = sql_next(&lexer);
	return (class == CLASS_READ || class == CLASS_DML) && !sql_token_is(&first, "TRUNCATE");
}

int plan_dry_run(struct call *c, const char *sql, const struct context *x, const struct guard_verdict *v)
{
	struct dry_run *d = arena_alloc(c->arena, sizeof *d);
	struct statement *s;

	if (!d || !(d->classes = classes_text(c, c->class)))
		return refuse_memory(c);
	d->destructive = v->destructive;
	c->tool_state = d;
	if (!is_explained(sql, v->class))
		return ERR_OK;
	s = plan_metadata(c, arena_printf(c->arena, "EXPLAIN USING JSON %s", sql), x, 1);
	if (!s || !bind_all(c, s))
		return ERR_NOMEM;
	return statement_settings(c, s);
}

static json_t *estimate_read(struct call *c, struct estimate *e)
{
	const char *text = c->plan_n ? statement_cell(&c->plan[0], 0, 0) : NULL;
	json_t *root = NULL, *stats;

	*e = (struct estimate){-1, -1, -1, NULL};
	if (!text || json_parse_trusted(slice_of(text), &root) != JSON_OK)
		return NULL;
	stats = json_object_get(root, "GlobalStats");
	e->partitions = json_int_of(stats, "partitionsTotal", -1);
	e->assigned = json_int_of(stats, "partitionsAssigned", -1);
	e->bytes = json_int_of(stats, "bytesAssigned", -1);
	e->operations = json_array_get(json_object_get(root, "Operations"), 0);
	return root;
}

static void told_text(struct buf *b, const struct dry_run *d, const struct estimate *e)
{
	const json_t *operation, *object;
	size_t i, k;

	buf_addf(b, "Allowed, class %s%s; nothing was executed.", d->classes,
		 d->destructive ? ", destructive: the user may be asked before it runs" : "");
	if (e->partitions >= 0)
		buf_addf(b, " It would scan %lld of %lld micro-partitions, %lld bytes.", (long long)e->assigned,
			 (long long)e->partitions, (long long)e->bytes);
	json_array_foreach(e->operations, i, operation)
	{
		buf_addf(b, "\n%s", json_text_of(operation, "operation") ? json_text_of(operation, "operation") : "");
		json_array_foreach(json_object_get(operation, "objects"), k, object)
		    buf_addf(b, " %s", json_string_value(object) ? json_string_value(object) : "");
	}
}

static void told_json(struct call *c, const struct dry_run *d, const struct estimate *e)
{
	json_t *out = json_pack("{s:b, s:s, s:b}", "allowed", 1, "class", d->classes, "destructive", d->destructive);

	if (e->partitions >= 0) {
		json_object_set_new(out, "partitionsTotal", json_integer(e->partitions));
		json_object_set_new(out, "partitionsAssigned", json_integer(e->assigned));
		json_object_set_new(out, "bytesAssigned", json_integer(e->bytes));
	}
	if (e->operations)
		json_object_set(out, "operations", e->operations);
	json_write(&c->answer.structured, out);
	buf_add(&c->answer.text, buf_text(&c->answer.structured), c->answer.structured.n);
	json_decref(out);
}

void answer_dry_run(struct call *c)
{
	struct estimate e;
	json_t *root;

	if (c->plan_n && c->plan[0].state != STATEMENT_SUCCEEDED) {
		tool_statement_error(c, &c->plan[0]);
		return;
	}
	root = estimate_read(c, &e);
	if (c->format == ROWS_JSON)
		told_json(c, c->tool_state, &e);
	else
		told_text(&c->answer.text, c->tool_state, &e);
	json_decref(root);
}
