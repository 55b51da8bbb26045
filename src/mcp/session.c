/* The table of live sessions: found by id and by handle, the longest idle one at the head of its list. */
#include "snowgate/session.h"

#include <string.h>

#include "session_internal.h"
#include "snowgate/wheel.h"

#define SESSION_MAGIC 0x53455353U

/* What is kept of a principal that has sessions here. */
struct session_owner {
	struct principal principal;
	struct hash_node node;
	size_t count;             /* its sessions, busy ones included */
	struct session_link idle; /* head of its idle ones */
	struct session_table *table;
};

struct session_table {
	const struct session_keys *keys;
	struct session_limits limits;
	struct stream_pool *pool;
	uint64_t seed;
	struct hash ids, handles, owners;
	struct session_link idle; /* head of all idle ones, longest idle first */
};

/* ---- lists ---- */

static void list_init(struct session_link *head)
{
	head->prev = head->next = head;
}

static bool list_is_empty(const struct session_link *head)
{
	return head->next == head;
}

static void list_add_last(struct session_link *head, struct session_link *link)
{
	*link = (struct session_link){head->prev, head};
	head->prev->next = link;
	head->prev = link;
}

/* Not linked: nothing happens. */
static void list_remove(struct session_link *link)
{
	if (!link->next)
		return;
	link->prev->next = link->next;
	link->next->prev = link->prev;
	*link = (struct session_link){NULL, NULL};
}

static void become_idle(struct session_table *t, struct session *s)
{
	list_add_last(&t->idle, &s->idle);
	list_add_last(&s->owner->idle, &s->own_idle);
}

static void leave_idle(struct session *s)
{
	list_remove(&s->idle);
	list_remove(&s->own_idle);
}

static struct session *longest_idle(const struct session_table *t)
{
	return list_is_empty(&t->idle) ? NULL : container_of(t->idle.next, struct session, idle);
}

static struct session *longest_idle_of(const struct session_owner *o)
{
	return list_is_empty(&o->idle) ? NULL : container_of(o->idle.next, struct session, own_idle);
}

/* ---- owners ---- */

static uint64_t hash_text(const struct session_table *t, const char *text)
{
	return hash_of(t->seed, text, strlen(text));
}

static uint64_t hash_principal(const struct session_table *t, const struct principal *p)
{
	return hash_text(t, p->subject) * 31 + hash_text(t, p->issuer) + (uint64_t)p->kind;
}

static struct session_owner *owner_find(const struct session_table *t, const struct principal *p)
{
	struct hash_node *n = hash_first(&t->owners, hash_principal(t, p));
	while (n && !principal_equal(&container_of(n, struct session_owner, node)->principal, p))
		n = hash_next(n);
	return n ? container_of(n, struct session_owner, node) : NULL;
}

static struct session_owner *owner_get(struct session_table *t, const struct principal *p)
{
	struct session_owner *o = owner_find(t, p);
	if (o)
		return o;
	o = xalloc(sizeof(*o));
	o->principal = *p;
	o->table = t;
	list_init(&o->idle);
	hash_add(&t->owners, &o->node, hash_principal(t, p));
	return o;
}

static void owner_release(struct session_owner *o)
{
	if (--o->count)
		return;
	hash_remove(&o->table->owners, &o->node);
	free(o);
}

/* ---- one session ---- */

struct session *session_make(const struct principal *p, enum revision revision)
{
	struct session *s = xalloc(sizeof(*s));
	s->magic = SESSION_MAGIC;
	s->principal = *p;
	s->revision = revision;
	s->log_level = -1;
	s->preferences.limit = s->preferences.wait_seconds = -1;
	s->created = s->last_seen = clock_wall();
	s->used = clock_now();
	return s;
}

void session_destroy(struct session_table *t, struct session *s)
{
	CHECK(s, SESSION_MAGIC);
	stream_set_free(t->pool, &s->streams);
	session_unwatch_all(s);
	context_clear(&s->context);
	json_decref(s->unknown);
	free(s->client_name);
	free(s->client_version);
	free(s->preferences.format);
	s->magic = 0;
	free(s);
}

/* At most SESSION_CLIENT_MAX bytes, cut between characters. */
static char *client_text(const char *text)
{
	size_t n = text ? strnlen(text, SESSION_CLIENT_MAX + 1) : 0;
	if (n > SESSION_CLIENT_MAX)
		for (n = SESSION_CLIENT_MAX; n && ((unsigned char)text[n] & 0xc0) == 0x80;)
			n--;
	return text ? xstrndup(text, n) : NULL;
}

