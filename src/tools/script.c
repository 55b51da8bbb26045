/* Scripts: several statements in one call, each judged by the guard on its own, run by Snowflake one after the other.
 */
#include "tools_internal.h"

#include <string.h>

/* A script on its way to a plan. */
struct script {
	const char *whole;
	struct slice *statements;
	size_t n;
	struct context at; /* where the statement at hand runs, after the USE before it */
	unsigned classes;
	bool destructive;
};

static bool script_read(struct call *c, const char *sql, struct script *s)
{
	*s = (struct script){.whole = sql};
	return sql_script(c->arena, slice_of(sql), &s->statements, &s->n) == ERR_OK;
}

bool is_script(struct call *c, const char *sql)
{
	struct script s;

	return (c->request->policy->statements & CLASS_SCRIPT) && (!script_read(c, sql, &s) || s.n > 1);
}

/* Lines and columns count from the start of the whole text. */
static void place(const struct script *s, const struct slice *statement, struct guard_verdict *v)
{
	int line = 0, column = 0;

	if (!v->line)
		return;
	for (const char *p = s->whole; p < statement->data; p++) {
		column = *p == '\n' ? 0 : column + (((unsigned char)*p & 0xC0) != 0x80);
		line += *p == '\n';
	}
	v->column += v->line == 1 ? column : 0;
	v->line += line;
}

static int statement_use(struct call *c, struct script *s, const struct guard_verdict *v)
{
	const char *why;

	effect_use(&s->at, v);
	if (policy_check(c->arena, c->request->policy, &s->at, &why) == ERR_OK)
		return ERR_OK;
	tool_error(c, ERR_POLICY, NULL, NULL, "%s", why);
	return ERR_POLICY;
}

static int statement_judge(struct call *c, struct script *s, const struct slice *statement)
{
	const char *sql = arena_strndup(c->arena, statement->data, statement->n);
	struct guard_verdict v;

	if (!sql || guard_check(c->arena, *statement, c->request->policy->statements, &v) != ERR_OK)
		return refuse_memory(c);
	place(s, statement, &v);
	if (!v.allowed)
		return guard_refused(c, &v);
	s->classes |= v.class;
	s->destructive |= v.destructive;
	if (v.effect == EFFECT_USE)
		return statement_use(c, s, &v);
	return v.effect == EFFECT_NONE ? within_databases(c, sql, &s->at) : ERR_OK;
}

static int script_judge(struct call *c, struct script *s)
{
	if (json_array_size(json_object_get(c->arguments, "bindings"))) {
		tool_error(c, ERR_INVALID_PARAMS, NULL, NULL,
			   "bindings: Snowflake takes none with several statements. Write the values into the text, or "
			   "send one statement per call");
		return ERR_INVALID_PARAMS;
	}
	for (size_t i = 0; i < s->n; i++) {
		int rc = statement_judge(c, s, &s->statements[i]);

		if (rc != ERR_OK)
			return rc;
	}
	return ERR_OK;
}

/* The statements as they were judged, and nothing between them. */
static const char *script_text(struct call *c, const struct script *s)
{
	struct buf b = buf_with_ceiling(2 * SQL_MAX_BYTES);

	for (size_t i = 0; i < s->n; i++) {
		struct slice text = slice_trim(s->statements[i]);

		buf_addf(&b, "%s%.*s", i ? ";\n" : "", (int)text.n, text.data);
	}
	return arena_text(c->arena, &b);
}

static int script_plan(struct call *c, const struct script *script, const struct context *x)
{
	struct statement *s = plan_add(c, STATEMENT_RUN, script_text(c, script), x);

	if (!s)
		return ERR_NOMEM;
	s->statements = script->n;
	s->write = script->classes & (CLASS_DML | CLASS_DDL | CLASS_DCL);
	s->timeout_s = argument_int(c->arguments, "timeout_seconds", s->timeout_s);
	c->class = script->classes | CLASS_SCRIPT;
	return statement_settings(c, s);
}

int plan_script(struct call *c, const char *sql)
{
	struct script s;
	struct context x;
	bool asked = false;
	int rc;

	if (!script_read(c, sql, &s)) {
		tool_error(c, ERR_GUARD, NULL, NULL, "a script has at most %d statements", SQL_SCRIPT_MAX);
		return ERR_GUARD;
	}
	if ((rc = arguments_context(c, &x)) != ERR_OK)
		return rc;
	s.at = x;
	if ((rc = script_judge(c, &s)) != ERR_OK)
		return rc;
	if (json_bool_of(c->arguments, "dry_run", false)) {
		struct guard_verdict all = {.allowed = true, .class = s.classes, .destructive = s.destructive};

		c->class = s.classes | CLASS_SCRIPT;
		return plan_dry_run(c, NULL, &x, &all);
	}
	if (s.destructive)
		rc = confirm_statement(c, sql, &x, &asked);
	return rc != ERR_OK || asked ? rc : script_plan(c, &s, &x);
}

/* ---- told ---- */

static const char *child_handle(struct call *c, const struct statement *s, size_t i)
{
	struct statement child = *s;

	snprintf(child.handle, sizeof child.handle, "%s", s->children[i]);
	return statement_handle_text(c, &child);
}

static void told_json(struct call *c, const struct statement *s)
{
	struct buf *b = &c->answer.structured;

	if (!b->n || b->data[b->n - 1] != '}')
		return;
	b->n--;
	buf_adds(b, ",\"statements\":[");
	for (size_t i = 0; i < s->children_n; i++)
		buf_addf(b, "%s{\"statementHandle\":\"%s\",\"queryId\":\"%s\"}", i ? "," : "", child_handle(c, s, i),
			 s->children[i]);
	buf_adds(b, "]}");
	buf_clear(&c->answer.text);
	buf_add(&c->answer.text, buf_text(b), b->n);
}

static void told_text(struct call *c, const struct statement *s)
{
	struct buf head = buf_with_ceiling(64 << 10), *b = &c->answer.text;

	buf_addf(&head, "%zu statements ran; get_result has the rows of each: ", s->children_n);
	for (size_t i = 0; i < s->children_n; i++)
		buf_addf(&head, "%s\"%s\"", i ? ", " : "", child_handle(c, s, i));
	buf_adds(&head, ". Rows of the last one:\n");
	buf_add(&head, buf_text(b), b->n);
	buf_clear(b);
	buf_add(b, buf_text(&head), head.n);
	buf_free(&head);
}

void script_told(struct call *c)
{
	const struct statement *s = &c->plan[0];

	if (c->answer.is_error || c->answer.running || s->statements < 2 || !s->children_n)
		return;
	if (c->format == ROWS_JSON)
		told_json(c, s);
	else
		told_text(c, s);
}
