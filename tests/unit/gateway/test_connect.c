/* What clients are told to paste: each text is read back by a reader of its format, with ordinary and hostile values.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../src/core/toml.h"
#include "snowgate/connect.h"
#include "snowgate/json.h"

#define URL "https://snow.example.com/mcp?a=1&b='2'"
#define KEY "sgk_abcDEF-123_x"

static const char hostile_url[] =
    "http://a\"b'c\\d\ne</code><script>x</script>{{key}}${input:x}$(id)`id`\x01\x7f\xff\xc3\xa9 /";
static const char hostile_key[] =
    "k\"e'y\\\n\r# x = 1\n]]>--></pre><script>$(touch x)`id`${env:HOME}{{url}}\x01\x7f\xff\xc3\xa9 ";

static char text[1 << 16];

static const char *written(const char *client, const char *url, const char *key)
{
	struct buf b = buf_with_ceiling(sizeof(text) - 1);

	assert_true(connect_write(&b, client, url, key));
	memcpy(text, buf_text(&b), b.n + 1);
	buf_free(&b);
	return text;
}

static const char *started(const char *client, const char *program, const char *file)
{
	struct buf b = buf_with_ceiling(sizeof(text) - 1);

	assert_true(connect_write_stdio(&b, client, program, file));
	memcpy(text, buf_text(&b), b.n + 1);
	buf_free(&b);
	return text;
}

/* Behind the first line, which is a comment. */
static const char *body(const char *whole, const char *comment)
{
	assert_int_equal(strncmp(whole, comment, strlen(comment)), 0);
	return strchr(whole, '\n') + 1;
}

static json_t *json_of(const char *whole)
{
	const char *rest = body(whole, "// ");
	json_t *root;

	assert_int_equal(json_parse(slice_of(rest), JSON_DEPTH_MAX, &root, NULL, 0), JSON_OK);
	return root;
}

static const char *at(const json_t *root, const char *a, const char *b, const char *c, const char *d)
{
	const json_t *v = json_object_get(json_object_get(root, a), b);

	return d ? json_text_of(json_object_get(v, c), d) : json_text_of(v, c);
}

/* ---- JSON ---- */

static void test_cursor_and_vscode(void **state)
{
	json_t *root = json_of(written("cursor", URL, KEY));

	(void)state;
	assert_string_equal(at(root, "mcpServers", "snowgate", "url", NULL), URL);
	assert_string_equal(at(root, "mcpServers", "snowgate", "headers", "Authorization"), "Bearer " KEY);
	json_decref(root);
	root = json_of(written("vscode", URL, KEY));
	assert_string_equal(at(root, "servers", "snowgate", "type", NULL), "http");
	assert_string_equal(at(root, "servers", "snowgate", "url", NULL), URL);
	assert_string_equal(at(root, "servers", "snowgate", "headers", "Authorization"), "Bearer " KEY);
	json_decref(root);
	root = json_of(written("vscode", URL, NULL));
	assert_null(at(root, "servers", "snowgate", "headers", "Authorization"));
	json_decref(root);
}

static bool has_argument(const json_t *root, const char *argument)
{
	const json_t *args = json_object_get(json_object_get(json_object_get(root, "mcpServers"), "snowgate"), "args");
	size_t i;
	json_t *v;

	json_array_foreach(args, i, v)
	{
		if (strcmp(json_string_value(v), argument) == 0)
			return true;
	}
	return false;
}

static void test_claude_desktop_starts_a_bridge(void **state)
{
	json_t *root = json_of(written("claude-desktop", URL, KEY));

	(void)state;
	assert_string_equal(at(root, "mcpServers", "snowgate", "command", NULL), "npx");
	assert_true(has_argument(root, URL) && has_argument(root, "Authorization:${SNOWGATE_AUTHORIZATION}"));
	assert_false(has_argument(root, "--allow-http"));
	assert_string_equal(at(root, "mcpServers", "snowgate", "env", "SNOWGATE_AUTHORIZATION"), "Bearer " KEY);
	json_decref(root);
	root = json_of(written("claude-desktop", "http://10.0.0.1:8080/mcp", NULL));
	assert_true(has_argument(root, "--allow-http"));
	assert_false(has_argument(root, "--header"));
	json_decref(root);
}

