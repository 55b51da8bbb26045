/* FROM SEMANTIC_VIEW(view DIMENSIONS ... METRICS ... WHERE ...): the same question as an ordinary query. */
#include "engine_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "rewriter.h"
#include "values.h"

#define FIELDS    7
#define ITEMS_MAX 64
#define SQL_MAX   ((size_t)1 << 20)

enum field { KIND, TABLE, NAME, EXPRESSION, KEYS, OTHER, OTHER_KEYS };

struct row {
	char *text[FIELDS];
	bool reached, needed; /* a TABLE: joined to the root; used by the question */
	int via;              /* the relationship that reaches it; -1: the root */
};

struct question {
	struct run *run;
	struct rewriter r;
	struct token *t;
	struct plan_object view;
	struct row *rows;
	size_t rows_n;
	struct failure failure;
	const struct row *items[ITEMS_MAX];
	char names[ITEMS_MAX][PLAN_NAME_MAX];
	int items_n;
	int where, where_end;
};

static bool is(const struct row *row, enum field field, const char *text)
{
	return !strcmp(row->text[field], text);
}

static bool PRINTF_LIKE(4, 5) fail(struct question *q, const char *code, const char *sqlstate, const char *format, ...)
{
	va_list args;
	char message[1024];

	if (q->failure.code[0])
		return false;
	va_start(args, format);
	vsnprintf(message, sizeof message, format, args);
	va_end(args);
	set_failure(&q->failure, code, sqlstate, "%s", message);
	return false;
}

/* ---- the definition ---- */

static void take_row(struct question *q, duckdb_data_chunk chunk, idx_t i)
{
	struct row row = {.via = -1};
	duckdb_logical_type type = duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR);

	for (idx_t c = 0; c < FIELDS; c++) {
		row.text[c] = cell_text(duckdb_data_chunk_get_vector(chunk, c), type, i);
		if (!row.text[c])
			row.text[c] = xstrdup("");
	}
	duckdb_destroy_logical_type(&type);
	q->rows = xrealloc(q->rows, (q->rows_n + 1) * sizeof *q->rows);
	q->rows[q->rows_n++] = row;
}

static bool load_view(struct question *q)
{
	struct buf sql = buf_with_ceiling(SQL_MAX);
	duckdb_data_chunk chunk;
	duckdb_result result;

	buf_adds(
	    &sql,
	    "SELECT kind, tbl, name, expr, keys, ref_tbl, ref_keys FROM \"_SF\".main.\"_SF_SEMANTIC\" WHERE db = ");
	add_literal(&sql, q->view.database);
	buf_adds(&sql, " AND sc = ");
	add_literal(&sql, q->view.schema);
	buf_adds(&sql, " AND view_name = ");
	add_literal(&sql, q->view.name);
	buf_adds(&sql, " ORDER BY pos");
	if (duckdb_query(q->run->connection, buf_text(&sql), &result) == DUCKDB_SUCCESS) {
		while ((chunk = duckdb_fetch_chunk(result)) != NULL) {
			for (idx_t i = 0; i < duckdb_data_chunk_get_size(chunk); i++)
				take_row(q, chunk, i);
			duckdb_destroy_data_chunk(&chunk);
		}
	}
	duckdb_destroy_result(&result);
	buf_free(&sql);
	if (q->rows_n)
		return true;
	return fail(q, "002003", "42S02", "SQL compilation error:\nObject '%s' does not exist or not authorized.",
		    q->view.shown);
}

/* ---- the question ---- */

static const struct row *find_expression(const struct question *q, const char *table, const char *name)
{
	for (size_t i = 0; i < q->rows_n; i++) {
		const struct row *row = &q->rows[i];

		if (!is(row, KIND, "TABLE") && !is(row, KIND, "RELATIONSHIP") && is(row, NAME, name) &&
		    (!table[0] || is(row, TABLE, table)))
			return row;
	}
	return NULL;
}

static bool ask_for(struct question *q, const struct row *row, const char *name)
{
	if (q->items_n == ITEMS_MAX)
		return fail(q, "000002", "0A000", "Unsupported feature 'more than 64 columns of a semantic view'.");
	q->items[q->items_n] = row;
	snprintf(q->names[q->items_n++], PLAN_NAME_MAX, "%s", name);
	return true;
}

