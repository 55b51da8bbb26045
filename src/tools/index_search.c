/* Search: words against the names and comments of an index, best first. */
#include "index_internal.h"

#include <string.h>

/* What a word is worth in a name, in a comment, and in the name of what a column or table is in. */
enum {
	NAME_EXACT = 100,
	NAME_PREFIX = 80,
	PART_EXACT = 70,
	PART_PREFIX = 60,
	NAME_HOLDS = 45,
	COMMENT_EXACT = 40,
	COMMENT_PREFIX = 34,
	NAME_ONE_EDIT = 30,
	NAME_SUBSEQUENCE = 26,
	COMMENT_HOLDS = 24,
	NAME_TWO_EDITS = 22,
	PARENT_PART = 20,
	PARENT_HOLDS = 12,
	BOTH = 5 /* name and comment */
};
#define WORD_MAX    64
#define RANK_WORD   100000u /* one word more counts for more than any worth */
#define HOLDS_MIN   2       /* letters that may stand anywhere in a name */
#define TYPO_MIN    4       /* letters a word has at least, for typing errors to be looked for */
#define TWO_EDITS   7       /* and for two of them */
#define COMMENT_MIN 2

/* What looking costs, in units of a few nanoseconds. */
#define WORK_NAME    8
#define WORK_COMMENT 12

struct word {
	char text[WORD_MAX + 1]; /* folded */
	size_t n;
	uint32_t letters;
	uint64_t grams;
	bool has_digits; /* then another number is another name, not a typing error */
};
/* The last parent looked at, since neighbours share it. */
struct parent {
	const char *text;
	unsigned worth[SEARCH_WORDS_MAX];
};
struct looking {
	struct search *s;
	uint8_t (*worth)[SEARCH_WORDS_MAX]; /* of the shelf's names, for each word */
	size_t worth_room;
	struct word words[SEARCH_WORDS_MAX];
	struct parent object, schema;
	size_t work, all, some; /* items that have all words, and some */
	const char *database;
	const struct shelf *shelf;
};

/* ---- words ---- */

static bool is_part_of_word(char c)
{
	return is_word_char(c) || c == '_' || c == '$';
}

static void word_add(struct looking *l, const char *text, size_t n)
{
	struct word *w = &l->words[l->s->words_n];

	if (l->s->words_n == SEARCH_WORDS_MAX || n > WORD_MAX)
		return;
	for (size_t i = 0; i < n; i++) {
		w->text[i] = char_fold(text[i]);
		w->has_digits |= text[i] >= '0' && text[i] <= '9';
	}
	w->n = n;
	w->letters = letters_of(w->text, n);
	w->grams = grams_of(w->text, n);
	l->s->words_n++;
}

static void words_split(struct looking *l)
{
	const char *at = l->s->words;

	l->s->words_n = 0;
	while (*at) {
		size_t n = 0;

		while (is_part_of_word(at[n]))
			n++;
		if (n)
			word_add(l, at, n);
		at += n ? n : 1;
	}
}

/* ---- a word in a text ---- */

