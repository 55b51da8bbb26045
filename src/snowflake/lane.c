/* A lane toward one warehouse: who is in it, who waits for it, how many it takes. */
#include "lane.h"

void lane_set_most(struct lane *l, size_t most)
{
	assert(most > 0);
	if (most == l->most)
		return;
	if (l->cap == l->most || l->cap > most)
		l->cap = most;
	l->most = most;
}

/* ---- the round of lines ---- */

static void turn_enter(struct lane *l, struct place *p)
{
	if (!l->turn) {
		l->turn = p->turn_next = p->turn_prev = p;
		return;
	}
	p->turn_next = l->turn; /* last in the round */
	p->turn_prev = l->turn->turn_prev;
	p->turn_prev->turn_next = p->turn_next->turn_prev = p;
}

static void turn_leave(struct lane *l, struct place *p)
{
	if (l->turn == p)
		l->turn = p->turn_next == p ? NULL : p->turn_next;
	p->turn_prev->turn_next = p->turn_next;
	p->turn_next->turn_prev = p->turn_prev;
	p->turn_next = p->turn_prev = NULL;
}

/* `to` stands in the round where `from` stood. */
static void turn_pass(struct lane *l, struct place *from, struct place *to)
{
	bool alone = from->turn_next == from;

	to->turn_next = alone ? to : from->turn_next;
	to->turn_prev = alone ? to : from->turn_prev;
	to->turn_prev->turn_next = to->turn_next->turn_prev = to;
	if (l->turn == from)
		l->turn = to;
	from->turn_next = from->turn_prev = NULL;
}

/* ---- one line ---- */

static struct place *line_of(const struct lane *l, uint64_t who)
{
	struct place *p = l->turn;

	if (!p)
		return NULL;
	do {
		if (p->who == who)
			return p;
		p = p->turn_next;
	} while (p != l->turn);
	return NULL;
}

static void line_enter(struct lane *l, struct place *p, bool before)
{
	struct place *first = line_of(l, p->who);

	p->next = p->prev = NULL;
	if (!first) {
		p->last = p;
		turn_enter(l, p);
	} else if (before) {
		p->next = first;
		p->last = TAKE(first->last);
		first->prev = p;
		turn_pass(l, first, p);
	} else {
		p->prev = first->last;
		first->last->next = p;
		first->last = p;
	}
	l->waiting++;
	p->state = PLACE_WAITS;
}

static void line_leave(struct lane *l, struct place *p)
{
	struct place *first;

	l->waiting--;
	p->state = PLACE_NONE;
	if (p->next)
		p->next->prev = p->prev;
	if (p->prev) {
		p->prev->next = p->next;
		first = line_of(l, p->who);
		if (first->last == p)
			first->last = p->prev;
	} else if (p->next) {
		p->next->last = p->last;
		turn_pass(l, p, p->next);
	} else {
		turn_leave(l, p);
	}
	p->next = p->prev = p->last = NULL;
}

/* ---- in and out ---- */

static void go_inside(struct lane *l, struct place *p)
{
	l->inside++;
	p->state = PLACE_INSIDE;
}

enum lane_verdict lane_enter(struct lane *l, struct place *p, uint64_t who, enum lane_how how, size_t most_waiting)
{
	assert(p->state == PLACE_NONE && l->cap > 0);
	p->who = who;
	if (how == LANE_FORCED || (l->inside < l->cap && l->waiting == 0)) {
		go_inside(l, p);
		return LANE_INSIDE;
	}
	if (l->waiting >= most_waiting)
		return LANE_FULL;
	line_enter(l, p, how == LANE_FIRST);
	return LANE_WAITS;
}

void lane_leave(struct lane *l, struct place *p)
{
	if (p->state == PLACE_WAITS)
		line_leave(l, p);
	else if (p->state == PLACE_INSIDE)
		l->inside--;
	p->state = PLACE_NONE;
}

struct place *lane_first(const struct lane *l)
{
	return l->turn;
}

struct place *lane_next(struct lane *l)
{
	struct place *p = l->turn;

	if (!p || l->inside >= l->cap)
		return NULL;
	l->turn = p->turn_next;
	line_leave(l, p);
	go_inside(l, p);
	return p;
}

size_t lane_position(const struct place *p)
{
	size_t n = 0;

	if (p->state != PLACE_WAITS)
		return 0;
	for (; p; p = p->prev)
		n++;
	return n;
}

/* ---- the cap ---- */

bool lane_fall(struct lane *l, usec_t sent, usec_t now)
{
	if (l->fell && (sent <= l->fell || now - l->fell < LANE_FALLS_EVERY))
		return false;
	l->fell = now;
	l->successes = 0;
	if (l->cap <= 1)
		return false;
	l->cap /= 2;
	return true;
}

bool lane_grow(struct lane *l)
{
	if (l->cap >= l->most || ++l->successes < l->cap)
		return false;
	l->successes = 0;
	l->cap++;
	return true;
}
