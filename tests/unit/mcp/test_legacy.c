/* The handshake, and the results of each legacy revision. */
#include "mcp_test.h"

#define INIT(params) "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{" params "}}"
#define CLIENT       "\"clientInfo\":{\"name\":\"c\",\"version\":\"1\"}"

static void test_negotiation(void **state)
{
	static const struct {
		const char *asked;
		enum revision revision;
	} rows[] = {
	    {"2024-11-05", REVISION_2024_11_05}, {"2025-03-26", REVISION_2025_03_26},
	    {"2025-06-18", REVISION_2025_06_18}, {"2025-11-25", REVISION_2025_11_25},
	    {"2026-07-28", REVISION_2025_11_25}, {"2099-01-01", REVISION_2025_11_25},
	    {"", REVISION_2025_11_25},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena *a = arena_new(ARENA_CEILING);
		struct client_info info;
		struct mcp_fault fault;
		struct rpc rpc;
		const char *body = arena_printf(
		    a, INIT("\"protocolVersion\":\"%s\",\"capabilities\":{\"elicitation\":{}}," CLIENT), rows[i].asked);
		assert_int_equal(rpc_read(a, slice_of(body), &rpc, &fault), ERR_OK);
		assert_int_equal(initialize_read(a, &rpc, &info, &fault), ERR_OK);
		assert_int_equal(info.revision, rows[i].revision);
		assert_int_equal(info.asked, revision_parse(rows[i].asked));
		assert_string_equal(info.name, "c");
		assert_string_equal(info.version, "1");
		assert_non_null(json_object_get(info.capabilities, "elicitation"));
		arena_free(a);
	}
}

static void test_bad_handshakes(void **state)
{
	static const char *const bodies[] = {
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}",
	    INIT(""),
	    INIT("\"capabilities\":{}," CLIENT),
	    INIT("\"protocolVersion\":5,\"capabilities\":{}," CLIENT),
	    INIT("\"protocolVersion\":\"2025-11-25\"," CLIENT),
	    INIT("\"protocolVersion\":\"2025-11-25\",\"capabilities\":[]," CLIENT),
	    INIT("\"protocolVersion\":\"2025-11-25\",\"capabilities\":{}"),
	    INIT("\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},\"clientInfo\":\"x\""),
	    INIT("\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},\"clientInfo\":{\"name\":\"x\"}"),
	    INIT(
		"\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},\"clientInfo\":{\"name\":1,\"version\":\"1\"}"),
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct arena *a = arena_new(ARENA_CEILING);
		struct client_info info;
		struct mcp_fault fault;
		struct rpc rpc;
		assert_int_equal(rpc_read(a, slice_of(bodies[i]), &rpc, &fault), ERR_OK);
		if (initialize_read(a, &rpc, &info, &fault) != ERR_INVALID_PARAMS)
			fail_msg("%s", bodies[i]);
		assert_non_null(strstr(fault.message, "params."));
		arena_free(a);
	}
}

static void test_initialize_result(void **state)
{
	struct buf b = buf_with_ceiling(OUT_CEILING);
	(void)state;
	assert_true(initialize_write(&b, REVISION_2025_03_26, NULL));
	assert_json(buf_text(&b),
		    "{\"protocolVersion\":\"2025-03-26\",\"capabilities\":{\"tools\":{}},\"serverInfo\":{\"name\":"
		    "\"snowgate\",\"version\":\"" SNOWGATE_VERSION "\"}}");
	buf_clear(&b);
	assert_true(initialize_write(&b, REVISION_2025_11_25, "a\nb"));
	assert_json(buf_text(&b),
		    "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}},\"serverInfo\":{\"name\":"
		    "\"snowgate\",\"title\":\"snowgate\",\"version\":\"" SNOWGATE_VERSION
		    "\"},\"instructions\":\"a\\nb\"}");
	buf_free(&b);
}

static void test_tools_by_revision(void **state)
{
	static const struct {
		enum revision revision;
		const char *wanted;
	} rows[] = {
	    {REVISION_2024_11_05, "{\"tools\":[{\"name\":\"t\",\"inputSchema\":{}}]}"},
	    {REVISION_2025_03_26, "{\"tools\":[{\"name\":\"t\",\"inputSchema\":{},\"annotations\":{}}]}"},
	    {REVISION_2025_06_18, "{\"tools\":[{\"name\":\"t\",\"title\":\"T\",\"inputSchema\":{},\"outputSchema\":{},"
				  "\"annotations\":{},\"_meta\":{}}]}"},
	    {REVISION_2025_11_25, "{\"tools\":[{\"name\":\"t\",\"title\":\"T\",\"inputSchema\":{},\"outputSchema\":{},"
				  "\"icons\":[],\"execution\":{},\"annotations\":{},\"_meta\":{}}]}"},
	};
	json_t *tools =
	    json_from("[{\"name\":\"t\",\"title\":\"T\",\"inputSchema\":{},\"outputSchema\":{},\"icons\":[],"
		      "\"execution\":{},\"annotations\":{},\"_meta\":{}}]");
	struct buf b = buf_with_ceiling(OUT_CEILING);
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buf_clear(&b);
		assert_true(tools_list_write(&b, rows[i].revision, tools, 1000));
		assert_json(buf_text(&b), rows[i].wanted);
	}
	buf_clear(&b);
	json_array_clear(tools);
	assert_true(tools_list_write(&b, REVISION_2025_11_25, tools, 0));
	assert_string_equal(buf_text(&b), "{\"tools\":[]}");
	json_decref(tools);
	buf_free(&b);
}

static void test_tool_results_by_revision(void **state)
{
	struct buf b = buf_with_ceiling(OUT_CEILING);
	struct tool_result r = {SLICE("x"), SLICE("{\"a\":1}"), false, NULL};
	json_t *meta = json_from("{\"k\":1}");
	(void)state;
	assert_true(tool_result_write(&b, REVISION_2025_03_26, &r));
	assert_string_equal(buf_text(&b), "{\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}");
	buf_clear(&b);
	assert_true(tool_result_write(&b, REVISION_2025_06_18, &r));
	assert_string_equal(buf_text(&b),
			    "{\"content\":[{\"type\":\"text\",\"text\":\"x\"}],\"structuredContent\":{\"a\":1}}");
	buf_clear(&b);
	r = (struct tool_result){SLICE(""), {NULL, 0}, true, meta};
	assert_true(tool_result_write(&b, REVISION_2025_11_25, &r));
	assert_string_equal(buf_text(&b),
			    "{\"content\":[{\"type\":\"text\",\"text\":\"\"}],\"isError\":true,\"_meta\":{\"k\":1}}");
	json_decref(meta);
	buf_free(&b);
}

static void test_empty_results_are_empty(void **state)
{
	(void)state;
	for (int r = REVISION_2024_11_05; r <= REVISION_2025_11_25; r++) {
		struct buf b = buf_with_ceiling(64);
		assert_true(empty_result_write(&b, (enum revision)r));
		assert_string_equal(buf_text(&b), "{}");
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_negotiation),
	    cmocka_unit_test(test_bad_handshakes),
	    cmocka_unit_test(test_initialize_result),
	    cmocka_unit_test(test_tools_by_revision),
	    cmocka_unit_test(test_tool_results_by_revision),
	    cmocka_unit_test(test_empty_results_are_empty),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
