/* Tokens that the gateway signs itself: key-pair JWTs (snowflake-rest.md B.1), and External OAuth tokens for each user.
 */
#include "token.h"

#include "snowgate/crypt.h"
#include "snowgate/log.h"
#include "snowgate/wheel.h"

#include <ctype.h>
#include <string.h>

enum {
	JWT_LIFE_S = 55 * 60, /* Snowflake takes at most an hour (B.1) */
	USER_LIFE_S = 9 * 60, /* a stolen one is of little use */
	USER_BEFORE_S = 60,   /* a clock of Snowflake's that is behind ours */
	FRESH_S = 5,          /* a token so young was not refused for its age */
	SIGNERS_MAX = 64,
	KEYS = 2
};

/* The keys of one connection, as they were last read. */
struct signer {
	uint8_t id[32];
	uint64_t used;
	struct rsa_key *key[KEYS];
	struct stamp stamp[KEYS];
	struct watch watch[KEYS];
	bool changed[KEYS];      /* the file is another than the one that was read */
	const char *fault[KEYS]; /* why there is none; static */
	int works;               /* the key to begin with */
};
static struct signer signers[SIGNERS_MAX]; /* owner: SNOWFLAKE */
static uint64_t signer_uses;               /* owner: SNOWFLAKE */

static void add_upper(struct buf *b, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_addc(b, (char)toupper((unsigned char)text[i]));
}

bool token_subject(struct buf *b, const char *account, const char *user)
{
	size_t n = strcspn(account, strcasestr(account, ".global") ? "-" : ".");

	add_upper(b, account, n);
	buf_addc(b, '.');
	add_upper(b, user, strlen(user));
	return !buf_failed(b);
}

/* ---- keys ---- */

static const char *key_fault(enum key_verdict v)
{
	switch (v) {
	case KEY_OK:
		break;
	case KEY_NOT_PEM:
		return "the private key is not a PEM file";
	case KEY_NEEDS_PASSPHRASE:
		return "the private key is encrypted and private_key_passphrase is not set";
	case KEY_WRONG_PASSPHRASE:
		return "private_key_passphrase does not open the private key";
	case KEY_NOT_RSA:
		return "the private key is not an RSA key";
	case KEY_TOO_SHORT:
		return "the private key is shorter than 2048 bits";
	}
	return NULL;
}

struct key_place {
	const char *file, *raw, *passphrase;
};

static struct key_place place_of(const struct connection *c, int n)
{
	if (n)
		return (struct key_place){c->private_key_file_2, c->private_key_raw_2, c->private_key_passphrase_2};
	return (struct key_place){c->private_key_file, c->private_key_raw, c->private_key_passphrase};
}

static bool key_is_given(const struct connection *c, int n)
{
	struct key_place place = place_of(c, n);

	return place.file || place.raw;
}

static int key_load(struct key_place place, struct rsa_key **key, struct stamp *stamp, const char **why)
{
	struct buf pem = buf_with_ceiling(TOKEN_BYTES_MAX);
	enum key_verdict verdict;

	memset(stamp, 0, sizeof *stamp);
	if (!place.file && place.raw)
		buf_adds(&pem, place.raw);
	else if (!place.file || !token_file_read(place.file, &pem, stamp)) {
		buf_wipe(&pem);
		*why = "private_key_file cannot be read";
		return ERR_UPSTREAM_AUTH;
	}
	verdict = rsa_key_load(buf_slice(&pem), place.passphrase, key);
	buf_wipe(&pem);
	*why = key_fault(verdict);
	return verdict == KEY_OK ? ERR_OK : ERR_UPSTREAM_AUTH;
}

static void signer_forget(struct signer *s)
{
	for (int i = 0; i < KEYS; i++)
		rsa_key_free(s->key[i]);
	*s = (struct signer){.used = 0};
}

void signers_forget(void)
{
	for (size_t i = 0; i < SIGNERS_MAX; i++)
		signer_forget(&signers[i]);
}

