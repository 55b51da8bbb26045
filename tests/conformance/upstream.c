/* The upstream behind snowflake.h: a thread that performs the scripts of the fixtures. An act of a script is one of
 * {"sleep": MS}, {"seconds": "N"} (the same in text), {"fail": TEXT} (a protocol error ends the call), {"log": TEXT},
 * {"progress": N, "total": M}, {"changed": "tools" | "prompts"} (listeners are told that the list has changed),
 * {"release": true} (the call's stream is closed for its client to come back). */
#include "fixtures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway_internal.h"

/* A call whose script is under way; owner: SNOWFLAKE. */
struct job {
	struct job *next, **prev;
	struct call *call;
	json_t *script;
	size_t at;
};

/* owner: SNOWFLAKE, but for what main sets before it starts */
static struct {
	const struct snowflake_ops *ops;
	struct wheel *wheel;
	struct job *jobs;
	bool stopped;
	pthread_t thread;
} upstream;

/* ---- acts ---- */

/* What an act wants of NET. */
struct wish {
	struct mail mail;
	handle_t release; /* 0: the stream stays */
	enum change changed;
};

static void wish_deliver(struct mail *m)
{
	struct wish *w = container_of(m, struct wish, mail);

	if (w->release)
		(void)stream_release(w->release); /* not yet a stream: the answer is a whole one */
	else
		notify_changed(w->changed);
	free(w);
}

static void wish_post(handle_t release, enum change changed)
{
	struct wish *w = xalloc(sizeof *w);

	*w = (struct wish){{.deliver = wish_deliver}, release, changed};
	mail_post(THREAD_NET, &w->mail);
}

/* Each act is a stage of its own: the gateway thins out what is told within one. */
static void notify(struct call *c, const json_t *act)
{
	const char *text = json_text_of(act, "log");
	struct notice notice = {.level = LEVEL_INFO, .progress = -1, .stage = true};

	if (text) {
		snprintf(notice.text, sizeof notice.text, "%s", text);
	} else {
		notice.progress = json_number_value(json_object_get(act, "progress"));
		notice.total = json_number_value(json_object_get(act, "total"));
		snprintf(notice.text, sizeof notice.text, "%g of %g", notice.progress, notice.total);
	}
	if (c->listens)
		upstream.ops->notice(c, &notice);
}

/* False: the script goes on later. */
static bool perform(struct call *c, const json_t *act)
{
	const char *seconds = json_text_of(act, "seconds");
	int64_t ms = seconds ? (int64_t)(strtod(seconds, NULL) * 1000) : json_int_of(act, "sleep", 0);
	const char *changed = json_text_of(act, "changed");

	if (ms) {
		timer_set(upstream.wheel, &c->timer, clock_now() + ms * USEC_PER_MS);
		return false;
	}
	if (seconds)
		return true;
	if (changed)
		wish_post(0, strcmp(changed, "tools") == 0 ? CHANGE_TOOLS : CHANGE_PROMPTS);
	else if (json_bool_of(act, "release", false))
		wish_post(c->ticket, CHANGE_TOOLS);
	else
		notify(c, act);
	return true;
}

/* ---- the steps ---- */

static void on_timer(struct timer *t)
{
	call_run(container_of(t, struct call, timer));
}

static struct job *job_new(struct call *c, struct statement *s)
{
	struct job *j = xalloc(sizeof *j);

	if (json_parse(slice_of(s->sql), JSON_DEPTH_MAX, &j->script, NULL, 0) != JSON_OK)
		j->script = json_array();
	*j = (struct job){upstream.jobs, &upstream.jobs, c, j->script, 0};
	if (j->next)
		j->next->prev = &j->next;
	upstream.jobs = j;
	c->timer.fire = on_timer;
	return j;
}

static void job_end(struct job *j)
{
	timer_stop(&j->call->timer);
	call_statement(j->call)->job = NULL;
	*j->prev = j->next;
	if (j->next)
		j->next->prev = j->prev;
	json_decref(j->script);
	free(j);
}

enum verdict step_sign(struct call *c)
{
	struct statement *s = call_statement(c);

	OWNED_BY(THREAD_SNOWFLAKE);
	s->job = job_new(c, s);
	s->state = STATEMENT_RUNNING;
	return call_goto(c, STEP_poll);
}

