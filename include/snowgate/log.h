/* log.h
 *
 * One JSON object per event on one line of standard error, written by the LOG thread from a bounded ring. A full ring
 * drops and counts; the count is told in the next line that fits. Before log_start() and after log_stop() lines are
 * written at once by the caller (start-up, command line).
 *
 * Every value is escaped here, so no input can forge a line. Never pass a secret: there is no redaction to rely on.
 */
#ifndef SNOWGATE_LOG_H
#define SNOWGATE_LOG_H

#include "snowgate/base.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_set_level(enum log_level level);
bool log_level_parse(const char *name, enum log_level *out) MUST_USE; /* debug info warn error */
/* Starts the LOG thread, which also delivers the mail of THREAD_LOG. The ring is at least 64 KiB. */
void log_start(int fd, size_t ring_bytes);
/* Writes what is left, joins. The last thread to be stopped: nobody else may be logging any more. */
void log_stop(void);
uint64_t log_dropped(void);

/* One member of a line. Text is copied before the call returns. */
struct log_field {
	const char *key;
	enum { LOG_TEXT, LOG_NUMBER, LOG_BOOL } kind;
	const char *text;
	int64_t number;
};
#define log_text(k, v)   ((struct log_field){(k), LOG_TEXT, (v), 0})
#define log_number(k, v) ((struct log_field){(k), LOG_NUMBER, NULL, (int64_t)(v)})
#define log_bool(k, v)   ((struct log_field){(k), LOG_BOOL, NULL, (v) ? 1 : 0})

/* Writes {"ts":…,"level":…,"event":event, …fields}. ts: RFC 3339, UTC, microseconds. NULL texts are left out.
 * A text over 6 KiB and what does not fit into a line of 8 KiB are cut, which "cut":true says. */
void log_fields(enum log_level level, const char *event, size_t n, const struct log_field *fields);
#define log_event(level, event, ...)                                                                                   \
	log_fields((level), (event), sizeof((struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field),             \
		   (struct log_field[]){__VA_ARGS__})

#endif
