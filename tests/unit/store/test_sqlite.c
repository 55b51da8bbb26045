/* The SQLite store where things go wrong: kill, power, disk, a second process, another version, other people's eyes. */
#include "pieces.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fault_vfs.h"
#include "snowgate/log.h"

#define NOW (1700000000 * USEC_PER_S)

static struct conf conf;
static char folder[64], path[128], copy[128], backup[128];

/* ---- a folder of its own for each test ---- */

static void name_of(char out[160], const char *base, const char *end)
{
	snprintf(out, 160, "%s%s", base, end);
}

static int begin(void **state)
{
	(void)state;
	snprintf(folder, sizeof folder, "%s/snowgate-sqlite-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/s.db", folder);
	snprintf(copy, sizeof copy, "%s/copy.db", folder);
	snprintf(backup, sizeof backup, "%s/backup.db", folder);
	conf = (struct conf){.store_path = path,
			     .store_backup_path = "",
			     .store_max_bytes = (int64_t)64 << 20,
			     .store_timeout = 5 * USEC_PER_S,
			     .store_max_waiting = 10000};
	memset(&health, 0, sizeof health);
	clock_set_virtual(1000 * USEC_PER_S, NOW);
	return 0;
}

static int end(void **state)
{
	static const char *const ends[] = {"", "-wal", "-shm", ".lock", ".tmp"};
	const char *const bases[] = {path, copy, backup};
	char name[160];

	(void)state;
	fault_reset();
	for (size_t b = 0; b < ARRAY_LEN(bases); b++)
		for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
			name_of(name, bases[b], ends[i]);
			unlink(name);
		}
	return rmdir(folder);
}

static char why[600];

static bool may_open(const char *at)
{
	bool good;

	conf.store_path = at;
	thread_play(THREAD_STORE);
	why[0] = '\0';
	good = store_open(&conf, &test_ops, why, sizeof why);
	if (!good)
		thread_play(THREAD_MAIN);
	return good;
}

static void opened(const char *at)
{
	if (!may_open(at))
		fail_msg("%s", why);
}

static void closed(void)
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

