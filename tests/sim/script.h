/* script.h
 *
 * A scripted Snowflake: what the module is expected to send, line by line, and what comes back. Time is virtual and
 * moves from timer to timer; every thread is played by the one that runs the test. A request that the script does not
 * expect, or a line that is never asked for, fails the test.
 *
 * An answer of more than 32 KiB comes in pieces, a millisecond apart, as far as the request's window has room.
 *
 * Calls are driven by hand: their plan is set, they begin at sign, and end where they are posted to NET. STORE confirms
 * at once.
 */
#ifndef SNOWGATE_TEST_SCRIPT_H
#define SNOWGATE_TEST_SCRIPT_H

#include "snowgate/snowflake.h"

struct script_line {
	enum wire_op op;
	const char *with;    /* stands in path, body or own headers; NULL: anything */
	const char *without; /* stands in neither */
	int status;          /* 0: `result` instead of an answer */
	const char *answer;
	enum wire_result result;
	bool shared;           /* it comes on a connection of HTTP/2 */
	size_t breaks_after;   /* so much of an answer comes, then `result`; 0: all of it */
	int64_t retry_after_s; /* 0: not given */
	usec_t takes;          /* 0: 10 ms */
};

/* Opens the module over the script; `lines` outlive it. */
void script_open(const struct script_line *lines, size_t n);
/* Every line must have been asked for, and nothing be under way. Frees the calls that came home. */
void script_close(void);
/* The configuration of the calls; may be changed between script_open() and script_call(). */
struct conf *script_conf(void);
/* A call of one statement, 100 rows wanted, ready to run; the ticket is its number from 1. */
struct call *script_call(const char *sql);
void script_start(struct call *c);
void script_start_at(struct call *c, usec_t after);
/* At this time from now on, the ticket is cancelled. */
void script_cancel_at(handle_t ticket, usec_t after);
/* While STORE has a call, this ticket is cancelled. */
void script_cancel_in_store(handle_t ticket);
/* Until nothing is left to happen. Returns the calls that have come home. */
size_t script_run(void);
usec_t script_elapsed(void);     /* virtual time since script_open() */
size_t script_early(void);       /* early answers */
size_t script_stored(void);      /* visits to STORE */
size_t script_tokens(void);      /* different tokens seen */
size_t script_request_ids(void); /* different request ids seen */
size_t script_bytes(void);       /* of all answers, that were taken */
size_t script_held(void);        /* times that an answer was held at its window */

#endif
