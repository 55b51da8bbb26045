/* Random bytes, hashes, sealed texts, encodings and RSA keys over OpenSSL. */
#include "snowgate/crypt.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <string.h>

#include "snowgate/json.h"

enum { PEM_MAX = 65536, RSA_BITS_MIN = 2048, TOKEN_MAX = 65536 };

/* For what fails only when there is no memory or no entropy. */
static void must(bool ok)
{
	if (!ok)
		abort();
}

void crypt_random(void *out, size_t n)
{
	must(n <= INT_MAX && RAND_bytes(out, (int)n) == 1);
}

struct sha256 crypt_sha256(const void *data, size_t n)
{
	struct sha256 out;
	must(EVP_Digest(data, n, out.bytes, NULL, EVP_sha256(), NULL) == 1);
	return out;
}

struct sha256 crypt_hmac(const uint8_t key[SHA256_BYTES], const void *data, size_t n)
{
	struct sha256 out;
	must(HMAC(EVP_sha256(), key, SHA256_BYTES, data, n, out.bytes, NULL) != NULL);
	return out;
}

/* RFC 5869: extract under a salt of zeros, then the first (and only) block of expand: HMAC(PRK, info | 1). */
struct sha256 crypt_derive(const void *secret, size_t n, const char *purpose)
{
	static const uint8_t no_salt[SHA256_BYTES];
	struct sha256 extracted = crypt_hmac(no_salt, secret, n);
	struct buf info = buf_with_ceiling(1024);
	must(buf_adds(&info, purpose) && buf_addc(&info, 1));
	struct sha256 key = crypt_hmac(extracted.bytes, info.data, info.n);
	buf_free(&info);
	crypt_wipe(&extracted, sizeof(extracted));
	return key;
}

bool crypt_equal(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}

void crypt_wipe(void *data, size_t n)
{
	if (n)
		OPENSSL_cleanse(data, n);
}

/* AES-256-GCM (NIST SP 800-38D): nonce || ciphertext || tag. */

enum { NONCE_BYTES = 12, TAG_BYTES = 16, SEALED_MAX = INT_MAX - NONCE_BYTES - TAG_BYTES };

static EVP_CIPHER_CTX *gcm_start(const uint8_t key[SHA256_BYTES], const uint8_t *nonce, struct slice bound, int sealing)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0;
	must(ctx && bound.n <= INT_MAX && EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce, sealing) == 1);
	if (bound.n)
		must(EVP_CipherUpdate(ctx, NULL, &n, (const uint8_t *)bound.data, (int)bound.n) == 1);
	return ctx;
}

bool crypt_seal(struct buf *b, const uint8_t key[SHA256_BYTES], struct slice bound, struct slice secret)
{
	if (secret.n > SEALED_MAX)
		return false;
	uint8_t *out = xalloc(NONCE_BYTES + secret.n + TAG_BYTES), *text = out + NONCE_BYTES;
	int n = 0;
	crypt_random(out, NONCE_BYTES);
	EVP_CIPHER_CTX *ctx = gcm_start(key, out, bound, 1);
	if (secret.n)
		must(EVP_CipherUpdate(ctx, text, &n, (const uint8_t *)secret.data, (int)secret.n) == 1);
	must((size_t)n == secret.n && EVP_CipherFinal_ex(ctx, text + n, &n) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, text + secret.n) == 1);
	EVP_CIPHER_CTX_free(ctx);
	bool ok = buf_add(b, out, NONCE_BYTES + secret.n + TAG_BYTES);
	free(out);
	return ok;
}

/* Into `out`, which has room for `n` bytes; what is there is worth nothing where the tag does not fit. */
static bool gcm_open(EVP_CIPHER_CTX *ctx, const uint8_t *text, size_t n, uint8_t *out)
{
	uint8_t tag[TAG_BYTES];
	int done = 0;
	memcpy(tag, text + n, TAG_BYTES);
	if (n)
		must(EVP_CipherUpdate(ctx, out, &done, text, (int)n) == 1);
	must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) == 1);
	return EVP_CipherFinal_ex(ctx, out + n, &done) == 1;
}

