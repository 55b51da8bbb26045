/* As whom connections log in: what each authenticator takes, who may read its files, whose login a principal has, what
 * a connection's id depends on, what is masked. */
#include "conf_help.h"

#include "../../../src/core/conf_internal.h"

static const char *const good[] = {
    "c: {account: o-a, user: u, private_key_file: key.p8, private_key_file_2: key2.p8}",
    "c: {account: o-a, user: u, private_key_file: key.p8, private_key_file_2: key-encrypted.p8, "
    "private_key_passphrase_2_file: passphrase}",
    "c: {host: h.example, authenticator: oauth_client_credentials, oauth_client_id: i, oauth_client_secret_file: "
    "token}",
    "c: {account: o-a, authenticator: oauth_refresh_token, oauth_client_id: i, oauth_client_secret: s, "
    "oauth_refresh_token_file: token}",
    "c: {account: o-a, authenticator: Workload_Identity, workload_identity_provider: oidc, token_file: token}",
    "c: {account: o-a, authenticator: external_oauth, issuer: 'https://g', audience: 'https://a', "
    "private_key_file: key.p8, users: {alice: A}, role: R}",
    "c: {host: h, authenticator: external_oauth, issuer: 'https://g', audience: x, private_key_file: key.p8, "
    "key_id: k1, user: '{subject}@EXAMPLE.COM', role: R}",
};

static const struct {
	const char *fields, *key, *reason;
} bad[] = {
    {"authenticator: oauth_client_credentials, oauth_client_secret: s", "oauth_client_id", "missing"},
    {"authenticator: oauth_client_credentials, oauth_client_id: i", "oauth_client_secret_file", "missing"},
    {"authenticator: oauth_client_credentials, oauth_client_id: i, oauth_client_secret: s, "
     "oauth_token_request_url: 'http://login.example.com/t'",
     "oauth_token_request_url", "loopback only"},
    {"authenticator: oauth_client_credentials, oauth_client_id: i, oauth_client_secret: s, "
     "oauth_token_request_url: 'https://u:p@login.example.com/t'",
     "oauth_token_request_url", "without user"},
    {"authenticator: oauth_client_credentials, oauth_client_id: i, oauth_client_secret: s, "
     "oauth_token_request_url: 'file:///etc/passwd'",
     "oauth_token_request_url", "must be a URL"},
    {"authenticator: oauth_refresh_token, oauth_client_id: i, oauth_client_secret: s", "oauth_refresh_token_file",
     "missing"},
    {"authenticator: workload_identity, token_file: token", "workload_identity_provider", "must be OIDC"},
    {"authenticator: workload_identity, workload_identity_provider: GCP, token_file: token",
     "workload_identity_provider", "use OIDC with token_file"},
    {"authenticator: workload_identity, workload_identity_provider: OIDC", "token_file", "missing"},
    {"authenticator: external_oauth, audience: a, private_key_file: key.p8, user: u", "issuer", "missing"},
    {"authenticator: external_oauth, issuer: i, private_key_file: key.p8, user: u", "audience", "missing"},
    {"authenticator: external_oauth, issuer: i, audience: a, user: u", "private_key_file", "security integration"},
    {"authenticator: external_oauth, issuer: i, audience: a, private_key_file: key.p8", "users", "who each principal"},
    {"authenticator: external_oauth, issuer: i, audience: a, private_key_file: key.p8, users: [a]", "users",
     "as `alice:"},
    {"authenticator: external_oauth, issuer: i, audience: a, private_key_file: key.p8, users: {a: \"x\\ny\"}",
     "users.a", "printable"},
    {"user: u, private_key_file: key.p8, private_key_file_2: token", "private_key_file_2", "no private key"},
    {"authenticator: oauth, token: t, proxy_host: p", "proxy_port", "missing"},
    {"authenticator: oauth, token: t, proxy_port: 1", "proxy_host", "missing"},
    {"authenticator: oauth, token: t, proxy_host: 'http://p', proxy_port: 1", "proxy_host", "host name alone"},
    {"authenticator: oauth, token: t, proxy_host: p, proxy_port: 1, proxy_user: u", "proxy_user", "belong together"},
    {"authenticator: oauth, token: t, proxy_host: p, proxy_port: 70000", "proxy_port", "from 1 to 65535"},
};

static void lay_out(void)
{
	write_file("key.p8", key_plain);
	write_file("key2.p8", key_plain);
	write_file("key-encrypted.p8", key_encrypted);
	write_file("passphrase", "correct\n");
	write_file("token", "opaque\n");
}