/* What SQLite itself says of the file, on a connection of its own, while no store has it. */
static void assert_sound(const char *at)
{
	sqlite3 *db;
	sqlite3_stmt *stmt;

	assert_int_equal(sqlite3_open(at, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_string_equal(sqlite3_column_text(stmt, 0), "ok");
	sqlite3_finalize(stmt);
	assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA foreign_key_check", -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_DONE);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
}

/* ---- pieces whose halves must never be found alone ---- */

/* Piece n: a record, an event of its log, and a record of another kind. */
static void pair_begin(struct test_piece *p, int n)
{
	static char values[64][3000];
	char *value = values[n % 64], key[16];

	snprintf(key, sizeof key, "p%d", n);
	memset(value, 'v', sizeof values[0] - 1);
	snprintf(value, sizeof values[0], "value %d ", n);
	value[strlen(value)] = '.';
	piece_begin(p);
	piece_put(p, RECORD_OPERATION, key, value);
	piece_append(p, key, 1, value);
	piece_put(p, RECORD_STREAM, key, key);
	for (int i = 0; i < 3; i += 2)
		p->items[i].ttl_ms = 10 * TTL;
}

/* Is piece n there, and then all of it? */
static bool pair_there(int n)
{
	char key[16], value[32];
	bool there;

	snprintf(key, sizeof key, "p%d", n);
	snprintf(value, sizeof value, "value %d .", n);
	there = strcmp(got(RECORD_STREAM, key), "-") != 0;
	if (there) {
		assert_int_equal(strncmp(got(RECORD_OPERATION, key), value, strlen(value)), 0);
		assert_int_equal(strncmp(logged(key, 0, 9), "1:value", 7), 0);
	} else {
		assert_string_equal(got(RECORD_OPERATION, key), "-");
		assert_string_equal(logged(key, 0, 9), "");
	}
	return there;
}

/* ---- kill ---- */

/* Writes the number of each piece that is done, until it is killed. */
static void child_run(int out)
{
	enum { BATCH = 5 };
	static struct test_piece p[BATCH];

	clock_set_virtual(1000 * USEC_PER_S, NOW);
	if (!may_open(path))
		_exit(1);
	for (int n = 0;; n += BATCH) {
		for (int i = 0; i < BATCH; i++) {
			pair_begin(&p[i], n + i);
			store_post(&p[i].work);
		}
		turns(1, 10 * USEC_PER_MS);
		for (int i = 0; i < BATCH; i++) {
			int number = n + i;

			if (p[i].work.rc != STORE_OK || write(out, &number, sizeof number) != sizeof number)
				_exit(2);
			piece_free(&p[i]);
		}
	}
}

/* The child is killed at any moment after `wait`; returns how many pieces it had been told are stored. */
static int child_killed(long wait_usec)
{
	const struct timespec wait = {0, wait_usec * 1000};
	int pipes[2], number, count = 0, status;
	pid_t child;

	assert_int_equal(pipe(pipes), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		child_run(pipes[1]);
	close(pipes[1]);
	assert_int_equal(read(pipes[0], &number, sizeof number), sizeof number);
	nanosleep(&wait, NULL);
	kill(child, SIGKILL);
	while (read(pipes[0], &number, sizeof number) == sizeof number)
		assert_int_equal(number, ++count);
	close(pipes[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	return count + 1;
}

static void test_kill(void **state)
{
	(void)state;
	for (int round = 0; round < 12; round++) {
		int acknowledged = child_killed(500 + round * 1700), beyond = 0;

		opened(path);
		for (int n = 0; n < acknowledged; n++)
			assert_true(pair_there(n));
		while (pair_there(acknowledged + beyond))
			beyond++;
		assert_true(beyond <= 10); /* a batch, and what the pipe had not taken */
		closed();
		assert_sound(path);
		end(NULL);
		begin(NULL);
	}
}

/* ---- faults, each at every place ---- */

enum { BATCHES = 5, PIECES = 3, ALL = BATCHES * PIECES, LAST = 3 };
static enum store_rc answers[ALL];

/* Some batches with what upkeep does between them. */
static void workload(void)
{
	static struct test_piece p[PIECES];

	for (int b = 0; b < BATCHES; b++) {
		for (int i = 0; i < PIECES; i++) {
			pair_begin(&p[i], b * PIECES + i);
			store_post(&p[i].work);
		}
		store_turn();
		for (int i = 0; i < PIECES; i++) {
			answers[b * PIECES + i] = p[i].work.rc;
			assert_true(p[i].done);
			piece_free(&p[i]);
		}
		turns(2, 3 * USEC_PER_S);
	}
}

static void assert_acknowledged(void)
{
	for (int n = 0; n < ALL; n++) {
		bool there = pair_there(n);

		assert_true(there || answers[n] != STORE_OK);
		assert_true(!there || answers[n] != STORE_FULL);
		assert_true(answers[n] == STORE_OK || answers[n] == STORE_DOWN || answers[n] == STORE_FULL);
	}
}

static void files_gone(const char *base)
{
	static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
	char name[160];

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		name_of(name, base, ends[i]);
		unlink(name);
	}
}

/* The fault at the n-th place. False: there is no n-th. `cut`: and then the power fails, or else the process is
 * killed. */
static bool fault_at(enum fault fault, int n, bool stays, bool cut, bool ballast)
{
	static char large[STORE_VALUE_MAX];
	struct test_piece p;
	bool fired;

	memset(&health, 0, sizeof health);
	opened(path);
	assert_int_equal(put_due("old", 10 * TTL, STORE_NO_DUE), STORE_OK);
	assert_int_equal(put_due("expires", 4000, STORE_NO_DUE), STORE_OK);
	if (ballast) { /* so much that the log goes into the file at the first upkeep */
		memset(large, 'x', sizeof large - 1);
		assert_int_equal(put(RECORD_HANDLE, "one", large), STORE_OK);
		assert_int_equal(put(RECORD_HANDLE, "two", large), STORE_OK);
	}
	fault_arm(fault, n, stays);
	workload();
	fired = fault_fired();
	/* as a process that is started now would find it */
	assert_true(fault_copy(path, copy, cut, (uint32_t)n));
	fault_disarm();
	/* the same store goes on when the fault is over */
	turns(1, 2 * USEC_PER_S);
	assert_int_equal(health.n % 2, 0);
	assert_true(health.n == 0 || health.ready);
	assert_acknowledged();
	pair_begin(&p, 1000);
	assert_int_equal(piece_run(&p), STORE_OK);
	piece_free(&p);
	closed();
	assert_sound(path);
	opened(path);
	assert_acknowledged();
	assert_true(pair_there(1000));
	assert_string_equal(got(RECORD_OPERATION, "old"), "old@1");
	closed();
	opened(copy);
	assert_acknowledged();
	assert_string_equal(got(RECORD_OPERATION, "old"), "old@1");
	closed();
	assert_sound(copy);
	files_gone(path);
	files_gone(copy);
	return fired;
}

static void everywhere(enum fault fault)
{
	int all = 0;

	for (int how = 0; how < 4; how++) {
		bool ballast = how & 2;
		int n = 1, step = ballast && fault != FAULT_SYNC ? 401 : 1;

		/* kill and power failure in turns, so that each place has both, one with a fault that stays */
		for (; fault_at(fault, n, how & 1, (n ^ how) & 1, ballast) && n < 10000; n += step)
			all++;
		assert_true(n > 5 && n < 10000);
	}
	print_message("%d faults\n", all);
}

static void test_failed_write(void **state)
{
	(void)state;
	everywhere(FAULT_WRITE);
}

static void test_torn_write(void **state)
{
	(void)state;
	everywhere(FAULT_TORN);
}

static void test_no_room(void **state)
{
	(void)state;
	everywhere(FAULT_FULL);
}

static void test_failed_fsync(void **state)
{
	(void)state;
	everywhere(FAULT_SYNC);
}

/* While nothing can be written, what is there can be read, and the store says that it is not well; once each way. */
static void test_full_disk_reads(void **state)
{
	struct test_piece p[2];

	(void)state;
	opened(path);
	assert_int_equal(put(RECORD_SESSION, "s", "v"), STORE_OK);
	fault_arm(FAULT_FULL, 1, true);
	for (int round = 0; round < 3; round++) {
		piece_begin(&p[0]);
		piece_put(&p[0], RECORD_SESSION, "new", "x");
		piece_begin(&p[1]);
		piece_get(&p[1], RECORD_SESSION, "s");
		store_post(&p[0].work);
		store_post(&p[1].work);
		turns(1, 2 * USEC_PER_S);
		assert_int_equal(p[0].work.rc, STORE_FULL);
		assert_int_equal(p[1].work.rc, STORE_OK);
		assert_string_equal(buf_text(&p[1].items[0].out), "v");
		piece_free(&p[0]);
		piece_free(&p[1]);
		assert_int_equal(health.n, 1);
		assert_false(health.ready);
		assert_non_null(strstr(health.why, "full"));
	}
	fault_disarm();
	turns(2, 2 * USEC_PER_S); /* nobody asks for anything */
	assert_int_equal(health.n, 2);
	assert_true(health.ready);
	assert_string_equal(got(RECORD_SESSION, "new"), "-");
	assert_int_equal(put(RECORD_SESSION, "new", "x"), STORE_OK);
	closed();
}

/* ---- who may have it ---- */

static void test_second_process(void **state)
{
	pid_t child;
	int status;

	(void)state;
	opened(path);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		bool told = !may_open(path) && strstr(why, path) && strstr(why, "in use") &&
			    strstr(why, "store.path") && strstr(why, "store.kind: valkey");

		_exit(told ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(put(RECORD_SESSION, "a", "x"), STORE_OK);
	closed();
	opened(path); /* its lock is gone with it */
	assert_string_equal(got(RECORD_SESSION, "a"), "x@1");
	closed();
}

static void raw_run(const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static int64_t raw_number(const char *at, const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *stmt;
	int64_t number;

	assert_int_equal(sqlite3_open_v2(at, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	number = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return number;
}

static void assert_refused(const char *reason)
{
	assert_false(may_open(path));
	assert_non_null(strstr(why, path));
	if (!strstr(why, reason))
		fail_msg("%s", why);
}

static void test_other_versions(void **state)
{
	(void)state;
	opened(path);
	assert_int_equal(put(RECORD_SESSION, "a", "x"), STORE_OK);
	closed();
	raw_run("PRAGMA user_version=3; UPDATE meta SET value = 3 WHERE name = 'reader'");
	assert_refused("newer snowgate");
	raw_run("DROP TABLE meta"); /* nobody says that it may be read */
	assert_refused("newer snowgate");
	raw_run("PRAGMA user_version=1");
	opened(path); /* an older one: brought up to date */
	assert_string_equal(got(RECORD_SESSION, "a"), "x@1");
	closed();
	assert_int_equal(raw_number(path, "PRAGMA user_version"), 2);
	files_gone(path);
	raw_run("CREATE TABLE t(x)");
	assert_int_equal(chmod(path, 0600), 0);
	assert_refused("another program");
}

/* A newer program has added a table and a column, and says that older ones may go on. */
static void test_a_newer_schema_is_used_and_left_as_it_is(void **state)
{
	(void)state;
	opened(path);
	assert_int_equal(put(RECORD_SESSION, "a", "x"), STORE_OK);
	closed();
	raw_run("ALTER TABLE record ADD COLUMN colour TEXT DEFAULT 'red'; CREATE TABLE future(x); INSERT INTO future "
		"VALUES(7); UPDATE record SET colour = 'blue'; PRAGMA user_version=3");
	opened(path);
	assert_string_equal(got(RECORD_SESSION, "a"), "x@1");
	assert_int_equal(put(RECORD_SESSION, "a", "y"), STORE_OK);
	assert_int_equal(put(RECORD_SESSION, "b", "z"), STORE_OK);
	closed();
	opened(path);
	assert_string_equal(got(RECORD_SESSION, "a"), "y@2");
	assert_string_equal(got(RECORD_SESSION, "b"), "z@1");
	closed();
	assert_int_equal(raw_number(path, "PRAGMA user_version"), 3);
	assert_int_equal(raw_number(path, "SELECT x FROM future"), 7);
	assert_int_equal(raw_number(path, "SELECT count(*) FROM record WHERE key = 'a' AND colour = 'blue'"), 1);
	assert_sound(path);
}

static void test_no_database(void **state)
{
	int fd;

	(void)state;
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	for (int i = 0; i < 500; i++)
		assert_int_equal(write(fd, "no database, this ", 18), 18);
	close(fd);
	assert_refused("not a database");
}

static void assert_mode(const char *base, const char *ending, mode_t mode)
{
	char name[160];
	struct stat st;

	name_of(name, base, ending);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_mode & 0777, mode);
}

static void test_permissions(void **state)
{
	char below[128], deep[160];
	mode_t before = umask(0);

	(void)state;
	opened(path);
	assert_int_equal(put(RECORD_SESSION, "a", "x"), STORE_OK);
	assert_mode(path, "", 0600);
	assert_mode(path, "-wal", 0600);
	assert_mode(path, "-shm", 0600);
	assert_mode(path, ".lock", 0600);
	closed();
	assert_int_equal(chmod(path, 0640), 0);
	assert_refused("chmod 600");
	/* a folder is made where its own is there */
	snprintf(below, sizeof below, "%s/made", folder);
	snprintf(deep, sizeof deep, "%s/s.db", below);
	opened(deep);
	closed();
	assert_mode(below, "", 0700);
	files_gone(deep);
	assert_int_equal(rmdir(below), 0);
	snprintf(deep, sizeof deep, "%s/not/made/s.db", folder);
	assert_false(may_open(deep));
	assert_non_null(strstr(why, "/not/made"));
	umask(before);
}

/* ---- upkeep ---- */

/* Rows go, their logs too, and the file becomes smaller again. */
static void test_expiry(void **state)
{
	enum { N = 2500 };
	static char value[4000];
	char key[16];
	int64_t before;

	(void)state;
	memset(value, 'x', sizeof value - 1);
	opened(path);
	for (int i = 0; i < N; i++) {
		struct test_piece p;

		snprintf(key, sizeof key, "k%d", i);
		piece_begin(&p);
		piece_put(&p, RECORD_OPERATION, key, value)->ttl_ms = i % 10 ? 5000 : 1000000;
		piece_append(&p, key, 1, "event");
		assert_int_equal(piece_run(&p), STORE_OK);
		piece_free(&p);
	}
	before = raw_number(path, "PRAGMA page_count");
	turns(300, 100 * USEC_PER_MS);
	assert_int_equal(raw_number(path, "SELECT count(*) FROM record"), N / 10);
	assert_int_equal(raw_number(path, "SELECT count(*) FROM event"), N / 10);
	assert_true(raw_number(path, "PRAGMA page_count") < before / 2);
	assert_int_equal(health.n, 0);
	closed();
	assert_sound(path);
}

/* The log goes into the file while commits go on. */
static void test_log_does_not_grow(void **state)
{
	static char value[100000];
	char name[160];
	struct stat st;

	(void)state;
	memset(value, 'x', sizeof value - 1);
	opened(path);
	for (int i = 0; i < 600; i++) {
		assert_int_equal(put(RECORD_SESSION, "a", value), STORE_OK);
		clock_advance(10 * USEC_PER_MS);
	}
	name_of(name, path, "-wal");
	assert_int_equal(stat(name, &st), 0);
	assert_true(st.st_size < 20 << 20);
	closed();
}

/* Many steps, with commits between them: what was committed before it began is in it, and the whole is sound. */
static void test_backup(void **state)
{
	enum { N = 800, KILOBYTES = 8 };
	static char value[KILOBYTES << 10];
	char key[16];
	int during = 0;

	(void)state;
	memset(value, 'x', sizeof value - 1);
	opened(path);
	for (int i = 0; i < N; i++) {
		snprintf(key, sizeof key, "k%d", i);
		assert_int_equal(put(RECORD_SESSION, key, value), STORE_OK);
	}
	closed();
	conf.store_backup_path = backup;
	conf.store_backup_every = 3600 * USEC_PER_S;
	opened(path);
	for (; during < 1000 && access(backup, F_OK) != 0; during++) {
		snprintf(key, sizeof key, "k%d", during % N);
		assert_int_equal(put(RECORD_SESSION, key, "changed"), STORE_OK);
		turns(1, 2 * USEC_PER_MS);
	}
	assert_true(during > 4 && during < N);
	assert_mode(backup, "", 0600);
	assert_int_equal(put(RECORD_SESSION, "k799", "after"), STORE_OK);
	turns(5, 60 * USEC_PER_S); /* no other one is due yet */
	closed();
	assert_sound(backup);
	conf.store_backup_every = 0;
	opened(backup); /* as if it were restored */
	for (int i = 0; i < N; i++) {
		const char *text;

		snprintf(key, sizeof key, "k%d", i);
		text = got(RECORD_SESSION, key);
		assert_true(*text == 'x' || (i < during && strcmp(text, "changed@2") == 0));
	}
	closed();
}

/* ---- the check of a file that was not closed ---- */

static void checked(void)
{
	const struct timespec moment = {0, 2 * 1000 * 1000};

	for (int i = 0; i < 1000 && health.n == 0; i++) {
		turns(1, USEC_PER_S);
		nanosleep(&moment, NULL);
		if (i == 100)
			break;
	}
}

static void left_unclean(void)
{
	char name[160];
	int fd;

	name_of(name, path, ".lock");
	fd = open(name, O_WRONLY);
	assert_int_equal(write(fd, "open\n", 5), 5);
	close(fd);
}

/* What is damaged serves on, and says so. */
static void test_damage_is_found(void **state)
{
	static char zeros[4096];
	int64_t page;
	int fd;

	(void)state;
	opened(path);
	for (int i = 0; i < 500; i++) {
		char key[16];

		snprintf(key, sizeof key, "k%d", i);
		assert_int_equal(put(RECORD_SESSION, key, key), STORE_OK);
	}
	closed();
	left_unclean();
	opened(path);
	checked();
	assert_int_equal(health.n, 0); /* it was fine */
	closed();
	page = raw_number(path, "SELECT rootpage FROM sqlite_schema WHERE name = 'record_expires'");
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, zeros, sizeof zeros, (page - 1) * 4096), sizeof zeros);
	close(fd);
	left_unclean();
	opened(path);
	assert_string_equal(got(RECORD_SESSION, "k1"), "k1@1");
	assert_int_equal(health.n, 0); /* after the first answers */
	checked();
	assert_int_equal(health.n, 1);
	assert_false(health.ready);
	assert_string_equal(got(RECORD_SESSION, "k1"), "k1@1");
	closed();
}

/* A damaged page takes down the pieces that need it, and nobody else's of the same batch. */
static void test_damage_is_apart(void **state)
{
	static char large[STORE_VALUE_MAX / 5], junk[4096];
	struct test_piece p[3];
	int fd;

	(void)state;
	memset(large, 'x', sizeof large - 1);
	memset(junk, 0xee, sizeof junk);
	opened(path);
	assert_int_equal(put(RECORD_SESSION, "good", "v"), STORE_OK);
	assert_int_equal(put(RECORD_SESSION, "bad", large), STORE_OK);
	closed();
	fd = open(path, O_RDWR); /* a page in the chain of the large value */
	assert_int_equal(pwrite(fd, junk, sizeof junk, 100 * 4096), sizeof junk);
	close(fd);
	opened(path);
	for (int i = 0; i < 3; i++) {
		piece_begin(&p[i]);
		if (i != 1)
			piece_put(&p[i], RECORD_OPERATION, i ? "two" : "one", "x");
		piece_get(&p[i], RECORD_SESSION, i == 1 ? "bad" : "good");
		store_post(&p[i].work);
	}
	store_turn();
	assert_int_equal(p[0].work.rc, STORE_OK);
	assert_int_equal(p[1].work.rc, STORE_DOWN);
	assert_int_equal(p[2].work.rc, STORE_OK);
	for (int i = 0; i < 3; i++)
		piece_free(&p[i]);
	assert_string_equal(got(RECORD_OPERATION, "one"), "x@1");
	assert_string_equal(got(RECORD_OPERATION, "two"), "x@1");
	turns(5, USEC_PER_S);
	assert_int_equal(health.n, 1);
	assert_false(health.ready);
	assert_non_null(strstr(health.why, "restore a backup"));
	closed();
}

static void sql_done(const char *text)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Rows that nothing of ours has written: keys that are none do not come out, a version that is none is no record, and a
 * due that no clock has is passed or not, but none only where there is none. */
static void test_foreign_rows(void **state)
{
	static const char *const keys[] = {"a", "b", "c", "d", "e"};
	struct test_piece p;
	struct store_item *item;

	(void)state;
	opened(path);
	assert_int_equal(put(RECORD_SESSION, "zero", "x"), STORE_OK);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		assert_int_equal(put_due(keys[i], TTL, 0), STORE_OK);
	closed();
	sql_done("UPDATE record SET version = 0 WHERE key = 'zero';"
		 "UPDATE record SET key = 'b c', due = -1 WHERE key = 'b';"
		 "UPDATE record SET key = '', due = -1 WHERE key = 'c';"
		 "UPDATE record SET due = -9223372036854775807 - 1 WHERE key = 'd';"
		 "UPDATE record SET due = due - 1 WHERE key = 'e'");
	opened(path);
	assert_string_equal(got(RECORD_SESSION, "zero"), "-");
	assert_int_equal(put(RECORD_SESSION, "zero", "y"), STORE_OK);
	assert_string_equal(got(RECORD_SESSION, "zero"), "y@1");
	piece_begin(&p);
	p.work.group = NULL;
	item = piece_due(&p, RECORD_OPERATION, 10);
	assert_int_equal(piece_run(&p), STORE_OK);
	assert_string_equal(item->rows->key, "d");
	assert_true(item->rows->due_ms == INT64_MIN);
	assert_string_equal(item->rows->next->key, "e");
	assert_true(item->rows->next->due_ms < STORE_NO_DUE);
	assert_string_equal(item->rows->next->next->key, "a");
	assert_null(item->rows->next->next->next);
	piece_free(&p);
	closed();
}

/* A row that breaks the rules of the schema is damage: its piece fails, the others of the batch do not. */
static void test_foreign_event(void **state)
{
	struct test_piece p[3];

	(void)state;
	opened(path);
	assert_int_equal(put(RECORD_OPERATION, "op", "x"), STORE_OK);
	assert_int_equal(append("op", 1, "one"), STORE_OK);
	closed();
	sql_done("INSERT INTO event SELECT id, 'last', 'x' FROM record WHERE key = 'op'");
	opened(path);
	for (int i = 0; i < 3; i++) {
		piece_begin(&p[i]);
		if (i == 1)
			piece_append(&p[i], "op", 1, "again");
		else
			piece_put(&p[i], RECORD_SESSION, i ? "two" : "one", "x");
		store_post(&p[i].work);
	}
	store_turn();
	assert_int_equal(p[0].work.rc, STORE_OK);
	assert_int_equal(p[1].work.rc, STORE_DOWN);
	assert_int_equal(p[2].work.rc, STORE_OK);
	for (int i = 0; i < 3; i++)
		piece_free(&p[i]);
	assert_string_equal(got(RECORD_SESSION, "two"), "x@1");
	assert_false(health.ready);
	assert_non_null(strstr(health.why, "damaged"));
	closed();
}

/* A check under way ends with the store. */
static void test_close_during_check(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		opened(path);
		assert_int_equal(put(RECORD_SESSION, "a", "x"), STORE_OK);
		closed();
		left_unclean();
		opened(path);
		turns(1, 3 * USEC_PER_S);
		closed();
	}
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_FOLDER(test_kill),
	    WITH_FOLDER(test_failed_write),
	    WITH_FOLDER(test_torn_write),
	    WITH_FOLDER(test_no_room),
	    WITH_FOLDER(test_failed_fsync),
	    WITH_FOLDER(test_full_disk_reads),
	    WITH_FOLDER(test_second_process),
	    WITH_FOLDER(test_other_versions),
	    WITH_FOLDER(test_a_newer_schema_is_used_and_left_as_it_is),
	    WITH_FOLDER(test_no_database),
	    WITH_FOLDER(test_permissions),
	    WITH_FOLDER(test_expiry),
	    WITH_FOLDER(test_log_does_not_grow),
	    WITH_FOLDER(test_backup),
	    WITH_FOLDER(test_damage_is_found),
	    WITH_FOLDER(test_damage_is_apart),
	    WITH_FOLDER(test_foreign_rows),
	    WITH_FOLDER(test_foreign_event),
	    WITH_FOLDER(test_close_during_check),
	};

	fault_register();
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
