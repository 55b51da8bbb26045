/* Which era a message belongs to: every cell of the classifier's table, and the methods of each era. */
#include "mcp_test.h"

#define CLAIM                                                                                                          \
	"\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\"io.modelcontextprotocol/"             \
	"clientCapabilities\":{}}"
#define REQUEST(method, params) "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method "\",\"params\":{" params "}}"
#define NOTE(method, params)    "{\"jsonrpc\":\"2.0\",\"method\":\"" method "\",\"params\":{" params "}}"
#define RESPONSE                "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}"
#define BATCH                   "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]"

struct cell {
	const char *body, *version, *method;
	int err;
	enum era era;
	enum revision revision;
	bool initialize;
};

static const struct cell cells[] = {
    /* requests with a claim are modern, whatever the session header */
    {REQUEST("tools/list", CLAIM), "2026-07-28", "tools/list", ERR_OK, ERA_MODERN, REVISION_2026_07_28, false},
    {REQUEST("initialize", CLAIM), "2026-07-28", "initialize", ERR_OK, ERA_MODERN, REVISION_2026_07_28, false},
    {REQUEST("tools/list", CLAIM), "2025-11-25", "tools/list", ERR_HEADER_MISMATCH, 0, 0, false},
    {REQUEST("tools/list", CLAIM), NULL, "tools/list", ERR_HEADER_MISMATCH, 0, 0, false},
    /* initialize without a claim */
    {REQUEST("initialize", ""), NULL, NULL, ERR_OK, ERA_LEGACY, REVISION_NONE, true},
    {REQUEST("initialize", ""), "2025-11-25", NULL, ERR_OK, ERA_LEGACY, REVISION_2025_11_25, true},
    {REQUEST("initialize", ""), "2025-03-26", NULL, ERR_OK, ERA_LEGACY, REVISION_2025_03_26, true},
    {REQUEST("initialize", "\"protocolVersion\":\"2026-07-28\""), NULL, NULL, ERR_OK, ERA_LEGACY, REVISION_NONE, true},
    {REQUEST("initialize", ""), "2026-07-28", NULL, ERR_HEADER_MISMATCH, 0, 0, false},
    /* no claim, a modern header */
    {REQUEST("tools/list", ""), "2026-07-28", "tools/list", ERR_MISSING_META, 0, 0, false},
    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}", "2026-07-28", "tools/list", ERR_MISSING_META, 0, 0,
     false},
    {REQUEST("tools/list", "\"_meta\":5"), "2026-07-28", "tools/list", ERR_MISSING_META, 0, 0, false},
    {REQUEST("tools/list", "\"_meta\":{\"io.modelcontextprotocol/clientCapabilities\":{}}"), "2026-07-28", "tools/list",
     ERR_MISSING_META, 0, 0, false},
    /* no claim, header absent or legacy */
    {REQUEST("tools/list", ""), NULL, NULL, ERR_OK, ERA_LEGACY, REVISION_NONE, false},
    {REQUEST("tools/list", ""), "2025-06-18", NULL, ERR_OK, ERA_LEGACY, REVISION_2025_06_18, false},
    {REQUEST("tools/list", "\"_meta\":{\"progressToken\":1}"), NULL, NULL, ERR_OK, ERA_LEGACY, REVISION_NONE, false},
    {REQUEST("tools/list", "\"_meta\":{\"io.modelcontextprotocol/clientInfo\":{}}"), NULL, NULL, ERR_OK, ERA_LEGACY,
     REVISION_NONE, false},
    {REQUEST("server/discover", ""), NULL, NULL, ERR_OK, ERA_LEGACY, REVISION_NONE, false},
    {REQUEST("tools/list", ""), "1900-01-01", NULL, ERR_VERSION, 0, 0, false},
    {REQUEST("tools/list", ""), "", NULL, ERR_VERSION, 0, 0, false},
    {REQUEST("initialize", ""), "1900-01-01", NULL, ERR_VERSION, 0, 0, false},
    /* notifications */
    {NOTE("notifications/initialized", ""), NULL, NULL, ERR_OK, ERA_LEGACY, REVISION_NONE, false},
    {NOTE("notifications/initialized", ""), "2025-11-25", NULL, ERR_OK, ERA_LEGACY, REVISION_2025_11_25, false},
    {NOTE("notifications/x", ""), "1900-01-01", NULL, ERR_VERSION, 0, 0, false},
    {NOTE("notifications/x", ""), "2026-07-28", NULL, ERR_OK, ERA_MODERN, REVISION_2026_07_28, false},
    {NOTE("notifications/x", CLAIM), "2026-07-28", "notifications/x", ERR_OK, ERA_MODERN, REVISION_2026_07_28, false},
    {NOTE("notifications/x", CLAIM), NULL, NULL, ERR_OK, ERA_MODERN, REVISION_2026_07_28, false},
    {NOTE("notifications/x", CLAIM), "2025-11-25", NULL, ERR_HEADER_MISMATCH, 0, 0, false},
    /* answers to server requests are legacy */
    {RESPONSE, NULL, NULL, ERR_OK, ERA_LEGACY, REVISION_NONE, false},
    {RESPONSE, "2025-11-25", NULL, ERR_OK, ERA_LEGACY, REVISION_2025_11_25, false},
    {RESPONSE, "2026-07-28", NULL, ERR_OK, ERA_LEGACY, REVISION_NONE, false},
    /* batches: 2025-03-26 and before */
    {BATCH, NULL, NULL, ERR_OK, ERA_LEGACY, REVISION_NONE, false},
    {BATCH, "2025-03-26", NULL, ERR_OK, ERA_LEGACY, REVISION_2025_03_26, false},
    {BATCH, "2025-06-18", NULL, ERR_INVALID_REQUEST, 0, 0, false},
    {BATCH, "2025-11-25", NULL, ERR_INVALID_REQUEST, 0, 0, false},
    {BATCH, "2026-07-28", NULL, ERR_INVALID_REQUEST, 0, 0, false},
    {BATCH, "2030-01-01", NULL, ERR_VERSION, 0, 0, false},
};

