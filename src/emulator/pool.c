/* Worker threads: a queue in, a list out, one mutex for both. */
#include "pool.h"

#include <stdlib.h>
#include <pthread.h>
#include <unistd.h>

struct queue {
	struct pool_job *first, **last;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct queue todo, done; /* guarded by lock, as all below */
	pthread_t *threads;
	size_t threads_n, threads_max, idle, waiting;
	bool stopping;
	int wake_fd;
};

static void queue_init(struct queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static void queue_put(struct queue *q, struct pool_job *job)
{
	job->next = NULL;
	*q->last = job;
	q->last = &job->next;
}

static struct pool_job *queue_get(struct queue *q)
{
	struct pool_job *job = q->first;

	if (!job)
		return NULL;
	q->first = job->next;
	if (!q->first)
		q->last = &q->first;
	return job;
}

static struct pool_job *pool_next(struct pool *pool)
{
	struct pool_job *job;

	while (!(job = queue_get(&pool->todo)) && !pool->stopping) {
		pool->idle++;
		pthread_cond_wait(&pool->more, &pool->lock);
		pool->idle--;
	}
	if (job)
		pool->waiting--;
	return job;
}

static void *worker_main(void *argument)
{
	struct pool *pool = argument;
	struct pool_job *job;
	const uint64_t one = 1;

	pthread_mutex_lock(&pool->lock);
	while ((job = pool_next(pool))) {
		pthread_mutex_unlock(&pool->lock);
		job->run(job);
		pthread_mutex_lock(&pool->lock);
		queue_put(&pool->done, job);
		/* The counter of an eventfd cannot overflow here, so the write cannot fail. */
		if (write(pool->wake_fd, &one, sizeof(one)) < 0)
			abort();
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

struct pool *pool_new(size_t threads_max, int wake_fd)
{
	struct pool *pool = xalloc(sizeof(*pool));

	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->more, NULL);
	queue_init(&pool->todo);
	queue_init(&pool->done);
	pool->threads = xalloc(threads_max * sizeof(*pool->threads));
	pool->threads_max = threads_max;
	pool->wake_fd = wake_fd;
	return pool;
}

void pool_post(struct pool *pool, struct pool_job *job)
{
	pthread_mutex_lock(&pool->lock);
	queue_put(&pool->todo, job);
	pool->waiting++;
	if (pool->waiting > pool->idle && pool->threads_n < pool->threads_max &&
	    !pthread_create(&pool->threads[pool->threads_n], NULL, worker_main, pool))
		pool->threads_n++;
	pthread_cond_signal(&pool->more);
	pthread_mutex_unlock(&pool->lock);
}

void pool_collect(struct pool *pool)
{
	struct pool_job *job, *next;

	pthread_mutex_lock(&pool->lock);
	job = pool->done.first;
	queue_init(&pool->done);
	pthread_mutex_unlock(&pool->lock);
	for (; job; job = next) {
		next = job->next;
		job->done(job);
	}
}

void pool_free(struct pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->more);
	pthread_mutex_unlock(&pool->lock);
	for (size_t i = 0; i < pool->threads_n; i++)
		pthread_join(pool->threads[i], NULL);
	pool_collect(pool);
	pthread_cond_destroy(&pool->more);
	pthread_mutex_destroy(&pool->lock);
	free(pool->threads);
	free(pool);
}
