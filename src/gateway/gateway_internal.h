/* gateway_internal.h
 *
 * The gateway's own state and the functions its files share. owner: NET, but for what is marked.
 */
#ifndef SNOWGATE_GATEWAY_INTERNAL_H
#define SNOWGATE_GATEWAY_INTERNAL_H

#include "account.h"
#include "queue.h"
#include "snowgate/auth.h"
#include "snowgate/file.h"
#include "snowgate/gateway.h"
#include "snowgate/http.h"
#include "snowgate/log.h"
#include "snowgate/metric.h"
#include "snowgate/session.h"
#include "snowgate/snowflake.h"
#include "snowgate/store.h"
#include "snowgate/tools.h"

/* NET's record of a call that is on its way: what a cancel, a departure or a deletion needs to find. It lives from the
 * call's birth to its end, wherever the call is. */
struct ticket {
	handle_t self, exchange; /* exchange 0: answered early, or its client has left */
	struct account *account;
	struct session *session; /* its open_calls counts this one; NULL without */
	struct call *waiting;    /* in the queue; NULL elsewhere */
	char *request_id;        /* raw token, for notifications/cancelled; NULL for none */
	bool slot, cancelled, modern;
	bool watching;              /* executes nothing: waits for a statement that exists */
	struct ticket *by_exchange; /* next in its bucket */
};

struct gateway {
	const struct conf *conf;
	struct keyring *keys;
	struct session_keys *session_keys;
	struct session_table *sessions;
	struct account_table *accounts;
	struct queue queue;
	struct handle_table *tickets;
	struct ticket *by_exchange[1024];
	struct wheel *wheel;
	struct http *http;
	struct timer sweep, drain, look;
	enum { PHASE_SERVING, PHASE_DRAINING, PHASE_REFUSING } phase;
	/* The last ids that were deleted, so that a record on its way back from the store does not revive one. */
	char ended[256][SESSION_ID_SIZE];
	size_t ended_n;
	struct retired *retired; /* old snapshots still in use */
};
extern struct gateway gateway;

/* ---- ticket.c ---- */
struct ticket *ticket_open(struct call *c); /* NULL when there are too many calls */
void ticket_close(struct ticket *t);
void ticket_answered(struct ticket *t); /* its exchange is answered, or its client gone */
struct ticket *ticket_of(const struct call *c);
struct ticket *ticket_by_exchange(handle_t exchange);
void ticket_bind_account(struct ticket *t, struct account *a); /* NULL: there is none */
void ticket_bind_session(struct ticket *t, struct session *s);
/* The call is no longer wanted: out of the queue, or cancelled on its way. */
void ticket_cancel(struct ticket *t);
/* Every ticket of this session (and, where there is one, with this raw request id), but for the one that asks. */
void tickets_cancel(const struct session *s, struct slice request_id, handle_t asking);
size_t tickets_unanswered(void);

/* ---- front.c: http_ops ---- */
extern const struct http_ops front_ops;

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

/* ---- durable.c ---- */
/* The session as it is now must be in the store before the call is answered. */
void durable_session(struct call *c, const struct session *s);

/* ---- worker.c: main ---- */
void worker_start(void);
void worker_stop(void);

#endif
