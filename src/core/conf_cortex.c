/* Reads the services of Cortex that the configuration offers to clients, and tells which of them a policy may use. */
#include <inttypes.h>
#include <string.h>
#include "conf_internal.h"
#include "snowgate/json.h"

#define SERVICES_MAX     256 /* of one kind */
#define COLUMNS_MAX      64
#define DESCRIPTION_MAX  1000
#define NAME_MAX_BYTES   1024 /* of a name with its quotes and dots */
#define SEARCH_LIMIT     10
#define SEARCH_LIMIT_MAX 1000

const char *const cortex_lists[CORTEX_KINDS_N] = {"search", "analyst", "agents"};
/* What names the object in each. */
static const char *const object_keys[CORTEX_KINDS_N] = {"service", "semantic_view", "agent"};

/* ---- names ---- */

/* Where the part that begins here ends: at a dot outside of double quotes. */
static size_t part_length(const char *text)
{
	bool quoted = false;
	size_t n = 0;
	for (; text[n] && (quoted || text[n] != '.'); n++)
		quoted = quoted != (text[n] == '"');
	return n;
}

/* The parts of `text`, folded; 0 and a fault where it is no name of at most three. */
static size_t parts_read(struct loading *l, const struct node *at, const char *text, const char *path,
			 const char *parts[3])
{
	size_t n = 0;
	for (const char *rest = text;; rest++) {
		size_t length = part_length(rest);
		struct node part = *at;
		if (n == 3 || strlen(text) > NAME_MAX_BYTES) {
			conf_fault(l, at, path, "must be a name of at most three parts, as DATABASE.SCHEMA.NAME");
			return 0;
		}
		part.kind = NODE_SCALAR;
		part.text = conf_text(l, "%.*s", (int)length, rest);
		if (!(parts[n++] = ident_fold(l, &part, path, true)))
			return 0;
		rest += length;
		if (!*rest)
			return n;
	}
}

/* Fills database, schema and object from `text`, and what it leaves out from the keys beside it. */
static bool object_read(struct loading *l, const struct node *map, const struct node *at, const char *text,
			const char *path, struct cortex_service *out)
{
	const struct node *database = node_get(map, "database"), *schema = node_get(map, "schema");
	const char *parts[3];
	size_t n = parts_read(l, at, text, path, parts);
	if (!n)
		return false;
	out->object = parts[n - 1];
	if (n > 1)
		out->schema = parts[n - 2];
	else if (!node_is_null(schema))
		out->schema = ident_fold(l, schema, conf_text(l, "%s.schema", path), true);
	if (n > 2)
		out->database = parts[0];
	else if (!node_is_null(database))
		out->database = ident_fold(l, database, conf_text(l, "%s.database", path), true);
	if (out->database && *out->database && out->schema && *out->schema)
		return true;
	conf_fault(l, at, path,
		   "its database or schema is not given; write DATABASE.SCHEMA.NAME, or name both beside it");
	return false;
}

/* @DB.SCHEMA.STAGE/path.yaml: Analyst takes it as it is; where it lies decides who may use it. */
static bool model_read(struct loading *l, const struct node *model, const char *path, struct cortex_service *out)
{
	const char *slash, *parts[3];
	size_t n;
	if (!scalar_check(l, model, path, "the place of a file"))
		return false;
	slash = strchr(model->text, '/');
	if (*model->text != '@' || !slash || !slash[1] || strlen(model->text) > NAME_MAX_BYTES) {
		conf_fault(l, model, path, "must be a file on a stage, as @DATABASE.SCHEMA.STAGE/model.yaml");
		return false;
	}
	n = parts_read(l, model, conf_text(l, "%.*s", (int)(slash - model->text - 1), model->text + 1), path, parts);
	if (n > 0 && n < 3)
		conf_fault(l, model, path, "must be all of @DATABASE.SCHEMA.STAGE/model.yaml: it is sent as it is");
	if (n < 3)
		return false;
	out->database = parts[0];
	out->schema = parts[1];
	out->object = parts[2];
	out->model = conf_keep(l->arena, model->text);
	return true;
}

/* ---- one service ---- */

static void search_read(struct loading *l, const struct node *map, const char *path, struct cortex_service *out)
{
	const struct node *columns = node_get(map, "columns"), *limit = node_get(map, "limit");
	out->limit = SEARCH_LIMIT;
	if (columns)
		texts_read(l, columns, conf_text(l, "%s.columns", path), COLUMNS_MAX, &out->columns);
	if (!node_is_null(limit) &&
	    (limit->kind != NODE_SCALAR || !parse_int(limit->text, 1, SEARCH_LIMIT_MAX, &out->limit)))
		conf_fault(l, limit, conf_text(l, "%s.limit", path), "must be a whole number from 1 to %d, not %s",
			   SEARCH_LIMIT_MAX, node_shown(l, limit));
}

