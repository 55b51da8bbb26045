/* Emits expressions and queries: token by token, knowing where the last operand began in the output. */
#include "rewriter.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NO_OPERAND ((size_t)-1)

struct level {
	struct rewriter *r;
	struct token *t;
	int i, end;
	struct buf *out;
	size_t operand; /* where in `out` the last operand starts */
	bool selects;   /* a SELECT, DELETE, UPDATE or MERGE was seen on this level */
	bool in_from;   /* commas separate tables */
	bool wants_table;
	bool in_set;    /* assignments of UPDATE or MERGE */
	char limit[64]; /* TOP n, owed at the end of this SELECT */
};

typedef bool emit_f(struct level *l);

/* Plain names to Snowflake, reserved in DuckDB. */
static const char DUCK_WORDS[] = "|AT|DO|ANALYSE|ANALYZE|ASYMMETRIC|BOTH|CONCURRENTLY|DEFERRABLE|FREEZE|GLOB|INITIALLY|"
				 "ISNULL|LAMBDA|LEADING|NOTNULL|OVERLAPS|PLACING|POSITIONAL|SEMI|SHOW|SUMMARIZE|"
				 "SYMMETRIC|TRAILING|VARIADIC|VERBOSE|";

void emit_identifier(const struct token *t, struct buf *out)
{
	if (t->kind == TOKEN_QUOTED) {
		buf_add(out, t->text, t->n);
		return;
	}
	if (token_in(t, DUCK_WORDS)) {
		char name[64];

		token_name(t, name, sizeof name);
		add_quoted(out, name);
		return;
	}
	for (size_t i = 0; i < t->n; i++)
		buf_addc(out, (char)toupper((unsigned char)t->text[i]));
}

void add_quoted(struct buf *out, const char *name)
{
	buf_addc(out, '"');
	for (; *name; name++) {
		if (*name == '"')
			buf_addc(out, '"');
		buf_addc(out, *name);
	}
	buf_addc(out, '"');
}

void add_literal(struct buf *out, const char *text)
{
	buf_addc(out, '\'');
	for (; *text; text++) {
		if (*text == '\'')
			buf_addc(out, '\'');
		buf_addc(out, *text);
	}
	buf_addc(out, '\'');
}

void emit_string(const struct token *t, struct buf *out)
{
	struct buf value = buf_with_ceiling(PLAN_SQL_MAX);

	token_string(t, &value);
	add_literal(out, buf_text(&value));
	buf_free(&value);
}

/* Takes the last operand out of the output, for a rewrite that wraps it. The caller frees it. */
static char *take_operand(struct level *l)
{
	size_t from = l->operand;
	char *text;

	if (buf_failed(l->out) || from > l->out->n)
		return xstrdup("");
	while (l->out->n > from && l->out->data[l->out->n - 1] == ' ')
		l->out->n--;
	text = xstrndup(l->out->n ? l->out->data + from : "", l->out->n - from);
	l->out->n = from;
	if (l->out->data)
		l->out->data[from] = '\0';
	return text;
}

static bool has_operand(const struct level *l)
{
	return l->operand != NO_OPERAND;
}

/* ---- the select list ---- */

/* `SELECT a + 1` is a column named "A + 1"; a plain column, a star and an alias name themselves. */
static bool needs_name(const struct level *l, int from, int to)
{
	const struct token *t = l->t, *last = &t[to - 1], *before = last - 1;
	bool plain = true;

	if (from >= to)
		return false;
	for (int i = from; i < to; i++) {
		if (token_is_op(&t[i], "*") && (i == from || token_is_op(&t[i - 1], ".")))
			return false;
		if (token_is(&t[i], "AS"))
			return false;
		plain = plain && (token_is_name(&t[i]) || token_is_op(&t[i], "."));
		if (t[i].mate > i)
			i = t[i].mate;
	}
	if (plain)
		return to - from == 1 && token_in(last, "|NULL|TRUE|FALSE|CURRENT_DATE|CURRENT_TIMESTAMP|CURRENT_TIME|"
							"CURRENT_USER|LOCALTIMESTAMP|LOCALTIME|");
	if (to - from == 1 || !token_is_name(last))
		return true;
	if (token_is_op(before, "::") || token_is_op(before, ".") || token_is_op(before, ":") || token_is(last, "END"))
		return true;
	if (before->kind == TOKEN_OP)
		return !token_is_op(before, ")") && !token_is_op(before, "]");
	return token_in(before, "|AND|OR|NOT|IN|IS|LIKE|ILIKE|BETWEEN|DISTINCT|THEN|ELSE|PRECISION|") ||
	       (token_in(last, "|NULL|TRUE|FALSE|") && token_is_name(before));
}

