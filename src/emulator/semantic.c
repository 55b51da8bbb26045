/* Semantic views: CREATE and DROP remember tables, relationships, facts, dimensions and metrics in "_SF_SEMANTIC". */
#include "semantic.h"

#include <stdio.h>
#include <string.h>

#define META          "\"_SF\".main."
#define EXPAND_LEVELS 8

static const char *const KIND_NAMES[] = {"TABLE", "RELATIONSHIP", "FACT", "DIMENSION", "METRIC"};

struct part {
	enum semantic_kind kind;
	char table[PLAN_NAME_MAX], name[PLAN_NAME_MAX]; /* a TABLE: its alias in both */
	struct plan_object base;                        /* TABLE */
	char other[PLAN_NAME_MAX];                      /* RELATIONSHIP: the table that is referred to */
	int keys, other_keys;                           /* the "(" of column lists; 0: none */
	int from, to;                                   /* the expression */
	struct buf synonyms;
	char comment[512];
};

struct semantic {
	struct rewriter *r;
	struct token *t;
	struct plan_object view;
	struct part *parts;
	size_t parts_n;
	char comment[512];
};

static struct part *add_part(struct semantic *s, enum semantic_kind kind)
{
	s->parts = xrealloc(s->parts, (s->parts_n + 1) * sizeof *s->parts);
	s->parts[s->parts_n] = (struct part){.kind = kind, .synonyms = buf_with_ceiling(4096)};
	return &s->parts[s->parts_n++];
}

static void literal_text(const struct token *t, char *out, size_t size)
{
	struct buf text = buf_with_ceiling(4096);

	token_string(t, &text);
	snprintf(out, size, "%s", buf_text(&text));
	buf_free(&text);
}

/* [WITH SYNONYMS [=] ('a', 'b')] [COMMENT = 'x'] [PRIMARY KEY (..)] [UNIQUE (..)]. False at anything else. */
static bool parse_property(struct semantic *s, struct part *p, int *i)
{
	const struct token *t = &s->t[*i];

	if (token_is(t, "COMMENT") && token_is_op(t + 1, "=") && t[2].kind == TOKEN_STRING) {
		literal_text(t + 2, p->comment, sizeof p->comment);
		*i += 3;
	} else if (token_is(t, "WITH") && token_is(t + 1, "SYNONYMS")) {
		int open = *i + 2 + token_is_op(t + 2, "=");

		if (!token_is_op(&s->t[open], "("))
			return false;
		for (int k = open + 1; k < s->t[open].mate; k++) {
			char text[256];

			if (s->t[k].kind != TOKEN_STRING)
				continue;
			literal_text(&s->t[k], text, sizeof text);
			buf_addf(&p->synonyms, "%s\"%s\"", p->synonyms.n ? "," : "", text);
		}
		*i = s->t[open].mate + 1;
	} else if (token_is(t, "PRIMARY") && token_is(t + 1, "KEY") && token_is_op(t + 2, "(")) {
		p->keys = *i + 2;
		*i = t[2].mate + 1;
	} else if (token_is(t, "UNIQUE") && token_is_op(t + 1, "(")) {
		*i = t[1].mate + 1;
	} else {
		return false;
	}
	return true;
}

/* [alias AS] table [properties] */
static void parse_table(struct semantic *s, int from, int to)
{
	struct part *p = add_part(s, SEMANTIC_TABLE);
	struct name name;

	parse_name(s->r, from, &name);
	if (name.parts)
		snprintf(p->name, sizeof p->name, "%s", name.part[name.parts - 1]);
	if (token_is(&s->t[from + 1], "AS"))
		parse_name(s->r, from + 2, &name);
	snprintf(p->table, sizeof p->table, "%s", p->name);
	if (!resolve_object(s->r, &name, PLAN_TABLE, &p->base))
		return;
	require_object(s->r, &p->base);
	for (int i = name.next; i < to;)
		if (!parse_property(s, p, &i)) {
			fail_at(s->r, &s->t[i]);
			return;
		}
}

/* [name AS] table (columns) REFERENCES table [(columns)] */
static void parse_relationship(struct semantic *s, int from, int to)
{
	struct part *p = add_part(s, SEMANTIC_RELATIONSHIP);
	int i = from;

	if (token_is(&s->t[from + 1], "AS")) {
		token_name(&s->t[from], p->name, sizeof p->name);
		i += 2;
	}
	token_name(&s->t[i], p->table, sizeof p->table);
	if (!token_is_op(&s->t[i + 1], "(") || !token_is(&s->t[s->t[i + 1].mate + 1], "REFERENCES")) {
		fail_at(s->r, &s->t[i + 1]);
		return;
	}
	p->keys = i + 1;
	i = s->t[i + 1].mate + 2;
	token_name(&s->t[i], p->other, sizeof p->other);
	if (i + 1 < to && token_is_op(&s->t[i + 1], "("))
		p->other_keys = i + 1;
	if (!p->name[0])
		snprintf(p->name, sizeof p->name, "%.120s_TO_%.120s", p->table, p->other);
}

