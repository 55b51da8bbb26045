/* What token endpoints answer, and when a JWT ends: bytes in, values out; fuzzed. */
#include "token.h"

#include "snowgate/crypt.h"

#include <string.h>

enum { DEPTH_MAX = 16, LIFE_MAX_S = 30 * 24 * 3600, EXPIRY_MAX = 253402300799 /* the end of the year 9999 */ };

/* A text of printable characters without blanks, as it can stand in a header. */
static bool take_token(const json_t *root, const char *key, struct buf *out)
{
	const json_t *value = json_object_get(root, key);
	const char *text = json_string_value(value);
	size_t n = json_string_length(value);

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] > '~')
			return false;
	return !n || buf_add(out, text, n);
}

static void take_text(const json_t *root, const char *key, char *out, size_t size)
{
	const char *text = json_text_of(root, key);
	size_t n = 0;

	for (; text && *text && n + 1 < size; text++)
		out[n++] = (unsigned char)*text >= ' ' && (unsigned char)*text <= '~' ? *text : '?';
	out[n] = '\0';
}

/* Some servers send the number as a text. */
static int64_t take_seconds(const json_t *root, const char *key, int64_t max)
{
	const json_t *value = json_object_get(root, key);
	int64_t seconds = 0;

	if (json_is_integer(value))
		seconds = json_integer_value(value);
	else if (json_is_real(value) && json_real_value(value) > 0 && json_real_value(value) < (double)max)
		seconds = (int64_t)json_real_value(value);
	else if (json_is_string(value) && !parse_int(json_string_value(value), 0, max, &seconds))
		seconds = 0;
	return seconds < 0 ? 0 : seconds < max ? seconds : max;
}

bool oauth_answer_read(struct slice body, struct oauth_answer *out)
{
	json_t *root = NULL;
	bool fine;

	*out = (struct oauth_answer){.access_token = buf_with_ceiling(TOKEN_BYTES_MAX),
				     .refresh_token = buf_with_ceiling(TOKEN_BYTES_MAX)};
	if (!body.data || json_parse(body, DEPTH_MAX, &root, NULL, 0) != JSON_OK)
		return false;
	fine = json_is_object(root) && take_token(root, "access_token", &out->access_token) &&
	       take_token(root, "refresh_token", &out->refresh_token);
	out->expires_in = take_seconds(root, "expires_in", LIFE_MAX_S);
	take_text(root, "error", out->error, sizeof out->error);
	take_text(root, "error_description", out->description, sizeof out->description);
	if (!out->description[0]) /* Snowflake's own form of errors */
		take_text(root, "message", out->description, sizeof out->description);
	json_decref(root);
	return fine && (out->access_token.n || out->error[0] || out->description[0]);
}

void oauth_answer_free(struct oauth_answer *a)
{
	buf_wipe(&a->access_token);
	buf_wipe(&a->refresh_token);
}

int64_t token_expiry(struct slice jwt)
{
	struct buf text = buf_with_ceiling(TOKEN_BYTES_MAX);
	const char *from = jwt.data ? memchr(jwt.data, '.', jwt.n) : NULL, *to = NULL;
	json_t *claims = NULL;
	int64_t expiry = 0;

	if (from)
		to = memchr(from + 1, '.', jwt.n - (size_t)(from + 1 - jwt.data));
	if (to && base64url_decode(&text, (struct slice){from + 1, (size_t)(to - from - 1)}) &&
	    json_parse(buf_slice(&text), DEPTH_MAX, &claims, NULL, 0) == JSON_OK && json_is_object(claims))
		expiry = take_seconds(claims, "exp", EXPIRY_MAX);
	json_decref(claims);
	buf_wipe(&text);
	return expiry;
}
