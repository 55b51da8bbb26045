/* What a call reads from the store and what it must have written there. */
#include "gateway_internal.h"

#include <string.h>

/* An operation's record is kept as long as Snowflake keeps its result (A.6). */
#define KEPT_MS ((int64_t)24 * 3600 * 1000)
/* On a shared store nobody takes an operation over before its holder's statement has had its time. */
#define HOLDER_SPARE_MS ((int64_t)60 * 1000)

/* ---- pieces ---- */

enum { ITEMS = 14, VALUES = 3 };
struct piece {
	struct store_work work;
	struct store_item items[ITEMS];
	char keys[ITEMS][STORE_KEY_MAX];
	struct buf values[VALUES];
	size_t values_n;
	char group[GROUP_SIZE];
	struct call *call; /* travels with it; NULL where it goes on by itself */
	enum step next;
	handle_t ticket; /* who wants to hear of it where the call does not travel */
	char operation[OPERATION_ID_SIZE];
	bool wrote; /* the record of the call's operation is among its items */
};

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

static struct piece *piece_new(struct call *c, void (*done)(struct store_work *))
{
	struct piece *p = xalloc(sizeof *p);

	group_of(p->group, &c->request->principal);
	p->work = (struct store_work){.group = p->group, .items = p->items, .done = done};
	return p;
}

static struct store_item *piece_add(struct piece *p, enum store_verb verb, enum record_kind kind, const char *key)
{
	struct store_item *item = &p->items[p->work.n];

	assert(p->work.n < ITEMS);
	snprintf(p->keys[p->work.n], STORE_KEY_MAX, "%s", key);
	*item = (struct store_item){.verb = verb, .kind = kind, .key = p->keys[p->work.n++], .due_ms = STORE_NO_DUE};
	return item;
}

static struct buf *piece_value(struct piece *p, size_t ceiling)
{
	assert(p->values_n < VALUES);
	p->values[p->values_n] = buf_with_ceiling(ceiling);
	return &p->values[p->values_n++];
}

static void piece_clear(struct piece *p)
{
	for (size_t i = 0; i < p->work.n; i++) {
		buf_free(&p->items[i].out);
		store_rows_free(&p->items[i]);
	}
	for (size_t i = 0; i < p->values_n; i++)
		buf_free(&p->values[i]);
	p->work.n = p->values_n = 0;
}

static void piece_free(struct piece *p)
{
	piece_clear(p);
	free(p);
}

/* The call travels with it, and goes on at `next`. */
static enum verdict piece_send(struct piece *p, struct call *c, enum step next)
{
	p->call = c;
	p->next = next;
	store_post(&p->work);
	return WAIT;
}

static void call_on(struct piece *p)
{
	struct call *c = p->call;

	c->step = p->next;
	piece_free(p);
	call_run(c);
}

/* ---- keys ---- */

static void key_of_id(char key[STORE_KEY_MAX], const char *id)
{
	struct sha256 hash = crypt_sha256(id, strlen(id));
	struct buf hex = buf_with_ceiling(80);

	hex_encode(&hex, hash.bytes, sizeof hash.bytes);
	snprintf(key, STORE_KEY_MAX, "%s", buf_text(&hex));
	buf_free(&hex);
}

static void key_of_handle(char key[STORE_KEY_MAX], const char *handle, const char *group)
{
	snprintf(key, STORE_KEY_MAX, "%s.%.12s", group, handle);
}

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
		(void)!journal_open(&c->record, &gateway.journal, item->key, buf_slice(&item->out));
	}
	call_on(p);
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
	return piece_send(p, c, STEP_bind);
}

/* ---- sessions ---- */

