/* record.h
 *
 * A record of the SQL API's requests and answers, one JSON object per line, for tests/emulator/openapi_check.py:
 * {"method","path","query":{},"headers":{},"body","status","type","allow","link","gzip","spoiled",
 * "answer"}; "spoiled": a scripted fault changed the answer. Headers are the four
 * that the API describes, never Authorization. Bodies over 256 KiB are null.
 *
 * Owner: the HTTP thread.
 */
#ifndef SNOWGATE_EMULATOR_RECORD_H
#define SNOWGATE_EMULATOR_RECORD_H

#include "server.h"

struct record;
struct record *record_open(const char *path); /* NULL: it cannot be written; errno says why */
void record_close(struct record *record);     /* NULL is fine */
/* The answer is as it will be sent. */
void record_add(struct record *record, const struct exchange *e, bool spoiled);

#endif
