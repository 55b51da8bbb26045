/* Any bytes from a server as the replies to a piece with one item of each verb, and as messages of a subscription: what
 * is taken is whole and within its bounds, what is not leaves nothing behind. */
#include <string.h>

#include "../../src/store/valkey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define SENDER "0123456789abcdef"
#define MOST   4

static void expect(bool holds)
{
	if (!holds)
		abort();
}

/* hiredis makes room for as many elements as the server announces; that is not what is tried here. */
static bool announces_much(const uint8_t *data, size_t n)
{
	size_t digits = 0;
	bool counting = false;

	for (size_t i = 0; i < n; i++) {
		counting = data[i] == '*' || data[i] == '$' || (counting && data[i] >= '0' && data[i] <= '9');
		digits = counting ? digits + 1 : 0;
		if (digits > 5)
			return true;
	}
	return false;
}

static size_t rows_check(const struct store_item *item)
{
	size_t n = 0;

	for (const struct store_row *r = item->rows; r; r = r->next, n++) {
		expect(r->version > 0 && r->value[r->n] == '\0');
		expect(memchr(r->key, '\0', sizeof r->key));
		expect(item->verb == STORE_DUE ? store_key_fits(r->key) : !*r->key);
	}
	return n;
}

static void piece_check(const redisReply *r)
{
	struct store_item items[] = {
	    {.verb = STORE_GET, .key = "k", .out = buf_with_ceiling(64)},
	    {.verb = STORE_PUT, .key = "k"},
	    {.verb = STORE_EVENTS, .key = "k", .most = MOST},
	    {.verb = STORE_DUE, .most = MOST},
	    {.verb = STORE_APPEND, .key = "k"},
	};
	struct store_work w = {.items = items, .n = ARRAY_LEN(items)};
	int64_t now = -1;

	if (piece_verdict(r, &now) == VERDICT_OK && piece_take(&w, r, now)) {
		expect(items[0].rc == STORE_ABSENT ? items[0].version == 0 : items[0].version > 0);
		expect(items[1].version > 0);
		expect(rows_check(&items[2]) <= MOST && rows_check(&items[3]) <= MOST);
	} else {
		expect(!items[2].rows && !items[3].rows && items[0].out.n == 0);
	}
	buf_free(&items[0].out);
	store_rows_free(&items[2]);
	store_rows_free(&items[3]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	redisReader *reader;
	const char *channel;
	struct slice value;
	void *reply;

	if (announces_much(data, n))
		return 0;
	reader = redisReaderCreate();
	redisReaderFeed(reader, (const char *)data, n);
	while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply) {
		piece_check(reply);
		if (tell_message(reply, "p:", SENDER, &channel, &value))
			expect(*channel && value.data);
		freeReplyObject(reply);
	}
	redisReaderFree(reader);
	return 0;
}
