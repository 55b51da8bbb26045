/* What the first word of a statement asks for: its class, and the rules of its form. */
#include "guard.h"

enum form {
	FORM_QUERY,
	FORM_SHOW,
	FORM_DESCRIBE,
	FORM_EXPLAIN,
	FORM_CHANGE,
	FORM_DEFINE,
	FORM_USE,
	FORM_TRANSACTION,
	FORM_REFUSED
};

struct verb {
	const char *word;
	enum form form;
	unsigned class;
	const char *reason, *advice;
};

static const struct verb verbs[] = {
#define VERB(word, form, class, reason, advice) {#word, FORM_##form, class, reason, advice},
#include "snowgate/tbl/guard.def"
};

static const struct verb *verb_at(const struct guard *g, size_t at)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (at < g->n && g->t[at].kind == SQL_WORD && guard_is(g, at, verbs[i].word))
			return &verbs[i];
	return NULL;
}

static bool is_query_start(const struct guard *g, size_t at)
{
	const struct verb *verb;

	while (guard_is(g, at, "("))
		at++;
	verb = verb_at(g, at);
	return verb && verb->form == FORM_QUERY;
}

bool guard_with(struct guard *g, size_t at)
{
	static const char *const advice = "Write WITH name AS (SELECT ...) SELECT ...";
	size_t i = at + 1;

	if (guard_is(g, i, "RECURSIVE") && guard_is_name(g, i + 1) && !guard_is(g, i + 1, "AS"))
		i++;
	for (;; i++) {
		if (!guard_is_name(g, i))
			return guard_refuse(g, i, "the list behind WITH cannot be read: a name is missing", advice);
		i++;
		if (guard_is(g, i, "("))
			i = g->match[i] + 1;
		if (!guard_is(g, i, "AS"))
			return guard_refuse(g, i, "the list behind WITH cannot be read: AS is missing", advice);
		i++;
		if (guard_is(g, i, "PROCEDURE"))
			return guard_refuse(g, i,
					    "WITH ... AS PROCEDURE is refused: it runs code that the guard cannot see",
					    "Send the statements of the procedure one per call.");
		if (!guard_is(g, i, "("))
			return guard_refuse(
			    g, i, "the list behind WITH cannot be read: a query in parentheses is missing", advice);
		i = g->match[i] + 1;
		if (!guard_is(g, i, ","))
			break;
	}
	if (is_query_start(g, i) && !guard_is(g, i, "WITH"))
		return true;
	return guard_refuse_word(g, i, "cannot follow the list of WITH: only a SELECT is allowed there", advice);
}

/* ---- forms ---- */

static bool check_query(struct guard *g, size_t at, const struct verb *verb)
{
	g->is_query = true;
	return guard_needs(g, at, verb->class) && guard_scan(g);
}

static bool word_is_ascii(const struct sql_token *t)
{
	for (size_t i = 0; i < t->text.n; i++)
		if ((unsigned char)t->text.data[i] >= 0x80)
			return false;
	return true;
}

/* The kind of object stands between SHOW and the first of these. */
static bool ends_kind(const struct guard *g, size_t at)
{
	static const char *const words[] = {"LIKE", "IN", "STARTS", "LIMIT", "ON",
					    "TO",   "OF", "FROM",   "FOR",   "HISTORY"};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (guard_is(g, at, words[i]))
			return true;
	return at >= g->n || g->t[at].kind != SQL_WORD;
}

static bool check_show(struct guard *g, size_t at, const struct verb *verb)
{
	size_t i = at + 1;

	if (!guard_needs(g, at, verb->class))
		return false;
	if (ends_kind(g, i))
		return guard_refuse(g, i, "SHOW needs the kind of objects to show",
				    "Write SHOW TABLES, SHOW VIEWS, ...");
	for (; !ends_kind(g, i); i++) {
		if (guard_is(g, i, "TRANSACTIONS") || guard_is(g, i, "SESSIONS") || guard_is(g, i, "LOCKS") ||
		    guard_is(g, i, "QUERIES"))
			return guard_refuse_why(g, i, WHY_TENANT);
		if (!word_is_ascii(&g->t[i]) || guard_is(g, i + 1, "("))
			return guard_refuse_word(g, i, "is no kind of object", "Write SHOW TABLES, SHOW VIEWS, ...");
	}
	return guard_scan(g);
}

