/* Loads a configuration: finds the file, lays the environment over it, fills the snapshot and checks the whole. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "conf_internal.h"
#include "snowgate/crypt.h"

#define LIST_SEPARATOR ','

/* A YAML list out of "a,b,c". */
static struct node *split(struct loading *l, const char *variable, const char *text)
{
	struct node *list = node_new(l, NODE_LIST, "environment", 0);
	while (list && *text) {
		size_t n = strcspn(text, ",");
		struct slice item = slice_trim((struct slice){text, n});
		struct node *child = node_new(l, NODE_SCALAR, "environment", 0);
		if (!child || !node_set_text(l, child, item.data, item.n))
			return NULL;
		child->shown = variable;
		child->quoted = true;
		node_append(list, child);
		text += n + (text[n] == LIST_SEPARATOR);
	}
	return list;
}

/* Kubernetes sets such variables for a service named snowgate-SECTION: an accident, not a setting. */
static bool is_service_link(const char *value)
{
	return strncmp(value, "tcp://", 6) == 0 || strncmp(value, "udp://", 6) == 0;
}

static struct node *section_of(struct loading *l, struct node *root, const char *name)
{
	struct node *section = node_get(root, name);
	if (section && section->kind == NODE_MAP)
		return section;
	if (section && !node_is_null(section))
		return NULL; /* refused later, with its line */
	section = node_new(l, NODE_MAP, "environment", 0);
	if (!section)
		return NULL;
	section->key = name;
	node_put(root, section);
	return section;
}

static const char *variable_of(struct loading *l, const struct setting *s, const char *suffix)
{
	char *name = (char *)conf_text(l, "SNOWGATE_%s_%s%s", s->section, s->key, suffix);
	for (char *p = name; *p; p++)
		*p = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
	return name;
}

/* Puts one variable's value into the tree, where it displaces what the file says. */
static void overlay_variable(struct loading *l, struct node *root, const struct setting *s, const char *suffix)
{
	const char *name = variable_of(l, s, suffix), *value = conf_getenv(l, name);
	bool may_be_empty = s->type == SETTING_TEXT || s->type == SETTING_LIST;
	struct node at = {.file = "environment", .shown = name};
	if (!value || (!*value && !may_be_empty))
		return;
	if (is_service_link(value) && s->type == SETTING_INT) {
		conf_warn(l, &at, "",
			  "ignored: it looks like one that Kubernetes sets for a service; set "
			  "enableServiceLinks: false in the pod");
		return;
	}
	struct node *section = section_of(l, root, s->section);
	struct node *n =
	    s->type == SETTING_LIST ? split(l, name, value) : node_scalar(l, "environment", 0, s->key, value);
	if (!section || !n)
		return;
	n->key = *suffix ? conf_text(l, "%s_file", s->key) : s->key;
	n->shown = name;
	if (s->flags & SECRET)
		node_remove(section, *suffix ? s->key : conf_text(l, "%s_file", s->key));
	node_put(section, n);
}

/* Warns of a variable that begins like a setting and is none. */
static void check_variable(struct loading *l, const char *variable)
{
	const char *equals = strchr(variable, '=');
	if (!equals || equals - variable > 128)
		return;
	const char *name = conf_text(l, "%.*s", (int)(equals - variable), variable);
	struct nearest near = nearest_to(name);
	bool section_fits = false;
	for (size_t i = 0; i < settings_n; i++) {
		const char *known = variable_of(l, &settings[i], "");
		size_t n = strlen("SNOWGATE_") + strlen(settings[i].section) + 1;
		section_fits = section_fits || strncmp(name, known, n) == 0;
		if (strcmp(name, known) == 0)
			return;
		if (settings[i].flags & SECRET && strcmp(name, variable_of(l, &settings[i], "_FILE")) == 0)
			return;
		nearest_try(&near, known);
	}
	struct node at = {.file = "environment", .shown = name};
	if (section_fits && !is_service_link(equals + 1) && !strstr(name, "_SERVICE_") && !strstr(name, "_PORT_"))
		conf_warn(l, &at, "", "no setting has this name%s", nearest_hint(l, &near));
}

