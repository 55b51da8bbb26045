/* JSON-RPC envelopes: what is a message, what its id is, and what is written back. */
#include "mcp_test.h"

struct row {
	const char *body;
	int err;
	enum rpc_kind kind;
	const char *id; /* raw; NULL: none */
	const char *method;
};

static void check_row(const struct row *row)
{
	struct arena *a = arena_new(ARENA_CEILING);
	struct rpc rpc;
	struct mcp_fault fault;
	int err = rpc_read(a, slice_of(row->body), &rpc, &fault);
	if (err != row->err)
		fail_msg("%s: got %s (%s)", row->body, err_info((enum err)err)->name,
			 fault.message ? fault.message : "");
	assert_slice(rpc.id, row->id);
	if (err == ERR_OK) {
		assert_int_equal(rpc.kind, row->kind);
		if (row->method)
			assert_string_equal(rpc.method, row->method);
		else
			assert_null(rpc.method);
	} else {
		assert_int_equal(fault.err, err);
		assert_true(strlen(fault.message) > 10);
	}
	arena_free(a);
}

static void test_messages(void **state)
{
	static const struct row rows[] = {
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", ERR_OK, RPC_REQUEST, "1", "ping"},
	    {" {\"method\":\"ping\",\"id\":\"a\\u0041\",\"jsonrpc\":\"2.0\",\"params\":{}}\n", ERR_OK, RPC_REQUEST,
	     "\"a\\u0041\"", "ping"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":9007199254740993,\"method\":\"m\"}", ERR_OK, RPC_REQUEST, "9007199254740993",
	     "m"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1.0,\"method\":\"m\"}", ERR_OK, RPC_REQUEST, "1.0", "m"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":-7,\"method\":\"m\"}", ERR_OK, RPC_REQUEST, "-7", "m"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":\"\",\"method\":\"m\"}", ERR_OK, RPC_REQUEST, "\"\"", "m"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"m\"}", ERR_OK, RPC_REQUEST, "0", "m"},
	    {"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}", ERR_OK, RPC_NOTIFICATION, NULL,
	     "notifications/initialized"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{}}", ERR_OK, RPC_RESPONSE, "3", NULL},
	    {"{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":1,\"message\":\"x\"}}", ERR_OK, RPC_RESPONSE, "3",
	     NULL},
	    {"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":1,\"message\":\"x\"}}", ERR_OK, RPC_RESPONSE, NULL, NULL},
	    {"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]", ERR_OK, RPC_BATCH, NULL, NULL},
	    {"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"},{\"jsonrpc\":\"2.0\",\"method\":\"notifications/"
	     "x\"}]",
	     ERR_OK, RPC_BATCH, NULL, NULL},
	    {"[{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}},{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":1,"
	     "\"message\":\"x\"}}]",
	     ERR_OK, RPC_BATCH, NULL, NULL},
	    /* an element that is no message at all is refused on its own */
	    {"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"},{}]", ERR_OK, RPC_BATCH, NULL, NULL},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_row(&rows[i]);
}

