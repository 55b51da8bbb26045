/* Pieces of work on the wire: arguments for the functions of valkey.lua, and what their replies mean. */
#include "valkey.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "piece.h"

#define WORDS_FRAME 9
#define WORDS_ITEM  5
#define NUMBER_SIZE 24
/* ttl and due: what adds up exactly in a double with the time of day. */
#define MS_MAX (INT64_C(1) << 50)

static const char kinds[RECORD_KINDS] = {
    [RECORD_SESSION] = 's', [RECORD_HANDLE] = 'h', [RECORD_OPERATION] = 'o',
    [RECORD_STREAM] = 'e',  [RECORD_TASK] = 't',   [RECORD_CLAIM] = 'c',
};
static const char verbs[] = {
    [STORE_GET] = 'G',    [STORE_CHECK] = 'C',  [STORE_PUT] = 'P', [STORE_KEEP] = 'K', [STORE_DEL] = 'D',
    [STORE_APPEND] = 'A', [STORE_EVENTS] = 'E', [STORE_DUE] = 'U', [STORE_TELL] = 'T',
};

/* Bits by what a piece does: which function runs it. */
enum { DOES_SCAN = 1, DOES_FREE = 2, DOES_TAKE = 4 };

/* A record stays as it is but for its times. */
static bool renews(const struct store_item *item)
{
	return item->verb == STORE_KEEP && !item->value.data;
}

static unsigned piece_does(const struct store_work *w)
{
	static const unsigned does[] = {
	    [STORE_PUT] = DOES_TAKE,    [STORE_KEEP] = DOES_TAKE, [STORE_DEL] = DOES_FREE,
	    [STORE_APPEND] = DOES_TAKE, [STORE_DUE] = DOES_SCAN,  [STORE_TELL] = DOES_FREE,
	};
	unsigned bits = 0;

	for (size_t i = 0; i < w->n; i++)
		bits |= renews(&w->items[i])                 ? DOES_FREE
			: w->items[i].verb < ARRAY_LEN(does) ? does[w->items[i].verb]
							     : 0;
	return bits;
}

bool piece_writes(const struct store_work *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (item_writes(&w->items[i]))
			return true;
	return false;
}

size_t piece_bytes(const struct store_work *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		n += w->items[i].value.n + STORE_KEY_MAX;
	return n;
}

static struct slice number_word(char *text, int64_t n)
{
	return (struct slice){text, (size_t)snprintf(text, NUMBER_SIZE, "%" PRId64, n)};
}

static struct slice count_word(char *text, uint64_t n)
{
	return (struct slice){text, (size_t)snprintf(text, NUMBER_SIZE, "%" PRIu64, n)};
}

static int64_t ms_within(int64_t ms)
{
	return ms > MS_MAX ? MS_MAX : ms < -MS_MAX ? -MS_MAX : ms;
}

struct item_text {
	char op[2], a[NUMBER_SIZE], b[NUMBER_SIZE];
};

static void item_words(const struct store_item *item, struct item_text *t, struct slice *words)
{
	bool unkeyed = item->verb == STORE_DUE, kindless = item->verb == STORE_TELL;

	t->op[0] = renews(item) ? 'R' : verbs[item->verb];
	t->op[1] = kindless ? '-' : kinds[item->kind];
	words[0] = (struct slice){t->op, 2};
	words[1] = unkeyed ? SLICE("") : slice_of(item->key);
	words[2] = words[3] = words[4] = SLICE("");
	switch (item->verb) {
	case STORE_CHECK:
		words[2] = count_word(t->a, item->version);
		break;
	case STORE_PUT:
	case STORE_KEEP:
		words[2] = number_word(t->a, ms_within(item->ttl_ms));
		words[3] = number_word(t->b, ms_within(item->due_ms));
		words[4] = item->value;
		break;
	case STORE_APPEND:
		words[2] = count_word(t->a, item->number);
		words[4] = item->value;
		break;
	case STORE_EVENTS:
	case STORE_DUE:
		words[2] = count_word(t->a, item->number);
		words[3] = count_word(t->b, item->most);
		break;
	case STORE_TELL:
		words[4] = item->value;
		break;
	case STORE_GET:
		words[2] = count_word(t->a, buf_failed(&item->out) ? 0 : item->out.ceiling - item->out.n);
		break;
	case STORE_DEL:
		break;
	}
}

