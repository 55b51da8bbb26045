/* The legacy era's own: its version header, and the handshake; and what a client of either era can be asked. */
#include "internal.h"

unsigned client_can(const json_t *capabilities)
{
	const json_t *elicitation = json_object_get(capabilities, "elicitation");
	bool form = json_is_object(json_object_get(elicitation, "form"));
	bool url = json_is_object(json_object_get(elicitation, "url"));
	unsigned can = 0;

	if (json_is_object(elicitation) && (form || !url))
		can |= CLIENT_FORM;
	if (url)
		can |= CLIENT_URL;
	if (json_is_object(json_object_get(capabilities, "sampling")))
		can |= CLIENT_SAMPLING;
	if (json_is_object(json_object_get(capabilities, "roots")))
		can |= CLIENT_ROOTS;
	return can;
}

/* Elicitation came with 2025-06-18, where it is forms and nothing else, whatever its object holds. */
static unsigned known_by(enum revision revision, unsigned can)
{
	const unsigned elicitation = CLIENT_FORM | CLIENT_URL;
	if (revision >= REVISION_2025_11_25 || !(can & elicitation))
		return can;
	return (can & ~elicitation) | (revision == REVISION_2025_06_18 ? CLIENT_FORM : 0);
}

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
	const json_t *capabilities = json_object_get(rpc->params, "capabilities");
	const json_t *client = json_object_get(rpc->params, "clientInfo");

	*info = (struct client_info){0};
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
	info->can = known_by(info->revision, client_can(capabilities));
	return ERR_OK;
}
