/* subscriptions/listen: what is asked for, what is acknowledged, how it ends. */
#include "mcp_test.h"

#define TASK "abcdefghijklmnopqrstuvwx27"
#define LISTEN(filter)                                                                                                 \
	"{\"jsonrpc\":\"2.0\",\"id\":44,\"method\":\"subscriptions/listen\",\"params\":{\"notifications\":" filter "}" \
	"}"

static int listen_from(struct arena *a, const char *body, struct listen *l)
{
	struct mcp_fault fault;
	struct rpc rpc;
	assert_int_equal(rpc_read(a, slice_of(body), &rpc, &fault), ERR_OK);
	int err = listen_read(a, &rpc, l, &fault);
	assert_int_equal(fault.err, err);
	if (err != ERR_OK)
		assert_non_null(strstr(fault.message, "params.notifications"));
	return err;
}

/* What is asked for, and the `notifications` that are acknowledged. */
static void test_filters(void **state)
{
	static const struct {
		const char *body, *honoured;
	} rows[] = {
	    {LISTEN("{}"), "{}"},
	    {LISTEN("{\"toolsListChanged\":true}"), "{\"toolsListChanged\":true}"},
	    {LISTEN("{\"toolsListChanged\":false,\"promptsListChanged\":true}"), "{\"promptsListChanged\":true}"},
	    {LISTEN("{\"resourcesListChanged\":true,\"promptsListChanged\":true,\"toolsListChanged\":true}"),
	     "{\"toolsListChanged\":true,\"promptsListChanged\":true,\"resourcesListChanged\":true}"},
	    {LISTEN("{\"resourceSubscriptions\":[\"snowflake://db/\\\"x\\\"\",\"a:b\"]}"),
	     "{\"resourceSubscriptions\":[\"snowflake://db/\\\"x\\\"\",\"a:b\"]}"},
	    {LISTEN("{\"resourceSubscriptions\":[]}"), "{}"},
	    {LISTEN("{\"resourceSubscriptions\":[\"a:b\",\"a:b\",\"a:B\"]}"),
	     "{\"resourceSubscriptions\":[\"a:b\",\"a:B\"]}"},
	    /* tasks: each once, and only what can be one of ours */
	    {LISTEN("{\"taskIds\":[\"" TASK "\",\"1\",\"\",\"" TASK "\",\"A" TASK "\"]}"),
	     "{\"taskIds\":[\"" TASK "\"]}"},
	    {LISTEN("{\"toolsListChanged\":true,\"resourceSubscriptions\":[\"a:b\"],\"taskIds\":[\"" TASK "\"]}"),
	     "{\"toolsListChanged\":true,\"resourceSubscriptions\":[\"a:b\"],\"taskIds\":[\"" TASK "\"]}"},
	    {LISTEN("{\"taskIds\":[]}"), "{}"},
	    /* kinds that are not known here are left out */
	    {LISTEN("{\"rootsListChanged\":5,\"toolsListChanged\":true}"), "{\"toolsListChanged\":true}"},
	};
	struct buf b = buf_with_ceiling(OUT_CEILING);
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena *a = arena_new(ARENA_CEILING);
		struct listen l;
		assert_int_equal(listen_from(a, rows[i].body, &l), ERR_OK);
		buf_clear(&b);
		assert_true(acknowledged_write(&b, &l, SLICE("44")));
		assert_json(buf_text(&b),
			    arena_printf(a,
					 "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\","
					 "\"params\":{\"notifications\":%s,\"_meta\":{\"io.modelcontextprotocol/"
					 "subscriptionId\":44}}}",
					 rows[i].honoured));
		arena_free(a);
	}
	buf_free(&b);
}

