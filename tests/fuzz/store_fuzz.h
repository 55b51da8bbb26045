/* What the targets of the SQLite store share: a folder in memory, a clock that stands, pieces of work in one line. */
#ifndef TESTS_FUZZ_STORE_FUZZ_H
#define TESTS_FUZZ_STORE_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "snowgate/log.h"
#include "snowgate/store.h"
#include "snowgate/wheel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define GROUP "0123456789abcdef0123456789abcdef"
#define TTL   ((int64_t)24 * 3600 * 1000)
#define NOW   (1700000000 * USEC_PER_S)

static void expect(bool holds)
{
	if (!holds)
		abort();
}

/* ---- a folder ---- */

static char folder[64];

static void folder_name(char out[128], const char *name)
{
	snprintf(out, 128, "%s/%s", folder, name);
}

static void folder_remove(void)
{
	static const char *const files[] = {"t", "c"};
	static const char *const ends[] = {"", "-wal", "-shm", ".lock", "-journal"};
	char path[160];

	for (size_t i = 0; i < ARRAY_LEN(files) * ARRAY_LEN(ends); i++) {
		snprintf(path, sizeof path, "%s/%s%s", folder, files[i / ARRAY_LEN(ends)], ends[i % ARRAY_LEN(ends)]);
		unlink(path);
	}
	rmdir(folder);
}

/* Once. "t" is the database that is made, "c" the copy that is opened. */
static void folder_make(void)
{
	snprintf(folder, sizeof folder, "/dev/shm/snowgate-fuzz-XXXXXX");
	expect(mkdtemp(folder) != NULL);
	atexit(folder_remove);
	log_set_level((enum log_level)(LOG_ERROR + 1)); /* thousands of damaged files are no news */
}

/* ---- the store ---- */

static bool healthy;

static void on_health(bool ready, const char *why)
{
	healthy = ready;
	expect(ready || (why && *why));
}

static void on_heard(const char *channel, struct slice value)
{
	(void)channel, (void)value;
}

static bool file_opened(const char *name)
{
	static const struct store_ops ops = {.health = on_health, .heard = on_heard};
	static struct conf conf = {
	    .store_kind = STORE_KIND_SQLITE, .store_max_bytes = 64 << 20, .store_timeout = 5 * USEC_PER_S};
	static char path[128];
	char why[600] = "";

	folder_name(path, name);
	conf.store_path = path;
	conf.store_max_waiting = 1000;
	conf.store_backup_path = "";
	healthy = true;
	clock_set_virtual(1000 * USEC_PER_S, NOW);
	thread_play(THREAD_STORE);
	if (store_open(&conf, &ops, why, sizeof why))
		return true;
	thread_play(THREAD_MAIN);
	expect(strncmp(why, "store.path: ", 12) == 0 && strlen(why) > 12); /* a clear refusal */
	return false;
}

static void file_closed(void)
{
	store_close();
	thread_play(THREAD_MAIN);
}

static void turns(int n, usec_t each)
{
	for (int i = 0; i < n; i++) {
		clock_advance(each);
		store_turn();
	}
}

struct piece {
	struct store_work work;
	struct store_item items[4];
	char keys[4][32];
	bool done;
};

static void piece_done(struct store_work *w)
{
	container_of(w, struct piece, work)->done = true;
}

static struct store_item *piece_item(struct piece *p, enum store_verb verb, enum record_kind kind, const char *key)
{
	struct store_item *item = &p->items[p->work.n];

	p->work.items = p->items;
	p->work.group = GROUP;
	p->work.done = piece_done;
	snprintf(p->keys[p->work.n], sizeof p->keys[0], "%s", key);
	*item = (struct store_item){.verb = verb, .kind = kind, .key = p->keys[p->work.n++], .due_ms = STORE_NO_DUE};
	item->ttl_ms = TTL;
	item->most = 100;
	if (verb == STORE_GET)
		item->out = buf_with_ceiling(STORE_VALUE_MAX);
	return item;
}

static enum store_rc piece_run(struct piece *p)
{
	p->done = false;
	store_post(&p->work);
	store_turn();
	expect(p->done);
	return p->work.rc;
}

static void piece_free(struct piece *p)
{
	for (size_t i = 0; i < p->work.n; i++) {
		buf_free(&p->items[i].out);
		store_rows_free(&p->items[i]);
	}
	p->work.n = 0;
}

#endif
