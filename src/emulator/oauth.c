/* The token endpoint: clients, grants, refresh tokens. */
#include "oauth.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "reply.h"
#include "snowgate/crypt.h"

#define REFRESH_MAX 4096 /* refresh tokens that are known; the oldest go */
#define FORM_MAX    ((size_t)64 << 10)

struct client {
	char *id, *secret, *user, *roles;
	int64_t access_s, refresh_s;
	bool rotates;
	struct client *next;
};

struct refresh {
	char *token, *scope;
	const struct client *client;
	int64_t expires_s;
};

struct oauth {
	struct keyring *keyring;
	struct client *clients;
	struct refresh refreshes[REFRESH_MAX];
	size_t refreshes_next;
};

/* One request's form. Texts are owned. */
struct form {
	char *grant_type, *scope, *refresh_token, *client_id, *client_secret;
};

static void client_free(struct client *client)
{
	free(client->id);
	free(client->secret);
	free(client->user);
	free(client->roles);
	free(client);
}

static void refresh_clear(struct refresh *refresh)
{
	free(refresh->token);
	free(refresh->scope);
	memset(refresh, 0, sizeof(*refresh));
}

struct oauth *oauth_new(struct keyring *keyring)
{
	struct oauth *oauth = xalloc(sizeof(*oauth));

	oauth->keyring = keyring;
	return oauth;
}

void oauth_free(struct oauth *oauth)
{
	for (struct client *client = oauth->clients, *next; client; client = next) {
		next = client->next;
		client_free(client);
	}
	for (size_t i = 0; i < REFRESH_MAX; i++)
		refresh_clear(&oauth->refreshes[i]);
	free(oauth);
}

static struct client *client_find(const struct oauth *oauth, const char *id)
{
	struct client *client = oauth->clients;

	while (client && strcmp(client->id, id))
		client = client->next;
	return client;
}

static void client_drop(struct oauth *oauth, const char *id)
{
	struct client *client = client_find(oauth, id), **link = &oauth->clients;

	if (!client)
		return;
	for (size_t i = 0; i < REFRESH_MAX; i++) {
		if (oauth->refreshes[i].client == client)
			refresh_clear(&oauth->refreshes[i]);
	}
	while (*link != client)
		link = &(*link)->next;
	*link = client->next;
	client_free(client);
}

static void refresh_add(struct oauth *oauth, const struct client *client, const char *token, const char *scope)
{
	struct refresh *refresh = &oauth->refreshes[oauth->refreshes_next++ % REFRESH_MAX];

	refresh_clear(refresh);
	*refresh =
	    (struct refresh){xstrdup(token), xstrdup(scope), client, keyring_clock(oauth->keyring) + client->refresh_s};
}

void oauth_set_client(struct oauth *oauth, const struct oauth_client_spec *spec)
{
	struct client *client = xalloc(sizeof(*client));

	client_drop(oauth, spec->id);
	client->id = xstrdup(spec->id);
	client->secret = xstrdup(spec->secret);
	client->user = xstrdup(spec->user);
	client->roles = spec->roles ? xstrdup(spec->roles) : NULL;
	client->access_s = spec->access_s ? spec->access_s : OAUTH_ACCESS_S;
	client->refresh_s = spec->refresh_s ? spec->refresh_s : OAUTH_REFRESH_S;
	client->rotates = spec->rotates;
	client->next = oauth->clients;
	oauth->clients = client;
	if (spec->refresh_token)
		refresh_add(oauth, client, spec->refresh_token, "");
}

/* ---- the request ---- */

static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* application/x-www-form-urlencoded. NULL when it is malformed. */
static char *form_decode(const char *text, size_t n)
{
	struct buf out = buf_with_ceiling(FORM_MAX);
	char *copy = NULL;
	size_t i;

	for (i = 0; i < n; i++) {
		if (text[i] != '%') {
			buf_addc(&out, text[i] == '+' ? ' ' : text[i]);
			continue;
		}
		if (i + 2 >= n || hex_of(text[i + 1]) < 0 || hex_of(text[i + 2]) < 0 ||
		    (text[i + 1] == '0' && text[i + 2] == '0'))
			break;
		buf_addc(&out, (char)(hex_of(text[i + 1]) * 16 + hex_of(text[i + 2])));
		i += 2;
	}
	if (i == n)
		copy = xstrdup(buf_text(&out));
	buf_free(&out);
	return copy;
}

