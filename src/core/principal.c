/* Who calls: equality and the bytes that signatures are made over. */
#include "snowgate/principal.h"

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
