/* Streams of events: bytes wait in an outbox until MHD asks for them, and the connection sleeps while there are none.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server.h"
#include "snowgate/handle.h"
#include "snowgate/log.h"
#include "snowgate/mail.h"
#include "snowgate/metric.h"

#define SCRATCH_KEPT   ((size_t)64 << 10) /* memory for writing events that is not given back */
#define ROOMS_PER_TURN 500
/* MHD writes chunks past the block it was given (M12); only an answer in HTTP/1.0 goes through it. */
#define BLOCK_CHUNKED 64
#define BLOCK_PLAIN   4096
#define TOUCHED_KEPT  1024 /* of the library's buffer for a stream: comments and small events stay below it */

/* Is there something that MHD has not asked for yet? */
static bool is_waiting(const struct stream *s)
{
	return s->outbox.n > 0 || s->comment || s->ended;
}

/* Time runs from the moment something waits, and again from each time that something was taken. */
static void note_waiting(struct peer *p, bool waited_before)
{
	if (!waited_before)
		peer_queue(p, QUEUE_STALL);
	peer_resume(p);
}

static void drop_queued(struct peer *p)
{
	struct http *h = p->door->http;

	h->freed = h->freed || p->stream.outbox.n > 0;
	h->outboxes -= p->stream.outbox.n;
	outbox_free(&p->stream.outbox);
}

/* ---- MHD's side ---- */

static size_t take_queued(struct peer *p, char *out, size_t max)
{
	struct http *h = p->door->http;
	struct stream *s = &p->stream;
	size_t before = s->outbox.n, n = outbox_take(&s->outbox, out, max);

	h->outboxes -= before - s->outbox.n;
	h->freed = h->freed || s->outbox.n < before;
	if (s->outbox.n == 0 && s->starved && !ring_joined(&s->room))
		ring_join(&h->rooms, &s->room);
	return n;
}

static size_t take_comment(char *out, size_t max UNUSED)
{
	size_t n = sizeof(SSE_COMMENT) - 1;

	assert(n <= max);
	memcpy(out, SSE_COMMENT, n);
	return n;
}

/* The library offers all of its connection's memory that is free, and an earlier request on the connection has touched
 * it. While the stream sleeps nobody needs what is in there: its pages go back, and come as zeroes when written to.
 * That is two and a half of the five pages that a stream costs. */
static void give_back(struct stream *s, char *out, size_t max)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), end = ((uintptr_t)out + max) / page * page;
	uintptr_t start = ((uintptr_t)out + TOUCHED_KEPT + page - 1) / page * page;

	if (s->given_back)
		return;
	s->given_back = true;
	if (start < end)
		(void)madvise((void *)start, end - start, MADV_DONTNEED);
}

/* M13: never 0 without sleeping. */
static ssize_t stream_read(void *reader, uint64_t at, char *out, size_t max)
{
	struct peer *p = reader;
	struct stream *s = &p->stream;
	size_t n = 0;

	(void)at;
	CHECK(p, PEER_MAGIC);
	if (s->cut || p->door->http->stopping)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (s->outbox.n > 0)
		n = take_queued(p, out, max);
	else if (s->ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	else if (s->comment)
		n = take_comment(out, max);
	if (n > 0) {
		s->comment = false;
		s->given_back = s->given_back && n <= TOUCHED_KEPT;
		p->door->http->advanced = true;
		peer_queue(p, is_waiting(s) ? QUEUE_STALL : s->raw ? QUEUE_QUIET : QUEUE_BEAT);
		return (ssize_t)n;
	}
	give_back(s, out, max);
	if (s->raw)
		peer_queue(p, QUEUE_QUIET); /* whoever makes the bytes has a time limit of his own */
	MHD_suspend_connection(p->connection);
	p->parked = true;
	return 0;
}

struct MHD_Response *stream_response(struct peer *p)
{
	return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, p->old_version ? BLOCK_PLAIN : BLOCK_CHUNKED,
						 stream_read, p, NULL);
}

/* ---- the gateway's side ---- */

static struct peer *stream_peer(struct http *h, handle_t exchange)
{
	struct peer *p = handle_get(h->exchanges, exchange);

	if (!p)
		return NULL;
	CHECK(p, PEER_MAGIC);
	assert(p->stream.open);
	return p;
}

/* A comment goes with the headers where no event will, so that the client and all proxies between see the answer. */
bool http_stream_open(struct transport *t, handle_t exchange, struct answer *head)
{
	struct http *h = http_of(t);
	struct peer *p;

	OWNED_BY(THREAD_NET);
	p = handle_get(h->exchanges, exchange);
	if (!p) {
		answer_free(head);
		return false;
	}
	CHECK(p, PEER_MAGIC);
	assert(!p->stream.open);
	p->stream.open = true;
	p->stream.raw = head->content_type && strcmp(head->content_type, EVENT_STREAM) != 0;
	peer_answer(p, head);
	peer_phase(p, PHASE_STREAM);
	p->stream.comment = !p->stream.raw;
	note_waiting(p, false);
	return true;
}

