/* Log lines: one line of valid JSON whatever the values are; the ring between threads, full and at its stop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "snowgate/log.h"
#include "snowgate/mail.h"
#include "snowgate/wheel.h"

static int capture_fd = -1, saved_stderr = -1;

/* Lines written at once go to standard error, which becomes a file in memory here. */
static int set_up(void **state UNUSED)
{
	capture_fd = memfd_create("log", MFD_CLOEXEC);
	saved_stderr = dup(STDERR_FILENO);
	clock_set_virtual(0, 1764000000123456);
	log_set_level(LOG_INFO);
	return capture_fd < 0 || dup2(capture_fd, STDERR_FILENO) < 0 ? -1 : 0;
}

static int tear_down(void **state UNUSED)
{
	(void)dup2(saved_stderr, STDERR_FILENO);
	(void)close(saved_stderr);
	(void)close(capture_fd);
	return 0;
}

static char *captured(void)
{
	off_t n = lseek(capture_fd, 0, SEEK_END);
	char *text = xalloc((size_t)n + 1);
	assert_int_equal(pread(capture_fd, text, (size_t)n, 0), n);
	return text;
}

static json_t *only_line(void)
{
	char *text = captured();
	char *newline = strchr(text, '\n');
	assert_non_null(newline);
	assert_int_equal(newline[1], '\0');
	json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(line);
	free(text);
	return line;
}

static void a_line_has_time_level_event_and_fields(void **state UNUSED)
{
	log_event(LOG_WARN, "denied", log_text("path", "/mcp"), log_number("n", -42), log_number("min", INT64_MIN),
		  log_bool("yes", true), log_bool("no", false), log_text("absent", NULL));
	char *text = captured();
	assert_string_equal(text,
			    "{\"ts\":\"2025-11-24T16:00:00.123456Z\",\"level\":\"warn\",\"event\":\"denied\","
			    "\"path\":\"/mcp\",\"n\":-42,\"min\":-9223372036854775808,\"yes\":true,\"no\":false}\n");
	free(text);
}

static void an_event_without_fields_is_a_line(void **state UNUSED)
{
	log_event(LOG_ERROR, "stop");
	json_t *line = only_line();
	assert_int_equal(json_object_size(line), 3);
	json_decref(line);
}

static void no_value_can_forge_a_line(void **state UNUSED)
{
	static const char evil[] = "a\n{\"event\":\"forged\"}\r\t\x01\x1b[31m\"\\\x7f\xC2\x9B"
				   "2J\xFF\xC3(\xE2\x82\xAC";
	log_event(LOG_INFO, "x", log_text("value", evil));
	char *text = captured();
	for (size_t i = 0; text[i]; i++)
		assert_true((unsigned char)text[i] >= 0x20 || (text[i] == '\n' && !text[i + 1]));
	assert_null(strstr(text, "\xC2\x9B"));
	assert_null(strstr(text, "\x7f"));
	free(text);
	json_t *line = only_line();
	assert_string_equal(json_string_value(json_object_get(line, "value")),
			    "a\n{\"event\":\"forged\"}\r\t\x01\x1b[31m\"\\\x7f\xC2\x9B"
			    "2J\xEF\xBF\xBD\xEF\xBF\xBD(\xE2\x82\xAC");
	json_decref(line);
}

static void every_length_gives_a_valid_line(void **state UNUSED)
{
	static char big[10000];
	static const char *const units[] = {"x", "\n", "\xE2\x82\xAC", "\xFF", "\\"};
	for (size_t unit = 0; unit < ARRAY_LEN(units); unit++) {
		for (size_t n = 5900; n < 9000; n += n < 6300 ? 1 : 61) {
			size_t width = strlen(units[unit]);
			for (size_t i = 0; i < n; i++)
				big[i] = units[unit][i % width];
			big[n / width * width] = '\0';
			assert_int_equal(ftruncate(capture_fd, 0), 0);
			assert_int_equal(lseek(capture_fd, 0, SEEK_SET), 0);
			log_event(LOG_INFO, "big", log_text("a", big), log_text("b", big), log_number("n", 7));
			json_t *line = only_line();
			assert_true(json_is_true(json_object_get(line, "cut")));
			assert_non_null(json_object_get(line, "a"));
			json_decref(line);
		}
	}
}

