/* list_objects and describe_object: Snowflake's catalogue by SHOW and INFORMATION_SCHEMA. */
#include "tools_internal.h"

#include <string.h>

/* ---- list_objects ---- */

static const struct kind {
	const char *name, *show;
	int depth; /* parts that `in` may have; 0: the account only */
} kinds[] = {
    {"database", "DATABASES", 0},   {"schema", "SCHEMAS", 1}, {"table", "TABLES", 2},
    {"view", "VIEWS", 2},           {"object", "OBJECTS", 2}, {"column", "COLUMNS", 3},
    {"warehouse", "WAREHOUSES", 0}, {"role", "ROLES", 0},     {"function", "USER FUNCTIONS", 2},
    {"procedure", "PROCEDURES", 2}, {"stage", "STAGES", 2},   {"sequence", "SEQUENCES", 2},
};

static const struct kind *kind_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

static int refuse_in(struct call *c, const char *why)
{
	tool_error(c, ERR_INVALID_PARAMS, NULL, NULL, "in: %s", why);
	return ERR_INVALID_PARAMS;
}

static int refuse_database(struct call *c, const char *database)
{
	tool_error(c, ERR_POLICY, NULL, NULL, "in: database %.255s is not allowed here", database);
	return ERR_POLICY;
}

/* Where to look: the argument, else the context; never beyond the policy's databases. */
static int in_scope(struct call *c, const struct kind *kind, const struct context *x, struct sql_name *scope)
{
	const char *in = json_text_of(c->arguments, "in"), *why = "not a name";

	*scope = (struct sql_name){0};
	if (kind->depth == 0)
		return in ? refuse_in(c, "this kind is not inside anything; leave it out") : ERR_OK;
	if (in && sql_name_parse(c->arena, slice_of(in), (size_t)kind->depth, scope, &why) != ERR_OK)
		return refuse_in(c, why);
	if (!in && x->database) {
		scope->part[scope->n++] = x->database;
		if (x->schema && kind->depth > 1)
			scope->part[scope->n++] = x->schema;
	}
	if (scope->n > 0 && !policy_allows_database(c->request->policy, scope->part[0]))
		return refuse_database(c, scope->part[0]);
	if (scope->n == 0 && c->request->policy->databases.n > 0)
		return refuse_in(c, "name a database; list_objects with kind `database` shows them");
	return ERR_OK;
}

static bool scope_add(struct buf *b, const struct sql_name *scope)
{
	static const char *const levels[] = {" IN ACCOUNT", " IN DATABASE ", " IN SCHEMA ", " IN TABLE "};

	buf_adds(b, levels[scope->n]);
	return scope->n == 0 || sql_quote_name(b, scope);
}

int plan_list_objects(struct call *c)
{
	const struct kind *kind = kind_of(json_text_of(c->arguments, "kind"));
	const char *like = json_text_of(c->arguments, "like");
	struct buf sql = buf_with_ceiling(8192);
	struct sql_name scope;
	struct context x;
	int rc;

	arguments_window(c, (size_t)c->request->conf->results_default_rows);
	rc = arguments_context(c, &x);
	if (rc == ERR_OK)
		rc = in_scope(c, kind, &x, &scope);
	if (rc != ERR_OK)
		return rc;
	buf_addf(&sql, "SHOW %s", kind->show);
	if (like) {
		buf_adds(&sql, " LIKE ");
		sql_quote_string(&sql, like);
	}
	if (kind->depth > 0)
		scope_add(&sql, &scope);
	return plan_metadata(c, arena_text(c->arena, &sql), &x, SHOW_MAX) ? ERR_OK : ERR_NOMEM;
}

/* What a reader wants of the many columns of SHOW; all of them where none of these is there. */
static const char *const wanted[] = {"name",  "table_name", "column_name", "data_type", "database_name", "schema_name",
				     "kind",  "state",      "size",        "rows",      "owner",         "arguments",
				     "null?", "default",    "comment",     "created_on"};

