/* sse_reader.h: a strict reader of text/event-stream (WHATWG HTML, 9.2.6) to hold the writer against. */
#ifndef SSE_READER_H
#define SSE_READER_H

#include <string.h>

#include "snowgate/mcp.h"

struct sse_seen {
	bool has_id, has_data;
	char type[16];    /* "" where no event line came */
	struct slice id;  /* borrowed from the text */
	int64_t retry_ms; /* 0: none */
	struct buf data;  /* lines joined by line feeds; whoever reads it frees it */
};

/* The next line without its end, which is CR LF, LF or CR. False: the text ends before the line does. */
static inline bool sse_line(struct slice *rest, struct slice *line)
{
	size_t i = 0;
	while (i < rest->n && rest->data[i] != '\n' && rest->data[i] != '\r')
		i++;
	if (i == rest->n)
		return false;
	size_t end = rest->data[i] == '\r' && i + 1 < rest->n && rest->data[i + 1] == '\n' ? i + 2 : i + 1;
	*line = (struct slice){rest->data, i};
	*rest = (struct slice){rest->data + end, rest->n - end};
	return true;
}

static inline bool sse_field(struct sse_seen *e, struct slice name, struct slice value)
{
	if (slice_is(name, "data")) {
		if (e->has_data)
			buf_addc(&e->data, '\n');
		e->has_data = true;
		return buf_add(&e->data, value.data, value.n);
	}
	if (slice_is(name, "event")) {
		if (*e->type || !value.n || value.n >= sizeof(e->type))
			return false;
		memcpy(e->type, value.data, value.n);
		return true;
	}
	if (slice_is(name, "id")) {
		if (e->has_id || memchr(value.data, '\0', value.n))
			return false;
		e->has_id = true;
		e->id = value;
		return true;
	}
	char digits[24] = "";
	if (!slice_is(name, "retry") || e->retry_ms || value.n >= sizeof(digits))
		return false;
	memcpy(digits, value.data, value.n);
	return parse_int(digits, 1, INT64_MAX, &e->retry_ms);
}

/* Reads one event and its blank line. False: it is cut off, a field is unknown or comes twice, or it has no data. */
static inline bool sse_read(struct slice *rest, struct sse_seen *e)
{
	struct slice line;

	*e = (struct sse_seen){.data = buf_with_ceiling((size_t)16 << 20)};
	while (sse_line(rest, &line)) {
		if (line.n == 0)
			return e->has_data;
		const char *colon = memchr(line.data, ':', line.n);
		if (!colon || colon == line.data)
			return false;
		struct slice name = {line.data, (size_t)(colon - line.data)};
		struct slice value = {colon + 1, line.n - name.n - 1};
		if (value.n && *value.data == ' ')
			value = (struct slice){value.data + 1, value.n - 1};
		if (!sse_field(e, name, value))
			return false;
	}
	return false;
}

#endif
