/* clients.h
 *
 * The other ends of a scripted transport: each exchange is one client, which keeps all that it was sent, takes as many
 * events as the test lets it, and leaves when the test says so. Exchanges are numbered from 1, in order.
 *
 * A breach of the transport's contract (an answer given twice, an event on what is no stream) fails the test.
 */
#ifndef SNOWGATE_TEST_CLIENTS_H
#define SNOWGATE_TEST_CLIENTS_H

#include "snowgate/transport.h"

struct event {
	char *id;
	int64_t retry_ms;
	char *data; /* "" for a priming event */
};
struct client {
	/* WAITS for its answer; STREAMS: the answer is a stream; DONE: it was ended; LEFT: by its own will */
	enum { CLIENT_WAITS, CLIENT_STREAMS, CLIENT_DONE, CLIENT_LEFT } state;
	int status;
	char content_type[64], session_id[256], retry_after[256]; /* headers; "" without */
	char *body;                                               /* "" for none; NULL before the answer */
	struct event *events;
	size_t events_n;
	struct buf raw; /* of a stream of bytes */
	bool broken;    /* it was ended as one that has no end */
	size_t room;    /* events, or pieces of bytes, until it is full */
	bool starved;   /* was told so: is owed room() */
	bool untold;    /* it has left, and gone() has not been called */
};

/* `ops` outlives it; `streams_max` is what the transport says of itself. */
struct transport *clients_open(const struct transport_ops *ops, size_t streams_max);
void clients_close(void);
handle_t client_new(void);
extern size_t clients_new_room; /* events that a new one takes; SIZE_MAX */
struct client *client_of(handle_t exchange);
handle_t clients_last(void);
size_t clients_open_n(void); /* exchanges without an end */
/* It leaves, and the gateway is told; nothing where it is DONE. */
void client_leave(handle_t exchange);
/* It leaves, and the gateway is not told, or not before clients_tell(). */
void client_vanish(handle_t exchange);
void clients_tell(void);
/* It takes n more events, and says so where it was full. SIZE_MAX: any number. */
void client_room(handle_t exchange, size_t n);
bool clients_loop_ended(void);

#endif