/* A column that names a database tells which rows a policy hides. */
static size_t database_column(const struct statement *s, const char *kind)
{
	return statement_column(s, strcmp(kind, "database") == 0 ? "name" : "database_name");
}

static size_t projection(const struct statement *s, size_t columns[ARRAY_LEN(wanted)])
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		size_t at = statement_column(s, wanted[i]);

		if (at != SIZE_MAX)
			columns[n++] = at;
	}
	return n;
}

static bool row_visible(const struct call *c, const struct statement *s, size_t row)
{
	size_t database = database_column(s, json_text_of(c->arguments, "kind"));
	const char *name = database == SIZE_MAX ? NULL : statement_cell(s, row, database);

	return !name || policy_allows_database(c->request->policy, name);
}

/* Replaces the statement's rows by the columns and rows that are shown; false where memory does not do. */
static bool result_project(struct call *c, struct statement *s)
{
	size_t columns[ARRAY_LEN(wanted)], n = projection(s, columns);

	return n == 0 || statement_project(c, s, columns, n, row_visible);
}

void answer_list_objects(struct call *c)
{
	struct statement *s = &c->plan[0];

	if (s->state == STATEMENT_SUCCEEDED && !result_project(c, s))
		tool_error(c, ERR_NOMEM, NULL, NULL, "there are too many; narrow the list with `in` or `like`");
	else
		answer_rows(c);
}

/* ---- describe_object ---- */

#define NAMES_MAX     10
#define DATABASES_MAX 3

struct described {
	size_t n;
	struct sql_name name[NAMES_MAX]; /* three parts each */
	size_t databases_n;
	const char *database[DATABASES_MAX];
	bool with_ddl;
};

static int refuse_name(struct call *c, const char *text, const char *why)
{
	tool_error(c, ERR_INVALID_PARAMS, NULL, NULL, "names: %.200s: %s", text, why);
	return ERR_INVALID_PARAMS;
}

/* A name with what it leaves out filled in from the context. */
static int name_complete(struct call *c, const char *text, struct sql_name *name)
{
	const char *why = "not a name", *database = c->context.database, *schema = c->context.schema;

	if (sql_name_parse(c->arena, slice_of(text), 3, name, &why) != ERR_OK)
		return refuse_name(c, text, why);
	if (name->n < 3 && !database)
		return refuse_name(c, text, "no current database; write DATABASE.SCHEMA.NAME or use set_context");
	if (name->n < 2 && !schema)
		return refuse_name(c, text, "no current schema; write SCHEMA.NAME or use set_context");
	if (name->n == 1)
		*name = (struct sql_name){3, {database, schema, name->part[0]}};
	else if (name->n == 2)
		*name = (struct sql_name){3, {database, name->part[0], name->part[1]}};
	if (!policy_allows_database(c->request->policy, name->part[0]))
		return refuse_name(c, text, "its database is not allowed here");
	return ERR_OK;
}

static int database_note(struct call *c, struct described *d, const char *database)
{
	for (size_t i = 0; i < d->databases_n; i++)
		if (strcmp(d->database[i], database) == 0)
			return ERR_OK;
	if (d->databases_n == DATABASES_MAX)
		return refuse_name(c, database, "at most 3 databases in one call");
	d->database[d->databases_n++] = database;
	return ERR_OK;
}

static int names_read(struct call *c, struct described *d)
{
	const json_t *names = json_object_get(c->arguments, "names");

	for (size_t i = 0; i < json_array_size(names) && i < NAMES_MAX; i++) {
		struct sql_name *name = &d->name[d->n];
		int rc = name_complete(c, json_string_value(json_array_get(names, i)), name);

		if (rc == ERR_OK)
			rc = database_note(c, d, name->part[0]);
		if (rc != ERR_OK)
			return rc;
		d->n++;
	}
	return ERR_OK;
}

