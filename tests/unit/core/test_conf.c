/* Configuration: defaults, files, variables, lists, what is written, who matches. */
#include "conf_help.h"

static void the_defaults_need_no_file(void **state UNUSED)
{
	struct conf_faults faults;
	assert_int_equal(chdir(folder), 0);
	const struct conf *conf = conf_load(NULL, &faults);
	assert_non_null(conf);
	assert_null(conf->file);
	assert_string_equal(conf->listen_address, "127.0.0.1");
	assert_int_equal(conf->listen_port, 8080);
	assert_int_equal(conf->listen_max_body, 4 << 20);
	assert_int_equal(conf->session_idle_ttl, 3600 * USEC_PER_S);
	assert_int_equal(conf->session_absolute_ttl, 30 * 86400 * USEC_PER_S);
	assert_int_equal(conf->auth_mode, AUTH_REQUIRED);
	assert_int_equal(conf->snowflake_submit, SUBMIT_ASYNC);
	assert_false(conf->session_required);
	assert_int_equal(conf->listen_allowed_hosts.n, 0);
	assert_int_equal(conf->results_max_bytes, 40 << 10);
	assert_int_equal(conf->limits_n, 1);
	assert_int_equal(conf->limits[0].queue_wait, 30 * USEC_PER_S);
	assert_int_equal(conf->limits[0].streams, 64);
	assert_int_equal(conf->policies[0].confirm, CONFIRM_ASK);
	assert_int_equal(conf->mcp_stream_after, 500 * USEC_PER_MS);
	assert_int_equal(conf->mcp_stream_lifetime, 0);
	assert_int_equal(conf->mcp_list_page, 100);
	assert_int_equal(conf->mcp_ask_timeout, 300 * USEC_PER_S);
	assert_int_equal(conf->connections_n, 0);
	assert_null(conf_connection(conf, NULL));
	/* It is enough for `key new`, and says what `serve` lacks. */
	assert_int_equal(faults.n, 0);
	assert_true(faults.no_connection);
	assert_int_equal(faults.warnings_n, 1);
	assert_non_null(strstr(faults.warnings[0].reason, "connections.toml"));
	conf_free(conf);
	conf_faults_free(&faults);
}

static void the_file_is_found_in_its_order(void **state UNUSED)
{
	struct conf_faults faults;
	const char *path = write_file("conf.yaml", "listen: {port: 81}\n");
	setenv("SNOWGATE_CONFIG", path, 1);
	const struct conf *conf = conf_load(NULL, &faults);
	assert_int_equal(conf->listen_port, 81);
	assert_string_equal(conf->file, path);
	assert_string_equal(conf->auth_api_keys_file, in_folder("api-keys"));
	conf_free(conf);
	conf_faults_free(&faults);
	setenv("SNOWGATE_CONFIG", in_folder("absent.yaml"), 1);
	assert_null(conf_load(NULL, &faults));
	assert_non_null(strstr(faults.v[0].reason, "No such file"));
	conf_faults_free(&faults);
}

/* For the database: the first of the service manager's folders, else one of the system's or of the user's. */
static void the_store_has_a_place(void **state UNUSED)
{
	static const struct {
		const char *state, *xdg, *conf, *path; /* path NULL: beside the configuration */
	} cases[] = {
	    {"/var/lib/one:/var/lib/two", "/xdg", "", "/var/lib/one/snowgate.db"},
	    {"/var/lib/one", NULL, "store: {path: /else/x.db}\n", "/else/x.db"},
	    {NULL, "/xdg", "store: {path: x.db}\n", NULL},
	    {NULL, "/xdg", "", "/xdg/snowgate/snowgate.db"},
	};
	struct conf_faults faults;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		unsetenv("STATE_DIRECTORY");
		unsetenv("XDG_STATE_HOME");
		if (cases[i].state)
			setenv("STATE_DIRECTORY", cases[i].state, 1);
		if (cases[i].xdg)
			setenv("XDG_STATE_HOME", cases[i].xdg, 1);
		const struct conf *conf = load_good(cases[i].conf, &faults);
		const char *path = cases[i].path ? cases[i].path : in_folder("x.db");
		if (geteuid() == 0 && strncmp(path, "/xdg", 4) == 0)
			path = "/var/lib/snowgate/snowgate.db";
		assert_string_equal(conf->store_path, path);
		conf_free(conf);
		conf_faults_free(&faults);
	}
	unsetenv("STATE_DIRECTORY");
	unsetenv("XDG_STATE_HOME");
}

