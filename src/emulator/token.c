/* The keyring: users, keys, opaque tokens, and which check a bearer token gets. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "snowgate/crypt.h"
#include "snowgate/wheel.h"
#include "token_parts.h"

#define SERVICE_LIFE_S 3600

static char *upper(const char *text)
{
	char *copy = xstrdup(text);

	for (char *c = copy; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	return copy;
}

static void text_replace(char **member, const char *text)
{
	if (!text)
		return;
	free(*member);
	*member = xstrdup(text);
}

void roles_read(struct role_list *list, const char *text)
{
	char *rest, *role;

	*list = (struct role_list){.text = xstrdup(text ? text : "")};
	rest = list->text;
	while ((role = strsep(&rest, ",")) && list->n < TOKEN_ROLES_MAX) {
		if (*role)
			list->role[list->n++] = role;
	}
}

void roles_free(struct role_list *list)
{
	free(list->text);
	memset(list, 0, sizeof(*list));
}

struct keyring *keyring_new(const char *account, bool open)
{
	struct keyring *keyring = xalloc(sizeof(*keyring));

	keyring->account = upper(account);
	keyring->open = open;
	return keyring;
}

static void user_free(struct user *user)
{
	char *const texts[] = {
	    user->name,       user->login,      user->roles, user->default_role, user->default_warehouse,
	    user->wif_issuer, user->wif_subject};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		free(texts[i]);
	for (size_t i = 0; i < USER_KEYS; i++)
		free(user->keys[i].pem);
	free(user);
}

static void issuer_clear(struct issuer *issuer)
{
	free(issuer->name);
	free(issuer->audience);
	free(issuer->claim);
	for (size_t i = 0; i < USER_KEYS; i++)
		free(issuer->pems[i]);
}

void keyring_free(struct keyring *keyring)
{
	for (struct user *user = keyring->users, *next; user; user = next) {
		next = user->next;
		user_free(user);
	}
	for (size_t i = 0; i < keyring->opaques_n; i++) {
		free(keyring->opaques[i].token);
		free(keyring->opaques[i].user);
		roles_free(&keyring->opaques[i].roles);
	}
	for (size_t i = 0; i < keyring->issuers_n; i++)
		issuer_clear(&keyring->issuers[i]);
	jwts_forget(keyring);
	for (size_t i = 0; i < EXPIRED_MAX; i++)
		free(keyring->expired[i]);
	free(keyring->issuers);
	free(keyring->opaques);
	free(keyring->service_path);
	free(keyring->service_user);
	free(keyring->service_roles);
	free(keyring->account);
	free(keyring);
}

int64_t keyring_clock(const struct keyring *keyring)
{
	return clock_wall() + keyring->clock_ahead_s;
}

int64_t keyring_clock_ahead(const struct keyring *keyring)
{
	return keyring->clock_ahead_s;
}

void keyring_set_clock(struct keyring *keyring, int64_t ahead_s)
{
	keyring->clock_ahead_s = ahead_s;
	jwts_forget(keyring);
}

/* ---- users ---- */

struct user *user_find(const struct keyring *keyring, const char *name)
{
	struct user *user = keyring->users;

	while (user && strcmp(user->name, name))
		user = user->next;
	return user;
}

static struct user *user_make(struct keyring *keyring, const char *name)
{
	char *key = upper(name);
	struct user *user = user_find(keyring, key);

	if (user) {
		free(key);
		return user;
	}
	user = xalloc(sizeof(*user));
	user->name = key;
	user->login = xstrdup(key);
	user->next = keyring->users;
	keyring->users = user;
	return user;
}

void keyring_set_user(struct keyring *keyring, const struct user_spec *spec)
{
	struct user *user = user_make(keyring, spec->name);

	text_replace(&user->login, spec->login);
	text_replace(&user->roles, spec->roles);
	text_replace(&user->default_role, spec->default_role);
	text_replace(&user->default_warehouse, spec->default_warehouse);
	text_replace(&user->wif_issuer, spec->wif_issuer);
	text_replace(&user->wif_subject, spec->wif_subject);
	jwts_forget(keyring);
}

bool keyring_set_key(struct keyring *keyring, const char *user, size_t place, const char *pem)
{
	struct public_key *key = &user_make(keyring, user)->keys[place];
	char fingerprint[52] = "";

	if (pem && !rsa_public_fingerprint(slice_of(pem), fingerprint))
		return false;
	free(key->pem);
	key->pem = pem ? xstrdup(pem) : NULL;
	memcpy(key->fingerprint, fingerprint, sizeof(fingerprint));
	jwts_forget(keyring);
	return true;
}