/* Sealed: its id is in it, which lets a client in. */
static void add_session(struct piece *p, const struct call *c)
{
	struct buf *sealed = piece_value(p, 1 << 20);
	int64_t ttl = c->request->conf->session_absolute_ttl / USEC_PER_MS;
	struct store_item *item;
	char key[STORE_KEY_MAX], pointer[STORE_KEY_MAX];

	key_of_id(key, c->session_id);
	(void)journal_seal(sealed, &gateway.journal, key, buf_slice(&c->record));
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

static void del_session(struct piece *p, const char *id, const char *handle)
{
	char key[STORE_KEY_MAX];

	key_of_id(key, id);
	piece_add(p, STORE_DEL, RECORD_SESSION, key);
	if (!*handle)
		return;
	key_of_handle(key, handle, p->group);
	piece_add(p, STORE_DEL, RECORD_HANDLE, key);
}

/* ---- operations ---- */

static int64_t due_of(const struct call *c)
{
	return store_shared() ? c->request->conf->snowflake_statement_timeout / USEC_PER_MS + HOLDER_SPARE_MS : 0;
}

/* What its record is to be called, and under which id its statement is sent. */
static void operation_begin(struct call *c)
{
	struct statement *s = c->plan_n ? &c->plan[0] : NULL;

	if (!*c->op.id) {
		crypt_uuid(c->op.id);
		c->op.created = clock_wall();
	}
	if (s && s->kind == STATEMENT_RUN && !s->metadata && !*s->request_id)
		crypt_uuid(s->request_id);
}

/* Writers follow each other through the call, and each knows what the one before it has left. */
static bool add_operation(struct piece *p, struct call *c, int64_t due_ms)
{
	struct buf *value = piece_value(p, STORE_VALUE_MAX);
	struct store_item *item = piece_add(p, STORE_CHECK, RECORD_OPERATION, c->op.id);

	if (!journal_write(value, &gateway.journal, c))
		return false;
	item->version = c->op.version++;
	p->wrote = true;
	item = piece_add(p, STORE_PUT, RECORD_OPERATION, c->op.id);
	item->value = buf_slice(value);
	item->ttl_ms = KEPT_MS;
	item->due_ms = due_ms;
	if (!*c->op.stream)
		return true;
	item = piece_add(p, STORE_PUT, RECORD_STREAM, c->op.stream);
	item->value = slice_of(c->op.id);
	item->ttl_ms = KEPT_MS;
	return true;
}

static void del_operation(struct piece *p, const struct call *c)
{
	piece_add(p, STORE_DEL, RECORD_OPERATION, c->op.id);
	if (*c->op.stream)
		piece_add(p, STORE_DEL, RECORD_STREAM, c->op.stream);
}

/* Nothing of a refused piece has happened; of one that a shared store did not answer nobody knows. */
static void step_back(struct piece *p)
{
	bool nothing = p->work.rc == STORE_STALE || p->work.rc == STORE_FULL || !store_shared();

	if (p->work.rc != STORE_OK && p->wrote && nothing)
		p->call->op.version--;
}

/* ---- intent: before a write is sent ---- */

static void refused(struct call *c, const char *what)
{
	log_event(LOG_ERROR, "store_refused", log_text("request", c->request->id), log_text("what", what));
	c->fault = (struct mcp_fault){ERR_OVERLOADED, "the store refused the record; try again", NULL};
}

static void forget_done(struct store_work *w)
{
	piece_free(container_of(w, struct piece, work));
}

/* What may have been recorded all the same must not be found and sent later. */
static void forget(struct call *c)
{
	struct piece *p = piece_new(c, forget_done);

	del_operation(p, c);
	store_post(&p->work);
	*c->op.id = *c->op.stream = '\0';
	c->op.version = 0;
}

static void handle_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);

	step_back(p);
	if (w->rc != STORE_OK) /* the statement runs, and its outcome is told all the same */
		log_event(LOG_ERROR, "store_refused", log_text("request", p->call->request->id),
			  log_text("what", "handle"));
	call_on(p);
}

/* ---- a key that was used before ---- */

static void claimed_on(struct piece *p, enum step next)
{
	p->next = next;
	call_on(p);
}

/* The claim of an operation that is no more: out of the way, and once more. */
static void unclaim(struct piece *p, uint64_t version)
{
	struct call *c = p->call;

	piece_clear(p);
	piece_add(p, STORE_CHECK, RECORD_CLAIM, c->op.claim)->version = version;
	piece_add(p, STORE_DEL, RECORD_CLAIM, c->op.claim);
	p->next = STEP_intent;
	p->work.done = handle_done;
	store_post(&p->work);
}

/* Another call of this key has been here before: this one goes on with what it has begun. */
static void claimed_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);
	struct store_item *claim = &p->items[0], *operation = &p->items[1];
	struct call *c = p->call;

	if (w->rc != STORE_OK) {
		refused(c, "claim");
		claimed_on(p, STEP_settle);
	} else if (operation->rc == STORE_ABSENT) {
		unclaim(p, claim->version);
	} else if (journal_join(c, operation->key, operation->version, buf_slice(&operation->out))) {
		if (!c->op.version)
			*c->op.id = '\0';
		claimed_on(p, c->op.version ? STEP_intent : STEP_sign);
	} else {
		claimed_on(p, STEP_settle);
	}
}

