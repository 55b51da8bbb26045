/* Nodes, names and faults: the ground on which a configuration is read. */
#include <stdio.h>
#include <string.h>
#include "conf_internal.h"
#include "snowgate/crypt.h"

#define FAULTS_MAX        200
#define FAULT_ARENA_BYTES ((size_t)4 << 20)

void *conf_need(struct arena *a, size_t size)
{
	void *memory = arena_alloc(a, size ? size : 1);
	/* The limits of conf_internal.h lie far below the arenas' ceilings. */
	assert(memory);
	return memory;
}

const char *conf_keep(struct arena *a, const char *text)
{
	size_t n = strlen(text) + 1;
	return memcpy(conf_need(a, n), text, n);
}

const char *conf_text(struct loading *l, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *text = arena_vprintf(l->scratch, format, args);
	va_end(args);
	assert(text);
	return text;
}

static bool within_limits(struct loading *l, const char *file, int line, size_t text_bytes)
{
	struct node at = {.file = file, .line = line};
	if (l->nodes_n < CONF_NODES_MAX && l->text_bytes + text_bytes <= CONF_TEXT_BYTES) {
		l->text_bytes += text_bytes;
		return true;
	}
	conf_fault(l, &at, "", "the configuration is too large: at most %zu values and %zu MiB of text; split it up",
		   CONF_NODES_MAX, CONF_TEXT_BYTES >> 20);
	return false;
}

struct node *node_new(struct loading *l, int kind, const char *file, int line)
{
	if (!within_limits(l, file, line, 0))
		return NULL;
	l->nodes_n++;
	struct node *n = conf_need(l->scratch, sizeof(*n));
	n->kind = kind;
	n->file = file;
	n->line = line;
	return n;
}

bool node_set_text(struct loading *l, struct node *n, const char *text, size_t len)
{
	if (!within_limits(l, n->file, n->line, len))
		return false;
	char *copy = conf_need(l->scratch, len + 1);
	memcpy(copy, text, len);
	n->text = copy;
	return true;
}

struct node *node_scalar(struct loading *l, const char *file, int line, const char *key, const char *text)
{
	struct node *n = node_new(l, NODE_SCALAR, file, line);
	if (!n || !node_set_text(l, n, text, strlen(text)))
		return NULL;
	n->key = key;
	n->quoted = true;
	return n;
}

void node_append(struct node *parent, struct node *child)
{
	child->next = NULL;
	if (parent->last)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
}

struct node *node_get(const struct node *map, const char *key)
{
	if (!map || map->kind != NODE_MAP)
		return NULL;
	for (struct node *n = map->first; n; n = n->next)
		if (strcmp(n->key, key) == 0)
			return n;
	return NULL;
}

void node_remove(struct node *map, const char *key)
{
	struct node *before = NULL;
	for (struct node *n = map->first; n; before = n, n = n->next) {
		if (strcmp(n->key, key) != 0)
			continue;
		*(before ? &before->next : &map->first) = n->next;
		if (map->last == n)
			map->last = before;
		return;
	}
}

void node_put(struct node *map, struct node *child)
{
	node_remove(map, child->key);
	node_append(map, child);
}

void node_merge(struct node *base, struct node *over)
{
	struct node *next;
	for (struct node *n = over->first; n; n = next) {
		next = n->next;
		struct node *old = node_get(base, n->key);
		if (old && old->kind == NODE_MAP && n->kind == NODE_MAP)
			node_merge(old, n);
		else
			node_put(base, n);
	}
}

bool node_is_null(const struct node *n)
{
	if (!n)
		return true;
	if (n->kind != NODE_SCALAR || n->quoted)
		return false;
	return !*n->text || strcmp(n->text, "~") == 0 || strcmp(n->text, "null") == 0;
}

void node_wipe(struct node *n)
{
	if (n->kind == NODE_SCALAR && n->text)
		crypt_wipe((char *)n->text, strlen(n->text));
	for (struct node *child = n->first; child; child = child->next)
		node_wipe(child);
}

const char *node_shown(struct loading *l, const struct node *n)
{
	if (n->kind != NODE_SCALAR)
		return n->kind == NODE_LIST ? "a list" : "a section";
	if (n->hidden)
		return "the value of its variable";
	size_t len = strlen(n->text);
	if (len <= 40)
		return conf_text(l, "'%s'", n->text);
	return conf_text(l, "'%.40s...' (%zu bytes)", n->text, len);
}

