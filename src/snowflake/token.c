/* The cache of tokens for Snowflake: one per identity, found, made ready, refused, forgotten; who waits for them. */
#include "token.h"

#include "snowgate/crypt.h"
#include "snowgate/wheel.h"

#include <stdio.h>
#include <string.h>

enum { TOKENS_MAX = 2048, TOKEN_BUCKETS = 512, LOGIN_BYTES = 1024 };

/* owner: SNOWFLAKE */
static struct {
	struct token *buckets[TOKEN_BUCKETS];
	size_t n;
	uint64_t uses, numbers;
	char why[256]; /* of an identity that has no place in the cache */
} cache;

void buf_wipe(struct buf *b)
{
	if (b->data)
		crypt_wipe(b->data, b->n);
	buf_free(b);
}

/* ---- places ---- */

static struct token **bucket_of(const uint8_t id[32], const char *login, const char *role)
{
	uint64_t hash;

	memcpy(&hash, id, sizeof hash);
	for (const char *p = login; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 0x100000001b3ULL;
	for (const char *p = role; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 0x100000001b3ULL;
	return &cache.buckets[(hash ^ hash >> 32) % TOKEN_BUCKETS];
}

static void token_free(struct token *t)
{
	assert(!t->waiters);
	fetch_stop(t);
	buf_wipe(&t->fetch.refresh);
	buf_wipe(&t->bearer);
	free(t->login);
	free(t->role);
	free(t);
	cache.n--;
}

/* A refresh token may be the only copy there is. There are no more of them than connections, but for those of
 * connections as they were before a reload. */
static bool goes_before(const struct token *a, const struct token *b)
{
	bool keeps = a->fetch.refresh.n > 0, b_keeps = b->fetch.refresh.n > 0;

	return keeps == b_keeps ? a->used < b->used : b_keeps;
}

/* The longest unused makes room, one with a refresh token only where nothing else is left; one that is being fetched
 * stays. */
static bool make_room(void)
{
	struct token **oldest = NULL, *t;

	for (size_t i = 0; i < TOKEN_BUCKETS; i++)
		for (struct token **at = &cache.buckets[i]; *at; at = &(*at)->next)
			if (!(*at)->fetch.under_way && !(*at)->waiters && (!oldest || goes_before(*at, *oldest)))
				oldest = at;
	if (!oldest)
		return false;
	t = *oldest;
	*oldest = t->next;
	token_free(t);
	return true;
}

static struct token *token_find(const uint8_t id[32], const char *login, const char *role)
{
	struct token **bucket = bucket_of(id, login, role), *t = *bucket;

	while (t && (memcmp(t->id, id, sizeof t->id) || strcmp(t->login, login) || strcmp(t->role, role)))
		t = t->next;
	if (!t) {
		if (cache.n >= TOKENS_MAX && !make_room())
			return NULL;
		t = xalloc(sizeof *t);
		memcpy(t->id, id, sizeof t->id);
		t->login = xstrdup(login);
		t->role = xstrdup(role);
		t->bearer = buf_with_ceiling(TOKEN_BYTES_MAX);
		t->fetch.refresh = buf_with_ceiling(TOKEN_BYTES_MAX);
		t->key = -1;
		t->next = *bucket;
		*bucket = t;
		cache.n++;
	}
	t->used = ++cache.uses;
	return t;
}

/* Client credentials without a scope of their own ask for the statement's role; per user, the role is in the token. */
static bool role_counts(const struct connection *connection)
{
	return connection_is_per_user(connection) ||
	       (connection->auth == CONNECTION_CLIENT_CREDENTIALS && !connection->oauth_scope);
}

static void say_nobody(const struct principal *p)
{
	if (p && p->kind == PRINCIPAL_TOKEN)
		(void)snprintf(
		    cache.why, sizeof cache.why,
		    "%.60s comes with a token of the issuer %.60s, and users and user name API keys only; give "
		    "such principals a connection that has one user for all",
		    p->subject, p->issuer);
	else
		(void)snprintf(cache.why, sizeof cache.why,
			       "%.100s has no Snowflake user there; name one under users, or give the template user",
			       p ? p->subject : "the gateway itself");
}

/* The identity's place; NULL with *why and *state where it can have none. */
static struct token *token_of(const struct identity *who, enum token_state *state, const char **why)
{
	const struct connection *c = who->connection;
	const char *role = role_counts(c) && who->role ? who->role : "";
	struct buf login = buf_with_ceiling(LOGIN_BYTES);
	struct token *t = NULL;

	*state = TOKEN_LATER;
	if (!connection_is_per_user(c)) {
		t = token_find(c->id, "", role);
		*why = "more tokens are being fetched than the gateway holds; try again in a moment";
	} else if (!connection_login(c, who->principal, &login)) {
		say_nobody(who->principal);
		*state = TOKEN_FAILED;
		*why = cache.why;
	} else if (!*role) {
		*state = TOKEN_FAILED;
		*why = "no role is set, and a user's token is for one role; name one in the policy or the connection";
	} else {
		t = token_find(c->id, buf_text(&login), role);
		*why = "more users than the gateway holds tokens for are waiting; try again in a moment";
	}
	buf_free(&login);
	return t;
}

/* ---- use ---- */

/* A line break in a token would forge a header. */
static bool is_header_text(const struct buf *b)
{
	for (size_t i = 0; i < b->n; i++)
		if ((unsigned char)b->data[i] <= ' ' || (unsigned char)b->data[i] > '~')
			return false;
	return b->n > 0;
}

void token_changed(struct token *t)
{
	t->number = ++cache.numbers;
	t->refused = false;
}

static enum token_state refresh(struct token *t, const struct identity *who, const char **why)
{
	switch (who->connection->auth) {
	case CONNECTION_KEY_PAIR:
	case CONNECTION_EXTERNAL:
		return token_mint(t, who, why);
	case CONNECTION_CLIENT_CREDENTIALS:
	case CONNECTION_REFRESH_TOKEN:
		return token_fetch(t, who, why);
	case CONNECTION_PAT:
	case CONNECTION_OAUTH:
	case CONNECTION_WORKLOAD:
	case CONNECTION_AUTHS_N:
		break;
	}
	return token_read(t, who->connection, why);
}

enum token_state token_get(const struct identity *who, struct token_view *view, struct token_waiter *waiter,
			   const char **why)
{
	enum token_state state;
	struct token *t = token_of(who, &state, why);

	if (t)
		state = refresh(t, who, why);
	*view = (struct token_view){0};
	if (state == TOKEN_WAIT && waiter && !waiter->prev) {
		waiter->next = t->waiters;
		waiter->prev = &t->waiters;
		if (waiter->next)
			waiter->next->prev = &waiter->next;
		t->waiters = waiter;
	}
	if (state == TOKEN_READY && !is_header_text(&t->bearer)) {
		*why = "the token holds characters that no token has";
		state = TOKEN_FAILED;
	}
	if (state == TOKEN_READY)
		*view =
		    (struct token_view){buf_text(&t->bearer), authenticator_of(who->connection->auth)->type, t->number};
	return state;
}

void token_unwait(struct token_waiter *waiter)
{
	if (!waiter->prev)
		return;
	*waiter->prev = waiter->next;
	if (waiter->next)
		waiter->next->prev = waiter->prev;
	waiter->next = NULL;
	waiter->prev = NULL;
}

/* Whom the news reaches may ask again, wait again, and take back others: the list is looked at anew each time. */
void token_news(struct token *t)
{
	struct token_waiter *list = t->waiters;

	t->waiters = NULL;
	if (list)
		list->prev = &list;
	while (list) {
		struct token_waiter *w = list;
		token_unwait(w);
		w->news(w);
	}
}

static bool file_has_changed(struct token *t, const struct connection *c)
{
	struct stamp stamp;

	return c->token_file && watch_hurry(&t->watch) && stamp_of(c->token_file, &stamp) &&
	       !stamp_is(&stamp, &t->stamp);
}

bool token_renew(const struct identity *who, uint64_t number)
{
	const struct connection *c = who->connection;
	enum token_state state;
	const char *why;
	struct token *t = token_of(who, &state, &why);
	int64_t now = clock_wall();

	if (!t)
		return false;
	if (t->number != number)
		return true; /* somebody else has found out before */
	if (c->auth == CONNECTION_KEY_PAIR || c->auth == CONNECTION_EXTERNAL)
		return mint_renew(t, c);
	if (c->auth == CONNECTION_CLIENT_CREDENTIALS || c->auth == CONNECTION_REFRESH_TOKEN) {
		/* One that was fetched just now because of a refusal would be refused again. */
		if (now == t->renewed)
			return false;
		t->renewed = now;
		return t->refused = true;
	}
	return file_has_changed(t, c);
}

bool token_stop(void)
{
	bool left = false;

	for (size_t i = 0; i < TOKEN_BUCKETS; i++)
		for (struct token *t = cache.buckets[i]; t; t = t->next) {
			assert(!t->waiters);
			if (fetch_must_end(t))
				left = true;
			else
				fetch_stop(t);
		}
	return left;
}

void token_forget_all(void)
{
	for (size_t i = 0; i < TOKEN_BUCKETS; i++)
		while (cache.buckets[i]) {
			struct token *t = cache.buckets[i];
			cache.buckets[i] = t->next;
			token_free(t);
		}
	signers_forget();
}