static void claim_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);
	struct store_item *item = &p->items[0];
	struct call *c = p->call;
	char id[OPERATION_ID_SIZE] = "";

	if (w->rc != STORE_OK) {
		refused(c, "claim");
		claimed_on(p, STEP_settle);
		return;
	}
	if (item->rc == STORE_OK && item->out.n < sizeof id)
		snprintf(id, sizeof id, "%s", buf_text(&item->out));
	c->op.claimed = *id && strcmp(id, c->op.id) == 0;
	if (!*id || c->op.claimed) { /* gone meanwhile; or this very operation's, which begins again */
		claimed_on(p, STEP_intent);
		return;
	}
	buf_clear(&item->out);
	p->work.done = claimed_done;
	piece_add(p, STORE_GET, RECORD_OPERATION, id)->out = buf_with_ceiling(STORE_VALUE_MAX);
	store_post(w);
}

static void claimed_read(struct piece *p)
{
	piece_clear(p);
	p->work.done = claim_done;
	piece_add(p, STORE_GET, RECORD_CLAIM, p->call->op.claim)->out = buf_with_ceiling(STORE_KEY_MAX);
	store_post(&p->work);
}

/* ---- intent ---- */

/* Its stream could not be recorded a while ago, and the record is not as far as was thought. */
static bool begins_anew(struct call *c)
{
	if (c->op.again || c->op.repeated || store_shared())
		return false;
	c->op.repeated = true;
	c->op.version = 0;
	*c->op.stream = '\0';
	crypt_uuid(c->op.id);
	return true;
}

static void intent_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);
	struct call *c = p->call;

	step_back(p);
	p->wrote = false;
	if (w->rc == STORE_OK) {
		c->op.claimed |= c->op.claim && !c->op.again;
		call_on(p);
	} else if (w->rc == STORE_STALE && c->op.claim && !c->op.claimed) {
		claimed_read(p);
	} else if (w->rc == STORE_STALE && begins_anew(c)) {
		claimed_on(p, STEP_intent);
	} else {
		refused(c, "intent");
		if (w->rc != STORE_STALE)
			forget(c);
		claimed_on(p, STEP_settle);
	}
}

static void add_claim(struct piece *p, const struct call *c)
{
	struct store_item *item;

	piece_add(p, STORE_CHECK, RECORD_CLAIM, c->op.claim)->version = 0;
	item = piece_add(p, STORE_PUT, RECORD_CLAIM, c->op.claim);
	item->value = slice_of(c->op.id);
	item->ttl_ms = KEPT_MS;
}

enum verdict step_intent(struct call *c)
{
	struct piece *p = piece_new(c, intent_done);

	operation_begin(c);
	if (!add_operation(p, c, due_of(c))) {
		piece_free(p);
		refused(c, "intent");
		return call_goto(c, STEP_settle);
	}
	if (c->op.claim && !c->op.claimed)
		add_claim(p, c);
	return piece_send(p, c, STEP_sign);
}

/* ---- handle: what is recorded is recorded again with its handle ---- */

enum verdict step_handle(struct call *c)
{
	struct piece *p = piece_new(c, handle_done);

	operation_begin(c);
	if (add_operation(p, c, due_of(c)))
		return piece_send(p, c, STEP_poll);
	piece_free(p);
	return call_goto(c, STEP_poll);
}

/* ---- a call becomes a stream with ids ---- */

struct journaled {
	struct mail mail;
	handle_t ticket;
	bool fine;
	char operation[OPERATION_ID_SIZE];
};

static void journaled_deliver(struct mail *m)
{
	struct journaled *d = container_of(m, struct journaled, mail);
	struct ticket *t = handle_get(gateway.tickets, d->ticket);

	OWNED_BY(THREAD_NET);
	if (t && t->stream)
		ticket_journaled(t, d->operation, d->fine);
	free(d);
}

static void journal_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);
	struct journaled *d = xalloc(sizeof *d);

	*d = (struct journaled){.mail = {.deliver = journaled_deliver}, .ticket = p->ticket, .fine = w->rc == STORE_OK};
	memcpy(d->operation, p->operation, sizeof d->operation);
	piece_free(p);
	mail_post(THREAD_NET, &d->mail);
}