static void overlay_environment(struct loading *l, struct node *root)
{
	for (size_t i = 0; i < settings_n; i++) {
		overlay_variable(l, root, &settings[i], "");
		if (settings[i].flags & SECRET)
			overlay_variable(l, root, &settings[i], "_FILE");
	}
	for (char **p = l->sealed ? NULL : environ; p && *p; p++)
		if (strncmp(*p, "SNOWGATE_", 9) == 0)
			check_variable(l, *p);
}

static void check_names(struct loading *l, const struct node *root)
{
	struct names top = {2, {"limits", "policies"}};
	for (size_t i = 0; i < settings_n; i++)
		if (!names_have(&top, settings[i].section))
			top.v[top.n++] = settings[i].section;
	top.v[top.n++] = "include";
	map_check(l, root, "", &top);
	for (size_t t = 2; t < top.n - 1; t++) {
		struct names keys = {0};
		const struct node *section = node_get(root, top.v[t]);
		for (size_t i = 0; i < settings_n; i++) {
			if (strcmp(settings[i].section, top.v[t]) != 0)
				continue;
			keys.v[keys.n++] = settings[i].key;
			if (settings[i].flags & SECRET)
				keys.v[keys.n++] = conf_text(l, "%s_file", settings[i].key);
		}
		if (strcmp(top.v[t], "snowflake") == 0)
			keys.v[keys.n++] = "connections";
		for (size_t i = 0; i < CORTEX_KINDS_N && strcmp(top.v[t], "cortex") == 0; i++)
			keys.v[keys.n++] = cortex_lists[i];
		if (!node_is_null(section))
			map_check(l, section, top.v[t], &keys);
	}
}

/* A secret may stand in a file of its own instead. */
static void read_secret_file(struct loading *l, const struct setting *s, const struct node *section)
{
	const char *key = conf_text(l, "%s_file", s->key), *path = conf_text(l, "%s.%s", s->section, key);
	const struct node *file = node_get(section, key);
	if (node_is_null(file) || !scalar_check(l, file, path, "the name of a file"))
		return;
	if (!node_is_null(node_get(section, s->key))) {
		conf_fault(l, file, path, "%s and %s are both given; keep one", s->key, key);
		return;
	}
	const char *text = secret_read(l, path_resolve(l, file->text, file->shown ? NULL : file->file), file, path);
	if (text)
		*(const char **)((char *)l->conf + s->offset) = text;
}

static void read_settings(struct loading *l, const struct node *root)
{
	for (size_t i = 0; i < settings_n; i++) {
		const struct setting *s = &settings[i];
		const struct node *section = node_get(root, s->section), *value = node_get(section, s->key);
		setting_default(l, s, l->conf);
		if (value && (!node_is_null(value) || s->type == SETTING_LIST))
			setting_set(l, s, l->conf, value, conf_text(l, "%s.%s", s->section, s->key));
		if (s->flags & SECRET)
			read_secret_file(l, s, section);
	}
}

static bool is_wanted(const struct sources *from, const char *name, const struct node *const *wanted, size_t n)
{
	if (from->own || (from->chosen_at && strcmp(from->chosen, name) == 0))
		return true;
	for (size_t i = 0; i < n; i++)
		if (wanted[i] && strcmp(wanted[i]->text, name) == 0)
			return true;
	return false;
}

/* Connections of Snowflake's files that nobody names and that cannot be used are left out, with warnings. */
static void build_connections(struct loading *l, const struct sources *from, const struct node *const *wanted)
{
	size_t n = 0;
	for (const struct node *c = from->map ? from->map->first : NULL; c; c = c->next)
		n++;
	struct connection *v = conf_need(l->arena, sizeof(*v) * n);
	l->conf->connections = v;
	for (const struct node *c = from->map ? from->map->first : NULL; c; c = c->next) {
		bool bad = l->bad;
		l->lenient = !is_wanted(from, c->key, wanted, l->conf->policies_n);
		if (connection_read(l, c, from->own, &v[l->conf->connections_n]))
			l->conf->connections_n++;
		l->bad = l->lenient ? bad : l->bad;
		l->lenient = false;
	}
}

