/* A rotated refresh token in place of the old one: a new file beside it, then its name. */
#include "token.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Without fsync(): that could hold up the loop, and what it would save is only lost where the machine itself fails. */
static bool write_all(int fd, struct slice text)
{
	while (text.n) {
		ssize_t n = write(fd, text.data, text.n);
		if (n <= 0)
			return false;
		text.data += n;
		text.n -= (size_t)n;
	}
	return write(fd, "\n", 1) == 1;
}

bool refresh_token_keep(const char *path, struct slice text)
{
	char real[PATH_MAX], fresh[PATH_MAX + 16];
	bool fine;
	int fd;

	/* Whoever made the file unwritable did not want it to change, though its folder would let us. */
	if (!realpath(path, real) || access(real, W_OK) != 0)
		return false;
	(void)snprintf(fresh, sizeof fresh, "%s.XXXXXX", real);
	fd = mkostemp(fresh, O_CLOEXEC); /* 0600 */
	if (fd < 0)
		return false;
	fine = write_all(fd, text);
	fine = close(fd) == 0 && fine && rename(fresh, real) == 0;
	if (!fine)
		(void)unlink(fresh);
	return fine;
}
