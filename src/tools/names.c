/* Lists of names kept for a while, within ceilings; the least recently used gives way. */
#include "names.h"

#include <string.h>

struct entry {
	struct entry *prev, *next; /* from newest used to longest unused */
	struct names_list list;
	usec_t put;
	size_t key_n, bytes;
	char *key;   /* in `data` */
	char data[]; /* the key, then the names */
};

struct names {
	struct entry *first, *last;
	size_t lists, lists_max, bytes, bytes_max;
};

struct names *names_new(size_t lists_max, size_t bytes_max)
{
	struct names *n = xalloc(sizeof *n);

	n->lists_max = lists_max;
	n->bytes_max = bytes_max;
	return n;
}

static void entry_unlink(struct names *n, struct entry *e)
{
	*(e->prev ? &e->prev->next : &n->first) = e->next;
	*(e->next ? &e->next->prev : &n->last) = e->prev;
	n->lists--;
	n->bytes -= e->bytes;
}

static void entry_link(struct names *n, struct entry *e)
{
	e->prev = NULL;
	e->next = n->first;
	*(n->first ? &n->first->prev : &n->last) = e;
	n->first = e;
	n->lists++;
	n->bytes += e->bytes;
}

static void entry_drop(struct names *n, struct entry *e)
{
	entry_unlink(n, e);
	free(e);
}

void names_free(struct names *n)
{
	while (n && n->first)
		entry_drop(n, n->first);
	free(n);
}

static struct entry *entry_of(const struct names *n, struct slice key)
{
	for (struct entry *e = n->first; e; e = e->next)
		if (e->key_n == key.n && memcmp(e->key, key.data, key.n) == 0)
			return e;
	return NULL;
}

const struct names_list *names_find(struct names *n, struct slice key, usec_t now)
{
	struct entry *e = entry_of(n, key);

	if (!e)
		return NULL;
	if (now - e->put >= NAMES_TTL) {
		entry_drop(n, e);
		return NULL;
	}
	entry_unlink(n, e);
	entry_link(n, e);
	return &e->list;
}

/* An entry of `bytes` with nothing but its key. */
static struct entry *entry_new(struct slice key, size_t bytes)
{
	struct entry *e = xalloc(bytes);

	e->bytes = bytes;
	e->key = memcpy(e->data, key.data, key.n);
	e->key_n = key.n;
	return e;
}

const struct names_list *names_put(struct names *n, struct slice key, const char *const *v, size_t v_n, bool whole,
				   usec_t now)
{
	struct entry *e = entry_of(n, key);
	size_t kept = v_n < NAMES_MAX ? v_n : NAMES_MAX, bytes = sizeof *e + key.n;
	char *at;

	if (e)
		entry_drop(n, e);
	for (size_t i = 0; i < kept; i++)
		bytes += strlen(v[i]) + 1;
	if (bytes > n->bytes_max || n->lists_max == 0)
		return NULL;
	while (n->lists == n->lists_max || n->bytes + bytes > n->bytes_max)
		entry_drop(n, n->last);
	e = entry_new(key, bytes);
	at = e->data + key.n;
	e->list = (struct names_list){kept, whole && kept == v_n, at};
	e->put = now;
	for (size_t i = 0; i < kept; i++)
		at = stpcpy(at, v[i]) + 1;
	entry_link(n, e);
	return &e->list;
}

size_t names_count(const struct names *n)
{
	return n->lists;
}

size_t names_bytes(const struct names *n)
{
	return n->bytes;
}
