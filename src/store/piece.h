/* What the back ends share: rows that come out, and what of a piece they ask again and again. */
#ifndef SNOWGATE_STORE_PIECE_H
#define SNOWGATE_STORE_PIECE_H

#include "snowgate/store.h"

/* A new row behind `*end`, which then is behind it; the list begins at &item->rows. */
struct store_row *row_add(struct store_row ***end, const char *key, struct slice value);
/* Nothing of what came out is valid: the piece did not happen, or is run once more. */
void piece_forget(struct store_work *w);
bool item_writes(const struct store_item *item);
/* The bytes that the store holds now, for the metric. On STORE. */
void store_holds(int64_t bytes);

#endif
