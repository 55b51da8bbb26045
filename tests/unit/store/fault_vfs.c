/* The SQLite fault layer: passes everything on to the system's VFS but what is to fail, and keeps what is not synced.
 */
#include "fault_vfs.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "snowgate/base.h"
#include "snowgate/file.h"

#define NAME_MAX_BYTES 512
#define FILES_MAX      16
#define COPY_MAX       ((size_t)64 << 20)

/* What a write has replaced, newest first. */
struct unsynced {
	struct unsynced *next;
	sqlite3_int64 at, size; /* size: of the file before */
	int n;
	bool whole; /* a truncation: on the disk or not */
	unsigned char old[];
};
/* A file by its name: what is not synced stays so when it is closed. */
struct held {
	char name[NAME_MAX_BYTES];
	struct unsynced *newest;
};
struct fault_file {
	sqlite3_file base;
	struct held *held; /* NULL: not of the database or its log */
	sqlite3_file *real;
};

static struct {
	sqlite3_vfs vfs, *real;
	enum fault fault;
	int left;
	bool stays, fired;
	struct held held[FILES_MAX];
} self;

/* ---- arming ---- */

void fault_arm(enum fault fault, int n, bool stays)
{
	self.fault = fault;
	self.left = n;
	self.stays = stays;
	self.fired = false;
}

void fault_disarm(void)
{
	self.fault = FAULT_NONE;
}

bool fault_fired(void)
{
	return self.fired;
}

static bool fault_now(bool sync)
{
	if (self.fault == FAULT_NONE || (self.fault == FAULT_SYNC) != sync)
		return false;
	if (self.left > 0)
		self.left--;
	if (self.left > 0)
		return false;
	if (self.fired && !self.stays)
		return false;
	self.fired = true;
	return true;
}

/* ---- what is not synced ---- */

static struct held *held_of(const char *name)
{
	for (size_t i = 0; i < FILES_MAX; i++) {
		if (!self.held[i].name[0])
			snprintf(self.held[i].name, NAME_MAX_BYTES, "%s", name);
		if (strcmp(self.held[i].name, name) == 0)
			return &self.held[i];
	}
	return NULL;
}

static void held_forget(struct held *h)
{
	while (h->newest) {
		struct unsynced *u = h->newest;

		h->newest = u->next;
		free(u);
	}
}

void fault_reset(void)
{
	fault_disarm();
	for (size_t i = 0; i < FILES_MAX; i++) {
		held_forget(&self.held[i]);
		self.held[i].name[0] = '\0';
	}
}

/* Remembers what stands there before n bytes from `at` on are written over; a truncation is told by its whole tail. */
static void held_note(struct fault_file *f, sqlite3_int64 at, sqlite3_int64 n, bool whole)
{
	sqlite3_int64 size = 0;
	struct unsynced *u;

	f->real->pMethods->xFileSize(f->real, &size);
	if (at + n > size)
		n = size > at ? size - at : 0;
	u = xalloc(sizeof *u + (size_t)n);
	u->at = at;
	u->size = size;
	u->n = (int)n;
	u->whole = whole;
	if (n)
		f->real->pMethods->xRead(f->real, u->old, (int)n, at);
	u->next = f->held->newest;
	f->held->newest = u;
}

/* ---- the file ---- */

static sqlite3_file *real_of(sqlite3_file *file)
{
	return ((struct fault_file *)file)->real;
}

static int file_close(sqlite3_file *file)
{
	struct fault_file *f = (struct fault_file *)file;
	int rc = f->real->pMethods ? f->real->pMethods->xClose(f->real) : SQLITE_OK;

	free(TAKE(f->real));
	return rc;
}

static int file_get(sqlite3_file *file, void *data, int n, sqlite3_int64 at)
{
	return real_of(file)->pMethods->xRead(real_of(file), data, n, at);
}

static int file_put(sqlite3_file *file, const void *data, int n, sqlite3_int64 at)
{
	struct fault_file *f = (struct fault_file *)file;

	if (!f->held)
		return f->real->pMethods->xWrite(f->real, data, n, at);
	held_note(f, at, n, false);
	if (!fault_now(false))
		return f->real->pMethods->xWrite(f->real, data, n, at);
	if (self.fault != FAULT_WRITE && n > 1)
		f->real->pMethods->xWrite(f->real, data, n / 2, at);
	return self.fault == FAULT_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct fault_file *f = (struct fault_file *)file;
	sqlite3_int64 now = 0;

	f->real->pMethods->xFileSize(f->real, &now);
	if (f->held && size < now)
		held_note(f, size, now - size, true);
	if (f->held && self.fault != FAULT_FULL && fault_now(false))
		return SQLITE_IOERR_TRUNCATE;
	return f->real->pMethods->xTruncate(f->real, size);
}

