/* http.h
 *
 * The public endpoint: libmicrohttpd in external epoll inside our own loop. It knows HTTP and nothing of MCP: a request
 * that passes hygiene, route, Host, Origin, the gateway's head check (authentication) and the size check is collected,
 * moved to the gateway, and its connection sleeps until it is answered. owner: NET, all of it.
 *
 * Whole results are at /results/ beside the endpoint (listen.path): GET and HEAD, answered as streams of bytes.
 *
 * A stream is a text/event-stream, or bytes as they are, whose events or pieces wait in an outbox: at most OUTBOX_MAX
 * bytes for each stream beyond its first event, and OUTBOXES_MAX for the process. Comments keep it alive
 * (mcp.sse_keepalive), sent in batches on one tick; a stream of bytes has none. Who takes nothing out of his outbox for
 * mcp.write_timeout, or for listen.idle_timeout where that is shorter, is cut off.
 *
 * A client that closes its sending half counts as one that has left: the two cannot be told apart in time.
 * A refusal drains what the client still sends (at most 8 MiB or 2 s) before it is answered, so that the client sees
 * it.
 */
#ifndef SNOWGATE_HTTP_H
#define SNOWGATE_HTTP_H

#include "snowgate/transport.h"
#include "snowgate/wheel.h"

#define OUTBOX_MAX   ((size_t)256 << 10)
#define OUTBOXES_MAX ((size_t)64 << 20)

/* Binds both listeners (public; admin where configured) and ignores SIGPIPE; any thread, before NET starts. Only one
 * transport at a time: it takes THREAD_NET's mailbox. NULL with *why where it cannot (port taken, limits too low). The
 * start-up log line is {"event":"listening","address":...,"port":...,"path":...,"admin_port":...}. */
struct transport *http_start(const struct conf *conf, const struct transport_ops *ops, struct wheel *wheel, char *why,
			     size_t why_size);
/* Before http_start(), which uses the sockets that it finds at the addresses of the configuration; main.
 *
 * http_inherit(): from a service manager, where there is one (LISTEN_FDS, sd_listen_fds(3)); false with *why where what
 * it passed is no listening socket. http_start() refuses one at another address.
 *
 * http_take_over(): from the process that listens at listen.handover; that one then ends what it has, and leaves its
 * store to us. False with *why where it cannot; true with *why where nobody is there. */
bool http_inherit(char *why, size_t why_size) MUST_USE;
bool http_take_over(const struct conf *conf, char *why, size_t why_size) MUST_USE;
int http_port(const struct transport *t);
int http_admin_port(const struct transport *t);

#endif
