/* probe.h
 *
 * `snowgate health`: one GET, answered with an exit status, for probes in containers that hold no other client.
 */
#ifndef SNOWGATE_PROBE_H
#define SNOWGATE_PROBE_H

/* `url` NULL: http://127.0.0.1:9090/readyz. 0 where the answer is 2xx within 5 s; otherwise 1, and the reason on
 * stderr. */
int probe_health(const char *url);

#endif
