/* The power fails in the midst of any work of the SQLite store: every piece that was reported done is there when the
 * file is opened again, whole, and of every other one all or nothing. The second way tears the log itself at any byte:
 * what was reported before the log had grown so far is there. */
#include "store_fuzz.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include "../unit/store/fault_vfs.h"

enum { PIECES_MAX = 64, VALUE = 1500 };

/* What is known of each piece. */
static struct told {
	enum store_rc rc;
	bool posted;
	size_t log_n; /* bytes of the log when it was reported */
} told[PIECES_MAX];
static int told_n;

struct script {
	const uint8_t *data;
	size_t n;
};

static unsigned next(struct script *s)
{
	if (s->n == 0)
		return 0;
	s->n--;
	return *s->data++;
}

/* ---- a piece of three items ---- */

static void value_of(char out[VALUE], int i)
{
	memset(out, 'a' + i % 26, VALUE);
	snprintf(out, VALUE, "piece %d", i);
	out[strlen(out)] = '.';
	out[VALUE - 1] = '\0';
}

static void piece_make(struct piece *p, char value[VALUE], int i)
{
	char key[32];
	struct store_item *item;

	snprintf(key, sizeof key, "p%d", i);
	value_of(value, i);
	memset(p, 0, sizeof *p);
	piece_item(p, STORE_PUT, RECORD_OPERATION, key)->value = slice_of(value);
	item = piece_item(p, STORE_APPEND, RECORD_OPERATION, key);
	item->value = slice_of(value);
	item->number = 1;
	item = piece_item(p, STORE_PUT, RECORD_STREAM, key);
	item->value = slice_of(item->key);
}

/* Is piece i there? Then it is whole; else nothing of it is. */
static bool piece_there(int i)
{
	struct piece p = {0};
	char key[32], value[VALUE];
	size_t n = 0;
	bool there;

	snprintf(key, sizeof key, "p%d", i);
	value_of(value, i);
	piece_item(&p, STORE_GET, RECORD_OPERATION, key);
	piece_item(&p, STORE_EVENTS, RECORD_OPERATION, key);
	piece_item(&p, STORE_GET, RECORD_STREAM, key);
	expect(piece_run(&p) == STORE_OK);
	there = p.items[0].rc == STORE_OK;
	expect(p.items[2].rc == p.items[0].rc);
	for (const struct store_row *row = p.items[1].rows; row; row = row->next, n++)
		expect(row->version == 1 && strcmp(row->value, value) == 0);
	expect(n == there);
	if (there) {
		expect(strcmp(buf_text(&p.items[0].out), value) == 0);
		expect(strcmp(buf_text(&p.items[2].out), key) == 0);
	}
	piece_free(&p);
	return there;
}

/* ---- the work ---- */

static size_t log_length(void)
{
	char path[128], name[160];
	struct stat st;

	folder_name(path, "t");
	snprintf(name, sizeof name, "%s-wal", path);
	return stat(name, &st) == 0 ? (size_t)st.st_size : 0;
}

static void batch(int n)
{
	static struct piece p[8];
	static char values[8][VALUE];
	int first = told_n;

	for (int i = 0; i < n && told_n < PIECES_MAX; i++, told_n++) {
		piece_make(&p[i], values[i], told_n);
		store_post(&p[i].work);
	}
	store_turn();
	for (int i = 0; first + i < told_n; i++) {
		expect(p[i].done);
		told[first + i] = (struct told){p[i].work.rc, true, log_length()};
	}
}

/* Batches, what upkeep does between them, and faults, one of which may stay until the power fails. */
static void work(struct script *s)
{
	static const enum fault faults[] = {FAULT_WRITE, FAULT_TORN, FAULT_FULL, FAULT_SYNC};

	while (s->n && told_n < PIECES_MAX) {
		unsigned op = next(s);

		if (op % 4 == 3)
			fault_arm(faults[op / 4 % 4], 1 + (int)(next(s) % 64), op & 16);
		else if (op % 4 == 2)
			turns(1 + (int)(op / 4 % 4), op & 64 ? 2 * USEC_PER_S : 10 * USEC_PER_MS);
		else
			batch(1 + (int)(op / 4 % 8));
		if (op & 128)
			fault_disarm();
	}
}

/* ---- and then ---- */

static void sound(void)
{
	char path[128];
	sqlite3 *db;
	sqlite3_stmt *stmt;

	folder_name(path, "c");
	expect(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK);
	expect(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL) == SQLITE_OK);
	expect(sqlite3_step(stmt) == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") == 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
}

/* `kept`: bytes of the log that the disk has for certain. */
static void look(size_t kept)
{
	int before = 1;

	fault_reset();
	expect(file_opened("c"));
	for (int i = 0; i < told_n; i++) {
		bool there = piece_there(i), must = told[i].rc == STORE_OK && told[i].log_n <= kept;

		expect(there || !must);
		expect(!there || told[i].rc != STORE_FULL); /* refused is refused */
		if (kept != SIZE_MAX)                       /* a log that ends earlier has all up to there */
			expect(before || !there);
		before = there;
	}
	expect(healthy);
	file_closed();
	sound();
}

static void copy_remove(const char *name)
{
	static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
	char path[128], file[160];

	folder_name(path, name);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		snprintf(file, sizeof file, "%s%s", path, ends[i]);
		unlink(file);
	}
}

/* From byte `at` on the log is not what was written: gone, or something else. */
static void tear(size_t at, unsigned how)
{
	char path[128], name[160], junk[700];
	FILE *f;

	folder_name(path, "c");
	snprintf(name, sizeof name, "%s-wal", path);
	if (how % 2 == 0) {
		expect(truncate(name, (off_t)at) == 0);
		return;
	}
	memset(junk, (int)(how / 2), sizeof junk);
	f = fopen(name, "r+");
	expect(f && fseek(f, (long)at, SEEK_SET) == 0 && fwrite(junk, 1, sizeof junk, f) == sizeof junk);
	expect(fclose(f) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static bool made;
	struct script s = {data, n};
	unsigned how = next(&s), seed = next(&s) | next(&s) << 8, place = next(&s) | next(&s) << 8 | next(&s) << 16;
	size_t kept = SIZE_MAX;
	char from[128], to[128];

	if (!made)
		folder_make(), fault_register();
	made = true;
	told_n = 0;
	copy_remove("t");
	copy_remove("c");
	expect(file_opened("t"));
	folder_name(from, "t");
	folder_name(to, "c");
	if (how & 1) { /* without upkeep: the log has everything, in order */
		while (s.n && told_n < PIECES_MAX)
			batch(1 + (int)(next(&s) % 8));
		kept = log_length() ? place % log_length() : 0;
		expect(fault_copy(from, to, false, 0));
		tear(kept, how >> 1);
	} else {
		work(&s);
		expect(fault_copy(from, to, how & 2 ? true : false, seed));
	}
	fault_disarm();
	file_closed();
	look(kept);
	return 0;
}
