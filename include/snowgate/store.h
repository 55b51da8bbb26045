/* store.h
 *
 * What must outlive this process, and what replicas share: records by kind and key, and a log of numbered events that
 * a record may have. The STORE thread owns the back end; everybody else mails pieces of work to it. A piece is a list
 * of items that happens whole or not at all; pieces that have come together are committed together (group commit), and
 * each is reported done when what it wrote is durable.
 *
 * A record has a version: 1 when it is new, one more with each put. A CHECK of the version is how two writers find out
 * about each other, and how the former holder of a lease is kept from writing: while he holds it he keeps the record;
 * whoever takes the lease over puts it, and all that the former one still sends names a version that is no more.
 *
 * Time is the back end's: ttl and due are given and told as milliseconds from its now, so that replicas whose clocks
 * differ agree. A record whose ttl has passed is as if deleted, and its log with it.
 *
 * Back ends: `memory` keeps everything in the process; `sqlite` in one file of this host, for one process at a time;
 * `valkey` in a Valkey or Redis server that replicas share. Callers see no difference but in store_shared(). The store
 * never holds rows of query results.
 */
#ifndef SNOWGATE_STORE_H
#define SNOWGATE_STORE_H

#include "snowgate/buf.h"
#include "snowgate/conf.h"
#include "snowgate/mail.h"

enum record_kind {
	RECORD_SESSION,   /* a client session, by the hash of its id */
	RECORD_HANDLE,    /* the key of a session, by the hash of its principal and its handle */
	RECORD_OPERATION, /* a statement on its way, and who holds it; its log: the events of its stream */
	RECORD_STREAM,    /* the key of an operation, by the id of its stream */
	RECORD_TASK,      /* the key of an operation, by the id of its task */
	RECORD_CLAIM,     /* the key of an operation, by the hash of principal and idempotency key */
	RECORD_KINDS
};

enum store_verb {
	STORE_GET,    /* value, version, due come out; rc STORE_ABSENT where there is none: the piece goes on */
	STORE_CHECK,  /* is the record's version `version` (0: is there none)? Else the piece is STORE_STALE */
	STORE_PUT,    /* writes the record, its ttl and due; version comes out */
	STORE_KEEP,   /* writes a record that is there, and its version stays; without a value (data NULL) only its ttl
		       * and due. STORE_STALE where there is none */
	STORE_DEL,    /* removes the record and its log; one that was not there is no error */
	STORE_APPEND, /* adds event `number` to the record's log. STORE_STALE where the record is not there, or the
		       * number is not one more than the last (the first is 1) */
	STORE_EVENTS, /* of the log the first `most` events after `number` come out as rows; none without a record */
	STORE_DUE,    /* of the kind, at most `most` records whose due has passed come out, longest past first */
	STORE_TELL    /* after the commit every other process on this store hears `value` on the channel `key` */
};

/* STORE_STALE, STORE_FULL: nothing of the piece has happened. STORE_DOWN: whether it has is not known; it will not
 * happen later. */
enum store_rc {
	STORE_OK,
	STORE_ABSENT,
	STORE_STALE, /* a CHECK, a KEEP or an APPEND did not fit */
	STORE_FULL,  /* a ceiling is reached: of bytes, of pieces that wait */
	STORE_DOWN   /* the back end failed or cannot be reached */
};

#define STORE_KEY_MAX   200               /* bytes of a key, with its NUL */
#define STORE_VALUE_MAX ((size_t)5 << 20) /* bytes of a value: a request body, sealed */
#define STORE_ROWS_MAX  1000              /* `most` */
#define STORE_NO_DUE    INT64_C(-1)

/* A row that came out. One allocation; value has a NUL behind it that does not count. */
struct store_row {
	struct store_row *next;
	uint64_t version; /* EVENTS: the number */
	int64_t due_ms;   /* from now; below 0: passed so long ago */
	size_t n;
	char key[STORE_KEY_MAX]; /* EVENTS: "" */
	char value[];
};

/* Texts and values are borrowed until done() was called. */
struct store_item {
	enum store_verb verb;
	enum record_kind kind;
	const char *key;        /* visible ASCII, no spaces, no braces */
	uint64_t version;       /* CHECK: wanted. GET, PUT: comes out */
	uint64_t number;        /* APPEND, EVENTS */
	struct slice value;     /* PUT, KEEP, APPEND, TELL */
	int64_t ttl_ms;         /* PUT, KEEP: above 0 */
	int64_t due_ms;         /* PUT, KEEP: from now, STORE_NO_DUE for none. GET: comes out */
	size_t most;            /* EVENTS, DUE */
	enum store_rc rc;       /* GET: STORE_OK or STORE_ABSENT */
	struct buf out;         /* GET: the value; begun by the caller with its ceiling, freed by him */
	struct store_row *rows; /* EVENTS, DUE: in order; store_rows_free() */
};
void store_rows_free(struct store_item *item);
/* Is this a key as above? What was read from a store may be anybody's and is asked before it is used as one. */
bool store_key_fits(const char *key);

#define STORE_ITEMS_MAX 16

/* One piece of work: embedded in what its poster needs of it. `group` is the hash of a principal, at most 32 characters
 * of lower-case hex: `valkey` keeps what belongs together by it; every record is always named with the same group. NULL
 * only where every item is a DUE or a TELL. */
struct store_work {
	struct mail mail;
	struct store_work *next;
	const char *group;
	struct store_item *items;
	size_t n;
	usec_t posted;                     /* the store's own */
	enum store_rc rc;                  /* of the whole */
	void (*done)(struct store_work *); /* STORE; moves the object on */
};

/* What the store calls. On STORE, all of it. */
struct store_ops {
	/* Readiness has changed. `why` is static or the back end's own, for the log and /readyz; NULL when ready. */
	void (*health)(bool ready, const char *why);
	/* Another process has told something. */
	void (*heard)(const char *channel, struct slice value);
};

/* Opens the back end that conf names, starts the thread. False: *why says what and how to mend it. */
bool store_start(const struct conf *conf, const struct store_ops *ops, char *why, size_t why_size);
void store_post(
    struct store_work *w); /* from any thread; a piece that breaks the rules above is a programmer's error */
void store_stop(void);     /* finishes what was posted, closes, joins */
/* May another process write to this store too? Known from the start on; any thread. */
bool store_shared(void);
/* Tests and the simulator: the same without a thread. store_turn() runs what was posted; returns how many pieces. */
bool store_open(const struct conf *conf, const struct store_ops *ops, char *why, size_t why_size);
size_t store_turn(void);
void store_close(void);

/* ---- what a back end is ---- */
struct store;
struct store_backend {
	const char *name;
	bool shared;
	struct store *(*open)(const struct conf *conf, const struct store_ops *ops, char *why, size_t why_size);
	void (*close)(struct store *s);
	/* Every piece in order, each whole or not at all, with its rc and what comes out; what is STORE_OK is durable
	 * when this returns. */
	void (*commit)(struct store *s, struct store_work *first);
	/* Now and then, and when nothing else is to do: what has expired goes, checks, copies. A bounded amount of
	 * work. Returns when it wants to be called again, in microseconds. */
	usec_t (*upkeep)(struct store *s);
	/* What to wait for besides mail: a descriptor that becomes readable, -1: none. */
	int (*descriptor)(const struct store *s);
};
extern const struct store_backend store_memory, store_sqlite, store_valkey;

#endif
