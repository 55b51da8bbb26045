/* The STORE thread: collects pieces of work, has the back end commit them together, reports each done. */
#include "snowgate/store.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "piece.h"
#include "snowgate/metric.h"
#include "snowgate/wheel.h"

/* What is committed together at most: so many pieces wait for the same disk write, and so much of it is in memory
 * twice. */
#define BATCH_PIECES 1024
#define BATCH_BYTES  ((size_t)16 << 20)
/* Upkeep is due this long after the last one where there were commits since, whenever the back end said. */
#define UPKEEP_BUSY (50 * USEC_PER_MS)
#define UPKEEP_MIN  USEC_PER_MS
#define UPKEEP_MAX  (60 * USEC_PER_S)
/* A descriptor in error is looked at this often: it stays readable until the back end has done something about it. */
#define FAULTY_EVERY (10 * USEC_PER_MS)

/* In the order of store.kind. */
static const struct store_backend *const backends[] = {&store_sqlite, &store_memory, &store_valkey};

/* owner: STORE, except between store_open() and the thread's start, and after its end. */
static struct {
	const struct store_backend *backend;
	struct store *store;
	const struct store_ops *ops;
	struct store_work *first, **last; /* posted, not yet run */
	size_t waiting, max_waiting;      /* waiting: of the list above, and of the batch under way */
	usec_t timeout;
	usec_t kept_up, upkeep_at; /* last and next upkeep */
	int64_t bytes;
	bool worked;  /* commits since the last upkeep */
	bool unready; /* as last told */
	bool faulty;  /* the descriptor, when last polled */
	bool stopping;
	int wake;
	pthread_t thread;
} self;

/* ---- what the back end tells ---- */

static void tell_health(bool ready, const char *why)
{
	if (ready != self.unready)
		return;
	self.unready = !ready;
	self.ops->health(ready, ready ? NULL : why);
}

static void tell_heard(const char *channel, struct slice value)
{
	self.ops->heard(channel, value);
}

static const struct store_ops told = {.health = tell_health, .heard = tell_heard};

void store_holds(int64_t bytes)
{
	metric_add(METRIC_store_bytes, NULL, bytes - self.bytes);
	self.bytes = bytes;
}

/* ---- open, close ---- */

bool store_open(const struct conf *conf, const struct store_ops *ops, char *why, size_t why_size)
{
	assert((size_t)conf->store_kind < ARRAY_LEN(backends));
	self.backend = backends[conf->store_kind];
	self.ops = ops;
	self.last = &self.first;
	self.max_waiting = (size_t)conf->store_max_waiting;
	self.timeout = conf->store_timeout;
	self.kept_up = self.upkeep_at = clock_now();
	self.worked = self.unready = self.faulty = self.stopping = false;
	self.store = self.backend->open(conf, &told, why, why_size);
	return self.store != NULL;
}

void store_close(void)
{
	self.backend->close(TAKE(self.store));
	store_holds(0);
	self.first = NULL;
	self.last = &self.first;
	self.waiting = 0;
}

bool store_shared(void)
{
	return self.backend->shared;
}

/* ---- posting ---- */

bool item_writes(const struct store_item *item)
{
	return item->verb == STORE_PUT || item->verb == STORE_KEEP || item->verb == STORE_DEL ||
	       item->verb == STORE_APPEND;
}

static bool text_fits(const char *text, size_t max, const char *but)
{
	size_t n = 0;

	for (; text && text[n]; n++)
		if (text[n] <= ' ' || text[n] > '~' || strchr(but, text[n]))
			return false;
	return n > 0 && n < max;
}

bool store_key_fits(const char *key)
{
	return text_fits(key, STORE_KEY_MAX, "{}");
}

static void item_assert(const struct store_item *item, UNUSED const char *group)
{
	bool rows = item->verb == STORE_EVENTS || item->verb == STORE_DUE;
	bool record = item->verb == STORE_PUT || item->verb == STORE_KEEP;
	bool value = record || item->verb == STORE_APPEND || item->verb == STORE_TELL;

	assert(group || item->verb == STORE_DUE || item->verb == STORE_TELL);
	assert(item->verb == STORE_TELL || (unsigned)item->kind < RECORD_KINDS);
	assert(item->verb == STORE_DUE || store_key_fits(item->key));
	assert(!value || item->value.n <= STORE_VALUE_MAX);
	assert(!record || (item->ttl_ms > 0 && item->due_ms >= STORE_NO_DUE));
	assert(item->verb != STORE_APPEND || item->number > 0);
	assert(!rows || (item->most > 0 && item->most <= STORE_ROWS_MAX && !item->rows));
	(void)rows, (void)record, (void)value, (void)item;
}

static void piece_assert(const struct store_work *w)
{
	assert(w->done && w->n > 0 && w->n <= STORE_ITEMS_MAX);
	assert(!w->group || (text_fits(w->group, 33, "") && w->group[strspn(w->group, "0123456789abcdef")] == '\0'));
	for (size_t i = 0; i < w->n; i++)
		item_assert(&w->items[i], w->group);
}

static void work_add(struct store_work *w)
{
	w->next = NULL;
	w->rc = self.waiting++ < self.max_waiting ? STORE_OK : STORE_FULL;
	*self.last = w;
	self.last = &w->next;
}

static void work_deliver(struct mail *m)
{
	work_add(container_of(m, struct store_work, mail));
}

void store_post(struct store_work *w)
{
	piece_assert(w);
	w->posted = clock_now();
	if (thread_self() == THREAD_STORE) {
		work_add(w);
		return;
	}
	w->mail.deliver = work_deliver;
	mail_post(THREAD_STORE, &w->mail);
}

/* ---- what came out ---- */

