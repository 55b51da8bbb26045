/* What Snowflake says of a column beyond DuckDB's types: digits, lengths, NOT NULL, OBJECT and ARRAY, derived from the
 * text of the select list and the remembered columns of the tables. */
#include "engine_parts.h"

#include <stdio.h>
#include <string.h>
#include "rewriter.h"
#include "values.h"

#define TEXT_MAX      16777216
#define DIGITS_MAX    38
#define SUM_DIGITS    12 /* what SUM adds to the digits of its argument */
#define DERIVE_LEVELS 40

enum derived_class { DERIVED_UNKNOWN, DERIVED_FIXED, DERIVED_TEXT, DERIVED_NAMED };

struct derived {
	enum derived_class class;
	char type[16]; /* DERIVED_NAMED: as rowType shows it */
	int precision, scale;
	int64_t length;
	bool not_null;
};

struct field {
	char *name, *type;
	bool not_null;
};

struct derivation {
	struct run *run;
	struct rewriter r;
	struct field *fields; /* of the tables that the statement names; asked for when first needed */
	size_t fields_n;
	bool asked, joins_outer;
	int i, end, level;
};

static struct derived derive_sum(struct derivation *d);

static struct derived fixed(int precision, int scale, bool not_null)
{
	precision = precision > DIGITS_MAX ? DIGITS_MAX : precision < 1 ? 1 : precision;
	return (struct derived){.class = DERIVED_FIXED, .precision = precision, .scale = scale, .not_null = not_null};
}

static struct derived text_of(int64_t length, bool not_null)
{
	return (struct derived){
	    .class = DERIVED_TEXT, .length = length < TEXT_MAX ? length : TEXT_MAX, .not_null = not_null};
}

static struct derived named(const char *type)
{
	struct derived out = {.class = DERIVED_NAMED};

	snprintf(out.type, sizeof out.type, "%s", type);
	return out;
}

/* ---- the tables' columns ---- */

static void add_field(struct derivation *d, duckdb_data_chunk chunk, idx_t row)
{
	struct field f = {0};
	char **texts[] = {&f.name, &f.type};

	for (idx_t c = 0; c < 2; c++) {
		duckdb_logical_type type = duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR);

		*texts[c] = cell_text(duckdb_data_chunk_get_vector(chunk, c), type, row);
		duckdb_destroy_logical_type(&type);
	}
	f.not_null = !((bool *)duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 2)))[row];
	if (!f.name || !f.type) {
		free(f.name);
		free(f.type);
		return;
	}
	d->fields = xrealloc(d->fields, (d->fields_n + 1) * sizeof *d->fields);
	d->fields[d->fields_n++] = f;
}

/* One table's columns; the view of all columns would be read whole for every statement. */
static void add_field_query(const struct plan_object *o, struct buf *sql)
{
	struct buf name = buf_with_ceiling(4 * PLAN_NAME_MAX);

	if (!o->name[0] || o->kind == PLAN_SEQUENCE)
		return;
	add_object(&name, o);
	buf_adds(sql, sql->n ? " UNION ALL " : "");
	buf_adds(sql,
		 "SELECT i.name, COALESCE(m.type, _sf_type_name(i.type)), NOT i.\"notnull\" FROM pragma_table_info(");
	add_literal(sql, buf_text(&name));
	buf_adds(sql, ") i LEFT JOIN (SELECT col, type FROM \"_SF\".main.\"_SF_COLUMN\" WHERE db = ");
	add_literal(sql, o->database);
	buf_adds(sql, " AND sc = ");
	add_literal(sql, o->schema);
	buf_adds(sql, " AND tb = ");
	add_literal(sql, o->name);
	buf_adds(sql, ") m ON m.col = i.name");
	buf_free(&name);
}

static void ask_fields(struct derivation *d)
{
	struct buf sql = buf_with_ceiling(1 << 20);
	duckdb_data_chunk chunk;
	duckdb_result result;

	d->asked = true;
	for (size_t i = 0; i < d->run->plan->objects_n; i++)
		add_field_query(&d->run->plan->objects[i], &sql);
	if (!sql.n)
		return;
	if (duckdb_query(d->run->connection, buf_text(&sql), &result) == DUCKDB_SUCCESS) {
		while ((chunk = duckdb_fetch_chunk(result)) != NULL) {
			for (idx_t i = 0; i < duckdb_data_chunk_get_size(chunk); i++)
				add_field(d, chunk, i);
			duckdb_destroy_data_chunk(&chunk);
		}
	}
	duckdb_destroy_result(&result);
	buf_free(&sql);
}