static enum verdict fail(struct call *c, struct job *j, const char *message)
{
	c->fault = (struct mcp_fault){ERR_INTERNAL, arena_strdup(c->arena, message), NULL};
	call_statement(c)->state = STATEMENT_FAILED;
	job_end(j);
	return call_goto(c, STEP_settle);
}

enum verdict step_poll(struct call *c)
{
	struct statement *s = call_statement(c);
	struct job *j = s->job;

	while (j->at < json_array_size(j->script)) {
		const json_t *act = json_array_get(j->script, j->at++);

		if (json_text_of(act, "fail"))
			return fail(c, j, json_text_of(act, "fail"));
		if (!perform(c, act))
			return WAIT;
	}
	job_end(j);
	s->state = STATEMENT_SUCCEEDED;
	return call_goto(c, STEP_shape);
}

/* Scripts have no submission, no rows and no partitions: these steps of the road are never taken. */
static enum verdict astray(struct call *c)
{
	return call_fail(c, ERR_INTERNAL, "a script has no %s", step_name(c->step));
}

enum verdict step_submit(struct call *c)
{
	return astray(c);
}

enum verdict step_decode(struct call *c)
{
	return astray(c);
}

enum verdict step_decode_large(struct call *c)
{
	return astray(c);
}

enum verdict step_fetch(struct call *c)
{
	return astray(c);
}

/* ---- cancel ---- */

struct cancel {
	struct mail mail;
	handle_t ticket;
};

/* A cancel that overtakes its call is dropped: no script lasts long. */
static void cancel_deliver(struct mail *m)
{
	struct cancel *cancel = container_of(m, struct cancel, mail);
	struct job *j = upstream.jobs;
	struct call *c;

	while (j && j->call->ticket != cancel->ticket)
		j = j->next;
	free(cancel);
	if (!j)
		return;
	c = j->call;
	call_statement(c)->state = STATEMENT_CANCELLED;
	c->cancelled = true;
	job_end(j);
	c->step = STEP_shape;
	call_run(c);
}

void snowflake_cancel(handle_t ticket)
{
	struct cancel *cancel = xalloc(sizeof *cancel);

	*cancel = (struct cancel){{.deliver = cancel_deliver}, ticket};
	mail_post(THREAD_SNOWFLAKE, &cancel->mail);
}

struct visit {
	struct mail mail;
	handle_t ticket;
	void (*visit)(struct call *c, void *arg);
	void *arg;
};

static void visit_deliver(struct mail *m)
{
	struct visit *v = container_of(m, struct visit, mail);
	struct job *j = upstream.jobs;

	while (j && j->call->ticket != v->ticket)
		j = j->next;
	v->visit(j ? j->call : NULL, v->arg);
	free(v);
}

void snowflake_visit(handle_t ticket, void (*visit)(struct call *c, void *arg), void *arg)
{
	struct visit *v = xalloc(sizeof *v);

	*v = (struct visit){{.deliver = visit_deliver}, ticket, visit, arg};
	mail_post(THREAD_SNOWFLAKE, &v->mail);
}

/* ---- the thread ---- */

static void stop_deliver(struct mail *m)
{
	(void)m;
	upstream.stopped = true;
}

/* Who is still here goes home without an answer. */
static void jobs_abandon(void)
{
	while (upstream.jobs) {
		struct call *c = upstream.jobs->call;

		job_end(upstream.jobs);
		(void)call_fail(c, ERR_DRAINING, "the gateway stopped");
		call_run(c);
	}
}

static void upstream_main(void *arg)
{
	(void)arg;
	while (!upstream.stopped) {
		int ms = wheel_wait(upstream.wheel, clock_now(), -1);

		mail_wait(THREAD_SNOWFLAKE, ms < 0 ? -1 : ms * USEC_PER_MS);
		wheel_run(upstream.wheel, clock_now());
	}
	jobs_abandon();
}

bool snowflake_start(const struct conf *conf UNUSED, const struct snowflake_ops *ops, char *why UNUSED,
		     size_t why_size UNUSED)
{
	upstream.ops = ops;
	upstream.wheel = wheel_new();
	upstream.stopped = false;
	thread_start(THREAD_SNOWFLAKE, upstream_main, NULL, &upstream.thread);
	return true;
}

void snowflake_stop(void)
{
	static struct mail stop = {.deliver = stop_deliver};

	mail_post(THREAD_SNOWFLAKE, &stop);
	thread_join(upstream.thread);
	wheel_free(upstream.wheel);
}
