/* format.h
 *
 * The numbers that records of the store bear. A program writes `format`, which tells a person what has written the
 * record, and `reader`: the least format whose programs may read it. Members that a program does not know it keeps; so
 * only what changes the meaning of a known one has to raise `reader`. A record above it is left alone, and told.
 *
 * SNOWGATE_NEXT (tests/CMakeLists.txt) makes a program as the next version may be: its records have a member more, and
 * where RECORDS_OF_NEXT_ONLY is in the environment it takes none without, so that the test of updates sees whether this
 * version keeps it. Where RECORDS_FOR_NEXT_ONLY is, this version may not read what it writes.
 */
#ifndef SNOWGATE_FORMAT_H
#define SNOWGATE_FORMAT_H

#include <stdlib.h>

#include "snowgate/json.h"

#ifdef SNOWGATE_NEXT
#define RECORD_FORMAT 2
#define RECORD_READER (getenv("RECORDS_FOR_NEXT_ONLY") ? 2 : 1)
#define RECORD_NEXT   "of the next version"
#else
#define RECORD_FORMAT 1
#define RECORD_READER 1
#endif

static inline void format_put(json_t *record)
{
	json_object_set_new(record, "format", json_integer(RECORD_FORMAT));
	json_object_set_new(record, "reader", json_integer(RECORD_READER));
#ifdef SNOWGATE_NEXT
	json_object_set_new(record, RECORD_NEXT, json_true());
#endif
}

/* May this program read it? What bears no number is no record. */
static inline bool format_fits(const json_t *record)
{
#ifdef SNOWGATE_NEXT
	if (!json_object_get(record, RECORD_NEXT) && getenv("RECORDS_OF_NEXT_ONLY"))
		return false;
#endif
	return json_int_of(record, "reader", INT64_MAX) <= RECORD_FORMAT;
}

static inline bool format_newer(const json_t *record)
{
	return json_int_of(record, "reader", 0) > RECORD_FORMAT;
}

#endif
