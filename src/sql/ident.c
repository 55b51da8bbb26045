/* Identifiers: read plain or quoted, kept as Snowflake stores them, written back always in quotes. */
#include <string.h>

#include "snowgate/err.h"
#include "snowgate/sql.h"
#include "text.h"

#define PART_MAX 255 /* characters; Snowflake's limit */

static bool is_plain_start(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool is_plain(char c)
{
	return is_plain_start(c) || (c >= '0' && c <= '9') || c == '$';
}

/* The bytes of the part at `p`, up to its dot or its closing quote; 0 where it is none. */
static size_t plain_length(const char *p, const char *end)
{
	const char *start = p;

	if (p == end || !is_plain_start(*p))
		return 0;
	while (p < end && is_plain(*p))
		p++;
	return (size_t)(p - start);
}

static size_t quoted_length(const char *p, const char *end)
{
	const char *start = p;

	for (p++; p < end; p++) {
		if (*p != '"')
			continue;
		if (p + 1 == end || p[1] != '"')
			return (size_t)(p + 1 - start);
		p++;
	}
	return 0;
}

static char *unquote(struct arena *a, const char *p, size_t n)
{
	char *out = arena_alloc(a, n), *at = out;

	for (size_t i = 1; out && i + 1 < n; i++) {
		*at++ = p[i];
		if (p[i] == '"')
			i++;
	}
	return out;
}

static const char *content_fault(const char *text)
{
	struct slice s = slice_of(text);
	const char *end = s.data + s.n;
	uint32_t code;
	size_t n;

	if (s.n == 0)
		return "a part of the name is empty";
	for (const char *p = s.data; p < end; p += n) {
		n = sql_utf8_next(p, end, &code);
		if (!n)
			return "the name is not UTF-8";
		if (code < 0x20 || code == 0x7F || sql_is_bidi(code))
			return "the name holds a control character";
	}
	return sql_utf8_count(s) > PART_MAX ? "a part of the name is longer than 255 characters" : NULL;
}

static char *upper_copy(struct arena *a, const char *p, size_t n)
{
	char *out = arena_strndup(a, p, n);

	for (size_t i = 0; out && i < n; i++)
		out[i] = sql_upper(out[i]);
	return out;
}

/* Reads the part at *at and steps behind it. */
static int part_read(struct arena *a, const char **at, const char *end, const char **part, const char **why)
{
	bool in_quotes = *at < end && **at == '"';
	size_t n = in_quotes ? quoted_length(*at, end) : plain_length(*at, end);

	if (n == 0) {
		*why = in_quotes
			   ? "a quote is not closed"
			   : "a plain name starts with a letter or underscore and holds letters, digits, _ and $; "
			     "anything else needs double quotes";
		return ERR_INVALID_PARAMS;
	}
	if (memchr(*at, '\0', n)) {
		*why = "the name holds a control character";
		return ERR_INVALID_PARAMS;
	}
	*part = in_quotes ? unquote(a, *at, n) : upper_copy(a, *at, n);
	*at += n;
	if (!*part)
		return ERR_NOMEM;
	*why = content_fault(*part);
	return *why ? ERR_INVALID_PARAMS : ERR_OK;
}

static struct slice trim(struct slice s)
{
	while (s.n && strchr(" \t\r\n", s.data[0]) && s.data[0])
		s.data++, s.n--;
	while (s.n && strchr(" \t\r\n", s.data[s.n - 1]) && s.data[s.n - 1])
		s.n--;
	return s;
}

int sql_name_parse(struct arena *a, struct slice text, size_t max, struct sql_name *name, const char **why)
{
	struct slice s = trim(text);
	const char *at = s.data, *end = s.data ? s.data + s.n : NULL;
	size_t limit = max < ARRAY_LEN(name->part) ? max : ARRAY_LEN(name->part);

	*name = (struct sql_name){0};
	*why = NULL;
	if (s.n == 0) {
		*why = "the name is empty";
		return ERR_INVALID_PARAMS;
	}
	for (;;) {
		int e;

		if (name->n == limit) {
			*why = "the name has too many parts";
			return ERR_INVALID_PARAMS;
		}
		e = part_read(a, &at, end, &name->part[name->n], why);
		if (e != ERR_OK)
			return e;
		name->n++;
		if (at == end)
			return ERR_OK;
		if (*at++ != '.') {
			*why = "the name holds a character that needs double quotes";
			return ERR_INVALID_PARAMS;
		}
	}
}

const char *sql_ident_fold(struct arena *a, struct slice text)
{
	struct sql_name name;
	const char *why;

	return sql_name_parse(a, text, 1, &name, &why) == ERR_OK ? name.part[0] : NULL;
}

static bool add_doubled(struct buf *b, const char *text, const char *doubled)
{
	for (;;) {
		size_t n = strcspn(text, doubled);

		if (!buf_add(b, text, n))
			return false;
		if (text[n] == '\0')
			return true;
		if (!buf_addc(b, text[n]) || !buf_addc(b, text[n]))
			return false;
		text += n + 1;
	}
}

bool sql_quote_ident(struct buf *b, const char *part)
{
	return buf_addc(b, '"') && add_doubled(b, part, "\"") && buf_addc(b, '"');
}

bool sql_quote_name(struct buf *b, const struct sql_name *name)
{
	for (size_t i = 0; i < name->n; i++)
		if ((i && !buf_addc(b, '.')) || !sql_quote_ident(b, name->part[i]))
			return false;
	return true;
}

bool sql_quote_string(struct buf *b, const char *text)
{
	return buf_addc(b, '\'') && add_doubled(b, text, "'\\") && buf_addc(b, '\'');
}