struct store_row *row_add(struct store_row ***end, const char *key, struct slice value)
{
	struct store_row *row = xalloc(sizeof *row + value.n + 1);

	assert(strlen(key) < sizeof row->key);
	memcpy(row->key, key, strlen(key));
	row->n = value.n;
	if (value.n)
		memcpy(row->value, value.data, value.n);
	**end = row;
	*end = &row->next;
	return row;
}

void store_rows_free(struct store_item *item)
{
	while (item->rows) {
		struct store_row *row = item->rows;

		item->rows = row->next;
		free(row);
	}
}

void piece_forget(struct store_work *w)
{
	for (size_t i = 0; i < w->n; i++) {
		if (w->items[i].verb == STORE_GET)
			buf_clear(&w->items[i].out);
		store_rows_free(&w->items[i]);
	}
}

/* ---- a batch ---- */

static const char *rc_name(enum store_rc rc)
{
	static const char *const names[] = {
	    [STORE_OK] = "ok", [STORE_STALE] = "stale", [STORE_FULL] = "full", [STORE_DOWN] = "down"};

	return rc < ARRAY_LEN(names) && names[rc] ? names[rc] : "other";
}

/* Moves the piece on; it is the caller's no more. */
static void piece_answer(struct store_work *w)
{
	self.waiting--;
	metric_count(METRIC_store_pieces, rc_name(w->rc));
	w->done(w);
}

static size_t piece_bytes(const struct store_work *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		n += item_writes(&w->items[i]) ? w->items[i].value.n : 0;
	return n;
}

/* Takes from the list what goes into one commit. What may not is answered at once. */
static size_t batch_take(struct store_work **list, struct store_work **batch, size_t *bytes)
{
	usec_t oldest = clock_now() - self.timeout;
	size_t n = 0, taken = 0;

	while (*list && taken < BATCH_PIECES && *bytes < BATCH_BYTES) {
		struct store_work *w = *list;

		*list = TAKE(w->next);
		n++;
		if (w->rc == STORE_OK && w->posted >= oldest) {
			*bytes += piece_bytes(w);
			*batch = w;
			batch = &w->next;
			taken++;
			continue;
		}
		w->rc = w->rc == STORE_OK ? STORE_DOWN : w->rc;
		piece_answer(w);
	}
	return n;
}

static size_t batch_run(struct store_work **list)
{
	struct store_work *batch = NULL, *next;
	size_t bytes = 0, n = batch_take(list, &batch, &bytes);
	usec_t begun = clock_now();

	if (!batch)
		return n;
	self.backend->commit(self.store, batch);
	self.worked = true;
	metric_count(METRIC_store_commits, NULL);
	metric_observe(METRIC_store_commit_seconds, clock_now() - begun);
	metric_add(METRIC_store_written, NULL, (int64_t)bytes);
	for (struct store_work *w = batch; w; w = next) {
		next = TAKE(w->next);
		piece_answer(w);
	}
	return n;
}

/* ---- the thread ---- */

static usec_t upkeep_due(void)
{
	usec_t busy = self.kept_up + UPKEEP_BUSY;

	return self.worked && busy < self.upkeep_at ? busy : self.upkeep_at;
}

static void upkeep(void)
{
	usec_t again = self.backend->upkeep(self.store);

	again = again < UPKEEP_MIN ? UPKEEP_MIN : again > UPKEEP_MAX ? UPKEEP_MAX : again;
	self.kept_up = clock_now();
	self.upkeep_at = self.kept_up + again;
	self.worked = false;
}

size_t store_turn(void)
{
	struct store_work *list;
	size_t n = 0;

	OWNED_BY(THREAD_STORE);
	mail_deliver(THREAD_STORE);
	list = TAKE(self.first);
	self.last = &self.first;
	while (list)
		n += batch_run(&list);
	if (clock_now() >= upkeep_due())
		upkeep();
	return n;
}

static void wake(void *ctx)
{
	const uint64_t one = 1;

	(void)ctx;
	(void)!write(self.wake, &one, sizeof one);
}

/* Until there is mail, the back end's descriptor is readable, or upkeep is due. */
static void sleep_well(void)
{
	struct pollfd fds[2] = {{.fd = self.wake, .events = POLLIN},
				{.fd = self.backend->descriptor(self.store), .events = POLLIN}};
	usec_t wait = upkeep_due() - clock_now();
	uint64_t count;

	if (self.faulty) {
		fds[1].fd = -1;
		wait = wait < FAULTY_EVERY ? wait : FAULTY_EVERY;
	}
	self.faulty = false;
	wait = wait < 0 ? 0 : wait;
	if (poll(fds, 2, (int)((wait + USEC_PER_MS - 1) / USEC_PER_MS)) <= 0)
		return;
	if (fds[0].revents)
		(void)!read(self.wake, &count, sizeof count);
	if (fds[1].revents)
		self.upkeep_at = clock_now();
	self.faulty = fds[1].revents & (POLLERR | POLLHUP | POLLNVAL);
}

static void store_main(void *arg)
{
	(void)arg;
	while (!self.stopping || self.first || !mail_empty(THREAD_STORE)) {
		if (!self.first) /* done() may have posted more */
			sleep_well();
		store_turn();
	}
}

bool store_start(const struct conf *conf, const struct store_ops *ops, char *why, size_t why_size)
{
	self.wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (self.wake < 0) {
		snprintf(why, why_size, "eventfd: %s", strerror(errno));
		return false;
	}
	if (!store_open(conf, ops, why, why_size)) {
		close(self.wake);
		return false;
	}
	mail_on_post(THREAD_STORE, wake, NULL);
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
	mail_on_post(THREAD_STORE, NULL, NULL);
	close(self.wake);
	store_close();
}
