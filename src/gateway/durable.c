/* Sessions in the store: read where they are not in memory, written before they are acknowledged. */
#include "piece.h"

#include <string.h>

/* ---- load: a session that is not in memory ---- */

static void load_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);
	struct call *c = p->call;
	struct store_item *item = &p->items[0];
	char key[STORE_KEY_MAX];

	if (w->rc != STORE_OK) {
		c->fault = (struct mcp_fault){ERR_OVERLOADED, "the store cannot be read now; try again", NULL};
		p->next = STEP_reply;
	} else if (item->rc == STORE_OK && item->kind == RECORD_HANDLE && item->out.n < sizeof key) {
		snprintf(key, sizeof key, "%s", buf_text(&item->out));
		piece_clear(p);
		piece_add(p, STORE_GET, RECORD_SESSION, key)->out = buf_with_ceiling(1 << 20);
		store_post(w);
		return;
	} else if (item->rc == STORE_OK && item->kind == RECORD_SESSION) {
		c->durable.version = item->version;
		(void)!journal_open(&c->record, &gateway.journal, item->key, buf_slice(&item->out));
	}
	piece_call_on(p);
}

enum verdict step_load(struct call *c)
{
	struct piece *p = piece_new(c, load_done);
	char key[STORE_KEY_MAX];

	if (c->session_handle)
		key_of_handle(key, c->session_handle, p->group);
	else
		key_of_id(key, c->request->mcp.session_id);
	piece_add(p, STORE_GET, c->session_handle ? RECORD_HANDLE : RECORD_SESSION, key)->out =
	    buf_with_ceiling(1 << 20);
	buf_clear(&c->record);
	c->loaded = true;
	return piece_post(p, c, STEP_bind);
}

/* ---- sessions ---- */

/* Sealed: its id is in it, which lets a client in. */
void piece_put_session(struct piece *p, const struct call *c)
{
	struct buf *sealed = piece_value(p, 1 << 20);
	int64_t ttl = c->request->conf->session_absolute_ttl / USEC_PER_MS;
	struct store_item *item;
	char key[STORE_KEY_MAX], pointer[STORE_KEY_MAX];

	key_of_id(key, c->session_id);
	(void)journal_seal(sealed, &gateway.journal, key, buf_slice(&c->record));
	if (store_shared()) /* another process may have changed it meanwhile */
		piece_add(p, STORE_CHECK, RECORD_SESSION, key)->version = c->durable.version;
	item = piece_add(p, STORE_PUT, RECORD_SESSION, key);
	item->value = buf_slice(sealed);
	item->ttl_ms = ttl;
	if (!*c->durable.handle)
		return;
	key_of_handle(pointer, c->durable.handle, p->group);
	item = piece_add(p, STORE_PUT, RECORD_HANDLE, pointer);
	item->value = slice_of(p->keys[p->work.n - 2]);
	item->ttl_ms = ttl;
}

void piece_del_session(struct piece *p, const char *id, const char *handle)
{
	char key[STORE_KEY_MAX];

	key_of_id(key, id);
	piece_add(p, STORE_DEL, RECORD_SESSION, key);
	if (!*handle)
		return;
	key_of_handle(key, handle, p->group);
	piece_add(p, STORE_DEL, RECORD_HANDLE, key);
}