static void check_cell(const struct cell *c)
{
	struct arena *a = arena_new(ARENA_CEILING);
	struct mcp_headers h = {.protocol_version = c->version, .method = c->method, .session_id = "abc"};
	struct era_verdict v;
	struct mcp_fault fault;
	struct rpc rpc;

	assert_int_equal(rpc_read(a, slice_of(c->body), &rpc, &fault), ERR_OK);
	int err = era_classify(a, &rpc, &h, &v, &fault);
	if (err != c->err)
		fail_msg("%s with %s: got %s", c->body, c->version ? c->version : "no header",
			 err_info((enum err)err)->name);
	if (err == ERR_OK) {
		assert_int_equal(v.era, c->era);
		assert_int_equal(v.revision, c->revision);
		assert_int_equal(v.initialize, c->initialize);
	} else {
		assert_int_equal(fault.err, err);
		assert_true(strlen(fault.message) > 10);
	}
	arena_free(a);
}

/* A transport without headers: the body alone tells. */
static void test_no_headers(void **state)
{
	static const struct {
		const char *body;
		enum era era;
		bool initialize;
	} rows[] = {
	    {REQUEST("tools/list", CLAIM), ERA_MODERN, false},
	    {REQUEST("initialize", CLAIM), ERA_MODERN, false},
	    {NOTE("notifications/x", CLAIM), ERA_MODERN, false},
	    {REQUEST("initialize", ""), ERA_LEGACY, true},
	    {REQUEST("tools/list", ""), ERA_LEGACY, false},
	    {NOTE("notifications/cancelled", ""), ERA_LEGACY, false},
	    {RESPONSE, ERA_LEGACY, false},
	    {BATCH, ERA_LEGACY, false},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena *a = arena_new(ARENA_CEILING);
		struct mcp_headers h = {.none = true};
		struct era_verdict v;
		struct mcp_fault fault;
		struct rpc rpc;
		assert_int_equal(rpc_read(a, slice_of(rows[i].body), &rpc, &fault), ERR_OK);
		assert_int_equal(era_classify(a, &rpc, &h, &v, &fault), ERR_OK);
		assert_int_equal(v.era, rows[i].era);
		assert_int_equal(v.initialize, rows[i].initialize);
		assert_int_equal(v.revision, rows[i].era == ERA_MODERN ? REVISION_2026_07_28 : REVISION_NONE);
		arena_free(a);
	}
}

static void test_cells(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cells); i++)
		check_cell(&cells[i]);
}

static void check_version_data(const char *body, const char *header, const char *wanted)
{
	struct arena *a = arena_new(ARENA_CEILING);
	struct mcp_headers h = {.protocol_version = header};
	struct buf b = buf_with_ceiling(OUT_CEILING);
	struct era_verdict v;
	struct mcp_fault fault;
	struct rpc rpc;

	assert_int_equal(rpc_read(a, slice_of(body), &rpc, &fault), ERR_OK);
	assert_int_equal(era_classify(a, &rpc, &h, &v, &fault), ERR_VERSION);
	assert_non_null(fault.data);
	json_write(&b, fault.data);
	assert_json(buf_text(&b), wanted);
	buf_free(&b);
	arena_free(a);
}

static void test_version_data(void **state)
{
	(void)state;
	check_version_data(
	    REQUEST("tools/list", ""), "1900-01-01",
	    "{\"supported\":[\"2026-07-28\",\"2025-11-25\",\"2025-06-18\",\"2025-03-26\",\"2024-11-05\"],"
	    "\"requested\":\"1900-01-01\"}");
	check_version_data(
	    REQUEST("tools/list", ""), "\xff",
	    "{\"supported\":[\"2026-07-28\",\"2025-11-25\",\"2025-06-18\",\"2025-03-26\",\"2024-11-05\"],"
	    "\"requested\":\"\"}");
	check_version_data(REQUEST("tools/list", "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"v999\","
						 "\"io.modelcontextprotocol/clientCapabilities\":{}}"),
			   "v999", "{\"supported\":[\"2026-07-28\"],\"requested\":\"v999\"}");
	/* a legacy revision has no envelope to be claimed in */
	check_version_data(REQUEST("tools/list",
				   "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2025-11-25\","
				   "\"io.modelcontextprotocol/clientCapabilities\":{}}"),
			   "2025-11-25", "{\"supported\":[\"2026-07-28\"],\"requested\":\"2025-11-25\"}");
}

