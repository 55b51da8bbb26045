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
	usec_t next;
	struct limit_verdict v;

	if (*tat - now > tolerance) /* only after the limits were raised: no debt beyond what they know */
		*tat = now + tolerance;
	next = (*tat > now ? *tat : now) + interval;
	v = (struct limit_verdict){.passed = next - now <= tolerance};

	if (v.passed)
		*tat = next;
	else
		v.retry_after = next - now - tolerance;
	v.remaining = limit_remaining(*tat, per_minute, burst, now);
	return v;
}