/* table.name [AS alias], name, table.* */
static bool take_item(struct question *q, const char *kind, int from, int to)
{
	char table[PLAN_NAME_MAX] = "", name[PLAN_NAME_MAX] = "", alias[PLAN_NAME_MAX];
	const struct row *row;
	int i = from;

	if (token_is_op(&q->t[from + 1], ".")) {
		token_name(&q->t[from], table, sizeof table);
		i += 2;
	}
	if (token_is_op(&q->t[i], "*")) {
		for (size_t k = 0; k < q->rows_n; k++)
			if (is(&q->rows[k], KIND, kind) && is(&q->rows[k], TABLE, table) &&
			    !ask_for(q, &q->rows[k], q->rows[k].text[NAME]))
				return false;
		return true;
	}
	token_name(&q->t[i], name, sizeof name);
	row = find_expression(q, table, name);
	if (!row || !is(row, KIND, kind))
		return fail(q, "000904", "42000", "SQL compilation error:\ninvalid identifier '%s%s%s'", table,
			    table[0] ? "." : "", name);
	snprintf(alias, sizeof alias, "%s", name);
	if (to - i > 1)
		token_name(&q->t[to - 1], alias, sizeof alias);
	return ask_for(q, row, alias);
}

static bool take_items(struct question *q, const char *kind, int from, int to)
{
	struct items *items = xalloc(sizeof *items);
	bool ok = true;

	split_items(&q->r, from, to, items);
	for (int k = 0; k < items->n && ok; k++)
		ok = take_item(q, kind, items->from[k], items->to[k]);
	free(items);
	return ok;
}

static bool take_clauses(struct question *q, int i, int end)
{
	static const struct {
		const char *word, *kind;
	} LISTS[] = {{"DIMENSIONS", "DIMENSION"}, {"METRICS", "METRIC"}, {"FACTS", "FACT"}};

	while (i < end) {
		size_t k = 0;
		int to = i + 1;

		while (to < end && !token_in(&q->t[to], "|DIMENSIONS|METRICS|FACTS|WHERE|"))
			to = q->t[to].mate > to ? q->t[to].mate + 1 : to + 1;
		while (k < ARRAY_LEN(LISTS) && !token_is(&q->t[i], LISTS[k].word))
			k++;
		if (k < ARRAY_LEN(LISTS)) {
			if (!take_items(q, LISTS[k].kind, i + 1, to))
				return false;
		} else if (token_is(&q->t[i], "WHERE")) {
			q->where = i + 1;
			q->where_end = to;
		} else {
			int line, column;

			token_position(&q->r.tokens, &q->t[i], &line, &column);
			return fail(q, "001003", "42000",
				    "SQL compilation error:\nsyntax error line %d at position %d unexpected '%.*s'.",
				    line, column, (int)(q->t[i].n < 20 ? q->t[i].n : 20), q->t[i].text);
		}
		i = to;
	}
	return q->items_n > 0 ||
	       fail(q, "001003", "42000", "SQL compilation error:\na semantic view needs dimensions, metrics or facts");
}

/* ---- joins ---- */

static struct row *find_table(struct question *q, const char *name)
{
	for (size_t i = 0; i < q->rows_n; i++)
		if (is(&q->rows[i], KIND, "TABLE") && is(&q->rows[i], NAME, name))
			return &q->rows[i];
	return NULL;
}

static void need(struct question *q, const char *table)
{
	struct row *row = find_table(q, table);

	if (row)
		row->needed = true;
}

/* Walks from many to one. True when every needed table is reached. */
static bool reach_from(struct question *q, struct row *root)
{
	bool grown = true, all = true;

	for (size_t i = 0; i < q->rows_n; i++)
		q->rows[i].reached = false;
	root->reached = true;
	root->via = -1;
	while (grown) {
		grown = false;
		for (size_t i = 0; i < q->rows_n; i++) {
			struct row *from = find_table(q, q->rows[i].text[TABLE]),
				   *to = find_table(q, q->rows[i].text[OTHER]);

			if (!is(&q->rows[i], KIND, "RELATIONSHIP") || !from || !to || !from->reached || to->reached)
				continue;
			to->reached = grown = true;
			to->via = (int)i;
		}
	}
	for (size_t i = 0; i < q->rows_n; i++)
		all = all && (!q->rows[i].needed || q->rows[i].reached);
	return all;
}

