/* The guard's frame: from text to tokens that read in one way only, then one statement, its brackets, its parts. */
#include <string.h>

#include "guard.h"
#include "snowgate/err.h"
#include "text.h"

#define NO_BRACKET UINT32_MAX

static const struct {
	const char *reason, *advice;
} whys[WHYS_N] = {
#define WHY(name, reason, advice) {reason, advice},
#include "snowgate/tbl/guard.def"
};

/* ---- refusals ---- */

static bool out_of_memory(struct guard *g)
{
	g->no_memory = true;
	return false;
}

static bool refuse_at(struct guard *g, int line, int column, const char *reason, const char *advice)
{
	struct guard_verdict *v = g->verdict;

	v->allowed = false;
	v->effect = EFFECT_NONE;
	v->reason = reason;
	v->advice = advice;
	v->line = line;
	v->column = column;
	return false;
}

bool guard_refuse(struct guard *g, size_t at, const char *reason, const char *advice)
{
	const struct sql_token *t = &g->t[at < g->n ? at : g->n];

	return refuse_at(g, t->line, t->column, reason, advice);
}

const char *guard_word(struct guard *g, size_t at)
{
	struct slice text = g->t[at < g->n ? at : g->n].text;
	size_t n = text.n < 60 ? text.n : 60;
	char *word;

	if (at >= g->n)
		return "the end of the text";
	while (n < text.n && n > 0 && ((unsigned char)text.data[n] & 0xC0) == 0x80)
		n--;
	word = arena_strndup(g->arena, text.data, n);
	for (size_t i = 0; word && i < n && g->t[at].kind == SQL_WORD; i++)
		word[i] = sql_upper(word[i]);
	return word;
}

bool guard_refuse_word(struct guard *g, size_t at, const char *reason, const char *advice)
{
	const char *word = guard_word(g, at);
	const char *sentence = word ? arena_printf(g->arena, "%s %s", word, reason) : NULL;

	return sentence ? guard_refuse(g, at, sentence, advice) : out_of_memory(g);
}

bool guard_refuse_why(struct guard *g, size_t at, enum guard_why why)
{
	return guard_refuse_word(g, at, whys[why].reason, whys[why].advice);
}

/* ---- questions ---- */

bool guard_is(const struct guard *g, size_t at, const char *word)
{
	return at < g->n && sql_token_is(&g->t[at], word);
}

bool guard_is_name(const struct guard *g, size_t at)
{
	return at < g->n && (g->t[at].kind == SQL_WORD || g->t[at].kind == SQL_QUOTED);
}

/* Is the colon t[at] one of value:path? Not within { 'key': value }, nor behind what is no value, nor before a call. */
static bool is_path(const struct guard *g, size_t at)
{
	size_t i = at + 1;

	if (at == 0 || (g->match[at] != NO_BRACKET && guard_is(g, g->match[at], "{")))
		return false;
	if (!guard_is_name(g, at - 1) && g->t[at - 1].kind != SQL_VARIABLE && !guard_is(g, at - 1, ")") &&
	    !guard_is(g, at - 1, "]"))
		return false;
	while (guard_is(g, i + 1, ".") && guard_is_name(g, i + 2))
		i += 2;
	return !guard_is(g, i + 1, "(");
}

bool guard_is_member(const struct guard *g, size_t at)
{
	return at > 0 && (guard_is(g, at - 1, ".") || guard_is(g, at - 1, "::") ||
			  (guard_is(g, at - 1, ":") && is_path(g, at - 1)));
}

static const char *class_names(struct guard *g, unsigned classes)
{
	static const char *const names[] = {"read", "metadata", "dml", "ddl", "dcl", "script"};
	struct buf b = buf_with_ceiling(256);
	const char *text;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (classes & 1u << i)
			buf_addf(&b, "%s%s", b.n ? ", " : "", names[i]);
	text = arena_strdup(g->arena, b.n ? buf_text(&b) : "none");
	buf_free(&b);
	return text;
}