static void test_refused(void **state)
{
	static const struct row rows[] = {
	    /* parse errors: no id to be had */
	    {"", ERR_PARSE, 0, NULL, NULL},
	    {"{", ERR_PARSE, 0, NULL, NULL},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"} x", ERR_PARSE, 0, NULL, NULL},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"ping\"}", ERR_PARSE, 0, NULL, NULL},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}", ERR_PARSE, 0, NULL, NULL},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\\u0000\"}", ERR_PARSE, 0, NULL, NULL},
	    /* no JSON-RPC object */
	    {"1", ERR_INVALID_REQUEST, 0, NULL, NULL},
	    {"\"x\"", ERR_INVALID_REQUEST, 0, NULL, NULL},
	    {"null", ERR_INVALID_REQUEST, 0, NULL, NULL},
	    {"{}", ERR_INVALID_REQUEST, 0, NULL, NULL},
	    /* ids that are none */
	    {"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"m\"}", ERR_INVALID_REQUEST, 0, NULL, NULL},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"m\"}", ERR_INVALID_REQUEST, 0, NULL, NULL},
	    {"{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"m\"}", ERR_INVALID_REQUEST, 0, NULL, NULL},
	    {"{\"jsonrpc\":\"2.0\",\"id\":[1],\"method\":\"m\"}", ERR_INVALID_REQUEST, 0, NULL, NULL},
	    {"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"m\"}", ERR_INVALID_REQUEST, 0, NULL, NULL},
	    /* the rest has an id that must be echoed */
	    {"{\"id\":1,\"method\":\"m\"}", ERR_INVALID_REQUEST, 0, "1", NULL},
	    {"{\"jsonrpc\":\"1.0\",\"id\":\"q\",\"method\":\"m\"}", ERR_INVALID_REQUEST, 0, "\"q\"", NULL},
	    {"{\"jsonrpc\":2.0,\"id\":1,\"method\":\"m\"}", ERR_INVALID_REQUEST, 0, "1", NULL},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1}", ERR_INVALID_REQUEST, 0, "1", NULL},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":5}", ERR_INVALID_REQUEST, 0, "1", NULL},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":null}", ERR_INVALID_REQUEST, 0, "1", NULL},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":[]}", ERR_INVALID_REQUEST, 0, "1", NULL},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":3}", ERR_INVALID_REQUEST, 0, "1", NULL},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":null}", ERR_INVALID_REQUEST, 0, "1", NULL},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"result\":{}}", ERR_INVALID_REQUEST, 0, "1", NULL},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{},\"error\":{}}", ERR_INVALID_REQUEST, 0, "1", NULL},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":\"x\"}", ERR_INVALID_REQUEST, 0, "1", NULL},
	    {"{\"jsonrpc\":\"2.0\",\"result\":{}}", ERR_INVALID_REQUEST, 0, NULL, NULL},
	    /* batches */
	    {"[]", ERR_INVALID_REQUEST, 0, NULL, NULL},
	    {"[1]", ERR_INVALID_REQUEST, 0, NULL, NULL},
	    {"[[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]]", ERR_INVALID_REQUEST, 0, NULL, NULL},
	    {"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}]", ERR_INVALID_REQUEST, 0, NULL, NULL},
	    {"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"},{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/"
	     "list\","
	     "\"params\":{\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":1}}}]",
	     ERR_INVALID_REQUEST, 0, NULL, NULL},
	    {"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"},{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}]",
	     ERR_INVALID_REQUEST, 0, NULL, NULL},
	    {"[{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{}},{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}]",
	     ERR_INVALID_REQUEST, 0, NULL, NULL},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_row(&rows[i]);
}

