/* The toolset `snowflake-labs`: the read tools of Snowflake's own MCP server, under their names and arguments. */
#include "sets.h"

#include <string.h>

static int refuse(struct call *c, enum err err, const char *argument, const char *why)
{
	tool_error(c, err, NULL, NULL, "%s: %s", argument, why);
	return (int)err;
}

/* ---- run_snowflake_query ---- */

int plan_run_query(struct call *c)
{
	const char *statement = json_text_of(c->arguments, "statement");

	return argument_set(c, "query", json_string(statement)) ? plan_execute_query(c) : refuse_memory(c);
}

/* ---- the kinds of objects ---- */

static const struct kind {
	const char *name, *show;
	int depth; /* what it lies in: 0 the account, 1 a database, 2 a schema */
} kinds[] = {
    {"database", "DATABASES", 0},   {"schema", "SCHEMAS", 1},
    {"table", "TABLES", 2},         {"view", "VIEWS", 2},
    {"stage", "STAGES", 2},         {"image_repository", "IMAGE REPOSITORIES", 2},
    {"warehouse", "WAREHOUSES", 0}, {"compute_pool", "COMPUTE POOLS", 0},
    {"role", "ROLES", 0},           {"user", "USERS", 0},
};

static const struct kind *kind_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

/* ---- list_objects ---- */

/* Without a place it is the account, as there; under a policy with databases one of them must be meant. */
static int list_place(struct call *c, const struct kind *kind, const struct context *x, struct sql_name *place)
{
	const struct texts databases = c->request->policy->databases;
	const char *database, *schema;
	int rc = argument_ident(c, "database_name", &database);

	if (rc == ERR_OK)
		rc = argument_ident(c, "schema_name", &schema);
	*place = (struct sql_name){0};
	if (rc != ERR_OK || kind->depth == 0)
		return rc;
	if (!database)
		database = databases.n == 1 ? databases.v[0] : schema || databases.n ? x->database : NULL;
	if (!database && (schema || databases.n))
		return refuse(c, ERR_INVALID_PARAMS, "database_name", "missing; there is no current database");
	if (database && !policy_allows_database(c->request->policy, database))
		return refuse(c, ERR_POLICY, "database_name", "this database is not allowed here");
	if (database)
		place->part[place->n++] = database;
	if (schema && kind->depth == 2)
		place->part[place->n++] = schema;
	return ERR_OK;
}

static void place_add(struct buf *b, const struct kind *kind, const struct sql_name *place)
{
	static const char *const levels[] = {" IN ACCOUNT", " IN DATABASE ", " IN SCHEMA "};

	if (kind->depth == 0)
		return;
	buf_adds(b, levels[place->n]);
	if (place->n)
		sql_quote_name(b, place);
}

/* A keyword anywhere in the name, unless it comes with its own wildcard. */
static void like_add(struct call *c, struct buf *b)
{
	const char *like = json_text_of(c->arguments, "like");
	char *pattern = like ? arena_printf(c->arena, strchr(like, '%') ? "%s" : "%%%s%%", like) : NULL;

	if (!pattern || !*like)
		return;
	buf_adds(b, " LIKE ");
	sql_quote_string(b, pattern);
}

int plan_labs_list(struct call *c)
{
	const char *type = json_text_of(c->arguments, "object_type");
	const char *starts_with = json_text_of(c->arguments, "starts_with");
	const struct kind *kind = kind_of(type);
	struct buf sql = buf_with_ceiling(8192);
	struct sql_name place;
	struct context x;
	int rc;

	arguments_window(c, (size_t)c->request->conf->results_default_rows);
	rc = arguments_context(c, &x);
	if (rc == ERR_OK)
		rc = list_place(c, kind, &x, &place);
	if (rc != ERR_OK)
		return rc;
	if (!argument_set(c, "kind", json_string(type)))
		return refuse_memory(c);
	buf_addf(&sql, "SHOW %s", kind->show);
	like_add(c, &sql);
	place_add(&sql, kind, &place);
	if (starts_with && *starts_with && strcmp(type, "warehouse") != 0) {
		buf_adds(&sql, " STARTS WITH ");
		sql_quote_string(&sql, starts_with);
	}
	return plan_metadata(c, arena_text(c->arena, &sql), &x, SHOW_MAX) ? ERR_OK : ERR_NOMEM;
}

/* ---- describe_object ---- */

struct target {
	const struct kind *kind;
	const char *name, *database, *schema; /* stored names; NULL where not given */
	bool shown;                           /* by SHOW; else described as a table or view */
};

static int target_part(struct call *c, const json_t *target, const char *member, const char **out)
{
	const char *text = json_text_of(target, member);

	*out = text ? sql_ident_fold(c->arena, slice_of(text)) : NULL;
	if (!text || *out)
		return ERR_OK;
	tool_error(c, ERR_INVALID_PARAMS, NULL, NULL, "target_object.%s: not an identifier: %.100s", member, text);
	return ERR_INVALID_PARAMS;
}