static void add_item_name(const struct level *l, int from, int to)
{
	const char *at = l->t[from].text, *end = l->t[to - 1].text + l->t[to - 1].n;
	size_t n = 0;

	buf_adds(l->out, " AS \"");
	for (; at < end && n < 250; at++, n++) {
		char c = (char)toupper((unsigned char)*at);

		if (c == '"')
			buf_addc(l->out, '"');
		buf_addc(l->out, c == '\n' ? ' ' : c);
	}
	buf_addc(l->out, '"');
}

static void add_token_name(const struct level *l, const struct token *t)
{
	char text[PLAN_NAME_MAX];

	snprintf(text, sizeof text, "%.*s", (int)(t->n < 250 ? t->n : 250), t->text);
	add_quoted(l->out, text);
}

static void emit_select_item(struct level *l, int from, int to)
{
	if (to - from == 3 && token_is_op(&l->t[from], "*") && token_is(&l->t[from + 1], "ILIKE")) {
		buf_adds(l->out, "COLUMNS(lambda c: c ILIKE ");
		emit_string(&l->t[from + 2], l->out);
		buf_adds(l->out, ")");
		return;
	}
	if (from >= to) {
		fail_at(l->r, &l->t[to]);
		return;
	}
	emit_range(l->r, from, to, EMIT_EXPRESSION, l->out);
	if (token_is(&l->t[to - 1], "NEXTVAL") && to - from > 1)
		buf_adds(l->out, " AS \"NEXTVAL\"");
	else if (needs_name(l, from, to))
		add_item_name(l, from, to);
}

static int select_list_end(const struct level *l, int i)
{
	static const char ENDS[] =
	    "|FROM|WHERE|GROUP|ORDER|HAVING|QUALIFY|LIMIT|OFFSET|FETCH|UNION|EXCEPT|INTERSECT|MINUS|INTO|";

	while (i < l->end) {
		bool distinct_from = token_is(&l->t[i], "FROM") && token_is(&l->t[i - 1], "DISTINCT") &&
				     token_in(&l->t[i - 2], "|IS|NOT|");

		if (token_in(&l->t[i], ENDS) && !token_is(&l->t[i - 1], "WITHIN") && !distinct_from)
			break;
		i = l->t[i].mate > i ? l->t[i].mate + 1 : i + 1;
	}
	return i < l->end ? i : l->end;
}

static bool emit_select(struct level *l)
{
	struct items *items;
	int from = l->i + 1, to;

	if (!token_is(&l->t[l->i], "SELECT"))
		return false;
	buf_adds(l->out, "SELECT ");
	l->selects = true;
	l->in_from = l->wants_table = false;
	if (token_in(&l->t[from], "|DISTINCT|ALL|"))
		buf_addf(l->out, "%.*s ", (int)l->t[from].n, l->t[from].text), from++;
	if (token_is(&l->t[from], "TOP") && l->t[from + 1].kind == TOKEN_NUMBER) {
		snprintf(l->limit, sizeof l->limit, " LIMIT %.*s ", (int)l->t[from + 1].n, l->t[from + 1].text);
		from += 2;
	}
	to = select_list_end(l, from);
	items = xalloc(sizeof *items);
	split_items(l->r, from, to, items);
	for (int k = 0; k < items->n; k++) {
		if (k)
			buf_adds(l->out, ", ");
		emit_select_item(l, items->from[k], items->to[k]);
	}
	if (from >= to)
		fail_at(l->r, &l->t[to]);
	free(items);
	l->i = to;
	l->operand = NO_OPERAND;
	return true;
}

/* ---- clauses ---- */

static void leave_limit(struct level *l)
{
	buf_adds(l->out, l->limit);
	l->limit[0] = '\0';
}