/* False: no room, and it will be told: when the outbox is empty; where it is the process that is full, in turn as bytes
 * are freed. */
static bool queue_text(struct peer *p, struct slice text)
{
	struct http *h = p->door->http;
	struct stream *s = &p->stream;
	bool waited = is_waiting(s);

	if (s->outbox.n > 0 && s->outbox.n + text.n > OUTBOX_MAX) {
		s->starved = true;
		return false;
	}
	if (h->outboxes + text.n > OUTBOXES_MAX) {
		s->starved = true;
		ring_join(&h->crowd, &s->room);
		return false;
	}
	outbox_put(&s->outbox, text);
	h->outboxes += text.n;
	note_waiting(p, waited);
	return true;
}

enum stream_sent http_stream_send(struct transport *t, handle_t exchange, const struct sse_event *event)
{
	struct http *h = http_of(t);
	struct peer *p;
	bool queued;

	OWNED_BY(THREAD_NET);
	p = stream_peer(h, exchange);
	if (!p)
		return STREAM_GONE;
	if (p->stream.starved)
		return STREAM_FULL;
	buf_clear(&h->scratch);
	queued = sse_write(&h->scratch, event) && queue_text(p, buf_slice(&h->scratch));
	assert(!buf_failed(&h->scratch)); /* no event is larger than all outboxes */
	if (h->scratch.capacity > SCRATCH_KEPT)
		buf_free(&h->scratch);
	if (!queued)
		return STREAM_FULL;
	metric_count(METRIC_stream_events, NULL);
	return STREAM_SENT;
}

enum stream_sent http_stream_raw(struct transport *t, handle_t exchange, struct slice bytes)
{
	struct peer *p;

	OWNED_BY(THREAD_NET);
	p = stream_peer(http_of(t), exchange);
	if (!p)
		return STREAM_GONE;
	assert(p->stream.raw);
	return !p->stream.starved && queue_text(p, bytes) ? STREAM_SENT : STREAM_FULL;
}

/* Whatever is queued is dropped; a client of HTTP/1.1 sees that chunks are missing. */
void http_stream_break(struct transport *t, handle_t exchange)
{
	struct http *h = http_of(t);
	struct peer *p;

	OWNED_BY(THREAD_NET);
	p = stream_peer(h, exchange);
	if (!p)
		return;
	handle_drop(h->exchanges, exchange);
	p->handle = 0;
	stream_cut(p);
	peer_resume(p);
}

void http_stream_end(struct transport *t, handle_t exchange)
{
	struct http *h = http_of(t);
	struct peer *p;
	bool waited;

	OWNED_BY(THREAD_NET);
	p = stream_peer(h, exchange);
	if (!p)
		return;
	handle_drop(h->exchanges, exchange);
	p->handle = 0;
	ring_leave(&p->stream.room);
	waited = is_waiting(&p->stream);
	p->stream.ended = true;
	note_waiting(p, waited);
}

size_t http_streams_max(const struct transport *t)
{
	return (size_t)http_of(t)->conf->listen_max_connections / 4 * 3;
}

/* ---- the loop's side ---- */

void stream_beat(struct peer *p)
{
	p->stream.comment = true;
	note_waiting(p, false);
}

void stream_stall(struct peer *p)
{
	metric_count(METRIC_streams_stalled, NULL);
	log_event(LOG_INFO, "stream_stalled", log_text("request", p->id), log_text("peer", p->address),
		  log_number("bytes", (int64_t)p->stream.outbox.n));
	peer_queue(p, QUEUE_QUIET);
	(void)shutdown(p->fd, SHUT_RDWR);
	peer_depart(p);
}

void stream_cut(struct peer *p)
{
	struct stream *s = &p->stream;

	s->cut = true;
	drop_queued(p);
	ring_leave(&s->room);
	peer_queue(p, QUEUE_QUIET);
	if (!p->parked)
		(void)shutdown(p->fd, SHUT_RDWR); /* MHD waits for the socket, and may do so for ever */
}

void stream_close(struct peer *p)
{
	drop_queued(p);
	ring_leave(&p->stream.room);
}

bool rooms_waiting(const struct http *h)
{
	return !ring_empty(&h->rooms) || (h->freed && !ring_empty(&h->crowd));
}

/* False: the process is still full for this one. */
static bool tell_room(struct http *h, struct ring *room)
{
	struct peer *p = container_of(room, struct peer, stream.room);

	CHECK(p, PEER_MAGIC);
	ring_leave(room);
	p->stream.starved = false;
	h->ops.room(h->ops.ctx, p->handle);
	return !ring_joined(room);
}

void rooms_tell(struct http *h)
{
	int left = ROOMS_PER_TURN;

	for (; left > 0 && !ring_empty(&h->rooms); left--)
		(void)tell_room(h, h->rooms.next);
	for (; left > 0 && h->freed && !ring_empty(&h->crowd); left--)
		h->freed = tell_room(h, h->crowd.next);
	h->freed = h->freed && !ring_empty(&h->crowd);
}
