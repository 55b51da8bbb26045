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
		answer_free(&c->http); /* where there is one, the store has refused it */
		c->op.number = 0;
		p->next = STEP_reply;
	} else if (item->rc == STORE_OK && item->kind == RECORD_HANDLE && piece_key(item, sizeof key, key)) {
		piece_clear(p);
		piece_add(p, STORE_GET, RECORD_SESSION, key)->out = buf_with_ceiling(1 << 20);
		store_post(w);
		return;
	} else if (item->rc == STORE_OK && item->kind == RECORD_SESSION) {
		(void)!journal_open(&c->record, &gateway.journal, item->key, buf_slice(&item->out));
		c->durable.version = item->version;
	}
	piece_call_on(p);
}

enum verdict step_load(struct call *c)
{
	struct piece *p = piece_new(c, load_done);
	char key[STORE_KEY_MAX];

	bool by_handle = c->session_handle && !c->durable.reload;

	if (by_handle)
		key_of_handle(key, c->session_handle, p->group);
	else
		key_of_id(key, c->durable.reload ? c->session_id : c->request->mcp.session_id);
	piece_add(p, STORE_GET, by_handle ? RECORD_HANDLE : RECORD_SESSION, key)->out = buf_with_ceiling(1 << 20);
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
	if (c->durable.version && store_shared()) /* another replica may have changed it, or ended it */
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

void session_committed(struct call *c, struct session *s)
{
	if (!store_shared() || s->ended || c->durable.version <= s->stored)
		return;
	s->doubtful = true;
	if (session_restore(gateway.sessions, buf_slice(&c->record), &s->principal))
		s->stored = c->durable.version;
}

/* ---- a session that another replica has changed ---- */

struct look {
	struct mail mail;
	char id[SESSION_ID_SIZE];
	struct principal principal;
	struct buf record;
	uint64_t version;
};

static void look_deliver(struct mail *m)
{
	struct look *l = container_of(m, struct look, mail);
	struct session *s = session_live(gateway.sessions, l->id);

	OWNED_BY(THREAD_NET);
	if (s && l->version > s->stored) {
		s->doubtful = true;
		s = session_restore(gateway.sessions, buf_slice(&l->record), &l->principal);
		if (s)
			s->stored = l->version;
	}
	buf_free(&l->record);
	free(l);
}

static void look_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);
	struct look *l = p->of;

	l->version = p->items[0].version;
	if (w->rc == STORE_OK && p->items[0].rc == STORE_OK &&
	    journal_open(&l->record, &gateway.journal, p->keys[0], buf_slice(&p->items[0].out))) {
		mail_post(THREAD_NET, &l->mail);
	} else {
		buf_free(&l->record);
		free(l);
	}
	piece_free(p);
}

void session_look(const struct session *s)
{
	struct piece *p = piece_alone(&s->principal, look_done);
	struct look *l = xalloc(sizeof *l);
	char key[STORE_KEY_MAX];

	*l = (struct look){
	    .mail = {.deliver = look_deliver}, .principal = s->principal, .record = buf_with_ceiling(1 << 20)};
	memcpy(l->id, s->id, sizeof l->id);
	key_of_id(key, s->id);
	piece_add(p, STORE_GET, RECORD_SESSION, key)->out = buf_with_ceiling(1 << 20);
	p->of = l;
	store_post(&p->work);
}
