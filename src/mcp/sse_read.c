/* Reads server-sent events that others send, byte by byte, into messages. */
#include <string.h>

#include "snowgate/sse.h"

struct sse_reader sse_reader_new(size_t ceiling)
{
	return (struct sse_reader){.line = buf_with_ceiling(ceiling + SSE_TYPE_SIZE),
				   .data = buf_with_ceiling(ceiling)};
}

void sse_reader_free(struct sse_reader *r)
{
	buf_free(&r->line);
	buf_free(&r->data);
}

static struct slice field_value(struct slice line, size_t name)
{
	struct slice value = {line.data + name, line.n - name};

	if (value.n)
		value = (struct slice){value.data + 1, value.n - 1};
	if (value.n && *value.data == ' ')
		value = (struct slice){value.data + 1, value.n - 1};
	return value;
}

static void field_read(struct sse_reader *r, struct slice line)
{
	const char *colon = memchr(line.data, ':', line.n);
	size_t name = colon ? (size_t)(colon - line.data) : line.n;
	struct slice value = field_value(line, name);

	if (slice_is((struct slice){line.data, name}, "data")) {
		buf_add(&r->data, value.data, value.n);
		buf_addc(&r->data, '\n');
	} else if (slice_is((struct slice){line.data, name}, "event")) {
		size_t n = value.n < SSE_TYPE_SIZE - 1 ? value.n : SSE_TYPE_SIZE - 1;

		memcpy(r->type, value.data, n);
		r->type[n] = '\0';
	}
}

/* An empty line ends a message; one without data is none. */
static bool message_ends(struct sse_reader *r, struct sse_message *message)
{
	if (!r->data.n) {
		r->type[0] = '\0';
		return false;
	}
	*message = (struct sse_message){r->type[0] ? r->type : "message", {r->data.data, r->data.n - 1}};
	r->told = true;
	return true;
}

/* A line is whole: true where it ends a message. */
static bool line_ends(struct sse_reader *r, struct sse_message *message)
{
	static const char mark[] = "\xef\xbb\xbf";
	struct slice line = buf_slice(&r->line);
	bool ends = false;

	if (!r->begun && line.n >= 3 && memcmp(line.data, mark, 3) == 0)
		line = (struct slice){line.data + 3, line.n - 3};
	r->begun = true;
	if (line.n == 0)
		ends = message_ends(r, message);
	else
		field_read(r, line);
	buf_clear(&r->line);
	return ends;
}

static void message_forget(struct sse_reader *r)
{
	if (!r->told)
		return;
	buf_clear(&r->data);
	r->type[0] = '\0';
	r->told = false;
}

enum sse_verdict sse_reader_next(struct sse_reader *r, struct slice *in, struct sse_message *message)
{
	message_forget(r);
	while (in->n && !buf_failed(&r->line) && !buf_failed(&r->data)) {
		size_t n = 0;

		if (r->was_cr && *in->data == '\n')
			*in = (struct slice){in->data + 1, in->n - 1};
		r->was_cr = false;
		while (n < in->n && in->data[n] != '\n' && in->data[n] != '\r')
			n++;
		buf_add(&r->line, in->data, n);
		if (n == in->n) {
			*in = (struct slice){in->data + n, 0};
			break;
		}
		r->was_cr = in->data[n] == '\r';
		*in = (struct slice){in->data + n + 1, in->n - n - 1};
		if (!buf_failed(&r->line) && line_ends(r, message) && !buf_failed(&r->data))
			return SSE_MESSAGE;
	}
	return buf_failed(&r->line) || buf_failed(&r->data) ? SSE_BAD : SSE_MORE;
}
