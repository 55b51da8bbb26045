/* file.h
 *
 * Whole files, read and written in one piece.
 */
#ifndef SNOWGATE_FILE_H
#define SNOWGATE_FILE_H

#include "snowgate/base.h"

/* The content and a NUL, to be freed by the caller; *n (may be NULL) its length. NULL with errno set: EFBIG where the
 * file is larger than max, EISDIR or EINVAL where it is no regular file. */
char *file_read(const char *path, size_t max, size_t *n) MUST_USE;
/* Writes a file whole or not at all: a temporary beside it, synced, renamed over it. False with errno set. */
bool file_write(const char *path, struct slice content, unsigned mode) MUST_USE;

#endif
