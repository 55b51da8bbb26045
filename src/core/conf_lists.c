/* Reads the lists of the configuration: limit profiles and policies, and the identifiers in them. */
#include <string.h>
#include "conf_internal.h"
#include "snowgate/json.h"

#define PROFILES_MAX     256
#define POLICIES_MAX     1000
#define POLICY_TEXTS_MAX 256
#define IDENT_MAX        255

const char *const statement_names[6] = {"read", "metadata", "dml", "ddl", "dcl", "script"};
const char *const toolset_names[5] = {"core", "classic", "snowflake-labs", "semantic", "cortex"};

static bool ident_is_plain(const char *text)
{
	static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
	if (!*text || !strchr(first, *text))
		return false;
	for (; *text; text++)
		if (!strchr(first, *text) && !strchr("0123456789$", *text))
			return false;
	return true;
}

/* "My ""Wh""" without its quotes; false where they do not match. */
static bool ident_unquote(const char *text, char *out)
{
	size_t n = strlen(text), at = 0;
	if (n < 3 || text[n - 1] != '"')
		return false;
	for (size_t i = 1; i < n - 1; i++) {
		if (text[i] == '"' && (i + 1 >= n - 1 || text[++i] != '"'))
			return false;
		out[at++] = text[i];
	}
	out[at] = '\0';
	return true;
}

const char *ident_fold(struct loading *l, const struct node *value, const char *path, bool strict)
{
	char out[2 * IDENT_MAX + 3];
	if (!scalar_check(l, value, path, "a name"))
		return NULL;
	const char *text = value->text;
	if (strlen(text) > IDENT_MAX + 2 || !*text) {
		conf_fault(l, value, path, "must be a name of 1 to %d characters", IDENT_MAX);
		return NULL;
	}
	if (*text == '"') {
		if (ident_unquote(text, out))
			return conf_keep(l->arena, out);
		conf_fault(l, value, path, "the double quotes around the name do not match; write '\"My Name\"'");
		return NULL;
	}
	if (strict && !ident_is_plain(text)) {
		conf_fault(l, value, path,
			   "%s is no plain name; with other characters than letters, digits, _ and $ "
			   "write it as '\"My Name\"', quotes of both kinds included",
			   node_shown(l, value));
		return NULL;
	}
	size_t n = strlen(text);
	for (size_t i = 0; i <= n; i++)
		out[i] = text[i] >= 'a' && text[i] <= 'z' ? (char)(text[i] - 'a' + 'A') : text[i];
	return conf_keep(l->arena, out);
}

bool ident_write(struct buf *b, const char *name)
{
	struct buf quoted = buf_with_ceiling(4 * IDENT_MAX);
	bool plain = ident_is_plain(name);
	for (const char *p = name; *p; p++)
		plain = plain && !(*p >= 'a' && *p <= 'z');
	if (plain)
		return buf_adds(b, name);
	buf_addc(&quoted, '"');
	for (const char *p = name; *p; p++) {
		if (*p == '"')
			buf_addc(&quoted, '"');
		buf_addc(&quoted, *p);
	}
	buf_addc(&quoted, '"');
	bool good = !buf_failed(&quoted) && json_write_string(b, quoted.data, quoted.n);
	buf_free(&quoted);
	return good;
}

bool name_check(struct loading *l, const struct node *at, const char *name, const char *path)
{
	size_t n = strlen(name);
	bool good = n >= 1 && n <= 64 && name[0] != ' ' && name[n - 1] != ' ';
	for (const char *p = name; *p; p++)
		good = good && (unsigned char)*p >= ' ' && *p != 0x7f;
	if (!good)
		conf_fault(l, at, path, "a name has 1 to 64 characters and no blank at its ends");
	return good;
}

static void profile_read(struct loading *l, const struct node *map, struct limits *out)
{
	struct names names = {0};
	const char *path = conf_text(l, "limits.%.100s", map->key);
	for (size_t i = 0; i < limit_settings_n; i++)
		names.v[names.n++] = limit_settings[i].key;
	out->name = conf_keep(l->arena, map->key);
	if (!name_check(l, map, map->key, path) || node_is_null(map) || !map_check(l, map, path, &names))
		return;
	for (size_t i = 0; i < limit_settings_n; i++) {
		const struct setting *s = &limit_settings[i];
		const struct node *value = node_get(map, s->key);
		if (!node_is_null(value))
			setting_set(l, s, out, value, conf_text(l, "%s.%s", path, s->key));
	}
}

