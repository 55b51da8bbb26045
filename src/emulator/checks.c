/* What must hold before a plan runs: objects, functions, privileges, the exact case of names. */
#include "engine_parts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "lex.h"

static bool object_exists(struct run *run, const struct plan_object *o)
{
	static const char DATABASE[] = "SELECT count(*) FROM duckdb_databases() WHERE NOT internal AND database_name "
				       "NOT IN ('memory', '_SF') AND database_name = ?";
	static const char SCHEMA[] = "SELECT count(*) FROM duckdb_schemas() WHERE schema_name <> 'main' AND "
				     "database_name = ? AND schema_name = ?";
	static const char ENTITY[] =
	    "SELECT (SELECT count(*) FROM duckdb_tables() WHERE database_name = $1 AND schema_name = $2 AND table_name "
	    "= $3) + "
	    "(SELECT count(*) FROM duckdb_views() WHERE database_name = $1 AND schema_name = $2 AND view_name = $3) + "
	    "(SELECT count(*) FROM duckdb_sequences() WHERE database_name = $1 AND schema_name = $2 AND sequence_name "
	    "= $3) + "
	    "(SELECT count(*) FROM \"_SF\".main.\"_SF_OBJECT\" WHERE kind = 'SEMANTIC VIEW' AND db = $1 AND sc = $2 "
	    "AND "
	    "name = $3)";
	const char *names[3] = {o->database, o->schema, o->name};
	int64_t n;

	if (o->schema[0] && !o->name[0] && !strcmp(o->schema, "INFORMATION_SCHEMA"))
		return true;
	return ask(run->connection,
		   o->name[0]     ? ENTITY
		   : o->schema[0] ? SCHEMA
				  : DATABASE,
		   names,
		   o->name[0]     ? 3
		   : o->schema[0] ? 2
				  : 1,
		   &n) &&
	       n > 0;
}

/* A part of the path at a time, so that the error names what is missing. */
static bool missing_part(struct run *run, const struct plan_object *o, struct failure *failure)
{
	struct plan_object part = {0};

	memcpy(part.database, o->database, sizeof part.database);
	if (!object_exists(run, &part)) {
		set_failure(failure, "002003", "02000",
			    "SQL compilation error:\nDatabase '%s' does not exist or not authorized.", o->database);
		return true;
	}
	memcpy(part.schema, o->schema, sizeof part.schema);
	if (o->schema[0] && !object_exists(run, &part)) {
		set_failure(failure, "002003", "02000",
			    "SQL compilation error:\nSchema '%s.%s' does not exist or not authorized.", o->database,
			    o->schema);
		return true;
	}
	if (o->name[0] && !object_exists(run, o)) {
		set_failure(failure, "002003", "42S02",
			    "SQL compilation error:\nObject '%s' does not exist or not authorized.", o->shown);
		return true;
	}
	return false;
}

static bool already_there(struct run *run)
{
	struct plan *plan = run->plan;
	struct plan_object *c = &plan->created;
	char message[4 * PLAN_NAME_MAX];
	struct failure failure;

	if (!plan->creates || !object_exists(run, c))
		return false;
	if (plan->if_not_exists) {
		snprintf(message, sizeof message, "%s already exists, statement succeeded.", c->shown);
		answer_message(run, message);
	} else {
		set_failure(&failure, "002002", "42710", "SQL compilation error:\nObject '%s' already exists.",
			    c->shown);
		answer_failure(run, &failure);
	}
	return true;
}

bool objects_exist(struct run *run)
{
	struct failure failure;
	char message[4 * PLAN_NAME_MAX];

	for (size_t i = 0; i < run->plan->objects_n; i++) {
		const struct plan_object *o = &run->plan->objects[i];

		if (!missing_part(run, o, &failure))
			continue;
		if (o->optional) {
			snprintf(message, sizeof message, "Drop statement executed successfully (%s already dropped).",
				 o->shown);
			answer_message(run, strcasestr(run->plan->message, "dropped") ? message : run->plan->message);
		} else {
			answer_failure(run, &failure);
		}
		return false;
	}
	return !already_there(run);
}

