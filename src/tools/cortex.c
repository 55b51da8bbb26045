/* What the tools of Cortex share: which service is meant, one request to it, its answer and its failure. */
#include "sets.h"

#include <string.h>

#define PATH_BYTES   900 /* of a request, names of 255 characters and what stands between them */
#define BODY_BYTES   ((size_t)128 << 10)
#define ANSWER_DEPTH 64

/* ---- the service ---- */

static void no_service(struct call *c, enum cortex_kind kind, const char *name)
{
	const struct conf *conf = c->request->conf;
	struct buf known = buf_with_ceiling(4096);

	for (size_t i = 0; i < conf->cortex_n; i++)
		if (conf->cortex[i].kind == kind && cortex_allowed(c->request->policy, &conf->cortex[i]))
			buf_addf(&known, "%s%s", known.n ? ", " : "", conf->cortex[i].name);
	if (known.n)
		tool_error(c, ERR_POLICY, NULL, NULL, "service_name: no service %.100s; there are: %s", name,
			   buf_text(&known));
	else
		tool_error(c, ERR_POLICY, NULL, NULL,
			   "service_name: no service is offered here; the operator names them in the section cortex");
	buf_free(&known);
}

/* Older callers name the place or the model as well; it must be the one that is configured. */
static bool place_fits(struct call *c, const struct cortex_service *s)
{
	const char *model = json_text_of(c->arguments, "semantic_model"), *database, *schema;

	if (argument_ident(c, "database_name", &database) != ERR_OK ||
	    argument_ident(c, "schema_name", &schema) != ERR_OK)
		return false;
	if ((!database || strcmp(database, s->database) == 0) && (!schema || strcmp(schema, s->schema) == 0) &&
	    (!model || !s->model || strcmp(model, s->model) == 0))
		return true;
	tool_error(c, ERR_POLICY, NULL, NULL, "service %s lies in %s.%s; leave out what names another place", s->name,
		   s->database, s->schema);
	return false;
}

const struct cortex_service *cortex_service(struct call *c, enum cortex_kind kind)
{
	const char *name = json_text_of(c->arguments, "service_name");
	const struct cortex_service *s = cortex_find(c->request->conf, c->request->policy, kind, name);

	if (!s)
		no_service(c, kind, name);
	return s && place_fits(c, s) ? s : NULL;
}

/* ---- the request ---- */

/* A stored name as a segment of a path: in quotes where SQL would fold it, then percent-encoded (RFC 3986, 2.3). */
static void segment_add(struct buf *b, const char *name)
{
	struct buf ident = buf_with_ceiling(1024);

	plain_ident(&ident, name);
	for (const char *p = buf_text(&ident); *p; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
			     strchr("-._~$", *p);

		if (plain)
			buf_addc(b, *p);
		else
			buf_addf(b, "%%%02X", (unsigned char)*p);
	}
	buf_free(&ident);
}

const char *cortex_path(struct call *c, const struct cortex_service *s, const char *kind, const char *verb)
{
	struct buf b = buf_with_ceiling(PATH_BYTES);

	buf_adds(&b, "/api/v2/databases/");
	segment_add(&b, s->database);
	buf_adds(&b, "/schemas/");
	segment_add(&b, s->schema);
	buf_addf(&b, "/%s/", kind);
	segment_add(&b, s->object);
	buf_addf(&b, ":%s", verb);
	return arena_text(c->arena, &b);
}

json_t *cortex_question(const char *query)
{
	return json_pack("{s:[{s:s, s:[{s:s, s:s}]}]}", "messages", "role", "user", "content", "type", "text", "text",
			 query);
}

const char *cortex_body(struct call *c, json_t *value)
{
	struct buf b = buf_with_ceiling(BODY_BYTES);
	bool written = value && json_write(&b, value);

	json_decref(value);
	if (written)
		return arena_text(c->arena, &b);
	buf_free(&b);
	return NULL;
}

struct statement *cortex_request(struct call *c, const struct context *x, const char *path, const char *body)
{
	struct statement *s;

	if ((!path || !body) && refuse_memory(c) != ERR_OK)
		return NULL;
	c->deadline = clock_now() + c->request->conf->cortex_timeout;
	s = plan_add(c, STATEMENT_REST, NULL, x);
	if (!s)
		return NULL;
	s->path = path;
	s->body = body;
	c->class = CLASS_READ;
	return s;
}

/* ---- the answer ---- */

void cortex_error(struct call *c, const struct statement *s, const char *what)
{
	const struct failure *f = &s->failure;
	enum err err = f->err != ERR_OK ? f->err : s->state == STATEMENT_CANCELLED ? ERR_CANCELLED : ERR_UPSTREAM;
	const char *advice = "";

	if (err == ERR_SQL)
		advice = "\nCheck that the role may use it (USAGE on it, and the database role SNOWFLAKE.CORTEX_USER), "
			 "or ask the operator to check its place in the section cortex.";
	else if (err == ERR_OUTCOME_UNKNOWN)
		advice =
		    "\nLook at what it may have done before you ask it again. Where it needs more time, the operator "
		    "raises cortex.timeout.";
	else if (err == ERR_TIMEOUT)
		advice = "\nAsk for less at once, or have the operator raise cortex.timeout.";
	else if (err_info(err)->retryable)
		advice = "\nNothing is wrong with the question; try again in a moment.";
	tool_error(c, err, f->code, f->sqlstate, "%s: %s%s%s%s", what, f->code ? f->code : "", f->code ? ": " : "",
		   f->message && *f->message ? f->message : err_info(err)->text, advice);
	if (err == ERR_OUTCOME_UNKNOWN)
		json_object_set_new(json_object_get(c->answer.meta, "snowgate/error"), "outcome",
				    json_string("unknown"));
}

static void answer_drop(void *answer)
{
	cortex_forget(answer);
}

void cortex_forget(json_t **answer)
{
	if (answer)
		json_decref(TAKE(*answer));
}

json_t **cortex_answer(struct call *c, const struct statement *s, const char *what)
{
	json_t **root;

	if (s->state != STATEMENT_SUCCEEDED) {
		cortex_error(c, s, what);
		return NULL;
	}
	root = arena_alloc(c->arena, sizeof *root);
	if (root && arena_attach(c->arena, root, answer_drop) &&
	    json_parse_trusted(buf_slice(&s->raw), root) == JSON_OK && json_is_object(*root))
		return root;
	tool_error(c, ERR_UPSTREAM_ANSWER, NULL, NULL, "%s: its answer is not what its documentation says; try again",
		   what);
	return NULL;
}

struct cell cortex_cell(const json_t *value, struct buf *b)
{
	size_t n;

	if (!value || json_is_null(value))
		return (struct cell){0};
	if (json_is_string(value)) {
		n = json_string_length(value);
		return (struct cell){json_string_value(value), n, n};
	}
	json_write(b, value);
	return (struct cell){buf_text(b), b->n, b->n};
}

void cortex_told_json(struct call *c, struct buf *b, struct slice text)
{
	struct buf cut = buf_with_ceiling(text.n + 64);

	told_within(c, &cut, text);
	json_write_string(b, buf_text(&cut), cut.n);
	buf_free(&cut);
}
