/* Results of Snowflake, any bytes: decoded as partition 0 and again as a further one. */
#include "snowgate/snowflake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *arena = arena_new(1 << 20);
	struct statement s = {.offset = n % 3, .rows = 10, .bytes = 4096};

	s.raw = buf_with_ceiling(1 << 20);
	buf_add(&s.raw, data, n);
	if (!buf_failed(&s.raw) && statement_decode(arena, &s) == ERR_OK) {
		assert(s.pages_n <= s.partitions_n && s.next_partition <= s.partitions_n);
		s.raw_partition = (int)s.next_partition;
		(void)!statement_decode(arena, &s);
		assert(s.pages_n <= s.partitions_n);
	}
	buf_free(&s.raw);
	arena_free(arena);
	return 0;
}
