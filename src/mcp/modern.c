/* The modern era's own: the ladder of checks that each request climbs, and the headers that mirror its body. */
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "snowgate/crypt.h"

/* ---- step 2: the envelope in params._meta ---- */

static int check_envelope(struct arena *a, const struct rpc *rpc, struct mcp_fault *f)
{
	const json_t *client = json_object_get(rpc->meta, META_CLIENT);
	if (!json_is_string(json_object_get(rpc->meta, META_VERSION)))
		return fault_set(a, f, ERR_MISSING_META, "params._meta[\"%s\"] must be a string", META_VERSION);
	/* Notifications carry the claim only; capabilities are a matter of requests. */
	if (rpc->kind == RPC_REQUEST && !json_is_object(json_object_get(rpc->meta, META_CAPABILITIES)))
		return fault_set(a, f, ERR_MISSING_META,
				 "params._meta[\"%s\"] must be there and be an object; {} where there are none",
				 META_CAPABILITIES);
	if (client && !json_is_object(client))
		return fault_set(a, f, ERR_MISSING_META, "params._meta[\"%s\"] must be an object where it is given",
				 META_CLIENT);
	return ERR_OK;
}

/* ---- header values ---- */

/* Field values are visible ASCII, blank and tab (RFC 9110, 5.5 without obs-text); the rest travels as base64. */
static bool is_plain(const char *value)
{
	for (const char *c = value; *c; c++)
		if (*c != '\t' && ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e))
			return false;
	return true;
}

/* Is the text UTF-8? A check by the JSON library, which refuses what is not. */
static bool is_utf8(struct slice text)
{
	json_t *string = json_stringn(text.data, text.n);
	json_decref(string);
	return string != NULL;
}

/* Writes what the value says into `out`: itself, or the decoded content of =?base64?...?= */
static bool header_decode(const char *value, struct buf *out)
{
	static const char prefix[] = "=?base64?", suffix[] = "?=";
	size_t n = strlen(value), head = sizeof(prefix) - 1, tail = sizeof(suffix) - 1;

	if (!is_plain(value))
		return false;
	if (n < head + tail || strncmp(value, prefix, head) != 0 || strcmp(value + n - tail, suffix) != 0)
		return buf_add(out, value, n);
	struct slice payload = {value + head, n - head - tail};
	return base64_decode(out, payload) && !buf_failed(out) && is_utf8(buf_slice(out));
}

/* Runs `same` over the decoded value. */
static bool header_matches(const char *value, const json_t *body, bool (*same)(struct slice, const json_t *))
{
	struct buf decoded = buf_with_ceiling(strlen(value) + 1);
	bool matches = header_decode(value, &decoded);
	if (matches)
		matches = same((struct slice){buf_text(&decoded), decoded.n}, body);
	buf_free(&decoded);
	return matches;
}

static bool same_string(struct slice value, const json_t *body)
{
	return value.n == json_string_length(body) && memcmp(value.data, json_string_value(body), value.n) == 0;
}

bool number_equal(const json_t *a, const json_t *b)
{
	if (json_is_integer(a) && json_is_integer(b))
		return json_integer_value(a) == json_integer_value(b);
	if (json_is_real(a) && json_is_real(b))
		return json_real_value(a) == json_real_value(b);
	const json_t *real = json_is_real(a) ? a : b, *integer = json_is_real(a) ? b : a;
	double d = json_real_value(real);
	/* 2^63: outside of it there is no integer to compare with, and the conversion would be undefined. */
	if (!(d >= -9223372036854775808.0 && d < 9223372036854775808.0))
		return false;
	json_int_t whole = (json_int_t)d;
	return (double)whole == d && whole == json_integer_value(integer);
}

static bool same_number(struct slice value, const json_t *body)
{
	json_t *number = NULL;
	if (json_parse(value, 1, &number, NULL, 0) != JSON_OK)
		return false;
	bool same = json_is_number(number) && number_equal(number, body);
	json_decref(number);
	return same;
}

static bool same_boolean(struct slice value, const json_t *body)
{
	return slice_is(value, json_is_true(body) ? "true" : "false");
}

/* ---- steps 3 to 5: headers against the body ---- */

static int mismatch(struct arena *a, struct mcp_fault *f, const char *name, const char *header, const char *body)
{
	if (!header)
		return fault_set(a, f, ERR_HEADER_MISMATCH,
				 "header mismatch: %s is missing; it must be '%.*s', as in the body", name, ECHO_MAX,
				 body);
	return fault_set(a, f, ERR_HEADER_MISMATCH, "header mismatch: %s is '%.*s' but the body says '%.*s'", name,
			 ECHO_MAX, header, ECHO_MAX, body);
}

