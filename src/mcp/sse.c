/* Writes events of a text/event-stream (WHATWG HTML, 9.2). */
#include <string.h>

#include "internal.h"

/* A carriage return would end the line; between the tokens of JSON a blank says the same. */
static bool write_line(struct buf *b, struct slice line)
{
	const char *cr;

	buf_adds(b, "data: ");
	while (line.n && (cr = memchr(line.data, '\r', line.n))) {
		size_t n = (size_t)(cr - line.data);
		buf_add(b, line.data, n);
		buf_addc(b, ' ');
		line = (struct slice){cr + 1, line.n - n - 1};
	}
	buf_add(b, line.data, line.n);
	return buf_addc(b, '\n');
}

static bool write_data(struct buf *b, struct slice data)
{
	const char *lf;

	while (data.n && (lf = memchr(data.data, '\n', data.n))) {
		size_t n = (size_t)(lf - data.data);
		write_line(b, (struct slice){data.data, n});
		data = (struct slice){lf + 1, data.n - n - 1};
	}
	return write_line(b, data);
}

static bool is_line(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.data[i] == '\r' || s.data[i] == '\n' || s.data[i] == '\0')
			return false;
	return true;
}

bool sse_write(struct buf *b, const struct sse_event *event)
{
	if (event->data.n)
		buf_adds(b, "event: message\n");
	if (event->id.data && is_line(event->id)) {
		buf_adds(b, "id: ");
		buf_add(b, event->id.data, event->id.n);
		buf_addc(b, '\n');
	}
	if (event->retry_ms > 0)
		buf_addf(b, "retry: %lld\n", (long long)event->retry_ms);
	write_data(b, event->data);
	return buf_addc(b, '\n');
}
