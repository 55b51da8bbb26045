/* Feeds any bytes to the emulator's rewriter: it must end, within its ceilings, in a plan or in an error. */
#include <stdint.h>
#include <string.h>
#include "../../src/emulator/rewrite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct engine_binding bindings[] = {
	    {"FIXED", "12.50"}, {"TIMESTAMP_TZ", "0 1440"}, {"BINARY", "AB"}, {"DECFLOAT", "1e9"}, {"TEXT", NULL}};
	struct engine_statement statement = {.context = {.user = "U",
							 .role = "SYSADMIN",
							 .warehouse = "WH",
							 .database = "DEMO",
							 .schema = "PUBLIC",
							 .timezone = "UTC"},
					     .bindings = bindings,
					     .bindings_n = ARRAY_LEN(bindings)};
	struct plan *plan = xalloc(sizeof *plan);
	char *text = xstrndup((const char *)data, size);

	statement.text = text;
	if (size && data[0] & 1)
		statement.context.database = statement.context.schema = NULL;
	rewrite_statement(&statement, plan);
	assert((plan->kind == PLAN_ERROR) == (plan->failure.code[0] != '\0'));
	plan_free(plan);
	free(plan);
	free(text);
	return 0;
}
