/* Configuration: each bad input is refused with its line, its key and what to do; no secret is told. */
#include "conf_help.h"

struct bad {
	const char *yaml;
	int line;
	const char *key, *reason;
};

#define CONNECTION(fields) "snowflake:\n  connections:\n    main: {" fields "}\n"
#define MAIN               CONNECTION("account: a-b, authenticator: oauth, token: t")

static const struct bad settings[] = {
    {"listen:\n  prot: 1\n", 2, "listen.prot", "did you mean port"},
    {"lisen:\n  port: 1\n", 1, "lisen", "did you mean listen"},
    {"zzzzzz: 1\n", 1, "zzzzzz", "--defaults"},
    {"session:\n  max_per: 5\n", 2, "session.max_per", "did you mean max_per_principal"},
    {"listen:\n  port: 65536\n", 2, "listen.port", "a whole number from 0 to 65535, not '65536'"},
    {"listen:\n  port: -1\n", 2, "listen.port", "from 0 to 65535"},
    {"listen:\n  port: eighty\n", 2, "listen.port", "not 'eighty'"},
    {"listen:\n  port: [80]\n", 2, "listen.port", "not a list"},
    {"listen:\n  port: 1\n  path: /x\n  port: 2\n", 4, "port", "first on line 2"},
    {"listen: 5\n", 1, "listen", "must be a section"},
    {"session:\n  idle_ttl: 60\n", 2, "session.idle_ttl", "a time from 10s to 30d, with its unit"},
    {"session:\n  idle_ttl: 9s\n", 2, "session.idle_ttl", "from 10s to 30d"},
    {"session:\n  idle_ttl: 1 h\n", 2, "session.idle_ttl", "with its unit"},
    {"session:\n  idle_ttl: 99999999999999999999d\n", 2, "session.idle_ttl", "from 10s to 30d"},
    {"session:\n  idle_ttl: 2h\n  absolute_ttl: 1h\n", 2, "session.idle_ttl", "longer than session.absolute_ttl"},
    {"session:\n  required: maybe\n", 2, "session.required", "true or false"},
    {"listen:\n  max_body: 4MB\n", 2, "listen.max_body", "units B, KiB, MiB, GiB"},
    {"listen:\n  max_body: 65MiB\n", 2, "listen.max_body", "from 1KiB to 64MiB"},
    {"mcp:\n  sse_keepalive: 15\n", 2, "mcp.sse_keepalive", "a time from 0s to 10m, with its unit"},
    {"mcp:\n  retry: 9ms\n", 2, "mcp.retry", "from 10ms to 1m"},
    {"mcp:\n  list_page: 0\n", 2, "mcp.list_page", "from 1 to 1000"},
    {"mcp:\n  http_sse: on\n", 2, "mcp.http_sse", "unknown"},
    {"log:\n  level: inof\n", 2, "log.level", "one of debug, info, warn, error, not 'inof' (did you mean info?)"},
    {"listen:\n  allowed_hosts: {a: b}\n", 2, "listen.allowed_hosts", "a list of texts"},
    {"listen:\n  allowed_hosts: [a, [b]]\n", 2, "listen.allowed_hosts", "not a list"},
    {"listen:\n  allowed_hosts: ['a/b']\n", 2, "listen.allowed_hosts", "('a/b'): must be a host name"},
    {"listen:\n  allowed_origins: ['*']\n", 2, "listen.allowed_origins", "* is not taken"},
    {"listen:\n  allowed_origins: ['https://a/']\n", 2, "listen.allowed_origins", "scheme://host"},
    {"listen:\n  trusted_proxies: [10.0.0.0/33]\n", 2, "listen.trusted_proxies", "an address or a network"},
    {"listen:\n  public_url: mcp.example.com\n", 2, "listen.public_url", "https://mcp.example.com/mcp"},
    {"listen:\n  public_url: https://u@h/\n", 2, "listen.public_url", "must be a URL"},
    {"listen:\n  path: mcp\n", 2, "listen.path", "begin with /"},
    {"listen:\n  path: /a?b\n", 2, "listen.path", "letters, digits"},
    {"listen:\n  path: /healthz\n", 2, "listen.path", "choose another path"},
    {"listen:\n  address: localhost\n", 2, "listen.address", "write 127.0.0.1"},
    {"listen:\n  address: unix:relative\n", 2, "listen.address", "unix:/path"},
    {"admin:\n  address: nowhere\n", 2, "admin.address", "IPv4 or IPv6"},
    {"admin:\n  port: 8080\n", 2, "admin.port", "same as listen.port"},
    {"results:\n  default_rows: 11000\n", 2, "results.default_rows", "more than results.max_rows"},
    {"results:\n  max_rows: 50\n", 2, "results.default_rows", "100 is more than results.max_rows, 50"},
    {"auth:\n  mode: none\nlisten:\n  address: 0.0.0.0\n", 2, "auth.mode", "loopback address, not 0.0.0.0"},
    {"auth:\n  mode: none\nlisten:\n  public_url: https://a.example\n", 2, "auth.mode", "listen.public_url"},
    {"auth:\n  mode: none\nlisten:\n  trusted_proxies: [10.0.0.1]\n", 2, "auth.mode", "listen.trusted_proxies"},
    {"session:\n  key_file: absent\n", 2, "session.key_file", "absent: No such file"},
    {"store:\n  kind: redis\n", 2, "store.kind", "one of sqlite, memory, valkey"},
    {"store:\n  kind: valkey\n", 2, "store.kind", "the same signing keys; set session.key_file"},
    {"listen:\n  handover: here\n", 2, "listen.handover", "whole path"},
    {"store:\n  backup_every: 1h\n", 2, "store.backup_every", "needs store.backup_path"},
    {"store:\n  max_bytes: 1KiB\n", 2, "store.max_bytes", "from 1MiB"},
    {"store:\n  path: a.db\n  backup_path: a.db\n", 3, "store.backup_path", "is the database itself"},
    {"snowflake:\n  connections_file: absent.toml\n", 2, "snowflake.connections_file", "No such file"},
};

