/* journal.h
 *
 * The record of an operation: one call of a client, written down so that whoever finds the record can go on with it.
 * It names the request id under which its statement is sent (Snowflake executes a request id at most once where
 * retry=true is said), the statement's handle once it is known, the stream or the task that its answer goes to; and it
 * holds, sealed (AES-256-GCM under a key of its own purpose, bound to the operation's id), the client's message and the
 * context it was planned in. It holds no rows: an answer with rows is rendered again from Snowflake's stored result.
 *
 * Events of the operation's stream are kept in the record's log, one letter and then a text, sealed likewise:
 *   e  an event that others follow            l  the answer as it was sent (an error, an outcome without rows)
 *   r  the answer had rows: render it again (no text)       c  it was cancelled, and is not answered (no text)
 *   x  its client wants it cancelled (no text)
 * That of a task holds its end, and before it an x where there was one.
 *
 * Pure but for nonces. Any thread that holds the call.
 */
#ifndef SNOWGATE_JOURNAL_H
#define SNOWGATE_JOURNAL_H

#include "snowgate/call.h"
#include "snowgate/seal.h"

#define JOURNAL_BODY_MAX ((size_t)1 << 20) /* longer messages are recorded without their text */

struct journal {
	char id[OPERATION_ID_SIZE];
	uint64_t version; /* of the record */
	struct principal principal;
	char stream[STREAM_ID_SIZE];       /* "": its answer goes to none */
	char task[TASK_ID_SIZE];           /* likewise */
	char request_id[37], handle[64];   /* "": not chosen, not known */
	char digest[2 * SHA256_BYTES + 1]; /* of the arguments, where the client gave an idempotency key; else "" */
	enum statement_state state;
	bool write;
	int64_t created, deadline; /* wall seconds; deadline 0: none */
	int64_t updated;           /* when it was written, wall seconds */
	usec_t born;               /* wall time at which the call began */
	usec_t elapsed;            /* call.elapsed */
	json_t *sealed;            /* the message and what came with it; NULL where it cannot be read */
	json_t *unknown;           /* members that a newer program has written, for the next record; mostly NULL */
	bool newer;                /* journal_read() was false, since only newer programs may read it: leave it alone */
};
/* Appends the record of the call as it is now, with the members that only a newer program knows. */
bool journal_write(struct buf *b, const struct seal_keys *keys, const struct call *c) MUST_USE;
/* False, and nothing to clear, where it is no record, or one for newer programs only (j->newer). */
bool journal_read(struct journal *j, const struct seal_keys *keys, const char *id, uint64_t version,
		  struct slice record) MUST_USE;
void journal_clear(struct journal *j);
/* Has its statement ended, for all that is known? */
bool journal_over(const struct journal *j);
/* The client's request again, under the present snapshot: without its policy, which is looked up anew. NULL where the
 * message was not recorded or cannot be read. */
struct request *journal_request(const struct journal *j, const struct conf *conf);
/* Gives the call, whose session is bound, what it had: answers of its client, the context it was planned in. False: no
 * memory. */
bool journal_restore(struct call *c, json_t *sealed) MUST_USE;

/* What goes into the store sealed, bound to the key of its record; and back, false (nothing appended) where it was
 * changed, is of another record, or none of our keys fits. */
bool journal_seal(struct buf *b, const struct seal_keys *keys, const char *id, struct slice secret);
bool journal_open(struct buf *b, const struct seal_keys *keys, const char *id, struct slice sealed) MUST_USE;

/* Events of the log. */
bool journal_event_write(struct buf *b, const struct seal_keys *keys, const char *id, char kind,
			 struct slice text) MUST_USE;
/* The kind, 0 where it cannot be read; the text is appended. */
char journal_event_read(struct buf *text, const struct seal_keys *keys, const char *id, struct slice event) MUST_USE;

#endif
