/* What every back end of the store must do, whichever it is; and what the batch promises to its callers. */
#include "pieces.h"
#include "redis_server.h"

#include <stdlib.h>
#include <unistd.h>

#define NOW (1700000000 * USEC_PER_S)

/* ---- the back ends ---- */

static struct conf conf;
static char folder[64], path[128];

static void wall_moves(usec_t by)
{
	clock_advance(by);
}

static bool conf_memory(void)
{
	conf.store_kind = STORE_KIND_MEMORY;
	return true;
}

static bool conf_sqlite(void)
{
	snprintf(folder, sizeof folder, "%s/snowgate-store-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/s.db", folder);
	conf.store_kind = STORE_KIND_SQLITE;
	conf.store_path = path;
	conf.store_backup_path = "";
	conf.store_max_bytes = (int64_t)8 << 20;
	return true;
}

static void gone_sqlite(void)
{
	static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
	char name[160];

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		snprintf(name, sizeof name, "%s%s", path, ends[i]);
		unlink(name);
	}
	rmdir(folder);
}

static void gone_nothing(void)
{
}

static struct redis_server server;

static bool conf_valkey(void)
{
	static const char *url;

	if (!redis_installed())
		return false;
	redis_begin_clock(&server, NULL);
	url = server.url;
	conf.store_kind = STORE_KIND_VALKEY;
	conf.store_url = (struct texts){1, &url};
	conf.store_prefix = "snowgate:";
	conf.store_user = "snowgate";
	conf.store_password = REDIS_PASSWORD;
	conf.store_durability = 1; /* aof */
	return true;
}

static void server_moves(usec_t by)
{
	clock_advance(by);
	*server.clock += by;
}

static void gone_valkey(void)
{
	redis_end(&server);
}

/* New back ends join here: set up a store that is empty (false: what it needs is not on this machine), let time pass
 * for it, clean up. */
static const struct back_end {
	const char *name;
	bool (*conf)(void);
	void (*pass)(usec_t by);
	void (*gone)(void);
	bool keeps;    /* over a restart */
	bool ceilings; /* low enough to be reached here */
} back_ends[] = {
    {"memory", conf_memory, wall_moves, gone_nothing, false, true},
    {"sqlite", conf_sqlite, wall_moves, gone_sqlite, true, true},
    {"valkey", conf_valkey, server_moves, gone_valkey, true, false},
};

static void opened(void)
{
	char why[512] = "";

	thread_play(THREAD_STORE);
	if (!store_open(&conf, &test_ops, why, sizeof why))
		fail_msg("%s", why);
}

static void closed(void)
{
	store_close();
	thread_play(THREAD_MAIN);
}

static void reopened(void)
{
	closed();
	opened();
}

/* The same test over all of them. */
static void over_all(void (*test)(const struct back_end *))
{
	for (size_t i = 0; i < ARRAY_LEN(back_ends); i++) {
		clock_set_virtual(1000 * USEC_PER_S, NOW);
		conf = (struct conf){.store_timeout = 5 * USEC_PER_S, .store_max_waiting = 100};
		if (!back_ends[i].conf()) {
			print_message("%s: left out\n", back_ends[i].name);
			continue;
		}
		opened();
		test(&back_ends[i]);
		closed();
		back_ends[i].gone();
	}
}

