/* Any bytes to the guard and to the border of databases: no crash, a reason for every refusal, what a reader may send
 * is one statement, and what stays within the databases names no other one. */
#include <stdlib.h>
#include <string.h>

#include "snowgate/err.h"
#include "snowgate/sql.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Under every reading of escapes and comments the text is one statement without the signs that run another. */
static void check_allowed(struct slice sql)
{
	for (int reading = 0; reading < 4; reading++) {
		struct sql_lexer lexer;
		struct sql_token t;
		bool over = false;

		sql_lexer_init(&lexer, sql);
		lexer.backslash_escapes = reading & 1;
		lexer.nested_comments = reading & 2;
		while ((t = sql_next(&lexer)).kind != SQL_END) {
			must(t.kind != SQL_BAD && t.kind != SQL_STAGE && t.kind != SQL_DOLLAR && !over);
			over = sql_token_is(&t, ";");
			must(!sql_token_is(&t, "->>") && !sql_token_is(&t, ":="));
		}
	}
}

static bool is_dot(const struct sql_token *t)
{
	return sql_token_is(t, ".");
}

static bool is_name(const struct sql_token *t)
{
	return t->kind == SQL_WORD || t->kind == SQL_QUOTED;
}

/* May what stands in front, nearest last, come before the first part of a name? Not in value:path. */
static bool starts_name(const struct sql_token before[2])
{
	return !is_dot(&before[1]) && (!sql_token_is(&before[1], ":") || before[0].kind == SQL_STRING);
}

/* Written on its own, without the walk: each a.b.c that is no path begins with SALES; no account, no GET_DDL. */
static void check_within(struct slice sql)
{
	struct sql_token t[7] = {0}; /* the latest last */
	struct sql_lexer lexer;

	sql_lexer_init(&lexer, sql);
	do {
		memmove(t, t + 1, 6 * sizeof *t);
		t[6] = sql_next(&lexer);
		must(t[6].kind != SQL_BAD && t[6].kind != SQL_STAGE && t[6].kind != SQL_DOLLAR);
		must(!sql_token_is(&t[6], "(") || !sql_token_is(&t[5], "GET_DDL"));
		if (starts_name(t) && is_name(&t[2]) && is_dot(&t[3]) && is_name(&t[4]) && is_dot(&t[5]) &&
		    is_name(&t[6]))
			must(sql_token_is(&t[2], "SALES") || slice_is(t[2].text, "\"SALES\""));
	} while (t[6].kind != SQL_END);
}

static void check_bounds(struct arena *a, struct slice sql)
{
	static const char *const names[] = {"SALES"};
	struct bounds_verdict v;
	bool within = sql_within(a, sql, (struct texts){1, names}, &v);

	must(within == !v.reason);
	if (within)
		check_within(sql);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(16 << 20);
	struct slice sql = {(const char *)data, size};
	const unsigned classes[] = {0, CLASS_READ | CLASS_METADATA, 31};
	struct guard_verdict v;

	for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
		if (guard_check(a, sql, classes[i], &v) != ERR_OK)
			continue;
		must(v.allowed == !v.reason);
		must(!v.allowed || v.class == 0 || (v.class & classes[i]));
		must(!v.allowed || v.class != 0 || v.effect != EFFECT_NONE);
		must(!v.destructive ||
		     (v.allowed && v.effect == EFFECT_NONE && (v.class & (CLASS_DML | CLASS_DDL | CLASS_DCL))));
		must(v.effect != EFFECT_USE || v.use_name);
		must(v.effect != EFFECT_ALTER_SESSION || (v.parameters_n > 0 && v.parameters[v.parameters_n - 1].name));
		if (v.allowed)
			check_allowed(sql);
	}
	check_bounds(a, sql);
	arena_free(a);
	return 0;
}
