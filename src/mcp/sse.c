/* Writes events of a text/event-stream (WHATWG HTML, 9.2). */
#include <string.h>

#include "internal.h"

/* What ends a line for the standard, or for readers that go by Unicode (NEL, LS, PS), and what says the same in JSON: a
 * carriage return can only stand between tokens, the others only in strings. */
static const struct {
	const char *bytes, *instead;
} breaks[] = {{"\r", " "}, {"\xc2\x85", "\\u0085"}, {"\xe2\x80\xa8", "\\u2028"}, {"\xe2\x80\xa9", "\\u2029"}};

/* The break that starts here, or NULL. */
static const char *break_at(struct slice rest, size_t *n)
{
	for (size_t i = 0; i < ARRAY_LEN(breaks); i++) {
		*n = strlen(breaks[i].bytes);
		if (rest.n >= *n && memcmp(rest.data, breaks[i].bytes, *n) == 0)
			return breaks[i].instead;
	}
	return NULL;
}

static bool write_line(struct buf *b, struct slice line)
{
	size_t plain = 0, n;

	buf_adds(b, "data: ");
	for (size_t i = 0; i < line.n; i += n) {
		const char c = line.data[i];
		const char *instead = c == '\r' || c == '\xc2' || c == '\xe2'
					  ? break_at((struct slice){line.data + i, line.n - i}, &n)
					  : NULL;

		if (!instead) {
			n = 1;
			continue;
		}
		buf_add(b, line.data + plain, i - plain);
		buf_adds(b, instead);
		plain = i + n;
	}
	buf_add(b, line.data + plain, line.n - plain);
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