/* One look into a database's INFORMATION_SCHEMA for all names in it; names travel as bindings. */
static int plan_look(struct call *c, const struct described *d, const char *database, const char *select,
		     const char *from, const char *order)
{
	struct buf sql = buf_with_ceiling(8192);
	struct statement *s;
	size_t n = 0;

	buf_addf(&sql, "SELECT %s FROM ", select);
	sql_quote_ident(&sql, database);
	buf_addf(&sql, ".INFORMATION_SCHEMA.%s WHERE ", from);
	for (size_t i = 0; i < d->n; i++)
		if (strcmp(d->name[i].part[0], database) == 0)
			buf_addf(&sql, "%s(TABLE_SCHEMA = ? AND TABLE_NAME = ?)", n++ ? " OR " : "");
	buf_addf(&sql, " ORDER BY %s", order);
	s = plan_metadata(c, arena_text(c->arena, &sql), &c->context, SHOW_MAX);
	if (!s)
		return ERR_NOMEM;
	for (size_t i = 0; i < d->n; i++)
		if (strcmp(d->name[i].part[0], database) == 0 && (!statement_bind(c, s, "TEXT", d->name[i].part[1]) ||
								  !statement_bind(c, s, "TEXT", d->name[i].part[2])))
			return refuse_memory(c);
	return ERR_OK;
}

/* Last, since one name that does not exist fails all of it: the answer then goes without DDL. */
static int plan_ddl(struct call *c, const struct described *d, const char *kind)
{
	struct buf sql = buf_with_ceiling(65536), name = buf_with_ceiling(4096);

	buf_adds(&sql, "SELECT ");
	for (size_t i = 0; i < d->n; i++) {
		buf_clear(&name);
		sql_quote_name(&name, &d->name[i]);
		buf_addf(&sql, "%sGET_DDL('%s', ", i ? ", " : "", strcmp(kind, "view") == 0 ? "VIEW" : "TABLE");
		sql_quote_string(&sql, buf_text(&name));
		buf_addc(&sql, ')');
	}
	buf_free(&name);
	return plan_metadata(c, arena_text(c->arena, &sql), &c->context, 1) ? ERR_OK : ERR_NOMEM;
}

/* Two looks at every database. */
static int plan_looks(struct call *c, struct described *d)
{
	int rc = ERR_OK;

	c->tool_state = d;
	for (size_t i = 0; i < d->databases_n && rc == ERR_OK; i++) {
		rc = plan_look(c, d, d->database[i], "TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ROW_COUNT, COMMENT",
			       "TABLES", "TABLE_SCHEMA, TABLE_NAME");
		if (rc == ERR_OK)
			rc = plan_look(c, d, d->database[i],
				       "TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, IS_NULLABLE, COMMENT",
				       "COLUMNS", "TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION");
	}
	return rc;
}

int plan_describe_object(struct call *c)
{
	const char *kind = json_text_of(c->arguments, "kind");
	struct described *d = arena_alloc(c->arena, sizeof *d);
	int rc = d ? arguments_context(c, &c->context) : refuse_memory(c);

	if (rc != ERR_OK)
		return rc;
	arguments_window(c, SHOW_MAX);
	rc = names_read(c, d);
	if (rc == ERR_OK)
		rc = plan_looks(c, d);
	d->with_ddl = kind != NULL;
	return rc == ERR_OK && kind ? plan_ddl(c, d, kind) : rc;
}

/* Whether it is a view is not known yet: the text of one is looked for before the DDL of a table is asked for. */
int plan_describe_one(struct call *c, const struct sql_name *name)
{
	struct described *d = arena_alloc(c->arena, sizeof *d);
	int rc;

	if (!d)
		return refuse_memory(c);
	*d = (struct described){
	    .n = 1, .name = {*name}, .databases_n = 1, .database = {name->part[0]}, .with_ddl = true};
	rc = plan_looks(c, d);
	if (rc == ERR_OK)
		rc = plan_look(c, d, name->part[0], "TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION", "VIEWS",
			       "TABLE_SCHEMA, TABLE_NAME");
	return rc == ERR_OK ? plan_ddl(c, d, "table") : rc;
}

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static bool row_is(const struct statement *s, size_t row, const struct sql_name *name)
{
	return strcmp(or_empty(statement_cell(s, row, 0)), name->part[1]) == 0 &&
	       strcmp(or_empty(statement_cell(s, row, 1)), name->part[2]) == 0;
}

