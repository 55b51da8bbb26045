/* gateway.h
 *
 * The policy of the house: wires the steps of a call to the drivers, admits, settles and answers. One gateway per
 * process; its state belongs to NET, these functions to main.
 */
#ifndef SNOWGATE_GATEWAY_H
#define SNOWGATE_GATEWAY_H

#include "snowgate/auth.h"
#include "snowgate/conf.h"
#include "snowgate/transport.h"
#include "snowgate/wheel.h"

/* What carries the messages: http_start, or stdio over two descriptors. */
typedef struct transport *transport_start_f(const struct conf *conf, const struct transport_ops *ops,
					    struct wheel *wheel, char *why, size_t why_size);

/* Starts everything below main: store, Snowflake, transport, the NET thread. Takes `conf` and `keys` (NULL where
 * auth.mode is none). False with *why, and nothing left running. */
bool gateway_start(const struct conf *conf, struct keyring *keys, transport_start_f *start, char *why, size_t why_size);

/* A new snapshot, new keys, for requests from now on. Both are taken. */
void gateway_reload(const struct conf *conf);
void gateway_rekey(struct keyring *keys);

/* Begins to stop: no new connections, new calls are refused with 50302, what runs may end until listen.drain has
 * passed; then the rest is answered 50302 and cancelled. A second time: as if the time had passed. Does not block. */
void gateway_drain(void);
/* Has NET ended? main asks after mail_deliver(THREAD_MAIN). */
bool gateway_drained(void);
/* Joins every thread and frees everything; only once drained. */
void gateway_stop(void);

#endif