static const struct bad texts[] = {
    {"a: [\n", 2, "", "not valid YAML"},
    {"a: b: c\n", 1, "", "not valid YAML"},
    {"- a\n", 1, "", "list of sections"},
    {"--- {}\n--- {}\n", 2, "", "one document"},
    {"listen: &a {port: 1}\n", 1, "", "anchors"},
    {"listen: *a\n", 1, "", "anchors"},
    {"listen: !x {port: 1}\n", 1, "", "tags"},
    {"listen:\n  path: \"/a\\0b\"\n", 2, "", "NUL"},
    {"? [a]\n: b\n", 1, "", "plain word"},
    {"a: [[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]\n", 1, "", "nested deeper than 16"},
    {"listen:\n  port: ${UNSET}\n", 2, "listen.port", "UNSET is not set"},
    {"listen:\n  path: /${UNSET\n", 2, "listen.path", "without its }"},
    {"listen:\n  path: /${a-b}\n", 2, "listen.path", "${NAME:-otherwise}"},
    {"include: absent.yaml\n", 1, "include", "absent.yaml: No such file"},
    {"include: conf.yaml\n", 1, "include", "include itself"},
    {"include: {a: b}\n", 1, "include", "name of a YAML file"},
};

static const struct bad lists[] = {
    {"limits: 5\n", 1, "limits", "section of profiles"},
    {"limits:\n  slow:\n    brst: 5\n", 3, "limits.slow.brst", "did you mean burst"},
    {"limits:\n  slow:\n    running: 0\n", 3, "limits.slow.running", "from 1 to 10000"},
    {"limits:\n  slow:\n    streams: 0\n", 3, "limits.slow.streams", "from 1 to 100000"},
    {"limits:\n  slow:\n    streams: 100001\n", 3, "limits.slow.streams", "from 1 to 100000"},
    {"policies: {a: b}\n", 1, "policies", "must be a list"},
    {"policies: []\n", 1, "policies", "refuse everybody"},
    {"policies:\n  - rol: X\n", 2, "policies.1.rol", "did you mean role"},
    {MAIN "policies:\n  - name: p\n    role: A\n    roles: [B]\n", 7, "policies.p.roles", "keep one"},
    {MAIN "policies:\n  - name: p\n    role: my-role\n", 6, "policies.p.role", "quotes of both kinds"},
    {MAIN "policies:\n  - name: p\n    databases: ['\"x']\n", 6, "policies.p.databases", "do not match"},
    {MAIN "policies:\n  - name: p\n    statements: [read, dmll]\n", 6, "policies.p.statements", "did you mean dml"},
    {MAIN "policies:\n  - name: p\n    statements: []\n", 6, "policies.p.statements", "allows nothing"},
    {MAIN "policies:\n  - name: p\n    confirm: aks\n", 6, "policies.p.confirm",
     "must be one of ask, require, never, not 'aks' (did you mean ask?)"},
    {MAIN "policies:\n  - name: p\n    confirm: true\n", 6, "policies.p.confirm", "one of ask, require, never"},
    {MAIN "policies:\n  - name: p\n    confirm: [ask]\n", 6, "policies.p.confirm", "not a list"},
    {MAIN "policies:\n  - name: p\n    toolsets: [all]\n", 6, "policies.p.toolsets", "one of core, classic"},
    {MAIN "policies:\n  - name: p\n    limits: slo\nlimits: {slow: {}}\n", 6, "policies.p.limits", "did you mean slow"},
    {MAIN "policies:\n  - name: p\n    connection: mian\n", 6, "policies.p.connection", "did you mean main"},
    {MAIN "policies:\n  - name: p\n    match: {principle: a}\n", 6, "policies.p.match.principle", "mean principal"},
    {MAIN "policies:\n  - name: p\n    match: {principal: []}\n", 6, "policies.p.match", "matches nobody"},
    {MAIN "policies:\n  - name: p\n  - name: p\n", 6, "policies.2.name", "another policy"},
    {"policies:\n  - name: p\n    connection: none\n", 3, "policies.p.connection", "no connection 'none'"},
};

