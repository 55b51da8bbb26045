/* Bearer tokens: registration, the checks, and a small cache so that a JWT's signature is verified once. */
#include "token.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "snowgate/crypt.h"
#include "snowgate/json.h"
#include "snowgate/wheel.h"

#define JWT_CACHE       64
#define EXPIRED_MAX     256
#define JWT_LIFE_S      3600 /* after iat, whatever exp says */
#define JWT_SKEW_S      60
#define TOKEN_BYTES_MAX 8192

struct public_key {
	char *user, *pem, fingerprint[52];
};

struct opaque {
	enum token_kind kind;
	char *token, *user, *roles; /* roles: cut into words in place */
	const char *role[TOKEN_ROLES_MAX];
	size_t roles_n;
	int64_t expires_s;
};

struct known_jwt {
	char *token, *user;
	int64_t until_s;
};

struct keyring {
	char *account;
	bool open;
	struct public_key *keys;
	size_t keys_n;
	struct opaque *opaques;
	size_t opaques_n;
	struct known_jwt known[JWT_CACHE];
	char *expired[EXPIRED_MAX];
	size_t known_next, expired_next;
};

static char *upper(const char *text)
{
	char *copy = xstrdup(text);

	for (char *c = copy; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	return copy;
}

struct keyring *keyring_new(const char *account, bool open)
{
	struct keyring *keyring = xalloc(sizeof(*keyring));

	keyring->account = upper(account);
	keyring->open = open;
	return keyring;
}

void keyring_free(struct keyring *keyring)
{
	for (size_t i = 0; i < keyring->keys_n; i++) {
		free(keyring->keys[i].user);
		free(keyring->keys[i].pem);
	}
	for (size_t i = 0; i < keyring->opaques_n; i++) {
		free(keyring->opaques[i].token);
		free(keyring->opaques[i].user);
		free(keyring->opaques[i].roles);
	}
	for (size_t i = 0; i < JWT_CACHE; i++) {
		free(keyring->known[i].token);
		free(keyring->known[i].user);
	}
	for (size_t i = 0; i < EXPIRED_MAX; i++)
		free(keyring->expired[i]);
	free(keyring->keys);
	free(keyring->opaques);
	free(keyring->account);
	free(keyring);
}

bool keyring_add_key(struct keyring *keyring, const char *user, const char *pem)
{
	struct public_key key = {0};

	if (!rsa_public_fingerprint(slice_of(pem), key.fingerprint))
		return false;
	key.user = upper(user);
	key.pem = xstrdup(pem);
	keyring->keys = xrealloc(keyring->keys, (keyring->keys_n + 1) * sizeof(key));
	keyring->keys[keyring->keys_n++] = key;
	return true;
}

void keyring_add(struct keyring *keyring, enum token_kind kind, const char *token, const char *user, const char *roles,
		 int64_t expires_s)
{
	struct opaque o = {.kind = kind, .token = xstrdup(token), .user = upper(user), .expires_s = expires_s};
	char *rest, *role;

	o.roles = xstrdup(roles ? roles : "");
	rest = o.roles;
	while ((role = strsep(&rest, ",")) && o.roles_n < TOKEN_ROLES_MAX) {
		if (*role)
			o.role[o.roles_n++] = role;
	}
	keyring->opaques = xrealloc(keyring->opaques, (keyring->opaques_n + 1) * sizeof(o));
	keyring->opaques[keyring->opaques_n++] = o;
}

static bool refuse(struct token_refusal *refusal, const char *code, const char *message)
{
	(void)snprintf(refusal->code, sizeof(refusal->code), "%s", code);
	(void)snprintf(refusal->message, sizeof(refusal->message), "%s", message);
	return false;
}

/* As the real service: the message has an id with which an administrator finds the reason. Ours also says it. */
static bool refuse_jwt(struct token_refusal *refusal, const char *code, const char *reason)
{
	char id[37];

	crypt_uuid(id);
	(void)snprintf(refusal->code, sizeof(refusal->code), "390144");
	(void)snprintf(refusal->message, sizeof(refusal->message), "JWT token is invalid. [%s] (%s: %s)", id, code,
		       reason);
	return false;
}

static bool token_is(const char *a, const char *b)
{
	size_t n = strlen(a);

	return n == strlen(b) && crypt_equal(a, b, n);
}

static bool token_has_expired(const struct keyring *keyring, const char *token)
{
	for (size_t i = 0; i < EXPIRED_MAX; i++) {
		if (keyring->expired[i] && token_is(keyring->expired[i], token))
			return true;
	}
	return false;
}

static struct opaque *opaque_find(struct keyring *keyring, const char *token)
{
	for (size_t i = 0; i < keyring->opaques_n; i++) {
		if (token_is(keyring->opaques[i].token, token))
			return &keyring->opaques[i];
	}
	return NULL;
}

static bool opaque_check(struct keyring *keyring, enum token_kind kind, const char *token, struct caller *caller,
			 struct token_refusal *refusal)
{
	struct opaque *o = opaque_find(keyring, token);
	bool expired = token_has_expired(keyring, token) || (o && o->expires_s && o->expires_s <= clock_wall());

	if (kind == TOKEN_PAT && (!o || o->kind != kind || expired))
		return refuse(refusal, "394400", "Programmatic access token is invalid.");
	if (!o || o->kind != kind)
		return refuse(refusal, "390303", "Invalid OAuth access token.");
	if (expired)
		return refuse(refusal, "390318", "OAuth access token expired.");
	caller->kind = kind;
	caller->user = o->user;
	memcpy(caller->roles, o->role, sizeof(o->role));
	caller->roles_n = o->roles_n;
	return true;
}

static json_t *jwt_part(const char *start, size_t n)
{
	struct buf text = buf_with_ceiling(TOKEN_BYTES_MAX);
	json_t *part = NULL;

	if (base64url_decode(&text, (struct slice){start, n}) &&
	    json_parse(buf_slice(&text), JSON_DEPTH_MAX, &part, NULL, 0) != JSON_OK)
		part = NULL;
	buf_free(&text);
	if (!json_is_object(part)) {
		json_decref(part);
		return NULL;
	}
	return part;
}

/* The key that issuer `<ACCOUNT>.<USER>.SHA256:<fingerprint>` names, or NULL with the refusal filled. */
static struct public_key *jwt_key(struct keyring *keyring, const json_t *claims, struct token_refusal *refusal)
{
	const char *issuer = json_text_of(claims, "iss"), *subject = json_text_of(claims, "sub");
	const char *user, *dot;
	size_t account_n = strlen(keyring->account);
	bool user_known = false;

	if (!issuer || !subject || strncmp(issuer, keyring->account, account_n) || issuer[account_n] != '.') {
		refuse_jwt(refusal, "394300", "the issuer or the subject is not of this account");
		return NULL;
	}
	user = issuer + account_n + 1;
	dot = strstr(user, ".SHA256:");
	if (!dot || strncmp(subject, issuer, (size_t)(dot - issuer)) || subject[dot - issuer]) {
		refuse_jwt(refusal, "394300", "the issuer and the subject disagree");
		return NULL;
	}
	for (size_t i = 0; i < keyring->keys_n; i++) {
		struct public_key *key = &keyring->keys[i];

		if (strncmp(key->user, user, (size_t)(dot - user)) || key->user[dot - user])
			continue;
		user_known = true;
		if (!strcmp(key->fingerprint, dot + 1))
			return key;
	}
	refuse_jwt(refusal, user_known ? "394304" : "394300",
		   user_known ? "the public key's fingerprint does not match" : "no public key for this user");
	return NULL;
}

static bool jwt_time(const json_t *claims, int64_t *until_s, struct token_refusal *refusal)
{
	const json_t *issued = json_object_get(claims, "iat"), *expires = json_object_get(claims, "exp");
	int64_t now = clock_wall(), iat, exp;

	if (!json_is_number(issued))
		return refuse_jwt(refusal, "394300", "no time of issue");
	if (!json_is_number(expires))
		return refuse_jwt(refusal, "394303", "no time of expiry");
	iat = (int64_t)json_number_value(issued);
	exp = (int64_t)json_number_value(expires);
	if (iat > now + JWT_SKEW_S)
		return refuse_jwt(refusal, "394302", "issued in the future");
	*until_s = exp < iat + JWT_LIFE_S ? exp : iat + JWT_LIFE_S;
	if (*until_s <= now)
		return refuse_jwt(refusal, "394301", "expired");
	return true;
}

static bool jwt_verify(struct keyring *keyring, const char *token, struct known_jwt *verified,
		       struct token_refusal *refusal)
{
	const char *first = strchr(token, '.'), *second = first ? strchr(first + 1, '.') : NULL;
	struct public_key *key;
	json_t *header, *claims;
	bool ok = false;

	if (!second || strchr(second + 1, '.') || strlen(token) > TOKEN_BYTES_MAX)
		return refuse_jwt(refusal, "394306", "not three parts");
	header = jwt_part(token, (size_t)(first - token));
	claims = jwt_part(first + 1, (size_t)(second - first - 1));
	if (!header || !claims) {
		refuse_jwt(refusal, "394306", "header or claims are not JSON in base64url");
	} else if (!json_text_of(header, "alg") || strcmp(json_text_of(header, "alg"), "RS256")) {
		refuse_jwt(refusal, "394305", "the algorithm is not RS256");
	} else if ((key = jwt_key(keyring, claims, refusal))) {
		if (!rsa_jwt_verify(slice_of(key->pem), slice_of(token)))
			refuse_jwt(refusal, "394300", "the signature does not fit the key");
		else
			ok = jwt_time(claims, &verified->until_s, refusal);
		verified->user = key->user;
	}
	json_decref(header);
	json_decref(claims);
	return ok;
}

static struct known_jwt *jwt_known(struct keyring *keyring, const char *token)
{
	int64_t now = clock_wall();

	for (size_t i = 0; i < JWT_CACHE; i++) {
		struct known_jwt *k = &keyring->known[i];

		if (k->token && k->until_s > now && token_is(k->token, token))
			return k;
	}
	return NULL;
}

static bool jwt_check(struct keyring *keyring, const char *token, struct caller *caller, struct token_refusal *refusal)
{
	struct known_jwt *known = jwt_known(keyring, token), fresh = {0};

	if (token_has_expired(keyring, token))
		return refuse_jwt(refusal, "394301", "expired");
	if (!known) {
		if (!jwt_verify(keyring, token, &fresh, refusal))
			return false;
		known = &keyring->known[keyring->known_next++ % JWT_CACHE];
		free(known->token);
		free(known->user);
		*known = (struct known_jwt){xstrdup(token), xstrdup(fresh.user), fresh.until_s};
	}
	caller->kind = TOKEN_JWT;
	caller->user = known->user;
	return true;
}

/* The kind named by the header, or guessed from the token's form where there is no header. */
static bool kind_of(struct keyring *keyring, const char *token, const char *type, enum token_kind *kind)
{
	const char *dot;
	struct opaque *o;

	if (!type) {
		dot = strchr(token, '.');
		o = opaque_find(keyring, token);
		*kind = o ? o->kind : dot && strchr(dot + 1, '.') ? TOKEN_JWT : TOKEN_OAUTH;
		return true;
	}
	if (!strcasecmp(type, "KEYPAIR_JWT"))
		*kind = TOKEN_JWT;
	else if (!strcasecmp(type, "PROGRAMMATIC_ACCESS_TOKEN"))
		*kind = TOKEN_PAT;
	else if (!strcasecmp(type, "OAUTH"))
		*kind = TOKEN_OAUTH;
	else
		return false;
	return true;
}

static const char *bearer(const char *authorization)
{
	const char *token;

	if (!authorization || strncasecmp(authorization, "Bearer ", 7))
		return NULL;
	token = authorization + 7;
	token += strspn(token, " ");
	return *token ? token : NULL;
}

bool token_check(struct keyring *keyring, const char *authorization, const char *type, struct caller *caller,
		 struct token_refusal *refusal)
{
	const char *token = bearer(authorization);
	enum token_kind kind;

	memset(caller, 0, sizeof(*caller));
	if (keyring->open) {
		caller->kind = TOKEN_NONE;
		caller->user = "EMULATOR";
		return true;
	}
	if (!authorization)
		return refuse(refusal, "390101", "Authorization header not found in the request data.");
	if (!token)
		return refuse(refusal, "390104", "The Authorization header holds no bearer token.");
	if (!kind_of(keyring, token, type, &kind))
		return refuse(refusal, "390104", "This type of authorization token is not supported.");
	if (kind == TOKEN_JWT)
		return jwt_check(keyring, token, caller, refusal);
	return opaque_check(keyring, kind, token, caller, refusal);
}

void token_expire(struct keyring *keyring, const char *authorization, struct token_refusal *refusal)
{
	const char *token = bearer(authorization);
	struct opaque *o = token ? opaque_find(keyring, token) : NULL;

	if (token && !token_has_expired(keyring, token)) {
		char **slot = &keyring->expired[keyring->expired_next++ % EXPIRED_MAX];

		free(*slot);
		*slot = xstrdup(token);
	}
	if (o && o->kind == TOKEN_PAT)
		refuse(refusal, "394400", "Programmatic access token is invalid.");
	else if (o)
		refuse(refusal, "390318", "OAuth access token expired.");
	else
		refuse_jwt(refusal, "394301", "expired");
}
