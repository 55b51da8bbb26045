/* Splits Snowflake SQL into tokens and matches its brackets. */
#include "lex.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

struct scanner {
	const char *at, *end;
	struct tokens *out;
	int capacity;
	bool unterminated;
};

static bool is_word_start(char c)
{
	return isalpha((unsigned char)c) || c == '_' || (c & 0x80);
}

static bool is_word_part(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$' || (c & 0x80);
}

static char peek(const struct scanner *s, size_t ahead)
{
	return (size_t)(s->end - s->at) > ahead ? s->at[ahead] : '\0';
}

static void skip_block_comment(struct scanner *s)
{
	const char *close = memmem(s->at + 2, (size_t)(s->end - s->at) - 2, "*/", 2);

	s->unterminated = s->unterminated || !close;
	s->at = close ? close + 2 : s->end;
}

/* True when white space or a comment was skipped. */
static bool skip_space(struct scanner *s)
{
	const char *from = s->at;

	while (s->at < s->end) {
		if (isspace((unsigned char)*s->at)) {
			s->at++;
		} else if ((*s->at == '-' && peek(s, 1) == '-') || (*s->at == '/' && peek(s, 1) == '/')) {
			while (s->at < s->end && *s->at != '\n')
				s->at++;
		} else if (*s->at == '/' && peek(s, 1) == '*') {
			skip_block_comment(s);
		} else {
			break;
		}
	}
	return s->at > from;
}

static void scan_string(struct scanner *s)
{
	s->at++;
	while (s->at < s->end) {
		if (*s->at == '\\' && s->end - s->at > 1) {
			s->at += 2;
		} else if (*s->at == '\'' && peek(s, 1) == '\'') {
			s->at += 2;
		} else if (*s->at++ == '\'') {
			return;
		}
	}
	s->unterminated = true;
}

static void scan_quoted(struct scanner *s)
{
	s->at++;
	while (s->at < s->end) {
		if (*s->at == '"' && peek(s, 1) == '"')
			s->at += 2;
		else if (*s->at++ == '"')
			return;
	}
	s->unterminated = true;
}

static void scan_dollar_string(struct scanner *s)
{
	const char *close = memmem(s->at + 2, (size_t)(s->end - s->at) - 2, "$$", 2);

	s->unterminated = s->unterminated || !close;
	s->at = close ? close + 2 : s->end;
}

/* Digits, fraction, exponent. A letter that follows is a token of its own, so that "1and" stays what it is. */
static void scan_number(struct scanner *s)
{
	while (isdigit((unsigned char)peek(s, 0)))
		s->at++;
	if (peek(s, 0) == '.') {
		s->at++;
		while (isdigit((unsigned char)peek(s, 0)))
			s->at++;
	}
	if (peek(s, 0) == 'e' || peek(s, 0) == 'E') {
		size_t sign = peek(s, 1) == '+' || peek(s, 1) == '-' ? 1 : 0;

		if (!isdigit((unsigned char)peek(s, 1 + sign)))
			return;
		s->at += 1 + sign;
		while (isdigit((unsigned char)peek(s, 0)))
			s->at++;
	}
}

static void scan_operator(struct scanner *s)
{
	static const char *const LONG_OPS[] = {"->>", "::", "=>", "->", "||", "<>", "!=", "<=", ">=", ":="};
	size_t left = (size_t)(s->end - s->at);

	for (size_t i = 0; i < ARRAY_LEN(LONG_OPS); i++) {
		size_t n = strlen(LONG_OPS[i]);

		if (left >= n && !memcmp(s->at, LONG_OPS[i], n)) {
			s->at += n;
			return;
		}
	}
	s->at++;
}

static enum token_kind scan_word(struct scanner *s)
{
	while (s->at < s->end && is_word_part(*s->at))
		s->at++;
	return TOKEN_WORD;
}

static enum token_kind scan_dollar(struct scanner *s)
{
	s->at++;
	while (s->at < s->end && (isalnum((unsigned char)*s->at) || *s->at == '_'))
		s->at++;
	return TOKEN_VARIABLE;
}

static enum token_kind scan_stage(struct scanner *s)
{
	while (s->at < s->end && !isspace((unsigned char)*s->at) && !strchr("(),;'\"", *s->at))
		s->at++;
	return TOKEN_STAGE;
}

static enum token_kind scan_token(struct scanner *s, bool after_name)
{
	char c = *s->at, next = peek(s, 1);

	if (c == '\'')
		return scan_string(s), TOKEN_STRING;
	if (c == '$' && next == '$')
		return scan_dollar_string(s), TOKEN_STRING;
	if (c == '"')
		return scan_quoted(s), TOKEN_QUOTED;
	if (isdigit((unsigned char)c) || (c == '.' && isdigit((unsigned char)next) && !after_name))
		return scan_number(s), TOKEN_NUMBER;
	if (is_word_start(c))
		return scan_word(s);
	if (c == '$' && (isalnum((unsigned char)next) || next == '_'))
		return scan_dollar(s);
	if (c == '@')
		return s->at++, scan_stage(s);
	return scan_operator(s), TOKEN_OP;
}

static struct token *new_token(struct scanner *s)
{
	struct tokens *out = s->out;

