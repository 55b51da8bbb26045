/* EXPLAIN: a plan in Snowflake's shape, made of the statement's clauses and the sizes of the tables that it reads. */
#include "engine_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "rewriter.h"

#define OPERATIONS_MAX     256
#define ROWS_PER_PARTITION 8192
#define BYTES_PER_ROW      64 /* as SHOW TABLES counts them */
#define EXPRESSION_MAX     200

struct operation {
	const char *name;
	int parent; /* -1: the result */
	const struct plan_object *object;
	int from, to; /* tokens of its expressions; equal where it has none */
	int64_t partitions, bytes;
};

struct explanation {
	struct run *run;
	struct tokens tokens;
	struct operation operations[OPERATIONS_MAX];
	int n;
	int64_t partitions, bytes;
};

static struct operation *add_operation(struct explanation *e, const char *name, int from, int to)
{
	struct operation *o = &e->operations[e->n < OPERATIONS_MAX - 1 ? e->n++ : e->n];

	*o = (struct operation){.name = name, .parent = e->n - 2, .from = from, .to = to};
	return o;
}

/* ---- clauses ---- */

static int next_of(const struct explanation *e, int i)
{
	return e->tokens.items[i].mate > i ? e->tokens.items[i].mate + 1 : i + 1;
}

/* The first token of `words` from `i` on, outside of brackets; the end where there is none. */
static int find_word(const struct explanation *e, int i, const char *words)
{
	while (i < e->tokens.n && !token_in(&e->tokens.items[i], words))
		i = next_of(e, i);
	return i < e->tokens.n ? i : e->tokens.n;
}

static const char CLAUSES[] = "|FROM|WHERE|GROUP|ORDER|HAVING|QUALIFY|LIMIT|UNION|EXCEPT|INTERSECT|MINUS|";

static void add_clause(struct explanation *e, int select, const char *word, const char *name, int skip)
{
	char words[32];
	int at;

	snprintf(words, sizeof words, "|%s|", word);
	at = find_word(e, select, words);
	if (at < e->tokens.n)
		add_operation(e, name, at + skip, find_word(e, at + 1, CLAUSES));
}

static bool has_aggregate(const struct explanation *e, int from, int to)
{
	for (int i = from; i < to; i++)
		if (token_in(&e->tokens.items[i], "|COUNT|SUM|AVG|MIN|MAX|LISTAGG|ARRAY_AGG|MEDIAN|") &&
		    token_is_op(&e->tokens.items[i + 1], "("))
			return true;
	return false;
}

static void add_select(struct explanation *e, int select)
{
	int from = select + 1 + token_in(&e->tokens.items[select + 1], "|DISTINCT|ALL|");
	int to = find_word(e, from, CLAUSES), group = find_word(e, to, "|GROUP|");

	add_operation(e, "Result", from, to);
	if (find_word(e, select, "|ORDER|") < e->tokens.n && find_word(e, select, "|LIMIT|") < e->tokens.n) {
		add_clause(e, select, "ORDER", "SortWithLimit", 2);
	} else {
		add_clause(e, select, "ORDER", "Sort", 2);
		add_clause(e, select, "LIMIT", "Limit", 1);
	}
	add_clause(e, select, "QUALIFY", "Filter", 1);
	add_clause(e, select, "HAVING", "Filter", 1);
	if (group < e->tokens.n)
		add_operation(e, "Aggregate", group + 2, find_word(e, group + 1, CLAUSES));
	else if (has_aggregate(e, from, to) || from > select + 1)
		add_operation(e, "Aggregate", from, to);
	add_clause(e, select, "WHERE", "Filter", 1);
}

/* ---- tables ---- */

static void measure(struct explanation *e, struct operation *o)
{
	static const char SQL[] = "SELECT COALESCE(max(estimated_size), 0)::BIGINT FROM duckdb_tables() WHERE "
				  "database_name = ? AND schema_name = ? AND table_name = ?";
	const char *names[3] = {o->object->database, o->object->schema, o->object->name};
	int64_t rows = 0;

	ask(e->run->connection, SQL, names, 3, &rows);
	o->partitions = (rows + ROWS_PER_PARTITION - 1) / ROWS_PER_PARTITION;
	o->bytes = rows * BYTES_PER_ROW;
	e->partitions += o->partitions;
	e->bytes += o->bytes;
}