static void every_type_is_read(void **state UNUSED)
{
	struct conf_faults faults;
	const struct conf *conf = load_good("listen:\n"
					    "  address: '[::1]'\n"
					    "  port: 0\n"
					    "  max_body: 512KiB\n"
					    "  header_timeout: 1m30s\n"
					    "  allowed_hosts: [a.example, 'b.example:8443']\n"
					    "  allowed_origins: https://one.example\n"
					    "  idle_timeout: 1500ms\n"
					    "session:\n"
					    "  required: on\n"
					    "  max:\n"
					    "snowflake: {submit: sync, statement_timeout: 7d}\n"
					    "results: {max_cell: 16}\n"
					    "mcp: {stream_after: 0, stream_lifetime: 1d, retry: 10ms, list_page: 1}\n"
					    "admin: {address: ''}\n",
					    &faults);
	assert_string_equal(conf->listen_address, "::1");
	assert_int_equal(conf->listen_port, 0);
	assert_int_equal(conf->listen_max_body, 512 << 10);
	assert_int_equal(conf->listen_header_timeout, 90 * USEC_PER_S);
	assert_int_equal(conf->listen_idle_timeout, 1500 * USEC_PER_MS);
	assert_int_equal(conf->listen_allowed_hosts.n, 2);
	assert_true(texts_have(conf->listen_allowed_hosts, "b.example:8443"));
	assert_int_equal(conf->listen_allowed_origins.n, 1);
	assert_true(conf->session_required);
	assert_int_equal(conf->session_max, 100000); /* an empty value is none */
	assert_int_equal(conf->snowflake_submit, SUBMIT_SYNC);
	assert_int_equal(conf->snowflake_statement_timeout, 7 * 86400 * USEC_PER_S);
	assert_int_equal(conf->results_max_cell, 16);
	assert_int_equal(conf->mcp_stream_after, 0);
	assert_int_equal(conf->mcp_stream_lifetime, 86400 * USEC_PER_S);
	assert_int_equal(conf->mcp_retry, 10 * USEC_PER_MS);
	assert_int_equal(conf->mcp_list_page, 1);
	assert_string_equal(conf->admin_address, "");
	conf_free(conf);
	conf_faults_free(&faults);
}

static void the_environment_wins(void **state UNUSED)
{
	struct conf_faults faults;
	setenv("SNOWGATE_LISTEN_PORT", "9001", 1);
	setenv("SNOWGATE_LISTEN_ALLOWED_HOSTS", "a.example, b.example", 1);
	setenv("SNOWGATE_ADMIN_ADDRESS", "", 1);
	setenv("SNOWGATE_MCP_SSE_KEEPALIVE", "0", 1);
	setenv("SNOWGATE_RESULTS_MAX_ROWS", "", 1); /* empty: not given, where empty is no value */
	const struct conf *conf =
	    load_good("listen: {port: 81, allowed_hosts: [c]}\nresults: {max_rows: 500}\n", &faults);
	assert_int_equal(conf->listen_port, 9001);
	assert_int_equal(conf->listen_allowed_hosts.n, 2);
	assert_string_equal(conf->listen_allowed_hosts.v[1], "b.example");
	assert_string_equal(conf->admin_address, "");
	assert_int_equal(conf->mcp_sse_keepalive, 0);
	assert_int_equal(conf->results_max_rows, 500);
	conf_free(conf);
	conf_faults_free(&faults);
}

static bool warned(const struct conf_faults *faults, const char *key, const char *words)
{
	for (size_t i = 0; i < faults->warnings_n; i++)
		if (strcmp(faults->warnings[i].key, key) == 0 && strstr(faults->warnings[i].reason, words))
			return true;
	return false;
}

