/* An operation that another replica may still be at is taken over: from its commit on, all that one writes is refused.
 */
#include "piece.h"

#include "snowgate/kill.h"

/* Somebody else was faster, or the store is gone: its client comes back for the answer. */
static void take_lost(struct call *c, enum store_rc rc)
{
	log_event(LOG_INFO, "operation_not_taken", log_text("request", c->request->id), log_text("operation", c->op.id),
		  log_text("reason", rc == STORE_STALE ? "another has it" : "store"));
	c->op.version = 0;
	c->fault = (struct mcp_fault){ERR_OVERLOADED, "another replica goes on with the call", NULL};
}

static void taken_over(const struct call *c)
{
	KILL_POINT(adopt_after);
	metric_count(METRIC_operations, "adopted");
	log_event(LOG_INFO, "operation_adopted", log_text("request", c->request->id), log_text("operation", c->op.id),
		  log_text("query", c->op.handle), log_text("principal", c->request->principal.subject));
}

static void take_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);
	struct call *c = p->call;

	if (w->rc != STORE_OK) {
		take_lost(c, w->rc);
		p->next = STEP_reply;
	} else {
		taken_over(c);
		c->op.version = p->items[1].version;
	}
	buf_free(&c->record);
	piece_call_on(p);
}

enum verdict step_take(struct call *c)
{
	struct piece *p = piece_new(c, take_done);
	struct store_item *item;

	piece_add(p, STORE_CHECK, RECORD_OPERATION, c->op.id)->version = c->op.version;
	item = piece_add(p, STORE_PUT, RECORD_OPERATION, c->op.id);
	item->value = buf_slice(&c->record);
	item->ttl_ms = OPERATION_KEPT_MS;
	item->due_ms = lease_of(c->request->conf);
	c->op.lease_end = store_shared() ? clock_now() + c->request->conf->store_lease : 0;
	(void)piece_tell(p, TALE_TAKEN,
			 json_pack("{s:s, s:I}", "operation", c->op.id, "version", (json_int_t)c->op.version + 1));
	return piece_post(p, c, c->request->body.n > CALL_LARGE ? STEP_parse_large : STEP_parse);
}
