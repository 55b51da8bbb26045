/* session.h
 *
 * Client sessions: one object, two doors. Door 1 is the signed Mcp-Session-Id of the legacy era, door 2 the short
 * handle of the modern one; both name the same object, and each use is checked against the principal. owner: NET.
 *
 * A session is in exactly one place: the table of live sessions, ordered from longest idle to newest, or nowhere (the
 * store may still have its record). A session with open calls is busy and is never displaced.
 *
 * Id, door 1: lower-case base32 of version ‖ key id ‖ 16 random bytes ‖ creation time (8 bytes, seconds, big-endian) ‖
 * HMAC-SHA-256 truncated to 128 bits over those and the encoded principal; 72 characters. The key id (4 bytes) is
 * derived from the key, so that a key keeps its id wherever it stands in the file. Forged, foreign, deleted, expired,
 * unknown: one answer, "not found". Junk costs no look-up.
 */
#ifndef SNOWGATE_SESSION_H
#define SNOWGATE_SESSION_H

#include "snowgate/context.h"
#include "snowgate/crypt.h"
#include "snowgate/mcp.h"
#include "snowgate/principal.h"
#include "snowgate/stream.h"

#define SESSION_ID_SIZE     129 /* with its NUL */
#define SESSION_HANDLE_SIZE 13  /* 12 characters [a-z2-7] and a NUL */

/* Signing keys: the first signs, all verify. Purposes are derived by HKDF. Immutable once built. */
struct session_keys;
/* `text` is the key file: one key a line, hex or base64 of 32 to 128 bytes, # comments, at most 16 keys; NULL: one
 * random key. NULL with *why (static text) where it holds no key or a line that is none. */
struct session_keys *session_keys_new(const char *text, const char **why);
void session_keys_free(struct session_keys *keys);
size_t session_keys_count(const struct session_keys *keys);
/* The 32-byte key for another purpose ("statement handle"), of key number i; false past the last. */
bool session_keys_derive(const struct session_keys *keys, size_t i, const char *purpose, struct sha256 *out);

/* Links of the table; nobody else's business. */
struct hash_node {
	struct hash_node *next;
	uint64_t hash;
};
struct session_link {
	struct session_link *prev, *next;
};
struct session_owner;
struct listener;
struct ticket;

struct session {
	uint32_t magic;
	char id[SESSION_ID_SIZE];
	char handle[SESSION_HANDLE_SIZE]; /* door 2 */
	struct principal principal;
	enum revision revision;             /* legacy: negotiated; modern: 2026-07-28 */
	char *client_name, *client_version; /* may be NULL; what the client says of itself */
	unsigned can;                       /* enum client_can; what its client said in initialize */
	int log_level;                      /* enum mcp_level; -1: wants no log messages */
	struct context context;
	uint64_t version; /* of the context; each change adds one */
	struct {
		char *format;
		int64_t limit, wait_seconds;
	} preferences; /* NULL, -1: not set */
	struct {
		int64_t requests, ok, failed, rows, query_usec;
	} counters;
	int64_t created, last_seen; /* wall seconds */
	usec_t used;                /* monotonic; order in the table */
	struct stream_set streams;  /* in memory only */
	struct {
		size_t n;
		struct watched {
			char *uri, *canonical; /* canonical: the gateway's own, NULL until it needs it */
			uint64_t since;        /* updates up to this number are none of its business */
		} * v;
	} watched;           /* URIs of resources/subscribe, at most SESSION_WATCHED_MAX */
	uint32_t open_calls; /* and open streams */
	uint64_t stored;     /* version of its record in the store, once what was posted is done: the gateway's own */
	bool doubtful;       /* the store refused its last change: what it has counts */
	bool ended;          /* deleted while calls were open: freed with the last */
	/* the gateway's own: its standalone streams, newest first, and the generations that they were told last */
	struct listener *listeners;
	struct ticket *tickets; /* of its open calls */
	uint64_t told[CHANGES_N + 1];
	/* the table's own */
	struct hash_node by_id, by_handle;
	struct session_link idle,
	    own_idle;                /* in the lists of idle sessions: of all, of the owner; unlinked while busy */
	struct session_owner *owner; /* what is kept per principal; NULL once ended */
	json_t *unknown;             /* members of the record that a newer program wrote; mostly NULL */
};

