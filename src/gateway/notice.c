/* What a client is told while its call is under way: progress for its token, log messages from its level up. */
#include "gateway_internal.h"

#include <stdio.h>
#include <string.h>

#define PROGRESS_GAP  (250 * USEC_PER_MS) /* least time between two progress notifications */
#define PROGRESS_TICK (2 * USEC_PER_S)    /* while nothing else is to be told */
#define RECORD_TICK   (100 * USEC_PER_MS) /* until its call was met where it can be recorded */

static void tell_tick(struct timer *timer);

static bool wants_progress(const struct ticket *t)
{
	return t->tell.token && t->tell.latest.text[0] && t->tell.latest.progress < 0;
}

/* A legacy session's call becomes a stream when it takes long, so that it can be resumed; any other only where there is
 * something to tell. */
static bool streams_when_slow(const struct ticket *t)
{
	return t->by_header || t->tell.token || t->tell.log_level >= 0;
}

void tell_begin(struct ticket *t, const struct call *c)
{
	t->tell.born = c->born;
	t->tell.may_stream = (t->exchange || t->stream) && request_accepts(c->request, TYPE_STREAM);
	t->takes_task = call_takes_task(c) && t->exchange;
	if (t->takes_task) {
		t->tell.timer.fire = task_due;
		timer_set(gateway.wheel, &t->tell.timer, c->born + c->request->conf->mcp_stream_after);
		return;
	}
	if (!t->tell.may_stream || !streams_when_slow(t))
		return;
	t->tell.timer.fire = tell_tick;
	timer_set(gateway.wheel, &t->tell.timer, c->born + c->request->conf->mcp_stream_after);
}

void tell_end(struct ticket *t)
{
	timer_stop(&t->tell.timer);
}

/* Progress has no event id and is never kept: it goes straight to a reader who has all events before it. */
static void send_progress(struct ticket *t, const struct notice *n)
{
	struct listener *l = t->stream->exchange ? listener_by_exchange(t->stream->exchange) : NULL;
	double seconds = (double)(clock_now() - t->tell.born) / (double)USEC_PER_S;
	struct buf b = buf_with_ceiling(4096);
	char text[sizeof n->text + 32];

	if (l && !stream_after(t->stream, l->sent)) {
		if (n->progress < 0)
			(void)snprintf(text, sizeof text, "%s (%.0f s)", n->text, seconds);
		else
			(void)snprintf(text, sizeof text, "%s", n->text);
		progress_write(&b, t->tell.revision, slice_of(t->tell.token), n->progress < 0 ? seconds : n->progress,
			       n->total, text);
		(void)gateway.transport->stream_send(gateway.transport, l->exchange,
						     &(struct sse_event){.data = buf_slice(&b)});
		t->tell.last = clock_now();
	}
	buf_free(&b);
}

/* Its place among the calls of its own principal; others' lines are none of its business. */
static void notice_queued(struct ticket *t, struct notice *n)
{
	*n = (struct notice){.level = LEVEL_INFO, .progress = -1, .stage = true};
	(void)snprintf(n->text, sizeof n->text, "queued, place %lld", (long long)queue_place(t->account, t->waiting));
}

void tell_queued(struct ticket *t)
{
	struct notice n;

	notice_queued(t, &n);
	tell(t, &n);
}

static void tell_tick(struct timer *timer)
{
	struct ticket *t = container_of(timer, struct ticket, tell.timer);

	bool asked = t->stream != NULL;

	if (t->cancelled || !ticket_stream(t))
		return;
	if (ticket_unrecorded(t)) {
		if (asked)
			ticket_record(t);
		timer_set(gateway.wheel, timer, clock_now() + RECORD_TICK);
		return;
	}
	if (!wants_progress(t))
		return;
	if (t->waiting)
		notice_queued(t, &t->tell.latest);
	if (clock_now() - t->tell.last >= PROGRESS_GAP)
		send_progress(t, &t->tell.latest);
	timer_set(gateway.wheel, timer, clock_now() + PROGRESS_TICK);
}

void tell_shown(struct ticket *t)
{
	if (!t->tell.behind || !t->stream->exchange)
		return;
	t->tell.behind = false;
	send_progress(t, &t->tell.latest);
}

static void tell_log(struct ticket *t, const struct notice *n)
{
	struct buf b = buf_with_ceiling(4096), data = buf_with_ceiling(2048);

	json_write_string(&data, n->text, strlen(n->text));
	log_write(&b, n->level, buf_slice(&data));
	(void)!ticket_event(t, buf_slice(&b), false); /* a full stream keeps its room for the answer */
	buf_free(&data);
	buf_free(&b);
}

/* The time that has passed must have grown with each notification, and a few of them a second are enough; a stage that
 * bears a value of its own has its own pace. What comes too early is told by the tick. */
static void tell_progress(struct ticket *t, const struct notice *n)
{
	usec_t now = clock_now();
	bool early = now - t->tell.last < PROGRESS_GAP && !(n->stage && n->progress >= 0);

	t->tell.latest = *n;
	if (now < t->tell.born + gateway.conf->mcp_stream_after || !ticket_stream(t))
		return;
	t->tell.behind = ticket_unrecorded(t);
	if (!early)
		send_progress(t, n);
	if (!ticket_unrecorded(t))
		timer_set(gateway.wheel, &t->tell.timer, early ? t->tell.last + PROGRESS_GAP : now + PROGRESS_TICK);
	else if (!timer_pending(&t->tell.timer))
		timer_set(gateway.wheel, &t->tell.timer, now + RECORD_TICK);
}

void tell(struct ticket *t, const struct notice *n)
{
	handle_t self = t->self;

	OWNED_BY(THREAD_NET);
	if (ticket_answered(t) || t->cancelled)
		return;
	if (t->takes_task || t->task.told) { /* of a task only the last is told, and when it is asked for */
		t->tell.latest = *n;
		return;
	}
	if (n->stage && t->tell.log_level >= 0 && (int)n->level >= t->tell.log_level && ticket_stream(t))
		tell_log(t, n);
	t = handle_get(gateway.tickets, self); /* a reader found gone ends his call */
	if (t && t->tell.token && !ticket_answered(t))
		tell_progress(t, n);
}

/* ---- from other threads ---- */

struct told {
	struct mail mail;
	handle_t ticket;
	struct notice notice;
};

static void told_deliver(struct mail *m)
{
	struct told *d = container_of(m, struct told, mail);
	struct ticket *t = handle_get(gateway.tickets, d->ticket);

	if (t)
		tell(t, &d->notice);
	free(d);
}

void call_notice(struct call *c, const struct notice *n)
{
	struct told *d = xalloc(sizeof *d);

	*d = (struct told){.mail = {.deliver = told_deliver}, .ticket = c->ticket, .notice = *n};
	mail_post(THREAD_NET, &d->mail);
}