void session_set_client(struct session *s, const char *name, const char *version)
{
	CHECK(s, SESSION_MAGIC);
	char *new_name = client_text(name), *new_version = client_text(version);
	free(s->client_name);
	free(s->client_version);
	s->client_name = new_name;
	s->client_version = new_version;
}

/* ---- watched resources ---- */

static void watched_free(struct watched *w)
{
	free(w->uri);
	free(w->canonical);
}

static size_t watched_at(const struct session *s, const char *uri)
{
	size_t i = 0;
	while (i < s->watched.n && strcmp(s->watched.v[i].uri, uri) != 0)
		i++;
	return i;
}

static size_t watched_bytes(const struct session *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->watched.n; i++)
		n += strlen(s->watched.v[i].uri);
	return n;
}

bool session_watch(struct session *s, const char *uri, uint64_t since)
{
	CHECK(s, SESSION_MAGIC);
	if (session_watches(s, uri))
		return true;
	if (s->watched.n >= SESSION_WATCHED_MAX || strlen(uri) > SESSION_URI_MAX ||
	    watched_bytes(s) + strlen(uri) > SESSION_WATCHED_BYTES)
		return false;
	s->watched.v = xrealloc(s->watched.v, (s->watched.n + 1) * sizeof(*s->watched.v));
	s->watched.v[s->watched.n++] = (struct watched){.uri = xstrdup(uri), .since = since};
	return true;
}

void session_unwatch(struct session *s, const char *uri)
{
	CHECK(s, SESSION_MAGIC);
	size_t i = watched_at(s, uri);
	if (i == s->watched.n)
		return;
	watched_free(&s->watched.v[i]);
	s->watched.n--;
	memmove(s->watched.v + i, s->watched.v + i + 1, (s->watched.n - i) * sizeof(*s->watched.v));
}

bool session_watches(const struct session *s, const char *uri)
{
	CHECK(s, SESSION_MAGIC);
	return watched_at(s, uri) < s->watched.n;
}

void session_unwatch_all(struct session *s)
{
	for (size_t i = 0; i < s->watched.n; i++)
		watched_free(&s->watched.v[i]);
	free(s->watched.v);
	s->watched.v = NULL;
	s->watched.n = 0;
}

void session_touch(struct session_table *t, struct session *s)
{
	s->used = clock_now();
	s->last_seen = clock_wall();
	if (s->open_calls)
		return;
	leave_idle(s);
	become_idle(t, s);
}

/* Out of the table; the object remains. */
static void take_out(struct session_table *t, struct session *s)
{
	leave_idle(s);
	hash_remove(&t->ids, &s->by_id);
	hash_remove(&t->handles, &s->by_handle);
	owner_release(s->owner);
	s->owner = NULL;
}

/* ---- the table ---- */

struct session_table *session_table_new(const struct session_keys *keys, struct session_limits limits,
					struct stream_pool *pool)
{
	struct session_table *t = xalloc(sizeof(*t));
	t->keys = keys;
	t->limits = limits;
	t->pool = pool;
	crypt_random(&t->seed, sizeof(t->seed));
	list_init(&t->idle);
	return t;
}

void session_table_free(struct session_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->ids.slots_n; i++)
		while (t->ids.slots[i]) {
			struct session *s = container_of(t->ids.slots[i], struct session, by_id);
			take_out(t, s);
			session_destroy(t, s);
		}
	hash_free(&t->ids);
	hash_free(&t->handles);
	hash_free(&t->owners);
	free(t);
}

size_t session_count(const struct session_table *t)
{
	return t->ids.n;
}

void session_table_limits(struct session_table *t, struct session_limits limits)
{
	t->limits = limits;
	while (t->ids.n > limits.max && !list_is_empty(&t->idle))
		session_end(t, longest_idle(t));
}

bool session_has_room(const struct session_table *t, const struct principal *p)
{
	const struct session_owner *o = owner_find(t, p);
	if (o && o->count >= t->limits.max_per_principal)
		return !list_is_empty(&o->idle);
	return t->ids.n < t->limits.max || !list_is_empty(&t->idle);
}

/* One session out of memory where a limit is reached. Whoever is displaced for its own principal's limit is told in
 * `ended`; then the table does not grow, so its own limit needs no look. */
static void make_room(struct session_table *t, const struct principal *p, struct session_names *ended)
{
	struct session_owner *o = owner_find(t, p);
	struct session *victim = NULL;

	*ended = (struct session_names){.id = ""};
	if (o && o->count >= t->limits.max_per_principal) {
		victim = longest_idle_of(o);
		if (victim) {
			memcpy(ended->id, victim->id, sizeof(victim->id));
			memcpy(ended->handle, victim->handle, sizeof(victim->handle));
		}
	} else if (t->ids.n >= t->limits.max) {
		victim = longest_idle(t);
	}
	if (victim)
		session_end(t, victim);
}

