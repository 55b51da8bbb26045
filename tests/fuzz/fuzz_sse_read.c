/* The first byte tells the size of the pieces: a stream of events is read as the same messages in any of them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "snowgate/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CEILING 4096

static enum sse_verdict read_all(struct slice all, size_t piece, struct buf *out)
{
	struct sse_reader r = sse_reader_new(CEILING);
	enum sse_verdict v = SSE_MORE;
	struct sse_message m;

	while (all.n) {
		struct slice in = {all.data, all.n < piece ? all.n : piece};

		all = (struct slice){all.data + in.n, all.n - in.n};
		while ((v = sse_reader_next(&r, &in, &m)) == SSE_MESSAGE) {
			if (m.data.n > CEILING || (m.too_long && m.data.n) || strlen(m.type) >= SSE_TYPE_SIZE)
				abort();
			buf_addf(out, "%s %zu %d ", m.type, m.data.n, m.too_long);
			buf_add(out, m.data.data, m.data.n);
		}
		if (v == SSE_MORE && in.n)
			abort();
	}
	sse_reader_free(&r);
	return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf whole = buf_with_ceiling((size_t)16 << 20), pieces = buf_with_ceiling((size_t)16 << 20);
	enum sse_verdict a, b;
	struct slice all;

	if (n < 2)
		return 0;
	all = (struct slice){(const char *)data + 1, n - 1};
	a = read_all(all, all.n, &whole);
	b = read_all(all, (size_t)data[0] + 1, &pieces);
	if (a != b || whole.n != pieces.n || (whole.n && memcmp(whole.data, pieces.data, whole.n) != 0))
		abort();
	buf_free(&whole);
	buf_free(&pieces);
	return 0;
}