#define TEST(name)                                                                                                     \
	static void name##_of(const struct back_end *b);                                                               \
	static void name(void **state)                                                                                 \
	{                                                                                                              \
		(void)state;                                                                                           \
		over_all(name##_of);                                                                                   \
	}                                                                                                              \
	static void name##_of(UNUSED const struct back_end *b)

/* ---- records ---- */

TEST(test_put_get_del)
{
	assert_string_equal(got(RECORD_SESSION, "a"), "-");
	assert_int_equal(put(RECORD_SESSION, "a", "one"), STORE_OK);
	assert_string_equal(got(RECORD_SESSION, "a"), "one@1");
	assert_int_equal(put(RECORD_SESSION, "a", "a longer one"), STORE_OK);
	assert_string_equal(got(RECORD_SESSION, "a"), "a longer one@2");
	assert_int_equal(put(RECORD_SESSION, "a", ""), STORE_OK);
	assert_string_equal(got(RECORD_SESSION, "a"), "@3");
	assert_int_equal(del(RECORD_SESSION, "a"), STORE_OK);
	assert_string_equal(got(RECORD_SESSION, "a"), "-");
	assert_int_equal(del(RECORD_SESSION, "a"), STORE_OK);
	assert_int_equal(put(RECORD_SESSION, "a", "anew"), STORE_OK);
	assert_string_equal(got(RECORD_SESSION, "a"), "anew@1");
}

TEST(test_kinds_and_keys_are_apart)
{
	static const char *const keys[] = {"a",  "A",  "a:b", "aa", "';DROP", "*", "%",
					   "?1", "\\", "\"",  "~!", "a.b",    "_"};
	char value[32], want[40];

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		for (int k = 0; k < RECORD_KINDS; k++) {
			snprintf(value, sizeof value, "%zu/%d", i, k);
			assert_int_equal(put((enum record_kind)k, keys[i], value), STORE_OK);
		}
	assert_int_equal(del(RECORD_SESSION, "a"), STORE_OK);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		for (int k = 0; k < RECORD_KINDS; k++) {
			snprintf(want, sizeof want, "%zu/%d@1", i, k);
			assert_string_equal(got((enum record_kind)k, keys[i]), i || k != RECORD_SESSION ? want : "-");
		}
}

TEST(test_longest_key_and_any_bytes)
{
	static char key[STORE_KEY_MAX];
	struct buf in = buf_with_ceiling(STORE_VALUE_MAX);
	struct test_piece p;

	memset(key, 'k', sizeof key - 1);
	for (int i = 0; i < 1 << 20; i++)
		buf_addc(&in, (char)(i * 7));
	piece_begin(&p);
	piece_put(&p, RECORD_OPERATION, key, "")->value = buf_slice(&in);
	piece_item(&p, STORE_APPEND, RECORD_OPERATION, key)->number = 1;
	p.items[1].value = buf_slice(&in);
	piece_get(&p, RECORD_OPERATION, key);
	piece_events(&p, key, 0, 1);
	assert_int_equal(piece_run(&p), STORE_OK);
	assert_int_equal(p.items[2].out.n, in.n);
	assert_memory_equal(p.items[2].out.data, in.data, in.n);
	assert_int_equal(p.items[3].rows->n, in.n);
	assert_memory_equal(p.items[3].rows->value, in.data, in.n);
	piece_free(&p);
	buf_free(&in);
}

/* A reader with too little room is told, and the record stays. */
TEST(test_too_little_room)
{
	struct test_piece p;

	assert_int_equal(put(RECORD_SESSION, "a", "0123456789"), STORE_OK);
	piece_begin(&p);
	piece_put(&p, RECORD_SESSION, "b", "x");
	piece_get(&p, RECORD_SESSION, "a")->out = buf_with_ceiling(5);
	assert_int_equal(piece_run(&p), STORE_FULL);
	piece_free(&p);
	assert_string_equal(got(RECORD_SESSION, "a"), "0123456789@1");
	assert_string_equal(got(RECORD_SESSION, "b"), "-");
}

/* ---- checks, and all or nothing ---- */

TEST(test_check)
{
	static const struct {
		uint64_t version; /* that it has; 0: it is not there */
		uint64_t wanted;
		enum store_rc rc;
	} cases[] = {{0, 0, STORE_OK},    {0, 1, STORE_STALE}, {1, 1, STORE_OK},    {1, 0, STORE_STALE},
		     {1, 2, STORE_STALE}, {2, 2, STORE_OK},    {2, 1, STORE_STALE}, {2, UINT64_MAX, STORE_STALE}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct test_piece p;
		char key[16];

		snprintf(key, sizeof key, "k%zu", i);
		for (uint64_t v = 0; v < cases[i].version; v++)
			assert_int_equal(put(RECORD_OPERATION, key, "x"), STORE_OK);
		piece_begin(&p);
		piece_check(&p, RECORD_OPERATION, key, cases[i].wanted);
		piece_put(&p, RECORD_OPERATION, key, "y");
		assert_int_equal(piece_run(&p), cases[i].rc);
		if (cases[i].rc == STORE_OK)
			assert_int_equal(p.items[1].version, cases[i].version + 1);
		piece_free(&p);
	}
}

/* Writes before and after what does not fit: none of them has happened. */
static enum store_rc keep(const char *key, struct slice value, int64_t due_ms)
{
	struct test_piece p;
	struct store_item *item;
	enum store_rc rc;

	piece_begin(&p);
	item = piece_item(&p, STORE_KEEP, RECORD_OPERATION, key);
	item->value = value;
	item->ttl_ms = TTL;
	item->due_ms = due_ms;
	rc = piece_run(&p);
	piece_free(&p);
	return rc;
}

/* Whoever checked the version before still has it after. */
TEST(test_keep)
{
	struct test_piece p;

	assert_int_equal(keep("k", SLICE("x"), 0), STORE_STALE);
	assert_string_equal(got(RECORD_OPERATION, "k"), "-");
	assert_int_equal(put_due("k", TTL, 0), STORE_OK);
	assert_int_equal(append("k", 1, "one"), STORE_OK);
	assert_int_equal(keep("k", SLICE("y"), 60000), STORE_OK);
	assert_string_equal(got(RECORD_OPERATION, "k"), "y@1");
	assert_string_equal(due(RECORD_OPERATION, 10), "");
	assert_int_equal(keep("k", (struct slice){0}, 0), STORE_OK);
	assert_string_equal(got(RECORD_OPERATION, "k"), "y@1");
	assert_string_equal(due(RECORD_OPERATION, 10), "k:0");
	assert_int_equal(keep("k", (struct slice){0}, STORE_NO_DUE), STORE_OK);
	assert_string_equal(due(RECORD_OPERATION, 10), "");
	assert_string_equal(logged("k", 0, 10), "1:one");
	piece_begin(&p);
	piece_check(&p, RECORD_OPERATION, "k", 1);
	assert_int_equal(piece_run(&p), STORE_OK);
	piece_free(&p);
}

/* A piece that ends as stale has kept nothing. */
TEST(test_keep_is_undone)
{
	struct test_piece p;
	struct store_item *item;

	assert_int_equal(put(RECORD_OPERATION, "k", "x"), STORE_OK);
	assert_int_equal(append("k", 1, "one"), STORE_OK);
	piece_begin(&p);
	item = piece_item(&p, STORE_KEEP, RECORD_OPERATION, "k");
	item->value = SLICE("y");
	item->ttl_ms = TTL;
	piece_check(&p, RECORD_OPERATION, "k", 2);
	assert_int_equal(piece_run(&p), STORE_STALE);
	piece_free(&p);
	assert_string_equal(got(RECORD_OPERATION, "k"), "x@1");
	assert_string_equal(logged("k", 0, 10), "1:one");
}

TEST(test_all_or_nothing)
{
	struct test_piece p;

	assert_int_equal(put(RECORD_OPERATION, "old", "one"), STORE_OK);
	assert_int_equal(append("old", 1, "first"), STORE_OK);
	assert_int_equal(put(RECORD_SESSION, "gone", "still"), STORE_OK);
	for (int how = 0; how < 3; how++) {
		piece_begin(&p);
		piece_put(&p, RECORD_OPERATION, "new", "x");
		piece_append(&p, "new", 1, "x");
		piece_append(&p, "old", 2, "second");
		piece_put(&p, RECORD_OPERATION, "old", "two");
		piece_append(&p, "old", 3, "third");
		piece_put(&p, RECORD_OPERATION, "old", "three");
		piece_item(&p, STORE_DEL, RECORD_SESSION, "gone");
		piece_item(&p, STORE_DEL, RECORD_OPERATION, "old");
		piece_put(&p, RECORD_OPERATION, "old", "four");
		if (how == 0)
			piece_check(&p, RECORD_SESSION, "none", 7);
		else
			piece_append(&p, how == 1 ? "none" : "old", 4, "x");
		piece_put(&p, RECORD_SESSION, "after", "x");
		assert_int_equal(piece_run(&p), STORE_STALE);
		piece_free(&p);
		assert_string_equal(got(RECORD_OPERATION, "new"), "-");
		assert_string_equal(got(RECORD_OPERATION, "old"), "one@1");
		assert_string_equal(logged("old", 0, 10), "1:first");
		assert_string_equal(got(RECORD_SESSION, "gone"), "still@1");
		assert_string_equal(got(RECORD_SESSION, "after"), "-");
	}
	assert_int_equal(append("old", 2, "second"), STORE_OK);
}

/* Later items see what earlier ones did, and a GET of nothing does not end the piece. */
TEST(test_items_in_order)
{
	struct test_piece p;

	piece_begin(&p);
	piece_get(&p, RECORD_OPERATION, "a");
	piece_check(&p, RECORD_OPERATION, "a", 0);
	piece_put(&p, RECORD_OPERATION, "a", "one");
	piece_check(&p, RECORD_OPERATION, "a", 1);
	piece_append(&p, "a", 1, "e");
	piece_put(&p, RECORD_OPERATION, "a", "two");
	piece_get(&p, RECORD_OPERATION, "a");
	piece_events(&p, "a", 0, 10);
	piece_item(&p, STORE_DEL, RECORD_OPERATION, "a");
	piece_get(&p, RECORD_OPERATION, "a");
	piece_put(&p, RECORD_OPERATION, "a", "three");
	assert_int_equal(piece_run(&p), STORE_OK);
	assert_int_equal(p.items[0].rc, STORE_ABSENT);
	assert_int_equal(p.items[0].version, 0);
	assert_string_equal(buf_text(&p.items[6].out), "two");
	assert_int_equal(p.items[6].version, 2);
	assert_int_equal(p.items[6].due_ms, STORE_NO_DUE);
	assert_string_equal(p.items[7].rows->value, "e");
	assert_int_equal(p.items[9].rc, STORE_ABSENT);
	assert_int_equal(p.items[10].version, 1);
	piece_free(&p);
	assert_string_equal(got(RECORD_OPERATION, "a"), "three@1");
	assert_string_equal(logged("a", 0, 10), "");
}

/* One commit, and still each sees what those before it did, and none what a stale one would have done. */
TEST(test_batch_order)
{
	struct test_piece p[4];

	for (size_t i = 0; i < ARRAY_LEN(p); i++) {
		piece_begin(&p[i]);
		piece_check(&p[i], RECORD_OPERATION, "a", i == 3 ? 1 : i); /* the third is put by the first two */
		piece_put(&p[i], RECORD_OPERATION, "a", i == 2 ? "last" : "x");
		if (i == 1)
			piece_check(&p[i], RECORD_OPERATION, "a", 2);
		store_post(&p[i].work);
	}
	assert_int_equal(store_turn(), 4);
	assert_int_equal(p[0].work.rc, STORE_OK);
	assert_int_equal(p[1].work.rc, STORE_OK);
	assert_int_equal(p[2].work.rc, STORE_OK);
	assert_int_equal(p[3].work.rc, STORE_STALE);
	assert_string_equal(got(RECORD_OPERATION, "a"), "last@3");
	for (size_t i = 0; i < ARRAY_LEN(p); i++)
		piece_free(&p[i]);
}

/* ---- logs ---- */

TEST(test_log)
{
	char many[3];

	assert_int_equal(append("a", 1, "x"), STORE_STALE);
	assert_string_equal(logged("a", 0, 10), "");
	assert_int_equal(put(RECORD_OPERATION, "a", "v"), STORE_OK);
	assert_int_equal(append("a", 0 + 2, "x"), STORE_STALE);
	for (int i = 1; i <= 12; i++) {
		snprintf(many, sizeof many, "%d", i % 10);
		assert_int_equal(append("a", (uint64_t)i, many), STORE_OK);
	}
	assert_int_equal(append("a", 12, "again"), STORE_STALE);
	assert_int_equal(append("a", 14, "ahead"), STORE_STALE);
	assert_string_equal(logged("a", 9, 1000), "10:0 11:1 12:2");
	assert_string_equal(logged("a", 0, 2), "1:1 2:2");
	assert_string_equal(logged("a", 3, 2), "4:4 5:5");
	assert_string_equal(logged("a", 12, 5), "");
	assert_string_equal(logged("a", UINT64_MAX, 5), "");
	/* an event changes no version; a put keeps the log; a log is its own record's */
	assert_string_equal(got(RECORD_OPERATION, "a"), "v@1");
	assert_int_equal(put(RECORD_OPERATION, "a", "w"), STORE_OK);
	assert_int_equal(put(RECORD_OPERATION, "b", "w"), STORE_OK);
	assert_string_equal(logged("a", 11, 5), "12:2");
	assert_string_equal(logged("b", 0, 5), "");
	assert_int_equal(append("a", 13, ""), STORE_OK);
	assert_string_equal(logged("a", 12, 5), "13:");
	assert_int_equal(del(RECORD_OPERATION, "a"), STORE_OK);
	assert_string_equal(logged("a", 0, 5), "");
	assert_int_equal(put(RECORD_OPERATION, "a", "v"), STORE_OK);
	assert_string_equal(logged("a", 0, 5), "");
	assert_int_equal(append("a", 14, "x"), STORE_STALE);
	assert_int_equal(append("a", 1, "x"), STORE_OK);
}

/* ---- time ---- */

/* From its end on a record is as if deleted, swept or not, and its log with it. */
TEST(test_ttl)
{
	assert_int_equal(put_due("a", 10000, STORE_NO_DUE), STORE_OK);
	assert_int_equal(append("a", 1, "x"), STORE_OK);
	assert_int_equal(put_due("b", 20000, 5000), STORE_OK);
	assert_int_equal(put_due("c", 10000, 10000), STORE_OK);
	b->pass(9 * USEC_PER_S);
	assert_string_equal(got(RECORD_OPERATION, "a"), "a@1");
	assert_string_equal(due(RECORD_OPERATION, 10), "b:-4000");
	b->pass(2 * USEC_PER_S);
	assert_string_equal(got(RECORD_OPERATION, "a"), "-");
	assert_string_equal(logged("a", 0, 10), "");
	assert_int_equal(append("a", 2, "x"), STORE_STALE);
	assert_string_equal(due(RECORD_OPERATION, 10), "b:-6000");
	/* put again it lives again, from the beginning */
	assert_int_equal(put_due("a", 15000, STORE_NO_DUE), STORE_OK);
	assert_string_equal(got(RECORD_OPERATION, "a"), "a@1");
	assert_string_equal(logged("a", 0, 10), "");
	assert_int_equal(append("a", 1, "y"), STORE_OK);
	/* a put moves the end, either way */
	assert_int_equal(put_due("a", 100000, STORE_NO_DUE), STORE_OK);
	b->pass(50 * USEC_PER_S);
	assert_string_equal(got(RECORD_OPERATION, "a"), "a@2");
	assert_string_equal(logged("a", 0, 10), "1:y");
	assert_int_equal(put_due("a", 1, STORE_NO_DUE), STORE_OK);
	b->pass(10 * USEC_PER_MS);
	assert_string_equal(got(RECORD_OPERATION, "a"), "-");
	assert_int_equal(put_due("far", INT64_MAX, INT64_MAX), STORE_OK);
	assert_string_equal(got(RECORD_OPERATION, "far"), "far@1");
}

TEST(test_due)
{
	struct test_piece p;

	assert_string_equal(due(RECORD_OPERATION, 10), "");
	assert_int_equal(put_due("c", 1000000, 3000), STORE_OK);
	assert_int_equal(put_due("a", 1000000, 1000), STORE_OK);
	assert_int_equal(put_due("b", 1000000, 2000), STORE_OK);
	assert_int_equal(put_due("d", 1000000, STORE_NO_DUE), STORE_OK);
	assert_int_equal(put_due("e", 1000000, 60000), STORE_OK);
	assert_string_equal(due(RECORD_OPERATION, 10), "");
	b->pass(10 * USEC_PER_S);
	assert_string_equal(due(RECORD_OPERATION, 10), "a:-9000 b:-8000 c:-7000");
	assert_string_equal(due(RECORD_OPERATION, 2), "a:-9000 b:-8000");
	assert_string_equal(due(RECORD_SESSION, 10), "");
	/* a put moves it, or takes it away */
	assert_int_equal(put_due("a", 1000000, 0), STORE_OK);
	assert_int_equal(put_due("b", 1000000, STORE_NO_DUE), STORE_OK);
	b->pass(USEC_PER_S);
	assert_string_equal(due(RECORD_OPERATION, 10), "c:-8000 a:-1000");
	assert_int_equal(del(RECORD_OPERATION, "c"), STORE_OK);
	piece_begin(&p);
	piece_get(&p, RECORD_OPERATION, "e");
	piece_due(&p, RECORD_OPERATION, 1);
	assert_int_equal(piece_run(&p), STORE_OK);
	assert_int_equal(p.items[0].due_ms, 49000);
	assert_string_equal(p.items[1].rows->key, "a");
	assert_string_equal(p.items[1].rows->value, "a");
	assert_int_equal(p.items[1].rows->n, 1);
	assert_int_equal(p.items[1].rows->version, 2);
	piece_free(&p);
}

TEST(test_upkeep_removes_what_has_expired)
{
	char key[32];

	for (int i = 0; i < 3000; i++) {
		snprintf(key, sizeof key, "k%d", i);
		assert_int_equal(put_due(key, i % 2 ? 10000 : 1000000, i % 3 ? STORE_NO_DUE : 100), STORE_OK);
	}
	b->pass(100 * USEC_PER_S);
	for (int i = 0; i < 100; i++) {
		store_turn();
		b->pass(USEC_PER_S);
	}
	for (int i = 0; i < 3000; i++) {
		snprintf(key, sizeof key, "k%d", i);
		assert_true(strcmp(got(RECORD_OPERATION, key), "-") == 0 ? i % 2 : i % 2 == 0);
	}
}

/* ---- ceilings ---- */

/* What is full refuses what is new, keeps what it has, lets that be changed, and has room again where something goes.
 */
TEST(test_ceiling_of_bytes)
{
	static char large[1 << 20];
	enum store_rc rc = STORE_OK;
	struct test_piece p;
	char key[32];
	int n = 0;

	if (!b->ceilings)
		return;
	memset(large, 'x', sizeof large - 1);
	while (rc == STORE_OK && n < 400) {
		snprintf(key, sizeof key, "%d", n++);
		rc = put(RECORD_OPERATION, key, large);
	}
	assert_int_equal(rc, STORE_FULL);
	assert_string_equal(got(RECORD_OPERATION, key), "-");
	assert_int_equal(append("0", 1, large), STORE_FULL);
	piece_begin(&p);
	piece_put(&p, RECORD_OPERATION, "0", "y");
	piece_put(&p, RECORD_OPERATION, "new", large);
	piece_put(&p, RECORD_OPERATION, "newer", large);
	assert_int_equal(piece_run(&p), STORE_FULL);
	piece_free(&p);
	assert_int_equal(strncmp(got(RECORD_OPERATION, "0"), "xxx", 3), 0);
	assert_int_equal(put(RECORD_OPERATION, "0", "y"), STORE_OK);
	assert_int_equal(put(RECORD_OPERATION, "1", "y"), STORE_OK);
	assert_int_equal(put(RECORD_OPERATION, "new", large), STORE_OK);
	assert_int_equal(del(RECORD_OPERATION, "2"), STORE_OK);
	assert_int_equal(put(RECORD_OPERATION, key, "x"), STORE_OK);
}

/* One kind's records never take another's room. */
static void test_ceiling_of_records(void **state)
{
	char key[32];
	long n = 0;

	(void)state;
	conf = (struct conf){.store_timeout = USEC_PER_S, .store_max_waiting = 100, .store_kind = STORE_KIND_MEMORY};
	clock_set_virtual(1000 * USEC_PER_S, NOW);
	opened();
	do
		snprintf(key, sizeof key, "%ld", n++);
	while (put(RECORD_STREAM, key, "x") == STORE_OK && n < 1000000);
	assert_int_equal(n, 200001);
	assert_int_equal(put(RECORD_SESSION, "a", "x"), STORE_OK);
	assert_int_equal(put(RECORD_STREAM, "0", "x"), STORE_OK);
	assert_int_equal(del(RECORD_STREAM, "0"), STORE_OK);
	assert_int_equal(put(RECORD_STREAM, key, "x"), STORE_OK);
	closed();
}

/* ---- a restart ---- */

TEST(test_restart)
{
	assert_int_equal(put(RECORD_SESSION, "s", "v"), STORE_OK);
	assert_int_equal(put(RECORD_SESSION, "s", "w"), STORE_OK);
	assert_int_equal(put_due("o", 100000, 1000), STORE_OK);
	assert_int_equal(append("o", 1, "x"), STORE_OK);
	assert_int_equal(append("o", 2, "y"), STORE_OK);
	assert_int_equal(put_due("short", 2000, 1000), STORE_OK);
	reopened();
	b->pass(3 * USEC_PER_S);
	assert_string_equal(got(RECORD_SESSION, "s"), b->keeps ? "w@2" : "-");
	assert_string_equal(due(RECORD_OPERATION, 10), b->keeps ? "o:-2000" : "");
	assert_string_equal(logged("o", 0, 9), b->keeps ? "1:x 2:y" : "");
	assert_string_equal(got(RECORD_OPERATION, "short"), "-");
	if (b->keeps)
		assert_int_equal(append("o", 3, "z"), STORE_OK);
}

/* ---- any sequence: what one back end does, all do ---- */

static uint32_t random_state;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (random_state >> 8) % n;
}

