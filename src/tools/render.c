/* Rows as an answer: one CSV block with a first line for the reader, or the JSON contract; what was cut is always said.
 */
#include "tools_internal.h"

#include <string.h>

/* What the reader must know beside the rows. */
struct shown {
	const struct statement *s;
	struct rows_writer w;
	const char *handle;
	size_t next;     /* first row not shown; 0: nothing is left */
	const char *cut; /* "limit", "bytes"; NULL: not cut */
	int64_t elapsed_ms;
};

static void shown_context(struct buf *b, const struct context *x)
{
	if (x->role || x->warehouse)
		buf_addf(b, "; %s@%s", x->role ? x->role : "default", x->warehouse ? x->warehouse : "default");
	if (x->database)
		buf_addf(b, " %s%s%s", x->database, x->schema ? "." : "", x->schema ? x->schema : "");
}

static bool row_write(struct call *c, struct shown *v, struct cell *cells, size_t row)
{
	for (size_t i = 0; i < v->s->columns_n; i++)
		cells[i] = cells_at(v->s->cells, row, i);
	return rows_add(&v->w, cells, v->s->columns_n) && row + 1 < c->offset + c->budget.rows;
}

/* Rows of our own are written now; those of the client were when they were read. */
static void rows_walk(struct call *c, struct shown *v, struct buf *out)
{
	const struct statement *s = v->s;
	struct cell *cells = s->metadata ? arena_alloc(c->arena, (s->columns_n + 1) * sizeof *cells) : NULL;

	if (cells) {
		rows_begin(&v->w, c->format, s->columns, s->columns_n, c->budget, out);
		for (size_t row = c->offset; row < cells_rows(s->cells) && row_write(c, v, cells, row); row++)
			;
	} else {
		v->w = s->writer;
		buf_add(out, buf_text(&s->text), s->text.n);
	}
	v->next = c->offset + v->w.rows;
	if (v->next >= s->total_rows)
		v->next = 0;
	else
		v->cut = v->w.cut == CUT_BYTES || v->w.rows < c->budget.rows ? "size" : "limit";
}

/* A statement of our own is not the client's to read: its rows are shown cut to the policy, and paged by the tool. */
static const char *shown_handle(struct call *c, const struct statement *s)
{
	return s->metadata ? "" : statement_handle_text(c, s);
}

static void shown_init(struct call *c, struct shown *v, const struct statement *s)
{
	*v = (struct shown){.s = s, .handle = ""};
	v->elapsed_ms = call_elapsed_ms(c);
}

/* ---- csv ---- */

static void head_line(struct call *c, const struct shown *v)
{
	struct buf *b = &c->answer.text;

	if (c->offset || v->next)
		buf_addf(b, "%zu of %zu rows", v->w.rows, v->s->total_rows);
	else
		buf_addf(b, "%zu row%s", v->w.rows, v->w.rows == 1 ? "" : "s");
	if (c->offset)
		buf_addf(b, " from row %zu", c->offset);
	if (v->next && *v->handle)
		buf_addf(b, ", cut at %s; next: get_result(\"%s\", offset=%zu)", v->cut, v->handle, v->next);
	else if (v->next)
		buf_addf(b, ", cut at %s; next: the same call with offset=%zu", v->cut, v->next);
	if (v->w.cells_cut)
		buf_addf(b, "; %zu long value%s cut", v->w.cells_cut, v->w.cells_cut == 1 ? "" : "s");
	shown_context(b, &v->s->context);
	buf_addf(b, "; %lld.%lld s\n", (long long)(v->elapsed_ms / 1000), (long long)(v->elapsed_ms % 1000 / 100));
}

/* False where the rows do not fit. */
static bool answer_csv(struct call *c, const struct statement *s)
{
	struct buf rows = buf_with_ceiling(c->budget.bytes + (256 << 10));
	struct shown v;
	bool fits;

	shown_init(c, &v, s);
	rows_walk(c, &v, &rows);
	if (v.next) /* sealing costs a hash, and only then is it told */
		v.handle = shown_handle(c, s);
	head_line(c, &v);
	fits = !buf_failed(&rows) && buf_add(&c->answer.text, buf_text(&rows), rows.n);
	buf_free(&rows);
	return fits;
}

