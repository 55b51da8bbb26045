/* call.h
 *
 * The travelling object. A call is one MCP message on its way: it is moved from thread to thread along the table
 * tbl/step.def, belongs to the thread (or the queue, the transfer, the batch) that holds it, and dies in the reply step
 * or, where its exchange was answered early, when its statement is terminal.
 *
 * Slot, quota and audit belong to the call, not to the exchange: they are given back when the call ends, not when the
 * client leaves.
 */
#ifndef SNOWGATE_CALL_H
#define SNOWGATE_CALL_H

#include "snowgate/context.h"
#include "snowgate/err.h"
#include "snowgate/exchange.h"
#include "snowgate/mail.h"
#include "snowgate/mcp.h"
#include "snowgate/rows.h"
#include "snowgate/session.h"
#include "snowgate/sql.h"
#include "snowgate/wheel.h"

enum verdict { NEXT, WAIT, DONE };

enum step {
#define STEP(name, thread, file, waits_for) STEP_##name,
#include "snowgate/tbl/step.def"
#undef STEP
	STEPS_N
};

#define CALL_LARGE        (64 * 1024) /* bytes from which parsing, guarding and rendering go to a WORKER */
#define PLAN_MAX          8           /* statements in a plan */
#define OPERATION_ID_SIZE 37          /* a UUID and a NUL */

/* ---- a statement of the plan ---- */

enum statement_kind {
	STATEMENT_RUN,    /* submit SQL, wait, fetch a window of its rows */
	STATEMENT_ATTACH, /* wait for a statement that exists, fetch a window of its rows */
	STATEMENT_CANCEL, /* cancel a statement that exists */
	STATEMENT_REST    /* one POST to another endpoint of the account; its answer comes into `raw` */
};
/* Where a statement is. */
enum statement_state {
	STATEMENT_NEW,     /* nothing sent */
	STATEMENT_SENT,    /* submitted, handle not known yet */
	STATEMENT_RUNNING, /* handle known, not terminal */
	STATEMENT_SUCCEEDED,
	STATEMENT_FAILED,
	STATEMENT_CANCELLED,
	STATEMENT_UNKNOWN /* a write whose fate is unknown */
};
/* Why it failed. Texts are in the call's arena. */
struct failure {
	enum err err; /* ERR_SQL, ERR_UPSTREAM..., ERR_TIMEOUT, ERR_OUTCOME_UNKNOWN; ERR_OK: it did not */
	const char *code, *sqlstate; /* Snowflake's, NULL where it gave none */
	const char *message;
};
struct job;
/* Where reading a result stopped. */
enum fed {
	FED_MORE,  /* `raw` is used up, and the partition goes on */
	FED_SLICE, /* one visit has read its share; there is more in `raw` */
	FED_PIECE, /* `text` is a piece for the client; there is more in `raw` */
	FED_END,   /* the partition is at its end */
	FED_SKIP,  /* no row of it is wanted */
	FED_FULL   /* the window is full */
};
struct reader;
struct call;
struct notice;
struct sse_message;