#define FIELD(name) "snowflake.connections.main." name
#define KEY_PAIR    "account: a-b, user: u, private_key_file: "

static const struct bad connections[] = {
    {CONNECTION("user: u, authenticator: oauth, token: t"), 3, FIELD("account"), "account is missing"},
    {CONNECTION("account: 'https://a-b', authenticator: oauth, token: t"), 3, FIELD("account"), "no URL"},
    {CONNECTION("account: a.snowflakecomputing.com, authenticator: oauth, token: t"), 3, FIELD("account"),
     "stands before"},
    {CONNECTION("account: a, host: 'a/b', authenticator: oauth, token: t"), 3, FIELD("host"), "a host has letters"},
    {CONNECTION("account: a, host: 'h:1', authenticator: oauth, token: t"), 3, FIELD("host"),
     "under protocol and port"},
    {CONNECTION("account: a, host: h.example, protocol: http, authenticator: oauth, token: t"), 3, FIELD("protocol"),
     "protocol: http would send credentials in the clear to h.example"},
    {CONNECTION("account: a, protocol: ftp, authenticator: oauth, token: t"), 3, FIELD("protocol"), "must be https"},
    {CONNECTION("account: a, port: 0, authenticator: oauth, token: t"), 3, FIELD("port"), "from 1 to 65535"},
    {CONNECTION("account: a, authenticator: oauth"), 3, FIELD("token_file"), "token_file is missing"},
    {CONNECTION("account: a, authenticator: oauth, token: t, token_file: f"), 3, FIELD("token_file"), "both given"},
    {CONNECTION("account: a, authenticator: oauth, token_file: f"), 3, FIELD("token_file"), "f: No such file"},
    {CONNECTION("account: a, authenticator: oauth, token: 'secret canary'"), 3, FIELD("token"), "printable"},
    {CONNECTION("account: a, token: canary"), 3, FIELD("authenticator"), "authenticator is missing"},
    {CONNECTION("account: a, user: u, password: canary"), 3, FIELD("authenticator"), "a password cannot be used"},
    {CONNECTION("account: a, authenticator: externalbrowser"), 3, FIELD("authenticator"),
     "externalbrowser has a person"},
    {CONNECTION("account: a, authenticator: snowflake_jtw"), 3, FIELD("authenticator"), "did you mean snowflake_jwt"},
    {CONNECTION("account: a, user: u, authenticator: snowflake_jwt"), 3, FIELD("private_key_file"), "is missing"},
    {CONNECTION("account: a, private_key_raw: canary, private_key_file: f"), 3, FIELD("private_key_file"),
     "both given"},
    {CONNECTION("account: a, user: u, private_key_raw: canary"), 3, FIELD("private_key_raw"), "openssl genrsa"},
    {CONNECTION(KEY_PAIR "absent"), 3, FIELD("private_key_file"), "absent: No such file"},
    {CONNECTION(KEY_PAIR "key-short.p8"), 3, FIELD("private_key_file"), "shorter than 2048 bits"},
    {CONNECTION(KEY_PAIR "key-encrypted.p8"), 3, FIELD("private_key_file"), "private_key_passphrase_file"},
    {CONNECTION(KEY_PAIR "key-encrypted.p8, private_key_passphrase: canary"), 3, FIELD("private_key_file"),
     "does not open with the passphrase"},
    {CONNECTION(KEY_PAIR "key.p8, private_key_passphrase: canary, private_key_passphrase_file: f"), 3,
     FIELD("private_key_passphrase_file"), "both given"},
    {CONNECTION("account: a, private_key_file: key.p8"), 3, FIELD("user"), "user is missing"},
    {CONNECTION("account: a, authenticator: oauth, token: t, ca_file: absent"), 3, FIELD("ca_file"), "No such file"},
    {CONNECTION("account: a, authenticator: oauth, token: t, ca_file: key.p8"), 3, FIELD("ca_file"), "no certificate"},
    {CONNECTION("account: a, authenticator: oauth, token: t, rle: X"), 3, FIELD("rle"), "did you mean role"},
    {CONNECTION("account: a, authenticator: oauth, token: t, role: a b"), 3, FIELD("role"), "no plain name"},
    {CONNECTION("account: [a]"), 3, FIELD("account"), "must be a text"},
    {"snowflake:\n  connections:\n    ' x': {account: a, authenticator: oauth, token: t}\n", 3,
     "snowflake.connections. x", "no blank"},
    {"snowflake:\n  connections: [a]\n", 2, "snowflake.connections", "section of connections"},
    {"snowflake:\n  connection: mian\n  connections: {main: {account: a, authenticator: oauth, token: t}}\n", 2,
     "snowflake.connection", "did you mean main"},
    {"snowflake:\n  connections:\n    one: {account: a, authenticator: oauth, token: t}\n"
     "    two: {account: a, authenticator: oauth, token: t}\n",
     2, "snowflake.connection", "connection: one"},
};

