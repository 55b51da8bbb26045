/* Writes that may have been sent: what NET knows of them, and what their clients are told when this process ends. */
#include "gateway_internal.h"

#include <stdio.h>
#include <string.h>

struct note {
	struct mail mail;
	handle_t ticket;
	char handle[128];
};

static void note_deliver(struct mail *m)
{
	struct note *n = container_of(m, struct note, mail);
	struct ticket *t = handle_get(gateway.tickets, n->ticket);

	OWNED_BY(THREAD_NET);
	if (t)
		memcpy(t->write.handle, n->handle, sizeof t->write.handle);
	free(n);
}

void ticket_recorded(struct call *c)
{
	const struct statement *s = c->plan_n ? &c->plan[0] : NULL;
	struct note *n;

	if (!s || s->kind != STATEMENT_RUN || s->metadata || !s->write || !*s->handle)
		return;
	n = xalloc(sizeof *n);
	*n = (struct note){.mail = {.deliver = note_deliver}, .ticket = c->ticket};
	snprintf(n->handle, sizeof n->handle, "%s", statement_handle_text(c, s));
	mail_post(THREAD_NET, &n->mail);
}

/* By its key it is asked for like the first time. */
static void answer_keyed(const struct ticket *t, struct answer *a)
{
	struct mcp_fault fault = {
	    ERR_DRAINING,
	    "the gateway is shutting down, and the statement goes on: send the call again with the "
	    "same idempotency_key",
	    NULL};

	answer_error(a, NULL, t->modern ? ERA_MODERN : ERA_LEGACY, ticket_request_id(t), &fault);
	answer_retry_after(a, USEC_PER_S);
}

/* Sent again it would be a second one: no error of the transport, which some clients repeat by themselves. */
static void answer_unkeyed(const struct ticket *t, struct answer *a)
{
	const struct sent_write *w = &t->write;
	struct buf text = buf_with_ceiling(4096), result = buf_with_ceiling(16384);
	json_t *meta = json_pack("{s:{s:s, s:s?, s:b, s:s, s:s}}", "snowgate/error", "code",
				 err_info(ERR_OUTCOME_UNKNOWN)->name, "statementHandle", *w->handle ? w->handle : NULL,
				 "retryable", 0, "outcome", "unknown", "operation", w->request_id);
	struct tool_result r = {.is_error = true, .meta = meta};

	buf_addf(&text, "The gateway is shutting down, and the statement %s: do not send it again. ",
		 gateway.memory ? "goes on or is cancelled" : "goes on");
	if (*w->handle)
		buf_addf(&text, "get_result(\"%s\") tells what became of it.", w->handle);
	else
		buf_adds(&text, "Look whether its effect is there.");
	r.text = buf_slice(&text);
	answer_init(a, 200, TYPE_JSON);
	a->body = buf_with_ceiling(65536);
	if (!tool_result_write(&result, t->tell.revision, &r) ||
	    !rpc_write_result(&a->body, ticket_request_id(t), buf_slice(&result)))
		buf_clear(&a->body);
	json_decref(meta);
	buf_free(&text);
	buf_free(&result);
}

bool drain_write(struct ticket *t)
{
	struct answer a;

	if (!t->write.there || *t->result || t->waiting || t->asking)
		return false;
	if (t->write.keyed && !gateway.memory)
		answer_keyed(t, &a);
	else
		answer_unkeyed(t, &a);
	t->left = !gateway.memory;
	ticket_answer(t, &a);
	if (gateway.memory)
		ticket_cancel(t, "drain");
	return true;
}
