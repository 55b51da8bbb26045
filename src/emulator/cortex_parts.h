/* cortex_parts.h
 *
 * What the files of Cortex share: the request, the stream, and the three answers.
 */
#ifndef SNOWGATE_EMULATOR_CORTEX_PARTS_H
#define SNOWGATE_EMULATOR_CORTEX_PARTS_H

#include "cortex.h"
#include "snowgate/buf.h"
#include "snowgate/json.h"

#define CORTEX_DELAY      (20 * USEC_PER_MS)
#define CORTEX_STALL      (86400 * USEC_PER_S)
#define CORTEX_TEXT_MAX   ((size_t)4 << 20)
#define CORTEX_OBJECT_MAX 768 /* DB.SCHEMA.NAME */

struct cortex_script {
	usec_t delay;                     /* between two events */
	int64_t error_after, stall_after; /* so many events come first; 0: never */
};

struct cortex_call {
	struct cortex *cortex;
	struct exchange *exchange;
	const struct cortex_script *script;
	const json_t *body;
	const char *request_id;
	char object[CORTEX_OBJECT_MAX]; /* of the path, upper case; empty where the path has none */
};

/* Server-sent events, each in its time. */
struct cortex_stream {
	const struct cortex_call *call;
	struct buf text;
	struct answer_piece *pieces;
	size_t n;
	bool ended; /* by a scripted error: later events are dropped */
};

void stream_open(struct cortex_stream *s, const struct cortex_call *call);
void stream_event(struct cortex_stream *s, const char *name, json_t *data); /* takes the reference */
void stream_text(struct cortex_stream *s, const char *name, const char *data);
void stream_answer(struct cortex_stream *s); /* makes it the exchange's answer */

bool cortex_has(const struct cortex *cortex, const char *object);
void cortex_bad(const struct cortex_call *call, const char *why); /* 400 */
void cortex_missing(const struct cortex_call *call, const char *kind, const char *object);
/* The text of the last message of the role user, or NULL. */
const char *cortex_question(const json_t *body);
/* Whether `text` holds the word, case ignored. */
bool cortex_mentions(const char *text, const char *word);

/* What Analyst answers to a question. sql NULL: suggestions instead. */
struct analyst_answer {
	const char *word, *text, *sql;
};
const struct analyst_answer *analyst_choose(const char *question);

void search_serve(const struct cortex_call *call);
void analyst_serve(const struct cortex_call *call);
void agent_serve(const struct cortex_call *call);

#endif
