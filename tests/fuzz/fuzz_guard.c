/* Any bytes to the guard: no crash, a reason for every refusal, and what a reader may send is one statement. */
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
	arena_free(a);
	return 0;
}
