/* snowflake.h
 *
 * The pooled client of Snowflake's SQL API v2: one thread, one curl multi, connections shared by all statements,
 * context with each statement. Its steps (sign, submit, poll, fetch, decode) move calls; everything here is owned by
 * SNOWFLAKE unless said otherwise. Source of the wire: snowflake-rest.md A, B.
 *
 * Rows. Answers that may be large come in pieces (wire_request.more): what has come is handed to a WORKER slice by
 * slice while the transfer fills its window, and is held where that is full. So a result of any size costs a window for
 * each partition under way (four at most, in order), one slice, the row at hand, and the text it becomes. A row is
 * written as it is read, and reading stops at the one that did not fit: who asks for the next rows within a minute gets
 * them from there (park.c). What breaks is asked for again, and rows that were delivered are passed over.
 *
 * The wire is a vtable, so that the simulator can script it.
 */
#ifndef SNOWGATE_SNOWFLAKE_H
#define SNOWGATE_SNOWFLAKE_H

#include "snowgate/call.h"

/* ---- the wire ---- */
enum wire_op { WIRE_SUBMIT, WIRE_POLL, WIRE_FETCH, WIRE_CANCEL, WIRE_REST, WIRE_TOKEN };
enum wire_result { WIRE_ANSWERED, WIRE_REFUSED, WIRE_TIMEOUT, WIRE_BROKEN, WIRE_TLS, WIRE_TOO_LARGE };
/* WIRE_REFUSED: nothing was sent (name look-up, connect); WIRE_BROKEN: something may have been executed. */

