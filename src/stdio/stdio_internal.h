/* stdio_internal.h
 *
 * What the files of src/stdio share: one client, whose lines come in by input.c and become visits (visit.c), and whose
 * answers leave by the outbox (output.c). owner: NET, all of it.
 *
 * Life of the client, by stage:
 *
 *   OPEN ──► EOF (what runs is waited for) ──► PARTING (the rest is cancelled, the session deleted) ──► end of the loop
 */
#ifndef SNOWGATE_STDIO_INTERNAL_H
#define SNOWGATE_STDIO_INTERNAL_H

#include "snowgate/outbox.h"
#include "snowgate/stdio.h"

#define VISITS_MAX    1024u               /* exchanges at one time; a request more is refused */
#define VISITS_SPARE  64u                 /* for notifications, answers of the client, and requests of our own */
#define OUTBOX_SOFT   ((size_t)256 << 10) /* beyond it streams wait, and no more lines are read */
#define OUTBOX_HARD   ((size_t)64 << 20)  /* an answer that would pass it becomes an error */
#define CHUNK         ((size_t)64 << 10)
#define REQUEST_ARENA ((size_t)32 << 20) /* a call's memory */
#define SESSION_MAX   256

/* ---- output.c: lines on their way out, on a descriptor that may be shared with others and so stays as it is ---- */

struct output {
	int fd;
	bool own;    /* a description of our own, not blocking */
	bool socket; /* MSG_DONTWAIT instead */
	bool broken; /* nobody reads any more */
	bool moved;  /* something was written; whoever looks takes it back */
	struct outbox lines;
};
void output_open(struct output *o, int fd);
void output_close(struct output *o); /* what is queued is lost */
/* Queues a message as one line. JSON text has line breaks between tokens at most, so they become spaces. Dropped where
 * the outbox is broken. */
void output_put(struct output *o, struct slice message);
/* Writes what goes without waiting. */
void output_flush(struct output *o);
void output_break(struct output *o); /* nobody reads any more: what is queued is lost */

/* ---- the exchanges ---- */

enum visit_kind {
	VISIT_CLIENT,   /* a line of the client */
	VISIT_STANDING, /* our GET, for messages that answer no request */
	VISIT_GOODBYE,  /* our DELETE of a session */
};

#define VISIT_MAGIC 0x76697369u
struct visit {
	uint32_t magic;
	enum visit_kind kind;
	handle_t handle;
	char *id; /* a request's id as it came; NULL: none, or none to repeat */
	bool modern, listen;
	bool stream;  /* is answered as a stream */
	bool waiting; /* was told STREAM_FULL, and room since then was not */
	uint64_t round;
	struct visit *next, *prev;
};

enum stage { STAGE_OPEN, STAGE_EOF, STAGE_PARTING };

#define STDIO_MAGIC 0x7374646fu
struct stdio {
	uint32_t magic;
	struct transport transport;
	struct transport_ops ops;
	const struct conf *conf;
	struct wheel *wheel;
	int in, mail_fd;
	struct output out;

	/* input.c */
	char chunk[CHUNK];
	size_t chunk_at, chunk_n;
	struct buf line; /* the part of a line that has come; ceiling listen.max_body */
	bool too_long;   /* the line is thrown away to its end */
	bool hung_up;    /* the client has closed its end; what it said before may wait to be read */
	bool eof;        /* all is read */

	/* visit.c */
	struct handle_table *visits;
	struct visit *first, *newest;
	size_t visits_n, clients_n; /* all; VISIT_CLIENT */
	uint64_t round;
	char session[SESSION_MAX]; /* "" where there is none */
	handle_t handshake;        /* an initialize that is not answered yet: later lines wait for the session */
	handle_t standing, goodbye;
	struct timer again; /* opens the standing stream once more after the gateway has ended it */

	/* stdio.c */
	enum stage stage;
	struct timer timer, stall;
	bool late, stalled; /* they have fired */
	size_t left_behind; /* exchanges cancelled by the end */
	bool off, ending;
};

/* ---- input.c ---- */
bool input_wanted(const struct stdio *s); /* may another line be taken? */
void input_read(struct stdio *s);         /* the descriptor is readable */
void input_take(struct stdio *s);         /* takes whole lines, a turn's worth */
bool input_left(const struct stdio *s);   /* is there something to take in what was read? */
bool input_closed(const struct stdio *s); /* will the client say no more than it has? */

/* ---- visit.c ---- */
/* What is to be known of a message before it is passed on. */
struct glance {
	json_t *root;
	const char *method;     /* NULL where it is none or no message at all */
	struct slice id;        /* raw, of a request; data NULL: not a request, or one whose id cannot be repeated */
	bool answered;          /* is no notification and no response: takes the place of a request */
	struct slice cancelled; /* raw requestId of a notifications/cancelled */
	bool modern;
};
void visit_client(struct stdio *s, struct slice message, const struct glance *g);
void visit_standing(struct stdio *s);  /* where there is a session and no standing stream */
void visit_again(struct timer *timer); /* stdio.again */
void visit_goodbye(struct stdio *s);   /* where there is a session; it is forgotten */
/* The modern request of that raw id, if it is there, has been cancelled. */
bool visit_cancel(struct stdio *s, struct slice id);
/* The client has left this exchange. */
void visit_depart(struct stdio *s, struct visit *v);
void visit_depart_clients(struct stdio *s);
void visit_end_listeners(struct stdio *s); /* what ends with the input: subscriptions and the standing stream */
void visit_room(struct stdio *s);          /* tells the streams that wait */
void visit_free_all(struct stdio *s);
/* A refusal of the transport itself, as a line. */
void stdio_refuse(struct stdio *s, struct slice id, enum err err, const char *message);

/* The part of struct transport that answers. */
bool visit_answer(struct transport *t, handle_t exchange, struct answer *answer);
bool visit_stream_open(struct transport *t, handle_t exchange, struct answer *head);
enum stream_sent visit_stream_send(struct transport *t, handle_t exchange, const struct sse_event *event);
void visit_stream_end(struct transport *t, handle_t exchange);

struct stdio *stdio_of(struct transport *t); /* asserts the thread */

#endif
