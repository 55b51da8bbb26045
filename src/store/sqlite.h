/* The SQLite back end's own: one connection that writes, its prepared statements, and what is known of its state. */
#ifndef SNOWGATE_STORE_SQLITE_H
#define SNOWGATE_STORE_SQLITE_H

#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "piece.h"

#define SCHEMA     2
#define PAGE_BYTES 4096

enum sql {
#define SQL(name, text) SQL_##name,
#include "sqlite_sql.h"
#undef SQL
	SQLS_N
};

/* Reads every page by itself, beside the commits. */
struct check {
	sqlite3 *db;
	pthread_t thread;
	bool running;
	_Atomic bool done; /* by the thread, which has then written `found` */
	char found[160];   /* "" where nothing is damaged */
};
struct backup {
	sqlite3_backup *copy; /* NULL: none under way */
	sqlite3 *db;
	usec_t begun;
	usec_t next;
};

struct store {
	sqlite3 *db; /* NULL: closed after a failure, and could not be opened since */
	sqlite3_stmt *sql[SQLS_N];
	const struct store_ops *ops;
	char path[PATH_MAX - 16];
	const char *synchronous; /* static */
	int64_t max_pages, room; /* room: pages that may still be taken, at least */
	int64_t now;             /* of this batch: wall, milliseconds */
	int lock;                /* flock: held for life */
	usec_t lock_wait;        /* for the one who holds it to leave */
	int wal;                 /* pages in the log, after the last commit */
	/* After a failed commit the connection is not believed before it was opened anew. */
	bool doubt, damaged;
	bool full;      /* the disk, when last written to */
	int failed;     /* SQLite code of the last failure */
	unsigned tries; /* to end the doubt */
	char why[256];
	bool unclean; /* the process before this one did not close: the file is checked */
	struct check check;
	usec_t opened, expired;
	struct backup backup;
	char backup_path[PATH_MAX - 16];
	usec_t backup_every;
};

/* ---- sqlite_open.c ---- */
/* Opens the connection, sets it up, brings the schema up to date. False: s->why says why, s->db is NULL. */
bool connection_open(struct store *s);
void connection_close(struct store *s);
/* The folder, the lock, the file; then the connection. False: *why. */
bool file_take(struct store *s, char *why, size_t why_size);
/* `clean`: the next process need not check the file. */
void file_leave(struct store *s, bool clean);

/* ---- sqlite_item.c ---- */
/* Runs the statement, which gives no row. False: a failure. */
bool sql_run(struct store *s, enum sql which);
int64_t sql_number(struct store *s, enum sql which); /* the one number that it gives; below 0: a failure */
/* One piece, whole or not at all, inside the transaction. False: the back end failed, the transaction is over. */
bool piece_run(struct store *s, struct store_work *w);
bool room_read(struct store *s);

/* ---- sqlite.c ---- */
/* Notes why, ends the transaction. The connection is in doubt then, unless room is missing or a page is damaged: the
 * library has rolled back in memory what it could not write, and knows it. */
void store_failed(struct store *s, const char *doing);
/* Ends the doubt, if it can. */
bool store_trusted(struct store *s);
void store_damaged(struct store *s, const char *found);

/* ---- sqlite_upkeep.c ---- */
usec_t sqlite_upkeep(struct store *s);
void check_stop(struct store *s);
void backup_drop(struct store *s);
/* All of the log goes into the file, which is durable then; the log is empty. */
bool wal_empty(struct store *s);

#endif
