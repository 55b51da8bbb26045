/* A queue of byte pieces, one for each event. */
#include "snowgate/outbox.h"

#include <string.h>

struct piece {
	struct piece *next;
	size_t n;
	char data[];
};

char *outbox_add(struct outbox *o, size_t n)
{
	struct piece *piece = xalloc(sizeof(*piece) + n);

	assert(n > 0);
	piece->n = n;
	if (o->last)
		o->last->next = piece;
	else
		o->first = piece;
	o->last = piece;
	o->n += n;
	return piece->data;
}

void outbox_put(struct outbox *o, struct slice bytes)
{
	memcpy(outbox_add(o, bytes.n), bytes.data, bytes.n);
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

struct slice outbox_next(const struct outbox *o)
{
	return o->first ? (struct slice){o->first->data + o->taken, o->first->n - o->taken} : (struct slice){0};
}

void outbox_skip(struct outbox *o, size_t n)
{
	assert(n <= outbox_next(o).n);
	o->taken += n;
	if (o->first && o->taken == o->first->n)
		drop_first(o);
}

size_t outbox_take(struct outbox *o, char *out, size_t max)
{
	size_t n = 0;

	while (o->first && n < max) {
		struct slice next = outbox_next(o);
		size_t part = next.n < max - n ? next.n : max - n;

		memcpy(out + n, next.data, part);
		n += part;
		outbox_skip(o, part);
	}
	return n;
}

void outbox_free(struct outbox *o)
{
	while (o->first)
		drop_first(o);
}
