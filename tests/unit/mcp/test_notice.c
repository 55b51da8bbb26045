/* Messages that the server sends of itself: notifications of both eras, and requests of the legacy one. */
#include <math.h>

#include "mcp_test.h"

#define NOTE(method, params) "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/" method "\",\"params\":{" params "}}"
#define SUBSCRIPTION(id)     "\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":" id "}"

static const struct slice none = {NULL, 0};

static void test_levels(void **state)
{
	static const char *const names[] = {"debug", "info",     "notice", "warning",
					    "error", "critical", "alert",  "emergency"};
	static const char *const others[] = {"", "Debug", "warn", "err", "emergency ", "fatal"};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct buf b = buf_with_ceiling(OUT_CEILING), wanted = buf_with_ceiling(OUT_CEILING);
		assert_int_equal(mcp_level_parse(names[i]), i);
		assert_true(log_write(&b, (enum mcp_level)i, SLICE("{\"text\":\"x\"}")));
		buf_addf(&wanted, NOTE("message", "\"level\":\"%s\",\"logger\":\"snowgate\",\"data\":{\"text\":\"x\"}"),
			 names[i]);
		assert_json(buf_text(&b), buf_text(&wanted));
		buf_free(&b);
		buf_free(&wanted);
	}
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_int_equal(mcp_level_parse(others[i]), -1);
	assert_int_equal(mcp_level_parse(NULL), -1);
	assert_true(LEVEL_DEBUG < LEVEL_INFO && LEVEL_ALERT < LEVEL_EMERGENCY);
}

static void test_progress(void **state)
{
	static const struct {
		const char *token;
		double progress, total;
		const char *message, *wanted;
	} rows[] = {
	    {"\"p1\"", 50, 100, "half", "\"progressToken\":\"p1\",\"progress\":50,\"total\":100,\"message\":\"half\""},
	    {"9007199254740993", 0, 0, NULL, "\"progressToken\":9007199254740993,\"progress\":0"},
	    {"1.0", 0.5, 2.25, "a\"b", "\"progressToken\":1.0,\"progress\":0.5,\"total\":2.25,\"message\":\"a\\\"b\""},
	    {"0", -3, 0, "", "\"progressToken\":0,\"progress\":-3,\"message\":\"\""},
	    {"0", NAN, -1, NULL, "\"progressToken\":0,\"progress\":0"},
	    {"0", INFINITY, INFINITY, NULL, "\"progressToken\":0,\"progress\":0,\"total\":0"},
	    {"0", 1e300, 0, NULL, "\"progressToken\":0,\"progress\":1e300"},
	};
	struct arena *a = arena_new(ARENA_CEILING);
	struct buf b = buf_with_ceiling(OUT_CEILING);
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buf_clear(&b);
		assert_true(progress_write(&b, REVISION_2026_07_28, slice_of(rows[i].token), rows[i].progress,
					   rows[i].total, rows[i].message));
		assert_json(buf_text(&b), arena_printf(a, NOTE("progress", "%s"), rows[i].wanted));
		/* the token comes back as it was spelled */
		assert_non_null(strstr(buf_text(&b), rows[i].token));
	}
	buf_clear(&b);
	assert_true(progress_write(&b, REVISION_2024_11_05, SLICE("1"), 1, 0, "unknown there"));
	assert_json(buf_text(&b), NOTE("progress", "\"progressToken\":1,\"progress\":1"));
	buf_clear(&b);
	assert_true(progress_write(&b, REVISION_2025_03_26, SLICE("1"), 1, 0, "m"));
	assert_json(buf_text(&b), NOTE("progress", "\"progressToken\":1,\"progress\":1,\"message\":\"m\""));
	arena_free(a);
	buf_free(&b);
}

