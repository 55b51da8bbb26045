/* Events as they go out, and that a reader gets back what was written. */
#include "mcp_test.h"
#include "sse_reader.h"

static void test_shapes(void **state)
{
	static const struct {
		struct sse_event event;
		const char *wanted;
	} rows[] = {
	    {{SLICE("s7-1"), 0, SLICE("{\"a\":1}")}, "event: message\nid: s7-1\ndata: {\"a\":1}\n\n"},
	    {{{NULL, 0}, 0, SLICE("{}")}, "event: message\ndata: {}\n\n"},
	    /* the priming event: an id, when to come back, empty data */
	    {{SLICE("s7-0"), 5000, {NULL, 0}}, "id: s7-0\nretry: 5000\ndata: \n\n"},
	    {{SLICE("s7-0"), 0, SLICE("")}, "id: s7-0\ndata: \n\n"},
	    {{{NULL, 0}, 0, {NULL, 0}}, "data: \n\n"},
	    {{SLICE("1\ndata: 2"), 0, SLICE("1")}, "event: message\ndata: 1\n\n"},
	    {{SLICE("1\r"), 0, SLICE("1")}, "event: message\ndata: 1\n\n"},
	    {{SLICE("1\0"), 0, SLICE("1")}, "event: message\ndata: 1\n\n"},
	    {{SLICE(""), 0, SLICE("1")}, "event: message\nid: \ndata: 1\n\n"},
	    {{{NULL, 0}, 0, SLICE("[1,\n2]")}, "event: message\ndata: [1,\ndata: 2]\n\n"},
	    {{{NULL, 0}, 0, SLICE("[1,\r2]\r")}, "event: message\ndata: [1, 2] \n\n"},
	    {{{NULL, 0}, 0, SLICE("\"a\xe2\x80\xa8\xe2\x80\xa9\xc2\x85\xe2\x80\xa7\xc2\x86\"")},
	     "event: message\ndata: \"a\\u2028\\u2029\\u0085\xe2\x80\xa7\xc2\x86\"\n\n"},
	    {{{NULL, 0}, 0, SLICE("\xe2\x80")}, "event: message\ndata: \xe2\x80\n\n"},
	    {{{NULL, 0}, 0, SLICE(" 1\n")}, "event: message\ndata:  1\ndata: \n\n"},
	};
	struct buf b = buf_with_ceiling(OUT_CEILING);
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buf_clear(&b);
		assert_true(sse_write(&b, &rows[i].event));
		assert_string_equal(buf_text(&b), rows[i].wanted);
	}
	buf_free(&b);
}

static void check_event(struct slice *rest, struct slice id, int64_t retry_ms, const char *data, size_t n)
{
	struct sse_seen seen;
	assert_true(sse_read(rest, &seen));
	assert_int_equal(seen.has_id, id.data != NULL);
	if (id.data)
		assert_true(seen.id.n == id.n && memcmp(seen.id.data, id.data, id.n) == 0);
	assert_int_equal(seen.retry_ms, retry_ms);
	assert_string_equal(seen.type, n ? "message" : "");
	assert_int_equal(seen.data.n, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(seen.data.data[i], data[i] == '\r' ? ' ' : data[i]);
	buf_free(&seen.data);
}

/* Every text of up to four characters out of those that matter, three events in a row with a comment between them. */
static void test_what_is_written_is_read(void **state)
{
	static const char letters[] = {'\n', '\r', ' ', ':', 'd', '\0', '"'};
	struct buf b = buf_with_ceiling(OUT_CEILING);
	(void)state;
	for (size_t code = 0, n = 0; n <= 4; n++) {
		size_t codes = 1;
		for (size_t i = 0; i < n; i++)
			codes *= ARRAY_LEN(letters);
		for (code = 0; code < codes; code++) {
			char data[4];
			for (size_t i = 0, left = code; i < n; i++, left /= ARRAY_LEN(letters))
				data[i] = letters[left % ARRAY_LEN(letters)];
			struct slice text = {data, n}, id = code % 2 ? SLICE("s-1") : (struct slice){NULL, 0};
			int64_t retry_ms = code % 3 ? 0 : 1500;
			buf_clear(&b);
			for (int i = 0; i < 3; i++)
				assert_true(sse_write(&b, &(struct sse_event){id, retry_ms, text}));
			struct slice rest = buf_slice(&b);
			for (int i = 0; i < 3; i++)
				check_event(&rest, id, retry_ms, data, n);
			assert_int_equal(rest.n, 0);
		}
	}
	buf_free(&b);
}

/* A comment is a line of its own that begins with a colon, and ends no event. */
static void test_comment(void **state)
{
	struct slice rest = SLICE(SSE_COMMENT), line;
	(void)state;
	assert_true(sse_line(&rest, &line));
	assert_int_equal(line.data[0], ':');
	assert_true(sse_line(&rest, &line));
	assert_int_equal(line.n, 0);
	assert_int_equal(rest.n, 0);
}

static void test_ceiling(void **state)
{
	struct buf b = buf_with_ceiling(16);
	(void)state;
	assert_false(sse_write(&b, &(struct sse_event){SLICE("s7-1"), 0, SLICE("{\"a\":1}")}));
	assert_true(buf_failed(&b));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_shapes),
	    cmocka_unit_test(test_what_is_written_is_read),
	    cmocka_unit_test(test_comment),
	    cmocka_unit_test(test_ceiling),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
