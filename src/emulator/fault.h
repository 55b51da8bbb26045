/* fault.h
 *
 * Scripted faults: what POST /control/faults set, matched to requests in the order of setting. One fault per request.
 *
 * Owner: the HTTP thread.
 */
#ifndef SNOWGATE_EMULATOR_FAULT_H
#define SNOWGATE_EMULATOR_FAULT_H

#include <jansson.h>
#include "snowgate/base.h"

enum operation { OP_SUBMIT, OP_POLL, OP_FETCH, OP_CANCEL, OP_CONTROL, OP_OTHER, OPS_N };

enum fault_body { FAULT_BODY_JSON, FAULT_BODY_HTML, FAULT_BODY_EMPTY };

/* What is to happen; all zero: nothing. Steps in the order of a request's life. */
struct fault_action {
	bool token_expired;         /* 401; the token that was presented stays refused */
	bool reset_before;          /* TCP reset, nothing executed */
	bool hang;                  /* never answered; `after`: executed first */
	int status;                 /* this status instead of work, or with `after` instead of its answer; 0: none */
	enum fault_body body;       /* of that status */
	char code[8], message[256]; /* of its JSON body; empty: what Snowflake sends with the status */
	int64_t retry_after_s;
	bool after;
	usec_t hold;        /* the statement runs so long before it executes */
	usec_t sync_wait;   /* the time a synchronous submit waits before 202; 0: the usual 45 s */
	int polls_202;      /* so many status calls answer 202 whatever the truth */
	bool reset_after;   /* executed, then a TCP reset */
	bool truncate_gzip; /* the body is gzip and lacks its second half */
	bool half_body;     /* the connection ends half way through the body */
	bool not_json;      /* 200 with a body that is no JSON */
	bool huge_header;
	bool chunked;
	usec_t drip;  /* four bytes at a time, so far apart */
	usec_t delay; /* before the answer */
};

struct faults;
struct faults *faults_new(void);
void faults_free(struct faults *faults);
/* Adds one from {"match":{...},"action":{...}}. False and a sentence when it is not understood. */
bool faults_add(struct faults *faults, const json_t *spec, bool tls, char *why, size_t size) MUST_USE;
void faults_clear(struct faults *faults);
/* Takes the first that fits; all zero when none does. `sql` may be NULL. */
void faults_take(struct faults *faults, enum operation op, const char *sql, struct fault_action *action);
/* [{"spec":...,"left":1,"hits":0},...], a new reference. */
json_t *faults_json(const struct faults *faults);

#endif
