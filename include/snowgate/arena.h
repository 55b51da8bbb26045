/* arena.h
 *
 * Memory with the life of one call: bump allocation in blocks, freed in one go, with a ceiling for the whole and a red
 * zone behind each block that arena_check() and arena_free() assert. Foreign objects (json_t, buffers) are attached
 * with their destructor and die with it, last attached first.
 *
 * Owner: the holder; moves with the call. Not shared.
 */
#ifndef SNOWGATE_ARENA_H
#define SNOWGATE_ARENA_H

#include <stdarg.h>
#include "snowgate/base.h"

struct arena;

struct arena *arena_new(size_t ceiling);
void arena_free(struct arena *a); /* NULL is fine */

/* Zeroed, aligned for any object. NULL when the ceiling would be passed (one client suffers, not the process). */
void *arena_alloc(struct arena *a, size_t size) MUST_USE;
char *arena_strdup(struct arena *a, const char *text) MUST_USE; /* NULL in, NULL out */
char *arena_strndup(struct arena *a, const char *text, size_t n) MUST_USE;
char *arena_printf(struct arena *a, const char *format, ...) PRINTF_LIKE(2, 3) MUST_USE;
size_t arena_ceiling(const struct arena *a);
char *arena_vprintf(struct arena *a, const char *format, va_list args) PRINTF_LIKE(2, 0) MUST_USE;

/* destroy(object) runs at arena_free(). False (and the object destroyed at once) when the ceiling is reached. */
bool arena_attach(struct arena *a, void *object, void (*destroy)(void *)) MUST_USE;

size_t arena_used(const struct arena *a);
void arena_check(const struct arena *a);

#endif