static struct row *find_root(struct question *q)
{
	struct row *root = NULL;

	for (int k = 0; k < q->items_n; k++) {
		struct row *table = find_table(q, q->items[k]->text[TABLE]);

		need(q, q->items[k]->text[TABLE]);
		if (!is(q->items[k], KIND, "METRIC"))
			continue;
		if (root && root != table) {
			fail(q, "000002", "0A000",
			     "Unsupported feature 'metrics of several tables of a semantic view'.");
			return NULL;
		}
		root = table;
	}
	if (root && reach_from(q, root))
		return root;
	for (size_t i = 0; i < q->rows_n && !root; i++)
		if (q->rows[i].needed && reach_from(q, &q->rows[i]))
			return &q->rows[i];
	for (int k = 0; k < q->items_n && root; k++) {
		const struct row *table = find_table(q, q->items[k]->text[TABLE]);

		if (table && !table->reached)
			fail(q, "010234", "42601",
			     "SQL compilation error:\nInvalid dimension specified: The dimension entity '%s' must be "
			     "related "
			     "to and have an equal or lower level of granularity compared to the base metric or "
			     "dimension "
			     "entity '%s'.",
			     table->text[NAME], root->text[NAME]);
	}
	fail(q, "010234", "42601", "SQL compilation error:\nInvalid dimension specified: the tables are not related.");
	return NULL;
}

/* The tables between a needed one and the root are needed too. */
static void need_paths(struct question *q)
{
	for (size_t round = 0; round < q->rows_n; round++)
		for (size_t i = 0; i < q->rows_n; i++)
			if (q->rows[i].needed && q->rows[i].via >= 0)
				need(q, q->rows[q->rows[i].via].text[TABLE]);
}

/* Key k of ["A","B"] as a quoted identifier; false past the last one. */
static bool key_at(const char *keys, int k, char *out, size_t size)
{
	const char *at = strchr(keys, '"');

	for (; at && k; k--)
		at = (at = strchr(at + 1, '"')) ? strchr(at + 1, '"') : NULL;
	if (!at || !strchr(at + 1, '"'))
		return false;
	snprintf(out, size, "%.*s", (int)(strchr(at + 1, '"') - at + 1), at);
	return true;
}

static void add_table(struct question *q, const struct row *table, struct buf *out)
{
	const struct row *via = table->via >= 0 ? &q->rows[table->via] : NULL;
	char a[PLAN_NAME_MAX], b[PLAN_NAME_MAX];

	buf_addf(out, "%s%s AS ", via ? " LEFT JOIN " : "", table->text[EXPRESSION]);
	add_quoted(out, table->text[NAME]);
	for (int k = 0; via && key_at(via->text[KEYS], k, a, sizeof a) && key_at(via->text[OTHER_KEYS], k, b, sizeof b);
	     k++) {
		buf_adds(out, k ? " AND " : " ON ");
		add_quoted(out, via->text[TABLE]);
		buf_addf(out, ".%s = ", a);
		add_quoted(out, via->text[OTHER]);
		buf_addf(out, ".%s", b);
	}
}

static void add_joins(struct question *q, struct row *root, struct buf *out)
{
	bool grown = true;

	need_paths(q);
	add_table(q, root, out);
	for (size_t i = 0; i < q->rows_n; i++)
		q->rows[i].reached = &q->rows[i] == root;
	while (grown) {
		grown = false;
		for (size_t i = 0; i < q->rows_n; i++) {
			struct row *table = &q->rows[i], *from;

			if (!table->needed || table->reached || table->via < 0)
				continue;
			from = find_table(q, q->rows[table->via].text[TABLE]);
			if (!from || !from->reached)
				continue;
			add_table(q, table, out);
			table->reached = grown = true;
		}
	}
}

/* ---- the query ---- */

