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
	struct node at = {.file = CONF_ENVIRONMENT, .shown = "SNOWFLAKE_CONNECTIONS"};
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
		return node_new(l, NODE_MAP, CONF_ENVIRONMENT, 0);
	return own ? connections_of(l, own, own->file)
		   : connections_of(l, node_get(config, "connections"), config->file);
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
	connections_overlay(l, map, chosen);
	connections_spcs(l, map, chosen, SPCS_TOKEN_FILE);
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
