/* Any text as cursor, and any bytes where a genuine one was: only what was given opens. */
#include <stdlib.h>
#include <string.h>

#include "snowgate/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct seal_keys keys = {2, {{"a new key"}, {"an old key"}}};
/* Seals nothing, so that no text at all is genuine. */
static const struct seal_keys idle_keys = {1, {{"another key"}}};
static const struct principal somebody = {PRINCIPAL_KEY, "", "somebody", ""}, else_ = {PRINCIPAL_KEY, "", "else", ""};

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static int read_text(const struct seal_keys *k, const struct principal *p, struct slice list, struct slice text,
		     uint64_t *offset)
{
	struct arena *a = arena_new((size_t)1 << 20);
	struct mcp_fault fault = {0};
	json_t *cursor = json_stringn(text.data ? text.data : "", text.n);
	int e = cursor ? cursor_read(a, k, p, list, cursor, offset, &fault) : ERR_INVALID_PARAMS;
	expect(!cursor || (e == ERR_OK) == !fault.message);
	json_decref(cursor);
	arena_free(a);
	return e;
}

/* The first byte says where the others are laid over a genuine cursor. */
static void try_changed(const uint8_t *data, size_t n)
{
	struct buf b = buf_with_ceiling(1000);
	uint64_t offset = 0;
	expect(cursor_write(&b, &keys, &somebody, SLICE("list"), 12345));
	char *was = xstrndup(b.data, b.n);
	size_t at = n ? data[0] % b.n : 0, len = n ? n - 1 : 0;
	memcpy(b.data + at, data + (n ? 1 : 0), len < b.n - at ? len : b.n - at);
	bool same = crypt_equal(was, b.data, b.n); /* which the fuzzer does not see */
	expect((read_text(&keys, &somebody, SLICE("list"), buf_slice(&b), &offset) == ERR_OK) == same);
	expect(!same || offset == 12345);
	expect(read_text(&keys, &else_, SLICE("list"), buf_slice(&b), &offset) == ERR_INVALID_PARAMS);
	free(was);
	buf_free(&b);
}

/* The input as the name of a list, and as a number. */
static void try_genuine(const uint8_t *data, size_t n)
{
	struct buf b = buf_with_ceiling(1000);
	uint64_t wanted = 0, offset = 1;
	struct slice list = {(const char *)data, n};
	memcpy(&wanted, data, n < sizeof(wanted) ? n : sizeof(wanted));
	expect(cursor_write(&b, &keys, &somebody, list, wanted));
	expect(read_text(&keys, &somebody, list, buf_slice(&b), &offset) == ERR_OK && offset == wanted);
	list.n -= n > 0;
	expect(n == 0 || read_text(&keys, &somebody, list, buf_slice(&b), &offset) == ERR_INVALID_PARAMS);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint64_t offset = 77;
	expect(read_text(&idle_keys, &somebody, SLICE("list"), (struct slice){(const char *)data, n}, &offset) !=
	       ERR_OK);
	expect(offset == 77);
	try_changed(data, n);
	try_genuine(data ? data : (const uint8_t *)"", n);
	return 0;
}