bool keyring_add_key(struct keyring *keyring, const char *user, const char *pem)
{
	const struct user *u = user_make(keyring, user);
	size_t place = 0;

	while (place < USER_KEYS && u->keys[place].pem)
		place++;
	return place < USER_KEYS && keyring_set_key(keyring, user, place, pem);
}

bool keyring_set_issuer(struct keyring *keyring, const struct issuer_spec *spec)
{
	struct issuer fresh = {.wif = spec->wif}, *found = NULL;
	char unused[52];
	size_t keys = 0;

	for (size_t i = 0; i < USER_KEYS; i++) {
		if (spec->pems[i] && !rsa_public_fingerprint(slice_of(spec->pems[i]), unused))
			return false;
		keys += spec->pems[i] != NULL;
	}
	if (!keys)
		return false;
	for (size_t i = 0; i < keyring->issuers_n; i++) {
		if (keyring->issuers[i].wif == spec->wif && !strcmp(keyring->issuers[i].name, spec->issuer))
			found = &keyring->issuers[i];
	}
	if (!found) {
		keyring->issuers = xrealloc(keyring->issuers, (keyring->issuers_n + 1) * sizeof(fresh));
		found = &keyring->issuers[keyring->issuers_n++];
		*found = fresh;
	}
	issuer_clear(found);
	fresh.name = xstrdup(spec->issuer);
	fresh.audience = xstrdup(spec->audience ? spec->audience : spec->wif ? "snowflakecomputing.com" : "");
	fresh.claim = xstrdup(spec->claim ? spec->claim : "sub");
	for (size_t i = 0; i < USER_KEYS; i++)
		fresh.pems[i] = spec->pems[i] ? xstrdup(spec->pems[i]) : NULL;
	*found = fresh;
	jwts_forget(keyring);
	return true;
}

/* ---- opaque tokens ---- */

static struct opaque *opaque_add(struct keyring *keyring, enum token_kind kind, const char *token, const char *user,
				 const char *roles, int64_t expires_s)
{
	struct opaque o = {.kind = kind, .token = xstrdup(token), .user = upper(user), .expires_s = expires_s};

	roles_read(&o.roles, roles);
	keyring->opaques = xrealloc(keyring->opaques, (keyring->opaques_n + 1) * sizeof(o));
	keyring->opaques[keyring->opaques_n] = o;
	return &keyring->opaques[keyring->opaques_n++];
}

void keyring_add(struct keyring *keyring, enum token_kind kind, const char *token, const char *user, const char *roles,
		 int64_t expires_s)
{
	(void)opaque_add(keyring, kind, token, user, roles, expires_s);
}

void keyring_set_service(struct keyring *keyring, const char *path, const char *user, const char *roles)
{
	text_replace(&keyring->service_path, path);
	text_replace(&keyring->service_user, user);
	text_replace(&keyring->service_roles, roles ? roles : "");
}

bool refuse(struct token_refusal *refusal, const char *code, const char *message)
{
	(void)snprintf(refusal->code, sizeof(refusal->code), "%s", code);
	(void)snprintf(refusal->message, sizeof(refusal->message), "%s", message);
	return false;
}

bool refuse_jwt(struct token_refusal *refusal, const char *code, const char *reason)
{
	char id[37];

	crypt_uuid(id);
	(void)snprintf(refusal->code, sizeof(refusal->code), "390144");
	(void)snprintf(refusal->message, sizeof(refusal->message), "JWT token is invalid. [%s] (%s: %s)", id, code,
		       reason);
	return false;
}

bool refuse_oauth(struct token_refusal *refusal, const char *code, const char *reason)
{
	char id[37];

	crypt_uuid(id);
	(void)snprintf(refusal->code, sizeof(refusal->code), "%s", code);
	(void)snprintf(refusal->message, sizeof(refusal->message), "%s [%s] (%s)",
		       strcmp(code, "390318") ? "Invalid OAuth access token." : "OAuth access token expired.", id,
		       reason);
	return false;
}

bool token_equal(const char *a, const char *b)
{
	size_t n = strlen(a);

	return n == strlen(b) && crypt_equal(a, b, n);
}

bool token_has_expired(const struct keyring *keyring, const char *token)
{
	for (size_t i = 0; i < EXPIRED_MAX; i++) {
		if (keyring->expired[i] && token_equal(keyring->expired[i], token))
			return true;
	}
	return false;
}

/* The newest first: tokens that are minted by the minute pile up behind. */
static struct opaque *opaque_find(struct keyring *keyring, const char *token)
{
	for (size_t i = keyring->opaques_n; i > 0; i--) {
		if (token_equal(keyring->opaques[i - 1].token, token))
			return &keyring->opaques[i - 1];
	}
	return NULL;
}

