/* params._meta of requests: progress token, log level, trace keys, capabilities. */
#include "mcp_test.h"

#define BODY(meta) "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"_meta\":{" meta "}}}"
#define CLAIM(caps)                                                                                                    \
	"\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\"io.modelcontextprotocol/"                        \
	"clientCapabilities\":" caps
#define LEVEL(level) "\"io.modelcontextprotocol/logLevel\":" level
#define PARENT       "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static int meta_from(struct arena *a, const char *body, struct request_meta *m)
{
	struct mcp_fault fault;
	struct rpc rpc;
	assert_int_equal(rpc_read(a, slice_of(body), &rpc, &fault), ERR_OK);
	int err = request_meta_read(a, &rpc, slice_of(body), m, &fault);
	assert_int_equal(fault.err, err);
	if (err != ERR_OK)
		assert_true(strlen(fault.message) > 10);
	return err;
}

static void test_tokens_and_levels(void **state)
{
	static const struct {
		const char *body;
		int err;
		const char *token;
		int level;
	} rows[] = {
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", ERR_OK, NULL, -1},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{\"_meta\":5}}", ERR_OK, NULL, -1},
	    {BODY(""), ERR_OK, NULL, -1},
	    /* either era has tokens: a string or an integer, as it was spelled */
	    {BODY("\"progressToken\":\"p\\u0031\""), ERR_OK, "\"p\\u0031\"", -1},
	    {BODY("\"progressToken\":9007199254740993"), ERR_OK, "9007199254740993", -1},
	    {BODY("\"progressToken\":0"), ERR_OK, "0", -1},
	    {BODY("\"progressToken\":\"\""), ERR_OK, "\"\"", -1},
	    {BODY("\"progressToken\":1.0"), ERR_OK, "1.0", -1},
	    {BODY(CLAIM("{}") ",\"progressToken\" : 9 "), ERR_OK, "9", -1},
	    {BODY("\"progressToken\":1.5"), ERR_INVALID_PARAMS, NULL, -1},
	    {BODY("\"progressToken\":null"), ERR_INVALID_PARAMS, NULL, -1},
	    {BODY("\"progressToken\":true"), ERR_INVALID_PARAMS, NULL, -1},
	    {BODY("\"progressToken\":[1]"), ERR_INVALID_PARAMS, NULL, -1},
	    {BODY(CLAIM("{}") ",\"progressToken\":{}"), ERR_INVALID_PARAMS, NULL, -1},
	    {BODY("\"progress\\u0054oken\":1"), ERR_OK, "1", -1},
	    /* levels belong to the modern era alone; in a legacy session the key means nothing */
	    {BODY(CLAIM("{}") "," LEVEL("\"debug\"")), ERR_OK, NULL, LEVEL_DEBUG},
	    {BODY(CLAIM("{}") "," LEVEL("\"emergency\"") ",\"progressToken\":1"), ERR_OK, "1", LEVEL_EMERGENCY},
	    {BODY(LEVEL("\"debug\"")), ERR_OK, NULL, -1},
	    {BODY(LEVEL("\"loud\"")), ERR_OK, NULL, -1},
	    {BODY(CLAIM("{}") "," LEVEL("\"loud\"")), ERR_INVALID_PARAMS, NULL, -1},
	    {BODY(CLAIM("{}") "," LEVEL("\"Debug\"")), ERR_INVALID_PARAMS, NULL, -1},
	    {BODY(CLAIM("{}") "," LEVEL("7")), ERR_INVALID_PARAMS, NULL, -1},
	    {BODY(CLAIM("{}") "," LEVEL("null")), ERR_INVALID_PARAMS, NULL, -1},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena *a = arena_new(ARENA_CEILING);
		struct request_meta m;
		if (meta_from(a, rows[i].body, &m) != rows[i].err)
			fail_msg("%s", rows[i].body);
		if (rows[i].err == ERR_OK) {
			assert_slice(m.progress_token, rows[i].token);
			assert_int_equal(m.log_level, rows[i].level);
		}
		arena_free(a);
	}
}