static void unknown_connection(struct loading *l, const struct sources *from, const struct node *at, const char *key)
{
	struct nearest near = nearest_to(at->text);
	if (node_get(from->map, at->text))
		return; /* known, and its faults are told */
	for (const struct node *c = from->map ? from->map->first : NULL; c; c = c->next)
		nearest_try(&near, c->key);
	conf_fault(l, at, key, "no connection %s%s; give it under snowflake.connections or in connections.toml",
		   node_shown(l, at), nearest_hint(l, &near));
}

/* A user's token is for one role: without one every call would fail. */
static void check_role(struct loading *l, const struct policy *p, const struct node *at)
{
	const struct connection *c = p->connection;
	if (c && connection_is_per_user(c) && !p->roles.n && !c->role)
		conf_fault(l, at, conf_text(l, "policies.%s.role", p->name),
			   "connection %s makes a token for each user and role; name a role here or in the connection",
			   c->name);
}

static void resolve_policies(struct loading *l, const struct sources *from, const struct node *const *wanted)
{
	struct policy *v = (struct policy *)l->conf->policies;
	const struct connection *chosen = conf_connection(l->conf, NULL);
	for (size_t i = 0; i < l->conf->policies_n; i++) {
		v[i].connection = wanted[i] ? conf_connection(l->conf, wanted[i]->text) : chosen;
		if (wanted[i])
			unknown_connection(l, from, wanted[i], conf_text(l, "policies.%s.connection", v[i].name));
		l->faults->no_connection = l->faults->no_connection || !v[i].connection;
		check_role(l, &v[i], wanted[i]);
	}
}

static void read_connections(struct loading *l, const struct node *root, const struct node *const *wanted)
{
	struct sources from = sources_read(l, node_get(root, "snowflake"));
	const struct node *at = node_get(node_get(root, "snowflake"), "connection");
	from.chosen = from.chosen ? conf_keep(l->arena, from.chosen) : NULL;
	build_connections(l, &from, wanted);
	if (from.chosen_at)
		unknown_connection(l, &from, from.chosen_at, "snowflake.connection");
	l->conf->snowflake_connection = from.chosen ? from.chosen : "";
	if (!conf_connection(l->conf, NULL))
		l->conf->snowflake_connection = "";
	resolve_policies(l, &from, wanted);
	if (from.map)
		node_wipe(from.map);
	if (l->faults->no_connection && !l->bad)
		conf_warn(l, at, "snowflake.connection",
			  "no usable connection to Snowflake%s%s; give one under snowflake.connections, or in "
			  "~/.snowflake/connections.toml, or set SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER, "
			  "SNOWFLAKE_AUTHENTICATOR=snowflake_jwt and SNOWFLAKE_PRIVATE_KEY_PATH",
			  from.chosen && l->conf->connections_n ? " by the name of " : "",
			  from.chosen && l->conf->connections_n ? from.chosen : "");
}

/* Everything behind the file. Takes the arenas of `l` in any case. */
static const struct conf *finish(struct loading *l, struct node *root, const char *file)
{
	if (root) {
		const struct node **wanted = NULL;
		l->conf = conf_need(l->arena, sizeof(*l->conf));
		l->conf->arena = l->arena;
		l->conf->users = conf_need(l->arena, sizeof(*l->conf->users));
		l->conf->file = file ? conf_keep(l->arena, file) : NULL;
		overlay_environment(l, root);
		check_names(l, root);
		read_settings(l, root);
		limits_read(l, node_get(root, "limits"));
		cortex_read(l, node_get(root, "cortex"));
		policies_read(l, node_get(root, "policies"), &wanted);
		read_connections(l, root, wanted);
		cortex_check(l, node_get(root, "cortex"));
		conf_check(l, root);
		node_wipe(root);
	}
	arena_free(TAKE(l->scratch));
	if (root && l->faults->n == 0)
		return l->conf;
	if (l->conf)
		conf_free(l->conf);
	else
		arena_free(l->arena);
	return NULL;
}

