/* The existing names nearest to one that does not exist: typing errors, and the right name looked for elsewhere. */
#include "index_internal.h"

#include <string.h>

/* Costs, in halves of an edit. */
enum { EDIT = 2, OTHER_CASE = 1, OTHER_SCHEMA = 2, OTHER_DATABASE = 3, LONGER = 5, COST_MAX = 100 };

/* What looking costs, in nanoseconds or so. */
enum { WORK_ITEM = 12, WORK_OBJECT = 4, WORK_CELL = 3 };

struct near {
	struct nearest *n;
	size_t name_n, edits_max;
	uint32_t letters;
	unsigned costs[NEAREST_MAX];
	size_t cells, work; /* what it has taken */
};

static bool holds_prefix(const char *name, const char *wanted, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (char_fold(name[i]) != char_fold(wanted[i]))
			return false;
	return true;
}

/* COST_MAX: not near. */
static unsigned name_cost(struct near *w, const struct name *e, const char *name)
{
	size_t edits;

	if (strcmp(name, w->n->name) == 0)
		return 0;
	if (e->n > w->name_n && w->name_n >= 4 && holds_prefix(name, w->n->name, w->name_n) &&
	    e->n > w->name_n + w->edits_max)
		return LONGER;
	if ((size_t)__builtin_popcount(w->letters & ~e->letters) > w->edits_max)
		return COST_MAX;
	edits = edit_distance(name, e->n, w->n->name, w->name_n, w->edits_max, &w->cells);
	if (edits > w->edits_max)
		return COST_MAX;
	return edits ? (unsigned)edits * EDIT : OTHER_CASE;
}

static bool differs(const char *wanted, const char *there)
{
	return wanted && there && strcmp(wanted, there) != 0;
}

static unsigned place_cost(const struct nearest *n, const struct place *p)
{
	unsigned cost = differs(n->database, p->database) ? OTHER_DATABASE : 0;

	return cost + (n->set == SET_OBJECTS && differs(n->schema, p->item.schema) ? OTHER_SCHEMA : 0);
}

static void near_keep(struct near *w, const struct place *p, unsigned cost)
{
	struct nearest *n = w->n;
	size_t at = n->found_n < NEAREST_MAX ? n->found_n++ : NEAREST_MAX;

	if (at == NEAREST_MAX && cost >= w->costs[--at])
		return;
	for (; at && w->costs[at - 1] > cost; at--) {
		n->found[at] = n->found[at - 1];
		w->costs[at] = w->costs[at - 1];
	}
	n->found[at] = *p;
	w->costs[at] = cost;
}

static bool is_of_objects(struct near *w, const char *object)
{
	const struct nearest *n = w->n;

	w->work += n->objects_n * WORK_OBJECT;
	for (size_t i = 0; i < n->objects_n; i++)
		if (strcmp(n->objects[i], object) == 0)
			return true;
	return n->set != SET_COLUMNS;
}

static void near_shelf(struct near *w, const struct set *set, const struct piece *p, const char *database)
{
	const char *last = NULL;
	bool fits = false;

	for (size_t i = 0; i < p->shelf->n && w->work + w->cells * WORK_CELL < NEAREST_WORK; i++) {
		const struct entry *e = &p->shelf->v[i];
		const char *object = p->shelf->text + e->object;
		struct place place;
		unsigned cost;

		w->work += WORK_ITEM;
		if (object != last)
			fits = is_of_objects(w, last = object);
		cost = fits && piece_shows(set, p, e) ? name_cost(w, entry_name(p->shelf, e), entry_text(p->shelf, e))
						      : COST_MAX;
		if (cost == COST_MAX)
			continue;
		place = (struct place){database, shelf_at(p->shelf, i)};
		cost += place_cost(w->n, &place);
		if (cost) /* 0: the very name that was asked for */
			near_keep(w, &place, cost);
	}
}

static void near_set(struct near *w, const struct set *set, const char *database)
{
	for (size_t i = 0; i < set->n; i++)
		near_shelf(w, set, &set->v[i], database);
}

/* Those that the policy names, too: no SHOW has listed them. What only a question has named is nobody's to hear of. */
static void near_databases(struct near *w, const struct index *x)
{
	for (size_t i = 0; i < x->databases_n; i++) {
		const char *name = x->databases[i]->name;
		struct name e = {.n = (uint16_t)strlen(name), .letters = letters_of(name, strlen(name))};
		struct place p = {NULL, {.kind = ITEM_DATABASE, .name = name}};
		bool there = !x->databases[i]->asked && !x->databases[i]->sets[SET_SCHEMAS].refused;
		unsigned cost = there ? name_cost(w, &e, name) : COST_MAX;

		if (cost && cost < COST_MAX)
			near_keep(w, &p, cost);
	}
}

void index_nearest(const struct index *x, struct nearest *n)
{
	struct near w = {.n = n, .name_n = strlen(n->name)};

	w.edits_max = w.name_n < 3 ? 0 : w.name_n < 5 ? 1 : w.name_n < 9 ? 2 : 3;
	w.letters = letters_of(n->name, w.name_n);
	n->found_n = 0;
	if (n->set == SET_DATABASES)
		near_databases(&w, x);
	else if (n->set == SET_WAREHOUSES)
		near_set(&w, &x->sets[SET_WAREHOUSES], NULL);
	else
		for (size_t i = 0; i < x->databases_n; i++)
			near_set(&w, &x->databases[i]->sets[n->set], x->databases[i]->name);
}
