/* Any bytes as a name: what is taken and written back in quotes reads back as the same name, and is one token a part.
 */
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

static void check_name(struct arena *a, const struct sql_name *name)
{
	struct buf b = buf_with_ceiling(1 << 16);
	struct sql_name again;
	struct sql_lexer lexer;
	const char *why;

	must(sql_quote_name(&b, name));
	must(sql_name_parse(a, buf_slice(&b), 3, &again, &why) == ERR_OK && again.n == name->n);
	sql_lexer_init(&lexer, buf_slice(&b));
	for (size_t i = 0; i < name->n; i++) {
		struct sql_token dot;

		must(strcmp(name->part[i], again.part[i]) == 0);
		must(sql_next(&lexer).kind == SQL_QUOTED);
		dot = sql_next(&lexer);
		must(i + 1 == name->n ? dot.kind == SQL_END : sql_token_is(&dot, "."));
	}
	buf_free(&b);
}

static void check_string(const char *text)
{
	struct buf b = buf_with_ceiling(1 << 20);

	must(sql_quote_string(&b, text));
	for (int escapes = 0; escapes < 2; escapes++) {
		struct sql_lexer lexer;
		struct sql_token t;

		sql_lexer_init(&lexer, buf_slice(&b));
		lexer.backslash_escapes = escapes;
		t = sql_next(&lexer);
		must(t.kind == SQL_STRING && t.text.n == b.n);
	}
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(1 << 20);
	struct sql_name name;
	const char *why = NULL;
	char *text = strndup((const char *)data, size);

	if (sql_name_parse(a, (struct slice){(const char *)data, size}, 3, &name, &why) == ERR_OK)
		check_name(a, &name);
	else
		must(why != NULL);
	check_string(text);
	free(text);
	arena_free(a);
	return 0;
}
