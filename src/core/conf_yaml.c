/* Turns YAML into the configuration's tree: libyaml's events, line numbers, ${VAR} and include:. */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <yaml.h>
#include "conf_internal.h"

#define INCLUDE_DEPTH_MAX 8
#define VARIABLE_NAME_MAX 128

static struct node *read_node(struct loading *l, yaml_parser_t *parser, const yaml_event_t *event, const char *file,
			      int depth);

static int line_of(yaml_mark_t mark)
{
	return (int)mark.line + 1;
}

/* One event; false and a fault where the text is not YAML. */
static bool next_event(struct loading *l, yaml_parser_t *parser, const char *file, yaml_event_t *event)
{
	if (yaml_parser_parse(parser, event))
		return true;
	struct node at = {.file = file, .line = line_of(parser->problem_mark)};
	conf_fault(l, &at, "", "not valid YAML: %s%s%s", parser->problem ? parser->problem : "unreadable",
		   parser->context ? ", " : "", parser->context ? parser->context : "");
	return false;
}

/* Appends the value of the variable in `spec` (NAME or NAME:-otherwise) to `out`. */
static bool expand_variable(struct loading *l, const struct node *at, const char *path, struct slice spec,
			    struct buf *out)
{
	char name[VARIABLE_NAME_MAX];
	size_t n = 0;
	while (n < spec.n && n < sizeof(name) - 1 && (isalnum((unsigned char)spec.data[n]) || spec.data[n] == '_')) {
		name[n] = spec.data[n];
		n++;
	}
	name[n] = '\0';
	bool otherwise = spec.n >= n + 2 && spec.data[n] == ':' && spec.data[n + 1] == '-';
	if (!n || (n < spec.n && !otherwise)) {
		conf_fault(l, at, path,
			   "${...} needs the name of an environment variable, as ${NAME} or ${NAME:-otherwise}; a "
			   "literal ${ is written $${");
		return false;
	}
	const char *value = conf_getenv(l, name);
	if (otherwise && (!value || !*value))
		return buf_add(out, spec.data + n + 2, spec.n - n - 2);
	if (value)
		return buf_adds(out, value);
	conf_fault(l, at, path, "the environment variable %s is not set; set it, or write ${%s:-otherwise}", name,
		   name);
	return false;
}

/* Replaces the ${...} or $${ at `dollar`; what follows it, or NULL after a fault. */
static const char *expand_one(struct loading *l, const struct node *n, const char *path, const char *dollar,
			      struct buf *out)
{
	const char *end = strchr(dollar, '}');
	if (!end) {
		conf_fault(l, n, path, "${ without its }; a literal ${ is written $${");
		return NULL;
	}
	struct slice spec = {dollar + 2, (size_t)(end - dollar - 2)};
	return expand_variable(l, n, path, spec, out) ? end + 1 : NULL;
}

/* Replaces each ${...} in the text of `n`; what comes out is never shown. */
static bool expand_scalar(struct loading *l, struct node *n, const char *path)
{
	const char *p = n->text, *dollar;
	if (!strstr(p, "${"))
		return true;
	struct buf out = buf_with_ceiling(CONF_FILE_BYTES);
	while (p && (dollar = strstr(p, "${"))) {
		bool literal = dollar > p && dollar[-1] == '$';
		buf_add(&out, p, (size_t)(dollar - p) - literal);
		if (literal)
			buf_adds(&out, "${");
		else
			n->hidden = true;
		p = literal ? dollar + 2 : expand_one(l, n, path, dollar, &out);
	}
	bool good = p && buf_adds(&out, p) && node_set_text(l, n, buf_text(&out), out.n);
	if (buf_failed(&out))
		conf_fault(l, n, path, "the text is longer than %zu bytes with its variables", CONF_FILE_BYTES);
	buf_free(&out);
	return good;
}

static bool expand(struct loading *l, struct node *n, const char *path)
{
	bool good = n->kind != NODE_SCALAR || expand_scalar(l, n, path);
	int index = 0;
	for (struct node *child = n->first; child; child = child->next) {
		index++;
		const char *dot = *path ? "." : "";
		const char *below = child->key ? conf_text(l, "%.200s%s%.100s", path, dot, child->key)
					       : conf_text(l, "%.200s%s%d", path, dot, index);
		good = expand(l, child, below) && good;
	}
	return good;
}

