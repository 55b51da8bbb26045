/* lane.h
 *
 * A cap on what is in flight toward one warehouse, and the line of what waits for it. Pure: no clock, no threads; time
 * and chance come in. owner of everything here: SNOWFLAKE.
 *
 * The cap falls by half (to 1 at least) when Snowflake says that it has too much to do, and grows by one after as many
 * successes as it is high (the additive increase and multiplicative decrease of RFC 5681, 3.1), up to what is
 * configured. What was in flight when it fell has been answered for already: only an answer to a request that was sent
 * after the last fall lets it fall again, and that once a second at most.
 *
 * The line is one of lines: each principal has its own, first come first served, and they take turns. Everything is
 * linked through the places themselves; entering looks at one place for each principal that waits, all else is O(1).
 */
#ifndef SNOWGATE_SNOWFLAKE_LANE_H
#define SNOWGATE_SNOWFLAKE_LANE_H

#include "snowgate/base.h"

#define LANE_FALLS_EVERY USEC_PER_S

/* One of what wants to be in flight; all zero while it has nothing to do with a lane. */
struct place {
	enum { PLACE_NONE, PLACE_WAITS, PLACE_INSIDE } state;
	uint64_t who;                        /* the principal */
	struct place *next, *prev;           /* its principal's line; the first has no prev */
	struct place *last;                  /* of the line; only the first knows */
	struct place *turn_next, *turn_prev; /* the round of the first ones */
};
struct lane {
	size_t most; /* configured */
	size_t cap;  /* now; 1 ... most */
	size_t inside, waiting;
	size_t successes;   /* since the cap last changed */
	usec_t fell;        /* when it last did; 0: never */
	struct place *turn; /* the first of the line whose turn it is */
};

/* A lane without a history, or one whose setting has changed. `most` >= 1. */
void lane_set_most(struct lane *l, size_t most);

enum lane_verdict { LANE_INSIDE, LANE_WAITS, LANE_FULL };
enum lane_how {
	LANE_LAST,  /* behind its principal's others */
	LANE_FIRST, /* before them: it was inside already and comes back */
	LANE_FORCED /* inside, whatever the cap */
};
/* LANE_FULL (nothing changed) where `most_waiting` wait already. */
enum lane_verdict lane_enter(struct lane *l, struct place *p, uint64_t who, enum lane_how how, size_t most_waiting);
/* Out of the line or the lane; nothing where it is in neither. */
void lane_leave(struct lane *l, struct place *p);
/* The next one is inside now; NULL where there is no room or nobody waits. */
struct place *lane_next(struct lane *l);
/* Who would be next, room or not; NULL where nobody waits. */
struct place *lane_first(const struct lane *l);
/* From 1, in its principal's line: others' lines are none of its business. */
size_t lane_position(const struct place *p);

/* Snowflake refused a request that was sent at `sent`. Whether the cap has fallen. */
bool lane_fall(struct lane *l, usec_t sent, usec_t now);
/* Snowflake took a statement. Whether the cap has grown. */
bool lane_grow(struct lane *l);

#endif
