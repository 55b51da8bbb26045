/* search_catalog: tables, views and columns by name and comment, out of the index, which it reads on as it goes. */
#include "index_fill.h"

#include <string.h>

#define LIMIT_DEFAULT 20
#define OFFSET_MAX    1000 /* as its schema has it */

/* c->tool_state */
struct searching {
	struct context context;
	const char *database; /* NULL: all */
	struct fill *fill;    /* NULL: nothing to be read */
	struct search search;
	struct index_state state;
	struct found *page; /* what is shown of search.found */
	size_t page_n, next;
	usec_t now;
};

static unsigned kinds_of(const char *kind)
{
	if (!kind)
		return ITEM_OBJECTS | ITEM_BIT(ITEM_COLUMN);
	return strcmp(kind, "table") == 0  ? ITEM_BIT(ITEM_TABLE)
	       : strcmp(kind, "view") == 0 ? ITEM_BIT(ITEM_VIEW)
					   : ITEM_BIT(ITEM_COLUMN);
}

/* Whose names would it be? The same advice as a statement gets (token.c). */
static int refuse_index(struct call *c)
{
	const struct principal *who = &c->request->principal;
	struct buf login = buf_with_ceiling(4096);
	bool has_login = connection_login(c->request->policy->connection, who, &login);

	buf_free(&login);
	if (has_login)
		return refuse_memory(c);
	if (who->kind == PRINCIPAL_TOKEN)
		tool_error(c, ERR_UPSTREAM_AUTH, NULL, NULL,
			   "%.60s comes with a token of the issuer %.60s, and users and user name API keys only; give "
			   "such principals a connection that has one user for all",
			   who->subject, who->issuer);
	else
		tool_error(c, ERR_UPSTREAM_AUTH, NULL, NULL,
			   "%.100s has no Snowflake user there; name one under users, or give the template user",
			   who->subject);
	return ERR_UPSTREAM_AUTH;
}

int plan_search_catalog(struct call *c)
{
	struct searching *g = arena_alloc(c->arena, sizeof *g);
	struct index *x;
	int rc = g ? arguments_context(c, &g->context) : refuse_memory(c);

	if (rc != ERR_OK)
		return rc;
	if (c->request->body.n > CALL_LARGE) { /* as any tool's, planned on a WORKER, where the index is not */
		tool_error(c, ERR_INVALID_PARAMS, NULL, NULL, "a search is a request of at most 64 KiB");
		return ERR_INVALID_PARAMS;
	}
	arguments_window(c, LIMIT_DEFAULT);
	rc = argument_ident(c, "database", &g->database);
	if (rc != ERR_OK)
		return rc;
	c->tool_state = g;
	x = catalogue_of(c, &g->context, true);
	if (!x)
		return refuse_index(c);
	g->fill = fill_plan(c, x, &g->context, g->context.database, g->database != NULL, INDEX_BATCH);
	return ERR_OK;
}

void answer_search_catalog(struct call *c)
{
	struct searching *g = c->tool_state;

	fill_digest(c, g->fill);
}

/* ---- rows ---- */

static const struct column shown_columns[] = {
    {.name = "kind", .type = "TEXT", .kind = COLUMN_TEXT, .precision = -1, .scale = -1},
    {.name = "name", .type = "TEXT", .kind = COLUMN_TEXT, .precision = -1, .scale = -1},
    {.name = "type", .type = "TEXT", .kind = COLUMN_TEXT, .nullable = true, .precision = -1, .scale = -1},
    {.name = "comment", .type = "TEXT", .kind = COLUMN_TEXT, .nullable = true, .precision = -1, .scale = -1},
};

static void name_write(struct buf *b, const char *database, const struct item *item)
{
	const char *const parts[] = {database, item->schema, item->object, item->name};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (!parts[i] || !*parts[i])
			continue;
		if (b->n)
			buf_addc(b, '.');
		plain_ident(b, parts[i]);
	}
}

static struct cell cell_of(const char *text)
{
	size_t n = text ? strlen(text) : 0;

