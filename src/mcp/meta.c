/* Reads what a request says of itself in params._meta: whom to tell of progress and of what, and whose trace it is. */
#include <string.h>

#include "internal.h"

static int read_token(struct arena *a, const struct rpc *rpc, struct slice body, struct request_meta *m,
		      struct mcp_fault *f)
{
	static const char *const path[] = {"params", "_meta", "progressToken", NULL};
	const json_t *token = json_object_get(rpc->meta, "progressToken");

	if (!token)
		return ERR_OK;
	if (!rpc_id_is_valid(token))
		return fault_set(a, f, ERR_INVALID_PARAMS, "params._meta.progressToken must be a string or an integer");
	m->progress_token = json_raw_path(body, path);
	if (m->progress_token.n > PROGRESS_TOKEN_MAX)
		return fault_set(a, f, ERR_INVALID_PARAMS, "params._meta.progressToken must be at most %d bytes",
				 PROGRESS_TOKEN_MAX);
	return ERR_OK;
}

static int read_level(struct arena *a, const struct rpc *rpc, struct request_meta *m, struct mcp_fault *f)
{
	const json_t *level = json_object_get(rpc->meta, META_LEVEL);

	if (!level)
		return ERR_OK;
	m->log_level = mcp_level_parse(json_string_value(level));
	if (m->log_level < 0)
		return fault_set(a, f, ERR_INVALID_PARAMS,
				 "params._meta[\"%s\"] must be debug, info, notice, warning, error, critical, alert or "
				 "emergency",
				 META_LEVEL);
	return ERR_OK;
}

/* Are the next n characters lower-case hexadecimal digits and, where `counts`, not all 0? */
static bool is_hex(const char *text, size_t n, bool counts)
{
	bool any = false;
	for (size_t i = 0; i < n; i++) {
		if (!text[i] || !strchr("0123456789abcdef", text[i]))
			return false;
		any |= text[i] != '0';
	}
	return any || !counts;
}

/* W3C Trace Context, 3.2: version-trace id-parent id-flags. Later versions may go on behind another hyphen. */
bool traceparent_valid(const char *text)
{
	enum { TRACE = 3, PARENT = 36, FLAGS = 53, END = 55 };

	if (!is_hex(text, 2, false) || text[2] != '-' || strncmp(text, "ff", 2) == 0)
		return false;
	if (!is_hex(text + TRACE, 32, true) || text[PARENT - 1] != '-')
		return false;
	if (!is_hex(text + PARENT, 16, true) || text[FLAGS - 1] != '-' || !is_hex(text + FLAGS, 2, false))
		return false;
	return text[END] == '\0' || (text[END] == '-' && strncmp(text, "00", 2) != 0);
}

bool trace_id(const char *traceparent, char out[TRACE_ID_SIZE])
{
	if (!traceparent || !traceparent_valid(traceparent))
		return false;
	memcpy(out, traceparent + 3, TRACE_ID_SIZE - 1);
	out[TRACE_ID_SIZE - 1] = '\0';
	return true;
}

static bool is_printable(const char *text)
{
	size_t n = 0;
	for (; text[n]; n++)
		if ((unsigned char)text[n] < 0x20 || (unsigned char)text[n] > 0x7e || n == TRACE_MAX)
			return false;
	return n > 0;
}

static const char *printable_of(const json_t *meta, const char *key)
{
	const char *text = json_text_of(meta, key);
	return text && is_printable(text) ? text : NULL;
}

static void read_trace(const struct rpc *rpc, struct request_meta *m)
{
	const char *parent = printable_of(rpc->meta, "traceparent");

	if (parent && traceparent_valid(parent)) {
		m->traceparent = parent;
		m->tracestate = printable_of(rpc->meta, "tracestate");
	}
	m->baggage = printable_of(rpc->meta, "baggage");
}

static bool declares_tasks(const json_t *capabilities)
{
	return json_is_object(json_object_get(json_object_get(capabilities, "extensions"), TASKS_EXTENSION));
}

int request_meta_read(struct arena *a, const struct rpc *rpc, struct slice body, struct request_meta *m,
		      struct mcp_fault *f)
{
	bool modern = json_object_get(rpc->meta, META_VERSION) != NULL;

	*m = (struct request_meta){.log_level = -1};
	*f = (struct mcp_fault){ERR_OK, NULL, NULL};
	read_trace(rpc, m);
	int err = read_token(a, rpc, body, m, f);
	if (err != ERR_OK || !modern)
		return err;
	m->can = client_can(json_object_get(rpc->meta, META_CAPABILITIES));
	m->tasks = declares_tasks(json_object_get(rpc->meta, META_CAPABILITIES));
	return read_level(a, rpc, m, f);
}