static const struct conf *load(const char *connection, struct conf_faults *faults)
{
	char yaml[2048];
	snprintf(yaml, sizeof(yaml), "snowflake:\n  connections:\n    %s\n", connection);
	return conf_load(write_file("conf.yaml", yaml), faults);
}

/* What can be read can be written, and what is written says the same. */
static void what_each_takes(void **state UNUSED)
{
	lay_out();
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct conf_faults faults;
		const struct conf *conf = load(good[i], &faults);
		for (size_t k = 0; k < faults.n; k++)
			print_error("%s: %s\n", faults.v[k].key, faults.v[k].reason);
		assert_non_null(conf);
		struct buf text = buf_with_ceiling(1 << 20);
		assert_true(conf_write(&text, conf));
		assert_null(strstr(buf_text(&text), "PRIVATE KEY"));
		assert_null(strstr(buf_text(&text), "opaque"));
		buf_free(&text);
		conf_free(conf);
		conf_faults_free(&faults);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct conf_faults faults;
		char connection[1024], key[128];
		bool found = false;
		snprintf(connection, sizeof(connection), "c: {account: o-a, %s}", bad[i].fields);
		snprintf(key, sizeof(key), "snowflake.connections.c.%s", bad[i].key);
		assert_null(load(connection, &faults));
		for (size_t k = 0; k < faults.n; k++)
			found |= !strcmp(faults.v[k].key, key) && strstr(faults.v[k].reason, bad[i].reason);
		if (!found)
			fail_msg("%s: got %s: %s", bad[i].fields, faults.v[0].key, faults.v[0].reason);
		conf_faults_free(&faults);
	}
}

static void principals_have_logins(void **state UNUSED)
{
	static const struct {
		const char *subject, *login;
	} cases[] = {{"alice", "A@X"}, {"bob", "BOB"}, {"carol", "carol@Y/carol"}, {"", NULL}};
	struct conf_faults faults;
	lay_out();
	const struct conf *conf =
	    load("c: {account: o-a, authenticator: external_oauth, issuer: i, audience: a, private_key_file: "
		 "key.p8, users: {bob: BOB, alice: A@X}, user: '{subject}@Y/{subject}', role: R}",
		 &faults);
	const struct connection *c = conf_connection(conf, NULL);
	assert_true(connection_is_per_user(c));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf login = buf_with_ceiling(256);
		struct principal p = {.kind = PRINCIPAL_KEY};
		snprintf(p.subject, sizeof(p.subject), "%s", cases[i].subject);
		assert_int_equal(connection_login(c, &p, &login), cases[i].login != NULL);
		assert_string_equal(buf_text(&login), cases[i].login ? cases[i].login : "");
		buf_free(&login);
	}
	conf_free(conf);
	conf_faults_free(&faults);
	conf = load("c: {account: o-a, authenticator: external_oauth, issuer: i, audience: a, private_key_file: "
		    "key.p8, users: {bob: BOB}, role: R}",
		    &faults);
	struct buf login = buf_with_ceiling(256);
	struct principal p = {.kind = PRINCIPAL_KEY, .subject = "alice"};
	assert_false(connection_login(conf_connection(conf, NULL), &p, &login));
	assert_false(connection_login(conf_connection(conf, NULL), NULL, &login));
	buf_free(&login);
	conf_free(conf);
	conf_faults_free(&faults);
	assert_null(load("c: {account: o-a, authenticator: external_oauth, issuer: i, audience: a, private_key_file: "
			 "key.p8, users: {bob: BOB}}",
			 &faults));
	assert_string_equal(faults.v[0].key, "policies.default.role");
	conf_faults_free(&faults);
}