void journal_put(struct call *c, const char *stream)
{
	struct piece *p;

	if (*c->op.stream)
		return;
	p = piece_new(c, journal_done);
	memcpy(c->op.stream, stream, sizeof c->op.stream);
	operation_begin(c);
	p->ticket = c->ticket;
	memcpy(p->operation, c->op.id, sizeof p->operation);
	if (add_operation(p, c, due_of(c))) {
		store_post(&p->work);
		return;
	}
	*c->op.stream = '\0';
	piece_free(p);
}

/* ---- events of streams ---- */

struct append {
	struct mail mail;
	struct store_work work;
	struct store_item item;
	struct buf value;
	char group[GROUP_SIZE], operation[OPERATION_ID_SIZE], stream[STREAM_ID_SIZE], session[SESSION_ID_SIZE];
	struct principal principal;
};

static void append_deliver(struct mail *m)
{
	struct append *a = container_of(m, struct append, mail);
	struct session *s = session_by_id(gateway.sessions, a->session, &a->principal);
	struct stream *stream = s ? stream_of(&s->streams, a->stream) : NULL;

	OWNED_BY(THREAD_NET);
	if (stream)
		stream_told(stream, a->item.number, a->work.rc == STORE_OK);
	buf_free(&a->value);
	free(a);
}

static void append_done(struct store_work *w)
{
	mail_post(THREAD_NET, &container_of(w, struct append, work)->mail);
}

void event_post(const struct session *s, const struct stream *stream, const char *operation,
		const struct stream_event *e)
{
	struct append *a = xalloc(sizeof *a);

	*a = (struct append){
	    .mail = {.deliver = append_deliver}, .value = buf_with_ceiling(STORE_VALUE_MAX), .principal = s->principal};
	a->work = (struct store_work){.group = a->group, .items = &a->item, .n = 1, .done = append_done};
	group_of(a->group, &s->principal);
	snprintf(a->operation, sizeof a->operation, "%s", operation);
	memcpy(a->stream, stream->id, sizeof a->stream);
	memcpy(a->session, s->id, sizeof a->session);
	if (!journal_event_write(&a->value, &gateway.journal, operation, e->last ? 'l' : 'e',
				 (struct slice){e->data, e->n}))
		buf_clear(&a->value);
	a->item = (struct store_item){.verb = STORE_APPEND,
				      .kind = RECORD_OPERATION,
				      .key = a->operation,
				      .number = e->number,
				      .value = buf_slice(&a->value),
				      .due_ms = STORE_NO_DUE};
	store_post(&a->work);
}

/* ---- event: what the answer acknowledges ---- */

/* Nothing was sent, and nothing will be. */
static bool never_sent(const struct call *c)
{
	const struct statement *s = &c->plan[0];

	return c->plan_n == 0 || s->state == STATEMENT_NEW || (s->state == STATEMENT_CANCELLED && !*s->handle);
}

static void event_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);
	struct call *c = p->call;

	step_back(p);
	if (w->rc != STORE_OK) {
		c->op.taken = w->rc == STORE_STALE && store_shared();
		c->op.number = 0;
		if (c->durable.put || c->durable.forget) {
			refused(c, "answer");
			answer_free(&c->http); /* it is another one now */
		} else {
			log_event(LOG_ERROR, "store_refused", log_text("request", c->request->id),
				  log_text("what", "answer"));
		}
		if (w->rc != STORE_STALE && p->wrote && never_sent(c))
			forget(c);
	}
	call_on(p);
}

/* What nobody asks for again is forgotten: neither a stream, nor a key, nor an unknown fate. */
static bool operation_kept(const struct call *c)
{
	return *c->op.stream || c->op.claim || (c->plan_n && c->plan[0].state == STATEMENT_UNKNOWN);
}

static bool add_end(struct piece *p, struct call *c)
{
	struct buf *value;
	struct store_item *item;

	bool unheard = !c->op.last && !c->answered;

	if (!operation_kept(c) || (unheard && (never_sent(c) || !c->op.claim))) {
		piece_add(p, STORE_CHECK, RECORD_OPERATION, c->op.id)->version = c->op.version;
		del_operation(p, c);
		if (c->op.claimed && never_sent(c))
			piece_add(p, STORE_DEL, RECORD_CLAIM, c->op.claim);
		return true;
	}
	if (!add_operation(p, c, STORE_NO_DUE))
		return false;
	if (!c->op.last)
		return true;
	value = piece_value(p, STORE_VALUE_MAX);
	item = piece_add(p, STORE_APPEND, RECORD_OPERATION, c->op.id);
	if (!journal_event_write(value, &gateway.journal, c->op.id, c->op.last,
				 c->op.last == 'l' ? buf_slice(&c->http.body) : (struct slice){0}))
		return false;
	item->number = c->op.number;
	item->value = buf_slice(value);
	return true;
}

