/* base.h
 *
 * What every file needs: contracts the compiler can check, transfer of ownership, and allocation that never returns
 * NULL. Nothing here knows of time, threads or input.
 */
#ifndef SNOWGATE_BASE_H
#define SNOWGATE_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define MUST_USE                            __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first)    __attribute__((format(printf, format_index, first)))
#define UNUSED                              __attribute__((unused))
#define ARRAY_LEN(a)                        (sizeof(a) / sizeof((a)[0]))
#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/* Microseconds; as a point in time, of the monotonic clock of wheel.h unless a name says wall. */
typedef int64_t usec_t;
#define USEC_PER_MS ((usec_t)1000)
#define USEC_PER_S  ((usec_t)1000000)

/* A pointer given away leaves the giver with NULL: give(TAKE(p)). */
#define TAKE(lvalue)                                                                                                   \
	({                                                                                                             \
		__typeof__(lvalue) taken_ = (lvalue);                                                                  \
		(lvalue) = NULL;                                                                                       \
		taken_;                                                                                                \
	})

/* Objects that travel through a void pointer carry a magic number as their first member; CHECK is the first line of
 * whoever receives one. */
#define CHECK(object, magic_number) assert((object) && (object)->magic == (magic_number))

/* Allocation: abort on exhaustion (a supervised process restarts; a half-built object would be worse). `calloc`
 * semantics: zeroed. Free with free(). */
void *xalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *memory, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *text) __attribute__((returns_nonnull));
char *xstrndup(const char *text, size_t n) __attribute__((returns_nonnull));

/* A run of bytes that someone else owns. `data` may lack a NUL; NULL means absent. */
struct slice {
	const char *data;
	size_t n;
};
#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
struct slice slice_of(const char *text);                /* NULL gives an absent slice */
bool slice_is(struct slice s, const char *text);        /* equal, byte by byte */
bool slice_is_nocase(struct slice s, const char *text); /* equal, ASCII case ignored */
struct slice slice_trim(struct slice s);                /* without leading and trailing SP and HTAB */

/* Parses all of `text` as a decimal integer within [min, max]. False, and *out untouched, for anything else. */
bool parse_int(const char *text, int64_t min, int64_t max, int64_t *out) MUST_USE;

/* Length in bytes (1-4) of the well-formed UTF-8 sequence at the start of `text`; 0 when there is none (Unicode,
 * table 3-7: no overlong forms, no surrogates). */
size_t utf8_sequence(const char *text, size_t n);
bool utf8_valid(struct slice s);

#endif
