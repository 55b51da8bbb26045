/* Statements about the session: USE, SET, ALTER SESSION, transactions, and grants that change nothing here. */
#include "rewriter.h"

#include <stdio.h>
#include <string.h>

static const char SESSION_PARAMETERS[] =
    "|QUERY_TAG|TIMEZONE|STATEMENT_TIMEOUT_IN_SECONDS|STATEMENT_QUEUED_TIMEOUT_IN_SECONDS|ROWS_PER_RESULTSET|"
    "AUTOCOMMIT|"
    "DATE_OUTPUT_FORMAT|TIME_OUTPUT_FORMAT|TIMESTAMP_OUTPUT_FORMAT|TIMESTAMP_NTZ_OUTPUT_FORMAT|TIMESTAMP_LTZ_OUTPUT_"
    "FORMAT|"
    "TIMESTAMP_TZ_OUTPUT_FORMAT|DATE_INPUT_FORMAT|TIME_INPUT_FORMAT|TIMESTAMP_INPUT_FORMAT|TIMESTAMP_TYPE_MAPPING|"
    "BINARY_INPUT_FORMAT|BINARY_OUTPUT_FORMAT|WEEK_START|WEEK_OF_YEAR_POLICY|USE_CACHED_RESULT|MULTI_STATEMENT_COUNT|"
    "LOCK_TIMEOUT|CLIENT_RESULT_CHUNK_SIZE|CLIENT_SESSION_KEEP_ALIVE|QUOTED_IDENTIFIERS_IGNORE_CASE|JSON_INDENT|"
    "TRANSACTION_DEFAULT_ISOLATION_LEVEL|TRANSACTION_ABORT_ON_ERROR|ERROR_ON_NONDETERMINISTIC_MERGE|STRICT_JSON_"
    "OUTPUT|";

static void answer(struct rewriter *r, const char *message)
{
	r->plan->kind = PLAN_MESSAGE;
	snprintf(r->plan->message, sizeof r->plan->message, "%s", message);
}

static void use_schema(struct rewriter *r, const struct name *name)
{
	struct plan *plan = r->plan;
	const char *database = name->parts > 1 ? name->part[0] : r->context->database;

	plan->use = PLAN_USE_SCHEMA;
	if (!database) {
		plan_fail(plan, "090105", "22000",
			  "Cannot perform USE SCHEMA. This session does not have a current database. "
			  "Call 'USE DATABASE', or use a qualified name.");
		return;
	}
	snprintf(plan->use_database, sizeof plan->use_database, "%s", database);
	snprintf(plan->use_name, sizeof plan->use_name, "%s", name->part[name->parts - 1]);
}

static void rewrite_use(struct rewriter *r)
{
	const struct token *kind = &r->t[1];
	struct plan *plan = r->plan;
	bool worded = token_in(kind, "|DATABASE|SCHEMA|WAREHOUSE|ROLE|") && token_is_name(kind + 1);
	struct name name;

	plan->kind = PLAN_USE;
	snprintf(plan->message, sizeof plan->message, "Statement executed successfully.");
	if (token_is(kind, "SECONDARY") && token_is(kind + 1, "ROLES"))
		return;
	parse_name(r, worded ? 2 : 1, &name);
	if (!name.parts || name.next != r->tokens.n) {
		fail_at(r, &r->t[name.next]);
		return;
	}
	snprintf(plan->use_name, sizeof plan->use_name, "%s", name.part[0]);
	if ((worded && token_is(kind, "SCHEMA")) || (!worded && name.parts == 2) || name.parts > 1)
		use_schema(r, &name);
	else if (worded && token_is(kind, "WAREHOUSE"))
		plan->use = PLAN_USE_WAREHOUSE;
	else if (worded && token_is(kind, "ROLE"))
		plan->use = PLAN_USE_ROLE;
	else
		plan->use = PLAN_USE_DATABASE;
}

/* ALTER SESSION SET name = value [, name = value ...] | UNSET name [, name ...] */
static void rewrite_alter_session(struct rewriter *r)
{
	bool set = token_is(&r->t[2], "SET");

	if (!set && !token_is(&r->t[2], "UNSET")) {
		fail_at(r, &r->t[2]);
		return;
	}
	for (int i = 3; i < r->tokens.n; i++) {
		char name[64];

		if (token_is_op(&r->t[i], ","))
			continue;
		token_name(&r->t[i], name, sizeof name);
		if (r->t[i].kind != TOKEN_WORD || (set && !token_is_op(&r->t[i + 1], "="))) {
			fail_at(r, &r->t[i]);
			return;
		}
		if (!token_in(&r->t[i], SESSION_PARAMETERS)) {
			plan_fail(r->plan, "001006", "42000", "SQL compilation error:\ninvalid parameter '%s'", name);
			return;
		}
		i += set ? 2 : 0;
		if (token_is_op(&r->t[i], "-"))
			i++;
	}
	answer(r, "Statement executed successfully.");
}

bool rewrite_session(struct rewriter *r)
{
	const struct token *t = r->t;

	if (token_is(t, "USE"))
		rewrite_use(r);
	else if (token_is(t, "ALTER") && token_is(t + 1, "SESSION"))
		rewrite_alter_session(r);
	else if (token_in(t, "|SET|UNSET|"))
		plan_unsupported(r->plan, "session variables");
	else if (token_in(t, "|BEGIN|START|"))
		plan_unsupported(r->plan, "explicit transactions");
	else if (token_in(t, "|COMMIT|ROLLBACK|"))
		answer(r, "Statement executed successfully.");
	else if (token_in(t, "|GRANT|REVOKE|")) {
		r->plan->writes = true;
		snprintf(r->plan->write_target, sizeof r->plan->write_target, "account 'LOCAL'");
		answer(r, "Statement executed successfully.");
	} else {
		return false;
	}
	return true;
}