static struct derived of_type(struct type_text *type, bool not_null)
{
	int precision = DIGITS_MAX, scale = 0;

	if (type->class == TYPE_TEXT)
		return text_of(type->length ? type->length : TEXT_MAX, not_null);
	if (!strncmp(type->snowflake, "NUMBER(", 7)) {
		char *comma = strchr(type->snowflake, ',');

		precision = (int)strtol(type->snowflake + 7, NULL, 10);
		scale = comma ? (int)strtol(comma + 1, NULL, 10) : 0;
		return fixed(precision, scale, not_null);
	}
	if (type->class == TYPE_SEMI || type->class == TYPE_GEO) {
		struct derived out = named(type->class == TYPE_GEO              ? "object"
					   : !strcmp(type->snowflake, "OBJECT") ? "object"
					   : !strcmp(type->snowflake, "ARRAY")  ? "array"
										: "variant");

		out.not_null = not_null;
		return out;
	}
	return (struct derived){.class = DERIVED_UNKNOWN, .not_null = not_null};
}

/* A type as DESCRIBE shows it. */
static struct derived of_type_name(const char *text, bool not_null)
{
	struct rewriter r = {0};
	struct type_text type;
	struct derived out;

	lex_sql(text, strlen(text), &r.tokens);
	r.t = r.tokens.items;
	parse_type(&r, 0, &type);
	out = type.known ? of_type(&type, not_null) : (struct derived){.not_null = not_null};
	lex_free(&r.tokens);
	return out;
}

/* The one type of all columns of that name; unknown where the tables differ. */
static struct derived of_column(struct derivation *d, const char *name)
{
	struct derived out = {0};
	const char *type = NULL;
	bool not_null = true;

	if (!d->asked)
		ask_fields(d);
	for (size_t i = 0; i < d->fields_n; i++) {
		if (strcmp(d->fields[i].name, name))
			continue;
		if (type && strcmp(type, d->fields[i].type))
			return out;
		type = d->fields[i].type;
		not_null = not_null && d->fields[i].not_null;
	}
	return type ? of_type_name(type, not_null && !d->joins_outer) : out;
}

/* ---- expressions ---- */

static const struct token *at(const struct derivation *d)
{
	return &d->r.t[d->i];
}

static bool is_op(const struct derivation *d, const char *op)
{
	return d->i < d->end && token_is_op(at(d), op);
}

static struct derived derive_number(const struct token *t)
{
	int digits = 0, scale = 0;
	bool point = false;

	for (size_t i = 0; i < t->n; i++) {
		if (t->text[i] == '.')
			point = true;
		else if (t->text[i] < '0' || t->text[i] > '9')
			return (struct derived){.not_null = true};
		else if (digits || t->text[i] != '0' || point)
			digits++, scale += point;
	}
	return fixed(digits, scale, true);
}

/* Characters, not bytes. */
static struct derived derive_string(const struct token *t)
{
	struct buf value = buf_with_ceiling(1 << 24);
	int64_t n = 0;

	token_string(t, &value);
	for (size_t i = 0; i < value.n; i++)
		n += ((unsigned char)value.data[i] & 0xc0) != 0x80;
	buf_free(&value);
	return text_of(n, true);
}

static struct derived derive_between(struct derivation *d, int from, int to)
{
	struct derivation inner = *d;
	struct derived out;

	inner.i = from;
	inner.end = to;
	out = derive_sum(&inner);
	d->asked = inner.asked;
	d->fields = inner.fields;
	d->fields_n = inner.fields_n;
	return inner.i == to ? out : (struct derived){0};
}

static struct derived derive_cast(struct derivation *d, int open)
{
	int as = open + 1, close = d->r.t[open].mate;
	struct type_text type;

	while (as < close && !token_is(&d->r.t[as], "AS"))
		as = d->r.t[as].mate > as ? d->r.t[as].mate + 1 : as + 1;
	if (as >= close)
		return (struct derived){0};
	parse_type(&d->r, as + 1, &type);
	return type.known ? of_type(&type, derive_between(d, open + 1, as).not_null) : (struct derived){0};
}

