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

/* The line feed behind it is counted with it. */
static void data_add(struct sse_reader *r, struct slice value)
{
	if (r->too_long)
		return;
	if (value.n >= r->data.ceiling - r->data.n) {
		r->too_long = true;
		buf_free(&r->data);
		return;
	}
	buf_add(&r->data, value.data, value.n);
	buf_addc(&r->data, '\n');
}

static void field_read(struct sse_reader *r, struct slice line)
{
	const char *colon = memchr(line.data, ':', line.n);
	size_t name = colon ? (size_t)(colon - line.data) : line.n;
	struct slice value = field_value(line, name);

	if (slice_is((struct slice){line.data, name}, "data")) {
		data_add(r, value);
	} else if (slice_is((struct slice){line.data, name}, "event")) {
		size_t n = value.n < SSE_TYPE_SIZE - 1 ? value.n : SSE_TYPE_SIZE - 1;

		memcpy(r->type, value.data, n);
		r->type[n] = '\0';
	}
}

/* An empty line ends a message; one without data is none. */
static bool message_ends(struct sse_reader *r, struct sse_message *message)
{
	if (!r->data.n && !r->too_long) {
		r->type[0] = '\0';
		return false;
	}
	*message = (struct sse_message){r->type[0] ? r->type : "message", {"", 0}, r->too_long};
	if (!r->too_long)
		message->data = (struct slice){r->data.data, r->data.n - 1};
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
	r->told = r->too_long = false;
}

/* Is the line that begins with what is kept, and goes on so, one of data? */
static bool is_data(const struct sse_reader *r, struct slice more)
{
	static const char name[] = "data:";
	size_t n = sizeof name - 1, kept = r->line.n < n ? r->line.n : n;

	return more.n >= n - kept && memcmp(buf_text(&r->line), name, kept) == 0 &&
	       memcmp(more.data, name + kept, n - kept) == 0;
}

void sse_reader_skip(struct sse_reader *r)
{
	bool line = is_data(r, (struct slice){"", 0});

	if (r->told || (!line && !r->data.n))
		return;
	r->too_long = true;
	buf_free(&r->data);
	if (!line)
		return;
	r->passes = true;
	buf_free(&r->line);
}

static void line_add(struct sse_reader *r, struct slice more)
{
	if (r->passes)
		return;
	if (more.n <= r->line.ceiling - r->line.n) {
		buf_add(&r->line, more.data, more.n);
		return;
	}
	r->passes = true;
	if (is_data(r, more)) {
		r->too_long = true;
		buf_free(&r->data);
	}
	buf_free(&r->line);
}

enum sse_verdict sse_reader_next(struct sse_reader *r, struct slice *in, struct sse_message *message)
{
	message_forget(r);
	while (in->n) {
		size_t n = 0;

		if (r->was_cr && *in->data == '\n')
			*in = (struct slice){in->data + 1, in->n - 1};
		r->was_cr = false;
		while (n < in->n && in->data[n] != '\n' && in->data[n] != '\r')
			n++;
		line_add(r, (struct slice){in->data, n});
		if (n == in->n) {
			*in = (struct slice){in->data + n, 0};
			break;
		}
		r->was_cr = in->data[n] == '\r';
		*in = (struct slice){in->data + n + 1, in->n - n - 1};
		if (r->passes)
			r->passes = !(r->begun = true);
		else if (line_ends(r, message))
			return SSE_MESSAGE;
	}
	return SSE_MORE;
}