/* One HTTP request. Owned by who made it until `done`, which runs on SNOWFLAKE and owns it again. */
struct wire_request {
	enum wire_op op;
	const struct connection *connection;
	char path[1024]; /* path and query */
	bool post;
	struct buf body;                 /* request body; empty for GET */
	const char *bearer, *token_type; /* valid while send() runs; the wire copies them */
	uint64_t token;                  /* which one the bearer is: token_view.number */
	/* WIRE_TOKEN: the whole URL in place of the account's host and `path`, and "id:secret" (RFC 7617) in place of a
	 * bearer; the body is a form. Valid as bearer is. */
	const char *url, *basic;
	const char *const *headers; /* WIRE_REST: further header lines, NULL behind the last; valid as bearer is */
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
	bool gzip;   /* with more(): `answer` is compressed as it came (Content-Encoding) */
	bool shared; /* with more(): others are on the same connection (HTTP/2), and it is never held for this one */
	void *owner;
	void *transfer; /* the wire's own, from send() to done() or abort() */
};
struct wire {
	/* Never calls done() before it has returned. */
	void (*send)(struct wire *, struct wire_request *);
	/* Gives up a request that was sent: done() is not called; the request is the caller's again. */
	void (*abort)(struct wire *, struct wire_request *);
	/* There is room again in the answer of a request with more(). Its own time limit ends with the first resume():
	 * how long it may take then is the owner's to say. */
	void (*resume)(struct wire *, struct wire_request *);
	/* What was sent as `from` goes on as `to`, a copy of it; `from` is nobody's request any more. */
	void (*move)(struct wire *, struct wire_request *from, struct wire_request *to);
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
/* Calls visit() on SNOWFLAKE with the call of this ticket where it is there and waits for something, else with NULL.
 * From any thread. */
void snowflake_visit(handle_t ticket, void (*visit)(struct call *c, void *arg), void *arg);

/* Calls between sign and shape, wherever they are. For tests; on SNOWFLAKE. */
size_t snowflake_busy(void);

/* ---- results: bytes of answers held for all calls together ---- */
#define RESULT_CEILING  ((size_t)64 << 20)  /* of one answer, decompressed */
#define RESULTS_CEILING ((size_t)128 << 20) /* of all answers that are read, decoded or fetched at one time */
/* Counts n more bytes; false (and nothing counted) above the ceiling. Any thread; given back by any. */
bool results_take(size_t n) MUST_USE;
void results_give(size_t n);

/* ---- tokens ---- */
/* As whom a request goes out: the connection's one user; or, where each principal has a Snowflake user of its own, that
 * one in this role, the statement's. Texts are borrowed. */
struct identity {
	const struct connection *connection;
	const struct principal *principal;
	const char *role;
};
/* What goes into the header. Valid until the next call of a token function. */
struct token_view {
	const char *bearer, *type;
	uint64_t number; /* of this very token; never 0 */
};
/* Who waits for a token that is being fetched; all zero but for news() where nobody does. */
struct token_waiter {
	/* Once, on SNOWFLAKE, never from within token_get(): ask again. It waits no longer then. */
	void (*news)(struct token_waiter *);
	struct token_waiter *next, **prev;
};
enum token_state { TOKEN_READY, TOKEN_WAIT, TOKEN_LATER, TOKEN_FAILED };
/* A token of this identity: from the cache, minted, read, or fetched (one fetch per identity, whoever asks). One that
 * nears its end is renewed in the background and served meanwhile. TOKEN_WAIT: `waiter` gets news; it waits once.
 * TOKEN_FAILED: it is refused, or cannot be made of what is configured. TOKEN_LATER: what keeps it away may pass by
 * itself (a token endpoint that cannot be reached, 5xx, 429, no place in the cache). In both cases *why is a clause
 * that says what to do, valid until the next call of a token function; a fetch that failed is tried again a second
 * later at the earliest.
 *
 * Files (keys, tokens) are looked at on this thread, each at most once a second for each connection, and once more
 * in a second where what was read of it is refused: so what changes there may count a second late. What remains on a
 * mount that hangs: each of these looks holds up the thread. One that succeeds after a change also reads the file, and
 * opens an encrypted key (PBKDF2, as long as its maker chose); each of the users of an External OAuth connection shares
 * one such key. */
enum token_state token_get(const struct identity *who, struct token_view *view, struct token_waiter *waiter,
			   const char **why) MUST_USE;
void token_unwait(struct token_waiter *waiter); /* not waiting: nothing happens */
/* Snowflake has refused the token of this number: the next token_get() has another. False where there is no other: a
 * token given in the configuration, a file that has not changed, one that was renewed this very second. Two keys take
 * turns, so that who asks has to count. */
bool token_renew(const struct identity *who, uint64_t number) MUST_USE;
/* The thread stops: fetches are given up. Nobody may be waiting. True: refresh tokens are being exchanged, and the
 * answer may hold those that replace them, which would be lost: let the wire go on for a few seconds, and ask again. */
bool token_stop(void);
void token_forget_all(void); /* after token_stop(); gives up what is left */

/* ---- parts of it; for unit tests, the fuzzer and `snowgate doctor` ---- */
/* "<ACCOUNT>.<USER>": upper case, account cut at the first '.', or at the first '-' where it holds ".global"
 * (snowflake-rest.md B.1). */
bool token_subject(struct buf *b, const char *account, const char *user);
/* Appends a JWT valid for `life` from `now` (wall seconds). ERR_OK or ERR_UPSTREAM_AUTH with *why. */
int token_jwt(struct buf *b, const struct connection *connection, int64_t now, int64_t life_s,
	      const char **why) MUST_USE;
/* "exp" of a JWT, unverified; 0 where it is none or says none. */
int64_t token_expiry(struct slice jwt);
/* What a token endpoint answered (RFC 6749, 5.1 and 5.2). */
struct oauth_answer {
	struct buf access_token, refresh_token; /* empty: none came; printable, without blanks */
	int64_t expires_in;                     /* seconds; 0: not told */
	char error[64], description[256];       /* printable ASCII */
};
/* False where it is no JSON object, or neither a token nor an error. Ended with oauth_answer_free() in any case. */
bool oauth_answer_read(struct slice body, struct oauth_answer *out) MUST_USE;
void oauth_answer_free(struct oauth_answer *a); /* wipes */

/* ---- texts; for unit tests ---- */
/* Appends the request body of a statement (A.3), settings and all; `tag` is its QUERY_TAG. */
bool statement_body(struct buf *b, const struct statement *s, const char *tag);
/* Appends the QUERY_TAG: a JSON object {"app","principal","session","tool","trace","request","tag"} of at most 2000
 * bytes. principal and session are the first 16 hex digits of a SHA-256: of principal_encode(), of the session's id;
 * `tag` is the session's own QUERY_TAG, left out where it does not fit. */
bool statement_tag(struct buf *b, const struct call *c, const struct statement *s);
/* Milliseconds before poll n (from 0): 0, 20, 50, 100, 200, 400, then x1.5 up to 5 s. */
int64_t poll_delay_ms(int n);
/* Reads on in s->raw, which is of partition s->raw_partition: into columns, cells or text, and at a partition's end
 * into handle and stats; about `most` bytes of text, decompressed, in one visit. s->fed then says where it stopped, and
 * after FED_END and FED_SKIP s->next_partition is the next one that the window needs, or partitions_n. ERR_OK;
 * ERR_UPSTREAM_ANSWER where it is no result: read again from the partition's begin, it passes over the rows it has
 * delivered; ERR_NOMEM. Any thread. */
int statement_decode(struct arena *a, struct statement *s, size_t most) MUST_USE;

/* A piece of a result as GET /results writes it (statement.whole). */
#define PIECE ((size_t)192 << 10)

#endif
