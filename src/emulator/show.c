/* SHOW and DESCRIBE: a scope, a pattern and a page over the views of macros.sql. */
#include "rewriter.h"

#include <stdio.h>
#include <string.h>

enum scope_kind { SCOPE_DEFAULT, SCOPE_ACCOUNT, SCOPE_DATABASE, SCOPE_SCHEMA, SCOPE_TABLE };

struct show_kind {
	const char *words, *view;
	enum scope_kind scope;
};

/* scope: the narrowest container whose name a row carries. */
static const struct show_kind KINDS[] = {
    {"DATABASES", "DATABASES", SCOPE_ACCOUNT},
    {"SCHEMAS", "SCHEMAS", SCOPE_DATABASE},
    {"TABLES", "TABLES", SCOPE_SCHEMA},
    {"VIEWS", "VIEWS", SCOPE_SCHEMA},
    {"OBJECTS", "OBJECTS", SCOPE_SCHEMA},
    {"COLUMNS", "COLUMNS", SCOPE_TABLE},
    {"SEQUENCES", "SEQUENCES", SCOPE_SCHEMA},
    {"WAREHOUSES", "WAREHOUSES", SCOPE_ACCOUNT},
    {"ROLES", "ROLES", SCOPE_ACCOUNT},
    {"USERS", "USERS", SCOPE_ACCOUNT},
    {"FUNCTIONS", "FUNCTIONS", SCOPE_SCHEMA},
    {"USER FUNCTIONS", "FUNCTIONS", SCOPE_SCHEMA},
    {"PROCEDURES", "PROCEDURES", SCOPE_SCHEMA},
    {"USER PROCEDURES", "PROCEDURES", SCOPE_SCHEMA},
    {"STAGES", "STAGES", SCOPE_SCHEMA},
    {"PRIMARY KEYS", "PRIMARY_KEYS", SCOPE_TABLE},
    {"UNIQUE KEYS", "UNIQUE_KEYS", SCOPE_TABLE},
    {"IMPORTED KEYS", "IMPORTED_KEYS", SCOPE_TABLE},
    {"EXPORTED KEYS", "IMPORTED_KEYS", SCOPE_TABLE},
    {"PARAMETERS", "PARAMETERS", SCOPE_ACCOUNT},
    {"GRANTS", "GRANTS", SCOPE_ACCOUNT},
    {"SEMANTIC VIEWS", "SEMANTIC_VIEWS", SCOPE_SCHEMA},
    {"SEMANTIC DIMENSIONS", "SEMANTIC_DIMENSIONS", SCOPE_SCHEMA},
    {"SEMANTIC METRICS", "SEMANTIC_METRICS", SCOPE_SCHEMA},
    {"SEMANTIC FACTS", "SEMANTIC_FACTS", SCOPE_SCHEMA},
    {"STREAMS", "STREAMS", SCOPE_SCHEMA},
    {"TASKS", "TASKS", SCOPE_SCHEMA},
    {"PIPES", "PIPES", SCOPE_SCHEMA},
    {"FILE FORMATS", "FILE_FORMATS", SCOPE_SCHEMA},
    {"MATERIALIZED VIEWS", "MATERIALIZED_VIEWS", SCOPE_SCHEMA},
    {"DYNAMIC TABLES", "DYNAMIC_TABLES", SCOPE_SCHEMA},
    {"EXTERNAL TABLES", "EXTERNAL_TABLES", SCOPE_SCHEMA},
};

struct show {
	struct rewriter *r;
	struct token *t;
	const struct show_kind *kind;
	struct buf *out;
	enum scope_kind scope;
	struct plan_object object;
	int i;
	bool terse, history;
};

static const struct show_kind *find_kind(struct show *s)
{
	for (size_t k = 0; k < ARRAY_LEN(KINDS); k++) {
		const char *space = strchr(KINDS[k].words, ' ');
		char first[32];

		snprintf(first, sizeof first, "%.*s", space ? (int)(space - KINDS[k].words) : 31, KINDS[k].words);
		if (!token_is(&s->t[s->i], first) || (space && !token_is(&s->t[s->i + 1], space + 1)))
			continue;
		s->i += space ? 2 : 1;
		return &KINDS[k];
	}
	return NULL;
}

static bool is_semantic_part(const struct show *s)
{
	return !strncmp(s->kind->view, "SEMANTIC_", 9) && strcmp(s->kind->view, "SEMANTIC_VIEWS");
}

