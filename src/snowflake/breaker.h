/* breaker.h
 *
 * What keeps a fault of Snowflake from being made worse: a circuit breaker and a retry budget. Pure but for the jitter:
 * time comes in. owner of everything here: SNOWFLAKE.
 *
 * The breaker opens on either of two signs, and only where the trouble has lasted:
 *
 * - `failures` answers in a row failed, over at least BREAKER_LASTS. The number tells an outage from one statement that
 *   meets a fault of its own (a statement counts twice at most, whatever its tries); the time tells it from one broken
 *   connection, which with HTTP/2 fails all requests on it in one instant and is mended by their first retry.
 * - of the last ten seconds' answers, `failures` and at least three in four failed, in three different seconds. With
 *   the default of four retries a call still succeeds in three of four cases while three in four tries fail
 *   (1 - 0.75^5 = 0.76); beyond that waiting helps more than trying.
 *
 * Open, it refuses until its time is over: `open_for`, give or take a tenth, twice as long after each probe that
 * failed, at most BREAKER_LONGEST times `open_for`. Then exactly one request is let through, an ordinary one that
 * somebody wanted: its answer closes the breaker or opens it again. One that takes longer than BREAKER_PROBE_LASTS, as
 * an agent's may, is no probe any more, and the next request is. No request is ever made for the breaker's sake.
 * Answers to others, sent before it opened or not asked of it, change nothing while it is open.
 */
#ifndef SNOWGATE_SNOWFLAKE_BREAKER_H
#define SNOWGATE_SNOWFLAKE_BREAKER_H

#include "snowgate/base.h"

#define BREAKER_LASTS       USEC_PER_S
#define BREAKER_LONGEST     6
#define BREAKER_PROBE_LASTS (11 * USEC_PER_S)
#define BREAKER_WINDOW      10 /* seconds */
#define BREAKER_SECONDS     3  /* of them with failures */

struct breaker {
	enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN } state;
	int64_t in_a_row;
	usec_t row_began;
	struct {
		int64_t second, answers, failures;
	} window[BREAKER_WINDOW];
	usec_t opened;     /* when it was last closed before */
	usec_t open_for;   /* this time, without the jitter */
	usec_t until;      /* when the next probe may go */
	const void *probe; /* whose request it is; HALF_OPEN only */
	usec_t probed;     /* since when */
};
struct breaker_settings {
	int64_t failures; /* 0: never opens */
	usec_t open_for;
};

enum breaker_verdict { BREAKER_PASS, BREAKER_PROBE, BREAKER_REFUSE };
/* What a request may do now. Changes nothing: who has BREAKER_PROBE and goes says so with breaker_probe(). */
enum breaker_verdict breaker_ask(const struct breaker *b, usec_t now);
void breaker_probe(struct breaker *b, const void *who, usec_t now);
/* How long until it is worth asking again; 0 where it is now. While a probe is under way nobody knows: one second. */
usec_t breaker_wait(const struct breaker *b, usec_t now);

enum breaker_change { BREAKER_SAME, BREAKER_OPENED, BREAKER_REOPENED, BREAKER_CLOSES };
enum breaker_change breaker_well(struct breaker *b, const void *who, usec_t now);
enum breaker_change breaker_ill(struct breaker *b, const void *who, struct breaker_settings s, usec_t now);
/* The probe was not sent or came to nothing: the next request may be one. */
void breaker_forgo(struct breaker *b, const void *who);

/* A bucket of retries: each request that is no retry puts in `percent` of one, and so does time, BUDGET_PER_S of them
 * in a second; it never holds more than BUDGET_MOST. So a few can always be tried again at once, as after a broken
 * connection, and an endpoint that fails gets at most percent/100 more requests than it would without retries. */
#define BUDGET_MOST  100
#define BUDGET_PER_S 10
struct budget {
	int64_t left; /* millionths of a retry */
	usec_t filled;
};
void budget_fill(struct budget *b, int64_t percent, usec_t now);
bool budget_spend(struct budget *b, usec_t now) MUST_USE;

#endif
