/* Every form of Snowflake's own configuration files, read from samples/: what comes of it, or what is told. */
#include "conf_help.h"

#include "snowgate/file.h"

#define SAMPLES "tests/unit/core/samples/"

/* The sample in the home's folder of Snowflake, a marker replaced by a key. */
static void lay_out(const char *sample)
{
	static const char mark[] = "@KEY@";
	bool config = strncmp(sample, "config", 6) == 0;
	char path[256];
	snprintf(path, sizeof(path), SAMPLES "%s", sample);
	char *text = file_read(path, 1 << 20, NULL), *at;
	assert_non_null(text);
	struct buf b = buf_with_ceiling(1 << 20);
	if ((at = strstr(text, mark))) {
		buf_add(&b, text, (size_t)(at - text));
		buf_adds(&b, key_plain);
		buf_adds(&b, at + sizeof(mark) - 1);
	} else {
		buf_adds(&b, text);
	}
	(void)mkdir(in_folder(".snowflake"), 0700);
	(void)remove(in_folder(".snowflake/config.toml"));
	(void)remove(in_folder(".snowflake/connections.toml"));
	write_file(config ? ".snowflake/config.toml" : ".snowflake/connections.toml", buf_text(&b));
	write_file("key.p8", key_encrypted);
	write_file("token", "opaque\n");
	/* Snowflake's tools take a relative path from where they stand. */
	assert_int_equal(chdir(folder), 0);
	buf_free(&b);
	free(text);
}

static int stand_in_folder(void **state)
{
	static char start[4096];
	if (!*start)
		assert_non_null(getcwd(start, sizeof(start)));
	*state = start;
	return clean_environment(state);
}

static int stand_back(void **state)
{
	assert_int_equal(chdir(*state), 0);
	return remove_folder(state);
}

static const struct good {
	const char *sample, *connection, *account, *host;
	enum connection_auth auth;
	size_t n;
} goods[] = {
    {"connections-key-pair.toml", "default", "myorg-my_account", "myorg-my-account.snowflakecomputing.com",
     CONNECTION_KEY_PAIR, 2},
    {"connections-key-pair.toml", "second", "xy12345.eu-central-1", "xy12345.eu-central-1.snowflakecomputing.com",
     CONNECTION_KEY_PAIR, 2},
    {"config-cli.toml", "dev", "myorg-dev", "myorg-dev.snowflakecomputing.com", CONNECTION_PAT, 2},
    {"config-cli.toml", "with dots.and blanks", "myorg-other", "myorg-other.snowflakecomputing.com", CONNECTION_OAUTH,
     2},
    {"connections-pat.toml", "default", "myorg-pat", "myorg-pat.snowflakecomputing.com", CONNECTION_PAT, 1},
    {"connections-pat-inline.toml", "default", "myorg-pat", "myorg-pat.snowflakecomputing.com", CONNECTION_PAT, 1},
    {"connections-oauth.toml", "default", "myorg-oauth", "myorg-oauth.privatelink.snowflakecomputing.com",
     CONNECTION_OAUTH, 1},
    {"connections-client-credentials.toml", "default", "myorg-m2m", "myorg-m2m.snowflakecomputing.com",
     CONNECTION_CLIENT_CREDENTIALS, 1},
    {"connections-workload.toml", "default", "myorg-wif", "myorg-wif.snowflakecomputing.com", CONNECTION_WORKLOAD, 1},
    {"connections-china.toml", "default", "xy12345", "xy12345.cn-northwest-1.snowflakecomputing.cn", CONNECTION_OAUTH,
     1},
    {"connections-locator.toml", "default", "xy12345.west-europe.azure",
     "xy12345.west-europe.azure.snowflakecomputing.com", CONNECTION_OAUTH, 1},
    {"connections-private-key-raw.toml", "default", "myorg-raw", "myorg-raw.snowflakecomputing.com",
     CONNECTION_KEY_PAIR, 1},
};

static void what_can_be_used(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(goods); i++) {
		const struct good *g = &goods[i];
		struct conf_faults faults;
		char yaml[256];
		assert_int_equal(chdir(*state), 0);
		lay_out(g->sample);
		snprintf(yaml, sizeof(yaml), "snowflake: {connection: '%s'}\n", g->connection);
		const struct conf *conf = load_good(yaml, &faults);
		const struct connection *c = conf_connection(conf, NULL);
		assert_int_equal(conf->connections_n, g->n);
		assert_int_equal(faults.warnings_n, 0);
		assert_string_equal(c->name, g->connection);
		assert_string_equal(c->account, g->account);
		assert_string_equal(c->host, g->host);
		assert_int_equal(c->auth, g->auth);
		if (g->auth == CONNECTION_PAT || g->auth == CONNECTION_OAUTH || g->auth == CONNECTION_WORKLOAD)
			assert_string_equal(c->token, "opaque");
		conf_free(conf);
		conf_faults_free(&faults);
	}
}

static const struct bad {
	const char *sample, *key, *reason;
} bads[] = {
    {"connections-browser.toml", "default.authenticator", "externalbrowser has a person"},
    {"connections-mfa.toml", "default.authenticator", "username_password_mfa has a person"},
    {"connections-password.toml", "default.authenticator", "a password cannot be used"},
    {"connections-okta.toml", "default.authenticator", "an Okta URL"},
    {"connections-authorization-code.toml", "default.authenticator", "oauth_authorization_code has a person"},
    {"connections-both-tokens.toml", "default.token_file", "both given"},
    {"connections-cloud.toml", "default.workload_identity_provider", "use OIDC with token_file"},
};

/* Each names the authenticators that work, and how to set one up. */
static void what_cannot_be_used(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(bads); i++) {
		struct conf_faults faults;
		assert_int_equal(chdir(*state), 0);
		lay_out(bads[i].sample);
		assert_null(conf_load(write_file("conf.yaml", "snowflake: {connection: default}\n"), &faults));
		assert_string_equal(faults.v[0].key, bads[i].key);
		assert_non_null(strstr(faults.v[0].reason, bads[i].reason));
		assert_null(strstr(faults.v[0].reason, "canary"));
		if (strstr(bads[i].key, "authenticator")) {
			for (int a = 0; a < CONNECTION_AUTHS_N; a++)
				assert_non_null(strstr(faults.v[0].reason, authenticator_of(a)->name));
			assert_non_null(strstr(faults.v[0].reason, "RSA_PUBLIC_KEY"));
		}
		conf_faults_free(&faults);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(what_can_be_used, stand_in_folder, stand_back),
	    cmocka_unit_test_setup_teardown(what_cannot_be_used, stand_in_folder, stand_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
