/* emulator.h
 *
 * The parts of the emulator that one request may touch. Everything here belongs to the HTTP thread, which is the only
 * one that reads or writes it; worker threads get a job of their own (pool.h) and hand it back.
 */
#ifndef SNOWGATE_EMULATOR_EMULATOR_H
#define SNOWGATE_EMULATOR_EMULATOR_H

#include "snowgate/base.h"

#define EMULATOR_ACCOUNT             "EMULATOR" /* the account's name where the command line gives none */
#define EMULATOR_PARTITION_BYTES     ((size_t)8 << 20)
#define EMULATOR_PARTITION_BYTES_MAX ((size_t)64 << 20)
#define EMULATOR_BODY_MAX            ((size_t)8 << 20) /* request bodies */

struct control;
struct cortex;
struct engine;
struct pool;
struct registry;
struct server;
struct keyring;
struct oauth;
struct record;
struct wheel;

struct emulator {
	bool control_enabled, stub, tls;
	bool bare_partitions;   /* later partitions are bare arrays */
	size_t partition_bytes; /* 0: the default, or what CLIENT_RESULT_CHUNK_SIZE asks for */
	struct engine *engine;  /* NULL with --stub */
	struct wheel *wheel;
	struct pool *pool;
	struct server *server;
	struct keyring *keyring;
	struct oauth *oauth;
	struct cortex *cortex;
	struct record *record; /* NULL: nothing is recorded */
	struct registry *registry;
	struct control *control;
};

#endif