/* WHERE, with names of dimensions and facts replaced; the second walk writes. */
static void walk_where(struct question *q, struct buf *out)
{
	for (int i = q->where; i < q->where_end; i++) {
		bool qualified = token_is_op(&q->t[i + 1], ".") && token_is_name(&q->t[i + 2]);
		char table[PLAN_NAME_MAX] = "", name[PLAN_NAME_MAX];
		const struct row *row = NULL;

		if (token_is_name(&q->t[i]) && !is_keyword(&q->t[i]) && !token_is_op(&q->t[i + 1], "(")) {
			token_name(&q->t[i], qualified ? table : name, PLAN_NAME_MAX);
			if (qualified)
				token_name(&q->t[i + 2], name, sizeof name);
			row = find_expression(q, table, name);
		}
		if (out && (q->t[i].spaced || i == q->where))
			buf_addc(out, ' ');
		if (row && !out)
			need(q, row->text[TABLE]);
		else if (row)
			buf_addf(out, "(%s)", row->text[EXPRESSION]);
		else if (out)
			buf_add(out, q->t[i].text, q->t[i].n);
		i += row && qualified ? 2 : 0;
	}
}

static void add_query(struct question *q, struct row *root, struct buf *out)
{
	bool metrics = false, facts = false, first = true;

	for (int k = 0; k < q->items_n; k++) {
		metrics = metrics || is(q->items[k], KIND, "METRIC");
		facts = facts || is(q->items[k], KIND, "FACT");
	}
	buf_adds(out, metrics || facts ? "(SELECT " : "(SELECT DISTINCT ");
	for (int k = 0; k < q->items_n; k++) {
		buf_addf(out, "%s%s AS ", k ? ", " : "", q->items[k]->text[EXPRESSION]);
		add_quoted(out, q->names[k]);
	}
	buf_adds(out, " FROM ");
	add_joins(q, root, out);
	if (q->where) {
		buf_adds(out, " WHERE");
		walk_where(q, out);
	}
	for (int k = 0; k < q->items_n && metrics; k++) {
		if (is(q->items[k], KIND, "METRIC"))
			continue;
		buf_addf(out, "%s%d", first ? " GROUP BY " : ", ", k + 1);
		first = false;
	}
	buf_adds(out, ")");
}

static bool answer_question(struct question *q, int open, struct buf *out)
{
	struct row *root = NULL;
	struct name name;

	parse_name(&q->r, open + 1, &name);
	if (!resolve_object(&q->r, &name, PLAN_TABLE, &q->view)) {
		q->failure = q->r.plan->failure;
		return false;
	}
	if (load_view(q) && take_clauses(q, name.next, q->t[open].mate)) {
		walk_where(q, NULL);
		root = find_root(q);
	}
	if (root)
		add_query(q, root, out);
	for (size_t i = 0; i < q->rows_n; i++)
		for (int k = 0; k < FIELDS; k++)
			free(q->rows[i].text[k]);
	free(q->rows);
	return root != NULL;
}

char *expand_semantic_views(struct run *run, const char *text, bool *ok)
{
	struct rewriter r = {.context = &run->context, .plan = run->plan};
	struct buf out = buf_with_ceiling(SQL_MAX);
	const char *kept = text;
	char *expanded = NULL;

	*ok = true;
	if (!strcasestr(text, "SEMANTIC_VIEW"))
		return NULL;
	lex_sql(text, strlen(text), &r.tokens);
	r.t = r.tokens.items;
	for (int i = 0; i < r.tokens.n && *ok && !r.tokens.fault; i++) {
		struct question *q;

		if (!token_is(&r.t[i], "SEMANTIC_VIEW") || !token_is_op(&r.t[i + 1], "("))
			continue;
		q = xalloc(sizeof *q);
		q->run = run;
		q->r = r;
		q->t = r.t;
		buf_add(&out, kept, (size_t)(r.t[i].text - kept));
		*ok = answer_question(q, i + 1, &out);
		if (!*ok)
			answer_failure(run, &q->failure);
		free(q);
		i = r.t[i + 1].mate;
		kept = r.t[i].text + r.t[i].n;
	}
	if (*ok && kept != text) {
		buf_adds(&out, kept);
		expanded = xstrdup(buf_text(&out));
	}
	buf_free(&out);
	lex_free(&r.tokens);
	return expanded;
}