	return n ? (struct cell){text, n, n} : (struct cell){0};
}

static bool row_write(struct rows_writer *w, const struct found *f)
{
	static const char *const kinds[] = {"database", "warehouse", "schema", "table", "view", "column"};
	struct item item = shelf_at(f->shelf, f->item);
	struct buf name = buf_with_ceiling(16384);
	bool fits;

	name_write(&name, f->database, &item);
	fits = rows_add(w,
			(struct cell[]){cell_of(kinds[item.kind]), cell_of(buf_text(&name)), cell_of(item.type),
					cell_of(item.comment)},
			ARRAY_LEN(shown_columns));
	buf_free(&name);
	return fits;
}

static size_t rows_write(struct call *c, struct searching *g, enum rows_format format, struct buf *out)
{
	struct rows_writer w;

	rows_begin(&w, format, shown_columns, ARRAY_LEN(shown_columns), c->budget, out);
	for (size_t i = 0; i < g->page_n && row_write(&w, &g->page[i]); i++)
		;
	g->next = c->offset + w.rows;
	if (g->next >= g->search.total || g->next > OFFSET_MAX || !w.rows)
		g->next = 0;
	return w.rows;
}

/* ---- what the index is ---- */

static void plural(struct buf *b, size_t n, const char *one, const char *many)
{
	buf_addf(b, "%zu %s", n, n == 1 ? one : many);
}

static void others(struct buf *b, const char *first, size_t n)
{
	buf_adds(b, first);
	if (n > 1)
		buf_addf(b, " and %zu more", n - 1);
}

static void age_write(struct buf *b, const struct searching *g)
{
	usec_t age = (g->now - g->state.oldest) / USEC_PER_S;

	if (!g->state.oldest)
		buf_adds(b, "nothing read yet");
	else if (age < 120)
		buf_addf(b, "read %lld s ago", (long long)age);
	else
		buf_addf(b, "read %lld min ago", (long long)(age / 60));
}

static void index_write(struct buf *b, const struct searching *g)
{
	const struct index_state *s = &g->state;

	buf_adds(b, "; index: ");
	plural(b, s->databases, "database, ", "databases, ");
	plural(b, s->objects, "table or view, ", "tables and views, ");
	plural(b, s->columns, "column, ", "columns, ");
	age_write(b, g);
	if (s->databases_unread)
		buf_adds(b, "; not read yet: the list of databases");
	if (s->unread)
		others((buf_adds(b, "; not read to the end: "), b), s->an_unread, s->unread);
	if (s->unread || s->databases_unread)
		buf_adds(b, s->busy ? " (another call is reading)" : " (the same search again reads on)");
	if (s->refused)
		others((buf_addf(b, "; refused by Snowflake (%s): ", s->refusal), b), s->a_refused, s->refused);
	if (s->cut)
		others((buf_adds(b, "; larger than what is kept: "), b), s->a_cut, s->cut);
	if (g->search.stopped)
		buf_adds(b, "; not all of it was searched: name a database or a kind, or use fewer words");
}

static json_t *index_json(const struct searching *g)
{
	const struct index_state *s = &g->state;
	bool complete = !s->unread && !s->databases_unread && !s->refused && !s->cut && !g->search.stopped;
	struct buf text = buf_with_ceiling(4096);
	json_t *out;

	index_write(&text, g);
	out = json_pack("{s:b, s:I, s:I, s:I, s:s}", "complete", complete, "databases", (json_int_t)s->databases,
			"objects", (json_int_t)s->objects, "columns", (json_int_t)s->columns, "note",
			text.n > 9 ? buf_text(&text) + 9 : "");
	if (s->oldest)
		json_object_set_new(out, "ageSeconds", json_integer((g->now - s->oldest) / USEC_PER_S));
	buf_free(&text);
	return out;
}

/* ---- the answer ---- */

