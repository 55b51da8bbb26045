/* Where the database is: its folder, its lock, its file, its schema. */
#include "sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snowgate/file.h"
#include "snowgate/log.h"
#include "snowgate/wheel.h"

#define LOCK_LOOK_MS 5
#define APPLICATION  0x534e4757 /* "SNGW" in the file's header */

/* One for each version of the schema, from nothing on. `reader` in meta is the first version whose programs may use the
 * file: one that adds a table, or a column with a default, leaves it as it is; older programs leave these alone. */
static const char *const migrations[SCHEMA] = {
    "CREATE TABLE record("
    "	id INTEGER PRIMARY KEY,"
    "	kind INTEGER NOT NULL,"
    "	key TEXT NOT NULL,"
    "	version INTEGER NOT NULL,"
    "	expires INTEGER NOT NULL," /* milliseconds since 1970, as due */
    "	due INTEGER,"
    "	value BLOB NOT NULL,"
    "	UNIQUE(kind, key));"
    "CREATE INDEX record_expires ON record(expires);"
    "CREATE INDEX record_due ON record(kind, due) WHERE due IS NOT NULL;"
    "CREATE TABLE event("
    "	record INTEGER NOT NULL REFERENCES record(id) ON DELETE CASCADE,"
    "	number INTEGER NOT NULL,"
    "	value BLOB NOT NULL,"
    "	PRIMARY KEY(record, number)) WITHOUT ROWID;",
    "CREATE TABLE meta(name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO meta(name, value) VALUES('reader', 2), ('probed', 0);",
};

/* ---- the connection ---- */

