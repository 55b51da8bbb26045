/* Builds one Snowflake connection out of its fields and checks all that can be checked without calling anybody. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include "connection.h"

#define FIELD_TEXT_MAX ((size_t)64 << 10)
#define HOST_MAX       253

const char *field_place(const struct building *b, const char *field)
{
	return conf_text(b->l, "%.200s.%s", b->path, field);
}

const struct node *field_node(const struct building *b, const char *name)
{
	const struct node *n = node_get(b->map, name);
	if (node_is_null(n) || !scalar_check(b->l, n, field_place(b, name), "a text") || !*n->text)
		return NULL;
	return n;
}

const char *field_text(const struct building *b, const char *name)
{
	const struct node *n = field_node(b, name);
	return n ? conf_keep(b->l->arena, n->text) : NULL;
}

const char *field_path(const struct building *b, const char *name)
{
	const struct node *n = field_node(b, name);
	if (!n)
		return NULL;
	/* Snowflake's tools take a relative path from where they stand, not from where the file does. */
	const char *path = b->own ? path_resolve(b->l, n->text, n->file) : path_home(b->l, n->text);
	return conf_keep(b->l->arena, path);
}

bool host_is_plain(const char *host)
{
	size_t n = strlen(host);
	if (!n || n > HOST_MAX || host[0] == '.' || host[0] == '-')
		return false;
	return strspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

bool host_is_loopback(const char *host)
{
	size_t n = strlen(host);
	return strcasecmp(host, "localhost") == 0 || (n > 10 && strcasecmp(host + n - 10, ".localhost") == 0) ||
	       address_is_loopback(host);
}

static void account_check(const struct building *b, const struct node *account)
{
	const char *domain = strcasestr(account->text, ".snowflakecomputing.");
	if (domain && host_is_plain(account->text))
		conf_fault(b->l, account, field_place(b, "account"),
			   "give only what stands before .snowflakecomputing.com, as in MYORG-MYACCOUNT");
	else if (!host_is_plain(account->text))
		conf_fault(b->l, account, field_place(b, "account"),
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
	const struct node *account = field_node(b, "account"), *host = field_node(b, "host");
	b->c->account = field_text(b, "account");
	if (account)
		account_check(b, account);
	if (host && !host_is_plain(host->text))
		conf_fault(b->l, host, field_place(b, "host"),
			   "a host has letters, digits, dots, hyphens and underscores only; scheme and port go under "
			   "protocol and port");
	if (!account && !host)
		conf_fault(b->l, b->map, field_place(b, "account"),
			   "account is missing (or host), as in MYORG-MYACCOUNT");
	const struct node *region = field_node(b, "region");
	if (region && !host && !host_is_plain(region->text))
		conf_fault(b->l, region, field_place(b, "region"),
			   "a region has letters, digits, dots and hyphens only");
	if (host)
		b->c->host = conf_keep(b->l->arena, host->text);
	else if (account)
		b->c->host = host_derive(b, account->text, region ? region->text : NULL);
}

static void read_protocol(struct building *b)
{
	const struct node *protocol = field_node(b, "protocol"), *port = field_node(b, "port");
	bool http = protocol && strcasecmp(protocol->text, "http") == 0;
	b->c->protocol = http ? "http" : "https";
	b->c->port = http ? 80 : 443;
	if (protocol && !http && strcasecmp(protocol->text, "https") != 0)
		conf_fault(b->l, protocol, field_place(b, "protocol"),
			   "must be https (or http for a test server on loopback), not %s", node_shown(b->l, protocol));
	if (http && b->c->host && !host_is_loopback(b->c->host))
		conf_fault(b->l, protocol, field_place(b, "protocol"),
			   "protocol: http would send credentials in the clear to %s; it is for loopback hosts only, "
			   "leave it out",
			   b->c->host);
	if (port && !parse_int(port->text, 1, 65535, &b->c->port))
		conf_fault(b->l, port, field_place(b, "port"), "must be a whole number from 1 to 65535, not %s",
			   node_shown(b->l, port));
}

static const char *read_ident(struct building *b, const char *name)
{
	const struct node *n = field_node(b, name);
	return n ? ident_fold(b->l, n, field_place(b, name), b->own) : NULL;
}

/* Why a file holds no trust anchors; NULL: it does. */
static const char *ca_fault(struct building *b, const char *path)
{
	int error;
	struct slice text = conf_read_file(b->l, path, CONF_FILE_BYTES, &error);
	const char *fault = NULL;
	if (!text.data)
		fault = conf_text(b->l, "cannot read %s: %s", path, conf_read_error(error));
	else if (!memmem(text.data, text.n, "-----BEGIN CERTIFICATE-----", 27))
		fault = conf_text(b->l, "%s holds no certificate in PEM form", path);
	free((char *)text.data);
	return fault;
}

/* $SSL_CERT_FILE counts for OpenSSL's own programs; here it does for connections that name no file. */
static void read_ca(struct building *b)
{
	const struct node *at = field_node(b, "ca_file"),
			  variable = {.file = CONF_ENVIRONMENT, .shown = "SSL_CERT_FILE"};
	const char *common = conf_getenv(b->l, "SSL_CERT_FILE"), *fault;
	b->c->ca_file = field_path(b, "ca_file");
	if (at) {
		if ((fault = ca_fault(b, b->c->ca_file)))
			conf_fault(b->l, at, field_place(b, "ca_file"), "%s", fault);
	} else if (common && *common && strcmp(b->c->protocol, "https") == 0) {
		if ((fault = ca_fault(b, common)))
			conf_warn(b->l, &variable, "", "ignored: %s", fault);
		else
			b->c->ca_file = conf_keep(b->l->arena, common);
	}
}

static void read_proxy(struct building *b)
{
	const struct node *host = field_node(b, "proxy_host"), *port = field_node(b, "proxy_port");
	struct connection *c = b->c;
	c->proxy_host = field_text(b, "proxy_host");
	c->proxy_user = field_text(b, "proxy_user");
	c->proxy_password = secret_take(b, "proxy_password", "proxy_password_file", false);
	c->no_proxy = field_text(b, "no_proxy");
	if (host && !host_is_plain(host->text))
		conf_fault(b->l, host, field_place(b, "proxy_host"),
			   "must be a host name alone; the port goes under proxy_port, credentials under proxy_user "
			   "and proxy_password_file");
	if (port && !parse_int(port->text, 1, 65535, &c->proxy_port))
		conf_fault(b->l, port, field_place(b, "proxy_port"), "must be a whole number from 1 to 65535, not %s",
			   node_shown(b->l, port));
	if (host && !port)
		conf_fault(b->l, host, field_place(b, "proxy_port"), "proxy_port is missing");
	if (!host && (port || c->proxy_user || c->proxy_password))
		conf_fault(b->l, b->map, field_place(b, "proxy_host"), "proxy_host is missing");
	if (!c->proxy_user != !c->proxy_password)
		conf_fault(b->l, b->map, field_place(b, "proxy_user"), "proxy_user and proxy_password belong together");
}

static void check_keys(struct building *b)
{
	struct names names;
	field_names(&names);
	if (b->map->kind != NODE_MAP || b->own) /* Snowflake's tools know more keys than matter here */
		map_check(b->l, b->map, b->path, &names);
	for (const struct node *n = b->map->first; n; n = n->next)
		if (n->kind == NODE_SCALAR && strlen(n->text) > FIELD_TEXT_MAX)
			conf_fault(b->l, n, field_place(b, n->key), "a text of at most %zu bytes", FIELD_TEXT_MAX);
}

bool connection_read(struct loading *l, const struct node *map, bool own, struct connection *out)
{
	struct building b = {.l = l, .map = map, .own = own, .c = out};
	b.path = conf_text(l, "%s%.100s", own ? "snowflake.connections." : "", map->key);
	*out = (struct connection){.name = conf_keep(l->arena, map->key)};
	bool before = l->bad;
	l->bad = false;
	check_keys(&b);
	if (map->kind == NODE_MAP && !l->bad) {
		read_host(&b);
		read_protocol(&b);
		connection_read_auth(&b);
		read_ca(&b);
		read_proxy(&b);
		out->database = read_ident(&b, "database");
		out->schema = read_ident(&b, "schema");
		out->warehouse = read_ident(&b, "warehouse");
		out->role = read_ident(&b, "role");
		connection_identify(out);
	}
	bool good = name_check(l, map, map->key, b.path) && !l->bad;
	l->bad = before || !good;
	return good;
}
