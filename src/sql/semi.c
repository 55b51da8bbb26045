/* Checks JSON text within a cell, and writes it again without its white space; one pass, nothing allocated. */
#include <string.h>

#include "semi.h"
#include "text.h"

#define SEMI_DEPTH_MAX 256

struct semi {
	const char *at, *end;
	struct buf *out;
	size_t n; /* bytes without white space */
	size_t depth;
	bool in_object[SEMI_DEPTH_MAX];
};

static bool emit(struct semi *s, const char *text, size_t n)
{
	s->n += n;
	return !s->out || buf_add(s->out, text, n);
}

static void skip_space(struct semi *s)
{
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r'))
		s->at++;
}

static size_t escape_length(const char *p, const char *end)
{
	if (p + 1 >= end)
		return 0;
	if (p[1] != 'u')
		return strchr("\"\\/bfnrt", p[1]) && p[1] ? 2 : 0;
	if (end - p < 6)
		return 0;
	for (int i = 2; i < 6; i++)
		if (!strchr("0123456789abcdefABCDEF", p[i]) || !p[i])
			return 0;
	return 6;
}

static bool semi_string(struct semi *s)
{
	const char *start = s->at, *p = s->at + 1;
	uint32_t code;
	size_t n;

	while (p < s->end && *p != '"') {
		if (*p == '\\')
			n = escape_length(p, s->end);
		else
			n = (unsigned char)*p < 0x20   ? 0
			    : (unsigned char)*p < 0x80 ? 1
						       : sql_utf8_next(p, s->end, &code);
		if (!n)
			return false;
		p += n;
	}
	if (p == s->end)
		return false;
	s->at = p + 1;
	return emit(s, start, (size_t)(s->at - start));
}

static size_t digits(const char *p, const char *end)
{
	const char *start = p;

	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return (size_t)(p - start);
}

size_t semi_number_length(const char *p, const char *end)
{
	const char *start = p;
	size_t n;

	p += p < end && *p == '-';
	n = digits(p, end);
	if (!n || (n > 1 && *p == '0'))
		return 0;
	p += n;
	if (p < end && *p == '.') {
		n = digits(p + 1, end);
		if (!n)
			return 0;
		p += 1 + n;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		p += p < end && (*p == '+' || *p == '-');
		n = digits(p, end);
		if (!n)
			return 0;
		p += n;
	}
	return (size_t)(p - start);
}

static bool semi_word(struct semi *s)
{
	static const char *const words[] = {"null", "true", "false"};
	size_t n = semi_number_length(s->at, s->end);

	for (size_t i = 0; !n && i < ARRAY_LEN(words); i++) {
		size_t length = strlen(words[i]);

		if ((size_t)(s->end - s->at) >= length && memcmp(s->at, words[i], length) == 0)
			n = length;
	}
	if (!n || !emit(s, s->at, n))
		return false;
	s->at += n;
	return true;
}

static bool semi_sign(struct semi *s, char sign)
{
	skip_space(s);
	if (s->at == s->end || *s->at != sign)
		return false;
	s->at++;
	return emit(s, &sign, 1);
}

/* "name": in front of a value. */
static bool semi_key(struct semi *s)
{
	skip_space(s);
	return s->at < s->end && *s->at == '"' && semi_string(s) && semi_sign(s, ':');
}

/* Opens an array or object; sets *empty when it is closed at once. */
static bool semi_open(struct semi *s, bool *empty)
{
	bool object = *s->at == '{';

	*empty = false;
	if (s->depth == SEMI_DEPTH_MAX || !semi_sign(s, *s->at))
		return false;
	skip_space(s);
	if (s->at < s->end && *s->at == (object ? '}' : ']')) {
		*empty = true;
		return semi_sign(s, *s->at);
	}
	s->in_object[s->depth++] = object;
	return !object || semi_key(s);
}

/* Behind a value: closes what ends here; true with *more where another value follows. */
static bool semi_after(struct semi *s, bool *more)
{
	for (*more = false; s->depth; s->depth--) {
		bool object = s->in_object[s->depth - 1];

		skip_space(s);
		if (s->at < s->end && *s->at == ',') {
			*more = true;
			return semi_sign(s, ',') && (!object || semi_key(s));
		}
		if (!semi_sign(s, object ? '}' : ']'))
			return false;
	}
	return true;
}

/* Checks the text, and writes it without white space where there is a buffer. Not recursive: the text is a stranger's.
 */
static bool semi_run(struct semi *s)
{
	bool more = true;

	while (more) {
		skip_space(s);
		if (s->at == s->end)
			return false;
		if (*s->at == '{' || *s->at == '[') {
			bool empty;

			if (!semi_open(s, &empty))
				return false;
			if (!empty)
				continue;
		} else if (!(*s->at == '"' ? semi_string(s) : semi_word(s))) {
			return false;
		}
		if (!semi_after(s, &more))
			return false;
	}
	skip_space(s);
	return s->at == s->end;
}

bool semi_is_json(const char *text, size_t n, size_t *compact)
{
	struct semi s;

	s.at = text;
	s.end = text + n;
	s.out = NULL;
	s.n = s.depth = 0;
	if (!semi_run(&s))
		return false;
	*compact = s.n;
	return true;
}

bool semi_json_write(struct buf *out, const char *text, size_t n)
{
	struct semi s;

	s.at = text;
	s.end = text + n;
	s.out = out;
	s.n = s.depth = 0;
	return semi_run(&s);
}
