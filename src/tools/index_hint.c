/* "Did you mean": the names nearest to the one that a failed statement did not find, from the index of the role it ran
 * under. Where that index has not begun, one SHOW is sent before the error is told. */
#include "index_fill.h"

#include <string.h>

/* Codes that say that a name is not there (snowflake-rest.md A.6); the set is read off the message where it says. */
static const struct hinted {
	const char *code;
	enum index_set set;
} hinted[] = {
    {"002003", SET_OBJECTS},   {"002043", SET_OBJECTS},    {"000904", SET_COLUMNS},
    {"391918", SET_DATABASES}, {"391920", SET_WAREHOUSES},
};

#define TOKENS_MAX   64 /* names of a statement among which its tables are looked for */
#define SQL_WITHIN   65536
#define SHOW_SECONDS 5 /* for which an error may wait; the request gives up soon after (request_within()) */

struct hint {
	const struct statement *s;
	struct nearest nearest;
	struct sql_name name;
	struct fill *fill;
	const char *objects[TOKENS_MAX];
};

static const struct hinted *hinted_of(const struct statement *s)
{
	const struct failure *f = &s->failure;

	for (size_t i = 0; f->code && i < ARRAY_LEN(hinted); i++)
		if (s->state == STATEMENT_FAILED && strcmp(hinted[i].code, f->code) == 0)
			return &hinted[i];
	return NULL;
}

/* ---- what was not there ---- */

/* The name between the first two apostrophes: as stored, or as SQL writes it. */
static bool name_quoted(struct call *c, const char *message, struct sql_name *name)
{
	const char *from = message ? strchr(message, '\'') : NULL, *end = from ? strchr(from + 1, '\'') : NULL, *why;
	struct slice text = {from ? from + 1 : NULL, end ? (size_t)(end - from - 1) : 0};

	if (!end || text.n == 0 || text.n > 1024)
		return false;
	if (memchr(text.data, '"', text.n))
		return sql_name_parse(c->arena, text, ARRAY_LEN(name->part), name, &why) == ERR_OK;
	for (*name = (struct sql_name){0}; text.data; name->n++) {
		const char *dot = memchr(text.data, '.', text.n);
		size_t n = dot ? (size_t)(dot - text.data) : text.n;

		if (name->n == ARRAY_LEN(name->part) || n == 0 ||
		    !(name->part[name->n] = arena_strndup(c->arena, text.data, n)))
			return false;
		text = dot ? (struct slice){dot + 1, text.n - n - 1} : (struct slice){0};
	}
	return name->n > 0;
}

static enum index_set set_said(const char *message, enum index_set otherwise)
{
	const char *quote = message ? strchr(message, '\'') : NULL;
	size_t n = quote ? (size_t)(quote - message) : 0;

	if (otherwise != SET_OBJECTS)
		return otherwise;
	if (n >= 9 && memcmp(quote - 9, "Database ", 9) == 0)
		return SET_DATABASES;
	return n >= 7 && memcmp(quote - 7, "Schema ", 7) == 0 ? SET_SCHEMAS : SET_OBJECTS;
}

/* Which tables a statement is about is not worked out: any name in it may be one. */
static void objects_read(struct call *c, struct hint *h)
{
	struct slice sql = {h->s->sql, h->s->sql ? strnlen(h->s->sql, SQL_WITHIN) : 0};
	struct sql_lexer lexer;
	struct sql_token t;

	sql_lexer_init(&lexer, sql);
	for (t = sql_next(&lexer); t.kind != SQL_END && t.kind != SQL_BAD; t = sql_next(&lexer)) {
		const char *name;

		if ((t.kind != SQL_WORD && t.kind != SQL_QUOTED) || h->nearest.objects_n == TOKENS_MAX)
			continue;
		name = sql_ident_fold(c->arena, t.text);
		if (name)
			h->objects[h->nearest.objects_n++] = name;
	}
	h->nearest.objects = h->objects;
}

/* The parts before the last one tell where it was looked for; the context tells the rest. */
static bool hint_read(struct call *c, struct hint *h, enum index_set set)
{
	const struct context *x = &h->s->context;
	struct nearest *n = &h->nearest;
	size_t last;

	n->set = set;
	if (set == SET_DATABASES || set == SET_WAREHOUSES)
		n->name = set == SET_DATABASES ? x->database : x->warehouse;
	if (!name_quoted(c, h->s->failure.message, &h->name))
		return n->name != NULL;
	n->set = set_said(h->s->failure.message, set);
	last = h->name.n - 1;
	n->name = n->name && n->set == set ? n->name : h->name.part[last];
	n->database = x->database;
	n->schema = x->schema;
	if (n->set == SET_OBJECTS && last >= 1)
		n->schema = h->name.part[last - 1];
	if ((n->set == SET_OBJECTS && last == 2) || (n->set == SET_SCHEMAS && last >= 1))
		n->database = h->name.part[0];
	if (n->set == SET_COLUMNS)
		objects_read(c, h);
	return true;
}

/* ---- the hint ---- */

static void place_write(struct buf *b, const struct nearest *n, const struct place *p)
{
	const char *const parts[] = {p->database, n->set == SET_SCHEMAS ? NULL : p->item.schema,
				     n->set == SET_COLUMNS ? p->item.object : p->item.name};
	size_t start;

	if (n->set == SET_COLUMNS) {
		plain_ident(b, p->item.name);
		buf_adds(b, " of ");
	}
	start = b->n;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (!parts[i] || !*parts[i])
			continue;
		if (b->n > start)
			buf_addc(b, '.');
		plain_ident(b, parts[i]);
	}
}

