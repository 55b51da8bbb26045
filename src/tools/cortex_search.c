/* cortex_search: passages by meaning, as rows. */
#include "sets.h"

#include <string.h>

#define COLUMNS_MAX 64
#define NAME        "Cortex Search"

/* ---- the plan ---- */

static json_t *columns_wanted(const struct call *c, const struct cortex_service *service)
{
	json_t *columns = json_object_get(c->arguments, "columns"), *own;

	if (json_array_size(columns))
		return json_incref(columns);
	own = json_array();
	for (size_t i = 0; i < service->columns.n; i++)
		json_array_append_new(own, json_string(service->columns.v[i]));
	return own;
}

static json_t *search_body(const struct call *c, const struct cortex_service *service)
{
	json_t *filter = json_object_get(c->arguments, "filter"), *columns = columns_wanted(c, service);
	json_t *body = json_pack("{s:s, s:I}", "query", json_text_of(c->arguments, "query"), "limit",
				 (json_int_t)argument_int(c->arguments, "limit", service->limit));

	if (!json_object_size(filter))
		filter = json_object_get(c->arguments, "filter_query");
	if (json_array_size(columns))
		json_object_set(body, "columns", columns);
	if (json_object_size(filter))
		json_object_set(body, "filter", filter);
	json_decref(columns);
	return body;
}

int plan_cortex_search(struct call *c)
{
	const struct cortex_service *service;
	struct context x;
	int rc;

	arguments_window(c, (size_t)c->request->conf->results_default_rows);
	rc = arguments_context(c, &x);
	if (rc != ERR_OK)
		return rc;
	if (!(service = cortex_service(c, CORTEX_SEARCH)))
		return ERR_POLICY;
	return cortex_request(c, &x, cortex_path(c, service, "cortex-search-services", "query"),
			      cortex_body(c, search_body(c, service)))
		   ? ERR_OK
		   : ERR_NOMEM;
}

/* ---- the answer ---- */

struct table {
	struct column columns[COLUMNS_MAX];
	size_t n;
};

static size_t column_find(const struct table *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->columns[i].name, name) == 0)
			return i;
	return t->n;
}

/* The members of all results in the order they come; scores and what else begins with @ is not told. A column is text
 * where one of its values is. */
static void columns_find(struct table *t, const json_t *results)
{
	for (size_t i = 0; i < json_array_size(results); i++) {
		const char *name;
		json_t *value;

		json_object_foreach(json_array_get(results, i), name, value)
		{
			size_t at = column_find(t, name);

			if (*name == '@' || (at == t->n && t->n == COLUMNS_MAX))
				continue;
			if (at == t->n)
				t->columns[t->n++] = (struct column){
				    .name = name, .type = "VARIANT", .kind = COLUMN_SEMI, .nullable = true, -1, -1};
			if (json_is_string(value)) {
				t->columns[at].type = "TEXT";
				t->columns[at].kind = COLUMN_TEXT;
			}
		}
	}
}

static bool row_write(struct rows_writer *w, const struct table *t, const json_t *result)
{
	struct cell row[COLUMNS_MAX];
	struct buf texts[COLUMNS_MAX];
	bool added;

	for (size_t i = 0; i < t->n; i++) {
		texts[i] = buf_with_ceiling(CORTEX_CELL_MAX);
		row[i] = cortex_cell(json_object_get(result, t->columns[i].name), &texts[i]);
	}
	added = rows_add(w, row, t->n);
	for (size_t i = 0; i < t->n; i++)
		buf_free(&texts[i]);
	return added;
}

static void results_told(struct call *c, const struct table *t, const json_t *results)
{
	size_t n = json_array_size(results);
	struct buf rows = buf_with_ceiling(c->budget.bytes + ((size_t)256 << 10)), *b = &c->answer.text;
	struct rows_budget budget = {n, c->budget.bytes, c->budget.cell};
	struct rows_writer w;

	rows_begin(&w, c->format, t->columns, t->n, budget, &rows);
	for (size_t i = 0; i < n && row_write(&w, t, json_array_get(results, i)); i++)
		;
	if (c->format == ROWS_JSON) {
		b = &c->answer.structured;
		buf_adds(b, "{\"columns\":");
		columns_write(b, t->columns, t->n);
		buf_addf(b, ",\"rows\":[%s],\"rowCount\":%zu,\"totalRows\":%zu,\"truncated\":%s}", buf_text(&rows),
			 w.rows, n, w.rows < n ? "true" : "false");
		buf_add(&c->answer.text, buf_text(b), b->n);
	} else {
		buf_addf(b, "%zu result%s%s%s\n%s", n, n == 1 ? "" : "s",
			 w.rows < n ? ", cut at size; ask for fewer columns" : "",
			 w.cells_cut ? "; long values cut" : "", buf_text(&rows));
	}
	if (buf_failed(&rows) || buf_failed(b) || buf_failed(&c->answer.text))
		tool_error(c, ERR_NOMEM, NULL, NULL,
			   "the results do not fit into one answer; ask for fewer with `limit`");
	buf_free(&rows);
}

void answer_cortex_search(struct call *c)
{
	json_t **root = cortex_answer(c, &c->plan[0], NAME);
	const json_t *results = root ? json_object_get(*root, "results") : NULL;
	struct table t = {.n = 0};

	if (!root)
		return;
	if (json_array_size(results) == 0) {
		buf_adds(&c->answer.text, "0 results. Try other words, or a filter that is less narrow.");
	} else {
		columns_find(&t, results);
		results_told(c, &t, results);
	}
	cortex_forget(root);
}
