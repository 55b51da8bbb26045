/* The record of an operation: what is written of a call comes back, and to nobody without the key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../../../src/gateway/journal.h"

#define CEILING ((size_t)1 << 20)
#define ID      "11111111-2222-3333-4444-555555555555"
#define TASK    "abcdefghijklmnopqrstuvwx27"
#define STREAM  "abcdefghijklm"

static const struct conf conf = {.listen_max_body = 1 << 16};
static const struct seal_keys keys = {1, {{{7}}}}, others = {1, {{{8}}}};

static struct call *call_made(void)
{
	struct request *rq = request_new(&conf, CEILING);

	rq->principal = (struct principal){.kind = PRINCIPAL_KEY, .subject = "alice", .group = "g"};
	assert_true(buf_adds(&rq->body, "{\"secret\":1}"));
	struct call *c = call_new(rq);
	memcpy(c->op.id, ID, sizeof c->op.id);
	c->op.created = 1000;
	return c;
}

static bool comes_back(const struct call *c, const struct seal_keys *with, struct journal *j)
{
	struct buf b = buf_with_ceiling(CEILING);

	assert_true(journal_write(&b, &keys, c));
	assert_null(strstr(buf_text(&b), "secret"));
	bool read = journal_read(j, with, ID, 3, buf_slice(&b));
	buf_free(&b);
	return read;
}

/* Where its answer goes: to a stream, to a task, to neither. */
static void test_where_its_answer_goes(void **state)
{
	static const struct {
		const char *stream, *task;
	} rows[] = {{"", ""}, {STREAM, ""}, {"", TASK}};

	(void)state;
	clock_set_virtual(USEC_PER_S, 2000 * USEC_PER_S);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct call *c = call_made();
		struct journal j;

		memcpy(c->op.stream, rows[i].stream, strlen(rows[i].stream));
		memcpy(c->op.task, rows[i].task, strlen(rows[i].task));
		assert_true(comes_back(c, &keys, &j));
		assert_string_equal(j.stream, rows[i].stream);
		assert_string_equal(j.task, rows[i].task);
		assert_string_equal(j.id, ID);
		assert_int_equal(j.version, 3);
		assert_int_equal(j.created, 1000);
		assert_int_equal(j.updated, 2000);
		assert_true(principal_equal(&j.principal, &c->request->principal));
		struct request *rq = journal_request(&j, &conf);
		assert_non_null(rq);
		assert_string_equal(buf_text(&rq->body), "{\"secret\":1}");
		request_free(rq);
		journal_clear(&j);
		call_free(c);
	}
}

static void test_nobody_reads_it_without_the_key(void **state)
{
	struct call *c = call_made();
	struct journal j;

	(void)state;
	assert_true(comes_back(c, &others, &j));
	assert_null(j.sealed);
	assert_null(journal_request(&j, &conf));
	journal_clear(&j);
	call_free(c);
}

/* What a client sent of itself is no consent to a question, and must not come back as an answer to one. */
static void test_answers(void **state)
{
	struct call *c = call_made();
	struct journal j;

	(void)state;
	c->answers = json_pack("{s:{s:s}}", "confirm", "action", "accept");
	assert_true(comes_back(c, &keys, &j));
	assert_true(json_equal(json_object_get(j.sealed, "answers"), c->answers));
	journal_clear(&j);
	c->unasked = true;
	assert_true(comes_back(c, &keys, &j));
	assert_null(json_object_get(j.sealed, "answers"));
	journal_clear(&j);
	json_decref(c->answers);
	call_free(c);
}

/* A record of before there were tasks; and one that this program must not read. */
static void test_other_programs(void **state)
{
	static const char old[] = "{\"format\":1,\"reader\":1,\"principal\":{\"kind\":\"key\",\"subject\":\"a\"},"
				  "\"created\":5,\"stream\":\"" STREAM "\"}",
			  newer[] = "{\"format\":9,\"reader\":9,\"principal\":{\"kind\":\"key\",\"subject\":\"a\"}}",
			  long_task[] = "{\"format\":1,\"reader\":1,\"principal\":{\"kind\":\"key\",\"subject\":\"a\"},"
					"\"task\":\"" TASK "a\"}";
	struct journal j;

	(void)state;
	assert_true(journal_read(&j, &keys, ID, 1, slice_of(old)));
	assert_string_equal(j.task, "");
	assert_string_equal(j.stream, STREAM);
	assert_int_equal(j.updated, 5);
	journal_clear(&j);
	assert_false(journal_read(&j, &keys, ID, 1, slice_of(newer)));
	assert_false(journal_read(&j, &keys, ID, 1, slice_of(long_task)));
}

static void test_events(void **state)
{
	static const struct {
		char kind;
		const char *text;
	} rows[] = {{'e', "{}"}, {'l', "{\"result\":1}"}, {'r', ""}, {'c', ""}, {'x', ""}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = buf_with_ceiling(CEILING), text = buf_with_ceiling(CEILING);

		assert_true(journal_event_write(&b, &keys, ID, rows[i].kind, slice_of(rows[i].text)));
		assert_int_equal(journal_event_read(&text, &keys, ID, buf_slice(&b)), rows[i].kind);
		assert_string_equal(buf_text(&text), rows[i].text);
		if (*rows[i].text)
			assert_int_equal(journal_event_read(&text, &keys, "another", buf_slice(&b)), 0);
		b.data[0] = 'z';
		assert_int_equal(journal_event_read(&text, &keys, ID, buf_slice(&b)), 0);
		buf_free(&b);
		buf_free(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_where_its_answer_goes),
	    cmocka_unit_test(test_nobody_reads_it_without_the_key),
	    cmocka_unit_test(test_answers),
	    cmocka_unit_test(test_other_programs),
	    cmocka_unit_test(test_events),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
