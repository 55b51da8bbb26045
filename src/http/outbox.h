/* outbox.h
 *
 * Bytes on their way to one client, in pieces that are freed as they are taken: an empty outbox holds no memory, a
 * full one no more than its bytes. owner: NET.
 */
#ifndef SNOWGATE_HTTP_OUTBOX_H
#define SNOWGATE_HTTP_OUTBOX_H

#include "snowgate/base.h"

struct piece;
struct outbox {
	struct piece *first, *last;
	size_t n;     /* bytes of the pieces; of the first one some may have been taken */
	size_t taken; /* of the first one */
};

void outbox_put(struct outbox *o, struct slice bytes); /* a copy; not empty */
/* Copies at most `max` bytes out and frees the pieces that are through: o->n shrinks by whole pieces. */
size_t outbox_take(struct outbox *o, char *out, size_t max);
void outbox_free(struct outbox *o); /* may be used again, empty */

#endif