struct statement {
	enum statement_kind kind;
	/* fixed by the plan */
	const char *sql;         /* RUN */
	const char *path, *body; /* REST: the path with its query; JSON text */
	/* REST, or NULL: the answer is a stream of events, and this is called with each as it comes. True: *notice is
	 * to be told to a client that listens. SNOWFLAKE. */
	bool (*event)(struct call *c, const struct sse_message *event, struct notice *notice);
	size_t collected;     /* REST: bytes of events that are kept; event()'s to count */
	bool crowded;         /* REST: too much is held for all calls together: event() keeps no more */
	const char *settings; /* RUN: an ALTER SESSION that goes before it in one request; NULL: none */
	size_t statements;    /* RUN: in `sql`, where there is more than one */
	json_t *bindings;     /* array of {"type","value"}; NULL for none; owned by the arena */
	struct context context;
	bool metadata;           /* the gateway's own short one: sent sync, not journalled */
	bool write;              /* CLASS_DML or more: retry=true from the first try, journalled */
	bool again;              /* RUN: begun before, under `request_id`; where `handle` is known it is only polled */
	int64_t timeout_s;       /* Snowflake's limit on it */
	size_t offset, rows;     /* the window of rows wanted; rows 0: only the outcome */
	size_t bytes;            /* metadata: most bytes of rows kept */
	enum rows_format format; /* what rows are written as, but for metadata */
	struct rows_budget budget;
	bool whole; /* every row to the end, in pieces that step emit takes out of `text` */
	/* SNOWFLAKE's */
	enum statement_state state;
	char request_id[37];
	char handle[64]; /* query id; ATTACH and CANCEL: given */
	/* of a multi-statement request: the handles of its statements; `handle` is then the last one's, whose rows are
	 * the statement's. Without the ALTER SESSION of `settings`, but where the request was another call's (ATTACH).
	 */
	const char *const *children;
	size_t children_n;
	usec_t sent;
	int polls, tries;
	bool cancel_sent;
	struct failure failure;
	struct column *columns;
	size_t columns_n, total_rows;
	size_t partitions_n, next_partition;
	size_t rows_n;       /* of the window, that are there */
	struct cells *cells; /* metadata: here; NULL: none */
	struct rows_writer
	    writer;      /* else: in `text`, as written by it; begun where columns are known and rows wanted */
	struct buf text; /* freed with the call */
	bool has_stats;
	int64_t inserted, updated, deleted, duplicates;
	/* reading: SNOWFLAKE's, and its holder's while a slice is decoded elsewhere */
	struct reader **reader; /* how far it is; the cell is the arena's; NULL: not begun */
	struct buf raw;         /* bytes of a response, as they came; freed with the call */
	size_t raw_at;          /* of them read */
	int raw_partition;      /* which partition it is; 0: with metadata */
	bool raw_begins;        /* a partition begins with them */
	bool raw_last;          /* and ends */
	bool raw_gzip;
	enum fed fed;
	enum err raw_fault; /* what decode found wrong with it */
	struct job *job;    /* SNOWFLAKE's record of the call, between sign and shape */
};

/* ---- the answer of a tool ---- */
struct tool_answer {
	struct buf text;       /* the one text block */
	struct buf structured; /* JSON text of an object; empty: none */
	json_t *meta;          /* _meta of the result; NULL: none; owned by the arena */
	bool is_error;
	bool running; /* answered before the statement's end */
};

/* What a call wants to change in its session; applied in settle, under the version it read. */
struct session_change {
	bool wanted, forget_parameters;
	bool create;            /* set_context without a session: make one */
	struct context context; /* the whole new one */
	const char *format;     /* preferences; NULL, -1: as they were */
	int64_t limit, wait_seconds;
};

/* What happens to a call, for whoever listens: a progress notification, a log message, or both. */
struct notice {
	enum mcp_level level;
	double progress; /* below 0: the seconds since the call began */
	double total;    /* 0: not known */
	bool stage;      /* a new stage of the work, which is also logged; else progress only */
	char text[200];  /* "running, query 01b2..." */
};

struct tool;
struct handler;

struct call {
	uint32_t magic;
	struct mail mail;   /* how it travels */
	struct call *next;  /* where it waits for a slot: the one behind it */
	struct timer timer; /* queue wait (NET), poll and patience (SNOWFLAKE); idle while it travels */
	enum step step;
	struct arena *arena;     /* the request's */
	struct request *request; /* method, headers, principal, policy, configuration snapshot, body */
	bool answered;           /* `running` was told; what comes is not an answer any more */
	handle_t ticket;         /* NET's record of this call: slot, cancel, session; what a cancel mail names */
	usec_t elapsed;          /* what was told of its time; 0: not yet */
	usec_t born, deadline;   /* deadline: when a running statement is answered as `running`; 0: never */

