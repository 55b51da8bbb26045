/* Page cursors and request states: sealed when given, opened and checked when they come back. */
#include "snowgate/seal.h"

#include <string.h>

#include "internal.h"

#define NUMBER_BYTES 8
/* Reals like 1e18 are written out as integers; nothing grows more than fivefold from the largest body there may be. */
#define PARAMS_MAX ((size_t)320 << 20)

bool seal_write(struct buf *b, const struct seal_keys *keys, struct slice bound, struct slice secret)
{
	assert(keys->n);
	if (secret.n > SEAL_MAX || (secret.n + CRYPT_SEAL_EXTRA) * 4 > (size_t)SEAL_MAX * 3)
		return false;
	struct buf sealed = buf_with_ceiling(SEAL_MAX);
	bool ok = crypt_seal(&sealed, keys->v[0].bytes, bound, secret) && base64url_encode(b, sealed.data, sealed.n);
	buf_free(&sealed);
	return ok;
}

bool seal_open(struct buf *b, const struct seal_keys *keys, struct slice bound, struct slice text)
{
	if (!text.data || text.n > SEAL_MAX)
		return false;
	struct buf sealed = buf_with_ceiling(SEAL_MAX);
	bool ok = false;
	if (base64url_decode(&sealed, text))
		for (size_t i = 0; i < keys->n && !ok; i++)
			ok = crypt_open(b, keys->v[i].bytes, bound, buf_slice(&sealed));
	buf_free(&sealed);
	return ok;
}

static bool number_add(struct buf *b, uint64_t number)
{
	bool ok = true;
	for (int i = NUMBER_BYTES - 1; i >= 0; i--)
		ok = buf_addc(b, (char)(number >> (8 * i) & 0xFF));
	return ok;
}

static uint64_t number_at(const char *bytes)
{
	uint64_t number = 0;
	for (size_t i = 0; i < NUMBER_BYTES; i++)
		number = number << 8 | (uint8_t)bytes[i];
	return number;
}

/* ---- cursors ---- */

/* What a cursor is bound to: its kind, whose it is (which tells its own length), and the list. */
static struct buf bound_of_list(const struct principal *p, struct slice list)
{
	struct buf bound = buf_with_ceiling(1 + sizeof(*p) + list.n);
	buf_addc(&bound, 'c');
	principal_encode(&bound, p);
	buf_add(&bound, list.data, list.n);
	assert(!buf_failed(&bound));
	return bound;
}

bool cursor_write(struct buf *b, const struct seal_keys *keys, const struct principal *p, struct slice list,
		  uint64_t offset)
{
	struct buf bound = bound_of_list(p, list), secret = buf_with_ceiling(NUMBER_BYTES);
	number_add(&secret, offset);
	bool ok = seal_write(b, keys, buf_slice(&bound), buf_slice(&secret));
	buf_free(&secret);
	buf_free(&bound);
	return ok;
}

static bool cursor_open(const struct seal_keys *keys, const struct principal *p, struct slice list, struct slice text,
			uint64_t *offset)
{
	struct buf bound = bound_of_list(p, list), secret = buf_with_ceiling(SEAL_MAX);
	bool ok = seal_open(&secret, keys, buf_slice(&bound), text) && secret.n == NUMBER_BYTES;
	if (ok)
		*offset = number_at(secret.data);
	buf_free(&secret);
	buf_free(&bound);
	return ok;
}

static struct slice text_of(const json_t *string)
{
	return (struct slice){json_string_value(string), json_string_length(string)};
}

int cursor_read(struct arena *a, const struct seal_keys *keys, const struct principal *p, struct slice list,
		const json_t *cursor, uint64_t *offset, struct mcp_fault *fault)
{
	if (!cursor) {
		*offset = 0;
		return ERR_OK;
	}
	if (!json_is_string(cursor))
		return fault_set(a, fault, ERR_INVALID_PARAMS,
				 "cursor: must be a string; leave it out for the first page");
	if (!cursor_open(keys, p, list, text_of(cursor), offset))
		return fault_set(a, fault, ERR_INVALID_PARAMS,
				 "cursor: not one that this list gave; start again without a cursor");
	return ERR_OK;
}

