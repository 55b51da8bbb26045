/* The modern ladder, step by step and in its order; header values; results of 2026-07-28. */
#include "mcp_test.h"

#define V                    "\"io.modelcontextprotocol/protocolVersion\":"
#define CAPS                 "\"io.modelcontextprotocol/clientCapabilities\":{}"
#define META(version)        "\"_meta\":{" V "\"" version "\"," CAPS "}"
#define BODY(method, params) "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method "\",\"params\":{" params "}}"
#define CALL(name)           BODY("tools/call", "\"name\":\"" name "\"," META("2026-07-28"))
#define NOW                  "2026-07-28"

struct step {
	const char *body, *version, *method, *name;
	int err;
};

static void check_step(const struct step *s)
{
	struct arena *a = arena_new(ARENA_CEILING);
	struct mcp_headers h = {.protocol_version = s->version, .method = s->method, .name = s->name};
	struct era_verdict v;
	struct mcp_fault fault;
	struct rpc rpc;

	assert_int_equal(rpc_read(a, slice_of(s->body), &rpc, &fault), ERR_OK);
	int err = era_classify(a, &rpc, &h, &v, &fault);
	if (err != s->err)
		fail_msg("%s\nwith %s, %s, %s: got %s", s->body, s->version, s->method, s->name,
			 err_info((enum err)err)->name);
	arena_free(a);
}

