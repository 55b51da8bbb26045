/* hygiene.h
 *
 * Is the head of a request what it seems? Everything that two HTTP parsers could read differently is refused, so that
 * nothing can be smuggled past a proxy, and past libmicrohttpd 0.9.75, which accepts most of it (production.md 5).
 * Pure: the head is given as data. A refused head is answered 400 and its connection is never used again.
 */
#ifndef SNOWGATE_HTTP_HYGIENE_H
#define SNOWGATE_HTTP_HYGIENE_H

#include "snowgate/base.h"

#define HEAD_FIELDS_MAX 100

struct head_field {
	struct slice name, value;
};
struct head {
	struct slice target;  /* path as sent */
	struct slice version; /* "HTTP/1.1" */
	size_t fields_n;
	struct head_field fields[HEAD_FIELDS_MAX];
	bool overflow; /* there were more fields */
	/* Bytes of the head as received, and as its parsed parts account for; a difference is what the parser hid: a
	 * NUL, a bare LF, folding. */
	size_t raw_size, seen_size;
};

/* The first fault as static text for the answer, or NULL. */
const char *hygiene_fault(const struct head *head) MUST_USE;
/* Of the whole request target, query included. */
const char *hygiene_target_fault(struct slice target) MUST_USE;

/* The first field of this name, outer white space removed; absent: data == NULL. */
struct slice head_get(const struct head *head, const char *name);
/* Is there a field whose name begins so? ASCII case ignored. */
bool head_has_prefix(const struct head *head, const char *prefix);
bool slice_starts_nocase(struct slice s, const char *prefix);

#endif
