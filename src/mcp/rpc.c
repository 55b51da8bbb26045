/* Reads JSON-RPC 2.0 messages from request bodies and writes responses. */
#include <math.h>
#include <string.h>

#include "internal.h"

int fault_set(struct arena *a, struct mcp_fault *f, enum err e, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	const char *text = arena_vprintf(a, format, args);
	va_end(args);
	*f = (struct mcp_fault){e, text ? text : err_info(e)->text, NULL};
	return (int)e;
}

static const char *parse_trouble(enum json_verdict verdict)
{
	switch (verdict) {
	case JSON_DEEP:
		return "the body nests arrays and objects too deeply";
	case JSON_DUPLICATE:
		return "an object in the body names a member twice";
	case JSON_ENCODING:
		return "the body is not UTF-8 or holds a NUL character";
	default:
		return "the body is not valid JSON";
	}
}

bool rpc_id_is_valid(const json_t *id)
{
	if (json_is_real(id))
		return json_real_value(id) == floor(json_real_value(id));
	return json_is_string(id) || json_is_integer(id);
}

static int read_id(struct arena *a, struct slice body, struct rpc *rpc, struct mcp_fault *fault)
{
	const json_t *id = json_object_get(rpc->root, "id");
	if (!id)
		return ERR_OK;
	if (!rpc_id_is_valid(id))
		return fault_set(a, fault, ERR_INVALID_REQUEST, "id must be a string or an integer%s",
				 json_is_null(id) ? ", not null; leave it out to send a notification" : "");
	rpc->id = json_raw_member(body, "id");
	if (!rpc->id.data)
		return fault_set(a, fault, ERR_INVALID_REQUEST, "spell the member name id without escapes");
	if (rpc->id.n > RPC_ID_MAX) {
		rpc->id = (struct slice){0};
		return fault_set(a, fault, ERR_INVALID_REQUEST, "id: at most %d bytes", RPC_ID_MAX);
	}
	return ERR_OK;
}

static int read_params(struct arena *a, struct rpc *rpc, struct mcp_fault *fault)
{
	json_t *params = json_object_get(rpc->root, "params");
	if (params && !json_is_object(params))
		return fault_set(a, fault, ERR_INVALID_REQUEST,
				 "params must be an object; leave it out where there are none");
	json_t *meta = json_object_get(params, "_meta");
	rpc->params = params;
	rpc->meta = json_is_object(meta) ? meta : NULL;
	return ERR_OK;
}

static int read_response(struct arena *a, struct rpc *rpc, struct mcp_fault *fault)
{
	const json_t *result = json_object_get(rpc->root, "result"), *error = json_object_get(rpc->root, "error");
	rpc->kind = RPC_RESPONSE;
	if (result && error)
		return fault_set(a, fault, ERR_INVALID_REQUEST, "a response has either result or error, not both");
	if (result && !rpc->id.data)
		return fault_set(a, fault, ERR_INVALID_REQUEST,
				 "a response with a result must have the id of its request");
	if (error && !json_is_object(error))
		return fault_set(a, fault, ERR_INVALID_REQUEST, "the error of a response must be an object");
	return ERR_OK;
}

static int read_object(struct arena *a, struct slice body, struct rpc *rpc, struct mcp_fault *fault)
{
	int err = read_id(a, body, rpc, fault);
	if (err != ERR_OK)
		return err;
	const char *version = json_text_of(rpc->root, "jsonrpc");
	if (!version || strcmp(version, "2.0") != 0)
		return fault_set(a, fault, ERR_INVALID_REQUEST, "jsonrpc must be there and be \"2.0\"");
	const json_t *method = json_object_get(rpc->root, "method");
	bool answers = json_object_get(rpc->root, "result") || json_object_get(rpc->root, "error");
	if (!method && answers)
		return read_response(a, rpc, fault);
	if (!json_is_string(method))
		return fault_set(a, fault, ERR_INVALID_REQUEST, "method must be there and be a string");
	if (answers)
		return fault_set(a, fault, ERR_INVALID_REQUEST, "a message with a method has no result and no error");
	rpc->kind = rpc->id.data ? RPC_REQUEST : RPC_NOTIFICATION;
	rpc->method = json_string_value(method);
	return read_params(a, rpc, fault);
}

/* What no element of a batch may be, whatever revision the session speaks. */
static int check_element(struct arena *a, const json_t *element, struct mcp_fault *fault)
{
	const char *method = json_text_of(element, "method");
	if (!json_is_object(element))
		return fault_set(a, fault, ERR_INVALID_REQUEST, "every element of a batch must be an object");
	if (method && strcmp(method, "initialize") == 0)
		return fault_set(a, fault, ERR_INVALID_REQUEST,
				 "initialize must not be part of a batch; send it alone");
	if (json_object_get(json_object_get(json_object_get(element, "params"), "_meta"), META_VERSION))
		return fault_set(a, fault, ERR_INVALID_REQUEST,
				 "protocol 2026-07-28 has no batches; send each request in a POST of its own");
	return ERR_OK;
}