/* A new connection takes the place of the longest unused. */
static struct signer *signer_of(const struct connection *c)
{
	struct signer *oldest = &signers[0];

	for (size_t i = 0; i < SIGNERS_MAX; i++) {
		struct signer *s = &signers[i];
		if (s->used && !memcmp(s->id, c->id, sizeof s->id)) {
			s->used = ++signer_uses;
			return s;
		}
		if (s->used < oldest->used)
			oldest = s;
	}
	signer_forget(oldest);
	memcpy(oldest->id, c->id, sizeof oldest->id);
	oldest->used = ++signer_uses;
	return oldest;
}

static bool key_has_changed(struct signer *s, const struct connection *c, int n)
{
	struct key_place place = place_of(c, n);
	struct stamp stamp;

	if (s->key[n] && place.file && !s->changed[n] && watch_due(&s->watch[n]))
		s->changed[n] = stamp_of(place.file, &stamp) && !stamp_is(&stamp, &s->stamp[n]);
	return s->changed[n];
}

/* The n-th key, read (again) where that is needed. A file that changed into nonsense leaves the old key in use, and is
 * looked at again when it changes again. */
static const struct rsa_key *key_of(struct signer *s, const struct connection *c, int n, const char **why)
{
	struct rsa_key *key = NULL;
	struct stamp stamp;

	*why = s->fault[n];
	if (s->key[n] ? !key_has_changed(s, c, n) : !watch_due(&s->watch[n]))
		return s->key[n];
	s->changed[n] = false;
	if (key_load(place_of(c, n), &key, &stamp, why)) {
		s->fault[n] = *why;
		if (s->key[n])
			log_event(LOG_WARN, "key_not_taken", log_text("connection", c->name), log_text("reason", *why));
		s->stamp[n] = stamp;
		return s->key[n];
	}
	rsa_key_free(s->key[n]);
	s->key[n] = key;
	s->stamp[n] = stamp;
	return key;
}

/* ---- claims ---- */

static void add_claim(struct buf *b, const char *key, const char *text)
{
	buf_addf(b, "%c\"%s\":", b->n ? ',' : '{', key);
	json_write_string(b, text, strlen(text));
}

static void add_time(struct buf *b, const char *key, int64_t seconds)
{
	buf_addf(b, ",\"%s\":%lld", key, (long long)seconds);
}

static bool sign(struct buf *b, const struct rsa_key *key, const char *key_id, struct buf *claims)
{
	struct buf header = buf_with_ceiling(TOKEN_CLAIMS_MAX);
	bool fine;

	add_claim(&header, "alg", "RS256");
	add_claim(&header, "typ", "JWT");
	if (key_id)
		add_claim(&header, "kid", key_id);
	fine = buf_addc(&header, '}') && buf_addc(claims, '}') &&
	       rsa_jwt_sign(key, buf_slice(&header), buf_slice(claims), b);
	buf_free(&header);
	buf_free(claims);
	return fine;
}

static int sign_key_pair(struct buf *b, const struct rsa_key *key, const struct connection *c, int64_t now,
			 int64_t life_s, const char **why)
{
	struct buf subject = buf_with_ceiling(1024), claims = buf_with_ceiling(TOKEN_CLAIMS_MAX);
	char fingerprint[52];
	bool fine = c->account && c->user && token_subject(&subject, c->account, c->user);

	rsa_key_fingerprint(key, fingerprint);
	add_claim(&claims, "sub", buf_text(&subject));
	buf_addf(&subject, ".%s", fingerprint);
	add_claim(&claims, "iss", buf_text(&subject));
	add_time(&claims, "iat", now);
	add_time(&claims, "exp", now + life_s);
	buf_free(&subject);
	fine = sign(b, key, NULL, &claims) && fine;
	if (!fine)
		*why = "account and user must be set to sign with a private key";
	return fine ? ERR_OK : ERR_UPSTREAM_AUTH;
}

