/* Compressed bodies (gzip or zlib) inflated as they come: bytes in, bytes out, whatever their size. */
#include "internal.h"

#include <zlib.h>

#define ANY_HEADER (32 + MAX_WBITS) /* zlib looks which of the two it is */

struct inflate {
	z_stream z;
	bool ended;
};

struct inflate *inflate_new(void)
{
	struct inflate *f = xalloc(sizeof *f);

	if (inflateInit2(&f->z, ANY_HEADER) != Z_OK)
		abort(); /* out of memory, as in xalloc() */
	return f;
}

void inflate_free(struct inflate *f)
{
	if (!f)
		return;
	(void)inflateEnd(&f->z);
	free(f);
}

void inflate_again(struct inflate *f)
{
	f->ended = false;
	if (inflateReset2(&f->z, ANY_HEADER) != Z_OK)
		abort();
}

bool inflate_ended(const struct inflate *f)
{
	return f->ended;
}

/* Behind one member another may follow (RFC 1952, 2.2). */
bool inflate_some(struct inflate *f, struct slice *in, char *out, size_t room, size_t *n)
{
	int rc = Z_OK;

	if (f->ended && in->n > 0)
		inflate_again(f);
	f->z.next_in = (Bytef *)(uintptr_t)in->data;
	f->z.avail_in = (uInt)in->n;
	f->z.next_out = (Bytef *)out;
	f->z.avail_out = (uInt)room;
	if (in->n > 0 || !f->ended)
		rc = inflate(&f->z, Z_NO_FLUSH);
	in->data += in->n - f->z.avail_in;
	in->n = f->z.avail_in;
	*n = room - f->z.avail_out;
	f->ended = rc == Z_STREAM_END || (f->ended && rc == Z_OK);
	return rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR;
}

bool inflate_whole(struct buf *b, size_t most)
{
	struct inflate *f = inflate_new();
	struct buf out = buf_with_ceiling(most);
	struct slice in = buf_slice(b);
	char piece[4096];
	size_t n = 1;
	bool fine = true;

	while (fine && (in.n > 0 || n > 0) && !(f->ended && in.n == 0))
		fine = inflate_some(f, &in, piece, sizeof piece, &n) && buf_add(&out, piece, n);
	fine = fine && f->ended;
	inflate_free(f);
	buf_free(b);
	if (fine)
		*b = out;
	else
		buf_free(&out);
	return fine;
}
