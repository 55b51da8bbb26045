/* internal.h
 *
 * What the files of this folder share: the record of a call that is under way, and the module around it.
 * owner of everything here: SNOWFLAKE.
 */
#ifndef SNOWGATE_SNOWFLAKE_INTERNAL_H
#define SNOWGATE_SNOWFLAKE_INTERNAL_H

#include "snowgate/metric.h"
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
	bool sending;   /* the wire has the request */
	bool cancelled; /* nobody wants the call any longer */
	bool early;     /* its exchange was answered before the statement's end */
	bool renewed;   /* the token was renewed because of the request at hand */
	bool perhaps;   /* a request was sent that may have been executed */
	bool overdue;   /* beyond what Snowflake itself grants the statement */
	int cancel_tries;
	usec_t not_before; /* nothing is sent before this time */
	usec_t backoff;    /* the last one */
	size_t held;       /* bytes of results counted for it */
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

/* ---- module.c ---- */
struct snowflake {
	const struct snowflake_ops *ops;
	struct wire *wire;
	struct wheel *wheel;
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
/* Sends j->request, whose path and body are filled. A token that cannot be had ends the statement. */
enum verdict request_send(struct call *c, struct job *j, enum wire_op op, usec_t timeout) MUST_USE;
void request_abort(struct job *j);
void request_drop(struct job *j); /* its answer */
/* Refusals and failures that are the same for every request. */
enum verdict request_failed(struct call *c, struct job *j, const struct reading *r) MUST_USE;
/* Another try of it, later; or the end. */
enum verdict request_again(struct call *c, struct job *j, const struct reading *r) MUST_USE;
/* The token was refused: once more with another; or the end. */
enum verdict request_renew(struct call *c, struct job *j, const struct reading *r) MUST_USE;
usec_t request_backoff(struct job *j); /* how long to wait before the next try */
/* The call of a job that is here is no longer wanted. */
void statement_cancelled(struct job *j);

/* ---- what comes of an answer: submit.c, poll.c, fetch.c, rest.c ---- */
enum verdict submit_done(struct call *c, struct job *j, struct reading *r) MUST_USE;
enum verdict poll_done(struct call *c, struct job *j, struct reading *r) MUST_USE;
enum verdict cancel_done(struct call *c, struct job *j, struct reading *r) MUST_USE;
enum verdict fetch_done(struct call *c, struct job *j, struct reading *r) MUST_USE;
enum verdict rest_done(struct call *c, struct job *j, struct reading *r) MUST_USE;
/* The answer becomes what decode reads. */
enum verdict fetch_decode(struct call *c, struct job *j, size_t partition) MUST_USE;
enum verdict rest_submit(struct call *c, struct job *j, struct statement *s) MUST_USE;

/* ---- notice.c ---- */
/* A new stage of a call, for a client that listens. */
void notice(struct call *c, enum mcp_level level, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
