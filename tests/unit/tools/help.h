/* What the tests of the tools share: a snapshot, a policy and a call made by hand. */
#ifndef SNOWGATE_TEST_TOOLS_HELP_H
#define SNOWGATE_TEST_TOOLS_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "snowgate/tools.h"

#define QUERY_ID "01b2c3d4-0000-0001-0000-000100020003"

UNUSED static struct limits limits = {
    .name = "default", .calls_per_minute = 600, .burst = 60, .running = 4, .queued = 16, .queue_wait = 30 * USEC_PER_S};
UNUSED static struct connection connection = {.name = "main",
					      .account = "acme-prod",
					      .host = "acme.example",
					      .protocol = "https",
					      .port = 443,
					      .role = "ANALYST"};
static struct policy policy;
static struct conf conf;

UNUSED static void texts_set(struct texts *t, size_t n, const char *const *v)
{
	*t = (struct texts){n, v};
}
#define TEXTS(...)                                                                                                     \
	((struct texts){sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *),                             \
			(const char *const[]){__VA_ARGS__}})

/* Rows of a statement, from number `first` on: a JSON array of arrays of text or null. Those of our own statements are
 * kept, those of a client's are written, as far as its window and its budget go. */
UNUSED static void help_fill(struct call *c, struct statement *s, size_t first, const json_t *rows)
{
	struct cell cells[16];
	size_t i, k;
	const json_t *row, *value;

	if (s->metadata)
		s->cells = cells_new(c->arena, ARRAY_LEN(cells), 8 << 20);
	s->text = buf_with_ceiling(4 << 20);
	rows_begin(&s->writer, s->format, s->columns, s->columns_n, s->budget, &s->text);
	json_array_foreach(rows, i, row)
	{
		json_array_foreach(row, k, value)
		{
			const char *text = json_string_value(value);
			size_t n = text ? strlen(text) : 0;

			assert_true(k < ARRAY_LEN(cells));
			cells[k] = (struct cell){text, n, n};
		}
		if (s->metadata)
			assert_true(cells_add(s->cells, cells, json_array_size(row)));
		else if (first + i < s->offset || s->rows_n >= s->rows ||
			 !rows_add(&s->writer, cells, json_array_size(row)))
			continue;
		s->rows_n++;
	}
}

/* The defaults that matter here, and a policy that allows reading. */
UNUSED static int help_set_up(void **state)
{
	static const uint8_t bytes[SHA256_BYTES] = {1, 2, 3};
	struct sha256 key;

	(void)state;
	memcpy(key.bytes, bytes, sizeof bytes);
	clock_set_virtual(1000 * USEC_PER_S, 1700000000 * USEC_PER_S);
	conf = (struct conf){.results_default_rows = 100,
			     .results_max_rows = 10000,
			     .results_max_bytes = 40 << 10,
			     .results_max_cell = 2 << 10,
			     .results_wait = 40 * USEC_PER_S,
			     .snowflake_statement_timeout = 300 * USEC_PER_S,
			     .listen_max_body = 4 << 20,
			     .mcp_list_page = 100,
			     .catalog_max_bytes = 64 << 20,
			     .catalog_max_entries = 250000,
			     .catalog_ttl = 600 * USEC_PER_S};
	policy = (struct policy){.name = "test",
				 .connection = &connection,
				 .statements = CLASS_READ | CLASS_METADATA,
				 .toolsets = TOOLSET_CORE | TOOLSET_CLASSIC,
				 .limits = &limits};
	tools_load();
	tools_set_keys(&key, 1, &(struct seal_keys){1, {key}});
	return 0;
}

UNUSED static int help_tear_down(void **state)
{
	(void)state;
	tools_free();
	return 0;
}

/* A call of this tool with these arguments (JSON), which must fit its schema, in the policy's default context. */
UNUSED static struct call *help_call(const char *tool, const char *arguments)
{
	struct request *rq = request_new(&conf, 16 << 20);
	struct call *c;
	const char *why = "";
	char fault[160];

	rq->policy = &policy;
	rq->principal = (struct principal){.kind = PRINCIPAL_KEY, .subject = "alice"};
	c = call_new(rq);
	c->revision = REVISION_2025_11_25;
	c->tool = tool_find(&policy, tool);
	assert_non_null(c->tool);
	c->handler = &c->tool->handler;
	c->context = (struct context){.database = "SALES", .schema = "PUBLIC", .warehouse = "WH_XS", .role = "ANALYST"};
	if (json_parse(slice_of(arguments), 32, &c->arguments, fault, sizeof fault) != JSON_OK)
		fail_msg("%s", fault);
	assert_true(arena_attach(c->arena, c->arguments, json_release));
	if (!schema_check(c->arena, tool_schema(&policy, c->tool, false), c->arguments, &why))
		fail_msg("%s: %s", arguments, why);
	return c;
}

/* Its plan, which must be made. */
UNUSED static struct call *help_plan(const char *tool, const char *arguments)
{
	struct call *c = help_call(tool, arguments);
	int rc = c->handler->plan(c);

	if (rc != ERR_OK)
		fail_msg("%s(%s): %s", tool, arguments, buf_text(&c->answer.text));
	assert_false(c->answer.is_error);
	return c;
}

/* A plan that must be refused with this error; the text must hold `says`. */
UNUSED static void help_refused(const char *tool, const char *arguments, enum err err, const char *says)
{
	struct call *c = help_call(tool, arguments);
	const json_t *meta;

	assert_int_equal(c->handler->plan(c), err);
	assert_true(c->answer.is_error);
	if (!strstr(buf_text(&c->answer.text), says))
		fail_msg("%s(%s): \"%s\" lacks \"%s\"", tool, arguments, buf_text(&c->answer.text), says);
	meta = json_object_get(c->answer.meta, "snowgate/error");
	assert_string_equal(json_text_of(meta, "code"), err_info(err)->name);
	assert_false(c->change.wanted);
	call_free(c);
}

#endif
