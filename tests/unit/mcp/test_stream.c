/* Streams: what was sent comes again, once and in order; ceilings hold; ids open nothing but their own session's. */
#include "mcp_test.h"

#include "snowgate/stream.h"

#define COST(n) (sizeof(struct stream_event) + (n)) /* what an event of n bytes counts for */
#define S       USEC_PER_S

static struct slice text_of(const char *text)
{
	return (struct slice){text, strlen(text)};
}

static void assert_event(const struct stream_event *e, uint64_t number, const char *text, bool last)
{
	assert_non_null(e);
	assert_int_equal(e->number, number);
	assert_slice((struct slice){e->data, e->n}, text);
	assert_int_equal(e->last, last);
}

static void append(struct stream_pool *pool, struct stream *s, const char *text, bool last, usec_t now)
{
	assert_true(stream_append(pool, s, text_of(text), last, now));
}

/* A finished stream of one event with `n` bytes. */
static struct stream *finished(struct stream_pool *pool, struct stream_set *set, size_t n, usec_t now)
{
	struct stream *s = stream_new(pool, set, 0);
	char *data = xalloc(n + 1);
	assert_non_null(s);
	assert_true(stream_append(pool, s, (struct slice){data, n}, true, now));
	free(data);
	return s;
}

static void test_events_are_numbered_from_1(void **state UNUSED)
{
	struct stream_pool *pool = stream_pool_new(STREAMS_BYTES_MAX);
	struct stream_set set = {0};
	struct stream *s = stream_new(pool, &set, 7);
	assert_int_equal(s->ticket, 7);
	assert_int_equal(s->exchange, 0);
	assert_null(stream_after(s, 0));
	append(pool, s, "one", false, 1);
	append(pool, s, "", false, 2);
	append(pool, s, "three", true, 3);
	assert_event(stream_after(s, 0), 1, "one", false);
	assert_event(stream_after(s, 1), 2, "", false);
	assert_event(stream_after(s, 2), 3, "three", true);
	assert_event(stream_after(s, 0)->next, 2, "", false);
	assert_null(stream_after(s, 3));
	assert_null(stream_after(s, UINT64_MAX));
	assert_int_equal(stream_pool_bytes(pool), COST(3) + COST(0) + COST(5));
	assert_int_equal(s->bytes, stream_pool_bytes(pool));
	stream_set_free(pool, &set);
	assert_int_equal(set.n, 0);
	assert_int_equal(stream_pool_bytes(pool), 0);
	stream_pool_free(pool);
	stream_pool_free(NULL);
}

static void test_finished_is_the_end(void **state UNUSED)
{
	struct stream_pool *pool = stream_pool_new(STREAMS_BYTES_MAX);
	struct stream_set set = {0};
	struct stream *s = stream_new(pool, &set, 0);
	append(pool, s, "a", false, 1);
	assert_false(stream_over(s, 1)); /* more may come */
	append(pool, s, "b", true, 5);
	assert_true(s->finished);
	assert_int_equal(s->ended, 5);
	assert_false(stream_over(s, 0));
	assert_false(stream_over(s, 1));
	assert_true(stream_over(s, 2));
	assert_false(stream_append(pool, s, SLICE("c"), false, 6));
	assert_false(stream_append(pool, s, SLICE("c"), true, 6));
	assert_null(stream_after(s, 2));
	assert_int_equal(s->ended, 5);
	stream_free(pool, s);
	assert_int_equal(set.n, 0);
	stream_pool_free(pool);
}

