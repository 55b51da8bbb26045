/* Timers in a hierarchy of 64-slot wheels: level k holds what differs from the wheel's time first in its k-th 6 bits.
 */
#include "snowgate/wheel.h"

/* 9 levels of 6 bits hold every millisecond of an int64_t in microseconds. Since a timer sits where its time first
 * differs from the wheel's, whatever is on a level is later than all on the levels below, and slots are in order. */
enum { LEVELS = 9, SLOT_BITS = 6, SLOTS = 1 << SLOT_BITS, WHEEL_MAGIC = 0x5748454c };

struct wheel {
	uint32_t magic;
	uint64_t tick; /* milliseconds; all earlier slots are empty */
	uint64_t sequence;
	usec_t earliest; /* of all timers, when earliest_known */
	bool earliest_known;
	struct timer *due;     /* being fired, in order */
	uint64_t used[LEVELS]; /* bit s: slot s is not empty */
	struct timer *slots[LEVELS][SLOTS];
};

struct wheel *wheel_new(void)
{
	struct wheel *w = xalloc(sizeof(*w));
	w->magic = WHEEL_MAGIC;
	w->earliest = INT64_MAX;
	w->earliest_known = true;
	return w;
}

static void unlink_timer(struct timer *t)
{
	*t->prev = t->next;
	if (t->next)
		t->next->prev = t->prev;
	t->next = NULL;
	t->prev = NULL;
}

static void link_timer(struct timer **head, struct timer *t)
{
	t->next = *head;
	if (t->next)
		t->next->prev = &t->next;
	t->prev = head;
	*head = t;
}

static void forget(struct timer *t)
{
	t->when = 0;
	t->sequence = 0;
	t->wheel = NULL;
}

static void forget_list(struct timer **head)
{
	while (*head) {
		struct timer *t = *head;
		unlink_timer(t);
		forget(t);
	}
}

void wheel_free(struct wheel *w)
{
	if (!w)
		return;
	CHECK(w, WHEEL_MAGIC);
	forget_list(&w->due);
	for (int level = 0; level < LEVELS; level++)
		for (int slot = 0; slot < SLOTS; slot++)
			forget_list(&w->slots[level][slot]);
	w->magic = 0;
	free(w);
}

/* What is past goes into the current slot, where wheel_run() looks first. */
static void place(struct wheel *w, struct timer *t)
{
	uint64_t tick = t->when < 0 ? 0 : (uint64_t)(t->when / USEC_PER_MS);
	if (tick < w->tick)
		tick = w->tick;
	uint64_t differs = tick ^ w->tick;
	int level = differs ? (63 - __builtin_clzll(differs)) / SLOT_BITS : 0;
	int slot = (int)(tick >> (level * SLOT_BITS)) & (SLOTS - 1);
	link_timer(&w->slots[level][slot], t);
	w->used[level] |= UINT64_C(1) << slot;
}

void timer_set(struct wheel *w, struct timer *t, usec_t when)
{
	CHECK(w, WHEEL_MAGIC);
	assert(t->fire);
	timer_stop(t);
	t->wheel = w;
	t->when = when;
	t->sequence = ++w->sequence;
	place(w, t);
	if (w->earliest_known && when < w->earliest)
		w->earliest = when;
}

void timer_stop(struct timer *t)
{
	if (!t->wheel)
		return;
	CHECK(t->wheel, WHEEL_MAGIC);
	if (t->when <= t->wheel->earliest)
		t->wheel->earliest_known = false;
	unlink_timer(t);
	forget(t);
}

bool timer_pending(const struct timer *t)
{
	return t->wheel != NULL;
}

/* The first slot with timers; the bit of a slot that timer_stop() has emptied is cleared here. */
static struct timer **first_slot(struct wheel *w, int *level, uint64_t *start)
{
	for (int l = 0; l < LEVELS; l++) {
		while (w->used[l]) {
			int slot = __builtin_ctzll(w->used[l]);
			if (w->slots[l][slot]) {
				uint64_t above = w->tick >> ((l + 1) * SLOT_BITS) << SLOT_BITS;
				*level = l;
				*start = (above | (uint64_t)slot) << (l * SLOT_BITS);
				return &w->slots[l][slot];
			}
			w->used[l] &= ~(UINT64_C(1) << slot);
		}
	}
	return NULL;
}