/* table.name AS expression [properties] */
static void parse_expression(struct semantic *s, enum semantic_kind kind, int from, int to)
{
	struct part *p = add_part(s, kind), found;
	int i;

	from += token_in(&s->t[from], "|PUBLIC|PRIVATE|") && token_is_name(&s->t[from + 1]);
	if (!token_is_name(&s->t[from]) || !token_is_op(&s->t[from + 1], ".") || !token_is_name(&s->t[from + 2]) ||
	    !token_is(&s->t[from + 3], "AS")) {
		fail_at(s->r, &s->t[from]);
		return;
	}
	token_name(&s->t[from], p->table, sizeof p->table);
	token_name(&s->t[from + 2], p->name, sizeof p->name);
	p->from = from + 4;
	found = (struct part){.synonyms = buf_with_ceiling(4096)};
	for (i = p->from; i < to && !(token_is(&s->t[i], "COMMENT") && token_is_op(&s->t[i + 1], "=")) &&
			  !(token_is(&s->t[i], "WITH") && token_is(&s->t[i + 1], "SYNONYMS"));)
		i = s->t[i].mate > i ? s->t[i].mate + 1 : i + 1;
	p->to = i;
	while (i < to && parse_property(s, &found, &i))
		continue;
	p->synonyms = found.synonyms;
	memcpy(p->comment, found.comment, sizeof p->comment);
	if (i < to || p->to == p->from)
		fail_at(s->r, &s->t[i]);
}

static void parse_list(struct semantic *s, enum semantic_kind kind, int open)
{
	struct items *items = xalloc(sizeof *items);

	split_items(s->r, open + 1, s->t[open].mate, items);
	for (int k = 0; k < items->n && s->r->plan->kind != PLAN_ERROR; k++) {
		if (kind == SEMANTIC_TABLE)
			parse_table(s, items->from[k], items->to[k]);
		else if (kind == SEMANTIC_RELATIONSHIP)
			parse_relationship(s, items->from[k], items->to[k]);
		else
			parse_expression(s, kind, items->from[k], items->to[k]);
	}
	free(items);
}

static void parse_clauses(struct semantic *s, int i)
{
	static const char *const WORDS[] = {"TABLES", "RELATIONSHIPS", "FACTS", "DIMENSIONS", "METRICS"};

	while (i < s->r->tokens.n && s->r->plan->kind != PLAN_ERROR) {
		size_t k = 0;

		while (k < ARRAY_LEN(WORDS) && !token_is(&s->t[i], WORDS[k]))
			k++;
		if (k < ARRAY_LEN(WORDS) && token_is_op(&s->t[i + 1], "(")) {
			parse_list(s, (enum semantic_kind)k, i + 1);
			i = s->t[i + 1].mate + 1;
		} else if (token_is(&s->t[i], "COMMENT") && token_is_op(&s->t[i + 1], "=")) {
			literal_text(&s->t[i + 2], s->comment, sizeof s->comment);
			i += 3;
		} else if (token_is(&s->t[i], "COPY") && token_is(&s->t[i + 1], "GRANTS")) {
			i += 2;
		} else {
			fail_at(s->r, &s->t[i]);
		}
	}
}

/* ---- expressions ---- */

static const struct part *find_expression(const struct semantic *s, const char *table, const char *name)
{
	for (size_t k = 0; k < s->parts_n; k++)
		if (s->parts[k].kind >= SEMANTIC_FACT && !strcmp(s->parts[k].table, table) &&
		    !strcmp(s->parts[k].name, name))
			return &s->parts[k];
	return NULL;
}

static bool is_column(const struct semantic *s, const struct part *p, int i)
{
	const struct token *t = &s->t[i];

	return token_is_name(t) && !is_keyword(t) && !token_is_op(t + 1, "(") && !token_is_op(t - 1, ".") &&
	       !token_is_op(t - 1, "::") && (i == p->from || !token_is(t - 1, "AS")) &&
	       !(token_is_op(t - 1, "(") && token_in(t - 2, "|DATEADD|DATEDIFF|DATE_TRUNC|DATE_PART|") &&
		 date_part_name(t));
}

