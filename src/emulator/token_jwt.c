/* Signed tokens: a user's own key-pair JWT, External OAuth, workload identity; a small cache spares verifying twice. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "snowgate/crypt.h"
#include "snowgate/json.h"
#include "token_parts.h"

#define JWT_LIFE_S 3600 /* after iat, whatever exp says */
#define JWT_SKEW_S 60

void jwts_forget(struct keyring *keyring)
{
	for (size_t i = 0; i < JWT_CACHE; i++) {
		free(keyring->known[i].token);
		roles_free(&keyring->known[i].roles);
		keyring->known[i].token = NULL;
	}
}

/* Without a token's restriction, the user's own roles are the border. */
void caller_is_user(struct caller *caller, const struct user *user, const struct role_list *roles)
{
	if (roles) {
		memcpy(caller->roles, roles->role, sizeof(roles->role));
		caller->roles_n = roles->n;
	}
	if (!user)
		return;
	caller->user = user->name;
	caller->granted = user->roles;
	caller->default_role = user->default_role;
	caller->default_warehouse = user->default_warehouse;
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

enum jwt_form { JWT_FORM_OK, JWT_FORM_PARTS, JWT_FORM_JSON, JWT_FORM_ALGORITHM };

/* The claims, a new reference. Nothing is verified yet. */
static enum jwt_form jwt_read(const char *token, json_t **claims)
{
	const char *first = strchr(token, '.'), *second = first ? strchr(first + 1, '.') : NULL, *algorithm;
	enum jwt_form form = JWT_FORM_OK;
	json_t *header;

	*claims = NULL;
	if (!second || strchr(second + 1, '.') || strlen(token) > TOKEN_BYTES_MAX)
		return JWT_FORM_PARTS;
	header = jwt_part(token, (size_t)(first - token));
	*claims = jwt_part(first + 1, (size_t)(second - first - 1));
	algorithm = json_text_of(header, "alg");
	if (!header || !*claims)
		form = JWT_FORM_JSON;
	else if (!algorithm || strcmp(algorithm, "RS256"))
		form = JWT_FORM_ALGORITHM;
	json_decref(header);
	if (form != JWT_FORM_OK) {
		json_decref(*claims);
		*claims = NULL;
	}
	return form;
}

static struct known_jwt *jwt_known(struct keyring *keyring, const char *token, enum token_kind kind)
{
	int64_t now = keyring_clock(keyring);

	for (size_t i = 0; i < JWT_CACHE; i++) {
		struct known_jwt *k = &keyring->known[i];

		if (k->token && k->kind == kind && k->until_s > now && token_equal(k->token, token))
			return k;
	}
	return NULL;
}

static struct known_jwt *jwt_remember(struct keyring *keyring, const char *token, const struct known_jwt *fresh)
{
	struct known_jwt *slot = &keyring->known[keyring->known_next++ % JWT_CACHE];

	free(slot->token);
	roles_free(&slot->roles);
	*slot = *fresh;
	slot->token = xstrdup(token);
	return slot;
}

/* ---- key pairs ---- */

/* The key that issuer `<ACCOUNT>.<USER>.SHA256:<fingerprint>` names, or NULL with the refusal filled. */
static const struct public_key *jwt_key(struct keyring *keyring, const json_t *claims, const struct user **user,
					struct token_refusal *refusal)
{
	const char *issuer = json_text_of(claims, "iss"), *subject = json_text_of(claims, "sub"), *name, *dot;
	size_t account_n = strlen(keyring->account);
	bool keyed = false;

	if (!issuer || !subject || strncmp(issuer, keyring->account, account_n) || issuer[account_n] != '.') {
		refuse_jwt(refusal, "394300", "the issuer or the subject is not of this account");
		return NULL;
	}
	name = issuer + account_n + 1;
	dot = strstr(name, ".SHA256:");
	if (!dot || strncmp(subject, issuer, (size_t)(dot - issuer)) || subject[dot - issuer]) {
		refuse_jwt(refusal, "394300", "the issuer and the subject disagree");
		return NULL;
	}
	for (*user = keyring->users; *user; *user = (*user)->next) {
		if (strncmp((*user)->name, name, (size_t)(dot - name)) || (*user)->name[dot - name])
			continue;
		for (size_t i = 0; i < USER_KEYS; i++) {
			keyed = keyed || (*user)->keys[i].pem;
			if ((*user)->keys[i].pem && !strcmp((*user)->keys[i].fingerprint, dot + 1))
				return &(*user)->keys[i];
		}
	}
	refuse_jwt(refusal, keyed ? "394304" : "394300",
		   keyed ? "the public key's fingerprint does not match" : "no public key for this user");
	return NULL;
}

static bool jwt_time(int64_t now, const json_t *claims, int64_t *until_s, struct token_refusal *refusal)
{
	const json_t *issued = json_object_get(claims, "iat"), *expires = json_object_get(claims, "exp");
	int64_t iat, exp;

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
	const struct public_key *key;
	json_t *claims;
	bool ok = false;

	switch (jwt_read(token, &claims)) {
	case JWT_FORM_PARTS:
		return refuse_jwt(refusal, "394306", "not three parts");
	case JWT_FORM_JSON:
		return refuse_jwt(refusal, "394306", "header or claims are not JSON in base64url");
	case JWT_FORM_ALGORITHM:
		return refuse_jwt(refusal, "394305", "the algorithm is not RS256");
	case JWT_FORM_OK:
		break;
	}
	key = jwt_key(keyring, claims, &verified->user, refusal);
	if (key && !rsa_jwt_verify(slice_of(key->pem), slice_of(token)))
		refuse_jwt(refusal, "394300", "the signature does not fit the key");
	else if (key)
		ok = jwt_time(keyring_clock(keyring), claims, &verified->until_s, refusal);
	json_decref(claims);
	return ok;
}

bool jwt_check(struct keyring *keyring, const char *token, struct caller *caller, struct token_refusal *refusal)
{
	struct known_jwt *known = jwt_known(keyring, token, TOKEN_JWT), fresh = {.kind = TOKEN_JWT};

	if (token_has_expired(keyring, token))
		return refuse_jwt(refusal, "394301", "expired");
	if (!known) {
		if (!jwt_verify(keyring, token, &fresh, refusal))
			return false;
		known = jwt_remember(keyring, token, &fresh);
	}
	caller->kind = TOKEN_JWT;
	caller_is_user(caller, known->user, NULL);
	return true;
}

/* ---- External OAuth, workload identity ---- */

static const struct issuer *issuer_of(const struct keyring *keyring, const json_t *claims, bool wif)
{
	const char *name = json_text_of(claims, "iss");

	for (size_t i = 0; name && i < keyring->issuers_n; i++) {
		if (keyring->issuers[i].wif == wif && !strcmp(keyring->issuers[i].name, name))
			return &keyring->issuers[i];
	}
	return NULL;
}

bool token_is_issued(struct keyring *keyring, const char *token)
{
	json_t *claims = NULL;
	bool issued;

	if (!keyring->issuers_n || jwt_read(token, &claims) == JWT_FORM_PARTS)
		return false;
	issued = !claims || !json_text_of(claims, "iss") ||
		 strncmp(json_text_of(claims, "iss"), keyring->account, strlen(keyring->account));
	json_decref(claims);
	return issued;
}

static bool in_words(const char *list, const char *separators, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; *p; p += strcspn(p, separators), p += *p != 0) {
		if (strcspn(p, separators) == n && !strncmp(p, word, n))
			return true;
	}
	return false;
}

