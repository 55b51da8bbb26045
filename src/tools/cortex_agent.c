/* cortex_agent: an agent at Snowflake is asked; what it does is told as it happens, what it says and shows at its end.
 */
#include "sets.h"

#include <string.h>

#define NAME      "Cortex Agent"
#define PARTS_MAX 32
#define TEXT_MAX  ((size_t)256 << 10) /* of one part */
#define KEPT_MAX  ((size_t)4 << 20)   /* of everything it said and showed */
/* Of an event that is read as it comes, on SNOWFLAKE: a text with its escapes; what is told or warned of is short. */
#define TEXT_READ  (2 * TEXT_MAX)
#define OTHER_READ ((size_t)64 << 10)

/* What the agent said or showed, by its place in the answer. */
struct part {
	int64_t index;
	bool table; /* `text` is its event as it came, and read at the end */
	struct buf text;
	json_t *data; /* of a table that was read */
	char title[120];
};
/* c->tool_state; owner: the call, whose arena ends it. */
struct agent {
	size_t parts_n;
	struct part parts[PARTS_MAX];
	struct buf response; /* the last event as it came, where nothing came before it */
	json_t *root;        /* the same, read */
	size_t kept;         /* bytes */
	bool crowded;        /* no more may be kept */
	bool cut;            /* there was more than is kept */
	bool unread;         /* something could not be read */
	bool ended;          /* it said that it was done */
	struct buf warnings;
	bool failed;
	char code[64];
	struct buf message; /* of the error */
};

/* A tree has many blocks: it goes where it was made, at the end of the answer. */
static void trees_drop(struct agent *g)
{
	for (size_t i = 0; i < g->parts_n; i++)
		json_decref(TAKE(g->parts[i].data));
	json_decref(TAKE(g->root));
}

static void agent_drop(void *agent)
{
	struct agent *g = agent;

	trees_drop(g);
	for (size_t i = 0; i < g->parts_n; i++)
		buf_free(&g->parts[i].text);
	buf_free(&g->response);
	buf_free(&g->warnings);
	buf_free(&g->message);
}

/* ---- what is kept ---- */

static bool keep(struct agent *g, size_t n)
{
	if (g->crowded || n > KEPT_MAX - g->kept) {
		g->cut = true;
		return false;
	}
	g->kept += n;
	return true;
}

static struct part *part_new(struct agent *g, int64_t index)
{
	if (g->parts_n == PARTS_MAX) {
		g->cut = true;
		return NULL;
	}
	g->parts[g->parts_n] = (struct part){.index = index, .text = buf_with_ceiling(KEPT_MAX)};
	return &g->parts[g->parts_n++];
}

/* The text of this place, made where it is new; NULL where there are too many. */
static struct part *text_at(struct agent *g, int64_t index)
{
	for (size_t i = 0; i < g->parts_n; i++)
		if (!g->parts[i].table && g->parts[i].index == index)
			return &g->parts[i];
	return part_new(g, index);
}

/* The most bytes, up to `room`, that end between characters. */
static size_t text_fit(const char *text, size_t room)
{
	size_t n = strnlen(text, room);

	while (n && ((unsigned char)text[n] & 0xC0) == 0x80)
		n--;
	return n;
}

static void text_add(struct agent *g, const json_t *data, bool whole)
{
	const char *text = json_text_of(data, "text");
	struct part *p = text ? text_at(g, json_int_of(data, "content_index", 0)) : NULL;
	size_t had, room, n;

	if (!p)
		return;
	had = whole ? p->text.n : 0;
	room = g->crowded ? had : KEPT_MAX - (g->kept - had);
	if (whole)
		buf_clear(&p->text);
	if (room > TEXT_MAX - p->text.n)
		room = TEXT_MAX - p->text.n;
	n = text_fit(text, room);
	g->cut |= text[n] != '\0';
	g->kept = g->kept - had + n;
	buf_add(&p->text, text, n);
}

/* At most n - 1 bytes, ended between characters; control characters become blanks. */
static void text_copy(char *out, size_t n, const char *text)
{
	size_t length = text ? text_fit(text, n - 1) : 0;

	for (size_t i = 0; i < length; i++)
		out[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i];
	out[length] = '\0';
}

static void table_keep(struct agent *g, struct slice data)
{
	struct part *p = keep(g, data.n) ? part_new(g, 0) : NULL;

	if (!p)
		return;
	p->table = true;
	buf_add(&p->text, data.data, data.n);
}