static struct session *handle_find(const struct session_table *t, const char *handle, const struct principal *p)
{
	struct hash_node *n = hash_first(&t->handles, hash_text(t, handle));
	for (; n; n = hash_next(n)) {
		struct session *s = container_of(n, struct session, by_handle);
		if (strcmp(s->handle, handle) == 0 && principal_equal(&s->principal, p))
			return s;
	}
	return NULL;
}

static void put_in(struct session_table *t, struct session *s)
{
	while (!s->handle[0] || handle_find(t, s->handle, &s->principal))
		session_handle_mint(s->handle);
	s->owner = owner_get(t, &s->principal);
	s->owner->count++;
	hash_add(&t->ids, &s->by_id, hash_text(t, s->id));
	hash_add(&t->handles, &s->by_handle, hash_text(t, s->handle));
	become_idle(t, s);
}

bool session_admit(struct session_table *t, struct session *s)
{
	struct session_names displaced;
	if (!session_has_room(t, &s->principal)) {
		session_destroy(t, s);
		return false;
	}
	make_room(t, &s->principal, &displaced);
	put_in(t, s);
	return true;
}

struct session *session_new(struct session_table *t, const struct principal *p, enum revision revision,
			    const struct context *context, struct session_names *ended)
{
	*ended = (struct session_names){.id = ""};
	if (!session_has_room(t, p))
		return NULL;
	make_room(t, p, ended);
	struct session *s = session_make(p, revision);
	if (context)
		context_set(&s->context, context);
	session_id_mint(t->keys, p, s->created, s->id);
	put_in(t, s);
	return s;
}

void session_walk(struct session_table *t, size_t *at, size_t parts, void (*visit)(struct session *s))
{
	size_t n = t->ids.slots_n / parts + 1;

	if (*at >= t->ids.slots_n)
		*at = 0;
	for (; n && *at < t->ids.slots_n; n--, (*at)++)
		for (struct hash_node *node = t->ids.slots[*at]; node; node = node->next)
			visit(container_of(node, struct session, by_id));
}

/* ---- finding ---- */

static bool is_too_old(const struct session_table *t, int64_t created)
{
	return clock_wall() - created > t->limits.absolute_ttl;
}

bool session_id_valid(const struct session_table *t, const char *id, const struct principal *p)
{
	int64_t created;
	return session_id_check(t->keys, id, p, &created) && !is_too_old(t, created);
}

struct session *session_live(struct session_table *t, const char *id)
{
	struct hash_node *n = hash_first(&t->ids, hash_text(t, id));
	while (n && strcmp(container_of(n, struct session, by_id)->id, id) != 0)
		n = hash_next(n);
	return n ? container_of(n, struct session, by_id) : NULL;
}

struct session *session_by_id(struct session_table *t, const char *id, const struct principal *p)
{
	struct session *s = session_id_valid(t, id, p) ? session_live(t, id) : NULL;
	if (!s || !principal_equal(&s->principal, p))
		return NULL;
	session_touch(t, s);
	return s;
}

struct session *session_by_handle(struct session_table *t, const char *handle, const struct principal *p)
{
	struct session *s = session_handle_shaped(handle) ? handle_find(t, handle, p) : NULL;
	if (!s || is_too_old(t, s->created))
		return NULL;
	session_touch(t, s);
	return s;
}

/* ---- leaving ---- */

void session_end(struct session_table *t, struct session *s)
{
	CHECK(s, SESSION_MAGIC);
	if (s->ended)
		return;
	take_out(t, s);
	s->ended = true;
	if (!s->open_calls)
		session_destroy(t, s);
}

void session_call_opened(struct session *s)
{
	CHECK(s, SESSION_MAGIC);
	s->open_calls++;
	leave_idle(s);
}

void session_call_closed(struct session_table *t, struct session *s)
{
	CHECK(s, SESSION_MAGIC);
	assert(s->open_calls);
	s->open_calls--;
	if (s->open_calls)
		return;
	if (s->ended)
		session_destroy(t, s);
	else
		session_touch(t, s);
}

size_t session_expire(struct session_table *t, usec_t now)
{
	size_t n = 0;
	for (struct session *s; (s = longest_idle(t)) && now - s->used >= t->limits.idle_ttl; n++)
		session_end(t, s);
	return n;
}