static const char *join_name(const struct token *join)
{
	const struct token *kind = token_is(join - 1, "OUTER") ? join - 2 : join - 1;

	return token_is(kind, "LEFT")    ? "LeftOuterJoin"
	       : token_is(kind, "RIGHT") ? "RightOuterJoin"
	       : token_is(kind, "FULL")  ? "FullOuterJoin"
	       : token_is(kind, "CROSS") ? "CartesianJoin"
					 : "InnerJoin";
}

/* A join above all but the last table; each scan below the join that takes it in. */
static void add_scans(struct explanation *e, size_t first)
{
	const struct plan *plan = e->run->plan;
	int join = -1, above = e->n - 1, tables = 0, scans = 0;

	for (size_t i = first; i < plan->objects_n; i++)
		tables += plan->objects[i].name[0] != '\0';
	for (size_t i = first; i < plan->objects_n; i++) {
		struct operation *o;

		if (!plan->objects[i].name[0] || plan->objects[i].kind == PLAN_SEQUENCE)
			continue;
		if (scans < tables - 1) {
			join = find_word(e, join + 1, "|JOIN|");
			o = add_operation(e, join < e->tokens.n ? join_name(&e->tokens.items[join]) : "InnerJoin", 0,
					  0);
			o->parent = above;
			above = e->n - 1;
		}
		o = add_operation(e, "TableScan", 0, 0);
		o->object = &plan->objects[i];
		o->parent = above;
		scans++;
		measure(e, o);
	}
}

static void explain(struct explanation *e)
{
	static const struct {
		const char *word, *name;
	} WRITES[] = {{"INSERT", "Insert"}, {"UPDATE", "Update"}, {"DELETE", "Delete"}, {"MERGE", "Merge"}};
	int at = find_word(e, 1, "|SELECT|WITH|INSERT|UPDATE|DELETE|MERGE|"), select;

	for (size_t k = 0; k < ARRAY_LEN(WRITES); k++) {
		if (!token_is(&e->tokens.items[at], WRITES[k].word))
			continue;
		add_operation(e, WRITES[k].name, at, at);
		add_clause(e, at, "WHERE", "Filter", 1);
		add_scans(e, k == 0); /* INSERT does not read its target */
		return;
	}
	select = find_word(e, at, "|SELECT|");
	if (select < e->tokens.n)
		add_select(e, select);
	else
		add_operation(e, "Result", at, at);
	add_scans(e, 0);
}

/* ---- forms ---- */

/* The items of an operation's expressions, parted by `between`, each in quotes for JSON. */
static void add_expressions(struct explanation *e, const struct operation *o, const char *between, bool json,
			    struct buf *out)
{
	struct rewriter r = {.tokens = e->tokens, .t = e->tokens.items, .plan = e->run->plan};
	struct items *items = xalloc(sizeof *items);

	split_items(&r, o->from, o->to, items);
	for (int k = 0; k < items->n && items->to[k] > items->from[k]; k++) {
		const struct token *first = &r.t[items->from[k]], *last = &r.t[items->to[k] - 1];
		size_t n = (size_t)(last->text + last->n - first->text);

		buf_adds(out, k ? between : "");
		buf_adds(out, json ? "\"" : "");
		for (size_t i = 0; i < n && i < EXPRESSION_MAX; i++) {
			unsigned char c = (unsigned char)first->text[i];

			if (json && (c == '"' || c == '\\'))
				buf_addc(out, '\\');
			buf_addc(out, c < 32 ? ' ' : (char)c);
		}
		buf_adds(out, json ? "\"" : "");
	}
	free(items);
}

static void object_name(const struct operation *o, char *out, size_t size)
{
	snprintf(out, size, "%s.%s.%s", o->object->database, o->object->schema, o->object->name);
}

static void as_json(struct explanation *e, struct buf *out)
{
	char name[3 * PLAN_NAME_MAX + 4];

	buf_addf(out,
		 "{\"GlobalStats\":{\"partitionsTotal\":%" PRId64 ",\"partitionsAssigned\":%" PRId64
		 ",\"bytesAssigned\":%" PRId64 "},\"Operations\":[[",
		 e->partitions, e->partitions, e->bytes);
	for (int i = 0; i < e->n; i++) {
		const struct operation *o = &e->operations[i];

		buf_addf(out, "%s{\"id\":%d,\"operation\":\"%s\"", i ? "," : "", i, o->name);
		if (o->object) {
			object_name(o, name, sizeof name);
			buf_addf(out, ",\"objects\":[\"%s\"]", name);
		}
		if (o->to > o->from) {
			buf_adds(out, ",\"expressions\":[");
			add_expressions(e, o, ",", true, out);
			buf_adds(out, "]");
		}
		if (o->object)
			buf_addf(out,
				 ",\"partitionsAssigned\":%" PRId64 ",\"partitionsTotal\":%" PRId64
				 ",\"bytesAssigned\":%" PRId64,
				 o->partitions, o->partitions, o->bytes);
		if (o->parent >= 0)
			buf_addf(out, ",\"parentOperators\":[%d]", o->parent);
		buf_adds(out, "}");
	}
	buf_adds(out, "]]}");
}

