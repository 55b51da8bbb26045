/* sse.h
 *
 * Reads a stream of server-sent events as it comes, in slices of any size (WHATWG HTML, 9.2.6). Pure. For what other
 * servers send to us; what we send is in mcp.h. `id` and `retry` are not wanted here and passed over.
 *
 * Owner of a reader: whoever holds it; not shared.
 */
#ifndef SNOWGATE_SSE_H
#define SNOWGATE_SSE_H

#include "snowgate/buf.h"

#define SSE_TYPE_SIZE 64

struct sse_message {
	const char *type; /* "message" where none was given; cut to SSE_TYPE_SIZE - 1 bytes */
	struct slice data;
	bool too_long; /* there was more than the reader's ceiling: none of it is here */
};

enum sse_verdict {
	SSE_MORE,   /* all of the input is used up */
	SSE_MESSAGE /* one is complete; valid until the next call */
};

struct sse_reader {
	struct buf line, data; /* under way */
	char type[SSE_TYPE_SIZE];
	bool begun;  /* the first line was seen: no byte order mark any more */
	bool was_cr; /* a line feed that comes now belongs to the line end before it */
	bool told;   /* `data` holds a message that was told */
	bool passes; /* over the rest of a line that is above the ceiling */
	bool too_long;
};

/* Of a message with more than `ceiling` bytes of data nothing is kept; that it came is told. */
struct sse_reader sse_reader_new(size_t ceiling);
void sse_reader_free(struct sse_reader *r);
/* Gives up what is kept of the message under way, which becomes one that is too long. */
void sse_reader_skip(struct sse_reader *r);
/* Reads on, and takes what it has read off *in. A message that the stream's end cuts off is never told. */
enum sse_verdict sse_reader_next(struct sse_reader *r, struct slice *in, struct sse_message *message);

#endif
