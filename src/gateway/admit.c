/* Admission: the rate of every message, a slot for every statement. */
#include "piece.h"

#include <string.h>

#include "limit.h"

#include <string.h>

static void admit_refuse(struct call *c, enum err err, const char *policy, int64_t limit, int64_t remaining,
			 usec_t after, const char *message)
{
	json_t *data = json_pack("{s:I, s:s, s:I, s:I}", "retryAfterMs", (json_int_t)((after + 999) / 1000), "policy",
				 policy, "limit", (json_int_t)limit, "remaining", (json_int_t)remaining);

	c->retry_after = after;
	c->fault = (struct mcp_fault){err, message, arena_attach(c->arena, data, json_release) ? data : NULL};
}

bool admit_rate(struct call *c)
{
	const struct limits *l = c->request->policy->limits;
	struct account *a = ticket_of(c)->account;
	struct limit_verdict v = limit_check(&a->tat, l->calls_per_minute, l->burst, clock_now());

	if (v.passed)
		return true;
	metric_count(METRIC_limit_decisions, "rate");
	admit_refuse(c, ERR_RATE, "calls_per_minute", l->calls_per_minute, v.remaining, v.retry_after,
		     "too many requests; wait as Retry-After says");
	return false;
}

/* Statements that exist already are watched, not executed: they need no slot. A request to Cortex does, and so does the
 * SQL that may follow from it. */
static bool admit_needs_slot(const struct call *c)
{
	for (size_t i = 0; i < c->plan_n; i++)
		if (c->plan[i].kind == STATEMENT_RUN || c->plan[i].kind == STATEMENT_REST)
			return true;
	return false;
}

static bool is_recorded(const struct call *c)
{
	return (c->plan[0].write || c->op.version) && !c->op.over;
}

static enum verdict admit_onward(struct call *c)
{
	struct ticket *t = ticket_of(c);

	if (!is_recorded(c))
		return call_goto(c, STEP_sign);
	operation_begin(c);
	memcpy(t->operation, c->op.id, sizeof t->operation);
	t->version = c->op.version ? c->op.version : 1;
	return call_goto(c, STEP_intent);
}

static enum verdict admit_granted(struct call *c, struct ticket *t)
{
	t->slot = true;
	metric_count(METRIC_limit_decisions, "run");
	return admit_onward(c);
}

/* Which limit held the call up: its own, or everybody's? */
static void admit_too_long(struct call *c, const struct account *a)
{
	const struct limits *l = c->request->policy->limits;

	if (a->running >= l->running) {
		metric_count(METRIC_limit_decisions, "concurrency");
		admit_refuse(c, ERR_CONCURRENCY, "running", l->running, 0, USEC_PER_S,
			     "too many statements at once; wait for one to end, or cancel one with cancel_query");
		return;
	}
	metric_count(METRIC_limit_decisions, "overloaded");
	admit_refuse(c, ERR_OVERLOADED, "max_in_flight", c->request->conf->snowflake_max_in_flight, 0, 2 * USEC_PER_S,
		     "the gateway runs as many statements as it may; try again");
}

static void admit_timeout(struct timer *timer)
{
	struct call *c = container_of(timer, struct call, timer);
	struct ticket *t = ticket_of(c);

	queue_leave(&gateway.queue, t->account, c);
	t->waiting = NULL;
	admit_too_long(c, t->account);
	c->step = STEP_settle;
	call_run(c);
}

static enum verdict admit_wait(struct call *c, struct ticket *t)
{
	const struct limits *l = c->request->policy->limits;

	t->waiting = c;
	c->timer.fire = admit_timeout;
	timer_set(gateway.wheel, &c->timer, clock_now() + l->queue_wait);
	metric_count(METRIC_limit_decisions, "queued");
	tell_queued(t);
	return WAIT;
}

/* What a ticket has to know of a write whose end it cannot wait for. */
static void admit_note(struct call *c, struct ticket *t)
{
	struct statement *s = c->plan_n ? &c->plan[0] : NULL;

	if (!s || s->kind != STATEMENT_RUN || s->metadata || !s->write)
		return;
	if (!*s->request_id)
		crypt_uuid(s->request_id);
	memcpy(t->write, s->request_id, sizeof t->write);
	t->keyed = c->op.claim != NULL;
}

enum verdict step_admit(struct call *c)
{
	const struct limits *l = c->request->policy->limits;
	struct ticket *t = ticket_of(c);

	if (t->cancelled && !*c->op.handle) /* what is under way already is cancelled where it is */
		return call_goto(c, STEP_settle);
	t->watching = !admit_needs_slot(c);
	admit_note(c, t);
	if (t->watching || c->op.again) /* what is under way already has had its slot */
		return admit_onward(c);
	switch (queue_admit(&gateway.queue, t->account, c, l)) {
	case ADMIT_RUN:
		return admit_granted(c, t);
	case ADMIT_WAIT:
		return admit_wait(c, t);
	case ADMIT_ACCOUNT_FULL:
	case ADMIT_QUEUE_FULL:
		break;
	}
	admit_too_long(c, t->account);
	return call_goto(c, STEP_settle);
}

static const struct limits *limits_of(const struct call *c)
{
	return c->request->policy->limits;
}

void slots_pass_on(void)
{
	struct call *c;

	while ((c = queue_next(&gateway.queue, limits_of))) {
		struct ticket *t = ticket_of(c);

		timer_stop(&c->timer);
		t->waiting = NULL;
		c->step = STEP_admit;
		admit_granted(c, t);
		call_run(c);
	}
}

void slot_release(struct ticket *t)
{
	if (!t->slot)
		return;
	t->slot = false;
	queue_done(&gateway.queue, t->account);
	slots_pass_on();
}
