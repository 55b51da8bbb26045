/* Statements of a plan: made here, and their small results read. */
#include "tools_internal.h"

#include <string.h>
#include <strings.h>

/* Of rows that are the gateway's own. */
#define CELLS_MAX ((size_t)12 << 20)

struct statement *plan_add(struct call *c, enum statement_kind kind, const char *sql, const struct context *context)
{
	const struct conf *conf = c->request->conf;
	struct statement *s = c->plan_n < PLAN_MAX ? &c->plan[c->plan_n] : NULL;

	if (!s || (kind == STATEMENT_RUN && !sql)) {
		tool_error(c, ERR_NOMEM, NULL, NULL,
			   "the request needs more statements or memory than one call may have");
		return NULL;
	}
	if (file_wanted(c) && !file_possible(c))
		return NULL;
	c->plan_n++;
	*s = (struct statement){.kind = kind,
				.sql = sql,
				.offset = c->offset,
				.rows = file_wanted(c) ? 0 : c->budget.rows,
				.format = c->format,
				.budget = c->budget};
	if (context)
		s->context = *context;
	s->timeout_s = conf->snowflake_statement_timeout / USEC_PER_S;
	return s;
}

struct statement *plan_metadata(struct call *c, const char *sql, const struct context *context, size_t rows)
{
	struct statement *s = plan_add(c, STATEMENT_RUN, sql, context);

	if (!s)
		return NULL;
	s->metadata = true;
	s->offset = 0;
	s->rows = rows;
	s->bytes = CELLS_MAX;
	return s;
}

bool statement_bind(struct call *c, struct statement *s, const char *type, const char *value)
{
	json_t *binding;

	if (!s->bindings) {
		s->bindings = json_array();
		if (!arena_attach(c->arena, s->bindings, json_release)) {
			s->bindings = NULL;
			return false;
		}
	}
	binding = json_pack("{s:s, s:s?}", "type", type, "value", value);
	return binding && json_array_append_new(s->bindings, binding) == 0;
}

const char *arena_text(struct arena *a, struct buf *b)
{
	const char *text = buf_failed(b) ? NULL : arena_strndup(a, buf_text(b), b->n);

	buf_free(b);
	return text;
}

size_t statement_rows(const struct statement *s)
{
	return cells_rows(s->cells);
}

const char *statement_cell(const struct statement *s, size_t row, size_t column)
{
	return cells_at(s->cells, row, column).text;
}

static bool row_project(struct call *c, const struct statement *s, size_t row, const size_t *columns, size_t n,
			struct cells *to)
{
	struct cell *cells = arena_alloc(c->arena, (n + 1) * sizeof *cells);

	for (size_t i = 0; cells && i < n; i++)
		cells[i] = cells_at(s->cells, row, columns[i]);
	return cells && cells_add(to, cells, n);
}

bool statement_project(struct call *c, struct statement *s, const size_t *columns, size_t n,
		       bool (*visible)(const struct call *c, const struct statement *s, size_t row))
{
	struct column *shown = arena_alloc(c->arena, (n + 1) * sizeof *shown);
	struct cells *cells = cells_new(c->arena, n, CELLS_MAX);
	bool fits = shown && cells;

	for (size_t i = 0; fits && i < statement_rows(s); i++)
		fits = !visible(c, s, i) || row_project(c, s, i, columns, n, cells);
	for (size_t i = 0; shown && i < n; i++)
		shown[i] = s->columns[columns[i]];
	if (!fits)
		return false;
	s->columns = shown;
	s->columns_n = n;
	s->cells = cells;
	s->total_rows = s->rows_n = cells_rows(cells);
	return true;
}

size_t statement_column(const struct statement *s, const char *name)
{
	for (size_t i = 0; i < s->columns_n; i++)
		if (strcasecmp(s->columns[i].name, name) == 0)
			return i;
	return SIZE_MAX;
}

/* ---- the probe ---- */

int plan_probe(struct call *c, const struct context *context)
{
	struct statement *s = plan_metadata(
	    c, "SELECT CURRENT_ROLE(), CURRENT_WAREHOUSE(), CURRENT_DATABASE(), CURRENT_SCHEMA()", context, 1);

	return s ? statement_settings(c, s) : ERR_NOMEM; /* Snowflake judges the values of parameters */
}

static bool probe_same(struct call *c, const char *what, const char *asked, const char *got)
{
	if (!asked || (got && strcmp(asked, got) == 0))
		return true;
	tool_error(c, ERR_SQL, NULL, NULL,
		   "%s %s does not exist or is not granted to this role; list_objects shows what there is", what,
		   asked);
	return false;
}

bool probe_read(struct call *c, const struct statement *s, struct context *context)
{
	const char *got[4];

	if (s->state != STATEMENT_SUCCEEDED) {
		tool_statement_error(c, s);
		return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(got); i++)
		got[i] = statement_cell(s, 0, i);
	if (!probe_same(c, "role", context->role, got[0]) || !probe_same(c, "warehouse", context->warehouse, got[1]) ||
	    !probe_same(c, "database", context->database, got[2]) || !probe_same(c, "schema", context->schema, got[3]))
		return false;
	if (context->database && !context->schema)
		context->schema = arena_strdup(c->arena, got[3]); /* Snowflake falls back on PUBLIC */
	return true;
}