/* Appends to a list in the faults' arena; a list that is full says so in its last entry. */
static void entry_add(struct arena *a, size_t *n, struct conf_fault **v, struct conf_fault entry)
{
	if (*n >= FAULTS_MAX)
		return;
	if ((*n & (*n - 1)) == 0) { /* 0 or a power of two: full */
		struct conf_fault *grown = conf_need(a, sizeof(*grown) * (*n ? *n * 2 : 1));
		if (*n)
			memcpy(grown, *v, sizeof(*grown) * *n);
		*v = grown;
	}
	if (*n == FAULTS_MAX - 1)
		entry.reason = "there is more like it; correct these first";
	(*v)[(*n)++] = entry;
}

static void PRINTF_LIKE(5, 0) entry_format(struct loading *l, bool warning, const struct node *at, const char *key,
					   const char *format, va_list args)
{
	struct conf_faults *f = l->faults;
	char reason[1024];
	if (!f->arena)
		f->arena = arena_new(FAULT_ARENA_BYTES);
	if (vsnprintf(reason, sizeof(reason), format, args) < 0)
		reason[0] = '\0';
	if (at && at->shown)
		key = at->shown;
	struct conf_fault entry = {.line = at ? at->line : 0};
	char *shown = arena_strndup(f->arena, key, strnlen(key, 256));
	entry.key = shown ? shown : "";
	char *file = at && at->file ? arena_strdup(f->arena, at->file) : NULL;
	entry.file = file;
	entry.reason = conf_keep(f->arena, reason);
	if (warning)
		entry_add(f->arena, &f->warnings_n, &f->warnings, entry);
	else
		entry_add(f->arena, &f->n, &f->v, entry);
}

void conf_fault(struct loading *l, const struct node *at, const char *key, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	l->bad = true;
	entry_format(l, l->lenient, at, key, format, args);
	va_end(args);
}

void conf_warn(struct loading *l, const struct node *at, const char *key, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	entry_format(l, true, at, key, format, args);
	va_end(args);
}

#define NEAREST_LEN 64

/* Edit distance: insertions, deletions, replacements, and swaps of neighbours. */
static size_t distance(const char *a, size_t an, const char *b, size_t bn)
{
	size_t rows[3][NEAREST_LEN + 1];
	for (size_t j = 0; j <= bn; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= an; i++) {
		size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *two = rows[(i + 1) % 3];
		row[0] = i;
		for (size_t j = 1; j <= bn; j++) {
			size_t least = above[j - 1] + (a[i - 1] != b[j - 1]);
			if (above[j] + 1 < least)
				least = above[j] + 1;
			if (row[j - 1] + 1 < least)
				least = row[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && two[j - 2] + 1 < least)
				least = two[j - 2] + 1;
			row[j] = least;
		}
	}
	return rows[an % 3][bn];
}

struct nearest nearest_to(const char *word)
{
	return (struct nearest){.word = word, .distance = strlen(word) / 3 + 2};
}

void nearest_try(struct nearest *n, const char *candidate)
{
	size_t an = strlen(n->word), bn = strlen(candidate);
	if (an > NEAREST_LEN || bn > NEAREST_LEN || !an)
		return;
	size_t d = distance(n->word, an, candidate, bn);
	/* A prefix is a likely slip: "max_conn" for "max_connections". */
	if (an >= 4 && bn > an && memcmp(n->word, candidate, an) == 0)
		d = 1;
	if (d < n->distance) {
		n->distance = d;
		n->best = candidate;
	}
}

const char *nearest_hint(struct loading *l, const struct nearest *n)
{
	return n->best ? conf_text(l, " (did you mean %s?)", n->best) : "";
}

bool names_have(const struct names *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->v[i], name) == 0)
			return true;
	return false;
}

static void unknown_fault(struct loading *l, const struct node *n, const char *path, const struct names *names)
{
	struct nearest near = nearest_to(l->faults->n < FAULTS_MAX ? n->key : "");
	for (size_t i = 0; i < names->n; i++)
		nearest_try(&near, names->v[i]);
	const char *full = *path ? conf_text(l, "%s.%.200s", path, n->key) : n->key;
	if (near.best)
		conf_fault(l, n, full, "unknown key%s", nearest_hint(l, &near));
	else
		conf_fault(l, n, full, "unknown key; `snowgate config --defaults` lists all of them");
}

bool map_check(struct loading *l, const struct node *map, const char *path, const struct names *names)
{
	bool good = true;
	if (map->kind != NODE_MAP) {
		conf_fault(l, map, path, "must be a section of key: value lines, not %s",
			   map->kind == NODE_LIST ? "a list" : "a single value");
		return false;
	}
	for (const struct node *n = map->first; n; n = n->next)
		if (!names_have(names, n->key)) {
			unknown_fault(l, n, path, names);
			good = false;
		}
	return good;
}