/* Keeps the flags of the level; emits nothing but what is owed. */
static void track_clause(struct level *l)
{
	const struct token *t = &l->t[l->i];

	if (token_in(t, "|DELETE|UPDATE|MERGE|INSERT|"))
		l->selects = true;
	if (!l->selects)
		return;
	if (l->limit[0] && token_in(t, "|UNION|EXCEPT|INTERSECT|MINUS|"))
		leave_limit(l);
	if (token_in(t, "|FROM|JOIN|") && !token_is(t - 1, "DISTINCT"))
		l->in_from = l->wants_table = true;
	else if (token_is(t, "USING") && (!token_is_op(t + 1, "(") || token_in(t + 2, "|SELECT|WITH|")))
		l->in_from = l->wants_table = true;
	else if (token_is(t, "INTO") || (token_is(t, "UPDATE") && !token_is(t - 1, "THEN")))
		l->wants_table = true;
	else if (token_is_op(t, ",") && l->in_from && !l->in_set)
		l->wants_table = true;
	else if (token_in(t, "|WHERE|GROUP|ORDER|HAVING|QUALIFY|LIMIT|UNION|EXCEPT|INTERSECT|MINUS|SET|WHEN|"))
		l->in_from = l->wants_table = false;
	else if (token_is(t, "VALUES") && !l->wants_table)
		l->in_from = false;
	if (token_is(t, "SET"))
		l->in_set = true;
	else if (token_in(t, "|WHERE|FROM|WHEN|"))
		l->in_set = false;
}

static bool emit_table(struct level *l)
{
	const struct token *t = &l->t[l->i];
	int next;

	if (!l->wants_table || token_in(t, "|FROM|JOIN|INTO|UPDATE|USING|TABLE|") || token_is_op(t, ","))
		if (!(l->wants_table && token_is(t, "TABLE") && token_is_op(t + 1, "(")))
			return false;
	if (token_is(t, "LATERAL")) {
		if (token_is(t + 1, "FLATTEN") || token_is(t + 1, "SPLIT_TO_TABLE")) {
			l->i++;
			return true;
		}
		return false;
	}
	if (token_is_op(t, "(") && !token_in(t + 1, "|SELECT|WITH|VALUES|")) {
		buf_adds(l->out, "(");
		emit_range(l->r, l->i + 1, t->mate, EMIT_TABLES, l->out);
		buf_adds(l->out, ")");
		l->i = t->mate + 1;
	} else if ((next = emit_table_item(l->r, l->i, l->end, l->out)) > 0) {
		l->i = next;
	} else {
		l->wants_table = false;
		return false;
	}
	l->wants_table = false;
	l->operand = NO_OPERAND;
	return true;
}

static bool emit_minus(struct level *l)
{
	if (!token_is(&l->t[l->i], "MINUS") || !l->selects)
		return false;
	buf_adds(l->out, "EXCEPT ");
	l->operand = NO_OPERAND;
	l->i++;
	return true;
}

static bool emit_sample(struct level *l)
{
	const struct token *t = &l->t[l->i];
	int open = l->i + 1;
	const char *method = "bernoulli";

	if (!l->in_from || !token_in(t, "|SAMPLE|TABLESAMPLE|"))
		return false;
	if (token_in(&l->t[open], "|BERNOULLI|ROW|SYSTEM|BLOCK|")) {
		method = token_in(&l->t[open], "|SYSTEM|BLOCK|") ? "system" : "bernoulli";
		open++;
	}
	if (!token_is_op(&l->t[open], "(") || l->t[open + 1].kind != TOKEN_NUMBER)
		return false;
	if (token_is(&l->t[open + 2], "ROWS"))
		buf_addf(l->out, " TABLESAMPLE RESERVOIR(%.*s ROWS)", (int)l->t[open + 1].n, l->t[open + 1].text);
	else
		buf_addf(l->out, " TABLESAMPLE %s(%.*s%%)", method, (int)l->t[open + 1].n, l->t[open + 1].text);
	l->i = l->t[open].mate + 1;
	if (token_in(&l->t[l->i], "|SEED|REPEATABLE|") && token_is_op(&l->t[l->i + 1], "(")) {
		buf_addf(l->out, " REPEATABLE (%.*s)", (int)l->t[l->i + 2].n, l->t[l->i + 2].text);
		l->i = l->t[l->i + 1].mate + 1;
	}
	return true;
}

