/* control.h
 *
 * What tests see and steer, under /control, with --control only and for loopback clients only:
 *
 *   POST   /control/faults                 {"match":{...},"action":{...}} or a list of them (fault.h)
 *   GET    /control/faults                 what is set, how often each was met
 *   DELETE /control/faults                 all gone
 *   GET    /control/stats                  counters
 *   GET    /control/statements?n=&requestId=   records, newest first (n: 100, at most 10000)
 *   GET    /control/statements/{handle}
 *   POST   /control/tokens                 {"type":"OAUTH","token":...,"user":...,"roles":"A,B","expires_in":600}
 *   POST   /control/reset                  no faults, no records, counters at zero; what runs goes on
 *
 * Owner: the HTTP thread.
 */
#ifndef SNOWGATE_EMULATOR_CONTROL_H
#define SNOWGATE_EMULATOR_CONTROL_H

#include "emulator.h"
#include "fault.h"
#include "server.h"

struct control {
	struct faults *faults;
	uint64_t requests, operations[OPS_N], statuses[600];
};

struct control *control_new(void);
void control_free(struct control *control);
/* Answers a request below /control/, at once. */
void control_serve(struct emulator *emulator, struct exchange *e);

#endif