static void test_processes(void **state)
{
	json_t *root = json_of(started("claude-desktop", "/opt/snow gate/bin\\s\"g", "/etc/x y.yaml"));

	(void)state;
	assert_string_equal(at(root, "mcpServers", "snowgate", "command", NULL), "/opt/snow gate/bin\\s\"g");
	assert_true(has_argument(root, "stdio") && has_argument(root, "-c") && has_argument(root, "/etc/x y.yaml"));
	json_decref(root);
	root = json_of(started("cursor", "snowgate", NULL));
	assert_true(has_argument(root, "stdio"));
	assert_false(has_argument(root, "-c"));
	json_decref(root);
	root = json_of(started("vscode", "snowgate", hostile_key));
	assert_string_equal(at(root, "servers", "snowgate", "type", NULL), "stdio");
	json_decref(root);
}

/* ---- TOML ---- */

/* [mcp_servers.snowgate]'s KEY, read by the reader of the configuration's own TOML files. */
static void check_toml(const char *whole, const char *key, const char *expected)
{
	struct conf_faults faults = {0};
	struct loading l = {.faults = &faults, .scratch = arena_new(CONF_ARENA_BYTES)};
	struct node *n = toml_parse(&l, slice_of(whole), "t.toml");

	assert_non_null(n);
	n = node_get(node_get(node_get(n, "mcp_servers"), "snowgate"), key);
	if (expected)
		assert_string_equal(n->text, expected);
	else
		assert_null(n);
	arena_free(l.scratch);
	conf_faults_free(&faults);
}

static void test_codex(void **state)
{
	(void)state;
	check_toml(written("codex", URL, KEY), "url", URL);
	check_toml(text, "bearer_token_env_var", "SNOWGATE_API_KEY");
	assert_non_null(strstr(text, "# export 'SNOWGATE_API_KEY=" KEY "'\n"));
	check_toml(written("codex", URL, NULL), "bearer_token_env_var", NULL);
	check_toml(started("codex", "C:\\bin\\snowgate\x7f", "/a \"b\""), "command", "C:\\bin\\snowgate\x7f");
}

/* ---- the shell ---- */

