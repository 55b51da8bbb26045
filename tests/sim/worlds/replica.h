/* replica.h
 *
 * One process of the gateway, as the simulator of worlds holds it: the whole gateway in a shared object that is loaded
 * once for each process of a world, each time from a file of its own, so that each has its own data. The world plays
 * its threads, one turn at a time, and hands in what a process has around it: its connections, Snowflake, the store,
 * chance, time. A process is killed by no longer being run: what it had in memory is put back to what it was when it
 * was loaded, and its heap is left to the world's end.
 *
 * Both sides are built from the same headers and share one C library, so what one allocates the other may free.
 */
#ifndef SNOWGATE_SIM_REPLICA_H
#define SNOWGATE_SIM_REPLICA_H

#include "snowgate/log.h"
#include "snowgate/snowflake.h"
#include "snowgate/store.h"
#include "snowgate/transport.h"

/* What is around a process; outlives it. Each of these may be where it dies: they need not return. */
struct replica_host {
	void *ctx;
	struct transport *transport;
	struct wire *wire;
	void (*commit)(void *ctx, struct store_work *first);
	void (*random)(void *ctx, void *out, size_t n);
	/* its configuration */
	bool shared;
	usec_t now, wall; /* at its start */
	enum log_level log;
	int64_t in_flight, running, queued;
	usec_t stream_after, stream_keep, idle_ttl, statement_timeout;
};

/* One request of a client; texts are copied, NULL where there is none. */
struct message {
	enum http_method method;
	const char *subject, *session, *last_event_id, *body;
	const char *protocol, *mcp_method, *mcp_name; /* the modern era's headers */
};

struct replica_ops {
	void (*begin)(const struct replica_host *host);
	void (*end)(void); /* after quiet() */
	/* Has this thread something to do now? One turn does some of it. */
	bool (*has_work)(enum thread t);
	void (*turn)(enum thread t);
	usec_t (*next)(void); /* time of its earliest timer, or INT64_MAX */
	void (*clock)(usec_t now);
	void (*request)(handle_t exchange, const struct message *m);
	void (*gone)(handle_t exchange);
	void (*done)(struct wire_request *rq);                  /* it has its answer */
	void (*heard)(const char *channel, struct slice value); /* another process has told it */
	void (*drain)(void);
	/* What is still held though nothing is under way; NULL: nothing. Forgets what has only its time to wait for. */
	const char *(*quiet)(void);
};
/* The one name that the shared object shows. */
#define REPLICA_OPS "replica_ops"

#endif
