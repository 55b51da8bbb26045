/* index.h
 *
 * What Snowflake's catalogue holds for one identity and role: names, types and comments of databases, warehouses,
 * schemas, tables, views and columns, as SHOW lists them. Search, "did you mean" and completion read it.
 *
 * A shelf is what one SHOW gave, immutable once built; it is built on any thread and belongs to whoever holds it. The
 * table of indexes, and every index in it, is NET's (or a test's): shelves are moved into it. What Snowflake has to be
 * asked for is said by index_wants(), a few statements at a time; what has been read is served meanwhile.
 *
 * SHOW gives at most SHOW_MAX rows. What a database has more of is read schema by schema: objects of one schema page by
 * page, columns of one schema up to SHOW_MAX.
 *
 * Pure but for memory: no clock, no thread, no I/O.
 */
#ifndef SNOWGATE_TOOLS_INDEX_H
#define SNOWGATE_TOOLS_INDEX_H

#include "snowgate/conf.h"

/* ---- shelves ---- */

enum item_kind { ITEM_DATABASE, ITEM_WAREHOUSE, ITEM_SCHEMA, ITEM_TABLE, ITEM_VIEW, ITEM_COLUMN, ITEM_KINDS };
#define ITEM_BIT(kind) (1u << (kind))
#define ITEM_OBJECTS   (ITEM_BIT(ITEM_TABLE) | ITEM_BIT(ITEM_VIEW))

/* Names as stored. Texts that do not apply are NULL or empty: only columns have an object, only they and tables and
 * views have a schema. */
struct item {
	enum item_kind kind;
	const char *schema, *object, *name, *type, *comment;
};

#define ITEM_COMMENT_MAX 240 /* bytes of a comment that are kept */
#define ITEM_NAME_MAX    255 /* Snowflake's own bound, in characters; what is longer in bytes is left out */

struct shelf;
struct shelf *shelf_new(void);
void shelf_free(struct shelf *s); /* NULL is fine */
void shelf_add(struct shelf *s, const struct item *item);
void shelf_trim(struct shelf *s); /* gives back the room that nothing was put into */
size_t shelf_items(const struct shelf *s);
size_t shelf_bytes(const struct shelf *s);
struct item shelf_at(const struct shelf *s, size_t i); /* texts live as long as the shelf */

/* ---- indexes ---- */

enum index_set { SET_DATABASES, SET_WAREHOUSES, SET_SCHEMAS, SET_OBJECTS, SET_COLUMNS, SETS_N };

struct index_limits {
	size_t bytes;   /* of all indexes */
	size_t entries; /* of one */
	usec_t ttl;
};
#define INDEX_MAX           1000               /* indexes in a table */
#define INDEX_DATABASES_MAX 500                /* in one index */
#define INDEX_ASKED_MAX     16                 /* beside these: databases that nothing but a question has named */
#define INDEX_LEASE         (120 * USEC_PER_S) /* for which a SHOW under way keeps others from sending the same */
#define INDEX_BATCH         6                  /* statements that one call sends for an index */

struct index_table;
struct index;
struct index_table *index_table_new(void);
void index_table_free(struct index_table *t); /* NULL is fine */
size_t index_table_bytes(const struct index_table *t);
size_t index_table_count(const struct index_table *t);
/* The index under this key, which counts as used; NULL where there is none. */
struct index *index_find(struct index_table *t, struct slice key);
/* The same, made where there is none. `account` tells which indexes are of one Snowflake account (index_stale()); the
 * databases are the policy's, and the index's border: empty for all. The least recently used index gives way where the
 * bytes of all are used up. */
struct index *index_get(struct index_table *t, struct slice key, struct slice account, struct texts databases,
			const struct index_limits *l);
/* No two indexes, ever, have the same; for who comes back with shelves. */
uint64_t index_serial(const struct index *x);
/* Something was created, changed or dropped: what is known of this database (NULL: of any) has to be read again. */
void index_stale(struct index_table *t, struct slice account, const char *database);

/* A SHOW that an index needs. Texts belong to the index: valid until its next change. */
struct want {
	enum index_set set;
	const char *database; /* NULL for DATABASES and WAREHOUSES */
	const char *schema;   /* NULL: the whole database */
	const char *from;     /* behind this name; NULL: from the first */
	uint32_t pass;
	bool alone; /* this schema's objects by themselves, whatever else is being read */
};
/* What is to be read of this index, at most `max` statements; they count as under way until index_took() or
 * index_left() or INDEX_LEASE. `first`: the database to begin with; NULL for any. `only`: nothing of others.
 * Where the policy names no databases, any may be `first`. One that neither the list of databases nor a SHOW that
 * succeeded has shown to be there is told of, and read on, only for who names it; the oldest of them give way. */
