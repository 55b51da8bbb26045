/* Streams of events as others send them: every line end, every cut, and what the standard says of odd fields. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "snowgate/sse.h"

/* All messages as "type:data|", fed in pieces of n bytes. */
static void read_in_pieces(const char *text, size_t length, size_t n, struct buf *out)
{
	struct sse_reader r = sse_reader_new(1000);
	struct sse_message m;

	for (size_t at = 0; at < length; at += n) {
		struct slice in = {text + at, length - at < n ? length - at : n};
		enum sse_verdict v;

		while ((v = sse_reader_next(&r, &in, &m)) == SSE_MESSAGE)
			buf_addf(out, "%s:%.*s|", m.type, (int)m.data.n, m.data.data);
		assert_int_equal(v, SSE_MORE);
		assert_int_equal(in.n, 0);
	}
	sse_reader_free(&r);
}

static const struct {
	const char *stream, *messages;
} cases[] = {
    {"data: a\n\n", "message:a|"},
    {"event: x\ndata: a\n\ndata: b\n\n", "x:a|message:b|"},
    {"data: a\r\n\r\ndata: b\r\rdata: c\n\n", "message:a|message:b|message:c|"},
    {"data: a\r\rdata: b\r\n\n", "message:a|message:b|"},
    {"data: a\ndata: b\ndata:\ndata: c\n\n", "message:a\nb\n\nc|"},
    {"data:  two\n\n", "message: two|"},
    {"data:none\n\ndata\n\n", "message:none|message:|"},
    {": comment\n\ndata: a\n: more\n\n", "message:a|"},
    {"event: lost\n\ndata: a\n\n", "message:a|"},
    {"id: 7\nretry: 10\nnew: field\ndata: a\n\n", "message:a|"},
    {"\xef\xbb\xbf"
     "data: a\n\n",
     "message:a|"},
    {"data: x\n\n\xef\xbb\xbf"
     "data: a\n\n",
     "message:x|"},
    {"data: unfinished\n", ""},
    {"data: unfinished", ""},
    {"\n\n\r\n", ""},
    {"event: a\nevent: b\ndata: {\"k\":\"v:w\"}\n\n", "b:{\"k\":\"v:w\"}|"},
    {"event: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\ndata: x\n\n",
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:x|"},
};

static void test_messages_in_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t n = 1; n <= strlen(cases[i].stream); n++) {
			struct buf out = buf_with_ceiling(10000);

			read_in_pieces(cases[i].stream, strlen(cases[i].stream), n, &out);
			if (strcmp(buf_text(&out), cases[i].messages) != 0)
				fail_msg("case %zu in pieces of %zu: \"%s\"", i, n, buf_text(&out));
			buf_free(&out);
		}
}

/* What is too long is told as that, and what comes behind it is read. */
static void test_ceiling(void **state)
{
	struct buf in = buf_with_ceiling(100000), out = buf_with_ceiling(100000);

	(void)state;
	buf_addf(&in, "event: big\ndata: %01200d\n\ndata: a\n\n", 7);
	for (int i = 0; i < 6; i++)
		buf_addf(&in, "data: %0200d\n", i);
	buf_addf(&in, "event: lines\n\ndata: b\n\n: %02000d\ndata: c\n\ndata: %0999d\n\n", 1, 2);
	for (size_t n = 1; n <= in.n; n += n < 20 ? 1 : 97) {
		struct sse_reader r = sse_reader_new(1000);
		struct sse_message m;

		buf_clear(&out);
		for (size_t at = 0; at < in.n; at += n) {
			struct slice piece = {in.data + at, in.n - at < n ? in.n - at : n};

			while (sse_reader_next(&r, &piece, &m) == SSE_MESSAGE) {
				buf_addf(&out, "%s:%s", m.type, m.too_long ? "too long|" : "");
				if (!m.too_long)
					buf_addf(&out, "%.*s|", m.data.n < 3 ? (int)m.data.n : 3, m.data.data);
			}
			assert_true(r.line.n + r.data.n < 2100);
		}
		assert_string_equal(buf_text(&out),
				    "big:too long|message:a|lines:too long|message:b|message:c|message:000|");
		sse_reader_free(&r);
	}
	buf_free(&in);
	buf_free(&out);
}

static void test_skip(void **state)
{
	static const char *const pieces[] = {"event: e\ndata: x", "yz\n\ndata: a\ndata: b\n", "data: c\n\n: co",
					     "mment\n\n", "data: d\n\n"};
	struct sse_reader r = sse_reader_new(1000);
	struct buf out = buf_with_ceiling(1000);
	struct sse_message m;

	(void)state;
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		struct slice in = slice_of(pieces[i]);

		while (sse_reader_next(&r, &in, &m) == SSE_MESSAGE)
			buf_addf(&out, "%s:%s%.*s|", m.type, m.too_long ? "too long" : "", (int)m.data.n, m.data.data);
		sse_reader_skip(&r);
	}
	assert_string_equal(buf_text(&out), "e:too long|message:too long|message:d|");
	buf_free(&out);
	sse_reader_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_messages_in_every_cut),
	    cmocka_unit_test(test_ceiling),
	    cmocka_unit_test(test_skip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
