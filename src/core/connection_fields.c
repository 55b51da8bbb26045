/* The table of a connection's fields: their names and spellings, its identity, its copy, its end. */
#include <string.h>
#include "conf_internal.h"
#include "snowgate/crypt.h"

enum { CONTEXT = 4, REREAD = 8, TEXT_MAX = 128 * 1024 };

static const struct field {
	const char *key;
	unsigned flags;
	size_t offset;
	bool member;
} fields[] = {
#define FIELD(key, flags, doc) {#key, flags, offsetof(struct connection, key), true},
#define INPUT(key, flags, doc) {#key, flags, 0, false},
#include "snowgate/tbl/connection.def"
#undef FIELD
#undef INPUT
};

static const struct authenticator authenticators[] = {
#define AUTHENTICATOR(id, name, type, takes, check) {name, type, takes, check},
#include "snowgate/tbl/authenticator.def"
#undef AUTHENTICATOR
};

const struct authenticator *authenticator_of(enum connection_auth auth)
{
	assert(auth >= 0 && auth < CONNECTION_AUTHS_N);
	return &authenticators[auth];
}

static const char **text_of(const struct connection *c, const struct field *f)
{
	return (const char **)((char *)c + f->offset);
}

/* Other spellings, as Snowflake's tools and their users have them. */
static const char *const aliases[][2] = {
    {"private_key_path", "private_key_file"},
    {"private_key_path_2", "private_key_file_2"},
    {"private_key_file_pwd", "private_key_passphrase"},
    {"token_file_path", "token_file"},
    {"username", "user"},
};

const char *field_canonical(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
		if (strcmp(aliases[i][0], name) == 0)
			return aliases[i][1];
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (strcmp(fields[i].key, name) == 0)
			return fields[i].key;
	return NULL;
}

const char *field_spelling(size_t n)
{
	if (n < ARRAY_LEN(fields))
		return fields[n].key;
	n -= ARRAY_LEN(fields);
	return n < ARRAY_LEN(aliases) ? aliases[n][0] : NULL;
}

bool field_is_secret(const char *canonical)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (strcmp(fields[i].key, canonical) == 0)
			return fields[i].flags & SECRET;
	return false;
}

void field_names(struct names *names)
{
	static_assert(ARRAY_LEN(fields) <= ARRAY_LEN(names->v), "struct names is too small");
	names->n = 0;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		names->v[names->n++] = fields[i].key;
}

/* Names of fields that replace one another: whoever is given later displaces the other. */
const char *field_rival(const char *field)
{
	static const char *const pairs[][2] = {{"token", "token_file"},
					       {"private_key_raw", "private_key_file"},
					       {"private_key_raw_2", "private_key_file_2"},
					       {"private_key_passphrase", "private_key_passphrase_file"},
					       {"private_key_passphrase_2", "private_key_passphrase_2_file"},
					       {"oauth_client_secret", "oauth_client_secret_file"},
					       {"oauth_refresh_token", "oauth_refresh_token_file"},
					       {"proxy_password", "proxy_password_file"}};
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		if (strcmp(field, pairs[i][0]) == 0)
			return pairs[i][1];
		if (strcmp(field, pairs[i][1]) == 0)
			return pairs[i][0];
	}
	return NULL;
}

bool node_holds_secret(const struct node *n)
{
	for (const struct node *child = n->first; child; child = child->next) {
		const char *name = child->key ? field_canonical(child->key) : NULL;
		bool here = child->kind == NODE_SCALAR && !child->hidden && name && field_is_secret(name);
		if (here || node_holds_secret(child))
			return true;
	}
	return false;
}

/* Whether the text is what a file held, which is read again: the one before it names the file. */
static bool is_reread(const struct connection *c, const struct field *f)
{
	return f->flags & REREAD && *text_of(c, f - 1);
}

void connection_identify(struct connection *c)
{
	struct buf b = buf_with_ceiling((size_t)1 << 20);
	buf_addf(&b, "%d:%lld:%lld:", (int)c->auth, (long long)c->port, (long long)c->proxy_port);
	for (const struct field *f = fields; f < fields + ARRAY_LEN(fields); f++) {
		const char *text = !f->member || f->flags & CONTEXT || is_reread(c, f) ? NULL : *text_of(c, f);
		buf_addf(&b, "%zu:", text ? strlen(text) : 0);
		buf_adds(&b, text ? text : "");
	}
	struct sha256 id = crypt_sha256(b.data, b.n);
	static_assert(sizeof(id) == sizeof(c->id), "the id is a SHA-256");
	memcpy(c->id, &id, sizeof(id));
	if (b.data)
		crypt_wipe(b.data, b.n);
	buf_free(&b);
}

struct connection *connection_copy(const struct connection *c)
{
	struct connection *copy = xalloc(sizeof(*copy));
	*copy = *c;
	copy->users = NULL;
	copy->users_n = 0;
	copy->name = xstrdup(c->name ? c->name : "");
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (fields[i].member && *text_of(c, &fields[i]))
			*text_of(copy, &fields[i]) = xstrdup(*text_of(c, &fields[i]));
	return copy;
}

void connection_wipe(const struct connection *c)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		const char *text = fields[i].member ? *text_of(c, &fields[i]) : NULL;
		if (text && fields[i].flags & SECRET)
			crypt_wipe((char *)text, strlen(text));
	}
}

void connection_free(struct connection *c)
{
	if (!c)
		return;
	connection_wipe(c);
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (fields[i].member)
			free((char *)*text_of(c, &fields[i]));
	free((char *)c->name);
	free(c);
}

bool connection_is_per_user(const struct connection *c)
{
	return c->auth == CONNECTION_EXTERNAL;
}

static int by_subject(const void *subject, const void *user)
{
	return strcmp(subject, ((const struct connection_user *)user)->subject);
}

/* The template with each {subject} filled in. */
static bool add_filled(struct buf *login, const char *template, const char *subject)
{
	static const char mark[] = "{subject}";
	const char *at;
	while ((at = strstr(template, mark))) {
		buf_add(login, template, (size_t)(at - template));
		buf_adds(login, subject);
		template = at + sizeof(mark) - 1;
	}
	return buf_adds(login, template);
}

bool connection_login(const struct connection *c, const struct principal *p, struct buf *login)
{
	const struct connection_user *found;
	if (!connection_is_per_user(c))
		return buf_adds(login, c->user ? c->user : "");
	if (!p || !*p->subject || (p->kind != PRINCIPAL_KEY && p->kind != PRINCIPAL_LOCAL))
		return false;
	found = c->users_n ? bsearch(p->subject, c->users, c->users_n, sizeof(*c->users), by_subject) : NULL;
	if (found)
		return buf_adds(login, found->login);
	return c->user && add_filled(login, c->user, p->subject);
}
