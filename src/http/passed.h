/* passed.h
 *
 * Listening sockets that were opened before this process: by a service manager (LISTEN_FDS and LISTEN_PID,
 * sd_listen_fds(3)), or by the process that it takes over from (handover.c). A door takes the one that has its address;
 * so what is served where is said by the configuration alone. owner: main until NET starts, then NET.
 */
#ifndef SNOWGATE_HTTP_PASSED_H
#define SNOWGATE_HTTP_PASSED_H

#include <netinet/in.h>
#include <sys/un.h>

#include "snowgate/base.h"

#define PASSED_MAX 8

union any_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
};

/* Takes the descriptor; false where it is none of a listening stream socket, or there are too many. */
bool passed_add(int fd) MUST_USE;
/* Is there one at this address? Port 0 is any. */
bool passed_has(const union any_address *want);
/* It, for the caller to close; -1: none. *lent: somebody else keeps it open. */
int passed_claim(const union any_address *want, bool *lent);
void passed_drop(void); /* closes what nobody has claimed */
/* After the doors have taken theirs; what is left is closed. True with *why where it was a service manager's, whose
 * clients would wait for ever. */
bool passed_unclaimed(char *why, size_t why_size) MUST_USE;

#endif
