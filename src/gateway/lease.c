/* Who holds an operation: what this process does is renewed, what others have left is found and begun again. */
#include "piece.h"

#include <string.h>

/* In each lease so many times, so that one that is late is not the last. */
#define TURNS_PER_LEASE 3

/* ---- a lease ---- */

struct lease {
	struct store_work work;
	struct store_item items[2];
	char group[GROUP_SIZE], operation[OPERATION_ID_SIZE];
};

/* One that is another one's by now, or is over, is left as it is. */
static void lease_done(struct store_work *w)
{
	free(container_of(w, struct lease, work));
}

void lease_set(const struct principal *p, const char *operation, uint64_t version, int64_t due_ms)
{
	struct lease *l = xalloc(sizeof *l);

	group_of(l->group, p);
	snprintf(l->operation, sizeof l->operation, "%s", operation);
	l->items[0] =
	    (struct store_item){.verb = STORE_CHECK, .kind = RECORD_OPERATION, .key = l->operation, .version = version};
	l->items[1] = (struct store_item){.verb = STORE_KEEP,
					  .kind = RECORD_OPERATION,
					  .key = l->operation,
					  .ttl_ms = OPERATION_KEPT_MS,
					  .due_ms = due_ms};
	l->work = (struct store_work){.group = l->group, .items = l->items, .n = 2, .done = lease_done};
	store_post(&l->work);
}

static void lease_renew(handle_t h, void *object, void *ctx)
{
	const struct ticket *t = object;

	(void)h, (void)ctx;
	if (t->version && !t->adopts)
		lease_set(&t->account->principal, t->operation, t->version, lease_of(gateway.conf));
}

/* ---- what others have left ---- */

struct left {
	struct mail mail;
	struct store_work work;
	struct store_item item;
};

/* On a store of its own there is something only at the start; but all of it, and once the store can be read. */
static void turn_again(bool more)
{
	if (store_shared() || more)
		timer_set(gateway.wheel, &gateway.leases, clock_now() + gateway.conf->store_lease / TURNS_PER_LEASE);
}

static void left_deliver(struct mail *m)
{
	struct left *l = container_of(m, struct left, mail);
	size_t n = 0;

	OWNED_BY(THREAD_NET);
	for (const struct store_row *row = l->item.rows; row; row = row->next, n++)
		adopt_left(row->key, row->version, (struct slice){row->value, row->n});
	turn_again(l->work.rc != STORE_OK || n == STORE_ROWS_MAX);
	store_rows_free(&l->item);
	free(l);
}

static void left_done(struct store_work *w)
{
	mail_post(THREAD_NET, &container_of(w, struct left, work)->mail);
}

static void leases_look(void)
{
	struct left *l = xalloc(sizeof *l);

	*l = (struct left){.mail = {.deliver = left_deliver},
			   .item = {.verb = STORE_DUE, .kind = RECORD_OPERATION, .most = STORE_ROWS_MAX}};
	l->work = (struct store_work){.items = &l->item, .n = 1, .done = left_done};
	store_post(&l->work);
}

static void leases_turn(struct timer *t)
{
	(void)t;
	if (store_shared())
		handle_each(gateway.tickets, lease_renew, NULL);
	forgotten_again();
	if (gateway.phase == PHASE_SERVING && clock_now() >= gateway.leases_look)
		leases_look();
	else
		turn_again(false);
}

void leases_soon(void)
{
	if (!timer_pending(&gateway.leases))
		turn_again(true);
}

void leases_wait(void)
{
	if (store_shared())
		gateway.leases_look = clock_now() + gateway.conf->store_lease;
}

void leases_start(void)
{
	gateway.leases.fire = leases_turn;
	leases_wait();
	leases_turn(&gateway.leases);
}