/* The expression with every column qualified and every named expression put in its place. */
static void add_expression(struct semantic *s, const struct part *p, int level, struct buf *out)
{
	char table[PLAN_NAME_MAX], name[PLAN_NAME_MAX];

	if (level > EXPAND_LEVELS) {
		plan_fail(s->r->plan, "000603", "42601",
			  "SQL compilation error:\nthe expression of '%s' refers to itself.", p->name);
		return;
	}
	for (int i = p->from; i < p->to; i++) {
		bool qualified = token_is_op(&s->t[i + 1], ".") && token_is_name(&s->t[i + 2]);
		const struct part *inner;

		if (s->t[i].spaced && out->n)
			buf_addc(out, ' ');
		if (!is_column(s, p, i)) {
			buf_add(out, s->t[i].text, s->t[i].n);
			continue;
		}
		token_name(&s->t[i], qualified ? table : name, PLAN_NAME_MAX);
		if (qualified)
			token_name(&s->t[i + 2], name, sizeof name);
		else
			snprintf(table, sizeof table, "%s", p->table);
		inner = find_expression(s, table, name);
		if (inner && inner != p) {
			buf_adds(out, "(");
			add_expression(s, inner, level + 1, out);
			buf_adds(out, ")");
		} else {
			add_quoted(out, table);
			buf_addc(out, '.');
			add_quoted(out, name);
		}
		i += qualified ? 2 : 0;
	}
}

/* ["A","B"] */
static void add_keys(const struct semantic *s, int open, struct buf *out)
{
	bool first = true;

	for (int i = open + 1; open && i < s->t[open].mate; i++) {
		char name[PLAN_NAME_MAX];

		if (!token_is_name(&s->t[i]))
			continue;
		token_name(&s->t[i], name, sizeof name);
		buf_addf(out, "%s\"%s\"", first ? "[" : ",", name);
		first = false;
	}
	buf_adds(out, first ? "" : "]");
}

/* ---- what is remembered ---- */

static const struct part *find_table(const struct semantic *s, const char *name)
{
	for (size_t k = 0; k < s->parts_n; k++)
		if (s->parts[k].kind == SEMANTIC_TABLE && !strcmp(s->parts[k].name, name))
			return &s->parts[k];
	return NULL;
}

/* The type that DuckDB gives the expression over its own table; a metric of several tables has none. */
static void add_data_type(struct semantic *s, const struct part *p, const char *expression, struct buf *out)
{
	const struct part *table = find_table(s, p->table);
	struct rewriter inner = *s->r;
	char *emitted;

	if (p->kind < SEMANTIC_FACT || !table) {
		buf_adds(out, "NULL");
		return;
	}
	lex_sql(expression, strlen(expression), &inner.tokens);
	inner.t = inner.tokens.items;
	emitted = emit_text(&inner, 0, inner.tokens.n);
	buf_addf(out,
		 p->kind == SEMANTIC_METRIC ? "(SELECT _sf_type_name(typeof(%s)) FROM "
					    : "(SELECT _sf_type_name(typeof(any_value(%s))) FROM ",
		 emitted);
	add_object(out, &table->base);
	buf_addc(out, ' ');
	add_quoted(out, p->table);
	buf_adds(out, ")");
	free(emitted);
	lex_free(&inner.tokens);
}

static void remember_part(struct semantic *s, const struct part *p, size_t position)
{
	struct buf *out = &s->r->plan->after, expression = buf_with_ceiling(1 << 16), keys = buf_with_ceiling(8192),
		   other = buf_with_ceiling(8192);

	if (p->kind == SEMANTIC_TABLE)
		add_object(&expression, &p->base);
	else if (p->kind >= SEMANTIC_FACT)
		add_expression(s, p, 0, &expression);
	if (p->kind >= SEMANTIC_FACT && !find_table(s, p->table))
		plan_fail(s->r->plan, "000904", "42000", "SQL compilation error:\ninvalid identifier '%s'", p->table);
	add_keys(s, p->keys, &keys);
	add_keys(s, p->other_keys, &other);
	if (p->kind == SEMANTIC_RELATIONSHIP && !other.n && find_table(s, p->other))
		add_keys(s, find_table(s, p->other)->keys, &other);
	buf_adds(out, "INSERT INTO " META "\"_SF_SEMANTIC\" SELECT ");
	for (int k = 0; k < 3; k++) {
		add_literal(out, k == 0 ? s->view.database : k == 1 ? s->view.schema : s->view.name);
		buf_adds(out, ", ");
	}
	buf_addf(out, "%zu, '%s', ", position, KIND_NAMES[p->kind]);
	for (int k = 0; k < 6; k++) {
		const char *texts[] = {p->table,        p->name,  buf_text(&expression),
				       buf_text(&keys), p->other, buf_text(&other)};

		add_literal(out, texts[k]);
		buf_adds(out, ", ");
	}
	add_data_type(s, p, buf_text(&expression), out);
	buf_adds(out, ", ");
	buf_clear(&keys);
	if (p->synonyms.n)
		buf_addf(&keys, "[%s]", buf_text(&p->synonyms));
	add_literal(out, buf_text(&keys));
	buf_adds(out, ", ");
	add_literal(out, p->comment);
	buf_adds(out, "; ");
	buf_free(&expression);
	buf_free(&keys);
	buf_free(&other);
}

