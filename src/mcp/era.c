/* Decides which revision a message speaks, and which of this server's methods it names. */
#include <string.h>

#include "internal.h"

static const char *const revision_names[] = {
    [REVISION_2024_11_05] = "2024-11-05", [REVISION_2025_03_26] = "2025-03-26", [REVISION_2025_06_18] = "2025-06-18",
    [REVISION_2025_11_25] = "2025-11-25", [REVISION_2026_07_28] = "2026-07-28",
};

const char *revision_name(enum revision r)
{
	const char *name = (size_t)r < ARRAY_LEN(revision_names) ? revision_names[r] : NULL;
	return name ? name : "none";
}

enum revision revision_parse(const char *name)
{
	for (size_t i = REVISION_NONE + 1; name && i < ARRAY_LEN(revision_names); i++)
		if (strcmp(name, revision_names[i]) == 0)
			return (enum revision)i;
	return REVISION_NONE;
}

int fault_version(struct arena *a, struct mcp_fault *f, bool claim, const char *requested)
{
	json_t *supported = json_array(), *text = json_string(requested);
	int first = claim ? REVISION_2026_07_28 : REVISION_2024_11_05;
	for (int r = REVISION_2026_07_28; r >= first; r--)
		json_array_append_new(supported, json_string(revision_names[r]));
	int err = fault_set(a, f, ERR_VERSION, "unsupported protocol version %.*s; use one of data.supported", ECHO_MAX,
			    text ? requested : "(not text)");
	json_t *data = json_object();
	json_object_set_new(data, "supported", supported);
	json_object_set_new(data, "requested", text ? text : json_string(""));
	f->data = arena_attach(a, data, json_release) ? data : NULL;
	return err;
}

static int classify_request(struct arena *a, const struct rpc *rpc, const struct mcp_headers *h, struct era_verdict *v,
			    struct mcp_fault *f)
{
	bool modern = revision_is_modern(revision_parse(h->protocol_version));
	v->initialize = strcmp(rpc->method, "initialize") == 0;
	if (modern && v->initialize)
		return fault_set(
		    a, f, ERR_HEADER_MISMATCH,
		    "MCP-Protocol-Version %s has no initialize; send server/discover, or initialize without "
		    "this header",
		    h->protocol_version);
	if (modern)
		return fault_set(a, f, ERR_MISSING_META, "MCP-Protocol-Version %s needs params._meta with %s and %s",
				 h->protocol_version, META_VERSION, META_CAPABILITIES);
	return legacy_check_version(a, h, v, f);
}

/* Only 2025-03-26 knows batches; without a header the session has to tell. */
static int classify_batch(struct arena *a, const struct mcp_headers *h, struct era_verdict *v, struct mcp_fault *f)
{
	int err = legacy_check_version(a, h, v, f);
	if (err != ERR_OK)
		return err;
	if (v->revision > REVISION_2025_03_26 || revision_is_modern(revision_parse(h->protocol_version)))
		return fault_set(a, f, ERR_INVALID_REQUEST,
				 "protocol %s has no batches; send each message in a POST of its own",
				 h->protocol_version);
	return ERR_OK;
}

static bool has_claim(const struct rpc *rpc)
{
	return json_object_get(rpc->meta, META_VERSION) != NULL;
}

int era_classify(struct arena *a, const struct rpc *rpc, const struct mcp_headers *h, struct era_verdict *v,
		 struct mcp_fault *fault)
{
	static const struct mcp_headers absent = {.none = true};
	*v = (struct era_verdict){ERA_LEGACY, REVISION_NONE, false};
	h = h->none ? &absent : h;
	*fault = (struct mcp_fault){ERR_OK, NULL, NULL};
	if (rpc->kind == RPC_BATCH)
		return classify_batch(a, h, v, fault);
	if (rpc->kind == RPC_RESPONSE)
		return legacy_check_version(a, h, v, fault);
	bool claim = has_claim(rpc), modern = revision_is_modern(revision_parse(h->protocol_version));
	if (!claim && rpc->kind == RPC_REQUEST)
		return classify_request(a, rpc, h, v, fault);
	if (!claim && !modern)
		return legacy_check_version(a, h, v, fault);
	*v = (struct era_verdict){ERA_MODERN, REVISION_2026_07_28, false};
	return claim ? modern_climb(a, rpc, h, fault) : ERR_OK;
}

/* eras: which of them know the method; bit 0 legacy, bit 1 modern. */
static const struct {
	const char *name;
	enum method_id id;
	enum rpc_kind kind;
	unsigned eras;
} methods[] = {
    {"initialize", MCP_INITIALIZE, RPC_REQUEST, 1},
    {"ping", MCP_PING, RPC_REQUEST, 1},
    {"server/discover", MCP_DISCOVER, RPC_REQUEST, 2},
    {"tools/list", MCP_TOOLS_LIST, RPC_REQUEST, 3},
    {"tools/call", MCP_TOOLS_CALL, RPC_REQUEST, 3},
    {"resources/list", MCP_RESOURCES_LIST, RPC_REQUEST, 3},
    {"resources/templates/list", MCP_TEMPLATES_LIST, RPC_REQUEST, 3},
    {"resources/read", MCP_RESOURCES_READ, RPC_REQUEST, 3},
    {"resources/subscribe", MCP_SUBSCRIBE, RPC_REQUEST, 1},
    {"resources/unsubscribe", MCP_UNSUBSCRIBE, RPC_REQUEST, 1},
    {"prompts/list", MCP_PROMPTS_LIST, RPC_REQUEST, 3},
    {"prompts/get", MCP_PROMPTS_GET, RPC_REQUEST, 3},
    {"completion/complete", MCP_COMPLETE, RPC_REQUEST, 3},
    {"logging/setLevel", MCP_SET_LEVEL, RPC_REQUEST, 1},
    {"subscriptions/listen", MCP_LISTEN, RPC_REQUEST, 2},
    {"tasks/get", MCP_TASKS_GET, RPC_REQUEST, 2},
    {"tasks/update", MCP_TASKS_UPDATE, RPC_REQUEST, 2},
    {"tasks/cancel", MCP_TASKS_CANCEL, RPC_REQUEST, 2},
    {"notifications/initialized", MCP_INITIALIZED, RPC_NOTIFICATION, 1},
    {"notifications/cancelled", MCP_CANCELLED, RPC_NOTIFICATION, 3},
};

enum method_id mcp_method(enum era era, enum rpc_kind kind, const char *method)
{
	unsigned bit = era == ERA_MODERN ? 2 : 1;
	for (size_t i = 0; method && i < ARRAY_LEN(methods); i++)
		if (methods[i].kind == kind && (methods[i].eras & bit) && strcmp(methods[i].name, method) == 0)
			return methods[i].id;
	return kind == RPC_NOTIFICATION ? MCP_OTHER_NOTIFICATION : MCP_UNKNOWN;
}
