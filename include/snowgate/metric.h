/* metric.h
 *
 * The registry of tbl/metric.def: per-thread shards of relaxed atomics, so counting costs one uncontended add, summed
 * when read. Any thread may count and read.
 */
#ifndef SNOWGATE_METRIC_H
#define SNOWGATE_METRIC_H

#include "snowgate/buf.h"

enum metric {
#define METRIC(id, type, name, help, label, values) METRIC_##id,
#include "snowgate/tbl/metric.def"
#undef METRIC
	METRICS_N
};

/* Adds to a counter or a gauge; `value` is the label's value, NULL where the metric has none. */
void metric_add(enum metric m, const char *value, int64_t by);
#define metric_count(m, value) metric_add((m), (value), 1)
void metric_observe(enum metric m, usec_t duration);    /* histograms */
int64_t metric_value(enum metric m, const char *value); /* sum over the shards; a histogram's count */

/* Appends the Prometheus text exposition, format 0.0.4, of everything, and of process_* (memory, descriptors, CPU,
 * start time). */
bool metric_write(struct buf *b);
void metric_reset(void); /* tests only */

#endif