static void test_a_stream_of_nobody_forgets(void **state UNUSED)
{
	struct stream_pool *pool = stream_pool_new(STREAMS_BYTES_MAX);
	struct stream_set set = {0};
	struct stream *s = stream_new(pool, NULL, 0), *kept = stream_new(pool, &set, 0);
	char id[STREAM_EVENT_ID_SIZE] = "x";
	for (int i = 0; i < 3; i++) {
		append(pool, s, "event", i == 2, 1);
		append(pool, kept, "event", i == 2, 1);
	}
	stream_event_id(id, s, 1);
	assert_string_equal(id, "");
	assert_string_equal(s->id, "");
	stream_sent(pool, s, 0);
	assert_event(stream_after(s, 0), 1, "event", false);
	stream_sent(pool, s, 2);
	stream_sent(pool, kept, 2);
	assert_event(stream_after(s, 0), 3, "event", true);
	assert_event(stream_after(kept, 0), 1, "event", false);
	assert_int_equal(s->bytes, COST(5));
	assert_false(stream_over(s, 2));
	stream_sent(pool, s, 3);
	assert_null(stream_after(s, 0));
	assert_true(stream_over(s, 3));
	assert_int_equal(stream_pool_bytes(pool), 3 * COST(5));
	assert_int_equal(stream_pool_count(pool), 2);
	stream_free(pool, s);
	stream_free(pool, kept);
	stream_pool_free(pool);
}

static void test_event_ids(void **state UNUSED)
{
	static const char *const bad[] = {
	    "",
	    "-1",
	    "aaaaaaaaaaaaa",
	    "aaaaaaaaaaaaa-",
	    "aaaaaaaaaaaa-1",
	    "aaaaaaaaaaaaaa-1",
	    "aaaaaaaaaaaaa-01",
	    "aaaaaaaaaaaaa-00",
	    "aaaaaaaaaaaaa--1",
	    "aaaaaaaaaaaaa-+1",
	    "aaaaaaaaaaaaa-1 ",
	    " aaaaaaaaaaaaa-1",
	    "aaaaaaaaaaaaa-1a",
	    "aaaaaaaaaaaaa_1",
	    "Aaaaaaaaaaaaa-1",
	    "1aaaaaaaaaaaa-1",
	    "8aaaaaaaaaaaa-1",
	    "aaaaaaaaaaaaa-9223372036854775808",
	    "aaaaaaaaaaaaa-18446744073709551617",
	    "aaaaaaaaaaaaa-99999999999999999999",
	    "l.1.1.1.1",
	};
	char stream[STREAM_ID_SIZE] = "unchanged";
	uint64_t number = 77;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(stream_event_id_read(text_of(bad[i]), stream, &number));
	assert_false(stream_event_id_read((struct slice){"aaaaa\0aaaaaaa-1", 15}, stream, &number));
	assert_false(stream_event_id_read((struct slice){"aaaaaaaaaaaaa-1\0", 16}, stream, &number));
	assert_false(stream_event_id_read(slice_of(NULL), stream, &number));
	assert_string_equal(stream, "unchanged");
	assert_int_equal(number, 77);
	assert_true(stream_event_id_read(SLICE("abcdefghij267-0"), stream, &number));
	assert_string_equal(stream, "abcdefghij267");
	assert_int_equal(number, 0);
	assert_true(stream_event_id_read(SLICE("aaaaaaaaaaaaa-9223372036854775807"), stream, &number));
	assert_true(number == INT64_MAX);
}

static void test_an_id_finds_its_own_stream_in_its_own_session(void **state UNUSED)
{
	struct stream_pool *pool = stream_pool_new(STREAMS_BYTES_MAX);
	struct stream_set alice = {0}, bob = {0};
	struct stream *s = stream_new(pool, &alice, 0), *other = stream_new(pool, &alice, 0);
	char text[STREAM_EVENT_ID_SIZE], id[STREAM_ID_SIZE];
	uint64_t number;
	assert_non_null(stream_new(pool, &bob, 0));
	append(pool, s, "{}", false, 1);
	stream_event_id(text, s, 1);
	assert_true(stream_event_id_read(text_of(text), id, &number));
	assert_int_equal(number, 1);
	assert_ptr_equal(stream_find(&alice, id, 1), s);
	assert_ptr_equal(stream_find(&alice, id, 0), s); /* priming */
	assert_null(stream_find(&alice, id, 2));         /* not given yet */
	assert_null(stream_find(&alice, id, INT64_MAX));
	assert_null(stream_find(&bob, id, 1));
	assert_null(stream_find(&alice, "aaaaaaaaaaaaa", 0));
	assert_null(stream_find(&alice, "", 0));
	assert_string_not_equal(s->id, other->id);
	assert_ptr_equal(stream_find(&alice, other->id, 0), other);
	stream_free(pool, s);
	assert_null(stream_find(&alice, id, 1));
	assert_ptr_equal(stream_find(&alice, other->id, 0), other);
	stream_set_free(pool, &alice);
	stream_set_free(pool, &bob);
	stream_pool_free(pool);
}