void piece_send(struct link *l, const struct piece_frame *f, const struct store_work *w)
{
	unsigned does = piece_does(w);
	const char *end = does & DOES_TAKE   ? "_take"
			  : does & DOES_FREE ? "_free"
			  : does & DOES_SCAN ? "_scan"
					     : "_look";
	struct slice words[WORDS_FRAME + WORDS_ITEM * STORE_ITEMS_MAX];
	struct item_text items[STORE_ITEMS_MAX];
	char function[64], slot[NUMBER_SIZE], sequence[NUMBER_SIZE], deadline[NUMBER_SIZE];

	words[0] = SLICE("FCALL");
	words[1] = (struct slice){function, (size_t)snprintf(function, sizeof function, "%s%s", f->library, end)};
	words[2] = SLICE("0");
	words[3] = slice_of(f->prefix);
	words[4] = slice_of(w->group ? w->group : "");
	words[5] = slice_of(f->sender);
	words[6] = count_word(slot, f->slot);
	words[7] = count_word(sequence, f->sequence);
	words[8] = number_word(deadline, f->deadline_ms);
	for (size_t i = 0; i < w->n; i++)
		item_words(&w->items[i], &items[i], words + WORDS_FRAME + i * WORDS_ITEM);
	link_add(l, WORDS_FRAME + w->n * WORDS_ITEM, words);
}

/* ---- replies ---- */
static bool reply_is_text(const redisReply *r)
{
	return r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS;
}

static bool reply_is_list(const redisReply *r, size_t least)
{
	return r->type == REDIS_REPLY_ARRAY && r->elements >= least;
}

/* A whole number, as an integer or in decimal. */
static bool reply_number(const redisReply *r, int64_t *out)
{
	if (r->type == REDIS_REPLY_INTEGER) {
		*out = r->integer;
		return true;
	}
	return r->type == REDIS_REPLY_STRING && strlen(r->str) == r->len &&
	       parse_int(r->str, INT64_MIN, INT64_MAX, out);
}

static bool starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static enum verdict error_verdict(const char *text)
{
	/* A node that is no master, or not yet; one that has lost the functions. */
	static const char *const again[] = {"READONLY", "LOADING", "MASTERDOWN", "ERR Function not found"};

	if (starts(text, "OOM"))
		return VERDICT_FULL;
	for (size_t i = 0; i < ARRAY_LEN(again); i++)
		if (starts(text, again[i]))
			return VERDICT_AGAIN;
	return VERDICT_FAILED;
}

enum verdict piece_verdict(const redisReply *r, int64_t *now_ms)
{
	static const struct {
		const char *state;
		enum verdict verdict;
	} states[] = {{"ok", VERDICT_OK}, {"stale", VERDICT_STALE}, {"full", VERDICT_FULL}, {"late", VERDICT_LATE}};

	if (r->type == REDIS_REPLY_ERROR)
		return error_verdict(r->str);
	if (!reply_is_list(r, 2) || !reply_number(r->element[0], now_ms) || !reply_is_text(r->element[1]))
		return VERDICT_FAILED;
	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		if (strcmp(r->element[1]->str, states[i].state) == 0)
			return states[i].verdict;
	return VERDICT_FAILED;
}

static bool due_from(const redisReply *r, int64_t now_ms, int64_t *out)
{
	int64_t at;

	if (!reply_number(r, &at) || at < STORE_NO_DUE || now_ms < 0)
		return false;
	*out = at == STORE_NO_DUE ? STORE_NO_DUE : at - now_ms;
	if (*out == STORE_NO_DUE && at != STORE_NO_DUE)
		*out = STORE_NO_DUE - 1; /* passed a millisecond ago: not none */
	return true;
}

