/* gateway_internal.h
 *
 * The gateway's own state and the functions its files share. owner: NET, but for what is marked.
 */
#ifndef SNOWGATE_GATEWAY_INTERNAL_H
#define SNOWGATE_GATEWAY_INTERNAL_H

#include "account.h"
#include "journal.h"
#include "queue.h"
#include "snowgate/auth.h"
#include "snowgate/file.h"
#include "snowgate/gateway.h"
#include "snowgate/log.h"
#include "snowgate/metric.h"
#include "snowgate/session.h"
#include "snowgate/snowflake.h"
#include "snowgate/store.h"
#include "snowgate/tools.h"
#include "snowgate/transport.h"

struct batch;
struct listener;

/* Where the answer of a call is to be heard; one of the two is "". */
struct heard {
	char stream[STREAM_ID_SIZE], task[TASK_ID_SIZE];
};

/* A tasks/get whose answer another call makes; one allocation. */
struct task_get {
	char task[TASK_ID_SIZE];
	int64_t created, updated; /* wall seconds */
	size_t id_n;
	char id[]; /* raw JSON */
};
/* What replicas tell each other; replica.h */
enum tale { TALE_CANCEL, TALE_ENDED, TALE_REPLY, TALE_WATCHES, TALE_TAKEN, TALE_UPDATED, TALE_TASK, TALES_N };

/* A write that may have been sent. Where the store is not memory it is recorded: whoever serves the store next goes on
 * with it. */
struct sent_write {
	bool there, keyed;   /* keyed: its client can ask for it by its idempotency key */
	char request_id[37]; /* what operators know it by */
	char handle[128];    /* as clients have it; "": not known yet */
};

/* NET's record of a call that is on its way: what a cancel, a departure or a deletion needs to find. It lives from the
 * call's birth to its end, wherever the call is.
 *
 * Where its answer goes is one of: an exchange; a stream, which an exchange may or may not be reading; a batch; or,
 * once it was answered or its client has left, nowhere. */
struct ticket {
	handle_t self, exchange;
	struct stream *stream;
	struct batch *batch;
	struct account *account;
	struct session *session; /* its open_calls counts this one; NULL without */
	struct call *waiting;    /* in the queue; NULL elsewhere */
	struct call *emitting;   /* waits for room at its client; NULL elsewhere */
	struct call *asking;     /* waits for its client's answers; NULL elsewhere */
	struct ticket *asking_next;
	uint64_t first_ask; /* number of its first open question */
	char *request_id;   /* raw token, for notifications/cancelled; NULL for none */
	bool slot, cancelled, modern;
	bool left; /* to the process that comes after this one */
	struct sent_write write;
	bool taken;                        /* by another process, which answers */
	bool adopts;                       /* its call begins again, and has not been given its stream yet */
	char operation[OPERATION_ID_SIZE]; /* its record's id; "": it has none, as far as is known here */
	uint64_t version;                  /* of that record, while the call holds it; else 0 */
	bool journaled;                    /* its stream is in the record */
	uint64_t recorded;                 /* number of the event that its answer is, where the store has it; else 0 */
	char result[20];                   /* GET /results: the request's id; "" for all others */
	bool exports;                      /* its answer is a stream of bytes, which is open */
	bool revoked;                      /* GET /results: no key and policy lets its principal in any more */
	size_t emitted;                    /* bytes of the piece at hand that its client has been given */
	struct timer lifetime;             /* of that stream */
	struct {                           /* what its call has become, or is to be once that is recorded */
		char id[TASK_ID_SIZE];     /* "": none */
		bool told;                 /* its client knows: its end goes to the store, and to no exchange */
		bool unwanted;             /* an x is in its log, or on its way there */
		char last;                 /* what it is there, as call.op.last; 0: it goes on */
		int64_t created, updated;  /* wall seconds */
		struct ticket *by_id;      /* next in its bucket */
	} task;
	bool takes_task;            /* rather than a stream or `running` */
	struct task_get *get;       /* its answer is that of a tasks/get; NULL: its own */
	bool lone;                  /* nobody can come back for its answer: standard input and output */
	bool watching;              /* executes nothing: waits for a statement that exists */
	bool by_header;             /* its session was named by the header: door 1 */
	struct ticket *by_exchange; /* next in its bucket */
	struct ticket *session_next, *session_prev;
	struct {                 /* what the client wants to be told; notice.c */
		bool may_stream; /* the client takes a stream, and the call is one that may become one */
		enum revision revision;
		const struct limits *limits; /* of its policy; the call's snapshot keeps it */
		char *token;                 /* raw progress token; NULL for none */
		int log_level;               /* -1: none */
		usec_t born, last;
		struct notice latest;
		bool behind; /* it could not be told before the stream was shown */
		struct timer timer;
	} tell;
};

