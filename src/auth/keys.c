/* The command line's verbs for API keys: new, list, revoke. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyring.h"
#include "snowgate/file.h"
#include "snowgate/wheel.h"

/* A key file while a command works on it. The lock is the kernel's, on the folder (the file itself is replaced), so it
 * ends with the process whatever happens. */
struct edit {
	char *path; /* links followed: the target is replaced, not the link */
	int folder;
	mode_t mode;
	uid_t owner;
	gid_t group;
	bool exists;
	char *text;
	size_t n;
	struct keyring *ring;
	char *why;
	size_t why_size;
};

static bool refuse(const struct edit *e, const char *path, const char *reason)
{
	(void)snprintf(e->why, e->why_size, "%s: %s", path, reason);
	return false;
}

static bool lock_folder(struct edit *e)
{
	const char *slash = strrchr(e->path, '/');
	char *folder = slash ? xstrndup(e->path, slash == e->path ? 1 : (size_t)(slash - e->path)) : xstrdup(".");
	e->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = e->folder >= 0 && flock(e->folder, LOCK_EX) == 0;
	if (!ok)
		(void)refuse(e, folder, strerror(errno));
	free(folder);
	return ok;
}

static void edit_end(struct edit *e)
{
	if (e->folder >= 0)
		(void)close(e->folder);
	keyring_free(e->ring);
	free(e->text);
	free(e->path);
}

static bool edit_begin(struct edit *e, const char *path, char *why, size_t why_size)
{
	*e = (struct edit){.folder = -1, .mode = 0600, .why = why, .why_size = why_size};
	e->path = realpath(path, NULL);
	if (!e->path)
		e->path = xstrdup(path);
	if (!lock_folder(e))
		return false;
	struct stat st;
	e->exists = stat(e->path, &st) == 0;
	if (e->exists) {
		e->mode = st.st_mode & 07777;
		e->owner = st.st_uid;
		e->group = st.st_gid;
	}
	e->text = file_read(e->path, KEY_FILE_MAX, &e->n);
	if (!e->text && errno != ENOENT)
		return refuse(e, e->path, strerror(errno));
	e->ring = keyring_parse((struct slice){e->text ? e->text : "", e->n}, e->path, why, why_size);
	return e->ring != NULL;
}

/* Owner before mode, since a change of owner may clear bits of the mode; both before the name, so that the gateway
 * never meets a file it may not read. */
static bool fill_temporary(const struct edit *e, int fd, struct slice content)
{
	struct stat st;
	if (e->exists &&
	    (fstat(fd, &st) || ((st.st_uid != e->owner || st.st_gid != e->group) && fchown(fd, e->owner, e->group))))
		return false;
	return fchmod(fd, e->mode) == 0 && file_fill(fd, content);
}

static bool replace(const struct edit *e, const struct buf *content)
{
	char temporary[PATH_MAX];
	if (buf_failed(content) || content->n > KEY_FILE_MAX)
		return refuse(e, e->path, "the file would be larger than 16 MiB");
	if (snprintf(temporary, sizeof(temporary), "%s.new", e->path) >= (int)sizeof(temporary))
		return refuse(e, e->path, strerror(ENAMETOOLONG));
	(void)unlink(temporary); /* of a command that died; the lock is ours */
	int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return refuse(e, temporary, strerror(errno));
	bool ok = fill_temporary(e, fd, buf_slice(content));
	int error = errno;
	(void)close(fd);
	if (ok && rename(temporary, e->path) == 0) {
		(void)fsync(e->folder);
		return true;
	}
	error = ok ? errno : error;
	(void)unlink(temporary);
	return refuse(e, e->path, strerror(error));
}

/* "12h", "90d" or "8w" in seconds; at most ten years. */
static bool parse_span(const char *text, int64_t *seconds)
{
	static const struct {
		char letter;
		int64_t seconds;
	} units[] = {{'h', 3600}, {'d', 86400}, {'w', 7 * 86400}};
	const int64_t most = (int64_t)3650 * 86400;
	size_t n = strlen(text);
	for (size_t i = 0; n && i < ARRAY_LEN(units); i++) {
		if (text[n - 1] != units[i].letter)
			continue;
		char *digits = xstrndup(text, n - 1);
		int64_t count = 0;
		bool ok = parse_int(digits, 1, most / units[i].seconds, &count);
		free(digits);
		*seconds = count * units[i].seconds;
		return ok;
	}
	return false;
}

