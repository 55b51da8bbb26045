/* What has changed, and who is told: lists and resources by number, so that who is behind hears of each once. */
#include "gateway_internal.h"

#include <stdio.h>
#include <string.h>

#define WALK_SLICE 100 /* listeners told in one turn of the loop */

/* ---- one listener ---- */

/* Where a listener of changes stands: a subscription by itself, a GET with its session. Older GETs are told nothing. */
static uint64_t *told(struct listener *l)
{
	if (l->kind == LISTENER_LISTEN)
		return l->wanted->told;
	return l->session->listeners == l ? l->session->told : NULL;
}

static bool wants_change(const struct listener *l, int change)
{
	return l->kind == LISTENER_GET || l->wanted->listen.changes[change];
}

/* The same resource has many spellings: each URI is put into the one form once. */
static const char *watched_canonical(struct watched *w)
{
	struct arena *a;

	if (w->canonical)
		return w->canonical;
	a = arena_new(1 << 20);
	w->canonical = xstrdup(resource_uri_canonical(a, w->uri));
	arena_free(a);
	return w->canonical;
}

/* The subscriber's own spelling of the resource of this update, or NULL. */
static const char *wanted_uri(const struct listener *l, const char *uri, uint64_t number)
{
	if (l->kind == LISTENER_LISTEN) {
		for (size_t i = 0; i < l->wanted->listen.uris_n; i++)
			if (strcmp(l->wanted->canonical[i], uri) == 0)
				return l->wanted->listen.uris[i];
		return NULL;
	}
	for (size_t i = 0; i < l->session->watched.n; i++) {
		struct watched *w = &l->session->watched.v[i];

		if (number > w->since && strcmp(watched_canonical(w), uri) == 0)
			return w->uri;
	}
	return NULL;
}

/* May this principal see it, as its policy is now? */
static bool may_see(const struct listener *l, const char *uri, const char *connection)
{
	const struct policy *p = conf_policy(gateway.conf, &l->account->principal);
	struct arena *a = arena_new(1 << 20);
	const char *why;
	bool may =
	    p && p->connection && strcmp(p->connection->name, connection) == 0 && resource_uri_valid(a, p, uri, &why);

	arena_free(a);
	return may;
}

/* What this listener is to be told of update `number`: a URI, or NULL for nothing. */
static const char *wants_update(const struct listener *l, uint64_t number)
{
	const char *uri = gateway.listeners.updated[number % ARRAY_LEN(gateway.listeners.updated)].uri;
	const char *connection = gateway.listeners.updated[number % ARRAY_LEN(gateway.listeners.updated)].connection;
	const char *wanted = uri ? wanted_uri(l, uri, number) : NULL;

	return wanted && may_see(l, uri, connection) ? wanted : NULL;
}

/* The id of a standalone stream's event says what its reader has been told, so that he can be told the rest. */
static void state_id(char id[STATE_ID_SIZE], const uint64_t v[CHANGES_N + 1])
{
	snprintf(id, STATE_ID_SIZE, "l.%llu.%llu.%llu.%llu", (unsigned long long)v[0], (unsigned long long)v[1],
		 (unsigned long long)v[2], (unsigned long long)v[3]);
}

static enum stream_sent send_state(struct listener *l, const uint64_t *v, struct slice data, int64_t retry_ms)
{
	struct sse_event e = {.data = data, .retry_ms = retry_ms};
	char id[STATE_ID_SIZE];

	state_id(id, v);
	if (l->kind == LISTENER_GET)
		e.id = slice_of(id);
	return listener_send(l, &e);
}

bool listener_prime(struct listener *l)
{
	return listener_stays(
	    l, send_state(l, l->session->told, (struct slice){0}, gateway.conf->mcp_retry / USEC_PER_MS));
}

static enum stream_sent tell_change(struct listener *l, uint64_t *v, int change)
{
	struct buf b = buf_with_ceiling(4096);
	uint64_t next[CHANGES_N + 1];
	enum stream_sent sent;

	memcpy(next, v, sizeof next);
	next[change] = gateway.listeners.now[change];
	list_changed_write(&b, (enum change)change, l->wanted ? l->wanted->id : (struct slice){0});
	assert(!buf_failed(&b)); /* ids are at most RPC_ID_MAX */
	sent = send_state(l, next, buf_slice(&b), 0);
	buf_free(&b);
	if (sent == STREAM_SENT)
		v[change] = next[change];
	return sent;
}