static void test_methods(void **state)
{
	static const struct {
		const char *name;
		enum rpc_kind kind;
		enum method_id legacy, modern;
	} rows[] = {
	    {"initialize", RPC_REQUEST, MCP_INITIALIZE, MCP_UNKNOWN},
	    {"ping", RPC_REQUEST, MCP_PING, MCP_UNKNOWN},
	    {"server/discover", RPC_REQUEST, MCP_UNKNOWN, MCP_DISCOVER},
	    {"tools/list", RPC_REQUEST, MCP_TOOLS_LIST, MCP_TOOLS_LIST},
	    {"tools/call", RPC_REQUEST, MCP_TOOLS_CALL, MCP_TOOLS_CALL},
	    {"TOOLS/CALL", RPC_REQUEST, MCP_UNKNOWN, MCP_UNKNOWN},
	    {"resources/list", RPC_REQUEST, MCP_RESOURCES_LIST, MCP_RESOURCES_LIST},
	    {"resources/templates/list", RPC_REQUEST, MCP_TEMPLATES_LIST, MCP_TEMPLATES_LIST},
	    {"resources/read", RPC_REQUEST, MCP_RESOURCES_READ, MCP_RESOURCES_READ},
	    {"resources/subscribe", RPC_REQUEST, MCP_SUBSCRIBE, MCP_UNKNOWN},
	    {"resources/unsubscribe", RPC_REQUEST, MCP_UNSUBSCRIBE, MCP_UNKNOWN},
	    {"prompts/list", RPC_REQUEST, MCP_PROMPTS_LIST, MCP_PROMPTS_LIST},
	    {"prompts/get", RPC_REQUEST, MCP_PROMPTS_GET, MCP_PROMPTS_GET},
	    {"completion/complete", RPC_REQUEST, MCP_COMPLETE, MCP_COMPLETE},
	    {"logging/setLevel", RPC_REQUEST, MCP_SET_LEVEL, MCP_UNKNOWN},
	    {"subscriptions/listen", RPC_REQUEST, MCP_UNKNOWN, MCP_LISTEN},
	    {"tasks/get", RPC_REQUEST, MCP_UNKNOWN, MCP_TASKS_GET},
	    {"tasks/update", RPC_REQUEST, MCP_UNKNOWN, MCP_TASKS_UPDATE},
	    {"tasks/cancel", RPC_REQUEST, MCP_UNKNOWN, MCP_TASKS_CANCEL},
	    {"tasks/result", RPC_REQUEST, MCP_UNKNOWN, MCP_UNKNOWN},
	    {"tasks/list", RPC_REQUEST, MCP_UNKNOWN, MCP_UNKNOWN},
	    {"notifications/tasks", RPC_NOTIFICATION, MCP_OTHER_NOTIFICATION, MCP_OTHER_NOTIFICATION},
	    {"", RPC_REQUEST, MCP_UNKNOWN, MCP_UNKNOWN},
	    {"notifications/initialized", RPC_REQUEST, MCP_UNKNOWN, MCP_UNKNOWN},
	    {"notifications/initialized", RPC_NOTIFICATION, MCP_INITIALIZED, MCP_OTHER_NOTIFICATION},
	    {"notifications/cancelled", RPC_NOTIFICATION, MCP_CANCELLED, MCP_CANCELLED},
	    {"notifications/roots/list_changed", RPC_NOTIFICATION, MCP_OTHER_NOTIFICATION, MCP_OTHER_NOTIFICATION},
	    {"notifications/x", RPC_NOTIFICATION, MCP_OTHER_NOTIFICATION, MCP_OTHER_NOTIFICATION},
	    {"tools/call", RPC_NOTIFICATION, MCP_OTHER_NOTIFICATION, MCP_OTHER_NOTIFICATION},
	    {NULL, RPC_RESPONSE, MCP_UNKNOWN, MCP_UNKNOWN},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(mcp_method(ERA_LEGACY, rows[i].kind, rows[i].name), rows[i].legacy);
		assert_int_equal(mcp_method(ERA_MODERN, rows[i].kind, rows[i].name), rows[i].modern);
	}
}

static void test_revision_names(void **state)
{
	(void)state;
	for (int r = REVISION_2024_11_05; r <= REVISION_2026_07_28; r++)
		assert_int_equal(revision_parse(revision_name((enum revision)r)), r);
	assert_int_equal(revision_parse("2025-11-2"), REVISION_NONE);
	assert_int_equal(revision_parse("none"), REVISION_NONE);
	assert_int_equal(revision_parse(NULL), REVISION_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cells),   cmocka_unit_test(test_no_headers),     cmocka_unit_test(test_version_data),
	    cmocka_unit_test(test_methods), cmocka_unit_test(test_revision_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