/* Some models send the object as a text of JSON. */
static const json_t *target_object(struct call *c)
{
	json_t *target = json_object_get(c->arguments, "target_object");

	if (!json_is_string(target))
		return target;
	if (json_parse(slice_of(json_string_value(target)), JSON_DEPTH_MAX, &target, NULL, 0) != JSON_OK)
		return NULL;
	return arena_attach(c->arena, target, json_release) && json_is_object(target) ? target : NULL;
}

static int target_read(struct call *c, struct target *t)
{
	const json_t *object = target_object(c);
	int rc;

	if (!object)
		return refuse(c, ERR_INVALID_PARAMS, "target_object", "must be an object, as {\"name\":\"ORDERS\"}");
	rc = target_part(c, object, "name", &t->name);
	if (rc == ERR_OK)
		rc = target_part(c, object, "database_name", &t->database);
	if (rc == ERR_OK)
		rc = target_part(c, object, "schema_name", &t->schema);
	if (rc == ERR_OK && !t->name)
		return refuse(c, ERR_INVALID_PARAMS, "target_object.name", "missing");
	return rc;
}

/* What the target leaves out is in the context; what it lies in must be allowed. */
static int target_complete(struct call *c, struct target *t, const struct context *x)
{
	const char *database = t->kind->depth ? t->database : t->name;

	if (t->kind->depth && !t->database)
		t->database = database = x->database;
	if (t->kind->depth == 2 && !t->schema && x->database && t->database && !strcmp(t->database, x->database))
		t->schema = x->schema;
	if (t->kind->depth && !t->database)
		return refuse(c, ERR_INVALID_PARAMS, "target_object.database_name", "missing");
	if (t->kind->depth == 2 && !t->schema)
		return refuse(c, ERR_INVALID_PARAMS, "target_object.schema_name", "missing");
	if ((t->kind->depth || !strcmp(t->kind->name, "database")) &&
	    !policy_allows_database(c->request->policy, database))
		return refuse(c, ERR_POLICY, "target_object", "its database is not allowed here");
	return ERR_OK;
}

/* A table or a view: what describe_object of ours tells. */
static int plan_described(struct call *c, const struct target *t)
{
	struct sql_name name = {3, {t->database, t->schema, t->name}};
	struct buf text = buf_with_ceiling(4096);
	json_t *names;

	sql_quote_name(&text, &name);
	names = json_pack("[s]", buf_text(&text));
	buf_free(&text);
	if (!names || !argument_set(c, "names", names) || !argument_set(c, "kind", json_string(t->kind->name)))
		return refuse_memory(c);
	return plan_describe_object(c);
}

/* What LIKE finds beside the name itself is left out of the answer. */
static int plan_shown(struct call *c, struct target *t, const struct context *x)
{
	struct buf sql = buf_with_ceiling(8192);
	struct sql_name place = {(size_t)t->kind->depth, {t->database, t->schema}};

	t->shown = true;
	buf_addf(&sql, "SHOW %s LIKE ", t->kind->show);
	sql_quote_string(&sql, t->name);
	place_add(&sql, t->kind, &place);
	return plan_metadata(c, arena_text(c->arena, &sql), x, SHOW_MAX) ? ERR_OK : ERR_NOMEM;
}

int plan_labs_describe(struct call *c)
{
	const char *type = json_text_of(c->arguments, "object_type");
	struct target *t = arena_alloc(c->arena, sizeof *t);
	struct context x;
	int rc = t ? arguments_context(c, &x) : refuse_memory(c);

	c->budget.bytes = (size_t)c->request->conf->results_max_bytes;
	if (rc != ERR_OK)
		return rc;
	*t = (struct target){.kind = kind_of(type)};
	rc = target_read(c, t);
	if (rc == ERR_OK)
		rc = target_complete(c, t, &x);
	if (rc != ERR_OK)
		return rc;
	if (strcmp(type, "table") == 0 || strcmp(type, "view") == 0)
		return plan_described(c, t);
	c->tool_state = t;
	return plan_shown(c, t, &x);
}

/* One line for each property that is there. */
static void properties_told(struct call *c, const struct statement *s, size_t row)
{
	struct buf *b = &c->answer.text;

	for (size_t i = 0; i < s->columns_n; i++) {
		const char *value = statement_cell(s, row, i);

		if (!value || !*value)
			continue;
		buf_addf(b, "%s: ", s->columns[i].name);
		told_within(c, b, slice_of(value));
		buf_addc(b, '\n');
	}
}

void answer_labs_describe(struct call *c)
{
	const char *type = json_text_of(c->arguments, "object_type");
	const struct statement *s = &c->plan[0];
	const struct target *t = c->tool_state;
	size_t name;

	if (strcmp(type, "table") == 0 || strcmp(type, "view") == 0) {
		answer_describe_object(c);
		return;
	}
	if (s->state != STATEMENT_SUCCEEDED) {
		tool_statement_error(c, s);
		return;
	}
	name = statement_column(s, "name");
	for (size_t row = 0; row < statement_rows(s); row++) {
		const char *found = statement_cell(s, row, name);

		if (!found || strcmp(found, t->name) != 0)
			continue;
		properties_told(c, s, row);
		return;
	}
	tool_error(c, ERR_SQL, NULL, NULL,
		   "%s %s: not found, or not granted to this role; list_objects shows what there is", t->kind->name,
		   t->name);
}