static void random_item(struct test_piece *p)
{
	enum record_kind kind = (enum record_kind)random_below(3);
	struct store_item *item;
	char key[8], value[16];

	snprintf(key, sizeof key, "k%u", random_below(5));
	snprintf(value, sizeof value, "v%u", random_below(1000));
	switch (random_below(10)) {
	case 0:
		piece_get(p, kind, key);
		break;
	case 1:
		piece_check(p, kind, key, random_below(4));
		break;
	case 2:
		piece_item(p, STORE_DEL, kind, key);
		break;
	case 3:
	case 4:
		item = piece_item(p, STORE_APPEND, kind, key);
		item->number = 1 + random_below(4);
		item->value = SLICE("event");
		break;
	case 5:
		item = piece_item(p, STORE_EVENTS, kind, key);
		item->number = random_below(3);
		item->most = 1 + random_below(4);
		break;
	default:
		item = piece_put(p, kind, key, "value");
		if (random_below(3) == 0) {
			item->verb = STORE_KEEP;
			item->value = random_below(2) ? SLICE("kept") : (struct slice){0};
		}
		item->ttl_ms = 1000 * (1 + random_below(30));
		item->due_ms = random_below(2) ? 1000 * random_below(20) : STORE_NO_DUE;
	}
}

/* The result of a piece as text, added to the trace. */
static void trace_add(struct buf *trace, const struct test_piece *p)
{
	buf_addf(trace, "%d", p->work.rc);
	for (size_t i = 0; i < p->work.n && p->work.rc == STORE_OK; i++) {
		const struct store_item *item = &p->items[i];

		if (item->verb == STORE_GET)
			buf_addf(trace, " get %d %d %d %s", item->rc, (int)item->version, (int)item->due_ms,
				 buf_text(&item->out));
		if (item->verb == STORE_PUT)
			buf_addf(trace, " put %d", (int)item->version);
		for (const struct store_row *row = item->rows; row; row = row->next)
			buf_addf(trace, " row %s %d %d %s", row->key, (int)row->version, (int)row->due_ms, row->value);
	}
	buf_addc(trace, '\n');
}

