/* Connections: hosts, credentials, and Snowflake's own files and variables in their order (snowflake-rest.md E.3). */
#include "conf_help.h"

static void hosts_follow_from_accounts(void **state UNUSED)
{
	static const struct {
		const char *fields, *host;
		int port;
	} cases[] = {
	    {"account: MYORG-My_Account", "myorg-my-account.snowflakecomputing.com", 443},
	    {"account: xy12345", "xy12345.snowflakecomputing.com", 443},
	    {"account: xy12345.eu-central-1", "xy12345.eu-central-1.snowflakecomputing.com", 443},
	    {"account: xy12345.cn-northwest-1", "xy12345.cn-northwest-1.snowflakecomputing.cn", 443},
	    {"account: xy12345.cn-northwest-1.aws", "xy12345.cn-northwest-1.aws.snowflakecomputing.cn", 443},
	    {"account: cn-x", "cn-x.snowflakecomputing.com", 443},
	    {"account: xy12345, region: cn-north-1", "xy12345.cn-north-1.snowflakecomputing.cn", 443},
	    {"account: o-a.privatelink", "o-a.privatelink.snowflakecomputing.com", 443},
	    {"account: a_b, host: Other_Host.example, port: 8443", "Other_Host.example", 8443},
	    {"account: a, host: localhost, protocol: http", "localhost", 80},
	    {"account: a, host: 127.0.0.1, protocol: HTTP, port: '8085'", "127.0.0.1", 8085},
	    {"host: h.example", "h.example", 443},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct conf_faults faults;
		char yaml[512];
		snprintf(yaml, sizeof(yaml), "snowflake: {connections: {c: {authenticator: oauth, token: t, %s}}}\n",
			 cases[i].fields);
		const struct conf *conf = load_good(yaml, &faults);
		assert_string_equal(conf->connections[0].host, cases[i].host);
		assert_int_equal(conf->connections[0].port, cases[i].port);
		assert_string_equal(conf->connections[0].protocol, strcasestr(yaml, "http") ? "http" : "https");
		conf_free(conf);
		conf_faults_free(&faults);
	}
}

static void credentials_are_read_from_files(void **state UNUSED)
{
	struct conf_faults faults;
	write_file("key.p8", key_encrypted);
	write_file("passphrase", "correct\n");
	write_file("token", "abc\r\n");
	write_file("ca.pem", "-----BEGIN CERTIFICATE-----\n");
	const struct conf *conf = load_good(
	    "snowflake:\n  connection: k\n  connections:\n"
	    "    k: {account: o-a, user: u, private_key_file: key.p8, private_key_passphrase_file: passphrase}\n"
	    "    t: {account: o-a, authenticator: PROGRAMMATIC_ACCESS_TOKEN, token_file: token, ca_file: ca.pem}\n"
	    "    p: {account: o-a, user: u, authenticator: programmatic_access_token, password: pat}\n",
	    &faults);
	const struct connection *k = conf_connection(conf, "k"), *t = conf_connection(conf, "t");
	assert_int_equal(k->auth, CONNECTION_KEY_PAIR);
	assert_string_equal(k->private_key_file, in_folder("key.p8"));
	assert_string_equal(k->private_key_passphrase, "correct");
	assert_non_null(strstr(k->private_key_raw, "ENCRYPTED PRIVATE KEY"));
	assert_int_equal(t->auth, CONNECTION_PAT);
	assert_string_equal(t->token, "abc");
	assert_string_equal(t->token_file, in_folder("token"));
	assert_string_equal(t->ca_file, in_folder("ca.pem"));
	assert_string_equal(conf_connection(conf, "p")->token, "pat");
	assert_null(conf_connection(conf, "x"));
	struct buf text = buf_with_ceiling(1 << 20);
	assert_true(conf_write(&text, conf));
	assert_null(strstr(buf_text(&text), "correct"));
	assert_null(strstr(buf_text(&text), "abc"));
	assert_null(strstr(buf_text(&text), "PRIVATE KEY"));
	buf_free(&text);
	conf_free(conf);
	conf_faults_free(&faults);
}

static void snowflake_files(const char *config, const char *connections)
{
	assert_int_equal(mkdir(in_folder(".snowflake"), 0700), 0);
	if (config)
		write_file(".snowflake/config.toml", config);
	if (connections)
		write_file(".snowflake/connections.toml", connections);
}

#define OAUTH "authenticator = \"oauth\"\ntoken = \"t\"\n"