/* The header against the body, and against what is served here; without headers the body alone. */
static int check_version(struct arena *a, const struct rpc *rpc, const struct mcp_headers *h, struct mcp_fault *f)
{
	const char *claimed = json_text_of(rpc->meta, META_VERSION);
	if (h->protocol_version && strcmp(h->protocol_version, claimed) != 0)
		return mismatch(a, f, "MCP-Protocol-Version", h->protocol_version, claimed);
	if (!revision_is_modern(revision_parse(claimed)))
		return fault_version(a, f, true, claimed);
	if (!h->none && !h->protocol_version && rpc->kind == RPC_REQUEST)
		return mismatch(a, f, "MCP-Protocol-Version", NULL, claimed);
	return ERR_OK;
}

static int check_method(struct arena *a, const struct rpc *rpc, const struct mcp_headers *h, struct mcp_fault *f)
{
	bool absent_is_fine = h->none || rpc->kind == RPC_NOTIFICATION;
	if (h->method ? strcmp(h->method, rpc->method) != 0 : !absent_is_fine)
		return mismatch(a, f, "Mcp-Method", h->method, rpc->method);
	return ERR_OK;
}

/* The member of params that Mcp-Name repeats; NULL where the method has none. */
static const char *named_by(const char *method)
{
	if (strcmp(method, "tools/call") == 0 || strcmp(method, "prompts/get") == 0)
		return "name";
	if (strcmp(method, "tasks/get") == 0 || strcmp(method, "tasks/update") == 0 ||
	    strcmp(method, "tasks/cancel") == 0)
		return "taskId";
	return strcmp(method, "resources/read") == 0 ? "uri" : NULL;
}

static int check_name(struct arena *a, const struct rpc *rpc, const struct mcp_headers *h, struct mcp_fault *f)
{
	const char *member = named_by(rpc->method);
	if (!member || h->none || rpc->kind != RPC_REQUEST)
		return ERR_OK;
	const json_t *name = json_object_get(rpc->params, member);
	/* A body without a name is a matter of params (step 9), unless the header has one. */
	if (!json_is_string(name))
		return h->name ? mismatch(a, f, "Mcp-Name", h->name, "") : ERR_OK;
	if (!h->name || !header_matches(h->name, name, same_string))
		return mismatch(a, f, "Mcp-Name", h->name, json_string_value(name));
	return ERR_OK;
}

int modern_climb(struct arena *a, const struct rpc *rpc, const struct mcp_headers *h, struct mcp_fault *f)
{
	static int (*const steps[])(struct arena *, const struct rpc *, const struct mcp_headers *,
				    struct mcp_fault *) = {check_version, check_method, check_name};
	int err = check_envelope(a, rpc, f);
	for (size_t i = 0; err == ERR_OK && i < ARRAY_LEN(steps); i++)
		err = steps[i](a, rpc, h, f);
	return err;
}

/* ---- step 7: Mcp-Param-* ---- */

static const char *param_value(const struct mcp_headers *h, const char *name)
{
	struct slice wanted = slice_of(name);
	for (size_t i = 0; i < h->params_n; i++)
		if (slice_is_nocase(wanted, h->params[i].name))
			return h->params[i].value;
	return NULL;
}

/* NULL for a value that has no form as a header; the argument check will refuse it. */
static bool (*comparison(const json_t *argument))(struct slice, const json_t *)
{
	if (json_is_string(argument))
		return same_string;
	if (json_is_number(argument))
		return same_number;
	return json_is_boolean(argument) ? same_boolean : NULL;
}

static int check_param(struct arena *a, const char *name, const json_t *argument, const struct mcp_headers *h,
		       struct mcp_fault *f)
{
	bool (*same)(struct slice, const json_t *) = comparison(argument);
	if (!same)
		return ERR_OK;
	const char *value = param_value(h, name);
	if (!value)
		return fault_set(
		    a, f, ERR_HEADER_MISMATCH,
		    "header mismatch: Mcp-Param-%s is missing; it must repeat its argument (see tools/list)", name);
	if (!header_matches(value, argument, same))
		return fault_set(a, f, ERR_HEADER_MISMATCH,
				 "header mismatch: Mcp-Param-%s is '%.*s' but the argument differs", name, ECHO_MAX,
				 value);
	return ERR_OK;
}

/* Schemas are the server's own, checked by schema_usable() and so no deeper than JSON_DEPTH_MAX. */
int modern_check_params(struct arena *a, const json_t *schema, const json_t *arguments, const struct mcp_headers *h,
			struct mcp_fault *fault)
{
	json_t *properties = json_object_get(schema, "properties"), *property;
	const char *key;
	int err = ERR_OK;

	if (h->none)
		return ERR_OK;
	json_object_foreach(properties, key, property)
	{
		const json_t *argument = json_object_get(arguments, key);
		const char *name = json_text_of(property, "x-mcp-header");
		if (!argument || json_is_null(argument))
			continue;
		if (name)
			err = check_param(a, name, argument, h, fault);
		else if (json_is_object(argument))
			err = modern_check_params(a, property, argument, h, fault);
		if (err != ERR_OK)
			return err;
	}
	return ERR_OK;
}
