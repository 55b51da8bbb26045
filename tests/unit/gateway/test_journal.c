/* The records of operations: what was written reads back, and what a newer program has added goes on with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../../src/gateway/journal.h"

#define ID "3f0e8c52-6a54-4d37-9b1c-0a4f4d2b7c11"

static const struct seal_keys keys = {1, {{{1, 2, 3}}}};
static struct conf conf = {.listen_max_body = 1 << 20};

static struct call *call_made(void)
{
	struct request *rq = request_new(&conf, 16 << 20);
	struct call *c;

	rq->principal = (struct principal){.kind = PRINCIPAL_KEY, .subject = "alice", .group = "team"};
	rq->accept = "application/json";
	rq->mcp.session_id = "the session";
	assert_true(buf_adds(&rq->body, "{\"id\":1}"));
	c = call_new(rq);
	c->context = (struct context){.database = "SALES", .warehouse = "WH_XS"};
	memcpy(c->op.id, ID, sizeof ID);
	memcpy(c->op.stream, "abc", 4);
	c->op.created = 1700000000;
	c->plan[0] = (struct statement){.kind = STATEMENT_RUN, .write = true, .state = STATEMENT_RUNNING};
	memcpy(c->plan[0].request_id, ID, sizeof ID);
	memcpy(c->plan[0].handle, "01b2", 5);
	c->plan_n = 1;
	return c;
}

static struct buf record_of(const struct call *c)
{
	struct buf b = buf_with_ceiling(1 << 20);

	assert_true(journal_write(&b, &keys, c));
	return b;
}

static json_t *parsed(const struct buf *b)
{
	json_t *o = NULL;

	assert_int_equal(json_parse_trusted(buf_slice(b), &o), JSON_OK);
	return o;
}

static struct buf written(json_t *o)
{
	struct buf b = buf_with_ceiling(1 << 20);

	assert_true(json_write(&b, o));
	json_decref(o);
	return b;
}

/* The sealed part of a record; and back. */
static json_t *opened(const json_t *o)
{
	struct buf sealed = buf_with_ceiling(1 << 20), plain = buf_with_ceiling(1 << 20);
	json_t *secret;

	assert_true(base64_decode(&sealed, slice_of(json_text_of(o, "sealed"))));
	assert_true(journal_open(&plain, &keys, ID, buf_slice(&sealed)));
	secret = parsed(&plain);
	buf_free(&sealed);
	buf_free(&plain);
	return secret;
}

static void sealed_set(json_t *o, json_t *secret)
{
	struct buf plain = written(secret), sealed = buf_with_ceiling(1 << 20), text = buf_with_ceiling(1 << 20);

	assert_true(journal_seal(&sealed, &keys, ID, buf_slice(&plain)));
	assert_true(base64_encode(&text, sealed.data, sealed.n));
	json_object_set_new(o, "sealed", json_string(buf_text(&text)));
	buf_free(&plain);
	buf_free(&sealed);
	buf_free(&text);
}

static void test_reads_back(void **state)
{
	struct call *c = call_made();
	struct buf b = record_of(c);
	struct journal j;

	(void)state;
	assert_true(journal_read(&j, &keys, ID, 7, buf_slice(&b)));
	assert_string_equal(j.id, ID);
	assert_int_equal(j.version, 7);
	assert_true(principal_equal(&j.principal, &c->request->principal));
	assert_string_equal(j.principal.group, "team");
	assert_string_equal(j.stream, "abc");
	assert_string_equal(j.request_id, ID);
	assert_string_equal(j.handle, "01b2");
	assert_int_equal(j.state, STATEMENT_RUNNING);
	assert_true(j.write);
	assert_int_equal(j.created, 1700000000);
	assert_string_equal(json_text_of(j.sealed, "session"), "the session");
	assert_string_equal(json_text_of(json_object_get(j.sealed, "context"), "database"), "SALES");
	assert_null(j.unknown);
	journal_clear(&j);
	buf_free(&b);
	call_free(c);
}

/* A newer program has written it, which older ones may read; they change it, and what they do not know stays. */
static json_t *newer_record(void)
{
	struct call *c = call_made();
	struct buf b = record_of(c);
	json_t *o = parsed(&b), *secret = opened(o);

	json_object_set_new(o, "format", json_integer(9));
	json_object_set_new(o, "future", json_pack("{s:[i,i]}", "a", 1, 2));
	json_object_set_new(json_object_get(o, "principal"), "tenant", json_string("north"));
	json_object_set_new(secret, "more", json_string("sealed too"));
	json_object_set_new(json_object_get(secret, "context"), "secondary_roles", json_string("ALL"));
	sealed_set(o, secret);
	buf_free(&b);
	call_free(c);
	return o;
}

static void test_unknown_members_survive(void **state)
{
	json_t *newer = newer_record(), *again, *secret;
	struct buf b = written(json_incref(newer)), rewritten;
	struct call *c = call_made();
	struct journal j;

	(void)state;
	assert_true(journal_read(&j, &keys, ID, 1, buf_slice(&b)));
	c->op.sealed = j.sealed;
	c->op.unknown_members = j.unknown;
	c->plan[0].state = STATEMENT_SUCCEEDED;
	c->context = (struct context){.database = "OTHER"};
	rewritten = record_of(c);
	again = parsed(&rewritten);
	assert_true(json_equal(json_object_get(again, "future"), json_object_get(newer, "future")));
	assert_string_equal(json_text_of(json_object_get(again, "principal"), "tenant"), "north");
	assert_string_equal(json_text_of(again, "state"), "succeeded");
	assert_int_equal(json_int_of(again, "format", 0), 1);
	secret = opened(again);
	assert_string_equal(json_text_of(secret, "more"), "sealed too");
	assert_string_equal(json_text_of(json_object_get(secret, "context"), "secondary_roles"), "ALL");
	assert_string_equal(json_text_of(json_object_get(secret, "context"), "database"), "OTHER");
	assert_null(json_text_of(json_object_get(secret, "context"), "warehouse"));
	json_decref(secret);
	json_decref(again);
	json_decref(newer);
	call_free(c);
	journal_clear(&j);
	buf_free(&b);
	buf_free(&rewritten);
}

static void test_only_a_higher_reader_is_refused(void **state)
{
	struct call *c = call_made();
	struct buf b = record_of(c);
	json_t *o = parsed(&b);
	struct journal j;

	(void)state;
	buf_free(&b);
	json_object_set_new(o, "reader", json_integer(2));
	b = written(o);
	assert_false(journal_read(&j, &keys, ID, 1, buf_slice(&b)));
	assert_true(j.newer);
	assert_false(journal_read(&j, &keys, ID, 1, SLICE("{}")));
	assert_false(j.newer); /* that is no record at all */
	assert_false(journal_read(&j, &keys, ID, 1, SLICE("[]")));
	assert_false(j.newer);
	buf_free(&b);
	call_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reads_back),
	    cmocka_unit_test(test_unknown_members_survive),
	    cmocka_unit_test(test_only_a_higher_reader_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
