/* The STORE thread: collects work, runs it in one batch, commits, then reports each piece done. */
#include "snowgate/store.h"

#include "snowgate/wheel.h"

/* owner: STORE, except between store_open() and the thread's start. */
static struct {
	const struct store_backend *backend;
	struct store *store;
	struct store_work *first, **last;
	usec_t expired;
	bool stopping;
	pthread_t thread;
} self;

#define EXPIRE_EVERY (10 * USEC_PER_S)

static const struct store_backend *const backends[] = {&store_memory};

bool store_open(const struct conf *conf, char *why, size_t why_size)
{
	self.backend = backends[conf->store_kind];
	self.last = &self.first;
	self.stopping = false;
	self.expired = clock_now();
	self.store = self.backend->open(conf, why, why_size);
	return self.store != NULL;
}

void store_close(void)
{
	self.backend->close(TAKE(self.store));
}

static void batch_add(struct store_work *w)
{
	w->next = NULL;
	*self.last = w;
	self.last = &w->next;
}

static void work_deliver(struct mail *m)
{
	batch_add(container_of(m, struct store_work, mail));
}

void store_post(struct store_work *w)
{
	if (thread_self() == THREAD_STORE) {
		batch_add(w);
		return;
	}
	w->mail.deliver = work_deliver;
	mail_post(THREAD_STORE, &w->mail);
}

static size_t batch_run(void)
{
	struct store_work *batch = self.first, *w, *next;
	size_t n = 0;
	int rc;

	if (!batch)
		return 0;
	self.first = NULL;
	self.last = &self.first;
	rc = self.backend->begin(self.store);
	for (w = batch; w && rc == 0; w = w->next)
		w->work(w, self.store, self.backend);
	if (rc == 0)
		rc = self.backend->commit(self.store);
	for (w = batch; w; w = next, n++) {
		next = w->next;
		w->done(w, rc);
	}
	return n;
}

size_t store_turn(void)
{
	usec_t now = clock_now();

	OWNED_BY(THREAD_STORE);
	mail_deliver(THREAD_STORE);
	if (now - self.expired >= EXPIRE_EVERY) {
		self.expired = now;
		self.backend->expire(self.store, clock_wall());
	}
	return batch_run();
}

static void store_main(void *arg)
{
	(void)arg;
	while (!self.stopping || self.first || !mail_empty(THREAD_STORE)) {
		if (!self.first) /* done() may have posted more */
			mail_wait(THREAD_STORE, EXPIRE_EVERY);
		store_turn();
	}
}

bool store_start(const struct conf *conf, char *why, size_t why_size)
{
	if (!store_open(conf, why, why_size))
		return false;
	thread_start(THREAD_STORE, store_main, NULL, &self.thread);
	return true;
}

static void stop_deliver(struct mail *m)
{
	(void)m;
	self.stopping = true;
}

void store_stop(void)
{
	static struct mail stop = {.deliver = stop_deliver};

	mail_post(THREAD_STORE, &stop);
	thread_join(self.thread);
	store_close();
}
