/* What the SQLite store does between commits: expiry, the log's way into the file, the check of the file, backups. */
#include "sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "snowgate/file.h"
#include "snowgate/log.h"
#include "snowgate/wheel.h"

#define UPKEEP_EVERY   USEC_PER_S
#define SOON           USEC_PER_MS
#define EXPIRE_EVERY   (5 * USEC_PER_S)
#define EXPIRE_RECORDS 500
#define WAL_PAGES      2000 /* from so many on the log goes into the file */
#define FREE_PAGES     1024 /* free pages are given back where they are more, and a quarter of the file */
#define CHECK_AFTER    (2 * USEC_PER_S)
#define BACKUP_PAGES   256 /* in one step */
#define BACKUP_AGAIN   (60 * USEC_PER_S)

/* ---- the log ---- */

bool wal_empty(struct store *s)
{
	int left = 0, rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, &left, NULL);

	if (rc == SQLITE_OK)
		s->wal = 0;
	return rc == SQLITE_OK;
}

/* A reader, the check, may keep some of it from going; the next time then. */
static bool wal_checkpoint(struct store *s)
{
	int pages = 0, moved = 0, rc;

	rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &moved);
	if (rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY) {
		s->wal = pages - moved;
		return true;
	}
	store_failed(s, "move its log into the file");
	return false;
}

/* A log that has gone into the file is written from its beginning on, which takes no room. */
static bool full_ended(struct store *s)
{
	if (s->wal && !wal_checkpoint(s))
		return false;
	if (!sql_run(s, SQL_PROBE)) {
		store_failed(s, "be written");
		return false;
	}
	s->full = false;
	if (!s->damaged)
		s->ops->health(true, NULL);
	return true;
}

/* ---- what has expired ---- */

static bool expire(struct store *s, bool *more)
{
	sqlite3_bind_int64(s->sql[SQL_EXPIRE], 1, clock_wall_usec() / USEC_PER_MS);
	sqlite3_bind_int64(s->sql[SQL_EXPIRE], 2, EXPIRE_RECORDS);
	if (!sql_run(s, SQL_EXPIRE)) {
		store_failed(s, "remove what has expired");
		return false;
	}
	*more = sqlite3_changes(s->db) >= EXPIRE_RECORDS;
	return true;
}

static bool vacuum(struct store *s, int64_t pages, int64_t unused)
{
	int rc;

	if (unused < FREE_PAGES || unused < pages / 4)
		return true;
	while ((rc = sqlite3_step(s->sql[SQL_VACUUM])) == SQLITE_ROW) { /* one for each page */
	}
	sqlite3_reset(s->sql[SQL_VACUUM]);
	if (rc == SQLITE_DONE)
		return true;
	store_failed(s, "give free pages back");
	return false;
}

/* ---- the check of a file that was not closed ---- */

