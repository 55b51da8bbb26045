/* Connections out of the environment: SNOWFLAKE_*, SNOWSQL_*, and what Snowpark Container Services sets
 * (snowflake-rest.md B.5, E.3). */
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "conf_internal.h"

#define OVERLAY "SNOWFLAKE_CONNECTIONS_"

static void overlay(struct loading *l, struct node *map, const char *field, const char *value, const char *variable)
{
	struct node *n = node_scalar(l, CONF_ENVIRONMENT, 0, field_canonical(field), value);
	if (!n)
		return;
	n->shown = variable;
	n->hidden = true;
	if (field_rival(n->key))
		node_remove(map, field_rival(n->key));
	node_put(map, n);
}

static struct node *connection_add(struct loading *l, struct node *map, const char *name)
{
	struct node *c = node_new(l, NODE_MAP, CONF_ENVIRONMENT, 0);
	if (!c)
		return NULL;
	c->key = name;
	node_append(map, c);
	return c;
}

static const char *lower(struct loading *l, const char *text, size_t n)
{
	char *copy = (char *)conf_text(l, "%.*s", (int)n, text);
	for (char *p = copy; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

static struct node *connection_find(const struct node *map, const char *name)
{
	for (struct node *c = map->first; c; c = c->next)
		if (strcasecmp(c->key, name) == 0)
			return c;
	return NULL;
}

/* Where "NAME_FIELD" of n bytes is cut: a name that exists counts more, then the longest field. */
struct cut {
	const char *field, *name;
	struct node *connection;
	size_t field_n;
};

static void cut_try(struct loading *l, const struct node *map, const char *rest, size_t n, const char *field,
		    struct cut *best)
{
	size_t len = strlen(field);
	if (n <= len + 1 || rest[n - len - 1] != '_' || strncasecmp(rest + n - len, field, len) != 0)
		return;
	struct cut cut = {field, lower(l, rest, n - len - 1), NULL, len};
	cut.connection = connection_find(map, cut.name);
	if (!best->field || (cut.connection && !best->connection) ||
	    (!cut.connection == !best->connection && len > best->field_n))
		*best = cut;
}

/* SNOWFLAKE_CONNECTIONS_<NAME>_<FIELD>=value */
static void overlay_named(struct loading *l, struct node *map, const char *variable)
{
	const char *rest = variable + strlen(OVERLAY), *equals = strchr(rest, '='), *field;
	size_t n = equals ? (size_t)(equals - rest) : 0;
	struct cut cut = {0};
	if (n > 256)
		return;
	for (size_t i = 0; (field = field_spelling(i)); i++)
		if (strcmp(field, "users") != 0)
			cut_try(l, map, rest, n, field, &cut);
	if (!cut.field)
		return;
	if (!cut.connection)
		cut.connection = connection_add(l, map, cut.name);
	if (cut.connection)
		overlay(l, cut.connection, cut.field, equals + 1,
			conf_text(l, "%.*s", (int)(equals - variable), variable));
}

static void overlay_generic(struct loading *l, struct node *c)
{
	const char *field;
	for (size_t i = 0; (field = field_spelling(i)); i++) {
		char *name = (char *)conf_text(l, "SNOWFLAKE_%s", field);
		for (char *p = name; *p; p++)
			*p = (char)toupper((unsigned char)*p);
		const char *value = conf_getenv(l, name);
		if (value && *value && strcmp(field, "users") != 0)
			overlay(l, c, field, value, name);
	}
}

static void overlay_default(struct loading *l, struct node *map, const char *chosen)
{
	static const char *const snowsql[][2] = {
	    {"SNOWSQL_ACCOUNT", "account"},     {"SNOWSQL_USER", "user"},
	    {"SNOWSQL_PWD", "password"},        {"SNOWSQL_HOST", "host"},
	    {"SNOWSQL_PORT", "port"},           {"SNOWSQL_PROTOCOL", "protocol"},
	    {"SNOWSQL_REGION", "region"},       {"SNOWSQL_ROLE", "role"},
	    {"SNOWSQL_WAREHOUSE", "warehouse"}, {"SNOWSQL_DATABASE", "database"},
	    {"SNOWSQL_SCHEMA", "schema"},       {"SNOWSQL_PRIVATE_KEY_PASSPHRASE", "private_key_passphrase"}};
	struct node *c = node_get(map, chosen);
	bool named = conf_getenv(l, "SNOWFLAKE_ACCOUNT") || conf_getenv(l, "SNOWFLAKE_HOST") ||
		     conf_getenv(l, "SNOWSQL_ACCOUNT");
	if (!c && (!named || !(c = connection_add(l, map, conf_text(l, "%s", chosen)))))
		return;
	for (size_t i = 0; i < ARRAY_LEN(snowsql); i++) {
		const char *value = conf_getenv(l, snowsql[i][0]);
		if (value && *value)
			overlay(l, c, snowsql[i][1], value, snowsql[i][0]);
	}
	overlay_generic(l, c);
}

/* PRIVATE_KEY_PASSPHRASE opens the key of a connection that names no passphrase. */
static void passphrase_everywhere(struct loading *l, struct node *map)
{
	const char *value = conf_getenv(l, "PRIVATE_KEY_PASSPHRASE");
	for (struct node *c = value && *value ? map->first : NULL; c; c = c->next)
		if (!node_get(c, "private_key_passphrase") && !node_get(c, "private_key_passphrase_file"))
			overlay(l, c, "private_key_passphrase", value, "PRIVATE_KEY_PASSPHRASE");
}

void connections_overlay(struct loading *l, struct node *map, const char *chosen)
{
	overlay_default(l, map, chosen);
	for (char **p = l->sealed ? NULL : environ; p && *p; p++)
		if (strncmp(*p, OVERLAY, strlen(OVERLAY)) == 0)
			overlay_named(l, map, *p);
	passphrase_everywhere(l, map);
}

void connections_spcs(struct loading *l, struct node *map, const char *chosen, const char *token_file)
{
	static const char *const credentials[] = {"authenticator",   "token",    "token_file",     "private_key_file",
						  "private_key_raw", "password", "oauth_client_id"};
	struct node *c = node_get(map, chosen);
	const char *account = conf_getenv(l, "SNOWFLAKE_ACCOUNT"), *host = conf_getenv(l, "SNOWFLAKE_HOST");
	bool alone = c && map->first == c && !c->next && strcmp(c->file, CONF_ENVIRONMENT) == 0;
	if (!alone || !account || !*account || !host || !*host || access(token_file, F_OK) != 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(credentials); i++)
		if (node_get(c, credentials[i]))
			return;
	overlay(l, c, "authenticator", "oauth", "SNOWFLAKE_AUTHENTICATOR");
	overlay(l, c, "token_file", token_file, "SNOWFLAKE_TOKEN_FILE_PATH");
}
