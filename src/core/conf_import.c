/* Reads a configuration file of Snowflake's own MCP server and says the same in ours. */
#include <string.h>
#include "conf_internal.h"
#include "snowgate/json.h"

#define SERVICE_TEXT_MAX 1000

/* What one of its types of statement is here. Its types are those of its parser, seen at a statement's root. */
static const struct permission {
	const char *name;
	unsigned class;
	const char *note; /* what is lost where it is allowed; NULL: nothing */
} permissions[] = {
    {"Select", CLASS_READ, NULL},
    {"Describe", CLASS_METADATA, NULL},
    {"Show", CLASS_METADATA, NULL},
    {"Command", CLASS_METADATA,
     "there it also covers CALL, GRANT, EXECUTE and whatever its parser does not know; here only SHOW and EXPLAIN"},
    {"Use", 0, NULL},
    {"Set", 0, NULL},
    {"Insert", CLASS_DML, NULL},
    {"Update", CLASS_DML, NULL},
    {"Delete", CLASS_DML, NULL},
    {"Merge", CLASS_DML, NULL},
    {"TruncateTable", CLASS_DML, NULL},
    {"Create", CLASS_DDL, NULL},
    {"Alter", CLASS_DDL, NULL},
    {"Drop", CLASS_DDL, NULL},
    {"Comment", CLASS_DDL, NULL},
    {"Grant", CLASS_DCL, NULL},
    {"Revoke", CLASS_DCL, NULL},
    {"Commit", 0, "a transaction is one text of several statements here; add the class script to allow that"},
    {"Rollback", 0, "a transaction is one text of several statements here; add the class script to allow that"},
    {"Transaction", 0, "a transaction is one text of several statements here; add the class script to allow that"},
    {"Copy", 0, "COPY is not offered"},
    {"Call", 0, "CALL is not offered"},
    {"Unknown", 0, "what cannot be classified is always refused here"},
};
/* Of each type: not mentioned, allowed, denied. */
enum word { UNSAID, ALLOWED, DENIED };

struct import {
	struct loading *l;
	const struct node *root;
	enum word said[ARRAY_LEN(permissions)];
	const struct node *at; /* the list of permissions */
	unsigned statements, toolsets;
	struct buf *out, names; /* of the services, as a list's items */
	bool agents;            /* there are some */
};

/* ---- scalars ---- */

static bool bool_read(struct loading *l, const struct node *value, const char *path, bool *out)
{
	static const char *const words[] = {"true", "yes", "on", "false", "no", "off"};
	for (size_t i = 0; value->kind == NODE_SCALAR && i < ARRAY_LEN(words); i++)
		if (strcasecmp(value->text, words[i]) == 0) {
			*out = i < 3;
			return true;
		}
	conf_fault(l, value, path, "must be True or False, not %s", node_shown(l, value));
	return false;
}

/* The text of a required key; NULL and a fault where it is none. */
static const char *text_need(struct loading *l, const struct node *map, const char *key, const char *path)
{
	const struct node *value = node_get(map, key);
	if (node_is_null(value)) {
		conf_fault(l, map, path, "needs the key %s", key);
		return NULL;
	}
	return scalar_check(l, value, conf_text(l, "%s.%s", path, key), "a text") ? value->text : NULL;
}

static void warn_unknown(struct loading *l, const struct node *map, const char *path, const struct names *names)
{
	for (const struct node *n = map->first; n; n = n->next)
		if (!names_have(names, n->key))
			conf_warn(l, n, conf_text(l, "%s%s%s", path, *path ? "." : "", n->key),
				  "not a key that the server reads; left out");
}

/* ---- statements ---- */

static void permission_note(struct import *im, const struct node *type)
{
	struct loading *l = im->l;
	const char *path = conf_text(l, "sql_statement_permissions.%.60s", type->key);
	bool allowed;
	if (!bool_read(l, type, path, &allowed))
		return;
	if (strcasecmp(type->key, "All") == 0) {
		for (size_t i = 0; allowed && i < ARRAY_LEN(permissions); i++)
			im->said[i] = im->said[i] == UNSAID ? ALLOWED : im->said[i];
		if (allowed)
			conf_warn(
			    l, type, path,
			    "every statement is allowed there; here those that the guard knows, one to a call: no "
			    "CALL, COPY, PUT or scripting");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(permissions); i++) {
		if (strcasecmp(type->key, permissions[i].name) != 0)
			continue;
		im->said[i] = allowed ? ALLOWED : DENIED;
		if (allowed && permissions[i].note)
			conf_warn(l, type, path, "%s", permissions[i].note);
		return;
	}
	conf_warn(l, type, path,
		  allowed ? "not a type of statement that is known here; left out, so it stays refused"
			  : "not a type of statement that is known here; refused in any case");
}