/* The next snapshot finds its tokens again; a file's new content is no other connection, another file is. */
static void ids_depend_on_credentials(void **state UNUSED)
{
	static const struct {
		const char *connection;
		bool same;
	} cases[] = {
	    {"c: {account: o-a, authenticator: oauth, token_file: token}", true},
	    {"c: {account: o-a, authenticator: oauth, token_file: token, role: R, database: D}", true},
	    {"c: {account: o-a, authenticator: oauth, token_file: passphrase}", false},
	    {"c: {account: o-b, authenticator: oauth, token_file: token}", false},
	    {"c: {account: o-a, authenticator: programmatic_access_token, token_file: token}", false},
	    {"c: {account: o-a, authenticator: oauth, token: opaque}", false},
	    {"c: {account: o-a, authenticator: oauth, token_file: token, port: 444}", false},
	    {"c: {account: o-a, authenticator: oauth, token_file: token, proxy_host: p, proxy_port: 1}", false},
	};
	struct conf_faults faults;
	uint8_t first[32] = {0};
	lay_out();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct conf *conf = load(cases[i].connection, &faults);
		if (!i)
			memcpy(first, conf->connections[0].id, sizeof(first));
		assert_int_equal(memcmp(first, conf->connections[0].id, sizeof(first)) == 0, cases[i].same);
		struct connection *copy = connection_copy(&conf->connections[0]);
		conf_free(conf);
		conf_faults_free(&faults);
		connection_identify(copy); /* a copy is whole after the snapshot's end */
		assert_int_equal(memcmp(first, copy->id, sizeof(first)) == 0, cases[i].same);
		connection_free(copy);
		write_file("token", i % 2 ? "other" : "opaque");
	}
}

static void files_of_secrets_are_private(void **state UNUSED)
{
	static const struct {
		const char *file, *connection;
	} cases[] = {
	    {"key.p8", "c: {account: o-a, user: u, private_key_file: key.p8}"},
	    {"token", "c: {account: o-a, authenticator: oauth, token_file: token}"},
	    {"passphrase", "c: {account: o-a, user: u, private_key_file: key.p8, private_key_file_2: key-encrypted.p8, "
			   "private_key_passphrase_2_file: passphrase}"},
	    {"token", "c: {account: o-a, authenticator: oauth_client_credentials, oauth_client_id: i, "
		      "oauth_client_secret_file: token}"},
	};
	static const unsigned modes[] = {0640, 0604, 0620, 0602};
	lay_out();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
			struct conf_faults faults;
			char command[256];
			snprintf(command, sizeof(command), "run: chmod 600 %s", in_folder(cases[i].file));
			assert_int_equal(chmod(in_folder(cases[i].file), modes[m]), 0);
			assert_null(load(cases[i].connection, &faults));
			assert_non_null(strstr(faults.v[0].reason, command));
			conf_faults_free(&faults);
			setenv("SF_SKIP_TOKEN_FILE_PERMISSIONS_VERIFICATION", "true", 1);
			const struct conf *conf = load(cases[i].connection, &faults);
			assert_int_equal(conf != NULL, !(modes[m] & 022));
			conf_free(conf);
			conf_faults_free(&faults);
			unsetenv("SF_SKIP_TOKEN_FILE_PERMISSIONS_VERIFICATION");
			assert_int_equal(chmod(in_folder(cases[i].file), 0600), 0);
		}
	/* What the platform mounts has the platform's modes. */
	struct conf_faults faults;
	assert_int_equal(chmod(in_folder("token"), 0644), 0);
	const struct conf *conf = load("c: {account: o-a, authenticator: workload_identity, "
				       "workload_identity_provider: OIDC, token_file: token}",
				       &faults);
	assert_non_null(conf);
	assert_int_equal(faults.warnings_n, 0);
	conf_free(conf);
	conf_faults_free(&faults);
}

/* Every secret of every field, given inline, is masked in the effective configuration. */
static void secrets_are_masked(void **state UNUSED)
{
	static const char *const connections[] = {
	    "c: {account: o-a, authenticator: oauth, token: canary-1, proxy_host: p, proxy_port: 1, proxy_user: u, "
	    "proxy_password: canary-2}",
	    "c: {account: o-a, authenticator: oauth_refresh_token, oauth_client_id: i, oauth_client_secret: canary-1, "
	    "oauth_refresh_token: canary-2}",
	    "c: {account: o-a, authenticator: programmatic_access_token, user: u, password: canary-1}",
	};
	for (size_t i = 0; i < ARRAY_LEN(connections); i++) {
		struct conf_faults faults;
		struct buf text = buf_with_ceiling(1 << 20);
		const struct conf *conf = load(connections[i], &faults);
		assert_true(conf_write(&text, conf));
		assert_non_null(strstr(buf_text(&text), "********"));
		assert_null(strstr(buf_text(&text), "canary"));
		buf_clear(&text);
		assert_true(conf_faults_write(&text, &faults));
		assert_null(strstr(buf_text(&text), "canary"));
		buf_free(&text);
		conf_free(conf);
		conf_faults_free(&faults);
	}
	for (size_t i = 0; field_spelling(i); i++) {
		const char *name = field_canonical(field_spelling(i));
		bool secret = (strstr(name, "passphrase") || strstr(name, "password") || strstr(name, "secret") ||
			       strstr(name, "_raw") || strstr(name, "token")) &&
			      !strstr(name, "_file") && !strstr(name, "_url");
		assert_int_equal(field_is_secret(name), secret);
	}
}