/* The scope is a list of one, so that no character of a role's name can make two of it. */
static int sign_user(struct buf *b, const struct rsa_key *key, const struct identity *who, const char *login,
		     int64_t now, const char **why)
{
	const struct connection *c = who->connection;
	struct buf claims = buf_with_ceiling(TOKEN_CLAIMS_MAX), scope = buf_with_ceiling(1200);
	char id[37];

	crypt_uuid(id);
	buf_addf(&scope, "session:role:%s", who->role);
	add_claim(&claims, "iss", c->issuer ? c->issuer : "");
	add_claim(&claims, "aud", c->audience ? c->audience : "");
	add_claim(&claims, "sub", login);
	add_claim(&claims, "jti", id);
	add_time(&claims, "iat", now);
	add_time(&claims, "nbf", now - USER_BEFORE_S);
	add_time(&claims, "exp", now + USER_LIFE_S);
	buf_adds(&claims, ",\"scp\":[");
	json_write_string(&claims, buf_text(&scope), scope.n);
	buf_addc(&claims, ']');
	buf_free(&scope);
	*why = "the names of user and role are too long for a token";
	return sign(b, key, c->key_id, &claims) ? ERR_OK : ERR_UPSTREAM_AUTH;
}

int token_jwt(struct buf *b, const struct connection *connection, int64_t now, int64_t life_s, const char **why)
{
	struct rsa_key *key = NULL;
	struct stamp stamp;
	int err = key_load(place_of(connection, 0), &key, &stamp, why);

	if (err)
		return err;
	err = sign_key_pair(b, key, connection, now, life_s, why);
	rsa_key_free(key);
	return err;
}

/* ---- the cache's side ---- */

/* A key that was taken in another's place and has served a while is the one to begin with from now on. */
static void remember_key(struct signer *s, const struct token *t, int64_t now)
{
	if (t->key >= 0 && t->number && !t->refused && now - t->minted >= FRESH_S)
		s->works = t->key;
}

enum token_state token_mint(struct token *t, const struct identity *who, const char **why)
{
	const struct connection *c = who->connection;
	int64_t now = clock_wall(), life = c->auth == CONNECTION_EXTERNAL ? USER_LIFE_S : JWT_LIFE_S;
	struct signer *s = signer_of(c);
	const struct rsa_key *key;
	int err;

	remember_key(s, t, now);
	t->key = t->key >= 0 && key_is_given(c, t->key) ? t->key : key_is_given(c, s->works) ? s->works : 0;
	/* A clock that was put back makes a token from the future, which Snowflake refuses. */
	if (t->bearer.n && !t->refused && now >= t->minted - 60 && now < t->renew_at && !key_has_changed(s, c, t->key))
		return TOKEN_READY;
	key = key_of(s, c, t->key, why);
	if (!key)
		return TOKEN_FAILED;
	buf_wipe(&t->bearer);
	err = c->auth == CONNECTION_EXTERNAL ? sign_user(&t->bearer, key, who, t->login, now, why)
					     : sign_key_pair(&t->bearer, key, c, now, life, why);
	if (err) {
		buf_wipe(&t->bearer);
		return TOKEN_FAILED;
	}
	t->minted = now;
	t->renew_at = now + life * 4 / 5;
	token_changed(t);
	return TOKEN_READY;
}

/* An old token: the same key once more. A fresh one: the other key, where there is one; who asks counts how often. With
 * one key a token of the same second would be the same. */
bool mint_renew(struct token *t, const struct connection *connection)
{
	int64_t now = clock_wall(), age = now - t->minted;
	int other = t->key == 0 ? 1 : 0;

	t->refused = true;
	if (t->key >= 0)
		(void)watch_hurry(&signer_of(connection)->watch[t->key]);
	if (age >= 0 && age < FRESH_S && key_is_given(connection, other)) {
		t->key = other;
		return true;
	}
	if (now == t->renewed)
		return false;
	t->renewed = now;
	return true;
}
