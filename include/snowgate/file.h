/* file.h
 *
 * Whole files, read in one piece; what it takes to make one that is still there after a power failure.
 */
#ifndef SNOWGATE_FILE_H
#define SNOWGATE_FILE_H

#include "snowgate/base.h"

/* The content and a NUL, to be freed by the caller; *n (may be NULL) its length. NULL with errno set: EFBIG where the
 * file is larger than max, EISDIR or EINVAL where it is no regular file. */
char *file_read(const char *path, size_t max, size_t *n) MUST_USE;

/* Makes the folder that `path` is to be in, 0700, where it is not there and its own is; below $HOME all of them. False
 * with errno set. */
bool file_folder(const char *path) MUST_USE;
/* What the folder of `path` says of it is durable. */
bool file_sync_folder(const char *path) MUST_USE;
/* Writes all of it where the file stands; durable. False with errno set. */
bool file_fill(int fd, struct slice content) MUST_USE;
/* A new file of mode 0600 with this content, durable, there whole or not at all. False with errno set: EEXIST where
 * there is one already, which stays as it is. */
bool file_write_new(const char *path, struct slice content) MUST_USE;

#endif
