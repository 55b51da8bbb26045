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
		assert_int_equal(info.can, info.revision >= REVISION_2025_06_18 ? CLIENT_FORM : 0);
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

/* Elicitation is the mode it names, and a form where it names none. */
static void test_client_can(void **state)
{
	static const struct {
		const char *capabilities;
		unsigned can, in_2025_06_18;
	} rows[] = {
	    {"{}", 0, 0},
	    {"{\"elicitation\":{}}", CLIENT_FORM, CLIENT_FORM},
	    {"{\"elicitation\":{\"form\":{}}}", CLIENT_FORM, CLIENT_FORM},
	    {"{\"elicitation\":{\"applyDefaults\":true}}", CLIENT_FORM, CLIENT_FORM},
	    {"{\"elicitation\":{\"url\":{}}}", CLIENT_URL, CLIENT_FORM},
	    {"{\"elicitation\":{\"form\":{},\"url\":{}}}", CLIENT_FORM | CLIENT_URL, CLIENT_FORM},
	    {"{\"elicitation\":{\"form\":{\"applyDefaults\":true},\"url\":5}}", CLIENT_FORM, CLIENT_FORM},
	    {"{\"elicitation\":null}", 0, 0},
	    {"{\"elicitation\":true,\"sampling\":[],\"roots\":1}", 0, 0},
	    {"{\"sampling\":{},\"roots\":{\"listChanged\":true}}", CLIENT_SAMPLING | CLIENT_ROOTS,
	     CLIENT_SAMPLING | CLIENT_ROOTS},
	    {"{\"elicitation\":{},\"sampling\":{},\"extensions\":{}}", CLIENT_FORM | CLIENT_SAMPLING,
	     CLIENT_FORM | CLIENT_SAMPLING},
	};
	(void)state;
	assert_int_equal(client_can(NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *capabilities = json_from(rows[i].capabilities);
		struct arena *a = arena_new(ARENA_CEILING);
		assert_int_equal(client_can(capabilities), rows[i].can);
		for (int r = REVISION_2024_11_05; r <= REVISION_2025_11_25; r++) {
			const unsigned elicitation = CLIENT_FORM | CLIENT_URL;
			unsigned wanted = r == REVISION_2025_11_25   ? rows[i].can
					  : r == REVISION_2025_06_18 ? rows[i].in_2025_06_18
								     : rows[i].can & ~elicitation;
			struct client_info info;
			struct mcp_fault fault;
			struct rpc rpc;
			const char *body =
			    arena_printf(a, INIT("\"protocolVersion\":\"%s\",\"capabilities\":%s," CLIENT),
					 revision_name((enum revision)r), rows[i].capabilities);
			assert_int_equal(rpc_read(a, slice_of(body), &rpc, &fault), ERR_OK);
			assert_int_equal(initialize_read(a, &rpc, &info, &fault), ERR_OK);
			assert_int_equal(info.can, wanted);
		}
		arena_free(a);
		json_decref(capabilities);
	}
}

#define CAPABILITIES                                                                                                   \
	"\"capabilities\":{\"tools\":{\"listChanged\":true},\"prompts\":{\"listChanged\":true},\"resources\":{"        \
	"\"subscribe\":true,\"listChanged\":true},\"logging\":{}"

static void test_initialize_result(void **state)
{
	struct buf b = buf_with_ceiling(OUT_CEILING);
	(void)state;
	assert_true(initialize_write(&b, REVISION_2024_11_05, NULL));
	assert_json(buf_text(&b), "{\"protocolVersion\":\"2024-11-05\"," CAPABILITIES "},\"serverInfo\":{\"name\":"
				  "\"snowgate\",\"version\":\"" SNOWGATE_VERSION "\"}}");
	buf_clear(&b);
	assert_true(initialize_write(&b, REVISION_2025_03_26, NULL));
	assert_json(buf_text(&b),
		    "{\"protocolVersion\":\"2025-03-26\"," CAPABILITIES ",\"completions\":{}},\"serverInfo\":{\"name\":"
		    "\"snowgate\",\"version\":\"" SNOWGATE_VERSION "\"}}");
	buf_clear(&b);
	assert_true(initialize_write(&b, REVISION_2025_11_25, "a\nb"));
	assert_json(buf_text(&b),
		    "{\"protocolVersion\":\"2025-11-25\"," CAPABILITIES ",\"completions\":{}},\"serverInfo\":{\"name\":"
		    "\"snowgate\",\"title\":\"snowgate\",\"version\":\"" SNOWGATE_VERSION
		    "\"},\"instructions\":\"a\\nb\"}");
	buf_free(&b);
}

struct list_row {
	enum revision revision;
	const char *wanted;
};

static void check_lists(enum method_id list, const char *items_text, const struct list_row *rows, size_t n)
{
	json_t *items = json_from(items_text);
	struct buf b = buf_with_ceiling(OUT_CEILING);
	for (size_t i = 0; i < n; i++) {
		buf_clear(&b);
		assert_true(list_write(&b, rows[i].revision, list, items, NULL, 1000));
		assert_json(buf_text(&b), rows[i].wanted);
	}
	json_decref(items);
	buf_free(&b);
}

static void test_tools_by_revision(void **state)
{
	static const struct list_row rows[] = {
	    {REVISION_2024_11_05, "{\"tools\":[{\"name\":\"t\",\"inputSchema\":{\"title\":\"T\"}}]}"},
	    {REVISION_2025_03_26,
	     "{\"tools\":[{\"name\":\"t\",\"inputSchema\":{\"title\":\"T\"},\"annotations\":{\"title\":\"A\"}}]}"},
	    {REVISION_2025_06_18,
	     "{\"tools\":[{\"name\":\"t\",\"title\":\"T\",\"inputSchema\":{\"title\":\"T\"},\"outputSchema\":{},"
	     "\"annotations\":{\"title\":\"A\"},\"_meta\":{}}]}"},
	    {REVISION_2025_11_25,
	     "{\"tools\":[{\"name\":\"t\",\"title\":\"T\",\"inputSchema\":{\"title\":\"T\"},\"outputSchema\":{},"
	     "\"icons\":[],\"execution\":{},\"annotations\":{\"title\":\"A\"},\"_meta\":{}}]}"},
	};
	(void)state;
	check_lists(MCP_TOOLS_LIST,
		    "[{\"name\":\"t\",\"title\":\"T\",\"inputSchema\":{\"title\":\"T\"},\"outputSchema\":{},\"icons\":["
		    "],\"execution\":{},\"annotations\":{\"title\":\"A\"},\"_meta\":{}}]",
		    rows, ARRAY_LEN(rows));
}

static void test_prompts_by_revision(void **state)
{
	static const struct list_row rows[] = {
	    {REVISION_2024_11_05,
	     "{\"prompts\":[{\"name\":\"p\",\"description\":\"d\",\"arguments\":[{\"name\":\"a\",\"required\":true},{"
	     "\"name\":\"b\"}]}]}"},
	    {REVISION_2025_03_26,
	     "{\"prompts\":[{\"name\":\"p\",\"description\":\"d\",\"arguments\":[{\"name\":\"a\",\"required\":true},{"
	     "\"name\":\"b\"}]}]}"},
	    {REVISION_2025_06_18,
	     "{\"prompts\":[{\"name\":\"p\",\"title\":\"P\",\"description\":\"d\",\"arguments\":[{\"name\":\"a\","
	     "\"title\":\"A\",\"required\":true},{\"name\":\"b\"}],\"_meta\":{}}]}"},
	    {REVISION_2025_11_25,
	     "{\"prompts\":[{\"name\":\"p\",\"title\":\"P\",\"description\":\"d\",\"arguments\":[{\"name\":\"a\","
	     "\"title\":\"A\",\"required\":true},{\"name\":\"b\"}],\"icons\":[],\"_meta\":{}}]}"},
	};
	(void)state;
	check_lists(MCP_PROMPTS_LIST,
		    "[{\"name\":\"p\",\"title\":\"P\",\"description\":\"d\",\"arguments\":[{\"name\":\"a\",\"title\":"
		    "\"A\",\"required\":true},{\"name\":\"b\"}],\"icons\":[],\"_meta\":{}}]",
		    rows, ARRAY_LEN(rows));
}

/* Annotations of resources are older than those of tools; their lastModified is not. */
static void test_resources_by_revision(void **state)
{
	static const struct list_row resources[] = {
	    {REVISION_2024_11_05,
	     "{\"resources\":[{\"uri\":\"a:b\",\"name\":\"r\",\"size\":3,\"annotations\":{\"priority\":1}}]}"},
	    {REVISION_2025_06_18,
	     "{\"resources\":[{\"uri\":\"a:b\",\"name\":\"r\",\"title\":\"R\",\"size\":3,\"annotations\":{"
	     "\"priority\":1,\"lastModified\":\"2026-01-01T00:00:00Z\"},\"_meta\":{}}]}"},
	    {REVISION_2025_11_25,
	     "{\"resources\":[{\"uri\":\"a:b\",\"name\":\"r\",\"title\":\"R\",\"size\":3,\"annotations\":{"
	     "\"priority\":1,\"lastModified\":\"2026-01-01T00:00:00Z\"},\"icons\":[],\"_meta\":{}}]}"},
	};
	static const struct list_row templates[] = {
	    {REVISION_2025_03_26, "{\"resourceTemplates\":[{\"uriTemplate\":\"a:{b}\",\"name\":\"r\"}]}"},
	    {REVISION_2025_11_25,
	     "{\"resourceTemplates\":[{\"uriTemplate\":\"a:{b}\",\"name\":\"r\",\"title\":\"R\",\"icons\":[]}]}"},
	};
	(void)state;
	check_lists(MCP_RESOURCES_LIST,
		    "[{\"uri\":\"a:b\",\"name\":\"r\",\"title\":\"R\",\"size\":3,\"annotations\":{\"priority\":1,"
		    "\"lastModified\":\"2026-01-01T00:00:00Z\"},\"icons\":[],\"_meta\":{}}]",
		    resources, ARRAY_LEN(resources));
	check_lists(MCP_TEMPLATES_LIST, "[{\"uriTemplate\":\"a:{b}\",\"name\":\"r\",\"title\":\"R\",\"icons\":[]}]",
		    templates, ARRAY_LEN(templates));
}

static void test_pages(void **state)
{
	struct buf b = buf_with_ceiling(OUT_CEILING);
	json_t *none = json_array();
	(void)state;
	assert_true(list_write(&b, REVISION_2025_11_25, MCP_TOOLS_LIST, none, NULL, 0));
	assert_string_equal(buf_text(&b), "{\"tools\":[]}");
	buf_clear(&b);
	/* "" is a cursor too */
	assert_true(list_write(&b, REVISION_2025_11_25, MCP_RESOURCES_LIST, none, "", 0));
	assert_string_equal(buf_text(&b), "{\"resources\":[],\"nextCursor\":\"\"}");
	buf_clear(&b);
	assert_true(list_write(&b, REVISION_2024_11_05, MCP_PROMPTS_LIST, none, "a\"b", 0));
	assert_string_equal(buf_text(&b), "{\"prompts\":[],\"nextCursor\":\"a\\\"b\"}");
	json_decref(none);
	buf_free(&b);
}

static void test_reads_prompts_and_completions(void **state)
{
	struct buf b = buf_with_ceiling(OUT_CEILING);
	json_t *contents = json_from("[{\"uri\":\"a:b\",\"mimeType\":\"text/plain\",\"text\":\"x\",\"_meta\":{}}]");
	json_t *messages = json_from("[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":\"x\"}}]");
	json_t *values = json_from("[\"a\",\"b\"]");
	(void)state;
	assert_true(read_result_write(&b, REVISION_2025_03_26, contents, 5));
	assert_json(buf_text(&b), "{\"contents\":[{\"uri\":\"a:b\",\"mimeType\":\"text/plain\",\"text\":\"x\"}]}");
	buf_clear(&b);
	assert_true(read_result_write(&b, REVISION_2025_06_18, contents, 5));
	assert_json(buf_text(&b),
		    "{\"contents\":[{\"uri\":\"a:b\",\"mimeType\":\"text/plain\",\"text\":\"x\",\"_meta\":{}}]}");
	buf_clear(&b);
	assert_true(prompt_result_write(&b, REVISION_2025_11_25, NULL, messages));
	assert_json(buf_text(&b),
		    "{\"messages\":[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":\"x\"}}]}");
	buf_clear(&b);
	assert_true(prompt_result_write(&b, REVISION_2024_11_05, "d\n", messages));
	assert_json(buf_text(&b), "{\"description\":\"d\\n\",\"messages\":[{\"role\":\"user\",\"content\":{\"type\":"
				  "\"text\",\"text\":\"x\"}}]}");
	buf_clear(&b);
	assert_true(completion_write(&b, REVISION_2025_11_25, values, 7, true));
	assert_json(buf_text(&b), "{\"completion\":{\"values\":[\"a\",\"b\"],\"total\":7,\"hasMore\":true}}");
	buf_clear(&b);
	json_array_clear(values);
	assert_true(completion_write(&b, REVISION_2025_11_25, values, -1, false));
	assert_json(buf_text(&b), "{\"completion\":{\"values\":[],\"hasMore\":false}}");
	json_decref(contents);
	json_decref(messages);
	json_decref(values);
	buf_free(&b);
}

static void test_completions_end_at_100(void **state)
{
	struct buf b = buf_with_ceiling(OUT_CEILING);
	json_t *values = json_array();
	(void)state;
	for (int n = 99; n <= 101; n++) {
		while ((int)json_array_size(values) < n)
			json_array_append_new(values, json_string("v"));
		buf_clear(&b);
		assert_true(completion_write(&b, REVISION_2025_11_25, values, n, false));
		json_t *result = json_from(buf_text(&b)), *completion = json_object_get(result, "completion");
		assert_int_equal(json_array_size(json_object_get(completion, "values")), n < 100 ? n : 100);
		assert_int_equal(json_bool_of(completion, "hasMore", n <= 100), n > 100);
		json_decref(result);
	}
	json_decref(values);
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
	    cmocka_unit_test(test_client_can),
	    cmocka_unit_test(test_tools_by_revision),
	    cmocka_unit_test(test_prompts_by_revision),
	    cmocka_unit_test(test_resources_by_revision),
	    cmocka_unit_test(test_pages),
	    cmocka_unit_test(test_reads_prompts_and_completions),
	    cmocka_unit_test(test_completions_end_at_100),
	    cmocka_unit_test(test_tool_results_by_revision),
	    cmocka_unit_test(test_empty_results_are_empty),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