static struct node *read_scalar(struct loading *l, const yaml_event_t *event, const char *file)
{
	struct node *n = node_new(l, NODE_SCALAR, file, line_of(event->start_mark));
	const char *text = (const char *)event->data.scalar.value;
	if (!n)
		return NULL;
	n->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	if (memchr(text, '\0', event->data.scalar.length)) {
		conf_fault(l, n, "", "a text may not hold a NUL character");
		return NULL;
	}
	if (!node_set_text(l, n, text, event->data.scalar.length))
		return NULL;
	return n;
}

static struct node *read_list(struct loading *l, yaml_parser_t *parser, const yaml_event_t *start, const char *file,
			      int depth)
{
	struct node *list = node_new(l, NODE_LIST, file, line_of(start->start_mark));
	yaml_event_t event;
	while (list && next_event(l, parser, file, &event)) {
		bool end = event.type == YAML_SEQUENCE_END_EVENT;
		struct node *child = end ? NULL : read_node(l, parser, &event, file, depth + 1);
		yaml_event_delete(&event);
		if (end)
			return list;
		if (!child)
			return NULL;
		node_append(list, child);
	}
	return NULL;
}

/* The key of a map's next member; NULL at its end (*end) or on a fault. */
static struct node *read_key(struct loading *l, yaml_parser_t *parser, const struct node *map, bool *end)
{
	yaml_event_t event;
	struct node *key = NULL;
	if (!next_event(l, parser, map->file, &event))
		return NULL;
	*end = event.type == YAML_MAPPING_END_EVENT;
	struct node at = {.file = map->file, .line = line_of(event.start_mark)};
	if (event.type == YAML_SCALAR_EVENT)
		key = read_scalar(l, &event, map->file);
	else if (!*end)
		conf_fault(l, &at, "", "a key must be a plain word");
	yaml_event_delete(&event);
	const struct node *twin = key ? node_get(map, key->text) : NULL;
	if (!twin)
		return key;
	conf_fault(l, key, key->text, "given twice in the same section, first on line %d; keep one", twin->line);
	return NULL;
}

static struct node *read_map(struct loading *l, yaml_parser_t *parser, const yaml_event_t *start, const char *file,
			     int depth)
{
	struct node *map = node_new(l, NODE_MAP, file, line_of(start->start_mark));
	bool end = false;
	while (map) {
		struct node *key = read_key(l, parser, map, &end);
		if (!key)
			return end ? map : NULL;
		yaml_event_t event;
		if (!next_event(l, parser, file, &event))
			return NULL;
		struct node *value = read_node(l, parser, &event, file, depth + 1);
		yaml_event_delete(&event);
		if (!value)
			return NULL;
		value->key = key->text;
		if (value->kind != NODE_SCALAR || node_is_null(value))
			value->line = key->line;
		node_append(map, value);
	}
	return NULL;
}

static bool plain_enough(struct loading *l, const yaml_event_t *event, const struct node *at, int depth)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;
	if (event->type == YAML_SCALAR_EVENT) {
		anchor = event->data.scalar.anchor;
		tag = event->data.scalar.tag;
	} else if (event->type == YAML_SEQUENCE_START_EVENT) {
		anchor = event->data.sequence_start.anchor;
		tag = event->data.sequence_start.tag;
	} else if (event->type == YAML_MAPPING_START_EVENT) {
		anchor = event->data.mapping_start.anchor;
		tag = event->data.mapping_start.tag;
	}
	if (anchor || event->type == YAML_ALIAS_EVENT)
		conf_fault(l, at, "",
			   "anchors and aliases (& and *) are not taken; put a name that starts so in quotes");
	else if (tag)
		conf_fault(l, at, "", "tags (!) are not taken; put a text that starts so in quotes");
	else if (depth > CONF_DEPTH_MAX)
		conf_fault(l, at, "", "nested deeper than %d", CONF_DEPTH_MAX);
	else
		return true;
	return false;
}

