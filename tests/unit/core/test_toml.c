/* TOML: what Snowflake's files hold is read, and what is not TOML is refused with its line. */
#include "conf_help.h"
#include "../../../src/core/toml.h"

struct reading {
	struct loading l;
	struct conf_faults faults;
	struct node *root;
};

static struct node *read_toml(struct reading *r, const char *text, size_t n)
{
	*r = (struct reading){0};
	r->l = (struct loading){.faults = &r->faults, .scratch = arena_new(CONF_ARENA_BYTES)};
	r->root = toml_parse(&r->l, (struct slice){text, n}, "t.toml");
	return r->root;
}

static void end(struct reading *r)
{
	arena_free(r->l.scratch);
	conf_faults_free(&r->faults);
}

/* The scalar at a path of keys with / between them. */
static const char *text_at(const struct node *n, const char *path)
{
	char key[64];
	while (n && *path) {
		size_t len = strcspn(path, "/");
		snprintf(key, sizeof(key), "%.*s", (int)len, path);
		n = node_get(n, key);
		path += len + (path[len] == '/');
	}
	return n && n->kind == NODE_SCALAR ? n->text : NULL;
}

static void values_are_read(void **state UNUSED)
{
	static const struct {
		const char *toml, *path, *text;
	} cases[] = {
	    {"a = 1", "a", "1"},
	    {"a=-1.5e3 # c", "a", "-1.5e3"},
	    {"a = true\r\nb = 2\r\n", "b", "2"},
	    {"\xef\xbb\xbf# first\n\n  a = 'x'", "a", "x"},
	    {"a = 1979-05-27T07:32:00Z", "a", "1979-05-27T07:32:00Z"},
	    {"a = \"x\\ty\\\"\\\\ \\u00e9 \\U0001F600\"", "a", "x\ty\"\\ \xc3\xa9 \xf0\x9f\x98\x80"},
	    {"a = 'C:\\new'", "a", "C:\\new"},
	    {"a = \"\"", "a", ""},
	    {"a = ''", "a", ""},
	    {"a = \"\"\"\nx\ny\"\"\"", "a", "x\ny"},
	    {"a = \"\"\"x \\\n   y\"\"\"", "a", "x y"},
	    {"a = '''\nx\\\n'y''''", "a", "x\\\n'y'"},
	    {"a = \"\"\"\"q\"\"\"\"\"", "a", "\"q\"\""},
	    {"[t]\na = 1", "t/a", "1"},
	    {"[t.u]\na = 1\n[t]\nb = 2", "t/u/a", "1"},
	    {"[ t . \"u v\" ]\na = 1", "t/u v/a", "1"},
	    {"t.u.a = 1\nt.b = 2", "t/b", "2"},
	    {"'k 1'.\"k2\" = 1", "k 1/k2", "1"},
	    {"a-b_1 = 1", "a-b_1", "1"},
	    {"123 = 1", "123", "1"},
	    {"t = {a = 1, u = {b = 'x'}, c.d = 2}", "t/u/b", "x"},
	    {"t = {a = 1, u = {b = 'x'}, c.d = 2}", "t/c/d", "2"},
	    {"t = {}\na = 3", "a", "3"},
	    {"l = [1, [2, 3], # c\n 'x',\n]\na = 4", "a", "4"},
	    {"[[l]]\na = 1\n[[l]]\na = 2\n[l.m]\nb = 1\n[z]\na = 5", "z/a", "5"},
	    {"[connections.dev]\naccount = \"o-a\"\nport = 443\n", "connections/dev/port", "443"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct reading r;
		if (!read_toml(&r, cases[i].toml, strlen(cases[i].toml)))
			fail_msg("refused: %s\n%s", r.faults.v[0].reason, cases[i].toml);
		const char *text = text_at(r.root, cases[i].path);
		assert_non_null(text);
		assert_string_equal(text, cases[i].text);
		end(&r);
	}
}

static void what_is_not_toml_is_refused(void **state UNUSED)
{
	static const struct {
		const char *toml;
		int line;
		const char *reason;
	} cases[] = {
	    {"a", 1, "= expected"},
	    {"a = ", 1, "a value expected"},
	    {"a = x", 1, "stands in quotes"},
	    {"a = 1 2", 1, "something follows"},
	    {"a = \"x", 1, "closing quote"},
	    {"\na = \"x\ny\"", 2, "three quotes"},
	    {"a = \"\"\"x\n\n", 3, "three closing"},
	    {"a = \"\\q\"", 1, "unknown escape"},
	    {"a = \"\\u12\"", 1, "hexadecimal"},
	    {"a = \"\\ud800\"", 1, "no character"},
	    {"a = \"\\u0000\"", 1, "no character"},
	    {"a = 1\na = 2", 2, "given twice"},
	    {"[t]\n[t]", 2, "a table is given twice"},
	    {"a = 1\n[a]", 2, "no table"},
	    {"a = 1\na.b = 2", 2, "no table"},
	    {"t = {a = 1}\n[t.b]", 2, "no table"},
	    {"l = []\n[[l]]", 2, "no array of tables"},
	    {"[t\na = 1", 1, "] expected"},
	    {"[[t]\n", 1, "] expected"},
	    {"[]", 1, "a key expected"},
	    {"= 1", 1, "a key expected"},
	    {"a. = 1", 1, "a key expected"},
	    {"\"\"\"a\"\"\" = 1", 1, "key ends on its line"},
	    {"a = [1 2]", 1, ", or ] expected"},
	    {"a = {b = 1 c = 2}", 1, ", or } expected"},
	    {"a = [[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]", 1, "too deeply"},
	    {"a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a = 1", 1, "too deeply"},
	    {"a = 1\n\xff = 2", 2, "UTF-8"},
	    {"a = '\x01'", 1, "not valid TOML"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct reading r;
		assert_null(read_toml(&r, cases[i].toml, strlen(cases[i].toml)));
		assert_int_equal(r.faults.n, 1);
		if (r.faults.v[0].line != cases[i].line || !strstr(r.faults.v[0].reason, cases[i].reason))
			fail_msg("line %d: %s\nof: %s", r.faults.v[0].line, r.faults.v[0].reason, cases[i].toml);
		end(&r);
	}
}

/* Every prefix of a text, and every text with one byte less, ends: with a tree or with a fault. */
static void broken_texts_end(void **state UNUSED)
{
	static const char text[] =
	    "# c\r\n[a.\"b\"]\nk = \"\"\"x\\\n y\"\"\"\n[[l]]\nm = {n = [1, '''z'''], o = \"\\u00e9\"}\n";
	for (size_t cut = 0; cut < sizeof(text); cut++) {
		char shorter[sizeof(text)];
		struct reading r;
		read_toml(&r, text, cut);
		assert_true((r.root != NULL) == (r.faults.n == 0));
		end(&r);
		memcpy(shorter, text, sizeof(text));
		memmove(shorter + cut, text + cut + (cut + 1 < sizeof(text)), sizeof(text) - cut - 1);
		read_toml(&r, shorter, sizeof(text) - 2);
		assert_true((r.root != NULL) == (r.faults.n == 0));
		end(&r);
	}
	struct reading r;
	assert_null(read_toml(&r, "a = 1\0", 6));
	end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(values_are_read),
	    cmocka_unit_test(what_is_not_toml_is_refused),
	    cmocka_unit_test(broken_texts_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
