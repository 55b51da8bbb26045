/* Errors a model can act on: what happened, in which context, what to do next; machine-readable members in _meta. */
#include "tools_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void meta_set(struct call *c, enum err err, const char *code, const char *sqlstate, const char *handle)
{
	const struct err_info *info = err_info(err);
	json_t *meta =
	    json_pack("{s:{s:s, s:s?, s:s?, s:b}}", "snowgate/error", "code", code ? code : info->name, "sqlState",
		      sqlstate, "statementHandle", handle && *handle ? handle : NULL, "retryable", info->retryable);

	if (c->retry_after)
		json_object_set_new(json_object_get(meta, "snowgate/error"), "retryAfterMs",
				    json_integer((c->retry_after + USEC_PER_MS - 1) / USEC_PER_MS));
	c->answer.meta = arena_attach(c->arena, meta, json_release) ? meta : NULL;
}

/* A write whose fate is unknown: which one it was. */
static void meta_outcome_unknown(struct call *c, const struct statement *s)
{
	json_t *error = json_object_get(c->answer.meta, "snowgate/error");

	json_object_set_new(error, "outcome", json_string("unknown"));
	json_object_set_new(error, "operation", json_string(s->request_id));
}

void tool_error(struct call *c, enum err err, const char *code, const char *sqlstate, const char *format, ...)
{
	va_list args;

	buf_clear(&c->answer.text);
	buf_clear(&c->answer.structured);
	va_start(args, format);
	buf_addv(&c->answer.text, format, args);
	va_end(args);
	c->answer.is_error = true;
	meta_set(c, err, code, sqlstate, NULL);
}

static void context_add(struct buf *b, const struct context *x)
{
	buf_addf(b, "role %s, warehouse %s", x->role ? x->role : "(default)",
		 x->warehouse ? x->warehouse : "(default)");
	if (x->database)
		buf_addf(b, ", %s%s%s", x->database, x->schema ? "." : "", x->schema ? x->schema : "");
}

/* The next step, by Snowflake's code (snowflake-rest.md A.6) or by ours. */
static const char *advice_of(const struct failure *f)
{
	static const struct {
		const char *code, *advice;
	} by_code[] = {
	    {"000606", "Name a warehouse: argument `warehouse`, or set_context."},
	    {"000904", "Check the column names with describe_object."},
	    {"001003", "Correct the syntax and send the statement again."},
	    {"002003",
	     "Check the name with list_objects; names in quotes are case-sensitive; a role may lack the grant."},
	    {"002043", "Check the name with list_objects; a role may lack the grant."},
	    {"003001", "This role may not do that; use another role or ask for the grant."},
	    {"090105", "Set a database: argument `database`, set_context, or write DATABASE.SCHEMA.NAME."},
	    {"391918", "list_objects with kind `database` shows what there is."},
	    {"391920", "list_objects with kind `warehouse` shows what there is."},
	    {"000604", "The statement was cancelled."},
	    {"000630", "Narrow the query, or give it more time with timeout_seconds."},
	};

	for (size_t i = 0; f->code && i < ARRAY_LEN(by_code); i++)
		if (strcmp(by_code[i].code, f->code) == 0)
			return by_code[i].advice;
	switch (f->err) {
	case ERR_UPSTREAM:
	case ERR_UPSTREAM_BUSY:
	case ERR_UPSTREAM_ANSWER:
		return "Nothing is wrong with the statement; try again in a moment.";
	case ERR_TIMEOUT:
		return "Narrow the query, or give it more time with timeout_seconds.";
	case ERR_OUTCOME_UNKNOWN:
		return "Look whether its effect is there before you send it again.";
	default:
		return NULL;
	}
}

/* Of a script what stands before the statement that failed is done (snowflake-rest.md A.7), but for an open
 * transaction: as a whole it may not be sent again. */
static void told_partly_done(struct call *c)
{
	buf_adds(&c->answer.text,
		 "\nStatements of the script before the one that failed stay done, unless they were in a "
		 "transaction; look at the data before you send any of them again.");
	json_object_set_new(json_object_get(c->answer.meta, "snowgate/error"), "retryable", json_false());
}

/* Its rows had begun to come: it has ended well, and must not be run again for them. */
static const char *advice_on_rows(struct call *c, const struct statement *s, const char *handle)
{
	bool upstream = s->failure.err == ERR_UPSTREAM || s->failure.err == ERR_UPSTREAM_BUSY ||
			s->failure.err == ERR_UPSTREAM_ANSWER;

	if (!upstream || s->metadata || !s->partitions_n || !*handle)
		return NULL;
	return arena_printf(c->arena, "The statement itself has ended well: get_result(\"%s\") reads its rows again.",
			    handle);
}

void tool_statement_error(struct call *c, const struct statement *s)
{
	const struct failure *f = &s->failure;
	enum err err = f->err != ERR_OK ? f->err : s->state == STATEMENT_CANCELLED ? ERR_CANCELLED : ERR_UPSTREAM;
	const char *handle = statement_handle_text(c, s), *rows = advice_on_rows(c, s, handle);
	const char *advice = rows ? rows : advice_of(f);
	struct buf *b = &c->answer.text;

	buf_clear(b);
	buf_clear(&c->answer.structured);
	if (f->code)
		buf_addf(b, "%s: ", f->code);
	buf_adds(b, f->message && *f->message ? f->message : err_info(err)->text);
	buf_adds(b, "\nContext: ");
	context_add(b, &s->context);
	if (advice)
		buf_addf(b, ".\n%s", advice);
	c->answer.is_error = true;
	meta_set(c, err, f->code, f->sqlstate, handle);
	if (err == ERR_OUTCOME_UNKNOWN)
		meta_outcome_unknown(c, s);
	else if (s->write && s->statements > 1 && s->handle[0])
		told_partly_done(c);
}
