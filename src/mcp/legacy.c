/* The legacy era's own: its version header, and the handshake. */
#include "internal.h"

int legacy_check_version(struct arena *a, const struct mcp_headers *h, struct era_verdict *v, struct mcp_fault *f)
{
	if (!h->protocol_version)
		return ERR_OK;
	enum revision r = revision_parse(h->protocol_version);
	if (r == REVISION_NONE)
		return fault_version(a, f, false, h->protocol_version);
	v->revision = revision_is_modern(r) ? REVISION_NONE : r;
	return ERR_OK;
}

static int wanted(struct arena *a, struct mcp_fault *f, const char *what)
{
	return fault_set(a, f, ERR_INVALID_PARAMS, "initialize: params.%s", what);
}

int initialize_read(struct arena *a, const struct rpc *rpc, struct client_info *info, struct mcp_fault *fault)
{
	const char *version = json_text_of(rpc->params, "protocolVersion");
	json_t *capabilities = json_object_get(rpc->params, "capabilities");
	const json_t *client = json_object_get(rpc->params, "clientInfo");

	*info = (struct client_info){.capabilities = capabilities};
	*fault = (struct mcp_fault){ERR_OK, NULL, NULL};
	if (!version)
		return wanted(a, fault, "protocolVersion must be there and be a string");
	if (!json_is_object(capabilities))
		return wanted(a, fault, "capabilities must be there and be an object; {} where there are none");
	if (!json_is_object(client))
		return wanted(a, fault, "clientInfo must be there and be an object");
	info->name = json_text_of(client, "name");
	info->version = json_text_of(client, "version");
	if (!info->name || !info->version)
		return wanted(a, fault, "clientInfo must have name and version, both strings");
	info->asked = revision_parse(version);
	bool keeps = info->asked != REVISION_NONE && !revision_is_modern(info->asked);
	info->revision = keeps ? info->asked : REVISION_LATEST_LEGACY;
	return ERR_OK;
}