static void hint_write(struct call *c, const struct nearest *n)
{
	struct buf *b = &c->answer.text;

	for (size_t i = 0; i < n->found_n; i++) {
		buf_adds(b, i == 0 ? "\nDid you mean " : i + 1 < n->found_n ? ", " : " or ");
		place_write(b, n, &n->found[i]);
	}
	if (n->found_n)
		buf_addc(b, '?');
}

/* A policy's fixed warehouse is the only one. */
static bool hint_allowed(const struct call *c, const struct nearest *n)
{
	return n->set != SET_WAREHOUSES || !c->request->policy->warehouse;
}

static void hint_tell(struct call *c, struct hint *h, const struct index *x)
{
	if (!x || !hint_allowed(c, &h->nearest))
		return;
	index_nearest(x, &h->nearest);
	hint_write(c, &h->nearest);
}

/* ---- one SHOW for it ---- */

static void hint_digest(struct call *c)
{
	const struct hint *h = c->tool_state;

	fill_digest(c, h->fill);
}

/* The error is the answer again, whatever has become of the SHOW. */
static void hint_end(struct call *c)
{
	struct hint *h = c->tool_state;

	c->answer.is_error = true;
	c->plan_at = (size_t)(h->s - c->plan);
	(void)fill_settle(c, h->fill);
	if (c->fault.err == ERR_OK)
		hint_tell(c, h, catalogue_of(c, &h->s->context, false));
}

/* Nothing may be sent beside a write, whose record ends with it, or where the session was to change. */
static bool hint_may_ask(const struct call *c, const struct hint *h)
{
	return h->s->kind == STATEMENT_RUN && !h->s->write && !c->op.version && !c->change.wanted &&
	       c->plan_n < PLAN_MAX;
}

static bool hint_ask(struct call *c, struct hint *h, struct index *x)
{
	static const struct handler handler = {.answer = hint_digest, .settle = hint_end};
	const char *database = h->s->context.database;
	size_t planned = c->plan_n;

	if (h->nearest.set >= SET_SCHEMAS && !database)
		return false;
	h->fill =
	    fill_plan_set(c, x, &h->s->context, h->nearest.set, h->nearest.set >= SET_SCHEMAS ? database : NULL, NULL);
	if (!h->fill)
		return false;
	c->plan[planned].timeout_s = SHOW_SECONDS;
	c->handler = &handler;
	c->tool_state = h;
	c->plan_at = planned;
	c->answer.is_error = false; /* the work goes on; hint_end() */
	return true;
}

static bool hint_known(const struct hint *h, const struct index *x)
{
	return index_knows(x, h->nearest.set, h->s->context.database);
}

bool hint_settle(struct call *c, bool more)
{
	const struct hinted *code = NULL;
	struct hint *h;
	struct index *x;

	for (size_t i = 0; i < c->plan_n && !code; i++)
		code = hinted_of(&c->plan[i]);
	/* what others were shown under this user and role is not for a policy that does not let it be asked for */
	if (!(c->request->policy->statements & CLASS_METADATA))
		return false;
	h = code ? arena_alloc(c->arena, sizeof *h) : NULL;
	if (!h)
		return false;
	for (h->s = c->plan; hinted_of(h->s) != code; h->s++)
		;
	if (!hint_read(c, h, code->set) || !hint_allowed(c, &h->nearest))
		return false;
	more = more && hint_may_ask(c, h);
	x = catalogue_of(c, &h->s->context, more);
	if (x && more && !hint_known(h, x) && hint_ask(c, h, x))
		return true;
	hint_tell(c, h, x);
	return false;
}

/* ---- what every call brings to its end ---- */

#define TARGET_WITHIN 16384 /* bytes of a statement in which its target is looked for */

/* What a statement has changed is to be read again; where it does not tell a table or view, all of it. */
static void changed_note(struct call *c, const struct statement *s)
{
	struct sql_name name;
	bool told = (c->class & CLASS_DDL) && s->sql && s->statements <= 1 &&
		    sql_target(c->arena, (struct slice){s->sql, strnlen(s->sql, TARGET_WITHIN)}, &name);

	catalogue_stale(c, !told ? NULL : name.n == 3 ? name.part[0] : s->context.database);
}

/* Has it, or may it have, changed what there is? Of a script that failed, some statements may have run. */
static bool has_changed(const struct call *c, const struct statement *s)
{
	if (!c->plan_n || !s->write || !(c->class & (CLASS_DDL | CLASS_DCL)) || s->state < STATEMENT_SUCCEEDED)
		return false;
	return s->state != STATEMENT_FAILED || s->statements > 1;
}

bool tools_settle(struct call *c, bool more)
{
	const struct statement *s = c->plan;

	if (!c->handler)
		return false;
	if (c->handler->settle)
		c->handler->settle(c);
	if (has_changed(c, s))
		changed_note(c, s);
	if (!c->tool || !c->plan_n || !c->answer.is_error || c->answered || c->fault.err != ERR_OK ||
	    c->handler->settle)
		return false;
	return hint_settle(c, more);
}
