/* seal.h
 *
 * Short texts that clients carry for us and must not read, change or lend: page cursors and request states. AES-256-GCM
 * under a key of its own purpose, a random nonce, bound to whatever the sealer names as `bound` (principal, method,
 * arguments), base64url. Keys rotate as session keys do: the first seals, all open. Pure but for the random nonce.
 */
#ifndef SNOWGATE_SEAL_H
#define SNOWGATE_SEAL_H

#include "snowgate/crypt.h"
#include "snowgate/mcp.h"
#include "snowgate/principal.h"

struct seal_keys {
	size_t n; /* at most 16 */
	struct sha256 v[16];
};

/* Appends the sealed form of `secret`, under the first key. False where the buffer is full, or (nothing appended) where
 * the sealed form would be longer than SEAL_MAX characters. There is at least one key. */
bool seal_write(struct buf *b, const struct seal_keys *keys, struct slice bound, struct slice secret);
/* Appends the secret; false (nothing appended) where the text is not ours, was changed or is bound to something else.
 * Costs no more than a decryption per key, whatever the text; over SEAL_MAX characters it is refused unread. */
#define SEAL_MAX 65536
bool seal_open(struct buf *b, const struct seal_keys *keys, struct slice bound, struct slice text) MUST_USE;

/* ---- cursors [6, Pagination] ---- */
/* The place where the next page of a list begins. `list` names the list as this caller sees it (method, and whatever
 * else decides its contents): a cursor fits no other. */
bool cursor_write(struct buf *b, const struct seal_keys *keys, const struct principal *p, struct slice list,
		  uint64_t offset);
/* `cursor` NULL is the first page: offset 0. ERR_OK, or ERR_INVALID_PARAMS with *fault filled. */
int cursor_read(struct arena *a, const struct seal_keys *keys, const struct principal *p, struct slice list,
		const json_t *cursor, uint64_t *offset, struct mcp_fault *fault) MUST_USE;

/* ---- request states [5.10] ---- */
/* What a request that was answered input_required has gathered so far: an object, such as answers by key. Bound to the
 * principal, the method and the parameters (without _meta, inputResponses and requestState: key order does not matter),
 * until `expires` (wall seconds). answers NULL: none so far. False as seal_write(): ask for less, or end the request.
 */
bool state_write(struct buf *b, const struct seal_keys *keys, const struct principal *p, const struct rpc *rpc,
		 const json_t *answers, int64_t expires);
/* Opens params.requestState into *answers (a new reference) at `now`. ERR_OK; ERR_INVALID_PARAMS with *fault filled
 * where it is no string, not ours, changed, another's, of another request, or too old. */
int state_read(struct arena *a, const struct seal_keys *keys, const struct principal *p, const struct rpc *rpc,
	       int64_t now, json_t **answers, struct mcp_fault *fault) MUST_USE;

#endif