static bool audience_holds(const struct issuer *issuer, const json_t *claim)
{
	if (!*issuer->audience)
		return true;
	if (json_is_string(claim))
		return in_words(issuer->audience, ",", json_string_value(claim));
	for (size_t i = 0; i < json_array_size(claim); i++) {
		const char *one = json_string_value(json_array_get(claim, i));

		if (one && in_words(issuer->audience, ",", one))
			return true;
	}
	return false;
}

static bool signature_holds(const struct issuer *issuer, const char *token)
{
	for (size_t i = 0; i < USER_KEYS; i++) {
		if (issuer->pems[i] && rsa_jwt_verify(slice_of(issuer->pems[i]), slice_of(token)))
			return true;
	}
	return false;
}

static bool issued_time(int64_t now, const json_t *claims, int64_t *until_s, struct token_refusal *refusal)
{
	const json_t *expires = json_object_get(claims, "exp");
	const char *const starts[] = {"nbf", "iat"};

	if (!json_is_number(expires))
		return refuse_oauth(refusal, "390303", "no time of expiry");
	*until_s = (int64_t)json_number_value(expires);
	if (*until_s <= now)
		return refuse_oauth(refusal, "390318", "expired");
	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		const json_t *start = json_object_get(claims, starts[i]);

		if (start && (!json_is_number(start) || (int64_t)json_number_value(start) > now + JWT_SKEW_S))
			return refuse_oauth(refusal, "390303", "not yet valid");
	}
	return true;
}

