/* Builds one Snowflake connection out of its fields and checks all that can be checked without calling anybody. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include "conf_internal.h"
#include "snowgate/crypt.h"

#define FIELD_TEXT_MAX ((size_t)64 << 10)
#define HOST_MAX       253

static const char *const field_names[] = {
    "account",
    "user",
    "authenticator",
    "private_key_file",
    "private_key_raw",
    "private_key_passphrase",
    "private_key_passphrase_file",
    "token",
    "token_file",
    "password",
    "host",
    "port",
    "protocol",
    "ca_file",
    "database",
    "schema",
    "warehouse",
    "role",
    "region",
};

/* One connection being built. */
struct building {
	struct loading *l;
	const struct node *map;
	const char *path; /* snowflake.connections.main; main in a file of Snowflake's */
	bool own;
	struct connection *c;
};

const char *field_canonical(const char *name)
{
	static const char *const aliases[][2] = {{"private_key_path", "private_key_file"},
						 {"private_key_file_pwd", "private_key_passphrase"},
						 {"token_file_path", "token_file"},
						 {"username", "user"}};
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
		if (strcmp(aliases[i][0], name) == 0)
			return aliases[i][1];
	for (size_t i = 0; i < ARRAY_LEN(field_names); i++)
		if (strcmp(field_names[i], name) == 0)
			return field_names[i];
	return NULL;
}

static bool field_is_secret(const char *canonical)
{
	static const char *const secrets[] = {"private_key_raw", "private_key_passphrase", "token", "password"};
	for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
		if (strcmp(secrets[i], canonical) == 0)
			return true;
	return false;
}

bool node_holds_secret(const struct node *n)
{
	for (const struct node *child = n->first; child; child = child->next) {
		const char *name = child->key ? field_canonical(child->key) : NULL;
		bool here = child->kind == NODE_SCALAR && !child->hidden && name && field_is_secret(name);
		if (here || node_holds_secret(child))
			return true;
	}
	return false;
}

static const char *path_of(const struct building *b, const char *field)
{
	return conf_text(b->l, "%.200s.%s", b->path, field);
}

/* A field's node where it is given as a scalar that is not empty. */
static const struct node *field(const struct building *b, const char *name)
{
	const struct node *n = node_get(b->map, name);
	if (node_is_null(n) || !scalar_check(b->l, n, path_of(b, name), "a text") || !*n->text)
		return NULL;
	return n;
}

static const char *field_text(const struct building *b, const char *name)
{
	const struct node *n = field(b, name);
	return n ? conf_keep(b->l->arena, n->text) : NULL;
}

static const char *field_path(const struct building *b, const char *name)
{
	const struct node *n = field(b, name);
	if (!n)
		return NULL;
	/* Snowflake's tools take a relative path from where they stand, not from where the file does. */
	const char *path = b->own ? path_resolve(b->l, n->text, n->file) : path_home(b->l, n->text);
	return conf_keep(b->l->arena, path);
}

