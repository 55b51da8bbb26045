/* cortex_agent: an agent at Snowflake is asked; what it does is told as it happens, what it says and shows at its end.
 */
#include "sets.h"

#include <string.h>

#define NAME      "Cortex Agent"
#define PARTS_MAX 32
#define TEXT_MAX  ((size_t)256 << 10) /* of one part */
#define DATA_MAX  ((size_t)4 << 20)   /* of the tables' rows as they came, all together */

/* What the agent said or showed, by its place in the answer. */
struct part {
	int64_t index;
	struct buf text;
	json_t *result_set; /* of a table; NULL: it is a text */
	char title[120];
};
/* c->tool_state; owner: the call, whose arena ends it. */
struct agent {
	size_t parts_n;
	struct part parts[PARTS_MAX];
	size_t data_n;
	bool cut; /* there was more than is kept */
	struct buf warnings;
	bool failed;
	char code[64];
	struct buf message; /* of the error */
};

static void agent_drop(void *agent)
{
	struct agent *g = agent;

	for (size_t i = 0; i < g->parts_n; i++) {
		buf_free(&g->parts[i].text);
		json_decref(g->parts[i].result_set);
	}
	buf_free(&g->warnings);
	buf_free(&g->message);
}

/* ---- events ---- */

/* The part of this place, made where it is new; NULL where there are too many. */
static struct part *part_at(struct agent *g, int64_t index)
{
	for (size_t i = 0; i < g->parts_n; i++)
		if (g->parts[i].index == index)
			return &g->parts[i];
	if (g->parts_n == PARTS_MAX) {
		g->cut = true;
		return NULL;
	}
	g->parts[g->parts_n] = (struct part){.index = index, .text = buf_with_ceiling(TEXT_MAX)};
	return &g->parts[g->parts_n++];
}

static void text_add(struct agent *g, const json_t *data, bool whole)
{
	const char *text = json_text_of(data, "text");
	struct part *p = text ? part_at(g, json_int_of(data, "content_index", 0)) : NULL;
	size_t n = text ? strlen(text) : 0;

	if (!p || p->result_set)
		return;
	if (whole)
		buf_clear(&p->text);
	if (p->text.n + n > TEXT_MAX) {
		g->cut = true;
		return;
	}
	buf_add(&p->text, text, n);
}

/* At most n - 1 bytes, ended between characters; control characters become blanks. */
static void text_copy(char *out, size_t n, const char *text)
{
	size_t length = strnlen(text ? text : "", n);

	if (length == n)
		for (length = n - 1; length && ((unsigned char)text[length] & 0xC0) == 0x80; length--)
			;
	for (size_t i = 0; i < length; i++)
		out[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i];
	out[length] = '\0';
}

static void table_add(struct agent *g, const json_t *data, size_t bytes)
{
	json_t *result_set = json_object_get(data, "result_set");
	struct part *p;

	if (!json_is_object(result_set))
		return;
	if (bytes > DATA_MAX - g->data_n) {
		g->cut = true;
		return;
	}
	p = part_at(g, json_int_of(data, "content_index", 0));
	if (!p)
		return;
	json_decref(p->result_set);
	p->result_set = json_incref(result_set);
	text_copy(p->title, sizeof p->title, json_text_of(data, "title"));
	g->data_n += bytes;
}

static void error_note(struct agent *g, const json_t *data)
{
	const char *message = json_text_of(data, "message"), *code = json_text_of(data, "code");

	g->failed = true;
	text_copy(g->code, sizeof g->code, code ? code : json_text_of(data, "error_code"));
	buf_clear(&g->message);
	if (!buf_adds(&g->message, message ? message : "the agent failed"))
		buf_clear(&g->message);
}

static void warning_note(struct agent *g, const json_t *data)
{
	const char *message = json_text_of(data, "message");

	if (message && g->warnings.n + strlen(message) < 3072)
		buf_addf(&g->warnings, "Warning: %s\n", message);
}

/* The last event has the whole answer once more; it counts where nothing came before it. */
static void response_read(struct agent *g, const json_t *data, size_t bytes)
{
	const json_t *content = json_object_get(data, "content");
	json_t *block;
	size_t i;

	if (g->parts_n)
		return;
	json_array_foreach(content, i, block)
	{
		json_t *table = json_object_get(block, "table"), *placed;
		const char *type = json_text_of(block, "type");

		if (!type || !(placed = json_copy(table ? table : block)))
			continue;
		json_object_set_new(placed, "content_index", json_integer((json_int_t)i));
		if (strcmp(type, "text") == 0)
			text_add(g, placed, true);
		else if (strcmp(type, "table") == 0)
			table_add(g, placed, bytes);
		json_decref(placed);
	}
}