void limits_read(struct loading *l, const struct node *map)
{
	size_t n = 1;
	bool usable = !node_is_null(map);
	if (usable && map->kind != NODE_MAP) {
		conf_fault(l, map, "limits", "must be a section of profiles, as `default: {calls_per_minute: 600}`");
		usable = false;
	}
	for (const struct node *p = usable ? map->first : NULL; p; p = p->next)
		n++;
	if (n > PROFILES_MAX) {
		conf_fault(l, map, "limits", "at most %d profiles", PROFILES_MAX);
		n = 1;
		usable = false;
	}
	struct limits *v = conf_need(l->arena, sizeof(*v) * n);
	for (size_t i = 0; i < limit_settings_n; i++)
		setting_default(l, &limit_settings[i], &v[0]);
	v[0].name = "default";
	const struct node *own = usable ? node_get(map, "default") : NULL;
	if (own)
		profile_read(l, own, &v[0]);
	l->conf->limits_n = 1;
	l->conf->limits = v;
	/* A profile has the values of `default` where it does not name its own. */
	for (const struct node *p = usable ? map->first : NULL; p; p = p->next) {
		if (p == own)
			continue;
		v[l->conf->limits_n] = v[0];
		profile_read(l, p, &v[l->conf->limits_n++]);
	}
}

static const struct limits *profile_find(struct loading *l, const struct node *value, const char *path)
{
	if (!scalar_check(l, value, path, "the name of a profile"))
		return NULL;
	struct nearest near = nearest_to(value->text);
	for (size_t i = 0; i < l->conf->limits_n; i++) {
		if (strcmp(l->conf->limits[i].name, value->text) == 0)
			return &l->conf->limits[i];
		nearest_try(&near, l->conf->limits[i].name);
	}
	conf_fault(l, value, path, "no profile %s in the section limits%s", node_shown(l, value),
		   nearest_hint(l, &near));
	return NULL;
}

/* A list of names of a fixed set, as bits. */
static unsigned bits_read(struct loading *l, const struct node *value, const char *path, const char *const names[],
			  size_t n)
{
	struct texts texts;
	unsigned bits = 0;
	if (!texts_read(l, value, path, POLICY_TEXTS_MAX, &texts))
		return 0;
	for (size_t i = 0; i < texts.n; i++) {
		struct nearest near = nearest_to(texts.v[i]);
		const char *all = "";
		size_t k = 0;
		while (k < n && strcmp(names[k], texts.v[i]) != 0)
			k++;
		for (size_t j = 0; k == n && j < n; j++) {
			nearest_try(&near, names[j]);
			all = conf_text(l, "%s%s%s", all, j ? ", " : "", names[j]);
		}
		if (k < n)
			bits |= 1u << k;
		else
			conf_fault(l, value, path, "each must be one of %s%s", all, nearest_hint(l, &near));
	}
	if (!texts.n)
		conf_fault(l, value, path, "an empty list allows nothing; leave the key out for the default");
	return bits;
}

/* A scalar or a list of identifiers. */
static struct texts idents_read(struct loading *l, const struct node *value, const char *path)
{
	struct texts texts = {0, NULL};
	if (!texts_read(l, value, path, POLICY_TEXTS_MAX, &texts) || !texts.n)
		return texts;
	const char **v = (const char **)texts.v;
	const struct node *item = value->kind == NODE_LIST ? value->first : value;
	for (size_t i = 0; i < texts.n; i++, item = item->next) {
		const char *folded = ident_fold(l, item, path, true);
		v[i] = folded ? folded : "";
	}
	return texts;
}

static void match_read(struct loading *l, const struct node *map, const char *path, struct policy *out)
{
	static const struct names names = {2, {"principal", "group"}};
	const struct node *value;
	if (node_is_null(map) || !map_check(l, map, path, &names))
		return;
	if ((value = node_get(map, "principal")))
		texts_read(l, value, conf_text(l, "%s.principal", path), POLICY_TEXTS_MAX, &out->principals);
	if ((value = node_get(map, "group")))
		texts_read(l, value, conf_text(l, "%s.group", path), POLICY_TEXTS_MAX, &out->groups);
	if (!out->principals.n && !out->groups.n)
		conf_fault(l, map, path, "matches nobody by name; leave `match` out for a policy that fits everybody");
}

static void roles_read(struct loading *l, const struct node *map, const char *path, struct policy *out)
{
	const struct node *role = node_get(map, "role"), *roles = node_get(map, "roles");
	if (role && roles)
		conf_fault(l, roles, conf_text(l, "%s.roles", path), "role and roles are both given; keep one");
	else if (role && role->kind != NODE_SCALAR)
		conf_fault(l, role, conf_text(l, "%s.role", path), "must be one name; a list goes under `roles`");
	else if (!node_is_null(role))
		out->roles = idents_read(l, role, conf_text(l, "%s.role", path));
	else if (roles)
		out->roles = idents_read(l, roles, conf_text(l, "%s.roles", path));
}