static struct derived derive_call(struct derivation *d)
{
	static const char OBJECTS[] =
	    "|OBJECT_CONSTRUCT|OBJECT_CONSTRUCT_KEEP_NULL|OBJECT_AGG|OBJECT_INSERT|OBJECT_DELETE|"
	    "OBJECT_PICK|TO_OBJECT|TO_GEOGRAPHY|TO_GEOMETRY|ST_MAKEPOINT|ST_POINT|";
	static const char ARRAYS[] =
	    "|ARRAY_CONSTRUCT|ARRAY_CONSTRUCT_COMPACT|ARRAY_AGG|ARRAYAGG|ARRAY_UNIQUE_AGG|"
	    "ARRAY_CAT|ARRAY_APPEND|ARRAY_PREPEND|ARRAY_DISTINCT|ARRAY_COMPACT|ARRAY_SLICE|"
	    "ARRAY_SORT|ARRAY_INTERSECTION|ARRAY_EXCEPT|ARRAY_INSERT|ARRAY_REMOVE|ARRAY_REMOVE_AT|"
	    "ARRAY_FLATTEN|ARRAY_GENERATE_RANGE|SPLIT|STRTOK_TO_ARRAY|OBJECT_KEYS|TO_ARRAY|"
	    "ARRAY_REVERSE|FILTER|TRANSFORM|REGEXP_EXTRACT_ALL|REGEXP_SUBSTR_ALL|";
	static const char COUNTS[] = "|COUNT|COUNT_IF|ROW_NUMBER|RANK|DENSE_RANK|NTILE|APPROX_COUNT_DISTINCT|HLL|";
	const struct token *t = at(d);
	int open = d->i + 1, close = d->r.t[open].mate;
	struct derived out = {0};

	if (token_in(t, OBJECTS)) {
		out = named("object");
	} else if (token_in(t, ARRAYS)) {
		out = named("array");
	} else if (token_in(t, COUNTS)) {
		out = fixed(18, 0, true);
	} else if (token_in(t, "|CAST|TRY_CAST|")) {
		out = derive_cast(d, open);
	} else if (token_in(t, "|SUM|MIN|MAX|ANY_VALUE|LOWER|UPPER|TRIM|LTRIM|RTRIM|REVERSE|FIRST_VALUE|LAST_VALUE|")) {
		out = derive_between(d, open + 1, close);
		out.not_null = false;
		if (token_is(t, "SUM"))
			out = out.class == DERIVED_FIXED ? fixed(out.precision + SUM_DIGITS, out.scale, false)
							 : (struct derived){0};
	}
	d->i = close + 1;
	if (token_is(at(d), "WITHIN") && token_is_op(&d->r.t[d->i + 2], "("))
		d->i = d->r.t[d->i + 2].mate + 1;
	if (token_is(at(d), "OVER"))
		d->i = token_is_op(&d->r.t[d->i + 1], "(") ? d->r.t[d->i + 1].mate + 1 : d->i + 2;
	return out;
}

static struct derived derive_primary(struct derivation *d)
{
	const struct token *t = at(d);
	struct derived out = {0};
	struct name name;

	if (d->i >= d->end)
		return out;
	if (t->kind == TOKEN_NUMBER || t->kind == TOKEN_STRING) {
		d->i++;
		return t->kind == TOKEN_NUMBER ? derive_number(t) : derive_string(t);
	}
	if (token_is_op(t, "(") && t->mate > d->i && !token_in(t + 1, "|SELECT|WITH|")) {
		out = derive_between(d, d->i + 1, t->mate);
		d->i = t->mate + 1;
		return out;
	}
	if (token_in(t, "|TRUE|FALSE|")) {
		d->i++;
		out.not_null = true;
		return out;
	}
	if (!token_is_name(t) || is_keyword(t))
		return out;
	if (token_is_op(t + 1, "(") && t[1].mate > 0)
		return derive_call(d);
	parse_name(&d->r, d->i, &name);
	d->i = name.next;
	return name.parts ? of_column(d, name.part[name.parts - 1]) : out;
}

static struct derived derive_factor(struct derivation *d)
{
	bool negative = is_op(d, "-");
	struct derived out;

	d->i += negative;
	out = derive_primary(d);
	while (is_op(d, "::")) {
		struct type_text type;

		parse_type(&d->r, d->i + 1, &type);
		out = type.known ? of_type(&type, out.not_null) : (struct derived){0};
		d->i = type.next;
	}
	return out;
}

static int larger(int a, int b)
{
	return a > b ? a : b;
}

static int smaller(int a, int b)
{
	return a < b ? a : b;
}

/* Snowflake's rules for the digits of a product and of a quotient. */
static struct derived derive_product(struct derivation *d)
{
	struct derived a = derive_factor(d);

	while (is_op(d, "*") || is_op(d, "/") || is_op(d, "%")) {
		bool times = is_op(d, "*"), rest = is_op(d, "%");
		struct derived b;
		int whole, scale;

		d->i++;
		b = derive_factor(d);
		if (a.class != DERIVED_FIXED || b.class != DERIVED_FIXED || rest) {
			a = (struct derived){0};
			continue;
		}
		whole = a.precision - a.scale + (times ? b.precision - b.scale : b.scale);
		scale = times ? smaller(a.scale + b.scale, larger(larger(a.scale, b.scale), 12))
			      : larger(a.scale, smaller(a.scale + 6, 12));
		a = fixed(whole + scale, scale, a.not_null && b.not_null);
	}
	return a;
}

