/* registry.h
 *
 * Statements by handle and by request id: their life from submission to the loss of their result, and the counters
 * that come of it.
 *
 * A statement is held (a fault asked for it), then runs (on a worker, or on a timer with --stub), then has ended.
 * Whoever waits for its end registers a waiter. An ended statement is kept for 24 hours, within STATEMENTS_MAX
 * statements and RESULT_BYTES_MAX bytes: past those the oldest go first. Deduplication is by user and request id and
 * only for who asks (statement_by_request()); the newest execution answers.
 *
 * Owner: the HTTP thread.
 */
#ifndef SNOWGATE_EMULATOR_REGISTRY_H
#define SNOWGATE_EMULATOR_REGISTRY_H

#include "emulator.h"
#include "gauge.h"
#include "request.h"
#include "result.h"
#include "snowgate/wheel.h"

#define STATEMENTS_MAX   65536
#define RESULT_BYTES_MAX ((size_t)768 << 20)
#define RESULT_LIFE_S    86400
#define ARRIVALS_KEPT    8

enum statement_state {
	STATEMENT_HELD,
	STATEMENT_RUNNING,
	STATEMENT_SUCCEEDED,
	STATEMENT_FAILED,
	STATEMENT_CANCELLED,
	STATEMENT_TIMED_OUT
};

/* How an execution ended: success has a result and no code. */
struct outcome {
	char code[8], sqlstate[8];
	char *message;         /* owned */
	struct result *result; /* owned, one reference */
};

struct statement;
struct statement_waiter {
	void (*ended)(struct statement_waiter *); /* called once, already unregistered */
	struct statement_waiter *next, **prev;    /* prev NULL: not registered */
};

struct statement_link {
	struct statement *next, **prev;
};

struct statement {
	unsigned magic;
	struct registry *registry;
	char handle[37];
	enum statement_state state;
	struct submission submission;
	char *text; /* of one in a multi-statement request; otherwise NULL */
	struct outcome outcome;
	struct statement **children; /* of a multi-statement request that succeeded */
	size_t children_n;
	struct statement *parent;
	int64_t created_ms, ended_ms;       /* wall clock; ended 0 while it runs */
	int64_t cancel_ms;                  /* when the first request to cancel came; 0: none */
	int64_t arrivals_ms[ARRIVALS_KEPT]; /* of the first attempts */
	unsigned executions, attempts;      /* attempts: requests that came to this statement by POST */
	unsigned polls_202;                 /* fault: so many more status calls answer "running" */
	struct run *run;                    /* on a worker */
	struct gauge *by_tag, *by_user;     /* while it runs */
	struct timer hold, limit, wait;     /* held; the statement's timeout; a stub's waiting time */
	struct statement_waiter *waiters;
	struct statement *older, *newer;             /* all of them, in order of creation */
	struct statement_link of_handle, of_request; /* hash chains, newest first */
};

struct statement_counts {
	uint64_t submitted, executions, cancelled, succeeded, failed, timed_out;
	uint64_t repeated; /* executions of a user's request id that had been executed before */
	size_t running, max_running, kept, bytes;
};

struct registry *registry_new(struct emulator *emulator);
/* Cancels what runs. Workers must still be collected (pool_free()) before registry_free(). */
void registry_stop(struct registry *registry);
void registry_free(struct registry *registry);

/* Takes the submission (its content, leaving it empty) and starts it after `hold` microseconds. */
struct statement *statement_start(struct registry *registry, struct submission *submission, usec_t hold);
/* Only statements of `user` are found (NULL: of anyone). NULL when there is none. */
struct statement *statement_by_handle(struct registry *registry, const char *handle, const char *user);
struct statement *statement_by_request(struct registry *registry, const char *request_id, const char *user);
/* A handle of the service's form that belongs to no statement: errors before the start of one carry a handle too. */
void registry_handle(struct registry *registry, char out[37]);
bool statement_has_ended(const struct statement *s);
const char *statement_text(const struct statement *s);
const char *statement_state_name(enum statement_state state);
/* One more POST came to it. */
void statement_arrives(struct statement *s);
/* Ends it as cancelled, whatever the worker does. Only before it has ended. */
void statement_cancel(struct statement *s);

void statement_wait(struct statement *s, struct statement_waiter *waiter);
void statement_unwait(struct statement_waiter *waiter); /* not registered: nothing happens */

const struct statement_counts *registry_counts(const struct registry *registry);
/* By user; or by QUERY_TAG, where a tag that is a JSON object with a text "principal" counts under that text. */
json_t *registry_gauges(const struct registry *registry, bool by_tag);
json_t *registry_executions(const struct registry *registry); /* {"user":n,...} */
/* Forgets ended statements and all counters; what runs goes on. */
void registry_reset(struct registry *registry);
struct statement *registry_newest(struct registry *registry);

#endif
