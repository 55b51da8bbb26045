/* UTF-8 and ASCII case for the sql layer: strict decoding, no locale. */
#include "text.h"

char sql_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static size_t lead_length(unsigned char lead)
{
	if (lead < 0x80)
		return 1;
	if (lead < 0xC2 || lead > 0xF4)
		return 0;
	return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

size_t sql_utf8_next(const char *p, const char *end, uint32_t *code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char lead = (unsigned char)*p;
	size_t n = lead_length(lead);
	uint32_t c = n == 1 ? lead : n ? lead & (0x7Fu >> n) : 0;

	if (!n || n > (size_t)(end - p))
		return 0;
	for (size_t i = 1; i < n; i++) {
		if (((unsigned char)p[i] & 0xC0) != 0x80)
			return 0;
		c = c << 6 | ((unsigned char)p[i] & 0x3Fu);
	}
	if (c < least[n] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
		return 0;
	*code = c;
	return n;
}

bool sql_is_bidi(uint32_t code)
{
	return code == 0x61C || code == 0x200E || code == 0x200F || (code >= 0x202A && code <= 0x202E) ||
	       (code >= 0x2066 && code <= 0x2069);
}

size_t sql_utf8_count(struct slice text)
{
	const char *end = text.data + text.n;
	size_t count = 0, n;
	uint32_t code;

	for (const char *p = text.data; p < end; p += n, count++) {
		n = sql_utf8_next(p, end, &code);
		if (!n)
			return SIZE_MAX;
	}
	return count;
}
