/* Batches of 2025-03-26: whatever becomes of their elements, one answer goes to whoever is still there. */
#include "talk.c"

#define PING(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"ping\"}"
#define NOTE     "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"
#define CALL(id)                                                                                                       \
	"{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"tools/call\",\"params\":{\"name\":\"execute_query\","         \
	"\"arguments\":" QUERY ",\"_meta\":{" TOKEN "}}}"

static const char *old_session(void)
{
	return session_of("2025-03-26", "{}");
}

/* How many responses the answer holds: it must be an array. */
static size_t responses(handle_t x)
{
	json_t *array = NULL;
	size_t n;

	assert_int_equal(json_parse(slice_of(client_of(x)->body), 64, &array, NULL, 0), JSON_OK);
	assert_true(json_is_array(array));
	n = json_array_size(array);
	json_decref(array);
	return n;
}

static void test_mix(void **state)
{
	BEGIN(SLOW(SECONDS(2)));
	const char *s = old_session();
	handle_t a = post(s, "[" PING("1") "," NOTE "," CALL("\"two\"") "," PING("3") ",{\"jsonrpc\":\"2.0\",\"id\":4,"
										      "\"method\":\"no/such\"}]");

	/* it waits for the slow one, and is no stream: its elements are told nothing */
	sim_run_for(SECONDS(1));
	HEARD(a, "waits");
	sim_run();
	HEARD(a, "200");
	assert_int_equal(responses(a), 4);
	assert_true(hears(a, "\"id\":1,") && hears(a, "\"id\":\"two\"") && hears(a, "\"id\":3,"));
	assert_true(hears(a, "seven") && hears(a, "-32601"));
	assert_string_equal(client_of(a)->session_id, s);
	sim_close();
}

static void test_notifications_only(void **state)
{
	BEGIN_WITHOUT;
	const char *s = old_session();

	HEARD(post(s, "[" NOTE "," NOTE "]"), "202");
	assert_string_equal(client_of(clients_last())->body, "");
	HEARD(post(s, "[{\"jsonrpc\":\"2.0\",\"id\":\"ask-1\",\"result\":{}}]"), "202");
	sim_close();
}

static void test_refused(void **state)
{
	BEGIN_WITHOUT;
	const char *s = session_of("2025-06-18", "{}");

	HEARD(post(s, "[" PING("1") "]"), "400");
	HEARD(post(old_session(), "[]"), "400");
	HEARD(post(NULL, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{}}]"), "400");
	sim_close();
}

/* Without a session a batch speaks the revision that has them. */
static void test_without_session(void **state)
{
	BEGIN_WITHOUT;
	handle_t a = post(NULL, "[" PING("1") "," PING("2") "]");

	HEARD(a, "200");
	assert_int_equal(responses(a), 2);
	sim_close();
}

/* Legacy: nothing is cancelled. */
static void test_client_leaves(void **state)
{
	BEGIN(SLOW(SECONDS(2)));
	handle_t a = post(old_session(), "[" CALL("1") "," PING("2") "]");

	sim_run_for(SECONDS(1));
	client_leave(a);
	slots_are(1, 0);
	sim_run();
	assert_int_equal(metric_value(METRIC_cancels, "disconnect"), 0);
	assert_null(client_of(a)->body);
	sim_close();
}

static void test_element_cancelled(void **state)
{
	BEGIN(CUT);
	const char *s = old_session();
	handle_t a = post(s, "[" CALL("17") "," PING("2") "]");

	sim_run_for(SECONDS(1));
	cancel(s, 17);
	sim_run();
	HEARD(a, "200");
	assert_int_equal(responses(a), 1);
	assert_true(hears(a, "\"id\":2"));
	sim_close();
}

/* The only one that would have been answered. */
static void test_only_element_cancelled(void **state)
{
	BEGIN(CUT);
	const char *s = old_session();
	handle_t a = post(s, "[" CALL("17") "," NOTE "]");

	sim_run_for(SECONDS(1));
	cancel(s, 17);
	sim_run();
	HEARD(a, "202");
	sim_close();
}

/* One element may cancel another that came before it. */
static void test_element_cancels_element(void **state)
{
	BEGIN(SLOW(SECONDS(2)));
	handle_t a =
	    post(old_session(),
		 "[" CALL("1") "," CALL("2") ",{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{"
					     "\"requestId\":2}}]");

	slots_are(1, 0);
	sim_run();
	assert_int_equal(responses(a), 1);
	assert_true(hears(a, "\"id\":1,"));
	sim_close();
}

static void test_early_answer_in_a_batch(void **state)
{
	BEGIN(SLOW(SECONDS(5)));
	handle_t a =
	    post(old_session(),
		 "[" PING("1") ",{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\",\"params\":{\"name\":"
			       "\"execute_query\",\"arguments\":{\"query\":\"SELECT 7\",\"wait_seconds\":1}}}]");

	sim_run_for(SECONDS(2));
	HEARD(a, "200");
	assert_int_equal(responses(a), 2);
	slots_are(1, 0);
	sim_run();
	sim_close();
}

/* Each message counts, the batch does not. */
static void test_rate(void **state)
{
	BEGIN_WITHOUT;
	const char *s = old_session();
	handle_t a;

	sim.limits.burst = 3;
	sim.limits.calls_per_minute = 60;
	sim_run_for(SECONDS(10));
	a = post(s, "[" PING("1") "," PING("2") "," PING("3") "," PING("4") "]");
	HEARD(a, "200");
	assert_int_equal(responses(a), 4);
	assert_true(hears(a, "42901"));
	sim_close();
}

static void test_session_deleted(void **state)
{
	BEGIN(CUT);
	const char *s = old_session();
	handle_t a = post(s, "[" CALL("1") "," CALL("2") "," PING("3") "]");

	sim_run_for(SECONDS(1));
	delete_session(s);
	sim_run();
	HEARD(a, "200");
	assert_int_equal(responses(a), 1);
	sim_close();
}

/* The session comes back from the store for the batch as a whole. */
static void test_session_restored(void **state)
{
	BEGIN_WITHOUT;
	const char *s = old_session();
	handle_t a;

	sim_run();
	assert_int_equal(session_expire(gateway.sessions, INT64_MAX), 1);
	a = post(s, "[" PING("1") "," PING("2") "]");
	sim_run();
	HEARD(a, "200");
	assert_int_equal(responses(a), 2);
	sim_close();
}

static void test_drain(void **state)
{
	BEGIN(CUT);
	handle_t a = post(old_session(), "[" CALL("1") "," CALL("2") "," PING("3") "]");

	sim_run_for(SECONDS(1));
	script.conf.listen_drain = SECONDS(2);
	gateway_drain();
	sim_run();
	HEARD(a, "200");
	assert_int_equal(responses(a), 3);
	assert_true(hears(a, "50302"));
	assert_true(clients_loop_ended());
	sim_close();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_mix),
	    cmocka_unit_test(test_notifications_only),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_without_session),
	    cmocka_unit_test(test_client_leaves),
	    cmocka_unit_test(test_element_cancelled),
	    cmocka_unit_test(test_only_element_cancelled),
	    cmocka_unit_test(test_element_cancels_element),
	    cmocka_unit_test(test_early_answer_in_a_batch),
	    cmocka_unit_test(test_rate),
	    cmocka_unit_test(test_session_deleted),
	    cmocka_unit_test(test_session_restored),
	    cmocka_unit_test(test_drain),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