static bool has_id(const struct keyring *ring, const char *id)
{
	for (size_t i = 0; i < ring->n; i++)
		if (!memcmp(ring->keys[i].id, id, KEY_ID_LENGTH))
			return true;
	return false;
}

/* 40 random bits as an id that the file does not have yet, then the secret, then the check. */
static void make_token(const struct keyring *ring, char token[KEY_LENGTH + 1])
{
	struct buf b = buf_with_ceiling(KEY_LENGTH);
	uint8_t id[5], secret[32];
	bool ok;
	do {
		buf_clear(&b);
		crypt_random(id, sizeof(id));
		ok = buf_adds(&b, "sgk_") && base32_encode(&b, id, sizeof(id));
	} while (has_id(ring, b.data + KEY_ID_AT));
	crypt_random(secret, sizeof(secret));
	ok = ok && buf_addc(&b, '_') && base64url_encode(&b, secret, sizeof(secret));
	assert(ok && b.n == KEY_BODY_LENGTH);
	memcpy(token, b.data, b.n);
	token[KEY_BODY_LENGTH] = '_';
	key_checksum(token, token + KEY_CHECK_AT);
	token[KEY_LENGTH] = '\0';
	crypt_wipe(secret, sizeof(secret));
	crypt_wipe(b.data, b.n);
	buf_free(&b);
}

static bool add_line(struct buf *b, const struct key *key)
{
	char time[CLOCK_TEXT_SIZE];
	clock_text(key->created * USEC_PER_S, false, time);
	bool ok = buf_addf(b, "%s %s ", key->name, key->id) && hex_encode(b, key->hash.bytes, SHA256_BYTES) &&
		  (!key->group[0] || buf_addf(b, " group=%s", key->group)) && buf_addf(b, " created=%s", time);
	if (key->expires != KEY_NO_TIME) {
		clock_text(key->expires * USEC_PER_S, false, time);
		ok = ok && buf_addf(b, " expires=%s", time);
	}
	return ok && buf_addc(b, '\n');
}

static const char *group_of(const struct keyring *ring, const char *name)
{
	for (size_t i = ring->n; i > 0; i--)
		if (!strcmp(ring->keys[i - 1].name, name))
			return ring->keys[i - 1].group;
	return "";
}

static bool append_key(struct edit *e, struct key *key, const char *group, struct buf *secret)
{
	char token[KEY_LENGTH + 1];
	if (e->ring->n == KEYS_MAX)
		return refuse(e, e->path, "there are 100000 keys already");
	group = group ? group : group_of(e->ring, key->name);
	memcpy(key->group, group, strlen(group) + 1);
	make_token(e->ring, token);
	memcpy(key->id, token + KEY_ID_AT, KEY_ID_LENGTH);
	key->hash = crypt_sha256(token, KEY_LENGTH);
	struct buf content = buf_with_ceiling(KEY_FILE_MAX);
	(void)buf_add(&content, e->text ? e->text : "", e->n);
	if (e->n && e->text[e->n - 1] != '\n')
		(void)buf_addc(&content, '\n');
	(void)add_line(&content, key);
	/* the secret first: a key in the file that nobody was told would be of no use */
	bool ok = buf_add(secret, token, KEY_LENGTH) || refuse(e, e->path, "no room to tell the key");
	ok = ok && replace(e, &content);
	if (!ok) {
		crypt_wipe(secret->data, secret->n);
		buf_clear(secret);
	}
	crypt_wipe(token, sizeof(token));
	buf_free(&content);
	return ok;
}

bool key_new(const char *path, const char *name, const char *group, const char *expires, struct buf *secret, char *why,
	     size_t why_size)
{
	struct key key = {.created = clock_wall(), .expires = KEY_NO_TIME, .revoked = KEY_NO_TIME};
	int64_t span;
	if (!key_name_is_valid(slice_of(name), KEY_NAME_MAX)) {
		(void)snprintf(why, why_size, "a name is 1 to %d of A-Z a-z 0-9 . _ -", KEY_NAME_MAX);
		return false;
	}
	if (group && !key_name_is_valid(slice_of(group), KEY_GROUP_MAX)) {
		(void)snprintf(why, why_size, "a group is 1 to %d of A-Z a-z 0-9 . _ -", KEY_GROUP_MAX);
		return false;
	}
	if (expires && !parse_span(expires, &span)) {
		(void)snprintf(why, why_size,
			       "an expiry is a number of hours, days or weeks as 12h, 90d or 8w, at most ten years");
		return false;
	}
	if (expires)
		key.expires = key.created + span;
	memcpy(key.name, name, strlen(name) + 1);
	struct edit e;
	bool ok = edit_begin(&e, path, why, why_size) && append_key(&e, &key, group, secret);
	edit_end(&e);
	return ok;
}

