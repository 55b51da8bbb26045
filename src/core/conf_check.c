/* The checks that take more than one setting, or more than bounds: addresses, URLs, and what must not come together. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "conf_internal.h"

#define HOST_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

/* Where a key was given, so that a fault can name the line; NULL where it has its default. */
static const struct node *given(const struct node *root, const char *section, const char *key)
{
	return node_get(node_get(root, section), key);
}

static bool address_is_valid(const char *address)
{
	unsigned char bytes[sizeof(struct in6_addr)];
	if (strncmp(address, "unix:", 5) == 0)
		return address[5] == '/' && address[6];
	return inet_pton(AF_INET, address, bytes) == 1 || inet_pton(AF_INET6, address, bytes) == 1;
}

bool address_is_loopback(const char *address)
{
	static const uint8_t mapped[13] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127};
	char plain[64];
	struct in_addr v4;
	struct in6_addr v6;
	size_t n = strlen(address);
	if (strncmp(address, "unix:", 5) == 0)
		return true;
	bool brackets = n > 2 && n < sizeof(plain) && address[0] == '[' && address[n - 1] == ']';
	if (brackets) {
		memcpy(plain, address + 1, n - 2);
		plain[n - 2] = '\0';
		address = plain;
	}
	if (inet_pton(AF_INET, address, &v4) == 1)
		return !brackets && ntohl(v4.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, address, &v6) == 1 &&
	       (IN6_IS_ADDR_LOOPBACK(&v6) || memcmp(v6.s6_addr, mapped, sizeof(mapped)) == 0);
}

/* Takes the brackets off an IPv6 address and refuses what is no address. */
static void check_address(struct loading *l, const struct node *at, const char *key, const char **address)
{
	size_t n = strlen(*address);
	if (n > 2 && (*address)[0] == '[' && (*address)[n - 1] == ']' && strchr(*address, ':'))
		*address = conf_keep(l->arena, conf_text(l, "%.*s", (int)n - 2, *address + 1));
	if (!address_is_valid(*address))
		conf_fault(
		    l, at, key, "must be an IPv4 or IPv6 address or unix:/path, as 127.0.0.1 or 0.0.0.0, not %s%s",
		    at ? node_shown(l, at) : "''", strcmp(*address, "localhost") == 0 ? "; write 127.0.0.1" : "");
}

static void check_path(struct loading *l, const struct node *root)
{
	static const char *const taken[] = {"/healthz", "/results", "/.well-known"};
	const struct node *at = given(root, "listen", "path");
	const char *path = l->conf->listen_path;
	size_t n = strlen(path);
	if (path[0] != '/' || strspn(path, HOST_BYTES "/~") != n || strstr(path, "//") || (n > 1 && path[n - 1] == '/'))
		conf_fault(l, at, "listen.path",
			   "must begin with / and hold letters, digits and ._-~/ only, with no / at its end, as /mcp");
	for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
		size_t len = strlen(taken[i]);
		if (strncmp(path, taken[i], len) == 0 && (!path[len] || path[len] == '/'))
			conf_fault(l, at, "listen.path", "%s is served by the gateway itself; choose another path",
				   taken[i]);
	}
}

/* host, host:port, [v6] or [v6]:port; the length, 0 where it is none. */
static size_t authority_length(const char *text)
{
	size_t n = 0, digits;
	int64_t port;
	char number[6] = "";
	if (*text == '[') {
		n = 1 + strspn(text + 1, "0123456789abcdefABCDEF:.");
		if (n < 3 || text[n++] != ']')
			return 0;
	} else {
		n = strspn(text, HOST_BYTES);
	}
	if (!n || text[n] != ':')
		return n;
	digits = strspn(text + n + 1, "0123456789");
	if (!digits || digits > 5)
		return 0;
	memcpy(number, text + n + 1, digits);
	return parse_int(number, 1, 65535, &port) ? n + 1 + digits : 0;
}

/* What follows "scheme://" of http or https; NULL where there is no such scheme. */
static const char *after_scheme(const char *url)
{
	return strncmp(url, "https://", 8) == 0 ? url + 8 : strncmp(url, "http://", 7) == 0 ? url + 7 : NULL;
}