static bool noticed(struct notice *notice, const char *before, const char *text)
{
	char said[160];

	if (!text || !*text)
		return false;
	*notice = (struct notice){.level = LEVEL_INFO, .progress = -1, .stage = true};
	text_copy(said, sizeof said, text);
	text_copy(notice->text, sizeof notice->text, before);
	text_copy(notice->text + strlen(notice->text), sizeof notice->text - strlen(notice->text), said);
	return true;
}

static bool is_event(const struct sse_message *event, const char *type)
{
	return strcmp(event->type, type) == 0;
}

/* What is read of one event; the types are those of snowflake-rest.md D.4, others are passed over. */
static bool event_read(struct agent *g, const struct sse_message *event, const json_t *data, struct notice *notice)
{
	if (is_event(event, "response.status") || is_event(event, "response.tool_result.status"))
		return noticed(notice, "agent: ", json_text_of(data, "message"));
	if (is_event(event, "response.tool_use"))
		return noticed(notice, "agent uses ", json_text_of(data, "name"));
	if (is_event(event, "response.text.delta") || is_event(event, "response.text"))
		text_add(g, data, is_event(event, "response.text"));
	else if (is_event(event, "response.table"))
		table_add(g, data, event->data.n);
	else if (is_event(event, "response.warning"))
		warning_note(g, data);
	else if (is_event(event, "error"))
		error_note(g, data);
	else if (is_event(event, "response"))
		response_read(g, data, event->data.n);
	return false;
}

static bool on_event(struct call *c, const struct sse_message *event, struct notice *notice)
{
	json_t *data = NULL;
	bool told;

	if (json_parse_trusted(event->data, &data) != JSON_OK)
		return false;
	told = event_read(c->tool_state, event, data, notice);
	json_decref(data);
	return told;
}

/* ---- the plan ---- */

static json_t *agent_body(const struct call *c)
{
	json_t *body = cortex_question(json_text_of(c->arguments, "query"));

	json_object_set_new(body, "tool_choice", json_pack("{s:s}", "type", "auto"));
	json_object_set_new(body, "stream", json_true());
	return body;
}

int plan_cortex_agent(struct call *c)
{
	const struct cortex_service *service;
	struct agent *g;
	struct statement *s;
	struct context x;
	int rc;

	arguments_window(c, (size_t)c->request->conf->results_default_rows);
	rc = arguments_context(c, &x);
	if (rc != ERR_OK)
		return rc;
	if (!(service = cortex_service(c, CORTEX_AGENT)))
		return ERR_POLICY;
	g = arena_alloc(c->arena, sizeof *g);
	if (!g)
		return refuse_memory(c);
	*g = (struct agent){.warnings = buf_with_ceiling(4096), .message = buf_with_ceiling(8192)};
	if (!arena_attach(c->arena, g, agent_drop))
		return refuse_memory(c);
	c->tool_state = g;
	s = cortex_request(c, &x, cortex_path(c, service, "agents", "run"), cortex_body(c, agent_body(c)));
	if (!s)
		return ERR_NOMEM;
	s->event = on_event;
	return ERR_OK;
}

/* ---- the answer ---- */

static int by_index(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	return x->index < y->index ? -1 : x->index > y->index;
}

static void row_write(struct rows_writer *w, const json_t *row, struct cell *cells)
{
	for (size_t i = 0; i < w->columns_n; i++) {
		const json_t *value = json_array_get(row, i);
		size_t n = json_string_length(value);

		cells[i] = (struct cell){json_string_value(value), n, n};
	}
	rows_add(w, cells, w->columns_n);
}

/* A result set has the shape of the SQL API's (snowflake-rest.md A.4). False where it has not. */
static bool rows_written(struct call *c, const struct part *p, struct buf *out, struct rows_writer *w)
{
	const json_t *rows = json_object_get(p->result_set, "data");
	const json_t *meta = json_object_get(p->result_set, "resultSetMetaData");
	struct column *columns;
	struct cell *cells;
	size_t n;

	if (columns_read(c->arena, json_object_get(meta, "rowType"), &columns, &n) != ERR_OK ||
	    !(cells = arena_alloc(c->arena, (n + 1) * sizeof *cells)))
		return false;
	rows_begin(w, c->format, columns, n, c->budget, out);
	for (size_t i = 0; i < json_array_size(rows) && w->cut == CUT_NONE; i++)
		row_write(w, json_array_get(rows, i), cells);
	c->budget.bytes -= out->n < c->budget.bytes ? out->n : c->budget.bytes;
	return !buf_failed(out);
}