/* ---- listener.c: open event streams ---- */

/* One exchange whose answer is a stream. What it shows: the events of a call's stream; or, for a GET and a
 * subscriptions/listen, whatever has changed since it was told last. */
enum listener_kind { LISTENER_CALL, LISTENER_GET, LISTENER_LISTEN };
struct listener {
	enum listener_kind kind;
	handle_t exchange;
	struct account *account; /* its streams counts this one */
	struct session *session; /* its open_calls counts this one; NULL without */
	usec_t opened;
	struct listener *by_exchange; /* next in its bucket */
	struct listener *next, *prev; /* all of them, oldest first */
	struct listener *older;       /* GET: the one of the same session that was opened before */
	struct stream *stream;        /* CALL */
	uint64_t sent;                /* CALL: number of the last event that went out */
	bool primed;                  /* CALL: its client has an event id to come back with */
	struct subscription *wanted;  /* LISTEN */
};
/* What a subscriptions/listen asked for; one allocation. */
struct subscription {
	uint64_t told[CHANGES_N + 1];
	struct slice id; /* raw JSON */
	struct listen listen;
	const char *canonical[LISTEN_URIS_MAX]; /* of its URIs */
};

struct listeners {
	struct listener *by_exchange[1024];
	struct listener *oldest, *newest;
	struct listener *walk; /* the next one to be told of a change; NULL: nobody is behind */
	bool walk_again;       /* something has changed since the walk began */
	struct timer walking, ageing;
	size_t n;
	uint64_t now[CHANGES_N + 1]; /* generation of each kind; the last is the number of resource updates */
	struct {
		char *uri; /* NULL: there was a later one of the same */
		char *connection;
	} updated[1024]; /* the last updates; update n is at n % 1024 */
};

struct gateway {
	const struct conf *conf;
	struct keyring *keys;
	int64_t keys_expire; /* when the next of them does, wall seconds; 0: not looked yet */
	struct session_keys *session_keys;
	struct session_table *sessions;
	struct account_table *accounts;
	struct queue queue;
	struct handle_table *tickets;
	struct ticket *by_exchange[1024], *by_task[1024];
	struct wheel *wheel;
	struct transport *transport;
	struct timer sweep, leases, drain, look;
	usec_t leases_look; /* nothing of others is looked for before */
	enum { PHASE_SERVING, PHASE_DRAINING, PHASE_REFUSING } phase;
	bool succeeded; /* it stops, and somebody else serves after it at once: new clients wait for him */
	/* The last ids that were deleted, so that a record on its way back from the store does not revive one. */
	char ended[256][SESSION_ID_SIZE];
	size_t ended_n;
	/* The last calls that were cancelled and were not here. */
	struct unwanted {
		char session[SESSION_ID_SIZE], request[80];
	} unwanted[64];
	size_t unwanted_n;
	struct retired *retired; /* old snapshots still in use */
	struct stream_pool *streams;
	struct listeners listeners;
	struct ticket *asking; /* tickets whose call waits for its client */
	size_t asking_bytes;
	uint64_t asked; /* questions sent so far: no two have the same id */
	struct {
		struct forgotten *first, **last;
		size_t n;
	} forgotten;
	struct seal_keys sealing; /* request states; read-only after start */
	struct seal_keys journal; /* messages and events in the store; read-only after start, any thread */
	bool stored;              /* the store is well */
	bool memory;              /* nothing outlives the process; read-only after start, any thread */
	struct batch *batches;
};
extern struct gateway gateway;

/* ---- gateway.c ---- */
void net_begin(void); /* what NET does before its loop; the simulator has a loop of its own */
extern const struct store_ops gateway_store_ops;

