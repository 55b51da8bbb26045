/* Any body: read, and answered with the id that it has; what is written is JSON again. A batch is split where the
 * parser splits it, and a progress token comes back in a notification. */
#include <stdlib.h>
#include <string.h>

#include "snowgate/mcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static void expect_json(struct buf *b)
{
	json_t *json = NULL;
	expect(!buf_failed(b));
	expect(json_parse(buf_slice(b), JSON_DEPTH_MAX + 2, &json, NULL, 0) == JSON_OK);
	expect(json_is_object(json));
	json_decref(json);
	buf_clear(b);
}

static void check_text(const char *text, size_t most)
{
	expect(!text || (*text && strlen(text) <= most));
}

/* What is said in _meta is what the tree says, and the token is the client's own. */
static void read_meta(struct arena *a, const struct rpc *rpc, struct slice body)
{
	struct buf out = buf_with_ceiling((size_t)1 << 20);
	struct request_meta m;
	struct mcp_fault fault;
	json_t *token = NULL;

	if (request_meta_read(a, rpc, body, &m, &fault) != ERR_OK) {
		expect(fault.err == ERR_INVALID_PARAMS && fault.message);
		return;
	}
	check_text(m.traceparent, TRACE_MAX);
	check_text(m.tracestate, TRACE_MAX);
	check_text(m.baggage, TRACE_MAX);
	expect(m.traceparent || !m.tracestate);
	expect(m.log_level >= -1 && m.log_level <= LEVEL_EMERGENCY);
	expect((m.progress_token.data != NULL) == (json_object_get(rpc->meta, "progressToken") != NULL));
	if (m.progress_token.data) {
		expect(json_parse(m.progress_token, 1, &token, NULL, 0) == JSON_OK);
		expect(json_equal(token, json_object_get(rpc->meta, "progressToken")));
		json_decref(token);
		expect(progress_write(&out, REVISION_2025_11_25, m.progress_token, 1, 0, m.baggage));
		expect_json(&out);
	}
	buf_free(&out);
}

static void read_batch(struct arena *a, struct slice body, const json_t *whole)
{
	struct slice elements[RPC_BATCH_MAX];
	size_t n = json_array_size(whole);
	expect(rpc_batch_split(body, RPC_BATCH_MAX, elements) == n);
	for (size_t i = 0; i < n; i++) {
		struct mcp_fault fault;
		struct rpc rpc;
		int err = rpc_read(a, elements[i], &rpc, &fault);
		expect(err != ERR_PARSE && rpc.kind != RPC_BATCH);
		if (err == ERR_NOMEM)
			return;
		expect(json_equal(rpc.root, json_array_get(whole, i)));
		if (err == ERR_OK && rpc.kind == RPC_REQUEST)
			read_meta(a, &rpc, elements[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice body = {(const char *)data, n};
	struct arena *a = arena_new((size_t)1 << 20);
	struct buf out = buf_with_ceiling((size_t)8 << 20);
	struct mcp_fault fault;
	struct rpc rpc;

	int err = rpc_read(a, body, &rpc, &fault);
	if (err == ERR_OK && rpc.kind == RPC_BATCH)
		read_batch(a, body, rpc.root);
	if (err == ERR_OK && rpc.kind == RPC_REQUEST) {
		expect(rpc.id.data && rpc.method);
		read_meta(a, &rpc, body);
	}
	if (err != ERR_OK) {
		expect(fault.message != NULL);
		rpc_write_error(&out, rpc.id, err_info(fault.err)->rpc_modern, fault.message, fault.data);
		expect_json(&out);
	}
	rpc_write_result(&out, rpc.id, SLICE("{}"));
	expect_json(&out);
	buf_free(&out);
	arena_free(a);
	return 0;
}
