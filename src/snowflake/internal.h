/* internal.h
 *
 * What the files of this folder share: the record of a call that is under way, and the module around it.
 * owner of everything here: SNOWFLAKE.
 */
#ifndef SNOWGATE_SNOWFLAKE_INTERNAL_H
#define SNOWGATE_SNOWFLAKE_INTERNAL_H

#include "pool.h"
#include "snowgate/metric.h"
#include "snowgate/resultset.h"
#include "snowgate/snowflake.h"

#define JOB_MAGIC    0x4a4f4221u
#define CANCEL_TRIES 3

/* A call between sign and shape. It stays in the table while STORE or WORKER have the call, so that a cancel finds it.
 */
struct job {
	uint32_t magic;
	struct call *call; /* NULL while the call is on another thread */
	handle_t ticket;
	struct job *next, **prev; /* the bucket's list */
	struct wire_request request;
	bool sending;              /* the wire has the request */
	bool cancelled;            /* nobody wants the call any longer */
	bool found;                /* its statement was sent by another, and its client not told yet that it runs */
	bool early;                /* its exchange was answered before the statement's end */
	int renewed;               /* times the token was renewed because of the request at hand */
	uint64_t newest_token;     /* its number, of those that a request was sent with */
	struct token_waiter token; /* while a token is fetched for it */
	bool perhaps;              /* a request was sent that may have been executed */
	bool overdue;              /* beyond what Snowflake itself grants the statement */
	int cancel_tries;
	usec_t not_before;      /* nothing is sent before this time */
	usec_t backoff;         /* the last one */
	size_t held;            /* bytes of results counted for what decode reads */
	struct source *sources; /* partitions under way, in order; fetch.c */
	usec_t rows_until;      /* when reading them is given up; 0: not begun */
	usec_t broke;           /* when they broke off; 0: they did not, or go on */
	bool waiting;           /* step fetch waits for the first of them */
	struct rest *rest;      /* rest.c: headers, events under way; the arena's; NULL: none */
	struct pooled pooled;
};

/* What an answer means. */
enum meaning {
	MEANS_RESULT, /* a body with rows */
	MEANS_RUNNING,
	MEANS_FAILED,    /* final */
	MEANS_CANCELLED, /* the statement was */
	MEANS_AUTH,      /* the token is refused */
	MEANS_BUSY,      /* nothing was done; later */
	MEANS_TRANSIENT  /* network, 5xx, rubbish: worth another try */
};
struct reading {
	enum meaning meaning;
	enum err err; /* where no further try is made */
	bool perhaps; /* the request may have been executed */
	char handle[64];
	const char *code, *sqlstate, *message; /* in the call's arena, or static */
};
/* Reads j->request's answer and counts failures. The texts say what to do. */
void answer_read(struct job *j, struct reading *r);

/* ---- client.c: the loop on the caller's own thread, which plays SNOWFLAKE ---- */
bool client_open(const struct conf *conf, const struct snowflake_ops *ops, char *why, size_t why_size);
void client_wait(void); /* for what comes next, at most a second, and handles it */
void client_close(void);

/* ---- module.c ---- */
struct snowflake {
	const struct snowflake_ops *ops;
	struct wire *wire;
	struct wheel *wheel;
	size_t connections; /* as many as the wire was opened with: a reload does not change it */
};
extern struct snowflake snowflake;
/* The call's record, made on its first visit. Says whether a cancel has come meanwhile (job->cancelled). */
struct job *job_enter(struct call *c);
/* The call goes to another thread but is still under way. */
void job_away(struct job *j);
void job_free(struct job *j);
struct job *job_find(handle_t ticket);
/* The thread stops: every call here goes home with 50302, its statement left as it is. */
void jobs_abandon(void);
/* Copies a statement handle; false, and nothing copied, for text that cannot stand in a path. */
bool handle_copy(char out[64], const char *text);
bool results_spare(void); /* much less is held than may be */
/* Random in [low, high]. */
usec_t random_between(usec_t low, usec_t high);

/* ---- cancel.c ---- */
/* A cancel that came before its call; forgotten with the asking. */
bool cancel_take(handle_t ticket);
void cancel_forget_all(void);

