/* Checks JSON text within a cell, and writes it again without its white space; nothing allocated. */
#include "semi.h"

#include <strings.h>

#include "scan.h"

#define SEMI_DEPTH_MAX 256

struct semi {
	const char *at, *end;
	struct semi_facts facts;
	size_t depth;
	bool in_object[SEMI_DEPTH_MAX];
};

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
	const char *start = s->at, *p = scan_plain(s->at + 1, s->end);

	while (p < s->end && *p == '\\') {
		size_t n = escape_length(p, s->end);

		if (!n)
			return false;
		p = scan_plain(p + n, s->end);
	}
	if (p == s->end || *p != '"')
		return false;
	s->at = p + 1;
	s->facts.compact += (size_t)(s->at - start);
	s->facts.has_signs = true;
	return true;
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

/* One of the words at `p`; in either case. */
static size_t word_length(const char *p, const char *end, const char *const words[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t length = strlen(words[i]);

		if ((size_t)(end - p) >= length && strncasecmp(p, words[i], length) == 0)
			return length;
	}
	return 0;
}

size_t semi_no_number_length(const char *p, const char *end)
{
	static const char *const words[] = {"nan", "infinity", "inf"};
	size_t sign = p < end && (*p == '-' || *p == '+');
	size_t n = word_length(p + sign, end, words, ARRAY_LEN(words));

	return n ? sign + n : 0;
}

static size_t undefined_length(const char *p, const char *end)
{
	static const char *const words[] = {"undefined"};

	return word_length(p, end, words, 1);
}

static size_t json_word_length(const char *p, const char *end)
{
	static const struct slice words[] = {{"null", 4}, {"true", 4}, {"false", 5}};
	size_t n = semi_number_length(p, end);

	for (size_t i = 0; !n && i < ARRAY_LEN(words); i++)
		if ((size_t)(end - p) >= words[i].n && memcmp(p, words[i].data, words[i].n) == 0)
			n = words[i].n;
	return n;
}

static bool semi_word(struct semi *s)
{
	size_t n = json_word_length(s->at, s->end);

	if (!n) {
		n = undefined_length(s->at, s->end);
		n = n ? n : semi_no_number_length(s->at, s->end);
		s->facts.has_words = true;
	}
	s->at += n;
	s->facts.compact += n;
	return n > 0;
}

static bool semi_sign(struct semi *s, char sign)
{
	skip_space(s);
	if (s->at == s->end || *s->at != sign)
		return false;
	s->at++;
	s->facts.compact++;
	s->facts.has_signs = s->facts.has_signs || sign == ',';
	return true;
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

/* Not recursive: the text is a stranger's. */
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

bool semi_read(const char *text, size_t n, struct semi_facts *facts)
{
	struct semi s;

	s.at = text;
	s.end = text + n;
	s.facts = (struct semi_facts){0, false, false};
	s.depth = 0;
	if (!semi_run(&s))
		return false;
	*facts = s.facts;
	return true;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* The end of the string, or of what is neither string nor white space, that begins at `p`. */
static const char *run_end(const char *p, const char *end)
{
	if (*p != '"') {
		while (p < end && *p != '"' && !is_space(*p))
			p++;
		return p;
	}
	for (p = scan_plain(p + 1, end); *p != '"'; p = scan_plain(p, end))
		p += 2;
	return p + 1;
}

/* Signs, numbers and words; words that JSON has not become null. */
static void json_run(struct sink *s, const char *p, const char *end)
{
	while (p < end) {
		const char *start = p;
		size_t n;

		while (p < end && !strchr("[]{},:", *p))
			p++;
		n = (size_t)(p - start);
		if (n && (undefined_length(start, p) == n || semi_no_number_length(start, p) == n))
			sink_add(s, "null", 4);
		else
			sink_add(s, start, n);
		if (p < end)
			sink_byte(s, *p++);
	}
}

void semi_json(struct sink *s, const char *text, size_t n, const struct semi_facts *facts)
{
	for (const char *p = text, *end = text + n; p < end;) {
		const char *start = p;

		if (is_space(*p)) {
			p++;
			continue;
		}
		p = run_end(p, end);
		if (facts->has_words && *start != '"')
			json_run(s, start, p);
		else
			sink_add(s, start, (size_t)(p - start));
	}
}

void semi_csv(struct sink *s, const char *text, size_t n, const struct semi_facts *facts)
{
	if (facts->has_signs)
		sink_byte(s, '"');
	for (const char *p = text, *end = text + n; p < end;) {
		const char *start = p;

		if (is_space(*p)) {
			p++;
			continue;
		}
		p = run_end(p, end);
		sink_csv_inner(s, start, (size_t)(p - start));
	}
	if (facts->has_signs)
		sink_byte(s, '"');
}