/* PIVOT (f(x) FOR c IN ('a', 'b' AS n)): the columns are named as the values are written, quotes and all. */
static bool emit_pivot(struct level *l)
{
	int open = l->i + 1, in;
	struct items *items;

	if (!token_is(&l->t[l->i], "PIVOT") || !token_is_op(&l->t[open], "("))
		return false;
	for (in = open + 1; in < l->t[open].mate && !token_is(&l->t[in], "IN");)
		in = l->t[in].mate > in ? l->t[in].mate + 1 : in + 1;
	if (!token_is_op(&l->t[in + 1], "(") || token_in(&l->t[in + 2], "|ANY|SELECT|")) {
		plan_unsupported(l->r->plan, "PIVOT over values that are not listed");
		return true;
	}
	buf_adds(l->out, "PIVOT (");
	emit_range(l->r, open + 1, in, EMIT_EXPRESSION, l->out);
	buf_adds(l->out, " IN (");
	items = xalloc(sizeof *items);
	split_items(l->r, in + 2, l->t[in + 1].mate, items);
	for (int k = 0; k < items->n; k++) {
		buf_adds(l->out, k ? ", " : "");
		emit_range(l->r, items->from[k], items->to[k], EMIT_EXPRESSION, l->out);
		if (items->to[k] == items->from[k] + 1) {
			buf_adds(l->out, " AS ");
			add_token_name(l, &l->t[items->from[k]]);
		}
	}
	free(items);
	buf_adds(l->out, ") ");
	emit_range(l->r, l->t[in + 1].mate + 1, l->t[open].mate, EMIT_EXPRESSION, l->out);
	buf_adds(l->out, ")");
	l->i = l->t[open].mate + 1;
	l->operand = NO_OPERAND;
	return true;
}

/* AT(...), BEFORE(...): the past is not kept, and an answer from the present would be wrong. */
static bool emit_time_travel(struct level *l)
{
	const struct token *t = &l->t[l->i];

	if (!l->in_from || !token_in(t, "|AT|BEFORE|") || !token_is_op(t + 1, "(") ||
	    !token_in(t + 2, "|OFFSET|TIMESTAMP|STATEMENT|STREAM|"))
		return false;
	plan_unsupported(l->r->plan, "Time Travel");
	l->i = l->end;
	return true;
}

static bool emit_match_condition(struct level *l)
{
	const struct token *t = &l->t[l->i];

	if (!token_is(t, "MATCH_CONDITION") || !token_is_op(t + 1, "("))
		return false;
	buf_adds(l->out, " ON (");
	emit_range(l->r, l->i + 2, t[1].mate, EMIT_EXPRESSION, l->out);
	buf_adds(l->out, ")");
	l->i = t[1].mate + 1;
	if (token_is(&l->t[l->i], "ON")) {
		buf_adds(l->out, " AND ");
		l->i++;
	}
	return true;
}

/* ---- operators on the operand before them ---- */

static bool emit_like_any(struct level *l)
{
	const struct token *t = &l->t[l->i];
	bool negated = token_is(t, "NOT"), any;
	struct items *items;
	char *left;

	t += negated;
	if (!has_operand(l) || !token_in(t, "|LIKE|ILIKE|") || !token_in(t + 1, "|ANY|ALL|") ||
	    !token_is_op(t + 2, "("))
		return false;
	any = token_is(t + 1, "ANY");
	left = take_operand(l);
	items = xalloc(sizeof *items);
	split_items(l->r, (int)(t - l->t) + 3, t[2].mate, items);
	buf_adds(l->out, negated ? "NOT (" : "(");
	for (int k = 0; k < items->n; k++) {
		buf_addf(l->out, "%s%s %.*s ", !k ? "" : any ? " OR " : " AND ", left, (int)t->n, t->text);
		emit_range(l->r, items->from[k], items->to[k], EMIT_EXPRESSION, l->out);
	}
	buf_adds(l->out, ")");
	free(items);
	free(left);
	l->i = t[2].mate + 1;
	return true;
}

