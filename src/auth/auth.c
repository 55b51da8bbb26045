/* The Authorization header in, the decision and the challenge out. */
#include "snowgate/auth.h"

#include <string.h>

enum { TOKEN_MAX = 16384 };

/* token68 of RFC 9110, 11.2 (b64token of RFC 6750, 2.1): padding only at the end, and something before it. */
static bool is_token68(struct slice s)
{
	while (s.n && s.data[s.n - 1] == '=')
		s.n--;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.data[i];
		bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!is_letter && !(c >= '0' && c <= '9') && (!c || !strchr("-._~+/", c)))
			return false;
	}
	return s.n > 0;
}

enum auth_result auth_bearer(struct slice authorization, struct slice *token)
{
	struct slice header = slice_trim(authorization);
	if (!header.data || !header.n)
		return AUTH_MISSING;
	size_t n = 0;
	while (n < header.n && header.data[n] != ' ')
		n++;
	if (!slice_is_nocase((struct slice){header.data, n}, "bearer"))
		return AUTH_MISSING;
	while (n < header.n && header.data[n] == ' ')
		n++;
	struct slice rest = {header.data + n, header.n - n};
	if (rest.n > TOKEN_MAX || !is_token68(rest))
		return AUTH_MALFORMED;
	*token = rest;
	return AUTH_OK;
}

enum auth_result auth_check(const struct keyring *k, struct slice authorization, int64_t now, struct principal *p)
{
	struct slice token;
	enum auth_result result = auth_bearer(authorization, &token);
	return result == AUTH_OK ? keyring_find(k, token, now, p) : result;
}

/* No quotes and no backslashes: these stand in a quoted string too (RFC 6750, 3). */
const char *auth_result_text(enum auth_result r)
{
	static const char *const texts[] = {
	    [AUTH_OK] = "ok",
	    [AUTH_MISSING] = "send an API key in the header Authorization: Bearer sgk_...",
	    [AUTH_MALFORMED] = "this is not a complete API key; copy all of it, from sgk_ to its last character",
	    [AUTH_UNKNOWN] = "this API key is not known here",
	    [AUTH_EXPIRED] = "this API key has expired; ask for a new one",
	    [AUTH_REVOKED] = "this API key has been revoked; ask for a new one",
	};
	return texts[(unsigned)r < ARRAY_LEN(texts) ? r : AUTH_UNKNOWN];
}

bool auth_challenge(struct buf *b, enum auth_result r)
{
	bool ok = buf_adds(b, "Bearer realm=\"snowgate\"");
	if (r == AUTH_OK || r == AUTH_MISSING)
		return ok;
	return ok && buf_addf(b, ", error=\"invalid_token\", error_description=\"%s\"", auth_result_text(r));
}