static void snowflakes_files_are_read(void **state UNUSED)
{
	struct conf_faults faults;
	snowflake_files("default_connection_name = \"dev\"\n[cli.logs]\nsave_logs = true\n"
			"[connections.dev]\naccount = \"from-config\"\n" OAUTH,
			NULL);
	const struct conf *conf = load_good("", &faults);
	assert_int_equal(conf->connections_n, 1);
	assert_string_equal(conf->snowflake_connection, "dev");
	assert_string_equal(conf_connection(conf, NULL)->account, "from-config");
	assert_false(faults.no_connection);
	conf_free(conf);
	conf_faults_free(&faults);
	/* connections.toml replaces the connections of config.toml, but not the default's name. */
	write_file(".snowflake/connections.toml",
		   "[dev]\naccount = \"from-connections\"\nclient_session_keep_alive = true\n" OAUTH
		   "[other]\naccount = 'x-y'\nusername = 'U'\nrole = 'odd-role'\n" OAUTH);
	conf = load_good("", &faults);
	assert_int_equal(conf->connections_n, 2);
	assert_string_equal(conf_connection(conf, NULL)->account, "from-connections");
	assert_string_equal(conf_connection(conf, "other")->user, "U");
	assert_string_equal(conf_connection(conf, "other")->role, "ODD-ROLE");
	conf_free(conf);
	conf_faults_free(&faults);
	setenv("SNOWFLAKE_DEFAULT_CONNECTION_NAME", "other", 1);
	conf = load_good("", &faults);
	assert_string_equal(conf_connection(conf, NULL)->name, "other");
	conf_free(conf);
	conf_faults_free(&faults);
	/* What the configuration names counts more. */
	conf = load_good("snowflake: {connection: dev}\n", &faults);
	assert_string_equal(conf_connection(conf, NULL)->name, "dev");
	conf_free(conf);
	conf_faults_free(&faults);
}

static void inline_connections_replace_the_files(void **state UNUSED)
{
	struct conf_faults faults;
	snowflake_files(NULL, "[default]\naccount = \"x\"\n" OAUTH);
	setenv("SNOWFLAKE_ROLE", "R", 1);
	const struct conf *conf =
	    load_good("snowflake: {connections: {own: {account: a, authenticator: oauth, token: t}}}\n", &faults);
	assert_int_equal(conf->connections_n, 1);
	assert_string_equal(conf_connection(conf, NULL)->name, "own");
	assert_null(conf_connection(conf, NULL)->role);
	conf_free(conf);
	conf_faults_free(&faults);
}

static void variables_overlay_single_fields(void **state UNUSED)
{
	struct conf_faults faults;
	snowflake_files(NULL,
			"[default]\naccount = \"x\"\nrole = \"A\"\nwarehouse = \"W\"\ntoken_file_path = \"gone\"\n"
			"authenticator = \"oauth\"\n[dev]\naccount = \"y\"\n" OAUTH);
	setenv("SNOWSQL_ROLE", "LEAST", 1);
	setenv("SNOWSQL_DATABASE", "snow_sql", 1);
	setenv("SNOWFLAKE_ROLE", "GENERIC", 1);
	setenv("SNOWFLAKE_WAREHOUSE", "GENERIC_WH", 1);
	setenv("SNOWFLAKE_TOKEN", "by-variable", 1); /* displaces the file's token_file_path */
	setenv("SNOWFLAKE_CONNECTIONS_DEFAULT_WAREHOUSE", "\"Named Wh\"", 1);
	setenv("SNOWFLAKE_CONNECTIONS_DEV_SCHEMA", "S", 1);
	setenv("SNOWFLAKE_CONNECTIONS_NEW_ONE_ACCOUNT", "z", 1);
	setenv("SNOWFLAKE_CONNECTIONS_NEW_ONE_AUTHENTICATOR", "oauth", 1);
	setenv("SNOWFLAKE_CONNECTIONS_NEW_ONE_TOKEN", "n", 1);
	const struct conf *conf = load_good("", &faults);
	const struct connection *c = conf_connection(conf, NULL);
	assert_string_equal(c->name, "default");
	assert_string_equal(c->role, "GENERIC");
	assert_string_equal(c->database, "SNOW_SQL");
	assert_string_equal(c->warehouse, "Named Wh");
	assert_string_equal(c->token, "by-variable");
	assert_null(c->token_file);
	assert_null(conf_connection(conf, "dev")->role);
	assert_string_equal(conf_connection(conf, "dev")->schema, "S");
	assert_string_equal(conf_connection(conf, "new_one")->account, "z");
	conf_free(conf);
	conf_faults_free(&faults);
}

