/* snowflake.h
 *
 * The pooled client of Snowflake's SQL API v2: one thread, one curl multi, connections shared by all statements,
 * context with each statement. Its steps (sign, submit, poll, fetch, decode) move calls; everything here is owned by
 * SNOWFLAKE unless said otherwise. Source of the wire: snowflake-rest.md A, B.1, B.2.
 *
 * The wire is a vtable, so that the simulator can script it.
 */
#ifndef SNOWGATE_SNOWFLAKE_H
#define SNOWGATE_SNOWFLAKE_H

#include "snowgate/call.h"

/* ---- the wire ---- */
enum wire_op { WIRE_SUBMIT, WIRE_POLL, WIRE_FETCH, WIRE_CANCEL, WIRE_REST };
enum wire_result { WIRE_ANSWERED, WIRE_REFUSED, WIRE_TIMEOUT, WIRE_BROKEN, WIRE_TLS, WIRE_TOO_LARGE };
/* WIRE_REFUSED: nothing was sent (name look-up, connect); WIRE_BROKEN: something may have been executed. */

/* One HTTP request. Owned by who made it until `done`, which runs on SNOWFLAKE and owns it again. */
struct wire_request {
	enum wire_op op;
	const struct connection *connection;
	char path[256]; /* path and query */
	bool post;
	struct buf body;                 /* request body; empty for GET */
	const char *bearer, *token_type; /* valid while send() runs; the wire copies them */
	usec_t timeout, connect_timeout;
	/* the answer; it goes into `answer`, whose ceiling (decompressed) the sender has set */
	size_t held; /* bytes of it counted by results_take(); the wire's to fill */
	enum wire_result result;
	int status;
	int64_t retry_after_s; /* -1: not given */
	struct buf answer;
	char error[160]; /* what libcurl said; no secret */
	void (*done)(struct wire_request *);
	/* Answers that are taken as they come: with status 200, more() tells that bytes have been added to `answer`,
	 * never from within send() or resume(). While more than `window` bytes wait there, the transfer is held; the
	 * owner takes bytes off, then calls resume(). NULL: the whole answer is waited for, under answer's ceiling. */
	void (*more)(struct wire_request *);
	size_t window;
	void *owner;
	void *transfer; /* the wire's own, from send() to done() or abort() */
};
struct wire {
	/* Never calls done() before it has returned. */
	void (*send)(struct wire *, struct wire_request *);
	/* Gives up a request that was sent: done() is not called; the request is the caller's again. */
	void (*abort)(struct wire *, struct wire_request *);
	/* There is room again in the answer of a request with more(). */
	void (*resume)(struct wire *, struct wire_request *);
};

/* ---- the module ---- */
struct snowflake_ops {
	/* The answer of a call whose statement goes on: the exchange gets `answer` now, the call stays here. Posts to
	 * NET. */
	void (*answer_early)(struct call *c);
	/* What happens to a call whose client listens; copied, posted to NET. Not asked where c->listens is false. */
	void (*notice)(struct call *c, const struct notice *notice);
};

/* Starts the SNOWFLAKE thread with curl as its wire. False with *why. */
bool snowflake_start(const struct conf *conf, const struct snowflake_ops *ops, char *why, size_t why_size);
/* Calls that are still here go home with ERR_DRAINING, their statements left as they are; then the thread is joined. */
void snowflake_stop(void);
/* The simulator: the same module on the caller's thread, over `wire` and `wheel`. */
void snowflake_open(const struct conf *conf, const struct snowflake_ops *ops, struct wire *wire, struct wheel *wheel);
void snowflake_close(void);

/* From any thread: the call of this ticket is no longer wanted. Remembered until the call has passed or come home; its
 * statement is cancelled at Snowflake, also when the handle is not known yet; the call comes home by the ordinary road
 * with STATEMENT_CANCELLED. */
void snowflake_cancel(handle_t ticket);

/* Calls between sign and shape, wherever they are. For tests; on SNOWFLAKE. */
size_t snowflake_busy(void);

/* ---- results: bytes of answers held for all calls together ---- */
#define RESULT_CEILING  ((size_t)64 << 20)  /* of one answer, decompressed */
#define RESULTS_CEILING ((size_t)128 << 20) /* of all answers that are read, decoded or fetched at one time */
/* Counts n more bytes; false (and nothing counted) above the ceiling. */
bool results_take(size_t n) MUST_USE;
void results_give(size_t n);

/* ---- tokens and texts; for unit tests ---- */
/* What goes into the header: minted, read or taken from the cache. Valid until the next call of a token function. */
struct token_view {
	const char *bearer, *type;
};
/* ERR_OK or ERR_UPSTREAM_AUTH with *why (static text). */
int token_get(const struct connection *connection, struct token_view *view, const char **why) MUST_USE;
/* Snowflake has refused the token: the next token_get() makes or reads a new one. False where that cannot help: a token
 * given in the configuration, or a file that has not changed. */
bool token_renew(const struct connection *connection);
void token_forget_all(void);
/* "<ACCOUNT>.<USER>": upper case, account cut at the first '.', or at the first '-' where it holds ".global"
 * (snowflake-rest.md B.1). */
bool token_subject(struct buf *b, const char *account, const char *user);
/* Appends a JWT valid for `life` from `now` (wall seconds). ERR_OK or ERR_UPSTREAM_AUTH with *why. */
int token_jwt(struct buf *b, const struct connection *connection, int64_t now, int64_t life_s,
	      const char **why) MUST_USE;
/* Appends the request body of a statement (A.3). A QUERY_TAG of the session is put behind `query_tag` and a colon where
 * both fit into 2000 bytes. */
bool statement_body(struct buf *b, const struct statement *s, const char *query_tag);
/* Milliseconds before poll n (from 0): 0, 20, 50, 100, 200, 400, then x1.5 up to 5 s. */
int64_t poll_delay_ms(int n);
/* Reads s->raw, which is partition s->raw_partition, into columns, partitions, pages and stats; s->next_partition is
 * then the next one that the window needs, or partitions_n. ERR_OK; ERR_UPSTREAM_ANSWER where it is no result;
 * ERR_NOMEM. Any thread. */
int statement_decode(struct arena *a, struct statement *s) MUST_USE;

#endif
