/* A task that another replica works on, and that is listened to here: how it stands is read when that one tells of it.
 */
#include "piece.h"

#include <string.h>

struct task_look {
	struct mail mail;
	struct piece *piece;
	struct principal principal;
	struct found found;
};

static void look_free(struct task_look *l)
{
	found_release(&l->found);
	piece_free(l->piece);
	free(l);
}

static void look_deliver(struct mail *m)
{
	struct task_look *l = container_of(m, struct task_look, mail);

	OWNED_BY(THREAD_NET);
	task_found_told(&l->found, &l->principal);
	look_free(l);
}

/* First the pointer, then what it points to. */
static void look_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);
	struct store_item *item = &p->items[0];
	struct task_look *l = p->of;
	char id[OPERATION_ID_SIZE];

	if (w->rc != STORE_OK || item->rc != STORE_OK) {
		look_free(l);
	} else if (item->kind == RECORD_OPERATION) {
		found_fill(&l->found, p);
		mail_post(THREAD_NET, &l->mail);
	} else if (piece_key(item, sizeof id, id)) {
		piece_clear(p);
		piece_add_operation(p, id);
		store_post(w);
	} else {
		look_free(l);
	}
}

void task_look(const char *task, const struct principal *principal)
{
	struct task_look *l = xalloc(sizeof *l);
	struct piece *p = piece_alone(principal, look_done);
	char key[STORE_KEY_MAX];

	*l = (struct task_look){.mail = {.deliver = look_deliver}, .piece = p, .principal = *principal};
	snprintf(l->found.task, sizeof l->found.task, "%s", task);
	p->of = l;
	key_of_task(key, task, p->group);
	piece_add(p, STORE_GET, RECORD_TASK, key)->out = buf_with_ceiling(STORE_KEY_MAX);
	store_post(&p->work);
}
