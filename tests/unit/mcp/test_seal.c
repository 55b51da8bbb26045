/* Seals: what clients carry for us opens for whom and for what it was made, unchanged, and for nothing else. */
#include "mcp_test.h"

#include "snowgate/seal.h"

static const struct seal_keys old_keys = {1, {{"key one"}}}, new_keys = {2, {{"key two"}, {"key one"}}},
			      other_keys = {1, {{"key three"}}};
static const struct principal alice = {PRINCIPAL_KEY, "", "alice", "g"};
static const struct principal bob = {PRINCIPAL_KEY, "", "bob", "g"};
static const struct principal token = {PRINCIPAL_TOKEN, "https://i", "alice", ""};

#define LIST SLICE("tools/list")
#define NOW  1800000000

static bool opens(const struct seal_keys *keys, struct slice bound, struct slice text)
{
	struct buf out = buf_with_ceiling(OUT_CEILING);
	bool ok = seal_open(&out, keys, bound, text);
	assert_true(ok || (out.n == 0 && !buf_failed(&out)));
	buf_free(&out);
	return ok;
}

static void test_seals_open_unchanged_only(void **state UNUSED)
{
	struct buf text = buf_with_ceiling(OUT_CEILING), out = buf_with_ceiling(OUT_CEILING);
	assert_true(buf_adds(&out, "before ") && buf_adds(&text, "x"));
	assert_true(seal_write(&text, &old_keys, SLICE("bound"), SLICE("a secret")));
	struct slice sealed = {text.data + 1, text.n - 1}; /* both append */
	assert_int_equal(strspn(sealed.data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
			 sealed.n);
	assert_null(strstr(buf_text(&text), "secret"));
	assert_true(seal_open(&out, &old_keys, SLICE("bound"), sealed));
	assert_string_equal(buf_text(&out), "before a secret");
	assert_false(opens(&old_keys, SLICE("bounds"), sealed));
	assert_false(opens(&old_keys, SLICE(""), sealed));
	for (size_t i = 0; i < sealed.n; i++) {
		char was = text.data[i + 1];
		for (const char *c = "Aa0-_=+/ \n"; *c; c++) {
			text.data[i + 1] = *c;
			assert_int_equal(opens(&old_keys, SLICE("bound"), sealed), *c == was);
		}
		text.data[i + 1] = was;
		assert_false(opens(&old_keys, SLICE("bound"), (struct slice){sealed.data, i}));
	}
	assert_false(opens(&old_keys, SLICE("bound"), slice_of(NULL)));
	assert_true(opens(&old_keys, SLICE("bound"), sealed));
	buf_free(&text);
	buf_free(&out);
}

static void test_keys_rotate(void **state UNUSED)
{
	struct buf old = buf_with_ceiling(OUT_CEILING), new = buf_with_ceiling(OUT_CEILING);
	assert_true(seal_write(&old, &old_keys, SLICE("b"), SLICE("s")));
	assert_true(seal_write(&new, &new_keys, SLICE("b"), SLICE("s")));
	assert_true(opens(&new_keys, SLICE("b"), buf_slice(&old)));
	assert_true(opens(&new_keys, SLICE("b"), buf_slice(&new)));
	assert_false(opens(&old_keys, SLICE("b"), buf_slice(&new)));
	assert_false(opens(&other_keys, SLICE("b"), buf_slice(&old)));
	buf_free(&old);
	buf_free(&new);
}

static void test_seals_have_a_ceiling(void **state UNUSED)
{
	enum { MOST = SEAL_MAX / 4 * 3 - CRYPT_SEAL_EXTRA };
	struct buf text = buf_with_ceiling(OUT_CEILING), small = buf_with_ceiling(20);
	char *secret = xalloc(MOST + 1);
	assert_false(seal_write(&text, &old_keys, SLICE("b"), (struct slice){secret, MOST + 1}));
	assert_true(text.n == 0 && !buf_failed(&text));
	assert_true(seal_write(&text, &old_keys, SLICE("b"), (struct slice){secret, MOST}));
	assert_int_equal(text.n, SEAL_MAX);
	assert_true(opens(&old_keys, SLICE("b"), buf_slice(&text)));
	buf_addc(&text, 'A');
	assert_false(opens(&old_keys, SLICE("b"), buf_slice(&text)));
	assert_false(seal_write(&small, &old_keys, SLICE("b"), SLICE("s")));
	assert_true(buf_failed(&small));
	free(secret);
	buf_free(&text);
	buf_free(&small);
}

/* ---- cursors ---- */

static int read_cursor(const struct principal *p, struct slice list, const json_t *cursor, uint64_t *offset)
{
	struct arena *a = arena_new(ARENA_CEILING);
	struct mcp_fault fault = {0};
	int e = cursor_read(a, &new_keys, p, list, cursor, offset, &fault);
	if (e != ERR_OK) {
		assert_int_equal(e, ERR_INVALID_PARAMS);
		assert_int_equal(fault.err, ERR_INVALID_PARAMS);
		assert_memory_equal(fault.message, "cursor: ", 8);
		assert_non_null(strstr(fault.message, "without a cursor") ? fault.message
									  : strstr(fault.message, "leave it out"));
	}
	arena_free(a);
	return e;
}

static json_t *new_cursor(uint64_t offset)
{
	struct buf b = buf_with_ceiling(OUT_CEILING);
	assert_true(cursor_write(&b, &new_keys, &alice, LIST, offset));
	json_t *cursor = json_string(buf_text(&b));
	buf_free(&b);
	return cursor;
}

static void test_cursors_fit_their_list(void **state UNUSED)
{
	static const uint64_t offsets[] = {0, 1, 100, 255, 256, (uint64_t)1 << 40, UINT64_MAX};
	uint64_t offset = 77;
	for (size_t i = 0; i < ARRAY_LEN(offsets); i++) {
		json_t *cursor = new_cursor(offsets[i]);
		assert_int_equal(json_string_length(cursor), 48);
		assert_int_equal(read_cursor(&alice, LIST, cursor, &offset), ERR_OK);
		assert_true(offset == offsets[i]);
		offset = 77;
		assert_int_equal(read_cursor(&bob, LIST, cursor, &offset), ERR_INVALID_PARAMS);
		assert_int_equal(read_cursor(&token, LIST, cursor, &offset), ERR_INVALID_PARAMS);
		assert_int_equal(read_cursor(&alice, SLICE("prompts/list"), cursor, &offset), ERR_INVALID_PARAMS);
		assert_int_equal(read_cursor(&alice, SLICE("tools/lis"), cursor, &offset), ERR_INVALID_PARAMS);
		assert_int_equal(offset, 77);
		json_decref(cursor);
	}
	assert_int_equal(read_cursor(&alice, LIST, NULL, &offset), ERR_OK); /* the first page */
	assert_int_equal(offset, 0);
}

static void test_what_is_no_cursor(void **state UNUSED)
{
	uint64_t offset = 77;
	json_t *const bad[] = {
	    json_null(),        json_integer(0),  json_true(),
	    json_object(),      json_array(),     json_string(""),
	    json_string("100"), json_string("A"), json_string("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(read_cursor(&alice, LIST, bad[i], &offset), ERR_INVALID_PARAMS);
		json_decref(bad[i]);
	}
	json_t *cursor = new_cursor(9);
	char *text = xstrdup(json_string_value(cursor));
	for (size_t i = 0; text[i]; i++) {
		char was = text[i];
		text[i] = was == 'A' ? 'B' : 'A';
		json_t *forged = json_string(text);
		assert_int_equal(read_cursor(&alice, LIST, forged, &offset), ERR_INVALID_PARAMS);
		json_decref(forged);
		text[i] = was;
	}
	assert_int_equal(offset, 77);
	free(text);
	json_decref(cursor);
}

/* ---- request states ---- */

#define PARAMS "{\"name\":\"execute_query\",\"arguments\":{\"query\":\"DROP TABLE t\",\"limit\":5},\"_meta\":{\"a\":1}}"

/* A request as rpc_read() gives it, with `state` put into its params where there is one. */
static struct rpc request(const char *method, const char *params, const char *state)
{
	struct rpc rpc = {.kind = RPC_REQUEST, .method = method};
	rpc.params = params ? json_from(params) : NULL;
	if (state)
		json_object_set_new(rpc.params, "requestState", json_string(state));
	return rpc;
}

static char *new_state(const char *params, const json_t *answers)
{
	struct buf b = buf_with_ceiling(OUT_CEILING);
	struct rpc rpc = request("tools/call", params, NULL);
	assert_true(state_write(&b, &new_keys, &alice, &rpc, answers, NOW + 300));
	json_decref(rpc.params);
	return buf_take(&b, &(size_t){0});
}

/* The answers in it, or NULL where it is refused. */
static json_t *read_state(const struct principal *p, const char *method, const char *params, const char *state,
			  int64_t now)
{
	struct arena *a = arena_new(ARENA_CEILING);
	struct mcp_fault fault = {0};
	struct rpc rpc = request(method, params, state);
	json_t *answers = NULL;
	int e = state_read(a, &new_keys, p, &rpc, now, &answers, &fault);
	assert_int_equal(e == ERR_OK, answers != NULL);
	if (e != ERR_OK) {
		assert_int_equal(e, ERR_INVALID_PARAMS);
		assert_int_equal(fault.err, ERR_INVALID_PARAMS);
		assert_memory_equal(fault.message, "requestState: ", 14);
	}
	json_decref(rpc.params);
	arena_free(a);
	return answers;
}

static bool accepts(const struct principal *p, const char *method, const char *params, const char *state, int64_t now)
{
	json_t *answers = read_state(p, method, params, state, now);
	bool ok = answers != NULL;
	json_decref(answers);
	return ok;
}

static void test_states_carry_answers(void **state UNUSED)
{
	json_t *answers = json_from("{\"confirm\":{\"action\":\"accept\",\"content\":{\"sure\":true,\"x\":1.5}}}");
	char *text = new_state(PARAMS, answers), *empty = new_state(PARAMS, NULL);
	json_t *got = read_state(&alice, "tools/call", PARAMS, text, NOW);
	assert_true(json_equal(got, answers));
	json_decref(got);
	got = read_state(&alice, "tools/call", PARAMS, empty, NOW);
	assert_true(json_is_object(got) && json_object_size(got) == 0);
	json_decref(got);
	assert_true(accepts(&alice, "tools/call", PARAMS, text, NOW + 299));
	assert_false(accepts(&alice, "tools/call", PARAMS, text, NOW + 300));
	assert_false(accepts(&bob, "tools/call", PARAMS, text, NOW));
	assert_false(accepts(&token, "tools/call", PARAMS, text, NOW));
	assert_false(accepts(&alice, "prompts/get", PARAMS, text, NOW));
	json_decref(answers);
	free(text);
	free(empty);
}

static void test_states_fit_their_parameters(void **state UNUSED)
{
	static const char *const same[] = {
	    "{\"arguments\":{\"limit\":5,\"query\":\"DROP TABLE t\"},\"name\":\"execute_query\"}",
	    "{\"name\":\"execute_query\",\"arguments\":{\"query\":\"DROP TABLE \\u0074\",\"limit\":5.0},"
	    "\"_meta\":{\"progressToken\":7},\"inputResponses\":{\"confirm\":{\"action\":\"accept\"}}}",
	};
	static const char *const others[] = {
	    "{}",
	    "{\"name\":\"execute_query\"}",
	    "{\"name\":\"execute_query\",\"arguments\":{\"query\":\"DROP TABLE u\",\"limit\":5}}",
	    "{\"name\":\"execute_query\",\"arguments\":{\"query\":\"DROP TABLE t\",\"limit\":6}}",
	    "{\"name\":\"execute_query\",\"arguments\":{\"query\":\"DROP TABLE t\",\"limit\":\"5\"}}",
	    "{\"name\":\"execute_query\",\"arguments\":{\"query\":\"DROP TABLE t\",\"limit\":5,\"_meta\":{}}}",
	    "{\"name\":\"execute_query\",\"arguments\":{\"query\":\"DROP TABLE t\",\"limit\":5},\"more\":null}",
	    "{\"name\":\"execute_quer\",\"arguments\":{\"query\":\"DROP TABLE t\",\"limit\":5}}",
	};
	char *text = new_state(PARAMS, NULL), *bare = new_state(NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(same); i++)
		assert_true(accepts(&alice, "tools/call", same[i], text, NOW));
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_false(accepts(&alice, "tools/call", others[i], text, NOW));
	assert_true(accepts(&alice, "tools/call", "{}", bare, NOW)); /* no params and empty ones are the same */
	free(text);
	free(bare);
}

static void test_what_is_no_state(void **state UNUSED)
{
	static const char *const bad[] = {
	    "{}",
	    "{\"requestState\":null}",
	    "{\"requestState\":1}",
	    "{\"requestState\":{}}",
	    "{\"requestState\":\"\"}",
	    "{\"requestState\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(accepts(&alice, "tools/call", bad[i], NULL, NOW));
	char *text = new_state(PARAMS, NULL), *huge = xalloc(SEAL_MAX + 2);
	for (size_t i = 0; text[i]; i++) {
		char was = text[i];
		text[i] = was == 'A' ? 'B' : 'A';
		assert_false(accepts(&alice, "tools/call", PARAMS, text, NOW));
		text[i] = was;
	}
	memset(huge, 'A', SEAL_MAX + 1);
	assert_false(accepts(&alice, "tools/call", PARAMS, huge, NOW));
	json_t *cursor = new_cursor(1); /* one kind is never taken for the other */
	assert_false(accepts(&alice, "tools/call", PARAMS, json_string_value(cursor), NOW));
	json_t *as_cursor = json_string(text);
	assert_int_equal(read_cursor(&alice, LIST, as_cursor, &(uint64_t){0}), ERR_INVALID_PARAMS);
	json_decref(as_cursor);
	json_decref(cursor);
	free(text);
	free(huge);
}

static void test_too_many_answers(void **state UNUSED)
{
	struct buf b = buf_with_ceiling(OUT_CEILING);
	struct rpc rpc = request("tools/call", PARAMS, NULL);
	char *text = xalloc(SEAL_MAX);
	json_t *answers = json_object();
	memset(text, 'x', SEAL_MAX - 1);
	json_object_set_new(answers, "k", json_stringn(text, SEAL_MAX / 4 * 3 - 100));
	assert_true(state_write(&b, &new_keys, &alice, &rpc, answers, NOW + 1));
	assert_true(b.n <= SEAL_MAX);
	buf_clear(&b);
	json_object_set_new(answers, "k", json_string(text));
	assert_false(state_write(&b, &new_keys, &alice, &rpc, answers, NOW + 1));
	assert_int_equal(b.n, 0);
	json_decref(answers);
	json_decref(rpc.params);
	free(text);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_seals_open_unchanged_only),
	    cmocka_unit_test(test_keys_rotate),
	    cmocka_unit_test(test_seals_have_a_ceiling),
	    cmocka_unit_test(test_cursors_fit_their_list),
	    cmocka_unit_test(test_what_is_no_cursor),
	    cmocka_unit_test(test_states_carry_answers),
	    cmocka_unit_test(test_states_fit_their_parameters),
	    cmocka_unit_test(test_what_is_no_state),
	    cmocka_unit_test(test_too_many_answers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
