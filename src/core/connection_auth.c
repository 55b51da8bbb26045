/* As whom a connection logs in: the authenticator, and what it takes (snowflake-rest.md B). */
#include <string.h>
#include <strings.h>
#include "connection.h"

#define URL_MAX     1024
#define USERS_MAX   10000
#define LOGIN_MAX   255
#define HOW_TO_HELP "; deploy/snowflake/ has the SQL for each"

/* ---- authenticators that read a token ---- */

static void missing(struct building *b, const char *field, const char *what)
{
	conf_fault(b->l, b->map, field_place(b, field), "%s is missing: %s", field, what);
}

static void read_key_pair(struct building *b)
{
	if (!keys_take(b))
		return;
	if (!b->c->account)
		missing(b, "account", "the key's token names it");
	if (!b->c->user)
		missing(b, "user", "the key's token names it");
}

static void read_token(struct building *b, const char *what, bool mounted)
{
	const struct node *password = field_node(b, "password");
	bool given = field_node(b, "token") || field_node(b, "token_file");
	b->c->token_file = field_path(b, "token_file");
	b->c->token = secret_take(b, "token", "token_file", mounted);
	/* Snowflake's drivers take a programmatic access token in the place of a password. */
	if (!given && password && b->c->auth == CONNECTION_PAT)
		b->c->token = conf_keep(b->l->arena, password->text);
	else if (!given)
		missing(b, "token_file", what);
	token_check_text(b, b->c->token, b->c->token_file ? "token_file" : "token");
}

static void read_pat(struct building *b)
{
	read_token(b, "a file that holds the programmatic access token", false);
}

static void read_oauth(struct building *b)
{
	const struct node *file = field_node(b, "token_file");
	read_token(b, "a file that holds the OAuth access token", file && strcmp(file->text, SPCS_TOKEN_FILE) == 0);
}

/* ---- authenticators that fetch a token ---- */