enum { SEQUENCES = 20, SEQUENCE = 150 };
static struct buf first_trace;

TEST(test_any_sequence)
{
	struct buf trace = buf_with_ceiling((size_t)16 << 20);

	for (uint32_t seed = 1; seed <= SEQUENCES; seed++) {
		random_state = seed;
		for (int i = 0; i < SEQUENCE; i++) {
			struct test_piece p;

			piece_begin(&p);
			for (uint32_t n = 1 + random_below(5); n; n--)
				random_item(&p);
			if (random_below(4) == 0)
				piece_due(&p, (enum record_kind)random_below(3), 1 + random_below(4));
			piece_run(&p);
			trace_add(&trace, &p);
			piece_free(&p);
			if (random_below(10) == 0)
				b->pass(USEC_PER_S * random_below(9));
		}
		b->pass(100 * USEC_PER_S); /* all is over */
	}
	assert_false(buf_failed(&trace));
	if (!first_trace.n)
		first_trace = trace;
	else {
		assert_string_equal(buf_text(&trace), buf_text(&first_trace));
		buf_free(&trace);
	}
}

/* ---- the batch ---- */

static char order[64];

struct numbered {
	struct test_piece piece;
	char number;
	bool again;
};

static void note(char c)
{
	size_t n = strlen(order);

	assert_true(n + 1 < sizeof order);
	order[n] = c;
	order[n + 1] = '\0';
}

