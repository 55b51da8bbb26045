/* A body behind lines of headers: version, method, name, one parameter. Lines that are "-" are absent headers. What
 * passes with headers passes without them. */
#include <stdlib.h>
#include <string.h>

#include "snowgate/mcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char schema_text[] = "{\"type\":\"object\",\"properties\":{\"w\":{\"type\":\"string\",\"x-mcp-header\":"
				  "\"W\"},\"n\":{\"type\":\"integer\","
				  "\"x-mcp-header\":\"N\"},\"b\":{\"type\":\"boolean\",\"x-mcp-header\":\"B\"},\"o\":{"
				  "\"properties\":{\"r\":{\"type\":"
				  "\"string\",\"x-mcp-header\":\"W2\"}}}}}";

static void expect(bool holds)
{
	if (!holds)
		abort();
}

/* The next line, as text; the rest stays in *rest. */
static const char *next_header(struct arena *a, struct slice *rest)
{
	const char *end = rest->n ? memchr(rest->data, '\n', rest->n) : NULL;
	size_t length = end ? (size_t)(end - rest->data) : 0, step = end ? length + 1 : 0;
	const char *text = arena_strndup(a, rest->data, length);
	*rest = (struct slice){rest->data + step, rest->n - step};
	return text && strcmp(text, "-") != 0 ? text : NULL;
}

static void check_params(struct arena *a, const struct rpc *rpc, struct mcp_headers *h, const char *value)
{
	struct mcp_param params[] = {{"w", value}, {"N", value}, {"B", value}, {"W2", value}};
	struct mcp_fault fault;
	json_t *schema = NULL;

	expect(json_parse(slice_of(schema_text), JSON_DEPTH_MAX, &schema, NULL, 0) == JSON_OK);
	h->params = params;
	h->params_n = value ? ARRAY_LEN(params) : 0;
	int err = modern_check_params(a, schema, json_object_get(rpc->params, "arguments"), h, &fault);
	expect(err == ERR_OK || (err == ERR_HEADER_MISMATCH && fault.message));
	expect(modern_check_params(a, schema, json_object_get(rpc->params, "arguments"),
				   &(struct mcp_headers){.none = true}, &fault) == ERR_OK);
	json_decref(schema);
}

/* Headers can only take away: without them nothing is refused that they let pass, and no era changes but by them. */
static void check_without_headers(struct arena *a, const struct rpc *rpc, int err, const struct era_verdict *v)
{
	struct mcp_headers none = {.none = true, .protocol_version = "2025-11-25", .method = "x", .name = "y"};
	struct era_verdict bare;
	struct mcp_fault fault;
	int without = era_classify(a, rpc, &none, &bare, &fault);

	expect(without == ERR_OK || without == ERR_MISSING_META || without == ERR_VERSION);
	if (err == ERR_OK)
		expect(without == ERR_OK && (bare.era == v->era || rpc->kind == RPC_NOTIFICATION));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice rest = {(const char *)data, n};
	struct arena *a = arena_new((size_t)1 << 20);
	struct mcp_headers h = {0};
	struct era_verdict v;
	struct mcp_fault fault;
	struct rpc rpc;

	h.protocol_version = next_header(a, &rest);
	h.method = next_header(a, &rest);
	h.name = next_header(a, &rest);
	const char *value = next_header(a, &rest);
	if (rpc_read(a, rest, &rpc, &fault) == ERR_OK) {
		int err = era_classify(a, &rpc, &h, &v, &fault);
		check_without_headers(a, &rpc, err, &v);
		if (err != ERR_OK)
			expect(fault.message && (int)fault.err == err);
		else if (v.era == ERA_MODERN)
			expect(v.revision == REVISION_2026_07_28 && !v.initialize);
		else
			expect(!revision_is_modern(v.revision));
		check_params(a, &rpc, &h, value);
		struct client_info info;
		if (initialize_read(a, &rpc, &info, &fault) == ERR_OK)
			expect(info.name && info.version && !revision_is_modern(info.revision));
	}
	arena_free(a);
	return 0;
}