enum { COLUMNS = 6 };

/* The cells of a key's row; `times` holds those that are made here. */
static void row_of(const struct key *key, int64_t now, char times[2][CLOCK_TEXT_SIZE], const char *row[COLUMNS])
{
	const int64_t when[2] = {key->created, key->expires};
	static const char *const absent[2] = {"-", "never"};
	for (int i = 0; i < 2; i++) {
		if (when[i] != KEY_NO_TIME)
			clock_text(when[i] * USEC_PER_S, false, times[i]);
		row[3 + i] = when[i] == KEY_NO_TIME ? absent[i] : times[i];
	}
	row[0] = key->name;
	row[1] = key->id;
	row[2] = key->group[0] ? key->group : "-";
	row[5] = key->revoked != KEY_NO_TIME ? "revoked" : now >= key->expires ? "expired" : "active";
}

static bool add_row(struct buf *b, const char *const row[COLUMNS], const size_t widths[COLUMNS])
{
	bool ok = true;
	for (int i = 0; ok && i < COLUMNS - 1; i++)
		ok = buf_addf(b, "%-*s  ", (int)widths[i], row[i]);
	return ok && buf_addf(b, "%s\n", row[COLUMNS - 1]);
}

bool key_list(const char *path, struct buf *table, char *why, size_t why_size)
{
	static const char *const head[COLUMNS] = {"NAME", "ID", "GROUP", "CREATED", "EXPIRES", "STATE"};
	size_t widths[COLUMNS];
	const char *row[COLUMNS];
	char times[2][CLOCK_TEXT_SIZE];
	int64_t now = clock_wall();
	struct keyring *ring = keyring_load(path, why, why_size);
	if (!ring)
		return false;
	for (int i = 0; i < COLUMNS; i++)
		widths[i] = strlen(head[i]);
	for (size_t k = 0; k < ring->n; k++) {
		row_of(&ring->keys[k], now, times, row);
		for (int i = 0; i < COLUMNS; i++)
			widths[i] = strlen(row[i]) > widths[i] ? strlen(row[i]) : widths[i];
	}
	bool ok = add_row(table, head, widths);
	for (size_t k = 0; ok && k < ring->n; k++) {
		row_of(&ring->keys[k], now, times, row);
		ok = add_row(table, row, widths);
	}
	if (!ok)
		(void)snprintf(why, why_size, "%s: the list is too long", path);
	keyring_free(ring);
	return ok;
}

static bool has_name(const struct keyring *ring, const char *name)
{
	for (size_t i = 0; i < ring->n; i++)
		if (!strcmp(ring->keys[i].name, name))
			return true;
	return false;
}

/* The file with a revoked= behind the last word of each line that is meant and not revoked yet. */
static size_t mark_revoked(const struct edit *e, const char *name_or_id, bool by_name, struct buf *content)
{
	char time[CLOCK_TEXT_SIZE];
	clock_text(clock_wall_usec(), false, time);
	size_t copied = 0, marked = 0;
	for (size_t i = 0; i < e->ring->n; i++) {
		const struct key *key = &e->ring->keys[i];
		if (key->revoked != KEY_NO_TIME || strcmp(by_name ? key->name : key->id, name_or_id) != 0)
			continue;
		(void)buf_add(content, e->text + copied, key->end - copied);
		(void)buf_addf(content, " revoked=%s", time);
		copied = key->end;
		marked++;
	}
	if (marked)
		(void)buf_add(content, e->text + copied, e->n - copied);
	return marked;
}

bool key_revoke(const char *path, const char *name_or_id, size_t *revoked, char *why, size_t why_size)
{
	struct edit e;
	*revoked = 0;
	bool ok = edit_begin(&e, path, why, why_size);
	bool by_name = ok && has_name(e.ring, name_or_id);
	if (ok && !by_name && (strlen(name_or_id) != KEY_ID_LENGTH || !has_id(e.ring, name_or_id)))
		ok = refuse(&e, e.path, "there is no key of this name or id");
	if (ok) {
		struct buf content = buf_with_ceiling(KEY_FILE_MAX);
		size_t n = mark_revoked(&e, name_or_id, by_name, &content);
		ok = n == 0 || replace(&e, &content);
		*revoked = ok ? n : 0;
		buf_free(&content);
	}
	edit_end(&e);
	return ok;
}