static int depth_of(const struct explanation *e, int i)
{
	int depth = 0;

	for (; e->operations[i].parent >= 0 && depth < OPERATIONS_MAX; depth++)
		i = e->operations[i].parent;
	return depth;
}

static void as_text(struct explanation *e, struct buf *out)
{
	char name[3 * PLAN_NAME_MAX + 4];

	buf_addf(out,
		 "GlobalStats:\n\tbytesAssigned=%" PRId64 "\n\tpartitionsAssigned=%" PRId64
		 "\n\tpartitionsTotal=%" PRId64 "\nOperations:\n",
		 e->bytes, e->partitions, e->partitions);
	for (int i = 0; i < e->n; i++) {
		const struct operation *o = &e->operations[i];

		buf_addf(out, "1:%d     %*s->%s  ", i, 5 * depth_of(e, i), "", o->name);
		if (o->object) {
			object_name(o, name, sizeof name);
			buf_addf(out,
				 "%s  {partitionsTotal=%" PRId64 ", partitionsAssigned=%" PRId64
				 ", bytesAssigned=%" PRId64 "}",
				 name, o->partitions, o->partitions, o->bytes);
		}
		add_expressions(e, o, ", ", false, out);
		buf_addc(out, '\n');
	}
}

static char *number_text(int64_t value)
{
	char text[32];

	snprintf(text, sizeof text, "%" PRId64, value);
	return xstrdup(text);
}

static void as_rows(struct explanation *e)
{
	static const char *const NAMES[] = {
	    "step",  "id",          "parent",          "operation",          "objects",
	    "alias", "expressions", "partitionsTotal", "partitionsAssigned", "bytesAssigned"};
	struct engine_result *result = e->run->result;
	size_t capacity = 0;
	char **row;

	for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
		bool number = i < 3 || i > 6;

		answer_column(result, NAMES[i], number ? "fixed" : "text", number ? 38 : -1, number ? 0 : -1,
			      number ? -1 : 16777216);
	}
	row = answer_row(result, &capacity);
	row[3] = xstrdup("GlobalStats");
	row[7] = number_text(e->partitions);
	row[8] = number_text(e->partitions);
	row[9] = number_text(e->bytes);
	for (int i = 0; i < e->n; i++) {
		const struct operation *o = &e->operations[i];
		struct buf text = buf_with_ceiling(1 << 20);
		char name[3 * PLAN_NAME_MAX + 4];

		row = answer_row(result, &capacity);
		row[0] = number_text(1);
		row[1] = number_text(i);
		row[2] = o->parent >= 0 ? number_text(o->parent) : NULL;
		row[3] = xstrdup(o->name);
		add_expressions(e, o, ", ", false, &text);
		row[6] = text.n ? xstrdup(buf_text(&text)) : NULL;
		buf_free(&text);
		if (!o->object)
			continue;
		object_name(o, name, sizeof name);
		row[4] = xstrdup(name);
		row[7] = number_text(o->partitions);
		row[8] = number_text(o->partitions);
		row[9] = number_text(o->bytes);
	}
}

void answer_plan(struct run *run)
{
	struct explanation *e = xalloc(sizeof *e);
	const char *form = run->plan->message;
	struct buf out = buf_with_ceiling(4 << 20);
	size_t capacity = 0;

	e->run = run;
	lex_sql(run->statement->text, strlen(run->statement->text), &e->tokens);
	explain(e);
	if (strcasecmp(form, "TEXT") && strcasecmp(form, "JSON")) {
		as_rows(e);
	} else {
		if (!strcasecmp(form, "JSON"))
			as_json(e, &out);
		else
			as_text(e, &out);
		answer_column(run->result, "content", "text", -1, -1, 16777216);
		answer_row(run->result, &capacity)[0] = xstrdup(buf_text(&out));
	}
	buf_free(&out);
	lex_free(&e->tokens);
	free(e);
}
