/* Results of Snowflake, any bytes: decoded as partition 0 and again as a further one, in slices, in text or compressed.
 */
#include "snowgate/snowflake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* To the end of the bytes, or of the window. */
static int decode(struct arena *a, struct statement *s, const uint8_t *data, size_t n, size_t slice)
{
	int err = ERR_OK;

	s->raw_begins = true;
	for (size_t at = 0; !err && at < n && (at == 0 || s->fed == FED_MORE); at += slice) {
		buf_free(&s->raw);
		s->raw = buf_with_ceiling(1 << 20);
		s->raw_at = 0;
		s->raw_last = at + slice >= n;
		buf_add(&s->raw, data + at, s->raw_last ? n - at : slice);
		do
			err = statement_decode(a, s, 100);
		while (!err && s->fed == FED_SLICE);
	}
	assert(err || s->rows_n <= s->rows);
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *arena = arena_new(1 << 20);
	struct statement s = {.offset = n % 3, .rows = 10, .budget = {SIZE_MAX, 4096, 64}, .bytes = 4096};
	size_t slice = n % 7 ? n % 61 + 1 : n + 1;

	s.metadata = n % 5 == 0;
	s.raw_gzip = n > 1 && data[0] == 0x1f && data[1] == 0x8b;
	if (n < (1 << 20) && decode(arena, &s, data, n, slice) == ERR_OK && s.fed == FED_END) {
		assert(s.next_partition <= s.partitions_n);
		s.raw_partition = (int)s.next_partition;
		(void)!decode(arena, &s, data, n, slice);
	}
	buf_free(&s.raw);
	buf_free(&s.text);
	arena_free(arena);
	return 0;
}
