/* Text that others wrote, put into a sentence of ours: on one line, cut between characters. */
#include "tools_internal.h"

#include <string.h>

/* The bytes of the character at `at`; never past the end. */
static size_t character_length(struct slice text, size_t at)
{
	size_t n = 1;

	while (at + n < text.n && ((unsigned char)text.data[at + n] & 0xC0) == 0x80)
		n++;
	return n;
}

bool plain_add(struct buf *b, struct slice text, size_t *left)
{
	size_t at = 0;

	for (; at<text.n && * left> 0; --*left) {
		size_t n = character_length(text, at);
		unsigned char c = (unsigned char)text.data[at];

		if (c < 0x20 || c == 0x7F)
			buf_addc(b, ' ');
		else
			buf_add(b, text.data + at, n);
		at += n;
	}
	return at == text.n;
}

void told_within(struct call *c, struct buf *b, struct slice text)
{
	size_t n = text.n < c->budget.bytes ? text.n : c->budget.bytes;

	while (n && n < text.n && ((unsigned char)text.data[n] & 0xC0) == 0x80)
		n--;
	buf_add(b, text.data, n);
	if (n < text.n)
		buf_addf(b, "\xe2\x80\xa6 (%zu more bytes)", text.n - n);
	c->budget.bytes -= n;
}

void plain_ident(struct buf *b, const char *name)
{
	static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_", rest[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789$";

	if (*name && strchr(first, *name) && name[strspn(name, rest)] == '\0')
		buf_adds(b, name);
	else
		sql_quote_ident(b, name);
}
