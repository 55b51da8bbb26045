/* lex.h
 *
 * Snowflake SQL as tokens: comments gone, brackets matched, every token a run of the caller's text. Pure and total:
 * any bytes give a token list; what is unterminated or unbalanced is flagged and never read past its end.
 */
#ifndef SNOWGATE_EMULATOR_LEX_H
#define SNOWGATE_EMULATOR_LEX_H

#include <stdbool.h>
#include <stddef.h>
#include "snowgate/buf.h"

enum token_kind {
	TOKEN_END,    /* also what stands before the first and behind the last token */
	TOKEN_WORD,   /* keyword or unquoted identifier */
	TOKEN_QUOTED, /* "identifier" */
	TOKEN_STRING, /* 'text' or $$text$$ */
	TOKEN_NUMBER,
	TOKEN_VARIABLE, /* $name, $1 */
	TOKEN_STAGE,    /* @stage/path */
	TOKEN_OP
};

#define LEX_NO_MATE (-1)

struct token {
	enum token_kind kind;
	const char *text;
	size_t n;
	bool spaced; /* white space or a comment stands before it */
	int mate;    /* index of the matching bracket, LEX_NO_MATE where there is none */
};

/* items[-1] and items[n .. n+LEX_TAIL-1] are TOKEN_END, so looking a few tokens around is always safe. */
#define LEX_TAIL       12
#define LEX_MAX_TOKENS 200000
#define LEX_MAX_DEPTH  100

enum lex_fault { LEX_OK, LEX_UNTERMINATED, LEX_UNBALANCED, LEX_TOO_DEEP, LEX_TOO_LONG };

struct tokens {
	struct token *items;
	int n;
	enum lex_fault fault;
	int fault_at;     /* the token that is at fault; n when it is the end of the text */
	const char *text; /* the whole text, for positions */
	size_t text_n;
};

/* Splits `n` bytes. The tokens point into `text`, which must outlive them. End with lex_free(). */
void lex_sql(const char *text, size_t n, struct tokens *tokens);
void lex_free(struct tokens *tokens);

bool token_is(const struct token *t, const char *word); /* a word, case ignored */
bool token_is_op(const struct token *t, const char *op);
bool token_in(const struct token *t, const char *list); /* list: "|A|B|", upper case */
bool token_is_name(const struct token *t);              /* a word or a quoted identifier */

/* The identifier as Snowflake stores it: upper case unless quoted, quotes undone. Cut at `size`. */
void token_name(const struct token *t, char *name, size_t size);
/* The value of a string literal, escapes undone. */
void token_string(const struct token *t, struct buf *value);
/* Line (from 1) and column (from 0) as Snowflake counts them. */
void token_position(const struct tokens *tokens, const struct token *t, int *line, int *column);

#endif
