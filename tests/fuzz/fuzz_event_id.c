/* Any text as Last-Event-ID: what is read is what was written, and it finds no stream but the session's own. */
#include <stdlib.h>
#include <string.h>

#include "snowgate/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

/* A set with one stream that bears `id` and has given the numbers 0 to 2. */
static void try_find(struct stream_pool *pool, const char *id, uint64_t number)
{
	struct stream_set mine = {0}, foreign = {0};
	struct stream *s = stream_new(pool, &mine, 0), *other = stream_new(pool, &foreign, 0);
	expect(s && other && !stream_find(&mine, id, number));
	memcpy(s->id, id, STREAM_ID_SIZE);
	expect(stream_append(pool, s, SLICE("{}"), false, 1) && stream_append(pool, s, SLICE("{}"), true, 2));
	expect(stream_find(&mine, id, number) == (number <= 2 ? s : NULL));
	expect(!stream_find(&foreign, id, number));
	const struct stream_event *e = stream_after(s, number);
	expect(number < 2 ? e && e->number == number + 1 : !e);
	expect(stream_over(s, number) == (number >= 2));
	stream_set_free(pool, &mine);
	stream_set_free(pool, &foreign);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct stream_pool *pool;
	char id[STREAM_ID_SIZE], again[STREAM_EVENT_ID_SIZE];
	uint64_t number = 0;

	if (!pool)
		pool = stream_pool_new(STREAMS_BYTES_MAX);
	struct slice all = {(const char *)data, n};
	if (stream_event_id_read(all, id, &number)) {
		struct stream_set set;
		struct stream named = {.set = &set};
		memcpy(named.id, id, sizeof(id));
		stream_event_id(again, &named, number);
		expect(slice_is(all, again)); /* one text per id */
		try_find(pool, id, number);
	}
	expect(stream_pool_count(pool) == 0);
	return 0;
}
