/* session_internal.h
 *
 * What session.c, session_id.c, record.c and hash.c share.
 */
#ifndef SNOWGATE_MCP_SESSION_INTERNAL_H
#define SNOWGATE_MCP_SESSION_INTERNAL_H

#include "snowgate/session.h"

/* A hash of nodes that live in their owners; doubles as it fills, so that each operation is O(1) on average. */
struct hash {
	struct hash_node **slots;
	size_t slots_n, n;
};
uint64_t hash_of(uint64_t seed, const void *data, size_t n);
void hash_add(struct hash *h, struct hash_node *node, uint64_t hash);
void hash_remove(struct hash *h, struct hash_node *node);
/* The first node of that hash, and the next one; NULL at the end. */
struct hash_node *hash_first(const struct hash *h, uint64_t hash);
struct hash_node *hash_next(const struct hash_node *node);
void hash_free(struct hash *h); /* the nodes are not touched */

/* ---- session_id.c ---- */
void session_id_mint(const struct session_keys *keys, const struct principal *p, int64_t created,
		     char out[SESSION_ID_SIZE]);
/* Signed by one of the keys for this principal? *created is its time of birth. */
bool session_id_check(const struct session_keys *keys, const char *id, const struct principal *p, int64_t *created);
void session_handle_mint(char out[SESSION_HANDLE_SIZE]);

/* ---- session.c, for record.c ---- */
/* A session without id and handle, in no table. */
struct session *session_make(const struct principal *p, enum revision revision);
void session_destroy(struct session_table *t, struct session *s); /* and its streams */
void session_unwatch_all(struct session *s);
/* Takes a place for s, whose id is set; displaces from memory. A handle that is empty or taken is minted anew. False,
 * and s destroyed, where there is no room. */
bool session_admit(struct session_table *t, struct session *s) MUST_USE;
void session_touch(struct session_table *t, struct session *s);

#endif