static void numbered_done(struct store_work *w)
{
	struct numbered *n = container_of(w, struct numbered, piece.work);

	assert_int_equal(thread_self(), THREAD_STORE);
	note(n->number);
	if (n->again) {
		n->again = false;
		store_post(w);
	}
}

static void numbered_begin(struct numbered *n, char number)
{
	n->number = number;
	n->again = false;
	piece_begin(&n->piece);
	piece_put(&n->piece, RECORD_SESSION, "k", "v");
	n->piece.work.done = numbered_done;
}

/* In the order in which they came, whoever posted them; what done() posts belongs to the next turn. */
TEST(test_done_in_order)
{
	static struct numbered n[5];

	order[0] = '\0';
	for (int i = 0; i < 5; i++)
		numbered_begin(&n[i], (char)('a' + i));
	n[1].again = true;
	thread_play(THREAD_NET);
	store_post(&n[0].piece.work);
	thread_play(THREAD_SNOWFLAKE);
	store_post(&n[1].piece.work);
	store_post(&n[2].piece.work);
	assert_string_equal(order, "");
	thread_play(THREAD_STORE);
	assert_int_equal(store_turn(), 3);
	assert_string_equal(order, "abc");
	store_post(&n[3].piece.work);
	assert_int_equal(store_turn(), 2);
	assert_string_equal(order, "abcbd");
	assert_int_equal(store_turn(), 0);
	assert_string_equal(got(RECORD_SESSION, "k"), "v@5");
}

