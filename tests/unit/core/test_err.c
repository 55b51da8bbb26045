/* The table of errors keeps to what JSON-RPC and HTTP demand of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "snowgate/base.h"
#include "snowgate/err.h"

static void every_error_has_its_row(void **state UNUSED)
{
	assert_int_equal(ERR_OK, 0);
	assert_string_equal(err_info(ERR_RATE)->name, "RATE");
	assert_int_equal(err_info(ERR_RATE)->http, 429);
	assert_int_equal(err_info(ERR_RATE)->rpc_modern, 42901);
	assert_true(err_info(ERR_RATE)->retryable);
	assert_string_equal(err_info(ERRS_N)->name, "INTERNAL");
	for (enum err e = 0; e < ERRS_N; e++) {
		const struct err_info *info = err_info(e);
		assert_true(strlen(info->name) > 0 && strlen(info->text) > 0);
		assert_true(info->http >= 200 && info->http < 600);
		assert_false(info->retryable && info->http == 400);
		for (enum err other = 0; other < e; other++)
			assert_string_not_equal(info->name, err_info(other)->name);
	}
}

/* JSON-RPC 2.0, 5.1: -32768...-32000 is reserved; what is ours lies outside. */
static void codes_are_in_their_ranges(void **state UNUSED)
{
	for (enum err e = 0; e < ERRS_N; e++) {
		const struct err_info *info = err_info(e);
		int codes[] = {info->rpc_legacy, info->rpc_modern};
		for (size_t i = 0; i < ARRAY_LEN(codes); i++)
			assert_true(codes[i] == 0 || (codes[i] >= -32768 && codes[i] <= -32000) || codes[i] > 0);
		assert_int_equal(info->rpc_legacy == 0, info->rpc_modern == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_error_has_its_row),
	    cmocka_unit_test(codes_are_in_their_ranges),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
