/* Allocation that never returns NULL, slices, and the two scanners everybody needs: decimal integers and UTF-8. */
#include "snowgate/base.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void *checked(void *memory)
{
	static const char text[] = "snowgate: out of memory\n";
	if (!memory) {
		ssize_t ignored UNUSED = write(STDERR_FILENO, text, sizeof(text) - 1);
		abort();
	}
	return memory;
}

void *xalloc(size_t size)
{
	return checked(calloc(1, size ? size : 1));
}

void *xrealloc(void *memory, size_t size)
{
	return checked(realloc(memory, size ? size : 1));
}

char *xstrdup(const char *text)
{
	return xstrndup(text, strlen(text));
}

char *xstrndup(const char *text, size_t n)
{
	size_t length = strnlen(text, n);
	char *copy = checked(malloc(length + 1));
	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

struct slice slice_of(const char *text)
{
	return (struct slice){text, text ? strlen(text) : 0};
}

bool slice_is(struct slice s, const char *text)
{
	return s.data && strlen(text) == s.n && memcmp(s.data, text, s.n) == 0;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool slice_is_nocase(struct slice s, const char *text)
{
	if (!s.data || strlen(text) != s.n)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (lower(s.data[i]) != lower(text[i]))
			return false;
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s)
{
	while (s.n && is_blank(s.data[0]))
		s.data++, s.n--;
	while (s.n && is_blank(s.data[s.n - 1]))
		s.n--;
	return s;
}

bool parse_int(const char *text, int64_t min, int64_t max, int64_t *out)
{
	const char *digits = text && *text == '-' ? text + 1 : text;
	if (!digits || *digits < '0' || *digits > '9')
		return false;
	char *end;
	errno = 0;
	long long value = strtoll(text, &end, 10);
	if (errno || *end || value < min || value > max)
		return false;
	*out = value;
	return true;
}

/* The well-formed sequences of Unicode table 3-7: the second byte's range is what keeps out overlong forms, surrogates
 * and what lies beyond U+10FFFF. */
static size_t sequence_of(uint8_t lead, uint8_t *low, uint8_t *high)
{
	*low = 0x80;
	*high = 0xBF;
	if (lead >= 0xC2 && lead <= 0xDF)
		return 2;
	if (lead >= 0xE0 && lead <= 0xEF) {
		*low = lead == 0xE0 ? 0xA0 : 0x80;
		*high = lead == 0xED ? 0x9F : 0xBF;
		return 3;
	}
	if (lead >= 0xF0 && lead <= 0xF4) {
		*low = lead == 0xF0 ? 0x90 : 0x80;
		*high = lead == 0xF4 ? 0x8F : 0xBF;
		return 4;
	}
	return 0;
}

size_t utf8_sequence(const char *text, size_t n)
{
	const uint8_t *bytes = (const uint8_t *)text;
	if (!n)
		return 0;
	if (bytes[0] < 0x80)
		return 1;
	uint8_t low, high;
	size_t length = sequence_of(bytes[0], &low, &high);
	if (!length || length > n || bytes[1] < low || bytes[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((bytes[i] & 0xC0) != 0x80)
			return 0;
	return length;
}

bool utf8_valid(struct slice s)
{
	for (size_t at = 0; at < s.n;) {
		size_t length = utf8_sequence(s.data + at, s.n - at);
		if (!length)
			return false;
		at += length;
	}
	return true;
}
