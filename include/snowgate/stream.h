/* stream.h
 *
 * The server's memory of its event streams: what was sent, so that it can be sent again. A stream belongs to one call;
 * its events are numbered from 1, number 0 is the priming event. In a legacy session streams are kept in the session's
 * set, and a client resumes one with Last-Event-ID; without a session a stream belongs to nobody, bears no event ids
 * and forgets what was sent. Pure: no I/O, no clock. Source: specification 2025-11-25, transports, "Resumability and
 * Redelivery"; mcp-protocol.md 4.5.
 *
 * Ceilings: events of one stream and of all streams in bytes (an event counts for its memory), streams of one session
 * in number. What gives way, in this order: finished streams of the session, oldest first; finished streams of all
 * sessions, oldest first; and for the last event, which must come through, the oldest ones of its own stream. A stream
 * that somebody reads (exchange) never gives way, nor does an answer before its stream. owner: NET.
 */
#ifndef SNOWGATE_STREAM_H
#define SNOWGATE_STREAM_H

#include "snowgate/buf.h"
#include "snowgate/handle.h"
#include "snowgate/wheel.h"

#define STREAM_ID_SIZE       14                  /* 13 characters [a-z2-7] (64 random bits) and a NUL */
#define STREAM_EVENT_ID_SIZE 40                  /* "<stream>-<number>" */
#define STREAM_BYTES_MAX     ((size_t)20 << 20)  /* of one stream: an answer and then some */
#define STREAMS_BYTES_MAX    ((size_t)128 << 20) /* of all */
#define STREAM_SET_MAX       64                  /* streams of one session, running ones included */

struct stream_event {
	struct stream_event *next;
	uint64_t number;
	bool last; /* the response: nothing follows */
	size_t n;
	char data[]; /* JSON text, no NUL */
};

struct stream_set;
struct stream {
	char id[STREAM_ID_SIZE];
	uint64_t next_number;
	bool holds;         /* events are shown from stream_commit() on, not from stream_append() */
	bool waits;         /* its last event is not shown, holding or not. The gateway's to keep */
	uint64_t committed; /* the last one that is shown, where it holds; and the last that is on its way to be: */
	uint64_t posted;    /* the gateway's to keep */
	struct stream_event *first, *newest;
	size_t bytes;
	bool finished;
	usec_t ended;      /* when it was finished; monotonic */
	handle_t exchange; /* who reads it now; 0: nobody. The gateway's to keep */
	handle_t ticket;   /* the call that writes it; 0 once finished. The gateway's to keep */
	/* links; nobody else's business */
	struct stream_set *set; /* NULL: bears no ids */
	struct stream *set_next, *set_prev, *done_next, *done_prev;
};
struct stream_set {
	struct stream *oldest, *newest;
	size_t n;
};

struct stream_pool;
struct stream_pool *stream_pool_new(size_t bytes_max);
void stream_pool_free(struct stream_pool *pool); /* every stream is gone before */
size_t stream_pool_bytes(const struct stream_pool *pool);
size_t stream_pool_count(const struct stream_pool *pool);

/* Opens one; `set` NULL for a stream without ids. NULL where the set is full of streams that still run or are read. */
struct stream *stream_new(struct stream_pool *pool, struct stream_set *set, handle_t ticket) MUST_USE;
/* One that was kept elsewhere comes back, holding: its id, and how many events it has had. NULL as stream_new(), or
 * where the set has one of that id. */
struct stream *stream_restore(struct stream_pool *pool, struct stream_set *set, const char *id,
			      uint64_t events) MUST_USE;
void stream_free(struct stream_pool *pool, struct stream *s);
/* Its last event, the one that finished it, is taken back: it goes on. */
void stream_take_back(struct stream_pool *pool, struct stream *s);
/* Events up to `number` may be shown. */
void stream_commit(struct stream *s, uint64_t number);
/* It leaves its set: from now on it is one without ids, and all of it is shown, but for a last event that waits. */
void stream_leave(struct stream *s);
/* The session's stream of that id; NULL: none. */
struct stream *stream_of(const struct stream_set *set, const char *id);
/* Every stream of a session that ends. */
void stream_set_free(struct stream_pool *pool, struct stream_set *set);

/* Adds an event. `last` finishes the stream. False: there is no room for it, or the stream is finished; the stream is
 * as it was. Streams that nobody reads may be gone afterwards, and events of this one: look them up again. */
bool stream_append(struct stream_pool *pool, struct stream *s, struct slice data, bool last, usec_t now) MUST_USE;
/* The first event with a number above `after`, the others by `next`; NULL where there is none yet (or, finished, any
 * more), or it is not to be shown yet. */
const struct stream_event *stream_after(const struct stream *s, uint64_t after);
/* A stream without ids forgets its events up to `number`; one with ids keeps them. */
void stream_sent(struct stream_pool *pool, struct stream *s, uint64_t number);

/* "<stream>-<number>"; "" for a stream without ids. */
void stream_event_id(char id[STREAM_EVENT_ID_SIZE], const struct stream *s, uint64_t number);
/* Reads an event id strictly: 13 characters, a hyphen, a number without leading zeros below 2^63. */
bool stream_event_id_read(struct slice text, char stream[STREAM_ID_SIZE], uint64_t *number) MUST_USE;
/* The session's stream of that id where `number` is one that it has given; else NULL. */
struct stream *stream_find(const struct stream_set *set, const char *id, uint64_t number);
/* Is there nothing after `number`, and will there be nothing? */
bool stream_over(const struct stream *s, uint64_t number);

/* Frees finished streams that ended before `before` and that nobody reads, longest ended first; at most `most`. Returns
 * how many. */
size_t stream_expire(struct stream_pool *pool, usec_t before, size_t most);

#endif