static void levels_filter(void **state UNUSED)
{
	enum log_level level = LOG_ERROR;
	log_event(LOG_DEBUG, "hidden");
	assert_int_equal(lseek(capture_fd, 0, SEEK_END), 0);
	assert_true(log_level_parse("debug", &level));
	assert_int_equal(level, LOG_DEBUG);
	assert_false(log_level_parse("DEBUG", &level));
	assert_false(log_level_parse("", &level));
	assert_false(log_level_parse(NULL, &level));
	log_set_level(level);
	log_event(LOG_DEBUG, "shown");
	json_decref(only_line());
}

enum { LINES = 5000 };

static void run_writer(void *arg UNUSED)
{
	for (int i = 0; i < LINES; i++)
		log_event(LOG_INFO, "line", log_text("from", thread_name(thread_self())), log_number("i", i));
}

/* Each thread's lines are there in its order, but for those that were dropped, which are counted and told. */
static void the_ring_keeps_order_and_counts_what_it_drops(void **state UNUSED)
{
	pthread_t threads[3];
	uint64_t dropped_before = log_dropped();
	log_start(capture_fd, 1);
	thread_start(THREAD_NET, run_writer, NULL, &threads[0]);
	thread_start(THREAD_SNOWFLAKE, run_writer, NULL, &threads[1]);
	thread_start(THREAD_WORKER, run_writer, NULL, &threads[2]);
	for (int i = 0; i < 3; i++)
		thread_join(threads[i]);
	log_stop();
	log_stop();
	uint64_t dropped = log_dropped() - dropped_before;
	char *text = captured(), *rest = text;
	json_int_t last[THREADS_N] = {[THREAD_NET] = -1, [THREAD_SNOWFLAKE] = -1, [THREAD_WORKER] = -1};
	size_t n = 0, told = 0;
	for (char *line; (line = strsep(&rest, "\n")) && *line; n++) {
		json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(json);
		const char *from = json_string_value(json_object_get(json, "from"));
		enum thread t = *from == 'n' ? THREAD_NET : *from == 's' ? THREAD_SNOWFLAKE : THREAD_WORKER;
		json_int_t i = json_integer_value(json_object_get(json, "i"));
		assert_true(i > last[t]);
		last[t] = i;
		told += (size_t)json_integer_value(json_object_get(json, "dropped"));
		json_decref(json);
	}
	assert_int_equal(n + dropped, 3 * LINES);
	assert_true(told <= dropped);
	free(text);
}

/* A pipe that nobody reads blocks the LOG thread; the writers go on. */
static void a_blocked_writer_blocks_nobody(void **state UNUSED)
{
	int fds[2];
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	uint64_t dropped_before = log_dropped();
	static char text[1000];
	memset(text, 'x', sizeof(text) - 1);
	log_start(fds[1], 1);
	for (int i = 0; i < 2000; i++)
		log_event(LOG_INFO, "flood", log_text("text", text));
	uint64_t dropped = log_dropped() - dropped_before;
	assert_true(dropped > 1000);
	(void)close(fds[0]); /* the write fails, and the thread comes back */
	log_stop();
	(void)close(fds[1]);
}

static atomic_bool delivered;

static void note_delivery(struct mail *m UNUSED)
{
	delivered = thread_self() == THREAD_LOG;
}

static void mail_to_the_log_thread_is_delivered(void **state UNUSED)
{
	struct mail m = {.deliver = note_delivery};
	log_start(capture_fd, 1);
	mail_post(THREAD_LOG, &m);
	log_stop();
	assert_true(delivered);
}

int main(void)
{
	(void)signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_line_has_time_level_event_and_fields, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(an_event_without_fields_is_a_line, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(no_value_can_forge_a_line, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(every_length_gives_a_valid_line, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(levels_filter, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(the_ring_keeps_order_and_counts_what_it_drops, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_blocked_writer_blocks_nobody, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(mail_to_the_log_thread_is_delivered, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
