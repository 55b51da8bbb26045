/* The record of an operation: written before a write is sent, with the handle, and when its answer becomes a stream. */
#include "piece.h"

#include <string.h>

#include "snowgate/kill.h"

int64_t lease_of(const struct conf *conf)
{
	return store_shared() ? conf->store_lease / USEC_PER_MS : 0;
}

void operation_begin(struct call *c)
{
	struct statement *s = c->plan_n ? &c->plan[0] : NULL;

	if (!*c->op.id) {
		crypt_uuid(c->op.id);
		c->op.created = clock_wall();
	}
	if (s && s->kind == STATEMENT_RUN && !s->metadata && !*s->request_id)
		crypt_uuid(s->request_id);
}

static void put_pointer(struct piece *p, const struct call *c, enum record_kind kind, const char *key)
{
	struct store_item *item = piece_add(p, STORE_PUT, kind, key);

	item->value = slice_of(c->op.id);
	item->ttl_ms = OPERATION_KEPT_MS;
}

bool piece_put_operation(struct piece *p, struct call *c, int64_t due_ms)
{
	char key[STORE_KEY_MAX];
	struct buf *value = piece_value(p, STORE_VALUE_MAX);
	struct store_item *item = piece_add(p, STORE_CHECK, RECORD_OPERATION, c->op.id);

	if (!journal_write(value, &gateway.journal, c))
		return false;
	item->version = c->op.version;
	p->put = !c->op.version || due_ms == STORE_NO_DUE; /* its end is a version that nobody took over */
	c->op.version += p->put;
	p->lease_end = store_shared() ? clock_now() + c->request->conf->store_lease : 0;
	if (!c->op.lease_end)
		c->op.lease_end = p->lease_end;
	item = piece_add(p, p->put ? STORE_PUT : STORE_KEEP, RECORD_OPERATION, c->op.id);
	item->value = buf_slice(value);
	item->ttl_ms = OPERATION_KEPT_MS;
	item->due_ms = due_ms;
	if (*c->op.stream)
		put_pointer(p, c, RECORD_STREAM, c->op.stream);
	if (*c->op.task) {
		key_of_task(key, c->op.task, p->group);
		put_pointer(p, c, RECORD_TASK, key);
	}
	return true;
}

void piece_del_operation(struct piece *p, const struct call *c)
{
	char key[STORE_KEY_MAX];

	piece_add(p, STORE_DEL, RECORD_OPERATION, c->op.id);
	if (*c->op.stream)
		piece_add(p, STORE_DEL, RECORD_STREAM, c->op.stream);
	if (!*c->op.task)
		return;
	key_of_task(key, c->op.task, p->group);
	piece_add(p, STORE_DEL, RECORD_TASK, key);
}

/* Nothing of a refused piece has happened; of one that a shared store did not answer nobody knows. A lease is longer
 * only where the store has said so. */
void operation_step_back(struct piece *p)
{
	bool nothing = p->work.rc == STORE_STALE || p->work.rc == STORE_FULL || !store_shared();

	if (p->work.rc != STORE_OK && p->put && nothing)
		p->call->op.version--;
	if (p->work.rc == STORE_OK && p->lease_end)
		p->call->op.lease_end = p->lease_end;
	p->put = false;
}

/* ---- intent: before a write is sent ---- */

void store_refused(struct call *c, const char *what)
{
	log_event(LOG_ERROR, "store_refused", log_text("request", c->request->id), log_text("what", what));
	c->fault = (struct mcp_fault){ERR_OVERLOADED, "the store refused the record; try again", NULL};
}

static void recorded(struct call *c)
{
	KILL_POINT(handle_after);
	ticket_recorded(c);
}

void operation_recorded(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);

	operation_step_back(p);
	if (w->rc != STORE_OK) /* the statement runs, and its outcome is told all the same */
		log_event(LOG_ERROR, "store_refused", log_text("request", p->call->request->id),
			  log_text("what", "handle"));
	else if (p->call->op.version)
		recorded(p->call);
	piece_call_on(p);
}

/* ---- intent ---- */

/* On a shared store only while nobody can have taken it over. */
bool operation_begin_anew(struct call *c)
{
	usec_t half = c->request->conf->store_lease / 2;

	if (c->op.again || c->op.repeated || (c->op.lease_end && clock_now() > c->op.lease_end - half))
		return false;
	c->op.repeated = true;
	c->op.version = 0;
	*c->op.stream = '\0';
	return true;
}

void operation_lost(struct call *c)
{
	c->op.taken = true;
	metric_count(METRIC_operations, "lost");
	log_event(LOG_WARN, "operation_lost", log_text("request", c->request->id), log_text("operation", c->op.id));
}

/* It is another one's, or will be: only its caller, where he waits for this very answer, is told something. */
static void operation_leave(struct call *c)
{
	struct statement *s = &c->plan[0];

	operation_lost(c);
	if (c->op.again)
		return;
	s->state = STATEMENT_UNKNOWN;
	s->failure = (struct failure){.err = ERR_OUTCOME_UNKNOWN, .message = err_info(ERR_OUTCOME_UNKNOWN)->text};
	tool_statement_error(c, s);
}