/* More pieces than may wait, and pieces that have waited too long: each is told, and none of them has happened. */
TEST(test_full_and_late)
{
	enum { MANY = 120 };
	static struct test_piece p[MANY];
	char key[16];
	int full = 0;

	for (int i = 0; i < MANY; i++) {
		snprintf(key, sizeof key, "k%d", i);
		piece_begin(&p[i]);
		piece_put(&p[i], RECORD_SESSION, key, "v");
		store_post(&p[i].work);
	}
	assert_int_equal(store_turn(), MANY);
	for (int i = 0; i < MANY; i++) {
		assert_true(p[i].done);
		full += p[i].work.rc == STORE_FULL;
		assert_string_equal(got(RECORD_SESSION, p[i].keys[0]), p[i].work.rc == STORE_OK ? "v@1" : "-");
	}
	assert_int_equal(full, MANY - 100);
	store_post(&p[0].work);
	clock_advance(6 * USEC_PER_S);
	store_post(&p[1].work);
	assert_int_equal(store_turn(), 2);
	assert_int_equal(p[0].work.rc, STORE_DOWN);
	assert_int_equal(p[1].work.rc, STORE_OK);
	assert_string_equal(got(RECORD_SESSION, "k0"), "v@1");
	assert_string_equal(got(RECORD_SESSION, "k1"), "v@2");
	assert_int_equal(put(RECORD_SESSION, "k0", "v"), STORE_OK);
}