/* In Snowpark Container Services nothing is configured: the platform tells account and host, and writes the token. */
static void container_services(void **state UNUSED)
{
	struct conf_faults faults = {0};
	struct loading l = {.faults = &faults, .scratch = arena_new(CONF_ARENA_BYTES), .arena = arena_new(1 << 20)};
	setenv("SNOWFLAKE_ACCOUNT", "xy12345", 1);
	setenv("SNOWFLAKE_HOST", "internal.example", 1);
	setenv("SNOWFLAKE_DATABASE", "D", 1);
	write_mode("session-token", "opaque\n", 0644);
	struct connection c;
	struct node *map = node_new(&l, NODE_MAP, CONF_ENVIRONMENT, 0);
	connections_overlay(&l, map, "default");
	connections_spcs(&l, map, "default", in_folder("absent"));
	assert_null(node_get(map->first, "token_file"));
	connections_spcs(&l, map, "default", in_folder("session-token"));
	assert_string_equal(node_get(map->first, "authenticator")->text, "oauth");
	(void)chmod(in_folder("session-token"), 0600);
	assert_true(connection_read(&l, map->first, false, &c));
	assert_int_equal(c.auth, CONNECTION_OAUTH);
	assert_string_equal(c.host, "internal.example");
	assert_string_equal(c.token, "opaque");
	assert_string_equal(c.database, "D");
	assert_null(c.user);
	/* What somebody configured counts more. */
	setenv("SNOWFLAKE_AUTHENTICATOR", "programmatic_access_token", 1);
	map = node_new(&l, NODE_MAP, CONF_ENVIRONMENT, 0);
	connections_overlay(&l, map, "default");
	connections_spcs(&l, map, "default", in_folder("session-token"));
	assert_null(node_get(map->first, "token_file"));
	arena_free(l.scratch);
	arena_free(l.arena);
	conf_faults_free(&faults);
}

/* A name that exists counts more than a longer field; new fields and their other spellings are known. */
static void named_variables(void **state UNUSED)
{
	struct conf_faults faults;
	assert_int_equal(mkdir(in_folder(".snowflake"), 0700), 0);
	write_file(".snowflake/connections.toml",
		   "[my_proxy]\naccount = \"x\"\nauthenticator = \"oauth\"\ntoken = \"t\"\n"
		   "[default]\naccount = \"y\"\nauthenticator = \"oauth\"\ntoken = \"t\"\n");
	setenv("SNOWFLAKE_CONNECTIONS_MY_PROXY_HOST", "h.example", 1);
	setenv("SNOWFLAKE_CONNECTIONS_DEFAULT_PROXY_HOST", "p.example", 1);
	setenv("SNOWFLAKE_CONNECTIONS_DEFAULT_PROXY_PORT", "3128", 1);
	setenv("SNOWFLAKE_CONNECTIONS_DEFAULT_AUTHENTICATOR", "oauth_client_credentials", 1);
	setenv("SNOWFLAKE_CONNECTIONS_DEFAULT_OAUTH_CLIENT_ID", "i", 1);
	setenv("SNOWFLAKE_CONNECTIONS_DEFAULT_OAUTH_CLIENT_SECRET", "s", 1);
	const struct conf *conf = load_good("", &faults);
	assert_int_equal(conf->connections_n, 2);
	assert_string_equal(conf_connection(conf, "my_proxy")->host, "h.example");
	const struct connection *c = conf_connection(conf, "default");
	assert_string_equal(c->proxy_host, "p.example");
	assert_int_equal(c->proxy_port, 3128);
	assert_int_equal(c->auth, CONNECTION_CLIENT_CREDENTIALS);
	assert_string_equal(c->oauth_token_request_url, "https://y.snowflakecomputing.com:443/oauth/token-request");
	conf_free(conf);
	conf_faults_free(&faults);
}

#define ALONE(test) cmocka_unit_test_setup_teardown(test, clean_environment, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ALONE(what_each_takes),           ALONE(principals_have_logins),
	    ALONE(ids_depend_on_credentials), ALONE(files_of_secrets_are_private),
	    ALONE(secrets_are_masked),        ALONE(container_services),
	    ALONE(named_variables),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
