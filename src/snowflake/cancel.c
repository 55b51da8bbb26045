/* Calls named by ticket, from anywhere: cancels, kept while their call is not here yet and forgotten after a while; and
 * visits, which find it or do not. */
#include "internal.h"

enum { REMEMBERED_MAX = 65536, BUCKETS = 4096 };
#define REMEMBER_FOR (10 * 60 * USEC_PER_S)

struct remembered {
	handle_t ticket;
	usec_t until;
	struct remembered *next, **prev; /* the bucket's list */
	struct remembered *later;        /* all, by age */
};
/* owner: SNOWFLAKE */
static struct remembered *buckets[BUCKETS], *oldest, **newest = &oldest;
static size_t remembered_n;

static struct remembered **bucket_of(handle_t ticket)
{
	return &buckets[(ticket ^ ticket >> 32) % BUCKETS];
}

/* A taken one stays in the list by age, out of its bucket, until its time has come. */
static void unlink_remembered(struct remembered *r)
{
	if (!r->prev)
		return;
	*r->prev = r->next;
	if (r->next)
		r->next->prev = r->prev;
	r->prev = NULL;
}

static void forget_oldest(void)
{
	struct remembered *r = oldest;

	oldest = r->later;
	if (!oldest)
		newest = &oldest;
	remembered_n--;
	unlink_remembered(r);
	free(r);
}

static void remember(handle_t ticket)
{
	struct remembered *r = xalloc(sizeof *r), **bucket = bucket_of(ticket);
	usec_t now = clock_now();

	while (oldest && (oldest->until <= now || remembered_n >= REMEMBERED_MAX))
		forget_oldest();
	*r = (struct remembered){.ticket = ticket, .until = now + REMEMBER_FOR, .next = *bucket, .prev = bucket};
	if (r->next)
		r->next->prev = &r->next;
	*bucket = r;
	*newest = r;
	newest = &r->later;
	remembered_n++;
}

bool cancel_take(handle_t ticket)
{
	for (struct remembered *r = *bucket_of(ticket); r; r = r->next)
		if (r->ticket == ticket && r->until > clock_now()) {
			unlink_remembered(r);
			return true;
		}
	return false;
}

void cancel_forget_all(void)
{
	while (oldest)
		forget_oldest();
}

struct cancel {
	struct mail mail;
	handle_t ticket;
};

static void deliver_cancel(struct mail *m)
{
	struct cancel *cancel = container_of(m, struct cancel, mail);
	handle_t ticket = cancel->ticket;
	struct job *j = job_find(ticket);

	free(cancel);
	if (!j) {
		remember(ticket);
		return;
	}
	j->cancelled = true;
	if (j->call)
		statement_cancelled(j);
}

void snowflake_cancel(handle_t ticket)
{
	struct cancel *cancel;

	if (!ticket)
		return;
	cancel = xalloc(sizeof *cancel);
	cancel->ticket = ticket;
	cancel->mail.deliver = deliver_cancel;
	mail_post(THREAD_SNOWFLAKE, &cancel->mail);
}

struct visit {
	struct mail mail;
	handle_t ticket;
	void (*visit)(struct call *c, void *arg);
	void *arg;
};

static void deliver_visit(struct mail *m)
{
	struct visit *v = container_of(m, struct visit, mail);
	const struct job *j = job_find(v->ticket);

	v->visit(j ? j->call : NULL, v->arg);
	free(v);
}

void snowflake_visit(handle_t ticket, void (*visit)(struct call *c, void *arg), void *arg)
{
	struct visit *v = xalloc(sizeof *v);

	*v = (struct visit){.mail = {.deliver = deliver_visit}, .ticket = ticket, .visit = visit, .arg = arg};
	mail_post(THREAD_SNOWFLAKE, &v->mail);
}
