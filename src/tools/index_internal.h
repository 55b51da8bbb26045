/* index_internal.h
 *
 * How indexes are kept; what their files share.
 */
#ifndef SNOWGATE_TOOLS_INDEX_INTERNAL_H
#define SNOWGATE_TOOLS_INDEX_INTERNAL_H

#include "index.h"

/* ---- shelves ---- */

/* Few names differ: each is kept, and compared with a word, once. Offsets go into the shelf's text; 0 is the empty
 * text. Letters and pairs of neighbours spare most comparisons. */
struct name {
	uint64_t grams;
	uint32_t text, letters;
	uint16_t n;
};
struct entry {
	uint64_t grams; /* of the comment */
	uint32_t name;  /* its number in the shelf */
	uint32_t schema, object, type, comment;
	uint16_t comment_n;
	uint8_t kind;
};
struct shelf {
	struct entry *v;
	size_t n, room;
	struct name *names;
	size_t names_n, names_room;
	uint32_t *slots; /* of names by hash, number + 1; only while it is built */
	size_t slots_n;
	char *text;
	size_t text_n, text_room;
	uint32_t types[16]; /* the last ones; few differ */
	size_t types_n;
};
static inline const struct name *entry_name(const struct shelf *s, const struct entry *e)
{
	return &s->names[e->name];
}
static inline const char *entry_text(const struct shelf *s, const struct entry *e)
{
	return s->text + s->names[e->name].text;
}

extern const char char_folds[256]; /* ASCII upper case */
static inline char char_fold(char c)
{
	return char_folds[(unsigned char)c];
}
bool is_word_char(char c); /* a letter, a digit or part of a character beyond ASCII */
uint32_t letters_of(const char *text, size_t n);
uint64_t grams_of(const char *text, size_t n);

/* ---- indexes ---- */

struct piece {
	struct shelf *shelf;
	char *schema;  /* NULL: of the whole database */
	uint32_t pass; /* the reading it is from */
	bool beyond;   /* cut: only schemas behind set.started count, until they are read one by one */
	usec_t read;
};
struct set {
	struct piece *v;
	size_t n;
	uint32_t pass; /* the reading under way or, whole, the last */
	usec_t began;  /* when that began */
	usec_t read;   /* when the last whole reading began; 0: never */
	usec_t lease;  /* a SHOW is under way until then; 0: none */
	bool stale;
	bool reading;     /* schema by schema, not at its end */
	bool by_schema;   /* too large for one SHOW */
	bool cut;         /* there is more than can be kept */
	char *after;      /* reading: this schema and those before it are done */
	char *started;    /* and of this one something is there */
	char *from;       /* the name in it to go on behind; NULL: from its first */
	usec_t refused;   /* when Snowflake refused; 0: it did not */
	char refusal[16]; /* its code */
};
struct database {
	char *name;
	uint64_t asked; /* when it was last asked for, by count; 0: it is known to be there, or the policy names it */
	struct set sets[SETS_N]; /* SCHEMAS, OBJECTS and COLUMNS */
};
struct index {
	struct index *newer, *older; /* by use */
	uint64_t serial;
	char *key, *account;
	size_t key_n, account_n;
	bool fixed;              /* the policy names the databases */
	struct set sets[SETS_N]; /* DATABASES and WAREHOUSES */
	struct database **databases;
	size_t databases_n;
	uint64_t asks;
	size_t items, bytes;
};

const struct database *database_find(const struct index *x, const char *name);
/* NULL: there is no such database. */
struct set *set_of(const struct index *x, enum index_set set, const char *database);
const struct piece *piece_of(const struct set *s, const char *schema); /* NULL: not by itself */
/* Does this item of the piece count? */
bool piece_shows(const struct set *s, const struct piece *p, const struct entry *e);

#endif
