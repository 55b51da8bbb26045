/* token_parts.h
 *
 * What the files of the keyring share: token.c (registration, opaque tokens, dispatch), token_jwt.c (signed tokens).
 */
#ifndef SNOWGATE_EMULATOR_TOKEN_PARTS_H
#define SNOWGATE_EMULATOR_TOKEN_PARTS_H

#include "token.h"

#define JWT_CACHE       64
#define EXPIRED_MAX     256
#define TOKEN_BYTES_MAX 8192

struct public_key {
	char *pem; /* NULL: none */
	char fingerprint[52];
};

struct user {
	char *name, *login, *roles, *default_role, *default_warehouse, *wif_issuer, *wif_subject;
	struct public_key keys[USER_KEYS];
	struct user *next;
};

/* Roles as a list that owns its text. */
struct role_list {
	char *text; /* cut into words in place */
	const char *role[TOKEN_ROLES_MAX];
	size_t n;
};

struct opaque {
	enum token_kind kind;
	char *token, *user;
	struct role_list roles;
	int64_t expires_s;
	bool is_service; /* of SPCS: its type must be said */
};

struct issuer {
	bool wif;
	char *name, *audience, *claim, *pems[USER_KEYS];
};

/* A JWT whose signature was verified. */
struct known_jwt {
	char *token;
	const struct user *user;
	struct role_list roles;
	enum token_kind kind;
	int64_t until_s;
};

struct keyring {
	char *account;
	bool open;
	int64_t clock_ahead_s;
	struct user *users;
	struct opaque *opaques;
	size_t opaques_n;
	struct issuer *issuers;
	size_t issuers_n;
	char *service_path, *service_user, *service_roles;
	struct known_jwt known[JWT_CACHE];
	char *expired[EXPIRED_MAX];
	size_t known_next, expired_next;
};

struct user *user_find(const struct keyring *keyring, const char *name);
void roles_read(struct role_list *list, const char *text);
void roles_free(struct role_list *list);
bool token_has_expired(const struct keyring *keyring, const char *token);
bool token_equal(const char *a, const char *b); /* constant time */
bool refuse(struct token_refusal *refusal, const char *code, const char *message);
/* As the real service: the message has an id with which an administrator finds the reason. Ours also says it. */
bool refuse_jwt(struct token_refusal *refusal, const char *code, const char *reason);
bool refuse_oauth(struct token_refusal *refusal, const char *code, const char *reason);

/* token_jwt.c. The known ones are forgotten when keys change. */
void jwts_forget(struct keyring *keyring);
bool jwt_check(struct keyring *keyring, const char *token, struct caller *caller, struct token_refusal *refusal);
bool issued_check(struct keyring *keyring, const char *token, bool wif, struct caller *caller,
		  struct token_refusal *refusal);
/* Whether the token is a JWT of a registered External OAuth issuer, unverified. */
bool token_is_issued(struct keyring *keyring, const char *token);
void caller_is_user(struct caller *caller, const struct user *user, const struct role_list *roles);

#endif
