/* pool.h
 *
 * Threads for what blocks. A job is run once on some worker, then comes home: its done() runs on the thread that calls
 * pool_collect(), which is the HTTP thread. Between pool_post() and done() the job and all it points to belong to the
 * worker. Jobs start in the order of posting; past `threads_max` at work they queue (bounded by the registry, which
 * bounds the statements).
 */
#ifndef SNOWGATE_EMULATOR_POOL_H
#define SNOWGATE_EMULATOR_POOL_H

#include "snowgate/base.h"

struct pool_job {
	void (*run)(struct pool_job *);  /* worker */
	void (*done)(struct pool_job *); /* HTTP thread */
	struct pool_job *next;
};

struct pool;

/* `wake_fd` is an eventfd that a worker writes when a job is ready to be collected. Threads start on demand. */
struct pool *pool_new(size_t threads_max, int wake_fd);
void pool_post(struct pool *pool, struct pool_job *job);
void pool_collect(struct pool *pool);
/* Runs what is queued to its end, joins the workers, collects. The caller has cancelled what may take long. */
void pool_free(struct pool *pool);

#endif
