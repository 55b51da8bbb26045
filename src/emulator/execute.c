/* Runs one statement: context, rewrite, checks, wait, execution. */
#include "engine_parts.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include "rewriter.h"

/* ---- the job ---- */

struct engine_job *engine_job_new(void)
{
	struct engine_job *job = xalloc(sizeof *job);
	pthread_condattr_t monotonic;

	pthread_mutex_init(&job->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&job->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return job;
}

void engine_job_free(struct engine_job *job)
{
	if (!job)
		return;
	pthread_mutex_destroy(&job->lock);
	pthread_cond_destroy(&job->changed);
	free(job);
}

void engine_cancel(struct engine_job *job)
{
	pthread_mutex_lock(&job->lock);
	job->cancelled = true;
	if (job->connection)
		duckdb_interrupt(job->connection);
	pthread_cond_broadcast(&job->changed);
	pthread_mutex_unlock(&job->lock);
}

/* False, and the answer is 000604, when the job has been cancelled. */
static bool job_goes_on(struct run *run)
{
	struct failure failure;
	bool cancelled = false;

	if (run->job) {
		pthread_mutex_lock(&run->job->lock);
		cancelled = run->job->cancelled;
		pthread_mutex_unlock(&run->job->lock);
	}
	if (cancelled) {
		set_failure(&failure, "000604", "57014", "SQL execution canceled");
		answer_failure(run, &failure);
	}
	return !cancelled;
}

static void job_holds(struct run *run, duckdb_connection connection)
{
	if (!run->job)
		return;
	pthread_mutex_lock(&run->job->lock);
	run->job->connection = connection;
	pthread_mutex_unlock(&run->job->lock);
}

/* SYSTEM$WAIT: sleeps until the time is over or the job is cancelled. */
static bool wait_as_told(struct run *run)
{
	struct timespec until;
	int64_t ms = run->plan->wait_ms;

	if (!ms)
		return true;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	if (!run->job) {
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		return true;
	}
	pthread_mutex_lock(&run->job->lock);
	while (!run->job->cancelled && !pthread_cond_timedwait(&run->job->changed, &run->job->lock, &until))
		continue;
	pthread_mutex_unlock(&run->job->lock);
	return job_goes_on(run);
}

/* ---- context ---- */

static bool schema_exists(duckdb_connection connection, const char *database, const char *schema)
{
	const char *names[2] = {database, schema};
	int64_t n;

	return ask(connection, "SELECT count(*) FROM duckdb_schemas() WHERE database_name = ? AND schema_name = ?",
		   names, 2, &n) &&
	       n;
}

static bool is_hidden(const char *database)
{
	return !strcmp(database, "memory") || !strcmp(database, "_SF") || !strcmp(database, "system") ||
	       !strcmp(database, "temp");
}

/* What does not exist is not set; a database without a schema is in PUBLIC where it has one. */
static void settle_context(struct run *run)
{
	struct engine_context *c = &run->context;

	*c = run->statement->context;
	if (c->database && (is_hidden(c->database) || !schema_exists(run->connection, c->database, "main")))
		c->database = NULL;
	if (!c->database)
		c->schema = NULL;
	else if (!c->schema && schema_exists(run->connection, c->database, "PUBLIC"))
		c->schema = "PUBLIC";
	if (c->schema && (!strcmp(c->schema, "main") || !schema_exists(run->connection, c->database, c->schema)))
		c->schema = NULL;
}

static void add_variable(struct buf *sql, const char *name, const char *value)
{
	buf_addf(sql, "SET VARIABLE %s = CAST(", name);
	if (value)
		add_literal(sql, value);
	else
		buf_adds(sql, "NULL");
	buf_adds(sql, " AS VARCHAR); ");
}

static bool enter_context(struct run *run)
{
	const struct engine_context *c = &run->context;
	struct buf sql = buf_with_ceiling(1 << 16), path = buf_with_ceiling(4096);
	struct failure failure;
	char why[512];
	bool ok;

	if (c->database) {
		add_quoted(&path, c->database);
		buf_addc(&path, '.');
		add_quoted(&path, c->schema ? c->schema : "main");
		buf_addc(&path, ',');
	}
	buf_adds(&path, "memory.main");
	add_variable(&sql, "sf_user", c->user ? c->user : "DEMO");
	add_variable(&sql, "sf_role", c->role);
	add_variable(&sql, "sf_warehouse", c->warehouse);
	add_variable(&sql, "sf_database", c->database);
	add_variable(&sql, "sf_schema", c->schema);
	add_variable(&sql, "sf_timezone", c->timezone ? c->timezone : "America/Los_Angeles");
	buf_adds(&sql, "SET TimeZone = ");
	add_literal(&sql, c->timezone ? c->timezone : "America/Los_Angeles");
	buf_adds(&sql, "; SET search_path = ");
	add_literal(&sql, buf_text(&path));
	ok = run_all(run->connection, buf_text(&sql), why, sizeof why);
	if (!ok) {
		set_failure(&failure, "001007", "22023",
			    "SQL compilation error:\ninvalid value [%.100s] for parameter 'TIMEZONE'",
			    c->timezone ? c->timezone : "");
		answer_failure(run, &failure);
	}
	buf_free(&sql);
	buf_free(&path);
	return ok;
}

/* ---- execution ---- */

static bool run_side_statements(struct run *run, const struct buf *sql)
{
	duckdb_result result;

	if (!sql->n)
		return true;
	if (duckdb_query(run->connection, buf_text(sql), &result) != DUCKDB_SUCCESS) {
		run_failed(run, &result);
		return false;
	}
	duckdb_destroy_result(&result);
	return true;
}

static bool prepare(struct run *run, duckdb_prepared_statement *prepared)
{
	struct failure failure;

	if (duckdb_prepare(run->connection, buf_text(&run->plan->sql), prepared) == DUCKDB_SUCCESS)
		return true;
	translate_error(DUCKDB_ERROR_BINDER, duckdb_prepare_error(*prepared), run->statement->text, &failure);
	answer_failure(run, &failure);
	return false;
}

static bool run_main_statement(struct run *run)
{
	duckdb_prepared_statement prepared = NULL;
	duckdb_result result;
	bool ok = prepare(run, &prepared) && bind_all(run, prepared) && job_goes_on(run);

	if (ok && duckdb_execute_prepared(prepared, &result) != DUCKDB_SUCCESS) {
		run_failed(run, &result);
		ok = false;
	} else if (ok) {
		if (run->plan->kind == PLAN_QUERY)
			take_rows(run, &result);
		else if (run->plan->kind != PLAN_MESSAGE)
			answer_counts(run, &result);
		duckdb_destroy_result(&result);
	}
	duckdb_destroy_prepare(&prepared);
	return ok;
}

/* ATTACH and DETACH are the engine's: they know where the files are. */
static bool attach_first(struct run *run)
{
	const struct plan *plan = run->plan;
	struct failure failure;

	if (!plan->creates || plan->created.kind != PLAN_DATABASE)
		return true;
	if (engine_attach(run->engine, run->connection, plan->created.database, &failure))
		return true;
	answer_failure(run, &failure);
	return false;
}

static bool drops_database(const struct plan *plan)
{
	return plan->sql.n > 6 && !strncmp(plan->sql.data, "DETACH", 6);
}

static void run_writing(struct run *run)
{
	const struct plan *plan = run->plan;
	char why[512];
	bool ok;

	writer_enters(run);
	if (drops_database(plan))
		run_all(run->connection, "SET search_path = 'memory.main'", why, sizeof why);
	ok = job_goes_on(run) && attach_first(run) && run_side_statements(run, &plan->before);
	if (ok && plan->sql.n)
		ok = run_main_statement(run);
	if (ok)
		ok = run_side_statements(run, &plan->after);
	if (ok && plan->derives)
		derive_created(run);
	if (ok && drops_database(plan))
		engine_forget_file(run->engine, plan->objects[0].database);
	if (ok && is_mixed_case(run->statement->text) && strchr(run->statement->text, '"') &&
	    plan->kind == PLAN_MESSAGE)
		atomic_store(&run->engine->mixed_case, true);
	writer_leaves(run);
	if (ok && plan->kind == PLAN_MESSAGE)
		answer_message(run, plan->message);
}

static void compile_only(struct run *run)
{
	duckdb_prepared_statement prepared = NULL;

	if (prepare(run, &prepared))
		answer_plan(run);
	duckdb_destroy_prepare(&prepared);
}

/* ---- USE ---- */

static bool use_exists(struct run *run)
{
	const struct plan *plan = run->plan;

	switch (plan->use) {
	case PLAN_USE_DATABASE:
		return engine_has_database(run->engine, plan->use_name);
	case PLAN_USE_SCHEMA:
		return engine_has_database(run->engine, plan->use_database) && strcmp(plan->use_name, "main") &&
		       (!strcmp(plan->use_name, "INFORMATION_SCHEMA") ||
			schema_exists(run->connection, plan->use_database, plan->use_name));
	case PLAN_USE_WAREHOUSE:
		return engine_has_warehouse(run->engine, plan->use_name);
	case PLAN_USE_ROLE:
		return engine_role_is_granted(run->context.granted, plan->use_name) &&
		       (run->context.granted || engine_has_role(run->engine, run->context.user, plan->use_name));
	case PLAN_USE_NOTHING:
		return true;
	}
	return false;
}

static void run_use(struct run *run)
{
	const struct plan *plan = run->plan;
	struct engine_result *result = run->result;
	struct failure failure;

	if (!use_exists(run)) {
		if (plan->use == PLAN_USE_ROLE)
			set_failure(&failure, "003013", "42501",
				    "Requested role '%s' is not assigned to the executing user. Specify another role "
				    "to activate.",
				    plan->use_name);
		else
			set_failure(&failure, "002043", "02000",
				    "SQL compilation error:\nObject does not exist, or operation cannot be performed.");
		answer_failure(run, &failure);
		return;
	}
	answer_message(run, plan->message);
	if (plan->use == PLAN_USE_DATABASE) {
		result->use_database = xstrdup(plan->use_name);
		result->use_schema = xstrdup(schema_exists(run->connection, plan->use_name, "PUBLIC") ? "PUBLIC" : "");
	} else if (plan->use == PLAN_USE_SCHEMA) {
		result->use_database = xstrdup(plan->use_database);
		result->use_schema = xstrdup(plan->use_name);
	} else if (plan->use == PLAN_USE_WAREHOUSE) {
		result->use_warehouse = xstrdup(plan->use_name);
	} else if (plan->use == PLAN_USE_ROLE) {
		result->use_role = xstrdup(plan->use_name);
	}
}

/* ---- the whole ---- */

static void run_plan(struct run *run)
{
	switch (run->plan->kind) {
	case PLAN_ERROR:
		answer_failure(run, &run->plan->failure);
		break;
	case PLAN_USE:
		run_use(run);
		break;
	case PLAN_EXPLAIN:
		compile_only(run);
		break;
	case PLAN_QUERY:
		if (wait_as_told(run))
			run_main_statement(run);
		break;
	default:
		if (wait_as_told(run))
			run_writing(run);
	}
}

static bool is_ddl(const struct plan *plan)
{
	return plan->kind == PLAN_MESSAGE && (plan->sql.n || plan->before.n || plan->after.n);
}

static void run_rewritten(struct run *run)
{
	struct engine_statement statement = *run->statement;
	bool ok;
	char *expanded = expand_semantic_views(run, statement.text, &ok);

	if (!ok)
		return;
	statement.context = run->context;
	statement.text = expanded ? expanded : statement.text;
	run->statement = &statement;
	rewrite_statement(&statement, run->plan);
	if (run->plan->kind == PLAN_ERROR ||
	    (objects_exist(run) && role_may_write(run) && functions_exist(run) && case_is_exact(run))) {
		if (!is_ddl(run->plan) || session_commits(run))
			run_plan(run);
	}
	plan_free(run->plan);
	free(expanded);
}

static void run_in_context(struct run *run, struct engine_statement *statement)
{
	char *plain = NULL;

	if (session_takes(run, statement->text))
		return;
	if (run->session && temporary_takes(run, statement->text, &plain))
		statement->text = plain;
	run_rewritten(run);
	run->statement = statement;
	session_keeps(run, statement->text);
	free(plain);
}

static void run_connected(struct run *run)
{
	struct engine_statement statement = *run->statement;
	char *text = NULL;

	run->statement = &statement;
	if (session_enter(run, &statement, &text)) {
		settle_context(run);
		if (enter_context(run))
			run_in_context(run, &statement);
	}
	free(text);
}

void run_text(struct run *run, const char *text, struct engine_result *result)
{
	struct engine_statement statement = {.text = text, .context = run->context};
	struct run inner = *run;

	memset(result, 0, sizeof *result);
	inner.statement = &statement;
	inner.result = result;
	run_rewritten(&inner);
}

static bool run_connect(struct run *run)
{
	struct failure failure;

	if (run->session)
		run->connection = run->session->connection;
	else if (duckdb_connect(run->engine->database, &run->connection) != DUCKDB_SUCCESS)
		run->connection = NULL;
	if (run->connection)
		return true;
	set_failure(&failure, "000603", "XX000", "the engine has no connection left");
	answer_failure(run, &failure);
	return false;
}

void engine_run(struct engine *engine, struct engine_job *job, const struct engine_statement *statement,
		size_t max_rows, struct engine_result *result)
{
	struct run run = {.engine = engine,
			  .job = job,
			  .session = statement->session,
			  .statement = statement,
			  .max_rows = max_rows,
			  .result = result};

	memset(result, 0, sizeof *result);
	if (!job_goes_on(&run) || !run_connect(&run))
		return;
	run.plan = xalloc(sizeof *run.plan);
	job_holds(&run, run.connection);
	run_connected(&run);
	job_holds(&run, NULL);
	if (!run.session)
		duckdb_disconnect(&run.connection);
	free(run.plan);
}
