/* Writes one connection as YAML, secrets masked, and the documentation of the section. */
#include <inttypes.h>
#include <string.h>
#include "conf_internal.h"

#define MASK "********"

static void write_member(struct buf *b, const char *key, const char *text, bool (*write)(struct buf *, const char *))
{
	if (!text)
		return;
	buf_addf(b, "      %s: ", key);
	write(b, text);
	buf_addc(b, '\n');
}

/* The member of this key: its text, masked where it is a secret, left out where its file stands before it. */
static void write_field(struct buf *b, const char *key, const char *text, const char *file)
{
	if (text && field_is_secret(key) && file)
		return;
	write_member(b, key, text && field_is_secret(key) ? MASK : text, text_write);
}

static void write_users(struct buf *b, const struct connection *c)
{
	if (!c->users_n)
		return;
	buf_adds(b, "      users:\n");
	for (size_t i = 0; i < c->users_n; i++) {
		buf_adds(b, "        ");
		text_write(b, c->users[i].subject);
		buf_adds(b, ": ");
		text_write(b, c->users[i].login);
		buf_addc(b, '\n');
	}
}

static void write_credentials(struct buf *b, const struct connection *c)
{
	write_field(b, "private_key_file", c->private_key_file, NULL);
	write_field(b, "private_key_raw", c->private_key_raw, c->private_key_file);
	write_field(b, "private_key_passphrase", c->private_key_passphrase, NULL);
	write_field(b, "private_key_file_2", c->private_key_file_2, NULL);
	write_field(b, "private_key_raw_2", c->private_key_raw_2, c->private_key_file_2);
	write_field(b, "private_key_passphrase_2", c->private_key_raw_2 ? c->private_key_passphrase_2 : NULL, NULL);
	write_field(b, "token_file", c->token_file, NULL);
	write_field(b, "token", c->token, c->token_file);
	write_field(b, "workload_identity_provider", c->workload_identity_provider, NULL);
	write_field(b, "oauth_client_id", c->oauth_client_id, NULL);
	write_field(b, "oauth_client_secret", c->oauth_client_secret, NULL);
	write_field(b, "oauth_token_request_url", c->oauth_token_request_url, NULL);
	write_field(b, "oauth_scope", c->oauth_scope, NULL);
	write_field(b, "oauth_refresh_token_file", c->oauth_refresh_token_file, NULL);
	write_field(b, "oauth_refresh_token", c->oauth_refresh_token, c->oauth_refresh_token_file);
	write_field(b, "issuer", c->issuer, NULL);
	write_field(b, "audience", c->audience, NULL);
	write_field(b, "key_id", c->key_id, NULL);
	write_users(b, c);
}

void connection_write(struct buf *b, const struct connection *c)
{
	buf_adds(b, "    ");
	text_write(b, c->name);
	buf_adds(b, ":\n");
	write_field(b, "account", c->account, NULL);
	write_field(b, "user", c->user, NULL);
	write_field(b, "authenticator", authenticator_of(c->auth)->name, NULL);
	write_credentials(b, c);
	write_field(b, "host", c->host, NULL);
	buf_addf(b, "      port: %" PRId64 "\n", c->port);
	write_field(b, "protocol", c->protocol, NULL);
	write_field(b, "ca_file", c->ca_file, NULL);
	write_field(b, "proxy_host", c->proxy_host, NULL);
	if (c->proxy_host)
		buf_addf(b, "      proxy_port: %" PRId64 "\n", c->proxy_port);
	write_field(b, "proxy_user", c->proxy_user, NULL);
	write_field(b, "proxy_password", c->proxy_password, NULL);
	write_field(b, "no_proxy", c->no_proxy, NULL);
	write_member(b, "database", c->database, ident_write);
	write_member(b, "schema", c->schema, ident_write);
	write_member(b, "warehouse", c->warehouse, ident_write);
	write_member(b, "role", c->role, ident_write);
}

const char connection_sample[] =
    "  # Connections, each under its name. Without this key they are taken from connections.toml or config.toml and\n"
    "  # SNOWFLAKE_* as Snowflake's own tools read them. The host follows from the account unless host is given;\n"
    "  # protocol: http is for loopback hosts only. Names in double quotes within single ones keep their case: '\"My "
    "Wh\"'.\n"
    "  # Secrets may stand here; their _file forms are better. A file of a secret must be 0600.\n"
    "  #   authenticator              takes\n"
    "  #   snowflake_jwt              account, user, private_key_file [private_key_passphrase_file], "
    "[private_key_file_2]\n"
    "  #   programmatic_access_token  token_file\n"
    "  #   oauth                      token_file\n"
    "  #   oauth_client_credentials   oauth_client_id, oauth_client_secret_file, oauth_token_request_url, "
    "[oauth_scope]\n"
    "  #   oauth_refresh_token        the same and oauth_refresh_token_file\n"
    "  #   workload_identity          workload_identity_provider: OIDC, token_file\n"
    "  #   external_oauth             issuer, audience, private_key_file, users or user, [key_id]: every principal "
    "is a\n"
    "  #                              Snowflake user of its own\n"
    "  # connections:\n"
    "  #   main:\n"
    "  #     account: MYORG-MYACCOUNT\n"
    "  #     user: SNOWGATE\n"
    "  #     authenticator: snowflake_jwt\n"
    "  #     private_key_file: /etc/snowgate/key.p8\n"
    "  #     private_key_passphrase_file: /etc/snowgate/key.passphrase\n"
    "  #     private_key_file_2: /etc/snowgate/next-key.p8   # rotation: tried where the first is refused\n"
    "  #     host: myorg-myaccount.snowflakecomputing.com\n"
    "  #     port: 443\n"
    "  #     protocol: https\n"
    "  #     ca_file: /etc/snowgate/ca.pem\n"
    "  #     proxy_host: proxy.example.com                   # without it $https_proxy and $no_proxy count\n"
    "  #     proxy_port: 3128\n"
    "  #     proxy_user: snowgate\n"
    "  #     proxy_password_file: /etc/snowgate/proxy-password\n"
    "  #     no_proxy: .privatelink.snowflakecomputing.com\n"
    "  #     database: SALES\n"
    "  #     schema: PUBLIC\n"
    "  #     warehouse: WH_XS\n"
    "  #     role: ANALYST\n"
    "  #   people:\n"
    "  #     account: MYORG-MYACCOUNT\n"
    "  #     authenticator: external_oauth\n"
    "  #     issuer: https://snowgate.example.com\n"
    "  #     audience: https://myorg-myaccount.snowflakecomputing.com\n"
    "  #     private_key_file: /etc/snowgate/external-oauth.p8\n"
    "  #     users: {alice: ALICE@EXAMPLE.COM, bob: BOB}\n"
    "  #     user: \"{subject}@EXAMPLE.COM\"                   # of everybody else; left out: they are refused\n"
    "  #     role: ANALYST\n"
    "  #   second:\n"
    "  #     account: MYORG-OTHER\n"
    "  #     authenticator: programmatic_access_token\n"
    "  #     token_file: /etc/snowgate/token\n";
