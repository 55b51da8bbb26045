/* resources/list: the tables and views of the current schema or database, page by page, to the last of them. */
#include "tools_internal.h"

#include <string.h>

/* SHOW ends at SHOW_MAX rows and goes on behind a name with LIMIT ... FROM, but only in one schema is a name the place
 * of one row. So a schema is shown a page at a time, each from the name where the last one ended. A database is shown
 * whole, and pages count its rows; where SHOW was cut, the rest is shown schema by schema, from the one where it ended.
 */
struct place {
	size_t offset;      /* of the database's listing; 0 in a schema */
	const char *schema; /* NULL: all of the database's */
	const char *name;   /* after this one; NULL: from the first */
};
/* c->tool_state */
struct listing {
	const char *database;
	struct place from, next;
	bool by_schema;    /* a database, beyond what one SHOW gives */
	bool more;         /* there is a next page */
	const char *last;  /* name of the last row on this page or passed over */
	const char *where; /* and its schema */
	json_t *page;
};

static bool is_catalogue(const char *schema)
{
	return strcmp(schema, "INFORMATION_SCHEMA") == 0;
}

static size_t page_most(const struct call *c)
{
	return (size_t)c->request->conf->mcp_list_page;
}

/* ---- cursors ---- */

/* A cursor is bound to whose it is, and to all that decides what is listed. */
static void cursor_bound(struct buf *b, const struct call *c)
{
	const struct context *x = &c->context;

	buf_addc(b, 'o');
	principal_encode(b, &c->request->principal);
	list_identity(b, c);
	part_add(b, x->role);
	part_add(b, x->database);
	part_add(b, x->schema);
}

static bool place_write(struct buf *b, const struct call *c, const struct place *at)
{
	json_t *json = json_pack("[I, s?, s?]", (json_int_t)at->offset, at->schema, at->name);
	struct buf bound = buf_with_ceiling(16384), secret = buf_with_ceiling(16384);
	bool ok;

	cursor_bound(&bound, c);
	ok = json && json_write(&secret, json) && !buf_failed(&bound) &&
	     seal_write(b, cursor_keys(), buf_slice(&bound), buf_slice(&secret));
	json_decref(json);
	buf_free(&bound);
	buf_free(&secret);
	return ok;
}

static bool place_open(struct call *c, struct slice text, struct place *at)
{
	struct buf bound = buf_with_ceiling(16384), secret = buf_with_ceiling(SEAL_MAX);
	json_t *json = NULL;
	bool ok;

	cursor_bound(&bound, c);
	ok = !buf_failed(&bound) && seal_open(&secret, cursor_keys(), buf_slice(&bound), text) &&
	     json_parse_trusted(buf_slice(&secret), &json) == JSON_OK && arena_attach(c->arena, json, json_release);
	if (ok)
		*at = (struct place){(size_t)json_integer_value(json_array_get(json, 0)),
				     json_string_value(json_array_get(json, 1)),
				     json_string_value(json_array_get(json, 2))};
	buf_free(&bound);
	buf_free(&secret);
	return ok;
}

/* Where the page begins that is asked for. */
static int place_read(struct call *c, struct place *at)
{
	const json_t *cursor = json_object_get(c->rpc.params, "cursor");
	struct slice text = {json_string_value(cursor), json_string_length(cursor)};

	*at = (struct place){.schema = c->context.schema};
	if (!cursor)
		return ERR_OK;
	if (!text.data)
		return method_fault(c, ERR_INVALID_PARAMS, "cursor: must be a string; leave it out for the first page");
	return place_open(c, text, at)
		   ? ERR_OK
		   : method_fault(c, ERR_INVALID_PARAMS,
				  "cursor: not one that this list gave; start again without a cursor");
}

/* ---- the plan ---- */

static bool plan_objects(struct call *c, const struct listing *l, const struct context *x)
{
	struct sql_name scope = {l->from.schema ? 2 : 1, {l->database, l->from.schema}};
	struct buf sql = buf_with_ceiling(8192);
	size_t rows = SHOW_MAX;

	buf_addf(&sql, "SHOW OBJECTS IN %s ", l->from.schema ? "SCHEMA" : "DATABASE");
	sql_quote_name(&sql, &scope);
	if (l->from.schema) {
		rows = page_most(c) + 1;
		buf_addf(&sql, " LIMIT %zu", rows);
	}
	if (l->from.name) {
		buf_adds(&sql, " FROM ");
		sql_quote_string(&sql, l->from.name);
	}
	return plan_metadata(c, arena_text(c->arena, &sql), x, rows);
}

/* Which schema is the next; two rows, as one may be the catalogue. */
static bool plan_next_schema(struct call *c, const struct listing *l, const struct context *x)
{
	struct sql_name scope = {1, {l->database}};
	struct buf sql = buf_with_ceiling(8192);

	buf_adds(&sql, "SHOW SCHEMAS IN DATABASE ");
	sql_quote_name(&sql, &scope);
	buf_adds(&sql, " LIMIT 2 FROM ");
	sql_quote_string(&sql, l->from.schema);
	return plan_metadata(c, arena_text(c->arena, &sql), x, 2);
}

int plan_resources_list(struct call *c)
{
	struct listing *l = arena_alloc(c->arena, sizeof *l);
	struct context x;
	int rc;

	if (!l)
		return method_fault(c, ERR_NOMEM, err_info(ERR_NOMEM)->text);
	*l = (struct listing){0};
	c->tool_state = l;
	rc = place_read(c, &l->from);
	if (rc != ERR_OK || !c->context.database || !(c->request->policy->statements & CLASS_METADATA))
		return rc;
	if (arguments_context(c, &x) != ERR_OK)
		return method_refused(c, NULL);
	l->database = x.database;
	l->by_schema = l->from.schema && !x.schema;
	if (x.schema && is_catalogue(x.schema))
		return ERR_OK;
	return plan_objects(c, l, &x) && (!l->by_schema || plan_next_schema(c, l, &x)) ? ERR_OK
										       : method_refused(c, NULL);
}