static const struct user *issued_user(const struct keyring *keyring, const struct issuer *issuer, const json_t *claims)
{
	const char *subject = json_text_of(claims, issuer->claim);

	for (const struct user *u = keyring->users; subject && u; u = u->next) {
		if (!issuer->wif && !strcasecmp(u->login, subject))
			return u;
		if (issuer->wif && u->wif_issuer && u->wif_subject && !strcmp(u->wif_issuer, issuer->name) &&
		    !strcmp(u->wif_subject, subject))
			return u;
	}
	return NULL;
}

static void scope_take(struct buf *roles, const char *scope, size_t n, bool *any)
{
	static const char fixed[] = "session:role:";

	if ((n == 16 && !strncmp(scope, "session:role-any", n)) || (n == 16 && !strncmp(scope, "session:role:all", n)))
		*any = true;
	else if (n > sizeof(fixed) - 1 && !strncmp(scope, fixed, sizeof(fixed) - 1)) {
		buf_adds(roles, roles->n ? "," : "");
		for (size_t i = sizeof(fixed) - 1; i < n; i++)
			buf_addc(roles, (char)toupper((unsigned char)scope[i]));
	}
}

/* The roles of `scp`: a list, or words in one text. False when there is none that says anything about roles. */
static bool scopes_read(const json_t *claims, struct role_list *list)
{
	const json_t *scopes = json_object_get(claims, "scp");
	struct buf roles = buf_with_ceiling(TOKEN_BYTES_MAX);
	bool any = false, said;

	if (!scopes)
		scopes = json_object_get(claims, "scope");
	for (size_t i = 0; i < json_array_size(scopes); i++) {
		const char *one = json_string_value(json_array_get(scopes, i));

		if (one)
			scope_take(&roles, one, strlen(one), &any);
	}
	for (const char *p = json_string_value(scopes); p && *p; p += strcspn(p, " "), p += *p == ' ')
		scope_take(&roles, p, strcspn(p, " "), &any);
	said = any || roles.n;
	roles_read(list, any ? "" : buf_text(&roles));
	buf_free(&roles);
	return said;
}

static bool issued_verify(struct keyring *keyring, const char *token, bool wif, struct known_jwt *verified,
			  struct token_refusal *refusal)
{
	const struct issuer *issuer;
	const char *why = NULL;
	json_t *claims = NULL;
	bool ok = false;

	if (jwt_read(token, &claims) != JWT_FORM_OK)
		return refuse_oauth(refusal, "390303", "no RS256 token in three parts of base64url");
	issuer = issuer_of(keyring, claims, wif);
	if (!issuer)
		why = "the issuer is not registered";
	else if (!signature_holds(issuer, token))
		why = "the signature fits no key of the issuer";
	else if (!audience_holds(issuer, json_object_get(claims, "aud")))
		why = "the audience is another";
	else if (!(verified->user = issued_user(keyring, issuer, claims)))
		why = "no user belongs to the claim";
	if (why)
		refuse_oauth(refusal, "390303", why);
	else
		ok = issued_time(keyring_clock(keyring), claims, &verified->until_s, refusal);
	if (ok && wif)
		roles_read(&verified->roles, "");
	else if (ok && !scopes_read(claims, &verified->roles)) {
		roles_free(&verified->roles);
		ok = refuse(refusal, "390317",
			    "The role requested in the connection or the default role if none was requested in the "
			    "connection is not listed in the Access Token or was filtered.");
	}
	json_decref(claims);
	return ok;
}

bool issued_check(struct keyring *keyring, const char *token, bool wif, struct caller *caller,
		  struct token_refusal *refusal)
{
	enum token_kind kind = wif ? TOKEN_WIF : TOKEN_OAUTH;
	struct known_jwt *known = jwt_known(keyring, token, kind), fresh = {.kind = kind};

	if (token_has_expired(keyring, token))
		return refuse_oauth(refusal, "390318", "expired");
	if (!known) {
		if (!issued_verify(keyring, token, wif, &fresh, refusal))
			return false;
		known = jwt_remember(keyring, token, &fresh);
	}
	caller->kind = kind;
	caller_is_user(caller, known->user, &known->roles);
	return true;
}
