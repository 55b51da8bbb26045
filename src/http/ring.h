/* ring.h
 *
 * Members of an order: a list through its members, by the time they joined it. A member is in one ring at a time, or in
 * none, and then it points at nothing. owner: NET.
 */
#ifndef SNOWGATE_HTTP_RING_H
#define SNOWGATE_HTTP_RING_H

#include "snowgate/base.h"

struct ring {
	struct ring *next, *prev;
};

static inline void ring_init(struct ring *r)
{
	r->next = r->prev = r;
}

static inline bool ring_empty(const struct ring *r)
{
	return r->next == r;
}

static inline bool ring_joined(const struct ring *member)
{
	return member->next != NULL;
}

static inline void ring_leave(struct ring *member)
{
	if (!ring_joined(member))
		return;
	member->prev->next = member->next;
	member->next->prev = member->prev;
	member->next = member->prev = NULL;
}

/* At the end; leaves the ring it was in. */
static inline void ring_join(struct ring *r, struct ring *member)
{
	ring_leave(member);
	member->prev = r->prev;
	member->next = r;
	r->prev->next = member;
	r->prev = member;
}

#endif
