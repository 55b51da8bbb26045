/* cortex_analyst: a question becomes SQL at Snowflake, and the SQL runs here as a client's own would. */
#include "sets.h"

#include <string.h>

#define NAME             "Cortex Analyst"
#define SUGGESTIONS_MAX  10
#define WARNINGS_MAX     20
#define ANALYST_ENDPOINT "/api/v2/cortex/analyst/message"

/* c->tool_state: what Analyst said. Texts live in the arena, or in `root`. */
struct analysis {
	json_t **root;
	const char *text, *sql;
	const json_t *suggestions, *warnings;
	bool read;
};

/* ---- the plan ---- */

static json_t *analyst_body(struct call *c, const struct cortex_service *service)
{
	json_t *body = cortex_question(json_text_of(c->arguments, "query"));
	struct sql_name name = {3, {service->database, service->schema, service->object}};
	struct buf view = buf_with_ceiling(2048);

	for (size_t i = 0; i < name.n; i++) {
		buf_adds(&view, i ? "." : "");
		plain_ident(&view, name.part[i]);
	}
	json_object_set_new(body, service->model ? "semantic_model_file" : "semantic_view",
			    json_string(service->model ? service->model : buf_text(&view)));
	json_object_set_new(body, "stream", json_false());
	buf_free(&view);
	return body;
}

int plan_cortex_analyst(struct call *c)
{
	const struct cortex_service *service;
	struct context x;
	int rc;

	arguments_window(c, (size_t)c->request->conf->results_default_rows);
	rc = arguments_context(c, &x);
	if (rc != ERR_OK)
		return rc;
	if (!(service = cortex_service(c, CORTEX_ANALYST)))
		return ERR_POLICY;
	if (!x.database) { /* its SQL would be in no database at all */
		x.database = service->database;
		x.schema = service->schema;
	}
	c->tool_state = arena_alloc(c->arena, sizeof(struct analysis));
	if (!c->tool_state)
		return refuse_memory(c);
	return cortex_request(c, &x, ANALYST_ENDPOINT, cortex_body(c, analyst_body(c, service))) ? ERR_OK : ERR_NOMEM;
}

/* ---- what it said ---- */

static void content_read(struct call *c, struct analysis *a, const json_t *block)
{
	const char *type = json_text_of(block, "type"), *text = json_text_of(block, "text");

	if (!type)
		return;
	if (strcmp(type, "text") == 0 && text)
		a->text = a->text ? arena_printf(c->arena, "%s\n%s", a->text, text) : text;
	else if (strcmp(type, "sql") == 0)
		a->sql = json_text_of(block, "statement");
	else if (strcmp(type, "suggestions") == 0)
		a->suggestions = json_object_get(block, "suggestions");
}

static bool analysis_read(struct call *c, struct analysis *a)
{
	const json_t *content;
	size_t i;
	json_t *block;

	if (!(a->root = cortex_answer(c, &c->plan[0], NAME)))
		return false;
	a->read = true;
	content = json_object_get(json_object_get(*a->root, "message"), "content");
	json_array_foreach(content, i, block) content_read(c, a, block);
	a->warnings = json_object_get(*a->root, "warnings");
	return true;
}

/* ---- its SQL ---- */

/* Semicolons and comments at its end are its habit and nobody's intent; what the guard says of them is not. */
static const char *sql_trimmed(struct call *c, const char *sql)
{
	size_t n = strlen(sql);

	while (n && strchr("; \t\r\n", sql[n - 1]))
		n--;
	return arena_strndup(c->arena, sql, n);
}

/* USE has no class and is allowed to clients, whose session it changes; here it is nobody's. */
static int sql_judge(struct call *c, const char *sql, const struct context *x)
{
	struct guard_verdict v;

	if (guard_check(c->arena, slice_of(sql), CLASS_READ, &v) != ERR_OK)
		return refuse_memory(c);
	if (!v.allowed)
		return guard_refused(c, &v);
	if (v.class == CLASS_READ && v.effect == EFFECT_NONE)
		return within_databases(c, sql, x);
	tool_error(c, ERR_GUARD, NULL, NULL, "only a query that reads may come of a question.");
	return ERR_GUARD;
}

/* Plans the SQL as a read of the caller's; refused, it is told and not run. */
static int sql_plan(struct call *c, const char *sql)
{
	const struct conf *conf = c->request->conf;
	struct context x = c->plan[0].context;
	struct statement *s;
	int rc = sql_judge(c, sql, &x);

	if (rc != ERR_OK)
		return rc;
	s = plan_add(c, STATEMENT_RUN, sql, &x);
	if (!s)
		return ERR_NOMEM;
	c->deadline =
	    clock_now() + argument_int(c->arguments, "wait_seconds",
				       c->preferred_wait >= 0 ? c->preferred_wait : conf->results_wait / USEC_PER_S) *
			      USEC_PER_S;
	return statement_settings(c, s);
}