struct session_limits {
	size_t max, max_per_principal;
	usec_t idle_ttl;
	int64_t absolute_ttl; /* seconds */
};

/* What a session is found by. */
struct session_names {
	char id[SESSION_ID_SIZE], handle[SESSION_HANDLE_SIZE];
};

struct session_table;
/* `pool` is that of the sessions' streams; borrowed. */
struct session_table *session_table_new(const struct session_keys *keys, struct session_limits limits,
					struct stream_pool *pool);
void session_table_free(struct session_table *t);
/* New limits; where there are more sessions now than allowed, the longest idle ones leave memory. */
void session_table_limits(struct session_table *t, struct session_limits limits);
size_t session_count(const struct session_table *t);

/* Creates one. NULL where every session is busy and the table (or the principal) is at its limit. A displaced session
 * only leaves memory where the table was full; where its principal was at its limit it ends: *ended has its names (for
 * the store), else they are empty. */
struct session *session_new(struct session_table *t, const struct principal *p, enum revision revision,
			    const struct context *context, struct session_names *ended) MUST_USE;

/* Would session_new() or session_restore() find a place for this principal? */
bool session_has_room(const struct session_table *t, const struct principal *p);
/* What the client says of itself: copied, cut at SESSION_CLIENT_MAX bytes each. NULL: not said. */
#define SESSION_CLIENT_MAX 64
void session_set_client(struct session *s, const char *name, const char *version);

/* Subscribes to a resource; true where it was or is now. False: SESSION_WATCHED_MAX are, or the URI is longer than
 * SESSION_URI_MAX bytes, or all together would be than SESSION_WATCHED_BYTES. */
#define SESSION_WATCHED_MAX   64
#define SESSION_WATCHED_BYTES ((size_t)16 << 10)
#define SESSION_URI_MAX       2048
bool session_watch(struct session *s, const char *uri, uint64_t since) MUST_USE;
void session_unwatch(struct session *s, const char *uri); /* also one that was not watched */
bool session_watches(const struct session *s, const char *uri);

/* Is this id one that we signed for this principal, and not older than absolute_ttl? No table look-up. */
bool session_id_valid(const struct session_table *t, const char *id, const struct principal *p);
/* The live session, or NULL. Checks the principal. Finding it makes it the newest used. */
struct session *session_by_id(struct session_table *t, const char *id, const struct principal *p);
struct session *session_by_handle(struct session_table *t, const char *handle, const struct principal *p);
/* Is this text shaped like a handle? */
bool session_handle_shaped(const char *handle);

/* Ends it: out of the table, and freed now or with its last open call. */
void session_end(struct session_table *t, struct session *s);
void session_call_opened(struct session *s);
void session_call_closed(struct session_table *t, struct session *s);
/* Takes idle sessions out of memory; returns how many. Busy ones stay. */
size_t session_expire(struct session_table *t, usec_t now);

/* The record for the store, with capabilities, log level and watched URIs (a record without them: 0, -1, none), without
 * streams: JSON with format and minimum-reader numbers. Members that this program does not know survive restoring and
 * rewriting. */
bool session_record(struct buf *b, const struct session *s);
/* Brings a session back from its record, after checking its id's signature against `p` again. Where the session is live
 * already it is that one, updated where the record's version is newer. NULL where the record is unreadable, expired or
 * foreign, or where session_has_room() is false. What is displaced only leaves memory. */
struct session *session_restore(struct session_table *t, struct slice record, const struct principal *p);

#endif
