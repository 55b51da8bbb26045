/* The rate limit's arithmetic. */
#include "limit.h"

int64_t limit_remaining(usec_t tat, int64_t per_minute, int64_t burst, usec_t now)
{
	usec_t interval = 60 * USEC_PER_S / per_minute;
	usec_t ahead = tat > now ? tat - now : 0;

	return interval * burst > ahead ? (interval * burst - ahead) / interval : 0;
}

struct limit_verdict limit_check(usec_t *tat, int64_t per_minute, int64_t burst, usec_t now)
{
	usec_t interval = 60 * USEC_PER_S / per_minute;
	usec_t tolerance = interval * burst; /* how far ahead of now the tat may be */
	usec_t next = (*tat > now ? *tat : now) + interval;
	struct limit_verdict v = {.passed = next - now <= tolerance};

	if (v.passed)
		*tat = next;
	else
		v.retry_after = next - now - tolerance;
	v.remaining = limit_remaining(*tat, per_minute, burst, now);
	return v;
}