bool crypt_open(struct buf *b, const uint8_t key[SHA256_BYTES], struct slice bound, struct slice sealed)
{
	if (!sealed.data || sealed.n < NONCE_BYTES + TAG_BYTES || sealed.n > INT_MAX)
		return false;
	const uint8_t *bytes = (const uint8_t *)sealed.data;
	size_t n = sealed.n - NONCE_BYTES - TAG_BYTES;
	uint8_t *out = xalloc(n + 1);
	EVP_CIPHER_CTX *ctx = gcm_start(key, bytes, bound, 0);
	bool ok = gcm_open(ctx, bytes + NONCE_BYTES, n, out) && buf_add(b, out, n);
	ERR_clear_error();
	EVP_CIPHER_CTX_free(ctx);
	crypt_wipe(out, n);
	free(out);
	return ok;
}

/* Encodings of `bits` bits per character; RFC 4648. */

static const char alphabet64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char alphabet32[] = "abcdefghijklmnopqrstuvwxyz234567";
static const char alphabet16[] = "0123456789abcdef";

static bool encode(struct buf *b, const void *data, size_t n, unsigned bits, const char *alphabet)
{
	const uint8_t *bytes = data;
	uint32_t window = 0;
	unsigned held = 0;
	char chunk[256];
	size_t filled = 0;
	bool ok = buf_add(b, "", 0);
	for (size_t i = 0; ok && i < n; i++) {
		window = (window << 8 | bytes[i]) & 0xFFFFF;
		for (held += 8; held >= bits; held -= bits)
			chunk[filled++] = alphabet[window >> (held - bits) & ((1U << bits) - 1)];
		if (filled > sizeof(chunk) - 4) {
			ok = buf_add(b, chunk, filled);
			filled = 0;
		}
	}
	if (held)
		chunk[filled++] = alphabet[window << (bits - held) & ((1U << bits) - 1)];
	return ok && buf_add(b, chunk, filled);
}

/* Nothing is appended unless all of it is right. What is left over after the last byte must be less than a character
 * and all zero, or two texts would mean the same bytes. */
static bool decode(struct buf *b, struct slice text, unsigned bits, const char *alphabet)
{
	unsigned rest = (unsigned)(text.n % 8 * bits % 8);
	if (!text.data || rest >= bits)
		return false;
	uint8_t values[256];
	memset(values, 0xFF, sizeof(values));
	for (size_t i = 0; alphabet[i]; i++)
		values[(uint8_t)alphabet[i]] = (uint8_t)i;
	for (size_t i = 0; i < text.n; i++)
		if (values[(uint8_t)text.data[i]] == 0xFF)
			return false;
	if (rest && values[(uint8_t)text.data[text.n - 1]] & ((1U << rest) - 1))
		return false;
	uint32_t window = 0;
	unsigned held = 0;
	bool ok = buf_add(b, "", 0);
	for (size_t i = 0; ok && i < text.n; i++) {
		window = (window << bits | values[(uint8_t)text.data[i]]) & 0xFFFFF;
		held += bits;
		if (held >= 8) {
			held -= 8;
			ok = buf_addc(b, (char)(window >> held & 0xFF));
		}
	}
	return ok;
}

bool base64_encode(struct buf *b, const void *data, size_t n)
{
	return encode(b, data, n, 6, alphabet64) && buf_add(b, "==", (3 - n % 3) % 3);
}

bool base64_decode(struct buf *b, struct slice text)
{
	if (!text.data || text.n % 4)
		return false;
	for (int i = 0; i < 2 && text.n && text.data[text.n - 1] == '='; i++)
		text.n--;
	return decode(b, text, 6, alphabet64);
}

