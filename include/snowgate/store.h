/* store.h
 *
 * What must outlive a session's time in memory: records by kind and key. The STORE thread owns the back end; everybody
 * else mails work to it. Work that has come together is committed together (group commit), and only then reported done.
 *
 * A back end is a vtable; callers have no ifdef. `memory` keeps records in the process.
 */
#ifndef SNOWGATE_STORE_H
#define SNOWGATE_STORE_H

#include "snowgate/buf.h"
#include "snowgate/conf.h"
#include "snowgate/mail.h"

enum record_kind { RECORD_SESSION, RECORD_OPERATION, RECORD_KINDS };

struct store;
/* All functions run on the STORE thread between begin() and commit(). Int results: ERR_OK, ERR_NOT_FOUND,
 * ERR_OVERLOADED (ceiling reached), ERR_INTERNAL. */
struct store_backend {
	const char *name;
	struct store *(*open)(const struct conf *conf, char *why, size_t why_size);
	void (*close)(struct store *s);
	int (*begin)(struct store *s);
	int (*commit)(struct store *s);
	/* expires: wall seconds after which the record is as if deleted. */
	int (*put)(struct store *s, enum record_kind kind, const char *key, struct slice value, int64_t expires);
	int (*get)(struct store *s, enum record_kind kind, const char *key, struct buf *value);
	int (*del)(struct store *s, enum record_kind kind, const char *key);
	void (*expire)(struct store *s, int64_t now); /* wall seconds; a bounded amount of work */
};
extern const struct store_backend store_memory;

/* One piece of work. work() runs on STORE inside the batch; done() on STORE after the commit, and moves the object on.
 */
struct store_work {
	struct mail mail;
	void (*work)(struct store_work *, struct store *, const struct store_backend *);
	void (*done)(struct store_work *, int commit_result);
	struct store_work *next;
};
bool store_start(const struct conf *conf, char *why, size_t why_size); /* opens the back end, starts the thread */
void store_post(struct store_work *w);                                 /* from any thread */
void store_stop(void);                                                 /* finishes the batch, closes, joins */
/* Tests and the simulator: the same batch without a thread. */
bool store_open(const struct conf *conf, char *why, size_t why_size);
size_t store_turn(void);
void store_close(void);

#endif
