/* Batches of 2025-03-26: every message is a call of its own; the last to end answers for all. */
#include "gateway_internal.h"

#define BATCH_BODY_MAX                                                                                                 \
	(ANSWER_BODY_MAX - RPC_BATCH_MAX * (RPC_ID_MAX + 256)) /* leaves every element room for a refusal */

struct batch {
	handle_t exchange; /* 0: its client has left */
	size_t waiting;    /* elements without an answer; one more while they are being started */
	struct buf body;   /* "[" and the answers so far */
	char session_id[SESSION_ID_SIZE];
	struct batch *next;
};

static void batch_end(struct batch *b)
{
	struct batch **at = &gateway.batches;
	struct answer a;

	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	if (b->exchange) {
		answer_init(&a, b->body.n ? 200 : 202, b->body.n ? "application/json" : NULL);
		if (b->body.n)
			buf_addc(&b->body, ']');
		a.body = b->body;
		b->body = (struct buf){0};
		if (*b->session_id)
			answer_header(&a, "Mcp-Session-Id", "%s", b->session_id);
		answer_send(b->exchange, &a);
	}
	buf_free(&b->body);
	free(b);
}

static void batch_done(struct batch *b)
{
	if (--b->waiting == 0)
		batch_end(b);
}

void batch_answer(struct batch *b, const char *id, struct answer *a)
{
	static const char *const too_large = "the answers of this batch do not fit together; send its messages alone";

	if (a->body.n && b->exchange) {
		buf_adds(&b->body, b->body.n ? "," : "[");
		if (b->body.n + a->body.n < BATCH_BODY_MAX)
			buf_add(&b->body, a->body.data, a->body.n);
		else
			rpc_write_error(&b->body, slice_of(id), err_info(ERR_OVERLOADED)->rpc_legacy, too_large, NULL);
	}
	answer_free(a);
	batch_done(b);
}

void batch_gone(handle_t exchange)
{
	for (struct batch *b = gateway.batches; b; b = b->next)
		if (b->exchange == exchange)
			b->exchange = 0;
}

/* All calls of a batch end before its answer, so that each has a copy of what they share. */
static void batch_start(struct batch *b, const struct request *rq, struct slice text)
{
	struct request *child = request_copy(rq, text);

	b->waiting++;
	call_begin(0, child, b);
}

static struct batch *batch_new(struct call *c, struct ticket *t)
{
	struct batch *b = xalloc(sizeof *b);

	*b = (struct batch){.exchange = t->exchange, .waiting = 1, .next = gateway.batches};
	b->body = buf_with_ceiling(ANSWER_BODY_MAX);
	if (c->by_header)
		snprintf(b->session_id, sizeof b->session_id, "%s", c->session_id);
	gateway.batches = b;
	ticket_leave_exchange(t);
	c->http.status = 200;
	return b;
}

enum verdict bind_batch(struct call *c)
{
	struct slice elements[RPC_BATCH_MAX];
	struct batch *b;
	size_t n;

	if (c->revision > REVISION_2025_03_26)
		return call_fail(c, ERR_INVALID_REQUEST,
				 "protocol %s has no batches; send each message in a POST of its own",
				 revision_name(c->revision));
	n = rpc_batch_split(buf_slice(&c->request->body), RPC_BATCH_MAX, elements);
	b = batch_new(c, ticket_of(c));
	for (size_t i = 0; i < n; i++)
		batch_start(b, c->request, elements[i]);
	batch_done(b);
	return call_goto(c, STEP_reply);
}
