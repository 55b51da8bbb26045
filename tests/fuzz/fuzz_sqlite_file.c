/* A database file in which any bytes have changed, opened by the SQLite store: it is refused with a reason, or serves;
 * what it gives is what was written there, or its seal tells that it is not. */
#include "store_fuzz.h"

#include "../../src/gateway/journal.h"
#include <sys/stat.h>

#include "snowgate/file.h"

enum { RECORDS = 12, LOGGED = 5, LARGE = 20000 };

static const struct seal_keys keys = {.n = 1, .v = {{{7}}}};
static char *image[2]; /* a file that was closed, and one with its log beside it */
static size_t image_n[2];
static char *log_image;
static size_t log_n;

/* ---- what is in it ---- */

static enum record_kind kind_of(int i)
{
	return i % 3 == 0 ? RECORD_SESSION : i % 3 == 1 ? RECORD_OPERATION : RECORD_STREAM;
}

static void key_of(char key[32], int i)
{
	snprintf(key, 32, "key-%d", i);
}

/* The text of record i, or of an event of it; some are so large that their pages are chained. */
static void text_of(struct buf *b, int i, int number)
{
	buf_addf(b, "record %d event %d ", i, number);
	for (int n = i % 4 == 3 && !number ? LARGE : 100; n > 0; n--)
		buf_addc(b, (char)('a' + i));
}

static void seal_text(struct buf *b, int i, int number)
{
	struct buf text = buf_with_ceiling(LARGE * 2);
	char key[32];

	key_of(key, i);
	text_of(&text, i, number);
	expect(journal_seal(b, &keys, key, buf_slice(&text)));
	buf_free(&text);
}

static void put(int i)
{
	struct piece p = {0};
	struct buf values[3] = {buf_with_ceiling(1 << 20), buf_with_ceiling(1 << 20), buf_with_ceiling(1 << 20)};
	char key[32];

	key_of(key, i);
	for (int v = 0; v < 3; v++)
		seal_text(&values[v], i, v);
	struct store_item *item = piece_item(&p, STORE_PUT, kind_of(i), key);
	item->value = buf_slice(&values[0]);
	item->due_ms = kind_of(i) == RECORD_OPERATION ? 0 : STORE_NO_DUE;
	for (uint64_t v = 1; v < 3 && kind_of(i) == RECORD_OPERATION; v++) {
		item = piece_item(&p, STORE_APPEND, RECORD_OPERATION, key);
		item->number = v;
		item->value = buf_slice(&values[v]);
	}
	expect(piece_run(&p) == STORE_OK);
	piece_free(&p);
	for (int v = 0; v < 3; v++)
		buf_free(&values[v]);
}

static void images_make(void)
{
	char path[128], name[160];

	folder_make();
	folder_name(path, "t");
	expect(file_opened("t"));
	for (int i = 0; i < RECORDS; i++)
		put(i);
	image[1] = file_read(path, 1 << 24, &image_n[1]);
	snprintf(name, sizeof name, "%s-wal", path);
	log_image = file_read(name, 1 << 24, &log_n);
	file_closed();
	image[0] = file_read(path, 1 << 24, &image_n[0]);
	expect(image[0] && image[1] && log_image && image_n[0] > (1 << 14) && log_n > (1 << 14));
}

/* ---- what comes out ---- */

/* Opens for its own key only, to a text that was written there. */
static void value_check(int i, struct slice value)
{
	struct buf text = buf_with_ceiling(1 << 20), wanted = buf_with_ceiling(1 << 20);
	bool found = false;
	char key[32];

	key_of(key, i);
	if (journal_open(&text, &keys, key, value)) {
		for (int number = 0; number < 3 && !found; number++) {
			buf_clear(&wanted);
			text_of(&wanted, i, number);
			found = text.n == wanted.n && memcmp(text.data, wanted.data, text.n) == 0;
		}
		expect(found);
	}
	buf_free(&text);
	buf_free(&wanted);
}

static void record_read(int i)
{
	struct piece p = {0};
	char key[32];

	key_of(key, i);
	piece_item(&p, STORE_GET, kind_of(i), key);
	if (kind_of(i) == RECORD_OPERATION)
		piece_item(&p, STORE_EVENTS, RECORD_OPERATION, key);
	if (piece_run(&p) == STORE_OK && p.items[0].rc == STORE_OK) {
		expect(p.items[0].version > 0);
		value_check(i, buf_slice(&p.items[0].out));
	}
	for (const struct store_row *row = p.items[1].rows; row; row = row->next) {
		expect(row->value[row->n] == '\0');
		value_check(i, (struct slice){row->value, row->n});
	}
	piece_free(&p);
}