static void form_free(struct form *form)
{
	free(form->grant_type);
	free(form->scope);
	free(form->refresh_token);
	free(form->client_id);
	free(form->client_secret);
}

static bool form_take(struct form *form, const char *name, size_t name_n, const char *value, size_t n)
{
	const struct {
		const char *name;
		char **member;
	} members[] = {
	    {"grant_type", &form->grant_type},       {"scope", &form->scope},
	    {"refresh_token", &form->refresh_token}, {"client_id", &form->client_id},
	    {"client_secret", &form->client_secret},
	};

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		if (strncmp(members[i].name, name, name_n) || members[i].name[name_n])
			continue;
		if (*members[i].member)
			return false; /* no parameter twice */
		*members[i].member = form_decode(value, n);
		return *members[i].member != NULL;
	}
	return true;
}

static bool form_read(const char *p, struct form *form)
{
	memset(form, 0, sizeof(*form));
	while (*p) {
		size_t n = strcspn(p, "&"), name = strcspn(p, "=&");

		if (n && (name == n || !form_take(form, p, name, p + name + 1, n - name - 1)))
			return false;
		p += n + (p[n] == '&');
	}
	return true;
}

/* HTTP Basic goes before the form's members. */
static void basic_read(const char *authorization, struct form *form)
{
	struct buf text = buf_with_ceiling(FORM_MAX);
	const char *colon;

	if (authorization && !strncasecmp(authorization, "Basic ", 6) &&
	    base64_decode(&text, slice_of(authorization + 6)) && (colon = strchr(buf_text(&text), ':'))) {
		free(form->client_id);
		free(form->client_secret);
		form->client_id = form_decode(buf_text(&text), (size_t)(colon - buf_text(&text)));
		form->client_secret = form_decode(colon + 1, strlen(colon + 1));
	}
	buf_free(&text);
}

/* ---- the answer ---- */

static void oauth_refuse(struct exchange *e, unsigned status, const char *error, const char *why)
{
	reply_json(e, status,
		   json_pack("{s:s,s:s,s:s,s:b,s:n,s:n}", "error", error, "error_description", why, "message", why,
			     "success", 0, "data", "code"));
	if (status == 401)
		answer_header(&e->answer, "WWW-Authenticate", "Basic realm=\"snowflake\"");
}

static void token_make(const char *prefix, char out[64])
{
	uint8_t random[24];

	crypt_random(random, sizeof(random));
	(void)snprintf(out, 64, "%s", prefix);
	for (size_t i = 0; i < sizeof(random); i++)
		(void)snprintf(out + strlen(prefix) + 2 * i, 3, "%02x", random[i]);
}

static bool role_is_listed(const char *roles, const char *role)
{
	size_t n = strlen(role);

	for (const char *p = roles; p && *p; p += strcspn(p, ","), p += *p == ',') {
		if (strcspn(p, ",") == n && !strncasecmp(p, role, n))
			return true;
	}
	return !roles;
}

/* The roles of a scope into `roles`, "" for none. False when it asks for what the client may not have. */
static bool scope_allows(const struct client *client, const char *scope, struct buf *roles)
{
	static const char fixed[] = "session:role:";
	char word[256];

	for (const char *p = scope; *p;) {
		size_t n = strcspn(p, " ");

		(void)snprintf(word, sizeof(word), "%.*s", (int)(n < 255 ? n : 255), p);
		p += n + (p[n] == ' ');
		if (!*word || !strcmp(word, "refresh_token") || !strcmp(word, "session:role-any"))
			continue;
		if (strncmp(word, fixed, strlen(fixed)) || !role_is_listed(client->roles, word + strlen(fixed)))
			return false;
		buf_adds(roles, roles->n ? "," : "");
		for (const char *c = word + strlen(fixed); *c; c++)
			buf_addc(roles, (char)toupper((unsigned char)*c));
	}
	return true;
}

