/* What every back end of the store must do, whichever it is; and what the batch promises to its callers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "snowgate/err.h"
#include "snowgate/store.h"
#include "snowgate/wheel.h"

#define NOW 1700000000

/* New back ends join here. */
static const struct store_backend *const backends[] = {&store_memory};

static struct conf conf;
static const struct store_backend *backend;
static struct store *store;

static void opened(const struct store_backend *b)
{
	char why[160];

	clock_set_virtual(1000 * USEC_PER_S, NOW * USEC_PER_S);
	backend = b;
	store = b->open(&conf, why, sizeof why);
	assert_non_null(store);
	assert_int_equal(b->begin(store), ERR_OK);
}

static void closed(void)
{
	assert_int_equal(backend->commit(store), ERR_OK);
	backend->close(store);
}

static void turn_over(void)
{
	assert_int_equal(backend->commit(store), ERR_OK);
	assert_int_equal(backend->begin(store), ERR_OK);
}

static int put(enum record_kind kind, const char *key, const char *value, int64_t expires)
{
	return backend->put(store, kind, key, slice_of(value), expires);
}

/* NULL: there must be none. */
static void is_there(enum record_kind kind, const char *key, const char *value)
{
	struct buf b = buf_with_ceiling(1 << 20);
	int rc = backend->get(store, kind, key, &b);

	assert_int_equal(rc, value ? ERR_OK : ERR_NOT_FOUND);
	assert_string_equal(buf_text(&b), value ? value : "");
	buf_free(&b);
}

#define FOR_EACH_BACKEND(...)                                                                                          \
	(void)state;                                                                                                   \
	for (size_t at = 0; at < ARRAY_LEN(backends); at++) {                                                          \
		opened(backends[at]);                                                                                  \
		__VA_ARGS__                                                                                            \
		closed();                                                                                              \
	}

static void test_put_get_del(void **state)
{
	FOR_EACH_BACKEND({
		is_there(RECORD_SESSION, "a", NULL);
		assert_int_equal(put(RECORD_SESSION, "a", "one", NOW + 10), ERR_OK);
		is_there(RECORD_SESSION, "a", "one");
		assert_int_equal(put(RECORD_SESSION, "a", "a longer one", NOW + 10), ERR_OK);
		is_there(RECORD_SESSION, "a", "a longer one");
		assert_int_equal(put(RECORD_SESSION, "a", "", NOW + 10), ERR_OK);
		is_there(RECORD_SESSION, "a", "");
		turn_over();
		is_there(RECORD_SESSION, "a", "");
		assert_int_equal(backend->del(store, RECORD_SESSION, "a"), ERR_OK);
		is_there(RECORD_SESSION, "a", NULL);
		assert_int_equal(backend->del(store, RECORD_SESSION, "a"), ERR_NOT_FOUND);
	})
}

static void test_kinds_and_keys_are_apart(void **state)
{
	static const char *const keys[] = {"",  "a", "A", "a ", "a:b", "aa", "\xc3\xa4", "'; DROP TABLE x; --",
					   "*", "%"};

	FOR_EACH_BACKEND({
		for (size_t i = 0; i < ARRAY_LEN(keys); i++)
			for (int k = 0; k < RECORD_KINDS; k++) {
				char value[32];

				snprintf(value, sizeof value, "%zu/%d", i, k);
				assert_int_equal(put((enum record_kind)k, keys[i], value, NOW + 10), ERR_OK);
			}
		turn_over();
		for (size_t i = 0; i < ARRAY_LEN(keys); i++)
			for (int k = 0; k < RECORD_KINDS; k++) {
				char value[32];

				snprintf(value, sizeof value, "%zu/%d", i, k);
				is_there((enum record_kind)k, keys[i], value);
			}
		assert_int_equal(backend->del(store, RECORD_SESSION, "a"), ERR_OK);
		is_there(RECORD_OPERATION, "a", "1/1");
	})
}

static void test_any_bytes(void **state)
{
	FOR_EACH_BACKEND({
		struct buf in = buf_with_ceiling(1 << 20);
		struct buf out = buf_with_ceiling(1 << 20);

		for (int i = 0; i < 100000; i++)
			buf_addc(&in, (char)(i * 7));
		assert_int_equal(backend->put(store, RECORD_SESSION, "k", buf_slice(&in), NOW + 10), ERR_OK);
		turn_over();
		/* what the buffer held before stays */
		buf_adds(&out, "x");
		assert_int_equal(backend->get(store, RECORD_SESSION, "k", &out), ERR_OK);
		assert_int_equal(out.n, in.n + 1);
		assert_memory_equal(out.data + 1, in.data, in.n);
		buf_free(&out);
		/* a reader with too little room is told, and the record stays */
		out = buf_with_ceiling(10);
		assert_int_not_equal(backend->get(store, RECORD_SESSION, "k", &out), ERR_OK);
		buf_free(&out);
		out = buf_with_ceiling(1 << 20);
		assert_int_equal(backend->get(store, RECORD_SESSION, "k", &out), ERR_OK);
		buf_free(&out);
		buf_free(&in);
	})
}

