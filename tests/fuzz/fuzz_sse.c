/* A flag byte, an id up to the first line feed, then data, cut into events at each byte 0xff: whatever is written is
 * read back by a strict reader, carriage returns as blanks, Unicode's line ends escaped. */
#include <stdlib.h>
#include <string.h>

#include "../unit/mcp/sse_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define EVENTS_MAX 64

static void expect(bool holds)
{
	if (!holds)
		abort();
}

/* What is read for the bytes that begin here, and how many they are. */
static struct slice expected(struct slice rest, size_t *n)
{
	static const char *const pairs[][2] = {
	    {"\r", " "}, {"\xc2\x85", "\\u0085"}, {"\xe2\x80\xa8", "\\u2028"}, {"\xe2\x80\xa9", "\\u2029"}};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		*n = strlen(pairs[i][0]);
		if (rest.n >= *n && memcmp(rest.data, pairs[i][0], *n) == 0)
			return slice_of(pairs[i][1]);
	}
	*n = 1;
	return (struct slice){rest.data, 1};
}

static bool same_text(struct slice wanted, struct slice got)
{
	while (wanted.n) {
		size_t n;
		struct slice part = expected(wanted, &n);

		if (got.n < part.n || memcmp(got.data, part.data, part.n) != 0)
			return false;
		got = (struct slice){got.data + part.n, got.n - part.n};
		wanted = (struct slice){wanted.data + n, wanted.n - n};
	}
	return got.n == 0;
}

static void check_event(struct slice *rest, const struct sse_event *event)
{
	struct sse_seen seen;
	expect(sse_read(rest, &seen));
	bool is_line =
	    event->id.data && !memchr(event->id.data, '\r', event->id.n) && !memchr(event->id.data, '\0', event->id.n);
	expect(seen.has_id == is_line);
	if (seen.has_id)
		expect(seen.id.n == event->id.n && memcmp(seen.id.data, event->id.data, seen.id.n) == 0);
	expect(seen.retry_ms == event->retry_ms);
	expect(strcmp(seen.type, event->data.n ? "message" : "") == 0);
	expect(same_text(event->data, buf_slice(&seen.data)));
	buf_free(&seen.data);
}

static size_t cut(struct slice all, struct slice id, int64_t retry_ms, struct sse_event *events)
{
	size_t n = 0;
	while (n < EVENTS_MAX) {
		const char *end = all.n ? memchr(all.data, 0xff, all.n) : NULL;
		size_t length = end ? (size_t)(end - all.data) : all.n;
		events[n++] = (struct sse_event){id, retry_ms, {all.data, length}};
		if (!end)
			break;
		all = (struct slice){end + 1, all.n - length - 1};
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct sse_event events[EVENTS_MAX];
	struct buf out = buf_with_ceiling((size_t)16 << 20);

	if (n < 1)
		return 0;
	struct slice all = {(const char *)data + 1, n - 1}, id = {NULL, 0};
	const char *end = all.n ? memchr(all.data, '\n', all.n) : NULL;
	if (end && (data[0] & 1)) {
		id = (struct slice){all.data, (size_t)(end - all.data)};
		all = (struct slice){end + 1, all.n - id.n - 1};
	}
	size_t events_n = cut(all, id, data[0] >> 1, events);
	for (size_t i = 0; i < events_n; i++)
		expect(sse_write(&out, &events[i]));
	struct slice rest = buf_slice(&out);
	for (size_t i = 0; i < events_n; i++)
		check_event(&rest, &events[i]);
	expect(rest.n == 0);
	buf_free(&out);
	return 0;
}
