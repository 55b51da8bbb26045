/* stub.h
 *
 * What --stub answers instead of an engine: SELECT 1, STUB ROWS n [BYTES b], STUB WAIT ms, STUB ERROR, INSERT INTO
 * STUB, and a SELECT of CURRENT_DATABASE(), CURRENT_SCHEMA(), CURRENT_WAREHOUSE(), CURRENT_ROLE(), CURRENT_USER() in
 * any order. Everything else is a syntax error. It is the upstream of load tests: cheap.
 */
#ifndef SNOWGATE_EMULATOR_STUB_H
#define SNOWGATE_EMULATOR_STUB_H

#include "registry.h"

#define STUB_ROWS_MAX    10000000
#define STUB_BYTES_MAX   1000000000
#define STUB_WAIT_MAX_MS 86400000

/* Ends a submission. *wait is how long it is to seem to run. HTTP thread. */
void stub_run(const struct submission *submission, const struct result_options *options, struct outcome *outcome,
	      usec_t *wait);
void stub_close(void); /* frees the result that all SELECT 1 share */

#endif
