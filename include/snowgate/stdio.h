/* stdio.h
 *
 * MCP over standard input and output: one JSON-RPC message a line each way (specification, transports, stdio). The
 * process is one client with the local principal; the transport keeps what HTTP clients carry in headers: the session
 * that initialize made, and a standalone stream for messages that answer no request. End of input ends the process
 * once what is running has been answered or cancelled and the client has taken what it was sent, or nothing of it for
 * mcp.write_timeout. Nothing but messages is written to standard output. owner: NET.
 */
#ifndef SNOWGATE_STDIO_H
#define SNOWGATE_STDIO_H

#include "snowgate/transport.h"
#include "snowgate/wheel.h"

/* Takes file descriptors `in` and `out` (not closed). NULL with *why. */
struct transport *stdio_start(const struct conf *conf, const struct transport_ops *ops, struct wheel *wheel, int in,
			      int out, char *why, size_t why_size);

#endif
