/* server.h
 *
 * What the files of src/http share: the endpoint, its two doors (public and admin), and one struct peer per TCP
 * connection, which carries at most one exchange at a time. owner: NET, all of it.
 *
 * Life of an exchange, by the peer's phase:
 *
 *   HEAD ──► BODY ──► TAKEN ──► REPLY ───► IDLE ──► HEAD (first byte of the next request)
 *     │        │     (parked                  ▲
 *     │        │    at most once)             │
 *     │        │        └─────► STREAM ───────┤
 *     │        │     (parked while its        │
 *     │        │      outbox is empty)        │
 *     └────────┴─────► DRAIN ──► REPLY ───────┘
 *
 * A peer is always in one of http.queues, by what it must not be late with. Each has one time limit for all, so the
 * first is the one that is due first, and a sweep looks at nobody else: quiet connections cost nothing.
 */
#ifndef SNOWGATE_HTTP_SERVER_H
#define SNOWGATE_HTTP_SERVER_H

#include <microhttpd.h>

#include "snowgate/http.h"
#include "snowgate/outbox.h"
#include "access.h"
#include "hygiene.h"
#include "ring.h"

#define EVENT_STREAM "text/event-stream"

#define DRAIN_BYTES       ((size_t)8 << 20) /* of a refused request, read and thrown away */
#define DRAIN_TIME        (2 * USEC_PER_S)
#define REPLY_TIME        (300 * USEC_PER_S) /* for a client to take an answer, however slowly */
#define OVER_CAP_TIME     (2 * USEC_PER_S)   /* for a surplus connection to send its head */
#define BODIES_MAX        ((size_t)64 << 20) /* request bodies of the process, all together */
#define CONNECTION_MEMORY ((size_t)16 << 10) /* M11: head tokens up to 8 KiB */
#define REQUEST_ARENA     ((size_t)32 << 20) /* a call's memory; a head takes under 64 KiB of it */
#define ADMIN_CONNECTIONS 64u
#define RESUMES_PER_TURN  100

enum phase { PHASE_HEAD, PHASE_IDLE, PHASE_BODY, PHASE_DRAIN, PHASE_TAKEN, PHASE_REPLY, PHASE_STREAM };

enum queue {
	QUEUE_QUIET, /* no limit of ours: MHD's inactivity timeout, or the call has a deadline of its own */
	QUEUE_HEAD,
	QUEUE_OVER, /* HEAD, of a surplus connection */
	QUEUE_BODY,
	QUEUE_DRAIN,
	QUEUE_REPLY,
	QUEUE_BEAT,  /* a stream with nothing to send: until its next comment */
	QUEUE_STALL, /* a stream with something to send: until the client must have taken some of it */
	QUEUES_N
};

struct door {
	struct http *http;
	bool admin;
	struct MHD_Daemon *daemon;
	int listen_fd;  /* -1: none, or MHD's */
	int port;       /* 0 for a Unix socket, -1 when closed */
	char path[108]; /* of the Unix socket that is ours to remove; "" */
	bool lent;      /* somebody else has the socket too, and it lives on: a service manager, a successor */
};

/* Where a successor asks for the sockets. */
struct handover {
	int listen_fd, peer_fd; /* -1: none */
	char path[108];         /* ours to remove; "" */
};

struct stream {
	bool open;       /* the answer is a stream */
	bool raw;        /* of bytes, not of events: without comments */
	bool ended;      /* what is queued is the last of it */
	bool cut;        /* nothing more is sent */
	bool comment;    /* is to be sent, unless an event is */
	bool starved;    /* answered STREAM_FULL: is owed a room() */
	bool given_back; /* the library's buffer holds no pages beyond its beginning */
	struct outbox outbox;
	struct ring room; /* http.rooms: room() is due; http.crowd: waits for the process */
};

#define PEER_MAGIC 0x70656572u
struct peer {
	uint32_t magic;
	struct door *door;
	struct MHD_Connection *connection;
	struct ring queue; /* one of http.queues */
	struct ring wake;  /* http.wakes: to be resumed */
	int fd;
	char address[64], local[64]; /* "unix" and "" on a Unix socket */
	bool over;                   /* above listen.max_connections: gets 503 */
	bool gone;                   /* the other end has closed, at least its sending half */
	enum phase phase;
	usec_t since; /* in its queue */

	/* The exchange; exchange_end() clears all below. */
	size_t target_n; /* raw length of the request target */
	const char *target_fault;
	struct request *rq;            /* until it is given to the gateway */
	handle_t handle;               /* while the gateway may answer, or add to its stream */
	bool taken, parked;            /* given to the gateway; suspended */
	bool is_head;                  /* the method is HEAD */
	bool old_version;              /* HTTP/1.0: no chunks */
	struct MHD_Response *response; /* decided, not queued yet */
	int status;
	bool close; /* the answer ends the connection */
	char id[20];
	char *origin;              /* allowed and to be named in the answer; NULL */
	size_t discarded, charged; /* bytes thrown away; bytes counted in http.bodies */
	struct stream stream;
};

