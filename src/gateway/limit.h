/* limit.h
 *
 * GCRA (ITU-T I.371), one word of state per principal: `tat`, the theoretical arrival time. Equal to a token bucket of
 * `burst` tokens refilled at `per_minute`, with exact retry times. Pure: time comes in, verdicts come out.
 */
#ifndef SNOWGATE_GATEWAY_LIMIT_H
#define SNOWGATE_GATEWAY_LIMIT_H

#include "snowgate/base.h"

struct limit_verdict {
	bool passed;
	int64_t remaining;  /* requests that would pass now */
	usec_t retry_after; /* 0 when passed */
};
/* per_minute >= 1, burst >= 1. Changes *tat only when passed. */
struct limit_verdict limit_check(usec_t *tat, int64_t per_minute, int64_t burst, usec_t now);
/* Requests that would pass now. */
int64_t limit_remaining(usec_t tat, int64_t per_minute, int64_t burst, usec_t now);

#endif
