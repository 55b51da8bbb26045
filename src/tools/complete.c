/* completion/complete: names of databases, schemas, objects, warehouses and roles, from the index, which it fills where
 * it has to. */
#include "index_fill.h"

#include "snowgate/log.h"

#include <string.h>
#include <strings.h>

#define VALUES_MAX 100 /* in one answer (mcp-protocol.md 6) */

/* ---- what is asked ---- */

/* Arguments whose values are known here, and what lists them. */
static const struct completed {
	const char *argument;
	enum index_set set;
	size_t depth; /* parts of the scope: the database, and the schema */
} completed[] = {
    {"database", SET_DATABASES, 0},   {"schema", SET_SCHEMAS, 1}, {"object", SET_OBJECTS, 2},
    {"warehouse", SET_WAREHOUSES, 0}, {"role", SETS_N, 0}, /* the policy knows them all */
};

struct completion {
	const struct completed *what; /* NULL: nothing is known of this argument */
	bool in_template;             /* values are segments of a URI, not SQL */
	const char *value;            /* what was typed */
	struct sql_name scope;
	struct context context;
	struct fill *fill;  /* NULL: nothing is to be read */
	struct texts fixed; /* what the policy says already */
	bool is_fixed;
};

static int refuse(struct call *c, const char *why)
{
	return method_fault(c, ERR_INVALID_PARAMS, why);
}

static bool template_takes(const char *uri, const char *argument)
{
	const char *at = uri;
	size_t n = strlen(argument);

	while ((at = strchr(at, '{')))
		if (strncmp(++at, argument, n) == 0 && at[n] == '}')
			return true;
	return false;
}

/* Is there such a prompt or template, and has it this argument? */
static int reference_read(struct call *c, struct completion *w, const char *argument)
{
	const json_t *ref = json_object_get(c->rpc.params, "ref");
	const char *type = json_text_of(ref, "type"), *name = json_text_of(ref, "name");
	const char *uri = json_text_of(ref, "uri");

	if (type && strcmp(type, "ref/prompt") == 0) {
		if (!name || !prompt_exists(c->request->policy, name))
			return refuse(c, "ref.name: no such prompt; prompts/list shows what there is");
		return prompt_takes(name, argument) ? ERR_OK
						    : refuse(c, "argument.name: the prompt has no such argument");
	}
	if (!type || strcmp(type, "ref/resource") != 0)
		return refuse(c, "ref: must be a ref/prompt with its name or a ref/resource with its uri");
	if (!uri || (strcmp(uri, RESOURCE_OBJECT_TEMPLATE) != 0 && strcmp(uri, RESOURCE_RESULT_TEMPLATE) != 0))
		return refuse(c, "ref.uri: no such template; resources/templates/list shows what there is");
	w->in_template = true;
	return template_takes(uri, argument) ? ERR_OK : refuse(c, "argument.name: the template has no such variable");
}

static const struct completed *completed_of(const char *argument)
{
	for (size_t i = 0; i < ARRAY_LEN(completed); i++)
		if (strcmp(completed[i].argument, argument) == 0)
			return &completed[i];
	return NULL;
}

static int params_read(struct call *c, struct completion *w)
{
	const json_t *argument = json_object_get(c->rpc.params, "argument");
	const json_t *context = json_object_get(c->rpc.params, "context");
	const json_t *known = json_object_get(context, "arguments");
	const char *name = json_text_of(argument, "name");
	int rc;

	w->value = json_text_of(argument, "value");
	if (!name || !w->value)
		return refuse(c, "argument: must be an object with the strings name and value");
	if ((context && !json_is_object(context)) || (known && !json_is_object(known)))
		return refuse(c, "context.arguments: must be an object");
	rc = reference_read(c, w, name);
	if (rc == ERR_OK)
		w->what = completed_of(name);
	return rc;
}

/* ---- where to look ---- */

/* A name that an argument already filled in gives, or the context; NULL where neither. */
static const char *scope_part(struct call *c, const char *argument, const char *otherwise)
{
	const json_t *known = json_object_get(json_object_get(c->rpc.params, "context"), "arguments");
	const char *text = json_text_of(known, argument);

	return text && *text ? segment_name(c->arena, text) : otherwise;
}

/* The scope of SHOW; false where it is not known yet, or beyond the policy. */
static bool scope_find(struct call *c, struct completion *w)
{
	const struct context *x = &w->context;
	const char *database = scope_part(c, "database", x->database), *schema;

	if (w->what->depth == 0)
		return true;
	if (!database || !policy_allows_database(c->request->policy, database))
		return false;
	w->scope = (struct sql_name){1, {database}};
	if (w->what->depth == 1)
		return true;
	schema = x->database && strcmp(database, x->database) == 0 ? x->schema : NULL;
	schema = scope_part(c, "schema", schema);
	if (schema)
		w->scope.part[w->scope.n++] = schema;
	return schema != NULL;
}

