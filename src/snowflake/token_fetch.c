/* Tokens that a token endpoint gives: client credentials and refresh tokens (snowflake-rest.md B.3, RFC 6749). */
#include "internal.h"
#include "token.h"

#include "snowgate/crypt.h"
#include "snowgate/log.h"

#include <stdio.h>
#include <string.h>

enum {
	ANSWER_MAX = 256 * 1024,
	TRIES_MAX = 3,
	LIFE_DEFAULT_S = 600, /* where the endpoint does not say (RFC 6749 lets it) */
	MARGIN_S = 10         /* a token that ends so soon may end under way: it is not served */
};
#define FETCH_TIMEOUT  (10 * USEC_PER_S)
#define AGAIN_FIRST    USEC_PER_S
#define REFUSAL_LASTS  USEC_PER_S
#define CONNECT_WITHIN (5 * USEC_PER_S)

static void on_done(struct wire_request *rq);

/* ---- the request ---- */

/* application/x-www-form-urlencoded */
static void add_encoded(struct buf *b, const char *text, size_t n)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	for (size_t i = 0; i < n; i++)
		if (text[i] && strchr(plain, text[i]))
			buf_addc(b, text[i]);
		else
			buf_addf(b, "%%%02X", (unsigned char)text[i]);
}

static void add_form(struct buf *b, const char *key, const char *text, size_t n)
{
	buf_addf(b, "%s%s=", b->n ? "&" : "", key);
	add_encoded(b, text, n);
}

static bool fill_body(struct token *t, const struct connection *c, const char *role)
{
	struct buf *b = &t->fetch.request.body, scope = buf_with_ceiling(4096);
	bool refresh = c->auth == CONNECTION_REFRESH_TOKEN;

	buf_wipe(b);
	*b = buf_with_ceiling(4 * TOKEN_BYTES_MAX);
	add_form(b, "grant_type", refresh ? "refresh_token" : "client_credentials", refresh ? 13 : 18);
	if (refresh)
		add_form(b, "refresh_token", buf_text(&t->fetch.refresh), t->fetch.refresh.n);
	if (c->oauth_scope)
		buf_adds(&scope, c->oauth_scope);
	else if (!refresh && role && *role)
		buf_addf(&scope, "session:role:%s", role);
	if (scope.n)
		add_form(b, "scope", buf_text(&scope), scope.n);
	buf_free(&scope);
	return !buf_failed(b);
}

static void send(struct token *t)
{
	struct fetch *f = &t->fetch;
	struct wire_request *rq = &f->request;
	struct buf basic = buf_with_ceiling(4 * TOKEN_BYTES_MAX);

	/* RFC 6749, 2.3.1: both encoded as in a form. */
	add_encoded(&basic, f->connection->oauth_client_id, strlen(f->connection->oauth_client_id));
	buf_addc(&basic, ':');
	add_encoded(&basic, f->connection->oauth_client_secret, strlen(f->connection->oauth_client_secret));
	rq->op = WIRE_TOKEN;
	rq->post = true;
	rq->connection = f->connection;
	rq->url = f->connection->oauth_token_request_url;
	rq->basic = buf_text(&basic);
	rq->bearer = rq->token_type = NULL;
	rq->timeout = FETCH_TIMEOUT;
	rq->connect_timeout = CONNECT_WITHIN;
	rq->answer = buf_with_ceiling(ANSWER_MAX);
	rq->result = WIRE_BROKEN;
	rq->status = 0;
	rq->retry_after_s = -1;
	rq->error[0] = '\0';
	rq->done = on_done;
	rq->owner = t;
	f->sent = true;
	metric_count(METRIC_upstream_requests, "token");
	metric_add(METRIC_upstream_in_flight, NULL, 1);
	snowflake.wire->send(snowflake.wire, rq);
	buf_wipe(&basic);
}

static void answer_drop(struct fetch *f)
{
	results_give(f->request.held);
	f->request.held = 0;
	buf_wipe(&f->request.answer);
}

/* ---- its end ---- */

static void fetch_over(struct fetch *f)
{
	timer_stop(&f->again);
	answer_drop(f);
	buf_wipe(&f->request.body);
	connection_free(f->connection);
	free(f->role);
	f->connection = NULL;
	f->role = NULL;
	f->under_way = false;
}

void fetch_stop(struct token *t)
{
	struct fetch *f = &t->fetch;

	if (!f->under_way)
		return;
	if (f->sent) {
		snowflake.wire->abort(snowflake.wire, &f->request);
		metric_add(METRIC_upstream_in_flight, NULL, -1);
		f->sent = false;
	}
	fetch_over(f);
}

/* The old refresh token may be used up already. */
bool fetch_must_end(const struct token *t)
{
	return t->fetch.sent && t->fetch.connection->auth == CONNECTION_REFRESH_TOKEN;
}