	/* the message */
	struct rpc rpc;
	struct request_meta meta; /* its log level is the session's in the legacy era */
	struct era_verdict era;
	enum method_id method;
	/* the session: by handle, never by pointer, and what was read from it at bind */
	char session_id[SESSION_ID_SIZE]; /* "" without a session */
	bool by_header;                   /* door 1 */
	unsigned can;                     /* enum client_can: what this call's client can be asked; 0 where the answer
					   * cannot be a stream or the session is unknown */
	bool listens;                     /* wants notices: a progress token or a log level was given */
	enum revision revision;           /* that the answer speaks */
	struct context context;           /* the session's or the principal's default */
	uint64_t context_version;
	const char *preferred_format;
	int64_t preferred_limit, preferred_wait;
	bool loaded, sought;        /* the store was asked for the session; for the stream that a GET resumes */
	struct found *found;        /* what it had of that; the gateway's; NULL: nothing */
	const char *session_handle; /* door 2: the argument, checked for its shape; NULL without */
	struct {                    /* what the store must hold before the answer goes out */
		bool put, forget;   /* the session's record; or its end */
		char handle[SESSION_HANDLE_SIZE];
		struct session_names ended; /* a session that had to make room; empty names for none */
		uint64_t version;           /* its record's in the store, that was read or is to be replaced */
		bool fresh;                 /* the session was made by this call: it ends where the store refuses it */
	} durable;
	struct buf record; /* the session's record, read or to be stored */
	/* its record in the journal (gateway/journal.h), which whoever holds the call writes; id "": there is none */
	struct {
		char id[OPERATION_ID_SIZE];
		uint64_t version;            /* of the record, when all that was posted is done; 0: never posted */
		int64_t created;             /* wall seconds */
		char stream[STREAM_ID_SIZE]; /* where its answer goes; "": no stream with ids */
		char last;                   /* what its answer is in the log, see journal.h; 0: nothing */
		uint64_t number;             /* and the event's number */
		bool taken;                  /* by another process */
		bool claimed, repeated;      /* the claim is its own; its intent was recorded anew */
		const char *claim, *digest;  /* of its idempotency key: key of the claim, hash of the arguments; NULL */
		bool again;                  /* what another process or call began: */
		bool over;                   /* it has ended; its answer is rendered again, nothing is recorded */
		bool unknown;                /* it may have been sent, and may not be sent again */
		char request_id[37], handle[64]; /* its statement's */
		json_t *sealed;                  /* what journal_restore() takes; the arena's */
	} op;

	/* the work */
	const struct handler *handler; /* what plans and answers; NULL for what bind answers */
	const struct tool *tool;       /* tools/call only */
	json_t *arguments;             /* object; owned by the arena */
	struct ask asks[ASKS_MAX];     /* what the plan wants to know of the client; see call_ask() */
	size_t asks_n;
	json_t *answers; /* object: the client's answers by key; owned by the arena; NULL: none yet */
	bool unasked;    /* they came of themselves, not to questions about this very call: no consent */
	struct statement plan[PLAN_MAX];
	size_t plan_n, plan_at;
	enum rows_format format;
	struct rows_budget budget;
	size_t offset;
	unsigned class; /* enum statement_class of the client's SQL; 0: none */
	struct session_change change;
	struct {
		int64_t calls_left, running;
	} allowance;      /* of the principal; filled in settle */
	void *tool_state; /* a tool's own, in the arena */

	/* the outcome */
	struct mcp_fault fault; /* a protocol error, unless err is ERR_OK */
	struct tool_answer answer;
	struct buf result;  /* JSON text of the JSON-RPC result; empty where there is none to give */
	usec_t retry_after; /* with a refusal by a limit; 0: none */
	int replans;        /* times the session had changed under it */
	bool cancelled;     /* the client no longer wants it; answer nothing (legacy) or nobody is there (modern) */
	struct answer http;
};

/* ---- the road ---- */
struct call *call_new(struct request *rq); /* takes rq; step parse */
void call_free(struct call *c);            /* and its request, arena and all */
/* Runs the call until it waits, ends or belongs to another thread (then it is posted there). The caller has given it
 * away: it must not touch the call afterwards. */
void call_run(struct call *c);
/* Sets the next step: `return call_goto(c, STEP_reply);` */
enum verdict call_goto(struct call *c, enum step next);
const char *step_name(enum step s);
enum thread step_thread(enum step s);
/* Ends the work with a protocol error: sets the outcome and goes to reply. */
enum verdict call_fail(struct call *c, enum err err, const char *format, ...) PRINTF_LIKE(3, 4);
/* Asks the client: `params` is taken. False (nothing asked): ASKS_MAX are, or no memory. In the legacy era the question
 * goes out on the call's stream, in the modern one the call ends as input_required and comes back as another request;
 * either way the plan is made again, and call_answer() then has what the client sent. Only what c->can allows. */
bool call_ask(struct call *c, const char *key, const char *method, json_t *params) MUST_USE;
/* The client's result under this key as it came (its shape is not checked); NULL: not answered. */
json_t *call_answer(const struct call *c, const char *key);
/* Milliseconds since its birth, for its answer: once told they stay what they are. */
int64_t call_elapsed_ms(struct call *c);
/* The statement at hand; NULL when the plan has none. */
static inline struct statement *call_statement(struct call *c)
{
	return c->plan_at < c->plan_n ? &c->plan[c->plan_at] : NULL;
}

#define STEP(name, thread, file, waits_for) enum verdict step_##name(struct call *c) MUST_USE;
#include "snowgate/tbl/step.def"
#undef STEP

#endif