static void test_a_set_has_a_ceiling(void **state UNUSED)
{
	struct stream_pool *pool = stream_pool_new(STREAMS_BYTES_MAX);
	struct stream_set set = {0}, other = {0};
	struct stream *all[STREAM_SET_MAX];
	char ids[STREAM_SET_MAX][STREAM_ID_SIZE];
	finished(pool, &other, 1, 1);
	for (int i = 0; i < STREAM_SET_MAX; i++) {
		assert_non_null(all[i] = stream_new(pool, &set, 0));
		memcpy(ids[i], all[i]->id, sizeof(ids[i]));
	}
	assert_null(stream_new(pool, &set, 0));
	for (int i = 5; i < 9; i++)
		append(pool, all[i], "{}", true, 100 - i);
	all[5]->exchange = 1; /* somebody reads it */
	assert_non_null(stream_new(pool, &set, 0));
	assert_int_equal(set.n, STREAM_SET_MAX);
	assert_ptr_equal(stream_find(&set, ids[5], 0), all[5]);
	assert_null(stream_find(&set, ids[6], 0)); /* the oldest that nobody reads */
	assert_non_null(stream_find(&set, ids[7], 0));
	assert_non_null(stream_new(pool, &set, 0));
	assert_null(stream_find(&set, ids[7], 0));
	assert_non_null(stream_new(pool, &set, 0));
	assert_null(stream_new(pool, &set, 0));
	assert_ptr_equal(stream_find(&set, ids[5], 0), all[5]);
	all[5]->exchange = 0;
	assert_non_null(stream_new(pool, &set, 0));
	assert_int_equal(other.n, 1);
	assert_int_equal(stream_pool_count(pool), STREAM_SET_MAX + 1);
	stream_set_free(pool, &set);
	stream_set_free(pool, &other);
	stream_pool_free(pool);
}

static void test_what_gives_way(void **state UNUSED)
{
	struct stream_pool *pool = stream_pool_new(10 * COST(1000));
	struct stream_set alice = {0}, bob = {0};
	static char data[1000];
	struct slice event = {data, sizeof(data)};
	finished(pool, &bob, 1000, 1); /* the oldest of all */
	finished(pool, &bob, 1000, 2);
	finished(pool, &alice, 1000, 3);
	finished(pool, &alice, 1000, 4);
	struct stream *s = stream_new(pool, &alice, 0);
	for (int i = 0; i < 6; i++)
		assert_true(stream_append(pool, s, event, false, 5));
	assert_int_equal(stream_pool_bytes(pool), 10 * COST(1000));
	assert_true(stream_append(pool, s, event, false, 5)); /* first the session's own */
	assert_true(alice.n == 2 && bob.n == 2);
	assert_true(stream_append(pool, s, event, false, 5));
	assert_true(alice.n == 1 && bob.n == 2);
	bob.oldest->exchange = 1;
	assert_true(stream_append(pool, s, event, false, 5)); /* then other sessions', but for those that are read */
	assert_true(alice.n == 1 && bob.n == 1 && bob.oldest->ended == 1);
	assert_false(stream_append(pool, s, event, false, 5)); /* no log message pushes out another */
	assert_int_equal(stream_after(s, 0)->number, 1);
	assert_int_equal(s->bytes, 9 * COST(1000));
	assert_true(stream_append(pool, s, event, true, 6)); /* the answer does */
	assert_int_equal(stream_after(s, 0)->number, 2);
	assert_int_equal(stream_pool_bytes(pool), 10 * COST(1000));
	assert_true(bob.n == 1);
	stream_set_free(pool, &alice);
	stream_set_free(pool, &bob);
	stream_pool_free(pool);
}

