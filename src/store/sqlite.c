/* The store in one SQLite file: a batch is a transaction, and what failed is not believed until it was opened anew. */
#include "sqlite.h"

#include <stdio.h>
#include <string.h>

#include "snowgate/kill.h"
#include "snowgate/log.h"
#include "snowgate/wheel.h"

/* So often is a connection in doubt asked to empty its log before it is closed without. */
#define TRIES_MAX 5

/* ---- failure and recovery ---- */

void store_failed(struct store *s, const char *doing)
{
	int rc = sqlite3_extended_errcode(s->db);

	s->failed = rc & 0xff;
	snprintf(s->why, sizeof s->why, "the store cannot %s: %.80s (SQLite %d)", doing, sqlite3_errmsg(s->db), rc);
	if (s->failed == SQLITE_FULL)
		s->full = true;
	else if (s->failed == SQLITE_CORRUPT || s->failed == SQLITE_CONSTRAINT) /* no piece of ours breaks a rule */
		store_damaged(s, sqlite3_errmsg(s->db));
	else
		s->doubt = true;
	if (!sqlite3_get_autocommit(s->db) && !sql_run(s, SQL_ROLLBACK))
		s->doubt = true;
	s->ops->health(false, s->why);
}

/* What a failed commit has written stands behind the last good one in the log, where a process that opens it would take
 * it for committed, though the disk may have only parts of it. So the log is emptied by the connection that knows where
 * it ends: all that was reported durable is in the file then, and nothing else. Where that does not help, as with a
 * disk that is there again under the same name, only opening the file anew does. */
bool store_trusted(struct store *s)
{
	if (!s->doubt && s->db)
		return true;
	check_stop(s);
	backup_drop(s);
	if (s->db && !wal_empty(s) && ++s->tries < TRIES_MAX)
		return false;
	s->tries = 0;
	if (s->db)
		connection_close(s);
	if (!connection_open(s))
		return false;
	if (!wal_empty(s) || !sql_run(s, SQL_PROBE)) {
		store_failed(s, "be opened");
		return false;
	}
	s->doubt = s->full = false;
	if (!s->damaged)
		s->ops->health(true, NULL);
	return true;
}

void store_damaged(struct store *s, const char *found)
{
	snprintf(s->why, sizeof s->why, "the store's file is damaged: %.160s; restore a backup", found);
	if (!s->damaged)
		log_event(LOG_ERROR, "store_damaged", log_text("path", s->path), log_text("found", found));
	s->damaged = true;
	s->ops->health(false, s->why);
}

/* ---- a batch ---- */

/* One transaction over pieces from `first` to before `end`. */
static bool pieces_commit(struct store *s, struct store_work *first, const struct store_work *end)
{
	bool good;

	KILL_POINT(sqlite_before);
	good = sql_run(s, SQL_BEGIN) && room_read(s);
	s->now = clock_wall_usec() / USEC_PER_MS;
	for (struct store_work *w = first; w != end && good; w = w->next)
		good = piece_run(s, w);
	KILL_POINT(sqlite_commit);
	if (!good)
		store_failed(s, "be written");
	else if (!(good = sql_run(s, SQL_COMMIT)))
		store_failed(s, "commit");
	KILL_POINT(sqlite_after);
	return good;
}

static void piece_end(struct store_work *w, enum store_rc rc)
{
	piece_forget(w);
	w->rc = rc;
}

/* The disk is full: each piece by itself, so that what only reads, or still finds room, is not refused with the rest.
 */
static void pieces_apart(struct store *s, struct store_work *first)
{
	for (struct store_work *w = first; w; w = w->next) {
		piece_forget(w);
		if (s->doubt || !pieces_commit(s, w, w->next))
			piece_end(w, !s->doubt && s->failed == SQLITE_FULL ? STORE_FULL : STORE_DOWN);
	}
}

static void sqlite_commit(struct store *s, struct store_work *first)
{
	bool trusted = store_trusted(s);

	if (trusted && pieces_commit(s, first, NULL))
		return;
	if (trusted && !s->doubt) {
		pieces_apart(s, first);
		return;
	}
	for (struct store_work *w = first; w; w = w->next)
		piece_end(w, STORE_DOWN);
}

/* ---- open, close ---- */

static struct store *sqlite_open(const struct conf *conf, const struct store_ops *ops, char *why, size_t why_size)
{
	struct store *s = xalloc(sizeof *s);

	s->ops = ops;
	s->lock = -1;
	s->lock_wait = conf->store_lock_wait;
	s->max_pages = conf->store_max_bytes / PAGE_BYTES;
	s->synchronous = conf->store_synchronous == STORE_SYNCHRONOUS_NORMAL ? "NORMAL" : "FULL";
	s->backup_every = conf->store_backup_every;
	s->opened = s->expired = clock_now();
	if (snprintf(s->path, sizeof s->path, "%s", conf->store_path) < (int)sizeof s->path &&
	    snprintf(s->backup_path, sizeof s->backup_path, "%s", conf->store_backup_path) <
		(int)sizeof s->backup_path &&
	    file_take(s, why, why_size)) {
		log_event(LOG_INFO, "store_open", log_text("path", s->path), log_bool("clean", !s->unclean));
		return s;
	}
	file_leave(s, !s->unclean);
	free(s);
	return NULL;
}

static void sqlite_close(struct store *s)
{
	bool clean;

	check_stop(s);
	backup_drop(s);
	clean = s->db && !s->doubt && !s->damaged && !s->unclean;
	if (s->db)
		connection_close(s);
	file_leave(s, clean);
	free(s);
}

static int sqlite_descriptor(const struct store *s)
{
	(void)s;
	return -1;
}

const struct store_backend store_sqlite = {
    .name = "sqlite",
    .open = sqlite_open,
    .close = sqlite_close,
    .commit = sqlite_commit,
    .upkeep = sqlite_upkeep,
    .descriptor = sqlite_descriptor,
};