/* "Insert, Update", of those types of a class about which the file says this. */
static const char *types_told(struct import *im, unsigned class, enum word word)
{
	const char *text = "";
	for (size_t i = 0; i < ARRAY_LEN(permissions); i++)
		if (permissions[i].class == class && im->said[i] == word)
			text = conf_text(im->l, "%s%s%s", text, *text ? ", " : "", permissions[i].name);
	return text;
}

/* A class comes as a whole: it is given where nothing of it is denied in so many words. */
static void class_decide(struct import *im, size_t i)
{
	const char *allowed = types_told(im, 1u << i, ALLOWED), *denied = types_told(im, 1u << i, DENIED);
	const char *unsaid = types_told(im, 1u << i, UNSAID);
	if (!*allowed)
		return;
	if (*denied) {
		conf_warn(im->l, im->at, "sql_statement_permissions",
			  "%s allowed and %s denied, but here %s is one class: left out; add it to statements to allow "
			  "all of it",
			  allowed, denied, statement_names[i]);
		return;
	}
	im->statements |= 1u << i;
	if (*unsaid && (1u << i) & (CLASS_DML | CLASS_DDL | CLASS_DCL))
		conf_warn(im->l, im->at, "sql_statement_permissions",
			  "%s allowed, so the class %s is; it also allows %s", allowed, statement_names[i], unsaid);
}

static void permissions_read(struct import *im)
{
	const struct node *list = node_get(im->root, "sql_statement_permissions");
	im->at = list ? list : im->root;
	if (!node_is_null(list) && list->kind == NODE_SCALAR) {
		conf_fault(im->l, list, "sql_statement_permissions", "must be a list, as `- Select: True`");
		return;
	}
	/* A list of maps of one member each; a map of all is read as well. */
	for (const struct node *item = node_is_null(list) ? NULL : list->first; item; item = item->next) {
		if (list->kind == NODE_MAP)
			permission_note(im, item);
		else if (item->kind != NODE_MAP)
			conf_fault(im->l, item, "sql_statement_permissions", "must be a list, as `- Select: True`");
		else
			for (const struct node *type = item->first; type; type = type->next)
				permission_note(im, type);
	}
	for (size_t i = 0; i < ARRAY_LEN(statement_names); i++)
		class_decide(im, i);
	if (!im->statements) {
		im->statements = CLASS_METADATA;
		conf_warn(im->l, im->at, "sql_statement_permissions",
			  "no statement is allowed; metadata is what the tools need to list and describe");
	}
}

/* ---- tools ---- */

static bool group_is_on(struct import *im, const char *key)
{
	const struct node *groups = node_get(im->root, "other_services"), *value = node_get(groups, key);
	bool on = false;
	return !node_is_null(value) && bool_read(im->l, value, conf_text(im->l, "other_services.%s", key), &on) && on;
}

static void groups_read(struct import *im)
{
	static const struct names names = {3, {"object_manager", "query_manager", "semantic_manager"}};
	const struct node *groups = node_get(im->root, "other_services");
	bool objects, query;
	if (!node_is_null(groups) && groups->kind != NODE_MAP)
		conf_fault(im->l, groups, "other_services", "must be a section, as `query_manager: True`");
	else if (!node_is_null(groups))
		warn_unknown(im->l, groups, "other_services", &names);
	objects = group_is_on(im, "object_manager");
	query = group_is_on(im, "query_manager");
	if (objects || query)
		im->toolsets |= TOOLSET_LABS;
	if (group_is_on(im, "semantic_manager"))
		im->toolsets |= TOOLSET_SEMANTIC;
	if (objects)
		conf_warn(
		    im->l, node_get(groups, "object_manager"), "other_services.object_manager",
		    "list_objects and describe_object are there; to create and drop, send CREATE and DROP as SQL");
	if (objects != query)
		conf_warn(im->l, groups, "other_services",
			  "object_manager and query_manager are one toolset here, snowflake-labs: both come");
}

/* ---- services ---- */

static void write_pair(struct buf *b, const char *indent, const char *key, const char *text)
{
	buf_addf(b, "%s%s: ", indent, key);
	json_write_string(b, text, strlen(text));
	buf_addc(b, '\n');
}