static void test_what_can_never_fit_pushes_nothing_out(void **state UNUSED)
{
	struct stream_pool *pool = stream_pool_new(3 * COST(1000));
	struct stream_set set = {0};
	static char data[3 * COST(1000)];
	struct stream *old = finished(pool, &set, 1000, 1), *s = stream_new(pool, &set, 0);
	append(pool, s, "log", false, 2);
	assert_false(stream_append(pool, s, (struct slice){data, sizeof(data)}, true, 3));
	assert_int_equal(set.n, 2);
	assert_ptr_equal(set.oldest, old);
	assert_event(stream_after(s, 0), 1, "log", false);
	assert_false(s->finished);
	append(pool, s, "an error instead", true, 4);
	assert_event(stream_after(s, 1), 2, "an error instead", true);
	stream_set_free(pool, &set);
	stream_pool_free(pool);
}

/* The ceiling of one stream; the pool has room enough. */
static void test_an_answer_pushes_out_log_messages_of_its_own_stream(void **state UNUSED)
{
	struct stream_pool *pool = stream_pool_new(STREAMS_BYTES_MAX);
	struct stream_set set = {0};
	size_t n = (STREAM_BYTES_MAX / 4) - sizeof(struct stream_event);
	char *data = xalloc(STREAM_BYTES_MAX + 1);
	struct stream *old = finished(pool, &set, 10, 1), *s = stream_new(pool, &set, 0);
	for (int i = 0; i < 4; i++)
		assert_true(stream_append(pool, s, (struct slice){data, n}, false, 1));
	assert_int_equal(s->bytes, STREAM_BYTES_MAX);
	assert_false(stream_append(pool, s, SLICE(""), false, 2));
	assert_false(stream_append(pool, s, (struct slice){data, STREAM_BYTES_MAX + 1}, true, 2));
	assert_false(stream_append(pool, s, (struct slice){data, STREAM_BYTES_MAX}, true, 2));
	assert_int_equal(s->bytes, STREAM_BYTES_MAX);
	assert_true(stream_append(pool, s, (struct slice){data, n + 1}, true, 2));
	assert_int_equal(stream_after(s, 0)->number, 3); /* two had to go */
	assert_int_equal(stream_after(s, 4)->number, 5);
	assert_true(stream_after(s, 4)->last);
	assert_ptr_equal(set.oldest, old); /* that would not have helped */
	struct stream *whole = stream_new(pool, &set, 0);
	assert_true(stream_append(pool, whole, SLICE("log"), false, 3));
	assert_true(
	    stream_append(pool, whole, (struct slice){data, STREAM_BYTES_MAX - sizeof(struct stream_event)}, true, 3));
	assert_int_equal(stream_after(whole, 0)->number, 2);
	free(data);
	stream_set_free(pool, &set);
	stream_pool_free(pool);
}

static void test_expire(void **state UNUSED)
{
	struct stream_pool *pool = stream_pool_new(STREAMS_BYTES_MAX);
	struct stream_set a = {0}, b = {0};
	struct stream *running = stream_new(pool, &a, 0);
	struct stream *read = finished(pool, &a, 1, 10 * S);
	finished(pool, &b, 1, 11 * S);
	finished(pool, &a, 1, 12 * S);
	finished(pool, NULL, 1, 13 * S);
	struct stream *young = finished(pool, &b, 1, 20 * S);
	read->exchange = 1;
	assert_int_equal(stream_expire(pool, 10 * S, 100), 0);
	assert_int_equal(stream_expire(pool, 11 * S, 100), 0); /* the one that is read stays */
	assert_int_equal(stream_expire(pool, 20 * S, 0), 0);
	assert_int_equal(stream_expire(pool, 20 * S, 1), 1);
	assert_true(a.n == 3 && b.n == 1);
	assert_int_equal(stream_expire(pool, 20 * S, 100), 2);
	assert_true(a.n == 2 && b.n == 1 && b.oldest == young);
	read->exchange = 0;
	assert_int_equal(stream_expire(pool, 100 * S, 100), 2);
	assert_int_equal(stream_expire(pool, 100 * S, 100), 0);
	assert_true(a.n == 1 && a.oldest == running && b.n == 0);
	assert_int_equal(stream_pool_count(pool), 1);
	stream_free(pool, running);
	stream_pool_free(pool);
}

