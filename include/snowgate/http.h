/* http.h
 *
 * The public endpoint: libmicrohttpd in external epoll inside our own loop. It knows HTTP and nothing of MCP: a request
 * that passes hygiene, route, Host, Origin, the gateway's head check (authentication) and the size check is collected,
 * moved to the gateway, and its connection sleeps until http_answer(). owner: NET, all of it.
 *
 * A client that closes its sending half counts as one that has left: the two cannot be told apart in time.
 * A refusal drains what the client still sends (at most 8 MiB or 2 s) before it is answered, so that the client sees
 * it.
 */
#ifndef SNOWGATE_HTTP_H
#define SNOWGATE_HTTP_H

#include "snowgate/exchange.h"
#include "snowgate/wheel.h"

struct http;

struct http_ops {
	void *ctx;
	/* Head complete, body not read: authenticate. False: *refusal is filled and the request is not taken. It
	 * comes as a 401 with a JSON content type; only the MCP path gets here, and never OPTIONS. */
	bool (*head)(void *ctx, struct request *rq, struct answer *refusal);
	/* A whole request for the MCP path; the receiver owns rq. It answers with http_answer(), also at once. */
	void (*request)(void *ctx, handle_t exchange, struct request *rq);
	/* The client of an exchange that is not answered yet has left; http_answer() would find nothing. */
	void (*gone)(void *ctx, handle_t exchange);
	/* Admin: is this process ready for traffic? After http_listen_off() it is not, and nobody asks. */
	bool (*ready)(void *ctx);
	/* Builds a JSON-RPC error body without an id into *answer for a refusal of the transport itself.
	 * The answer comes with the status of `err` and a JSON content type; headers are added afterwards. */
	void (*refuse)(void *ctx, struct answer *answer, enum err err, const char *message);
};

/* Binds both listeners (public; admin where configured) and ignores SIGPIPE; any thread, before NET starts. Only one
 * at a time: it takes THREAD_NET's mailbox. NULL with *why where it cannot (port taken, limits too low). The start-up
 * log line is {"event":"listening","address":…,"port":…,"path":…,"admin_port":…}. */
struct http *http_start(const struct conf *conf, const struct http_ops *ops, struct wheel *wheel, char *why,
			size_t why_size);
int http_port(const struct http *h);
int http_admin_port(const struct http *h);

/* The loop of NET: mail, timers, sockets, until http_loop_end(), which ends it after the batch of mail it came with:
 * answers given in that batch may not reach their clients, so end it when http_open() is 0 or the patience is over. */
void http_loop(struct http *h);
void http_loop_end(struct http *h);
void http_configure(struct http *h, const struct conf *conf); /* a new snapshot, for requests from now on */
/* Is this the current snapshot, or one that a request still coming in is served under? It must live while it is. */
bool http_uses(const struct http *h, const struct conf *conf);

/* Moves the answer to the client. A handle whose client has left: dropped, false. */
bool http_answer(struct http *h, handle_t exchange, struct answer *answer);
size_t http_open(const struct http *h); /* exchanges taken and not completed */

/* Stop, in order: no new connections (existing ones go on, each answer closes); then end what is left and free. After
 * http_listen_off() a client that closes is no longer reported gone. */
void http_listen_off(struct http *h);
void http_stop(struct http *h);

#endif