/* The last event has the whole answer once more; it counts where nothing came before it. */
static void response_keep(struct agent *g, struct slice data)
{
	if (g->parts_n || g->response.n || !keep(g, data.n))
		return;
	buf_add(&g->response, data.data, data.n);
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

/* ---- events ---- */

/* The types of snowflake-rest.md D.4 that are of use; others are passed over unread. */
enum what { NOTHING, STATUS, TOOL, DELTA, TEXT, TABLE, WARNING, FAILURE, RESPONSE, END };

static enum what event_what(const struct sse_message *event)
{
	static const struct {
		const char *type;
		enum what what;
	} types[] = {{"response.status", STATUS},   {"response.tool_result.status", STATUS},
		     {"response.tool_use", TOOL},   {"response.text.delta", DELTA},
		     {"response.text", TEXT},       {"response.table", TABLE},
		     {"response.warning", WARNING}, {"error", FAILURE},
		     {"response", RESPONSE},        {"done", END}};

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (strcmp(event->type, types[i].type) == 0)
			return types[i].what;
	return slice_is(event->data, "[DONE]") ? END : NOTHING;
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

static bool data_read(struct agent *g, enum what what, const json_t *data, struct notice *notice)
{
	if (what == STATUS)
		return noticed(notice, "agent: ", json_text_of(data, "message"));
	if (what == TOOL)
		return noticed(notice, "agent uses ", json_text_of(data, "name"));
	if (what == DELTA || what == TEXT)
		text_add(g, data, what == TEXT);
	else if (what == WARNING)
		warning_note(g, data);
	else
		error_note(g, data);
	return false;
}

static void left_out(struct agent *g, enum what what)
{
	if (what == FAILURE)
		error_note(g, NULL);
	else
		g->cut |= what == DELTA || what == TEXT || what == TABLE || (what == RESPONSE && !g->parts_n);
}

/* What is large is kept as it is: this is SNOWFLAKE's time. */
static bool event_read(struct agent *g, enum what what, const struct sse_message *event, struct notice *notice)
{
	json_t *data = NULL;
	bool told;

	if (what == TABLE) {
		table_keep(g, event->data);
		return false;
	}
	if (json_parse_trusted(event->data, &data) != JSON_OK) {
		g->unread = true;
		if (what == FAILURE)
			error_note(g, NULL);
		return false;
	}
	told = data_read(g, what, data, notice);
	json_decref(data);
	return told;
}

/* Too long to be kept, or to be read here. */
static bool is_too_long(enum what what, const struct sse_message *event)
{
	bool text = what == DELTA || what == TEXT;

	return event->too_long ||
	       (what != TABLE && what != RESPONSE && event->data.n > (text ? TEXT_READ : OTHER_READ));
}

static bool on_event(struct call *c, const struct sse_message *event, struct notice *notice)
{
	struct agent *g = c->tool_state;
	struct statement *s = &c->plan[0];
	enum what what = event_what(event);
	bool told = false;

	g->crowded = s->crowded;
	g->ended |= what == RESPONSE || what == END;
	if (is_too_long(what, event))
		left_out(g, what);
	else if (what == RESPONSE)
		response_keep(g, event->data);
	else if (what != NOTHING && what != END)
		told = event_read(g, what, event, notice);
	s->collected = g->kept;
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
	*g = (struct agent){.response = buf_with_ceiling(KEPT_MAX),
			    .warnings = buf_with_ceiling(4096),
			    .message = buf_with_ceiling(8192)};
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

/* What the last event says of the parts, where it alone counts. */
static void response_read(struct agent *g)
{
	json_t *block;
	size_t i;

	if (!g->response.n)
		return;
	if (json_parse_trusted(buf_slice(&g->response), &g->root) != JSON_OK)
		g->unread = true;
	buf_free(&g->response);
	g->kept = 0;
	json_array_foreach(json_object_get(g->root, "content"), i, block)
	{
		json_t *table = json_object_get(block, "table"), *data = table ? table : block;
		const char *type = json_text_of(block, "type"), *text = json_text_of(block, "text");
		struct part *p;

		if (!type || !(strcmp(type, "table") == 0 || (strcmp(type, "text") == 0 && text)))
			continue;
		if (!(p = part_new(g, (int64_t)i)))
			return;
		p->table = strcmp(type, "table") == 0;
		if (p->table)
			p->data = json_incref(data);
		else
			buf_add(&p->text, text, text_fit(text, KEPT_MAX));
	}
}

static void tables_read(struct agent *g)
{
	for (size_t i = 0; i < g->parts_n; i++) {
		struct part *p = &g->parts[i];

		if (!p->table)
			continue;
		if (!p->data && json_parse_trusted(buf_slice(&p->text), &p->data) != JSON_OK)
			p->data = NULL;
		buf_free(&p->text);
		p->index = json_int_of(p->data, "content_index", p->index);
		text_copy(p->title, sizeof p->title, json_text_of(p->data, "title"));
	}
}

static int by_index(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	return x->index < y->index ? -1 : x->index > y->index;
}

static void row_write(struct rows_writer *w, const json_t *row, struct cell *cells, struct buf *texts)
{
	for (size_t i = 0; i < w->columns_n; i++) {
		buf_clear(&texts[i]);
		cells[i] = cortex_cell(json_array_get(row, i), &texts[i]);
	}
	rows_add(w, cells, w->columns_n);
}

/* A result set has the shape of the SQL API's (snowflake-rest.md A.4). False where it has not. */
static bool rows_written(struct call *c, const struct part *p, struct buf *out, struct rows_writer *w)
{
	const json_t *set = json_object_get(p->data, "result_set"), *rows = json_object_get(set, "data");
	const json_t *meta = json_object_get(set, "resultSetMetaData");
	struct column *columns;
	struct cell *cells;
	struct buf *texts;
	size_t n;

	if (columns_read(c->arena, json_object_get(meta, "rowType"), &columns, &n) != ERR_OK ||
	    !(cells = arena_alloc(c->arena, (n + 1) * sizeof *cells)) ||
	    !(texts = arena_alloc(c->arena, (n + 1) * sizeof *texts)))
		return false;
	for (size_t i = 0; i < n; i++)
		texts[i] = buf_with_ceiling(CORTEX_CELL_MAX);
	rows_begin(w, c->format, columns, n, c->budget, out);
	for (size_t i = 0; i < json_array_size(rows) && w->cut == CUT_NONE; i++)
		row_write(w, json_array_get(rows, i), cells, texts);
	for (size_t i = 0; i < n; i++)
		buf_free(&texts[i]);
	c->budget.bytes -= out->n < c->budget.bytes ? out->n : c->budget.bytes;
	return !buf_failed(out);
}

static void table_told(struct call *c, const struct part *p, struct buf *b)
{
	struct buf rows = buf_with_ceiling(c->budget.bytes + ((size_t)256 << 10));
	size_t total = json_array_size(json_object_get(json_object_get(p->data, "result_set"), "data"));
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

static void texts_told(struct call *c, const struct agent *g, struct buf *b)
{
	for (size_t i = 0, n = b->n; i < g->parts_n; i++)
		if (g->parts[i].text.n) {
			buf_adds(b, b->n > n ? "\n" : "");
			told_within(c, b, buf_slice(&g->parts[i].text));
		}
}

/* What the reader must know beside the answer. */
static void notes_told(const struct agent *g, struct buf *b)
{
	buf_adds(b, buf_text(&g->warnings));
	if (g->cut)
		buf_adds(b, "(The agent's answer was longer; the rest is left out.)\n");
	if (!g->ended || g->unread)
		buf_addf(b, "(%s: the answer may be incomplete.)\n",
			 g->ended ? "Some of what the agent sent could not be read"
				  : "What the agent sent broke off before its end");
}

/* Texts and tables in the order the agent gave them. */
static void parts_told(struct call *c, const struct agent *g, struct buf *b)
{
	for (size_t i = 0; i < g->parts_n; i++) {
		const struct part *p = &g->parts[i];

		if (p->table) {
			table_told(c, p, b);
		} else if (p->text.n) {
			told_within(c, b, buf_slice(&p->text));
			buf_addc(b, '\n');
		}
	}
	notes_told(g, b);
}

static void parts_told_as_json(struct call *c, const struct agent *g, struct buf *b)
{
	struct buf text = buf_with_ceiling(b->ceiling), notes = buf_with_ceiling(8192);
	const char *between = "";

	texts_told(c, g, &text);
	notes_told(g, &notes);
	buf_adds(b, "{\"text\":");
	json_write_string(b, buf_text(&text), text.n);
	buf_adds(b, ",\"tables\":[");
	for (size_t i = 0; i < g->parts_n; i++) {
		if (!g->parts[i].table)
			continue;
		buf_adds(b, between);
		table_told(c, &g->parts[i], b);
		between = ",";
	}
	buf_addf(b, "],\"truncated\":%s", g->cut || g->unread || !g->ended ? "true" : "false");
	if (notes.n) {
		buf_adds(b, ",\"note\":");
		json_write_string(b, notes.data, notes.n);
	}
	buf_addc(b, '}');
	buf_add(&c->answer.text, buf_text(b), b->n);
	buf_free(&text);
	buf_free(&notes);
}

static void failure_told(struct call *c, const struct agent *g)
{
	struct buf said = buf_with_ceiling(c->answer.text.ceiling);

	if (c->plan[0].state != STATEMENT_SUCCEEDED)
		cortex_error(c, &c->plan[0], NAME);
	else if (g->failed)
		tool_error(c, ERR_SQL, *g->code ? g->code : NULL, NULL,
			   "%s: %s%s%s\nPut the question differently, or smaller.", NAME, g->code, *g->code ? ": " : "",
			   buf_text(&g->message));
	else
		tool_error(c, ERR_OUTCOME_UNKNOWN, NULL, NULL,
			   "%s: it ended without an answer. Look at what it may have done before you ask it again",
			   NAME);
	texts_told(c, g, &said);
	if (said.n)
		buf_addf(&c->answer.text, "\nUntil then it had said:\n%s", buf_text(&said));
	buf_free(&said);
}

void answer_cortex_agent(struct call *c)
{
	struct agent *g = c->tool_state;

	response_read(g);
	tables_read(g);
	qsort(g->parts, g->parts_n, sizeof *g->parts, by_index);
	if (c->plan[0].state != STATEMENT_SUCCEEDED || g->failed || !g->parts_n)
		failure_told(c, g);
	else if (c->format == ROWS_JSON)
		parts_told_as_json(c, g, &c->answer.structured);
	else
		parts_told(c, g, &c->answer.text);
	trees_drop(g);
	if (buf_failed(&c->answer.text) || buf_failed(&c->answer.structured))
		tool_error(c, ERR_NOMEM, NULL, NULL, "%s: its answer does not fit; ask for less at once", NAME);
}
