/* people.h
 *
 * Between the clients' two files: people.c decides, talk.c speaks and listens.
 */
#ifndef SNOWGATE_SIM_PEOPLE_H
#define SNOWGATE_SIM_PEOPLE_H

#include "world.h"

enum asks { ASK_BEGIN, ASK_CALL, ASK_RESUME, ASK_CANCEL, ASK_DELETE };
struct exchange {
	handle_t self;
	/* DONE: the gateway has ended it. LEFT: its client. BROKEN: the process has died. REFUSED: there was none */
	enum { X_WAITS, X_STREAMS, X_DONE, X_LEFT, X_BROKEN, X_REFUSED } state;
	enum asks what;
	int session, status;
	uint32_t op;
	struct replica *replica;
	unsigned life;
	bool arrived, untold, answered;
	uint64_t last; /* number of its last event */
	char stream[STREAM_ID_SIZE];
	struct message message;
	char *texts[3]; /* the message's */
	struct timer timer;
};

/* ---- people.c ---- */
struct exchange *exchange_of(handle_t x);
struct exchange *exchange_new(enum asks what, int session, uint32_t op, struct replica *r);
void exchange_go(struct exchange *x, const char *what);

/* ---- talk.c ---- */
struct value *change_of(const struct op *o);
/* Asks for it, once or again. */
void op_ask(struct op *o, struct replica *r);
const char *begin_body(const struct session_kept *s, struct message *m);
void told_answer(struct exchange *x, const char *body);
void told_event(struct exchange *x, const char *id, const char *data);
/* It is over; whoever has not got what he waits for comes back. */
void exchange_ended(struct exchange *x, int state);

#endif
