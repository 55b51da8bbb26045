/* Decides by Host, Origin and X-Forwarded-For who is served, and tells browsers what they may send. */
#include "access.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "hygiene.h"

/* host[:port], the host without brackets; port -1 where none is given. */
struct authority {
	struct slice host;
	int port;
};

static bool port_parse(struct slice s, int *port)
{
	int value = 0;

	if (s.n == 0 || s.n > 5)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
		value = value * 10 + (s.data[i] - '0');
	}
	*port = value;
	return value > 0 && value <= 65535;
}

static struct slice slice_from(struct slice s, size_t start)
{
	return (struct slice){s.data + start, s.n - start};
}

static bool authority_parse(struct slice s, struct authority *out)
{
	bool bracketed = s.n > 0 && s.data[0] == '[';
	const char *end;
	size_t past;

	out->port = -1;
	if (s.n == 0)
		return false;
	end = memchr(s.data, bracketed ? ']' : ':', s.n);
	if (bracketed && !end)
		return false;
	out->host.data = s.data + bracketed;
	out->host.n = end ? (size_t)(end - out->host.data) : s.n;
	past = end ? (size_t)(end - s.data) + bracketed : s.n;
	if (out->host.n == 0)
		return false;
	if (past == s.n)
		return true;
	return s.data[past] == ':' && port_parse(slice_from(s, past + 1), &out->port);
}

static bool same_host(struct slice a, struct slice b)
{
	return a.n == b.n && strncasecmp(a.data, b.data, a.n) == 0;
}

