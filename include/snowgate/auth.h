/* auth.h
 *
 * API keys and what a request's Authorization header says. A key is `sgk_<8 id>_<43 base64url of 32 random bytes>_<6
 * check>`: the id is its look-up, the check (the upper 30 bits of CRC-32 over all before its underscore, base32) a
 * cheap refusal before any hash. The file holds SHA-256 sums of whole keys only, so it may live in version control;
 * `printf %s KEY | sha256sum` finds a key's line. Principals are key *names*: rotating a key keeps its sessions.
 *
 * File: one key a line, `name id sha256hex [group=G] [created=RFC3339] [expires=RFC3339] [revoked=RFC3339]`; # begins a
 * comment where a word could begin. At most 16 MiB, 100 000 keys, 1024 bytes a line.
 */
#ifndef SNOWGATE_AUTH_H
#define SNOWGATE_AUTH_H

#include "snowgate/buf.h"
#include "snowgate/principal.h"

enum auth_result { AUTH_OK, AUTH_MISSING, AUTH_MALFORMED, AUTH_UNKNOWN, AUTH_EXPIRED, AUTH_REVOKED };

/* An immutable set of keys. NET owns the one in force; main builds the next. */
struct keyring;
/* Reads the file; one that does not exist is an empty ring. NULL on any fault, and `why` then holds every one that
 * fits, a line each: "file:line: reason". */
struct keyring *keyring_load(const char *path, char *why, size_t why_size);
void keyring_free(struct keyring *k);          /* NULL is fine */
size_t keyring_count(const struct keyring *k); /* revoked and expired ones too */
/* Whose is this key at `now`, wall seconds? *p is written on AUTH_OK only. Constant-time compare; an unknown id costs
 * what a known one does. A wrong secret is AUTH_UNKNOWN whatever became of the key of that id. NULL ring: nobody is
 * known. */
enum auth_result keyring_find(const struct keyring *k, struct slice token, int64_t now, struct principal *p) MUST_USE;

/* Visits every principal that a key of this ring would be let in for at `now`, once for each such key. */
void keyring_each(const struct keyring *k, int64_t now, void (*visit)(const struct principal *p, void *ctx), void *ctx);

/* When the next key that is valid at `now` expires, wall seconds; INT64_MAX where none does. */
int64_t keyring_next_expiry(const struct keyring *k, int64_t now);

/* The token of an Authorization header (NULL data: absent; RFC 6750 2.1, RFC 9110 11.4): one Bearer credential, scheme
 * in any case. AUTH_MISSING: no header, or another scheme. AUTH_MALFORMED: not exactly one token68. The token is
 * borrowed. */
enum auth_result auth_bearer(struct slice authorization, struct slice *token) MUST_USE;

/* Both: the whole check of an Authorization header. */
enum auth_result auth_check(const struct keyring *k, struct slice authorization, int64_t now,
			    struct principal *p) MUST_USE;
/* A sentence for the client that says what to do; never more than the client may know. */
const char *auth_result_text(enum auth_result r);
/* The WWW-Authenticate value: Bearer realm="snowgate", and error="invalid_token" with a description where a token was
 * sent (RFC 6750 3). Under 255 bytes. */
bool auth_challenge(struct buf *b, enum auth_result r);

/* ---- the command line's verbs; each says its fault in *why ---- */
/* Makes a key, appends it to the file, and gives the secret, to be shown once. `expires`: hours, days or weeks as 12h,
 * 90d, 8w, at most ten years; NULL for never. Names: [A-Za-z0-9._-], 1 to 64; groups likewise, to 63. Several keys may
 * bear one name (rotation); `group` NULL takes the group of the newest key of that name.
 *
 * These two write the file whole and rename it into place, keep its comments, mode and owner (new: 0600), and hold a
 * lock on its folder so that two commands at one time lose nothing. A file with faults is not touched. */
bool key_new(const char *path, const char *name, const char *group, const char *expires, struct buf *secret, char *why,
	     size_t why_size);
bool key_list(const char *path, struct buf *table, char *why, size_t why_size);
/* By name: all keys of that name; else by id. False where there is no such key; 0 revoked where all were already. */
bool key_revoke(const char *path, const char *name_or_id, size_t *revoked, char *why, size_t why_size);

#endif