static void test_ladder(void **state)
{
	static const struct step steps[] = {
	    {BODY("tools/list", META(NOW)), NOW, "tools/list", NULL, ERR_OK},
	    /* 2: keys and their types, before any header is looked at */
	    {BODY("tools/list", "\"_meta\":{" V "5," CAPS "}"), "x", NULL, NULL, ERR_MISSING_META},
	    {BODY("tools/list", "\"_meta\":{" V "null," CAPS "}"), NOW, NULL, NULL, ERR_MISSING_META},
	    {BODY("tools/list", "\"_meta\":{" V "\"v999\"}"), NOW, NULL, NULL, ERR_MISSING_META},
	    {BODY("tools/list", "\"_meta\":{" V "\"2026-07-28\",\"io.modelcontextprotocol/clientCapabilities\":[]}"),
	     NOW, "tools/list", NULL, ERR_MISSING_META},
	    {BODY("tools/list", "\"_meta\":{" V "\"2026-07-28\"," CAPS ",\"io.modelcontextprotocol/clientInfo\":1}"),
	     NOW, "tools/list", NULL, ERR_MISSING_META},
	    {BODY("tools/list", "\"_meta\":{" V "\"2026-07-28\"," CAPS
				",\"io.modelcontextprotocol/clientInfo\":{\"name\":\"c\",\"version\":\"1\"}}"),
	     NOW, "tools/list", NULL, ERR_OK},
	    /* 3 before 4: the header disagrees with an unsupported claim */
	    {BODY("tools/list", META("v999")), NOW, "tools/list", NULL, ERR_HEADER_MISMATCH},
	    {BODY("tools/list", META(NOW)), "v999", "tools/list", NULL, ERR_HEADER_MISMATCH},
	    {BODY("tools/list", META("2025-11-25")), NOW, "tools/list", NULL, ERR_HEADER_MISMATCH},
	    /* 4 before 5 */
	    {BODY("tools/list", META("v999")), "v999", NULL, NULL, ERR_VERSION},
	    {BODY("tools/list", META("v999")), NULL, NULL, NULL, ERR_VERSION},
	    {BODY("tools/list", META("2025-11-25")), "2025-11-25", "tools/list", NULL, ERR_VERSION},
	    /* 5: missing or different; values are case-sensitive */
	    {BODY("tools/list", META(NOW)), NULL, "tools/list", NULL, ERR_HEADER_MISMATCH},
	    {BODY("tools/list", META(NOW)), NOW, NULL, NULL, ERR_HEADER_MISMATCH},
	    {BODY("tools/list", META(NOW)), NOW, "tools/call", NULL, ERR_HEADER_MISMATCH},
	    {BODY("tools/list", META(NOW)), NOW, "TOOLS/LIST", NULL, ERR_HEADER_MISMATCH},
	    {BODY("no/such", META(NOW)), NOW, NULL, NULL, ERR_HEADER_MISMATCH},
	    {BODY("no/such", META(NOW)), NOW, "no/such", NULL, ERR_OK},
	    {CALL("t"), NOW, "tools/call", NULL, ERR_HEADER_MISMATCH},
	    {CALL("t"), NOW, "tools/call", "u", ERR_HEADER_MISMATCH},
	    {CALL("t"), NOW, "tools/call", "T", ERR_HEADER_MISMATCH},
	    {CALL("t"), NOW, "tools/call", "t", ERR_OK},
	    {BODY("prompts/get", "\"name\":\"p\"," META(NOW)), NOW, "prompts/get", "q", ERR_HEADER_MISMATCH},
	    {BODY("prompts/get", "\"name\":\"p\"," META(NOW)), NOW, "prompts/get", "p", ERR_OK},
	    {BODY("resources/read", "\"uri\":\"a://b%20c\"," META(NOW)), NOW, "resources/read", NULL,
	     ERR_HEADER_MISMATCH},
	    {BODY("resources/read", "\"uri\":\"a://b%20c\"," META(NOW)), NOW, "resources/read", "a://b c",
	     ERR_HEADER_MISMATCH},
	    {BODY("resources/read", "\"uri\":\"a://b%20c\"," META(NOW)), NOW, "resources/read", "a://b%20c", ERR_OK},
	    {BODY("tasks/get", "\"taskId\":\"abc\"," META(NOW)), NOW, "tasks/get", "abc", ERR_OK},
	    {BODY("tasks/get", "\"taskId\":\"abc\"," META(NOW)), NOW, "tasks/get", "abd", ERR_HEADER_MISMATCH},
	    {BODY("tasks/update", "\"taskId\":\"abc\"," META(NOW)), NOW, "tasks/update", NULL, ERR_HEADER_MISMATCH},
	    {BODY("tasks/cancel", "\"taskId\":\"abc\"," META(NOW)), NOW, "tasks/cancel", "", ERR_HEADER_MISMATCH},
	    /* other methods have no Mcp-Name; a body without name is a matter of its parameters */
	    {BODY("tools/list", META(NOW)), NOW, "tools/list", "whatever", ERR_OK},
	    {BODY("tools/call", META(NOW)), NOW, "tools/call", NULL, ERR_OK},
	    {BODY("tools/call", META(NOW)), NOW, "tools/call", "t", ERR_HEADER_MISMATCH},
	    {BODY("tools/call", "\"name\":5," META(NOW)), NOW, "tools/call", "5", ERR_HEADER_MISMATCH},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		check_step(&steps[i]);
}

/* Without headers the body alone counts: what is wrong in it is told as before, and nothing is missed. */
static void test_no_headers(void **state)
{
	static const struct {
		const char *body;
		int err;
	} rows[] = {
	    {BODY("tools/list", META(NOW)), ERR_OK},
	    {CALL("t"), ERR_OK},
	    {BODY("resources/read", "\"uri\":\"a:b\"," META(NOW)), ERR_OK},
	    {BODY("tools/list", META("v999")), ERR_VERSION},
	    {BODY("tools/list", META("2025-11-25")), ERR_VERSION},
	    {BODY("tools/list", "\"_meta\":{" V "5," CAPS "}"), ERR_MISSING_META},
	    {BODY("tools/list", "\"_meta\":{" V "\"2026-07-28\"}"), ERR_MISSING_META},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		/* what a transport without headers leaves in them is not looked at */
		for (int filled = 0; filled < 2; filled++) {
			struct arena *a = arena_new(ARENA_CEILING);
			struct mcp_headers h = {.none = true};
			struct era_verdict v;
			struct mcp_fault fault;
			struct rpc rpc;
			if (filled)
				h.protocol_version = h.method = h.name = "other";
			assert_int_equal(rpc_read(a, slice_of(rows[i].body), &rpc, &fault), ERR_OK);
			assert_int_equal(era_classify(a, &rpc, &h, &v, &fault), rows[i].err);
			assert_int_equal(v.era, ERA_MODERN);
			arena_free(a);
		}
	}
}

static void test_base64_names(void **state)
{
	static const struct step steps[] = {
	    {CALL("Hello"), NOW, "tools/call", "=?base64?SGVsbG8=?=", ERR_OK},
	    {CALL("h\xc3\xa9"), NOW, "tools/call", "=?base64?aMOp?=", ERR_OK},
	    {CALL(""), NOW, "tools/call",
	     "=?base64?"
	     "?=",
	     ERR_OK},
	    {CALL("Hello"), NOW, "tools/call", "=?base64?SGVsbG9=?=", ERR_HEADER_MISMATCH},    /* trailing bits */
	    {CALL("Hello"), NOW, "tools/call", "=?base64?SGVsbG8?=", ERR_HEADER_MISMATCH},     /* no padding */
	    {CALL("Hello"), NOW, "tools/call", "=?base64?SGVs!!!bG8=?=", ERR_HEADER_MISMATCH}, /* alphabet */
	    {CALL("Hello"), NOW, "tools/call", "=?base64?SGVsbG8= ?=", ERR_HEADER_MISMATCH},
	    {CALL("Hello"), NOW, "tools/call", "=?base64?aGVsbG8=?=", ERR_HEADER_MISMATCH}, /* hello */
	    {CALL("x"), NOW, "tools/call", "=?base64?/w==?=", ERR_HEADER_MISMATCH},         /* no UTF-8 */
	    /* without the exact prefix or suffix it is a literal */
	    {CALL("Hello"), NOW, "tools/call", "=?BASE64?SGVsbG8=?=", ERR_HEADER_MISMATCH},
	    {CALL("=?BASE64?SGVsbG8=?="), NOW, "tools/call", "=?BASE64?SGVsbG8=?=", ERR_OK},
	    {CALL("=?base64?SGVsbG8="), NOW, "tools/call", "=?base64?SGVsbG8=", ERR_OK},
	    {CALL("SGVsbG8=?="), NOW, "tools/call", "SGVsbG8=?=", ERR_OK},
	    {CALL("=?base64?="), NOW, "tools/call", "=?base64?=", ERR_OK},
	    {CALL("=?base64?SGVsbG8=?="), NOW, "tools/call", "=?base64?SGVsbG8=?=", ERR_HEADER_MISMATCH},
	    /* bytes beyond ASCII never travel bare */
	    {CALL("h\xc3\xa9"), NOW, "tools/call", "h\xc3\xa9", ERR_HEADER_MISMATCH},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		check_step(&steps[i]);
}

#define SCHEMA                                                                                                         \
	"{\"type\":\"object\",\"properties\":{\"w\":{\"type\":\"string\",\"x-mcp-header\":\"Warehouse\"},"             \
	"\"n\":{\"type\":\"integer\",\"x-mcp-header\":\"Count\"},"                                                     \
	"\"b\":{\"type\":\"boolean\",\"x-mcp-header\":\"Flag\"},"                                                      \
	"\"o\":{\"type\":\"object\",\"properties\":{\"r\":{\"type\":\"string\",\"x-mcp-header\":\"Region\"}}},"        \
	"\"plain\":{\"type\":\"string\"}}}"

static const struct {
	const char *arguments, *name, *value;
	int err;
} param_rows[] = {
    {"{}", NULL, NULL, ERR_OK},
    {NULL, NULL, NULL, ERR_OK},
    {NULL, "Warehouse", "X", ERR_OK},
    {"{\"w\":null}", NULL, NULL, ERR_OK},
    {"{\"w\":null}", "Warehouse", "X", ERR_OK},
    {"{\"plain\":\"p\"}", "Plain", "q", ERR_OK},
    {"{\"plain\":\"p\"}", "Unheard-Of", "q", ERR_OK},
    {"{\"w\":\"WH\"}", "Warehouse", "WH", ERR_OK},
    {"{\"w\":\"WH\"}", "wAREHOUSE", "WH", ERR_OK},
    {"{\"w\":\"WH\"}", "Warehouse", "wh", ERR_HEADER_MISMATCH},
    {"{\"w\":\"WH\"}", NULL, NULL, ERR_HEADER_MISMATCH},
    {"{\"w\":\"WH\"}", "Region", "WH", ERR_HEADER_MISMATCH},
    {"{\"w\":\"\"}", "Warehouse", "", ERR_OK},
    {"{\"w\":\"Hello\"}", "Warehouse", "=?base64?SGVsbG8=?=", ERR_OK},
    {"{\"w\":\"Hello\"}", "Warehouse", "=?base64?SGVsbG8?=", ERR_HEADER_MISMATCH},
    {"{\"w\":\"Hello\"}", "Warehouse", "=?base64?SGVs!!!bG8=?=", ERR_HEADER_MISMATCH},
    {"{\"n\":42}", "Count", "42", ERR_OK},
    {"{\"n\":42}", "Count", "42.0", ERR_OK},
    {"{\"n\":42}", "Count", "4.2e1", ERR_OK},
    {"{\"n\":42.0}", "Count", "42", ERR_OK},
    {"{\"n\":-1}", "Count", "-1", ERR_OK},
    {"{\"n\":42}", "Count", "43", ERR_HEADER_MISMATCH},
    {"{\"n\":42}", "Count", "42.5", ERR_HEADER_MISMATCH},
    {"{\"n\":42}", "Count", "\"42\"", ERR_HEADER_MISMATCH},
    {"{\"n\":42}", "Count", "42 x", ERR_HEADER_MISMATCH},
    {"{\"n\":42}", "Count", "", ERR_HEADER_MISMATCH},
    {"{\"n\":42}", "Count", "1e300", ERR_HEADER_MISMATCH},
    {"{\"n\":9007199254740993}", "Count", "9007199254740993", ERR_OK},
    {"{\"n\":9007199254740993}", "Count", "9007199254740992", ERR_HEADER_MISMATCH},
    {"{\"n\":9007199254740993}", "Count", "9007199254740992.0", ERR_HEADER_MISMATCH},
    {"{\"b\":true}", "Flag", "true", ERR_OK},
    {"{\"b\":false}", "Flag", "false", ERR_OK},
    {"{\"b\":true}", "Flag", "TRUE", ERR_HEADER_MISMATCH},
    {"{\"b\":true}", "Flag", "false", ERR_HEADER_MISMATCH},
    {"{\"b\":true}", "Flag", "1", ERR_HEADER_MISMATCH},
    {"{\"o\":{\"r\":\"eu\"}}", "Region", "eu", ERR_OK},
    {"{\"o\":{\"r\":\"eu\"}}", "Region", "us", ERR_HEADER_MISMATCH},
    {"{\"o\":{\"r\":\"eu\"}}", NULL, NULL, ERR_HEADER_MISMATCH},
    {"{\"o\":{}}", NULL, NULL, ERR_OK},
    {"{\"o\":\"x\"}", NULL, NULL, ERR_OK},
    /* what no header can say is left to the argument check */
    {"{\"w\":[1]}", NULL, NULL, ERR_OK},
    {"{\"n\":\"ten\"}", "Count", "ten", ERR_OK},
};

static void test_params(void **state)
{
	struct arena *a = arena_new(ARENA_CEILING);
	json_t *schema = json_from(SCHEMA);
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(param_rows); i++) {
		json_t *arguments = param_rows[i].arguments ? json_from(param_rows[i].arguments) : NULL;
		struct mcp_param params[] = {{"Other", "x"}, {param_rows[i].name, param_rows[i].value}};
		struct mcp_headers h = {.params_n = param_rows[i].name ? 2 : 1, .params = params};
		struct mcp_fault fault;
		int err = modern_check_params(a, schema, arguments, &h, &fault);
		if (err != param_rows[i].err)
			fail_msg("%s with %s: %s", param_rows[i].arguments, param_rows[i].value,
				 err_info((enum err)err)->name);
		json_decref(arguments);
	}
	struct mcp_headers none = {.none = true};
	struct mcp_fault fault;
	json_t *arguments = json_from("{\"w\":\"WH\",\"o\":{\"r\":\"eu\"}}");
	assert_int_equal(modern_check_params(a, schema, arguments, &none, &fault), ERR_OK);
	json_decref(arguments);
	json_decref(schema);
	arena_free(a);
}

#define SERVER                                                                                                         \
	"\"_meta\":{\"io.modelcontextprotocol/"                                                                        \
	"serverInfo\":{\"name\":\"snowgate\",\"title\":\"snowgate\",\"version\":\"" SNOWGATE_VERSION "\"}"

#define CAPABILITIES                                                                                                   \
	"\"capabilities\":{\"tools\":{\"listChanged\":true},\"prompts\":{\"listChanged\":true},\"resources\":{"        \
	"\"subscribe\":true,\"listChanged\":true},\"logging\":{},\"completions\":{},"                                  \
	"\"extensions\":{\"io.modelcontextprotocol/tasks\":{}}}"
#define CACHE(ttl) "\"ttlMs\":" ttl ",\"cacheScope\":\"private\""

static void test_discover_result(void **state)
{
	struct buf b = buf_with_ceiling(OUT_CEILING);
	(void)state;
	assert_true(discover_write(&b, "be \"kind\"", 60000));
	assert_json(buf_text(&b), "{\"resultType\":\"complete\",\"supportedVersions\":[\"2026-07-28\"]," CAPABILITIES
				  ",\"instructions\":\"be \\\"kind\\\"\"," CACHE("60000") "," SERVER "}}");
	buf_clear(&b);
	assert_true(discover_write(&b, NULL, -5));
	assert_json(buf_text(&b), "{\"resultType\":\"complete\",\"supportedVersions\":[\"2026-07-28\"]," CAPABILITIES
				  "," CACHE("0") "," SERVER "}}");
	buf_free(&b);
}

static void test_lists(void **state)
{
	static const struct {
		enum method_id list;
		const char *member;
	} rows[] = {
	    {MCP_PROMPTS_LIST, "prompts"},
	    {MCP_RESOURCES_LIST, "resources"},
	    {MCP_TEMPLATES_LIST, "resourceTemplates"},
	};
	struct buf b = buf_with_ceiling(OUT_CEILING);
	struct arena *a = arena_new(ARENA_CEILING);
	json_t *tools =
	    json_from("[{\"name\":\"t\",\"title\":\"T\",\"description\":\"d\",\"inputSchema\":{\"$schema\":\"x\"},"
		      "\"outputSchema\":{},\"icons\":[],\"execution\":{},\"annotations\":{}}]");
	json_t *items = json_from("[{\"name\":\"r\",\"title\":\"R\",\"icons\":[],\"_meta\":{}}]");
	(void)state;
	assert_true(list_write(&b, REVISION_2026_07_28, MCP_TOOLS_LIST, tools, NULL, 1000));
	assert_json(buf_text(&b),
		    "{\"resultType\":\"complete\",\"tools\":[{\"name\":\"t\",\"title\":\"T\",\"description\":\"d\","
		    "\"inputSchema\":{\"$schema\":\"x\"},\"outputSchema\":{},\"icons\":[],\"annotations\":{}}]," CACHE(
			"1000") "," SERVER "}}");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buf_clear(&b);
		assert_true(list_write(&b, REVISION_2026_07_28, rows[i].list, items, "c1", 0));
		assert_json(buf_text(&b),
			    arena_printf(a,
					 "{\"resultType\":\"complete\",\"%s\":[{\"name\":\"r\",\"title\":\"R\","
					 "\"icons\":[],\"_meta\":{}}],\"nextCursor\":\"c1\"," CACHE("0") "," SERVER
													 "}}",
					 rows[i].member));
	}
	json_decref(tools);
	json_decref(items);
	arena_free(a);
	buf_free(&b);
}