static void description_read(struct loading *l, const struct node *map, const char *path, struct cortex_service *out)
{
	const struct node *value = node_get(map, "description");
	out->description = "";
	path = conf_text(l, "%s.description", path);
	if (node_is_null(value) || !scalar_check(l, value, path, "a text"))
		return;
	if (strlen(value->text) > DESCRIPTION_MAX)
		conf_fault(l, value, path, "must be a text of at most %d bytes", DESCRIPTION_MAX);
	else
		out->description = conf_keep(l->arena, value->text);
}

/* What it stands for at Snowflake; without a key of its own its name is that. */
static void place_read(struct loading *l, const struct node *map, const char *path, struct cortex_service *out)
{
	const char *key = object_keys[out->kind];
	const struct node *object = node_get(map, key), *model = node_get(map, "semantic_model");
	if (out->kind == CORTEX_ANALYST && !node_is_null(object) == !node_is_null(model)) {
		conf_fault(l, map, path, "needs one of semantic_view and semantic_model");
		return;
	}
	if (!node_is_null(model)) {
		model_read(l, model, conf_text(l, "%s.semantic_model", path), out);
		return;
	}
	object = node_is_null(object) ? node_get(map, "name") : object;
	path = conf_text(l, "%s.%s", path, key);
	if (scalar_check(l, object, path, "a name"))
		object_read(l, map, object, object->text, path, out);
}

static void service_read(struct loading *l, const struct node *map, const char *path, struct cortex_service *out)
{
	static const struct names names[CORTEX_KINDS_N] = {
	    {8, {"name", "description", "connection", "database", "schema", "service", "columns", "limit"}},
	    {7, {"name", "description", "connection", "database", "schema", "semantic_view", "semantic_model"}},
	    {6, {"name", "description", "connection", "database", "schema", "agent"}},
	};
	const struct node *name = node_get(map, "name"), *connection = node_get(map, "connection");
	out->name = out->description = out->database = out->schema = out->object = "";
	if (!map_check(l, map, path, &names[out->kind]))
		return;
	if (node_is_null(name)) {
		conf_fault(l, map, path, "needs a name");
		return;
	}
	if (!scalar_check(l, name, conf_text(l, "%s.name", path), "a name") ||
	    !name_check(l, name, name->text, conf_text(l, "%s.name", path)))
		return;
	out->name = conf_keep(l->arena, name->text);
	description_read(l, map, path, out);
	if (!node_is_null(connection) && scalar_check(l, connection, conf_text(l, "%s.connection", path), "a name"))
		out->connection = conf_keep(l->arena, connection->text);
	place_read(l, map, path, out);
	if (out->kind == CORTEX_SEARCH)
		search_read(l, map, path, out);
}

/* ---- all of them ---- */

static size_t list_length(struct loading *l, const struct node *list, const char *path)
{
	size_t n = 0;
	if (node_is_null(list))
		return 0;
	if (list->kind != NODE_LIST) {
		conf_fault(l, list, path, "must be a list: each service starts with `- name: ...`");
		return 0;
	}
	for (const struct node *p = list->first; p; p = p->next)
		n++;
	if (n <= SERVICES_MAX)
		return n;
	conf_fault(l, list, path, "at most %d services", SERVICES_MAX);
	return 0;
}

static void list_read(struct loading *l, const struct node *list, enum cortex_kind kind, size_t n,
		      struct cortex_service *v)
{
	const struct node *item = n ? list->first : NULL;
	for (size_t i = 0; i < n; i++, item = item->next) {
		const char *path = conf_text(l, "cortex.%s.%zu", cortex_lists[kind], i + 1);
		v[i] = (struct cortex_service){.kind = kind};
		service_read(l, item, path, &v[i]);
		for (const struct cortex_service *k = l->conf->cortex; k < &v[i] && *v[i].name; k++)
			if (strcmp(k->name, v[i].name) == 0)
				conf_fault(l, item, path, "another service has the name %s", v[i].name);
	}
}

void cortex_read(struct loading *l, const struct node *section)
{
	size_t n[CORTEX_KINDS_N], all = 0;
	for (int kind = 0; kind < CORTEX_KINDS_N; kind++)
		all += n[kind] = list_length(l, node_get(section, cortex_lists[kind]),
					     conf_text(l, "cortex.%s", cortex_lists[kind]));
	struct cortex_service *v = conf_need(l->arena, sizeof(*v) * all);
	l->conf->cortex = v;
	l->conf->cortex_n = all;
	for (int kind = 0; kind < CORTEX_KINDS_N; v += n[kind++])
		list_read(l, node_get(section, cortex_lists[kind]), (enum cortex_kind)kind, n[kind], v);
}

static bool is_named(const struct conf *conf, const struct cortex_service *s)
{
	for (size_t i = 0; i < conf->policies_n; i++)
		if (texts_have(conf->policies[i].cortex, s->name))
			return true;
	return false;
}