/* From the second on in which it expires, a record is as if deleted, swept or not. */
static void test_expiry(void **state)
{
	FOR_EACH_BACKEND({
		assert_int_equal(put(RECORD_SESSION, "a", "one", NOW + 10), ERR_OK);
		assert_int_equal(put(RECORD_SESSION, "b", "two", NOW + 20), ERR_OK);
		clock_advance(9 * USEC_PER_S);
		is_there(RECORD_SESSION, "a", "one");
		clock_advance(USEC_PER_S);
		is_there(RECORD_SESSION, "a", NULL);
		assert_int_equal(backend->del(store, RECORD_SESSION, "a"), ERR_NOT_FOUND);
		is_there(RECORD_SESSION, "b", "two");
		/* put again it lives again */
		assert_int_equal(put(RECORD_SESSION, "a", "three", NOW + 15), ERR_OK);
		is_there(RECORD_SESSION, "a", "three");
		/* a put moves the end, either way */
		assert_int_equal(put(RECORD_SESSION, "a", "three", NOW + 100), ERR_OK);
		clock_advance(50 * USEC_PER_S);
		is_there(RECORD_SESSION, "a", "three");
		is_there(RECORD_SESSION, "b", NULL);
		for (int i = 0; i < 100; i++)
			backend->expire(store, clock_wall());
		is_there(RECORD_SESSION, "a", "three");
		assert_int_equal(put(RECORD_SESSION, "c", "past", NOW), ERR_OK);
		is_there(RECORD_SESSION, "c", NULL);
	})
}

static void test_many(void **state)
{
	enum { N = 5000 };
	char key[32];

	FOR_EACH_BACKEND({
		for (int i = 0; i < N; i++) {
			snprintf(key, sizeof key, "key %d", i);
			assert_int_equal(put(RECORD_SESSION, key, key, NOW + (i % 2 ? 10 : 1000)), ERR_OK);
		}
		turn_over();
		clock_advance(100 * USEC_PER_S);
		for (int i = 0; i < 100; i++)
			backend->expire(store, clock_wall());
		for (int i = 0; i < N; i++) {
			snprintf(key, sizeof key, "key %d", i);
			is_there(RECORD_SESSION, key, i % 2 ? NULL : key);
		}
	})
}

/* A full store refuses what is new, keeps what it has, and has room again where something goes. One kind's records
 * never take another's room. */
static void test_ceiling(void **state)
{
	char key[32];

	FOR_EACH_BACKEND({
		long n = 0;
		int rc;

		do {
			snprintf(key, sizeof key, "%ld", n++);
			rc = put(RECORD_OPERATION, key, "x", NOW + 10);
		} while (rc == ERR_OK && n < 1000000);
		if (rc == ERR_OK)
			print_message("%s: no ceiling below a million\n", backend->name);
		else {
			assert_int_equal(rc, ERR_OVERLOADED);
			is_there(RECORD_OPERATION, key, NULL);
			is_there(RECORD_OPERATION, "0", "x");
			assert_int_equal(put(RECORD_OPERATION, "0", "y", NOW + 10), ERR_OK);
			is_there(RECORD_OPERATION, "0", "y");
			assert_int_equal(put(RECORD_SESSION, "s", "session", NOW + 10), ERR_OK);
			assert_int_equal(backend->del(store, RECORD_OPERATION, "0"), ERR_OK);
			assert_int_equal(put(RECORD_OPERATION, key, "x", NOW + 10), ERR_OK);
			assert_int_equal(put(RECORD_OPERATION, "new", "x", NOW + 10), ERR_OVERLOADED);
			clock_advance(10 * USEC_PER_S);
			for (int i = 0; i < 100; i++)
				backend->expire(store, clock_wall());
			assert_int_equal(put(RECORD_OPERATION, "new", "x", NOW + 20), ERR_OK);
		}
	})
}

/* Bytes have a ceiling as well as records. */
static void test_ceiling_of_bytes(void **state)
{
	char key[32];

	FOR_EACH_BACKEND({
		static char large[1 << 20];
		int rc = ERR_OK;

		memset(large, 'x', sizeof large);
		for (int i = 0; i < 400 && rc == ERR_OK; i++) {
			snprintf(key, sizeof key, "%d", i);
			rc = backend->put(store, RECORD_SESSION, key, (struct slice){large, sizeof large}, NOW + 10);
		}
		if (backend == &store_memory)
			assert_int_equal(rc, ERR_OVERLOADED);
		/* replacing a large one by a small one makes room */
		assert_int_equal(put(RECORD_SESSION, "0", "x", NOW + 10), ERR_OK);
		assert_int_equal(put(RECORD_SESSION, "small", "x", NOW + 10), ERR_OK);
	})
}

