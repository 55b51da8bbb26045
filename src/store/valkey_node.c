/* The nodes of store.url: addresses of a Valkey or Redis server, and of those that may take its place. */
#include "valkey.h"

#include <stdio.h>
#include <string.h>

#define PORT "6379"

static bool starts(const char **at, const char *with)
{
	size_t n = strlen(with);

	if (strncmp(*at, with, n) != 0)
		return false;
	*at += n;
	return true;
}

/* "host", "host:port", "[address]:port". */
static bool host_parse(struct node *n, const char *text, size_t length)
{
	const char *end = text + length, *colon;
	int64_t port;

	if (length && *text == '[') {
		const char *close = memchr(text, ']', length);
		if (!close || (close + 1 < end && close[1] != ':'))
			return false;
		n->host = xstrndup(text + 1, (size_t)(close - text - 1));
		colon = close + 1;
	} else {
		colon = memchr(text, ':', length);
		colon = colon ? colon : end;
		n->host = xstrndup(text, (size_t)(colon - text));
	}
	n->port = colon < end ? xstrndup(colon + 1, (size_t)(end - colon - 1)) : xstrdup(PORT);
	return *n->host && parse_int(n->port, 1, 65535, &port);
}

static const char *tcp_parse(struct node *n, const char *at)
{
	size_t length = strcspn(at, "/?#");
	const char *user_end = memchr(at, '@', length), *rest = at + length;

	if (user_end) {
		if (memchr(at, ':', (size_t)(user_end - at)))
			return "a password does not belong in a URL: use store.password_file";
		free(n->user);
		n->user = xstrndup(at, (size_t)(user_end - at));
		length -= (size_t)(user_end + 1 - at);
		at = user_end + 1;
	}
	if (!host_parse(n, at, length))
		return "want redis://[user@]host[:port][/database]";
	if (*rest && strcmp(rest, "/") != 0 && (*rest != '/' || !parse_int(rest + 1, 0, INT32_MAX, &n->db)))
		return "what follows the / is the number of the database";
	n->name = xalloc(strlen(n->host) + strlen(n->port) + 4);
	snprintf(n->name, strlen(n->host) + strlen(n->port) + 4, strchr(n->host, ':') ? "[%s]:%s" : "%s:%s", n->host,
		 n->port);
	return NULL;
}

static const char *path_parse(struct node *n, const char *at)
{
	size_t length = strcspn(at, "?#");
	const char *rest = at + length;

	n->path = xstrndup(at, length);
	n->name = xstrdup(n->path);
	if (*n->path != '/' || length > 107)
		return "want unix:///path of at most 107 bytes";
	if (*rest && (!starts(&rest, "?db=") || !parse_int(rest, 0, INT32_MAX, &n->db)))
		return "what may follow the path is ?db= and the number of the database";
	return NULL;
}

static const char *node_parse(struct node *n, const char *url)
{
	const char *at = url;

	if (starts(&at, "redis://") || starts(&at, "valkey://"))
		return tcp_parse(n, at);
	if (starts(&at, "unix://"))
		return path_parse(n, at);
	if (starts(&at, "rediss://") || starts(&at, "valkeys://"))
		return "this build cannot do TLS to the store (its hiredis has none): let a TLS proxy beside the "
		       "gateway "
		       "(stunnel, a service mesh) do it, and name that proxy here with redis://";
	return "want redis://, valkey:// or unix://";
}

bool nodes_parse(struct texts urls, const char *user, struct nodes *out, char *why, size_t why_size)
{
	const char *wrong = urls.n ? NULL : "kind valkey needs the address of its server, such as redis://valkey:6379";

	*out = (struct nodes){0};
	for (size_t i = 0; i < urls.n && !wrong; i++) {
		if (out->n == NODES_MAX) {
			wrong = "too many nodes";
			break;
		}
		struct node *n = &out->v[out->n++];
		n->user = user && *user ? xstrdup(user) : NULL;
		wrong = node_parse(n, urls.v[i]);
		if (!wrong && n->db != out->v[0].db)
			wrong = "all nodes are one store: the same database at each";
	}
	if (!wrong)
		return true;
	snprintf(why, why_size, "store.url: %s", wrong);
	nodes_free(out);
	return false;
}

void nodes_free(struct nodes *nodes)
{
	for (size_t i = 0; i < nodes->n; i++) {
		struct node *n = &nodes->v[i];
		free(n->name);
		free(n->host);
		free(n->port);
		free(n->path);
		free(n->user);
	}
	*nodes = (struct nodes){0};
}
