/* client.h
 *
 * What else here uses libcurl's easy handles shares with the client: how a connection is secured.
 */
#ifndef SNOWGATE_SNOWFLAKE_CLIENT_H
#define SNOWGATE_SNOWFLAKE_CLIENT_H

#include <curl/curl.h>

#include "snowgate/conf.h"

/* TLS 1.2 at least, peer and host verified, the connection's CA and proxy. */
void client_set_security(CURL *easy, const struct connection *c);

#endif
