/* context.h
 *
 * What a statement runs in: it travels with each statement and never lives in a shared connection. Names are spelled as
 * Snowflake stores them; NULL means not set (the next wider default counts). `parameters` maps session parameters
 * (upper case) to strings; NULL when there are none.
 */
#ifndef SNOWGATE_CONTEXT_H
#define SNOWGATE_CONTEXT_H

#include "snowgate/arena.h"
#include "snowgate/json.h"

struct context {
	const char *database, *schema, *warehouse, *role;
	json_t *parameters;
};

/* A deep copy in the arena (parameters: an own copy, attached). False when the arena is full. */
bool context_copy(struct arena *a, const struct context *from, struct context *to) MUST_USE;
/* For owners without an arena: every text on the heap. */
void context_set(struct context *to, const struct context *from); /* frees what was there, copies */
void context_clear(struct context *c);
/* {"database":…,"schema":…,"warehouse":…,"role":…}: null where not set. A new reference. */
json_t *context_json(const struct context *c);

#endif
