/* The signing keys of sessions, and the ids that they sign. */
#include <string.h>

#include "session_internal.h"

#define KEYS_MAX       16
#define SECRET_MAX     128
#define SECRET_MIN     32
#define LINE_MAX_BYTES 512

#define ID_VERSION     1
#define KEY_NAME_BYTES 4
#define NONCE_BYTES    16
#define TIME_BYTES     8
#define TAG_BYTES      16

/* The id before base32: 45 bytes make exactly 72 characters. */
struct id_bytes {
	uint8_t version;
	uint8_t key[KEY_NAME_BYTES];
	uint8_t nonce[NONCE_BYTES];
	uint8_t created[TIME_BYTES];
	uint8_t tag[TAG_BYTES];
};
#define ID_CHARS 72
_Static_assert(sizeof(struct id_bytes) * 8 == ID_CHARS * 5, "the id is a whole number of characters");

struct signing_key {
	uint8_t secret[SECRET_MAX];
	size_t secret_n;
	uint8_t name[KEY_NAME_BYTES];
	struct sha256 sign;
};

struct session_keys {
	size_t n;
	struct signing_key keys[KEYS_MAX];
};

/* ---- keys ---- */

static void key_prepare(struct signing_key *k)
{
	struct sha256 name = crypt_derive(k->secret, k->secret_n, "session key name");
	memcpy(k->name, name.bytes, sizeof(k->name));
	k->sign = crypt_derive(k->secret, k->secret_n, "session id");
}

/* 64 hex digits are also the base64 of 48 bytes: hex comes first. */
static bool key_decode(struct slice text, struct signing_key *k)
{
	struct buf raw = buf_with_ceiling(LINE_MAX_BYTES);
	bool decoded = hex_decode(&raw, text);
	if (!decoded) {
		buf_free(&raw);
		raw = buf_with_ceiling(LINE_MAX_BYTES);
		decoded = base64_decode(&raw, text);
	}
	decoded = decoded && !buf_failed(&raw) && raw.n >= SECRET_MIN && raw.n <= SECRET_MAX;
	if (decoded) {
		memcpy(k->secret, raw.data, raw.n);
		k->secret_n = raw.n;
		key_prepare(k);
	}
	if (raw.data)
		crypt_wipe(raw.data, raw.n);
	buf_free(&raw);
	return decoded;
}

static struct slice next_line(struct slice *text)
{
	const char *end = memchr(text->data, '\n', text->n);
	size_t n = end ? (size_t)(end - text->data) : text->n, step = end ? n + 1 : n;
	struct slice line = {text->data, n};
	*text = (struct slice){text->data + step, text->n - step};
	if (line.n && line.data[line.n - 1] == '\r')
		line.n--;
	return slice_trim(line);
}

static const char *keys_read(struct session_keys *keys, struct slice text)
{
	while (text.n) {
		struct slice line = next_line(&text);
		if (!line.n || line.data[0] == '#')
			continue;
		if (keys->n == KEYS_MAX)
			return "more than 16 keys; remove the oldest";
		if (line.n > LINE_MAX_BYTES || !key_decode(line, &keys->keys[keys->n]))
			return "a line is not a key: hex or base64 of 32 to 128 bytes is wanted (openssl rand -hex 32)";
		keys->n++;
	}
	return keys->n ? NULL : "no key in it: a line with hex or base64 of 32 bytes is wanted (openssl rand -hex 32)";
}

struct session_keys *session_keys_new(const char *text, const char **why)
{
	struct session_keys *keys = xalloc(sizeof(*keys));
	*why = NULL;
	if (text) {
		*why = keys_read(keys, slice_of(text));
	} else {
		keys->n = 1;
		keys->keys[0].secret_n = SECRET_MIN;
		crypt_random(keys->keys[0].secret, SECRET_MIN);
		key_prepare(&keys->keys[0]);
	}
	if (!*why)
		return keys;
	session_keys_free(keys);
	return NULL;
}

void session_keys_free(struct session_keys *keys)
{
	if (keys)
		crypt_wipe(keys, sizeof(*keys));
	free(keys);
}