static struct loading loading_new(struct conf_faults *faults)
{
	*faults = (struct conf_faults){0};
	return (struct loading){
	    .faults = faults, .scratch = arena_new(CONF_ARENA_BYTES), .arena = arena_new(CONF_ARENA_BYTES)};
}

/* The file to read where none is named; NULL: there is none. One that is there and cannot be read is not passed by. */
static const char *find_file(void)
{
	static const char *const places[] = {"./snowgate.yaml", "/etc/snowgate/snowgate.yaml"};
	const char *named = getenv("SNOWGATE_CONFIG");
	if (named && *named)
		return named;
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (access(places[i], F_OK) == 0)
			return places[i];
	return NULL;
}

const struct conf *conf_load(const char *file, struct conf_faults *faults)
{
	struct loading l = loading_new(faults);
	file = file ? file : find_file();
	struct node *root = file ? yaml_load(&l, file) : node_new(&l, NODE_MAP, "defaults", 0);
	return finish(&l, root, file);
}

const struct conf *conf_load_bytes(struct slice yaml, struct conf_faults *faults)
{
	struct loading l = loading_new(faults);
	l.sealed = true;
	struct node *root = yaml_parse(&l, yaml, "memory");
	if (root)
		root = yaml_include(&l, root, "memory", 0);
	return finish(&l, root, NULL);
}

void conf_faults_free(struct conf_faults *faults)
{
	arena_free(faults->arena);
	*faults = (struct conf_faults){0};
}

static void wipe(const char *secret)
{
	if (secret)
		crypt_wipe((char *)secret, strlen(secret));
}

void conf_free(const struct conf *conf)
{
	if (!conf)
		return;
	for (size_t i = 0; i < conf->connections_n; i++)
		connection_wipe(&conf->connections[i]);
	for (size_t i = 0; i < settings_n; i++)
		if (settings[i].flags & SECRET)
			wipe(*(const char *const *)((const char *)conf + settings[i].offset));
	arena_free(conf->arena);
}

const struct connection *conf_connection(const struct conf *conf, const char *name)
{
	if (!name)
		name = conf->snowflake_connection;
	for (size_t i = 0; i < conf->connections_n; i++)
		if (strcmp(conf->connections[i].name, name) == 0)
			return &conf->connections[i];
	return NULL;
}

bool texts_have(struct texts t, const char *text)
{
	for (size_t i = 0; i < t.n; i++)
		if (strcmp(t.v[i], text) == 0)
			return true;
	return false;
}

/* Whether * (any run) and ? (one byte) of `pattern` can be filled to give `text`. Linear but for one backtrack. */
static bool glob_fits(const char *pattern, const char *text)
{
	const char *star = NULL, *retry = NULL;
	while (*text) {
		if (*pattern == '*') {
			star = pattern++;
			retry = text;
		} else if (*pattern == '?' || *pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star + 1;
			text = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

static bool any_fits(struct texts patterns, const char *text)
{
	for (size_t i = 0; i < patterns.n; i++)
		if (*text && glob_fits(patterns.v[i], text))
			return true;
	return false;
}

const struct policy *conf_policy(const struct conf *conf, const struct principal *p)
{
	for (size_t i = 0; i < conf->policies_n; i++) {
		const struct policy *policy = &conf->policies[i];
		if ((!policy->principals.n && !policy->groups.n) || any_fits(policy->principals, p->subject) ||
		    any_fits(policy->groups, p->group))
			return policy;
	}
	return NULL;
}