static void test_refused(void **state)
{
	static const char *const bodies[] = {
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscriptions/listen\"}",
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscriptions/listen\",\"params\":{}}",
	    LISTEN("null"),
	    LISTEN("[]"),
	    LISTEN("true"),
	    LISTEN("{\"toolsListChanged\":1}"),
	    LISTEN("{\"promptsListChanged\":\"true\"}"),
	    LISTEN("{\"resourcesListChanged\":null}"),
	    LISTEN("{\"resourceSubscriptions\":\"a:b\"}"),
	    LISTEN("{\"resourceSubscriptions\":{}}"),
	    LISTEN("{\"resourceSubscriptions\":null}"),
	    LISTEN("{\"resourceSubscriptions\":[\"a:b\",1]}"),
	    LISTEN("{\"resourceSubscriptions\":[\"\"]}"),
	    LISTEN("{\"taskIds\":\"" TASK "\"}"),
	    LISTEN("{\"taskIds\":null}"),
	    LISTEN("{\"taskIds\":[1]}"),
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct arena *a = arena_new(ARENA_CEILING);
		struct listen l;
		if (listen_from(a, bodies[i], &l) != ERR_INVALID_PARAMS)
			fail_msg("%s", bodies[i]);
		arena_free(a);
	}
}

/* A body with n URIs, the first of `length` bytes. */
static int listen_to(size_t n, size_t length)
{
	struct arena *a = arena_new(ARENA_CEILING);
	struct buf body = buf_with_ceiling(OUT_CEILING);
	struct listen l;

	buf_adds(&body, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscriptions/listen\",\"params\":{"
			"\"notifications\":{\"resourceSubscriptions\":[\"");
	for (size_t i = 0; i < length; i++)
		buf_addc(&body, 'a');
	buf_addc(&body, '"');
	for (size_t i = 1; i < n; i++)
		buf_addf(&body, ",\"a:%zu\"", i);
	buf_adds(&body, "]}}}");
	int err = listen_from(a, buf_text(&body), &l);
	if (err == ERR_OK)
		assert_int_equal(l.uris_n, n);
	buf_free(&body);
	arena_free(a);
	return err;
}

static int listen_to_tasks(size_t n)
{
	struct arena *a = arena_new(ARENA_CEILING);
	struct buf body = buf_with_ceiling(OUT_CEILING);
	struct listen l;

	buf_adds(&body, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscriptions/listen\",\"params\":{"
			"\"notifications\":{\"taskIds\":[\"" TASK "\"");
	for (size_t i = 1; i < n; i++)
		buf_addf(&body, ",\"%.25s%c\"", TASK, (char)('a' + i));
	buf_adds(&body, "]}}}");
	int err = listen_from(a, buf_text(&body), &l);
	if (err == ERR_OK)
		assert_int_equal(l.tasks_n, n);
	buf_free(&body);
	arena_free(a);
	return err;
}

static void test_ceilings(void **state)
{
	(void)state;
	assert_int_equal(listen_to_tasks(LISTEN_TASKS_MAX), ERR_OK);
	assert_int_equal(listen_to_tasks(LISTEN_TASKS_MAX + 1), ERR_INVALID_PARAMS);
	assert_int_equal(listen_to(LISTEN_URIS_MAX, 1), ERR_OK);
	assert_int_equal(listen_to(LISTEN_URIS_MAX + 1, 1), ERR_INVALID_PARAMS);
	assert_int_equal(listen_to(1, LISTEN_URI_MAX), ERR_OK);
	assert_int_equal(listen_to(1, LISTEN_URI_MAX + 1), ERR_INVALID_PARAMS);
}

static void test_end(void **state)
{
	struct buf b = buf_with_ceiling(OUT_CEILING);
	(void)state;
	assert_true(listen_result_write(&b, SLICE("\"a\\u0041\"")));
	assert_json(buf_text(&b),
		    "{\"resultType\":\"complete\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":"
		    "\"snowgate\",\"title\":\"snowgate\",\"version\":\"" SNOWGATE_VERSION
		    "\"},\"io.modelcontextprotocol/subscriptionId\":\"aA\"}}");
	assert_non_null(strstr(buf_text(&b), "\"a\\u0041\""));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_filters),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_ceilings),
	    cmocka_unit_test(test_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
