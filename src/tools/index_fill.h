/* index_fill.h
 *
 * The gateway's one table of indexes, and how a call reads for it: statements in the plan, their rows made into shelves
 * where the call is answered (SNOWFLAKE or WORKER), the shelves moved into the table in settle (NET).
 */
#ifndef SNOWGATE_TOOLS_INDEX_FILL_H
#define SNOWGATE_TOOLS_INDEX_FILL_H

#include "index.h"
#include "tools_internal.h"

/* ---- the table; NET owns it ---- */
void catalogue_open(void);
void catalogue_close(void);
void catalogue_forget(void); /* every index */
/* The index of who calls, in this context's role. NULL where it has none (and `make` is false) or the call's memory is
 * full. NET. */
struct index *catalogue_of(struct call *c, const struct context *x, bool make);
struct index_limits catalogue_limits(const struct call *c);
/* Of this call's connection: index_stale(). NET. */
void catalogue_stale(const struct call *c, const char *database);

/* ---- what one call reads; lives in its arena ---- */
struct fill {
	uint64_t serial; /* of the index */
	struct slice key;
	size_t first, n; /* statements of the plan */
	bool settled;
	struct filled {
		struct want want;
		struct shelf *shelf;
		const char *last;
	} v[INDEX_BATCH];
};
/* What the index wants, first of `first`, as statements behind those of the plan. `max` at most INDEX_BATCH. NULL
 * where nothing is wanted, or there is no memory. NET. */
struct fill *fill_plan(struct call *c, struct index *x, const struct context *in, const char *first, bool only,
		       size_t max);
/* The same for one set: index_wants_set(). */
struct fill *fill_plan_set(struct call *c, struct index *x, const struct context *in, enum index_set set,
			   const char *database, const char *schema);
/* Reads the rows. SNOWFLAKE or WORKER. NULL is fine. */
void fill_digest(struct call *c, struct fill *f);
/* Hands the shelves over; once. The statement that failed, or NULL. NET. NULL is fine. */
const struct statement *fill_settle(struct call *c, struct fill *f);

/* ---- index_hint.c ---- */
/* "Did you mean" behind the answer of a failed statement; true where a SHOW was planned for it. NET. */
bool hint_settle(struct call *c, bool more);

#endif