/* ---- the answer ---- */

/* The columns of SHOW OBJECTS that are told. */
struct shown_columns {
	size_t name, database, schema, kind, comment;
};

static struct shown_columns columns_of(const struct statement *s)
{
	return (struct shown_columns){
	    statement_column(s, "name"), statement_column(s, "database_name"), statement_column(s, "schema_name"),
	    statement_column(s, "kind"), statement_column(s, "comment"),
	};
}

static const char *cell_of(const struct statement *s, size_t row, size_t column)
{
	const char *text = column == SIZE_MAX ? NULL : statement_cell(s, row, column);

	return text ? text : "";
}

static json_t *resource_json(const struct statement *s, size_t row, const struct shown_columns *at, const char *uri)
{
	json_t *out = json_object();

	json_object_set_new(out, "uri", json_string(uri));
	json_object_set_new(out, "name",
			    json_sprintf("%s.%s.%s", cell_of(s, row, at->database), cell_of(s, row, at->schema),
					 cell_of(s, row, at->name)));
	json_object_set_new(out, "title",
			    json_sprintf("%s (%s)", cell_of(s, row, at->name), cell_of(s, row, at->kind)));
	if (*cell_of(s, row, at->comment))
		json_object_set_new(out, "description", json_string(cell_of(s, row, at->comment)));
	json_object_set_new(out, "mimeType", json_string("text/plain"));
	return out;
}

/* NULL for what is no resource: the catalogue's own views, and names too long for a URI that resources/read takes. */
static json_t *resource_of(const struct statement *s, size_t row, const struct shown_columns *at)
{
	struct sql_name name = {
	    3, {cell_of(s, row, at->database), cell_of(s, row, at->schema), cell_of(s, row, at->name)}};
	struct buf uri = buf_with_ceiling(RESOURCE_URI_MAX);
	json_t *out = NULL;

	if (!is_catalogue(name.part[1]) && resource_uri_of(&uri, &name))
		out = resource_json(s, row, at, buf_text(&uri));
	buf_free(&uri);
	return out;
}

/* One row more; false where it is the first of the next page. */
static bool row_take(const struct call *c, struct listing *l, size_t row, const struct shown_columns *at, size_t *seen)
{
	const struct statement *s = &c->plan[0];
	json_t *item = resource_of(s, row, at);
	bool taken = !item || *seen < l->from.offset + page_most(c);

	if (item && taken && *seen >= l->from.offset)
		json_array_append(l->page, item);
	*seen += item != NULL;
	json_decref(item);
	if (taken) {
		l->last = cell_of(s, row, at->name);
		l->where = cell_of(s, row, at->schema);
	}
	return taken;
}

/* SHOW gives rows in the order of schema and name (Snowflake, SHOW OBJECTS), so that pages fit together. */
static void rows_take(const struct call *c, struct listing *l)
{
	const struct statement *s = &c->plan[0];
	struct shown_columns at = columns_of(s);
	size_t seen = 0;

	for (size_t i = 0; i < statement_rows(s) && !l->more; i++)
		l->more = !row_take(c, l, i, &at, &seen);
}

/* The schema behind the one whose objects have all been listed; NULL where it was the last. */
static const char *schema_after(const struct call *c, const struct listing *l)
{
	const struct statement *s = &c->plan[1];
	size_t column = l->by_schema ? statement_column(s, "name") : 0;

	for (size_t i = 0; l->by_schema && i < statement_rows(s); i++) {
		const char *name = statement_cell(s, i, column);

		if (name && !is_catalogue(name))
			return name;
	}
	return NULL;
}

static void next_find(const struct call *c, struct listing *l)
{
	const struct statement *s = &c->plan[0];
	size_t rows = statement_rows(s);
	bool cut = rows >= s->rows || s->total_rows > rows;

	if (l->more && !l->from.schema) {
		l->next = (struct place){.offset = l->from.offset + page_most(c)};
	} else if (l->last && (l->more || cut)) {
		l->next = (struct place){.schema = l->from.schema ? l->from.schema : l->where, .name = l->last};
		l->more = true;
	} else {
		l->next = (struct place){.schema = schema_after(c, l)};
		l->more = l->next.schema;
	}
}

static void listing_write(struct call *c, const struct listing *l)
{
	struct buf cursor = buf_with_ceiling(32768);

	if ((l->more && !place_write(&cursor, c, &l->next)) ||
	    !list_write(&c->result, c->revision, c->method, l->page, l->more ? buf_text(&cursor) : NULL,
			OBJECTS_TTL_MS))
		method_fault(c, ERR_INTERNAL, "the list does not fit into an answer");
	buf_free(&cursor);
}

void answer_resources_list(struct call *c)
{
	struct listing *l = c->tool_state;

	for (size_t i = 0; i < c->plan_n; i++) {
		if (c->plan[i].state == STATEMENT_SUCCEEDED)
			continue;
		tool_statement_error(c, &c->plan[i]);
		method_refused(c, NULL);
		return;
	}
	l->page = json_array();
	if (c->plan_n) {
		rows_take(c, l);
		next_find(c, l);
	}
	listing_write(c, l);
	json_decref(l->page);
}