static struct derived derive_sum(struct derivation *d)
{
	struct derived a = {0};

	if (++d->level > DERIVE_LEVELS) {
		d->i = -1;
		return a;
	}
	a = derive_product(d);
	while (d->i >= 0 && (is_op(d, "+") || is_op(d, "-") || is_op(d, "||"))) {
		bool joined = is_op(d, "||");
		struct derived b;
		int scale;

		d->i++;
		b = derive_product(d);
		scale = larger(a.scale, b.scale);
		if (joined && a.class == DERIVED_TEXT && b.class == DERIVED_TEXT)
			a = text_of(a.length + b.length, a.not_null && b.not_null);
		else if (!joined && a.class == DERIVED_FIXED && b.class == DERIVED_FIXED)
			a = fixed(larger(a.precision - a.scale, b.precision - b.scale) + scale + 1, scale,
				  a.not_null && b.not_null);
		else
			a = (struct derived){0};
	}
	d->level--;
	return a;
}

/* ---- the select list ---- */

/* The SELECT whose rows are the result; 0 past the end where there is none or where several are joined by UNION. */
static int find_select(const struct derivation *d, int from)
{
	const struct token *t = d->r.t;
	int select = -1;

	for (int i = from; i<d->r.tokens.n; i = t[i].mate> i ? t[i].mate + 1 : i + 1) {
		if (token_in(&t[i], "|UNION|EXCEPT|INTERSECT|MINUS|PIVOT|UNPIVOT|"))
			return -1;
		if (token_is(&t[i], "SELECT"))
			select = i;
	}
	return select;
}

static int list_end(const struct derivation *d, int i)
{
	const struct token *t = d->r.t;

	while (i < d->r.tokens.n &&
	       (token_is(&t[i - 1], "WITHIN") || !token_in(&t[i], "|FROM|WHERE|GROUP|ORDER|HAVING|QUALIFY|LIMIT|")))
		i = t[i].mate > i ? t[i].mate + 1 : i + 1;
	return i < d->r.tokens.n ? i : d->r.tokens.n;
}

static bool is_star(const struct derivation *d, int from, int to)
{
	for (int i = from; i < to && i < from + 6; i++)
		if (token_is_op(&d->r.t[i], "*") && (i == from || token_is_op(&d->r.t[i - 1], ".")))
			return true;
	return false;
}

static struct derived derive_item(struct derivation *d, int from, int to)
{
	struct derived out;

	if (to - from > 1 && token_is(&d->r.t[to - 2], "AS"))
		to -= 2;
	else if (to - from > 1 && token_is_name(&d->r.t[to - 1]) && !is_keyword(&d->r.t[to - 1]) &&
		 (d->r.t[to - 2].kind != TOKEN_OP || token_is_op(&d->r.t[to - 2], ")")))
		to -= 1;
	d->level = 0;
	d->i = from;
	d->end = to;
	out = derive_sum(d);
	return d->i == to ? out : (struct derived){0};
}

static void apply(struct engine_column *c, const struct derived *e)
{
	if (e->class == DERIVED_FIXED && !strcmp(c->type, "fixed") && c->scale == e->scale) {
		c->precision = e->precision;
	} else if (e->class == DERIVED_TEXT && !strcmp(c->type, "text")) {
		c->length = e->length;
		c->byte_length = e->length * 4 < TEXT_MAX ? e->length * 4 : TEXT_MAX;
	} else if (e->class == DERIVED_NAMED && !strcmp(c->type, "variant")) {
		free(c->type);
		c->type = xstrdup(e->type);
	} else if (e->class != DERIVED_UNKNOWN) {
		return;
	}
	if (e->not_null)
		c->nullable = false;
}

/* Items before a star count from the left, those behind it from the right; what the star brings goes by its name. */
static void derive_list(struct derivation *d, const struct items *items, struct engine_result *result)
{
	int columns = (int)result->columns_n, left = 0, right = items->n;

	while (left < items->n && !is_star(d, items->from[left], items->to[left]))
		left++;
	while (right > left && !is_star(d, items->from[right - 1], items->to[right - 1]))
		right--;
	for (int c = 0; c < columns; c++) {
		int from_right = items->n - (columns - c), item = c < left ? c : from_right >= right ? from_right : -1;
		struct derived e;

		if (left == items->n)
			item = c < items->n ? c : -1;
		e = item >= 0 ? derive_item(d, items->from[item], items->to[item])
			      : of_column(d, result->columns[c].name);
		apply(&result->columns[c], &e);
	}
}

