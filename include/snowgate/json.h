/* json.h
 *
 * JSON in and out within limits: the only file with jansson's loader and dumper. Trees are jansson's json_t and follow
 * its reference counting; they never cross a thread while two threads could touch them.
 *
 * Input is refused when it is larger or deeper than allowed, is not UTF-8, holds a NUL character, or names an object's
 * member twice (a duplicate key reads differently in two parsers). Text: RFC 8259.
 */
#ifndef SNOWGATE_JSON_H
#define SNOWGATE_JSON_H

#include <jansson.h>
#include "snowgate/arena.h"
#include "snowgate/buf.h"

#define JSON_DEPTH_MAX  64     /* arrays and objects within one another, from a client */
#define JSON_VALUES_MAX 131072 /* values in one text from a client: a tree takes up to 70 times its text */

/* JSON_DEEP: too deep or too many values. JSON_ENCODING: not UTF-8, a lone surrogate or a NUL character. */
enum json_verdict { JSON_OK, JSON_SYNTAX, JSON_DEEP, JSON_DUPLICATE, JSON_ENCODING };

/* Parses all of `text`. On JSON_OK *out is a new reference; otherwise `why` (may be NULL) holds one sentence with the
 * byte offset. Any value is accepted at the top. Integers beyond 64 bits are refused as JSON_SYNTAX. */
enum json_verdict json_parse(struct slice text, int depth_max, json_t **out, char *why, size_t why_size) MUST_USE;

/* As json_parse() for answers of a trusted upstream: no check for duplicate keys, depth 512, any number of values, and
 * strings (not keys) may hold NUL characters, as Snowflake's can: take json_string_length(). Rows are large and this is
 * their fast path. */
enum json_verdict json_parse_trusted(struct slice text, json_t **out) MUST_USE;

/* Appends the compact text of `value`; false when the buffer's ceiling is reached. Members keep their order; reals are
 * written with the fewest digits (15 to 17) that read back as the same number. */
bool json_write(struct buf *b, const json_t *value);
/* As json_write(), but one text per value: members sorted by the bytes of their keys, and a real that is a whole number
 * of 64 bits written as that integer. What digests are made over; not for wires. */
bool json_write_canonical(struct buf *b, const json_t *value);
/* Appends `text` as a JSON string, quotes included; bytes that are not UTF-8 become U+FFFD. */
bool json_write_string(struct buf *b, const char *text, size_t n);

/* The raw token of top-level member `key` ("id"), so that a request id can be echoed byte for byte: 9007199254740993,
 * 1.0 and "a\u0041" stay what they were. Absent: data == NULL. `text` must have passed json_parse(). */
struct slice json_raw_member(struct slice text, const char *key);
/* As above, along a path: {"params", "_meta", "progressToken", NULL}. */
struct slice json_raw_path(struct slice text, const char *const path[]);

/* Members, NULL or the default when absent or of another type. Borrowed. */
const char *json_text_of(const json_t *object, const char *key);
int64_t json_int_of(const json_t *object, const char *key, int64_t otherwise);
bool json_bool_of(const json_t *object, const char *key, bool otherwise);

/* A copy of `object` without the members of the list, which NULL ends; NULL where nothing is left: what a newer program
 * has added to a record, to be written again with it. */
json_t *json_without(const json_t *object, const char *const *members);

/* Destructor for arena_attach(). */
void json_release(void *json);

#endif
