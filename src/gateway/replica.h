/* replica.h
 *
 * What the gateways on one store tell each other: a client may have said to one what concerns another. A message is a
 * JSON object, sealed (AES-256-GCM, the journal's keys) and bound to its channel, so that whoever can publish at the
 * store's server can neither read nor make one. It bears who sent it (random, of the process), the how-manieth of his
 * it is, and the wall time; one that was heard before, or is older than a minute, is dropped. Clocks may differ by
 * seconds. Messages may be lost: what must not be is in the store, and whoever comes to it finds it there.
 *
 *   cancel   session, request     a call that its client no longer wants (the raw token of its id)
 *   ended    session              it was deleted
 *   reply    session, answer      a client's answer to a question: {id, result?}
 *   watches  session              what it subscribes to is another thing now
 *   taken    operation, version   another goes on with it, since the record has this version
 *   updated  connection, uri      a resource is not what it was
 *   task     task, unwanted       it has ended, or is to be cancelled
 *
 * owner: STORE, but for what is marked.
 */
#ifndef SNOWGATE_GATEWAY_REPLICA_H
#define SNOWGATE_GATEWAY_REPLICA_H

#include "piece.h"

#define TALE_MAX       ((size_t)1 << 20) /* bytes of a message */
#define TALE_OLDEST_S  60                /* older, or so far ahead: not heard */
#define SENDERS_MAX    64                /* whose numbers are remembered */
#define SENDER_ID_SIZE 33

/* One process's side of it. */
struct replica {
	char id[SENDER_ID_SIZE]; /* "": not begun */
	int64_t told;
	struct sender {
		char id[SENDER_ID_SIZE];
		int64_t number; /* of the last one heard */
		uint64_t used;  /* order */
	} senders[SENDERS_MAX];
	uint64_t heard;
};

/* Appends the sealed message; takes `message`. False: it is too large. */
bool tale_write(struct buf *b, const struct seal_keys *keys, struct replica *r, enum tale tale, json_t *message,
		int64_t now) MUST_USE;
/* What came on a channel. *message is a new reference where it is "heard"; else the outcome says why there is none, a
 * label of METRIC_replica_messages. */
const char *tale_read(const struct seal_keys *keys, struct replica *r, const char *channel, struct slice sealed,
		      int64_t now, enum tale *tale, json_t **message);

#endif