/* Servers may repeat in their texts what they were sent, and the text may have been cut within it. */
static void mask(char *text, const char *secret)
{
	size_t n = secret ? strlen(secret) : 0, length = strlen(text);
	char *at;

	for (char *from = text; n >= 4 && (at = strstr(from, secret)); from = at + n)
		memset(at, '*', n);
	for (size_t k = n < length ? n : length; k >= 4; k--)
		if (!memcmp(text + length - k, secret, k))
			memset(text + length - k, '*', k);
}

static void set_failed(struct fetch *f, bool passing)
{
	f->has_failed = true;
	f->failed = clock_now();
	f->passing = passing;
}

static void fail(struct token *t, bool passing)
{
	struct fetch *f = &t->fetch;

	set_failed(f, passing);
	log_event(LOG_WARN, "token_failed", log_text("connection", f->connection->name), log_text("reason", t->why));
	fetch_over(f);
	token_news(t);
}

static void say_refusal(struct token *t, struct oauth_answer *a)
{
	const struct connection *c = t->fetch.connection;
	bool grant = !strcmp(a->error, "invalid_grant"), client = !strcmp(a->error, "invalid_client");

	mask(a->error, c->oauth_client_secret);
	mask(a->description, c->oauth_client_secret);
	mask(a->error, buf_text(&t->fetch.refresh));
	mask(a->description, buf_text(&t->fetch.refresh));
	(void)snprintf(t->why, sizeof t->why, "the token endpoint %.100s answered HTTP %d%s%.60s%s%.200s; %s",
		       c->oauth_token_request_url, t->fetch.request.status, a->error[0] ? " " : "", a->error,
		       a->description[0] ? ": " : "", a->description,
		       grant && c->auth == CONNECTION_REFRESH_TOKEN
			   ? "the refresh token has ended or was taken back: get a new one"
		       : client ? "oauth_client_id or oauth_client_secret is wrong"
				: "check oauth_token_request_url, oauth_client_id and oauth_scope");
}

static void say_unanswered(struct token *t)
{
	const struct wire_request *rq = &t->fetch.request;

	if (rq->result == WIRE_ANSWERED)
		(void)snprintf(t->why, sizeof t->why, "the token endpoint %.100s has a problem of its own (HTTP %d)",
			       rq->url, rq->status);
	else
		(void)snprintf(t->why, sizeof t->why, "the token endpoint %.100s cannot be reached (%.160s)", rq->url,
			       rq->error[0] ? rq->error : "no answer");
}

/* What is worth another try at once: the network, 5xx, 429. */
static bool may_pass(const struct wire_request *rq)
{
	if (rq->result == WIRE_ANSWERED)
		return rq->status >= 500 || rq->status == 429;
	return rq->result != WIRE_TLS && rq->result != WIRE_TOO_LARGE;
}

static void on_again(struct timer *timer)
{
	struct token *t = container_of(timer, struct token, fetch.again);

	send(t);
}

static bool try_again(struct token *t, usec_t after)
{
	struct fetch *f = &t->fetch;

	if (++f->tries >= TRIES_MAX)
		return false;
	answer_drop(f);
	f->again.fire = on_again;
	timer_set(snowflake.wheel, &f->again, clock_now() + after);
	return true;
}

/* Another gateway may have used the refresh token and written the one that replaces it. */
static bool take_refresh_token(struct token *t, const struct connection *c)
{
	struct fetch *f = &t->fetch;
	struct buf fresh = buf_with_ceiling(TOKEN_BYTES_MAX);
	struct stamp stamp;
	bool changed;

	if (!c->oauth_refresh_token_file) {
		if (!f->refresh.n && c->oauth_refresh_token)
			buf_adds(&f->refresh, c->oauth_refresh_token);
		return false;
	}
	if (!stamp_of(c->oauth_refresh_token_file, &stamp) || stamp_is(&stamp, &f->refresh_stamp) ||
	    !token_file_read(c->oauth_refresh_token_file, &fresh, &stamp) || !fresh.n) {
		buf_wipe(&fresh);
		return false;
	}
	f->refresh_stamp = stamp;
	changed = f->refresh.n != fresh.n || memcmp(f->refresh.data, fresh.data, fresh.n) != 0;
	buf_wipe(&f->refresh);
	buf_add(&f->refresh, fresh.data, fresh.n);
	buf_wipe(&fresh);
	return changed;
}

