/* Any request as a subscription: what is acknowledged, asked for again, is understood the same. */
#include <stdlib.h>
#include <string.h>

#include "snowgate/mcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static bool is_same(const struct listen *a, const struct listen *b)
{
	if (memcmp(a->changes, b->changes, sizeof(a->changes)) != 0 || a->uris_n != b->uris_n)
		return false;
	for (size_t i = 0; i < a->uris_n; i++)
		if (strcmp(a->uris[i], b->uris[i]) != 0)
			return false;
	return true;
}

static void check_filter(const struct listen *l)
{
	expect(l->uris_n <= LISTEN_URIS_MAX);
	for (size_t i = 0; i < l->uris_n; i++) {
		expect(*l->uris[i] && strlen(l->uris[i]) <= LISTEN_URI_MAX);
		for (size_t j = 0; j < i; j++)
			expect(strcmp(l->uris[i], l->uris[j]) != 0);
	}
}

/* The acknowledgement has its filter where the request has it. */
static void check_echo(struct arena *a, const struct listen *l, struct slice id)
{
	struct buf out = buf_with_ceiling((size_t)8 << 20);
	struct mcp_fault fault;
	struct listen again;
	struct rpc rpc;

	expect(acknowledged_write(&out, l, id));
	expect(rpc_read(a, buf_slice(&out), &rpc, &fault) == ERR_OK && rpc.kind == RPC_NOTIFICATION);
	expect(json_object_get(rpc.meta, "io.modelcontextprotocol/subscriptionId") != NULL);
	expect(listen_read(a, &rpc, &again, &fault) == ERR_OK && is_same(l, &again));
	buf_clear(&out);
	expect(listen_result_write(&out, id));
	json_t *result = NULL;
	expect(json_parse(buf_slice(&out), JSON_DEPTH_MAX, &result, NULL, 0) == JSON_OK);
	json_decref(result);
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice body = {(const char *)data, n};
	struct arena *a = arena_new((size_t)4 << 20);
	struct mcp_fault fault;
	struct listen l;
	struct rpc rpc;

	if (rpc_read(a, body, &rpc, &fault) == ERR_OK && rpc.kind == RPC_REQUEST) {
		if (listen_read(a, &rpc, &l, &fault) == ERR_OK) {
			check_filter(&l);
			check_echo(a, &l, rpc.id);
		} else {
			expect(fault.err == ERR_INVALID_PARAMS && fault.message);
		}
	}
	arena_free(a);
	return 0;
}
