/* USE and ALTER SESSION: they do not go to Snowflake, which would forget them; they change the session's context. */
#include <string.h>

#include "guard.h"
#include "snowgate/err.h"
#include "text.h"

#define VALUE_MAX 2000 /* bytes; QUERY_TAG's limit is 2000 characters, no other value comes near */

enum parameter_kind { PARAMETER_TEXT, PARAMETER_INT, PARAMETER_BOOL };

static const struct {
	const char *name;
	enum parameter_kind kind;
	enum sql_parameter_by by;
} parameters[] = {
#define PARAMETER(name, kind, by) {#name, PARAMETER_##kind, PARAMETER_BY_##by},
#include "snowgate/tbl/guard.def"
};

static const struct {
	const char *name, *reason, *advice;
} refused_parameters[] = {
#define PARAMETER_REFUSED(name, reason, advice) {#name, reason, advice},
#include "snowgate/tbl/guard.def"
};

static bool no_memory(struct guard *g)
{
	g->no_memory = true;
	return false;
}

/* ---- parameters ---- */

static bool value_fits(enum parameter_kind kind, const char *value, const char **reason)
{
	struct slice text = slice_of(value);
	int64_t number;

	if (text.n > VALUE_MAX)
		*reason = "the value of the session parameter is longer than 2000 bytes";
	else if (kind == PARAMETER_INT && !parse_int(value, 0, INT32_MAX, &number))
		*reason = "the value of this session parameter must be a whole number";
	else if (kind == PARAMETER_BOOL && !slice_is_nocase(text, "true") && !slice_is_nocase(text, "false"))
		*reason = "the value of this session parameter must be TRUE or FALSE";
	else if (sql_utf8_count(text) == SIZE_MAX)
		*reason = "the value of the session parameter is not UTF-8";
	for (size_t i = 0; !*reason && i < text.n; i++)
		if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7F)
			*reason = "the value of the session parameter holds a control character";
	return !*reason;
}

bool sql_parameter_fits(const char *name, const char *value, const char **reason, const char **advice)
{
	struct slice text = slice_of(name);

	*reason = *advice = NULL;
	for (size_t i = 0; i < ARRAY_LEN(parameters); i++)
		if (slice_is_nocase(text, parameters[i].name))
			return !value || value_fits(parameters[i].kind, value, reason);
	for (size_t i = 0; i < ARRAY_LEN(refused_parameters); i++) {
		if (slice_is_nocase(text, refused_parameters[i].name)) {
			*reason = refused_parameters[i].reason;
			*advice = refused_parameters[i].advice;
			return false;
		}
	}
	*reason = "this session parameter cannot be set through the gateway";
	*advice = "Parameters that can be set: "
#define PARAMETER(name, kind, by) #name " "
#include "snowgate/tbl/guard.def"
	    ;
	return false;
}

enum sql_parameter_by sql_parameter_by(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(parameters); i++)
		if (slice_is_nocase(slice_of(name), parameters[i].name))
			return parameters[i].by;
	return PARAMETER_BY_REQUEST;
}

/* A number or a word of TRUE, FALSE stands bare; everything else is a string. */
static bool parameter_write(struct buf *b, const char *name, const char *value)
{
	buf_addf(b, " %s = ", name);
	for (size_t i = 0; i < ARRAY_LEN(parameters); i++)
		if (slice_is_nocase(slice_of(name), parameters[i].name) && parameters[i].kind != PARAMETER_TEXT)
			return buf_adds(b, value);
	return sql_quote_string(b, value);
}

bool sql_parameters_write(struct buf *b, json_t *set)
{
	size_t before = b->n;
	const char *name;
	json_t *value;

	json_object_foreach(set, name, value)
	{
		if (sql_parameter_by(name) != PARAMETER_BY_STATEMENT)
			continue;
		if (b->n == before)
			buf_adds(b, "ALTER SESSION SET");
		parameter_write(b, name, json_string_value(value));
	}
	return !buf_failed(b);
}

/* ---- ALTER SESSION ---- */

/* 'text' without its quotes; a backslash would need Snowflake's escape rules and is refused. */
static bool string_value(struct guard *g, size_t at, const char **value)
{
	struct slice s = g->t[at].text;
	char *out = arena_alloc(g->arena, s.n), *p = out;

	if (!out)
		return no_memory(g);
	if (memchr(s.data, '\\', s.n))
		return guard_refuse(g, at, "a value of a session parameter cannot hold a backslash", NULL);
	for (size_t i = 1; i + 1 < s.n; i++) {
		*p++ = s.data[i];
		if (s.data[i] == '\'')
			i++;
	}
	*value = out;
	return true;
}

