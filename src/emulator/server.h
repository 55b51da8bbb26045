/* server.h
 *
 * HTTP: libmicrohttpd in a loop of our own on one thread, with the timers and the workers' wake-ups. It knows
 * exchanges and answers, nothing of Snowflake.
 *
 * Life of an exchange: the body is read (to its ceiling; what is larger is read and dropped), then serve() is called
 * once. serve() fills exchange->answer and calls exchange_answer(), at once or any time later on the same thread; until
 * then the connection is parked. leave() is called once before the exchange goes, answered or not.
 */
#ifndef SNOWGATE_EMULATOR_SERVER_H
#define SNOWGATE_EMULATOR_SERVER_H

#include <microhttpd.h>
#include "snowgate/buf.h"
#include "snowgate/wheel.h"

/* How an answer goes out. All but the first two are faults. */
enum answer_shape {
	ANSWER_WHOLE,
	ANSWER_CHUNKED,     /* Transfer-Encoding: chunked */
	ANSWER_HALF,        /* Content-Length of the whole, then the end of the connection half way */
	ANSWER_DRIP,        /* a few bytes at a time */
	ANSWER_HUGE_HEADER, /* a header field of 192 KiB; plain HTTP only */
	ANSWER_RESET        /* nothing but a TCP reset */
};

struct answer {
	unsigned status;
	char *body; /* owned; NULL is an empty body */
	size_t n;
	const char *type;      /* Content-Type, NULL for none */
	const char *allow;     /* Allow, of a 405 */
	char *link;            /* Link, owned */
	bool gzip;             /* Content-Encoding: gzip */
	int64_t retry_after_s; /* Retry-After when positive */
	enum answer_shape shape;
	usec_t delay; /* waits so long before it goes out */
	usec_t drip;  /* between two drips */
};

enum exchange_phase { EXCHANGE_READING, EXCHANGE_SERVING, EXCHANGE_ANSWERED, EXCHANGE_QUEUED };

struct peer;
struct exchange {
	unsigned magic;
	struct server *server;
	struct MHD_Connection *connection;
	struct peer *peer;
	const char *method, *path; /* the connection's; valid as long as the exchange */
	struct buf body;
	bool body_too_large;
	enum exchange_phase phase;
	bool suspended, abandoned; /* parked; the client has left */
	struct answer answer;
	size_t sent; /* of a body that drips */
	struct timer answer_timer, drip_timer;
	void *state; /* serve()'s */
	struct exchange *next, **prev;
};

struct server_ops {
	void (*serve)(void *context, struct exchange *e);
	void (*leave)(void *context, struct exchange *e);
	void *context;
};

struct server_options {
	const char *address;
	uint16_t port;                   /* 0: any */
	char *tls_certificate, *tls_key; /* PEM text; both or none */
	int wake_fd;                     /* an eventfd: on_wake runs after someone has written it */
	void (*on_wake)(void *context);
	int signal_fd; /* a signalfd: server_run() returns when it is readable */
	struct wheel *wheel;
	struct server_ops ops;
};

/* The numbers of GET /control/stats that only the server knows. */
struct server_counts {
	uint64_t connections_open, connections_total, requests_http10, requests_http11;
};

/* Opens the port. NULL with `why` filled when that fails. */
struct server *server_open(const struct server_options *options, char *why, size_t size);
uint16_t server_port(const struct server *server);
void server_run(struct server *server);
void server_close(struct server *server); /* closes every connection */
const struct server_counts *server_counts(const struct server *server);

const char *exchange_header(const struct exchange *e, const char *name);
const char *exchange_query(const struct exchange *e, const char *name);
void exchange_answer(struct exchange *e);

#endif