static enum stream_sent tell_update(struct listener *l, uint64_t *v, uint64_t number, const char *uri)
{
	struct buf b = buf_with_ceiling(16384);
	uint64_t next[CHANGES_N + 1];
	enum stream_sent sent;

	memcpy(next, v, sizeof next);
	next[CHANGES_N] = number;
	resource_updated_write(&b, uri, l->wanted ? l->wanted->id : (struct slice){0});
	assert(!buf_failed(&b)); /* and URIs 2 KiB */
	sent = send_state(l, next, buf_slice(&b), 0);
	buf_free(&b);
	return sent;
}

/* The updates that are still known; who is further behind has missed some, and asks again when he comes to it. */
static enum stream_sent tell_updates(struct listener *l, uint64_t *v)
{
	const uint64_t last = gateway.listeners.now[CHANGES_N], kept = ARRAY_LEN(gateway.listeners.updated);

	if (last - v[CHANGES_N] > kept)
		v[CHANGES_N] = last - kept;
	while (v[CHANGES_N] < last) {
		const char *uri = wants_update(l, v[CHANGES_N] + 1);
		enum stream_sent sent = STREAM_SENT;

		if (uri)
			sent = tell_update(l, v, v[CHANGES_N] + 1, uri);
		if (sent != STREAM_SENT)
			return sent;
		v[CHANGES_N]++;
	}
	return STREAM_SENT;
}

void listener_tell(struct listener *l)
{
	enum stream_sent sent = STREAM_SENT;
	uint64_t *v = told(l);

	if (!v)
		return;
	for (int i = 0; i < CHANGES_N && sent == STREAM_SENT; i++)
		if (v[i] != gateway.listeners.now[i] && wants_change(l, i))
			sent = tell_change(l, v, i);
	if (sent == STREAM_SENT)
		sent = tell_updates(l, v);
	(void)listener_stays(l, sent);
}

/* ---- all of them ---- */

/* In slices, so that short calls go on between them. */
static void walk_on(struct timer *t)
{
	struct listeners *all = &gateway.listeners;

	for (int i = 0; i < WALK_SLICE && all->walk; i++) {
		struct listener *l = all->walk;

		all->walk = l->next;
		if (l->kind != LISTENER_CALL)
			listener_pump(l);
	}
	if (!all->walk && all->walk_again) {
		all->walk_again = false;
		all->walk = all->oldest;
	}
	if (all->walk)
		timer_set(gateway.wheel, t, clock_now());
}

void changes_walk(void)
{
	struct listeners *all = &gateway.listeners;

	if (all->walk) { /* to its end first: who stands late in the list is told, too */
		all->walk_again = true;
		return;
	}
	all->walk = all->oldest;
	all->walking.fire = walk_on;
	timer_set(gateway.wheel, &all->walking, clock_now());
}

void notify_changed(enum change change)
{
	OWNED_BY(THREAD_NET);
	gateway.listeners.now[change]++;
	changes_walk();
}

/* Only the last update of a resource is worth telling. */
static void updated_forget(const char *connection, const char *uri)
{
	struct listeners *all = &gateway.listeners;

	for (size_t i = 0; i < ARRAY_LEN(all->updated); i++)
		if (all->updated[i].uri && strcmp(all->updated[i].uri, uri) == 0 &&
		    strcmp(all->updated[i].connection, connection) == 0)
			free(TAKE(all->updated[i].uri));
}

void updated_elsewhere(const char *connection, const char *uri)
{
	struct listeners *all = &gateway.listeners;
	size_t at = ++all->now[CHANGES_N] % ARRAY_LEN(all->updated);

	OWNED_BY(THREAD_NET);
	updated_forget(connection, uri);
	free(all->updated[at].uri);
	free(all->updated[at].connection);
	all->updated[at].uri = xstrdup(uri);
	all->updated[at].connection = xstrdup(connection);
	changes_walk();
}

void notify_updated(const struct connection *connection, const char *uri)
{
	updated_elsewhere(connection->name, uri);
	replica_tell(TALE_UPDATED, json_pack("{s:s, s:s}", "connection", connection->name, "uri", uri));
}
