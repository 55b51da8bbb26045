/* Statement handles as clients see them: sealed when given, opened and checked when they come back. */
#include "tools_internal.h"

#include <string.h>

#define TAG_BYTES 16

static struct {
	struct sha256 v[16];
	size_t n;
	struct seal_keys cursors;
} keys; /* set once, before the first call */

void tools_set_keys(const struct sha256 *v, size_t n, const struct seal_keys *cursors)
{
	keys.n = n < ARRAY_LEN(keys.v) ? n : ARRAY_LEN(keys.v);
	memcpy(keys.v, v, keys.n * sizeof *v);
	keys.cursors = *cursors;
}

const struct seal_keys *cursor_keys(void)
{
	return &keys.cursors;
}

void part_add(struct buf *b, const char *text)
{
	size_t n = text ? strlen(text) : 0;

	buf_addf(b, "%zu:", n);
	buf_add(b, text ? text : "", n);
}

static struct sha256 tag_of(const uint8_t key[SHA256_BYTES], const char *query_id, const char *connection,
			    const char *role, const struct principal *p)
{
	struct buf b = buf_with_ceiling(4096);
	struct sha256 tag;

	part_add(&b, query_id);
	part_add(&b, connection);
	part_add(&b, role);
	principal_encode(&b, p);
	tag = crypt_hmac(key, b.data, b.n);
	buf_free(&b);
	return tag;
}

bool handle_seal(struct buf *b, const uint8_t key[SHA256_BYTES], const char *query_id, const char *connection,
		 const char *role, const struct principal *p)
{
	struct sha256 tag = tag_of(key, query_id, connection, role, p);

	return buf_addf(b, "%s.", query_id) && base32_encode(b, tag.bytes, TAG_BYTES);
}

bool handle_open(const struct sha256 *v, size_t n, struct slice text, const char *connection, const char *role,
		 const struct principal *p, char query_id[64])
{
	const char *dot = text.data ? memchr(text.data, '.', text.n) : NULL;
	size_t id_n = dot ? (size_t)(dot - text.data) : 0;
	struct buf tag = buf_with_ceiling(64);
	bool good = false;

	if (id_n == 0 || id_n >= 64)
		return false;
	memcpy(query_id, text.data, id_n);
	query_id[id_n] = '\0';
	if (strspn(query_id, "0123456789abcdefABCDEF-") == id_n &&
	    base32_decode(&tag, (struct slice){dot + 1, text.n - id_n - 1}) && tag.n == TAG_BYTES)
		for (size_t i = 0; i < n; i++) {
			struct sha256 want = tag_of(v[i].bytes, query_id, connection, role, p);

			good |= crypt_equal(tag.data, want.bytes, TAG_BYTES);
		}
	buf_free(&tag);
	return good;
}

const char *statement_handle_text(struct call *c, const struct statement *s)
{
	struct buf b = buf_with_ceiling(128);
	const char *text;

	if (!*s->handle || keys.n == 0)
		return "";
	handle_seal(&b, keys.v[0].bytes, s->handle, c->request->policy->connection->name, s->context.role,
		    &c->request->principal);
	text = arena_text(c->arena, &b);
	return text ? text : "";
}

static bool opens_as(const struct call *c, struct slice text, const char *role, char query_id[64])
{
	return handle_open(keys.v, keys.n, text, c->request->policy->connection->name, role, &c->request->principal,
			   query_id);
}

/* The tag tells no role: the ones this policy allows now are tried, so a role that was taken away opens nothing. */
bool handle_opens(const struct call *c, struct slice text, char query_id[64])
{
	const struct policy *p = c->request->policy;

	if (p->roles.n == 0)
		return opens_as(c, text, p->connection->role, query_id) || opens_as(c, text, NULL, query_id);
	for (size_t i = 0; i < p->roles.n; i++)
		if (opens_as(c, text, p->roles.v[i], query_id))
			return true;
	return false;
}

int argument_handle(struct call *c, char query_id[64])
{
	if (require_connection(c) != ERR_OK)
		return ERR_UPSTREAM;
	if (handle_opens(c, slice_of(json_text_of(c->arguments, "statement_handle")), query_id))
		return ERR_OK;
	tool_error(c, ERR_HANDLE, NULL, NULL,
		   "statement_handle: unknown; use a handle as an answer of execute_query gave it, whole");
	return ERR_HANDLE;
}