struct http {
	struct transport transport;
	const struct conf *conf;
	struct transport_ops ops;
	struct wheel *wheel;
	struct site site;
	int epoll_fd, mail_fd;
	struct door open_door, admin_door;
	struct handover handover;
	struct handle_table *exchanges; /* handle -> peer, while unanswered or a stream */
	struct ring queues[QUEUES_N];   /* every peer of both doors, by `since` */
	struct ring wakes;              /* parked peers that are to be resumed */
	struct ring rooms, crowd;       /* see struct stream */
	size_t peers_n;                 /* of the public door */
	size_t taken_n, bodies;
	size_t outboxes;    /* bytes queued in all streams */
	bool freed;         /* some of them were taken or dropped since the crowd was asked */
	struct buf scratch; /* the event being written */
	struct timer sweep;
	unsigned barren; /* turns in a row that MHD wanted and nothing happened in */
	bool advanced; /* MHD brought a head or a part of a body, or took a part of a stream, in this turn: its sockets
			* are edge-triggered, so the loop sees no event for what is left in them */
	bool off, ending, stopping, was_ready;
};

static inline struct http *http_of(const struct transport *t)
{
	return container_of(t, struct http, transport);
}

union any_address;
/* listen.c: what the text names; false where it is no address. */
bool door_address(const char *address, int port, union any_address *a, socklen_t *n) MUST_USE;
int bind_and_listen(int fd, const union any_address *a, socklen_t n) MUST_USE; /* 0, or errno */
/* listen.c: a listening socket by address; false with *why. `key` is "listen" or "admin", for the text. */
bool door_bind(struct door *d, const char *address, int port, const char *key, char *why, size_t why_size) MUST_USE;
void door_close(struct door *d);
/* Raises the soft limit of open files; false with *why when the hard one is too low. */
bool limit_files(const struct conf *conf, char *why, size_t why_size) MUST_USE;
unsigned connection_limit(const struct conf *conf); /* MHD's own, above ours */

/* peer.c */
void peer_connection(void *door, struct MHD_Connection *c, void **context, enum MHD_ConnectionNotificationCode code);
struct peer *peer_of(struct MHD_Connection *c);
void peer_event(struct peer *p, uint32_t events);
void peer_phase(struct peer *p, enum phase phase);
void peer_queue(struct peer *p, enum queue queue);
void peer_depart(struct peer *p); /* tells the gateway, once; a stream is cut */
void peer_resume(struct peer *p); /* in this turn or the next ones; not parked: nothing happens */
void peers_resume(struct http *h, size_t most);
void peers_sweep(struct timer *sweep);

/* stream.c */
struct MHD_Response *stream_response(struct peer *p);
void stream_beat(struct peer *p);  /* has been silent for mcp.sse_keepalive */
void stream_stall(struct peer *p); /* has taken nothing for mcp.write_timeout */
void stream_cut(struct peer *p);   /* the client has left */
void stream_close(struct peer *p); /* the exchange ends; also where it is no stream */
bool rooms_waiting(const struct http *h);
void rooms_tell(struct http *h);
bool http_stream_open(struct transport *t, handle_t exchange, struct answer *head);
enum stream_sent http_stream_send(struct transport *t, handle_t exchange, const struct sse_event *event);
enum stream_sent http_stream_raw(struct transport *t, handle_t exchange, struct slice bytes);
void http_stream_break(struct transport *t, handle_t exchange);
void http_stream_end(struct transport *t, handle_t exchange);
size_t http_streams_max(const struct transport *t);

/* handover.c */
bool handover_open(struct http *h, char *why, size_t why_size) MUST_USE;
void handover_event(struct http *h, const int *fd); /* one of its two */
void handover_close(struct http *h);

/* answer.c */
bool http_answer(struct transport *t, handle_t exchange, struct answer *answer);
void peer_answer(struct peer *p, struct answer *a); /* decides the answer; empties *a */
enum MHD_Result peer_respond(struct peer *p);       /* queues what was decided */
void peer_respond_raw(struct peer *p);              /* past MHD: the bare status, when no callback will come */
void count_status(int status);

/* head.c */
void head_collect(struct head *head, struct peer *p, const char *target, const char *method, const char *version);
void head_to_request(const struct head *head, const struct peer *p, const char *method, struct request *rq);

/* drain.c */
void http_listen_off(struct transport *t);
bool http_lives_on(const struct transport *t);
void http_stop(struct transport *t);
void http_end(struct http *h); /* frees everything; no connection may be suspended */

/* server.c, admin.c: MHD's callbacks */
enum MHD_Result server_request(void *door, struct MHD_Connection *c, const char *target, const char *method,
			       const char *version, const char *data, size_t *n, void **context);
enum MHD_Result admin_request(void *door, struct MHD_Connection *c, const char *target, const char *method,
			      const char *version, const char *data, size_t *n, void **context);
void *server_target(void *door, const char *target, struct MHD_Connection *c);
void server_completed(void *door, struct MHD_Connection *c, void **context, enum MHD_RequestTerminationCode code);

#endif
