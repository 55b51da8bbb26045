/* Whole files: read in one piece, made in one piece. */
#include "snowgate/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *fd_read(int fd, size_t max, size_t *n)
{
	size_t capacity = 4096, used = 0;
	char *text = xalloc(capacity + 1);

	for (;;) {
		ssize_t got = read(fd, text + used, capacity - used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 || used + (size_t)got > max) {
			errno = got < 0 ? errno : EFBIG;
			free(text);
			return NULL;
		}
		if (got == 0)
			break;
		used += (size_t)got;
		if (used == capacity)
			text = xrealloc(text, (capacity *= 2) + 1);
	}
	text[used] = '\0';
	if (n)
		*n = used;
	return text;
}

char *file_read(const char *path, size_t max, size_t *n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), error;
	struct stat st;
	char *text = NULL;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0) {
		if (S_ISREG(st.st_mode))
			text = fd_read(fd, max, n);
		else
			errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
	}
	error = errno;
	close(fd);
	errno = error;
	return text;
}

/* ---- making ---- */

static bool folder_of(const char *path, char folder[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	int n = slash && slash != path ? (int)(slash - path) : 1;

	if (snprintf(folder, PATH_MAX, "%.*s", n, slash ? path : ".") < PATH_MAX)
		return true;
	errno = ENAMETOOLONG;
	return false;
}

static bool folder_make(const char *folder)
{
	return mkdir(folder, 0700) == 0 || errno == EEXIST;
}

bool file_folder(const char *path)
{
	const char *home = getenv("HOME");
	size_t n = home ? strlen(home) : 0;
	char folder[PATH_MAX];

	if (!folder_of(path, folder))
		return false;
	if (n > 1 && strncmp(folder, home, n) == 0 && folder[n] == '/')
		for (char *slash = strchr(folder + n + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
			*slash = '\0';
			if (!folder_make(folder))
				return false;
			*slash = '/';
		}
	return folder_make(folder);
}

bool file_sync_folder(const char *path)
{
	char folder[PATH_MAX];
	int fd = folder_of(path, folder) ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1, error;
	bool done = fd >= 0 && fsync(fd) == 0;

	error = errno;
	if (fd >= 0)
		close(fd);
	errno = error;
	return done;
}

bool file_fill(int fd, struct slice content)
{
	while (content.n) {
		ssize_t n = write(fd, content.data, content.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		content.data += n;
		content.n -= (size_t)n;
	}
	return fsync(fd) == 0;
}

bool file_write_new(const char *path, struct slice content)
{
	char fresh[PATH_MAX];
	int fd, error;
	bool good;

	if (snprintf(fresh, sizeof fresh, "%s.XXXXXX", path) >= (int)sizeof fresh) {
		errno = ENAMETOOLONG;
		return false;
	}
	fd = mkostemp(fresh, O_CLOEXEC); /* 0600 */
	if (fd < 0)
		return false;
	good = file_fill(fd, content) && link(fresh, path) == 0;
	error = errno;
	close(fd);
	unlink(fresh);
	errno = error;
	return good && file_sync_folder(path);
}