/* Does the file already say so? Asked first, because only an empty one can be told how to keep its free pages. */
static int64_t pragma_number(sqlite3 *db, const char *pragma)
{
	sqlite3_stmt *stmt = NULL;
	int64_t number = -1;

	if (sqlite3_prepare_v2(db, pragma, -1, &stmt, NULL) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		number = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return number;
}

static bool connection_set(struct store *s)
{
	char text[512];

	snprintf(text, sizeof text,
		 "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA synchronous=%s;"
		 "PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=67108864; PRAGMA foreign_keys=ON;"
		 "PRAGMA mmap_size=0; PRAGMA trusted_schema=OFF; PRAGMA secure_delete=FAST; PRAGMA temp_store=MEMORY;"
		 "PRAGMA cache_size=-16384; PRAGMA max_page_count=%" PRId64 ";",
		 s->synchronous, s->max_pages);
	return sqlite3_exec(s->db, text, NULL, NULL, NULL) == SQLITE_OK;
}

static bool schema_refuse(struct store *s, const char *reason)
{
	snprintf(s->why, sizeof s->why, "%.160s: %s", s->path, reason);
	return false;
}

/* Only what says that we cannot read it is refused; all else stays as the newer program has made it. */
static bool schema_newer(struct store *s, int64_t version)
{
	int64_t reader = pragma_number(s->db, "SELECT value FROM meta WHERE name = 'reader'");

	if (reader < 0 || reader > SCHEMA)
		return schema_refuse(s, "was written by a newer snowgate; run that version, or set another store.path");
	log_event(LOG_INFO, "store_newer_schema", log_number("schema", version), log_number("reader", reader));
	return true;
}

/* Whose file is it, and of which version? */
static bool schema_known(struct store *s, int64_t *version)
{
	int64_t owner = pragma_number(s->db, "PRAGMA application_id"),
		tables = pragma_number(s->db, "SELECT count(*) FROM sqlite_schema");

	*version = pragma_number(s->db, "PRAGMA user_version");
	if (owner < 0 || tables < 0 || *version < 0)
		return schema_refuse(s, sqlite3_errmsg(s->db));
	if (owner != APPLICATION && tables > 0)
		return schema_refuse(s, "is a database of another program; set store.path to a file of snowgate's own");
	return *version <= SCHEMA || schema_newer(s, *version);
}

static bool schema_make(struct store *s, int64_t version)
{
	char text[128];
	bool good = sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;

	for (; good && version < SCHEMA; version++)
		good = sqlite3_exec(s->db, migrations[version], NULL, NULL, NULL) == SQLITE_OK;
	snprintf(text, sizeof text, "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT", APPLICATION, SCHEMA);
	good = good && sqlite3_exec(s->db, text, NULL, NULL, NULL) == SQLITE_OK;
	return good || schema_refuse(s, sqlite3_errmsg(s->db));
}

static bool statements_prepare(struct store *s)
{
	static const char *const texts[SQLS_N] = {
#define SQL(name, text) [SQL_##name] = text,
#include "sqlite_sql.h"
#undef SQL
	};

	for (size_t i = 0; i < SQLS_N; i++)
		if (sqlite3_prepare_v3(s->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &s->sql[i], NULL) != SQLITE_OK)
			return schema_refuse(s, sqlite3_errmsg(s->db));
	return true;
}

static int wal_grown(void *ctx, sqlite3 *db, const char *name, int pages)
{
	struct store *s = ctx;

	(void)db, (void)name;
	s->wal = pages;
	return SQLITE_OK;
}

static bool connection_ready(struct store *s)
{
	int64_t version;

	if (sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return schema_refuse(s, s->db ? sqlite3_errmsg(s->db) : "no memory");
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, 5000);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (!schema_known(s, &version))
		return false;
	if (!connection_set(s))
		return schema_refuse(s, sqlite3_errmsg(s->db));
	if ((version < SCHEMA && !schema_make(s, version)) || !statements_prepare(s))
		return false;
	sqlite3_wal_hook(s->db, wal_grown, s);
	return true;
}

bool connection_open(struct store *s)
{
	if (connection_ready(s))
		return true;
	connection_close(s);
	return false;
}

void connection_close(struct store *s)
{
	for (size_t i = 0; i < SQLS_N; i++)
		sqlite3_finalize(TAKE(s->sql[i]));
	sqlite3_close(TAKE(s->db));
	s->wal = 0;
}

/* ---- the file ---- */

static bool fault(char *why, size_t why_size, const char *path, const char *reason)
{
	snprintf(why, why_size, "store.path: %s: %s", path, reason);
	return false;
}

static const char in_use[] = "is in use by another snowgate; stop that one, or set another store.path, or, for several "
			     "processes on the same sessions, store.kind: valkey";

/* Somebody wants this process to end, which is all that it does yet. */
static bool is_called_off(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

/* False with errno set: EWOULDBLOCK where another process holds it and does not leave in time. */
static bool lock_hold(const struct store *s)
{
	usec_t end = clock_now() + s->lock_wait;
	bool held = flock(s->lock, LOCK_EX | LOCK_NB) == 0;

	if (held || errno != EWOULDBLOCK || !s->lock_wait)
		return held;
	log_event(LOG_INFO, "store_waits", log_text("path", s->path), log_text("for", "the process that has it"),
		  log_number("ms", s->lock_wait / USEC_PER_MS));
	while (!held && errno == EWOULDBLOCK && clock_now() < end && !is_called_off()) {
		(void)poll(NULL, 0, LOCK_LOOK_MS);
		held = flock(s->lock, LOCK_EX | LOCK_NB) == 0;
	}
	return held;
}

static bool lock_take(struct store *s, char *why, size_t why_size)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof path, "%s.lock", s->path);
	s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock < 0)
		return fault(why, why_size, path, strerror(errno));
	if (!lock_hold(s)) {
		const char *reason = errno == EWOULDBLOCK ? in_use : strerror(errno);

		close(s->lock); /* what is written there is the other one's */
		s->lock = -1;
		return fault(why, why_size, s->path, reason);
	}
	s->unclean = fstat(s->lock, &st) == 0 && st.st_size > 0;
	if (pwrite(s->lock, "open\n", 5, 0) != 5 || fsync(s->lock) != 0)
		return fault(why, why_size, path, strerror(errno));
	return true;
}

/* Made here and not by the library, so that it is never anybody else's to read, not even for a moment. */
static bool file_make(struct store *s, char *why, size_t why_size)
{
	char reason[PATH_MAX + 64];
	struct stat st;
	int fd = open(s->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	if ((fd < 0 && errno != EEXIST) || stat(s->path, &st) != 0)
		return fault(why, why_size, s->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fault(why, why_size, s->path, "is no regular file");
	if (st.st_mode & 077) {
		snprintf(reason, sizeof reason,
			 "holds sessions and others may read or write it (mode %03o); run: chmod 600 %s",
			 st.st_mode & 0777, s->path);
		return fault(why, why_size, s->path, reason);
	}
	return file_sync_folder(s->path) || fault(why, why_size, s->path, strerror(errno));
}

bool file_take(struct store *s, char *why, size_t why_size)
{
	if (!file_folder(s->path))
		return fault(why, why_size, s->path, strerror(errno));
	if (!lock_take(s, why, why_size) || !file_make(s, why, why_size))
		return false;
	if (connection_open(s))
		return true;
	snprintf(why, why_size, "store.path: %s", s->why);
	return false;
}

void file_leave(struct store *s, bool clean)
{
	if (s->lock >= 0) {
		if (clean && ftruncate(s->lock, 0) == 0)
			(void)fsync(s->lock);
		close(s->lock);
	}
	s->lock = -1;
}