static void write_description(struct import *im, const struct node *map, const char *path)
{
	const struct node *value = node_get(map, "description");
	const char *text;
	size_t n;
	if (node_is_null(value) || !scalar_check(im->l, value, conf_text(im->l, "%s.description", path), "a text"))
		return;
	text = value->text;
	for (n = strlen(text); n && strchr(" \t\r\n", text[n - 1]); n--)
		;
	if (n > SERVICE_TEXT_MAX) {
		conf_warn(im->l, value, conf_text(im->l, "%s.description", path), "cut to %d bytes", SERVICE_TEXT_MAX);
		for (n = SERVICE_TEXT_MAX; n && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
			;
	}
	write_pair(im->out, "      ", "description", conf_text(im->l, "%.*s", (int)n, text));
}

/* Columns and limit of a search service, which older files have. */
static void write_search(struct import *im, const struct node *map, const char *path)
{
	const struct node *columns = node_get(map, "columns"), *limit = node_get(map, "limit");
	struct texts texts = {0, NULL};
	int64_t n;
	if (columns && !texts_read(im->l, columns, conf_text(im->l, "%s.columns", path), 64, &texts))
		return;
	for (size_t i = 0; i < texts.n; i++) {
		buf_adds(im->out, i ? ", " : "      columns: [");
		json_write_string(im->out, texts.v[i], strlen(texts.v[i]));
	}
	if (texts.n)
		buf_adds(im->out, "]\n");
	if (node_is_null(limit))
		return;
	if (limit->kind == NODE_SCALAR && parse_int(limit->text, 1, 1000, &n))
		buf_addf(im->out, "      limit: %lld\n", (long long)n);
	else
		conf_fault(im->l, limit, conf_text(im->l, "%s.limit", path), "must be a whole number from 1 to 1000");
}

static void write_model(struct import *im, const struct node *map, const char *path)
{
	const char *model = text_need(im->l, map, "semantic_model", path);
	if (model)
		write_pair(im->out, "      ", *model == '@' ? "semantic_model" : "semantic_view", model);
}

/* The text of a required key that must be an identifier; NULL and a fault where it is none. */
static const char *ident_need(struct loading *l, const struct node *map, const char *key, const char *path)
{
	const char *text = text_need(l, map, key, path);
	return text && ident_fold(l, node_get(map, key), conf_text(l, "%s.%s", path, key), true) ? text : NULL;
}

static void write_object(struct import *im, const struct node *map, const char *key, const char *path)
{
	const char *database = ident_need(im->l, map, "database_name", path);
	const char *schema = ident_need(im->l, map, "schema_name", path);
	const char *name = ident_need(im->l, map, "service_name", path);
	if (!database || !schema || !name)
		return;
	write_pair(im->out, "      ", "database", database);
	write_pair(im->out, "      ", "schema", schema);
	write_pair(im->out, "      ", key, name);
}

/* Names of theirs are unique in their kind, of ours in all. */
static void name_note(struct import *im, const struct node *map, const char *name, const char *path)
{
	struct buf quoted = buf_with_ceiling(CONF_FILE_BYTES);
	json_write_string(&quoted, name, strlen(name));
	if (strstr(buf_text(&im->names), buf_text(&quoted)))
		conf_fault(im->l, map, conf_text(im->l, "%s.service_name", path),
			   "another service has the name %s; give one of them another", name);
	buf_addf(&im->names, "%s%s", im->names.n ? ", " : "", buf_text(&quoted));
	buf_free(&quoted);
}

static void service_import(struct import *im, const struct node *map, enum cortex_kind kind, const char *path)
{
	static const struct names names[CORTEX_KINDS_N] = {
	    {6, {"service_name", "description", "database_name", "schema_name", "columns", "limit"}},
	    {3, {"service_name", "description", "semantic_model"}},
	    {4, {"service_name", "description", "database_name", "schema_name"}},
	};
	const char *name;
	if (map->kind != NODE_MAP) {
		conf_fault(im->l, map, path, "must be a section, as `service_name: ...`");
		return;
	}
	warn_unknown(im->l, map, path, &names[kind]);
	name = text_need(im->l, map, "service_name", path);
	if (!name || !name_check(im->l, map, name, conf_text(im->l, "%s.service_name", path)))
		return;
	write_pair(im->out, "    - ", "name", name);
	name_note(im, map, name, path);
	im->agents |= kind == CORTEX_AGENT;
	write_description(im, map, path);
	if (kind == CORTEX_ANALYST)
		write_model(im, map, path);
	else
		write_object(im, map, kind == CORTEX_AGENT ? "agent" : "service", path);
	if (kind == CORTEX_SEARCH)
		write_search(im, map, path);
}

static void services_import(struct import *im)
{
	static const char *const keys[CORTEX_KINDS_N] = {"search_services", "analyst_services", "agent_services"};
	for (int kind = 0; kind < CORTEX_KINDS_N; kind++) {
		const struct node *list = node_get(im->root, keys[kind]);
		size_t n = 0;
		if (node_is_null(list))
			continue;
		if (list->kind != NODE_LIST) {
			conf_fault(im->l, list, keys[kind],
				   "must be a list: each service starts with `- service_name: ...`");
			continue;
		}
		if (list->first)
			buf_addf(im->out, "%s  %s:\n", im->toolsets & TOOLSET_CORTEX ? "" : "cortex:\n",
				 cortex_lists[kind]);
		im->toolsets |= list->first ? TOOLSET_CORTEX : 0;
		for (const struct node *item = list->first; item; item = item->next)
			service_import(im, item, (enum cortex_kind)kind, conf_text(im->l, "%s.%zu", keys[kind], ++n));
	}
}

/* ---- the whole ---- */

static void write_names(struct buf *b, const char *key, unsigned bits, const char *const names[], size_t n)
{
	const char *between = "";
	buf_addf(b, "    %s: [", key);
	for (size_t i = 0; i < n; i++)
		if (bits & 1u << i) {
			buf_addf(b, "%s%s", between, names[i]);
			between = ", ";
		}
	buf_adds(b, "]\n");
}

static void import_write(struct import *im)
{
	static const struct names names = {
	    5,
	    {"agent_services", "search_services", "analyst_services", "other_services", "sql_statement_permissions"}};
	warn_unknown(im->l, im->root, "", &names);
	buf_adds(
	    im->out,
	    "# For snowgate.yaml: what a configuration of Snowflake's own MCP server says, in snowgate's words.\n");
	services_import(im);
	groups_read(im);
	permissions_read(im);
	if (!im->toolsets) {
		im->toolsets = TOOLSET_LABS;
		conf_warn(im->l, im->root, "other_services",
			  "no service is on; the toolset is snowflake-labs, so that there is one");
	}
	buf_adds(im->out, "policies:\n  - name: imported\n");
	write_names(im->out, "statements", im->statements, statement_names, ARRAY_LEN(statement_names));
	write_names(im->out, "toolsets", im->toolsets, toolset_names, ARRAY_LEN(toolset_names));
	if (im->agents) /* they are there only for a policy that names them */
		buf_addf(im->out, "    cortex: [%s]\n", buf_text(&im->names));
}

static struct slice import_read(struct loading *l, const char *file)
{
	struct node at = {.file = file};
	int error;
	struct slice text = conf_read_file(l, file, CONF_FILE_BYTES, &error);
	if (!text.data)
		conf_fault(l, &at, "", "cannot read it: %s", conf_read_error(error));
	return text;
}

/* Of a file; or, where that is NULL, of bytes in memory. */
static bool import(const char *file, struct slice yaml, struct buf *out, struct conf_faults *faults)
{
	struct loading l = {.faults = faults};
	struct import im = {.l = &l, .names = buf_with_ceiling(CONF_FILE_BYTES)};
	struct buf text = buf_with_ceiling(CONF_FILE_BYTES);
	bool good;
	*faults = (struct conf_faults){0};
	l.scratch = arena_new(CONF_ARENA_BYTES);
	l.arena = arena_new(CONF_ARENA_BYTES);
	l.sealed = !file;
	if (file)
		yaml = import_read(&l, file);
	im.root = yaml.data ? yaml_parse(&l, yaml, file ? file : "memory") : NULL;
	if (file)
		secret_free(yaml);
	im.out = &text;
	if (im.root)
		import_write(&im);
	good = im.root && !faults->n && !buf_failed(&text) && !buf_failed(&im.names) && buf_add(out, text.data, text.n);
	buf_free(&text);
	buf_free(&im.names);
	arena_free(l.scratch);
	arena_free(l.arena);
	return good;
}

bool conf_import(const char *file, struct buf *out, struct conf_faults *faults)
{
	return import(file, (struct slice){NULL, 0}, out, faults);
}

bool conf_import_bytes(struct slice yaml, struct buf *out, struct conf_faults *faults)
{
	return import(NULL, yaml, out, faults);
}