static void test_results(void **state)
{
	struct buf b = buf_with_ceiling(OUT_CEILING);
	json_t *meta = json_from("{\"snowgate/error\":{\"code\":\"1\"}}");
	json_t *list = json_from("[{\"uri\":\"a:b\",\"blob\":\"AA==\",\"_meta\":{}}]"), *values = json_from("[\"a\"]");
	struct tool_result r = {SLICE("hi \"you\""), SLICE("{\"a\":1}"), true, meta};
	(void)state;
	assert_true(tool_result_write(&b, REVISION_2026_07_28, &r));
	assert_json(buf_text(&b),
		    "{\"resultType\":\"complete\",\"content\":[{\"type\":\"text\",\"text\":\"hi \\\"you\\\"\"}],"
		    "\"structuredContent\":{\"a\":1},\"isError\":true," SERVER
		    ",\"snowgate/error\":{\"code\":\"1\"}}}");
	buf_clear(&b);
	assert_true(empty_result_write(&b, REVISION_2026_07_28));
	assert_json(buf_text(&b), "{\"resultType\":\"complete\"," SERVER "}}");
	buf_clear(&b);
	assert_true(read_result_write(&b, REVISION_2026_07_28, list, 9));
	assert_json(buf_text(&b), "{\"resultType\":\"complete\",\"contents\":[{\"uri\":\"a:b\",\"blob\":\"AA==\","
				  "\"_meta\":{}}]," CACHE("9") "," SERVER "}}");
	buf_clear(&b);
	/* neither prompts nor completions may be cached */
	json_array_clear(list);
	assert_true(prompt_result_write(&b, REVISION_2026_07_28, "d", list));
	assert_json(buf_text(&b), "{\"resultType\":\"complete\",\"description\":\"d\",\"messages\":[]," SERVER "}}");
	buf_clear(&b);
	assert_true(completion_write(&b, REVISION_2026_07_28, values, 1, false));
	assert_json(buf_text(&b), "{\"resultType\":\"complete\",\"completion\":{\"values\":[\"a\"],\"total\":1,"
				  "\"hasMore\":false}," SERVER "}}");
	json_decref(meta);
	json_decref(list);
	json_decref(values);
	buf_free(&b);
}

