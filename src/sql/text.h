/* text.h
 *
 * UTF-8 as the sql layer reads it. Private to src/sql.
 */
#ifndef SNOWGATE_SQL_TEXT_H
#define SNOWGATE_SQL_TEXT_H

#include "snowgate/base.h"

/* The bytes of the character at `p` (1 to 4) and its code point; 0 where there is none: RFC 3629, no surrogates, no
 * overlong forms. p < end. */
size_t sql_utf8_next(const char *p, const char *end, uint32_t *code);
/* Explicit directional formatting (Unicode Bidi_Control): shows a reviewer another text than the one that runs. */
bool sql_is_bidi(uint32_t code);
/* Characters; SIZE_MAX where the text is not UTF-8. */
size_t sql_utf8_count(struct slice text);

char sql_upper(char c);

#endif
