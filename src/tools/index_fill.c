/* How indexes are filled: SHOW statements for what is wanted, their rows into shelves, the shelves into the table. */
#include "index_fill.h"

#include "snowgate/metric.h"

#include <stdio.h>
#include <string.h>

/* Owner: NET; opened before the first call, closed after the last. */
static struct index_table *catalogue;
static size_t bytes_told;

static void bytes_tell(void)
{
	size_t now = catalogue ? index_table_bytes(catalogue) : 0;

	if (now != bytes_told)
		metric_add(METRIC_catalog_bytes, NULL, (int64_t)now - (int64_t)bytes_told);
	bytes_told = now;
}

void catalogue_open(void)
{
	catalogue = index_table_new();
}

void catalogue_close(void)
{
	index_table_free(TAKE(catalogue));
	bytes_tell();
}

void catalogue_forget(void)
{
	catalogue_close();
	catalogue_open();
}

struct index_limits catalogue_limits(const struct call *c)
{
	const struct conf *conf = c->request->conf;

	return (struct index_limits){(size_t)conf->catalog_max_bytes, (size_t)conf->catalog_max_entries,
				     conf->catalog_ttl};
}

/* ---- whose index ---- */

/* A name may stand for another account after a reload: all of it counts. */
static void account_add(struct buf *b, const struct call *c)
{
	const struct connection *connection = c->request->policy->connection;

	part_add(b, connection->name);
	part_add(b, connection->account);
	part_add(b, connection->host);
}

/* What can be seen depends on Snowflake's user and role; what may be, on the policy's databases. */
static bool key_make(struct call *c, const struct context *x, struct slice *key, struct slice *account)
{
	const struct policy *p = c->request->policy;
	struct buf b = buf_with_ceiling(1 << 20), login = buf_with_ceiling(4096);
	size_t account_n;
	char *copy;

	if (!connection_login(p->connection, &c->request->principal, &login))
		return false;
	account_add(&b, c);
	account_n = b.n;
	buf_add(&b, p->connection->id, sizeof p->connection->id);
	part_add(&b, buf_text(&login));
	part_add(&b, x->role);
	for (size_t i = 0; i < p->databases.n; i++)
		part_add(&b, p->databases.v[i]);
	copy = buf_failed(&b) ? NULL : arena_alloc(c->arena, b.n);
	if (copy) {
		memcpy(copy, b.data, b.n);
		*key = (struct slice){copy, b.n};
		*account = (struct slice){copy, account_n};
	}
	buf_free(&login);
	buf_free(&b);
	return copy;
}

struct index *catalogue_of(struct call *c, const struct context *x, bool make)
{
	const struct index_limits limits = catalogue_limits(c);
	struct slice key, account;

	OWNED_BY(THREAD_NET);
	if (!c->request->policy->connection || !key_make(c, x, &key, &account))
		return NULL;
	return make ? index_get(catalogue, key, account, c->request->policy->databases, &limits)
		    : index_find(catalogue, key);
}

void catalogue_stale(const struct call *c, const char *database)
{
	struct buf b = buf_with_ceiling(8192);

	OWNED_BY(THREAD_NET);
	account_add(&b, c);
	if (!buf_failed(&b))
		index_stale(catalogue, buf_slice(&b), database);
	buf_free(&b);
}

/* ---- the statements ---- */

static const char *show_of(struct call *c, const struct want *w)
{
	static const char *const what[] = {"DATABASES", "WAREHOUSES", "SCHEMAS", "OBJECTS", "COLUMNS"};
	struct sql_name scope = {w->schema ? 2 : w->database ? 1 : 0, {w->database, w->schema}};
	struct buf sql = buf_with_ceiling(8192);

	buf_addf(&sql, "SHOW %s", what[w->set]);
	if (scope.n) {
		buf_addf(&sql, " IN %s ", scope.n == 2 ? "SCHEMA" : "DATABASE");
		sql_quote_name(&sql, &scope);
	}
	if (w->set == SET_OBJECTS && w->schema)
		buf_addf(&sql, " LIMIT %d", SHOW_MAX);
	if (w->from) {
		buf_adds(&sql, " FROM ");
		sql_quote_string(&sql, w->from);
	}
	return arena_text(c->arena, &sql);
}

static void fill_release(void *object)
{
	struct fill *f = object;

	for (size_t i = 0; i < f->n; i++)
		shelf_free(f->v[i].shelf);
	free(f);
}