static int meta_with_token(size_t length)
{
	struct arena *a = arena_new(ARENA_CEILING);
	struct buf body = buf_with_ceiling(OUT_CEILING);
	struct request_meta m;

	buf_adds(&body, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{\"_meta\":{\"progressToken\":\"");
	for (size_t i = 2; i < length; i++)
		buf_addc(&body, 'a');
	buf_adds(&body, "\"}}}");
	int err = meta_from(a, buf_text(&body), &m);
	buf_free(&body);
	arena_free(a);
	return err;
}

static void test_long_tokens(void **state)
{
	(void)state;
	assert_int_equal(meta_with_token(PROGRESS_TOKEN_MAX), ERR_OK);
	assert_int_equal(meta_with_token(PROGRESS_TOKEN_MAX + 1), ERR_INVALID_PARAMS);
}

static void test_capabilities(void **state)
{
	struct arena *a = arena_new(ARENA_CEILING);
	struct request_meta m;
	(void)state;
	assert_int_equal(meta_from(a, BODY(CLAIM("{}")), &m), ERR_OK);
	assert_int_equal(m.can, 0);
	assert_int_equal(meta_from(a, BODY(CLAIM("{\"elicitation\":{},\"roots\":{}}")), &m), ERR_OK);
	assert_int_equal(m.can, CLIENT_FORM | CLIENT_ROOTS);
	assert_int_equal(meta_from(a, BODY(CLAIM("{\"elicitation\":{\"url\":{}},\"sampling\":{}}")), &m), ERR_OK);
	assert_int_equal(m.can, CLIENT_URL | CLIENT_SAMPLING);
	/* a legacy session said so in initialize */
	assert_int_equal(meta_from(a, BODY("\"io.modelcontextprotocol/clientCapabilities\":{\"elicitation\":{}}"), &m),
			 ERR_OK);
	assert_int_equal(m.can, 0);
	arena_free(a);
}

/* The extension is declared by an object in each request, and by nothing else. */
static void test_tasks(void **state)
{
	static const struct {
		const char *body;
		bool tasks;
	} rows[] = {
	    {BODY(CLAIM("{\"extensions\":{\"io.modelcontextprotocol/tasks\":{}}}")), true},
	    {BODY(CLAIM("{\"extensions\":{\"a/b\":{},\"io.modelcontextprotocol/tasks\":{\"x\":1}}}")), true},
	    {BODY(CLAIM("{\"extensions\":{\"io.modelcontextprotocol/tasks\":null}}")), false},
	    {BODY(CLAIM("{\"extensions\":{\"io.modelcontextprotocol/tasks\":true}}")), false},
	    {BODY(CLAIM("{\"extensions\":[\"io.modelcontextprotocol/tasks\"]}")), false},
	    {BODY(CLAIM("{\"io.modelcontextprotocol/tasks\":{}}")), false},
	    {BODY(CLAIM("{\"tasks\":{}}")), false},
	    {BODY("\"io.modelcontextprotocol/clientCapabilities\":{\"extensions\":{\"io.modelcontextprotocol/"
		  "tasks\":{}}}"),
	     false},
	};
	struct arena *a = arena_new(ARENA_CEILING);
	struct request_meta m;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(meta_from(a, rows[i].body, &m), ERR_OK);
		if (m.tasks != rows[i].tasks)
			fail_msg("%s", rows[i].body);
	}
	arena_free(a);
}

/* W3C Trace Context, 3.2.2: lengths, lower case, ids that are not all zero, version ff forbidden; later versions may go
 * on behind a hyphen. */
static void test_traceparent(void **state)
{
	static const struct {
		const char *text;
		bool is_good;
	} rows[] = {
	    {PARENT, true},
	    {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", true},
	    {"00-00000000000000000000000000000001-0000000000000001-ff", true},
	    {"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true},
	    {"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what.comes", true},
	    {PARENT "-", false},
	    {PARENT "-extra", false},
	    {PARENT "0", false},
	    {"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.x", false},
	    {"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
	    {"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false},
	    {"00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
	    {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false},
	    {"00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01", false},
	    {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-01", false},
	    {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1", false},
	    {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g", false},
	    {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", false},
	    {"00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01", false},
	    {"0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
	    {" " PARENT, false},
	    {"00", false},
	    {"", false},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena *a = arena_new(ARENA_CEILING);
		struct request_meta m;
		const char *body = arena_printf(
		    a, BODY("\"traceparent\":\"%s\",\"tracestate\":\"v=1\",\"baggage\":\"b=2\""), rows[i].text);
		assert_int_equal(meta_from(a, body, &m), ERR_OK);
		if ((m.traceparent != NULL) != rows[i].is_good)
			fail_msg("%s", rows[i].text);
		assert_int_equal(m.tracestate != NULL, rows[i].is_good);
		assert_string_equal(m.baggage, "b=2");
		if (rows[i].is_good)
			assert_string_equal(m.traceparent, rows[i].text);
		arena_free(a);
	}
}

static void test_trace_texts(void **state)
{
	static const struct {
		const char *json;
		bool is_taken;
	} rows[] = {
	    {"\"a=1,b=2\"", true},    {"\" ~\"", true}, {"\"\"", false}, {"\"a\\n\"", false}, {"\"\\u007f\"", false},
	    {"\"h\xc3\xa9\"", false}, {"5", false},     {"null", false}, {"[]", false},
	};
	struct arena *a = arena_new(ARENA_CEILING);
	struct request_meta m;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *body =
		    arena_printf(a, BODY("\"traceparent\":\"" PARENT "\",\"tracestate\":%s,\"baggage\":%s"),
				 rows[i].json, rows[i].json);
		assert_int_equal(meta_from(a, body, &m), ERR_OK);
		assert_non_null(m.traceparent);
		assert_int_equal(m.tracestate != NULL, rows[i].is_taken);
		assert_int_equal(m.baggage != NULL, rows[i].is_taken);
	}
	for (int n = TRACE_MAX; n <= TRACE_MAX + 1; n++) {
		const char *body = arena_printf(
		    a, BODY("\"traceparent\":\"" PARENT "\",\"tracestate\":\"%0*d\",\"baggage\":\"%0*d\""), n, 1, n, 1);
		assert_int_equal(meta_from(a, body, &m), ERR_OK);
		assert_int_equal(m.tracestate != NULL, n == TRACE_MAX);
		assert_int_equal(m.baggage != NULL, n == TRACE_MAX);
	}
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_tokens_and_levels), cmocka_unit_test(test_long_tokens),
	    cmocka_unit_test(test_capabilities),      cmocka_unit_test(test_tasks),
	    cmocka_unit_test(test_traceparent),       cmocka_unit_test(test_trace_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