bool base64url_encode(struct buf *b, const void *data, size_t n)
{
	return encode(b, data, n, 6, alphabet64url);
}

bool base64url_decode(struct buf *b, struct slice text)
{
	return decode(b, text, 6, alphabet64url);
}

bool base32_encode(struct buf *b, const void *data, size_t n)
{
	return encode(b, data, n, 5, alphabet32);
}

bool base32_decode(struct buf *b, struct slice text)
{
	return decode(b, text, 5, alphabet32);
}

bool hex_encode(struct buf *b, const void *data, size_t n)
{
	return encode(b, data, n, 4, alphabet16);
}

bool hex_decode(struct buf *b, struct slice text)
{
	if (!text.data || text.n % 2)
		return false;
	char *lower = xstrndup(text.data, text.n);
	for (size_t i = 0; lower[i]; i++)
		if (lower[i] >= 'A' && lower[i] <= 'F')
			lower[i] = (char)(lower[i] | 0x20);
	bool ok = decode(b, (struct slice){lower, text.n}, 4, alphabet16);
	free(lower);
	return ok;
}

void crypt_uuid(char out[37])
{
	uint8_t bytes[16];
	crypt_random(bytes, sizeof(bytes));
	bytes[6] = (uint8_t)((bytes[6] & 0x0F) | 0x40);
	bytes[8] = (uint8_t)((bytes[8] & 0x3F) | 0x80);
	char *p = out;
	for (size_t i = 0; i < sizeof(bytes); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = alphabet16[bytes[i] >> 4];
		*p++ = alphabet16[bytes[i] & 15];
	}
	*p = '\0';
}

uint32_t crypt_crc32(const void *data, size_t n)
{
	const uint8_t *bytes = data;
	uint32_t crc = 0xFFFFFFFF;
	for (size_t i = 0; i < n; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
	}
	return ~crc;
}

/* RSA keys. */

struct rsa_key {
	EVP_PKEY *pkey;
};

struct asked {
	const char *passphrase;
	bool asked;
};

static int tell_passphrase(char *out, int size, int writing UNUSED, void *ctx)
{
	struct asked *asked = ctx;
	asked->asked = true;
	size_t n = asked->passphrase ? strlen(asked->passphrase) : 0;
	if (!asked->passphrase || n > (size_t)size)
		return -1;
	memcpy(out, asked->passphrase, n);
	return (int)n;
}

static enum key_verdict judge(EVP_PKEY *pkey, const struct asked *asked)
{
	if (!pkey && asked->asked)
		return asked->passphrase ? KEY_WRONG_PASSPHRASE : KEY_NEEDS_PASSPHRASE;
	if (!pkey)
		return KEY_NOT_PEM;
	if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_RSA)
		return KEY_NOT_RSA;
	return EVP_PKEY_get_bits(pkey) < RSA_BITS_MIN ? KEY_TOO_SHORT : KEY_OK;
}

enum key_verdict rsa_key_load(struct slice pem, const char *passphrase, struct rsa_key **out)
{
	if (!pem.data || pem.n > PEM_MAX)
		return KEY_NOT_PEM;
	BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.n);
	must(bio != NULL);
	struct asked asked = {.passphrase = passphrase};
	EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, tell_passphrase, &asked);
	BIO_free(bio);
	ERR_clear_error();
	enum key_verdict verdict = judge(pkey, &asked);
	if (verdict != KEY_OK) {
		EVP_PKEY_free(pkey);
		return verdict;
	}
	*out = xalloc(sizeof(**out));
	(*out)->pkey = pkey;
	return KEY_OK;
}

void rsa_key_free(struct rsa_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey);
	free(key);
}

static void fingerprint(EVP_PKEY *pkey, char out[52])
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(pkey, &der);
	must(n > 0);
	struct sha256 hash = crypt_sha256(der, (size_t)n);
	OPENSSL_free(der);
	struct buf text = buf_with_ceiling(51);
	must(buf_adds(&text, "SHA256:") && base64_encode(&text, hash.bytes, sizeof(hash.bytes)));
	memcpy(out, text.data, text.n + 1);
	buf_free(&text);
}