/* What the policy names itself needs no look at Snowflake. */
static void fixed_find(const struct call *c, struct completion *w)
{
	const struct policy *p = c->request->policy;

	w->is_fixed = true;
	if (strcmp(w->what->argument, "role") == 0)
		w->fixed = p->roles.n || !p->connection || !p->connection->role
			       ? p->roles
			       : (struct texts){1, &p->connection->role};
	else if (strcmp(w->what->argument, "warehouse") == 0 && p->warehouse)
		w->fixed = (struct texts){1, &p->warehouse};
	else if (strcmp(w->what->argument, "database") == 0 && p->databases.n)
		w->fixed = p->databases;
	else
		w->is_fixed = false;
}

/* A statement of its own only where the names are not there yet. */
static bool plan_show(struct call *c, struct completion *w)
{
	struct index *x = catalogue_of(c, &w->context, true);

	if (!x)
		return false;
	w->fill = fill_plan_set(c, x, &w->context, w->what->set, w->scope.part[0], w->scope.part[1]);
	return true;
}

/* Completion must not disturb typing: what cannot be looked up has no values. */
static void nothing_known(struct call *c, struct completion *w)
{
	w->what = NULL;
	buf_clear(&c->answer.text);
	c->answer.meta = NULL;
	c->answer.is_error = false;
}

int plan_complete(struct call *c)
{
	struct completion *w = arena_alloc(c->arena, sizeof *w);
	int rc = w ? params_read(c, w) : method_fault(c, ERR_INTERNAL, "the request is too large");

	c->tool_state = w;
	if (rc != ERR_OK || !w->what)
		return rc;
	fixed_find(c, w);
	if (w->is_fixed)
		return ERR_OK;
	if (!(c->request->policy->statements & CLASS_METADATA) || arguments_context(c, &w->context) != ERR_OK ||
	    !scope_find(c, w) || !plan_show(c, w))
		nothing_known(c, w);
	return ERR_OK;
}

/* ---- the answer ---- */

struct values {
	const struct call *c;
	const struct completion *w;
	json_t *list;
	size_t found;
};

/* SQL reads any name in quotes; a URI's segment needs them only where the case would be lost. */
static void value_add(const struct completion *w, struct values *v, const char *name)
{
	struct buf b = buf_with_ceiling(4096);

	if (w->in_template)
		segment_write(&b, name);
	else
		plain_ident(&b, name);
	json_array_append_new(v->list, json_string(buf_text(&b)));
	buf_free(&b);
}

static void value_offer(struct values *v, const char *name)
{
	const struct completion *w = v->w;
	const char *typed = *w->value == '"' ? w->value + 1 : w->value;

	if (strncasecmp(name, typed, strlen(typed)) != 0)
		return;
	if (strcmp(w->what->argument, "database") == 0 && !policy_allows_database(v->c->request->policy, name))
		return;
	if (v->found++ < VALUES_MAX)
		value_add(w, v, name);
}

static void show_failed(const struct call *c, const struct statement *s)
{
	const struct failure *f = &s->failure;
	enum err err = f->err != ERR_OK ? f->err : ERR_CANCELLED;

	log_event(LOG_WARN, "completion_failed", log_text("request", c->request->id), log_text("sql", s->sql),
		  log_text("error", err_info(err)->name), log_text("code", f->code), log_text("message", f->message));
}

static bool place_offer(const struct place *p, void *ctx)
{
	struct values *v = ctx;

	if (v->w->scope.n < 2 || strcmp(v->w->scope.part[1], p->item.schema) == 0)
		value_offer(v, p->item.name);
	return true;
}

/* All values that fit; false where there may be more than are known. */
static bool values_collect(struct call *c, const struct completion *w, struct values *v)
{
	const struct index *x;

	for (size_t i = 0; w->is_fixed && i < w->fixed.n; i++)
		value_offer(v, w->fixed.v[i]);
	x = w->what && !w->is_fixed ? catalogue_of(c, &w->context, false) : NULL;
	if (!x)
		return !w->what || w->is_fixed;
	index_each(x, w->what->set, w->scope.part[0], place_offer, v);
	return index_has(x, w->what->set, w->scope.part[0], w->scope.part[1]);
}

void answer_complete(struct call *c)
{
	struct completion *w = c->tool_state;

	if (w)
		fill_digest(c, w->fill);
}

void settle_complete(struct call *c)
{
	const struct completion *w = c->tool_state;
	struct values v = {.c = c, .w = w};
	const struct statement *failed;
	bool whole;

	if (!w)
		return;
	failed = fill_settle(c, w->fill);
	if (c->fault.err != ERR_OK)
		return;
	if (failed)
		show_failed(c, failed);
	v.list = json_array();
	whole = values_collect(c, w, &v) || failed;
	if (!completion_write(&c->result, c->revision, v.list, whole ? (int64_t)v.found : -1,
			      v.found > VALUES_MAX || !whole))
		method_fault(c, ERR_INTERNAL, "the values do not fit into an answer");
	json_decref(v.list);
}