/* A whole address, not a name that begins like one: 127.0.0.1.evil.example is somebody's host. */
static bool is_loopback_host(struct slice host)
{
	struct in6_addr v6;
	struct in_addr v4;
	char text[64];

	if (slice_is_nocase(host, "localhost"))
		return true;
	if (host.n == 0 || host.n >= sizeof(text))
		return false;
	memcpy(text, host.data, host.n);
	text[host.n] = '\0';
	if (inet_pton(AF_INET, text, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, text, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

struct site site_of(const char *listen_address)
{
	struct slice s = slice_of(listen_address);
	struct site site = {.loopback = slice_starts_nocase(s, "unix:")};

	if (site.loopback)
		return site;
	if (s.n >= 2 && s.data[0] == '[' && s.data[s.n - 1] == ']')
		s = (struct slice){s.data + 1, s.n - 2};
	if (s.n < sizeof(site.address))
		memcpy(site.address, s.data, s.n);
	site.wildcard = slice_is(s, "0.0.0.0") || slice_is(s, "::");
	site.loopback = is_loopback_host(s);
	return site;
}

/* scheme://host[:port], the port filled in where the scheme has a default. Returns what follows, or NULL. */
static const char *origin_parse(struct slice s, struct slice *scheme, struct authority *at)
{
	const char *mark = s.n ? memmem(s.data, s.n, "://", 3) : NULL;
	struct slice rest;
	const char *end;

	if (!mark || mark == s.data)
		return NULL;
	*scheme = (struct slice){s.data, (size_t)(mark - s.data)};
	rest = slice_from(s, scheme->n + 3);
	end = rest.n ? memchr(rest.data, '/', rest.n) : NULL;
	if (end)
		rest.n = (size_t)(end - rest.data);
	if (memchr(rest.data, '@', rest.n) || !authority_parse(rest, at))
		return NULL;
	if (at->port < 0 && slice_is_nocase(*scheme, "http"))
		at->port = 80;
	if (at->port < 0 && slice_is_nocase(*scheme, "https"))
		at->port = 443;
	return rest.data + rest.n;
}

static bool host_listed(const struct conf *conf, const struct authority *at)
{
	for (size_t i = 0; i < conf->listen_allowed_hosts.n; i++) {
		struct authority entry;

		if (authority_parse(slice_of(conf->listen_allowed_hosts.v[i]), &entry) &&
		    same_host(entry.host, at->host) && (entry.port < 0 || entry.port == at->port))
			return true;
	}
	return false;
}

bool host_served(const struct conf *conf, const struct site *site, const char *local, struct slice host)
{
	struct authority at, public_at;
	struct slice scheme;

	if (!authority_parse(host, &at))
		return false;
	if ((site->loopback || site->wildcard) && is_loopback_host(at.host))
		return true;
	if (site->address[0] && !site->wildcard && slice_is_nocase(at.host, site->address))
		return true;
	if (local && local[0] && slice_is_nocase(at.host, local))
		return true;
	if (conf->listen_public_url && origin_parse(slice_of(conf->listen_public_url), &scheme, &public_at) &&
	    same_host(public_at.host, at.host))
		return true;
	return host_listed(conf, &at);
}

static bool same_origin(struct slice scheme, const struct authority *at, const char *entry)
{
	struct slice entry_scheme;
	struct authority entry_at;

	return entry && origin_parse(slice_of(entry), &entry_scheme, &entry_at) && same_host(scheme, entry_scheme) &&
	       same_host(at->host, entry_at.host) && at->port == entry_at.port;
}

bool origin_allowed(const struct conf *conf, const struct site *site, struct slice origin)
{
	struct slice scheme;
	struct authority at;
	const char *end = origin_parse(origin, &scheme, &at);

	if (!end || end != origin.data + origin.n)
		return false;
	if (site->loopback && (slice_is_nocase(scheme, "http") || slice_is_nocase(scheme, "https")) &&
	    is_loopback_host(at.host))
		return true;
	if (same_origin(scheme, &at, conf->listen_public_url))
		return true;
	for (size_t i = 0; i < conf->listen_allowed_origins.n; i++) {
		if (same_origin(scheme, &at, conf->listen_allowed_origins.v[i]))
			return true;
	}
	return false;
}

static struct slice split_off(struct slice *list, char separator)
{
	const char *mark = list->n ? memchr(list->data, separator, list->n) : NULL;
	struct slice first = {list->data, mark ? (size_t)(mark - list->data) : list->n};

	*list = slice_from(*list, mark ? first.n + 1 : first.n);
	return slice_trim(first);
}

static bool is_param_name(struct slice s)
{
	if (!slice_starts_nocase(s, "mcp-param-") || s.n == strlen("mcp-param-") || s.n > 128)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'))
			return false;
	}
	return true;
}

bool cors_allowed_headers(struct buf *b, struct slice requested)
{
	bool ok = buf_adds(b, "Authorization, Content-Type, Accept, Mcp-Session-Id, MCP-Protocol-Version, Mcp-Method, "
			      "Mcp-Name, Last-Event-ID, traceparent, tracestate, baggage");

	while (requested.n > 0) {
		struct slice name = split_off(&requested, ',');

		if (is_param_name(name))
			ok = buf_adds(b, ", ") && buf_add(b, name.data, name.n);
	}
	return ok;
}

/* Every address as 16 bytes, IPv4 mapped. */
static bool address_parse(struct slice s, uint8_t out[16])
{
	char text[64];
	struct in_addr v4;

	if (s.n == 0 || s.n >= sizeof(text))
		return false;
	memcpy(text, s.data, s.n);
	text[s.n] = '\0';
	if (inet_pton(AF_INET6, text, out) == 1)
		return true;
	if (inet_pton(AF_INET, text, &v4) != 1)
		return false;
	memset(out, 0, 10);
	memset(out + 10, 0xff, 2);
	memcpy(out + 12, &v4, 4);
	return true;
}

static bool in_network(const uint8_t address[16], const char *entry)
{
	struct slice rest = slice_of(entry);
	struct slice base = split_off(&rest, '/');
	bool whole = base.n == strlen(entry);
	uint8_t network[16];
	int64_t bits = 128;
	bool v4 = base.n && memchr(base.data, '.', base.n) && !memchr(base.data, ':', base.n);

	if (!address_parse(base, network))
		return false;
	if (!whole) {
		if (!parse_int(rest.data, 0, v4 ? 32 : 128, &bits))
			return false;
		bits += v4 ? 96 : 0;
	}
	for (int64_t i = 0; i < bits; i++) {
		if ((address[i / 8] ^ network[i / 8]) & (0x80 >> (i % 8)))
			return false;
	}
	return true;
}

static bool is_trusted(const struct conf *conf, const uint8_t address[16])
{
	for (size_t i = 0; i < conf->listen_trusted_proxies.n; i++) {
		if (in_network(address, conf->listen_trusted_proxies.v[i]))
			return true;
	}
	return false;
}

/* The last element of a comma-separated list, taken off it; an address may carry a port and brackets. */
static struct slice last_hop(struct slice *list)
{
	const char *mark = memrchr(list->data, ',', list->n);
	struct slice last = mark ? slice_from(*list, (size_t)(mark - list->data) + 1) : *list;
	struct authority at;

	list->n = mark ? (size_t)(mark - list->data) : 0;
	last = slice_trim(last);
	if (last.n && (last.data[0] == '[' || memchr(last.data, '.', last.n)) && authority_parse(last, &at))
		return at.host;
	return last;
}

void client_address(const struct conf *conf, const char *peer, struct slice forwarded, char out[64])
{
	uint8_t address[16];
	struct slice client = slice_of(peer);

	if (address_parse(client, address)) {
		while (forwarded.n > 0 && is_trusted(conf, address)) {
			struct slice hop = last_hop(&forwarded);

			if (!address_parse(hop, address))
				break;
			client = hop;
		}
	}
	if (client.n > 63)
		client.n = 63;
	memcpy(out, client.data, client.n);
	out[client.n] = '\0';
}