/* ---- the thread ---- */

static void moved_on(struct mail *m)
{
	(void)m;
	note('!');
}

static struct mail home = {.deliver = moved_on};

static void thread_done(struct store_work *w)
{
	struct numbered *n = container_of(w, struct numbered, piece.work);

	note(n->number);
	if (n->again) {
		n->again = false;
		store_post(w);
		return;
	}
	mail_post(THREAD_NET, &home);
}

/* The thread works on what its own callbacks post without being asked again, and finishes before it stops. */
TEST(test_thread)
{
	static struct numbered n[2];
	char why[512];

	closed();
	order[0] = '\0';
	assert_true(store_start(&conf, &test_ops, why, sizeof why));
	assert_int_equal(store_shared(), conf.store_kind == STORE_KIND_VALKEY);
	thread_play(THREAD_NET);
	numbered_begin(&n[0], 'a');
	n[0].again = true;
	n[0].piece.work.done = thread_done;
	store_post(&n[0].piece.work);
	assert_int_equal(mail_wait(THREAD_NET, 5 * USEC_PER_S), 1);
	assert_string_equal(order, "aa!");
	numbered_begin(&n[1], 'b');
	n[1].piece.work.done = thread_done;
	store_post(&n[1].piece.work);
	thread_play(THREAD_MAIN);
	store_stop();
	assert_string_equal(order, "aa!b");
	thread_play(THREAD_NET);
	mail_deliver(THREAD_NET);
	opened();
}

static int end(void **state)
{
	(void)state;
	buf_free(&first_trace);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_put_get_del),
	    cmocka_unit_test(test_kinds_and_keys_are_apart),
	    cmocka_unit_test(test_longest_key_and_any_bytes),
	    cmocka_unit_test(test_too_little_room),
	    cmocka_unit_test(test_check),
	    cmocka_unit_test(test_keep),
	    cmocka_unit_test(test_keep_is_undone),
	    cmocka_unit_test(test_all_or_nothing),
	    cmocka_unit_test(test_items_in_order),
	    cmocka_unit_test(test_batch_order),
	    cmocka_unit_test(test_log),
	    cmocka_unit_test(test_ttl),
	    cmocka_unit_test(test_due),
	    cmocka_unit_test(test_upkeep_removes_what_has_expired),
	    cmocka_unit_test(test_ceiling_of_bytes),
	    cmocka_unit_test(test_ceiling_of_records),
	    cmocka_unit_test(test_restart),
	    cmocka_unit_test(test_any_sequence),
	    cmocka_unit_test(test_done_in_order),
	    cmocka_unit_test(test_full_and_late),
	    cmocka_unit_test(test_thread),
	};

	return cmocka_run_group_tests(tests, NULL, end);
}