static void grant(struct oauth *oauth, struct exchange *e, const struct client *client, const char *scope,
		  bool with_refresh)
{
	struct buf roles = buf_with_ceiling(4096);
	char access[64], refresh[64];
	json_t *body;

	if (!scope_allows(client, scope, &roles)) {
		oauth_refuse(e, 400, "invalid_scope", "The requested scope is invalid.");
		buf_free(&roles);
		return;
	}
	token_make("ver:1-hint:", access);
	keyring_add(oauth->keyring, TOKEN_OAUTH, access, client->user, roles.n ? buf_text(&roles) : client->roles,
		    keyring_clock(oauth->keyring) + client->access_s);
	body = json_pack("{s:s,s:s,s:I,s:s,s:b}", "access_token", access, "token_type", "Bearer", "expires_in",
			 (json_int_t)client->access_s, "username", client->user, "idpInitiated", 0);
	if (*scope)
		json_object_set_new(body, "scope", json_string(scope));
	if (with_refresh) {
		token_make("ver:2-hint:", refresh);
		refresh_add(oauth, client, refresh, scope);
		json_object_set_new(body, "refresh_token", json_string(refresh));
		json_object_set_new(body, "refresh_token_expires_in", json_integer(client->refresh_s));
	}
	reply_json(e, 200, body);
	answer_header(&e->answer, "Cache-Control", "no-store");
	buf_free(&roles);
}

static struct refresh *refresh_find(struct oauth *oauth, const struct client *client, const char *token)
{
	for (size_t i = 0; i < REFRESH_MAX; i++) {
		struct refresh *r = &oauth->refreshes[i];

		if (r->token && r->client == client && !strcmp(r->token, token))
			return r->expires_s > keyring_clock(oauth->keyring) ? r : NULL;
	}
	return NULL;
}

static void grant_refresh(struct oauth *oauth, struct exchange *e, const struct client *client, const struct form *form)
{
	struct refresh *refresh = form->refresh_token ? refresh_find(oauth, client, form->refresh_token) : NULL;
	char *scope;

	if (!form->refresh_token) {
		oauth_refuse(e, 400, "invalid_request", "The parameter refresh_token is missing.");
		return;
	}
	if (!refresh) {
		oauth_refuse(e, 400, "invalid_grant", "This is an invalid grant.");
		return;
	}
	scope = xstrdup(form->scope ? form->scope : refresh->scope);
	if (client->rotates)
		refresh_clear(refresh);
	grant(oauth, e, client, scope, client->rotates);
	free(scope);
}

static void serve_form(struct oauth *oauth, struct exchange *e, const struct form *form)
{
	const struct client *client = form->client_id ? client_find(oauth, form->client_id) : NULL;

	if (!client || !form->client_secret || strlen(client->secret) != strlen(form->client_secret) ||
	    !crypt_equal(client->secret, form->client_secret, strlen(client->secret)))
		oauth_refuse(e, 401, "invalid_client", "This is an invalid client.");
	else if (!form->grant_type)
		oauth_refuse(e, 400, "invalid_request", "The parameter grant_type is missing.");
	else if (!strcmp(form->grant_type, "client_credentials"))
		grant(oauth, e, client, form->scope ? form->scope : "", false);
	else if (!strcmp(form->grant_type, "refresh_token"))
		grant_refresh(oauth, e, client, form);
	else
		oauth_refuse(e, 400, "unsupported_grant_type", "This is an unsupported grant type.");
}

void oauth_serve(struct oauth *oauth, struct exchange *e)
{
	static const char type[] = "application/x-www-form-urlencoded";
	const char *given = exchange_header(e, "Content-Type");
	struct form form = {0};

	if (!given || strncasecmp(given, type, strlen(type)) || e->body_too_large ||
	    memchr(e->body.data ? e->body.data : "", 0, e->body.n) || !form_read(buf_text(&e->body), &form)) {
		oauth_refuse(e, 400, "invalid_request", "The request is not a form, or holds a parameter twice.");
	} else {
		basic_read(exchange_header(e, "Authorization"), &form);
		serve_form(oauth, e, &form);
	}
	form_free(&form);
}
