/* A call travels the step table here: run until it waits, ends or belongs to another thread. */
#include "snowgate/call.h"

#include <stdio.h>
#include <stdarg.h>

#define CALL_MAGIC 0xCA11CA11u

static const struct {
	const char *name;
	enum thread thread;
	enum verdict (*run)(struct call *c);
} steps[STEPS_N] = {
#define STEP(name, thread, file, waits_for) [STEP_##name] = {#name, THREAD_##thread, step_##name},
#include "snowgate/tbl/step.def"
#undef STEP
};

const char *step_name(enum step s)
{
	return steps[s].name;
}

enum thread step_thread(enum step s)
{
	return steps[s].thread;
}

static void call_deliver(struct mail *m)
{
	call_run(container_of(m, struct call, mail));
}

struct call *call_new(struct request *rq)
{
	struct call *c = xalloc(sizeof *c);

	c->magic = CALL_MAGIC;
	c->mail.deliver = call_deliver;
	c->request = rq;
	c->arena = rq->arena;
	c->born = rq->born;
	c->step = rq->body.n > CALL_LARGE ? STEP_parse_large : STEP_parse;
	c->meta.log_level = -1;
	c->preferred_limit = c->preferred_wait = -1;
	c->change.limit = c->change.wait_seconds = -1;
	c->record = buf_with_ceiling(1 << 20);
	c->result = buf_with_ceiling(12 << 20);
	c->answer.text = buf_with_ceiling(4 << 20);
	c->answer.structured = buf_with_ceiling(4 << 20);
	return c;
}

void call_free(struct call *c)
{
	CHECK(c, CALL_MAGIC);
	assert(!timer_pending(&c->timer));
	c->magic = 0;
	for (size_t i = 0; i < c->plan_n; i++) {
		buf_free(&c->plan[i].raw);
		buf_free(&c->plan[i].text);
	}
	buf_free(&c->record);
	buf_free(&c->result);
	buf_free(&c->answer.text);
	buf_free(&c->answer.structured);
	answer_free(&c->http);
	request_free(c->request);
	free(c);
}

enum verdict call_goto(struct call *c, enum step next)
{
	c->step = next;
	return NEXT;
}

void call_run(struct call *c)
{
	CHECK(c, CALL_MAGIC);
	for (;;) {
		enum thread where = steps[c->step].thread;

		if (where != thread_self()) {
			mail_post(where, &c->mail);
			return;
		}
		if (steps[c->step].run(c) != NEXT)
			return;
	}
}

enum verdict call_fail(struct call *c, enum err err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	c->fault.err = err;
	c->fault.message = arena_vprintf(c->arena, format, args);
	va_end(args);
	if (!c->fault.message)
		c->fault.message = err_info(err)->text;
	return call_goto(c, STEP_reply);
}

int64_t call_elapsed_ms(struct call *c)
{
	if (!c->elapsed)
		c->elapsed = clock_now() - c->born + 1;
	return (c->elapsed - 1) / USEC_PER_MS;
}

bool call_ask(struct call *c, const char *key, const char *method, json_t *params)
{
	if (c->asks_n == ASKS_MAX || (params && !arena_attach(c->arena, params, json_release)))
		return false;
	c->asks[c->asks_n++] = (struct ask){key, method, params};
	return true;
}

json_t *call_answer(const struct call *c, const char *key)
{
	return json_object_get(c->answers, key);
}