	if (out->n + LEX_TAIL + 2 > s->capacity) {
		struct token *base = out->items ? out->items - 1 : NULL;

		s->capacity = s->capacity ? s->capacity * 2 : 128;
		base = xrealloc(base, (size_t)s->capacity * sizeof *base);
		out->items = base + 1;
	}
	return &out->items[out->n];
}

static void match_brackets(struct tokens *tokens)
{
	int open[LEX_MAX_DEPTH], depth = 0;

	for (int i = 0; i < tokens->n; i++) {
		struct token *t = &tokens->items[i];
		char c = t->kind == TOKEN_OP && t->n == 1 ? *t->text : '\0';

		if (c == '(' || c == '[' || c == '{') {
			if (depth == LEX_MAX_DEPTH) {
				tokens->fault = LEX_TOO_DEEP;
				tokens->fault_at = i;
				return;
			}
			open[depth++] = i;
		} else if (c == ')' || c == ']' || c == '}') {
			if (!depth || *tokens->items[open[depth - 1]].text != (c == ')' ? '(' : c == ']' ? '[' : '{')) {
				tokens->fault = LEX_UNBALANCED;
				tokens->fault_at = i;
				return;
			}
			t->mate = open[--depth];
			tokens->items[t->mate].mate = i;
		}
	}
	if (depth) {
		tokens->fault = LEX_UNBALANCED;
		tokens->fault_at = tokens->n;
	}
}

static void close_list(struct scanner *s)
{
	struct tokens *out = s->out;

	new_token(s);
	for (int i = 0; i < LEX_TAIL; i++)
		out->items[out->n + i] = (struct token){TOKEN_END, s->end, 0, false, LEX_NO_MATE};
	out->items[-1] = (struct token){TOKEN_END, out->text, 0, false, LEX_NO_MATE};
}

void lex_sql(const char *text, size_t n, struct tokens *tokens)
{
	struct scanner s = {text, text + n, tokens, 0, false};

	*tokens = (struct tokens){.text = text, .text_n = n};
	for (;;) {
		bool spaced = skip_space(&s);
		struct token *t = new_token(&s);
		bool after_name = tokens->n && !spaced && (token_is_name(t - 1) || token_is_op(t - 1, "]"));

		if (s.at >= s.end)
			break;
		if (tokens->n == LEX_MAX_TOKENS) {
			tokens->fault = LEX_TOO_LONG;
			break;
		}
		*t = (struct token){TOKEN_OP, s.at, 0, spaced, LEX_NO_MATE};
		t->kind = scan_token(&s, after_name);
		t->n = (size_t)(s.at - t->text);
		tokens->n++;
	}
	close_list(&s);
	tokens->fault_at = tokens->n;
	if (s.unterminated)
		tokens->fault = LEX_UNTERMINATED;
	if (!tokens->fault)
		match_brackets(tokens);
}

void lex_free(struct tokens *tokens)
{
	if (tokens->items)
		free(tokens->items - 1);
	*tokens = (struct tokens){0};
}

bool token_is(const struct token *t, const char *word)
{
	return t->kind == TOKEN_WORD && strlen(word) == t->n && !strncasecmp(t->text, word, t->n);
}

bool token_is_op(const struct token *t, const char *op)
{
	return t->kind == TOKEN_OP && strlen(op) == t->n && !memcmp(t->text, op, t->n);
}

bool token_in(const struct token *t, const char *list)
{
	char word[64];

	if (t->kind != TOKEN_WORD || t->n + 3 > sizeof word)
		return false;
	word[0] = '|';
	for (size_t i = 0; i < t->n; i++)
		word[i + 1] = (char)toupper((unsigned char)t->text[i]);
	word[t->n + 1] = '|';
	word[t->n + 2] = '\0';
	return strstr(list, word) != NULL;
}

bool token_is_name(const struct token *t)
{
	return t->kind == TOKEN_WORD || t->kind == TOKEN_QUOTED;
}

void token_name(const struct token *t, char *name, size_t size)
{
	size_t n = 0, from = t->kind == TOKEN_QUOTED ? 1 : 0, to = t->n;

	if (t->kind == TOKEN_QUOTED && t->n > 1 && t->text[t->n - 1] == '"')
		to--;
	for (size_t i = from; i < to && n + 1 < size; i++) {
		char c = t->text[i];

		if (t->kind == TOKEN_QUOTED && c == '"')
			i++;
		name[n++] = t->kind == TOKEN_QUOTED ? c : (char)toupper((unsigned char)c);
	}
	name[n] = '\0';
}

static char unescape(char c)
{
	switch (c) {
	case 'n':
		return '\n';
	case 't':
		return '\t';
	case 'r':
		return '\r';
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	default:
		return c;
	}
}

void token_string(const struct token *t, struct buf *value)
{
	const char *at = t->text + 1, *end = t->text + t->n - 1;

	if (t->n >= 4 && t->text[0] == '$') {
		buf_add(value, t->text + 2, t->n - 4);
		return;
	}
	for (; at < end; at++) {
		char c = *at;

		if (c == '\\' && at + 1 < end)
			c = unescape(*++at);
		else if (c == '\'' && at + 1 < end)
			at++;
		buf_addc(value, c);
	}
}

void token_position(const struct tokens *tokens, const struct token *t, int *line, int *column)
{
	*line = 1;
	*column = 0;
	for (const char *c = tokens->text; c < t->text; c++) {
		*column = *c == '\n' ? 0 : *column + 1;
		*line += *c == '\n';
	}
}