bool guard_needs(struct guard *g, size_t at, unsigned class)
{
	const char *word, *needed, *given, *reason, *advice;

	g->verdict->class = class;
	if (g->classes & class)
		return true;
	word = guard_word(g, at);
	needed = class_names(g, class);
	given = class_names(g, g->classes);
	if (!word || !needed || !given)
		return out_of_memory(g);
	reason = arena_printf(g->arena, "%s is a statement of class %s; this caller may send: %s", word, needed, given);
	advice =
	    arena_printf(g->arena, "%sIf it is meant, the operator can add %s to `statements` of the caller's policy.",
			 g->classes & CLASS_READ ? "Send a SELECT instead. " : "", needed);
	return reason && advice ? guard_refuse(g, at, reason, advice) : out_of_memory(g);
}

/* ---- text ---- */

static const char *character_fault(size_t n, uint32_t code)
{
	if (!n)
		return "the text is not valid UTF-8";
	if (code == 0)
		return "the text holds a NUL character";
	return sql_is_bidi(code)
		   ? "the text holds a bidirectional control character, which shows another text than it runs"
		   : NULL;
}

static bool text_is_clean(struct guard *g, struct slice sql)
{
	const char *end = sql.data + sql.n;
	int line = 1, column = 1;
	uint32_t code = 0;
	size_t n;

	if (sql.n > SQL_MAX_BYTES)
		return refuse_at(g, 0, 0, "the statement is longer than 256 KiB",
				 "Send a shorter statement; put long lists of values into bindings or a table.");
	for (const char *p = sql.data; p < end; p += n) {
		const char *fault;

		n = sql_utf8_next(p, end, &code);
		fault = character_fault(n, code);
		if (fault)
			return refuse_at(g, line, column, fault, "Send such a value in bindings, or remove it.");
		column = code == '\n' ? 1 : column + 1;
		line += code == '\n';
	}
	return true;
}

/* ---- tokens ---- */

static size_t tokens_count(struct slice sql)
{
	struct sql_lexer lexer;
	enum sql_kind kind;
	size_t n = 0;

	sql_lexer_init(&lexer, sql);
	do {
		kind = sql_next(&lexer).kind;
		n++;
	} while (kind != SQL_END && kind != SQL_BAD && n <= SQL_MAX_TOKENS + 1);
	return n;
}

/* The same bytes under another reading of escapes or comments must give the same tokens at the same places. */
static bool reads_alike(const struct guard *g, struct slice sql, bool escapes, bool nested, size_t *differs)
{
	struct sql_lexer lexer;

	sql_lexer_init(&lexer, sql);
	lexer.backslash_escapes = escapes;
	lexer.nested_comments = nested;
	for (size_t i = 0; i <= g->n; i++) {
		struct sql_token other = sql_next(&lexer);

		*differs = i;
		if (other.kind != g->t[i].kind || other.text.data != g->t[i].text.data ||
		    other.text.n != g->t[i].text.n)
			return false;
	}
	return true;
}

static bool reads_one_way(struct guard *g, struct slice sql)
{
	size_t at = 0;

	if (!reads_alike(g, sql, false, false, &at))
		return guard_refuse(g, at, "the text reads differently with and without backslash escapes in strings",
				    "Write a quote inside a string as '' and do not end a string with a backslash.");
	if (!reads_alike(g, sql, true, true, &at) || !reads_alike(g, sql, false, true, &at))
		return guard_refuse(g, at, "the text reads differently with and without nested comments",
				    "Leave /* out of comments.");
	return true;
}