static void table_told(struct call *c, const struct part *p, struct buf *b)
{
	struct buf rows = buf_with_ceiling(c->budget.bytes + ((size_t)256 << 10));
	size_t total = json_array_size(json_object_get(p->result_set, "data"));
	struct rows_writer w;

	if (!rows_written(c, p, &rows, &w)) {
		buf_adds(b, "(a table that could not be read)\n");
	} else if (c->format == ROWS_JSON) {
		buf_adds(b, "{\"title\":");
		json_write_string(b, p->title, strlen(p->title));
		buf_adds(b, ",\"columns\":");
		columns_write(b, w.columns, w.columns_n);
		buf_addf(b, ",\"rows\":[%s],\"rowCount\":%zu,\"totalRows\":%zu}", buf_text(&rows), w.rows, total);
	} else {
		buf_addf(b, "%s%s%zu", p->title, *p->title ? ": " : "", w.rows);
		if (w.rows < total)
			buf_addf(b, " of %zu", total);
		buf_addf(b, " row%s%s\n%s", total == 1 ? "" : "s", w.rows < total ? ", cut" : "", buf_text(&rows));
	}
	buf_free(&rows);
}

static void texts_told(const struct agent *g, struct buf *b)
{
	for (size_t i = 0; i < g->parts_n; i++)
		if (!g->parts[i].result_set && g->parts[i].text.n)
			buf_addf(b, "%s%s", b->n ? "\n" : "", buf_text(&g->parts[i].text));
}

/* Texts and tables in the order the agent gave them. */
static void parts_told(struct call *c, const struct agent *g, struct buf *b)
{
	for (size_t i = 0; i < g->parts_n; i++) {
		const struct part *p = &g->parts[i];

		if (p->result_set)
			table_told(c, p, b);
		else if (p->text.n)
			buf_addf(b, "%s\n", buf_text(&p->text));
	}
	buf_adds(b, buf_text(&g->warnings));
	if (g->cut)
		buf_adds(b, "(The agent's answer was longer; the rest is left out.)\n");
}

static void parts_told_as_json(struct call *c, const struct agent *g, struct buf *b)
{
	struct buf text = buf_with_ceiling((size_t)1 << 20);
	const char *between = "";

	texts_told(g, &text);
	buf_adds(b, "{\"text\":");
	json_write_string(b, buf_text(&text), text.n);
	buf_adds(b, ",\"tables\":[");
	for (size_t i = 0; i < g->parts_n; i++) {
		if (!g->parts[i].result_set)
			continue;
		buf_adds(b, between);
		table_told(c, &g->parts[i], b);
		between = ",";
	}
	buf_addf(b, "],\"truncated\":%s}", g->cut ? "true" : "false");
	buf_add(&c->answer.text, buf_text(b), b->n);
	buf_free(&text);
}

static void failure_told(struct call *c, const struct agent *g)
{
	struct buf said = buf_with_ceiling(TEXT_MAX);

	if (c->plan[0].state != STATEMENT_SUCCEEDED)
		cortex_error(c, &c->plan[0], NAME);
	else if (g->failed)
		tool_error(c, ERR_SQL, *g->code ? g->code : NULL, NULL,
			   "%s: %s%s%s\nPut the question differently, or smaller.", NAME, g->code, *g->code ? ": " : "",
			   buf_text(&g->message));
	else
		tool_error(c, ERR_UPSTREAM_ANSWER, NULL, NULL, "%s: it ended without an answer; try again", NAME);
	texts_told(g, &said);
	if (said.n)
		buf_addf(&c->answer.text, "\nUntil then it had said:\n%s", buf_text(&said));
	buf_free(&said);
}

void answer_cortex_agent(struct call *c)
{
	struct agent *g = c->tool_state;

	qsort(g->parts, g->parts_n, sizeof *g->parts, by_index);
	if (c->plan[0].state != STATEMENT_SUCCEEDED || g->failed || !g->parts_n)
		failure_told(c, g);
	else if (c->format == ROWS_JSON)
		parts_told_as_json(c, g, &c->answer.structured);
	else
		parts_told(c, g, &c->answer.text);
	if (buf_failed(&c->answer.text) || buf_failed(&c->answer.structured))
		tool_error(c, ERR_NOMEM, NULL, NULL, "%s: its answer does not fit; ask for less at once", NAME);
}