/* ---- ticket.c ---- */
struct ticket *ticket_open(struct call *c, handle_t exchange); /* NULL when there are too many calls */
void ticket_close(struct ticket *t);
struct ticket *ticket_of(const struct call *c);
struct ticket *ticket_by_exchange(handle_t exchange);
void ticket_leave_exchange(struct ticket *t);                   /* its exchange is answered, gone, or somebody else's */
void ticket_take_exchange(struct ticket *t, handle_t exchange); /* it had none */
struct slice ticket_request_id(const struct ticket *t);         /* raw JSON, that its answer bears */
bool ticket_answered(const struct ticket *t);                   /* nobody waits for its answer any more */
/* Moves the answer to wherever it goes. An answer without a body ends a stream without a response. */
void ticket_answer(struct ticket *t, struct answer *a);
void ticket_bind_account(struct ticket *t, struct account *a); /* NULL: there is none */
void ticket_bind_session(struct ticket *t, struct session *s);
/* The call is no longer wanted: out of the queue, or cancelled on its way. `cause` is a label of METRIC_cancels. */
void ticket_cancel(struct ticket *t, const char *cause);
void ticket_left(struct ticket *t); /* its client has left and cannot come back for the answer */
/* Every ticket of this session (and, where there is one, with this raw request id), but for the one that asks. */
bool tickets_cancel(const struct session *s, struct slice request_id, handle_t asking, const char *cause);
/* Another replica goes on with this operation, since its record has this version: the call here ends untold. */
void tickets_taken(const char *operation, int64_t version);
size_t tickets_unanswered(void);
size_t tickets_awaited(void); /* also those that are cancelled: Snowflake is being told */

/* ---- gateway.c ---- */
void drain_begin(void);

/* ---- recorded.c ---- */
/* The call's record is in the store: NET hears of it where it is a write. Whoever holds the call. */
void ticket_recorded(struct call *c);
/* The process ends, and the ticket's call is such a write: it is left running, and its client told how to ask for it.
 * False: it is none. */
bool drain_write(struct ticket *t);

/* ---- listener.c ---- */
/* May this account open another stream? Its own limit, its share of connections, and that of all streams. */
bool listener_room(const struct account *a, const struct limits *l);
/* The answer of `exchange` becomes a stream; `head` as transport.h has it. NULL where its client has left. */
struct listener *listener_open(enum listener_kind kind, handle_t exchange, struct account *a, struct session *s,
			       struct answer *head);
void listener_close(struct listener *l); /* ends its exchange */
/* Does its client have an event id to come back with? */
bool listener_can_return(const struct listener *l);
struct listener *listener_by_exchange(handle_t exchange);
void listener_gone(struct listener *l); /* its client has left */
/* Sends what it is behind with, as far as the client takes it. *l may be gone afterwards. */
void listener_pump(struct listener *l);
void listeners_end_session(struct session *s); /* its standalone streams */
void listeners_configure(void);                /* a new snapshot is in force */
void listeners_drain(void);                    /* GETs and subscriptions end; streams of calls stay */
enum stream_sent listener_send(const struct listener *l, const struct sse_event *e);
/* After a send: false where the listener is no more, since its client has left. */
bool listener_stays(struct listener *l, enum stream_sent sent);

/* ---- change.c: what a GET and a subscription hear of ---- */
/* Tells everybody whom it concerns that a list has changed, that a resource was updated. */
void notify_changed(enum change change);
void notify_updated(const struct connection *connection, const char *uri);
void updated_elsewhere(const char *connection, const char *uri); /* the same, heard of another replica */
/* Tells a listener what it is behind with. It may be gone afterwards. */
void listener_tell(struct listener *l);
void changes_walk(void); /* tells all of them, a slice in each turn of the loop */
#define STATE_ID_SIZE 96
/* The priming event of a standalone stream. False where its client has left. */
bool listener_prime(struct listener *l);

/* ---- listen.c: GET and subscriptions/listen ---- */
enum verdict bind_get(struct call *c);
enum verdict bind_listen(struct call *c);
enum verdict bind_subscribe(struct call *c, bool on);

/* ---- stream.c: calls that become streams ---- */
/* The answer becomes a stream where it can; else everything stays as it was. False: it is none. A stream with ids is
 * not shown to its client before its record is in the store. */
bool ticket_stream(struct ticket *t);
/* The call's own stream is in its record now; or could not be put there, and is one without ids. */
void ticket_journaled(struct ticket *t, const char *operation, uint64_t version, bool fine);
bool ticket_unrecorded(const struct ticket *t); /* it has a stream that waits for that */
/* Asks for it again, wherever the call is. */
void ticket_record(struct ticket *t);
/* Its events up to `number` are in the store; or that one could not be put there. */
void stream_told(struct stream *s, uint64_t number, bool fine);
/* The work is over and the call is at hand: what its stream still needs goes to the store, and what its answer is to be
 * there is put into c->op. */
