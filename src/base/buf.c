/* Growable bytes: doubling up to the ceiling, poisoned by the first append that would pass it. */
#include "snowgate/buf.h"

#include <stdio.h>
#include <string.h>

enum { FIRST_CAPACITY = 128 };

struct buf buf_with_ceiling(size_t ceiling)
{
	return (struct buf){.ceiling = ceiling};
}

void buf_free(struct buf *b)
{
	free(b->data);
	*b = buf_with_ceiling(b->ceiling);
}

void buf_clear(struct buf *b)
{
	b->n = 0;
	b->failed = false;
	if (b->data)
		b->data[0] = '\0';
}

bool buf_failed(const struct buf *b)
{
	return b->failed;
}

static bool fail(struct buf *b)
{
	buf_free(b);
	b->failed = true;
	return false;
}

/* Room for `n` more bytes and the NUL. The capacity never passes the ceiling by more than that NUL. */
static bool reserve(struct buf *b, size_t n)
{
	if (b->failed)
		return false;
	if (n > b->ceiling || b->n > b->ceiling - n)
		return fail(b);
	size_t needed = b->n + n + 1;
	if (needed <= b->capacity)
		return true;
	size_t capacity = b->capacity ? b->capacity : FIRST_CAPACITY;
	while (capacity < needed)
		capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
	if (capacity - 1 > b->ceiling)
		capacity = b->ceiling + 1;
	b->data = xrealloc(b->data, capacity);
	b->capacity = capacity;
	return true;
}

bool buf_add(struct buf *b, const void *data, size_t n)
{
	if (!reserve(b, n))
		return false;
	if (n)
		memcpy(b->data + b->n, data, n);
	b->n += n;
	b->data[b->n] = '\0';
	return true;
}

bool buf_adds(struct buf *b, const char *text)
{
	return buf_add(b, text, strlen(text));
}

bool buf_addc(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

bool buf_addf(struct buf *b, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	bool ok = buf_addv(b, format, args);
	va_end(args);
	return ok;
}

bool buf_addv(struct buf *b, const char *format, va_list args)
{
	if (!reserve(b, 0))
		return false;
	va_list again;
	va_copy(again, args);
	size_t room = b->capacity - b->n;
	int length = vsnprintf(b->data + b->n, room, format, args);
	bool ok = length >= 0 && reserve(b, (size_t)length);
	if (ok && (size_t)length >= room)
		(void)vsnprintf(b->data + b->n, (size_t)length + 1, format, again);
	va_end(again);
	if (!ok)
		return b->failed ? false : fail(b);
	b->n += (size_t)length;
	return true;
}

const char *buf_text(const struct buf *b)
{
	return b->data ? b->data : "";
}

struct slice buf_slice(const struct buf *b)
{
	return (struct slice){buf_text(b), b->n};
}

char *buf_take(struct buf *b, size_t *n)
{
	size_t length = b->n;
	char *data = length ? TAKE(b->data) : NULL;
	bool failed = b->failed;
	buf_free(b);
	b->failed = failed;
	if (n)
		*n = length;
	return data;
}