/* Runs `script` in bash with `program` as a function that prints its words, each ended by a NUL. Returns the bytes. */
static size_t words_of(const char *program, const char *script, char *out, size_t size)
{
	char whole[sizeof(text) + 256];
	int ends[2], status;
	size_t n = 0;
	ssize_t got;
	pid_t child;

	(void)snprintf(whole, sizeof(whole), "%s() { printf '%%s\\0' \"$@\"; }\n%s", program, script);
	assert_int_equal(pipe(ends), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void)dup2(ends[1], 1);
		execl("/bin/bash", "bash", "-c", whole, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	while ((got = read(ends[0], out + n, size - 1 - n)) > 0)
		n += (size_t)got;
	out[n] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return n;
}

static const char *word(const char *words, size_t i)
{
	while (i--)
		words += strlen(words) + 1;
	return words;
}

static void test_claude_code_in_a_shell(void **state)
{
	static char out[1 << 16];
	char header[512];

	(void)state;
	words_of("claude", written("claude-code", URL, KEY), out, sizeof(out));
	assert_string_equal(word(out, 0), "mcp");
	assert_string_equal(word(out, 5), "http");
	assert_string_equal(word(out, 6), "snowgate");
	assert_string_equal(word(out, 7), URL);
	assert_string_equal(word(out, 8), "--header");
	assert_string_equal(word(out, 9), "Authorization: Bearer " KEY);
	(void)snprintf(header, sizeof(header), "Authorization: Bearer %s", hostile_key);
	words_of("claude", written("claude-code", hostile_url, hostile_key), out, sizeof(out));
	assert_string_equal(word(out, 9), header);
	words_of("claude", started("claude-code", "/opt/it's", hostile_key), out, sizeof(out));
	assert_string_equal(word(out, 5), "--");
	assert_string_equal(word(out, 6), "/opt/it's");
	assert_string_equal(word(out, 7), "stdio");
	assert_string_equal(word(out, 8), "-c");
	assert_string_equal(word(out, 9), hostile_key);
}

static void test_curl_in_a_shell(void **state)
{
	static char out[1 << 16];
	json_t *root;
	size_t n = words_of("curl", written("curl", URL, KEY), out, sizeof(out));
	const char *last = out;

	(void)state;
	assert_string_equal(word(out, 1), URL);
	assert_string_equal(word(out, 3), "Authorization: Bearer " KEY);
	for (const char *w = out; w < out + n; w += strlen(w) + 1)
		last = w;
	assert_int_equal(json_parse(slice_of(last), JSON_DEPTH_MAX, &root, NULL, 0), JSON_OK);
	assert_string_equal(json_text_of(root, "method"), "tools/call");
	json_decref(root);
	words_of("curl", written("curl", hostile_url, hostile_key), out, sizeof(out));
	assert_int_equal(strncmp(word(out, 1), "http://a%22b'c%5Cd%0Ae%3C/code%3E", 33), 0);
	words_of("curl", written("curl", URL, NULL), out, sizeof(out));
	assert_null(strstr(text, "Authorization"));
}

/* ---- programs ---- */

static void check_no_template_left(const char *whole)
{
	assert_null(strstr(whole, "{{?"));
	assert_null(strstr(whole, "{{/"));
	assert_null(strstr(whole, "{{sh:"));
}

static void test_programs(void **state)
{
	(void)state;
	body(written("python", URL, KEY), "# ");
	assert_non_null(strstr(text, "\"Authorization\": \"Bearer " KEY "\""));
	assert_non_null(strstr(text, "streamable_http_client(\"" URL "\""));
	assert_null(strstr(text, "Client(\"" URL));
	written("python", URL, NULL);
	assert_non_null(strstr(text, "Client(\"" URL "\")"));
	assert_null(strstr(text, "httpx2"));
	body(written("typescript", URL, KEY), "// ");
	assert_non_null(strstr(text, "new URL(\"" URL "\"), {"));
	assert_non_null(strstr(text, "Authorization: \"Bearer " KEY "\""));
	written("typescript", URL, NULL);
	assert_non_null(strstr(text, "new URL(\"" URL "\"));"));
}

/* ---- all ---- */

static void each_client(void (*check)(const char *client))
{
	char names[256], *next = names;

	(void)snprintf(names, sizeof(names), "%s", connect_clients());
	for (char *name; (name = strsep(&next, " "));)
		check(name);
}

static size_t lines_of(const char *whole)
{
	size_t n = 0;

	for (; (whole = strchr(whole, '\n')); whole++)
		n++;
	return n;
}

/* Whatever the values hold, it adds no line, no control character and no byte that is not UTF-8. */
static void check_hostile(const char *client)
{
	size_t lines = lines_of(written(client, URL, KEY));

	check_no_template_left(text);
	assert_int_equal(lines_of(written(client, hostile_url, hostile_key)), lines);
	assert_true(utf8_valid(slice_of(text)));
	for (const char *c = text; *c; c++)
		assert_true((unsigned char)*c >= 0x20 || *c == '\n');
	assert_null(strchr(text, 0x7f));
}

static void test_hostile_values(void **state)
{
	json_t *root;

	(void)state;
	each_client(check_hostile);
	root = json_of(written("cursor", hostile_url, hostile_key));
	assert_int_equal(json_object_size(json_object_get(root, "mcpServers")), 1);
	json_decref(root);
	json_decref(json_of(written("vscode", hostile_url, hostile_key)));
	json_decref(json_of(written("claude-desktop", hostile_url, hostile_key)));
	check_toml(written("codex", hostile_url, hostile_key), "bearer_token_env_var", "SNOWGATE_API_KEY");
}

static void test_what_is_refused(void **state)
{
	static char long_value[5000];
	struct buf b = buf_with_ceiling(1 << 16);

	(void)state;
	memset(long_value, 'a', sizeof(long_value) - 1);
	assert_false(connect_write(&b, "netscape", URL, KEY));
	assert_false(connect_write(&b, "", URL, KEY));
	assert_false(connect_write(&b, "cursor", long_value, KEY));
	assert_false(connect_write(&b, "cursor", URL, long_value));
	assert_false(connect_write_stdio(&b, "curl", "snowgate", NULL));
	assert_false(connect_write_stdio(&b, "netscape", "snowgate", NULL));
	assert_int_equal(b.n, 0);
	buf_free(&b);
}

/* ---- the address and the page ---- */

static void check_url(const char *public_url, const char *address, const char *expected)
{
	const struct conf conf = {
	    .listen_public_url = public_url, .listen_address = address, .listen_port = 8080, .listen_path = "/mcp"};
	struct buf b = buf_with_ceiling(1024);

	assert_true(connect_url(&b, &conf));
	assert_string_equal(buf_text(&b), expected);
	buf_free(&b);
}

static void test_url(void **state)
{
	(void)state;
	check_url("", "127.0.0.1", "http://127.0.0.1:8080/mcp");
	check_url("", "::1", "http://[::1]:8080/mcp");
	check_url("", "0.0.0.0", "http://127.0.0.1:8080/mcp");
	check_url("", "::", "http://[::1]:8080/mcp");
	check_url("", "unix:/run/snowgate.sock", "http://localhost/mcp");
	check_url("https://snow.example.com/mcp", "127.0.0.1", "https://snow.example.com/mcp");
}

static size_t count_of(const char *whole, const char *part)
{
	size_t n = 0;

	for (; (whole = strstr(whole, part)); whole++)
		n++;
	return n;
}

static const char *page(int mode, const char *url)
{
	const struct conf conf = {.auth_mode = mode};
	struct buf b = buf_with_ceiling(sizeof(text) - 1);

	assert_true(connect_page(&b, &conf, url));
	memcpy(text, buf_text(&b), b.n + 1);
	buf_free(&b);
	return text;
}

static void test_page(void **state)
{
	(void)state;
	page(AUTH_REQUIRED, URL);
	assert_int_equal(strncmp(text, "<!doctype html>\n", 16), 0);
	assert_non_null(strstr(text, "</html>"));
	assert_true(count_of(text, "YOUR_API_KEY") >= 9);
	assert_int_equal(count_of(text, "<details"), 8);
	assert_int_equal(count_of(text, "<pre>"), count_of(text, "</pre>"));
	assert_null(strstr(text, "<script"));
	assert_null(strstr(text, "src="));
	assert_null(strstr(text, "href="));
	page(AUTH_NONE, URL);
	assert_null(strstr(text, "API_KEY"));
	assert_null(strstr(text, "Bearer"));
	page(AUTH_NONE, hostile_url);
	assert_null(strstr(text, "<script"));
	assert_int_equal(count_of(text, "<pre>"), 8);
	assert_int_equal(count_of(text, "</code>"), count_of(page(AUTH_NONE, URL), "</code>"));
	check_no_template_left(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cursor_and_vscode),
	    cmocka_unit_test(test_claude_desktop_starts_a_bridge),
	    cmocka_unit_test(test_processes),
	    cmocka_unit_test(test_codex),
	    cmocka_unit_test(test_claude_code_in_a_shell),
	    cmocka_unit_test(test_curl_in_a_shell),
	    cmocka_unit_test(test_programs),
	    cmocka_unit_test(test_hostile_values),
	    cmocka_unit_test(test_what_is_refused),
	    cmocka_unit_test(test_url),
	    cmocka_unit_test(test_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
