/* Pieces of work for the store, of a call or for itself. */
#include "piece.h"

#include <string.h>

void group_of(char group[GROUP_SIZE], const struct principal *p)
{
	struct buf text = buf_with_ceiling(512), hex = buf_with_ceiling(80);
	struct sha256 hash;

	principal_encode(&text, p);
	hash = crypt_sha256(text.data, text.n);
	hex_encode(&hex, hash.bytes, (GROUP_SIZE - 1) / 2);
	memcpy(group, buf_text(&hex), GROUP_SIZE);
	buf_free(&text);
	buf_free(&hex);
}

struct piece *piece_alone(const struct principal *group, void (*done)(struct store_work *))
{
	struct piece *p = xalloc(sizeof *p);

	if (group)
		group_of(p->group, group);
	p->work = (struct store_work){.group = group ? p->group : NULL, .items = p->items, .done = done};
	return p;
}

struct piece *piece_new(struct call *c, void (*done)(struct store_work *))
{
	return piece_alone(&c->request->principal, done);
}

struct store_item *piece_add(struct piece *p, enum store_verb verb, enum record_kind kind, const char *key)
{
	struct store_item *item = &p->items[p->work.n];

	assert(p->work.n < PIECE_ITEMS);
	snprintf(p->keys[p->work.n], STORE_KEY_MAX, "%s", key);
	*item = (struct store_item){.verb = verb, .kind = kind, .key = p->keys[p->work.n++], .due_ms = STORE_NO_DUE};
	return item;
}

struct buf *piece_value(struct piece *p, size_t ceiling)
{
	assert(p->values_n < PIECE_VALUES);
	p->values[p->values_n] = buf_with_ceiling(ceiling);
	return &p->values[p->values_n++];
}

bool piece_key(const struct store_item *item, size_t size, char *key)
{
	*key = '\0';
	if (!store_key_fits(buf_text(&item->out)) || strlen(buf_text(&item->out)) >= size)
		return false;
	snprintf(key, size, "%s", buf_text(&item->out));
	return true;
}

void piece_clear(struct piece *p)
{
	for (size_t i = 0; i < p->work.n; i++) {
		buf_free(&p->items[i].out);
		store_rows_free(&p->items[i]);
	}
	for (size_t i = 0; i < p->values_n; i++)
		buf_free(&p->values[i]);
	p->work.n = p->values_n = 0;
}

void piece_free(struct piece *p)
{
	piece_clear(p);
	free(p);
}

enum verdict piece_post(struct piece *p, struct call *c, enum step next)
{
	p->call = c;
	p->next = next;
	store_post(&p->work);
	return WAIT;
}

void piece_call_on(struct piece *p)
{
	struct call *c = p->call;

	c->step = p->next;
	piece_free(p);
	call_run(c);
}

/* ---- keys ---- */

void key_of_id(char key[STORE_KEY_MAX], const char *id)
{
	struct sha256 hash = crypt_sha256(id, strlen(id));
	struct buf hex = buf_with_ceiling(80);

	hex_encode(&hex, hash.bytes, sizeof hash.bytes);
	snprintf(key, STORE_KEY_MAX, "%s", buf_text(&hex));
	buf_free(&hex);
}

void key_of_handle(char key[STORE_KEY_MAX], const char *handle, const char *group)
{
	snprintf(key, STORE_KEY_MAX, "%s.%.12s", group, handle);
}

void key_of_task(char key[STORE_KEY_MAX], const char *task, const char *group)
{
	snprintf(key, STORE_KEY_MAX, "%s.%s", group, task);
}

void piece_go_on(struct piece *p, enum step next)
{
	p->next = next;
	piece_call_on(p);
}