static void head_write(struct call *c, const struct searching *g, size_t rows)
{
	int64_t ms = call_elapsed_ms(c);
	struct buf *b = &c->answer.text;

	if (c->offset || g->next)
		buf_addf(b, "%zu of %zu matches", rows, g->search.total);
	else
		plural(b, rows, "match", "matches");
	if (c->offset)
		buf_addf(b, " from match %zu", c->offset);
	if (g->search.some && g->search.words_n > 1 && g->search.total)
		buf_adds(b, ", none with all of the words");
	if (g->next)
		buf_addf(b, "; next: the same call with offset=%zu", g->next);
	index_write(b, g);
	if (g->context.role) {
		buf_adds(b, "; role ");
		plain_ident(b, g->context.role);
	}
	buf_addf(b, "; %lld.%lld s\n", (long long)(ms / 1000), (long long)(ms % 1000 / 100));
}

static bool answer_csv(struct call *c, struct searching *g)
{
	struct buf rows = buf_with_ceiling(c->budget.bytes + (64 << 10));
	bool fits;

	head_write(c, g, rows_write(c, g, ROWS_CSV, &rows));
	fits = !buf_failed(&rows) && buf_add(&c->answer.text, buf_text(&rows), rows.n);
	buf_free(&rows);
	return fits;
}

static void member_write(struct buf *b, const char *name, json_t *value)
{
	buf_addf(b, ",\"%s\":", name);
	json_write(b, value);
	json_decref(value);
}

static bool answer_json(struct call *c, struct searching *g)
{
	struct buf *b = &c->answer.structured;
	size_t rows;

	buf_adds(b, "{\"columns\":");
	columns_write(b, shown_columns, ARRAY_LEN(shown_columns));
	buf_adds(b, ",\"rows\":[");
	rows = rows_write(c, g, ROWS_JSON, b);
	buf_addf(b, "],\"rowCount\":%zu,\"totalRows\":%zu,\"truncated\":%s", rows, g->search.total,
		 g->next ? "true" : "false");
	if (g->next)
		buf_addf(b, ",\"nextOffset\":%zu", g->next);
	buf_addf(b, ",\"allWords\":%s,\"statementHandle\":\"\",\"queryId\":\"\",\"status\":\"complete\"",
		 g->search.some ? "false" : "true");
	member_write(b, "index", index_json(g));
	member_write(b, "context", context_json(&g->context));
	return buf_addf(b, ",\"elapsedMs\":%lld}", (long long)call_elapsed_ms(c)) &&
	       buf_add(&c->answer.text, buf_text(b), b->n);
}

/* One answer's worth of the best. */
static bool search_run(struct call *c, struct searching *g, const struct index *x)
{
	struct search *s = &g->search;
	size_t end;

	*s = (struct search){.words = json_text_of(c->arguments, "words"),
			     .kinds = kinds_of(json_text_of(c->arguments, "kind")),
			     .database = g->database,
			     .best = c->offset + c->budget.rows};
	if (s->best > SEARCH_BEST_MAX)
		s->best = SEARCH_BEST_MAX;
	s->found = arena_alloc(c->arena, s->best * sizeof *s->found);
	if (!s->found)
		return false;
	g->now = clock_now();
	index_search(x, s);
	index_tell(x, g->database, g->now, &g->state);
	end = s->found_n > c->offset ? s->found_n : c->offset;
	g->page = s->found + c->offset;
	g->page_n = end - c->offset;
	return true;
}

void settle_search_catalog(struct call *c)
{
	struct searching *g = c->tool_state;
	const struct statement *failed;
	struct index *x;

	if (!g)
		return;
	failed = fill_settle(c, g->fill);
	if (c->answer.is_error || c->fault.err != ERR_OK)
		return;
	x = catalogue_of(c, &g->context, true); /* it may have been forgotten meanwhile */
	if (x)
		index_tell(x, g->database, clock_now(), &g->state);
	if (failed && !g->state.objects && !g->state.columns) {
		tool_statement_error(c, failed);
		return;
	}
	if (!x || !search_run(c, g, x) || !(c->format == ROWS_JSON ? answer_json(c, g) : answer_csv(c, g)))
		tool_error(c, ERR_NOMEM, NULL, NULL,
			   "the matches do not fit into one answer; ask for fewer with `limit`");
}
