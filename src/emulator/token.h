/* token.h
 *
 * Who a bearer token is: key-pair JWT (verified against the registered public keys), programmatic access token, opaque
 * OAuth token. Source: snowflake-rest B.1-B.3, A.2; codes A.6.
 *
 * Owner: the HTTP thread.
 */
#ifndef SNOWGATE_EMULATOR_TOKEN_H
#define SNOWGATE_EMULATOR_TOKEN_H

#include "snowgate/base.h"

#define TOKEN_ROLES_MAX 16

enum token_kind { TOKEN_JWT, TOKEN_PAT, TOKEN_OAUTH, TOKEN_NONE };

/* Whom a request speaks for. roles_n == 0: no restriction. Valid until the next call of this header. */
struct caller {
	enum token_kind kind;
	const char *user;
	const char *roles[TOKEN_ROLES_MAX];
	size_t roles_n;
};

/* Why not: Snowflake's code and message, 401. */
struct token_refusal {
	char code[8];
	char message[320];
};

struct keyring;

/* `account` as in the JWT's issuer, upper-cased here. `open`: every request is USER of no token at all (--no-auth). */
struct keyring *keyring_new(const char *account, bool open);
void keyring_free(struct keyring *keyring);
/* A further public key of `user` (PEM, SubjectPublicKeyInfo). False when it is no RSA public key. */
bool keyring_add_key(struct keyring *keyring, const char *user, const char *pem) MUST_USE;
/* An opaque token, PAT or OAuth. `roles` is a comma-separated list or NULL; `expires_s` a point of wall time or 0. */
void keyring_add(struct keyring *keyring, enum token_kind kind, const char *token, const char *user, const char *roles,
		 int64_t expires_s);

/* Checks the value of Authorization and of X-Snowflake-Authorization-Token-Type (either may be NULL). */
bool token_check(struct keyring *keyring, const char *authorization, const char *type, struct caller *caller,
		 struct token_refusal *refusal) MUST_USE;
/* From now on this token is refused as expired; `refusal` is what its bearer gets. Bounded: the last 256 are known. */
void token_expire(struct keyring *keyring, const char *authorization, struct token_refusal *refusal);

#endif
