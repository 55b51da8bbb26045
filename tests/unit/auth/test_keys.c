/* API keys from their making to their end, the file's faults, and what a key file keeps through a change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "snowgate/auth.h"
#include "snowgate/crypt.h"
#include "snowgate/file.h"
#include "snowgate/wheel.h"

#define START INT64_C(1764000000) /* 2025-11-24T16:00:00Z */

static char folder[64], path[96];
static char why[4096];

static int set_up(void **state UNUSED)
{
	(void)snprintf(folder, sizeof(folder), "/tmp/snowgate-keys-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/api-keys", folder);
	clock_set_virtual(0, START * USEC_PER_S);
	why[0] = '\0';
	return 0;
}

static int tear_down(void **state UNUSED)
{
	(void)unlink(path);
	return rmdir(folder); /* fails where a temporary was left behind */
}

static char *make(const char *name, const char *group, const char *expires)
{
	struct buf secret = buf_with_ceiling(100);
	if (!key_new(path, name, group, expires, &secret, why, sizeof(why)))
		fail_msg("%s", why);
	return buf_take(&secret, NULL);
}

static enum auth_result check(const char *token, int64_t now, struct principal *p)
{
	struct keyring *k = keyring_load(path, why, sizeof(why));
	if (!k)
		fail_msg("%s", why);
	struct buf header = buf_with_ceiling(1000);
	assert_true(buf_addf(&header, "Bearer %s", token));
	enum auth_result result = auth_check(k, buf_slice(&header), now, p);
	buf_free(&header);
	keyring_free(k);
	return result;
}

static char *content(void)
{
	char *text = file_read(path, 1 << 20, NULL);
	assert_non_null(text);
	return text;
}

static void put(const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, 0600), 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
}

static void a_new_key_opens_the_door(void **state UNUSED)
{
	struct principal p = {0};
	char *token = make("ci.build", "team-a", "90d");
	assert_int_equal(strlen(token), 63);
	assert_memory_equal(token, "sgk_", 4);
	assert_int_equal(check(token, START, &p), AUTH_OK);
	assert_int_equal(p.kind, PRINCIPAL_KEY);
	assert_string_equal(p.subject, "ci.build");
	assert_string_equal(p.group, "team-a");
	assert_string_equal(p.issuer, "");
	assert_int_equal(check(token, START + 90 * 86400 - 1, &p), AUTH_OK);
	assert_int_equal(check(token, START + 90 * 86400, &p), AUTH_EXPIRED);
	char *text = content();
	assert_null(strstr(text, token + 13)); /* the secret is not in the file */
	struct buf expected = buf_with_ceiling(1000);
	struct sha256 hash = crypt_sha256(token, strlen(token));
	assert_true(buf_addf(&expected, "ci.build %.8s ", token + 4) && hex_encode(&expected, hash.bytes, 32) &&
		    buf_adds(&expected, " group=team-a created=2025-11-24T16:00:00Z expires=2026-02-22T16:00:00Z\n"));
	assert_string_equal(text, buf_text(&expected));
	buf_free(&expected);
	free(text);
	free(token);
}

/* Any other character anywhere: refused by the check, but for the few changes that CRC-32's 30 bits miss. */
static void no_other_token_does(void **state UNUSED)
{
	char *token = make("a", NULL, NULL);
	struct principal p = {.subject = "untouched"};
	struct keyring *k = keyring_load(path, why, sizeof(why));
	for (size_t i = 0; i < strlen(token); i++) {
		char kept = token[i];
		token[i] = kept == 'A' ? 'B' : 'A';
		assert_int_equal(keyring_find(k, slice_of(token), START, &p), AUTH_MALFORMED);
		token[i] = kept;
		assert_int_equal(keyring_find(k, (struct slice){token, i}, START, &p),
				 i ? AUTH_MALFORMED : AUTH_MISSING);
	}
	assert_int_equal(keyring_find(k, slice_of(NULL), START, &p), AUTH_MISSING);
	assert_int_equal(keyring_find(NULL, slice_of(token), START, &p), AUTH_UNKNOWN);
	assert_string_equal(p.subject, "untouched");
	keyring_free(k);
	free(token);
}

