/* Writes what the server asks of the client: requests of the legacy era, input_required of the modern one. */
#include <string.h>

#include "internal.h"

bool request_write(struct buf *b, const char *id, const char *method, const json_t *params)
{
	buf_adds(b, "{\"jsonrpc\":\"2.0\",");
	member_write_text(b, "id", id);
	buf_addc(b, ',');
	member_write_text(b, "method", method);
	if (params) {
		buf_addc(b, ',');
		member_write(b, "params", params);
	}
	return buf_addc(b, '}');
}

static bool question_write(struct buf *b, const struct ask *ask)
{
	json_write_string(b, ask->key, strlen(ask->key));
	buf_adds(b, ":{");
	member_write_text(b, "method", ask->method);
	if (ask->params) {
		buf_addc(b, ',');
		member_write(b, "params", ask->params);
	}
	return buf_addc(b, '}');
}

bool questions_write(struct buf *b, const struct ask *asks, size_t n)
{
	buf_adds(b, "\"inputRequests\":{");
	for (size_t i = 0; i < n; i++) {
		buf_adds(b, i ? "," : "");
		question_write(b, &asks[i]);
	}
	return buf_addc(b, '}');
}

bool input_required_write(struct buf *b, const struct ask *asks, size_t n, const char *state)
{
	assert(n > 0 || state);
	buf_adds(b, "{\"resultType\":\"input_required\",");
	if (n > 0) {
		questions_write(b, asks, n);
		buf_addc(b, ',');
	}
	if (state) {
		member_write_text(b, "requestState", state);
		buf_addc(b, ',');
	}
	meta_open(b);
	return buf_adds(b, "}}");
}
