/* Which of the statements that the guard allows may leave less behind than was there: told by their words. */
#include "guard.h"

enum where { WHERE_ALWAYS, WHERE_NEXT, WHERE_ANYWHERE };

static const struct {
	const char *verb;
	enum where where;
	const char *word;
} destroys[] = {
#define DESTROYS(verb, where, word) {#verb, WHERE_##where, #word},
#include "snowgate/tbl/guard.def"
};

static bool stands_anywhere(const struct guard *g, const char *word)
{
	for (size_t i = g->verb + 1; i < g->n; i++)
		if (guard_is(g, i, word))
			return true;
	return false;
}

static bool fits(const struct guard *g, size_t entry)
{
	if (!guard_is(g, g->verb, destroys[entry].verb))
		return false;
	switch (destroys[entry].where) {
	case WHERE_NEXT:
		return guard_is(g, g->verb + 1, destroys[entry].word);
	case WHERE_ANYWHERE:
		return stands_anywhere(g, destroys[entry].word);
	default:
		return true;
	}
}

/* Only queries may stand in parentheses or behind WITH, and none of these runs a change. What stands behind EXPLAIN
 * would run if its clause were misread: it counts as if it did. */
bool guard_destroys(const struct guard *g)
{
	for (size_t i = 0; i < ARRAY_LEN(destroys); i++)
		if (fits(g, i))
			return true;
	return false;
}