static void check_main(void *arg)
{
	struct check *c = arg;
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(c->db, "PRAGMA quick_check(1)", -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		const char *found = (const char *)sqlite3_column_text(stmt, 0);

		if (!found || strcmp(found, "ok") != 0)
			snprintf(c->found, sizeof c->found, "%s", found ? found : "no memory");
	} else if ((rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB) {
		snprintf(c->found, sizeof c->found, "%s", sqlite3_errmsg(c->db));
	}
	sqlite3_finalize(stmt);
	atomic_store(&c->done, true);
}

/* On a thread and a connection of its own: it reads the whole file, and commits go on meanwhile. */
static void check_start(struct store *s)
{
	struct check *c = &s->check;
	int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX;

	if (sqlite3_open_v2(s->path, &c->db, flags, NULL) != SQLITE_OK) {
		sqlite3_close(TAKE(c->db));
		s->opened = clock_now(); /* once more after a while */
		return;
	}
	sqlite3_busy_timeout(c->db, 5000);
	c->found[0] = '\0';
	atomic_store(&c->done, false);
	c->running = true;
	thread_start(THREAD_WORKER, check_main, c, &c->thread);
}

static void check_end(struct store *s)
{
	thread_join(s->check.thread);
	sqlite3_close(TAKE(s->check.db));
	s->check.running = false;
}

void check_stop(struct store *s)
{
	const struct timespec moment = {0, 1000 * 1000};

	if (!s->check.running)
		return;
	while (!atomic_load(&s->check.done)) {
		sqlite3_interrupt(s->check.db); /* counts for what runs already only */
		nanosleep(&moment, NULL);
	}
	check_end(s);
}

static void check_upkeep(struct store *s)
{
	if (s->check.running && atomic_load(&s->check.done)) {
		check_end(s);
		s->unclean = false;
		if (s->check.found[0])
			store_damaged(s, s->check.found);
		else
			log_event(LOG_INFO, "store_checked", log_text("path", s->path));
	} else if (s->unclean && !s->check.running && clock_now() - s->opened >= CHECK_AFTER) {
		check_start(s);
	}
}

/* ---- backups ---- */

static const char *backup_new(const struct store *s, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s.tmp", s->backup_path);
	return path;
}

void backup_drop(struct store *s)
{
	char path[PATH_MAX];

	if (!s->backup.db)
		return;
	if (s->backup.copy)
		sqlite3_backup_finish(TAKE(s->backup.copy));
	sqlite3_close(TAKE(s->backup.db));
	unlink(backup_new(s, path));
	s->backup.next = clock_now() + BACKUP_AGAIN;
}

static void backup_failed(struct store *s, const char *reason)
{
	log_event(LOG_ERROR, "backup_failed", log_text("path", s->backup_path), log_text("reason", reason));
	backup_drop(s);
	s->backup.next = clock_now() + BACKUP_AGAIN;
}

/* After a restart the last one counts, not the start. */
static usec_t backup_first(const struct store *s)
{
	struct stat st;
	usec_t age = stat(s->backup_path, &st) == 0 ? clock_wall_usec() - st.st_mtim.tv_sec * USEC_PER_S : -1;

	return age < 0 || age >= s->backup_every ? s->opened : s->opened + s->backup_every - age;
}

static void backup_start(struct store *s)
{
	char path[PATH_MAX];
	int fd, flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;

	backup_new(s, path);
	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		backup_failed(s, strerror(errno));
		return;
	}
	close(fd);
	if (sqlite3_open_v2(path, &s->backup.db, flags, NULL) == SQLITE_OK)
		s->backup.copy = sqlite3_backup_init(s->backup.db, "main", s->db, "main");
	s->backup.begun = clock_now();
	if (!s->backup.copy)
		backup_failed(s, sqlite3_errmsg(s->backup.db));
}

/* Durable before it takes the old one's name. */
static bool backup_place(struct store *s, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool good = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return good && rename(path, s->backup_path) == 0 && file_sync_folder(s->backup_path);
}

static void backup_end(struct store *s)
{
	char path[PATH_MAX];
	int rc = sqlite3_backup_finish(TAKE(s->backup.copy));

	if (rc != SQLITE_OK) {
		backup_failed(s, sqlite3_errstr(rc));
		return;
	}
	rc = sqlite3_close(s->backup.db);
	s->backup.db = NULL;
	if (rc != SQLITE_OK || !backup_place(s, backup_new(s, path))) {
		backup_failed(s, strerror(errno));
		return;
	}
	s->backup.next = clock_now() + s->backup_every;
	log_event(LOG_INFO, "backup_written", log_text("path", s->backup_path),
		  log_number("ms", (clock_now() - s->backup.begun) / USEC_PER_MS));
}

/* What is committed meanwhile goes into the copy by itself, being of the same connection. */
static bool backup_upkeep(struct store *s)
{
	int rc;

	if (!s->backup_every || s->damaged || s->unclean) /* no good copy is replaced by one of a damaged file */
		return false;
	if (!s->backup.next)
		s->backup.next = backup_first(s);
	if (!s->backup.copy && clock_now() >= s->backup.next)
		backup_start(s);
	if (!s->backup.copy)
		return false;
	rc = sqlite3_backup_step(s->backup.copy, BACKUP_PAGES);
	if (rc == SQLITE_DONE)
		backup_end(s);
	else if (rc != SQLITE_OK && rc != SQLITE_BUSY && rc != SQLITE_LOCKED)
		backup_failed(s, sqlite3_errstr(rc));
	return s->backup.copy != NULL;
}

/* ---- all of it ---- */

usec_t sqlite_upkeep(struct store *s)
{
	bool more = false;
	int64_t pages, unused;

	if (!store_trusted(s))
		return UPKEEP_EVERY;
	check_upkeep(s);
	if ((s->wal >= WAL_PAGES && !wal_checkpoint(s)) || (s->full && !full_ended(s)))
		return UPKEEP_EVERY;
	if (clock_now() - s->expired >= EXPIRE_EVERY) {
		if (!expire(s, &more))
			return UPKEEP_EVERY;
		if (!more)
			s->expired = clock_now();
	}
	pages = sql_number(s, SQL_PAGES);
	unused = sql_number(s, SQL_FREE);
	store_holds((pages - unused) * PAGE_BYTES);
	if (!vacuum(s, pages, unused))
		return UPKEEP_EVERY;
	return backup_upkeep(s) || more ? SOON : UPKEEP_EVERY;
}
