/* What a client that listens is told of its statement. */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>

void notice(struct call *c, enum mcp_level level, const char *format, ...)
{
	struct notice n = {.level = level, .progress = -1, .stage = true};
	va_list args;

	if (!c->listens || !snowflake.ops->notice)
		return;
	va_start(args, format);
	(void)vsnprintf(n.text, sizeof n.text, format, args);
	va_end(args);
	snowflake.ops->notice(c, &n);
}
