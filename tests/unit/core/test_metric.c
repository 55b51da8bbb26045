/* Metrics: counting from several threads, labels, the exposition text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "snowgate/mail.h"
#include "snowgate/metric.h"

static int set_up(void **state UNUSED)
{
	metric_reset();
	return 0;
}

static void labels_are_counted_apart(void **state UNUSED)
{
	metric_count(METRIC_auth, "ok");
	metric_count(METRIC_auth, "ok");
	metric_count(METRIC_auth, "bad");
	metric_count(METRIC_auth, "never heard of");
	metric_count(METRIC_auth, "o");
	assert_int_equal(metric_value(METRIC_auth, "ok"), 2);
	assert_int_equal(metric_value(METRIC_auth, "bad"), 1);
	assert_int_equal(metric_value(METRIC_auth, "missing"), 0);
	assert_int_equal(metric_value(METRIC_auth, "other"), 2);
	metric_add(METRIC_sessions, NULL, 5);
	metric_add(METRIC_sessions, NULL, -2);
	assert_int_equal(metric_value(METRIC_sessions, NULL), 3);
}

enum { ROUNDS = 50000 };

static void run_counter(void *arg UNUSED)
{
	for (int i = 0; i < ROUNDS; i++) {
		metric_count(METRIC_slow_turns, NULL);
		metric_observe(METRIC_call_seconds, i);
	}
}

static void threads_lose_no_count(void **state UNUSED)
{
	static const enum thread who[] = {THREAD_NET, THREAD_WORKER, THREAD_WORKER, THREAD_STORE};
	pthread_t threads[ARRAY_LEN(who)];
	for (size_t i = 0; i < ARRAY_LEN(who); i++)
		thread_start(who[i], run_counter, NULL, &threads[i]);
	int64_t last = 0;
	for (int i = 0; i < 1000; i++) {
		int64_t now = metric_value(METRIC_slow_turns, NULL);
		assert_true(now >= last);
		last = now;
	}
	for (size_t i = 0; i < ARRAY_LEN(who); i++)
		thread_join(threads[i]);
	assert_int_equal(metric_value(METRIC_slow_turns, NULL), ROUNDS * (int)ARRAY_LEN(who));
	assert_int_equal(metric_value(METRIC_call_seconds, NULL), ROUNDS * (int)ARRAY_LEN(who));
}

static void assert_has(const struct buf *b, const char *line)
{
	if (!strstr(buf_text(b), line))
		fail_msg("missing: %s", line);
}

static void the_text_is_prometheus(void **state UNUSED)
{
	metric_count(METRIC_http_requests, "2xx");
	metric_add(METRIC_queue_depth, NULL, -1);
	metric_observe(METRIC_call_seconds, 5000); /* on the bound: within it */
	metric_observe(METRIC_call_seconds, 5001);
	metric_observe(METRIC_call_seconds, 3600 * USEC_PER_S);
	struct buf b = buf_with_ceiling(1 << 20);
	assert_true(metric_write(&b));
	assert_has(&b, "# HELP snowgate_http_requests_total HTTP requests answered, by status class\n"
		       "# TYPE snowgate_http_requests_total counter\n"
		       "snowgate_http_requests_total{code=\"2xx\"} 1\n"
		       "snowgate_http_requests_total{code=\"4xx\"} 0\n");
	assert_has(&b, "# TYPE snowgate_queue_depth gauge\nsnowgate_queue_depth -1\n");
	assert_has(&b, "# TYPE snowgate_call_duration_seconds histogram\n"
		       "snowgate_call_duration_seconds_bucket{le=\"0.001\"} 0\n"
		       "snowgate_call_duration_seconds_bucket{le=\"0.005\"} 1\n"
		       "snowgate_call_duration_seconds_bucket{le=\"0.01\"} 2\n");
	assert_has(&b, "snowgate_call_duration_seconds_bucket{le=\"120\"} 2\n"
		       "snowgate_call_duration_seconds_bucket{le=\"+Inf\"} 3\n"
		       "snowgate_call_duration_seconds_sum 3600.010001\n"
		       "snowgate_call_duration_seconds_count 3\n");
	assert_has(&b, "\nprocess_resident_memory_bytes ");
	assert_has(&b, "\nprocess_start_time_seconds ");
	assert_int_equal(b.data[b.n - 1], '\n');
	buf_free(&b);
}

static double value_of(const struct buf *b, const char *name)
{
	const char *at = strstr(buf_text(b), name);
	assert_non_null(at);
	return strtod(at + strlen(name), NULL);
}

static void process_values_are_plausible(void **state UNUSED)
{
	struct buf b = buf_with_ceiling(1 << 20);
	assert_true(metric_write(&b));
	assert_true(value_of(&b, "\nprocess_resident_memory_bytes ") > 100000);
	assert_true(value_of(&b, "\nprocess_virtual_memory_bytes ") >=
		    value_of(&b, "\nprocess_resident_memory_bytes "));
	assert_true(value_of(&b, "\nprocess_open_fds ") >= 3 && value_of(&b, "\nprocess_open_fds ") < 1000);
	assert_true(value_of(&b, "\nprocess_start_time_seconds ") > 1.7e9);
	buf_free(&b);
	b = buf_with_ceiling(100);
	assert_false(metric_write(&b));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(labels_are_counted_apart, set_up),
	    cmocka_unit_test_setup(threads_lose_no_count, set_up),
	    cmocka_unit_test_setup(the_text_is_prometheus, set_up),
	    cmocka_unit_test_setup(process_values_are_plausible, set_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