/* Right form, right check: but the secret of another key under this id is unknown, revoked or not. */
static void a_wrong_secret_is_unknown_whatever_the_id(void **state UNUSED)
{
	char *first = make("a", NULL, NULL), *lost = make("b", NULL, NULL);
	struct principal p;
	size_t n;
	char *text = content();
	/* the sums of the two lines change places */
	char *one = strchr(text, ' ') + 10, *two = strchr(strchr(text, '\n'), ' ') + 10;
	for (int i = 0; i < 64; i++) {
		char c = one[i];
		one[i] = two[i];
		two[i] = c;
	}
	put(text);
	assert_int_equal(check(first, START, &p), AUTH_UNKNOWN);
	assert_true(key_revoke(path, "a", &n, why, sizeof(why)));
	assert_int_equal(check(first, START, &p), AUTH_UNKNOWN);
	put("");
	assert_int_equal(check(lost, START, &p), AUTH_UNKNOWN);
	free(text);
	free(first);
	free(lost);
}

static void rotation_keeps_name_and_group(void **state UNUSED)
{
	struct principal old_p, new_p;
	size_t n = 0;
	char *old = make("etl", "batch", NULL), *new = make("etl", NULL, "12h"), id[9] = "";
	assert_int_equal(check(old, START, &old_p), AUTH_OK);
	assert_int_equal(check(new, START, &new_p), AUTH_OK);
	assert_true(principal_equal(&old_p, &new_p));
	assert_string_equal(new_p.group, "batch");
	memcpy(id, old + 4, 8);
	assert_true(key_revoke(path, id, &n, why, sizeof(why)));
	assert_int_equal(n, 1);
	assert_int_equal(check(old, START, &old_p), AUTH_REVOKED);
	assert_int_equal(check(new, START, &new_p), AUTH_OK);
	assert_true(key_revoke(path, "etl", &n, why, sizeof(why)));
	assert_int_equal(n, 1);
	assert_int_equal(check(new, START + 86400, &new_p), AUTH_REVOKED);
	assert_true(key_revoke(path, "etl", &n, why, sizeof(why)));
	assert_int_equal(n, 0);
	assert_false(key_revoke(path, "nobody", &n, why, sizeof(why)));
	assert_non_null(strstr(why, "no key"));
	assert_false(key_revoke(path, "aaaaaaaa", &n, why, sizeof(why)));
	free(old);
	free(new);
}

static void names_and_expiries_are_strict(void **state UNUSED)
{
	static const char *const names[] = {
	    "",    " ",   "a b",
	    "a#",  "a=b", "\xC3\xA4",
	    "a/b", "a\n", "12345678901234567890123456789012345678901234567890123456789012345"};
	static const char *const expiries[] = {"",    "d",    "0d",    "-1d", "90",  "90 d",
					       "90D", "1.5d", "3651d", "1m",  "d90", "99999999999999999999h"};
	struct buf secret = buf_with_ceiling(100);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_false(key_new(path, names[i], NULL, NULL, &secret, why, sizeof(why)));
		assert_false(key_new(path, "ok", names[i], NULL, &secret, why, sizeof(why)));
	}
	for (size_t i = 0; i < ARRAY_LEN(expiries); i++)
		assert_false(key_new(path, "ok", NULL, expiries[i], &secret, why, sizeof(why)));
	assert_false(key_new(path, NULL, NULL, NULL, &secret, why, sizeof(why)));
	assert_int_equal(secret.n, 0);
	assert_int_equal(access(path, F_OK), -1);
	free(make("1234567890123456789012345678901234567890123456789012345678901234", NULL, "3650d"));
}

static void a_change_keeps_comments_mode_and_links(void **state UNUSED)
{
	char link[96];
	struct stat st;
	size_t n;
	put("# keys of the team\n\n   # more"); /* no newline at the end */
	assert_int_equal(chmod(path, 0640), 0);
	(void)snprintf(link, sizeof(link), "%s/link", folder);
	assert_int_equal(symlink("api-keys", link), 0);
	struct buf secret = buf_with_ceiling(100);
	assert_true(key_new(link, "a", NULL, NULL, &secret, why, sizeof(why)));
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	char *text = content();
	assert_memory_equal(text, "# keys of the team\n\n   # more\na ", 32);
	char *with_note = xalloc(strlen(text) + 100);
	(void)snprintf(with_note, strlen(text) + 100, "%.*s # laptop\r\nb bbbbbbbb %064d", (int)strlen(text) - 1, text,
		       0);
	put(with_note);
	assert_true(key_revoke(path, "a", &n, why, sizeof(why)));
	free(text);
	text = content();
	assert_non_null(strstr(text, " revoked=2025-11-24T16:00:00Z # laptop\r\nb bbbbbbbb 0000"));
	assert_true(key_revoke(path, "bbbbbbbb", &n, why, sizeof(why)));
	assert_int_equal(n, 1);
	free(text);
	text = content();
	static const char end[] = " revoked=2025-11-24T16:00:00Z";
	assert_string_equal(text + strlen(text) - strlen(end), end);
	free(text);
	free(with_note);
	buf_free(&secret);
	assert_int_equal(unlink(link), 0);
}