static bool tokens_read(struct guard *g, struct slice sql)
{
	size_t n = tokens_count(sql);
	struct sql_lexer lexer;

	if (n > SQL_MAX_TOKENS)
		return refuse_at(g, 0, 0, "the statement has more than 100000 words and signs",
				 "Put long lists of values into bindings or a table.");
	g->t = arena_alloc(g->arena, n * sizeof(*g->t));
	g->match = arena_alloc(g->arena, n * sizeof(*g->match));
	if (!g->t || !g->match)
		return out_of_memory(g);
	sql_lexer_init(&lexer, sql);
	for (size_t i = 0; i < n; i++)
		g->t[i] = sql_next(&lexer);
	g->n = n - 1;
	if (g->t[g->n].kind == SQL_BAD) {
		const char *reason = arena_printf(g->arena, "the text cannot be read: %s", g->t[g->n].fault);

		return reason ? guard_refuse(g, g->n, reason, "Close it, or put the name in double quotes.")
			      : out_of_memory(g);
	}
	return reads_one_way(g, sql);
}

/* ---- one statement ---- */

static bool is_one_statement(struct guard *g)
{
	size_t i = 0;

	while (i < g->n && guard_is(g, i, ";"))
		i++;
	if (i == g->n)
		return refuse_at(g, 0, 0, "the statement is empty", "Send one SQL statement.");
	if (guard_is(g, g->n - 1, ";"))
		g->t[--g->n].kind = SQL_END;
	for (i = 0; i < g->n; i++)
		if (guard_is(g, i, ";"))
			return guard_refuse(g, i, "the text holds more than one statement",
					    "Send one statement per call.");
	return true;
}

/* Signs that have no place in any statement that the guard can decide on. */
static bool signs_are_plain(struct guard *g)
{
	for (size_t i = 0; i < g->n; i++) {
		if (guard_is(g, i, "->>") || guard_is(g, i, "|>"))
			return guard_refuse(g, i, "the flow operator runs a further statement in the same text",
					    "Send one statement per call; for SHOW use list_objects.");
		if (guard_is(g, i, ":="))
			return guard_refuse(g, i,
					    "an assignment is scripting, which hides its statements from the guard",
					    "Send the statements one per call.");
		if (g->t[i].kind == SQL_DOLLAR)
			return guard_refuse(g, i, "$$ strings are refused: they carry code past the guard",
					    "Write text in single quotes, a quote inside it as ''.");
		if (g->t[i].kind == SQL_STAGE)
			return guard_refuse(g, i, "stage files are not reachable through this gateway",
					    "Query a table instead.");
	}
	return true;
}

static char closing(const struct sql_token *t)
{
	if (t->kind != SQL_PUNCT || t->text.n != 1)
		return '\0';
	return t->text.data[0] == '(' ? ')' : t->text.data[0] == '[' ? ']' : t->text.data[0] == '{' ? '}' : '\0';
}

static bool brackets_match(struct guard *g)
{
	uint32_t open = NO_BRACKET;

	for (uint32_t i = 0; i < g->n; i++) {
		if (closing(&g->t[i])) {
			g->match[i] = open;
			open = i;
		} else if (guard_is(g, i, ")") || guard_is(g, i, "]") || guard_is(g, i, "}")) {
			uint32_t outer;

			if (open == NO_BRACKET || closing(&g->t[open]) != g->t[i].text.data[0])
				return guard_refuse(g, i, "the bracket closes nothing", "Balance the brackets.");
			outer = g->match[open];
			g->match[open] = i;
			g->match[i] = open;
			open = outer;
		} else {
			g->match[i] = open;
		}
	}
	return open == NO_BRACKET || guard_refuse(g, open, "the bracket is not closed", "Balance the brackets.");
}

int guard_check(struct arena *a, struct slice sql, unsigned classes, struct guard_verdict *verdict)
{
	struct guard g = {.arena = a, .classes = classes, .verdict = verdict};

	*verdict = (struct guard_verdict){0};
	if (!sql.data)
		sql = SLICE("");
	verdict->allowed = text_is_clean(&g, sql) && tokens_read(&g, sql) && is_one_statement(&g) &&
			   signs_are_plain(&g) && brackets_match(&g) && guard_statement(&g, 0);
	verdict->destructive = verdict->allowed && guard_destroys(&g);
	return g.no_memory ? ERR_NOMEM : ERR_OK;
}
