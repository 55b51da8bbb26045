/* pool.h
 *
 * Who may ask Snowflake for something, and when: lanes, breakers and retry budgets, by endpoint (host and port of an
 * account). owner of everything here: SNOWFLAKE.
 *
 * Lanes. A statement is in the lane of the warehouse that its context names, one without a warehouse in that of the
 * account; so are the gateway's own metadata statements and requests to other endpoints of the account, which no
 * warehouse's queries shall hold up. It is inside from its submission until it is terminal, also after its caller was
 * answered `running`. One that Snowflake has surely not taken (429, no connection) leaves it, and comes back for the
 * next try, before its principal's others. Who waits may be cancelled, and waits no longer than its caller.
 * What only watches or cancels a statement that exists is in no lane.
 *
 * Breakers. One for each endpoint counts transport failures and 5xx; never a user's SQL error, 408, 422, 429, a body
 * that cannot be read, or a cancel; and of requests to services such as Cortex neither a timeout nor a 5xx, which may
 * be the service's own. Another for each set of credentials that several principals share counts logins
 * that were refused, after renewal. A login of one's own (external_oauth) is counted nowhere: it must not close the
 * door to others. Both are asked before each submission. What runs is polled, fetched and cancelled whatever they say,
 * at its own pace: that creates no work, and the answers are wanted.
 * While one is open a submission fails at once, but for a write of unknown fate and for a cancelled statement of
 * unknown fate: these wait for the breaker as long as their caller does, since their next try tells what became of
 * them.
 *
 * Budgets. One for each endpoint, for retries of submissions, of fetches and of other requests. Polls and cancels need
 * none: there are no more of them than statements in flight, and they slow down by themselves.
 */
#ifndef SNOWGATE_SNOWFLAKE_POOL_H
#define SNOWGATE_SNOWFLAKE_POOL_H

#include "breaker.h"
#include "lane.h"
#include "snowgate/snowflake.h"

struct job;
struct reading;

/* A job's part in all this; all zero at first. */
struct pooled {
	struct place place;
	struct way *way;           /* the lane of the place, while it has one */
	struct endpoint *endpoint; /* from its first request on */
	usec_t sent;               /* its latest request */
	usec_t until;              /* how long it may wait in the lane */
	usec_t began;              /* when it came to the lane, where it has waited; 0: it has not */
	bool probes;               /* the latest request was a breaker's probe */
};

/* Is it a request that makes Snowflake begin something? */
static inline bool opens_work(enum wire_op op)
{
	return op == WIRE_SUBMIT || op == WIRE_REST;
}

/* Before each request of a call. False: not now, and *v is what the step returns. */
bool pool_admits(struct call *c, struct job *j, enum wire_op op, enum verdict *v) MUST_USE;
/* What came of it; before anything else is made of it. */
void pool_answered(struct call *c, struct job *j, const struct reading *r);
/* Its credentials were refused, and others cannot be had. */
void pool_login_refused(struct call *c, struct job *j);
/* One more try of the request that has just failed: false where the budget has none left. */
bool pool_may_retry(struct job *j) MUST_USE;
/* The breaker will refuse the next try at `then`, and it does not wait for the breaker: it may as well end now. */
bool pool_bars(struct call *c, struct job *j, usec_t then) MUST_USE;
/* Nothing of it runs at Snowflake: it leaves its lane until its next try. */
void pool_step_out(struct job *j);
/* The job ends. */
void pool_leave(struct job *j);
/* Forgets everything; there is no job any more. */
void pool_close(void);

#endif
