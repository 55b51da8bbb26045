/* Who calls: equality, the bytes that signatures are made over, and what records say. */
#include "snowgate/principal.h"

#include <stdio.h>
#include <string.h>

bool principal_equal(const struct principal *a, const struct principal *b)
{
	return a->kind == b->kind && !strcmp(a->issuer, b->issuer) && !strcmp(a->subject, b->subject);
}

static bool add_text(struct buf *b, const char *text)
{
	size_t n = strlen(text);
	return buf_addc(b, (char)(n >> 8)) && buf_addc(b, (char)(n & 0xFF)) && buf_add(b, text, n);
}

bool principal_encode(struct buf *b, const struct principal *p)
{
	return buf_addc(b, (char)p->kind) && add_text(b, p->issuer) && add_text(b, p->subject);
}

/* ---- records ---- */

static const char *const kinds[] = {
    [PRINCIPAL_NONE] = "none", [PRINCIPAL_LOCAL] = "local", [PRINCIPAL_KEY] = "key", [PRINCIPAL_TOKEN] = "token"};

static void put_text(json_t *o, const char *key, const char *text)
{
	json_t *value = *text ? json_string(text) : NULL;

	if (value)
		json_object_set_new(o, key, value);
}

json_t *principal_json(const struct principal *p)
{
	json_t *o = json_object();

	put_text(o, "kind", kinds[p->kind]);
	put_text(o, "issuer", p->issuer);
	put_text(o, "subject", p->subject);
	put_text(o, "group", p->group);
	return o;
}

static bool get_text(char *out, size_t size, const json_t *o, const char *key)
{
	const char *text = json_text_of(o, key);

	if (text && strlen(text) >= size)
		return false;
	snprintf(out, size, "%s", text ? text : "");
	return true;
}

bool principal_from_json(struct principal *p, const json_t *o)
{
	const char *kind = json_text_of(o, "kind");

	*p = (struct principal){0};
	for (size_t i = PRINCIPAL_LOCAL; kind && i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i], kind) == 0)
			p->kind = (enum principal_kind)i;
	return p->kind != PRINCIPAL_NONE && get_text(p->issuer, sizeof p->issuer, o, "issuer") &&
	       get_text(p->subject, sizeof p->subject, o, "subject") && get_text(p->group, sizeof p->group, o, "group");
}
