/* outbox.h
 *
 * Bytes on their way to one client, in pieces that are freed as they are taken: an empty outbox holds no memory, a
 * full one no more than its bytes. Ceilings are its holder's, who looks at `n` before he adds. owner: NET.
 */
#ifndef SNOWGATE_OUTBOX_H
#define SNOWGATE_OUTBOX_H

#include "snowgate/base.h"

struct piece;
struct outbox {
	struct piece *first, *last;
	size_t n;     /* bytes of the pieces; of the first one some may have been taken */
	size_t taken; /* of the first one */
};

char *outbox_add(struct outbox *o, size_t n);          /* a piece of n > 0 bytes, for the caller to fill at once */
void outbox_put(struct outbox *o, struct slice bytes); /* a piece that is a copy; not empty */
/* What is next, up to the end of its piece; valid until something is taken. Empty where nothing waits. */
struct slice outbox_next(const struct outbox *o);
/* Takes `n` bytes, at most those of outbox_next(); a piece that is through is freed: o->n shrinks by whole pieces. */
void outbox_skip(struct outbox *o, size_t n);
/* Copies at most `max` bytes out, of as many pieces as it takes, and skips them. */
size_t outbox_take(struct outbox *o, char *out, size_t max);
void outbox_free(struct outbox *o); /* may be used again, empty */

#endif
