/* mcp_test.h: what the tests of this folder share. */
#ifndef MCP_TEST_H
#define MCP_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "snowgate/mcp.h"

#define ARENA_CEILING ((size_t)1 << 20)
#define OUT_CEILING   ((size_t)1 << 20)

/* Parses what a test wrote or got; the caller releases it. */
static inline json_t *json_from(const char *text)
{
	json_t *value = NULL;
	if (json_parse(slice_of(text), 512, &value, NULL, 0) != JSON_OK)
		fail_msg("not JSON: %s", text);
	return value;
}

static inline void assert_json(const char *got, const char *wanted)
{
	json_t *a = json_from(got), *b = json_from(wanted);
	if (!json_equal(a, b))
		fail_msg("got %s\nwanted %s", got, wanted);
	json_decref(a);
	json_decref(b);
}

static inline void assert_slice(struct slice got, const char *wanted)
{
	if (!wanted) {
		assert_null(got.data);
		return;
	}
	assert_non_null(got.data);
	if (!slice_is(got, wanted))
		fail_msg("got %.*s, wanted %s", (int)got.n, got.data, wanted);
}

#endif
