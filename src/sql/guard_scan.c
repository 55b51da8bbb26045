/* Functions, names and words that are refused wherever they stand in a statement. */
#include <string.h>

#include "guard.h"
#include "text.h"

enum scope { SCOPE_CALL, SCOPE_NAME, SCOPE_USAGE };

static const struct {
	enum scope scope;
	const char *pattern;
	enum guard_why why;
} denied[] = {
#define DENIED(scope, pattern, why) {SCOPE_##scope, pattern, WHY_##why},
#include "snowgate/tbl/guard.def"
};

static const char *const permitted[] = {
#define PERMITTED(name) name,
#include "snowgate/tbl/guard.def"
};

static const char *const write_words[] = {
#define WRITE_WORD(word) #word,
#include "snowgate/tbl/guard.def"
};

static const char *const late_verbs[] = {
#define LATE_VERB(word) #word,
#include "snowgate/tbl/guard.def"
};

static const char *const policies[] = {
#define POLICY_OF(word) #word,
#include "snowgate/tbl/guard.def"
};

/* ---- names ---- */

static struct slice bare_name(const struct sql_token *t)
{
	if (t->kind == SQL_QUOTED)
		return (struct slice){t->text.data + 1, t->text.n - 2};
	return t->text;
}

static bool name_matches(struct slice name, const char *pattern)
{
	size_t n = strlen(pattern);
	bool prefix = pattern[n - 1] == '*';

	if (prefix ? name.n < n - 1 : name.n != n)
		return false;
	for (size_t i = 0; i < n - prefix; i++)
		if (sql_upper(name.data[i]) != pattern[i])
			return false;
	return true;
}

static bool is_permitted(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(permitted); i++)
		if (name_matches(name, permitted[i]))
			return true;
	return false;
}

/* Is t[at] behind "INFORMATION_SCHEMA." or "..._USAGE."? */
static bool is_in_usage(const struct sql_token *t, size_t at)
{
	struct slice owner;

	if (at < 2 || !sql_token_is(&t[at - 1], ".") || (t[at - 2].kind != SQL_WORD && t[at - 2].kind != SQL_QUOTED))
		return false;
	owner = bare_name(&t[at - 2]);
	return name_matches(owner, "INFORMATION_SCHEMA") || name_matches(owner, "READER_ACCOUNT_USAGE") ||
	       name_matches(owner, "ACCOUNT_USAGE") || name_matches(owner, "ORGANIZATION_USAGE");
}

/* The reason against the name t[at]; -1 where there is none. */
static int name_denial(const struct sql_token *t, size_t at, bool called)
{
	struct slice name = bare_name(&t[at]);

	for (size_t i = 0; i < ARRAY_LEN(denied); i++) {
		if (!name_matches(name, denied[i].pattern))
			continue;
		if (denied[i].scope == SCOPE_NAME || (denied[i].scope == SCOPE_USAGE && is_in_usage(t, at)) ||
		    (denied[i].scope == SCOPE_CALL && called && !is_permitted(name)))
			return (int)denied[i].why;
	}
	return -1;
}

/* ---- names given as text: IDENTIFIER('...') and TABLE('...') ---- */

#define TEXT_NAME_TOKENS 8 /* a.b.c.d is seven */

/* The name within string t[at] is read like one outside; what is none is refused. */
static bool text_name_is_fine(struct guard *g, size_t at)
{
	static const char *const advice = "Write the name itself instead.";
	struct slice s = g->t[at].text;
	struct sql_token t[TEXT_NAME_TOKENS];
	struct sql_lexer lexer;

	sql_lexer_init(&lexer, (struct slice){s.data + 1, s.n - 2});
	for (size_t n = 0; n < TEXT_NAME_TOKENS; n++) {
		int why = -1;

		t[n] = sql_next(&lexer);
		if (t[n].kind == SQL_END && n > 0)
			return true;
		if (t[n].kind == SQL_WORD || t[n].kind == SQL_QUOTED)
			why = name_denial(t, n, true);
		else if (!sql_token_is(&t[n], "."))
			break;
		if (why >= 0)
			return guard_refuse_why(g, at, (enum guard_why)why);
	}
	return guard_refuse(g, at, "a name given as text must be a plain name", advice);
}

