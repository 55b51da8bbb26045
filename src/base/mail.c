/* Threads, their names, and one mailbox for each: a list under a lock that is held for a few instructions. */
#include "snowgate/mail.h"

#include <signal.h>
#include <string.h>
#include <time.h>

/* One lock per box; nobody ever holds two. */
struct box {
	pthread_mutex_t lock;
	pthread_cond_t posted;
	struct mail *first, **end;
	uint64_t count;   /* posted since start */
	unsigned waiting; /* readers in mail_wait() */
	bool rung;
	void (*wake)(void *);
	void *wake_ctx;
};

#define BOX(t) [t] = {.lock = PTHREAD_MUTEX_INITIALIZER, .posted = PTHREAD_COND_INITIALIZER, .end = &boxes[t].first}
static struct box boxes[THREADS_N] = {BOX(THREAD_MAIN),   BOX(THREAD_NET),   BOX(THREAD_SNOWFLAKE),
				      BOX(THREAD_WORKER), BOX(THREAD_STORE), BOX(THREAD_LOG)};
#undef BOX

static _Thread_local enum thread self = THREAD_MAIN;

const char *thread_name(enum thread t)
{
	static const char *const names[THREADS_N] = {"main", "net", "snowflake", "worker", "store", "log"};
	assert(t < THREADS_N);
	return names[t];
}

enum thread thread_self(void)
{
	return self;
}

void thread_play(enum thread t)
{
	assert(t < THREADS_N);
	self = t;
}

struct start {
	enum thread who;
	void (*run)(void *);
	void *arg;
};

static void *run_thread(void *arg)
{
	struct start start = *(struct start *)arg;
	free(arg);
	thread_play(start.who);
	(void)pthread_setname_np(pthread_self(), thread_name(start.who));
	start.run(start.arg);
	return NULL;
}

void thread_start(enum thread t, void (*run)(void *), void *arg, pthread_t *out)
{
	struct start *start = xalloc(sizeof(*start));
	*start = (struct start){t, run, arg};
	sigset_t all, old;
	(void)sigfillset(&all);
	if (pthread_sigmask(SIG_SETMASK, &all, &old) || pthread_create(out, NULL, run_thread, start))
		abort();
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void thread_join(pthread_t thread)
{
	if (pthread_join(thread, NULL))
		abort();
}

static struct box *lock_box(enum thread t)
{
	assert(t < THREADS_N);
	struct box *box = &boxes[t];
	(void)pthread_mutex_lock(&box->lock);
	return box;
}

static void unlock_box(struct box *box)
{
	(void)pthread_mutex_unlock(&box->lock);
}

void mail_on_post(enum thread to, void (*wake)(void *), void *ctx)
{
	struct box *box = lock_box(to);
	box->wake = wake;
	box->wake_ctx = ctx;
	unlock_box(box);
}

void mail_post(enum thread to, struct mail *m)
{
	assert(m->deliver);
	m->next = NULL;
	struct box *box = lock_box(to);
	bool was_empty = !box->first;
	*box->end = m;
	box->end = &m->next;
	box->count++;
	if (box->waiting)
		(void)pthread_cond_signal(&box->posted);
	else if (was_empty && box->wake)
		box->wake(box->wake_ctx);
	unlock_box(box);
}

void mail_ring(enum thread to)
{
	struct box *box = lock_box(to);
	box->rung = true;
	(void)pthread_cond_broadcast(&box->posted);
	unlock_box(box);
}

static struct mail *detach_all(struct box *box)
{
	struct mail *list = TAKE(box->first);
	box->end = &box->first;
	return list;
}

static struct mail *detach_one(struct box *box)
{
	struct mail *m = box->first;
	if (!m)
		return NULL;
	box->first = m->next;
	if (!box->first)
		box->end = &box->first;
	m->next = NULL;
	return m;
}

static size_t deliver_list(struct mail *list)
{
	size_t n = 0;
	while (list) {
		struct mail *m = list;
		list = TAKE(m->next);
		m->deliver(m);
		n++;
	}
	return n;
}

size_t mail_deliver(enum thread me)
{
	struct box *box = lock_box(me);
	struct mail *list = detach_all(box);
	unlock_box(box);
	return deliver_list(list);
}

/* True when it should be tried again; false when the time is up. */
static bool sleep_in(struct box *box, const struct timespec *until)
{
	box->waiting++;
	int error = until ? pthread_cond_clockwait(&box->posted, &box->lock, CLOCK_MONOTONIC, until)
			  : pthread_cond_wait(&box->posted, &box->lock);
	box->waiting--;
	return !error;
}

/* Real time even under a virtual clock: nobody sleeps in a simulation, and a test of threads means its timeout. */
static struct timespec time_after(usec_t timeout)
{
	struct timespec at;
	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	const usec_t year = 365 * 86400 * USEC_PER_S;
	usec_t usec = at.tv_nsec / 1000 + (timeout < year ? timeout : year);
	at.tv_sec += (time_t)(usec / USEC_PER_S);
	at.tv_nsec = (long)(usec % USEC_PER_S) * 1000;
	return at;
}

size_t mail_wait(enum thread me, usec_t timeout)
{
	struct timespec until = {0};
	if (timeout >= 0)
		until = time_after(timeout);
	struct box *box = lock_box(me);
	while (!box->first && !box->rung && sleep_in(box, timeout >= 0 ? &until : NULL)) {
	}
	box->rung = false;
	struct mail *list = me == THREAD_WORKER ? detach_one(box) : detach_all(box);
	unlock_box(box);
	return deliver_list(list);
}

bool mail_empty(enum thread t)
{
	struct box *box = lock_box(t);
	bool empty = !box->first;
	unlock_box(box);
	return empty;
}

uint64_t mail_posted(enum thread t)
{
	struct box *box = lock_box(t);
	uint64_t count = box->count;
	unlock_box(box);
	return count;
}
