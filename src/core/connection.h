/* connection.h
 *
 * What the files that build one Snowflake connection share: connection.c (host, way there, context), connection_auth.c
 * (as whom), connection_keys.c (keys and secrets from files).
 */
#ifndef SNOWGATE_CORE_CONNECTION_H
#define SNOWGATE_CORE_CONNECTION_H

#include "conf_internal.h"

/* One connection being built. */
struct building {
	struct loading *l;
	const struct node *map;
	const char *path; /* snowflake.connections.main; main in a file of Snowflake's */
	bool own;
	struct connection *c;
};

/* --- connection.c */

const char *field_place(const struct building *b, const char *field); /* for faults */
/* A field's node where it is given as a scalar that is not empty. */
const struct node *field_node(const struct building *b, const char *name);
const char *field_text(const struct building *b, const char *name);
const char *field_path(const struct building *b, const char *name);
bool host_is_plain(const char *host);
bool host_is_loopback(const char *host);

/* --- connection_auth.c */

void connection_read_auth(struct building *b);

/* --- connection_keys.c */

/* The secret `name`, or what its file `file_field` holds. Both are a fault; so is a file of ours that others may read.
 * `mounted`: the platform writes the file, and its modes are the platform's. */
const char *secret_take(struct building *b, const char *name, const char *file_field, bool mounted);
/* The signing key, and the second one where there is one. False: none was given, or it cannot be used. */
bool keys_take(struct building *b);
/* A fault where a token could not stand in a header. */
void token_check_text(struct building *b, const char *token, const char *field);

#endif
