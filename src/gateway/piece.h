/* piece.h
 *
 * A piece of work for the store that a call has, with all that it borrows. The call travels with it and goes on when
 * it is done; or nobody does, where the piece goes on by itself. owner: who makes it, then STORE, then who it is for.
 */
#ifndef SNOWGATE_PIECE_H
#define SNOWGATE_PIECE_H

#include "gateway_internal.h"

enum { PIECE_ITEMS = 16, PIECE_VALUES = 6 };
struct piece {
	struct store_work work;
	struct store_item items[PIECE_ITEMS];
	char keys[PIECE_ITEMS][STORE_KEY_MAX];
	struct buf values[PIECE_VALUES];
	size_t values_n;
	char group[GROUP_SIZE];
	struct call *call; /* travels with it; NULL where it goes on by itself */
	enum step next;
	void *of;        /* whom it is for, where that is no call; known to the file that made it */
	handle_t ticket; /* who wants to hear of it where the call does not travel */
	char operation[OPERATION_ID_SIZE];
	uint64_t version; /* that the record then has */
	int64_t created;  /* of that operation, wall seconds */
	usec_t lease_end; /* of the lease that it asks for, where it does */
	bool put;         /* the record of the call's operation is made by it, or ended */
};

/* ---- piece.c ---- */
struct piece *piece_new(struct call *c, void (*done)(struct store_work *)); /* of the call's principal */
struct piece *piece_alone(const struct principal *group, void (*done)(struct store_work *)); /* NULL: of nobody */
/* One more item; its key is copied. */
struct store_item *piece_add(struct piece *p, enum store_verb verb, enum record_kind kind, const char *key);
/* The key that a record holds as its value: a pointer to another record. False, and "", where it is none: what the
 * store has is not sealed there, and its back end asserts that keys are keys. */
bool piece_key(const struct store_item *item, size_t size, char *key);
struct buf *piece_value(struct piece *p, size_t ceiling); /* a text that an item borrows; freed with the piece */
/* The record of an operation and its log are read. */
void piece_add_operation(struct piece *p, const char *id);
void found_fill(struct found *f, struct piece *p); /* with what came of that, which is the piece's no more */
void found_release(struct found *f);
void piece_clear(struct piece *p); /* no items: it can be used again */
void piece_free(struct piece *p);
/* The call travels with it, and goes on at `next` when `done` says so. */
enum verdict piece_post(struct piece *p, struct call *c, enum step next);
void piece_call_on(struct piece *p);               /* its call goes on, and it is no more */
void piece_go_on(struct piece *p, enum step next); /* the same, elsewhere */
void key_of_id(char key[STORE_KEY_MAX], const char *id);
void key_of_task(char key[STORE_KEY_MAX], const char *task, const char *group);
void key_of_handle(char key[STORE_KEY_MAX], const char *handle, const char *group);

/* ---- durable.c: sessions ---- */
void piece_put_session(struct piece *p, const struct call *c);
void piece_del_session(struct piece *p, const char *id, const char *handle);

/* ---- operation.c ---- */
/* An operation's record is kept as long as Snowflake keeps its result (A.6). */
#define OPERATION_KEPT_MS ((int64_t)24 * 3600 * 1000)
/* What its record is to be called, and under which id its statement is sent. */
void operation_begin(struct call *c);
int64_t lease_of(const struct conf *conf); /* how long nobody else takes an operation over, milliseconds */
/* The record of the call as it is now: a new one, one that is taken over, or the call's own, which is kept. False: it
 * is too large. */
bool piece_put_operation(struct piece *p, struct call *c, int64_t due_ms) MUST_USE;
void piece_del_operation(struct piece *p, const struct call *c);
void operation_step_back(struct piece *p);     /* where the piece was refused, so is the record */
void operation_recorded(struct store_work *w); /* done(): the call goes on, recorded or not */
/* Its stream could not be recorded a while ago, and the record is not as far as was thought: once, it gets another. */
bool operation_begin_anew(struct call *c) MUST_USE;
void operation_lost(struct call *c);                  /* another process has taken it over, and tells its outcome */
void operation_forget(struct call *c);                /* what may have been recorded all the same goes */
void store_refused(struct call *c, const char *what); /* the call ends with that */

/* ---- replica.c ---- */
/* The others are told when the piece is committed; takes `message`. False: it is too large. STORE. */
bool piece_tell(struct piece *p, enum tale tale, json_t *message);

/* ---- claim.c: idempotency keys ---- */
/* The key of the call was used before; `p` is its refused intent. The call goes on when it is known what for. */
void claim_read(struct piece *p);
void piece_put_claim(struct piece *p, const struct call *c);

#endif
