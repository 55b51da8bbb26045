/* valkey.h
 *
 * The parts of the `valkey` back end: nodes (valkey_node.c), a connection to one (valkey_link.c), pieces on the wire
 * (valkey_piece.c, with valkey.lua at the other end), the search for the node that is the master (valkey_probe.c), what
 * processes tell one another (valkey_tell.c), and the store over these (valkey.c). All of it on STORE.
 */
#ifndef SNOWGATE_STORE_VALKEY_H
#define SNOWGATE_STORE_VALKEY_H

#include <hiredis/hiredis.h>

#include "snowgate/store.h"

/* ---- nodes: store.url ---- */
#define NODES_MAX 16
struct node {
	char *name; /* as the log shows it: host:port or the path */
	char *host, *port, *path, *user;
	int64_t db;
};
struct nodes {
	size_t n;
	struct node v[NODES_MAX];
};
/* redis://[user@]host[:port][/database], valkey:// the same, unix:///path[?db=database]. False: *why says what is
 * wrong, and *out is empty. */
bool nodes_parse(struct texts urls, const char *user, struct nodes *out, char *why, size_t why_size);
void nodes_free(struct nodes *nodes);

/* ---- a connection ---- */
/* What went wrong. final: trying again does not help, somebody has to change something. */
struct trouble {
	bool final;
	char text[320];
};
void trouble_say(struct trouble *t, bool final, const char *format, ...) PRINTF_LIKE(3, 4);

struct link {
	redisContext *c; /* NULL: closed. Never blocks: poll() stands before each read and write */
	const struct node *node;
	bool unsent;
	usec_t used; /* when a reply was last read */
};
/* Connects. What comes after it, up to `deadline`, is told by trouble. The name look-up takes as long as the system's
 * resolver takes. */
bool link_open(struct link *l, const struct node *node, usec_t deadline, struct trouble *t);
void link_close(struct link *l);
/* A command; it goes out with the next link_reply(). */
void link_add(struct link *l, size_t n, const struct slice *words);
void link_say(struct link *l, const char *command); /* the same, words with one space between them */
/* The next reply, for freeReplyObject(). NULL: none by the deadline, or the connection is lost; it is of no use then,
 * since a reply may still come that nobody waits for. */
redisReply *link_reply(struct link *l, usec_t deadline, struct trouble *t);
/* link_add(), link_reply(), and error replies are trouble too. */
redisReply *link_call(struct link *l, usec_t deadline, struct trouble *t, size_t n, const struct slice *words);
redisReply *link_ask(struct link *l, usec_t deadline, struct trouble *t, const char *command);
/* Sends what can be sent and reads what is there, without waiting. False: the connection is lost. */
bool link_poll(struct link *l);
/* What has been read and is whole, or NULL. */
redisReply *link_heard(struct link *l);

/* ---- pieces ---- */
#define SENDER_SIZE 17
struct piece_frame {
	const char *library; /* the functions are <library>_look and so on */
	const char *prefix;
	char sender[SENDER_SIZE]; /* this store, at random */
	unsigned slot;            /* below PIECES_MAX; of the pieces that are under way at one time, each its own */
	uint64_t sequence;        /* grows */
	int64_t deadline_ms;      /* by the server's clock: later, nothing is written any more */
};
/* Pieces in one round trip. */
#define PIECES_MAX 128

bool piece_writes(const struct store_work *w); /* something of it has to be durable */
size_t piece_bytes(const struct store_work *w);
void piece_send(struct link *l, const struct piece_frame *f, const struct store_work *w);

enum verdict {
	VERDICT_OK,     /* the piece's own replies follow */
	VERDICT_STALE,  /* */
	VERDICT_FULL,   /* */
	VERDICT_LATE,   /* nothing has happened, since its time was over */
	VERDICT_AGAIN,  /* nothing has happened, and nothing will at this node: look for the master */
	VERDICT_FAILED, /* an error, or no reply that a piece may have: whether it has happened is not known */
};
/* Of any reply to a piece; *now_ms is set where it tells the server's time. */
enum verdict piece_verdict(const redisReply *r, int64_t *now_ms);
/* Fills in what comes out, of a reply that is VERDICT_OK. False: it is not a reply to this piece; what has come out is
 * taken back. */
bool piece_take(struct store_work *w, const redisReply *r, int64_t now_ms);

/* ---- the master ---- */
enum durability { DURABILITY_WAIT, DURABILITY_AOF, DURABILITY_BOTH, DURABILITY_NONE }; /* store.durability */

struct valkey {
	const struct store_ops *ops;
	struct nodes nodes;
	char *password, *prefix;
	char *source, *library; /* the server-side functions, and the name of them */
	enum durability durability;
	usec_t timeout;
	char sender[SENDER_SIZE];
	uint64_t sequence;

	struct link link; /* closed: looking for a master */
	size_t last;      /* the node that was it; NODES_MAX: none yet */
	/* Of two nodes that say they are the master, the one with the higher generation is it, then the one with the
	 * higher offset (of the replication): the other has missed that it was replaced. */
	int64_t generation, offset;
	/* server_ms was the server's time when the clock showed server_at; so the estimate is never ahead. */
	int64_t server_ms;
	usec_t server_at;
	usec_t retry_at, backoff;
	bool ready, told; /* told: as health() has it */
	struct trouble why;

	struct link tell;
	usec_t tell_at, tell_backoff, pinged;
};
int64_t valkey_server_ms(const struct valkey *s, usec_t at);
void valkey_server_is(struct valkey *s, int64_t ms);
/* Authenticates and selects the database. */
bool node_enter(const struct valkey *s, struct link *l, usec_t deadline, struct trouble *t);
/* Looks through the nodes, from the last master on, for those that are a master and fit to keep what they are told;
 * opens s->link to the one that became it last. False: *t is the trouble that says most. */
bool master_find(struct valkey *s, usec_t deadline, struct trouble *t);
/* Is the node of s->link still it? */
bool master_still(struct valkey *s, usec_t deadline, struct trouble *t);
bool durability_waits(enum durability d);

/* ---- what processes tell one another ---- */
/* Keeps a subscription at the master, hands on what was heard. */
void tell_upkeep(struct valkey *s);
void tell_close(struct valkey *s);
/* One message: "pmessage", pattern, channel, payload. False: it is none for ops->heard(). */
bool tell_message(const redisReply *r, const char *prefix, const char *sender, const char **channel,
		  struct slice *value);

#endif