static struct node *read_node(struct loading *l, yaml_parser_t *parser, const yaml_event_t *event, const char *file,
			      int depth)
{
	struct node at = {.file = file, .line = line_of(event->start_mark)};
	if (!plain_enough(l, event, &at, depth))
		return NULL;
	if (event->type == YAML_SEQUENCE_START_EVENT)
		return read_list(l, parser, event, file, depth);
	if (event->type == YAML_MAPPING_START_EVENT)
		return read_map(l, parser, event, file, depth);
	return read_scalar(l, event, file);
}

/* The one document of the stream; an empty one is an empty map. */
static struct node *read_document(struct loading *l, yaml_parser_t *parser, const char *file)
{
	yaml_event_t event;
	struct node *root = NULL;
	bool good = true, more = true;
	while (good && more && next_event(l, parser, file, &event)) {
		struct node at = {.file = file, .line = line_of(event.start_mark)};
		more = event.type != YAML_STREAM_END_EVENT;
		if (event.type == YAML_DOCUMENT_START_EVENT && root) {
			conf_fault(l, &at, "", "a configuration is one document; remove the line ---");
			good = false;
		} else if (event.type == YAML_SCALAR_EVENT || event.type == YAML_ALIAS_EVENT ||
			   event.type == YAML_SEQUENCE_START_EVENT || event.type == YAML_MAPPING_START_EVENT) {
			root = read_node(l, parser, &event, file, 0);
			good = root != NULL;
		}
		yaml_event_delete(&event);
	}
	if (!good || more)
		return NULL;
	if (node_is_null(root))
		return node_new(l, NODE_MAP, file, 1);
	if (root->kind == NODE_MAP)
		return root;
	conf_fault(l, root, "", "a configuration is a list of sections: `listen:` and so on");
	return NULL;
}

struct node *yaml_parse(struct loading *l, struct slice text, const char *file)
{
	yaml_parser_t parser;
	if (!yaml_parser_initialize(&parser))
		abort(); /* out of memory, as xalloc() */
	yaml_parser_set_input_string(&parser, (const unsigned char *)text.data, text.n);
	struct node *root = read_document(l, &parser, file);
	yaml_parser_delete(&parser);
	return root && expand(l, root, "") ? root : NULL;
}

static struct node *load_file(struct loading *l, const char *path, const struct node *at, int depth)
{
	int error;
	struct node here = {.file = path};
	if (++l->files_n > CONF_FILES_MAX || depth > INCLUDE_DEPTH_MAX) {
		conf_fault(l, at, "include", "more than %d files, or deeper than %d; does a file include itself?",
			   CONF_FILES_MAX, INCLUDE_DEPTH_MAX);
		return NULL;
	}
	struct slice text = conf_read_file(l, path, CONF_FILE_BYTES, &error);
	if (!text.data) {
		conf_fault(l, at ? at : &here, at ? "include" : "", "cannot read %s: %s", path, conf_read_error(error));
		return NULL;
	}
	struct node *root = NULL;
	if (file_check_mode(l, path, false, &here, ""))
		root = yaml_parse(l, text, path);
	secret_free(text);
	if (root && node_holds_secret(root))
		file_check_mode(l, path, true, &here, "");
	return root ? yaml_include(l, root, path, depth) : NULL;
}

/* Merges the file named by `name` into `base`. */
static bool include_one(struct loading *l, struct node *base, const struct node *name, const char *file, int depth)
{
	if (name->kind != NODE_SCALAR || !*name->text) {
		conf_fault(l, name, "include", "must be the name of a YAML file, or a list of names");
		return false;
	}
	struct node *more = load_file(l, path_resolve(l, name->text, file), name, depth + 1);
	if (more)
		node_merge(base, more);
	return more != NULL;
}

struct node *yaml_include(struct loading *l, struct node *root, const char *file, int depth)
{
	const struct node *include = node_get(root, "include");
	if (!include)
		return root;
	node_remove(root, "include");
	struct node *base = node_new(l, NODE_MAP, file, 1);
	bool good = base != NULL;
	if (good && include->kind == NODE_LIST)
		for (const struct node *n = include->first; n; n = n->next)
			good = include_one(l, base, n, file, depth) && good;
	else if (good && !node_is_null(include))
		good = include_one(l, base, include, file, depth);
	if (!good)
		return NULL;
	node_merge(base, root);
	return base;
}

struct node *yaml_load(struct loading *l, const char *path)
{
	return load_file(l, path, NULL, 0);
}
