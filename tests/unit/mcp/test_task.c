/* The extension of tasks: the shapes of what is told [5.12]. */
#include "mcp_test.h"

#define ID "abcdefghijklmnopqrstuvwx27"

static const struct task working = {.id = ID,
				    .status = TASK_WORKING,
				    .created = 1785196800,
				    .updated = 1785196861,
				    .ttl_ms = 86400000,
				    .poll_ms = 1000};

#define MEMBERS(status)                                                                                                \
	"\"taskId\":\"" ID "\",\"status\":\"" status                                                                   \
	"\",\"createdAt\":\"2026-07-28T00:00:00Z\",\"lastUpdatedAt\":\"2026-07-28T00:01:01Z\","                        \
	"\"ttlMs\":86400000,\"pollIntervalMs\":1000"

/* Without _meta, which names the server in every result. */
static void assert_result(const struct buf *b, const char *wanted)
{
	json_t *got = json_from(buf_text(b));

	assert_true(
	    json_is_object(json_object_get(json_object_get(got, "_meta"), "io.modelcontextprotocol/serverInfo")));
	json_object_del(got, "_meta");
	struct buf rest = buf_with_ceiling(OUT_CEILING);
	assert_true(json_write(&rest, got));
	assert_json(buf_text(&rest), wanted);
	buf_free(&rest);
	json_decref(got);
}

static void test_ids(void **state)
{
	static const char *const others[] = {"",
					     "a",
					     "abcdefghijklmnopqrstuvwx2",
					     ID "a",
					     "Abcdefghijklmnopqrstuvwx27",
					     "abcdefghijklmnopqrstuvwx21",
					     "abcdefghijklm/opqrstuvwx27"};
	(void)state;
	assert_true(task_id_shaped(ID));
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_false(task_id_shaped(others[i]));
}

/* Flat, and with neither result, error, questions nor requestState. */
static void test_created(void **state)
{
	struct buf b = buf_with_ceiling(OUT_CEILING);
	(void)state;
	assert_true(task_created_write(&b, &working));
	assert_result(&b, "{\"resultType\":\"task\"," MEMBERS("working") "}");
	buf_free(&b);
}

static void test_results(void **state)
{
	const struct ask asks[] = {{"ask-1", "roots/list", NULL}, {"ask-2", "roots/list", NULL}};
	const struct {
		enum task_status status;
		const char *message, *outcome;
		size_t asks_n;
		const char *wanted;
	} rows[] = {
	    {TASK_WORKING, NULL, "", 0, MEMBERS("working")},
	    {TASK_WORKING, "running \"x\"", "", 0, MEMBERS("working") ",\"statusMessage\":\"running \\\"x\\\"\""},
	    {TASK_INPUT_REQUIRED, NULL, "", 2,
	     MEMBERS("input_required") ",\"inputRequests\":{\"ask-1\":{\"method\":\"roots/list\"},"
				       "\"ask-2\":{\"method\":\"roots/list\"}}"},
	    {TASK_COMPLETED, NULL, "{\"content\":[]}", 0, MEMBERS("completed") ",\"result\":{\"content\":[]}"},
	    {TASK_FAILED, NULL, "{\"code\":1,\"message\":\"x\"}", 0,
	     MEMBERS("failed") ",\"error\":{\"code\":1,\"message\":\"x\"}"},
	    {TASK_CANCELLED, NULL, "", 0, MEMBERS("cancelled")},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena *a = arena_new(ARENA_CEILING);
		struct buf b = buf_with_ceiling(OUT_CEILING);
		struct task t = working;

		t.status = rows[i].status;
		t.message = rows[i].message;
		t.outcome = slice_of(rows[i].outcome);
		t.asks = asks;
		t.asks_n = rows[i].asks_n;
		assert_true(task_result_write(&b, &t));
		assert_result(&b, arena_printf(a, "{\"resultType\":\"complete\",%s}", rows[i].wanted));
		buf_clear(&b);
		assert_true(task_changed_write(&b, &t, SLICE("44")));
		assert_json(buf_text(&b),
			    arena_printf(a,
					 "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tasks\",\"params\":{%s,"
					 "\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":44}}}",
					 rows[i].wanted));
		buf_free(&b);
		arena_free(a);
	}
}

/* A tool that has failed is a completed task; only errors of the protocol are failures. */
static void test_outcomes(void **state)
{
	static const struct {
		const char *response;
		enum task_status status;
		const char *outcome;
	} rows[] = {
	    {"{\"jsonrpc\":\"2.0\",\"id\":\"result\",\"result\":{\"isError\":true,\"error\":1}}", TASK_COMPLETED,
	     "{\"isError\":true,\"error\":1}"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32603,\"message\":\"x\",\"data\":{\"result\":1}}}",
	     TASK_FAILED, "{\"code\":-32603,\"message\":\"x\",\"data\":{\"result\":1}}"},
	    {"", TASK_CANCELLED, NULL},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct slice outcome;

		assert_int_equal(task_outcome(slice_of(rows[i].response), &outcome), rows[i].status);
		assert_slice(outcome, rows[i].outcome);
	}
}

static void test_ceilings(void **state)
{
	(void)state;
	for (size_t ceiling = 1; ceiling < 60; ceiling++) {
		bool fits[] = {true, true, true};
		struct buf b[] = {buf_with_ceiling(ceiling), buf_with_ceiling(ceiling), buf_with_ceiling(ceiling)};

		fits[0] = task_created_write(&b[0], &working);
		fits[1] = task_result_write(&b[1], &working);
		fits[2] = task_changed_write(&b[2], &working, SLICE("1"));
		for (size_t i = 0; i < ARRAY_LEN(fits); i++) {
			assert_false(fits[i]);
			buf_free(&b[i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ids),      cmocka_unit_test(test_created),  cmocka_unit_test(test_results),
	    cmocka_unit_test(test_outcomes), cmocka_unit_test(test_ceilings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
