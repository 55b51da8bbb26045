/* sink.h
 *
 * Where a row is written: bytes on the stack in front of a buffer, so that the buffer is asked once and not for each
 * comma. On the stack of its owner. Private to src/sql.
 */
#ifndef SNOWGATE_SQL_SINK_H
#define SNOWGATE_SQL_SINK_H

#include <string.h>

#include "snowgate/buf.h"

#define SINK_BYTES 4096

struct sink {
	struct buf *out;
	size_t n;
	char bytes[SINK_BYTES];
};

/* False when the buffer's ceiling is passed: it is empty and failed then, and stays so. */
static inline bool sink_flush(struct sink *s)
{
	size_t n = s->n;

	s->n = 0;
	return buf_add(s->out, s->bytes, n);
}

static inline void sink_byte(struct sink *s, char c)
{
	if (s->n == SINK_BYTES)
		(void)sink_flush(s);
	s->bytes[s->n++] = c;
}

static inline void sink_add(struct sink *s, const char *text, size_t n)
{
	if (n > SINK_BYTES - s->n) {
		(void)sink_flush(s);
		if (n > SINK_BYTES) {
			(void)buf_add(s->out, text, n);
			return;
		}
	}
	memcpy(s->bytes + s->n, text, n);
	s->n += n;
}

/* As a JSON string, quotes included; what is not UTF-8 becomes U+FFFD, byte by byte. */
void sink_json(struct sink *s, const char *text, size_t n);
/* Without its quotes. */
void sink_json_inner(struct sink *s, const char *text, size_t n);
/* As a field of CSV (RFC 4180): in quotes where it needs them, or is empty. */
void sink_csv(struct sink *s, const char *text, size_t n);
/* Within quotes. */
void sink_csv_inner(struct sink *s, const char *text, size_t n);
bool csv_needs_quotes(const char *text, size_t n);

#endif