static int file_sync(sqlite3_file *file, int flags)
{
	struct fault_file *f = (struct fault_file *)file;

	(void)flags;
	if (f->held && fault_now(true))
		return SQLITE_IOERR_FSYNC;
	if (f->held)
		held_forget(f->held);
	return SQLITE_OK; /* the process is not killed by the power here: no disk needs to turn */
}

static int file_length(sqlite3_file *file, sqlite3_int64 *size)
{
	return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int file_lock(sqlite3_file *file, int lock)
{
	return real_of(file)->pMethods->xLock(real_of(file), lock);
}

static int file_unlock(sqlite3_file *file, int lock)
{
	return real_of(file)->pMethods->xUnlock(real_of(file), lock);
}

static int file_reserved(sqlite3_file *file, int *out)
{
	return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}

static int file_control(sqlite3_file *file, int op, void *arg)
{
	return real_of(file)->pMethods->xFileControl(real_of(file), op, arg);
}

static int file_sector(sqlite3_file *file)
{
	return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int file_traits(sqlite3_file *file)
{
	return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int file_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
	return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, out);
}

static int file_shm_lock(sqlite3_file *file, int at, int n, int flags)
{
	return real_of(file)->pMethods->xShmLock(real_of(file), at, n, flags);
}

static void file_shm_barrier(sqlite3_file *file)
{
	real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int file_shm_unmap(sqlite3_file *file, int gone)
{
	return real_of(file)->pMethods->xShmUnmap(real_of(file), gone);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_get,
    .xWrite = file_put,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_length,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_traits,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

/* ---- the VFS ---- */

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
	struct fault_file *f = (struct fault_file *)file;
	bool held = name && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL));
	int rc;

	(void)vfs;
	*f = (struct fault_file){.real = xalloc((size_t)self.real->szOsFile)};
	rc = self.real->xOpen(self.real, name, f->real, flags, out);
	f->held = held ? held_of(name) : NULL;
	if (f->real->pMethods)
		f->base.pMethods = &methods;
	else
		free(TAKE(f->real));
	return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	struct held *h = held_of(name);

	(void)vfs;
	if (h)
		held_forget(h);
	return self.real->xDelete(self.real, name, sync);
}

void fault_register(void)
{
	sqlite3_initialize();
	self.real = sqlite3_vfs_find(NULL);
	self.vfs = *self.real;
	self.vfs.zName = "fault";
	self.vfs.szOsFile = sizeof(struct fault_file);
	self.vfs.pNext = NULL;
	self.vfs.xOpen = vfs_open;
	self.vfs.xDelete = vfs_delete;
	sqlite3_vfs_register(&self.vfs, 1);
}

/* ---- what a power failure leaves ---- */

static uint32_t coin(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 16 & 1;
}

/* Takes writes back, the newest first; with a seed only some, in units of which a disk writes each whole. */
static size_t take_back(const struct held *h, char *data, size_t size, uint32_t seed)
{
	enum { UNIT = 512 };
	uint32_t random = seed;

	for (const struct unsynced *u = h->newest; u; u = u->next) {
		int unit = u->whole && u->n ? u->n : UNIT;
		bool back = !seed || coin(&random);

		if (u->whole && !back)
			continue;
		for (int at = 0; at < u->n; at += unit)
			if (!seed || u->whole || coin(&random))
				memcpy(data + u->at + at, u->old + at, (size_t)(u->n - at < unit ? u->n - at : unit));
		if (back)
			size = (size_t)u->size;
	}
	return size;
}

/* The longest that the file has been since it was synced. */
static size_t size_before(const struct held *h)
{
	size_t size = 0;

	for (const struct unsynced *u = h->newest; u; u = u->next)
		if ((size_t)u->size > size)
			size = (size_t)u->size;
	return size;
}

static bool copy_one(const char *from, const char *to, const char *end, bool cut, uint32_t seed)
{
	char name[NAME_MAX_BYTES], target[NAME_MAX_BYTES];
	char *data, *room;
	size_t n = 0;
	FILE *out;
	bool good;

	snprintf(name, sizeof name, "%s%s", from, end);
	snprintf(target, sizeof target, "%s%s", to, end);
	data = file_read(name, COPY_MAX, &n);
	if (!data) { /* a log that is not there */
		remove(target);
		return *end;
	}
	room = xalloc(n + size_before(held_of(name)) + 1);
	memcpy(room, data, n);
	free(data);
	if (cut)
		n = take_back(held_of(name), room, n, seed);
	out = fopen(target, "w");
	good = out && fwrite(room, 1, n, out) == n;
	if (out)
		good = fclose(out) == 0 && chmod(target, 0600) == 0 && good;
	free(room);
	return good;
}

bool fault_copy(const char *from, const char *to, bool cut, uint32_t seed)
{
	return copy_one(from, to, "", cut, seed) && copy_one(from, to, "-wal", cut, seed);
}