void rsa_key_fingerprint(const struct rsa_key *key, char out[52])
{
	fingerprint(key->pkey, out);
}

static EVP_PKEY *load_public(struct slice pem)
{
	if (!pem.data || pem.n > PEM_MAX)
		return NULL;
	BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.n);
	must(bio != NULL);
	EVP_PKEY *pkey = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	BIO_free(bio);
	ERR_clear_error();
	return pkey;
}

bool rsa_public_fingerprint(struct slice public_pem, char out[52])
{
	EVP_PKEY *pkey = load_public(public_pem);
	if (!pkey)
		return false;
	fingerprint(pkey, out);
	EVP_PKEY_free(pkey);
	return true;
}

/* Appends the signature over the last `n` bytes of `out`. */
static bool add_signature(const struct rsa_key *key, struct buf *out, size_t n)
{
	size_t size = (size_t)EVP_PKEY_get_size(key->pkey);
	unsigned char *signature = xalloc(size);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	must(ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key->pkey) == 1 &&
	     EVP_DigestSign(ctx, signature, &size, (unsigned char *)out->data + out->n - n, n) == 1);
	EVP_MD_CTX_free(ctx);
	bool ok = buf_addc(out, '.') && base64url_encode(out, signature, size);
	free(signature);
	return ok;
}

bool rsa_jwt_sign(const struct rsa_key *key, struct slice header, struct slice payload, struct buf *out)
{
	size_t before = out->n;
	return base64url_encode(out, header.data, header.n) && buf_addc(out, '.') &&
	       base64url_encode(out, payload.data, payload.n) && add_signature(key, out, out->n - before);
}

/* RS256 and nothing else, whatever the token would like (RFC 8725, 3.1). */
static bool header_says_rs256(struct slice encoded)
{
	struct buf text = buf_with_ceiling(TOKEN_MAX);
	json_t *header = NULL;
	bool ok = base64url_decode(&text, encoded) && json_parse(buf_slice(&text), 8, &header, NULL, 0) == JSON_OK;
	const char *alg = ok ? json_text_of(header, "alg") : NULL;
	ok = alg && !strcmp(alg, "RS256");
	json_decref(header);
	buf_free(&text);
	return ok;
}

static bool signature_holds(EVP_PKEY *pkey, struct slice text, struct slice encoded)
{
	struct buf signature = buf_with_ceiling(TOKEN_MAX);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	must(ctx != NULL);
	bool ok = base64url_decode(&signature, encoded) &&
		  EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, pkey) == 1 &&
		  EVP_DigestVerify(ctx, (const unsigned char *)buf_text(&signature), signature.n,
				   (const unsigned char *)text.data, text.n) == 1;
	ERR_clear_error();
	EVP_MD_CTX_free(ctx);
	buf_free(&signature);
	return ok;
}

bool rsa_jwt_verify(struct slice public_pem, struct slice token)
{
	if (!token.data || token.n > TOKEN_MAX)
		return false;
	const char *end = token.data + token.n;
	const char *first = memchr(token.data, '.', token.n);
	const char *second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
	if (!second || memchr(second + 1, '.', (size_t)(end - second - 1)))
		return false;
	if (!header_says_rs256((struct slice){token.data, (size_t)(first - token.data)}))
		return false;
	EVP_PKEY *pkey = load_public(public_pem);
	bool ok = pkey && EVP_PKEY_get_base_id(pkey) == EVP_PKEY_RSA &&
		  signature_holds(pkey, (struct slice){token.data, (size_t)(second - token.data)},
				  (struct slice){second + 1, (size_t)(end - second - 1)});
	EVP_PKEY_free(pkey);
	return ok;
}