/* Where its statement was at Snowflake's door already, that is where it ends. */
static void intent_failed(struct piece *p)
{
	struct call *c = p->call;

	c->cancelled |= c->plan[0].job != NULL;
	piece_go_on(p, c->plan[0].job ? STEP_sign : STEP_settle);
}

/* Another process has begun it: the call goes on with the same statement, by its handle or its request id. */
static void follow_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);
	struct store_item *item = &p->items[0];
	struct call *c = p->call;

	if (w->rc == STORE_OK && item->rc == STORE_OK &&
	    journal_join(c, item->key, item->version, buf_slice(&item->out))) {
		*c->op.id = *c->op.stream = '\0';
		c->op.version = 0;
		c->op.lease_end = 0;
		piece_go_on(p, STEP_sign);
		return;
	}
	operation_leave(c);
	intent_failed(p);
}

static void follow(struct piece *p)
{
	piece_clear(p);
	p->work.done = follow_done;
	piece_add(p, STORE_GET, RECORD_OPERATION, p->call->op.id)->out = buf_with_ceiling(STORE_VALUE_MAX);
	store_post(&p->work);
}

static void intent_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);
	struct call *c = p->call;

	operation_step_back(p);
	if (w->rc == STORE_OK) {
		KILL_POINT(intent_after);
		if (c->op.claim && !c->op.claimed)
			KILL_POINT(claim_after);
		c->op.claimed |= c->op.claim && !c->op.again;
		piece_call_on(p);
	} else if (w->rc == STORE_STALE && c->op.claim && !c->op.claimed) {
		claim_read(p);
	} else if (w->rc == STORE_STALE && operation_begin_anew(c)) {
		piece_go_on(p, STEP_intent);
	} else if (w->rc == STORE_STALE && !c->op.again) {
		follow(p);
	} else if (c->op.again) {
		operation_leave(c);
		intent_failed(p);
	} else {
		store_refused(c, "intent");
		if (!*c->op.task && !*c->op.stream) /* what its client knows of has to have its end */
			operation_forget(c);
		intent_failed(p);
	}
}

enum verdict step_intent(struct call *c)
{
	struct piece *p = piece_new(c, intent_done);

	operation_begin(c);
	if (!piece_put_operation(p, c, lease_of(c->request->conf))) {
		piece_free(p);
		store_refused(c, "intent");
		return call_goto(c, STEP_settle);
	}
	KILL_POINT(intent_before);
	if (c->op.claim && !c->op.claimed) {
		KILL_POINT(claim_before);
		piece_put_claim(p, c);
	}
	return piece_post(p, c, STEP_sign);
}

/* ---- handle: what is recorded is recorded again with its handle ---- */

enum verdict step_handle(struct call *c)
{
	struct piece *p = piece_new(c, operation_recorded);

	operation_begin(c);
	KILL_POINT(handle_before);
	if (piece_put_operation(p, c, lease_of(c->request->conf)))
		return piece_post(p, c, STEP_poll);
	piece_free(p);
	return call_goto(c, STEP_poll);
}

/* ---- a call becomes a stream with ids, or a task ---- */

struct journaled {
	struct mail mail;
	handle_t ticket;
	bool fine;
	uint64_t version;
	char operation[OPERATION_ID_SIZE];
	int64_t created;
};

static void journaled_deliver(struct mail *m)
{
	struct journaled *d = container_of(m, struct journaled, mail);
	struct ticket *t = handle_get(gateway.tickets, d->ticket);

	OWNED_BY(THREAD_NET);
	if (t && t->stream)
		ticket_journaled(t, d->operation, d->version, d->fine);
	else if (t && *t->task.id)
		task_journaled(t, d->operation, d->version, d->created, d->fine);
	free(d);
}

static void journal_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);
	struct journaled *d = xalloc(sizeof *d);

	*d = (struct journaled){.mail = {.deliver = journaled_deliver},
				.ticket = p->ticket,
				.fine = w->rc == STORE_OK,
				.version = p->version};
	memcpy(d->operation, p->operation, sizeof d->operation);
	d->created = p->created;
	KILL_POINT(stream_after);
	piece_free(p);
	mail_post(THREAD_NET, &d->mail);
}

void journal_put(struct call *c, const struct heard *heard)
{
	struct piece *p;

	if (*c->op.stream || *c->op.task)
		return;
	p = piece_new(c, journal_done);
	memcpy(c->op.stream, heard->stream, sizeof c->op.stream);
	memcpy(c->op.task, heard->task, sizeof c->op.task);
	operation_begin(c);
	p->ticket = c->ticket;
	memcpy(p->operation, c->op.id, sizeof p->operation);
	p->created = c->op.created;
	KILL_POINT(stream_before);
	if (piece_put_operation(p, c, lease_of(c->request->conf))) {
		p->version = c->op.version;
		store_post(&p->work);
		return;
	}
	*c->op.stream = *c->op.task = '\0';
	piece_free(p);
}