static void a_new_file_is_private(void **state UNUSED)
{
	struct stat st;
	mode_t mask = umask(0);
	free(make("a", NULL, NULL));
	(void)umask(mask);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

#define SUM "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void every_fault_is_told_with_its_line(void **state UNUSED)
{
	static const struct {
		const char *line, *reason;
	} cases[] = {
	    {"a/b aaaaaaaa " SUM, "a name is"},
	    {"a", "id"},
	    {"a AAAAAAAA " SUM, "id"},
	    {"a aaaaaaa " SUM, "id"},
	    {"a aaaaaaaa", "SHA-256"},
	    {"a aaaaaaaa " SUM "00", "SHA-256"},
	    {"a aaaaaaaa 1234", "SHA-256"},
	    {"a aaaaaaaa # " SUM, "SHA-256"},
	    {"a aaaaaaaa " SUM " group", "only group="},
	    {"a aaaaaaaa " SUM " team=x", "only group="},
	    {"a aaaaaaaa " SUM " group=", "a group is"},
	    {"a aaaaaaaa " SUM " group=a,b", "a group is"},
	    {"a aaaaaaaa " SUM " group=a group=a", "group is given twice"},
	    {"a aaaaaaaa " SUM " expires=tomorrow", "expires must be a time"},
	    {"a aaaaaaaa " SUM " expires=", "expires must be a time"},
	    {"a aaaaaaaa " SUM " expires=2025-02-30T00:00:00Z", "expires must be a time"},
	    {"a aaaaaaaa " SUM " created=2025-01-01T00:00:00Z created=2025-01-01T00:00:00Z", "created is given twice"},
	    {"a aaaaaaaa " SUM " revoked=yes", "revoked must be a time"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf text = buf_with_ceiling(1000), where = buf_with_ceiling(200);
		assert_true(buf_addf(&text, "# first\n\n%s\nfine bbbbbbbb " SUM "\n", cases[i].line));
		put(buf_text(&text));
		assert_null(keyring_load(path, why, sizeof(why)));
		assert_true(buf_addf(&where, "%s:3: ", path));
		assert_memory_equal(why, buf_text(&where), where.n);
		if (!strstr(why, cases[i].reason) || strchr(why, '\n'))
			fail_msg("%s: %s", cases[i].line, why);
		buf_free(&text);
		buf_free(&where);
	}
}

static void all_faults_are_told_at_once(void **state UNUSED)
{
	struct buf where = buf_with_ceiling(300);
	put("a aaaaaaaa " SUM "\nb\nc aaaaaaaa " SUM "\nd dddddddd x\n");
	assert_null(keyring_load(path, why, sizeof(why)));
	for (int line = 2; line <= 4; line++) {
		buf_clear(&where);
		assert_true(buf_addf(&where, "%s:%d: ", path, line));
		assert_non_null(strstr(why, buf_text(&where)));
	}
	assert_non_null(strstr(why, "the id aaaaaaaa is that of line 1"));
	char small[60];
	assert_null(keyring_load(path, small, sizeof(small)));
	assert_true(strlen(small) < sizeof(small));
	buf_free(&where);
	/* and such a file is not touched */
	size_t n;
	struct buf secret = buf_with_ceiling(100);
	char *before = content();
	assert_false(key_new(path, "x", NULL, NULL, &secret, why, sizeof(why)));
	assert_false(key_revoke(path, "a", &n, why, sizeof(why)));
	char *after = content();
	assert_string_equal(before, after);
	assert_int_equal(secret.n, 0);
	free(before);
	free(after);
}

static void odd_files_are_judged(void **state UNUSED)
{
	struct keyring *k = keyring_load(path, why, sizeof(why)); /* absent: empty */
	assert_non_null(k);
	assert_int_equal(keyring_count(k), 0);
	keyring_free(k);
	keyring_free(NULL);
	assert_int_equal(keyring_count(NULL), 0);
	assert_null(keyring_load(folder, why, sizeof(why))); /* a folder */
	assert_non_null(strstr(why, folder));
	put("\r\n \t \r\n#\n  a aaaaaaaa\t" SUM "  \r\n");
	k = keyring_load(path, why, sizeof(why));
	assert_int_equal(keyring_count(k), 1);
	keyring_free(k);
	char *longest = xalloc(3000);
	memset(longest, '#', 2000);
	put(longest);
	assert_null(keyring_load(path, why, sizeof(why)));
	assert_non_null(strstr(why, "longer than"));
	free(longest);
	struct buf secret = buf_with_ceiling(100);
	assert_false(key_new("/nonexistent/folder/keys", "a", NULL, NULL, &secret, why, sizeof(why)));
	assert_non_null(strstr(why, "/nonexistent/folder"));
	assert_int_equal(secret.n, 0);
}

static void a_list_shows_states_and_no_sums(void **state UNUSED)
{
	size_t n;
	free(make("gone", NULL, NULL));
	assert_true(key_revoke(path, "gone", &n, why, sizeof(why)));
	free(make("short", "g", "1h"));
	free(make("a-rather-long-name", NULL, NULL));
	clock_advance(3600 * USEC_PER_S);
	struct buf table = buf_with_ceiling(10000);
	assert_true(key_list(path, &table, why, sizeof(why)));
	static const char *const expected[] = {"NAME ", "  revoked\n", "  2025-11-24T17:00:00Z  expired\n",
					       "  never                 active\n"};
	for (size_t i = 0; i < ARRAY_LEN(expected); i++)
		if (!strstr(buf_text(&table), expected[i]))
			fail_msg("no '%s' in:\n%s", expected[i], buf_text(&table));
	for (size_t at = 0; at < table.n; at++)
		assert_true(strspn(table.data + at, "0123456789abcdef") < 20);
	buf_free(&table);
	table = buf_with_ceiling(20);
	assert_false(key_list(path, &table, why, sizeof(why)));
	buf_free(&table);
}

/* Two commands at one time: nobody's key is lost. */
static void commands_at_one_time_lose_nothing(void **state UNUSED)
{
	enum { PROCESSES = 4, EACH = 10 };
	pid_t children[PROCESSES];
	for (int i = 0; i < PROCESSES; i++) {
		children[i] = fork();
		if (children[i] != 0)
			continue;
		bool ok = true;
		for (int k = 0; ok && k < EACH; k++) {
			struct buf secret = buf_with_ceiling(100);
			ok = key_new(path, "same", NULL, NULL, &secret, why, sizeof(why));
			buf_free(&secret);
		}
		_exit(ok ? 0 : 1);
	}
	for (int i = 0; i < PROCESSES; i++) {
		int status = 1;
		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_int_equal(status, 0);
	}
	struct keyring *k = keyring_load(path, why, sizeof(why));
	assert_int_equal(keyring_count(k), PROCESSES * EACH);
	keyring_free(k);
}

static void many_keys_are_all_found(void **state UNUSED)
{
	enum { N = 300 };
	char *tokens[N];
	struct buf text = buf_with_ceiling(1 << 20);
	for (int i = 0; i < N; i++) {
		tokens[i] = make("k", NULL, NULL);
		char *all = content();
		assert_true(buf_addf(&text, "n%d%s", i, strchr(all, ' ')));
		free(all);
		assert_int_equal(unlink(path), 0);
	}
	put(buf_text(&text));
	struct keyring *k = keyring_load(path, why, sizeof(why));
	assert_int_equal(keyring_count(k), N);
	for (int i = 0; i < N; i++) {
		struct principal p;
		char name[16];
		(void)snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(keyring_find(k, slice_of(tokens[i]), START, &p), AUTH_OK);
		assert_string_equal(p.subject, name);
		free(tokens[i]);
	}
	keyring_free(k);
	buf_free(&text);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_new_key_opens_the_door),
	    TEST(no_other_token_does),
	    TEST(a_wrong_secret_is_unknown_whatever_the_id),
	    TEST(rotation_keeps_name_and_group),
	    TEST(names_and_expiries_are_strict),
	    TEST(a_change_keeps_comments_mode_and_links),
	    TEST(a_new_file_is_private),
	    TEST(every_fault_is_told_with_its_line),
	    TEST(all_faults_are_told_at_once),
	    TEST(odd_files_are_judged),
	    TEST(a_list_shows_states_and_no_sums),
	    TEST(commands_at_one_time_lose_nothing),
	    TEST(many_keys_are_all_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