static void keep_refresh_token(struct token *t, struct slice fresh)
{
	struct fetch *f = &t->fetch;
	const struct connection *c = f->connection;

	if (!fresh.n || (f->refresh.n == fresh.n && !memcmp(f->refresh.data, fresh.data, fresh.n)))
		return;
	buf_wipe(&f->refresh);
	buf_add(&f->refresh, fresh.data, fresh.n);
	if (!c->oauth_refresh_token_file)
		return;
	if (refresh_token_keep(c->oauth_refresh_token_file, fresh)) {
		(void)stamp_of(c->oauth_refresh_token_file, &f->refresh_stamp);
		return;
	}
	if (!f->unkept)
		log_event(LOG_WARN, "refresh_token_not_written", log_text("connection", c->name),
			  log_text("file", c->oauth_refresh_token_file),
			  log_text("reason",
				   "the file or its folder cannot be written; after a restart the old refresh "
				   "token is sent, which the server may refuse"));
	f->unkept = true;
}

static void take(struct token *t, struct oauth_answer *a)
{
	struct fetch *f = &t->fetch;
	int64_t now = clock_wall(), life = a->expires_in, expiry = token_expiry(buf_slice(&a->access_token));

	if (life <= 0)
		life = expiry > now ? expiry - now : LIFE_DEFAULT_S;
	buf_wipe(&t->bearer);
	buf_add(&t->bearer, a->access_token.data, a->access_token.n);
	t->minted = now;
	t->expires = now + life - (life / 4 < MARGIN_S ? life / 4 : MARGIN_S);
	t->renew_at = now + (life > 1 ? life * 4 / 5 : 1);
	f->has_failed = false;
	keep_refresh_token(t, buf_slice(&a->refresh_token));
	token_changed(t);
	log_event(LOG_DEBUG, "token_fetched", log_text("connection", f->connection->name), log_number("life_s", life));
	fetch_over(f);
	token_news(t);
}

static void on_answer(struct token *t)
{
	struct wire_request *rq = &t->fetch.request;
	struct oauth_answer a;
	bool read = oauth_answer_read(buf_slice(&rq->answer), &a), fine = read && rq->status == 200;

	if (fine && a.access_token.n) {
		take(t, &a);
	} else if (!strcmp(a.error, "invalid_grant") && take_refresh_token(t, t->fetch.connection) &&
		   fill_body(t, t->fetch.connection, t->fetch.role) && try_again(t, 0)) {
		/* with the refresh token that somebody else has written meanwhile */
	} else {
		say_refusal(t, &a);
		fail(t, false);
	}
	oauth_answer_free(&a);
}

static void on_done(struct wire_request *rq)
{
	struct token *t = rq->owner;

	OWNED_BY(THREAD_SNOWFLAKE);
	t->fetch.sent = false;
	metric_add(METRIC_upstream_in_flight, NULL, -1);
	if (may_pass(rq)) {
		metric_count(METRIC_upstream_failures, rq->result == WIRE_TIMEOUT    ? "timeout"
						       : rq->result == WIRE_ANSWERED ? "5xx"
										     : "network");
		if (try_again(t, AGAIN_FIRST + random_between(0, AGAIN_FIRST / 2)))
			return;
	}
	if (rq->result != WIRE_ANSWERED || may_pass(rq)) {
		say_unanswered(t);
		fail(t, true);
		return;
	}
	on_answer(t);
}

/* ---- its begin ---- */

static bool fetch_start(struct token *t, const struct identity *who)
{
	struct fetch *f = &t->fetch;
	const struct connection *c = who->connection;

	if (f->has_failed && clock_now() - f->failed < REFUSAL_LASTS)
		return false;
	(void)take_refresh_token(t, c);
	if (c->auth == CONNECTION_REFRESH_TOKEN && !f->refresh.n) {
		set_failed(f, false);
		(void)snprintf(t->why, sizeof t->why, "oauth_refresh_token_file cannot be read or is empty");
		return false;
	}
	if (!c->oauth_token_request_url || !c->oauth_client_id || !c->oauth_client_secret ||
	    !fill_body(t, c, who->role)) {
		set_failed(f, false);
		(void)snprintf(t->why, sizeof t->why, "the request for a token cannot be made of what is configured");
		return false;
	}
	f->connection = connection_copy(c);
	f->role = xstrdup(who->role ? who->role : "");
	f->under_way = true;
	f->tries = 0;
	send(t);
	return true;
}

enum token_state token_fetch(struct token *t, const struct identity *who, const char **why)
{
	int64_t now = clock_wall();
	bool usable = t->bearer.n && !t->refused && now < t->expires && now >= t->minted - 60;

	if (usable && now < t->renew_at)
		return TOKEN_READY;
	if (!t->fetch.under_way)
		(void)fetch_start(t, who);
	*why = t->why;
	if (usable)
		return TOKEN_READY;
	return t->fetch.under_way ? TOKEN_WAIT : t->fetch.passing ? TOKEN_LATER : TOKEN_FAILED;
}