static void check_public_url(struct loading *l, const struct node *root)
{
	const char *url = l->conf->listen_public_url, *rest = after_scheme(url);
	size_t n = rest ? authority_length(rest) : 0;
	if (*url && (!n || (rest[n] && rest[n] != '/') || strpbrk(rest + n, "?# \\\"<>")))
		conf_fault(l, given(root, "listen", "public_url"), "listen.public_url",
			   "must be a URL of scheme, host and path only, as https://mcp.example.com/mcp");
}

static bool origin_is_valid(const char *origin)
{
	const char *rest = strstr(origin, "://");
	if (!rest || rest == origin)
		return false;
	size_t scheme = strspn(origin, "abcdefghijklmnopqrstuvwxyz0123456789+.-");
	size_t n = authority_length(rest + 3);
	return scheme == (size_t)(rest - origin) && n && !rest[3 + n];
}

static bool network_is_valid(const char *network)
{
	char address[64];
	unsigned char bytes[sizeof(struct in6_addr)];
	const char *slash = strchr(network, '/');
	size_t n = slash ? (size_t)(slash - network) : strlen(network);
	int64_t prefix;
	if (n >= sizeof(address))
		return false;
	memcpy(address, network, n);
	address[n] = '\0';
	bool v4 = inet_pton(AF_INET, address, bytes) == 1;
	if (!v4 && inet_pton(AF_INET6, address, bytes) != 1)
		return false;
	return !slash || parse_int(slash + 1, 0, v4 ? 32 : 128, &prefix);
}

static bool host_is_valid(const char *host)
{
	size_t n = authority_length(host);
	return n && !host[n];
}

static void check_each(struct loading *l, const struct node *at, const char *key, struct texts texts,
		       bool (*valid)(const char *), const char *what)
{
	const struct node *item = at && at->kind == NODE_LIST ? at->first : at;
	for (size_t i = 0; i < texts.n; i++, item = item ? item->next : NULL)
		if (!valid(texts.v[i]))
			conf_fault(l, item, key, "item %zu%s: must be %s", i + 1,
				   item && !item->hidden ? conf_text(l, " ('%.60s')", texts.v[i]) : "", what);
}

static void check_listen(struct loading *l, const struct node *root)
{
	struct conf *c = l->conf;
	check_address(l, given(root, "listen", "address"), "listen.address", &c->listen_address);
	if (*c->admin_address)
		check_address(l, given(root, "admin", "address"), "admin.address", &c->admin_address);
	check_path(l, root);
	check_public_url(l, root);
	check_each(l, given(root, "listen", "allowed_hosts"), "listen.allowed_hosts", c->listen_allowed_hosts,
		   host_is_valid, "a host name, or host:port");
	check_each(l, given(root, "listen", "allowed_origins"), "listen.allowed_origins", c->listen_allowed_origins,
		   origin_is_valid, "scheme://host or scheme://host:port, as a browser sends it; * is not taken");
	check_each(l, given(root, "listen", "trusted_proxies"), "listen.trusted_proxies", c->listen_trusted_proxies,
		   network_is_valid, "an address or a network, as 10.0.0.0/8");
	if (c->listen_port && c->listen_port == c->admin_port && strcmp(c->listen_address, c->admin_address) == 0 &&
	    strncmp(c->listen_address, "unix:", 5) != 0)
		conf_fault(l, given(root, "admin", "port"), "admin.port", "is the same as listen.port; choose another");
	if (*c->listen_handover && *c->listen_handover != '/')
		conf_fault(l, given(root, "listen", "handover"), "listen.handover",
			   "wants the whole path of a Unix socket, as /run/snowgate/handover");
}

static void check_auth(struct loading *l, const struct node *root)
{
	const struct conf *c = l->conf;
	const struct node *at = given(root, "auth", "mode");
	if (c->auth_mode != AUTH_NONE)
		return;
	if (address_is_valid(c->listen_address) && !address_is_loopback(c->listen_address))
		conf_fault(
		    l, at, "auth.mode",
		    "none serves everybody, so listen.address must be a loopback address, not %s; set auth.mode: "
		    "required and make a key with `snowgate key new NAME`",
		    c->listen_address);
	if (*c->listen_public_url)
		conf_fault(l, at, "auth.mode",
			   "none serves everybody, so listen.public_url may not be set; set auth.mode: required");
	if (c->listen_trusted_proxies.n)
		conf_fault(l, at, "auth.mode",
			   "none serves everybody, so listen.trusted_proxies may not be set; set auth.mode: required");
}

