/* Any body: read, and answered with the id that it has; what is written is JSON again. */
#include <stdlib.h>

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

static void read_batch(struct arena *a, struct slice body, size_t n)
{
	struct slice elements[RPC_BATCH_MAX];
	expect(rpc_batch_split(body, RPC_BATCH_MAX, elements) == n);
	for (size_t i = 0; i < n; i++) {
		struct mcp_fault fault;
		struct rpc rpc;
		int err = rpc_read(a, elements[i], &rpc, &fault);
		expect(err != ERR_PARSE && rpc.kind != RPC_BATCH);
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
		read_batch(a, body, json_array_size(rpc.root));
	if (err == ERR_OK && rpc.kind == RPC_REQUEST)
		expect(rpc.id.data && rpc.method);
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