static bool check_describe(struct guard *g, size_t at, const struct verb *verb)
{
	if (!guard_needs(g, at, verb->class))
		return false;
	if (!guard_is_name(g, at + 1))
		return guard_refuse(g, at, "DESCRIBE needs a kind and a name", "Write DESCRIBE TABLE name.");
	if (guard_is(g, at + 1, "RESULT") || guard_is(g, at + 1, "TRANSACTION"))
		return guard_refuse_why(g, at + 1, WHY_TENANT);
	return guard_scan(g);
}

/* EXPLAIN [USING TABULAR|JSON|TEXT] statement: of the inner statement's class, which runs when the clause is misread.
 */
static bool check_explain(struct guard *g, size_t at, const struct verb *verb)
{
	const struct verb *inner;
	size_t i = at + 1;

	if (guard_is(g, i, "USING") && guard_is_name(g, i + 1))
		i += 2;
	while (guard_is(g, i, "("))
		i++;
	inner = verb_at(g, i);
	if (inner && inner->form == FORM_QUERY)
		return guard_needs(g, at, verb->class) && check_query(g, i, verb);
	if (inner && inner->form == FORM_CHANGE && inner->class == CLASS_DML && i > at && !guard_is(g, i - 1, "(")) {
		g->verb = i;
		return guard_needs(g, i, inner->class) && guard_scan(g);
	}
	return guard_refuse_word(g, i,
				 "cannot be explained: EXPLAIN takes SELECT, WITH, INSERT, UPDATE, DELETE or MERGE",
				 "Write EXPLAIN SELECT ...");
}

/* BEGIN [TRANSACTION|WORK], START TRANSACTION, COMMIT [WORK], ROLLBACK [WORK]: in scripts, and nothing behind it. */
static bool check_transaction(struct guard *g, size_t at, const struct verb *verb)
{
	bool more = guard_is(g, at + 1, "TRANSACTION") || guard_is(g, at + 1, "WORK");

	if (!(g->classes & CLASS_SCRIPT))
		return guard_refuse(g, at, verb->reason, verb->advice);
	if (at + 1 + more < g->n || (guard_is(g, at, "START") && !more))
		return guard_refuse_word(g, at,
					 "is read as a scripting block, which hides its statements from the guard",
					 "Write BEGIN TRANSACTION; ...; COMMIT; in one script.");
	g->verdict->class = verb->class;
	g->verdict->transaction =
	    guard_is(g, at, "BEGIN") || guard_is(g, at, "START") ? TRANSACTION_BEGINS : TRANSACTION_ENDS;
	return true;
}

static bool check_form(struct guard *g, size_t at, const struct verb *verb)
{
	switch (verb->form) {
	case FORM_QUERY:
		return check_query(g, at, verb);
	case FORM_SHOW:
		return check_show(g, at, verb);
	case FORM_DESCRIBE:
		return check_describe(g, at, verb);
	case FORM_EXPLAIN:
		return check_explain(g, at, verb);
	case FORM_CHANGE:
		return guard_needs(g, at, verb->class) && guard_scan(g);
	case FORM_DEFINE:
		return guard_define(g, at);
	case FORM_USE:
		return guard_use(g, at);
	case FORM_TRANSACTION:
		return check_transaction(g, at, verb);
	default:
		return guard_refuse(g, at, verb->reason, verb->advice);
	}
}

bool guard_statement(struct guard *g, size_t at)
{
	const struct verb *verb;
	size_t first = at;

	while (guard_is(g, first, "("))
		first++;
	verb = verb_at(g, first);
	if (!verb)
		return guard_refuse_word(g, first,
					 "starts no statement that the gateway knows, so it cannot be decided on",
					 "Start with SELECT, WITH, SHOW, DESCRIBE or EXPLAIN.");
	if (first > at && verb->form != FORM_QUERY)
		return guard_refuse_word(g, first, "cannot stand in parentheses: only a query may",
					 "Send the statement without parentheses.");
	return check_form(g, first, verb);
}
