/* handle.h
 *
 * Names for objects that may be gone when the name is used: 64 bits, generation above index. A stale or invented
 * handle finds nothing. Across threads go handles, never pointers.
 *
 * Owner: one thread per table; the handles themselves may travel.
 */
#ifndef SNOWGATE_HANDLE_H
#define SNOWGATE_HANDLE_H

#include "snowgate/base.h"

typedef uint64_t handle_t; /* 0 names nothing */
struct handle_table;

struct handle_table *handle_table_new(uint32_t ceiling);
void handle_table_free(struct handle_table *t); /* the objects are not touched */

handle_t handle_add(struct handle_table *t, void *object) MUST_USE; /* 0 when the table is full */
void *handle_get(const struct handle_table *t, handle_t h);         /* NULL when stale or unknown */
void handle_drop(struct handle_table *t, handle_t h);               /* stale or unknown: nothing happens */
uint32_t handle_count(const struct handle_table *t);
/* Visits every object in index order; visit may drop the handle it is given. */
void handle_each(struct handle_table *t, void (*visit)(handle_t h, void *object, void *ctx), void *ctx);

#endif