static bool want_copy(struct arena *a, struct want *w)
{
	const struct want from = *w;

	w->database = arena_strdup(a, from.database);
	w->schema = arena_strdup(a, from.schema);
	w->from = arena_strdup(a, from.from);
	return !from.database == !w->database && !from.schema == !w->schema && !from.from == !w->from;
}

/* SHOW needs no warehouse and no current database: one that is not there cannot spoil it. */
static bool fill_statement(struct call *c, const struct want *w, const struct context *in)
{
	const struct context x = {.role = in->role};
	const char *sql = show_of(c, w);

	return sql && c->plan_n < PLAN_MAX && plan_metadata(c, sql, &x, SHOW_MAX);
}

static struct fill *fill_of(struct call *c, struct index *x, const struct context *in, const struct want *wants,
			    size_t n)
{
	struct fill *f = n ? xalloc(sizeof *f) : NULL;
	struct slice account;

	if (!f || !arena_attach(c->arena, f, fill_release))
		return NULL;
	f->serial = index_serial(x);
	f->first = c->plan_n;
	if (!key_make(c, in, &f->key, &account))
		return NULL;
	for (size_t i = 0; i < n; i++) {
		f->v[i].want = wants[i];
		if (!want_copy(c->arena, &f->v[i].want) || !fill_statement(c, &f->v[i].want, in))
			break;
		f->n++;
	}
	return f->n ? f : NULL;
}

struct fill *fill_plan(struct call *c, struct index *x, const struct context *in, const char *first, bool only,
		       size_t max)
{
	const struct index_limits limits = catalogue_limits(c);
	struct want wants[INDEX_BATCH];

	return fill_of(c, x, in, wants, index_wants(catalogue, x, first, only, clock_now(), &limits, wants, max));
}

struct fill *fill_plan_set(struct call *c, struct index *x, const struct context *in, enum index_set set,
			   const char *database, const char *schema)
{
	const struct index_limits limits = catalogue_limits(c);
	struct want want;

	return fill_of(c, x, in, &want,
		       index_wants_set(catalogue, x, set, database, schema, clock_now(), &limits, &want));
}

/* ---- rows ---- */

/* The columns of SHOW that are kept; a missing one is SIZE_MAX. */
struct columns {
	size_t name, database, schema, object, type, comment;
};

static struct columns columns_of(const struct statement *s, enum index_set set)
{
	const bool columns = set == SET_COLUMNS;

	return (struct columns){.name = statement_column(s, columns ? "column_name" : "name"),
				.database = set >= SET_SCHEMAS ? statement_column(s, "database_name") : SIZE_MAX,
				.schema = set >= SET_OBJECTS ? statement_column(s, "schema_name") : SIZE_MAX,
				.object = columns ? statement_column(s, "table_name") : SIZE_MAX,
				.type = statement_column(s, columns ? "data_type" : "kind"),
				.comment = statement_column(s, "comment")};
}

static const char *cell_of(const struct statement *s, size_t row, size_t column)
{
	return column == SIZE_MAX ? NULL : statement_cell(s, row, column);
}

/* SHOW COLUMNS tells a type as JSON: {"type":"FIXED","precision":38,"scale":0,"nullable":true}. As SQL writes it. */
static void type_write(char *out, size_t size, const json_t *type)
{
	const char *name = json_text_of(type, "type");
	int64_t length = json_int_of(type, "length", 0);

	if (!name)
		snprintf(out, size, "?");
	else if (strcmp(name, "FIXED") == 0)
		snprintf(out, size, "NUMBER(%d,%d)", (int)json_int_of(type, "precision", 38),
			 (int)json_int_of(type, "scale", 0));
	else if (strcmp(name, "TEXT") == 0 && length > 0 && length < 16777216)
		snprintf(out, size, "VARCHAR(%d)", (int)length);
	else
		snprintf(out, size, "%s",
			 strcmp(name, "TEXT") == 0   ? "VARCHAR"
			 : strcmp(name, "REAL") == 0 ? "FLOAT"
						     : name);
}

/* The types that came last, since few differ. */
struct types {
	size_t n;
	struct {
		char raw[160], text[64];
	} v[16];
};

