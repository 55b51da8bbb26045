/* buf.h
 *
 * Growable bytes with a ceiling that the creator must name. A failed append frees the content and poisons the buffer,
 * so nobody uses half a text: buf_failed() then tells, and every later append is a no-op that reports the failure
 * again. The bytes are always followed by a NUL that is not counted.
 *
 * Owner: whoever holds the struct. Not shared between threads; moves with its holder.
 */
#ifndef SNOWGATE_BUF_H
#define SNOWGATE_BUF_H

#include <stdarg.h>
#include "snowgate/base.h"

struct buf {
	char *data;
	size_t n, capacity, ceiling;
	bool failed;
};

/* A buffer that may grow to `ceiling` bytes. Allocates nothing yet. */
struct buf buf_with_ceiling(size_t ceiling);
void buf_free(struct buf *b);  /* ends it; it may be used again, empty */
void buf_clear(struct buf *b); /* empty, memory kept, failure forgotten */
bool buf_failed(const struct buf *b);

/* Appends. False when the ceiling would be passed; the buffer is then failed and empty. */
bool buf_add(struct buf *b, const void *data, size_t n);
bool buf_adds(struct buf *b, const char *text);
bool buf_addc(struct buf *b, char c);
bool buf_addf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
bool buf_addv(struct buf *b, const char *format, va_list args) PRINTF_LIKE(2, 0);

/* Content as NUL-terminated text, "" when empty; valid until the next change. */
const char *buf_text(const struct buf *b);
struct slice buf_slice(const struct buf *b);
/* Moves the content out; the receiver frees it with free(). NULL when empty or failed. */
char *buf_take(struct buf *b, size_t *n);

#endif
