/* Any params of a retried request: a state opens for the parameters that it was made for, whatever their order, and a
 * state that was not given opens never. */
#include <stdlib.h>
#include <string.h>

#include "snowgate/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { NOW = 1800000000 };
static const struct seal_keys keys = {2, {{"a new key"}, {"an old key"}}};
/* Seals nothing, so that no text at all is genuine. */
static const struct seal_keys idle_keys = {1, {{"another key"}}};
static const struct principal somebody = {PRINCIPAL_KEY, "", "somebody", ""};

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static bool opens(const struct seal_keys *k, const char *method, json_t *params, int64_t now, const json_t *wanted)
{
	struct arena *a = arena_new((size_t)1 << 20);
	struct mcp_fault fault = {0};
	struct rpc rpc = {.kind = RPC_REQUEST, .method = method, .params = params};
	json_t *answers = NULL;
	int e = state_read(a, k, &somebody, &rpc, now, &answers, &fault);
	expect((e == ERR_OK) == (answers != NULL) && (e == ERR_OK) == !fault.message);
	expect(e == ERR_OK || e == ERR_INVALID_PARAMS);
	expect(!answers || !wanted || json_equal(answers, wanted));
	json_decref(answers);
	arena_free(a);
	return e == ERR_OK;
}

/* The members the other way round. */
static json_t *reversed(json_t *object)
{
	json_t *r = json_object();
	size_t n = json_object_size(object);
	for (size_t i = n; i-- > 0;) {
		void *at = json_object_iter(object);
		for (size_t j = 0; j < i; j++)
			at = json_object_iter_next(object, at);
		json_object_set(r, json_object_iter_key(at), json_object_iter_value(at));
	}
	return r;
}

/* The input's params, and its own inputResponses as the answers. */
static void try_genuine(json_t *params)
{
	struct buf b = buf_with_ceiling((size_t)1 << 20);
	struct rpc rpc = {.kind = RPC_REQUEST, .method = "tools/call", .params = params};
	const json_t *given = json_object_get(params, "inputResponses");
	json_t *answers = json_is_object(given) ? json_deep_copy(given) : NULL;
	if (state_write(&b, &keys, &somebody, &rpc, answers, NOW + 60)) {
		json_t *retry = reversed(params);
		json_object_set_new(retry, "requestState", json_string(buf_text(&b)));
		json_object_set_new(retry, "_meta", json_object());
		json_object_del(retry, "inputResponses");
		expect(opens(&keys, "tools/call", retry, NOW, answers));
		expect(!opens(&keys, "tools/call", retry, NOW + 60, NULL));
		expect(!opens(&keys, "prompts/get", retry, NOW, NULL));
		json_object_set_new(retry, "another member", json_pack("[[i]]", 4711));
		expect(json_object_get(params, "another member") || !opens(&keys, "tools/call", retry, NOW, NULL));
		json_decref(retry);
	}
	json_decref(answers);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	json_t *params = NULL;
	if (json_parse((struct slice){(const char *)data, n}, 32, &params, NULL, 0) == JSON_OK &&
	    json_is_object(params) && json_object_size(params) < 200) {
		expect(!opens(&idle_keys, "tools/call", params, NOW, NULL));
		try_genuine(params);
	}
	json_decref(params);
	return 0;
}