/* As the gateway does with what nobody holds: the key that came out is asked for. */
static void due_read(void)
{
	struct piece p = {0}, again = {0};
	size_t n = 0;

	piece_item(&p, STORE_DUE, RECORD_OPERATION, "")->key = NULL;
	if (piece_run(&p) != STORE_OK)
		expect(!p.items[0].rows);
	for (const struct store_row *row = p.items[0].rows; row; row = row->next, n++) {
		struct store_item *item = piece_item(&again, STORE_CHECK, RECORD_OPERATION, "x");
		item->key = row->key;
		item->version = row->version;
		(void)piece_run(&again);
		piece_free(&again);
	}
	expect(n <= 100);
	piece_free(&p);
}

static void record_write(int i)
{
	struct piece p = {0};
	struct buf value = buf_with_ceiling(1 << 20);
	char key[32];

	key_of(key, i);
	seal_text(&value, i, 0);
	piece_item(&p, STORE_PUT, kind_of(i), key)->value = buf_slice(&value);
	if (piece_run(&p) == STORE_OK)
		expect(p.items[0].version > 0);
	piece_free(&p);
	if (i % 2)
		piece_item(&p, STORE_DEL, kind_of(i - 1), p.keys[0])->key = key;
	key_of(key, i - 1);
	if (p.work.n)
		(void)piece_run(&p);
	piece_free(&p);
	buf_free(&value);
}

/* ---- what has changed ---- */

struct edits {
	const uint8_t *data;
	size_t n;
};

static size_t take(struct edits *e, size_t bytes)
{
	size_t value = 0;

	for (; bytes && e->n; bytes--, e->n--)
		value = value << 8 | *e->data++;
	return value;
}

/* Each edit: where, how many bytes, then these; of none, a page is copied from elsewhere, or the file ends there. */
static void edit(struct edits *e, char *file, size_t *n)
{
	size_t at = take(e, 3) % *n, count = take(e, 1), from = take(e, 1) * 4096 % *n;

	if (count == 0) {
		size_t page = at / 4096 * 4096, left = *n - (page > from ? page : from);
		memmove(file + page, file + from, left < 4096 ? left : 4096);
	} else if (count == 255) {
		*n = at;
	} else {
		for (; count % 16 && e->n && at < *n; count--, e->n--)
			file[at++] = (char)*e->data++;
	}
}

static void file_written(const char *end, const char *data, size_t n)
{
	char path[128], name[160];
	FILE *f;

	folder_name(path, "c");
	snprintf(name, sizeof name, "%s%s", path, end);
	unlink(name);
	if (!data)
		return;
	f = fopen(name, "w");
	expect(f && fwrite(data, 1, n, f) == n && fclose(f) == 0 && chmod(name, 0600) == 0);
}

static void files_make(struct edits *e, bool log, bool unclean)
{
	size_t n = image_n[log], n_log = log_n;
	char *file = memcpy(xalloc(n), image[log], n), *beside = log ? memcpy(xalloc(n_log), log_image, n_log) : NULL;

	while (e->n > 4 && n && n_log) {
		bool of_log = log && take(e, 1) & 1;

		edit(e, of_log ? beside : file, of_log ? &n_log : &n);
	}
	file_written("", file, n);
	file_written("-wal", beside, n_log);
	file_written("-shm", NULL, 0);
	file_written(".lock", unclean ? "open\n" : "", unclean ? 5 : 0);
	free(file);
	free(beside);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct edits e = {data, n};
	size_t what;

	if (!image[0])
		images_make();
	what = take(&e, 1);
	files_make(&e, what & 1, what & 2);
	if (!file_opened("c"))
		return 0;
	for (int i = 0; i < RECORDS; i++)
		record_read(i);
	due_read();
	for (int i = 1; i < RECORDS; i += 2)
		record_write(i);
	turns(3, 2 * USEC_PER_S); /* checks, moves the log into the file */
	for (int i = 0; i < RECORDS; i++)
		record_read(i);
	turns(2, TTL * USEC_PER_MS); /* what has expired goes */
	file_closed();
	return 0;
}
