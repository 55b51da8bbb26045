/* What was counted of a session outlives its memory: it goes into the record now and then, once, and beside changes. */
#include "talk.c"

static void pings(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)post(s, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}");
	while (sim_turn())
		;
}

static void set_level(const char *s)
{
	(void)post(s, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"logging/setLevel\",\"params\":{\"level\":\"info\"}}");
}

/* Of a session that is asked for again after it has left memory. */
static int64_t requests_stored(const char *s)
{
	while (sim_turn())
		;
	session_expire(gateway.sessions, INT64_MAX);
	assert_int_equal(session_count(gateway.sessions), 0);
	pings(s, 1);
	return sim_session_of(s)->counters.requests - 1;
}

static void test_without_a_change(void **state)
{
	BEGIN_WITHOUT;
	const char *s = session();

	pings(s, 5);
	counters_write(1);
	assert_int_equal(requests_stored(s), 5);
	sim_close();
}

static void test_each_is_written_once(void **state)
{
	BEGIN_WITHOUT;
	const char *s = session();

	for (int i = 1; i <= 4; i++) {
		pings(s, 3);
		counters_write(1);
		counters_write(1); /* on its way already */
		while (sim_turn())
			;
		counters_write(1); /* nothing new */
	}
	assert_int_equal(requests_stored(s), 12);
	sim_close();
}

/* A change that is written before, while and after they are: in every order nothing is counted twice or lost. */
static void test_beside_changes(void **state)
{
	BEGIN_WITHOUT;
	const char *s = session();
	int64_t all = 0;

	for (int order = 0; order < 5; order++) {
		pings(s, 2);
		if (order == 0)
			set_level(s);
		counters_write(1);
		if (order == 1)
			set_level(s);
		pings(s, order == 2);
		if (order == 3) {
			thread_play(THREAD_STORE);
			(void)store_turn(); /* it has been read, and not written */
			thread_play(THREAD_NET);
			set_level(s);
		}
		while (sim_turn())
			;
		if (order == 4)
			set_level(s);
		while (sim_turn())
			;
		counters_write(1);
		all += 2 + (order != 2) + (order == 2);
		assert_int_equal(sim_session_of(s)->counters.requests, all);
		assert_int_equal(requests_stored(s), all);
		assert_int_equal(sim_session_of(s)->log_level, LEVEL_INFO);
		all++; /* the look at it */
	}
	sim_close();
}

static void test_of_a_session_that_was_deleted(void **state)
{
	BEGIN_WITHOUT;
	const char *s = session();
	handle_t x;

	pings(s, 5);
	counters_write(1);
	(void)delete_session(s);
	while (sim_turn())
		;
	counters_write(1);
	while (sim_turn())
		;
	x = post(s, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}");
	while (sim_turn())
		;
	HEARD(x, "404");
	sim_close();
}

static void test_part_by_part(void **state)
{
	BEGIN_WITHOUT;
	const char *v[8];

	for (int i = 0; i < 8; i++)
		v[i] = session();
	for (int i = 0; i < 8; i++)
		pings(v[i], 2);
	for (int part = 0; part < 7; part++) {
		counters_write(6);
		while (sim_turn())
			;
	}
	for (int i = 0; i < 8; i++)
		assert_int_equal(requests_stored(v[i]), 2);
	sim_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_without_a_change), cmocka_unit_test(test_each_is_written_once),
	    cmocka_unit_test(test_beside_changes),   cmocka_unit_test(test_of_a_session_that_was_deleted),
	    cmocka_unit_test(test_part_by_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