static bool check_identifier(struct guard *g, size_t at)
{
	size_t end = g->match[at + 1];

	if (end != at + 3 || g->t[at + 2].kind != SQL_STRING)
		return guard_refuse(g, at,
				    "IDENTIFIER takes a name in single quotes here; anything else cannot be decided on",
				    "Write the name itself instead.");
	if (guard_is(g, end + 1, "("))
		return guard_refuse(g, at,
				    "IDENTIFIER(...)(...) is refused: it calls a function that the guard cannot see",
				    "Write the function's name itself.");
	return text_name_is_fine(g, at + 2);
}

static bool check_table_function(struct guard *g, size_t at)
{
	enum sql_kind inner = g->t[at + 2].kind;

	if (inner == SQL_BIND || inner == SQL_VARIABLE || guard_is(g, at + 2, ":"))
		return guard_refuse(g, at, "TABLE(...) with a name that comes from elsewhere cannot be decided on",
				    "Write the name of the table itself.");
	return inner != SQL_STRING || text_name_is_fine(g, at + 2);
}

/* ---- words ---- */

static bool is_one_of(const struct guard *g, size_t at, const char *const words[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (guard_is(g, at, words[i]))
			return true;
	return false;
}

/* A verb behind a closing parenthesis at the top: a second statement, unless it is an alias. */
static bool is_late_verb(const struct guard *g, size_t at, size_t depth)
{
	if (depth || at == 0 || !guard_is(g, at - 1, ")") || !is_one_of(g, at, late_verbs, ARRAY_LEN(late_verbs)))
		return false;
	return at + 1 < g->n && !guard_is(g, at + 1, "FROM") && !guard_is(g, at + 1, ",");
}

static bool check_query_word(struct guard *g, size_t at, size_t depth)
{
	bool called = guard_is(g, at + 1, "(");

	if (is_one_of(g, at, write_words, ARRAY_LEN(write_words)) && !(called && guard_is(g, at, "INSERT")))
		return guard_refuse_word(
		    g, at, "has no place in a query: it changes something",
		    "Put a column of that name in double quotes; send a change as a statement of its own.");
	if (is_late_verb(g, at, depth))
		return guard_refuse_word(g, at, "starts a second statement here", "Send one statement per call.");
	return true;
}

static bool check_code_word(struct guard *g, size_t at)
{
	if (guard_is(g, at, "AS") && guard_is(g, at + 1, "PROCEDURE"))
		return guard_refuse(g, at + 1, "AS PROCEDURE is refused: it runs code that the guard cannot see",
				    "Send the statements one per call; put an alias of that name in double quotes.");
	if (guard_is(g, at, "EXECUTE") && (guard_is(g, at + 1, "AS") || guard_is(g, at + 1, "IMMEDIATE")))
		return guard_refuse(
		    g, at, "EXECUTE AS and EXECUTE IMMEDIATE are refused: they run code that the guard cannot see",
		    "Send the statements one per call.");
	if (guard_is(g, at, "ASYNC") || guard_is(g, at, "AWAIT"))
		return guard_refuse_word(g, at, "is refused: it belongs to scripting, which hides its statements",
					 "Put a column of that name in double quotes.");
	return true;
}

static bool check_word(struct guard *g, size_t at, size_t depth)
{
	bool called = guard_is(g, at + 1, "(");

	if (called && guard_is(g, at, "IDENTIFIER"))
		return check_identifier(g, at);
	if (guard_is_member(g, at))
		return true;
	if (called && guard_is(g, at, "TABLE") && !check_table_function(g, at))
		return false;
	if (guard_is(g, at, "WITH") && (at == 0 || guard_is(g, at - 1, "(") || (g->is_query && depth == 0)) &&
	    !guard_with(g, at))
		return false;
	if (g->defines && guard_is(g, at, "POLICY") && at && is_one_of(g, at - 1, policies, ARRAY_LEN(policies)))
		return guard_refuse_why(g, at, WHY_ACCESS);
	if (g->defines && at && guard_is(g, at - 1, "ENABLE") &&
	    (guard_is(g, at, "REPLICATION") || guard_is(g, at, "FAILOVER")))
		return guard_refuse_why(g, at, WHY_MOVES);
	return check_code_word(g, at) && (!g->is_query || check_query_word(g, at, depth));
}

/* ---- strings that are tables: FROM '@stage/file' ---- */

static bool clause_starts_tables(const struct guard *g, size_t at)
{
	if (guard_is(g, at, "FROM"))
		return at == 0 || !guard_is(g, at - 1, "DISTINCT");
	return guard_is(g, at, "JOIN") || guard_is(g, at, "USING");
}

static bool clause_ends_tables(const struct guard *g, size_t at)
{
	static const char *const words[] = {"SELECT", "WHERE",  "GROUP",     "HAVING", "QUALIFY", "ORDER", "LIMIT",
					    "UNION",  "EXCEPT", "INTERSECT", "MINUS",  "SET",     "VALUES"};

	return is_one_of(g, at, words, ARRAY_LEN(words));
}

static bool looks_like_a_file(struct slice string)
{
	return string.n > 2 &&
	       (string.data[1] == '@' || string.data[1] == '\\' || memmem(string.data, string.n, "://", 3));
}

/* in_tables[depth]: whether a table may stand at this place of that depth. */
static void follow_tables(const struct guard *g, size_t at, size_t *depth, bool *in_tables)
{
	if (guard_is(g, at, "(")) {
		bool table_here =
		    in_tables[*depth] && at > 0 &&
		    (clause_starts_tables(g, at - 1) || guard_is(g, at - 1, ",") || guard_is(g, at - 1, "("));

		in_tables[++*depth] = table_here;
	} else if (guard_is(g, at, ")")) {
		--*depth;
	} else if (clause_starts_tables(g, at)) {
		in_tables[*depth] = true;
	} else if (clause_ends_tables(g, at)) {
		in_tables[*depth] = false;
	}
}

static bool check_string(struct guard *g, size_t at, bool in_tables)
{
	bool table_here = in_tables && at > 0 &&
			  (clause_starts_tables(g, at - 1) || guard_is(g, at - 1, ",") || guard_is(g, at - 1, "("));

	if (table_here && looks_like_a_file(g->t[at].text))
		return guard_refuse(g, at, "stage files are not reachable through this gateway",
				    "Query a table instead.");
	return true;
}

static bool check_name(struct guard *g, size_t at)
{
	int why = name_denial(g->t, at, guard_is(g, at + 1, "("));

	if (why < 0 && g->is_query && at && guard_is(g, at - 1, ".") && name_matches(bare_name(&g->t[at]), "NEXTVAL"))
		why = WHY_SEQUENCE;
	return why < 0 || guard_refuse_why(g, at, (enum guard_why)why);
}

bool guard_scan(struct guard *g)
{
	bool *in_tables = arena_alloc(g->arena, g->n + 1);
	size_t depth = 0;

	if (!in_tables) {
		g->no_memory = true;
		return false;
	}
	for (size_t i = 0; i < g->n; i++) {
		follow_tables(g, i, &depth, in_tables);
		if (guard_is_name(g, i) && !check_name(g, i))
			return false;
		if (g->t[i].kind == SQL_WORD && !check_word(g, i, depth))
			return false;
		if (g->t[i].kind == SQL_STRING && !check_string(g, i, in_tables[depth]))
			return false;
	}
	return true;
}