static bool same_at(const char *text, const struct word *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (char_fold(text[i]) != w->text[i])
			return false;
	return true;
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* Does a part of the text begin here? orderDate has two parts, as order_date has. */
static bool part_begins(const char *text, size_t at)
{
	return at == 0 || !is_word_char(text[at - 1]) || (is_lower(text[at - 1]) && is_upper(text[at]));
}

static bool part_ends(const char *text, size_t n, size_t at)
{
	return at == n || part_begins(text, at) || !is_word_char(text[at]);
}

/* The best place of the word in a text: 3 a whole part, 2 the start of one, 1 anywhere, 0 none. */
static int place_in(const char *text, size_t n, const struct word *w)
{
	int best = 0;

	for (size_t at = 0; at + w->n <= n && best < 3; at++) {
		int here;

		if (char_fold(text[at]) != w->text[0] || !same_at(text + at, w))
			continue;
		here = !part_begins(text, at) ? 1 : part_ends(text, n, at + w->n) ? 3 : 2;
		best = here > best ? here : best;
	}
	return best;
}

static bool is_subsequence(const char *text, size_t n, const struct word *w)
{
	size_t found = 0;

	for (size_t i = 0; i < n && found < w->n; i++)
		found += char_fold(text[i]) == w->text[found];
	return found == w->n;
}

/* ---- typing errors ---- */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t edit_distance(const char *a, size_t a_n, const char *b, size_t b_n, size_t max)
{
	size_t rows[3][WORD_MAX + 1], *before = rows[0], *last = rows[1], *row = rows[2];

	if (b_n > WORD_MAX || a_n > b_n + max || b_n > a_n + max)
		return max + 1;
	for (size_t k = 0; k <= b_n; k++)
		last[k] = k;
	for (size_t i = 1; i <= a_n; i++) {
		size_t *spare = before, smallest = row[0] = i;

		for (size_t k = 1; k <= b_n; k++) {
			char x = char_fold(a[i - 1]), y = char_fold(b[k - 1]);

			row[k] = least(least(last[k], row[k - 1]) + 1, last[k - 1] + (x != y));
			if (i > 1 && k > 1 && x == char_fold(b[k - 2]) && y == char_fold(a[i - 2]))
				row[k] = least(row[k], before[k - 2] + 1);
			smallest = least(smallest, row[k]);
		}
		if (smallest > max)
			return max + 1;
		before = last;
		last = row;
		row = spare;
	}
	return least(last[b_n], max + 1);
}

/* Edits between the word and the nearest of the name itself and its parts. */
static size_t edits_to(const char *name, size_t n, const struct word *w, size_t max)
{
	size_t best = edit_distance(name, n, w->text, w->n, max);

	for (size_t at = 0, end; at < n && best > 0; at = end) {
		for (end = at + 1; end < n && !part_begins(name, end) && is_word_char(name[end]); end++)
			;
		if (is_word_char(name[at]))
			best = least(best, edit_distance(name + at, end - at, w->text, w->n, max));
	}
	return best;
}

static unsigned typo_worth(const char *name, size_t n, uint32_t missing, const struct word *w)
{
	size_t max = w->n >= TWO_EDITS ? 2 : 1, edits;

	if (w->n < TYPO_MIN || w->has_digits || (size_t)__builtin_popcount(missing) > max)
		return 0;
	edits = edits_to(name, n, w, max);
	if (edits <= 1)
		return NAME_ONE_EDIT;
	if (!missing && n <= 4 * w->n && char_fold(*name) == w->text[0] && is_subsequence(name, n, w))
		return NAME_SUBSEQUENCE;
	return edits <= max ? NAME_TWO_EDITS : 0;
}

/* ---- an item ---- */

static unsigned name_worth(const char *name, size_t n, uint32_t letters, const struct word *w)
{
	uint32_t missing = w->letters & ~letters;
	int place = missing ? 0 : place_in(name, n, w);

	if (place && n == w->n)
		return NAME_EXACT;
	if (place && same_at(name, w))
		return NAME_PREFIX;
	if (place >= 2)
		return place == 3 ? PART_EXACT : PART_PREFIX;
	if (place == 1 && w->n >= HOLDS_MIN)
		return NAME_HOLDS;
	return typo_worth(name, n, missing, w);
}

/* Of every name in the shelf, once. */
static void names_look(struct looking *l)
{
	const struct shelf *shelf = l->shelf;

	if (shelf->names_n > l->worth_room) {
		l->worth_room = shelf->names_n;
		l->worth = xrealloc(l->worth, l->worth_room * sizeof *l->worth);
	}
	for (size_t i = 0; i < shelf->names_n; i++) {
		const struct name *name = &shelf->names[i];

		for (size_t k = 0; k < l->s->words_n; k++)
			l->worth[i][k] =
			    (uint8_t)name_worth(shelf->text + name->text, name->n, name->letters, &l->words[k]);
	}
	l->work += shelf->names_n * l->s->words_n * WORK_NAME;
}

static unsigned comment_worth(struct looking *l, const struct entry *e, const struct word *w)
{
	static const unsigned worth[] = {0, COMMENT_HOLDS, COMMENT_PREFIX, COMMENT_EXACT};

	if ((w->grams & ~e->grams) || !e->comment || w->n < COMMENT_MIN)
		return 0;
	l->work += WORK_COMMENT;
	return worth[place_in(l->shelf->text + e->comment, e->comment_n, w)];
}

static unsigned parent_worth(struct looking *l, struct parent *p, const char *text, size_t i)
{
	if (p->text != text) {
		size_t n = strlen(text);

		p->text = text;
		for (size_t k = 0; k < l->s->words_n; k++) {
			int place = place_in(text, n, &l->words[k]);

			p->worth[k] = place >= 2 ? PARENT_PART : place ? PARENT_HOLDS : 0;
		}
	}
	return p->worth[i];
}

/* What the item is worth for word i; *own where the item says it itself. */
static unsigned word_worth(struct looking *l, const struct entry *e, size_t i, bool *own)
{
	const struct shelf *shelf = l->shelf;
	unsigned name = l->worth[e->name][i], comment = comment_worth(l, e, &l->words[i]), parent = 0;

	if (name || comment) {
		*own = true;
		return (name > comment ? name : comment) + (name && comment ? BOTH : 0);
	}
	if (l->s->words_n == 1)
		return 0;
	if (e->object)
		parent = parent_worth(l, &l->object, shelf->text + e->object, i);
	return parent ? parent : parent_worth(l, &l->schema, shelf->text + e->schema, i);
}

static unsigned item_rank(struct looking *l, const struct entry *e)
{
	unsigned rank = 0, had = 0;
	bool own = false;

	for (size_t i = 0; i < l->s->words_n; i++) {
		unsigned worth = word_worth(l, e, i, &own);

		had += worth > 0;
		rank += worth;
	}
	l->work += l->s->words_n;
	if (!own)
		return 0;
	l->all += had == l->s->words_n;
	l->some++;
	return had * RANK_WORD + rank;
}

/* ---- the best ---- */

static const char *text_of(const struct found *f, uint32_t at)
{
	return f->shelf->text + at;
}

static size_t name_length(const struct found *f)
{
	return entry_name(f->shelf, &f->shelf->v[f->item])->n;
}

/* Below 0: a comes before b. No two items are equal. */
static int found_compare(const struct found *a, const struct found *b)
{
	const struct entry *x = &a->shelf->v[a->item], *y = &b->shelf->v[b->item];
	int order;

	if (a->rank != b->rank)
		return a->rank > b->rank ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (name_length(a) != name_length(b))
		return name_length(a) < name_length(b) ? -1 : 1;
	if ((order = strcmp(a->database, b->database)) ||
	    (order = strcmp(text_of(a, x->schema), text_of(b, y->schema))))
		return order;
	order = strcmp(text_of(a, x->object), text_of(b, y->object));
	return order ? order : strcmp(entry_text(a->shelf, x), entry_text(b->shelf, y));
}

static void swap(struct found *a, struct found *b)
{
	struct found t = *a;

	*a = *b;
	*b = t;
}

/* A heap whose first is the worst of the best. */
static void sink(struct found *v, size_t n)
{
	for (size_t i = 0, child; (child = 2 * i + 1) < n; i = child) {
		if (child + 1 < n && found_compare(&v[child + 1], &v[child]) > 0)
			child++;
		if (found_compare(&v[child], &v[i]) <= 0)
			break;
		swap(&v[i], &v[child]);
	}
}

static void rise(struct found *v, size_t i)
{
	for (; i && found_compare(&v[i], &v[(i - 1) / 2]) > 0; i = (i - 1) / 2)
		swap(&v[i], &v[(i - 1) / 2]);
}

static void best_keep(struct search *s, const struct found *f)
{
	if (s->found_n < s->best) {
		s->found[s->found_n++] = *f;
		rise(s->found, s->found_n - 1);
	} else if (s->best && found_compare(f, &s->found[0]) < 0) {
		s->found[0] = *f;
		sink(s->found, s->found_n);
	}
}

static int by_rank(const void *a, const void *b)
{
	return found_compare(a, b);
}

/* ---- all of it ---- */

static void look_at_piece(struct looking *l, const struct set *set, const struct piece *p)
{
	l->shelf = p->shelf;
	l->object.text = l->schema.text = NULL;
	names_look(l);
	for (size_t i = 0; i < p->shelf->n && !l->s->stopped; i++) {
		const struct entry *e = &p->shelf->v[i];
		struct found f = {l->database, p->shelf, i, 0};

		if (!(l->s->kinds & ITEM_BIT(e->kind)) || !piece_shows(set, p, e))
			continue;
		f.rank = item_rank(l, e);
		if (f.rank)
			best_keep(l->s, &f);
		l->s->stopped = l->work >= SEARCH_WORK;
	}
}

static void look_at_set(struct looking *l, const struct set *set, unsigned kinds)
{
	for (size_t i = 0; i < set->n && (l->s->kinds & kinds); i++)
		look_at_piece(l, set, &set->v[i]);
}

/* Objects of all databases before columns: where the work is cut, the less is missed. */
void index_search(const struct index *x, struct search *s)
{
	struct looking l = {.s = s};

	s->found_n = s->total = 0;
	s->stopped = false;
	words_split(&l);
	for (int columns = 0; columns < 2 && s->words_n; columns++)
		for (size_t i = 0; i < x->databases_n; i++) {
			const struct database *d = x->databases[i];

			l.database = d->name;
			if (s->database && strcmp(s->database, d->name) != 0)
				continue;
			look_at_set(&l, &d->sets[columns ? SET_COLUMNS : SET_OBJECTS],
				    columns ? ITEM_BIT(ITEM_COLUMN) : ITEM_OBJECTS);
		}
	free(l.worth);
	if (s->found_n)
		qsort(s->found, s->found_n, sizeof *s->found, by_rank);
	s->some = l.all == 0;
	s->total = l.all ? l.all : l.some;
	while (l.all && s->found_n && s->found[s->found_n - 1].rank < s->words_n * RANK_WORD)
		s->found_n--;
}
