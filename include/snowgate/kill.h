/* kill.h
 *
 * Kill points of tbl/kill.def, in builds with SNOWGATE_KILL_POINTS only: where $SNOWGATE_KILL_AT names one, the process
 * ends by SIGKILL when it is passed, as if the machine had failed there. "name:3": at its third passage. "name:stop",
 * "name:3:stop": it stops by SIGSTOP instead, once, and goes on from there with SIGCONT. In all other builds the macros
 * are nothing at all, and the variable is not looked at.
 */
#ifndef SNOWGATE_KILL_H
#define SNOWGATE_KILL_H

#include <stdbool.h>

enum kill_point {
#define KILL(name, where) KILL_##name,
#include "snowgate/tbl/kill.def"
#undef KILL
	KILL_POINTS
};

#ifdef SNOWGATE_KILL_POINTS
/* `text` as above, NULL: no point. Before the first thread is started. False, and no point: it is not of that form. */
bool kill_arm(const char *text);
bool kill_armed(enum kill_point at); /* any thread */
void kill_pass(enum kill_point at);  /* any thread */
#define KILL_ARM(text)   kill_arm(text)
#define KILL_ARMED(name) kill_armed(KILL_##name)
#define KILL_POINT(name) kill_pass(KILL_##name)
#else
#define KILL_ARM(text)   true
#define KILL_ARMED(name) false
#define KILL_POINT(name) ((void)0)
#endif

#endif