bool role_may_write(struct run *run)
{
	static const char *const READERS[] = {"ANALYST", "PUBLIC"};
	const struct plan *plan = run->plan;
	const char *role = run->context.role;
	const char *database = plan->created.database[0] ? plan->created.database
			       : plan->objects_n         ? plan->objects[0].database
							 : "";
	bool refused = !strcmp(database, "SNOWFLAKE_SAMPLE_DATA");
	struct failure failure;

	if (!plan->writes)
		return true;
	for (size_t i = 0; role && i < ARRAY_LEN(READERS); i++)
		refused = refused || !strcmp(role, READERS[i]);
	if (!refused)
		return true;
	set_failure(&failure, "003001", "42501", "SQL access control error:\nInsufficient privileges to operate on %s",
		    plan->write_target);
	answer_failure(run, &failure);
	return false;
}

bool functions_exist(struct run *run)
{
	static const char SQL[] = "SELECT count(*) FROM duckdb_functions() WHERE function_type = 'macro' AND "
				  "database_name = ? AND schema_name = ? AND function_name = ?";
	struct failure failure;
	int64_t n = 0;

	for (size_t i = 0; i < run->plan->functions_n; i++) {
		const char *names[3] = {run->context.database ? run->context.database : "",
					run->context.schema ? run->context.schema : "", run->plan->functions[i]};

		if (ask(run->connection, SQL, names, 3, &n) && n)
			continue;
		set_failure(&failure, "002140", "42601", "SQL compilation error:\nUnknown function %s",
			    run->plan->functions[i]);
		answer_failure(run, &failure);
		return false;
	}
	return true;
}

bool is_mixed_case(const char *name)
{
	for (; *name; name++)
		if (islower((unsigned char)*name))
			return true;
	return false;
}

/* DuckDB matches "id" with ID. Snowflake does not: such a name is an invalid identifier. */
static bool name_differs_in_case(struct run *run, const char *name)
{
	static const char SQL[] =
	    "SELECT CASE WHEN count(*) FILTER (WHERE column_name = ?) = 0 THEN count(*) ELSE 0 END FROM "
	    "duckdb_columns() "
	    "WHERE database_name = ? AND schema_name = ? AND table_name = ? AND lower(column_name) = lower(?)";
	int64_t n;

	for (size_t i = 0; i < run->plan->objects_n; i++) {
		const struct plan_object *o = &run->plan->objects[i];
		const char *arguments[5] = {name, o->database, o->schema, o->name, name};

		if (ask(run->connection, SQL, arguments, 5, &n) && n)
			return true;
	}
	return false;
}

/* A name that the statement itself gives: AS "x". */
static bool is_alias(const struct tokens *tokens, const char *name)
{
	char other[PLAN_NAME_MAX];

	for (int i = 1; i < tokens->n; i++) {
		if (!token_is(&tokens->items[i - 1], "AS") || !token_is_name(&tokens->items[i]))
			continue;
		token_name(&tokens->items[i], other, sizeof other);
		if (!strcmp(other, name))
			return true;
	}
	return false;
}

bool case_is_exact(struct run *run)
{
	bool all = atomic_load(&run->engine->mixed_case), exact = true;
	char name[PLAN_NAME_MAX];
	struct failure failure;
	struct tokens tokens;

	if (!run->plan->objects_n || (!all && !strchr(run->statement->text, '"')))
		return true;
	lex_sql(run->statement->text, strlen(run->statement->text), &tokens);
	for (int i = 0; i < tokens.n && exact; i++) {
		const struct token *t = &tokens.items[i];
		int line, column;

		if (!token_is_name(t) || token_is_op(t + 1, "(") || (!all && t->kind != TOKEN_QUOTED) ||
		    token_is_op(t - 1, ":"))
			continue;
		token_name(t, name, sizeof name);
		if ((!all && !is_mixed_case(name)) || is_alias(&tokens, name) || !name_differs_in_case(run, name))
			continue;
		token_position(&tokens, t, &line, &column);
		set_failure(&failure, "000904", "42000",
			    "SQL compilation error: error line %d at position %d\ninvalid identifier '%s%s%s'", line,
			    column, t->kind == TOKEN_QUOTED ? "\"" : "", name, t->kind == TOKEN_QUOTED ? "\"" : "");
		answer_failure(run, &failure);
		exact = false;
	}
	lex_free(&tokens);
	return exact;
}
