/* crypt.h
 *
 * The cryptography of the program in a dozen verbs over OpenSSL 3 EVP; no other file includes OpenSSL, but for
 * auth/jwt.c. Failures of the library itself (no memory, no entropy) abort: there is no safe way on.
 */
#ifndef SNOWGATE_CRYPT_H
#define SNOWGATE_CRYPT_H

#include "snowgate/buf.h"

#define SHA256_BYTES 32
struct sha256 {
	uint8_t bytes[SHA256_BYTES];
};

void crypt_random(void *out, size_t n);
struct sha256 crypt_sha256(const void *data, size_t n);
struct sha256 crypt_hmac(const uint8_t key[SHA256_BYTES], const void *data, size_t n);
/* HKDF-SHA-256 (RFC 5869), no salt: a 32-byte key for one purpose out of a master secret. */
struct sha256 crypt_derive(const void *secret, size_t n, const char *purpose);
bool crypt_equal(const void *a, const void *b, size_t n); /* constant time */
void crypt_wipe(void *data, size_t n);

/* AES-256-GCM (NIST SP 800-38D) under a random 96-bit nonce: appends nonce || ciphertext || 16-byte tag, which is
 * CRYPT_SEAL_EXTRA bytes more than the secret. `bound` is not in it, but has to be the same to open it. One key seals
 * at most 2^32 secrets (8.3 there). False where the buffer is full. */
#define CRYPT_SEAL_EXTRA 28
bool crypt_seal(struct buf *b, const uint8_t key[SHA256_BYTES], struct slice bound, struct slice secret);
/* Appends the secret. False, and nothing appended, where a byte of anything was changed. */
bool crypt_open(struct buf *b, const uint8_t key[SHA256_BYTES], struct slice bound, struct slice sealed) MUST_USE;

/* Encodings. Decoders are strict (RFC 4648: alphabet, padding, zero trailing bits) and return false otherwise. */
bool base64_encode(struct buf *b, const void *data, size_t n); /* padded, standard alphabet */
bool base64_decode(struct buf *b, struct slice text) MUST_USE;
bool base64url_encode(struct buf *b, const void *data, size_t n); /* no padding */
bool base64url_decode(struct buf *b, struct slice text) MUST_USE;
bool base32_encode(struct buf *b, const void *data, size_t n); /* lower case a-z 2-7, no padding */
bool base32_decode(struct buf *b, struct slice text) MUST_USE; /* lower case only */
bool hex_encode(struct buf *b, const void *data, size_t n);    /* lower case */
bool hex_decode(struct buf *b, struct slice text) MUST_USE;    /* either case */
/* A random UUID, version 4 (RFC 9562), 36 characters and a NUL. */
void crypt_uuid(char out[37]);
uint32_t crypt_crc32(const void *data, size_t n); /* IEEE; a checksum, not a secret */

/* An RSA private key. Loaded from PEM: PKCS#8, plain or encrypted, or PKCS#1. */
struct rsa_key;
enum key_verdict { KEY_OK, KEY_NOT_PEM, KEY_NEEDS_PASSPHRASE, KEY_WRONG_PASSPHRASE, KEY_NOT_RSA, KEY_TOO_SHORT };
/* passphrase may be NULL. On KEY_OK the caller owns *out. Shorter than 2048 bits is KEY_TOO_SHORT. */
enum key_verdict rsa_key_load(struct slice pem, const char *passphrase, struct rsa_key **out) MUST_USE;
void rsa_key_free(struct rsa_key *key);
/* "SHA256:" and the padded base64 of SHA-256 over the DER SubjectPublicKeyInfo, as DESC USER shows it. */
void rsa_key_fingerprint(const struct rsa_key *key, char out[52]);
/* Appends header.payload.signature, RS256 (RFC 7515), of two compact JSON texts. */
bool rsa_jwt_sign(const struct rsa_key *key, struct slice header, struct slice payload, struct buf *out) MUST_USE;
/* Verifies an RS256 token against a PEM public key (SubjectPublicKeyInfo); the emulator's side. */
bool rsa_jwt_verify(struct slice public_pem, struct slice token) MUST_USE;
/* The fingerprint of a PEM public key, as above. False when it is none. */
bool rsa_public_fingerprint(struct slice public_pem, char out[52]) MUST_USE;

#endif