/* ---- the batch ---- */

enum { PIECES = 5 };
static char order[64];

struct piece {
	struct store_work work;
	int number, result;
	bool worked, again;
};

static void note(char c)
{
	size_t n = strlen(order);

	assert_true(n + 1 < sizeof order);
	order[n] = c;
}

static void piece_work(struct store_work *w, struct store *s, const struct store_backend *b)
{
	struct piece *p = container_of(w, struct piece, work);

	assert_non_null(s);
	assert_ptr_equal(b, &store_memory);
	p->worked = true;
	note((char)('0' + p->number));
	assert_int_equal(b->put(s, RECORD_SESSION, "k", SLICE("v"), NOW + 10), ERR_OK);
}

static void piece_done(struct store_work *w, int result)
{
	struct piece *p = container_of(w, struct piece, work);

	assert_int_equal(thread_self(), THREAD_STORE);
	p->result = result;
	note((char)('a' + p->number));
	if (p->again) {
		p->again = false;
		store_post(&p->work);
	}
}

static void pieces_open(struct piece pieces[PIECES])
{
	char why[160];

	clock_set_virtual(1000 * USEC_PER_S, NOW * USEC_PER_S);
	memset(order, 0, sizeof order);
	memset(pieces, 0, PIECES * sizeof *pieces);
	for (int i = 0; i < PIECES; i++)
		pieces[i] = (struct piece){.work = {.work = piece_work, .done = piece_done}, .number = i, .result = -1};
	assert_true(store_open(&conf, why, sizeof why));
}

/* All of a batch is worked on before any of it is reported done, in the order in which it came. */
static void test_done_after_commit_in_order(void **state)
{
	struct piece pieces[PIECES];

	(void)state;
	pieces_open(pieces);
	thread_play(THREAD_NET);
	store_post(&pieces[0].work);
	thread_play(THREAD_SNOWFLAKE);
	store_post(&pieces[1].work);
	store_post(&pieces[2].work);
	assert_string_equal(order, "");
	thread_play(THREAD_STORE);
	assert_int_equal(store_turn(), 3);
	assert_string_equal(order, "012abc");
	assert_int_equal(pieces[0].result, ERR_OK);
	assert_int_equal(store_turn(), 0);
	store_close();
	thread_play(THREAD_MAIN);
}

/* Work posted by what is done belongs to the next batch. */
static void test_done_may_post_again(void **state)
{
	struct piece pieces[PIECES];

	(void)state;
	pieces_open(pieces);
	thread_play(THREAD_STORE);
	pieces[0].again = true;
	store_post(&pieces[0].work);
	store_post(&pieces[1].work);
	assert_int_equal(store_turn(), 2);
	assert_string_equal(order, "01ab");
	assert_int_equal(store_turn(), 1);
	assert_string_equal(order, "01ab0a");
	store_close();
	thread_play(THREAD_MAIN);
}

/* ---- the thread ---- */

static void moved_on(struct mail *m)
{
	(void)m;
	note('!');
}

static struct mail home = {.deliver = moved_on};

static void thread_done(struct store_work *w, int result)
{
	struct piece *p = container_of(w, struct piece, work);

	p->result = result;
	if (p->again) {
		p->again = false;
		store_post(&p->work);
		return;
	}
	mail_post(THREAD_NET, &home);
}

/* The thread works on what its own callbacks post without being asked again, and finishes before it stops. */
static void test_thread(void **state)
{
	struct piece p = {.work = {.work = piece_work, .done = thread_done}, .result = -1, .again = true};
	char why[160];

	(void)state;
	memset(order, 0, sizeof order);
	clock_set_virtual(1000 * USEC_PER_S, NOW * USEC_PER_S);
	assert_true(store_start(&conf, why, sizeof why));
	thread_play(THREAD_NET);
	store_post(&p.work);
	assert_int_equal(mail_wait(THREAD_NET, 5 * USEC_PER_S), 1);
	assert_int_equal(p.result, ERR_OK);
	assert_string_equal(order, "00!");
	thread_play(THREAD_MAIN);
	store_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_put_get_del),
	    cmocka_unit_test(test_kinds_and_keys_are_apart),
	    cmocka_unit_test(test_any_bytes),
	    cmocka_unit_test(test_expiry),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_ceiling),
	    cmocka_unit_test(test_ceiling_of_bytes),
	    cmocka_unit_test(test_done_after_commit_in_order),
	    cmocka_unit_test(test_done_may_post_again),
	    cmocka_unit_test(test_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