static bool version_from(const redisReply *r, uint64_t *out)
{
	int64_t n;

	if (!reply_number(r, &n) || n < 1)
		return false;
	*out = (uint64_t)n;
	return true;
}

static bool get_take(struct store_item *item, const redisReply *r, int64_t now_ms)
{
	item->rc = STORE_ABSENT;
	item->version = 0;
	item->due_ms = STORE_NO_DUE;
	if (r->type == REDIS_REPLY_NIL)
		return true;
	if (!reply_is_list(r, 3) || !version_from(r->element[0], &item->version) ||
	    !due_from(r->element[1], now_ms, &item->due_ms) || r->element[2]->type != REDIS_REPLY_STRING)
		return false;
	item->rc = STORE_OK;
	return buf_add(&item->out, r->element[2]->str, r->element[2]->len);
}

static struct slice reply_slice(const redisReply *r)
{
	return (struct slice){r->str, r->len};
}

/* "<number>-0", the value, and so on. */
static bool events_take(struct store_item *item, const redisReply *r)
{
	struct store_row **end = &item->rows;
	char number[NUMBER_SIZE];
	int64_t n;

	if (!reply_is_list(r, 0) || r->elements % 2 || r->elements / 2 > item->most)
		return false;
	for (size_t i = 0; i < r->elements; i += 2) {
		const redisReply *id = r->element[i], *value = r->element[i + 1];
		if (id->type != REDIS_REPLY_STRING || value->type != REDIS_REPLY_STRING || id->len < 3 ||
		    id->len >= sizeof number || strcmp(id->str + id->len - 2, "-0") != 0)
			return false;
		snprintf(number, sizeof number, "%.*s", (int)(id->len - 2), id->str);
		if (!parse_int(number, 1, INT64_MAX, &n))
			return false;
		row_add(&end, "", reply_slice(value))->version = (uint64_t)n;
	}
	return true;
}

static bool due_row_take(struct store_row ***end, const redisReply *r, int64_t now_ms)
{
	uint64_t version;
	int64_t due_ms;

	if (!reply_is_list(r, 4) || r->element[0]->type != REDIS_REPLY_STRING ||
	    strlen(r->element[0]->str) != r->element[0]->len || r->element[3]->type != REDIS_REPLY_STRING ||
	    !version_from(r->element[1], &version) || !due_from(r->element[2], now_ms, &due_ms))
		return false;
	if (!store_key_fits(r->element[0]->str)) /* nothing of ours has written it: the others are not held up */
		return true;
	struct store_row *row = row_add(end, r->element[0]->str, reply_slice(r->element[3]));
	row->version = version;
	row->due_ms = due_ms;
	return true;
}

static bool due_take(struct store_item *item, const redisReply *r, int64_t now_ms)
{
	struct store_row **end = &item->rows;

	if (!reply_is_list(r, 0) || r->elements > item->most)
		return false;
	for (size_t i = 0; i < r->elements; i++)
		if (!due_row_take(&end, r->element[i], now_ms))
			return false;
	return true;
}

static bool item_take(struct store_item *item, const redisReply *r, int64_t now_ms)
{
	item->rc = STORE_OK;
	switch (item->verb) {
	case STORE_GET:
		return get_take(item, r, now_ms);
	case STORE_PUT:
		return version_from(r, &item->version);
	case STORE_EVENTS:
		return events_take(item, r);
	case STORE_DUE:
		return due_take(item, r, now_ms);
	case STORE_KEEP:
	case STORE_CHECK:
	case STORE_DEL:
	case STORE_APPEND:
	case STORE_TELL:
		break;
	}
	return r->type == REDIS_REPLY_INTEGER;
}

bool piece_take(struct store_work *w, const redisReply *r, int64_t now_ms)
{
	bool good = reply_is_list(r, 2) && r->elements == w->n + 2;

	for (size_t i = 0; i < w->n && good; i++)
		good = item_take(&w->items[i], r->element[i + 2], now_ms);
	if (!good)
		piece_forget(w);
	return good;
}
