/* token.h
 *
 * Who a bearer token is: key-pair JWT (verified against the user's one or two public keys), programmatic access token,
 * OAuth token of our own or of an SPCS service, External OAuth JWT and workload identity (verified against a registered
 * issuer). Source: snowflake-rest B.1-B.5, A.2; codes A.6. Where the reference does not know the code:
 *   External OAuth and workload identity that fail are 390303 (390318 when expired), the message says why in
 *   parentheses; a role that the token does not carry is 390317.
 *
 * A user who was never registered has every role and no restriction; one who was has the roles granted to him.
 *
 * Owner: the HTTP thread.
 */
#ifndef SNOWGATE_EMULATOR_TOKEN_H
#define SNOWGATE_EMULATOR_TOKEN_H

#include <jansson.h>
#include "snowgate/buf.h"

#define TOKEN_ROLES_MAX 16
#define USER_KEYS       2 /* RSA_PUBLIC_KEY, RSA_PUBLIC_KEY_2 */

enum token_kind { TOKEN_JWT, TOKEN_PAT, TOKEN_OAUTH, TOKEN_WIF, TOKEN_NONE };

/* Whom a request speaks for. roles_n == 0: the token restricts nothing. Valid until the next call of this header. */
struct caller {
	enum token_kind kind;
	const char *user;
	const char *roles[TOKEN_ROLES_MAX];
	size_t roles_n;
	const char *granted;                          /* the user's roles, "A,B"; NULL: every role */
	const char *default_role, *default_warehouse; /* NULL: none */
};

/* Why not: Snowflake's code and message, 401. */
struct token_refusal {
	char code[8];
	char message[400];
};

/* NULL members stay as they are. Texts are copied. */
struct user_spec {
	const char *name;  /* upper-cased */
	const char *login; /* LOGIN_NAME: what External OAuth's claim is compared with; the name at first */
	const char *roles; /* "A,B" */
	const char *default_role, *default_warehouse;
	const char *wif_issuer, *wif_subject; /* WORKLOAD_IDENTITY */
};

/* Who signs External OAuth tokens or workload identities. */
struct issuer_spec {
	bool wif;
	const char *issuer;
	const char *audience; /* "a,b"; NULL: our account's URL is not known, so any; snowflakecomputing.com for wif */
	const char *claim;    /* of the user, default "sub" */
	const char *pems[USER_KEYS];
};

struct keyring;

/* `account` as in the JWT's issuer, upper-cased here. `open`: every request is USER of no token at all (--no-auth). */
struct keyring *keyring_new(const char *account, bool open);
void keyring_free(struct keyring *keyring);
/* A further public key of `user` (PEM, SubjectPublicKeyInfo), in the first free place. False when it is no RSA public
 * key, or when both places are taken. */
bool keyring_add_key(struct keyring *keyring, const char *user, const char *pem) MUST_USE;
/* Sets place 0 or 1, or empties it (pem NULL). False when it is no RSA public key. */
bool keyring_set_key(struct keyring *keyring, const char *user, size_t place, const char *pem) MUST_USE;
/* An opaque token, PAT or OAuth. `roles` is a comma-separated list or NULL; `expires_s` a point of wall time or 0. */
void keyring_add(struct keyring *keyring, enum token_kind kind, const char *token, const char *user, const char *roles,
		 int64_t expires_s);
void keyring_set_user(struct keyring *keyring, const struct user_spec *spec);
/* Replaces one of the same name and kind. False when a key is no RSA public key, or none is given. */
bool keyring_set_issuer(struct keyring *keyring, const struct issuer_spec *spec) MUST_USE;
/* The file of an SPCS service's token, read again whenever a token is unknown. What was in it holds for an hour. */
void keyring_set_service(struct keyring *keyring, const char *path, const char *user, const char *roles);
/* The service's clock is so many seconds ahead of the machine's. */
void keyring_set_clock(struct keyring *keyring, int64_t ahead_s);
int64_t keyring_clock(const struct keyring *keyring); /* seconds since the epoch */
int64_t keyring_clock_ahead(const struct keyring *keyring);

/* Checks the value of Authorization and of X-Snowflake-Authorization-Token-Type (either may be NULL). */
bool token_check(struct keyring *keyring, const char *authorization, const char *type, struct caller *caller,
		 struct token_refusal *refusal) MUST_USE;
/* From now on this token is refused as expired; `refusal` is what its bearer gets. Bounded: the last 256 are known. */
void token_expire(struct keyring *keyring, const char *authorization, struct token_refusal *refusal);
/* What the bearer of a JWT gets from a service whose clock is behind: not yet valid. */
void token_not_yet(struct token_refusal *refusal);

#endif
