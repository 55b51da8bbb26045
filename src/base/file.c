/* Whole files, read and written in one piece. */
#include "snowgate/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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

static bool fd_write(int fd, struct slice content)
{
	while (content.n > 0) {
		ssize_t put = write(fd, content.data, content.n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return false;
		content.data += put;
		content.n -= (size_t)put;
	}
	return fsync(fd) == 0;
}

bool file_write(const char *path, struct slice content, unsigned mode)
{
	char temporary[4096];
	int fd, error;
	bool written;

	if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary) {
		errno = ENAMETOOLONG;
		return false;
	}
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return false;
	written = fchmod(fd, mode) == 0 && fd_write(fd, content);
	error = errno;
	close(fd);
	if (written && rename(temporary, path) == 0)
		return true;
	error = written ? errno : error;
	unlink(temporary);
	errno = error;
	return false;
}