/* ---- statement.c: what every statement shares ---- */
static inline const struct conf *call_conf(const struct call *c)
{
	return c->request->conf;
}
/* How long Snowflake lets it run. */
usec_t statement_life(const struct call *c, const struct statement *s);
/* Its last word: on to the plan's next statement, or the call leaves. The job may be gone. */
enum verdict statement_end(struct call *c, enum statement_state state) MUST_USE;
enum verdict statement_end_cancelled(struct call *c) MUST_USE;
/* Failed; or of unknown fate, where it is a write that may have been executed. */
enum verdict statement_fail(struct call *c, const struct reading *r) MUST_USE;
enum verdict statement_fail_with(struct call *c, enum err err, const char *message) MUST_USE; /* NULL: err's text */
/* Is it one whose exchange may be answered `running` before its end? Then answers it so. */
bool statement_may_answer_early(const struct call *c, const struct job *j, const struct statement *s);
void statement_answer_early(struct call *c, struct job *j, struct statement *s);
/* The call runs again at this time. */
enum verdict statement_wait(struct call *c, usec_t when);
/* The call goes on at a step of another thread, or here. */
enum verdict statement_go(struct call *c, struct job *j, enum step next) MUST_USE;

/* ---- request.c: one request on behalf of a call ---- */
/* What was asked of one request is asked anew of the next. */
void request_begin(struct job *j, struct statement *s);
void request_path(struct job *j, const char *format, ...) PRINTF_LIKE(2, 3);
/* What comes of the answer in j->request, whose step is c->step. */
enum verdict request_answered(struct call *c, struct job *j) MUST_USE;
/* Sends j->request, whose path and body are filled. A token that cannot be had ends the statement; one that may be had
 * later is like a request that found no connection. */
enum verdict request_send(struct call *c, struct job *j, enum wire_op op, usec_t timeout) MUST_USE;
/* A token is being fetched: the step runs again when there is news; or the end, when the caller waits no longer. Where
 * nobody does, for a cancel or after an early answer, the fetch's own limits are the only ones (token_fetch.c, about
 * half a minute). */
enum verdict request_token_wait(struct call *c, struct job *j) MUST_USE;
/* There is none at the moment, and nothing of the statement was sent: another try later, or the end. */
enum verdict request_token_late(struct call *c, struct job *j, const char *message) MUST_USE;
void request_abort(struct job *j);
void request_drop(struct job *j); /* its answer */
/* Refusals and failures that are the same for every request. */
enum verdict request_failed(struct call *c, struct job *j, const struct reading *r) MUST_USE;
/* Another try of it, later; or the end. */
enum verdict request_again(struct call *c, struct job *j, const struct reading *r) MUST_USE;
/* The token was refused: once more with another; or the end. */
enum verdict request_renew(struct call *c, struct job *j, const struct reading *r) MUST_USE;
usec_t request_backoff(struct job *j); /* how long to wait before the next try */
/* Until when the caller waits for the statement at hand: its deadline, but time for a few tries in any case. */
usec_t request_patience(const struct call *c);
/* This timeout; but one of the gateway's own statements that may live shorter than a request is not waited for much
 * beyond its life (a second at least): something else waits for it. */
usec_t request_within(const struct call *c, usec_t timeout);
/* The call of a job that is here is no longer wanted. */
void statement_cancelled(struct job *j);

/* ---- what comes of an answer: submit.c, poll.c, fetch.c, rest.c ---- */
enum verdict submit_done(struct call *c, struct job *j, struct reading *r) MUST_USE;
enum verdict poll_done(struct call *c, struct job *j, struct reading *r) MUST_USE;
enum verdict cancel_done(struct call *c, struct job *j, struct reading *r) MUST_USE;
enum verdict fetch_done(struct call *c, struct job *j, struct reading *r) MUST_USE;
enum verdict rest_done(struct call *c, struct job *j, struct reading *r) MUST_USE;

/* ---- fetch.c: rows on their way ---- */
/* An answer whose rows are read while it comes: the request of one partition, which outlives the step that sent it, and
 * its call's visits to other threads. */
struct source {
	struct wire_request request;
	struct job *job; /* whose it is; NULL: parked */
	size_t partition;
	bool sent;          /* the wire has it */
	bool begun;         /* some of it was taken */
	struct timer timer; /* for it to bring something */
	struct source *next;
};
#define WINDOW         ((size_t)256 << 10) /* bytes that wait in a source before it is held */
#define SHARED_WINDOW  ((size_t)1 << 20)   /* the same where it cannot be: beyond it partition 0 is asked for anew */
#define STATUS_BODY    ((size_t)1 << 20)   /* most of what an answer that is no result may have */
#define DECODE_HERE    ((size_t)256 << 10) /* bytes of text that SNOWFLAKE decodes in one go */
#define DECODE_A_VISIT ((size_t)1 << 20)   /* and a WORKER */
/* The answer of partition 0 becomes what decode reads, where it is whole; else it is read as it comes. */
enum verdict fetch_decode(struct call *c, struct job *j, size_t partition) MUST_USE;
/* Bytes have come of j->request, a poll or a submission. */
void fetch_more(struct wire_request *rq);
/* The statement is at its end here: what is under way is given up, or kept for the one who asks for the next rows. */
void fetch_end(struct call *c, struct job *j, struct statement *s);
void fetch_forget(struct job *j, struct statement *s);
/* May one connection more be held, where so many are? */
bool fetch_may_hold(size_t held);
void source_free(struct source *src); /* given up where it is under way */