static bool value_at(struct guard *g, size_t *at, const char **value)
{
	enum sql_kind kind = *at < g->n ? g->t[*at].kind : SQL_END;

	if (kind == SQL_STRING) {
		if (!string_value(g, *at, value))
			return false;
	} else if (kind == SQL_NUMBER || kind == SQL_WORD) {
		*value = arena_strndup(g->arena, g->t[*at].text.data, g->t[*at].text.n);
		if (!*value)
			return no_memory(g);
	} else {
		return guard_refuse(g, *at, "ALTER SESSION cannot be read: a value is missing",
				    "Write ALTER SESSION SET NAME = 'value'.");
	}
	(*at)++;
	return true;
}

static bool parameter_at(struct guard *g, size_t *at, bool set)
{
	struct guard_verdict *v = g->verdict;
	struct sql_parameter p = {0};
	const char *reason, *advice;
	size_t first = *at;

	if (first >= g->n || g->t[first].kind != SQL_WORD)
		return guard_refuse(g, first, "ALTER SESSION cannot be read: the name of a parameter is missing",
				    "Write ALTER SESSION SET NAME = 'value'.");
	if (v->parameters_n == ARRAY_LEN(v->parameters))
		return guard_refuse(g, first, "more than 16 parameters in one ALTER SESSION",
				    "Send them in several calls.");
	p.name = sql_ident_fold(g->arena, g->t[first].text);
	if (!p.name)
		return guard_refuse_word(g, first, "is no session parameter", NULL);
	(*at)++;
	if (set && !guard_is(g, *at, "="))
		return guard_refuse(g, *at, "ALTER SESSION cannot be read: = is missing",
				    "Write ALTER SESSION SET NAME = 'value'.");
	*at += set;
	if (set && !value_at(g, at, &p.value))
		return false;
	if (!sql_parameter_fits(p.name, p.value, &reason, &advice))
		return guard_refuse(g, first, reason, advice);
	v->parameters[v->parameters_n++] = p;
	return true;
}

bool guard_alter_session(struct guard *g, size_t at)
{
	bool set = guard_is(g, at + 2, "SET");
	size_t i = at + 3;

	if (!set && !guard_is(g, at + 2, "UNSET"))
		return guard_refuse(g, at + 2, "ALTER SESSION takes SET or UNSET here",
				    "Write ALTER SESSION SET NAME = 'value'.");
	do {
		if (!parameter_at(g, &i, set))
			return false;
		if (guard_is(g, i, ",") && i + 1 < g->n)
			i++;
	} while (i < g->n);
	g->verdict->effect = EFFECT_ALTER_SESSION;
	return true;
}

/* ---- USE ---- */

static bool part_at(struct guard *g, size_t at, const char **part)
{
	struct sql_name name;
	const char *why;
	int e;

	if (!guard_is_name(g, at) || guard_is(g, at + 1, "("))
		return guard_refuse(g, at, "USE needs a plain or quoted name",
				    "Write USE SCHEMA database.schema, or call set_context.");
	e = sql_name_parse(g->arena, g->t[at].text, 1, &name, &why);
	if (e == ERR_NOMEM)
		return no_memory(g);
	if (e != ERR_OK)
		return guard_refuse(g, at, why, "Write USE SCHEMA database.schema, or call set_context.");
	*part = name.part[0];
	return true;
}

/* USE kind name: the kind, and behind how many words the name starts. `USE name` means a database. */
static size_t kind_at(const struct guard *g, size_t at, enum sql_use *use)
{
	static const char *const words[] = {"DATABASE", "SCHEMA", "WAREHOUSE", "ROLE"};

	*use = USE_DATABASE;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (guard_is(g, at, words[i]) && guard_is_name(g, at + 1)) {
			*use = (enum sql_use)i;
			return at + 1;
		}
	}
	return at;
}

bool guard_use(struct guard *g, size_t at)
{
	struct guard_verdict *v = g->verdict;
	size_t i = kind_at(g, at + 1, &v->use);
	bool bare = i == at + 1;

	if (guard_is(g, at + 1, "SECONDARY") && guard_is_name(g, at + 2))
		return guard_refuse(g, at + 1,
				    "USE SECONDARY ROLES is refused: it would add rights that the policy does not name",
				    "Use USE ROLE, or set_context with role.");
	if (!part_at(g, i, &v->use_name))
		return false;
	i++;
	if (guard_is(g, i, ".") && (bare || v->use == USE_SCHEMA)) {
		v->use = USE_SCHEMA;
		v->use_database = v->use_name;
		if (!part_at(g, i + 1, &v->use_name))
			return false;
		i += 2;
	}
	if (i < g->n)
		return guard_refuse_word(g, i, "is one word too many behind USE",
					 "Write USE DATABASE|SCHEMA|WAREHOUSE|ROLE name, or call set_context.");
	v->effect = EFFECT_USE;
	return true;
}