/* What the service's token file holds now, when that is `token`. */
static struct opaque *service_find(struct keyring *keyring, const char *token)
{
	FILE *file = keyring->service_path ? fopen(keyring->service_path, "re") : NULL;
	struct opaque *o = NULL;
	char *text;
	size_t n;

	if (!file)
		return NULL;
	text = xalloc(TOKEN_BYTES_MAX + 1);
	n = fread(text, 1, TOKEN_BYTES_MAX, file);
	(void)fclose(file);
	while (n && isspace((unsigned char)text[n - 1]))
		n--;
	text[n] = 0;
	if (n && token_equal(text, token)) {
		o = opaque_add(keyring, TOKEN_OAUTH, token, keyring->service_user, keyring->service_roles,
			       keyring_clock(keyring) + SERVICE_LIFE_S);
		o->is_service = true;
	}
	free(text);
	return o;
}

static bool opaque_check(struct keyring *keyring, enum token_kind kind, const char *token, struct caller *caller,
			 struct token_refusal *refusal)
{
	struct opaque *o = opaque_find(keyring, token);
	bool expired;

	if (!o && kind == TOKEN_OAUTH)
		o = service_find(keyring, token);
	expired = token_has_expired(keyring, token) || (o && o->expires_s && o->expires_s <= keyring_clock(keyring));
	if (kind == TOKEN_PAT && (!o || o->kind != kind || expired))
		return refuse(refusal, "394400", "Programmatic access token is invalid.");
	if (!o || o->kind != kind)
		return refuse(refusal, "390303", "Invalid OAuth access token.");
	if (expired)
		return refuse(refusal, "390318", "OAuth access token expired.");
	caller->kind = kind;
	caller->user = o->user;
	caller_is_user(caller, user_find(keyring, o->user), &o->roles);
	return true;
}

/* ---- which check ---- */

/* The kind named by the header, or guessed from the token's form where there is no header. */
static bool kind_of(struct keyring *keyring, const char *token, const char *type, enum token_kind *kind)
{
	static const struct {
		const char *type;
		enum token_kind kind;
	} kinds[] = {
	    {"KEYPAIR_JWT", TOKEN_JWT},
	    {"PROGRAMMATIC_ACCESS_TOKEN", TOKEN_PAT},
	    {"OAUTH", TOKEN_OAUTH},
	    {"WORKLOAD_IDENTITY_FEDERATION", TOKEN_WIF},
	};
	const char *dot;
	struct opaque *o;

	for (size_t i = 0; type && i < ARRAY_LEN(kinds); i++) {
		if (!strcasecmp(type, kinds[i].type)) {
			*kind = kinds[i].kind;
			return true;
		}
	}
	dot = strchr(token, '.');
	o = opaque_find(keyring, token);
	if (o)
		*kind = o->kind;
	else if (!strncmp(token, "WIF.", 4))
		*kind = TOKEN_WIF;
	else
		*kind = dot && strchr(dot + 1, '.') && !token_is_issued(keyring, token) ? TOKEN_JWT : TOKEN_OAUTH;
	return !type && !(o && o->is_service);
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

static bool wif_check(struct keyring *keyring, const char *token, struct caller *caller, struct token_refusal *refusal)
{
	if (strncmp(token, "WIF.OIDC.", 9))
		return refuse_oauth(refusal, "390303",
				    "the token is not WIF.OIDC.<token>; other providers are unknown");
	return issued_check(keyring, token + 9, true, caller, refusal);
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
		caller_is_user(caller, user_find(keyring, caller->user), NULL);
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
	if (kind == TOKEN_WIF)
		return wif_check(keyring, token, caller, refusal);
	if (kind == TOKEN_OAUTH && token_is_issued(keyring, token))
		return issued_check(keyring, token, false, caller, refusal);
	return opaque_check(keyring, kind, token, caller, refusal);
}

void token_expire(struct keyring *keyring, const char *authorization, struct token_refusal *refusal)
{
	const char *token = bearer(authorization);
	bool wif = token && !strncmp(token, "WIF.OIDC.", 9);
	struct opaque *o;

	token += wif ? 9 : 0;
	o = token ? opaque_find(keyring, token) : NULL;
	if (token && !token_has_expired(keyring, token)) {
		char **slot = &keyring->expired[keyring->expired_next++ % EXPIRED_MAX];

		free(*slot);
		*slot = xstrdup(token);
	}
	if (o && o->kind == TOKEN_PAT)
		refuse(refusal, "394400", "Programmatic access token is invalid.");
	else if (o || wif || (token && token_is_issued(keyring, token)))
		refuse(refusal, "390318", "OAuth access token expired.");
	else
		refuse_jwt(refusal, "394301", "expired");
}

void token_not_yet(struct token_refusal *refusal)
{
	refuse_jwt(refusal, "394302", "issued in the future");
}
