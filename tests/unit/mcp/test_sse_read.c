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

static void test_ceiling(void **state)
{
	char line[300];
	struct sse_reader r = sse_reader_new(1000);
	struct sse_message m;
	struct slice in;

	(void)state;
	snprintf(line, sizeof line, "data: %0200d\n", 7);
	for (int i = 0; i < 4; i++) {
		in = slice_of(line);
		assert_int_equal(sse_reader_next(&r, &in, &m), SSE_MORE);
	}
	in = slice_of(line);
	assert_int_equal(sse_reader_next(&r, &in, &m), SSE_BAD);
	in = slice_of("\n\n");
	assert_int_equal(sse_reader_next(&r, &in, &m), SSE_BAD); /* for good */
	sse_reader_free(&r);
	/* a line without an end */
	r = sse_reader_new(1000);
	for (int i = 0; i < 20; i++) {
		in = slice_of("................................................................");
		if (sse_reader_next(&r, &in, &m) == SSE_BAD)
			break;
		assert_true(i < 19);
	}
	sse_reader_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_messages_in_every_cut),
	    cmocka_unit_test(test_ceiling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
