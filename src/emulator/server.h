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

/* How an answer goes out. All but the first three are faults. */
enum answer_shape {
	ANSWER_WHOLE,
	ANSWER_CHUNKED,     /* Transfer-Encoding: chunked */
	ANSWER_STREAM,      /* in pieces, each at its time; chunked */
	ANSWER_HALF,        /* Content-Length of the whole, then the end of the connection half way */
	ANSWER_HALF_RESET,  /* the same with a TCP reset half way */
	ANSWER_LONG,        /* Content-Length is more than there is, then the end of the connection */
	ANSWER_SHORT,       /* Content-Length is half of what is sent; plain HTTP only */
	ANSWER_DRIP,        /* a few bytes at a time */
	ANSWER_HUGE_HEADER, /* a header field of 192 KiB; plain HTTP only */
	ANSWER_RESET        /* nothing but a TCP reset */
};

/* Of ANSWER_STREAM: the bytes up to `end` may go out `after` microseconds from the start of the answer. */
struct answer_piece {
	size_t end;
	usec_t after;
};

#define ANSWER_HEADERS_MAX 8

struct answer {
	unsigned status;
	char *body; /* owned; NULL is an empty body */
	size_t n;
	const char *shared; /* follows body; its owner keeps it until release(owner) */
	size_t shared_n;
	char *tail; /* owned; follows shared */
	size_t tail_n;
	void (*release)(void *owner);
	void *owner;
	const char *type;  /* Content-Type, NULL for none */
	const char *allow; /* Allow, of a 405 */
	char *link;        /* Link, owned */
	bool gzip;         /* Content-Encoding: gzip */
	struct {
		const char *name;
		char value[64];
	} headers[ANSWER_HEADERS_MAX];
	size_t headers_n;
	enum answer_shape shape;
	struct answer_piece *pieces; /* owned */
	size_t pieces_n;
	usec_t delay; /* waits so long before it goes out */
	usec_t drip;  /* between two drips */
};

/* Frees what it holds and zeroes it. */
void answer_clear(struct answer *a);
size_t answer_size(const struct answer *a);
/* Makes the body one owned text, for faults that spoil it. */
void answer_flatten(struct answer *a);
/* A further header field, cut at 63 characters; `name` is static. */
void answer_header(struct answer *a, const char *name, const char *value);

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
	bool reset_now;            /* set by opened(): reset before anything is read of the body */
	bool reset_in_request;     /* set by opened(): reset when half of the body has come */
	struct answer answer;
	uint64_t put; /* bytes of the body that have been handed out */
	size_t piece; /* of a stream */
	usec_t started;
	struct timer answer_timer, drip_timer;
	void *state; /* serve()'s */
	struct exchange *next, **prev;
};

struct server_ops {
	void (*opened)(void *context, struct exchange *e); /* the header is there, the body is not */
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