/* ---- request states ---- */

/* SHA-256 over the canonical text of all that the client says again when it comes back. */
static bool params_digest(const json_t *params, struct sha256 *digest)
{
	static const char *const others[] = {"_meta", "inputResponses", "requestState"};
	json_t *same = params ? json_copy((json_t *)(uintptr_t)params) : json_object();
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		json_object_del(same, others[i]);
	struct buf text = buf_with_ceiling(PARAMS_MAX);
	bool ok = json_write_canonical(&text, same);
	if (ok)
		*digest = crypt_sha256(text.data, text.n);
	buf_free(&text);
	json_decref(same);
	return ok;
}

/* Its kind, whose it is, the digest of the parameters, the method: only the last has no length of its own. Empty where
 * there is no digest. */
static struct buf bound_of_request(const struct principal *p, const struct rpc *rpc)
{
	struct sha256 digest;
	struct buf bound = buf_with_ceiling(1 + sizeof(*p) + SHA256_BYTES + strlen(rpc->method));
	if (!params_digest(rpc->params, &digest))
		return bound;
	buf_addc(&bound, 's');
	principal_encode(&bound, p);
	buf_add(&bound, digest.bytes, SHA256_BYTES);
	buf_adds(&bound, rpc->method);
	assert(!buf_failed(&bound));
	return bound;
}

bool state_write(struct buf *b, const struct seal_keys *keys, const struct principal *p, const struct rpc *rpc,
		 const json_t *answers, int64_t expires)
{
	struct buf bound = bound_of_request(p, rpc), secret = buf_with_ceiling(SEAL_MAX);
	number_add(&secret, (uint64_t)expires);
	bool ok = bound.n && (answers ? json_write(&secret, answers) : buf_adds(&secret, "{}")) &&
		  seal_write(b, keys, buf_slice(&bound), buf_slice(&secret));
	buf_free(&secret);
	buf_free(&bound);
	return ok;
}

static bool state_open(const struct seal_keys *keys, const struct principal *p, const struct rpc *rpc,
		       struct slice text, struct buf *secret)
{
	if (text.n > SEAL_MAX) /* no digest for what cannot be ours */
		return false;
	struct buf bound = bound_of_request(p, rpc);
	bool ok = bound.n && seal_open(secret, keys, buf_slice(&bound), text) && secret->n > NUMBER_BYTES;
	buf_free(&bound);
	return ok;
}

static bool answers_read(struct slice text, json_t **answers)
{
	json_t *read = NULL;
	if (json_parse(text, JSON_DEPTH_MAX, &read, NULL, 0) == JSON_OK && json_is_object(read)) {
		*answers = read;
		return true;
	}
	json_decref(read);
	return false;
}

int state_read(struct arena *a, const struct seal_keys *keys, const struct principal *p, const struct rpc *rpc,
	       int64_t now, json_t **answers, struct mcp_fault *fault)
{
	const json_t *state = json_object_get(rpc->params, "requestState");
	if (!json_is_string(state))
		return fault_set(a, fault, ERR_INVALID_PARAMS,
				 "requestState: must be the string that came with the question, unchanged");
	struct buf secret = buf_with_ceiling(SEAL_MAX);
	int e = ERR_OK;
	if (!state_open(keys, p, rpc, text_of(state), &secret))
		e = fault_set(a, fault, ERR_INVALID_PARAMS,
			      "requestState: not one that this request was given, with these parameters; send the "
			      "request anew, without requestState and inputResponses");
	else if (now >= (int64_t)number_at(secret.data))
		e = fault_set(a, fault, ERR_INVALID_PARAMS,
			      "requestState: too old; send the request anew, without requestState and inputResponses");
	else if (!answers_read((struct slice){secret.data + NUMBER_BYTES, secret.n - NUMBER_BYTES}, answers))
		e = fault_set(a, fault, ERR_INVALID_PARAMS,
			      "requestState: not readable; send the request anew, without requestState and "
			      "inputResponses");
	buf_free(&secret);
	return e;
}
