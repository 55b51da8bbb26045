/* Which table or view a statement changes, read off its tokens. */
#include "snowgate/sql.h"

/* The words before the name; what stands between them and it is skipped. */
static bool leads(const struct sql_token *t)
{
	static const char *const words[] = {"INTO", "UPDATE", "FROM", "TABLE", "VIEW", "TRUNCATE"};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (sql_token_is(t, words[i]))
			return true;
	return false;
}

static bool is_filler(const struct sql_token *t)
{
	static const char *const words[] = {"IF", "NOT", "EXISTS", "TABLE", "INTO", "OVERWRITE"};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (sql_token_is(t, words[i]))
			return true;
	return false;
}

/* One part after another, dots between them. */
static bool name_read(struct arena *a, struct sql_lexer *lexer, struct sql_token t, struct sql_name *name)
{
	*name = (struct sql_name){0};
	for (;;) {
		if ((t.kind != SQL_WORD && t.kind != SQL_QUOTED) || name->n == ARRAY_LEN(name->part))
			return false;
		name->part[name->n] = sql_ident_fold(a, t.text);
		if (!name->part[name->n++])
			return false;
		t = sql_next(lexer);
		if (!sql_token_is(&t, "."))
			return true;
		t = sql_next(lexer);
	}
}

bool sql_target(struct arena *a, struct slice sql, struct sql_name *name)
{
	struct sql_lexer lexer;
	struct sql_token t;

	sql_lexer_init(&lexer, sql);
	do
		t = sql_next(&lexer);
	while (t.kind != SQL_END && t.kind != SQL_BAD && !leads(&t));
	do
		t = sql_next(&lexer);
	while (is_filler(&t));
	return name_read(a, &lexer, t, name);
}