/* Moves every timer of the list that is due to w->due, the others to their places under the wheel's new time. */
static void sort_out(struct wheel *w, struct timer *list, usec_t now)
{
	while (list) {
		struct timer *t = list;
		list = t->next;
		if (t->when <= now)
			link_timer(&w->due, t);
		else
			place(w, t);
	}
}

static void collect(struct wheel *w, usec_t now)
{
	uint64_t now_tick = now < 0 ? 0 : (uint64_t)(now / USEC_PER_MS);
	if (now_tick < w->tick)
		now_tick = w->tick;
	int level;
	uint64_t start;
	struct timer **slot;
	while ((slot = first_slot(w, &level, &start)) && start <= now_tick) {
		struct timer *list = TAKE(*slot);
		w->tick = start;
		sort_out(w, list, now);
		if (level == 0 && start == now_tick)
			break;
	}
	w->tick = now_tick;
}

static bool is_before(const struct timer *a, const struct timer *b)
{
	return a->when != b->when ? a->when < b->when : a->sequence < b->sequence;
}

static struct timer *merge(struct timer *a, struct timer *b)
{
	struct timer *head = NULL, **tail = &head;
	while (a && b) {
		struct timer **from = is_before(a, b) ? &a : &b;
		*tail = *from;
		*from = (*from)->next;
		tail = &(*tail)->next;
	}
	*tail = a ? a : b;
	return head;
}

/* Merge sort, bottom up: runs[i] holds a sorted run of 2^i timers. */
static struct timer *sorted(struct timer *list)
{
	struct timer *runs[64] = {NULL};
	while (list) {
		struct timer *run = list;
		list = run->next;
		run->next = NULL;
		int i = 0;
		for (; runs[i]; i++)
			run = merge(TAKE(runs[i]), run);
		runs[i] = run;
	}
	struct timer *all = NULL;
	for (size_t i = 0; i < ARRAY_LEN(runs); i++)
		all = merge(runs[i], all);
	return all;
}

size_t wheel_run(struct wheel *w, usec_t now)
{
	CHECK(w, WHEEL_MAGIC);
	assert(!w->due);
	collect(w, now);
	w->due = sorted(w->due);
	for (struct timer *t = w->due, **prev = &w->due; t; prev = &t->next, t = t->next)
		t->prev = prev;
	w->earliest_known = false;
	size_t fired = 0;
	for (struct timer *t; (t = w->due); fired++) {
		unlink_timer(t);
		forget(t);
		t->fire(t);
	}
	return fired;
}

static usec_t earliest_of(const struct timer *list)
{
	usec_t earliest = INT64_MAX;
	for (; list; list = list->next)
		if (list->when < earliest)
			earliest = list->when;
	return earliest;
}

usec_t wheel_next(struct wheel *w)
{
	CHECK(w, WHEEL_MAGIC);
	if (w->earliest_known)
		return w->earliest;
	int level;
	uint64_t start;
	struct timer **slot = first_slot(w, &level, &start);
	w->earliest = earliest_of(slot ? *slot : NULL);
	usec_t due = earliest_of(w->due);
	if (due < w->earliest)
		w->earliest = due;
	w->earliest_known = true;
	return w->earliest;
}

int wheel_wait(struct wheel *w, usec_t now, int idle_ms)
{
	CHECK(w, WHEEL_MAGIC);
	int level;
	uint64_t start;
	/* A crowded slot that begins after the idle time need not be searched for its earliest timer. */
	if (!w->earliest_known && !w->due && idle_ms >= 0 &&
	    (!first_slot(w, &level, &start) || start > (uint64_t)(now / USEC_PER_MS) + (uint64_t)idle_ms))
		return idle_ms;
	usec_t next = wheel_next(w);
	if (next <= now)
		return 0;
	if (next == INT64_MAX)
		return idle_ms;
	usec_t ms = (next - now) / USEC_PER_MS + ((next - now) % USEC_PER_MS != 0);
	if (idle_ms >= 0 && ms > idle_ms)
		return idle_ms;
	return ms < INT32_MAX ? (int)ms : INT32_MAX;
}
