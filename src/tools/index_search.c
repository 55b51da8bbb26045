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

/* What looking costs, in nanoseconds or so. */
#define WORK_FILTER 2  /* whether a word may be in a name at all */
#define WORK_ITEM   3  /* an item, and each word of it */
#define WORK_TRY    25 /* a word in a text, and each letter of it */
#define WORK_CELL   3  /* of an edit distance */
#define WORK_ORDER  40 /* which of two matches comes first */
#define WORK_SORT   11 /* comparisons for each that is told, at most SEARCH_BEST_MAX */

struct word {
	char text[WORD_MAX + 1]; /* folded */
	size_t n;
	uint32_t letters;
	uint64_t grams;
	bool may_err; /* long enough, and without digits: another number is another name, not a typing error */
	bool found;   /* as it is, somewhere */
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
	size_t work, most;
	size_t typos;     /* work up to which typing errors are looked for; 0: they are not */
	bool over;        /* there is no work left */
	size_t all, some; /* items that have all words, and some */
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
	bool digits = false;

	if (l->s->words_n == SEARCH_WORDS_MAX || n > WORD_MAX)
		return;
	for (size_t i = 0; i < n; i++) {
		w->text[i] = char_fold(text[i]);
		digits |= text[i] >= '0' && text[i] <= '9';
	}
	w->n = n;
	w->may_err = n >= TYPO_MIN && !digits;
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

/* How many letters are the word's. */
static size_t same_at(const char *text, const struct word *w)
{
	size_t i = 0;

	while (i < w->n && char_fold(text[i]) == w->text[i])
		i++;
	return i;
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
static int place_in(struct looking *l, const char *text, size_t n, const struct word *w)
{
	size_t at = 0;
	int best = 0;

	for (; at + w->n <= n && best < 3; at++) {
		size_t same;
		int here;

		if (char_fold(text[at]) != w->text[0])
			continue;
		same = same_at(text + at, w);
		l->work += same + 2;
		if (same < w->n)
			continue;
		here = !part_begins(text, at) ? 1 : part_ends(text, n, at + w->n) ? 3 : 2;
		best = here > best ? here : best;
	}
	l->work += WORK_TRY + at;
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

/* Only cells within `max` of the diagonal can tell a distance of at most that. */
size_t edit_distance(const char *a, size_t a_n, const char *b, size_t b_n, size_t max, size_t *cells)
{
	size_t rows[3][WORD_MAX + 1], *before = rows[0], *last = rows[1], *row = rows[2];

	if (b_n > WORD_MAX || a_n > b_n + max || b_n > a_n + max)
		return max + 1;
	for (size_t k = 0; k <= least(b_n, max); k++)
		last[k] = k;
	for (size_t i = 1; i <= a_n; i++) {
		size_t from = i > max + 1 ? i - max : 1, to = least(b_n, i + max);
		size_t *spare = before, smallest = row[from - 1] = from == 1 ? i : max + 1;

		if (i + max <= b_n)
			last[i + max] = max + 1;
		for (size_t k = from; k <= to; k++) {
			char x = char_fold(a[i - 1]), y = char_fold(b[k - 1]);

			row[k] = least(least(last[k], row[k - 1]) + 1, last[k - 1] + (x != y));
			if (i > 1 && k > 1 && x == char_fold(b[k - 2]) && y == char_fold(a[i - 2]))
				row[k] = least(row[k], before[k - 2] + 1);
			smallest = least(smallest, row[k]);
		}
		*cells += to + 2 - from;
		if (smallest > max)
			return max + 1;
		before = last;
		last = row;
		row = spare;
	}
	return least(last[b_n], max + 1);
}

/* Edits between the word and the nearest of the name itself and its parts. */
static size_t edits_to(struct looking *l, const char *name, size_t n, const struct word *w, size_t max)
{
	size_t cells = 0, best = edit_distance(name, n, w->text, w->n, max, &cells);

	for (size_t at = 0, end; at < n && best > 0; at = end) {
		for (end = at + 1; end < n && !part_begins(name, end) && is_word_char(name[end]); end++)
			;
		if (is_word_char(name[at]))
			best = least(best, edit_distance(name + at, end - at, w->text, w->n, max, &cells));
	}
	l->work += WORK_TRY + 4 * n + cells * WORK_CELL;
	return best;
}

/* An edit changes at most three pairs of neighbours: where more are missing, none has to be tried. */
static unsigned typo_worth(struct looking *l, const struct name *e, const struct word *w)
{
	const char *name = l->shelf->text + e->text;
	size_t max = w->n >= TWO_EDITS ? 2 : 1, edits = max + 1;
	uint32_t missing = w->letters & ~e->letters;

	if (!w->may_err || (size_t)__builtin_popcount(missing) > max)
		return 0;
	if ((size_t)__builtin_popcountll(w->grams & ~e->grams) <= 3 * max)
		edits = edits_to(l, name, e->n, w, max);
	if (edits <= 1)
		return NAME_ONE_EDIT;
	if (!missing && e->n <= 4 * w->n && char_fold(*name) == w->text[0]) {
		l->work += e->n;
		if (is_subsequence(name, e->n, w))
			return NAME_SUBSEQUENCE;
	}
	return edits <= max ? NAME_TWO_EDITS : 0;
}

/* ---- an item ---- */

static unsigned name_worth(struct looking *l, const struct name *e, const struct word *w)
{
	const char *name = l->shelf->text + e->text;
	int place = 0;

	l->work += WORK_FILTER;
	if (!(w->letters & ~e->letters) && !(w->grams & ~e->grams))
		place = place_in(l, name, e->n, w);
	if (place && e->n == w->n)
		return NAME_EXACT;
	if (place && same_at(name, w) == w->n)
		return NAME_PREFIX;
	if (place >= 2)
		return place == 3 ? PART_EXACT : PART_PREFIX;
	if (place == 1 && w->n >= HOLDS_MIN)
		return NAME_HOLDS;
	return l->typos ? typo_worth(l, e, w) : 0;
}

/* Is there no work left? Where only typing errors take too much of it, the rest is looked through without them. */
static bool is_over(struct looking *l)
{
	if (l->typos && l->work >= l->typos) {
		l->typos = 0;
		l->s->stopped = true;
	}
	if (l->work < l->most)
		return false;
	return l->s->stopped = l->over = true;
}

/* Of every name in the shelf, once; as far as the work lasts. */
static void names_look(struct looking *l)
{
	const struct shelf *shelf = l->shelf;

	if (shelf->names_n > l->worth_room) {
		l->worth_room = shelf->names_n;
		l->worth = xrealloc(l->worth, l->worth_room * sizeof *l->worth);
	}
	for (size_t i = 0; i < shelf->names_n; i++)
		for (size_t k = 0; k < l->s->words_n; k++) {
			l->worth[i][k] = (uint8_t)name_worth(l, &shelf->names[i], &l->words[k]);
			l->words[k].found |= l->worth[i][k] > 0;
			if (is_over(l))
				return;
		}
}

static unsigned comment_worth(struct looking *l, const struct entry *e, struct word *w)
{
	static const unsigned worth[] = {0, COMMENT_HOLDS, COMMENT_PREFIX, COMMENT_EXACT};
	int place;

	if (!e->comment || (w->grams & ~e->grams) || w->n < COMMENT_MIN)
		return 0;
	place = place_in(l, l->shelf->text + e->comment, e->comment_n, w);
	w->found |= place > 0;
	return worth[place];
}

static unsigned parent_worth(struct looking *l, struct parent *p, const char *text, size_t i)
{
	if (p->text != text) {
		size_t n = strlen(text);

		p->text = text;
		for (size_t k = 0; k < l->s->words_n; k++) {
			int place = place_in(l, text, n, &l->words[k]);

			p->worth[k] = place >= 2 ? PARENT_PART : place ? PARENT_HOLDS : 0;
		}
	}
	return p->worth[i];
}

/* What the item itself is worth for word i. */
static unsigned own_worth(struct looking *l, const struct entry *e, size_t i)
{
	unsigned name = l->worth[e->name][i], comment = comment_worth(l, e, &l->words[i]);

	return (name > comment ? name : comment) + (name && comment ? BOTH : 0);
}

/* And what it is in. */
static unsigned parents_worth(struct looking *l, const struct entry *e, size_t i)
{
	const char *text = l->shelf->text;
	unsigned object = e->object ? parent_worth(l, &l->object, text + e->object, i) : 0;

	return object ? object : parent_worth(l, &l->schema, text + e->schema, i);
}

/* 0 where it has none of the words itself. */
static unsigned item_rank(struct looking *l, const struct entry *e)
{
	unsigned worth[SEARCH_WORDS_MAX], rank = 0, had = 0;
	size_t n = l->s->words_n;

	l->work += (n + 1) * WORK_ITEM;
	for (size_t i = 0; i < n; i++)
		rank += worth[i] = own_worth(l, e, i);
	for (size_t i = 0; i < n && rank; i++) {
		unsigned parents = worth[i] ? 0 : parents_worth(l, e, i);

		had += worth[i] || parents;
		rank += parents;
	}
	return rank ? had * RANK_WORD + rank : 0;
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
static void sink(struct looking *l, struct found *v, size_t n)
{
	for (size_t i = 0, child; (child = 2 * i + 1) < n; i = child) {
		l->work += 2 * WORK_ORDER;
		if (child + 1 < n && found_compare(&v[child + 1], &v[child]) > 0)
			child++;
		if (found_compare(&v[child], &v[i]) <= 0)
			break;
		swap(&v[i], &v[child]);
	}
}

static void rise(struct looking *l, struct found *v, size_t i)
{
	for (; i && found_compare(&v[i], &v[(i - 1) / 2]) > 0; i = (i - 1) / 2) {
		l->work += WORK_ORDER;
		swap(&v[i], &v[(i - 1) / 2]);
	}
}

static void best_keep(struct looking *l, const struct found *f)
{
	struct search *s = l->s;

	l->work += WORK_ORDER;
	if (s->found_n < s->best) {
		s->found[s->found_n++] = *f;
		rise(l, s->found, s->found_n - 1);
	} else if (s->best && found_compare(f, &s->found[0]) < 0) {
		s->found[0] = *f;
		sink(l, s->found, s->found_n);
	}
}

static int by_rank(const void *a, const void *b)
{
	return found_compare(a, b);
}

/* ---- all of it ---- */

static void look_at_item(struct looking *l, const struct set *set, const struct piece *p, size_t i)
{
	const struct entry *e = &p->shelf->v[i];
	struct found f = {l->database, p->shelf, i, 0};

	if (!(l->s->kinds & ITEM_BIT(e->kind)))
		return;
	f.rank = item_rank(l, e);
	if (!f.rank || !piece_shows(set, p, e))
		return;
	l->some++;
	l->all += f.rank / RANK_WORD == l->s->words_n;
	best_keep(l, &f);
}

static void look_at_piece(struct looking *l, const struct set *set, const struct piece *p)
{
	l->shelf = p->shelf;
	l->object.text = l->schema.text = NULL;
	names_look(l);
	for (size_t i = 0; i < p->shelf->n && !l->over; i++) {
		look_at_item(l, set, p, i);
		(void)is_over(l);
	}
}

static void look_at_set(struct looking *l, const struct set *set, unsigned kinds)
{
	for (size_t i = 0; i < set->n && (l->s->kinds & kinds) && !l->over; i++)
		look_at_piece(l, set, &set->v[i]);
}

/* Objects of all databases before columns: where the work is cut, the less is missed. */
static void look_at_all(struct looking *l, const struct index *x)
{
	l->s->found_n = l->all = l->some = 0;
	for (int columns = 0; columns < 2; columns++)
		for (size_t i = 0; i < x->databases_n && !l->over; i++) {
			const struct database *d = x->databases[i];

			l->database = d->name;
			if (l->s->database && strcmp(l->s->database, d->name) != 0)
				continue;
			look_at_set(l, &d->sets[columns ? SET_COLUMNS : SET_OBJECTS],
				    columns ? ITEM_BIT(ITEM_COLUMN) : ITEM_OBJECTS);
		}
}

/* Words that are nowhere as they are; where all are somewhere, but not together, any may be the wrong one. */
static bool may_be_mistyped(struct looking *l)
{
	struct word *words = l->words;
	bool all = true, any = false;

	for (size_t i = 0; i < l->s->words_n; i++)
		all &= words[i].found;
	for (size_t i = 0; i < l->s->words_n; i++)
		any |= words[i].may_err &= all || !words[i].found;
	return any;
}

/* Typing errors are dear to find, and looked for where nothing has all the words as they are: once more through all of
 * it, with what work such a look without them leaves. */
static void look_for_typos(struct looking *l, const struct index *x)
{
	size_t once = l->work;

	if (l->all || l->over || !may_be_mistyped(l))
		return;
	if (2 * once >= l->most) {
		l->s->stopped = true;
		return;
	}
	l->typos = l->most - once;
	look_at_all(l, x);
}

void index_search(const struct index *x, struct search *s)
{
	struct looking l = {.s = s, .most = SEARCH_WORK - s->best * WORK_SORT * WORK_ORDER};

	s->found_n = s->total = 0;
	s->stopped = false;
	words_split(&l);
	if (s->words_n) {
		look_at_all(&l, x);
		look_for_typos(&l, x);
	}
	free(l.worth);
	s->work = l.work;
	if (s->found_n)
		qsort(s->found, s->found_n, sizeof *s->found, by_rank);
	s->some = l.all == 0;
	s->total = l.all ? l.all : l.some;
	while (l.all && s->found_n && s->found[s->found_n - 1].rank < s->words_n * RANK_WORD)
		s->found_n--;
}
