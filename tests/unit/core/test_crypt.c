/* Hashes and encodings against published vectors; RSA keys made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>

#include "snowgate/crypt.h"

static void assert_hex(const void *data, size_t n, const char *expected)
{
	struct buf b = buf_with_ceiling(1000);
	assert_true(hex_encode(&b, data, n));
	assert_string_equal(buf_text(&b), expected);
	buf_free(&b);
}

/* FIPS 180-2 B.1, RFC 4231 case 2 with its key padded (which HMAC does anyway), RFC 5869 A.3. */
static void hashes_match_published_vectors(void **state UNUSED)
{
	struct sha256 hash = crypt_sha256("abc", 3);
	assert_hex(hash.bytes, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	hash = crypt_sha256(NULL, 0);
	assert_hex(hash.bytes, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	static const uint8_t key[SHA256_BYTES] = "Jefe";
	hash = crypt_hmac(key, "what do ya want for nothing?", 28);
	assert_hex(hash.bytes, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	uint8_t secret[22];
	memset(secret, 0x0b, sizeof(secret));
	hash = crypt_derive(secret, sizeof(secret), "");
	assert_hex(hash.bytes, 32, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
	struct sha256 a = crypt_derive(secret, sizeof(secret), "session"),
		      b = crypt_derive(secret, sizeof(secret), "handle");
	assert_false(crypt_equal(a.bytes, b.bytes, 32));
	assert_int_equal(crypt_crc32("123456789", 9), 0xCBF43926);
	assert_int_equal(crypt_crc32("", 0), 0);
}

typedef bool encode_f(struct buf *, const void *, size_t);
typedef bool decode_f(struct buf *, struct slice);

static const struct {
	const char *name;
	encode_f *encode;
	decode_f *decode;
} codecs[] = {
    {"base64", base64_encode, base64_decode},
    {"base64url", base64url_encode, base64url_decode},
    {"base32", base32_encode, base32_decode},
    {"hex", hex_encode, hex_decode},
};
enum { BASE64, BASE64URL, BASE32, HEX };

static void encodings_match_rfc_4648(void **state UNUSED)
{
	static const struct {
		const char *plain, *texts[4];
	} cases[] = {
	    {"", {"", "", "", ""}},
	    {"f", {"Zg==", "Zg", "my", "66"}},
	    {"fo", {"Zm8=", "Zm8", "mzxq", "666f"}},
	    {"foo", {"Zm9v", "Zm9v", "mzxw6", "666f6f"}},
	    {"foob", {"Zm9vYg==", "Zm9vYg", "mzxw6yq", "666f6f62"}},
	    {"fooba", {"Zm9vYmE=", "Zm9vYmE", "mzxw6ytb", "666f6f6261"}},
	    {"foobar", {"Zm9vYmFy", "Zm9vYmFy", "mzxw6ytboi", "666f6f626172"}},
	    {"\xfb\xff", {"+/8=", "-_8", "7p7q", "fbff"}},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t k = 0; k < ARRAY_LEN(codecs); k++) {
			struct buf text = buf_with_ceiling(100), plain = buf_with_ceiling(100);
			assert_true(codecs[k].encode(&text, cases[i].plain, strlen(cases[i].plain)));
			assert_string_equal(buf_text(&text), cases[i].texts[k]);
			assert_true(codecs[k].decode(&plain, buf_slice(&text)));
			assert_string_equal(buf_text(&plain), cases[i].plain);
			buf_free(&text);
			buf_free(&plain);
		}
	}
}

static void every_length_round_trips(void **state UNUSED)
{
	uint8_t data[600];
	crypt_random(data, sizeof(data));
	for (size_t k = 0; k < ARRAY_LEN(codecs); k++) {
		for (size_t n = 0; n <= sizeof(data); n++) {
			struct buf text = buf_with_ceiling(2000), back = buf_with_ceiling(n);
			assert_true(codecs[k].encode(&text, data, n));
			assert_true(codecs[k].decode(&back, buf_slice(&text)));
			assert_int_equal(back.n, n);
			assert_memory_equal(buf_text(&back), data, n);
			buf_free(&text);
			buf_free(&back);
		}
	}
}

/* Of all texts of up to three characters beyond a prefix, exactly those decode that encoding gives. */
static void only_canonical_text_decodes(void **state UNUSED)
{
	for (size_t k = 0; k < ARRAY_LEN(codecs); k++) {
		for (unsigned n = 0; n < 65536; n += n < 256 ? 1 : 7) {
			char text[3] = {(char)(n & 0xFF), (char)(n >> 8), '\0'};
			struct slice s = {text, n < 256 ? 1 : 2};
			struct buf plain = buf_with_ceiling(10), again = buf_with_ceiling(10);
			if (codecs[k].decode(&plain, s)) {
				assert_true(codecs[k].encode(&again, buf_text(&plain), plain.n));
				if (k == HEX)
					for (size_t i = 0; i < s.n; i++)
						text[i] =
						    (char)(text[i] >= 'A' && text[i] <= 'F' ? text[i] | 0x20 : text[i]);
				assert_int_equal(again.n, s.n);
				assert_memory_equal(buf_text(&again), text, s.n);
			} else {
				assert_int_equal(plain.n, 0);
			}
			buf_free(&plain);
			buf_free(&again);
		}
	}
}

static void decoders_are_strict(void **state UNUSED)
{
	static const struct {
		int codec;
		struct slice text;
	} bad[] = {
	    {BASE64, SLICE("Zg")},       {BASE64, SLICE("Zg=")},      {BASE64, SLICE("Zh==")},
	    {BASE64, SLICE("Zm9=")},     {BASE64, SLICE("====")},     {BASE64, SLICE("Z===")},
	    {BASE64, SLICE("Zg==Zg==")}, {BASE64, SLICE("Zm9v\n")},   {BASE64, SLICE("Zm9v ")},
	    {BASE64, SLICE("-_8=")},     {BASE64, SLICE("Zm9\0")},    {BASE64, SLICE("=")},
	    {BASE64URL, SLICE("Zg==")},  {BASE64URL, SLICE("+/8")},   {BASE64URL, SLICE("Z")},
	    {BASE64URL, SLICE("Zh")},    {BASE32, SLICE("MY")},       {BASE32, SLICE("m")},
	    {BASE32, SLICE("mzx")},      {BASE32, SLICE("mzxw6y")},   {BASE32, SLICE("mz")},
	    {BASE32, SLICE("m1")},       {BASE32, SLICE("my======")}, {HEX, SLICE("6")},
	    {HEX, SLICE("6g")},          {HEX, SLICE("66 ")},         {HEX, SLICE("a\0a\0")},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct buf b = buf_with_ceiling(100);
		assert_true(buf_adds(&b, "before"));
		if (codecs[bad[i].codec].decode(&b, bad[i].text))
			fail_msg("%s took %s", codecs[bad[i].codec].name, bad[i].text.data);
		assert_string_equal(buf_text(&b), "before");
		buf_free(&b);
	}
	struct buf b = buf_with_ceiling(100);
	assert_true(hex_decode(&b, SLICE("DEADbeef")));
	assert_memory_equal(buf_text(&b), "\xde\xad\xbe\xef", 4);
	assert_false(base64_decode(&b, slice_of(NULL)));
	buf_free(&b);
	b = buf_with_ceiling(2);
	assert_false(hex_decode(&b, SLICE("010203")));
	assert_true(buf_failed(&b));
}

static struct buf bytes_of(const char *hex)
{
	struct buf b = buf_with_ceiling(4096);
	assert_true(hex_decode(&b, slice_of(hex)));
	return b;
}

/* McGrew and Viega, The Galois/Counter Mode of Operation, appendix B: test cases 13, 14 and 16. */
static void sealed_texts_open_as_published(void **state UNUSED)
{
	static const struct {
		const char *key, *bound, *sealed, *secret;
	} cases[] = {
	    {"0000000000000000000000000000000000000000000000000000000000000000", "",
	     "000000000000000000000000"
	     "530f8afbc74536b9a963b4f1c4cb738b",
	     ""},
	    {"0000000000000000000000000000000000000000000000000000000000000000", "",
	     "000000000000000000000000"
	     "cea7403d4d606b6e074ec5d3baf39d18"
	     "d0d1c8a799996bf0265b98b5d48ab919",
	     "00000000000000000000000000000000"},
	    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
	     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	     "cafebabefacedbaddecaf888"
	     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
	     "76fc6ece0f4e1768cddf8853bb2d551b",
	     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf key = bytes_of(cases[i].key), bound = bytes_of(cases[i].bound);
		struct buf sealed = bytes_of(cases[i].sealed), secret = buf_with_ceiling(4096);
		assert_true(crypt_open(&secret, (uint8_t *)key.data, buf_slice(&bound), buf_slice(&sealed)));
		assert_hex(secret.data, secret.n, cases[i].secret);
		buf_free(&key);
		buf_free(&bound);
		buf_free(&sealed);
		buf_free(&secret);
	}
}

static void what_is_sealed_opens_unchanged_only(void **state UNUSED)
{
	uint8_t key[SHA256_BYTES] = "0123456789abcdef0123456789abcde";
	char bound[] = "alice", secret[] = "a secret of 30 bytes in length";
	struct slice bound_text = SLICE(bound), secret_text = SLICE(secret);
	struct buf sealed = buf_with_ceiling(100), again = buf_with_ceiling(100), out = buf_with_ceiling(100);
	assert_true(crypt_seal(&sealed, key, bound_text, secret_text) &&
		    crypt_seal(&again, key, bound_text, secret_text));
	assert_int_equal(sealed.n, secret_text.n + CRYPT_SEAL_EXTRA);
	assert_memory_not_equal(sealed.data, again.data, 12); /* the nonce */
	assert_true(crypt_open(&out, key, bound_text, buf_slice(&sealed)));
	assert_string_equal(buf_text(&out), secret);
	buf_clear(&out);
	for (size_t i = 0; i < sealed.n * 8; i++) { /* each bit of nonce, ciphertext and tag */
		sealed.data[i / 8] = (char)(sealed.data[i / 8] ^ 1 << i % 8);
		assert_false(crypt_open(&out, key, bound_text, buf_slice(&sealed)));
		sealed.data[i / 8] = (char)(sealed.data[i / 8] ^ 1 << i % 8);
	}
	for (size_t i = 0; i < bound_text.n; i++) {
		bound[i] = (char)(bound[i] ^ 1);
		assert_false(crypt_open(&out, key, bound_text, buf_slice(&sealed)));
		bound[i] = (char)(bound[i] ^ 1);
	}
	assert_false(crypt_open(&out, key, SLICE(""), buf_slice(&sealed)));
	for (size_t i = 0; i < sizeof(key); i++) {
		key[i] ^= 1;
		assert_false(crypt_open(&out, key, bound_text, buf_slice(&sealed)));
		key[i] ^= 1;
	}
	for (size_t n = 0; n < sealed.n; n++)
		assert_false(crypt_open(&out, key, bound_text, (struct slice){sealed.data, n}));
	assert_false(crypt_open(&out, key, bound_text, slice_of(NULL)));
	assert_true(out.n == 0 && !buf_failed(&out));
	assert_true(crypt_open(&out, key, bound_text, buf_slice(&sealed)));
	buf_free(&sealed);
	buf_free(&again);
	buf_free(&out);
}

static void sealing_keeps_to_the_ceiling(void **state UNUSED)
{
	static const uint8_t key[SHA256_BYTES];
	struct buf b = buf_with_ceiling(CRYPT_SEAL_EXTRA + 3), out = buf_with_ceiling(3);
	assert_true(crypt_seal(&b, key, SLICE(""), SLICE("abc")));
	assert_true(crypt_open(&out, key, SLICE(""), buf_slice(&b)));
	assert_string_equal(buf_text(&out), "abc");
	buf_free(&b);
	assert_false(crypt_seal(&b, key, SLICE(""), SLICE("abcd")));
	assert_true(buf_failed(&b));
	buf_free(&b);
	buf_free(&out);
}

static void random_things_differ(void **state UNUSED)
{
	char a[37], b[37];
	crypt_uuid(a);
	crypt_uuid(b);
	assert_string_not_equal(a, b);
	assert_int_equal(strlen(a), 36);
	assert_int_equal(a[14], '4');
	assert_non_null(strchr("89ab", a[19]));
	for (int i = 0; i < 36; i++)
		assert_int_equal(a[i] == '-', i == 8 || i == 13 || i == 18 || i == 23);
	char secret[16] = "secret";
	crypt_wipe(secret, sizeof(secret));
	for (size_t i = 0; i < sizeof(secret); i++)
		assert_int_equal(secret[i], 0);
	crypt_wipe(NULL, 0);
}

/* RSA. */

static EVP_PKEY *pkey;

static int make_key(void **state UNUSED)
{
	pkey = EVP_RSA_gen(2048);
	return pkey ? 0 : -1;
}

static int free_key(void **state UNUSED)
{
	EVP_PKEY_free(pkey);
	return 0;
}

enum form { PKCS8, PKCS8_ENCRYPTED, PKCS1, PKCS1_ENCRYPTED, PUBLIC };

static char *pem_of(EVP_PKEY *key, enum form form, const char *pass)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int ok = 0, n = pass ? (int)strlen(pass) : 0;
	void *kstr = (void *)(uintptr_t)pass;
	if (form == PKCS8 || form == PKCS8_ENCRYPTED)
		ok = PEM_write_bio_PKCS8PrivateKey(bio, key, pass ? EVP_aes_256_cbc() : NULL, kstr, n, NULL, NULL);
	else if (form == PUBLIC)
		ok = PEM_write_bio_PUBKEY(bio, key);
	else
		ok = PEM_write_bio_PrivateKey_traditional(bio, key, pass ? EVP_aes_256_cbc() : NULL, kstr, n, NULL,
							  NULL);
	assert_int_equal(ok, 1);
	char *data;
	long size = BIO_get_mem_data(bio, &data);
	char *pem = xstrndup(data, (size_t)size);
	BIO_free(bio);
	return pem;
}

static void assert_verdict(EVP_PKEY *key, enum form form, const char *pass, const char *given,
			   enum key_verdict expected)
{
	char *pem = pem_of(key, form, pass);
	struct rsa_key *loaded = NULL;
	assert_int_equal(rsa_key_load(slice_of(pem), given, &loaded), expected);
	assert_int_equal(loaded != NULL, expected == KEY_OK);
	rsa_key_free(loaded);
	free(pem);
}

static void keys_load_with_the_right_passphrase_only(void **state UNUSED)
{
	assert_verdict(pkey, PKCS8, NULL, NULL, KEY_OK);
	assert_verdict(pkey, PKCS8, NULL, "not needed", KEY_OK);
	assert_verdict(pkey, PKCS1, NULL, NULL, KEY_OK);
	for (enum form form = PKCS8_ENCRYPTED; form <= PKCS1_ENCRYPTED; form += PKCS1_ENCRYPTED - PKCS8_ENCRYPTED) {
		assert_verdict(pkey, form, "open sesame", "open sesame", KEY_OK);
		assert_verdict(pkey, form, "open sesame", NULL, KEY_NEEDS_PASSPHRASE);
		assert_verdict(pkey, form, "open sesame", "open", KEY_WRONG_PASSPHRASE);
		assert_verdict(pkey, form, "open sesame", "", KEY_WRONG_PASSPHRASE);
	}
	assert_verdict(pkey, PUBLIC, NULL, NULL, KEY_NOT_PEM);
}

static void other_keys_are_told_apart(void **state UNUSED)
{
	EVP_PKEY *curve = EVP_EC_gen("P-256"), *small = EVP_RSA_gen(1024);
	assert_verdict(curve, PKCS8, NULL, NULL, KEY_NOT_RSA);
	assert_verdict(small, PKCS8, NULL, NULL, KEY_TOO_SHORT);
	EVP_PKEY_free(curve);
	EVP_PKEY_free(small);
	struct rsa_key *key = NULL;
	static const char *const junk[] = {"", "x", "-----BEGIN PRIVATE KEY-----\n",
					   "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"};
	for (size_t i = 0; i < ARRAY_LEN(junk); i++)
		assert_int_equal(rsa_key_load(slice_of(junk[i]), NULL, &key), KEY_NOT_PEM);
	assert_int_equal(rsa_key_load(slice_of(NULL), NULL, &key), KEY_NOT_PEM);
	assert_null(key);
	rsa_key_free(NULL);
}

static void a_pem_with_crlf_loads(void **state UNUSED)
{
	char *pem = pem_of(pkey, PKCS8, NULL);
	struct buf b = buf_with_ceiling(10000);
	for (const char *p = pem; *p; p++)
		assert_true(*p == '\n' ? buf_adds(&b, "\r\n") : buf_addc(&b, *p));
	struct rsa_key *key = NULL;
	assert_int_equal(rsa_key_load(buf_slice(&b), NULL, &key), KEY_OK);
	rsa_key_free(key);
	buf_free(&b);
	free(pem);
}

static void both_halves_have_one_fingerprint(void **state UNUSED)
{
	char *private = pem_of(pkey, PKCS8, NULL), *public = pem_of(pkey, PUBLIC, NULL), a[52], b[52];
	struct rsa_key *key = NULL;
	assert_int_equal(rsa_key_load(slice_of(private), NULL, &key), KEY_OK);
	rsa_key_fingerprint(key, a);
	assert_true(rsa_public_fingerprint(slice_of(public), b));
	assert_string_equal(a, b);
	assert_int_equal(strlen(a), 51);
	assert_memory_equal(a, "SHA256:", 7);
	/* the fingerprint is that of the DER between the PEM lines */
	struct buf der = buf_with_ceiling(4096), text = buf_with_ceiling(4096);
	char *body = strchr(public, '\n'), *end = strstr(public, "-----END");
	for (char *p = body; p < end; p++)
		if (*p != '\n')
			assert_true(buf_addc(&text, *p));
	assert_true(base64_decode(&der, buf_slice(&text)));
	struct sha256 hash = crypt_sha256(der.data, der.n);
	buf_clear(&text);
	assert_true(base64_encode(&text, hash.bytes, 32));
	assert_string_equal(buf_text(&text), a + 7);
	assert_false(rsa_public_fingerprint(slice_of(private), b));
	assert_false(rsa_public_fingerprint(SLICE("x"), b));
	buf_free(&der);
	buf_free(&text);
	rsa_key_free(key);
	free(private);
	free(public);
}

static bool verifies(const char *public, struct slice token)
{
	return rsa_jwt_verify(slice_of(public), token);
}

static void a_token_verifies_until_a_bit_changes(void **state UNUSED)
{
	char *private = pem_of(pkey, PKCS8, NULL), *public = pem_of(pkey, PUBLIC, NULL);
	EVP_PKEY *other = EVP_RSA_gen(2048);
	char *foreign = pem_of(other, PUBLIC, NULL);
	struct rsa_key *key = NULL;
	assert_int_equal(rsa_key_load(slice_of(private), NULL, &key), KEY_OK);
	struct buf token = buf_with_ceiling(2000);
	assert_true(rsa_jwt_sign(key, SLICE("{\"alg\":\"RS256\",\"typ\":\"JWT\"}"), SLICE("{\"iss\":\"A.B.SHA256:x\"}"),
				 &token));
	assert_true(verifies(public, buf_slice(&token)));
	assert_false(verifies(foreign, buf_slice(&token)));
	assert_false(verifies("junk", buf_slice(&token)));
	assert_memory_equal(token.data, "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.", 37);
	for (size_t i = 0; i < token.n; i++) {
		token.data[i] ^= 1;
		assert_false(verifies(public, buf_slice(&token)));
		token.data[i] ^= 1;
	}
	for (size_t n = 0; n < token.n; n += 13)
		assert_false(verifies(public, (struct slice){token.data, n}));
	assert_true(buf_addc(&token, '.'));
	assert_false(verifies(public, buf_slice(&token)));
	buf_clear(&token);
	assert_true(rsa_jwt_sign(key, SLICE("{\"alg\":\"none\"}"), SLICE("{}"), &token));
	assert_false(verifies(public, buf_slice(&token)));
	buf_free(&token);
	token = buf_with_ceiling(100);
	assert_false(rsa_jwt_sign(key, SLICE("{\"alg\":\"RS256\"}"), SLICE("{}"), &token));
	rsa_key_free(key);
	EVP_PKEY_free(other);
	free(private);
	free(public);
	free(foreign);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hashes_match_published_vectors),
	    cmocka_unit_test(encodings_match_rfc_4648),
	    cmocka_unit_test(every_length_round_trips),
	    cmocka_unit_test(only_canonical_text_decodes),
	    cmocka_unit_test(decoders_are_strict),
	    cmocka_unit_test(sealed_texts_open_as_published),
	    cmocka_unit_test(what_is_sealed_opens_unchanged_only),
	    cmocka_unit_test(sealing_keeps_to_the_ceiling),
	    cmocka_unit_test(random_things_differ),
	    cmocka_unit_test(keys_load_with_the_right_passphrase_only),
	    cmocka_unit_test(other_keys_are_told_apart),
	    cmocka_unit_test(a_pem_with_crlf_loads),
	    cmocka_unit_test(both_halves_have_one_fingerprint),
	    cmocka_unit_test(a_token_verifies_until_a_bit_changes),
	};
	return cmocka_run_group_tests(tests, make_key, free_key);
}
