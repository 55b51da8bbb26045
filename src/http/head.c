/* From MHD's view of a head to plain data: the head for hygiene, then the request for the gateway. */
#include <string.h>

#include "server.h"

struct collection {
	struct head *head;
	size_t seen;
};

/* Name and value lie in MHD's buffer as they came, so the distance between them counts the white space too. */
static enum MHD_Result collect(void *ctx, enum MHD_ValueKind kind, const char *name, size_t name_n, const char *value,
			       size_t value_n)
{
	struct collection *c = ctx;
	struct head *head = c->head;

	(void)kind;
	if (head->fields_n == HEAD_FIELDS_MAX) {
		head->overflow = true;
		return MHD_NO;
	}
	if (!value)
		value = name + name_n;
	head->fields[head->fields_n++] = (struct head_field){{name, name_n}, {value, value_n}};
	c->seen += (size_t)(value - name) + value_n + 2;
	return MHD_YES;
}

void head_collect(struct head *head, struct peer *p, const char *target, const char *method, const char *version)
{
	struct collection c = {head, 0};

	head->fields_n = 0;
	head->overflow = false;
	head->target = slice_of(target);
	head->version = slice_of(version);
	(void)MHD_get_connection_values_n(p->connection, MHD_HEADER_KIND, collect, &c);
	/* method SP target SP version CRLF, the fields, CRLF */
	head->seen_size = strlen(method) + 1 + p->target_n + 1 + head->version.n + 2 + c.seen + 2;
	head->raw_size = MHD_get_connection_info(p->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)->header_size;
}

static const char *one(const struct head *head, struct arena *a, const char *name)
{
	struct slice s = head_get(head, name);

	return s.data ? arena_strndup(a, s.data, s.n) : NULL;
}

/* A list header may come in several lines; they mean the same as one line with commas (RFC 9110 5.3). */
static const char *joined(const struct head *head, struct arena *a, const char *name)
{
	const char *all = NULL;

	for (size_t i = 0; i < head->fields_n; i++) {
		struct slice s = slice_trim(head->fields[i].value);

		if (!slice_is_nocase(head->fields[i].name, name))
			continue;
		all = all ? arena_printf(a, "%s, %.*s", all, (int)s.n, s.data) : arena_strndup(a, s.data, s.n);
	}
	return all;
}

#define PARAM_PREFIX "Mcp-Param-"

static bool is_param(struct slice name)
{
	return name.n > strlen(PARAM_PREFIX) && slice_starts_nocase(name, PARAM_PREFIX);
}

static void copy_params(const struct head *head, struct arena *a, struct mcp_headers *mcp)
{
	size_t n = 0, prefix = strlen(PARAM_PREFIX);

	for (size_t i = 0; i < head->fields_n; i++)
		n += is_param(head->fields[i].name);
	mcp->params = n ? arena_alloc(a, n * sizeof(*mcp->params)) : NULL;
	for (size_t i = 0; mcp->params && i < head->fields_n; i++) {
		struct slice name = head->fields[i].name, value = slice_trim(head->fields[i].value);

		if (!is_param(name))
			continue;
		mcp->params[mcp->params_n].name = arena_strndup(a, name.data + prefix, name.n - prefix);
		mcp->params[mcp->params_n++].value = arena_strndup(a, value.data, value.n);
	}
}

static enum http_method method_of(const char *method)
{
	static const char *const names[] = {
	    [HTTP_GET] = "GET", [HTTP_POST] = "POST", [HTTP_DELETE] = "DELETE", [HTTP_OPTIONS] = "OPTIONS"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(method, names[i]) == 0)
			return (enum http_method)i;
	}
	return HTTP_OTHER;
}

static bool names_type(const char *accept, const char *type)
{
	struct slice rest = slice_of(accept);

	while (rest.n > 0) {
		const char *comma = memchr(rest.data, ',', rest.n);
		struct slice range = {rest.data, comma ? (size_t)(comma - rest.data) : rest.n};
		const char *parameters = range.n ? memchr(range.data, ';', range.n) : NULL;

		rest.data += range.n + (comma != NULL);
		rest.n -= range.n + (comma != NULL);
		if (parameters)
			range.n = (size_t)(parameters - range.data);
		if (slice_is_nocase(slice_trim(range), type))
			return true;
	}
	return false;
}

/* A browser names text/html, which no MCP client does; it is told what this address is. */
static void detect_page(const struct peer *p, struct request *rq)
{
	rq->page = (rq->method == HTTP_GET || p->is_head) && names_type(rq->accept, "text/html") &&
		   !names_type(rq->accept, "text/event-stream");
	if (rq->page)
		rq->method = HTTP_GET; /* MHD leaves the body out where it was HEAD */
}

/* A head is at most CONNECTION_MEMORY, so the arena, at REQUEST_ARENA, cannot run out here. */
void head_to_request(const struct head *head, const struct peer *p, const char *method, struct request *rq)
{
	struct arena *a = rq->arena;

	rq->method = method_of(method);
	rq->base = head_get(head, "Host").data ? arena_printf(a, "http://%s", one(head, a, "Host")) : NULL;
	rq->authorization = one(head, a, "Authorization");
	rq->content_type = one(head, a, "Content-Type");
	rq->accept = joined(head, a, "Accept");
	rq->origin = one(head, a, "Origin");
	rq->user_agent = one(head, a, "User-Agent");
	rq->traceparent = one(head, a, "traceparent");
	rq->tracestate = joined(head, a, "tracestate");
	rq->baggage = joined(head, a, "baggage");
	rq->mcp.protocol_version = one(head, a, "MCP-Protocol-Version");
	rq->mcp.session_id = one(head, a, "Mcp-Session-Id");
	rq->mcp.method = one(head, a, "Mcp-Method");
	rq->mcp.name = one(head, a, "Mcp-Name");
	rq->mcp.last_event_id = one(head, a, "Last-Event-ID");
	copy_params(head, a, &rq->mcp);
	detect_page(p, rq);
	rq->proxied =
	    head_has_prefix(head, "X-Forwarded-") || head_get(head, "Forwarded").data || head_get(head, "Via").data;
	client_address(rq->conf, p->address, slice_of(joined(head, a, "X-Forwarded-For")), rq->peer);
}
