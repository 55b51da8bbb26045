/* The module's state: calls under way by ticket, bytes of results held, and the simulator's way in. */
#include "internal.h"

#include "snowgate/crypt.h"

#include <stdatomic.h>
#include <string.h>

enum { JOB_BUCKETS = 1024 };

struct snowflake snowflake;           /* owner: SNOWFLAKE */
static struct job *jobs[JOB_BUCKETS]; /* owner: SNOWFLAKE */
static _Atomic size_t results_held;   /* taken by SNOWFLAKE and WORKERs, given back wherever a call ends */
static size_t jobs_n;                 /* owner: SNOWFLAKE */

static struct job **bucket_of(handle_t ticket)
{
	return &jobs[(ticket ^ ticket >> 32) % JOB_BUCKETS];
}

struct job *job_find(handle_t ticket)
{
	struct job *j = *bucket_of(ticket);

	while (j && j->ticket != ticket)
		j = j->next;
	return j;
}

static struct job *job_new(struct call *c)
{
	struct job *j = xalloc(sizeof *j), **bucket = bucket_of(c->ticket);

	j->magic = JOB_MAGIC;
	j->ticket = c->ticket;
	j->request.body = buf_with_ceiling(8 << 20);
	j->next = *bucket;
	j->prev = bucket;
	if (j->next)
		j->next->prev = &j->next;
	*bucket = j;
	jobs_n++;
	j->cancelled = c->ticket && cancel_take(c->ticket);
	return j;
}

struct job *job_enter(struct call *c)
{
	struct statement *s = call_statement(c);

	OWNED_BY(THREAD_SNOWFLAKE);
	assert(s);
	if (!s->job)
		s->job = job_new(c);
	CHECK(s->job, JOB_MAGIC);
	s->job->call = c;
	s->job->cancelled |= c->cancelled;
	c->cancelled = s->job->cancelled;
	return s->job;
}

void job_away(struct job *j)
{
	assert(!j->sending);
	timer_stop(&j->call->timer);
	token_unwait(&j->token);
	j->call = NULL;
}

void job_free(struct job *j)
{
	CHECK(j, JOB_MAGIC);
	assert(!j->sending);
	token_unwait(&j->token);
	if (j->call)
		timer_stop(&j->call->timer);
	*j->prev = j->next;
	if (j->next)
		j->next->prev = j->prev;
	jobs_n--;
	pool_leave(j);
	assert(!j->sources);
	results_give(j->held + j->request.held);
	buf_free(&j->request.body);
	buf_free(&j->request.answer);
	j->magic = 0;
	free(j);
}

/* A call that is with STORE or WORKER comes home by itself; its record ends here. */
static void job_abandon(struct job *j)
{
	struct call *c = j->call;

	if (j->sending) {
		snowflake.wire->abort(snowflake.wire, &j->request);
		j->sending = false;
	}
	fetch_forget(j, c ? call_statement(c) : NULL);
	if (c)
		call_statement(c)->job = NULL;
	job_free(j);
	if (!c)
		return;
	(void)call_fail(c, ERR_DRAINING, "the gateway stopped; the statement goes on at Snowflake");
	call_run(c);
}

void jobs_abandon(void)
{
	for (size_t i = 0; i < JOB_BUCKETS; i++)
		while (jobs[i])
			job_abandon(jobs[i]);
	parks_drop();
	(void)token_stop();
}

size_t snowflake_busy(void)
{
	OWNED_BY(THREAD_SNOWFLAKE);
	return jobs_n;
}

bool handle_copy(char out[64], const char *text)
{
	size_t n = text ? strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_") : 0;

	if (!n || n > 63 || text[n])
		return false;
	memcpy(out, text, n + 1);
	return true;
}

/* Is there enough that some may be taken ahead of its time? */
bool results_spare(void)
{
	return results_held < RESULTS_CEILING / 2;
}

bool results_take(size_t n)
{
	size_t held = results_held;

	do
		if (n > RESULTS_CEILING - held)
			return false;
	while (!atomic_compare_exchange_weak(&results_held, &held, held + n));
	return true;
}

void results_give(size_t n)
{
	size_t before = atomic_fetch_sub(&results_held, n);

	assert(n <= before);
	(void)before;
}

usec_t random_between(usec_t low, usec_t high)
{
	uint64_t r;

	crypt_random(&r, sizeof r);
	return low >= high ? low : low + (usec_t)(r % (uint64_t)(high - low + 1));
}

void snowflake_open(const struct conf *conf, const struct snowflake_ops *ops, struct wire *wire, struct wheel *wheel)
{
	snowflake = (struct snowflake){ops, wire, wheel, (size_t)conf->snowflake_max_connections};
}

void snowflake_close(void)
{
	pool_close();
	parks_drop();
	cancel_forget_all();
	token_forget_all();
	snowflake = (struct snowflake){0};
}