static void test_depth_and_batch_ceiling(void **state)
{
	struct buf deep = buf_with_ceiling(OUT_CEILING), many = buf_with_ceiling(OUT_CEILING);
	(void)state;
	buf_adds(&deep, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{\"a\":");
	for (int i = 0; i < 100; i++)
		buf_addc(&deep, '[');
	for (int i = 0; i < 100; i++)
		buf_addc(&deep, ']');
	buf_adds(&deep, "}}");
	check_row(&(struct row){buf_text(&deep), ERR_PARSE, 0, NULL, NULL});
	buf_addc(&many, '[');
	for (int i = 0; i <= RPC_BATCH_MAX; i++)
		buf_adds(&many, i ? ",{}" : "{}");
	buf_addc(&many, ']');
	check_row(&(struct row){buf_text(&many), ERR_INVALID_REQUEST, 0, NULL, NULL});
	buf_free(&deep);
	buf_free(&many);
}

static void test_params_and_meta(void **state)
{
	struct arena *a = arena_new(ARENA_CEILING);
	struct rpc rpc;
	struct mcp_fault fault;
	(void)state;
	assert_int_equal(
	    rpc_read(a, SLICE("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{\"_meta\":{\"a\":1}}}"), &rpc,
		     &fault),
	    ERR_OK);
	assert_int_equal(json_int_of(rpc.meta, "a", 0), 1);
	assert_int_equal(rpc_read(a, SLICE("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{\"_meta\":[]}}"),
				  &rpc, &fault),
			 ERR_OK);
	assert_non_null(rpc.params);
	assert_null(rpc.meta);
	assert_int_equal(rpc_read(a, SLICE("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\"}"), &rpc, &fault), ERR_OK);
	assert_null(rpc.params);
	arena_free(a);
}

static void test_batch_split(void **state)
{
	struct slice body = SLICE(" [ {\"a\":\"],[\\\"\"} ,{\"b\":[1,{\"c\":2}]},\n{}] ");
	struct slice elements[8];
	(void)state;
	assert_int_equal(rpc_batch_split(body, 8, elements), 3);
	assert_slice(slice_trim(elements[0]), "{\"a\":\"],[\\\"\"}");
	assert_slice(elements[1], "{\"b\":[1,{\"c\":2}]}");
	assert_slice(elements[2], "\n{}");
	assert_int_equal(rpc_batch_split(body, 2, elements), 2);
}

/* ---- any batch is split where the parser splits it ---- */

static uint32_t random_state;

static uint32_t any(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % n;
}

static void add_space(struct buf *b)
{
	static const char blanks[] = " \t\r\n";
	for (uint32_t n = any(4) ? 0 : any(4); n > 0; n--)
		buf_addc(b, blanks[any(4)]);
}

static void add_string(struct buf *b)
{
	static const char *const pieces[] = {"a",    "]",    "[", "{",       "}",        ",",   ":",
					     "\\\"", "\\\\", "/", "\\u005b", "\xc3\xa9", "\\n", "\\ud83d\\ude00"};
	buf_addc(b, '"');
	for (uint32_t n = any(6); n > 0; n--)
		buf_adds(b, pieces[any(ARRAY_LEN(pieces))]);
	buf_addc(b, '"');
}

static void add_value(struct buf *b, int depth);

static void add_object(struct buf *b, int depth)
{
	uint32_t n = any(4);
	buf_addc(b, '{');
	for (uint32_t i = 0; i < n; i++) {
		add_space(b);
		buf_addf(b, "%s\"%u", i ? "," : "", i);
		buf_addf(b, "%s\"", any(2) ? "\\\\\\\"]," : "");
		add_space(b);
		buf_addc(b, ':');
		add_value(b, depth - 1);
	}
	add_space(b);
	buf_addc(b, '}');
}

static void add_value(struct buf *b, int depth)
{
	static const char *const atoms[] = {"1", "-1.5e3", "true", "false", "null"};
	add_space(b);
	switch (depth > 0 ? any(4) : any(2)) {
	case 0:
		buf_adds(b, atoms[any(ARRAY_LEN(atoms))]);
		break;
	case 1:
		add_string(b);
		break;
	case 2:
		add_object(b, depth);
		break;
	default:
		buf_addc(b, '[');
		for (uint32_t i = 0, n = any(4); i < n; i++) {
			buf_adds(b, i ? "," : "");
			add_value(b, depth - 1);
		}
		add_space(b);
		buf_addc(b, ']');
	}
	add_space(b);
}

static void check_split(struct slice body)
{
	struct arena *a = arena_new(ARENA_CEILING);
	struct slice elements[RPC_BATCH_MAX];
	struct mcp_fault fault;
	struct rpc rpc;

	if (rpc_read(a, body, &rpc, &fault) == ERR_OK) {
		size_t n = json_array_size(rpc.root);
		assert_int_equal(rpc.kind, RPC_BATCH);
		assert_int_equal(rpc_batch_split(body, RPC_BATCH_MAX, elements), n);
		for (size_t i = 0; i < n; i++) {
			json_t *element = NULL;
			assert_int_equal(json_parse(elements[i], JSON_DEPTH_MAX, &element, NULL, 0), JSON_OK);
			if (!json_equal(element, json_array_get(rpc.root, i)))
				fail_msg("element %zu of %.*s is %.*s", i, (int)body.n, body.data, (int)elements[i].n,
					 elements[i].data);
			json_decref(element);
		}
	} else {
		/* the only one that is made is an empty batch */
		assert_int_equal(fault.err, ERR_INVALID_REQUEST);
		assert_int_equal(json_array_size(rpc.root), 0);
	}
	arena_free(a);
}

static void test_any_batch_is_split(void **state)
{
	(void)state;
	random_state = 20250326;
	for (int round = 0; round < 3000; round++) {
		struct buf body = buf_with_ceiling(OUT_CEILING);
		add_space(&body);
		buf_addc(&body, '[');
		for (uint32_t i = 0, n = any(12); i < n; i++) {
			buf_adds(&body, i ? "," : "");
			add_space(&body);
			add_object(&body, 4);
			add_space(&body);
		}
		buf_addc(&body, ']');
		add_space(&body);
		check_split(buf_slice(&body));
		buf_free(&body);
	}
}

static void test_write(void **state)
{
	struct buf b = buf_with_ceiling(OUT_CEILING);
	json_t *data = json_from("{\"supported\":[\"x\"]}");
	(void)state;
	assert_true(rpc_write_result(&b, SLICE("1.0"), SLICE("{}")));
	assert_string_equal(buf_text(&b), "{\"jsonrpc\":\"2.0\",\"id\":1.0,\"result\":{}}");
	buf_clear(&b);
	assert_true(rpc_write_error(&b, (struct slice){0}, -32700, "say \"no\"\n", NULL));
	assert_string_equal(buf_text(&b),
			    "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700,\"message\":\"say \\\"no\\\"\\n\"}}");
	buf_clear(&b);
	assert_true(rpc_write_error(&b, SLICE("\"a\""), -32022, "v", data));
	assert_string_equal(buf_text(&b), "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"error\":{\"code\":-32022,\"message\":"
					  "\"v\",\"data\":{\"supported\":[\"x\"]}}}");
	json_decref(data);
	buf_free(&b);
	b = buf_with_ceiling(10);
	assert_false(rpc_write_result(&b, SLICE("1"), SLICE("{}")));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_messages),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_depth_and_batch_ceiling),
	    cmocka_unit_test(test_params_and_meta),
	    cmocka_unit_test(test_batch_split),
	    cmocka_unit_test(test_any_batch_is_split),
	    cmocka_unit_test(test_write),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