void ticket_conclude(struct ticket *t, struct call *c);
bool answer_has_rows(const struct call *c);        /* rows are not for the store */
struct heard ticket_heard(const struct ticket *t); /* of one with a stream or a task */
/* The first thing a reader gets who can come back: where he is, and after what time he may (2025-11-25). */
void stream_prime(struct listener *l, uint64_t number);
/* The work is not over after all: what ticket_conclude() and the handler have made of it is taken back. */
void ticket_reopen(struct ticket *t, struct call *c);
/* Another replica tells its answer. Where the client has seen nothing, and could not come back, it waits on here. */
void stream_taken(struct ticket *t);
/* Adds an event to a call's stream and sends it on. False where there is no room. */
bool ticket_event(struct ticket *t, struct slice data, bool last);
void ticket_leave_stream(struct ticket *t); /* its stream is somebody else's */
/* The answer is the stream's last event; without a body the stream ends and is forgotten. */
void ticket_finish(struct ticket *t, struct answer *a);
/* The stream's connection ends; the client comes back for the rest with Last-Event-ID. False, and nothing happens,
 * where it could not: no stream, or a client that was never given an event id. */
bool stream_release(handle_t ticket);
/* Neither call nor reader: a stream without ids is freed, one with ids is kept for a while. */
void stream_forsake(struct stream *s);

/* ---- notice.c: progress and log messages ---- */
void tell_begin(struct ticket *t, const struct call *c);
void tell_end(struct ticket *t);
void tell(struct ticket *t, const struct notice *n);
void tell_shown(struct ticket *t);                        /* its stream is open to its client now */
void tell_queued(struct ticket *t);                       /* its place in the line */
void call_notice(struct call *c, const struct notice *n); /* SNOWFLAKE: snowflake_ops */

/* ---- accept.c ---- */
/* Does the client take this media type? The most specific range decides; without the header it takes any. */
bool request_accepts(const struct request *rq, const char *type);
#define TYPE_JSON   "application/json"
#define TYPE_STREAM "text/event-stream"

/* ---- reload.c ---- */
/* Tells clients which lists are not what they were. */
void reload_lists(const struct conf *from, const struct conf *to);
/* Ends standalone streams and subscriptions of principals whom no key and policy lets in any more. */
void reload_listeners(void);

/* ---- ask.c ---- */
/* A client's response; false where it answers no open question. */
bool ask_answered(const struct session *s, const struct rpc *rpc);
/* The id of question `i` of a ticket: what its answer bears. */
#define ASK_ID_SIZE 40
void ask_id(char id[ASK_ID_SIZE], const struct ticket *t, size_t i);
bool ask_complete(const struct call *c);
void ask_over(struct ticket *t); /* the answers are there, or will not come: its call goes on */
/* What a client has answered to question `i`. */
void ask_take(struct ticket *t, size_t i, const json_t *result);
bool ask_shaped(const struct rpc *rpc); /* could it answer a question of another replica? */
void ask_leave(struct ticket *t);       /* its call no longer waits for answers */
/* What a modern request brings back from an input_required. ERR_OK, or c->fault is set. NET or WORKER. */
int ask_resume(struct call *c) MUST_USE;

/* ---- export.c ---- */
/* So long a download may take where mcp.stream_lifetime does not say. */
#define EXPORT_LIFETIME (3600 * USEC_PER_S)
/* One principal's downloads at a time: this share of snowflake.max_connections, each of which may hold one; but some.
 */
#define EXPORTS_SHARE 8
#define EXPORTS_LEAST 2
/* The answer of GET /results where no byte of the result has gone out. */
void export_answer(struct call *c, struct answer *a);
void export_go_on(struct ticket *t);             /* there is room at the client; or nobody any more */
void export_close(struct ticket *t, bool whole); /* its stream ends; not `whole`: as one that has no end */
/* The end of the stream, good or bad; false where there is none. */
bool export_end(struct call *c, struct ticket *t);
void exports_revoke(uint64_t round); /* those of accounts that were not confirmed in this round end */

/* ---- resolve.c ---- */
/* Where the call's plan is made: on a WORKER where its body is large and nothing of NET is needed. */
enum step resolve_step(const struct call *c);

/* ---- batch.c ---- */
enum verdict bind_batch(struct call *c);
void batch_answer(struct batch *b, const char *id, struct answer *a); /* of the element with this raw id, or NULL */
void batch_gone(handle_t exchange);