static void test_changes(void **state)
{
	static const char *const lists[] = {
	    [CHANGE_TOOLS] = "tools", [CHANGE_PROMPTS] = "prompts", [CHANGE_RESOURCES] = "resources"};
	struct arena *a = arena_new(ARENA_CEILING);
	struct buf b = buf_with_ceiling(OUT_CEILING);
	(void)state;
	for (int i = 0; i < CHANGES_N; i++) {
		buf_clear(&b);
		assert_true(list_changed_write(&b, (enum change)i, none));
		assert_json(
		    buf_text(&b),
		    arena_printf(a, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/%s/list_changed\"}", lists[i]));
		buf_clear(&b);
		assert_true(list_changed_write(&b, (enum change)i, SLICE("\"44\"")));
		assert_json(buf_text(&b), arena_printf(a, NOTE("%s/list_changed", SUBSCRIPTION("\"44\"")), lists[i]));
	}
	buf_clear(&b);
	assert_true(resource_updated_write(&b, "snowflake://db/\"x\"", none));
	assert_json(buf_text(&b), NOTE("resources/updated", "\"uri\":\"snowflake://db/\\\"x\\\"\""));
	buf_clear(&b);
	/* a number stays the number it was */
	assert_true(resource_updated_write(&b, "a:b", SLICE("9007199254740993")));
	assert_string_equal(buf_text(&b),
			    NOTE("resources/updated", "\"uri\":\"a:b\"," SUBSCRIPTION("9007199254740993")));
	arena_free(a);
	buf_free(&b);
}

static void test_requests(void **state)
{
	struct buf b = buf_with_ceiling(OUT_CEILING);
	json_t *params = json_from("{\"message\":\"m\",\"requestedSchema\":{\"type\":\"object\",\"properties\":{}}}");
	(void)state;
	assert_true(request_write(&b, "q\"1", "elicitation/create", params));
	assert_json(buf_text(&b),
		    "{\"jsonrpc\":\"2.0\",\"id\":\"q\\\"1\",\"method\":\"elicitation/create\",\"params\":{"
		    "\"message\":\"m\",\"requestedSchema\":{\"type\":\"object\",\"properties\":{}}}}");
	buf_clear(&b);
	assert_true(request_write(&b, "q2", "roots/list", NULL));
	assert_json(buf_text(&b), "{\"jsonrpc\":\"2.0\",\"id\":\"q2\",\"method\":\"roots/list\"}");
	json_decref(params);
	buf_free(&b);
}

/* Each writer tells when it met the ceiling, wherever that is. */
static void test_ceilings(void **state)
{
	struct ask ask = {"key", "roots/list", NULL};
	json_t *list = json_from("[{\"uri\":\"a:b\",\"text\":\"x\"}]");
	struct listen l = {.changes = {true, true, true}, .uris_n = 2, .uris = {"a:b", "c:d"}};
	(void)state;
	for (size_t ceiling = 1; ceiling < 60; ceiling++) {
		bool written[] = {true, true, true, true, true, true, true, true, true, true};
		for (size_t i = 0; i < ARRAY_LEN(written); i++) {
			struct buf b = buf_with_ceiling(ceiling);
			switch (i) {
			case 0:
				written[i] = progress_write(&b, REVISION_2025_11_25, SLICE("\"t\""), 1.5, 3, "message");
				break;
			case 1:
				written[i] = log_write(&b, LEVEL_INFO, SLICE("{\"text\":\"x\"}"));
				break;
			case 2:
				written[i] = list_changed_write(&b, CHANGE_TOOLS, SLICE("1"));
				break;
			case 3:
				written[i] = resource_updated_write(&b, "a:b", SLICE("1"));
				break;
			case 4:
				written[i] = request_write(&b, "a-long-id", "elicitation/create", list);
				break;
			case 5:
				written[i] = acknowledged_write(&b, &l, SLICE("1"));
				break;
			case 6:
				written[i] = listen_result_write(&b, SLICE("1"));
				break;
			case 7:
				written[i] = input_required_write(&b, &ask, 1, "state");
				break;
			case 8:
				written[i] = read_result_write(&b, REVISION_2026_07_28, list, 0);
				break;
			default:
				written[i] = completion_write(&b, REVISION_2026_07_28, list, 1, true);
			}
			assert_false(written[i]);
			assert_true(buf_failed(&b));
			buf_free(&b);
		}
	}
	json_decref(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_levels),   cmocka_unit_test(test_progress), cmocka_unit_test(test_changes),
	    cmocka_unit_test(test_requests), cmocka_unit_test(test_ceilings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
