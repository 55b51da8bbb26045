/* Cuts SQL text into tokens the way Snowflake does; what it cannot read it says, and stops there. */
#include <string.h>

#include "snowgate/sql.h"
#include "text.h"

#define NON_ASCII(c) ((unsigned char)(c) >= 0x80)

struct shape {
	enum sql_kind kind;
	size_t n;
	const char *fault;
};

void sql_lexer_init(struct sql_lexer *lexer, struct slice text)
{
	*lexer = (struct sql_lexer){
	    .at = text.data,
	    .end = text.data ? text.data + text.n : NULL,
	    .line = 1,
	    .column = 1,
	    .backslash_escapes = true,
	};
}

static size_t left(const struct sql_lexer *l)
{
	return (size_t)(l->end - l->at);
}

static bool starts(const char *at, const char *end, const char *text)
{
	size_t n = strlen(text);

	return (size_t)(end - at) >= n && memcmp(at, text, n) == 0;
}

static void advance(struct sql_lexer *l, size_t n)
{
	for (const char *stop = l->at + n; l->at < stop; l->at++) {
		if (*l->at == '\n') {
			l->line++;
			l->column = 1;
		} else if (((unsigned char)*l->at & 0xC0) != 0x80) {
			l->column++;
		}
	}
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word_start(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

/* Letters outside ASCII that may stand in a plain name: alphabets and ideographs, without the separators, the invisible
 * characters and the compatibility forms. The four that change into ASCII letters with their case are left out, since
 * a keyword could hide behind them: sharp s, dotted and dotless i, long s. */
static bool is_letter(uint32_t c)
{
	static const uint32_t ranges[][2] = {
	    {0xC0, 0xD6},     {0xD8, 0xDE},     {0xE0, 0xF6},       {0xF8, 0x12F},      {0x132, 0x17E},
	    {0x180, 0x34E},   {0x370, 0x61B},   {0x620, 0x115E},    {0x1161, 0x167F},   {0x1681, 0x17B3},
	    {0x17B6, 0x180A}, {0x1810, 0x1FFF}, {0x2C00, 0x2DFF},   {0x3005, 0x3007},   {0x3041, 0x3163},
	    {0x3165, 0xD7FF}, {0xF900, 0xFAFF}, {0x10000, 0x1FFFF}, {0x20000, 0x323AF},
	};

	for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
		if (c >= ranges[i][0] && c <= ranges[i][1])
			return true;
	return false;
}

/* The bytes of one character of a word at `p`, 0 where the word ends. */
static size_t word_character(const char *p, const char *end)
{
	uint32_t code;
	size_t n;

	if (is_word_start(*p) || is_digit(*p) || *p == '$')
		return 1;
	if (!NON_ASCII(*p))
		return 0;
	n = sql_utf8_next(p, end, &code);
	return n && is_letter(code) ? n : 0;
}

static size_t word_length(const char *at, const char *end)
{
	const char *p = at;
	size_t n;

	while (p < end && (n = word_character(p, end)) > 0)
		p += n;
	return (size_t)(p - at);
}

/* Line ends that some readers know and others do not. */
static const char *line_comment_fault(const char *p, const char *end)
{
	for (; p < end; p++) {
		if (*p == '\r' && p + 1 < end)
			return "a line comment holds a carriage return without line feed";
		if (starts(p, end, "\xC2\x85") || starts(p, end, "\xE2\x80\xA8") || starts(p, end, "\xE2\x80\xA9"))
			return "a line comment holds a Unicode line separator";
	}
	return NULL;
}

static const char *skip_line_comment(struct sql_lexer *l)
{
	const char *stop = memchr(l->at, '\n', left(l));
	const char *fault = line_comment_fault(l->at, stop ? stop : l->end);

	if (!fault)
		advance(l, (size_t)((stop ? stop : l->end) - l->at));
	return fault;
}

static const char *skip_block_comment(struct sql_lexer *l)
{
	const char *p = l->at + 2;
	size_t open = 1;

	while (p < l->end) {
		if (starts(p, l->end, "*/")) {
			p += 2;
			if (--open == 0) {
				advance(l, (size_t)(p - l->at));
				return NULL;
			}
		} else if (l->nested_comments && starts(p, l->end, "/*")) {
			p += 2;
			open++;
		} else {
			p++;
		}
	}
	return "unterminated comment";
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static const char *skip_blanks(struct sql_lexer *l)
{
	const char *fault = NULL;

	while (!fault && l->at < l->end) {
		if (is_space(*l->at))
			advance(l, 1);
		else if (starts(l->at, l->end, "--") || starts(l->at, l->end, "//"))
			fault = skip_line_comment(l);
		else if (starts(l->at, l->end, "/*"))
			fault = skip_block_comment(l);
		else
			break;
	}
	return fault;
}

static struct shape bad(const char *fault)
{
	return (struct shape){SQL_BAD, 0, fault};
}

/* A quoted run; the quote doubled stands for itself. */
static struct shape quoted(const struct sql_lexer *l, enum sql_kind kind, bool escapes, const char *fault)
{
	const char *p = l->at + 1;
	char quote = *l->at;

	while (p < l->end) {
		if (escapes && *p == '\\')
			p += p + 1 < l->end ? 2 : 1;
		else if (*p != quote)
			p++;
		else if (p + 1 < l->end && p[1] == quote)
			p += 2;
		else
			return (struct shape){kind, (size_t)(p + 1 - l->at), NULL};
	}
	return bad(fault);
}

static struct shape dollar(const struct sql_lexer *l)
{
	const char *stop;
	size_t n;

	if (starts(l->at, l->end, "$$")) {
		stop = memmem(l->at + 2, left(l) - 2, "$$", 2);
		return stop ? (struct shape){SQL_DOLLAR, (size_t)(stop + 2 - l->at), NULL}
			    : bad("unterminated $$ string");
	}
	n = word_length(l->at + 1, l->end);
	return n ? (struct shape){SQL_VARIABLE, n + 1, NULL} : bad("a $ without a name");
}

static struct shape number(const struct sql_lexer *l)
{
	const char *p = l->at;

	while (p < l->end && is_digit(*p))
		p++;
	if (p < l->end && *p == '.')
		for (p++; p < l->end && is_digit(*p);)
			p++;
	if (p < l->end && (*p == 'e' || *p == 'E')) {
		const char *q = p + 1;

		if (q < l->end && (*q == '+' || *q == '-'))
			q++;
		if (q < l->end && is_digit(*q)) {
			for (p = q; p < l->end && is_digit(*p);)
				p++;
		}
	}
	return (struct shape){SQL_NUMBER, (size_t)(p - l->at), NULL};
}

static struct shape stage(const struct sql_lexer *l)
{
	const char *p = l->at + 1;

	while (p < l->end && (*p == '~' || *p == '%' || *p == '.' || word_character(p, l->end)))
		p += *p == '~' || *p == '%' || *p == '.' ? 1 : word_character(p, l->end);
	return (struct shape){SQL_STAGE, (size_t)(p - l->at), NULL};
}

static struct shape punctuation(const struct sql_lexer *l)
{
	static const char *const longer[] = {"->>", "->", "=>", "::", ":=", "||", "|>", "<=", ">=", "<>", "!="};

	for (size_t i = 0; i < ARRAY_LEN(longer); i++)
		if (starts(l->at, l->end, longer[i]))
			return (struct shape){SQL_PUNCT, strlen(longer[i]), NULL};
	if (*l->at != '\0' && strchr("()[]{},.;:+-*/%=<>!|&^~", *l->at))
		return (struct shape){SQL_PUNCT, 1, NULL};
	return bad(NON_ASCII(*l->at) ? "a character that may stand in quotes only" : "a character that is no SQL");
}

static struct shape shape_of(const struct sql_lexer *l)
{
	char c = *l->at, next = left(l) > 1 ? l->at[1] : '\0';

	if (c == '\'')
		return quoted(l, SQL_STRING, l->backslash_escapes, "unterminated string");
	if (c == '"')
		return quoted(l, SQL_QUOTED, false, "unterminated quoted identifier");
	if (c == '$')
		return dollar(l);
	if (c == '@')
		return stage(l);
	if (c == '?')
		return (struct shape){SQL_BIND, 1, NULL};
	if (c == ':' && is_digit(next))
		return (struct shape){SQL_BIND, 1 + word_length(l->at + 1, l->end), NULL};
	if (is_digit(c) || (c == '.' && is_digit(next)))
		return number(l);
	if (word_character(l->at, l->end))
		return (struct shape){SQL_WORD, word_length(l->at, l->end), NULL};
	return punctuation(l);
}

struct sql_token sql_next(struct sql_lexer *lexer)
{
	const char *fault = lexer->at < lexer->end ? skip_blanks(lexer) : NULL;
	struct shape shape = {SQL_END, 0, NULL};
	struct sql_token token;

	if (fault)
		shape = bad(fault);
	else if (lexer->at < lexer->end)
		shape = shape_of(lexer);
	if (shape.kind == SQL_BAD)
		shape.n = left(lexer);
	token = (struct sql_token){
	    .kind = shape.kind,
	    .text = {lexer->at, shape.n},
	    .line = lexer->line,
	    .column = lexer->column,
	    .fault = shape.fault,
	};
	if (shape.n)
		advance(lexer, shape.n);
	return token;
}

bool sql_token_is(const struct sql_token *t, const char *word)
{
	if (t->kind != SQL_WORD && t->kind != SQL_PUNCT)
		return false;
	return slice_is_nocase(t->text, word);
}
