/* Whole files: what is read is whole, what is made is there whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snowgate/file.h"

static char folder[64], home[64];

static const char *in_folder(const char *name)
{
	static char path[256];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

static int begin(void **state)
{
	(void)state;
	snprintf(folder, sizeof folder, "%s/snowgate-file-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(folder));
	return 0;
}

static int end(void **state)
{
	(void)state;
	return rmdir(folder);
}

static void assert_mode(const char *path, mode_t mode)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, mode);
}

static void test_read(void **state)
{
	size_t n = 0;
	char *text;

	(void)state;
	assert_true(file_write_new(in_folder("a"), SLICE("one\ntwo\n")));
	text = file_read(in_folder("a"), 8, &n);
	assert_string_equal(text, "one\ntwo\n");
	assert_int_equal(n, 8);
	free(text);
	assert_null(file_read(in_folder("a"), 7, NULL));
	assert_int_equal(errno, EFBIG);
	assert_null(file_read(folder, 100, NULL));
	assert_int_equal(errno, EISDIR);
	assert_null(file_read(in_folder("b"), 100, NULL));
	assert_int_equal(errno, ENOENT);
	unlink(in_folder("a"));
}

/* Nobody else's to read whatever the umask, and whoever comes second changes nothing. */
static void test_write_new(void **state)
{
	mode_t before = umask(0);
	char *text;

	(void)state;
	assert_true(file_write_new(in_folder("a"), SLICE("first")));
	assert_mode(in_folder("a"), 0600);
	assert_false(file_write_new(in_folder("a"), SLICE("second")));
	assert_int_equal(errno, EEXIST);
	text = file_read(in_folder("a"), 100, NULL);
	assert_string_equal(text, "first");
	free(text);
	assert_false(file_write_new(in_folder("none/a"), SLICE("x")));
	assert_int_equal(errno, ENOENT);
	assert_int_equal(unlink(in_folder("a")), 0); /* and the folder must be empty then: end() */
	umask(before);
}

static void test_folder(void **state)
{
	char *old = getenv("HOME") ? strdup(getenv("HOME")) : NULL;

	(void)state;
	assert_true(file_folder(in_folder("made/a")));
	assert_true(file_folder(in_folder("made/a")));
	assert_mode(in_folder("made"), 0700);
	assert_false(file_folder(in_folder("not/made/a")));
	assert_int_equal(errno, ENOENT);
	/* below the home directory every one of them */
	snprintf(home, sizeof home, "%s", folder);
	setenv("HOME", home, 1);
	assert_true(file_folder(in_folder("x/y/z/a")));
	assert_mode(in_folder("x"), 0700);
	assert_mode(in_folder("x/y/z"), 0700);
	if (old)
		setenv("HOME", old, 1);
	else
		unsetenv("HOME");
	free(old);
	rmdir(in_folder("x/y/z"));
	rmdir(in_folder("x/y"));
	rmdir(in_folder("x"));
	rmdir(in_folder("made"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_read, begin, end),
	    cmocka_unit_test_setup_teardown(test_write_new, begin, end),
	    cmocka_unit_test_setup_teardown(test_folder, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
