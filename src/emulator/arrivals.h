/* arrivals.h
 *
 * How many requests came in which tenth of a second: what a bench plots. The last hour is kept.
 *
 * Owner: the HTTP thread.
 */
#ifndef SNOWGATE_EMULATOR_ARRIVALS_H
#define SNOWGATE_EMULATOR_ARRIVALS_H

#include <jansson.h>
#include "snowgate/base.h"

#define ARRIVALS_BUCKET_MS 100
#define ARRIVALS_BUCKETS   36000

struct arrivals;
struct arrivals *arrivals_new(void);
void arrivals_free(struct arrivals *arrivals);
void arrivals_reset(struct arrivals *arrivals);
/* `is_submit`: of a statement; `is_refused`: an outage answers it. */
void arrivals_add(struct arrivals *arrivals, bool is_submit, bool is_refused);
/* {"bucket_ms":100,"from_ms":...,"requests":[...],"submits":[...],"refused":[...]} from the first bucket that counted
 * anything to the current one, a new reference. */
json_t *arrivals_json(const struct arrivals *arrivals);

#endif