static bool emit_rlike(struct level *l)
{
	const struct token *t = &l->t[l->i];
	bool negated = token_is(t, "NOT");
	char *left, *right;
	int at;

	t += negated;
	if (!has_operand(l) || !token_in(t, "|RLIKE|REGEXP|") || token_is_op(t + 1, "("))
		return false;
	at = (int)(t - l->t) + 1;
	left = take_operand(l);
	right = emit_text(l->r, at, at + 1);
	buf_addf(l->out, "%sREGEXP_LIKE(%s, %s)", negated ? "NOT " : "", left, right);
	free(left);
	free(right);
	l->i = at + 1;
	return true;
}

static void add_path_key(struct buf *path, const char *key)
{
	buf_adds(path, ".\"");
	for (; *key; key++)
		if (*key != '"')
			buf_addc(path, *key);
	buf_addc(path, '"');
}

/* :a.b[0]['c'] becomes $."a"."b"[0]."c". Returns the index behind it. */
static int parse_path(struct level *l, int i, struct buf *path)
{
	char key[PLAN_NAME_MAX];
	bool first = true;

	for (;; first = false) {
		const struct token *t = &l->t[i];
		const struct token *name = first ? t : t + 1;

		if ((first || token_is_op(t, ".") || token_is_op(t, ":")) && token_is_name(name)) {
			struct token raw = *name;

			raw.kind = TOKEN_QUOTED; /* keys keep their case */
			if (name->kind == TOKEN_WORD)
				snprintf(key, sizeof key, "%.*s", (int)(name->n < 255 ? name->n : 255), name->text);
			else
				token_name(&raw, key, sizeof key);
			add_path_key(path, key);
			i = (int)(name - l->t) + 1;
		} else if (token_is_op(t, "[") && t->mate == i + 2 && t[1].kind == TOKEN_NUMBER) {
			buf_addf(path, "[%.*s]", (int)t[1].n, t[1].text);
			i += 3;
		} else if (token_is_op(t, "[") && t->mate == i + 2 && t[1].kind == TOKEN_STRING) {
			struct buf text = buf_with_ceiling(PLAN_NAME_MAX);

			token_string(&t[1], &text);
			add_path_key(path, buf_text(&text));
			buf_free(&text);
			i += 3;
		} else {
			return i;
		}
	}
}

/* A VARIANT compares as text with text, as a number with numbers, and counts as a number in arithmetic. */
static const char *path_function(const struct level *l, int first, int next)
{
	const struct token *after = &l->t[next], *before = &l->t[first - 1];
	static const char *const COMPARE[] = {"=", "<>", "!=", "<", ">", "<=", ">="};
	static const char *const MATH[] = {"+", "-", "*", "/", "%"};

	for (size_t k = 0; k < ARRAY_LEN(MATH); k++)
		if (token_is_op(after, MATH[k]) || (token_is_op(before, MATH[k]) && has_operand(l)))
			return "_SF_PATH_NUMBER";
	for (size_t k = 0; k < ARRAY_LEN(COMPARE); k++)
		if (token_is_op(after, COMPARE[k]))
			return after[1].kind == TOKEN_NUMBER ? "_SF_PATH_NUMBER" : "_SF_PATH_TEXT";
	if (token_is(after, "BETWEEN"))
		return after[1].kind == TOKEN_NUMBER ? "_SF_PATH_NUMBER" : "_SF_PATH_TEXT";
	if (token_in(after, "|LIKE|ILIKE|RLIKE|REGEXP|") || token_is_op(after, "||") || token_is_op(before, "||"))
		return "_SF_PATH_TEXT";
	if (token_is(after, "IN") || (token_is(after, "NOT") && token_is(after + 1, "IN")))
		return "_SF_PATH_TEXT";
	return "_SF_PATH";
}

static bool emit_path(struct level *l)
{
	const struct token *t = &l->t[l->i];
	struct buf path;
	int first = l->i, next;
	char *left;

	if (!has_operand(l) || !token_is_op(t, ":") || !(token_is_name(t + 1) || token_is_op(t + 1, "[")))
		return false;
	while (first > 0 && (token_is_name(&l->t[first - 1]) || token_is_op(&l->t[first - 1], ".")))
		first--;
	path = buf_with_ceiling(1 << 16);
	buf_adds(&path, "$");
	next = parse_path(l, l->i + 1, &path);
	left = take_operand(l);
	buf_addf(l->out, "%s(%s, ", path_function(l, first, next), left);
	add_literal(l->out, buf_text(&path));
	buf_adds(l->out, ")");
	free(left);
	buf_free(&path);
	l->i = next;
	return true;
}

