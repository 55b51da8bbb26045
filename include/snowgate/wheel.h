/* wheel.h
 *
 * The clock and the timers: the only reader of time in the program. Tests set a virtual clock, and time then moves
 * only when they say so.
 *
 * A wheel belongs to one thread, which asks wheel_wait() how long it may sleep and calls wheel_run() when it wakes.
 * Timers are embedded in their owners; a timer that is not pending is all zero but for its callback.
 */
#ifndef SNOWGATE_WHEEL_H
#define SNOWGATE_WHEEL_H

#include "snowgate/base.h"

usec_t clock_now(void);       /* monotonic */
int64_t clock_wall(void);     /* seconds since the epoch, UTC */
usec_t clock_wall_usec(void); /* microseconds since the epoch, UTC */
/* From now on time stands at `now` (monotonic) and `wall` (microseconds since the epoch) until moved. Tests only. */
void clock_set_virtual(usec_t now, usec_t wall);
void clock_advance(usec_t by); /* virtual clock only */

/* RFC 3339 in UTC: "2026-01-31T23:59:59Z", with microseconds when `wall` is asked for with them; years 0000-9999. */
#define CLOCK_TEXT_SIZE 28
void clock_text(usec_t wall, bool with_usec, char out[CLOCK_TEXT_SIZE]);
/* Any RFC 3339 date-time (offset, fraction, lower case t and z) to microseconds since the epoch. A leap second counts
 * as the second after. False, and *out untouched, for anything else. */
bool clock_parse(struct slice text, usec_t *out) MUST_USE;

struct wheel;
struct timer {
	void (*fire)(struct timer *); /* on the wheel's thread; may add itself again */
	usec_t when;
	uint64_t sequence;          /* order of arming, among equal times */
	struct timer *next, **prev; /* the slot's list; NULL when not pending */
	struct wheel *wheel;
};

struct wheel *wheel_new(void);
void wheel_free(struct wheel *w); /* pending timers are forgotten, not fired */
/* (Re)arms. A time in the past fires at the next wheel_run(), not in the one under way. Never early. */
void timer_set(struct wheel *w, struct timer *t, usec_t when);
void timer_stop(struct timer *t); /* not pending: nothing happens */
bool timer_pending(const struct timer *t);
/* Fires what is due, in order of time and then of arming; returns how many. A timer may stop or re-arm any other. */
size_t wheel_run(struct wheel *w, usec_t now);
/* Milliseconds until the next timer is due, rounded up; 0 when one is due, `idle_ms` when there is none or it is later
 * (negative: no limit, as epoll_wait() has it). */
int wheel_wait(struct wheel *w, usec_t now, int idle_ms);
/* Time of the earliest timer, or INT64_MAX. */
usec_t wheel_next(struct wheel *w);

#endif
