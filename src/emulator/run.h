/* run.h
 *
 * One execution on a worker thread: the statements of a request, one after the other, each result cut into partitions
 * there. run_post() by the HTTP thread, which also runs `done`; in between only run_cancel() may touch it.
 */
#ifndef SNOWGATE_EMULATOR_RUN_H
#define SNOWGATE_EMULATOR_RUN_H

#include "pool.h"
#include "registry.h"

struct run {
	struct pool_job job;
	struct engine *engine;
	const struct submission *submission; /* the statement's; it lives until `done` */
	struct result_options options;
	struct engine_job **jobs; /* one per text */
	char **texts;             /* owned */
	size_t texts_n;
	int64_t *started_ms; /* wall clock, one per text */
	struct run_context {
		struct engine_context context; /* in which a text ran; its texts are those of `kept` or the request's */
		char *kept[4];
	} * contexts;
	struct outcome *outcomes; /* one per text; those after a failure are empty */
	size_t outcomes_n;
	void (*done)(struct run *run, void *owner);
	void *owner;
};

/* `texts` (n > 0 of them) become the run's. */
struct run *run_new(struct engine *engine, const struct submission *submission, char **texts, size_t n,
		    const struct result_options *options);
void run_post(struct run *run, struct pool *pool, void (*done)(struct run *run, void *owner), void *owner);
void run_cancel(struct run *run);
void run_free(struct run *run);

void outcome_free(struct outcome *outcome);
void outcome_fail(struct outcome *outcome, const char *code, const char *sqlstate, const char *message);

#endif