size_t index_wants(struct index_table *t, struct index *x, const char *first, bool only, usec_t now,
		   const struct index_limits *l, struct want *out, size_t max);
/* The same for one set, as completion needs it: false where nothing has to be read, or it is under way. With a schema
 * (SET_OBJECTS) that schema's objects suffice. */
bool index_wants_set(struct index_table *t, struct index *x, enum index_set set, const char *database,
		     const char *schema, usec_t now, const struct index_limits *l, struct want *out);
/* A SHOW has succeeded: the shelf is taken over. `last`: the name in its last row, where it was cut at SHOW_MAX; NULL
 * where it was not. */
void index_took(struct index_table *t, struct index *x, const struct want *w, struct shelf *shelf, const char *last,
		usec_t now, const struct index_limits *l);
/* It has failed: `code` NULL where it may be tried again at once; else what Snowflake answered. */
void index_left(struct index *x, const struct want *w, const char *code, usec_t now);

/* How much of it is there, within `only` (NULL: all databases). */
struct index_state {
	size_t databases, objects, columns;
	usec_t oldest;          /* when the oldest part was read; 0: nothing was */
	size_t unread, refused; /* databases that are not read to their end; that Snowflake refused to show */
	size_t cut;             /* databases of which not everything can be kept */
	const char *an_unread, *a_refused, *a_cut; /* the first of each */
	const char *refusal;                       /* its code */
	bool databases_unread;                     /* the list of databases itself */
	bool busy;                                 /* another call is reading what is missing */
};
void index_tell(const struct index *x, const char *only, usec_t now, struct index_state *out);
/* Has this set been read, whole, whatever its age? With a schema: what is known of that schema's objects. */
bool index_has(const struct index *x, enum index_set set, const char *database, const char *schema);

/* Is anything known of this set? Of a database that is not there, and that no SHOW can tell of, everything is. */
bool index_knows(const struct index *x, enum index_set set, const char *database);

/* Calls take() for each item of a set, until it returns false. Database NULL: of every database. */
struct place {
	const char *database; /* NULL for databases and warehouses */
	struct item item;
};
void index_each(const struct index *x, enum index_set set, const char *database,
		bool (*take)(const struct place *p, void *ctx), void *ctx);

/* ---- search (index_search.c) ---- */

#define SEARCH_WORDS_MAX 8
#define SEARCH_BEST_MAX  2000 /* offset + limit */
/* What one search may cost, in nanoseconds or so of a present machine: it keeps a search within a turn of NET. */
#define SEARCH_WORK ((size_t)10000000)

struct search {
	const char *words;    /* split at blanks and punctuation; _ and $ are part of a word */
	unsigned kinds;       /* ITEM_BITs: tables, views, columns */
	const char *database; /* NULL: all */
	size_t best;          /* how many are wanted, best first; at most SEARCH_BEST_MAX */
	/* found */
	size_t words_n;
	size_t total;   /* that have all the words; where there is none, that have some */
	bool some;      /* none has all of them */
	bool stopped;   /* SEARCH_WORK was used up: not everything was looked at, or not for typing errors */
	size_t work;    /* what it has cost */
	size_t found_n; /* of `found`, which is the caller's: room for `best` */
	struct found {
		const char *database;
		const struct shelf *shelf;
		size_t item;
		unsigned rank;
	} * found;
};
void index_search(const struct index *x, struct search *s);

/* ---- "did you mean" (index_nearest.c) ---- */

#define NEAREST_MAX 3
struct nearest {
	enum index_set set;
	const char *database, *schema; /* where it was looked for; NULL: anywhere */
	const char *name;              /* what was not there */
	const char *const *objects;    /* COLUMNS: of these tables and views only */
	size_t objects_n;
	size_t found_n;
	struct place found[NEAREST_MAX]; /* nearest first; texts belong to the index */
};
/* Looks no further where it has cost NEAREST_WORK, in nanoseconds or so. */
#define NEAREST_WORK ((size_t)8000000)
void index_nearest(const struct index *x, struct nearest *n);
/* Edits (insert, delete, replace, swap of neighbours) from a to b, ASCII case ignored; max + 1 where there are more.
 * *cells grows by what it took, in steps of some 3 ns. */
size_t edit_distance(const char *a, size_t a_n, const char *b, size_t b_n, size_t max, size_t *cells);

#endif