/* ---- front.c: transport_ops ---- */
#define DRAINING_TEXT "the gateway is shutting down; connect again in a moment"
extern const struct transport_ops front_ops;
/* A call for this request; it runs at once. Where there is no place for one, its answer goes to `batch`, or else to the
 * exchange. */
void call_begin(handle_t exchange, struct request *rq, struct batch *batch);

/* ---- admit.c ---- */
/* The rate, for every message. False: c->fault and Retry-After are set. */
bool admit_rate(struct call *c);
void slots_pass_on(void); /* starts waiting calls while there are slots */
void slot_release(struct ticket *t);

/* ---- reply.c ---- */
/* An HTTP answer that carries a JSON-RPC error. id may be absent. */
void answer_error(struct answer *a, const struct request *rq, enum era era, struct slice id,
		  const struct mcp_fault *fault);
void answer_retry_after(struct answer *a, usec_t after);
/* The whole answer of a tools/call, from c->answer. Any thread that holds the call. */
void answer_tool(struct call *c, struct answer *a);
void answer_early(struct call *c); /* SNOWFLAKE: snowflake_ops */

/* Moves the answer to its exchange; into nothing where the client has left or the listeners are closed. */
void answer_send(handle_t exchange, struct answer *a);

/* The answer of a call into its c->http. */
void reply_answer(struct call *c, const struct ticket *t);

/* ---- bind.c ---- */
/* A call that begins again, and what became of its stream is known. */
enum verdict bind_again(struct call *c);
/* The session as it is now must be in the store before the call is answered. */
void durable_session(struct call *c, struct session *s);
/* It was deleted: its calls but for `asking` are cancelled, its streams end. */
void session_gone(struct session *s, handle_t asking);
void session_gone_id(const char *id); /* its record, on its way back from the store, does not revive it */
/* The DELETE of the session was refused: its record is there still, and may be asked for. */
void session_not_gone(const char *id);

/* ---- settle.c ---- */
#define CHANGED_TEXT "the session is being changed by others; try again"
#define ENDED_TEXT   "the session ended meanwhile"
/* The session has changed under the call: the plan is made again from what it is now. */
enum verdict change_again(struct call *c, const struct session *s);
bool change_tries_left(const struct call *c);

/* ---- durable.c ---- */
/* Another replica has changed the session, which is in memory here: it is read again. */
void session_look(const struct session *s);
/* What a call has put is what the session is. */
void session_committed(struct call *c, struct session *s);

/* ---- counters.c ---- */
/* Of one part of all sessions, then of the next, what was counted since goes into their records. */
void counters_write(size_t parts);
/* The record for the call to put, with all that is not on its way there already; or it was refused after all. False: it
 * is too large. */
bool counters_put(struct call *c, struct session *s) MUST_USE;
void counters_refused(struct call *c, struct session *s);

/* ---- replica.c: what the replicas on one store tell each other ---- */
/* Tells the others; takes `message`. Nothing happens on a store that is not shared. From any thread. */
void replica_tell(enum tale tale, json_t *message);
/* The same before the call is answered, which ends with that; on a shared store only. */
enum verdict call_tell(struct call *c, enum tale tale, json_t *message);
void replica_heard(const char *channel, struct slice value); /* STORE: store_ops */

/* ---- piece.c ---- */
#define GROUP_SIZE 33 /* the store's group of a principal: 32 hex digits and a NUL */
void group_of(char group[GROUP_SIZE], const struct principal *p);

/* ---- operation.c: its record ---- */
/* Records the call with it, once; ticket_journaled() or task_journaled() tells. Whoever holds the call. */
void journal_put(struct call *c, const struct heard *heard);

/* ---- task.c: calls whose answer is asked for [5.12] ---- */
/* May it become a task? Its client has said so and waits for it, and whoever finds its record can go on with it. Any
 * thread that holds the call. */
