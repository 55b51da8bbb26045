/* names.h
 *
 * A bounded memory of names (databases, schemas, objects, warehouses), for completion: lists under opaque keys, which
 * tell for whom and of what they are. A list is forgotten NAMES_TTL after it was put; where there is no room, the one
 * that was not used for longest gives way.
 *
 * Owner: whoever holds it; the gateway's only one is NET's.
 */
#ifndef SNOWGATE_TOOLS_NAMES_H
#define SNOWGATE_TOOLS_NAMES_H

#include "snowgate/base.h"

#define NAMES_TTL   (300 * USEC_PER_S)
#define NAMES_MAX   10000 /* names in one list */
#define NAMES_LISTS 256
#define NAMES_BYTES ((size_t)16 << 20)

struct names;
/* At most so many lists, and bytes in all of them together. */
struct names *names_new(size_t lists_max, size_t bytes_max);
void names_free(struct names *n); /* NULL is fine */

/* A list as it is kept. Valid until the next call with the same `names`. */
struct names_list {
	size_t n;
	bool whole;       /* false: there are more than are kept */
	const char *text; /* the names one behind the other, each with its NUL */
};
/* The list under this key, which counts as used; NULL where there is none, or it is too old at `now`. */
const struct names_list *names_find(struct names *n, struct slice key, usec_t now);
/* Keeps a copy of the first NAMES_MAX names in place of what was under this key. NULL (nothing kept) where they alone
 * are more than the bytes allowed. */
const struct names_list *names_put(struct names *n, struct slice key, const char *const *v, size_t v_n, bool whole,
				   usec_t now);
size_t names_count(const struct names *n);
size_t names_bytes(const struct names *n);

#endif