/* Finished, taken back with others finished since, and finished again: it is the last to go, and goes once. */
static void test_taken_back_and_finished_again(void **state UNUSED)
{
	struct stream_pool *pool = stream_pool_new(STREAMS_BYTES_MAX);
	struct stream_set set = {0};
	struct stream *first = finished(pool, &set, 1, 10 * S);

	finished(pool, &set, 1, 11 * S);
	stream_take_back(pool, first);
	assert_false(first->finished);
	append(pool, first, "again", true, 12 * S);
	assert_null(first->done_next);
	assert_int_equal(stream_expire(pool, 12 * S, 100), 1);
	assert_ptr_equal(set.oldest, first);
	assert_int_equal(stream_expire(pool, 13 * S, 100), 1);
	assert_int_equal(stream_pool_count(pool), 0);
	stream_pool_free(pool);
}

/* ---- properties ---- */

/* Repeatable; SplitMix64. */
static uint64_t seed;
static uint64_t chance(uint64_t below)
{
	uint64_t z = seed += 0x9e3779b97f4a7c15U;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return (z ^ (z >> 31)) % below;
}

enum { SETS = 5, STREAMS = 60, EVENTS = 40 };

/* What a stream must hold, in the plainest form there is: which event has which text. */
struct model {
	struct stream *stream;
	size_t set, n;
	bool finished;
	char texts[EVENTS + 1][24];
};
struct world {
	struct stream_pool *pool;
	struct stream_set sets[SETS];
	struct model models[STREAMS];
	size_t n, bytes;
	usec_t now;
};

static void model_append(struct world *w, struct model *m)
{
	if (m->finished)
		return;
	bool last = m->n + 1 == EVENTS || chance(20) == 0;
	m->n++;
	snprintf(m->texts[m->n], sizeof(m->texts[m->n]), "%zu/%zu%.*s", (size_t)(m - w->models), m->n, (int)chance(8),
		 "xxxxxxx");
	append(w->pool, m->stream, m->texts[m->n], last, ++w->now);
	m->finished = last;
	w->bytes += COST(strlen(m->texts[m->n]));
}

static void model_open(struct world *w)
{
	if (w->n == STREAMS)
		return;
	struct model *m = &w->models[w->n];
	m->set = (size_t)chance(SETS);
	assert_non_null(m->stream = stream_new(w->pool, &w->sets[m->set], 0));
	w->n++;
}

/* A reader that was cut off behind event `after` comes back with its id. */
static void model_cut(struct world *w, struct model *m, uint64_t after)
{
	char text[STREAM_EVENT_ID_SIZE], id[STREAM_ID_SIZE];
	uint64_t number, wanted = after;
	stream_event_id(text, m->stream, after);
	assert_true(stream_event_id_read(text_of(text), id, &number));
	assert_int_equal(number, after);
	struct stream *s = stream_find(&w->sets[m->set], id, number);
	assert_ptr_equal(s, m->stream);
	assert_null(stream_find(&w->sets[(m->set + 1) % SETS], id, number));
	assert_null(stream_find(&w->sets[m->set], id, m->n + 1));
	for (const struct stream_event *e; (e = stream_after(s, number)); number = e->number) {
		wanted++;
		assert_event(e, wanted, m->texts[wanted], m->finished && wanted == m->n);
	}
	assert_int_equal(wanted, m->n);
	assert_int_equal(stream_over(s, number), m->finished);
	assert_int_equal(stream_over(s, after), m->finished && after == m->n);
}

static void test_any_cut_replays_the_rest_once_and_in_order(void **state UNUSED)
{
	static struct world w;
	seed = 3;
	w = (struct world){.pool = stream_pool_new(STREAMS_BYTES_MAX)};
	for (int cuts = 0; cuts < 1000;) {
		switch (chance(4)) {
		case 0:
			model_open(&w);
			break;
		case 1:
			if (w.n) {
				struct model *m = &w.models[chance(w.n)];
				model_cut(&w, m, chance(m->n + 1));
				cuts++;
			}
			break;
		default:
			if (w.n)
				model_append(&w, &w.models[chance(w.n)]);
		}
		assert_int_equal(stream_pool_bytes(w.pool), w.bytes);
		assert_int_equal(stream_pool_count(w.pool), w.n);
	}
	assert_int_equal(w.n, STREAMS);
	for (size_t i = 0; i < SETS; i++)
		stream_set_free(w.pool, &w.sets[i]);
	assert_int_equal(stream_pool_bytes(w.pool), 0);
	stream_pool_free(w.pool);
}

