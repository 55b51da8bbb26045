/* Idempotency keys: a call whose key was used before goes on with what that one has begun. */
#include "piece.h"

#include <string.h>

#include "snowgate/kill.h"

/* ---- a key that was used before ---- */

/* The claim of an operation that is no more: out of the way, and once more. */
static void unclaim(struct piece *p, uint64_t version)
{
	struct call *c = p->call;

	piece_clear(p);
	piece_add(p, STORE_CHECK, RECORD_CLAIM, c->op.claim)->version = version;
	piece_add(p, STORE_DEL, RECORD_CLAIM, c->op.claim);
	p->next = STEP_intent;
	p->work.done = operation_recorded;
	store_post(&p->work);
}

/* Another call of this key has been here before: this one goes on with what it has begun. */
static void claimed_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);
	struct store_item *claim = &p->items[0], *operation = &p->items[1];
	struct call *c = p->call;

	if (w->rc != STORE_OK) {
		store_refused(c, "claim");
		piece_go_on(p, STEP_settle);
	} else if (operation->rc == STORE_ABSENT) {
		unclaim(p, claim->version);
	} else if (journal_join(c, operation->key, operation->version, buf_slice(&operation->out))) {
		if (!c->op.version)
			*c->op.id = '\0';
		ticket_recorded(c); /* by the call that came first */
		KILL_POINT(claim_joined);
		piece_go_on(p, c->op.version ? STEP_intent : STEP_sign);
	} else {
		piece_go_on(p, STEP_settle);
	}
}

static void claim_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);
	struct store_item *item = &p->items[0];
	struct call *c = p->call;
	char id[OPERATION_ID_SIZE] = "";

	if (w->rc != STORE_OK) {
		store_refused(c, "claim");
		piece_go_on(p, STEP_settle);
		return;
	}
	if (item->rc == STORE_OK)
		(void)piece_key(item, sizeof id, id);
	c->op.claimed = *id && strcmp(id, c->op.id) == 0;
	if (!*id && c->op.again)
		c->op.claimed = true; /* and is no more */
	if (!*id && !c->op.again && !operation_begin_anew(c)) {
		store_refused(c, "claim");
		piece_go_on(p, STEP_settle);
		return;
	}
	if (!*id || c->op.claimed) { /* gone meanwhile; or this very operation's, which begins again */
		piece_go_on(p, STEP_intent);
		return;
	}
	buf_clear(&item->out);
	p->work.done = claimed_done;
	piece_add(p, STORE_GET, RECORD_OPERATION, id)->out = buf_with_ceiling(STORE_VALUE_MAX);
	store_post(w);
}

void claim_read(struct piece *p)
{
	KILL_POINT(claim_found);
	piece_clear(p);
	p->work.done = claim_done;
	piece_add(p, STORE_GET, RECORD_CLAIM, p->call->op.claim)->out = buf_with_ceiling(STORE_KEY_MAX);
	store_post(&p->work);
}

void piece_put_claim(struct piece *p, const struct call *c)
{
	struct store_item *item;

	piece_add(p, STORE_CHECK, RECORD_CLAIM, c->op.claim)->version = 0;
	item = piece_add(p, STORE_PUT, RECORD_CLAIM, c->op.claim);
	item->value = slice_of(c->op.id);
	item->ttl_ms = OPERATION_KEPT_MS;
}