static void expect(const struct bad *bad, size_t n)
{
	write_file("key.p8", key_plain);
	write_file("key-short.p8", key_short);
	write_file("key-encrypted.p8", key_encrypted);
	for (size_t i = 0; i < n; i++) {
		struct conf_faults faults;
		bool found = false;
		const char *path = write_file("conf.yaml", bad[i].yaml);
		assert_null(conf_load(path, &faults));
		assert_true(faults.n >= 1);
		for (size_t k = 0; k < faults.n; k++) {
			const struct conf_fault *f = &faults.v[k];
			assert_null(strstr(f->reason, "canary"));
			found = found || (f->line == bad[i].line && strcmp(f->key, bad[i].key) == 0 &&
					  strstr(f->reason, bad[i].reason) && f->file && strcmp(f->file, path) == 0);
		}
		for (size_t k = 0; !found && k < faults.n; k++)
			print_error("%s:%d: %s: %s\n", faults.v[k].file, faults.v[k].line, faults.v[k].key,
				    faults.v[k].reason);
		if (!found)
			fail_msg("not told: line %d: %s: %s of:\n%s", bad[i].line, bad[i].key, bad[i].reason,
				 bad[i].yaml);
		conf_faults_free(&faults);
	}
}

static void bad_settings_are_refused(void **state UNUSED)
{
	expect(settings, ARRAY_LEN(settings));
}