size_t session_keys_count(const struct session_keys *keys)
{
	return keys->n;
}

bool session_keys_derive(const struct session_keys *keys, size_t i, const char *purpose, struct sha256 *out)
{
	if (i >= keys->n)
		return false;
	*out = crypt_derive(keys->keys[i].secret, keys->keys[i].secret_n, purpose);
	return true;
}

/* ---- ids ---- */

/* Over all that comes before the tag, and the principal. */
static struct sha256 sign(const struct signing_key *k, const struct id_bytes *id, const struct principal *p)
{
	struct buf b = buf_with_ceiling(sizeof(*id) + sizeof(*p) + 16);
	buf_add(&b, id, offsetof(struct id_bytes, tag));
	principal_encode(&b, p);
	assert(!buf_failed(&b));
	struct sha256 mac = crypt_hmac(k->sign.bytes, b.data, b.n);
	buf_free(&b);
	return mac;
}

void session_id_mint(const struct session_keys *keys, const struct principal *p, int64_t created,
		     char out[SESSION_ID_SIZE])
{
	struct id_bytes id = {.version = ID_VERSION};
	memcpy(id.key, keys->keys[0].name, sizeof(id.key));
	crypt_random(id.nonce, sizeof(id.nonce));
	for (size_t i = 0; i < TIME_BYTES; i++)
		id.created[i] = (uint8_t)((uint64_t)created >> (8 * (TIME_BYTES - 1 - i)));
	struct sha256 mac = sign(&keys->keys[0], &id, p);
	memcpy(id.tag, mac.bytes, sizeof(id.tag));
	struct buf text = buf_with_ceiling(SESSION_ID_SIZE);
	base32_encode(&text, &id, sizeof(id));
	assert(text.n == ID_CHARS);
	memcpy(out, buf_text(&text), ID_CHARS + 1);
	buf_free(&text);
}

/* False for all that cannot be an id, before any cryptography. */
static bool id_decode(const char *text, struct id_bytes *id)
{
	struct slice shape = {text, text ? strnlen(text, SESSION_ID_SIZE) : 0};
	if (shape.n != ID_CHARS)
		return false;
	struct buf raw = buf_with_ceiling(SESSION_ID_SIZE);
	bool decoded = base32_decode(&raw, shape) && raw.n == sizeof(*id);
	if (decoded)
		memcpy(id, raw.data, sizeof(*id));
	buf_free(&raw);
	return decoded && id->version == ID_VERSION;
}

bool session_id_check(const struct session_keys *keys, const char *id, const struct principal *p, int64_t *created)
{
	struct id_bytes bytes;
	uint64_t seconds = 0;

	if (!id_decode(id, &bytes))
		return false;
	for (size_t i = 0; i < TIME_BYTES; i++)
		seconds = seconds << 8 | bytes.created[i];
	for (size_t i = 0; i < keys->n; i++) {
		if (memcmp(keys->keys[i].name, bytes.key, sizeof(bytes.key)) != 0)
			continue;
		struct sha256 mac = sign(&keys->keys[i], &bytes, p);
		if (!crypt_equal(mac.bytes, bytes.tag, sizeof(bytes.tag)))
			continue;
		*created = (int64_t)seconds;
		return true;
	}
	return false;
}

/* ---- handles ---- */

/* 60 random bits: 8 bytes make 13 characters, of which 12 are kept. */
void session_handle_mint(char out[SESSION_HANDLE_SIZE])
{
	uint8_t bits[8];
	struct buf text = buf_with_ceiling(32);
	crypt_random(bits, sizeof(bits));
	base32_encode(&text, bits, sizeof(bits));
	memcpy(out, buf_text(&text), SESSION_HANDLE_SIZE - 1);
	out[SESSION_HANDLE_SIZE - 1] = '\0';
	buf_free(&text);
}

bool session_handle_shaped(const char *handle)
{
	size_t n = handle ? strnlen(handle, SESSION_HANDLE_SIZE) : 0;
	return n == SESSION_HANDLE_SIZE - 1 && strspn(handle, "abcdefghijklmnopqrstuvwxyz234567") == n;
}
