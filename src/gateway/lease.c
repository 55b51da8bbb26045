/* Operations that their holder has left: found in the store, and begun again. */
#include "piece.h"

/* ---- what another process has left ---- */

struct left {
	struct mail mail;
	struct store_work work;
	struct store_item item;
};

static void left_deliver(struct mail *m)
{
	struct left *l = container_of(m, struct left, mail);

	OWNED_BY(THREAD_NET);
	if (l->work.rc != STORE_OK)
		log_event(LOG_ERROR, "store_refused", log_text("what", "operations of before"));
	for (const struct store_row *row = l->item.rows; row; row = row->next)
		adopt_left(row->key, row->version, (struct slice){row->value, row->n});
	store_rows_free(&l->item);
	free(l);
}

static void left_done(struct store_work *w)
{
	mail_post(THREAD_NET, &container_of(w, struct left, work)->mail);
}

void durable_left(void)
{
	struct left *l = xalloc(sizeof *l);

	*l = (struct left){.mail = {.deliver = left_deliver},
			   .item = {.verb = STORE_DUE, .kind = RECORD_OPERATION, .most = STORE_ROWS_MAX}};
	l->work = (struct store_work){.items = &l->item, .n = 1, .done = left_done};
	store_post(&l->work);
}
