/* mail.h
 *
 * Threads and the mailboxes between them: the only meeting point, and the only lock in the program. Posting moves the
 * message; the giver keeps nothing. The receiver detaches its whole list and works unlocked.
 *
 * A thread's identity is one of enum thread. Simulated, all identities are played by one real thread, which says whom
 * it plays with thread_play().
 */
#ifndef SNOWGATE_MAIL_H
#define SNOWGATE_MAIL_H

#include <pthread.h>
#include "snowgate/base.h"

enum thread { THREAD_MAIN, THREAD_NET, THREAD_SNOWFLAKE, THREAD_WORKER, THREAD_STORE, THREAD_LOG, THREADS_N };

/* Embedded in what travels. deliver() runs on the receiving thread and owns the object from then on. */
struct mail {
	struct mail *next;
	void (*deliver)(struct mail *);
};

const char *thread_name(enum thread t);
enum thread thread_self(void);   /* THREAD_MAIN until told otherwise */
void thread_play(enum thread t); /* this real thread now acts as t */
/* The first line of a function that may run on one thread only. */
#define OWNED_BY(t) assert(thread_self() == (t))

/* Starts a real thread that plays `t`, named for ps and gdb, signals blocked. Aborts where the system refuses. */
void thread_start(enum thread t, void (*run)(void *), void *arg, pthread_t *out);
void thread_join(pthread_t thread);

/* How to wake the receiver; called only when its box turns from empty to not empty. NULL (the default): the receiver
 * sleeps in mail_wait(). Set before the receiver's thread starts. wake() runs on the poster, under the box's lock: it
 * may write to an eventfd and the like, and must not post. Setting it to NULL when the receiver ends is a barrier: no
 * wake() runs from then on, so that ctx may be freed. */
void mail_on_post(enum thread to, void (*wake)(void *), void *ctx);
void mail_post(enum thread to, struct mail *m);
/* Delivers everything that has come, in order; returns how many. Does not wait. */
size_t mail_deliver(enum thread me);
/* As mail_deliver(), but sleeps until there is something or `timeout` has passed; (timeout < 0: no limit). A box with
 * several readers (WORKER) gives each one message at a time. Returns early, with 0, when mail_ring() was called. */
size_t mail_wait(enum thread me, usec_t timeout);
/* Wakes a receiver that sleeps in mail_wait() without a message; when none sleeps, the next mail_wait() returns at
 * once. For the receiver whose work comes by another way too (the log ring); not for a box with
 * several readers. */
void mail_ring(enum thread to);
bool mail_empty(enum thread t);
uint64_t mail_posted(enum thread t); /* since start; for metrics */

#endif