/* [1, 'a'] */
static bool emit_array_literal(struct level *l)
{
	const struct token *t = &l->t[l->i];
	size_t at = l->out->n;

	if (has_operand(l) || !token_is_op(t, "[") || t->mate < 0)
		return false;
	buf_adds(l->out, "JSON_ARRAY(");
	emit_range(l->r, l->i + 1, t->mate, EMIT_EXPRESSION, l->out);
	buf_adds(l->out, ")");
	l->operand = at;
	l->i = t->mate + 1;
	return true;
}

/* {'a': 1, 'b': {'c': 2}} */
static bool emit_object_literal(struct level *l)
{
	int close = token_is_op(&l->t[l->i], "{") ? l->t[l->i].mate : -1, i = l->i + 1;
	size_t at = l->out->n;

	if (close < 0 || has_operand(l))
		return false;
	buf_adds(l->out, "JSON_MERGE_PATCH('{}', JSON_OBJECT(");
	while (i < close && l->r->plan->kind != PLAN_ERROR) {
		int to = i + 2;

		if (l->t[i].kind != TOKEN_STRING || !token_is_op(&l->t[i + 1], ":")) {
			fail_at(l->r, &l->t[i]);
			break;
		}
		while (to < close && !token_is_op(&l->t[to], ","))
			to = l->t[to].mate > to ? l->t[to].mate + 1 : to + 1;
		emit_string(&l->t[i], l->out);
		buf_adds(l->out, ", ");
		emit_range(l->r, i + 2, to, EMIT_EXPRESSION, l->out);
		i = to + 1;
		buf_adds(l->out, i < close ? ", " : "");
	}
	buf_adds(l->out, "))");
	l->operand = at;
	l->i = close + 1;
	return true;
}

static bool emit_subscript(struct level *l)
{
	const struct token *t = &l->t[l->i];
	char *left, *key;

	if (!has_operand(l) || !token_is_op(t, "[") || t->mate < 0)
		return false;
	left = take_operand(l);
	key = emit_text(l->r, l->i + 1, t->mate);
	buf_addf(l->out, "_SF_GET(%s, %s)", left, key);
	free(left);
	free(key);
	l->i = t->mate + 1;
	return true;
}

static bool emit_cast(struct level *l)
{
	struct type_text type;
	char *left;

	if (!has_operand(l) || !token_is_op(&l->t[l->i], "::"))
		return false;
	parse_type(l->r, l->i + 1, &type);
	if (!type.known) {
		const struct token *t = &l->t[l->i + 1];

		if (token_is_name(t))
			plan_fail(l->r->plan, "002040", "42601",
				  "SQL compilation error:\nUnsupported data type '%.*s'.",
				  (int)(t->n < 100 ? t->n : 100), t->text);
		else
			fail_at(l->r, t);
	}
	left = take_operand(l);
	add_cast(l->out, left, &type, false);
	free(left);
	l->i = type.next;
	return true;
}

/* ---- operands ---- */

/* A decimal text of the wire: its digits before and behind the point; false when it is no plain number. */
static bool number_digits(const char *text, int *whole, int *scale)
{
	bool point = false;

	*whole = *scale = 0;
	for (text += *text == '-' || *text == '+'; *text; text++) {
		if (*text == '.' && !point)
			point = true;
		else if (!isdigit((unsigned char)*text))
			return false;
		else
			*(point ? scale : whole) += 1;
	}
	return *whole + *scale > 0 && *whole + *scale <= 38;
}

