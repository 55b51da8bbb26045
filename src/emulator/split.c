/* Cuts a text into statements. */
#include "split.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Past the quoted text that begins at `p`; doubled quotes stand for one, a backslash escapes in strings only. */
static const char *skip_quoted(const char *p)
{
	char quote = *p++;

	while (*p) {
		if (*p == '\\' && quote == '\'' && p[1]) {
			p += 2;
		} else if (*p == quote) {
			if (p[1] != quote)
				return p + 1;
			p += 2;
		} else {
			p++;
		}
	}
	return p;
}

static const char *skip_past(const char *p, const char *end)
{
	const char *found = strstr(p + 2, end);

	return found ? found + strlen(end) : p + strlen(p);
}

/* Past one lexical unit. Comments are no content: `*content` stays as it is for them and for white space. */
static const char *skip_unit(const char *p, bool *content)
{
	if (isspace((unsigned char)*p))
		return p + 1;
	if (!strncmp(p, "--", 2) || !strncmp(p, "//", 2))
		return p + strcspn(p, "\n");
	if (!strncmp(p, "/*", 2))
		return skip_past(p, "*/");
	*content = true;
	if (*p == '\'' || *p == '"')
		return skip_quoted(p);
	if (!strncmp(p, "$$", 2))
		return skip_past(p, "$$");
	return p + 1;
}

static bool word_is(const char *p, const char *word)
{
	size_t n = strlen(word);

	return !strncasecmp(p, word, n) && !isalnum((unsigned char)p[n]) && p[n] != '_';
}

/* `p` is the first word of a statement. */
static bool opens_block(const char *p)
{
	if (word_is(p, "DECLARE"))
		return true;
	if (!word_is(p, "BEGIN"))
		return false;
	p += 5;
	while (isspace((unsigned char)*p))
		p++;
	return *p && *p != ';' && !word_is(p, "TRANSACTION") && !word_is(p, "WORK") && !word_is(p, "NAME");
}

char **sql_split(const char *sql, size_t *n)
{
	char **texts = NULL;
	const char *p = sql, *start = sql;
	bool content = false, was = false;

	for (*n = 0;; was = content) {
		if (*p && *p != ';') {
			const char *unit = p;

			p = skip_unit(p, &content);
			if (content && !was && opens_block(unit))
				p = unit + strlen(unit);
			continue;
		}
		if (content) {
			texts = xrealloc(texts, (*n + 1) * sizeof(*texts));
			texts[(*n)++] = xstrndup(start, (size_t)(p - start));
		}
		if (!*p)
			return texts;
		start = ++p;
		content = false;
	}
}