static bool has_outer_join(const struct derivation *d)
{
	for (int i = 0; i < d->r.tokens.n; i++)
		if (token_in(&d->r.t[i], "|LEFT|RIGHT|FULL|ROLLUP|CUBE|SETS|") &&
		    (token_in(&d->r.t[i + 1], "|JOIN|OUTER|") || token_is_op(&d->r.t[i + 1], "(")))
			return true;
	return false;
}

static void derive_text(struct run *run, const char *text, struct engine_result *result)
{
	struct derivation d = {.run = run};
	struct items *items = xalloc(sizeof *items);
	struct plan scratch = {.kind = PLAN_QUERY};
	int select, from;

	lex_sql(text, strlen(text), &d.r.tokens);
	d.r.t = d.r.tokens.items;
	d.r.plan = &scratch;
	while (d.r.tokens.n && token_is_op(&d.r.t[d.r.tokens.n - 1], ";"))
		d.r.tokens.n--;
	d.joins_outer = has_outer_join(&d);
	select = d.r.tokens.fault || !token_in(d.r.t, "|SELECT|WITH|CREATE|") ? -1 : find_select(&d, 0);
	if (select >= 0) {
		from = select + 1 + token_in(&d.r.t[select + 1], "|DISTINCT|ALL|");
		if (token_is(&d.r.t[from], "TOP"))
			from += 2;
		split_items(&d.r, from, list_end(&d, from), items);
		derive_list(&d, items, result);
	}
	for (size_t i = 0; i < d.fields_n; i++) {
		free(d.fields[i].name);
		free(d.fields[i].type);
	}
	free(d.fields);
	lex_free(&d.r.tokens);
	free(items);
}

void derive_columns(struct run *run, struct engine_result *result)
{
	derive_text(run, run->statement->text, result);
}

/* ---- CREATE ... AS SELECT ---- */

static void remember_type(struct buf *sql, const struct plan_object *o, const struct engine_column *c)
{
	char type[64];

	if (!strcmp(c->type, "fixed"))
		snprintf(type, sizeof type, "NUMBER(%d,%d)", c->precision, c->scale);
	else if (!strcmp(c->type, "text"))
		snprintf(type, sizeof type, "VARCHAR(%lld)", (long long)c->length);
	else if (!strcmp(c->type, "array") || !strcmp(c->type, "object"))
		snprintf(type, sizeof type, "%s", c->type[0] == 'a' ? "ARRAY" : "OBJECT");
	else
		return;
	buf_adds(sql, "INSERT INTO \"_SF\".main.\"_SF_COLUMN\" SELECT d, s, t, c, n, '', false, false FROM (SELECT ");
	for (int k = 0; k < 5; k++) {
		add_literal(sql, k == 0   ? o->database
				 : k == 1 ? o->schema
				 : k == 2 ? o->name
				 : k == 3 ? c->name
					  : type);
		buf_addf(sql, " AS %c%s", "dstcn"[k], k < 4 ? ", " : "");
	}
	buf_adds(
	    sql,
	    ") q WHERE NOT EXISTS (FROM \"_SF\".main.\"_SF_COLUMN\" m WHERE m.db = d AND m.sc = s AND m.tb = t AND "
	    "m.col = c); ");
}

void derive_created(struct run *run)
{
	const struct plan_object *o = &run->plan->created;
	struct buf sql = buf_with_ceiling(1 << 20);
	struct engine_result columns = {0};
	duckdb_result result;
	char why[256];

	buf_adds(&sql, "FROM ");
	add_object(&sql, o);
	buf_adds(&sql, " LIMIT 0");
	if (duckdb_query(run->connection, buf_text(&sql), &result) == DUCKDB_SUCCESS) {
		columns.columns_n = duckdb_column_count(&result);
		columns.columns = xalloc((columns.columns_n + 1) * sizeof *columns.columns);
		for (size_t i = 0; i < columns.columns_n; i++)
			describe_column(&result, i, &columns.columns[i]);
		derive_text(run, run->statement->text, &columns);
	}
	duckdb_destroy_result(&result);
	buf_clear(&sql);
	for (size_t i = 0; i < columns.columns_n; i++)
		remember_type(&sql, o, &columns.columns[i]);
	if (sql.n)
		run_all(run->connection, buf_text(&sql), why, sizeof why);
	engine_result_free(&columns);
	buf_free(&sql);
}
