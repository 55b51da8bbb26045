/* fault_vfs.h
 *
 * A SQLite VFS over the system's that fails on demand: the n-th write fails, is torn or finds no room, the n-th fsync
 * fails; once or from then on. It also remembers what was written since the last fsync of each file, so that a power
 * failure can take it away. For tests on one thread.
 */
#ifndef TESTS_STORE_FAULT_VFS_H
#define TESTS_STORE_FAULT_VFS_H

#include <stdbool.h>
#include <stdint.h>

enum fault {
	FAULT_NONE,
	FAULT_WRITE, /* nothing is written */
	FAULT_TORN,  /* half of it is */
	FAULT_FULL,  /* half of it is, and there is no room for more */
	FAULT_SYNC,  /* what was written is not known to be durable */
	FAULTS_N
};

void fault_register(void); /* as the default VFS; once */
/* The n-th operation of that sort from now on fails (the first is 1), and each later one where `stays`. */
void fault_arm(enum fault fault, int n, bool stays);
void fault_disarm(void);
bool fault_fired(void); /* since it was armed */
/* Disarmed, and nothing is remembered of any file; none is open. */
void fault_reset(void);
/* Copies the files `from`, `from`-wal to `to`, as the disk would have them: `cut` takes away, of all that was written
 * and not synced, what `seed` says (all of it where 0). */
bool fault_copy(const char *from, const char *to, bool cut, uint32_t seed);

#endif