int more_cortex_analyst(struct call *c)
{
	struct analysis *a = c->tool_state;
	const char *sql;

	if (a->read)
		return ERR_OK;
	if (!analysis_read(c, a))
		return ERR_UPSTREAM_ANSWER;
	if (!a->sql)
		return ERR_OK;
	sql = sql_trimmed(c, a->sql);
	if (!sql)
		return refuse_memory(c);
	if (sql_plan(c, sql) == ERR_OK)
		return ERR_OK;
	buf_adds(&c->answer.text, "\nCortex Analyst wrote this, and it was not run:\n");
	told_within(c, &c->answer.text, slice_of(a->sql));
	cortex_forget(a->root);
	return ERR_GUARD;
}

/* ---- the answer ---- */

static void suggestions_told(struct call *c, struct buf *b, const json_t *suggestions)
{
	size_t n = json_array_size(suggestions);

	if (n)
		buf_adds(b, "\nBetter ask one of these:\n");
	for (size_t i = 0; i < n && i < SUGGESTIONS_MAX; i++) {
		const char *text = json_string_value(json_array_get(suggestions, i));

		if (!text)
			continue;
		buf_adds(b, "- ");
		told_within(c, b, slice_of(text));
		buf_addc(b, '\n');
	}
}

static const char *warning_of(const struct analysis *a, size_t i)
{
	return json_text_of(json_array_get(a->warnings, i), "message");
}

static size_t warnings_n(const struct analysis *a)
{
	size_t n = json_array_size(a->warnings);

	return n < WARNINGS_MAX ? n : WARNINGS_MAX;
}

static void warnings_told(struct call *c, struct buf *b, const struct analysis *a)
{
	for (size_t i = 0; i < warnings_n(a); i++) {
		const char *text = warning_of(a, i);

		if (!text)
			continue;
		buf_adds(b, "\nWarning: ");
		told_within(c, b, slice_of(text));
	}
}

static void told_as_json(struct call *c, struct buf *b, const struct analysis *a)
{
	buf_adds(b, "{\"explanation\":");
	cortex_told_json(c, b, slice_of(a->text ? a->text : ""));
	buf_adds(b, ",\"sql\":");
	cortex_told_json(c, b, slice_of(a->sql));
	buf_adds(b, ",\"warnings\":[");
	for (size_t i = 0, n = 0; i < warnings_n(a); i++)
		if (warning_of(a, i)) {
			buf_adds(b, n++ ? "," : "");
			cortex_told_json(c, b, slice_of(warning_of(a, i)));
		}
	buf_addc(b, ']');
}

static void told_as_text(struct call *c, struct buf *b, const struct analysis *a)
{
	told_within(c, b, slice_of(a->text ? a->text : ""));
	buf_adds(b, "\nSQL: ");
	told_within(c, b, slice_of(a->sql));
	buf_addc(b, '\n');
	warnings_told(c, b, a);
}

/* What Analyst said goes before the rows, or into their object. */
static void answer_with_rows(struct call *c, const struct analysis *a)
{
	struct buf head = buf_with_ceiling(c->answer.text.ceiling), *b = &c->answer.structured;

	answer_rows(c);
	if (b->n) {
		told_as_json(c, &head, a);
		buf_addf(&head, ",%s", buf_text(b) + 1);
		buf_clear(b);
		buf_add(b, head.data, head.n);
	} else {
		told_as_text(c, &head, a);
		buf_addf(&head, "\n%s", buf_text(&c->answer.text));
	}
	buf_clear(&c->answer.text);
	buf_add(&c->answer.text, head.data, head.n);
	if (buf_failed(&head) || buf_failed(b) || buf_failed(&c->answer.text))
		tool_error(c, ERR_NOMEM, NULL, NULL, "the answer is too large; ask for fewer rows with `limit`");
	buf_free(&head);
}

static void answer_without(struct call *c, const struct analysis *a)
{
	struct buf *b = &c->answer.text;

	told_within(c, b, slice_of(a->text ? a->text : "Cortex Analyst has written no SQL for this question."));
	suggestions_told(c, b, a->suggestions);
	warnings_told(c, b, a);
}

void answer_cortex_analyst(struct call *c)
{
	struct analysis *a = c->tool_state;

	if (c->plan_n > 1)
		answer_with_rows(c, a);
	else if (a->read || analysis_read(c, a))
		answer_without(c, a);
	cortex_forget(a->root);
}