static bool is_response(const json_t *element)
{
	return !json_object_get(element, "method") &&
	       (json_object_get(element, "result") || json_object_get(element, "error"));
}

static int read_batch(struct arena *a, struct rpc *rpc, struct mcp_fault *fault)
{
	size_t i, n = json_array_size(rpc->root), responses = 0;
	json_t *element;
	int err;

	rpc->kind = RPC_BATCH;
	if (n == 0 || n > RPC_BATCH_MAX)
		return fault_set(a, fault, ERR_INVALID_REQUEST,
				 "a batch must hold 1 to %d messages, this one holds %zu", RPC_BATCH_MAX, n);
	json_array_foreach(rpc->root, i, element)
	{
		err = check_element(a, element, fault);
		if (err != ERR_OK)
			return err;
		responses += is_response(element);
	}
	if (responses != 0 && responses != n)
		return fault_set(a, fault, ERR_INVALID_REQUEST,
				 "a batch must hold responses alone, or requests and notifications alone");
	return ERR_OK;
}

int rpc_read(struct arena *a, struct slice body, struct rpc *rpc, struct mcp_fault *fault)
{
	char why[160] = "";
	json_t *root = NULL;

	*rpc = (struct rpc){.kind = RPC_REQUEST};
	*fault = (struct mcp_fault){ERR_OK, NULL, NULL};
	enum json_verdict verdict = json_parse(body, JSON_DEPTH_MAX, &root, why, sizeof(why));
	if (verdict != JSON_OK)
		return fault_set(a, fault, ERR_PARSE, "%s%s%s", parse_trouble(verdict), *why ? ": " : "", why);
	if (!arena_attach(a, root, json_release))
		return fault_set(a, fault, ERR_NOMEM, "%s", err_info(ERR_NOMEM)->text);
	rpc->root = root;
	if (json_is_array(root))
		return read_batch(a, rpc, fault);
	if (!json_is_object(root))
		return fault_set(a, fault, ERR_INVALID_REQUEST, "the body must be one JSON-RPC object");
	return read_object(a, body, rpc, fault);
}

/* The end of the string that starts at text[i]: the place behind its closing quote. */
static size_t string_end(struct slice text, size_t i)
{
	for (i++; i < text.n && text.data[i] != '"'; i++)
		if (text.data[i] == '\\')
			i++;
	return i + 1;
}

/* Where the array element that starts at text[i] ends: at its comma or at the closing bracket. */
static size_t element_end(struct slice text, size_t i)
{
	size_t depth = 0;

	while (i < text.n) {
		char c = text.data[i];
		if (c == '"') {
			i = string_end(text, i);
			continue;
		}
		if (depth == 0 && (c == ',' || c == ']'))
			return i;
		if (c == '{' || c == '[')
			depth++;
		if (c == '}' || c == ']')
			depth--;
		i++;
	}
	return text.n;
}

size_t rpc_batch_split(struct slice body, size_t max, struct slice *elements)
{
	const char *open = memchr(body.data, '[', body.n);
	size_t n = 0;

	if (!open)
		return 0;
	for (size_t i = (size_t)(open - body.data) + 1; i < body.n && n < max; i++) {
		size_t end = element_end(body, i);
		if (end >= body.n)
			break;
		elements[n++] = (struct slice){body.data + i, end - i};
		i = end;
		if (i < body.n && body.data[i] == ']')
			break;
	}
	return n;
}

static bool write_head(struct buf *b, struct slice id)
{
	buf_adds(b, "{\"jsonrpc\":\"2.0\",");
	if (id.data) {
		buf_adds(b, "\"id\":");
		buf_add(b, id.data, id.n);
		buf_addc(b, ',');
	}
	return !buf_failed(b);
}

bool rpc_write_result(struct buf *b, struct slice id, struct slice result)
{
	write_head(b, id);
	buf_adds(b, "\"result\":");
	buf_add(b, result.data, result.n);
	return buf_addc(b, '}');
}

bool rpc_write_error(struct buf *b, struct slice id, int code, const char *message, const json_t *data)
{
	write_head(b, id);
	buf_addf(b, "\"error\":{\"code\":%d,\"message\":", code);
	json_write_string(b, message, strlen(message));
	if (data) {
		buf_adds(b, ",\"data\":");
		json_write(b, data);
	}
	return buf_adds(b, "}}");
}
