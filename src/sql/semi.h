/* semi.h
 *
 * JSON text within a cell (VARIANT, OBJECT, ARRAY), without building a tree: rows are the hot path. Private to src/sql.
 */
#ifndef SNOWGATE_SQL_SEMI_H
#define SNOWGATE_SQL_SEMI_H

#include "sink.h"

struct semi_facts {
	size_t compact; /* length without white space */
	bool has_signs; /* quotes or commas: a field of CSV needs quotes for them */
	bool has_words; /* undefined, NaN, Infinity: Snowflake prints them, JSON has none of them */
};

/* Whether all of `text` is one JSON value (RFC 8259; at most 256 levels); Snowflake's words taken for values, too. */
bool semi_read(const char *text, size_t n, struct semi_facts *facts) MUST_USE;
/* Writes that value without white space. As JSON the words become null; as CSV they stay. The text has passed
 * semi_read(). */
void semi_json(struct sink *s, const char *text, size_t n, const struct semi_facts *facts);
void semi_csv(struct sink *s, const char *text, size_t n, const struct semi_facts *facts);
/* The length of the JSON number at `p`; 0 where there is none. RFC 8259, 6. */
size_t semi_number_length(const char *p, const char *end);
/* The length of NaN, inf or Infinity, with a sign or not, in either case, at `p`; 0 where there is none. */
size_t semi_no_number_length(const char *p, const char *end);

#endif
