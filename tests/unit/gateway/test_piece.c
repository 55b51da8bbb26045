/* Pointers in the store: what they hold is a key, or is not taken for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "../../../src/gateway/piece.h"

static void test_key(void **state)
{
	static const struct {
		const char *value, *key; /* NULL: it is none */
	} table[] = {
	    {"01ab", "01ab"}, {"seven77", "seven77"}, {"eight888", NULL}, {"", NULL},
	    {"a b", NULL},    {"a{b}", NULL},         {"a\nb", NULL},     {"\xc3\xa4", NULL},
	};
	enum { SIZE = 8 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct store_item item = {.out = buf_with_ceiling(64)};
		char key[SIZE];

		assert_true(buf_add(&item.out, table[i].value, strlen(table[i].value)));
		assert_int_equal(piece_key(&item, sizeof key, key), table[i].key != NULL);
		assert_string_equal(key, table[i].key ? table[i].key : "");
		buf_free(&item.out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_key)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