static inline bool call_takes_task(const struct call *c)
{
	return c->meta.tasks && c->method == MCP_TOOLS_CALL && !c->op.again && c->request->body.n <= JOURNAL_BODY_MAX;
}
/* So often a task should be asked for at most. */
#define TASK_POLL_MS 1000
void task_due(struct timer *timer); /* of tell.timer: it has not been answered quickly */
void task_journaled(struct ticket *t, const char *operation, uint64_t version, int64_t created, bool fine);
/* The task that the record is of; from now on it is found by its id. */
void task_take(struct ticket *t, const struct journal *j);
/* The log of one that begins again has been read: whether it is still wanted is known. */
void task_read(struct ticket *t, const struct call *c);
/* As ticket_conclude(). */
void task_conclude(struct ticket *t, struct call *c);
/* Its end is in the store, or will never be: who listens is told, and it is found in the store alone. */
void task_end(struct ticket *t, const struct answer *a);
void task_forget(struct ticket *t);
/* Its client is asked now, or has answered. */
void task_changed(struct ticket *t);
/* The call's answer becomes that of the tasks/get which it was begun for. */
void task_got(struct ticket *t, struct call *c);
enum verdict bind_task(struct call *c);
/* Of a new subscription: the tasks that are its principal's stay. False: the store has to be asked first. */
bool task_listen(struct call *c, struct listen *l);
/* Those of its tasks that have ended already are told. */
void task_listened(const struct call *c, const struct listener *l);

/* Another replica has ended it, or was asked to cancel it (`unwanted`). */
void task_heard(const char *task, bool unwanted);
struct found;
/* It was looked up: who listens is told of its end. */
void task_found_told(const struct found *f, const struct principal *p);
/* ---- task_look.c ---- */
void task_look(const char *task, const struct principal *principal); /* task_found_told() tells */

/* ---- event.c ---- */
/* An event of the ticket's recorded stream; stream_told() tells. */
void event_post(const struct ticket *t, const struct stream *stream, const struct stream_event *e);

/* ---- resume.c ---- */
/* What STEP_resume found. */
struct found {
	struct found *next;         /* what was found before it */
	char task[TASK_ID_SIZE];    /* that was sought; "": a stream */
	char id[OPERATION_ID_SIZE]; /* "": there is none */
	uint64_t version;
	int64_t due_ms; /* below 1: nobody holds it */
	struct buf record;
	struct store_row *events;
};

/* ---- lease.c: who holds an operation ---- */
/* From now on this process renews what it holds, and takes up what others have left: at once what a process before it
 * did, and on a shared store what any other one does. */
void leases_start(void);
/* The store is well again: who holds something has a lease's time to say so before it is taken from him. */
void leases_wait(void);
void leases_soon(void); /* the store could not be reached, and something has to be done once it can */
/* The operation is nobody's for so long, milliseconds; STORE_NO_DUE: for ever. */
void lease_set(const struct principal *p, const char *operation, uint64_t version, int64_t due_ms);

/* ---- forget.c ---- */
void forgotten_again(void); /* what the store could not forget when it was to */
void forgotten_free(void);

/* ---- adopt.c: work that another process, or another call, has begun ---- */
/* An operation that has not ended: its call begins again, and finds its statement where it is. */
void adopt_left(const char *id, uint64_t version, struct slice record);
/* The stream that was found, back in its session; its call begins again, where its answer has to be made. NULL: it was
 * none of this session's, or cannot be gone on with. */
struct stream *adopt_stream(struct call *c, struct session *s);
/* A task that nobody works on: its call begins again. False: it cannot. */
bool adopt_task(struct journal *j, struct slice record);
/* The same for one that has ended with rows: they go to the tasks/get of `asker`, whose exchange is now its call's. */
bool adopt_rows(struct journal *j, struct ticket *asker);
/* Its call is over: a stream that it was begun for and never had goes. */
void adopt_end(const struct call *c, const struct ticket *t);
/* A call that cannot be bound; where it is one that begins again and whose session has ended, it goes to cancel its
 * statement, or ends in the store. The step it goes to, STEP_reply for all others. */
enum step adopt_orphan(struct call *c);
/* A call that is not here is no longer wanted (the raw token of its id): where it begins again here soon, it is
 * cancelled. */
void adopt_unwanted(const char *session, struct slice request);
/* A call that begins again: what it was given before. False: c->fault is set. */
bool adopt_bound(struct call *c, struct ticket *t) MUST_USE;
/* The plan is made: its statement is the one that there is. False: it may not be sent again, and the answer says so. */
bool adopt_planned(struct call *c) MUST_USE;
/* A call with the idempotency key of an operation goes on with that one's statement. False: c->answer says why not. */
bool journal_join(struct call *c, const char *id, uint64_t version, struct slice record) MUST_USE;
/* ---- worker.c: main ---- */
void worker_start(void);
void worker_stop(void);

#endif