static void column_line(struct buf *b, const struct statement *s, size_t row)
{
	const char *comment = statement_cell(s, row, 5);

	buf_addf(b, "%s %s%s", or_empty(statement_cell(s, row, 2)), or_empty(statement_cell(s, row, 3)),
		 strcmp(or_empty(statement_cell(s, row, 4)), "NO") == 0 ? " NOT NULL" : "");
	if (comment && *comment)
		buf_addf(b, " -- %s", comment);
	buf_addc(b, '\n');
}

static bool object_told(struct buf *b, const struct statement *tables, const struct statement *columns,
			const struct sql_name *name)
{
	for (size_t row = 0; row < statement_rows(tables); row++) {
		const char *comment = statement_cell(tables, row, 4), *count = statement_cell(tables, row, 3);

		if (!row_is(tables, row, name))
			continue;
		buf_addf(b, "%s.%s.%s: %s", name->part[0], name->part[1], name->part[2],
			 or_empty(statement_cell(tables, row, 2)));
		if (count)
			buf_addf(b, ", %s rows", count);
		if (comment && *comment)
			buf_addf(b, "; %s", comment);
		buf_addc(b, '\n');
		for (size_t k = 0; k < statement_rows(columns); k++)
			if (row_is(columns, k, name))
				column_line(b, columns, k);
		return true;
	}
	return false;
}

/* The two looks of a name's database. */
static const struct statement *looks_of(const struct call *c, const struct described *d, const char *database)
{
	for (size_t i = 0; i < d->databases_n; i++)
		if (strcmp(d->database[i], database) == 0)
			return &c->plan[2 * i];
	return NULL;
}

/* The look that failed; NULL where every one is there. */
static const struct statement *look_failure(const struct call *c, const struct described *d)
{
	for (size_t i = 0; i < 2 * d->databases_n; i++)
		if (c->plan[i].state != STATEMENT_SUCCEEDED)
			return &c->plan[i];
	return NULL;
}

/* Name number i with its DDL; false where it is not there. */
static bool described_told(const struct call *c, const struct described *d, size_t i, struct buf *b)
{
	const struct statement *looks = looks_of(c, d, d->name[i].part[0]);
	const struct statement *ddl = d->with_ddl ? &c->plan[c->plan_n - 1] : NULL;

	if (!object_told(b, &looks[0], &looks[1], &d->name[i]))
		return false;
	if (ddl && ddl->state == STATEMENT_SUCCEEDED)
		buf_addf(b, "%s\n", or_empty(statement_cell(ddl, 0, i)));
	return true;
}

void answer_describe_object(struct call *c)
{
	const struct described *d = c->tool_state;
	const struct statement *failure = look_failure(c, d);
	struct buf *b = &c->answer.text;
	size_t found = 0;

	if (failure) {
		tool_statement_error(c, failure);
		return;
	}
	for (size_t i = 0; i < d->n; i++) {
		const struct sql_name *name = &d->name[i];

		if (!described_told(c, d, i, b)) {
			buf_addf(b,
				 "%s.%s.%s: not found, or not granted to this role; list_objects shows what there is\n",
				 name->part[0], name->part[1], name->part[2]);
			continue;
		}
		found++;
		buf_addc(b, '\n');
	}
	if (found == 0)
		c->answer.is_error = true;
	if (buf_failed(b))
		tool_error(c, ERR_NOMEM, NULL, NULL,
			   "the descriptions do not fit into one answer; ask for fewer names");
}

const struct statement *describe_one_failure(const struct call *c)
{
	return look_failure(c, c->tool_state);
}

bool describe_one_told(const struct call *c, struct buf *b)
{
	const struct statement *view = &c->plan[2];
	const char *text = view->state == STATEMENT_SUCCEEDED ? statement_cell(view, 0, 2) : NULL;

	if (!described_told(c, c->tool_state, 0, b))
		return false;
	if (text && *text && c->plan[3].state != STATEMENT_SUCCEEDED)
		buf_addf(b, "%s\n", text);
	return true;
}
