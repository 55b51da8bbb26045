/* CREATE, ALTER, DROP, UNDROP, COMMENT: an allow-list over the kinds of objects. */
#include "guard.h"

/* The groups of the table: two of their own, and the reasons. */
enum {
	KIND_PLAIN = WHYS_N,
	KIND_MODIFIER,
#define WHY(name, reason, advice) KIND_##name = WHY_##name,
#include "snowgate/tbl/guard.def"
};

static const struct {
	const char *word;
	int group;
} kinds[] = {
#define KIND(word, group) {#word, KIND_##group},
#include "snowgate/tbl/guard.def"
};

static int group_at(const struct guard *g, size_t at)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (guard_is(g, at, kinds[i].word))
			return kinds[i].group;
	return -1;
}

/* The word behind CREATE [OR REPLACE|OR ALTER], COMMENT [IF EXISTS] ON. */
static size_t kind_position(const struct guard *g, size_t at)
{
	size_t i = at + 1;

	if (guard_is(g, at, "CREATE") && guard_is(g, i, "OR"))
		return i + 2;
	if (!guard_is(g, at, "COMMENT"))
		return i;
	if (guard_is(g, i, "IF") && guard_is(g, i + 1, "EXISTS"))
		i += 2;
	return guard_is(g, i, "ON") ? i + 1 : i;
}

static bool check_kind(struct guard *g, size_t at)
{
	size_t i = kind_position(g, at);
	int group = group_at(g, i);

	while (group == KIND_MODIFIER)
		group = group_at(g, ++i);
	if (group == KIND_PLAIN && guard_is(g, i, "DATABASE") && guard_is(g, i + 1, "ROLE"))
		return guard_refuse_why(g, i + 1, WHY_ACCESS);
	if (group == KIND_PLAIN)
		return true;
	if (group >= 0)
		return guard_refuse_why(g, i, (enum guard_why)group);
	return guard_refuse_word(g, i, "is no kind of object that may be changed through this gateway",
				 "Tables, views, schemas, databases, sequences, streams, tags and warehouses may.");
}

bool guard_define(struct guard *g, size_t at)
{
	g->defines = true;
	if (guard_is(g, at, "ALTER") && guard_is(g, at + 1, "SESSION"))
		return guard_alter_session(g, at);
	return guard_needs(g, at, CLASS_DDL) && check_kind(g, at) && guard_scan(g);
}
