/* access.h
 *
 * Who may call from where, by what the request says: its Host (against DNS rebinding), its Origin (browsers, the
 * specification's 403), what CORS tells a browser, and whose X-Forwarded-For is believed. Pure decisions.
 */
#ifndef SNOWGATE_HTTP_ACCESS_H
#define SNOWGATE_HTTP_ACCESS_H

#include "snowgate/conf.h"

/* What a listener is, as far as access goes. A wildcard address (0.0.0.0, ::) includes loopback, but is not it. */
struct site {
	char address[128]; /* without brackets; "" for a Unix socket */
	bool loopback, wildcard;
};
struct site site_of(const char *listen_address);

/* Is this the name of a host we serve? `local` is the address that the client connected to, NULL or "" where it has
 * none. Ports are compared only where an entry of listen.allowed_hosts has one: they say nothing about rebinding. */
bool host_served(const struct conf *conf, const struct site *site, const char *local, struct slice host);

/* May a page of this origin call? "null" may not. */
bool origin_allowed(const struct conf *conf, const struct site *site, struct slice origin);

#define CORS_METHODS "POST, GET, DELETE, OPTIONS"
#define CORS_EXPOSED                                                                                                   \
	"Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate, Last-Event-ID, Retry-After, RateLimit, "              \
	"RateLimit-Policy, X-Request-Id"
/* Appends the value of Access-Control-Allow-Headers: the fixed list, and each requested name mcp-param-[a-z0-9-]+
 * (a wildcard would not cover Authorization). */
bool cors_allowed_headers(struct buf *b, struct slice requested);

/* The client's address: the peer's, or where the peer is one of listen.trusted_proxies the right-most address of
 * X-Forwarded-For that is not. Junk ends the walk. `forwarded` may be absent. */
void client_address(const struct conf *conf, const char *peer, struct slice forwarded, char out[64]);

#endif
