/* Finds the Snowflake connections: inline, or in connections.toml, config.toml and the environment as Snowflake's own
 * tools read them (snowflake-rest.md E.3). */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "toml.h"

#define CONNECTIONS_MAX 1000
#define ENVIRONMENT     "environment"
#define OVERLAY         "SNOWFLAKE_CONNECTIONS_"

/* Names of fields that replace one another: whoever is given later displaces the other. */
static const char *rival_of(const char *field)
{
	static const char *const pairs[][2] = {{"token", "token_file"},
					       {"private_key_raw", "private_key_file"},
					       {"private_key_passphrase", "private_key_passphrase_file"}};
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		if (strcmp(field, pairs[i][0]) == 0)
			return pairs[i][1];
		if (strcmp(field, pairs[i][1]) == 0)
			return pairs[i][0];
	}
	return NULL;
}

static bool is_folder(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* $SNOWFLAKE_HOME, ~/.snowflake, or the platform's folder; NULL where none of them exists. */
static const char *snowflake_folder(struct loading *l)
{
	const char *home = conf_getenv(l, "SNOWFLAKE_HOME"), *xdg = conf_getenv(l, "XDG_CONFIG_HOME");
	const char *candidates[2] = {path_home(l, home && *home ? home : "~/.snowflake"),
				     xdg && *xdg ? conf_text(l, "%.4000s/snowflake", xdg)
						 : path_home(l, "~/.config/snowflake")};
	for (size_t i = 0; i < ARRAY_LEN(candidates); i++)
		if (!l->sealed && is_folder(candidates[i]))
			return candidates[i];
	return NULL;
}

/* The tree of a TOML file. NULL with a fault; or without, where it is absent and `optional`. */
static struct node *toml_load(struct loading *l, const char *path, bool optional, const struct node *at)
{
	int error;
	const char *skip = conf_getenv(l, "SF_SKIP_WARNING_FOR_READ_PERMISSIONS_ON_CONFIG_FILE");
	struct node here = {.file = path};
	struct slice text = conf_read_file(l, path, CONF_FILE_BYTES, &error);
	if (!text.data) {
		if (!optional || (error != ENOENT && error != ENOTDIR))
			conf_fault(l, at ? at : &here, at ? "snowflake.connections_file" : "", "cannot read %s: %s",
				   path, conf_read_error(error));
		return NULL;
	}
	struct node *root = toml_parse(l, text, path);
	secret_free(text);
	bool warn = root && node_holds_secret(root) && !(skip && strcasecmp(skip, "true") == 0);
	return root && file_check_mode(l, path, warn, &here, "") ? root : NULL;
}

/* Each table of `from` as a connection with canonical field names. What is no table is left out. */
static struct node *connections_of(struct loading *l, const struct node *from, const char *file)
{
	struct node *map = node_new(l, NODE_MAP, file, 1), *next, *field_next;
	for (struct node *c = map && from ? from->first : NULL; c; c = next) {
		next = c->next;
		if (c->kind != NODE_MAP)
			continue;
		for (struct node *f = c->first; f; f = field_next) {
			field_next = f->next;
			const char *name = field_canonical(f->key);
			if (name)
				f->key = name;
		}
		node_append(map, c);
	}
	return map;
}

/* Two spellings of one field (private_key_path, private_key_file): the later one counts. */
static void fields_unify(struct node *map)
{
	struct node *fields = map->first, *next;
	map->first = map->last = NULL;
	for (struct node *f = fields; f; f = next) {
		next = f->next;
		node_put(map, f);
	}
}

static struct node *from_variable(struct loading *l)
{
	const char *text = conf_getenv(l, "SNOWFLAKE_CONNECTIONS");
	if (!text || !*text)
		return NULL;
	struct node at = {.file = ENVIRONMENT, .shown = "SNOWFLAKE_CONNECTIONS"};
	if (strlen(text) > CONF_FILE_BYTES) {
		conf_fault(l, &at, "", "longer than %zu bytes", CONF_FILE_BYTES);
		return NULL;
	}
	return toml_parse(l, slice_of(text), "SNOWFLAKE_CONNECTIONS");
}

/* The connections of Snowflake's files, the later replacing the earlier as a whole; *chosen is the default's name. */
static struct node *from_files(struct loading *l, const struct node *file, const char **chosen)
{
	struct node *config = NULL, *own = NULL, *name;
	const char *folder;
	if (!node_is_null(file) && file->kind == NODE_SCALAR && *file->text) {
		struct node *root =
		    toml_load(l, path_resolve(l, file->text, file->shown ? NULL : file->file), false, file);
		bool is_config = node_get(root, "connections") && node_get(root, "connections")->kind == NODE_MAP;
		*(is_config ? &config : &own) = root;
	} else if ((folder = snowflake_folder(l))) {
		config = toml_load(l, conf_text(l, "%.4000s/config.toml", folder), true, NULL);
		own = toml_load(l, conf_text(l, "%.4000s/connections.toml", folder), true, NULL);
	}
	if ((name = node_get(config, "default_connection_name")) && name->kind == NODE_SCALAR)
		*chosen = name->text;
	struct node *variable = from_variable(l);
	if (variable)
		own = variable;
	if (!own && !(config && node_get(config, "connections")))
		return node_new(l, NODE_MAP, ENVIRONMENT, 0);
	return own ? connections_of(l, own, own->file)
		   : connections_of(l, node_get(config, "connections"), config->file);
}

static void overlay(struct loading *l, struct node *map, const char *field, const char *value, const char *variable)
{
	struct node *n = node_scalar(l, ENVIRONMENT, 0, field_canonical(field), value);
	if (!n)
		return;
	n->shown = variable;
	n->hidden = true;
	if (rival_of(n->key))
		node_remove(map, rival_of(n->key));
	node_put(map, n);
}

static struct node *connection_add(struct loading *l, struct node *map, const char *name)
{
	struct node *c = node_new(l, NODE_MAP, ENVIRONMENT, 0);
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

/* Spellings that Snowflake's tools take behind SNOWFLAKE_ and SNOWFLAKE_CONNECTIONS_NAME_. */
static const char *const variable_fields[] = {
    "account",
    "user",
    "password",
    "database",
    "schema",
    "role",
    "warehouse",
    "protocol",
    "host",
    "port",
    "region",
    "authenticator",
    "private_key_path",
    "private_key_file",
    "private_key_raw",
    "private_key_file_pwd",
    "private_key_passphrase",
    "token",
    "token_file_path",
};

/* SNOWFLAKE_CONNECTIONS_<NAME>_<FIELD>: `rest` is NAME_FIELD=value. The longest field that fits counts. */
static void overlay_named(struct loading *l, struct node *map, const char *variable)
{
	const char *rest = variable + strlen(OVERLAY), *equals = strchr(rest, '='), *field = NULL;
	size_t n = equals ? (size_t)(equals - rest) : 0, best = 0;
	for (size_t i = 0; i < ARRAY_LEN(variable_fields); i++) {
		size_t len = strlen(variable_fields[i]);
		if (n > len + 1 && len > best && rest[n - len - 1] == '_' &&
		    strncasecmp(rest + n - len, variable_fields[i], len) == 0) {
			best = len;
			field = variable_fields[i];
		}
	}
	if (!field || n > 256)
		return;
	const char *name = lower(l, rest, n - best - 1);
	struct node *c = NULL;
	for (struct node *p = map->first; p; p = p->next)
		if (strcasecmp(p->key, name) == 0)
			c = p;
	if (!c)
		c = connection_add(l, map, name);
	if (c)
		overlay(l, c, field, equals + 1, conf_text(l, "%.*s", (int)(equals - variable), variable));
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
	for (size_t i = 0; i < ARRAY_LEN(variable_fields); i++) {
		char *name = (char *)conf_text(l, "SNOWFLAKE_%s", variable_fields[i]);
		for (char *p = name; *p; p++)
			*p = (char)toupper((unsigned char)*p);
		const char *value = conf_getenv(l, name);
		if (value && *value)
			overlay(l, c, variable_fields[i], value, name);
	}
}

/* PRIVATE_KEY_PASSPHRASE opens the key of a connection that names no passphrase. */
static void passphrase_everywhere(struct loading *l, struct node *map)
{
	const char *value = conf_getenv(l, "PRIVATE_KEY_PASSPHRASE");
	for (struct node *c = value && *value ? map->first : NULL; c; c = c->next)
		if (!node_get(c, "private_key_passphrase") && !node_get(c, "private_key_passphrase_file"))
			overlay(l, c, "private_key_passphrase", value, "PRIVATE_KEY_PASSPHRASE");
}

static struct node *only_member(const struct node *map)
{
	return map->first && !map->first->next ? map->first : NULL;
}

static void from_snowflake(struct loading *l, const struct node *section, struct sources *out)
{
	const char *chosen = NULL, *variable = conf_getenv(l, "SNOWFLAKE_DEFAULT_CONNECTION_NAME");
	struct node *map = from_files(l, node_get(section, "connections_file"), &chosen);
	if (!map)
		return;
	for (struct node *c = map->first; c; c = c->next)
		fields_unify(c);
	if (variable && *variable)
		chosen = variable;
	if (out->chosen_at)
		chosen = out->chosen;
	if (!chosen || !*chosen)
		chosen = "default";
	overlay_default(l, map, chosen);
	for (char **p = l->sealed ? NULL : environ; p && *p; p++)
		if (strncmp(*p, OVERLAY, strlen(OVERLAY)) == 0)
			overlay_named(l, map, *p);
	passphrase_everywhere(l, map);
	out->map = map->first ? map : NULL;
	if (!node_get(map, chosen) && !out->chosen_at && only_member(map))
		chosen = only_member(map)->key;
	out->chosen = chosen;
}

static void from_inline(struct loading *l, const struct node *connections, struct sources *out)
{
	if (connections->kind != NODE_MAP) {
		conf_fault(l, connections, "snowflake.connections",
			   "must be a section of connections, as `main: {account: ..., user: ...}`");
		return;
	}
	out->own = true;
	out->map = connections->first ? (struct node *)connections : NULL;
	if (out->chosen_at || !out->map)
		return;
	if (only_member(connections))
		out->chosen = connections->first->key;
	else if (node_get(connections, "default"))
		out->chosen = "default";
	else
		conf_fault(l, connections, "snowflake.connection",
			   "there are several connections; name the default one here, as in `connection: %s`",
			   connections->first->key);
}

static size_t members(const struct node *map)
{
	size_t n = 0;
	for (const struct node *c = map ? map->first : NULL; c; c = c->next)
		n++;
	return n;
}

struct sources sources_read(struct loading *l, const struct node *section)
{
	const struct node *name = node_get(section, "connection"), *connections = node_get(section, "connections");
	struct sources out = {0};
	if (!node_is_null(name) && name->kind == NODE_SCALAR && *name->text) {
		out.chosen_at = name;
		out.chosen = name->text;
	}
	if (!node_is_null(connections))
		from_inline(l, connections, &out);
	else
		from_snowflake(l, section, &out);
	if (members(out.map) > CONNECTIONS_MAX) {
		conf_fault(l, out.map, "snowflake.connections", "at most %d connections", CONNECTIONS_MAX);
		out.map = NULL;
	}
	return out;
}