static void odd_variables_are_told(void **state UNUSED)
{
	struct conf_faults faults;
	setenv("SNOWGATE_LISTEN_PROT", "1", 1);
	setenv("SNOWGATE_ADMIN_PORT", "tcp://10.0.0.1:9090", 1); /* a service link */
	setenv("SNOWGATE_SERVICE_HOST", "10.0.0.1", 1);
	const struct conf *conf = load_good("", &faults);
	assert_int_equal(conf->admin_port, 9090);
	assert_true(warned(&faults, "SNOWGATE_LISTEN_PROT", "did you mean SNOWGATE_LISTEN_PORT"));
	assert_true(warned(&faults, "SNOWGATE_ADMIN_PORT", "enableServiceLinks"));
	assert_false(warned(&faults, "SNOWGATE_SERVICE_HOST", ""));
	conf_free(conf);
	conf_faults_free(&faults);
}

static void variables_are_replaced_in_values(void **state UNUSED)
{
	struct conf_faults faults;
	setenv("PORT", "7000", 1);
	setenv("ODD", "a: [b", 1); /* never YAML */
	const struct conf *conf = load_good("listen: {port: \"${PORT}\", path: \"/${NONE:-mcp}/x\"}\n"
					    "snowflake: {query_tag: 'x${ODD}y $${Z}'}\n",
					    &faults);
	assert_int_equal(conf->listen_port, 7000);
	assert_string_equal(conf->listen_path, "/mcp/x");
	assert_string_equal(conf->snowflake_query_tag, "xa: [by ${Z}");
	conf_free(conf);
	conf_faults_free(&faults);
}

static void includes_are_merged_below_the_file(void **state UNUSED)
{
	struct conf_faults faults;
	write_file("base.yaml", "listen: {port: 1, path: /base}\nresults: {max_rows: 777}\n");
	write_file("more.yaml", "include: base.yaml\nlisten: {port: 2}\nsession: {key_file: keys}\n");
	write_file("keys", "00\n");
	const struct conf *conf = load_good("include: [more.yaml]\nlisten: {max_connections: 99}\n", &faults);
	assert_int_equal(conf->listen_port, 2);
	assert_string_equal(conf->listen_path, "/base");
	assert_int_equal(conf->results_max_rows, 777);
	assert_int_equal(conf->listen_max_connections, 99);
	assert_string_equal(conf->session_key_file, in_folder("keys"));
	conf_free(conf);
	conf_faults_free(&faults);
}

static const char policies[] = "snowflake:\n"
			       "  connection: main\n"
			       "  connections:\n"
			       "    main: {account: my_org-acc, authenticator: oauth, token: t, role: '\"My Role\"'}\n"
			       "    second: {account: o-b, authenticator: programmatic_access_token, token: u}\n"
			       "limits:\n"
			       "  default: {burst: 7}\n"
			       "  slow: {calls_per_minute: 6, queue_wait: 5s, streams: 2}\n"
			       "policies:\n"
			       "  - name: analysts\n"
			       "    match: {principal: [alice, 'bi-*'], group: analysts}\n"
			       "    roles: [analyst, '\"Odd \"\"Role\"\"\"']\n"
			       "    warehouse: wh_xs\n"
			       "    databases: [sales, '\"Mixed\"']\n"
			       "    statements: [read, dml]\n"
			       "    confirm: require\n"
			       "    toolsets: [core, classic]\n"
			       "    limits: slow\n"
			       "  - match: {group: ['ops-?\?']}\n"
			       "    connection: second\n"
			       "    confirm: never\n"
			       "    role: OPS\n"
			       "  - name: others\n"
			       "    match: {principal: others}\n"
			       "    confirm:\n";

static const struct policy *policy_of(const struct conf *conf, const char *subject, const char *group)
{
	struct principal p = {.kind = PRINCIPAL_KEY};
	snprintf(p.subject, sizeof(p.subject), "%s", subject);
	snprintf(p.group, sizeof(p.group), "%s", group);
	return conf_policy(conf, &p);
}