/* https://host[:port]/path; http for a test server on loopback. */
static bool url_is_usable(const char *url)
{
	char host[256];
	bool plain = strncmp(url, "http://", 7) == 0;
	const char *rest = plain ? url + 7 : url + 8;
	size_t n;
	if ((!plain && strncmp(url, "https://", 8) != 0) || strlen(url) > URL_MAX)
		return false;
	n = strcspn(rest, ":/");
	if (!n || n >= sizeof(host) || rest[n + strcspn(rest + n, "@ \"<>\\#")])
		return false;
	memcpy(host, rest, n);
	host[n] = '\0';
	for (const char *p = rest; *p; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
			return false;
	return host_is_plain(host) && (!plain || host_is_loopback(host));
}

static void read_endpoint(struct building *b)
{
	const struct node *url = field_node(b, "oauth_token_request_url");
	struct connection *c = b->c;
	c->oauth_scope = field_text(b, "oauth_scope");
	c->oauth_client_id = field_text(b, "oauth_client_id");
	c->oauth_client_secret = secret_take(b, "oauth_client_secret", "oauth_client_secret_file", false);
	if (url && !url_is_usable(url->text))
		conf_fault(b->l, url, field_place(b, "oauth_token_request_url"),
			   "must be a URL as https://login.example.com/oauth/token (http on loopback only), without "
			   "user, password or #");
	if (url)
		c->oauth_token_request_url = conf_keep(b->l->arena, url->text);
	else if (c->host)
		c->oauth_token_request_url =
		    conf_keep(b->l->arena, conf_text(b->l, "%s://%s:%lld/oauth/token-request", c->protocol, c->host,
						     (long long)c->port));
	if (!c->oauth_client_id)
		missing(b, "oauth_client_id", "the client's id at the token endpoint");
	if (!field_node(b, "oauth_client_secret") && !field_node(b, "oauth_client_secret_file"))
		missing(b, "oauth_client_secret_file", "a file that holds the client's secret");
}

static void read_refresh_token(struct building *b)
{
	read_endpoint(b);
	b->c->oauth_refresh_token_file = field_path(b, "oauth_refresh_token_file");
	b->c->oauth_refresh_token = secret_take(b, "oauth_refresh_token", "oauth_refresh_token_file", false);
	if (!field_node(b, "oauth_refresh_token") && !field_node(b, "oauth_refresh_token_file"))
		missing(b, "oauth_refresh_token_file", "a file that holds the refresh token");
	token_check_text(b, b->c->oauth_refresh_token,
			 b->c->oauth_refresh_token_file ? "oauth_refresh_token_file" : "oauth_refresh_token");
	if (field_node(b, "oauth_refresh_token"))
		conf_warn(b->l, field_node(b, "oauth_refresh_token"), field_place(b, "oauth_refresh_token"),
			  "where the server gives a new refresh token in place of this one, a restart needs it; with "
			  "oauth_refresh_token_file it is written to the file");
}

static void read_workload(struct building *b)
{
	const struct node *provider = field_node(b, "workload_identity_provider");
	const char *path = field_place(b, "workload_identity_provider");
	static const char *const clouds[] = {"AWS", "AZURE", "GCP"};
	bool cloud = false;
	for (size_t i = 0; provider && i < ARRAY_LEN(clouds); i++)
		cloud = cloud || strcasecmp(provider->text, clouds[i]) == 0;
	if (cloud)
		conf_fault(b->l, provider, path,
			   "%s needs the cloud's own software; use OIDC with token_file: a token of the platform's "
			   "OIDC issuer, as Kubernetes on %s projects it (serviceAccountToken with audience "
			   "snowflakecomputing.com), and CREATE USER ... WORKLOAD_IDENTITY = (TYPE = OIDC ...)",
			   provider->text, provider->text);
	else if (!provider || strcasecmp(provider->text, "OIDC") != 0)
		conf_fault(b->l, provider ? provider : b->map, path, "must be OIDC");
	b->c->workload_identity_provider = "OIDC";
	read_token(b, "a file that the platform keeps an OIDC token in", true);
}

/* ---- a token for each user ---- */

static int user_order(const void *a, const void *b)
{
	return strcmp(((const struct connection_user *)a)->subject, ((const struct connection_user *)b)->subject);
}

static bool login_is_usable(const char *login)
{
	size_t n = strlen(login);
	for (const char *p = login; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return false;
	return n >= 1 && n <= LOGIN_MAX && utf8_valid(slice_of(login));
}

static void read_users(struct building *b)
{
	const struct node *users = node_get(b->map, "users");
	const char *path = field_place(b, "users");
	struct connection_user *v;
	size_t n = 0;
	if (node_is_null(users))
		return;
	if (users->kind != NODE_MAP) {
		conf_fault(b->l, users, path, "must be a section of lines, as `alice: ALICE@EXAMPLE.COM`");
		return;
	}
	for (const struct node *u = users->first; u; u = u->next)
		n++;
	if (n > USERS_MAX) {
		conf_fault(b->l, users, path, "at most %d users; use the template `user` for the rest", USERS_MAX);
		return;
	}
	v = conf_need(b->l->arena, n * sizeof(*v));
	for (const struct node *u = users->first; u; u = u->next) {
		const char *at = conf_text(b->l, "%s.%.100s", path, u->key);
		if (!scalar_check(b->l, u, at, "a login name"))
			continue;
		if (!login_is_usable(u->text))
			conf_fault(b->l, u, at, "a login name has 1 to %d printable characters", LOGIN_MAX);
		v[b->c->users_n++] =
		    (struct connection_user){conf_keep(b->l->arena, u->key), conf_keep(b->l->arena, u->text)};
	}
	qsort(v, b->c->users_n, sizeof(*v), user_order);
	b->c->users = v;
}

static void read_external(struct building *b)
{
	const struct node *user = field_node(b, "user");
	b->c->issuer = field_text(b, "issuer");
	b->c->audience = field_text(b, "audience");
	b->c->key_id = field_text(b, "key_id");
	(void)keys_take(b);
	read_users(b);
	if (!b->c->issuer)
		missing(b, "issuer", "EXTERNAL_OAUTH_ISSUER of the security integration");
	if (!b->c->audience)
		missing(b, "audience", "one of the integration's EXTERNAL_OAUTH_AUDIENCE_LIST, or the account's URL");
	if (!b->c->users_n && !user)
		missing(b, "users", "who each principal is at Snowflake, as `alice: ALICE`; or `user: \"{subject}\"`");
	if (user && !login_is_usable(user->text))
		conf_fault(b->l, user, field_place(b, "user"), "a login name has 1 to %d printable characters",
			   LOGIN_MAX);
}

/* ---- the choice ---- */

static void (*const readers[])(struct building *) = {
    [CONNECTION_KEY_PAIR] = read_key_pair,
    [CONNECTION_PAT] = read_pat,
    [CONNECTION_OAUTH] = read_oauth,
    [CONNECTION_CLIENT_CREDENTIALS] = read_endpoint,
    [CONNECTION_REFRESH_TOKEN] = read_refresh_token,
    [CONNECTION_WORKLOAD] = read_workload,
    [CONNECTION_EXTERNAL] = read_external,
};

/* Where no authenticator is named, a private key says enough. */
static const char *authenticator(const struct building *b, const struct node *named)
{
	if (named && strcasecmp(named->text, "snowflake") != 0)
		return named->text;
	if (field_node(b, "private_key_file") || field_node(b, "private_key_raw"))
		return "snowflake_jwt";
	if (field_node(b, "token") || field_node(b, "token_file"))
		return named ? "programmatic_access_token" : "";
	return "snowflake";
}

/* "snowflake_jwt (user and private_key_file), ..." */
static const char *all_of_them(struct loading *l)
{
	const char *all = "";
	for (int i = 0; i < CONNECTION_AUTHS_N; i++)
		all = conf_text(l, "%s%s%s (%s)", all, i ? ", " : "", authenticator_of((enum connection_auth)i)->name,
				authenticator_of((enum connection_auth)i)->takes);
	return all;
}

/* What is wrong with an authenticator that needs somebody at a keyboard; NULL for another. */
static const char *person_needed(const char *name)
{
	static const char *const known[][2] = {
	    {"snowflake", "a password cannot be used with Snowflake's SQL API"},
	    {"externalbrowser", "externalbrowser has a person log in with a browser"},
	    {"username_password_mfa", "username_password_mfa has a person confirm each log-in"},
	    {"oauth_authorization_code", "oauth_authorization_code has a person log in with a browser"},
	    {"oauth_device_code", "oauth_device_code has a person log in with a browser"},
	};
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcasecmp(name, known[i][0]) == 0)
			return known[i][1];
	return strncasecmp(name, "https://", 8) == 0 ? "an Okta URL takes a person's password" : NULL;
}

static void authenticator_fault(struct building *b, const struct node *named, const char *name)
{
	struct nearest near = nearest_to(name);
	const struct node *at = named ? named : b->map;
	const char *path = field_place(b, "authenticator"), *person = person_needed(name);
	for (int i = 0; i < CONNECTION_AUTHS_N; i++)
		nearest_try(&near, authenticator_of((enum connection_auth)i)->name);
	if (!*name)
		conf_fault(b->l, at, path,
			   "authenticator is missing: programmatic_access_token or oauth, as the token is");
	else if (person)
		conf_fault(b->l, at, path,
			   "%s; these need nobody: %s. The quickest: openssl genrsa 2048 | openssl "
			   "pkcs8 -topk8 -nocrypt -out key.p8, then ALTER USER ... SET RSA_PUBLIC_KEY" HOW_TO_HELP,
			   person, all_of_them(b->l));
	else
		conf_fault(b->l, at, path, "must be one of %s; not %s%s", all_of_them(b->l),
			   named ? node_shown(b->l, named) : name, nearest_hint(b->l, &near));
}

void connection_read_auth(struct building *b)
{
	const struct node *named = field_node(b, "authenticator");
	const char *name = authenticator(b, named);
	b->c->user = field_text(b, "user");
	for (int i = 0; i < CONNECTION_AUTHS_N; i++)
		if (strcasecmp(name, authenticator_of((enum connection_auth)i)->name) == 0) {
			b->c->auth = (enum connection_auth)i;
			readers[i](b);
			return;
		}
	authenticator_fault(b, named, name);
}
