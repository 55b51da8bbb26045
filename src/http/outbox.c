/* A queue of byte pieces, one for each event. */
#include "outbox.h"

#include <string.h>

struct piece {
	struct piece *next;
	size_t n;
	char data[];
};

void outbox_put(struct outbox *o, struct slice bytes)
{
	struct piece *piece = xalloc(sizeof(*piece) + bytes.n);

	assert(bytes.n > 0);
	piece->n = bytes.n;
	memcpy(piece->data, bytes.data, bytes.n);
	if (o->last)
		o->last->next = piece;
	else
		o->first = piece;
	o->last = piece;
	o->n += bytes.n;
}

static void drop_first(struct outbox *o)
{
	struct piece *piece = o->first;

	o->first = piece->next;
	if (!o->first)
		o->last = NULL;
	o->n -= piece->n;
	o->taken = 0;
	free(piece);
}

size_t outbox_take(struct outbox *o, char *out, size_t max)
{
	size_t n = 0;

	while (o->first && n < max) {
		size_t rest = o->first->n - o->taken;
		size_t part = rest < max - n ? rest : max - n;

		memcpy(out + n, o->first->data + o->taken, part);
		n += part;
		o->taken += part;
		if (part == rest)
			drop_first(o);
	}
	return n;
}

void outbox_free(struct outbox *o)
{
	while (o->first)
		drop_first(o);
}