static const char *type_text(struct types *known, const char *raw)
{
	size_t n = known->n < ARRAY_LEN(known->v) ? known->n : ARRAY_LEN(known->v), at;
	json_t *type = NULL;

	if (!raw || *raw != '{' || strlen(raw) >= sizeof known->v[0].raw)
		return raw && *raw != '{' ? raw : "";
	for (size_t i = 0; i < n; i++)
		if (strcmp(known->v[i].raw, raw) == 0)
			return known->v[i].text;
	at = known->n++ % ARRAY_LEN(known->v);
	snprintf(known->v[at].raw, sizeof known->v[at].raw, "%s", raw);
	if (json_parse(slice_of(raw), 8, &type, NULL, 0) != JSON_OK)
		type = NULL;
	type_write(known->v[at].text, sizeof known->v[at].text, type);
	json_decref(type);
	return known->v[at].text;
}

static enum item_kind kind_of(enum index_set set, const char *kind)
{
	static const enum item_kind kinds[] = {ITEM_DATABASE, ITEM_WAREHOUSE, ITEM_SCHEMA, ITEM_TABLE, ITEM_COLUMN};

	return set == SET_OBJECTS && kind && strstr(kind, "VIEW") ? ITEM_VIEW : kinds[set];
}

static bool is_catalogue(const char *schema)
{
	return schema && strcmp(schema, "INFORMATION_SCHEMA") == 0;
}

/* Only what was asked for, and what the policy lets be seen: whatever SHOW tells. */
static bool row_counts(const struct call *c, const struct want *w, const struct item *item, const char *database)
{
	if (!item->name || (w->database && database && strcmp(w->database, database) != 0))
		return false;
	if (w->set == SET_DATABASES)
		return policy_allows_database(c->request->policy, item->name);
	return !is_catalogue(w->set == SET_SCHEMAS ? item->name : item->schema);
}

static void rows_shelve(const struct call *c, struct filled *f, const struct statement *s)
{
	const struct columns at = columns_of(s, f->want.set);
	struct types types = {.n = 0};
	size_t rows = statement_rows(s);

	f->shelf = shelf_new();
	for (size_t row = 0; row < rows; row++) {
		const char *type = cell_of(s, row, at.type);
		struct item item = {kind_of(f->want.set, type),
				    cell_of(s, row, at.schema),
				    cell_of(s, row, at.object),
				    cell_of(s, row, at.name),
				    NULL,
				    cell_of(s, row, at.comment)};

		if (!item.schema && f->want.set >= SET_OBJECTS)
			item.schema = f->want.schema;
		if (f->want.set >= SET_OBJECTS)
			item.type = f->want.set == SET_COLUMNS ? type_text(&types, type) : type;
		if (row_counts(c, &f->want, &item, cell_of(s, row, at.database)))
			shelf_add(f->shelf, &item);
	}
	shelf_trim(f->shelf);
	if (rows && (rows >= SHOW_MAX || s->total_rows > rows))
		f->last = cell_of(s, rows - 1, at.name);
}

void fill_digest(struct call *c, struct fill *f)
{
	for (size_t i = 0; f && i < f->n; i++)
		if (c->plan[f->first + i].state == STATEMENT_SUCCEEDED && !f->v[i].shelf)
			rows_shelve(c, &f->v[i], &c->plan[f->first + i]);
}

static const char *refusal_of(const struct statement *s)
{
	if (s->state != STATEMENT_FAILED || s->failure.err != ERR_SQL)
		return NULL;
	return s->failure.code ? s->failure.code : "refused";
}

const struct statement *fill_settle(struct call *c, struct fill *f)
{
	const struct index_limits limits = catalogue_limits(c);
	const struct statement *failed = NULL;
	struct index *x;

	OWNED_BY(THREAD_NET);
	if (!f || f->settled)
		return NULL;
	f->settled = true;
	x = index_find(catalogue, f->key);
	for (size_t i = 0; i < f->n; i++) {
		const struct statement *s = &c->plan[f->first + i];
		struct filled *v = &f->v[i];

		if (!failed && s->state != STATEMENT_SUCCEEDED)
			failed = s;
		if (!x || index_serial(x) != f->serial)
			continue;
		if (v->shelf)
			index_took(catalogue, x, &v->want, TAKE(v->shelf), v->last, clock_now(), &limits);
		else
			index_left(x, &v->want, refusal_of(s), clock_now());
	}
	bytes_tell();
	return failed;
}
