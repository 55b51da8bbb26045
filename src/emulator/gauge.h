/* gauge.h
 *
 * How many are at work at one time, per name, and the most there ever were: what tests compare with caps. Bounded:
 * past GAUGES_MAX names everything new is counted under "(other)".
 */
#ifndef SNOWGATE_EMULATOR_GAUGE_H
#define SNOWGATE_EMULATOR_GAUGE_H

#include <jansson.h>
#include "snowgate/base.h"

#define GAUGES_MAX 8192

struct gauges;
struct gauge {
	char *name;
	size_t now, max, total;
	struct gauge *next;
};

struct gauges *gauges_new(void);
void gauges_free(struct gauges *gauges);
/* Counts one more; the gauge stays valid until gauges_free(), to be given to gauge_leave() once. */
struct gauge *gauge_enter(struct gauges *gauges, const char *name);
void gauge_leave(struct gauge *gauge);
/* Forgets maxima and totals; those at work go on being counted. */
void gauges_reset(struct gauges *gauges);
/* {"name":{"running":1,"max_running":2,"total":3},...}, a new reference. */
json_t *gauges_json(const struct gauges *gauges);

#endif
