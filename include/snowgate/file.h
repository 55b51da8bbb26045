/* file.h
 *
 * Whole files, read in one piece.
 */
#ifndef SNOWGATE_FILE_H
#define SNOWGATE_FILE_H

#include "snowgate/base.h"

/* The content and a NUL, to be freed by the caller; *n (may be NULL) its length. NULL with errno set: EFBIG where the
 * file is larger than max, EISDIR or EINVAL where it is no regular file. */
char *file_read(const char *path, size_t max, size_t *n) MUST_USE;

#endif
