/* transport.h
 *
 * How requests come in and answers go out, whatever carries them: HTTP (http.h) or standard input and output (stdio.h).
 * A transport runs the loop of NET; every exchange on it is named by a handle and answered exactly once: whole, by
 * answer(), or as a stream of events, by stream_open() ... stream_end(). owner: NET, all of it.
 */
#ifndef SNOWGATE_TRANSPORT_H
#define SNOWGATE_TRANSPORT_H

#include "snowgate/exchange.h"

struct transport_ops {
	void *ctx;
	/* Head complete, body not read: authenticate. False: *refusal is filled and the request is not taken. It
	 * comes as a 401 with a JSON content type; only the MCP path gets here, and never OPTIONS. */
	bool (*head)(void *ctx, struct request *rq, struct answer *refusal);
	/* A whole request; the receiver owns rq. It answers now or later. */
	void (*request)(void *ctx, handle_t exchange, struct request *rq);
	/* The client of an exchange has left: unanswered, or a stream that has not been ended. The handle is dead. */
	void (*gone)(void *ctx, handle_t exchange);
	/* A stream that answered STREAM_FULL has room again. Not called from within stream_send(). */
	void (*room)(void *ctx, handle_t exchange);
	/* Admin: is this process ready for traffic? After listen_off() it is not, and nobody asks. */
	bool (*ready)(void *ctx);
	/* Another process has taken the listening sockets over, and waits for this one to end. */
	void (*succeeded)(void *ctx);
	/* Builds a JSON-RPC error body without an id into *answer for a refusal of the transport itself.
	 * The answer comes with the status of `err` and a JSON content type; headers are added afterwards. */
	void (*refuse)(void *ctx, struct answer *answer, enum err err, const char *message);
};

enum stream_sent { STREAM_SENT, STREAM_FULL, STREAM_GONE };

struct transport {
	/* Moves the answer to the client. A handle whose client has left: dropped, false. */
	bool (*answer)(struct transport *t, handle_t exchange, struct answer *answer);
	/* The answer will be a stream: status and headers of *head (its body is not used; it is emptied) go out at
	 * once, with the headers that streams need; of events, or where its content type is another, of bytes as they
	 * are. Standard input and output has no streams of bytes. The handle stays. False: the client has left. */
	bool (*stream_open)(struct transport *t, handle_t exchange, struct answer *head);
	/* Queues one event. STREAM_FULL: not taken, since the client is slow; room() tells when it is worth another
	 * try. An event is always taken where nothing is queued, however large, as long as the process has room for it.
	 */
	enum stream_sent (*stream_send)(struct transport *t, handle_t exchange, const struct sse_event *event);
	/* Queues bytes of a stream that was opened with another content type than text/event-stream; as stream_send().
	 */
	enum stream_sent (*stream_raw)(struct transport *t, handle_t exchange, struct slice bytes);
	/* The answer ends in a way that no client takes for its end. The handle is dead, gone() is not called. */
	void (*stream_break)(struct transport *t, handle_t exchange);
	/* What is queued goes out, then the answer ends. The handle is dead, gone() is not called. */
	void (*stream_end)(struct transport *t, handle_t exchange);

	size_t (*open)(const struct transport *t);        /* exchanges taken and not completed, streams included */
	size_t (*streams_max)(const struct transport *t); /* of streams open at one time */
	/* The loop of NET: mail, timers, the transport's own events, until loop_end(), which ends it after the batch of
	 * mail it came with. */
	void (*loop)(struct transport *t);
	void (*loop_end)(struct transport *t);
	void (*configure)(struct transport *t, const struct conf *conf); /* for requests from now on */
	/* Is this the current snapshot, or one that a request still coming in is served under? It must live while it
	 * is. */
	bool (*uses)(const struct transport *t, const struct conf *conf);
	/* Stop, in order: nothing new (existing clients go on, each answer closes); then end what is left and free.
	 * After listen_off() a client that closes is no longer reported gone, but for one of a stream of bytes. */
	void (*listen_off)(struct transport *t);
	/* After listen_off(): do the listening sockets live on, so that new clients wait for whoever serves next? NULL:
	 * never. */
	bool (*lives_on)(const struct transport *t);
	void (*stop)(struct transport *t);
};

#endif