static void bad_yaml_is_refused(void **state UNUSED)
{
	expect(texts, ARRAY_LEN(texts));
}

static void bad_lists_are_refused(void **state UNUSED)
{
	expect(lists, ARRAY_LEN(lists));
}

static void bad_connections_are_refused(void **state UNUSED)
{
	expect(connections, ARRAY_LEN(connections));
}

static void every_fault_is_told_at_once(void **state UNUSED)
{
	struct conf_faults faults;
	struct buf text = buf_with_ceiling(1 << 16);
	assert_null(
	    conf_load(write_file("conf.yaml", "listen: {port: x, pth: y}\nlog: {level: z}\nbad: 1\n"), &faults));
	assert_int_equal(faults.n, 4);
	assert_true(conf_faults_write(&text, &faults));
	assert_non_null(strstr(buf_text(&text), "conf.yaml:1: listen.port: must be a whole number"));
	buf_free(&text);
	conf_faults_free(&faults);
}

static void faults_have_a_ceiling(void **state UNUSED)
{
	struct conf_faults faults;
	struct buf yaml = buf_with_ceiling(1 << 20);
	for (int i = 0; i < 3000; i++)
		buf_addf(&yaml, "key_%d: 1\n", i);
	assert_null(conf_load(write_file("conf.yaml", buf_text(&yaml)), &faults));
	assert_int_equal(faults.n, 200);
	assert_non_null(strstr(faults.v[199].reason, "more like it"));
	buf_free(&yaml);
	conf_faults_free(&faults);
}

static void variables_in_faults(void **state UNUSED)
{
	struct conf_faults faults;
	setenv("SNOWGATE_LISTEN_PORT", "many", 1);
	setenv("SECRET", "canary", 1);
	const char *yaml = "session: {max: \"${SECRET}\"}\nlisten: {allowed_hosts: [\"${SECRET}/\"]}\n";
	assert_null(conf_load(write_file("conf.yaml", yaml), &faults));
	assert_int_equal(faults.n, 3);
	for (size_t i = 0; i < faults.n; i++)
		assert_null(strstr(faults.v[i].reason, "canary"));
	assert_string_equal(faults.v[0].file, "environment");
	assert_string_equal(faults.v[0].key, "SNOWGATE_LISTEN_PORT");
	assert_non_null(strstr(faults.v[0].reason, "not 'many'"));
	conf_faults_free(&faults);
}

static void files_that_others_may_write_are_refused(void **state UNUSED)
{
	struct conf_faults faults;
	assert_null(conf_load(write_mode("conf.yaml", "{}", 0620), &faults));
	assert_non_null(strstr(faults.v[0].reason, "chmod go-w"));
	conf_faults_free(&faults);
	write_file("conf.yaml", CONNECTION("account: a, authenticator: oauth, token: t"));
	(void)chmod(in_folder("conf.yaml"), 0644);
	const struct conf *conf = conf_load(in_folder("conf.yaml"), &faults);
	assert_non_null(conf);
	assert_int_equal(faults.warnings_n, 1);
	conf_free(conf);
	conf_faults_free(&faults);
}

#define ALONE(test) cmocka_unit_test_setup_teardown(test, clean_environment, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ALONE(bad_settings_are_refused),    ALONE(bad_yaml_is_refused),
	    ALONE(bad_lists_are_refused),       ALONE(bad_connections_are_refused),
	    ALONE(every_fault_is_told_at_once), ALONE(faults_have_a_ceiling),
	    ALONE(variables_in_faults),         ALONE(files_that_others_may_write_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