/* ? becomes $n, so that copies of an operand stay one parameter, cast to the type of its binding. */
static void emit_binding(struct level *l)
{
	const struct engine_binding *b;
	const char *type;
	int n = 1, whole, scale;

	for (int i = 0; i < l->i; i++)
		n += token_is_op(&l->t[i], "?");
	b = (size_t)n <= l->r->bindings_n ? &l->r->bindings[n - 1] : NULL;
	type = b && b->type && b->value ? b->type : "";
	if (!strcasecmp(type, "TIMESTAMP_TZ"))
		buf_addf(l->out, "CAST($%d AS _SF_TZ)", n);
	else if (!strcasecmp(type, "DECFLOAT"))
		buf_addf(l->out, "CAST($%d AS _SF_DECFLOAT)", n);
	else if (!strcasecmp(type, "BINARY"))
		buf_addf(l->out, "CAST($%d AS BLOB)", n);
	else if (!strcasecmp(type, "FIXED") && number_digits(b->value, &whole, &scale) && (scale || whole > 18))
		buf_addf(l->out, scale ? "CAST($%d AS DECIMAL(%d,%d))" : "CAST($%d AS HUGEINT)", n, whole + scale,
			 scale);
	else
		buf_addf(l->out, "$%d", n);
}

static bool emit_literal(struct level *l)
{
	const struct token *t = &l->t[l->i];
	size_t at = l->out->n;

	if (t->kind == TOKEN_STRING)
		emit_string(t, l->out);
	else if (t->kind == TOKEN_NUMBER)
		buf_add(l->out, t->text, t->n);
	else if (token_is_op(t, "?"))
		emit_binding(l);
	else if (t->kind == TOKEN_VARIABLE && isdigit((unsigned char)t->text[1]))
		buf_addf(l->out, "COLUMN%.*s", (int)t->n - 1, t->text + 1);
	else if (t->kind == TOKEN_VARIABLE)
		plan_fail(l->r->plan, "001003", "42000",
			  "SQL compilation error: error line 1 at position 0\nSession variable '%.*s' does not exist",
			  (int)(t->n < 100 ? t->n : 100), t->text);
	else
		return false;
	l->operand = at;
	l->i++;
	return true;
}

static bool emit_parenthesis(struct level *l)
{
	const struct token *t = &l->t[l->i];
	size_t at = l->out->n;

	if (!token_is_op(t, "(") || t->mate < 0)
		return false;
	buf_adds(l->out, "(");
	emit_range(l->r, l->i + 1, t->mate, EMIT_EXPRESSION, l->out);
	buf_adds(l->out, ")");
	l->operand = at;
	l->i = t->mate + 1;
	return true;
}

/* DATE '2024-01-01' and its kin. */
static bool emit_typed_literal(struct level *l)
{
	const struct token *t = &l->t[l->i];
	size_t at = l->out->n;

	if (t[1].kind != TOKEN_STRING)
		return false;
	if (token_is(t, "INTERVAL")) {
		buf_adds(l->out, "_SF_INTERVAL(");
		emit_string(t + 1, l->out);
		buf_adds(l->out, ")");
	} else if (token_in(t, "|DATE|TIMESTAMP|TIME|TIMESTAMP_NTZ|TIMESTAMP_LTZ|TIMESTAMP_TZ|")) {
		struct type_text type;

		parse_type(l->r, l->i, &type);
		buf_addf(l->out, "CAST(");
		emit_string(t + 1, l->out);
		buf_addf(l->out, " AS %s)", type.duck);
	} else {
		return false;
	}
	l->operand = at;
	l->i += 2;
	return true;
}

/* In SET the target may not be qualified in DuckDB: t.c = x becomes c = x. */
static bool skip_target_qualifier(struct level *l)
{
	const struct token *t = &l->t[l->i];

	if (!l->in_set || !token_is_op(t + 1, ".") || !token_is_name(t + 2) || !token_is_op(t + 3, "="))
		return false;
	if (!token_is(t - 1, "SET") && !token_is_op(t - 1, ","))
		return false;
	l->i += 2;
	return true;
}

static bool emit_sequence(struct level *l)
{
	struct name name;
	struct buf text = buf_with_ceiling(4096);

	if (!token_is_name(&l->t[l->i]))
		return false;
	parse_name(l->r, l->i, &name);
	if (name.parts < 2 || strcmp(name.part[name.parts - 1], "NEXTVAL"))
		return false;
	name.parts--;
	emit_object(l->r, &name, PLAN_SEQUENCE, &text);
	buf_adds(l->out, "NEXTVAL(");
	add_literal(l->out, buf_text(&text));
	buf_adds(l->out, ")");
	buf_free(&text);
	l->i = name.next;
	return true;
}

