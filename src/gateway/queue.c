/* Slots and waiting rooms: every move of a call between unknown, waiting and running happens here. */
#include "queue.h"

#include "snowgate/metric.h"

/* ---- the round of accounts that wait ---- */

static void turn_enter(struct queue *q, struct account *a)
{
	if (!q->turn) {
		q->turn = a->turn_next = a->turn_prev = a;
		return;
	}
	a->turn_next = q->turn; /* last in the round */
	a->turn_prev = q->turn->turn_prev;
	a->turn_prev->turn_next = a->turn_next->turn_prev = a;
}

static void turn_leave(struct queue *q, struct account *a)
{
	if (q->turn == a)
		q->turn = a->turn_next == a ? NULL : a->turn_next;
	a->turn_prev->turn_next = a->turn_next;
	a->turn_next->turn_prev = a->turn_prev;
	a->turn_next = a->turn_prev = NULL;
}

/* ---- the three moves ---- */

static void slot_take(struct queue *q, struct account *a)
{
	q->running++;
	a->running++;
	metric_add(METRIC_slots_used, NULL, 1);
}

static void wait_enter(struct queue *q, struct account *a, struct call *c)
{
	c->next = NULL;
	*a->last = c;
	a->last = &c->next;
	if (a->waiting++ == 0)
		turn_enter(q, a);
	q->waiting++;
	metric_add(METRIC_queue_depth, NULL, 1);
}

static void wait_leave(struct queue *q, struct account *a, struct call **at)
{
	struct call *c = *at;

	*at = c->next;
	if (a->last == &c->next)
		a->last = at;
	c->next = NULL;
	if (--a->waiting == 0)
		turn_leave(q, a);
	q->waiting--;
	metric_add(METRIC_queue_depth, NULL, -1);
}

enum admit queue_admit(struct queue *q, struct account *a, struct call *c, const struct limits *limits)
{
	if (q->running < q->max_running && a->running < limits->running && a->waiting == 0) {
		slot_take(q, a);
		return ADMIT_RUN;
	}
	if (a->waiting >= limits->queued)
		return ADMIT_ACCOUNT_FULL;
	if (q->waiting >= QUEUE_MAX_WAITING)
		return ADMIT_QUEUE_FULL;
	wait_enter(q, a, c);
	return ADMIT_WAIT;
}

void queue_done(struct queue *q, struct account *a)
{
	assert(q->running > 0 && a->running > 0);
	q->running--;
	a->running--;
	metric_add(METRIC_slots_used, NULL, -1);
}

void queue_leave(struct queue *q, struct account *a, struct call *c)
{
	struct call **at = &a->first;

	while (*at != c)
		at = &(*at)->next;
	wait_leave(q, a, at);
}

struct call *queue_next(struct queue *q, const struct limits *(*limits_of)(const struct call *c))
{
	struct account *a = q->turn, *start = a;

	if (!a || q->running >= q->max_running)
		return NULL;
	do {
		struct call *c = a->first;

		if (a->running < limits_of(c)->running) {
			q->turn = a->turn_next;
			wait_leave(q, a, &a->first);
			slot_take(q, a);
			return c;
		}
		a = a->turn_next;
	} while (a != start);
	return NULL;
}

int64_t queue_place(const struct account *a, const struct call *c)
{
	int64_t place = 1;

	for (const struct call *at = a->first; at; at = at->next, place++)
		if (at == c)
			return place;
	return 0;
}