static void policies_are_read(void **state UNUSED)
{
	struct conf_faults faults;
	const struct conf *conf = load_good(policies, &faults);
	const struct policy *p = &conf->policies[0];
	assert_int_equal(conf->policies_n, 3);
	assert_false(faults.no_connection);
	assert_string_equal(p->name, "analysts");
	assert_string_equal(p->roles.v[0], "ANALYST");
	assert_string_equal(p->roles.v[1], "Odd \"Role\"");
	assert_string_equal(p->warehouse, "WH_XS");
	assert_string_equal(p->databases.v[0], "SALES");
	assert_string_equal(p->databases.v[1], "Mixed");
	assert_int_equal(p->statements, CLASS_READ | CLASS_DML);
	assert_int_equal(p->confirm, CONFIRM_REQUIRE);
	assert_int_equal(p->toolsets, TOOLSET_CORE | TOOLSET_CLASSIC);
	assert_ptr_equal(p->connection, conf_connection(conf, "main"));
	assert_ptr_equal(p->connection, conf_connection(conf, NULL));
	assert_string_equal(p->connection->host, "my-org-acc.snowflakecomputing.com");
	assert_string_equal(p->connection->role, "My Role");
	assert_int_equal(p->limits->calls_per_minute, 6);
	assert_int_equal(p->limits->burst, 7); /* from default */
	assert_int_equal(p->limits->streams, 2);
	assert_string_equal(conf->policies[1].name, "policy 2");
	assert_string_equal(conf->policies[1].connection->name, "second");
	assert_int_equal(conf->policies[1].statements, CLASS_READ | CLASS_METADATA);
	assert_int_equal(conf->policies[1].confirm, CONFIRM_NEVER);
	assert_int_equal(conf->policies[1].limits->streams, 64);
	assert_int_equal(conf->policies[2].confirm, CONFIRM_ASK); /* an empty value is none */
	assert_string_equal(conf->policies[1].limits->name, "default");
	conf_free(conf);
	conf_faults_free(&faults);
}

static void the_first_policy_that_fits_counts(void **state UNUSED)
{
	static const struct {
		const char *subject, *group;
		int policy;
	} cases[] = {
	    {"alice", "", 0},       {"Alice", "", -1},      {"bi-", "", 0},       {"bi-x-y", "ops-01", 0},
	    {"xbi-x", "", -1},      {"bob", "analysts", 0}, {"bob", "ops-01", 1}, {"bob", "ops-1", -1},
	    {"bob", "ops-001", -1}, {"bob", "", -1},        {"alicea", "", -1},   {"", "", -1},
	};
	struct conf_faults faults;
	const struct conf *conf = load_good(policies, &faults);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct policy *p = policy_of(conf, cases[i].subject, cases[i].group);
		assert_ptr_equal(p, cases[i].policy < 0 ? NULL : &conf->policies[cases[i].policy]);
	}
	conf_free(conf);
	conf_faults_free(&faults);
	conf = load_good("{}", &faults);
	assert_string_equal(policy_of(conf, "anybody", "")->name, "default");
	assert_int_equal(policy_of(conf, "anybody", "")->toolsets, TOOLSET_CORE);
	conf_free(conf);
	conf_faults_free(&faults);
}

static void what_is_written_loads_again(void **state UNUSED)
{
	struct conf_faults faults;
	struct buf first = buf_with_ceiling(1 << 20), second = buf_with_ceiling(1 << 20);
	char yaml[4096];
	snprintf(yaml, sizeof(yaml), "%slisten: {path: \"/a~b\"}\nresults: {wait: 90s}\nlog: {level: error}\n",
		 policies);
	const struct conf *conf = load_good(yaml, &faults);
	assert_true(conf_write(&first, conf));
	assert_null(strstr(buf_text(&first), "token: \"t\""));
	assert_non_null(strstr(buf_text(&first), "token: \"********\""));
	assert_non_null(strstr(buf_text(&first), "    confirm: require\n"));
	assert_non_null(strstr(buf_text(&first), ", streams: 2}"));
	conf_free(conf);
	conf_faults_free(&faults);
	conf = load_good(buf_text(&first), &faults);
	assert_true(conf_write(&second, conf));
	assert_string_equal(buf_text(&second), buf_text(&first));
	conf_free(conf);
	conf_faults_free(&faults);
	buf_free(&first);
	buf_free(&second);
}