enum verdict step_event(struct call *c)
{
	struct piece *p = piece_new(c, event_done);

	if (c->durable.put)
		add_session(p, c);
	if (c->durable.forget)
		del_session(p, c->session_id, c->durable.handle);
	if (*c->durable.ended.id)
		del_session(p, c->durable.ended.id, c->durable.ended.handle);
	if (c->op.version && !c->op.over && !add_end(p, c)) {
		log_event(LOG_ERROR, "record_too_large", log_text("request", c->request->id));
		c->op.version = c->op.number = 0;
		piece_free(p);
		return call_goto(c, c->durable.put || c->durable.forget ? STEP_event : STEP_reply);
	}
	return piece_send(p, c, STEP_reply);
}

/* ---- resume: a stream that is not in memory ---- */

static void found_free(void *object)
{
	struct found *f = object;

	buf_free(&f->record);
	while (f->events) {
		struct store_row *row = f->events;

		f->events = row->next;
		free(row);
	}
}

static void found_take(struct call *c, struct piece *p)
{
	struct found *f = arena_alloc(c->arena, sizeof *f);

	if (!f || !arena_attach(c->arena, f, found_free))
		return;
	*f = (struct found){.version = p->items[0].version};
	memcpy(f->id, p->keys[0], sizeof f->id - 1);
	f->record = p->items[0].out;
	p->items[0].out = (struct buf){0};
	f->events = TAKE(p->items[1].rows);
	c->found = f;
}

static void resume_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);
	struct store_item *item = &p->items[0];
	char id[OPERATION_ID_SIZE];

	if (w->rc != STORE_OK) {
		p->call->fault = (struct mcp_fault){ERR_OVERLOADED, "the store cannot be read now; try again", NULL};
		p->next = STEP_reply;
	} else if (item->rc == STORE_OK && item->kind == RECORD_STREAM && item->out.n < sizeof id) {
		snprintf(id, sizeof id, "%s", buf_text(&item->out));
		piece_clear(p);
		piece_add(p, STORE_GET, RECORD_OPERATION, id)->out = buf_with_ceiling(STORE_VALUE_MAX);
		piece_add(p, STORE_EVENTS, RECORD_OPERATION, id)->most = STORE_ROWS_MAX;
		store_post(w);
		return;
	} else if (item->rc == STORE_OK && item->kind == RECORD_OPERATION) {
		found_take(p->call, p);
	}
	call_on(p);
}

enum verdict step_resume(struct call *c)
{
	struct piece *p = piece_new(c, resume_done);
	char stream[STREAM_ID_SIZE];
	uint64_t number;

	c->sought = true;
	if (*c->op.stream)
		memcpy(stream, c->op.stream, sizeof stream);
	else if (!stream_event_id_read(slice_of(c->request->mcp.last_event_id), stream, &number))
		*stream = '\0';
	piece_add(p, STORE_GET, RECORD_STREAM, *stream ? stream : "none")->out = buf_with_ceiling(STORE_KEY_MAX);
	return piece_send(p, c, STEP_resumed);
}

/* ---- what another process has left ---- */

struct left {
	struct mail mail;
	struct store_work work;
	struct store_item item;
};

static void left_deliver(struct mail *m)
{
	struct left *l = container_of(m, struct left, mail);

	OWNED_BY(THREAD_NET);
	if (l->work.rc != STORE_OK)
		log_event(LOG_ERROR, "store_refused", log_text("what", "operations of before"));
	for (const struct store_row *row = l->item.rows; row; row = row->next)
		adopt_left(row->key, row->version, (struct slice){row->value, row->n});
	store_rows_free(&l->item);
	free(l);
}

static void left_done(struct store_work *w)
{
	mail_post(THREAD_NET, &container_of(w, struct left, work)->mail);
}

void durable_left(void)
{
	struct left *l = xalloc(sizeof *l);

	*l = (struct left){.mail = {.deliver = left_deliver},
			   .item = {.verb = STORE_DUE, .kind = RECORD_OPERATION, .most = STORE_ROWS_MAX}};
	l->work = (struct store_work){.items = &l->item, .n = 1, .done = left_done};
	store_post(&l->work);
}
