/* queue.h
 *
 * Slots toward Snowflake and the waiting rooms before them. A call is in exactly one place: waiting (in its account's
 * FIFO), running (holds a slot), or unknown to us. Slots go round the accounts that wait, one call each, so that a long
 * queue of one principal does not delay another's. The queue borrows calls; it never frees one. owner: NET.
 */
#ifndef SNOWGATE_GATEWAY_QUEUE_H
#define SNOWGATE_GATEWAY_QUEUE_H

#include "account.h"

struct queue {
	int64_t max_running, running, waiting;
	struct account *turn; /* whose waiting call is looked at next */
};

enum admit { ADMIT_RUN, ADMIT_WAIT, ADMIT_ACCOUNT_FULL, ADMIT_QUEUE_FULL };
#define QUEUE_MAX_WAITING 4096 /* over all accounts */

/* Unknown to running or waiting; or refused, and still unknown. */
enum admit queue_admit(struct queue *q, struct account *a, struct call *c, const struct limits *limits);
/* Running to unknown. */
void queue_done(struct queue *q, struct account *a);
/* Waiting to unknown: the client left, or waited long enough. */
void queue_leave(struct queue *q, struct account *a, struct call *c);
/* Its place in its account's line, from 1; 0: it does not wait. */
int64_t queue_place(const struct account *a, const struct call *c);
/* Waiting to running: the next call that may start, or NULL. Call it until NULL after queue_done(). `limits_of` tells a
 * waiting call's limits. */
struct call *queue_next(struct queue *q, const struct limits *(*limits_of)(const struct call *c));

#endif