static void check_pairs(struct loading *l, const struct node *root)
{
	struct conf *c = l->conf;
	const struct node *ttl = given(root, "session", "idle_ttl"), *rows = given(root, "results", "default_rows");
	/* Only one of the two may be in the file. */
	ttl = ttl ? ttl : given(root, "session", "absolute_ttl");
	rows = rows ? rows : given(root, "results", "max_rows");
	if (c->session_idle_ttl > c->session_absolute_ttl)
		conf_fault(l, ttl, "session.idle_ttl",
			   "is longer than session.absolute_ttl; set both so that it is not");
	if (c->results_default_rows > c->results_max_rows)
		conf_fault(l, rows, "results.default_rows",
			   "%lld is more than results.max_rows, %lld; set both so that it is not",
			   (long long)c->results_default_rows, (long long)c->results_max_rows);
	if (c->session_max_per_principal > c->session_max)
		conf_warn(l, given(root, "session", "max_per_principal"), "session.max_per_principal",
			  "is more than session.max, which counts first");
}

static void check_files(struct loading *l, const struct node *root)
{
	struct conf *c = l->conf;
	const struct node *at = given(root, "session", "key_file");
	if (!*c->auth_api_keys_file)
		c->auth_api_keys_file = conf_keep(l->arena, path_resolve(l, "api-keys", c->file));
	if (!*c->session_key_file || l->sealed)
		return;
	if (access(c->session_key_file, R_OK) != 0)
		conf_fault(l, at, "session.key_file", "cannot read %s: %s", c->session_key_file, strerror(errno));
	else
		file_check_mode(l, c->session_key_file, true, at, "session.key_file");
}

/* As a service manager, the system's layout and the XDG specification have it, in this order. */
static const char *store_default(struct loading *l)
{
	const char *state = conf_getenv(l, "STATE_DIRECTORY"), *xdg = conf_getenv(l, "XDG_STATE_HOME");
	const char *home = conf_getenv(l, "HOME");
	if (state && *state == '/')
		return conf_text(l, "%.*s/snowgate.db", (int)strcspn(state, ":"), state);
	if (geteuid() == 0)
		return "/var/lib/snowgate/snowgate.db";
	if (xdg && *xdg == '/')
		return conf_text(l, "%s/snowgate/snowgate.db", xdg);
	return home && *home == '/' ? conf_text(l, "%s/.local/state/snowgate/snowgate.db", home) : "";
}

static void check_store(struct loading *l, const struct node *root)
{
	struct conf *c = l->conf;
	const struct node *path = given(root, "store", "path"), *backup = given(root, "store", "backup_path");
	const char *now = *c->store_path ? path_resolve(l, c->store_path, path && !path->shown ? path->file : NULL)
					 : store_default(l);
	c->store_path = conf_keep(l->arena, now);
	c->store_backup_path =
	    conf_keep(l->arena, path_resolve(l, c->store_backup_path, backup && !backup->shown ? backup->file : NULL));
	if (c->store_kind == STORE_KIND_SQLITE && !*c->store_path && !l->sealed)
		conf_fault(l, path, "store.path",
			   "there is no folder to keep it in by itself ($HOME is not set); set it");
	if (c->store_backup_every && !*c->store_backup_path)
		conf_fault(l, given(root, "store", "backup_every"), "store.backup_every",
			   "needs store.backup_path; say where the copy goes");
	if (*c->store_backup_path && strcmp(c->store_backup_path, c->store_path) == 0)
		conf_fault(l, backup, "store.backup_path", "is the database itself; choose another path");
	if (c->store_kind == STORE_KIND_VALKEY && !*c->session_key_file)
		conf_fault(l, given(root, "store", "kind"), "store.kind",
			   "valkey is shared by replicas, which need the same signing keys; set session.key_file to a "
			   "file that all of them have");
}

void conf_check(struct loading *l, const struct node *root)
{
	check_listen(l, root);
	check_auth(l, root);
	check_pairs(l, root);
	check_files(l, root);
	check_store(l, root);
}