static void forget(struct rewriter *r, const struct plan_object *o, struct buf *out)
{
	static const char *const TABLES[][2] = {{"_SF_OBJECT", "name"}, {"_SF_SEMANTIC", "view_name"}};

	for (size_t k = 0; k < ARRAY_LEN(TABLES) && r->plan->kind != PLAN_ERROR; k++) {
		buf_addf(out, "DELETE FROM " META "\"%s\" WHERE db = ", TABLES[k][0]);
		add_literal(out, o->database);
		buf_adds(out, " AND sc = ");
		add_literal(out, o->schema);
		buf_addf(out, " AND %s = ", TABLES[k][1]);
		add_literal(out, o->name);
		buf_adds(out, "; ");
	}
}

static void remember_view(struct semantic *s)
{
	struct buf *out = &s->r->plan->after;
	const struct token *last = &s->t[s->r->tokens.n - 1];
	char *body = xstrndup(s->t[0].text, (size_t)(last->text + last->n - s->t[0].text));

	buf_adds(out, "INSERT INTO " META "\"_SF_OBJECT\" VALUES (");
	for (int k = 0; k < 3; k++) {
		add_literal(out, k == 0 ? s->view.database : k == 1 ? s->view.schema : s->view.name);
		buf_adds(out, ", ");
	}
	buf_adds(out, "'SEMANTIC VIEW', now(), ");
	add_literal(out, s->r->context->role ? s->r->context->role : "SYSADMIN");
	buf_adds(out, ", ");
	add_literal(out, s->comment);
	buf_adds(out, ", ");
	add_literal(out, body);
	buf_adds(out, "); ");
	free(body);
}

void create_semantic_view(struct rewriter *r, int name_at, bool replace, bool if_not_exists)
{
	struct semantic *s = xalloc(sizeof *s);
	struct plan *plan = r->plan;
	struct name name;

	s->r = r;
	s->t = r->t;
	parse_name(r, name_at, &name);
	if (resolve_object(r, &name, PLAN_TABLE, &s->view)) {
		plan->created = s->view;
		plan->creates = !replace;
		plan->if_not_exists = if_not_exists;
		plan->writes = true;
		snprintf(plan->write_target, sizeof plan->write_target, "schema '%s'", s->view.schema);
		parse_clauses(s, name.next);
		forget(r, &s->view, &plan->after);
		for (size_t k = 0; k < s->parts_n && plan->kind != PLAN_ERROR; k++)
			remember_part(s, &s->parts[k], k);
		if (plan->kind != PLAN_ERROR) {
			remember_view(s);
			plan->kind = PLAN_MESSAGE;
			snprintf(plan->message, sizeof plan->message, "Semantic view %s successfully created.",
				 s->view.name);
		}
	}
	for (size_t k = 0; k < s->parts_n; k++)
		buf_free(&s->parts[k].synonyms);
	free(s->parts);
	free(s);
}

void drop_semantic_view(struct rewriter *r, int name_at, bool if_exists)
{
	struct plan_object view;
	struct name name;

	parse_name(r, name_at, &name);
	if (!resolve_object(r, &name, PLAN_TABLE, &view))
		return;
	require_object(r, &view)->optional = if_exists;
	r->plan->writes = true;
	snprintf(r->plan->write_target, sizeof r->plan->write_target, "semantic view '%s'", view.name);
	forget(r, &view, &r->plan->after);
	if (r->plan->kind == PLAN_ERROR)
		return;
	r->plan->kind = PLAN_MESSAGE;
	snprintf(r->plan->message, sizeof r->plan->message, "%s successfully dropped.", view.name);
}