static void service_check(struct loading *l, const struct node *map, const char *path, const struct cortex_service *s)
{
	const struct node *connection = node_get(map, "connection");
	if (s->connection && l->conf->connections_n && !conf_connection(l->conf, s->connection))
		conf_fault(l, connection, conf_text(l, "%s.connection", path), "no connection has the name %s",
			   s->connection);
	if (s->kind == CORTEX_AGENT && *s->name && !is_named(l->conf, s))
		conf_warn(l, map, path, "nobody can use it: an agent needs a policy that names it under `cortex`");
}

void cortex_check(struct loading *l, const struct node *section)
{
	const struct cortex_service *s = l->conf->cortex, *end = s + l->conf->cortex_n;
	for (int kind = 0; kind < CORTEX_KINDS_N; kind++) {
		const struct node *list = node_get(section, cortex_lists[kind]);
		size_t n = 0;
		for (const struct node *p = list && list->kind == NODE_LIST ? list->first : NULL; p && s < end;
		     p = p->next, s++)
			service_check(l, p, conf_text(l, "cortex.%s.%zu", cortex_lists[kind], ++n), s);
	}
}

void cortex_names_check(struct loading *l, const struct node *value, const char *path, struct texts names)
{
	for (size_t i = 0; i < names.n; i++) {
		struct nearest near = nearest_to(names.v[i]);
		bool known = false;
		for (size_t k = 0; k < l->conf->cortex_n; k++) {
			known = known || strcmp(l->conf->cortex[k].name, names.v[i]) == 0;
			nearest_try(&near, l->conf->cortex[k].name);
		}
		if (!known)
			conf_fault(l, value, path, "item %zu: no service of the section cortex has this name%s", i + 1,
				   nearest_hint(l, &near));
	}
	if (!names.n)
		conf_fault(l, value, path, "an empty list; leave the key out, or the toolset cortex");
}

/* ---- written ---- */

static void write_key(struct buf *b, const char *key, const char *text)
{
	buf_addf(b, "      %s: ", key);
	json_write_string(b, text, strlen(text));
	buf_addc(b, '\n');
}

static void write_ident(struct buf *b, const char *key, const char *name)
{
	buf_addf(b, "      %s: ", key);
	ident_write(b, name);
	buf_addc(b, '\n');
}

static void write_service(struct buf *b, const struct cortex_service *s)
{
	buf_adds(b, "    - name: ");
	json_write_string(b, s->name, strlen(s->name));
	buf_addc(b, '\n');
	if (*s->description)
		write_key(b, "description", s->description);
	if (s->connection)
		write_key(b, "connection", s->connection);
	if (s->model)
		write_key(b, "semantic_model", s->model);
	write_ident(b, "database", s->database);
	write_ident(b, "schema", s->schema);
	if (!s->model)
		write_ident(b, object_keys[s->kind], s->object);
	if (s->kind != CORTEX_SEARCH)
		return;
	for (size_t i = 0; i < s->columns.n; i++) {
		buf_adds(b, i ? ", " : "      columns: [");
		json_write_string(b, s->columns.v[i], strlen(s->columns.v[i]));
	}
	buf_addf(b, "%s      limit: %" PRId64 "\n", s->columns.n ? "]\n" : "", s->limit);
}

bool cortex_write(struct buf *b, const struct conf *conf)
{
	for (int kind = 0; kind < CORTEX_KINDS_N; kind++) {
		bool first = true;
		for (size_t i = 0; i < conf->cortex_n; i++) {
			if (conf->cortex[i].kind != (enum cortex_kind)kind)
				continue;
			if (first)
				buf_addf(b, "  %s:\n", cortex_lists[kind]);
			first = false;
			write_service(b, &conf->cortex[i]);
		}
	}
	return !buf_failed(b);
}

/* ---- read ---- */

bool cortex_allowed(const struct policy *p, const struct cortex_service *s)
{
	bool named = texts_have(p->cortex, s->name);
	if (s->connection && !(p->connection && strcmp(p->connection->name, s->connection) == 0))
		return false;
	return (named || (p->cortex.n == 0 && s->kind != CORTEX_AGENT)) &&
	       (p->databases.n == 0 || texts_have(p->databases, s->database));
}

const struct cortex_service *cortex_find(const struct conf *conf, const struct policy *p, enum cortex_kind kind,
					 const char *name)
{
	for (size_t i = 0; name && i < conf->cortex_n; i++) {
		const struct cortex_service *s = &conf->cortex[i];
		if (s->kind == kind && strcmp(s->name, name) == 0)
			return cortex_allowed(p, s) ? s : NULL;
	}
	return NULL;
}

bool cortex_same(const struct conf *a, const struct conf *b)
{
	if (a->cortex_n != b->cortex_n)
		return false;
	for (size_t i = 0; i < a->cortex_n; i++) {
		const struct cortex_service *x = &a->cortex[i], *y = &b->cortex[i];
		if (x->kind != y->kind || x->limit != y->limit || strcmp(x->name, y->name) != 0 ||
		    strcmp(x->description, y->description) != 0 || strcmp(x->database, y->database) != 0 ||
		    strcmp(x->connection ? x->connection : "", y->connection ? y->connection : "") != 0)
			return false;
	}
	return true;
}