/* ---- json ---- */

static void context_write(struct buf *b, const struct context *x)
{
	json_t *context = context_json(x);

	json_write(b, context);
	json_decref(context);
}

static void text_member(struct buf *b, const char *name, const char *text)
{
	buf_addf(b, ",\"%s\":", name);
	json_write_string(b, text, strlen(text));
}

/* What JSON has no word for. */
static void nulled_write(struct buf *b, size_t n)
{
	if (n)
		buf_addf(b, ",\"note\":\"%zu value%s of NaN, infinity or undefined %s shown as null; csv shows %s\"", n,
			 n == 1 ? "" : "s", n == 1 ? "is" : "are", n == 1 ? "it" : "them");
}

static bool answer_json(struct call *c, const struct statement *s)
{
	struct buf *b = &c->answer.structured;
	struct shown v;

	shown_init(c, &v, s);
	v.handle = shown_handle(c, s);
	buf_adds(b, "{\"columns\":");
	columns_write(b, s->columns, s->columns_n);
	buf_adds(b, ",\"rows\":[");
	rows_walk(c, &v, b);
	buf_addf(b, "],\"rowCount\":%zu,\"totalRows\":%zu,\"truncated\":%s", v.w.rows, s->total_rows,
		 v.next ? "true" : "false");
	if (v.next)
		buf_addf(b, ",\"nextOffset\":%zu", v.next);
	nulled_write(b, v.w.nulled);
	text_member(b, "statementHandle", v.handle);
	text_member(b, "queryId", s->handle);
	buf_adds(b, ",\"status\":\"complete\",\"context\":");
	context_write(b, &s->context);
	return buf_addf(b, ",\"elapsedMs\":%lld}", (long long)v.elapsed_ms) &&
	       buf_add(&c->answer.text, buf_text(b), b->n);
}

/* ---- not at its end ---- */

static void answer_running(struct call *c, const struct statement *s)
{
	const char *handle = statement_handle_text(c, s);
	int64_t ms = call_elapsed_ms(c);
	struct buf *b = &c->answer.structured;

	if (c->format == ROWS_JSON) {
		buf_adds(b, "{\"status\":\"running\"");
		text_member(b, "statementHandle", handle);
		text_member(b, "queryId", s->handle);
		buf_adds(b, ",\"context\":");
		context_write(b, &s->context);
		buf_addf(b, ",\"elapsedMs\":%lld}", (long long)ms);
		buf_add(&c->answer.text, buf_text(b), b->n);
		return;
	}
	buf_addf(
	    &c->answer.text,
	    "running: the statement has not ended after %lld s. Wait for it with get_result(\"%s\"), or end it with "
	    "cancel_query(\"%s\").",
	    (long long)(ms / 1000), handle, handle);
}

static void meta_query_id(struct call *c, const struct statement *s)
{
	json_t *meta = json_pack("{s:s}", "snowgate/queryId", s->handle);

	if (*s->handle && arena_attach(c->arena, meta, json_release))
		c->answer.meta = meta;
	else if (!*s->handle)
		json_decref(meta);
}

void answer_rows(struct call *c)
{
	const struct statement *s = &c->plan[c->plan_n - 1];
	bool fits;

	if (c->answer.running || s->state == STATEMENT_RUNNING || s->state == STATEMENT_SENT) {
		answer_running(c, s);
		meta_query_id(c, s);
		return;
	}
	if (s->state != STATEMENT_SUCCEEDED) {
		tool_statement_error(c, s);
		return;
	}
	if (file_wanted(c))
		fits = answer_file(c, s);
	else
		fits = c->format == ROWS_JSON ? answer_json(c, s) : answer_csv(c, s);
	meta_query_id(c, s);
	if (!fits)
		tool_error(c, ERR_NOMEM, NULL, NULL, "the rows do not fit into one answer; ask for fewer with `limit`");
}