static void variables_are_enough(void **state UNUSED)
{
	struct conf_faults faults;
	setenv("SNOWFLAKE_ACCOUNT", "o-a", 1);
	setenv("SNOWFLAKE_USER", "u", 1);
	setenv("SNOWFLAKE_AUTHENTICATOR", "SNOWFLAKE_JWT", 1);
	setenv("SNOWFLAKE_PRIVATE_KEY_PATH", write_file("key.p8", key_encrypted), 1);
	setenv("PRIVATE_KEY_PASSPHRASE", "correct", 1);
	const struct conf *conf = load_good("", &faults);
	assert_string_equal(conf_connection(conf, NULL)->host, "o-a.snowflakecomputing.com");
	assert_int_equal(conf_connection(conf, NULL)->auth, CONNECTION_KEY_PAIR);
	assert_false(faults.no_connection);
	conf_free(conf);
	conf_faults_free(&faults);
	/* A wrong one is no fault of the configuration until somebody names the connection, but told. */
	setenv("PRIVATE_KEY_PASSPHRASE", "canary", 1);
	conf = load_good("", &faults);
	assert_true(faults.no_connection);
	assert_int_equal(faults.warnings_n, 2);
	assert_non_null(strstr(faults.warnings[0].reason, "does not open with the passphrase"));
	assert_null(strstr(faults.warnings[0].reason, "canary"));
	conf_free(conf);
	conf_faults_free(&faults);
	assert_null(conf_load(write_file("conf.yaml", "snowflake: {connection: default}\n"), &faults));
	assert_int_equal(faults.n, 1);
	conf_faults_free(&faults);
}

static void the_variable_of_all_connections(void **state UNUSED)
{
	struct conf_faults faults;
	snowflake_files(NULL, "[default]\naccount = \"x\"\n" OAUTH);
	setenv("SNOWFLAKE_CONNECTIONS", "[only]\naccount = \"v\"\n" OAUTH, 1);
	const struct conf *conf = load_good("", &faults);
	assert_int_equal(conf->connections_n, 1);
	assert_string_equal(conf_connection(conf, NULL)->name, "only");
	conf_free(conf);
	conf_faults_free(&faults);
}

static void the_folder_and_the_file_may_be_named(void **state UNUSED)
{
	struct conf_faults faults;
	assert_int_equal(mkdir(in_folder("home"), 0700), 0);
	write_file("home/connections.toml", "[default]\naccount = \"in-home\"\n" OAUTH);
	setenv("SNOWFLAKE_HOME", "~/home", 1);
	const struct conf *conf = load_good("", &faults);
	assert_string_equal(conf_connection(conf, NULL)->account, "in-home");
	conf_free(conf);
	conf_faults_free(&faults);
	write_file("my.toml", "[connections.one]\naccount = \"in-my\"\n" OAUTH);
	conf = load_good("snowflake: {connections_file: my.toml}\n", &faults);
	assert_int_equal(conf->connections_n, 1);
	assert_string_equal(conf_connection(conf, NULL)->account, "in-my");
	conf_free(conf);
	conf_faults_free(&faults);
}

static void what_nobody_names_may_be_unusable(void **state UNUSED)
{
	struct conf_faults faults;
	snowflake_files(NULL, "[default]\naccount = \"x\"\n" OAUTH
			      "[browser]\naccount = \"x\"\nuser = \"u\"\nauthenticator = \"externalbrowser\"\n");
	const struct conf *conf = load_good("", &faults);
	assert_int_equal(conf->connections_n, 1);
	assert_int_equal(faults.warnings_n, 1);
	assert_string_equal(faults.warnings[0].key, "browser.authenticator");
	assert_int_equal(faults.warnings[0].line, 8);
	conf_free(conf);
	conf_faults_free(&faults);
	assert_null(conf_load(write_file("conf.yaml", "policies: [{connection: browser}]\n"), &faults));
	assert_int_equal(faults.n, 1);
	assert_non_null(strstr(faults.v[0].file, "connections.toml"));
	conf_faults_free(&faults);
}

static void modes_are_looked_at(void **state UNUSED)
{
	struct conf_faults faults;
	snowflake_files(NULL, "[default]\naccount = \"x\"\n" OAUTH);
	(void)chmod(in_folder(".snowflake/connections.toml"), 0644);
	const struct conf *conf = load_good("", &faults);
	assert_int_equal(faults.warnings_n, 1);
	conf_free(conf);
	conf_faults_free(&faults);
	setenv("SF_SKIP_WARNING_FOR_READ_PERMISSIONS_ON_CONFIG_FILE", "true", 1);
	conf = load_good("", &faults);
	assert_int_equal(faults.warnings_n, 0);
	conf_free(conf);
	conf_faults_free(&faults);
	(void)chmod(in_folder(".snowflake/connections.toml"), 0660);
	assert_null(conf_load(in_folder("conf.yaml"), &faults));
	assert_non_null(strstr(faults.v[0].reason, "chmod go-w"));
	conf_faults_free(&faults);
}

#define ALONE(test) cmocka_unit_test_setup_teardown(test, clean_environment, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ALONE(hosts_follow_from_accounts),        ALONE(credentials_are_read_from_files),
	    ALONE(snowflakes_files_are_read),         ALONE(inline_connections_replace_the_files),
	    ALONE(variables_overlay_single_fields),   ALONE(variables_are_enough),
	    ALONE(the_variable_of_all_connections),   ALONE(the_folder_and_the_file_may_be_named),
	    ALONE(what_nobody_names_may_be_unusable), ALONE(modes_are_looked_at),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