static void the_sample_is_complete_and_gives_the_defaults(void **state UNUSED)
{
	static const char *const keys[] = {
#define CONF(section, key, type, def, min, max, flags, doc) "\n  " #key ": ",
#include "snowgate/tbl/conf.def"
#undef CONF
	};
	struct conf_faults faults;
	struct buf sample = buf_with_ceiling(1 << 20), plain = buf_with_ceiling(1 << 20),
		   loaded = buf_with_ceiling(1 << 20);
	assert_true(conf_write_defaults(&sample));
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		assert_non_null(strstr(buf_text(&sample), keys[i]));
	assert_non_null(strstr(buf_text(&sample), "SNOWGATE_LISTEN_MAX_BODY"));
	assert_non_null(strstr(buf_text(&sample), "\n    streams: 64\n"));
	const struct conf *conf = load_good("", &faults);
	assert_true(conf_write(&plain, conf));
	conf_free(conf);
	conf_faults_free(&faults);
	conf = load_good(buf_text(&sample), &faults);
	assert_true(conf_write(&loaded, conf));
	assert_string_equal(buf_text(&loaded), buf_text(&plain));
	conf_free(conf);
	conf_faults_free(&faults);
	buf_free(&sample);
	buf_free(&plain);
	buf_free(&loaded);
}

/* Takes the "# " off each line of the sample's policies. */
static void the_samples_policies_are_valid(void **state UNUSED)
{
	struct conf_faults faults;
	struct buf sample = buf_with_ceiling(1 << 20), yaml = buf_with_ceiling(1 << 20);
	assert_true(conf_write_defaults(&sample));
	buf_adds(&yaml, "snowflake: {connections: {main: {account: a, authenticator: oauth, token: t}}}\n");
	const char *line = strstr(buf_text(&sample), "# policies:\n");
	assert_non_null(line);
	while (*line == '#') {
		size_t n = strcspn(line, "\n");
		buf_addf(&yaml, "%.*s\n", (int)n - 2, line + 2);
		line += n + (line[n] == '\n');
	}
	const struct conf *conf = load_good(buf_text(&yaml), &faults);
	assert_int_equal(conf->policies_n, 1);
	assert_string_equal(conf->policies[0].roles.v[1], "PUBLIC");
	assert_int_equal(conf->policies[0].confirm, CONFIRM_ASK);
	conf_free(conf);
	conf_faults_free(&faults);
	buf_free(&sample);
	buf_free(&yaml);
}

static void a_reload_tells_what_needs_a_restart(void **state UNUSED)
{
	struct conf_faults a, b;
	struct buf text = buf_with_ceiling(4096);
	const struct conf *from = load_good("", &a);
	const struct conf *to = load_good("listen: {port: 1, max_body: 1MiB}\nadmin: {address: '::1'}\n", &b);
	assert_true(conf_changes(&text, from, to));
	assert_string_equal(buf_text(&text), "listen.port, admin.address");
	buf_clear(&text);
	assert_true(conf_changes(&text, from, from));
	assert_string_equal(buf_text(&text), "");
	buf_free(&text);
	conf_free(from);
	conf_free(to);
	conf_faults_free(&a);
	conf_faults_free(&b);
}

static void loopback_is_known(void **state UNUSED)
{
	static const char *const yes[] = {"127.0.0.1", "127.255.0.9", "::1",
					  "[::1]",     "unix:/run/x", "::ffff:127.0.0.1"};
	static const char *const no[] = {"0.0.0.0", "::",      "128.0.0.1",   "10.0.0.1",       "localhost.example",
					 "",        "fe80::1", "[127.0.0.1]", "::ffff:10.0.0.1"};
	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		assert_true(address_is_loopback(yes[i]));
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		assert_false(address_is_loopback(no[i]));
}

#define ALONE(test) cmocka_unit_test_setup_teardown(test, clean_environment, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ALONE(the_defaults_need_no_file),
	    ALONE(the_file_is_found_in_its_order),
	    ALONE(the_store_has_a_place),
	    ALONE(every_type_is_read),
	    ALONE(the_environment_wins),
	    ALONE(odd_variables_are_told),
	    ALONE(variables_are_replaced_in_values),
	    ALONE(includes_are_merged_below_the_file),
	    ALONE(policies_are_read),
	    ALONE(the_first_policy_that_fits_counts),
	    ALONE(what_is_written_loads_again),
	    ALONE(the_sample_is_complete_and_gives_the_defaults),
	    ALONE(the_samples_policies_are_valid),
	    ALONE(a_reload_tells_what_needs_a_restart),
	    cmocka_unit_test(loopback_is_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
