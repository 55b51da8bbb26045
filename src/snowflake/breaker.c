/* The circuit breaker and the retry budget of one endpoint. */
#include "breaker.h"

#include "internal.h"

#include <string.h>

#define ONE ((int64_t)1000000)

/* ---- the signs ---- */

static void window_count(struct breaker *b, usec_t now, bool failed)
{
	int64_t second = now / USEC_PER_S;
	size_t at = (size_t)(second % BREAKER_WINDOW);

	if (b->window[at].second != second) {
		b->window[at].second = second;
		b->window[at].answers = b->window[at].failures = 0;
	}
	b->window[at].answers++;
	b->window[at].failures += failed;
}

static bool most_fail(const struct breaker *b, int64_t failures, usec_t now)
{
	int64_t answers = 0, failed = 0, seconds = 0;

	for (size_t i = 0; i < BREAKER_WINDOW; i++) {
		if (b->window[i].second <= now / USEC_PER_S - BREAKER_WINDOW)
			continue;
		answers += b->window[i].answers;
		failed += b->window[i].failures;
		seconds += b->window[i].failures > 0;
	}
	return failed >= failures && seconds >= BREAKER_SECONDS && 4 * failed >= 3 * answers;
}

static bool all_fail(const struct breaker *b, int64_t failures, usec_t now)
{
	return b->in_a_row >= failures && now - b->row_began >= BREAKER_LASTS;
}

/* ---- the states ---- */

static void open_until(struct breaker *b, usec_t now)
{
	b->state = BREAKER_OPEN;
	b->probe = NULL;
	b->until = now + random_between(b->open_for * 9 / 10, b->open_for * 11 / 10);
}

static void close_it(struct breaker *b)
{
	usec_t opened = b->opened;

	memset(b, 0, sizeof *b);
	b->opened = opened;
}

enum breaker_verdict breaker_ask(const struct breaker *b, usec_t now)
{
	if (b->state == BREAKER_CLOSED)
		return BREAKER_PASS;
	if (b->state == BREAKER_HALF_OPEN)
		return now - b->probed >= BREAKER_PROBE_LASTS ? BREAKER_PROBE : BREAKER_REFUSE;
	return now >= b->until ? BREAKER_PROBE : BREAKER_REFUSE;
}

void breaker_probe(struct breaker *b, const void *who, usec_t now)
{
	assert(b->state != BREAKER_CLOSED && who);
	b->state = BREAKER_HALF_OPEN;
	b->probe = who;
	b->probed = now;
}

usec_t breaker_wait(const struct breaker *b, usec_t now)
{
	if (b->state == BREAKER_HALF_OPEN)
		return USEC_PER_S;
	return b->state == BREAKER_OPEN && b->until > now ? b->until - now : 0;
}

void breaker_forgo(struct breaker *b, const void *who)
{
	if (b->state != BREAKER_HALF_OPEN || b->probe != who)
		return;
	b->state = BREAKER_OPEN;
	b->probe = NULL;
}

enum breaker_change breaker_well(struct breaker *b, const void *who, usec_t now)
{
	if (b->state == BREAKER_CLOSED) {
		b->in_a_row = 0;
		window_count(b, now, false);
		return BREAKER_SAME;
	}
	if (b->state == BREAKER_OPEN || b->probe != who)
		return BREAKER_SAME;
	close_it(b);
	return BREAKER_CLOSES;
}

static enum breaker_change ill_while_closed(struct breaker *b, struct breaker_settings s, usec_t now)
{
	window_count(b, now, true);
	if (b->in_a_row++ == 0)
		b->row_began = now;
	if (s.failures <= 0 || !(all_fail(b, s.failures, now) || most_fail(b, s.failures, now)))
		return BREAKER_SAME;
	b->opened = now;
	b->open_for = s.open_for;
	open_until(b, now);
	return BREAKER_OPENED;
}

enum breaker_change breaker_ill(struct breaker *b, const void *who, struct breaker_settings s, usec_t now)
{
	if (b->state == BREAKER_CLOSED)
		return ill_while_closed(b, s, now);
	if (b->state == BREAKER_OPEN || b->probe != who)
		return BREAKER_SAME;
	b->open_for = 2 * b->open_for < BREAKER_LONGEST * s.open_for ? 2 * b->open_for : BREAKER_LONGEST * s.open_for;
	open_until(b, now);
	return BREAKER_REOPENED;
}

/* ---- the budget ---- */

static void add(struct budget *b, int64_t millionths)
{
	b->left += millionths;
	if (b->left > BUDGET_MOST * ONE)
		b->left = BUDGET_MOST * ONE;
}

/* An untouched one is full. */
static void age(struct budget *b, usec_t now)
{
	usec_t passed = b->filled ? now - b->filled : BUDGET_MOST * USEC_PER_S;

	add(b, (passed < BUDGET_MOST * USEC_PER_S ? passed : BUDGET_MOST * USEC_PER_S) * BUDGET_PER_S);
	b->filled = now ? now : 1;
}

void budget_fill(struct budget *b, int64_t percent, usec_t now)
{
	age(b, now);
	add(b, percent * ONE / 100);
}

bool budget_spend(struct budget *b, usec_t now)
{
	age(b, now);
	if (b->left < ONE)
		return false;
	b->left -= ONE;
	return true;
}
