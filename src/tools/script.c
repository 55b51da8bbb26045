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
	bool open;             /* in a transaction */
	struct buf destroying; /* the statements that destroy, for the person who is asked */
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

static int refuse(struct call *c, const char *text)
{
	tool_error(c, ERR_GUARD, NULL, NULL, "%s", text);
	return ERR_GUARD;
}

/* The role seals the handles and the warehouse has its line of statements: both are those of the whole text. */
static int statement_use(struct call *c, struct script *s, const struct guard_verdict *v)
{
	const char *why;

	if (v->use == USE_ROLE || v->use == USE_WAREHOUSE)
		return refuse(c, "USE ROLE and USE WAREHOUSE have no place in a script: give the arguments role and "
				 "warehouse, which count for the whole text");
	effect_use(&s->at, v);
	if (policy_check(c->arena, c->request->policy, &s->at, &why) == ERR_OK)
		return ERR_OK;
	tool_error(c, ERR_POLICY, NULL, NULL, "%s", why);
	return ERR_POLICY;
}

/* The tag tells who caused a statement: it stays what the gateway writes. */
static int statement_alter(struct call *c, const struct guard_verdict *v)
{
	for (size_t i = 0; i < v->parameters_n; i++)
		if (!strcmp(v->parameters[i].name, "QUERY_TAG"))
			return refuse(c,
				      "QUERY_TAG cannot be set in a script: set it for the session, with set_context");
	return ERR_OK;
}

/* Nothing that was begun is left open: Snowflake would roll it back unsaid. */
static int statement_transaction(struct call *c, struct script *s, const struct guard_verdict *v)
{
	if (v->transaction == TRANSACTION_BEGINS && s->open)
		return refuse(c, "BEGIN within a transaction: end the first one with COMMIT or ROLLBACK before it");
	if (v->transaction == TRANSACTION_ENDS && !s->open)
		return refuse(c, "COMMIT or ROLLBACK without a BEGIN before it");
	if (v->transaction != TRANSACTION_NONE)
		s->open = v->transaction == TRANSACTION_BEGINS;
	return ERR_OK;
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
	if (v.destructive)
		confirm_show(&s->destroying, sql, &s->at);
	if (v.effect == EFFECT_USE)
		return statement_use(c, s, &v);
	if (v.effect == EFFECT_ALTER_SESSION)
		return statement_alter(c, &v);
	return v.transaction ? statement_transaction(c, s, &v) : within_databases(c, sql, &s->at);
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
	return s->open ? refuse(c, "the text ends within a transaction, which Snowflake would roll back: end it with "
				   "COMMIT or ROLLBACK")
		       : ERR_OK;
}

/* The statements as they were judged, and nothing between them. */
static const char *script_text(struct call *c, const struct script *s)
{
	struct buf b = buf_with_ceiling(SQL_MAX_BYTES);

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

static int script_dry_run(struct call *c, const struct script *s, const struct context *x)
{
	struct guard_verdict all = {.allowed = true, .class = s->classes, .destructive = s->destroying.n > 0};

	c->class = s->classes | CLASS_SCRIPT;
	return plan_dry_run(c, NULL, x, &all);
}

static int script_go(struct call *c, struct script *s, const struct context *x)
{
	bool asked = false;
	int rc = script_judge(c, s);

	if (rc != ERR_OK)
		return rc;
	if (json_bool_of(c->arguments, "dry_run", false))
		return script_dry_run(c, s, x);
	if (s->destroying.n)
		rc = confirm_shown(c, buf_text(&s->destroying), &asked);
	return rc != ERR_OK || asked ? rc : script_plan(c, s, x);
}

int plan_script(struct call *c, const char *sql)
{
	struct script s;
	struct context x;
	int rc;

	if (!script_read(c, sql, &s))
		return refuse(c, arena_printf(c->arena, "a script has at most %d statements", SQL_SCRIPT_MAX));
	if ((rc = arguments_context(c, &x)) != ERR_OK)
		return rc;
	s.at = x;
	s.destroying = buf_with_ceiling(64 << 10);
	rc = script_go(c, &s, &x);
	buf_free(&s.destroying);
	return rc;
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
	if (!buf_add(&c->answer.text, buf_text(b), b->n) || buf_failed(b))
		tool_error(c, ERR_NOMEM, NULL, NULL, "the rows do not fit into one answer; ask for fewer with `limit`");
}

static void told_text(struct call *c, const struct statement *s)
{
	struct buf *b = &c->answer.text, head = buf_with_ceiling(b->ceiling);

	buf_addf(&head, "%zu statements ran; get_result has the rows of each: ", s->children_n);
	for (size_t i = 0; i < s->children_n; i++)
		buf_addf(&head, "%s\"%s\"", i ? ", " : "", child_handle(c, s, i));
	buf_adds(&head, ". Rows of the last one:\n");
	buf_add(&head, buf_text(b), b->n);
	buf_clear(b);
	buf_add(b, buf_text(&head), head.n);
	if (buf_failed(&head) || buf_failed(b))
		tool_error(c, ERR_NOMEM, NULL, NULL, "the rows do not fit into one answer; ask for fewer with `limit`");
	buf_free(&head);
}

void script_told(struct call *c)
{
	const struct statement *s = &c->plan[0];

	if (c->answer.is_error || c->answer.running || s->children_n < 2)
		return;
	if (c->format == ROWS_JSON)
		told_json(c, s);
	else
		told_text(c, s);
}