/* Checks a set's links and counts, and that each stream holds a run of events without gaps up to its newest. */
static size_t set_bytes(const struct stream_set *set)
{
	size_t n = 0, sum = 0;
	const struct stream *previous = NULL;
	for (const struct stream *s = set->oldest; s; previous = s, s = s->set_next, n++) {
		size_t bytes = 0;
		uint64_t number = s->first ? s->first->number : s->next_number;
		assert_ptr_equal(s->set_prev, previous);
		for (const struct stream_event *e = s->first; e; e = e->next) {
			assert_int_equal(e->number, number++);
			assert_int_equal(e->last, s->finished && !e->next);
			bytes += COST(e->n);
		}
		assert_int_equal(number, s->next_number);
		assert_int_equal(bytes, s->bytes);
		assert_true(!s->finished || (s->newest && s->newest->last)); /* no stream without its answer */
		sum += bytes;
	}
	assert_ptr_equal(set->newest, previous);
	assert_int_equal(set->n, n);
	assert_true(n <= STREAM_SET_MAX);
	return sum;
}

static struct stream *any_stream(struct stream_set *set)
{
	struct stream *s = set->oldest;
	for (uint64_t i = set->n ? chance(set->n) : 0; i; i--)
		s = s->set_next;
	return s;
}

static void act(struct stream_pool *pool, struct stream_set *set, usec_t now)
{
	static char data[3000];
	struct stream *s = any_stream(set);
	uint64_t what = chance(100);
	if (!s || what < 20) {
		struct stream *new = stream_new(pool, set, 0);
		assert_true(new || set->n == STREAM_SET_MAX);
	} else if (what < 90) {
		struct slice event = {data, (size_t)chance(sizeof(data))};
		bool was_finished = s->finished, last = chance(4) == 0;
		uint64_t next = s->next_number;
		size_t bytes = s->bytes;
		if (stream_append(pool, s, event, last, now))
			assert_true(!was_finished && s->finished == last && s->next_number == next + 1);
		else
			assert_true(s->finished == was_finished && s->next_number == next && s->bytes == bytes);
	} else if (what < 94) {
		s->exchange = !s->exchange;
	} else if (what < 97) {
		stream_free(pool, s);
	} else {
		stream_expire(pool, now - 100, (size_t)chance(10));
	}
}

static void test_ceilings_hold_whatever_happens(void **state UNUSED)
{
	enum { BYTES = 100000 };
	struct stream_pool *pool = stream_pool_new(BYTES);
	struct stream_set sets[SETS] = {0};
	seed = 5;
	for (usec_t now = 1; now < 20000; now++) {
		act(pool, &sets[chance(SETS)], now);
		size_t bytes = 0, n = 0;
		for (size_t i = 0; i < SETS; n += sets[i++].n)
			bytes += set_bytes(&sets[i]);
		assert_int_equal(stream_pool_bytes(pool), bytes);
		assert_int_equal(stream_pool_count(pool), n);
		assert_true(bytes <= BYTES);
	}
	for (size_t i = 0; i < SETS; i++)
		stream_set_free(pool, &sets[i]);
	stream_pool_free(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_events_are_numbered_from_1),
	    cmocka_unit_test(test_finished_is_the_end),
	    cmocka_unit_test(test_a_stream_of_nobody_forgets),
	    cmocka_unit_test(test_event_ids),
	    cmocka_unit_test(test_an_id_finds_its_own_stream_in_its_own_session),
	    cmocka_unit_test(test_a_set_has_a_ceiling),
	    cmocka_unit_test(test_what_gives_way),
	    cmocka_unit_test(test_what_can_never_fit_pushes_nothing_out),
	    cmocka_unit_test(test_an_answer_pushes_out_log_messages_of_its_own_stream),
	    cmocka_unit_test(test_expire),
	    cmocka_unit_test(test_taken_back_and_finished_again),
	    cmocka_unit_test(test_any_cut_replays_the_rest_once_and_in_order),
	    cmocka_unit_test(test_ceilings_hold_whatever_happens),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