static void test_input_required(void **state)
{
	struct buf b = buf_with_ceiling(OUT_CEILING);
	json_t *form = json_from("{\"mode\":\"form\",\"message\":\"Run?\",\"requestedSchema\":{\"type\":\"object\","
				 "\"properties\":{\"ok\":{\"type\":\"boolean\"}}}}");
	struct ask asks[] = {{"confirm", "elicitation/create", form}, {"the \"roots\"", "roots/list", NULL}};
	(void)state;
	assert_true(input_required_write(&b, asks, 2, "v1.x"));
	assert_json(buf_text(&b),
		    "{\"resultType\":\"input_required\",\"inputRequests\":{\"confirm\":{\"method\":"
		    "\"elicitation/create\",\"params\":{\"mode\":\"form\",\"message\":\"Run?\",\"requestedSchema\":{"
		    "\"type\":\"object\",\"properties\":{\"ok\":{\"type\":\"boolean\"}}}}},\"the \\\"roots\\\"\":{"
		    "\"method\":\"roots/list\"}},\"requestState\":\"v1.x\"," SERVER "}}");
	buf_clear(&b);
	assert_true(input_required_write(&b, asks, 1, NULL));
	json_t *result = json_from(buf_text(&b));
	assert_null(json_object_get(result, "requestState"));
	assert_int_equal(json_object_size(json_object_get(result, "inputRequests")), 1);
	json_decref(result);
	buf_clear(&b);
	assert_true(input_required_write(&b, NULL, 0, "s"));
	assert_json(buf_text(&b), "{\"resultType\":\"input_required\",\"requestState\":\"s\"," SERVER "}}");
	json_decref(form);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ladder),     cmocka_unit_test(test_base64_names),    cmocka_unit_test(test_params),
	    cmocka_unit_test(test_no_headers), cmocka_unit_test(test_discover_result), cmocka_unit_test(test_lists),
	    cmocka_unit_test(test_results),    cmocka_unit_test(test_input_required),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
