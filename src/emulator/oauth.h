/* oauth.h
 *
 * Snowflake's own authorization server, as far as programs use it: POST /oauth/token-request with client_credentials
 * and refresh_token, the client by HTTP Basic or in the form. Source: snowflake-rest B.3; errors: RFC 6749 section 5.2.
 *
 * Owner: the HTTP thread.
 */
#ifndef SNOWGATE_EMULATOR_OAUTH_H
#define SNOWGATE_EMULATOR_OAUTH_H

#include "server.h"
#include "token.h"

#define OAUTH_PATH      "/oauth/token-request"
#define OAUTH_ACCESS_S  600
#define OAUTH_REFRESH_S 7776000

/* NULL members and zeros: the default. Texts are copied. */
struct oauth_client_spec {
	const char *id, *secret, *user;
	const char *roles;         /* "A,B": those that a scope may name; NULL: any */
	const char *refresh_token; /* a first one, to begin with */
	int64_t access_s, refresh_s;
	bool rotates; /* a refresh token is good for one use, and each use gives the next */
};

struct oauth;
struct oauth *oauth_new(struct keyring *keyring);
void oauth_free(struct oauth *oauth);
/* Replaces a client of the same id, whose refresh tokens are lost. */
void oauth_set_client(struct oauth *oauth, const struct oauth_client_spec *spec);
/* Answers a token request: fills exchange->answer, sends nothing. */
void oauth_serve(struct oauth *oauth, struct exchange *e);

#endif
