/* doctor.h
 *
 * `snowgate doctor`: goes the road of a first query step by step, for every connection that a policy uses, and says of
 * each step whether it works and what to do where not. It starts no warehouse: everything it asks is answered by
 * Snowflake's services without one.
 */
#ifndef SNOWGATE_DOCTOR_H
#define SNOWGATE_DOCTOR_H

#include <stdio.h>

#include "snowgate/conf.h"

/* Writes the report to `out`, one line a step: "ok", "warn" or "FAIL", the step, what was seen; below it the remedy.
 * Returns the number of faults. The caller's thread plays SNOWFLAKE meanwhile. */
int doctor_run(const struct conf *conf, FILE *out) MUST_USE;

#endif
