/* Bytes become lines, and lines messages: each is looked at for what HTTP clients say in headers, then passed on. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "stdio_internal.h"

#define LINES_A_TURN 64 /* then mail and timers have their turn */
#define CLAIM        "io.modelcontextprotocol/protocolVersion"

/* An initialize that is not answered holds the lines behind it back: they belong to the session that it makes. A client
 * that does not take its answers is not asked for more. */
bool input_wanted(const struct stdio *s)
{
	return !s->handshake && s->out.lines.n <= OUTBOX_SOFT && s->stage != STAGE_PARTING;
}

bool input_left(const struct stdio *s)
{
	return s->chunk_at < s->chunk_n;
}

bool input_closed(const struct stdio *s)
{
	return s->eof || s->hung_up;
}

void input_read(struct stdio *s)
{
	ssize_t n;

	if (s->eof || input_left(s))
		return;
	n = read(s->in, s->chunk, CHUNK);
	if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK))
		return;
	s->chunk_at = 0;
	s->chunk_n = n > 0 ? (size_t)n : 0;
	s->eof = n <= 0;
}

/* ---- a message ---- */

static void glance_cancelled(struct glance *g, struct slice text)
{
	static const char *const path[] = {"params", "requestId", NULL};

	if (strcmp(g->method, "notifications/cancelled") == 0)
		g->cancelled = json_raw_path(text, path);
}

/* An id that the receiver refuses (rpc_read() in mcp.h) is not repeated. */
static struct slice glance_id(const json_t *id, struct slice text)
{
	struct slice raw = json_raw_member(text, "id");
	bool whole = json_is_integer(id) || (json_is_real(id) && json_real_value(id) == floor(json_real_value(id)));

	return raw.n <= RPC_ID_MAX && (whole || json_is_string(id)) ? raw : (struct slice){0};
}

static bool is_answered(const json_t *root)
{
	if (json_object_get(root, "method"))
		return json_object_get(root, "id") != NULL;
	return !json_object_get(root, "result") && !json_object_get(root, "error");
}

/* What is no message is passed on all the same: the receiver says what is wrong with it. */
static void glance_at(struct glance *g, struct slice text)
{
	*g = (struct glance){.answered = true};
	if (json_parse(text, JSON_DEPTH_MAX, &g->root, NULL, 0) != JSON_OK) {
		g->root = NULL;
		return;
	}
	g->answered = is_answered(g->root);
	g->method = json_text_of(g->root, "method");
	if (!g->method)
		return;
	g->id = glance_id(json_object_get(g->root, "id"), text);
	g->modern = json_object_get(json_object_get(json_object_get(g->root, "params"), "_meta"), CLAIM) != NULL;
	if (!g->answered)
		glance_cancelled(g, text);
}

static void message_take(struct stdio *s, struct slice text)
{
	struct glance g;
	bool open;

	glance_at(&g, text);
	open = g.method && !g.answered && !g.modern && strcmp(g.method, "notifications/initialized") == 0;
	if (!g.cancelled.data || !visit_cancel(s, g.cancelled))
		visit_client(s, text, &g);
	if (open)
		visit_standing(s);
	json_decref(g.root);
}

/* ---- lines ---- */

static void line_end(struct stdio *s)
{
	struct slice text = buf_slice(&s->line);

	while (text.n && (text.data[text.n - 1] == '\r' || text.data[text.n - 1] == ' '))
		text.n--;
	if (s->too_long)
		stdio_refuse(s, (struct slice){0}, ERR_TOO_LARGE,
			     "the message is larger than this gateway takes (listen.max_body)");
	else if (text.n)
		message_take(s, text);
	s->too_long = false;
	buf_free(&s->line);
}

static void line_add(struct stdio *s, const char *data, size_t n)
{
	if (s->too_long)
		return;
	if (!s->line.n)
		s->line = buf_with_ceiling((size_t)s->conf->listen_max_body);
	if (!buf_add(&s->line, data, n)) {
		s->too_long = true;
		buf_free(&s->line);
	}
}

/* Takes up to the next line break, or all there is. True: that was a line. */
static bool line_next(struct stdio *s)
{
	const char *start = s->chunk + s->chunk_at;
	size_t n = s->chunk_n - s->chunk_at;
	const char *end = memchr(start, '\n', n);

	if (end)
		n = (size_t)(end - start);
	if (n)
		line_add(s, start, n);
	s->chunk_at += n + (end != NULL);
	if (end)
		line_end(s);
	return end != NULL;
}

void input_take(struct stdio *s)
{
	for (int n = 0; n < LINES_A_TURN && input_left(s) && input_wanted(s);)
		n += line_next(s);
	/* A last line may lack its line break. */
	if (s->eof && !input_left(s) && (s->line.n || s->too_long) && input_wanted(s))
		line_end(s);
}
