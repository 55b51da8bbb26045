/* Whole files, read in one piece. */
#include "snowgate/file.h"

#include <errno.h>
#include <fcntl.h>
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