static bool host_is_plain(const char *host)
{
	size_t n = strlen(host);
	if (!n || n > HOST_MAX || host[0] == '.' || host[0] == '-')
		return false;
	return strspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

static bool host_is_loopback(const char *host)
{
	size_t n = strlen(host);
	return strcasecmp(host, "localhost") == 0 || (n > 10 && strcasecmp(host + n - 10, ".localhost") == 0) ||
	       address_is_loopback(host);
}

static void account_check(const struct building *b, const struct node *account)
{
	const char *domain = strcasestr(account->text, ".snowflakecomputing.");
	if (domain && host_is_plain(account->text))
		conf_fault(b->l, account, path_of(b, "account"),
			   "give only what stands before .snowflakecomputing.com, as in MYORG-MYACCOUNT");
	else if (!host_is_plain(account->text))
		conf_fault(b->l, account, path_of(b, "account"),
			   "an account has letters, digits, dots, hyphens and underscores only, as in MYORG-MYACCOUNT; "
			   "no URL");
}

/* <account>[.<region>].snowflakecomputing.com|cn in lower case; an underscore is a hyphen in a host name. */
static const char *host_derive(const struct building *b, const char *account, const char *region)
{
	const char *dot = strchr(account, '.');
	bool add_region = region && *region && !dot;
	const char *labels = add_region ? region : dot ? dot + 1 : "";
	bool china = false;
	for (const char *p = labels; p && *p; p = strchr(p, '.') ? strchr(p, '.') + 1 : NULL)
		china = china || strncasecmp(p, "cn-", 3) == 0;
	char *host = (char *)conf_keep(b->l->arena,
				       conf_text(b->l, "%s%s%s.snowflakecomputing.%s", account, add_region ? "." : "",
						 add_region ? region : "", china ? "cn" : "com"));
	for (char *p = host; *p; p++)
		*p = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p == '_' ? '-' : *p;
	return host;
}

static void read_host(struct building *b)
{
	const struct node *account = field(b, "account"), *host = field(b, "host");
	b->c->account = field_text(b, "account");
	if (account)
		account_check(b, account);
	if (host && !host_is_plain(host->text))
		conf_fault(b->l, host, path_of(b, "host"),
			   "a host has letters, digits, dots, hyphens and underscores only; scheme and port go under "
			   "protocol and port");
	if (!account && !host)
		conf_fault(b->l, b->map, path_of(b, "account"), "account is missing (or host), as in MYORG-MYACCOUNT");
	const struct node *region = field(b, "region");
	if (region && !host && !host_is_plain(region->text))
		conf_fault(b->l, region, path_of(b, "region"), "a region has letters, digits, dots and hyphens only");
	if (host)
		b->c->host = conf_keep(b->l->arena, host->text);
	else if (account)
		b->c->host = host_derive(b, account->text, region ? region->text : NULL);
}

static void read_protocol(struct building *b)
{
	const struct node *protocol = field(b, "protocol"), *port = field(b, "port");
	bool http = protocol && strcasecmp(protocol->text, "http") == 0;
	b->c->protocol = http ? "http" : "https";
	b->c->port = http ? 80 : 443;
	if (protocol && !http && strcasecmp(protocol->text, "https") != 0)
		conf_fault(b->l, protocol, path_of(b, "protocol"),
			   "must be https (or http for a test server on loopback), not %s", node_shown(b->l, protocol));
	if (http && b->c->host && !host_is_loopback(b->c->host))
		conf_fault(b->l, protocol, path_of(b, "protocol"),
			   "protocol: http would send credentials in the clear to %s; it is for loopback hosts only, "
			   "leave it out",
			   b->c->host);
	if (port && !parse_int(port->text, 1, 65535, &b->c->port))
		conf_fault(b->l, port, path_of(b, "port"), "must be a whole number from 1 to 65535, not %s",
			   node_shown(b->l, port));
}

/* The secret `name`, or what its file `name_file` holds. Both are a fault. */
static const char *read_secret(struct building *b, const char *name, const char *file_field)
{
	const struct node *inline_text = field(b, name), *file = field(b, file_field);
	if (inline_text && file) {
		conf_fault(b->l, file, path_of(b, file_field), "%s and %s are both given; keep one, better %s", name,
			   file_field, file_field);
		return NULL;
	}
	if (inline_text)
		return conf_keep(b->l->arena, inline_text->text);
	return file ? secret_read(b->l, field_path(b, file_field), file, path_of(b, file_field)) : NULL;
}

static void key_fault(struct building *b, enum key_verdict verdict, const struct node *at, const char *field_name,
		      const char *what)
{
	static const char *const reasons[] = {
	    [KEY_NOT_PEM] = "is no private key in PEM form; make one with: openssl genrsa 2048 | openssl pkcs8 -topk8 "
			    "-out key.p8",
	    [KEY_NEEDS_PASSPHRASE] = "is encrypted; give its passphrase in private_key_passphrase_file",
	    [KEY_WRONG_PASSPHRASE] = "does not open with the passphrase given; correct private_key_passphrase",
	    [KEY_NOT_RSA] = "is not an RSA key; Snowflake's key-pair authentication here takes RSA only",
	    [KEY_TOO_SHORT] = "is shorter than 2048 bits, which Snowflake refuses; make a new one",
	};
	conf_fault(b->l, at, path_of(b, field_name), "%s %s", what, reasons[verdict]);
}

static void read_key_pair(struct building *b)
{
	const struct node *file = field(b, "private_key_file"), *raw = field(b, "private_key_raw");
	const struct node *at = file ? file : raw;
	const char *name = file ? "private_key_file" : "private_key_raw";
	b->c->private_key_file = field_path(b, "private_key_file");
	b->c->private_key_passphrase = read_secret(b, "private_key_passphrase", "private_key_passphrase_file");
	b->c->private_key_raw = read_secret(b, "private_key_raw", "private_key_file");
	if (!at)
		conf_fault(b->l, b->map, path_of(b, "private_key_file"),
			   "private_key_file is missing: the RSA private key whose public half is set on the user");
	if (!b->c->private_key_raw)
		return;
	struct rsa_key *key = NULL;
	enum key_verdict verdict = rsa_key_load(slice_of(b->c->private_key_raw), b->c->private_key_passphrase, &key);
	if (verdict == KEY_OK)
		rsa_key_free(key);
	else
		key_fault(b, verdict, at, name, file ? b->c->private_key_file : "the key");
	if (!b->c->account)
		conf_fault(b->l, b->map, path_of(b, "account"), "account is missing; the key's token names it");
	if (!b->c->user)
		conf_fault(b->l, b->map, path_of(b, "user"), "user is missing; the key's token names it");
}

static void read_token(struct building *b, const char *what)
{
	const struct node *password = field(b, "password");
	b->c->token_file = field_path(b, "token_file");
	b->c->token = read_secret(b, "token", "token_file");
	/* Snowflake's drivers take a programmatic access token in the place of a password. */
	if (!field(b, "token") && !field(b, "token_file") && password && b->c->auth == CONNECTION_PAT)
		b->c->token = conf_keep(b->l->arena, password->text);
	else if (!field(b, "token") && !field(b, "token_file"))
		conf_fault(b->l, b->map, path_of(b, "token_file"), "token_file is missing: a file that holds %s", what);
	for (const char *p = b->c->token; p && *p; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f) {
			conf_fault(b->l, b->map, path_of(b, b->c->token_file ? "token_file" : "token"),
				   "a token is one line of printable characters; this one holds others");
			break;
		}
}

/* Where no authenticator is named, a private key says enough. */
static const char *authenticator(struct building *b, const struct node *named)
{
	if (named && strcasecmp(named->text, "snowflake") != 0)
		return named->text;
	if (field(b, "private_key_file") || field(b, "private_key_raw"))
		return "snowflake_jwt";
	if (field(b, "token") || field(b, "token_file"))
		return named ? "programmatic_access_token" : "";
	return "snowflake";
}

static void authenticator_fault(struct building *b, const struct node *named, const char *name)
{
	struct nearest near = nearest_to(name);
	static const char *const known[] = {"snowflake_jwt", "programmatic_access_token", "oauth"};
	const struct node *at = named ? named : b->map;
	const char *path = path_of(b, "authenticator");
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		nearest_try(&near, known[i]);
	if (!*name)
		conf_fault(b->l, at, path,
			   "authenticator is missing: programmatic_access_token or oauth, as the token is");
	else if (strcasecmp(name, "snowflake") == 0)
		conf_fault(b->l, at, path,
			   "a password cannot be used with Snowflake's SQL API; create a key pair (authenticator: "
			   "snowflake_jwt, private_key_file) or a token (authenticator: programmatic_access_token, "
			   "token_file)");
	else
		conf_fault(b->l, at, path, "must be snowflake_jwt, programmatic_access_token or oauth, not %s%s",
			   named ? node_shown(b->l, named) : name, nearest_hint(b->l, &near));
}

static void read_auth(struct building *b)
{
	const struct node *named = field(b, "authenticator");
	const char *name = authenticator(b, named);
	b->c->user = field_text(b, "user");
	if (strcasecmp(name, "snowflake_jwt") == 0) {
		b->c->auth = CONNECTION_KEY_PAIR;
		read_key_pair(b);
	} else if (strcasecmp(name, "programmatic_access_token") == 0) {
		b->c->auth = CONNECTION_PAT;
		read_token(b, "the programmatic access token");
	} else if (strcasecmp(name, "oauth") == 0) {
		b->c->auth = CONNECTION_OAUTH;
		read_token(b, "the OAuth access token");
	} else {
		authenticator_fault(b, named, name);
	}
}

static const char *read_ident(struct building *b, const char *name)
{
	const struct node *n = field(b, name);
	return n ? ident_fold(b->l, n, path_of(b, name), b->own) : NULL;
}

static void read_ca(struct building *b)
{
	const struct node *at = field(b, "ca_file");
	int error;
	b->c->ca_file = field_path(b, "ca_file");
	if (!at)
		return;
	struct slice text = conf_read_file(b->l, b->c->ca_file, CONF_FILE_BYTES, &error);
	if (!text.data)
		conf_fault(b->l, at, path_of(b, "ca_file"), "cannot read %s: %s", b->c->ca_file,
			   conf_read_error(error));
	else if (!memmem(text.data, text.n, "-----BEGIN CERTIFICATE-----", 27))
		conf_fault(b->l, at, path_of(b, "ca_file"), "%s holds no certificate in PEM form", b->c->ca_file);
	free((char *)text.data);
}

bool connection_read(struct loading *l, const struct node *map, bool own, struct connection *out)
{
	struct building b = {.l = l, .map = map, .own = own, .c = out};
	struct names names = {0};
	b.path = conf_text(l, "%s%.100s", own ? "snowflake.connections." : "", map->key);
	*out = (struct connection){.name = conf_keep(l->arena, map->key)};
	bool before = l->bad;
	l->bad = false;
	for (size_t i = 0; i < ARRAY_LEN(field_names); i++)
		names.v[names.n++] = field_names[i];
	if (map->kind != NODE_MAP || own) /* Snowflake's tools know more keys than matter here */
		map_check(l, map, b.path, &names);
	for (const struct node *n = map->first; n; n = n->next)
		if (n->kind == NODE_SCALAR && strlen(n->text) > FIELD_TEXT_MAX)
			conf_fault(l, n, path_of(&b, n->key), "a text of at most %zu bytes", FIELD_TEXT_MAX);
	if (map->kind == NODE_MAP && !l->bad) {
		read_host(&b);
		read_protocol(&b);
		read_auth(&b);
		read_ca(&b);
		out->database = read_ident(&b, "database");
		out->schema = read_ident(&b, "schema");
		out->warehouse = read_ident(&b, "warehouse");
		out->role = read_ident(&b, "role");
	}
	bool good = name_check(l, map, map->key, b.path) && !l->bad;
	l->bad = before || !good;
	return good;
}
