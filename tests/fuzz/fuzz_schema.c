/* A schema, a line feed, a value: what is usable never fails to tell why it refuses. */
#include <stdlib.h>
#include <string.h>

#include "snowgate/mcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static void check(const json_t *schema, const json_t *value)
{
	struct arena *a = arena_new((size_t)1 << 16);
	struct mcp_headers h = {0};
	struct mcp_fault fault;
	const char *why = NULL;
	int64_t number;

	if (!schema_check(a, schema, value, &why))
		expect(why && *why);
	else
		expect(why == NULL);
	int err = modern_check_params(a, schema, value, &h, &fault);
	expect(err == ERR_OK || err == ERR_HEADER_MISMATCH);
	if (!schema_integer(value, &number))
		expect(!json_is_integer(value));
	arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *text = (const char *)data, *end = n ? memchr(data, '\n', n) : NULL, *culprit = NULL;
	json_t *schema = NULL, *value = NULL;

	if (!end)
		return 0;
	struct slice first = {text, (size_t)(end - text)}, second = {end + 1, n - first.n - 1};
	if (json_parse(first, JSON_DEPTH_MAX, &schema, NULL, 0) == JSON_OK &&
	    json_parse(second, JSON_DEPTH_MAX, &value, NULL, 0) == JSON_OK) {
		if (schema_usable(schema, &culprit))
			check(schema, value);
		else
			expect(culprit != NULL);
	}
	json_decref(schema);
	json_decref(value);
	return 0;
}
