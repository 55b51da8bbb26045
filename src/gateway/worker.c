/* The WORKER threads: they own nothing, and run the large steps of whatever call they are given. */
#include "gateway_internal.h"

#define WORKERS 2

static struct {
	pthread_t threads[WORKERS];
} self; /* owner: main */

/* One `stop` per thread; its receiver leaves its loop. */
static _Thread_local bool stopping;

static void stop_deliver(struct mail *m)
{
	free(m);
	stopping = true;
}

static void worker_main(void *arg)
{
	(void)arg;
	while (!stopping)
		mail_wait(THREAD_WORKER, -1);
}

void worker_start(void)
{
	for (int i = 0; i < WORKERS; i++)
		thread_start(THREAD_WORKER, worker_main, NULL, &self.threads[i]);
}

void worker_stop(void)
{
	for (int i = 0; i < WORKERS; i++) {
		struct mail *m = xalloc(sizeof *m);

		m->deliver = stop_deliver;
		mail_post(THREAD_WORKER, m);
	}
	for (int i = 0; i < WORKERS; i++)
		thread_join(self.threads[i]);
}