static void policy_values(struct loading *l, const struct node *map, const char *path, struct policy *out)
{
	const struct node *value;
	if (!node_is_null(value = node_get(map, "match")))
		match_read(l, value, conf_text(l, "%s.match", path), out);
	roles_read(l, map, path, out);
	if (!node_is_null(value = node_get(map, "warehouse")))
		out->warehouse = ident_fold(l, value, conf_text(l, "%s.warehouse", path), true);
	if ((value = node_get(map, "databases")))
		out->databases = idents_read(l, value, conf_text(l, "%s.databases", path));
	if (!node_is_null(value = node_get(map, "statements")))
		out->statements = bits_read(l, value, conf_text(l, "%s.statements", path), statement_names,
					    ARRAY_LEN(statement_names));
	if (!node_is_null(value = node_get(map, confirm_setting.key)))
		setting_set(l, &confirm_setting, out, value, conf_text(l, "%s.%s", path, confirm_setting.key));
	if (!node_is_null(value = node_get(map, "toolsets")))
		out->toolsets =
		    bits_read(l, value, conf_text(l, "%s.toolsets", path), toolset_names, ARRAY_LEN(toolset_names));
	if ((value = node_get(map, "cortex")) &&
	    texts_read(l, value, conf_text(l, "%s.cortex", path), POLICY_TEXTS_MAX, &out->cortex))
		cortex_names_check(l, value, conf_text(l, "%s.cortex", path), out->cortex);
	if (!node_is_null(value = node_get(map, "limits")))
		out->limits = profile_find(l, value, conf_text(l, "%s.limits", path));
}

/* One policy; what names its connection goes to *connection. */
static void policy_read(struct loading *l, const struct node *map, size_t number, struct policy *out,
			const struct node **connection)
{
	static const struct names names = {12,
					   {"name", "match", "connection", "role", "roles", "warehouse", "databases",
					    "statements", "confirm", "toolsets", "cortex", "limits"}};
	const struct node *name = node_get(map, "name"), *value = node_get(map, "connection");
	const char *path = conf_text(l, "policies.%zu", number);
	out->name = conf_keep(l->arena, conf_text(l, "policy %zu", number));
	out->statements = CLASS_READ | CLASS_METADATA;
	setting_default(l, &confirm_setting, out);
	out->toolsets = TOOLSET_CORE;
	out->limits = &l->conf->limits[0];
	if (!map_check(l, map, path, &names))
		return;
	if (!node_is_null(name) && scalar_check(l, name, conf_text(l, "%s.name", path), "a name") &&
	    name_check(l, name, name->text, conf_text(l, "%s.name", path))) {
		out->name = conf_keep(l->arena, name->text);
		path = conf_text(l, "policies.%s", name->text);
	}
	if (!node_is_null(value) && scalar_check(l, value, conf_text(l, "%s.connection", path), "a connection's name"))
		*connection = value;
	policy_values(l, map, path, out);
}

static void names_differ(struct loading *l, const struct node *list, const struct policy *v, size_t n)
{
	const struct node *at = list->first;
	for (size_t i = 0; i < n; i++, at = at->next)
		for (size_t j = 0; j < i; j++)
			if (strcmp(v[i].name, v[j].name) == 0) {
				conf_fault(l, at, conf_text(l, "policies.%zu.name", i + 1),
					   "another policy has the name %s", v[i].name);
				break;
			}
}

static void policy_for_everybody(struct loading *l, const struct node ***connections)
{
	struct policy *v = conf_need(l->arena, sizeof(*v));
	*v = (struct policy){.name = "default",
			     .statements = CLASS_READ | CLASS_METADATA,
			     .confirm = CONFIRM_ASK,
			     .toolsets = TOOLSET_CORE,
			     .limits = &l->conf->limits[0]};
	*connections = conf_need(l->scratch, sizeof(**connections));
	l->conf->policies_n = 1;
	l->conf->policies = v;
}

void policies_read(struct loading *l, const struct node *list, const struct node ***connections)
{
	size_t n = 0;
	if (node_is_null(list)) {
		policy_for_everybody(l, connections);
		return;
	}
	for (const struct node *p = list->first; p; p = p->next)
		n++;
	if (list->kind != NODE_LIST)
		conf_fault(l, list, "policies", "must be a list: each policy starts with `- name: ...`");
	else if (!n)
		conf_fault(l, list, "policies",
			   "an empty list would refuse everybody; leave the key out for the default");
	else if (n > POLICIES_MAX)
		conf_fault(l, list, "policies", "at most %d policies", POLICIES_MAX);
	if (list->kind != NODE_LIST || !n || n > POLICIES_MAX) {
		policy_for_everybody(l, connections);
		return;
	}
	struct policy *v = conf_need(l->arena, sizeof(*v) * n);
	*connections = conf_need(l->scratch, sizeof(**connections) * n);
	const struct node *p = list->first;
	for (size_t i = 0; i < n; i++, p = p->next)
		policy_read(l, p, i + 1, &v[i], &(*connections)[i]);
	names_differ(l, list, v, n);
	l->conf->policies_n = n;
	l->conf->policies = v;
}
