/* The engine's side of an execution: what a worker does. */
#include "run.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

void outcome_free(struct outcome *outcome)
{
	free(outcome->message);
	result_release(outcome->result);
	memset(outcome, 0, sizeof(*outcome));
}

void outcome_fail(struct outcome *outcome, const char *code, const char *sqlstate, const char *message)
{
	outcome_free(outcome);
	(void)snprintf(outcome->code, sizeof(outcome->code), "%s", code);
	(void)snprintf(outcome->sqlstate, sizeof(outcome->sqlstate), "%s", sqlstate);
	outcome->message = xstrdup(message ? message : "");
}

/* What USE changed holds for the rest of the request. The run keeps the text alive. */
static void context_follow(const char **member, char **changed, char **kept)
{
	if (!*changed)
		return;
	free(*kept);
	*kept = TAKE(*changed);
	*member = *kept;
}

#define LARGE_ROWS 100000

struct run_sink {
	struct engine_sink sink;
	struct cutter *cutter;
};

static void on_rows(struct engine_sink *sink, const struct engine_result *part)
{
	cutter_add(container_of(sink, struct run_sink, sink)->cutter, part);
}

static bool text_run(struct run *run, size_t i, struct engine_statement *statement, char *kept[4])
{
	struct run_sink sink = {{on_rows}, cutter_open(&run->options)};
	bool was_large;
	struct engine_result rows;
	struct outcome *out = &run->outcomes[i];

	memset(&rows, 0, sizeof(rows));
	statement->text = run->texts[i];
	statement->sink = &sink.sink;
	engine_run(run->engine, run->jobs[i], statement, (size_t)run->submission->rows_max, &rows);
	if (rows.code[0]) {
		cutter_drop(sink.cutter);
		outcome_fail(out, rows.code, rows.sqlstate, rows.message);
	} else {
		out->result = cutter_close(sink.cutter, &rows);
		if (!out->result)
			outcome_fail(out, "391908", "22000", "Result set is too large.");
	}
	context_follow(&statement->context.database, &rows.use_database, &kept[0]);
	context_follow(&statement->context.schema, &rows.use_schema, &kept[1]);
	context_follow(&statement->context.warehouse, &rows.use_warehouse, &kept[2]);
	context_follow(&statement->context.role, &rows.use_role, &kept[3]);
	was_large = rows.sunk > LARGE_ROWS;
	engine_result_free(&rows);
	if (was_large)
		(void)malloc_trim(0); /* the C library keeps a worker's freed cells for good otherwise */
	return !out->code[0];
}

/* The context of one text, for its record: what the next USE changes does not change it. */
static void context_keep(struct run_context *rc, const struct engine_context *context)
{
	const char **const texts[] = {&rc->context.role, &rc->context.warehouse, &rc->context.database,
				      &rc->context.schema};

	rc->context = *context;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		rc->kept[i] = *texts[i] ? xstrdup(*texts[i]) : NULL;
		*texts[i] = rc->kept[i];
	}
}

/* What the statements of one request change holds until its end, and only for a request of several. */
static void run_work(struct pool_job *job)
{
	struct run *run = container_of(job, struct run, job);
	struct engine_statement statement = {
	    .context = run->submission->context,
	    .bindings = run->submission->bindings,
	    .bindings_n = run->submission->bindings_n,
	    .session = run->texts_n > 1 ? engine_session_new(run->engine) : NULL,
	};
	char *kept[4] = {NULL};

	do {
		context_keep(&run->contexts[run->outcomes_n], &statement.context);
		run->started_ms[run->outcomes_n] = clock_wall_usec() / 1000;
		run->outcomes_n++;
	} while (text_run(run, run->outcomes_n - 1, &statement, kept) && run->outcomes_n < run->texts_n);
	engine_session_free(statement.session);
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		free(kept[i]);
}

static void run_done(struct pool_job *job)
{
	struct run *run = container_of(job, struct run, job);

	run->done(run, run->owner);
}

struct run *run_new(struct engine *engine, const struct submission *submission, char **texts, size_t n,
		    const struct result_options *options)
{
	struct run *run = xalloc(sizeof(*run));

	run->job.run = run_work;
	run->job.done = run_done;
	run->engine = engine;
	run->submission = submission;
	run->options = *options;
	run->texts = texts;
	run->texts_n = n;
	run->contexts = xalloc(n * sizeof(*run->contexts));
	run->started_ms = xalloc(n * sizeof(*run->started_ms));
	run->outcomes = xalloc(n * sizeof(*run->outcomes));
	run->jobs = xalloc(n * sizeof(*run->jobs));
	for (size_t i = 0; i < n; i++)
		run->jobs[i] = engine_job_new();
	return run;
}

void run_post(struct run *run, struct pool *pool, void (*done)(struct run *run, void *owner), void *owner)
{
	run->done = done;
	run->owner = owner;
	pool_post(pool, &run->job);
}

void run_cancel(struct run *run)
{
	for (size_t i = 0; i < run->texts_n; i++)
		engine_cancel(run->jobs[i]);
}

void run_free(struct run *run)
{
	for (size_t i = 0; i < run->texts_n; i++) {
		engine_job_free(run->jobs[i]);
		outcome_free(&run->outcomes[i]);
		for (size_t k = 0; k < ARRAY_LEN(run->contexts[i].kept); k++)
			free(run->contexts[i].kept[k]);
		free(run->texts[i]);
	}
	free(run->started_ms);
	free(run->contexts);
	free(run->jobs);
	free(run->outcomes);
	free(run->texts);
	free(run);
}
