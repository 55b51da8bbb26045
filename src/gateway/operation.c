/* The record of an operation: written before a write is sent, with the handle, and when its answer becomes a stream. */
#include "piece.h"

#include <string.h>

/* On a shared store nobody takes an operation over before its holder's statement has had its time. */
#define HOLDER_SPARE_MS ((int64_t)60 * 1000)

int64_t due_of(const struct call *c)
{
	return store_shared() ? c->request->conf->snowflake_statement_timeout / USEC_PER_MS + HOLDER_SPARE_MS : 0;
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

bool piece_put_operation(struct piece *p, struct call *c, int64_t due_ms)
{
	struct buf *value = piece_value(p, STORE_VALUE_MAX);
	struct store_item *item = piece_add(p, STORE_CHECK, RECORD_OPERATION, c->op.id);

	if (!journal_write(value, &gateway.journal, c))
		return false;
	item->version = c->op.version++;
	p->wrote = true;
	item = piece_add(p, STORE_PUT, RECORD_OPERATION, c->op.id);
	item->value = buf_slice(value);
	item->ttl_ms = OPERATION_KEPT_MS;
	item->due_ms = due_ms;
	if (!*c->op.stream)
		return true;
	item = piece_add(p, STORE_PUT, RECORD_STREAM, c->op.stream);
	item->value = slice_of(c->op.id);
	item->ttl_ms = OPERATION_KEPT_MS;
	return true;
}

void piece_del_operation(struct piece *p, const struct call *c)
{
	piece_add(p, STORE_DEL, RECORD_OPERATION, c->op.id);
	if (*c->op.stream)
		piece_add(p, STORE_DEL, RECORD_STREAM, c->op.stream);
}

/* Nothing of a refused piece has happened; of one that a shared store did not answer nobody knows. */
void operation_step_back(struct piece *p)
{
	bool nothing = p->work.rc == STORE_STALE || p->work.rc == STORE_FULL || !store_shared();

	if (p->work.rc != STORE_OK && p->wrote && nothing)
		p->call->op.version--;
}

/* ---- intent: before a write is sent ---- */

void store_refused(struct call *c, const char *what)
{
	log_event(LOG_ERROR, "store_refused", log_text("request", c->request->id), log_text("what", what));
	c->fault = (struct mcp_fault){ERR_OVERLOADED, "the store refused the record; try again", NULL};
}

static void forget_done(struct store_work *w)
{
	piece_free(container_of(w, struct piece, work));
}

/* What may have been recorded all the same must not be found and sent later. */
void operation_forget(struct call *c)
{
	struct piece *p = piece_new(c, forget_done);

	piece_del_operation(p, c);
	store_post(&p->work);
	*c->op.id = *c->op.stream = '\0';
	c->op.version = 0;
}

void operation_recorded(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);

	operation_step_back(p);
	if (w->rc != STORE_OK) /* the statement runs, and its outcome is told all the same */
		log_event(LOG_ERROR, "store_refused", log_text("request", p->call->request->id),
			  log_text("what", "handle"));
	else if (p->wrote)
		ticket_recorded(p->call);
	piece_call_on(p);
}

/* ---- intent ---- */

/* Its stream could not be recorded a while ago, and the record is not as far as was thought. */
static bool begins_anew(struct call *c)
{
	if (c->op.again || c->op.repeated || store_shared())
		return false;
	c->op.repeated = true;
	c->op.version = 0;
	*c->op.stream = '\0';
	crypt_uuid(c->op.id);
	return true;
}

static void intent_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);
	struct call *c = p->call;

	operation_step_back(p);
	p->wrote = false;
	if (w->rc == STORE_OK) {
		c->op.claimed |= c->op.claim && !c->op.again;
		ticket_recorded(c);
		piece_call_on(p);
	} else if (w->rc == STORE_STALE && c->op.claim && !c->op.claimed) {
		claim_read(p);
	} else if (w->rc == STORE_STALE && begins_anew(c)) {
		piece_go_on(p, STEP_intent);
	} else {
		store_refused(c, "intent");
		if (w->rc != STORE_STALE)
			operation_forget(c);
		piece_go_on(p, STEP_settle);
	}
}

enum verdict step_intent(struct call *c)
{
	struct piece *p = piece_new(c, intent_done);

	operation_begin(c);
	if (!piece_put_operation(p, c, due_of(c))) {
		piece_free(p);
		store_refused(c, "intent");
		return call_goto(c, STEP_settle);
	}
	if (c->op.claim && !c->op.claimed)
		piece_put_claim(p, c);
	return piece_post(p, c, STEP_sign);
}

/* ---- handle: what is recorded is recorded again with its handle ---- */

enum verdict step_handle(struct call *c)
{
	struct piece *p = piece_new(c, operation_recorded);

	operation_begin(c);
	if (piece_put_operation(p, c, due_of(c)))
		return piece_post(p, c, STEP_poll);
	piece_free(p);
	return call_goto(c, STEP_poll);
}

/* ---- a call becomes a stream with ids ---- */

struct journaled {
	struct mail mail;
	handle_t ticket;
	bool fine;
	char operation[OPERATION_ID_SIZE];
};

static void journaled_deliver(struct mail *m)
{
	struct journaled *d = container_of(m, struct journaled, mail);
	struct ticket *t = handle_get(gateway.tickets, d->ticket);

	OWNED_BY(THREAD_NET);
	if (t && t->stream)
		ticket_journaled(t, d->operation, d->fine);
	free(d);
}

static void journal_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);
	struct journaled *d = xalloc(sizeof *d);

	*d = (struct journaled){.mail = {.deliver = journaled_deliver}, .ticket = p->ticket, .fine = w->rc == STORE_OK};
	memcpy(d->operation, p->operation, sizeof d->operation);
	piece_free(p);
	mail_post(THREAD_NET, &d->mail);
}

void journal_put(struct call *c, const char *stream)
{
	struct piece *p;

	if (*c->op.stream)
		return;
	p = piece_new(c, journal_done);
	memcpy(c->op.stream, stream, sizeof c->op.stream);
	operation_begin(c);
	p->ticket = c->ticket;
	memcpy(p->operation, c->op.id, sizeof p->operation);
	if (piece_put_operation(p, c, due_of(c))) {
		store_post(&p->work);
		return;
	}
	*c->op.stream = '\0';
	piece_free(p);
}
