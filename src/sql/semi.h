/* semi.h
 *
 * JSON text within a cell (VARIANT, OBJECT, ARRAY), without building a tree: rows are the hot path. Private to src/sql.
 */
#ifndef SNOWGATE_SQL_SEMI_H
#define SNOWGATE_SQL_SEMI_H

#include "snowgate/buf.h"

/* Whether all of `text` is one JSON value (RFC 8259; at most 256 levels); *compact is its length without white space.
 */
bool semi_is_json(const char *text, size_t n, size_t *compact);
/* Appends that value without white space. The text has passed semi_is_json(); false when the ceiling is reached. */
bool semi_json_write(struct buf *out, const char *text, size_t n);
/* The length of the JSON number at `p`; 0 where there is none. RFC 8259, 6. */
size_t semi_number_length(const char *p, const char *end);

#endif