static bool is_call(const struct level *l)
{
	const struct token *t = &l->t[l->i];

	bool named_as_keyword =
	    (token_in(t, "|LEFT|RIGHT|REPLACE|INSERT|") || (token_in(t, "|LIKE|ILIKE|RLIKE|") && !has_operand(l))) &&
	    !token_is_op(t - 1, "*") && !token_is(t - 1, "THEN");

	if (!token_is_op(t + 1, "(") || (is_keyword(t) && !named_as_keyword) || token_is(t - 1, "AS"))
		return false;
	if (token_is_op(t - 1, ")") && l->in_from) /* FROM (...) x (a, b) */
		return false;
	return !token_in(t - 1, "|WITH|RECURSIVE|") &&
	       !(token_is(&l->t[t[1].mate + 1], "AS") && token_is_op(t - 1, ",") &&
		 token_is_op(&l->t[t[1].mate + 2], "("));
}

static bool emit_name(struct level *l)
{
	const struct token *t = &l->t[l->i];
	size_t at = l->out->n;
	int next;

	if (!token_is_name(t))
		return false;
	if (emit_typed_literal(l) || skip_target_qualifier(l) || emit_sequence(l))
		return true;
	if (is_call(l) ||
	    token_in(t, "|CURRENT_DATE|CURRENT_TIMESTAMP|CURRENT_TIME|CURRENT_USER|LOCALTIMESTAMP|LOCALTIME|")) {
		next = emit_call(l->r, l->i, l->out);
		if (next > 0) {
			l->operand = at;
			l->i = next;
			return true;
		}
	}
	emit_identifier(t, l->out);
	l->i++;
	if (is_keyword(t) && !token_in(t, "|NULL|TRUE|FALSE|END|"))
		l->operand = NO_OPERAND;
	else if (!token_is_op(t - 1, "."))
		l->operand = at;
	return true;
}

static bool emit_other(struct level *l)
{
	const struct token *t = &l->t[l->i];

	if (t->kind == TOKEN_STAGE)
		plan_unsupported(l->r->plan, "stage access");
	else if (token_is_op(t, "->") || token_is_op(t, "->>") || token_is_op(t, ":="))
		fail_at(l->r, t);
	buf_add(l->out, t->text, t->n);
	if (!token_is_op(t, "."))
		l->operand = NO_OPERAND;
	l->i++;
	return true;
}

static emit_f *const EMITTERS[] = {
    emit_select,          emit_table,         emit_minus,          emit_sample,      emit_pivot,     emit_time_travel,
    emit_match_condition, emit_like_any,      emit_rlike,          emit_path,        emit_subscript, emit_cast,
    emit_literal,         emit_array_literal, emit_object_literal, emit_parenthesis, emit_name,      emit_other,
};

void emit_range(struct rewriter *r, int from, int to, enum emit_place place, struct buf *out)
{
	struct level l = {.r = r,
			  .t = r->t,
			  .i = from,
			  .end = to < r->tokens.n ? to : r->tokens.n,
			  .out = out,
			  .operand = NO_OPERAND};

	l.in_from = l.wants_table = l.selects = place == EMIT_TABLES;
	if (++r->depth > REWRITER_DEPTH_MAX)
		plan_fail(r->plan, "000603", "XX000", "SQL compilation error:\nstatement is nested too deeply.");
	while (l.i < l.end && r->plan->kind != PLAN_ERROR) {
		const struct token *t = &r->t[l.i];

		if (t->spaced && out->n && out->data[out->n - 1] != ' ')
			buf_addc(out, ' ');
		track_clause(&l);
		for (size_t k = 0; k < ARRAY_LEN(EMITTERS); k++)
			if (EMITTERS[k](&l))
				break;
		if (buf_failed(out))
			plan_fail(r->plan, "000603", "XX000", "SQL compilation error:\nstatement is too large.");
	}
	leave_limit(&l);
	r->depth--;
}

char *emit_text(struct rewriter *r, int from, int to)
{
	struct buf out = buf_with_ceiling(PLAN_SQL_MAX);
	char *text;

	emit_range(r, from, to, EMIT_EXPRESSION, &out);
	text = xstrdup(buf_text(&out));
	buf_free(&out);
	return text;
}
