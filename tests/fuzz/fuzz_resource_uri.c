/* Any text as a resource's URI: it is judged without harm; any three names have a URI, which is a resource. */
#include <stdlib.h>
#include <string.h>

#include "snowgate/tools.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Names come as SQL, so that they are names at all. */
static void check_name(struct arena *a, const struct policy *policy, struct slice text)
{
	struct buf uri = buf_with_ceiling(1 << 16);
	struct sql_name name;
	const char *why;

	if (sql_name_parse(a, text, 3, &name, &why) == ERR_OK && name.n == 3) {
		must(resource_uri_of(&uri, &name));
		must(resource_uri_valid(a, policy, buf_text(&uri), &why));
	}
	buf_free(&uri);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct policy policy = {.statements = CLASS_METADATA};
	struct arena *a = arena_new(4 << 20);
	struct slice text = {(const char *)data, size};
	const char *why = NULL, *uri = arena_strndup(a, (const char *)data, size);

	if (uri && !resource_uri_valid(a, &policy, uri, &why))
		must(why && *why);
	if (size <= 4096)
		check_name(a, &policy, text);
	arena_free(a);
	return 0;
}