/* IN [ACCOUNT | [DATABASE | SCHEMA | TABLE | VIEW] name] */
static void parse_scope(struct show *s)
{
	const struct token *word = &s->t[s->i];
	bool worded = token_in(word, "|ACCOUNT|DATABASE|SCHEMA|TABLE|VIEW|");
	struct name name;

	s->scope = token_is(word, "ACCOUNT")    ? SCOPE_ACCOUNT
		   : token_is(word, "DATABASE") ? SCOPE_DATABASE
		   : token_is(word, "SCHEMA")   ? SCOPE_SCHEMA
						: SCOPE_TABLE;
	if (!worded)
		s->scope = s->kind->scope == SCOPE_DATABASE ? SCOPE_DATABASE
			   : s->kind->scope == SCOPE_TABLE  ? SCOPE_TABLE
							    : SCOPE_SCHEMA;
	if (is_semantic_part(s) && (!worded || token_is(word, "VIEW")))
		s->scope = SCOPE_TABLE;
	s->i += worded;
	parse_name(s->r, s->i, &name);
	if (!strcmp(s->kind->view, "PARAMETERS")) {
		s->i = s->r->tokens.n;
		return;
	}
	if (!name.parts || token_in(&s->t[s->i], "|LIKE|STARTS|LIMIT|")) {
		if (!worded)
			fail_at(s->r, &s->t[s->i]);
		if (s->scope == SCOPE_DATABASE || s->scope == SCOPE_SCHEMA)
			snprintf(s->object.database, PLAN_NAME_MAX, "%s",
				 s->r->context->database ? s->r->context->database : "");
		if (s->scope == SCOPE_SCHEMA)
			snprintf(s->object.schema, PLAN_NAME_MAX, "%s",
				 s->r->context->schema ? s->r->context->schema : "");
		return;
	}
	s->i = name.next;
	if (resolve_object(s->r, &name,
			   s->scope == SCOPE_DATABASE ? PLAN_DATABASE
			   : s->scope == SCOPE_SCHEMA ? PLAN_SCHEMA
						      : PLAN_TABLE,
			   &s->object))
		require_object(s->r, &s->object);
}

static void default_scope(struct show *s)
{
	const struct engine_context *c = s->r->context;

	if (s->scope != SCOPE_DEFAULT || s->kind->scope == SCOPE_ACCOUNT || !c->database)
		return;
	snprintf(s->object.database, PLAN_NAME_MAX, "%s", c->database);
	if (c->schema && s->kind->scope != SCOPE_DATABASE)
		snprintf(s->object.schema, PLAN_NAME_MAX, "%s", c->schema);
}

static void add_condition(struct show *s, const char *column, const char *value)
{
	if (!value[0])
		return;
	buf_addf(s->out, " AND \"%s\" = ", column);
	add_literal(s->out, value);
}

static void add_scope(struct show *s)
{
	default_scope(s);
	if (s->kind->scope >= SCOPE_DATABASE)
		add_condition(s, "database_name", s->object.database);
	if (s->kind->scope >= SCOPE_SCHEMA)
		add_condition(s, "schema_name", s->object.schema);
	if (is_semantic_part(s))
		add_condition(s, "semantic_view_name", s->object.name);
	else if (s->kind->scope >= SCOPE_TABLE)
		add_condition(s, "table_name", s->object.name);
}

static const char *name_column(const struct show *s)
{
	if (!strcmp(s->kind->view, "PARAMETERS"))
		return "key";
	return s->kind->scope == SCOPE_TABLE ? "column_name" : "name";
}

static void parse_clause(struct show *s, struct buf *page)
{
	const struct token *t = &s->t[s->i];

	if (token_is(t, "LIKE") && t[1].kind == TOKEN_STRING) {
		buf_addf(s->out, " AND \"%s\" ILIKE ", name_column(s));
		emit_string(t + 1, s->out);
		buf_adds(s->out, " ESCAPE '\\'");
		s->i += 2;
	} else if (token_is(t, "STARTS") && token_is(t + 1, "WITH") && t[2].kind == TOKEN_STRING) {
		buf_addf(s->out, " AND STARTS_WITH(\"%s\", ", name_column(s));
		emit_string(t + 2, s->out);
		buf_adds(s->out, ")");
		s->i += 3;
	} else if (token_is(t, "LIMIT") && t[1].kind == TOKEN_NUMBER) {
		buf_addf(page, " LIMIT %.*s", (int)(t[1].n < 18 ? t[1].n : 18), t[1].text);
		s->i += 2;
	} else if (token_is(t, "FROM") && t[1].kind == TOKEN_STRING) {
		buf_addf(s->out, " AND \"%s\" > ", name_column(s));
		emit_string(t + 1, s->out);
		s->i += 2;
	} else if (token_in(t, "|IN|FROM|")) {
		s->i++;
		parse_scope(s);
	} else if (token_in(t, "|TO|ON|OF|FOR|") && !strcmp(s->kind->view, "GRANTS")) {
		s->i = s->r->tokens.n;
	} else if (token_is(t, "HISTORY")) {
		s->i++;
	} else {
		fail_at(s->r, t);
	}
}

