/* Kill points: the process dies, or stops, at the passage that was named, and at no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "snowgate/base.h"
#include "snowgate/kill.h"

#ifdef SNOWGATE_KILL_POINTS
/* How a process ends that has passed intent_before `n` times, and another point before each of them. */
static int status_of(const char *text, int n)
{
	int status = 0;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		if (!KILL_ARM(text))
			_exit(3);
		for (int i = 0; i < n; i++) {
			KILL_POINT(event_after);
			KILL_POINT(intent_before);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	if (!WIFSTOPPED(status))
		return status;
	assert_int_equal(kill(child, SIGCONT), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0); /* it stops once */
	return -1;
}

static void assert_killed(const char *text, int passages)
{
	int status = status_of(text, passages);

	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(status_of(text, passages - 1), 0);
}

static void test_dies_at_its_passage(void **state)
{
	(void)state;
	assert_killed("intent_before", 1);
	assert_killed("intent_before:1", 1);
	assert_killed("intent_before:3", 3);
	assert_int_equal(status_of("intent_after", 9), 0);
	assert_int_equal(status_of(NULL, 9), 0);
}

static void test_stops_and_goes_on(void **state)
{
	(void)state;
	assert_int_equal(status_of("intent_before:stop", 5), -1);
	assert_int_equal(status_of("intent_before:3:stop", 3), -1);
	assert_int_equal(status_of("intent_before:3:stop", 2), 0);
}

static void test_what_names_no_point(void **state)
{
	static const char *const bad[] = {"",
					  "intent",
					  "intent_before:",
					  "intent_before:0",
					  "intent_before:-1",
					  "intent_before:x",
					  "intent_before:1:",
					  "intent_before:halt",
					  "intent_before:1:stop:",
					  "intent_before:stop:1",
					  "intent_before:99999999999999999999"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(KILL_ARM(bad[i]));
		assert_false(KILL_ARMED(intent_before));
	}
	assert_true(KILL_ARM("intent_before:2"));
	assert_true(KILL_ARMED(intent_before) && !KILL_ARMED(intent_after));
	assert_true(KILL_ARM(NULL));
	assert_false(KILL_ARMED(intent_before));
}
#else
static void test_nothing_is_left(void **state)
{
	(void)state;
	assert_true(KILL_ARM("no such point"));
	assert_false(KILL_ARMED(intent_before));
	KILL_POINT(intent_before);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef SNOWGATE_KILL_POINTS
	    cmocka_unit_test(test_dies_at_its_passage),
	    cmocka_unit_test(test_stops_and_goes_on),
	    cmocka_unit_test(test_what_names_no_point),
#else
	    cmocka_unit_test(test_nothing_is_left),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
