/* token.h
 *
 * What the files of the token cache share: token.c (the cache), token_jwt.c (minted), token_file.c (read),
 * token_fetch.c (fetched), token_answer.c (what endpoints answer). owner of everything here: SNOWFLAKE.
 */
#ifndef SNOWGATE_SNOWFLAKE_TOKEN_H
#define SNOWGATE_SNOWFLAKE_TOKEN_H

#include <sys/stat.h>

#include "snowgate/snowflake.h"

#define TOKEN_BYTES_MAX  ((size_t)64 << 10)
#define TOKEN_CLAIMS_MAX ((size_t)8 << 10)

/* When a file was last as it was read. */
struct stamp {
	struct timespec changed;
	off_t size;
	ino_t inode;
};

/* When a file may be looked at again (snowflake.h tells how often); in time of clock_now(). */
struct watch {
	usec_t next, hurried;
};

/* The fetch of a token that has to come over HTTP. */
struct fetch {
	bool under_way;
	bool sent;                     /* the wire has the request */
	struct connection *connection; /* a copy: the snapshot may end before the fetch */
	char *role;
	struct wire_request request;
	struct timer again; /* a further try after what may pass */
	int tries;
	struct buf refresh; /* the refresh token at hand; the newest that came */
	struct stamp refresh_stamp;
	bool unkept; /* it could not be written to its file, which was told */
	usec_t failed;
	bool has_failed;
	bool passing; /* why it failed may pass by itself */
};

/* One identity's token, found by the connection's id, the login and the role. After a reload the same connection finds
 * its tokens again, a changed one does not. */
struct token {
	struct token *next; /* in its bucket */
	uint8_t id[32];
	char *login, *role; /* "" where they do not count */
	uint64_t used;      /* when last, in uses */
	struct buf bearer;
	uint64_t number;
	int64_t minted, renew_at, expires; /* wall seconds */
	bool refused;
	int64_t renewed;    /* wall seconds: when a refusal was last answered with a new one */
	int key;            /* minted: which of the two keys signed it; -1: none yet */
	struct stamp stamp; /* read: of its file */
	struct watch watch;
	const char *fault; /* read: why there is none; static */
	struct fetch fetch;
	struct token_waiter *waiters;
	char why[512];
};

void buf_wipe(struct buf *b);
bool stamp_of(const char *path, struct stamp *stamp);
bool stamp_is(const struct stamp *a, const struct stamp *b);
/* May the file be looked at now? A true counts as the look. */
bool watch_due(struct watch *w);
/* What was read of the file was refused: it is due now. False: this was so within the last second. */
bool watch_hurry(struct watch *w);
/* The whole file, at most TOKEN_BYTES_MAX bytes, without blanks at its ends; the stamp is of before the reading, so
 * that a change meanwhile is seen. */
bool token_file_read(const char *path, struct buf *b, struct stamp *stamp);

/* Each makes t->bearer fit for use where it is not. TOKEN_WAIT: a fetch is under way; TOKEN_LATER: it failed, and may
 * not the next time. */
enum token_state token_mint(struct token *t, const struct identity *who, const char **why);
enum token_state token_read(struct token *t, const struct connection *connection, const char **why);
enum token_state token_fetch(struct token *t, const struct identity *who, const char **why);

/* A new token stands in t->bearer. */
void token_changed(struct token *t);
/* The fetch is over: whoever waits is told. */
void token_news(struct token *t);

bool mint_renew(struct token *t, const struct connection *connection);
void signers_forget(void);
void fetch_stop(struct token *t);
bool fetch_must_end(const struct token *t); /* its answer may hold what would be lost */
/* Writes a rotated refresh token in place of the file's content, whole or not at all. */
bool refresh_token_keep(const char *path, struct slice text);

#endif
