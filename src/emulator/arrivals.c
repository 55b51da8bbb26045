/* Counts of requests by tenths of a second, in a ring. */
#include "arrivals.h"

#include <string.h>
#include "snowgate/wheel.h"

struct bucket {
	uint32_t requests, submits, refused;
};

/* Bucket numbers count from `start`; `first` to `last` are those that hold anything. */
struct arrivals {
	usec_t start;
	int64_t start_wall_ms;
	int64_t first, last;
	struct bucket ring[ARRIVALS_BUCKETS];
};

struct arrivals *arrivals_new(void)
{
	struct arrivals *arrivals = xalloc(sizeof(*arrivals));

	arrivals_reset(arrivals);
	return arrivals;
}

void arrivals_free(struct arrivals *arrivals)
{
	free(arrivals);
}

void arrivals_reset(struct arrivals *arrivals)
{
	memset(arrivals, 0, sizeof(*arrivals));
	arrivals->start = clock_now();
	arrivals->start_wall_ms = clock_wall_usec() / 1000;
	arrivals->first = arrivals->last = -1;
}

static int64_t bucket_now(const struct arrivals *arrivals)
{
	return (clock_now() - arrivals->start) / (ARRIVALS_BUCKET_MS * USEC_PER_MS);
}

/* Clears what lies between the last bucket and `now`. */
static void ring_advance(struct arrivals *arrivals, int64_t now)
{
	if (arrivals->first < 0)
		arrivals->first = arrivals->last = now;
	if (now - arrivals->last > ARRIVALS_BUCKETS)
		arrivals->last = now - ARRIVALS_BUCKETS;
	while (arrivals->last < now) {
		arrivals->last++;
		memset(&arrivals->ring[arrivals->last % ARRIVALS_BUCKETS], 0, sizeof(struct bucket));
	}
	if (now - arrivals->first >= ARRIVALS_BUCKETS)
		arrivals->first = now - ARRIVALS_BUCKETS + 1;
}

void arrivals_add(struct arrivals *arrivals, bool is_submit, bool is_refused)
{
	int64_t now = bucket_now(arrivals);
	struct bucket *b = &arrivals->ring[now % ARRIVALS_BUCKETS];

	ring_advance(arrivals, now);
	b->requests++;
	b->submits += is_submit;
	b->refused += is_refused;
}

json_t *arrivals_json(const struct arrivals *arrivals)
{
	json_t *requests = json_array(), *submits = json_array(), *refused = json_array();
	int64_t now = bucket_now(arrivals), first = arrivals->first < 0 ? now : arrivals->first;

	if (now - first >= ARRIVALS_BUCKETS)
		first = now - ARRIVALS_BUCKETS + 1;
	for (int64_t i = first; i <= now; i++) {
		const struct bucket *b = &arrivals->ring[i % ARRIVALS_BUCKETS];
		bool held = arrivals->first >= 0 && i <= arrivals->last;

		json_array_append_new(requests, json_integer(held ? b->requests : 0));
		json_array_append_new(submits, json_integer(held ? b->submits : 0));
		json_array_append_new(refused, json_integer(held ? b->refused : 0));
	}
	return json_pack("{s:i,s:I,s:o,s:o,s:o}", "bucket_ms", ARRIVALS_BUCKET_MS, "from_ms",
			 (json_int_t)(arrivals->start_wall_ms + first * ARRIVALS_BUCKET_MS), "requests", requests,
			 "submits", submits, "refused", refused);
}
