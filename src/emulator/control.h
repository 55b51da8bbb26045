/* control.h
 *
 * What tests see and steer, under /control, with --control only and for loopback clients only:
 *
 *   POST   /control/faults                 {"match":{...},"action":{...}} or a list of them (fault.h)
 *   PUT    /control/faults                 the same, instead of what was set
 *   GET    /control/faults                 what is set, how often each was met
 *   DELETE /control/faults                 all gone
 *   GET    /control/stats                  counters; of by_query_tag see registry_gauges()
 *   GET    /control/arrivals               requests by tenths of a second (arrivals.h)
 *   POST   /control/outage                 {"status":503 | "refuse","seconds":60,"retry_after":5}; seconds 0 ends it
 *   POST   /control/clock                  {"ahead_s":-300}: the service's clock, against the machine's
 *   GET    /control/statements?n=&requestId=&contains=   records, newest first (n: 100, at most 10000), of this request
 *          id, whose text contains this
 *   GET    /control/statements/{handle}
 *   POST   /control/tokens                 {"type":"OAUTH","token":...,"user":...,"roles":"A,B","expires_in":600}
 *   POST   /control/users                  {"name":...,"login":...,"roles":"A,B","default_role":...,
 *                                           "default_warehouse":...,"wif_issuer":...,"wif_subject":...}
 *   POST   /control/keys                   {"user":...,"slot":1 | 2,"public_key":PEM | null}
 *   POST   /control/issuers                {"kind":"external_oauth" |
 * "wif","issuer":...,"audience":"a,b","claim":"sub", "public_key":PEM,"public_key_2":PEM} POST   /control/oauth-clients
 * {"client_id":...,"client_secret":...,"user":...,"roles":"A,B",
 *                                           "refresh_token":...,"expires_in":600,"refresh_expires_in":n,"rotate":true}
 *   POST   /control/cortex                 {"delay_ms":20,"error_after":n,"stall_after":n,"objects":[...]} (cortex.h)
 *   GET    /control/cortex                 records, newest first
 *   POST   /control/reset                  no faults, no outage, no records, counters at zero, the clock right; what
 *                                          runs goes on, users, keys and tokens stay
 *
 * Owner: the HTTP thread.
 */
#ifndef SNOWGATE_EMULATOR_CONTROL_H
#define SNOWGATE_EMULATOR_CONTROL_H

#include "arrivals.h"
#include "emulator.h"
#include "fault.h"
#include "server.h"

/* Answers every request but control's until it is over. */
struct outage {
	usec_t until;    /* 0: none */
	unsigned status; /* 0: connections are reset as soon as they ask for something */
	int64_t retry_after_s;
};

struct control {
	struct faults *faults;
	struct arrivals *arrivals;
	struct outage outage;
	uint64_t requests, operations[OPS_N], statuses[600];
	uint64_t bytes[OPS_N], outage_requests; /* of bodies that were sent; requests that an outage answered */
};

struct control *control_new(void);
void control_free(struct control *control);
bool control_has_outage(const struct control *control);
/* Answers a request below /control/, at once. */
void control_serve(struct emulator *emulator, struct exchange *e);

#endif