static void add_columns(struct show *s)
{
	static const char COMMON[] = "\"created_on\", \"name\"";

	if (!s->terse || s->kind->scope == SCOPE_TABLE || is_semantic_part(s) || !strcmp(s->kind->view, "PARAMETERS") ||
	    !strcmp(s->kind->view, "GRANTS"))
		buf_adds(s->out, "*");
	else if (!strcmp(s->kind->view, "DATABASES"))
		buf_addf(s->out, "%s, \"kind\", NULL::VARCHAR AS \"database_name\", NULL::VARCHAR AS \"schema_name\"",
			 COMMON);
	else if (s->kind->scope == SCOPE_DATABASE)
		buf_addf(s->out, "%s, NULL::VARCHAR AS \"kind\", \"database_name\", NULL::VARCHAR AS \"schema_name\"",
			 COMMON);
	else if (!strcmp(s->kind->view, "TABLES") || !strcmp(s->kind->view, "OBJECTS"))
		buf_addf(s->out, "%s, \"kind\", \"database_name\", \"schema_name\"", COMMON);
	else if (s->kind->scope == SCOPE_SCHEMA)
		buf_addf(s->out, "%s, 'VIEW' AS \"kind\", \"database_name\", \"schema_name\"", COMMON);
	else
		buf_adds(s->out, "*");
}

static void rewrite_show_kind(struct show *s)
{
	struct buf page = buf_with_ceiling(256);

	s->i = 1;
	if (token_is(&s->t[s->i], "TERSE")) {
		s->terse = true;
		s->i++;
	}
	s->kind = find_kind(s);
	if (!s->kind) {
		if (token_is_name(&s->t[s->i]))
			plan_unsupported(s->r->plan, "SHOW of this kind of object");
		else
			fail_at(s->r, &s->t[s->i]);
		return;
	}
	buf_adds(s->out, "SELECT ");
	add_columns(s);
	buf_addf(s->out, " FROM memory.main.\"_SF_SHOW_%s\" WHERE true", s->kind->view);
	while (s->i < s->r->tokens.n && s->r->plan->kind != PLAN_ERROR)
		parse_clause(s, &page);
	add_scope(s);
	if (s->kind->scope == SCOPE_SCHEMA)
		buf_adds(s->out, " ORDER BY \"database_name\", \"schema_name\", \"name\"");
	else if (s->kind->scope == SCOPE_DATABASE)
		buf_adds(s->out, " ORDER BY \"database_name\", \"name\"");
	else if (s->kind->scope == SCOPE_ACCOUNT)
		buf_addf(s->out, " ORDER BY \"%s\"", name_column(s));
	buf_adds(s->out, buf_text(&page));
	buf_free(&page);
}

static void rewrite_describe(struct rewriter *r)
{
	struct plan_object object;
	struct name name;
	int i = 1;

	bool semantic = token_is(&r->t[1], "SEMANTIC") && token_is(&r->t[2], "VIEW");

	if (semantic)
		i = 3;
	else if (token_in(&r->t[1], "|TABLE|VIEW|") && token_is_name(&r->t[2]))
		i = 2;
	else if (token_in(&r->t[1], "|SCHEMA|DATABASE|FUNCTION|PROCEDURE|STAGE|WAREHOUSE|USER|RESULT|") &&
		 token_is_name(&r->t[2])) {
		plan_unsupported(r->plan, "DESCRIBE of this kind of object");
		return;
	}
	parse_name(r, i, &name);
	if (!name.parts || (name.next < r->tokens.n && !token_is(&r->t[name.next], "TYPE"))) {
		fail_at(r, &r->t[name.next]);
		return;
	}
	if (!resolve_object(r, &name, PLAN_TABLE, &object))
		return;
	require_object(r, &object);
	buf_addf(&r->plan->sql, "SELECT * EXCLUDE (_pos, _db, _sc, _tb) FROM memory.main.\"%s\" WHERE _db = ",
		 semantic ? "_SF_DESCRIBE_SEMANTIC" : "_SF_DESCRIBE");
	add_literal(&r->plan->sql, object.database);
	buf_adds(&r->plan->sql, " AND _sc = ");
	add_literal(&r->plan->sql, object.schema);
	buf_adds(&r->plan->sql, " AND _tb = ");
	add_literal(&r->plan->sql, object.name);
	buf_adds(&r->plan->sql, " ORDER BY _pos");
}

bool rewrite_show(struct rewriter *r)
{
	struct show s = {.r = r, .t = r->t, .out = &r->plan->sql};

	r->plan->kind = PLAN_QUERY;
	if (token_in(r->t, "|DESCRIBE|DESC|"))
		rewrite_describe(r);
	else if (token_is(r->t, "SHOW"))
		rewrite_show_kind(&s);
	else
		return false;
	return true;
}
