/* Records of operations that were refused: they may be there all the same, and must not be found and sent later. */
#include "piece.h"

#include <string.h>

/* Kept while the store cannot be reached, about 1 KiB each; of more the oldest are left to their callers' deadlines. */
#define FORGOTTEN_MAX 10000

struct forgotten {
	struct mail mail;
	struct store_work work;
	struct store_item items[4];
	struct forgotten *next;
	char group[GROUP_SIZE], operation[OPERATION_ID_SIZE], stream[STREAM_ID_SIZE], task[STORE_KEY_MAX];
};

static void forgotten_deliver(struct mail *m)
{
	struct forgotten *f = container_of(m, struct forgotten, mail);

	OWNED_BY(THREAD_NET);
	*gateway.forgotten.last = f;
	gateway.forgotten.last = &f->next;
	if (++gateway.forgotten.n > FORGOTTEN_MAX) {
		f = gateway.forgotten.first;
		gateway.forgotten.first = f->next;
		gateway.forgotten.n--;
		free(f);
	}
	leases_soon();
}

/* STALE: it is not there, or another process has begun it. */
static void forgotten_done(struct store_work *w)
{
	struct forgotten *f = container_of(w, struct forgotten, work);

	if (w->rc == STORE_OK || w->rc == STORE_STALE)
		free(f);
	else
		mail_post(THREAD_NET, &f->mail);
}

static void forgotten_items(struct forgotten *f, uint64_t version)
{
	f->items[0] =
	    (struct store_item){.verb = STORE_CHECK, .kind = RECORD_OPERATION, .key = f->operation, .version = version};
	f->items[1] = (struct store_item){.verb = STORE_DEL, .kind = RECORD_OPERATION, .key = f->operation};
	f->work.n = 2;
	if (*f->stream)
		f->items[f->work.n++] = (struct store_item){.verb = STORE_DEL, .kind = RECORD_STREAM, .key = f->stream};
	if (*f->task)
		f->items[f->work.n++] = (struct store_item){.verb = STORE_DEL, .kind = RECORD_TASK, .key = f->task};
}

void operation_forget(struct call *c)
{
	struct forgotten *f = xalloc(sizeof *f);

	group_of(f->group, &c->request->principal);
	memcpy(f->operation, c->op.id, sizeof f->operation);
	memcpy(f->stream, c->op.stream, sizeof f->stream);
	forgotten_items(f, c->op.version ? c->op.version : 1);
	f->mail.deliver = forgotten_deliver;
	f->work =
	    (struct store_work){.group = f->group, .items = f->items, .n = *f->stream ? 3 : 2, .done = forgotten_done};
	*c->op.id = *c->op.stream = *c->op.task = '\0'; /* what points to it finds nothing */
	c->op.version = 0;
	store_post(&f->work);
}

static struct forgotten *forgotten_take(void)
{
	struct forgotten *first = TAKE(gateway.forgotten.first);

	gateway.forgotten.last = &gateway.forgotten.first;
	gateway.forgotten.n = 0;
	return first;
}

void forgotten_again(void)
{
	struct forgotten *next;

	for (struct forgotten *f = forgotten_take(); f; f = next) {
		next = TAKE(f->next);
		store_post(&f->work);
	}
}

void forgotten_free(void)
{
	struct forgotten *next;

	for (struct forgotten *f = forgotten_take(); f; f = next) {
		next = f->next;
		free(f);
	}
}
