/* fault.h
 *
 * Scripted faults: what POST /control/faults set, matched to requests in the order of setting. One fault per request.
 *
 * "match": {"op": "submit" or a list of operations, "sql_contains": text, "user": name, "skip": n (the first n that fit
 * pass), "times": n (-1: for ever; 1 unless given), "probability": 0..1 with "seed": n}. The draws of one fault depend
 * on its seed alone, so that a run can be repeated.
 *
 * Owner: the HTTP thread.
 */
#ifndef SNOWGATE_EMULATOR_FAULT_H
#define SNOWGATE_EMULATOR_FAULT_H

#include <jansson.h>
#include "snowgate/base.h"

enum operation {
	OP_SUBMIT,
	OP_POLL,
	OP_FETCH,
	OP_CANCEL,
	OP_OAUTH,
	OP_SEARCH,
	OP_ANALYST,
	OP_AGENT,
	OP_CONTROL,
	OP_OTHER,
	OPS_N
};

/* Their names in control's JSON. */
const char *operation_name(enum operation op);

enum fault_body { FAULT_BODY_JSON, FAULT_BODY_HTML, FAULT_BODY_EMPTY };

/* What is to happen; all zero: nothing. Steps in the order of a request's life. */
struct fault_action {
	bool reset_in_request;      /* TCP reset when half of the request's body has come; matches by op alone */
	bool token_expired;         /* 401; the token that was presented stays refused */
	bool not_yet_valid;         /* 401, 390144 with 394302: the service's clock is behind */
	bool reset_before;          /* TCP reset, nothing executed */
	bool hang;                  /* never answered; `after`: executed first */
	int status;                 /* this status instead of work, or with `after` instead of its answer; 0: none */
	enum fault_body body;       /* of that status */
	char code[8], message[256]; /* of its JSON body; empty: what Snowflake sends with the status */
	int64_t retry_after_s, retry_after_date_s; /* Retry-After: the number; the HTTP date so far ahead */
	bool after;
	usec_t hold;          /* the statement runs so long before it executes */
	usec_t sync_wait;     /* the time a synchronous submit waits before 202; 0: the usual 45 s */
	int polls_202;        /* so many status calls answer 202 whatever the truth */
	bool reset_during;    /* TCP reset while the statement runs, which it goes on doing */
	bool reset_after;     /* executed, then a TCP reset */
	bool reset_in_answer; /* TCP reset half way through the answer's body */
	bool length_long;     /* Content-Length of more than comes */
	bool length_short;    /* Content-Length of half of what comes; plain HTTP only */
	bool bare_partition;  /* a partition as a bare array instead of {"data":...} */
	bool truncate_gzip;   /* the body is gzip and lacks its second half */
	bool half_body;       /* the connection ends half way through the body */
	bool not_json;        /* 200 with a body that is no JSON */
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
/* Takes the first that fits; all zero when none does. `sql` and `user` may be NULL. */
void faults_take(struct faults *faults, enum operation op, const char *sql, const char *user,
		 struct fault_action *action);
/* The same before the body has come: true when the first that fits by its operation is reset_in_request. */
bool faults_take_early(struct faults *faults, enum operation op);
/* [{"spec":...,"left":1,"hits":0},...], a new reference. */
json_t *faults_json(const struct faults *faults);

#endif