/* ---- park.c: results that were read in part, and wait for who asks for the next rows ---- */
/* Keeps the first source and the reading of a statement whose window is full. */
void park_put(struct call *c, struct job *j, struct statement *s);
/* Goes on where an earlier call of the same principal stopped, if it did at exactly s->offset; false: it did not. */
bool park_take(struct call *c, struct job *j, struct statement *s);
void parks_drop(void);

/* ---- reader.c: owner: the holder of the call ---- */
struct inflate;
/* Columns are known (also those of a reading that is taken over): where rows are wanted, they can be written. */
int decode_open(struct arena *a, struct statement *s) MUST_USE;
#define READER_UNKNOWN  SIZE_MAX
#define READER_ROWS_MAX (SIZE_MAX / 4)
struct partition {
	size_t first, rows; /* rows: READER_UNKNOWN where only the body tells */
};
struct reader {
	size_t keep;             /* of each cell */
	struct resultset *first; /* has the metadata; NULL before it is known */
	struct resultset *set;   /* the partition at hand */
	struct inflate *inflate;
	char *chunk;     /* what was inflated last */
	struct slice in; /* of it, or of the raw bytes: what is not read yet */
	size_t partition;
	size_t at; /* number in the result of the next row, or of the one at hand */
	bool gzip;
	bool more;      /* the last chunk was full */
	bool pending;   /* the row at hand was not taken */
	bool ended;     /* the partition's document is complete */
	size_t charged; /* bytes of a download's row and its text, counted by results_take() */
	struct partition *partitions;
	size_t partitions_n, total; /* total: READER_UNKNOWN before partition 0 has ended */
};
/* Where a statement keeps its reader; ends with the arena, and the reader with it. NULL: the arena is full. */
struct reader **reader_cell(struct arena *a);
struct reader *reader_new(size_t keep);
void reader_free(struct reader *r); /* NULL is fine */
/* A partition is read from its begin, for the first time or again. */
void reader_begin(struct reader *r, size_t partition, bool gzip);
/* The metadata has come; false where it contradicts itself, or what it was before. */
bool reader_head(struct reader *r) MUST_USE;
const struct resultset_head *reader_columns(const struct reader *r); /* NULL: not known */
/* Where nothing is left to read, takes the next bytes of raw from *at on into r->in, inflated; r->in stays empty where
 * raw is used up. False: they are not what they claim to be. */
bool reader_input(struct reader *r, const struct buf *raw, size_t *at) MUST_USE;
bool reader_complete(const struct reader *r); /* nothing is missing of the partition */
bool reader_wants(const struct reader *r, const struct statement *s, size_t partition);

/* ---- inflate.c ---- */
struct inflate *inflate_new(void);
void inflate_free(struct inflate *f); /* NULL is fine */
void inflate_again(struct inflate *f);
bool inflate_ended(const struct inflate *f);
/* Takes what it reads off *in and writes at most `room` bytes; false where the bytes are not compressed ones. */
bool inflate_some(struct inflate *f, struct slice *in, char *out, size_t room, size_t *n) MUST_USE;
/* All of *b; false, and *b ended, where it is broken or has more than `most` bytes. */
bool inflate_whole(struct buf *b, size_t most) MUST_USE;

enum verdict rest_submit(struct call *c, struct job *j, struct statement *s) MUST_USE;
#define REST_CEILING ((size_t)4 << 20) /* of an answer that is waited for whole */
/* Bytes have come of an answer that is a stream of events. */
void rest_more(struct wire_request *rq);

/* ---- identity.c ---- */
/* Fills connection and token of a request of j's call. TOKEN_WAIT: the step is run again when there is news.
 * TOKEN_FAILED, TOKEN_LATER: *message, in the call's arena, says what to do (NULL: no memory). */
enum token_state job_token(struct job *j, struct wire_request *rq, const char **message) MUST_USE;
/* Snowflake refused the token that rq carried: whether another try has another one. */
bool job_token_renew(struct job *j, const struct wire_request *rq) MUST_USE;
#define TOKEN_RENEWALS 2 /* for one request: the same key anew, then the other key */

/* ---- notice.c ---- */
/* A new stage of a call, for a client that listens. */
void notice(struct call *c, enum mcp_level level, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
