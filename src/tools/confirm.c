/* A destructive statement waits for the word of the person behind the client, as the policy wants it. */
#include "tools_internal.h"

#include <string.h>

#define KEY "confirm"
/* Characters of the statement that the person is shown. */
#define SHOWN_MAX 300

static int unconfirmed(struct call *c, const char *why)
{
	tool_error(c, ERR_UNCONFIRMED, NULL, NULL, "Nothing was run, since it was not confirmed: %s", why);
	return ERR_UNCONFIRMED;
}

/* ---- the question ---- */

/* The statement without its comments and line ends, which could push what it does out of sight. */
static void statement_shown(struct buf *b, const char *sql)
{
	struct sql_lexer lexer;
	struct sql_token t;
	const char *end = NULL;
	size_t left = SHOWN_MAX;
	bool whole = true;

	sql_lexer_init(&lexer, slice_of(sql));
	while (whole && (t = sql_next(&lexer)).kind != SQL_END) {
		if (end && end != t.text.data)
			whole = plain_add(b, SLICE(" "), &left);
		whole = whole && plain_add(b, t.text, &left);
		end = t.text.data + t.text.n;
	}
	if (!whole)
		buf_addf(b, "\n(its first %d characters)", SHOWN_MAX);
}

static void context_shown(struct buf *b, const struct context *x)
{
	buf_adds(b, x->role ? "as role " : "as the default role");
	if (x->role)
		plain_ident(b, x->role);
	if (!x->database)
		return;
	buf_adds(b, " in database ");
	plain_ident(b, x->database);
	if (!x->schema)
		return;
	buf_adds(b, ", schema ");
	plain_ident(b, x->schema);
}

void confirm_show(struct buf *b, const char *sql, const struct context *x)
{
	buf_adds(b, b->n ? "\n\n" : "");
	statement_shown(b, sql);
	buf_adds(b, "\n(");
	context_shown(b, x);
	buf_addc(b, ')');
}

static const char *question(struct call *c, const char *shown)
{
	struct buf b = buf_with_ceiling(128 << 10);
	size_t bound = json_array_size(json_object_get(c->arguments, "bindings"));

	buf_addf(&b, "This may delete or overwrite what is in Snowflake. Run it?\n\n%s", shown);
	if (bound)
		buf_addf(&b, "\n\n(with %zu bound value%s)", bound, bound == 1 ? "" : "s");
	return arena_text(c->arena, &b);
}

/* Params of elicitation/create [4.7, 5.10, 6]; `mode` came with 2025-11-25. NULL when memory is short. */
static json_t *question_params(struct call *c, const char *shown)
{
	const char *message = question(c, shown);
	json_t *params = message ? json_pack("{s:s, s:{s:s, s:{s:{s:s, s:s, s:s, s:b}}, s:[s]}}", "message", message,
					     "requestedSchema", "type", "object", "properties", KEY, "type", "boolean",
					     "title", "Run it", "description",
					     "Whether the statement above is run. Nothing is run without it.",
					     "default", 0, "required", KEY)
				 : NULL;

	if (params && c->revision >= REVISION_2025_11_25)
		json_object_set_new(params, "mode", json_string("form"));
	return params;
}

/* ---- the answer ---- */

/* Why an ElicitResult is not a yes; NULL where it is one. null stands for a question that nobody answered. */
static const char *refusal_of(const json_t *answer)
{
	const char *action = json_text_of(answer, "action");
	const json_t *yes = json_object_get(json_object_get(answer, "content"), KEY);

	if (json_is_null(answer))
		return "the question to the user was not answered in time, or the client refused to show it.";
	if (action && strcmp(action, "decline") == 0)
		return "the user declined. Ask the user before the statement is sent again.";
	if (action && strcmp(action, "cancel") == 0)
		return "the user left the question without an answer. Ask the user before the statement is sent again.";
	if (!action || strcmp(action, "accept") != 0 || !json_is_boolean(yes))
		return "the client's answer to the question is none that could be read: `action` accept, decline or "
		       "cancel, and with accept a boolean `content.confirm`.";
	return json_is_true(yes) ? NULL : "the user said no. Ask the user before the statement is sent again.";
}

/* In the modern era a request says itself what its client can do, and is refused for what it cannot [5.10]. */
static int lacks_capability(struct call *c)
{
	json_t *data = json_pack("{s:{s:{s:{}}}}", "requiredCapabilities", "elicitation", "form");

	c->fault = (struct mcp_fault){ERR_CAPABILITY,
				      "the policy wants destructive statements confirmed by the user: declare the "
				      "capability elicitation, or have the operator set `confirm: ask`",
				      arena_attach(c->arena, data, json_release) ? data : NULL};
	return ERR_CAPABILITY;
}

int confirm_statement(struct call *c, const char *sql, const struct context *x, bool *asked)
{
	struct buf shown = buf_with_ceiling(16384);
	int rc;

	confirm_show(&shown, sql, x);
	rc = confirm_shown(c, buf_text(&shown), asked);
	buf_free(&shown);
	return rc;
}

int confirm_shown(struct call *c, const char *shown, bool *asked)
{
	enum policy_confirm wanted = c->request->policy->confirm;
	const json_t *answer = wanted == CONFIRM_NEVER ? NULL : c->unasked ? NULL : call_answer(c, KEY);
	const char *refusal = answer ? refusal_of(answer) : NULL;

	*asked = false;
	if (answer)
		return refusal ? unconfirmed(c, refusal) : ERR_OK;
	if (wanted != CONFIRM_NEVER && (c->can & CLIENT_FORM)) {
		json_t *params = question_params(c, shown);

		*asked = params && call_ask(c, KEY, "elicitation/create", params);
		return *asked ? ERR_OK : refuse_memory(c);
	}
	if (wanted == CONFIRM_REQUIRE && c->era.era == ERA_MODERN)
		return lacks_capability(c);
	if (wanted == CONFIRM_REQUIRE)
		return unconfirmed(c,
				   "the policy wants destructive statements confirmed by the user, and this client "
				   "cannot be asked. Use a client that declares the capability `elicitation` and takes "
				   "event streams, or have the operator set `confirm: ask` in the caller's policy. "
				   "dry_run shows the plan without running it.");
	return ERR_OK;
}
